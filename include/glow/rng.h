/* Counter-based random numbers: Philox4x32-10 (Salmon et al., "Parallel Random Numbers: As Easy as
 * 1, 2, 3", 2011). A value depends on the seed and its position alone, never on threads.
 * A generator is not thread-safe; make one for each thread.
 * SPDX-License-Identifier: MIT */
#ifndef GLOW_RNG_H
#define GLOW_RNG_H

#include <glow/context.h>

#ifdef __cplusplus
extern "C" {
#endif

typedef struct glow_rng glow_rng;

GLOW_API glow_status glow_rng_create(glow_context *context, uint64_t seed, glow_rng **out);
GLOW_API void glow_rng_destroy(glow_rng **rng);

/* `count` numbers uniform in [0, 1), multiples of 2^-24. Advances the position by count. */
GLOW_API glow_status glow_rng_uniform(glow_rng *rng, float *out, int64_t count);
/* `count` numbers from the standard normal law (Box-Muller). Advances the position by count. */
GLOW_API glow_status glow_rng_normal(glow_rng *rng, float *out, int64_t count);
/* A permutation of 0 .. count-1 (Fisher-Yates). Advances the position by count. */
GLOW_API glow_status glow_rng_permutation(glow_rng *rng, int32_t *out, int64_t count);

/* Position in the sequence; with the seed it is the whole state. */
GLOW_API uint64_t glow_rng_position(const glow_rng *rng);
GLOW_API glow_status glow_rng_set_position(glow_rng *rng, uint64_t position);

#ifdef __cplusplus
}
#endif
#endif
