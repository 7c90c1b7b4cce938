/* What the tests of models share: checking statuses, counting memory, random numbers, small models,
 * and a table of all layers with their options. SPDX-License-Identifier: MIT */
#ifndef GLOW_TEST_MODEL_HELPERS_H
#define GLOW_TEST_MODEL_HELPERS_H

#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include <glow/glow.h>
#include <glow/sys/layer.h>
#include <glow/sys/net.h>

/* ---- statuses -------------------------------------------------------------------------------- */

#define OK(call) helper_ok((call), #call, __FILE__, __LINE__)
/* The call fails with this status, and the error text contains these words. */
#define REFUSED(call, status, words)                                                               \
  helper_refused((call), (status), (words), #call, __FILE__, __LINE__)
void helper_ok(glow_status status, const char *call, const char *file, int line);
void helper_refused(glow_status status, glow_status expected, const char *words, const char *call,
                    const char *file, int line);

/* ---- the build ------------------------------------------------------------------------------- */

/* False: the build has no files (-Dfiles=disabled). */
bool helper_has_files(void);

/* ---- memory ---------------------------------------------------------------------------------- */

/* An allocator that counts, can be told to fail, and fails the test that wrote behind a block. For
 * one thread at a time. */
typedef struct helper_memory {
  int64_t live;     /* blocks */
  int64_t bytes;    /* in live blocks */
  int64_t calls;    /* allocations asked for, failed ones included */
  int64_t fail_at;  /* the call that fails, from 1; 0: none */
  bool fail_on;     /* all calls after it fail too */
  int64_t failures; /* calls that failed */
} helper_memory;
glow_allocator helper_allocator(helper_memory *memory);
/* malloc that never returns NULL: the test fails instead. */
void *helper_allocate(size_t bytes);

/* ---- contexts -------------------------------------------------------------------------------- */

/* kernels NULL: the best. memory NULL: malloc. */
glow_context *helper_context(uint32_t threads, const char *kernels, helper_memory *memory);
bool helper_is_cblas(const char *kernels);

/* ---- random numbers -------------------------------------------------------------------------- */

/* The seed of this run: GLOW_TEST_SEED of the environment, otherwise 1. Prints it, once. */
uint64_t helper_seed(void);
typedef struct helper_random {
  uint64_t state;
} helper_random;
/* A generator for use number `use` of this run's seed. */
helper_random helper_random_of(uint64_t use);
double helper_uniform(helper_random *random);
double helper_normal(helper_random *random);
/* `count` standard normal values, times scale. */
void helper_normals(helper_random *random, float scale, float *out, int64_t count);
float *helper_new_normals(helper_random *random, float scale, int64_t count);
/* Adds normal random values to all trainable parameters, prepares, and marks the model initialised.
 * */
void helper_perturb(glow_model *model, helper_random *random, float scale);

/* ---- comparing ------------------------------------------------------------------------------- */

/* |a - b| / |b| in Euclidean norms; |a - b| where b is 0. */
double helper_relative(const float *a, const float *b, int64_t count);
/* The median of that over samples of `size` elements, so that a few bad samples do not count. */
double helper_typical(const float *a, const float *b, int64_t samples, int64_t size);
bool helper_same_bits(const void *a, const void *b, int64_t elements, size_t size);

/* ---- layers ---------------------------------------------------------------------------------- */

/* One layer with one choice of options. */
typedef struct helper_layer {
  const char *name;
  int32_t kind;        /* of enum helper_kind */
  int32_t option;      /* what tells variants apart: see helper_create_layer */
  int32_t scale;       /* coupling: GLOW_SCALE_... */
  int32_t mask;        /* coupling: GLOW_MASK_..., 0 for channels */
  int32_t invert;      /* coupling */
  int32_t listed;      /* coupling under GLOW_MASK_INDICES: how many channels are listed */
  int32_t order;       /* coupling: GLOW_ORDER_..., 0 for shift, then scale */
  int32_t classes;     /* prior */
  int32_t border;      /* coupling, split: with the border indicator */
  int32_t spatial;     /* prior: a distribution for each position */
  int32_t classifier;  /* prior: with logits */
  int32_t density;     /* prior: GLOW_DENSITY_..., 0 for Gaussian */
  int32_t unlabelled;  /* 1: some samples of the batch have no class */
  int32_t even;        /* 1: needs an even number of channels */
  int32_t even_hw;     /* 1: needs even height and width */
  int32_t net;         /* coupling: of enum helper_net */
  int32_t condition;   /* elements of the condition that the net reads */
  int32_t standardise; /* of that, by the net */
  int32_t batch;       /* 1: training passes use statistics of the batch */
  int32_t curved;      /* 1: not affine in what decides the determinant */
  double lag;          /* batch normalisation */
} helper_layer;
enum helper_net {
  HELPER_CONV,
  HELPER_MLP,
  HELPER_RES_NET,
  HELPER_RES_NET_WITHOUT_BATCH_NORM,
  HELPER_RES_NET_WITHOUT_WEIGHT_NORM,
  HELPER_RES_NET_PLAIN /* without either */
};
enum helper_kind {
  HELPER_ACTNORM,
  HELPER_INVCONV,  /* option: lu, 2 for its column form */
  HELPER_PERMUTE,  /* option: GLOW_PERMUTE_... */
  HELPER_COUPLING, /* option: GLOW_COUPLING_..., negative without inner actnorms */
  HELPER_SPLINE,   /* option: 1 + parity, negative without inner actnorms */
  HELPER_SCALING,
  HELPER_FLATTEN,
  HELPER_SQUEEZE,
  HELPER_SPLIT, /* option: fixed */
  HELPER_BATCHNORM,
  HELPER_LOGIT,
  HELPER_STANDARDISE,
  HELPER_PRIOR /* option: learned */
};
extern const helper_layer helper_layers[];
extern const int32_t helper_layer_count;
/* Couplings under all masks with all scale functions, besides those above. */
extern const helper_layer helper_couplings[];
extern const int32_t helper_coupling_count;
/* Couplings with residual networks. */
extern const helper_layer helper_res_nets[];
extern const int32_t helper_res_net_count;
bool helper_layer_fits(const helper_layer *layer, const glow_shape *shape);
glow_status helper_create_layer(glow_context *context, const helper_layer *layer, int32_t hidden,
                                glow_layer **out);
/* The layer, called "layer", and a fixed top prior, called "prior"; or the prior alone, called
 * "layer". Continuous data. */
glow_status helper_create_model(glow_context *context, const helper_layer *layer,
                                const glow_shape *shape, int32_t hidden, glow_model **out);
/* The same for a layer made by the caller, which is taken over. */
glow_status helper_wrap_layer(glow_context *context, glow_layer *layer, bool with_prior,
                              const glow_shape *shape, glow_model **out);

/* ---- passes with their options as arguments -------------------------------------------------- */

glow_status helper_forward(glow_workspace *ws, const float *x, const int32_t *labels, int64_t count,
                           int32_t form, float *latents, double *logdet, double *log_prob);
glow_status helper_inverse(glow_workspace *ws, const float *latents, int32_t form,
                           const int32_t *labels, int64_t count, float *x, double *logdet);
glow_status helper_sample(glow_workspace *ws, const glow_sample_options *options,
                          const int32_t *labels, int64_t count, float *x);

/* glow_trainer_run without progress and report. */
glow_status helper_run(glow_trainer *trainer, int64_t steps, int64_t batch, glow_next_fn batches,
                       void *payload);
/* Steps and initialisation of x with conditions [conditions, size of the model's]. */
glow_status helper_step(glow_trainer *trainer, const float *x, const int32_t *labels,
                        const float *condition, int64_t conditions, int64_t count);
glow_status helper_initialise(glow_trainer *trainer, const float *x, const float *condition,
                              int64_t count);

/* ---- models and workspaces ------------------------------------------------------------------- */

/* 8 x 8 x 2, two levels of two steps, plain 1x1 convolutions, hidden width 8. */
glow_glow_options helper_small_glow(void);
/* A perturbed one; options NULL: helper_small_glow. */
glow_model *helper_glow(glow_context *context, const glow_glow_options *options, uint64_t use);
glow_workspace *helper_workspace(const glow_model *model, int64_t batch, int32_t mode);
/* A copy of the parameters, to be freed; and how many there are. */
float *helper_parameters(const glow_model *model, int64_t *count);
/* The lowest memory_budget of GLOW_MODE_BUDGET with which the activations of all layers are stored.
 * */
uint64_t helper_limit_of_all(const glow_model *model, int64_t batch);

#endif
