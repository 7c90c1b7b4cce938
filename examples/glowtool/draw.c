/* Samples as pixels and as a grid. SPDX-License-Identifier: MIT */
#include "draw.h"

#include <math.h>
#include <stdlib.h>

#include "picture.h"

/* Where a learned scale is near 0 the inverse divides by it: rare latents overflow. */
static int64_t count_nonfinite(const float *x, int64_t count, int64_t dims) {
  int64_t found = 0;
  for (int64_t i = 0; i < count; i++) {
    bool finite = true;
    for (int64_t d = 0; d < dims && finite; d++)
      finite = isfinite(x[i * dims + d]);
    found += !finite;
  }
  return found;
}

int draw_samples(glow_workspace *workspace, const glow_model *model, int64_t batch,
                 const glow_sample_options *options, const int32_t *labels, int64_t count,
                 uint8_t *pixels) {
  int64_t dims = glow_model_dims(model);
  glow_sample_options now = *options;
  glow_status status = GLOW_OK;
  int64_t nonfinite = 0;
  float *x = malloc((size_t)batch * (size_t)dims * sizeof *x);
  if (!x) {
    complain("out of memory for samples");
    return TOOL_FAILED;
  }
  for (int64_t first = 0; first < count && status == GLOW_OK; first += batch) {
    int64_t n = count - first < batch ? count - first : batch;
    now.first = options->first + (uint64_t)first;
    now.labels = labels ? labels + first : NULL;
    status = glow_workspace_sample(workspace, n, &now, x);
    if (status == GLOW_OK)
      status = glow_model_quantise(model, x, n, pixels + first * dims);
    if (status == GLOW_OK)
      nonfinite += count_nonfinite(x, n, dims);
  }
  free(x);
  if (nonfinite && status == GLOW_OK)
    mention("warning: %lld of %lld samples overflow; a lower --temperature, or training with "
            "--scale sigmoid-floor or tanh, avoids it",
            (long long)nonfinite, (long long)count);
  return status == GLOW_OK ? TOOL_FINE : complain_status(status, "sampling");
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
              const char *path) {
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
    code = draw_samples(workspace, model, batch, options, classes ? labels : NULL, count, pixels);
  } else {
    complain("out of memory for %lld samples", (long long)count);
  }
  if (!columns)
    columns = grid_columns(count, label < 0 ? classes : 0);
  if (code == TOOL_FINE &&
      !picture_write_grid(path, count, shape.height, shape.width, shape.channels,
                          columns < count ? columns : count, pixels, error, sizeof error))
    code = complain("%s", error);
  free(pixels);
  free(labels);
  return code;
}
