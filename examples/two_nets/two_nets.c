/* A flow layer of your own that hosts two networks, using nothing but the installed library: an
 * affine coupling whose shift and scale come from networks of different kinds and sizes. It is
 * checked, trained on two interleaved half circles, saved, and loaded in another context.
 *
 *     cc -std=c11 two_nets.c $(pkg-config --cflags --libs libglow) -lm -o two_nets
 *     ./two_nets FILE
 *
 * SPDX-License-Identifier: MIT */
#include <glow/glow.h>
#include <glow/sys/check.h>
#include <glow/sys/layer.h>
#include <glow/sys/math.h>
#include <glow/sys/net.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* ---- the layer: y1 = x1, y2 = x2 exp(s) + t with t = shift(x1), s = tanh(scale(x1)) -------------
 * x1 is one half of the channels, x2 the other. log|det dy/dx| = sum s. */

enum { SHIFT, SCALE };
static const glow_hosted_net nets[] = {{"shift", NULL}, {"scale", NULL}};

typedef struct pair_options {
  size_t struct_size;
  int32_t swap; /* 1: x1 is the second half; default 0 */
  int32_t reserved;
} pair_options;

static const glow_option pair_rows[] = {
    GLOW_OPTION(pair_options, swap, INT32, .high = 1),
    GLOW_OPTION(pair_options, reserved, RESERVED),
};
static const glow_options_table pair_table = {GLOW_OPTIONS_TABLE(pair_options, pair_rows)};

typedef struct pair {
  pair_options options; /* first: a checked copy of what the caller gave */
  int64_t pixels, channels;
  int64_t from1, size1, from2, size2; /* the first channel of x1 and x2, and how many */
  int32_t t, s;           /* stored: what the nets give, [pixels, size2] of each sample */
  int32_t t_work, s_work; /* the same in calls that store nothing */
  int32_t dt, ds;         /* their gradients */
} pair;

static glow_status pair_configure(void *self, glow_setup *setup, const glow_shape *input,
                                  glow_shape *output) {
  pair *p = self;
  *output = *input;
  if (input->channels < 2)
    return glow_error(GLOW_E_SHAPE, "a pair needs 2 channels or more, not %lld",
                      (long long)input->channels);
  p->pixels = input->height * input->width;
  p->channels = input->channels;
  p->size1 = p->channels / 2;
  p->size2 = p->channels - p->size1;
  p->from1 = p->options.swap ? p->size2 : 0;
  p->from2 = p->options.swap ? 0 : p->size1;
  const glow_shape seen = {input->height, input->width, p->size1};
  const int64_t changed = p->pixels * p->size2;
  GLOW_TRY(glow_setup_net(setup, SHIFT, &seen, p->size2));
  GLOW_TRY(glow_setup_net(setup, SCALE, &seen, p->size2));
  GLOW_TRY(glow_setup_stored(setup, 0, changed, &p->t));
  GLOW_TRY(glow_setup_stored(setup, 0, changed, &p->s));
  GLOW_TRY(glow_setup_scratch(setup, 0, changed, &p->t_work));
  GLOW_TRY(glow_setup_scratch(setup, 0, changed, &p->s_work));
  GLOW_TRY(glow_setup_backward_scratch(setup, 0, changed, &p->dt));
  return glow_setup_backward_scratch(setup, 0, changed, &p->ds);
}

/* Nets may have rounds of initialisation of their own, such as those of their actnorms. */
static glow_status pair_initialise(const void *self, const glow_call *call, int32_t round,
                                   int32_t phase, const float *x) {
  const pair *p = self;
  const float *x1 = x ? x + p->from1 : NULL;
  GLOW_TRY(glow_call_net_initialise(call, SHIFT, round, phase, x1, p->channels));
  return glow_call_net_initialise(call, SCALE, round, phase, x1, p->channels);
}

/* What one call works on. */
typedef struct pair_run {
  const pair *p;
  const glow_call *call;
  float *t, *s; /* [samples, pixels, size2] */
  const float *from;
  float *to;
  double *logdet;
  const glow_layer_gradient *g;
} pair_run;

/* The nets' outputs for x1, which is the same part of x and of y; stored if backward will need
 * them. */
