/* Kernels in plain C: what each entry means, and the oracle of the tests.
 * SPDX-License-Identifier: MIT */
#include "math/kernels.h"

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

static void gemm(int64_t m, int64_t n, int64_t k, const float *a, int64_t rs, int64_t cs,
                 const float *packed, float *c, int64_t ldc, int64_t first, int64_t last,
                 const glow__epilogue *epilogue) {
  for (int64_t panel = first; panel < last; panel++)
    for (int64_t i = 0; i < m; i++) {
      float sums[PANEL] = {0};
      for (int64_t x = 0; x < k; x++)
        for (int64_t j = 0; j < PANEL; j++)
          sums[j] += a[i * rs + x * cs] * packed[(panel * k + x) * PANEL + j];
      for (int64_t j = 0; j < PANEL && panel * PANEL + j < n; j++) {
        int64_t column = panel * PANEL + j;
        c[i * ldc + column] = glow__finish(sums[j], c[i * ldc + column], column, epilogue);
      }
    }
}

static void gemm_packed(int64_t m, int64_t n, int64_t k, const float *packed_a, const float *packed,
                        float *c, int64_t ldc, int64_t first, int64_t last,
                        const glow__epilogue *epilogue) {
  for (int64_t i = 0; i < m; i += PANEL)
    gemm(m - i < PANEL ? m - i : PANEL, n, k, packed_a + i * k, 1, PANEL, packed, c + i * ldc, ldc,
         first, last, epilogue);
}

const glow__kernels glow__kernels_c = {"c", PANEL, pack, gemm, gemm_packed, &glow__functions_c};
