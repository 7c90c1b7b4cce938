/* References: whatever is made of a context is destroyed in any order, on any thread, and
 * everything goes with the last of it. SPDX-License-Identifier: MIT */
#include "../support/model_helpers.h"

#include <pthread.h>

enum { DIMS = 8 * 8 * 2 };

/* ---- all orders ------------------------------------------------------------------------------ */

/* Everything that may outlive something else. */
typedef struct family {
  glow_context *context;
  glow_model *model;
  glow_workspace *workspace;
  glow_optimizer *optimizer;
  glow_trainer *trainer;
  glow_diagnosis *diagnosis;
  glow_rng *rng;
} family;
enum { MEMBERS = 7 };

static void ended(void *payload) {
  ++*(int *)payload;
}

static family family_make(helper_memory *memory, int *ends) {
  glow_context_options o = GLOW_CONTEXT_OPTIONS_INIT;
  glow_allocator allocator = helper_allocator(memory);
  family f = {0};
  o.allocator = &allocator;
  o.end = ended;
  o.end_payload = ends;
  OK(glow_context_create(&o, &f.context));
  f.model = helper_glow(f.context, NULL, 1);
  f.workspace = helper_workspace(f.model, 1, GLOW_MODE_INFERENCE);
  OK(glow_optimizer_create(f.model, NULL, &f.optimizer));
  OK(glow_trainer_create(f.model, NULL, &f.trainer));
  OK(glow_workspace_diagnose(f.workspace, NULL, &f.diagnosis));
  OK(glow_rng_create(f.context, 1, &f.rng));
  return f;
}

static void family_destroy(family *f, int member) {
  switch (member) {
  case 0: glow_context_destroy(&f->context); break;
  case 1: glow_model_destroy(&f->model); break;
  case 2: glow_workspace_destroy(&f->workspace); break;
  case 3: glow_optimizer_destroy(&f->optimizer); break;
  case 4: glow_trainer_destroy(&f->trainer); break;
  case 5: glow_diagnosis_destroy(&f->diagnosis); break;
  default: glow_rng_destroy(&f->rng); break;
  }
}

/* What is still there works, whatever has gone. */
static void family_use(const family *f) {
  static const float x[DIMS];
  glow_layer_diagnosis layer = GLOW_LAYER_DIAGNOSIS_INIT;
  double log_prob;
  float number;
  if (f->workspace)
    OK(glow_workspace_log_prob(f->workspace, x, NULL, 1, &log_prob));
  if (f->optimizer)
    assert_true(glow_optimizer_rate_factor(f->optimizer, "prior.mean") == 1);
  if (f->trainer)
    OK(glow_trainer_step(f->trainer, x, NULL, 1, NULL));
  if (f->diagnosis) {
    OK(glow_diagnosis_layer(f->diagnosis, 0, &layer));
    assert_true(strlen(layer.name) > 0);
  }
  if (f->rng)
    OK(glow_rng_uniform(f->rng, &number, 1));
}

/* The `number`th order of the members. */
static void order_of(int number, int *order) {
  for (int i = 0; i < MEMBERS; i++)
    order[i] = i;
  for (int i = MEMBERS - 1; i > 0; i--, number /= MEMBERS) {
    int other = number % (i + 1), kept = order[i];
    order[i] = order[other];
    order[other] = kept;
  }
}

static void test_any_order(void **state) {
  (void)state;
  for (int number = 0; number < 700; number += 7) {
    helper_memory memory = {0};
    int order[MEMBERS], ends = 0;
    order_of(number, order);
    family f = family_make(&memory, &ends);
    for (int i = 0; i < MEMBERS; i++) {
      assert_int_equal(ends, 0);
      family_use(&f);
      family_destroy(&f, order[i]);
    }
    assert_int_equal(ends, 1);
    assert_int_equal(memory.live, 0);
  }
}

/* ---- parts of a model ------------------------------------------------------------------------ */

/* The context's own reference is given up first, while parts are lying about. */
static void test_parts(void **state) {
  const glow_shape shape = {4, 4, 4};
  helper_memory memory = {0};
  glow_context *context = helper_context(2, NULL, &memory);
  glow_builder *builder = NULL;
  glow_layer *layer = NULL;
  glow_net *net = NULL;
  (void)state;
  OK(glow_builder_create(context, &shape, NULL, &builder));
  OK(glow_conv_net_create(context, NULL, &net));
  glow_context_destroy(&context);
  glow_builder_destroy(&builder);
  assert_int_not_equal(memory.live, 0);
  glow_net_destroy(&net);
  assert_int_equal(memory.live, 0);
  context = helper_context(1, NULL, &memory);
  OK(glow_squeeze_create(context, NULL, &layer));
  glow_context_destroy(&context);
  glow_layer_destroy(&layer);
  assert_int_equal(memory.live, 0);
}

