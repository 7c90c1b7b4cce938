/* First values of an actnorm from the moments of its input. Kingma and Dhariwal 2018, section 3.1.
 * SPDX-License-Identifier: MIT */
#include <math.h>

#include <glow/sys/math.h>

#include "host/call.h"

glow_status glow_call_actnorm_values(const glow_call *call, const glow_moments *moments,
                                     int64_t channels, double floor, const char *part, float *bias,
                                     float *logs) {
  for (int64_t c = 0; c < channels; c++) {
    double mean = 0, variance = 0;
    glow_moments_channel(moments, channels, c, &mean, &variance);
    double sd = sqrt(variance);
    if (!isfinite(mean) || !isfinite(variance))
      return glow_error(GLOW_E_NUMERIC,
                        "%s%schannel %lld is not finite on the data to initialise from", part,
                        *part ? ": " : "", (long long)c);
    if (sd < floor)
      glow_context_log(
          glow_call_context(call), GLOW_LOG_WARNING,
          "layer '%s'%s%s: channel %lld is constant (%g) on the data to initialise from; its "
          "deviation is taken as %g",
          glow_call_layer_name(call), *part ? " " : "", part, (long long)c, mean, floor);
    bias[c] = (float)-mean;
    logs[c] = (float)-log(sd + floor);
  }
  return GLOW_OK;
}
