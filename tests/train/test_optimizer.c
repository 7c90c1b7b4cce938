/* Optimizers against plain formulas in double, and all-or-nothing steps.
 * SPDX-License-Identifier: MIT */
#include "fixture.h"

static glow_optimizer_options make(int32_t kind, double weight_decay) {
  glow_optimizer_options o = GLOW_OPTIMIZER_OPTIONS_INIT;
  o.kind = kind;
  o.weight_decay = weight_decay;
  return o;
}

static glow_optimizer *new_optimizer(const glow_model *model, int32_t kind, double weight_decay) {
  glow_optimizer_options o = make(kind, weight_decay);
  glow_optimizer *optimizer = NULL;
  ok(glow_optimizer_create(model, &o, &optimizer));
  return optimizer;
}

/* Gradients whose scale goes from 1e-6 to 1 along the vector; every 17th is 0. */
static float *new_gradients(glow_context *context, const glow_model *model, uint64_t seed) {
  int64_t count = glow_model_parameter_count(model);
  float *g = malloc((size_t)count * sizeof *g);
  glow_rng *rng = NULL;
  assert_non_null(g);
  ok(glow_rng_create(context, seed, &rng));
  ok(glow_rng_normal(rng, g, count));
  for (int64_t i = 0; i < count; i++)
    g[i] = i % 17 ? g[i] * powf(10.0f, -6.0f * (float)(i % 100) / 100.0f) : 0.0f;
  glow_rng_destroy(&rng);
  return g;
}

/* ---- the formulas ---------------------------------------------------------------------------- */

/* One step of the papers' formulas on one parameter. */
static void reference(const glow_optimizer_options *o, int t, double rate, double g, double *p,
                      double *m, double *v) {
  *p -= rate * o->weight_decay * *p;
  if (o->kind == GLOW_OPTIMIZER_SGD) {
    *m = o->beta1 * *m + g;
    *p -= rate * *m;
    return;
  }
  if (o->kind == GLOW_OPTIMIZER_LION) {
    double c = o->beta1 * *m + (1.0 - o->beta1) * g;
    *p -= c > 0 ? rate : c < 0 ? -rate : 0;
    *m = o->beta2 * *m + (1.0 - o->beta2) * g;
    return;
  }
  *m = o->beta1 * *m + (1.0 - o->beta1) * g;
  double m_hat = *m / (1.0 - pow(o->beta1, t));
  if (o->kind == GLOW_OPTIMIZER_ADAM) {
    *v = o->beta2 * *v + (1.0 - o->beta2) * g * g;
    *p -= rate * m_hat / (sqrt(*v / (1.0 - pow(o->beta2, t))) + o->epsilon);
  } else {
    *v = fmax(o->beta2 * *v, fabs(g) + o->epsilon);
    *p -= rate * m_hat / *v;
  }
}

static void check_formula(int32_t kind, double weight_decay) {
  glow_context *context = new_context(1, NULL);
  glow_model *model = new_stirred_model(context, NULL);
  glow_optimizer_options options = make(kind, weight_decay);
  glow_optimizer *optimizer = new_optimizer(model, kind, weight_decay);
  int64_t count = glow_model_parameter_count(model);
  double *p = calloc((size_t)count * 3, sizeof *p), *m = p + count, *v = m + count;
  assert_true(count > 1500); /* more than one block of the optimizer */
  for (int64_t i = 0; i < count; i++)
    p[i] = glow_model_parameters(model)[i];
  for (int t = 1; t <= 12; t++) {
    float *g = new_gradients(context, model, (uint64_t)t);
    double rate = 0.004 / t;
    ok(glow_optimizer_step(optimizer, model, g, rate));
    assert_int_equal(glow_optimizer_step_count(optimizer), t);
    for (int64_t i = 0; i < count; i++) {
      reference(&options, t, rate, g[i], &p[i], &m[i], &v[i]);
      double error = fabs(glow_model_parameters(model)[i] - p[i]);
      if (!(error <= 3e-7 * t * (fabs(p[i]) + rate * 10)))
        fail_msg("kind %d, step %d, parameter %lld: %.9g, expected %.9g", (int)kind, t,
                 (long long)i, (double)glow_model_parameters(model)[i], p[i]);
    }
    free(g);
  }
  free(p);
  glow_optimizer_destroy(&optimizer);
  assert_null(optimizer);
  glow_model_destroy(&model);
  glow_context_destroy(&context);
}

