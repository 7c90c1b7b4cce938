/* Two nets in one layer: each has tensors under its own prefix, its own derived values, its own
 * rounds of initialisation and its own options in a file, whatever the other and the layer have.
 *
 * The layer is an affine coupling with a net for each half of its work and a gain of its own:
 *   y1 = x1,  y2 = (x2 exp(tanh(scale(x1))) + shift(x1)) exp(gain_c),
 *   log-det = sum tanh(scale(x1)) + H W sum_c gain_c.
 * The nets: out_o = sum_k W[o,k] tanh(u_k),  u_k = (x_k + bias_k) exp(logs_k) strength, where the
 * norm (bias, logs) takes first values from data, and exp(logs) strength is derived.
 * SPDX-License-Identifier: MIT */
#include "../support/model_helpers.h"
#include "../support/temp_folder.h"

#include <glow/sys/check.h>
#include <glow/sys/math.h>
#include <unistd.h>

#include "io/io.h"

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

static const glow_net_ops tanh_ops = {.struct_size = sizeof tanh_ops,
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

static int forms_made;

/* The same function without backward. It has no rounds to declare, but takes the tensors over. */
static glow_status tanh_inference_form(const void *self, const glow_call *call, glow_net **out) {
  const tanh_net *t = self;
  glow_net_ops ops = tanh_ops;
  if (!t->options.has_form)
    return GLOW_OK;
  assert_non_null(glow_call_derived(call));
  ops.type = "test.tanh.form";
  ops.flags |= GLOW_NET_INFERENCE_ONLY;
  ops.backward = NULL;
  ops.inference_form = NULL;
  forms_made++;
  return glow_net_create(glow_call_context(call), &ops, &t->options, out);
}

static glow_net *make_net(glow_context *context, double strength, int32_t rounds,
                          int32_t has_form) {
  const tanh_options o = {sizeof o, strength, rounds, has_form};
  glow_net *net = NULL;
  OK(glow_net_create(context, &tanh_ops, &o, &net));
  return net;
}

/* ---- the layer ------------------------------------------------------------------------------- */

enum { SCALE, SHIFT };
enum { GIVEN, NOT_CONFIGURED, TWICE, OUT_OF_RANGE, NO_SETUP }; /* what configure does wrong */

typedef struct pair_layer {
  int64_t pixels, channels, half, rest; /* half: channels of x1 */
  int32_t gain;
  int32_t scale_out, shift_out, d_scale, d_shift; /* regions */
} pair_layer;

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
  GLOW_TRY(glow_setup_net(setup, SCALE, &seen, s->rest));
  GLOW_TRY(glow_setup_net(setup, SHIFT, &seen, s->rest));
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
  GLOW_TRY(glow_call_net_initialise(call, SCALE, round, phase, x, s->channels));
  return glow_call_net_initialise(call, SHIFT, round, phase, x, s->channels);
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
  glow_call_net_forward(call, SCALE, x, s->channels, scale);
  glow_call_net_forward(call, SHIFT, x, s->channels, shift);
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
                                double *logdet) {
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
  glow_call_net_forward(call, SCALE, g->x, s->channels, scale);
  glow_call_net_forward(call, SHIFT, g->x, s->channels, shift);
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
  glow_call_net_backward(call, SCALE, g->x, s->channels, scale, d_scale, g->dx, s->channels);
  glow_call_net_backward(call, SHIFT, g->x, s->channels, shift, d_shift, g->dx, s->channels);
}

