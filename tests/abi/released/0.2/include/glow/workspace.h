/* Workspaces and passes: forward, inverse, sampling, backward.
 *
 * A pass runs samples through the layers of a model, in one direction or the other. All memory of
 * passes is allocated when the workspace is made; passes allocate nothing. A workspace serves one
 * thread at a time. A pass takes any number of samples and cuts them into batches of the
 * workspace's size; only glow_workspace_forward in a training mode, which stores what backward
 * needs, takes at most one batch. Arrays are NHWC float32. On failure the contents of output arrays
 * are unspecified, but for what follows, and nothing else has changed.
 *
 * A sample whose input, condition or result is not finite, or that a layer has no inverse of,
 * spoils no other: all its results are NaN, and those of the others are as they would be without
 * it. This holds for forward, log-density, inverse, sampling and classification. With `statuses`
 * in the options each sample gets GLOW_OK or GLOW_E_NUMERIC there, and the pass is GLOW_OK.
 * Without, the pass is GLOW_E_NUMERIC; it names the first such sample, counted from 0 in the
 * arrays that were given, and the layer where it arose, and says how many there are. `failed`, if
 * given, is their number in either case, and `layer` that layer's name, owned by the model: NULL
 * if no sample failed, or the first that did was not finite when it came. Batch normalisations in
 * a training mode are the exception, because their statistics are of the whole batch. So are
 * gradients: glow_workspace_backward refuses such a batch.
 *
 * Only models with classes need labels (not NULL): in [0, classes), or -1 where the class of a
 * sample is not known. The latents of a sample without a known class are a mixture: whitening them,
 * inverting whitened latents, and sampling need a class.
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
  GLOW_MODE_RECONSTRUCTED = 103, /* backward inverts the layers: memory is flat in depth */
  GLOW_MODE_BUDGET = 104         /* stored in some layers and reconstructed in the others, so that
                                    the workspace takes at most memory_budget bytes */
};

/* The accuracy that reconstruction costs is measured. Wherever backward comes to a state x that was
 * stored (the input of the model; under GLOW_MODE_BUDGET also what goes into and out of stored
 * layers), it is compared with the reconstructed one, x', and drift = max |x' - x| / rms(x). If it
 * is past drift_bound the gradients must not be used: glow_workspace_backward fails with
 * GLOW_E_NUMERIC, and from then on this workspace runs layers forward again instead of inverting
 * them; likewise when the inverse of a layer fails. That is exact, in the memory that the workspace
 * already has, and takes 1.4 times the time of reconstruction. See glow_workspace_info. With
 * float32, healthy models have a drift of about 1e-5; at 1e-3 the error of an image is below a
 * tenth of a step of 8 bits.
 *
 * A layer whose inverse costs more than four times its forward (glow_setup_work) is stored in every
 * training mode. */
typedef struct glow_workspace_options {
  size_t struct_size;
  int64_t batch;          /* samples of a batch; default 1 */
  int32_t mode;           /* GLOW_MODE_...; default inference */
  int32_t cache_packed;   /* 1: cache weights packed in the order that products read, and pack them
                             again only when parameters have changed. This takes as much memory
                             again as the weights, twice that in training, and pays where batches
                             are small. 0 (default): they are packed in each pass, in room that
                             the layers share. An inference form has them packed once for all its
                             workspaces: glow_model_inference_form. */
  uint64_t memory_budget; /* for GLOW_MODE_BUDGET, 0 in other modes: the most that
                             glow_workspace_plan_bytes may be. Which layers are stored does not
                             depend on the number of threads up to 16, because the scratch of 16
                             is always counted. */
  double drift_bound;     /* default 1e-3; 0: only measure, and reserve no memory for running
                             layers again */
  int32_t inputs_only;    /* 1: backward gives the gradients of x and of conditions alone; those of
                             parameters take neither memory nor time. Batch normalisations then use
                             their running averages. Default 0 */
  int32_t inverse_backward; /* 1: for glow_workspace_inverse_backward too. Takes more memory only if
                               a layer of the caller's own has no inverse_backward. Default 0 */
} glow_workspace_options;
#define GLOW_WORKSPACE_OPTIONS_INIT                                                                \
  { sizeof(glow_workspace_options), 1, GLOW_MODE_INFERENCE, 0, 0, 1e-3, 0, 0 }

/* Bytes that a workspace with these options would allocate. options NULL: the defaults.
 * GLOW_E_LIMIT if memory_budget is too low; the error text says what is needed at least. */
GLOW_API glow_status glow_workspace_plan_bytes(const glow_model *model,
                                               const glow_workspace_options *options,
                                               uint64_t *out);
/* Allocates a workspace. options NULL: the defaults. GLOW_E_STATE for any mode but inference if a
 * layer of the model has no backward, or if it is an inference form and inputs_only is not set. */
