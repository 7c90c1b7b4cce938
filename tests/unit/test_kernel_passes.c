/* Passes over activations of every provider that this machine can run: gathering and summing of 3x3
 * taps against their definitions, and as adjoints of each other; actnorms and couplings against the
 * formulas in double.
 * SPDX-License-Identifier: MIT */
#include "math/passes.h"

#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "base/base.h"
#include "math/kernels.h"

/* Those that are tested now. */
static const glow__passes *passes;

typedef struct image {
  int64_t height, width, channels, stride;
} image;

static const image images[] = {
    {1, 1, 1, 1}, {1, 5, 3, 3}, {4, 1, 2, 5}, {5, 7, 4, 4}, {8, 8, 6, 12}};
enum { IMAGES = sizeof images / sizeof *images };

static float *numbers(int64_t count, uint64_t seed) {
  float *x = malloc((size_t)count * sizeof *x);
  assert_non_null(x);
  glow_random_normal(seed, GLOW_STREAM_USER, 0, x, count);
  return x;
}

/* x at pixel p moved by tap t, 0 outside. */
static float tap(const image *m, const float *x, int64_t p, int64_t t, int32_t sign, int64_t c) {
  int64_t row = p / m->width + sign * (t / 3 - 1), column = p % m->width + sign * (t % 3 - 1);
  if (row < 0 || row >= m->height || column < 0 || column >= m->width)
    return 0.0f;
  return x[(row * m->width + column) * m->stride + c];
}

static void check_gather(const image *m, int32_t sign) {
  int64_t pixels = m->height * m->width, taps = 9 * m->channels;
  float *x = numbers(pixels * m->stride, 1), *out = numbers(pixels * taps, 2);
  int64_t first = pixels / 3, last = pixels;
  passes->gather3x3(m->height, m->width, m->channels, x, m->stride, sign, first, last, out);
  for (int64_t p = first; p < last; p++)
    for (int64_t t = 0; t < 9; t++)
      for (int64_t c = 0; c < m->channels; c++)
        assert_true(out[((p - first) * 9 + t) * m->channels + c] == tap(m, x, p, t, sign, c));
  free(x);
  free(out);
}

static void test_gather(void **unused) {
  (void)unused;
  for (int i = 0; i < IMAGES; i++) {
    check_gather(&images[i], 1);
    check_gather(&images[i], -1);
  }
}

/* <gather(x, s), a> = <x, sum(a, -s)>; terms are of size 1, and a few thousand of them are added.
 * */
static void check_adjoint(const image *m, int32_t sign) {
  int64_t pixels = m->height * m->width, taps = 9 * m->channels;
  float *x = numbers(pixels * m->stride, 3), *a = numbers(pixels * taps, 4);
  float *gathered = numbers(pixels * taps, 5),
        *sum = calloc((size_t)(pixels * m->stride), sizeof *sum);
  double left = 0, right = 0;
  assert_non_null(sum);
  passes->gather3x3(m->height, m->width, m->channels, x, m->stride, sign, 0, pixels, gathered);
  passes->sum3x3(m->height, m->width, m->channels, a, -sign, 0, pixels, sum, m->stride);
  for (int64_t i = 0; i < pixels * taps; i++)
    left += (double)gathered[i] * (double)a[i];
  for (int64_t p = 0; p < pixels; p++)
    for (int64_t c = 0; c < m->stride; c++) {
      right += (double)x[p * m->stride + c] * (double)sum[p * m->stride + c];
      if (c >= m->channels)
        assert_true(sum[p * m->stride + c] == 0.0f);
    }
  assert_true(fabs(left - right) < 1e-4);
  free(x);
  free(a);
  free(gathered);
  free(sum);
}

static void test_adjoint(void **unused) {
  (void)unused;
  for (int i = 0; i < IMAGES; i++) {
    check_adjoint(&images[i], 1);
    check_adjoint(&images[i], -1);
  }
}

static void test_sum_adds_and_keeps_to_its_range(void **unused) {
  const image m = {4, 4, 2, 2};
  float a[16 * 18], out[32], whole[32];
  (void)unused;
  glow_random_normal(6, GLOW_STREAM_USER, 0, a, 16 * 18);
  memset(whole, 0, sizeof whole);
  passes->sum3x3(m.height, m.width, m.channels, a, 1, 0, 16, whole, 2);
  for (int i = 0; i < 32; i++)
    out[i] = 1.0f;
  passes->sum3x3(m.height, m.width, m.channels, a, 1, 5, 9, out, 2);
  for (int i = 0; i < 32; i++) /* 1 + a sum rounds otherwise than the sum */
    assert_true(fabsf(out[i] - (i >= 10 && i < 18 ? 1.0f + whole[i] : 1.0f)) < 1e-5f);
}

/* ---- actnorm and coupling -------------------------------------------------------------------- */

enum { ROWS = 5, MOST = 37 };

/* A few roundings of numbers of size 1 to 10, in float or as one fused multiply-add. */
static const double worst = 1e-5;

static void close_to(const char *what, int64_t n, float value, double expected) {
  if (!(fabs((double)value - expected) <= worst))
    fail_msg("%s, n %lld: %.9g in the place of %.9g", what, (long long)n, (double)value, expected);
}

/* Positive, and not near 0. */
static float *factors(int64_t count, uint64_t seed) {
  float *s = numbers(count, seed);
  for (int64_t i = 0; i < count; i++)
    s[i] = 0.5f + fabsf(s[i]);
  return s;
}

