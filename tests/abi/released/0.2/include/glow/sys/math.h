/* Fast arithmetic over arrays, for layers and nets: products of matrices, convolutions, functions,
 * moments, random numbers. The context's kernels compute it, with the same bits for any number of
 * threads, and for a sample alone or anywhere in a batch (except with the "cblas" kernels). Nothing
 * here allocates, and everything may be called from several threads at once on different outputs.
 * SPDX-License-Identifier: MIT */
#ifndef GLOW_SYS_MATH_H
#define GLOW_SYS_MATH_H

#include <glow/sys/base.h>

#ifdef __cplusplus
extern "C" {
#endif

/* The kernels of a context. They live as long as the context, and are constant, so threads may
 * share them. */
typedef struct glow_math glow_math;
/* The kernels of this context. */
GLOW_API const glow_math *glow_context_math(const glow_context *context);

/* ---- products of matrices -------------------------------------------------------------------- */

/* C = A B. B is *packed*: copied into the order in which a product reads it, panel after panel of a
 * fixed number of columns. Pack a weight once and use it for many products. Matrices are float32.
 * Each element is one chain of additions over k = 0, 1, ... */

/* Where the elements of A or C are: element (i, j) is at i*row + j/width*panel + j%width. Made by
 * glow_math_rows and glow_math_panels. */
typedef struct glow_layout {
  int64_t row, panel; /* how far apart rows and panels are */
  int64_t width;      /* columns in a panel */
} glow_layout;

/* What happens to an element v of a product before it replaces c, in this order, each where it is
 * set:
 *   v += c (accumulate);  v += bias[j];  v *= scale[j];  v = max(v, 0), NaN stays (relu) */
typedef struct glow_epilogue {
  const float *bias;  /* [n] or NULL */
  const float *scale; /* [n] or NULL */
  int32_t relu;
  int32_t accumulate;
} glow_epilogue;

/* Number of panels of a packed matrix of n columns. */
GLOW_API int64_t glow_math_panel_count(const glow_math *math, int64_t n);
/* Floats of a packed matrix [k, n]; its memory must be aligned to 64 bytes. */
GLOW_API int64_t glow_math_packed_floats(const glow_math *math, int64_t k, int64_t n);
/* The layout of a matrix in rows of `stride` floats. */
GLOW_API glow_layout glow_math_rows(const glow_math *math, int64_t stride);
/* The layout of a packed matrix [k, n]. What one product writes in this layout can be B, or A, of
 * the next. */
GLOW_API glow_layout glow_math_panels(const glow_math *math, int64_t k, int64_t n);
/* Packs panels [first, last) of B [k, n], whose element (i, j) is at b[i*rs + j*cs]. */
GLOW_API void glow_math_pack(const glow_math *math, int64_t k, int64_t n, const float *b,
                             int64_t rs, int64_t cs, float *packed, int64_t first, int64_t last);
/* C [m, n] = epilogue(A B), where A is [m, k]. Only the columns of panels [first, last) are
 * computed; c, bias and scale point at column 0. */
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
/* Goes back through h = relu((a + bias) scale). d [rows, n], laid out like h, is the gradient of h:
 *   g = d where h > 0, else 0;  sum_scale[j] = sum g h;  d = g scale;  sum_bias[j] = sum d */
GLOW_API void glow_math_relu_backward(const glow_math *math, int64_t rows, int64_t n,
                                      const float *h, const float *scale, float *d,
                                      glow_layout layout, float *sum_bias, float *sum_scale);

/* ---- convolutions ---------------------------------------------------------------------------- */

/* A convolution, 3x3 or 1x1, over a batch of images [height, width, channels]. Images keep their
 * size:
 *
 *   y[p, o] = sum over taps t and inputs i of w[o, i, t] x[p + off(t), i]
 * * with w [out, in, size, size], off(t) = (t / 3 - 1, t % 3 - 1) for 3x3 and 0 for 1x1, and x = 0
 * outside the image. Pixels are counted through the batch: pixel p of sample n has number n height
 * width + p. The `stride` of an array is the number of floats from one pixel to the next, which is
 * at least its channels. All functions but packing do a part of the work, and are called from the
 * caller's tasks:
 *
 *   glow_conv_pack             once for each change of w: for forward, and for the data gradient
 *   glow_conv_forward          y from x, for a range of pixels (128 is a good size)
 *   glow_conv_data_gradient    the gradient of x from that of y, for a range of pixels
 *   glow_conv_weight_gradient  the gradients of w and bias over all pixels, for a block of
 * weights */
typedef struct glow_conv {
  int64_t height, width; /* of an image */
  int64_t in, out;       /* channels */
  int64_t size;          /* of the filter: 3 or 1 */
} glow_conv;

/* Checks a convolution. GLOW_E_ARGUMENT, GLOW_E_SHAPE or GLOW_E_LIMIT says what is wrong: NULL, a
 * side or channels outside 1 to 2^24, a size other than 1 or 3, or more elements than can be
 * counted. The functions below are for convolutions that pass this check. */
GLOW_API glow_status glow_conv_check(const glow_conv *conv);
/* Number of elements of w. */
GLOW_API int64_t glow_conv_weight_floats(const glow_conv *conv);
/* Floats of packed weights, for forward (transposed 0) or the data gradient (transposed 1). Their
 * memory must be aligned to 64 bytes. */
GLOW_API int64_t glow_conv_packed_floats(const glow_math *math, const glow_conv *conv,
                                         int32_t transposed);
/* Packs the weights from w, which may be in the memory of `packed` itself. room:
 * glow_conv_weight_floats floats. */
GLOW_API void glow_conv_pack(const glow_math *math, const glow_conv *conv, int32_t transposed,
                             const float *w, float *room, float *packed);
/* Floats of a worker's room for a range of `pixels` pixels, for each of the next two functions. */
GLOW_API int64_t glow_conv_room_floats(const glow_conv *conv, int64_t pixels);
/* Writes pixels [first, last) of y = epilogue(x * w), for instance with a bias [out]; epilogue
 * NULL: none. x and y point at the first pixel of the batch. */
GLOW_API void glow_conv_forward(const glow_math *math, const glow_conv *conv, const float *packed,
                                int64_t first, int64_t last, const float *x, int64_t x_stride,
                                float *y, int64_t y_stride, const glow_epilogue *epilogue,
                                float *room);
/* Writes pixels [first, last) of dx = epilogue(dL/dx), from dy = dL/dy and weights packed with
 * transposed 1. */
GLOW_API void glow_conv_data_gradient(const glow_math *math, const glow_conv *conv,
                                      const float *packed, int64_t first, int64_t last,
                                      const float *dy, int64_t dy_stride, float *dx,
                                      int64_t dx_stride, const glow_epilogue *epilogue,
                                      float *room);
/* Number of parts into which the weight gradient is cut. */
GLOW_API int64_t glow_conv_gradient_parts(const glow_conv *conv);
/* Floats of a worker's room for one part; it must be aligned to 64 bytes. */
GLOW_API int64_t glow_conv_gradient_room_floats(const glow_math *math, const glow_conv *conv);
/* Computes part `part` of glow_conv_gradient_parts: ADDS the gradient of a block of w to dw [out,
 * in, size, size], summed over the first `pixels` pixels of a batch, which are whole images. Part 0
 * also ADDS the gradient of a bias to dbias [out] (NULL: there is none). Parts write to different
 * places. room: the worker's own. */
GLOW_API void glow_conv_weight_gradient(const glow_math *math, const glow_conv *conv, int64_t part,
                                        int64_t pixels, const float *x, int64_t x_stride,
                                        const float *dy, int64_t dy_stride, float *dw, float *dbias,
                                        float *room);

/* ---- functions over arrays ------------------------------------------------------------------- */

/* These compute y[i] from x[i] for n elements; y may be x. An element's result depends on that
 * element alone. Errors against double precision are at most 2 units in the last place, and at most
 * 1 for log. NaN gives NaN. */
/* y = exp(x) */
GLOW_API void glow_math_exp(const glow_math *math, int64_t n, const float *x, float *y);
/* y = log(x) */
GLOW_API void glow_math_log(const glow_math *math, int64_t n, const float *x, float *y);
/* y = tanh(x) */
GLOW_API void glow_math_tanh(const glow_math *math, int64_t n, const float *x, float *y);
/* y = log(1 + exp(x)) */
GLOW_API void glow_math_softplus(const glow_math *math, int64_t n, const float *x, float *y);
/* y = 1 / (1 + exp(-x)), complement = 1 - y, log_y = log y, each without cancellation. complement
 * and log_y may be NULL. */
GLOW_API void glow_math_sigmoid(const glow_math *math, int64_t n, const float *x, float *y,
                                float *complement, float *log_y);

/* ---- moments --------------------------------------------------------------------------------- */

/* Means and variances of channels over batches, as data-dependent initialisation gathers them. They
 * are in memory of glow_moments_bytes(channels) bytes that starts as zeros
 * (glow_call_initialise_state). */
typedef struct glow_moments glow_moments;
/* Bytes for the moments of this many channels. */
GLOW_API size_t glow_moments_bytes(int64_t channels);
/* Adds the rows of x [pixels, channels]. */
GLOW_API void glow_moments_add(glow_moments *moments, int64_t pixels, int64_t channels,
                               const float *x);
/* Writes the mean and the biased variance of one channel, over all rows that were added; a channel
 * that is constant has the variance 0, however large it is. */
GLOW_API void glow_moments_channel(const glow_moments *moments, int64_t channels, int64_t channel,
                                   double *mean, double *variance);

/* ---- random numbers by position -------------------------------------------------------------- */

/* These write elements position, position + 1, ... of the sequence of (seed, stream),
 * Philox4x32-10, which depend on nothing else. Streams keep different uses apart; starting values
 * of tensors come from GLOW_STREAM_RESET. */
enum { GLOW_STREAM_USER = 0, GLOW_STREAM_RESET = 1, GLOW_STREAM_SAMPLE = 2, GLOW_STREAM_NOISE = 3 };
/* Uniform in [0, 1), multiples of 2^-24. */
GLOW_API void glow_random_uniform(uint64_t seed, uint64_t stream, uint64_t position, float *out,
                                  int64_t count);
/* Standard normal. */
GLOW_API void glow_random_normal(uint64_t seed, uint64_t stream, uint64_t position, float *out,
                                 int64_t count);
/* A random permutation of 0 .. count - 1. */
GLOW_API void glow_random_permutation(uint64_t seed, uint64_t stream, uint64_t position,
                                      int32_t *out, int64_t count);
/* A seed for part `index` of something that has the seed `seed`, so that parts differ. */
GLOW_API uint64_t glow_random_derive(uint64_t seed, uint64_t index);

#ifdef __cplusplus
}
#endif
#endif
