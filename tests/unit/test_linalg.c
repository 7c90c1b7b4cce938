/* LU, determinants, inverses and orthonormal bases on random matrices.
 * SPDX-License-Identifier: MIT */
#include "math/linalg.h"

#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#include "base/base.h"
#include "math/singular.h"

enum { MOST = 48 };

static void random_matrix(int64_t n, uint64_t seed, double *a) {
  float x[MOST * MOST];
  glow_random_normal(seed, GLOW_STREAM_USER, 0, x, n * n);
  for (int64_t i = 0; i < n * n; i++)
    a[i] = (double)x[i];
}

static double product(int64_t n, const double *a, const double *b, int64_t i, int64_t j) {
  double sum = 0;
  for (int64_t k = 0; k < n; k++)
    sum += a[i * n + k] * b[k * n + j];
  return sum;
}

/* Random matrices of this size have condition numbers below 1e5: 1e-9 leaves room over 2^-52 times
 * that. */
static void test_inverse(void **unused) {
  (void)unused;
  for (int64_t n = 1; n <= MOST; n += n < 4 ? 1 : 11) {
    double a[MOST * MOST], lu[MOST * MOST], inverse[MOST * MOST], sign;
    int32_t perm[MOST];
    random_matrix(n, (uint64_t)n, a);
    memcpy(lu, a, sizeof lu);
    assert_true(glow__lu_factor(n, lu, perm, &sign));
    glow__lu_inverse(n, lu, perm, inverse);
    for (int64_t i = 0; i < n; i++)
      for (int64_t j = 0; j < n; j++)
        assert_true(fabs(product(n, a, inverse, i, j) - (i == j)) < 1e-9);
  }
}

static void test_determinant(void **unused) {
  double a[] = {0, 2, 0, 0, 0, -3, 5, 0, 0}, sign; /* det = 2 * -3 * 5, an even permutation */
  int32_t perm[3];
  (void)unused;
  assert_true(glow__lu_factor(3, a, perm, &sign));
  double logdet = glow__lu_logdet(3, a, sign, &sign);
  assert_true(fabs(logdet - log(30.0)) < 1e-14);
  assert_true(sign == -1.0);
}

/* Of equals the first row is the pivot, so that factors do not depend on what a compiler makes of a
 * comparison: an orthonormal matrix of signs is full of equals. */
static void test_equal_pivots(void **unused) {
  double a[] = {1, 1, 1, -1}, b[] = {0, 1, 0, -2, 0, 0, 2, 0, 3}, sign;
  int32_t perm[3];
  (void)unused;
  assert_true(glow__lu_factor(2, a, perm, &sign));
  assert_true(perm[0] == 0 && perm[1] == 1 && sign == 1.0);
  assert_true(glow__lu_factor(3, b, perm, &sign));
  assert_true(perm[0] == 1 && perm[1] == 0 && perm[2] == 2);
}

static void test_singular(void **unused) {
  double zero[] = {1, 2, 2, 4}, nan[] = {NAN, 1, 1, 1}, sign;
  int32_t perm[2];
  (void)unused;
  assert_false(glow__lu_factor(2, zero, perm, &sign));
  assert_false(glow__lu_factor(2, nan, perm, &sign));
}

static void test_orthonormal(void **unused) {
  double a[MOST * MOST], vanishing[] = {1, 1, 1, 1};
  (void)unused;
  random_matrix(MOST, 7, a);
  assert_true(glow__orthonormalise(MOST, a));
  for (int64_t i = 0; i < MOST; i++)
    for (int64_t j = 0; j < MOST; j++) {
      double dot = 0;
      for (int64_t k = 0; k < MOST; k++)
        dot += a[i * MOST + k] * a[j * MOST + k];
      assert_true(fabs(dot - (i == j)) < 1e-14);
    }
  assert_false(glow__orthonormalise(2, vanishing));
}

/* A = U diag(s) V with U, V random rotations: s_i from 1 to `least`, in equal ratios. */
static void with_singular_values(int64_t n, double least, double *a) {
  double u[MOST * MOST], v[MOST * MOST];
  random_matrix(n, 11, u);
  random_matrix(n, 12, v);
  assert_true(glow__orthonormalise(n, u) && glow__orthonormalise(n, v));
  for (int64_t i = 0; i < n; i++)
    for (int64_t j = 0; j < n; j++)
      u[i * n + j] *= pow(least, (double)j / (double)(n - 1));
  for (int64_t i = 0; i < n; i++)
    for (int64_t j = 0; j < n; j++)
      a[i * n + j] = product(n, u, v, i, j);
}

/* Rounding A to double moves its smallest singular value by up to a few n 2^-53 of the largest. */
static void test_condition_number(void **unused) {
  double a[MOST * MOST];
  (void)unused;
  for (int64_t n = 2; n <= MOST; n += 23)
    for (double least = 1.0; least > 1e-12; least *= 1e-3) {
      with_singular_values(n, least, a);
      assert_true(fabs(glow__condition_number(n, a) * least - 1.0) < 1e-12 + 1e-13 / least);
    }
}

static void test_condition_number_extremes(void **unused) {
  double one[] = {-3}, zero[] = {0, 0, 0, 0}, singular[] = {1, 0, 1, 0}, nan[] = {1, NAN, 0, 1};
  double huge[] = {1e300, 0, 0, 1e298}, tiny[] = {0, 1e-300, 1e-299, 0};
  (void)unused;
  assert_true(glow__condition_number(1, one) == 1.0);
  assert_true(glow__condition_number(2, zero) == INFINITY);
  assert_true(glow__condition_number(2, singular) == INFINITY);
  assert_true(glow__condition_number(2, nan) == INFINITY);
  assert_true(fabs(glow__condition_number(2, huge) - 100.0) < 1e-11);
  assert_true(fabs(glow__condition_number(2, tiny) - 10.0) < 1e-12);
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(test_condition_number), cmocka_unit_test(test_condition_number_extremes),
      cmocka_unit_test(test_inverse),          cmocka_unit_test(test_determinant),
      cmocka_unit_test(test_singular),         cmocka_unit_test(test_orthonormal),
      cmocka_unit_test(test_equal_pivots),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
