/* What a model, a workspace and a pass are made of: for the files of model/ alone.
 * SPDX-License-Identifier: MIT */
#ifndef GLOW_LIB_PARTS_H
#define GLOW_LIB_PARTS_H

#include <string.h>

#include <glow/sys/layer.h>

#include "layers/layers.h"
#include "model/model.h"

#define GLOW_MAX_LAYERS 100000
/* A layer run by samples is cut into at most so many blocks: enough to share among threads, few
 * enough that a gradient buffer for each is cheap. */
#define GLOW_MAX_BLOCKS 16
/* Below so many numbers a call by samples is one block: waking a thread costs more than the
 * work. */
#define GLOW_BLOCK_MIN 8192

typedef struct glow__tensor {
  char *name; /* whole: layer.name */
  int32_t type, trainable, rank;
  int64_t dims[GLOW_MAX_RANK];
  int64_t elements;
  int64_t offset; /* in parameters or in fixed state */
  bool running;   /* a running average */
  float momentum;
  int64_t observed; /* its place among all that is observed */
} glow__tensor;

/* Of one type and shape, and both or neither trained. */
static inline bool glow__tensors_alike(const glow__tensor *a, const glow__tensor *b) {
  return a->type == b->type && a->trainable == b->trainable && a->rank == b->rank &&
         memcmp(a->dims, b->dims, sizeof a->dims) == 0;
}

typedef struct glow__region {
  int64_t fixed, per_sample;
  bool backward; /* absent from inference */
  bool packed;   /* of parameters alone: a workspace may keep it */
} glow__region;

typedef struct glow__regions {
  int32_t count;
  glow__region *at;
} glow__regions;

/* A layer in its place in a model, with all that it declared. */
typedef struct glow__node {
  char *name;
  glow_layer *layer;
  glow_shape in, out;
  int64_t in_size, out_size; /* floats of one sample; out_size 0 after the top prior */
  int32_t first_tensor, tensors;
  int64_t first_parameter, parameters; /* its part of the flat vector */
  glow__regions scratch, worker, saved;
  glow__region *regions; /* the memory of all three */
  size_t derived_bytes;
  int64_t derived_offset;
  glow_shape latent_shape;
  int64_t latent_size, latent_offset;
  int32_t latent_density; /* GLOW_DENSITY_..., of the whitened form */
  int32_t classes;
  bool unlabelled; /* label -1 is fine */
  int64_t logits;
  int64_t work;     /* multiply-adds of a forward on a sample, 0: not declared */
  bool conditioned; /* reads the context vector */
  int32_t init_rounds;
  size_t init_bytes;
} glow__node;

/* Names of layers and tensors lie one behind the other in blocks: many are shorter than what an
 * allocation costs. */
typedef struct glow__names {
  struct glow__names *next;
  size_t used, size;
  char text[];
} glow__names;

struct glow_model {
  glow_context *context;
  glow__names *names;
  glow_shape input;
  int64_t dims;
  int32_t bits;
  int32_t classes;
  bool needs_class; /* some layer that reads labels does not take -1 */
  int64_t logits;
  int64_t context_size;
  int32_t latent_count;
  glow__node *nodes;
  int32_t node_count, node_capacity;
  glow__tensor *tensors;
  int32_t tensor_count, tensor_capacity;
  float *parameters;
  int64_t parameter_count;
  bool frozen;         /* made by glow_model_freeze */
  bool inference_only; /* some layer has no backward */
  bool adopted;        /* the parameters lie in memory of another: */
  void *adopted_memory;
  int64_t adopted_bytes;
  void (*adopted_release)(void *memory, int64_t bytes);
  void *fixed; /* 4-byte elements */
  int64_t fixed_count;
  int64_t observed_count; /* floats of all running averages */
  unsigned char *derived;
  int64_t derived_size;
  bool prepared, initialised;
  uint64_t version; /* of the parameters: grows as they are prepared; from 1 */
};

/* Numbers of a finished model that is a part of the one that is built (nested.c). */
typedef struct glow__values glow__values;

struct glow_builder {
  glow_model *model;
  glow_shape shape; /* after the last layer; height 0: nothing is left */
  bool failed;
  glow__values *values;
};

struct glow_setup {
  glow_model *model;
  glow__node *node;
  char prefix[256];
  glow__region regions[3][GLOW_MAX_REGIONS]; /* scratch, worker, saved, while they are declared */
};

struct glow_pass {
  const glow_model *model;
  const glow__node *node;
  int64_t samples;
  int64_t capacity; /* samples that the scratch regions are laid out for */
  int64_t first;    /* of a block: its first sample in the saved regions */
  int64_t saved_capacity;
  bool training;      /* backward regions are there */
  bool may_write;     /* tensors: build and init */
  int32_t statistics; /* GLOW_STATISTICS_..., 0: running */
  float *observed;    /* all that is observed of a batch; NULL when nothing is */
  float *gradients;   /* of parameter gradient_first and on */
  int64_t gradient_first;
  float *scratch;
  float *packed; /* packed regions that are kept, each behind a glow__stamp; NULL: not kept */
  float *worker_scratch;
  int64_t worker_stride;
  float *saved;
  bool saved_valid;
  void *derived_mutable;
  void *init_state;
  const int32_t *labels;
  const float *context; /* of the first sample; NULL where there is none */
  int64_t context_step; /* floats from one sample's to the next: 0 when all share one */
  float *d_context;
  int32_t form;
  float *latents;
  int64_t latent_stride;
};

