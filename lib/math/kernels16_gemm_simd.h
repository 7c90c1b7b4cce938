/* The product of kernels16_simd.h in vector registers. Without AVX512-BF16, values are widened to
 * float32 there: those of a panel for all rows of a tile, those of A for all vectors of the tile.
 * SPDX-License-Identifier: MIT */

#include "math/kernels16_simd.h"

/* sums += the products of one pair of each row of A with the pairs of the panel's row b. */
INLINE void step(int64_t rows, tile_sums sums, const glow__pair *const *groups, int64_t rs,
                 const words *b) {
#ifdef SIMD_BF16
  UNROLL
  for (int64_t r = 0; r < rows; r++) {
    __m512bh both = (__m512bh)(ROW(groups, r, rs) - (words){0});
    UNROLL
    for (int64_t v = 0; v < SIMD_VECTORS; v++)
      sums[r][v] = (vec)_mm512_dpbf16_ps((__m512)sums[r][v], both, (__m512bh)b[v]);
  }
#else
  UNROLL
  for (int64_t r = 0; r < rows; r++) {
    words both = ROW(groups, r, rs) - (words){0};
    vec first = (vec)(both << 16), second = (vec)(both & 0xffff0000u);
    UNROLL
    for (int64_t v = 0; v < SIMD_VECTORS; v++) {
      sums[r][v] += second * (vec)(b[v] & 0xffff0000u);
      sums[r][v] += first * (vec)(b[v] << 16);
    }
  }
#endif
}

/* `rows` is a constant at each call, so that the sums stay in registers. */
INLINE void tile(int64_t rows, int64_t pairs, const glow__pair *a, int64_t rs, int64_t cs,
                 const glow__pair *panel, tile_sums out) {
  tile_sums sums;
  const glow__pair *groups[GROUPS];
  POINT_AT_GROUPS(groups, rows, a, rs)
  clear_sums(rows, sums);
  for (int64_t i = 0; i < pairs; i++, panel += PANEL) {
    step(rows, sums, groups, rs, (const words *)panel);
    ADVANCE_GROUPS(groups, rows, cs)
  }
  copy_sums(rows, sums, out);
}

/* Functions of their own, so that the inner loop of each has all registers to itself. */
#define TILE_FUNCTION(size, rows)                                                                  \
  NOINLINE void tile_##size(int64_t pairs, const glow__pair *a, int64_t rs, int64_t cs,            \
                            const glow__pair *panel, tile_sums out) {                              \
    tile(rows, pairs, a, rs, cs, panel, out);                                                      \
  }
EACH_TILE_SIZE(TILE_FUNCTION)

static void gemm(int64_t m, int64_t n, int64_t pairs, const glow__pair *a, int64_t rs, int64_t cs,
                 const glow__pair *packed, float *c, int64_t ldc, int64_t first, int64_t last,
                 const glow__epilogue16 *epilogue) {
  for (int64_t panel = first; panel < last; panel++) {
    const glow__pair *b = packed + panel * pairs * PANEL;
    int64_t j = panel * PANEL, width = n - j < PANEL ? n - j : PANEL;
    tile_sums sums;
#define TILE(size, rows, i)                                                                        \
  do {                                                                                             \
    tile_##size(pairs, a + (i)*rs, rs, cs, b, sums);                                               \
    store_tile(rows, i, n, sums, c, ldc, j, width, epilogue);                                      \
  } while (0)
    EACH_TILE(m, TILE);
#undef TILE
    for (int64_t i = 0; epilogue->rounded && n % 2 && j + PANEL >= n && i < m; i++)
      epilogue->rounded[i * glow__even(n) + n] = 0;
  }
}
