/* Gradients: back through the layers of the last forward pass. Stored layers use their activations.
 * The others reconstruct their input from their output, one after the other, down to a state that
 * was stored, with which the reconstructed one is compared. SPDX-License-Identifier: MIT */
#include <math.h>
#include <stdio.h>
#include <string.h>

#include "host/outcome.h"
#include "host/run.h"

void glow__back_gradients(glow_workspace *ws, float *gradients, glow_call *call) {
  call->gradients = gradients;
  if (gradients || glow__skips_gradients(call->node))
    return;
  call->gradients = ws->memory + ws->plan.parameter_gradients; /* nobody reads it */
  call->gradient_first = call->node->first_parameter;
}

void glow__back_begin(const glow__back *b, int32_t i, glow_call *call) {
  glow_workspace *ws = b->ws;
  glow__call_begin(ws, &ws->model->nodes[i], ws->samples, ws->labels, GLOW_LATENTS_RAW,
                   ws->memory + ws->plan.latents, call);
  glow__back_gradients(ws, b->gradients, call);
  call->d_condition = b->d_condition;
  call->statistics =
      ws->statistics == GLOW_STATISTICS_BATCH ? GLOW_STATISTICS_OBSERVED : GLOW_STATISTICS_RUNNING;
}

void glow__back_node(const glow__back *b, int32_t i, const glow_call *call,
                     glow_layer_gradient *g) {
  const glow_workspace *ws = b->ws;
  const glow__node *node = &ws->model->nodes[i];
  const int64_t *gradients_x = ws->plan.gradients_x;
  g->struct_size = sizeof *g;
  g->dy = i == ws->model->node_count - 1 ? NULL : ws->memory + gradients_x[(i + 1) & 1];
  g->dx = ws->memory + gradients_x[i & 1];
  g->d_logdet = b->d_logdet;
  g->d_logprior = b->d_logprior;
  g->d_latents = b->d_latents && node->latent_size ? b->d_latents + node->latent_offset : NULL;
  float *blocks = ws->memory + ws->plan.block_gradients;
  glow__node_backward(call, g, blocks, ws->plan.block_stride);
  if (b->d_logits && node->logits)
    glow__node_logits_backward(call, g->x ? g->x : g->x_out, b->d_logits, g->dx, blocks,
                               ws->plan.block_stride);
  if (ws->final)
    ws->final(node->first_parameter, ws->model->parameter_count, ws->final_payload);
}

static void stored(const glow__back *b, int32_t i) {
  glow_workspace *ws = b->ws;
  glow_call call;
  glow__back_begin(b, i, &call);
  call.stored = ws->memory + ws->stored[i];
  call.stored_valid = true;
  glow_layer_gradient g = {.y = glow__stored_input(ws, i + 1), .x = glow__stored_input(ws, i)};
  glow__back_node(b, i, &call, &g);
}

/* For a layer that cannot reconstruct: inverse gives x, and forward, run again, what it stores. */
static glow_status backward_invert(const glow_workspace *ws, const glow__node *node,
                                   glow_call *call, const float *y, float *x) {
  double *ignored = glow__doubles(ws, ws->plan.logdet);
  GLOW_TRY(glow__node_inverse(call, y, x, ignored, NULL));
  GLOW_TRY(glow__outcome_refuse(ws));
  if (node->stored.count)
    glow__node_forward(call, x, node->out_size ? ws->memory + ws->plan.spare : NULL, ignored,
                       ignored);
  return GLOW_OK;
}

/* Nodes [first, last); the output of the last is stored, unless it has none. Gives the input of the
 * first. */
static glow_status backward_reconstructed(const glow__back *b, int32_t first, int32_t last,
                                          const float **out) {
  glow_workspace *ws = b->ws;
  const float *y = glow__stored_input(ws, last);
  for (int32_t i = last - 1; i >= first; i--) {
    const glow__node *node = &ws->model->nodes[i];
    float *x = ws->memory + ws->plan.states[i & 1];
    glow_call call;
    GLOW_TRY(glow__check_cancelled(ws));
    glow__back_begin(b, i, &call);
    call.stored = ws->memory + ws->plan.stored;
    glow_layer_gradient g = {.y = y};
    if (glow__reconstructs(node)) {
      g.x_out = x;
    } else {
      GLOW_TRY(backward_invert(ws, node, &call, y, x));
      call.stored_valid = true;
      g.x = x;
    }
    glow__back_node(b, i, &call, &g);
    y = x;
  }
  *out = y;
  return GLOW_OK;
}

/* max |a - x| / rms(x); where x is 0, it counts as of size 1. INFINITY: a is not finite. */
static double relative_difference(const float *a, const float *x, int64_t count) {
  double largest = 0, squares = 0;
  for (int64_t i = 0; i < count; i++) {
    double difference = fabs((double)a[i] - (double)x[i]);
    if (!(difference <= largest))
      largest = isfinite(difference) ? difference : INFINITY;
    squares += (double)x[i] * (double)x[i];
  }
  double size = sqrt(squares / (double)count);
  return size > 0 ? largest / size : largest;
}

/* From now on layers are run forward again. The present pass is lost: gradients were added. */
static glow_status fall_back(glow_workspace *ws, glow_status status, const char *why) {
  ws->recomputes = true;
  glow_context_log(ws->model->context, GLOW_LOG_WARNING,
                   "%s: from now on layers are run forward again instead", why);
  return glow_error(status, "%s: zero the gradients and run forward and backward again", why);
}

