/* Glow's network with products of bfloat16 (math/kernels16.h), between its files. Matrices of
 * products are bfloat16, sums float32:
 *
 *   forward    x gathered, h1, h2 and the weights are rounded; taps, sums and borders, out are not
 *   backward   the gradients of taps, d2 and d1 are rounded, for data and weights alike; sums for
 *              biases and logs and dx are not
 *
 * Rows of n numbers take glow__even(n) places. SPDX-License-Identifier: MIT */
#ifndef GLOW_LIB_CONV_NET16_H
#define GLOW_LIB_CONV_NET16_H

#include "math/kernels16.h"
#include "nets/conv_net.h"

/* A strip of pixels, and a worker's memory for it. */
typedef struct glow__conv_strip16 {
  int64_t first, rows;
  float *wide;        /* [rows, 9 in] or [rows, 9 out], gathered */
  uint16_t *wide16;   /* the same, rounded */
  uint16_t *h1, *h2;  /* [rows, hidden], of this strip: saved ones where forward saves */
  uint16_t *gradient; /* [rows, hidden] */
  float *sums;        /* [rows, hidden], a product before it is rounded */
} glow__conv_strip16;

glow__conv_strip16 glow__conv_net16_strip(const glow__conv_run *run, uint32_t task,
                                          uint32_t worker);
/* Floats of that memory. */
int64_t glow__conv_net16_strip_floats(const glow__conv_net *net);

/* c [m, n] = epilogue(a [m, k] B), B packed. */
void glow__conv_net16_product(const glow__conv_run *run, int64_t m, int64_t n, int64_t k,
                              const uint16_t *a, const float *packed, float *c,
                              const glow__epilogue16 *epilogue);

/* Tasks, one for each strip. */
void glow__conv_net16_run_strip(void *arg, uint32_t task, uint32_t worker);
/* W1 gather(x) (round 0) or W2 h1 of a strip. */
const float *glow__conv_net16_before_norm(const glow__conv_run *run, uint32_t task, uint32_t worker,
                                          int32_t round);
/* arg is a glow__conv_back. */
void glow__conv_net16_data_gradient(void *arg, uint32_t task, uint32_t worker);

/* C [m, columns] += A' B over all pixels: A zipped [pairs(pixels), m], B [pixels, hidden] from
 * `column`. `packed` is the worker's. */
void glow__conv_net16_accumulate(const glow__conv_run *run, int64_t m, const glow__pair *a,
                                 const uint16_t *b, int64_t column, int64_t columns,
                                 glow__pair *packed, float *c, int64_t ldc);

#endif
