/* coupling: the first half of the channels, x1, passes and conditions the second half, x2.
 *   affine    h = net(x1), shift and raw its halves; y2 = (x2 + shift) s(raw); log-det = sum log s
 *   additive  y2 = x2 + net(x1); log-det = 0
 * Dinh et al. 2014, 2016; Kingma and Dhariwal 2018, section 3.3. SPDX-License-Identifier: MIT */
#include <string.h>

#include "layers/layers.h"
#include "layers/scale_law.h"
#include "nets/nets.h"

typedef struct coupling {
  int32_t kind, law;
  float floor;
  double floor_exact; /* as given, for files */
  glow_net *net;
  int64_t image, half, out; /* pixels of a sample, channels of x1, channels of the net's output */
  int32_t h;                /* scratch [pixels, out]: the net's output */
  int32_t saved_h;
  int32_t dh; /* backward scratch [pixels, out] */
} coupling;

static glow_status configure(void *self, glow_setup *setup, const glow_shape *input,
                             glow_shape *output) {
  coupling *c = self;
  int32_t rounds = 0;
  size_t bytes = 0;
  *output = *input;
  if (input->channels % 2)
    return glow_error(GLOW_E_SHAPE, "a coupling needs an even number of channels, not %lld",
                      (long long)input->channels);
  c->image = input->height * input->width;
  c->half = input->channels / 2;
  c->out = c->kind == GLOW_COUPLING_AFFINE ? input->channels : c->half;
  glow_shape half = {input->height, input->width, c->half};
  GLOW_TRY(glow_setup_scratch(setup, 0, c->image * c->out, &c->h));
  GLOW_TRY(glow_setup_saved(setup, 0, c->image * c->out, &c->saved_h));
  GLOW_TRY(glow_setup_backward_scratch(setup, 0, c->image * c->out, &c->dh));
  GLOW_TRY(glow_setup_push(setup, "net"));
  GLOW_TRY(c->net->ops.configure(c->net->self, setup, &half, c->out));
  glow_setup_pop(setup);
  if (c->net->ops.init_size)
    c->net->ops.init_size(c->net->self, &rounds, &bytes);
  return rounds ? glow_setup_init(setup, rounds, bytes) : GLOW_OK;
}

static glow_status build(const void *self, const glow_pass *pass) {
  const glow_net *net = ((const coupling *)self)->net;
  return net->ops.build ? net->ops.build(net->self, pass) : GLOW_OK;
}

static glow_status init(const void *self, const glow_pass *pass, int32_t round, int32_t phase,
                        const float *x) {
  const coupling *c = self;
  return c->net->ops.init(c->net->self, pass, round, phase, x, 2 * c->half);
}

static glow_status prepare(const void *self, const glow_pass *pass) {
  const glow_net *net = ((const coupling *)self)->net;
  return net->ops.prepare ? net->ops.prepare(net->self, pass) : GLOW_OK;
}

/* What the tasks, runs of whole samples, work on. */
typedef struct run {
  const coupling *c;
  const glow_pass *pass;
  const float *from, *h;
  float *to, *dh;
  double *logdet;
  const glow_layer_gradient *g;
  int64_t samples;
  int64_t group; /* samples in a task */
} run;

enum { MOST_TASKS = 64, LEAST_NUMBERS = 4096 };

static run run_of(const coupling *c, const glow_pass *pass) {
  run r = {.c = c, .pass = pass, .samples = glow_pass_samples(pass)};
  int64_t size = c->image * 2 * c->half;
  int64_t share = (r.samples + MOST_TASKS - 1) / MOST_TASKS;
  int64_t least = (LEAST_NUMBERS + size - 1) / size;
  r.group = share > least ? share : least;
  return r;
}

static void run_tasks(run *r, glow_task_fn fn) {
  glow_pass_run(r->pass, (uint32_t)((r->samples + r->group - 1) / r->group), fn, r);
}

