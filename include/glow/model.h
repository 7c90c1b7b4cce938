/* Building models: a named sequence of layers over an input shape; and what a model is. Ready-made
 * ones: <glow/presets.h>.
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

/* ---- what a model is ------------------------------------------------------------------------- */

GLOW_API glow_status glow_model_input_shape(const glow_model *model, glow_shape *out);
GLOW_API int32_t glow_model_bits(const glow_model *model);
/* Classes that labels name; 0 when the model takes no labels. */
GLOW_API int32_t glow_model_class_count(const glow_model *model);
/* Logits that the model has for each sample (glow_workspace_classify): as many as classes with the
 * top prior's classifier, 0 without. */
GLOW_API int64_t glow_model_logit_count(const glow_model *model);
/* Elements of the condition that each sample comes with, and its shape, {1, 1, D} for a vector; 0,
 * and sides of 0, when the model takes none. */
GLOW_API int64_t glow_model_condition_size(const glow_model *model);
GLOW_API glow_status glow_model_condition_shape(const glow_model *model, glow_shape *out);
GLOW_API int64_t glow_model_dims(const glow_model *model); /* H W C of the input, = latents */
GLOW_API int32_t glow_model_layer_count(const glow_model *model);
/* Name and type ("actnorm") of a layer, NULL when index is out of range. Owned by the model. */
GLOW_API const char *glow_model_layer_name(const glow_model *model, int32_t index);
GLOW_API const char *glow_model_layer_type(const glow_model *model, int32_t index);

/* Latents of one sample are one vector of glow_model_dims() numbers made of blocks, those of the
 * splits first, the top's last; each block is an image stored HWC. */
GLOW_API int32_t glow_model_latent_block_count(const glow_model *model);
GLOW_API glow_status glow_model_latent_block(const glow_model *model, int32_t index,
                                             int64_t *offset, glow_shape *shape);

/* ---- parameters ------------------------------------------------------------------------------ */

/* Types of elements, in models and in tensor files. Models have float32 and int32. */
enum {
  GLOW_TYPE_F32 = 1101,
  GLOW_TYPE_I32 = 1102,
  GLOW_TYPE_U8 = 1103,
  GLOW_TYPE_F64 = 1104,
  GLOW_TYPE_I64 = 1105,
  GLOW_TYPE_BF16 = 1106
};
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
/* GLOW_E_NOT_FOUND if there is none of this name. */
GLOW_API glow_status glow_model_find_tensor(const glow_model *model, const char *name,
                                            glow_tensor_info *out);
/* Copies all elements (4 bytes each) out of, or into, a tensor. After setting, call
 * glow_model_prepare before the next pass. */
GLOW_API glow_status glow_model_get_tensor(const glow_model *model, const char *name, void *out,
                                           int64_t elements);
GLOW_API glow_status glow_model_set_tensor(glow_model *model, const char *name, const void *data,
                                           int64_t elements);
/* The trainable parameters as one vector. The pointer lives as long as the model. Writing through
 * the mutable form needs glow_model_prepare afterwards, like glow_model_set_tensor. */
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
GLOW_API glow_status glow_model_set_initialised(glow_model *model);

/* The inference form of a model, as its values are now: a model for inference alone, with which
 * log-likelihoods, latents and samples cost less; all results are the same up to rounding.
 * Neighbours that are linear at each pixel (actnorm, 1x1 convolution, batch normalisation) become
 * one layer, named as the first of them; the weights of Glow's networks are packed once, and not
 * kept beside. A model of its own: `model` may change or go. It has the tensors that its layers
 * still read; only workspaces in GLOW_MODE_INFERENCE can be made for it, it has no inference form
 * itself, and it cannot be saved. `model` must be ready for passes (GLOW_E_STATE). */
GLOW_API glow_status glow_model_inference_form(const glow_model *model, glow_model **out);
GLOW_API int32_t glow_model_is_inference_form(const glow_model *model);

#ifdef __cplusplus
}
#endif
#endif
