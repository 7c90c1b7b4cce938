/* Data-dependent initialisation: layer by layer, with all samples, in micro-batches.
 * SPDX-License-Identifier: MIT */
#include <math.h>
#include <string.h>

#include "host/outcome.h"
#include "host/run.h"

typedef struct initialisation {
  glow_workspace *ws;
  glow_model *model;
  const int32_t *labels;
  int64_t count;
  float *x; /* state of all samples, and room for the next one */
  float *y;
  void *state;
  float *backup; /* parameters and fixed state as they were */
} initialisation;

static bool is_held(const initialisation *in, int32_t tensor) {
  return in->ws->held && in->ws->held[tensor];
}

/* All that the node has is held. */
static bool node_is_held(const initialisation *in, const glow__node *node) {
  int32_t held = 0;
  for (int32_t i = 0; i < node->tensors; i++)
    held += is_held(in, node->first_tensor + i);
  return held && held == node->tensors;
}

/* Held tensors of a node whose others have got their first values. */
static void put_back_held(const initialisation *in, const glow__node *node) {
  glow_model *model = in->model;
  for (int32_t i = node->first_tensor; i < node->first_tensor + node->tensors; i++) {
    const glow__tensor *tensor = &model->tensors[i];
    int64_t before = tensor->trainable ? 0 : model->parameter_count; /* in the backup */
    char *now = tensor->trainable ? (char *)model->parameters : (char *)model->fixed;
    if (is_held(in, i))
      memcpy(now + tensor->offset * 4, in->backup + before + tensor->offset,
             (size_t)tensor->elements * 4);
  }
}

/* Number of samples that one call may have: the layer's regions have room for this many. */
static int64_t call_samples(const initialisation *in, const glow__node *node) {
  int64_t batch = in->ws->plan.batch;
  return glow__by_tasks(node) ? batch : glow__block_samples(node, batch);
}

static void initialise_begin(const initialisation *in, const glow__node *node, int64_t first,
                             int64_t samples, glow_call *call) {
  glow__call_begin(in->ws, node, samples, in->labels ? in->labels + first : NULL, GLOW_LATENTS_RAW,
                   in->ws->memory + in->ws->plan.latents, call);
  glow__call_skip(call, first);
  call->may_write = true;
  call->initialise_state = in->state;
  if (!glow__by_tasks(node)) { /* as in a block: worker 0's scratch */
    int64_t own = 0;
    glow__regions_size(&node->worker, 0, true, &own);
    call->scratch = call->worker_scratch + own;
    call->packed = NULL;
  }
}

static glow_status phase(const initialisation *in, const glow__node *node, int32_t round,
                         int32_t which, int64_t first, int64_t samples) {
  glow_call call;
  initialise_begin(in, node, first, samples, &call);
  const float *x = which == GLOW_INITIALISE_BATCH ? in->x + first * node->in_size : NULL;
  return node->layer->ops.initialise(node->layer->self, &call, round, which, x);
}

static glow_status one_round(const initialisation *in, const glow__node *node, int32_t round) {
  int64_t step = call_samples(in, node);
  memset(in->state, 0, node->round_bytes);
  GLOW_TRY(phase(in, node, round, GLOW_INITIALISE_BEGIN, 0, 0));
  for (int64_t first = 0; first < in->count; first += step) {
    int64_t samples = in->count - first < step ? in->count - first : step;
    GLOW_TRY(phase(in, node, round, GLOW_INITIALISE_BATCH, first, samples));
  }
  return phase(in, node, round, GLOW_INITIALISE_END, 0, 0);
}

/* Moves all samples through a node that has been initialised. */
static void advance(initialisation *in, const glow__node *node) {
  int64_t step = in->ws->plan.batch;
  double *ignored = glow__doubles(in->ws, in->ws->plan.logdet);
  for (int64_t first = 0; first < in->count; first += step) {
    int64_t samples = in->count - first < step ? in->count - first : step;
    glow_call call;
    glow__call_begin(in->ws, node, samples, in->labels ? in->labels + first : NULL,
                     GLOW_LATENTS_RAW, in->ws->memory + in->ws->plan.latents, &call);
    glow__call_skip(&call, first);
    glow__node_forward(&call, in->x + first * node->in_size,
                       node->out_size ? in->y + first * node->out_size : NULL, ignored, ignored);
  }
  float *x = in->x;
  in->x = in->y;
  in->y = x;
}

/* Why a layer did not get its values: names the first sample that is not finite where it goes
 * in. */
static glow_status initialise_failed(const initialisation *in, const glow__node *node,
                                     glow_status status) {
  int64_t size = node->in_size, n = 0;
  while (n < in->count && glow__finite_floats(in->x + n * size, size))
    n++;
  if (n == in->count)
    return glow__error_prefix(status, "layer '%s'", node->name);
  return glow__error_prefix(status, "layer '%s': what it is given of sample %lld is not finite",
                            node->name, (long long)n);
}

