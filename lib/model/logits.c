/* Logits of classes: from data through the layers before the one that has them, or from latents
 * back through those after it. SPDX-License-Identifier: MIT */
#include <string.h>

#include "model/parts.h"

static int32_t head_of(const glow_model *model) {
  int32_t i = 0;
  while (i < model->node_count && !model->nodes[i].logits)
    i++;
  return i;
}

static glow_status check(const glow_workspace *ws, const float *from, const int32_t *labels,
                         int64_t count, int32_t form, const float *logits) {
  if (!ws || !from || !logits)
    return glow_error(GLOW_E_ARGUMENT, "classification: NULL argument");
  if (!ws->model->logits)
    return glow_error(GLOW_E_STATE, "the model has no classifier");
  GLOW_TRY(glow__check_batch(ws, count));
  GLOW_TRY(glow__check_ready(ws->model));
  if (labels || ws->model->needs_class || form == GLOW_LATENTS_WHITENED)
    GLOW_TRY(glow__check_labels(ws->model, labels, count, form));
  return glow__check_context(ws, count);
}

/* The caller's labels, or as many unknown ones. */
static const int32_t *labels_or_none(glow_workspace *ws, const int32_t *labels, int64_t count) {
  if (labels || !ws->model->classes)
    return labels;
  for (int64_t i = 0; i < count; i++)
    ws->label_copy[i] = -1;
  return ws->label_copy;
}

static void begin(const glow_workspace *ws, int32_t node, const int32_t *labels, int64_t count,
                  int32_t form, const float *latents, glow_pass *pass) {
  glow__pass_begin(ws, &ws->model->nodes[node], count, labels, form, (float *)(uintptr_t)latents,
                   pass);
}

/* Logits from the input x of the layer that has them. */
static void finish(glow_workspace *ws, const float *x, int64_t count, float *logits) {
  float *own = ws->memory + ws->plan.logits;
  glow_pass pass;
  begin(ws, head_of(ws->model), NULL, count, GLOW_LATENTS_RAW, ws->memory + ws->plan.latents,
        &pass);
  glow__node_logits(&pass, x, own);
  ws->has_logits = true;
  memcpy(logits, own, (size_t)(count * ws->model->logits) * sizeof *logits);
}

glow_status glow_classify(glow_workspace *ws, const float *x, const int32_t *labels, int64_t count,
                          float *logits) {
  GLOW_TRY(check(ws, x, labels, count, GLOW_LATENTS_RAW, logits));
  GLOW_TRY(glow__check_finite(ws->model, "input", x, count));
  double *logdet = (double *)(void *)(ws->memory + ws->plan.logdet);
  double *logprior = (double *)(void *)(ws->memory + ws->plan.logprior);
  int32_t head = head_of(ws->model);
  ws->samples = 0;
  labels = labels_or_none(ws, labels, count);
  for (int32_t i = 0; i < head; i++) {
    float *y = ws->memory + ws->plan.states[i & 1];
    glow_pass pass;
    begin(ws, i, labels, count, GLOW_LATENTS_RAW, ws->memory + ws->plan.latents, &pass);
    glow__node_forward(&pass, x, y, logdet, logprior);
    x = y;
  }
  finish(ws, x, count, logits);
  return GLOW_OK;
}

glow_status glow_classify_latents(glow_workspace *ws, const float *latents, int32_t form,
                                  const int32_t *labels, int64_t count, float *logits) {
  if (form != GLOW_LATENTS_RAW && form != GLOW_LATENTS_WHITENED)
    return glow_error(GLOW_E_ARGUMENT, "form is %d; it must be one of GLOW_LATENTS_...", form);
  GLOW_TRY(check(ws, latents, labels, count, form, logits));
  GLOW_TRY(glow__check_finite(ws->model, "latents", latents, count));
  double *logdet = (double *)(void *)(ws->memory + ws->plan.logdet);
  const float *y = NULL;
  int32_t head = head_of(ws->model);
  ws->samples = 0;
  labels = labels_or_none(ws, labels, count);
  for (int32_t i = ws->model->node_count - 1; i >= head; i--) {
    float *x = ws->memory + ws->plan.states[i & 1];
    glow_pass pass;
    begin(ws, i, labels, count, form, latents, &pass);
    glow__node_inverse(&pass, y, x, logdet);
    y = x;
  }
  finish(ws, y, count, logits);
  return GLOW_OK;
}

const float *glow_workspace_logits(const glow_workspace *ws) {
  return ws && ws->has_logits ? ws->memory + ws->plan.logits : NULL;
}
