/* Building models, which are named sequences of layers over an input shape; and asking and changing
 * what a model is. For ready-made ones see <glow/presets.h>.
 *
 * Passes only read a model: any number of threads may share it, each with a workspace of its own.
 * The functions that change a model (set a tensor, initialise, prepare, train) must not run while
 * any other thread uses it.
 *
 * Functions that return a count, a size or a pointer return 0 or NULL when `model` is NULL.
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

/* Starts a model whose samples have the shape `input`. options NULL: the defaults. */
GLOW_API glow_status glow_builder_create(glow_context *context, const glow_shape *input,
                                         const glow_builder_options *options, glow_builder **out);
/* Destroys the builder and its layers, and sets *builder to NULL. NULL and a pointer to NULL are
 * fine. */
GLOW_API void glow_builder_destroy(glow_builder **builder);
/* Appends *layer under `name`, which is unique in the model, not empty, at most 200 bytes, and
 * without spaces and slashes. Checks shapes at once. Takes *layer over, on success and on failure,
 * and sets it to NULL. A builder that has failed can only be destroyed. */
GLOW_API glow_status glow_builder_add(glow_builder *builder, const char *name, glow_layer **layer);
/* Shape after the layers added so far. */
GLOW_API glow_status glow_builder_shape(const glow_builder *builder, glow_shape *out);
/* Makes the model, with the starting values of its parameters. Consumes *builder, on success and on
 * failure, and sets it to NULL. The last layer must have turned everything into latents, as
 * glow_prior_create does. */
GLOW_API glow_status glow_builder_finish(glow_builder **builder, glow_model **out);

/* One more reference for the caller, who calls glow_model_destroy once more. Returns model; NULL if
 * it is NULL. */
GLOW_API glow_model *glow_model_retain(glow_model *model);
/* Gives up the caller's reference, and sets *model to NULL. The model goes with the last workspace,
 * optimizer, trainer or diagnosis made from it, or now if there is none. NULL and a pointer to NULL
 * are fine. */
GLOW_API void glow_model_destroy(glow_model **model);

/* ---- nested models --------------------------------------------------------------------------- */

/* A block is a builder that is not finished: a sequence of layers over a shape. In another builder,
 * or block, its layers follow each other under the names "NAME.INNER", so that tensors are called
 * "NAME.INNER.TENSOR". The `bits` of a block have no meaning. A builder to which something could
 * not be added has failed, as with glow_builder_add. */

/* Appends the layers of *block, whose input must have the builder's present shape. Takes *block
 * over, on success and on failure, and sets it to NULL. */
GLOW_API glow_status glow_builder_add_block(glow_builder *builder, const char *name,
                                            glow_builder **block);
/* Appends layers like those of the block, made from their options as when a file is loaded. The
 * block stays the caller's and may be used again, also where the shape is another. The types of its
 * layers must be registered with the context. Starting values are those of the seed 0. */
GLOW_API glow_status glow_builder_add_copy(glow_builder *builder, const char *name,
                                           const glow_builder *block);
/* The same with the layers of a model, without a last one that leaves nothing (its prior), and with
 * its tensors as they are now; its metadata stay behind. Its input must have the builder's present
 * shape. If the model was initialised, glow_workspace_initialise leaves its layers alone. */
GLOW_API glow_status glow_builder_add_model(glow_builder *builder, const char *name,
                                            const glow_model *model);

/* ---- what a model is ------------------------------------------------------------------------- */

/* Shape of a sample of x. */
GLOW_API glow_status glow_model_input_shape(const glow_model *model, glow_shape *out);
/* Bits of a channel of the images that the model is for, 1 to 8; 0: continuous data. */
GLOW_API int32_t glow_model_bits(const glow_model *model);
/* Number of classes: labels are below it. 0 if the model takes no labels. */
GLOW_API int32_t glow_model_class_count(const glow_model *model);
/* Number of logits of each sample (glow_workspace_classify): with the top prior's classifier, the
 * number of classes; 0 without one. */
GLOW_API int64_t glow_model_logit_count(const glow_model *model);
/* Elements of the condition that each sample comes with; 0 if the model takes none. */
GLOW_API int64_t glow_model_condition_size(const glow_model *model);
/* Shape of that condition: {1, 1, D} for a vector; all sides 0 if the model takes none. */
GLOW_API glow_status glow_model_condition_shape(const glow_model *model, glow_shape *out);
/* Elements of a sample, H W C of the input; there are as many latents. */
GLOW_API int64_t glow_model_dims(const glow_model *model);
/* Number of layers. */
GLOW_API int32_t glow_model_layer_count(const glow_model *model);
/* Name of a layer; NULL if index is out of range. Owned by the model. */
GLOW_API const char *glow_model_layer_name(const glow_model *model, int32_t index);
/* Type of a layer ("actnorm"); NULL if index is out of range. Owned by the model. */
GLOW_API const char *glow_model_layer_type(const glow_model *model, int32_t index);

