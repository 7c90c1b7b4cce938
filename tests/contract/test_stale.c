/* Handles that were destroyed, and are used through a second pointer: in debug builds each function
 * says so, by the kind of the handle, and reads nothing of it. In other builds it is a fault of the
 * caller that nothing looks for, so there is nothing to test. SPDX-License-Identifier: MIT */
#include "../support/model_helpers.h"
#include "../support/temp_folder.h"

#ifdef GLOW_DEBUG

static glow_context *context;
static helper_memory memory;

static const char gone[] = "was destroyed, or never was one";

/* A status, and a text that names kind and function. */
#define STALE(call, kind) REFUSED((call), GLOW_E_ARGUMENT, ": the " kind " was destroyed")

static glow_model *new_model(void) {
  return helper_glow(context, NULL, 1);
}

static void test_model(void **state) {
  glow_workspace_options o = GLOW_WORKSPACE_OPTIONS_INIT;
  glow_workspace *ws = NULL;
  glow_trainer *trainer = NULL;
  glow_model *model = new_model(), *stale = model, *form = NULL;
  glow_tensor_info info = GLOW_TENSOR_INFO_INIT;
  uint64_t bytes = 0;
  float value = 0;
  (void)state;
  glow_model_destroy(&model);
  o.batch = 1;
  STALE(glow_model_prepare(stale), "model");
  STALE(glow_model_tensor(stale, 0, &info), "model");
  STALE(glow_model_get_tensor(stale, "prior.mean", &value, 1), "model");
  STALE(glow_workspace_create(stale, &o, &ws), "model");
  STALE(glow_workspace_plan_bytes(stale, &o, &bytes), "model");
  STALE(glow_trainer_create(stale, NULL, &trainer), "model");
  STALE(glow_model_inference_form(stale, &form), "model");
  assert_true(!ws && !trainer && !form);
  assert_int_equal(glow_model_dims(stale), 0);
  assert_null(glow_model_parameters_mutable(stale));
  assert_true(isnan(glow_model_bits_per_dim(stale, 0.0)));
  if (helper_has_files())
    STALE(glow_model_save(stale, temp_path("never")), "model");
  glow_model_destroy(&stale); /* twice */
  assert_non_null(strstr(glow_last_error(), gone));
}

static void test_diagnosis(void **state) {
  glow_model *model = new_model();
  glow_workspace *ws = helper_workspace(model, 1, GLOW_MODE_INFERENCE);
  glow_layer_diagnosis layer = GLOW_LAYER_DIAGNOSIS_INIT;
  glow_model_diagnosis whole = GLOW_MODEL_DIAGNOSIS_INIT;
  glow_diagnosis *diagnosis = NULL, *stale;
  (void)state;
  OK(glow_workspace_diagnose(ws, NULL, &diagnosis));
  stale = diagnosis;
  glow_diagnosis_destroy(&diagnosis);
  STALE(glow_diagnosis_layer(stale, 0, &layer), "diagnosis");
  STALE(glow_diagnosis_model(stale, &whole), "diagnosis");
  glow_diagnosis_destroy(&stale); /* twice */
  assert_non_null(strstr(glow_last_error(), gone));
  glow_workspace_destroy(&ws);
  glow_model_destroy(&model);
}

static void test_workspace(void **state) {
  static const float x[8 * 8 * 2];
  glow_model *model = new_model();
  glow_workspace *ws = helper_workspace(model, 1, GLOW_MODE_STORED), *stale = ws;
  glow_backward_options backward = GLOW_BACKWARD_OPTIONS_INIT;
  glow_workspace_info info = GLOW_WORKSPACE_INFO_INIT;
  double log_prob;
  float out[8 * 8 * 2];
  (void)state;
  glow_workspace_destroy(&ws);
  STALE(glow_workspace_forward(stale, x, 1, NULL), "workspace");
  STALE(glow_workspace_log_prob(stale, x, NULL, 1, &log_prob), "workspace");
  STALE(glow_workspace_inverse(stale, x, 1, NULL, out), "workspace");
  STALE(glow_workspace_sample(stale, 1, NULL, out), "workspace");
  STALE(glow_workspace_backward(stale, &backward), "workspace");
  STALE(glow_workspace_initialise(stale, model, x, NULL, 1), "workspace");
  STALE(glow_workspace_get_info(stale, &info), "workspace");
  STALE(glow_workspace_cancel(stale, 1), "workspace");
  assert_null(glow_workspace_gradients(stale));
  glow_workspace_destroy(&stale);
  glow_model_destroy(&model);
}

