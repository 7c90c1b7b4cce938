/* A layer with two nets, and its nets: what test_hosting.c is about. pair.h has the formulas.
 * SPDX-License-Identifier: MIT */
#include "pair.h"

#include <glow/sys/math.h>

const glow_shape pair_shape = {2, 3, PAIR_CHANNELS};

/* ---- the nets -------------------------------------------------------------------------------- */

typedef struct tanh_options {
  size_t struct_size;
  double strength;  /* above 0; default 1 */
  int32_t rounds;   /* of initialisation, of which the last sets the norm: 1 or 2; default 1 */
  int32_t has_form; /* 1: it has a form for inference */
} tanh_options;

static const glow_option tanh_rows[] = {
    GLOW_OPTION(tanh_options, strength, REAL, .high = 1e9, .fallback = 1,
                .flags = GLOW_OPTION_ABOVE_LOW),
    GLOW_OPTION(tanh_options, rounds, INT32, .low = 1, .high = 2, .fallback = 1),
    GLOW_OPTION(tanh_options, has_form, INT32, .high = 1, .flags = GLOW_OPTION_QUIET)};
static const glow_options_table tanh_table = {GLOW_OPTIONS_TABLE(tanh_options, tanh_rows)};

typedef struct tanh_net {
  tanh_options options;
  int64_t pixels, in, out;
  int32_t w, bias, logs, stored;
} tanh_net;

static glow_status tanh_configure(void *self, glow_setup *setup, const glow_shape *input,
                                  int64_t out_channels) {
  tanh_net *t = self;
  t->pixels = input->height * input->width;
  t->in = input->channels;
  t->out = out_channels;
  int64_t w[] = {t->out, t->in};
  GLOW_TRY(glow_setup_tensor(setup, "w", GLOW_TYPE_F32, 1, 2, w, &t->w));
  GLOW_TRY(glow_setup_tensor(setup, "bias", GLOW_TYPE_F32, 1, 1, w + 1, &t->bias));
  GLOW_TRY(glow_setup_tensor(setup, "logs", GLOW_TYPE_F32, 1, 1, w + 1, &t->logs));
  GLOW_TRY(glow_setup_derived(setup, (size_t)t->in * sizeof(float)));
  GLOW_TRY(glow_setup_stored(setup, 0, t->pixels * t->in, &t->stored));
  return glow_setup_initialise(setup, t->options.rounds, glow_moments_bytes(t->in));
}

static glow_status tanh_reset(const void *self, const glow_call *call) {
  const tanh_net *t = self;
  float *w = glow_call_tensor_mutable(call, t->w);
  glow_random_normal(5, GLOW_STREAM_RESET, (uint64_t)t->options.rounds << 20, w, t->out * t->in);
  return GLOW_OK;
}

/* All rounds see the data; the last sets the norm. State is zero at the start of each. */
static glow_status tanh_initialise(const void *self, const glow_call *call, int32_t round,
                                   int32_t phase, const float *x, int64_t stride) {
  const tanh_net *t = self;
  glow_moments *moments = glow_call_initialise_state(call);
  assert_in_range(round, 0, t->options.rounds - 1);
  for (int64_t p = 0;
       phase == GLOW_INITIALISE_BATCH && p < glow_call_sample_count(call) * t->pixels; p++)
    glow_moments_add(moments, 1, t->in, x + p * stride);
  if (phase != GLOW_INITIALISE_END || round != t->options.rounds - 1)
    return GLOW_OK;
  return glow_call_actnorm_values(call, moments, t->in, 1e-6, "net",
                                  glow_call_tensor_mutable(call, t->bias),
                                  glow_call_tensor_mutable(call, t->logs));
}

static glow_status tanh_prepare(const void *self, const glow_call *call) {
  const tanh_net *t = self;
  const float *logs = glow_call_tensor(call, t->logs);
  float *slope = glow_call_derived_mutable(call);
  for (int64_t k = 0; k < t->in; k++)
    slope[k] = expf(logs[k]) * (float)t->options.strength;
  return GLOW_OK;
}