static int64_t last_sample(const run *r, uint32_t task) {
  int64_t last = ((int64_t)task + 1) * r->group;
  return last < r->samples ? last : r->samples;
}

/* y2 of one pixel; returns its part of the log-det. */
static double change(const coupling *c, const float *restrict h, const float *x2, float *y2) {
  double logdet = 0;
  if (c->kind == GLOW_COUPLING_ADDITIVE) {
    for (int64_t j = 0; j < c->half; j++)
      y2[j] = x2[j] + h[j];
    return 0;
  }
  for (int64_t j = 0; j < c->half; j++) {
    glow__scale scale = glow__scale_of(c->law, c->floor, h[c->half + j]);
    y2[j] = (x2[j] + h[j]) * scale.s;
    logdet += (double)scale.log_s;
  }
  return logdet;
}

/* x2 of one pixel. */
static double undo(const coupling *c, const float *restrict h, const float *y2, float *x2) {
  double logdet = 0;
  if (c->kind == GLOW_COUPLING_ADDITIVE) {
    for (int64_t j = 0; j < c->half; j++)
      x2[j] = y2[j] - h[j];
    return 0;
  }
  for (int64_t j = 0; j < c->half; j++) {
    glow__scale scale = glow__scale_of(c->law, c->floor, h[c->half + j]);
    x2[j] = y2[j] / scale.s - h[j];
    logdet += (double)scale.log_s;
  }
  return logdet;
}

static void forward_task(void *arg, uint32_t task, uint32_t worker) {
  const run *r = arg;
  const coupling *c = r->c;
  (void)worker;
  for (int64_t n = (int64_t)task * r->group; n < last_sample(r, task); n++) {
    double logdet = 0;
    for (int64_t p = n * c->image; p < (n + 1) * c->image; p++) {
      const float *x = r->from + p * 2 * c->half;
      float *y = r->to + p * 2 * c->half;
      if (x != y)
        memcpy(y, x, (size_t)c->half * sizeof *y);
      logdet += change(c, r->h + p * c->out, x + c->half, y + c->half);
    }
    r->logdet[n] += logdet;
  }
}

static void inverse_task(void *arg, uint32_t task, uint32_t worker) {
  const run *r = arg;
  const coupling *c = r->c;
  (void)worker;
  for (int64_t n = (int64_t)task * r->group; n < last_sample(r, task); n++) {
    double logdet = 0;
    for (int64_t p = n * c->image; p < (n + 1) * c->image; p++) {
      const float *y = r->from + p * 2 * c->half;
      float *x = r->to + p * 2 * c->half;
      if (x != y)
        memcpy(x, y, (size_t)c->half * sizeof *x);
      logdet += undo(c, r->h + p * c->out, y + c->half, x + c->half);
    }
    r->logdet[n] -= logdet;
  }
}

static float *net_output(const coupling *c, const glow_pass *pass) {
  float *saved = glow_pass_saved(pass, c->saved_h);
  return saved ? saved : glow_pass_scratch(pass, c->h);
}

static void forward(const void *self, const glow_pass *pass, const float *x, float *y,
                    double *logdet, double *logprior) {
  const coupling *c = self;
  float *h = net_output(c, pass);
  run r = run_of(c, pass);
  (void)logprior;
  c->net->ops.forward(c->net->self, pass, x, 2 * c->half, h);
  r.from = x;
  r.to = y;
  r.h = h;
  r.logdet = logdet;
  run_tasks(&r, forward_task);
}

static void inverse(const void *self, const glow_pass *pass, const float *y, float *x,
                    double *logdet) {
  const coupling *c = self;
  float *h = net_output(c, pass);
  run r = run_of(c, pass);
  c->net->ops.forward(c->net->self, pass, y, 2 * c->half, h);
  r.from = y;
  r.to = x;
  r.h = h;
  r.logdet = logdet;
  run_tasks(&r, inverse_task);
}

/* Affine: d x2 = d y2 s;  d shift = d y2 s;  d raw = (d y2 y2 + d logdet) d log s / d raw.
 * Additive: d x2 = d h = d y2. */
