/* Reading batches: shapes are checked once, then samples come piece by piece.
 * SPDX-License-Identifier: MIT */
#include "batches.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

bool is_tensor_path(const char *path) {
  static const char end[] = ".safetensors";
  size_t length = strlen(path);
  return length >= sizeof end - 1 && strcmp(path + length - (sizeof end - 1), end) == 0;
}

const char *latent_form_name(int32_t form) {
  return form == GLOW_LATENTS_RAW ? "raw" : "whitened";
}

glow_file_tensor batch_tensor(const char *name, int32_t type, const int64_t *dims) {
  glow_file_tensor t = GLOW_FILE_TENSOR_INIT;
  t.name = name;
  t.type = type;
  t.bytes = type == GLOW_TYPE_U8 ? 1 : type == GLOW_TYPE_F64 ? 8 : 4;
  for (; dims[t.rank] >= 0; t.rank++) {
    t.dims[t.rank] = dims[t.rank];
    t.bytes *= dims[t.rank];
  }
  return t;
}

/* ---- opening --------------------------------------------------------------------------------- */

static int allocate(batch_reader *r) {
  size_t batch = (size_t)r->model->batch, dims = (size_t)r->dims;
  r->x = malloc(batch * dims * sizeof *r->x);
  r->raw = malloc(batch * (dims > sizeof(int64_t) ? dims : sizeof(int64_t)));
  if (r->labels >= 0)
    r->y = malloc(batch * sizeof *r->y);
  if (r->x && r->raw && (r->y || r->labels < 0))
    return TOOL_FINE;
  complain("out of memory for batches of %lld samples", (long long)batch);
  return TOOL_FAILED;
}

static int open_tensors(batch_reader *r, const char *path, const char *name, glow_file_tensor *t) {
  glow_input input = GLOW_INPUT_INIT;
  *t = (glow_file_tensor)GLOW_FILE_TENSOR_INIT;
  input.path = path;
  input.flags = GLOW_INPUT_LAZY;
  glow_status status = glow_tensor_file_open_input(r->model->context, &input, &r->file);
  if (status == GLOW_OK)
    status = glow_tensor_file_find(r->file, name, t);
  if (status != GLOW_OK)
    return complain_status(status, path);
  r->samples = glow_tensor_file_index(r->file, name);
  r->labels = glow_tensor_file_index(r->file, "y");
  r->count = t->rank ? t->dims[0] : 0;
  return r->count ? TOOL_FINE : complain("%s: '%s' holds no samples", path, name);
}

static int check_y(batch_reader *r, const char *path) {
  glow_file_tensor y = GLOW_FILE_TENSOR_INIT;
  if (r->labels < 0)
    return glow_model_class_count(r->model->model)
               ? complain("%s: the model has classes, but there are no labels 'y'", path)
               : TOOL_FINE;
  glow_status status = glow_tensor_file_get(r->file, r->labels, &y);
  if (status != GLOW_OK)
    return complain_status(status, path);
  r->wide = y.type == GLOW_TYPE_I64;
  if ((y.type != GLOW_TYPE_I32 && !r->wide) || y.rank != 1 || y.dims[0] != r->count)
    return complain("%s: 'y' is not a vector of %lld int32 numbers", path, (long long)r->count);
  return TOOL_FINE;
}

/* [N, H, W, C] of the model's shape; [N, D] will do for vectors. */
static bool fits(const glow_file_tensor *t, const glow_shape *s) {
  if (t->rank == 2)
    return s->height == 1 && s->width == 1 && t->dims[1] == s->channels;
  return t->rank == 4 && t->dims[1] == s->height && t->dims[2] == s->width &&
         t->dims[3] == s->channels;
}

static int check_x(batch_reader *r, const char *path, const glow_file_tensor *t) {
  const glow_shape *s = &r->model->shape;
  if (!fits(t, s))
    return complain("%s: 'x' is not [N, %lld, %lld, %lld], the shape that the model reads", path,
                    (long long)s->height, (long long)s->width, (long long)s->channels);
  r->bytes = t->type == GLOW_TYPE_U8;
  if (!r->bytes && t->type != GLOW_TYPE_F32)
    return complain("%s: 'x' is neither float32 nor uint8", path);
  if (r->bytes && !glow_model_bits(r->model->model))
    return complain("%s: 'x' holds pixels, but the model is for continuous data", path);
  return TOOL_FINE;
}

