/* A flow of a single number with a condition: its couplings see the condition alone. The density
 * integrates to 1 for each condition, its derivative is that of differences, and there is a way
 * back. SPDX-License-Identifier: MIT */
#include "../support/model_helpers.h"

enum { SIZE = 2, POINTS = 8001, COUNT = 16 };
static const double edge = 20; /* the densities below are negligible beyond */

static const int32_t kinds[] = {GLOW_COUPLING_SPLINE, GLOW_COUPLING_AFFINE, GLOW_COUPLING_ADDITIVE};
enum { KINDS = sizeof kinds / sizeof *kinds };

static glow_model *make(glow_context *context, int32_t kind) {
  glow_vector_flow_options o = GLOW_VECTOR_FLOW_OPTIONS_INIT;
  helper_random random = helper_random_of(1);
  glow_model *model = NULL;
  o.dims = 1;
  o.condition = SIZE;
  o.steps = 3;
  o.hidden = 16;
  o.coupling = kind;
  OK(glow_model_create_vector_flow(context, &o, &model));
  helper_perturb(model, &random, 0.05f);
  return model;
}

/* By the trapezoidal rule over [-edge, edge]. */
static double integral(glow_workspace *ws, const float *condition) {
  float *x = helper_allocate(POINTS * sizeof *x);
  double *log_prob = helper_allocate(POINTS * sizeof *log_prob), sum = 0;
  const double step = 2 * edge / (POINTS - 1);
  for (int i = 0; i < POINTS; i++)
    x[i] = (float)(-edge + i * step);
  OK(glow_workspace_set_condition(ws, condition, 1, SIZE));
  OK(glow_workspace_log_prob(ws, x, NULL, POINTS, log_prob));
  for (int i = 0; i < POINTS; i++)
    sum += exp(log_prob[i]) * step;
  free(x);
  free(log_prob);
  return sum;
}

/* 1 % is far above the error of the rule at a step of 0.005, splines' kinks included. */
static void test_density(void **state) {
  const float conditions[3][SIZE] = {{0, 0}, {1, -1}, {-2, 0.5f}};
  (void)state;
  for (int k = 0; k < KINDS; k++) {
    glow_context *context = helper_context(2, NULL, NULL);
    glow_model *model = make(context, kinds[k]);
    glow_workspace *ws = helper_workspace(model, 64, GLOW_MODE_INFERENCE);
    const float x[3] = {-1, 0.3f, 1.2f};
    double log_prob[3][3];
    assert_int_equal(glow_model_condition_size(model), SIZE);
    for (int c = 0; c < 3; c++) {
      double sum = integral(ws, conditions[c]);
      if (!(fabs(sum - 1) < 0.01))
        fail_msg("coupling %d, condition %d: the integral is %g", (int)kinds[k], c, sum);
      OK(glow_workspace_set_condition(ws, conditions[c], 1, SIZE));
      OK(glow_workspace_log_prob(ws, x, NULL, 3, log_prob[c]));
    }
    for (int c = 1; c < 3; c++) /* another density, though it may be the same at a point */
      assert_true(fabs(log_prob[0][0] - log_prob[c][0]) + fabs(log_prob[0][1] - log_prob[c][1]) +
                      fabs(log_prob[0][2] - log_prob[c][2]) >
                  1e-3);
    glow_workspace_destroy(&ws);
    glow_model_destroy(&model);
    glow_context_destroy(&context);
  }
}