static void pixel_gradient(const coupling *c, const float *restrict h, const float *restrict y2,
                           const float *restrict dy2, float d_logdet, float *restrict dx2,
                           float *restrict dh) {
  if (c->kind == GLOW_COUPLING_ADDITIVE) {
    memcpy(dx2, dy2, (size_t)c->half * sizeof *dx2);
    memcpy(dh, dy2, (size_t)c->half * sizeof *dh);
    return;
  }
  for (int64_t j = 0; j < c->half; j++) {
    glow__scale scale = glow__scale_of(c->law, c->floor, h[c->half + j]);
    dx2[j] = dy2[j] * scale.s;
    dh[j] = dx2[j];
    dh[c->half + j] = (dy2[j] * y2[j] + d_logdet) * scale.slope;
  }
}

static void backward_task(void *arg, uint32_t task, uint32_t worker) {
  const run *r = arg;
  const coupling *c = r->c;
  const glow_layer_gradient *g = r->g;
  (void)worker;
  for (int64_t n = (int64_t)task * r->group; n < last_sample(r, task); n++)
    for (int64_t p = n * c->image; p < (n + 1) * c->image; p++) {
      int64_t at = p * 2 * c->half, at2 = at + c->half;
      const float *h = r->h + p * c->out;
      memcpy(g->dx + at, g->dy + at, (size_t)c->half * sizeof(float));
      pixel_gradient(c, h, g->y + at2, g->dy + at2, (float)g->d_logdet[n], g->dx + at2,
                     r->dh + p * c->out);
      if (g->x)
        continue;
      memcpy(g->x_out + at, g->y + at, (size_t)c->half * sizeof(float));
      undo(c, h, g->y + at2, g->x_out + at2);
    }
}

/* x1 = y1, so the net can be run from the output: reconstruction costs one forward of the net,
 * which fills what its backward needs. */
static void backward(const void *self, const glow_pass *pass, const glow_layer_gradient *g) {
  const coupling *c = self;
  int64_t stride = 2 * c->half;
  float *h = glow_pass_saved(pass, c->saved_h);
  run r = run_of(c, pass);
  if (!glow_pass_saved_valid(pass))
    c->net->ops.forward(c->net->self, pass, g->y, stride, h);
  r.h = h;
  r.dh = glow_pass_scratch(pass, c->dh);
  r.g = g;
  run_tasks(&r, backward_task);
  c->net->ops.backward(c->net->self, pass, g->y, stride, h, r.dh, g->dx, stride);
}

/* ---- options --------------------------------------------------------------------------------- */

static const char *const kinds[] = {
    [GLOW_COUPLING_AFFINE] = "affine", [GLOW_COUPLING_ADDITIVE] = "additive"};
static const char *const laws[] = {[GLOW_SCALE_SIGMOID] = "sigmoid",
                                   [GLOW_SCALE_EXP] = "exp",
                                   [GLOW_SCALE_TANH] = "tanh",
                                   [GLOW_SCALE_SIGMOID_FLOOR] = "sigmoid_floor"};

static glow_status save(const void *self, glow_config *config) {
  const coupling *c = self;
  GLOW_TRY(glow_config_set_text(config, "kind", kinds[c->kind]));
  GLOW_TRY(glow_config_set_text(config, "scale", laws[c->law]));
  GLOW_TRY(glow_config_set_real(config, "floor", c->floor_exact));
  GLOW_TRY(glow_config_set_text(config, "net", c->net->ops.type));
  if (!c->net->ops.save)
    return glow_error(GLOW_E_UNSUPPORTED, "net '%s' cannot be saved: its table has no save",
                      c->net->ops.type);
  return c->net->ops.save(c->net->self, config);
}

static void destroy(void *self, glow_context *context) {
  coupling *c = self;
  glow_net_destroy(&c->net);
  glow_release(context, c);
}

