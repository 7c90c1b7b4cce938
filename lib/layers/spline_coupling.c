/* spline_coupling: one part of the channels passes and conditions the other, each number of which
 * goes through a monotone rational-quadratic spline of its own (math/spline.h):
 *   h = net(x1);  y2_j = spline(x2_j; h_j);  log-det = sum log dy2/dx2
 * where h_j is the 3K-1 numbers of channel j. Durkan et al. 2019, "Neural Spline Flows".
 * SPDX-License-Identifier: MIT */
#include <math.h>
#include <string.h>

#include "layers/layers.h"
#include "math/spline.h"
#include "nets/nets.h"

typedef struct spline_coupling {
  glow__spline spline;
  int32_t parity;
  glow_net *net;
  int64_t image, channels;
  int64_t moved, move_at; /* channels that change, and the first of them */
  int64_t kept, keep_at;  /* those that pass and condition */
  int64_t out;            /* the net's channels: 3K-1 for each that changes */
  int32_t h;              /* scratch [pixels, out]: the net's output */
  int32_t saved_h;
  int32_t dh; /* backward scratch [pixels, out] */
} spline_coupling;

/* ---- building -------------------------------------------------------------------------------- */

static glow_status declare_net(spline_coupling *c, glow_setup *setup, const glow_shape *input) {
  const glow_shape kept = {input->height, input->width, c->kept};
  int32_t rounds = 0;
  size_t bytes = 0;
  GLOW_TRY(glow_setup_push(setup, "net"));
  GLOW_TRY(c->net->ops.configure(c->net->self, setup, &kept, c->out));
  glow_setup_pop(setup);
  if (c->net->ops.initialise_size)
    c->net->ops.initialise_size(c->net->self, &rounds, &bytes);
  return rounds ? glow_setup_initialise(setup, rounds, bytes) : GLOW_OK;
}

static glow_status configure(void *self, glow_setup *setup, const glow_shape *input,
                             glow_shape *output) {
  spline_coupling *c = self;
  int64_t numbers = 0;
  *output = *input;
  if (input->channels < 2)
    return glow_error(GLOW_E_SHAPE, "a coupling needs 2 channels or more");
  c->image = input->height * input->width;
  c->channels = input->channels;
  c->moved = input->channels / 2;
  c->kept = input->channels - c->moved;
  c->move_at = c->parity ? 0 : c->kept;
  c->keep_at = c->parity ? c->moved : 0;
  if (!glow_size_multiply(c->moved, glow__spline_numbers(&c->spline), &c->out) ||
      !glow_size_multiply(c->image, c->out, &numbers))
    return glow_error(GLOW_E_LIMIT, "too many channels for splines of %d bins", c->spline.bins);
  GLOW_TRY(glow_setup_scratch(setup, 0, numbers, &c->h));
  GLOW_TRY(glow_setup_stored(setup, 0, numbers, &c->saved_h));
  GLOW_TRY(glow_setup_backward_scratch(setup, 0, numbers, &c->dh));
  return declare_net(c, setup, input);
}

static glow_status build(const void *self, const glow_call *call) {
  const glow_net *net = ((const spline_coupling *)self)->net;
  return net->ops.reset ? net->ops.reset(net->self, call) : GLOW_OK;
}

static glow_status init(const void *self, const glow_call *call, int32_t round, int32_t phase,
                        const float *x) {
  const spline_coupling *c = self;
  return c->net->ops.initialise(c->net->self, call, round, phase, x ? x + c->keep_at : NULL, c->channels);
}

static glow_status prepare(const void *self, const glow_call *call) {
  const glow_net *net = ((const spline_coupling *)self)->net;
  return net->ops.prepare ? net->ops.prepare(net->self, call) : GLOW_OK;
}

/* ---- tasks: runs of whole samples ------------------------------------------------------------ */

typedef struct run {
  const spline_coupling *c;
  const glow_call *call;
  const float *from, *h;
  float *to, *dh;
  double *logdet;
  double sign; /* of the log-slopes in logdet */
  const glow_layer_gradient *g;
  int64_t samples, group; /* samples of the batch, and of a task */
} run;

