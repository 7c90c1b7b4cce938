/* Moments of channels: the right mean and variance wherever the data lie, exactly 0 for what is
 * constant, in one part or in many; and layers and nets that take first values or statistics from
 * them. SPDX-License-Identifier: MIT */
#include <math.h>

#include <glow/sys/math.h>

#include "../support/model_helpers.h"
#include "math/moments.h"

/* With so many rows, the mean of x^2 minus the square of the mean is above 0 for some constants. */
enum { ROWS = 2500, CHANNELS = 70 };

/* Constants that binary fractions do not hold, and 0. */
static const float constants[] = {11.24f, 300.1f, 6.2e6f, -1e-3f, 0, 3e30f};
enum { CONSTANTS = sizeof constants / sizeof *constants };

/* Adds the rows in parts of `part` rows. */
static glow_moments *moments_in_parts(const float *x, int64_t part) {
  glow_moments *moments = calloc(1, glow_moments_bytes(CHANNELS));
  assert_non_null(moments);
  for (int64_t p = 0; p < ROWS; p += part)
    glow_moments_add(moments, ROWS - p < part ? ROWS - p : part, CHANNELS, x + p * CHANNELS);
  return moments;
}

static const int64_t parts[] = {1, 7, 128, ROWS};

static void test_constant(void **state) {
  float *x = helper_allocate(sizeof(float) * ROWS * CHANNELS);
  (void)state;
  for (int64_t i = 0; i < (int64_t)ROWS * CHANNELS; i++)
    x[i] = constants[i % CHANNELS % CONSTANTS];
  for (int k = 0; k < 4; k++) {
    glow_moments *moments = moments_in_parts(x, parts[k]);
    for (int64_t c = 0; c < CHANNELS; c++) {
      double mean = -1, variance = -1;
      glow_moments_channel(moments, CHANNELS, c, &mean, &variance);
      assert_true(mean == (double)constants[c % CONSTANTS]);
      assert_true(variance == 0);
    }
    free(moments);
  }
  free(x);
}

/* Against two passes in long double. Merging rounds means, by 2^-53 of them each time: what comes
 * to the squares by that is 1e-15 of the mean for each unit of deviation. Squares about 0 would be
 * off by 1e-16 of the squared mean. */
static void check_channel(const float *x, int64_t c, const glow_moments *moments) {
  long double sum = 0, squares = 0;
  double mean, variance;
  for (int64_t p = 0; p < ROWS; p++)
    sum += (long double)x[p * CHANNELS + c];
  long double middle = sum / ROWS;
  for (int64_t p = 0; p < ROWS; p++) {
    long double d = (long double)x[p * CHANNELS + c] - middle;
    squares += d * d;
  }
  glow_moments_channel(moments, CHANNELS, c, &mean, &variance);
  double expected = (double)(squares / ROWS), largest = fabs((double)middle) + sqrt(expected);
  if (!(fabs(mean - (double)middle) <= 1e-13 * largest))
    fail_msg("channel %d: mean %.17g, %.17g is right", (int)c, mean, (double)middle);
  if (!(fabs(variance - expected) <= (1e-12 + 1e-15 * largest) * expected))
    fail_msg("channel %d: variance %.17g, %.17g is right", (int)c, variance, expected);
}

/* Channel c: mean 10^(c % 8), deviation 1. */
static void test_values(void **state) {
  helper_random random = helper_random_of(1);
  float *x = helper_new_normals(&random, 1, (int64_t)ROWS * CHANNELS);
  (void)state;
  for (int64_t i = 0; i < (int64_t)ROWS * CHANNELS; i++)
    x[i] += (float)pow(10, (double)(i % CHANNELS % 8));
  for (int k = 0; k < 4; k++) {
    glow_moments *moments = moments_in_parts(x, parts[k]);
    for (int64_t c = 0; c < CHANNELS; c++)
      check_channel(x, c, moments);
    free(moments);
  }
  free(x);
}

static void test_not_finite(void **state) {
  const float bad[] = {NAN, INFINITY, -INFINITY};
  helper_random random = helper_random_of(2);
  float *x = helper_new_normals(&random, 1, (int64_t)ROWS * CHANNELS);
  (void)state;
  for (int k = 0; k < 3; k++)
    for (int64_t row = 0; row < ROWS; row += ROWS - 1) {
      float kept = x[row * CHANNELS + 3], mean[CHANNELS], variance[CHANNELS];
      x[row * CHANNELS + 3] = bad[k];
      glow_moments *moments = moments_in_parts(x, 128);
      REFUSED(glow__moments_finish(moments->rows, CHANNELS, moments->values, mean, variance),
              GLOW_E_NUMERIC, "channel 3");
      x[row * CHANNELS + 3] = kept;
      free(moments);
    }
  free(x);
}

/* ---- layers ---------------------------------------------------------------------------------- */

static int32_t warnings;

static void count_warning(int32_t level, const char *text, void *payload) {
  (void)payload;
  warnings += level == GLOW_LOG_WARNING && strstr(text, "constant") != NULL;
}

enum { SAMPLES = 300, PIXELS = 4 };

/* One layer on images whose channels are the first three constants. */
static glow_model *initialised(glow_context *context, int32_t kind, uint64_t part) {
  const glow_shape shape = {2, 2, 3};
  const helper_layer layer = {.name = "layer", .kind = kind};
  glow_model *model = NULL;
  float x[SAMPLES * PIXELS * 3];
  for (int i = 0; i < SAMPLES * PIXELS * 3; i++)
    x[i] = constants[i % 3];
  OK(helper_create_model(context, &layer, &shape, 4, &model));
  glow_workspace *ws = helper_workspace(model, (int64_t)part, GLOW_MODE_INFERENCE);
  OK(glow_workspace_initialise(ws, model, x, NULL, SAMPLES));
  glow_workspace_destroy(&ws);
  return model;
}

