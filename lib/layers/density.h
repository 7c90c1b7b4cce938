/* Densities of a prior, as functions of the whitened value e = (z - m) / s, where logs = log s:
 *   Gaussian   log p(z) = -1/2 (e^2 + log 2 pi) - logs      score e
 *   logistic   log p(z) = -e - 2 log(1 + exp(-e)) - logs    score tanh(e / 2)
 * The score is -d log p / d e. SPDX-License-Identifier: MIT */
#ifndef GLOW_LIB_DENSITY_H
#define GLOW_LIB_DENSITY_H

#include "layers/gaussian.h"

/* The logistic density is even: with |e| no exponential overflows. */
static inline double glow__log_density(int32_t density, float e, float logs) {
  if (density == GLOW_DENSITY_GAUSSIAN)
    return glow__gaussian(e, logs);
  double size = fabs((double)e);
  return -size - 2.0 * log1p(exp(-size)) - (double)logs;
}

static inline double glow__density_score(int32_t density, double e) {
  return density == GLOW_DENSITY_GAUSSIAN ? e : tanh(0.5 * e);
}

#endif
