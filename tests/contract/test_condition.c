/* Context vectors: passes get each sample's own, by whatever way and in whatever batch; what is
 * missing or wrong is named. And a conditional density learns a mode for each condition.
 * SPDX-License-Identifier: MIT */
#include "../support/model_helpers.h"

enum { COUNT = 9, SIZE = 3, DIMS = 4 };

typedef struct bench {
  glow_context *context;
  glow_model *model;
  float x[COUNT * DIMS], conditions[COUNT * SIZE];
} bench;

/* actnorm, coupling, reverse, coupling on vectors: both couplings read the condition. */
static glow_model *conditional(glow_context *context, int64_t size) {
  const glow_shape shape = {1, 1, DIMS};
  const glow_builder_options options = {sizeof options, 0, 0};
  static const char *const names[] = {"coupling0", "coupling1"};
  glow_builder *builder = NULL;
  glow_model *model = NULL;
  glow_layer *layer = NULL;
  OK(glow_builder_create(context, &shape, &options, &builder));
  OK(glow_actnorm_create(context, NULL, &layer));
  OK(glow_builder_add(builder, "actnorm", &layer));
  for (int i = 0; i < 2; i++) {
    glow_mlp_net_options net_options = GLOW_MLP_NET_OPTIONS_INIT;
    glow_coupling_options coupling = GLOW_COUPLING_OPTIONS_INIT;
    glow_net *net = NULL;
    net_options.hidden = 16;
    net_options.condition.channels = size;
    net_options.seed = (uint64_t)i;
    coupling.scale = GLOW_SCALE_TANH;
    OK(glow_mlp_net_create(context, &net_options, &net));
    OK(glow_coupling_create(context, &coupling, &net, &layer));
    OK(glow_builder_add(builder, names[i], &layer));
    OK(glow_permute_create(context, NULL, &layer));
    OK(glow_builder_add(builder, i ? "reverse1" : "reverse0", &layer));
  }
  OK(glow_prior_create(context, NULL, &layer));
  OK(glow_builder_add(builder, "prior", &layer));
  OK(glow_builder_finish(&builder, &model));
  return model;
}

static int open_bench(void **state) {
  bench *b = helper_allocate(sizeof *b);
  helper_random random = helper_random_of(1);
  b->context = helper_context(2, NULL, NULL);
  b->model = conditional(b->context, SIZE);
  helper_normals(&random, 1.0f, b->x, COUNT * DIMS);
  helper_normals(&random, 1.0f, b->conditions, COUNT * SIZE);
  *state = b;
  return 0;
}

static int close_bench(void **state) {
  bench *b = *state;
  glow_model_destroy(&b->model);
  glow_context_destroy(&b->context);
  free(b);
  return 0;
}

static void ready(bench *b) {
  helper_random random = helper_random_of(2);
  helper_perturb(b->model, &random, 0.3f);
}

/* A sample's density depends on its own context, alone or in a batch; one vector serves all. */
static void test_each_has_its_own(void **state) {
  bench *b = *state;
  ready(b);
  glow_workspace *ws = helper_workspace(b->model, COUNT, GLOW_MODE_INFERENCE);
  double all[COUNT], alone, shared[COUNT];
  assert_int_equal(glow_model_condition_size(b->model), SIZE);
  OK(glow_workspace_set_condition(ws, b->conditions, COUNT, SIZE));
  OK(glow_workspace_log_prob(ws, b->x, NULL, COUNT, all));
  for (int n = 0; n < COUNT; n++) {
    OK(glow_workspace_set_condition(ws, b->conditions + n * SIZE, 1, SIZE));
    OK(glow_workspace_log_prob(ws, b->x + n * DIMS, NULL, 1, &alone));
    if (strcmp(glow_context_kernels(b->context), "cblas") == 0)
      assert_true(fabs(alone - all[n]) < 1e-4);
    else
      assert_true(alone == all[n]);
  }
  OK(glow_workspace_set_condition(ws, b->conditions, 1, SIZE));
  OK(glow_workspace_log_prob(ws, b->x, NULL, COUNT, shared));
  assert_true(fabs(shared[0] - all[0]) < 1e-4);
  assert_true(fabs(shared[1] - all[1]) > 1e-3);
  glow_workspace_destroy(&ws);
}

