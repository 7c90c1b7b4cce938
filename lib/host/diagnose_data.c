/* Diagnosis on data: forward through one layer after the other, with the regions that it stores for
 * backward, which is where layers and nets look for what they say; each layer is inverted at once,
 * and all of them at the end. SPDX-License-Identifier: MIT */
#include <math.h>
#include <string.h>

#include "host/diagnose.h"

/* One batch. */
typedef struct data_batch {
  const float *x; /* the caller's */
  const int32_t *labels;
  int64_t samples;
  float *latents;
  double *logdet, *logprior;
} data_batch;

/* What leaves a layer: its output, or its latents where nothing is left. */
typedef struct data_output {
  const float *rows;
  int64_t size, stride;
} data_output;

static data_output data_output_of(const glow__node *node, const glow_call *call, const float *y) {
  if (node->out_size)
    return (data_output){y, node->out_size, node->out_size};
  return (data_output){call->latents, node->latent_size, call->latent_stride};
}

/* Before samples that are lost here are marked: of those that came to it. */
static void data_look(const glow__examination *e, const data_output *out, int64_t samples,
                      glow__examined *l) {
  for (int64_t n = 0; n < samples; n++) {
    const float *row = out->rows + n * out->stride;
    if (e->lost[n])
      continue;
    l->elements += out->size;
    for (int64_t i = 0; i < out->size; i++)
      l->nonfinite += !isfinite(row[i]);
    l->largest = glow__largest_finite(row, out->size, l->largest);
    if (glow__finite_floats(row, out->size))
      glow_moments_add(l->moments, out->size, 1, row);
  }
}

/* max |x' - x| and sum x^2 over samples that are not lost. A difference that is not finite makes
 * the error infinite. */
static void data_compare(const glow__examination *e, int64_t samples, int64_t size, const float *x,
                         const float *back, double *error, double *squares, int64_t *compared) {
  for (int64_t n = 0; n < samples; n++) {
    if (e->lost[n])
      continue;
    *compared += size;
    for (int64_t i = n * size; i < (n + 1) * size; i++) {
      double difference = fabs((double)back[i] - (double)x[i]);
      *error = isfinite(difference) ? fmax(*error, difference) : INFINITY;
      *squares += (double)x[i] * (double)x[i];
    }
    if (e->ws->statuses[n] != GLOW_OK)
      *error = INFINITY;
    e->ws->statuses[n] = GLOW_OK;
  }
}

/* Marks samples whose latents, which leave the flow here, are not finite. Returns how many were not
 * lost before. */
static int64_t data_lose_latents(glow__examination *e, const glow_call *call, int64_t samples) {
  int64_t size = call->node->latent_size, count = 0;
  for (int64_t n = 0; n < samples && size; n++)
    if (!e->lost[n] && !glow__finite_floats(call->latents + n * call->latent_stride, size)) {
      e->lost[n] = 1;
      count++;
    }
  return count;
}

static glow_status data_invert(glow__examination *e, glow_call *call, const data_batch *b,
                               const float *y, glow__examined *l) {
  const glow__node *node = call->node;
  call->stored = NULL; /* an inverse that runs a net would write over them */
  GLOW_TRY(glow__node_inverse(call, node->out_size ? y : NULL, e->states[2], e->ignored, NULL));
  data_compare(e, b->samples, node->in_size, e->states[0], e->states[2], &l->error, &l->squares,
               &l->compared);
  return GLOW_OK;
}

/* From states[0] to states[1]. */
static glow_status data_through(glow__examination *e, int32_t i, const data_batch *b) {
  const glow__node *node = &e->ws->model->nodes[i];
  glow__examined *l = &e->layers[i];
  float *x = e->states[0], *y = e->states[1];
  glow_call call;
  glow__call_begin(e->ws, node, b->samples, b->labels, GLOW_LATENTS_RAW, b->latents, &call);
  call.stored = e->stored;
  glow__node_forward(&call, x, node->out_size ? y : NULL, b->logdet, b->logprior);
  data_output out = data_output_of(node, &call, y);
  data_look(e, &out, b->samples, l);
  l->lost += glow__examine_lose(e, b->samples, y, node->out_size, b->logdet, b->logprior);
  l->lost += data_lose_latents(e, &call, b->samples);
  glow_status status = glow__node_diagnose(&call, x, &l->findings);
  if (status != GLOW_OK)
    return glow__error_prefix(status, "layer '%s'", node->name);
  return data_invert(e, &call, b, y, l);
}

static glow_status data_round_trip(glow__examination *e, const data_batch *b) {
  float *back = e->states[2];
  GLOW_TRY(glow__run_inverse(e->ws, b->latents, GLOW_LATENTS_RAW, b->labels, b->samples, false,
                             back, e->ignored, NULL, NULL));
  data_compare(e, b->samples, e->ws->model->dims, b->x, back, &e->error, &e->squares, &e->compared);
  return GLOW_OK;
}

static glow_status data_examine_batch(glow__examination *e, const data_batch *b) {
  const glow_model *model = e->ws->model;
  memset(b->logdet, 0, (size_t)b->samples * sizeof *b->logdet);
  memset(b->logprior, 0, (size_t)b->samples * sizeof *b->logprior);
  memcpy(e->states[0], b->x, (size_t)(b->samples * model->dims) * sizeof(float));
  for (int32_t i = 0; i < model->node_count; i++) {
    GLOW_TRY(data_through(e, i, b));
    if (!glow__examine_replace(e, b->samples, e->states[1], model->nodes[i].out_size))
      return GLOW_OK; /* nothing is left to look at */
    float *x = e->states[0];
    e->states[0] = e->states[1];
    e->states[1] = x;
  }
  return data_round_trip(e, b);
}

glow_status glow__examine_data(glow__examination *e) {
  glow_workspace *ws = e->ws;
  for (int64_t first = 0; first < e->o.count; first += ws->plan.batch) {
    const data_batch b = {.x = e->o.x + first * ws->model->dims,
                          .labels = e->o.labels ? e->o.labels + first : NULL,
                          .samples = glow__batch_at(ws, first, e->o.count),
                          .latents = ws->memory + ws->plan.latents,
                          .logdet = glow__doubles(ws, ws->plan.logdet),
                          .logprior = glow__doubles(ws, ws->plan.logprior)};
    ws->first = first;
    glow__examine_batch(e, b.samples);
    GLOW_TRY(data_examine_batch(e, &b));
  }
  return GLOW_OK;
}
