/* Convolutions behind <glow/sys/math.h>: for layers and nets of this library, which make more of the
 * weights' gradient. SPDX-License-Identifier: MIT */
#ifndef GLOW_LIB_CONV_H
#define GLOW_LIB_CONV_H

#include <glow/sys/math.h>

static inline int64_t glow__conv_taps(const glow_conv *conv) {
  return conv->size * conv->size;
}

/* glow_conv_weight_gradient, with the gradient of w where it was computed: the result, at the start
 * of `memory`, is [(t, i), o]. */
const float *glow__conv_gradient_by_taps(glow_context *context, const glow_conv *conv,
                                         int64_t pixels, const float *x, int64_t x_stride,
                                         const float *dy, int64_t dy_stride, float *memory,
                                         float *dbias);

#endif
