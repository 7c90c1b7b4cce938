/* Checkpoints: the file of a model, with the state of its trainer beside it. Each trainable tensor
 * NAME of the model has NAME/m, NAME/v (not for SGD) and NAME/average (if there is an average), all
 * with the shape of NAME. Options and counts are a record in the metadata (checkpoint_record.c), as
 * are the caller's notes. SPDX-License-Identifier: MIT */
#include <math.h>
#include <stdio.h>
#include <string.h>

#include "host/host.h"
#include "io/checkpoint.h"

enum { MAX_NOTES = 10000 };

/* The flat vector of a part; NULL if the trainer has none. */
static float *part_vector(const glow__trainer_vectors *vectors, const char *part) {
  return strcmp(part, "m") == 0   ? vectors->m
         : strcmp(part, "v") == 0 ? vectors->v
                                  : vectors->average;
}

/* ---- saving ---------------------------------------------------------------------------------- */

/* What is saved. The record's pointers lead into it, so it is not copied. */
typedef struct subject {
  const glow_model *model;
  const glow__rates *rates;
  glow__trainer_vectors vectors;
  glow__record record;
} subject;

static void subject_clear(subject *s) {
  *s = (subject){.record = {GLOW_TRAINER_OPTIONS_INIT,
                            GLOW_OPTIMIZER_OPTIONS_INIT,
                            GLOW_SCHEDULE_INIT,
                            {0, 0, 0, 0},
                            0}};
  s->record.trainer.optimizer = &s->record.optimizer;
  s->record.trainer.schedule = &s->record.schedule;
}

static glow_status subject_of_trainer(const glow_trainer *trainer, subject *s) {
  subject_clear(s);
  GLOW_TRY(glow_trainer_get_options(trainer, &s->record.trainer));
  s->record.optimizer = *s->record.trainer.optimizer;
  s->record.schedule = *s->record.trainer.schedule;
  s->record.trainer.optimizer = &s->record.optimizer;
  s->record.trainer.schedule = &s->record.schedule;
  glow__trainer_progress(trainer, &s->record.progress);
  s->model = glow__trainer_model(trainer);
  s->rates = glow__optimizer_rates(glow__trainer_optimizer(trainer));
  glow__trainer_vectors_of(trainer, &s->vectors);
  return GLOW_OK;
}

static void subject_of_optimizer(glow_optimizer *optimizer, subject *s) {
  subject_clear(s);
  s->record.loop = 1;
  s->record.optimizer = *glow__optimizer_options(optimizer);
  s->record.progress.steps = glow_optimizer_step_count(optimizer);
  s->record.progress.optimizer_steps = s->record.progress.steps;
  s->rates = glow__optimizer_rates(optimizer);
  s->model = s->rates->model;
  /* not the mutable accessor, after which the model would have to be prepared */
  s->vectors.parameters = (float *)(uintptr_t)glow_model_parameters(s->model);
  glow__optimizer_moments(optimizer, &s->vectors.m, &s->vectors.v);
}

static glow_status check_notes(const char *const *notes, int64_t pairs) {
  if (pairs < 0 || pairs > MAX_NOTES || (pairs && !notes))
    return glow_error(GLOW_E_ARGUMENT,
                      "checkpoint: %lld notes, but the array is NULL or the count negative",
                      (long long)pairs);
  for (int64_t i = 0; i < pairs; i++) {
    const char *key = notes[2 * i];
    if (!key || !*key || !notes[2 * i + 1])
      return glow_error(GLOW_E_ARGUMENT, "checkpoint: note %lld is NULL or has no key",
                        (long long)i);
    for (int64_t k = 0; k < i; k++)
      if (strcmp(notes[2 * k], key) == 0)
        return glow_error(GLOW_E_ARGUMENT, "checkpoint: there are two notes '%.200s'", key);
  }
  return GLOW_OK;
}

/* Everything that a checkpoint adds, with the memory for it. */
typedef struct addition {
  glow_context *context;
  glow__model_extras extras;
  char *record;
  char *rates; /* NULL: all are 1 */
  char *texts; /* names of tensors, and keys of notes */
  glow_file_tensor *tensors;
  const char **metadata;
} addition;

static void addition_destroy(addition *a) {
  glow_release(a->context, a->record);
  glow_release(a->context, a->rates);
  glow_release(a->context, a->texts);
  glow_release(a->context, a->tensors);
  glow_release(a->context, a->metadata);
}

