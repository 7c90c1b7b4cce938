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

glow_status glow__moments_norm(const glow__moments *moments, int64_t channels, double floor,
                               const glow_pass *pass, const char *part, float *bias, float *logs) {
  for (int64_t c = 0; c < channels; c++) {
    double mean = moments->sums[c] / moments->pixels;
    double variance = moments->sums[channels + c] / moments->pixels - mean * mean;
    double sd = sqrt(variance > 0 ? variance : 0);
    if (!isfinite(mean) || !isfinite(variance))
      return glow_error(GLOW_E_NUMERIC,
                        "%s%schannel %lld is not finite on the data to initialise from", part,
                        *part ? ": " : "", (long long)c);
    if (sd < floor)
      glow__log(glow_pass_context(pass), GLOW_LOG_WARNING,
                "layer '%s'%s%s: channel %lld is constant (%g) on the data to initialise from; its "
                "deviation is taken as %g",
                glow_pass_layer_name(pass), *part ? " " : "", part, (long long)c, mean, floor);
    bias[c] = (float)-mean;
    logs[c] = (float)-log(sd + floor);
  }
  return GLOW_OK;
}
