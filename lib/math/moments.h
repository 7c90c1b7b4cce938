/* Mean and deviation of channels over micro-batches: what actnorms take their first values from.
 * SPDX-License-Identifier: MIT */
#ifndef GLOW_LIB_MOMENTS_H
#define GLOW_LIB_MOMENTS_H

#include "base/base.h"

/* Lies in memory of glow__moments_size bytes that starts as zeros. In double, so that the variance
 * may be a difference of means of squares. */
typedef struct glow__moments {
  double pixels;
  double sums[]; /* [channels] of x, then [channels] of its square */
} glow__moments;

static inline size_t glow__moments_size(int64_t channels) {
  return sizeof(glow__moments) + 2 * (size_t)channels * sizeof(double);
}

/* Adds rows of x [pixels, channels] to sums [2 channels]. */
void glow__moments_sums(int64_t pixels, int64_t channels, const float *x, double *sums);

/* Mean and biased variance of `pixels` pixels from those sums. GLOW_E_NUMERIC names the first
 * channel that is not finite; all are written. */
glow_status glow__moments_finish(double pixels, int64_t channels, const double *sums, float *mean,
                                 float *var);

/* bias = -mean, logs = -log(sd + floor), biased variance. A channel with sd below the floor is
 * constant: a warning to the context's log names the layer, the part ("net.norm1", "" for the layer
 * itself) and the channel. GLOW_E_NUMERIC names a channel that is not finite. */
glow_status glow__moments_norm(const glow__moments *moments, int64_t channels, double floor,
                               const glow_pass *pass, const char *part, float *bias, float *logs);

#endif