/* How many tensors and bytes of text will be needed. */
static glow_status measure(const glow_model *model, int32_t parts, const char *const *notes,
                           int64_t pairs, size_t *bytes, size_t *tensors) {
  *bytes = *tensors = 0;
  for (int32_t i = 0; i < glow_model_tensor_count(model); i++) {
    glow_tensor_info info = GLOW_TENSOR_INFO_INIT;
    GLOW_TRY(glow_model_tensor(model, i, &info));
    if (!info.trainable)
      continue;
    *tensors += (size_t)parts;
    *bytes += (size_t)parts * (strlen(info.name) + sizeof "/average");
  }
  for (int64_t i = 0; i < pairs; i++)
    *bytes += strlen(notes[2 * i]) + sizeof GLOW_NOTE_PREFIX;
  return GLOW_OK;
}

/* Copies "first" + "second" to *at, which moves on. */
static const char *join(char **at, const char *first, const char *second) {
  size_t a = strlen(first), b = strlen(second) + 1;
  char *text = *at;
  memcpy(text, first, a);
  memcpy(text + a, second, b);
  *at += a + b;
  return text;
}

/* One part of every trainable tensor, in the order of the flat vector. */
static glow_status list_part(const glow_model *model, const char *part, const float *vector,
                             addition *a, char **text) {
  char suffix[16];
  snprintf(suffix, sizeof suffix, "/%s", part);
  for (int32_t i = 0; i < glow_model_tensor_count(model); i++) {
    glow_tensor_info info = GLOW_TENSOR_INFO_INIT;
    GLOW_TRY(glow_model_tensor(model, i, &info));
    if (!info.trainable)
      continue;
    glow_file_tensor *tensor = &a->tensors[a->extras.count++];
    *tensor = (glow_file_tensor)GLOW_FILE_TENSOR_INIT;
    tensor->name = join(text, info.name, suffix);
    tensor->type = GLOW_TYPE_F32;
    tensor->rank = info.rank;
    memcpy(tensor->dims, info.dims, (size_t)info.rank * sizeof *info.dims);
    tensor->bytes = info.elements * (int64_t)sizeof(float);
    tensor->data = vector + info.offset;
  }
  return GLOW_OK;
}

static void list_metadata(addition *a, const char *const *notes, int64_t pairs, char **text) {
  const char **next = a->metadata;
  *next++ = GLOW_CHECKPOINT_KEY;
  *next++ = a->record;
  if (a->rates) {
    *next++ = GLOW_RATES_KEY;
    *next++ = a->rates;
  }
  for (int64_t i = 0; i < pairs; i++) {
    *next++ = join(text, GLOW_NOTE_PREFIX, notes[2 * i]);
    *next++ = notes[2 * i + 1];
  }
  a->extras.metadata = a->metadata;
  a->extras.pairs = (next - a->metadata) / 2;
}

static glow_status fill_addition(const subject *s, const char *const *notes, int64_t pairs,
                                 addition *a) {
  const char *parts[GLOW_CHECKPOINT_PARTS];
  size_t bytes, tensors;
  int32_t count = glow__record_parts(&s->record, parts);
  GLOW_TRY(measure(s->model, count, notes, pairs, &bytes, &tensors));
  GLOW_TRY(glow__record_write(a->context, &s->record, &a->record));
  GLOW_TRY(glow__rates_write(a->context, s->rates, &a->rates));
  a->texts = glow_allocate(a->context, bytes + 1);
  if (!a->texts)
    return GLOW_E_MEMORY;
  a->tensors = glow_allocate(a->context, (tensors + 1) * sizeof *a->tensors);
  if (!a->tensors)
    return GLOW_E_MEMORY;
  a->metadata = glow_allocate(a->context, (size_t)(4 + 2 * pairs) * sizeof *a->metadata);
  if (!a->metadata)
    return GLOW_E_MEMORY;
  a->extras.parameters = s->vectors.parameters;
  a->extras.tensors = a->tensors;
  char *text = a->texts;
  for (int32_t i = 0; i < count; i++)
    GLOW_TRY(list_part(s->model, parts[i], part_vector(&s->vectors, parts[i]), a, &text));
  list_metadata(a, notes, pairs, &text);
  return GLOW_OK;
}

/* Checks what the caller asks for; *checked is complete after this. */
static glow_status check_output(const glow_output *output, const char *const *notes, int64_t pairs,
                                glow_output *checked) {
  GLOW_TRY(glow__output_copy(output, checked));
  GLOW_TRY(check_notes(notes, pairs));
  if (checked->storage == GLOW_TYPE_BF16)
    return glow_error(GLOW_E_ARGUMENT,
                      "a checkpoint must be saved as float32, because bfloat16 loses bits");
  checked->storage = 0;
  return GLOW_OK;
}

