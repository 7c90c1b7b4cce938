/* What all kernels over vector types share. SIMD_WIDTH, SIMD_VECTORS and SIMD_ROWS: see
 * kernels_simd.h. SPDX-License-Identifier: MIT */
#ifndef GLOW_LIB_SIMD_H
#define GLOW_LIB_SIMD_H

#include "math/kernels.h"

typedef float vec __attribute__((vector_size(SIMD_WIDTH * 4)));
typedef float vec_unaligned __attribute__((vector_size(SIMD_WIDTH * 4), aligned(4)));
typedef int32_t mask __attribute__((vector_size(SIMD_WIDTH * 4)));

enum { PANEL = SIMD_WIDTH * SIMD_VECTORS };

/* Loops over rows and vectors must vanish, or the sums would live in memory. */
#ifdef __clang__
#define UNROLL _Pragma("clang loop unroll(full)")
#else
#define UNROLL _Pragma("GCC unroll 16")
#endif
#define INLINE static inline __attribute__((always_inline))

/* Asks for a line that may lie past the end of the array. */
INLINE void prefetch(const void *from, int64_t bytes) {
  __builtin_prefetch((const void *)((uintptr_t)from + (uintptr_t)bytes));
}
enum { AHEAD = 16 }; /* rows: some 200 cycles of work */

/* ---- the rows of a product ------------------------------------------------------------------- */

/* TILE(rows, i) for tiles that cover rows 0 to m - 1; `rows` is a constant in each. Tiles of
 * SIMD_ROWS rows, and smaller ones for what is left: with few sums in a tile the multiply-adders
 * wait for each other, so rather two of about half than one whole and one of few rows. */
enum { HALF = SIMD_ROWS / 2 + 1 };
#define EACH_TILE(m, TILE)                                                                         \
  do {                                                                                             \
    int64_t i_ = 0;                                                                                \
    TILES_(m, TILE, SIMD_ROWS, SIMD_ROWS + HALF)                                                   \
    if ((m)-i_ == SIMD_ROWS)                                                                       \
      TILES_(m, TILE, SIMD_ROWS, SIMD_ROWS)                                                        \
    TILES_(m, TILE, HALF, HALF)                                                                    \
    TILES_(m, TILE, HALF / 2, HALF / 2)                                                            \
    TILES_(m, TILE, 1, 1)                                                                          \
  } while (0)
#define TILES_(m, TILE, rows, least)                                                               \
  for (; (m)-i_ >= (least); i_ += (rows))                                                          \
    TILE(rows, i_);

/* ---- the end of a product -------------------------------------------------------------------- */

/* max(v, 0), where NaN, which is not below 0, stays. */
INLINE vec rectify(vec v) {
  mask below = v < (vec){0};
  return (vec)((mask)v & ~below);
}

/* glow__finish for columns j and on; `before` stands where c does. */
INLINE vec finish(vec v, const float *before, int64_t j, const glow__epilogue *e) {
  if (e->accumulate)
    v = v + *(const vec_unaligned *)(before + j);
  if (e->bias)
    v = v + *(const vec_unaligned *)(e->bias + j);
  if (e->scale)
    v = v * *(const vec_unaligned *)(e->scale + j);
  return e->relu ? rectify(v) : v;
}

#endif
