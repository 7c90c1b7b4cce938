/* Internal face of nets/. SPDX-License-Identifier: MIT */
#ifndef GLOW_LIB_NETS_H
#define GLOW_LIB_NETS_H

#include <stdbool.h>

#include <glow/sys/layer.h>
#include <glow/sys/net.h>

#include "base/base.h"

struct glow_net {
  glow_context *context;
  glow_net_ops ops;
  void *self;
};

/* Flags that a layer has because its net is as it is. */
static inline uint32_t glow__net_layer_flags(const glow_net *net) {
  bool prepares = net->ops.flags & GLOW_NET_ALWAYS_PREPARES || !net->ops.prepare;
  return (prepares ? GLOW_LAYER_ALWAYS_PREPARES : 0u) |
         (net->ops.flags & GLOW_NET_INFERENCE_ONLY ? GLOW_LAYER_INFERENCE_ONLY : 0u);
}

/* The net's inference form, or NULL when it has none. */
glow_status glow__net_inference_form(const glow_net *net, const glow_call *call, glow_net **out);

/* Factories of the built-in types, for the registry. */
glow_status glow__conv_net_make(glow_context *context, const glow_config *config, glow_net **out);
glow_status glow__mlp_net_make(glow_context *context, const glow_config *config, glow_net **out);
glow_status glow__res_net_make(glow_context *context, const glow_config *config, glow_net **out);

#endif
