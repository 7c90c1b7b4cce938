/* NULL and nonsense given to every public function: an error status (or a harmless value), never a
 * crash, and outputs set to NULL. Functions of a pass's and a setup's author are in
 * test_custom_layer.c, files in io/. SPDX-License-Identifier: MIT */
#include "../support/model_helpers.h"

typedef struct bench {
  glow_context *context;
  glow_model *model;
  glow_workspace *ws;
  glow_trainer *trainer;
  float x[256];
} bench;

static int open_bench(void **state) {
  bench *b = helper_allocate(sizeof *b);
  memset(b, 0, sizeof *b);
  b->context = helper_context(1, NULL, NULL);
  b->model = helper_glow(b->context, NULL, 1);
  b->ws = helper_workspace(b->model, 2, GLOW_MODE_STORED);
  OK(glow_trainer_create(b->model, NULL, &b->trainer));
  *state = b;
  return 0;
}

static int close_bench(void **state) {
  bench *b = *state;
  glow_trainer_destroy(&b->trainer);
  glow_workspace_destroy(&b->ws);
  glow_model_destroy(&b->model);
  glow_context_destroy(&b->context);
  free(b);
  return 0;
}

/* Every message says something. */
#define BAD(call) refused_with_text((call), GLOW_E_ARGUMENT, #call, __LINE__)
#define BAD_SHAPE(call) refused_with_text((call), GLOW_E_SHAPE, #call, __LINE__)
static void refused_with_text(glow_status status, glow_status expected, const char *call,
                              int line) {
  helper_refused(status, expected, "", call, __FILE__, line);
  if (strlen(glow_last_error()) < 8)
    fail_msg("%s: the message is \"%s\"", call, glow_last_error());
  (glow_error)(GLOW_OK, "%s", ""); /* so that the next call must leave a message of its own */
}

/* ---- NULL ------------------------------------------------------------------------------------ */

/* Destroyers take NULL and pointers to NULL. */
static void test_destroy_nothing(void **state) {
  (void)state;
#define NOTHING(type, destroy)                                                                     \
  do {                                                                                             \
    type *nothing = NULL;                                                                          \
    destroy(NULL);                                                                                 \
    destroy(&nothing);                                                                             \
    assert_null(nothing);                                                                          \
  } while (0)
  NOTHING(glow_context, glow_context_destroy);
  NOTHING(glow_pool, glow_pool_destroy);
  NOTHING(glow_rng, glow_rng_destroy);
  NOTHING(glow_layer, glow_layer_destroy);
  NOTHING(glow_net, glow_net_destroy);
  NOTHING(glow_builder, glow_builder_destroy);
  NOTHING(glow_model, glow_model_destroy);
  NOTHING(glow_workspace, glow_workspace_destroy);
  NOTHING(glow_optimizer, glow_optimizer_destroy);
  NOTHING(glow_trainer, glow_trainer_destroy);
  NOTHING(glow_tensor_file, glow_tensor_file_close);
#undef NOTHING
}

static void test_null_makers(void **state) {
  bench *b = *state;
  glow_layer *layer = (glow_layer *)b;
  glow_net *net = NULL;
  glow_pool *pool = NULL;
  glow_executor executor = GLOW_EXECUTOR_INIT;
  BAD(glow_context_create(NULL, NULL));
  BAD(glow_pool_create(NULL, 2, NULL));
  BAD(glow_pool_create(NULL, 0, &pool));
  BAD(glow_pool_executor(NULL, &executor));
  BAD(glow_rng_create(NULL, 1, NULL));
  BAD(glow_rng_create(b->context, 1, NULL));
  BAD(glow_conv_net_create(b->context, NULL, NULL));
  BAD(glow_conv_net_create(NULL, NULL, &net));
#define MAKER(create)                                                                              \
  do {                                                                                             \
    layer = (glow_layer *)b;                                                                       \
    BAD(create(NULL, NULL, &layer));                                                               \
    assert_null(layer);                                                                            \
    BAD(create(b->context, NULL, NULL));                                                           \
  } while (0)
  MAKER(glow_actnorm_create);
  MAKER(glow_batchnorm_create);
  MAKER(glow_logit_create);
  MAKER(glow_standardise_create);
  MAKER(glow_invconv_create);
  MAKER(glow_permute_create);
  MAKER(glow_scaling_create);
  MAKER(glow_prior_create);
  BAD(glow_squeeze_create(NULL, NULL, &layer));
  BAD(glow_squeeze_create(b->context, NULL, NULL));
  BAD(glow_flatten_create(NULL, NULL, &layer));
  BAD(glow_flatten_create(b->context, NULL, NULL));
  BAD(glow_split_create(NULL, NULL, &layer));
  BAD(glow_split_create(b->context, NULL, NULL));
  MAKER(glow_split_create);
  MAKER(glow_squeeze_create);
  MAKER(glow_flatten_create);
#undef MAKER
  BAD(glow_res_net_create(b->context, NULL, NULL));
  BAD(glow_res_net_create(NULL, NULL, &net));
  BAD(glow_layer_create(b->context, NULL, NULL, NULL, &layer));
  BAD(glow_net_create(b->context, NULL, NULL, &net));
  BAD(glow_context_register_layer(NULL, NULL));
  BAD(glow_context_register_layer(b->context, NULL));
  BAD(glow_context_register_net(NULL, NULL));
  BAD(glow_context_register_net(b->context, NULL));
  BAD(glow_mlp_net_create(b->context, NULL, NULL));
  BAD(glow_mlp_net_create(NULL, NULL, &net));
}

