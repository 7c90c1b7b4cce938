/* split: the first half of the channels, x1, goes on; the second, x2, becomes latents, Gaussian
 * with mean and log-sd the halves of h = (conv3x3(x1) + bias) exp(3 logs), which starts at zero.
 * The convolution may have the border indicator (math/border.h).
 * Kingma and Dhariwal 2018, section 3.6 and code. SPDX-License-Identifier: MIT */
#include <string.h>

#include "layers/gaussian.h"
#include "math/border.h"
#include "math/kernels.h"

typedef struct split {
  int32_t has_edge;
  int64_t height, width, image;
  int64_t half, channels;       /* of x1; of x, and of h */
  int32_t weight, bias, logs;   /* [C, C/2, 3, 3], [C], [C] */
  int32_t edge;                 /* [C, 3, 3], or -1 */
  int32_t h, gathered;          /* worker: of one sample */
  int32_t dh, packed, d_weight; /* worker, backward */
  int32_t sums;                 /* worker: doubles [2 C] */
  int32_t border, border_sums;  /* worker, backward: [9, C] of a sample; doubles, of all */
} split;

/* Derived: the weight packed, and packed transposed; by taps [C, (t, C/2)]; exp(3 logs) [C]; what
 * the border adds to each kind of pixel, times exp(3 logs) [9, C]. */
typedef struct derived {
  float *packed, *back, *by_tap, *scale, *border;
} derived;

/* Floats of what the border adds. */
static int64_t border_size(const split *s) {
  return s->has_edge ? GLOW_BORDER_KINDS * s->channels : 0;
}

/* Floats before each part, and in all. */
typedef struct layout {
  int64_t back, by_tap, scale, border, total;
} layout;

static layout layout_of(const split *s, const glow__kernels *kernels) {
  int64_t taps = 9 * s->half, unit = GLOW_ALIGN / (int64_t)sizeof(float);
  layout l;
  l.back = (glow__packed_size(kernels, taps, s->channels) + unit - 1) / unit * unit;
  l.by_tap = l.back + glow__packed_size(kernels, s->channels, taps);
  l.scale = l.by_tap + s->channels * taps;
  l.border = l.scale + s->channels;
  l.total = l.border + border_size(s);
  return l;
}

static derived derived_at(const split *s, const glow__kernels *kernels, float *base) {
  layout l = layout_of(s, kernels);
  return (derived){base, base + l.back, base + l.by_tap, base + l.scale, base + l.border};
}

static derived derived_of(const split *s, const glow_call *call) {
  return derived_at(s, glow_call_context(call)->kernels,
                    (float *)(uintptr_t)glow_call_derived(call));
}

static glow_status declare_memory(split *s, glow_setup *setup) {
  const glow__kernels *kernels = glow_setup_context(setup)->kernels;
  int64_t taps = 9 * s->half;
  GLOW_TRY(glow_setup_worker_scratch(setup, s->image * s->channels, &s->h));
  GLOW_TRY(glow_setup_worker_scratch(setup, s->image * taps, &s->gathered));
  GLOW_TRY(glow_setup_worker_scratch(setup, s->image * s->channels, &s->dh));
  GLOW_TRY(glow_setup_worker_scratch(setup, glow__packed_size(kernels, s->image, s->channels),
                                     &s->packed));
  GLOW_TRY(glow_setup_worker_scratch(setup, taps * s->channels, &s->d_weight));
  GLOW_TRY(glow_setup_worker_scratch(setup, 4 * s->channels, &s->sums));
  GLOW_TRY(glow_setup_worker_scratch(setup, 2 * border_size(s), &s->border_sums));
  GLOW_TRY(glow_setup_worker_scratch(setup, border_size(s), &s->border));
  return glow_setup_derived(setup, (size_t)layout_of(s, kernels).total * sizeof(float));
}

static glow_status configure(void *self, glow_setup *setup, const glow_shape *input,
                             glow_shape *output) {
  split *s = self;
  int64_t floats = 0;
  if (input->channels % 2)
    return glow_error(GLOW_E_SHAPE, "a split needs an even number of channels, not %lld",
                      (long long)input->channels);
  s->height = input->height;
  s->width = input->width;
  s->image = input->height * input->width;
  s->channels = input->channels;
  s->half = input->channels / 2;
  if (!glow_size_multiply(s->channels * 9, s->channels, &floats) || s->channels > 1 << 24)
    return glow_error(GLOW_E_LIMIT, "too many channels");
  *output = (glow_shape){input->height, input->width, s->half};
  int64_t weight[] = {s->channels, s->half, 3, 3}, vector[] = {s->channels};
  int64_t edge[] = {s->channels, 3, 3};
  GLOW_TRY(glow_setup_tensor(setup, "prior.weight", GLOW_TYPE_F32, 1, 4, weight, &s->weight));
  s->edge = -1;
  if (s->has_edge)
    GLOW_TRY(glow_setup_tensor(setup, "prior.edge", GLOW_TYPE_F32, 1, 3, edge, &s->edge));
  GLOW_TRY(glow_setup_tensor(setup, "prior.bias", GLOW_TYPE_F32, 1, 1, vector, &s->bias));
  GLOW_TRY(glow_setup_tensor(setup, "prior.logs", GLOW_TYPE_F32, 1, 1, vector, &s->logs));
  GLOW_TRY(declare_memory(s, setup));
  return glow_setup_latents(setup, s->height, s->width, s->half);
}

