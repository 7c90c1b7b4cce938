/* batchnorm: y_c = (x_c - mean_c) / sqrt(var_c + epsilon), log-det = -H W / 2 sum_c log(var_c +
 * epsilon). In training passes mean and var (biased) are those of the batch's pixels, and running
 * averages of them follow; in other passes they are these running averages. With a lag l, training
 * uses l running + (1 - l) batch, and gradients go through the batch's part. Ioffe and Szegedy
 * 2015; Dinh et al. 2016, section 3.7 and appendix E. There is no affine part: for that, put an
 * actnorm after it. SPDX-License-Identifier: MIT */
#include <math.h>
#include <string.h>

#include "layers/groups.h"
#include "layers/layers.h"
#include "math/moments.h"

typedef struct batchnorm {
  glow_batchnorm_options o;
  int64_t image, channels;
  int32_t mean, var;
  int32_t partial; /* doubles [groups, 2 channels] */
  int32_t used;    /* [USED channels]: what a pass computes with */
} batchnorm;

/* Vectors in `used`. */
enum { MEAN, DEVIATION, INVERSE, SHIFT, SLOPE, USED };

static glow_status batchnorm_configure(void *self, glow_setup *setup, const glow_shape *input,
                                       glow_shape *output) {
  batchnorm *b = self;
  int64_t dims[] = {input->channels};
  *output = *input;
  b->image = input->height * input->width;
  b->channels = input->channels;
  if (b->channels > 1 << 24)
    return glow_error(GLOW_E_LIMIT, "too many channels");
  GLOW_TRY(glow_setup_running_average(setup, "mean", 1, dims, b->o.momentum, &b->mean));
  GLOW_TRY(glow_setup_running_average(setup, "var", 1, dims, b->o.momentum, &b->var));
  GLOW_TRY(glow_setup_scratch(setup, (int64_t)GLOW_MOST_GROUPS * 4 * b->channels, 0, &b->partial));
  GLOW_TRY(glow_setup_scratch(setup, USED * b->channels, 0, &b->used));
  return glow_setup_initialise(setup, 1, glow_moments_bytes(b->channels));
}

static glow_status batchnorm_reset(const void *self, const glow_call *call) {
  const batchnorm *b = self;
  float *var = glow_call_tensor_mutable(call, b->var);
  for (int64_t c = 0; c < b->channels; c++)
    var[c] = 1.0f;
  return GLOW_OK;
}

static glow_status batchnorm_initialise(const void *self, const glow_call *call, int32_t round,
                                        int32_t phase, const float *x) {
  const batchnorm *b = self;
  glow_moments *moments = glow_call_initialise_state(call);
  (void)round;
  if (phase == GLOW_INITIALISE_BATCH)
    glow_moments_add(moments, glow_call_sample_count(call) * b->image, b->channels, x);
  if (phase != GLOW_INITIALISE_END)
    return GLOW_OK;
  return glow__moments_finish(moments->rows, b->channels, moments->values,
                              glow_call_tensor_mutable(call, b->mean),
                              glow_call_tensor_mutable(call, b->var));
}

/* Nothing is derived, but a variance from a file may be anything. */
static glow_status batchnorm_prepare(const void *self, const glow_call *call) {
  const batchnorm *b = self;
  const float *var = glow_call_tensor(call, b->var);
  for (int64_t c = 0; c < b->channels; c++)
    if (!(var[c] >= 0.0f))
      return glow_error(GLOW_E_NUMERIC, "the variance of channel %lld is %g", (long long)c,
                        (double)var[c]);
  return GLOW_OK;
}

typedef struct batchnorm_run {
  const batchnorm *b;
  const glow_call *call;
  glow__groups groups;
  const float *from, *dy;
  float *to, *dx;
  float *used;
} batchnorm_run;

static batchnorm_run batchnorm_begin(const batchnorm *b, const glow_call *call) {
  return (batchnorm_run){.b = b,
                         .call = call,
                         .groups =
                             glow__groups_of(glow_call_sample_count(call), b->image * b->channels),
                         .used = glow_call_scratch(call, b->used)};
}

