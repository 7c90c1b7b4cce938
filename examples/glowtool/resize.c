/* Resizing by area, separably: rows, then columns. SPDX-License-Identifier: MIT */
#include "resize.h"

#include <math.h>
#include <stdlib.h>

/* Output i of `size` covers [i s, (i+1) s) of the input, s = side/size: the mean along one
 * dimension of elements that are `stride` apart. */
static double mean_over(const double *line, int64_t stride, int64_t side, int64_t size, int64_t i) {
  double step = (double)side / (double)size, begin = (double)i * step, end = begin + step, sum = 0;
  for (int64_t p = (int64_t)begin; p < side && (double)p < end; p++) {
    double low = begin > (double)p ? begin : (double)p;
    double high = end < (double)(p + 1) ? end : (double)(p + 1);
    sum += (high - low) * line[p * stride];
  }
  return sum / step;
}

/* round(a b / c), at least 1 and at most `most` */
static int64_t part(int64_t a, int64_t b, int64_t c, int64_t most) {
  int64_t value = (2 * a * b + c) / (2 * c);
  return value < 1 ? 1 : value > most ? most : value;
}

bool resize_crop(const uint8_t *from, int64_t height, int64_t width, int64_t channels,
                 int64_t to_height, int64_t to_width, uint8_t *to) {
  bool tall = height * to_width > width * to_height;
  int64_t rows = tall ? part(width, to_height, to_width, height) : height;
  int64_t columns = tall ? width : part(height, to_width, to_height, width);
  int64_t top = (height - rows) / 2, left = (width - columns) / 2;
  double *line = malloc((size_t)(columns * channels) * sizeof *line);
  double *narrow = malloc((size_t)(rows * to_width * channels) * sizeof *narrow);
  if (!line || !narrow) {
    free(line);
    free(narrow);
    return false;
  }
  for (int64_t y = 0; y < rows; y++) {
    for (int64_t x = 0; x < columns * channels; x++)
      line[x] = from[((top + y) * width + left) * channels + x];
    for (int64_t x = 0; x < to_width; x++)
      for (int64_t c = 0; c < channels; c++)
        narrow[(y * to_width + x) * channels + c] =
            mean_over(line + c, channels, columns, to_width, x);
  }
  for (int64_t y = 0; y < to_height; y++)
    for (int64_t x = 0; x < to_width * channels; x++)
      to[y * to_width * channels + x] =
          (uint8_t)lround(mean_over(narrow + x, to_width * channels, rows, to_height, y));
  free(line);
  free(narrow);
  return true;
}
