/* The coupling, between its files: coupling.c (what it is, its network, options) and
 * coupling_change.c (what is done to each number). SPDX-License-Identifier: MIT */
#ifndef GLOW_LIB_COUPLING_H
#define GLOW_LIB_COUPLING_H

#include "layers/groups.h"
#include "layers/layers.h"
#include "nets/nets.h"

typedef struct glow__coupling {
  int32_t kind, law, mask, invert, order;
  float floor;
  double floor_exact; /* as given, for files */
  glow_net *net;
  int64_t width, image, channels; /* image: pixels of a sample */
  int64_t changed;                /* channels of a pixel that changes, and of shift and raw */
  int64_t out;                    /* of the net: changed, or twice as many */
  int32_t h;                      /* scratch [pixels, out]: the net's output */
  int32_t saved_h;
  int32_t dh;       /* backward scratch [pixels, out] */
  int32_t masked;   /* checkerboard: scratch [pixels, C], what the net sees; */
  int32_t d_masked; /* backward scratch, its gradient */
  int32_t scale;    /* learned law: tensor [changed]; */
  int32_t d_scale;  /* backward scratch, doubles [groups, changed] */
} glow__coupling;

/* What the tasks, groups of samples, work on. */
typedef struct glow__coupling_run {
  const glow__coupling *c;
  const glow_call *call;
  const struct glow__passes *passes;
  glow__groups groups;
  const float *from, *h, *scale; /* scale: NULL but for the learned law */
  float *to, *dh;
  double *logdet;
  const glow_layer_gradient *g;
} glow__coupling_run;

glow__coupling_run glow__coupling_begin(const glow__coupling *c, const glow_call *call);
/* to from `from` and h; adds to logdet. */
void glow__coupling_forward(glow__coupling_run *run);
/* `to` from `from` and h; subtracts from logdet. */
void glow__coupling_inverse(glow__coupling_run *run);
/* dx without the net's part, dh, x_out, and the gradient of the learned scale, from g and h. */
void glow__coupling_backward(glow__coupling_run *run);
/* Checkerboard: to = from where the mask is 1, 0 elsewhere; or adds `from` to `to` there. */
void glow__coupling_mask(glow__coupling_run *run);
void glow__coupling_mask_add(glow__coupling_run *run);

#endif