static const glow_hosted_net hosted[] = {{"scale", NULL}, {"shift", "test.tanh"}};
static const glow_layer_ops pair_ops = {.struct_size = sizeof pair_ops,
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

/* Nets that differ in strength, in rounds and in having a form for inference. */
static glow_layer *make_pair(glow_context *context) {
  glow_net *nets[] = {make_net(context, 0.5, 2, 1), make_net(context, 1.5, 1, 0)};
  glow_layer *layer = NULL;
  OK(glow_layer_create(context, &pair_ops, NULL, nets, &layer));
  assert_null(nets[0]);
  assert_null(nets[1]);
  return layer;
}

static glow_context *open_context(uint32_t threads) {
  glow_context *context = helper_context(threads, NULL, NULL);
  OK(glow_context_register_layer(context, &pair_ops));
  OK(glow_context_register_net(context, &tanh_ops));
  return context;
}

enum { PIXELS = 6, CHANNELS = 3, HALF = 1, REST = 2, DIMS = PIXELS * CHANNELS, COUNT = 7 };
static const glow_shape shape = {2, 3, CHANNELS};

static glow_model *make_model(glow_context *context) {
  glow_model *model = NULL;
  OK(helper_wrap_layer(context, make_pair(context), true, &shape, &model));
  return model;
}

/* ---- tests ----------------------------------------------------------------------------------- */

static void get(const glow_model *model, const char *name, float *out, int64_t count) {
  OK(glow_model_get_tensor(model, name, out, count));
}

static void test_names(void **state) {
  static const char *const names[] = {"layer.gain",       "layer.scale.w", "layer.scale.bias",
                                      "layer.scale.logs", "layer.shift.w", "layer.shift.bias",
                                      "layer.shift.logs"};
  glow_context *context = open_context(1);
  glow_model *model = make_model(context);
  (void)state;
  for (int32_t i = 0; i < 7; i++) {
    glow_tensor_info info = GLOW_TENSOR_INFO_INIT;
    OK(glow_model_tensor(model, i, &info));
    assert_string_equal(info.name, names[i]);
  }
  glow_model_destroy(&model);
  glow_context_destroy(&context);
}

/* Rounds of the layer and of each net, in batches of 3: every part gets its own values. */
static void test_initialise(void **state) {
  glow_context *context = open_context(2);
  glow_model *model = make_model(context);
  glow_workspace *ws = helper_workspace(model, 3, GLOW_MODE_INFERENCE);
  helper_random random = helper_random_of(1);
  float *x = helper_new_normals(&random, 2.0f, COUNT * DIMS);
  double mean[CHANNELS] = {0}, square[CHANNELS] = {0};
  float gain[REST], bias[2], logs[2];
  (void)state;
  for (int64_t i = 0; i < COUNT * DIMS; i++) {
    x[i] += (float)(i % CHANNELS);
    mean[i % CHANNELS] += (double)x[i] / (COUNT * PIXELS);
    square[i % CHANNELS] += (double)x[i] * (double)x[i] / (COUNT * PIXELS);
  }
  assert_int_equal(glow_model_initialised(model), 0);
  OK(glow_workspace_initialise(ws, model, x, NULL, COUNT));
  get(model, "layer.gain", gain, REST);
  get(model, "layer.scale.bias", &bias[0], 1);
  get(model, "layer.shift.bias", &bias[1], 1);
  get(model, "layer.scale.logs", &logs[0], 1);
  get(model, "layer.shift.logs", &logs[1], 1);
  for (int c = 0; c < REST; c++) { /* float32 of what double gives */
    double deviation = sqrt(square[HALF + c] - mean[HALF + c] * mean[HALF + c]);
    assert_true(fabs((double)gain[c] + log(deviation)) < 1e-5);
  }
  for (int i = 0; i < 2; i++) {
    assert_true(fabs((double)bias[i] + mean[0]) < 1e-5);
    assert_true(fabs((double)logs[i] + 0.5 * log(square[0] - mean[0] * mean[0])) < 1e-5);
  }
  free(x);
  glow_workspace_destroy(&ws);
  glow_model_destroy(&model);
  glow_context_destroy(&context);
}

/* out[o] of one net at one pixel, from its tensors. */
static void reference_net(const glow_model *model, const char *net, double strength, double x,
                          double *out) {
  char name[60];
  float w[REST], bias, logs;
  snprintf(name, sizeof name, "layer.%s.w", net);
  get(model, name, w, REST);
  snprintf(name, sizeof name, "layer.%s.bias", net);
  get(model, name, &bias, 1);
  snprintf(name, sizeof name, "layer.%s.logs", net);
  get(model, name, &logs, 1);
  for (int o = 0; o < REST; o++)
    out[o] = (double)w[o] * tanh((x + (double)bias) * exp((double)logs) * strength);
}

/* Derived values are each part's own: results are those of the formulas. */
static void test_values(void **state) {
  glow_context *context = open_context(1);
  glow_model *model = make_model(context);
  helper_random random = helper_random_of(2);
  float *x = helper_new_normals(&random, 1.0f, COUNT * DIMS), z[COUNT * DIMS], gain[REST];
  double logdet[COUNT];
  (void)state;
  helper_perturb(model, &random, 0.3f);
  glow_workspace *ws = helper_workspace(model, COUNT, GLOW_MODE_INFERENCE);
  OK(helper_forward(ws, x, NULL, COUNT, GLOW_LATENTS_RAW, z, logdet, NULL));
  get(model, "layer.gain", gain, REST);
  for (int n = 0; n < COUNT; n++) {
    double sum = 0;
    for (int p = n * PIXELS; p < (n + 1) * PIXELS; p++) {
      double scale[REST], shift[REST];
      reference_net(model, "scale", 0.5, (double)x[p * CHANNELS], scale);
      reference_net(model, "shift", 1.5, (double)x[p * CHANNELS], shift);
      assert_true(z[p * CHANNELS] == x[p * CHANNELS]);
      for (int c = 0; c < REST; c++) {
        double v = (double)x[p * CHANNELS + HALF + c] * exp(tanh(scale[c])) + shift[c];
        double y = v * exp((double)gain[c]);
        sum += tanh(scale[c]) + (double)gain[c];
        assert_true(fabs((double)z[p * CHANNELS + HALF + c] - y) < 1e-5 * (1 + fabs(y)));
      }
    }
    assert_true(fabs(logdet[n] - sum) < 1e-5 * (1 + fabs(sum)));
  }
  free(x);
  glow_workspace_destroy(&ws);
  glow_model_destroy(&model);
  glow_context_destroy(&context);
}

/* The conformance kit: gradients of all parts, save and load, inference form, and the rest. */
static void test_kit(void **state) {
  glow_check_options o = GLOW_CHECK_OPTIONS_INIT;
  glow_context *context = open_context(1);
  (void)state;
  o.shape = shape;
  o.seed = helper_seed();
  for (int i = 0; i < 2; i++) {
    glow_layer *layer = make_pair(context);
    OK(glow_layer_check(context, &layer, &o));
    o.shape = (glow_shape){1, 1, 2};
  }
  glow_net *net = make_net(context, 0.7, 2, 1);
  OK(glow_net_check(context, &net, NULL));
  glow_context_destroy(&context);
}

static void log_probs(const glow_model *model, const float *x, double *out) {
  glow_workspace *ws = helper_workspace(model, COUNT, GLOW_MODE_INFERENCE);
  OK(glow_workspace_log_prob(ws, x, NULL, COUNT, out));
  glow_workspace_destroy(&ws);
}

#ifdef GLOW_HAVE_FILES
static void test_files(void **state) {
  glow_context *context = open_context(1), *other = helper_context(1, NULL, NULL);
  glow_model *model = make_model(context), *loaded = NULL;
  helper_random random = helper_random_of(3);
  float *x = helper_new_normals(&random, 1.0f, COUNT * DIMS);
  double before[COUNT], after[COUNT];
  (void)state;
  assert_true(temp_folder_make(NULL));
  const char *path = temp_path("model");
  helper_perturb(model, &random, 0.3f);
  log_probs(model, x, before);
  OK(glow_model_save(model, path));
  REFUSED(glow_model_load(other, path, &loaded), GLOW_E_FORMAT, "'test.pair' is not registered");
  OK(glow_context_register_layer(other, &pair_ops));
  REFUSED(glow_model_load(other, path, &loaded), GLOW_E_FORMAT,
          "net type 'test.tanh' is not registered");
  OK(glow_context_register_net(other, &tanh_ops));
  OK(glow_model_load(other, path, &loaded));
  log_probs(loaded, x, after);
  assert_memory_equal(after, before, sizeof before);
  assert_true(temp_folder_remove());
  free(x);
  glow_model_destroy(&loaded);
  glow_model_destroy(&model);
  glow_context_destroy(&other);
  glow_context_destroy(&context);
}

/* A model whose net is of no registered type cannot be saved, and says so. */
static void test_unregistered(void **state) {
  glow_context *context = helper_context(1, NULL, NULL);
  glow_model *model = make_model(context);
  (void)state;
  REFUSED(glow_model_save(model, "/nonexistent/model"), GLOW_E_UNSUPPORTED,
          "layers of type 'test.pair' cannot be saved");
  OK(glow_context_register_layer(context, &pair_ops));
  REFUSED(glow_model_save(model, "/nonexistent/model"), GLOW_E_UNSUPPORTED,
          "nets of type 'test.tanh' cannot be saved, because no file could be loaded with them: "
          "register the type first (glow_context_register_net)");
  glow_model_destroy(&model);
  glow_context_destroy(&context);
}

static glow_status any_layer(const glow_model *model, void *arg) {
  (void)model;
  (void)arg;
  return GLOW_OK;
}

static glow_status read_pair(glow_context *context, const char *options) {
  char text[500];
  glow_builder *builder = NULL;
  bool initialised = false;
  snprintf(text, sizeof text,
           "{\"input\":[2,3,3],\"bits\":0,\"initialised\":true,\"layers\":"
           "[{\"name\":\"a\",\"type\":\"test.pair\",\"options\":{%s}}]}",
           options);
  glow_status status =
      glow__architecture_read(context, text, 1, any_layer, NULL, &builder, &initialised);
  glow_builder_destroy(&builder);
  return status;
}

/* Where a net's options are in a file; which type is meant where none is named. */
static void test_texts(void **state) {
  glow_context *context = open_context(1);
  (void)state;
  OK(read_pair(context, "\"scale\":\"test.tanh\",\"scale.strength\":2.0,\"scale.rounds\":2,"
                        "\"shift\":\"test.tanh\",\"shift.strength\":3.0"));
  OK(read_pair(context, "\"scale\":\"test.tanh\""));
  REFUSED(read_pair(context, "\"shift\":\"test.tanh\""), GLOW_E_FORMAT,
          "layer 'a': option 'scale', the type of a net, is missing");
  REFUSED(read_pair(context, "\"scale\":\"test.tanh\",\"scale.rounds\":3"), GLOW_E_FORMAT,
          "option 'scale.rounds' is 3; it must be 1 to 2");
  REFUSED(read_pair(context, "\"scale\":\"test.tanh\",\"rounds\":1"), GLOW_E_FORMAT,
          "option 'rounds' is not known to layer type 'test.pair'");
  REFUSED(read_pair(context, "\"scale\":\"test.tanh\",\"shift\":\"other\""), GLOW_E_FORMAT,
          "net type 'other' is not registered");
  glow_context_destroy(&context);
}
#endif

/* One net has a form for inference, the other is made again: the same results, and no backward. */
static void test_inference_form(void **state) {
  glow_context *context = open_context(1);
  glow_model *model = make_model(context), *form = NULL;
  glow_workspace_options o = GLOW_WORKSPACE_OPTIONS_INIT;
  glow_workspace *ws = NULL;
  helper_random random = helper_random_of(4);
  float *x = helper_new_normals(&random, 1.0f, COUNT * DIMS);
  double before[COUNT], after[COUNT];
  (void)state;
  helper_perturb(model, &random, 0.3f);
  log_probs(model, x, before);
  forms_made = 0;
  OK(glow_model_inference_form(model, &form));
  assert_int_equal(forms_made, 1);
  log_probs(form, x, after);
  assert_memory_equal(after, before, sizeof before);
  o.mode = GLOW_MODE_STORED;
  REFUSED(glow_workspace_create(form, &o, &ws), GLOW_E_STATE, "");
  if (helper_has_files())
    REFUSED(glow_model_save(form, "/nonexistent/model"), GLOW_E_UNSUPPORTED, "inference");
  free(x);
  glow_model_destroy(&form);
  glow_model_destroy(&model);
  glow_context_destroy(&context);
}

static void test_training(void **state) {
  (void)state;
  float *first = NULL;
  int64_t count = 0;
  for (int way = 0; way < 4; way++) {
    glow_context *context = open_context(way & 1 ? 4 : 1);
    glow_model *model = make_model(context);
    glow_trainer_options o = GLOW_TRAINER_OPTIONS_INIT;
    glow_trainer *trainer = NULL;
    helper_random random = helper_random_of(5);
    float *x = helper_new_normals(&random, 1.0f, COUNT * DIMS);
    o.mode = way & 2 ? GLOW_MODE_RECONSTRUCTED : GLOW_MODE_STORED;
    OK(glow_trainer_create(model, &o, &trainer));
    OK(glow_trainer_initialise(trainer, x, NULL, COUNT));
    for (int step = 0; step < 5; step++)
      OK(glow_trainer_step(trainer, x, NULL, COUNT, NULL));
    float *parameters = helper_parameters(model, &count);
    if (!first)
      first = parameters;
    /* threads: the same bits; reconstruction: float32 rounding of x, five steps long */
    if (way & 2)
      assert_true(helper_relative(parameters, first, count) < 1e-4);
    else
      assert_memory_equal(parameters, first, (size_t)count * sizeof *first);
    if (parameters != first)
      free(parameters);
    free(x);
    glow_trainer_destroy(&trainer);
    glow_model_destroy(&model);
    glow_context_destroy(&context);
  }
  free(first);
}

/* ---- what configure can get wrong ------------------------------------------------------------ */

typedef struct wrong_layer {
  int32_t wrong;
} wrong_layer;

static glow_status wrong_configure(void *self, glow_setup *setup, const glow_shape *in,
                                   glow_shape *out) {
  const wrong_layer *w = self;
  *out = *in;
  if (w->wrong != NOT_CONFIGURED)
    GLOW_TRY(glow_setup_net(setup, SCALE, in, 1));
  if (w->wrong == TWICE)
    GLOW_TRY(glow_setup_net(setup, SCALE, in, 1));
  if (w->wrong == OUT_OF_RANGE)
    GLOW_TRY(glow_setup_net(setup, 2, in, 1));
  if (w->wrong == NO_SETUP)
    GLOW_TRY(glow_setup_net(setup, SHIFT, NULL, 1));
  return glow_setup_net(setup, SHIFT, in, 1);
}

static void test_bad_configure(void **state) {
  static const char *const words[] = {
      [NOT_CONFIGURED] = "net 'scale' was not configured (glow_setup_net)",
      [TWICE] = "glow_setup_net: net 0 is configured already",
      [OUT_OF_RANGE] = "glow_setup_net: net 2; the layer's table names 2",
      [NO_SETUP] = "glow_setup_net: NULL argument"};
  helper_memory memory = {0};
  glow_context *context = helper_context(1, NULL, &memory);
  int64_t live = memory.live;
  (void)state;
  for (int32_t wrong = GIVEN; wrong <= NO_SETUP; wrong++) {
    glow_layer_ops ops = pair_ops;
    glow_net *nets[] = {make_net(context, 1, 1, 0), make_net(context, 1, 1, 0)};
    glow_layer *layer = NULL;
    glow_model *model = NULL;
    ops.configure = wrong_configure;
    ops.self_size = sizeof(pair_layer);
    OK(glow_layer_create(context, &ops, NULL, nets, &layer));
    ((wrong_layer *)glow_layer_self(layer))->wrong = wrong;
    glow_status status = helper_wrap_layer(context, layer, true, &shape, &model);
    if (wrong == GIVEN)
      assert_int_equal(status, GLOW_OK);
    else
      assert_non_null(strstr(glow_last_error(), words[wrong]));
    glow_model_destroy(&model);
    assert_int_equal(memory.live, live);
  }
  glow_context_destroy(&context);
}

/* A layer without initialise cannot host a net with rounds. */
static void test_rounds_need_initialise(void **state) {
  glow_context *context = helper_context(1, NULL, NULL);
  glow_layer_ops ops = pair_ops;
  glow_net *nets[] = {make_net(context, 1, 1, 0), make_net(context, 1, 1, 0)};
  glow_layer *layer = NULL;
  glow_model *model = NULL;
  (void)state;
  ops.configure = wrong_configure;
  ops.initialise = NULL;
  OK(glow_layer_create(context, &ops, NULL, nets, &layer));
  REFUSED(helper_wrap_layer(context, layer, true, &shape, &model), GLOW_E_ARGUMENT,
          "net 'scale' (test.tanh): glow_setup_initialise: the layer's table has no initialise");
  glow_context_destroy(&context);
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(test_names),          cmocka_unit_test(test_initialise),
      cmocka_unit_test(test_values),         cmocka_unit_test(test_kit),
#ifdef GLOW_HAVE_FILES
      cmocka_unit_test(test_files),          cmocka_unit_test(test_unregistered),
      cmocka_unit_test(test_texts),
#endif
      cmocka_unit_test(test_inference_form), cmocka_unit_test(test_training),
      cmocka_unit_test(test_bad_configure),  cmocka_unit_test(test_rounds_need_initialise),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
