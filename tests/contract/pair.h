/* A layer that hosts two nets: an affine coupling with a net for each half of its work and a gain
 * of its own.
 *   y1 = x1,  y2 = (x2 exp(tanh(scale(x1))) + shift(x1)) exp(gain_c),
 *   log-det = sum tanh(scale(x1)) + H W sum_c gain_c.
 * The nets: out_o = sum_k W[o,k] tanh(u_k),  u_k = (x_k + bias_k) exp(logs_k) strength, where the
 * norm (bias, logs) takes first values from data, and exp(logs) strength is derived.
 * SPDX-License-Identifier: MIT */
#ifndef GLOW_TEST_PAIR_H
#define GLOW_TEST_PAIR_H

#include "../support/model_helpers.h"

enum { PAIR_SCALE, PAIR_SHIFT }; /* the layer's nets */

typedef struct pair_layer {
  int64_t pixels, channels, half, rest; /* half: channels of x1 */
  int32_t gain;
  int32_t scale_out, shift_out, d_scale, d_shift; /* regions */
} pair_layer;
extern const glow_layer_ops pair_ops;
extern const glow_net_ops pair_net_ops;
extern int pair_forms_made; /* nets that were turned into their form for inference */

/* rounds of initialisation, of which the last sets the norm; has_form 1: it has a form for
 * inference. */
glow_net *pair_net(glow_context *context, double strength, int32_t rounds, int32_t has_form);
/* Its nets differ in strength, in rounds and in having a form for inference. */
glow_layer *pair_create(glow_context *context);
/* A context that knows both types. */
glow_context *pair_context(uint32_t threads);
void pair_register(glow_context *context);
/* The layer, called "layer", and a prior, on pair_shape. */
enum { PAIR_CHANNELS = 3 };
extern const glow_shape pair_shape;
glow_model *pair_model(glow_context *context);

#endif