enum { MOST_TASKS = 64, LEAST_SPLINES = 256 }; /* so many take about 40 us */

static run run_of(const spline_coupling *c, const glow_call *call) {
  run r = {.c = c, .call = call, .samples = glow_call_sample_count(call)};
  int64_t splines = c->image * c->moved;
  int64_t share = (r.samples + MOST_TASKS - 1) / MOST_TASKS;
  int64_t least = (LEAST_SPLINES + splines - 1) / splines;
  r.group = share > least ? share : least;
  return r;
}

static void run_tasks(run *r, glow_task_fn fn) {
  glow_call_run(r->call, (uint32_t)((r->samples + r->group - 1) / r->group), fn, r);
}

static int64_t last_sample(const run *r, uint32_t task) {
  int64_t last = ((int64_t)task + 1) * r->group;
  return last < r->samples ? last : r->samples;
}

/* One pixel, one way or back (sign -1). Returns the sum of its log-slopes. */
static double change(const run *r, int64_t pixel) {
  const spline_coupling *c = r->c;
  int64_t at = pixel * c->channels, numbers = glow__spline_numbers(&c->spline);
  double sum = 0;
  if (r->from != r->to)
    memcpy(r->to + at + c->keep_at, r->from + at + c->keep_at, (size_t)c->kept * sizeof(float));
  for (int64_t j = 0; j < c->moved; j++) {
    double log_slope, v = (double)r->from[at + c->move_at + j];
    glow__knots knots;
    glow__spline_knots(&c->spline, r->h + pixel * c->out + j * numbers, &knots);
    v = r->sign > 0 ? glow__spline_forward(&c->spline, &knots, v, &log_slope)
                    : glow__spline_inverse(&c->spline, &knots, v, &log_slope);
    r->to[at + c->move_at + j] = (float)v;
    sum += log_slope;
  }
  return sum;
}

static void change_task(void *arg, uint32_t task, uint32_t worker) {
  const run *r = arg;
  (void)worker;
  for (int64_t n = (int64_t)task * r->group; n < last_sample(r, task); n++) {
    double sum = 0;
    for (int64_t p = n * r->c->image; p < (n + 1) * r->c->image; p++)
      sum += change(r, p);
    r->logdet[n] += r->sign * sum;
  }
}

static void transform(const spline_coupling *c, const glow_call *call, const float *from, float *to,
                      double *logdet, double sign) {
  float *saved = glow_call_stored(call, c->saved_h);
  float *h = saved ? saved : glow_call_scratch(call, c->h);
  run r = run_of(c, call);
  c->net->ops.forward(c->net->self, call, from + c->keep_at, c->channels, h);
  r.from = from;
  r.to = to;
  r.h = h;
  r.logdet = logdet;
  r.sign = sign;
  run_tasks(&r, change_task);
}

static void forward(const void *self, const glow_call *call, const float *x, float *y,
                    double *logdet, double *logprior) {
  (void)logprior;
  transform(self, call, x, y, logdet, 1.0);
}

static void inverse(const void *self, const glow_call *call, const float *y, float *x,
                    double *logdet) {
  transform(self, call, y, x, logdet, -1.0);
}

static void pixel_gradient(const run *r, int64_t pixel, double d_logdet) {
  const spline_coupling *c = r->c;
  const glow_layer_gradient *g = r->g;
  int64_t at = pixel * c->channels, keep = at + c->keep_at;
  int64_t numbers = glow__spline_numbers(&c->spline);
  memcpy(g->dx + keep, g->dy + keep, (size_t)c->kept * sizeof(float));
  if (!g->x)
    memcpy(g->x_out + keep, g->y + keep, (size_t)c->kept * sizeof(float));
  for (int64_t j = 0; j < c->moved; j++) {
    int64_t i = at + c->move_at + j, place = pixel * c->out + j * numbers;
    double x, log_slope;
    glow__knots knots;
    glow__spline_knots(&c->spline, r->h + place, &knots);
    if (g->x)
      x = (double)g->x[i];
    else
      x = glow__spline_inverse(&c->spline, &knots, (double)g->y[i], &log_slope);
    g->dx[i] = (float)glow__spline_gradient(&c->spline, r->h + place, &knots, x, (double)g->dy[i],
                                            d_logdet, r->dh + place);
    if (!g->x)
      g->x_out[i] = (float)x;
  }
}

