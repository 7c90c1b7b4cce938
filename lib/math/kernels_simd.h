/* Kernels over vector types: one source for all instruction sets. The file that includes this
 * defines
 *   SIMD_NAME     name of the table (a string) and SIMD_TABLE, its symbol
 *   SIMD_WIDTH    floats in a vector
 *   SIMD_VECTORS  vectors in a panel
 *   SIMD_ROWS     rows of the largest tile
 * and is compiled with -ffp-contract=fast, so that acc += a * b is one fused multiply-add.
 *
 * A tile keeps rows x vectors sums in registers; for each k it broadcasts one number of each row
 * of A and multiplies it with the panel's row k. The chain of additions of an element is k = 0, 1,
 * ... whatever the tile, so a row's result does not depend on the rows beside it. With few sums in
 * a tile the multiply-adders wait for each other: rows that are left over make tiles of about half.
 * SPDX-License-Identifier: MIT */

#include "math/kernels.h"

typedef float vec __attribute__((vector_size(SIMD_WIDTH * 4)));
typedef float vec_unaligned __attribute__((vector_size(SIMD_WIDTH * 4), aligned(4)));
typedef int32_t mask __attribute__((vector_size(SIMD_WIDTH * 4)));

enum { PANEL = SIMD_WIDTH * SIMD_VECTORS, HALF = SIMD_ROWS / 2 + 1 };

/* Loops over rows and vectors must vanish, or the sums would live in memory. */
#ifdef __clang__
#define UNROLL _Pragma("clang loop unroll(full)")
#else
#define UNROLL _Pragma("GCC unroll 16")
#endif
#define INLINE static inline __attribute__((always_inline))

/* Asks for a line that may lie past the end of the array. */
INLINE void prefetch(const float *from, int64_t distance) {
  __builtin_prefetch((const void *)((uintptr_t)from + (uintptr_t)distance * sizeof *from));
}
enum { AHEAD = 16 }; /* rows: some 200 cycles of work */

/* ---- packing --------------------------------------------------------------------------------- */

/* Rows that are contiguous (cs 1): copies. */
INLINE void pack_rows(int64_t k, int64_t width, const float *b, int64_t rs, float *to) {
  for (int64_t i = 0; i < k; i++, to += PANEL, b += rs) {
    for (int64_t j = 0; j < width; j++)
      to[j] = b[j];
    for (int64_t j = width; j < PANEL; j++)
      to[j] = 0.0f;
  }
}

/* Columns that are contiguous (rs 1): a transpose, in blocks of 16 rows so that lines are read
 * whole. */
INLINE void pack_columns(int64_t k, int64_t width, const float *b, int64_t rs, int64_t cs,
                         float *to) {
  enum { BLOCK = 16 };
  for (int64_t i0 = 0; i0 < k; i0 += BLOCK) {
    int64_t i1 = i0 + BLOCK < k ? i0 + BLOCK : k;
    for (int64_t j = 0; j < width; j++)
      for (int64_t i = i0; i < i1; i++)
        to[i * PANEL + j] = b[i * rs + j * cs];
    for (int64_t i = i0; i < i1; i++)
      for (int64_t j = width; j < PANEL; j++)
        to[i * PANEL + j] = 0.0f;
  }
}

static void pack(int64_t k, int64_t n, const float *b, int64_t rs, int64_t cs, float *packed,
                 int64_t first, int64_t last) {
  for (int64_t panel = first; panel < last; panel++) {
    int64_t width = n - panel * PANEL < PANEL ? n - panel * PANEL : PANEL;
    const float *from = b + panel * PANEL * cs;
    float *to = packed + panel * k * PANEL;
    if (cs == 1 && width == PANEL)
      pack_rows(k, PANEL, from, rs, to);
    else if (cs == 1)
      pack_rows(k, width, from, rs, to);
    else
      pack_columns(k, width, from, rs, cs, to);
  }
}

/* ---- the end of a product -------------------------------------------------------------------- */

/* max(v, 0), where NaN, which is not below 0, stays. */
INLINE vec rectify(vec v) {
  mask below = v < (vec){0};
  return (vec)((mask)v & ~below);
}