/* The latents of one sample are one vector of glow_model_dims() elements. It is made of blocks,
 * those of the splits first, the top's last; each block is an image stored HWC. This is the number
 * of blocks. */
GLOW_API int32_t glow_model_latent_block_count(const glow_model *model);
/* Where block `index` starts in that vector, and its shape; offset and shape may be NULL.
 * GLOW_E_ARGUMENT if there is no such block. */
GLOW_API glow_status glow_model_latent_block(const glow_model *model, int32_t index,
                                             int64_t *offset, glow_shape *shape);

/* ---- parameters ------------------------------------------------------------------------------ */

/* Types of elements, in models and in tensor files. Tensors of models are float32 or int32. */
enum {
  GLOW_TYPE_F32 = 1101,
  GLOW_TYPE_I32 = 1102,
  GLOW_TYPE_U8 = 1103,
  GLOW_TYPE_F64 = 1104,
  GLOW_TYPE_I64 = 1105,
  GLOW_TYPE_BF16 = 1106,
  /* Models do not use these. They are read and written like the others, so that a tensor of such a
   * type does not make a file useless. */
  GLOW_TYPE_F16 = 1107, /* IEEE 754 binary16 */
  GLOW_TYPE_I8 = 1108,
  GLOW_TYPE_I16 = 1109,
  GLOW_TYPE_U16 = 1110,
  GLOW_TYPE_U32 = 1111,
  GLOW_TYPE_U64 = 1112,
  GLOW_TYPE_BOOL = 1113, /* a byte */
  GLOW_TYPE_F8_E4M3 = 1114,
  GLOW_TYPE_F8_E5M2 = 1115,
  GLOW_TYPE_F8_E8M0 = 1116
};
#define GLOW_MAX_RANK 4
typedef struct glow_tensor_info {
  size_t struct_size;
  const char *name;            /* "level0.step1.actnorm.bias"; owned by the model */
  int32_t type;                /* GLOW_TYPE_... */
  int32_t trainable;           /* 1: a parameter; 0: fixed state such as a permutation */
  int32_t rank;                /* 1 to GLOW_MAX_RANK */
  int32_t weights;             /* 1: of a product; storage in bfloat16 rounds these alone */
  int64_t dims[GLOW_MAX_RANK]; /* 1 past the rank */
  int64_t elements;            /* product of dims */
  int64_t offset;              /* trainable: first element in the flat vector of parameters and of
                                  gradients; else -1 */
} glow_tensor_info;
#define GLOW_TENSOR_INFO_INIT                                                                      \
  { sizeof(glow_tensor_info), NULL, 0, 0, 0, 0, {0, 0, 0, 0}, 0, 0 }

/* Number of tensors, trainable ones and fixed state. They are in the order of the layers. */
GLOW_API int32_t glow_model_tensor_count(const glow_model *model);
/* Describes tensor `index` in *out, whose struct_size the caller has set. */
GLOW_API glow_status glow_model_tensor(const glow_model *model, int32_t index,
                                       glow_tensor_info *out);
/* Describes the tensor of this name; GLOW_E_NOT_FOUND if there is none. */
GLOW_API glow_status glow_model_find_tensor(const glow_model *model, const char *name,
                                            glow_tensor_info *out);
/* Copies all `elements` elements of a tensor, 4 bytes each, to out. */
GLOW_API glow_status glow_model_get_tensor(const glow_model *model, const char *name, void *out,
                                           int64_t elements);
/* Copies all `elements` elements of a tensor, 4 bytes each, from data. Call glow_model_prepare
 * before the next pass. */
GLOW_API glow_status glow_model_set_tensor(glow_model *model, const char *name, const void *data,
                                           int64_t elements);
/* Elements of all trainable tensors. */
GLOW_API int64_t glow_model_parameter_count(const glow_model *model);
/* Bytes of the model's values: parameters, fixed state and what is derived from them. */
GLOW_API uint64_t glow_model_bytes(const glow_model *model);
/* The trainable tensors as one vector. The pointer is valid as long as the model lives. */
GLOW_API const float *glow_model_parameters(const glow_model *model);
/* The same, to be written to. Call glow_model_prepare before the next pass. */
GLOW_API float *glow_model_parameters_mutable(glow_model *model);