static const glow_layer_ops ops = {
    .struct_size = sizeof(glow_layer_ops),
    .type = "coupling",
    .flags = GLOW_LAYER_BY_TASKS | GLOW_LAYER_IN_PLACE | GLOW_LAYER_RECONSTRUCTS,
    .configure = configure,
    .build = build,
    .init = init,
    .prepare = prepare,
    .forward = forward,
    .inverse = inverse,
    .backward = backward,
    .save = save,
    .destroy = destroy,
};

static glow_status check(const glow_coupling_options *o) {
  if (o->kind != GLOW_COUPLING_AFFINE && o->kind != GLOW_COUPLING_ADDITIVE)
    return glow_error(GLOW_E_ARGUMENT, "kind is %d; it must be one of GLOW_COUPLING_...", o->kind);
  if (o->scale < GLOW_SCALE_SIGMOID || o->scale > GLOW_SCALE_SIGMOID_FLOOR)
    return glow_error(GLOW_E_ARGUMENT, "scale is %d; it must be one of GLOW_SCALE_...", o->scale);
  if (!(o->floor > 0 && o->floor < 1))
    return glow_error(GLOW_E_ARGUMENT, "floor is %g; it must be between 0 and 1", o->floor);
  return GLOW_OK;
}

glow_status glow_coupling_create(glow_context *context, const glow_coupling_options *options,
                                 glow_net **net, glow_layer **out) {
  glow_coupling_options o = GLOW_COUPLING_OPTIONS_INIT;
  glow_status status = GLOW_OK;
  if (out)
    *out = NULL;
  if (!context || !net || !*net || !out)
    status = glow_error(GLOW_E_ARGUMENT, "glow_coupling_create: NULL argument");
  else if ((*net)->context != context)
    status = glow_error(GLOW_E_ARGUMENT, "the coupling's net was made with another context");
  if (status == GLOW_OK)
    status = glow__options_copy(&o, sizeof o, options, sizeof o, "glow_coupling_options");
  if (status == GLOW_OK)
    status = check(&o);
  coupling *c = status == GLOW_OK ? glow_allocate(context, sizeof *c) : NULL;
  if (!c) {
    glow_net_destroy(net);
    return status == GLOW_OK ? GLOW_E_MEMORY : status;
  }
  *c = (coupling){
      .kind = o.kind, .law = o.scale, .floor = (float)o.floor, .floor_exact = o.floor, .net = *net};
  *net = NULL;
  glow_layer_ops table = ops;
  if (c->net->ops.flags & GLOW_NET_ALWAYS_PREPARES || !c->net->ops.prepare)
    table.flags |= GLOW_LAYER_ALWAYS_PREPARES;
  return glow_layer_create(context, &table, c, out);
}

static glow_status find_name(const char *const *names, int32_t count, const char *name,
                             int32_t *out) {
  for (int32_t i = 1; i < count; i++)
    if (strcmp(names[i], name) == 0) {
      *out = i;
      return GLOW_OK;
    }
  return glow_error(GLOW_E_FORMAT, "a coupling cannot be '%s'", name);
}

glow_status glow__coupling_make(glow_context *context, const glow_config *config,
                                glow_layer **out) {
  glow_coupling_options o = GLOW_COUPLING_OPTIONS_INIT;
  const char *kind = "affine", *scale = "sigmoid", *type = "conv";
  glow_net *net = NULL;
  GLOW_TRY(glow_config_get_text(config, "kind", &kind));
  GLOW_TRY(glow_config_get_text(config, "scale", &scale));
  GLOW_TRY(glow_config_get_text(config, "net", &type));
  GLOW_TRY(glow_config_get_real(config, "floor", &o.floor));
  GLOW_TRY(find_name(kinds, GLOW_COUPLING_ADDITIVE + 1, kind, &o.kind));
  GLOW_TRY(find_name(laws, GLOW_SCALE_SIGMOID_FLOOR + 1, scale, &o.scale));
  GLOW_TRY(glow__registry_make_net(context, type, config, &net));
  return glow_coupling_create(context, &o, &net, out);
}
