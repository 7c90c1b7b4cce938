/* Calls on files in memory: models, checkpoints, exports. SPDX-License-Identifier: MIT */
#include <glow/import.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <glow/sys/base.h>

#include "api.h"
#include "train/train.h"

/* ---- saving ---------------------------------------------------------------------------------- */

/* A file that grows. */
typedef struct sink {
  uint8_t *bytes;
  size_t size, room;
} sink;

static glow_status put(void *payload, const void *data, size_t bytes) {
  sink *s = payload;
  if (s->size + bytes > s->room) {
    s->room = 2 * (s->size + bytes);
    s->bytes = realloc(s->bytes, s->room);
    PROMISE(s->bytes);
  }
  memcpy(s->bytes + s->size, data, bytes);
  s->size += bytes;
  return GLOW_OK;
}

static void *result_of(const sink *s, glow_status status, size_t *size) {
  *size = status == GLOW_OK ? s->size : 0;
  if (status == GLOW_OK)
    return s->bytes;
  free(s->bytes);
  return NULL;
}

void *api_save_model(const glow_model *model, size_t *size) {
  sink s = {NULL, 0, 0};
  glow_output output = GLOW_OUTPUT_INIT;
  output.write = put;
  output.payload = &s;
  return result_of(&s, glow_model_save_output(model, &output), size);
}

void *api_save_checkpoint(const glow_trainer *trainer, size_t *size) {
  sink s = {NULL, 0, 0};
  glow_output output = GLOW_OUTPUT_INIT;
  output.write = put;
  output.payload = &s;
  return result_of(&s, glow_checkpoint_save_output(trainer, &output, NULL, 0), size);
}

/* ---- reading --------------------------------------------------------------------------------- */

/* A file that is read by a function, which may fail. */
typedef struct source {
  const uint8_t *bytes;
  size_t size;
  int32_t left; /* reads until one fails; below 0: none does */
} source;

static glow_status read_source(void *payload, int64_t offset, void *buffer, size_t bytes) {
  source *s = payload;
  PROMISE(offset >= 0 && (uint64_t)offset <= s->size && bytes <= s->size - (uint64_t)offset);
  if (s->left >= 0 && s->left-- == 0)
    return glow_error(GLOW_E_IO, "the caller's function cannot read");
  memcpy(buffer, s->bytes + offset, bytes);
  return GLOW_OK;
}

/* Where the record says the file comes from, whole or damaged. */
static const glow_input *make_input(api *a, uint8_t *file, size_t size) {
  glow_input *input = api_scratch(a, sizeof *input);
  glow_limits *limits = api_scratch(a, sizeof *limits);
  source *from = api_scratch(a, sizeof *from);
  uint8_t form = api_byte(a), place = api_byte(a), value = api_byte(a);
  *input = (glow_input)GLOW_INPUT_INIT;
  *limits = (glow_limits)GLOW_LIMITS_INIT;
  *from = (source){file, size, form == 2 ? place : -1};
  input->size = (int64_t)size;
  if (form == 1 || form == 2) {
    input->read = read_source;
    input->payload = from;
  } else {
    input->data = file;
  }
  if (form == 3)
    file[(size_t)(place * 131) % size] ^= (uint8_t)(value | 1);
  if (form == 4)
    input->size = (int64_t)(size * place / 256);
  if (form == 5) {
    limits->parameters = 1 + place;
    limits->layers = 1 + value;
    input->limits = limits;
  }
  if (form == 6)
    input->flags = value;
  if (form == 7)
    input->read = read_source; /* two sources */
  return form == 255 ? NULL : input;
}

/* ---- models ---------------------------------------------------------------------------------- */