static double *batchnorm_sums(const batchnorm_run *r, uint32_t task) {
  double *partial = (double *)(void *)glow_call_scratch(r->call, r->b->partial);
  return partial + (int64_t)task * 2 * r->b->channels;
}

/* Runs fn on all groups, each of which writes 2 C sums, and adds these in order to those of the
 * first group. */
static const double *batchnorm_total(batchnorm_run *r, glow_task_fn fn) {
  uint32_t count = glow__group_count(&r->groups);
  double *sums = batchnorm_sums(r, 0);
  glow_call_run(r->call, count, fn, r);
  for (uint32_t t = 1; t < count; t++)
    for (int64_t j = 0; j < 2 * r->b->channels; j++)
      sums[j] += batchnorm_sums(r, t)[j];
  return sums;
}

static void batchnorm_moments_task(void *arg, uint32_t task, uint32_t worker) {
  const batchnorm_run *r = arg;
  int64_t first = glow__group_first(&r->groups, task), last = glow__group_last(&r->groups, task);
  (void)worker;
  glow__moments_of((last - first) * r->b->image, r->b->channels,
                   r->from + first * r->b->image * r->b->channels, batchnorm_sums(r, task));
}

/* The moments of all groups, merged in order into those of the first. */
static const double *batchnorm_moments(batchnorm_run *r) {
  double *moments = batchnorm_sums(r, 0);
  glow_call_run(r->call, glow__group_count(&r->groups), batchnorm_moments_task, r);
  for (uint32_t t = 1; t < glow__group_count(&r->groups); t++) {
    int64_t first = glow__group_first(&r->groups, t), last = glow__group_last(&r->groups, t);
    glow__moments_merge(r->b->channels, (double)(first * r->b->image), moments,
                        (double)((last - first) * r->b->image), batchnorm_sums(r, t));
  }
  return moments;
}

/* The statistics that the pass uses; it computes them from x if it is a training pass. Returns the
 * log-det of a sample. */
static double batchnorm_choose(const batchnorm *b, batchnorm_run *r, const float *x) {
  const float *mean = glow_call_tensor(r->call, b->mean), *var = glow_call_tensor(r->call, b->var);
  int32_t statistics = glow_call_statistics(r->call);
  float *batch_mean = glow_call_observed(r->call, b->mean);
  float *batch_var = glow_call_observed(r->call, b->var);
  double lag = b->o.lag, logdet = 0;
  if (statistics == GLOW_STATISTICS_BATCH) {
    r->from = x;
    (void)glow__moments_finish((double)(r->groups.samples * b->image), b->channels,
                               batchnorm_moments(r), batch_mean,
                               batch_var); /* not finite: then the loss will not be either */
  }
  for (int64_t c = 0; c < b->channels; c++) {
    double m = batch_mean ? lag * (double)mean[c] + (1 - lag) * (double)batch_mean[c] : mean[c];
    double v = batch_var ? lag * (double)var[c] + (1 - lag) * (double)batch_var[c] : var[c];
    double deviation = sqrt(v + b->o.epsilon);
    r->used[MEAN * b->channels + c] = (float)m;
    r->used[DEVIATION * b->channels + c] = (float)deviation;
    r->used[INVERSE * b->channels + c] = (float)(1 / deviation);
    logdet -= log(deviation);
  }
  return logdet * (double)b->image;
}

static void batchnorm_forward_task(void *arg, uint32_t task, uint32_t worker) {
  const batchnorm_run *r = arg;
  int64_t channels = r->b->channels, image = r->b->image;
  const float *mean = r->used + MEAN * channels, *inverse = r->used + INVERSE * channels;
  (void)worker;
  for (int64_t p = glow__group_first(&r->groups, task) * image;
       p < glow__group_last(&r->groups, task) * image; p++)
    for (int64_t c = 0; c < channels; c++)
      r->to[p * channels + c] = (r->from[p * channels + c] - mean[c]) * inverse[c];
}

static void batchnorm_inverse_task(void *arg, uint32_t task, uint32_t worker) {
  const batchnorm_run *r = arg;
  int64_t channels = r->b->channels, image = r->b->image;
  const float *mean = r->used + MEAN * channels, *deviation = r->used + DEVIATION * channels;
  (void)worker;
  for (int64_t p = glow__group_first(&r->groups, task) * image;
       p < glow__group_last(&r->groups, task) * image; p++)
    for (int64_t c = 0; c < channels; c++)
      r->to[p * channels + c] = r->from[p * channels + c] * deviation[c] + mean[c];
}

