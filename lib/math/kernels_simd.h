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
 * ... whatever the tile, so a row's result does not depend on the rows beside it.
 * SPDX-License-Identifier: MIT */

#include <stdbool.h>

#include "math/simd.h"

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

/* Part of a vector at the right border: through a buffer, so that nothing beside it is touched. */
static void finish_part(vec v, float *c, int64_t j, int64_t width, const glow__epilogue *e) {
  for (int64_t i = 0; i < width; i++)
    c[j + i] = glow__finish(v[i], e->accumulate ? c[j + i] : 0.0f, j + i, e);
}

/* One row's sums into c, columns j and on, `width` of them. */
static void store_row(const vec *sums, float *c, int64_t j, int64_t width,
                      const glow__epilogue *e) {
  for (int64_t v = 0; v < SIMD_VECTORS; v++, j += SIMD_WIDTH, width -= SIMD_WIDTH) {
    if (width >= SIMD_WIDTH) {
      *(vec_unaligned *)(c + j) = finish(sums[v], c, j, e);
    } else if (width > 0) {
      finish_part(sums[v], c, j, width, e);
    }
  }
}

/* A tile of whole vectors. What the end consists of is constant at each call, and bias and scale
 * are loaded once for all rows: for small k, asking for each vector took a sixth of a product. */
INLINE void store_whole(int64_t rows, const tile_sums sums, float *c, int64_t ldc, int64_t j,
                        bool accumulate, bool norm, const glow__epilogue *e) {
  for (int64_t v = 0; v < SIMD_VECTORS; v++, j += SIMD_WIDTH) {
    vec bias = norm ? *(const vec_unaligned *)(e->bias + j) : (vec){0};
    vec scale = norm ? *(const vec_unaligned *)(e->scale + j) : (vec){0};
    for (int64_t r = 0; r < rows; r++) {
      vec_unaligned *to = (vec_unaligned *)(c + r * ldc + j);
      vec value = accumulate ? sums[r][v] + *to : sums[r][v];
      *to = norm ? rectify((value + bias) * scale) : value;
    }
  }
}

/* The three ends that the networks' products have, and any other. */
static void store_tile(int64_t rows, const tile_sums sums, float *c, int64_t ldc, int64_t j,
                       int64_t width, const glow__epilogue *e) {
  bool whole = width >= PANEL, plain = !e->bias && !e->scale && !e->relu;
  if (whole && plain && !e->accumulate)
    store_whole(rows, sums, c, ldc, j, false, false, e);
  else if (whole && plain)
    store_whole(rows, sums, c, ldc, j, true, false, e);
  else if (whole && e->bias && e->scale && e->relu && !e->accumulate)
    store_whole(rows, sums, c, ldc, j, false, true, e);
  else
    for (int64_t r = 0; r < rows; r++)
      store_row(sums[r], c + r * ldc, j, width, e);
}

/* ---- products -------------------------------------------------------------------------------- */

/* The lines that come late: of a panel that is longer than the first-level cache; and down the
 * columns of A, where each step needs a line far from the last: of this tile from the second-level
 * cache, not so early that lines of a stride of 2 KiB, which share a few sets of the first level,
 * drive each other out; of the next tile, from wherever it lies, to the second level. */
INLINE void ask_ahead(bool by_columns, const float *a, int64_t rows, int64_t cs,
                      const float *panel) {
  if (by_columns) {
    prefetch(a + rows - 1, AHEAD * cs * (int64_t)sizeof *a);
    prefetch_second_level(a, (2 * rows - 1) * (int64_t)sizeof *a);
  } else {
    UNROLL
    for (int64_t v = 0; v < SIMD_VECTORS; v++)
      prefetch(panel, (AHEAD_PANEL * PANEL + v * SIMD_WIDTH) * (int64_t)sizeof *panel);
  }
}

/* `rows` and `by_columns` are constants at each call, so that the sums stay in registers. */
INLINE void tile(int64_t rows, bool by_columns, int64_t k, const float *a, int64_t rs, int64_t cs,
                 const float *panel, tile_sums out) {
  tile_sums sums;
  const float *groups[GROUPS];
  POINT_AT_GROUPS(groups, rows, a, rs)
  clear_sums(rows, sums);
  for (int64_t i = 0; i < k; i++, panel += PANEL) {
    const vec *b = (const vec *)(const void *)panel;
    ask_ahead(by_columns, groups[0], rows, cs, panel);
    UNROLL
    for (int64_t r = 0; r < rows; r++)
      UNROLL
    for (int64_t v = 0; v < SIMD_VECTORS; v++)
      sums[r][v] += ROW(groups, r, rs) * b[v];
    ADVANCE_GROUPS(groups, rows, cs)
  }
  copy_sums(rows, sums, out);
}

/* Functions of their own: the inner loop of each has all registers to itself. */
#define TILE_FUNCTION(size, rows)                                                                  \
  NOINLINE void tile_##size(int64_t k, const float *a, int64_t rs, int64_t cs, const float *panel, \
                            tile_sums out) {                                                       \
    if (cs == 1)                                                                                   \
      tile(rows, false, k, a, rs, 1, panel, out);                                                  \
    else                                                                                           \
      tile(rows, true, k, a, rs, cs, panel, out);                                                  \
  }
EACH_TILE_SIZE(TILE_FUNCTION)

static void gemm(int64_t m, int64_t n, int64_t k, const float *a, int64_t rs, int64_t cs,
                 const float *packed, float *c, int64_t ldc, int64_t first, int64_t last,
                 const glow__epilogue *epilogue) {
  for (int64_t panel = first; panel < last; panel++) {
    const float *b = packed + panel * k * PANEL;
    int64_t j = panel * PANEL, width = n - j < PANEL ? n - j : PANEL;
    tile_sums sums;
#define TILE(size, rows, i)                                                                        \
  do {                                                                                             \
    tile_##size(k, a + (i)*rs, rs, cs, b, sums);                                                   \
    store_tile(rows, sums, c + (i)*ldc, ldc, j, width, epilogue);                                  \
  } while (0)
    EACH_TILE(m, TILE);
#undef TILE
  }
}

/* A panel of A after the other, which stays in the first-level cache while B's pass by it. */
static void gemm_packed(int64_t m, int64_t n, int64_t k, const float *packed_a, const float *packed,
                        float *c, int64_t ldc, int64_t first, int64_t last,
                        const glow__epilogue *epilogue) {
  for (int64_t i = 0; i < m; i += PANEL)
    gemm(m - i < PANEL ? m - i : PANEL, n, k, packed_a + i * k, 1, PANEL, packed, c + i * ldc, ldc,
         first, last, epilogue);
}

const glow__kernels SIMD_TABLE = {SIMD_NAME, PANEL, pack, gemm, gemm_packed, &functions};
