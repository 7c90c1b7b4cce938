/* What all kernels with vector types share. SIMD_WIDTH, SIMD_VECTORS and SIMD_ROWS: see
 * kernels_simd.h. SPDX-License-Identifier: MIT */
#ifndef GLOW_LIB_SIMD_H
#define GLOW_LIB_SIMD_H

#include "math/kernels.h"

#if SIMD_WIDTH >= 8
#include <immintrin.h>
#endif

typedef float vec __attribute__((vector_size(SIMD_WIDTH * 4)));
typedef float vec_unaligned __attribute__((vector_size(SIMD_WIDTH * 4), aligned(4)));
typedef int32_t mask __attribute__((vector_size(SIMD_WIDTH * 4)));

enum { PANEL = SIMD_WIDTH * SIMD_VECTORS };

/* Loops over rows and vectors must be unrolled, or the sums would be in memory. */
#ifdef __clang__
#define UNROLL _Pragma("clang loop unroll(full)")
#else
#define UNROLL _Pragma("GCC unroll 16")
#endif
#define INLINE static inline __attribute__((always_inline))
#define NOINLINE static __attribute__((noinline))

/* Prefetches a line that may be past the end of the array. */
INLINE void prefetch(const void *from, int64_t bytes) {
  __builtin_prefetch((const void *)((uintptr_t)from + (uintptr_t)bytes));
}
INLINE void prefetch_second_level(const void *from, int64_t bytes) {
  __builtin_prefetch((const void *)((uintptr_t)from + (uintptr_t)bytes), 0, 2);
}
enum { AHEAD = 8, AHEAD_PANEL = 4, LINE = 16 }; /* steps: 110 and 50 cycles; floats in a line */

/* ---- the rows of a product ------------------------------------------------------------------- */

/* The sizes of tiles, with a name for each: SIMD_ROWS rows, and smaller ones for the remainder.
 * With few sums in a tile the multiply-adders wait for each other, so two tiles of about half the
 * size are better than a whole one and one of few rows. */
enum { HALF = SIMD_ROWS / 2 + 1 };
#define EACH_TILE_SIZE(DEFINE)                                                                     \
  DEFINE(full, SIMD_ROWS)                                                                          \
  DEFINE(half, HALF)                                                                               \
  DEFINE(quarter, HALF / 2)                                                                        \
  DEFINE(single, 1)

/* TILE(size, rows, i) for tiles that cover rows 0 to m - 1. */
#define EACH_TILE(m, TILE)                                                                         \
  do {                                                                                             \
    int64_t i_ = 0;                                                                                \
    TILES_(m, TILE, full, SIMD_ROWS, SIMD_ROWS + HALF)                                             \
    if ((m)-i_ == SIMD_ROWS || (m)-i_ == SIMD_ROWS + HALF / 2)                                     \
      TILES_(m, TILE, full, SIMD_ROWS, SIMD_ROWS)                                                  \
    TILES_(m, TILE, half, HALF, HALF)                                                              \
    TILES_(m, TILE, quarter, HALF / 2, HALF / 2)                                                   \
    TILES_(m, TILE, single, 1, 1)                                                                  \
  } while (0)
#define TILES_(m, TILE, size, rows, least)                                                         \
  for (; (m)-i_ >= (least); i_ += (rows))                                                          \
    TILE(size, rows, i_);

/* Rows of A are reached from one pointer for each GROUP of them, which takes few registers. The
 * compiler would make one pointer and as many offsets as there are rows, and load these at each
 * step, so it must not see where a pointer comes from. Row r: ROW(groups, r, rs). */
enum { GROUP = 4, GROUPS = (SIMD_ROWS + GROUP - 1) / GROUP };
#define POINT_AT_GROUPS(groups, rows, a, rs)                                                       \
  UNROLL                                                                                           \
  for (int64_t g_ = 0; g_ * GROUP < (rows); g_++) {                                                \
    groups[g_] = (a) + g_ * GROUP * (rs);                                                          \
    __asm__("" : "+r"(groups[g_]));                                                                \
  }
