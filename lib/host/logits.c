/* Logits of classes: from data, through the layers before the one that has them, or from latents,
 * back through the layers after it. SPDX-License-Identifier: MIT */
#include <string.h>

#include "host/outcome.h"
#include "host/run.h"

static int32_t head_of(const glow_model *model) {
  int32_t i = 0;
  while (i < model->node_count && !model->nodes[i].logits)
    i++;
  return i;
}

static glow_status logits_check(const glow_workspace *ws, const float *from, const int32_t *labels,
                                int64_t count, int32_t form, const float *logits) {
  if (!ws || !from || !logits)
    return glow_error(GLOW_E_ARGUMENT, "classification: NULL argument");
  if (!ws->model->logits)
    return glow_error(GLOW_E_STATE, "the model has no classifier");
  GLOW_TRY(glow__check_count(ws, count));
  GLOW_TRY(glow__check_ready(ws->model));
  if (labels || ws->model->needs_class || form == GLOW_LATENTS_WHITENED)
    GLOW_TRY(glow__check_labels(ws->model, ws->base, labels, count, form));
  return glow__check_condition(ws, count);
}

/* The caller's labels; without any, as many unknown ones. */
static const int32_t *labels_or_none(glow_workspace *ws, const int32_t *labels, int64_t count) {
  if (labels || !ws->model->classes)
    return labels;
  for (int64_t i = 0; i < count; i++)
    ws->label_copy[i] = -1;
  return ws->label_copy;
}

static void logits_begin(glow_workspace *ws, int32_t node, const int32_t *labels, int64_t count,
                         int32_t form, const float *latents, glow_call *call) {
  glow__call_begin(ws, &ws->model->nodes[node], count, labels, form, (float *)(uintptr_t)latents,
                   call);
}

static double *logits_logdets(const glow_workspace *ws) {
  return glow__doubles(ws, ws->plan.logdet);
}

static void mark_logits(glow_workspace *ws, int64_t count, float *logits) {
  double *none = logits_logdets(ws);
  memset(none, 0, (size_t)count * sizeof *none);
  int64_t n = glow__outcome_mark(ws, count, logits, ws->model->logits, none, NULL);
  if (n >= 0)
    glow__outcome_blame(ws, n, NULL);
  glow__outcome_blank(ws, count, logits, ws->model->logits);
  glow__outcome_hand_out(ws, count, NULL);
}

/* Logits from the input x of the layer that has them; NaN for samples that are not finite. */
static void logits_finish(glow_workspace *ws, const float *x, int64_t count, float *logits) {
  float *own = ws->memory + ws->plan.logits;
  glow_call call;
  logits_begin(ws, head_of(ws->model), NULL, count, GLOW_LATENTS_RAW, ws->memory + ws->plan.latents,
               &call);
  glow__node_logits(&call, x, own);
  ws->has_logits = true;
  mark_logits(ws, count, own);
  memcpy(logits, own, (size_t)(count * ws->model->logits) * sizeof *logits);
}

/* One batch. */
static glow_status from_data(glow_workspace *ws, const float *x, const int32_t *labels,
                             int64_t count, float *logits) {
  double *logprior = glow__doubles(ws, ws->plan.logprior);
  int32_t head = head_of(ws->model);
  labels = labels_or_none(ws, labels, count);
  for (int32_t i = 0; i < head; i++) {
    float *y = ws->memory + ws->plan.states[i & 1];
    glow_call call;
    GLOW_TRY(glow__check_cancelled(ws));
    logits_begin(ws, i, labels, count, GLOW_LATENTS_RAW, ws->memory + ws->plan.latents, &call);
    glow__node_forward(&call, x, y, logits_logdets(ws), logprior);
    x = y;
  }
  logits_finish(ws, x, count, logits);
  return GLOW_OK;
}

glow_status glow_workspace_classify(glow_workspace *ws, const float *x, const int32_t *labels,
                                    int64_t count, float *logits) {
  GLOW_LIVE(ws, WORKSPACE);
  glow_status status = GLOW_OK;
  GLOW_TRY(logits_check(ws, x, labels, count, GLOW_LATENTS_RAW, logits));
  glow__warn_of_scale(ws, x, count);
  glow__outcome_begin(ws);
  for (int64_t first = 0; status == GLOW_OK && first < count; first += ws->plan.batch) {
    const float *batch = x + first * ws->model->dims;
    int64_t samples = glow__batch_at(ws, first, count);
    ws->first = first;
    glow__outcome_screen(ws, "input", batch, samples);
    status = from_data(ws, batch, labels ? labels + first : NULL, samples,
                       logits + first * ws->model->logits);
  }
  return status == GLOW_OK ? glow__outcome_end(ws, count, NULL, NULL, NULL)
                           : glow__outcome_stop(ws, status);
}

static glow_status from_latents(glow_workspace *ws, const float *latents, int32_t form,
                                const int32_t *labels, int64_t count, float *logits) {
  const float *y = NULL;
  int32_t head = head_of(ws->model);
  labels = labels_or_none(ws, labels, count);
  for (int32_t i = ws->model->node_count - 1; i >= head; i--) {
    float *x = ws->memory + ws->plan.states[i & 1];
    glow_call call;
    GLOW_TRY(glow__check_cancelled(ws));
    logits_begin(ws, i, labels, count, form, latents, &call);
    GLOW_TRY(glow__node_inverse(&call, y, x, logits_logdets(ws), NULL));
    y = x;
  }
  logits_finish(ws, y, count, logits);
  return GLOW_OK;
}

glow_status glow_workspace_classify_latents(glow_workspace *ws, const float *latents, int32_t form,
                                            const int32_t *labels, int64_t count, float *logits) {
  GLOW_LIVE(ws, WORKSPACE);
  glow_status status = GLOW_OK;
  GLOW_TRY(glow__check_form(&form));
  GLOW_TRY(logits_check(ws, latents, labels, count, form, logits));
  glow__outcome_begin(ws);
  for (int64_t first = 0; status == GLOW_OK && first < count; first += ws->plan.batch) {
    const float *batch = latents + first * ws->model->dims;
    int64_t samples = glow__batch_at(ws, first, count);
    ws->first = first;
    glow__outcome_screen(ws, "latents", batch, samples);
    status = from_latents(ws, batch, form, labels ? labels + first : NULL, samples,
                          logits + first * ws->model->logits);
  }
  return status == GLOW_OK ? glow__outcome_end(ws, count, NULL, NULL, NULL)
                           : glow__outcome_stop(ws, status);
}

const float *glow_workspace_logits(const glow_workspace *ws) {
  GLOW_LIVE_OR(ws, WORKSPACE, NULL);
  return ws && ws->has_logits ? ws->memory + ws->plan.logits : NULL;
}
