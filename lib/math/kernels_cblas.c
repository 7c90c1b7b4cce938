/* Products by a CBLAS library, which blas.c loads. SPDX-License-Identifier: MIT */
#include <limits.h>

#include "base/base.h"
#include "math/kernels.h"

enum { PANEL = 64 };

/* Plain rows [k, n rounded up]: the only layout that cblas_sgemm reads. */
static void kernels_cblas_pack(int64_t k, int64_t n, const float *b, int64_t rs, int64_t cs,
                               float *packed, int64_t first, int64_t last) {
  int64_t ld = (n + PANEL - 1) / PANEL * PANEL, end = last * PANEL < n ? last * PANEL : n;
  for (int64_t i = 0; i < k; i++)
    for (int64_t j = first * PANEL; j < end; j++)
      packed[i * ld + j] = b[i * rs + j * cs];
}

/* The end of a product, after cblas_sgemm has added its sums to what was there. */
static void kernels_cblas_finish(int64_t m, int64_t n, float *c, int64_t ldc,
                                 const glow_epilogue *e, int64_t column) {
  glow_epilogue rest = *e;
  rest.accumulate = 0;
  if (!e->bias && !e->scale && !e->relu)
    return;
  for (int64_t i = 0; i < m; i++)
    for (int64_t j = 0; j < n; j++)
      c[i * ldc + j] = glow__finish(c[i * ldc + j], 0.0f, column + j, &rest);
}

/* All matrices are stored by rows here. */
static void kernels_cblas_multiply(glow__sgemm sgemm, bool transposed, int64_t m, int64_t n,
                                   int64_t k, const float *a, int64_t lda, const float *packed,
                                   float *c, int64_t ldc, int64_t first, int64_t last,
                                   const glow_epilogue *epilogue) {
  const int64_t most = 1 << 24; /* rows at a time: CBLAS counts in int */
  int64_t ld = (n + PANEL - 1) / PANEL * PANEL, column = first * PANEL;
  int64_t width = (last * PANEL < n ? last * PANEL : n) - column;
  for (int64_t i = 0; i < m && width > 0; i += most) {
    int64_t rows = m - i < most ? m - i : most;
    float *to = c + i * ldc + column;
    sgemm(GLOW_BLAS_ROWS, transposed ? GLOW_BLAS_TRANSPOSED : GLOW_BLAS_AS_IS, GLOW_BLAS_AS_IS,
          (int)rows, (int)width, (int)k, 1.0f, a + i * (transposed ? 1 : lda), (int)lda,
          packed + column, (int)ld, epilogue->accumulate ? 1.0f : 0.0f, to, (int)ldc);
    kernels_cblas_finish(rows, width, to, ldc, epilogue, column);
  }
}

static void kernels_cblas_gemm(const glow__kernels *kernels, int64_t m, int64_t n, int64_t k,
                               const float *a, glow_layout a_layout, const float *packed, float *c,
                               glow_layout c_layout, int64_t first, int64_t last,
                               const glow_epilogue *epilogue) {
  kernels_cblas_multiply(kernels->sgemm, false, m, n, k, a, a_layout.row, packed, c, c_layout.row,
                         first, last, epilogue);
}

static void kernels_cblas_gemm_transposed(const glow__kernels *kernels, int64_t m, int64_t n,
                                          int64_t k, const float *a, glow_layout a_layout,
                                          const float *packed, float *c, glow_layout c_layout,
                                          int64_t first, int64_t last,
                                          const glow_epilogue *epilogue) {
  kernels_cblas_multiply(kernels->sgemm, true, m, n, k, a, a_layout.row, packed, c, c_layout.row,
                         first, last, epilogue);
}

void glow__kernels_fill_cblas(glow__kernels *kernels) {
  kernels->name = "cblas";
  kernels->panel = PANEL;
  kernels->whole_rows = 1;
  kernels->pack = kernels_cblas_pack;
  kernels->gemm = kernels_cblas_gemm;
  kernels->gemm_transposed = kernels_cblas_gemm_transposed;
}