static glow_status prepare(const void *self, const glow_call *call) {
  const split *s = self;
  const glow__kernels *kernels = glow_call_context(call)->kernels;
  derived d = derived_at(s, kernels, glow_call_derived_mutable(call));
  const float *weight = glow_call_tensor(call, s->weight), *logs = glow_call_tensor(call, s->logs);
  int64_t taps = 9 * s->half;
  for (int64_t o = 0; o < s->channels; o++) {
    d.scale[o] = expf(3.0f * logs[o]);
    for (int64_t c = 0; c < s->half; c++)
      for (int64_t t = 0; t < 9; t++)
        d.by_tap[o * taps + t * s->half + c] = weight[o * taps + c * 9 + t];
  }
  kernels->pack(taps, s->channels, d.by_tap, 1, taps, d.packed, 0,
                glow__panels(kernels, s->channels));
  kernels->pack(s->channels, taps, d.by_tap, taps, 1, d.back, 0, glow__panels(kernels, taps));
  if (s->has_edge) {
    glow__border_table(s->height, s->width, s->channels, glow_call_tensor(call, s->edge), d.border);
    for (int64_t i = 0; i < border_size(s); i++)
      d.border[i] *= d.scale[i % s->channels];
  }
  return GLOW_OK;
}

/* h [pixels, C] of one sample, whose x1 lies in pixels of `stride` floats. */
static const float *law_of(const split *s, const glow_call *call, const float *x1, int64_t stride) {
  const glow__kernels *kernels = glow_call_context(call)->kernels;
  derived d = derived_of(s, call);
  float *gathered = glow_call_worker_scratch(call, s->gathered, 0);
  float *h = glow_call_worker_scratch(call, s->h, 0);
  glow_epilogue norm = {glow_call_tensor(call, s->bias), d.scale, 0, 0};
  kernels->passes->gather3x3(s->height, s->width, s->half, x1, stride, 1, 0, s->image, gathered);
  kernels->gemm(s->image, s->channels, 9 * s->half, gathered, glow__in_rows(kernels, 9 * s->half),
                d.packed, h, glow__in_rows(kernels, s->channels), 0,
                glow__panels(kernels, s->channels), &norm);
  if (s->has_edge)
    glow__border_add(s->height, s->width, s->channels, d.border, 0, s->image, h);
  return h;
}

static void forward(const void *self, const glow_call *call, const float *x, float *y,
                    double *logdet, double *logprior) {
  const split *s = self;
  bool whiten = glow_call_latent_form(call) == GLOW_LATENTS_WHITENED;
  (void)logdet;
  for (int64_t n = 0; n < glow_call_sample_count(call); n++) {
    const float *in = x + n * s->image * s->channels;
    const float *h = law_of(s, call, in, s->channels);
    float *z = glow_call_latents(call) + n * glow_call_latent_stride(call);
    double density = 0;
    for (int64_t p = 0; p < s->image; p++) {
      memcpy(y + (n * s->image + p) * s->half, in + p * s->channels, (size_t)s->half * sizeof *y);
      for (int64_t j = 0; j < s->half; j++) {
        float raw = in[p * s->channels + s->half + j], logs = h[p * s->channels + s->half + j];
        float e = glow__whiten(raw, h[p * s->channels + j], logs);
        density += glow__gaussian(e, logs);
        z[p * s->half + j] = whiten ? e : raw;
      }
    }
    logprior[n] += density;
  }
}

/* x of one sample from the kept half and the latents. */
static void join(const split *s, const float *kept, const float *z, const float *h, float *x) {
  for (int64_t p = 0; p < s->image; p++) {
    float *to = x + p * s->channels;
    memcpy(to, kept + p * s->half, (size_t)s->half * sizeof *to);
    for (int64_t j = 0; j < s->half; j++)
      to[s->half + j] = h ? glow__unwhiten(z[p * s->half + j], h[p * s->channels + j],
                                           h[p * s->channels + s->half + j])
                          : z[p * s->half + j];
  }
}

