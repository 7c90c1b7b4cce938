/* What the tests of checkpoints share: training runs of many kinds whose batches depend on the
 * number of the step alone. SPDX-License-Identifier: MIT */
#ifndef GLOW_TEST_CHECKPOINT_CASE_H
#define GLOW_TEST_CHECKPOINT_CASE_H

#include <stdio.h>

#include "../support/temp_folder.h"
#include "../train/fixture.h"

enum { CASE_VARIANTS = 4, CASE_BATCH = 5, CASE_CLASSES = 3 };

static inline int make_folder(void **state) {
  (void)state;
  return temp_folder_make(NULL) ? 0 : -1;
}

static inline int remove_folder(void **state) {
  (void)state;
  return temp_folder_remove() ? 0 : -1;
}

typedef struct bench {
  glow_context *context;
  glow_model *model;
  glow_trainer *trainer;
} bench;

/* Variant 0: average, clipping, decay, cosine with warm-up, micro-batches. 1: nothing of that.
 * 2: average, exponential. 3: clipping by norm, warm-up alone. 2 and 3 have rate factors. */
static inline bench open_case(uint32_t threads, int32_t optimizer, int32_t mode, int variant) {
  bench b = {new_context(threads, NULL), NULL, NULL};
  glow_glow_options m = GLOW_GLOW_OPTIONS_INIT;
  glow_optimizer_options o = GLOW_OPTIMIZER_OPTIONS_INIT;
  glow_schedule s = GLOW_SCHEDULE_INIT;
  glow_trainer_options t = GLOW_TRAINER_OPTIONS_INIT;
  m.input = (glow_shape){4, 4, 1};
  m.levels = m.depth = 1;
  m.hidden = 4;
  m.classes = variant == 1 ? 0 : CASE_CLASSES;
  b.model = new_stirred_model(b.context, &m);
  o.kind = optimizer;
  s.kind = variant == 0   ? GLOW_SCHEDULE_COSINE
           : variant == 2 ? GLOW_SCHEDULE_EXPONENTIAL
                          : GLOW_SCHEDULE_CONSTANT;
  s.rate = optimizer == GLOW_OPTIMIZER_SGD ? 1e-2 / 3.0 : 1e-2;
  s.warmup = variant == 1 ? 0 : 3;
  s.final = 0.125;
  s.steps = 30;
  o.weight_decay = variant == 0 ? 0.01 : 0.0;
  t.optimizer = &o;
  t.schedule = &s;
  t.micro_batch = variant == 0 ? 3 : 5;
  t.mode = mode;
  t.average = variant % 2 == 0;
  t.average_decay = 0.75;
  t.clip_norm = variant == 0 ? 2.5 : variant == 3 ? 0.5 : 0.0;
  t.clip_value = variant == 0 ? 0.5 : 0.0;
  t.seed = 12345;
  ok(glow_trainer_create(b.model, &t, &b.trainer));
  if (variant == 2 || variant == 3) {
    ok(glow_trainer_set_rate_factor(b.trainer, "level0.step0", 1.0 / 3.0));
    ok(glow_trainer_set_rate_factor(b.trainer, "level0.step0.coupling.net.conv2", 0.0));
  }
  return b;
}

static inline void close_bench(bench *b) {
  glow_trainer_destroy(&b->trainer);
  glow_model_destroy(&b->model);
  glow_context_destroy(&b->context);
}

static inline void make_steps(glow_trainer *trainer, const glow_model *model, int steps,
                              bool pixels) {
  glow_context *context = new_context(1, NULL);
  for (int i = 0; i < steps; i++) {
    uint64_t seed = (uint64_t)glow_trainer_step_count(trainer) + 1;
    uint8_t *p = new_pixels(context, model, CASE_BATCH, seed);
    float *x = new_input(context, model, CASE_BATCH, seed);
    int32_t labels[CASE_BATCH];
    const int32_t *given = glow_model_class_count(model) ? labels : NULL;
    for (int k = 0; k < CASE_BATCH; k++)
      labels[k] = (int32_t)((seed + (uint64_t)k) % CASE_CLASSES);
    ok(pixels ? glow_trainer_step_pixels(trainer, p, given, CASE_BATCH, NULL)
              : glow_trainer_step(trainer, x, given, CASE_BATCH, NULL));
    free(x);
    free(p);
  }
  glow_context_destroy(&context);
}

static inline void save_case(const glow_trainer *trainer, const char *path, const char *kind) {
  const char *notes[] = {"kind", kind};
  ok(glow_checkpoint_save(trainer, path, notes, 1));
}

static inline bool same_files(const char *a, const char *b) {
  FILE *x = fopen(a, "rb"), *y = fopen(b, "rb");
  assert_true(x && y);
  int c, d;
  do {
    c = getc(x);
    d = getc(y);
  } while (c == d && c != EOF);
  fclose(x);
  fclose(y);
  return c == d;
}

#endif
