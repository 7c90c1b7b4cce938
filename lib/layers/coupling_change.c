/* What a coupling does to each element, by groups of samples: the kernels' coupling changes with
 * shift t and scale s(raw), and d raw = d log s (d log s / d raw). SPDX-License-Identifier: MIT */
#include <string.h>

#include "layers/coupling.h"
#include "layers/rounded.h"
#include "layers/scale_function.h"

glow__coupling_run glow__coupling_begin(const glow__coupling *c, const glow_call *call) {
  return (glow__coupling_run){
      .c = c,
      .call = call,
      .math = glow__math_of(call),
      .pointwise = glow__pointwise_of(call),
      .groups = glow__groups_of(glow_call_sample_count(call), c->image * c->channels),
      .scale = glow__coupling_learns_scale(c) ? glow_call_tensor(call, c->scale) : NULL};
}

void glow__coupling_run_groups(glow__coupling_run *run, glow_task_fn fn) {
  glow_call_run(run->call, glow__group_count(&run->groups), fn, run);
}

/* Channels of a pixel: `same_count` of them, from `same` on, stay as they are, and `changes`, from
 * `change` on, change. If channels are listed, x2 is spread over the pixel: then all channels are
 * copied, and x2 is written after that. */
typedef struct part {
  int64_t same, same_count, change, changes;
} part;

static part coupling_change_part_of(const glow__coupling *c, int64_t p) {
  if (c->o.mask == GLOW_MASK_CHECKERBOARD)
    return glow__coupling_mask(c, p) ? (part){0, c->channels, 0, 0} : (part){0, 0, 0, c->channels};
  if (c->x2)
    return (part){0, c->channels, 0, c->changed};
  return c->o.invert ? (part){c->changed, c->seen, 0, c->changed}
                     : (part){0, c->seen, c->seen, c->changed};
}

static int32_t change_kind(const glow__coupling *c) {
  if (!glow__coupling_is_affine(c))
    return GLOW_CHANGE_SHIFT;
  return c->o.order == GLOW_ORDER_SHIFT_SCALE ? GLOW_CHANGE_SHIFT_SCALE : GLOW_CHANGE_SCALE_SHIFT;
}

/* ---- pieces ---------------------------------------------------------------------------------- */

/* The elements whose scales are computed together: pixels [pixel, end), and channels [from, to) of
 * those that change. At most GLOW_SCALES elements. */
typedef struct piece {
  int64_t pixel, end, from, to;
} piece;

static piece first_piece(const glow__coupling_run *run, uint32_t task) {
  int64_t pixel = glow__coupling_first(run, task), changed = run->c->changed;
  int64_t pixels = changed < GLOW_SCALES ? GLOW_SCALES / changed : 1;
  return (piece){pixel, pixel + pixels, 0, changed < GLOW_SCALES ? changed : GLOW_SCALES};
}

