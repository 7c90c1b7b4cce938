/* Memory runs out while models are made: every layer, net and preset in turn, their inference
 * forms, and models that are made of others. SPDX-License-Identifier: MIT */
#include "each_allocation.h"
#include "models.h"

/* Tries the operation on models of all kinds. */
static void on_all_models(operation op) {
  int32_t count;
  const model_case *cases = model_cases(&count);
  for (int32_t i = 0; i < count; i++) {
    char name[200];
    if (!model_case_is_wanted(&cases[i]))
      continue;
    snprintf(name, sizeof name, "%s: %s", op.name, cases[i].name);
    operation named = op;
    named.name = name;
    each_allocation(&named, &cases[i]);
  }
}

/* ---- making one ------------------------------------------------------------------------------ */

static glow_status take(trial *t, glow_status status, glow_model *model) {
  assert_int_equal(status == GLOW_OK, model != NULL);
  if (model)
    model_fold(model, &t->result);
  glow_model_destroy(&model);
  return status;
}

static glow_status create(trial *t) {
  glow_model *model = NULL;
  glow_status status = model_case_create(t->context, t->choice, &model);
  return take(t, status, model);
}

static void test_create(void **state) {
  (void)state;
  on_all_models((operation){.name = "create", .run = create});
}

/* ---- making one of another ------------------------------------------------------------------- */

static void make_model(trial *t) {
  glow_model *model = NULL;
  helper_random random = helper_random_of(1);
  OK(model_case_create(t->context, t->choice, &model));
  helper_perturb(model, &random, 0.02f);
  model_describe(model);
  t->subject = model;
}

static void fold_model(const trial *t, uint64_t *hash) {
  model_fold(t->subject, hash);
}

static void destroy_model(trial *t) {
  glow_model *model = t->subject;
  glow_model_destroy(&model);
}

static glow_status make_form(trial *t) {
  glow_model *form = NULL;
  glow_status status = glow_model_inference_form(t->subject, &form);
  return take(t, status, form);
}

static void test_inference_form(void **state) {
  (void)state;
  on_all_models((operation){"inference form", make_model, make_form, fold_model, destroy_model});
}

static glow_status make_clone(trial *t) {
  glow_model *clone = NULL;
  glow_status status = glow_model_clone(t->subject, NULL, &clone);
  return take(t, status, clone);
}

static void test_clone(void **state) {
  (void)state;
  on_all_models((operation){"clone", make_model, make_clone, fold_model, destroy_model});
}

static glow_status set_metadata(trial *t) {
  return glow_model_set_metadata(t->subject, "author", "someone else");
}

static void test_metadata(void **state) {
  int32_t count;
  (void)state;
  each_allocation(&(operation){"metadata", make_model, set_metadata, fold_model, destroy_model},
                  &model_cases(&count)[0]);
}

/* A model inside another one, under a prior of its own. */
static glow_status add_model(trial *t) {
  glow_builder *builder = NULL;
  glow_model *model = NULL;
  glow_layer *prior = NULL;
  glow_shape shape;
  OK(glow_model_input_shape(t->subject, &shape));
  glow_status status = glow_builder_create(t->context, &shape, NULL, &builder);
  if (status == GLOW_OK)
    status = glow_builder_add_model(builder, "inner", t->subject);
  if (status == GLOW_OK)
    status = glow_prior_create(t->context, NULL, &prior);
  if (status == GLOW_OK)
    status = glow_builder_add(builder, "prior", &prior);
  if (status == GLOW_OK)
    status = glow_builder_finish(&builder, &model);
  glow_builder_destroy(&builder);
  return take(t, status, model);
}

static void test_add_model(void **state) {
  (void)state;
  on_all_models((operation){"add a model", make_model, add_model, fold_model, destroy_model});
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(test_create),    cmocka_unit_test(test_inference_form),
      cmocka_unit_test(test_clone),     cmocka_unit_test(test_metadata),
      cmocka_unit_test(test_add_model),
  };
  return cmocka_run_group_tests(tests, NULL, each_allocation_report);
}
