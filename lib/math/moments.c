/* Mean and deviation of channels. Rows are summed as differences from the first of them, so a
 * constant channel has a variance of exactly 0, wherever it lies. Parts are merged in order:
 * Chan, Golub and LeVeque 1979, "Updating formulae and a pairwise algorithm for computing sample
 * variances". SPDX-License-Identifier: MIT */
#include "math/moments.h"

#include <math.h>
#include <string.h>

enum { BLOCK = 64 }; /* channels at a time, in a part that is not kept */

/* With d = x - x_0: mean = x_0 + sum d / n, squares = sum d^2 - (sum d)^2 / n. Channels that lie
 * `stride` apart from row to row; moments of each at means[c] and squares[c]. */
static void moments_of_columns(int64_t rows, int64_t stride, int64_t channels, const float *x,
                               double *means, double *squares) {
  memset(means, 0, (size_t)channels * sizeof *means);
  memset(squares, 0, (size_t)channels * sizeof *squares);
  for (int64_t p = 1; p < rows; p++)
    for (int64_t c = 0; c < channels; c++) {
      double d = (double)x[p * stride + c] - (double)x[c];
      means[c] += d;
      squares[c] += d * d;
    }
  for (int64_t c = 0; c < channels; c++) {
    double left = squares[c] - means[c] * means[c] / (double)rows;
    squares[c] = left < 0 ? 0 : left; /* NaN stays */
    means[c] = (double)x[c] + means[c] / (double)rows;
  }
}

void glow__moments_of(int64_t rows, int64_t channels, const float *x, double *moments) {
  moments_of_columns(rows, channels, channels, x, moments, moments + channels);
}

/* With d = b - a of the means: squares += squares of b + d^2 n_a n_b / (n_a + n_b). */
static void merge_columns(int64_t channels, double a_rows, double *a_means, double *a_squares,
                          double b_rows, const double *b_means, const double *b_squares) {
  double share = b_rows / (a_rows + b_rows);
  for (int64_t c = 0; c < channels; c++) {
    double d = b_means[c] - a_means[c];
    a_squares[c] += b_squares[c] + d * d * a_rows * share;
    a_means[c] = a_rows == 0 ? b_means[c] : a_means[c] + d * share;
  }
}

void glow__moments_merge(int64_t channels, double a_rows, double *a, double b_rows,
                         const double *b) {
  merge_columns(channels, a_rows, a, a + channels, b_rows, b, b + channels);
}

glow_status glow__moments_finish(double rows, int64_t channels, const double *moments, float *mean,
                                 float *var) {
  int64_t wrong = -1;
  for (int64_t c = 0; c < channels; c++) {
    mean[c] = (float)moments[c];
    var[c] = (float)(moments[channels + c] / rows);
    if (wrong < 0 && !(isfinite(mean[c]) && isfinite(var[c])))
      wrong = c;
  }
  return wrong < 0 ? GLOW_OK
                   : glow_error(GLOW_E_NUMERIC, "channel %lld is not finite", (long long)wrong);
}

size_t glow_moments_bytes(int64_t channels) {
  return sizeof(glow_moments) + 2 * (size_t)channels * sizeof(double);
}

void glow_moments_add(glow_moments *moments, int64_t pixels, int64_t channels, const float *x) {
  double means[BLOCK], squares[BLOCK];
  if (pixels < 1)
    return;
  for (int64_t first = 0; first < channels; first += BLOCK) {
    int64_t here = channels - first < BLOCK ? channels - first : BLOCK;
    moments_of_columns(pixels, channels, here, x + first, means, squares);
    merge_columns(here, moments->rows, moments->values + first, moments->values + channels + first,
                  (double)pixels, means, squares);
  }
  moments->rows += (double)pixels;
}

void glow_moments_channel(const glow_moments *moments, int64_t channels, int64_t channel,
                          double *mean, double *variance) {
  *mean = moments->values[channel];
  *variance = moments->values[channels + channel] / moments->rows;
}
