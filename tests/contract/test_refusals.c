/* What passes refuse: models that are not ready, labels, counts, values that are not finite; and
 * the warning about constant channels. SPDX-License-Identifier: MIT */
#include "passes.h"

/* ---- refusals -------------------------------------------------------------------------------- */

static void refuse_all_passes(const bench *b, glow_model *model, const char *words) {
  glow_workspace *ws = helper_workspace(model, BATCH, GLOW_MODE_STORED);
  const char *layer = "";
  double d[BATCH];
  REFUSED(helper_forward(ws, b->x, b->labels, BATCH, GLOW_LATENTS_RAW, NULL, NULL, NULL),
          GLOW_E_STATE, words);
  REFUSED(glow_workspace_log_prob(ws, b->x, b->labels, BATCH, d), GLOW_E_STATE, words);
  REFUSED(helper_inverse(ws, b->z, GLOW_LATENTS_RAW, b->labels, BATCH, b->y, NULL), GLOW_E_STATE,
          words);
  REFUSED(helper_sample(ws, NULL, b->labels, BATCH, b->y), GLOW_E_STATE, words);
  REFUSED(glow_workspace_find_nonfinite(ws, b->x, b->labels, BATCH, &layer), GLOW_E_STATE, words);
  assert_null(layer);
  glow_workspace_destroy(&ws);
}

static void test_uninitialised(void **state) {
  bench *b = *state;
  glow_model *model = fresh_model(b);
  glow_trainer *trainer = NULL;
  assert_int_equal(glow_model_initialised(model), 0);
  refuse_all_passes(b, model, "not initialised");
  OK(glow_trainer_create(model, NULL, &trainer));
  REFUSED(glow_trainer_step(trainer, b->x, b->labels, BATCH, NULL), GLOW_E_STATE,
          "not initialised");
  glow_trainer_destroy(&trainer);
  glow_workspace *ws = helper_workspace(model, 2, GLOW_MODE_INFERENCE);
  OK(glow_workspace_initialise(ws, model, b->x, b->labels, BATCH));
  assert_int_equal(glow_model_initialised(model), 1);
  OK(glow_workspace_log_prob(ws, b->x, b->labels, 2, NULL));
  glow_workspace_destroy(&ws);
  glow_model_destroy(&model);
}

static void test_unprepared(void **state) {
  bench *b = *state;
  float mean[32];
  OK(glow_model_get_tensor(b->model, "prior.mean", mean, 16));
  OK(glow_model_set_tensor(b->model, "prior.mean", mean, 16));
  refuse_all_passes(b, b->model, "glow_model_prepare");
  OK(glow_model_prepare(b->model));
  glow_model_parameters_mutable(b->model);
  refuse_all_passes(b, b->model, "glow_model_prepare");
}

/* A singular matrix is named; the model refuses passes until it is mended. */
static void test_singular(void **state) {
  bench *b = *state;
  glow_tensor_info info = GLOW_TENSOR_INFO_INIT;
  const char *name = "level1.step0.invconv.weight";
  OK(glow_model_find_tensor(b->model, name, &info));
  float *good = helper_allocate((size_t)info.elements * sizeof *good);
  float *bad = helper_allocate((size_t)info.elements * sizeof *bad);
  OK(glow_model_get_tensor(b->model, name, good, info.elements));
  const float row[] = {0.0f, NAN};
  for (int i = 0; i < 2; i++) {
    memcpy(bad, good, (size_t)info.elements * sizeof *bad);
    for (int64_t j = 0; j < info.dims[1]; j++)
      bad[3 * info.dims[1] + j] = row[i];
    OK(glow_model_set_tensor(b->model, name, bad, info.elements));
    REFUSED(glow_model_prepare(b->model), GLOW_E_NUMERIC, "level1.step0.invconv");
    refuse_all_passes(b, b->model, "glow_model_prepare");
  }
  OK(glow_model_set_tensor(b->model, name, good, info.elements));
  OK(glow_model_prepare(b->model));
  free(good);
  free(bad);
}

