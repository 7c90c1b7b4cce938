/* Writing samples as tensors. SPDX-License-Identifier: MIT */
#include "sample_file.h"

#include <stdlib.h>
#include <string.h>

#include "batches.h"

const option_choice sample_types[] = {
    {"auto", SAMPLES_AUTO}, {"uint8", GLOW_TYPE_U8}, {"float32", GLOW_TYPE_F32}, {NULL, 0}};

int sample_file_open(sample_file *f, const opened_model *m, const char *path, int64_t count,
                     int64_t type, bool labels, bool logdet) {
  bool pixels = glow_model_bits(m->model) != 0;
  const int64_t vector[] = {count, -1};
  const int64_t images[] = {count, m->shape.height, m->shape.width, m->shape.channels, -1};
  memset(f, 0, sizeof *f);
  f->m = m;
  f->type = type != SAMPLES_AUTO ? (int32_t)type : pixels ? GLOW_TYPE_U8 : GLOW_TYPE_F32;
  f->labels = labels;
  f->logdet = logdet;
  if (f->type == GLOW_TYPE_U8 && !pixels)
    return complain("the model is for continuous data, which has no pixels: use float32");
  f->pixels = malloc((size_t)m->batch * (size_t)glow_model_dims(m->model));
  if (!f->pixels) {
    complain("out of memory for batches of %lld samples", (long long)m->batch);
    return TOOL_FAILED;
  }
  glow_file_tensor tensors[3] = {batch_tensor("x", f->type, images)};
  int64_t tensor_count = 1;
  if (labels)
    tensors[tensor_count++] = batch_tensor("y", GLOW_TYPE_I32, vector);
  if (logdet)
    tensors[tensor_count++] = batch_tensor("logdet", GLOW_TYPE_F64, vector);
  glow_status status =
      glow_tensor_writer_create(m->context, path, tensors, tensor_count, NULL, 0, &f->writer);
  return status == GLOW_OK ? TOOL_FINE : complain_status(status, "writing");
}

int sample_file_append(sample_file *f, const float *x, const int32_t *labels, const double *logdet,
                       int64_t count) {
  size_t n = (size_t)count, elements = n * (size_t)glow_model_dims(f->m->model);
  glow_status status = GLOW_OK;
  if (f->type == GLOW_TYPE_U8)
    status = glow_model_quantise(f->m->model, x, count, f->pixels);
  if (status == GLOW_OK)
    status = f->type == GLOW_TYPE_U8
                 ? glow_tensor_writer_append(f->writer, 0, f->pixels, elements)
                 : glow_tensor_writer_append(f->writer, 0, x, elements * sizeof *x);
  if (status == GLOW_OK && f->labels)
    status = glow_tensor_writer_append(f->writer, 1, labels, n * sizeof *labels);
  if (status == GLOW_OK && f->logdet)
    status = glow_tensor_writer_append(f->writer, 1 + f->labels, logdet, n * sizeof *logdet);
  return status == GLOW_OK ? TOOL_FINE : complain_status(status, "writing");
}

int sample_file_finish(sample_file *f) {
  glow_status status = glow_tensor_writer_finish(&f->writer);
  return status == GLOW_OK ? TOOL_FINE : complain_status(status, "writing");
}

void sample_file_close(sample_file *f) {
  glow_tensor_writer_abandon(&f->writer);
  free(f->pixels);
  f->pixels = NULL;
}
