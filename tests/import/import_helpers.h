/* What the tests of importers share: vectors from a folder, and comparing a model with them.
 * SPDX-License-Identifier: MIT */
#ifndef GLOW_TEST_IMPORT_HELPERS_H
#define GLOW_TEST_IMPORT_HELPERS_H

#include "../support/model_helpers.h"

/* The folder of make_vectors.py's files: argv[1] of a test program. */
extern const char *vectors_folder;

typedef struct vectors {
  glow_tensor_file *file;
  int64_t count; /* samples */
  int32_t bits;
  int64_t height, width;
  const float *x;
  const int32_t *labels;  /* NULL: none */
  const double *latents;  /* [count, dims] */
  const double *log_prob; /* [count] */
  const double *logits;   /* [count, classes] or NULL */
} vectors;

/* Path of a case's file, "NAME.safetensors" or "NAME.vectors.safetensors". Static memory. */
const char *vectors_path(const char *name, const char *ending);
void vectors_open(glow_context *context, const char *name, vectors *v);
void vectors_close(vectors *v);
/* Imports NAME with the options that its vectors tell. */
glow_status vectors_import(glow_context *context, const char *name, const vectors *v,
                           glow_model **out);
/* Latents, log-probabilities and, where there is a classifier, logits of the model against the
 * vectors. The largest relative error, which is also printed. */
double vectors_compare(const glow_model *model, const char *name, const vectors *v);

#endif
