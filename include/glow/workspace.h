/* Workspaces and passes: forward, inverse, sampling, backward.
 *
 * A pass runs samples through the layers of a model, one way or the other. All memory of a pass is
 * allocated when the workspace is made; passes allocate nothing. A workspace serves one thread at a
 * time. A pass takes any number of samples and cuts them into batches of the workspace's size; only
 * glow_workspace_forward in a training mode, which stores what backward needs, takes at most one
 * batch. On failure the contents of output arrays are unspecified; nothing else has changed. Arrays
 * are NHWC float32.
 *
 * Labels are needed (non-NULL) only by models with classes: in [0, classes), or -1 where the class
 * of a sample is not known. Without a class the latents have no distribution of their own:
 * whitening, inverting whitened latents, and sampling need one.
 * SPDX-License-Identifier: MIT */
#ifndef GLOW_WORKSPACE_H
#define GLOW_WORKSPACE_H

#include <glow/model.h>

#ifdef __cplusplus
extern "C" {
#endif

typedef struct glow_workspace glow_workspace;

enum {
  GLOW_MODE_INFERENCE = 101,     /* no backward */
  GLOW_MODE_STORED = 102,        /* backward from stored activations: fastest */
  GLOW_MODE_RECONSTRUCTED = 103, /* backward inverts the layers: memory flat in depth */
  GLOW_MODE_BUDGET = 104         /* stored in some layers and reconstructed in the others, chosen so
                                    that the workspace takes at most memory_budget bytes */
};

/* What reconstruction costs in accuracy is measured: wherever backward comes to a state that was
 * stored (the input of the model is; under GLOW_MODE_BUDGET, what goes into and out of stored
 * layers), it is compared with the reconstructed one, and drift = max |x' - x| / rms(x). Past
 * drift_bound the gradients are not to be used: glow_workspace_backward fails with GLOW_E_NUMERIC,
 * and from then on this workspace runs layers forward again instead of inverting them. That is
 * exact, in the memory that the workspace has already, and takes 1.4 times the time. See
 * glow_workspace_info. Float32 leaves a drift of about 1e-5 in healthy models; at 1e-3 that of an
 * image is below a tenth of a step of 8 bits.
 *
 * A layer whose inverse costs more than four times its forward (glow_setup_work) is stored in every
 * training mode. */
typedef struct glow_workspace_options {
  size_t struct_size;
  int64_t batch;          /* samples of a batch; default 1 */
  int32_t mode;           /* GLOW_MODE_...; default inference */
  int32_t cache_packed;   /* 1: cache weights in the order that products read, and remake them only
                             when parameters have changed. As much memory again as the weights,
                             twice in training; pays where calls are small. Default 0: made in each
                             call, in room that the layers share. An inference form has them once
                             for all its workspaces: glow_model_inference_form. */
  uint64_t memory_budget; /* of GLOW_MODE_BUDGET, 0 in others: what glow_workspace_plan_bytes may
                             be. Which layers are stored does not depend on the number of threads up
                             to 16: the scratch of as many is always counted. */
  double drift_bound;     /* default 1e-3; 0: measure only, and reserve no memory for running
                             layers again */
} glow_workspace_options;
#define GLOW_WORKSPACE_OPTIONS_INIT                                                                \
  { sizeof(glow_workspace_options), 1, GLOW_MODE_INFERENCE, 0, 0, 1e-3 }

/* Bytes that a workspace of these options would allocate. GLOW_E_LIMIT, with the least number in
 * the error text, when memory_budget is too low. */
GLOW_API glow_status glow_workspace_plan_bytes(const glow_model *model,
                                               const glow_workspace_options *options,
                                               uint64_t *out);
/* The model must outlive the workspace. GLOW_E_STATE for any mode but inference when a layer of it
 * has no backward, as in an inference form. */
GLOW_API glow_status glow_workspace_create(const glow_model *model,
                                           const glow_workspace_options *options,
                                           glow_workspace **out);
GLOW_API void glow_workspace_destroy(glow_workspace **workspace);

/* ---- conditions ------------------------------------------------------------------------------ */

/* Conditions [count, size] of the samples of the passes that follow, for models that are
 * conditioned on one (glow_model_condition_size is not 0): a vector or an image for each sample, in
 * the shape that glow_model_condition_shape tells. The first samples of a pass get the first
 * conditions; count 1: all samples get the same. Borrowed: passes read them, backward too, until
 * others are set. condition NULL and count 0: none. */
GLOW_API glow_status glow_workspace_set_condition(glow_workspace *workspace, const float *condition,
                                                  int64_t count, int64_t size);

/* ---- data-dependent initialisation ----------------------------------------------------------- */

/* Gives the model's actnorms their first values from `count` samples (any number: they are taken in
 * batches of the workspace's size, with the same result up to rounding), and marks the model
 * initialised. `model` must be the workspace's. Allocates a copy of x for the duration. A channel
 * that is constant over the data is named in a warning to the context's log. On failure the model's
 * parameters are as before. */
GLOW_API glow_status glow_workspace_initialise(glow_workspace *workspace, glow_model *model,
                                               const float *x, const int32_t *labels,
                                               int64_t count);

/* ---- forward --------------------------------------------------------------------------------- */

enum {
  GLOW_LATENTS_RAW = 201,     /* as the flow gives them */
  GLOW_LATENTS_WHITENED = 202 /* (z - mean) / sd of their prior: standard normal under the model, or
                                 standard logistic where the prior is logistic */
};

/* What a forward pass is given besides x, and what it is to write. Any output may be NULL. */
typedef struct glow_forward_options {
  size_t struct_size;
  const int32_t *labels; /* [count], for models with classes */
  float *latents;        /* [count, dims] */
  double *logdet;        /* [count], nats: log|det d raw latents / dx| */
  double *log_prob;      /* [count], nats: log-density of x, log-det plus log-priors */
  int32_t form;          /* of latents, GLOW_LATENTS_...; 0: raw */
  int32_t reserved;      /* 0 */
} glow_forward_options;
#define GLOW_FORWARD_OPTIONS_INIT                                                                  \
  { sizeof(glow_forward_options), NULL, NULL, NULL, NULL, GLOW_LATENTS_RAW, 0 }

/* x [count, dims] to latents. In a training mode it stores what glow_workspace_backward needs, and
 * batch normalisations use the statistics of this batch, as training does: to evaluate with their
 * running averages, use glow_workspace_log_prob or a workspace for inference. options NULL: runs
 * the pass for backward alone. A warning goes to the context's log, once for a workspace, when x
 * cannot be what the model was made for: images of bits 1 to 8 lie in [-1/2, 1/2), and numbers
 * beyond 2 are there. */
GLOW_API glow_status glow_workspace_forward(glow_workspace *workspace, const float *x,
                                            int64_t count, const glow_forward_options *options);
/* The log-density of x alone, in any mode with the running averages of batch normalisations and
 * with nothing stored for backward. */
GLOW_API glow_status glow_workspace_log_prob(glow_workspace *workspace, const float *x,
                                             const int32_t *labels, int64_t count,
                                             double *log_prob);
/* bits/dim of a density of dequantised data: (-log_prob / dims + log(2^bits)) / log 2. */
GLOW_API double glow_model_bits_per_dim(const glow_model *model, double log_prob);

/* ---- classification -------------------------------------------------------------------------- */

/* Logits [count, glow_model_logit_count], whose softmax are the probabilities of the classes, for
 * models that have a classifier (glow_prior_options). labels may be NULL: the classes are not
 * known. For probabilities by Bayes' rule instead, compare glow_workspace_log_prob with one label
 * after the other. */
GLOW_API glow_status glow_workspace_classify(glow_workspace *workspace, const float *x,
                                             const int32_t *labels, int64_t count, float *logits);
/* The same from latents that are known already; form: GLOW_LATENTS_... */
GLOW_API glow_status glow_workspace_classify_latents(glow_workspace *workspace,
                                                     const float *latents, int32_t form,
                                                     const int32_t *labels, int64_t count,
                                                     float *logits);
/* Logits [samples, glow_model_logit_count] of the last batch of the last forward, log-density or
 * classification of this workspace, which compute them along with the rest; valid until its next
 * pass. NULL without a classifier, or before any pass. */
GLOW_API const float *glow_workspace_logits(const glow_workspace *workspace);

/* ---- inverse and sampling -------------------------------------------------------------------- */

/* What an inverse pass is given besides latents, and what it is to write besides x. */
typedef struct glow_inverse_options {
  size_t struct_size;
  const int32_t *labels; /* [count], for models with classes */
  double *logdet;        /* [count] or NULL, nats: log|det dx / d raw latents| */
  int32_t form;          /* of latents, GLOW_LATENTS_...; 0: raw */
  int32_t reserved;      /* 0 */
} glow_inverse_options;
#define GLOW_INVERSE_OPTIONS_INIT                                                                  \
  { sizeof(glow_inverse_options), NULL, NULL, GLOW_LATENTS_RAW, 0 }

/* latents [count, dims] to x [count, dims]. options NULL: the defaults. GLOW_E_NUMERIC names the
 * layer and the sample where the inverse of a layer does not converge. */
GLOW_API glow_status glow_workspace_inverse(glow_workspace *workspace, const float *latents,
                                            int64_t count, const glow_inverse_options *options,
                                            float *x);

typedef struct glow_sample_options {
  size_t struct_size;
  double temperature; /* of all latents: standard deviations, or the scales of logistic ones, are
                         multiplied by it; default 1 */
  const double
      *per_latent; /* NULL, or [glow_model_latent_block_count] temperatures of each block */
  const double *per_sample; /* NULL, or [count]; temperatures multiply */
  uint64_t seed;
  uint64_t first; /* number of the first sample: sample i of a seed is the same in any batch */
  const int32_t *labels; /* [count], for models with classes */
} glow_sample_options;
#define GLOW_SAMPLE_OPTIONS_INIT                                                                   \
  { sizeof(glow_sample_options), 1.0, NULL, NULL, 0, 0, NULL }
/* Draws `count` samples into x [count, dims]. options NULL: the defaults. */
GLOW_API glow_status glow_workspace_sample(glow_workspace *workspace, int64_t count,
                                           const glow_sample_options *options, float *x);

/* ---- backward -------------------------------------------------------------------------------- */

/* Gradient of
 *   sum_n weight[n] log_prob[n] + weight_logdet[n] logdet[n] + <d_latents[n], raw latents[n]>
 *         + <d_logits[n], logits[n]>
 * with respect to the parameters, ADDED to the workspace's gradients, and to x, written to dx. */
typedef struct glow_backward_options {
  size_t struct_size;
  const double *weight;        /* [count] or NULL for zeros */
  const double *weight_logdet; /* [count] or NULL */
  const float *d_latents;      /* [count, dims] or NULL */
  float *dx;                   /* [count, dims] or NULL */
  float *d_condition;          /* [count, condition size]: gradient of the condition of each sample,
                                  or NULL */
  const float *d_logits;       /* [count, glow_model_logit_count] or NULL */
} glow_backward_options;
#define GLOW_BACKWARD_OPTIONS_INIT                                                                 \
  { sizeof(glow_backward_options), NULL, NULL, NULL, NULL, NULL, NULL }

/* Goes back through the last glow_workspace_forward of this workspace, which must be in a training
 * mode, on the same parameters; once per forward. GLOW_E_NUMERIC when reconstruction has drifted
 * past the bound: dx and the workspace's gradients are not to be used then; zero them, and run
 * forward and backward of the whole sum again, which will not drift (glow_workspace_options). */
GLOW_API glow_status glow_workspace_backward(glow_workspace *workspace,
                                             const glow_backward_options *options);

/* Gradients as one vector laid out like glow_model_parameters; NULL in inference mode. Accumulated
 * by backward until zeroed (they start at zero). Zeroing also forgets what batch normalisations
 * observed. */
GLOW_API float *glow_workspace_gradients(glow_workspace *workspace);
GLOW_API glow_status glow_workspace_zero_gradients(glow_workspace *workspace);

/* Moves the model's running averages (of batch normalisations) towards the mean of what the batches
 * observed that backward went through since gradients were zeroed, each batch weighted by its
 * samples; and prepares the model. `model` must be the workspace's. The trainer does this as a part
 * of its steps; call it after glow_optimizer_step if you make steps of your own. Refuses numbers
 * that are not finite with GLOW_E_NUMERIC, and nothing changes. */
GLOW_API glow_status glow_workspace_update_statistics(glow_workspace *workspace, glow_model *model);

/* ---- diagnosis ------------------------------------------------------------------------------- */

/* Runs x, at most one batch, through the layers and names the first one whose output, log-det or
 * log-prior is not finite ("input" when x itself is not); NULL in *layer when all is finite. */
GLOW_API glow_status glow_workspace_find_nonfinite(glow_workspace *workspace, const float *x,
                                                   const int32_t *labels, int64_t count,
                                                   const char **layer);
/* Bytes allocated by this workspace. */
GLOW_API uint64_t glow_workspace_bytes(const glow_workspace *workspace);

typedef struct glow_workspace_info {
  size_t struct_size;
  uint64_t bytes;        /* allocated */
  int32_t stored_layers; /* layers that store their activations for backward */
  int32_t recomputes;    /* 1: a drift was past the bound, and layers are run forward again */
  double drift;          /* of the last backward: see glow_workspace_options; 0 where nothing was
                            reconstructed, INFINITY where that was not finite */
  double largest_drift;  /* of all so far */
} glow_workspace_info;
#define GLOW_WORKSPACE_INFO_INIT                                                                   \
  { sizeof(glow_workspace_info), 0, 0, 0, 0.0, 0.0 }
GLOW_API glow_status glow_workspace_get_info(const glow_workspace *workspace,
                                             glow_workspace_info *out);

#ifdef __cplusplus
}
#endif
#endif