static pair_run run_nets(const pair *p, const glow_call *call, const float *z) {
  pair_run r = {.p = p, .call = call, .t = glow_call_stored(call, p->t)};
  r.s = glow_call_stored(call, p->s);
  r.t = r.t ? r.t : glow_call_scratch(call, p->t_work);
  r.s = r.s ? r.s : glow_call_scratch(call, p->s_work);
  glow_call_net_forward(call, SHIFT, z + p->from1, p->channels, r.t);
  glow_call_net_forward(call, SCALE, z + p->from1, p->channels, r.s);
  return r;
}

static void run_samples(pair_run *r, glow_task_fn fn) {
  glow_call_run(r->call, (uint32_t)glow_call_sample_count(r->call), fn, r);
}

static void forward_sample(void *arg, uint32_t n, uint32_t worker) {
  const pair_run *r = arg;
  const pair *p = r->p;
  (void)worker;
  for (int64_t i = n * p->pixels; i < (n + 1) * p->pixels; i++) {
    const float *x = r->from + i * p->channels;
    float *y = r->to + i * p->channels;
    memcpy(y + p->from1, x + p->from1, (size_t)p->size1 * sizeof *y);
    for (int64_t c = 0; c < p->size2; c++) {
      double s = tanh(r->s[i * p->size2 + c]);
      y[p->from2 + c] = (float)(x[p->from2 + c] * exp(s) + r->t[i * p->size2 + c]);
      r->logdet[n] += s;
    }
  }
}

static void pair_forward(const void *self, const glow_call *call, const float *x, float *y,
                         double *logdet, double *logprior) {
  pair_run r = run_nets(self, call, x);
  (void)logprior; /* only for layers that emit latents */
  r.from = x;
  r.to = y;
  r.logdet = logdet;
  run_samples(&r, forward_sample);
}

static void inverse_sample(void *arg, uint32_t n, uint32_t worker) {
  const pair_run *r = arg;
  const pair *p = r->p;
  (void)worker;
  for (int64_t i = n * p->pixels; i < (n + 1) * p->pixels; i++) {
    const float *y = r->from + i * p->channels;
    float *x = r->to + i * p->channels;
    memcpy(x + p->from1, y + p->from1, (size_t)p->size1 * sizeof *x);
    for (int64_t c = 0; c < p->size2; c++) {
      double s = tanh(r->s[i * p->size2 + c]);
      x[p->from2 + c] = (float)((y[p->from2 + c] - r->t[i * p->size2 + c]) * exp(-s));
      r->logdet[n] -= s;
    }
  }
}

static glow_status pair_inverse(const void *self, const glow_call *call, const float *y, float *x,
                                double *logdet, double *logprior) {
  (void)logprior;
  pair_run r = run_nets(self, call, y); /* y1 is x1 */
  r.from = y;
  r.to = x;
  r.logdet = logdet;
  run_samples(&r, inverse_sample);
  return GLOW_OK;
}

/* With w = d_logdet and s = tanh(raw):
 *   dx2 = dy2 exp(s),  dt = dy2,  ds = dy2 x2 exp(s) + w = dy2 (y2 - t) + w,
 *   draw = ds (1 - s^2). */
static void backward_sample(void *arg, uint32_t n, uint32_t worker) {
  const pair_run *r = arg;
  const pair *p = r->p;
  const glow_layer_gradient *g = r->g;
  float *dt = glow_call_scratch(r->call, p->dt), *ds = glow_call_scratch(r->call, p->ds);
  (void)worker;
  for (int64_t i = n * p->pixels; i < (n + 1) * p->pixels; i++) {
    const int64_t at1 = i * p->channels + p->from1, at2 = i * p->channels + p->from2;
    memcpy(g->dx + at1, g->dy + at1, (size_t)p->size1 * sizeof(float));
    if (!g->x) /* then this layer computes x: GLOW_LAYER_RECONSTRUCTS */
      memcpy(g->x_out + at1, g->y + at1, (size_t)p->size1 * sizeof(float));
    for (int64_t c = 0; c < p->size2; c++) {
      int64_t j = i * p->size2 + c;
      double s = tanh(r->s[j]), moved = g->y[at2 + c] - r->t[j], dy = g->dy[at2 + c];
      dt[j] = (float)dy;
      ds[j] = (float)((dy * moved + g->d_logdet[n]) * (1 - s * s));
      g->dx[at2 + c] = (float)(dy * exp(s));
      if (!g->x)
        g->x_out[at2 + c] = (float)(moved * exp(-s));
    }
  }
}

