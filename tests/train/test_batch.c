/* Batches: weights of samples against samples that are there several times, conditions, and what is
 * refused. SPDX-License-Identifier: MIT */
#include "../support/model_helpers.h"

enum { COUNT = 6, CLASSES = 3, SIZE = 2, PATTERNS = 3 };

/* SGD, which does not enlarge what rounding makes different. */
static glow_trainer *new_trainer(glow_model *model, int64_t micro_batch) {
  glow_trainer_options o = GLOW_TRAINER_OPTIONS_INIT;
  glow_optimizer_options sgd = GLOW_OPTIMIZER_OPTIONS_INIT;
  glow_schedule schedule = GLOW_SCHEDULE_INIT;
  glow_trainer *trainer = NULL;
  sgd.kind = GLOW_OPTIMIZER_SGD;
  schedule.rate = 0.01;
  o.optimizer = &sgd;
  o.schedule = &schedule;
  o.micro_batch = micro_batch;
  o.class_weight = 0.5;
  OK(glow_trainer_create(model, &o, &trainer));
  return trainer;
}

/* With a classifier, so that both parts of the loss are weighted; one sample has no label. */
static glow_model *new_model(glow_context *context) {
  glow_glow_options o = helper_small_glow();
  o.classes = CLASSES;
  o.classifier = 1;
  return helper_glow(context, &o, 4);
}

/* Parameters after three steps, to be freed, and the last report. */
static float *train(glow_context *context, const glow_batch *batch, int64_t micro_batch,
                    glow_step_report *report, int64_t *parameters) {
  glow_model *model = new_model(context);
  glow_trainer *trainer = new_trainer(model, micro_batch);
  for (int step = 0; step < 3; step++)
    OK(glow_trainer_step_batch(trainer, batch, report));
  float *after = helper_parameters(model, parameters);
  glow_trainer_destroy(&trainer);
  glow_model_destroy(&model);
  return after;
}

typedef struct bench {
  glow_context *context;
  int64_t dims;
  float *x; /* [COUNT, dims] */
  int32_t labels[COUNT];
} bench;

static int open_bench(void **state) {
  bench *b = helper_allocate(sizeof *b);
  helper_random random = helper_random_of(helper_seed());
  b->context = helper_context(2, NULL, NULL);
  b->dims = 8 * 8 * 2;
  b->x = helper_allocate((size_t)(COUNT * b->dims) * sizeof *b->x);
  for (int64_t i = 0; i < COUNT * b->dims; i++)
    b->x[i] = (float)(0.2 * helper_normal(&random));
  for (int i = 0; i < COUNT; i++)
    b->labels[i] = i % (CLASSES + 1) - 1;
  *state = b;
  return 0;
}

static int close_bench(void **state) {
  bench *b = *state;
  glow_context_destroy(&b->context);
  free(b->x);
  free(b);
  return 0;
}

static glow_batch batch_of(const bench *b) {
  glow_batch batch = GLOW_BATCH_INIT;
  batch.count = COUNT;
  batch.x = b->x;
  batch.labels = b->labels;
  return batch;
}

/* Weights that are all 1, or another power of 2: the bits of none. */
static void test_equal_weights(void **state) {
  const bench *b = *state;
  glow_batch batch = batch_of(b);
  glow_step_report plain = GLOW_STEP_REPORT_INIT, report = GLOW_STEP_REPORT_INIT;
  int64_t parameters;
  float *expected = train(b->context, &batch, 4, &plain, &parameters);
  const double all[] = {1, 0.25, 0x1p166, 0x1p-166};
  for (int k = 0; k < 4; k++) {
    double weights[COUNT];
    for (int i = 0; i < COUNT; i++)
      weights[i] = all[k];
    batch.weights = weights;
    float *got = train(b->context, &batch, 4, &report, &parameters);
    assert_memory_equal(got, expected, (size_t)parameters * sizeof *got);
    assert_memory_equal(&report, &plain, sizeof report);
    free(got);
  }
  free(expected);
}

/* Whole weights equal samples that are there as often; 0: not at all. The order of the additions is
 * another one, and each sum has 12 or so terms of float32. */
static void test_repeated(void **state) {
  static const double patterns[PATTERNS][COUNT] = {
      {2, 1, 3, 1, 1, 2}, {0, 1, 1, 0, 2, 1}, {0, 0, 0, 4, 0, 0}};
  const bench *b = *state;
  for (int k = 0; k < PATTERNS; k++)
    for (int64_t micro = 1; micro <= 8; micro *= 2) {
      glow_batch batch = batch_of(b), repeated = GLOW_BATCH_INIT;
      glow_step_report one = GLOW_STEP_REPORT_INIT, other = GLOW_STEP_REPORT_INIT;
      float x[16 * 128];
      int32_t labels[16];
      int64_t parameters;
      batch.weights = patterns[k];
      repeated.x = x;
      repeated.labels = labels;
      for (int i = 0; i < COUNT; i++)
        for (int n = 0; n < (int)patterns[k][i]; n++) {
          memcpy(x + repeated.count * b->dims, b->x + i * b->dims, (size_t)b->dims * sizeof *x);
          labels[repeated.count++] = b->labels[i];
        }
      float *got = train(b->context, &batch, micro, &one, &parameters);
      float *expected = train(b->context, &repeated, 4, &other, &parameters);
      assert_true(helper_relative(got, expected, parameters) < 1e-5);
      assert_true(fabs(one.loss - other.loss) < 1e-5);
      assert_true(fabs(one.gradient_norm - other.gradient_norm) < 1e-4 * other.gradient_norm);
      assert_true(isnan(one.class_loss) == isnan(other.class_loss));
      assert_true(isnan(one.class_loss) || (fabs(one.class_loss - other.class_loss) < 1e-5 &&
                                            fabs(one.accuracy - other.accuracy) < 1e-12));
      free(got);
      free(expected);
    }
}

