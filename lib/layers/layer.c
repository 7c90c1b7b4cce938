/* The handle of a flow layer: its table and its own data. SPDX-License-Identifier: MIT */
#include "layers/layers.h"

static const uint32_t known_flags = GLOW_LAYER_BY_TASKS | GLOW_LAYER_IN_PLACE |
                                    GLOW_LAYER_RECONSTRUCTS | GLOW_LAYER_ALWAYS_PREPARES |
                                    GLOW_LAYER_INFERENCE_ONLY;

static glow_status check_ops(const glow_layer_ops *ops) {
  if (!ops->type || !*ops->type)
    return glow_error(GLOW_E_ARGUMENT, "layer table: no type name");
  const char *missing = !ops->configure                                               ? "configure"
                        : !ops->forward                                               ? "forward"
                        : !ops->inverse                                               ? "inverse"
                        : !ops->backward && !(ops->flags & GLOW_LAYER_INFERENCE_ONLY) ? "backward"
                        : !ops->destroy                                               ? "destroy"
                                                                                      : NULL;
  if (missing)
    return glow_error(GLOW_E_ARGUMENT, "layer table of '%s': %s is missing", ops->type, missing);
  if (ops->flags & ~known_flags || ops->reserved)
    return glow_error(GLOW_E_ARGUMENT, "layer table of '%s': unknown flags (0x%x)", ops->type,
                      (unsigned)(ops->flags & ~known_flags));
  return GLOW_OK;
}

glow_status glow_layer_create(glow_context *context, const glow_layer_ops *ops, void *self,
                              glow_layer **out) {
  glow_layer_ops copy = {.struct_size = sizeof copy};
  if (out)
    *out = NULL;
  if (!context || !ops || !out)
    return glow_error(GLOW_E_ARGUMENT, "glow_layer_create: NULL argument");
  glow_status status =
      glow__table_copy(&copy, sizeof copy, ops, offsetof(glow_layer_ops, logits), "glow_layer_ops");
  if (status == GLOW_OK)
    status = check_ops(&copy);
  glow_layer *layer = status == GLOW_OK ? glow_allocate(context, sizeof *layer) : NULL;
  if (!layer) {
    if (copy.destroy)
      copy.destroy(self, context);
    return status == GLOW_OK ? GLOW_E_MEMORY : status;
  }
  layer->context = context;
  layer->ops = copy;
  layer->self = self;
  *out = layer;
  return GLOW_OK;
}

void glow_layer_destroy(glow_layer **layer) {
  if (!layer || !*layer)
    return;
  (*layer)->ops.destroy((*layer)->self, (*layer)->context);
  glow_release((*layer)->context, *layer);
  *layer = NULL;
}
