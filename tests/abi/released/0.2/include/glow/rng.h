/* Counter-based random numbers: Philox4x32-10 (Salmon et al., "Parallel Random Numbers: As Easy as
 * 1, 2, 3", 2011). A value depends only on the seed and its position in the sequence, never on
 * threads. A generator is not thread-safe; make one for each thread.
 * SPDX-License-Identifier: MIT */
#ifndef GLOW_RNG_H
#define GLOW_RNG_H

#include <glow/context.h>

#ifdef __cplusplus
extern "C" {
#endif

typedef struct glow_rng glow_rng;

/* Makes a generator at position 0 of the sequence of `seed`. */
GLOW_API glow_status glow_rng_create(glow_context *context, uint64_t seed, glow_rng **out);
/* Sets *rng to NULL. NULL and a pointer to NULL are fine. */
GLOW_API void glow_rng_destroy(glow_rng **rng);

/* `count` values uniform in [0, 1), multiples of 2^-24. Advances the position by count. */
GLOW_API glow_status glow_rng_uniform(glow_rng *rng, float *out, int64_t count);
/* `count` values from the standard normal distribution (Box-Muller). Advances the position by
 * count. */
GLOW_API glow_status glow_rng_normal(glow_rng *rng, float *out, int64_t count);
/* A random permutation of 0 .. count-1 (Fisher-Yates). Advances the position by count. */
GLOW_API glow_status glow_rng_permutation(glow_rng *rng, int32_t *out, int64_t count);

/* Position in the sequence; together with the seed it is the whole state. */
GLOW_API uint64_t glow_rng_position(const glow_rng *rng);
/* Continues at this position. */
GLOW_API glow_status glow_rng_set_position(glow_rng *rng, uint64_t position);

#ifdef __cplusplus
}
#endif
#endif