static void batchnorm_forward(const void *self, const glow_call *call, const float *x, float *y,
                              double *logdet, double *logprior) {
  const batchnorm *b = self;
  batchnorm_run r = batchnorm_begin(b, call);
  double each = batchnorm_choose(b, &r, x);
  (void)logprior;
  r.from = x;
  r.to = y;
  glow_call_run(call, glow__group_count(&r.groups), batchnorm_forward_task, &r);
  for (int64_t n = 0; n < r.groups.samples; n++)
    logdet[n] += each;
}

static glow_status batchnorm_inverse(const void *self, const glow_call *call, const float *y,
                                     float *x, double *logdet, double *logprior) {
  (void)logprior;
  const batchnorm *b = self;
  batchnorm_run r = batchnorm_begin(b, call);
  double each = batchnorm_choose(b, &r, NULL);
  r.from = y;
  r.to = x;
  glow_call_run(call, glow__group_count(&r.groups), batchnorm_inverse_task, &r);
  for (int64_t n = 0; n < r.groups.samples; n++)
    logdet[n] -= each;
  return GLOW_OK;
}

/* ---- backward -------------------------------------------------------------------------------- */

/* Sums of dy, then of dy y. */
static void batchnorm_gradient_sums(void *arg, uint32_t task, uint32_t worker) {
  const batchnorm_run *r = arg;
  int64_t channels = r->b->channels, image = r->b->image;
  double *sums = batchnorm_sums(r, task);
  (void)worker;
  memset(sums, 0, 2 * (size_t)channels * sizeof *sums);
  for (int64_t p = glow__group_first(&r->groups, task) * image;
       p < glow__group_last(&r->groups, task) * image; p++)
    for (int64_t c = 0; c < channels; c++) {
      double dy = (double)r->dy[p * channels + c];
      sums[c] += dy;
      sums[channels + c] += dy * (double)r->from[p * channels + c];
    }
}

static void batchnorm_gradient_task(void *arg, uint32_t task, uint32_t worker) {
  const batchnorm_run *r = arg;
  int64_t channels = r->b->channels, image = r->b->image;
  const float *inverse = r->used + INVERSE * channels, *shift = r->used + SHIFT * channels;
  const float *slope = r->used + SLOPE * channels;
  (void)worker;
  for (int64_t p = glow__group_first(&r->groups, task) * image;
       p < glow__group_last(&r->groups, task) * image; p++)
    for (int64_t c = 0; c < channels; c++) {
      int64_t i = p * channels + c;
      r->dx[i] = inverse[c] * (r->dy[i] - shift[c] - slope[c] * r->from[i]);
    }
}

/* With M pixels, used mean m and deviation s, batch mean b, a = 1 - lag, and D = H W sum d_logdet:
 *   d m = -sum dy / s,  d var = -(sum dy y + D) / (2 s^2),
 *   dx = dy / s + a (d m / M + d var 2 (x - b) / M),  where x - b = s y + m - b;  so
 *   dx = (dy - shift - slope y) / s,  slope = a (sum dy y + D) / M,
 *   shift = a sum dy / M + slope (m - b) / s. */
static void batchnorm_backward(const void *self, const glow_call *call,
                               const glow_layer_gradient *g) {
  const batchnorm *b = self;
  batchnorm_run r = batchnorm_begin(b, call);
  const float *batch_mean = glow_call_observed(call, b->mean);
  double pixels = (double)(r.groups.samples * b->image), d_logdet = 0;
  batchnorm_choose(b, &r, NULL);
  r.from = g->y;
  r.dy = g->dy;
  r.dx = g->dx;
  for (int64_t n = 0; n < r.groups.samples; n++)
    d_logdet += g->d_logdet[n] * (double)b->image;
  const double *sums = batchnorm_total(&r, batchnorm_gradient_sums);
  for (int64_t c = 0; c < b->channels; c++) {
    double part = batch_mean ? 1 - b->o.lag : 0;
    double slope = part * (sums[b->channels + c] + d_logdet) / pixels;
    double away = batch_mean ? (double)(r.used[MEAN * b->channels + c] - batch_mean[c]) : 0;
    r.used[SLOPE * b->channels + c] = (float)slope;
    r.used[SHIFT * b->channels + c] =
        (float)(part * sums[c] / pixels + slope * away * (double)r.used[INVERSE * b->channels + c]);
  }
  glow_call_run(call, glow__group_count(&r.groups), batchnorm_gradient_task, &r);
  if (g->x)
    return;
  r.to = g->x_out;
  glow_call_run(call, glow__group_count(&r.groups), batchnorm_inverse_task, &r);
}

