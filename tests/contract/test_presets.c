/* The presets: the layers of Glow, by name; and those for vectors: NICE, its layers and its
 * formula; the vector flow; the logistic prior, its samples and its temperature; the same bits for
 * any number of threads.
 * SPDX-License-Identifier: MIT */
#include "../support/model_helpers.h"

static glow_nice_options small_nice(void) {
  glow_nice_options o = GLOW_NICE_OPTIONS_INIT;
  o.input = (glow_shape){6, 5, 1};
  o.hidden = 12;
  o.depth = 2;
  o.seed = 4;
  return o;
}

/* ---- Glow ------------------------------------------------------------------------------------ */

/* The names are those of parameters in files, too. */
static void test_glow_layers(void **state) {
  static const char *const names[][12] = {
      {"level0.squeeze", "level0.step0.actnorm", "level0.step0.invconv", "level0.step0.coupling",
       "level0.step1.actnorm", "level0.step1.invconv", "level0.step1.coupling", "prior"},
      {"level0.squeeze", "level0.step0.actnorm", "level0.step0.permute", "level0.step0.coupling",
       "level0.split", "level1.squeeze", "level1.step0.actnorm", "level1.step0.permute",
       "level1.step0.coupling", "prior"}};
  glow_context *context = helper_context(1, NULL, NULL);
  (void)state;
  for (int levels = 1; levels <= 2; levels++) {
    glow_glow_options o = helper_small_glow();
    glow_model *model = NULL;
    int count = levels == 1 ? 8 : 10;
    o.levels = levels;
    o.depth = 3 - levels;
    o.permutation = levels == 1 ? GLOW_PERMUTATION_INVCONV : GLOW_PERMUTATION_SHUFFLE;
    OK(glow_model_create_glow(context, &o, &model));
    assert_int_equal(glow_model_layer_count(model), count);
    for (int i = 0; i < count; i++)
      assert_string_equal(glow_model_layer_name(model, i), names[levels - 1][i]);
    glow_model_destroy(&model);
  }
  glow_context_destroy(&context);
}

/* ---- NICE ------------------------------------------------------------------------------------ */

static void test_nice_layers(void **state) {
  static const char *const names[] = {"flatten",        "separate",       "step0.coupling",
                                      "step1.reverse",  "step1.coupling", "step2.reverse",
                                      "step2.coupling", "scaling",        "prior"};
  glow_context *context = helper_context(1, NULL, NULL);
  glow_nice_options o = small_nice();
  glow_model *model = NULL;
  glow_shape shape;
  (void)state;
  o.couplings = 3;
  OK(glow_model_create_nice(context, &o, &model));
  assert_int_equal(glow_model_layer_count(model), 9);
  for (int i = 0; i < 9; i++)
    assert_string_equal(glow_model_layer_name(model, i), names[i]);
  OK(glow_model_input_shape(model, &shape));
  assert_int_equal(shape.height, 6);
  assert_int_equal(glow_model_bits(model), 8);
  assert_int_equal(glow_model_initialised(model), 0); /* the scaling takes its values from data */
  glow_model_destroy(&model);
  o.from_data = 0;
  OK(glow_model_create_nice(context, &o, &model));
  assert_int_equal(glow_model_initialised(model), 1);
  glow_model_destroy(&model);
  OK(glow_model_create_nice(context, NULL, &model)); /* the paper's, on MNIST: 4 x 5 x 1000 */
  assert_int_equal(glow_model_parameter_count(model),
                   4 * (392 * 1000 + 1000 + 4 * 1001000 + 1000 * 392 + 392) + 784);
  glow_model_destroy(&model);
  glow_context_destroy(&context);
}

/* At the start the couplings change nothing: the halves are the even and the odd pixels, and the
 * density is that of independent logistic elements. */
static glow_status never_asked(glow_context *context, const glow_conditioner_request *request,
                               glow_net **out, void *payload) {
  (void)context, (void)request, (void)out, (void)payload;
  fail_msg("a conditioner is asked for a net that has nothing to change");
  return GLOW_OK;
}

static void test_nice_of_one_element(void **state) {
  glow_context *context = helper_context(1, NULL, NULL);
  glow_nice_options o = small_nice();
  glow_model *model = NULL;
  (void)state;
  o.input = (glow_shape){1, 1, 1};
  o.conditioner = never_asked;
  REFUSED(glow_model_create_nice(context, &o, &model), GLOW_E_SHAPE, "two elements or more");
  glow_context_destroy(&context);
}

