/* Products of bfloat16 for AMX: sums of 32 by 32 elements in four tiles, two tiles of A for their
 * rows, two of the panel for their columns, 16 pairs of each row at a time. Packing and the end of
 * a product are the common source's. SPDX-License-Identifier: MIT */
#define SIMD_WIDTH 16
#define SIMD_VECTORS 2
#define SIMD_ROWS 32
#define SIMD_BF16
#include "math/kernels16_simd.h"

enum { SIDE = 16, STRIDE = PANEL * 4, ROW_BYTES = SIDE * 4 }; /* of a tile; bytes */

/* Tiles by number; the instructions have it in their code. */
#define SUMS_UPPER_LEFT 0
#define SUMS_UPPER_RIGHT 1
#define SUMS_LOWER_LEFT 2
#define SUMS_LOWER_RIGHT 3
#define A_UPPER 4
#define A_LOWER 5
#define B_LEFT 6
#define B_RIGHT 7

/* ---- shapes of tiles ------------------------------------------------------------------------- */

/* The operand of LDTILECFG (Intel's manual, volume 1, chapter 18). */
typedef struct tile_shapes {
  uint8_t palette, start_row, reserved[14];
  uint16_t row_bytes[16];
  uint8_t rows[16];
} tile_shapes;

/* gcc 12 does not know that these instructions read memory (its amxtileintrin.h), so what they read
 * has to be written before this, and is written again only behind the next one. */
INLINE void keep_order(void) {
  __asm__ volatile("" ::: "memory");
}

/* For that many rows of C, up to 32; a tile of no rows is not used. */
static void shape_tiles(int64_t rows) {
  int64_t upper = rows < SIDE ? rows : SIDE, lower = rows - upper;
  const uint8_t of_tiles[8] = {(uint8_t)upper, (uint8_t)upper, (uint8_t)lower, (uint8_t)lower,
                               (uint8_t)upper, (uint8_t)lower, SIDE,           SIDE};
  tile_shapes shapes = {.palette = 1};
  for (int i = 0; i < 8; i++) {
    shapes.rows[i] = of_tiles[i];
    shapes.row_bytes[i] = of_tiles[i] ? ROW_BYTES : 0;
  }
  keep_order();
  _tile_loadconfig(&shapes);
}

/* ---- A --------------------------------------------------------------------------------------- */

INLINE __m512i load_pairs(const glow__pair *from, int64_t count) {
  return _mm512_maskz_loadu_epi32((__mmask16)((1u << count) - 1u), from);
}

/* Element c of row r becomes element r of row c. Interleaving rows i and i + 8 turns the eight bits
 * r3 r2 r1 r0 c3 c2 c1 c0 of an element's place to the left by one; after four times r and c have
 * changed places. */
static void transpose(__m512i rows[SIDE]) {
  const __m512i low = _mm512_setr_epi32(0, 16, 1, 17, 2, 18, 3, 19, 4, 20, 5, 21, 6, 22, 7, 23);
  const __m512i high = _mm512_add_epi32(low, _mm512_set1_epi32(8));
  for (int time = 0; time < 4; time++) {
    __m512i next[SIDE];
    UNROLL
    for (int i = 0; i < SIDE / 2; i++) {
      next[2 * i] = _mm512_permutex2var_epi32(rows[i], low, rows[i + SIDE / 2]);
      next[2 * i + 1] = _mm512_permutex2var_epi32(rows[i], high, rows[i + SIDE / 2]);
    }
    memcpy(rows, next, sizeof next);
  }
}

/* `pairs` of each of `rows` rows of A, up to 16, which lie in columns, as rows of a tile. */
static void take_columns(int64_t rows, int64_t pairs, const glow__pair *a, int64_t cs,
                         glow__pair (*to)[SIDE]) {
  __m512i taken[SIDE];
  for (int64_t k = 0; k < SIDE; k++)
    taken[k] = k < pairs ? load_pairs(a + k * cs, rows) : _mm512_setzero_si512();
  transpose(taken);
  memcpy(to, taken, sizeof taken);
}

static void take_rows(int64_t rows, int64_t pairs, const glow__pair *a, int64_t rs,
                      glow__pair (*to)[SIDE]) {
  for (int64_t i = 0; i < rows; i++)
    _mm512_storeu_si512(to[i], load_pairs(a + i * rs, pairs));
}

/* Tiles are read from here: where A is, or a copy, filled with zeros. */
typedef struct left {
  const glow__pair *at;
  int64_t bytes; /* from a row to the next */
} left;

static left take_left(int64_t rows, int64_t pairs, const glow__pair *a, int64_t rs, int64_t cs,
                      glow__pair (*copy)[SIDE]) {
  if (cs == 1 && pairs == SIDE)
    return (left){a, rs * 4};
  if (cs == 1)
    take_rows(rows, pairs, a, rs, copy);
  else
    for (int64_t i = 0; i < rows; i += SIDE)
      take_columns(rows - i < SIDE ? rows - i : SIDE, pairs, a + i * rs, cs, copy + i);
  return (left){copy[0], ROW_BYTES};
}

