/* Gradients of inverse passes and of sampling: from x up to the latents. With x = f^-1(y),
 *   dx = J^-1 (dy - f_p dp),  J = df/dx,
 * so the gradient of y is u = J^-T (gradient of x), and that of the parameters p is -f_p' u: what
 * forward's backward gives for -u. Log-dets and log-priors are functions of x in the same way
 * (<glow/sys/layer.h>). Each layer needs its x, its y and what its nets store. Stored layers have
 * them from the inverse pass; the others are run forward again from x.
 * SPDX-License-Identifier: MIT */
#include <string.h>

#include "host/outcome.h"
#include "host/run.h"

typedef struct back_run {
  glow_workspace *ws;
  const glow_inverse_backward_options *options;
  double *d_logdet, *d_logprior;
} back_run;

/* The call of node i. */
static void inverse_backward_begin(const back_run *b, int32_t i, glow_call *call) {
  glow_workspace *ws = b->ws;
  glow__call_begin(ws, &ws->model->nodes[i], ws->samples, ws->labels, ws->form,
                   ws->memory + ws->plan.latents, call);
  call->d_condition = b->options->d_condition;
  glow__back_gradients(ws, glow_workspace_gradients(ws), call);
}

/* Runs node i forward again from x, for what it stores; gives y. */
static const float *forward_again(const back_run *b, int32_t i, glow_call *call, const float *x) {
  const glow_workspace *ws = b->ws;
  const glow__node *node = &ws->model->nodes[i];
  double *ignored = glow__doubles(ws, ws->plan.logdet);
  float *y = node->out_size ? ws->memory + ws->plan.states[(i + 1) & 1] : NULL;
  call->stored = ws->memory + (glow__is_stored(ws, i) ? ws->stored[i] : ws->plan.stored);
  glow__node_forward(call, x, y, ignored, ignored);
  return y;
}

static glow_status inverse_backward_node(const back_run *b, int32_t i, const float *x,
                                         const float **y) {
  glow_workspace *ws = b->ws;
  const glow__node *node = &ws->model->nodes[i];
  float *d_latents = b->options->d_latents;
  glow_call call;
  inverse_backward_begin(b, i, &call);
  if (glow__inverse_stores(ws, i)) {
    call.stored = ws->memory + ws->stored[i];
    *y = glow__stored_input(ws, i + 1);
  } else {
    *y = forward_again(b, i, &call, x);
  }
  call.stored_valid = true;
  const glow_layer_inverse_gradient g = {
      .struct_size = sizeof g,
      .x = x,
      .y = *y,
      .dx = ws->memory + ws->plan.gradients_x[i & 1],
      .dy = node->out_size ? ws->memory + ws->plan.gradients_x[(i + 1) & 1] : NULL,
      .d_logdet = b->d_logdet,
      .d_logprior = b->d_logprior,
      .d_latents = d_latents && node->latent_size ? d_latents + node->latent_offset : NULL};
  if (!node->layer->ops.inverse_backward)
    return glow__iterate_inverse_backward(ws, &call, &g);
  glow__node_inverse_backward(&call, &g, ws->memory + ws->plan.block_gradients,
                              ws->plan.block_stride);
  return GLOW_OK;
}

/* log_prob is the log-prior less inverse's log-det, which is the negative of forward's. */
static void inverse_set_weights(const back_run *b) {
  const glow_inverse_backward_options *o = b->options;
  for (int64_t n = 0; n < b->ws->samples; n++) {
    b->d_logprior[n] = o->weight ? o->weight[n] : 0.0;
    b->d_logdet[n] = b->d_logprior[n] - (o->weight_logdet ? o->weight_logdet[n] : 0.0);
  }
}

static glow_status through_inverse(const back_run *b) {
  glow_workspace *ws = b->ws;
  const size_t bytes = (size_t)(ws->samples * ws->model->dims) * sizeof(float);
  const float *x = glow__stored_input(ws, 0);
  inverse_set_weights(b);
  if (b->options->dx)
    memcpy(ws->memory + ws->plan.gradients_x[0], b->options->dx, bytes);
  else
    memset(ws->memory + ws->plan.gradients_x[0], 0, bytes);
  for (int32_t i = 0; i < ws->model->node_count; i++) {
    const float *y = NULL;
    GLOW_TRY(glow__check_cancelled(ws));
    GLOW_TRY(inverse_backward_node(b, i, x, &y));
    x = y;
    if (ws->final)
      ws->final(0, ws->model->nodes[i].first_parameter + ws->model->nodes[i].parameters,
                ws->final_payload);
  }
  return GLOW_OK;
}

static glow_status inverse_backward_check(const glow_workspace *ws,
                                          const glow_inverse_backward_options *o) {
  if (ws->inverted && ws->samples < 0)
    return glow_error(GLOW_E_NUMERIC,
                      "%s: gradients are of the whole batch, so run the pass without that sample "
                      "first",
                      ws->failure.text);
  if (!ws->inverted || !ws->samples)
    return glow_error(GLOW_E_STATE,
                      "glow_workspace_inverse_backward needs an inverse pass or sampling with "
                      "`store` just before it");
  if (o->d_condition && !ws->model->condition_size)
    return glow_error(GLOW_E_ARGUMENT, "d_condition is given, and the model takes no condition");
  GLOW_TRY(glow__check_ready(ws->model));
  return glow__check_conditions_finite(ws, ws->samples);
}

glow_status glow_workspace_inverse_backward(glow_workspace *ws,
                                            const glow_inverse_backward_options *options) {
  GLOW_LIVE(ws, WORKSPACE);
  glow_inverse_backward_options o = GLOW_INVERSE_BACKWARD_OPTIONS_INIT;
  if (!ws || !options)
    return glow_error(GLOW_E_ARGUMENT, "glow_workspace_inverse_backward: NULL argument");
  GLOW_LIVE(ws, WORKSPACE);
  GLOW_TRY(glow__options_copy(&o, sizeof o, options, sizeof o, "glow_inverse_backward_options"));
  GLOW_TRY(inverse_backward_check(ws, &o));
  const back_run b = {.ws = ws,
                      .options = &o,
                      .d_logdet = glow__doubles(ws, ws->plan.weight_logdet),
                      .d_logprior = glow__doubles(ws, ws->plan.weight_logprior)};
  if (o.d_condition)
    memset(o.d_condition, 0, (size_t)(ws->samples * ws->model->condition_size) * sizeof(float));
  glow_status status = through_inverse(&b);
  ws->samples = 0;
  return status;
}
