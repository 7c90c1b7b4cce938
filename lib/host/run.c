/* Running one layer: by tasks, it gets the whole batch; by samples, blocks of the batch run in
 * parallel, with a gradient buffer for each block; the buffers are added in order.
 * SPDX-License-Identifier: MIT */
#include <stdio.h>
#include <string.h>

#include "host/run.h"

/* At least GLOW_BLOCK_MIN elements and at least 1/GLOW_MAX_BLOCKS of the batch. Blocks do not grow
 * when there are fewer samples, so scratch for the largest batch serves all. */
int64_t glow__block_samples(const glow__node *node, int64_t samples) {
  int64_t share = (samples + GLOW_MAX_BLOCKS - 1) / GLOW_MAX_BLOCKS;
  int64_t least = (GLOW_BLOCK_MIN + node->in_size - 1) / node->in_size;
  int64_t block = share > least ? share : least;
  return block < samples ? block : samples;
}

void glow__call_begin(glow_workspace *ws, const glow__node *node, int64_t samples,
                      const int32_t *labels, int32_t form, float *latents, glow_call *call) {
  const glow__plan *plan = &ws->plan;
  *call = (glow_call){.model = ws->model, .node = node, .samples = samples};
  call->training = glow__is_training(ws);
  call->stored_capacity = plan->batch;
  call->worker_scratch = ws->memory + plan->worker_scratch;
  call->worker_stride = plan->worker_stride;
  call->scratch = ws->memory + plan->scratch;
  call->packed = ws->packed ? ws->memory + ws->packed[node - ws->model->nodes] : NULL;
  call->capacity = plan->batch;
  if (!glow__by_tasks(node))
    call->capacity = glow__block_samples(node, plan->batch);
  call->labels = labels;
  call->condition_step = ws->condition_count == 1 ? 0 : ws->model->condition_size;
  call->condition = ws->condition ? ws->condition + ws->first * call->condition_step : NULL;
  call->row = ws->base + ws->first;
  call->form = form;
  call->latents = latents ? latents + node->latent_offset : NULL;
  call->latent_stride = ws->model->dims;
  call->statistics = GLOW_STATISTICS_RUNNING;
  call->observed = call->training ? ws->memory + plan->observed : NULL;
  call->statuses = ws->statuses;
  call->failure = &ws->failure;
}

/* Which function of the layer to call, and what it is given for the whole batch. */
typedef struct block_run {
  const glow_call *call;
  int64_t block;
  const float *x, *y; /* read */
  float *to_x, *to_y; /* written */
  double *logdet, *logprior;
  const glow_layer_gradient *gradient;
  const glow_layer_inverse_gradient *inverse_gradient;
  float *logits;         /* written */
  const float *d_logits; /* read, with to_x as the gradient of x */
  float *blocks;
  int64_t block_stride;
  glow__failure *stopped; /* of the lowest block whose inverse returned an error */
} block_run;

/* The call of one block. Its scratch is the worker's own, behind the worker regions. */
static glow_call block_call(const block_run *c, uint32_t task, uint32_t worker) {
  glow_call call = *c->call;
  int64_t first = (int64_t)task * c->block, own = 0;
  call.samples = first + c->block <= call.samples ? c->block : call.samples - first;
  call.first = first;
  call.worker_scratch += (int64_t)worker * call.worker_stride;
  call.worker_stride = 0;
  glow__regions_size(&call.node->worker, 0, true, &own);
  call.scratch = call.worker_scratch + own;
  call.packed = NULL;
  if (call.labels)
    call.labels += first;
  if (call.condition)
    call.condition += first * call.condition_step;
  if (call.d_condition)
    call.d_condition += first * call.model->condition_size;
  if (call.latents)
    call.latents += first * call.latent_stride;
  return call;
}

static uint32_t block_count(const block_run *c) {
  return (uint32_t)((c->call->samples + c->block - 1) / c->block);
}

static void forward_block(void *arg, uint32_t task, uint32_t worker) {
  const block_run *c = arg;
  glow_call call = block_call(c, task, worker);
  const glow__node *node = call.node;
  node->layer->ops.forward(node->layer->self, &call, c->x + call.first * node->in_size,
                           c->to_y ? c->to_y + call.first * node->out_size : NULL,
                           c->logdet + call.first, c->logprior + call.first);
}

void glow__node_forward(const glow_call *call, const float *x, float *y, double *logdet,
                        double *logprior) {
  const glow_layer *layer = call->node->layer;
  if (glow__by_tasks(call->node)) {
    layer->ops.forward(layer->self, call, x, y, logdet, logprior);
    return;
  }
  block_run c = {.call = call,
                 .block = glow__block_samples(call->node, call->samples),
                 .x = x,
                 .to_y = y,
                 .logdet = logdet,
                 .logprior = logprior};
  glow_context_run(call->model->context, block_count(&c), forward_block, &c);
}

