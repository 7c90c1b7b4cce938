/* spline_coupling: one part of the channels, x1, stays as it is and conditions the change of the
 * other, x2: each element of x2 goes through a monotone rational-quadratic spline of its own
 * (math/spline.h):
 *   h = net(x1);  y2_j = spline(x2_j; h_j);  log-det = sum log dy2/dx2
 * where h_j are the 3K-1 outputs of the net for channel j. Of C channels, x1 is the first C -
 * floor(C/2) or, with parity 1, the last ones; of a single channel it is empty, and the net sees
 * only its condition. Durkan et al. 2019, "Neural Spline Flows". SPDX-License-Identifier: MIT */
#include <glow/sys/net.h>
#include <string.h>

#include "layers/layers.h"
#include "math/spline.h"

typedef struct spline_coupling {
  glow_spline_coupling_options o;
  glow__spline spline;
  int64_t image, channels; /* image: pixels of a sample */
  int64_t moved, move_at;  /* channels that change, and the first of them */
  int64_t kept, keep_at;   /* those that stay and condition */
  int64_t out;             /* the net's channels: 3K-1 for each that changes */
  int32_t h;               /* scratch [pixels, out]: the net's output */
  int32_t saved_h;
  int32_t dh; /* backward scratch [pixels, out] */
} spline_coupling;

enum { SPLINE_NET = 0 }; /* the one net that it hosts */

/* ---- building -------------------------------------------------------------------------------- */

/* Work of one output of the net, in multiply-adds of a product that take the same time: a spline of
 * 8 bins, 23 outputs, takes 0.2 us either way, in which a core with AVX2 does 12000. */
enum { SPLINE_WORK = 500 };

static glow_status spline_coupling_configure(void *self, glow_setup *setup, const glow_shape *input,
                                             glow_shape *output) {
  spline_coupling *c = self;
  int64_t outputs = 0, work = 0;
  *output = *input;
  c->spline =
      (glow__spline){c->o.bins, c->o.bound, c->o.min_width, c->o.min_height, c->o.min_derivative};
  c->image = input->height * input->width;
  c->channels = input->channels;
  c->moved = input->channels > 1 ? input->channels / 2 : 1;
  c->kept = input->channels - c->moved;
  c->move_at = c->o.parity ? 0 : c->kept;
  c->keep_at = c->o.parity && c->kept ? c->moved : 0;
  if (!glow_size_multiply(c->moved, glow__spline_numbers(&c->spline), &c->out) ||
      !glow_size_multiply(c->image, c->out, &outputs) ||
      !glow_size_multiply(outputs, SPLINE_WORK, &work))
    return glow_error(GLOW_E_LIMIT, "too many channels for splines of %d bins", c->spline.bins);
  GLOW_TRY(glow_setup_work(setup, work, work));
  GLOW_TRY(glow_setup_scratch(setup, 0, outputs, &c->h));
  GLOW_TRY(glow_setup_stored(setup, 0, outputs, &c->saved_h));
  GLOW_TRY(glow_setup_backward_scratch(setup, 0, outputs, &c->dh));
  const glow_shape kept = {input->height, input->width, c->kept};
  return glow_setup_net(setup, SPLINE_NET, &kept, c->out);
}

static glow_status spline_coupling_initialise(const void *self, const glow_call *call,
                                              int32_t round, int32_t phase, const float *x) {
  const spline_coupling *c = self;
  return glow_call_net_initialise(call, SPLINE_NET, round, phase, x ? x + c->keep_at : NULL,
                                  c->channels);
}

/* ---- tasks: groups of whole samples ---------------------------------------------------------- */

typedef struct spline_run {
  const spline_coupling *c;
  const glow_call *call;
  const float *from, *h;
  float *to, *dh;
  double *logdet;
  double sign; /* of the log-slopes in logdet */
  const glow_layer_gradient *g;
  const glow_layer_inverse_gradient *inverse;
  int64_t samples, group; /* samples of the batch, and of a task */
} spline_run;

enum { MOST_TASKS = 64, LEAST_SPLINES = 256 }; /* this many take about 40 us */

static spline_run spline_begin(const spline_coupling *c, const glow_call *call) {
  spline_run r = {.c = c, .call = call, .samples = glow_call_sample_count(call)};
  int64_t splines = c->image * c->moved;
  int64_t share = (r.samples + MOST_TASKS - 1) / MOST_TASKS;
  int64_t least = (LEAST_SPLINES + splines - 1) / splines;
  r.group = share > least ? share : least;
  return r;
}

