/* Self-normalised importance sampling: by hand, against formulas, where numbers are large, and how
 * often the standard errors are right. SPDX-License-Identifier: MIT */
#include "fixture.h"

static const double pi = 3.14159265358979323846;

static void near(double got, double expected, double tolerance) {
  if (!(fabs(got - expected) <= tolerance * (1.0 + fabs(expected))))
    fail_msg("got %.17g, expected %.17g", got, expected);
}

static glow_importance estimate(const double *log_p, const double *log_q, int64_t count,
                                double *weights) {
  glow_importance out = GLOW_IMPORTANCE_INIT;
  ok(glow_importance_estimate(log_p, log_q, count, weights, &out));
  assert_int_equal(out.count, count);
  assert_int_equal(out.failed, 0);
  return out;
}

/* ---- formulas -------------------------------------------------------------------------------- */

/* Weights 1, 2, 3: mean 2, variance 1. */
static void test_by_hand(void **state) {
  static const double log_q[] = {-1.0, 0.5, 7.0};
  double log_p[3], weights[3];
  (void)state;
  for (int i = 0; i < 3; i++)
    log_p[i] = log_q[i] + log(i + 1.0);
  glow_importance e = estimate(log_p, log_q, 3, weights);
  near(e.log_z, log(2.0), 1e-15);
  near(e.log_z_error, 1.0 / (2.0 * sqrt(3.0)), 1e-15);
  near(e.ess, 36.0 / 14.0, 1e-15);
  near(e.largest, 0.5, 1e-15);
  for (int i = 0; i < 3; i++)
    near(weights[i], (i + 1.0) / 6.0, 1e-15);
}

static void test_equal_weights(void **state) {
  double log_p[100], log_q[100];
  (void)state;
  for (int i = 0; i < 100; i++) {
    log_q[i] = -i;
    log_p[i] = -i - 3.0;
  }
  glow_importance e = estimate(log_p, log_q, 100, NULL);
  assert_true(e.log_z == -3.0 && e.log_z_error == 0.0 && e.ess == 100.0 && e.largest == 0.01);
}

/* One sample says nothing about its error. */
static void test_one_sample(void **state) {
  const double log_p = -2.0, log_q = -1.0;
  double weight;
  (void)state;
  glow_importance e = estimate(&log_p, &log_q, 1, &weight);
  assert_true(e.log_z == -1.0 && isnan(e.log_z_error) && e.ess == 1.0 && e.largest == 1.0);
  assert_true(weight == 1.0);
}

/* Neither overflow nor underflow, in whichever order the weights come; what vanishes beside the
 * largest is left out, and a weight of 0 still counts as a sample. */
static void test_large_numbers(void **state) {
  static const double shifts[] = {0.0, 1e4, -1e4, 1e9};
  double log_q[5] = {0.0}, up[] = {-INFINITY, -5000.0, -1.0, 0.0, 1.0}, down[5];
  (void)state;
  for (int s = 0; s < 4; s++) {
    double log_p[5];
    for (int i = 0; i < 5; i++) {
      log_p[i] = up[i] + shifts[s];
      down[4 - i] = log_p[i];
    }
    double sum = exp(-1.0) + 1.0 + exp(1.0), squares = exp(-2.0) + 1.0 + exp(2.0);
    const double *orders[] = {log_p, down};
    for (int k = 0; k < 2; k++) {
      glow_importance e = estimate(orders[k], log_q, 5, NULL);
      near(e.log_z - shifts[s], log(sum / 5.0), 1e-7 * (s == 3) + 1e-11);
      near(e.ess, sum * sum / squares, 1e-14);
      near(e.log_z_error, sqrt((5.0 * squares / (sum * sum) - 1.0) / 4.0), 1e-14);
      near(e.largest, exp(1.0) / sum, 1e-14);
    }
  }
}

/* Weights 1 + 1e-9 r keep seven digits of their deviation, where the difference of n sum w^2 and
 * (sum w)^2 would keep none. */