#define ADVANCE_GROUPS(groups, rows, step)                                                         \
  UNROLL                                                                                           \
  for (int64_t g_ = 0; g_ * GROUP < (rows); g_++)                                                  \
    groups[g_] += (step);
#define ROW(groups, r, rs) (groups)[(r) / GROUP][(r) % GROUP * (rs)]

/* The sums of a tile: in registers while it is computed, as `rows` is a constant. */
typedef vec tile_sums[SIMD_ROWS][SIMD_VECTORS];

INLINE void clear_sums(int64_t rows, tile_sums sums) {
  UNROLL
  for (int64_t r = 0; r < rows; r++)
    UNROLL
  for (int64_t v = 0; v < SIMD_VECTORS; v++)
    sums[r][v] = (vec){0};
}

INLINE void copy_sums(int64_t rows, const vec (*sums)[SIMD_VECTORS], tile_sums out) {
  UNROLL
  for (int64_t r = 0; r < rows; r++)
    UNROLL
  for (int64_t v = 0; v < SIMD_VECTORS; v++)
    out[r][v] = sums[r][v];
}

/* ---- parts of vectors ------------------------------------------------------------------------ */

/* The first n of fewer elements than a vector has; the others are 0, and their memory is not
 * touched. */
#if SIMD_WIDTH == 16
INLINE vec load_first(const float *from, int64_t n) {
  return _mm512_maskz_loadu_ps((__mmask16)((1u << n) - 1u), from);
}
INLINE void store_first(float *to, vec v, int64_t n) {
  _mm512_mask_storeu_ps(to, (__mmask16)((1u << n) - 1u), v);
}
#elif SIMD_WIDTH == 8
INLINE __m256i first_lanes(int64_t n) {
  return _mm256_cmpgt_epi32(_mm256_set1_epi32((int32_t)n),
                            _mm256_setr_epi32(0, 1, 2, 3, 4, 5, 6, 7));
}
INLINE vec load_first(const float *from, int64_t n) {
  return _mm256_maskload_ps(from, first_lanes(n));
}
INLINE void store_first(float *to, vec v, int64_t n) {
  _mm256_maskstore_ps(to, first_lanes(n), v);
}
#else
INLINE vec load_first(const float *from, int64_t n) {
  vec v = {0};
  for (int64_t i = 0; i < n; i++)
    v[i] = from[i];
  return v;
}
INLINE void store_first(float *to, vec v, int64_t n) {
  for (int64_t i = 0; i < n; i++)
    to[i] = v[i];
}
#endif

/* The same, or all if n is not smaller. */
INLINE vec load_part(const float *from, int64_t n) {
  return n < SIMD_WIDTH ? load_first(from, n) : *(const vec_unaligned *)from;
}
INLINE void store_part(float *to, vec v, int64_t n) {
  if (n < SIMD_WIDTH)
    store_first(to, v, n);
  else
    *(vec_unaligned *)to = v;
}

/* ---- the end of a product -------------------------------------------------------------------- */

/* max(v, 0), except that NaN, which is not below 0, stays. */
INLINE vec rectify(vec v) {
  mask below = v < (vec){0};
  return (vec)((mask)v & ~below);
}

/* Columns [j, j + n) of bias or scale, as many as a vector has; anything where there is none. */
INLINE vec load_columns(const float *row, int64_t j, int64_t n) {
  return row ? load_part(row + j, n) : (vec){0};
}

/* glow__finish of the first n columns of a vector; to: their place. */
INLINE vec finish(vec v, const float *to, vec bias, vec scale, int64_t n, const glow_epilogue *e) {
  if (e->accumulate)
    v = v + load_part(to, n);
  if (e->bias)
    v = v + bias;
  if (e->scale)
    v = v * scale;
  return e->relu ? rectify(v) : v;
}

#endif
