/* glow_workspace: its options, its life, and questions about it. SPDX-License-Identifier: MIT */
#include <math.h>

#include "host/workspace.h"

static const glow_choice modes[] = {{GLOW_MODE_INFERENCE, 0, "inference"},
                                    {GLOW_MODE_STORED, 0, "stored"},
                                    {GLOW_MODE_RECONSTRUCTED, 0, "reconstructed"},
                                    {GLOW_MODE_BUDGET, 0, "budget"},
                                    {0, 0, NULL}};

static const glow_option rows[] = {
    GLOW_OPTION(glow_workspace_options, batch, INT64, .low = 1, .high = 0x1p62, .fallback = 1),
    GLOW_OPTION(glow_workspace_options, mode, CHOICE, .choices = modes, .prefix = "GLOW_MODE_",
                .fallback = GLOW_MODE_INFERENCE),
    GLOW_OPTION(glow_workspace_options, cache_packed, INT32, .high = 1),
    GLOW_OPTION(glow_workspace_options, memory_budget, UINT64),
    GLOW_OPTION(glow_workspace_options, drift_bound, REAL, .high = 1e300, .fallback = 1e-3),
    GLOW_OPTION(glow_workspace_options, inputs_only, INT32, .high = 1),
    GLOW_OPTION(glow_workspace_options, inverse_backward, INT32, .high = 1),
};
static const glow_options_table table = {GLOW_OPTIONS_TABLE(glow_workspace_options, rows)};

static glow_status workspace_read_options(const glow_model *model,
                                          const glow_workspace_options *from,
                                          glow_workspace_options *o) {
  if (!model)
    return glow_error(GLOW_E_ARGUMENT, "a workspace needs a model");
  GLOW_TRY(glow_options_read(&table, from, o));
  if (o->mode != GLOW_MODE_INFERENCE && model->inference_only)
    return glow_error(GLOW_E_STATE,
                      "a layer of the model has no backward: mode is %d; it must be "
                      "GLOW_MODE_INFERENCE (%d)",
                      (int)o->mode, GLOW_MODE_INFERENCE);
  if (o->mode != GLOW_MODE_INFERENCE && model->is_inference_form && !o->inputs_only)
    return glow_error(GLOW_E_STATE, "an inference form has gradients of its inputs alone: set "
                                    "inputs_only, or use the model that it was made from");
  if (o->mode == GLOW_MODE_INFERENCE && (o->inputs_only || o->inverse_backward))
    return glow_error(GLOW_E_ARGUMENT,
                      "%s is 1, and mode is GLOW_MODE_INFERENCE, which has no backward: choose "
                      "GLOW_MODE_STORED or another",
                      o->inputs_only ? "inputs_only" : "inverse_backward");
  if ((o->mode == GLOW_MODE_BUDGET) != (o->memory_budget != 0))
    return glow_error(
        GLOW_E_ARGUMENT,
        "memory_budget is %llu; it must be above 0 in GLOW_MODE_BUDGET and 0 in other modes",
        (unsigned long long)o->memory_budget);
  return GLOW_OK;
}

glow_status glow_workspace_plan_bytes(const glow_model *model,
                                      const glow_workspace_options *options, uint64_t *out) {
  glow_workspace_options o;
  glow__plan plan;
  unsigned char *store = NULL;
  if (!out)
    return glow_error(GLOW_E_ARGUMENT, "glow_workspace_plan_bytes: NULL argument");
  *out = 0;
  GLOW_LIVE(model, MODEL);
  GLOW_TRY(workspace_read_options(model, options, &o));
  glow_status status = glow__plan_make(model, &o, &plan, &store);
  glow_release(model->context, store);
  if (status == GLOW_OK)
    *out = glow__plan_bytes(model, &plan);
  return status;
}

static void workspace_fill(const glow_model *model, const glow_workspace_options *o,
                           const glow__plan *plan, const unsigned char *store, glow_workspace *ws) {
  unsigned char *block = (unsigned char *)ws;
  int64_t *offsets = (int64_t *)(ws + 1);
  ws->context = model->context;
  ws->model = glow__model_hold(model);
  ws->drift_bound = o->drift_bound;
  ws->bytes = glow__plan_bytes(model, plan);
  if (plan->stored_count) {
    ws->inputs = offsets;
    ws->stored = offsets + model->node_count;
    offsets += 2 * model->node_count;
  }
  if (plan->cache_packed) {
    ws->packed = offsets;
    offsets += model->node_count;
  }
  ws->statuses = (int32_t *)offsets;
  ws->label_copy = ws->statuses + plan->batch;
  ws->memory = (float *)(void *)(block + glow__plan_header(model, plan));
  glow__plan_place(o, store, plan->workers, ws);
}

