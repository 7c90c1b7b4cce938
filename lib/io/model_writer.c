/* Writing model files: the trainable tensors first, in the order of the flat vector of parameters,
 * so that they are one aligned run of the file; then the fixed state; then what a checkpoint adds;
 * then, where weights are rounded to bfloat16, these, so that all float32 stay aligned to their
 * size. The architecture is in the metadata. Format: docs/format.md.
 * SPDX-License-Identifier: MIT */
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
  char *keys; /* of the model's own metadata */
  const char **metadata;
  glow_file_tensor *tensors; /* parameters, fixed, extra, rounded */
  int64_t parameters, count; /* parameters: float32 that are trainable */
  glow__preamble preamble;
} plan;

/* ---- what is to be written ------------------------------------------------------------------- */

enum { PARAMETERS, FIXED, ROUNDED };

static int model_writer_part_of(const plan *p, const glow_tensor_info *info) {
  if (!info->trainable)
    return FIXED;
  return info->weights && p->output.storage == GLOW_TYPE_BF16 ? ROUNDED : PARAMETERS;
}

static glow_status list_tensors(plan *p, int part) {
  for (int32_t i = 0; i < glow_model_tensor_count(p->model); i++) {
    glow_tensor_info info = GLOW_TENSOR_INFO_INIT;
    GLOW_TRY(glow_model_tensor(p->model, i, &info));
    if (model_writer_part_of(p, &info) != part)
      continue;
    glow_file_tensor *tensor = &p->tensors[p->count++];
    *tensor = (glow_file_tensor)GLOW_FILE_TENSOR_INIT;
    tensor->name = info.name;
    tensor->type = part == ROUNDED ? GLOW_TYPE_BF16 : info.type;
    tensor->rank = info.rank;
    memcpy(tensor->dims, info.dims, (size_t)info.rank * sizeof *info.dims);
    tensor->bytes = info.elements * glow__type_size(tensor->type);
    tensor->data = info.trainable ? (const void *)(p->extras->parameters + info.offset)
                                  : glow__model_tensor_data(p->model, i);
  }
  return GLOW_OK;
}

static glow_status list_all(plan *p) {
  GLOW_TRY(list_tensors(p, PARAMETERS));
  p->parameters = p->count;
  GLOW_TRY(list_tensors(p, FIXED));
  if (p->extras->count)
    memcpy(p->tensors + p->count, p->extras->tensors,
           (size_t)p->extras->count * sizeof *p->tensors);
  p->count += p->extras->count;
  return list_tensors(p, ROUNDED);
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
  const int64_t said = glow_model_metadata_count(p->model), pairs = OWN_PAIRS + said;
  p->metadata = glow_allocate(context, 2 * (size_t)(pairs + extras->pairs) * sizeof *p->metadata);
  if (!p->metadata)
    return GLOW_E_MEMORY;
  const char *own[2 * OWN_PAIRS] = {"glow.format_version", version,      "glow.library",
                                    glow_version(),        "glow.model", p->architecture};
  memcpy(p->metadata, own, sizeof own);
  GLOW_TRY(glow__model_metadata_list(p->model, p->metadata + 2 * OWN_PAIRS, &p->keys));
  if (extras->pairs)
    memcpy(p->metadata + 2 * pairs, extras->metadata,
           2 * (size_t)extras->pairs * sizeof *p->metadata);
  GLOW_TRY(list_all(p));
  return glow__preamble_make(context, p->tensors, p->count, p->metadata, pairs + extras->pairs,
                             &p->preamble);
}

/* ---- writing it ------------------------------------------------------------------------------ */

/* What a reader would refuse is refused here: before a file is touched, */
glow_status glow__model_check_saves(const glow_model *model, const float *parameters) {
  glow_status status = glow__model_check_prepares(model, parameters);
  return status == GLOW_OK || status == GLOW_E_MEMORY
             ? status
             : glow__error_prefix(status, "the model could not be loaded again, and is not saved");
}

