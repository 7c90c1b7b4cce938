/* Clones: the same results bit for bit, in the same context or another one, and nothing shared.
 * SPDX-License-Identifier: MIT */
#include "../support/model_helpers.h"

enum { COUNT = 3, DIMS = 8 * 8 * 2 };

static void log_probs(const glow_model *model, double *out) {
  helper_random random = helper_random_of(5);
  float *x = helper_new_normals(&random, 0.2f, COUNT * DIMS);
  glow_workspace *ws = helper_workspace(model, COUNT, GLOW_MODE_INFERENCE);
  OK(glow_workspace_log_prob(ws, x, NULL, COUNT, out));
  glow_workspace_destroy(&ws);
  free(x);
}

static void same_models(const glow_model *a, const glow_model *b) {
  double of_a[COUNT], of_b[COUNT];
  assert_int_equal(glow_model_tensor_count(a), glow_model_tensor_count(b));
  for (int32_t i = 0; i < glow_model_tensor_count(a); i++) {
    glow_tensor_info of = GLOW_TENSOR_INFO_INIT, other = GLOW_TENSOR_INFO_INIT;
    OK(glow_model_tensor(a, i, &of));
    OK(glow_model_tensor(b, i, &other));
    assert_string_equal(of.name, other.name);
    float *x = helper_allocate((size_t)of.elements * 4),
          *y = helper_allocate((size_t)of.elements * 4);
    OK(glow_model_get_tensor(a, of.name, x, of.elements));
    OK(glow_model_get_tensor(b, of.name, y, of.elements));
    assert_memory_equal(x, y, (size_t)of.elements * 4);
    free(x);
    free(y);
  }
  log_probs(a, of_a);
  log_probs(b, of_b);
  assert_memory_equal(of_a, of_b, sizeof of_a);
}

static void test_same(void **state) {
  helper_memory memory = {0};
  glow_context *context = helper_context(1, NULL, &memory);
  glow_model *model = helper_glow(context, NULL, 1), *clone = NULL;
  (void)state;
  OK(glow_model_set_metadata(model, "author", "someone"));
  OK(glow_model_clone(model, NULL, &clone));
  assert_int_equal(glow_model_bits(clone), glow_model_bits(model));
  assert_int_equal(glow_model_initialised(clone), 1);
  assert_string_equal(glow_model_metadata(clone, "author"), "someone");
  same_models(model, clone);
  /* nothing is shared */
  double before[COUNT], after[COUNT];
  log_probs(clone, before);
  for (int64_t i = 0; i < glow_model_parameter_count(model); i++)
    glow_model_parameters_mutable(model)[i] *= 1.25f;
  OK(glow_model_prepare(model));
  OK(glow_model_set_metadata(model, "author", NULL));
  glow_model_destroy(&model);
  log_probs(clone, after);
  assert_memory_equal(before, after, sizeof before);
  assert_string_equal(glow_model_metadata(clone, "author"), "someone");
  glow_model_destroy(&clone);
  glow_context_destroy(&context);
  assert_int_equal(memory.live, 0);
}

/* Into a context with threads and portable kernels: the same bits. */
static void test_other_context(void **state) {
  glow_context *from = helper_context(1, "c", NULL), *to = helper_context(3, "c", NULL);
  glow_model *model = helper_glow(from, NULL, 1), *clone = NULL;
  (void)state;
  OK(glow_model_clone(model, to, &clone));
  same_models(model, clone); /* results do not depend on threads */
  glow_context_destroy(&from);
  glow_model_destroy(&model);
  glow_context_destroy(&to);
  double log_prob[COUNT];
  log_probs(clone, log_prob);
  glow_model_destroy(&clone);
}

/* Every layer, with its fixed state; and models that are not initialised. */
static void test_every_layer(void **state) {
  const glow_shape shape = {4, 4, 4};
  glow_context *context = helper_context(1, NULL, NULL);
  (void)state;
  for (int32_t i = 0; i < helper_layer_count; i++) {
    glow_model *model = NULL, *clone = NULL;
    if (!helper_layer_fits(&helper_layers[i], &shape))
      continue;
    OK(helper_create_model(context, &helper_layers[i], &shape, 4, &model));
    OK(glow_model_clone(model, NULL, &clone));
    assert_int_equal(glow_model_initialised(clone), glow_model_initialised(model));
    assert_int_equal(glow_model_class_count(clone), glow_model_class_count(model));
    assert_int_equal(glow_model_parameter_count(clone), glow_model_parameter_count(model));
    assert_memory_equal(glow_model_parameters(clone), glow_model_parameters(model),
                        (size_t)glow_model_parameter_count(model) * sizeof(float));
    assert_int_equal(glow_model_bytes(clone), glow_model_bytes(model));
    glow_model_destroy(&clone);
    glow_model_destroy(&model);
  }
  glow_context_destroy(&context);
}

static void test_refused(void **state) {
  helper_memory memory = {0};
  glow_context *context = helper_context(1, NULL, &memory);
  glow_model *model = helper_glow(context, NULL, 1), *form = NULL, *clone = NULL;
  (void)state;
  REFUSED(glow_model_clone(NULL, context, &clone), GLOW_E_ARGUMENT, "NULL");
  REFUSED(glow_model_clone(model, context, NULL), GLOW_E_ARGUMENT, "NULL");
  OK(glow_model_set_metadata(model, "author", "someone"));
  OK(glow_model_inference_form(model, &form));
  assert_string_equal(glow_model_metadata(form, "author"), "someone");
  clone = model;
  REFUSED(glow_model_clone(form, NULL, &clone), GLOW_E_UNSUPPORTED, "inference form");
  assert_null(clone);
  glow_model_destroy(&form);
  glow_model_destroy(&model);
  glow_context_destroy(&context);
  assert_int_equal(memory.live, 0);
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(test_same),
      cmocka_unit_test(test_other_context),
      cmocka_unit_test(test_every_layer),
      cmocka_unit_test(test_refused),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
