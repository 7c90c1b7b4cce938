/* flatten: an image [H, W, C] as one vector [1, 1, H W C], in the order in which it is stored. The
 * numbers stay where they are; volume is kept. For layers that treat an image as a vector: NICE.
 * SPDX-License-Identifier: MIT */
#include <string.h>

#include "layers/layers.h"

typedef struct flatten {
  int64_t size;
} flatten;

static glow_status configure(void *self, glow_setup *setup, const glow_shape *input,
                             glow_shape *output) {
  flatten *f = self;
  (void)setup;
  f->size = glow_shape_size(input);
  *output = (glow_shape){1, 1, f->size};
  return GLOW_OK;
}

static void copy(const flatten *f, const glow_call *call, const float *from, float *to) {
  if (from != to)
    memcpy(to, from, (size_t)(glow_call_sample_count(call) * f->size) * sizeof *to);
}

static void forward(const void *self, const glow_call *call, const float *x, float *y,
                    double *logdet, double *logprior) {
  (void)logdet;
  (void)logprior;
  copy(self, call, x, y);
}

static void inverse(const void *self, const glow_call *call, const float *y, float *x,
                    double *logdet) {
  (void)logdet;
  copy(self, call, y, x);
}

static void backward(const void *self, const glow_call *call, const glow_layer_gradient *g) {
  copy(self, call, g->dy, g->dx);
  if (!g->x)
    copy(self, call, g->y, g->x_out);
}

static glow_status save(const void *self, glow_config *config) {
  (void)self;
  (void)config;
  return GLOW_OK;
}

static void destroy(void *self, glow_context *context) {
  glow_release(context, self);
}

static const glow_layer_ops ops = {
    .struct_size = sizeof(glow_layer_ops),
    .type = "flatten",
    .flags = GLOW_LAYER_IN_PLACE | GLOW_LAYER_RECONSTRUCTS,
    .configure = configure,
    .forward = forward,
    .inverse = inverse,
    .backward = backward,
    .save = save,
    .destroy = destroy,
};

glow_status glow_flatten_create(glow_context *context, glow_layer **out) {
  if (out)
    *out = NULL;
  if (!context || !out)
    return glow_error(GLOW_E_ARGUMENT, "glow_flatten_create: NULL argument");
  flatten *f = glow_allocate(context, sizeof *f);
  return f ? glow_layer_create(context, &ops, f, out) : GLOW_E_MEMORY;
}

glow_status glow__flatten_make(glow_context *context, const glow_config *config, glow_layer **out) {
  (void)config;
  return glow_flatten_create(context, out);
}