/* A model that its workspace holds is no stale handle; once the workspace has gone, it is. */
static void test_model_first(void **state) {
  static const float x[8 * 8 * 2];
  glow_model *model = new_model(), *stale = model;
  glow_workspace *ws = helper_workspace(model, 1, GLOW_MODE_INFERENCE);
  double log_prob;
  (void)state;
  glow_model_destroy(&model);
  OK(glow_workspace_log_prob(ws, x, NULL, 1, &log_prob));
  glow_workspace_destroy(&ws);
  STALE(glow_model_prepare(stale), "model");
}

static void test_trainer(void **state) {
  static const float x[8 * 8 * 2];
  glow_model *model = new_model();
  glow_trainer *trainer = NULL, *stale;
  glow_optimizer *optimizer = NULL, *old;
  (void)state;
  OK(glow_trainer_create(model, NULL, &trainer));
  OK(glow_optimizer_create(model, NULL, &optimizer));
  stale = trainer;
  old = optimizer;
  glow_trainer_destroy(&trainer);
  glow_optimizer_destroy(&optimizer);
  STALE(glow_trainer_step(stale, x, NULL, 1, NULL), "trainer");
  STALE(glow_trainer_use_average(stale, 1), "trainer");
  assert_int_equal(glow_trainer_step_count(stale), 0);
  assert_null(glow_trainer_workspace(stale));
  if (helper_has_files())
    STALE(glow_checkpoint_save(stale, temp_path("never"), NULL, 0), "trainer");
  glow_trainer_destroy(&stale);
  STALE(glow_optimizer_step(old, model, glow_model_parameters(model), 0.1), "optimizer");
  glow_optimizer_destroy(&old);
  glow_model_destroy(&model);
}

static void test_parts(void **state) {
  const glow_shape shape = {2, 2, 2};
  glow_builder *builder = NULL, *old_builder;
  glow_layer *layer = NULL, *old_layer;
  glow_net *net = NULL, *old_net;
  glow_rng *rng = NULL, *old_rng;
  float value;
  (void)state;
  OK(glow_builder_create(context, &shape, NULL, &builder));
  OK(glow_squeeze_create(context, NULL, &layer));
  old_layer = layer;
  glow_layer_destroy(&layer);
  STALE(glow_builder_add(builder, "a", &old_layer), "layer");
  old_builder = builder;
  glow_builder_destroy(&builder);
  STALE(glow_builder_shape(old_builder, &(glow_shape){0, 0, 0}), "builder");
  glow_builder_destroy(&old_builder);
  OK(glow_mlp_net_create(context, NULL, &net));
  old_net = net;
  glow_net_destroy(&net);
  STALE(glow_coupling_create(context, NULL, &old_net, &layer), "net");
  assert_null(layer);
  OK(glow_rng_create(context, 1, &rng));
  old_rng = rng;
  glow_rng_destroy(&rng);
  STALE(glow_rng_uniform(old_rng, &value, 1), "random number generator");
}

static void test_context(void **state) {
  const glow_shape shape = {2, 2, 2};
  glow_context *own = helper_context(1, NULL, NULL), *stale = own;
  glow_builder *builder = NULL;
  glow_layer *layer = NULL, *left = NULL;
  (void)state;
  OK(glow_squeeze_create(own, NULL, &left));
  glow_context_destroy(&own);
  assert_int_equal(glow_context_workers(stale), 1); /* the layer holds it */
  glow_layer_destroy(&left);
  STALE(glow_builder_create(stale, &shape, NULL, &builder), "context");
  STALE(glow_squeeze_create(stale, NULL, &layer), "context");
  assert_int_equal(glow_context_workers(stale), 0);
  glow_context_destroy(&stale);
  assert_non_null(strstr(glow_last_error(), "context was destroyed"));
}

/* Something that never was a handle, and one of another kind. */
static void test_other_things(void **state) {
  double thing[64] = {0};
  glow_model *model = new_model();
  (void)state;
  STALE(glow_model_prepare((glow_model *)(void *)thing), "model");
  STALE(glow_workspace_cancel((glow_workspace *)(void *)model, 1), "workspace");
  glow_model_destroy(&model);
}

static int set_up(void **state) {
  (void)state;
  context = helper_context(1, NULL, &memory);
  return temp_folder_make(NULL) ? 0 : -1;
}

static int tear_down(void **state) {
  (void)state;
  glow_context_destroy(&context);
  return temp_folder_remove() ? 0 : -1;
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(test_model),     cmocka_unit_test(test_diagnosis),
      cmocka_unit_test(test_workspace), cmocka_unit_test(test_model_first),
      cmocka_unit_test(test_trainer),   cmocka_unit_test(test_parts),
      cmocka_unit_test(test_context),   cmocka_unit_test(test_other_things),
  };
  return cmocka_run_group_tests(tests, set_up, tear_down);
}

#else

int main(void) {
  puts("stale handles are recognised in builds of type debug");
  return 77; /* skipped */
}

#endif
