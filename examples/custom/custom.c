/* A flow layer and a conditioner network of your own, using nothing but the installed library:
 * checked, put into a block that is used four times, trained, saved, and loaded in another context.
 * docs/custom-layers.md explains each step.
 *
 *     cc -std=c11 custom.c $(pkg-config --cflags --libs libglow) -lm -o custom && ./custom FILE
 *
 * SPDX-License-Identifier: MIT */
#include <glow/glow.h>
#include <glow/sys/check.h>
#include <glow/sys/findings.h>
#include <glow/sys/layer.h>
#include <glow/sys/net.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* ---- the layer: y = sinh(exp(tail) asinh(x) + skew), per channel -------------------------------
 * Jones and Pewsey 2009: tail makes both tails heavier or lighter, skew leans the distribution to a
 * side. With t = exp(tail) asinh(x) + skew:  log|dy/dx| = log cosh t + tail - log(1 + x^2) / 2. */

typedef struct sinh_layer {
  int64_t pixels, channels;
  int32_t tail, skew; /* indices of its tensors, [channels] each */
} sinh_layer;

static glow_status layer_configure(void *self, glow_setup *setup, const glow_shape *input,
                                   glow_shape *output) {
  sinh_layer *s = self;
  int64_t dims[] = {input->channels};
  *output = *input;
  s->pixels = input->height * input->width;
  s->channels = input->channels;
  GLOW_TRY(glow_setup_tensor(setup, "tail", GLOW_TYPE_F32, 1, 1, dims, &s->tail));
  return glow_setup_tensor(setup, "skew", GLOW_TYPE_F32, 1, 1, dims, &s->skew);
} /* no reset: both start at 0, and y = x */

static void layer_forward(const void *self, const glow_call *call, const float *x, float *y,
                          double *logdet, double *logprior) {
  const sinh_layer *s = self;
  const float *tail = glow_call_tensor(call, s->tail), *skew = glow_call_tensor(call, s->skew);
  int64_t size = s->pixels * s->channels;
  (void)logprior; /* only for layers that emit latents */
  for (int64_t n = 0; n < glow_call_sample_count(call); n++)
    for (int64_t i = n * size; i < (n + 1) * size; i++) {
      int64_t c = i % s->channels;
      double in = x[i], t = exp(tail[c]) * asinh(in) + skew[c];
      y[i] = (float)sinh(t);
      logdet[n] += log(cosh(t)) + tail[c] - 0.5 * log1p(in * in);
    }
}

/* x of element i; returns t. */
static double undo(double y, double tail, double skew, float *x) {
  double t = asinh(y);
  *x = (float)sinh((t - skew) * exp(-tail));
  return t;
}

static glow_status layer_inverse(const void *self, const glow_call *call, const float *y, float *x,
                                 double *logdet, double *logprior) {
  (void)logprior;
  const sinh_layer *s = self;
  const float *tail = glow_call_tensor(call, s->tail), *skew = glow_call_tensor(call, s->skew);
  int64_t size = s->pixels * s->channels;
  for (int64_t n = 0; n < glow_call_sample_count(call); n++)
    for (int64_t i = n * size; i < (n + 1) * size; i++) {
      int64_t c = i % s->channels;
      double t = undo(y[i], tail[c], skew[c], &x[i]);
      logdet[n] -= log(cosh(t)) + tail[c] - 0.5 * log1p((double)x[i] * x[i]);
    }
  return GLOW_OK;
}

/* With w = d_logdet:  dt = dy cosh t + w tanh t;  dskew = dt;  dtail = dt exp(tail) asinh(x) + w;
 * dx = dt exp(tail) / sqrt(1 + x^2) - w x / (1 + x^2). Everything follows from y, so that x
 * need not be stored: GLOW_LAYER_RECONSTRUCTS. */
static void layer_backward(const void *self, const glow_call *call, const glow_layer_gradient *g) {
  const sinh_layer *s = self;
  const float *tail = glow_call_tensor(call, s->tail), *skew = glow_call_tensor(call, s->skew);
  float *dtail = glow_call_gradient(call, s->tail), *dskew = glow_call_gradient(call, s->skew);
  int64_t size = s->pixels * s->channels;
  for (int64_t n = 0; n < glow_call_sample_count(call); n++)
    for (int64_t i = n * size; i < (n + 1) * size; i++) {
      int64_t c = i % s->channels;
      float x;
      double t = undo(g->y[i], tail[c], skew[c], &x), w = g->d_logdet[n], rate = exp(tail[c]);
      double dt = g->dy[i] * cosh(t) + w * tanh(t), square = 1 + (double)x * x;
      dskew[c] += (float)dt;
      dtail[c] += (float)(dt * rate * asinh(x) + w);
      g->dx[i] = (float)(dt * rate / sqrt(square) - w * x / square);
      if (!g->x)
        g->x_out[i] = x;
    }
}

