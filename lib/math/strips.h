/* Strips: fixed runs of pixels over a whole batch, the unit of work of convolutional nets. A
 * strip's activations stay in the second-level cache. The cuts depend on shapes alone, so results
 * do not depend on threads. SPDX-License-Identifier: MIT */
#ifndef GLOW_LIB_STRIPS_H
#define GLOW_LIB_STRIPS_H

#include <stdint.h>

#include <glow/sys/math.h>

#define GLOW_STRIP 128 /* pixels: 256 KiB for each 512-channel activation */

static inline int64_t glow__strip_count(int64_t pixels) {
  return (pixels + GLOW_STRIP - 1) / GLOW_STRIP;
}
/* Where a strip of a batch of this many pixels ends. */
static inline int64_t glow__strip_end(int64_t first, int64_t pixels) {
  return pixels - first < GLOW_STRIP ? pixels : first + GLOW_STRIP;
}
/* Size of a region that holds `floats` for each strip of any batch: fixed and per sample. */
static inline int64_t glow__strip_fixed(int64_t floats) {
  return floats;
}
static inline int64_t glow__strip_per_sample(int64_t image_pixels, int64_t floats) {
  return glow__strip_count(image_pixels) * floats;
}

/* gather3x3 (math/pointwise.h) for pixels [first, last) of a batch of images, which may be in
 * several of them: out [last - first, 9 channels]. */
void glow__strip_gather(const glow_math *math, int64_t height, int64_t width, int64_t channels,
                        const float *x, int64_t stride, int32_t sign, int64_t first, int64_t last,
                        float *out);
/* sum3x3 for the same pixels, added to out, pixels of `stride` floats; a [pixels, 9 channels] and
 * out start at the batch's first pixel. */
void glow__strip_sum(const glow_math *math, int64_t height, int64_t width, int64_t channels,
                     const float *a, int32_t sign, int64_t first, int64_t last, float *out,
                     int64_t stride);

/* Sums over strips, in order and in double: sums[j] = sum_s partial[s*count + j]. */
void glow__strip_total(int64_t strips, int64_t count, const float *partial, double *sums);

/* Adds rows [first, last) of c [9, a, b] (row (t, i), column j) into a convolution's gradient
 * [.., .., 3, 3] whose element (i, j, t) lies at g[i*i_stride + j*j_stride + t]. c starts at row 0,
 * with a row stride of c_stride. */
void glow__taps_add(int64_t a, int64_t b, int64_t first, int64_t last, const float *c,
                    int64_t c_stride, float *g, int64_t i_stride, int64_t j_stride);

#endif
