/* 3x3 convolution with zero padding in NHWC as matrix products: gathering and scattering of taps.
 * Tap t = 3*ky + kx looks at offset (ky-1, kx-1). One sample at a time; [H, W, C].
 *
 *   gather:  out[p, t, c]  = x[p + s off(t), c]           (0 outside)      s = +1 or -1
 *   sum:     out[q, c]    += sum_t a[q + s off(t), t, c]  (0 outside)
 *
 * conv: y = W . gather(x, +1) (few input channels), or y = sum(W . x, +1) (few output channels).
 * The adjoint of gather(+1) is sum(-1), and the other way round. SPDX-License-Identifier: MIT */
#ifndef GLOW_LIB_CONV_H
#define GLOW_LIB_CONV_H

#include <stdint.h>

/* Pixels [first, last) of the sample; out has (last - first) rows of 9*channels floats. x has
 * x_stride floats per pixel. */
void glow__gather3x3(int64_t height, int64_t width, int64_t channels, const float *x,
                     int64_t x_stride, int32_t sign, int64_t first, int64_t last, float *out);
/* Adds into out (out_stride floats per pixel) for pixels [first, last); a: [H*W, 9*channels]. */
void glow__sum3x3(int64_t height, int64_t width, int64_t channels, const float *a, int32_t sign,
                  int64_t first, int64_t last, float *out, int64_t out_stride);

#endif