GLOW_API glow_status glow_workspace_create(const glow_model *model,
                                           const glow_workspace_options *options,
                                           glow_workspace **out);
/* Sets *workspace to NULL. NULL and a pointer to NULL are fine. */
GLOW_API void glow_workspace_destroy(glow_workspace **workspace);
/* cancel 1: passes of this workspace end with GLOW_E_CANCELLED before their next layer, the one
 * that runs and those that start later, until it is called with 0. So do initialisations and
 * training steps (glow_trainer_workspace): parameters, the optimizer and the counts of steps are
 * then as they were before. Results of a pass that was cancelled mean nothing, and after a
 * cancelled forward or backward the gradients have to be zeroed and forward run again. Any
 * thread may call this at any time while the workspace is there. */
GLOW_API glow_status glow_workspace_cancel(glow_workspace *workspace, int32_t cancel);

/* ---- conditions ------------------------------------------------------------------------------ */

/* Sets the conditions [count, size] of the samples of the passes that follow, for models that take
 * one (glow_model_condition_size is not 0): a vector or an image for each sample, of the shape that
 * glow_model_condition_shape gives. Sample n of a pass gets condition n; with count 1, all samples
 * get the same. The array is borrowed: passes read it, backward too, until another is set.
 * condition NULL and count 0: none. */
GLOW_API glow_status glow_workspace_set_condition(glow_workspace *workspace, const float *condition,
                                                  int64_t count, int64_t size);

/* ---- data-dependent initialisation ----------------------------------------------------------- */

/* Gives those layers that need it (actnorms, batch normalisations, scalings) their first values
 * from `count` samples, and marks the model initialised. The samples are taken in batches of
 * the workspace's size, with the same result up to rounding whatever that is. `model` must be the
 * workspace's. Allocates a copy of x for the duration. A channel that is constant over the data is
 * named in a warning to the context's log. On failure the model's parameters are as before. */
GLOW_API glow_status glow_workspace_initialise(glow_workspace *workspace, glow_model *model,
                                               const float *x, const int32_t *labels,
                                               int64_t count);

/* ---- forward --------------------------------------------------------------------------------- */

enum {
  GLOW_LATENTS_RAW = 201,     /* as the flow gives them */
  GLOW_LATENTS_WHITENED = 202 /* (z - mean) / sd under their prior: standard normal under the model,
                                 or standard logistic where the prior is logistic */
};

/* What a forward pass is given besides x, and what it should write. Any output may be NULL. */
typedef struct glow_forward_options {
  size_t struct_size;
  const int32_t *labels;    /* [count], for models with classes */
  float *latents;           /* [count, dims] */
  double *logdet;           /* [count], nats: log|det d raw latents / dx| */
  double *log_prob;         /* [count], nats: log-density of x, log-det plus log-priors */
  int32_t form;             /* of latents, GLOW_LATENTS_...; 0: raw */
  int32_t evaluate;         /* 1: as glow_workspace_log_prob, in any mode: running averages of batch
                            normalisations, nothing stored for backward, any number of samples */
  int32_t *statuses;        /* [count], GLOW_OK or GLOW_E_NUMERIC: see the top of this file */
  int64_t *failed;          /* how many samples are not GLOW_OK */
  const char **layer;       /* where the first of them ceased to be finite */
  int32_t running_averages; /* 1: batch normalisations use their running averages in a training mode
                               too, so that backward gives the gradient of what
                               glow_workspace_log_prob computes; default 0 */
  int32_t reserved;         /* 0 */
} glow_forward_options;
#define GLOW_FORWARD_OPTIONS_INIT                                                                  \
  {                                                                                                \
    sizeof(glow_forward_options), NULL, NULL, NULL, NULL, GLOW_LATENTS_RAW, 0, NULL, NULL, NULL,   \
        0, 0                                                                                       \
  }

/* Maps x [count, dims] to latents. In a training mode it stores what glow_workspace_backward needs,
 * and batch normalisations use the statistics of this batch, as training does; to evaluate with
 * their running averages, use `evaluate` or a workspace for inference. options NULL:
 * the pass is only for backward. If x cannot be what the model was made for, a warning goes to the
 * context's log, once for a workspace: images of 1 to 8 bits lie in [-1/2, 1/2), and x has values
 * beyond 2. */
GLOW_API glow_status glow_workspace_forward(glow_workspace *workspace, const float *x,
                                            int64_t count, const glow_forward_options *options);
/* Writes only the log-density of x, log_prob [count], in nats: glow_workspace_forward with these
 * arguments and `evaluate`. For statuses, use that. */
