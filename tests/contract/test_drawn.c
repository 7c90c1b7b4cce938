/* Sampling says what it drew: latents that give the same x, its log-density under the model, and
 * its log-density under what it was drawn from. So does an inverse pass.
 * SPDX-License-Identifier: MIT */
#include "flows.h"

enum { COUNT = 7, BATCH = 3 }; /* the last batch is not full */

/* ---- a bench --------------------------------------------------------------------------------- */

typedef struct bench {
  const flow *subject;
  glow_context *context;
  glow_model *model;
  glow_workspace *ws;
  int64_t dims;
  int32_t labels[COUNT];
  float *x, *latents;
  double log_prob[COUNT], log_q[COUNT];
  glow_sample_options options; /* with all outputs */
} bench;

static bench open_bench(const flow *s) {
  bench b = {.subject = s, .context = helper_context(2, NULL, NULL)};
  b.model = s->make(b.context);
  b.dims = glow_model_dims(b.model);
  b.ws = helper_workspace(b.model, BATCH, GLOW_MODE_INFERENCE);
  b.x = helper_allocate((size_t)(COUNT * b.dims) * sizeof(float));
  b.latents = helper_allocate((size_t)(COUNT * b.dims) * sizeof(float));
  for (int n = 0; n < COUNT; n++)
    b.labels[n] = n % 3;
  b.options = (glow_sample_options)GLOW_SAMPLE_OPTIONS_INIT;
  b.options.seed = helper_seed();
  return b;
}

static void draw(bench *b) {
  glow_sample_options o = b->options;
  o.labels = b->labels;
  o.latents = b->latents;
  o.log_prob = b->log_prob;
  o.log_q = b->log_q;
  OK(glow_workspace_sample(b->ws, COUNT, &o, b->x));
}

static void close_bench(bench *b) {
  free(b->x);
  free(b->latents);
  glow_workspace_destroy(&b->ws);
  glow_model_destroy(&b->model);
  glow_context_destroy(&b->context);
}

static double log_density(bool logistic, double e) {
  const double log_2_pi = 1.8378770664093454836;
  if (!logistic)
    return -0.5 * (e * e + log_2_pi);
  return -fabs(e) - 2 * log1p(exp(-fabs(e)));
}

/* ---- tests ----------------------------------------------------------------------------------- */

static void test_density(void **state) {
  (void)state;
  for (int i = 0; i < FLOWS; i++) {
    bench b = open_bench(&flows[i]);
    double forward[COUNT];
    draw(&b);
    OK(glow_workspace_log_prob(b.ws, b.x, b.labels, COUNT, forward));
    for (int n = 0; n < COUNT; n++) {
      /* x is rounded to float32, and goes through the layers the other way */
      if (!(fabs(b.log_prob[n] - forward[n]) < 2e-5 * (fabs(forward[n]) + (double)b.dims)))
        fail_msg("%s, sample %d: %.9g drawn, %.9g by log_prob", flows[i].name, n, b.log_prob[n],
                 forward[n]);
      assert_true(b.log_q[n] == b.log_prob[n]); /* at temperature 1 */
    }
    close_bench(&b);
  }
}

/* The same bits from an inverse pass, and none of the outputs changes x. */
static void test_latents(void **state) {
  (void)state;
  for (int i = 0; i < FLOWS; i++) {
    bench b = open_bench(&flows[i]);
    glow_inverse_options o = GLOW_INVERSE_OPTIONS_INIT;
    float *x = helper_allocate((size_t)(COUNT * b.dims) * sizeof(float));
    double log_prob[COUNT];
    b.options.temperature = 0.6;
    draw(&b);
    o.labels = b.labels;
    o.form = GLOW_LATENTS_WHITENED;
    o.log_prob = log_prob;
    OK(glow_workspace_inverse(b.ws, b.latents, COUNT, &o, x));
    assert_true(helper_same_bits(x, b.x, COUNT * b.dims, sizeof *x));
    assert_memory_equal(log_prob, b.log_prob, sizeof log_prob);
    OK(helper_sample(b.ws, &b.options, b.labels, COUNT, x));
    assert_true(helper_same_bits(x, b.x, COUNT * b.dims, sizeof *x));
    free(x);
    close_bench(&b);
  }
}

/* From raw latents: the same density, and it is log-prior less log-det. */
static void test_raw(void **state) {
  (void)state;
  for (int i = 0; i < FLOWS; i++) {
    bench b = open_bench(&flows[i]);
    glow_inverse_options o = GLOW_INVERSE_OPTIONS_INIT;
    double log_prob[COUNT], logdet[COUNT], forward[COUNT];
    draw(&b);
    OK(helper_forward(b.ws, b.x, b.labels, COUNT, GLOW_LATENTS_RAW, b.latents, forward, NULL));
    o.labels = b.labels;
    o.log_prob = log_prob;
    o.logdet = logdet;
    OK(glow_workspace_inverse(b.ws, b.latents, COUNT, &o, b.x));
    for (int n = 0; n < COUNT; n++) { /* as in test_density */
      double bound = 2e-5 * (fabs(b.log_prob[n]) + (double)b.dims);
      assert_true(fabs(log_prob[n] - b.log_prob[n]) < bound);
      assert_true(fabs(logdet[n] + forward[n]) < bound);
    }
    close_bench(&b);
  }
}