static void tanh_forward(const void *self, const glow_call *call, const float *x, int64_t stride,
                         float *out) {
  const tanh_net *t = self;
  const float *w = glow_call_tensor(call, t->w), *bias = glow_call_tensor(call, t->bias);
  const float *slope = glow_call_derived(call);
  float *stored = glow_call_stored(call, t->stored);
  for (int64_t p = 0; p < glow_call_sample_count(call) * t->pixels; p++) {
    memset(out + p * t->out, 0, (size_t)t->out * sizeof *out);
    for (int64_t k = 0; k < t->in; k++) {
      float h = tanhf((x[p * stride + k] + bias[k]) * slope[k]);
      if (stored)
        stored[p * t->in + k] = h;
      for (int64_t o = 0; o < t->out; o++)
        out[p * t->out + o] += w[o * t->in + k] * h;
    }
  }
}

static void tanh_backward(const void *self, const glow_call *call, const float *x, int64_t stride,
                          const float *out, float *dout, float *dx, int64_t dx_stride) {
  const tanh_net *t = self;
  const float *w = glow_call_tensor(call, t->w), *bias = glow_call_tensor(call, t->bias);
  const float *slope = glow_call_derived(call), *stored = glow_call_stored(call, t->stored);
  float *dw = glow_call_gradient(call, t->w), *dbias = glow_call_gradient(call, t->bias);
  float *dlogs = glow_call_gradient(call, t->logs);
  (void)out;
  for (int64_t p = 0; p < glow_call_sample_count(call) * t->pixels; p++)
    for (int64_t k = 0; k < t->in; k++) {
      float h = stored[p * t->in + k], dh = 0;
      for (int64_t o = 0; o < t->out; o++) {
        dh += w[o * t->in + k] * dout[p * t->out + o];
        dw[o * t->in + k] += h * dout[p * t->out + o];
      }
      float du = dh * (1 - h * h);
      dbias[k] += du * slope[k];
      dlogs[k] += du * slope[k] * (x[p * stride + k] + bias[k]);
      dx[p * dx_stride + k] += du * slope[k];
    }
}

static glow_status tanh_inference_form(const void *self, const glow_call *call, glow_net **out);

const glow_net_ops pair_net_ops = {.struct_size = sizeof pair_net_ops,
                                   .type = "test.tanh",
                                   .flags = GLOW_NET_ALWAYS_PREPARES,
                                   .options = &tanh_table,
                                   .self_size = sizeof(tanh_net),
                                   .configure = tanh_configure,
                                   .reset = tanh_reset,
                                   .initialise = tanh_initialise,
                                   .prepare = tanh_prepare,
                                   .forward = tanh_forward,
                                   .backward = tanh_backward,
                                   .inference_form = tanh_inference_form};

int pair_forms_made;

/* The same function without backward. It has no rounds to declare, but takes the tensors over. */
static glow_status tanh_inference_form(const void *self, const glow_call *call, glow_net **out) {
  const tanh_net *t = self;
  glow_net_ops ops = pair_net_ops;
  if (!t->options.has_form)
    return GLOW_OK;
  assert_non_null(glow_call_derived(call));
  ops.type = "test.tanh.form";
  ops.flags |= GLOW_NET_INFERENCE_ONLY;
  ops.backward = NULL;
  ops.inference_form = NULL;
  pair_forms_made++;
  return glow_net_create(glow_call_context(call), &ops, &t->options, out);
}

glow_net *pair_net(glow_context *context, double strength, int32_t rounds, int32_t has_form) {
  const tanh_options o = {sizeof o, strength, rounds, has_form};
  glow_net *net = NULL;
  OK(glow_net_create(context, &pair_net_ops, &o, &net));
  return net;
}

/* ---- the layer ------------------------------------------------------------------------------- */

