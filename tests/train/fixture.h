/* What the tests of training share: small models, data, and comparing bits.
 * SPDX-License-Identifier: MIT */
#ifndef GLOW_TEST_TRAIN_FIXTURE_H
#define GLOW_TEST_TRAIN_FIXTURE_H

#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include <glow/glow.h>

static inline void ok(glow_status status) {
  if (status != GLOW_OK)
    fail_msg("%s: %s", glow_status_name(status), glow_last_error());
}

/* The call failed with this status and the text contains these words. */
static inline void refused(glow_status status, glow_status expected, const char *words) {
  if (status != expected || !strstr(glow_last_error(), words))
    fail_msg("got %s \"%s\", expected %s with \"%s\"", glow_status_name(status), glow_last_error(),
             glow_status_name(expected), words);
}

typedef struct counter {
  size_t live, calls, fail_at; /* fail_at: number of the call that fails; 0: none */
} counter;

static inline void *counted_alloc(size_t size, void *payload) {
  counter *c = payload;
  if (++c->calls == c->fail_at)
    return NULL;
  void *memory = malloc(size);
  c->live += memory != NULL;
  return memory;
}

static inline void counted_free(void *memory, void *payload) {
  ((counter *)payload)->live--;
  free(memory);
}

static inline glow_context *new_context(uint32_t threads, counter *c) {
  glow_context_options options = GLOW_CONTEXT_OPTIONS_INIT;
  glow_allocator allocator = {sizeof allocator, counted_alloc, counted_free, c};
  glow_context *context = NULL;
  options.threads = threads;
  options.allocator = c ? &allocator : NULL;
  ok(glow_context_create(&options, &context));
  return context;
}

/* 8 x 8 x 2, two levels of two steps. */
static inline glow_glow_options small_options(void) {
  glow_glow_options o = GLOW_GLOW_OPTIONS_INIT;
  o.input = (glow_shape){8, 8, 2};
  o.levels = 2;
  o.depth = 2;
  o.hidden = 8;
  o.permutation = GLOW_PERMUTATION_INVCONV;
  o.seed = 5;
  return o;
}

static inline glow_model *new_model(glow_context *context, const glow_glow_options *options) {
  glow_glow_options o = options ? *options : small_options();
  glow_model *model = NULL;
  ok(glow_model_create_glow(context, &o, &model));
  return model;
}

/* A model whose zero-initialised tensors are not zero any more, ready for passes. */
static inline glow_model *new_stirred_model(glow_context *context,
                                            const glow_glow_options *options) {
  glow_model *model = new_model(context, options);
  glow_rng *rng = NULL;
  int64_t count = glow_model_parameter_count(model);
  float *noise = malloc((size_t)count * sizeof *noise);
  float *parameters = glow_model_parameters_mutable(model);
  assert_non_null(noise);
  ok(glow_rng_create(context, 99, &rng));
  ok(glow_rng_normal(rng, noise, count));
  for (int64_t i = 0; i < count; i++)
    parameters[i] += 0.02f * noise[i];
  ok(glow_model_prepare(model));
  ok(glow_model_set_initialised(model));
  glow_rng_destroy(&rng);
  free(noise);
  return model;
}

static inline float *copy_of_parameters(const glow_model *model) {
  size_t bytes = (size_t)glow_model_parameter_count(model) * sizeof(float);
  float *copy = malloc(bytes);
  assert_non_null(copy);
  return memcpy(copy, glow_model_parameters(model), bytes);
}

static inline void same_bits(const glow_model *model, const float *parameters) {
  assert_memory_equal(glow_model_parameters(model), parameters,
                      (size_t)glow_model_parameter_count(model) * sizeof(float));
}

/* Smooth pictures with some noise, from a seed. */
static inline uint8_t *new_pixels(glow_context *context, const glow_model *model, int64_t count,
                                  uint64_t seed) {
  int64_t dims = glow_model_dims(model), elements = count * dims;
  uint8_t *pixels = malloc((size_t)elements);
  float *u = malloc((size_t)(elements + count) * sizeof *u);
  glow_rng *rng = NULL;
  assert_non_null(pixels);
  assert_non_null(u);
  ok(glow_rng_create(context, seed, &rng));
  ok(glow_rng_uniform(rng, u, elements + count));
  for (int64_t i = 0; i < elements; i++)
    pixels[i] = (uint8_t)(180.0f * u[elements + i / dims] +
                          40.0f * (float)(i % dims) / (float)dims + 30.0f * u[i]);
  glow_rng_destroy(&rng);
  free(u);
  return pixels;
}

static inline float *new_input(glow_context *context, const glow_model *model, int64_t count,
                               uint64_t seed) {
  uint8_t *pixels = new_pixels(context, model, count, seed);
  float *x = malloc((size_t)(count * glow_model_dims(model)) * sizeof *x);
  assert_non_null(x);
  ok(glow_model_dequantise(model, pixels, count, seed, 0, x));
  free(pixels);
  return x;
}

/* glow_trainer_run without a report. */
static inline glow_status run(glow_trainer *trainer, int64_t steps, int64_t batch,
                              glow_next_fn next, void *payload, glow_progress_fn progress,
                              void *progress_payload) {
  glow_run_options o = GLOW_RUN_OPTIONS_INIT;
  o.steps = steps;
  o.batch = batch;
  o.next = next;
  o.next_payload = payload;
  o.progress = progress;
  o.progress_payload = progress_payload;
  return glow_trainer_run(trainer, &o, NULL);
}

/* |a - b| / |b| in Euclidean norms. */
static inline double relative(const float *a, const float *b, int64_t count) {
  double difference = 0.0, norm = 0.0;
  for (int64_t i = 0; i < count; i++) {
    difference += ((double)a[i] - b[i]) * ((double)a[i] - b[i]);
    norm += (double)b[i] * b[i];
  }
  return sqrt(difference) / (sqrt(norm) + 1e-30);
}

#endif
