/* What a coupling does to each number, by groups of samples. With shift t, scale s(raw) and the
 * gradient w of log-det:
 *   shift, then scale   y = (x + t) s    dx = dt = dy s         d log s = dy y + w
 *   scale, then shift   y = x s + t      dx = dy s, dt = dy     d log s = dy (y - t) + w
 *   additive            y = x + t        dx = dt = dy
 * and d raw = d log s (d log s / d raw). SPDX-License-Identifier: MIT */
#include <string.h>

#include "layers/coupling.h"
#include "layers/scale_law.h"
#include "math/kernels.h"

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

/* ---- pieces ---------------------------------------------------------------------------------- */

/* What the laws are computed for at once: pixels [pixel, end), and channels [from, to) of those
 * that change. */
typedef struct piece {
  int64_t pixel, end, from, to;
} piece;

static piece first_piece(const glow__coupling_run *run, uint32_t task) {
  int64_t pixel = first_pixel(run, task), changed = run->c->changed;
  int64_t pixels = changed < GLOW_SCALES ? GLOW_SCALES / changed : 1;
  return (piece){pixel, pixel + pixels, 0, changed < GLOW_SCALES ? changed : GLOW_SCALES};
}

/* Cut at the end of the task. False: past it. */
static bool cut_piece(const glow__coupling_run *run, uint32_t task, piece *at) {
  int64_t last = last_pixel(run, task);
  at->end = at->end < last ? at->end : last;
  return at->pixel < last;
}

static void next_piece(const glow__coupling_run *run, piece *at) {
  int64_t changed = run->c->changed, pixels = at->end - at->pixel;
  if (at->to == changed) {
    *at = (piece){at->end, at->end + pixels, 0, changed < GLOW_SCALES ? changed : GLOW_SCALES};
    return;
  }
  at->from = at->to;
  at->to = changed - at->to < GLOW_SCALES ? changed : at->to + GLOW_SCALES;
}

/* Of the pixels of a piece that change, one after the other. */
static void scales_of(const glow__coupling_run *run, const piece *at, bool slopes,
                      glow__scales *scales) {
  const glow__coupling *c = run->c;
  float raw[GLOW_SCALES], k[GLOW_SCALES];
  int64_t count = 0;
  if (c->kind == GLOW_COUPLING_ADDITIVE)
    return;
  for (int64_t p = at->pixel; p < at->end; p++) {
    if (!part_of(c, p).changes)
      continue;
    for (int64_t j = at->from; j < at->to; j++, count++) {
      raw[count] = run->h[p * c->out + c->changed + j];
      if (run->scale)
        k[count] = run->scale[j];
    }
  }
  glow__scale_law(glow_pass_context(run->pass)->kernels->functions, c->law, c->floor, count, raw, k,
                  slopes, scales);
}

/* ---- forward and inverse --------------------------------------------------------------------- */

/* y of `count` numbers. */
static void change(const glow__coupling_run *run, const float *restrict s, const float *restrict t,
                   const float *x, float *y, int64_t count) {
  if (run->c->kind == GLOW_COUPLING_ADDITIVE)
    for (int64_t j = 0; j < count; j++)
      y[j] = x[j] + t[j];
  else if (run->c->order == GLOW_ORDER_SHIFT_SCALE)
    for (int64_t j = 0; j < count; j++)
      y[j] = (x[j] + t[j]) * s[j];
  else
    for (int64_t j = 0; j < count; j++)
      y[j] = x[j] * s[j] + t[j];
}

/* x of `count` numbers. */
static void undo(const glow__coupling_run *run, const float *restrict s, const float *restrict t,
                 const float *y, float *x, int64_t count) {
  if (run->c->kind == GLOW_COUPLING_ADDITIVE)
    for (int64_t j = 0; j < count; j++)
      x[j] = y[j] - t[j];
  else if (run->c->order == GLOW_ORDER_SHIFT_SCALE)
    for (int64_t j = 0; j < count; j++)
      x[j] = y[j] / s[j] - t[j];
  else
    for (int64_t j = 0; j < count; j++)
      x[j] = (y[j] - t[j]) / s[j];
}

typedef void (*change_fn)(const glow__coupling_run *run, const float *restrict s,
                          const float *restrict t, const float *x, float *y, int64_t count);

static double sum_of(const float *values, int64_t count) {
  double sum = 0;
  for (int64_t j = 0; j < count; j++)
    sum += (double)values[j];
  return sum;
}

/* sign: of the log-det. The sum over a pixel's channels, or a piece of them, is added to the
 * sample's, so the sums do not depend on where pieces of pixels end. */