static void inverse_block(void *arg, uint32_t task, uint32_t worker) {
  const block_run *c = arg;
  glow_call call = block_call(c, task, worker);
  const glow__node *node = call.node;
  glow_status status = node->layer->ops.inverse(
      node->layer->self, &call, c->y ? c->y + call.first * node->out_size : NULL,
      c->to_x + call.first * node->in_size, c->logdet + call.first,
      c->logprior ? c->logprior + call.first : NULL);
  if (status == GLOW_OK)
    return;
  glow__failure own = {.status = status, .sample = call.first};
  snprintf(own.text, sizeof own.text, "%s", glow_last_error());
  glow__failure_note(c->stopped, &own);
}

/* The layers that follow get zeros for samples that have failed: what the inverse left of them may
 * be anything. */
static void clear_failed(const glow_call *call, float *x) {
  int64_t size = call->node->in_size;
  if (!call->failure->fresh)
    return;
  call->failure->fresh = false;
  for (int64_t n = 0; n < call->samples; n++)
    if (call->statuses[n] != GLOW_OK)
      memset(x + n * size, 0, (size_t)size * sizeof *x);
}

/* In words of this thread. */
static glow_status inverse_in_blocks(const glow_call *call, const float *y, float *x,
                                     double *logdet, double *logprior) {
  glow__failure stopped = {.failed = false};
  block_run c = {.call = call,
                 .block = glow__block_samples(call->node, call->samples),
                 .y = y,
                 .to_x = x,
                 .logdet = logdet,
                 .logprior = logprior,
                 .stopped = &stopped};
  glow_context_run(call->model->context, block_count(&c), inverse_block, &c);
  return stopped.failed ? glow_error(stopped.status, "%s", stopped.text) : GLOW_OK;
}

glow_status glow__node_inverse(const glow_call *call, const float *y, float *x, double *logdet,
                               double *logprior) {
  const glow_layer *layer = call->node->layer;
  glow_status status = glow__by_tasks(call->node)
                           ? layer->ops.inverse(layer->self, call, y, x, logdet, logprior)
                           : inverse_in_blocks(call, y, x, logdet, logprior);
  if (status != GLOW_OK)
    return glow__error_prefix(status, "layer '%s'", call->node->name);
  clear_failed(call, x);
  return GLOW_OK;
}

static const float *offset_of(const float *base, int64_t offset) {
  return base ? base + offset : NULL;
}

/* A block's own gradients. */
static void begin_gradients(const block_run *c, uint32_t task, glow_call *call) {
  if (!c->call->gradients) /* they are left out */
    return;
  call->gradients = c->blocks + (int64_t)task * c->block_stride;
  call->gradient_first = call->node->first_parameter;
  memset(call->gradients, 0, (size_t)call->node->parameters * sizeof(float));
}

/* Runs the blocks and adds their gradients in order. */
static void run_with_gradients(const block_run *c, glow_task_fn block) {
  const glow_call *call = c->call;
  const glow__node *node = call->node;
  uint32_t count = block_count(c);
  glow_context_run(call->model->context, count, block, (void *)(uintptr_t)c);
  if (!call->gradients)
    return;
  float *sum = call->gradients + (node->first_parameter - call->gradient_first);
  for (uint32_t b = 0; b < count; b++)
    for (int64_t j = 0; j < node->parameters; j++)
      sum[j] += c->blocks[(int64_t)b * c->block_stride + j];
}

static void backward_block(void *arg, uint32_t task, uint32_t worker) {
  const block_run *c = arg;
  glow_call call = block_call(c, task, worker);
  const glow__node *node = call.node;
  const glow_layer_gradient *g = c->gradient;
  int64_t first = call.first;
  glow_layer_gradient part = {.struct_size = sizeof part,
                              .y = offset_of(g->y, first * node->out_size),
                              .dy = offset_of(g->dy, first * node->out_size),
                              .x = offset_of(g->x, first * node->in_size),
                              .x_out = g->x_out ? g->x_out + first * node->in_size : NULL,
                              .dx = g->dx + first * node->in_size,
                              .d_logdet = g->d_logdet + first,
                              .d_logprior = g->d_logprior + first,
                              .d_latents = offset_of(g->d_latents, first * call.latent_stride)};
  begin_gradients(c, task, &call);
  node->layer->ops.backward(node->layer->self, &call, &part);
}

void glow__node_backward(const glow_call *call, const glow_layer_gradient *gradient, float *blocks,
                         int64_t block_stride) {
  const glow__node *node = call->node;
  if (glow__by_tasks(node)) {
    node->layer->ops.backward(node->layer->self, call, gradient);
    return;
  }
  block_run c = {.call = call,
                 .block = glow__block_samples(node, call->samples),
                 .gradient = gradient,
                 .blocks = blocks,
                 .block_stride = block_stride};
  run_with_gradients(&c, backward_block);
}

