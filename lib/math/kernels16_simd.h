/* What products of bfloat16 start from and end with, over vector types: one source for all
 * instruction sets, like kernels_simd.h, which ends with fill_products16. The file that includes
 * this defines
 *   SIMD_WIDTH    floats, and pairs, in a vector
 *   SIMD_VECTORS  vectors in a panel
 *   SIMD_ROWS     rows of the largest tile
 *   SIMD_BF16     if the compiler is to use AVX512-BF16; vectors have 16 floats then
 * and is compiled with -ffp-contract=fast. The product itself is that of kernels16_gemm_simd.h, or
 * the file's own. SPDX-License-Identifier: MIT */

#include <stdbool.h>

#include "math/kernels16.h"
#include "math/simd.h"

#ifdef SIMD_BF16
#include <immintrin.h>
#endif

typedef uint32_t words __attribute__((vector_size(SIMD_WIDTH * 4), may_alias));
typedef uint32_t words_unaligned
    __attribute__((vector_size(SIMD_WIDTH * 4), aligned(4), may_alias));
typedef uint16_t halves __attribute__((vector_size(SIMD_WIDTH * 2), aligned(2)));

/* ---- values ---------------------------------------------------------------------------------- */

INLINE words zero_extend(halves h) {
  return __builtin_convertvector(h, words);
}

INLINE vec widen(const uint16_t *from) {
  return (vec)(zero_extend(*(const halves *)from) << 16);
}

/* glow__round16 of each. */
INLINE halves round_vector(vec v) {
#ifdef SIMD_BF16
  return (halves)_mm512_cvtneps_pbh((__m512)v);
#else
  words bits = (words)v, upper = bits >> 16;
  mask magnitude = (mask)(bits & 0x7fffffffu);
  words nan = (words)(magnitude > 0x7f800000), small = (words)(magnitude < 0x00800000);
  words nearest = (bits + 0x7fffu + (upper & 1)) >> 16;
  words special = (nan & (upper | 0x40)) | (small & (upper & 0x8000u));
  return __builtin_convertvector((nearest & ~(nan | small)) | special, halves);
#endif
}

INLINE halves round_at(const float *from) {
  return round_vector(*(const vec_unaligned *)from);
}

INLINE glow__pair pair(uint16_t first, uint16_t second) {
  return (glow__pair)first | (glow__pair)second << 16;
}

static void round_run(int64_t count, const float *from, uint16_t *to) {
  int64_t i = 0;
  for (; i + SIMD_WIDTH <= count; i += SIMD_WIDTH)
    *(halves *)(to + i) = round_at(from + i);
  for (; i < count; i++)
    to[i] = glow__round16(from[i]);
}

static void round_rows(int64_t rows, int64_t n, const float *from, uint16_t *to) {
  if (n % 2 == 0) {
    round_run(rows * n, from, to);
    return;
  }
  for (int64_t i = 0; i < rows; i++, from += n, to += n + 1) {
    round_run(n, from, to);
    to[n] = 0;
  }
}

/* ---- packing --------------------------------------------------------------------------------- */

/* Rows that are contiguous (cs 1). */
static void pack_rows(int64_t k, int64_t width, const float *b, int64_t rs, glow__pair *to) {
  for (int64_t i = 0; i < k; i += 2, to += PANEL, b += 2 * rs) {
    const float *next = b + (i + 1 < k ? rs : 0);
    uint32_t keep = i + 1 < k ? ~0u : 0xffffu;
    int64_t j = 0;
    for (; j + SIMD_WIDTH <= width; j += SIMD_WIDTH)
      *(words *)(to + j) =
          (zero_extend(round_at(b + j)) | zero_extend(round_at(next + j)) << 16) & keep;
    for (; j < width; j++)
      to[j] = pair(glow__round16(b[j]), glow__round16(next[j])) & keep;
    for (; j < PANEL; j++)
      to[j] = 0;
  }
}

