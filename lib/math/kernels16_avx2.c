/* Products of bfloat16 for avx2: the common source with its widths. SPDX-License-Identifier: MIT */
#define SIMD_WIDTH 8
#define SIMD_VECTORS 2
#define SIMD_ROWS 4
#include "math/kernels16_gemm_simd.h"

void glow__kernels16_fill_avx2(glow__kernels16 *kernels) {
  kernels->name = "avx2";
  fill_products16(kernels);
  kernels->gemm = gemm;
}
