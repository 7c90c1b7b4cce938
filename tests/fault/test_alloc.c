/* The n-th allocation fails, for n = 1, 2, 3, ... until a run sees no failure: creating and
 * destroying every object, the preset, initialisation, a training step. Each time the status is
 * GLOW_E_MEMORY, nothing leaks, and what was there before is as it was. Files: test_alloc_files.c.
 * SPDX-License-Identifier: MIT */
#include "../support/model_helpers.h"

enum { MOST = 20000, BATCH = 2 };

/* What runs with failing memory: returns its status, having freed all that it made. */
typedef glow_status (*scenario)(glow_context *context, void *payload);

static glow_status in_new_context(const glow_allocator *allocator, uint32_t threads, scenario run,
                                  void *payload) {
  glow_context_options o = GLOW_CONTEXT_OPTIONS_INIT;
  glow_context *context = NULL;
  o.allocator = allocator;
  o.threads = threads;
  glow_status status = glow_context_create(&o, &context);
  if (status != GLOW_OK)
    assert_null(context);
  else
    status = run(context, payload);
  glow_context_destroy(&context);
  return status;
}

/* Fails each allocation in turn, those of the context too. */
static void fail_each(uint32_t threads, scenario run, void *payload) {
  for (int64_t n = 1; n < MOST; n++) {
    helper_memory memory = {.fail_at = n};
    glow_allocator allocator = helper_allocator(&memory);
    glow_status status = in_new_context(&allocator, threads, run, payload);
    if (memory.live != 0)
      fail_msg("allocation %lld failing: %lld blocks leaked", (long long)n, (long long)memory.live);
    if (!memory.failures) {
      assert_int_equal(status, GLOW_OK);
      assert_true(n > 1);
      return;
    }
    if (status != GLOW_E_MEMORY)
      fail_msg("allocation %lld failing: status %s (%s)", (long long)n, glow_status_name(status),
               glow_last_error());
  }
  fail_msg("no end of allocations");
}

/* ---- objects --------------------------------------------------------------------------------- */

static glow_status nothing(glow_context *context, void *payload) {
  (void)context;
  (void)payload;
  return GLOW_OK;
}

static void test_context(void **state) {
  (void)state;
  fail_each(0, nothing, NULL);
  fail_each(3, nothing, NULL);
}

static glow_status make_rng(glow_context *context, void *payload) {
  glow_rng *rng = NULL;
  (void)payload;
  glow_status status = glow_rng_create(context, 1, &rng);
  glow_rng_destroy(&rng);
  return status;
}

static void test_rng(void **state) {
  (void)state;
  fail_each(0, make_rng, NULL);
}

/* Each layer with its net, in a builder, to a model. */
static glow_status make_layer_model(glow_context *context, void *payload) {
  const glow_shape shape = {4, 4, 4};
  glow_model *model = NULL;
  glow_status status = helper_create_model(context, payload, &shape, 5, &model);
  assert_true((status == GLOW_OK) == (model != NULL));
  glow_model_destroy(&model);
  return status;
}

static void test_layers(void **state) {
  const glow_shape shape = {4, 4, 4};
  (void)state;
  for (int32_t i = 0; i < helper_layer_count; i++)
    if (helper_layer_fits(&helper_layers[i], &shape))
      fail_each(0, make_layer_model, (void *)(uintptr_t)&helper_layers[i]);
}

static glow_glow_options tiny(int32_t permutation) {
  glow_glow_options o = GLOW_GLOW_OPTIONS_INIT;
  o.input = (glow_shape){4, 4, 2};
  o.levels = 2;
  o.depth = 1;
  o.hidden = 3;
  o.permutation = permutation;
  o.seed = 9;
  return o;
}

static glow_status make_preset(glow_context *context, void *payload) {
  glow_glow_options o = tiny(*(int32_t *)payload);
  glow_model *model = NULL;
  glow_status status = glow_model_create_glow(context, &o, &model);
  glow_model_destroy(&model);
  return status;
}

static void test_preset(void **state) {
  (void)state;
  for (int32_t p = GLOW_PERMUTATION_REVERSE; p <= GLOW_PERMUTATION_INVCONV_LU; p++)
    fail_each(0, make_preset, &p);
}

static glow_status make_realnvp(glow_context *context, void *payload) {
  glow_realnvp_options o = GLOW_REALNVP_OPTIONS_INIT;
  glow_model *model = NULL;
  (void)payload;
  o.input = (glow_shape){4, 4, 1};
  o.hidden = 2;
  o.blocks = 1;
  glow_status status = glow_model_create_realnvp(context, &o, &model);
  assert_true((status == GLOW_OK) == (model != NULL));
  glow_model_destroy(&model);
  return status;
}

