/* The internal interface of layers/: the list of layers, and what their files share.
 *
 * A layer is one file; a second idea of it may have a file of its own. The file has options and
 * state in one struct, which starts with the options; the functions of the table; the rows of the
 * options; the table; the constructor. SPDX-License-Identifier: MIT */
#ifndef GLOW_LIB_LAYERS_H
#define GLOW_LIB_LAYERS_H

#include <glow/sys/layer.h>
#include <glow/sys/math.h>
#include <stdbool.h>

#include "math/kernels.h"

/* The types that files can name, which are registered in every context: their tables are
 * glow__<type>_ops. */
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
  X(logit)                                                                                         \
  X(standardise)

#define GLOW_LAYER_OPS(type) extern const glow_layer_ops glow__##type##_ops;
GLOW_LAYER_LIST(GLOW_LAYER_OPS)
#undef GLOW_LAYER_OPS

/* layers/split_fixed.c: a split with `fixed`. Its type is "split" too. */
extern const glow_layer_ops glow__split_fixed_ops;

static inline const glow_math *glow__math_of(const glow_call *call) {
  return glow_context_math(glow_call_context(call));
}

/* Kernels over activations other than products, which <glow/sys/math.h> does not have. */
static inline const glow__pointwise *glow__pointwise_of(const glow_call *call) {
  return &glow__math_kernels(glow__math_of(call))->pointwise;
}

/* What the layer's own backward is given in inverse_backward: g->dy holds v, and g->dx is written
 * over (<glow/sys/layer.h>). */
static inline glow_layer_gradient glow__inverse_forwards(const glow_layer_inverse_gradient *g) {
  return (glow_layer_gradient){.struct_size = sizeof(glow_layer_gradient),
                               .y = g->y,
                               .dy = g->dy,
                               .x = g->x,
                               .dx = g->dx,
                               .d_logdet = g->d_logdet,
                               .d_logprior = g->d_logprior};
}

/* Ends inverse_backward with that: g->dy becomes -v. count: elements of the output. */
static inline void glow__inverse_by_backward(void (*backward)(const void *, const glow_call *,
                                                              const glow_layer_gradient *),
                                             const void *self, const glow_call *call,
                                             const glow_layer_inverse_gradient *g, int64_t count) {
  const glow_layer_gradient forward = glow__inverse_forwards(g);
  backward(self, call, &forward);
  for (int64_t i = 0; i < count; i++)
    g->dy[i] = -g->dy[i];
}

#define GLOW_LOG_2PI 1.8378770664093454836

#endif