static void test_sgd(void **state) {
  (void)state;
  check_formula(GLOW_OPTIMIZER_SGD, 0.0);
  check_formula(GLOW_OPTIMIZER_SGD, 0.3);
}

static void test_adam(void **state) {
  (void)state;
  check_formula(GLOW_OPTIMIZER_ADAM, 0.0);
  check_formula(GLOW_OPTIMIZER_ADAM, 0.3);
}

static void test_adamax(void **state) {
  (void)state;
  check_formula(GLOW_OPTIMIZER_ADAMAX, 0.0);
  check_formula(GLOW_OPTIMIZER_ADAMAX, 0.3);
}

static void test_lion(void **state) {
  (void)state;
  check_formula(GLOW_OPTIMIZER_LION, 0.0);
  check_formula(GLOW_OPTIMIZER_LION, 0.3);
}

/* ---- all or nothing -------------------------------------------------------------------------- */

static double first_log_prob(glow_context *context, glow_model *model) {
  glow_workspace *ws = NULL;
  double log_prob = 0.0;
  float *x = new_input(context, model, 1, 3);
  ok(glow_workspace_create(model, NULL, &ws));
  ok(glow_workspace_log_prob(ws, x, NULL, 1, &log_prob));
  glow_workspace_destroy(&ws);
  free(x);
  return log_prob;
}

typedef void (*spoil_fn)(const glow_model *model, const float *parameters, float *gradients,
                         double *rate, const char **words);

/* A step that is refused between two good ones leaves the same bits as no step. */
static void check_refusal(int32_t kind, uint32_t threads, const glow_glow_options *options,
                          spoil_fn spoil) {
  glow_context *context = new_context(threads, NULL);
  glow_model *a = new_stirred_model(context, options), *b = new_stirred_model(context, options);
  glow_optimizer *oa = new_optimizer(a, kind, 0.01), *ob = new_optimizer(b, kind, 0.01);
  for (uint64_t t = 1; t <= 3; t++) {
    float *g = new_gradients(context, a, t), *bad = new_gradients(context, a, t + 50);
    const char *words = "";
    double rate = 1e-3;
    ok(glow_optimizer_step(oa, a, g, 1e-3));
    ok(glow_optimizer_step(ob, b, g, 1e-3));
    float *before = copy_of_parameters(a);
    double log_prob = first_log_prob(context, a);
    spoil(a, before, bad, &rate, &words);
    refused(glow_optimizer_step(oa, a, bad, rate), GLOW_E_NUMERIC, words);
    same_bits(a, before);
    assert_true(first_log_prob(context, a) ==
                log_prob); /* derived values too, and ready for passes */
    assert_int_equal(glow_optimizer_step_count(oa), t);
    free(before);
    free(bad);
    free(g);
  }
  same_bits(a, glow_model_parameters(b));
  glow_optimizer_destroy(&oa);
  glow_optimizer_destroy(&ob);
  glow_model_destroy(&a);
  glow_model_destroy(&b);
  glow_context_destroy(&context);
}

static glow_tensor_info find(const glow_model *model, const char *name) {
  glow_tensor_info info = GLOW_TENSOR_INFO_INIT;
  ok(glow_model_find_tensor(model, name, &info));
  return info;
}

/* Two layers are wrong; backward meets the later one first. */
static void spoil_gradient(const glow_model *model, const float *parameters, float *gradients,
                           double *rate, const char **words) {
  (void)parameters;
  (void)rate;
  gradients[find(model, "level0.step0.invconv.weight").offset] = NAN;
  gradients[find(model, "level0.step1.coupling.net.conv2.weight").offset + 5] = -INFINITY;
  *words = "'level0.step1.coupling'";
}