glow_status glow_workspace_create(const glow_model *model, const glow_workspace_options *options,
                                  glow_workspace **out) {
  glow_workspace_options o;
  glow__plan plan;
  unsigned char *store = NULL;
  if (!out)
    return glow_error(GLOW_E_ARGUMENT, "glow_workspace_create: NULL argument");
  *out = NULL;
  GLOW_LIVE(model, MODEL);
  GLOW_TRY(workspace_read_options(model, options, &o));
  glow_status status = glow__plan_make(model, &o, &plan, &store);
  if (status == GLOW_OK) {
    *out = glow__allocate_spread(model->context, (size_t)glow__plan_bytes(model, &plan));
    if (*out) {
      workspace_fill(model, &o, &plan, store, *out);
      glow__live_add(*out, GLOW_LIVE_WORKSPACE);
    } else
      status = GLOW_E_MEMORY;
  }
  glow_release(model->context, store);
  return status;
}

glow_status glow_workspace_cancel(glow_workspace *ws, int32_t cancel) {
  GLOW_LIVE(ws, WORKSPACE);
  if (!ws || (cancel != 0 && cancel != 1))
    return glow_error(GLOW_E_ARGUMENT,
                      "glow_workspace_cancel: no workspace, or cancel is not 0 or 1");
  __atomic_store_n(&ws->cancel, cancel, __ATOMIC_RELAXED);
  return GLOW_OK;
}

void glow_workspace_destroy(glow_workspace **workspace) {
  if (!workspace || !*workspace)
    return;
  GLOW_LIVE_END(*workspace, WORKSPACE);
  const glow_model *model = (*workspace)->model;
  glow_release((*workspace)->context, *workspace);
  glow__model_drop(model);
  *workspace = NULL;
}

const glow_model *glow__workspace_model(const glow_workspace *workspace) {
  return workspace->model;
}

uint64_t glow_workspace_bytes(const glow_workspace *ws) {
  GLOW_LIVE_OR(ws, WORKSPACE, 0);
  return ws ? ws->bytes : 0;
}

glow_status glow_workspace_get_info(const glow_workspace *ws, glow_workspace_info *out) {
  GLOW_LIVE(ws, WORKSPACE);
  if (!ws || !out)
    return glow_error(GLOW_E_ARGUMENT, "glow_workspace_get_info: NULL argument");
  const glow_workspace_info info = {sizeof info,    ws->bytes, ws->plan.stored_count,
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
  GLOW_LIVE_OR(ws, WORKSPACE, NULL);
  return ws && glow__is_training(ws) && !ws->plan.inputs_only
             ? ws->memory + ws->plan.parameter_gradients
             : NULL;
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
  GLOW_LIVE(ws, WORKSPACE);
  float *gradients = glow_workspace_gradients(ws);
  if (!gradients)
    return glow_error(GLOW_E_STATE, "the workspace has no gradients of parameters: it is for "
                                    "inference, or made with inputs_only");
  int64_t blocks = (ws->model->parameter_count + ZERO_BLOCK - 1) / ZERO_BLOCK;
  glow_context_run(ws->model->context, (uint32_t)blocks, zero_block, ws);
  glow__running_clear(ws);
  return GLOW_OK;
}

glow_status glow_workspace_set_condition(glow_workspace *ws, const float *condition, int64_t count,
                                         int64_t size) {
  GLOW_LIVE(ws, WORKSPACE);
  if (!ws)
    return glow_error(GLOW_E_ARGUMENT, "glow_workspace_set_condition: NULL argument");
  if (condition && !ws->model->condition_size)
    return glow_error(GLOW_E_ARGUMENT, "the model takes no condition");
  if (condition && size != ws->model->condition_size)
    return glow_error(GLOW_E_SHAPE, "the condition has %lld elements; the model takes one of %lld",
                      (long long)size, (long long)ws->model->condition_size);
  if (condition ? count < 1 : count != 0)
    return glow_error(GLOW_E_ARGUMENT, "%lld conditions%s", (long long)count,
                      condition ? "; 1 or more are needed" : ", but condition is NULL");
  ws->condition = condition;
  ws->condition_count = count;
  return GLOW_OK;
}

void glow__workspace_conditions(const glow_workspace *ws, glow__conditions *out) {
  *out = (glow__conditions){ws->condition, ws->condition_count};
}

void glow__workspace_set_conditions(glow_workspace *ws, const glow__conditions *conditions) {
  ws->condition = conditions->condition;
  ws->condition_count = conditions->count;
}

void glow__workspace_set_held(glow_workspace *ws, const unsigned char *held) {
  ws->held = held;
}

void glow__workspace_set_final(glow_workspace *ws, glow__final_fn fn, void *payload) {
  ws->final = fn;
  ws->final_payload = payload;
}

void glow__workspace_set_base(glow_workspace *ws, int64_t base) {
  ws->base = base;
}
