/* Internal face of layers/. SPDX-License-Identifier: MIT */
#ifndef GLOW_LIB_LAYERS_H
#define GLOW_LIB_LAYERS_H

#include <glow/sys/layer.h>

#include "base/base.h"

struct glow_layer {
  glow_context *context;
  glow_layer_ops ops;
  void *self;
};

/* Factories of the built-in types, for the registry: the list of layers. */
#define GLOW_LAYER_LIST(X)                                                                         \
  X(actnorm)                                                                                       \
  X(invconv)                                                                                       \
  X(permute)                                                                                       \
  X(scaling)                                                                                       \
  X(flatten)                                                                                       \
  X(coupling)                                                                                      \
  X(spline_coupling)                                                                               \
  X(squeeze)                                                                                       \
  X(split)                                                                                         \
  X(prior)                                                                                         \
  X(batchnorm)                                                                                     \
  X(logit)

#define GLOW_LAYER_FACTORY(type)                                                                   \
  glow_status glow__##type##_make(glow_context *context, const glow_config *config,                \
                                  glow_layer **out);
GLOW_LAYER_LIST(GLOW_LAYER_FACTORY)
#undef GLOW_LAYER_FACTORY

/* layers/split_fixed.c */
glow_status glow__split_fixed_create(glow_context *context, glow_layer **out);

static inline int64_t glow_shape_size(const glow_shape *shape) {
  return shape->height * shape->width * shape->channels;
}

#define GLOW_LOG_2PI 1.8378770664093454836

#endif
