/* Speed of the kernels on the products of Glow's networks, on one core: GFLOP/s and the fraction of
 * the core's fused-multiply-add peak, which is measured between the cases so that both see the same
 * clock. Each figure is the best of several short runs: other programs only make a run slower.
 *
 *   bench_kernels [provider] [milliseconds for each case, default 100]
 *
 * SPDX-License-Identifier: MIT */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include <glow/glow.h>

#include "math/kernels.h"

static double now(void) {
  struct timespec t;
  clock_gettime(CLOCK_MONOTONIC, &t);
  return (double)t.tv_sec + 1e-9 * (double)t.tv_nsec;
}

/* ---- peak: chains of multiply-adds that wait for nothing but their own latency ---------------- */

/* Operations of one round: rounds x chains x width x 2. */
#define PEAK(name, width, chains, attribute)                                                       \
  attribute static double name(int64_t rounds, float *sink) {                                      \
    typedef float vec __attribute__((vector_size(width * 4)));                                     \
    vec sums[chains] = {{0}}, x = {0}, y = {0};                                                    \
    for (int i = 0; i < width; i++)                                                                \
      x[i] = y[i] = sink[i];                                                                       \
    for (int64_t r = 0; r < rounds; r++) {                                                         \
      _Pragma("GCC unroll 12") for (int i = 0; i < chains; i++) sums[i] = sums[i] * x + y;         \
    }                                                                                              \
    for (int i = 0; i < chains; i++)                                                               \
      sink[0] += sums[i][0];                                                                       \
    return 2.0 * (double)rounds * chains * width;                                                  \
  }

#define FUSED __attribute__((optimize("O2", "fp-contract=fast")))
#if defined(GLOW_HAVE_X86_KERNELS)
PEAK(peak_512, 16, 12, __attribute__((target("avx512f,prefer-vector-width=512"))))
PEAK(peak_256, 8, 12, __attribute__((target("avx2,fma"))))
#else
PEAK(peak_plain, 4, 12, )
#endif
