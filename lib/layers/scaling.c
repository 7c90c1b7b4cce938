/* scaling: y_i = x_i exp(logs_i), a factor for each element of a sample; log-det = sum logs.
 * The last layer of NICE: the scale of each dimension of the latents.
 * Dinh et al. 2014, section 3.3. SPDX-License-Identifier: MIT */
#include <math.h>
#include <string.h>

#include "layers/layers.h"

#define SCALING_FLOOR 1e-6 /* added to standard deviations */

typedef struct scaling {
  glow_scaling_options o;
  int64_t size; /* elements of a sample */
  int32_t logs;
  int32_t sums; /* worker: doubles [size] */
} scaling;

/* Derived: exp(logs) and exp(-logs), [size] each, and the log-det of a sample. */
typedef struct scaling_derived {
  double logdet;
  float scales[];
} scaling_derived;

static glow_status scaling_configure(void *self, glow_setup *setup, const glow_shape *input,
                                     glow_shape *output) {
  scaling *s = self;
  int64_t dims[] = {input->height, input->width, input->channels};
  *output = *input;
  s->size = glow_shape_size(input);
  GLOW_TRY(glow_setup_tensor(setup, "logs", GLOW_TYPE_F32, 1, 3, dims, &s->logs));
  GLOW_TRY(glow_setup_worker_scratch(setup, 2 * s->size, &s->sums));
  GLOW_TRY(
      glow_setup_derived(setup, sizeof(scaling_derived) + 2 * (size_t)s->size * sizeof(float)));
  if (!s->o.from_data)
    return GLOW_OK;
  /* The moments, and room for the means that are computed with the deviations. */
  size_t means = (size_t)s->size * sizeof(float);
  return glow_setup_initialise(setup, 1, glow_moments_bytes(s->size) + means);
}

static glow_status scaling_initialise(const void *self, const glow_call *call, int32_t round,
                                      int32_t phase, const float *x) {
  const scaling *s = self;
  glow_moments *moments = glow_call_initialise_state(call);
  float *means = (float *)(void *)((char *)moments + glow_moments_bytes(s->size));
  (void)round;
  if (phase == GLOW_INITIALISE_BATCH)
    glow_moments_add(moments, glow_call_sample_count(call), s->size, x);
  if (phase != GLOW_INITIALISE_END)
    return GLOW_OK;
  return glow_call_actnorm_values(call, moments, s->size, SCALING_FLOOR, "", means,
                                  glow_call_tensor_mutable(call, s->logs));
}

static glow_status scaling_prepare(const void *self, const glow_call *call) {
  const scaling *s = self;
  const float *logs = glow_call_tensor(call, s->logs);
  scaling_derived *d = glow_call_derived_mutable(call);
  d->logdet = 0;
  for (int64_t i = 0; i < s->size; i++) {
    d->logdet += (double)logs[i];
    d->scales[i] = expf(logs[i]);
    d->scales[s->size + i] = expf(-logs[i]);
  }
  return GLOW_OK;
}

/* to = `from` times the factors, for each sample. */
static void scaling_multiply(const scaling *s, const glow_call *call, const float *factors,
                             const float *from, float *to) {
  for (int64_t n = 0; n < glow_call_sample_count(call); n++)
    for (int64_t i = 0; i < s->size; i++)
      to[n * s->size + i] = from[n * s->size + i] * factors[i];
}

static void scaling_forward(const void *self, const glow_call *call, const float *x, float *y,
                            double *logdet, double *logprior) {
  const scaling_derived *d = glow_call_derived(call);
  (void)logprior;
  scaling_multiply(self, call, d->scales, x, y);
  for (int64_t n = 0; n < glow_call_sample_count(call); n++)
    logdet[n] += d->logdet;
}

static glow_status scaling_inverse(const void *self, const glow_call *call, const float *y,
                                   float *x, double *logdet, double *logprior) {
  (void)logprior;
  const scaling *s = self;
  const scaling_derived *d = glow_call_derived(call);
  scaling_multiply(s, call, d->scales + s->size, y, x);
  for (int64_t n = 0; n < glow_call_sample_count(call); n++)
    logdet[n] -= d->logdet;
  return GLOW_OK;
}

/* dx = dy exp(logs);  d logs = sum over samples of dy y + d logdet. */
static void scaling_backward(const void *self, const glow_call *call,
                             const glow_layer_gradient *g) {
  const scaling *s = self;
  const scaling_derived *d = glow_call_derived(call);
  double *sums = (double *)(void *)glow_call_worker_scratch(call, s->sums, 0);
  float *d_logs = glow_call_gradient(call, s->logs);
  memset(sums, 0, (size_t)s->size * sizeof *sums);
  for (int64_t n = 0; d_logs && n < glow_call_sample_count(call); n++)
    for (int64_t i = 0; i < s->size; i++) {
      int64_t at = n * s->size + i;
      sums[i] += (double)g->dy[at] * (double)g->y[at] + g->d_logdet[n];
    }
  scaling_multiply(s, call, d->scales, g->dy, g->dx);
  for (int64_t i = 0; d_logs && i < s->size; i++)
    d_logs[i] += (float)sums[i];
  if (!g->x)
    scaling_multiply(s, call, d->scales + s->size, g->y, g->x_out);
}

/* v = -dx / exp(logs) */
static void scaling_inverse_backward(const void *self, const glow_call *call,
                                     const glow_layer_inverse_gradient *g) {
  const scaling *s = self;
  const scaling_derived *d = glow_call_derived(call);
  int64_t count = glow_call_sample_count(call) * s->size;
  scaling_multiply(s, call, d->scales + s->size, g->dx, g->dy);
  for (int64_t i = 0; i < count; i++)
    g->dy[i] = -g->dy[i];
  glow__inverse_by_backward(scaling_backward, self, call, g, count);
}

static glow_status scaling_diagnose(const void *self, const glow_call *call, const float *x,
                                    glow_findings *findings) {
  const scaling *s = self;
  const float *logs = glow_call_tensor(call, s->logs);
  for (int64_t i = 0; !x && i < s->size; i++)
    glow_findings_scale(findings, exp((double)logs[i]));
  return GLOW_OK;
}

/* ---- options --------------------------------------------------------------------------------- */

static const glow_option scaling_rows[] = {
    GLOW_OPTION(glow_scaling_options, from_data, INT32, .key = "data_init", .high = 1),
    GLOW_OPTION(glow_scaling_options, reserved, RESERVED, .fallback = 0),
};
static const glow_options_table scaling_table = {
    GLOW_OPTIONS_TABLE(glow_scaling_options, scaling_rows)};

const glow_layer_ops glow__scaling_ops = {
    .struct_size = sizeof(glow_layer_ops),
    .type = "scaling",
    .flags = GLOW_LAYER_IN_PLACE | GLOW_LAYER_RECONSTRUCTS | GLOW_LAYER_ALWAYS_PREPARES |
             GLOW_LAYER_SKIPS_GRADIENTS,
    .options = &scaling_table,
    .self_size = sizeof(scaling),
    .configure = scaling_configure,
    .initialise = scaling_initialise,
    .prepare = scaling_prepare,
    .forward = scaling_forward,
    .inverse = scaling_inverse,
    .backward = scaling_backward,
    .inverse_backward = scaling_inverse_backward,
    .diagnose = scaling_diagnose,
};

glow_status glow_scaling_create(glow_context *context, const glow_scaling_options *options,
                                glow_layer **out) {
  return glow_layer_create(context, &glow__scaling_ops, options, NULL, out);
}
