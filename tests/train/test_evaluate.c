/* glow_evaluate: means and errors by hand, in pieces, with weights, of pixels, classes and
 * conditions, and with samples that fail; and importance sampling of a target from a model.
 * SPDX-License-Identifier: MIT */
#include <glow/sys/base.h>

#include "fixture.h"

enum { COUNT = 11, CLASSES = 3 };

static void near(double got, double expected, double tolerance) {
  if (!(fabs(got - expected) <= tolerance * (1.0 + fabs(expected))))
    fail_msg("got %.17g, expected %.17g", got, expected);
}

typedef struct bench {
  glow_context *context;
  glow_model *model;
  glow_workspace *ws;
  float *x;
  int32_t labels[COUNT];
} bench;

static bench open_bench(uint32_t threads, int64_t batch, int32_t mode, int32_t classes) {
  bench b = {.context = new_context(threads, NULL)};
  glow_glow_options o = small_options();
  glow_workspace_options w = GLOW_WORKSPACE_OPTIONS_INIT;
  o.classes = classes;
  o.classifier = classes > 0;
  w.batch = batch;
  w.mode = mode;
  b.model = new_stirred_model(b.context, &o);
  ok(glow_workspace_create(b.model, &w, &b.ws));
  b.x = new_input(b.context, b.model, COUNT, 1);
  for (int i = 0; i < COUNT; i++)
    b.labels[i] = i == 4 ? -1 : i % CLASSES;
  return b;
}

static void close_bench(bench *b) {
  glow_workspace_destroy(&b->ws);
  glow_model_destroy(&b->model);
  glow_context_destroy(&b->context);
  free(b->x);
}

static glow_batch batch_of(const bench *b) {
  glow_batch batch = GLOW_BATCH_INIT;
  batch.count = COUNT;
  batch.x = b->x;
  return batch;
}

static void add(const bench *b, const glow_batch *batch, glow_evaluation *e) {
  ok(glow_evaluate(b->ws, batch, 5, e));
}

/* Mean and standard error in two passes. */
static void by_hand(const double *values, const double *weights, int count, double *mean,
                    double *error) {
  double sum = 0.0, squares = 0.0;
  *mean = 0.0;
  for (int i = 0; i < count; i++)
    sum += weights ? weights[i] : 1.0;
  for (int i = 0; i < count; i++)
    *mean += (weights ? weights[i] : 1.0) * values[i] / sum;
  for (int i = 0; i < count; i++)
    squares += pow((weights ? weights[i] : 1.0) * (values[i] - *mean), 2.0);
  *error = sqrt(count / (count - 1.0) * squares) / sum;
}

/* ---- evaluation ------------------------------------------------------------------------------ */

static void test_by_hand(void **state) {
  double values[COUNT], mean, error, before = 0.0;
  (void)state;
  for (int32_t mode = GLOW_MODE_INFERENCE; mode <= GLOW_MODE_RECONSTRUCTED; mode++)
    for (int64_t batch = 1; batch <= COUNT; batch += 5) {
      bench b = open_bench(1 + (uint32_t)batch % 3, batch, mode, 0);
      glow_evaluation e = GLOW_EVALUATION_INIT;
      glow_batch given = batch_of(&b);
      ok(glow_workspace_log_prob(b.ws, b.x, NULL, COUNT, values));
      by_hand(values, NULL, COUNT, &mean, &error);
      add(&b, &given, &e);
      near(e.log_prob, mean, 1e-14);
      near(e.log_prob_error, error, 1e-12);
      assert_true(e.bits_per_dim == glow_model_bits_per_dim(b.model, e.log_prob));
      near(e.bits_per_dim_error, error / 128.0 / log(2.0), 1e-12);
      assert_true(e.count == COUNT && !e.failed && isnan(e.class_loss) && isnan(e.accuracy));
      assert_true(before == 0.0 ||
                  e.log_prob == before); /* in any batch, mode, number of threads */
      before = e.log_prob;
      close_bench(&b);
    }
}

