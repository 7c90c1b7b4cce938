/* From latents to data: inverse and sampling. SPDX-License-Identifier: MIT */
#include <math.h>
#include <string.h>

#include "host/run.h"

glow_status glow__run_inverse(glow_workspace *ws, const float *latents, int32_t form,
                              const int32_t *labels, int64_t samples, float *x, double *logdet) {
  const glow_model *model = ws->model;
  float *states[2] = {ws->memory + ws->plan.states[0], ws->memory + ws->plan.states[1]};
  const float *y = NULL;
  int32_t other = 0;
  memset(logdet, 0, (size_t)samples * sizeof *logdet);
  for (int32_t i = model->node_count - 1; i >= 0; i--) {
    const glow__node *node = &model->nodes[i];
    bool in_place = y && i > 0 && (node->layer->ops.flags & GLOW_LAYER_IN_PLACE);
    float *to = i == 0 ? x : in_place ? states[1 - other] : states[other];
    glow_call call;
    /* Layers only read latents in inverse, although the pointer that they get is not const. */
    glow__call_begin(ws, node, samples, labels, form, (float *)(uintptr_t)latents, &call);
    GLOW_TRY(glow__node_inverse(&call, y, to, logdet));
    if (!in_place)
      other = 1 - other;
    y = to;
  }
  return GLOW_OK;
}

static glow_status check_inverse(const glow_workspace *ws, const int32_t *labels, int64_t count,
                                 int32_t form, const float *x) {
  if (!ws || !x)
    return glow_error(GLOW_E_ARGUMENT, "an inverse pass needs a workspace and x");
  GLOW_TRY(glow__check_count(ws, count));
  GLOW_TRY(glow__check_ready(ws->model));
  GLOW_TRY(glow__check_labels(ws->model, labels, count, form));
  return glow__check_condition(ws, count);
}

static double *inverse_logdets(const glow_workspace *ws) {
  return (double *)(void *)(ws->memory + ws->plan.logdet);
}

static glow_status inverse_read_options(const glow_inverse_options *from, glow_inverse_options *o) {
  *o = (glow_inverse_options)GLOW_INVERSE_OPTIONS_INIT;
  GLOW_TRY(glow__options_copy(o, sizeof *o, from, sizeof *o, "glow_inverse_options"));
  if (o->reserved)
    return glow_error(GLOW_E_ARGUMENT, "glow_inverse_options: reserved is %d; it must be 0",
                      o->reserved);
  return glow__check_form(&o->form);
}

glow_status glow_workspace_inverse(glow_workspace *ws, const float *latents, int64_t count,
                                   const glow_inverse_options *options, float *x) {
  glow_inverse_options o;
  glow_status status = GLOW_OK;
  GLOW_TRY(inverse_read_options(options, &o));
  GLOW_TRY(check_inverse(ws, o.labels, count, o.form, x));
  if (!latents)
    return glow_error(GLOW_E_ARGUMENT, "an inverse pass needs latents");
  GLOW_TRY(glow__check_finite(ws->model, "latents", latents, count));
  const int64_t dims = ws->model->dims;
  ws->samples = 0;
  for (int64_t first = 0; status == GLOW_OK && first < count; first += ws->plan.batch) {
    int64_t samples = glow__batch_at(ws, first, count);
    ws->first = first;
    status =
        glow__run_inverse(ws, latents + first * dims, o.form, o.labels ? o.labels + first : NULL,
                          samples, x + first * dims, inverse_logdets(ws));
    if (o.logdet)
      memcpy(o.logdet + first, inverse_logdets(ws), (size_t)samples * sizeof *o.logdet);
  }
  ws->first = 0;
  return status;
}

/* ---- sampling -------------------------------------------------------------------------------- */

static bool valid_temperature(double t) {
  return isfinite(t) && t >= 0;
}

