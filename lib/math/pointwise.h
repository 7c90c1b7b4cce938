/* Pointwise kernels: what is done to activations that is not a product. They are plain loops that
 * compilers turn into vector code (pointwise_loops.h), compiled for each instruction set.
 *
 * 3x3 convolution with zero padding in NHWC is one of the table's products, and gathering or
 * summing of taps. Tap t = 3*ky + kx looks at offset (ky-1, kx-1). One sample at a time; [H, W, C].
 *
 *   gather:  out[p, t, c]  = x[p + s off(t), c]           (0 outside)      s = +1 or -1
 *   sum:     out[q, c]    += sum_t a[q + s off(t), t, c]  (0 outside)
 *
 * conv: y = W . gather(x, +1) (few input channels), or y = sum(W . x, +1) (few output channels).
 * The adjoint of gather(+1) is sum(-1), and the other way round. SPDX-License-Identifier: MIT */
#ifndef GLOW_LIB_POINTWISE_H
#define GLOW_LIB_POINTWISE_H

#include <stdint.h>

/* What a coupling does to an element x, with shift t and scale s. */
enum {
  GLOW_CHANGE_SHIFT = 1,       /* y = x + t */
  GLOW_CHANGE_SHIFT_SCALE = 2, /* y = (x + t) s */
  GLOW_CHANGE_SCALE_SHIFT = 3  /* y = x s + t */
};

/* Where a function reads one array and writes another, both may be the same. */
typedef struct glow__pointwise {
  /* Pixels [first, last) of the sample; out has (last - first) rows of 9*channels floats. x has
   * x_stride floats per pixel. */
  void (*gather3x3)(int64_t height, int64_t width, int64_t channels, const float *x,
                    int64_t x_stride, int32_t sign, int64_t first, int64_t last, float *out);
  /* Adds into out (out_stride floats per pixel) for pixels [first, last); a: [H*W, 9*channels]. */
  void (*sum3x3)(int64_t height, int64_t width, int64_t channels, const float *a, int32_t sign,
                 int64_t first, int64_t last, float *out, int64_t out_stride);

  /* An actnorm on rows of n elements, with shift and scale [n]: y = (x + shift) scale. */
  void (*actnorm_forward)(int64_t rows, int64_t n, const float *x, const float *shift,
                          const float *scale, float *y);
  /* x = y inverse - shift, where inverse is 1 / scale. */
  void (*actnorm_inverse)(int64_t rows, int64_t n, const float *y, const float *shift,
                          const float *inverse, float *x);
  /* dx = dy scale;  d_shift += sum dx;  d_logs += sum dy y */
  void (*actnorm_backward)(int64_t rows, int64_t n, const float *y, const float *dy,
                           const float *scale, float *dx, double *d_shift, double *d_logs);

  /* A coupling on rows of n elements; kind: GLOW_CHANGE_... Rows of x and y are x_row apart, those
   * of t t_row, those of s n; with a shift alone, s is not read. */
  void (*coupling_forward)(int32_t kind, int64_t rows, int64_t n, const float *x, int64_t x_row,
                           const float *t, int64_t t_row, const float *s, float *y);
  void (*coupling_inverse)(int32_t kind, int64_t rows, int64_t n, const float *y, int64_t x_row,
                           const float *t, int64_t t_row, const float *s, float *x);
  /* For one row: gradients of x and t, and, except for a shift alone, of log s; w: gradient of
   * log-det.
   *   shift, then scale   dx = dt = dy s         d log s = dy y + w
   *   scale, then shift   dx = dy s, dt = dy     d log s = dy (y - t) + w
   *   shift               dx = dt = dy */
  void (*coupling_backward)(int32_t kind, int64_t n, const float *t, const float *s, const float *y,
                            const float *dy, float w, float *dx, float *dt, float *d_log_s);

  /* A layer of a net on rows of n elements, going back. d = 0 where h is not above 0; rows of h are
   * h_row apart, those of d d_row. */
  void (*relu_backward)(int64_t rows, int64_t n, const float *h, int64_t h_row, float *d,
                        int64_t d_row);
  /* sums += the sum of the rows, one after the other. */
  void (*add_rows)(int64_t rows, int64_t n, const float *x, double *sums);
} glow__pointwise;

void glow__pointwise_fill_c(glow__pointwise *pointwise);

#endif
