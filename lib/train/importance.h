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
/* Adds other weights, those of other samples. */
void glow__weights_join(glow__weights *weights, const glow__weights *other);
/* What these weights estimate. GLOW_E_NUMERIC if they are all 0. */
glow_status glow__weights_estimate(const glow__weights *weights, glow_importance *out);

/* The same for samples `first` to `first + count - 1` with these log p and log q. If some have no
 * weight, none is added: GLOW_E_NUMERIC names the first, and *failed is how many. */
glow_status glow__weights_add_samples(glow__weights *weights, const double *log_p,
                                      const double *log_q, int64_t first, int64_t count,
                                      int64_t *failed);
/* A report that cannot be filled must fail before anything changes: fills in *out. */
glow_status glow__importance_fill(glow_importance *out, const glow_importance *from);

#endif
