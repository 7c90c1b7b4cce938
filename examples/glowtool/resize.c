/* Resizing by area, separably: rows, then columns. SPDX-License-Identifier: MIT */
#include "resize.h"

#include <math.h>
#include <stdlib.h>

/* Output i of `size` covers [i s, (i+1) s) of the input, s = side/size. Adds that mean along one
 * dimension of `count` inputs `stride` apart. */
static double mean_over(const double *line, int64_t stride, int64_t side, int64_t size, int64_t i) {
  double step = (double)side / (double)size, begin = (double)i * step, end = begin + step, sum = 0;
  for (int64_t p = (int64_t)begin; p < side && (double)p < end; p++) {
    double low = begin > (double)p ? begin : (double)p;
    double high = end < (double)(p + 1) ? end : (double)(p + 1);
    sum += (high - low) * line[p * stride];
  }
  return sum / step;
}

bool resize_crop(const uint8_t *from, int64_t height, int64_t width, int64_t channels, int64_t size,
                 uint8_t *to) {
  int64_t side = height < width ? height : width;
  int64_t top = (height - side) / 2, left = (width - side) / 2;
  double *square = malloc((size_t)(side * side * channels) * sizeof *square);
  double *narrow = malloc((size_t)(side * size * channels) * sizeof *narrow);
  if (!square || !narrow) {
    free(square);
    free(narrow);
    return false;
  }
  for (int64_t y = 0; y < side; y++)
    for (int64_t x = 0; x < side * channels; x++)
      square[y * side * channels + x] = from[((top + y) * width + left) * channels + x];
  for (int64_t y = 0; y < side; y++)
    for (int64_t x = 0; x < size; x++)
      for (int64_t c = 0; c < channels; c++)
        narrow[(y * size + x) * channels + c] =
            mean_over(square + y * side * channels + c, channels, side, size, x);
  for (int64_t y = 0; y < size; y++)
    for (int64_t x = 0; x < size * channels; x++)
      to[y * size * channels + x] =
          (uint8_t)lround(mean_over(narrow + x, size * channels, side, size, y));
  free(square);
  free(narrow);
  return true;
}
