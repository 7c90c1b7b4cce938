/* squeeze: [H,W,C] to [H/2,W/2,4C]; output channel c*4 + 2*dy + dx. log-det = 0.
 * Dinh et al. 2016, section 3.6. SPDX-License-Identifier: MIT */
#include "layers/layers.h"

typedef struct squeeze {
  glow_squeeze_options o;
  glow_shape in;
} squeeze;

static glow_status squeeze_configure(void *self, glow_setup *setup, const glow_shape *input,
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

/* Copies between the image x and its squeezed form y; to_y gives the direction. */
static void squeeze_move(const squeeze *s, int64_t samples, const float *from, float *to,
                         bool to_y) {
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

static void squeeze_forward(const void *self, const glow_call *call, const float *x, float *y,
                            double *logdet, double *logprior) {
  (void)logdet;
  (void)logprior;
  squeeze_move(self, glow_call_sample_count(call), x, y, true);
}

static glow_status squeeze_inverse(const void *self, const glow_call *call, const float *y,
                                   float *x, double *logdet, double *logprior) {
  (void)logdet;
  (void)logprior;
  squeeze_move(self, glow_call_sample_count(call), y, x, false);
  return GLOW_OK;
}

static void squeeze_backward(const void *self, const glow_call *call,
                             const glow_layer_gradient *g) {
  squeeze_move(self, glow_call_sample_count(call), g->dy, g->dx, false);
  if (!g->x)
    squeeze_move(self, glow_call_sample_count(call), g->y, g->x_out, false);
}

static void squeeze_inverse_backward(const void *self, const glow_call *call,
                                     const glow_layer_inverse_gradient *g) {
  squeeze_move(self, glow_call_sample_count(call), g->dx, g->dy, true);
}

/* ---- options --------------------------------------------------------------------------------- */

static const glow_options_table squeeze_table = {
    .struct_size = sizeof(glow_options_table),
    .name = "glow_squeeze_options",
    .size = sizeof(glow_squeeze_options),
    .smallest = sizeof(glow_squeeze_options),
};

const glow_layer_ops glow__squeeze_ops = {
    .struct_size = sizeof(glow_layer_ops),
    .type = "squeeze",
    .flags = GLOW_LAYER_RECONSTRUCTS,
    .options = &squeeze_table,
    .self_size = sizeof(squeeze),
    .configure = squeeze_configure,
    .forward = squeeze_forward,
    .inverse = squeeze_inverse,
    .backward = squeeze_backward,
    .inverse_backward = squeeze_inverse_backward,
};

glow_status glow_squeeze_create(glow_context *context, const glow_squeeze_options *options,
                                glow_layer **out) {
  return glow_layer_create(context, &glow__squeeze_ops, options, NULL, out);
}
