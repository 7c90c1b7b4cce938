/* Kernels for avx512: the common source with avx512's widths. SPDX-License-Identifier: MIT */
#define SIMD_NAME "avx512"
#define SIMD_TABLE glow__kernels_avx512
#define SIMD_WIDTH 16
#define SIMD_VECTORS 2
#define SIMD_ROWS 14
#include "math/functions_simd.h"
#include "math/passes_loops.h"
/* last: the table */
#include "math/kernels_simd.h"