static void spline_run_tasks(spline_run *r, glow_task_fn fn) {
  glow_call_run(r->call, (uint32_t)((r->samples + r->group - 1) / r->group), fn, r);
}

static int64_t spline_last_sample(const spline_run *r, uint32_t task) {
  int64_t last = ((int64_t)task + 1) * r->group;
  return last < r->samples ? last : r->samples;
}

/* One pixel, forward or, with sign -1, back. Returns the sum of its log-slopes. */
static double spline_change(const spline_run *r, int64_t pixel) {
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

static void spline_change_task(void *arg, uint32_t task, uint32_t worker) {
  const spline_run *r = arg;
  (void)worker;
  for (int64_t n = (int64_t)task * r->group; n < spline_last_sample(r, task); n++) {
    double sum = 0;
    for (int64_t p = n * r->c->image; p < (n + 1) * r->c->image; p++)
      sum += spline_change(r, p);
    r->logdet[n] += r->sign * sum;
  }
}

static void spline_transform(const spline_coupling *c, const glow_call *call, const float *from,
                             float *to, double *logdet, double sign) {
  float *saved = glow_call_stored(call, c->saved_h);
  float *h = saved ? saved : glow_call_scratch(call, c->h);
  spline_run r = spline_begin(c, call);
  glow_call_net_forward(call, SPLINE_NET, from + c->keep_at, c->channels, h);
  r.from = from;
  r.to = to;
  r.h = h;
  r.logdet = logdet;
  r.sign = sign;
  spline_run_tasks(&r, spline_change_task);
}

static void spline_coupling_forward(const void *self, const glow_call *call, const float *x,
                                    float *y, double *logdet, double *logprior) {
  (void)logprior;
  spline_transform(self, call, x, y, logdet, 1.0);
}

static glow_status spline_coupling_inverse(const void *self, const glow_call *call, const float *y,
                                           float *x, double *logdet, double *logprior) {
  (void)logprior;
  spline_transform(self, call, y, x, logdet, -1.0);
  return GLOW_OK;
}

static void spline_pixel_gradient(const spline_run *r, int64_t pixel, double d_logdet) {
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

static void spline_backward_task(void *arg, uint32_t task, uint32_t worker) {
  const spline_run *r = arg;
  (void)worker;
  for (int64_t n = (int64_t)task * r->group; n < spline_last_sample(r, task); n++)
    for (int64_t p = n * r->c->image; p < (n + 1) * r->c->image; p++)
      spline_pixel_gradient(r, p, r->g->d_logdet[n]);
}

/* The net can be run from the output, in which x1 is unchanged. */
static void spline_coupling_backward(const void *self, const glow_call *call,
                                     const glow_layer_gradient *g) {
  const spline_coupling *c = self;
  float *h = glow_call_stored(call, c->saved_h);
  spline_run r = spline_begin(c, call);
  if (!glow_call_stored_valid(call))
    glow_call_net_forward(call, SPLINE_NET, g->y + c->keep_at, c->channels, h);
  r.h = h;
  r.dh = glow_call_scratch(call, c->dh);
  r.g = g;
  spline_run_tasks(&r, spline_backward_task);
  glow_call_net_backward(call, SPLINE_NET, g->y + c->keep_at, c->channels, h, r.dh,
                         g->dx + c->keep_at, c->channels);
}

/* v2 = -(dx2 + d_logdet d(log slope)/dx) / slope for one pixel; the spline's gradient tells both
 * terms, and what it writes to dh meanwhile is not used. */
static void spline_pixel_turn(const spline_run *r, int64_t pixel, double d_logdet) {
  const spline_coupling *c = r->c;
  const glow_layer_inverse_gradient *g = r->inverse;
  int64_t at = pixel * c->channels, numbers = glow__spline_numbers(&c->spline);
  memcpy(g->dy + at + c->keep_at, g->dx + at + c->keep_at, (size_t)c->kept * sizeof(float));
  for (int64_t j = 0; j < c->moved; j++) {
    int64_t i = at + c->move_at + j, place = pixel * c->out + j * numbers;
    double x = (double)g->x[i];
    const float *h = r->h + place;
    float *ignored = r->dh + place;
    glow__knots knots;
    glow__spline_knots(&c->spline, h, &knots);
    double slope = glow__spline_gradient(&c->spline, h, &knots, x, 1, 0, ignored);
    double bend = glow__spline_gradient(&c->spline, h, &knots, x, 0, d_logdet, ignored);
    g->dy[i] = (float)(-((double)g->dx[i] + bend) / slope);
  }
}

static void spline_turn_task(void *arg, uint32_t task, uint32_t worker) {
  const spline_run *r = arg;
  (void)worker;
  for (int64_t n = (int64_t)task * r->group; n < spline_last_sample(r, task); n++)
    for (int64_t p = n * r->c->image; p < (n + 1) * r->c->image; p++)
      spline_pixel_turn(r, p, r->inverse->d_logdet[n]);
}

/* As in the affine coupling: backward, given (gradient of x1, v2), makes the gradient of y1. */
static void spline_coupling_inverse_backward(const void *self, const glow_call *call,
                                             const glow_layer_inverse_gradient *g) {
  const spline_coupling *c = self;
  spline_run r = spline_begin(c, call);
  r.h = glow_call_stored(call, c->saved_h);
  r.dh = glow_call_scratch(call, c->dh);
  r.inverse = g;
  spline_run_tasks(&r, spline_turn_task);
  glow__inverse_by_backward(spline_coupling_backward, self, call, g,
                            r.samples * c->image * c->channels);
  for (int64_t p = 0; p < r.samples * c->image; p++)
    memcpy(g->dy + p * c->channels + c->keep_at, g->dx + p * c->channels + c->keep_at,
           (size_t)c->kept * sizeof(float));
}

/* ---- options --------------------------------------------------------------------------------- */

#define SPLINE_OPEN (GLOW_OPTION_ABOVE_LOW | GLOW_OPTION_BELOW_HIGH)

static const glow_option spline_coupling_rows[] = {
    GLOW_OPTION(glow_spline_coupling_options, bins, INT32, .low = 2, .high = GLOW_SPLINE_MOST_BINS,
                .fallback = 8),
    GLOW_OPTION(glow_spline_coupling_options, parity, INT32, .high = 1),
    GLOW_OPTION(glow_spline_coupling_options, bound, REAL, .high = 1e6, .fallback = 4,
                .flags = GLOW_OPTION_ABOVE_LOW),
    GLOW_OPTION(glow_spline_coupling_options, min_width, REAL, .high = 1, .fallback = 1e-3,
                .flags = SPLINE_OPEN),
    GLOW_OPTION(glow_spline_coupling_options, min_height, REAL, .high = 1, .fallback = 1e-3,
                .flags = SPLINE_OPEN),
    GLOW_OPTION(glow_spline_coupling_options, min_derivative, REAL, .high = 1, .fallback = 1e-3,
                .flags = SPLINE_OPEN),
};

/* The minima of all bins together must leave something to share out. */
static glow_status spline_coupling_check_share(const char *name, double share, int32_t bins) {
  if (share * bins < 1)
    return GLOW_OK;
  return glow_error(
      GLOW_E_ARGUMENT,
      "glow_spline_coupling_options: %s is %g; times bins, %d, the product must be below 1", name,
      share, (int)bins);
}

static glow_status spline_coupling_check(const void *options) {
  const glow_spline_coupling_options *o = options;
  GLOW_TRY(spline_coupling_check_share("min_width", o->min_width, o->bins));
  return spline_coupling_check_share("min_height", o->min_height, o->bins);
}

static const glow_options_table spline_coupling_table = {
    GLOW_OPTIONS_TABLE(glow_spline_coupling_options, spline_coupling_rows),
    .check = spline_coupling_check};

static const glow_hosted_net spline_coupling_nets[] = {[SPLINE_NET] = {"net", "mlp"}};

const glow_layer_ops glow__spline_coupling_ops = {
    .struct_size = sizeof(glow_layer_ops),
    .type = "spline_coupling",
    .flags = GLOW_LAYER_BY_TASKS | GLOW_LAYER_IN_PLACE | GLOW_LAYER_RECONSTRUCTS |
             GLOW_LAYER_SKIPS_GRADIENTS,
    .net_count = 1,
    .nets = spline_coupling_nets,
    .options = &spline_coupling_table,
    .self_size = sizeof(spline_coupling),
    .configure = spline_coupling_configure,
    .initialise = spline_coupling_initialise,
    .forward = spline_coupling_forward,
    .inverse = spline_coupling_inverse,
    .backward = spline_coupling_backward,
    .inverse_backward = spline_coupling_inverse_backward,
};

glow_status glow_spline_coupling_create(glow_context *context,
                                        const glow_spline_coupling_options *options, glow_net **net,
                                        glow_layer **out) {
  return glow_layer_create(context, &glow__spline_coupling_ops, options, net, out);
}
