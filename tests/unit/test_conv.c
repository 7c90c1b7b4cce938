/* Gathering and summing of 3x3 taps, against their definitions, and as adjoints of each other.
 * SPDX-License-Identifier: MIT */
#include "math/conv.h"

#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "base/base.h"

typedef struct image {
  int64_t height, width, channels, stride;
} image;

static const image images[] = {
    {1, 1, 1, 1}, {1, 5, 3, 3}, {4, 1, 2, 5}, {5, 7, 4, 4}, {8, 8, 6, 12}};
enum { IMAGES = sizeof images / sizeof *images };

static float *numbers(int64_t count, uint64_t seed) {
  float *x = malloc((size_t)count * sizeof *x);
  assert_non_null(x);
  glow__rng_normal(seed, GLOW_STREAM_USER, 0, x, count);
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
  glow__gather3x3(m->height, m->width, m->channels, x, m->stride, sign, first, last, out);
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
  glow__gather3x3(m->height, m->width, m->channels, x, m->stride, sign, 0, pixels, gathered);
  glow__sum3x3(m->height, m->width, m->channels, a, -sign, 0, pixels, sum, m->stride);
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
  glow__rng_normal(6, GLOW_STREAM_USER, 0, a, 16 * 18);
  memset(whole, 0, sizeof whole);
  glow__sum3x3(m.height, m.width, m.channels, a, 1, 0, 16, whole, 2);
  for (int i = 0; i < 32; i++)
    out[i] = 1.0f;
  glow__sum3x3(m.height, m.width, m.channels, a, 1, 5, 9, out, 2);
  for (int i = 0; i < 32; i++) /* 1 + a sum rounds otherwise than the sum */
    assert_true(fabsf(out[i] - (i >= 10 && i < 18 ? 1.0f + whole[i] : 1.0f)) < 1e-5f);
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(test_gather),
      cmocka_unit_test(test_adjoint),
      cmocka_unit_test(test_sum_adds_and_keeps_to_its_range),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