static void same(const glow_evaluation *a, const glow_evaluation *b) {
  assert_memory_equal(a, b, sizeof *a);
}

/* However data are cut, the result has the same bits; pixels too, whose noise goes on. */
static void test_pieces(void **state) {
  bench b = open_bench(2, 4, GLOW_MODE_INFERENCE, CLASSES);
  uint8_t *pixels = new_pixels(b.context, b.model, COUNT, 1);
  double weights[COUNT];
  (void)state;
  for (int i = 0; i < COUNT; i++)
    weights[i] = i % 4 * 0.75;
  for (int k = 0; k < 4; k++) {
    glow_evaluation whole = GLOW_EVALUATION_INIT, parts = GLOW_EVALUATION_INIT;
    glow_batch given = batch_of(&b), part;
    given.labels = b.labels;
    given.weights = k & 1 ? weights : NULL;
    given.x = k & 2 ? NULL : b.x;
    given.pixels = k & 2 ? pixels : NULL;
    add(&b, &given, &whole);
    for (int64_t first = 0; first < COUNT; first += 3) {
      part = given;
      part.count = COUNT - first < 3 ? COUNT - first : 3;
      part.x = given.x ? given.x + first * 128 : NULL;
      part.pixels = given.pixels ? given.pixels + first * 128 : NULL;
      part.labels = b.labels + first;
      part.weights = given.weights ? weights + first : NULL;
      add(&b, &part, &parts);
    }
    same(&whole, &parts);
  }
  free(pixels);
  close_bench(&b);
}

static void test_weights(void **state) {
  bench b = open_bench(1, 4, GLOW_MODE_INFERENCE, 0);
  double values[COUNT], weights[COUNT], mean, error;
  glow_evaluation e = GLOW_EVALUATION_INIT, plain = GLOW_EVALUATION_INIT;
  glow_batch given = batch_of(&b);
  (void)state;
  add(&b, &given, &plain);
  for (int i = 0; i < COUNT; i++)
    weights[i] = 0.3 * (i % 5); /* the first is 0 */
  given.weights = weights;
  ok(glow_workspace_log_prob(b.ws, b.x, NULL, COUNT, values));
  by_hand(values, weights, COUNT, &mean, &error);
  add(&b, &given, &e);
  near(e.log_prob, mean, 1e-14);
  near(e.log_prob_error, error, 1e-12);
  for (int k = 0; k < 3; k++) { /* the scale of weights does not matter, up to both bounds */
    for (int i = 0; i < COUNT; i++)
      weights[i] = (double[]){7.0, 1e50, 1e-50}[k];
    e = (glow_evaluation)GLOW_EVALUATION_INIT;
    add(&b, &given, &e);
    near(e.log_prob, plain.log_prob, 1e-14);
    near(e.log_prob_error, plain.log_prob_error, 1e-12);
  }
  weights[3] = 1e300; /* its square is no double */
  refused(glow_evaluate(b.ws, &given, 0, &e), GLOW_E_ARGUMENT, "their mean must be");
  weights[3] = -1.0;
  refused(glow_evaluate(b.ws, &given, 0, &e), GLOW_E_ARGUMENT, "weight 3 is -1");
  close_bench(&b);
}

