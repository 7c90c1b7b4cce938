/* The list of built-in types. SPDX-License-Identifier: MIT */
#include "layers/layers.h"
#include "nets/nets.h"
#include "presets/presets.h"

static const glow_layer_ops *const layers[] = {
#define GLOW_LAYER_OPS(type) &glow__##type##_ops,
    GLOW_LAYER_LIST(GLOW_LAYER_OPS)
#undef GLOW_LAYER_OPS
};

static const glow_net_ops *const nets[] = {
#define GLOW_NET_OPS(type) &glow__##type##_net_ops,
    GLOW_NET_LIST(GLOW_NET_OPS)
#undef GLOW_NET_OPS
};

glow_status glow__register_types(glow_context *context) {
  for (size_t i = 0; i < sizeof layers / sizeof *layers; i++)
    GLOW_TRY(glow_context_register_layer(context, layers[i]));
  for (size_t i = 0; i < sizeof nets / sizeof *nets; i++)
    GLOW_TRY(glow_context_register_net(context, nets[i]));
  return GLOW_OK;
}
