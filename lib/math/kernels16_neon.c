/* Products of bfloat16 for neon: the common source with its widths. SPDX-License-Identifier: MIT */
#define SIMD_WIDTH 4
#define SIMD_VECTORS 4
#define SIMD_ROWS 4
#include "math/kernels16_gemm_simd.h"

void glow__kernels16_fill_neon(glow__kernels16 *kernels) {
  kernels->name = "neon";
  fill_products16(kernels);
  kernels->gemm = gemm;
}
