/* Internal face of nets/. SPDX-License-Identifier: MIT */
#ifndef GLOW_LIB_NETS_H
#define GLOW_LIB_NETS_H

#include <glow/sys/net.h>

#include "base/base.h"

struct glow_net {
  glow_context *context;
  glow_net_ops ops;
  void *self;
};

/* Factories of the built-in types, for the registry. */
glow_status glow__conv_net_make(glow_context *context, const glow_config *config, glow_net **out);
glow_status glow__mlp_net_make(glow_context *context, const glow_config *config, glow_net **out);
glow_status glow__res_net_make(glow_context *context, const glow_config *config, glow_net **out);

#endif
