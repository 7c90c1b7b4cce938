/* Mean and deviation of channels. SPDX-License-Identifier: MIT */
#include "math/moments.h"

#include <math.h>

void glow__moments_sums(int64_t pixels, int64_t channels, const float *x, double *sums) {
  for (int64_t p = 0; p < pixels; p++)
    for (int64_t c = 0; c < channels; c++) {
      double v = (double)x[p * channels + c];
      sums[c] += v;
      sums[channels + c] += v * v;
    }
}

glow_status glow__moments_finish(double pixels, int64_t channels, const double *sums, float *mean,
                                 float *var) {
  int64_t wrong = -1;
  for (int64_t c = 0; c < channels; c++) {
    double m = sums[c] / pixels, v = sums[channels + c] / pixels - m * m;
    mean[c] = (float)m;
    var[c] = (float)(v < 0 ? 0 : v); /* NaN stays */
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
  glow__moments_sums(pixels, channels, x, moments->sums);
  moments->pixels += (double)pixels;
}

void glow_moments_channel(const glow_moments *moments, int64_t channels, int64_t channel,
                          double *mean, double *variance) {
  double m = moments->sums[channel] / moments->pixels;
  double v = moments->sums[channels + channel] / moments->pixels - m * m;
  *mean = m;
  *variance = v < 0 ? 0 : v; /* NaN stays */
}
