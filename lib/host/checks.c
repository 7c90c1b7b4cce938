/* What every pass checks first. SPDX-License-Identifier: MIT */
#include <math.h>

#include "host/workspace.h"

glow_status glow__check_ready(const glow_model *model) {
  GLOW_LIVE(model, MODEL);
  if (!model->prepared)
    return glow_error(GLOW_E_STATE, "parameters have changed: call glow_model_prepare first");
  if (!model->initialised)
    return glow_error(GLOW_E_STATE, "the model is not initialised: call "
                                    "glow_workspace_initialise with data first");
  return GLOW_OK;
}

glow_status glow__check_count(const glow_workspace *ws, int64_t count) {
  int64_t elements = 0;
  if (count < 1 || !glow_size_multiply(count, ws->model->dims, &elements) ||
      elements > INT64_MAX / 64)
    return glow_error(GLOW_E_ARGUMENT, "%lld samples; 1 or more are needed", (long long)count);
  return GLOW_OK;
}

glow_status glow__check_cancelled(glow_workspace *ws) {
  if (!__atomic_load_n(&ws->cancel, __ATOMIC_RELAXED))
    return GLOW_OK;
  ws->samples = 0;
  ws->has_logits = false;
  return glow_error(GLOW_E_CANCELLED, "the pass was cancelled (glow_workspace_cancel)");
}

glow_status glow__check_batch(const glow_workspace *ws, int64_t count) {
  if (count < 1 || count > ws->plan.batch)
    return glow_error(GLOW_E_ARGUMENT,
                      "%lld samples; this pass takes one batch, of 1 to "
                      "%lld samples in this workspace: make a larger workspace, or several passes",
                      (long long)count, (long long)ws->plan.batch);
  return GLOW_OK;
}

glow_status glow__check_form(int32_t *form) {
  if (*form == 0)
    *form = GLOW_LATENTS_RAW;
  if (*form != GLOW_LATENTS_RAW && *form != GLOW_LATENTS_WHITENED)
    return glow_error(GLOW_E_ARGUMENT,
                      "form is %d; it must be GLOW_LATENTS_RAW (%d) or GLOW_LATENTS_WHITENED (%d)",
                      (int)*form, GLOW_LATENTS_RAW, GLOW_LATENTS_WHITENED);
  return GLOW_OK;
}

/* x: [rows, size]. */
static glow_status rows_finite(const glow_workspace *ws, const char *what, const float *x,
                               int64_t rows, int64_t size) {
  for (int64_t i = 0; i < rows * size; i++)
    if (!isfinite(x[i]))
      return glow_error(GLOW_E_NUMERIC, "%s: element %lld of sample %lld is not finite", what,
                        (long long)(i % size), (long long)(ws->base + i / size));
  return GLOW_OK;
}

glow_status glow__check_finite(const glow_workspace *ws, const float *x, int64_t count) {
  return rows_finite(ws, "input", x, count, ws->model->dims);
}

glow_status glow__check_condition(const glow_workspace *ws, int64_t count) {
  int64_t size = ws->model->condition_size;
  if (!size)
    return GLOW_OK;
  if (!ws->condition)
    return glow_error(GLOW_E_ARGUMENT,
                      "the model needs a condition of %lld elements for each sample "
                      "(glow_workspace_set_condition)",
                      (long long)size);
  if (ws->condition_count != 1 && ws->condition_count < count)
    return glow_error(GLOW_E_ARGUMENT,
                      "%lld conditions for %lld samples; one for each is needed, or one for all",
                      (long long)ws->condition_count, (long long)count);
  return ws->condition_count == 1 ? rows_finite(ws, "condition", ws->condition, 1, size) : GLOW_OK;
}

glow_status glow__check_conditions_finite(const glow_workspace *ws, int64_t count) {
  GLOW_TRY(glow__check_condition(ws, count));
  if (ws->condition_count == 1)
    return GLOW_OK;
  return rows_finite(ws, "condition", ws->condition, count, ws->model->condition_size);
}

/* Images are dequantised into [-1/2, 1/2); samples that a model draws go a little beyond that. */
#define LARGEST_OF_AN_IMAGE 2.0f

void glow__warn_of_scale(glow_workspace *ws, const float *x, int64_t count) {
  int64_t elements = count * ws->model->dims;
  for (int64_t i = 0; ws->model->bits && !ws->told_scale && i < elements; i++) {
    if (fabsf(x[i]) <= LARGEST_OF_AN_IMAGE || !isfinite(x[i]))
      continue;
    ws->told_scale = true;
    glow_context_log(
        ws->model->context, GLOW_LOG_WARNING,
        "input: element %lld of sample %lld is %g; the model is of %d-bit images, which "
        "lie in [-0.5, 0.5): pixels of 0 to 255 go through glow_model_dequantise first",
        (long long)(i % ws->model->dims), (long long)(ws->base + i / ws->model->dims), (double)x[i],
        (int)ws->model->bits);
  }
}

glow_status glow__check_labels(const glow_model *model, int64_t base, const int32_t *labels,
                               int64_t count, int32_t form) {
  bool needs_class = model->needs_class || form == GLOW_LATENTS_WHITENED;
  if (!model->classes)
    return GLOW_OK;
  if (!labels)
    return glow_error(GLOW_E_ARGUMENT, "the model has %d classes and needs labels", model->classes);
  for (int64_t i = 0; i < count; i++) {
    if (labels[i] < -1 || labels[i] >= model->classes)
      return glow_error(GLOW_E_ARGUMENT, "label of sample %lld is %d; classes are 0 to %d",
                        (long long)(base + i), labels[i], model->classes - 1);
    if (labels[i] == -1 && needs_class)
      return glow_error(GLOW_E_ARGUMENT,
                        "label of sample %lld is -1, class unknown: %s needs a class from 0 to %d",
                        (long long)(base + i),
                        model->needs_class ? "a layer" : "the distribution of its latents",
                        model->classes - 1);
  }
  return GLOW_OK;
}
