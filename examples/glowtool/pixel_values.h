/* Images as values in [-1/2, 1/2), without noise inside the bins: the middles of the 256 levels.
 * SPDX-License-Identifier: MIT */
#ifndef GLOWTOOL_PIXEL_VALUES_H
#define GLOWTOOL_PIXEL_VALUES_H

#include "sample_source.h"

/* Samples [first, first + count) to x [count, dims]; conditions as read_samples. Returns an exit
 * code. */
int read_values(const sample_set *set, int64_t first, int64_t count, float *x, float *conditions);
/* The nearest of the 256 levels; 0 for NaN. */
void values_to_pixels(const float *x, int64_t count, uint8_t *pixels);

#endif
