/* One file of golden vectors: configuration, input, and arrays by name.
 * SPDX-License-Identifier: MIT */
#ifndef GLOW_TEST_GOLDEN_CASE_H
#define GLOW_TEST_GOLDEN_CASE_H

#include <glow/glow.h>
#include <stdbool.h>

typedef struct golden_case {
  glow_tensor_file *file;
  glow_glow_options options; /* from __metadata__.config and n_bins */
  int64_t count, dims;       /* samples of x, elements of one */
  float *x;                  /* [count, dims] */
  int32_t *labels;           /* [count], or NULL where the model takes none */
} golden_case;

/* Prints what is wrong and returns false when the file is not golden vectors. */
bool golden_open(glow_context *context, const char *path, golden_case *out);
void golden_close(golden_case *c);

/* A float32 or float64 array as doubles, to be freed; NULL, with a message, when it is not there or
 * has not so many elements. */
double *golden_values(const golden_case *c, const char *name, int64_t elements);
/* Sets all tensors "prefix.NAME" of the file in the model; false if that misses a trainable one. */
bool golden_set(const golden_case *c, glow_model *model, const char *prefix);

/* |a - b| / |b| in Euclidean norms. Where |b| is below 1e-12, that is, where the reference is zero
 * up to the rounding of float64 (such as the mean of data that are already normalised), |a - b|.
 * NaN gives infinity. */
double golden_error(const double *a, const double *b, int64_t count);
double golden_error_f32(const float *a, const double *b, int64_t count);

/* Zeroes what does not matter: entries of a ".lower" on and above the diagonal, of an ".upper" on
 * and below it. */
void golden_mask(const glow_tensor_info *info, double *values);

#endif
