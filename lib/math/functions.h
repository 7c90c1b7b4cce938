/* Functions over arrays: part of the table of kernels. Each element's result depends on that
 * element alone, not on its place or on the array's length; NaN gives NaN. x and y may be the same.
 *
 * Errors against double precision: at most 2 units in the last place of the exact result, for log
 * at most 1 (tests/checkkernels). functions_c.c defines what each entry means; functions_simd.h
 * computes it with vector types. SPDX-License-Identifier: MIT */
#ifndef GLOW_LIB_FUNCTIONS_H
#define GLOW_LIB_FUNCTIONS_H

#include <stdint.h>

typedef void (*glow__function)(int64_t n, const float *x, float *y);

typedef struct glow__functions {
  glow__function exp, log, tanh;
  glow__function softplus; /* log(1 + exp(x)) */
  /* y = 1 / (1 + exp(-x)), complement = 1 - y, log_y = log y, none of them by a difference that
   * cancels; complement and log_y may be NULL. */
  void (*sigmoid)(int64_t n, const float *x, float *y, float *complement, float *log_y);
} glow__functions;

void glow__functions_fill_c(glow__functions *functions);

#endif