static void test_classes(void **state) {
  bench b = open_bench(1, 3, GLOW_MODE_INFERENCE, CLASSES);
  glow_evaluation e = GLOW_EVALUATION_INIT, none = GLOW_EVALUATION_INIT;
  float logits[COUNT * CLASSES], bias[CLASSES] = {0.3f, -0.2f, 0.1f};
  double loss = 0.0, right = 0.0;
  (void)state;
  ok(glow_model_set_tensor(b.model, "prior.class_bias", bias, CLASSES));
  ok(glow_model_prepare(b.model));
  ok(glow_workspace_classify(b.ws, b.x, b.labels, COUNT, logits));
  for (int i = 0; i < COUNT; i++) {
    const float *l = logits + i * CLASSES;
    if (b.labels[i] < 0)
      continue;
    double sum = exp((double)l[0]) + exp((double)l[1]) + exp((double)l[2]);
    loss += (log(sum) - (double)l[b.labels[i]]) / log(2.0) / (COUNT - 1.0);
    right += (l[b.labels[i]] >= fmaxf(l[0], fmaxf(l[1], l[2]))) / (COUNT - 1.0);
  }
  glow_batch given = batch_of(&b);
  refused(glow_evaluate(b.ws, &given, 0, &e), GLOW_E_ARGUMENT, "needs labels");
  given.labels = b.labels;
  add(&b, &given, &e);
  near(e.class_loss, loss, 1e-12);
  near(e.accuracy, right, 1e-12);
  for (int i = 0; i < COUNT; i++)
    b.labels[i] = -1;
  add(&b, &given, &none);
  assert_true(none.count == COUNT && isnan(none.class_loss) && isnan(none.accuracy));
  add(&b, &given, &e); /* labels of none change nothing */
  near(e.class_loss, loss, 1e-12);
  close_bench(&b);
}

/* Samples that fail are left out, wherever they are. */
static void test_samples_that_fail(void **state) {
  bench b = open_bench(1, 4, GLOW_MODE_INFERENCE, 0);
  glow_evaluation e = GLOW_EVALUATION_INIT, all = GLOW_EVALUATION_INIT;
  double values[COUNT], good[COUNT], mean, error;
  int count = 0;
  (void)state;
  ok(glow_workspace_log_prob(b.ws, b.x, NULL, COUNT, values));
  for (int i = 0; i < COUNT; i++)
    if (i != 2 && i != 9)
      good[count++] = values[i];
  b.x[2 * 128 + 5] = NAN;
  b.x[9 * 128] = INFINITY;
  by_hand(good, NULL, count, &mean, &error);
  glow_batch given = batch_of(&b);
  add(&b, &given, &e);
  assert_true(e.count == count && e.failed == 2);
  near(e.log_prob, mean, 1e-14);
  near(e.log_prob_error, error, 1e-12);
  given.count = 1;
  given.x = b.x + 2 * 128;
  add(&b, &given, &all);
  assert_true(all.count == 0 && all.failed == 1 && isnan(all.log_prob) && isnan(all.bits_per_dim));
  given.x = b.x;
  add(&b, &given, &all); /* and one that does not */
  near(all.log_prob, values[0], 1e-14);
  assert_true(isnan(all.log_prob_error));
  close_bench(&b);
}

static void test_conditions(void **state) {
  glow_context *context = new_context(1, NULL);
  glow_vector_flow_options o = GLOW_VECTOR_FLOW_OPTIONS_INIT;
  glow_workspace_options w = GLOW_WORKSPACE_OPTIONS_INIT;
  glow_model *model = NULL;
  glow_workspace *ws = NULL;
  glow_batch given = GLOW_BATCH_INIT;
  glow_evaluation e = GLOW_EVALUATION_INIT;
  float x[2 * COUNT], condition[3 * COUNT];
  double values[COUNT], mean, error;
  (void)state;
  o.condition = 3;
  o.hidden = 8;
  w.batch = 4;
  ok(glow_model_create_vector_flow(context, &o, &model));
  for (int64_t i = 0; i < glow_model_parameter_count(model); i++)
    glow_model_parameters_mutable(model)[i] += 0.1f * sinf((float)i);
  ok(glow_model_prepare(model));
  ok(glow_model_set_initialised(model));
  ok(glow_workspace_create(model, &w, &ws));
  for (int i = 0; i < 3 * COUNT; i++) {
    condition[i] = sinf((float)i);
    x[i % (2 * COUNT)] = cosf((float)i);
  }
  given.x = x;
  given.count = COUNT;
  refused(glow_evaluate(ws, &given, 0, &e), GLOW_E_ARGUMENT, "condition");
  given.condition = condition;
  given.condition_count = COUNT;
  ok(glow_evaluate(ws, &given, 0, &e));
  refused(glow_workspace_log_prob(ws, x, NULL, 1, values), GLOW_E_ARGUMENT, "condition");
  ok(glow_workspace_set_condition(ws, condition, COUNT, 3));
  ok(glow_workspace_log_prob(ws, x, NULL, COUNT, values));
  by_hand(values, NULL, COUNT, &mean, &error);
  near(e.log_prob, mean, 1e-14);
  glow_workspace_destroy(&ws);
  glow_model_destroy(&model);
  glow_context_destroy(&context);
}

