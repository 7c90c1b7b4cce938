/* The rules of struct_size, for each struct of options, each table that a caller fills, and the
 * structs that the library fills. SPDX-License-Identifier: MIT */
#include "../support/model_helpers.h"
#include "../support/one_rank.h"

#include <glow/sys/check.h>

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

/* A function that reads a struct; undoes what it made. */
typedef glow_status (*reader)(const bench *b, const void *options);

#define LAYER_READER(name)                                                                         \
  static glow_status read_##name(const bench *b, const void *options) {                            \
    glow_layer *layer = NULL;                                                                      \
    glow_status status = glow_##name##_create(b->context, options, &layer);                        \
    glow_layer_destroy(&layer);                                                                    \
    return status;                                                                                 \
  }
LAYER_READER(actnorm)
LAYER_READER(invconv)
LAYER_READER(permute)
LAYER_READER(scaling)
LAYER_READER(prior)
LAYER_READER(batchnorm)
LAYER_READER(logit)
LAYER_READER(standardise)
LAYER_READER(split)
LAYER_READER(squeeze)
LAYER_READER(flatten)

static glow_status read_check(const bench *b, const void *options) {
  glow_layer *layer = NULL;
  OK(glow_permute_create(b->context, NULL, &layer));
  return glow_layer_check(b->context, &layer, options);
}

static glow_status read_coupling(const bench *b, const void *options) {
  glow_layer *layer = NULL;
  glow_net *net = NULL;
  OK(glow_conv_net_create(b->context, NULL, &net));
  glow_status status = glow_coupling_create(b->context, options, &net, &layer);
  glow_layer_destroy(&layer);
  return status;
}

static glow_status read_res_net(const bench *b, const void *options) {
  glow_net *net = NULL;
  glow_status status = glow_res_net_create(b->context, options, &net);
  glow_net_destroy(&net);
  return status;
}

static glow_status read_realnvp(const bench *b, const void *options) {
  glow_model *model = NULL;
  glow_status status = glow_model_create_realnvp(b->context, options, &model);
  glow_model_destroy(&model);
  return status;
}

static glow_status read_conv_net(const bench *b, const void *options) {
  glow_net *net = NULL;
  glow_status status = glow_conv_net_create(b->context, options, &net);
  glow_net_destroy(&net);
  return status;
}

static glow_status read_spline_coupling(const bench *b, const void *options) {
  glow_layer *layer = NULL;
  glow_net *net = NULL;
  OK(glow_mlp_net_create(b->context, NULL, &net));
  glow_status status = glow_spline_coupling_create(b->context, options, &net, &layer);
  glow_layer_destroy(&layer);
  return status;
}

static glow_status read_mlp_net(const bench *b, const void *options) {
  glow_net *net = NULL;
  glow_status status = glow_mlp_net_create(b->context, options, &net);
  glow_net_destroy(&net);
  return status;
}

static glow_status read_context(const bench *b, const void *options) {
  glow_context *context = NULL;
  (void)b;
  glow_status status = glow_context_create(options, &context);
  glow_context_destroy(&context);
  return status;
}

static glow_status read_allocator(const bench *b, const void *table) {
  glow_context_options options = GLOW_CONTEXT_OPTIONS_INIT;
  options.allocator = table;
  return read_context(b, &options);
}

static glow_status read_executor(const bench *b, const void *table) {
  glow_context_options options = GLOW_CONTEXT_OPTIONS_INIT;
  options.executor = table;
  return read_context(b, &options);
}

static glow_status read_builder(const bench *b, const void *options) {
  const glow_shape shape = {4, 4, 2};
  glow_builder *builder = NULL;
  glow_status status = glow_builder_create(b->context, &shape, options, &builder);
  glow_builder_destroy(&builder);
  return status;
}

static glow_status read_glow(const bench *b, const void *options) {
  glow_model *model = NULL;
  glow_status status = glow_model_create_glow(b->context, options, &model);
  glow_model_destroy(&model);
  return status;
}

static glow_status read_nice(const bench *b, const void *options) {
  glow_model *model = NULL;
  glow_status status = glow_model_create_nice(b->context, options, &model);
  glow_model_destroy(&model);
  return status;
}

static glow_status read_vector_flow(const bench *b, const void *options) {
  glow_model *model = NULL;
  glow_status status = glow_model_create_vector_flow(b->context, options, &model);
  glow_model_destroy(&model);
  return status;
}

