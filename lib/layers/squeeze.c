/* squeeze: [H,W,C] to [H/2,W/2,4C]; output channel c*4 + 2*dy + dx. Volume is kept.
 * Dinh et al. 2016, section 3.6. SPDX-License-Identifier: MIT */
#include "layers/layers.h"

typedef struct squeeze {
  glow_shape in;
} squeeze;

static glow_status configure(void *self, glow_setup *setup, const glow_shape *input,
                             glow_shape *output) {
  squeeze *s = self;
  int64_t channels = 0;
  (void)setup;
  if (input->height % 2 || input->width % 2)
    return glow_error(GLOW_E_SHAPE, "height %lld and width %lld must be even",
                      (long long)input->height, (long long)input->width);
  if (!glow_size_multiply(input->channels, 4, &channels))
    return glow_error(GLOW_E_LIMIT, "too many channels");
  s->in = *input;
  *output = (glow_shape){input->height / 2, input->width / 2, channels};
  return GLOW_OK;
}

/* Copies between the image x and its squeezed form y; to_y tells the direction. */
static void move(const squeeze *s, int64_t samples, const float *from, float *to, bool to_y) {
  int64_t width = s->in.width, channels = s->in.channels, rows = samples * s->in.height;
  for (int64_t row = 0; row < rows; row++)
    for (int64_t column = 0; column < width; column++) {
      int64_t x = (row * width + column) * channels;
      int64_t y =
          ((row / 2) * (width / 2) + column / 2) * 4 * channels + 2 * (row % 2) + column % 2;
      for (int64_t c = 0; c < channels; c++)
        if (to_y)
          to[y + 4 * c] = from[x + c];
        else
          to[x + c] = from[y + 4 * c];
    }
}

static void forward(const void *self, const glow_call *call, const float *x, float *y,
                    double *logdet, double *logprior) {
  (void)logdet;
  (void)logprior;
  move(self, glow_call_sample_count(call), x, y, true);
}

static void inverse(const void *self, const glow_call *call, const float *y, float *x,
                    double *logdet) {
  (void)logdet;
  move(self, glow_call_sample_count(call), y, x, false);
}

static void backward(const void *self, const glow_call *call, const glow_layer_gradient *g) {
  move(self, glow_call_sample_count(call), g->dy, g->dx, false);
  if (!g->x)
    move(self, glow_call_sample_count(call), g->y, g->x_out, false);
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
    .type = "squeeze",
    .flags = GLOW_LAYER_RECONSTRUCTS,
    .configure = configure,
    .forward = forward,
    .inverse = inverse,
    .backward = backward,
    .save = save,
    .destroy = destroy,
};

glow_status glow_squeeze_create(glow_context *context, glow_layer **out) {
  if (out)
    *out = NULL;
  if (!context || !out)
    return glow_error(GLOW_E_ARGUMENT, "glow_squeeze_create: NULL argument");
  squeeze *s = glow_allocate(context, sizeof *s);
  return s ? glow_layer_create(context, &ops, s, out) : GLOW_E_MEMORY;
}

glow_status glow__squeeze_make(glow_context *context, const glow_config *config, glow_layer **out) {
  (void)config;
  return glow_squeeze_create(context, out);
}