static void backward_task(void *arg, uint32_t task, uint32_t worker) {
  const run *r = arg;
  (void)worker;
  for (int64_t n = (int64_t)task * r->group; n < last_sample(r, task); n++)
    for (int64_t p = n * r->c->image; p < (n + 1) * r->c->image; p++)
      pixel_gradient(r, p, r->g->d_logdet[n]);
}

/* The net can be run from the output: what it is given has passed unchanged. */
static void backward(const void *self, const glow_call *call, const glow_layer_gradient *g) {
  const spline_coupling *c = self;
  float *h = glow_call_stored(call, c->saved_h);
  run r = run_of(c, call);
  if (!glow_call_stored_valid(call))
    c->net->ops.forward(c->net->self, call, g->y + c->keep_at, c->channels, h);
  r.h = h;
  r.dh = glow_call_scratch(call, c->dh);
  r.g = g;
  run_tasks(&r, backward_task);
  c->net->ops.backward(c->net->self, call, g->y + c->keep_at, c->channels, h, r.dh,
                       g->dx + c->keep_at, c->channels);
}

/* ---- options --------------------------------------------------------------------------------- */

static glow_status save(const void *self, glow_config *config) {
  const spline_coupling *c = self;
  GLOW_TRY(glow_config_set_int(config, "bins", c->spline.bins));
  GLOW_TRY(glow_config_set_int(config, "parity", c->parity));
  GLOW_TRY(glow_config_set_real(config, "bound", c->spline.bound));
  GLOW_TRY(glow_config_set_real(config, "min_width", c->spline.min_width));
  GLOW_TRY(glow_config_set_real(config, "min_height", c->spline.min_height));
  GLOW_TRY(glow_config_set_real(config, "min_derivative", c->spline.min_derivative));
  GLOW_TRY(glow_config_set_text(config, "net", c->net->ops.type));
  if (!c->net->ops.save)
    return glow_error(GLOW_E_UNSUPPORTED, "net '%s' cannot be saved: its table has no save",
                      c->net->ops.type);
  return c->net->ops.save(c->net->self, config);
}

static glow_status freeze(const void *self, const glow_call *call, glow_layer **out) {
  const spline_coupling *c = self;
  glow_net *net = NULL;
  *out = NULL;
  GLOW_TRY(glow__net_inference_form(c->net, call, &net));
  if (!net)
    return GLOW_OK;
  const glow_spline_coupling_options o = {sizeof o,
                                          c->spline.bins,
                                          c->parity,
                                          c->spline.bound,
                                          c->spline.min_width,
                                          c->spline.min_height,
                                          c->spline.min_derivative};
  return glow_spline_coupling_create(glow_call_context(call), &o, &net, out);
}

static void destroy(void *self, glow_context *context) {
  spline_coupling *c = self;
  glow_net_destroy(&c->net);
  glow_release(context, c);
}

static const glow_layer_ops ops = {
    .struct_size = sizeof(glow_layer_ops),
    .type = "spline_coupling",
    .flags = GLOW_LAYER_BY_TASKS | GLOW_LAYER_IN_PLACE | GLOW_LAYER_RECONSTRUCTS,
    .configure = configure,
    .reset = build,
    .initialise = init,
    .prepare = prepare,
    .forward = forward,
    .inverse = inverse,
    .backward = backward,
    .save = save,
    .inference_form = freeze,
    .destroy = destroy,
};

static bool valid_share(double share, int32_t bins) {
  return share > 0 && share * bins < 1;
}