static glow_status read_workspace(const bench *b, const void *options) {
  glow_workspace *ws = NULL;
  glow_status status = glow_workspace_create(b->model, options, &ws);
  glow_workspace_destroy(&ws);
  return status;
}

static glow_status read_forward(const bench *b, const void *options) {
  return glow_workspace_forward(b->ws, b->x, 1, options);
}

static glow_status read_inverse(const bench *b, const void *options) {
  float x[256];
  return glow_workspace_inverse(b->ws, b->x, 1, options, x);
}

static glow_status read_sample(const bench *b, const void *options) {
  return glow_workspace_sample(b->ws, 1, options, (float *)(uintptr_t)b->x);
}

static glow_status read_backward(const bench *b, const void *options) {
  OK(helper_forward(b->ws, b->x, NULL, 1, GLOW_LATENTS_RAW, NULL, NULL, NULL));
  return glow_workspace_backward(b->ws, options);
}

static glow_status read_optimizer(const bench *b, const void *options) {
  glow_optimizer *optimizer = NULL;
  glow_status status = glow_optimizer_create(b->model, options, &optimizer);
  glow_optimizer_destroy(&optimizer);
  return status;
}

static glow_status read_trainer(const bench *b, const void *options) {
  glow_trainer *trainer = NULL;
  glow_status status = glow_trainer_create(b->model, options, &trainer);
  glow_trainer_destroy(&trainer);
  return status;
}

static glow_status read_schedule(const bench *b, const void *options) {
  glow_trainer_options o = GLOW_TRAINER_OPTIONS_INIT;
  o.schedule = options;
  return read_trainer(b, &o);
}

static glow_status read_batch(const bench *b, const void *batch) {
  return glow_trainer_step_batch(b->trainer, batch, NULL);
}

static glow_status fail_batch(int64_t step, glow_batch *batch, void *payload) {
  (void)step, (void)batch, (void)payload;
  return GLOW_E_IO;
}

static glow_status read_run(const bench *b, const void *options) {
  return glow_trainer_run(b->trainer, options, NULL);
}

/* A struct with room behind it for what a newer program might set. */
static glow_status read_sized(const bench *b, reader read, const void *options, size_t bytes,
                              size_t struct_size, unsigned char tail) {
  _Alignas(16) unsigned char longer[1024] = {0};
  assert_true(bytes + 16 <= sizeof longer);
  memcpy(longer, options, bytes);
  memcpy(longer, &struct_size, sizeof struct_size);
  longer[bytes + 7] = tail;
  return read(b, longer);
}

/* `smallest`: the size of the struct as it was first published. Too short, or nonsense: refused.
 * Longer: fine when the rest is zero; else refused for options, whose meaning would be lost, and
 * fine for tables of functions. */
static void check_size(const bench *b, const char *name, reader read, const void *options,
                       size_t bytes, size_t smallest, bool table) {
  OK(read_sized(b, read, options, bytes, bytes, 0));
  OK(read_sized(b, read, options, bytes, bytes, 1)); /* not part of it */
  OK(read_sized(b, read, options, bytes, bytes + 16, 0));
  OK(read_sized(b, read, options, bytes, smallest, 0));
  const size_t nonsense[] = {0, 1, sizeof(size_t), smallest - 1, SIZE_MAX, 1u << 30};
  for (int i = 0; i < 6; i++)
    if (nonsense[i] != smallest) /* of a struct that is nothing but its size */
      REFUSED(read_sized(b, read, options, bytes, nonsense[i], 0), GLOW_E_ARGUMENT, name);
  if (table)
    OK(read_sized(b, read, options, bytes, bytes + 16, 1));
  else
    REFUSED(read_sized(b, read, options, bytes, bytes + 16, 1), GLOW_E_ARGUMENT, name);
}

static void run_serially(void *payload, glow_task_fn fn, void *arg, uint32_t tasks) {
  (void)payload;
  for (uint32_t t = 0; t < tasks; t++)
    fn(arg, t, 0);
}

