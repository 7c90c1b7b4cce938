/* Models that faults are tried on: each row of the tables of layers and presets that
 * tests/bits/subjects.c lists, over each of its shapes; and those built-in layers and nets that are
 * in no row, with their default options. So a new layer is among them by itself.
 * SPDX-License-Identifier: MIT */
#ifndef GLOW_TEST_FAULT_MODELS_H
#define GLOW_TEST_FAULT_MODELS_H

#include "../bits/bits.h"

typedef struct model_case {
  char name[120];
  bits_subject subject; /* a part of it; or */
  int32_t part;
  const glow_layer_ops *layer; /* a built-in layer; or */
  const glow_net_ops *net;     /* a built-in net, in a coupling */
} model_case;

/* All of them; *count: how many. Fails the test when a built-in layer is in no row and cannot be
 * made with default options. */
const model_case *model_cases(int32_t *count);
/* The many couplings that differ only in scale and mask are left out but for some, unless
 * GLOW_TEST_EXHAUSTIVE is set: memory is taken in the same places. */
bool model_case_is_wanted(const model_case *c);
glow_status model_case_create(glow_context *context, const model_case *c, glow_model **out);

/* All that a model is: tensors, fixed state, metadata, whether it is initialised, names of
 * layers. */
void model_fold(const glow_model *model, uint64_t *hash);
/* Gives it some metadata. */
void model_describe(glow_model *model);

/* ---- data ------------------------------------------------------------------------------------ */

enum { SAMPLES = 3 };
typedef struct samples {
  float *x;                /* [SAMPLES, dims] */
  uint8_t *pixels;         /* the same as pixels; NULL: the data are continuous */
  float *condition;        /* [SAMPLES, condition_size] */
  int64_t condition_size;  /* 0: none */
  int32_t labels[SAMPLES]; /* in [0, 3) */
} samples;
samples samples_of(const glow_model *model);
void samples_free(samples *s);

#endif