static glow_status check(const glow_spline_coupling_options *o) {
  if (o->bins < 2 || o->bins > GLOW_SPLINE_MOST_BINS)
    return glow_error(GLOW_E_ARGUMENT, "bins is %d; it must be 2 to %d", o->bins,
                      GLOW_SPLINE_MOST_BINS);
  if (o->parity < 0 || o->parity > 1)
    return glow_error(GLOW_E_ARGUMENT, "parity is %d; it must be 0 or 1", o->parity);
  if (!(o->bound > 0 && o->bound <= 1e6))
    return glow_error(GLOW_E_ARGUMENT, "bound is %g; it must be above 0 and at most 1e6", o->bound);
  if (!valid_share(o->min_width, o->bins))
    return glow_error(GLOW_E_ARGUMENT,
                      "min_width is %g; it must be above 0, and %d times it below 1", o->min_width,
                      o->bins);
  if (!valid_share(o->min_height, o->bins))
    return glow_error(GLOW_E_ARGUMENT,
                      "min_height is %g; it must be above 0, and %d times it below 1",
                      o->min_height, o->bins);
  if (!(o->min_derivative > 0 && o->min_derivative < 1))
    return glow_error(GLOW_E_ARGUMENT, "min_derivative is %g; it must be between 0 and 1",
                      o->min_derivative);
  return GLOW_OK;
}

glow_status glow_spline_coupling_create(glow_context *context,
                                        const glow_spline_coupling_options *options, glow_net **net,
                                        glow_layer **out) {
  glow_spline_coupling_options o = GLOW_SPLINE_COUPLING_OPTIONS_INIT;
  glow_status status = GLOW_OK;
  if (out)
    *out = NULL;
  if (!context || !net || !*net || !out)
    status = glow_error(GLOW_E_ARGUMENT, "glow_spline_coupling_create: NULL argument");
  else if ((*net)->context != context)
    status = glow_error(GLOW_E_ARGUMENT, "the coupling's net was made with another context");
  if (status == GLOW_OK)
    status = glow__options_copy(&o, sizeof o, options, sizeof o, "glow_spline_coupling_options");
  if (status == GLOW_OK)
    status = check(&o);
  spline_coupling *c = status == GLOW_OK ? glow_allocate(context, sizeof *c) : NULL;
  if (!c) {
    glow_net_destroy(net);
    return status == GLOW_OK ? GLOW_E_MEMORY : status;
  }
  c->spline = (glow__spline){o.bins, o.bound, o.min_width, o.min_height, o.min_derivative};
  c->parity = o.parity;
  c->net = *net;
  *net = NULL;
  glow_layer_ops table = ops;
  table.flags |= glow__net_layer_flags(c->net);
  return glow_layer_create(context, &table, c, out);
}

glow_status glow__spline_coupling_make(glow_context *context, const glow_config *config,
                                       glow_layer **out) {
  glow_spline_coupling_options o = GLOW_SPLINE_COUPLING_OPTIONS_INIT;
  int64_t bins = o.bins, parity = o.parity;
  const char *type = "mlp";
  glow_net *net = NULL;
  GLOW_TRY(glow_config_get_int(config, "bins", 2, GLOW_SPLINE_MOST_BINS, &bins));
  GLOW_TRY(glow_config_get_int(config, "parity", 0, 1, &parity));
  GLOW_TRY(glow_config_get_real(config, "bound", &o.bound));
  GLOW_TRY(glow_config_get_real(config, "min_width", &o.min_width));
  GLOW_TRY(glow_config_get_real(config, "min_height", &o.min_height));
  GLOW_TRY(glow_config_get_real(config, "min_derivative", &o.min_derivative));
  GLOW_TRY(glow_config_get_text(config, "net", &type));
  o.bins = (int32_t)bins;
  o.parity = (int32_t)parity;
  GLOW_TRY(glow__registry_make_net(context, type, config, &net));
  return glow_spline_coupling_create(context, &o, &net, out);
}
