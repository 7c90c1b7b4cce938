/* Gradients: back through the layers of the last forward, from stored activations or by
 * reconstructing each layer's input from its output. SPDX-License-Identifier: MIT */
#include <math.h>
#include <string.h>

#include "model/parts.h"

typedef struct back {
  glow_workspace *ws;
  float *gradients;
  const double *d_logdet, *d_logprior;
  const float *d_latents; /* [samples, dims] or NULL */
  float *d_context;       /* [samples, context size] or NULL */
  const float *d_logits;  /* [samples, logits] or NULL */
} back;

static void begin(const back *b, int32_t i, glow_pass *pass) {
  glow_workspace *ws = b->ws;
  glow__pass_begin(ws, &ws->model->nodes[i], ws->samples, ws->labels, GLOW_LATENTS_RAW,
                   ws->memory + ws->plan.latents, pass);
  pass->gradients = b->gradients;
  pass->d_context = b->d_context;
  pass->statistics = GLOW_STATISTICS_KEPT;
}

static void run(const back *b, int32_t i, const glow_pass *pass, glow_layer_gradient *g) {
  const glow__node *node = &b->ws->model->nodes[i];
  g->struct_size = sizeof *g;
  g->d_logdet = b->d_logdet;
  g->d_logprior = b->d_logprior;
  g->d_latents = b->d_latents && node->latent_size ? b->d_latents + node->latent_offset : NULL;
  float *blocks = b->ws->memory + b->ws->plan.block_gradients;
  glow__node_backward(pass, g, blocks, b->ws->plan.block_stride);
  if (b->d_logits && node->logits)
    glow__node_logits_backward(pass, g->x ? g->x : g->x_out, b->d_logits, g->dx, blocks,
                               b->ws->plan.block_stride);
}

static float *through_stored(const back *b) {
  glow_workspace *ws = b->ws;
  float *dy = NULL;
  for (int32_t i = ws->model->node_count - 1; i >= 0; i--) {
    bool last = i == ws->model->node_count - 1;
    glow_pass pass;
    begin(b, i, &pass);
    pass.saved = ws->memory + ws->saves[i];
    pass.saved_valid = true;
    glow_layer_gradient g = {.y = last ? NULL : ws->memory + ws->inputs[i + 1],
                             .dy = dy,
                             .x = ws->memory + ws->inputs[i],
                             .dx = ws->memory + ws->plan.gradients_x[i & 1]};
    run(b, i, &pass, &g);
    dy = g.dx;
  }
  return dy;
}

/* For a layer that cannot reconstruct: inverse gives x, and forward again what it saves. */
static void reconstruct(const back *b, int32_t i, glow_pass *pass, const float *y, float *x) {
  glow_workspace *ws = b->ws;
  const glow__node *node = &ws->model->nodes[i];
  double *ignored = (double *)(void *)(ws->memory + ws->plan.logdet);
  glow__node_inverse(pass, y, x, ignored);
  if (node->saved.count)
    glow__node_forward(pass, x, node->out_size ? ws->memory + ws->plan.spare : NULL, ignored,
                       ignored);
}

static float *through_reconstructed(const back *b) {
  glow_workspace *ws = b->ws;
  float *dy = NULL, *y = NULL;
  for (int32_t i = ws->model->node_count - 1; i >= 0; i--) {
    const glow__node *node = &ws->model->nodes[i];
    float *x = ws->memory + ws->plan.states[i & 1];
    glow_pass pass;
    begin(b, i, &pass);
    pass.saved = ws->memory + ws->plan.saved;
    glow_layer_gradient g = {.y = y, .dy = dy, .dx = ws->memory + ws->plan.gradients_x[i & 1]};
    if (node->layer->ops.flags & GLOW_LAYER_RECONSTRUCTS) {
      g.x_out = x;
    } else {
      reconstruct(b, i, &pass, y, x);
      pass.saved_valid = true;
      g.x = x;
    }
    run(b, i, &pass, &g);
    y = x;
    dy = g.dx;
  }
  return dy;
}

static void set_weights(const glow_workspace *ws, const glow_backward_options *o, double *logdet,
                        double *logprior) {
  for (int64_t n = 0; n < ws->samples; n++) {
    logprior[n] = o->weight ? o->weight[n] : 0.0;
    logdet[n] = logprior[n] + (o->weight_logdet ? o->weight_logdet[n] : 0.0);
  }
}

/* The vectors of the forward pass may have been replaced since. */
static glow_status check_context(const glow_workspace *ws, const glow_backward_options *o) {
  if (o->d_context && !ws->model->context_size)
    return glow_error(GLOW_E_ARGUMENT, "d_context is given, and the model takes no context");
  return glow__check_context(ws, ws->samples);
}

glow_status glow_backward(glow_workspace *ws, const glow_backward_options *options) {
  glow_backward_options o = GLOW_BACKWARD_OPTIONS_INIT;
  if (!ws || !options)
    return glow_error(GLOW_E_ARGUMENT, "glow_backward: NULL argument");
  GLOW_TRY(glow__options_copy(&o, sizeof o, options, offsetof(glow_backward_options, d_context),
                              "glow_backward_options"));
  if (!glow__is_training(ws))
    return glow_error(GLOW_E_STATE,
                      "the workspace is for inference and keeps nothing for backward");
  if (!ws->samples)
    return glow_error(GLOW_E_STATE, "glow_backward needs a glow_forward just before it");
  GLOW_TRY(glow__check_ready(ws->model));
  GLOW_TRY(check_context(ws, &o));
  if (o.d_logits && !ws->model->logits)
    return glow_error(GLOW_E_ARGUMENT, "d_logits is given, and the model has no logits");
  double *d_logdet = (double *)(void *)(ws->memory + ws->plan.weight_logdet);
  double *d_logprior = (double *)(void *)(ws->memory + ws->plan.weight_logprior);
  set_weights(ws, &o, d_logdet, d_logprior);
  back b = {.ws = ws,
            .gradients = ws->memory + ws->plan.parameter_gradients,
            .d_logdet = d_logdet,
            .d_logprior = d_logprior,
            .d_latents = o.d_latents,
            .d_context = o.d_context,
            .d_logits = o.d_logits};
  if (o.d_context)
    memset(o.d_context, 0, (size_t)(ws->samples * ws->model->context_size) * sizeof(float));
  const float *dx =
      ws->plan.mode == GLOW_MODE_STORED ? through_stored(&b) : through_reconstructed(&b);
  if (o.dx)
    memcpy(o.dx, dx, (size_t)(ws->samples * ws->model->dims) * sizeof(float));
  glow__running_gather(ws);
  ws->samples = 0;
  return GLOW_OK;
}