/* ---- B --------------------------------------------------------------------------------------- */

/* 16 pairs of the panel: where they are, or a copy, filled with zeros. */
static const glow__pair *take_right(int64_t pairs, const glow__pair *b, glow__pair (*copy)[PANEL]) {
  if (pairs == SIDE)
    return b;
  memset(copy, 0, SIDE * sizeof *copy);
  memcpy(copy, b, (size_t)pairs * sizeof *copy);
  return copy[0];
}

/* ---- products -------------------------------------------------------------------------------- */

/* What is added to the sums of up to 16 rows, and of more. */
INLINE void add_upper(left a, const glow__pair *b) {
  _tile_loadd(B_LEFT, b, STRIDE);
  _tile_loadd(B_RIGHT, b + SIDE, STRIDE);
  _tile_loadd(A_UPPER, a.at, a.bytes);
  _tile_dpbf16ps(SUMS_UPPER_LEFT, A_UPPER, B_LEFT);
  _tile_dpbf16ps(SUMS_UPPER_RIGHT, A_UPPER, B_RIGHT);
}

INLINE void add_lower(left a) {
  _tile_loadd(A_LOWER, (const char *)a.at + SIDE * a.bytes, a.bytes);
  _tile_dpbf16ps(SUMS_LOWER_LEFT, A_LOWER, B_LEFT);
  _tile_dpbf16ps(SUMS_LOWER_RIGHT, A_LOWER, B_RIGHT);
}

static void clear_and_add(int64_t rows, int64_t pairs, const glow__pair *a, int64_t rs, int64_t cs,
                          const glow__pair *b) {
  glow__pair copy_a[2 * SIDE][SIDE] __attribute__((aligned(64)));
  glow__pair copy_b[SIDE][PANEL] __attribute__((aligned(64)));
  _tile_zero(SUMS_UPPER_LEFT);
  _tile_zero(SUMS_UPPER_RIGHT);
  if (rows > SIDE) {
    _tile_zero(SUMS_LOWER_LEFT);
    _tile_zero(SUMS_LOWER_RIGHT);
  }
  for (int64_t k = 0; k < pairs; k += SIDE) {
    int64_t count = pairs - k < SIDE ? pairs - k : SIDE;
    left from = take_left(rows, count, a + k * cs, rs, cs, copy_a);
    const glow__pair *right = take_right(count, b + k * PANEL, copy_b);
    keep_order();
    add_upper(from, right);
    if (rows > SIDE)
      add_lower(from);
    keep_order();
  }
}

static void take_sums(int64_t rows, tile_sums sums) {
  _tile_stored(SUMS_UPPER_LEFT, sums[0], STRIDE);
  _tile_stored(SUMS_UPPER_RIGHT, &sums[0][1], STRIDE);
  if (rows > SIDE) {
    _tile_stored(SUMS_LOWER_LEFT, sums[SIDE], STRIDE);
    _tile_stored(SUMS_LOWER_RIGHT, &sums[SIDE][1], STRIDE);
  }
}

/* Rows i, i + 1, ..., up to 32, of all panels. */
static void gemm_rows(int64_t rows, int64_t i, int64_t n, int64_t pairs, const glow__pair *a,
                      int64_t rs, int64_t cs, const glow__pair *packed, float *c, int64_t ldc,
                      int64_t first, int64_t last, const glow__epilogue16 *epilogue) {
  tile_sums sums;
  shape_tiles(rows);
  for (int64_t panel = first; panel < last; panel++) {
    int64_t j = panel * PANEL, width = n - j < PANEL ? n - j : PANEL;
    clear_and_add(rows, pairs, a + i * rs, rs, cs, packed + panel * pairs * PANEL);
    take_sums(rows, sums);
    store_tile(rows, i, n, sums, c, ldc, j, width, epilogue);
    for (int64_t r = i; epilogue->rounded && n % 2 && j + PANEL >= n && r < i + rows; r++)
      epilogue->rounded[r * glow__even(n) + n] = 0;
  }
}

static void gemm(int64_t m, int64_t n, int64_t pairs, const glow__pair *a, int64_t rs, int64_t cs,
                 const glow__pair *packed, float *c, int64_t ldc, int64_t first, int64_t last,
                 const glow__epilogue16 *epilogue) {
  for (int64_t i = 0; i < m; i += SIMD_ROWS)
    gemm_rows(m - i < SIMD_ROWS ? m - i : SIMD_ROWS, i, n, pairs, a, rs, cs, packed, c, ldc, first,
              last, epilogue);
  _tile_release(); /* the system need not keep them any more */
}

void glow__kernels16_fill_amx(glow__kernels16 *kernels) {
  kernels->name = "amx";
  fill_products16(kernels);
  kernels->gemm = gemm;
}
