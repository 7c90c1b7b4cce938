/* The residual network, shared by its files: res_net.c (options, tensors, memory),
 * res_net_forward.c, res_net_backward.c, res_net_norm.c (its batch normalisations and their
 * initialisation).
 *
 *   r_0 = in(x)                                              3x3
 *   r_k = r_{k-1} + conv2_k(relu(norm2_k(a_k))),             3x3
 *   a_k = conv1_k(relu(norm1_k(r_{k-1})))                    3x3,  k = 1 .. blocks
 *   o   = sum_{k=0..blocks} skip_k(r_k)                      1x1
 *   out = last(relu(norm(o)))                                1x1
 *
 * where x includes the condition's channels (pixel_input.h). SPDX-License-Identifier: MIT */
#ifndef GLOW_LIB_RES_NET_H
#define GLOW_LIB_RES_NET_H

#include "math/strips.h"
#include "nets/pixel_input.h"
#include "nets/weight_norm.h"

enum { GLOW_MAX_BLOCKS_OF_NET = 64 };

/* A batch normalisation without a factor, or nothing at all: u = (x - mean) / sqrt(var + epsilon) +
 * bias. */
typedef struct glow__net_norm {
  int32_t bias, mean, var; /* tensors [hidden]; -1: no normalisation */
} glow__net_norm;

typedef struct glow__res_block {
  glow__net_norm norm1, norm2;
  glow__wn_conv conv1, conv2, skip;
} glow__res_block;

typedef struct glow__res_net {
  glow_res_net_options options;
  glow__pixel_input input;
  int32_t blocks;
  bool weight_norm, batch_norm;
  int64_t height, width, image, in, out, hidden; /* in: channels of x and the condition */
  glow__wn_conv first, skip, last;
  glow__net_norm norm;
  glow__res_block block[GLOW_MAX_BLOCKS_OF_NET];
  int64_t derived_floats, room; /* of derived values; where prepare's scratch is in them */
  /* Stored [pixels, hidden] each: r_0 .. r_blocks, a_1 .. a_blocks, o. */
  int32_t stored;
  /* Scratch [pixels, hidden]: the activation before a convolution; r, a and o if nothing is stored,
   * and their gradients in backward. */
  int32_t h, r, a, o;
  int32_t du;              /* backward scratch [pixels, hidden] */
  int32_t views;           /* scratch: glow__norm_view of each norm */
  int32_t partial;         /* scratch: doubles [strips, 2 hidden] */
  int32_t d;               /* backward scratch: gradient of a convolution's weights */
  int32_t strip, gradient; /* worker: scratch of convolutions for a strip and for gradients */
} glow__res_net;

/* A norm as a pass computes with it: u = (x - mean) inverse + bias. */
typedef struct glow__norm_view {
  float *mean, *inverse, *bias;
  float *shift, *slope; /* backward: dx = inverse (du - shift - slope xhat) */
} glow__norm_view;

typedef struct glow__res_run {
  const glow__res_net *net;
  const glow_call *call;
  glow__pixels x;    /* x with the condition's channels */
  int64_t pixels;    /* of the batch */
  glow__wn_run conv; /* without the conv itself */
} glow__res_run;

glow__res_run glow__res_run_of(const glow__res_net *net, const glow_call *call, const float *x,
                               int64_t stride);
static inline glow__wn_run glow__res_conv(const glow__res_run *run, const glow__wn_conv *conv) {
  glow__wn_run one = run->conv;
  one.c = conv;
  return one;
}
/* r_k, a_k, o: stored, or scratch. */
float *glow__res_r(const glow__res_run *run, int32_t k);
float *glow__res_a(const glow__res_run *run, int32_t k);
float *glow__res_o(const glow__res_run *run);

/* Norms are numbered in the order of forward: norm1_k is 2 (k - 1), norm2_k the next, the last one
 * 2 blocks. */
static inline int32_t glow__res_norms(const glow__res_net *net) {
  return 2 * net->blocks + 1;
}
const glow__net_norm *glow__res_norm(const glow__res_net *net, int32_t number);
glow__norm_view glow__res_view(const glow__res_run *run, int32_t number);
/* Moments of the rows of x [rows, hidden], strip number `strip`. */
void glow__res_moments(const glow__res_run *run, uint32_t strip, const float *x, int64_t rows);
/* Adds the sums of all strips, in order, to those of the first; two vectors. */
double *glow__res_total(const glow__res_run *run);
double *glow__res_partial(const glow__res_run *run, uint32_t strip);
/* Fills the view from running averages, from what was observed, or from the strips' moments, which
 * it then also records as observed. */
void glow__res_choose(const glow__res_run *run, int32_t number);
/* relu(norm(x)) of rows. */
void glow__res_activate(const glow__norm_view *view, int64_t hidden, int64_t rows, const float *x,
                        float *h);

/* `stop`: number of the norm whose input's moments are wanted, and nothing after them; -1: compute
 * everything. */
void glow__res_forward(const glow__res_run *run, int32_t stop, float *out);
void glow__res_net_forward(const void *self, const glow_call *call, const float *x, int64_t stride,
                           float *out);
void glow__res_net_backward(const void *self, const glow_call *call, const float *x, int64_t stride,
                            const float *out, float *dout, float *dx, int64_t dx_stride);
glow_status glow__res_net_diagnose(const void *self, const glow_call *call,
                                   glow_findings *findings);
glow_status glow__res_net_initialise(const void *self, const glow_call *call, int32_t round,
                                     int32_t phase, const float *x, int64_t stride);

#endif
