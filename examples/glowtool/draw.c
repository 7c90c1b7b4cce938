/* Samples as pixels and as a grid. SPDX-License-Identifier: MIT */
#include "draw.h"

#include <errno.h>
#include <stdlib.h>

#include "picture.h"

static int draw_batches(row_pass *p, int64_t batch, const glow_sample_options *options,
                        const int32_t *labels, int64_t count, float *x, uint8_t *pixels) {
  glow_sample_options now = *options;
  int code = TOOL_FINE;
  for (int64_t first = 0; first < count && code == TOOL_FINE; first += batch) {
    int64_t n = count - first < batch ? count - first : batch;
    now.first = options->first + (uint64_t)first;
    code = rows_sample(p, (int64_t)now.first, &now, labels ? labels + first : NULL, n, x);
    if (code != TOOL_FINE)
      return code;
    glow_status status = glow_model_quantise(p->model, x, n, pixels + first * p->dims);
    if (status != GLOW_OK)
      return complain_status(status, "sampling");
  }
  return code;
}

int draw_samples(glow_workspace *workspace, const glow_model *model, int64_t batch,
                 const glow_sample_options *options, const int32_t *labels, int64_t count,
                 uint8_t *pixels, row_tally *tally) {
  row_pass pass;
  int code = rows_open(&pass, workspace, model, batch);
  float *x = malloc((size_t)batch * (size_t)glow_model_dims(model) * sizeof *x);
  pass.tally = *tally;
  if (code == TOOL_FINE && x) {
    code = draw_batches(&pass, batch, options, labels, count, x, pixels);
  } else if (code == TOOL_FINE) {
    complain("out of memory for samples");
    code = TOOL_FAILED;
  }
  *tally = pass.tally;
  rows_close(&pass);
  free(x);
  return code;
}

int64_t grid_columns(int64_t count, int32_t classes) {
  int64_t columns = 1;
  if (classes > 1 && classes <= 16 && count >= classes)
    return classes;
  while (columns * columns < count)
    columns++;
  return columns;
}

int draw_grid(glow_workspace *workspace, const glow_model *model, int64_t batch,
              const glow_sample_options *options, int64_t label, int64_t count, int64_t columns,
              const char *path, row_tally *tally) {
  char error[1024] = "";
  glow_shape shape;
  int32_t classes = glow_model_class_count(model);
  glow_model_input_shape(model, &shape);
  uint8_t *pixels = malloc((size_t)count * (size_t)glow_model_dims(model));
  int32_t *labels = malloc((size_t)count * sizeof *labels);
  int code = TOOL_FAILED;
  if (pixels && labels) {
    for (int64_t i = 0; i < count; i++)
      labels[i] = label >= 0 ? (int32_t)label : classes ? (int32_t)(i % classes) : 0;
    code = draw_samples(workspace, model, batch, options, classes ? labels : NULL, count, pixels,
                        tally);
  } else {
    complain("out of memory for %lld samples", (long long)count);
  }
  if (!columns)
    columns = grid_columns(count, label < 0 ? classes : 0);
  if (code == TOOL_FINE &&
      !picture_write_grid(path, count, shape.height, shape.width, shape.channels,
                          columns < count ? columns : count, pixels, error, sizeof error))
    code = complain_failure(error, errno);
  free(pixels);
  free(labels);
  return code;
}
