/* glowtool's generated digits: a function of seed and number alone, of the class that their label
 * says, none empty or cut off, and the same picture whatever the size.
 * SPDX-License-Identifier: MIT */
#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "../../examples/glowtool/data.h"
#include "../../examples/glowtool/resize.h"

enum { SIDE = 16, PIXELS = SIDE * SIDE, CLASSES = 10 };

static sample_set digits(int64_t count, uint64_t seed) {
  const data_options o = {.format = "digits", .limit = count, .seed = seed};
  char error[256];
  sample_set set;
  if (!data_open(NULL, 0, &o, &set, error, sizeof error))
    fail_msg("%s", error);
  return set;
}

static void test_same_bits(void **state) {
  uint8_t one[PIXELS], again[PIXELS], other[PIXELS];
  (void)state;
  assert_int_equal(digits_draw(3, 17, SIDE, one), 7);
  assert_int_equal(digits_draw(3, 17, SIDE, again), 7);
  assert_memory_equal(one, again, PIXELS);
  digits_draw(3, 27, SIDE, other);
  assert_memory_not_equal(one, other, PIXELS);
  digits_draw(4, 17, SIDE, other);
  assert_memory_not_equal(one, other, PIXELS);
}

static void test_set(void **state) {
  uint8_t last[PIXELS];
  sample_set set = digits(25, 9);
  (void)state;
  assert_int_equal(set.count, 25);
  assert_int_equal(set.height, SIDE);
  assert_int_equal(set.width, SIDE);
  assert_int_equal(set.channels, 1);
  assert_int_equal(set.classes, CLASSES);
  for (int i = 0; i < 25; i++)
    assert_int_equal(set.labels[i], i % CLASSES);
  digits_draw(9, 24, SIDE, last);
  assert_memory_equal(((const uint8_t *)set.samples) + 24 * PIXELS, last, PIXELS);
  data_free(&set);
}

static void test_refusals(void **state) {
  const data_options o = {.format = "digits", .limit = 5, .channels = 3};
  char error[256] = "";
  sample_set set;
  (void)state;
  assert_false(data_open(NULL, 0, &o, &set, error, sizeof error));
  assert_string_equal(error, "generated digits have 1 channel, not 3");
  assert_true(data_is_generated("digits") && data_is_generated("shapes"));
  assert_false(data_is_generated("auto"));
}

/* Strokes are 9 % to 15 % of the height thick and at least half of it long; a picture is at most
 * half ink, and its outermost pixels are nearly free of it. */
static void test_ink(void **state) {
  sample_set set = digits(3000, 1);
  double border = 0.0, all = 0.0;
  (void)state;
  for (int64_t i = 0; i < set.count; i++) {
    const uint8_t *p = ((const uint8_t *)set.samples) + i * PIXELS;
    double ink = 0.0;
    for (int k = 0; k < PIXELS; k++) {
      bool outermost =
          k % SIDE == 0 || k % SIDE == SIDE - 1 || k / SIDE == 0 || k / SIDE == SIDE - 1;
      ink += p[k] / 255.0;
      border += outermost ? p[k] / 255.0 : 0.0;
    }
    if (ink < 0.04 * PIXELS || ink > 0.5 * PIXELS)
      fail_msg("picture %lld has %.1f of %d pixels inked", (long long)i, ink, PIXELS);
    all += ink;
  }
  assert_true(border < 0.01 * all);
  data_free(&set);
}

/* means: [CLASSES, PIXELS] */
static int nearest_mean(const double *means, const uint8_t *pixels) {
  int best = 0;
  double least = 0.0;
  for (int c = 0; c < CLASSES; c++) {
    double sum = 0.0;
    for (int k = 0; k < PIXELS; k++)
      sum += (pixels[k] - means[c * PIXELS + k]) * (pixels[k] - means[c * PIXELS + k]);
    if (c == 0 || sum < least) {
      least = sum;
      best = c;
    }
  }
  return best;
}

/* The simplest classifier can tell the classes apart: by the nearest of the means of other digits.
 * It is right on 90 %; a class drawn as another, or labels that are off, would cost a tenth or
 * more. */
static void test_classes(void **state) {
  static double means[CLASSES * PIXELS];
  sample_set known = digits(4000, 1), asked = digits(2000, 2);
  int right = 0, of_class[CLASSES] = {0};
  (void)state;
  for (int64_t i = 0; i < known.count; i++)
    for (int k = 0; k < PIXELS; k++)
      means[known.labels[i] * PIXELS + k] +=
          ((const uint8_t *)known.samples)[i * PIXELS + k] / 400.0;
  for (int64_t i = 0; i < asked.count; i++) {
    bool good =
        nearest_mean(means, ((const uint8_t *)asked.samples) + i * PIXELS) == asked.labels[i];
    right += good;
    of_class[asked.labels[i]] += good;
  }
  print_message("right: %d of 2000\n", right);
  assert_true(right >= 1700);
  for (int c = 0; c < CLASSES; c++)
    if (of_class[c] < 140)
      fail_msg("of 200 digits %d only %d look like one", c, of_class[c]);
  data_free(&known);
  data_free(&asked);
}

/* Drawn at twice the size and averaged over 2 x 2 pixels it is the same digit: what is left is how
 * the edges are smoothed, over a pixel of the one or of the other. */
static void test_sizes(void **state) {
  static uint8_t small[PIXELS], large[4 * PIXELS], shrunk[PIXELS];
  double difference = 0.0, ink = 0.0;
  (void)state;
  for (uint64_t i = 0; i < 50; i++) {
    digits_draw(5, i, SIDE, small);
    digits_draw(5, i, 2 * SIDE, large);
    assert_true(resize_crop(large, 2 * SIDE, 2 * SIDE, 1, SIDE, SIDE, shrunk));
    for (int k = 0; k < PIXELS; k++) {
      difference += abs(small[k] - shrunk[k]);
      ink += small[k];
    }
  }
  print_message("difference: %.4f of the ink\n", difference / ink);
  assert_true(difference < 0.1 * ink);
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(test_same_bits), cmocka_unit_test(test_set),
      cmocka_unit_test(test_refusals),  cmocka_unit_test(test_ink),
      cmocka_unit_test(test_classes),   cmocka_unit_test(test_sizes),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
