/* Reading model files. The file is compared with the architecture layer by layer as that is built,
 * before memory for parameters is taken. Then the elements are read to their places, in runs for as
 * long as file and model have them in the same order, or stay where they are in a mapped file.
 * Format: docs/format.md. SPDX-License-Identifier: MIT */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "host/host.h"
#include "io/checkpoint.h"

enum { BLOCK = 1 << 13 }; /* bfloat16 elements that are read at a time */

typedef struct reading {
  glow_context *context;
  glow_tensor_file *file;
  const char *part; /* part that the trainable tensors are read from, or NULL */
  const glow_limits *limits;
  const char
      *parts[GLOW_CHECKPOINT_PARTS]; /* parts that each trainable tensor has besides itself */
  int32_t part_count;
  unsigned char *known; /* for each tensor of the file: the architecture has it */
  int32_t checked;      /* tensors of the model that were checked so far */
  bool suspect;         /* something that was read is not finite, if it is a float */
  bool reading_failed;
  bool measures; /* only to know what it would take: */
  uint64_t model_bytes, workspace_bytes;
} reading;

/* ---- version --------------------------------------------------------------------------------- */

/* "1" (1.0) or "1.2": a minor version adds only what an older reader understands, or refuses by
 * itself. */
static glow_status check_version(const glow_tensor_file *file) {
  const char *text = glow_tensor_file_metadata(file, "glow.format_version");
  if (!text || !glow_tensor_file_metadata(file, "glow.model"))
    return glow_error(GLOW_E_FORMAT, "it is a safetensors file, but holds no libglow model");
  const char *digits = "0123456789";
  size_t major = strspn(text, digits);
  size_t minor = text[major] == '.' ? strspn(text + major + 1, digits) : 0;
  size_t length = major + (minor ? minor + 1 : 0);
  if (!major || major > 9 || text[length])
    return glow_error(GLOW_E_FORMAT, "format version '%.20s' is not a number", text);
  long number = strtol(text, NULL, 10);
  if (number < 1)
    return glow_error(GLOW_E_FORMAT, "format version '%.20s' does not exist", text);
  if (number > GLOW_FORMAT_MAJOR)
    return glow_error(GLOW_E_FORMAT, "format version %.20s is newer than this library reads (%d.x)",
                      text, GLOW_FORMAT_MAJOR);
  return GLOW_OK;
}

/* ---- comparing file and architecture --------------------------------------------------------- */

static glow_status find_parts(reading *r) {
  const char *text = glow_tensor_file_metadata(r->file, GLOW_CHECKPOINT_KEY);
  glow__record record;
  if (!text)
    return GLOW_OK;
  glow_status status = glow__record_read(r->context, text, &record);
  if (status != GLOW_OK)
    return glow__error_prefix(status, "checkpoint");
  r->part_count = glow__record_parts(&record, r->parts);
  return GLOW_OK;
}

/* part NULL: the tensor itself. */
static glow_status find_entry(const reading *r, const char *name, const char *part,
                              const glow__entry **out) {
  char whole[GLOW_IO_MAX_NAME + 16];
  if (part) {
    snprintf(whole, sizeof whole, "%s/%s", name, part);
    name = whole;
  }
  int64_t index = glow_tensor_file_index(r->file, name);
  if (index < 0)
    return glow_error(GLOW_E_FORMAT, "the file has no tensor '%s'", name);
  *out = glow__tensor_file_entry(r->file, index);
  return GLOW_OK;
}

static glow_status compare(reading *r, const glow_tensor_info *info, const char *part) {
  const glow__entry *e = NULL;
  GLOW_TRY(find_entry(r, info->name, part, &e));
  bool same = e->rank == info->rank;
  for (int32_t i = 0; same && i < info->rank; i++)
    same = e->dims[i] == info->dims[i];
  if (info->type == GLOW_TYPE_I32)
    same &= e->type == GLOW_TYPE_I32;
  else
    same &= e->type == GLOW_TYPE_F32 || (e->type == GLOW_TYPE_BF16 && !part);
  if (!same)
    return glow_error(GLOW_E_FORMAT,
                      "tensor '%s' has another type or shape than in the architecture", e->name);
  r->known[e->number] = 1;
  return GLOW_OK;
}

