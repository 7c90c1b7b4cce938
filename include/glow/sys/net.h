/* The table behind a conditioner network. A net maps an image of in channels to one of out channels
 * of the same height and width; it is called by a layer that is run by tasks, with that layer's
 * pass. It declares its tensors and regions through the layer's setup and keeps their numbers.
 * SPDX-License-Identifier: MIT */
#ifndef GLOW_SYS_NET_H
#define GLOW_SYS_NET_H

#include <glow/net.h>
#include <glow/sys/pass.h>
#include <glow/workspace.h>

#ifdef __cplusplus
extern "C" {
#endif

enum {
  GLOW_NET_ALWAYS_PREPARES = 1, /* prepare succeeds on all finite parameters */
  GLOW_NET_INFERENCE_ONLY = 2   /* no backward; so is a layer with this net */
};

typedef struct glow_net_ops {
  size_t struct_size;
  const char *type;
  uint32_t flags;
  uint32_t reserved; /* 0 */
  /* Declares what the net needs to map [H, W, input->channels] to [H, W, out_channels]. */
  glow_status (*configure)(void *self, glow_setup *setup, const glow_shape *input,
                           int64_t out_channels);
  glow_status (*build)(const void *self, const glow_pass *pass); /* optional */
  /* Rounds and bytes of data-dependent initialisation, for the layer to declare. Optional. */
  void (*init_size)(const void *self, int32_t *rounds, size_t *bytes);
  /* Fills the layer's derived values, which are the net's alone. Optional. */
  glow_status (*prepare)(const void *self, const glow_pass *pass);
  /* Optional unless init_size gives rounds. x: pixels of `stride` floats of which the first
   * in-channels are the input. */
  glow_status (*init)(const void *self, const glow_pass *pass, int32_t round, int32_t phase,
                      const float *x, int64_t stride);
  /* out: [samples, H, W, out_channels]. Fills the saved regions when the pass has them. */
  void (*forward)(const void *self, const glow_pass *pass, const float *x, int64_t stride,
                  float *out);
  /* Given the saved regions as forward filled them and dout [samples, H, W, out_channels], which it
   * may overwrite: adds parameter gradients, and ADDS the gradient of the input to dx (pixels of
   * dx_stride floats). `out` is forward's result. */
  void (*backward)(const void *self, const glow_pass *pass, const float *x, int64_t stride,
                   const float *out, float *dout, float *dx, int64_t dx_stride);
  glow_status (*save)(const void *self, glow_config *config); /* keys start with "net." */
  void (*destroy)(void *self, glow_context *context);
  /* Like glow_layer_ops.freeze, which calls it. Optional. */
  glow_status (*freeze)(const void *self, const glow_pass *pass, glow_net **out);
} glow_net_ops;

/* Wraps `self` in a net. The table is copied. Takes `self` over: ops->destroy is called in the end,
 * and also when this fails, if the table is long enough to have one. */
GLOW_API glow_status glow_net_create(glow_context *context, const glow_net_ops *ops, void *self,
                                     glow_net **out);

typedef glow_status (*glow_net_factory)(glow_context *context, const glow_config *config,
                                        glow_net **out);
GLOW_API glow_status glow_context_register_net(glow_context *context, const char *type,
                                               glow_net_factory factory);

#ifdef __cplusplus
}
#endif
#endif
