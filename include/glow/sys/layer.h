/* The table behind a flow layer: the only door, for libglow's own layers and for yours.
 *
 * A layer's author need not know of threads, batching or memory modes: a layer run *by samples*
 * (default) has its functions called on blocks of samples, in parallel, with a gradient buffer for
 * each block; one run *by tasks* (GLOW_LAYER_BY_TASKS) gets the whole batch and calls
 * glow_pass_run. All functions but configure and destroy see the layer as const and may be called
 * from several threads. SPDX-License-Identifier: MIT */
#ifndef GLOW_SYS_LAYER_H
#define GLOW_SYS_LAYER_H

#include <glow/layer.h>
#include <glow/sys/pass.h>
#include <glow/workspace.h>

#ifdef __cplusplus
extern "C" {
#endif

enum {
  GLOW_LAYER_BY_TASKS = 1,        /* gets the whole batch and runs tasks itself */
  GLOW_LAYER_IN_PLACE = 2,        /* forward and inverse may be given y == x */
  GLOW_LAYER_RECONSTRUCTS = 4,    /* backward accepts x == NULL and writes x_out */
  GLOW_LAYER_ALWAYS_PREPARES = 8, /* prepare succeeds on all finite parameters, so that an
                                     optimizer step need not try it before it changes them */
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

typedef struct glow_layer_ops {
  size_t struct_size;
  const char *type; /* name in files and messages; lives as long as the layer */
  uint32_t flags;
  uint32_t reserved; /* 0 */
  /* Checks the input shape, fills *output, declares tensors, scratch, latents. height 0 in *output
   * means that nothing is left (top prior). Called once. */
  glow_status (*configure)(void *self, glow_setup *setup, const glow_shape *input,
                           glow_shape *output);
  /* Writes the initial values of all tensors (they start at 0). Optional. */
  glow_status (*build)(const void *self, const glow_pass *pass);
  /* Data-dependent initialisation: for each round BEGIN, then BATCH for each micro-batch x, then
   * END. Needed when glow_setup_init was called. */
  glow_status (*init)(const void *self, const glow_pass *pass, int32_t round, int32_t phase,
                      const float *x);
  /* Computes the derived values; fails with GLOW_E_NUMERIC when the layer is singular. Optional. */
  glow_status (*prepare)(const void *self, const glow_pass *pass);
  /* y from x; ADDS log|det dy/dx| to logdet[samples], and the log-density of emitted latents to
   * logprior[samples]. */
  void (*forward)(const void *self, const glow_pass *pass, const float *x, float *y, double *logdet,
                  double *logprior);
  /* x from y (and latents); ADDS log|det dx/dy| to logdet[samples]. */
  void (*inverse)(const void *self, const glow_pass *pass, const float *y, float *x,
                  double *logdet);
  /* Gradients: adds to glow_pass_gradient, writes dx. */
  void (*backward)(const void *self, const glow_pass *pass, const glow_layer_gradient *gradient);
  /* Writes the options from which the registry's factory makes the same layer again. Optional; a
   * layer without it cannot be saved. */
  glow_status (*save)(const void *self, glow_config *config);
  void (*destroy)(void *self, glow_context *context);
  /* Needed when glow_setup_logits was called: logits [samples, count] from x, which do not depend
   * on labels; and from their gradient that of the parameters, added to glow_pass_gradient, and
   * that of x, ADDED to dx. */
  void (*logits)(const void *self, const glow_pass *pass, const float *x, float *logits);
  void (*logits_backward)(const void *self, const glow_pass *pass, const float *x,
                          const float *d_logits, float *dx);
  /* For glow_model_freeze; `pass` has the tensors and derived values. Both optional.
   * linear: for a layer that maps every pixel to W x + b, with the same W and b: writes what is not
   * 0 of W [C, C], by rows, and of b [C]. In a frozen model such layers in a row become one.
   * freeze: a layer that maps as this one does now, for inference alone. Of its tensors, those with
   * the name and shape of one of this layer have the same values before it is prepared. *out NULL:
   * it has no other form, as without this function: a layer made from what `save` writes, with the
   * same values. */
  glow_status (*linear)(const void *self, const glow_pass *pass, double *w, double *b);
  glow_status (*freeze)(const void *self, const glow_pass *pass, glow_layer **out);
} glow_layer_ops;

/* Wraps `self` in a layer. The table is copied. Takes `self` over: ops->destroy is called in the
 * end, and also when this fails, if the table is long enough to have one. */
GLOW_API glow_status glow_layer_create(glow_context *context, const glow_layer_ops *ops, void *self,
                                       glow_layer **out);

/* Makes a layer from its options in a file. It asks for all that its `save` writes: a file with an
 * option that was not asked for is refused, since that would be ignored. A missing one means the
 * default, so that options can be added later. */
typedef glow_status (*glow_layer_factory)(glow_context *context, const glow_config *config,
                                          glow_layer **out);
/* Registers a type so that files can name it. The built-in types are registered. `type` is copied.
 * Not to be called while other threads use the context. */
GLOW_API glow_status glow_context_register_layer(glow_context *context, const char *type,
                                                 glow_layer_factory factory);

#ifdef __cplusplus
}
#endif
#endif
