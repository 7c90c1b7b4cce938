/* From latents to data: inverse and sampling. SPDX-License-Identifier: MIT */
#include <math.h>
#include <string.h>

#include "host/outcome.h"
#include "host/run.h"

static bool inverse_watched(const glow__watch *w, const glow__node *node, const float *x,
                            const double *logdet) {
  bool finite = glow__finite_floats(x + w->first * node->in_size, w->count * node->in_size);
  for (int64_t n = w->first; n < w->first + w->count; n++)
    finite &= isfinite(logdet[n]) != 0;
  return finite;
}

glow_status glow__run_inverse(glow_workspace *ws, const float *latents, int32_t form,
                              const int32_t *labels, int64_t samples, float *x, double *logdet,
                              glow__watch *watch) {
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
    GLOW_TRY(glow__check_cancelled(ws));
    /* Layers only read latents in inverse, although the pointer that they get is not const. */
    glow__call_begin(ws, node, samples, labels, form, (float *)(uintptr_t)latents, &call);
    GLOW_TRY(glow__node_inverse(&call, y, to, logdet));
    if (watch && !inverse_watched(watch, node, to, logdet)) {
      watch->found = node;
      return GLOW_OK;
    }
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

/* One batch of an inverse pass: what is given, and what the caller gets. */
typedef struct inverse_part {
  const float *latents;
  int32_t form;
  const int32_t *labels;
  int64_t count;
  float *x;
  double *logdet;    /* or NULL */
  int32_t *statuses; /* or NULL */
} inverse_part;

static glow_status run_inverse(glow_workspace *ws, const inverse_part *p, glow__watch *watch) {
  return glow__run_inverse(ws, p->latents, p->form, p->labels, p->count, p->x, inverse_logdets(ws),
                           watch);
}

/* The batch that starts at ws->first, whose input was screened. Who gets no statuses is told the
 * layer at which a sample ceases to be finite; the batch is run again for that. */
static glow_status inverse_batch(glow_workspace *ws, const inverse_part *p) {
  int64_t dims = ws->model->dims;
  GLOW_TRY(run_inverse(ws, p, NULL));
  int64_t n = glow__outcome_mark(ws, p->count, p->x, dims, inverse_logdets(ws), NULL);
  if (p->logdet)
    memcpy(p->logdet, inverse_logdets(ws), (size_t)p->count * sizeof *p->logdet);
  if (n >= 0) {
    glow__watch watch = {.first = n, .count = 1};
    if (!p->statuses)
      GLOW_TRY(run_inverse(ws, p, &watch));
    glow__outcome_blame(ws, n, watch.found ? watch.found->name : NULL);
  }
  glow__outcome_blank(ws, p->count, p->x, dims);
  glow__outcome_blank_doubles(ws, p->count, p->logdet);
  glow__outcome_hand_out(ws, p->count, p->statuses);
  return GLOW_OK;
}

glow_status glow_workspace_inverse(glow_workspace *ws, const float *latents, int64_t count,
                                   const glow_inverse_options *options, float *x) {
  GLOW_LIVE(ws, WORKSPACE);
  glow_inverse_options o;
  glow_status status = GLOW_OK;
  GLOW_TRY(inverse_read_options(options, &o));
  GLOW_TRY(check_inverse(ws, o.labels, count, o.form, x));
  if (!latents)
    return glow_error(GLOW_E_ARGUMENT, "an inverse pass needs latents");
  const int64_t dims = ws->model->dims;
  glow__outcome_begin(ws);
  for (int64_t first = 0; status == GLOW_OK && first < count; first += ws->plan.batch) {
    const inverse_part p = {.latents = latents + first * dims,
                            .form = o.form,
                            .labels = o.labels ? o.labels + first : NULL,
                            .count = glow__batch_at(ws, first, count),
                            .x = x + first * dims,
                            .logdet = o.logdet ? o.logdet + first : NULL,
                            .statuses = o.statuses ? o.statuses + first : NULL};
    ws->first = first;
    glow__outcome_screen(ws, "latents", p.latents, p.count);
    status = inverse_batch(ws, &p);
  }
  return status == GLOW_OK ? glow__outcome_end(ws, count, o.statuses, o.failed)
                           : glow__outcome_stop(ws, status);
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
  GLOW_LIVE(ws, WORKSPACE);
  glow_sample_options o = GLOW_SAMPLE_OPTIONS_INIT;
  glow_status status = GLOW_OK;
  GLOW_TRY(glow__options_copy(&o, sizeof o, options, sizeof o, "glow_sample_options"));
  GLOW_TRY(check_inverse(ws, o.labels, count, GLOW_LATENTS_WHITENED, x));
  GLOW_TRY(check_temperatures(ws->model, &o, count));
  draw d = {ws->model, &o, ws->memory + ws->plan.latents, 0};
  glow__outcome_begin(ws);
  for (; status == GLOW_OK && d.first < count; d.first += ws->plan.batch) {
    const inverse_part p = {.latents = d.latents,
                            .form = GLOW_LATENTS_WHITENED,
                            .labels = o.labels ? o.labels + d.first : NULL,
                            .count = glow__batch_at(ws, d.first, count),
                            .x = x + d.first * ws->model->dims,
                            .statuses = o.statuses ? o.statuses + d.first : NULL};
    ws->first = d.first;
    glow_context_run(ws->model->context, (uint32_t)p.count, draw_sample, &d);
    glow__outcome_screen(ws, "latents", NULL, p.count);
    status = inverse_batch(ws, &p);
  }
  return status == GLOW_OK ? glow__outcome_end(ws, count, o.statuses, o.failed)
                           : glow__outcome_stop(ws, status);
}