static void test_struct_sizes(void **state) {
  bench *b = *state;
  helper_memory memory = {0};
#define CHECK(type, read, ...)                                                                     \
  do {                                                                                             \
    const type value = __VA_ARGS__;                                                                \
    check_size(b, #type, read, &value, sizeof value, sizeof value, false);                         \
  } while (0)
  CHECK(glow_context_options, read_context, GLOW_CONTEXT_OPTIONS_INIT);
  CHECK(glow_actnorm_options, read_actnorm, GLOW_ACTNORM_OPTIONS_INIT);
  CHECK(glow_batchnorm_options, read_batchnorm, GLOW_BATCHNORM_OPTIONS_INIT);
  CHECK(glow_logit_options, read_logit, GLOW_LOGIT_OPTIONS_INIT);
  CHECK(glow_standardise_options, read_standardise, GLOW_STANDARDISE_OPTIONS_INIT);
  CHECK(glow_invconv_options, read_invconv, GLOW_INVCONV_OPTIONS_INIT);
  CHECK(glow_permute_options, read_permute, GLOW_PERMUTE_OPTIONS_INIT);
  CHECK(glow_scaling_options, read_scaling, GLOW_SCALING_OPTIONS_INIT);
  CHECK(glow_spline_coupling_options, read_spline_coupling, GLOW_SPLINE_COUPLING_OPTIONS_INIT);
  CHECK(glow_mlp_net_options, read_mlp_net, GLOW_MLP_NET_OPTIONS_INIT);
  CHECK(glow_split_options, read_split, GLOW_SPLIT_OPTIONS_INIT);
  CHECK(glow_squeeze_options, read_squeeze, GLOW_SQUEEZE_OPTIONS_INIT);
  CHECK(glow_flatten_options, read_flatten, GLOW_FLATTEN_OPTIONS_INIT);
  CHECK(glow_prior_options, read_prior, GLOW_PRIOR_OPTIONS_INIT);
  CHECK(glow_coupling_options, read_coupling, GLOW_COUPLING_OPTIONS_INIT);
  CHECK(glow_res_net_options, read_res_net, GLOW_RES_NET_OPTIONS_INIT);
  CHECK(glow_conv_net_options, read_conv_net, GLOW_CONV_NET_OPTIONS_INIT);
  CHECK(glow_builder_options, read_builder, GLOW_BUILDER_OPTIONS_INIT);
  CHECK(glow_workspace_options, read_workspace, GLOW_WORKSPACE_OPTIONS_INIT);
  CHECK(glow_forward_options, read_forward, GLOW_FORWARD_OPTIONS_INIT);
  CHECK(glow_inverse_options, read_inverse, GLOW_INVERSE_OPTIONS_INIT);
  CHECK(glow_sample_options, read_sample, GLOW_SAMPLE_OPTIONS_INIT);
  CHECK(glow_backward_options, read_backward, GLOW_BACKWARD_OPTIONS_INIT);
  CHECK(glow_optimizer_options, read_optimizer, GLOW_OPTIMIZER_OPTIONS_INIT);
  CHECK(glow_trainer_options, read_trainer, GLOW_TRAINER_OPTIONS_INIT);
  CHECK(glow_schedule, read_schedule, GLOW_SCHEDULE_INIT);
  CHECK(glow_check_options, read_check, GLOW_CHECK_OPTIONS_INIT);
#undef CHECK
  const glow_glow_options preset = helper_small_glow();
  check_size(b, "glow_glow_options", read_glow, &preset, sizeof preset, sizeof preset, false);
  glow_realnvp_options realnvp = GLOW_REALNVP_OPTIONS_INIT;
  realnvp.input = (glow_shape){4, 4, 1};
  realnvp.hidden = realnvp.blocks = 1;
  check_size(b, "glow_realnvp_options", read_realnvp, &realnvp, sizeof realnvp, sizeof realnvp,
             false);
  glow_nice_options nice = GLOW_NICE_OPTIONS_INIT;
  nice.hidden = 8;
  check_size(b, "glow_nice_options", read_nice, &nice, sizeof nice, sizeof nice, false);
  const glow_vector_flow_options flow = GLOW_VECTOR_FLOW_OPTIONS_INIT;
  check_size(b, "glow_vector_flow_options", read_vector_flow, &flow, sizeof flow, sizeof flow,
             false);
  glow_batch batch = GLOW_BATCH_INIT;
  batch.count = 1;
  batch.x = b->x;
  check_size(b, "glow_batch", read_batch, &batch, sizeof batch, sizeof batch, false);
  glow_run_options run = GLOW_RUN_OPTIONS_INIT;
  run.next = fail_batch;
  check_size(b, "glow_run_options", read_run, &run, sizeof run, sizeof run, false);
  const glow_allocator allocator = helper_allocator(&memory);
  check_size(b, "glow_allocator", read_allocator, &allocator, sizeof allocator, sizeof allocator,
             true);
  const glow_executor executor = {sizeof executor, 1, 0, run_serially, NULL};
  check_size(b, "glow_executor", read_executor, &executor, sizeof executor, sizeof executor, true);
}

/* Structs that the library fills: never past the caller's size, which stays. */
static void test_filled_structs(void **state) {
  bench *b = *state;
  struct {
    glow_tensor_info info;
    unsigned char after[16];
  } room;
  glow_step_report report = GLOW_STEP_REPORT_INIT;
  memset(&room, 0x5a, sizeof room);
  room.info.struct_size = sizeof room;
  OK(glow_model_tensor(b->model, 0, &room.info));
  assert_int_equal(room.info.struct_size, sizeof room);
  for (size_t i = 0; i < sizeof room.after; i++)
    assert_int_equal(room.after[i], 0x5a);
  assert_string_equal(room.info.name, "level0.step0.actnorm.bias");
  room.info.struct_size = sizeof room.info - 1;
  REFUSED(glow_model_tensor(b->model, 0, &room.info), GLOW_E_ARGUMENT, "glow_tensor_info");
  report.struct_size = 8; /* known before anything changes */
  REFUSED(glow_trainer_step(b->trainer, b->x, NULL, 1, &report), GLOW_E_ARGUMENT,
          "glow_step_report");
  assert_int_equal(glow_trainer_step_count(b->trainer), 0);
}

static glow_status fill_density(const float *x, int64_t first, int64_t count, double *log_p,
                                float *gradient, void *payload) {
  (void)x, (void)first, (void)gradient, (void)payload;
  for (int64_t n = 0; n < count; n++)
    log_p[n] = -1.0;
  return GLOW_OK;
}

static glow_status read_target(const bench *b, const void *target) {
  glow_importance out = GLOW_IMPORTANCE_INIT;
  return glow_workspace_importance(b->ws, target, NULL, 1, &out);
}

static glow_status read_evaluation(const bench *b, const void *evaluation) {
  glow_batch batch = GLOW_BATCH_INIT;
  batch.count = 1;
  batch.x = b->x;
  return glow_evaluate(b->ws, &batch, 0, (glow_evaluation *)(uintptr_t)evaluation);
}

static glow_status read_collective(const bench *b, const void *table) {
  return glow_trainer_set_collective(b->trainer, table, NULL);
}

static glow_status read_collective_options(const bench *b, const void *options) {
  const glow_collective collective = one_rank();
  return glow_trainer_set_collective(b->trainer, &collective, options);
}

static void test_collectives(void **state) {
  bench *b = *state;
  const glow_collective collective = one_rank();
  const glow_collective_options options = GLOW_COLLECTIVE_OPTIONS_INIT;
  check_size(b, "glow_collective", read_collective, &collective, sizeof collective,
             sizeof collective, true);
  check_size(b, "glow_collective_options", read_collective_options, &options, sizeof options,
             sizeof options, false);
}

static void test_objectives(void **state) {
  bench *b = *state;
  const glow_evaluation evaluation = GLOW_EVALUATION_INIT;
  glow_target target = GLOW_TARGET_INIT;
  target.density = fill_density;
  check_size(b, "glow_target", read_target, &target, sizeof target, sizeof target, false);
  check_size(b, "glow_evaluation", read_evaluation, &evaluation, sizeof evaluation,
             sizeof evaluation, false);
}

/* What functions of <glow/objective.h> fill. */
static void test_filled_objectives(void **state) {
  struct {
    glow_importance estimate;
    unsigned char after[16];
  } room;
  const double log_p = -1.0;
  (void)state;
  memset(&room, 0x5a, sizeof room);
  room.estimate.struct_size = sizeof room;
  OK(glow_importance_estimate(&log_p, &log_p, 1, NULL, &room.estimate));
  assert_int_equal(room.estimate.struct_size, sizeof room);
  assert_true(room.estimate.log_z == 0.0);
  for (size_t i = 0; i < sizeof room.after; i++)
    assert_int_equal(room.after[i], 0x5a);
  room.estimate.struct_size = sizeof room.estimate - 1;
  REFUSED(glow_importance_estimate(&log_p, &log_p, 1, NULL, &room.estimate), GLOW_E_ARGUMENT,
          "glow_importance");
}

#define TEST(name) cmocka_unit_test_setup_teardown(test_##name, open_bench, close_bench)

int main(void) {
  const struct CMUnitTest tests[] = {
      TEST(struct_sizes), TEST(filled_structs),    TEST(objectives),
      TEST(collectives),  TEST(filled_objectives),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
