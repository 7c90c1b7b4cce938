/* Kernels for avx512: the common source with avx512's widths. SPDX-License-Identifier: MIT */
#define SIMD_WIDTH 16
#define SIMD_VECTORS 2
#define SIMD_ROWS 14
#include "math/functions_simd.h"
#include "math/kernels_simd.h"
#include "math/pointwise_loops.h"
#include "math/spline_simd.h"

void glow__kernels_fill_avx512(glow__kernels *kernels) {
  kernels->name = "avx512";
  fill_products(kernels);
  fill_functions(&kernels->functions);
  fill_pointwise(&kernels->pointwise);
  fill_splines(&kernels->splines);
}
