/* logit: data in [-1/2, 1/2) to the whole line. With q = x + 1/2 in [0, 1) and p = a + (1 - 2a) q:
 *   y = log(p / (1 - p)),  log-det = sum over all elements of log((1 - 2a) / (p (1 - p)))
 * Dinh et al. 2016, section 4.1, with their a = 0.05. Outside [-1/2, 1/2] the curve continues as
 * its tangent, which makes the layer a bijection of the reals: samples outside the range of the
 * data have an exact inverse and a finite log-det too.
 * SPDX-License-Identifier: MIT */
#include <math.h>

#include "layers/layers.h"

typedef struct logit {
  glow_logit_options o;
  int64_t size;                  /* elements of a sample */
  double edge, slope, log_slope; /* y and dy/dx at x = 1/2 */
} logit;

/* log dy/dx at p. */
static double logit_log_slope(const logit *l, double p) {
  return log1p(-2 * l->o.alpha) - log(p) - log1p(-p);
}

static glow_status logit_configure(void *self, glow_setup *setup, const glow_shape *input,
                                   glow_shape *output) {
  logit *l = self;
  (void)setup;
  *output = *input;
  l->size = glow_shape_size(input);
  l->edge = log1p(-l->o.alpha) - log(l->o.alpha);
  l->log_slope = logit_log_slope(l, l->o.alpha);
  l->slope = exp(l->log_slope);
  return GLOW_OK;
}

static double logit_value(const logit *l, double x, double *logdet) {
  if (fabs(x) > 0.5) {
    *logdet += l->log_slope;
    return copysign(l->edge + (fabs(x) - 0.5) * l->slope, x);
  }
  double p = l->o.alpha + (1 - 2 * l->o.alpha) * (x + 0.5);
  *logdet += logit_log_slope(l, p);
  return log(p) - log1p(-p);
}

static double logit_back(const logit *l, double y, double *logdet) {
  if (fabs(y) > l->edge) {
    *logdet -= l->log_slope;
    return copysign(0.5 + (fabs(y) - l->edge) / l->slope, y);
  }
  double p = 1 / (1 + exp(-y));
  *logdet -= logit_log_slope(l, p);
  return (p - l->o.alpha) / (1 - 2 * l->o.alpha) - 0.5;
}

static void logit_forward(const void *self, const glow_call *call, const float *x, float *y,
                          double *logdet, double *logprior) {
  const logit *l = self;
  (void)logprior;
  for (int64_t n = 0; n < glow_call_sample_count(call); n++)
    for (int64_t i = n * l->size; i < (n + 1) * l->size; i++)
      y[i] = (float)logit_value(l, (double)x[i], &logdet[n]);
}

static glow_status logit_inverse(const void *self, const glow_call *call, const float *y, float *x,
                                 double *logdet, double *logprior) {
  (void)logprior;
  const logit *l = self;
  for (int64_t n = 0; n < glow_call_sample_count(call); n++)
    for (int64_t i = n * l->size; i < (n + 1) * l->size; i++)
      x[i] = (float)logit_back(l, (double)y[i], &logdet[n]);
  return GLOW_OK;
}

/* *slope = dy/dx and *bend = d(log dy/dx)/dx at y. On the tangents the bend is 0; on the curve,
 * with p = sigmoid(y), it is (1 - 2a) (2p - 1) / (p (1 - p)). */
static void logit_slope_at(const logit *l, double y, double *slope, double *bend) {
  *slope = l->slope;
  *bend = 0;
  if (fabs(y) > l->edge)
    return;
  double p = 1 / (1 + exp(-y));
  *slope = (1 - 2 * l->o.alpha) / (p * (1 - p));
  *bend = *slope * (2 * p - 1);
}

/* dx = dy dy/dx + d_logdet d(log dy/dx)/dx */
static void logit_backward(const void *self, const glow_call *call, const glow_layer_gradient *g) {
  const logit *l = self;
  double ignored = 0;
  for (int64_t n = 0; n < glow_call_sample_count(call); n++)
    for (int64_t i = n * l->size; i < (n + 1) * l->size; i++) {
      double y = (double)g->y[i], slope, bend;
      logit_slope_at(l, y, &slope, &bend);
      g->dx[i] = (float)((double)g->dy[i] * slope + g->d_logdet[n] * bend);
      if (!g->x)
        g->x_out[i] = (float)logit_back(l, y, &ignored);
    }
}

/* dy = (dx + d_logdet d(log dy/dx)/dx) / (dy/dx) */
static void logit_inverse_backward(const void *self, const glow_call *call,
                                   const glow_layer_inverse_gradient *g) {
  const logit *l = self;
  for (int64_t n = 0; n < glow_call_sample_count(call); n++)
    for (int64_t i = n * l->size; i < (n + 1) * l->size; i++) {
      double slope, bend;
      logit_slope_at(l, (double)g->y[i], &slope, &bend);
      g->dy[i] = (float)(((double)g->dx[i] + g->d_logdet[n] * bend) / slope);
    }
}

/* ---- options --------------------------------------------------------------------------------- */

static const glow_option logit_rows[] = {
    GLOW_OPTION(glow_logit_options, alpha, REAL, .low = 1e-6, .high = 0.5, .fallback = 0.05,
                .flags = GLOW_OPTION_BELOW_HIGH),
};
static const glow_options_table logit_table = {GLOW_OPTIONS_TABLE(glow_logit_options, logit_rows)};

const glow_layer_ops glow__logit_ops = {
    .struct_size = sizeof(glow_layer_ops),
    .type = "logit",
    .flags = GLOW_LAYER_IN_PLACE | GLOW_LAYER_RECONSTRUCTS,
    .options = &logit_table,
    .self_size = sizeof(logit),
    .configure = logit_configure,
    .forward = logit_forward,
    .inverse = logit_inverse,
    .backward = logit_backward,
    .inverse_backward = logit_inverse_backward,
};

glow_status glow_logit_create(glow_context *context, const glow_logit_options *options,
                              glow_layer **out) {
  return glow_layer_create(context, &glow__logit_ops, options, NULL, out);
}
