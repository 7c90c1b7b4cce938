/* Rational-quadratic splines: against the definition, at knots, in the tails, round trips, extreme
 * parameters, and every gradient against differences. SPDX-License-Identifier: MIT */
#include "math/spline.h"

#include <float.h>
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

enum { MOST = 3 * GLOW_SPLINE_MOST_BINS };

enum { SPLINES = 4 };
static glow__spline splines[SPLINES];
static void make_splines(void) {
  splines[0] = glow__spline_of(2, 1.0, 1e-3, 1e-3, 1e-3);
  splines[1] = glow__spline_of(5, 3.0, 1e-2, 1e-3, 1e-2);
  splines[2] = glow__spline_of(8, 4.0, 1e-3, 1e-3, 1e-3);
  splines[3] = glow__spline_of(64, 10.0, 1e-3, 1e-3, 1e-3);
}

static uint64_t state = 1;
static double uniform(void) {
  state = state * 6364136223846793005u + 1442695040888963407u;
  return (double)(state >> 11) * 0x1p-53;
}

static void draw(const glow__spline *s, double scale, float *raw) {
  for (int64_t i = 0; i < glow__spline_numbers(s); i++)
    raw[i] = (float)(scale * (2 * uniform() - 1));
}

/* All zero is the identity. */
static void test_identity(void **unused) {
  (void)unused;
  for (int i = 0; i < SPLINES; i++) {
    const glow__spline *s = &splines[i];
    float raw[MOST] = {0};
    glow__knots knots;
    double log_slope;
    glow__spline_knots(s, raw, &knots);
    for (double x = -1.5 * s->bound; x <= 1.5 * s->bound; x += 0.01) {
      assert_true(fabs(glow__spline_forward(s, &knots, x, &log_slope) - x) < 1e-6);
      assert_true(fabs(log_slope) < 1e-6); /* exponentials are float32 */
      assert_true(fabs(glow__spline_inverse(s, &knots, x, &log_slope) - x) < 1e-6);
      assert_true(fabs(log_slope) < 1e-6);
    }
  }
}

/* Through the knots with the derivatives stated there, from both sides; steps at least as wide and
 * high as promised. */
static void test_knots(void **unused) {
  (void)unused;
  for (int i = 0; i < SPLINES; i++)
    for (int round = 0; round < 50; round++) {
      const glow__spline *s = &splines[i];
      float raw[MOST];
      glow__knots k;
      double log_slope;
      draw(s, round % 2 ? 3 : 30, raw);
      glow__spline_knots(s, raw, &k);
      assert_true(k.x[0] == -s->bound && k.y[0] == -s->bound);
      assert_true(k.x[s->bins] == s->bound && k.y[s->bins] == s->bound);
      for (int j = 0; j < s->bins; j++) {
        assert_true(k.x[j + 1] - k.x[j] > 2 * s->bound * s->min_width * 0.999);
        assert_true(k.y[j + 1] - k.y[j] > 2 * s->bound * s->min_height * 0.999);
        assert_true(k.d[j] >= s->min_derivative);
        assert_true(fabs(glow__spline_forward(s, &k, k.x[j], &log_slope) - k.y[j]) < 1e-12);
        assert_true(j == 0 || fabs(log_slope - log(k.d[j])) < 1e-9);
        assert_true(fabs(glow__spline_inverse(s, &k, k.y[j], &log_slope) - k.x[j]) < 1e-12);
        double below = nextafter(k.x[j + 1], -1e9);
        assert_true(fabs(glow__spline_forward(s, &k, below, &log_slope) - k.y[j + 1]) < 1e-9);
        assert_true(fabs(log_slope - log(k.d[j + 1])) < 1e-6);
      }
    }
}

static void test_tails(void **unused) {
  (void)unused;
  const double outside[] = {1.0, 1.0000001, 2, 1e10, DBL_MAX, INFINITY};
  for (int i = 0; i < SPLINES; i++)
    for (int j = 0; j < 12; j++) {
      const glow__spline *s = &splines[i];
      float raw[MOST], d_raw[MOST];
      glow__knots k;
      double log_slope = 1, v = (j % 2 ? -s->bound : s->bound) * outside[j / 2];
      draw(s, 3, raw);
      glow__spline_knots(s, raw, &k);
      assert_true(glow__spline_forward(s, &k, v, &log_slope) == v && log_slope == 0);
      assert_true(glow__spline_inverse(s, &k, v, &log_slope) == v && log_slope == 0);
      assert_true(glow__spline_gradient(s, raw, &k, v, 0.7, 3.0, d_raw) == 0.7);
      for (int64_t n = 0; n < glow__spline_numbers(s); n++)
        assert_true(d_raw[n] == 0);
    }
  float raw[MOST] = {0};
  glow__knots k;
  double log_slope;
  glow__spline_knots(&splines[0], raw, &k);
  assert_true(isnan(glow__spline_forward(&splines[0], &k, NAN, &log_slope)));
  assert_true(isnan(glow__spline_inverse(&splines[0], &k, NAN, &log_slope)));
}

/* x -> y -> x and y -> x -> y; slopes agree and are those of differences. Extreme parameters too:
 * widths, heights and derivatives at their limits. */