static void refuse_labels(const bench *b, const int32_t *labels, const char *words) {
  glow_workspace *ws = helper_workspace(b->model, BATCH, GLOW_MODE_STORED);
  glow_trainer *trainer = NULL;
  const char *layer;
  double d[BATCH];
  REFUSED(helper_forward(ws, b->x, labels, BATCH, GLOW_LATENTS_RAW, NULL, NULL, NULL),
          GLOW_E_ARGUMENT, words);
  REFUSED(glow_workspace_log_prob(ws, b->x, labels, BATCH, d), GLOW_E_ARGUMENT, words);
  REFUSED(helper_inverse(ws, b->z, GLOW_LATENTS_RAW, labels, BATCH, b->y, NULL), GLOW_E_ARGUMENT,
          words);
  REFUSED(helper_sample(ws, NULL, labels, BATCH, b->y), GLOW_E_ARGUMENT, words);
  REFUSED(glow_workspace_find_nonfinite(ws, b->x, labels, BATCH, &layer), GLOW_E_ARGUMENT, words);
  REFUSED(glow_workspace_initialise(ws, b->model, b->x, labels, BATCH), GLOW_E_ARGUMENT, words);
  OK(glow_trainer_create(b->model, NULL, &trainer));
  REFUSED(glow_trainer_step(trainer, b->x, labels, BATCH, NULL), GLOW_E_ARGUMENT, words);
  assert_int_equal(glow_trainer_step_count(trainer), 0);
  glow_trainer_destroy(&trainer);
  glow_workspace_destroy(&ws);
}

static void test_labels(void **state) {
  bench *b = *state;
  int32_t labels[BATCH] = {0, 1, 3, 0, 0, 0, 0};
  refuse_labels(b, NULL, "needs labels");
  refuse_labels(b, labels, "label of sample 2 is 3");
  labels[2] = -2;
  refuse_labels(b, labels, "label of sample 2 is -2");
}

/* Passes take any number of samples from 1 on; those that store for backward, and the search for
 * values that are not finite, take one batch. */
static void test_counts(void **state) {
  bench *b = *state;
  glow_workspace *ws = helper_workspace(b->model, 3, GLOW_MODE_INFERENCE);
  glow_workspace *training = helper_workspace(b->model, 3, GLOW_MODE_STORED);
  const int64_t counts[] = {0, -1, INT64_MIN, INT64_MAX};
  const char *layer;
  for (int i = 0; i < 4; i++) {
    REFUSED(helper_forward(ws, b->x, b->labels, counts[i], 0, b->y, NULL, NULL), GLOW_E_ARGUMENT,
            "samples; 1 or more are needed");
    REFUSED(glow_workspace_log_prob(ws, b->x, b->labels, counts[i], NULL), GLOW_E_ARGUMENT,
            "samples; 1 or more are needed");
    REFUSED(helper_inverse(ws, b->z, 0, b->labels, counts[i], b->y, NULL), GLOW_E_ARGUMENT,
            "samples; 1 or more are needed");
    REFUSED(helper_sample(ws, NULL, b->labels, counts[i], b->y), GLOW_E_ARGUMENT,
            "samples; 1 or more are needed");
    REFUSED(glow_workspace_find_nonfinite(ws, b->x, b->labels, counts[i], &layer), GLOW_E_ARGUMENT,
            "");
  }
  OK(helper_forward(ws, b->x, b->labels, 4, 0, b->y, NULL, NULL));
  OK(glow_workspace_log_prob(ws, b->x, b->labels, 4, NULL));
  OK(glow_workspace_log_prob(training, b->x, b->labels, 4, NULL));
  OK(helper_inverse(ws, b->z, 0, b->labels, 4, b->y, NULL));
  OK(helper_sample(ws, NULL, b->labels, 4, b->y));
  REFUSED(glow_workspace_find_nonfinite(ws, b->x, b->labels, 4, &layer), GLOW_E_ARGUMENT,
          "4 samples; this pass takes one batch, of 1 to 3 samples in this workspace");
  REFUSED(helper_forward(training, b->x, b->labels, 4, 0, NULL, NULL, NULL), GLOW_E_ARGUMENT,
          "4 samples; this pass takes one batch, of 1 to 3 samples in this workspace");
  glow_workspace_destroy(&training);
  glow_workspace_destroy(&ws);
}

/* ---- numbers that are not finite ------------------------------------------------------------- */

static void test_nonfinite_input(void **state) {
  bench *b = *state;
  glow_workspace *ws = helper_workspace(b->model, BATCH, GLOW_MODE_STORED);
  const char *layer = "";
  const float bad[] = {NAN, INFINITY, -INFINITY};
  OK(glow_workspace_find_nonfinite(ws, b->x, b->labels, BATCH, &layer));
  assert_null(layer);
  for (int i = 0; i < 3; i++) {
    float good = b->x[2 * b->dims + 5];
    b->x[2 * b->dims + 5] = b->z[2 * b->dims + 5] = bad[i];
    REFUSED(glow_workspace_log_prob(ws, b->x, b->labels, BATCH, NULL), GLOW_E_NUMERIC,
            "element 5 of sample 2");
    REFUSED(helper_inverse(ws, b->z, GLOW_LATENTS_RAW, b->labels, BATCH, b->y, NULL),
            GLOW_E_NUMERIC, "element 5 of sample 2");
    REFUSED(glow_workspace_initialise(ws, b->model, b->x, b->labels, BATCH), GLOW_E_NUMERIC,
            "element 5 of sample 2");
    OK(glow_workspace_find_nonfinite(ws, b->x, b->labels, BATCH, &layer));
    assert_string_equal(layer, "input");
    OK(glow_workspace_find_nonfinite(ws, b->x, b->labels, 2,
                                     &layer)); /* the samples before it are fine */
    assert_null(layer);
    b->x[2 * b->dims + 5] = good;
  }
  glow_workspace_destroy(&ws);
}

