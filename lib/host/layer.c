/* The handle of a flow layer: its table, its options, and the nets that it hosts.
 * SPDX-License-Identifier: MIT */
#include <string.h>

#include "host/handles.h"

static const uint32_t known_flags = GLOW_LAYER_BY_TASKS | GLOW_LAYER_IN_PLACE |
                                    GLOW_LAYER_SKIPS_GRADIENTS | GLOW_LAYER_RECONSTRUCTS |
                                    GLOW_LAYER_ALWAYS_PREPARES | GLOW_LAYER_INFERENCE_ONLY;

/* ---- the table ------------------------------------------------------------------------------- */

static glow_status layer_check_nets(const glow_layer_ops *ops) {
  if (ops->net_count < 0 || ops->net_count > GLOW_MAX_HOSTED_NETS || (ops->net_count && !ops->nets))
    return glow_error(GLOW_E_ARGUMENT, "layer table of '%s': %d nets; it may host 0 to %d",
                      ops->type, (int)ops->net_count, GLOW_MAX_HOSTED_NETS);
  if (ops->net_count && !(ops->flags & GLOW_LAYER_BY_TASKS))
    return glow_error(GLOW_E_ARGUMENT,
                      "layer table of '%s': a layer that hosts nets is run by tasks", ops->type);
  for (int32_t i = 0; i < ops->net_count; i++) {
    const char *prefix = ops->nets[i].prefix;
    if (!prefix || !*prefix || strlen(prefix) > 60 || strchr(prefix, '.'))
      return glow_error(GLOW_E_ARGUMENT,
                        "layer table of '%s': net %d needs a prefix of 1 to 60 bytes without dots",
                        ops->type, (int)i);
    for (int32_t j = 0; j < i; j++)
      if (strcmp(prefix, ops->nets[j].prefix) == 0)
        return glow_error(GLOW_E_ARGUMENT, "layer table of '%s': two nets have the prefix '%s'",
                          ops->type, prefix);
  }
  return GLOW_OK;
}

static glow_status layer_check_ops(const glow_layer_ops *ops) {
  if (!ops->type || !*ops->type)
    return glow_error(GLOW_E_ARGUMENT, "layer table: no type name");
  const char *missing = !ops->configure                                               ? "configure"
                        : !ops->forward                                               ? "forward"
                        : !ops->inverse                                               ? "inverse"
                        : !ops->backward && !(ops->flags & GLOW_LAYER_INFERENCE_ONLY) ? "backward"
                                                                                      : NULL;
  if (missing)
    return glow_error(GLOW_E_ARGUMENT, "layer table of '%s': %s is missing", ops->type, missing);
  if (ops->flags & ~known_flags)
    return glow_error(GLOW_E_ARGUMENT, "layer table of '%s': unknown flags (0x%x)", ops->type,
                      (unsigned)(ops->flags & ~known_flags));
  return layer_check_nets(ops);
}

uint32_t glow__layer_flags(const glow_layer *layer) {
  uint32_t flags = layer->ops.flags;
  if (!layer->ops.prepare)
    flags |= GLOW_LAYER_ALWAYS_PREPARES;
  for (int32_t i = 0; i < layer->ops.net_count; i++) {
    const glow_net_ops *net = &layer->nets[i]->ops;
    if (net->prepare && !(net->flags & GLOW_NET_ALWAYS_PREPARES))
      flags &= ~(uint32_t)GLOW_LAYER_ALWAYS_PREPARES;
    if (net->flags & GLOW_NET_INFERENCE_ONLY)
      flags |= GLOW_LAYER_INFERENCE_ONLY;
    if (!(net->flags & GLOW_NET_SKIPS_GRADIENTS))
      flags &= ~(uint32_t)GLOW_LAYER_SKIPS_GRADIENTS;
  }
  return flags;
}

/* ---- life ------------------------------------------------------------------------------------ */

static void destroy_nets(glow_net **nets, int32_t count) {
  for (int32_t i = 0; nets && i < count; i++)
    glow_net_destroy(&nets[i]);
}

