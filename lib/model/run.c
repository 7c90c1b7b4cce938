/* Running one layer: by tasks it gets the whole batch; by samples, blocks of the batch in parallel,
 * with a gradient buffer for each block, added in order. SPDX-License-Identifier: MIT */
#include <string.h>

#include "model/parts.h"

/* At least GLOW_BLOCK_MIN numbers and at least 1/GLOW_MAX_BLOCKS of the batch. Not larger for fewer
 * samples, so that scratch for the largest batch serves all. */
int64_t glow__block_samples(const glow__node *node, int64_t samples) {
  int64_t share = (samples + GLOW_MAX_BLOCKS - 1) / GLOW_MAX_BLOCKS;
  int64_t least = (GLOW_BLOCK_MIN + node->in_size - 1) / node->in_size;
  int64_t block = share > least ? share : least;
  return block < samples ? block : samples;
}

void glow__pass_begin(const glow_workspace *ws, const glow__node *node, int64_t samples,
                      const int32_t *labels, int32_t form, float *latents, glow_pass *pass) {
  const glow__plan *plan = &ws->plan;
  *pass = (glow_pass){.model = ws->model, .node = node, .samples = samples};
  pass->training = glow__is_training(ws);
  pass->saved_capacity = plan->batch;
  pass->worker_scratch = ws->memory + plan->worker_scratch;
  pass->worker_stride = plan->worker_stride;
  pass->scratch = ws->memory + plan->scratch;
  pass->packed = ws->packed ? ws->memory + ws->packed[node - ws->model->nodes] : NULL;
  pass->capacity = plan->batch;
  if (!glow__by_tasks(node))
    pass->capacity = glow__block_samples(node, plan->batch);
  pass->labels = labels;
  pass->context = ws->context;
  pass->context_step = ws->context_count == 1 ? 0 : ws->model->context_size;
  pass->form = form;
  pass->latents = latents ? latents + node->latent_offset : NULL;
  pass->latent_stride = ws->model->dims;
  pass->statistics = GLOW_STATISTICS_RUNNING;
  pass->observed = pass->training ? ws->memory + plan->observed : NULL;
}

/* Which function of the layer, and what it is given for the whole batch. */
typedef struct call {
  const glow_pass *pass;
  int64_t block;
  const float *x, *y; /* read */
  float *to_x, *to_y; /* written */
  double *logdet, *logprior;
  const glow_layer_gradient *gradient;
  float *logits;         /* written */
  const float *d_logits; /* read, with to_x as the gradient of x */
  float *blocks;
  int64_t block_stride;
} call;

/* The pass of one block. Its scratch is the worker's own, behind the worker regions. */
static glow_pass block_pass(const call *c, uint32_t task, uint32_t worker) {
  glow_pass pass = *c->pass;
  int64_t first = (int64_t)task * c->block, own = 0;
  pass.samples = first + c->block <= pass.samples ? c->block : pass.samples - first;
  pass.first = first;
  pass.worker_scratch += (int64_t)worker * pass.worker_stride;
  pass.worker_stride = 0;
  glow__regions_size(&pass.node->worker, 0, true, &own);
  pass.scratch = pass.worker_scratch + own;
  pass.packed = NULL;
  if (pass.labels)
    pass.labels += first;
  if (pass.context)
    pass.context += first * pass.context_step;
  if (pass.d_context)
    pass.d_context += first * pass.model->context_size;
  if (pass.latents)
    pass.latents += first * pass.latent_stride;
  return pass;
}

static uint32_t block_count(const call *c) {
  return (uint32_t)((c->pass->samples + c->block - 1) / c->block);
}

static void forward_block(void *arg, uint32_t task, uint32_t worker) {
  const call *c = arg;
  glow_pass pass = block_pass(c, task, worker);
  const glow__node *node = pass.node;
  node->layer->ops.forward(node->layer->self, &pass, c->x + pass.first * node->in_size,
                           c->to_y ? c->to_y + pass.first * node->out_size : NULL,
                           c->logdet + pass.first, c->logprior + pass.first);
}

void glow__node_forward(const glow_pass *pass, const float *x, float *y, double *logdet,
                        double *logprior) {
  const glow_layer *layer = pass->node->layer;
  if (glow__by_tasks(pass->node)) {
    layer->ops.forward(layer->self, pass, x, y, logdet, logprior);
    return;
  }
  call c = {.pass = pass,
            .block = glow__block_samples(pass->node, pass->samples),
            .x = x,
            .to_y = y,
            .logdet = logdet,
            .logprior = logprior};
  glow__run(pass->model->context, block_count(&c), forward_block, &c);
}

static void inverse_block(void *arg, uint32_t task, uint32_t worker) {
  const call *c = arg;
  glow_pass pass = block_pass(c, task, worker);
  const glow__node *node = pass.node;
  node->layer->ops.inverse(node->layer->self, &pass,
                           c->y ? c->y + pass.first * node->out_size : NULL,
                           c->to_x + pass.first * node->in_size, c->logdet + pass.first);
}

