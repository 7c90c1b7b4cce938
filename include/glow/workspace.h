/* Workspaces and passes: forward, inverse, sampling, backward.
 *
 * All memory of a pass is allocated when the workspace is made; passes allocate nothing. A
 * workspace serves one thread at a time. Batches may be any size from 1 to the workspace's. On
 * failure the contents of output arrays are unspecified; nothing else has changed. Arrays are NHWC
 * float32; labels are needed (non-NULL) only by models with classes: in [0, classes), or -1 where
 * the class of a sample is not known. Without a class latents have no law of their own: whitening,
 * inverting whitened latents, and sampling need it.
 * SPDX-License-Identifier: MIT */
#ifndef GLOW_WORKSPACE_H
#define GLOW_WORKSPACE_H

#include <glow/model.h>

#ifdef __cplusplus
extern "C" {
#endif

typedef struct glow_workspace glow_workspace;

enum {
  GLOW_MODE_INFERENCE = 1,     /* no backward */
  GLOW_MODE_STORED = 2,        /* backward from stored activations: fastest */
  GLOW_MODE_RECONSTRUCTED = 3, /* backward inverts the layers: memory flat in depth */
  GLOW_MODE_FIT = 4            /* stored in some layers and reconstructed in the others, chosen so
                                  that the workspace takes at most memory_limit bytes */
};

/* What reconstruction costs in accuracy is measured: wherever backward comes to a state that was
 * kept (the input of the model is; under GLOW_MODE_FIT, what goes into and out of kept layers), it
 * is compared with the reconstructed one, and drift = max |x' - x| / rms(x). Past drift_bound the
 * gradients are not to be used: glow_backward fails with GLOW_E_NUMERIC, and from then on this
 * workspace runs layers forward again instead of inverting them. That is exact, in the memory that
 * the workspace has already, and takes 1.4 times the time. See glow_workspace_info.
 * Float32 leaves a drift of about 1e-5 in healthy models; at 1e-3 that of an image is below a tenth
 * of a step of 8 bits. */
typedef struct glow_workspace_options {
  size_t struct_size;
  int64_t batch;         /* largest batch; default 1 */
  int32_t mode;          /* GLOW_MODE_...; default inference */
  int32_t keep_packed;   /* 1: keep weights in the order that products read, and remake them only
                            when parameters have changed. As much memory again as the weights,
                            twice in training; pays where calls are small. Default 0: made in each
                            call, in room that the layers share. A frozen model has them once for
                            all its workspaces: glow_model_freeze. */
  uint64_t memory_limit; /* of GLOW_MODE_FIT, 0 in others: what glow_workspace_bytes may be. Which
                            layers are kept does not depend on the number of threads up to 16: the
                            scratch of as many is always counted. */
  double drift_bound;    /* default 1e-3; 0: measure only, and reserve no memory for running
                            layers again */
} glow_workspace_options;
#define GLOW_WORKSPACE_OPTIONS_INIT                                                                \
  { sizeof(glow_workspace_options), 1, GLOW_MODE_INFERENCE, 0, 0, 1e-3 }

/* Bytes that a workspace of these options would allocate. GLOW_E_LIMIT, with the least number in
 * the error text, when memory_limit is too low. */
GLOW_API glow_status glow_workspace_bytes(const glow_model *model,
                                          const glow_workspace_options *options, uint64_t *out);
/* The model must outlive the workspace. GLOW_E_STATE for any mode but inference when a layer of it
 * has no backward, as in a frozen model. */
GLOW_API glow_status glow_workspace_create(const glow_model *model,
                                           const glow_workspace_options *options,
                                           glow_workspace **out);
GLOW_API void glow_workspace_destroy(glow_workspace **workspace);

/* ---- context vectors ------------------------------------------------------------------------- */

/* Context vectors [count, size] of the samples of the passes that follow, for models that are
 * conditioned on one (glow_model_context_size is not 0). The first samples of a pass get the first
 * vectors; count 1: all samples get the same. Borrowed: passes read them, glow_backward too, until
 * others are set. context NULL and count 0: none. */
GLOW_API glow_status glow_workspace_set_context(glow_workspace *workspace, const float *context,
                                                int64_t count, int64_t size);

/* ---- data-dependent initialisation ----------------------------------------------------------- */

/* Gives the model's actnorms their first values from `count` samples (any number: they are taken in
 * micro-batches of the workspace's size, with the same result up to rounding), and marks the model
 * initialised. `model` must be the workspace's. Allocates a copy of x for the duration. A channel
 * that is constant over the data is named in a warning to the context's log. On failure the model's
 * parameters are as before. */
GLOW_API glow_status glow_workspace_initialise(glow_workspace *workspace, glow_model *model,
                                               const float *x, const int32_t *labels,
                                               int64_t count);

/* ---- forward --------------------------------------------------------------------------------- */

enum {
  GLOW_LATENTS_RAW = 1,     /* as the flow gives them */
  GLOW_LATENTS_WHITENED = 2 /* (z - mean) / sd of their prior: standard normal under the model, or
                               standard logistic where the prior is logistic */
};

/* x [count, dims] to latents [count, dims], in GLOW_LATENTS_... form, and per sample the log-det of
 * the flow, log|det d raw latents / dx|, and the log-probability density of x, log-det plus
 * log-priors (both [count], nats). Any output may be NULL. In a training mode it keeps what
 * glow_backward needs, and batch normalisations use the statistics of this batch, as training does:
 * to evaluate with their running averages, use glow_log_prob or a workspace for inference. */
GLOW_API glow_status glow_forward(glow_workspace *workspace, const float *x, const int32_t *labels,
                                  int64_t count, int32_t form, float *latents, double *logdet,
                                  double *log_prob);
/* The log-probability density alone, in any mode with the running averages of batch normalisations
 * and with nothing kept for glow_backward. */
GLOW_API glow_status glow_log_prob(glow_workspace *workspace, const float *x, const int32_t *labels,
                                   int64_t count, double *log_prob);
/* bits/dim of a density of dequantised data: (-log_prob / dims + log(2^bits)) / log 2. */
GLOW_API double glow_bits_per_dim(const glow_model *model, double log_prob);

/* ---- classification -------------------------------------------------------------------------- */

/* Logits [count, glow_model_logits], whose softmax are the probabilities of the classes, for models
 * that have a classifier (glow_prior_options). labels may be NULL: the classes are not known. For
 * probabilities by Bayes' rule instead, compare glow_log_prob with one label after the other. */
GLOW_API glow_status glow_classify(glow_workspace *workspace, const float *x, const int32_t *labels,
                                   int64_t count, float *logits);
/* The same from latents that are known already. */
GLOW_API glow_status glow_classify_latents(glow_workspace *workspace, const float *latents,
                                           int32_t form, const int32_t *labels, int64_t count,
                                           float *logits);
/* Logits [count, glow_model_logits] of the last glow_forward, glow_log_prob or glow_classify of
 * this workspace, which compute them along with the rest; valid until its next pass. NULL without a
 * classifier, or before any pass. */
GLOW_API const float *glow_workspace_logits(const glow_workspace *workspace);

/* ---- inverse and sampling -------------------------------------------------------------------- */

/* latents [count, dims] in the stated form to x [count, dims]. logdet (may be NULL): that of the
 * inverse, log|det dx / d raw latents|. */
GLOW_API glow_status glow_inverse(glow_workspace *workspace, const float *latents, int32_t form,
                                  const int32_t *labels, int64_t count, float *x, double *logdet);

typedef struct glow_sample_options {
  size_t struct_size;
  double temperature; /* of all latents: standard deviations, or the scales of logistic ones, are
                         multiplied by it; default 1 */
  const double *per_latent; /* NULL, or [glow_model_latent_count] temperatures of each block */
  const double *per_sample; /* NULL, or [count]; temperatures multiply */
  uint64_t seed;
  uint64_t first; /* number of the first sample: sample i of a seed is the same in any batch */
} glow_sample_options;
#define GLOW_SAMPLE_OPTIONS_INIT                                                                   \
  { sizeof(glow_sample_options), 1.0, NULL, NULL, 0, 0 }
GLOW_API glow_status glow_sample(glow_workspace *workspace, const glow_sample_options *options,
                                 const int32_t *labels, int64_t count, float *x);

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
  float *d_context;            /* [count, context size]: gradient of the context of each sample, or
                                  NULL */
  const float *d_logits;       /* [count, glow_model_logits] or NULL */
} glow_backward_options;
#define GLOW_BACKWARD_OPTIONS_INIT                                                                 \
  { sizeof(glow_backward_options), NULL, NULL, NULL, NULL, NULL, NULL }

