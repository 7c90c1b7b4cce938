/* flatten: an image [H, W, C] as one vector [1, 1, H W C], in the order of storage. The elements
 * stay where they are; log-det = 0. For layers that treat an image as a vector: NICE.
 * SPDX-License-Identifier: MIT */
#include <string.h>

#include "layers/layers.h"

typedef struct flatten {
  glow_flatten_options o;
  int64_t size; /* elements of a sample */
} flatten;

static glow_status flatten_configure(void *self, glow_setup *setup, const glow_shape *input,
                                     glow_shape *output) {
  flatten *f = self;
  (void)setup;
  f->size = glow_shape_size(input);
  *output = (glow_shape){1, 1, f->size};
  return GLOW_OK;
}

static void flatten_copy(const flatten *f, const glow_call *call, const float *from, float *to) {
  if (from != to)
    memcpy(to, from, (size_t)(glow_call_sample_count(call) * f->size) * sizeof *to);
}

static void flatten_forward(const void *self, const glow_call *call, const float *x, float *y,
                            double *logdet, double *logprior) {
  (void)logdet;
  (void)logprior;
  flatten_copy(self, call, x, y);
}

static glow_status flatten_inverse(const void *self, const glow_call *call, const float *y,
                                   float *x, double *logdet, double *logprior) {
  (void)logdet;
  (void)logprior;
  flatten_copy(self, call, y, x);
  return GLOW_OK;
}

static void flatten_backward(const void *self, const glow_call *call,
                             const glow_layer_gradient *g) {
  flatten_copy(self, call, g->dy, g->dx);
  if (!g->x)
    flatten_copy(self, call, g->y, g->x_out);
}

static void flatten_inverse_backward(const void *self, const glow_call *call,
                                     const glow_layer_inverse_gradient *g) {
  flatten_copy(self, call, g->dx, g->dy);
}

/* ---- options --------------------------------------------------------------------------------- */

static const glow_options_table flatten_table = {
    .struct_size = sizeof(glow_options_table),
    .name = "glow_flatten_options",
    .size = sizeof(glow_flatten_options),
    .smallest = sizeof(glow_flatten_options),
};

const glow_layer_ops glow__flatten_ops = {
    .struct_size = sizeof(glow_layer_ops),
    .type = "flatten",
    .flags = GLOW_LAYER_IN_PLACE | GLOW_LAYER_RECONSTRUCTS,
    .options = &flatten_table,
    .self_size = sizeof(flatten),
    .configure = flatten_configure,
    .forward = flatten_forward,
    .inverse = flatten_inverse,
    .backward = flatten_backward,
    .inverse_backward = flatten_inverse_backward,
};

glow_status glow_flatten_create(glow_context *context, const glow_flatten_options *options,
                                glow_layer **out) {
  return glow_layer_create(context, &glow__flatten_ops, options, NULL, out);
}
