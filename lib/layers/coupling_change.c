/* What a coupling does to each number, by groups of samples. With shift t, scale s(raw) and the
 * gradient w of log-det:
 *   shift, then scale   y = (x + t) s    dx = dt = dy s         d log s = dy y + w
 *   scale, then shift   y = x s + t      dx = dy s, dt = dy     d log s = dy (y - t) + w
 *   additive            y = x + t        dx = dt = dy
 * and d raw = d log s (d log s / d raw). SPDX-License-Identifier: MIT */
#include <string.h>

#include "layers/coupling.h"
#include "layers/scale_law.h"

glow__coupling_run glow__coupling_begin(const glow__coupling *c, const glow_pass *pass) {
  return (glow__coupling_run){
      .c = c,
      .pass = pass,
      .groups = glow__groups_of(glow_pass_samples(pass), c->image * c->channels),
      .scale = c->law == GLOW_SCALE_TANH_LEARNED ? glow_pass_tensor(pass, c->scale) : NULL};
}

static void run_groups(glow__coupling_run *run, glow_task_fn fn) {
  glow_pass_run(run->pass, glow__group_count(&run->groups), fn, run);
}

/* Pixels [first, last) of a group. */
static int64_t first_pixel(const glow__coupling_run *run, uint32_t task) {
  return glow__group_first(&run->groups, task) * run->c->image;
}
static int64_t last_pixel(const glow__coupling_run *run, uint32_t task) {
  return glow__group_last(&run->groups, task) * run->c->image;
}

/* Channels of a pixel that pass, and that change: `passes` from `pass`, `changes` from `change`. */
typedef struct part {
  int64_t pass, passes, change, changes;
} part;

/* Is the checkerboard's mask 1 at pixel p? */
static bool mask_at(const glow__coupling *c, int64_t p) {
  int64_t at = p % c->image;
  return ((at / c->width + at % c->width) & 1) != c->invert;
}

static part part_of(const glow__coupling *c, int64_t p) {
  int64_t half = c->channels / 2;
  if (c->mask == GLOW_MASK_CHECKERBOARD)
    return mask_at(c, p) ? (part){0, c->channels, 0, 0} : (part){0, 0, 0, c->channels};
  return c->invert ? (part){half, half, 0, half} : (part){0, half, half, half};
}

static glow__scale scale_of(const glow__coupling_run *run, const float *h, int64_t j) {
  float raw = h[run->c->changed + j];
  return run->scale ? glow__scale_learned(raw, run->scale[j])
                    : glow__scale_of(run->c->law, run->c->floor, raw);
}

/* y of `count` channels; returns their part of the log-det. */
static double change(const glow__coupling_run *run, const float *restrict h, const float *x,
                     float *y, int64_t count) {
  bool shift_first = run->c->order == GLOW_ORDER_SHIFT_SCALE;
  double logdet = 0;
  if (run->c->kind == GLOW_COUPLING_ADDITIVE) {
    for (int64_t j = 0; j < count; j++)
      y[j] = x[j] + h[j];
    return 0;
  }
  for (int64_t j = 0; j < count; j++) {
    glow__scale scale = scale_of(run, h, j);
    y[j] = shift_first ? (x[j] + h[j]) * scale.s : x[j] * scale.s + h[j];
    logdet += (double)scale.log_s;
  }
  return logdet;
}

/* x of `count` channels. */
static double undo(const glow__coupling_run *run, const float *restrict h, const float *y, float *x,
                   int64_t count) {
  bool shift_first = run->c->order == GLOW_ORDER_SHIFT_SCALE;
  double logdet = 0;
  if (run->c->kind == GLOW_COUPLING_ADDITIVE) {
    for (int64_t j = 0; j < count; j++)
      x[j] = y[j] - h[j];
    return 0;
  }
  for (int64_t j = 0; j < count; j++) {
    glow__scale scale = scale_of(run, h, j);
    x[j] = shift_first ? y[j] / scale.s - h[j] : (y[j] - h[j]) / scale.s;
    logdet += (double)scale.log_s;
  }
  return logdet;
}

typedef double (*change_fn)(const glow__coupling_run *run, const float *restrict h, const float *x,
                            float *y, int64_t count);

static double change_sample(const glow__coupling_run *run, int64_t n, change_fn fn) {
  const glow__coupling *c = run->c;
  double logdet = 0;
  for (int64_t p = n * c->image; p < (n + 1) * c->image; p++) {
    const float *x = run->from + p * c->channels;
    float *y = run->to + p * c->channels;
    part of = part_of(c, p);
    if (x != y)
      memcpy(y + of.pass, x + of.pass, (size_t)of.passes * sizeof *y);
    logdet += fn(run, run->h + p * c->out, x + of.change, y + of.change, of.changes);
  }
  return logdet;
}

static void forward_task(void *arg, uint32_t task, uint32_t worker) {
  const glow__coupling_run *run = arg;
  (void)worker;
  for (int64_t n = glow__group_first(&run->groups, task); n < glow__group_last(&run->groups, task);
       n++)
    run->logdet[n] += change_sample(run, n, change);
}

