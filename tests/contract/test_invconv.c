/* The three forms of a 1x1 convolution: what their tensors mean, by the formulas of <glow/layer.h>,
 * and what they start as. SPDX-License-Identifier: MIT */
#include "../support/model_helpers.h"

enum { C = 6 };

typedef struct form {
  const char *name;
  int32_t lu, columns;
} form;

static const form forms[] = {{"plain", 0, 0}, {"rows", 1, 0}, {"columns", 1, 1}};

static glow_model *make(glow_context *context, const form *f) {
  const glow_shape shape = {1, 1, C};
  glow_invconv_options o = GLOW_INVCONV_OPTIONS_INIT;
  glow_layer *layer = NULL;
  glow_model *model = NULL;
  o.lu = f->lu;
  o.columns = f->columns;
  o.seed = helper_seed();
  OK(glow_invconv_create(context, &o, &layer));
  OK(helper_wrap_layer(context, layer, true, &shape, &model));
  OK(glow_model_set_initialised(model));
  return model;
}

/* W, from what the layer makes of unit vectors; returns the log-det. */
static double matrix(const glow_model *model, double *w) {
  float x[C * C] = {0}, y[C * C];
  double logdet[C];
  glow_forward_options f = GLOW_FORWARD_OPTIONS_INIT;
  glow_workspace *ws = helper_workspace(model, C, GLOW_MODE_INFERENCE);
  for (int i = 0; i < C; i++)
    x[i * C + i] = 1.0f;
  f.latents = y;
  f.logdet = logdet;
  OK(glow_workspace_forward(ws, x, C, &f));
  for (int i = 0; i < C; i++)
    for (int o = 0; o < C; o++)
      w[o * C + i] = (double)y[i * C + o];
  glow_workspace_destroy(&ws);
  return logdet[0];
}

static void get(const glow_model *model, const char *name, float *out, int64_t count) {
  OK(glow_model_get_tensor(model, name, out, count));
}

/* M = (L + I) (U + diag(sign_s exp(log_s))), from the tensors; returns the sum of log_s. */
static double product(const glow_model *model, double *m) {
  float lower[C * C], upper[C * C], log_s[C], sign_s[C];
  double sum = 0;
  get(model, "layer.lower", lower, C * C);
  get(model, "layer.upper", upper, C * C);
  get(model, "layer.log_s", log_s, C);
  get(model, "layer.sign_s", sign_s, C);
  memset(m, 0, C * C * sizeof *m);
  for (int i = 0; i < C; i++) {
    for (int j = 0; j < C; j++)
      for (int k = 0; k <= i && k <= j; k++) {
        double l = k == i ? 1.0 : (double)lower[i * C + k];
        double u = k == j ? (double)sign_s[k] * exp((double)log_s[k]) : (double)upper[k * C + j];
        m[i * C + j] += l * u;
      }
    sum += (double)log_s[i];
  }
  return sum;
}

static void compare(const char *name, const double *a, const double *b) {
  for (int i = 0; i < C * C; i++)
    if (fabs(a[i] - b[i]) > 1e-5) /* rounding of factors of about 1 to float */
      fail_msg("%s: element %d is %g, not %g", name, i, a[i], b[i]);
}

static void test_formulas(void **state) {
  glow_context *context = helper_context(1, NULL, NULL);
  (void)state;
  for (int f = 1; f < 3; f++) {
    double w[C * C], m[C * C], expected[C * C];
    int32_t perm[C];
    helper_random random = helper_random_of(2);
    glow_model *model = make(context, &forms[f]);
    helper_perturb(model, &random, 0.2f);
    double logdet = matrix(model, w), sum = product(model, m);
    OK(glow_model_get_tensor(model, "layer.perm", perm, C));
    for (int i = 0; i < C; i++)
      for (int j = 0; j < C; j++)
        expected[i * C + j] = forms[f].columns ? m[i * C + perm[j]] : m[perm[i] * C + j];
    compare(forms[f].name, w, expected);
    assert_true(fabs(logdet - sum) < 1e-9);
    glow_model_destroy(&model);
  }
  glow_context_destroy(&context);
}

/* All forms of a seed start as one random rotation. */
static void test_start(void **state) {
  glow_context *context = helper_context(1, NULL, NULL);
  double w[3][C * C], product_of_rows[C * C], identity[C * C];
  (void)state;
  for (int f = 0; f < 3; f++) {
    glow_model *model = make(context, &forms[f]);
    assert_true(fabs(matrix(model, w[f])) < 1e-5);
    compare(forms[f].name, w[f], w[0]);
    glow_model_destroy(&model);
  }
  for (int i = 0; i < C; i++)
    for (int j = 0; j < C; j++) {
      double sum = 0;
      for (int k = 0; k < C; k++)
        sum += w[0][i * C + k] * w[0][j * C + k];
      product_of_rows[i * C + j] = sum;
      identity[i * C + j] = i == j;
    }
  compare("W W'", product_of_rows, identity);
  glow_context_destroy(&context);
}

/* A file may hold anything: indices that are not a permutation are refused when the model is
 * prepared. */
static void test_bad_state(void **state) {
  glow_context *context = helper_context(1, NULL, NULL);
  (void)state;
  for (int f = 1; f < 3; f++) {
    glow_model *model = make(context, &forms[f]);
    const int32_t twice[C] = {0, 1, 2, 3, 4, 4}, beyond[C] = {0, 1, 2, 3, 4, C};
    OK(glow_model_set_tensor(model, "layer.perm", twice, C));
    REFUSED(glow_model_prepare(model), GLOW_E_NUMERIC, "perm is not a permutation at element 5");
    OK(glow_model_set_tensor(model, "layer.perm", beyond, C));
    REFUSED(glow_model_prepare(model), GLOW_E_NUMERIC, "perm is not a permutation at element 5");
    glow_model_destroy(&model);
  }
  glow_context_destroy(&context);
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(test_formulas),
      cmocka_unit_test(test_start),
      cmocka_unit_test(test_bad_state),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
