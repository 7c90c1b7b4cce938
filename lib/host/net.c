/* The handle of a conditioner network: its table and its options. SPDX-License-Identifier: MIT */
#include "host/handles.h"

static const uint32_t known_flags = GLOW_NET_ALWAYS_PREPARES | GLOW_NET_INFERENCE_ONLY |
                                    GLOW_NET_SKIPS_GRADIENTS | GLOW_NET_ROUNDS_INPUT;

static glow_status net_check_ops(const glow_net_ops *ops) {
  if (!ops->type || !*ops->type)
    return glow_error(GLOW_E_ARGUMENT, "net table: no type name");
  const char *missing = !ops->configure                                             ? "configure"
                        : !ops->forward                                             ? "forward"
                        : !ops->backward && !(ops->flags & GLOW_NET_INFERENCE_ONLY) ? "backward"
                                                                                    : NULL;
  if (missing)
    return glow_error(GLOW_E_ARGUMENT, "net table of '%s': %s is missing", ops->type, missing);
  if (ops->flags & ~known_flags)
    return glow_error(GLOW_E_ARGUMENT, "net table of '%s': unknown flags (0x%x)", ops->type,
                      (unsigned)(ops->flags & ~known_flags));
  if (ops->reserved)
    return glow_error(GLOW_E_ARGUMENT, "net table of '%s': reserved must be 0", ops->type);
  return GLOW_OK;
}

glow_status glow_net_create(glow_context *context, const glow_net_ops *ops, const void *options,
                            glow_net **out) {
  glow_net_ops table = {.struct_size = sizeof table};
  void *block = NULL, *self = NULL;
  if (out)
    *out = NULL;
  GLOW_LIVE(context, CONTEXT);
  if (!context || !ops || !out)
    return glow_error(GLOW_E_ARGUMENT, "glow_net_create: NULL argument");
  GLOW_TRY(glow__table_copy(&table, sizeof table, ops, GLOW_NET_OPS_SMALLEST, "glow_net_ops"));
  GLOW_TRY(net_check_ops(&table));
  GLOW_TRY(glow__self_create(context, table.options, sizeof(glow_net), table.self_size, options,
                             &block, &self));
  glow_net *net = block;
  net->context = glow__context_hold(context);
  net->ops = table;
  net->self = self;
  glow__live_add(net, GLOW_LIVE_NET);
  *out = net;
  return GLOW_OK;
}

void *glow_net_self(glow_net *net) {
  GLOW_LIVE_OR(net, NET, NULL);
  if (!net)
    return NULL;
  net->has_more = !net->ops.create;
  return net->self;
}

void glow_net_destroy(glow_net **net) {
  if (!net || !*net)
    return;
  GLOW_LIVE_END(*net, NET);
  glow_net *n = *net;
  glow_context *context = n->context;
  if (n->ops.destroy)
    n->ops.destroy(n->self, context);
  glow__self_release(context, n->ops.options, n->self, n);
  glow__context_drop(context);
  *net = NULL;
}

/* ---- copies ---------------------------------------------------------------------------------- */

static glow_status net_make(glow_context *context, const glow_net_ops *ops, const void *options,
                            glow_net **out) {
  return ops->create ? ops->create(context, options, out)
                     : glow_net_create(context, ops, options, out);
}

static glow_status net_check_whole(const glow_net *net) {
  if (net->has_more || net->ops.flags & GLOW_NET_INFERENCE_ONLY)
    return glow_error(GLOW_E_UNSUPPORTED,
                      "a net of type '%s' %s: it can be neither saved nor copied", net->ops.type,
                      net->has_more ? "holds more than its options (glow_net_self)"
                                    : "is an inference form");
  return GLOW_OK;
}

glow_status glow__net_save(const glow_net *net, glow__config *config) {
  const glow_net_ops *registered = NULL;
  GLOW_TRY(net_check_whole(net));
  if (glow__registry_find_net(net->context, net->ops.type, &registered) != GLOW_OK)
    return glow_error(GLOW_E_UNSUPPORTED,
                      "nets of type '%s' cannot be saved, because no file could be loaded with "
                      "them: register the type first (glow_context_register_net)",
                      net->ops.type);
  return glow__options_save(net->ops.options, net->self, config);
}

glow_status glow__net_load(glow_context *context, const char *type, const glow__config *config,
                           glow_net **out) {
  const glow_net_ops *ops = NULL;
  void *options = NULL;
  *out = NULL;
  GLOW_TRY(glow__registry_find_net(context, type, &ops));
  if (ops->options && !(options = glow_allocate(context, ops->options->size)))
    return GLOW_E_MEMORY;
  glow_status status =
      options ? glow__options_load(ops->options, context, config, options) : GLOW_OK;
  if (status == GLOW_OK)
    status = net_make(context, ops, options, out);
  if (options)
    glow__self_release(context, ops->options, options, options);
  return status;
}

glow_status glow__net_like(const glow_net *net, glow_context *context, glow_net **out) {
  *out = NULL;
  GLOW_TRY(net_check_whole(net));
  return net_make(context, &net->ops, net->ops.options ? net->self : NULL, out);
}
