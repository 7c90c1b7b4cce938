/* What the library says of itself: its version as a number, and its features.
 * SPDX-License-Identifier: MIT */
#include "../support/model_helpers.h"

#if GLOW_VERSION_AT_LEAST(999, 0, 0) || !GLOW_VERSION_AT_LEAST(0, 0, 1)
#error "GLOW_VERSION_AT_LEAST cannot be used by the preprocessor"
#endif

static void test_version(void **state) {
  char text[40];
  (void)state;
  assert_int_equal(glow_version_number(), GLOW_VERSION_NUMBER);
  snprintf(text, sizeof text, "%d.%d.%d", GLOW_VERSION_NUMBER / 10000,
           GLOW_VERSION_NUMBER / 100 % 100, GLOW_VERSION_NUMBER % 100);
  assert_string_equal(text, glow_version());
  assert_true(GLOW_VERSION_AT_LEAST(GLOW_VERSION_MAJOR, GLOW_VERSION_MINOR, GLOW_VERSION_PATCH));
  assert_false(
      GLOW_VERSION_AT_LEAST(GLOW_VERSION_MAJOR, GLOW_VERSION_MINOR, GLOW_VERSION_PATCH + 1));
  assert_false(GLOW_VERSION_AT_LEAST(GLOW_VERSION_MAJOR, GLOW_VERSION_MINOR + 1, 0));
  assert_false(GLOW_VERSION_AT_LEAST(GLOW_VERSION_MAJOR + 1, 0, 0));
}

static void test_features(void **state) {
  const char *name;
  uint32_t count = 0;
  (void)state;
  for (; (name = glow_feature_name(count)); count++) {
    assert_int_equal(glow_feature(name), 1);
    for (uint32_t i = 0; i < count; i++)
      assert_string_not_equal(glow_feature_name(i), name);
  }
  assert_null(glow_feature_name(count + 1));
  for (uint32_t i = 0; (name = glow_kernels_name(i)); i++)
    assert_int_equal(glow_feature(name), 1);
  assert_int_equal(glow_feature("c"), 1);
  assert_int_equal(glow_feature("threads"), 1);
  assert_int_equal(glow_feature("files"), helper_has_files());
#ifdef GLOW_DEBUG
  assert_int_equal(glow_feature("debug"), 1);
#else
  assert_int_equal(glow_feature("debug"), 0);
#endif
  assert_int_equal(glow_feature("jpeg"), 0);
  assert_int_equal(glow_feature(""), 0);
  assert_int_equal(glow_feature(NULL), 0);
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(test_version),
      cmocka_unit_test(test_features),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
