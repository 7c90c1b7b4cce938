/* What a coupling does to each number, by groups of samples: the changes of math/passes.h with
 * shift t and scale s(raw), and d raw = d log s (d log s / d raw). SPDX-License-Identifier: MIT */
#include <string.h>

#include "layers/coupling.h"
#include "layers/scale_law.h"
#include "math/kernels.h"

glow__coupling_run glow__coupling_begin(const glow__coupling *c, const glow_call *call) {
  return (glow__coupling_run){
      .c = c,
      .call = call,
      .passes = glow_call_context(call)->kernels->passes,
      .groups = glow__groups_of(glow_call_sample_count(call), c->image * c->channels),
      .scale = c->law == GLOW_SCALE_TANH_LEARNED ? glow_call_tensor(call, c->scale) : NULL};
}

static void run_groups(glow__coupling_run *run, glow_task_fn fn) {
  glow_call_run(run->call, glow__group_count(&run->groups), fn, run);
}

/* Pixels [first, last) of a group. */
static int64_t first_pixel(const glow__coupling_run *run, uint32_t task) {
  return glow__group_first(&run->groups, task) * run->c->image;
}
static int64_t last_pixel(const glow__coupling_run *run, uint32_t task) {
  return glow__group_last(&run->groups, task) * run->c->image;
}

/* Channels of a pixel that pass, and that change: `same_count` from `same`, `changes` from `change`. */
typedef struct part {
  int64_t same, same_count, change, changes;
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

static int32_t change_kind(const glow__coupling *c) {
  if (c->kind == GLOW_COUPLING_ADDITIVE)
    return GLOW_CHANGE_SHIFT;
  return c->order == GLOW_ORDER_SHIFT_SCALE ? GLOW_CHANGE_SHIFT_SCALE : GLOW_CHANGE_SCALE_SHIFT;
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
  glow__scale_law(glow_call_context(run->call)->kernels->functions, c->law, c->floor, count, raw, k,
                  slopes, scales);
}

/* ---- forward and inverse --------------------------------------------------------------------- */

static double sum_of(const float *values, int64_t count) {
  double sum = 0;
  for (int64_t j = 0; j < count; j++)
    sum += (double)values[j];
  return sum;
}

typedef void (*change_fn)(int32_t kind, int64_t rows, int64_t n, const float *from,
                          int64_t from_row, const float *t, int64_t t_row, const float *s,
                          float *to);

/* Channels that pass, of the pixels of a piece. */
static void pass_on(const glow__coupling_run *run, const piece *at) {
  const glow__coupling *c = run->c;
  for (int64_t p = at->pixel; p < at->end; p++) {
    part of = part_of(c, p);
    int64_t first = p * c->channels + of.same;
    memcpy(run->to + first, run->from + first, (size_t)of.same_count * sizeof(float));
  }
}

/* sign: of the log-det. The sum over a pixel's channels, or a piece of them, is added to the
 * sample's, so the sums do not depend on where pieces of pixels end. */
static void change_piece(const glow__coupling_run *run, const piece *at, change_fn fn,
                         double sign) {
  const glow__coupling *c = run->c;
  glow__scales scales;
  int64_t done = 0, width = at->to - at->from;
  bool affine = c->kind != GLOW_COUPLING_ADDITIVE;
  /* Of a checkerboard the neighbours of a pixel that changes do not. */
  int64_t rows = c->mask == GLOW_MASK_CHECKERBOARD ? 1 : at->end - at->pixel;
  scales_of(run, at, false, &scales);
  if (run->from != run->to && at->from == 0)
    pass_on(run, at);
  for (int64_t p = at->pixel; p < at->end; p += rows) {
    part of = part_of(c, p);
    int64_t first = p * c->channels + of.change + at->from;
    if (!of.changes)
      continue;
    fn(change_kind(c), rows, width, run->from + first, c->channels, run->h + p * c->out + at->from,
       c->out, scales.s + done, run->to + first);
    for (int64_t q = p; affine && q < p + rows; q++, done += width)
      run->logdet[q / c->image] += sign * sum_of(scales.log_s + done, width);
  }
}

static void forward_task(void *arg, uint32_t task, uint32_t worker) {
  const glow__coupling_run *run = arg;
  (void)worker;
  for (piece at = first_piece(run, task); cut_piece(run, task, &at); next_piece(run, &at))
    change_piece(run, &at, run->passes->change, 1);
}

void glow__coupling_forward(glow__coupling_run *run) {
  run_groups(run, forward_task);
}

static void inverse_task(void *arg, uint32_t task, uint32_t worker) {
  const glow__coupling_run *run = arg;
  (void)worker;
  for (piece at = first_piece(run, task); cut_piece(run, task, &at); next_piece(run, &at))
    change_piece(run, &at, run->passes->change_undo, -1);
}

void glow__coupling_inverse(glow__coupling_run *run) {
  run_groups(run, inverse_task);
}

/* ---- backward -------------------------------------------------------------------------------- */

static double *scale_sums(const glow__coupling_run *run, uint32_t task) {
  double *sums = (double *)(void *)glow_call_scratch(run->call, run->c->d_scale);
  return sums + (int64_t)task * run->c->changed;
}

/* dh, which holds d log s in the place of the raw scales: times its slope. d_scale: sums of this
 * group, or NULL. */
static void through_law(const glow__scales *scales, int64_t at, int64_t count, float *restrict dh,
                        double *restrict d_scale) {
  const float *slope = scales->slope + at, *unit = scales->unit + at;
  for (int64_t j = 0; d_scale && j < count; j++)
    d_scale[j] += (double)(dh[j] * unit[j]);
  for (int64_t j = 0; j < count; j++)
    dh[j] *= slope[j];
}

static void backward_piece(const glow__coupling_run *run, const piece *at, double *d_scale) {
  const glow__coupling *c = run->c;
  const glow_layer_gradient *g = run->g;
  glow__scales scales;
  int64_t done = 0, width = at->to - at->from;
  int32_t kind = change_kind(c);
  scales_of(run, at, true, &scales);
  for (int64_t p = at->pixel; p < at->end; p++) {
    const float *t = run->h + p * c->out + at->from;
    float *dh = run->dh + p * c->out + at->from;
    part of = part_of(c, p);
    int64_t same = p * c->channels + of.same, changed = p * c->channels + of.change + at->from;
    if (at->from == 0) {
      memcpy(g->dx + same, g->dy + same, (size_t)of.same_count * sizeof(float));
      if (!g->x)
        memcpy(g->x_out + same, g->y + same, (size_t)of.same_count * sizeof(float));
      if (!of.changes) /* nothing uses the net's output here */
        memset(dh, 0, (size_t)c->out * sizeof *dh);
    }
    if (!of.changes)
      continue;
    run->passes->change_gradient(kind, width, t, scales.s + done, g->y + changed, g->dy + changed,
                                 (float)g->d_logdet[p / c->image], g->dx + changed, dh,
                                 dh + c->changed);
    if (kind != GLOW_CHANGE_SHIFT)
      through_law(&scales, done, width, dh + c->changed, d_scale ? d_scale + at->from : NULL);
    if (!g->x)
      run->passes->change_undo(kind, 1, width, g->y + changed, 0, t, 0, scales.s + done,
                               g->x_out + changed);
    done += kind == GLOW_CHANGE_SHIFT ? 0 : width;
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
  float *d_scale = glow_call_gradient(run->call, c->scale);
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
