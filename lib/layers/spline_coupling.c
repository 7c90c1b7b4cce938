/* spline_coupling: one part of the channels, x1, stays as it is and conditions the change of the
 * other, x2: each element of x2 goes through a monotone rational-quadratic spline of its own
 * (math/spline.h):
 *   h = net(x1);  y2_j = spline(x2_j; h_j);  log-det = sum log dy2/dx2
 * where h_j are the 3K-1 outputs of the net for channel j. Of C channels, x1 is the first C -
 * floor(C/2) or, with parity 1, the last ones; of a single channel it is empty, and the net sees
 * only its condition. Durkan et al. 2019, "Neural Spline Flows". SPDX-License-Identifier: MIT */
#include <glow/sys/net.h>
#include <math.h>
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
 * 8 bins, 23 outputs, takes 17 ns either way, in which a core with AVX-512 does 2000. */
enum { SPLINE_WORK = 90 };

static glow_status spline_coupling_configure(void *self, glow_setup *setup, const glow_shape *input,
                                             glow_shape *output) {
  spline_coupling *c = self;
  int64_t outputs = 0, work = 0;
  *output = *input;
  c->spline =
      glow__spline_of(c->o.bins, c->o.bound, c->o.min_width, c->o.min_height, c->o.min_derivative);
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
  const glow__splines *splines;
  const float *from, *h;
  float *to, *dh;
  double *logdet;
  double sign; /* of the log-slopes in logdet */
  const glow_layer_gradient *g;
  const glow_layer_inverse_gradient *inverse;
  int64_t samples, group; /* samples of the batch, and of a task */
} spline_run;

/* Splines of a task: as many as 128 samples of 6 elements have, for which the net has a task too.
 * They take 6 us forward and 10 us backward; threads are awake then, for the net has woken them. */
enum { MOST_TASKS = 64, LEAST_SPLINES = 384 };

static spline_run spline_begin(const spline_coupling *c, const glow_call *call) {
  spline_run r = {.c = c, .call = call, .samples = glow_call_sample_count(call)};
  int64_t splines = c->image * c->moved;
  int64_t share = (r.samples + MOST_TASKS - 1) / MOST_TASKS;
  int64_t least = (LEAST_SPLINES + splines - 1) / splines;
  r.splines = &glow__math_kernels(glow__math_of(call))->splines;
  r.group = share > least ? share : least;
  return r;
}

static uint32_t spline_task_count(const spline_run *r) {
  return (uint32_t)((r->samples + r->group - 1) / r->group);
}

static void spline_run_tasks(spline_run *r, glow_task_fn fn) {
  glow_call_run(r->call, spline_task_count(r), fn, r);
}

/* ---- pieces: splines that are computed at once ----------------------------------------------- */

/* Splines are counted through the batch, pixel after pixel, as their raw parameters lie. */
enum { SPLINE_PIECE = 128 };
typedef struct spline_piece {
  int64_t first, count;
} spline_piece;

/* The piece of a task that starts at spline `first`; its count is 0 at the end. */
static spline_piece spline_piece_at(const spline_run *r, uint32_t task, int64_t first) {
  int64_t splines = r->c->image * r->c->moved, last = ((int64_t)task + 1) * r->group;
  int64_t left = (last < r->samples ? last : r->samples) * splines - first;
  return (spline_piece){first, left < SPLINE_PIECE ? left : SPLINE_PIECE};
}

#define EACH_PIECE(piece, r, task)                                                                 \
  for (spline_piece piece =                                                                        \
           spline_piece_at(r, task, (int64_t)(task) * (r)->group * (r)->c->image * (r)->c->moved); \
       piece.count > 0; piece = spline_piece_at(r, task, piece.first + piece.count))

/* Elements that change, of pixels with all channels, to an array or from one. */
static void spline_gather(const spline_coupling *c, spline_piece piece, const float *x, float *to) {
  int64_t pixel = piece.first / c->moved, j = piece.first % c->moved;
  for (int64_t i = 0; i < piece.count; i++) {
    to[i] = x[pixel * c->channels + c->move_at + j];
    if (++j == c->moved) {
      j = 0;
      pixel++;
    }
  }
}

static void spline_scatter(const spline_coupling *c, spline_piece piece, const float *from,
                           float *x) {
  int64_t pixel = piece.first / c->moved, j = piece.first % c->moved;
  for (int64_t i = 0; i < piece.count; i++) {
    x[pixel * c->channels + c->move_at + j] = from[i];
    if (++j == c->moved) {
      j = 0;
      pixel++;
    }
  }
}

/* Adds what lies in an array to the log-dets of the samples, in order. */
static void spline_add_logdet(const spline_run *r, spline_piece piece, const double *log_slope) {
  int64_t splines = r->c->image * r->c->moved;
  int64_t n = piece.first / splines, j = piece.first % splines;
  for (int64_t i = 0; i < piece.count; i++) {
    r->logdet[n] += r->sign * log_slope[i];
    if (++j == splines) {
      j = 0;
      n++;
    }
  }
}

/* The value of its sample for each spline. */
static void spline_spread(const spline_coupling *c, spline_piece piece, const double *of_sample,
                          double *to) {
  int64_t splines = c->image * c->moved, n = piece.first / splines, j = piece.first % splines;
  for (int64_t i = 0; i < piece.count; i++) {
    to[i] = of_sample[n];
    if (++j == splines) {
      j = 0;
      n++;
    }
  }
}