void api_model_file(api *a) {
  api_slot *slot = api_pick(a, API_MODEL);
  glow_model *model = NULL;
  glow_output output = GLOW_OUTPUT_INIT;
  size_t size = 0, again = 0;
  if (!slot)
    return;
  uint8_t storage = api_byte(a);
  output.written = &size;
  output.storage = storage % 4 == 1 ? GLOW_TYPE_BF16 : storage % 4 == 2 ? GLOW_TYPE_F32 : 0;
  if (storage == 255)
    output.storage = GLOW_TYPE_I32;
  if (CALL(a, glow_model_save_output(slot->object, &output)) != GLOW_OK)
    return;
  uint8_t *file = output.buffer = api_scratch(a, size);
  output.capacity = size - (storage == 254);
  if (CALL(a, glow_model_save_output(slot->object, &output)) != GLOW_OK)
    return;
  const glow_input *input = make_input(a, file, size);
  bool whole = input && (input->data || input->read) && !input->limits && !input->flags &&
               input->size == (int64_t)size && a->record[3] < 2;
  glow_status status = CALL(a, glow_model_load_input(a->contexts[slot->context], input, &model));
  if (status == GLOW_OK && whole && storage % 4 != 1) {
    const int32_t fail_at = a->memory.fail_at, calls = a->memory.calls; /* not in this look */
    a->memory.fail_at = 0;
    void *copy = api_save_model(model, &again);
    a->memory.fail_at = fail_at;
    a->memory.calls = calls;
    PROMISE(copy && again == size && memcmp(copy, file, size) == 0);
    free(copy);
  }
  api_keep(a, API_MODEL, status, model, slot->context, -1);
}

/* What renames: "" now and then, and now and then the name of another tensor, or a failure. */
typedef struct renaming {
  uint8_t form, every;
  int32_t calls;
} renaming;

static glow_status rename_tensor(const char *name, char *out, size_t size, void *payload) {
  renaming *r = payload;
  PROMISE(*name && size > strlen(name));
  if (r->form == 1 && r->calls++ == r->every)
    return glow_error(GLOW_E_CANCELLED, "the caller's function gives up");
  if (r->form == 2 && r->calls++ % (1 + r->every) == 0)
    return GLOW_OK;
  if (r->form == 3)
    memset(out, 'x', size - (r->every & 1)); /* no such tensor, or no end */
  else
    snprintf(out, size, "%s", name);
  return GLOW_OK;
}

static void see_note(int32_t what, const char *name, void *payload) {
  glow_fill_report *seen = payload;
  PROMISE(*name);
  seen->missing += what == GLOW_TENSOR_MISSING;
  seen->unused += what == GLOW_TENSOR_UNUSED;
  seen->left += what == GLOW_TENSOR_LEFT;
}

/* One model filled from the file of another, or of itself. */
void api_model_fill(api *a) {
  api_slot *from = api_pick(a, API_MODEL), *to = api_pick(a, API_MODEL);
  glow_fill_report report = GLOW_FILL_REPORT_INIT, seen = GLOW_FILL_REPORT_INIT;
  glow_fill_options o = GLOW_FILL_OPTIONS_INIT;
  size_t size = 0;
  if (!from || !to)
    return;
  uint8_t form = api_byte(a);
  renaming r = {form % 4, api_byte(a), 0};
  void *saved = api_save_model(from->object, &size);
  if (!saved)
    return;
  uint8_t *file = api_scratch(a, size);
  memcpy(file, saved, size);
  free(saved);
  o.partial = form / 4 % 3;
  o.rename = form ? rename_tensor : NULL;
  o.rename_payload = &r;
  o.note = see_note;
  o.note_payload = &seen;
  const glow_input *input = make_input(a, file, size);
  int32_t tensors = glow_model_tensor_count(to->object);
  glow_status status =
      CALL(a, glow_model_fill(api_object(a, to), input, form == 255 ? NULL : &o, &report));
  if (status != GLOW_OK)
    return;
  PROMISE(report.filled + report.missing + report.left == tensors);
  PROMISE(form == 255 || (report.missing == seen.missing && report.left == seen.left &&
                          report.unused == seen.unused));
  PROMISE(report.filled < tensors || glow_model_initialised(to->object));
}

/* ---- checkpoints ----------------------------------------------------------------------------- */

void api_checkpoint(api *a) {
  static const char *const notes[] = {"epoch", "3", "epoch", "4", "", "empty", NULL, "\xff"};
  api_slot *slot = api_pick(a, API_TRAINER);
  glow_model *model = NULL;
  glow_trainer *trainer = NULL;
  glow_output output = GLOW_OUTPUT_INIT;
  size_t size = 0;
  if (!slot)
    return;
  uint8_t form = api_byte(a);
  const char *const *pairs = notes + form % 4 * 2;
  int64_t count = form < 200 ? 1 : form < 250 ? 2 : form - 253;
  output.written = &size;
  if (form % 4 == 3)
    count = count > 1 ? 1 : count;
  if (CALL(a, glow_checkpoint_save_output(slot->object, &output, pairs, count)) != GLOW_OK)
    return;
  uint8_t *file = output.buffer = api_scratch(a, size);
  output.capacity = size;
  if (CALL(a, glow_checkpoint_save_output(slot->object, &output, pairs, count)) != GLOW_OK)
    return;
  const glow_input *input = make_input(a, file, size);
  int32_t context = slot->context;
  if (form % 8 == 5) {
    glow_status status =
        CALL(a, glow_checkpoint_load_average_input(a->contexts[context], input, &model));
    api_keep(a, API_MODEL, status, model, context, -1);
    return;
  }
  glow_status status =
      CALL(a, glow_checkpoint_load_input(a->contexts[context], input, &model, &trainer));
  PROMISE((trainer != NULL) == (model != NULL));
  api_keep(a, API_MODEL, status, model, context, -1);
  for (int32_t i = 0; i < SLOTS && model; i++)
    if (a->slots[API_MODEL][i].object == model)
      api_keep(a, API_TRAINER, status, trainer, context, i);
}