static void inverse(const void *self, const glow_call *call, const float *y, float *x,
                    double *logdet) {
  const split *s = self;
  bool whitened = glow_call_latent_form(call) == GLOW_LATENTS_WHITENED;
  (void)logdet;
  for (int64_t n = 0; n < glow_call_sample_count(call); n++) {
    const float *kept = y + n * s->image * s->half;
    const float *h = whitened ? law_of(s, call, kept, s->half) : NULL;
    join(s, kept, glow_call_latents(call) + n * glow_call_latent_stride(call), h,
         x + n * s->image * s->channels);
  }
}

/* ---- backward -------------------------------------------------------------------------------- */

/* With e = (z - mean)/sd and weight w of the log-density: d z = -w e/sd, d mean = w e/sd,
 * d logs = w (e^2 - 1). Then through h = (conv + bias) exp(3 logs'): dh becomes the gradient of
 * conv. */
static void law_gradient(const split *s, double w, const float *z, const float *dz, const float *h,
                         float *dx, float *dh) {
  for (int64_t p = 0; p < s->image; p++)
    for (int64_t j = 0; j < s->half; j++) {
      int64_t mean = p * s->channels + j, logs = mean + s->half;
      float e = glow__whiten(z[p * s->half + j], h[mean], h[logs]);
      float d = (float)w * e * expf(-h[logs]);
      dh[mean] = d;
      dh[logs] = (float)w * (e * e - 1.0f);
      dx[logs] = -d + (dz ? dz[p * s->half + j] : 0.0f);
    }
}

static void conv_gradient(const split *s, const glow_call *call, const float *h, float *dh,
                          double *d_bias, double *d_logs) {
  const float *scale = derived_of(s, call).scale;
  for (int64_t p = 0; p < s->image; p++)
    for (int64_t o = 0; o < s->channels; o++) {
      int64_t i = p * s->channels + o;
      d_logs[o] += 3.0 * (double)dh[i] * (double)h[i];
      dh[i] *= scale[o];
      d_bias[o] += (double)dh[i];
    }
}

/* Adds to the sums of the border's kinds, in double over the samples. */
static void border_gradient(const split *s, const glow_call *call, const float *dh) {
  float *sums = glow_call_worker_scratch(call, s->border, 0);
  double *total = (double *)(void *)glow_call_worker_scratch(call, s->border_sums, 0);
  if (!s->has_edge)
    return;
  memset(sums, 0, (size_t)border_size(s) * sizeof *sums);
  glow__border_sums(s->height, s->width, s->channels, s->channels, dh, s->channels, 0, s->image,
                    sums);
  for (int64_t i = 0; i < border_size(s); i++)
    total[i] += (double)sums[i];
}

/* Adds the weight's gradient, by taps, and the gradient of x1 from that of conv. */
static void through_conv(const split *s, const glow_call *call, const float *dh, float *dx) {
  const glow__kernels *kernels = glow_call_context(call)->kernels;
  const glow_epilogue none = {0}, add = {.accumulate = 1};
  float *gathered = glow_call_worker_scratch(call, s->gathered, 0);
  float *packed = glow_call_worker_scratch(call, s->packed, 0);
  int64_t taps = 9 * s->half, panels = glow__panels(kernels, s->channels);
  kernels->pack(s->image, s->channels, dh, s->channels, 1, packed, 0, panels);
  glow_layout wide = glow__in_rows(kernels, taps), narrow = glow__in_rows(kernels, s->channels);
  kernels->gemm_transposed(taps, s->channels, s->image, gathered, wide, packed,
                           glow_call_worker_scratch(call, s->d_weight, 0), narrow, 0, panels, &add);
  kernels->gemm(s->image, taps, s->channels, dh, narrow, derived_of(s, call).back, gathered, wide,
                0, glow__panels(kernels, taps), &none);
  kernels->passes->sum3x3(s->height, s->width, s->half, gathered, -1, 0, s->image, dx, s->channels);
}

static void sample_gradient(const split *s, const glow_call *call, const glow_layer_gradient *g,
                            int64_t n, double *d_bias, double *d_logs) {
  const float *kept = g->y + n * s->image * s->half, *d_kept = g->dy + n * s->image * s->half;
  const float *z = glow_call_latents(call) + n * glow_call_latent_stride(call);
  const float *dz = g->d_latents ? g->d_latents + n * glow_call_latent_stride(call) : NULL;
  float *dx = g->dx + n * s->image * s->channels;
  float *dh = glow_call_worker_scratch(call, s->dh, 0);
  const float *h = law_of(s, call, kept, s->half);
  law_gradient(s, g->d_logprior[n], z, dz, h, dx, dh);
  for (int64_t p = 0; p < s->image; p++)
    memcpy(dx + p * s->channels, d_kept + p * s->half, (size_t)s->half * sizeof *dx);
  conv_gradient(s, call, h, dh, d_bias, d_logs);
  border_gradient(s, call, dh);
  through_conv(s, call, dh, dx);
  if (!g->x)
    join(s, kept, z, NULL, g->x_out + n * s->image * s->channels);
}