/* Copies the channels that stay, of the pixels of a task. */
static void spline_keep(const spline_run *r, uint32_t task, const float *from, float *to) {
  const spline_coupling *c = r->c;
  int64_t end = ((int64_t)task + 1) * r->group, last = end < r->samples ? end : r->samples;
  for (int64_t p = (int64_t)task * r->group * c->image; p < last * c->image && from != to; p++)
    memcpy(to + p * c->channels + c->keep_at, from + p * c->channels + c->keep_at,
           (size_t)c->kept * sizeof(float));
}

static const float *spline_raw(const spline_run *r, spline_piece piece) {
  return r->h + piece.first * glow__spline_numbers(&r->c->spline);
}
static float *spline_raw_gradient(const spline_run *r, spline_piece piece) {
  return r->dh + piece.first * glow__spline_numbers(&r->c->spline);
}

/* ---- both ways ------------------------------------------------------------------------------- */

static void spline_change_task(void *arg, uint32_t task, uint32_t worker) {
  const spline_run *r = arg;
  float v[SPLINE_PIECE];
  double log_slope[SPLINE_PIECE];
  (void)worker;
  spline_keep(r, task, r->from, r->to);
  EACH_PIECE(piece, r, task) {
    spline_gather(r->c, piece, r->from, v);
    (r->sign > 0 ? r->splines->forward : r->splines->inverse)(
        &r->c->spline, piece.count, spline_raw(r, piece), v, v, log_slope);
    spline_scatter(r->c, piece, v, r->to);
    spline_add_logdet(r, piece, log_slope);
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

/* The slopes at the data: forward has just left its h. */
static glow_status spline_coupling_diagnose(const void *self, const glow_call *call, const float *x,
                                            glow_findings *findings) {
  const spline_coupling *c = self;
  spline_run r = spline_begin(c, call);
  float v[SPLINE_PIECE];
  double log_slope[SPLINE_PIECE];
  r.h = glow_call_stored(call, c->saved_h);
  for (uint32_t task = 0; x && task < spline_task_count(&r); task++)
    EACH_PIECE(piece, &r, task) {
      spline_gather(c, piece, x, v);
      r.splines->forward(&c->spline, piece.count, spline_raw(&r, piece), v, v, log_slope);
      for (int64_t i = 0; i < piece.count; i++)
        glow_findings_scale(findings, exp(log_slope[i]));
    }
  return GLOW_OK;
}

/* ---- gradients ------------------------------------------------------------------------------- */

/* The piece's x: given, or made from y. */
static void spline_piece_input(const spline_run *r, spline_piece piece, float *x) {
  const glow_layer_gradient *g = r->g;
  double unused[SPLINE_PIECE];
  spline_gather(r->c, piece, g->x ? g->x : g->y, x);
  if (g->x)
    return;
  r->splines->inverse(&r->c->spline, piece.count, spline_raw(r, piece), x, x, unused);
  spline_scatter(r->c, piece, x, g->x_out);
}

static void spline_backward_task(void *arg, uint32_t task, uint32_t worker) {
  const spline_run *r = arg;
  const glow_layer_gradient *g = r->g;
  float x[SPLINE_PIECE], d[SPLINE_PIECE];
  double weight[SPLINE_PIECE];
  (void)worker;
  spline_keep(r, task, g->dy, g->dx);
  if (!g->x)
    spline_keep(r, task, g->y, g->x_out);
  EACH_PIECE(piece, r, task) {
    spline_piece_input(r, piece, x);
    spline_gather(r->c, piece, g->dy, d);
    spline_spread(r->c, piece, g->d_logdet, weight);
    r->splines->gradient(&r->c->spline, piece.count, spline_raw(r, piece), x, d, weight, d,
                         spline_raw_gradient(r, piece));
    spline_scatter(r->c, piece, d, g->dx);
  }
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

/* Gradients of y2, and of the net's outputs. */
static void spline_inverse_backward_task(void *arg, uint32_t task, uint32_t worker) {
  const spline_run *r = arg;
  const glow_layer_inverse_gradient *g = r->inverse;
  float x[SPLINE_PIECE], d[SPLINE_PIECE];
  double weight[SPLINE_PIECE];
  (void)worker;
  EACH_PIECE(piece, r, task) {
    spline_gather(r->c, piece, g->x, x);
    spline_gather(r->c, piece, g->dx, d);
    spline_spread(r->c, piece, g->d_logdet, weight);
    r->splines->inverse_gradient(&r->c->spline, piece.count, spline_raw(r, piece), x, d, weight, d,
                                 spline_raw_gradient(r, piece));
    spline_scatter(r->c, piece, d, g->dy);
  }
}

/* The net adds its part to the gradient of x1, which is then that of y1. */
static void spline_coupling_inverse_backward(const void *self, const glow_call *call,
                                             const glow_layer_inverse_gradient *g) {
  const spline_coupling *c = self;
  spline_run r = spline_begin(c, call);
  r.h = glow_call_stored(call, c->saved_h);
  r.dh = glow_call_scratch(call, c->dh);
  r.inverse = g;
  spline_run_tasks(&r, spline_inverse_backward_task);
  glow_call_net_backward(call, SPLINE_NET, g->y + c->keep_at, c->channels, r.h, r.dh,
                         g->dx + c->keep_at, c->channels);
  for (uint32_t task = 0; task < spline_task_count(&r); task++)
    spline_keep(&r, task, g->dx, g->dy);
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
    .diagnose = spline_coupling_diagnose,
};

glow_status glow_spline_coupling_create(glow_context *context,
                                        const glow_spline_coupling_options *options, glow_net **net,
                                        glow_layer **out) {
  return glow_layer_create(context, &glow__spline_coupling_ops, options, net, out);
}