static void test_round_trip(void **state) {
  bench *b = *state;
  ready(b);
  glow_workspace *ws = helper_workspace(b->model, COUNT, GLOW_MODE_INFERENCE);
  float z[COUNT * DIMS], back[COUNT * DIMS], other[COUNT * DIMS];
  OK(glow_workspace_set_condition(ws, b->conditions, COUNT, SIZE));
  OK(helper_forward(ws, b->x, NULL, COUNT, GLOW_LATENTS_WHITENED, z, NULL, NULL));
  OK(helper_inverse(ws, z, GLOW_LATENTS_WHITENED, NULL, COUNT, back, NULL));
  assert_true(helper_relative(back, b->x, COUNT * DIMS) < 1e-5);
  OK(glow_workspace_set_condition(ws, b->conditions, 1, SIZE));
  OK(helper_inverse(ws, z, GLOW_LATENTS_WHITENED, NULL, COUNT, other, NULL));
  assert_true(helper_relative(other, b->x, COUNT * DIMS) > 1e-2);
  glow_workspace_destroy(&ws);
}

static void test_refusals(void **state) {
  bench *b = *state;
  ready(b);
  glow_workspace *ws = helper_workspace(b->model, COUNT, GLOW_MODE_STORED);
  float z[COUNT * DIMS], d[COUNT * SIZE];
  glow_backward_options options = GLOW_BACKWARD_OPTIONS_INIT;
  REFUSED(glow_workspace_log_prob(ws, b->x, NULL, 1, NULL), GLOW_E_ARGUMENT,
          "needs a condition of 3 elements");
  REFUSED(helper_inverse(ws, b->x, GLOW_LATENTS_RAW, NULL, 1, z, NULL), GLOW_E_ARGUMENT,
          "needs a condition");
  REFUSED(helper_sample(ws, NULL, NULL, 1, z), GLOW_E_ARGUMENT, "needs a condition");
  REFUSED(glow_workspace_initialise(ws, b->model, b->x, NULL, COUNT), GLOW_E_ARGUMENT,
          "needs a condition");
  REFUSED(glow_workspace_set_condition(NULL, b->conditions, 1, SIZE), GLOW_E_ARGUMENT, "NULL");
  REFUSED(glow_workspace_set_condition(ws, b->conditions, 1, SIZE + 1), GLOW_E_SHAPE,
          "takes one of 3");
  REFUSED(glow_workspace_set_condition(ws, b->conditions, 0, SIZE), GLOW_E_ARGUMENT, "1 or more");
  REFUSED(glow_workspace_set_condition(ws, b->conditions, -1, SIZE), GLOW_E_ARGUMENT, "1 or more");
  REFUSED(glow_workspace_set_condition(ws, NULL, 2, SIZE), GLOW_E_ARGUMENT, "condition is NULL");
  OK(glow_workspace_set_condition(ws, b->conditions, 4, SIZE));
  REFUSED(glow_workspace_log_prob(ws, b->x, NULL, 5, NULL), GLOW_E_ARGUMENT, "4 conditions for 5");
  OK(glow_workspace_log_prob(ws, b->x, NULL, 4, NULL));
  b->conditions[SIZE + 1] = NAN;
  REFUSED(glow_workspace_log_prob(ws, b->x, NULL, 4, NULL), GLOW_E_NUMERIC,
          "condition: element 1 of sample 1 is not finite");
  b->conditions[SIZE + 1] = 0.5f;
  OK(helper_forward(ws, b->x, NULL, 4, GLOW_LATENTS_RAW, NULL, NULL, NULL));
  OK(glow_workspace_set_condition(ws, NULL, 0, 0));
  options.d_condition = d;
  REFUSED(glow_workspace_backward(ws, &options), GLOW_E_ARGUMENT, "needs a condition");
  glow_workspace_destroy(&ws);
}

