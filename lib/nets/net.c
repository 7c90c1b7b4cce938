/* The handle of a conditioner network: its table and its own data. SPDX-License-Identifier: MIT */
#include "nets/nets.h"

static const uint32_t known_flags = GLOW_NET_ALWAYS_PREPARES | GLOW_NET_INFERENCE_ONLY;

static glow_status check_ops(const glow_net_ops *ops) {
  if (!ops->type || !*ops->type)
    return glow_error(GLOW_E_ARGUMENT, "net table: no type name");
  const char *missing = !ops->configure                                             ? "configure"
                        : !ops->forward                                             ? "forward"
                        : !ops->backward && !(ops->flags & GLOW_NET_INFERENCE_ONLY) ? "backward"
                        : !ops->destroy                                             ? "destroy"
                                                                                    : NULL;
  if (missing)
    return glow_error(GLOW_E_ARGUMENT, "net table of '%s': %s is missing", ops->type, missing);
  if (ops->flags & ~known_flags || ops->reserved)
    return glow_error(GLOW_E_ARGUMENT, "net table of '%s': unknown flags (0x%x)", ops->type,
                      (unsigned)(ops->flags & ~known_flags));
  if (ops->init_size && !ops->init)
    return glow_error(GLOW_E_ARGUMENT, "net table of '%s': init_size without init", ops->type);
  return GLOW_OK;
}

glow_status glow_net_create(glow_context *context, const glow_net_ops *ops, void *self,
                            glow_net **out) {
  glow_net_ops copy = {.struct_size = sizeof copy};
  if (out)
    *out = NULL;
  if (!context || !ops || !out)
    return glow_error(GLOW_E_ARGUMENT, "glow_net_create: NULL argument");
  glow_status status =
      glow__table_copy(&copy, sizeof copy, ops, offsetof(glow_net_ops, freeze), "glow_net_ops");
  if (status == GLOW_OK)
    status = check_ops(&copy);
  glow_net *net = status == GLOW_OK ? glow_allocate(context, sizeof *net) : NULL;
  if (!net) {
    if (copy.destroy)
      copy.destroy(self, context);
    return status == GLOW_OK ? GLOW_E_MEMORY : status;
  }
  net->context = context;
  net->ops = copy;
  net->self = self;
  *out = net;
  return GLOW_OK;
}

glow_status glow__net_freeze(const glow_net *net, const glow_pass *pass, glow_net **out) {
  *out = NULL;
  return net->ops.freeze ? net->ops.freeze(net->self, pass, out) : GLOW_OK;
}

void glow_net_destroy(glow_net **net) {
  if (!net || !*net)
    return;
  (*net)->ops.destroy((*net)->self, (*net)->context);
  glow_release((*net)->context, *net);
  *net = NULL;
}