GLOW_API glow_status glow_workspace_log_prob(glow_workspace *workspace, const float *x,
                                             const int32_t *labels, int64_t count,
                                             double *log_prob);
/* bits/dim of a log-density of dequantised data: (-log_prob / dims + log(2^bits)) / log 2. For
 * continuous data (bits 0) the second term is 0. */
GLOW_API double glow_model_bits_per_dim(const glow_model *model, double log_prob);

/* ---- classification -------------------------------------------------------------------------- */

/* Writes logits [count, glow_model_logit_count], whose softmax gives the probabilities of the
 * classes, for models that have a classifier (glow_prior_options). labels may be NULL: the classes
 * are not known. For probabilities by Bayes' rule instead, call glow_workspace_log_prob with each
 * label in turn and compare. */
GLOW_API glow_status glow_workspace_classify(glow_workspace *workspace, const float *x,
                                             const int32_t *labels, int64_t count, float *logits);
/* The same from latents that are already known; form: GLOW_LATENTS_... */
GLOW_API glow_status glow_workspace_classify_latents(glow_workspace *workspace,
                                                     const float *latents, int32_t form,
                                                     const int32_t *labels, int64_t count,
                                                     float *logits);
/* Logits [samples, glow_model_logit_count] of the last batch of the last forward, log-density or
 * classification of this workspace, all of which compute them. Valid until the workspace's next
 * pass. NULL without a classifier, or before any pass. */
GLOW_API const float *glow_workspace_logits(const glow_workspace *workspace);

/* ---- inverse and sampling -------------------------------------------------------------------- */

/* What an inverse pass is given besides latents, and what it should write besides x. */
typedef struct glow_inverse_options {
  size_t struct_size;
  const int32_t *labels; /* [count], for models with classes */
  double *logdet;        /* [count] or NULL, nats: log|det dx / d raw latents|, in either form */
  double *log_prob;      /* [count] or NULL, nats: log-density of x under the model, as
                            glow_workspace_log_prob gives it up to rounding */
  int32_t form;          /* of latents, GLOW_LATENTS_...; 0: raw */
  int32_t store;      /* 1: for glow_workspace_inverse_backward; at most one batch, in a workspace
                            made with inverse_backward */
  int32_t *statuses;  /* [count], GLOW_OK or GLOW_E_NUMERIC: see the top of this file */
  int64_t *failed;    /* how many samples are not GLOW_OK */
  const char **layer; /* where the first of them ceased to be finite */
} glow_inverse_options;
#define GLOW_INVERSE_OPTIONS_INIT                                                                  \
  { sizeof(glow_inverse_options), NULL, NULL, NULL, GLOW_LATENTS_RAW, 0, NULL, NULL, NULL }

/* Maps latents [count, dims] to x [count, dims]. options NULL: the defaults. */
GLOW_API glow_status glow_workspace_inverse(glow_workspace *workspace, const float *latents,
                                            int64_t count, const glow_inverse_options *options,
                                            float *x);

typedef struct glow_sample_options {
  size_t struct_size;
  double temperature; /* of all latents: their standard deviations, or the scales of logistic
                         ones, are multiplied by it; default 1 */
  const double
      *per_latent; /* NULL, or [glow_model_latent_block_count], a temperature for each block */
  const double *per_sample; /* NULL, or [count]; the temperatures are multiplied */
  uint64_t seed;
  uint64_t first; /* number of the first sample: sample i of a seed is the same in any batch */
  const int32_t *labels; /* [count], for models with classes */
  int32_t *statuses;     /* [count], GLOW_OK or GLOW_E_NUMERIC: see the top of this file */
  int64_t *failed;       /* how many samples are not GLOW_OK */
  const char **layer;    /* where the first of them ceased to be finite */
  /* What was drawn; each may be NULL. None of them takes another pass. */
  float *latents;   /* [count, dims], whitened, with their temperatures in them: an inverse pass
                       maps them to the same x */
  double *log_prob; /* [count], nats: log-density of x under the model, as glow_workspace_log_prob
                       gives it up to rounding */
  double *log_q;    /* [count], nats: log-density of x under what it was drawn from, the model with
                       its latents at these temperatures. At temperature 1 that is log_prob; where a
                       temperature is 0, nothing has a density, and it is INFINITY. */
  int32_t store;    /* as in glow_inverse_options; the latents are whitened */
  int32_t reserved; /* 0 */
} glow_sample_options;
#define GLOW_SAMPLE_OPTIONS_INIT                                                                   \
  {                                                                                                \
    sizeof(glow_sample_options), 1.0, NULL, NULL, 0, 0, NULL, NULL, NULL, NULL, NULL, NULL, NULL,  \
        0, 0                                                                                       \
  }