void glow__coupling_forward(glow__coupling_run *run) {
  run_groups(run, forward_task);
}

static void inverse_task(void *arg, uint32_t task, uint32_t worker) {
  const glow__coupling_run *run = arg;
  (void)worker;
  for (int64_t n = glow__group_first(&run->groups, task); n < glow__group_last(&run->groups, task);
       n++)
    run->logdet[n] -= change_sample(run, n, undo);
}

void glow__coupling_inverse(glow__coupling_run *run) {
  run_groups(run, inverse_task);
}

/* ---- backward -------------------------------------------------------------------------------- */

static double *scale_sums(const glow__coupling_run *run, uint32_t task) {
  double *sums = (double *)(void *)glow_pass_scratch(run->pass, run->c->d_scale);
  return sums + (int64_t)task * run->c->changed;
}

/* d_scale: sums of this group, or NULL. */
static void gradient(const glow__coupling_run *run, const float *restrict h,
                     const float *restrict y, const float *restrict dy, float d_logdet,
                     float *restrict dx, float *restrict dh, double *d_scale, int64_t count) {
  bool shift_first = run->c->order == GLOW_ORDER_SHIFT_SCALE;
  if (run->c->kind == GLOW_COUPLING_ADDITIVE) {
    memcpy(dx, dy, (size_t)count * sizeof *dx);
    memcpy(dh, dy, (size_t)count * sizeof *dh);
    return;
  }
  for (int64_t j = 0; j < count; j++) {
    glow__scale scale = scale_of(run, h, j);
    float d_log_s = dy[j] * (shift_first ? y[j] : y[j] - h[j]) + d_logdet;
    dx[j] = dy[j] * scale.s;
    dh[j] = shift_first ? dx[j] : dy[j];
    dh[run->c->changed + j] = d_log_s * scale.slope;
    if (d_scale)
      d_scale[j] += (double)(d_log_s * scale.unit);
  }
}

static void backward_task(void *arg, uint32_t task, uint32_t worker) {
  const glow__coupling_run *run = arg;
  const glow__coupling *c = run->c;
  const glow_layer_gradient *g = run->g;
  double *d_scale = run->scale ? scale_sums(run, task) : NULL;
  (void)worker;
  if (d_scale)
    memset(d_scale, 0, (size_t)c->changed * sizeof *d_scale);
  for (int64_t p = first_pixel(run, task); p < last_pixel(run, task); p++) {
    const float *h = run->h + p * c->out;
    float *dh = run->dh + p * c->out;
    part of = part_of(c, p);
    int64_t at = p * c->channels + of.pass, at2 = p * c->channels + of.change;
    memcpy(g->dx + at, g->dy + at, (size_t)of.passes * sizeof(float));
    if (!of.changes) /* nothing uses the net's output here */
      memset(dh, 0, (size_t)c->out * sizeof *dh);
    gradient(run, h, g->y + at2, g->dy + at2, (float)g->d_logdet[p / c->image], g->dx + at2, dh,
             d_scale, of.changes);
    if (g->x)
      continue;
    memcpy(g->x_out + at, g->y + at, (size_t)of.passes * sizeof(float));
    undo(run, h, g->y + at2, g->x_out + at2, of.changes);
  }
}

void glow__coupling_backward(glow__coupling_run *run) {
  const glow__coupling *c = run->c;
  run_groups(run, backward_task);
  if (!run->scale)
    return;
  float *d_scale = glow_pass_gradient(run->pass, c->scale);
  for (int64_t j = 0; j < c->changed; j++) {
    double sum = 0;
    for (uint32_t t = 0; t < glow__group_count(&run->groups); t++)
      sum += scale_sums(run, t)[j];
    d_scale[j] += (float)sum;
  }
}

/* ---- what the net sees under a checkerboard -------------------------------------------------- */

static void mask_task(void *arg, uint32_t task, uint32_t worker) {
  const glow__coupling_run *run = arg;
  int64_t channels = run->c->channels;
  size_t bytes = (size_t)channels * sizeof(float);
  (void)worker;
  for (int64_t p = first_pixel(run, task); p < last_pixel(run, task); p++)
    if (mask_at(run->c, p))
      memcpy(run->to + p * channels, run->from + p * channels, bytes);
    else
      memset(run->to + p * channels, 0, bytes);
}

void glow__coupling_mask(glow__coupling_run *run) {
  run_groups(run, mask_task);
}

static void mask_add_task(void *arg, uint32_t task, uint32_t worker) {
  const glow__coupling_run *run = arg;
  int64_t channels = run->c->channels;
  (void)worker;
  for (int64_t p = first_pixel(run, task); p < last_pixel(run, task); p++)
    for (int64_t j = p * channels; mask_at(run->c, p) && j < (p + 1) * channels; j++)
      run->to[j] += run->from[j];
}

void glow__coupling_mask_add(glow__coupling_run *run) {
  run_groups(run, mask_add_task);
}
