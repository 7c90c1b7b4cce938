/* Backward goes through the pixels of a large batch in blocks: the gradients are those that its
 * samples have one by one, in both kinds of products, with and without the border indicator and
 * with a condition. SPDX-License-Identifier: MIT */
#include "../support/model_helpers.h"

/* 17 * 256 pixels: more than one block of each kind of products, and the last is not whole. */
enum { COUNT = 17, SIDE = 32, CHANNELS = 1, DIMS = SIDE * SIDE * CHANNELS, CONDITION = 2 };

typedef struct bench {
  glow_context *context;
  glow_model *model;
  float *x, *condition;
  float *dx, *d_condition; /* of all samples */
} bench;

static bench open_bench(int32_t products, int32_t border) {
  bench b = {0};
  helper_random random = helper_random_of(1);
  glow_context_options context = GLOW_CONTEXT_OPTIONS_INIT;
  glow_glow_options o = helper_small_glow();
  context.threads = 2;
  context.products = products;
  OK(glow_context_create(&context, &b.context));
  o.input = (glow_shape){SIDE, SIDE, CHANNELS};
  o.levels = 1;
  o.border = border;
  o.condition = (glow_shape){1, 1, CONDITION};
  b.model = helper_glow(b.context, &o, 2);
  b.x = helper_new_normals(&random, 0.3f, (int64_t)COUNT * DIMS);
  b.condition = helper_new_normals(&random, 1.0f, COUNT * CONDITION);
  b.dx = helper_allocate(COUNT * DIMS * sizeof *b.dx);
  b.d_condition = helper_allocate(COUNT * CONDITION * sizeof *b.d_condition);
  return b;
}

static void close_bench(bench *b) {
  free(b->x);
  free(b->condition);
  free(b->dx);
  free(b->d_condition);
  glow_model_destroy(&b->model);
  glow_context_destroy(&b->context);
}

/* Adds the gradients of the log-density of samples [first, first + count). */
static void add_gradients(const bench *b, glow_workspace *ws, int64_t first, int64_t count) {
  glow_backward_options o = GLOW_BACKWARD_OPTIONS_INIT;
  const double ones[COUNT] = {1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1};
  double log_prob[COUNT];
  o.weight = ones;
  o.dx = b->dx + first * DIMS;
  o.d_condition = b->d_condition + first * CONDITION;
  OK(glow_workspace_set_condition(ws, b->condition + first * CONDITION, count, CONDITION));
  OK(helper_forward(ws, b->x + first * DIMS, NULL, count, GLOW_LATENTS_RAW, NULL, NULL, log_prob));
  OK(glow_workspace_backward(ws, &o));
}

/* Float32 sums over 4352 pixels in two orders: below 1e-6 of each tensor, and ten times that is let
 * pass for other values. */
static void compare_gradients(const bench *b, const float *whole, const float *single) {
  for (int32_t i = 0; i < glow_model_tensor_count(b->model); i++) {
    glow_tensor_info info = GLOW_TENSOR_INFO_INIT;
    OK(glow_model_tensor(b->model, i, &info));
    if (!info.trainable)
      continue;
    double off = helper_relative(whole + info.offset, single + info.offset, info.elements);
    if (!(off < 1e-5))
      fail_msg("the gradient of %s is off by %g", info.name, off);
  }
}

/* No sums cross samples here, so the bits are the same, but for what reconstructing x rounds. */
static void check_inputs(const bench *b, const float *dx, const float *d_condition, double bound) {
  assert_true(helper_relative(b->dx, dx, COUNT * DIMS) <= bound);
  assert_true(helper_relative(b->d_condition, d_condition, COUNT * CONDITION) <= bound);
}

/* Gradients of the inputs alone. */
static void check_inputs_only(const bench *b, const float *dx, const float *d_condition) {
  glow_workspace_options options = GLOW_WORKSPACE_OPTIONS_INIT;
  glow_workspace *ws = NULL;
  options.batch = COUNT;
  options.mode = GLOW_MODE_STORED;
  options.inputs_only = 1;
  OK(glow_workspace_create(b->model, &options, &ws));
  add_gradients(b, ws, 0, COUNT);
  check_inputs(b, dx, d_condition, 0.0);
  glow_workspace_destroy(&ws);
}

static void check_blocks(int32_t products, int32_t border) {
  bench b = open_bench(products, border);
  glow_workspace *single = helper_workspace(b.model, 1, GLOW_MODE_STORED);
  for (int64_t i = 0; i < COUNT; i++)
    add_gradients(&b, single, i, 1);
  float *dx = b.dx, *d_condition = b.d_condition;
  b.dx = helper_allocate(COUNT * DIMS * sizeof *b.dx);
  b.d_condition = helper_allocate(COUNT * CONDITION * sizeof *b.d_condition);
  for (int32_t mode = GLOW_MODE_STORED; mode <= GLOW_MODE_RECONSTRUCTED; mode++) {
    glow_workspace *whole = helper_workspace(b.model, COUNT, mode);
    add_gradients(&b, whole, 0, COUNT);
    compare_gradients(&b, glow_workspace_gradients(whole), glow_workspace_gradients(single));
    check_inputs(&b, dx, d_condition, mode == GLOW_MODE_STORED ? 0.0 : 1e-6);
    glow_workspace_destroy(&whole);
  }
  check_inputs_only(&b, dx, d_condition);
  glow_workspace_destroy(&single);
  free(dx);
  free(d_condition);
  close_bench(&b);
}

static void test_float32(void **state) {
  (void)state;
  for (int32_t border = 0; border < 2; border++)
    check_blocks(GLOW_PRODUCTS_FLOAT32, border);
}

static void test_bfloat16(void **state) {
  (void)state;
  for (int32_t border = 0; border < 2; border++)
    check_blocks(GLOW_PRODUCTS_BFLOAT16, border);
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(test_float32),
      cmocka_unit_test(test_bfloat16),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