static void test_nice_formula(void **state) {
  enum { DIMS = 30 };
  glow_context *context = helper_context(1, NULL, NULL);
  glow_nice_options o = small_nice();
  glow_model *model = NULL;
  helper_random random = helper_random_of(1);
  float x[DIMS], z[DIMS], logs[DIMS];
  double log_prob, logdet, expected = 0, sum = 0;
  (void)state;
  o.couplings = 1;
  o.from_data = 0;
  OK(glow_model_create_nice(context, &o, &model));
  helper_normals(&random, 0.5f, logs, DIMS);
  helper_normals(&random, 3.0f, x, DIMS);
  OK(glow_model_set_tensor(model, "scaling.logs", logs, DIMS));
  OK(glow_model_prepare(model));
  glow_workspace *ws = helper_workspace(model, 1, GLOW_MODE_INFERENCE);
  OK(helper_forward(ws, x, NULL, 1, GLOW_LATENTS_RAW, z, &logdet, &log_prob));
  for (int i = 0; i < DIMS; i++) {
    double at = exp((double)logs[i]) * (double)x[i < DIMS / 2 ? 2 * i : 2 * (i - DIMS / 2) + 1];
    assert_true(fabs(z[i] - at) < 1e-5 * (1 + fabs(at)));
    expected += -at - 2 * log1p(exp(-at));
    sum += (double)logs[i];
  }
  assert_true(fabs(logdet - sum) < 1e-4);
  assert_true(fabs(log_prob - expected - sum) < 1e-3);
  glow_workspace_destroy(&ws);
  glow_model_destroy(&model);
  glow_context_destroy(&context);
}

/* With data_init every number has deviation 1 after the scaling. */
static void test_nice_data_init(void **state) {
  enum { DIMS = 30, COUNT = 50 };
  glow_context *context = helper_context(2, NULL, NULL);
  glow_nice_options o = small_nice();
  glow_model *model = NULL;
  helper_random random = helper_random_of(2);
  float x[COUNT * DIMS], z[COUNT * DIMS];
  (void)state;
  OK(glow_model_create_nice(context, &o, &model));
  glow_workspace *ws = helper_workspace(model, COUNT, GLOW_MODE_INFERENCE);
  for (int i = 0; i < COUNT * DIMS; i++)
    x[i] = (float)(0.01 * (1 + i % DIMS) * helper_normal(&random) + i % DIMS);
  REFUSED(glow_workspace_log_prob(ws, x, NULL, COUNT, NULL), GLOW_E_STATE, "not initialised");
  OK(glow_workspace_initialise(ws, model, x, NULL, COUNT));
  OK(helper_forward(ws, x, NULL, COUNT, GLOW_LATENTS_RAW, z, NULL, NULL));
  for (int i = 0; i < DIMS; i++) {
    double mean = 0, squares = 0;
    for (int n = 0; n < COUNT; n++)
      mean += (double)z[n * DIMS + i] / COUNT;
    for (int n = 0; n < COUNT; n++)
      squares += ((double)z[n * DIMS + i] - mean) * ((double)z[n * DIMS + i] - mean) / COUNT;
    assert_true(fabs(sqrt(squares) - 1) < 1e-2); /* means of up to 3000 in float32 */
  }
  glow_workspace_destroy(&ws);
  glow_model_destroy(&model);
  glow_context_destroy(&context);
}

static void test_bad_nice(void **state) {
  glow_context *context = helper_context(1, NULL, NULL);
  glow_model *model = NULL;
  (void)state;
#define BAD_FIELD(field, value, status, words)                                                     \
  do {                                                                                             \
    glow_nice_options o = small_nice();                                                            \
    o.field = value;                                                                               \
    REFUSED(glow_model_create_nice(context, &o, &model), status, words);                           \
    assert_null(model);                                                                            \
  } while (0)
  BAD_FIELD(couplings, 0, GLOW_E_ARGUMENT, "couplings is 0");
  BAD_FIELD(couplings, INT32_MAX, GLOW_E_ARGUMENT, "couplings is");
  BAD_FIELD(hidden, 0, GLOW_E_ARGUMENT, "hidden is 0");
  BAD_FIELD(depth, 0, GLOW_E_ARGUMENT, "depth is 0");
  BAD_FIELD(density, 2, GLOW_E_ARGUMENT, "density is 2");
  BAD_FIELD(bits, 9, GLOW_E_ARGUMENT, "bits is 9");
  BAD_FIELD(from_data, 2, GLOW_E_ARGUMENT, "from_data is 2");
  BAD_FIELD(unstandardised, 2, GLOW_E_ARGUMENT, "unstandardised is 2");
  BAD_FIELD(input.width, 0, GLOW_E_ARGUMENT, "input.width is 0");
#undef BAD_FIELD
  REFUSED(glow_model_create_nice(NULL, NULL, &model), GLOW_E_ARGUMENT, "NULL");
  REFUSED(glow_model_create_nice(context, NULL, NULL), GLOW_E_ARGUMENT, "NULL");
  glow_context_destroy(&context);
}