static glow_status save_subject(const subject *s, const glow_output *output,
                                const char *const *notes, int64_t pairs) {
  addition a = {.context = glow__model_context(s->model)};
  glow_status status = fill_addition(s, notes, pairs, &a);
  if (status == GLOW_OK)
    status = glow__model_file_write(s->model, output, &a.extras);
  addition_destroy(&a);
  return status;
}

glow_status glow_checkpoint_save_output(const glow_trainer *trainer, const glow_output *output,
                                        const char *const *notes, int64_t pairs) {
  GLOW_LIVE(trainer, TRAINER);
  glow_output checked;
  subject s;
  if (!trainer || !output)
    return glow_error(GLOW_E_ARGUMENT, "glow_checkpoint_save: NULL argument");
  GLOW_TRY(check_output(output, notes, pairs, &checked));
  GLOW_TRY(subject_of_trainer(trainer, &s));
  return save_subject(&s, &checked, notes, pairs);
}

glow_status glow_checkpoint_save_optimizer(const glow_optimizer *optimizer,
                                           const glow_output *output, const char *const *notes,
                                           int64_t pairs) {
  GLOW_LIVE(optimizer, OPTIMIZER);
  glow_output checked;
  subject s;
  if (!optimizer || !output)
    return glow_error(GLOW_E_ARGUMENT, "glow_checkpoint_save_optimizer: NULL argument");
  GLOW_TRY(check_output(output, notes, pairs, &checked));
  subject_of_optimizer((glow_optimizer *)(uintptr_t)optimizer, &s); /* only read */
  return save_subject(&s, &checked, notes, pairs);
}

glow_status glow_checkpoint_save(const glow_trainer *trainer, const char *path,
                                 const char *const *notes, int64_t pairs) {
  glow_output output = GLOW_OUTPUT_INIT;
  output.path = path;
  return glow_checkpoint_save_output(trainer, path ? &output : NULL, notes, pairs);
}

/* ---- loading --------------------------------------------------------------------------------- */

static glow_status read_record(glow_context *context, const glow_tensor_file *file,
                               glow__record *record) {
  const char *text = glow_tensor_file_metadata(file, GLOW_CHECKPOINT_KEY);
  if (!text)
    return glow_error(GLOW_E_FORMAT, "it is not a checkpoint");
  glow_status status = glow__record_read(context, text, record);
  return status == GLOW_OK ? status : glow__error_prefix(status, "checkpoint");
}

/* The second moment, or the largest gradient so far: never negative. */
static glow_status check_not_negative(const char *name, const float *values, int64_t count) {
  for (int64_t i = 0; i < count; i++)
    if (!(values[i] >= 0.0f))
      return glow_error(GLOW_E_FORMAT, "tensor '%s': element %lld is negative", name, (long long)i);
  return GLOW_OK;
}

static glow_status read_part(const glow_tensor_file *file, const glow_model *model,
                             const char *part, float *vector) {
  char name[GLOW_IO_MAX_NAME + 16];
  for (int32_t i = 0; i < glow_model_tensor_count(model); i++) {
    glow_tensor_info info = GLOW_TENSOR_INFO_INIT;
    GLOW_TRY(glow_model_tensor(model, i, &info));
    if (!info.trainable)
      continue;
    snprintf(name, sizeof name, "%s/%s", info.name, part);
    GLOW_TRY(glow_tensor_file_read(file, glow_tensor_file_index(file, name), 0,
                                   vector + info.offset, (size_t)info.elements * sizeof(float)));
    GLOW_TRY(glow__tensor_check_finite(name, vector + info.offset, info.elements));
    if (strcmp(part, "v") == 0)
      GLOW_TRY(check_not_negative(name, vector + info.offset, info.elements));
  }
  return GLOW_OK;
}

static glow_status read_notes(const glow_tensor_file *file, glow_context *context,
                              glow__note **list) {
  const size_t prefix = strlen(GLOW_NOTE_PREFIX);
  for (int64_t i = 0; i < glow_tensor_file_metadata_count(file); i++) {
    const char *key, *value;
    GLOW_TRY(glow_tensor_file_metadata_at(file, i, &key, &value));
    if (strncmp(key, GLOW_NOTE_PREFIX, prefix) == 0)
      GLOW_TRY(glow__notes_add(context, list, key + prefix, value));
  }
  return GLOW_OK;
}