void glow__node_inverse(const glow_pass *pass, const float *y, float *x, double *logdet) {
  const glow_layer *layer = pass->node->layer;
  if (glow__by_tasks(pass->node)) {
    layer->ops.inverse(layer->self, pass, y, x, logdet);
    return;
  }
  call c = {.pass = pass,
            .block = glow__block_samples(pass->node, pass->samples),
            .y = y,
            .to_x = x,
            .logdet = logdet};
  glow__run(pass->model->context, block_count(&c), inverse_block, &c);
}

static const float *at(const float *base, int64_t offset) {
  return base ? base + offset : NULL;
}

/* A block's own gradients. */
static void begin_gradients(const call *c, uint32_t task, glow_pass *pass) {
  pass->gradients = c->blocks + (int64_t)task * c->block_stride;
  pass->gradient_first = pass->node->first_parameter;
  memset(pass->gradients, 0, (size_t)pass->node->parameters * sizeof(float));
}

/* Runs the blocks and adds their gradients in order. */
static void run_with_gradients(const call *c, glow_task_fn block) {
  const glow_pass *pass = c->pass;
  const glow__node *node = pass->node;
  uint32_t count = block_count(c);
  glow__run(pass->model->context, count, block, (void *)(uintptr_t)c);
  float *sum = pass->gradients + (node->first_parameter - pass->gradient_first);
  for (uint32_t b = 0; b < count; b++)
    for (int64_t j = 0; j < node->parameters; j++)
      sum[j] += c->blocks[(int64_t)b * c->block_stride + j];
}

static void backward_block(void *arg, uint32_t task, uint32_t worker) {
  const call *c = arg;
  glow_pass pass = block_pass(c, task, worker);
  const glow__node *node = pass.node;
  const glow_layer_gradient *g = c->gradient;
  int64_t first = pass.first;
  glow_layer_gradient part = {.struct_size = sizeof part,
                              .y = at(g->y, first * node->out_size),
                              .dy = at(g->dy, first * node->out_size),
                              .x = at(g->x, first * node->in_size),
                              .x_out = g->x_out ? g->x_out + first * node->in_size : NULL,
                              .dx = g->dx + first * node->in_size,
                              .d_logdet = g->d_logdet + first,
                              .d_logprior = g->d_logprior + first,
                              .d_latents = at(g->d_latents, first * pass.latent_stride)};
  begin_gradients(c, task, &pass);
  node->layer->ops.backward(node->layer->self, &pass, &part);
}

void glow__node_backward(const glow_pass *pass, const glow_layer_gradient *gradient, float *blocks,
                         int64_t block_stride) {
  const glow__node *node = pass->node;
  if (glow__by_tasks(node)) {
    node->layer->ops.backward(node->layer->self, pass, gradient);
    return;
  }
  call c = {.pass = pass,
            .block = glow__block_samples(node, pass->samples),
            .gradient = gradient,
            .blocks = blocks,
            .block_stride = block_stride};
  run_with_gradients(&c, backward_block);
}

/* ---- logits ---------------------------------------------------------------------------------- */

static void logits_block(void *arg, uint32_t task, uint32_t worker) {
  const call *c = arg;
  glow_pass pass = block_pass(c, task, worker);
  const glow__node *node = pass.node;
  node->layer->ops.logits(node->layer->self, &pass, c->x + pass.first * node->in_size,
                          c->logits + pass.first * node->logits);
}

void glow__node_logits(const glow_pass *pass, const float *x, float *logits) {
  const glow__node *node = pass->node;
  if (glow__by_tasks(node)) {
    node->layer->ops.logits(node->layer->self, pass, x, logits);
    return;
  }
  call c = {
      .pass = pass, .block = glow__block_samples(node, pass->samples), .x = x, .logits = logits};
  glow__run(pass->model->context, block_count(&c), logits_block, &c);
}

static void logits_backward_block(void *arg, uint32_t task, uint32_t worker) {
  const call *c = arg;
  glow_pass pass = block_pass(c, task, worker);
  const glow__node *node = pass.node;
  int64_t at = pass.first * node->in_size;
  begin_gradients(c, task, &pass);
  node->layer->ops.logits_backward(node->layer->self, &pass, c->x + at,
                                   c->d_logits + pass.first * node->logits, c->to_x + at);
}

void glow__node_logits_backward(const glow_pass *pass, const float *x, const float *d_logits,
                                float *dx, float *blocks, int64_t block_stride) {
  const glow__node *node = pass->node;
  if (glow__by_tasks(node)) {
    node->layer->ops.logits_backward(node->layer->self, pass, x, d_logits, dx);
    return;
  }
  call c = {.pass = pass,
            .block = glow__block_samples(node, pass->samples),
            .x = x,
            .to_x = dx,
            .d_logits = d_logits,
            .blocks = blocks,
            .block_stride = block_stride};
  run_with_gradients(&c, logits_backward_block);
}
