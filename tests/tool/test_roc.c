/* The area under the ROC curve against its definition, pair by pair.
 * SPDX-License-Identifier: MIT */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "roc.h"

static double by_pairs(const double *low, int64_t m, const double *high, int64_t n) {
  double sum = 0.0;
  for (int64_t i = 0; i < m; i++)
    for (int64_t j = 0; j < n; j++)
      sum += high[j] > low[i] ? 1.0 : high[j] == low[i] ? 0.5 : 0.0;
  return sum / (double)(m * n);
}

static void test_separated(void **state) {
  double low[] = {3, 1, 2}, high[] = {5, 4};
  (void)state;
  assert_true(area_under_curve(low, 3, high, 2) == 1.0);
  assert_true(area_under_curve(high, 2, low, 3) == 0.0);
}

static void test_ties(void **state) {
  double low[] = {1, 1, 1}, high[] = {1, 1};
  (void)state;
  assert_true(area_under_curve(low, 3, high, 2) == 0.5);
}

/* Halves and whole counts: exact in double. */
static void test_against_pairs(void **state) {
  double low[40], high[25];
  (void)state;
  for (int i = 0; i < 40; i++)
    low[i] = (i * 37) % 17;
  for (int i = 0; i < 25; i++)
    high[i] = (i * 23) % 19 + 2;
  double expected = by_pairs(low, 40, high, 25);
  assert_true(area_under_curve(low, 40, high, 25) == expected);
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(test_separated),
      cmocka_unit_test(test_ties),
      cmocka_unit_test(test_against_pairs),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