/* dy = dx s, with the running averages, which inverse passes use and which are held. */
static void batchnorm_inverse_backward(const void *self, const glow_call *call,
                                       const glow_layer_inverse_gradient *g) {
  const batchnorm *b = self;
  batchnorm_run r = batchnorm_begin(b, call);
  const float *deviation = r.used + DEVIATION * b->channels;
  int64_t count = r.groups.samples * b->image * b->channels;
  batchnorm_choose(b, &r, NULL);
  for (int64_t i = 0; i < count; i += b->channels)
    for (int64_t c = 0; c < b->channels; c++)
      g->dy[i + c] = g->dx[i + c] * deviation[c];
}

/* With the running averages, as in all passes except those of training. */
static glow_status batchnorm_linear(const void *self, const glow_call *call, double *w, double *b) {
  const batchnorm *n = self;
  const float *mean = glow_call_tensor(call, n->mean), *var = glow_call_tensor(call, n->var);
  for (int64_t c = 0; c < n->channels; c++) {
    double scale = 1 / sqrt((double)var[c] + n->o.epsilon);
    w[c * n->channels + c] = scale;
    b[c] = -scale * (double)mean[c];
  }
  return GLOW_OK;
}

static glow_status batchnorm_diagnose(const void *self, const glow_call *call, const float *x,
                                      glow_findings *findings) {
  const batchnorm *b = self;
  const float *var = glow_call_tensor(call, b->var);
  for (int64_t c = 0; !x && c < b->channels; c++)
    glow_findings_scale(findings, 1.0 / sqrt((double)var[c] + b->o.epsilon));
  return GLOW_OK;
}

/* ---- options --------------------------------------------------------------------------------- */

static const glow_option batchnorm_rows[] = {
    GLOW_OPTION(glow_batchnorm_options, epsilon, REAL, .high = 1, .fallback = 1e-4,
                .flags = GLOW_OPTION_ABOVE_LOW | GLOW_OPTION_BELOW_HIGH),
    GLOW_OPTION(glow_batchnorm_options, momentum, REAL, .high = 1, .fallback = 0.1,
                .flags = GLOW_OPTION_ABOVE_LOW),
    GLOW_OPTION(glow_batchnorm_options, lag, REAL, .high = 1, .flags = GLOW_OPTION_BELOW_HIGH),
};
static const glow_options_table batchnorm_table = {
    GLOW_OPTIONS_TABLE(glow_batchnorm_options, batchnorm_rows)};

const glow_layer_ops glow__batchnorm_ops = {
    .struct_size = sizeof(glow_layer_ops),
    .type = "batchnorm",
    .flags = GLOW_LAYER_BY_TASKS | GLOW_LAYER_IN_PLACE | GLOW_LAYER_RECONSTRUCTS |
             GLOW_LAYER_ALWAYS_PREPARES,
    .options = &batchnorm_table,
    .self_size = sizeof(batchnorm),
    .configure = batchnorm_configure,
    .reset = batchnorm_reset,
    .initialise = batchnorm_initialise,
    .prepare = batchnorm_prepare,
    .forward = batchnorm_forward,
    .inverse = batchnorm_inverse,
    .backward = batchnorm_backward,
    .inverse_backward = batchnorm_inverse_backward,
    .linear = batchnorm_linear,
    .diagnose = batchnorm_diagnose,
};

glow_status glow_batchnorm_create(glow_context *context, const glow_batchnorm_options *options,
                                  glow_layer **out) {
  return glow_layer_create(context, &glow__batchnorm_ops, options, NULL, out);
}
