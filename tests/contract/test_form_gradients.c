/* Gradients of an inference form: of its inputs alone, forward and back through the inverse, are
 * those of the model that it was made from up to rounding, on which its values agree with the
 * model's, too. SPDX-License-Identifier: MIT */
#include "flows.h"

enum { COUNT = 4, SIZE = 3 /* of a condition */ };

static const int32_t labels[COUNT] = {0, 1, 2, 1};
static const double weight[COUNT] = {1, -0.5, 2, 0.25};

/* ---- models ---------------------------------------------------------------------------------- */

static glow_model *glow_of_a_condition(glow_context *context) {
  glow_glow_options o = helper_small_glow();
  o.condition = (glow_shape){1, 1, SIZE};
  o.border = 1;
  return helper_glow(context, &o, 4);
}

static const flow own = {"Glow of a condition", glow_of_a_condition, false, 2e-5, 0};
enum { SUBJECTS = FLOWS + 1 };

static const flow *subject(int i) {
  return i < FLOWS ? &flows[i] : &own;
}

/* ---- gradients ------------------------------------------------------------------------------- */

typedef struct gradients {
  float *dx, *d_latents; /* [COUNT, dims] */
  float d_condition[COUNT * SIZE], d_condition_back[COUNT * SIZE];
} gradients;

static glow_workspace *open_form(const glow_model *model, int32_t mode, int32_t cached) {
  glow_workspace_options o = GLOW_WORKSPACE_OPTIONS_INIT;
  glow_workspace *ws = NULL;
  o.batch = COUNT;
  o.mode = mode;
  o.inputs_only = 1;
  o.inverse_backward = 1;
  o.cache_packed = cached;
  OK(glow_workspace_create(model, &o, &ws));
  return ws;
}

static void go_forward_and_back(glow_workspace *ws, const float *x, bool condition, gradients *g) {
  glow_forward_options forward = GLOW_FORWARD_OPTIONS_INIT;
  glow_backward_options backward = GLOW_BACKWARD_OPTIONS_INIT;
  forward.labels = labels;
  OK(glow_workspace_forward(ws, x, COUNT, &forward));
  backward.weight = weight;
  backward.dx = g->dx;
  backward.d_condition = condition ? g->d_condition : NULL;
  OK(glow_workspace_backward(ws, &backward));
}

static void go_back_through_inverse(glow_workspace *ws, const float *latents, const float *dx,
                                    bool condition, float *x, gradients *g) {
  glow_inverse_options inverse = GLOW_INVERSE_OPTIONS_INIT;
  glow_inverse_backward_options backward = GLOW_INVERSE_BACKWARD_OPTIONS_INIT;
  inverse.labels = labels;
  inverse.form = GLOW_LATENTS_WHITENED;
  inverse.store = 1;
  OK(glow_workspace_inverse(ws, latents, COUNT, &inverse, x));
  backward.dx = dx;
  backward.weight = weight;
  backward.d_latents = g->d_latents;
  backward.d_condition = condition ? g->d_condition_back : NULL;
  OK(glow_workspace_inverse_backward(ws, &backward));
}

static gradients gradients_of(const glow_model *model, int32_t mode, int32_t cached) {
  int64_t elements = COUNT * glow_model_dims(model);
  helper_random random = helper_random_of(31);
  float *x = helper_new_normals(&random, 0.2f, elements);
  float *latents = helper_new_normals(&random, 0.7f, elements);
  float *dx = helper_new_normals(&random, 1.0f, elements);
  float *condition = helper_new_normals(&random, 1.0f, COUNT * SIZE);
  glow_workspace *ws = open_form(model, mode, cached);
  gradients g = {helper_allocate((size_t)elements * sizeof(float)),
                 helper_allocate((size_t)elements * sizeof(float)),
                 {0},
                 {0}};
  bool conditioned = glow_model_condition_size(model) > 0;
  if (conditioned)
    OK(glow_workspace_set_condition(ws, condition, COUNT, SIZE));
  go_forward_and_back(ws, x, conditioned, &g);
  go_back_through_inverse(ws, latents, dx, conditioned, x, &g);
  glow_workspace_destroy(&ws);
  free(condition);
  free(dx);
  free(latents);
  free(x);
  return g;
}

