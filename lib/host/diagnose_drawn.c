/* Diagnosis of samples: drawn as glow_workspace_sample draws them, and looked at behind each layer
 * on their way from latents to x. SPDX-License-Identifier: MIT */
#include "host/diagnose.h"
#include "host/draw.h"

/* One layer of a batch of samples at temperature number t, from states[0] to states[1]. */
static glow_status drawn_through(glow__examination *e, int32_t i, int64_t samples, int32_t t) {
  glow_workspace *ws = e->ws;
  const glow__node *node = &ws->model->nodes[i];
  glow__examined *l = &e->layers[i];
  double *logdet = glow__doubles(ws, ws->plan.logdet);
  float *x = e->states[1];
  glow_call call;
  glow__call_begin(ws, node, samples, ws->model->classes ? e->drawn_labels : NULL,
                   GLOW_LATENTS_WHITENED, ws->memory + ws->plan.latents, &call);
  GLOW_TRY(glow__node_inverse(&call, node->out_size ? e->states[0] : NULL, x, logdet, NULL));
  for (int64_t n = 0; n < samples; n++)
    if (!e->lost[n])
      l->drawn_largest[t] =
          glow__largest_finite(x + n * node->in_size, node->in_size, l->drawn_largest[t]);
  l->drawn_lost[t] += glow__examine_lose(e, samples, x, node->in_size, logdet, NULL);
  return GLOW_OK;
}

static glow_status drawn_batch(glow__examination *e, int64_t samples, int32_t t) {
  double *logdet = glow__doubles(e->ws, e->ws->plan.logdet);
  for (int64_t n = 0; n < samples; n++)
    logdet[n] = 0;
  for (int32_t i = e->ws->model->node_count - 1; i >= 0; i--) {
    GLOW_TRY(drawn_through(e, i, samples, t));
    if (!glow__examine_replace(e, samples, e->states[1], e->ws->model->nodes[i].in_size))
      return GLOW_OK; /* nothing is left to look at */
    float *y = e->states[0];
    e->states[0] = e->states[1];
    e->states[1] = y;
  }
  return GLOW_OK;
}

static glow_status drawn_at(glow__examination *e, int32_t t) {
  glow_workspace *ws = e->ws;
  glow_sample_options sample = GLOW_SAMPLE_OPTIONS_INIT;
  sample.temperature = e->o.temperature[t];
  sample.seed = e->o.seed;
  for (int64_t first = 0; first < e->o.drawn; first += ws->plan.batch) {
    int64_t samples = glow__batch_at(ws, first, e->o.drawn);
    for (int64_t n = 0; ws->model->classes && n < samples; n++)
      e->drawn_labels[n] = (int32_t)((first + n) % ws->model->classes);
    ws->first = first;
    glow__examine_batch(e, samples);
    glow__draw(ws->model, &sample, first, samples, ws->memory + ws->plan.latents, NULL);
    GLOW_TRY(drawn_batch(e, samples, t));
  }
  return GLOW_OK;
}

glow_status glow__examine_drawn(glow__examination *e) {
  for (int32_t t = 0; t < GLOW_DIAGNOSE_TEMPERATURES; t++)
    GLOW_TRY(drawn_at(e, t));
  return GLOW_OK;
}