/* Columns that are contiguous (rs 1): pairs lie side by side, and are transposed in blocks. */
static void pack_columns(int64_t k, int64_t width, const float *b, int64_t cs, glow__pair *to) {
  enum { BLOCK = 32 };
  glow__pair block[PANEL][BLOCK / 2];
  for (int64_t i = 0; i < k; i += BLOCK, b += BLOCK, to += BLOCK / 2 * PANEL) {
    int64_t count = k - i < BLOCK ? k - i : BLOCK;
    for (int64_t j = 0; j < PANEL; j++)
      if (j < width)
        round_rows(1, count, b + j * cs, (uint16_t *)(void *)block[j]);
      else
        memset(block[j], 0, sizeof block[j]);
    for (int64_t p = 0; p < glow__pairs(count); p++)
      for (int64_t j = 0; j < PANEL; j++)
        to[p * PANEL + j] = block[j][p];
  }
}

/* Neither is contiguous. */
static void pack_any(int64_t k, int64_t width, const float *b, int64_t rs, int64_t cs,
                     glow__pair *to) {
  for (int64_t i = 0; i < k; i += 2, to += PANEL, b += 2 * rs)
    for (int64_t j = 0; j < PANEL; j++)
      to[j] = j >= width
                  ? 0
                  : pair(glow__round16(b[j * cs]), i + 1 < k ? glow__round16(b[j * cs + rs]) : 0);
}

static void pack(int64_t k, int64_t n, const float *b, int64_t rs, int64_t cs, glow__pair *packed,
                 int64_t first, int64_t last) {
  for (int64_t panel = first; panel < last; panel++) {
    int64_t width = n - panel * PANEL < PANEL ? n - panel * PANEL : PANEL;
    const float *from = b + panel * PANEL * cs;
    glow__pair *to = packed + panel * glow__pairs(k) * PANEL;
    if (cs == 1)
      pack_rows(k, width, from, rs, to);
    else if (rs == 1)
      pack_columns(k, width, from, cs, to);
    else
      pack_any(k, width, from, rs, cs, to);
  }
}

static void zip(int64_t k, int64_t n, const uint16_t *from, int64_t rs, glow__pair *to,
                int64_t width) {
  for (int64_t i = 0; i < k; i += 2, to += width, from += 2 * rs) {
    const uint16_t *next = from + (i + 1 < k ? rs : 0);
    uint32_t keep = i + 1 < k ? ~0u : 0xffffu;
    int64_t j = 0;
    for (; j + SIMD_WIDTH <= n; j += SIMD_WIDTH)
      *(words_unaligned *)(to + j) = (zero_extend(*(const halves *)(from + j)) |
                                      zero_extend(*(const halves *)(next + j)) << 16) &
                                     keep;
    for (; j < n; j++)
      to[j] = pair(from[j], next[j]) & keep;
    for (; j < width; j++)
      to[j] = 0;
  }
}

/* ---- the end of a product -------------------------------------------------------------------- */

/* As store_part. */
INLINE void store_halves(uint16_t *to, halves h, int64_t n) {
  if (n < SIMD_WIDTH)
    memcpy(to, &h, (size_t)n * sizeof *to);
  else
    *(halves *)to = h;
}

/* Any end. At the right end of the rows a vector may have only some of its columns; nothing beside
 * them is touched. */
static void store_any(int64_t rows, const tile_sums sums, float *c, int64_t ldc, uint16_t *rounded,
                      int64_t ld, int64_t j, int64_t width, const glow__epilogue16 *e) {
  const glow_epilogue *end = &e->end;
  for (int64_t v = 0; width > 0 && v < SIMD_VECTORS; v++, j += SIMD_WIDTH, width -= SIMD_WIDTH) {
    vec bias = load_columns(end->bias, j, width), scale = load_columns(end->scale, j, width);
    for (int64_t r = 0; r < rows; r++) {
      float *to = c ? c + r * ldc + j : NULL;
      vec value = finish(sums[r][v], to, bias, scale, width, end);
      if (rounded)
        store_halves(rounded + r * ld + j, round_vector(value), width);
      else
        store_part(to, value, width);
    }
  }
}