static void test_unconditional_models(void **state) {
  bench *b = *state;
  glow_model *plain = conditional(b->context, 0);
  helper_random random = helper_random_of(3);
  helper_perturb(plain, &random, 0.1f);
  glow_workspace *ws = helper_workspace(plain, COUNT, GLOW_MODE_STORED);
  glow_backward_options options = GLOW_BACKWARD_OPTIONS_INIT;
  assert_int_equal(glow_model_condition_size(plain), 0);
  assert_int_equal(glow_model_condition_size(NULL), 0);
  REFUSED(glow_workspace_set_condition(ws, b->conditions, 1, SIZE), GLOW_E_ARGUMENT, "takes no");
  OK(glow_workspace_set_condition(ws, NULL, 0, 0));
  OK(helper_forward(ws, b->x, NULL, 2, GLOW_LATENTS_RAW, NULL, NULL, NULL));
  options.d_condition = b->conditions;
  REFUSED(glow_workspace_backward(ws, &options), GLOW_E_ARGUMENT, "takes no condition");
  options.d_condition = NULL;
  OK(glow_workspace_backward(ws, &options));
  glow_workspace_destroy(&ws);
  glow_model_destroy(&plain);
}

/* Layers of one model read one condition. */
static void test_sizes_that_differ(void **state) {
  bench *b = *state;
  const glow_shape shape = {1, 1, DIMS};
  glow_builder *builder = NULL;
  OK(glow_builder_create(b->context, &shape, NULL, &builder));
  for (int i = 0; i < 2; i++) {
    glow_mlp_net_options options = GLOW_MLP_NET_OPTIONS_INIT;
    glow_net *net = NULL;
    glow_layer *layer = NULL;
    options.condition.channels = 2 + i;
    OK(glow_mlp_net_create(b->context, &options, &net));
    OK(glow_coupling_create(b->context, NULL, &net, &layer));
    if (i)
      REFUSED(glow_builder_add(builder, "second", &layer), GLOW_E_SHAPE,
              "a condition of 1 x 1 x 3, but an earlier layer reads one of 1 x 1 x 2");
    else
      OK(glow_builder_add(builder, "first", &layer));
  }
  glow_builder_destroy(&builder);
}

/* ---- training -------------------------------------------------------------------------------- */

/* Micro-batches take their own vectors: the same step as in one. */
static void test_micro_batches(void **state) {
  bench *b = *state;
  float *after[2];
  int64_t parameters = glow_model_parameter_count(b->model);
  for (int i = 0; i < 2; i++) {
    glow_model *model = conditional(b->context, SIZE);
    glow_trainer_options options = GLOW_TRAINER_OPTIONS_INIT;
    glow_optimizer_options sgd = GLOW_OPTIMIZER_OPTIONS_INIT;
    glow_schedule schedule = GLOW_SCHEDULE_INIT;
    glow_trainer *trainer = NULL;
    sgd.kind = GLOW_OPTIMIZER_SGD; /* does not enlarge what rounding makes different */
    schedule.rate = 0.05;
    options.optimizer = &sgd;
    options.schedule = &schedule;
    options.micro_batch = i ? 4 : COUNT;
    OK(glow_trainer_create(model, &options, &trainer));
    REFUSED(glow_trainer_initialise(trainer, b->x, NULL, COUNT), GLOW_E_ARGUMENT,
            "needs a condition");
    OK(helper_initialise(trainer, b->x, b->conditions, COUNT));
    for (int step = 0; step < 3; step++)
      OK(helper_step(trainer, b->x, NULL, b->conditions, COUNT, COUNT));
    REFUSED(helper_step(trainer, b->x, NULL, b->conditions, COUNT, COUNT - 1), GLOW_E_ARGUMENT,
            "9 conditions for 8 samples");
    REFUSED(helper_step(trainer, b->x, NULL, NULL, COUNT, COUNT), GLOW_E_ARGUMENT,
            "condition is NULL");
    REFUSED(glow_trainer_step(trainer, b->x, NULL, COUNT, NULL), GLOW_E_ARGUMENT,
            "needs a condition");
    assert_int_equal(glow_trainer_step_count(trainer), 3);
    after[i] = helper_allocate((size_t)parameters * sizeof(float));
    memcpy(after[i], glow_model_parameters(model), (size_t)parameters * sizeof(float));
    glow_trainer_destroy(&trainer);
    glow_model_destroy(&model);
  }
  assert_true(helper_relative(after[1], after[0], parameters) < 1e-5);
  free(after[0]);
  free(after[1]);
}

