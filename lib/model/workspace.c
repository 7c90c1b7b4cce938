/* glow_workspace: plans all memory of a pass, and holds it. SPDX-License-Identifier: MIT */
#include <math.h>
#include <string.h>

#include "model/parts.h"

static int64_t max64(int64_t a, int64_t b) {
  return a > b ? a : b;
}

/* Reserves `floats` at the end of the block, aligned. False: overflow. */
static bool place(glow__plan *plan, int64_t floats, int64_t *offset) {
  const int64_t unit = GLOW_ALIGN / (int64_t)sizeof(float);
  *offset = plan->total;
  return glow__add(plan->total, floats, &plan->total) &&
         glow__add(plan->total, unit - 1, &plan->total) &&
         (plan->total = plan->total / unit * unit) < INT64_MAX / 16;
}

static bool place_samples(glow__plan *plan, int64_t per_sample, int64_t *offset) {
  int64_t floats = 0;
  return glow__mul(per_sample, plan->batch, &floats) && place(plan, floats, offset);
}

/* Scratch of one node: of the call, or for each worker when it is run by samples. */
static bool node_scratch(const glow__plan *plan, const glow__node *node, int64_t *call,
                         int64_t *worker) {
  bool training = plan->mode != GLOW_MODE_INFERENCE;
  bool by_tasks = glow__by_tasks(node);
  int64_t capacity = by_tasks ? plan->batch : glow__block_samples(node, plan->batch);
  return glow__regions_size(&node->worker, 0, true, worker) &&
         glow__regions_size(&node->scratch, capacity, training, call) &&
         (by_tasks || glow__add(*worker, *call, worker)) && (by_tasks || (*call = 0, true));
}

static bool place_scratch(const glow_model *model, glow__plan *plan) {
  int64_t call = 0, worker = 0;
  for (int32_t i = 0; i < model->node_count; i++) {
    int64_t c = 0, w = 0;
    if (!node_scratch(plan, &model->nodes[i], &c, &w))
      return false;
    call = max64(call, c);
    worker = max64(worker, w);
  }
  plan->worker_stride = worker;
  return place(plan, call, &plan->scratch) && glow__mul(worker, plan->workers, &worker) &&
         place(plan, worker, &plan->worker_scratch);
}

/* Activations that forward leaves for backward: of all nodes, or room for one. */
static bool place_saved(const glow_model *model, glow__plan *plan, int64_t *inputs,
                        int64_t *saves) {
  int64_t largest = 0, offset = 0;
  for (int32_t i = 0; i < model->node_count; i++) {
    const glow__node *node = &model->nodes[i];
    int64_t saved = 0;
    if (!glow__regions_size(&node->saved, plan->batch, true, &saved))
      return false;
    largest = max64(largest, saved);
    if (plan->mode != GLOW_MODE_STORED)
      continue;
    if (!place_samples(plan, node->in_size, &offset))
      return false;
    if (inputs)
      inputs[i] = offset;
    if (!place(plan, saved, &offset))
      return false;
    if (saves)
      saves[i] = offset;
  }
  return plan->mode != GLOW_MODE_RECONSTRUCTED || place(plan, largest, &plan->saved);
}

static bool place_training(const glow_model *model, glow__plan *plan) {
  int64_t stride = 0;
  for (int32_t i = 0; i < model->node_count; i++) {
    const glow__node *node = &model->nodes[i];
    if (!glow__by_tasks(node))
      stride = max64(stride, node->parameters);
    if (!(node->layer->ops.flags & GLOW_LAYER_RECONSTRUCTS) &&
        plan->mode == GLOW_MODE_RECONSTRUCTED)
      plan->needs_spare = true;
  }
  plan->block_stride = stride;
  return place_samples(plan, plan->state, &plan->gradients_x[0]) &&
         place_samples(plan, plan->state, &plan->gradients_x[1]) &&
         place_samples(plan, plan->needs_spare ? plan->state : 0, &plan->spare) &&
         glow__mul(stride, GLOW_MAX_BLOCKS, &stride) &&
         place(plan, stride, &plan->block_gradients) &&
         place(plan, model->parameter_count, &plan->parameter_gradients) &&
         place(plan, model->observed_count, &plan->observed) &&
         place(plan, 2 * model->observed_count, &plan->observed_sum);
}

