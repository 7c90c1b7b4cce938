/* Building models: a named sequence of layers over an input shape, and the Glow preset.
 *
 * A model is immutable while it is used for passes: any number of threads may share it, each with a
 * workspace of its own. Functions that change it (set a parameter, initialise, prepare, train) need
 * it alone.
 * SPDX-License-Identifier: MIT */
#ifndef GLOW_MODEL_H
#define GLOW_MODEL_H

#include <glow/layer.h>

#ifdef __cplusplus
extern "C" {
#endif

typedef struct glow_builder glow_builder;
typedef struct glow_model glow_model;

/* ---- builder --------------------------------------------------------------------------------- */

typedef struct glow_builder_options {
  size_t struct_size;
  int32_t bits; /* data are images of this many bits a channel, dequantised into [-1/2, 1/2): 1 to 8
                   (default 8); 0: continuous data, no quantisation constant in bits/dim */
  int32_t reserved; /* 0 */
} glow_builder_options;
#define GLOW_BUILDER_OPTIONS_INIT                                                                  \
  { sizeof(glow_builder_options), 8, 0 }

GLOW_API glow_status glow_builder_create(glow_context *context, const glow_shape *input,
                                         const glow_builder_options *options, glow_builder **out);
GLOW_API void glow_builder_destroy(glow_builder **builder);
/* Appends *layer under `name`, a non-empty string without spaces and slashes that is unique in the
 * model. Checks shapes at once. Takes *layer over, on success and on failure, and sets it to NULL.
 * A builder that has failed can only be destroyed. */
GLOW_API glow_status glow_builder_add(glow_builder *builder, const char *name, glow_layer **layer);
/* Shape after the layers added so far. */
GLOW_API glow_status glow_builder_shape(const glow_builder *builder, glow_shape *out);
/* Makes the model, with initial parameters. Consumes *builder, on success and on failure, and sets
 * it to NULL. The last layer must have turned everything into latents (glow_prior_create does). */
GLOW_API glow_status glow_builder_finish(glow_builder **builder, glow_model **out);

GLOW_API void glow_model_destroy(glow_model **model);

/* ---- nested models --------------------------------------------------------------------------- */

/* A block is a builder that is not finished: a sequence of layers over a shape. In another builder,
 * or block, its layers stand one after the other under the names "NAME.INNER", so that tensors are
 * called "NAME.INNER.TENSOR"; the bits of a block have no meaning. A builder to which something
 * could not be added has failed, as with glow_builder_add. */

/* Appends the layers of *block, whose input must be what is there. Takes *block over, on success
 * and on failure, and sets it to NULL. */
GLOW_API glow_status glow_builder_add_block(glow_builder *builder, const char *name,
                                            glow_builder **block);
/* Appends layers like those of the block, made from their options as in a file: the block may be
 * used again, also where the shape is another. Their types must be registered with the context; the
 * initial values are those of a factory, whose seed is 0 for the layers of this library. */
GLOW_API glow_status glow_builder_add_copy(glow_builder *builder, const char *name,
                                           const glow_builder *block);
/* The same with the layers of a model, up to a last one that leaves nothing (its prior), and with
 * its tensors as they are now. Its input must be what is there. Layers of an initialised model have
 * had their data: glow_workspace_initialise leaves them alone. */
GLOW_API glow_status glow_builder_add_model(glow_builder *builder, const char *name,
                                            const glow_model *model);

/* ---- preset ---------------------------------------------------------------------------------- */

enum {
  GLOW_PERMUTATION_REVERSE = 1,
  GLOW_PERMUTATION_SHUFFLE = 2,
  GLOW_PERMUTATION_INVCONV = 3,
  GLOW_PERMUTATION_INVCONV_LU = 4
};
/* Glow (Kingma and Dhariwal 2018): `levels` times squeeze, `depth` steps of actnorm, permutation
 * and coupling, and a split (but for the last level), then the top prior. Names: level{l}.squeeze,
 * level{l}.step{k}.{actnorm, invconv | permute, coupling}, level{l}.split, prior. */
typedef struct glow_glow_options {
  size_t struct_size;
  glow_shape input;    /* default 32 x 32 x 3; height and width divisible by 2^levels */
  int32_t levels;      /* L, default 3 */
  int32_t depth;       /* K, default 32 */
  int32_t hidden;      /* default 512 */
  int32_t permutation; /* default GLOW_PERMUTATION_INVCONV_LU */
  int32_t coupling;    /* default GLOW_COUPLING_AFFINE */
  int32_t scale;       /* default GLOW_SCALE_SIGMOID */
  double floor;        /* for GLOW_SCALE_SIGMOID_FLOOR, default 0.05 */
  int32_t net_actnorm; /* default 1 */
  int32_t learn_top;   /* default 1 */
  int32_t classes;     /* default 0 */
  int32_t bits;        /* 0 to 8, default 8 */
  uint64_t seed;       /* of all initial values */
  int32_t edge;        /* 1: all 3x3 convolutions see the border of the image; default 0 */
  int32_t spatial_top; /* 1: the top prior's mean and log-sd for each position; default 0 */
  int32_t classifier;  /* 1: a classifier on the top latents; needs classes; default 0 */
  int32_t reserved;    /* 0 */
} glow_glow_options;
#define GLOW_GLOW_OPTIONS_INIT                                                                     \
  {                                                                                                \
    sizeof(glow_glow_options), {32, 32, 3}, 3, 32, 512, GLOW_PERMUTATION_INVCONV_LU,               \
        GLOW_COUPLING_AFFINE, GLOW_SCALE_SIGMOID, 0.05, 1, 1, 0, 8, 0, 0, 0, 0, 0                  \
  }
GLOW_API glow_status glow_model_create_glow(glow_context *context, const glow_glow_options *options,
                                            glow_model **out);

/* RealNVP (Dinh et al. 2016): logit; at each scale three couplings under checkerboard masks,
 * squeeze, three under channel masks, and a split with a standard normal prior; at the last scale
 * four under checkerboard masks; a standard normal top prior. Masks alternate; couplings are
 * affine, x2 s + shift with s = exp(scale tanh(raw)), their nets residual, twice as wide after each
 * squeeze; a batch normalisation follows each. Names: logit, scale{s}.{checkerboard{k},
 * channels{k}}.{coupling, batchnorm}, scale{s}.squeeze, scale{s}.split, prior. */
typedef struct glow_realnvp_options {
  size_t struct_size;
  glow_shape input;    /* default 32 x 32 x 3; height and width divisible by 2^(scales - 1) */
  int32_t scales;      /* default 2 */
  int32_t hidden;      /* of the nets at the first checkerboards; default 64 */
  int32_t blocks;      /* residual blocks of each net, 1 to 64; default 8 */
  int32_t weight_norm; /* of the nets; default 1 */
  int32_t batch_norm;  /* in the nets and after couplings; default 1 */
  int32_t bits;        /* 0 to 8, default 8; data in [-1/2, 1/2) in any case */
  double alpha;        /* of the logit; default 0.05 */
  double lag;          /* of the batch normalisations after couplings; default 0 */
  uint64_t seed;       /* of all initial values */
} glow_realnvp_options;
#define GLOW_REALNVP_OPTIONS_INIT                                                                  \
  { sizeof(glow_realnvp_options), {32, 32, 3}, 2, 64, 8, 1, 1, 8, 0.05, 0.0, 0 }
GLOW_API glow_status glow_model_create_realnvp(glow_context *context,
                                               const glow_realnvp_options *options,
                                               glow_model **out);

/* NICE (Dinh et al. 2014): the image as one vector, its even and odd numbers as the halves;
 * `couplings` additive couplings with MLPs of `depth` hidden layers, the halves taking turns; a
 * factor for each number; a fixed prior. Names: flatten, separate, step{k}.{reverse, coupling},
 * scaling, prior. */
typedef struct glow_nice_options {
  size_t struct_size;
  glow_shape input;  /* default 28 x 28 x 1; an even number of numbers */
  int32_t couplings; /* default 4 */
  int32_t hidden;    /* default 1000 */
  int32_t depth;     /* default 5 */
  int32_t density;   /* of the prior; default GLOW_DENSITY_LOGISTIC */
  int32_t bits;      /* 0 to 8, default 8 */
  int32_t data_init; /* 1 (default): the factors take first values from data, so that training need
                        not find the scale of each pixel; 0: they start at 1, as in the paper */
  int32_t reserved;  /* 0 */
  uint64_t seed;     /* of all initial values */
} glow_nice_options;
#define GLOW_NICE_OPTIONS_INIT                                                                     \
  { sizeof(glow_nice_options), {28, 28, 1}, 4, 1000, 5, GLOW_DENSITY_LOGISTIC, 8, 1, 0, 0 }
GLOW_API glow_status glow_model_create_nice(glow_context *context, const glow_nice_options *options,
                                            glow_model **out);

/* A density of vectors: `steps` of actnorm, LU mixing (1x1 convolution) and coupling with MLPs,
 * then a learned Gaussian prior; continuous data. Names: step{k}.{actnorm, invconv, coupling},
 * prior. */
typedef struct glow_vector_flow_options {
  size_t struct_size;
  int64_t dims;    /* default 2; 2 or more, even but for splines */
  int64_t context; /* numbers in the context vector that the density is conditioned on; default 0 */
  int32_t steps;   /* default 8 */
  int32_t hidden;  /* default 64 */
  int32_t depth;   /* hidden layers of the MLPs; default 2 */
  int32_t coupling; /* default GLOW_COUPLING_SPLINE */
  int32_t scale;    /* of affine couplings; default GLOW_SCALE_TANH */
  int32_t bins;     /* of splines; default 8 */
  double bound;     /* of splines; default 4 */
  uint64_t seed;    /* of all initial values */
} glow_vector_flow_options;
#define GLOW_VECTOR_FLOW_OPTIONS_INIT                                                              \
  {                                                                                                \
    sizeof(glow_vector_flow_options), 2, 0, 8, 64, 2, GLOW_COUPLING_SPLINE, GLOW_SCALE_TANH, 8,    \
        4.0, 0                                                                                     \
  }
GLOW_API glow_status glow_model_create_vector_flow(glow_context *context,
                                                   const glow_vector_flow_options *options,
                                                   glow_model **out);

/* ---- what a model is ------------------------------------------------------------------------- */

GLOW_API glow_status glow_model_input_shape(const glow_model *model, glow_shape *out);
GLOW_API int32_t glow_model_bits(const glow_model *model);
/* Classes that labels name; 0 when the model takes no labels. */
GLOW_API int32_t glow_model_classes(const glow_model *model);
/* Logits that the model has for each sample (glow_classify): as many as classes with the top
 * prior's classifier, 0 without. */
GLOW_API int64_t glow_model_logits(const glow_model *model);
/* Numbers in the context vector that each sample comes with; 0 when the model takes none. */
GLOW_API int64_t glow_model_context_size(const glow_model *model);
GLOW_API int64_t glow_model_dims(const glow_model *model); /* H W C of the input, = latents */
GLOW_API int32_t glow_model_layer_count(const glow_model *model);
/* Name and type ("actnorm") of a layer, NULL when index is out of range. Owned by the model. */
GLOW_API const char *glow_model_layer_name(const glow_model *model, int32_t index);
GLOW_API const char *glow_model_layer_type(const glow_model *model, int32_t index);

/* Latents of one sample are one vector of glow_model_dims() numbers made of blocks, those of the
 * splits first, the top's last; each block is an image stored HWC. */
GLOW_API int32_t glow_model_latent_count(const glow_model *model);
GLOW_API glow_status glow_model_latent_block(const glow_model *model, int32_t index,
                                             int64_t *offset, glow_shape *shape);

/* ---- parameters ------------------------------------------------------------------------------ */

enum { GLOW_TYPE_F32 = 1, GLOW_TYPE_I32 = 2 };
#define GLOW_MAX_RANK 4
typedef struct glow_tensor_info {
  size_t struct_size;
  const char *name;            /* "level0.step1.actnorm.bias"; owned by the model */
  int32_t type;                /* GLOW_TYPE_... */
  int32_t trainable;           /* 1: a parameter; 0: fixed state such as a permutation */
  int32_t rank;                /* 1 to GLOW_MAX_RANK */
  int32_t reserved;            /* 0 */
  int64_t dims[GLOW_MAX_RANK]; /* 1 past the rank */
  int64_t elements;            /* product of dims */
  int64_t offset;              /* trainable: first element in the flat vector of parameters and of
                                   gradients; else -1 */
} glow_tensor_info;
#define GLOW_TENSOR_INFO_INIT                                                                      \
  { sizeof(glow_tensor_info), NULL, 0, 0, 0, 0, {0, 0, 0, 0}, 0, 0 }

/* Tensors in the order of the layers: trainable ones and fixed state. */
GLOW_API int32_t glow_model_tensor_count(const glow_model *model);
GLOW_API glow_status glow_model_tensor(const glow_model *model, int32_t index,
                                       glow_tensor_info *out);
/* GLOW_E_ARGUMENT if there is none of this name. */
GLOW_API glow_status glow_model_find_tensor(const glow_model *model, const char *name,
                                            glow_tensor_info *out);
/* Copies all elements (4 bytes each) out of, or into, a tensor. After setting, call
 * glow_model_prepare before the next pass. */
GLOW_API glow_status glow_model_get(const glow_model *model, const char *name, void *out,
                                    int64_t elements);
GLOW_API glow_status glow_model_set(glow_model *model, const char *name, const void *data,
                                    int64_t elements);
/* The trainable parameters as one vector. The pointer lives as long as the model. Writing through
 * the mutable form needs glow_model_prepare afterwards, like glow_model_set. */
GLOW_API int64_t glow_model_parameter_count(const glow_model *model);
GLOW_API const float *glow_model_parameters(const glow_model *model);
GLOW_API float *glow_model_parameters_mutable(glow_model *model);

/* Makes all values derived from parameters (inverses, determinants). GLOW_E_NUMERIC names the layer
 * whose matrix is singular; the model then refuses passes until this succeeds. */
GLOW_API glow_status glow_model_prepare(glow_model *model);

/* Models with layers that take their first values from data (actnorm) refuse passes until
 * glow_workspace_initialise has run, a file was loaded, or the caller, having set all parameters
 * itself, says so here. */
GLOW_API int32_t glow_model_initialised(const glow_model *model);
GLOW_API glow_status glow_model_mark_initialised(glow_model *model);

/* The form of a model for inference alone, as its values are now: log-likelihoods, latents and
 * samples cost less, and all results are the same up to rounding. Neighbours that are linear at
 * each pixel (actnorm, 1x1 convolution, batch normalisation) become one layer, named as the first
 * of them; the weights of Glow's networks are packed once, and not kept beside. A model of its own:
 * `model` may change or go. It has the tensors that its layers still read; only workspaces in
 * GLOW_MODE_INFERENCE can be made for it, and it cannot be saved or frozen again. `model` must be
 * ready for passes (GLOW_E_STATE). A layer that has neither a frozen form nor options to be made
 * again from is named (GLOW_E_UNSUPPORTED). */
GLOW_API glow_status glow_model_freeze(const glow_model *model, glow_model **out);
GLOW_API int32_t glow_model_frozen(const glow_model *model);

#ifdef __cplusplus
}
#endif
#endif
