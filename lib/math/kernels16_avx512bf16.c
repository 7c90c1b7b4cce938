/* Products of bfloat16 for avx512 with AVX512-BF16: the common source with its widths.
 * SPDX-License-Identifier: MIT */
#define SIMD_WIDTH 16
#define SIMD_VECTORS 2
#define SIMD_ROWS 14
#define SIMD_BF16
#include "math/kernels16_gemm_simd.h"

void glow__kernels16_fill_avx512bf16(glow__kernels16 *kernels) {
  kernels->name = "avx512bf16";
  fill_products16(kernels);
  kernels->gemm = gemm;
}