/* What a step refuses changes nothing. */
static void test_refusals(void **state) {
  bench *b = *state;
  glow_model *model = new_model(b->context);
  glow_trainer *trainer = new_trainer(model, 4);
  int64_t parameters;
  float *before = helper_parameters(model, &parameters), kept = b->x[0];
  double weights[COUNT] = {0, 1, 1, 1, 1, 1};
  const uint8_t pixels[COUNT * 128] = {0};
#define REFUSE(status, words) REFUSED(glow_trainer_step_batch(trainer, &batch, NULL), status, words)
  glow_batch batch = batch_of(b);
  batch.weights = weights;
  weights[3] = -0.5;
  REFUSE(GLOW_E_ARGUMENT, "weight 3 is -0.5");
  weights[3] = NAN;
  REFUSE(GLOW_E_ARGUMENT, "weight 3 is");
  weights[3] = INFINITY;
  REFUSE(GLOW_E_ARGUMENT, "weight 3 is inf");
  memset(weights, 0, sizeof weights);
  REFUSE(GLOW_E_ARGUMENT, "6 weights have a sum of 0; their mean must be from 1e-50 to 1e+50");
  for (size_t i = 0; i < 4; i++) {
    weights[0] = weights[1] = (double[]){1.7e308, 1e51, 1e-51, 5e-324}[i];
    REFUSE(GLOW_E_ARGUMENT, "their mean must be");
  }
  weights[0] = 0;
  weights[1] = 1;
  b->x[0] = NAN; /* of a sample that does not count */
  REFUSE(GLOW_E_NUMERIC, "sample 0");
  b->x[0] = kept;
  batch.pixels = pixels;
  REFUSE(GLOW_E_ARGUMENT, "both x and pixels");
  batch.x = NULL;
  batch.pixels = NULL;
  REFUSE(GLOW_E_ARGUMENT, "x and pixels are NULL");
  batch = batch_of(b);
  batch.count = 0;
  REFUSE(GLOW_E_ARGUMENT, "0 samples");
  batch.count = COUNT;
  batch.condition = b->x;
  batch.condition_count = 1;
  REFUSE(GLOW_E_ARGUMENT, "takes no condition");
  batch = batch_of(b);
  batch.weights = weights;
  REFUSED(glow_trainer_initialise_batch(trainer, &batch), GLOW_E_ARGUMENT, "no weights");
  assert_memory_equal(glow_model_parameters(model), before, (size_t)parameters * sizeof *before);
  assert_int_equal(glow_trainer_step_count(trainer), 0);
  OK(glow_trainer_step_batch(trainer, &batch, NULL));
  free(before);
  glow_trainer_destroy(&trainer);
  glow_model_destroy(&model);
}

/* ---- conditions ------------------------------------------------------------------------------ */

typedef struct source {
  float x[COUNT * 2], conditions[COUNT * SIZE];
  int64_t condition_count;
} source;

static glow_status next_batch(int64_t step, glow_batch *batch, void *payload) {
  const source *s = payload;
  (void)step;
  batch->x = s->x;
  batch->condition = s->conditions;
  batch->condition_count = s->condition_count;
  return GLOW_OK;
}

/* Float batches with conditions in a run; the workspace's own conditions are as they were. */
static void test_conditions(void **state) {
  const bench *b = *state;
  helper_random random = helper_random_of(helper_seed());
  glow_vector_flow_options o = GLOW_VECTOR_FLOW_OPTIONS_INIT;
  source s = {.condition_count = COUNT};
  const float lent[SIZE] = {0.5f, -1.0f};
  double before, between, after;
  float *ran, *stepped = NULL;
  int64_t parameters;
  o.dims = 2;
  o.condition = SIZE;
  o.steps = 2;
  o.hidden = 8;
  for (int i = 0; i < COUNT * 2; i++)
    s.x[i] = (float)helper_normal(&random);
  for (int i = 0; i < COUNT * SIZE; i++)
    s.conditions[i] = (float)helper_normal(&random);
  for (int run = 0; run < 2; run++) {
    glow_model *model = NULL;
    OK(glow_model_create_vector_flow(b->context, &o, &model));
    glow_trainer *trainer = new_trainer(model, 4);
    glow_workspace *ws = glow_trainer_workspace(trainer);
    OK(helper_initialise(trainer, s.x, s.conditions, COUNT));
    OK(glow_workspace_set_condition(ws, lent, 1, SIZE));
    OK(glow_workspace_log_prob(ws, s.x, NULL, 1, &before));
    if (run)
      OK(helper_run(trainer, 3, COUNT, next_batch, &s));
    for (int step = 0; !run && step < 3; step++)
      OK(helper_step(trainer, s.x, NULL, s.conditions, COUNT, COUNT));
    OK(glow_workspace_log_prob(ws, s.x, NULL, 1, &between));
    OK(glow_workspace_set_condition(ws, lent, 1, SIZE));
    OK(glow_workspace_log_prob(ws, s.x, NULL, 1, &after));
    assert_true(before != after && between == after);
    *(run ? &ran : &stepped) = helper_parameters(model, &parameters);
    glow_trainer_destroy(&trainer);
    glow_model_destroy(&model);
  }
  assert_memory_equal(ran, stepped, (size_t)parameters * sizeof *ran);
  free(ran);
  free(stepped);
}

#define TEST(name) cmocka_unit_test_setup_teardown(test_##name, open_bench, close_bench)

int main(void) {
  const struct CMUnitTest tests[] = {
      TEST(equal_weights),
      TEST(repeated),
      TEST(refusals),
      TEST(conditions),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
