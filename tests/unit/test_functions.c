/* Functions over arrays: every provider against double precision, on random numbers of every
 * exponent and on edges, and whether an element's place matters. SPDX-License-Identifier: MIT */
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include <cmocka.h>

#include "math/functions.h"
#include "math/kernels.h"

enum { COUNT = 60000 };
static float x[COUNT + 64], y[COUNT + 64], z[COUNT + 64], w[COUNT + 64];
static uint32_t state;

static uint32_t draw(void) {
  state = state * 1664525u + 1013904223u;
  return state >> 1 ^ state << 16;
}

static float of_bits(uint32_t bits) {
  float value;
  memcpy(&value, &bits, sizeof value);
  return value;
}

/* Edges; then numbers of any exponent; then the range where the functions are not flat. */
static void fill(void) {
  static const float edges[] = {0.0f,
                                -0.0f,
                                INFINITY,
                                -INFINITY,
                                NAN,
                                0x1p-149f,
                                -0x1p-149f,
                                0x1p-126f,
                                -0x1p-126f,
                                0x1.fffffep127f,
                                -0x1.fffffep127f,
                                1.0f,
                                -1.0f,
                                88.72283f,
                                88.72284f,
                                -87.3365f,
                                -103.97f,
                                -103.98f,
                                0.625f,
                                0x1.fffffep-1f,
                                0x1.000002p0f,
                                9.0f,
                                -20.0f,
                                16.7f,
                                0x1.6a09e6p-1f};
  const int count = sizeof edges / sizeof *edges;
  for (int i = 0; i < COUNT; i++)
    x[i] = i < count       ? edges[i]
           : i < COUNT / 3 ? of_bits(draw() << 16 ^ draw())
                           : ((float)draw() * 0x1p-31f - 1.0f) * (i % 3 ? 8.0f : 110.0f);
}

/* Distance in units in the last place of what is exact, rounded to float; for numbers below the
 * normal ones their common unit. */
static double ulps(double exact, float got) {
  if (isnan(exact) || isnan(got))
    return isnan(exact) && isnan(got) ? 0 : INFINITY;
  float nearest = (float)exact;
  if (isinf(nearest) || isinf(got)) /* the largest float, where exact rounds to infinity: near */
    return nearest == got ? 0 : fabs(exact) < 0x1.0001p128 && fabsf(got) > 0x1.fffp127f ? 1 : 1e9;
  int exponent;
  frexp(exact, &exponent);
  return fabs(exact - (double)got) / ldexp(1.0, (exponent > -125 ? exponent : -125) - 24);
}

static double exact_softplus(double v) {
  return (v > 0 ? v : 0) + log1p(exp(-fabs(v)));
}
static double exact_sigmoid(double v) {
  return v >= 0 ? 1 / (1 + exp(-v)) : exp(v) / (1 + exp(v));
}
static double exact_complement(double v) {
  return exact_sigmoid(-v);
}
static double exact_log_sigmoid(double v) {
  return (v > 0 ? 0 : v) - log1p(exp(-fabs(v)));
}

static double worst(const char *kernels, const char *what, const float *got,
                    double (*exact)(double)) {
  double most = 0;
  float at = 0;
  for (int i = 0; i < COUNT; i++) {
    double error = ulps(exact((double)x[i]), got[i]);
    if (error > most) {
      most = error;
      at = x[i];
    }
  }
  printf("%-7s %-12s within %.3f ulp (at %a)\n", kernels, what, most, (double)at);
  return most;
}

/* Every provider, and the error that functions.h states. */
static void test_accuracy(void **unused) {
  (void)unused;
  fill();
  for (uint32_t i = 0; glow__kernels_at(i); i++) {
    const glow__kernels *k = glow__kernels_at(i);
    const glow__functions *f = k->functions;
    f->exp(COUNT, x, y);
    assert_true(worst(k->name, "exp", y, exp) <= 2);
    f->log(COUNT, x, y);
    assert_true(worst(k->name, "log", y, log) <= 1);
    f->tanh(COUNT, x, y);
    assert_true(worst(k->name, "tanh", y, tanh) <= 2);
    f->softplus(COUNT, x, y);
    assert_true(worst(k->name, "softplus", y, exact_softplus) <= 2);
    f->sigmoid(COUNT, x, y, z, w);
    assert_true(worst(k->name, "sigmoid", y, exact_sigmoid) <= 2);
    assert_true(worst(k->name, "complement", z, exact_complement) <= 2);
    assert_true(worst(k->name, "log sigmoid", w, exact_log_sigmoid) <= 2);
  }
}

static void call(const glow__functions *f, int which, int64_t n, const float *in, float *out) {
  const glow__function table[] = {f->exp, f->log, f->tanh, f->softplus};
  if (which < 4)
    table[which](n, in, out);
  else
    f->sigmoid(n, in, out, NULL, NULL);
}

/* The bits of an element do not depend on where it stands and on how many there are; nothing
 * beyond the end is written; x and y may be the same. */
static void test_places(void **unused) {
  (void)unused;
  fill();
  for (uint32_t i = 0; glow__kernels_at(i); i++)
    for (int which = 0; which < 5; which++) {
      const glow__functions *f = glow__kernels_at(i)->functions;
      call(f, which, 200, x, y);
      for (int n = 0; n <= 40; n++)
        for (int from = 0; from < 20; from++) {
          memset(z, 0x55, 64 * sizeof *z);
          call(f, which, n, x + from, z);
          assert_memory_equal(z, y + from, (size_t)n * sizeof *z);
          assert_int_equal(((unsigned char *)(z + n))[0], 0x55);
        }
      memcpy(z, x, 200 * sizeof *z);
      call(f, which, 200, z, z);
      assert_memory_equal(z, y, 200 * sizeof *z);
    }
}

int main(void) {
  state = (uint32_t)time(NULL);
  const char *seed = getenv("GLOW_TEST_SEED");
  if (seed)
    state = (uint32_t)strtoul(seed, NULL, 10);
  printf("seed %u (GLOW_TEST_SEED)\n", state);
  const struct CMUnitTest tests[] = {cmocka_unit_test(test_accuracy),
                                     cmocka_unit_test(test_places)};
  return cmocka_run_group_tests(tests, NULL, NULL);
}
