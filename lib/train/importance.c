/* Self-normalised importance sampling: Owen, Monte Carlo theory, methods and examples, 2013, 9.2
 * and 9.3. With weights w = exp(log p - log q) of n samples of q, their mean m and variance s^2,
 *
 *   log Z = log m                  its standard error, by the delta method: s / (m sqrt(n))
 *   effective sample size = (sum w)^2 / sum w^2 = n / (1 + (n - 1) s^2 / (n m^2))
 *   mean of v = sum w v / sum w    its standard error: sqrt(sum w^2 (v - mean)^2) / sum w
 *
 * Mean and variance are updated sample by sample (Welford, "Note on a method for calculating
 * corrected sums of squares and products", 1962), so that nearly equal weights lose no digits, and
 * relative to the largest weight so far, so that none overflows.
 * SPDX-License-Identifier: MIT */
#include "train/importance.h"

#include <math.h>

/* ---- weights --------------------------------------------------------------------------------- */

glow__weights glow__weights_none(void) {
  return (glow__weights){0, -INFINITY, 0.0, 0.0};
}

/* The same weights relative to a larger top. */
static void weights_raise(glow__weights *w, double top) {
  double factor = exp(w->top - top); /* 0 while all weights are 0 */
  w->mean *= factor;
  w->squares *= factor * factor;
  w->top = top;
}

void glow__weights_add(glow__weights *w, double log_weight) {
  if (log_weight > w->top)
    weights_raise(w, log_weight);
  double weight = w->top == -INFINITY ? 0.0 : exp(log_weight - w->top);
  double difference = weight - w->mean;
  w->count++;
  w->mean += difference / (double)w->count;
  w->squares += difference * (weight - w->mean);
}

/* Chan, Golub and LeVeque, "Updating formulae and a pairwise algorithm for computing sample
 * variances", 1979. */
void glow__weights_join(glow__weights *w, const glow__weights *other) {
  glow__weights o = *other;
  if (o.top > w->top)
    weights_raise(w, o.top);
  else if (w->top > o.top)
    weights_raise(&o, w->top);
  double count = (double)(w->count + o.count), difference = o.mean - w->mean;
  if (count == 0.0)
    return;
  w->mean += difference * ((double)o.count / count);
  w->squares += o.squares + difference * difference * ((double)w->count * (double)o.count / count);
  w->count += o.count;
}

glow_status glow__weights_estimate(const glow__weights *w, glow_importance *out) {
  double n = (double)w->count, squares = w->squares / (w->mean * w->mean); /* of w / mean */
  out->count = w->count;
  if (w->top == -INFINITY)
    return glow_error(GLOW_E_NUMERIC,
                      "all %lld weights are 0: log p is -INFINITY at every sample, so what is "
                      "sampled from does not reach the target",
                      (long long)w->count);
  out->log_z = w->top + log(w->mean);
  out->log_z_error = w->count > 1 ? sqrt(squares / (n - 1.0) / n) : (double)NAN;
  out->ess = n / (1.0 + squares / n);
  out->largest = 1.0 / (n * w->mean);
  return GLOW_OK;
}

static bool has_weight(double log_p, double log_q) {
  return isfinite(log_q) && log_p - log_q < INFINITY; /* false for NaN */
}

/* Samples without a weight, and the first of them. */
static int64_t without_weight(const double *log_p, const double *log_q, int64_t count,
                              int64_t *first) {
  int64_t failed = 0;
  for (int64_t i = count - 1; i >= 0; i--)
    if (!has_weight(log_p[i], log_q[i])) {
      failed++;
      *first = i;
    }
  return failed;
}

glow_status glow__weights_add_samples(glow__weights *w, const double *log_p, const double *log_q,
                                      int64_t first, int64_t count, int64_t *failed) {
  int64_t n = 0;
  *failed = without_weight(log_p, log_q, count, &n);
  if (*failed)
    return glow_error(GLOW_E_NUMERIC,
                      "sample %lld has no finite weight: log p is %g, which must be finite or "
                      "-INFINITY, and log q is %g, which must be finite; %lld of %lld samples have "
                      "none",
                      (long long)(first + n), log_p[n], log_q[n], (long long)*failed,
                      (long long)count);
  for (int64_t i = 0; i < count; i++)
    glow__weights_add(w, log_p[i] - log_q[i]);
  return GLOW_OK;
}

