/* Gaussian log-density with log-sd, shared by split and the top prior:
 * log N(z; m, exp(s)) = -1/2 (2 s + (z - m)^2 exp(-2 s) + log 2 pi).
 * SPDX-License-Identifier: MIT */
#ifndef GLOW_LIB_GAUSSIAN_H
#define GLOW_LIB_GAUSSIAN_H

#include <math.h>

#include "layers/layers.h"

/* (z - m) / sd */
static inline float glow__whiten(float z, float mean, float logs) {
  return (z - mean) * expf(-logs);
}

static inline float glow__unwhiten(float e, float mean, float logs) {
  return e * expf(logs) + mean;
}

/* log-density given the whitened value */
static inline double glow__gaussian(float whitened, float logs) {
  return -0.5 * ((double)whitened * (double)whitened + GLOW_LOG_2PI) - (double)logs;
}

#endif