/* inputs, saves: NULL when only the size is wanted. */
static glow_status make_plan(const glow_model *model, const glow_workspace_options *o,
                             glow__plan *plan, int64_t *inputs, int64_t *saves) {
  *plan = (glow__plan){
      .batch = o->batch, .mode = o->mode, .workers = glow_context_workers(model->context)};
  plan->state = model->dims; /* no layer makes more numbers than it is given */
  bool training = o->mode != GLOW_MODE_INFERENCE;
  bool ok = place_samples(plan, plan->state, &plan->states[0]) &&
            place_samples(plan, plan->state, &plan->states[1]) &&
            place_samples(plan, model->dims, &plan->latents) &&
            place_samples(plan, 2, &plan->logdet) && place_samples(plan, 2, &plan->logprior) &&
            place_samples(plan, model->logits, &plan->logits) &&
            place_samples(plan, training ? 2 : 0, &plan->weight_logdet) &&
            place_samples(plan, training ? 2 : 0, &plan->weight_logprior) &&
            place_scratch(model, plan) && (!training || place_saved(model, plan, inputs, saves)) &&
            (!training || place_training(model, plan));
  if (!ok)
    return glow_error(GLOW_E_LIMIT, "a workspace for batches of %lld is too large",
                      (long long)o->batch);
  return GLOW_OK;
}

static glow_status read_options(const glow_model *model, const glow_workspace_options *from,
                                glow_workspace_options *o) {
  *o = (glow_workspace_options)GLOW_WORKSPACE_OPTIONS_INIT;
  if (!model)
    return glow_error(GLOW_E_ARGUMENT, "a workspace needs a model");
  GLOW_TRY(glow__options_copy(o, sizeof *o, from, sizeof *o, "glow_workspace_options"));
  if (o->batch < 1)
    return glow_error(GLOW_E_ARGUMENT, "batch is %lld; it must be 1 or more", (long long)o->batch);
  if (o->mode < GLOW_MODE_INFERENCE || o->mode > GLOW_MODE_RECONSTRUCTED || o->reserved)
    return glow_error(GLOW_E_ARGUMENT, "mode is %d; it must be one of GLOW_MODE_...", o->mode);
  return GLOW_OK;
}

/* The handle and its tables lie in front of the floats. */
static size_t header_size(const glow_model *model, const glow_workspace_options *o) {
  size_t tables = o->mode == GLOW_MODE_STORED ? 2 * (size_t)model->node_count * sizeof(int64_t) : 0;
  size_t labels = model->classes ? (size_t)o->batch * sizeof(int32_t) : 0;
  size_t size = sizeof(glow_workspace) + tables + labels;
  return (size + GLOW_ALIGN - 1) / GLOW_ALIGN * GLOW_ALIGN;
}

static uint64_t whole_size(const glow_model *model, const glow_workspace_options *o,
                           const glow__plan *plan) {
  return header_size(model, o) + (uint64_t)plan->total * sizeof(float);
}

glow_status glow_workspace_bytes(const glow_model *model, const glow_workspace_options *options,
                                 uint64_t *out) {
  glow_workspace_options o;
  glow__plan plan;
  if (!out)
    return glow_error(GLOW_E_ARGUMENT, "glow_workspace_bytes: NULL argument");
  *out = 0;
  GLOW_TRY(read_options(model, options, &o));
  GLOW_TRY(make_plan(model, &o, &plan, NULL, NULL));
  *out = whole_size(model, &o, &plan);
  return GLOW_OK;
}

glow_status glow_workspace_create(const glow_model *model, const glow_workspace_options *options,
                                  glow_workspace **out) {
  glow_workspace_options o;
  glow__plan plan;
  if (!out)
    return glow_error(GLOW_E_ARGUMENT, "glow_workspace_create: NULL argument");
  *out = NULL;
  GLOW_TRY(read_options(model, options, &o));
  GLOW_TRY(make_plan(model, &o, &plan, NULL, NULL));
  unsigned char *block = glow_allocate(model->context, (size_t)whole_size(model, &o, &plan));
  if (!block)
    return GLOW_E_MEMORY;
  glow_workspace *ws = (glow_workspace *)block;
  int64_t *tables = (int64_t *)(ws + 1);
  ws->model = model;
  if (o.mode == GLOW_MODE_STORED) {
    ws->inputs = tables;
    ws->saves = tables + model->node_count;
    tables += 2 * model->node_count;
  }
  ws->label_copy = (int32_t *)tables;
  ws->memory = (float *)(void *)(block + header_size(model, &o));
  make_plan(model, &o, &ws->plan, ws->inputs, ws->saves);
  *out = ws;
  return GLOW_OK;
}

void glow_workspace_destroy(glow_workspace **workspace) {
  if (!workspace || !*workspace)
    return;
  glow_release((*workspace)->model->context, *workspace);
  *workspace = NULL;
}

const glow_model *glow__workspace_model(const glow_workspace *workspace) {
  return workspace->model;
}

uint64_t glow_workspace_size(const glow_workspace *ws) {
  if (!ws)
    return 0;
  glow_workspace_options o = {sizeof o, ws->plan.batch, ws->plan.mode, 0};
  return whole_size(ws->model, &o, &ws->plan);
}

float *glow_workspace_gradients(glow_workspace *ws) {
  return ws && glow__is_training(ws) ? ws->memory + ws->plan.parameter_gradients : NULL;
}

enum { ZERO_BLOCK = 1 << 20 };

