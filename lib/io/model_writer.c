/* Writing model files: the trainable tensors first, in the order of the flat vector of parameters,
 * so that they are one aligned run of the file; then the fixed state; then what a checkpoint adds.
 * The architecture is in the metadata. Format: docs/format.md. SPDX-License-Identifier: MIT */
#include <stdio.h>
#include <string.h>

#include "host/host.h"
#include "io/io.h"

enum {
  OWN_PAIRS = 3,
  PIECE = 1 << 18, /* elements checked and written at a time, while they are in the cache */
  BLOCK = 1 << 14  /* elements rounded to bfloat16 at a time */
};

/* Everything that goes into one file, with the memory for it. */
typedef struct plan {
  const glow_model *model;
  const glow__model_extras *extras;
  glow_output output;
  char *architecture;
  const char **metadata;
  glow_file_tensor *tensors; /* trainable, fixed, extra */
  int64_t trainable, own, count;
  glow__preamble preamble;
} plan;

/* ---- what is to be written ------------------------------------------------------------------- */

static glow_status list_tensors(plan *p, bool trainable) {
  for (int32_t i = 0; i < glow_model_tensor_count(p->model); i++) {
    glow_tensor_info info = GLOW_TENSOR_INFO_INIT;
    GLOW_TRY(glow_model_tensor(p->model, i, &info));
    if ((info.trainable != 0) != trainable)
      continue;
    bool half = trainable && p->output.storage == GLOW_TYPE_BF16;
    glow_file_tensor *tensor = &p->tensors[p->own++];
    *tensor = (glow_file_tensor)GLOW_FILE_TENSOR_INIT;
    tensor->name = info.name;
    tensor->type = info.type == GLOW_TYPE_I32 ? GLOW_TYPE_I32 : GLOW_TYPE_F32;
    tensor->type = half ? GLOW_TYPE_BF16 : tensor->type;
    tensor->rank = info.rank;
    memcpy(tensor->dims, info.dims, (size_t)info.rank * sizeof *info.dims);
    tensor->bytes = info.elements * glow__type_size(tensor->type);
    tensor->data = trainable ? (const void *)(p->extras->parameters + info.offset)
                             : glow__model_tensor_data(p->model, i);
  }
  return GLOW_OK;
}

static glow_status list_all(plan *p) {
  GLOW_TRY(list_tensors(p, true));
  p->trainable = p->own;
  GLOW_TRY(list_tensors(p, false));
  if (p->extras->count)
    memcpy(p->tensors + p->own, p->extras->tensors, (size_t)p->extras->count * sizeof *p->tensors);
  p->count = p->own + p->extras->count;
  return GLOW_OK;
}

static glow_status make_plan(plan *p) {
  glow_context *context = glow__model_context(p->model);
  const glow__model_extras *extras = p->extras;
  char version[24];
  snprintf(version, sizeof version, "%d.%d", GLOW_FORMAT_MAJOR, GLOW_FORMAT_MINOR);
  GLOW_TRY(glow__architecture_write(p->model, &p->architecture));
  size_t most = (size_t)(glow_model_tensor_count(p->model) + extras->count) + 1;
  p->tensors = glow_allocate(context, most * sizeof *p->tensors);
  if (!p->tensors)
    return GLOW_E_MEMORY;
  p->metadata =
      glow_allocate(context, 2 * (size_t)(OWN_PAIRS + extras->pairs) * sizeof *p->metadata);
  if (!p->metadata)
    return GLOW_E_MEMORY;
  const char *own[2 * OWN_PAIRS] = {"glow.format_version", version,      "glow.library",
                                    glow_version(),        "glow.model", p->architecture};
  memcpy(p->metadata, own, sizeof own);
  if (extras->pairs)
    memcpy(p->metadata + 2 * OWN_PAIRS, extras->metadata,
           2 * (size_t)extras->pairs * sizeof *p->metadata);
  GLOW_TRY(list_all(p));
  return glow__preamble_make(context, p->tensors, p->count, p->metadata, OWN_PAIRS + extras->pairs,
                             &p->preamble);
}

/* ---- writing it ------------------------------------------------------------------------------ */

