/* Kernels for neon: the common source with neon's widths. SPDX-License-Identifier: MIT */
#define SIMD_NAME "neon"
#define SIMD_TABLE glow__kernels_neon
#define SIMD_WIDTH 4
#define SIMD_VECTORS 4
#define SIMD_ROWS 5
#include "math/functions_simd.h"
#include "math/passes_loops.h"
/* last: the table */
#include "math/kernels_simd.h"
