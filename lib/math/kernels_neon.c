/* Kernels for neon: the common source with neon's widths. SPDX-License-Identifier: MIT */
#define SIMD_WIDTH 4
#define SIMD_VECTORS 4
#define SIMD_ROWS 5
#include "math/functions_simd.h"
#include "math/kernels_simd.h"
#include "math/pointwise_loops.h"
#include "math/spline_simd.h"

void glow__kernels_fill_neon(glow__kernels *kernels) {
  kernels->name = "neon";
  fill_products(kernels);
  fill_functions(&kernels->functions);
  fill_pointwise(&kernels->pointwise);
  fill_splines(&kernels->splines);
}