/* Computes all values derived from parameters (inverses, determinants). GLOW_E_NUMERIC names the
 * layer whose matrix is singular; the model then refuses passes until this succeeds. */
GLOW_API glow_status glow_model_prepare(glow_model *model);

/* 1 if the model is initialised. A model with layers that take their first values from data, such
 * as actnorms, refuses passes until it is. */
GLOW_API int32_t glow_model_initialised(const glow_model *model);
/* Marks the model initialised, for callers who set all its parameters themselves. Otherwise
 * glow_workspace_initialise does that, or the file that a model is loaded from. */
GLOW_API glow_status glow_model_set_initialised(glow_model *model);

/* Makes the inference form of a model with its present values: a second model, for inference only,
 * with which log-likelihoods, latents and samples cost less. All results are the same up to
 * rounding. Consecutive layers that are linear at each pixel (actnorm, 1x1 convolution, batch
 * normalisation) become one layer, named as the first of them. The weights of Glow's networks are
 * packed once, and held only in that form. The new model is independent: `model` may change or be
 * destroyed. It has the tensors that its layers still read. It cannot be trained: workspaces for it
 * are in GLOW_MODE_INFERENCE, or have gradients of inputs alone
 * (glow_workspace_options.inputs_only). It has no inference form itself, and it cannot be saved.
 * GLOW_E_STATE if `model` is not ready for passes. */
GLOW_API glow_status glow_model_inference_form(const glow_model *model, glow_model **out);
/* 1 if the model was made by glow_model_inference_form. */
GLOW_API int32_t glow_model_is_inference_form(const glow_model *model);

/* Makes a second model with the same layers, values and metadata, in `context`, or in that of
 * `model` if it is NULL: to train it without changing the first one, or to run it with other
 * kernels, threads or products. The new model is independent. Its layers are made again from their
 * options, as when a file is loaded: GLOW_E_UNSUPPORTED for layers that cannot be, and for an
 * inference form; GLOW_E_NUMERIC if a layer cannot prepare the present parameters. */
GLOW_API glow_status glow_model_clone(const glow_model *model, glow_context *context,
                                      glow_model **out);

/* ---- metadata -------------------------------------------------------------------------------- */

/* What a model says of itself: texts in UTF-8 under keys, which are saved in model files and
 * checkpoints and go into clones and inference forms. Keys are free; these have a meaning: */
#define GLOW_METADATA_CLASS_NAMES "class_names"     /* a line for each class, in order of labels */
#define GLOW_METADATA_NORMALISATION "normalisation" /* how the data were prepared for the model */
#define GLOW_METADATA_LICENSE "license"             /* of the model: an SPDX expression */
/* Keys have 1 to GLOW_METADATA_KEY_BYTES bytes; a model has at most GLOW_METADATA_ENTRIES entries,
 * whose keys and values together have at most GLOW_METADATA_BYTES bytes. */
#define GLOW_METADATA_KEY_BYTES 200
#define GLOW_METADATA_ENTRIES 1024
#define GLOW_METADATA_BYTES 1048576

/* Sets the text of a key, in place of the one that it had; value NULL: the key goes. GLOW_E_LIMIT
 * if that would be too much. On failure nothing changes. */
GLOW_API glow_status glow_model_set_metadata(glow_model *model, const char *key, const char *value);
/* Text of a key; NULL if there is none. Owned by the model, until it is set again. */
GLOW_API const char *glow_model_metadata(const glow_model *model, const char *key);
/* Number of entries, which are in the order of their keys' bytes. */
GLOW_API int32_t glow_model_metadata_count(const glow_model *model);
/* Key and text of entry `index`, owned by the model; either pointer may be NULL. */
GLOW_API glow_status glow_model_metadata_at(const glow_model *model, int32_t index,
                                            const char **key, const char **value);
/* Sets GLOW_METADATA_CLASS_NAMES from `count` names, of one line each; count:
 * glow_model_class_count(). */
GLOW_API glow_status glow_model_set_class_names(glow_model *model, const char *const *names,
                                                int32_t count);
/* Copies the name of a class to `out`, of `size` bytes. GLOW_E_NOT_FOUND: it has none;
 * GLOW_E_LIMIT: it does not fit. On failure `out` is "". */
GLOW_API glow_status glow_model_class_name(const glow_model *model, int32_t label, char *out,
                                           size_t size);

#ifdef __cplusplus
}
#endif
#endif