static void inverse_backward_block(void *arg, uint32_t task, uint32_t worker) {
  const block_run *c = arg;
  glow_call call = block_call(c, task, worker);
  const glow__node *node = call.node;
  const glow_layer_inverse_gradient *g = c->inverse_gradient;
  int64_t first = call.first;
  glow_layer_inverse_gradient part = {
      .struct_size = sizeof part,
      .x = g->x + first * node->in_size,
      .y = offset_of(g->y, first * node->out_size),
      .dx = g->dx + first * node->in_size,
      .dy = g->dy ? g->dy + first * node->out_size : NULL,
      .d_logdet = g->d_logdet + first,
      .d_logprior = g->d_logprior + first,
      .d_latents = g->d_latents ? g->d_latents + first * call.latent_stride : NULL};
  begin_gradients(c, task, &call);
  node->layer->ops.inverse_backward(node->layer->self, &call, &part);
}

void glow__node_inverse_backward(const glow_call *call, const glow_layer_inverse_gradient *gradient,
                                 float *blocks, int64_t block_stride) {
  const glow__node *node = call->node;
  if (glow__by_tasks(node)) {
    node->layer->ops.inverse_backward(node->layer->self, call, gradient);
    return;
  }
  block_run c = {.call = call,
                 .block = glow__block_samples(node, call->samples),
                 .inverse_gradient = gradient,
                 .blocks = blocks,
                 .block_stride = block_stride};
  run_with_gradients(&c, inverse_backward_block);
}

/* ---- diagnosis ------------------------------------------------------------------------------- */

/* Blocks one after the other: all of them add to the same findings. */
static glow_status diagnose_in_blocks(const glow_call *call, const float *x,
                                      glow_findings *findings) {
  const glow__node *node = call->node;
  const glow_layer *layer = node->layer;
  block_run c = {.call = call, .block = glow__block_samples(node, call->samples)};
  uint32_t blocks = x ? block_count(&c) : 1;
  for (uint32_t b = 0; b < blocks; b++) {
    glow_call own = block_call(&c, b, 0);
    GLOW_TRY(
        layer->ops.diagnose(layer->self, &own, x ? x + own.first * node->in_size : NULL, findings));
  }
  return GLOW_OK;
}

glow_status glow__node_diagnose(const glow_call *call, const float *x, glow_findings *findings) {
  const glow_layer *layer = call->node->layer;
  if (layer->ops.diagnose && !glow__by_tasks(call->node))
    return diagnose_in_blocks(call, x, findings);
  if (layer->ops.diagnose)
    GLOW_TRY(layer->ops.diagnose(layer->self, call, x, findings));
  return x ? glow__call_diagnose_nets(call, findings) : GLOW_OK;
}

/* ---- logits ---------------------------------------------------------------------------------- */

static void logits_block(void *arg, uint32_t task, uint32_t worker) {
  const block_run *c = arg;
  glow_call call = block_call(c, task, worker);
  const glow__node *node = call.node;
  node->layer->ops.logits(node->layer->self, &call, c->x + call.first * node->in_size,
                          c->logits + call.first * node->logits);
}

void glow__node_logits(const glow_call *call, const float *x, float *logits) {
  const glow__node *node = call->node;
  if (glow__by_tasks(node)) {
    node->layer->ops.logits(node->layer->self, call, x, logits);
    return;
  }
  block_run c = {
      .call = call, .block = glow__block_samples(node, call->samples), .x = x, .logits = logits};
  glow_context_run(call->model->context, block_count(&c), logits_block, &c);
}

static void logits_backward_block(void *arg, uint32_t task, uint32_t worker) {
  const block_run *c = arg;
  glow_call call = block_call(c, task, worker);
  const glow__node *node = call.node;
  int64_t first = call.first * node->in_size;
  begin_gradients(c, task, &call);
  node->layer->ops.logits_backward(node->layer->self, &call, c->x + first,
                                   c->d_logits + call.first * node->logits, c->to_x + first);
}

void glow__node_logits_backward(const glow_call *call, const float *x, const float *d_logits,
                                float *dx, float *blocks, int64_t block_stride) {
  const glow__node *node = call->node;
  if (glow__by_tasks(node)) {
    node->layer->ops.logits_backward(node->layer->self, call, x, d_logits, dx);
    return;
  }
  block_run c = {.call = call,
                 .block = glow__block_samples(node, call->samples),
                 .x = x,
                 .to_x = dx,
                 .d_logits = d_logits,
                 .blocks = blocks,
                 .block_stride = block_stride};
  run_with_gradients(&c, logits_backward_block);
}