static void test_nearly_equal_weights(void **state) {
  enum { COUNT = 1000 };
  double log_p[COUNT], log_q[COUNT] = {0.0}, mean = 0.0, squares = 0.0;
  (void)state;
  for (int i = 0; i < COUNT; i++) {
    double r = sin(i);
    log_p[i] = log1p(1e-9 * r);
    mean += r / COUNT;
  }
  for (int i = 0; i < COUNT; i++)
    squares += pow(sin(i) - mean, 2.0);
  glow_importance e = estimate(log_p, log_q, COUNT, NULL);
  near(e.log_z_error * 1e9, sqrt(squares / (COUNT - 1.0) / COUNT), 1e-6);
}

static void test_mean(void **state) {
  static const double weights[] = {0.5, 0.0, 1.5, 2.0}; /* of any scale */
  static const double values[] = {1.0, NAN, 3.0, -1.0};
  double mean, error, other;
  (void)state;
  ok(glow_importance_mean(weights, values, 4, &mean, &error));
  near(mean, (0.5 + 4.5 - 2.0) / 4.0, 1e-15);
  near(error, sqrt(pow(0.5 * 0.25, 2.0) + pow(1.5 * 2.25, 2.0) + pow(2.0 * 1.75, 2.0)) / 4.0,
       1e-15);
  ok(glow_importance_mean(weights, values, 4, &other, NULL));
  assert_true(mean == other);
}

/* ---- how often the errors are right ---------------------------------------------------------- */

enum { RUNS = 400, DRAWN = 500 };

/* p = N(1/2, 1) with a factor exp(-7), from samples of q = N(0, 1.5^2). Of 400 estimates of log Z
 * and of the mean 1/2, 99.7 % should be within three standard errors, so 8 or more outside have a
 * probability below 1e-4; and the deviations divided by the errors have variance 1 up to
 * sqrt(2 / 400) = 0.07, here with the seed's values 5 deviations apart. */
static void test_errors_are_right(void **state) {
  glow_context *context = new_context(1, NULL);
  glow_rng *rng = NULL;
  float noise[DRAWN];
  double log_p[DRAWN], log_q[DRAWN], weights[DRAWN], x[DRAWN], ess = 0.0;
  double squares[2] = {0.0, 0.0};
  int outside[2] = {0, 0};
  (void)state;
  ok(glow_rng_create(context, 20, &rng));
  for (int run = 0; run < RUNS; run++) {
    double mean, error;
    ok(glow_rng_normal(rng, noise, DRAWN));
    for (int i = 0; i < DRAWN; i++) {
      x[i] = 1.5 * (double)noise[i];
      log_q[i] = -0.5 * pow(x[i] / 1.5, 2.0) - log(1.5) - 0.5 * log(2.0 * pi);
      log_p[i] = -0.5 * pow(x[i] - 0.5, 2.0) - 0.5 * log(2.0 * pi) - 7.0;
    }
    glow_importance e = estimate(log_p, log_q, DRAWN, weights);
    ok(glow_importance_mean(weights, x, DRAWN, &mean, &error));
    double off[] = {(e.log_z + 7.0) / e.log_z_error, (mean - 0.5) / error};
    for (int k = 0; k < 2; k++) {
      outside[k] += fabs(off[k]) > 3.0;
      squares[k] += off[k] * off[k] / RUNS;
    }
    ess += e.ess / RUNS / DRAWN;
  }
  for (int k = 0; k < 2; k++) {
    assert_in_range(outside[k], 0, 7);
    near(squares[k], 1.0, 0.35 / 2.0);
  }
  /* E[w]^2 / E[w^2], with E[w^2] the integral of p^2 / q: Gaussians, by completing the square */
  double precision = 2.0 - 1.0 / 2.25, shift = 1.0 / precision;
  double second = 1.5 / sqrt(precision) * exp(-0.25 + 0.5 * shift);
  near(ess, 1.0 / second, 0.02);
  glow_rng_destroy(&rng);
  glow_context_destroy(&context);
}