static glow_status through_layers(initialisation *in) {
  for (int32_t i = 0; i < in->model->node_count; i++) {
    const glow__node *node = &in->model->nodes[i];
    GLOW_TRY(glow__check_cancelled(in->ws));
    for (int32_t round = 0; !node_is_held(in, node) && round < node->rounds; round++) {
      glow_status status = one_round(in, node, round);
      if (status != GLOW_OK)
        return initialise_failed(in, node, status);
      put_back_held(in, node);
      GLOW_TRY(glow__node_prepare(in->model, node)); /* the next round uses the new values */
    }
    advance(in, node);
  }
  return GLOW_OK;
}

static size_t largest_state(const glow_model *model) {
  size_t largest = 1;
  for (int32_t i = 0; i < model->node_count; i++)
    if (model->nodes[i].round_bytes > largest)
      largest = model->nodes[i].round_bytes;
  return largest;
}

/* Bytes of parameters and fixed state. */
static size_t state_bytes(const glow_model *model) {
  return (size_t)(model->parameter_count + model->fixed_count) * 4 + 1;
}

static glow_status initialise(initialisation *in, const float *x, float *backup) {
  glow_model *model = in->model;
  size_t bytes = (size_t)model->parameter_count * sizeof(float);
  size_t fixed_bytes = (size_t)model->fixed_count * 4;
  memcpy(in->x, x, (size_t)(in->count * model->dims) * sizeof(float));
  in->backup = backup;
  memcpy(backup, model->parameters, bytes);
  memcpy(backup + model->parameter_count, model->fixed, fixed_bytes);
  glow_status status = through_layers(in);
  if (status == GLOW_OK)
    status = glow_model_prepare(model);
  if (status == GLOW_OK) {
    model->initialised = true;
    return GLOW_OK;
  }
  memcpy(model->parameters, backup, bytes);
  memcpy(model->fixed, backup + model->parameter_count, fixed_bytes);
  bool prepared = model->prepared;
  for (int32_t i = 0; i < model->node_count;
       i++) /* with their old values, which had succeeded before */
    if (glow__node_prepare(model, &model->nodes[i]) != GLOW_OK)
      prepared = false;
  model->prepared = prepared;
  model->version++;
  return status;
}

static glow_status initialise_check(glow_workspace *ws, const glow_model *model, const float *x,
                                    const int32_t *labels, int64_t count) {
  if (!ws || !model || !x)
    return glow_error(GLOW_E_ARGUMENT, "glow_workspace_initialise: NULL argument");
  if (ws->model != model)
    return glow_error(GLOW_E_ARGUMENT, "the workspace belongs to another model");
  if (model->is_inference_form)
    return glow_error(GLOW_E_STATE, "an inference form is initialised already");
  int64_t numbers = 0;
  if (count < 1 || !glow_size_multiply(count, model->dims, &numbers) || numbers > INT64_MAX / 64)
    return glow_error(GLOW_E_ARGUMENT, "%lld samples to initialise from; 1 or more are needed",
                      (long long)count);
  if (!model->prepared)
    return glow_error(GLOW_E_STATE, "parameters have changed: call glow_model_prepare first");
  GLOW_TRY(glow__check_labels(model, 0, labels, count, GLOW_LATENTS_RAW));
  GLOW_TRY(glow__check_conditions_finite(ws, count));
  return glow__check_finite(ws, x, count);
}

glow_status glow_workspace_initialise(glow_workspace *ws, glow_model *model, const float *x,
                                      const int32_t *labels, int64_t count) {
  GLOW_LIVE(ws, WORKSPACE);
  GLOW_LIVE(model, MODEL);
  GLOW_TRY(initialise_check(ws, model, x, labels, count));
  glow_context *context = model->context;
  size_t bytes = (size_t)(count * model->dims) * sizeof(float);
  initialisation in = {.ws = ws, .model = model, .labels = labels, .count = count};
  float *a = glow_allocate(context, bytes), *b = a ? glow_allocate(context, bytes) : NULL;
  in.x = a;
  in.y = b;
  in.state = b ? glow_allocate(context, largest_state(model)) : NULL;
  float *backup = in.state ? glow_allocate(context, state_bytes(model)) : NULL;
  glow_status status = GLOW_E_MEMORY;
  glow__warn_of_scale(ws, x, count);
  ws->samples = 0;
  if (backup)
    status = initialise(&in, x, backup);
  glow_release(context, backup);
  glow_release(context, in.state);
  glow_release(context, a);
  glow_release(context, b);
  return status;
}