static void pair_backward(const void *self, const glow_call *call, const glow_layer_gradient *g) {
  const pair *p = self;
  pair_run r = {.p = p, .call = call};
  if (glow_call_stored_valid(call)) {
    r.t = glow_call_stored(call, p->t);
    r.s = glow_call_stored(call, p->s);
  } else {
    r = run_nets(p, call, g->y); /* this also fills what the nets store */
  }
  r.g = g;
  run_samples(&r, backward_sample);
  const float *x1 = g->y + p->from1;
  glow_call_net_backward(call, SHIFT, x1, p->channels, r.t, glow_call_scratch(call, p->dt),
                         g->dx + p->from1, p->channels);
  glow_call_net_backward(call, SCALE, x1, p->channels, r.s, glow_call_scratch(call, p->ds),
                         g->dx + p->from1, p->channels);
}

static const glow_layer_ops pair_ops = {
    .struct_size = sizeof pair_ops,
    .type = "example.pair",
    .flags = GLOW_LAYER_BY_TASKS | GLOW_LAYER_RECONSTRUCTS | GLOW_LAYER_ALWAYS_PREPARES,
    .net_count = 2,
    .nets = nets,
    .options = &pair_table,
    .self_size = sizeof(pair),
    .configure = pair_configure,
    .initialise = pair_initialise,
    .forward = pair_forward,
    .inverse = pair_inverse,
    .backward = pair_backward,
};

/* ---- the program --------------------------------------------------------------------------- */

enum { COUNT = 512, STEPS = 300, LAYERS = 6 };

static void check(glow_status status) {
  if (status == GLOW_OK)
    return;
  fprintf(stderr, "%s: %s\n", glow_status_name(status), glow_last_error());
  exit(1);
}

/* A small perceptron for the scale, a larger one for the shift. */
static glow_layer *make_pair(glow_context *context, int32_t swap, uint64_t seed) {
  const pair_options options = {sizeof options, swap, 0};
  glow_mlp_net_options shift = GLOW_MLP_NET_OPTIONS_INIT, scale = GLOW_MLP_NET_OPTIONS_INIT;
  glow_net *made[2] = {NULL, NULL};
  glow_layer *layer = NULL;
  shift.hidden = 32;
  shift.seed = seed;
  scale.hidden = 16;
  scale.depth = 1;
  scale.seed = seed + 1;
  check(glow_mlp_net_create(context, &shift, &made[SHIFT]));
  check(glow_mlp_net_create(context, &scale, &made[SCALE]));
  check(glow_layer_create(context, &pair_ops, &options, made, &layer)); /* takes the nets over */
  return layer;
}

/* Also with nets that have actnorms, on an image with an odd number of channels. */
static void check_type(glow_context *context) {
  glow_check_options options = GLOW_CHECK_OPTIONS_INIT;
  glow_conv_net_options conv = GLOW_CONV_NET_OPTIONS_INIT;
  glow_net *made[2] = {NULL, NULL};
  glow_layer *layer = make_pair(context, 0, 1);
  check(glow_layer_check(context, &layer, NULL));
  conv.hidden = 5;
  check(glow_conv_net_create(context, &conv, &made[SHIFT]));
  conv.hidden = 3;
  check(glow_conv_net_create(context, &conv, &made[SCALE]));
  check(glow_layer_create(context, &pair_ops, NULL, made, &layer));
  options.shape = (glow_shape){3, 2, 3};
  check(glow_layer_check(context, &layer, &options));
  printf("example.pair keeps the contract of layers\n");
}