static glow_status pair_configure(void *self, glow_setup *setup, const glow_shape *in,
                                  glow_shape *out) {
  pair_layer *s = self;
  *out = *in;
  s->pixels = in->height * in->width;
  s->channels = in->channels;
  s->half = in->channels / 2;
  s->rest = in->channels - s->half;
  if (!s->half)
    return glow_error(GLOW_E_SHAPE, "a pair needs 2 channels or more, not %d", (int)in->channels);
  const glow_shape seen = {in->height, in->width, s->half};
  const int64_t changed = s->pixels * s->rest;
  GLOW_TRY(glow_setup_tensor(setup, "gain", GLOW_TYPE_F32, 1, 1, &s->rest, &s->gain));
  GLOW_TRY(glow_setup_derived(setup, (size_t)s->rest * sizeof(double)));
  GLOW_TRY(glow_setup_initialise(setup, 1, glow_moments_bytes(s->rest)));
  GLOW_TRY(glow_setup_net(setup, PAIR_SCALE, &seen, s->rest));
  GLOW_TRY(glow_setup_net(setup, PAIR_SHIFT, &seen, s->rest));
  GLOW_TRY(glow_setup_scratch(setup, 0, changed, &s->scale_out));
  GLOW_TRY(glow_setup_scratch(setup, 0, changed, &s->shift_out));
  GLOW_TRY(glow_setup_backward_scratch(setup, 0, changed, &s->d_scale));
  return glow_setup_backward_scratch(setup, 0, changed, &s->d_shift);
}

/* The layer's own round, the first, gives x2 deviation 1. */
static glow_status pair_initialise(const void *self, const glow_call *call, int32_t round,
                                   int32_t phase, const float *x) {
  const pair_layer *s = self;
  glow_moments *moments = glow_call_initialise_state(call);
  for (int64_t p = 0;
       round == 0 && phase == GLOW_INITIALISE_BATCH && p < glow_call_sample_count(call) * s->pixels;
       p++)
    glow_moments_add(moments, 1, s->rest, x + p * s->channels + s->half);
  for (int64_t c = 0; round == 0 && phase == GLOW_INITIALISE_END && c < s->rest; c++) {
    double mean, variance;
    glow_moments_channel(moments, s->rest, c, &mean, &variance);
    ((float *)glow_call_tensor_mutable(call, s->gain))[c] = (float)(-0.5 * log(variance));
  }
  GLOW_TRY(glow_call_net_initialise(call, PAIR_SCALE, round, phase, x, s->channels));
  return glow_call_net_initialise(call, PAIR_SHIFT, round, phase, x, s->channels);
}

static glow_status pair_prepare(const void *self, const glow_call *call) {
  const pair_layer *s = self;
  const float *gain = glow_call_tensor(call, s->gain);
  double *factor = glow_call_derived_mutable(call);
  for (int64_t c = 0; c < s->rest; c++)
    factor[c] = exp((double)gain[c]);
  return GLOW_OK;
}

/* Both nets; adds `sign` times the log-det. */
static void pair_nets(const pair_layer *s, const glow_call *call, const float *x, double sign,
                      double *logdet) {
  float *scale = glow_call_scratch(call, s->scale_out);
  float *shift = glow_call_scratch(call, s->shift_out);
  const float *gain = glow_call_tensor(call, s->gain);
  const int64_t changed = s->pixels * s->rest;
  glow_call_net_forward(call, PAIR_SCALE, x, s->channels, scale);
  glow_call_net_forward(call, PAIR_SHIFT, x, s->channels, shift);
  for (int64_t n = 0; n < glow_call_sample_count(call); n++)
    for (int64_t i = 0; i < changed; i++)
      logdet[n] += sign * ((double)gain[i % s->rest] + tanh((double)scale[n * changed + i]));
}

static void pair_forward(const void *self, const glow_call *call, const float *x, float *y,
                         double *logdet, double *logprior) {
  const pair_layer *s = self;
  const double *factor = glow_call_derived(call);
  (void)logprior;
  pair_nets(s, call, x, 1, logdet);
  const float *scale = glow_call_scratch(call, s->scale_out);
  const float *shift = glow_call_scratch(call, s->shift_out);
  for (int64_t p = 0; p < glow_call_sample_count(call) * s->pixels; p++) {
    memcpy(y + p * s->channels, x + p * s->channels, (size_t)s->half * sizeof *y);
    for (int64_t c = 0; c < s->rest; c++) {
      int64_t i = p * s->channels + s->half + c, j = p * s->rest + c;
      y[i] = (float)(((double)x[i] * exp(tanh((double)scale[j])) + (double)shift[j]) * factor[c]);
    }
  }
}