static void test_refusals(void **state) {
  bench b = open_bench(1, 4, GLOW_MODE_INFERENCE, CLASSES);
  glow_evaluation e = GLOW_EVALUATION_INIT;
  glow_batch given = batch_of(&b);
  (void)state;
  given.labels = b.labels;
  add(&b, &given, &e);
  const glow_evaluation before = e;
  refused(glow_evaluate(NULL, &given, 0, &e), GLOW_E_ARGUMENT, "NULL");
  refused(glow_evaluate(b.ws, NULL, 0, &e), GLOW_E_ARGUMENT, "NULL");
  refused(glow_evaluate(b.ws, &given, 0, NULL), GLOW_E_ARGUMENT, "NULL");
  b.labels[7] = CLASSES; /* of the second batch: the first has been added by then */
  refused(glow_evaluate(b.ws, &given, 0, &e), GLOW_E_ARGUMENT, "sample 7 ");
  given.x = NULL;
  refused(glow_evaluate(b.ws, &given, 0, &e), GLOW_E_ARGUMENT, "x");
  same(&e, &before);
  e.struct_size = 8;
  refused(glow_evaluate(b.ws, &given, 0, &e), GLOW_E_ARGUMENT, "glow_evaluation");
  close_bench(&b);
}

/* ---- importance sampling of a model ---------------------------------------------------------- */

typedef struct ridge {
  int64_t dims, next; /* samples come in order */
  int64_t wrong;      /* -1: none */
  double scale;       /* of log p: 0 is -INFINITY everywhere */
} ridge;

/* log p = -|x|^2 / 2 scale, and 0 where x_0 < -0.3. */
static glow_status ridge_density(const float *x, int64_t first, int64_t count, double *log_p,
                                 float *gradient, void *payload) {
  ridge *r = payload;
  assert_true(first == r->next && !gradient);
  r->next += count;
  for (int64_t n = 0; n < count; n++) {
    double sum = 0.0;
    for (int64_t i = 0; i < r->dims; i++)
      sum += (double)x[n * r->dims + i] * (double)x[n * r->dims + i];
    log_p[n] = x[n * r->dims] < -0.3f || r->scale == 0.0 ? -INFINITY : -0.5 * sum * r->scale;
    if (first + n == r->wrong)
      log_p[n] = NAN;
  }
  return r->wrong == -2 ? glow_error(GLOW_E_IO, "no density today") : GLOW_OK;
}

