/* The order in which glowtool shows images: each as often as an epoch has it, turned left to right
 * at random or never, and the same again from any place. SPDX-License-Identifier: MIT */
#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "feed.h"

/* What a feed says when it fails. */
int complain(const char *format, ...) {
  fail_msg("%s", format);
  return TOOL_BAD;
}
int complain_status(glow_status status, const char *doing) {
  fail_msg("%s: %s: %s", doing ? doing : "feed", glow_status_name(status), glow_last_error());
  return TOOL_FAILED;
}

enum { COUNT = 20, HEIGHT = 2, WIDTH = 3, CHANNELS = 2, DIMS = HEIGHT * WIDTH * CHANNELS };

/* The byte of picture n at row r, column c, channel k is different for all of them. */
static uint8_t byte_of(int64_t n, int64_t r, int64_t c, int64_t k) {
  return (uint8_t)(n * DIMS + (r * WIDTH + c) * CHANNELS + k);
}

typedef struct bench {
  glow_context *context;
  sample_set set;
  uint8_t pixels[COUNT * DIMS];
  int32_t labels[COUNT]; /* every fourth image has one */
} bench;

static int open_bench(void **state) {
  bench *b = calloc(1, sizeof *b);
  assert_non_null(b);
  assert_int_equal(glow_context_create(NULL, &b->context), GLOW_OK);
  for (int64_t n = 0, i = 0; n < COUNT; n++) {
    b->labels[n] = n % 4 ? -1 : (int32_t)n;
    for (int64_t r = 0; r < HEIGHT; r++)
      for (int64_t c = 0; c < WIDTH; c++)
        for (int64_t k = 0; k < CHANNELS; k++)
          b->pixels[i++] = byte_of(n, r, c, k);
  }
  b->set = (sample_set){.count = COUNT,
                        .height = HEIGHT,
                        .width = WIDTH,
                        .channels = CHANNELS,
                        .samples = b->pixels,
                        .labels = b->labels};
  *state = b;
  return 0;
}

static int close_bench(void **state) {
  bench *b = *state;
  glow_context_destroy(&b->context);
  free(b);
  return 0;
}

static feed new_feed(const bench *b, int64_t times, bool flip, uint64_t seed) {
  feed f;
  assert_int_equal(feed_open(&f, b->context, &b->set, true, times, flip, seed, COUNT), TOOL_FINE);
  return f;
}

/* Which image stands at a place of the batch, and whether it is turned. It must be of the set. */
static int64_t recognise(const feed *f, int64_t place, bool *turned) {
  const uint8_t *x = f->pixels + place * DIMS;
  int64_t n = x[0] / DIMS;
  *turned = x[0] != byte_of(n, 0, 0, 0);
  for (int64_t i = 0; i < DIMS; i++) {
    int64_t r = i / CHANNELS / WIDTH, c = i / CHANNELS % WIDTH, k = i % CHANNELS;
    assert_int_equal(x[i], byte_of(n, r, *turned ? WIDTH - 1 - c : c, k));
  }
  assert_int_equal(f->labels[place], n % 4 ? -1 : n);
  return n;
}

/* Shows one epoch: how often each image came, and which of them, first come first, were turned. */
static void show_epoch(feed *f, int64_t counts[COUNT], bool *turned) {
  memset(counts, 0, COUNT * sizeof *counts);
  for (int64_t i = 0; i < f->length; i++) {
    assert_int_equal(feed_next(f, 1), TOOL_FINE);
    counts[recognise(f, 0, &turned[i])]++;
  }
}

static void test_times(void **state) {
  const bench *b = *state;
  int64_t counts[COUNT];
  bool turned[3 * COUNT];
  feed f = new_feed(b, 3, false, 1);
  assert_int_equal(f.length, COUNT + 2 * (COUNT / 4));
  for (int epoch = 0; epoch < 3; epoch++) {
    show_epoch(&f, counts, turned);
    for (int64_t n = 0; n < COUNT; n++)
      assert_int_equal(counts[n], n % 4 ? 1 : 3);
    for (int64_t i = 0; i < f.length; i++)
      assert_false(turned[i]);
  }
  feed_close(&f);
}

/* Half of the images, others in each epoch and for each seed: of 1000, 6 standard deviations around
 * 500 are 405 to 595. */
static void test_flips(void **state) {
  const bench *b = *state;
  enum { EPOCHS = 50 };
  static bool turned[2][EPOCHS][COUNT];
  for (uint64_t seed = 0; seed < 2; seed++) {
    int64_t counts[COUNT], sum = 0, same = 0;
    feed f = new_feed(b, 1, true, seed);
    for (int epoch = 0; epoch < EPOCHS; epoch++) {
      show_epoch(&f, counts, turned[seed][epoch]);
      for (int64_t i = 0; i < COUNT; i++) {
        assert_int_equal(counts[i], 1);
        sum += turned[seed][epoch][i];
        same += turned[seed][epoch][i] == turned[seed][0][i];
      }
    }
    assert_in_range(sum, 405, 595);
    assert_in_range(same - COUNT, 395, 585); /* the first epoch is like itself */
    feed_close(&f);
  }
  assert_memory_not_equal(turned[0], turned[1], sizeof turned[0]);
}

/* A feed that goes to where another one was goes on with the same bytes, whatever the batches. */
static void test_go(void **state) {
  const bench *b = *state;
  uint8_t expected[COUNT * DIMS];
  feed f = new_feed(b, 2, true, 5), other = new_feed(b, 2, true, 5);
  for (int64_t batch = 1; batch < 8; batch++) {
    assert_int_equal(feed_next(&f, batch), TOOL_FINE);
    feed_place place = f.place;
    assert_int_equal(feed_next(&f, COUNT), TOOL_FINE); /* now and then into the next epoch */
    memcpy(expected, f.pixels, sizeof expected);
    assert_int_equal(feed_go(&other, place), TOOL_FINE);
    for (int64_t first = 0; first < COUNT; first += 5) {
      assert_int_equal(feed_next(&other, 5), TOOL_FINE);
      assert_memory_equal(other.pixels, expected + first * DIMS, 5 * DIMS);
    }
  }
  feed_close(&f);
  feed_close(&other);
}

int main(void) {
  const struct CMUnitTest tests[] = {cmocka_unit_test(test_times), cmocka_unit_test(test_flips),
                                     cmocka_unit_test(test_go)};
  return cmocka_run_group_tests(tests, open_bench, close_bench);
}
