/* The loops of math/pointwise.h; the flags of the file that includes this say for which CPU.
 * SPDX-License-Identifier: MIT */
#include <string.h>

#include "math/pointwise.h"

/* ---- taps ------------------------------------------------------------------------------------ */

static void gather3x3(int64_t height, int64_t width, int64_t channels, const float *x,
                      int64_t x_stride, int32_t sign, int64_t first, int64_t last, float *out) {
  size_t bytes = (size_t)channels * sizeof *out;
  int64_t row = first / width, column = first % width;
  for (int64_t p = first; p < last; p++) {
    for (int64_t t = 0; t < 9; t++, out += channels) {
      int64_t r = row + sign * (t / 3 - 1), c = column + sign * (t % 3 - 1);
      if (r < 0 || r >= height || c < 0 || c >= width)
        memset(out, 0, bytes);
      else
        memcpy(out, x + (r * width + c) * x_stride, bytes);
    }
    if (++column == width) {
      column = 0;
      row++;
    }
  }
}

static void sum3x3(int64_t height, int64_t width, int64_t channels, const float *restrict a,
                   int32_t sign, int64_t first, int64_t last, float *restrict out,
                   int64_t out_stride) {
  int64_t row = first / width, column = first % width;
  for (int64_t p = first; p < last; p++) {
    float *to = out + p * out_stride;
    for (int64_t t = 0; t < 9; t++) {
      int64_t r = row + sign * (t / 3 - 1), c = column + sign * (t % 3 - 1);
      if (r < 0 || r >= height || c < 0 || c >= width)
        continue;
      const float *from = a + ((r * width + c) * 9 + t) * channels;
      for (int64_t i = 0; i < channels; i++)
        to[i] += from[i];
    }
    if (++column == width) {
      column = 0;
      row++;
    }
  }
}

/* ---- actnorm --------------------------------------------------------------------------------- */

static void actnorm_forward(int64_t rows, int64_t n, const float *x, const float *restrict shift,
                            const float *restrict scale, float *y) {
  for (int64_t i = 0; i < rows; i++, x += n, y += n)
    for (int64_t j = 0; j < n; j++)
      y[j] = (x[j] + shift[j]) * scale[j];
}

static void actnorm_inverse(int64_t rows, int64_t n, const float *y, const float *restrict shift,
                            const float *restrict inverse, float *x) {
  for (int64_t i = 0; i < rows; i++, x += n, y += n)
    for (int64_t j = 0; j < n; j++)
      x[j] = y[j] * inverse[j] - shift[j];
}

static void actnorm_backward(int64_t rows, int64_t n, const float *y, const float *dy,
                             const float *restrict scale, float *dx, double *restrict d_shift,
                             double *restrict d_logs) {
  for (int64_t i = 0; i < rows; i++, y += n, dy += n, dx += n)
    for (int64_t j = 0; j < n; j++) {
      d_logs[j] += (double)(dy[j] * y[j]);
      dx[j] = dy[j] * scale[j];
      d_shift[j] += (double)dx[j];
    }
}

/* ---- coupling -------------------------------------------------------------------------------- */

static void coupling_forward_row(int32_t kind, int64_t n, const float *x, const float *restrict t,
                                 const float *restrict s, float *y) {
  if (kind == GLOW_CHANGE_SHIFT)
    for (int64_t j = 0; j < n; j++)
      y[j] = x[j] + t[j];
  else if (kind == GLOW_CHANGE_SHIFT_SCALE)
    for (int64_t j = 0; j < n; j++)
      y[j] = (x[j] + t[j]) * s[j];
  else
    for (int64_t j = 0; j < n; j++)
      y[j] = x[j] * s[j] + t[j];
}

static void coupling_inverse_row(int32_t kind, int64_t n, const float *y, const float *restrict t,
                                 const float *restrict s, float *x) {
  if (kind == GLOW_CHANGE_SHIFT)
    for (int64_t j = 0; j < n; j++)
      x[j] = y[j] - t[j];
  else if (kind == GLOW_CHANGE_SHIFT_SCALE)
    for (int64_t j = 0; j < n; j++)
      x[j] = y[j] / s[j] - t[j];
  else
    for (int64_t j = 0; j < n; j++)
      x[j] = (y[j] - t[j]) / s[j];
}

static void coupling_forward(int32_t kind, int64_t rows, int64_t n, const float *x, int64_t x_row,
                             const float *t, int64_t t_row, const float *s, float *y) {
  for (int64_t i = 0; i < rows; i++, x += x_row, y += x_row, t += t_row, s += n)
    coupling_forward_row(kind, n, x, t, s, y);
}

static void coupling_inverse(int32_t kind, int64_t rows, int64_t n, const float *y, int64_t x_row,
                             const float *t, int64_t t_row, const float *s, float *x) {
  for (int64_t i = 0; i < rows; i++, x += x_row, y += x_row, t += t_row, s += n)
    coupling_inverse_row(kind, n, y, t, s, x);
}

static void coupling_backward(int32_t kind, int64_t n, const float *restrict t,
                              const float *restrict s, const float *restrict y,
                              const float *restrict dy, float w, float *restrict dx,
                              float *restrict dt, float *restrict d_log_s) {
  if (kind == GLOW_CHANGE_SHIFT)
    for (int64_t j = 0; j < n; j++)
      dx[j] = dt[j] = dy[j];
  else if (kind == GLOW_CHANGE_SHIFT_SCALE)
    for (int64_t j = 0; j < n; j++) {
      d_log_s[j] = dy[j] * y[j] + w;
      dx[j] = dt[j] = dy[j] * s[j];
    }
  else
    for (int64_t j = 0; j < n; j++) {
      d_log_s[j] = dy[j] * (y[j] - t[j]) + w;
      dx[j] = dy[j] * s[j];
      dt[j] = dy[j];
    }
}

/* ---- nets ------------------------------------------------------------------------------------ */

/* A choice of values, since the processor would guess a branch wrongly half of the time. */
static void relu_backward(int64_t rows, int64_t n, const float *restrict h, int64_t h_row,
                          float *restrict d, int64_t d_row) {
  for (int64_t i = 0; i < rows; i++, h += h_row, d += d_row)
    for (int64_t j = 0; j < n; j++)
      d[j] = h[j] > 0.0f ? d[j] : 0.0f;
}

static void add_rows(int64_t rows, int64_t n, const float *restrict x, double *restrict sums) {
  for (int64_t i = 0; i < rows; i++, x += n)
    for (int64_t j = 0; j < n; j++)
      sums[j] += (double)x[j];
}

/* ---- the table ------------------------------------------------------------------------------- */

static void fill_pointwise(glow__pointwise *pointwise) {
  pointwise->gather3x3 = gather3x3;
  pointwise->sum3x3 = sum3x3;
  pointwise->actnorm_forward = actnorm_forward;
  pointwise->actnorm_inverse = actnorm_inverse;
  pointwise->actnorm_backward = actnorm_backward;
  pointwise->coupling_forward = coupling_forward;
  pointwise->coupling_inverse = coupling_inverse;
  pointwise->coupling_backward = coupling_backward;
  pointwise->relu_backward = relu_backward;
  pointwise->add_rows = add_rows;
}
