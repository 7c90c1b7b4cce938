/* A convolution, 3x3 or 1x1, with weight normalisation: a part of larger networks.
 *   y = w * h + bias,  w_o = gain_o v_o / |v_o|,  |v_o| over the inputs and taps of output o
 * Salimans and Kingma 2016. Without normalisation w = v. SPDX-License-Identifier: MIT */
#ifndef GLOW_LIB_WEIGHT_NORM_H
#define GLOW_LIB_WEIGHT_NORM_H

#include "nets/nets.h"

typedef struct glow__wn_conv {
  glow_conv conv;
  bool normalised;
  int32_t v, gain, bias; /* tensors [out, in, kh, kw], [out], [out]; -1: no gain, no bias */
  /* Floats in the net's derived values: weights packed for forward and for the data gradient; and
   * 1 / |v| [out]. */
  int64_t packed, back, inverse;
} glow__wn_conv;

/* Declares tensors "NAME.weight", "NAME.gain", "NAME.bias". derived: number of floats so far, to
 * which this convolution's are added. */
glow_status glow__wn_declare(glow__wn_conv *c, glow_setup *setup, const char *name, bool gain,
                             bool bias, int64_t *derived);
/* v from N(0, 2 / (in taps)) (He et al. 2015), from stream position *position on; the gain 1. */
void glow__wn_reset(const glow__wn_conv *c, const glow_call *call, uint64_t seed,
                    uint64_t *position);
/* room: glow_conv_weight_floats. */
void glow__wn_prepare(const glow__wn_conv *c, const glow_call *call, float *derived, float *room);

/* What a convolution runs on: images whose pixels have `stride` floats. */
typedef struct glow__wn_run {
  const glow__wn_conv *c;
  const glow_call *call;
  const glow_math *math;
  const float *derived;
  int64_t pixels; /* of the batch */
} glow__wn_run;

/* Pixels [first, last) of y [pixels, out] from h. add: adds to y. room, here and below:
 * glow_conv_room_floats. */
void glow__wn_forward(const glow__wn_run *run, const float *h, int64_t stride, int64_t first,
                      int64_t last, bool add, float *y, float *room);
/* Pixels [first, last) of the gradient of h from dy [pixels, out]. */
void glow__wn_data_gradient(const glow__wn_run *run, const float *dy, int64_t first, int64_t last,
                            bool add, float *dh, int64_t dh_stride, float *room);
/* Adds the gradients of v, gain and bias, by tasks. d: glow_conv_weight_floats; room: the worker
 * scratch of glow_conv_gradient_room_floats. */
void glow__wn_gradients(const glow__wn_run *run, const float *h, int64_t stride, const float *dy,
                        float *d, int32_t room);

#endif