static void test_there_and_back(void **state) {
  helper_random random = helper_random_of(2);
  float x[COUNT], z[COUNT], back[COUNT], conditions[COUNT * SIZE];
  (void)state;
  helper_normals(&random, 1.0f, x, COUNT);
  helper_normals(&random, 1.0f, conditions, COUNT * SIZE);
  for (int k = 0; k < KINDS; k++) {
    glow_context *context = helper_context(2, NULL, NULL);
    glow_model *model = make(context, kinds[k]);
    glow_workspace *ws = helper_workspace(model, 5, GLOW_MODE_INFERENCE);
    double logdet[COUNT], other[COUNT];
    OK(glow_workspace_set_condition(ws, conditions, COUNT, SIZE));
    OK(helper_forward(ws, x, NULL, COUNT, GLOW_LATENTS_RAW, z, logdet, NULL));
    OK(helper_inverse(ws, z, GLOW_LATENTS_RAW, NULL, COUNT, back, other));
    for (int i = 0; i < COUNT; i++) {
      /* a few roundings of z, seen through dx/dz = exp(-logdet) */
      const double roundings = 1e-6 * (1 + fabs((double)z[i])) * exp(-logdet[i]);
      assert_true(fabs((double)back[i] - (double)x[i]) < 1e-5 + roundings);
      assert_true(fabs(logdet[i] + other[i]) < 1e-4);
    }
    glow_workspace_destroy(&ws);
    glow_model_destroy(&model);
    glow_context_destroy(&context);
  }
}

/* d log p / dx, in all training modes, against a central difference in float32: 2e-3 of steps of
 * 1e-2 is above its error; points on a spline's kink are left out by taking the median. */
static double gradient_error(glow_model *model, int32_t mode) {
  enum { CASES = 9 };
  helper_random random = helper_random_of(3);
  double errors[CASES];
  for (int i = 0; i < CASES; i++) {
    const float step = 1e-2f, middle = (float)helper_normal(&random);
    const float around[2] = {middle - step, middle + step};
    float condition[SIZE], dx;
    double weight = 1, log_prob[2];
    glow_backward_options o = GLOW_BACKWARD_OPTIONS_INIT;
    glow_workspace *ws = helper_workspace(model, 2, mode);
    helper_normals(&random, 1.0f, condition, SIZE);
    OK(glow_workspace_set_condition(ws, condition, 1, SIZE));
    OK(glow_workspace_log_prob(ws, around, NULL, 2, log_prob));
    OK(helper_forward(ws, &middle, NULL, 1, GLOW_LATENTS_RAW, NULL, NULL, NULL));
    o.weight = &weight;
    o.dx = &dx;
    OK(glow_workspace_backward(ws, &o));
    const double slope = (log_prob[1] - log_prob[0]) / ((double)around[1] - (double)around[0]);
    double error = fabs((double)dx - slope) / (1 + fabs(slope));
    int at = i;
    for (; at > 0 && errors[at - 1] > error; at--)
      errors[at] = errors[at - 1];
    errors[at] = error;
    glow_workspace_destroy(&ws);
  }
  return errors[CASES / 2];
}

static void test_gradient(void **state) {
  (void)state;
  for (int k = 0; k < KINDS; k++)
    for (int32_t mode = GLOW_MODE_STORED; mode <= GLOW_MODE_RECONSTRUCTED; mode++) {
      glow_context *context = helper_context(1, NULL, NULL);
      glow_model *model = make(context, kinds[k]);
      double error = gradient_error(model, mode);
      if (!(error < 2e-3))
        fail_msg("coupling %d, mode %d: %g", (int)kinds[k], (int)mode, error);
      glow_model_destroy(&model);
      glow_context_destroy(&context);
    }
}

/* Without a condition there is nothing that a coupling could see. */
static void test_needs_a_condition(void **state) {
  glow_context *context = helper_context(1, NULL, NULL);
  glow_vector_flow_options o = GLOW_VECTOR_FLOW_OPTIONS_INIT;
  glow_model *model = NULL;
  (void)state;
  o.dims = 1;
  REFUSED(glow_model_create_vector_flow(context, &o, &model), GLOW_E_SHAPE, "dims is 1");
  assert_null(model);
  glow_context_destroy(&context);
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(test_density),
      cmocka_unit_test(test_there_and_back),
      cmocka_unit_test(test_gradient),
      cmocka_unit_test(test_needs_a_condition),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
