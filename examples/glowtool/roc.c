/* The statistic from two sorted lists: each number of `high` counts the numbers of `low` below it.
 * SPDX-License-Identifier: MIT */
#include "roc.h"

#include <stdlib.h>

static int by_size(const void *a, const void *b) {
  double x = *(const double *)a, y = *(const double *)b;
  return (x > y) - (x < y);
}

double area_under_curve(double *low, int64_t low_count, double *high, int64_t high_count) {
  int64_t below = 0, up_to = 0;
  double pairs = 0.0;
  qsort(low, (size_t)low_count, sizeof *low, by_size);
  qsort(high, (size_t)high_count, sizeof *high, by_size);
  for (int64_t i = 0; i < high_count; i++) {
    while (below < low_count && low[below] < high[i])
      below++;
    while (up_to < low_count && low[up_to] <= high[i])
      up_to++;
    pairs += 0.5 * (double)(below + up_to);
  }
  return pairs / ((double)low_count * (double)high_count);
}