/* Floats of all regions for `capacity` samples, each rounded up to the alignment. False:
 * overflow. */
bool glow__regions_size(const glow__regions *regions, int64_t capacity, bool training,
                        int64_t *out);
int64_t glow__region_offset(const glow__regions *regions, int32_t id, int64_t capacity,
                            bool training);

/* The version of the parameters that a kept region was made of, 0: none; takes GLOW_ALIGN bytes. */
typedef uint64_t glow__stamp;
/* Floats of the packed regions of a node with their stamps, which a workspace keeps for it. False:
 * overflow. */
bool glow__packed_regions(const glow__node *node, bool training, int64_t *out);

static inline bool glow__by_tasks(const glow__node *node) {
  return (node->layer->ops.flags & GLOW_LAYER_BY_TASKS) != 0;
}
/* Samples in a block of a by-samples call on `samples` samples: from shapes alone. */
int64_t glow__block_samples(const glow__node *node, int64_t samples);

/* ---- workspace ------------------------------------------------------------------------------- */

/* Where everything lies in the workspace's one block, in floats. */
typedef struct glow__plan {
  int64_t batch;
  int32_t mode;
  uint32_t workers;
  int32_t kept;           /* nodes that keep what they save */
  bool needs_spare;       /* some layer cannot reconstruct and must run forward again */
  int64_t state;          /* floats of the largest state, all samples */
  int64_t states[2];      /* ping-pong: offsets */
  int64_t gradients_x[2]; /* backward */
  int64_t spare;
  int64_t latents;
  int64_t logdet, logprior, weight_logdet, weight_logprior; /* doubles */
  int64_t logits;
  int64_t scratch, worker_scratch, worker_stride;
  bool keep_packed;
  int64_t input; /* copy of x, where layers are reconstructed: what they are compared with */
  int64_t saved; /* room for what one layer saves, the largest of those that are reconstructed */
  /* States for running layers again (recompute.c), all of one size. */
  int64_t slots, slot_stride;
  int32_t slot_count;
  int64_t block_gradients; /* buffers of by-samples layers */
  int64_t block_stride;
  int64_t parameter_gradients;
  int64_t observed;     /* of the last forward */
  int64_t observed_sum; /* doubles: of the batches since gradients were zeroed, times samples */
  int64_t total;
} glow__plan;

struct glow_workspace {
  const glow_model *model;
  glow__plan plan;
  float *memory;
  uint64_t bytes;
  /* Offsets, for each node, of its input and of its saved regions where they are kept; -1 where
   * not. NULL: of no node. */
  int64_t *inputs, *saves;
  int64_t *packed; /* of each node's packed regions; NULL: not kept */
  double drift_bound, drift, largest_drift;
  bool recomputes;      /* a drift was past the bound: see recompute.c */
  const float *context; /* the caller's [context_count, context size] */
  int64_t context_count;
  /* The last forward, for backward. */
  int64_t samples; /* 0: none */
  const int32_t *labels;
  int32_t *label_copy;      /* room for the batch's, in models with classes */
  int64_t observed_samples; /* in the sums of what was observed */
  bool has_logits;          /* a pass has computed them */
};

static inline bool glow__is_training(const glow_workspace *ws) {
  return ws->plan.mode != GLOW_MODE_INFERENCE;
}

/* Does node i keep what backward needs: its input, its output and what it saves? */
static inline bool glow__keeps(const glow_workspace *ws, int32_t i) {
  return ws->saves && ws->saves[i] >= 0;
}
/* The input of node i as forward left it for backward, or NULL: it was not kept. */
static inline float *glow__kept_input(const glow_workspace *ws, int32_t i) {
  if (i >= ws->model->node_count)
    return NULL;
  int64_t offset = ws->inputs ? ws->inputs[i] : i == 0 ? ws->plan.input : -1;
  return offset < 0 ? NULL : ws->memory + offset;
}

/* Chooses the nodes that keep what they save, so that a workspace takes at most `room` floats:
 * keep[i] = 1. least: floats when none is kept. */
glow_status glow__fit(const glow_model *model, int64_t batch, int64_t least, int64_t room,
                      unsigned char *keep);
/* What a region of so many floats takes in the workspace. False: overflow. */
static inline bool glow__aligned(int64_t floats, int64_t *out) {
  const int64_t unit = GLOW_ALIGN / (int64_t)sizeof(float);
  return glow__add(floats, unit - 1, out) && (*out = *out / unit * unit, true);
}

/* Parameters and derived values are a new version, ready for passes. */
static inline void glow__model_ready(glow_model *model) {
  model->prepared = true;
  model->version++;
}

