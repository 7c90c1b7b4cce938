/* <glow/sys/math.h>: the kernels of a context, for layers and nets.
 * SPDX-License-Identifier: MIT */
#include <glow/sys/math.h>

#include "base/base.h"
#include "math/kernels16.h"

/* A glow_math is the context's table of kernels. */
static const glow__kernels *kernels_of(const glow_math *math) {
  return (const glow__kernels *)(const void *)math;
}

const glow_math *glow_context_math(const glow_context *context) {
  GLOW_LIVE_OR(context, CONTEXT, NULL);
  return context ? (const glow_math *)(const void *)context->kernels : NULL;
}

const glow__kernels *glow__math_kernels(const glow_math *math) {
  return kernels_of(math);
}

const glow__kernels16 *glow__context_kernels16(const glow_context *context) {
  return context->kernels16;
}

/* ---- products of matrices -------------------------------------------------------------------- */

int64_t glow_math_panel_count(const glow_math *math, int64_t n) {
  return glow__panels(kernels_of(math), n);
}

int64_t glow_math_packed_floats(const glow_math *math, int64_t k, int64_t n) {
  return glow__packed_size(kernels_of(math), k, n);
}

glow_layout glow_math_rows(const glow_math *math, int64_t stride) {
  return glow__in_rows(kernels_of(math), stride);
}

glow_layout glow_math_panels(const glow_math *math, int64_t k, int64_t n) {
  return glow__in_panels(kernels_of(math), k, n);
}

void glow_math_pack(const glow_math *math, int64_t k, int64_t n, const float *b, int64_t rs,
                    int64_t cs, float *packed, int64_t first, int64_t last) {
  kernels_of(math)->pack(k, n, b, rs, cs, packed, first, last);
}

void glow_math_multiply(const glow_math *math, int64_t m, int64_t n, int64_t k, const float *a,
                        glow_layout a_layout, const float *packed, float *c, glow_layout c_layout,
                        int64_t first, int64_t last, const glow_epilogue *epilogue) {
  kernels_of(math)->gemm(kernels_of(math), m, n, k, a, a_layout, packed, c, c_layout, first, last,
                         epilogue);
}

void glow_math_multiply_transposed(const glow_math *math, int64_t m, int64_t n, int64_t k,
                                   const float *a, glow_layout a_layout, const float *packed,
                                   float *c, glow_layout c_layout, int64_t first, int64_t last,
                                   const glow_epilogue *epilogue) {
  kernels_of(math)->gemm_transposed(kernels_of(math), m, n, k, a, a_layout, packed, c, c_layout,
                                    first, last, epilogue);
}

void glow_math_relu_backward(const glow_math *math, int64_t rows, int64_t n, const float *h,
                             const float *scale, float *d, glow_layout layout, float *sum_bias,
                             float *sum_scale) {
  kernels_of(math)->norm_back(rows, n, h, scale, d, layout, sum_bias, sum_scale);
}

/* ---- functions over arrays ------------------------------------------------------------------- */

void glow_math_exp(const glow_math *math, int64_t n, const float *x, float *y) {
  kernels_of(math)->functions.exp(n, x, y);
}

void glow_math_log(const glow_math *math, int64_t n, const float *x, float *y) {
  kernels_of(math)->functions.log(n, x, y);
}

void glow_math_tanh(const glow_math *math, int64_t n, const float *x, float *y) {
  kernels_of(math)->functions.tanh(n, x, y);
}

void glow_math_softplus(const glow_math *math, int64_t n, const float *x, float *y) {
  kernels_of(math)->functions.softplus(n, x, y);
}

void glow_math_sigmoid(const glow_math *math, int64_t n, const float *x, float *y,
                       float *complement, float *log_y) {
  kernels_of(math)->functions.sigmoid(n, x, y, complement, log_y);
}
