/* split with a fixed prior: the first half of the channels goes on, the second becomes latents,
 * standard normal. Dinh et al. 2016, section 3.6. SPDX-License-Identifier: MIT */
#include <string.h>

#include "layers/gaussian.h"

typedef struct split {
  int64_t image, half; /* pixels of a sample; channels of each half */
} split;

static glow_status configure(void *self, glow_setup *setup, const glow_shape *input,
                             glow_shape *output) {
  split *s = self;
  if (input->channels % 2)
    return glow_error(GLOW_E_SHAPE, "a split needs an even number of channels, not %lld",
                      (long long)input->channels);
  s->image = input->height * input->width;
  s->half = input->channels / 2;
  *output = (glow_shape){input->height, input->width, s->half};
  return glow_setup_latents(setup, input->height, input->width, s->half);
}

static void forward(const void *self, const glow_call *call, const float *x, float *y,
                    double *logdet, double *logprior) {
  const split *s = self;
  size_t bytes = (size_t)s->half * sizeof *y;
  (void)logdet;
  for (int64_t n = 0; n < glow_call_sample_count(call); n++) {
    float *z = glow_call_latents(call) + n * glow_call_latent_stride(call);
    double density = 0;
    for (int64_t p = 0; p < s->image; p++) {
      const float *from = x + (n * s->image + p) * 2 * s->half;
      memcpy(y + (n * s->image + p) * s->half, from, bytes);
      memcpy(z + p * s->half, from + s->half, bytes);
      for (int64_t j = 0; j < s->half; j++)
        density += glow__gaussian(from[s->half + j], 0.0f);
    }
    logprior[n] += density;
  }
}

/* x from the kept half and the latents, of which raw and whitened are the same. */
static void join(const split *s, const glow_call *call, const float *kept, float *x) {
  size_t bytes = (size_t)s->half * sizeof *x;
  for (int64_t n = 0; n < glow_call_sample_count(call); n++) {
    const float *z = glow_call_latents(call) + n * glow_call_latent_stride(call);
    for (int64_t p = 0; p < s->image; p++) {
      float *to = x + (n * s->image + p) * 2 * s->half;
      memcpy(to, kept + (n * s->image + p) * s->half, bytes);
      memcpy(to + s->half, z + p * s->half, bytes);
    }
  }
}

static void inverse(const void *self, const glow_call *call, const float *y, float *x,
                    double *logdet) {
  (void)logdet;
  join(self, call, y, x);
}

/* d z = -w z, with w the gradient of the log-density. */
static void backward(const void *self, const glow_call *call, const glow_layer_gradient *g) {
  const split *s = self;
  for (int64_t n = 0; n < glow_call_sample_count(call); n++) {
    const float *z = glow_call_latents(call) + n * glow_call_latent_stride(call);
    const float *dz = g->d_latents ? g->d_latents + n * glow_call_latent_stride(call) : NULL;
    for (int64_t p = 0; p < s->image; p++) {
      float *dx = g->dx + (n * s->image + p) * 2 * s->half;
      memcpy(dx, g->dy + (n * s->image + p) * s->half, (size_t)s->half * sizeof *dx);
      for (int64_t j = 0; j < s->half; j++) {
        int64_t i = p * s->half + j;
        dx[s->half + j] = (float)-g->d_logprior[n] * z[i] + (dz ? dz[i] : 0.0f);
      }
    }
  }
  if (!g->x)
    join(s, call, g->y, g->x_out);
}

static glow_status save(const void *self, glow_config *config) {
  (void)self;
  return glow_config_set_int(config, "fixed", 1);
}

static void destroy(void *self, glow_context *context) {
  glow_release(context, self);
}

static const glow_layer_ops ops = {
    .struct_size = sizeof(glow_layer_ops),
    .type = "split",
    .flags = GLOW_LAYER_RECONSTRUCTS,
    .configure = configure,
    .forward = forward,
    .inverse = inverse,
    .backward = backward,
    .save = save,
    .destroy = destroy,
};

glow_status glow__split_fixed_create(glow_context *context, glow_layer **out) {
  split *s = glow_allocate(context, sizeof *s);
  return s ? glow_layer_create(context, &ops, s, out) : GLOW_E_MEMORY;
}
