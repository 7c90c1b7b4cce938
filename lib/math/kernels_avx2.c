/* Kernels for avx2: the common source with avx2's widths. SPDX-License-Identifier: MIT */
#define SIMD_WIDTH 8
#define SIMD_VECTORS 2
#define SIMD_ROWS 6
#include "math/functions_simd.h"
#include "math/kernels_simd.h"
#include "math/pointwise_loops.h"
#include "math/spline_simd.h"

void glow__kernels_fill_avx2(glow__kernels *kernels) {
  kernels->name = "avx2";
  fill_products(kernels);
  fill_functions(&kernels->functions);
  fill_pointwise(&kernels->pointwise);
  fill_splines(&kernels->splines);
}