/* ---- refusals -------------------------------------------------------------------------------- */

static void test_samples_without_weight(void **state) {
  double log_p[4] = {0.0}, log_q[4] = {0.0}, weights[4] = {9.0, 9.0, 9.0, 9.0};
  glow_importance out = GLOW_IMPORTANCE_INIT;
  (void)state;
  const double bad[][2] = {{NAN, 0.0},         {INFINITY, 0.0},  {0.0, NAN},
                           {0.0, INFINITY},    {0.0, -INFINITY}, {-INFINITY, -INFINITY},
                           {1.5e308, -1.5e308}};
  for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
    log_p[1] = log_p[3] = bad[i][0];
    log_q[1] = log_q[3] = bad[i][1];
    refused(glow_importance_estimate(log_p, log_q, 4, weights, &out), GLOW_E_NUMERIC, "sample 1 ");
    assert_int_equal(out.failed, 2);
    assert_true(weights[0] == 9.0 && weights[1] == 9.0);
  }
  for (int i = 0; i < 4; i++) {
    log_p[i] = -INFINITY;
    log_q[i] = 0.0;
  }
  refused(glow_importance_estimate(log_p, log_q, 4, weights, &out), GLOW_E_NUMERIC,
          "all 4 weights are 0");
  assert_int_equal(out.failed, 0);
}

static void test_bad_weights(void **state) {
  double mean = 4.0, error = 5.0, values[2] = {1.0, 2.0};
  double bad[][2] = {{1.0, -1.0}, {1.0, NAN}, {1.0, INFINITY}, {0.0, 0.0}, {1.5e308, 1.5e308}};
  const char *words[] = {"sample 1", "sample 1", "sample 1", "sum", "sum"};
  (void)state;
  for (int i = 0; i < 5; i++)
    refused(glow_importance_mean(bad[i], values, 2, &mean, &error), GLOW_E_ARGUMENT, words[i]);
  const double weights[] = {1.0, 1.0};
  values[1] = NAN;
  refused(glow_importance_mean(weights, values, 2, &mean, &error), GLOW_E_NUMERIC, "sample 1");
  assert_true(mean == 4.0 && error == 5.0);
}

static void test_arguments(void **state) {
  const double one = 1.0;
  double mean;
  glow_importance out = GLOW_IMPORTANCE_INIT;
  (void)state;
  refused(glow_importance_estimate(NULL, &one, 1, NULL, &out), GLOW_E_ARGUMENT, "NULL");
  refused(glow_importance_estimate(&one, NULL, 1, NULL, &out), GLOW_E_ARGUMENT, "NULL");
  refused(glow_importance_estimate(&one, &one, 1, NULL, NULL), GLOW_E_ARGUMENT, "NULL");
  refused(glow_importance_estimate(&one, &one, 0, NULL, &out), GLOW_E_ARGUMENT, "0 samples");
  refused(glow_importance_mean(NULL, &one, 1, &mean, NULL), GLOW_E_ARGUMENT, "NULL");
  refused(glow_importance_mean(&one, NULL, 1, &mean, NULL), GLOW_E_ARGUMENT, "NULL");
  refused(glow_importance_mean(&one, &one, 1, NULL, NULL), GLOW_E_ARGUMENT, "NULL");
  refused(glow_importance_mean(&one, &one, -1, &mean, NULL), GLOW_E_ARGUMENT, "-1 samples");
  out.struct_size = 8;
  refused(glow_importance_estimate(&one, &one, 1, NULL, &out), GLOW_E_ARGUMENT, "glow_importance");
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(test_by_hand),
      cmocka_unit_test(test_equal_weights),
      cmocka_unit_test(test_one_sample),
      cmocka_unit_test(test_large_numbers),
      cmocka_unit_test(test_nearly_equal_weights),
      cmocka_unit_test(test_mean),
      cmocka_unit_test(test_errors_are_right),
      cmocka_unit_test(test_samples_without_weight),
      cmocka_unit_test(test_bad_weights),
      cmocka_unit_test(test_arguments),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
