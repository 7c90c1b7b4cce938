/* The peak of fused multiply-adds: twelve chains that wait for nothing but their own latency. Other
 * programs change it from moment to moment, so it is measured beside what is compared with it, on
 * as many threads. SPDX-License-Identifier: MIT */
#include <string.h>
#include <time.h>

#include "bench.h"

double bench_now(void) {
  struct timespec t;
  clock_gettime(CLOCK_MONOTONIC, &t);
  return (double)t.tv_sec + 1e-9 * (double)t.tv_nsec;
}

/* ---- one core -------------------------------------------------------------------------------- */

#define EACH_CHAIN(X) X(0) X(1) X(2) X(3) X(4) X(5) X(6) X(7) X(8) X(9) X(10) X(11)
enum { CHAINS = 12 };

/* The compiler must not know that all chains hold the same. */
#define START(i)                                                                                   \
  vec s##i = first;                                                                                \
  __asm__ volatile("" : "+" KEEP_IN(s##i));
#define STEP(i) s##i = FUSED(s##i, factor, first);
#define KEEP(i) __asm__ volatile("" : "+" KEEP_IN(s##i));

/* Runs `rounds` rounds. FUSED and KEEP_IN are the instruction set's. Returns the operations in a
 * round. */
#define CHAINS_OF(name, attribute, type, broadcast, width)                                         \
  attribute static int name(int64_t rounds) {                                                      \
    typedef type vec;                                                                              \
    vec first = broadcast(1e-3f), factor = broadcast(0.5f);                                        \
    EACH_CHAIN(START)                                                                              \
    for (int64_t r = 0; r < rounds; r++) {                                                         \
      EACH_CHAIN(STEP)                                                                             \
    }                                                                                              \
    EACH_CHAIN(KEEP)                                                                               \
    return 2 * CHAINS * (width);                                                                   \
  }

#if defined(__x86_64__)
#include <immintrin.h>
#define KEEP_IN(s) "v"(s)
#define FUSED _mm512_fmadd_ps
CHAINS_OF(chains_16, __attribute__((target("avx512f"))), __m512, _mm512_set1_ps, 16)
#undef FUSED
#undef KEEP_IN
#define KEEP_IN(s) "x"(s)
#define FUSED _mm256_fmadd_ps
CHAINS_OF(chains_8, __attribute__((target("avx2,fma"))), __m256, _mm256_set1_ps, 8)
#undef FUSED
#undef KEEP_IN
#elif defined(__aarch64__)
#include <arm_neon.h>
#define KEEP_IN(s) "w"(s)
#define FUSED(s, a, b) vfmaq_f32(b, s, a)
CHAINS_OF(chains_4, , float32x4_t, vdupq_n_f32, 4)
#undef FUSED
#undef KEEP_IN
#endif
#define KEEP_IN(s) "m"(s)
#define FUSED(s, a, b) ((s) * (a) + (b))
#define SCALAR(x) (x)
CHAINS_OF(chains_1, , float, SCALAR, 1)

typedef int (*chains_fn)(int64_t rounds);

static chains_fn chains_of(const char *provider) {
  (void)provider;
#if defined(__x86_64__)
  if (strcmp(provider, "avx2") != 0 && __builtin_cpu_supports("avx512f"))
    return chains_16;
  if (__builtin_cpu_supports("avx2") && __builtin_cpu_supports("fma"))
    return chains_8;
#elif defined(__aarch64__)
  return chains_4;
#endif
  return chains_1;
}

double bench_peak(const char *provider, int64_t rounds) {
  double begin = bench_now();
  int operations = chains_of(provider)(rounds);
  return 1e-9 * operations * (double)rounds / (bench_now() - begin);
}

/* ---- all workers ----------------------------------------------------------------------------- */

enum { ROUNDS = 30000, PIECES = 100 }; /* pieces of 0.1 ms, so that workers end together */

static void piece(void *arg, uint32_t task, uint32_t worker) {
  (void)task;
  (void)worker;
  (*(chains_fn *)arg)(ROUNDS);
}

double bench_peak_of(const glow_executor *executor, const char *provider) {
  chains_fn chains = chains_of(provider);
  uint32_t pieces = PIECES * executor->workers;
  double begin = bench_now();
  executor->run(executor->payload, piece, &chains, pieces);
  return 1e-9 * chains(1) * ROUNDS * pieces / (bench_now() - begin);
}