/* What glow_importance_estimate makes of samples and their log_q, whatever the batch. */
static void test_importance(void **state) {
  enum { DRAWN = 50 };
  double log_p[DRAWN], log_q[DRAWN], temperatures[DRAWN];
  int32_t labels[DRAWN];
  (void)state;
  for (int i = 0; i < DRAWN; i++) {
    temperatures[i] = 1.0 + i / 100.0;
    labels[i] = i * i % CLASSES;
  }
  for (int64_t batch = 1; batch <= 64; batch += 21) {
    bench b = open_bench(2, batch, GLOW_MODE_INFERENCE, batch == 22 ? CLASSES : 0);
    ridge r = {.dims = 128, .wrong = -1, .scale = 1.0};
    glow_target target = GLOW_TARGET_INIT;
    glow_sample_options o = GLOW_SAMPLE_OPTIONS_INIT;
    glow_importance e = GLOW_IMPORTANCE_INIT, own = GLOW_IMPORTANCE_INIT;
    float *x = malloc(DRAWN * 128 * sizeof *x);
    assert_non_null(x);
    target.density = ridge_density;
    target.payload = &r;
    o.temperature = 0.8;
    o.per_sample = temperatures;
    o.seed = 3;
    o.first = 1000;
    target.labels = batch == 22 ? labels : NULL;
    ok(glow_workspace_importance(b.ws, &target, &o, DRAWN, &e));
    o.labels = target.labels;
    o.log_q = log_q;
    ok(glow_workspace_sample(b.ws, DRAWN, &o, x));
    r.next = 0;
    ok(ridge_density(x, 0, DRAWN, log_p, NULL, &r));
    ok(glow_importance_estimate(log_p, log_q, DRAWN, NULL, &own));
    const size_t from = offsetof(glow_importance, count); /* in front of it may be padding */
    assert_memory_equal((char *)&e + from, (char *)&own + from, sizeof e - from);
    r.next = 0;
    ok(glow_workspace_importance(b.ws, &target, NULL, 1, &e)); /* with the first label */
    assert_int_equal(r.next, 1);
    free(x);
    close_bench(&b);
  }
}

static void test_importance_refusals(void **state) {
  bench b = open_bench(1, 4, GLOW_MODE_INFERENCE, 0);
  ridge r = {.dims = 128, .wrong = 6, .scale = 1.0};
  glow_target target = GLOW_TARGET_INIT;
  glow_sample_options o = GLOW_SAMPLE_OPTIONS_INIT;
  glow_importance e = GLOW_IMPORTANCE_INIT;
  double log_q[COUNT];
  (void)state;
  refused(glow_workspace_importance(b.ws, &target, NULL, COUNT, &e), GLOW_E_ARGUMENT, "density");
  target.density = ridge_density;
  target.payload = &r;
#define REFUSED(status, words)                                                                     \
  r.next = 0;                                                                                      \
  refused(glow_workspace_importance(b.ws, &target, &o, COUNT, &e), status, words)
  REFUSED(GLOW_E_NUMERIC, "sample 6 has no finite weight: log p is nan");
  assert_int_equal(e.failed, 1);
  r.wrong = -2;
  REFUSED(GLOW_E_IO, "the density failed: no density today");
  r.wrong = -1;
  r.scale = 0.0;
  REFUSED(GLOW_E_NUMERIC, "all 11 weights are 0");
  o.temperature = 0.0;
  REFUSED(GLOW_E_NUMERIC, "log q is inf");
  o.temperature = -1.0;
  REFUSED(GLOW_E_ARGUMENT, "temperature");
  o.temperature = 1.0;
  o.log_q = log_q;
  REFUSED(GLOW_E_ARGUMENT, "glow_sample_options");
  o.log_q = NULL;
  target.condition_count = 1;
  REFUSED(GLOW_E_ARGUMENT, "condition");
  target.condition_count = 0;
#undef REFUSED
  refused(glow_workspace_importance(NULL, &target, &o, 1, &e), GLOW_E_ARGUMENT, "NULL");
  refused(glow_workspace_importance(b.ws, NULL, &o, 1, &e), GLOW_E_ARGUMENT, "NULL");
  refused(glow_workspace_importance(b.ws, &target, &o, 1, NULL), GLOW_E_ARGUMENT, "NULL");
  refused(glow_workspace_importance(b.ws, &target, &o, 0, &e), GLOW_E_ARGUMENT, "0 samples");
  e.struct_size = 8;
  refused(glow_workspace_importance(b.ws, &target, &o, 1, &e), GLOW_E_ARGUMENT, "glow_importance");
  close_bench(&b);
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(test_by_hand),
      cmocka_unit_test(test_pieces),
      cmocka_unit_test(test_weights),
      cmocka_unit_test(test_classes),
      cmocka_unit_test(test_samples_that_fail),
      cmocka_unit_test(test_conditions),
      cmocka_unit_test(test_refusals),
      cmocka_unit_test(test_importance),
      cmocka_unit_test(test_importance_refusals),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