static void test_nonfinite_gradient_is_refused(void **state) {
  (void)state;
  check_refusal(GLOW_OPTIMIZER_ADAM, 1, NULL, spoil_gradient);
  check_refusal(GLOW_OPTIMIZER_SGD, 1, NULL, spoil_gradient);
}

/* One matrix gets the same enormous step in every element: rank 1. */
static void spoil_matrix(const glow_model *model, const float *parameters, float *gradients,
                         double *rate, const char **words) {
  glow_tensor_info weight = find(model, "level1.step0.invconv.weight");
  (void)parameters;
  for (int64_t i = 0; i < glow_model_parameter_count(model); i++)
    gradients[i] *= 1e-6f;
  for (int64_t i = 0; i < weight.elements; i++)
    gradients[weight.offset + i] = 1e12f;
  *rate = 1.0;
  *words = "'level1.step0.invconv'";
}

static void test_singular_matrix_is_refused(void **state) {
  glow_glow_options large = small_options();
  (void)state;
  check_refusal(GLOW_OPTIMIZER_SGD, 1, NULL, spoil_matrix);
  large.hidden = 128; /* enough parameters for threads */
  check_refusal(GLOW_OPTIMIZER_SGD, 3, &large, spoil_matrix);
}

/* Adam's second moment overflows. */
static void spoil_range(const glow_model *model, const float *parameters, float *gradients,
                        double *rate, const char **words) {
  (void)parameters;
  (void)rate;
  gradients[find(model, "level0.step1.actnorm.bias").offset] = 1e30f;
  *words = "'level0.step1.actnorm'";
}

static void test_overflow_is_refused(void **state) {
  (void)state;
  check_refusal(GLOW_OPTIMIZER_ADAM, 1, NULL, spoil_range);
}

/* In a layer that always prepares, so that nothing else would look at it. */
static void test_nonfinite_parameter_is_refused(void **state) {
  glow_context *context = new_context(1, NULL);
  glow_model *model = new_stirred_model(context, NULL);
  glow_optimizer *optimizer = new_optimizer(model, GLOW_OPTIMIZER_ADAM, 0.01);
  float *g = new_gradients(context, model, 1);
  int64_t at = find(model, "prior.mean").offset;
  (void)state;
  for (int i = 0; i < 2; i++) {
    glow_model_parameters_mutable(model)[at + 1] = i ? INFINITY : NAN;
    refused(glow_optimizer_step(optimizer, model, g, 1e-3), GLOW_E_NUMERIC,
            "layer 'prior': a parameter is not finite");
    assert_int_equal(glow_optimizer_step_count(optimizer), 0);
  }
  glow_model_parameters_mutable(model)[at + 1] = 0.5f;
  ok(glow_optimizer_step(optimizer, model, g, 1e-3));
  free(g);
  glow_optimizer_destroy(&optimizer);
  glow_model_destroy(&model);
  glow_context_destroy(&context);
}

/* ---- threads, memory, arguments -------------------------------------------------------------- */

static void test_threads_do_not_matter(void **state) {
  static const int32_t kinds[] = {GLOW_OPTIMIZER_SGD, GLOW_OPTIMIZER_ADAM, GLOW_OPTIMIZER_ADAMAX};
  glow_glow_options options = small_options();
  float *expected = NULL;
  (void)state;
  options.hidden = 128;
  for (int k = 0; k < 3; k++) {
    for (uint32_t threads = 1; threads <= 4; threads++) {
      glow_context *context = new_context(threads, NULL);
      glow_model *model = new_stirred_model(context, &options);
      glow_optimizer *optimizer = new_optimizer(model, kinds[k], 0.1);
      assert_true(glow_model_parameter_count(model) > 65536);
      for (uint64_t t = 1; t <= 5; t++) {
        float *g = new_gradients(context, model, t);
        ok(glow_optimizer_step(optimizer, model, g, 1e-3));
        free(g);
      }
      if (threads == 1)
        expected = copy_of_parameters(model);
      same_bits(model, expected);
      glow_optimizer_destroy(&optimizer);
      glow_model_destroy(&model);
      glow_context_destroy(&context);
    }
    free(expected);
  }
}