/* Which temperature an element of sample n has. */
static double temperature_of(const bench *b, int n, int64_t element) {
  const glow_sample_options *o = &b->options;
  double t = o->temperature * o->per_sample[n];
  for (int32_t block = 0; block < glow_model_latent_block_count(b->model); block++) {
    int64_t offset;
    glow_shape shape;
    OK(glow_model_latent_block(b->model, block, &offset, &shape));
    if (element >= offset && element < offset + glow_shape_size(&shape))
      return (double)(float)(t * o->per_latent[block]);
  }
  fail_msg("element %lld is in no block", (long long)element);
  return 0;
}

/* log q = log p + sum_i log p(e_i / t_i) - log t_i - log p(e_i), by the latents that are told. */
static void test_temperatures(void **state) {
  static const double per_sample[COUNT] = {1, 0.5, 1.3, 0.9, 1, 0.2, 1.1};
  static const double per_latent[8] = {0.8, 1.2, 0.7, 1.1, 0.9, 1.3, 0.6, 1};
  (void)state;
  for (int i = 0; i < FLOWS; i++) {
    bench b = open_bench(&flows[i]);
    b.options.temperature = 0.9;
    b.options.per_sample = per_sample;
    b.options.per_latent = per_latent;
    assert_in_range(glow_model_latent_block_count(b.model), 1, 8);
    draw(&b);
    for (int n = 0; n < COUNT; n++) {
      double expected = b.log_prob[n];
      for (int64_t j = 0; j < b.dims; j++) {
        double t = temperature_of(&b, n, j), e = (double)b.latents[n * b.dims + j];
        expected +=
            log_density(flows[i].logistic, e / t) - log(t) - log_density(flows[i].logistic, e);
      }
      /* e is e0 t, rounded to float32 */
      if (!(fabs(b.log_q[n] - expected) < 1e-5 * (fabs(expected) + (double)b.dims)))
        fail_msg("%s, sample %d: log q %.9g, expected %.9g", flows[i].name, n, b.log_q[n],
                 expected);
    }
    close_bench(&b);
  }
}

static void test_temperature_zero(void **state) {
  bench b = open_bench(&flows[0]);
  (void)state;
  b.options.temperature = 0;
  draw(&b);
  for (int n = 0; n < COUNT; n++) {
    assert_true(b.log_q[n] == (double)INFINITY);
    assert_true(isfinite(b.log_prob[n]));
  }
  close_bench(&b);
}

/* The mean of p / q over draws from q is 1. With q broader than p its variance is finite. */
static void test_importance_weights(void **state) {
  enum { DRAWS = 4000 };
  bench b = open_bench(&flows[FLOW_OF_TWO]);
  glow_sample_options o = b.options;
  double *log_prob = helper_allocate(DRAWS * sizeof *log_prob);
  double *log_q = helper_allocate(DRAWS * sizeof *log_q), sum = 0, squares = 0;
  float *x = helper_allocate((size_t)(DRAWS * b.dims) * sizeof *x);
  (void)state;
  o.temperature = 1.3;
  o.log_prob = log_prob;
  o.log_q = log_q;
  OK(glow_workspace_sample(b.ws, DRAWS, &o, x));
  for (int n = 0; n < DRAWS; n++) {
    double weight = exp(log_prob[n] - log_q[n]);
    sum += weight;
    squares += weight * weight;
  }
  double mean = sum / DRAWS, error = sqrt((squares / DRAWS - mean * mean) / DRAWS);
  assert_true(error < 0.02);
  assert_true(fabs(mean - 1) < 5 * error); /* of 2 million seeds one fails */
  free(x);
  free(log_q);
  free(log_prob);
  close_bench(&b);
}

/* Samples that are not finite have no density; the others keep theirs. */
static void test_not_finite(void **state) {
  static const double per_sample[COUNT] = {1, 1, 1e30, 1, 1, 1, 1};
  bench b = open_bench(&flows[0]);
  int32_t statuses[COUNT];
  double before[COUNT];
  (void)state;
  draw(&b);
  memcpy(before, b.log_prob, sizeof before);
  b.options.per_sample = per_sample;
  b.options.statuses = statuses;
  draw(&b);
  for (int n = 0; n < COUNT; n++) {
    assert_int_equal(statuses[n], n == 2 ? GLOW_E_NUMERIC : GLOW_OK);
    assert_int_equal(isnan(b.log_prob[n]) != 0, n == 2);
    assert_int_equal(isnan(b.log_q[n]) != 0, n == 2);
    if (n != 2)
      assert_true(b.log_prob[n] == before[n]);
  }
  assert_true(isfinite(b.latents[2 * b.dims])); /* they are what was drawn */
  close_bench(&b);
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(test_density),
      cmocka_unit_test(test_latents),
      cmocka_unit_test(test_raw),
      cmocka_unit_test(test_temperatures),
      cmocka_unit_test(test_temperature_zero),
      cmocka_unit_test(test_importance_weights),
      cmocka_unit_test(test_not_finite),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
