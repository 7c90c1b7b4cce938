/* What is behind glow_moments of <glow/sys/math.h>, for moments that are taken in parts, by tasks.
 *
 * The moments of some rows are two vectors of doubles: the mean, and the sum of squares about it.
 * Squares about 0 would lose the deviation where the mean is large: for a column that is always 1e6
 * the mean of x^2 minus the square of the mean is noise of 1e-4. SPDX-License-Identifier: MIT */
#ifndef GLOW_LIB_MOMENTS_H
#define GLOW_LIB_MOMENTS_H

#include <glow/sys/math.h>

struct glow_moments {
  double rows;
  double values[]; /* [channels] means, then [channels] sums of squares about them */
};

/* Writes the moments [2 channels] of the rows of x [rows, channels], at least one. */
void glow__moments_of(int64_t rows, int64_t channels, const float *x, double *moments);
/* Adds the moments of b_rows other rows to those of a_rows, which may be 0. */
void glow__moments_merge(int64_t channels, double a_rows, double *a, double b_rows,
                         const double *b);

/* Mean and biased variance of `rows` rows from their moments. GLOW_E_NUMERIC names the first
 * channel that is not finite; all are written. */
glow_status glow__moments_finish(double rows, int64_t channels, const double *moments, float *mean,
                                 float *var);

#endif
