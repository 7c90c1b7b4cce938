/* Pointwise kernels for any CPU. SPDX-License-Identifier: MIT */
#include "math/pointwise_loops.h"

void glow__pointwise_fill_c(glow__pointwise *pointwise) {
  fill_pointwise(pointwise);
}
