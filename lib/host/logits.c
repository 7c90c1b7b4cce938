/* Logits of classes: from data, through the layers before the one that has them, or from latents,
 * back through the layers after it. SPDX-License-Identifier: MIT */
#include <string.h>

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
    GLOW_TRY(glow__check_labels(ws->model, labels, count, form));
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

static void logits_begin(const glow_workspace *ws, int32_t node, const int32_t *labels,
                         int64_t count, int32_t form, const float *latents, glow_call *call) {
  glow__call_begin(ws, &ws->model->nodes[node], count, labels, form, (float *)(uintptr_t)latents,
                   call);
}

static double *logits_logdets(const glow_workspace *ws) {
  return (double *)(void *)(ws->memory + ws->plan.logdet);
}

/* Logits from the input x of the layer that has them. */
static void logits_finish(glow_workspace *ws, const float *x, int64_t count, float *logits) {
  float *own = ws->memory + ws->plan.logits;
  glow_call call;
  logits_begin(ws, head_of(ws->model), NULL, count, GLOW_LATENTS_RAW, ws->memory + ws->plan.latents,
               &call);
  glow__node_logits(&call, x, own);
  ws->has_logits = true;
  memcpy(logits, own, (size_t)(count * ws->model->logits) * sizeof *logits);
}

/* One batch. */
static void from_data(glow_workspace *ws, const float *x, const int32_t *labels, int64_t count,
                      float *logits) {
  double *logprior = (double *)(void *)(ws->memory + ws->plan.logprior);
  int32_t head = head_of(ws->model);
  labels = labels_or_none(ws, labels, count);
  for (int32_t i = 0; i < head; i++) {
    float *y = ws->memory + ws->plan.states[i & 1];
    glow_call call;
    logits_begin(ws, i, labels, count, GLOW_LATENTS_RAW, ws->memory + ws->plan.latents, &call);
    glow__node_forward(&call, x, y, logits_logdets(ws), logprior);
    x = y;
  }
  logits_finish(ws, x, count, logits);
}

glow_status glow_workspace_classify(glow_workspace *ws, const float *x, const int32_t *labels,
                                    int64_t count, float *logits) {
  GLOW_TRY(logits_check(ws, x, labels, count, GLOW_LATENTS_RAW, logits));
  GLOW_TRY(glow__check_input(ws, x, count));
  ws->samples = 0;
  for (int64_t first = 0; first < count; first += ws->plan.batch) {
    ws->first = first;
    from_data(ws, x + first * ws->model->dims, labels ? labels + first : NULL,
              glow__batch_at(ws, first, count), logits + first * ws->model->logits);
  }
  ws->first = 0;
  return GLOW_OK;
}

static glow_status from_latents(glow_workspace *ws, const float *latents, int32_t form,
                                const int32_t *labels, int64_t count, float *logits) {
  const float *y = NULL;
  int32_t head = head_of(ws->model);
  labels = labels_or_none(ws, labels, count);
  for (int32_t i = ws->model->node_count - 1; i >= head; i--) {
    float *x = ws->memory + ws->plan.states[i & 1];
    glow_call call;
    logits_begin(ws, i, labels, count, form, latents, &call);
    GLOW_TRY(glow__node_inverse(&call, y, x, logits_logdets(ws)));
    y = x;
  }
  logits_finish(ws, y, count, logits);
  return GLOW_OK;
}

glow_status glow_workspace_classify_latents(glow_workspace *ws, const float *latents, int32_t form,
                                            const int32_t *labels, int64_t count, float *logits) {
  glow_status status = GLOW_OK;
  GLOW_TRY(glow__check_form(&form));
  GLOW_TRY(logits_check(ws, latents, labels, count, form, logits));
  GLOW_TRY(glow__check_finite(ws->model, "latents", latents, count));
  ws->samples = 0;
  for (int64_t first = 0; status == GLOW_OK && first < count; first += ws->plan.batch) {
    ws->first = first;
    status =
        from_latents(ws, latents + first * ws->model->dims, form, labels ? labels + first : NULL,
                     glow__batch_at(ws, first, count), logits + first * ws->model->logits);
  }
  ws->first = 0;
  return status;
}

const float *glow_workspace_logits(const glow_workspace *ws) {
  return ws && ws->has_logits ? ws->memory + ws->plan.logits : NULL;
}
