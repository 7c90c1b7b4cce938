/* The BLAS library behind the kernels "cblas": not there before a context asks for them, and missed
 * with its name where it is not installed. SPDX-License-Identifier: MIT */
#include <glow/sys/math.h>

#include "../support/model_helpers.h"
#ifdef GLOW_BLAS_LIBRARY
#include "math/blas.h"
#endif

static glow_status open_context(const char *kernels, glow_context **out) {
  glow_context_options o = GLOW_CONTEXT_OPTIONS_INIT;
  o.kernels = kernels;
  return glow_context_create(&o, out);
}

#ifdef GLOW_BLAS_LIBRARY
/* Is a library of BLAS mapped? -1: this system does not tell. */
static int is_loaded(void) {
  FILE *maps = fopen("/proc/self/maps", "r");
  char line[4096];
  int found = 0;
  if (!maps)
    return -1;
  while (fgets(line, sizeof line, maps)) {
    const char *file = strrchr(line, '/');
    found |= file && (strstr(file, "blas") || strstr(file, "blis")) && !strstr(file, "test_blas");
  }
  fclose(maps);
  return found;
}

static void test_loaded_when_asked_for(void **state) {
  glow_context *context = NULL;
  (void)state;
  if (is_loaded() < 0)
    skip();
  assert_int_equal(is_loaded(), 0);
  OK(open_context(NULL, &context));
  assert_int_equal(is_loaded(), 0);
  glow_context_destroy(&context);
  OK(open_context("cblas", &context));
  assert_string_equal(glow_context_kernels(context), "cblas");
  assert_int_equal(is_loaded(), 1);
  glow_context_destroy(&context);
}

/* The library outlives a context, and serves the next one. */
static void test_again_and_again(void **state) {
  const float a[2] = {2.0f, 3.0f}, b[2] = {5.0f, 7.0f};
  const glow_epilogue plain = {0};
  (void)state;
  for (int i = 0; i < 3; i++) {
    glow_context *context = NULL, *other = NULL;
    float c = 0.0f;
    OK(open_context("cblas", &context));
    OK(open_context("cblas", &other));
    glow_context_destroy(&other);
    const glow_math *math = glow_context_math(context);
    float *packed = helper_allocate((size_t)glow_math_packed_floats(math, 2, 1) * sizeof *packed);
    glow_math_pack(math, 2, 1, b, 1, 1, packed, 0, 1);
    glow_math_multiply(math, 1, 1, 2, a, glow_math_rows(math, 2), packed, &c,
                       glow_math_rows(math, 1), 0, 1, &plain);
    assert_float_equal(c, 31.0f, 0.0f);
    free(packed);
    glow_context_destroy(&context);
  }
}

static void test_not_installed(void **state) {
  glow__sgemm sgemm = NULL;
  void *library = NULL;
  (void)state;
  REFUSED(glow__blas_open("libglow-no-such-blas.so.1", &library, &sgemm), GLOW_E_UNSUPPORTED,
          "the kernels 'cblas' need the library libglow-no-such-blas.so.1");
  assert_null(library);
  /* one that is there, but is no BLAS */
  REFUSED(glow__blas_open("libc.so.6", &library, &sgemm), GLOW_E_UNSUPPORTED, "cblas_sgemm");
  assert_null(library);
}
#endif

static void test_builds_without(void **state) {
  glow_context *context = NULL;
  bool offered = false;
  (void)state;
  for (uint32_t i = 0; glow_kernels_name(i); i++)
    offered |= helper_is_cblas(glow_kernels_name(i));
#ifdef GLOW_BLAS_LIBRARY
  assert_true(offered);
#else
  assert_false(offered);
  REFUSED(open_context("cblas", &context), GLOW_E_UNSUPPORTED, "no kernels 'cblas'");
  REFUSED(glow_blas_set_threads(1), GLOW_E_UNSUPPORTED, "no BLAS");
#endif
  (void)open_context;
  assert_null(context);
}

int main(void) {
  const struct CMUnitTest tests[] = {
#ifdef GLOW_BLAS_LIBRARY
      cmocka_unit_test(test_loaded_when_asked_for),
      cmocka_unit_test(test_again_and_again),
      cmocka_unit_test(test_not_installed),
#endif
      cmocka_unit_test(test_builds_without),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
