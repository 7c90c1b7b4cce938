/* Running averages: what training passes observe of their batches, gathered over the micro-batches
 * of a step as gradients are, and followed by fixed state of the model.
 *   average += momentum (mean - average),  mean = sum_b samples_b observed_b / sum_b samples_b
 * SPDX-License-Identifier: MIT */
#include <math.h>

#include "host/run.h"

static double *sums(const glow_workspace *ws) {
  return glow__doubles(ws, ws->plan.observed_sum);
}

void glow__running_gather(glow_workspace *ws) {
  const float *observed = ws->memory + ws->plan.observed;
  for (int64_t i = 0; i < ws->model->observed_count; i++)
    sums(ws)[i] += (double)ws->samples * (double)observed[i];
  ws->observed_samples += ws->samples;
}

void glow__running_clear(glow_workspace *ws) {
  for (int64_t i = 0; i < ws->model->observed_count; i++)
    sums(ws)[i] = 0.0;
  ws->observed_samples = 0;
}

int64_t glow__running_sums(glow_workspace *ws, double **all, int64_t **samples) {
  *all = sums(ws);
  *samples = &ws->observed_samples;
  return ws->model->observed_count;
}

/* The new averages, in place of what was observed. */
static glow_status compute(glow_workspace *ws, const glow__tensor *tensor) {
  const float *average = (const float *)ws->model->fixed + tensor->offset;
  float *next = ws->memory + ws->plan.observed + tensor->observed;
  const double *sum = sums(ws) + tensor->observed;
  double momentum = (double)tensor->momentum, samples = (double)ws->observed_samples;
  for (int64_t i = 0; i < tensor->elements; i++) {
    double now = (double)average[i];
    next[i] = (float)(now + momentum * (sum[i] / samples - now));
    if (!isfinite(next[i]))
      return glow_error(GLOW_E_NUMERIC, "running average '%s': element %lld is not finite",
                        tensor->name, (long long)i);
  }
  return GLOW_OK;
}

/* It moves. */
static bool runs(const glow_workspace *ws, int32_t tensor) {
  return ws->model->tensors[tensor].running && !(ws->held && ws->held[tensor]);
}

static void exchange(const glow_workspace *ws, glow_model *model) {
  for (int32_t t = 0; t < model->tensor_count; t++) {
    const glow__tensor *tensor = &model->tensors[t];
    float *average = (float *)model->fixed + tensor->offset;
    float *other = ws->memory + ws->plan.observed + tensor->observed;
    for (int64_t i = 0; runs(ws, t) && i < tensor->elements; i++) {
      float kept = average[i];
      average[i] = other[i];
      other[i] = kept;
    }
  }
}

static bool nothing(const glow_workspace *ws) {
  return !ws->model->observed_count || !ws->observed_samples;
}

glow_status glow__running_move(glow_workspace *ws, glow_model *model) {
  if (nothing(ws))
    return GLOW_OK;
  ws->samples = 0; /* what the last forward pass observed was overwritten */
  for (int32_t t = 0; t < model->tensor_count; t++)
    if (runs(ws, t))
      GLOW_TRY(compute(ws, &model->tensors[t]));
  exchange(ws, model);
  return GLOW_OK;
}

glow_status glow__running_undo(glow_workspace *ws, glow_model *model) {
  if (nothing(ws))
    return GLOW_OK;
  exchange(ws, model);
  return glow_model_prepare(model);
}

glow_status glow_workspace_update_statistics(glow_workspace *ws, glow_model *model) {
  GLOW_LIVE(ws, WORKSPACE);
  GLOW_LIVE(model, MODEL);
  if (!ws || !model)
    return glow_error(GLOW_E_ARGUMENT, "glow_workspace_update_statistics: NULL argument");
  if (ws->model != model)
    return glow_error(GLOW_E_ARGUMENT, "the workspace belongs to another model");
  if (!glow__is_training(ws) || ws->plan.inputs_only)
    return glow_error(GLOW_E_STATE, "the workspace observes nothing: it is for inference, or made "
                                    "with inputs_only");
  GLOW_TRY(glow__running_move(ws, model));
  glow_status status = glow_model_prepare(model);
  if (status == GLOW_OK)
    glow__running_clear(ws);
  else
    GLOW_TRY(glow__running_undo(ws, model));
  return status;
}
