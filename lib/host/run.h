/* Running layers: one node, all of them, and back. SPDX-License-Identifier: MIT */
#ifndef GLOW_HOST_RUN_H
#define GLOW_HOST_RUN_H

#include "host/workspace.h"

/* ---- running one node ------------------------------------------------------------------------ */

/* A call on `samples` samples of a node, with the workspace's regions. */
void glow__call_begin(glow_workspace *ws, const glow__node *node, int64_t samples,
                      const int32_t *labels, int32_t form, float *latents, glow_call *call);
/* For samples that are not the first ones of the workspace's conditions. */
static inline void glow__call_skip(glow_call *call, int64_t samples) {
  if (call->condition)
    call->condition += samples * call->condition_step;
}
void glow__node_forward(const glow_call *call, const float *x, float *y, double *logdet,
                        double *logprior);
/* Fails when the layer's inverse as a whole does; samples that fail are marked, and zeros in x.
 * logprior may be NULL. */
glow_status glow__node_inverse(const glow_call *call, const float *y, float *x, double *logdet,
                               double *logprior);
/* pass->gradients: the whole flat vector. blocks: buffers for by-samples layers. */
void glow__node_backward(const glow_call *call, const glow_layer_gradient *gradient, float *blocks,
                         int64_t block_stride);

/* Calls `diagnose` of the layer and of its nets: those only with the input x of a forward that has
 * just stored its regions; x NULL: what the parameters say. */
glow_status glow__node_diagnose(const glow_call *call, const float *x, glow_findings *findings);

/* Logits of the node that has them, from its input x; and, from their gradient, that of the
 * parameters and, added, that of x. */
void glow__node_logits(const glow_call *call, const float *x, float *logits);
void glow__node_logits_backward(const glow_call *call, const float *x, const float *d_logits,
                                float *dx, float *blocks, int64_t block_stride);

/* Samples that are looked at behind each node, to find where they cease to be finite. */
typedef struct glow__watch {
  int64_t first, count;
  const glow__node *found; /* the first node at which one is not finite; the run ends there */
} glow__watch;

/* All nodes from x. statistics: GLOW_STATISTICS_... store: for backward. latents: [samples, dims]
 * to fill. watch: NULL, or what to look for. Like all that follow, it may be cancelled. */
glow_status glow__run_forward(glow_workspace *ws, const float *x, const int32_t *labels,
                              int64_t samples, int32_t form, int32_t statistics, bool store,
                              float *latents, double *logdet, double *logprior, glow__watch *watch);
/* logprior: NULL, or where the log-density of the raw latents goes. */
glow_status glow__run_inverse(glow_workspace *ws, const float *latents, int32_t form,
                              const int32_t *labels, int64_t samples, bool store, float *x,
                              double *logdet, double *logprior, glow__watch *watch);

/* A pass was stored for backward, which is of the whole batch: samples that have failed leave it
 * nothing. */
void glow__remember(glow_workspace *ws, const int32_t *labels, int64_t count);

/* ---- backward -------------------------------------------------------------------------------- */

/* What goes back through the layers: gradients of what forward gave, and where other gradients are
 * added. */
typedef struct glow__back {
  glow_workspace *ws;
  float *gradients;
  const double *d_logdet, *d_logprior;
  const float *d_latents; /* [samples, dims] or NULL */
  float *d_condition;     /* [samples, condition size] or NULL */
  const float *d_logits;  /* [samples, logits] or NULL */
} glow__back;

/* Where a call's gradients of parameters go. gradients: the whole flat vector, or NULL where nobody
 * wants them. */
void glow__back_gradients(glow_workspace *ws, float *gradients, glow_call *call);
/* The call of node i. */
void glow__back_begin(const glow__back *b, int32_t i, glow_call *call);
/* Backward of node i. g has x or x_out, and y, of which NULL is the output of the last node. */
void glow__back_node(const glow__back *b, int32_t i, const glow_call *call, glow_layer_gradient *g);
/* Nodes [first, last), from the last one back, given the stored input of the first: runs them
 * forward again. */
glow_status glow__back_recomputed(const glow__back *b, int32_t first, int32_t last);

/* ---- back through inverse -------------------------------------------------------------------- */

/* Does inverse of node i fill stored regions of its own? */
static inline bool glow__inverse_stores(const glow_workspace *ws, int32_t i) {
  return glow__is_stored(ws, i) && ws->model->nodes[i].layer->ops.inverse_backward;
}
void glow__node_inverse_backward(const glow_call *call, const glow_layer_inverse_gradient *gradient,
                                 float *blocks, int64_t block_stride);

/* iterate.c: the same for a node whose table has no inverse_backward. call: of node i, with all
 * that its backward needs. */
glow_status glow__iterate_inverse_backward(glow_workspace *ws, const glow_call *call,
                                           const glow_layer_inverse_gradient *gradient);

/* ---- running averages ------------------------------------------------------------------------ */

/* Adds what the last forward observed to the sums. */
void glow__running_gather(glow_workspace *ws);

#endif
