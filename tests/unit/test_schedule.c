/* Learning-rate schedules, point by point. SPDX-License-Identifier: MIT */
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <glow/train.h>

static void near(double got, double expected) {
  if (!(fabs(got - expected) <= 1e-14 * (1.0 + fabs(expected))))
    fail_msg("got %.17g, expected %.17g", got, expected);
}

static glow_schedule make(int32_t kind, double rate, double final, int64_t warmup, int64_t steps) {
  glow_schedule s = GLOW_SCHEDULE_INIT;
  s.kind = kind;
  s.rate = rate;
  s.final = final;
  s.warmup = warmup;
  s.steps = steps;
  return s;
}

static void test_defaults(void **state) {
  glow_schedule s = GLOW_SCHEDULE_INIT;
  (void)state;
  for (int64_t step = 1; step < 100000; step *= 3) {
    near(glow_schedule_rate(&s, step), 1e-3);
    near(glow_schedule_rate(NULL, step), 1e-3);
  }
}

/* Step s of the warm-up has s / warmup of the rate: never 0, and full at its last step. */
static void test_warmup(void **state) {
  static const int32_t kinds[] = {GLOW_SCHEDULE_CONSTANT, GLOW_SCHEDULE_COSINE,
                                  GLOW_SCHEDULE_EXPONENTIAL};
  (void)state;
  for (int k = 0; k < 3; k++) {
    glow_schedule s = make(kinds[k], 0.02, 0.1, 50, 0);
    for (int64_t step = 1; step <= 50; step++)
      near(glow_schedule_rate(&s, step), 0.02 * (double)step / 50.0);
    near(glow_schedule_rate(&s, 51), 0.02);
    near(glow_schedule_rate(&s, 1000000), 0.02); /* steps 0: the curve stays 1 */
    s.warmup = 1;
    near(glow_schedule_rate(&s, 1), 0.02);
  }
}

static void test_cosine(void **state) {
  glow_schedule s = make(GLOW_SCHEDULE_COSINE, 1.0, 0.01, 10, 110);
  (void)state;
  near(glow_schedule_rate(&s, 5), 0.5);
  near(glow_schedule_rate(&s, 10), 1.0);
  for (int64_t step = 10; step <= 110; step++) {
    double t = (double)(step - 10) / 100.0;
    near(glow_schedule_rate(&s, step), 0.01 + 0.99 * 0.5 * (1.0 + cos(3.14159265358979323846 * t)));
  }
  near(glow_schedule_rate(&s, 35), 0.01 + 0.99 * 0.5 * (1.0 + sqrt(0.5)));
  near(glow_schedule_rate(&s, 60), 0.505);
  near(glow_schedule_rate(&s, 110), 0.01);
  near(glow_schedule_rate(&s, 111), 0.01);
  near(glow_schedule_rate(&s, 99999), 0.01);
}

static void test_exponential(void **state) {
  glow_schedule s = make(GLOW_SCHEDULE_EXPONENTIAL, 2.0, 0.0625, 0, 8);
  (void)state;
  near(glow_schedule_rate(&s, 1), 2.0 * pow(0.5, 0.5));
  near(glow_schedule_rate(&s, 2), 1.0);
  near(glow_schedule_rate(&s, 4), 0.5);
  near(glow_schedule_rate(&s, 6), 0.25);
  near(glow_schedule_rate(&s, 8), 0.125);
  near(glow_schedule_rate(&s, 800), 0.125);
}

static void test_invalid(void **state) {
  const glow_schedule good = make(GLOW_SCHEDULE_COSINE, 1.0, 0.5, 10, 20);
  glow_schedule s = good;
  (void)state;
  assert_false(isnan(glow_schedule_rate(&s, 1)));
  assert_true(isnan(glow_schedule_rate(&s, 0)));
  assert_true(isnan(glow_schedule_rate(&s, -5)));
#define EXPECT_NAN(field, value)                                                                   \
  do {                                                                                             \
    s = good;                                                                                      \
    s.field = value;                                                                               \
    assert_true(isnan(glow_schedule_rate(&s, 1)));                                                 \
  } while (0)
  EXPECT_NAN(kind, 0);
  EXPECT_NAN(kind, 4);
  EXPECT_NAN(reserved, 1);
  EXPECT_NAN(rate, -1.0);
  EXPECT_NAN(rate, (double)NAN);
  EXPECT_NAN(rate, HUGE_VAL);
  EXPECT_NAN(final, 0.0);
  EXPECT_NAN(final, 1.5);
  EXPECT_NAN(final, (double)NAN);
  EXPECT_NAN(warmup, -1);
  EXPECT_NAN(steps, -1);
  EXPECT_NAN(steps, 10); /* ends within the warm-up */
  EXPECT_NAN(struct_size, 8);
#undef EXPECT_NAN
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(test_defaults), cmocka_unit_test(test_warmup),
      cmocka_unit_test(test_cosine),   cmocka_unit_test(test_exponential),
      cmocka_unit_test(test_invalid),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
