/* glow_model_clone: a second model with the same layers, values and metadata, in the same context
 * or in another one. SPDX-License-Identifier: MIT */
#include <string.h>

#include "host/run.h"

static glow_status clone_add_layers(glow_builder *builder, glow_context *context,
                                    const glow_model *model) {
  for (int32_t i = 0; i < model->node_count; i++) {
    const glow__node *node = &model->nodes[i];
    glow_layer *layer = NULL;
    glow_status status = glow__layer_like(node->layer, context, &layer);
    if (status != GLOW_OK)
      return glow__error_prefix(status, "layer '%s'", node->name);
    GLOW_TRY(glow_builder_add(builder, node->name, &layer));
  }
  return GLOW_OK;
}

/* A `create` of a layer's table might forget an option. */
static glow_status clone_check_tensors(const glow_model *made, const glow_model *model) {
  bool same = made->tensor_count == model->tensor_count;
  for (int32_t t = 0; same && t < model->tensor_count; t++)
    same = glow__tensors_alike(&made->tensors[t], &model->tensors[t]);
  return same ? GLOW_OK
              : glow_error(GLOW_E_STATE, "the copies have other tensors than the model: some layer "
                                         "does not save all of its options");
}

/* A glow__read_fn. */
static glow_status clone_copy_values(glow_model *made, void *arg) {
  const glow_model *model = arg;
  GLOW_TRY(clone_check_tensors(made, model));
  memcpy(made->parameters, model->parameters, (size_t)model->parameter_count * sizeof(float));
  memcpy(made->fixed, model->fixed, (size_t)model->fixed_count * sizeof(float));
  return glow__metadata_copy(made, model);
}

glow_status glow_model_clone(const glow_model *model, glow_context *context, glow_model **out) {
  glow_builder_options o = GLOW_BUILDER_OPTIONS_INIT;
  glow_builder *builder = NULL;
  if (out)
    *out = NULL;
  GLOW_LIVE(context, CONTEXT);
  GLOW_LIVE(model, MODEL);
  if (!model || !out)
    return glow_error(GLOW_E_ARGUMENT, "glow_model_clone: NULL argument");
  GLOW_TRY(glow__check_copies(model));
  context = context ? context : model->context;
  o.bits = model->bits;
  GLOW_TRY(glow_builder_create(context, &model->input, &o, &builder));
  glow_status status = clone_add_layers(builder, context, model);
  if (status != GLOW_OK) {
    glow_builder_destroy(&builder);
    return status;
  }
  GLOW_TRY(glow__builder_finish_from(&builder, clone_copy_values, (void *)(uintptr_t)model, out));
  (*out)->initialised = model->initialised;
  return GLOW_OK;
}