static void change_piece(const glow__coupling_run *run, const piece *at, change_fn fn,
                         double sign) {
  const glow__coupling *c = run->c;
  glow__scales scales;
  int64_t done = 0, width = at->to - at->from;
  bool affine = c->kind != GLOW_COUPLING_ADDITIVE;
  scales_of(run, at, false, &scales);
  for (int64_t p = at->pixel; p < at->end; p++) {
    const float *x = run->from + p * c->channels, *t = run->h + p * c->out + at->from;
    float *y = run->to + p * c->channels;
    part of = part_of(c, p);
    if (x != y && at->from == 0)
      memcpy(y + of.pass, x + of.pass, (size_t)of.passes * sizeof *y);
    if (!of.changes)
      continue;
    fn(run, scales.s + done, t, x + of.change + at->from, y + of.change + at->from, width);
    if (affine)
      run->logdet[p / c->image] += sign * sum_of(scales.log_s + done, width);
    done += affine ? width : 0;
  }
}

static void forward_task(void *arg, uint32_t task, uint32_t worker) {
  const glow__coupling_run *run = arg;
  (void)worker;
  for (piece at = first_piece(run, task); cut_piece(run, task, &at); next_piece(run, &at))
    change_piece(run, &at, change, 1);
}

void glow__coupling_forward(glow__coupling_run *run) {
  run_groups(run, forward_task);
}

static void inverse_task(void *arg, uint32_t task, uint32_t worker) {
  const glow__coupling_run *run = arg;
  (void)worker;
  for (piece at = first_piece(run, task); cut_piece(run, task, &at); next_piece(run, &at))
    change_piece(run, &at, undo, -1);
}

void glow__coupling_inverse(glow__coupling_run *run) {
  run_groups(run, inverse_task);
}

/* ---- backward -------------------------------------------------------------------------------- */

static double *scale_sums(const glow__coupling_run *run, uint32_t task) {
  double *sums = (double *)(void *)glow_pass_scratch(run->pass, run->c->d_scale);
  return sums + (int64_t)task * run->c->changed;
}

/* Of `count` numbers from number `at` of the scales on. d_scale: sums of this group, or NULL. */
static void gradient(const glow__coupling_run *run, const glow__scales *scales, int64_t at,
                     const float *restrict t, const float *restrict y, const float *restrict dy,
                     float d_logdet, float *restrict dx, float *restrict dh, double *d_scale,
                     int64_t count) {
  bool shift_first = run->c->order == GLOW_ORDER_SHIFT_SCALE;
  if (run->c->kind == GLOW_COUPLING_ADDITIVE) {
    memcpy(dx, dy, (size_t)count * sizeof *dx);
    memcpy(dh, dy, (size_t)count * sizeof *dh);
    return;
  }
  const float *s = scales->s + at, *slope = scales->slope + at, *unit = scales->unit + at;
  for (int64_t j = 0; j < count; j++) {
    float d_log_s = dy[j] * (shift_first ? y[j] : y[j] - t[j]) + d_logdet;
    dx[j] = dy[j] * s[j];
    dh[j] = shift_first ? dx[j] : dy[j];
    dh[run->c->changed + j] = d_log_s * slope[j];
    if (d_scale)
      d_scale[j] += (double)(d_log_s * unit[j]);
  }
}

static void backward_piece(const glow__coupling_run *run, const piece *at, double *d_scale) {
  const glow__coupling *c = run->c;
  const glow_layer_gradient *g = run->g;
  glow__scales scales;
  int64_t done = 0, width = at->to - at->from;
  scales_of(run, at, true, &scales);
  for (int64_t p = at->pixel; p < at->end; p++) {
    const float *t = run->h + p * c->out + at->from;
    float *dh = run->dh + p * c->out + at->from;
    part of = part_of(c, p);
    int64_t pass = p * c->channels + of.pass, changed = p * c->channels + of.change + at->from;
    if (at->from == 0) {
      memcpy(g->dx + pass, g->dy + pass, (size_t)of.passes * sizeof(float));
      if (!g->x)
        memcpy(g->x_out + pass, g->y + pass, (size_t)of.passes * sizeof(float));
      if (!of.changes) /* nothing uses the net's output here */
        memset(dh, 0, (size_t)c->out * sizeof *dh);
    }
    if (!of.changes)
      continue;
    gradient(run, &scales, done, t, g->y + changed, g->dy + changed,
             (float)g->d_logdet[p / c->image], g->dx + changed, dh,
             d_scale ? d_scale + at->from : NULL, width);
    if (!g->x)
      undo(run, scales.s + done, t, g->y + changed, g->x_out + changed, width);
    done += c->kind == GLOW_COUPLING_ADDITIVE ? 0 : width;
  }
}

static void backward_task(void *arg, uint32_t task, uint32_t worker) {
  const glow__coupling_run *run = arg;
  double *d_scale = run->scale ? scale_sums(run, task) : NULL;
  (void)worker;
  if (d_scale)
    memset(d_scale, 0, (size_t)run->c->changed * sizeof *d_scale);
  for (piece at = first_piece(run, task); cut_piece(run, task, &at); next_piece(run, &at))
    backward_piece(run, &at, d_scale);
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