static void test_memory(void **state) {
  counter c = {0, 0, 0};
  glow_context *context = new_context(1, &c);
  glow_model *model = new_stirred_model(context, NULL);
  float *g = new_gradients(context, model, 1);
  size_t live = c.live;
  glow_status status = GLOW_E_MEMORY;
  (void)state;
  for (size_t n = 1; status != GLOW_OK; n++) {
    glow_optimizer *optimizer = NULL;
    c.calls = 0;
    c.fail_at = n;
    status = glow_optimizer_create(model, NULL, &optimizer);
    assert_true(status == GLOW_OK ? optimizer != NULL : status == GLOW_E_MEMORY && !optimizer);
    size_t calls = c.calls;
    if (optimizer)
      ok(glow_optimizer_step(optimizer, model, g, 1e-3));
    assert_int_equal(c.calls, calls); /* a step allocates nothing */
    glow_optimizer_destroy(&optimizer);
    assert_int_equal(c.live, live);
  }
  free(g);
  glow_model_destroy(&model);
  glow_context_destroy(&context);
  assert_int_equal(c.live, 0);
}

static void test_arguments(void **state) {
  glow_context *context = new_context(1, NULL);
  glow_model *model = new_stirred_model(context, NULL), *other = new_stirred_model(context, NULL);
  glow_optimizer *optimizer = NULL;
  float *g = new_gradients(context, model, 1);
  (void)state;
  assert_int_equal(glow_optimizer_create(NULL, NULL, &optimizer), GLOW_E_ARGUMENT);
  assert_int_equal(glow_optimizer_create(model, NULL, NULL), GLOW_E_ARGUMENT);
#define EXPECT_BAD(field, value)                                                                   \
  do {                                                                                             \
    glow_optimizer_options o = GLOW_OPTIMIZER_OPTIONS_INIT;                                        \
    o.field = value;                                                                               \
    assert_int_equal(glow_optimizer_create(model, &o, &optimizer), GLOW_E_ARGUMENT);               \
    assert_null(optimizer);                                                                        \
  } while (0)
  EXPECT_BAD(struct_size, 4);
  EXPECT_BAD(kind, 0);
  EXPECT_BAD(kind, 4);
  EXPECT_BAD(reserved, 1);
  EXPECT_BAD(beta1, 1.0);
  EXPECT_BAD(beta1, -0.1);
  EXPECT_BAD(beta2, 1.0);
  EXPECT_BAD(beta2, (double)NAN);
  EXPECT_BAD(epsilon, 0.0);
  EXPECT_BAD(epsilon, 1e-60);
  EXPECT_BAD(weight_decay, -1.0);
  EXPECT_BAD(weight_decay, HUGE_VAL);
#undef EXPECT_BAD
  ok(glow_optimizer_create(model, NULL, &optimizer));
  float *before = copy_of_parameters(model);
  assert_int_equal(glow_optimizer_step(NULL, model, g, 1e-3), GLOW_E_ARGUMENT);
  assert_int_equal(glow_optimizer_step(optimizer, NULL, g, 1e-3), GLOW_E_ARGUMENT);
  assert_int_equal(glow_optimizer_step(optimizer, other, g, 1e-3), GLOW_E_ARGUMENT);
  assert_int_equal(glow_optimizer_step(optimizer, model, NULL, 1e-3), GLOW_E_ARGUMENT);
  assert_int_equal(glow_optimizer_step(optimizer, model, g, -1e-3), GLOW_E_ARGUMENT);
  assert_int_equal(glow_optimizer_step(optimizer, model, g, (double)NAN), GLOW_E_ARGUMENT);
  same_bits(model, before);
  assert_int_equal(glow_optimizer_step_count(optimizer), 0);
  assert_int_equal(glow_optimizer_step_count(NULL), 0);
  free(before);
  free(g);
  glow_optimizer_destroy(&optimizer);
  glow_optimizer_destroy(&optimizer);
  glow_optimizer_destroy(NULL);
  glow_model_destroy(&model);
  glow_model_destroy(&other);
  glow_context_destroy(&context);
}

