/* Hashes of everything that a model computes: what the files of test_bits.c are made of.
 * SPDX-License-Identifier: MIT */
#ifndef GLOW_TEST_BITS_H
#define GLOW_TEST_BITS_H

#include "../support/hash.h"
#include "../support/model_helpers.h"

/* ---- models ---------------------------------------------------------------------------------- */

/* A row of the tables of layers, or a preset with one choice of options. */
typedef struct bits_preset bits_preset;
typedef struct bits_subject {
  const char *name;
  const helper_layer *layer; /* or */
  const bits_preset *preset;
} bits_subject;
int32_t bits_subject_count(void);
bits_subject bits_subject_at(int32_t index);
/* A subject has a model for each of its parts 0, 1, ..., over different shapes. */
bool bits_has_part(const bits_subject *subject, int32_t part);
glow_status bits_create(glow_context *context, const bits_subject *subject, int32_t part,
                        glow_model **out);
/* Its networks are among those with products in bfloat16. */
bool bits_has_bfloat16(const bits_subject *subject);

/* ---- quantities ------------------------------------------------------------------------------ */

enum bits_quantity {
  BITS_FILE,    /* the file of the model after data-dependent initialisation: initial values too */
  BITS_OUTPUTS, /* of perturbed parameters: latents, log-dets, densities, logits */
  BITS_INVERSE, /* from those latents; samples */
  BITS_GRADIENTS, /* of parameters, x and condition; stored, then reconstructed */
  BITS_TRAINING,  /* losses and parameters over 20 steps of Adam, averages */
  BITS_FORM,      /* outputs, inverse and samples of the form for inference */
  BITS_BFLOAT16,  /* all of these with products in bfloat16 */
  BITS_QUANTITIES
};
extern const char *const bits_quantity_names[BITS_QUANTITIES];
/* Fails the test when a call fails or a result is not finite. */
void bits_measure(const bits_subject *subject, uint32_t threads, const char *kernels,
                  uint64_t hashes[BITS_QUANTITIES]);

#endif
