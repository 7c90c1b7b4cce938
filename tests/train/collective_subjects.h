/* What the tests of training on several ranks share: models with all that a step can be given, data
 * of which each rank takes its part, and
 * hashes of what a trainer has. SPDX-License-Identifier: MIT */
#ifndef GLOW_TEST_COLLECTIVE_SUBJECTS_H
#define GLOW_TEST_COLLECTIVE_SUBJECTS_H

#include "../support/hash.h"
#include "../support/ranks.h"
#include "fixture.h"
#include "host/model.h"
#include "train/trainer.h"

enum { TOTAL = 8, SETS = 5 }; /* samples of a step, on all ranks; different ones */

/* A model, how it is trained, and on what. */
typedef struct subject {
  const char *name;
  glow_status (*make)(glow_context *context, glow_model **out);
  bool pixels, labels, conditions, weights;
  glow_trainer_options options;
} subject;

enum { GLOW, REALNVP, VECTORS, CLASSES, RECONSTRUCTED, TARGETS, SUBJECTS };
extern const subject subjects[SUBJECTS];

/* Data of all ranks, from a seed. */
typedef struct data {
  float *x;
  uint8_t *pixels;
  int32_t labels[SETS * TOTAL];
  float conditions[SETS * TOTAL * 3];
  double weights[SETS * TOTAL];
} data;

static inline float noise_at(uint64_t i) {
  i = (i + 1) * 6364136223846793005u;
  i ^= i >> 31;
  i *= 1442695040888963407u;
  return (float)(i >> 40) / (float)(1 << 24);
}

static inline void make_data(data *d, int64_t dims) {
  const int64_t samples = SETS * TOTAL;
  d->x = malloc((size_t)(samples * dims) * sizeof *d->x);
  d->pixels = malloc((size_t)(samples * dims));
  for (int64_t i = 0; i < samples * dims; i++) {
    d->x[i] = noise_at((uint64_t)i) + noise_at((uint64_t)(i / dims) + 900000) - 1.0f;
    d->pixels[i] = (uint8_t)(120.0f * noise_at((uint64_t)i) +
                             100.0f * noise_at((uint64_t)(i / dims) + 700000));
  }
  for (int64_t i = 0; i < samples; i++) {
    d->labels[i] = i % TOTAL < 3 ? -1 : (int32_t)(i % 3); /* none on the first of four ranks */
    d->weights[i] = 0.5 + noise_at((uint64_t)i + 300000);
    for (int k = 0; k < 3; k++)
      d->conditions[3 * i + k] = noise_at((uint64_t)(3 * i + k) + 500000);
  }
}

static inline void free_data(data *d) {
  free(d->x);
  free(d->pixels);
}

/* Samples of set `set` from `first` on. */
static inline glow_batch part_of(const subject *s, const data *d, int64_t dims, int64_t set,
                                 int64_t first, int64_t count) {
  glow_batch b = GLOW_BATCH_INIT;
  int64_t at = set % SETS * TOTAL + first;
  b.count = count;
  b.x = s->pixels ? NULL : d->x + at * dims;
  b.pixels = s->pixels ? d->pixels + at * dims : NULL;
  b.labels = s->labels ? d->labels + at : NULL;
  b.condition = s->conditions ? d->conditions + 3 * at : NULL;
  b.condition_count = s->conditions ? count : 0;
  b.weights = s->weights ? d->weights + at : NULL;
  return b;
}

/* ---- a trainer ------------------------------------------------------------------------------- */

typedef struct bench {
  glow_context *context;
  glow_model *model;
  glow_trainer *trainer;
  int64_t dims;
  counter *counter; /* of the context's allocations */
} bench;

static inline bool open_bench(helper_rank *r, const subject *s, bench *b) {
  glow_context_options options = GLOW_CONTEXT_OPTIONS_INIT;
  *b = (bench){.counter = calloc(1, sizeof(counter))};
  glow_allocator allocator = {sizeof allocator, counted_alloc, counted_free, b->counter};
  options.threads = 1;
  options.allocator = &allocator;
  if (!RANK_OK(r, glow_context_create(&options, &b->context)) ||
      !RANK_OK(r, s->make(b->context, &b->model)) ||
      !RANK_OK(r, glow_trainer_create(b->model, &s->options, &b->trainer)))
    return false;
  b->dims = glow_model_dims(b->model);
  return true;
}

static inline void close_bench(bench *b) {
  glow_trainer_destroy(&b->trainer);
  glow_model_destroy(&b->model);
  glow_context_destroy(&b->context);
  free(b->counter);
}

/* Of all that a trainer has: it is the same on all ranks, and a refused call leaves it. */
static inline uint64_t hash_of(const bench *b) {
  const size_t bytes = (size_t)b->model->parameter_count * sizeof(float);
  uint64_t hash = HASH_INIT;
  glow__trainer_vectors v;
  glow__progress progress;
  glow__trainer_vectors_of(b->trainer, &v);
  glow__trainer_progress(b->trainer, &progress);
  hash_words(&hash, v.parameters, bytes);
  hash_words(&hash, b->model->fixed, (size_t)b->model->fixed_count * 4);
  hash_words(&hash, v.m, bytes);
  if (v.v)
    hash_words(&hash, v.v, bytes);
  if (v.average)
    hash_words(&hash, v.average, bytes);
  hash_words(&hash, &progress, sizeof progress);
  hash_number(&hash, b->model->initialised);
  return hash;
}

#endif
