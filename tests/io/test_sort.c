/* glow__sort gives what qsort gives, for any size of item. SPDX-License-Identifier: MIT */
#include "../support/model_helpers.h"

#include "io/io.h"

enum { MOST = 1000, WIDE = 24 };

/* By the first byte, then the next, ...: items that compare equal are equal. */
static size_t width;

static int by_bytes(const void *a, const void *b) {
  return memcmp(a, b, width);
}

static void test_sort(void **state) {
  static unsigned char one[MOST * WIDE], other[MOST * WIDE];
  static const size_t widths[] = {1, 4, 8, 16, 17, WIDE};
  helper_random random = helper_random_of(1);
  (void)state;
  for (size_t w = 0; w < sizeof widths / sizeof *widths; w++)
    for (size_t count = 0; count <= MOST; count += 1 + count / 3) {
      width = widths[w];
      for (size_t i = 0; i < count * width; i++)
        one[i] = other[i] = (unsigned char)(5 * helper_uniform(&random)); /* many alike */
      glow__sort(one, count, width, by_bytes);
      qsort(other, count, width, by_bytes);
      assert_memory_equal(one, other, count * width);
      glow__sort(one, count, width, by_bytes); /* once more, in order */
      assert_memory_equal(one, other, count * width);
    }
}

int main(void) {
  const struct CMUnitTest tests[] = {cmocka_unit_test(test_sort)};
  return cmocka_run_group_tests(tests, NULL, NULL);
}
