/* All that a thread does with models fits a stack of 128 KB, which is what musl gives threads that
 * do not ask for more. SPDX-License-Identifier: MIT */
#include <glow/glow.h>
#include <pthread.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdlib.h>

#include <cmocka.h>

#include "../support/model_helpers.h"

enum { STACK_BYTES = 128 << 10, COUNT = 4, FILE_BYTES = 1 << 20 };

/* A status, since a check of CMocka must not fail on another thread than the test's. */
typedef struct work {
  glow_context *context;
  glow_model *model, *loaded;
  glow_trainer *trainer;
  glow_workspace *workspace;
  float x[COUNT * 8 * 8 * 2];
  char file[FILE_BYTES];
  glow_status status;
  char text[200];
} work;

static glow_status train(work *w) {
  glow_glow_options options = helper_small_glow();
  glow_trainer_options t = GLOW_TRAINER_OPTIONS_INIT;
  t.mode = GLOW_MODE_RECONSTRUCTED;
  GLOW_TRY(glow_context_create(NULL, &w->context));
  GLOW_TRY(glow_model_create_glow(w->context, &options, &w->model));
  GLOW_TRY(glow_trainer_create(w->model, &t, &w->trainer));
  GLOW_TRY(glow_trainer_initialise(w->trainer, w->x, NULL, COUNT));
  return glow_trainer_step(w->trainer, w->x, NULL, COUNT, NULL);
}

static glow_status save_and_load(work *w, int32_t storage) {
  glow_output output = GLOW_OUTPUT_INIT;
  glow_input input = GLOW_INPUT_INIT;
  size_t size = 0;
  output.buffer = w->file;
  output.capacity = sizeof w->file;
  output.written = &size;
  output.storage = storage;
  GLOW_TRY(glow_model_save_output(w->model, &output));
  input.data = w->file;
  input.size = (int64_t)size;
  GLOW_TRY(glow_model_fill(w->model, &input, NULL, NULL));
  glow_model_destroy(&w->loaded);
  return glow_model_load_input(w->context, &input, &w->loaded);
}

static glow_status use(work *w) {
  double log_prob[COUNT];
  GLOW_TRY(glow_workspace_create(w->loaded, NULL, &w->workspace));
  GLOW_TRY(glow_workspace_log_prob(w->workspace, w->x, NULL, COUNT, log_prob));
  return glow_workspace_sample(w->workspace, COUNT, NULL, w->x);
}

static void *run(void *payload) {
  work *w = payload;
  w->status = train(w);
  if (w->status == GLOW_OK)
    w->status = save_and_load(w, GLOW_TYPE_F32);
  if (w->status == GLOW_OK)
    w->status = save_and_load(w, GLOW_TYPE_BF16);
  if (w->status == GLOW_OK)
    w->status = use(w);
  snprintf(w->text, sizeof w->text, "%s", glow_last_error());
  glow_workspace_destroy(&w->workspace);
  glow_trainer_destroy(&w->trainer);
  glow_model_destroy(&w->loaded);
  glow_model_destroy(&w->model);
  glow_context_destroy(&w->context);
  return NULL;
}

static void test_small_stack(void **state) {
  static work w;
  pthread_attr_t attributes;
  pthread_t thread;
  helper_random random = helper_random_of(1);
  (void)state;
  helper_normals(&random, 0.1f, w.x, sizeof w.x / sizeof *w.x);
  assert_int_equal(pthread_attr_init(&attributes), 0);
  assert_int_equal(pthread_attr_setstacksize(&attributes, STACK_BYTES), 0);
  assert_int_equal(pthread_create(&thread, &attributes, run, &w), 0);
  pthread_attr_destroy(&attributes);
  assert_int_equal(pthread_join(thread, NULL), 0);
  if (w.status != GLOW_OK)
    fail_msg("%s", w.text);
}

int main(void) {
  const struct CMUnitTest tests[] = {cmocka_unit_test(test_small_stack)};
  return cmocka_run_group_tests(tests, NULL, NULL);
}