/* A coupling takes its net over on failure too. */
static void test_null_coupling(void **state) {
  bench *b = *state;
  glow_layer *layer = NULL;
  glow_net *net = NULL;
  glow_coupling_options options = GLOW_COUPLING_OPTIONS_INIT;
  BAD(glow_coupling_create(b->context, NULL, NULL, &layer));
  BAD(glow_coupling_create(b->context, NULL, &net, &layer));
  for (int i = 0; i < 3; i++) {
    OK(glow_conv_net_create(b->context, NULL, &net));
    options.kind = i == 2 ? 9 : GLOW_COUPLING_AFFINE;
    BAD(glow_coupling_create(i == 0 ? NULL : b->context, &options, &net, i == 1 ? NULL : &layer));
    assert_null(net);
  }
}

static void test_bad_spline_couplings(void **state) {
  bench *b = *state;
  const glow_shape one = {2, 2, 1};
  glow_layer *layer = NULL;
  glow_model *model = NULL;
  glow_net *net = NULL;
#define BAD_FIELD(field, value)                                                                    \
  do {                                                                                             \
    glow_spline_coupling_options o = GLOW_SPLINE_COUPLING_OPTIONS_INIT;                            \
    OK(glow_mlp_net_create(b->context, NULL, &net));                                               \
    o.field = value;                                                                               \
    REFUSED(glow_spline_coupling_create(b->context, &o, &net, &layer), GLOW_E_ARGUMENT,            \
            #field " is");                                                                         \
    assert_null(net);                                                                              \
    assert_null(layer);                                                                            \
  } while (0)
  BAD_FIELD(bins, 1);
  BAD_FIELD(bins, 65);
  BAD_FIELD(parity, 2);
  BAD_FIELD(parity, -1);
  BAD_FIELD(bound, 0.0);
  BAD_FIELD(bound, NAN);
  BAD_FIELD(bound, INFINITY);
  BAD_FIELD(min_width, 0.0);
  BAD_FIELD(min_width, 0.125); /* eight of them leave nothing */
  BAD_FIELD(min_height, -1.0);
  BAD_FIELD(min_height, NAN);
  BAD_FIELD(min_derivative, 1.0);
#undef BAD_FIELD
  BAD(glow_spline_coupling_create(b->context, NULL, NULL, &layer));
  BAD(glow_spline_coupling_create(b->context, NULL, &net, &layer));
  OK(glow_mlp_net_create(b->context, NULL, &net));
  BAD(glow_spline_coupling_create(b->context, NULL, &net, NULL));
  assert_null(net);
  OK(glow_mlp_net_create(b->context, NULL, &net));
  OK(glow_spline_coupling_create(b->context, NULL, &net, &layer));
  REFUSED(helper_wrap_layer(b->context, layer, true, &one, &model), GLOW_E_SHAPE,
          "nothing to read");
}

static void test_null_builder(void **state) {
  bench *b = *state;
  glow_shape shape = {4, 4, 4};
  glow_builder *builder = NULL;
  glow_model *model = NULL;
  glow_layer *layer = NULL;
  BAD(glow_builder_create(NULL, &shape, NULL, &builder));
  BAD(glow_builder_create(b->context, NULL, NULL, &builder));
  BAD(glow_builder_create(b->context, &shape, NULL, NULL));
  BAD(glow_builder_add(NULL, "x", &layer));
  BAD(glow_builder_shape(NULL, &shape));
  BAD(glow_builder_finish(NULL, &model));
  BAD(glow_builder_finish(&builder, &model));
  OK(glow_builder_create(b->context, &shape, NULL, &builder));
  BAD(glow_builder_shape(builder, NULL));
  BAD(glow_builder_add(builder, "x", NULL));
  OK(glow_actnorm_create(b->context, NULL, &layer));
  BAD(glow_builder_add(NULL, "x", &layer));
  assert_null(layer); /* taken over all the same */
  BAD(glow_builder_finish(&builder, NULL));
  assert_null(builder);
  BAD(glow_model_create_glow(NULL, NULL, &model));
  BAD(glow_model_create_glow(b->context, NULL, NULL));
}

static void test_null_model(void **state) {
  bench *b = *state;
  glow_shape shape;
  glow_tensor_info info = GLOW_TENSOR_INFO_INIT;
  int64_t offset = 0;
  float value = 0;
  BAD(glow_model_input_shape(NULL, &shape));
  BAD(glow_model_input_shape(b->model, NULL));
  assert_int_equal(glow_model_bits(NULL), 0);
  assert_int_equal(glow_model_class_count(NULL), 0);
  assert_int_equal(glow_model_dims(NULL), 0);
  assert_int_equal(glow_model_layer_count(NULL), 0);
  assert_int_equal(glow_model_latent_block_count(NULL), 0);
  assert_int_equal(glow_model_tensor_count(NULL), 0);
  assert_int_equal(glow_model_parameter_count(NULL), 0);
  assert_int_equal(glow_model_bytes(NULL), 0);
  assert_int_equal(glow_model_initialised(NULL), 0);
  assert_null(glow_model_parameters(NULL));
  assert_null(glow_model_parameters_mutable(NULL));
  const int32_t indices[] = {-1, 1000, INT32_MIN, INT32_MAX};
  for (int i = 0; i < 4; i++) {
    assert_null(glow_model_layer_name(b->model, indices[i]));
    assert_null(glow_model_layer_type(b->model, indices[i]));
    BAD(glow_model_latent_block(b->model, indices[i], &offset, &shape));
    BAD(glow_model_tensor(b->model, indices[i], &info));
  }
  assert_null(glow_model_layer_name(NULL, 0));
  assert_null(glow_model_layer_type(NULL, 0));
  BAD(glow_model_latent_block(NULL, 0, &offset, &shape));
  BAD(glow_model_tensor(NULL, 0, &info));
  BAD(glow_model_tensor(b->model, 0, NULL));
  BAD(glow_model_find_tensor(NULL, "prior.mean", &info));
  BAD(glow_model_find_tensor(b->model, NULL, &info));
  BAD(glow_model_find_tensor(b->model, "prior.mean", NULL));
  REFUSED(glow_model_find_tensor(b->model, "no.such", &info), GLOW_E_NOT_FOUND,
          "the model has no tensor 'no.such'");
  BAD(glow_model_get_tensor(NULL, "prior.mean", &value, 1));
  BAD(glow_model_get_tensor(b->model, NULL, &value, 1));
  BAD(glow_model_get_tensor(b->model, "prior.mean", NULL, 16));
  BAD(glow_model_get_tensor(b->model, "prior.mean", &value, 1));
  BAD(glow_model_set_tensor(NULL, "prior.mean", &value, 1));
  REFUSED(glow_model_set_tensor(b->model, "no.such", &value, 1), GLOW_E_NOT_FOUND, "'no.such'");
  BAD(glow_model_set_tensor(b->model, "prior.mean", NULL, 16));
  BAD(glow_model_set_tensor(b->model, "prior.mean", &value, -1));
  BAD(glow_model_prepare(NULL));
  BAD(glow_model_set_initialised(NULL));
  if (helper_has_files()) {
    BAD(glow_model_save(NULL, "x"));
    BAD(glow_model_save(b->model, NULL));
  }
  /* None of these has touched the model: it still runs. */
  OK(glow_workspace_log_prob(b->ws, b->x, NULL, 1, NULL));
}

static void test_null_passes(void **state) {
  bench *b = *state;
  glow_workspace *ws = NULL;
  const char *layer = NULL;
  uint64_t bytes;
  BAD(glow_workspace_plan_bytes(NULL, NULL, &bytes));
  BAD(glow_workspace_plan_bytes(b->model, NULL, NULL));
  BAD(glow_workspace_create(NULL, NULL, &ws));
  BAD(glow_workspace_create(b->model, NULL, NULL));
  BAD(glow_workspace_initialise(NULL, b->model, b->x, NULL, 1));
  BAD(glow_workspace_initialise(b->ws, NULL, b->x, NULL, 1));
  BAD(glow_workspace_initialise(b->ws, b->model, NULL, NULL, 1));
  BAD(glow_workspace_initialise(b->ws, b->model, b->x, NULL, 0));
  BAD(glow_workspace_initialise(b->ws, b->model, b->x, NULL, INT64_MAX));
  BAD(helper_forward(NULL, b->x, NULL, 1, GLOW_LATENTS_RAW, NULL, NULL, NULL));
  BAD(helper_forward(b->ws, NULL, NULL, 1, GLOW_LATENTS_RAW, NULL, NULL, NULL));
  OK(helper_forward(b->ws, b->x, NULL, 1, 0, NULL, NULL, NULL)); /* raw */
  BAD(helper_forward(b->ws, b->x, NULL, 1, 3, NULL, NULL, NULL));
  BAD(helper_forward(b->ws, b->x, NULL, 1, GLOW_LATENTS_RAW - 1, NULL, NULL, NULL));
  glow_forward_options forward = GLOW_FORWARD_OPTIONS_INIT;
  forward.evaluate = 2;
  BAD(glow_workspace_forward(b->ws, b->x, 1, &forward));
  BAD(glow_workspace_log_prob(NULL, b->x, NULL, 1, NULL));
  BAD(helper_inverse(NULL, b->x, GLOW_LATENTS_RAW, NULL, 1, b->x, NULL));
  BAD(helper_inverse(b->ws, NULL, GLOW_LATENTS_RAW, NULL, 1, b->x, NULL));
  BAD(helper_inverse(b->ws, b->x, GLOW_LATENTS_RAW, NULL, 1, NULL, NULL));
  BAD(helper_inverse(b->ws, b->x, 7, NULL, 1, b->x, NULL));
  glow_inverse_options inverse = GLOW_INVERSE_OPTIONS_INIT;
  inverse.store = 2;
  BAD(glow_workspace_inverse(b->ws, b->x, 1, &inverse, b->x));
  BAD(helper_sample(NULL, NULL, NULL, 1, b->x));
  BAD(helper_sample(b->ws, NULL, NULL, 1, NULL));
  BAD(glow_workspace_backward(NULL, NULL));
  BAD(glow_workspace_backward(b->ws, NULL));
  BAD(glow_workspace_find_nonfinite(NULL, b->x, NULL, 1, &layer));
  BAD(glow_workspace_find_nonfinite(b->ws, NULL, NULL, 1, &layer));
  BAD(glow_workspace_find_nonfinite(b->ws, b->x, NULL, 1, NULL));
  assert_null(glow_workspace_gradients(NULL));
  assert_int_not_equal(glow_workspace_zero_gradients(NULL), GLOW_OK);
  assert_int_equal(glow_workspace_bytes(NULL), 0);
}

static void test_null_training(void **state) {
  bench *b = *state;
  glow_optimizer *optimizer = NULL;
  glow_trainer *trainer = NULL;
  glow_batch batch = GLOW_BATCH_INIT;
  glow_optimizer_options options = GLOW_OPTIMIZER_OPTIONS_INIT;
  const glow_run_options run = GLOW_RUN_OPTIONS_INIT;
  uint8_t pixels[256] = {0};
  batch.count = 1;
  BAD(glow_optimizer_create(NULL, NULL, &optimizer));
  BAD(glow_optimizer_create(b->model, NULL, NULL));
  BAD(glow_optimizer_set_rate_factor(NULL, "", 1));
  BAD(glow_trainer_set_loss(NULL, NULL, NULL));
  BAD(glow_trainer_set_gradient_hook(NULL, NULL, NULL));
  BAD(glow_trainer_set_rate_factor(NULL, "", 1));
  BAD(glow_trainer_set_rate_factor(b->trainer, NULL, 1));
  assert_true(isnan(glow_optimizer_rate_factor(NULL, "")));
  assert_true(isnan(glow_trainer_rate_factor(NULL, "")));
  assert_true(isnan(glow_trainer_rate_factor(b->trainer, NULL)));
  BAD(glow_optimizer_step(NULL, b->model, b->x, 0.1));
  OK(glow_optimizer_create(b->model, NULL, &optimizer));
  BAD(glow_optimizer_set_step_count(NULL, 1));
  BAD(glow_optimizer_get_options(NULL, &options));
  BAD(glow_optimizer_get_options(optimizer, NULL));
  assert_null(glow_optimizer_state(NULL, 0));
  BAD(glow_optimizer_step(optimizer, NULL, b->x, 0.1));
  BAD(glow_optimizer_step(optimizer, b->model, NULL, 0.1));
  BAD(glow_optimizer_step(optimizer, b->model, glow_model_parameters(b->model), NAN));
  assert_int_equal(glow_optimizer_step_count(optimizer), 0);
  assert_int_equal(glow_optimizer_step_count(NULL), 0);
  glow_optimizer_destroy(&optimizer);
  BAD(glow_trainer_create(NULL, NULL, &trainer));
  BAD(glow_trainer_create(b->model, NULL, NULL));
  BAD(glow_trainer_initialise(NULL, b->x, NULL, 1));
  BAD(glow_trainer_initialise(b->trainer, NULL, NULL, 1));
  BAD(glow_trainer_initialise_pixels(b->trainer, NULL, NULL, 1));
  BAD(glow_trainer_initialise_pixels(b->trainer, pixels, NULL, 0));
  BAD(glow_trainer_step(NULL, b->x, NULL, 1, NULL));
  BAD(glow_trainer_step(b->trainer, NULL, NULL, 1, NULL));
  BAD(glow_trainer_step(b->trainer, b->x, NULL, 0, NULL));
  BAD(glow_trainer_step_pixels(b->trainer, NULL, NULL, 1, NULL));
  BAD(glow_trainer_step_pixels(b->trainer, pixels, NULL, -1, NULL));
  BAD(glow_trainer_step_batch(NULL, &batch, NULL));
  BAD(glow_trainer_step_batch(b->trainer, NULL, NULL));
  BAD(glow_trainer_step_batch(b->trainer, &batch, NULL)); /* no samples */
  BAD(glow_trainer_initialise_batch(NULL, &batch));
  BAD(glow_trainer_initialise_batch(b->trainer, NULL));
  BAD(glow_trainer_initialise_batch(b->trainer, &batch));
  BAD(glow_trainer_run(NULL, &run, NULL));
  BAD(glow_trainer_run(b->trainer, NULL, NULL));
  BAD(glow_trainer_run(b->trainer, &run, NULL)); /* nobody gives batches */
  BAD(glow_trainer_use_average(NULL, 1));
  BAD(glow_trainer_use_average(b->trainer, 2));
  assert_int_equal(glow_trainer_step_count(NULL), 0);
  assert_null(glow_trainer_workspace(NULL));
  BAD(glow_model_dequantise(NULL, pixels, 1, 0, 0, b->x));
  BAD(glow_model_dequantise(b->model, NULL, 1, 0, 0, b->x));
  BAD(glow_model_dequantise(b->model, pixels, 1, 0, 0, NULL));
  BAD(glow_model_quantise(b->model, NULL, 1, pixels));
  BAD(glow_model_quantise(b->model, b->x, 1, NULL));
  assert_true(isnan(glow_schedule_rate(NULL, 0)));
}

static void test_null_objectives(void **state) {
  bench *b = *state;
  const double one = 1.0;
  double mean;
  glow_batch batch = GLOW_BATCH_INIT;
  glow_target target = GLOW_TARGET_INIT;
  glow_importance estimate = GLOW_IMPORTANCE_INIT;
  glow_evaluation evaluation = GLOW_EVALUATION_INIT;
  BAD(glow_importance_estimate(NULL, &one, 1, NULL, &estimate));
  BAD(glow_importance_estimate(&one, &one, 1, NULL, NULL));
  BAD(glow_importance_estimate(&one, &one, 0, NULL, &estimate));
  BAD(glow_importance_mean(NULL, &one, 1, &mean, NULL));
  BAD(glow_importance_mean(&one, &one, 1, NULL, NULL));
  BAD(glow_workspace_importance(NULL, &target, NULL, 1, &estimate));
  BAD(glow_workspace_importance(b->ws, &target, NULL, 1, &estimate)); /* no density */
  BAD(glow_workspace_importance(b->ws, &target, NULL, 1, NULL));
  BAD(glow_trainer_step_target(NULL, &target, 1, NULL, NULL));
  BAD(glow_trainer_step_target(b->trainer, NULL, 1, NULL, NULL));
  BAD(glow_evaluate(NULL, &batch, 0, &evaluation));
  BAD(glow_evaluate(b->ws, NULL, 0, &evaluation));
  BAD(glow_evaluate(b->ws, &batch, 0, NULL));
  BAD(glow_evaluate(b->ws, &batch, 0, &evaluation)); /* no samples */
}

static void test_null_collectives(void **state) {
  bench *b = *state;
  glow_collective collective = GLOW_COLLECTIVE_INIT;
  glow_evaluation evaluation = GLOW_EVALUATION_INIT;
  BAD(glow_trainer_set_collective(NULL, &collective, NULL));
  BAD(glow_trainer_set_collective(b->trainer, &collective, NULL)); /* no functions */
  BAD(glow_evaluation_join(NULL, b->model, &collective));
  BAD(glow_evaluation_join(&evaluation, NULL, &collective));
  BAD(glow_evaluation_join(&evaluation, b->model, NULL));
  BAD(glow_evaluation_join(&evaluation, b->model, &collective)); /* no functions */
  collective.size = 0;
  BAD(glow_trainer_set_collective(b->trainer, &collective, NULL));
  collective.size = 2;
  collective.rank = 2;
  BAD(glow_trainer_set_collective(b->trainer, &collective, NULL));
  collective.rank = -1;
  BAD(glow_trainer_set_collective(b->trainer, &collective, NULL));
  OK(glow_trainer_set_collective(b->trainer, NULL, NULL));
}

static void test_null_rest(void **state) {
  bench *b = *state;
  glow_rng *rng = NULL;
  int32_t index[4];
  OK(glow_rng_create(b->context, 1, &rng));
  BAD(glow_rng_uniform(NULL, b->x, 1));
  BAD(glow_rng_uniform(rng, NULL, 1));
  BAD(glow_rng_normal(rng, b->x, -1));
  BAD(glow_rng_permutation(rng, NULL, 4));
  BAD(glow_rng_permutation(NULL, index, 4));
  BAD(glow_rng_set_position(NULL, 1));
  assert_int_equal(glow_rng_position(NULL), 0);
  assert_int_equal(glow_rng_position(rng), 0);
  glow_rng_destroy(&rng);
  assert_int_equal(glow_context_workers(NULL), 0);
  assert_null(glow_context_kernels(NULL));
  assert_null(glow_kernels_name(1000));
  assert_null(glow_allocate(NULL, 8));
  glow_release(NULL, NULL);
  glow_release(b->context, NULL);
  assert_string_equal(glow_status_name(12345), "GLOW_E_UNKNOWN");
  assert_non_null(glow_status_text(-12345));
  glow_setup_pop(NULL);
  assert_null(glow_setup_context(NULL));
  BAD(glow_setup_push(NULL, "a"));
  BAD(glow_setup_scratch(NULL, 1, 1, index));
  BAD(glow_setup_derived(NULL, 1));
  const glow_shape shape = {1, 1, 1};
  BAD(glow_setup_tensor(NULL, "a", GLOW_TYPE_F32, 1, 1, &shape.height, index));
  BAD(glow_setup_backward_scratch(NULL, 1, 1, index));
  BAD(glow_setup_block_scratch(NULL, 1, 1, index));
  BAD(glow_setup_packed(NULL, 1, 0, index));
  BAD(glow_setup_worker_scratch(NULL, 1, index));
  BAD(glow_setup_stored(NULL, 1, 1, index));
  BAD(glow_setup_running_average(NULL, "a", 1, &shape.height, 0.1, index));
  BAD(glow_setup_weights(NULL, "a", 1, &shape.height, index));
  BAD(glow_setup_work(NULL, 1, 1));
  BAD(glow_setup_prepare_work(NULL, 1));
  BAD(glow_setup_latents(NULL, &shape));
  BAD(glow_setup_latent_density(NULL, GLOW_DENSITY_GAUSSIAN));
  BAD(glow_setup_unlabelled(NULL));
  BAD(glow_setup_logits(NULL, 1));
  BAD(glow_setup_condition(NULL, &shape));
  BAD(glow_setup_net(NULL, 0, &shape, 1));
  assert_int_equal(glow_setup_net_rounds(NULL, 0), 0);
  BAD(glow_setup_labels(NULL, 1));
  BAD(glow_setup_initialise(NULL, 1, 1));
  assert_null(glow_call_tensor(NULL, 0));
  assert_null(glow_call_tensor_mutable(NULL, 0));
  assert_null(glow_call_worker_scratch(NULL, 0, 0));
  assert_null(glow_call_derived_mutable(NULL));
  assert_null(glow_call_initialise_state(NULL));
  assert_null(glow_call_observed(NULL, 0));
  assert_null(glow_call_labels(NULL));
  assert_null(glow_call_latents(NULL));
  assert_null(glow_call_condition(NULL, 0));
  assert_null(glow_call_condition_gradient(NULL, 0));
  assert_null(glow_call_context(NULL));
  assert_string_equal(glow_call_layer_name(NULL), "");
  assert_int_equal(glow_call_net_has_round(NULL, 0, 0), 0);
  OK(glow_call_net_initialise(NULL, 0, 0, GLOW_INITIALISE_BEGIN, NULL, 0)); /* no round of it */
  glow_call_fail(NULL, 3, "no %s", "luck"); /* nothing to be noted in */
  assert_null(glow_call_gradient(NULL, 0));
  assert_null(glow_call_scratch(NULL, 0));
  assert_null(glow_call_stored(NULL, 0));
  assert_null(glow_call_derived(NULL));
  assert_int_equal(glow_call_sample_count(NULL), 0);
}

/* ---- nonsense -------------------------------------------------------------------------------- */

static void test_bad_contexts(void **state) {
  glow_context *context = NULL;
  glow_context_options options = GLOW_CONTEXT_OPTIONS_INIT;
  glow_allocator allocator = GLOW_ALLOCATOR_INIT;
  glow_executor executor = GLOW_EXECUTOR_INIT;
  (void)state;
  options.kernels = "no such";
  REFUSED(glow_context_create(&options, &context), GLOW_E_UNSUPPORTED, "no such");
  options.kernels = NULL;
  options.reserved = 1;
  BAD(glow_context_create(&options, &context));
  options.reserved = 0;
  options.allocator = &allocator;
  BAD(glow_context_create(&options, &context));
  options.allocator = NULL;
  options.executor = &executor;
  BAD(glow_context_create(&options, &context));
  options.executor = NULL;
  options.threads = UINT32_MAX;
  BAD(glow_context_create(&options, &context));
  assert_null(context);
}

static void bad_preset(const bench *b, glow_glow_options o, glow_status status, const char *words) {
  glow_model *model = NULL;
  REFUSED(glow_model_create_glow(b->context, &o, &model), status, words);
  assert_null(model);
}

static void test_bad_presets(void **state) {
  bench *b = *state;
  glow_glow_options o = helper_small_glow();
#define BAD_FIELD(field, value, status, words)                                                     \
  do {                                                                                             \
    o = helper_small_glow();                                                                       \
    o.field = value;                                                                               \
    bad_preset(b, o, status, words);                                                               \
  } while (0)
  BAD_FIELD(levels, 0, GLOW_E_ARGUMENT, "levels");
  BAD_FIELD(levels, -3, GLOW_E_ARGUMENT, "levels");
  BAD_FIELD(levels, 64, GLOW_E_ARGUMENT, "levels");
  BAD_FIELD(levels, 4, GLOW_E_SHAPE, "2^levels = 16");
  BAD_FIELD(depth, 0, GLOW_E_ARGUMENT, "depth");
  BAD_FIELD(depth, INT32_MAX, GLOW_E_ARGUMENT, "depth");
  BAD_FIELD(hidden, 0, GLOW_E_ARGUMENT, "hidden");
  BAD_FIELD(hidden, -1, GLOW_E_ARGUMENT, "hidden");
  BAD_FIELD(hidden, INT32_MAX, GLOW_E_ARGUMENT, "hidden");
  BAD_FIELD(permutation, 0, GLOW_E_ARGUMENT, "permutation");
  BAD_FIELD(permutation, 5, GLOW_E_ARGUMENT, "permutation");
  BAD_FIELD(permutation, GLOW_COUPLING_AFFINE, GLOW_E_ARGUMENT, "permutation");
  BAD_FIELD(coupling, 3, GLOW_E_ARGUMENT, "coupling");
  BAD_FIELD(coupling, GLOW_COUPLING_SPLINE, GLOW_E_ARGUMENT, "affine (301), additive (302)");
  BAD_FIELD(scale, 0, GLOW_E_ARGUMENT, "scale");
  BAD_FIELD(floor, 0.0, GLOW_E_ARGUMENT, "floor");
  BAD_FIELD(floor, NAN, GLOW_E_ARGUMENT, "floor");
  BAD_FIELD(net_actnorm, 2, GLOW_E_ARGUMENT, "actnorm");
  BAD_FIELD(learn_top, -1, GLOW_E_ARGUMENT, "learn_top");
  BAD_FIELD(classes, -1, GLOW_E_ARGUMENT, "classes");
  BAD_FIELD(border, 2, GLOW_E_ARGUMENT, "border");
  BAD_FIELD(border, -1, GLOW_E_ARGUMENT, "border");
  BAD_FIELD(spatial_top, 2, GLOW_E_ARGUMENT, "spatial");
  BAD_FIELD(classifier, 1, GLOW_E_ARGUMENT, "classes is 0");
  BAD_FIELD(unstandardised, 2, GLOW_E_ARGUMENT, "unstandardised is 2");
  BAD_FIELD(bits, 9, GLOW_E_ARGUMENT, "bits");
  BAD_FIELD(bits, -1, GLOW_E_ARGUMENT, "bits");
  BAD_FIELD(input.height, 10, GLOW_E_SHAPE, "height 10");
  BAD_FIELD(input.width, 0, GLOW_E_ARGUMENT, "input.width is 0; it must be 1 to");
  BAD_FIELD(input.channels, 0, GLOW_E_ARGUMENT, "input.channels is 0; it must be 1 to");
  BAD_FIELD(input.channels, -4, GLOW_E_ARGUMENT, "input.channels is -4; it must be 1 to");
  BAD_FIELD(input.height, (int64_t)1 << 62, GLOW_E_ARGUMENT, "input.height is 4611686018427387904");
  BAD_FIELD(input, ((glow_shape){1 << 30, 1 << 30, 4}), GLOW_E_LIMIT, "too large");
#undef BAD_FIELD
}

/* Adds a layer of the helpers' table to a builder over this shape. */
static void bad_layer(const bench *b, const char *layer, glow_shape shape, const char *words) {
  glow_builder *builder = NULL;
  glow_layer *made = NULL;
  for (int32_t i = 0; i < helper_layer_count; i++)
    if (strcmp(helper_layers[i].name, layer) == 0)
      OK(helper_create_layer(b->context, &helper_layers[i], 4, &made));
  assert_non_null(made);
  OK(glow_builder_create(b->context, &shape, NULL, &builder));
  REFUSED(glow_builder_add(builder, "part", &made), GLOW_E_SHAPE, words);
  assert_non_null(strstr(glow_last_error(), "'part'"));
  assert_null(made);
  OK(glow_actnorm_create(b->context, NULL, &made)); /* a failed builder stays failed */
  REFUSED(glow_builder_add(builder, "other", &made), GLOW_E_STATE, "failed");
  glow_builder_destroy(&builder);
}

static void test_bad_shapes(void **state) {
  bench *b = *state;
  const glow_shape shapes[] = {{0, 4, 4}, {4, -1, 4}, {4, 4, 0}, {INT64_MIN, 1, 1}};
  glow_builder *builder = NULL;
  bad_layer(b, "squeeze", (glow_shape){3, 4, 2}, "height 3");
  bad_layer(b, "squeeze", (glow_shape){4, 1, 2}, "width 1");
  bad_layer(b, "split", (glow_shape){4, 4, 3}, "even number of channels, not 3");
  bad_layer(b, "coupling sigmoid", (glow_shape){4, 4, 1}, "needs two channels or more");
  for (int i = 0; i < 4; i++) {
    BAD_SHAPE(glow_builder_create(b->context, &shapes[i], NULL, &builder));
    assert_null(builder);
  }
}

static glow_builder *new_builder(const bench *b, glow_context *context, const char *name,
                                 glow_status status) {
  const glow_shape shape = {4, 4, 2};
  glow_builder *builder = NULL;
  glow_layer *layer = NULL;
  OK(glow_builder_create(b->context, &shape, NULL, &builder));
  OK(glow_actnorm_create(b->context, NULL, &layer));
  OK(glow_builder_add(builder, "first", &layer));
  OK(glow_actnorm_create(context, NULL, &layer));
  REFUSED(glow_builder_add(builder, name, &layer), status, "");
  assert_null(layer);
  return builder;
}

static void test_bad_names(void **state) {
  bench *b = *state;
  char long_name[300];
  const char *names[] = {NULL, "", "two words", "tab\t", "delete\x7f", "first", long_name};
  memset(long_name, 'a', sizeof long_name - 1);
  long_name[sizeof long_name - 1] = 0;
  for (int i = 0; i < 7; i++) {
    glow_builder *builder = new_builder(b, b->context, names[i], GLOW_E_ARGUMENT);
    glow_model *model = (glow_model *)b;
    REFUSED(glow_builder_finish(&builder, &model), GLOW_E_STATE, "failed");
    assert_null(builder);
    assert_null(model);
  }
}

/* Parts of different contexts do not go together; nor does a model without a prior, or past one. */
static void test_bad_models(void **state) {
  bench *b = *state;
  const glow_shape shape = {4, 4, 2};
  glow_context *other = helper_context(1, NULL, NULL);
  glow_builder *builder = new_builder(b, other, "second", GLOW_E_ARGUMENT);
  glow_model *model = NULL;
  glow_layer *layer = NULL;
  glow_builder_destroy(&builder);
  OK(glow_builder_create(b->context, &shape, NULL, &builder));
  OK(glow_actnorm_create(b->context, NULL, &layer));
  OK(glow_builder_add(builder, "first", &layer));
  REFUSED(glow_builder_finish(&builder, &model), GLOW_E_SHAPE, "prior");
  assert_null(builder);
  OK(glow_builder_create(b->context, &shape, NULL, &builder));
  OK(glow_prior_create(b->context, NULL, &layer));
  OK(glow_builder_add(builder, "prior", &layer));
  OK(glow_actnorm_create(b->context, NULL, &layer));
  REFUSED(glow_builder_add(builder, "late", &layer), GLOW_E_SHAPE, "'prior'");
  glow_builder_destroy(&builder);
  glow_context_destroy(&other);
}

static void test_foreign_net(void **state) {
  bench *b = *state;
  glow_context *other = helper_context(1, NULL, NULL);
  glow_layer *layer = NULL;
  glow_net *net = NULL;
  OK(glow_conv_net_create(other, NULL, &net));
  REFUSED(glow_coupling_create(b->context, NULL, &net, &layer), GLOW_E_ARGUMENT, "another context");
  assert_null(net);
  assert_null(layer);
  glow_context_destroy(&other);
}

static void test_bad_workspaces(void **state) {
  bench *b = *state;
  glow_workspace_options options = GLOW_WORKSPACE_OPTIONS_INIT;
  glow_workspace *ws = NULL;
  options.batch = 0;
  REFUSED(glow_workspace_create(b->model, &options, &ws), GLOW_E_ARGUMENT, "batch is 0");
  options.batch = 1;
  options.mode = 5;
  REFUSED(glow_workspace_create(b->model, &options, &ws), GLOW_E_ARGUMENT, "mode is 5");
  options.mode = GLOW_MODE_STORED;
  options.cache_packed = -1;
  BAD(glow_workspace_create(b->model, &options, &ws));
  assert_null(ws);
  glow_model *other = helper_glow(b->context, NULL, 1);
  REFUSED(glow_workspace_initialise(b->ws, other, b->x, NULL, 1), GLOW_E_ARGUMENT, "another model");
  glow_model_destroy(&other);
}

#define TEST(name) cmocka_unit_test_setup_teardown(test_##name, open_bench, close_bench)

int main(void) {
  const struct CMUnitTest tests[] = {
      TEST(destroy_nothing),  TEST(null_makers), TEST(null_coupling), TEST(bad_spline_couplings),
      TEST(null_builder),     TEST(null_model),  TEST(null_passes),   TEST(null_training),
      TEST(null_builder),     TEST(null_model),  TEST(null_passes),   TEST(null_objectives),
      TEST(null_collectives), TEST(null_rest),   TEST(bad_contexts),  TEST(bad_presets),
      TEST(bad_shapes),       TEST(bad_names),   TEST(bad_models),    TEST(foreign_net),
      TEST(bad_workspaces),

  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