/* ---- the logistic prior ---------------------------------------------------------------------- */

/* Samples have the distribution's quantiles, times the temperature, and sample i of a seed is the
 * same in any batch. */
static void test_logistic_samples(void **state) {
  enum { DIMS = 30, COUNT = 400 };
  glow_context *context = helper_context(2, NULL, NULL);
  glow_nice_options o = small_nice();
  glow_model *model = NULL;
  glow_sample_options options = GLOW_SAMPLE_OPTIONS_INIT;
  static float x[COUNT * DIMS], z[COUNT * DIMS], one[DIMS];
  (void)state;
  o.from_data = 0;
  OK(glow_model_create_nice(context, &o, &model));
  glow_workspace *ws = helper_workspace(model, COUNT, GLOW_MODE_INFERENCE);
  for (int t = 1; t <= 2; t++) {
    int below = 0, small = 0;
    options.temperature = t;
    OK(helper_sample(ws, &options, NULL, COUNT, x));
    OK(helper_forward(ws, x, NULL, COUNT, GLOW_LATENTS_WHITENED, z, NULL, NULL));
    for (int i = 0; i < COUNT * DIMS; i++) {
      assert_true(isfinite(z[i]));
      below += z[i] < 0;
      small += fabs(z[i]) < t * log(3); /* half of them: log(3) is the upper quartile */
    }
    /* 12000 coins: a deviation of 55. */
    assert_true(abs(below - COUNT * DIMS / 2) < 275);
    assert_true(abs(small - COUNT * DIMS / 2) < 275);
  }
  options.first = 17;
  OK(helper_sample(ws, &options, NULL, 1, one));
  assert_memory_equal(one, x + 17 * DIMS, sizeof one);
  options.temperature = 0;
  OK(helper_sample(ws, &options, NULL, 1, one));
  OK(helper_forward(ws, one, NULL, 1, GLOW_LATENTS_RAW, z, NULL, NULL));
  for (int i = 0; i < DIMS; i++)
    assert_true(z[i] == 0);
  glow_workspace_destroy(&ws);
  glow_model_destroy(&model);
  glow_context_destroy(&context);
}

/* Far out the density falls by e for each scale, and nothing overflows. */
static void test_logistic_tails(void **state) {
  const glow_shape shape = {1, 1, 1};
  glow_context *context = helper_context(1, NULL, NULL);
  glow_prior_options options = GLOW_PRIOR_OPTIONS_INIT;
  glow_layer *layer = NULL;
  glow_model *model = NULL;
  const float x[] = {-1e6f, -100, -1, 0, 1, 100, 1e6f};
  double log_prob[7];
  (void)state;
  options.density = GLOW_DENSITY_LOGISTIC;
  OK(glow_prior_create(context, &options, &layer));
  OK(helper_wrap_layer(context, layer, false, &shape, &model));
  glow_workspace *ws = helper_workspace(model, 7, GLOW_MODE_INFERENCE);
  OK(glow_workspace_log_prob(ws, x, NULL, 7, log_prob));
  for (int i = 0; i < 7; i++) {
    assert_true(log_prob[i] == log_prob[6 - i]);
    double size = fabs((double)x[i]);
    assert_true(fabs(log_prob[i] - (-size - 2 * log1p(exp(-size)))) < 1e-6 * (1 + size));
  }
  glow_workspace_destroy(&ws);
  glow_model_destroy(&model);
  options.density = -1;
  REFUSED(glow_prior_create(context, &options, &layer), GLOW_E_ARGUMENT, "density is -1");
  glow_context_destroy(&context);
}

/* ---- the vector flow ------------------------------------------------------------------------- */

