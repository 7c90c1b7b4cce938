/* logit: data in [-1/2, 1/2) to the whole line. With q = x + 1/2 in [0, 1) and p = a + (1 - 2a) q:
 *   y = log(p / (1 - p)),  log-det = sum over all numbers of log((1 - 2a) / (p (1 - p)))
 * Dinh et al. 2016, section 4.1, with their a = 0.05. Outside of [-1/2, 1/2] the curve goes on as
 * its tangent, so that the layer is a bijection of the reals: what comes out of sampling and lies
 * beyond the data has an exact inverse and a finite log-det too.
 * SPDX-License-Identifier: MIT */
#include <math.h>

#include "layers/layers.h"

typedef struct logit {
  double alpha;
  int64_t size;                  /* numbers of a sample */
  double edge, slope, log_slope; /* y and dy/dx at x = 1/2 */
} logit;

static glow_status configure(void *self, glow_setup *setup, const glow_shape *input,
                             glow_shape *output) {
  logit *l = self;
  (void)setup;
  *output = *input;
  l->size = glow_shape_size(input);
  return GLOW_OK;
}

/* log dy/dx at p. */
static double log_slope(const logit *l, double p) {
  return log1p(-2 * l->alpha) - log(p) - log1p(-p);
}

static double value(const logit *l, double x, double *logdet) {
  if (fabs(x) > 0.5) {
    *logdet += l->log_slope;
    return copysign(l->edge + (fabs(x) - 0.5) * l->slope, x);
  }
  double p = l->alpha + (1 - 2 * l->alpha) * (x + 0.5);
  *logdet += log_slope(l, p);
  return log(p) - log1p(-p);
}

static double back(const logit *l, double y, double *logdet) {
  if (fabs(y) > l->edge) {
    *logdet -= l->log_slope;
    return copysign(0.5 + (fabs(y) - l->edge) / l->slope, y);
  }
  double p = 1 / (1 + exp(-y));
  *logdet -= log_slope(l, p);
  return (p - l->alpha) / (1 - 2 * l->alpha) - 0.5;
}

static void forward(const void *self, const glow_call *call, const float *x, float *y,
                    double *logdet, double *logprior) {
  const logit *l = self;
  (void)logprior;
  for (int64_t n = 0; n < glow_call_sample_count(call); n++)
    for (int64_t i = n * l->size; i < (n + 1) * l->size; i++)
      y[i] = (float)value(l, (double)x[i], &logdet[n]);
}

static void inverse(const void *self, const glow_call *call, const float *y, float *x,
                    double *logdet) {
  const logit *l = self;
  for (int64_t n = 0; n < glow_call_sample_count(call); n++)
    for (int64_t i = n * l->size; i < (n + 1) * l->size; i++)
      x[i] = (float)back(l, (double)y[i], &logdet[n]);
}

/* dx = dy dy/dx + d_logdet d(log dy/dx)/dx. Of the tangents the second is 0; of the curve, with
 * p = sigmoid(y), it is (1 - 2a) (2p - 1) / (p (1 - p)). */
static void backward(const void *self, const glow_call *call, const glow_layer_gradient *g) {
  const logit *l = self;
  double ignored = 0;
  for (int64_t n = 0; n < glow_call_sample_count(call); n++)
    for (int64_t i = n * l->size; i < (n + 1) * l->size; i++) {
      double y = (double)g->y[i], slope = l->slope, bend = 0;
      if (fabs(y) <= l->edge) {
        double p = 1 / (1 + exp(-y));
        slope = (1 - 2 * l->alpha) / (p * (1 - p));
        bend = slope * (2 * p - 1);
      }
      g->dx[i] = (float)((double)g->dy[i] * slope + g->d_logdet[n] * bend);
      if (!g->x)
        g->x_out[i] = (float)back(l, y, &ignored);
    }
}

static glow_status save(const void *self, glow_config *config) {
  return glow_config_set_real(config, "alpha", ((const logit *)self)->alpha);
}

static void destroy(void *self, glow_context *context) {
  glow_release(context, self);
}

static const glow_layer_ops ops = {
    .struct_size = sizeof(glow_layer_ops),
    .type = "logit",
    .flags = GLOW_LAYER_IN_PLACE | GLOW_LAYER_RECONSTRUCTS,
    .configure = configure,
    .forward = forward,
    .inverse = inverse,
    .backward = backward,
    .save = save,
    .destroy = destroy,
};

glow_status glow_logit_create(glow_context *context, const glow_logit_options *options,
                              glow_layer **out) {
  glow_logit_options o = GLOW_LOGIT_OPTIONS_INIT;
  if (out)
    *out = NULL;
  if (!context || !out)
    return glow_error(GLOW_E_ARGUMENT, "glow_logit_create: NULL argument");
  GLOW_TRY(glow__options_copy(&o, sizeof o, options, sizeof o, "glow_logit_options"));
  if (!(o.alpha >= 1e-6 && o.alpha < 0.5))
    return glow_error(GLOW_E_ARGUMENT, "alpha is %g; it must be 1e-6 or more and below 1/2",
                      o.alpha);
  logit *l = glow_allocate(context, sizeof *l);
  if (!l)
    return GLOW_E_MEMORY;
  l->alpha = o.alpha;
  l->edge = log1p(-o.alpha) - log(o.alpha);
  l->log_slope = log_slope(l, o.alpha);
  l->slope = exp(l->log_slope);
  return glow_layer_create(context, &ops, l, out);
}

glow_status glow__logit_make(glow_context *context, const glow_config *config, glow_layer **out) {
  glow_logit_options o = GLOW_LOGIT_OPTIONS_INIT;
  GLOW_TRY(glow_config_get_real(config, "alpha", &o.alpha));
  return glow_logit_create(context, &o, out);
}
