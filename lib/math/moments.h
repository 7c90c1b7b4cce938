/* Sums behind glow_moments of <glow/sys/math.h>: of arrays that tasks add up in parts.
 * SPDX-License-Identifier: MIT */
#ifndef GLOW_LIB_MOMENTS_H
#define GLOW_LIB_MOMENTS_H

#include <glow/sys/math.h>

/* In double, so that the variance may be a difference of means of squares. */
struct glow_moments {
  double pixels;
  double sums[]; /* [channels] of x, then [channels] of its square */
};

/* Adds rows of x [pixels, channels] to sums [2 channels]. */
void glow__moments_sums(int64_t pixels, int64_t channels, const float *x, double *sums);

/* Mean and biased variance of `pixels` pixels from those sums. GLOW_E_NUMERIC names the first
 * channel that is not finite; all results are written in any case. */
glow_status glow__moments_finish(double pixels, int64_t channels, const double *sums, float *mean,
                                 float *var);

#endif