/* Cuts the next piece, at the end of the task at the latest. False: past it. */
static bool cut_piece(const glow__coupling_run *run, uint32_t task, piece *at) {
  int64_t last = glow__coupling_last(run, task);
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

/* The pixels of a piece that change, one after the other. Returns how many scales there are. */
static int64_t scales_of(const glow__coupling_run *run, const piece *at, bool slopes,
                         glow__scales *scales) {
  const glow__coupling *c = run->c;
  float raw[GLOW_SCALES], k[GLOW_SCALES];
  int64_t count = 0;
  if (!glow__coupling_is_affine(c))
    return 0;
  for (int64_t p = at->pixel; p < at->end; p++) {
    if (!coupling_change_part_of(c, p).changes)
      continue;
    for (int64_t j = at->from; j < at->to; j++, count++) {
      raw[count] = run->h[p * c->out + c->changed + j];
      if (run->scale)
        k[count] = run->scale[j];
    }
  }
  glow__scale_function(run->math, c->o.scale, (float)c->o.floor, count, raw, k, slopes, scales);
  return count;
}

/* Elements of x2 of `rows` pixels from p on, in place; or, if channels are listed, a copy of them
 * in `copy`. *stride: floats from one pixel to the next. */
static inline const float *x2_of(const glow__coupling *c, const piece *at, int64_t p, int64_t rows,
                                 const float *x, float *copy, int64_t *stride) {
  int64_t width = at->to - at->from;
  *stride = c->x2 ? width : c->channels;
  if (!c->x2)
    return x + p * c->channels + coupling_change_part_of(c, p).change + at->from;
  for (int64_t i = 0; i < rows; i++)
    for (int64_t j = 0; j < width; j++)
      copy[i * width + j] = x[(p + i) * c->channels + c->x2[at->from + j]];
  return copy;
}

/* Where x2 is to be written: x2_written then puts it in place. */
static inline float *x2_room(const glow__coupling *c, const piece *at, int64_t p, float *x,
                             float *copy) {
  return c->x2 ? copy : x + p * c->channels + coupling_change_part_of(c, p).change + at->from;
}

static inline void x2_written(const glow__coupling *c, const piece *at, int64_t p, int64_t rows,
                              const float *copy, float *x) {
  int64_t width = at->to - at->from;
  for (int64_t i = 0; c->x2 && i < rows; i++)
    for (int64_t j = 0; j < width; j++)
      x[(p + i) * c->channels + c->x2[at->from + j]] = copy[i * width + j];
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

/* Copies the channels that stay as they are, of the pixels of a piece. */
static void pass_x1_on(const glow__coupling_run *run, const piece *at) {
  const glow__coupling *c = run->c;
  for (int64_t p = at->pixel; p < at->end; p++) {
    part of = coupling_change_part_of(c, p);
    int64_t first = p * c->channels + of.same;
    memcpy(run->to + first, run->from + first, (size_t)of.same_count * sizeof(float));
  }
}

/* Moves x1 of a piece's pixels, in place, to where a net that rounds sees it both ways alike. */
static void settle_x1(const glow__coupling_run *run, const piece *at) {
  const glow__coupling *c = run->c;
  for (int64_t p = at->pixel; p < at->end; p++) {
    part of = coupling_change_part_of(c, p);
    float *same = run->to + p * c->channels + of.same;
    for (int64_t j = 0; j < (c->x1 ? c->seen : of.same_count); j++) {
      float *v = same + (c->x1 ? c->x1[j] : j);
      *v = glow__settled(*v);
    }
  }
}

/* sign: of the log-det. The sum over a pixel's channels, or over a piece of them, is added to the
 * sample's, so the sums do not depend on where pieces of pixels end. */
static void change_piece(const glow__coupling_run *run, const piece *at, change_fn fn,
                         double sign) {
  const glow__coupling *c = run->c;
  glow__scales scales;
  float x2[GLOW_SCALES];
  int64_t done = 0, stride, width = at->to - at->from;
  bool affine = glow__coupling_is_affine(c);
  /* Under a checkerboard, the neighbours of a pixel that changes do not change. */
  int64_t rows = c->o.mask == GLOW_MASK_CHECKERBOARD ? 1 : at->end - at->pixel;
  scales_of(run, at, false, &scales);
  if (run->from != run->to && at->from == 0)
    pass_x1_on(run, at);
  if (c->rounds && at->from == 0)
    settle_x1(run, at);
  for (int64_t p = at->pixel; p < at->end; p += rows) {
    if (!coupling_change_part_of(c, p).changes)
      continue;
    const float *from = x2_of(c, at, p, rows, run->from, x2, &stride);
    fn(change_kind(c), rows, width, from, stride, run->h + p * c->out + at->from, c->out,
       scales.s + done, x2_room(c, at, p, run->to, x2));
    x2_written(c, at, p, rows, x2, run->to);
    for (int64_t q = p; affine && q < p + rows; q++, done += width)
      run->logdet[q / c->image] += sign * sum_of(scales.log_s + done, width);
  }
}

static void coupling_forward_task(void *arg, uint32_t task, uint32_t worker) {
  const glow__coupling_run *run = arg;
  (void)worker;
  for (piece at = first_piece(run, task); cut_piece(run, task, &at); next_piece(run, &at))
    change_piece(run, &at, run->pointwise->coupling_forward, 1);
}

void glow__coupling_forward(glow__coupling_run *run) {
  glow__coupling_run_groups(run, coupling_forward_task);
}

static void coupling_inverse_task(void *arg, uint32_t task, uint32_t worker) {
  const glow__coupling_run *run = arg;
  (void)worker;
  for (piece at = first_piece(run, task); cut_piece(run, task, &at); next_piece(run, &at))
    change_piece(run, &at, run->pointwise->coupling_inverse, -1);
}

void glow__coupling_inverse(glow__coupling_run *run) {
  glow__coupling_run_groups(run, coupling_inverse_task);
}

/* ---- back through inverse -------------------------------------------------------------------- */

/* The elements of a piece's pixels that stay. Unlike pass_x1_on it writes no others. */
static void pass_only_x1_on(const glow__coupling_run *run, const piece *at) {
  const glow__coupling *c = run->c;
  if (!c->x2) {
    pass_x1_on(run, at);
    return;
  }
  for (int64_t p = at->pixel; p < at->end; p++)
    for (int64_t j = 0; j < c->seen; j++)
      run->to[p * c->channels + c->x1[j]] = run->from[p * c->channels + c->x1[j]];
}

static void turn_piece(const glow__coupling_run *run, const piece *at) {
  const glow__coupling *c = run->c;
  glow__scales scales;
  int64_t done = 0, width = at->to - at->from, stride;
  bool divides = run->by_scale && glow__coupling_is_affine(c);
  if (divides)
    scales_of(run, at, false, &scales);
  if (at->from == 0)
    pass_only_x1_on(run, at);
  for (int64_t p = at->pixel; p < at->end; p++) {
    float copy[GLOW_SCALES], turned[GLOW_SCALES];
    if (!coupling_change_part_of(c, p).changes)
      continue;
    const float *from = x2_of(c, at, p, 1, run->changed, copy, &stride);
    float *to = x2_room(c, at, p, run->to, turned);
    for (int64_t j = 0; j < width; j++)
      to[j] = -from[j] / (divides ? scales.s[done + j] : 1.0f);
    x2_written(c, at, p, 1, turned, run->to);
    done += divides ? width : 0;
  }
}

static void turn_task(void *arg, uint32_t task, uint32_t worker) {
  const glow__coupling_run *run = arg;
  (void)worker;
  for (piece at = first_piece(run, task); cut_piece(run, task, &at); next_piece(run, &at))
    turn_piece(run, &at);
}

void glow__coupling_turn(glow__coupling_run *run, const float *changed, bool by_scale) {
  run->changed = changed;
  run->by_scale = by_scale;
  glow__coupling_run_groups(run, turn_task);
}

/* ---- backward -------------------------------------------------------------------------------- */

static double *scale_sums(const glow__coupling_run *run, uint32_t task) {
  double *sums = (double *)(void *)glow_call_scratch(run->call, run->c->d_scale);
  return sums + (int64_t)task * run->c->changed;
}

/* Multiplies dh, which holds d log s in place of the raw scales, by the slope. d_scale: sums of
 * this group, or NULL. */
static void through_scale(const glow__scales *scales, int64_t at, int64_t count, float *restrict dh,
                          double *restrict d_scale) {
  const float *slope = scales->slope + at, *unit = scales->unit + at;
  for (int64_t j = 0; d_scale && j < count; j++)
    d_scale[j] += (double)(dh[j] * unit[j]);
  for (int64_t j = 0; j < count; j++)
    dh[j] *= slope[j];
}

/* The channels of pixel p that stay as they are. */
static void pass_x1_back(const glow__coupling_run *run, int64_t p) {
  const glow__coupling *c = run->c;
  const glow_layer_gradient *g = run->g;
  part of = coupling_change_part_of(c, p);
  int64_t same = p * c->channels + of.same;
  memcpy(g->dx + same, g->dy + same, (size_t)of.same_count * sizeof(float));
  if (!g->x)
    memcpy(g->x_out + same, g->y + same, (size_t)of.same_count * sizeof(float));
  if (!of.changes) /* nothing uses the net's output here */
    memset(run->dh + p * c->out, 0, (size_t)c->out * sizeof *run->dh);
}

/* The channels of pixel p that change; s: their scales. */
static void change_x2_back(const glow__coupling_run *run, const piece *at, int64_t p,
                           const float *s) {
  const glow__coupling *c = run->c;
  const glow_layer_gradient *g = run->g;
  float y_copy[GLOW_SCALES], dy_copy[GLOW_SCALES], to_copy[GLOW_SCALES];
  int32_t kind = change_kind(c);
  int64_t stride, width = at->to - at->from;
  const float *t = run->h + p * c->out + at->from;
  const float *y = x2_of(c, at, p, 1, g->y, y_copy, &stride);
  const float *dy = x2_of(c, at, p, 1, g->dy, dy_copy, &stride);
  float *dh = run->dh + p * c->out + at->from;
  run->pointwise->coupling_backward(kind, width, t, s, y, dy, (float)g->d_logdet[p / c->image],
                                    x2_room(c, at, p, g->dx, to_copy), dh, dh + c->changed);
  x2_written(c, at, p, 1, to_copy, g->dx);
  if (g->x)
    return;
  run->pointwise->coupling_inverse(kind, 1, width, y, 0, t, 0, s,
                                   x2_room(c, at, p, g->x_out, to_copy));
  x2_written(c, at, p, 1, to_copy, g->x_out);
}

static void change_piece_back(const glow__coupling_run *run, const piece *at, double *d_scale) {
  const glow__coupling *c = run->c;
  glow__scales scales;
  int64_t done = 0, width = at->to - at->from;
  bool affine = glow__coupling_is_affine(c);
  scales_of(run, at, true, &scales);
  for (int64_t p = at->pixel; p < at->end; p++) {
    if (at->from == 0)
      pass_x1_back(run, p);
    if (!coupling_change_part_of(c, p).changes)
      continue;
    change_x2_back(run, at, p, scales.s + done);
    if (affine)
      through_scale(&scales, done, width, run->dh + p * c->out + c->changed + at->from,
                    d_scale ? d_scale + at->from : NULL);
    done += affine ? width : 0;
  }
}

static void coupling_backward_task(void *arg, uint32_t task, uint32_t worker) {
  const glow__coupling_run *run = arg;
  double *d_scale = run->scale ? scale_sums(run, task) : NULL;
  (void)worker;
  if (d_scale)
    memset(d_scale, 0, (size_t)run->c->changed * sizeof *d_scale);
  for (piece at = first_piece(run, task); cut_piece(run, task, &at); next_piece(run, &at))
    change_piece_back(run, &at, d_scale);
}

void glow__coupling_backward(glow__coupling_run *run) {
  const glow__coupling *c = run->c;
  glow__coupling_run_groups(run, coupling_backward_task);
  if (!run->scale)
    return;
  float *d_scale = glow_call_gradient(run->call, c->scale);
  if (!d_scale)
    return;
  for (int64_t j = 0; j < c->changed; j++) {
    double sum = 0;
    for (uint32_t t = 0; t < glow__group_count(&run->groups); t++)
      sum += scale_sums(run, t)[j];
    d_scale[j] += (float)sum;
  }
}

/* ---- diagnosis ------------------------------------------------------------------------------- */

void glow__coupling_diagnose(const glow__coupling_run *run, glow_findings *findings) {
  glow__scales scales;
  for (uint32_t task = 0; task < glow__group_count(&run->groups); task++)
    for (piece at = first_piece(run, task); cut_piece(run, task, &at); next_piece(run, &at)) {
      int64_t count = scales_of(run, &at, false, &scales);
      for (int64_t i = 0; i < count; i++)
        glow_findings_scale(findings, (double)scales.s[i]);
    }
}