static glow_status drifted(glow_workspace *ws, int32_t first, int32_t last) {
  const glow__node *nodes = ws->model->nodes;
  char why[600]; /* names have at most 200 bytes */
  snprintf(why, sizeof why,
           "reconstruction from layer '%s' down to '%s' drifted by %.2g of its size, past the "
           "bound %.2g",
           nodes[last - 1].name, nodes[first].name, ws->drift, ws->drift_bound);
  return fall_back(ws, GLOW_E_NUMERIC, why);
}

/* An inverse failed, and has said where. Without a bound there is no memory to fall back on. */
static glow_status not_inverted(glow_workspace *ws, glow_status status) {
  char why[900];
  if (!ws->plan.slot_count)
    return status;
  snprintf(why, sizeof why, "%s", glow_last_error());
  return fall_back(ws, status, why);
}

/* Nodes [first, last), where only the input of the first is stored. */
static glow_status not_stored(const glow__back *b, int32_t first, int32_t last) {
  glow_workspace *ws = b->ws;
  if (ws->recomputes)
    return glow__back_recomputed(b, first, last);
  const float *x = NULL;
  glow_status status = backward_reconstructed(b, first, last, &x);
  if (status != GLOW_OK)
    return status == GLOW_E_CANCELLED ? status : not_inverted(ws, status);
  double drift = relative_difference(x, glow__stored_input(ws, first),
                                     ws->samples * ws->model->nodes[first].in_size);
  if (drift > ws->drift)
    ws->drift = drift;
  if (drift > ws->largest_drift)
    ws->largest_drift = drift;
  return ws->drift_bound > 0 && drift > ws->drift_bound ? drifted(ws, first, last) : GLOW_OK;
}

static glow_status through(const glow__back *b) {
  glow_workspace *ws = b->ws;
  ws->drift = 0;
  for (int32_t last = ws->model->node_count, first; last > 0; last = first) {
    first = last - 1;
    if (glow__is_stored(ws, first)) {
      GLOW_TRY(glow__check_cancelled(ws));
      stored(b, first);
      continue;
    }
    while (first > 0 && !glow__is_stored(ws, first - 1))
      first--;
    GLOW_TRY(not_stored(b, first, last));
  }
  return GLOW_OK;
}

static void set_weights(const glow_workspace *ws, const glow_backward_options *o, double *logdet,
                        double *logprior) {
  for (int64_t n = 0; n < ws->samples; n++) {
    logprior[n] = o->weight ? o->weight[n] : 0.0;
    logdet[n] = logprior[n] + (o->weight_logdet ? o->weight_logdet[n] : 0.0);
  }
}

/* The conditions of the forward pass may have been replaced since. */
static glow_status check_condition(const glow_workspace *ws, const glow_backward_options *o) {
  if (o->d_condition && !ws->model->condition_size)
    return glow_error(GLOW_E_ARGUMENT, "d_condition is given, and the model takes no condition");
  return glow__check_conditions_finite(ws, ws->samples);
}

/* The last forward had a sample which is not finite. */
static glow_status refuse_samples(const glow_workspace *ws) {
  return glow_error(
      GLOW_E_NUMERIC,
      "%s: gradients are of the whole batch, so run forward without that sample first",
      ws->failure.text);
}

static glow_status backward_check(const glow_workspace *ws, const glow_backward_options *o) {
  if (!glow__is_training(ws))
    return glow_error(GLOW_E_STATE,
                      "the workspace is for inference and stores nothing for backward");
  if (ws->samples < 0)
    return refuse_samples(ws);
  if (!ws->samples || ws->inverted)
    return glow_error(GLOW_E_STATE,
                      "glow_workspace_backward needs a glow_workspace_forward just before it");
  GLOW_TRY(glow__check_ready(ws->model));
  GLOW_TRY(check_condition(ws, o));
  if (o->d_logits && !ws->model->logits)
    return glow_error(GLOW_E_ARGUMENT, "d_logits is given, but the model has no logits");
  return GLOW_OK;
}

glow_status glow_workspace_backward(glow_workspace *ws, const glow_backward_options *options) {
  GLOW_LIVE(ws, WORKSPACE);
  glow_backward_options o = GLOW_BACKWARD_OPTIONS_INIT;
  if (!ws || !options)
    return glow_error(GLOW_E_ARGUMENT, "glow_workspace_backward: NULL argument");
  GLOW_TRY(glow__options_copy(&o, sizeof o, options, sizeof o, "glow_backward_options"));
  GLOW_TRY(backward_check(ws, &o));
  double *d_logdet = glow__doubles(ws, ws->plan.weight_logdet);
  double *d_logprior = glow__doubles(ws, ws->plan.weight_logprior);
  set_weights(ws, &o, d_logdet, d_logprior);
  const glow__back b = {.ws = ws,
                        .gradients = glow_workspace_gradients(ws),
                        .d_logdet = d_logdet,
                        .d_logprior = d_logprior,
                        .d_latents = o.d_latents,
                        .d_condition = o.d_condition,
                        .d_logits = o.d_logits};
  if (o.d_condition)
    memset(o.d_condition, 0, (size_t)(ws->samples * ws->model->condition_size) * sizeof(float));
  ws->failure = (glow__failure){.failed = false};
  glow_status status = through(&b);
  if (status == GLOW_OK && o.dx)
    memcpy(o.dx, ws->memory + ws->plan.gradients_x[0],
           (size_t)(ws->samples * ws->model->dims) * sizeof(float));
  if (status == GLOW_OK && ws->statistics == GLOW_STATISTICS_BATCH)
    glow__running_gather(ws);
  ws->samples = 0;
  return status;
}
