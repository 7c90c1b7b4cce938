/* Random latents: standard normal or logistic, whichever the prior is, times their temperatures. A
 * sample's are decided by the seed and its number, so that they are the same in any batch.
 *
 * With e = t e0 and p the density of e0, e has the density p(e / t) / t. So
 *   log q - log p = sum_i log p(e0_i) - log t_i - log p(t_i e0_i).
 * SPDX-License-Identifier: MIT */
#include "host/draw.h"

#include <math.h>

static bool valid_temperature(double t) {
  return isfinite(t) && t >= 0;
}

glow_status glow__draw_check(const glow_model *model, const glow_sample_options *o, int64_t count) {
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

typedef struct draw_run {
  const glow_model *model;
  const glow_sample_options *options;
  int64_t first; /* number of the first sample of the batch */
  float *latents;
  double *log_ratio; /* or NULL */
} draw_run;

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

/* log p(e0) - log p(t e0) */
static double draw_change(int32_t density, double t, double e0) {
  if (density == GLOW_DENSITY_GAUSSIAN)
    return 0.5 * (t * t - 1.0) * e0 * e0;
  double before = fabs(e0), after = fabs(t * e0); /* log p(e) = -|e| - 2 log(1 + exp(-|e|)) */
  return after + 2.0 * log1p(exp(-after)) - before - 2.0 * log1p(exp(-before));
}

/* log q - log p of one layer's latents, which are not scaled yet. */
static double draw_log_ratio(const glow__node *node, double t, const float *e0) {
  double ratio = 0;
  if (t == 0)
    return INFINITY;
  for (int64_t j = 0; t != 1 && j < node->latent_size; j++)
    ratio += draw_change(node->latent_density, t, (double)e0[j]) - log(t);
  return ratio;
}

static void draw_sample(void *arg, uint32_t task, uint32_t worker) {
  const draw_run *d = arg;
  const glow_sample_options *o = d->options;
  int64_t dims = d->model->dims;
  float *z = d->latents + (int64_t)task * dims;
  int64_t number = d->first + (int64_t)task;
  double sample = o->temperature * (o->per_sample ? o->per_sample[number] : 1.0), ratio = 0;
  int32_t block = 0;
  (void)worker;
  uint64_t position = (o->first + (uint64_t)number) * (uint64_t)dims;
  glow_random_normal(o->seed, GLOW_STREAM_SAMPLE, position, z, dims);
  for (int32_t i = 0; i < d->model->node_count; i++) {
    const glow__node *node = &d->model->nodes[i];
    float *own = z + node->latent_offset;
    if (!node->latent_size)
      continue;
    if (node->latent_density == GLOW_DENSITY_LOGISTIC)
      draw_logistic(o, position + (uint64_t)node->latent_offset, own, node->latent_size);
    float t = (float)(sample * (o->per_latent ? o->per_latent[block] : 1.0));
    block++;
    if (d->log_ratio)
      ratio += draw_log_ratio(node, (double)t, own);
    for (int64_t j = 0; j < node->latent_size; j++)
      own[j] *= t;
  }
  if (d->log_ratio)
    d->log_ratio[task] = ratio;
}

void glow__draw(const glow_model *model, const glow_sample_options *options, int64_t first,
                int64_t count, float *latents, double *log_ratio) {
  draw_run d = {model, options, first, latents, log_ratio};
  glow_context_run(model->context, (uint32_t)count, draw_sample, &d);
}
