/* Models of other projects: trained weights of openai/glow, y0ast/Glow-PyTorch and
 * rosinality/glow-pytorch become models of this library, with the same latents and
 * log-probabilities. Models can also be written under the names of y0ast/Glow-PyTorch. The files
 * are safetensors that hold the variables under the project's own names: docs/import.md says how to
 * make them, and how everything is converted. Files are not trusted.
 * SPDX-License-Identifier: MIT */
#ifndef GLOW_IMPORT_H
#define GLOW_IMPORT_H

#include <glow/io.h>

#ifdef __cplusplus
extern "C" {
#endif

enum {
  GLOW_FORMAT_OPENAI = 1201,    /* openai/glow */
  GLOW_FORMAT_Y0AST = 1202,     /* y0ast/Glow-PyTorch */
  GLOW_FORMAT_ROSINALITY = 1203 /* rosinality/glow-pytorch */
};

typedef struct glow_import_options {
  size_t struct_size;
  int32_t format; /* GLOW_FORMAT_...; 0 (default): recognised by the names */
  int32_t bits;   /* of the images that the model was trained on, 1 to 8 (default 8); 0: continuous
                     data */
  int64_t height; /* of these images; may be 0 where the file says it (y0ast/Glow-PyTorch) */
  int64_t width;
  int32_t permutation; /* 0 (default): as the file says; GLOW_PERMUTATION_REVERSE: where a file of
                          y0ast/Glow-PyTorch holds no permutation, it was the reversal */
  int32_t ignore_unknown; /* 1: tensors that have no place in the model are left out; 0 (default):
                             they are an error */
} glow_import_options;
#define GLOW_IMPORT_OPTIONS_INIT                                                                   \
  { sizeof(glow_import_options), 0, 8, 0, 0, 0, 0 }

/* Makes a model of the weights in a file. Levels, depth, widths, and the kinds of coupling,
 * permutation and prior are inferred from names and shapes. Layers are named as in the Glow preset.
 * Values are folded in double and rounded once. GLOW_E_FORMAT names the tensor that is missing, has
 * the wrong shape, is not finite, or has no place in the model. */
GLOW_API glow_status glow_model_import(glow_context *context, const glow_input *input,
                                       const glow_import_options *options, glow_model **out);

/* Writes the tensors of a model under the names of another project, which must be
 * GLOW_FORMAT_Y0AST. GLOW_E_UNSUPPORTED names the layer that the project does not have. */
GLOW_API glow_status glow_model_export(const glow_model *model, int32_t format,
                                       const glow_output *output);

#ifdef __cplusplus
}
#endif
#endif
