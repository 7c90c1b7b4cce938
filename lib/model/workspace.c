/* glow_workspace: plans all memory of a pass, and holds it. SPDX-License-Identifier: MIT */
#include <math.h>
#include <string.h>

#include "model/parts.h"

/* Of the options' first version: docs/abi.md. */
#define SMALLEST_OPTIONS offsetof(glow_workspace_options, memory_limit)

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

/* Packed regions of all nodes. offsets: NULL when only the size is wanted. */
static bool place_packed(const glow_model *model, glow__plan *plan, int64_t *offsets) {
  bool training = plan->mode != GLOW_MODE_INFERENCE;
  for (int32_t i = 0; plan->keep_packed && i < model->node_count; i++) {
    int64_t floats = 0, offset = 0;
    if (!glow__packed_regions(&model->nodes[i], training, &floats) || !place(plan, floats, &offset))
      return false;
    if (offsets)
      offsets[i] = offset;
  }
  return true;
}

/* May node i keep what it saves? keep: which nodes do; NULL: by the mode. */
static bool keeps(const glow__plan *plan, const unsigned char *keep, int32_t i) {
  return keep ? keep[i] : plan->mode == GLOW_MODE_STORED;
}

/* The input of node i, which it needs when it keeps what it saves, and node i - 1 as its output. */
static bool place_input(const glow_model *model, glow__plan *plan, const unsigned char *keep,
                        int32_t i, int64_t *offset) {
  *offset = -1;
  if (i == 0 || keeps(plan, keep, i) || keeps(plan, keep, i - 1))
    return place_samples(plan, model->nodes[i].in_size, offset);
  return true;
}

/* Activations that forward leaves for backward, and room for those of one layer that does not. */
static bool place_saved(const glow_model *model, glow__plan *plan, const unsigned char *keep,
                        int64_t *inputs, int64_t *saves) {
  int64_t largest = 0;
  for (int32_t i = 0; i < model->node_count; i++) {
    const glow__node *node = &model->nodes[i];
    int64_t saved = 0, input = -1, save = -1;
    bool kept = keeps(plan, keep, i);
    if (!glow__regions_size(&node->saved, plan->batch, true, &saved) ||
        !place_input(model, plan, keep, i, &input) || (kept && !place(plan, saved, &save)))
      return false;
    if (i == 0)
      plan->input = input;
    if (kept)
      plan->kept++;
    else
      largest = max64(largest, saved);
    if (!kept && !(node->layer->ops.flags & GLOW_LAYER_RECONSTRUCTS))
      plan->needs_spare = true;
    if (inputs) {
      inputs[i] = input;
      saves[i] = save;
    }
  }
  return place(plan, largest, &plan->saved);
}

/* States from which layers are run again when reconstruction drifts. */
static bool place_slots(const glow_model *model, glow__plan *plan, double drift_bound) {
  int64_t floats = 0;
  if (plan->kept < model->node_count && drift_bound > 0)
    plan->slot_count = glow__recompute_slots(model->node_count);
  return glow__mul(plan->state, plan->batch, &floats) &&
         glow__aligned(floats, &plan->slot_stride) &&
         glow__mul(plan->slot_stride, plan->slot_count, &floats) &&
         place(plan, floats, &plan->slots);
}

