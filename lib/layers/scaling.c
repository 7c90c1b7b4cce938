/* scaling: y_i = x_i exp(logs_i), a factor for each number of a sample; log-det = sum logs.
 * The last layer of NICE: how much each dimension of the latents varies.
 * Dinh et al. 2014, section 3.3. SPDX-License-Identifier: MIT */
#include <math.h>
#include <string.h>

#include "layers/layers.h"
#include "math/moments.h"

#define FLOOR 1e-6 /* of deviations */

typedef struct scaling {
  int32_t data_init;
  int64_t size; /* numbers of a sample */
  int32_t logs;
  int32_t sums; /* worker: doubles [size] */
} scaling;

/* Derived: exp(logs) and exp(-logs), [size] each, and the log-det of a sample. */
typedef struct derived {
  double logdet;
  float scales[];
} derived;

static glow_status configure(void *self, glow_setup *setup, const glow_shape *input,
                             glow_shape *output) {
  scaling *s = self;
  int64_t dims[] = {input->height, input->width, input->channels};
  *output = *input;
  s->size = glow_shape_size(input);
  GLOW_TRY(glow_setup_tensor(setup, "logs", GLOW_TYPE_F32, 1, 3, dims, &s->logs));
  GLOW_TRY(glow_setup_worker_scratch(setup, 2 * s->size, &s->sums));
  GLOW_TRY(glow_setup_derived(setup, sizeof(derived) + 2 * (size_t)s->size * sizeof(float)));
  if (!s->data_init)
    return GLOW_OK;
  /* The moments, and room for the means that they give too. */
  return glow_setup_initialise(setup, 1, glow__moments_size(s->size) + (size_t)s->size * sizeof(float));
}

static glow_status init(const void *self, const glow_call *call, int32_t round, int32_t phase,
                        const float *x) {
  const scaling *s = self;
  glow__moments *moments = glow_call_initialise_state(call);
  (void)round;
  if (phase == GLOW_INITIALISE_BATCH) {
    glow__moments_sums(glow_call_sample_count(call), s->size, x, moments->sums);
    moments->pixels += (double)glow_call_sample_count(call);
  }
  if (phase != GLOW_INITIALISE_END)
    return GLOW_OK;
  float *means = (float *)(void *)(moments->sums + 2 * s->size);
  return glow__moments_norm(moments, s->size, FLOOR, call, "", means,
                            glow_call_tensor_mutable(call, s->logs));
}

static glow_status prepare(const void *self, const glow_call *call) {
  const scaling *s = self;
  const float *logs = glow_call_tensor(call, s->logs);
  derived *d = glow_call_derived_mutable(call);
  d->logdet = 0;
  for (int64_t i = 0; i < s->size; i++) {
    d->logdet += (double)logs[i];
    d->scales[i] = expf(logs[i]);
    d->scales[s->size + i] = expf(-logs[i]);
  }
  return GLOW_OK;
}

/* to = from times the factors, for each sample. */
static void multiply(const scaling *s, const glow_call *call, const float *factors,
                     const float *from, float *to) {
  for (int64_t n = 0; n < glow_call_sample_count(call); n++)
    for (int64_t i = 0; i < s->size; i++)
      to[n * s->size + i] = from[n * s->size + i] * factors[i];
}

static void forward(const void *self, const glow_call *call, const float *x, float *y,
                    double *logdet, double *logprior) {
  const derived *d = glow_call_derived(call);
  (void)logprior;
  multiply(self, call, d->scales, x, y);
  for (int64_t n = 0; n < glow_call_sample_count(call); n++)
    logdet[n] += d->logdet;
}

static void inverse(const void *self, const glow_call *call, const float *y, float *x,
                    double *logdet) {
  const scaling *s = self;
  const derived *d = glow_call_derived(call);
  multiply(s, call, d->scales + s->size, y, x);
  for (int64_t n = 0; n < glow_call_sample_count(call); n++)
    logdet[n] -= d->logdet;
}

/* dx = dy exp(logs);  d logs = sum over samples of dy y + d logdet. */
static void backward(const void *self, const glow_call *call, const glow_layer_gradient *g) {
  const scaling *s = self;
  const derived *d = glow_call_derived(call);
  double *sums = (double *)(void *)glow_call_worker_scratch(call, s->sums, 0);
  float *d_logs = glow_call_gradient(call, s->logs);
  memset(sums, 0, (size_t)s->size * sizeof *sums);
  for (int64_t n = 0; n < glow_call_sample_count(call); n++)
    for (int64_t i = 0; i < s->size; i++) {
      int64_t at = n * s->size + i;
      sums[i] += (double)g->dy[at] * (double)g->y[at] + g->d_logdet[n];
    }
  multiply(s, call, d->scales, g->dy, g->dx);
  for (int64_t i = 0; i < s->size; i++)
    d_logs[i] += (float)sums[i];
  if (!g->x)
    multiply(s, call, d->scales + s->size, g->y, g->x_out);
}

static glow_status save(const void *self, glow_config *config) {
  return glow_config_set_int(config, "data_init", ((const scaling *)self)->data_init);
}

static void destroy(void *self, glow_context *context) {
  glow_release(context, self);
}

static const glow_layer_ops ops = {
    .struct_size = sizeof(glow_layer_ops),
    .type = "scaling",
    .flags = GLOW_LAYER_IN_PLACE | GLOW_LAYER_RECONSTRUCTS | GLOW_LAYER_ALWAYS_PREPARES,
    .configure = configure,
    .initialise = init,
    .prepare = prepare,
    .forward = forward,
    .inverse = inverse,
    .backward = backward,
    .save = save,
    .destroy = destroy,
};

glow_status glow_scaling_create(glow_context *context, const glow_scaling_options *options,
                                glow_layer **out) {
  glow_scaling_options o = GLOW_SCALING_OPTIONS_INIT;
  if (out)
    *out = NULL;
  if (!context || !out)
    return glow_error(GLOW_E_ARGUMENT, "glow_scaling_create: NULL argument");
  GLOW_TRY(glow__options_copy(&o, sizeof o, options, sizeof o, "glow_scaling_options"));
  if (o.data_init < 0 || o.data_init > 1 || o.reserved)
    return glow_error(GLOW_E_ARGUMENT, "data_init is %d; it must be 0 or 1", o.data_init);
  scaling *s = glow_allocate(context, sizeof *s);
  if (!s)
    return GLOW_E_MEMORY;
  s->data_init = o.data_init;
  return glow_layer_create(context, &ops, s, out);
}

glow_status glow__scaling_make(glow_context *context, const glow_config *config, glow_layer **out) {
  glow_scaling_options o = GLOW_SCALING_OPTIONS_INIT;
  int64_t data_init = o.data_init;
  GLOW_TRY(glow_config_get_int(config, "data_init", 0, 1, &data_init));
  o.data_init = (int32_t)data_init;
  return glow_scaling_create(context, &o, out);
}