/* Back through the inverse: v is what layer_backward, given dy = v, would make dx = -gradient of
 * (<glow/sys/layer.h>). */
static void layer_inverse_backward(const void *self, const glow_call *call,
                                   const glow_layer_inverse_gradient *g) {
  const sinh_layer *s = self;
  const float *tail = glow_call_tensor(call, s->tail), *skew = glow_call_tensor(call, s->skew);
  int64_t size = s->pixels * s->channels, count = glow_call_sample_count(call) * size;
  const glow_layer_gradient forward = {sizeof forward, g->y,        g->dy,         g->x, NULL,
                                       g->dx,          g->d_logdet, g->d_logprior, NULL};
  for (int64_t i = 0; i < count; i++) {
    float x;
    double t = undo(g->y[i], tail[i % s->channels], skew[i % s->channels], &x);
    double w = g->d_logdet[i / size], square = 1 + (double)x * x;
    double dt = (w * x / square - g->dx[i]) * sqrt(square) / exp(tail[i % s->channels]);
    g->dy[i] = (float)((dt - w * tanh(t)) / cosh(t));
  }
  layer_backward(self, call, &forward);
  for (int64_t i = 0; i < count; i++)
    g->dy[i] = -g->dy[i];
}

/* How much each channel stretches far from 0. */
static glow_status layer_diagnose(const void *self, const glow_call *call, const float *x,
                                  glow_findings *findings) {
  const sinh_layer *s = self;
  const float *tail = glow_call_tensor(call, s->tail);
  for (int64_t c = 0; !x && c < s->channels; c++)
    glow_findings_scale(findings, exp(tail[c]));
  return GLOW_OK;
}

static const glow_layer_ops layer_ops = {
    .struct_size = sizeof layer_ops,
    .type = "example.sinh",
    .flags = GLOW_LAYER_IN_PLACE | GLOW_LAYER_RECONSTRUCTS | GLOW_LAYER_ALWAYS_PREPARES,
    .self_size = sizeof(sinh_layer),
    .configure = layer_configure,
    .forward = layer_forward,
    .inverse = layer_inverse,
    .backward = layer_backward,
    .inverse_backward = layer_inverse_backward,
    .diagnose = layer_diagnose,
};

static glow_status make_layer(glow_context *context, glow_layer **out) {
  return glow_layer_create(context, &layer_ops, NULL, NULL, out);
}

/* ---- the network: h = tanh(W1 x + b1), out = W2 h + b2, pixel by pixel ----------------------- */

typedef struct pixel_options {
  size_t struct_size;
  int32_t hidden; /* units at each pixel, 1 to 4096; default 16 */
  int32_t reserved;
} pixel_options;

static const glow_option pixel_rows[] = {
    GLOW_OPTION(pixel_options, hidden, INT32, .low = 1, .high = 4096, .fallback = 16),
    GLOW_OPTION(pixel_options, reserved, RESERVED),
};
static const glow_options_table pixel_table = {GLOW_OPTIONS_TABLE(pixel_options, pixel_rows)};

typedef struct pixel_net {
  pixel_options options; /* first: a checked copy of what the caller gave */
  int64_t hidden, pixels, in, out;
  int32_t w1, b1, w2, b2; /* [hidden, in], [hidden], [out, hidden], [out] */
  int32_t h;              /* stored: [pixels, hidden] of each sample */
} pixel_net;

static glow_status net_configure(void *self, glow_setup *setup, const glow_shape *input,
                                 int64_t out_channels) {
  pixel_net *p = self;
  p->hidden = p->options.hidden;
  p->pixels = input->height * input->width;
  p->in = input->channels;
  p->out = out_channels;
  int64_t w1[] = {p->hidden, p->in}, w2[] = {p->out, p->hidden};
  GLOW_TRY(glow_setup_tensor(setup, "w1", GLOW_TYPE_F32, 1, 2, w1, &p->w1));
  GLOW_TRY(glow_setup_tensor(setup, "b1", GLOW_TYPE_F32, 1, 1, w1, &p->b1));
  GLOW_TRY(glow_setup_tensor(setup, "w2", GLOW_TYPE_F32, 1, 2, w2, &p->w2));
  GLOW_TRY(glow_setup_tensor(setup, "b2", GLOW_TYPE_F32, 1, 1, w2, &p->b2));
  return glow_setup_stored(setup, 0, p->pixels * p->hidden, &p->h);
}

