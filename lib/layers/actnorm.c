/* actnorm: y_c = (x_c + bias_c) exp(logs_c), log-det = H W sum_c logs_c.
 * Kingma and Dhariwal 2018, section 3.1. SPDX-License-Identifier: MIT */
#include <math.h>
#include <string.h>

#include "layers/layers.h"

typedef struct actnorm {
  glow_actnorm_options o;
  int64_t pixels, channels; /* pixels: of a sample */
  int32_t bias, logs;
  int32_t sums; /* worker: doubles [2 channels] */
} actnorm;

/* Derived: exp(logs) [C], exp(-logs) [C], and the log-det of a sample. */
typedef struct actnorm_derived {
  double logdet;
  float scales[];
} actnorm_derived;

static glow_status actnorm_configure(void *self, glow_setup *setup, const glow_shape *input,
                                     glow_shape *output) {
  actnorm *a = self;
  int64_t dims[] = {input->channels};
  *output = *input;
  a->pixels = input->height * input->width;
  a->channels = input->channels;
  GLOW_TRY(glow_setup_tensor(setup, "bias", GLOW_TYPE_F32, 1, 1, dims, &a->bias));
  GLOW_TRY(glow_setup_tensor(setup, "logs", GLOW_TYPE_F32, 1, 1, dims, &a->logs));
  GLOW_TRY(glow_setup_worker_scratch(setup, 4 * a->channels, &a->sums));
  GLOW_TRY(
      glow_setup_derived(setup, sizeof(actnorm_derived) + 2 * (size_t)a->channels * sizeof(float)));
  return glow_setup_initialise(setup, 1, glow_moments_bytes(a->channels));
}

static glow_status actnorm_initialise(const void *self, const glow_call *call, int32_t round,
                                      int32_t phase, const float *x) {
  const actnorm *a = self;
  glow_moments *moments = glow_call_initialise_state(call);
  (void)round;
  if (phase == GLOW_INITIALISE_BATCH)
    glow_moments_add(moments, glow_call_sample_count(call) * a->pixels, a->channels, x);
  if (phase != GLOW_INITIALISE_END)
    return GLOW_OK;
  return glow_call_actnorm_values(call, moments, a->channels, a->o.floor, "",
                                  glow_call_tensor_mutable(call, a->bias),
                                  glow_call_tensor_mutable(call, a->logs));
}

static glow_status actnorm_prepare(const void *self, const glow_call *call) {
  const actnorm *a = self;
  const float *logs = glow_call_tensor(call, a->logs);
  actnorm_derived *d = glow_call_derived_mutable(call);
  double sum = 0;
  for (int64_t c = 0; c < a->channels; c++) {
    sum += (double)logs[c];
    d->scales[c] = expf(logs[c]);
    d->scales[a->channels + c] = expf(-logs[c]);
  }
  d->logdet = sum * (double)a->pixels;
  return GLOW_OK;
}

static void actnorm_forward(const void *self, const glow_call *call, const float *x, float *y,
                            double *logdet, double *logprior) {
  const actnorm *a = self;
  const float *bias = glow_call_tensor(call, a->bias);
  const actnorm_derived *d = glow_call_derived(call);
  int64_t samples = glow_call_sample_count(call);
  (void)logprior;
  glow__pointwise_of(call)->actnorm_forward(samples * a->pixels, a->channels, x, bias, d->scales,
                                            y);
  for (int64_t n = 0; n < samples; n++)
    logdet[n] += d->logdet;
}

/* x from y. */
static void actnorm_undo(const actnorm *a, const glow_call *call, const float *y, float *x) {
  const float *bias = glow_call_tensor(call, a->bias);
  const actnorm_derived *d = glow_call_derived(call);
  const float *inverse = d->scales + a->channels;
  glow__pointwise_of(call)->actnorm_inverse(glow_call_sample_count(call) * a->pixels, a->channels,
                                            y, bias, inverse, x);
}

static glow_status actnorm_inverse(const void *self, const glow_call *call, const float *y,
                                   float *x, double *logdet, double *logprior) {
  (void)logprior;
  const actnorm_derived *d = glow_call_derived(call);
  actnorm_undo(self, call, y, x);
  for (int64_t n = 0; n < glow_call_sample_count(call); n++)
    logdet[n] -= d->logdet;
  return GLOW_OK;
}