static void test_realnvp(void **state) {
  (void)state;
  fail_each(0, make_realnvp, NULL);
}

/* ---- what is done with a model that exists --------------------------------------------------- */

typedef struct fixture {
  glow_model *model;
  float *before; /* its parameters */
  const float *x;
  int32_t mode;
  uint64_t limit; /* of GLOW_MODE_BUDGET: one byte too few for all layers */
} fixture;

typedef glow_status (*action)(fixture *f);

/* Makes a model with good memory, then lets the n-th allocation of the action fail. */
static void fail_each_of_action(action run, bool initialised, bool may_change, int32_t mode) {
  helper_random random = helper_random_of(7);
  float *x = helper_new_normals(&random, 0.1f, BATCH * 4 * 4 * 2);
  for (int64_t n = 1; n < MOST; n++) {
    helper_memory memory = {0};
    glow_context *context = helper_context(1, NULL, &memory);
    glow_glow_options o = tiny(GLOW_PERMUTATION_INVCONV_LU);
    fixture f = {.x = x, .mode = mode};
    OK(glow_model_create_glow(context, &o, &f.model));
    if (initialised)
      helper_perturb(f.model, &random, 0.05f);
    size_t bytes = (size_t)glow_model_parameter_count(f.model) * sizeof(float);
    f.before = helper_allocate(bytes);
    memcpy(f.before, glow_model_parameters(f.model), bytes);
    f.limit = helper_limit_of_all(f.model, BATCH) - 1;
    int64_t live = memory.live;
    memory.fail_at = memory.calls + n;
    glow_status status = run(&f);
    bool failed = memory.failures > 0;
    assert_int_equal(memory.live, live);
    assert_int_equal(status, failed ? GLOW_E_MEMORY : GLOW_OK);
    if (failed || !may_change)
      assert_memory_equal(f.before, glow_model_parameters(f.model), bytes);
    if (failed && !initialised)
      assert_false(glow_model_initialised(f.model));
    free(f.before);
    glow_model_destroy(&f.model);
    glow_context_destroy(&context);
    assert_int_equal(memory.live, 0);
    if (!failed) {
      free(x);
      return;
    }
  }
  fail_msg("no end of allocations");
}

static glow_status make_workspace(fixture *f) {
  glow_workspace_options o = GLOW_WORKSPACE_OPTIONS_INIT;
  glow_workspace *ws = NULL;
  o.batch = BATCH;
  o.mode = f->mode;
  if (f->mode == GLOW_MODE_BUDGET) { /* so that a choice is made */
    o.memory_budget = f->limit;
    o.drift_bound = 0; /* else so small a model would rather keep all than room to run again */
  }
  glow_status status = glow_workspace_create(f->model, &o, &ws);
  assert_true((status == GLOW_OK) == (ws != NULL));
  glow_workspace_destroy(&ws);
  return status;
}

static void test_workspace(void **state) {
  (void)state;
  for (int32_t mode = GLOW_MODE_INFERENCE; mode <= GLOW_MODE_BUDGET; mode++)
    fail_each_of_action(make_workspace, true, false, mode);
}

static glow_status initialise(fixture *f) {
  glow_workspace_options o = GLOW_WORKSPACE_OPTIONS_INIT;
  glow_workspace *ws = NULL;
  glow_status status = glow_workspace_create(f->model, &o, &ws);
  if (status == GLOW_OK)
    status = glow_workspace_initialise(ws, f->model, f->x, NULL, BATCH);
  glow_workspace_destroy(&ws);
  return status;
}

static void test_initialise(void **state) {
  (void)state;
  fail_each_of_action(initialise, false, true, 0);
}

static glow_status train(fixture *f) {
  glow_trainer_options o = GLOW_TRAINER_OPTIONS_INIT;
  glow_trainer *trainer = NULL;
  o.micro_batch = 1;
  o.mode = f->mode;
  o.average = 1;
  glow_status status = glow_trainer_create(f->model, &o, &trainer);
  if (status == GLOW_OK)
    status = glow_trainer_step(trainer, f->x, NULL, BATCH, NULL);
  glow_trainer_destroy(&trainer);
  return status;
}

static void test_training_step(void **state) {
  (void)state;
  fail_each_of_action(train, true, true, GLOW_MODE_STORED);
  fail_each_of_action(train, true, true, GLOW_MODE_RECONSTRUCTED);
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(test_context),    cmocka_unit_test(test_rng),
      cmocka_unit_test(test_layers),     cmocka_unit_test(test_preset),
      cmocka_unit_test(test_realnvp),    cmocka_unit_test(test_workspace),
      cmocka_unit_test(test_initialise), cmocka_unit_test(test_training_step),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
