/* 3x3 convolution as matrix products: gathering and summing of taps. SPDX-License-Identifier: MIT
 * */
#include "math/conv.h"

#include <string.h>

void glow__gather3x3(int64_t height, int64_t width, int64_t channels, const float *x,
                     int64_t x_stride, int32_t sign, int64_t first, int64_t last, float *out) {
  size_t bytes = (size_t)channels * sizeof *out;
  int64_t row = first / width, column = first % width;
  for (int64_t p = first; p < last; p++) {
    for (int64_t t = 0; t < 9; t++, out += channels) {
      int64_t r = row + sign * (t / 3 - 1), c = column + sign * (t % 3 - 1);
      if (r < 0 || r >= height || c < 0 || c >= width)
        memset(out, 0, bytes);
      else
        memcpy(out, x + (r * width + c) * x_stride, bytes);
    }
    if (++column == width) {
      column = 0;
      row++;
    }
  }
}

void glow__sum3x3(int64_t height, int64_t width, int64_t channels, const float *a, int32_t sign,
                  int64_t first, int64_t last, float *out, int64_t out_stride) {
  int64_t row = first / width, column = first % width;
  for (int64_t p = first; p < last; p++) {
    float *to = out + p * out_stride;
    for (int64_t t = 0; t < 9; t++) {
      int64_t r = row + sign * (t / 3 - 1), c = column + sign * (t % 3 - 1);
      if (r < 0 || r >= height || c < 0 || c >= width)
        continue;
      const float *from = a + ((r * width + c) * 9 + t) * channels;
      for (int64_t i = 0; i < channels; i++)
        to[i] += from[i];
    }
    if (++column == width) {
      column = 0;
      row++;
    }
  }
}
