/* split with a fixed prior: the first half of the channels stays in the flow, the second becomes
 * latents, standard normal. Dinh et al. 2016, section 3.6. SPDX-License-Identifier: MIT */
#include <string.h>

#include "layers/gaussian.h"

typedef struct split_fixed {
  glow_split_options o;
  int64_t image, half; /* pixels of a sample; channels of each half */
} split_fixed;

static glow_status split_fixed_configure(void *self, glow_setup *setup, const glow_shape *input,
                                         glow_shape *output) {
  split_fixed *s = self;
  if (input->channels % 2)
    return glow_error(GLOW_E_SHAPE, "a split needs an even number of channels, not %lld",
                      (long long)input->channels);
  s->image = input->height * input->width;
  s->half = input->channels / 2;
  *output = (glow_shape){input->height, input->width, s->half};
  return glow_setup_latents(setup, output);
}

static void split_fixed_forward(const void *self, const glow_call *call, const float *x, float *y,
                                double *logdet, double *logprior) {
  const split_fixed *s = self;
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

/* x from the half that stays and the latents, whose raw and whitened forms are the same. */
static void split_fixed_join(const split_fixed *s, const glow_call *call, const float *kept,
                             float *x) {
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

static glow_status split_fixed_inverse(const void *self, const glow_call *call, const float *y,
                                       float *x, double *logdet, double *logprior) {
  const split_fixed *s = self;
  (void)logdet;
  split_fixed_join(s, call, y, x);
  for (int64_t n = 0; logprior && n < glow_call_sample_count(call); n++) {
    const float *z = glow_call_latents(call) + n * glow_call_latent_stride(call);
    double density = 0;
    for (int64_t i = 0; i < s->image * s->half; i++)
      density += glow__gaussian(z[i], 0.0f);
    logprior[n] += density;
  }
  return GLOW_OK;
}

/* d z = -w z, with w the gradient of the log-density. */
static void split_fixed_backward(const void *self, const glow_call *call,
                                 const glow_layer_gradient *g) {
  const split_fixed *s = self;
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
    split_fixed_join(s, call, g->y, g->x_out);
}

/* Raw and whitened latents are the same, and x2. */
static void split_fixed_inverse_backward(const void *self, const glow_call *call,
                                         const glow_layer_inverse_gradient *g) {
  const split_fixed *s = self;
  for (int64_t n = 0; n < glow_call_sample_count(call); n++) {
    float *dz = g->d_latents ? g->d_latents + n * glow_call_latent_stride(call) : NULL;
    for (int64_t p = 0; p < s->image; p++) {
      const float *x = g->x + (n * s->image + p) * 2 * s->half;
      const float *dx = g->dx + (n * s->image + p) * 2 * s->half;
      memcpy(g->dy + (n * s->image + p) * s->half, dx, (size_t)s->half * sizeof *dx);
      for (int64_t j = s->half; dz && j < 2 * s->half; j++)
        dz[p * s->half + j - s->half] = dx[j] - (float)g->d_logprior[n] * x[j];
    }
  }
}

/* ---- options --------------------------------------------------------------------------------- */

/* Checked by glow_split_create; a file only needs to say that the split is of this kind. */
static const glow_option split_fixed_rows[] = {
    GLOW_OPTION(glow_split_options, fixed, INT32, .low = 1, .high = 1, .fallback = 1),
};
static const glow_options_table split_fixed_table = {
    GLOW_OPTIONS_TABLE(glow_split_options, split_fixed_rows)};

const glow_layer_ops glow__split_fixed_ops = {
    .struct_size = sizeof(glow_layer_ops),
    .type = "split",
    .flags = GLOW_LAYER_RECONSTRUCTS,
    .options = &split_fixed_table,
    .self_size = sizeof(split_fixed),
    .configure = split_fixed_configure,
    .forward = split_fixed_forward,
    .inverse = split_fixed_inverse,
    .backward = split_fixed_backward,
    .inverse_backward = split_fixed_inverse_backward,
};
