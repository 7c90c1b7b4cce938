/* Objectives other than the likelihood of data: a density that one can evaluate but not sample
 * from. Estimates by importance sampling (Owen, Monte Carlo theory, methods and examples, 2013,
 * chapter 9). SPDX-License-Identifier: MIT */
#ifndef GLOW_OBJECTIVE_H
#define GLOW_OBJECTIVE_H

#include <glow/train.h>

#ifdef __cplusplus
extern "C" {
#endif

/* ---- importance sampling --------------------------------------------------------------------- */

/* Samples of a density q, with weights w = exp(log p - log q), estimate what belongs to a density p
 * that is known up to a factor Z. */
typedef struct glow_importance {
  size_t struct_size;
  int64_t count; /* samples */
  double log_z;  /* log of the mean weight, which estimates log Z */
  double
      log_z_error; /* standard error of log_z, by the delta method; NaN for one sample. It is what
                         these weights show: where q misses a part of p, neither shows it */
  double ess;      /* effective sample size (sum w)^2 / sum w^2, from 1 to count */
  double largest;  /* share of the largest weight in their sum */
  int64_t failed;  /* samples that made the call fail: see glow_importance_estimate */
} glow_importance;
#define GLOW_IMPORTANCE_INIT                                                                       \
  { sizeof(glow_importance), 0, 0.0, 0.0, 0.0, 0.0, 0 }

/* Estimates from log p and log q of samples of q, [count] each, in nats. weights: NULL, or [count],
 * which become the self-normalised weights, with sum 1. *out: its struct_size is set by the caller.
 *
 * log p may be -INFINITY, and the weight is then 0. Where log p is NaN or INFINITY, or log q is not
 * finite, a sample has no weight: the call fails with GLOW_E_NUMERIC, which names the first such
 * sample, and out->failed is how many there are. GLOW_E_NUMERIC too if all weights are 0. */
GLOW_API glow_status glow_importance_estimate(const double *log_p, const double *log_q,
                                              int64_t count, double *weights, glow_importance *out);
/* Mean of values [count] under p: sum w v / sum w, with weights [count] that are finite, 0 or more
 * and not all 0. *error is its standard error sqrt(sum w^2 (v - mean)^2) / sum w; may be NULL.
 * Values of samples whose weight is 0 do not matter; one that is not finite elsewhere is
 * GLOW_E_NUMERIC. */
GLOW_API glow_status glow_importance_mean(const double *weights, const double *values,
                                          int64_t count, double *mean, double *error);

#ifdef __cplusplus
}
#endif
#endif