/* Each of these parameters makes its layer the first that is not finite. */
static void test_nonfinite_layer(void **state) {
  bench *b = *state;
  static const struct {
    const char *tensor, *layer;
    float value;
  } cases[] = {{"level0.step0.actnorm.bias", "level0.step0.actnorm", NAN},
               {"level0.step1.actnorm.logs", "level0.step1.actnorm", INFINITY},
               {"level1.step0.coupling.net.conv3.bias", "level1.step0.coupling", NAN},
               {"level0.split.prior.bias", "level0.split", NAN},
               {"prior.mean", "prior", INFINITY}};
  for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
    glow_tensor_info info = GLOW_TENSOR_INFO_INIT;
    const char *layer = NULL;
    OK(glow_model_find_tensor(b->model, cases[i].tensor, &info));
    float *at = glow_model_parameters_mutable(b->model) + info.offset, good = *at;
    *at = cases[i].value;
    OK(glow_model_prepare(b->model));
    for (int32_t mode = GLOW_MODE_INFERENCE; mode <= GLOW_MODE_RECONSTRUCTED; mode++) {
      glow_workspace *ws = helper_workspace(b->model, BATCH, mode);
      OK(glow_workspace_find_nonfinite(ws, b->x, b->labels, BATCH, &layer));
      assert_non_null(layer);
      assert_string_equal(layer, cases[i].layer);
      glow_workspace_destroy(&ws);
    }
    *at = good;
    OK(glow_model_prepare(b->model));
  }
}

/* ---- a channel that is constant -------------------------------------------------------------- */

static void test_constant_channel(void **state) {
  bench *b = *state;
  glow_model *model = fresh_model(b);
  glow_workspace *ws = helper_workspace(model, 3, GLOW_MODE_INFERENCE);
  float logs[8];
  for (int64_t i = 1; i < BATCH * b->dims; i += 2)
    b->x[i] = 0.25f; /* channel 1 of 2; after the squeeze, channels 4 to 7 */
  OK(glow_workspace_initialise(ws, model, b->x, b->labels, BATCH));
  for (int c = 0; c < 8; c++) {
    char words[60];
    snprintf(words, sizeof words, "'level0.step0.actnorm': channel %d is constant", c);
    assert_int_equal(strstr(b->log, words) != NULL, c >= 4);
  }
  char level[8];
  snprintf(level, sizeof level, "%d ", GLOW_LOG_WARNING);
  assert_true(strncmp(b->log, level, strlen(level)) == 0);
  OK(glow_model_get_tensor(model, "level0.step0.actnorm.logs", logs, 8));
  for (int c = 4; c < 8; c++) /* -log(0 + 1e-6) */
    assert_true(fabs(logs[c] + log(1e-6)) < 1e-3);
  glow_workspace_destroy(&ws);
  glow_model_destroy(&model);
}

/* Inside a network: hidden channel 2 sees nothing. */
static void test_constant_hidden_channel(void **state) {
  bench *b = *state;
  glow_model *model = fresh_model(b);
  glow_workspace *ws = helper_workspace(model, 3, GLOW_MODE_INFERENCE);
  glow_tensor_info info = GLOW_TENSOR_INFO_INIT;
  OK(glow_model_find_tensor(model, "level0.step1.coupling.net.conv1.weight", &info));
  int64_t row = info.elements / info.dims[0];
  memset(glow_model_parameters_mutable(model) + info.offset + 2 * row, 0,
         (size_t)row * sizeof(float));
  OK(glow_model_prepare(model));
  OK(glow_workspace_initialise(ws, model, b->x, b->labels, BATCH));
  assert_non_null(strstr(b->log, "'level0.step1.coupling' net.norm1: channel 2 is constant"));
  assert_null(strstr(b->log, "channel 1 is constant"));
  glow_workspace_destroy(&ws);
  glow_model_destroy(&model);
}

int main(void) {
  const struct CMUnitTest tests[] = {
      TEST(uninitialised),   TEST(unprepared),       TEST(singular),
      TEST(labels),          TEST(counts),           TEST(nonfinite_input),
      TEST(nonfinite_layer), TEST(constant_channel), TEST(constant_hidden_channel),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
