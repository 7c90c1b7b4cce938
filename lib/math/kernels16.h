/* Products of bfloat16 values with sums in float32. bfloat16 is the upper half of a float32: sign,
 * 8 bits of exponent, 7 of mantissa.
 *
 * Values go in pairs, 32 bits of two neighbouring k, the first in the lower half; if k is odd, a
 * zero is added. The sum of an element is one chain, as in AVX512-BF16:
 *
 *   sum += a[2i+1] b[2i+1];  sum += a[2i] b[2i];  i = 0, 1, ...
 *
 * whatever the element's place and the other sizes, so a row's result does not depend on the rows
 * beside it. A product of two such values is exact in float32, so it does not matter whether it is
 * fused with the addition, and all providers but AMX give the same bits, with one exception:
 * AVX512-BF16 takes products and sums below 2^-126 for zero, and the others do not.
 *
 * AMX does the same, and has another chain. Of each 16 pairs, from the first on, it sums the first
 * values of the pairs and the second ones on their own, in the order of k, and adds the one sum to
 * the other and both to the element: sum += (a0 b0 + a2 b2 + ...) + (a1 b1 + a3 b3 + ...).
 *
 * Plain C fills every slot and defines what it means, as in math/kernels.h.
 * SPDX-License-Identifier: MIT */
#ifndef GLOW_LIB_KERNELS16_H
#define GLOW_LIB_KERNELS16_H

#include <stdint.h>
#include <string.h>

#include "math/kernels.h"

/* A pair of values. It may be read where single values were written. */
typedef uint32_t glow__pair __attribute__((may_alias));

static inline int64_t glow__pairs(int64_t k) {
  return (k + 1) / 2;
}
/* Rows of n values have this many places in memory; a place too many holds a zero. */
static inline int64_t glow__even(int64_t n) {
  return 2 * glow__pairs(n);
}

/* To the nearest, ties to even; NaN stays NaN, and what is below 2^-126 becomes zero. */
static inline uint16_t glow__round16(float v) {
  uint32_t bits, magnitude;
  memcpy(&bits, &v, sizeof bits);
  magnitude = bits & 0x7fffffffu;
  if (magnitude > 0x7f800000u)
    return (uint16_t)(bits >> 16 | 0x40);
  if (magnitude < 0x00800000u)
    return (uint16_t)(bits >> 16 & 0x8000u);
  return (uint16_t)((bits + 0x7fffu + (bits >> 16 & 1)) >> 16);
}

static inline float glow__widen16(uint16_t half) {
  uint32_t bits = (uint32_t)half << 16;
  float v;
  memcpy(&v, &bits, sizeof v);
  return v;
}

/* What happens to a product before it is written, and where it goes. */
typedef struct glow__epilogue16 {
  glow_epilogue end;
  uint16_t *rounded; /* [m, glow__even(n)] or NULL: written instead of c */
} glow__epilogue16;

typedef struct glow__kernels16 {
  const char *name; /* of the provider */
  int64_t panel;    /* columns in one panel of packed weights: a provider that overrides it, pack or
                       gemm overrides all three */

  /* From here to the end everything is a slot. */

  /* Writes `from` [rows, n], rounded, to `to` [rows, even(n)]. */
  void (*round)(int64_t rows, int64_t n, const float *from, uint16_t *to);
  /* Packs panels [first, last) of B [k, n], element (i, j) at b[i*rs + j*cs], for gemm. The buffer
   * has glow__packed16(kernels, k, n) pairs, aligned to 64 bytes. */
  void (*pack)(int64_t k, int64_t n, const float *b, int64_t rs, int64_t cs, glow__pair *packed,
               int64_t first, int64_t last);
  /* Pairs of rows: to[i*width + j] holds from[2i*rs + j] and from[(2i+1)*rs + j], for j < n; zero
   * for n <= j < width. With width = n it is the transposed A of gemm, with width = panel a panel
   * of B. */
  void (*zip)(int64_t k, int64_t n, const uint16_t *from, int64_t rs, glow__pair *to,
              int64_t width);
  /* C [m, n] (row stride ldc) = epilogue(A B), k in `pairs`. Pair k of row i of A is at a[i*rs +
   * k*cs], where rs or cs is 1. Only columns of panels [first, last) are computed; c, bias, scale
   * and rounded point at column 0. */
  void (*gemm)(int64_t m, int64_t n, int64_t pairs, const glow__pair *a, int64_t rs, int64_t cs,
               const glow__pair *packed, float *c, int64_t ldc, int64_t first, int64_t last,
               const glow__epilogue16 *epilogue);
  /* Back through h = relu((a + bias) scale). d [rows, n] = gradient of h:
   *   g = d where h > 0, else 0;  sum_scale = sum g h;  d = g scale;  sum_bias = sum d
   * and d goes to rounded [rows, even(n)] and, unless NULL, zipped [pairs(rows), n]. */
  void (*norm_back)(int64_t rows, int64_t n, const uint16_t *h, const float *scale, float *d,
                    float *sum_bias, float *sum_scale, uint16_t *rounded, glow__pair *zipped);
} glow__kernels16;

static inline int64_t glow__panels16(const glow__kernels16 *kernels, int64_t n) {
  return (n + kernels->panel - 1) / kernels->panel;
}
static inline int64_t glow__packed16(const glow__kernels16 *kernels, int64_t k, int64_t n) {
  return glow__panels16(kernels, n) * kernels->panel * glow__pairs(k);
}
/* Rows of bfloat16 [k, n] as B of gemm, all panels. */
static inline void glow__zip_panels(const glow__kernels16 *kernels, int64_t k, int64_t n,
                                    const uint16_t *from, int64_t rs, glow__pair *packed) {
  int64_t panel = kernels->panel;
  for (int64_t j = 0; j < n; j += panel, packed += glow__pairs(k) * panel)
    kernels->zip(k, n - j < panel ? n - j : panel, from + j, rs, packed, panel);
}

/* What each provider does to a table: C fills all slots, the others override those that they have.
 * */
void glow__kernels16_fill_c(glow__kernels16 *kernels);
void glow__kernels16_fill_avx2(glow__kernels16 *kernels);
void glow__kernels16_fill_avx512(glow__kernels16 *kernels);
void glow__kernels16_fill_avx512bf16(glow__kernels16 *kernels);
void glow__kernels16_fill_amx(glow__kernels16 *kernels);
void glow__kernels16_fill_neon(glow__kernels16 *kernels);

/* The index-th provider that this CPU can run, best first, NULL past the end. */
const char *glow__kernels16_name(uint32_t index);
/* The provider that goes with one of float32: never of an instruction set beyond that one's, except
 * that "avx512" gets AMX or AVX512-BF16 where the CPU has it; plain C goes with "cblas". */
const char *glow__kernels16_of(const char *kernels);
/* Fills the table from the provider of this name. False if it is unknown or not usable. */
bool glow__kernels16_fill(glow__kernels16 *kernels, const char *name);
/* The table of a context whose products are bfloat16, otherwise NULL. */
const glow__kernels16 *glow__context_kernels16(const glow_context *context);

#endif