/* What was written makes an optimizer with the same steps and state. */
static void check_optimizer(const glow_optimizer *one, const glow_optimizer *other,
                            const glow_model *model) {
  size_t bytes = (size_t)glow_model_parameter_count(model) * sizeof(float);
  float *m[2], *v[2];
  glow__optimizer_moments(one, &m[0], &v[0]);
  glow__optimizer_moments(other, &m[1], &v[1]);
  PROMISE(glow_optimizer_step_count(one) == glow_optimizer_step_count(other));
  PROMISE(!bytes || memcmp(m[0], m[1], bytes) == 0);
  PROMISE(!v[0] == !v[1] && (!v[0] || !bytes || memcmp(v[0], v[1], bytes) == 0));
}

void api_optimizer_file(api *a) {
  static const char *const notes[] = {"epoch", "3"};
  api_slot *slot = api_pick(a, API_OPTIMIZER);
  glow_model *model = NULL;
  glow_optimizer *optimizer = NULL;
  glow_output output = GLOW_OUTPUT_INIT;
  size_t size = 0;
  if (!slot)
    return;
  output.written = &size;
  if (CALL(a, glow_checkpoint_save_optimizer(slot->object, &output, notes, 1)) != GLOW_OK)
    return;
  uint8_t *file = output.buffer = api_scratch(a, size);
  output.capacity = size;
  if (CALL(a, glow_checkpoint_save_optimizer(slot->object, &output, notes, 1)) != GLOW_OK)
    return;
  int32_t context = slot->context;
  const glow_input *input = make_input(a, file, size);
  glow_status status =
      CALL(a, glow_checkpoint_load_optimizer(a->contexts[context], input, &model, &optimizer));
  PROMISE((optimizer != NULL) == (model != NULL));
  if (optimizer && a->record[2] < 2) /* it is whole */
    check_optimizer(slot->object, optimizer, model);
  api_keep(a, API_MODEL, status, model, context, -1);
  for (int32_t i = 0; i < SLOTS && model; i++)
    if (a->slots[API_MODEL][i].object == model)
      api_keep(a, API_OPTIMIZER, status, optimizer, context, i);
}

/* ---- other projects -------------------------------------------------------------------------- */

void api_export(api *a) {
  api_slot *slot = api_pick(a, API_MODEL);
  glow_output output = GLOW_OUTPUT_INIT;
  glow_import_options o = GLOW_IMPORT_OPTIONS_INIT;
  glow_model *model = NULL;
  glow_shape shape = {0, 0, 0};
  size_t size = 0;
  if (!slot)
    return;
  uint8_t form = api_byte(a);
  int32_t format = form > 240 ? form : GLOW_FORMAT_Y0AST;
  output.written = &size;
  if (CALL(a, glow_model_export(slot->object, format, &output)) != GLOW_OK)
    return;
  uint8_t *file = output.buffer = api_scratch(a, size);
  output.capacity = size;
  if (CALL(a, glow_model_export(slot->object, format, &output)) != GLOW_OK)
    return;
  const glow_input *input = make_input(a, file, size);
  PROMISE(glow_model_input_shape(slot->object, &shape) == GLOW_OK);
  o.height = form % 4 ? shape.height : 0;
  o.width = form % 8 < 6 ? shape.width : 3;
  o.bits = form % 32 == 31 ? -1 : 8;
  o.ignore_unknown = form & 1;
  glow_status status = CALL(a, glow_model_import(a->contexts[slot->context], input, &o, &model));
  api_keep(a, API_MODEL, status, model, slot->context, -1);
}
