/* Registry of a context: the tables of the layers and nets that a file can name.
 * SPDX-License-Identifier: MIT */
#include <glow/sys/layer.h>
#include <glow/sys/net.h>
#include <string.h>

#include "base/base.h"

typedef struct glow__registry_entry {
  struct glow__registry_entry *next;
  bool is_layer; /* which of the two tables it has */
  glow_layer_ops layer;
  glow_net_ops net;
  char type[];
} registry_entry;

static const registry_entry *registry_find(const glow_context *context, const char *type,
                                           bool is_layer) {
  for (const registry_entry *e = context->registry; e; e = e->next)
    if (e->is_layer == is_layer && strcmp(e->type, type) == 0)
      return e;
  return NULL;
}

static glow_status registry_add(glow_context *context, const char *type,
                                const registry_entry *values) {
  if (!type || !*type)
    return glow_error(GLOW_E_ARGUMENT, "registering a type: its table has no type name");
  if (registry_find(context, type, values->is_layer))
    return glow_error(GLOW_E_STATE, "type '%s' is registered already", type);
  size_t length = strlen(type) + 1;
  registry_entry *entry = glow_allocate(context, sizeof *entry + length);
  if (!entry)
    return GLOW_E_MEMORY;
  entry->is_layer = values->is_layer;
  entry->layer = values->layer;
  entry->net = values->net;
  memcpy(entry->type, type, length);
  entry->next = context->registry;
  context->registry = entry;
  return GLOW_OK;
}

glow_status glow_context_register_layer(glow_context *context, const glow_layer_ops *ops) {
  GLOW_LIVE(context, CONTEXT);
  registry_entry values = {.is_layer = true, .layer.struct_size = sizeof values.layer};
  if (!context || !ops)
    return glow_error(GLOW_E_ARGUMENT, "glow_context_register_layer: NULL argument");
  GLOW_TRY(glow__table_copy(&values.layer, sizeof values.layer, ops, GLOW_LAYER_OPS_SMALLEST,
                            "glow_layer_ops"));
  return registry_add(context, values.layer.type, &values);
}

glow_status glow_context_register_net(glow_context *context, const glow_net_ops *ops) {
  GLOW_LIVE(context, CONTEXT);
  registry_entry values = {.is_layer = false, .net.struct_size = sizeof values.net};
  if (!context || !ops)
    return glow_error(GLOW_E_ARGUMENT, "glow_context_register_net: NULL argument");
  GLOW_TRY(
      glow__table_copy(&values.net, sizeof values.net, ops, GLOW_NET_OPS_SMALLEST, "glow_net_ops"));
  return registry_add(context, values.net.type, &values);
}

glow_status glow__registry_find_layer(const glow_context *context, const char *type,
                                      const glow_layer_ops **out) {
  const registry_entry *entry = registry_find(context, type, true);
  if (!entry)
    return glow_error(GLOW_E_NOT_FOUND, "layer type '%s' is not registered with this context",
                      type);
  *out = &entry->layer;
  return GLOW_OK;
}

glow_status glow__registry_find_net(const glow_context *context, const char *type,
                                    const glow_net_ops **out) {
  const registry_entry *entry = registry_find(context, type, false);
  if (!entry)
    return glow_error(GLOW_E_NOT_FOUND, "net type '%s' is not registered with this context", type);
  *out = &entry->net;
  return GLOW_OK;
}

void glow__registry_destroy(glow_context *context) {
  while (context->registry) {
    registry_entry *next = context->registry->next;
    glow_release(context, context->registry);
    context->registry = next;
  }
}
