/* The table behind a flow layer. It is the only door, for libglow's own layers and for yours.
 *
 * A layer's author need not know about threads, batching or memory modes. A layer run *by samples*
 * (the default) has its functions called on blocks of samples, in parallel, with a gradient buffer
 * for each block. One run *by tasks* (GLOW_LAYER_BY_TASKS) gets the whole batch and calls
 * glow_call_run. All functions but configure and destroy see the layer as const, and may be called
 * from several threads.
 *
 * A layer may host nets: conditioner networks that it owns. It names them in its table. The model
 * resets, prepares, saves and destroys them along with the layer, and gives them memory of their
 * own. The layer calls them through <glow/sys/net.h>.
 * SPDX-License-Identifier: MIT */
#ifndef GLOW_SYS_LAYER_H
#define GLOW_SYS_LAYER_H

#include <glow/layer.h>
#include <glow/sys/call.h>
#include <glow/sys/findings.h>
#include <glow/sys/options.h>
#include <glow/workspace.h>

#ifdef __cplusplus
extern "C" {
#endif

enum {
  GLOW_LAYER_BY_TASKS = 1,        /* the layer gets the whole batch and runs tasks itself */
  GLOW_LAYER_IN_PLACE = 2,        /* forward and inverse may be given y == x */
  GLOW_LAYER_RECONSTRUCTS = 4,    /* backward accepts x == NULL and writes x_out */
  GLOW_LAYER_ALWAYS_PREPARES = 8, /* prepare succeeds on all finite parameters, so an optimizer
                                     step need not try it before it changes them. This is about
                                     the layer alone, without the nets that it hosts */
  GLOW_LAYER_INFERENCE_ONLY = 16, /* no backward: only workspaces in GLOW_MODE_INFERENCE */
  GLOW_LAYER_SKIPS_GRADIENTS = 32 /* where glow_call_gradient is NULL in backward, gradients of
                                     tensors are left out, and dx is the same. Without this flag
                                     they go to memory that nobody reads */
};

/* What backward is given. A sample of x, dx and x_out has the input's shape, a sample of y and dy
 * the output's. */
typedef struct glow_layer_gradient {
  size_t struct_size;
  const float *y;           /* the output */
  const float *dy;          /* its gradient */
  const float *x;           /* the input, or NULL: reconstruct it (GLOW_LAYER_RECONSTRUCTS) */
  float *x_out;             /* x NULL: write the reconstructed input here */
  float *dx;                /* write the gradient of the input here */
  const double *d_logdet;   /* [samples] gradient of the layer's log-det */
  const double *d_logprior; /* [samples] gradient of the layer's log-prior */
  const float *d_latents;   /* gradient of the raw latents that the layer emitted, or NULL; with
                               their stride */
} glow_layer_gradient;

/* What inverse_backward is given. Samples of x and dx have the input's shape, those of y and dy the
 * output's. */
typedef struct glow_layer_inverse_gradient {
  size_t struct_size;
  const float *x;           /* what inverse wrote */
  const float *y;           /* what it was given; NULL if the layer has no output */
  float *dx;                /* the gradient of x; may be written over */
  float *dy;                /* write the gradient of y here; NULL if the layer has no output */
  const double *d_logdet;   /* [samples] gradient of log|det dy/dx|, forward's log-det, of which
                             inverse adds the negative */
  const double *d_logprior; /* [samples] gradient of the log-density that inverse adds */
  float *d_latents;         /* write the gradient of the latents here, in the form that the call has
                       (glow_call_latent_form), with their stride; or NULL */
} glow_layer_inverse_gradient;

/* A net that a layer hosts. */
typedef struct glow_hosted_net {
  const char *prefix; /* of its tensors ("net" makes "net.fc1.weight"), and of its options in files,
                         where "net" itself is the net's type */
  const char *fallback; /* its type if a file names none; NULL: a file must name one */
} glow_hosted_net;

#define GLOW_MAX_HOSTED_NETS 16

typedef struct glow_layer_ops {
  size_t struct_size;
  const char *type; /* name in files and messages; lives as long as the layer */
  uint32_t flags;
  int32_t net_count;           /* nets that the layer hosts, at most GLOW_MAX_HOSTED_NETS */
  const glow_hosted_net *nets; /* [net_count] */
  /* The layer's options; NULL: none. `self` has self_size bytes, zeroed, and starts with a checked
   * copy of the options struct. */
  const glow_options_table *options;
  size_t self_size;
  /* Checks the input shape, fills *output, declares tensors, scratch and latents, and calls
   * glow_setup_net for each net. height 0 in *output means that nothing is left, as after the top
   * prior. Called once. */
  glow_status (*configure)(void *self, glow_setup *setup, const glow_shape *input,
                           glow_shape *output);
  /* Writes the starting values of the layer's own tensors, which are 0 before. Optional. */
  glow_status (*reset)(const void *self, const glow_call *call);
  /* Data-dependent initialisation. In each round it is called with the phase BEGIN, then BATCH for
   * each batch x, then END, and passes each call on to its nets with glow_call_net_initialise.
   * Needed if the layer or one of its nets called glow_setup_initialise. */
  glow_status (*initialise)(const void *self, const glow_call *call, int32_t round, int32_t phase,
                            const float *x);
  /* Computes the layer's own derived values; fails with GLOW_E_NUMERIC if the layer is singular.
   * Optional. */
  glow_status (*prepare)(const void *self, const glow_call *call);
  /* Writes y from x. ADDS log|det dy/dx| to logdet[samples], and the log-density of emitted latents
   * to logprior[samples]. */
  void (*forward)(const void *self, const glow_call *call, const float *x, float *y, double *logdet,
                  double *logprior);
  /* Writes x from y (and latents). ADDS log|det dx/dy| to logdet[samples]. If logprior is not NULL,
   * ADDS to logprior[samples] what forward does: the log-density of the latents that it takes, of
   * their raw values in either form. Where the inverse of a sample does not converge, it calls
   * glow_call_fail and goes on with the others. An error that it returns ends the whole pass. */
  glow_status (*inverse)(const void *self, const glow_call *call, const float *y, float *x,
                         double *logdet, double *logprior);
  /* ADDS gradients of tensors to glow_call_gradient, and writes dx. */
  void (*backward)(const void *self, const glow_call *call, const glow_layer_gradient *gradient);
  /* Goes back through inverse: writes dy and d_latents, and ADDS gradients of tensors to
   * glow_call_gradient. A table with it promises that inverse fills the layer's stored regions
   * where glow_call_stored is not NULL, as forward does.
   *
   * With v = -dy (and -d_latents, of raw latents), the gradient of y is where backward(v) writes
   * dx = -gradient of x, given the same d_logdet and d_logprior, and the gradients of tensors that
   * this backward adds are those wanted: differentiate x = inverse(forward(x)). So for a layer that
   * scales and shifts, v = -dx / scale, and then it calls its own backward.
   *
   * Optional. Without it the model solves backward(v) = -dx by iteration, which takes about 10 to
   * 100 calls of backward. */
  void (*inverse_backward)(const void *self, const glow_call *call,
                           const glow_layer_inverse_gradient *gradient);
  /* Releases what `self` holds besides options and nets; `self` itself is released afterwards.
   * Optional. */
  void (*destroy)(void *self, glow_context *context);
  /* Needed if glow_setup_logits was called. `logits` writes logits [samples, count] from x; they do
   * not depend on labels. `logits_backward` takes their gradient, ADDS that of tensors to
   * glow_call_gradient, and ADDS that of x to dx. */
  void (*logits)(const void *self, const glow_call *call, const float *x, float *logits);
  void (*logits_backward)(const void *self, const glow_call *call, const float *x,
                          const float *d_logits, float *dx);
  /* For glow_model_inference_form; `call` has the tensors and derived values. Both are optional.
   *
   * linear: for a layer that maps every pixel to W x + b, with the same W and b. Writes what is not
   * 0 of W [C, C], by rows, and of b [C]. In an inference form, consecutive layers with this
   * function become one.
   *
   * inference_form: makes a layer that maps as this one does now, for inference and for gradients
   * of inputs (or, without a backward, GLOW_LAYER_INFERENCE_ONLY). Tensors of the new layer with
   * the name and shape of a tensor of this layer get its values before the new one is prepared.
   * With *out NULL, as without this function, the layer has no form of its own: it is made again
   * from its options, with the forms of its nets. */
  glow_status (*linear)(const void *self, const glow_call *call, double *w, double *b);
  glow_status (*inference_form)(const void *self, const glow_call *call, glow_layer **out);
  /* Makes a layer of this type from checked options, if glow_layer_create with this table would not
   * do. Takes the nets over, as glow_layer_create does. Optional. */
  glow_status (*create)(glow_context *context, const void *options, glow_net **nets,
                        glow_layer **out);
  /* Says what the layer knows of itself (<glow/sys/findings.h>), for glow_workspace_diagnose. First
   * with x NULL and no samples: what its parameters say. Then, if there are data, after `forward`
   * of each batch x, which has filled the stored regions, in a workspace of any mode: what those
   * samples say. Never called from several threads at once for one diagnosis. Optional. */
  glow_status (*diagnose)(const void *self, const glow_call *call, const float *x,
                          glow_findings *findings);
} glow_layer_ops;

/* Makes a layer, which is the caller's until a builder takes it. Checks options (NULL: the
 * defaults) by the table's options. Takes nets[0 .. ops->net_count) over, on success and on
 * failure, and sets each to NULL; nets NULL: none. The table is copied; what it points to must live
 * as long as the layer. */
GLOW_API glow_status glow_layer_create(glow_context *context, const glow_layer_ops *ops,
                                       const void *options, glow_net **nets, glow_layer **out);
/* The layer's `self`, for a constructor that puts more there than options. Such a layer cannot be
 * made again from its options: it can be neither saved nor copied, unless its table has
 * `create`. */
GLOW_API void *glow_layer_self(glow_layer *layer);

/* Registers a type of layer, so that files can name it and layers of it can be saved and copied.
 * The built-in types are registered already. The table is copied. GLOW_E_STATE if the context has a
 * layer of this type already. Must not be called while other threads use the context. */
GLOW_API glow_status glow_context_register_layer(glow_context *context, const glow_layer_ops *ops);

#ifdef __cplusplus
}
#endif
#endif