static glow_status check_temperatures(const glow_model *model, const glow_sample_options *o,
                                      int64_t count) {
  if (!valid_temperature(o->temperature))
    return glow_error(GLOW_E_ARGUMENT, "temperature is %g; it must be 0 or more", o->temperature);
  for (int32_t i = 0; o->per_latent && i < model->latent_count; i++)
    if (!valid_temperature(o->per_latent[i]))
      return glow_error(GLOW_E_ARGUMENT, "temperature of latents %d is %g; it must be 0 or more", i,
                        o->per_latent[i]);
  for (int64_t i = 0; o->per_sample && i < count; i++)
    if (!valid_temperature(o->per_sample[i]))
      return glow_error(GLOW_E_ARGUMENT, "temperature of sample %lld is %g; it must be 0 or more",
                        (long long)i, o->per_sample[i]);
  return GLOW_OK;
}

typedef struct draw {
  const glow_model *model;
  const glow_sample_options *options;
  float *latents; /* of one batch, */
  int64_t first;  /* whose first sample this is */
} draw;

/* From uniform random numbers, by the inverse of the distribution function: e = log(u / (1 - u)),
 * with u in the middle of its step of 2^-24. */
static void draw_logistic(const glow_sample_options *o, uint64_t position, float *z,
                          int64_t count) {
  glow_random_uniform(o->seed, GLOW_STREAM_SAMPLE, position, z, count);
  for (int64_t j = 0; j < count; j++) {
    double u = (double)z[j] + 0x1p-25;
    z[j] = (float)(log(u) - log1p(-u));
  }
}

/* Whitened latents of one sample. */
static void draw_sample(void *arg, uint32_t task, uint32_t worker) {
  const draw *d = arg;
  const glow_sample_options *o = d->options;
  int64_t dims = d->model->dims;
  float *z = d->latents + (int64_t)task * dims;
  int64_t number = d->first + (int64_t)task;
  double sample = o->temperature * (o->per_sample ? o->per_sample[number] : 1.0);
  int32_t block = 0;
  (void)worker;
  uint64_t position = (o->first + (uint64_t)number) * (uint64_t)dims;
  glow_random_normal(o->seed, GLOW_STREAM_SAMPLE, position, z, dims);
  for (int32_t i = 0; i < d->model->node_count; i++) {
    const glow__node *node = &d->model->nodes[i];
    if (!node->latent_size)
      continue;
    if (node->latent_density == GLOW_DENSITY_LOGISTIC)
      draw_logistic(o, position + (uint64_t)node->latent_offset, z + node->latent_offset,
                    node->latent_size);
    float t = (float)(sample * (o->per_latent ? o->per_latent[block] : 1.0));
    block++;
    for (int64_t j = 0; j < node->latent_size; j++)
      z[node->latent_offset + j] *= t;
  }
}

glow_status glow_workspace_sample(glow_workspace *ws, int64_t count,
                                  const glow_sample_options *options, float *x) {
  glow_sample_options o = GLOW_SAMPLE_OPTIONS_INIT;
  glow_status status = GLOW_OK;
  GLOW_TRY(glow__options_copy(&o, sizeof o, options, sizeof o, "glow_sample_options"));
  GLOW_TRY(check_inverse(ws, o.labels, count, GLOW_LATENTS_WHITENED, x));
  GLOW_TRY(check_temperatures(ws->model, &o, count));
  draw d = {ws->model, &o, ws->memory + ws->plan.latents, 0};
  ws->samples = 0;
  for (; status == GLOW_OK && d.first < count; d.first += ws->plan.batch) {
    int64_t samples = glow__batch_at(ws, d.first, count);
    ws->first = d.first;
    glow_context_run(ws->model->context, (uint32_t)samples, draw_sample, &d);
    status = glow__run_inverse(ws, d.latents, GLOW_LATENTS_WHITENED,
                               o.labels ? o.labels + d.first : NULL, samples,
                               x + d.first * ws->model->dims, inverse_logdets(ws));
  }
  ws->first = 0;
  return status;
}