/* The tensors are known to exist, with the shapes of the model's. */
static glow_status read_parts(const glow_tensor_file *file, const glow__record *record,
                              const glow_model *model, const glow__trainer_vectors *vectors) {
  const char *parts[GLOW_CHECKPOINT_PARTS];
  int32_t count = glow__record_parts(record, parts);
  for (int32_t i = 0; i < count; i++)
    GLOW_TRY(read_part(file, model, parts[i], part_vector(vectors, parts[i])));
  return GLOW_OK;
}

static glow_status fill_trainer(const glow_tensor_file *file, const glow__record *record,
                                const glow_model *model, glow_trainer *trainer) {
  glow__trainer_vectors vectors;
  glow__trainer_vectors_of(trainer, &vectors);
  GLOW_TRY(read_parts(file, record, model, &vectors));
  GLOW_TRY(glow__trainer_set_progress(trainer, &record->progress));
  GLOW_TRY(glow__rates_read(file, glow__optimizer_rates(glow__trainer_optimizer(trainer))));
  return read_notes(file, glow__model_context(model), glow__trainer_notes(trainer));
}

/* A trainer's average, if there is one, is left where it is. */
static glow_status fill_optimizer(const glow_tensor_file *file, glow__record *record,
                                  const glow_model *model, glow_optimizer *optimizer) {
  glow__trainer_vectors vectors = {NULL, NULL, NULL, NULL};
  record->trainer.average = 0;
  glow__optimizer_moments(optimizer, &vectors.m, &vectors.v);
  GLOW_TRY(read_parts(file, record, model, &vectors));
  GLOW_TRY(glow_optimizer_set_step_count(optimizer, record->progress.optimizer_steps));
  GLOW_TRY(glow__rates_read(file, glow__optimizer_rates(optimizer)));
  return read_notes(file, glow__model_context(model), glow__optimizer_notes(optimizer));
}

/* Memory that the file asks for beyond its own size. Impossible sizes are left for
 * glow_trainer_create to refuse. */
static glow_status check_workspace(const glow_model *model, const glow__record *record,
                                   const glow_limits *limits) {
  glow_workspace_options o = GLOW_WORKSPACE_OPTIONS_INIT;
  uint64_t bytes = 0;
  o.batch = record->trainer.micro_batch;
  o.mode = record->trainer.mode;
  o.memory_budget = record->trainer.memory_budget;
  o.drift_bound = record->trainer.drift_bound;
  o.cache_packed = record->trainer.cache_packed;
  o.inverse_backward = record->trainer.inverse_backward;
  glow_status status = glow_workspace_plan_bytes(model, &o, &bytes);
  if (status == GLOW_E_MEMORY)
    return status;
  if (status == GLOW_OK && bytes > (uint64_t)limits->workspace_bytes)
    return glow_error(GLOW_E_LIMIT,
                      "passes of %lld samples would take %llu bytes; at most %lld may be "
                      "(workspace_bytes)",
                      (long long)o.batch, (unsigned long long)bytes,
                      (long long)limits->workspace_bytes);
  return GLOW_OK;
}

static glow_status read_checkpoint(glow_context *context, glow_tensor_file *file,
                                   const glow_limits *limits, glow_model **model,
                                   glow_trainer **trainer) {
  glow__record record;
  GLOW_TRY(read_record(context, file, &record));
  if (record.loop)
    return glow_error(GLOW_E_FORMAT, "it has no trainer, only an optimizer: call "
                                     "glow_checkpoint_load_optimizer");
  GLOW_TRY(glow__model_file_read(context, file, NULL, limits, model));
  GLOW_TRY(check_workspace(*model, &record, limits));
  GLOW_TRY(glow_trainer_create(*model, &record.trainer, trainer));
  return fill_trainer(file, &record, *model, *trainer);
}

/* *limits is complete after this. */
static glow_status open_input(glow_context *context, const glow_input *input, glow_limits *limits,
                              glow_tensor_file **file) {
  glow_input checked;
  GLOW_TRY(glow__input_copy(input, &checked, limits));
  checked.limits = limits;
  if (!(checked.flags & GLOW_INPUT_MAP))
    checked.flags |= GLOW_INPUT_LAZY; /* elements go straight to their places */
  return glow_tensor_file_open_input(context, &checked, file);
}

/* An option that the trainer refuses is a fault of the file. */
static glow_status blame(const glow_input *input, glow_status status) {
  if (input->path)
    glow__error_prefix(status, "'%s'", input->path);
  return status == GLOW_E_ARGUMENT || status == GLOW_E_NUMERIC || status == GLOW_E_SHAPE
             ? GLOW_E_FORMAT
             : status;
}

