/* Hashes of everything that a model computes: what the files of test_bits.c are made of.
 * SPDX-License-Identifier: MIT */
#ifndef GLOW_TEST_BITS_H
#define GLOW_TEST_BITS_H

#include "../support/model_helpers.h"

/* ---- hashing --------------------------------------------------------------------------------- */

/* FNV-1a, 64 bits (Fowler, Noll, Vo; http://www.isthe.com/chongo/tech/comp/fnv). */
#define BITS_HASH_INIT 0xcbf29ce484222325u
static inline void bits_fold(uint64_t *hash, const void *data, size_t bytes) {
  const unsigned char *at = data;
  for (size_t i = 0; i < bytes; i++)
    *hash = (*hash ^ at[i]) * 0x100000001b3u;
}

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
/* Models of a subject, over different shapes: part 0, 1, ...; false past the last. */
bool bits_create(glow_context *context, const bits_subject *subject, int32_t part,
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