static glow_status check_given(const glow_context *context, const glow_layer_ops *ops,
                               glow_net *const *nets) {
  for (int32_t i = 0; i < ops->net_count; i++) {
    if (!nets || !nets[i])
      return glow_error(GLOW_E_ARGUMENT, "a layer of type '%s' needs a net ('%s'), which is NULL",
                        ops->type, ops->nets[i].prefix);
    GLOW_LIVE(nets[i], NET);
    if (nets[i]->context != context)
      return glow_error(GLOW_E_ARGUMENT, "net '%s' was made with another context than the layer",
                        ops->nets[i].prefix);
    for (int32_t j = 0; j < i; j++)
      if (nets[j] == nets[i])
        return glow_error(GLOW_E_ARGUMENT, "nets '%s' and '%s' are the same", ops->nets[j].prefix,
                          ops->nets[i].prefix);
  }
  return GLOW_OK;
}

/* A net that was given twice is destroyed once. */
static void forget_doubles(glow_net **nets, int32_t count) {
  for (int32_t i = 0; nets && i < count; i++)
    for (int32_t j = 0; j < i; j++)
      if (nets[i] == nets[j])
        nets[i] = NULL;
}

static glow_status layer_create(glow_context *context, const glow_layer_ops *ops,
                                const void *options, glow_net **nets, glow_layer **out) {
  void *block = NULL, *self = NULL;
  size_t handle = sizeof(glow_layer) + (size_t)ops->net_count * sizeof(glow_net *);
  GLOW_TRY(check_given(context, ops, nets));
  GLOW_TRY(
      glow__self_create(context, ops->options, handle, ops->self_size, options, &block, &self));
  glow_layer *layer = block;
  layer->context = glow__context_hold(context);
  layer->ops = *ops;
  layer->self = self;
  for (int32_t i = 0; i < ops->net_count; i++) {
    layer->nets[i] = nets[i];
    nets[i] = NULL;
  }
  glow__live_add(layer, GLOW_LIVE_LAYER);
  *out = layer;
  return GLOW_OK;
}

glow_status glow_layer_create(glow_context *context, const glow_layer_ops *ops, const void *options,
                              glow_net **nets, glow_layer **out) {
  glow_layer_ops table = {.struct_size = sizeof table};
  glow_status status = GLOW_OK;
  if (out)
    *out = NULL;
  GLOW_LIVE(context, CONTEXT);
  if (ops) /* first, because it tells how many nets are taken over */
    status = glow__table_copy(&table, sizeof table, ops, GLOW_LAYER_OPS_SMALLEST, "glow_layer_ops");
  if (status == GLOW_OK && (!context || !ops || !out))
    status = glow_error(GLOW_E_ARGUMENT, "glow_layer_create: NULL argument");
  if (status == GLOW_OK)
    status = layer_check_ops(&table);
  if (status == GLOW_OK)
    status = layer_create(context, &table, options, nets, out);
  if (status != GLOW_OK) {
    int32_t count =
        table.net_count < 0 || table.net_count > GLOW_MAX_HOSTED_NETS ? 0 : table.net_count;
    forget_doubles(nets, count);
    destroy_nets(nets, count);
  }
  return status;
}

void *glow_layer_self(glow_layer *layer) {
  GLOW_LIVE_OR(layer, LAYER, NULL);
  if (!layer)
    return NULL;
  layer->has_more = !layer->ops.create;
  return layer->self;
}

void glow_layer_destroy(glow_layer **layer) {
  if (!layer || !*layer)
    return;
  GLOW_LIVE_END(*layer, LAYER);
  glow_layer *l = *layer;
  glow_context *context = l->context;
  if (l->ops.destroy)
    l->ops.destroy(l->self, context);
  destroy_nets(l->nets, l->ops.net_count);
  glow__self_release(context, l->ops.options, l->self, l);
  glow__context_drop(context);
  *layer = NULL;
}

/* ---- copies ---------------------------------------------------------------------------------- */

static glow_status layer_make(glow_context *context, const glow_layer_ops *ops, const void *options,
                              glow_net **nets, glow_layer **out) {
  return ops->create ? ops->create(context, options, nets, out)
                     : glow_layer_create(context, ops, options, nets, out);
}

static glow_status layer_check_whole(const glow_layer *layer) {
  if (layer->has_more || layer->ops.flags & GLOW_LAYER_INFERENCE_ONLY)
    return glow_error(
        GLOW_E_UNSUPPORTED, "a layer of type '%s' %s: it can be neither saved nor copied",
        layer->ops.type,
        layer->has_more ? "holds more than its options (glow_layer_self)" : "is an inference form");
  return GLOW_OK;
}

static const void *options_of(const glow_layer *layer) {
  return layer->ops.options ? layer->self : NULL;
}