glow_status glow__importance_fill(glow_importance *out, const glow_importance *from) {
  return glow__struct_fill(out, from, sizeof *from, sizeof *from, "glow_importance");
}

/* ---- estimates ------------------------------------------------------------------------------- */

static glow_status importance_count(const char *name, int64_t count) {
  if (count < 1)
    return glow_error(GLOW_E_ARGUMENT, "%s: %lld samples; 1 or more are needed", name,
                      (long long)count);
  return GLOW_OK;
}

/* What *estimate becomes. The weights are not written before all of them are known to be fine. */
static glow_status importance_estimate(const double *log_p, const double *log_q, int64_t count,
                                       double *weights, glow_importance *estimate) {
  glow__weights w = glow__weights_none();
  estimate->count = count;
  GLOW_TRY(glow__weights_add_samples(&w, log_p, log_q, 0, count, &estimate->failed));
  GLOW_TRY(glow__weights_estimate(&w, estimate));
  for (int64_t i = 0; weights && i < count; i++)
    weights[i] = exp(log_p[i] - log_q[i] - w.top) / ((double)count * w.mean);
  return GLOW_OK;
}

glow_status glow_importance_estimate(const double *log_p, const double *log_q, int64_t count,
                                     double *weights, glow_importance *out) {
  glow_importance estimate = GLOW_IMPORTANCE_INIT;
  if (!log_p || !log_q || !out)
    return glow_error(GLOW_E_ARGUMENT, "glow_importance_estimate: NULL argument");
  GLOW_TRY(importance_count("glow_importance_estimate", count));
  GLOW_TRY(glow__importance_fill(out, &estimate));
  glow_status status = importance_estimate(log_p, log_q, count, weights, &estimate);
  glow_status filled = glow__importance_fill(out, &estimate);
  return status != GLOW_OK ? status : filled;
}

/* Their sum. */
static glow_status check_weights(const double *weights, const double *values, int64_t count,
                                 double *sum) {
  *sum = 0.0;
  for (int64_t i = 0; i < count; i++) {
    if (!isfinite(weights[i]) || weights[i] < 0.0)
      return glow_error(GLOW_E_ARGUMENT,
                        "weight of sample %lld is %g; it must be finite, 0 or more", (long long)i,
                        weights[i]);
    if (weights[i] > 0.0 && !isfinite(values[i]))
      return glow_error(GLOW_E_NUMERIC, "value of sample %lld is %g, and its weight is not 0",
                        (long long)i, values[i]);
    *sum += weights[i];
  }
  if (!isfinite(*sum) || *sum <= 0.0)
    return glow_error(GLOW_E_ARGUMENT,
                      "the sum of the weights is %g; it must be above 0, and finite", *sum);
  return GLOW_OK;
}

glow_status glow_importance_mean(const double *weights, const double *values, int64_t count,
                                 double *mean, double *error) {
  double sum = 0.0, centre = 0.0, squares = 0.0;
  if (!weights || !values || !mean)
    return glow_error(GLOW_E_ARGUMENT, "glow_importance_mean: NULL argument");
  GLOW_TRY(importance_count("glow_importance_mean", count));
  GLOW_TRY(check_weights(weights, values, count, &sum));
  for (int64_t i = 0; i < count; i++)
    centre += weights[i] > 0.0 ? weights[i] / sum * values[i] : 0.0;
  for (int64_t i = 0; i < count; i++)
    squares += weights[i] > 0.0 ? pow(weights[i] / sum * (values[i] - centre), 2.0) : 0.0;
  *mean = centre;
  if (error)
    *error = sqrt(squares);
  return GLOW_OK;
}