static void test_vector_flow(void **state) {
  glow_context *context = helper_context(1, NULL, NULL);
  (void)state;
  for (int32_t kind = GLOW_COUPLING_AFFINE; kind <= GLOW_COUPLING_SPLINE; kind++) {
    glow_vector_flow_options o = GLOW_VECTOR_FLOW_OPTIONS_INIT;
    glow_model *model = NULL;
    o.coupling = kind;
    o.dims = kind == GLOW_COUPLING_SPLINE ? 3 : 4;
    o.steps = 2;
    o.condition = kind == GLOW_COUPLING_SPLINE ? 5 : 0;
    OK(glow_model_create_vector_flow(context, &o, &model));
    assert_int_equal(glow_model_layer_count(model), 8);
    assert_string_equal(glow_model_layer_name(model, 0), "standardise");
    assert_string_equal(glow_model_layer_name(model, 6), "step1.coupling");
    assert_string_equal(glow_model_layer_type(model, 6),
                        kind == GLOW_COUPLING_SPLINE ? "spline_coupling" : "coupling");
    assert_int_equal(glow_model_condition_size(model), o.condition);
    assert_int_equal(glow_model_bits(model), 0);
    glow_model_destroy(&model);
    o.unstandardised = 1;
    OK(glow_model_create_vector_flow(context, &o, &model));
    assert_int_equal(glow_model_layer_count(model), 7);
    assert_string_equal(glow_model_layer_name(model, 0), "step0.actnorm");
    glow_model_destroy(&model);
  }
  glow_context_destroy(&context);
}

static void test_bad_vector_flow(void **state) {
  glow_context *context = helper_context(1, NULL, NULL);
  glow_model *model = NULL;
  (void)state;
#define BAD_FIELD(field, value, status, words)                                                     \
  do {                                                                                             \
    glow_vector_flow_options o = GLOW_VECTOR_FLOW_OPTIONS_INIT;                                    \
    o.field = value;                                                                               \
    REFUSED(glow_model_create_vector_flow(context, &o, &model), status, words);                    \
    assert_null(model);                                                                            \
  } while (0)
  BAD_FIELD(dims, 1, GLOW_E_SHAPE, "dims is 1");
  BAD_FIELD(dims, -2, GLOW_E_ARGUMENT, "dims is -2");
  BAD_FIELD(condition, -1, GLOW_E_ARGUMENT, "condition is -1");
  BAD_FIELD(steps, 0, GLOW_E_ARGUMENT, "steps is 0");
  BAD_FIELD(hidden, 0, GLOW_E_ARGUMENT, "hidden is 0");
  BAD_FIELD(depth, 100, GLOW_E_ARGUMENT, "depth is 100");
  BAD_FIELD(coupling, 4, GLOW_E_ARGUMENT, "coupling is 4");
  BAD_FIELD(bins, 1, GLOW_E_ARGUMENT, "bins is 1");
  BAD_FIELD(bound, -1.0, GLOW_E_ARGUMENT, "bound is -1");
  BAD_FIELD(unstandardised, 2, GLOW_E_ARGUMENT, "unstandardised is 2");
#undef BAD_FIELD
  glow_vector_flow_options odd = GLOW_VECTOR_FLOW_OPTIONS_INIT;
  odd.dims = 3;
  odd.coupling = GLOW_COUPLING_AFFINE;
  OK(glow_model_create_vector_flow(context, &odd, &model));
  glow_model_destroy(&model);
  REFUSED(glow_model_create_vector_flow(NULL, NULL, &model), GLOW_E_ARGUMENT, "NULL");
  REFUSED(glow_model_create_vector_flow(context, NULL, NULL), GLOW_E_ARGUMENT, "NULL");
  glow_context_destroy(&context);
}

