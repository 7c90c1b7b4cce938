/* The plan of a workspace: where in its one block everything is that passes use, given the model,
 * the batch and the mode; and, with GLOW_MODE_BUDGET, which layers are stored.
 * SPDX-License-Identifier: MIT */
#include "host/workspace.h"

static int64_t max64(int64_t a, int64_t b) {
  return a > b ? a : b;
}

/* Reserves `floats` at the end of the block, aligned. False: overflow. */
static bool plan_place(glow__plan *plan, int64_t floats, int64_t *offset) {
  const int64_t unit = GLOW_ALIGN / (int64_t)sizeof(float);
  *offset = plan->total;
  return glow_size_add(plan->total, floats, &plan->total) &&
         glow_size_add(plan->total, unit - 1, &plan->total) &&
         (plan->total = plan->total / unit * unit) < INT64_MAX / 16;
}

static bool place_samples(glow__plan *plan, int64_t per_sample, int64_t *offset) {
  int64_t floats = 0;
  return glow_size_multiply(per_sample, plan->batch, &floats) && plan_place(plan, floats, offset);
}

/* Scratch of one node: of the call, or of each worker if the node runs by samples. */
static bool node_scratch(const glow__plan *plan, const glow__node *node, int64_t *call,
                         int64_t *worker) {
  bool training = plan->mode != GLOW_MODE_INFERENCE;
  bool by_tasks = glow__by_tasks(node);
  int64_t capacity = by_tasks ? plan->batch : glow__block_samples(node, plan->batch);
  return glow__regions_size(&node->worker, 0, true, worker) &&
         glow__regions_size(&node->scratch, capacity, training, call) &&
         (by_tasks || glow_size_add(*worker, *call, worker)) && (by_tasks || (*call = 0, true));
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
  return plan_place(plan, call, &plan->scratch) &&
         glow_size_multiply(worker, plan->workers, &worker) &&
         plan_place(plan, worker, &plan->worker_scratch);
}

/* Packed regions of all nodes. offsets: NULL if only the size is wanted. */
static bool plan_place_packed(const glow_model *model, glow__plan *plan, int64_t *offsets) {
  bool training = plan->mode != GLOW_MODE_INFERENCE;
  for (int32_t i = 0; plan->cache_packed && i < model->node_count; i++) {
    int64_t floats = 0, offset = 0;
    if (!glow__packed_regions(&model->nodes[i], training, &floats) ||
        !plan_place(plan, floats, &offset))
      return false;
    if (offsets)
      offsets[i] = offset;
  }
  return true;
}

/* Is node i to be stored? store: which nodes are; NULL: the mode decides. */
static bool plan_is_stored(const glow__plan *plan, const unsigned char *store, int32_t i) {
  return store ? store[i] : plan->mode == GLOW_MODE_STORED;
}

/* The input of node i, which is needed if node i is stored, and as output if node i - 1 is. */
static bool place_input(const glow_model *model, glow__plan *plan, const unsigned char *store,
                        int32_t i, int64_t *offset) {
  *offset = -1;
  if (i == 0 || plan_is_stored(plan, store, i) || plan_is_stored(plan, store, i - 1))
    return place_samples(plan, model->nodes[i].in_size, offset);
  return true;
}

/* Activations that forward stores for backward, and room for those of one layer that is not stored.
 * */
static bool place_stored(const glow_model *model, glow__plan *plan, const unsigned char *store,
                         int64_t *inputs, int64_t *stored) {
  int64_t largest = 0;
  for (int32_t i = 0; i < model->node_count; i++) {
    const glow__node *node = &model->nodes[i];
    int64_t floats = 0, input = -1, offset = -1;
    bool store_it = plan_is_stored(plan, store, i);
    if (!glow__regions_size(&node->stored, plan->batch, true, &floats) ||
        !place_input(model, plan, store, i, &input) ||
        (store_it && !plan_place(plan, floats, &offset)))
      return false;
    if (i == 0)
      plan->input = input;
    if (store_it)
      plan->stored_count++;
    else
      largest = max64(largest, floats);
    if (!store_it && !glow__reconstructs(node))
      plan->needs_spare = true;
    if (inputs) {
      inputs[i] = input;
      stored[i] = offset;
    }
  }
  return plan_place(plan, largest, &plan->stored);
}

