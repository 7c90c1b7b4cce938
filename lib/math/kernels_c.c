/* Kernels in plain C: they define what each slot means, and tests compare the others with them.
 * SPDX-License-Identifier: MIT */
#include <string.h>

#include "math/kernels.h"

enum { PANEL = 16 };

static void kernels_c_pack(int64_t k, int64_t n, const float *b, int64_t rs, int64_t cs,
                           float *packed, int64_t first, int64_t last) {
  for (int64_t panel = first; panel < last; panel++)
    for (int64_t i = 0; i < k; i++)
      for (int64_t j = 0; j < PANEL; j++) {
        int64_t column = panel * PANEL + j;
        packed[(panel * k + i) * PANEL + j] = column < n ? b[i * rs + column * cs] : 0.0f;
      }
}

/* Index of element (i, j), in panels of this width. */
static int64_t kernels_c_place(glow_layout layout, int64_t i, int64_t j) {
  return i * layout.row + j / PANEL * layout.panel + j % PANEL;
}

/* Element (i, x) of A or A'. */
static float factor(const float *a, glow_layout layout, int transposed, int64_t i, int64_t x) {
  return a[transposed ? kernels_c_place(layout, x, i) : kernels_c_place(layout, i, x)];
}

static void kernels_c_multiply(int transposed, int64_t m, int64_t n, int64_t k, const float *a,
                               glow_layout a_layout, const float *packed, float *c,
                               glow_layout c_layout, int64_t first, int64_t last,
                               const glow_epilogue *epilogue) {
  for (int64_t panel = first; panel < last; panel++)
    for (int64_t i = 0; i < m; i++) {
      float sums[PANEL] = {0};
      for (int64_t x = 0; x < k; x++)
        for (int64_t j = 0; j < PANEL; j++)
          sums[j] += factor(a, a_layout, transposed, i, x) * packed[(panel * k + x) * PANEL + j];
      for (int64_t j = 0; j < PANEL && panel * PANEL + j < n; j++) {
        int64_t column = panel * PANEL + j;
        float *to = c + kernels_c_place(c_layout, i, column);
        *to = glow__finish(sums[j], *to, column, epilogue);
      }
    }
}

static void kernels_c_gemm(const glow__kernels *kernels, int64_t m, int64_t n, int64_t k,
                           const float *a, glow_layout a_layout, const float *packed, float *c,
                           glow_layout c_layout, int64_t first, int64_t last,
                           const glow_epilogue *epilogue) {
  (void)kernels;
  kernels_c_multiply(0, m, n, k, a, a_layout, packed, c, c_layout, first, last, epilogue);
}

static void kernels_c_gemm_transposed(const glow__kernels *kernels, int64_t m, int64_t n, int64_t k,
                                      const float *a, glow_layout a_layout, const float *packed,
                                      float *c, glow_layout c_layout, int64_t first, int64_t last,
                                      const glow_epilogue *epilogue) {
  (void)kernels;
  kernels_c_multiply(1, m, n, k, a, a_layout, packed, c, c_layout, first, last, epilogue);
}

static void norm_element(float h, float scale, float *d, float *sum_bias, float *sum_scale) {
  float g = h > 0.0f ? *d : 0.0f;
  *sum_scale += g * h;
  *d = g * scale;
  *sum_bias += *d;
}

static void kernels_c_norm_back(int64_t rows, int64_t n, const float *h, const float *scale,
                                float *d, glow_layout layout, float *sum_bias, float *sum_scale) {
  memset(sum_bias, 0, (size_t)n * sizeof *sum_bias);
  memset(sum_scale, 0, (size_t)n * sizeof *sum_scale);
  for (int64_t i = 0; i < rows; i++, h += layout.row, d += layout.row)
    for (int64_t j = 0; j < n; j += layout.width) {
      int64_t first = j / layout.width * layout.panel;
      for (int64_t x = 0; x < layout.width && j + x < n; x++)
        norm_element(h[first + x], scale[j + x], d + first + x, sum_bias + j + x,
                     sum_scale + j + x);
    }
}

void glow__kernels_fill_c(glow__kernels *kernels) {
  kernels->name = "c";
  kernels->panel = PANEL;
  kernels->whole_rows = 0;
  kernels->pack = kernels_c_pack;
  kernels->gemm = kernels_c_gemm;
  kernels->gemm_transposed = kernels_c_gemm_transposed;
  kernels->norm_back = kernels_c_norm_back;
  glow__functions_fill_c(&kernels->functions);
  glow__pointwise_fill_c(&kernels->pointwise);
  glow__splines_fill_c(&kernels->splines);
}
