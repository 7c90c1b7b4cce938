/* Mean and deviation of columns in two rounds. SPDX-License-Identifier: MIT */
#include "math/standard.h"

#include <float.h>
#include <math.h>

/* The state of a round: the moments of x or of x - mean, then room for a row of x - mean. */
static float *standard_row(void *state, int64_t columns) {
  return (float *)(void *)((char *)state + glow_moments_bytes(columns));
}

size_t glow__standard_bytes(int64_t columns) {
  return glow_moments_bytes(columns) + (size_t)columns * sizeof(float);
}

void glow__standard_add(void *state, int32_t round, int64_t rows, int64_t columns, const float *x,
                        const float *mean) {
  float *row = standard_row(state, columns);
  if (round == GLOW_STANDARD_MEANS) {
    glow_moments_add(state, rows, columns, x);
    return;
  }
  for (int64_t r = 0; r < rows; r++) {
    for (int64_t c = 0; c < columns; c++)
      row[c] = x[r * columns + c] - mean[c];
    glow_moments_add(state, 1, columns, row);
  }
}

void glow__standard_means(const void *state, int64_t columns, float *mean) {
  for (int64_t c = 0; c < columns; c++) {
    double m = 0, variance = 0;
    glow_moments_channel(state, columns, c, &m, &variance);
    mean[c] = (float)m;
  }
}

/* All values of a constant column equal its mean, also after the mean was rounded to float32. What
 * is left of the mean by that rounding does not count towards the variance. */
float glow__standard_deviation(const void *state, int64_t columns, int64_t column) {
  double rest = 0, variance = 0;
  glow_moments_channel(state, columns, column, &rest, &variance);
  float deviation = (float)sqrt(variance);
  return deviation < FLT_MIN ? 0 : deviation; /* below that, its inverse overflows */
}