/* States from which layers are run again once reconstruction has drifted. */
static bool place_slots(const glow_model *model, glow__plan *plan, double drift_bound) {
  int64_t floats = 0;
  if (plan->stored_count < model->node_count && drift_bound > 0)
    plan->slot_count = glow__recompute_slots(model->node_count);
  return glow_size_multiply(plan->state, plan->batch, &floats) &&
         glow__aligned(floats, &plan->slot_stride) &&
         glow_size_multiply(plan->slot_stride, plan->slot_count, &floats) &&
         plan_place(plan, floats, &plan->slots);
}

static bool place_training(const glow_model *model, glow__plan *plan) {
  int64_t stride = 0, unused = 0;
  for (int32_t i = 0; i < model->node_count; i++) {
    const glow__node *node = &model->nodes[i];
    if (plan->inputs_only && glow__skips_gradients(node))
      continue;
    if (!glow__by_tasks(node))
      stride = max64(stride, node->parameters);
    unused = max64(unused, node->parameters);
  }
  int64_t observed = plan->inputs_only ? 0 : model->observed_count;
  plan->block_stride = stride;
  return place_samples(plan, plan->state, &plan->gradients_x[0]) &&
         place_samples(plan, plan->state, &plan->gradients_x[1]) &&
         place_samples(plan, plan->needs_spare ? plan->state : 0, &plan->spare) &&
         glow_size_multiply(stride, GLOW_MAX_BLOCKS, &stride) &&
         plan_place(plan, stride, &plan->block_gradients) &&
         plan_place(plan, plan->inputs_only ? unused : model->parameter_count,
                    &plan->parameter_gradients) &&
         plan_place(plan, plan->inverse_backward ? glow__iterate_floats(model, plan->batch) : 0,
                    &plan->iteration) &&
         plan_place(plan, observed, &plan->observed) &&
         plan_place(plan, 2 * observed, &plan->observed_sum);
}

/* Offsets for each node; NULL if only sizes are wanted. */
typedef struct tables {
  int64_t *inputs, *stored, *packed;
} tables;

/* store: which nodes are stored; NULL: the mode decides. */
static glow_status plan_make_plan(const glow_model *model, const glow_workspace_options *o,
                                  uint32_t workers, const unsigned char *store, glow__plan *plan,
                                  const tables *t) {
  *plan = (glow__plan){.batch = o->batch,
                       .mode = o->mode,
                       .workers = workers,
                       .cache_packed = o->cache_packed == 1,
                       .inputs_only = o->inputs_only == 1,
                       .inverse_backward = o->inverse_backward == 1};
  plan->state = model->dims; /* no layer makes more elements than it is given */
  bool training = o->mode != GLOW_MODE_INFERENCE;
  bool ok =
      place_samples(plan, plan->state, &plan->states[0]) &&
      place_samples(plan, plan->state, &plan->states[1]) &&
      place_samples(plan, model->dims, &plan->latents) && place_samples(plan, 2, &plan->logdet) &&
      place_samples(plan, 2, &plan->logprior) &&
      place_samples(plan, model->logits, &plan->logits) &&
      place_samples(plan, training ? 2 : 0, &plan->weight_logdet) &&
      place_samples(plan, training ? 2 : 0, &plan->weight_logprior) && place_scratch(model, plan) &&
      plan_place_packed(model, plan, t->packed) &&
      (!training || (place_stored(model, plan, store, t->inputs, t->stored) &&
                     place_slots(model, plan, o->drift_bound) && place_training(model, plan)));
  if (!ok)
    return glow_error(GLOW_E_LIMIT, "a workspace for batches of %lld is too large",
                      (long long)o->batch);
  return GLOW_OK;
}