/* Samples lie about +2 in every dimension where the condition is (1, 0, 0), about -2 where it is
 * (0, 1, 0). */
static void draw(helper_random *random, int64_t count, float *x, float *conditions) {
  memset(conditions, 0, (size_t)(count * SIZE) * sizeof *conditions);
  for (int64_t n = 0; n < count; n++) {
    int mode = helper_uniform(random) < 0.5;
    conditions[n * SIZE + mode] = 1.0f;
    for (int i = 0; i < DIMS; i++)
      x[n * DIMS + i] = (mode ? -2.0f : 2.0f) + 0.5f * (float)helper_normal(random);
  }
}

static double mean_of_samples(glow_workspace *ws, const float *context) {
  enum { DRAWN = 64 };
  float x[DRAWN * DIMS];
  double sum = 0;
  OK(glow_workspace_set_condition(ws, context, 1, SIZE));
  OK(helper_sample(ws, NULL, NULL, DRAWN, x));
  for (int i = 0; i < DRAWN * DIMS; i++)
    sum += x[i];
  return sum / (DRAWN * DIMS);
}

/* Each condition has its mode: samples lie there, and the density of a sample under the other's
 * condition is far below that under its own. The entropy of the data is known: 4 dimensions of
 * deviation 0.5, so log-densities are 4 (-log 0.5 - 1/2 log(2 pi e)) = -2.9 on average. */
static void test_modes(void **state) {
  enum { BATCH = 64, STEPS = 300 };
  bench *b = *state;
  glow_trainer_options options = GLOW_TRAINER_OPTIONS_INIT;
  glow_schedule schedule = GLOW_SCHEDULE_INIT;
  glow_trainer *trainer = NULL;
  helper_random random = helper_random_of(4);
  static float x[BATCH * DIMS], conditions[BATCH * SIZE];
  const float up[SIZE] = {1, 0, 0}, down[SIZE] = {0, 1, 0};
  double own[BATCH], mean = 0;
  schedule.rate = 1e-2;
  options.schedule = &schedule;
  options.micro_batch = BATCH;
  OK(glow_trainer_create(b->model, &options, &trainer));
  for (int step = 0; step <= STEPS; step++) {
    draw(&random, BATCH, x, conditions);
    if (!step)
      OK(helper_initialise(trainer, x, conditions, BATCH));
    OK(helper_step(trainer, x, NULL, conditions, BATCH, BATCH));
  }
  glow_workspace *ws = glow_trainer_workspace(trainer);
  draw(&random, BATCH, x, conditions);
  OK(glow_workspace_set_condition(ws, conditions, BATCH, SIZE));
  OK(glow_workspace_log_prob(ws, x, NULL, BATCH, own));
  for (int n = 0; n < BATCH; n++)
    mean += own[n] / BATCH;
  assert_true(mean > -2.9 - 1.0); /* entropy, and a nat for 300 steps and the luck of 64 samples */
  assert_true(fabs(mean_of_samples(ws, up) - 2.0) < 0.3);
  assert_true(fabs(mean_of_samples(ws, down) + 2.0) < 0.3);
  for (int n = 0; n < BATCH; n++) {
    double other;
    OK(glow_workspace_set_condition(ws, conditions[n * SIZE] > 0 ? down : up, 1, SIZE));
    OK(glow_workspace_log_prob(ws, x + n * DIMS, NULL, 1, &other));
    assert_true(other < own[n] - 5.0);
  }
  glow_trainer_destroy(&trainer);
}

#define TEST(name) cmocka_unit_test_setup_teardown(test_##name, open_bench, close_bench)

int main(void) {
  const struct CMUnitTest tests[] = {
      TEST(each_has_its_own),  TEST(round_trip),    TEST(refusals), TEST(unconditional_models),
      TEST(sizes_that_differ), TEST(micro_batches), TEST(modes),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
