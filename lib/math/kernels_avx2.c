/* Kernels for avx2: the common source with avx2's widths. SPDX-License-Identifier: MIT */
#define SIMD_NAME "avx2"
#define SIMD_TABLE glow__kernels_avx2
#define SIMD_WIDTH 8
#define SIMD_VECTORS 2
#define SIMD_ROWS 6
#include "math/functions_simd.h"
#include "math/passes_loops.h"
/* last: the table */
#include "math/kernels_simd.h"