static void test_round_trips(void **unused) {
  (void)unused;
  const double scales[] = {1, 10, 100, 1e4, 1e30};
  for (int i = 0; i < SPLINES; i++)
    for (int round = 0; round < 500; round++) {
      const glow__spline *s = &splines[i];
      float raw[MOST];
      glow__knots k;
      draw(s, scales[round % 5], raw);
      glow__spline_knots(s, raw, &k);
      double v = s->bound * (2 * uniform() - 1), slope, back, inverse_slope;
      double y = glow__spline_forward(s, &k, v, &slope);
      assert_true(isfinite(y) && isfinite(slope) && fabs(y) <= s->bound * (1 + 1e-12));
      back = glow__spline_inverse(s, &k, y, &inverse_slope);
      /* The way back multiplies rounding by one over the slope, or by the slope. */
      if (round % 5 < 2) {
        assert_true(fabs(back - v) * fmin(1, exp(slope)) < 1e-9);
        assert_true(fabs(slope - inverse_slope) < 1e-6);
      }
      double x = glow__spline_inverse(s, &k, v, &inverse_slope);
      assert_true(isfinite(x) && isfinite(inverse_slope) && fabs(x) <= s->bound * (1 + 1e-12));
      back = glow__spline_forward(s, &k, x, &slope);
      if (round % 5 < 2)
        assert_true(fabs(back - v) < 1e-9 * fmax(1, exp(slope)));
    }
}

static void test_increasing(void **unused) {
  (void)unused;
  for (int i = 0; i < SPLINES; i++) {
    const glow__spline *s = &splines[i];
    float raw[MOST];
    glow__knots k;
    double log_slope, last = -INFINITY;
    draw(s, 20, raw);
    glow__spline_knots(s, raw, &k);
    for (int j = 0; j <= 20000; j++) {
      double y = glow__spline_forward(s, &k, s->bound * (j / 9000.0 - 1.1), &log_slope);
      assert_true(y >= last - 1e-12);
      last = y;
    }
  }
}

/* d = dy y + d_log log y', of x and of each raw number. */
static double objective(const glow__spline *s, const float *raw, double x, double dy,
                        double d_log) {
  glow__knots k;
  double log_slope, y;
  glow__spline_knots(s, raw, &k);
  y = glow__spline_forward(s, &k, x, &log_slope);
  return dy * y + d_log * log_slope;
}

static void check_gradient(const glow__spline *s, const float *raw, double x) {
  const double dy = 0.8, d_log = -1.3, step = 1e-4;
  float d_raw[MOST], moved[MOST];
  glow__knots k;
  glow__spline_knots(s, raw, &k);
  double dx = glow__spline_gradient(s, raw, &k, x, dy, d_log, d_raw);
  for (int j = 0; j < s->bins; j++)
    if (fabs(k.x[j] - x) < 0.03 || fabs(k.x[j + 1] - x) < 0.03)
      return; /* the second derivative jumps at knots: differences do not serve there */
  double slope = (objective(s, raw, x + step, dy, d_log) - objective(s, raw, x - step, dy, d_log)) /
                 (2 * step);
  assert_true(fabs(slope - dx) < 1e-4 * (1 + fabs(dx)));
  for (int64_t i = 0; i < glow__spline_numbers(s); i++) {
    memcpy(moved, raw, sizeof moved);
    const double wide = 0x1p-9; /* exponentials are float32 */
    moved[i] = raw[i] + (float)wide;
    double high = objective(s, moved, x, dy, d_log);
    moved[i] = raw[i] - (float)wide;
    slope = (high - objective(s, moved, x, dy, d_log)) / (2 * wide);
    if (!(fabs(slope - (double)d_raw[i]) < 1e-3 * (1 + fabs(slope))))
      fail_msg("%d bins, number %d at x = %g: %g, by differences %g", s->bins, (int)i, x,
               (double)d_raw[i], slope);
  }
}

static void test_gradients(void **unused) {
  (void)unused;
  for (int i = 0; i < SPLINES - 1; i++)
    for (int round = 0; round < 200; round++) {
      float raw[MOST] = {0};
      draw(&splines[i], 1.5, raw);
      check_gradient(&splines[i], raw, splines[i].bound * (2 * uniform() - 1));
    }
}

/* With extreme parameters the gradient is finite. */
static void test_extreme_gradients(void **unused) {
  (void)unused;
  for (int i = 0; i < SPLINES; i++)
    for (int round = 0; round < 500; round++) {
      const glow__spline *s = &splines[i];
      float raw[MOST], d_raw[MOST];
      glow__knots k;
      draw(s, round % 2 ? 1e3 : 1e30, raw);
      glow__spline_knots(s, raw, &k);
      double x = round % 3 ? s->bound * (2 * uniform() - 1) : k.x[round % s->bins];
      assert_true(isfinite(glow__spline_gradient(s, raw, &k, x, 1, 1, d_raw)));
      for (int64_t n = 0; n < glow__spline_numbers(s); n++)
        assert_true(isfinite(d_raw[n]));
    }
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(test_identity),
      cmocka_unit_test(test_knots),
      cmocka_unit_test(test_tails),
      cmocka_unit_test(test_round_trips),
      cmocka_unit_test(test_increasing),
      cmocka_unit_test(test_gradients),
      cmocka_unit_test(test_extreme_gradients),
  };
  const char *seed = getenv("GLOW_TEST_SEED");
  make_splines();
  state = seed ? strtoull(seed, NULL, 10) : 1;
  printf("seed %llu (GLOW_TEST_SEED sets it)\n", (unsigned long long)state);
  return cmocka_run_group_tests(tests, NULL, NULL);
}
