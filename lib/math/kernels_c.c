/* Kernels in plain C: what each entry means, and the oracle of the tests.
 * SPDX-License-Identifier: MIT */
#include <string.h>

#include "math/kernels_c.h"

enum { PANEL = 16 };

static void pack(int64_t k, int64_t n, const float *b, int64_t rs, int64_t cs, float *packed,
                 int64_t first, int64_t last) {
  for (int64_t panel = first; panel < last; panel++)
    for (int64_t i = 0; i < k; i++)
      for (int64_t j = 0; j < PANEL; j++) {
        int64_t column = panel * PANEL + j;
        packed[(panel * k + i) * PANEL + j] = column < n ? b[i * rs + column * cs] : 0.0f;
      }
}

static int64_t place(glow_layout layout, int64_t i, int64_t j) {
  return i * layout.row + j / PANEL * layout.panel + j % PANEL;
}

/* Element (i, x) of A or A'. */
static float factor(const float *a, glow_layout layout, int transposed, int64_t i, int64_t x) {
  return a[transposed ? place(layout, x, i) : place(layout, i, x)];
}

static void multiply(int transposed, int64_t m, int64_t n, int64_t k, const float *a,
                     glow_layout a_layout, const float *packed, float *c, glow_layout c_layout,
                     int64_t first, int64_t last, const glow_epilogue *epilogue) {
  for (int64_t panel = first; panel < last; panel++)
    for (int64_t i = 0; i < m; i++) {
      float sums[PANEL] = {0};
      for (int64_t x = 0; x < k; x++)
        for (int64_t j = 0; j < PANEL; j++)
          sums[j] += factor(a, a_layout, transposed, i, x) * packed[(panel * k + x) * PANEL + j];
      for (int64_t j = 0; j < PANEL && panel * PANEL + j < n; j++) {
        int64_t column = panel * PANEL + j;
        float *to = c + place(c_layout, i, column);
        *to = glow__finish(sums[j], *to, column, epilogue);
      }
    }
}

static void gemm(int64_t m, int64_t n, int64_t k, const float *a, glow_layout a_layout,
                 const float *packed, float *c, glow_layout c_layout, int64_t first, int64_t last,
                 const glow_epilogue *epilogue) {
  multiply(0, m, n, k, a, a_layout, packed, c, c_layout, first, last, epilogue);
}

static void gemm_transposed(int64_t m, int64_t n, int64_t k, const float *a, glow_layout a_layout,
                            const float *packed, float *c, glow_layout c_layout, int64_t first,
                            int64_t last, const glow_epilogue *epilogue) {
  multiply(1, m, n, k, a, a_layout, packed, c, c_layout, first, last, epilogue);
}

void glow__norm_back_c(int64_t panel, int64_t rows, int64_t n, const float *h, const float *scale,
                       float *d, glow_layout layout, float *sum_bias, float *sum_scale) {
  memset(sum_bias, 0, (size_t)n * sizeof *sum_bias);
  memset(sum_scale, 0, (size_t)n * sizeof *sum_scale);
  for (int64_t i = 0; i < rows; i++)
    for (int64_t j = 0; j < n; j++) {
      int64_t at = i * layout.row + j / panel * layout.panel + j % panel;
      float g = h[at] > 0.0f ? d[at] : 0.0f;
      sum_scale[j] += g * h[at];
      d[at] = g * scale[j];
      sum_bias[j] += d[at];
    }
}

static void norm_back(int64_t rows, int64_t n, const float *h, const float *scale, float *d,
                      glow_layout layout, float *sum_bias, float *sum_scale) {
  glow__norm_back_c(PANEL, rows, n, h, scale, d, layout, sum_bias, sum_scale);
}

const glow__kernels glow__kernels_c = {
    "c", PANEL, 0, pack, gemm, gemm_transposed, norm_back, &glow__functions_c, &glow__passes_c};