/* Goes back through the last glow_forward of this workspace, which must be in a training mode, on
 * the same parameters; once per forward. GLOW_E_NUMERIC when reconstruction has drifted past the
 * bound: dx and the workspace's gradients are not to be used then; zero them, and run forward and
 * backward of the whole sum again, which will not drift (glow_workspace_options). */
GLOW_API glow_status glow_backward(glow_workspace *workspace, const glow_backward_options *options);

/* Gradients as one vector laid out like glow_model_parameters; NULL in inference mode. Accumulated
 * by glow_backward until zeroed (they start at zero). Zeroing also forgets what batch
 * normalisations observed. */
GLOW_API float *glow_workspace_gradients(glow_workspace *workspace);
GLOW_API glow_status glow_workspace_zero_gradients(glow_workspace *workspace);

/* Moves the model's running averages (of batch normalisations) towards the mean of what the batches
 * observed that glow_backward went through since gradients were zeroed, each batch weighted by its
 * samples; and prepares the model. `model` must be the workspace's. The trainer does this as a part
 * of its steps; call it after glow_optimizer_step if you make steps of your own. Refuses numbers
 * that are not finite with GLOW_E_NUMERIC, and nothing changes. */
GLOW_API glow_status glow_workspace_update_statistics(glow_workspace *workspace, glow_model *model);

/* ---- diagnosis ------------------------------------------------------------------------------- */

/* Runs x through the layers and names the first one whose output, log-det or log-prior is not
 * finite ("input" when x itself is not); NULL in *layer when all is finite. */
GLOW_API glow_status glow_find_nonfinite(glow_workspace *workspace, const float *x,
                                         const int32_t *labels, int64_t count, const char **layer);
/* Bytes allocated by this workspace. */
GLOW_API uint64_t glow_workspace_size(const glow_workspace *workspace);

typedef struct glow_workspace_info {
  size_t struct_size;
  uint64_t bytes;       /* allocated */
  int32_t kept;         /* layers that keep their activations for backward */
  int32_t recomputes;   /* 1: a drift was past the bound, and layers are run forward again */
  double drift;         /* of the last glow_backward: see glow_workspace_options; 0 where nothing
                           was reconstructed, INFINITY where that was not finite */
  double largest_drift; /* of all so far */
} glow_workspace_info;
#define GLOW_WORKSPACE_INFO_INIT                                                                   \
  { sizeof(glow_workspace_info), 0, 0, 0, 0.0, 0.0 }
GLOW_API glow_status glow_workspace_get_info(const glow_workspace *workspace,
                                             glow_workspace_info *out);

#ifdef __cplusplus
}
#endif
#endif
