/* Mean and deviation of columns in two rounds over the data: the means first, then the deviations
 * around them. One round with sums of squares would lose a deviation of 1 beside a mean of 1e8.
 * SPDX-License-Identifier: MIT */
#ifndef GLOW_LIB_STANDARD_H
#define GLOW_LIB_STANDARD_H

#include <glow/sys/math.h>

enum { GLOW_STANDARD_MEANS, GLOW_STANDARD_DEVIATIONS, GLOW_STANDARD_ROUNDS };

/* Bytes of state in a round, which start as zeros. */
size_t glow__standard_bytes(int64_t columns);
/* Adds rows of x [rows, columns]. mean: in the second round, what the first one found. */
void glow__standard_add(void *state, int32_t round, int64_t rows, int64_t columns, const float *x,
                        const float *mean);
/* After the first round: the means. */
void glow__standard_means(const void *state, int64_t columns, float *mean);
/* After the second: the biased deviation of a column, and 0 if it is constant. */
float glow__standard_deviation(const void *state, int64_t columns, int64_t column);

#endif
