/* What the table of CBLAS takes from plain C. SPDX-License-Identifier: MIT */
#ifndef GLOW_LIB_KERNELS_C_H
#define GLOW_LIB_KERNELS_C_H

#include "math/kernels.h"

/* glow__kernels.norm_back for panels of this width. */
void glow__norm_back_c(int64_t panel, int64_t rows, int64_t n, const float *h, const float *scale,
                       float *d, glow_layout layout, float *sum_bias, float *sum_scale);

#endif
