/* Weights of importance sampling, added one by one. SPDX-License-Identifier: MIT */
#ifndef GLOW_LIB_IMPORTANCE_H
#define GLOW_LIB_IMPORTANCE_H

#include <glow/objective.h>

#include "base/base.h"

/* Weights w are kept as w exp(-top), which neither overflows nor vanishes altogether. */
typedef struct glow__weights {
  int64_t count;
  double top;     /* largest log w; -INFINITY: none, or all weights are 0 */
  double mean;    /* of w exp(-top) */
  double squares; /* sum of (w exp(-top) - mean)^2 */
} glow__weights;

glow__weights glow__weights_none(void);
/* log w of the next sample: finite, or -INFINITY. */
void glow__weights_add(glow__weights *weights, double log_weight);
/* What these weights estimate. GLOW_E_NUMERIC if they are all 0. */
glow_status glow__weights_estimate(const glow__weights *weights, glow_importance *out);

/* Is there a weight exp(log_p - log_q)? */
bool glow__has_weight(double log_p, double log_q);
/* The error of a sample that has none; after it, `failed` of `count` samples. */
glow_status glow__refuse_weight(int64_t sample, double log_p, double log_q, int64_t failed,
                                int64_t count);
/* A report that cannot be filled must fail before anything changes: fills in *out. */
glow_status glow__importance_fill(glow_importance *out, const glow_importance *from);

#endif
