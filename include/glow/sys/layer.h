/* The table behind a flow layer: the only door, for libglow's own layers and for yours.
 *
 * A layer's author need not know of threads, batching or memory modes: a layer run *by samples*
 * (default) has its functions called on blocks of samples, in parallel, with a gradient buffer for
 * each block; one run *by tasks* (GLOW_LAYER_BY_TASKS) gets the whole batch and calls
 * glow_call_run. All functions but configure and destroy see the layer as const and may be called
 * from several threads.
 *
 * A layer may host nets: conditioner networks that it owns. It names them in its table; the model
 * resets, prepares, saves and destroys them along with it, and gives them memory of their own. The
 * layer calls them through <glow/sys/net.h>. SPDX-License-Identifier: MIT */
#ifndef GLOW_SYS_LAYER_H
#define GLOW_SYS_LAYER_H

#include <glow/layer.h>
#include <glow/sys/call.h>
#include <glow/sys/options.h>
#include <glow/workspace.h>

#ifdef __cplusplus
extern "C" {
#endif

enum {
  GLOW_LAYER_BY_TASKS = 1,        /* gets the whole batch and runs tasks itself */
  GLOW_LAYER_IN_PLACE = 2,        /* forward and inverse may be given y == x */
  GLOW_LAYER_RECONSTRUCTS = 4,    /* backward accepts x == NULL and writes x_out */
  GLOW_LAYER_ALWAYS_PREPARES = 8, /* prepare succeeds on all finite parameters, so that an
                                     optimizer step need not try it before it changes them; of a
                                     layer that hosts nets, as far as it is up to the layer */
  GLOW_LAYER_INFERENCE_ONLY = 16  /* no backward: only workspaces in GLOW_MODE_INFERENCE */
};

/* What backward is given. One sample of x, dx, x_out has the input's shape, of y, dy the
 * output's. */
typedef struct glow_layer_gradient {
  size_t struct_size;
  const float *y;           /* the output */
  const float *dy;          /* its gradient */
  const float *x;           /* the input, or NULL: reconstruct it (GLOW_LAYER_RECONSTRUCTS) */
  float *x_out;             /* x NULL: write the reconstructed input here */
  float *dx;                /* write the gradient of the input here */
  const double *d_logdet;   /* [samples] gradient of the layer's log-det */
  const double *d_logprior; /* [samples] gradient of the layer's log-prior */
  const float *d_latents;   /* gradient of the raw latents that the layer emitted, or NULL; same
                               stride */
} glow_layer_gradient;

/* A net that a layer hosts. */
typedef struct glow_hosted_net {
  const char *prefix; /* of its tensors ("net" makes "net.fc1.weight"), and of its options in files,
                         where "net" itself is the net's type */
  const char *fallback; /* its type where a file names none; NULL: a file must */
} glow_hosted_net;

#define GLOW_MAX_HOSTED_NETS 16

typedef struct glow_layer_ops {
  size_t struct_size;
  const char *type; /* name in files and messages; lives as long as the layer */
  uint32_t flags;
  int32_t net_count;           /* nets that the layer hosts, at most GLOW_MAX_HOSTED_NETS */
  const glow_hosted_net *nets; /* [net_count] */
  /* What the layer is made with: `self` has self_size bytes, zeroed, and starts with a checked copy
   * of the options struct. NULL: no options. */
  const glow_options_table *options;
  size_t self_size;
  /* Checks the input shape, fills *output, declares tensors, scratch, latents, and calls
   * glow_setup_net for each net. height 0 in *output means that nothing is left (top prior). Called
   * once. */
  glow_status (*configure)(void *self, glow_setup *setup, const glow_shape *input,
                           glow_shape *output);
  /* Writes the starting values of all tensors of the layer's own (they start at 0). Optional. */
  glow_status (*reset)(const void *self, const glow_call *call);
  /* Data-dependent initialisation: for each round BEGIN, then BATCH for each batch x, then END.
   * Hands each on to its nets with glow_call_net_initialise. Needed when glow_setup_initialise was
   * called, by the layer or by a net of it. */
  glow_status (*initialise)(const void *self, const glow_call *call, int32_t round, int32_t phase,
                            const float *x);
  /* Computes the derived values of the layer's own; fails with GLOW_E_NUMERIC when the layer is
   * singular. Optional. */
  glow_status (*prepare)(const void *self, const glow_call *call);
  /* y from x; ADDS log|det dy/dx| to logdet[samples], and the log-density of emitted latents to
   * logprior[samples]. */
  void (*forward)(const void *self, const glow_call *call, const float *x, float *y, double *logdet,
                  double *logprior);
  /* x from y (and latents); ADDS log|det dx/dy| to logdet[samples]. An inverse that does not
   * converge returns what glow_call_fail does, which names the sample. */
  glow_status (*inverse)(const void *self, const glow_call *call, const float *y, float *x,
                         double *logdet);
  /* Gradients: adds to glow_call_gradient, writes dx. */
  void (*backward)(const void *self, const glow_call *call, const glow_layer_gradient *gradient);
  /* Releases what `self` holds besides options and nets. Optional; `self` itself is released
   * afterwards. */
  void (*destroy)(void *self, glow_context *context);
  /* Needed when glow_setup_logits was called: logits [samples, count] from x, which do not depend
   * on labels; and from their gradient that of the parameters, added to glow_call_gradient, and
   * that of x, ADDED to dx. */
  void (*logits)(const void *self, const glow_call *call, const float *x, float *logits);
  void (*logits_backward)(const void *self, const glow_call *call, const float *x,
                          const float *d_logits, float *dx);
  /* For glow_model_inference_form; `call` has the tensors and derived values. Both optional.
   * linear: for a layer that maps every pixel to W x + b, with the same W and b: writes what is not
   * 0 of W [C, C], by rows, and of b [C]. In an inference form such layers in a row become one.
   * inference_form: a layer that maps as this one does now, for inference alone. Of its tensors,
   * those with the name and shape of one of this layer have the same values before it is prepared.
   * *out NULL, as without this function: it has no other form than that of its nets, and is made
   * again from its options. */
  glow_status (*linear)(const void *self, const glow_call *call, double *w, double *b);
  glow_status (*inference_form)(const void *self, const glow_call *call, glow_layer **out);
  /* Makes a layer of this type from options that were read, where that is not glow_layer_create
   * with this table. Takes the nets over, as glow_layer_create does. Optional. */
  glow_status (*create)(glow_context *context, const void *options, glow_net **nets,
                        glow_layer **out);
} glow_layer_ops;

/* Makes a layer: checks options (NULL: the defaults) by the table's options, and takes over
 * nets[0 .. ops->net_count), on success and on failure, setting each to NULL. The table is copied;
 * what it points to lives as long as the layer. nets NULL: none. */
GLOW_API glow_status glow_layer_create(glow_context *context, const glow_layer_ops *ops,
                                       const void *options, glow_net **nets, glow_layer **out);
/* The layer's `self`, for a constructor that puts more than options there. Such a layer cannot be
 * made again from its options: it is neither saved nor copied, unless its table has `create`. */
GLOW_API void *glow_layer_self(glow_layer *layer);

/* Registers a type, so that files can name it and layers of it can be saved. The built-in types are
 * registered. The table is copied. GLOW_E_STATE: the context has a layer of this type already. Not
 * to be called while other threads use the context. */
GLOW_API glow_status glow_context_register_layer(glow_context *context, const glow_layer_ops *ops);

#ifdef __cplusplus
}
#endif
#endif