static glow_status pair_inverse(const void *self, const glow_call *call, const float *y, float *x,
                                double *logdet, double *logprior) {
  (void)logprior;
  const pair_layer *s = self;
  const double *factor = glow_call_derived(call);
  pair_nets(s, call, y, -1, logdet);
  const float *scale = glow_call_scratch(call, s->scale_out);
  const float *shift = glow_call_scratch(call, s->shift_out);
  for (int64_t p = 0; p < glow_call_sample_count(call) * s->pixels; p++) {
    memcpy(x + p * s->channels, y + p * s->channels, (size_t)s->half * sizeof *y);
    for (int64_t c = 0; c < s->rest; c++) {
      int64_t i = p * s->channels + s->half + c, j = p * s->rest + c;
      x[i] = (float)(((double)y[i] / factor[c] - (double)shift[j]) * exp(-tanh((double)scale[j])));
    }
  }
  return GLOW_OK;
}

/* v = x2 exp(t) + shift, t = tanh(scale): dv = dy2 exp(gain), dshift = dv, dt = dv x2 exp(t) + w,
 * dgain = sum dy2 y2 + w, dx2 = dv exp(t). Nets are run again, to fill what they store. */
static void pair_backward(const void *self, const glow_call *call, const glow_layer_gradient *g) {
  const pair_layer *s = self;
  const double *factor = glow_call_derived(call);
  float *scale = glow_call_scratch(call, s->scale_out);
  float *shift = glow_call_scratch(call, s->shift_out);
  float *d_scale = glow_call_scratch(call, s->d_scale);
  float *d_shift = glow_call_scratch(call, s->d_shift);
  float *d_gain = glow_call_gradient(call, s->gain);
  glow_call_net_forward(call, PAIR_SCALE, g->x, s->channels, scale);
  glow_call_net_forward(call, PAIR_SHIFT, g->x, s->channels, shift);
  for (int64_t p = 0; p < glow_call_sample_count(call) * s->pixels; p++) {
    double w = g->d_logdet[p / s->pixels];
    memcpy(g->dx + p * s->channels, g->dy + p * s->channels, (size_t)s->half * sizeof(float));
    for (int64_t c = 0; c < s->rest; c++) {
      int64_t i = p * s->channels + s->half + c, j = p * s->rest + c;
      double t = tanh((double)scale[j]), dv = (double)g->dy[i] * factor[c];
      double dt = dv * (double)g->x[i] * exp(t) + w;
      d_gain[c] += (float)((double)g->dy[i] * (double)g->y[i] + w);
      d_shift[j] = (float)dv;
      d_scale[j] = (float)(dt * (1 - t * t));
      g->dx[i] = (float)(dv * exp(t));
    }
  }
  glow_call_net_backward(call, PAIR_SCALE, g->x, s->channels, scale, d_scale, g->dx, s->channels);
  glow_call_net_backward(call, PAIR_SHIFT, g->x, s->channels, shift, d_shift, g->dx, s->channels);
}

static const glow_hosted_net hosted[] = {{"scale", NULL}, {"shift", "test.tanh"}};
const glow_layer_ops pair_ops = {.struct_size = sizeof pair_ops,
                                 .type = "test.pair",
                                 .flags = GLOW_LAYER_BY_TASKS | GLOW_LAYER_ALWAYS_PREPARES,
                                 .net_count = 2,
                                 .nets = hosted,
                                 .self_size = sizeof(pair_layer),
                                 .configure = pair_configure,
                                 .initialise = pair_initialise,
                                 .prepare = pair_prepare,
                                 .forward = pair_forward,
                                 .inverse = pair_inverse,
                                 .backward = pair_backward};

glow_layer *pair_create(glow_context *context) {
  glow_net *nets[] = {pair_net(context, 0.5, 2, 1), pair_net(context, 1.5, 1, 0)};
  glow_layer *layer = NULL;
  OK(glow_layer_create(context, &pair_ops, NULL, nets, &layer));
  assert_null(nets[0]);
  assert_null(nets[1]);
  return layer;
}

void pair_register(glow_context *context) {
  OK(glow_context_register_layer(context, &pair_ops));
  OK(glow_context_register_net(context, &pair_net_ops));
}

glow_context *pair_context(uint32_t threads) {
  glow_context *context = helper_context(threads, NULL, NULL);
  pair_register(context);
  return context;
}

glow_model *pair_model(glow_context *context) {
  glow_model *model = NULL;
  OK(helper_wrap_layer(context, pair_create(context), true, &pair_shape, &model));
  return model;
}