/* Two rings, learnt for a moment: far better than the best Gaussian, whose density is known. */
static void test_learns_a_ring(void **state) {
  enum { BATCH = 256, STEPS = 120 };
  glow_context *context = helper_context(2, NULL, NULL);
  glow_vector_flow_options o = GLOW_VECTOR_FLOW_OPTIONS_INIT;
  glow_trainer_options options = GLOW_TRAINER_OPTIONS_INIT;
  glow_schedule schedule = GLOW_SCHEDULE_INIT;
  glow_model *model = NULL;
  glow_trainer *trainer = NULL;
  helper_random random = helper_random_of(5);
  float x[2 * BATCH];
  double log_prob[BATCH], mean = 0;
  (void)state;
  o.steps = 4;
  o.hidden = 32;
  schedule.rate = 1e-2;
  options.schedule = &schedule;
  options.micro_batch = BATCH;
  OK(glow_model_create_vector_flow(context, &o, &model));
  OK(glow_trainer_create(model, &options, &trainer));
  for (int step = 0; step <= STEPS; step++) {
    for (int n = 0; n < BATCH; n++) {
      double angle = 2 * M_PI * helper_uniform(&random), r = 2 + 0.1 * helper_normal(&random);
      x[2 * n] = (float)(r * cos(angle));
      x[2 * n + 1] = (float)(r * sin(angle));
    }
    if (!step)
      OK(glow_trainer_initialise(trainer, x, NULL, BATCH));
    if (step < STEPS)
      OK(glow_trainer_step(trainer, x, NULL, BATCH, NULL));
  }
  OK(glow_workspace_log_prob(glow_trainer_workspace(trainer), x, NULL, BATCH, log_prob));
  for (int n = 0; n < BATCH; n++)
    mean += log_prob[n] / BATCH;
  /* A Gaussian of variance 2 in each direction gives -1 - log(2 pi 2) = -3.53; the truth is
   * -log(2 pi 2) + entropy's part of the radius, -log(0.1 sqrt(2 pi e)) = -1.65. */
  if (!(mean > -2.4))
    fail_msg("mean log-density %g", mean);
  glow_trainer_destroy(&trainer);
  glow_model_destroy(&model);
  glow_context_destroy(&context);
}

/* ---- threads --------------------------------------------------------------------------------- */

static glow_model *nice_of(glow_context *context) {
  glow_nice_options o = GLOW_NICE_OPTIONS_INIT;
  glow_model *model = NULL;
  o.input = (glow_shape){16, 16, 1};
  o.hidden = 300; /* wide: layer by layer */
  o.depth = 2;
  o.bits = 0;
  OK(glow_model_create_nice(context, &o, &model));
  return model;
}

static glow_model *vector_flow_of(glow_context *context) {
  glow_vector_flow_options o = GLOW_VECTOR_FLOW_OPTIONS_INIT;
  glow_model *model = NULL;
  o.dims = 6;
  o.steps = 3;
  OK(glow_model_create_vector_flow(context, &o, &model));
  return model;
}

/* Parameters after a few steps; the caller frees them. */
static float *trained(glow_model *(*make)(glow_context *), uint32_t threads, int32_t mode,
                      int64_t *count) {
  enum { BATCH = 200, STEPS = 4 };
  glow_context *context = helper_context(threads, NULL, NULL);
  glow_model *model = make(context);
  glow_trainer_options options = GLOW_TRAINER_OPTIONS_INIT;
  glow_trainer *trainer = NULL;
  helper_random random = helper_random_of(6);
  float *x = helper_new_normals(&random, 1.0f, BATCH * glow_model_dims(model));
  options.micro_batch = 150;
  options.mode = mode;
  OK(glow_trainer_create(model, &options, &trainer));
  OK(glow_trainer_initialise(trainer, x, NULL, BATCH));
  for (int step = 0; step < STEPS; step++)
    OK(glow_trainer_step(trainer, x, NULL, BATCH, NULL));
  float *result = helper_parameters(model, count);
  free(x);
  glow_trainer_destroy(&trainer);
  glow_model_destroy(&model);
  glow_context_destroy(&context);
  return result;
}

static void test_threads(void **state) {
  glow_model *(*const makers[])(glow_context *) = {nice_of, vector_flow_of};
  (void)state;
  for (int m = 0; m < 2; m++)
    for (int32_t mode = GLOW_MODE_STORED; mode <= GLOW_MODE_RECONSTRUCTED; mode++) {
      int64_t count;
      float *one = trained(makers[m], 1, mode, &count);
      for (uint32_t threads = 2; threads <= 3; threads++) {
        float *more = trained(makers[m], threads, mode, &count);
        assert_true(helper_same_bits(one, more, count, sizeof *one));
        free(more);
      }
      free(one);
    }
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(test_glow_layers),         cmocka_unit_test(test_nice_layers),
      cmocka_unit_test(test_nice_of_one_element), cmocka_unit_test(test_nice_formula),
      cmocka_unit_test(test_nice_data_init),      cmocka_unit_test(test_bad_nice),
      cmocka_unit_test(test_logistic_samples),    cmocka_unit_test(test_logistic_tails),
      cmocka_unit_test(test_vector_flow),         cmocka_unit_test(test_bad_vector_flow),
      cmocka_unit_test(test_learns_a_ring),       cmocka_unit_test(test_threads),
  };
  glow_blas_set_threads(1);
  return cmocka_run_group_tests(tests, NULL, NULL);
}