INLINE vec finish(vec v, vec before, int64_t j, const glow__epilogue *e) {
  if (e->accumulate)
    v = v + before;
  if (e->bias)
    v = v + *(const vec_unaligned *)(e->bias + j);
  if (e->scale)
    v = v * *(const vec_unaligned *)(e->scale + j);
  return e->relu ? rectify(v) : v;
}

/* Part of a vector at the right border: through a buffer, so that nothing beside it is touched. */
static void finish_part(vec v, float *c, int64_t width, int64_t j, const glow__epilogue *e) {
  for (int64_t i = 0; i < width; i++) {
    float value = v[i];
    if (e->accumulate)
      value += c[i];
    if (e->bias)
      value += e->bias[j + i];
    if (e->scale)
      value *= e->scale[j + i];
    c[i] = e->relu && value < 0.0f ? 0.0f : value;
  }
}

/* One row's sums into c, columns j and on, `width` of them. */
INLINE void store_row(const vec *sums, float *c, int64_t j, int64_t width,
                      const glow__epilogue *e) {
  for (int64_t v = 0; v < SIMD_VECTORS; v++, j += SIMD_WIDTH, width -= SIMD_WIDTH) {
    if (width >= SIMD_WIDTH) {
      vec before = e->accumulate ? *(const vec_unaligned *)(c + j) : (vec){0};
      *(vec_unaligned *)(c + j) = finish(sums[v], before, j, e);
    } else if (width > 0) {
      finish_part(sums[v], c + j, width, j, e);
    }
  }
}

/* ---- products -------------------------------------------------------------------------------- */

/* `rows` is a constant at each call, so that the sums stay in registers. */
INLINE void tile(int64_t rows, int64_t k, const float *a, int64_t rs, int64_t cs,
                 const float *panel, float *c, int64_t ldc, int64_t j, int64_t width,
                 const glow__epilogue *e) {
  vec sums[SIMD_ROWS][SIMD_VECTORS];
  UNROLL
  for (int64_t r = 0; r < rows; r++)
    UNROLL
  for (int64_t v = 0; v < SIMD_VECTORS; v++)
    sums[r][v] = (vec){0};
  for (int64_t i = 0; i < k; i++, a += cs, panel += PANEL) {
    const vec *b = (const vec *)(const void *)panel;
    prefetch(a + rows - 1, AHEAD * cs); /* with rs 1 new lines come one by one, far apart */
    UNROLL
    for (int64_t r = 0; r < rows; r++)
      UNROLL
    for (int64_t v = 0; v < SIMD_VECTORS; v++)
      sums[r][v] += a[r * rs] * b[v];
  }
  UNROLL
  for (int64_t r = 0; r < rows; r++)
    store_row(sums[r], c + r * ldc, j, width, e);
}

/* Tiles of SIMD_ROWS rows, and smaller ones for what is left: rather two of about half than one
 * whole and one of few rows. */
static void gemm(int64_t m, int64_t n, int64_t k, const float *a, int64_t rs, int64_t cs,
                 const float *packed, float *c, int64_t ldc, int64_t first, int64_t last,
                 const glow__epilogue *epilogue) {
  for (int64_t panel = first; panel < last; panel++) {
    const float *b = packed + panel * k * PANEL;
    int64_t j = panel * PANEL, width = n - j < PANEL ? n - j : PANEL, i = 0;
#define ROWS(rows, least)                                                                          \
  for (; m - i >= (least); i += (rows))                                                            \
    tile(rows, k, a + i * rs, rs, cs, b, c + i * ldc, ldc, j, width, epilogue);
    ROWS(SIMD_ROWS, SIMD_ROWS + HALF)
    if (m - i == SIMD_ROWS)
      ROWS(SIMD_ROWS, SIMD_ROWS)
    ROWS(HALF, HALF)
    ROWS(HALF / 2, HALF / 2)
    ROWS(1, 1)
#undef ROWS
  }
}

const glow__kernels SIMD_TABLE = {SIMD_NAME, PANEL, pack, gemm, &functions};