/* W1 spreads the units; W2 and the biases start at 0, so that the coupling starts simple. */
static glow_status net_reset(const void *self, const glow_call *call) {
  const pixel_net *p = self;
  float *w1 = glow_call_tensor_mutable(call, p->w1);
  for (int64_t i = 0; i < p->hidden * p->in; i++)
    w1[i] = 1.5f * (float)sin(1.0 + 12.9898 * (double)i);
  float *b1 = glow_call_tensor_mutable(call, p->b1);
  for (int64_t i = 0; i < p->hidden; i++)
    b1[i] = 1.5f * (float)cos(78.233 * (double)i);
  return GLOW_OK;
}

static void net_forward(const void *self, const glow_call *call, const float *x, int64_t stride,
                        float *out) {
  const pixel_net *p = self;
  const float *w1 = glow_call_tensor(call, p->w1), *b1 = glow_call_tensor(call, p->b1);
  const float *w2 = glow_call_tensor(call, p->w2), *b2 = glow_call_tensor(call, p->b2);
  float *stored = glow_call_stored(call, p->h); /* NULL: no backward will follow */
  for (int64_t i = 0; i < glow_call_sample_count(call) * p->pixels; i++) {
    memcpy(out + i * p->out, b2, (size_t)p->out * sizeof *out);
    for (int64_t j = 0; j < p->hidden; j++) {
      float sum = b1[j];
      for (int64_t k = 0; k < p->in; k++)
        sum += w1[j * p->in + k] * x[i * stride + k];
      float h = tanhf(sum);
      if (stored)
        stored[i * p->hidden + j] = h;
      for (int64_t o = 0; o < p->out; o++)
        out[i * p->out + o] += w2[o * p->hidden + j] * h;
    }
  }
}

static void net_backward(const void *self, const glow_call *call, const float *x, int64_t stride,
                         const float *out, float *dout, float *dx, int64_t dx_stride) {
  const pixel_net *p = self;
  const float *w1 = glow_call_tensor(call, p->w1), *w2 = glow_call_tensor(call, p->w2);
  const float *stored = glow_call_stored(call, p->h);
  float *d_w1 = glow_call_gradient(call, p->w1), *d_b1 = glow_call_gradient(call, p->b1);
  float *d_w2 = glow_call_gradient(call, p->w2), *d_b2 = glow_call_gradient(call, p->b2);
  (void)out;
  for (int64_t i = 0; i < glow_call_sample_count(call) * p->pixels; i++) {
    for (int64_t o = 0; o < p->out; o++)
      d_b2[o] += dout[i * p->out + o];
    for (int64_t j = 0; j < p->hidden; j++) {
      float h = stored[i * p->hidden + j], dh = 0;
      for (int64_t o = 0; o < p->out; o++) {
        dh += w2[o * p->hidden + j] * dout[i * p->out + o];
        d_w2[o * p->hidden + j] += h * dout[i * p->out + o];
      }
      dh *= 1 - h * h; /* back through tanh */
      d_b1[j] += dh;
      for (int64_t k = 0; k < p->in; k++) {
        d_w1[j * p->in + k] += dh * x[i * stride + k];
        dx[i * dx_stride + k] += dh * w1[j * p->in + k]; /* added to the coupling's part */
      }
    }
  }
}

static const glow_net_ops net_ops = {
    .struct_size = sizeof net_ops,
    .type = "example.pixel",
    .flags = GLOW_NET_ALWAYS_PREPARES,
    .options = &pixel_table,
    .self_size = sizeof(pixel_net),
    .configure = net_configure,
    .reset = net_reset,
    .forward = net_forward,
    .backward = net_backward,
};

/* options NULL: the defaults. */
static glow_status make_net(glow_context *context, const pixel_options *options, glow_net **out) {
  return glow_net_create(context, &net_ops, options, out);
}

/* Registers both types, so that files can name them. */
static glow_status register_types(glow_context *context) {
  GLOW_TRY(glow_context_register_layer(context, &layer_ops));
  return glow_context_register_net(context, &net_ops);
}

/* ---- the program ----------------------------------------------------------------------------- */

enum { COUNT = 256, DIMS = 2, STEPS = 300, BLOCKS = 4 };

static void check(glow_status status) {
  if (status == GLOW_OK)
    return;
  fprintf(stderr, "%s: %s\n", glow_status_name(status), glow_last_error());
  exit(1);
}

/* Checks that the tables keep their contracts. */
static void check_types(glow_context *context) {
  glow_layer *layer = NULL;
  glow_net *net = NULL;
  check(make_layer(context, &layer));
  check(glow_layer_check(context, &layer, NULL));
  printf("example.sinh keeps the contract of layers\n");
  check(make_net(context, NULL, &net));
  check(glow_net_check(context, &net, NULL));
  printf("example.pixel keeps the contract of networks\n");
}