/* The tensors of the layer that was added last. */
static glow_status model_reader_check_layer(const glow_model *model, void *arg) {
  reading *r = arg;
  for (; r->checked < glow_model_tensor_count(model); r->checked++) {
    glow_tensor_info info = GLOW_TENSOR_INFO_INIT;
    GLOW_TRY(glow_model_tensor(model, r->checked, &info));
    GLOW_TRY(compare(r, &info, NULL));
    for (int32_t k = 0; info.trainable && k < r->part_count; k++)
      GLOW_TRY(compare(r, &info, r->parts[k]));
  }
  if (glow_model_parameter_count(model) > r->limits->parameters)
    return glow_error(GLOW_E_LIMIT,
                      "%lld parameters up to layer '%s'; at most %lld are read (parameters)",
                      (long long)glow_model_parameter_count(model),
                      glow_model_layer_name(model, glow_model_layer_count(model) - 1),
                      (long long)r->limits->parameters);
  return GLOW_OK;
}

static glow_status refuse_surplus(const reading *r) {
  for (int64_t i = 0; i < glow_tensor_file_tensor_count(r->file); i++)
    if (!r->known[i])
      return glow_error(GLOW_E_FORMAT, "tensor '%.200s' is not part of the architecture",
                        glow__tensor_file_entry(r->file, i)->name);
  return GLOW_OK;
}

/* ---- elements-------------------------------------------------------------------------------- */

static glow_status model_reader_entry_of(const reading *r, const glow_model *model, int32_t tensor,
                                         glow_tensor_info *info, const glow__entry **e) {
  *info = (glow_tensor_info)GLOW_TENSOR_INFO_INIT;
  GLOW_TRY(glow_model_tensor(model, tensor, info));
  return find_entry(r, info->name, info->trainable ? r->part : NULL, e);
}

/* Elements of 4 bytes, floats and integers, that follow each other in the file and in memory. */
typedef struct run {
  int64_t begin, bytes;
  unsigned char *to;
} run;

static glow_status read_run(reading *r, run *pending) {
  for (int64_t at = 0; at < pending->bytes; at += GLOW_PIECE) {
    int64_t here = pending->bytes - at < GLOW_PIECE ? pending->bytes - at : GLOW_PIECE;
    glow__populate(pending->to + at, (size_t)here);
    GLOW_TRY(glow__tensor_file_copy(r->file, pending->begin + at, pending->to + at, here,
                                    sizeof(float)));
    r->suspect |= glow__first_nonfinite(pending->to + at, here / 4) >= 0;
  }
  pending->bytes = 0;
  return GLOW_OK;
}

static glow_status read_bfloats(reading *r, const glow__entry *e, float *to) {
  uint16_t block[BLOCK];
  if (2 * e->bytes >= GLOW_PIECE)
    glow__populate(to, 2 * (size_t)e->bytes);
  for (int64_t at = 0; at < e->bytes / 2; at += BLOCK) {
    int64_t here = e->bytes / 2 - at < BLOCK ? e->bytes / 2 - at : BLOCK;
    GLOW_TRY(glow__tensor_file_copy(r->file, e->begin + 2 * at, block, 2 * here, sizeof *block));
    glow__from_bfloat16(block, to + at, here);
    r->suspect |= glow__first_nonfinite(to + at, here) >= 0;
  }
  return GLOW_OK;
}