/* dx = dy exp(logs);  d bias = sum dx;  d logs = sum dy y + H W d logdet. */
static void actnorm_backward(const void *self, const glow_call *call,
                             const glow_layer_gradient *g) {
  const actnorm *a = self;
  const actnorm_derived *d = glow_call_derived(call);
  int64_t samples = glow_call_sample_count(call), channels = a->channels;
  double *bias = (double *)(void *)glow_call_worker_scratch(call, a->sums, 0);
  double *logs = bias + channels;
  memset(bias, 0, 2 * (size_t)channels * sizeof *bias);
  glow__pointwise_of(call)->actnorm_backward(samples * a->pixels, channels, g->y, g->dy, d->scales,
                                             g->dx, bias, logs);
  double logdet = 0;
  float *d_bias = glow_call_gradient(call, a->bias), *d_logs = glow_call_gradient(call, a->logs);
  for (int64_t n = 0; n < samples; n++)
    logdet += g->d_logdet[n] * (double)a->pixels;
  for (int64_t c = 0; d_bias && c < channels; c++) {
    d_bias[c] += (float)bias[c];
    d_logs[c] += (float)(logs[c] + logdet);
  }
  if (!g->x)
    actnorm_undo(a, call, g->y, g->x_out);
}

/* v = -dx / exp(logs) */
static void actnorm_inverse_backward(const void *self, const glow_call *call,
                                     const glow_layer_inverse_gradient *g) {
  const actnorm *a = self;
  const actnorm_derived *d = glow_call_derived(call);
  const float *inverse = d->scales + a->channels;
  int64_t count = glow_call_sample_count(call) * a->pixels * a->channels;
  for (int64_t i = 0; i < count; i += a->channels)
    for (int64_t c = 0; c < a->channels; c++)
      g->dy[i + c] = -g->dx[i + c] * inverse[c];
  glow__inverse_by_backward(actnorm_backward, self, call, g, count);
}

static glow_status actnorm_linear(const void *self, const glow_call *call, double *w, double *b) {
  const actnorm *a = self;
  const float *bias = glow_call_tensor(call, a->bias), *logs = glow_call_tensor(call, a->logs);
  for (int64_t c = 0; c < a->channels; c++) {
    w[c * a->channels + c] = exp((double)logs[c]);
    b[c] = w[c * a->channels + c] * (double)bias[c];
  }
  return GLOW_OK;
}

static glow_status actnorm_diagnose(const void *self, const glow_call *call, const float *x,
                                    glow_findings *findings) {
  const actnorm *a = self;
  const float *logs = glow_call_tensor(call, a->logs);
  for (int64_t c = 0; !x && c < a->channels; c++)
    glow_findings_scale(findings, exp((double)logs[c]));
  return GLOW_OK;
}

/* ---- options --------------------------------------------------------------------------------- */

static const glow_option actnorm_rows[] = {
    GLOW_OPTION(glow_actnorm_options, floor, REAL, .high = 1, .fallback = 1e-6,
                .flags = GLOW_OPTION_ABOVE_LOW | GLOW_OPTION_BELOW_HIGH),
};
static const glow_options_table actnorm_table = {
    GLOW_OPTIONS_TABLE(glow_actnorm_options, actnorm_rows)};

const glow_layer_ops glow__actnorm_ops = {
    .struct_size = sizeof(glow_layer_ops),
    .type = "actnorm",
    .flags = GLOW_LAYER_IN_PLACE | GLOW_LAYER_RECONSTRUCTS | GLOW_LAYER_ALWAYS_PREPARES |
             GLOW_LAYER_SKIPS_GRADIENTS,
    .options = &actnorm_table,
    .self_size = sizeof(actnorm),
    .configure = actnorm_configure,
    .initialise = actnorm_initialise,
    .prepare = actnorm_prepare,
    .forward = actnorm_forward,
    .inverse = actnorm_inverse,
    .backward = actnorm_backward,
    .inverse_backward = actnorm_inverse_backward,
    .linear = actnorm_linear,
    .diagnose = actnorm_diagnose,
};

glow_status glow_actnorm_create(glow_context *context, const glow_actnorm_options *options,
                                glow_layer **out) {
  return glow_layer_create(context, &glow__actnorm_ops, options, NULL, out);
}
