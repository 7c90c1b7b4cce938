/* Writing samples. SPDX-License-Identifier: MIT */
#include "sample_file.h"

#include <stdlib.h>
#include <string.h>

const option_choice sample_types[] = {
    {"auto", SAMPLES_AUTO}, {"uint8", GLOW_TYPE_U8}, {"float32", GLOW_TYPE_F32}, {NULL, 0}};

int sample_file_open(sample_file *f, const opened_model *m, const char *path, int64_t count,
                     int64_t type, bool labels, bool logdet, const sample_set *names) {
  const glow_shape *s = &m->shape;
  bool pixels = glow_model_bits(m->model) != 0, vector = s->height == 1 && s->width == 1 && !pixels;
  memset(f, 0, sizeof *f);
  f->m = m;
  f->type = type != SAMPLES_AUTO ? (int32_t)type : pixels ? GLOW_TYPE_U8 : GLOW_TYPE_F32;
  f->labels = labels;
  f->logdet = logdet;
  if (f->type == GLOW_TYPE_U8 && !pixels)
    return complain("the model is for continuous data, which has no pixels: use --type float32");
  f->pixels = malloc((size_t)m->batch * (size_t)glow_model_dims(m->model));
  if (!f->pixels) {
    complain("out of memory for batches of %lld samples", (long long)m->batch);
    return TOOL_FAILED;
  }
  result_column columns[3] = {{"x", f->type, 3, {s->height, s->width, s->channels}}};
  int32_t used = 1;
  if (vector)
    columns[0] = (result_column){"x", f->type, 1, {s->channels}};
  if (labels)
    columns[used++] = (result_column){"y", GLOW_TYPE_I32, 0, {0}};
  if (logdet)
    columns[used++] = (result_column){"logdet", GLOW_TYPE_F64, 0, {0}};
  return result_open(&f->file, m->context, path, count, columns, used, names, NULL, NULL);
}

int sample_file_append(sample_file *f, const float *x, const int32_t *labels, const double *logdet,
                       int64_t count) {
  const void *data[3] = {x};
  int32_t used = 1;
  if (f->type == GLOW_TYPE_U8) {
    glow_status status = glow_model_quantise(f->m->model, x, count, f->pixels);
    if (status != GLOW_OK)
      return complain_status(status, "writing");
    data[0] = f->pixels;
  }
  if (f->labels)
    data[used++] = labels;
  if (f->logdet)
    data[used] = logdet;
  return result_append(&f->file, data, count);
}

int sample_file_finish(sample_file *f) {
  return result_finish(&f->file);
}

const char *sample_file_blank(const sample_file *f) {
  return f->type == GLOW_TYPE_U8 ? "their pixels are 0" : "their values are NaN";
}

void sample_file_close(sample_file *f) {
  result_close(&f->file);
  free(f->pixels);
  f->pixels = NULL;
}