glow_status glow__layer_save(const glow_layer *layer, glow__config *config) {
  const glow_layer_ops *registered = NULL;
  GLOW_TRY(layer_check_whole(layer));
  if (glow__registry_find_layer(layer->context, layer->ops.type, &registered) != GLOW_OK)
    return glow_error(GLOW_E_UNSUPPORTED,
                      "layers of type '%s' cannot be saved, because no file could be loaded with "
                      "them: register the type first (glow_context_register_layer)",
                      layer->ops.type);
  GLOW_TRY(glow__options_save(layer->ops.options, layer->self, config));
  for (int32_t i = 0; i < layer->ops.net_count; i++) {
    glow__config view = glow__config_view(config, layer->ops.nets[i].prefix);
    GLOW_TRY(glow__config_set_text(config, layer->ops.nets[i].prefix, layer->nets[i]->ops.type));
    GLOW_TRY(glow__net_save(layer->nets[i], &view));
  }
  return GLOW_OK;
}

static glow_status load_nets(glow_context *context, const glow_layer_ops *ops,
                             const glow__config *config, glow_net **nets) {
  for (int32_t i = 0; i < ops->net_count; i++) {
    const glow_hosted_net *hosted = &ops->nets[i];
    const glow__config view = glow__config_view(config, hosted->prefix);
    const char *type = hosted->fallback;
    GLOW_TRY(glow__config_get_text(config, hosted->prefix, &type));
    if (!type)
      return glow_error(GLOW_E_FORMAT, "option '%s', the type of a net, is missing",
                        hosted->prefix);
    GLOW_TRY(glow__net_load(context, type, &view, &nets[i]));
  }
  return GLOW_OK;
}

glow_status glow__layer_load(glow_context *context, const char *type, const glow__config *config,
                             glow_layer **out) {
  const glow_layer_ops *ops = NULL;
  void *options = NULL;
  glow_net *nets[GLOW_MAX_HOSTED_NETS] = {NULL};
  *out = NULL;
  GLOW_TRY(glow__registry_find_layer(context, type, &ops));
  if (ops->options && !(options = glow_allocate(context, ops->options->size)))
    return GLOW_E_MEMORY;
  glow_status status = GLOW_OK;
  if (options)
    status = glow__options_load(ops->options, context, config, options);
  if (status == GLOW_OK)
    status = load_nets(context, ops, config, nets);
  if (status == GLOW_OK)
    status = layer_make(context, ops, options, nets, out);
  destroy_nets(nets, ops->net_count);
  if (options)
    glow__self_release(context, ops->options, options, options);
  return status;
}

glow_status glow__layer_like(const glow_layer *layer, glow_context *context, glow_layer **out) {
  glow_net *nets[GLOW_MAX_HOSTED_NETS] = {NULL};
  glow_status status = GLOW_OK;
  *out = NULL;
  GLOW_TRY(layer_check_whole(layer));
  for (int32_t i = 0; status == GLOW_OK && i < layer->ops.net_count; i++)
    status = glow__net_like(layer->nets[i], context, &nets[i]);
  if (status == GLOW_OK)
    return layer_make(context, &layer->ops, options_of(layer), nets, out);
  destroy_nets(nets, layer->ops.net_count);
  return status;
}

/* The same layer with the inference forms of its nets; only if at least one net has such a form. */
static glow_status with_forms_of_nets(const glow_layer *layer, const glow_call *call,
                                      glow_layer **out) {
  glow_net *nets[GLOW_MAX_HOSTED_NETS] = {NULL};
  glow_status status = GLOW_OK;
  int32_t forms = 0;
  for (int32_t i = 0; status == GLOW_OK && i < layer->ops.net_count; i++) {
    status = glow__net_inference_form(layer->nets[i], call, &nets[i]);
    forms += nets[i] != NULL;
    if (status == GLOW_OK && !nets[i])
      status = glow__net_like(layer->nets[i], glow_call_context(call), &nets[i]);
  }
  if (status == GLOW_OK && forms)
    return layer_make(glow_call_context(call), &layer->ops, options_of(layer), nets, out);
  destroy_nets(nets, layer->ops.net_count);
  return status;
}

glow_status glow__layer_inference_form(const glow_layer *layer, const glow_call *call,
                                       glow_layer **out) {
  *out = NULL;
  if (layer->ops.inference_form)
    GLOW_TRY(layer->ops.inference_form(layer->self, call, out));
  if (*out || !layer->ops.net_count)
    return GLOW_OK;
  GLOW_TRY(layer_check_whole(layer));
  return with_forms_of_nets(layer, call, out);
}
