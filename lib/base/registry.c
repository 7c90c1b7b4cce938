/* Registry of a context: which factory makes a layer or a net of a type that a file names.
 * SPDX-License-Identifier: MIT */
#include <glow/sys/layer.h>
#include <glow/sys/net.h>
#include <string.h>

#include "base/base.h"

typedef struct glow__registry_entry {
  struct glow__registry_entry *next;
  glow_layer_factory make_layer; /* one of the two is set */
  glow_net_factory make_net;
  char type[];
} registry_entry;

static const registry_entry *find(const glow_context *context, const char *type, bool layer) {
  for (const registry_entry *e = context->registry; e; e = e->next)
    if ((layer ? e->make_layer != NULL : e->make_net != NULL) && strcmp(e->type, type) == 0)
      return e;
  return NULL;
}

static glow_status add(glow_context *context, const char *type, glow_layer_factory make_layer,
                       glow_net_factory make_net) {
  if (!context || !type || !*type || (!make_layer && !make_net))
    return glow_error(GLOW_E_ARGUMENT, "registering a type needs a context, a name and a factory");
  if (find(context, type, make_layer != NULL))
    return glow_error(GLOW_E_STATE, "type '%s' is registered already", type);
  size_t length = strlen(type) + 1;
  registry_entry *entry = glow_allocate(context, sizeof *entry + length);
  if (!entry)
    return GLOW_E_MEMORY;
  entry->make_layer = make_layer;
  entry->make_net = make_net;
  memcpy(entry->type, type, length);
  entry->next = context->registry;
  context->registry = entry;
  return GLOW_OK;
}

glow_status glow_context_register_layer(glow_context *context, const char *type,
                                        glow_layer_factory factory) {
  return add(context, type, factory, NULL);
}

glow_status glow_context_register_net(glow_context *context, const char *type,
                                      glow_net_factory factory) {
  return add(context, type, NULL, factory);
}

glow_status glow__registry_make_layer(glow_context *context, const char *type,
                                      const glow_config *config, glow_layer **out) {
  const registry_entry *entry = find(context, type, true);
  if (!entry)
    return glow_error(GLOW_E_FORMAT, "layer type '%s' is not registered with this context", type);
  return entry->make_layer(context, config, out);
}

glow_status glow__registry_make_net(glow_context *context, const char *type,
                                    const glow_config *config, glow_net **out) {
  const registry_entry *entry = find(context, type, false);
  if (!entry)
    return glow_error(GLOW_E_FORMAT, "net type '%s' is not registered with this context", type);
  return entry->make_net(context, config, out);
}

void glow__registry_destroy(glow_context *context) {
  while (context->registry) {
    registry_entry *next = context->registry->next;
    glow_release(context, context->registry);
    context->registry = next;
  }
}
