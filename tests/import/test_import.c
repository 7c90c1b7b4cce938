/* Imported models against what make_vectors.py computed from the same weights, in float64 and by
 * the formulas of the three projects: latents, log-probabilities and logits.
 *
 * Their relative error must be below 1e-5. The library computes in float32, whose unit is 6e-8, and
 * what these small models accumulate is some 1e-6. SPDX-License-Identifier: MIT */
#define _GNU_SOURCE /* memmem */
#include "import_helpers.h"

#define TOLERANCE 1e-5

static const char *const cases[] = {
    "openai_affine_plain",
    "openai_additive_lu_classes",
    "openai_affine_shuffle_classes",
    "openai_additive_reverse",
    "y0ast_affine_lu",
    "y0ast_additive_plain_classes",
    "y0ast_affine_reverse",
    "y0ast_affine_shuffle_classes",
    "rosinality_affine_lu",
    "rosinality_additive_plain",
};
enum { CASES = sizeof cases / sizeof *cases };

static void test_vectors(void **state) {
  double worst = 0;
  const char *where = "";
  (void)state;
  for (int i = 0; i < CASES; i++) {
    glow_context *context = helper_context(1, NULL, NULL);
    glow_model *model = NULL;
    vectors v;
    vectors_open(context, cases[i], &v);
    OK(vectors_import(context, cases[i], &v, &model));
    assert_int_equal(glow_model_bits(model), v.bits);
    double error = vectors_compare(model, cases[i], &v);
    if (!(error <= worst)) {
      worst = error;
      where = cases[i];
    }
    glow_model_destroy(&model);
    vectors_close(&v);
    glow_context_destroy(&context);
  }
  print_message("worst: %s, %.2g\n", where, worst);
  assert_true(worst < TOLERANCE);
}

/* A file of it says what its permutations are. */
static void check_saved(const glow_model *model, const char *kind) {
  glow_output output = GLOW_OUTPUT_INIT;
  size_t size = 0;
  output.written = &size;
  OK(glow_model_save_output(model, &output));
  char *bytes = malloc(size);
  assert_non_null(bytes);
  output.buffer = bytes;
  output.capacity = size;
  OK(glow_model_save_output(model, &output));
  assert_non_null(memmem(bytes, size, kind, strlen(kind)));
  free(bytes);
}

static void test_permutations(void **state) {
  static const char *const kinds[] = {"reverse", "shuffle"};
  (void)state;
  for (int i = 0; i < CASES; i++)
    for (int k = 0; k < 2; k++) {
      glow_context *context = helper_context(1, NULL, NULL);
      glow_model *model = NULL;
      vectors v;
      vectors_open(context, cases[i], &v);
      OK(vectors_import(context, cases[i], &v, &model));
      if (strstr(cases[i], kinds[k]))
        check_saved(model, kinds[k]);
      glow_model_destroy(&model);
      vectors_close(&v);
      glow_context_destroy(&context);
    }
}

int main(int argc, char **argv) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(test_vectors),
      cmocka_unit_test(test_permutations),
  };
  vectors_folder = argc > 1 ? argv[1] : "tests/import";
  return cmocka_run_group_tests(tests, NULL, NULL);
}
