/* The convolutions behind <glow/sys/math.h>, for layers and nets of this library that use the
 * gradient of the weights in other ways too. SPDX-License-Identifier: MIT */
#ifndef GLOW_LIB_CONV_H
#define GLOW_LIB_CONV_H

#include <glow/sys/math.h>

static inline int64_t glow__conv_taps(const glow_conv *conv) {
  return conv->size * conv->size;
}

/* The arrays that a gradient of weights is summed over. */
typedef struct glow__conv_sum {
  const glow_math *math;
  const glow_conv *conv;
  int64_t pixels;
  const float *x, *dy;
  int64_t x_stride, dy_stride;
} glow__conv_sum;

/* The parts of glow_conv_weight_gradient: part 0 is the bias; part k > 0 gives rows
 * [first, first + rows) of D [(t, i), o], the gradient of w in order of taps. */
void glow__conv_bias_gradient(const glow__conv_sum *sum, float *dbias, float *room);
typedef struct glow__conv_rows {
  int64_t first, rows;
} glow__conv_rows;
glow__conv_rows glow__conv_part(const glow_conv *conv, int64_t part);
/* d: from row `first` of D on. */
void glow__conv_rows_gradient(const glow__conv_sum *sum, glow__conv_rows rows, float *d,
                              float *room);

#endif
