/* Would the layers prepare these parameters? Tried in memory of its own, one layer at a time, so
 * that nothing of the model changes and other threads may use it. SPDX-License-Identifier: MIT */
#include "host/call.h"

/* Bytes of the derived values of a node's parts. */
static size_t trial_derived_bytes(const glow__node *node) {
  const glow_layer *layer = node->layer;
  size_t most = (size_t)layer->part.derived_offset + layer->part.derived_bytes;
  for (int32_t i = 0; i < layer->ops.net_count; i++) {
    const glow__part *part = &layer->nets[i]->part;
    size_t end = (size_t)part->derived_offset + part->derived_bytes;
    most = end > most ? end : most;
  }
  return most;
}

static glow_status trial_prepare(const glow_model *model, float *parameters,
                                 const glow__node *node) {
  glow_model tried = *model;
  glow__node alone = *node;
  glow_context *context = model->context;
  alone.derived_offset = 0;
  tried.parameters = parameters;
  tried.derived = glow_allocate(context, trial_derived_bytes(node) + 1);
  if (!tried.derived)
    return GLOW_E_MEMORY;
  glow_status status = glow__node_prepare(&tried, &alone);
  glow_release(context, tried.derived);
  return status;
}

glow_status glow__model_check_prepares(const glow_model *model, const float *parameters) {
  if (model->prepared && parameters == model->parameters)
    return GLOW_OK;
  for (int32_t i = 0; i < model->node_count; i++) {
    const glow__node *node = &model->nodes[i];
    if (!(glow__layer_flags(node->layer) & GLOW_LAYER_ALWAYS_PREPARES))
      GLOW_TRY(trial_prepare(model, (float *)(uintptr_t)parameters, node));
  }
  return GLOW_OK;
}