static void gradients_free(gradients *g) {
  free(g->dx);
  free(g->d_latents);
}

/* ---- tests ----------------------------------------------------------------------------------- */

static void compare(const char *name, const gradients *form, const gradients *model, int64_t dims,
                    double rounding) {
  double of_x = helper_relative(form->dx, model->dx, COUNT * dims);
  double of_latents = helper_relative(form->d_latents, model->d_latents, COUNT * dims);
  double of_condition = helper_relative(form->d_condition, model->d_condition, COUNT * SIZE);
  double back = helper_relative(form->d_condition_back, model->d_condition_back, COUNT * SIZE);
  if (!(of_x < rounding && of_latents < rounding && of_condition < rounding && back < rounding))
    fail_msg("%s: differs by %.2g (x), %.2g (latents), %.2g and %.2g (condition)", name, of_x,
             of_latents, of_condition, back);
}

static void compare_form(glow_context *context, const flow *f, double rounding) {
  glow_model *model = f->make(context), *form = NULL;
  OK(glow_model_inference_form(model, &form));
  gradients expected = gradients_of(model, GLOW_MODE_STORED, 0);
  for (int32_t mode = GLOW_MODE_STORED; mode <= GLOW_MODE_RECONSTRUCTED; mode++)
    for (int32_t cached = 0; cached <= 1; cached++) {
      gradients found = gradients_of(form, mode, cached);
      compare(f->name, &found, &expected, glow_model_dims(model), rounding);
      gradients_free(&found);
    }
  gradients_free(&expected);
  glow_model_destroy(&form);
  glow_model_destroy(&model);
}

static void test_gradients(void **state) {
  (void)state;
  for (int i = 0; i < SUBJECTS; i++)
    for (uint32_t k = 0; glow_kernels_name(k); k++) {
      glow_context *context = helper_context(1, glow_kernels_name(k), NULL);
      compare_form(context, subject(i), subject(i)->rounding);
      glow_context_destroy(&context);
    }
}

/* With products of bfloat16, what a net is given may round to a neighbour: 2^-8 of one element of
 * many. */
static void test_bfloat16(void **state) {
  glow_context_options o = GLOW_CONTEXT_OPTIONS_INIT;
  glow_context *context = NULL;
  (void)state;
  o.products = GLOW_PRODUCTS_BFLOAT16;
  OK(glow_context_create(&o, &context));
  compare_form(context, &flows[0], 5e-3);
  glow_context_destroy(&context);
}

static void test_threads(void **state) {
  gradients first = {.dx = NULL};
  (void)state;
  for (uint32_t threads = 1; threads <= 3; threads++) {
    glow_context *context = helper_context(threads, NULL, NULL);
    glow_model *model = flows[0].make(context), *form = NULL;
    int64_t elements = COUNT * glow_model_dims(model);
    OK(glow_model_inference_form(model, &form));
    gradients g = gradients_of(form, GLOW_MODE_STORED, 0);
    if (threads > 1) {
      assert_true(helper_same_bits(g.dx, first.dx, elements, sizeof(float)));
      assert_true(helper_same_bits(g.d_latents, first.d_latents, elements, sizeof(float)));
      gradients_free(&g);
    } else {
      first = g;
    }
    glow_model_destroy(&form);
    glow_model_destroy(&model);
    glow_context_destroy(&context);
  }
  gradients_free(&first);
}

int main(void) {
  const struct CMUnitTest tests[] = {cmocka_unit_test(test_gradients),
                                     cmocka_unit_test(test_bfloat16),
                                     cmocka_unit_test(test_threads)};
  return cmocka_run_group_tests(tests, NULL, NULL);
}
