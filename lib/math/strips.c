/* Strips of pixels: taps gathered and summed over image borders, sums, gradients of taps.
 * SPDX-License-Identifier: MIT */
#include "math/strips.h"

#include "math/kernels.h"

void glow__strip_gather(const glow_math *math, int64_t height, int64_t width, int64_t channels,
                        const float *x, int64_t stride, int32_t sign, int64_t first, int64_t last,
                        float *out) {
  const glow__pointwise *pointwise = &glow__math_kernels(math)->pointwise;
  int64_t image = height * width;
  while (first < last) {
    int64_t n = first / image, from = first - n * image;
    int64_t to = last - n * image < image ? last - n * image : image;
    pointwise->gather3x3(height, width, channels, x + n * image * stride, stride, sign, from, to,
                         out);
    out += (to - from) * 9 * channels;
    first += to - from;
  }
}

void glow__strip_sum(const glow_math *math, int64_t height, int64_t width, int64_t channels,
                     const float *a, int32_t sign, int64_t first, int64_t last, float *out,
                     int64_t stride) {
  const glow__pointwise *pointwise = &glow__math_kernels(math)->pointwise;
  int64_t image = height * width;
  while (first < last) {
    int64_t base = first / image * image;
    int64_t to = last - base < image ? last - base : image;
    pointwise->sum3x3(height, width, channels, a + base * 9 * channels, sign, first - base, to,
                      out + base * stride, stride);
    first = base + to;
  }
}

void glow__strip_total(int64_t strips, int64_t count, const float *partial, double *sums) {
  for (int64_t j = 0; j < count; j++)
    sums[j] = 0.0;
  for (int64_t s = 0; s < strips; s++)
    for (int64_t j = 0; j < count; j++)
      sums[j] += (double)partial[s * count + j];
}

void glow__taps_add(int64_t a, int64_t b, int64_t first, int64_t last, const float *c,
                    int64_t c_stride, float *g, int64_t i_stride, int64_t j_stride) {
  for (int64_t row = first; row < last; row++) {
    float *to = g + row % a * i_stride + row / a;
    for (int64_t j = 0; j < b; j++)
      to[j * j_stride] += c[row * c_stride + j];
  }
}
