/* Random numbers by position: element i of a sequence is a function of (seed, stream, kind, i)
 * alone.
 * The seed is Philox's key; its counter is {block (64 bits), stream (62 bits), kind (2 bits)}, so
 * uniforms, normals and permutations of one stream never share random bits.
 * SPDX-License-Identifier: MIT */
#include <math.h>

#include "base/base.h"
#include "base/philox.h"

enum { KIND_UNIFORM = 0, KIND_NORMAL = 1, KIND_PERMUTATION = 2, KIND_DERIVE = 3 };

static void rng_draw(uint64_t seed, uint64_t stream, uint32_t kind, uint64_t block,
                     uint32_t out[4]) {
  const uint32_t key[2] = {(uint32_t)seed, (uint32_t)(seed >> 32)};
  const uint32_t counter[4] = {(uint32_t)block, (uint32_t)(block >> 32), (uint32_t)stream,
                               (uint32_t)(stream >> 32) ^ kind << 30};
  glow__philox(counter, key, out);
}

static uint64_t rng_join(const uint32_t words[2]) {
  return words[0] | (uint64_t)words[1] << 32;
}

/* Word i % 4 of block i / 4, its upper 24 bits: exact in float32. */
void glow_random_uniform(uint64_t seed, uint64_t stream, uint64_t position, float *out,
                         int64_t count) {
  uint32_t words[4];
  for (int64_t i = 0; i < count; i++) {
    uint64_t at = position + (uint64_t)i;
    if (i == 0 || at % 4 == 0)
      rng_draw(seed, stream, KIND_UNIFORM, at / 4, words);
    out[i] = (float)(words[at % 4] >> 8) * 0x1p-24f;
  }
}

/* Box-Muller: block k gives u1 in (0, 1) and u2 in [0, 1), 53 bits each, and the elements 2k, 2k +
 * 1 are sqrt(-2 ln u1) {cos, sin}(2 pi u2). */
static void normal_pair(uint64_t seed, uint64_t stream, uint64_t pair, double out[2]) {
  const double two_pi = 6.283185307179586476925286766559;
  uint32_t words[4];
  rng_draw(seed, stream, KIND_NORMAL, pair, words);
  double u1 = ((double)(rng_join(words) >> 11) + 0.5) * 0x1p-53;
  double u2 = (double)(rng_join(words + 2) >> 11) * 0x1p-53;
  double radius = sqrt(-2.0 * log(u1));
  out[0] = radius * cos(two_pi * u2);
  out[1] = radius * sin(two_pi * u2);
}

void glow_random_normal(uint64_t seed, uint64_t stream, uint64_t position, float *out,
                        int64_t count) {
  double pair[2];
  for (int64_t i = 0; i < count; i++) {
    uint64_t at = position + (uint64_t)i;
    if (i == 0 || at % 2 == 0)
      normal_pair(seed, stream, at / 2, pair);
    out[i] = (float)pair[at % 2];
  }
}

/* Fisher-Yates; the remainder of 64 bits by at most 2^31 is biased by less than 2^-33. */
void glow_random_permutation(uint64_t seed, uint64_t stream, uint64_t position, int32_t *out,
                             int64_t count) {
  for (int64_t i = 0; i < count; i++)
    out[i] = (int32_t)i;
  for (int64_t i = count - 1; i > 0; i--) {
    uint64_t at = position + (uint64_t)i;
    uint32_t words[4];
    rng_draw(seed, stream, KIND_PERMUTATION, at / 2, words);
    int64_t j = (int64_t)(rng_join(words + 2 * (at % 2)) % (uint64_t)(i + 1));
    int32_t swap = out[i];
    out[i] = out[j];
    out[j] = swap;
  }
}

uint64_t glow_random_derive(uint64_t seed, uint64_t index) {
  uint32_t words[4];
  rng_draw(seed, 0, KIND_DERIVE, index, words);
  return rng_join(words);
}

/* ---- the public generator: a seed and a position --------------------------------------------- */

struct glow_rng {
  glow_context *context;
  uint64_t seed;
  uint64_t position;
};

glow_status glow_rng_create(glow_context *context, uint64_t seed, glow_rng **out) {
  if (out)
    *out = NULL;
  GLOW_LIVE(context, CONTEXT);
  if (!context || !out)
    return glow_error(GLOW_E_ARGUMENT, "glow_rng_create: NULL argument");
  glow_rng *rng = glow_allocate(context, sizeof *rng);
  if (!rng)
    return GLOW_E_MEMORY;
  rng->context = glow__context_hold(context);
  rng->seed = seed;
  glow__live_add(rng, GLOW_LIVE_RNG);
  *out = rng;
  return GLOW_OK;
}

void glow_rng_destroy(glow_rng **rng) {
  if (!rng || !*rng)
    return;
  GLOW_LIVE_END(*rng, RNG);
  glow_context *context = (*rng)->context;
  glow_release(context, *rng);
  glow__context_drop(context);
  *rng = NULL;
}

static glow_status check_draw(const glow_rng *rng, const void *out, int64_t count, int64_t limit) {
  if (!rng || (!out && count != 0))
    return glow_error(GLOW_E_ARGUMENT, "random numbers: NULL argument");
  if (count < 0 || count > limit)
    return glow_error(GLOW_E_ARGUMENT, "random numbers: count %lld is outside [0, %lld]",
                      (long long)count, (long long)limit);
  return GLOW_OK;
}

glow_status glow_rng_uniform(glow_rng *rng, float *out, int64_t count) {
  GLOW_LIVE(rng, RNG);
  GLOW_TRY(check_draw(rng, out, count, INT64_MAX));
  glow_random_uniform(rng->seed, GLOW_STREAM_USER, rng->position, out, count);
  rng->position += (uint64_t)count;
  return GLOW_OK;
}

glow_status glow_rng_normal(glow_rng *rng, float *out, int64_t count) {
  GLOW_LIVE(rng, RNG);
  GLOW_TRY(check_draw(rng, out, count, INT64_MAX));
  glow_random_normal(rng->seed, GLOW_STREAM_USER, rng->position, out, count);
  rng->position += (uint64_t)count;
  return GLOW_OK;
}

glow_status glow_rng_permutation(glow_rng *rng, int32_t *out, int64_t count) {
  GLOW_LIVE(rng, RNG);
  GLOW_TRY(check_draw(rng, out, count, INT32_MAX));
  glow_random_permutation(rng->seed, GLOW_STREAM_USER, rng->position, out, count);
  rng->position += (uint64_t)count;
  return GLOW_OK;
}

uint64_t glow_rng_position(const glow_rng *rng) {
  GLOW_LIVE_OR(rng, RNG, 0);
  return rng ? rng->position : 0;
}

glow_status glow_rng_set_position(glow_rng *rng, uint64_t position) {
  GLOW_LIVE(rng, RNG);
  if (!rng)
    return glow_error(GLOW_E_ARGUMENT, "glow_rng_set_position: NULL argument");
  rng->position = position;
  return GLOW_OK;
}