static bool place_training(const glow_model *model, glow__plan *plan) {
  int64_t stride = 0;
  for (int32_t i = 0; i < model->node_count; i++) {
    const glow__node *node = &model->nodes[i];
    if (!glow__by_tasks(node))
      stride = max64(stride, node->parameters);
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

/* Offsets for each node; NULL: only sizes are wanted. */
typedef struct tables {
  int64_t *inputs, *saves, *packed;
} tables;

/* keep: which nodes keep what they save; NULL: by the mode. */
static glow_status make_plan(const glow_model *model, const glow_workspace_options *o,
                             uint32_t workers, const unsigned char *keep, glow__plan *plan,
                             const tables *t) {
  *plan = (glow__plan){
      .batch = o->batch, .mode = o->mode, .workers = workers, .keep_packed = o->keep_packed == 1};
  plan->state = model->dims; /* no layer makes more numbers than it is given */
  bool training = o->mode != GLOW_MODE_INFERENCE;
  bool ok =
      place_samples(plan, plan->state, &plan->states[0]) &&
      place_samples(plan, plan->state, &plan->states[1]) &&
      place_samples(plan, model->dims, &plan->latents) && place_samples(plan, 2, &plan->logdet) &&
      place_samples(plan, 2, &plan->logprior) &&
      place_samples(plan, model->logits, &plan->logits) &&
      place_samples(plan, training ? 2 : 0, &plan->weight_logdet) &&
      place_samples(plan, training ? 2 : 0, &plan->weight_logprior) && place_scratch(model, plan) &&
      place_packed(model, plan, t->packed) &&
      (!training || (place_saved(model, plan, keep, t->inputs, t->saves) &&
                     place_slots(model, plan, o->drift_bound) && place_training(model, plan)));
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
  GLOW_TRY(glow__options_copy(o, sizeof *o, from, SMALLEST_OPTIONS, "glow_workspace_options"));
  if (o->batch < 1)
    return glow_error(GLOW_E_ARGUMENT, "batch is %lld; it must be 1 or more", (long long)o->batch);
  if (o->keep_packed != 0 && o->keep_packed != 1)
    return glow_error(GLOW_E_ARGUMENT, "keep_packed is %d, neither 0 nor 1", o->keep_packed);
  if (o->mode < GLOW_MODE_INFERENCE || o->mode > GLOW_MODE_FIT)
    return glow_error(GLOW_E_ARGUMENT, "mode is %d; it must be one of GLOW_MODE_...", o->mode);
  if (o->mode != GLOW_MODE_INFERENCE && model->inference_only)
    return glow_error(GLOW_E_STATE,
                      "the model is for inference alone: mode is %d, and only "
                      "GLOW_MODE_INFERENCE will do",
                      o->mode);
  if ((o->mode == GLOW_MODE_FIT) != (o->memory_limit != 0))
    return glow_error(GLOW_E_ARGUMENT,
                      "memory_limit is %llu; GLOW_MODE_FIT needs one, and no other mode has one",
                      (unsigned long long)o->memory_limit);
  if (!isfinite(o->drift_bound) || o->drift_bound < 0)
    return glow_error(GLOW_E_ARGUMENT, "drift_bound is %g; it must be 0 or more", o->drift_bound);
  return GLOW_OK;
}

/* The handle and its tables lie in front of the floats. */
static size_t header_size(const glow_model *model, const glow__plan *plan) {
  size_t offsets = (plan->kept ? 2 : 0) + (plan->keep_packed ? 1 : 0);
  size_t table_bytes = offsets * (size_t)model->node_count * sizeof(int64_t);
  size_t labels = model->classes ? (size_t)plan->batch * sizeof(int32_t) : 0;
  size_t size = sizeof(glow_workspace) + table_bytes + labels;
  return (size + GLOW_ALIGN - 1) / GLOW_ALIGN * GLOW_ALIGN;
}

static uint64_t whole_size(const glow_model *model, const glow__plan *plan) {
  return header_size(model, plan) + (uint64_t)plan->total * sizeof(float);
}

/* Which nodes keep what they save within the limit. Counted for so many workers at least, so that
 * on as many the choice, and with it every bit of the gradients, is the same. */
enum { FIT_WORKERS = 16 };

static glow_status choose(const glow_model *model, const glow_workspace_options *o,
                          unsigned char *keep) {
  uint32_t workers = glow_context_workers(model->context);
  uint32_t counted = workers > FIT_WORKERS ? workers : FIT_WORKERS;
  int64_t unit = (int64_t)sizeof(float);
  glow__plan plan;
  memset(keep, 0, (size_t)model->node_count);
  GLOW_TRY(make_plan(model, o, workers, keep, &plan, &(tables){0}));
  if (whole_size(model, &plan) > o->memory_limit)
    return glow_error(GLOW_E_LIMIT,
                      "memory_limit is %llu bytes; batches of %lld of this model need at least "
                      "%llu",
                      (unsigned long long)o->memory_limit, (long long)o->batch,
                      (unsigned long long)whole_size(model, &plan));
  memset(keep, 1, (size_t)model->node_count);
  if (make_plan(model, o, counted, keep, &plan, &(tables){0}) == GLOW_OK &&
      whole_size(model, &plan) <= o->memory_limit)
    return GLOW_OK;
  uint64_t header = header_size(
      model, &(glow__plan){.batch = o->batch, .kept = 1, .keep_packed = o->keep_packed == 1});
  memset(keep, 0, (size_t)model->node_count);
  GLOW_TRY(make_plan(model, o, counted, keep, &plan, &(tables){0}));
  if (o->memory_limit / (uint64_t)unit > (uint64_t)INT64_MAX / 16)
    return glow__fit(model, o->batch, plan.total, INT64_MAX / 16, keep);
  int64_t room = (int64_t)((o->memory_limit - (header < o->memory_limit ? header : 0)) / unit);
  return room > plan.total ? glow__fit(model, o->batch, plan.total, room, keep) : GLOW_OK;
}

/* *keep is for the caller to release: NULL but under GLOW_MODE_FIT. */
static glow_status plan_size(const glow_model *model, const glow_workspace_options *o,
                             glow__plan *plan, unsigned char **keep) {
  *keep = NULL;
  if (o->mode == GLOW_MODE_FIT) {
    *keep = glow_allocate(model->context, (size_t)model->node_count + 1);
    if (!*keep)
      return GLOW_E_MEMORY;
    GLOW_TRY(choose(model, o, *keep));
  }
  return make_plan(model, o, glow_context_workers(model->context), *keep, plan, &(tables){0});
}

glow_status glow_workspace_bytes(const glow_model *model, const glow_workspace_options *options,
                                 uint64_t *out) {
  glow_workspace_options o;
  glow__plan plan;
  unsigned char *keep = NULL;
  if (!out)
    return glow_error(GLOW_E_ARGUMENT, "glow_workspace_bytes: NULL argument");
  *out = 0;
  GLOW_TRY(read_options(model, options, &o));
  glow_status status = plan_size(model, &o, &plan, &keep);
  glow_release(model->context, keep);
  if (status == GLOW_OK)
    *out = whole_size(model, &plan);
  return status;
}

static void fill(const glow_model *model, const glow_workspace_options *o, const glow__plan *plan,
                 const unsigned char *keep, glow_workspace *ws) {
  unsigned char *block = (unsigned char *)ws;
  int64_t *offsets = (int64_t *)(ws + 1);
  tables t = {0};
  ws->model = model;
  ws->drift_bound = o->drift_bound;
  ws->bytes = whole_size(model, plan);
  if (plan->kept) {
    ws->inputs = t.inputs = offsets;
    ws->saves = t.saves = offsets + model->node_count;
    offsets += 2 * model->node_count;
  }
  if (plan->keep_packed) {
    ws->packed = t.packed = offsets;
    offsets += model->node_count;
  }
  ws->label_copy = (int32_t *)offsets;
  ws->memory = (float *)(void *)(block + header_size(model, plan));
  make_plan(model, o, plan->workers, keep, &ws->plan, &t);
}

glow_status glow_workspace_create(const glow_model *model, const glow_workspace_options *options,
                                  glow_workspace **out) {
  glow_workspace_options o;
  glow__plan plan;
  unsigned char *keep = NULL;
  if (!out)
    return glow_error(GLOW_E_ARGUMENT, "glow_workspace_create: NULL argument");
  *out = NULL;
  GLOW_TRY(read_options(model, options, &o));
  glow_status status = plan_size(model, &o, &plan, &keep);
  if (status == GLOW_OK) {
    *out = glow_allocate(model->context, (size_t)whole_size(model, &plan));
    if (*out)
      fill(model, &o, &plan, keep, *out);
    else
      status = GLOW_E_MEMORY;
  }
  glow_release(model->context, keep);
  return status;
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
  return ws ? ws->bytes : 0;
}

glow_status glow_workspace_get_info(const glow_workspace *ws, glow_workspace_info *out) {
  if (!ws || !out)
    return glow_error(GLOW_E_ARGUMENT, "glow_workspace_get_info: NULL argument");
  const glow_workspace_info info = {sizeof info,    ws->bytes, ws->plan.kept,
                                    ws->recomputes, ws->drift, ws->largest_drift};
  return glow__struct_fill(out, &info, sizeof info, sizeof info, "glow_workspace_info");
}

bool glow__workspace_recomputes(const glow_workspace *ws) {
  return ws->recomputes;
}

bool glow__workspace_set_recomputes(glow_workspace *ws, bool recomputes) {
  if (recomputes && !ws->plan.slot_count)
    return false;
  ws->recomputes = recomputes;
  return true;
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
