/* The table behind a conditioner network, and how a layer calls the nets that it hosts.
 *
 * A net maps an image to one of the same height and width with another number of channels. It is
 * called by a layer that is run by tasks. It declares its tensors and regions through the setup
 * that it is given, and keeps their ids. Its names, derived values and initialisation are its own,
 * whatever else the layer hosts.
 * SPDX-License-Identifier: MIT */
#ifndef GLOW_SYS_NET_H
#define GLOW_SYS_NET_H

#include <glow/net.h>
#include <glow/sys/call.h>
#include <glow/sys/findings.h>
#include <glow/sys/options.h>
#include <glow/workspace.h>

#ifdef __cplusplus
extern "C" {
#endif

enum {
  GLOW_NET_ALWAYS_PREPARES = 1, /* prepare succeeds on all finite parameters */
  GLOW_NET_INFERENCE_ONLY = 2,  /* no backward; then the layer with this net has none either */
  GLOW_NET_SKIPS_GRADIENTS = 4, /* as GLOW_LAYER_SKIPS_GRADIENTS, for the net alone */
  GLOW_NET_ROUNDS_INPUT = 8     /* where the context's products are bfloat16, the net rounds its
                                   input to bfloat16, so that small errors of it can become large */
};

typedef struct glow_net_ops {
  size_t struct_size;
  const char *type;
  uint32_t flags;
  uint32_t reserved; /* 0 */
  /* As in glow_layer_ops. */
  const glow_options_table *options;
  size_t self_size;
  /* Declares what the net needs to map [H, W, input->channels] to [H, W, out_channels]. */
  glow_status (*configure)(void *self, glow_setup *setup, const glow_shape *input,
                           int64_t out_channels);
  /* Starting values. Optional. */
  glow_status (*reset)(const void *self, const glow_call *call);
  /* Data-dependent initialisation, in the rounds that the net declared (glow_setup_initialise),
   * counted from 0. x: pixels of `stride` floats, of which the first input->channels are the
   * input; NULL except in the phase BATCH. Needed if it declared some. */
  glow_status (*initialise)(const void *self, const glow_call *call, int32_t round, int32_t phase,
                            const float *x, int64_t stride);
  /* Computes the derived values that the net declared. Optional. */
  glow_status (*prepare)(const void *self, const glow_call *call);
  /* Writes out [samples, H, W, out_channels], and fills the stored regions if the call has them. */
  void (*forward)(const void *self, const glow_call *call, const float *x, int64_t stride,
                  float *out);
  /* Is given the stored regions as forward filled them, forward's result `out`, and its gradient
   * dout [samples, H, W, out_channels], which it may overwrite. ADDS the gradients of tensors to
   * glow_call_gradient, and ADDS the gradient of the input to dx (pixels of dx_stride floats). */
  void (*backward)(const void *self, const glow_call *call, const float *x, int64_t stride,
                   const float *out, float *dout, float *dx, int64_t dx_stride);
  /* Releases what `self` holds besides options. Optional. */
  void (*destroy)(void *self, glow_context *context);
  /* As in glow_layer_ops: makes the net's form for inference; *out NULL: it has none. Optional. */
  glow_status (*inference_form)(const void *self, const glow_call *call, glow_net **out);
  /* Makes a net of this type from checked options, if glow_net_create with this table would not do.
   * Optional. */
  glow_status (*create)(glow_context *context, const void *options, glow_net **out);
  /* Says what the net knows of itself (<glow/sys/findings.h>), such as which of its ReLU units are
   * above 0, after `forward` of a batch, which has filled the stored regions. Optional: without it,
   * dead units are not known. */
  glow_status (*diagnose)(const void *self, const glow_call *call, glow_findings *findings);
} glow_net_ops;

/* Makes a net, which is the caller's until a layer takes it. Checks options (NULL: the defaults) by
 * the table's options. The table is copied; what it points to must live as long as the net. */
GLOW_API glow_status glow_net_create(glow_context *context, const glow_net_ops *ops,
                                     const void *options, glow_net **out);
/* The net's `self`, for a constructor that puts more there than options. This has the same
 * consequences as for a layer (glow_layer_self). */
GLOW_API void *glow_net_self(glow_net *net);

/* Registers a type of net, as glow_context_register_layer does a type of layer. */
GLOW_API glow_status glow_context_register_net(glow_context *context, const glow_net_ops *ops);

/* ---- hosting: for layers whose table names nets ---------------------------------------------- */

/* In the layer's `configure`: configures its net number `net`, to map [H, W, input->channels] to
 * [H, W, out_channels]. Called once for each net. */
GLOW_API glow_status glow_setup_net(glow_setup *setup, int32_t net, const glow_shape *input,
                                    int64_t out_channels);
/* 1 if net number `net` has GLOW_NET_ROUNDS_INPUT and the context's products are bfloat16. A layer
 * whose inverse runs the net on values that come back must then see to it that they round as they
 * did: glow_coupling_create's moves what it passes on off the middle between two neighbours
 * (docs/conventions.md). For the layer's `configure`; 0 for NULL and for nets that are not there.
 */
GLOW_API int32_t glow_setup_net_rounds(const glow_setup *setup, int32_t net);
/* In the layer's `initialise`: to be called for each net; does nothing in rounds that are not this
 * net's. x: the net's input, pixels of `stride` floats; NULL except in the phase BATCH. */
GLOW_API glow_status glow_call_net_initialise(const glow_call *call, int32_t net, int32_t round,
                                              int32_t phase, const float *x, int64_t stride);
/* 1 if a round of initialisation is this net's; its input need be computed only then. */
GLOW_API int32_t glow_call_net_has_round(const glow_call *call, int32_t net, int32_t round);
/* Calls `forward` of net number `net` (glow_net_ops). */
GLOW_API void glow_call_net_forward(const glow_call *call, int32_t net, const float *x,
                                    int64_t stride, float *out);
/* Calls `backward` of net number `net` (glow_net_ops). */
GLOW_API void glow_call_net_backward(const glow_call *call, int32_t net, const float *x,
                                     int64_t stride, const float *out, float *dout, float *dx,
                                     int64_t dx_stride);

#ifdef __cplusplus
}
#endif
#endif
