/* Products of bfloat16 in plain C, which define what each slot means; tests compare the others with
 * them. SPDX-License-Identifier: MIT */
#include "math/kernels16.h"

enum { PANEL = 16 };

static glow__pair pair(uint16_t first, uint16_t second) {
  return (glow__pair)first | (glow__pair)second << 16;
}
static float first_of(glow__pair p) {
  return glow__widen16((uint16_t)(p & 0xffffu));
}
static float second_of(glow__pair p) {
  return glow__widen16((uint16_t)(p >> 16));
}

static void round_rows(int64_t rows, int64_t n, const float *from, uint16_t *to) {
  for (int64_t i = 0; i < rows; i++)
    for (int64_t j = 0; j < glow__even(n); j++)
      to[i * glow__even(n) + j] = j < n ? glow__round16(from[i * n + j]) : 0;
}

static void kernels16_c_pack(int64_t k, int64_t n, const float *b, int64_t rs, int64_t cs,
                             glow__pair *packed, int64_t first, int64_t last) {
  packed += first * glow__pairs(k) * PANEL;
  for (int64_t panel = first; panel < last; panel++)
    for (int64_t i = 0; i < k; i += 2)
      for (int64_t j = panel * PANEL; j < (panel + 1) * PANEL; j++) {
        const float *at = b + i * rs + j * cs;
        *packed++ = j < n ? pair(glow__round16(at[0]), i + 1 < k ? glow__round16(at[rs]) : 0) : 0;
      }
}

static void zip(int64_t k, int64_t n, const uint16_t *from, int64_t rs, glow__pair *to,
                int64_t width) {
  for (int64_t i = 0; i < k; i += 2, to += width)
    for (int64_t j = 0; j < width; j++)
      to[j] = j < n ? pair(from[i * rs + j], i + 1 < k ? from[(i + 1) * rs + j] : 0) : 0;
}

/* One row's columns of one panel. */
static void row_of_panel(int64_t pairs, const glow__pair *a, int64_t cs, const glow__pair *b,
                         float *sums) {
  memset(sums, 0, PANEL * sizeof *sums);
  for (int64_t x = 0; x < pairs; x++, b += PANEL)
    for (int64_t j = 0; j < PANEL; j++) {
      sums[j] += second_of(a[x * cs]) * second_of(b[j]);
      sums[j] += first_of(a[x * cs]) * first_of(b[j]);
    }
}

static void kernels16_c_gemm(int64_t m, int64_t n, int64_t pairs, const glow__pair *a, int64_t rs,
                             int64_t cs, const glow__pair *packed, float *c, int64_t ldc,
                             int64_t first, int64_t last, const glow__epilogue16 *epilogue) {
  float sums[PANEL];
  for (int64_t panel = first; panel < last; panel++)
    for (int64_t i = 0; i < m; i++) {
      row_of_panel(pairs, a + i * rs, cs, packed + panel * pairs * PANEL, sums);
      for (int64_t j = panel * PANEL; j < n && j < (panel + 1) * PANEL; j++) {
        float before = epilogue->end.accumulate ? c[i * ldc + j] : 0.0f;
        float v = glow__finish(sums[j - panel * PANEL], before, j, &epilogue->end);
        if (epilogue->rounded)
          epilogue->rounded[i * glow__even(n) + j] = glow__round16(v);
        else
          c[i * ldc + j] = v;
      }
      if (epilogue->rounded && n % 2 && (panel + 1) * PANEL >= n)
        epilogue->rounded[i * glow__even(n) + n] = 0;
    }
}

static void kernels16_c_norm_back(int64_t rows, int64_t n, const uint16_t *h, const float *scale,
                                  float *d, float *sum_bias, float *sum_scale, uint16_t *rounded,
                                  glow__pair *zipped) {
  int64_t stride = glow__even(n);
  memset(sum_bias, 0, (size_t)n * sizeof *sum_bias);
  memset(sum_scale, 0, (size_t)n * sizeof *sum_scale);
  for (int64_t p = 0; p < rows; p++)
    for (int64_t j = 0; j < n; j++) {
      float activation = glow__widen16(h[p * stride + j]);
      float g = activation > 0.0f ? d[p * n + j] : 0.0f;
      sum_scale[j] += g * activation;
      d[p * n + j] = g * scale[j];
      sum_bias[j] += d[p * n + j];
    }
  round_rows(rows, n, d, rounded);
  if (zipped)
    zip(rows, n, rounded, stride, zipped, n);
}

void glow__kernels16_fill_c(glow__kernels16 *kernels) {
  kernels->name = "c";
  kernels->panel = PANEL;
  kernels->round = round_rows;
  kernels->pack = kernels16_c_pack;
  kernels->zip = zip;
  kernels->gemm = kernels16_c_gemm;
  kernels->norm_back = kernels16_c_norm_back;
}
