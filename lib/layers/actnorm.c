/* actnorm: y_c = (x_c + bias_c) exp(logs_c), log-det = H W sum_c logs_c.
 * Kingma and Dhariwal 2018, section 3.1. SPDX-License-Identifier: MIT */
#include <math.h>
#include <string.h>

#include "layers/layers.h"
#include "math/kernels.h"
#include "math/moments.h"

typedef struct actnorm {
  double floor;
  int64_t pixels, channels;
  int32_t bias, logs;
  int32_t sums; /* worker: doubles [2 channels] */
} actnorm;

/* Derived: exp(logs) [C], exp(-logs) [C], and their log-det for a sample. */
typedef struct derived {
  double logdet;
  float scales[];
} derived;

static glow_status configure(void *self, glow_setup *setup, const glow_shape *input,
                             glow_shape *output) {
  actnorm *a = self;
  int64_t dims[] = {input->channels};
  *output = *input;
  a->pixels = input->height * input->width;
  a->channels = input->channels;
  GLOW_TRY(glow_setup_tensor(setup, "bias", GLOW_TYPE_F32, 1, 1, dims, &a->bias));
  GLOW_TRY(glow_setup_tensor(setup, "logs", GLOW_TYPE_F32, 1, 1, dims, &a->logs));
  GLOW_TRY(glow_setup_worker_scratch(setup, 4 * a->channels, &a->sums));
  GLOW_TRY(glow_setup_derived(setup, sizeof(derived) + 2 * (size_t)a->channels * sizeof(float)));
  return glow_setup_initialise(setup, 1, glow__moments_size(a->channels));
}

static glow_status init(const void *self, const glow_call *call, int32_t round, int32_t phase,
                        const float *x) {
  const actnorm *a = self;
  glow__moments *moments = glow_call_initialise_state(call);
  int64_t pixels = glow_call_sample_count(call) * a->pixels;
  (void)round;
  if (phase == GLOW_INITIALISE_BATCH) {
    glow__moments_sums(pixels, a->channels, x, moments->sums);
    moments->pixels += (double)pixels;
  }
  if (phase != GLOW_INITIALISE_END)
    return GLOW_OK;
  return glow__moments_norm(moments, a->channels, a->floor, call, "",
                            glow_call_tensor_mutable(call, a->bias),
                            glow_call_tensor_mutable(call, a->logs));
}

static glow_status prepare(const void *self, const glow_call *call) {
  const actnorm *a = self;
  const float *logs = glow_call_tensor(call, a->logs);
  derived *d = glow_call_derived_mutable(call);
  double sum = 0;
  for (int64_t c = 0; c < a->channels; c++) {
    sum += (double)logs[c];
    d->scales[c] = expf(logs[c]);
    d->scales[a->channels + c] = expf(-logs[c]);
  }
  d->logdet = sum * (double)a->pixels;
  return GLOW_OK;
}

static const glow__passes *passes_of(const glow_call *call) {
  return glow_call_context(call)->kernels->passes;
}

static void forward(const void *self, const glow_call *call, const float *x, float *y,
                    double *logdet, double *logprior) {
  const actnorm *a = self;
  const float *bias = glow_call_tensor(call, a->bias);
  const derived *d = glow_call_derived(call);
  int64_t samples = glow_call_sample_count(call);
  (void)logprior;
  passes_of(call)->actnorm(samples * a->pixels, a->channels, x, bias, d->scales, y);
  for (int64_t n = 0; n < samples; n++)
    logdet[n] += d->logdet;
}

static void undo(const actnorm *a, const glow_call *call, const float *y, float *x) {
  const float *bias = glow_call_tensor(call, a->bias);
  const derived *d = glow_call_derived(call);
  const float *inverse = d->scales + a->channels;
  passes_of(call)->actnorm_undo(glow_call_sample_count(call) * a->pixels, a->channels, y, bias, inverse,
                                x);
}

static void inverse(const void *self, const glow_call *call, const float *y, float *x,
                    double *logdet) {
  const derived *d = glow_call_derived(call);
  undo(self, call, y, x);
  for (int64_t n = 0; n < glow_call_sample_count(call); n++)
    logdet[n] -= d->logdet;
}

/* dx = dy exp(logs);  d bias = sum dx;  d logs = sum dy y + H W d logdet. */
static void backward(const void *self, const glow_call *call, const glow_layer_gradient *g) {
  const actnorm *a = self;
  const derived *d = glow_call_derived(call);
  int64_t samples = glow_call_sample_count(call), channels = a->channels;
  double *bias = (double *)(void *)glow_call_worker_scratch(call, a->sums, 0);
  double *logs = bias + channels;
  memset(bias, 0, 2 * (size_t)channels * sizeof *bias);
  passes_of(call)->actnorm_gradient(samples * a->pixels, channels, g->y, g->dy, d->scales, g->dx,
                                    bias, logs);
  double logdet = 0;
  for (int64_t n = 0; n < samples; n++)
    logdet += g->d_logdet[n] * (double)a->pixels;
  for (int64_t c = 0; c < channels; c++) {
    glow_call_gradient(call, a->bias)[c] += (float)bias[c];
    glow_call_gradient(call, a->logs)[c] += (float)(logs[c] + logdet);
  }
  if (!g->x)
    undo(a, call, g->y, g->x_out);
}

static glow_status linear(const void *self, const glow_call *call, double *w, double *b) {
  const actnorm *a = self;
  const float *bias = glow_call_tensor(call, a->bias), *logs = glow_call_tensor(call, a->logs);
  for (int64_t c = 0; c < a->channels; c++) {
    w[c * a->channels + c] = exp((double)logs[c]);
    b[c] = w[c * a->channels + c] * (double)bias[c];
  }
  return GLOW_OK;
}

static glow_status save(const void *self, glow_config *config) {
  return glow_config_set_real(config, "floor", ((const actnorm *)self)->floor);
}

static void destroy(void *self, glow_context *context) {
  glow_release(context, self);
}

static const glow_layer_ops ops = {
    .struct_size = sizeof(glow_layer_ops),
    .type = "actnorm",
    .flags = GLOW_LAYER_IN_PLACE | GLOW_LAYER_RECONSTRUCTS | GLOW_LAYER_ALWAYS_PREPARES,
    .configure = configure,
    .initialise = init,
    .prepare = prepare,
    .forward = forward,
    .inverse = inverse,
    .backward = backward,
    .save = save,
    .linear = linear,
    .destroy = destroy,
};

glow_status glow_actnorm_create(glow_context *context, const glow_actnorm_options *options,
                                glow_layer **out) {
  glow_actnorm_options o = GLOW_ACTNORM_OPTIONS_INIT;
  if (out)
    *out = NULL;
  if (!context || !out)
    return glow_error(GLOW_E_ARGUMENT, "glow_actnorm_create: NULL argument");
  GLOW_TRY(glow__options_copy(&o, sizeof o, options, sizeof o, "glow_actnorm_options"));
  if (!(o.floor > 0 && o.floor < 1))
    return glow_error(GLOW_E_ARGUMENT, "floor is %g; it must be between 0 and 1", o.floor);
  actnorm *a = glow_allocate(context, sizeof *a);
  if (!a)
    return GLOW_E_MEMORY;
  a->floor = o.floor;
  return glow_layer_create(context, &ops, a, out);
}

glow_status glow__actnorm_make(glow_context *context, const glow_config *config, glow_layer **out) {
  glow_actnorm_options o = GLOW_ACTNORM_OPTIONS_INIT;
  GLOW_TRY(glow_config_get_real(config, "floor", &o.floor));
  return glow_actnorm_create(context, &o, out);
}