/* Draws `count` samples into x [count, dims]. options NULL: the defaults. */
GLOW_API glow_status glow_workspace_sample(glow_workspace *workspace, int64_t count,
                                           const glow_sample_options *options, float *x);

/* ---- backward -------------------------------------------------------------------------------- */

/* The gradient of
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
 * mode and have had the same parameters; once for each forward. GLOW_E_NUMERIC if reconstruction
 * has drifted past the bound. Then dx and the workspace's gradients must not be used: zero the
 * gradients, and run forward and backward of the whole sum again, which will not drift
 * (glow_workspace_options). If a layer has no inverse of a sample, that is GLOW_E_NUMERIC too, and
 * with a drift_bound other than 0 it ends in the same way. So is a sample of that forward that was
 * not finite. */
GLOW_API glow_status glow_workspace_backward(glow_workspace *workspace,
                                             const glow_backward_options *options);

/* The gradient of
 *   sum_n <dx[n], x[n]> + weight[n] log_prob[n] + weight_logdet[n] logdet[n]
 * where x, its log_prob and logdet are what the last inverse pass or sampling gave, as functions of
 * its latents in the form that they had, of parameters and of conditions. Gradients of parameters
 * are ADDED to the workspace's. */
typedef struct glow_inverse_backward_options {
  size_t struct_size;
  const float *dx;             /* [count, dims] or NULL for zeros */
  const double *weight;        /* [count] or NULL */
  const double *weight_logdet; /* [count] or NULL */
  float *d_latents;            /* [count, dims], written, or NULL */
  float *d_condition;          /* [count, condition size], written, or NULL */
} glow_inverse_backward_options;
#define GLOW_INVERSE_BACKWARD_OPTIONS_INIT                                                         \
  { sizeof(glow_inverse_backward_options), NULL, NULL, NULL, NULL, NULL }

/* Goes back through the last inverse pass or sampling of this workspace, which must have had
 * `store` and the same parameters; once for each. Layers that are not stored are run forward again,
 * which is exact. Batch normalisations use their running averages, as inverse passes do.
 * GLOW_E_NUMERIC if a sample of that pass was not finite, or if the iteration for a layer without
 * inverse_backward does not converge. */
GLOW_API glow_status glow_workspace_inverse_backward(glow_workspace *workspace,
                                                     const glow_inverse_backward_options *options);

/* The gradients as one vector laid out like glow_model_parameters; NULL in inference mode. They
 * start at zero, and backward adds to them until they are zeroed. */
GLOW_API float *glow_workspace_gradients(glow_workspace *workspace);
/* Zeroes the gradients, and forgets what batch normalisations observed. GLOW_E_STATE in inference
 * mode. */
GLOW_API glow_status glow_workspace_zero_gradients(glow_workspace *workspace);

/* Moves the model's running averages (of batch normalisations) towards the mean of what was
 * observed in the batches that backward went through since the gradients were zeroed, each batch
 * weighted by its number of samples; and prepares the model. `model` must be the workspace's. The
 * trainer does this as a part of its steps; call it after glow_optimizer_step if you make steps of
 * your own. If a value is not finite, it fails with GLOW_E_NUMERIC and changes nothing. */
GLOW_API glow_status glow_workspace_update_statistics(glow_workspace *workspace, glow_model *model);

/* ---- diagnosis ------------------------------------------------------------------------------- */

/* Runs x, at most one batch, through the layers. *layer becomes the name of the first one whose
 * output, log-det or log-prior is not finite, "input" if x itself is not, and NULL if everything is
 * finite. The name is owned by the model. */
GLOW_API glow_status glow_workspace_find_nonfinite(glow_workspace *workspace, const float *x,
                                                   const int32_t *labels, int64_t count,
                                                   const char **layer);
/* Bytes that this workspace has allocated. */
GLOW_API uint64_t glow_workspace_bytes(const glow_workspace *workspace);

typedef struct glow_workspace_info {
  size_t struct_size;
  uint64_t bytes;        /* allocated */
  int32_t stored_layers; /* layers that store their activations for backward */
  int32_t recomputes;    /* 1: a drift was past the bound, or an inverse failed, and
                            layers are run forward again */
  double drift;          /* of the last backward: see glow_workspace_options; 0 if nothing was
                            reconstructed, INFINITY if the reconstruction was not finite */
  double largest_drift;  /* of all backward passes so far */
} glow_workspace_info;
#define GLOW_WORKSPACE_INFO_INIT                                                                   \
  { sizeof(glow_workspace_info), 0, 0, 0, 0.0, 0.0 }
/* Fills *out, whose struct_size the caller has set. */
GLOW_API glow_status glow_workspace_get_info(const glow_workspace *workspace,
                                             glow_workspace_info *out);

#ifdef __cplusplus
}
#endif
#endif