static void test_actnorm(void **state) {
  glow_context_options o = GLOW_CONTEXT_OPTIONS_INIT;
  glow_context *context = NULL;
  float bias[3], logs[3];
  (void)state;
  o.threads = 3;
  o.log = count_warning;
  OK(glow_context_create(&o, &context));
  for (uint64_t part = 1; part <= SAMPLES; part += 113) {
    warnings = 0;
    glow_model *model = initialised(context, HELPER_ACTNORM, part);
    OK(glow_model_get_tensor(model, "layer.bias", bias, 3));
    OK(glow_model_get_tensor(model, "layer.logs", logs, 3));
    for (int c = 0; c < 3; c++) {
      assert_true(bias[c] == -constants[c]);
      assert_true(logs[c] == (float)-log(1e-6)); /* the floor */
    }
    assert_int_equal(warnings, 3);
    glow_model_destroy(&model);
  }
  glow_context_destroy(&context);
}

static void check_averages(const glow_model *model) {
  float mean[3], var[3];
  OK(glow_model_get_tensor(model, "layer.mean", mean, 3));
  OK(glow_model_get_tensor(model, "layer.var", var, 3));
  for (int c = 0; c < 3; c++) {
    assert_true(mean[c] == constants[c]);
    assert_true(var[c] == 0);
  }
}

/* First values, and then the batch's statistics in training: with a variance of exactly 0, outputs
 * are 0 and the averages stay. */
static void test_batchnorm(void **state) {
  float x[SAMPLES * PIXELS * 3], z[SAMPLES * PIXELS * 3];
  glow_context *context = helper_context(3, NULL, NULL);
  glow_model *model = initialised(context, HELPER_BATCHNORM, 64);
  glow_workspace *ws = helper_workspace(model, SAMPLES, GLOW_MODE_STORED);
  (void)state;
  check_averages(model);
  for (int i = 0; i < SAMPLES * PIXELS * 3; i++)
    x[i] = 2 * constants[i % 3];
  OK(helper_forward(ws, x, NULL, SAMPLES, GLOW_LATENTS_RAW, z, NULL, NULL));
  for (int i = 0; i < SAMPLES * PIXELS * 3; i++)
    assert_true(z[i] == 0);
  glow_workspace_destroy(&ws);
  glow_model_destroy(&model);
  glow_context_destroy(&context);
}

/* ---- nets ------------------------------------------------------------------------------------ */

static bool ends(const char *text, const char *with) {
  size_t a = strlen(text), b = strlen(with);
  return a >= b && strcmp(text + a - b, with) == 0;
}

/* Returns how many tensors called so are `value` throughout; others fail. */
static int check_all(const glow_model *model, const char *ending, float value) {
  int found = 0;
  for (int32_t t = 0; t < glow_model_tensor_count(model); t++) {
    glow_tensor_info info = GLOW_TENSOR_INFO_INIT;
    float values[16];
    OK(glow_model_tensor(model, t, &info));
    if (!ends(info.name, ending))
      continue;
    found++;
    assert_in_range(info.elements, 1, 16);
    OK(glow_model_get_tensor(model, info.name, values, info.elements));
    for (int64_t i = 0; i < info.elements; i++)
      if (values[i] != value)
        fail_msg("%s: element %d is %g, not %g", info.name, (int)i, (double)values[i],
                 (double)value);
  }
  return found;
}

/* Samples are all alike, so every hidden channel is constant, over several strips and batches. */
static glow_model *initialised_net(glow_context *context, int32_t net) {
  const glow_shape shape = {1, 1, 4};
  const helper_layer layer = {.name = "layer",
                              .kind = HELPER_COUPLING,
                              .option = GLOW_COUPLING_AFFINE,
                              .scale = GLOW_SCALE_TANH,
                              .net = net};
  glow_model *model = NULL;
  float x[SAMPLES * 4];
  for (int i = 0; i < SAMPLES * 4; i++)
    x[i] = constants[i % 4];
  OK(helper_create_model(context, &layer, &shape, 6, &model));
  glow_workspace *ws = helper_workspace(model, 200, GLOW_MODE_INFERENCE);
  OK(glow_workspace_initialise(ws, model, x, NULL, SAMPLES));
  glow_workspace_destroy(&ws);
  return model;
}

static void test_nets(void **state) {
  glow_context *context = helper_context(3, "c", NULL);
  (void)state;
  glow_model *conv = initialised_net(context, HELPER_CONV);
  assert_int_equal(check_all(conv, "norm1.logs", (float)-log(1e-6)), 1);
  assert_int_equal(check_all(conv, "norm2.logs", (float)-log(1e-6)), 1);
  glow_model *res = initialised_net(context, HELPER_RES_NET);
  assert_true(check_all(res, ".var", 0) >= 3);
  glow_model_destroy(&res);
  glow_model_destroy(&conv);
  glow_context_destroy(&context);
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(test_constant),   cmocka_unit_test(test_values),
      cmocka_unit_test(test_not_finite), cmocka_unit_test(test_actnorm),
      cmocka_unit_test(test_batchnorm),  cmocka_unit_test(test_nets),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