static glow_status read_numbers(reading *r, glow_model *model, bool trainable) {
  run pending = {.bytes = 0};
  for (int32_t i = 0; i < glow_model_tensor_count(model); i++) {
    glow_tensor_info info;
    const glow__entry *e = NULL;
    GLOW_TRY(model_reader_entry_of(r, model, i, &info, &e));
    unsigned char *to = glow__model_tensor_data(model, i);
    if ((info.trainable != 0) != trainable)
      continue;
    if (info.type == GLOW_TYPE_F32 && e->type == GLOW_TYPE_BF16) {
      GLOW_TRY(read_bfloats(r, e, (float *)(void *)to));
      continue;
    }
    if (!pending.bytes || e->begin != pending.begin + pending.bytes ||
        to != pending.to + pending.bytes) {
      GLOW_TRY(read_run(r, &pending));
      pending = (run){e->begin, 0, to};
    }
    pending.bytes += e->bytes;
  }
  return read_run(r, &pending);
}

static glow_status check_numbers(const reading *r, const glow_model *model) {
  for (int32_t i = 0; i < glow_model_tensor_count(model); i++) {
    glow_tensor_info info;
    const glow__entry *e = NULL;
    GLOW_TRY(model_reader_entry_of(r, model, i, &info, &e));
    if (info.type == GLOW_TYPE_F32)
      GLOW_TRY(
          glow__tensor_check_finite(e->name, glow__model_tensor_data(model, i), info.elements));
  }
  return GLOW_OK;
}

static glow_status read_tensors(glow_model *model, void *arg) {
  reading *r = arg;
  r->reading_failed = true;
  if (glow__model_adopted(model))
    r->suspect = true; /* they stay where they are, unchecked */
  else
    GLOW_TRY(read_numbers(r, model, true));
  GLOW_TRY(read_numbers(r, model, false));
  if (r->suspect)
    GLOW_TRY(check_numbers(r, model));
  r->reading_failed = false;
  return GLOW_OK;
}

/* The parameters in the mapped file, if they are stored there like the flat vector; otherwise NULL.
 * */
static float *mapped_parameters(const reading *r, const glow_model *model) {
  unsigned char *data = glow__tensor_file_mapped(r->file), *first = NULL;
  for (int32_t i = 0; data && i < glow_model_tensor_count(model); i++) {
    glow_tensor_info info;
    const glow__entry *e = NULL;
    if (model_reader_entry_of(r, model, i, &info, &e) != GLOW_OK)
      return NULL;
    if (!info.trainable)
      continue;
    first = info.offset == 0 ? data + e->begin : first;
    if (e->type != GLOW_TYPE_F32 || data + e->begin != first + 4 * info.offset)
      return NULL;
  }
  return (uintptr_t)first % GLOW_ALIGN == 0 ? (float *)(void *)first : NULL;
}

/* ---- time and memory ------------------------------------------------------------------------- */

/* Before they are taken. That the layers end without a prior shows here, too. */
static glow_status check_costs(reading *r, const glow_builder *builder) {
  glow_status status = glow__limits_check_model(r->limits, builder);
  if (status == GLOW_OK && r->measures)
    status = glow__builder_bytes(builder, &r->model_bytes, &r->workspace_bytes);
  return status == GLOW_E_SHAPE ? GLOW_E_FORMAT : status;
}

/* ---- the whole ------------------------------------------------------------------------------- */

static glow_status model_reader_finish(reading *r, glow_builder **builder, glow_model **out) {
  float *mapped = mapped_parameters(r, glow__builder_model(*builder));
  glow_status status = glow__builder_finish_at(builder, read_tensors, r, mapped, out);
  if (status != GLOW_OK) /* whatever is wrong, the file is at fault */
    return r->reading_failed || status == GLOW_E_MEMORY ? status : GLOW_E_FORMAT;
  if (mapped) {
    void *memory;
    int64_t bytes;
    glow__tensor_file_give_mapping(r->file, &memory, &bytes);
    glow__model_adopt(*out, memory, bytes, glow__unmap);
  }
  return GLOW_OK;
}

