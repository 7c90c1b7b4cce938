/* Tiles of a product: each element is in one of them, and they are as the cost model says.
 * SPDX-License-Identifier: MIT */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "math/tiles.h"

static const int64_t row_counts[] = {1, 15, 16, 17, 64, 100, 256, 1000, 4096};
static const int64_t column_counts[] = {1, 31, 54, 108, 432, 512};
static const glow__tile_limits all_limits[] = {{128, 16, 32}, {128, 128, 64}, {128, 32, 512}};

#define EACH(i, array) (size_t i = 0; i < sizeof(array) / sizeof *(array); i++)

/* Each element is in one tile. */
static void expect_a_partition(const glow__tiles *t) {
  unsigned char *seen = calloc((size_t)(t->rows * t->columns), 1);
  assert_non_null(seen);
  for (uint32_t task = 0; task < glow__tile_count(t); task++) {
    const glow__tile at = glow__tile_at(t, task);
    assert_true(at.row < at.row_end && at.row_end <= t->rows);
    assert_true(at.column < at.column_end && at.column_end <= t->columns);
    for (int64_t i = at.row; i < at.row_end; i++)
      for (int64_t j = at.column; j < at.column_end; j++)
        assert_int_equal(seen[i * t->columns + j]++, 0);
  }
  assert_null(memchr(seen, 0, (size_t)(t->rows * t->columns)));
  free(seen);
}

static void test_a_partition(void **state) {
  (void)state;
  for
    EACH(r, row_counts)
    for
      EACH(c, column_counts)
      for
        EACH(l, all_limits) {
          const glow__tiles t =
              glow__tiles_of(row_counts[r], column_counts[c], 512, &all_limits[l]);
          expect_a_partition(&t);
        }
}

static void test_limits(void **state) {
  (void)state;
  for
    EACH(r, row_counts)
    for
      EACH(c, column_counts)
      for
        EACH(l, all_limits) {
          const glow__tile_limits *limits = &all_limits[l];
          const glow__tiles t = glow__tiles_of(row_counts[r], column_counts[c], 512, limits);
          assert_in_range(t.height, limits->least_rows, limits->most_rows);
          assert_true(t.width >= limits->least_columns);
          assert_int_equal(t.height & (t.height - 1), 0);
          assert_int_equal(t.width & (t.width - 1), 0);
        }
}

/* The wide product of the paper's third level, 16 images: more than 64 threads can share it; and of
 * one image, whose tasks are as small as they may be. */
static void test_enough(void **state) {
  (void)state;
  glow__tiles t = glow__tiles_of(256, 512, 512, &all_limits[0]);
  assert_in_range(glow__tile_count(&t), GLOW_TILES_ENOUGH, 2 * GLOW_TILES_ENOUGH);
  t = glow__tiles_of(16, 512, 512, &all_limits[0]);
  assert_int_equal(glow__tile_count(&t), 16);
  assert_int_equal(t.height * t.width * 512, GLOW_TILE_LEAST);
  t = glow__tiles_of(1 << 20, 512, 512, &all_limits[0]);
  assert_int_equal(t.height, 128);
  assert_int_equal(t.width, 512);
}

/* A tile may be as high as the matrix, whatever its limit. */
static void test_whole_rows(void **state) {
  (void)state;
  const glow__tiles t = {70, 300, INT64_MAX, 128};
  assert_int_equal(glow__tile_count(&t), 3);
  expect_a_partition(&t);
}

/* What follows each other has the same rows, or the same columns, whichever there are more of. */
static void test_order(void **state) {
  const glow__tiles tall = {4096, 512, 128, 128}, wide = {256, 512, 32, 32};
  (void)state;
  for (uint32_t task = 0; task < 4; task++) {
    assert_int_equal(glow__tile_at(&tall, task).row, 0);
    assert_int_equal(glow__tile_at(&tall, task).column, 128 * task);
    assert_int_equal(glow__tile_at(&wide, task).row, 32 * task);
    assert_int_equal(glow__tile_at(&wide, task).column, 0);
  }
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(test_a_partition), cmocka_unit_test(test_limits),
      cmocka_unit_test(test_enough),      cmocka_unit_test(test_whole_rows),
      cmocka_unit_test(test_order),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