/* and while it is written. */
static glow_status refuse(const glow_file_tensor *t, int64_t element) {
  const float *values = t->data;
  return glow_error(GLOW_E_NUMERIC, "tensor '%s': element %lld, %g, is not finite%s", t->name,
                    (long long)element, (double)values[element],
                    t->type == GLOW_TYPE_BF16 ? " in bfloat16" : "");
}

/* Tensors [first, last) of float32, which follow each other in memory as in the file. */
static glow_status write_floats(const plan *p, int64_t first, int64_t last, glow__sink *sink) {
  const glow_file_tensor *t = p->tensors + first;
  int64_t count = 0;
  for (int64_t i = first; i < last; i++)
    count += p->tensors[i].bytes / 4;
  const float *data = count ? t->data : NULL;
  for (int64_t at = 0; at < count; at += PIECE) {
    int64_t here = count - at < PIECE ? count - at : PIECE;
    int64_t bad = glow__first_nonfinite(data + at, here);
    if (bad >= 0) {
      for (bad += at; bad >= t->bytes / 4; t++)
        bad -= t->bytes / 4;
      return refuse(t, bad);
    }
    GLOW_TRY(glow__sink_elements(sink, data + at, here * 4, sizeof *data));
  }
  return GLOW_OK;
}

/* Where weights are left out, the others are in pieces. */
static glow_status write_parameters(const plan *p, glow__sink *sink) {
  for (int64_t i = 0, next = 0; i < p->parameters; i = next) {
    const char *end = p->tensors[i].data;
    for (next = i; next < p->parameters && p->tensors[next].data == (const void *)end; next++)
      end += p->tensors[next].bytes;
    GLOW_TRY(write_floats(p, i, next, sink));
  }
  return GLOW_OK;
}

static glow_status write_rounded(const glow_file_tensor *t, glow__sink *sink) {
  const float *data = t->data;
  const int64_t count = t->bytes / 2;
  uint16_t block[BLOCK];
  for (int64_t at = 0; at < count; at += BLOCK) {
    int64_t here = count - at < BLOCK ? count - at : BLOCK;
    int64_t bad = glow__to_bfloat16(data + at, block, here);
    if (bad >= 0)
      return refuse(t, at + bad);
    GLOW_TRY(glow__sink_elements(sink, block, here * 2, sizeof *block));
  }
  return GLOW_OK;
}

static glow_status write_other(const glow_file_tensor *t, glow__sink *sink) {
  if (t->type == GLOW_TYPE_BF16)
    return write_rounded(t, sink);
  if (t->type == GLOW_TYPE_F32 && glow__tensor_check_finite(t->name, t->data, t->bytes / 4))
    return GLOW_E_NUMERIC;
  return glow__sink_elements(sink, t->data, t->bytes, glow__type_size(t->type));
}

static glow_status model_writer_write_all(const plan *p, glow__sink *sink) {
  GLOW_TRY(glow__sink_write(sink, p->preamble.bytes, p->preamble.size));
  GLOW_TRY(write_parameters(p, sink));
  for (int64_t i = p->parameters; i < p->count; i++)
    GLOW_TRY(write_other(&p->tensors[i], sink));
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
    status = glow__model_check_saves(model, p.extras->parameters);
  if (status == GLOW_OK)
    status = write_plan(&p);
  glow_release(context, p.preamble.bytes);
  glow_release(context, p.metadata);
  glow_release(context, p.keys);
  glow_release(context, p.tensors);
  glow_release(context, p.architecture);
  return status;
}

glow_status glow_model_save_output(const glow_model *model, const glow_output *output) {
  GLOW_LIVE(model, MODEL);
  if (!model || !output)
    return glow_error(GLOW_E_ARGUMENT, "glow_model_save: NULL argument");
  return glow__model_file_write(model, output, NULL);
}

glow_status glow_model_save(const glow_model *model, const char *path) {
  glow_output output = GLOW_OUTPUT_INIT;
  output.path = path;
  return glow_model_save_output(model, path ? &output : NULL);
}
