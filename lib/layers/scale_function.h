/* Scale functions of the affine coupling: s(raw), log s and its derivative.
 *   sigmoid        s = sigmoid(raw + 2)                     log s' = 1 - sigmoid(raw + 2)
 *   exp            s = exp(raw)                             log s' = 1
 *   tanh           s = exp(2 tanh(raw / 2))                 log s' = 1 - tanh(raw / 2)^2
 *   tanh_learned   s = exp(k tanh(raw)), k learned          log s' = k (1 - tanh(raw)^2)
 *   sigmoid_floor  s = f + (1 - f) sigmoid(raw + 2)         log s' = (1 - f) s0 (1 - s0) / s,
 *                                                           where s0 = sigmoid(raw + 2)
 * SPDX-License-Identifier: MIT */
#ifndef GLOW_LIB_SCALE_FUNCTION_H
#define GLOW_LIB_SCALE_FUNCTION_H

#include <glow/layer.h>
#include <glow/sys/math.h>
#include <stdbool.h>

/* Elements at once: four arrays of them stay in the first-level cache. */
enum { GLOW_SCALES = 256 };

typedef struct glow__scales {
  float s[GLOW_SCALES], log_s[GLOW_SCALES];
  float slope[GLOW_SCALES]; /* d log s / d raw */
  float unit[GLOW_SCALES];  /* tanh_learned: d log s / d k */
} glow__scales;

/* For `count` <= GLOW_SCALES elements. function: GLOW_SCALE_...; k: of tanh_learned, for each
 * element. slopes: slope and unit are wanted too. */
void glow__scale_function(const glow_math *math, int32_t function, float floor, int64_t count,
                          const float *raw, const float *k, bool slopes, glow__scales *out);

#endif
