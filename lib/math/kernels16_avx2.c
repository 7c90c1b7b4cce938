/* Products of bfloat16 for avx2: the common source with its widths. SPDX-License-Identifier: MIT */
#define SIMD_NAME "avx2"
#define SIMD_TABLE glow__kernels16_avx2
#define SIMD_WIDTH 8
#define SIMD_VECTORS 2
#define SIMD_ROWS 4
#include "math/kernels16_simd.h"