static glow_model *make_model(glow_context *context) {
  const glow_shape shape = {1, 1, 2};
  glow_builder_options options = GLOW_BUILDER_OPTIONS_INIT;
  glow_builder *builder = NULL;
  glow_layer *layer = NULL;
  glow_model *model = NULL;
  options.bits = 0; /* continuous data */
  check(glow_builder_create(context, &shape, &options, &builder));
  for (int i = 0; i < LAYERS; i++) {
    char name[24];
    snprintf(name, sizeof name, "step%d.norm", i);
    check(glow_actnorm_create(context, NULL, &layer));
    check(glow_builder_add(builder, name, &layer));
    snprintf(name, sizeof name, "step%d.pair", i);
    layer = make_pair(context, i % 2, (uint64_t)(2 * i));
    check(glow_builder_add(builder, name, &layer));
  }
  check(glow_prior_create(context, NULL, &layer));
  check(glow_builder_add(builder, "prior", &layer));
  check(glow_builder_finish(&builder, &model));
  return model;
}

/* Two interleaved half circles, with noise of standard deviation 0.08. */
static void draw(float *x) {
  float u[COUNT];
  glow_random_uniform(1, GLOW_STREAM_USER, 0, u, COUNT);
  glow_random_normal(2, GLOW_STREAM_USER, 0, x, 2 * COUNT);
  for (int n = 0; n < COUNT; n++) {
    double angle = 3.14159265 * u[n], side = n % 2 ? 1 : -1;
    x[2 * n] = (float)(cos(angle) + 0.5 * side + 0.08 * x[2 * n]);
    x[2 * n + 1] = (float)(side * (0.25 - sin(angle)) + 0.08 * x[2 * n + 1]);
  }
}

static void log_probs(const glow_model *model, const float *x, double *out) {
  glow_workspace_options options = GLOW_WORKSPACE_OPTIONS_INIT;
  glow_workspace *workspace = NULL;
  options.batch = 64;
  check(glow_workspace_create(model, &options, &workspace));
  check(glow_workspace_log_prob(workspace, x, NULL, COUNT, out));
  glow_workspace_destroy(&workspace);
}

/* nats, one for each sample */
static double mean(const double *values) {
  double sum = 0;
  for (int n = 0; n < COUNT; n++)
    sum += values[n];
  return sum / COUNT;
}

static double train(glow_model *model, const float *x) {
  glow_trainer_options options = GLOW_TRAINER_OPTIONS_INIT;
  glow_trainer *trainer = NULL;
  glow_schedule schedule = GLOW_SCHEDULE_INIT;
  double values[COUNT], before;
  schedule.rate = 3e-3;
  options.schedule = &schedule;
  options.micro_batch = 64;
  options.mode = GLOW_MODE_RECONSTRUCTED;
  check(glow_trainer_create(model, &options, &trainer));
  check(glow_trainer_initialise(trainer, x, NULL, COUNT));
  log_probs(model, x, values);
  before = mean(values);
  for (int step = 1; step <= STEPS; step++)
    check(glow_trainer_step(trainer, x, NULL, COUNT, NULL));
  glow_trainer_destroy(&trainer);
  log_probs(model, x, values);
  printf("log-likelihood: %.3f nats a sample, after %d steps %.3f\n", before, STEPS, mean(values));
  return mean(values) - before;
}

int main(int count, char **arguments) {
  static float x[2 * COUNT];
  static double before[COUNT], after[COUNT];
  const char *path = count > 1 ? arguments[1] : "two_nets.safetensors";
  glow_context *context = NULL, *other = NULL;
  glow_model *loaded = NULL;
  check(glow_context_create(NULL, &context));
  check(glow_context_register_layer(context, &pair_ops)); /* so that it can be saved */
  check_type(context);
  glow_model *model = make_model(context);
  draw(x);
  double better = train(model, x);
  log_probs(model, x, before);
  check(glow_model_save(model, path));

  check(glow_context_create(NULL, &other));
  check(glow_context_register_layer(other, &pair_ops)); /* so that the file can name it */
  check(glow_model_load(other, path, &loaded));
  log_probs(loaded, x, after);
  int same = memcmp(before, after, sizeof before) == 0;
  printf("loaded: log-densities %s\n", same ? "the same" : "different");
  glow_model_destroy(&loaded);
  glow_context_destroy(&other);
  glow_model_destroy(&model);
  glow_context_destroy(&context);
  return !same || better < 0.5; /* half a nat is far from noise */
}