/* What a reader would refuse is refused here. element: of the flat vector. */
static glow_status refuse(const plan *p, int64_t element) {
  const float value = p->extras->parameters[element];
  int64_t i = 0;
  while (element >= p->tensors[i].bytes / glow__type_size(p->tensors[i].type))
    element -= p->tensors[i].bytes / glow__type_size(p->tensors[i].type), i++;
  return glow_error(GLOW_E_NUMERIC, "tensor '%s': element %lld, %g, is not finite%s",
                    p->tensors[i].name, (long long)element, (double)value,
                    p->output.storage == GLOW_TYPE_BF16 ? " in bfloat16" : "");
}

static glow_status write_floats(const plan *p, glow__sink *sink) {
  const int64_t count = glow_model_parameter_count(p->model);
  for (int64_t at = 0; at < count; at += PIECE) {
    int64_t here = count - at < PIECE ? count - at : PIECE;
    int64_t bad = glow__first_nonfinite(p->extras->parameters + at, here);
    if (bad >= 0)
      return refuse(p, at + bad);
    GLOW_TRY(glow__sink_write(sink, p->extras->parameters + at, here * 4));
  }
  return GLOW_OK;
}

static glow_status write_bfloats(const plan *p, glow__sink *sink) {
  const int64_t count = glow_model_parameter_count(p->model);
  uint16_t block[BLOCK];
  for (int64_t at = 0; at < count; at += BLOCK) {
    int64_t here = count - at < BLOCK ? count - at : BLOCK;
    int64_t bad = glow__to_bfloat16(p->extras->parameters + at, block, here);
    if (bad >= 0)
      return refuse(p, at + bad);
    GLOW_TRY(glow__sink_write(sink, block, here * 2));
  }
  return GLOW_OK;
}

static glow_status model_writer_write_all(const plan *p, glow__sink *sink) {
  GLOW_TRY(glow__sink_write(sink, p->preamble.bytes, p->preamble.size));
  GLOW_TRY(p->output.storage == GLOW_TYPE_BF16 ? write_bfloats(p, sink) : write_floats(p, sink));
  for (int64_t i = p->trainable; i < p->count; i++) {
    const glow_file_tensor *t = &p->tensors[i];
    if (t->type == GLOW_TYPE_F32) {
      glow_status status = glow__tensor_check_finite(t->name, t->data, t->bytes / 4);
      if (status != GLOW_OK)
        return GLOW_E_NUMERIC;
    }
    GLOW_TRY(glow__sink_write(sink, t->data, t->bytes));
  }
  return GLOW_OK;
}

static glow_status write_plan(const plan *p) {
  glow__sink sink;
  GLOW_TRY(glow__sink_open(glow__model_context(p->model), &p->output,
                           p->preamble.size + p->preamble.data_bytes, &sink));
  glow_status status =
      glow__output_wants_bytes(&p->output) ? model_writer_write_all(p, &sink) : GLOW_OK;
  if (status == GLOW_OK)
    return glow__sink_commit(&sink);
  glow__sink_abandon(&sink);
  return status;
}

glow_status glow__model_file_write(const glow_model *model, const glow_output *output,
                                   const glow__model_extras *extras) {
  const glow__model_extras none = {glow_model_parameters(model), NULL, 0, NULL, 0};
  glow_context *context = glow__model_context(model);
  plan p = {.model = model, .extras = extras ? extras : &none};
  GLOW_TRY(glow__output_copy(output, &p.output));
  glow_status status = make_plan(&p);
  if (status == GLOW_OK)
    status = write_plan(&p);
  glow_release(context, p.preamble.bytes);
  glow_release(context, p.metadata);
  glow_release(context, p.tensors);
  glow_release(context, p.architecture);
  return status;
}

glow_status glow_model_save_output(const glow_model *model, const glow_output *output) {
  if (!model || !output)
    return glow_error(GLOW_E_ARGUMENT, "glow_model_save: NULL argument");
  return glow__model_file_write(model, output, NULL);
}

glow_status glow_model_save(const glow_model *model, const char *path) {
  glow_output output = GLOW_OUTPUT_INIT;
  output.path = path;
  return glow_model_save_output(model, path ? &output : NULL);
}
