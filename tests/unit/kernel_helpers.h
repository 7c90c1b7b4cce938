/* What the tests of kernels share: random sizes and numbers, and the end of a product in double.
 * SPDX-License-Identifier: MIT */
#ifndef GLOW_TESTS_KERNEL_HELPERS_H
#define GLOW_TESTS_KERNEL_HELPERS_H

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "math/kernels.h"

enum { MOST_M = 70, MOST_N = 130, MOST_K = 600, BEYOND = 8 /* numbers behind each array */ };

static uint64_t state; /* the seed */

static inline int64_t below(int64_t n) {
  state = state * 6364136223846793005u + 1442695040888963407u;
  return (int64_t)((state >> 33) % (uint64_t)n);
}

/* Aligned like packed weights, filled with 0x5a. */
static inline void *room(int64_t count, size_t size) {
  size_t bytes = ((size_t)(count + BEYOND) * size + 63) / 64 * 64;
  void *memory = aligned_alloc(64, bytes);
  assert_non_null(memory);
  memset(memory, 0x5a, bytes);
  return memory;
}

/* In [-1, 1]. */
static inline float *numbers(int64_t count) {
  float *x = room(count, sizeof *x);
  for (int64_t i = 0; i < count; i++)
    x[i] = (float)below(2001) / 1000.0f - 1.0f;
  return x;
}

static inline float *copy_of(const float *from, int64_t count) {
  float *x = room(count, sizeof *x);
  memcpy(x, from, (size_t)(count + BEYOND) * sizeof *x);
  return x;
}

/* Any of its parts, or none. */
static inline glow_epilogue random_epilogue(const float *bias, const float *scale) {
  glow_epilogue e = {0};
  e.bias = below(2) ? bias : NULL;
  e.scale = below(2) ? scale : NULL;
  e.relu = (int32_t)below(2);
  e.accumulate = (int32_t)below(2);
  return e;
}

/* glow__finish in double. */
static inline double finish_exactly(double sum, float before, int64_t j, const glow_epilogue *e) {
  if (e->accumulate)
    sum += (double)before;
  if (e->bias)
    sum += (double)e->bias[j];
  if (e->scale)
    sum *= (double)e->scale[j];
  return e->relu && sum < 0 ? 0 : sum;
}

#endif
