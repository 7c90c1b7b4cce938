/* From latents to data: inverse and sampling. SPDX-License-Identifier: MIT */
#include <math.h>
#include <string.h>

#include "model/parts.h"

void glow__run_inverse(glow_workspace *ws, const float *latents, int32_t form,
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
    glow_pass pass;
    /* Layers read latents in inverse; the const is theirs to keep. */
    glow__pass_begin(ws, node, samples, labels, form, (float *)(uintptr_t)latents, &pass);
    glow__node_inverse(&pass, y, to, logdet);
    if (!in_place)
      other = 1 - other;
    y = to;
  }
}

static glow_status check_inverse(const glow_workspace *ws, const int32_t *labels, int64_t count,
                                 int32_t form, const float *x) {
  if (!ws || !x)
    return glow_error(GLOW_E_ARGUMENT, "an inverse pass needs a workspace and x");
  GLOW_TRY(glow__check_batch(ws, count));
  GLOW_TRY(glow__check_ready(ws->model));
  GLOW_TRY(glow__check_labels(ws->model, labels, count, form));
  return glow__check_context(ws, count);
}

static double *logdets(const glow_workspace *ws) {
  return (double *)(void *)(ws->memory + ws->plan.logdet);
}

glow_status glow_inverse(glow_workspace *ws, const float *latents, int32_t form,
                         const int32_t *labels, int64_t count, float *x, double *logdet) {
  GLOW_TRY(check_inverse(ws, labels, count, form, x));
  if (!latents)
    return glow_error(GLOW_E_ARGUMENT, "an inverse pass needs latents");
  if (form != GLOW_LATENTS_RAW && form != GLOW_LATENTS_WHITENED)
    return glow_error(GLOW_E_ARGUMENT, "form is %d; it must be one of GLOW_LATENTS_...", form);
  GLOW_TRY(glow__check_finite(ws->model, "latents", latents, count));
  ws->samples = 0;
  glow__run_inverse(ws, latents, form, labels, count, x, logdets(ws));
  if (logdet)
    memcpy(logdet, logdets(ws), (size_t)count * sizeof *logdet);
  return GLOW_OK;
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
  float *latents;
} draw;

/* From uniform numbers, by the inverse of the distribution: e = log(u / (1 - u)), where u is in the
 * middle of its step of 2^-24. */
static void draw_logistic(const glow_sample_options *o, uint64_t position, float *z,
                          int64_t count) {
  glow__rng_uniform(o->seed, GLOW_STREAM_SAMPLE, position, z, count);
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
  double sample = o->temperature * (o->per_sample ? o->per_sample[task] : 1.0);
  int32_t block = 0;
  (void)worker;
  uint64_t position = (o->first + task) * (uint64_t)dims;
  glow__rng_normal(o->seed, GLOW_STREAM_SAMPLE, position, z, dims);
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

glow_status glow_sample(glow_workspace *ws, const glow_sample_options *options,
                        const int32_t *labels, int64_t count, float *x) {
  glow_sample_options o = GLOW_SAMPLE_OPTIONS_INIT;
  GLOW_TRY(check_inverse(ws, labels, count, GLOW_LATENTS_WHITENED, x));
  GLOW_TRY(glow__options_copy(&o, sizeof o, options, sizeof o, "glow_sample_options"));
  GLOW_TRY(check_temperatures(ws->model, &o, count));
  draw d = {ws->model, &o, ws->memory + ws->plan.latents};
  ws->samples = 0;
  glow__run(ws->model->context, (uint32_t)count, draw_sample, &d);
  glow__run_inverse(ws, d.latents, GLOW_LATENTS_WHITENED, labels, count, x, logdets(ws));
  return GLOW_OK;
}