static void add(glow_builder *builder, const char *name, glow_layer *layer) {
  check(glow_builder_add(builder, name, &layer));
}

/* A block, and four copies of it. */
static glow_model *make_model(glow_context *context) {
  const glow_shape shape = {1, 1, DIMS};
  const pixel_options net_options = {sizeof net_options, 20, 0};
  glow_builder_options options = GLOW_BUILDER_OPTIONS_INIT;
  glow_builder *builder = NULL, *block = NULL;
  glow_layer *layer = NULL;
  glow_net *net = NULL;
  glow_model *model = NULL;
  options.bits = 0;
  check(glow_builder_create(context, &shape, &options, &block));
  check(glow_actnorm_create(context, NULL, &layer));
  add(block, "norm", layer);
  check(glow_permute_create(context, NULL, &layer));
  add(block, "swap", layer);
  check(make_net(context, &net_options, &net));
  check(glow_coupling_create(context, NULL, &net, &layer));
  add(block, "coupling", layer);
  check(make_layer(context, &layer));
  add(block, "bend", layer);

  check(glow_builder_create(context, &shape, &options, &builder));
  for (int i = 0; i < BLOCKS; i++) {
    char name[16];
    snprintf(name, sizeof name, "block%d", i);
    check(glow_builder_add_copy(builder, name, block));
  }
  glow_builder_destroy(&block);
  check(glow_prior_create(context, NULL, &layer));
  add(builder, "prior", layer);
  check(glow_builder_finish(&builder, &model));
  return model;
}

/* A bent ridge with heavy tails. */
static void draw(glow_context *context, float *x) {
  glow_rng *rng = NULL;
  check(glow_rng_create(context, 1, &rng));
  check(glow_rng_normal(rng, x, COUNT * DIMS));
  for (int n = 0; n < COUNT; n++) {
    float *p = x + n * DIMS;
    p[0] = sinhf(p[0]);
    p[1] = 0.3f * p[1] + p[0] * p[0] / (1 + fabsf(p[0]));
  }
  glow_rng_destroy(&rng);
}

static void train(glow_model *model, const float *x) {
  glow_trainer *trainer = NULL;
  check(glow_trainer_create(model, NULL, &trainer));
  check(glow_trainer_initialise(trainer, x, NULL, COUNT));
  for (int step = 1; step <= STEPS; step++) {
    glow_step_report report = GLOW_STEP_REPORT_INIT;
    check(glow_trainer_step(trainer, x, NULL, COUNT, &report));
    if (step == 1 || step % 100 == 0)
      printf("step %3d: %.3f bits/dim\n", step, report.loss);
  }
  glow_trainer_destroy(&trainer);
}

static void log_probs(const glow_model *model, const float *x, double *out) {
  glow_workspace_options options = GLOW_WORKSPACE_OPTIONS_INIT;
  glow_workspace *workspace = NULL;
  options.batch = COUNT;
  check(glow_workspace_create(model, &options, &workspace));
  check(glow_workspace_log_prob(workspace, x, NULL, COUNT, out));
  glow_workspace_destroy(&workspace);
}

/* The file names types that a new context does not know until they are registered. */
static glow_model *load(glow_context *context, const char *path) {
  glow_model *model = NULL;
  if (glow_model_load(context, path, &model) == GLOW_OK) {
    fprintf(stderr, "types that were not registered were loaded\n");
    exit(1);
  }
  printf("before registering: %s\n", strstr(glow_last_error(), "layer"));
  check(register_types(context));
  check(glow_model_load(context, path, &model));
  return model;
}

int main(int count, char **arguments) {
  static float x[COUNT * DIMS];
  static double before[COUNT], after[COUNT];
  const char *path = count > 1 ? arguments[1] : "custom.safetensors";
  glow_context *context = NULL, *other = NULL;
  check(glow_context_create(NULL, &context));
  check(register_types(context));
  check_types(context);
  glow_model *model = make_model(context);
  draw(context, x);
  train(model, x);
  log_probs(model, x, before);
  check(glow_model_save(model, path));

  check(glow_context_create(NULL, &other));
  glow_model *loaded = load(other, path);
  log_probs(loaded, x, after);
  printf("loaded: %d layers, log-densities %s\n", glow_model_layer_count(loaded),
         memcmp(before, after, sizeof before) == 0 ? "the same" : "different");
  glow_model_destroy(&loaded);
  glow_context_destroy(&other);
  glow_model_destroy(&model);
  glow_context_destroy(&context);
  return memcmp(before, after, sizeof before) != 0;
}