static void check_norm(int64_t n) {
  float *x = numbers(ROWS * n, 7), *shift = numbers(n, 8), *scale = factors(n, 9);
  float *y = numbers(ROWS * n, 10), *dy = numbers(ROWS * n, 11), *dx = numbers(ROWS * n, 12);
  float *inverse = factors(n, 9);
  double d_shift[MOST] = {0}, d_logs[MOST] = {0};
  passes->actnorm(ROWS, n, x, shift, scale, y);
  passes->actnorm_gradient(ROWS, n, y, dy, scale, dx, d_shift, d_logs);
  for (int64_t j = 0; j < n; j++) {
    double sum_shift = 0, sum_logs = 0;
    for (int64_t i = j; i < ROWS * n; i += n) {
      close_to("norm", n, y[i], ((double)x[i] + (double)shift[j]) * (double)scale[j]);
      close_to("gradient", n, dx[i], (double)dy[i] * (double)scale[j]);
      sum_shift += (double)dy[i] * (double)scale[j];
      sum_logs += (double)dy[i] * (double)y[i];
    }
    close_to("sum of shift", n, (float)d_shift[j], sum_shift);
    close_to("sum of logs", n, (float)d_logs[j], sum_logs);
    inverse[j] = 1.0f / scale[j];
  }
  passes->actnorm_undo(ROWS, n, y, shift, inverse, y); /* in place */
  for (int64_t i = 0; i < ROWS * n; i++)
    close_to("undone", n, y[i], (double)x[i]);
  float *const arrays[] = {x, shift, scale, y, dy, dx, inverse};
  for (size_t i = 0; i < sizeof arrays / sizeof *arrays; i++)
    free(arrays[i]);
}

static double changed(int32_t kind, double x, double t, double s) {
  return kind == GLOW_CHANGE_SHIFT         ? x + t
         : kind == GLOW_CHANGE_SHIFT_SCALE ? (x + t) * s
                                           : x * s + t;
}

/* Rows with something between them: 2 numbers in x, 3 in t. */
static void check_change(int32_t kind, int64_t n) {
  int64_t x_row = n + 2, t_row = n + 3;
  float *x = numbers(ROWS * x_row, 13), *t = numbers(ROWS * t_row, 14), *s = factors(ROWS * n, 15);
  float *y = numbers(ROWS * x_row, 13);
  passes->change(kind, ROWS, n, x, x_row, t, t_row, s, y);
  for (int64_t i = 0; i < ROWS * x_row; i++) {
    int64_t row = i / x_row, j = i % x_row;
    if (j < n)
      close_to("changed", n, y[i],
               changed(kind, (double)x[i], (double)t[row * t_row + j], (double)s[row * n + j]));
    else
      assert_true(y[i] == x[i]);
  }
  passes->change_undo(kind, ROWS, n, y, x_row, t, t_row, s, y); /* in place */
  for (int64_t i = 0; i < ROWS * x_row; i++)
    close_to("undone", n, y[i], (double)x[i]);
  float *const arrays[] = {x, t, s, y};
  for (size_t i = 0; i < sizeof arrays / sizeof *arrays; i++)
    free(arrays[i]);
}

static void check_change_gradient(int32_t kind, int64_t n) {
  float *t = numbers(n, 14), *s = factors(n, 15), *y = numbers(n, 16), *dy = numbers(n, 17);
  float *dx = numbers(n, 18), *dt = numbers(n, 19), *d_log_s = numbers(n, 20), w = 0.75f;
  passes->change_gradient(kind, n, t, s, y, dy, w, dx, dt, d_log_s);
  for (int64_t j = 0; j < n; j++) {
    double d = (double)dy[j], scale = kind == GLOW_CHANGE_SHIFT ? 1 : (double)s[j];
    double without = kind == GLOW_CHANGE_SHIFT_SCALE ? 0 : (double)t[j];
    close_to("dx", n, dx[j], d * scale);
    close_to("dt", n, dt[j], kind == GLOW_CHANGE_SCALE_SHIFT ? d : d * scale);
    if (kind != GLOW_CHANGE_SHIFT)
      close_to("d log s", n, d_log_s[j], d * ((double)y[j] - without) + (double)w);
  }
  float *const arrays[] = {t, s, y, dy, dx, dt, d_log_s};
  for (size_t i = 0; i < sizeof arrays / sizeof *arrays; i++)
    free(arrays[i]);
}

static void test_norm_and_change(void **unused) {
  (void)unused;
  for (int64_t n = 1; n <= MOST; n++) {
    check_norm(n);
    for (int32_t kind = GLOW_CHANGE_SHIFT; kind <= GLOW_CHANGE_SCALE_SHIFT; kind++) {
      check_change(kind, n);
      check_change_gradient(kind, n);
    }
  }
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(test_gather),
      cmocka_unit_test(test_adjoint),
      cmocka_unit_test(test_sum_adds_and_keeps_to_its_range),
      cmocka_unit_test(test_norm_and_change),
  };
  int failed = 0;
  for (uint32_t i = 0; glow__kernels_at(i); i++) {
    printf("passes of %s\n", glow__kernels_at(i)->name);
    passes = glow__kernels_at(i)->passes;
    failed += cmocka_run_group_tests(tests, NULL, NULL);
  }
  return failed;
}