static void add_gradients(const split *s, const glow_call *call, const double *d_bias,
                          const double *d_logs) {
  const float *block = glow_call_worker_scratch(call, s->d_weight, 0);
  float *weight = glow_call_gradient(call, s->weight);
  int64_t taps = 9 * s->half;
  for (int64_t t = 0; t < 9; t++)
    for (int64_t c = 0; c < s->half; c++)
      for (int64_t o = 0; o < s->channels; o++)
        weight[o * taps + c * 9 + t] += block[(t * s->half + c) * s->channels + o];
  for (int64_t o = 0; o < s->channels; o++) {
    glow_call_gradient(call, s->bias)[o] += (float)d_bias[o];
    glow_call_gradient(call, s->logs)[o] += (float)d_logs[o];
  }
  if (s->has_edge)
    glow__border_gradient(s->height, s->width, s->channels,
                          (double *)(void *)glow_call_worker_scratch(call, s->border_sums, 0),
                          glow_call_gradient(call, s->edge));
}

static void backward(const void *self, const glow_call *call, const glow_layer_gradient *g) {
  const split *s = self;
  double *d_bias = (double *)(void *)glow_call_worker_scratch(call, s->sums, 0);
  double *d_logs = d_bias + s->channels;
  memset(d_bias, 0, 2 * (size_t)s->channels * sizeof *d_bias);
  memset(glow_call_worker_scratch(call, s->border_sums, 0), 0,
         (size_t)border_size(s) * sizeof(double));
  memset(glow_call_worker_scratch(call, s->d_weight, 0), 0,
         (size_t)(9 * s->half * s->channels) * sizeof(float));
  for (int64_t n = 0; n < glow_call_sample_count(call); n++)
    sample_gradient(s, call, g, n, d_bias, d_logs);
  add_gradients(s, call, d_bias, d_logs);
}

static glow_status save(const void *self, glow_config *config) {
  const split *s = self;
  return glow_config_set_int(config, "edge", s->has_edge);
}

static void destroy(void *self, glow_context *context) {
  glow_release(context, self);
}

static const glow_layer_ops ops = {
    .struct_size = sizeof(glow_layer_ops),
    .type = "split",
    .flags = GLOW_LAYER_RECONSTRUCTS | GLOW_LAYER_ALWAYS_PREPARES,
    .configure = configure,
    .prepare = prepare,
    .forward = forward,
    .inverse = inverse,
    .backward = backward,
    .save = save,
    .destroy = destroy,
};

glow_status glow_split_create(glow_context *context, const glow_split_options *options,
                                   glow_layer **out) {
  glow_split_options o = GLOW_SPLIT_OPTIONS_INIT;
  if (out)
    *out = NULL;
  if (!context || !out)
    return glow_error(GLOW_E_ARGUMENT, "glow_split_create: NULL argument");
  GLOW_TRY(glow__options_copy(&o, sizeof o, options, sizeof o, "glow_split_options"));
  if (o.edge < 0 || o.edge > 1)
    return glow_error(GLOW_E_ARGUMENT, "edge is %d; it must be 0 or 1", o.edge);
  if (o.fixed < 0 || o.fixed > 1 || (o.fixed && o.edge))
    return glow_error(GLOW_E_ARGUMENT, "fixed is %d; it must be 0 or 1, and 0 with edge", o.fixed);
  if (o.fixed)
    return glow__split_fixed_create(context, out);
  split *s = glow_allocate(context, sizeof *s);
  if (!s)
    return GLOW_E_MEMORY;
  s->has_edge = o.edge;
  return glow_layer_create(context, &ops, s, out);
}

glow_status glow_split_create(glow_context *context, glow_layer **out) {
  return glow_split_create(context, NULL, out);
}

glow_status glow__split_make(glow_context *context, const glow_config *config, glow_layer **out) {
  glow_split_options o = GLOW_SPLIT_OPTIONS_INIT;
  int64_t edge = o.edge, fixed = o.fixed;
  GLOW_TRY(glow_config_get_int(config, "edge", 0, 1, &edge));
  GLOW_TRY(glow_config_get_int(config, "fixed", 0, 1, &fixed));
  o.edge = (int32_t)edge;
  o.fixed = (int32_t)fixed;
  return glow_split_create(context, &o, out);
}
