/* Products of bfloat16 for neon: the common source with its widths. SPDX-License-Identifier: MIT */
#define SIMD_NAME "neon"
#define SIMD_TABLE glow__kernels16_neon
#define SIMD_WIDTH 4
#define SIMD_VECTORS 4
#define SIMD_ROWS 4
#include "math/kernels16_simd.h"
