/* Fast arithmetic over arrays, for layers and networks: products of matrices, convolutions,
 * functions, moments, random numbers. What the context's kernels compute, with the same bits for any
 * number of threads, and for a sample alone or anywhere in a batch (but for "cblas" kernels).
 * Nothing here allocates. SPDX-License-Identifier: MIT */
#ifndef GLOW_SYS_MATH_H
#define GLOW_SYS_MATH_H

#include <glow/sys/base.h>

#ifdef __cplusplus
extern "C" {
#endif

/* The kernels of a context; it lives as long. Constant: threads may share it. */
typedef struct glow_math glow_math;
GLOW_API const glow_math *glow_context_math(const glow_context *context);

/* ---- products of matrices -------------------------------------------------------------------- */

/* C = A B. B is *packed*: copied into the order in which a product reads it, panel after panel of a
 * fixed number of columns. Pack a weight once and use it for many products. Matrices are float32,
 * sums of one element run over k = 0, 1, ... in one chain. */

/* Element (i, j) of A or C lies at i*row + j/P*panel + j%P, where P is the number of columns in a
 * panel. Made by the functions below. */
typedef struct glow_layout {
  int64_t row, panel;
} glow_layout;

/* What happens to an element v of a product before it is written over c:
 *   v += c (accumulate);  v += bias[j];  v *= scale[j];  v = max(v, 0), NaN kept (relu)
 * in this order, each where it is set. */
typedef struct glow_epilogue {
  const float *bias;  /* [n] or NULL */
  const float *scale; /* [n] or NULL */
  int32_t relu;
  int32_t accumulate;
} glow_epilogue;

/* Panels of a packed matrix of n columns, and floats of a packed [k, n], for which the memory is
 * aligned to 64 bytes. */
GLOW_API int64_t glow_math_panel_count(const glow_math *math, int64_t n);
GLOW_API int64_t glow_math_packed_floats(const glow_math *math, int64_t k, int64_t n);
/* Rows of `stride` floats. */
GLOW_API glow_layout glow_math_rows(const glow_math *math, int64_t stride);
/* A packed matrix [k, n]. What one product writes like this can be B, or A, of the next. */
GLOW_API glow_layout glow_math_panels(const glow_math *math, int64_t k, int64_t n);
/* Packs panels [first, last) of B [k, n], whose element (i, j) lies at b[i*rs + j*cs]. */
GLOW_API void glow_math_pack(const glow_math *math, int64_t k, int64_t n, const float *b,
                             int64_t rs, int64_t cs, float *packed, int64_t first, int64_t last);
/* C [m, n] = epilogue(A B), A [m, k]. Only columns of panels [first, last) are computed; c, bias and
 * scale point at column 0. */
GLOW_API void glow_math_multiply(const glow_math *math, int64_t m, int64_t n, int64_t k,
                                 const float *a, glow_layout a_layout, const float *packed,
                                 float *c, glow_layout c_layout, int64_t first, int64_t last,
                                 const glow_epilogue *epilogue);
/* The same with A', where A is [k, m]. */
GLOW_API void glow_math_multiply_transposed(const glow_math *math, int64_t m, int64_t n, int64_t k,
                                            const float *a, glow_layout a_layout,
                                            const float *packed, float *c, glow_layout c_layout,
                                            int64_t first, int64_t last,
                                            const glow_epilogue *epilogue);
/* Back through h = relu((a + bias) scale). d [rows, n], laid out like h, is the gradient of h:
 *   g = d where h > 0, else 0;  sum_scale[j] = sum g h;  d = g scale;  sum_bias[j] = sum d */
GLOW_API void glow_math_relu_backward(const glow_math *math, int64_t rows, int64_t n,
                                      const float *h, const float *scale, float *d,
                                      glow_layout layout, float *sum_bias, float *sum_scale);

/* ---- functions over arrays ------------------------------------------------------------------- */

/* y[i] from x[i]; y may be x. An element's result depends on that element alone. Against double
 * precision: at most 2 units in the last place, log at most 1. NaN gives NaN. */
GLOW_API void glow_math_exp(const glow_math *math, int64_t n, const float *x, float *y);
GLOW_API void glow_math_log(const glow_math *math, int64_t n, const float *x, float *y);
GLOW_API void glow_math_tanh(const glow_math *math, int64_t n, const float *x, float *y);
GLOW_API void glow_math_softplus(const glow_math *math, int64_t n, const float *x, float *y);
/* y = 1 / (1 + exp(-x)), complement = 1 - y, log_y = log y, none of them by a difference that
 * cancels; complement and log_y may be NULL. */
GLOW_API void glow_math_sigmoid(const glow_math *math, int64_t n, const float *x, float *y,
                                float *complement, float *log_y);

/* ---- moments --------------------------------------------------------------------------------- */

/* Means and variances of channels over batches, as data-dependent initialisation gathers them, in
 * memory of glow_moments_bytes(channels) that starts as zeros (glow_call_initialise_state). */
typedef struct glow_moments glow_moments;
GLOW_API size_t glow_moments_bytes(int64_t channels);
/* Adds the rows of x [pixels, channels]. */
GLOW_API void glow_moments_add(glow_moments *moments, int64_t pixels, int64_t channels,
                               const float *x);
/* Mean and biased variance of one channel of all that was added. */
GLOW_API void glow_moments_channel(const glow_moments *moments, int64_t channels, int64_t channel,
                                   double *mean, double *variance);

/* ---- random numbers by position -------------------------------------------------------------- */

/* Element `position + i` of the sequence of (seed, stream), Philox4x32-10; a function of these
 * alone. Streams keep uses apart; starting values of tensors are of GLOW_STREAM_RESET. */
enum { GLOW_STREAM_USER = 0, GLOW_STREAM_RESET = 1, GLOW_STREAM_SAMPLE = 2, GLOW_STREAM_NOISE = 3 };
/* In [0, 1), multiples of 2^-24. */
GLOW_API void glow_random_uniform(uint64_t seed, uint64_t stream, uint64_t position, float *out,
                                  int64_t count);
/* Standard normal. */
GLOW_API void glow_random_normal(uint64_t seed, uint64_t stream, uint64_t position, float *out,
                                 int64_t count);
/* Of 0 .. count - 1. */
GLOW_API void glow_random_permutation(uint64_t seed, uint64_t stream, uint64_t position,
                                      int32_t *out, int64_t count);
/* A seed for part `index` of something seeded, so that parts differ. */
GLOW_API uint64_t glow_random_derive(uint64_t seed, uint64_t index);

#ifdef __cplusplus
}
#endif
#endif