static void zero_block(void *arg, uint32_t task, uint32_t worker) {
  const glow_workspace *ws = arg;
  int64_t first = (int64_t)task * ZERO_BLOCK, left = ws->model->parameter_count - first;
  (void)worker;
  memset(ws->memory + ws->plan.parameter_gradients + first, 0,
         (size_t)(left < ZERO_BLOCK ? left : ZERO_BLOCK) * sizeof(float));
}

glow_status glow_workspace_zero_gradients(glow_workspace *ws) {
  float *gradients = glow_workspace_gradients(ws);
  if (!gradients)
    return glow_error(GLOW_E_STATE, "the workspace has no gradients: it is for inference");
  int64_t blocks = (ws->model->parameter_count + ZERO_BLOCK - 1) / ZERO_BLOCK;
  glow__run(ws->model->context, (uint32_t)blocks, zero_block, ws);
  glow__running_clear(ws);
  return GLOW_OK;
}

/* ---- checks that every pass makes ------------------------------------------------------------ */

glow_status glow__check_ready(const glow_model *model) {
  if (!model->prepared)
    return glow_error(GLOW_E_STATE, "parameters have changed: call glow_model_prepare first");
  if (!model->initialised)
    return glow_error(GLOW_E_STATE, "the model is not initialised: its actnorms have had no data "
                                    "(glow_workspace_initialise)");
  return GLOW_OK;
}

glow_status glow__check_batch(const glow_workspace *ws, int64_t count) {
  if (count < 1 || count > ws->plan.batch)
    return glow_error(GLOW_E_ARGUMENT, "a batch of %lld samples; the workspace takes 1 to %lld",
                      (long long)count, (long long)ws->plan.batch);
  return GLOW_OK;
}

glow_status glow__check_finite(const glow_model *model, const char *what, const float *x,
                               int64_t count) {
  for (int64_t i = 0; i < count * model->dims; i++)
    if (!isfinite(x[i]))
      return glow_error(GLOW_E_NUMERIC, "%s: element %lld of sample %lld is not finite", what,
                        (long long)(i % model->dims), (long long)(i / model->dims));
  return GLOW_OK;
}

glow_status glow_workspace_set_context(glow_workspace *ws, const float *context, int64_t count,
                                       int64_t size) {
  if (!ws)
    return glow_error(GLOW_E_ARGUMENT, "glow_workspace_set_context: NULL argument");
  if (context && !ws->model->context_size)
    return glow_error(GLOW_E_ARGUMENT, "the model takes no context");
  if (context && size != ws->model->context_size)
    return glow_error(GLOW_E_SHAPE, "a context of %lld numbers; the model takes %lld",
                      (long long)size, (long long)ws->model->context_size);
  if (context ? count < 1 : count != 0)
    return glow_error(GLOW_E_ARGUMENT, "%lld context vectors%s", (long long)count,
                      context ? "; 1 or more are needed" : ", and no memory for them");
  ws->context = context;
  ws->context_count = count;
  return GLOW_OK;
}

glow_status glow__check_context(const glow_workspace *ws, int64_t count) {
  int64_t size = ws->model->context_size;
  if (!size)
    return GLOW_OK;
  if (!ws->context)
    return glow_error(GLOW_E_ARGUMENT,
                      "the model needs a context of %lld numbers for each sample "
                      "(glow_workspace_set_context)",
                      (long long)size);
  if (ws->context_count != 1 && ws->context_count < count)
    return glow_error(GLOW_E_ARGUMENT, "%lld context vectors for %lld samples",
                      (long long)ws->context_count, (long long)count);
  for (int64_t i = 0; i < (ws->context_count == 1 ? 1 : count) * size; i++)
    if (!isfinite(ws->context[i]))
      return glow_error(GLOW_E_NUMERIC, "context: element %lld of sample %lld is not finite",
                        (long long)(i % size), (long long)(i / size));
  return GLOW_OK;
}

glow_status glow__check_labels(const glow_model *model, const int32_t *labels, int64_t count,
                               int32_t form) {
  bool needs_class = model->needs_class || form == GLOW_LATENTS_WHITENED;
  if (!model->classes)
    return GLOW_OK;
  if (!labels)
    return glow_error(GLOW_E_ARGUMENT, "the model has %d classes and needs labels", model->classes);
  for (int64_t i = 0; i < count; i++) {
    if (labels[i] < -1 || labels[i] >= model->classes)
      return glow_error(GLOW_E_ARGUMENT, "label of sample %lld is %d; classes are 0 to %d",
                        (long long)i, labels[i], model->classes - 1);
    if (labels[i] == -1 && needs_class)
      return glow_error(GLOW_E_ARGUMENT,
                        "label of sample %lld is -1, class unknown: %s needs one of 0 to %d",
                        (long long)i, model->needs_class ? "a layer" : "the law of its latents",
                        model->classes - 1);
  }
  return GLOW_OK;
}