/* As in kernels_simd.h; what a norm follows is rounded. */
INLINE void store_whole(int64_t rows, const tile_sums sums, float *c, uint16_t *rounded,
                        int64_t ldc, int64_t j, bool accumulate, bool norm,
                        const glow__epilogue16 *e) {
  for (int64_t v = 0; v < SIMD_VECTORS; v++, j += SIMD_WIDTH) {
    vec bias = norm ? *(const vec_unaligned *)(e->end.bias + j) : (vec){0};
    vec scale = norm ? *(const vec_unaligned *)(e->end.scale + j) : (vec){0};
    for (int64_t r = 0; r < rows; r++) {
      int64_t at = r * ldc + j;
      if (norm)
        *(halves *)(rounded + at) = round_vector(rectify((sums[r][v] + bias) * scale));
      else if (accumulate)
        *(vec_unaligned *)(c + at) += sums[r][v];
      else
        *(vec_unaligned *)(c + at) = sums[r][v];
    }
  }
}

/* Rows i, i + 1, ... of C [*, n], in one panel: a case for each of the three ends that the products
 * of nets have, and one for any other. */
static void store_tile(int64_t rows, int64_t i, int64_t n, const tile_sums sums, float *c,
                       int64_t ldc, int64_t j, int64_t width, const glow__epilogue16 *e) {
  const glow_epilogue *end = &e->end;
  bool whole = width >= PANEL, plain = !end->bias && !end->scale && !end->relu && !e->rounded;
  int64_t ld = e->rounded ? glow__even(n) : ldc;
  uint16_t *rounded = e->rounded ? e->rounded + i * ld : NULL;
  if (c)
    c += i * ldc;
  if (whole && plain && !end->accumulate)
    store_whole(rows, sums, c, NULL, ld, j, false, false, e);
  else if (whole && plain)
    store_whole(rows, sums, c, NULL, ld, j, true, false, e);
  else if (whole && rounded && end->bias && end->scale && end->relu && !end->accumulate)
    store_whole(rows, sums, NULL, rounded, ld, j, false, true, e);
  else
    store_any(rows, sums, c, ldc, rounded, ld, j, width, e);
}

/* ---- back through a norm --------------------------------------------------------------------- */

INLINE halves norm_vector(const uint16_t *h, const float *scale, float *d, float *sum_bias,
                          float *sum_scale) {
  vec activation = widen(h);
  vec g = (vec)(*(const words_unaligned *)d & (words)(activation > 0.0f));
  *(vec_unaligned *)sum_scale += g * activation;
  g *= *(const vec_unaligned *)scale;
  *(vec_unaligned *)sum_bias += g;
  *(vec_unaligned *)d = g;
  return round_vector(g);
}

static uint16_t norm_number(uint16_t h, float scale, float *d, float *sum_bias, float *sum_scale) {
  float activation = glow__widen16(h), g = activation > 0.0f ? *d : 0.0f;
  *sum_scale += g * activation;
  *d = g * scale;
  *sum_bias += *d;
  return glow__round16(*d);
}

static void norm_row(int64_t n, const uint16_t *h, const float *scale, float *d, float *sum_bias,
                     float *sum_scale, uint16_t *rounded) {
  int64_t j = 0;
  for (; j + SIMD_WIDTH <= n; j += SIMD_WIDTH)
    *(halves *)(rounded + j) = norm_vector(h + j, scale + j, d + j, sum_bias + j, sum_scale + j);
  for (; j < n; j++)
    rounded[j] = norm_number(h[j], scale[j], d + j, sum_bias + j, sum_scale + j);
  if (n % 2)
    rounded[n] = 0;
}

static void norm_back(int64_t rows, int64_t n, const uint16_t *h, const float *scale, float *d,
                      float *sum_bias, float *sum_scale, uint16_t *rounded, glow__pair *zipped) {
  int64_t stride = glow__even(n);
  memset(sum_bias, 0, (size_t)n * sizeof *sum_bias);
  memset(sum_scale, 0, (size_t)n * sizeof *sum_scale);
  for (int64_t p = 0; p < rows; p++) {
    norm_row(n, h + p * stride, scale, d + p * n, sum_bias, sum_scale, rounded + p * stride);
    if (zipped && (p % 2 || p + 1 == rows)) /* both rows are in cache now */
      zip(1 + p % 2, n, rounded + p / 2 * 2 * stride, stride, zipped + p / 2 * n, n);
  }
}

/* ---- the table ------------------------------------------------------------------------------- */

static void fill_products16(glow__kernels16 *kernels) {
  kernels->panel = PANEL;
  kernels->round = round_rows;
  kernels->pack = pack;
  kernels->zip = zip;
  kernels->norm_back = norm_back;
}
