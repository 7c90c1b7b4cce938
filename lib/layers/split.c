/* split: the first half of the channels, x1, stays in the flow; the second, x2, becomes latents,
 * Gaussian with mean and log-sd the halves of h = (conv3x3(x1) + bias) exp(3 logs), which starts at
 * zero. The convolution may have the border indicator (math/border.h).
 * Kingma and Dhariwal 2018, section 3.6 and code. SPDX-License-Identifier: MIT */
#include <string.h>

#include "layers/gaussian.h"
#include "math/border.h"

typedef struct split {
  glow_split_options o;
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
typedef struct split_derived {
  float *packed, *back, *by_tap, *scale, *border;
} split_derived;

/* Floats of the border's part. */
static int64_t split_border_size(const split *s) {
  return s->o.border ? GLOW_BORDER_KINDS * s->channels : 0;
}

/* Floats before each part, and of all parts. */
typedef struct split_layout {
  int64_t back, by_tap, scale, border, total;
} split_layout;

static split_layout split_layout_of(const split *s, const glow_math *math) {
  int64_t taps = 9 * s->half;
  split_layout l;
  l.back = glow_aligned_floats(glow_math_packed_floats(math, taps, s->channels));
  l.by_tap = l.back + glow_math_packed_floats(math, s->channels, taps);
  l.scale = l.by_tap + s->channels * taps;
  l.border = l.scale + s->channels;
  l.total = l.border + split_border_size(s);
  return l;
}

static split_derived split_derived_at(const split *s, const glow_math *math, float *base) {
  split_layout l = split_layout_of(s, math);
  return (split_derived){base, base + l.back, base + l.by_tap, base + l.scale, base + l.border};
}

static split_derived split_derived_of(const split *s, const glow_call *call) {
  return split_derived_at(s, glow__math_of(call), (float *)(uintptr_t)glow_call_derived(call));
}

static glow_status split_declare_memory(split *s, glow_setup *setup) {
  const glow_math *math = glow_context_math(glow_setup_context(setup));
  int64_t taps = 9 * s->half;
  GLOW_TRY(glow_setup_worker_scratch(setup, s->image * s->channels, &s->h));
  GLOW_TRY(glow_setup_worker_scratch(setup, s->image * taps, &s->gathered));
  GLOW_TRY(glow_setup_worker_scratch(setup, s->image * s->channels, &s->dh));
  GLOW_TRY(glow_setup_worker_scratch(setup, glow_math_packed_floats(math, s->image, s->channels),
                                     &s->packed));
  GLOW_TRY(glow_setup_worker_scratch(setup, taps * s->channels, &s->d_weight));
  GLOW_TRY(glow_setup_worker_scratch(setup, 4 * s->channels, &s->sums));
  GLOW_TRY(glow_setup_worker_scratch(setup, 2 * split_border_size(s), &s->border_sums));
  GLOW_TRY(glow_setup_worker_scratch(setup, split_border_size(s), &s->border));
  return glow_setup_derived(setup, (size_t)split_layout_of(s, math).total * sizeof(float));
}

static glow_status split_configure(void *self, glow_setup *setup, const glow_shape *input,
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
  if (s->o.border)
    GLOW_TRY(glow_setup_tensor(setup, "prior.edge", GLOW_TYPE_F32, 1, 3, edge, &s->edge));
  GLOW_TRY(glow_setup_tensor(setup, "prior.bias", GLOW_TYPE_F32, 1, 1, vector, &s->bias));
  GLOW_TRY(glow_setup_tensor(setup, "prior.logs", GLOW_TYPE_F32, 1, 1, vector, &s->logs));
  GLOW_TRY(split_declare_memory(s, setup));
  return glow_setup_latents(setup, output);
}

static glow_status split_prepare(const void *self, const glow_call *call) {
  const split *s = self;
  const glow_math *math = glow__math_of(call);
  split_derived d = split_derived_at(s, math, glow_call_derived_mutable(call));
  const float *weight = glow_call_tensor(call, s->weight), *logs = glow_call_tensor(call, s->logs);
  int64_t taps = 9 * s->half;
  for (int64_t o = 0; o < s->channels; o++) {
    d.scale[o] = expf(3.0f * logs[o]);
    for (int64_t c = 0; c < s->half; c++)
      for (int64_t t = 0; t < 9; t++)
        d.by_tap[o * taps + t * s->half + c] = weight[o * taps + c * 9 + t];
  }
  glow_math_pack(math, taps, s->channels, d.by_tap, 1, taps, d.packed, 0,
                 glow_math_panel_count(math, s->channels));
  glow_math_pack(math, s->channels, taps, d.by_tap, taps, 1, d.back, 0,
                 glow_math_panel_count(math, taps));
  if (s->o.border) {
    glow__border_table(s->height, s->width, s->channels, glow_call_tensor(call, s->edge), d.border);
    for (int64_t i = 0; i < split_border_size(s); i++)
      d.border[i] *= d.scale[i % s->channels];
  }
  return GLOW_OK;
}

/* h [pixels, C], means and log-sds, of one sample whose x1 is in pixels of `stride` floats. */
static const float *split_prior_of(const split *s, const glow_call *call, const float *x1,
                                   int64_t stride) {
  const glow_math *math = glow__math_of(call);
  split_derived d = split_derived_of(s, call);
  float *gathered = glow_call_worker_scratch(call, s->gathered, 0);
  float *h = glow_call_worker_scratch(call, s->h, 0);
  glow_epilogue norm = {glow_call_tensor(call, s->bias), d.scale, 0, 0};
  glow__pointwise_of(call)->gather3x3(s->height, s->width, s->half, x1, stride, 1, 0, s->image,
                                      gathered);
  glow_math_multiply(math, s->image, s->channels, 9 * s->half, gathered,
                     glow_math_rows(math, 9 * s->half), d.packed, h,
                     glow_math_rows(math, s->channels), 0, glow_math_panel_count(math, s->channels),
                     &norm);
  if (s->o.border)
    glow__border_add(s->height, s->width, s->channels, d.border, 0, s->image, h);
  return h;
}

static void split_forward(const void *self, const glow_call *call, const float *x, float *y,
                          double *logdet, double *logprior) {
  const split *s = self;
  bool whiten = glow_call_latent_form(call) == GLOW_LATENTS_WHITENED;
  (void)logdet;
  for (int64_t n = 0; n < glow_call_sample_count(call); n++) {
    const float *in = x + n * s->image * s->channels;
    const float *h = split_prior_of(s, call, in, s->channels);
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

/* log p of one sample's latents z, which are whitened or raw. */
static double split_log_density(const split *s, const float *z, const float *h, bool whitened) {
  double density = 0;
  for (int64_t p = 0; p < s->image; p++)
    for (int64_t j = 0; j < s->half; j++) {
      float logs = h[p * s->channels + s->half + j], e = z[p * s->half + j];
      density += glow__gaussian(whitened ? e : glow__whiten(e, h[p * s->channels + j], logs), logs);
    }
  return density;
}

/* x of one sample, from the half that stays and the latents. */
static void split_join(const split *s, const float *kept, const float *z, const float *h,
                       float *x) {
  for (int64_t p = 0; p < s->image; p++) {
    float *to = x + p * s->channels;
    memcpy(to, kept + p * s->half, (size_t)s->half * sizeof *to);
    for (int64_t j = 0; j < s->half; j++)
      to[s->half + j] = h ? glow__unwhiten(z[p * s->half + j], h[p * s->channels + j],
                                           h[p * s->channels + s->half + j])
                          : z[p * s->half + j];
  }
}

static glow_status split_inverse(const void *self, const glow_call *call, const float *y, float *x,
                                 double *logdet, double *logprior) {
  const split *s = self;
  bool whitened = glow_call_latent_form(call) == GLOW_LATENTS_WHITENED;
  (void)logdet;
  for (int64_t n = 0; n < glow_call_sample_count(call); n++) {
    const float *kept = y + n * s->image * s->half;
    const float *z = glow_call_latents(call) + n * glow_call_latent_stride(call);
    const float *h = whitened || logprior ? split_prior_of(s, call, kept, s->half) : NULL;
    split_join(s, kept, z, whitened ? h : NULL, x + n * s->image * s->channels);
    if (logprior)
      logprior[n] += split_log_density(s, z, h, whitened);
  }
  return GLOW_OK;
}

/* The deviations that the prior has for these data. */
static glow_status split_diagnose(const void *self, const glow_call *call, const float *x,
                                  glow_findings *findings) {
  const split *s = self;
  for (int64_t n = 0; x && n < glow_call_sample_count(call); n++) {
    const float *h = split_prior_of(s, call, x + n * s->image * s->channels, s->channels);
    for (int64_t p = 0; p < s->image; p++)
      for (int64_t j = s->half; j < s->channels; j++)
        glow_findings_scale(findings, exp((double)h[p * s->channels + j]));
  }
  return GLOW_OK;
}

/* ---- backward -------------------------------------------------------------------------------- */

/* With e = (z - mean)/sd and weight w of the log-density: d z = -w e/sd, d mean = w e/sd,
 * d logs = w (e^2 - 1). Then through h = (conv + bias) exp(3 logs'): dh becomes the gradient of
 * conv. */
static void split_prior_gradient(const split *s, double w, const float *z, const float *dz,
                                 const float *h, float *dx, float *dh) {
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

static void split_conv_gradient(const split *s, const glow_call *call, const float *h, float *dh,
                                double *d_bias, double *d_logs) {
  const float *scale = split_derived_of(s, call).scale;
  for (int64_t p = 0; p < s->image; p++)
    for (int64_t o = 0; o < s->channels; o++) {
      int64_t i = p * s->channels + o;
      d_logs[o] += 3.0 * (double)dh[i] * (double)h[i];
      dh[i] *= scale[o];
      d_bias[o] += (double)dh[i];
    }
}

/* Adds to the sums for the kinds of border pixel, in double over the samples. */
static void split_border_gradient(const split *s, const glow_call *call, const float *dh) {
  float *sums = glow_call_worker_scratch(call, s->border, 0);
  double *total = (double *)(void *)glow_call_worker_scratch(call, s->border_sums, 0);
  if (!s->o.border)
    return;
  memset(sums, 0, (size_t)split_border_size(s) * sizeof *sums);
  glow__border_sums(s->height, s->width, s->channels, s->channels, dh, s->channels, 0, s->image,
                    sums);
  for (int64_t i = 0; i < split_border_size(s); i++)
    total[i] += (double)sums[i];
}

/* Adds the weight's gradient, by taps, and the gradient of x1 from that of conv. */
static void split_through_conv(const split *s, const glow_call *call, const float *dh, float *dx) {
  const glow_math *math = glow__math_of(call);
  const glow_epilogue none = {0}, add = {.accumulate = 1};
  float *gathered = glow_call_worker_scratch(call, s->gathered, 0);
  float *packed = glow_call_worker_scratch(call, s->packed, 0);
  int64_t taps = 9 * s->half, panels = glow_math_panel_count(math, s->channels);
  glow_layout wide = glow_math_rows(math, taps), narrow = glow_math_rows(math, s->channels);
  if (glow_call_gradient(call, s->weight)) {
    glow_math_pack(math, s->image, s->channels, dh, s->channels, 1, packed, 0, panels);
    glow_math_multiply_transposed(math, taps, s->channels, s->image, gathered, wide, packed,
                                  glow_call_worker_scratch(call, s->d_weight, 0), narrow, 0, panels,
                                  &add);
  }
  glow_math_multiply(math, s->image, taps, s->channels, dh, narrow, split_derived_of(s, call).back,
                     gathered, wide, 0, glow_math_panel_count(math, taps), &none);
  glow__pointwise_of(call)->sum3x3(s->height, s->width, s->half, gathered, -1, 0, s->image, dx,
                                   s->channels);
}

static void split_sample_gradient(const split *s, const glow_call *call,
                                  const glow_layer_gradient *g, int64_t n, double *d_bias,
                                  double *d_logs) {
  const float *kept = g->y + n * s->image * s->half, *d_kept = g->dy + n * s->image * s->half;
  const float *z = glow_call_latents(call) + n * glow_call_latent_stride(call);
  const float *dz = g->d_latents ? g->d_latents + n * glow_call_latent_stride(call) : NULL;
  float *dx = g->dx + n * s->image * s->channels;
  float *dh = glow_call_worker_scratch(call, s->dh, 0);
  const float *h = split_prior_of(s, call, kept, s->half);
  split_prior_gradient(s, g->d_logprior[n], z, dz, h, dx, dh);
  for (int64_t p = 0; p < s->image; p++)
    memcpy(dx + p * s->channels, d_kept + p * s->half, (size_t)s->half * sizeof *dx);
  split_conv_gradient(s, call, h, dh, d_bias, d_logs);
  split_border_gradient(s, call, dh);
  split_through_conv(s, call, dh, dx);
  if (!g->x)
    split_join(s, kept, z, NULL, g->x_out + n * s->image * s->channels);
}

static void split_add_gradients(const split *s, const glow_call *call, const double *d_bias,
                                const double *d_logs) {
  const float *block = glow_call_worker_scratch(call, s->d_weight, 0);
  float *weight = glow_call_gradient(call, s->weight);
  int64_t taps = 9 * s->half;
  if (!weight)
    return;
  for (int64_t t = 0; t < 9; t++)
    for (int64_t c = 0; c < s->half; c++)
      for (int64_t o = 0; o < s->channels; o++)
        weight[o * taps + c * 9 + t] += block[(t * s->half + c) * s->channels + o];
  for (int64_t o = 0; o < s->channels; o++) {
    glow_call_gradient(call, s->bias)[o] += (float)d_bias[o];
    glow_call_gradient(call, s->logs)[o] += (float)d_logs[o];
  }
  if (s->o.border)
    glow__border_gradient(s->height, s->width, s->channels,
                          (double *)(void *)glow_call_worker_scratch(call, s->border_sums, 0),
                          glow_call_gradient(call, s->edge));
}

static void split_clear_sums(const split *s, const glow_call *call, double *d_bias) {
  memset(d_bias, 0, 2 * (size_t)s->channels * sizeof *d_bias);
  memset(glow_call_worker_scratch(call, s->border_sums, 0), 0,
         (size_t)split_border_size(s) * sizeof(double));
  memset(glow_call_worker_scratch(call, s->d_weight, 0), 0,
         (size_t)(9 * s->half * s->channels) * sizeof(float));
}

static void split_backward(const void *self, const glow_call *call, const glow_layer_gradient *g) {
  const split *s = self;
  double *d_bias = (double *)(void *)glow_call_worker_scratch(call, s->sums, 0);
  double *d_logs = d_bias + s->channels;
  split_clear_sums(s, call, d_bias);
  for (int64_t n = 0; n < glow_call_sample_count(call); n++)
    split_sample_gradient(s, call, g, n, d_bias, d_logs);
  split_add_gradients(s, call, d_bias, d_logs);
}

/* ---- back through inverse -------------------------------------------------------------------- */

/* x2 = z is the raw latents, with e = (z - mean)/sd and weight w of its log-density. The gradient
 * of z is a = dx2 - w e/sd; d mean = w e/sd, d logs = w (e^2 - 1). With whitened latents z = mean +
 * sd e, so d e = sd a, and mean and logs also get a and a (z - mean). */
static void split_latent_gradient(const split *s, double w, const float *x, const float *h,
                                  bool whitened, float *dx, float *dh, float *d_latents) {
  for (int64_t p = 0; p < s->image; p++)
    for (int64_t j = 0; j < s->half; j++) {
      int64_t mean = p * s->channels + j, logs = mean + s->half;
      float e = glow__whiten(x[logs], h[mean], h[logs]), d = (float)w * e * expf(-h[logs]);
      float a = dx[logs] - d;
      dh[mean] = d + (whitened ? a : 0.0f);
      dh[logs] = (float)w * (e * e - 1.0f) + (whitened ? a * (x[logs] - h[mean]) : 0.0f);
      if (d_latents)
        d_latents[p * s->half + j] = whitened ? a * expf(h[logs]) : a;
    }
}

static void split_sample_inverse_gradient(const split *s, const glow_call *call,
                                          const glow_layer_inverse_gradient *g, int64_t n,
                                          double *d_bias, double *d_logs) {
  const float *x = g->x + n * s->image * s->channels;
  float *dx = g->dx + n * s->image * s->channels, *dy = g->dy + n * s->image * s->half;
  float *dh = glow_call_worker_scratch(call, s->dh, 0);
  float *d_latents = g->d_latents ? g->d_latents + n * glow_call_latent_stride(call) : NULL;
  const float *h = split_prior_of(s, call, x, s->channels);
  split_latent_gradient(s, g->d_logprior[n], x, h,
                        glow_call_latent_form(call) == GLOW_LATENTS_WHITENED, dx, dh, d_latents);
  split_conv_gradient(s, call, h, dh, d_bias, d_logs);
  split_border_gradient(s, call, dh);
  split_through_conv(s, call, dh, dx);
  for (int64_t p = 0; p < s->image; p++)
    memcpy(dy + p * s->half, dx + p * s->channels, (size_t)s->half * sizeof *dy);
}

static void split_inverse_backward(const void *self, const glow_call *call,
                                   const glow_layer_inverse_gradient *g) {
  const split *s = self;
  double *d_bias = (double *)(void *)glow_call_worker_scratch(call, s->sums, 0);
  double *d_logs = d_bias + s->channels;
  split_clear_sums(s, call, d_bias);
  for (int64_t n = 0; n < glow_call_sample_count(call); n++)
    split_sample_inverse_gradient(s, call, g, n, d_bias, d_logs);
  split_add_gradients(s, call, d_bias, d_logs);
}

/* ---- options --------------------------------------------------------------------------------- */

static const glow_option split_rows[] = {
    GLOW_OPTION(glow_split_options, border, INT32, .key = "edge", .high = 1),
    GLOW_OPTION(glow_split_options, fixed, INT32, .high = 1, .flags = GLOW_OPTION_QUIET),
};

static glow_status split_check(const void *options) {
  const glow_split_options *o = options;
  if (o->fixed && o->border)
    return glow_error(GLOW_E_ARGUMENT,
                      "glow_split_options: fixed and border are both 1; a fixed prior has no "
                      "convolution that could see the border");
  return GLOW_OK;
}

static const glow_options_table split_table = {GLOW_OPTIONS_TABLE(glow_split_options, split_rows),
                                               .check = split_check};

/* With `fixed`, this is a layer with another table. */
static glow_status split_create(glow_context *context, const void *options, glow_net **nets,
                                glow_layer **out) {
  (void)nets;
  return glow_split_create(context, options, out);
}

const glow_layer_ops glow__split_ops = {
    .struct_size = sizeof(glow_layer_ops),
    .type = "split",
    .flags = GLOW_LAYER_RECONSTRUCTS | GLOW_LAYER_ALWAYS_PREPARES | GLOW_LAYER_SKIPS_GRADIENTS,
    .options = &split_table,
    .self_size = sizeof(split),
    .configure = split_configure,
    .prepare = split_prepare,
    .forward = split_forward,
    .inverse = split_inverse,
    .backward = split_backward,
    .inverse_backward = split_inverse_backward,
    .create = split_create,
    .diagnose = split_diagnose,
};

glow_status glow_split_create(glow_context *context, const glow_split_options *options,
                              glow_layer **out) {
  glow_split_options o;
  if (out)
    *out = NULL;
  GLOW_TRY(glow_options_read(&split_table, options, &o));
  return glow_layer_create(context, o.fixed ? &glow__split_fixed_ops : &glow__split_ops, &o, NULL,
                           out);
}
