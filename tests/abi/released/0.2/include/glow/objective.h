/* What a model is held against: data, by their mean log-density; or a target, a density that one
 * can evaluate but not sample from, by reverse and forward KL and by importance sampling (Owen,
 * Monte Carlo theory, methods and examples, 2013, chapter 9). SPDX-License-Identifier: MIT */
#ifndef GLOW_OBJECTIVE_H
#define GLOW_OBJECTIVE_H

#include <glow/train.h>

#ifdef __cplusplus
extern "C" {
#endif

/* ---- evaluation ------------------------------------------------------------------------------ */

/* Means over samples, with their standard errors. It starts as GLOW_EVALUATION_INIT, and each call
 * adds to it, so data may be given in pieces. */
typedef struct glow_evaluation {
  size_t struct_size;
  int64_t count;             /* samples that the means are of */
  int64_t failed;            /* samples without a finite result (<glow/workspace.h>), left out */
  double log_prob;           /* mean log-density, nats; NaN while count is 0 */
  double log_prob_error;     /* standard error; NaN while count is below 2 */
  double bits_per_dim;       /* glow_model_bits_per_dim of the mean */
  double bits_per_dim_error; /* its standard error */
  double class_loss;         /* mean cross-entropy in bits over the labelled samples; NaN if there
                                are none, or no classifier */
  double accuracy;           /* the share of them whose largest logit is at their label */
  double weight;             /* sums for the next piece: of weights, */
  double labelled;           /* of weights of labelled samples, */
  double squares_weight;     /* of squared weights, */
  double squares_mean;       /* the mean of log-densities under squared weights, and the sum */
  double squares;            /* of squares about it */
} glow_evaluation;
#define GLOW_EVALUATION_INIT                                                                       \
  { sizeof(glow_evaluation), 0, 0, 0.0, 0.0, 0.0, 0.0, 0.0, 0.0, 0.0, 0.0, 0.0, 0.0, 0.0 }

/* Adds the samples of a batch, any number of them, to *evaluation: log-densities as
 * glow_workspace_log_prob gives them, in any mode. seed: of the noise of pixels, which goes on from
 * piece to piece, so that the result is the same in whatever pieces data are given. With weights,
 * means are weighted, and an error is sqrt(n / (n - 1) sum w^2 (v - mean)^2) / sum w. Conditions
 * are lent to the workspace for the duration, and memory is taken for the results of one of its
 * batches, and of pixels for a batch of floats. After a failure *evaluation is as it was. */
GLOW_API glow_status glow_evaluate(glow_workspace *workspace, const glow_batch *batch,
                                   uint64_t seed, glow_evaluation *evaluation);

/* ---- targets --------------------------------------------------------------------------------- */

/* A target density: for x [count, dims], samples `first` to `first + count - 1` of the call or step
 * that asks, it writes log p(x) up to a constant, in nats, to log_p [count], and the gradient of
 * each log p with respect to its x to gradient [count, dims] unless that is NULL. -INFINITY: p is 0
 * there. Samples come in order, but a step may have to ask for all of them again. A status other
 * than GLOW_OK refuses the step and is returned. */
typedef glow_status (*glow_density_fn)(const float *x, int64_t first, int64_t count, double *log_p,
                                       float *gradient, void *payload);

enum {
  GLOW_REVERSE_KL = 1701, /* KL(q || p) = E_q[log q - log p]: looks where the model q is, and so may
                             keep to a part of p */
  GLOW_FORWARD_KL = 1702  /* KL(p || q) = E_p[log p - log q], by importance sampling from the model:
                             looks where p is, as far as samples reach it; needs no gradient of p */
};

typedef struct glow_target {
  size_t struct_size;
  glow_density_fn density; /* not NULL */
  void *payload;
  int32_t objective;      /* of steps; default GLOW_REVERSE_KL */
  int32_t reserved;       /* 0 */
  const int32_t *labels;  /* [count], of the samples to draw, for models with classes, or NULL */
  const float *condition; /* [condition_count, condition size], for models that take one, or NULL */
  int64_t condition_count; /* as many as samples; or 1: all get the same; 0 without a condition */
} glow_target;
#define GLOW_TARGET_INIT                                                                           \
  { sizeof(glow_target), NULL, NULL, GLOW_REVERSE_KL, 0, NULL, NULL, 0 }

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

/* The same from `count` samples that the model draws in batches: memory for one batch of x is taken
 * for the duration. The target's labels and conditions are those of the samples. Of the options
 * (NULL: the defaults), temperatures, seed and first are used, and all else must be as in
 * GLOW_SAMPLE_OPTIONS_INIT; with a temperature above 1 samples reach further, and log q is still
 * that of what they are drawn from. After the first batch with samples that have no weight the call
 * fails, and out->failed is of that batch. */
GLOW_API glow_status glow_workspace_importance(glow_workspace *workspace, const glow_target *target,
                                               const glow_sample_options *options, int64_t count,
                                               glow_importance *out);

/* ---- training -------------------------------------------------------------------------------- */

/* Makes one step towards a target, on `count` samples that the model draws (at temperature 1, with
 * the trainer's seed, new ones in each step). All else is as in glow_trainer_step_batch: gradients
 * in micro-batches, clipping, the update, the average, and what refuses a step. The trainer needs
 * its option inverse_backward.
 *
 * Reverse KL: the gradient of the mean of log q(x) - log p(x) through the samples, and report->loss
 * is that mean, in nats: KL(q || p) - log Z. A sample where p is 0 refuses the step.
 * Forward KL: the gradient of -sum_n w_n log q(x_n) / sum_n w_n at fixed samples and weights
 * w = p / q, and report->loss is that sum, which estimates the cross-entropy E_p[-log q], in nats.
 * Fixed samples make the estimate biased, by about 1 / ess.
 *
 * A sample without a weight (glow_importance_estimate), or whose gradient is not finite, refuses
 * the step. Batch normalisations use their running averages, which stay as they are. report and
 * estimate may be NULL; estimate is of the step's samples, before the update. */
GLOW_API glow_status glow_trainer_step_target(glow_trainer *trainer, const glow_target *target,
                                              int64_t count, glow_step_report *report,
                                              glow_importance *estimate);

#ifdef __cplusplus
}
#endif
#endif
