/* The same seed gives the same bits: in parameters after 5 steps, with 1, 3, 7 and 64 threads,
 * stored and reconstructed; a sample alone and in any batch. SPDX-License-Identifier: MIT */
#include "../support/model_helpers.h"

enum { STEPS = 5, BATCH = 36, MICRO = 18, SIDE = 16, DIMS = SIDE * SIDE * 3 };

static glow_glow_options options(void) {
  glow_glow_options o = GLOW_GLOW_OPTIONS_INIT;
  o.input = (glow_shape){SIDE, SIDE, 3}; /* 18 samples: strips at one level, tiles at the other */
  o.levels = 2;
  o.depth = 2;
  o.hidden = 70; /* more than one block of weights, and a part of one */
  o.seed = 5;
  return o;
}

static glow_context *context_of(uint32_t threads, const char *kernels) {
  if (kernels && helper_is_cblas(kernels))
    glow_blas_set_threads(1); /* GLOW_E_UNSUPPORTED where the BLAS has no threads */
  return helper_context(threads, kernels, NULL);
}

/* Parameters after training from scratch; the caller frees them. */
static float *train(uint32_t threads, const char *kernels, int32_t mode, int64_t *count) {
  glow_context *context = context_of(threads, kernels);
  glow_glow_options glow = options();
  glow_trainer_options o = GLOW_TRAINER_OPTIONS_INIT;
  glow_model *model = NULL;
  glow_trainer *trainer = NULL;
  uint8_t *pixels = helper_allocate(BATCH * DIMS);
  helper_random random = helper_random_of(1);
  for (int64_t i = 0; i < BATCH * DIMS; i++)
    pixels[i] = (uint8_t)(255.0 * helper_uniform(&random));
  o.micro_batch = MICRO;
  o.mode = mode;
  o.clip_norm = 100;
  o.seed = 6;
  OK(glow_model_create_glow(context, &glow, &model));
  OK(glow_trainer_create(model, &o, &trainer));
  OK(glow_trainer_initialise_pixels(trainer, pixels, NULL, BATCH));
  for (int step = 0; step < STEPS; step++)
    OK(glow_trainer_step_pixels(trainer, pixels, NULL, BATCH, NULL));
  float *result = helper_parameters(model, count);
  free(pixels);
  glow_trainer_destroy(&trainer);
  glow_model_destroy(&model);
  glow_context_destroy(&context);
  return result;
}

static void check_threads(const char *kernels, int32_t mode) {
  static const uint32_t threads[] = {3, 7, 64};
  int64_t count = 0;
  float *one = train(1, kernels, mode, &count);
  for (size_t i = 0; i < sizeof threads / sizeof *threads; i++) {
    float *more = train(threads[i], kernels, mode, &count);
    if (!helper_same_bits(one, more, count, sizeof *one))
      fail_msg("%s, mode %d: %u threads give other bits than 1", kernels ? kernels : "best", mode,
               threads[i]);
    free(more);
  }
  free(one);
}

static void test_threads_stored(void **state) {
  (void)state;
  check_threads(NULL, GLOW_MODE_STORED);
}

static void test_threads_reconstructed(void **state) {
  (void)state;
  check_threads(NULL, GLOW_MODE_RECONSTRUCTED);
}

static void test_threads_with_cblas(void **state) {
  (void)state;
  for (uint32_t i = 0; glow_kernels_name(i); i++)
    if (helper_is_cblas(glow_kernels_name(i))) {
      check_threads(glow_kernels_name(i), GLOW_MODE_STORED);
      return;
    }
  print_message("this build has no CBLAS\n");
  skip();
}

/* Latents, log-probability and the way back of each sample, alone and in a batch. */
static void test_batches(void **state) {
  (void)state;
  enum { COUNT = 18 }; /* together strips at one level; alone tiles at both */
  for (uint32_t k = 0; glow_kernels_name(k); k++) {
    if (helper_is_cblas(glow_kernels_name(k)))
      continue; /* does not promise it */
    glow_context *context = helper_context(2, glow_kernels_name(k), NULL);
    glow_glow_options o = options();
    glow_model *model = helper_glow(context, &o, 2);
    glow_workspace *ws = helper_workspace(model, COUNT, GLOW_MODE_INFERENCE);
    helper_random random = helper_random_of(3);
    float *x = helper_new_normals(&random, 0.3f, COUNT * DIMS);
    float *z = helper_allocate(COUNT * DIMS * sizeof *z),
          *back = helper_allocate(COUNT * DIMS * sizeof *z);
    float *z1 = helper_allocate(DIMS * sizeof *z), *back1 = helper_allocate(DIMS * sizeof *z);
    double log_prob[COUNT], alone;
    OK(helper_forward(ws, x, NULL, COUNT, GLOW_LATENTS_WHITENED, z, NULL, log_prob));
    OK(helper_inverse(ws, z, GLOW_LATENTS_WHITENED, NULL, COUNT, back, NULL));
    for (int i = 0; i < COUNT; i++) {
      OK(helper_forward(ws, x + i * DIMS, NULL, 1, GLOW_LATENTS_WHITENED, z1, NULL, &alone));
      OK(helper_inverse(ws, z1, GLOW_LATENTS_WHITENED, NULL, 1, back1, NULL));
      assert_true(helper_same_bits(z1, z + i * DIMS, DIMS, sizeof *z));
      assert_true(helper_same_bits(back1, back + i * DIMS, DIMS, sizeof *z));
      assert_true(helper_same_bits(&alone, &log_prob[i], 1, sizeof alone));
    }
    free(x);
    free(z);
    free(back);
    free(z1);
    free(back1);
    glow_workspace_destroy(&ws);
    glow_model_destroy(&model);
    glow_context_destroy(&context);
  }
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(test_threads_stored),
      cmocka_unit_test(test_threads_reconstructed),
      cmocka_unit_test(test_threads_with_cblas),
      cmocka_unit_test(test_batches),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