/* A loop of one's own that goes on with the state of another one, to the bit; and state that is not
 * finite refuses the step. */
static void test_state(void **state) {
  glow_context *context = new_context(1, NULL);
  (void)state;
  for (int32_t kind = GLOW_OPTIMIZER_SGD; kind <= GLOW_OPTIMIZER_LION; kind++) {
    glow_model *whole = new_stirred_model(context, NULL), *half = new_stirred_model(context, NULL);
    glow_optimizer *a = new_optimizer(whole, kind, 0.01), *b = new_optimizer(half, kind, 0.01);
    glow_optimizer_options options = GLOW_OPTIMIZER_OPTIONS_INIT;
    int64_t count = glow_model_parameter_count(whole);
    size_t bytes = (size_t)count * sizeof(float);
    bool has_v = kind == GLOW_OPTIMIZER_ADAM || kind == GLOW_OPTIMIZER_ADAMAX;
    for (int t = 1; t <= 6; t++) {
      float *g = new_gradients(context, whole, (uint64_t)t);
      ok(glow_optimizer_step(a, whole, g, 0.01));
      if (t == 3) { /* b goes on in another optimizer */
        glow_optimizer *c = new_optimizer(half, kind, 0.01);
        ok(glow_optimizer_step(b, half, g, 0.01));
        memcpy(glow_optimizer_state(c, 0), glow_optimizer_state(b, 0), bytes);
        assert_true((glow_optimizer_state(c, 1) != NULL) == has_v);
        if (has_v)
          memcpy(glow_optimizer_state(c, 1), glow_optimizer_state(b, 1), bytes);
        ok(glow_optimizer_set_step_count(c, glow_optimizer_step_count(b)));
        glow_optimizer_destroy(&b);
        b = c;
      } else {
        ok(glow_optimizer_step(b, half, g, 0.01));
      }
      same_bits(half, glow_model_parameters(whole));
      free(g);
    }
    float *g = new_gradients(context, whole, 7);
    ok(glow_optimizer_get_options(b, &options));
    assert_int_equal(options.kind, kind);
    assert_true(options.weight_decay == 0.01);
    glow_optimizer_state(b, kind == GLOW_OPTIMIZER_ADAM)[5] = NAN;
    refused(glow_optimizer_step(b, half, g, 0.01), GLOW_E_NUMERIC, "not finite");
    same_bits(half, glow_model_parameters(whole));
    assert_int_equal(glow_optimizer_step_count(b), 6);
    refused(glow_optimizer_set_step_count(b, -1), GLOW_E_ARGUMENT, "-1 steps");
    assert_null(glow_optimizer_state(b, 2));
    assert_null(glow_optimizer_state(NULL, 0));
    free(g);
    glow_optimizer_destroy(&a);
    glow_optimizer_destroy(&b);
    glow_model_destroy(&whole);
    glow_model_destroy(&half);
  }
  glow_context_destroy(&context);
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(test_lion),
      cmocka_unit_test(test_state),
      cmocka_unit_test(test_sgd),
      cmocka_unit_test(test_adam),
      cmocka_unit_test(test_adamax),
      cmocka_unit_test(test_nonfinite_gradient_is_refused),
      cmocka_unit_test(test_singular_matrix_is_refused),
      cmocka_unit_test(test_nonfinite_parameter_is_refused),
      cmocka_unit_test(test_overflow_is_refused),
      cmocka_unit_test(test_threads_do_not_matter),
      cmocka_unit_test(test_memory),
      cmocka_unit_test(test_arguments),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