/* A call that consumes the last object of a context, and fails: the context goes with it. */
static void test_consumed(void **state) {
  const glow_shape shape = {4, 4, 4};
  helper_memory memory = {0};
  (void)state;
  for (int way = 0; way < 3; way++) {
    glow_context *context = helper_context(1, NULL, &memory);
    glow_builder *builder = NULL;
    glow_layer *layer = NULL;
    glow_model *model = NULL;
    OK(way == 2 ? glow_squeeze_create(context, NULL, &layer)
                : glow_builder_create(context, &shape, NULL, &builder));
    glow_context_destroy(&context);
    if (way == 0)
      REFUSED(glow_builder_finish(&builder, NULL), GLOW_E_ARGUMENT, "NULL argument");
    else if (way == 1)
      REFUSED(glow_builder_finish(&builder, &model), GLOW_E_SHAPE, "");
    else
      REFUSED(glow_builder_add(NULL, "layer", &layer), GLOW_E_ARGUMENT, "no builder");
    assert_int_equal(memory.live, 0);
  }
}

/* ---- references of the caller's own ---------------------------------------------------------- */

static void test_retain(void **state) {
  static const float x[DIMS];
  helper_memory memory = {0};
  glow_context *context = helper_context(1, NULL, &memory), *shared = glow_context_retain(context);
  double log_prob;
  (void)state;
  assert_ptr_equal(shared, context);
  glow_context_destroy(&context);
  assert_null(context);
  glow_model *model = helper_glow(shared, NULL, 1), *other = glow_model_retain(model);
  glow_context_destroy(&shared);
  glow_model_destroy(&model);
  glow_workspace *ws = helper_workspace(other, 1, GLOW_MODE_INFERENCE);
  glow_model_destroy(&other);
  OK(glow_workspace_log_prob(ws, x, NULL, 1, &log_prob));
  glow_workspace_destroy(&ws);
  assert_int_equal(memory.live, 0);
  assert_null(glow_context_retain(NULL));
  assert_null(glow_model_retain(NULL));
}

/* No call of `end` for a context that was not made. */
static void test_end_after_failure(void **state) {
  glow_context_options o = GLOW_CONTEXT_OPTIONS_INIT;
  glow_context *context = NULL;
  int ends = 0;
  (void)state;
  o.end = ended;
  o.end_payload = &ends;
  o.kernels = "none of these";
  REFUSED(glow_context_create(&o, &context), GLOW_E_UNSUPPORTED, "no kernels");
  assert_int_equal(ends, 0);
}

/* ---- threads --------------------------------------------------------------------------------- */

enum { THREADS = 4, ROUNDS = 50 };

/* Makes and destroys workspaces of a shared model, and gives up its reference at the end. */
static void *use_and_leave(void *argument) {
  glow_model *model = argument;
  glow_workspace *last = NULL;
  for (int i = 0; i < ROUNDS; i++) {
    glow_workspace_options o = GLOW_WORKSPACE_OPTIONS_INIT;
    glow_workspace *ws = NULL;
    o.batch = 1;
    if (glow_workspace_create(model, &o, &ws) != GLOW_OK)
      return NULL;
    glow_workspace_destroy(&last);
    last = ws;
  }
  glow_model_destroy(&model);
  glow_workspace_destroy(&last);
  return argument;
}

static void test_threads(void **state) {
  pthread_t threads[THREADS];
  glow_context_options o = GLOW_CONTEXT_OPTIONS_INIT;
  glow_context *context = NULL;
  int ends = 0;
  (void)state;
  o.end = ended;
  o.end_payload = &ends;
  OK(glow_context_create(&o, &context));
  glow_model *model = helper_glow(context, NULL, 1);
  for (int i = 0; i < THREADS; i++)
    assert_int_equal(pthread_create(&threads[i], NULL, use_and_leave, glow_model_retain(model)), 0);
  glow_context_destroy(&context);
  glow_model_destroy(&model);
  for (int i = 0; i < THREADS; i++) {
    void *result = NULL;
    assert_int_equal(pthread_join(threads[i], &result), 0);
    assert_non_null(result);
  }
  assert_int_equal(ends, 1);
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(test_any_order),         cmocka_unit_test(test_parts),
      cmocka_unit_test(test_consumed),          cmocka_unit_test(test_retain),
      cmocka_unit_test(test_end_after_failure), cmocka_unit_test(test_threads),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