glow_status glow_checkpoint_load_input(glow_context *context, const glow_input *input,
                                       glow_model **model, glow_trainer **trainer) {
  glow_tensor_file *file = NULL;
  glow_limits limits;
  if (model)
    *model = NULL;
  if (trainer)
    *trainer = NULL;
  GLOW_LIVE(context, CONTEXT);
  if (!context || !input || !model || !trainer)
    return glow_error(GLOW_E_ARGUMENT, "glow_checkpoint_load: NULL argument");
  GLOW_TRY(open_input(context, input, &limits, &file));
  glow_status status = read_checkpoint(context, file, &limits, model, trainer);
  glow_tensor_file_close(&file);
  if (status == GLOW_OK)
    return GLOW_OK;
  glow_trainer_destroy(trainer);
  glow_model_destroy(model);
  return blame(input, status);
}

glow_status glow_checkpoint_load(glow_context *context, const char *path, glow_model **model,
                                 glow_trainer **trainer) {
  glow_input input = GLOW_INPUT_INIT;
  input.path = path;
  return glow_checkpoint_load_input(context, path ? &input : NULL, model, trainer);
}

static glow_status read_optimizer(glow_context *context, glow_tensor_file *file,
                                  const glow_limits *limits, glow_model **model,
                                  glow_optimizer **optimizer) {
  glow__record record;
  GLOW_TRY(read_record(context, file, &record));
  GLOW_TRY(glow__model_file_read(context, file, NULL, limits, model));
  GLOW_TRY(glow_optimizer_create(*model, &record.optimizer, optimizer));
  return fill_optimizer(file, &record, *model, *optimizer);
}

glow_status glow_checkpoint_load_optimizer(glow_context *context, const glow_input *input,
                                           glow_model **model, glow_optimizer **optimizer) {
  glow_tensor_file *file = NULL;
  glow_limits limits;
  if (model)
    *model = NULL;
  if (optimizer)
    *optimizer = NULL;
  GLOW_LIVE(context, CONTEXT);
  if (!context || !input || !model || !optimizer)
    return glow_error(GLOW_E_ARGUMENT, "glow_checkpoint_load_optimizer: NULL argument");
  GLOW_TRY(open_input(context, input, &limits, &file));
  glow_status status = read_optimizer(context, file, &limits, model, optimizer);
  glow_tensor_file_close(&file);
  if (status == GLOW_OK)
    return GLOW_OK;
  glow_optimizer_destroy(optimizer);
  glow_model_destroy(model);
  return blame(input, status);
}

static glow_status read_average(glow_context *context, glow_tensor_file *file,
                                const glow_limits *limits, glow_model **out) {
  glow__record record;
  GLOW_TRY(read_record(context, file, &record));
  if (!record.trainer.average || !record.progress.steps)
    return glow_error(GLOW_E_STATE, "it has no averaged parameters");
  return glow__model_file_read(context, file, "average", limits, out);
}

glow_status glow_checkpoint_load_average_input(glow_context *context, const glow_input *input,
                                               glow_model **out) {
  glow_tensor_file *file = NULL;
  glow_limits limits;
  if (out)
    *out = NULL;
  GLOW_LIVE(context, CONTEXT);
  if (!context || !input || !out)
    return glow_error(GLOW_E_ARGUMENT, "glow_checkpoint_load_average: NULL argument");
  GLOW_TRY(open_input(context, input, &limits, &file));
  glow_status status = read_average(context, file, &limits, out);
  glow_tensor_file_close(&file);
  return status == GLOW_OK ? status : blame(input, status);
}

glow_status glow_checkpoint_load_average(glow_context *context, const char *path,
                                         glow_model **out) {
  glow_input input = GLOW_INPUT_INIT;
  input.path = path;
  return glow_checkpoint_load_average_input(context, path ? &input : NULL, out);
}

const char *glow_trainer_note(const glow_trainer *trainer, const char *key) {
  GLOW_LIVE_OR(trainer, TRAINER, NULL);
  return trainer && key ? glow__notes_find(*glow__trainer_notes(trainer), key) : NULL;
}

const char *glow_optimizer_note(const glow_optimizer *optimizer, const char *key) {
  GLOW_LIVE_OR(optimizer, OPTIMIZER, NULL);
  if (!optimizer || !key)
    return NULL;
  return glow__notes_find(*glow__optimizer_notes((glow_optimizer *)(uintptr_t)optimizer), key);
}