glow_status glow__check_ready(const glow_model *model);
/* form: GLOW_LATENTS_WHITENED where latents are whitened or the contrary, which needs a class. */
glow_status glow__check_labels(const glow_model *model, const int32_t *labels, int64_t count,
                               int32_t form);
/* NaN or infinity in what the caller gives is the caller's error, and named. x: [count, dims]. */
glow_status glow__check_finite(const glow_model *model, const char *what, const float *x,
                               int64_t count);
/* That there is a finite context vector for each of `count` samples, if the model takes them. */
glow_status glow__check_context(const glow_workspace *ws, int64_t count);
glow_status glow__check_batch(const glow_workspace *ws, int64_t count);

/* ---- running one node ------------------------------------------------------------------------ */

/* A pass over `samples` samples of a node, with the workspace's regions. */
void glow__pass_begin(const glow_workspace *ws, const glow__node *node, int64_t samples,
                      const int32_t *labels, int32_t form, float *latents, glow_pass *pass);
/* For samples that are not the first ones of the workspace's context vectors. */
static inline void glow__pass_skip(glow_pass *pass, int64_t samples) {
  if (pass->context)
    pass->context += samples * pass->context_step;
}
void glow__node_forward(const glow_pass *pass, const float *x, float *y, double *logdet,
                        double *logprior);
void glow__node_inverse(const glow_pass *pass, const float *y, float *x, double *logdet);
/* pass->gradients: the whole flat vector. blocks: buffers for by-samples layers. */
void glow__node_backward(const glow_pass *pass, const glow_layer_gradient *gradient, float *blocks,
                         int64_t block_stride);

/* Logits of the node that has them, from its input x; and from their gradient that of the
 * parameters and, added, that of x. */
void glow__node_logits(const glow_pass *pass, const float *x, float *logits);
void glow__node_logits_backward(const glow_pass *pass, const float *x, const float *d_logits,
                                float *dx, float *blocks, int64_t block_stride);

/* All nodes from x. statistics: GLOW_STATISTICS_... keep: for backward. latents: [samples, dims] to
 * fill. */
void glow__run_forward(glow_workspace *ws, const float *x, const int32_t *labels, int64_t samples,
                       int32_t form, int32_t statistics, bool keep, float *latents, double *logdet,
                       double *logprior);
void glow__run_inverse(glow_workspace *ws, const float *latents, int32_t form,
                       const int32_t *labels, int64_t samples, float *x, double *logdet);

/* ---- backward -------------------------------------------------------------------------------- */

/* What goes back through the layers: gradients of what forward gave, and where others are added. */
typedef struct glow__back {
  glow_workspace *ws;
  float *gradients;
  const double *d_logdet, *d_logprior;
  const float *d_latents; /* [samples, dims] or NULL */
  float *d_context;       /* [samples, context size] or NULL */
  const float *d_logits;  /* [samples, logits] or NULL */
} glow__back;

/* The pass of node i. */
void glow__back_begin(const glow__back *b, int32_t i, glow_pass *pass);
/* Backward of node i. g has x or x_out, and y, of which NULL is the output of the last node. */
void glow__back_node(const glow__back *b, int32_t i, const glow_pass *pass, glow_layer_gradient *g);
/* Nodes [first, last), back from the last one, with the kept input of the first: runs them forward
 * again. */
void glow__back_recomputed(const glow__back *b, int32_t first, int32_t last);
/* Slots that this needs for so many nodes. */
int32_t glow__recompute_slots(int32_t nodes);

/* ---- running averages ------------------------------------------------------------------------ */

/* Adds what the last forward observed to the sums, or zeroes the sums. */
void glow__running_gather(glow_workspace *ws);
void glow__running_clear(glow_workspace *ws);

/* ---- model ----------------------------------------------------------------------------------- */

/* Memory for a name of so many bytes, for as long as the model lives. NULL: there is none. */
char *glow__model_name(glow_model *model, size_t bytes);
/* A half-built model is fine. */
void glow__model_free(glow_model *model);
/* While a model is built: that a layer's name is one, and free; room for one more. */
glow_status glow__check_layer_name(const glow_model *model, const char *name);
glow_status glow__reserve_node(glow_model *model);
glow_status glow__reserve_tensor(glow_model *model);
/* Over the initial values of a model that has its memory. */
void glow__values_write(const glow__values *values, glow_model *model);
void glow__values_free(glow_context *context, glow__values *values);
/* glow_model_freeze; runs of so many linear layers and more become one. */
glow_status glow__model_freeze(const glow_model *model, int32_t least, glow_model **out);
/* A glow__read_fn: each layer writes the initial values of its tensors. */
glow_status glow__build_layers(glow_model *model, void *arg);
/* A layer like layer `index` of the model, made from its options. */
glow_status glow__layer_like(glow_context *context, const glow_model *model, int32_t index,
                             glow_layer **out);
/* Derived values of one node. */
glow_status glow__node_prepare(glow_model *model, const glow__node *node);

#endif