static glow_status read_known(reading *r, glow_model **out) {
  glow_builder *builder = NULL;
  bool initialised = false;
  const char *text = glow_tensor_file_metadata(r->file, "glow.model");
  glow_status status = glow__architecture_read(r->context, text, r->limits->layers,
                                               model_reader_check_layer, r, &builder, &initialised);
  if (status != GLOW_OK)
    return glow__error_prefix(status, "architecture");
  status = refuse_surplus(r);
  if (status == GLOW_OK)
    status = check_costs(r, builder);
  if (status != GLOW_OK || r->measures) {
    glow_builder_destroy(&builder);
    return status;
  }
  GLOW_TRY(model_reader_finish(r, &builder, out));
  status = glow__model_metadata_read(r->file, *out);
  if (status == GLOW_OK && initialised)
    status = glow_model_set_initialised(*out);
  if (status != GLOW_OK)
    glow_model_destroy(out);
  return status;
}

static glow_status read_file(reading *r, glow_model **out) {
  GLOW_TRY(check_version(r->file));
  GLOW_TRY(glow__model_metadata_check(r->file, r->limits->metadata_bytes));
  GLOW_TRY(find_parts(r));
  r->known = glow_allocate(r->context, (size_t)glow_tensor_file_tensor_count(r->file) + 1);
  if (!r->known)
    return GLOW_E_MEMORY;
  glow_status status = read_known(r, out);
  glow_release(r->context, r->known);
  return status;
}

glow_status glow__model_file_read(glow_context *context, glow_tensor_file *file, const char *part,
                                  const glow_limits *limits, glow_model **out) {
  glow_limits defaults;
  reading r = {.context = context, .file = file, .part = part, .limits = limits};
  if (!limits) {
    GLOW_TRY(glow__limits_copy(NULL, &defaults));
    r.limits = &defaults;
  }
  return read_file(&r, out);
}

/* r->context is set, and r->measures. */
static glow_status read_input(reading *r, const glow_input *input, glow_model **out) {
  glow_input in;
  glow_limits limits;
  GLOW_TRY(glow__input_copy(input, &in, &limits));
  if (in.flags & GLOW_INPUT_LAZY)
    return glow_error(GLOW_E_ARGUMENT, "glow_input: GLOW_INPUT_LAZY is for tensor files");
  if (r->measures || !(in.flags & GLOW_INPUT_MAP) || GLOW_BIG_ENDIAN)
    in.flags = GLOW_INPUT_LAZY; /* elements go straight to their places */
  GLOW_TRY(glow_tensor_file_open_input(r->context, &in, &r->file));
  r->limits = &limits;
  glow_status status = read_file(r, out);
  if (status != GLOW_OK)
    glow__tensor_file_blame(r->file, status);
  glow_tensor_file_close(&r->file);
  return status;
}

glow_status glow_model_load_input(glow_context *context, const glow_input *input,
                                  glow_model **out) {
  reading r = {.context = context};
  if (out)
    *out = NULL;
  GLOW_LIVE(context, CONTEXT);
  if (!context || !input || !out)
    return glow_error(GLOW_E_ARGUMENT, "glow_model_load: NULL argument");
  return read_input(&r, input, out);
}

glow_status glow_model_load_bytes(glow_context *context, const glow_input *input,
                                  uint64_t *model_bytes, uint64_t *workspace_bytes) {
  GLOW_LIVE(context, CONTEXT);
  reading r = {.context = context, .measures = true};
  glow_model *none = NULL;
  if (model_bytes)
    *model_bytes = 0;
  if (workspace_bytes)
    *workspace_bytes = 0;
  if (!context || !input)
    return glow_error(GLOW_E_ARGUMENT, "glow_model_load_bytes: NULL argument");
  GLOW_TRY(read_input(&r, input, &none));
  if (model_bytes)
    *model_bytes = r.model_bytes;
  if (workspace_bytes)
    *workspace_bytes = r.workspace_bytes;
  return GLOW_OK;
}

glow_status glow_model_load(glow_context *context, const char *path, glow_model **out) {
  glow_input input = GLOW_INPUT_INIT;
  input.path = path;
  return glow_model_load_input(context, path ? &input : NULL, out);
}

int32_t glow_model_mapped(const glow_model *model) {
  GLOW_LIVE_OR(model, MODEL, 0);
  return model && glow__model_adopted(model);
}
