/* The coupling, shared by its files: coupling.c (options, memory, passes), coupling_seen.c (what
 * its net sees) and coupling_change.c (what is done to each element). SPDX-License-Identifier: MIT
 * */
#ifndef GLOW_LIB_COUPLING_H
#define GLOW_LIB_COUPLING_H

#include "layers/groups.h"
#include "layers/layers.h"

typedef struct glow__coupling {
  glow_coupling_options o;
  int64_t width, image, channels; /* image: pixels of a sample */
  int64_t seen;                   /* channels of a pixel that the net sees */
  bool rounds;            /* the net rounds its input: it is given what it sees (rounded.h) */
  int64_t changed;        /* channels of a pixel that changes, also those of shift and raw */
  int64_t out;            /* of the net: changed, or twice as many */
  int32_t *order;         /* listed channels: those of x1 and x2, in memory of the context; */
  const int32_t *x1, *x2; /* the two parts of it, [seen] and [changed] */
  int32_t h;              /* scratch [pixels, out]: the net's output */
  int32_t saved_h;
  int32_t dh;      /* backward scratch [pixels, out] */
  int32_t x_seen;  /* scratch [pixels, seen]: what the net sees, where x1 is not in rows already; */
  int32_t dx_seen; /* backward scratch, its gradient */
  int32_t scale;   /* tanh_learned: tensor [changed]; */
  int32_t d_scale; /* backward scratch, doubles [groups, changed] */
} glow__coupling;

static inline bool glow__coupling_is_affine(const glow__coupling *c) {
  return c->o.kind == GLOW_COUPLING_AFFINE;
}
static inline bool glow__coupling_learns_scale(const glow__coupling *c) {
  return glow__coupling_is_affine(c) && c->o.scale == GLOW_SCALE_TANH_LEARNED;
}

/* What the tasks, which are groups of samples, work on. */
typedef struct glow__coupling_run {
  const glow__coupling *c;
  const glow_call *call;
  const glow_math *math;
  const struct glow__pointwise *pointwise;
  glow__groups groups;
  const float *from, *h, *scale; /* scale: of tanh_learned, else NULL */
  float *to, *dh;
  double *logdet;
  const float *changed; /* of glow__coupling_turn, */
  bool by_scale;
  const glow_layer_gradient *g;
} glow__coupling_run;

glow__coupling_run glow__coupling_begin(const glow__coupling *c, const glow_call *call);
/* Writes `to` from `from` and h; adds to logdet. */
void glow__coupling_forward(glow__coupling_run *run);
/* Writes `to` from `from` and h; subtracts from logdet. */
void glow__coupling_inverse(glow__coupling_run *run);
/* For the way back through inverse: to = from where elements stay, and to = -changed where they
 * change, divided by their scale if by_scale. `changed` may be `to`. */
void glow__coupling_turn(glow__coupling_run *run, const float *changed, bool by_scale);
/* dx without the net's part, dh, x_out, and the gradient of the learned scale, from g and h. */
void glow__coupling_backward(glow__coupling_run *run);
/* The scales, from h. */
void glow__coupling_diagnose(const glow__coupling_run *run, glow_findings *findings);

/* ---- coupling_seen.c: x1 in rows of its own, for the net ------------------------------------- */

/* to [pixels, seen] = x1, rounded if the net rounds: under a checkerboard all channels, 0 where the
 * mask is 0. */
void glow__coupling_gather(glow__coupling_run *run);
/* Adds `from` [pixels, seen] to `to`, where x1 is. */
void glow__coupling_scatter_add(glow__coupling_run *run);

/* First channel of x1, where it is a run of channels. */
static inline int64_t glow__coupling_seen_from(const glow__coupling *c) {
  return c->o.mask == GLOW_MASK_CHANNELS && c->o.invert ? c->changed : 0;
}

/* Is the checkerboard's mask 1 at pixel p? */
static inline bool glow__coupling_mask(const glow__coupling *c, int64_t p) {
  int64_t at = p % c->image;
  return ((at / c->width + at % c->width) & 1) != c->o.invert;
}

/* Runs fn on the groups of samples; pixels [first, last) of a group. */
void glow__coupling_run_groups(glow__coupling_run *run, glow_task_fn fn);
static inline int64_t glow__coupling_first(const glow__coupling_run *run, uint32_t task) {
  return glow__group_first(&run->groups, task) * run->c->image;
}
static inline int64_t glow__coupling_last(const glow__coupling_run *run, uint32_t task) {
  return glow__group_last(&run->groups, task) * run->c->image;
}

#endif
