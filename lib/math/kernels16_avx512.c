/* Products of bfloat16 for avx512 without AVX512-BF16: the common source with its widths.
 * SPDX-License-Identifier: MIT */
#define SIMD_WIDTH 16
#define SIMD_VECTORS 2
#define SIMD_ROWS 12
#include "math/kernels16_gemm_simd.h"

void glow__kernels16_fill_avx512(glow__kernels16 *kernels) {
  kernels->name = "avx512";
  fill_products16(kernels);
  kernels->gemm = gemm;
}
