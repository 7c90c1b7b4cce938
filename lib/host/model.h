/* What a model consists of, and how it is built: shared by the files of host/ and by the folders
 * above it. SPDX-License-Identifier: MIT */
#ifndef GLOW_HOST_MODEL_H
#define GLOW_HOST_MODEL_H

#include <string.h>

#include "host/handles.h"
#include "host/host.h"

#define GLOW_MAX_LAYERS 100000

typedef struct glow__tensor {
  char *name; /* in full: layer.name */
  int32_t type, trainable, rank;
  int64_t dims[GLOW_MAX_RANK];
  int64_t elements;
  int64_t offset; /* in the parameters or in the fixed state */
  bool weights;   /* of a product: storage may round them */
  bool running;   /* a running average */
  float momentum;
  int64_t observed; /* offset in what is observed */
} glow__tensor;

/* True if they are of the same type and shape, and both trained or both not. */
static inline bool glow__tensors_alike(const glow__tensor *a, const glow__tensor *b) {
  return a->type == b->type && a->trainable == b->trainable && a->rank == b->rank &&
         memcmp(a->dims, b->dims, sizeof a->dims) == 0;
}

typedef struct glow__region {
  int64_t fixed, per_sample; /* fixed + per_sample n floats; */
  bool block;                /* the smaller of both, not their sum */
  bool backward;             /* not in inference workspaces */
  bool packed;               /* depends on parameters alone: a workspace may cache it */
} glow__region;

typedef struct glow__regions {
  int32_t count;
  glow__region *at;
} glow__regions;

/* A layer at its place in a model, with everything that it declared. */
typedef struct glow__node {
  char *name;
  glow_layer *layer;
  glow_shape in, out;
  int64_t in_size, out_size; /* floats of one sample; out_size 0 after the top prior */
  int32_t first_tensor, tensors;
  int64_t first_parameter, parameters; /* the node's part of the flat vector */
  glow__regions scratch, worker, stored;
  glow__region *regions; /* the memory of all three */
  int64_t derived_offset;
  glow_shape latent_shape;
  int64_t latent_size, latent_offset;
  int32_t latent_density; /* GLOW_DENSITY_..., of the whitened form */
  int32_t classes;
  int64_t logits;
  int64_t forward_work, inverse_work; /* multiply-adds on a sample, 0: not declared */
  int64_t prepare_work;               /* multiply-adds of one prepare */
  bool conditioned;                   /* reads the condition */
  bool unlabelled;                    /* label -1 is allowed */
  int32_t rounds;                     /* of data-dependent initialisation */
  size_t round_bytes;                 /* the most that one of them stores between its calls */
} glow__node;

/* Names of layers and tensors are put one behind the other in blocks: many are shorter than the
 * overhead of an allocation. */
typedef struct glow__names {
  struct glow__names *next;
  size_t used, size;
  char text[];
} glow__names;

typedef struct glow__metadata glow__metadata; /* a list (metadata.c) */

struct glow_model {
  glow_context *context;
  uint32_t references; /* atomic: the callers', and one of each object made from the model */
  glow__names *names;
  glow_shape input;
  int64_t dims;
  int32_t bits;
  int32_t classes;
  bool needs_class; /* some layer that reads labels does not accept -1 */
  int64_t logits;
  glow_shape condition; /* of a sample; height 0: none */
  int64_t condition_size;
  int32_t latent_count;
  glow__node *nodes;
  int32_t node_count, node_capacity;
  glow__tensor *tensors;
  int32_t tensor_count, tensor_capacity;
  float *parameters;
  int64_t parameter_count;
  bool is_inference_form;
  bool inference_only; /* some layer has no backward */
  bool adopted;        /* the parameters are in memory of another owner: */
  void *adopted_memory;
  int64_t adopted_bytes;
  void (*adopted_release)(void *memory, int64_t bytes);
  void *fixed; /* 4-byte elements */
  int64_t fixed_count;
  int64_t observed_count; /* floats of all running averages */
  unsigned char *derived;
  int64_t derived_size;
  bool prepared, initialised;
  uint64_t version; /* of the parameters: from 1, grows each time they are prepared */
  glow__metadata *metadata;
};

/* Adds the metadata of another model. */
glow_status glow__metadata_copy(glow_model *model, const glow_model *from);
void glow__metadata_free(glow_model *model);

/* Values from a finished model that is a part of the one being built (nested.c). */
typedef struct glow__values glow__values;

struct glow_builder {
  glow_context *context;
  glow_model *model;
  glow_shape shape; /* after the last layer; height 0: nothing is left */
  bool failed;
  glow__values *values;
};

struct glow_setup {
  glow_model *model;
  glow__node *node;
  glow__part *part; /* of the layer, or of the net that is being configured */
  char prefix[256];
  glow__region regions[3][GLOW_MAX_REGIONS]; /* scratch, worker, stored, while they are declared */
};

static inline bool glow__by_tasks(const glow__node *node) {
  return (node->layer->ops.flags & GLOW_LAYER_BY_TASKS) != 0;
}
/* Can the layer's backward compute its input from its output? */
static inline bool glow__reconstructs(const glow__node *node) {
  return (node->layer->ops.flags & GLOW_LAYER_RECONSTRUCTS) != 0;
}

/* Memory for a name of this many bytes, for as long as the model lives; NULL on failure. */
char *glow__model_name(glow_model *model, size_t bytes);
/* The model may be half built. */
void glow__model_free(glow_model *model);
/* While a model is built: checks that a layer's name is valid and not taken; makes room for one
 * more layer. */
glow_status glow__check_layer_name(const glow_model *model, const char *name);
glow_status glow__reserve_node(glow_model *model);
glow_status glow__reserve_tensor(glow_model *model);
/* Overwrites the starting values, in a model that has its memory. */
void glow__values_write(const glow__values *values, glow_model *model);
void glow__values_free(glow_context *context, glow__values *values);
/* A glow__read_fn: each layer writes the starting values of its tensors. */
glow_status glow__reset_layers(glow_model *model, void *arg);
/* Refuses an inference form, whose layers cannot be made again. */
glow_status glow__check_copies(const glow_model *model);
/* Derived values of one node. */
glow_status glow__node_prepare(glow_model *model, const glow__node *node);

#endif