/* The handle and its tables come before the floats. */
size_t glow__plan_header(const glow_model *model, const glow__plan *plan) {
  size_t offsets = (plan->stored_count ? 2 : 0) + (plan->cache_packed ? 1 : 0);
  size_t table_bytes = offsets * (size_t)model->node_count * sizeof(int64_t);
  size_t labels_and_statuses = (size_t)plan->batch * (model->classes ? 2 : 1) * sizeof(int32_t);
  size_t size = sizeof(glow_workspace) + table_bytes + labels_and_statuses;
  return (size + GLOW_ALIGN - 1) / GLOW_ALIGN * GLOW_ALIGN;
}

uint64_t glow__plan_bytes(const glow_model *model, const glow__plan *plan) {
  return glow__plan_header(model, plan) + (uint64_t)plan->total * sizeof(float);
}

/* ---- which nodes are stored ------------------------------------------------------------------ */

static bool any_dear(const glow_model *model) {
  for (int32_t i = 0; i < model->node_count; i++)
    if (glow__inverse_is_dear(&model->nodes[i]))
      return true;
  return false;
}

/* Nodes with an expensive inverse are stored in any case. */
static void store_dear(const glow_model *model, unsigned char *store) {
  for (int32_t i = 0; i < model->node_count; i++)
    store[i] = glow__inverse_is_dear(&model->nodes[i]);
}

/* Within the budget. Counted for at least this many workers, so that up to as many the choice, and
 * with it every bit of the gradients, is the same. */
enum { BUDGET_WORKERS = 16 };

static glow_status plan_choose(const glow_model *model, const glow_workspace_options *o,
                               unsigned char *store) {
  uint32_t workers = glow_context_workers(model->context);
  uint32_t counted = workers > BUDGET_WORKERS ? workers : BUDGET_WORKERS;
  int64_t unit = (int64_t)sizeof(float);
  glow__plan plan;
  store_dear(model, store);
  GLOW_TRY(plan_make_plan(model, o, workers, store, &plan, &(tables){0}));
  if (glow__plan_bytes(model, &plan) > o->memory_budget)
    return glow_error(GLOW_E_LIMIT,
                      "memory_budget is %llu bytes; batches of %lld of this model need at least "
                      "%llu",
                      (unsigned long long)o->memory_budget, (long long)o->batch,
                      (unsigned long long)glow__plan_bytes(model, &plan));
  memset(store, 1, (size_t)model->node_count);
  if (plan_make_plan(model, o, counted, store, &plan, &(tables){0}) == GLOW_OK &&
      glow__plan_bytes(model, &plan) <= o->memory_budget)
    return GLOW_OK;
  uint64_t header = glow__plan_header(
      model,
      &(glow__plan){.batch = o->batch, .stored_count = 1, .cache_packed = o->cache_packed == 1});
  store_dear(model, store);
  GLOW_TRY(plan_make_plan(model, o, counted, store, &plan, &(tables){0}));
  if (o->memory_budget / (uint64_t)unit > (uint64_t)INT64_MAX / 16)
    return glow__choose_stored(model, o->batch, plan.total, INT64_MAX / 16, store);
  int64_t room = (int64_t)((o->memory_budget - (header < o->memory_budget ? header : 0)) / unit);
  return room > plan.total ? glow__choose_stored(model, o->batch, plan.total, room, store)
                           : GLOW_OK;
}

glow_status glow__plan_make(const glow_model *model, const glow_workspace_options *o,
                            glow__plan *plan, unsigned char **store) {
  *store = NULL;
  if (o->mode == GLOW_MODE_BUDGET || (o->mode == GLOW_MODE_RECONSTRUCTED && any_dear(model))) {
    *store = glow_allocate(model->context, (size_t)model->node_count + 1);
    if (!*store)
      return GLOW_E_MEMORY;
    if (o->mode == GLOW_MODE_BUDGET)
      GLOW_TRY(plan_choose(model, o, *store));
    else
      store_dear(model, *store);
  }
  return plan_make_plan(model, o, glow_context_workers(model->context), *store, plan, &(tables){0});
}

void glow__plan_place(const glow_workspace_options *o, const unsigned char *store, uint32_t workers,
                      glow_workspace *ws) {
  const tables t = {ws->inputs, ws->stored, ws->packed};
  plan_make_plan(ws->model, o, workers, store, &ws->plan, &t);
}
