/* What the tests of passes share: a small model with classes, whose context counts memory and keeps
 * its log, and a batch. SPDX-License-Identifier: MIT */
#ifndef GLOW_TEST_PASSES_H
#define GLOW_TEST_PASSES_H

#include "../support/model_helpers.h"

enum { BATCH = 7 };

typedef struct bench {
  helper_memory memory;
  glow_context *context;
  glow_model *model;
  int64_t dims;
  float *x, *y, *z; /* [BATCH, dims] */
  int32_t labels[BATCH];
  char log[4000];
} bench;

static inline void keep_log(int32_t level, const char *text, void *payload) {
  bench *b = payload;
  size_t used = strlen(b->log);
  snprintf(b->log + used, sizeof b->log - used, "%d %s\n", (int)level, text);
}

/* Two levels, three classes. The plain kernels, whose bits do not depend on the batch, on two
 * threads. */
static inline int open_bench(void **state) {
  bench *b = helper_allocate(sizeof *b);
  glow_context_options options = GLOW_CONTEXT_OPTIONS_INIT;
  glow_glow_options o = helper_small_glow();
  helper_random random = helper_random_of(1);
  memset(b, 0, sizeof *b);
  glow_allocator allocator = helper_allocator(&b->memory);
  options.allocator = &allocator;
  options.threads = 2;
  options.kernels = "c";
  options.log = keep_log;
  options.log_payload = b;
  OK(glow_context_create(&options, &b->context));
  o.classes = 3;
  b->model = helper_glow(b->context, &o, 2);
  b->dims = glow_model_dims(b->model);
  b->x = helper_new_normals(&random, 0.3f, BATCH * b->dims);
  b->y = helper_allocate((size_t)(BATCH * b->dims) * sizeof(float));
  b->z = helper_new_normals(&random, 1.0f, BATCH * b->dims);
  for (int i = 0; i < BATCH; i++)
    b->labels[i] = i % 3;
  *state = b;
  return 0;
}

static inline int close_bench(void **state) {
  bench *b = *state;
  glow_model_destroy(&b->model);
  glow_context_destroy(&b->context);
  assert_int_equal(b->memory.live, 0);
  free(b->x);
  free(b->y);
  free(b->z);
  free(b);
  return 0;
}

static inline size_t batch_bytes(const bench *b) {
  return (size_t)(BATCH * b->dims) * sizeof(float);
}

/* The same model without the mark of being initialised, from other parameters. */
static inline glow_model *fresh_model(const bench *b) {
  glow_glow_options o = helper_small_glow();
  glow_model *model = NULL;
  o.classes = 3;
  OK(glow_model_create_glow(b->context, &o, &model));
  return model;
}

#define TEST(name) cmocka_unit_test_setup_teardown(test_##name, open_bench, close_bench)

#endif