static void start(batch_reader *r, const opened_model *m, uint64_t seed) {
  memset(r, 0, sizeof *r);
  r->model = m;
  r->seed = seed;
  r->dims = glow_model_dims(m->model);
  r->samples = r->labels = -1;
}

static void cut(batch_reader *r, int64_t limit) {
  if (limit && limit < r->count)
    r->count = limit;
}

int batches_open(batch_reader *r, const opened_model *m, const image_source *source,
                 uint64_t seed) {
  glow_file_tensor t;
  start(r, m, seed);
  int code;
  if (source->paths.count == 1 && is_tensor_path(source->paths.items[0])) {
    const char *path = source->paths.items[0];
    code = open_tensors(r, path, "x", &t);
    if (code == TOOL_FINE)
      code = check_x(r, path, &t);
    if (code == TOOL_FINE)
      code = check_y(r, path);
  } else {
    code = load_for_model(m->model, source, &r->images);
    r->bytes = true;
    r->count = r->images.count;
    r->labels = r->images.labels ? 0 : -1;
  }
  if (code == TOOL_FINE)
    cut(r, source->limit);
  return code == TOOL_FINE ? allocate(r) : code;
}

int batches_open_latents(batch_reader *r, const opened_model *m, const char *path, int64_t limit,
                         int32_t *form) {
  glow_file_tensor t;
  start(r, m, 0);
  int code = open_tensors(r, path, "latents", &t);
  if (code == TOOL_FINE && (t.type != GLOW_TYPE_F32 || t.rank != 2 || t.dims[1] != r->dims))
    code = complain("%s: 'latents' is not [N, %lld] of float32, the model's latents", path,
                    (long long)r->dims);
  if (code == TOOL_FINE)
    code = check_y(r, path);
  if (code != TOOL_FINE)
    return code;
  const char *text = glow_tensor_file_metadata(r->file, GLOWTOOL_FORM);
  *form = !text                           ? 0
          : strcmp(text, "raw") == 0      ? GLOW_LATENTS_RAW
          : strcmp(text, "whitened") == 0 ? GLOW_LATENTS_WHITENED
                                          : 0;
  cut(r, limit);
  return allocate(r);
}

/* ---- reading --------------------------------------------------------------------------------- */

static glow_status read_labels(batch_reader *r, int64_t first, int64_t count) {
  if (r->labels < 0)
    return GLOW_OK;
  if (!r->file) {
    memcpy(r->y, r->images.labels + first, (size_t)count * sizeof *r->y);
    return GLOW_OK;
  }
  size_t size = r->wide ? sizeof(int64_t) : sizeof(int32_t);
  glow_status status = glow_tensor_file_read(r->file, r->labels, first * (int64_t)size,
                                             r->wide ? r->raw : r->y, (size_t)count * size);
  for (int64_t i = 0; i < count && status == GLOW_OK && r->wide; i++) {
    int64_t label;
    memcpy(&label, (const char *)r->raw + i * (int64_t)sizeof label, sizeof label);
    r->y[i] = label >= 0 && label <= INT32_MAX ? (int32_t)label : INT32_MAX; /* no class */
  }
  return status;
}

static glow_status read_samples(batch_reader *r, int64_t first, int64_t count) {
  const uint8_t *pixels = r->raw;
  int64_t at = first * r->dims;
  size_t elements = (size_t)count * (size_t)r->dims;
  glow_status status = GLOW_OK;
  if (!r->bytes)
    return glow_tensor_file_read(r->file, r->samples, at * (int64_t)sizeof *r->x, r->x,
                                 elements * sizeof *r->x);
  if (r->file)
    status = glow_tensor_file_read(r->file, r->samples, at, r->raw, elements);
  else
    pixels = r->images.pixels + at;
  return status == GLOW_OK
             ? glow_model_dequantise(r->model->model, pixels, count, r->seed, (uint64_t)at, r->x)
             : status;
}

int batches_read(batch_reader *r, int64_t first, int64_t count) {
  glow_status status = read_labels(r, first, count);
  if (status == GLOW_OK)
    status = read_samples(r, first, count);
  return status == GLOW_OK ? TOOL_FINE : complain_status(status, "reading samples");
}

void batches_close(batch_reader *r) {
  glow_tensor_file_close(&r->file);
  data_free(&r->images);
  free(r->raw);
  free(r->x);
  free(r->y);
  memset(r, 0, sizeof *r);
}
