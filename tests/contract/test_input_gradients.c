/* Gradients of the log-density that users mean, with the running averages of batch normalisations;
 * and gradients with respect to x and the condition alone, which take no memory for those of
 * parameters. SPDX-License-Identifier: MIT */
#define _GNU_SOURCE /* mmap's anonymous memory */
#include "flows.h"
#include "pair.h"

#include <sys/mman.h>

enum { COUNT = 4 };

/* ---- passes ---------------------------------------------------------------------------------- */

static glow_workspace *open_workspace(const glow_model *model, int32_t mode, int32_t inputs_only) {
  glow_workspace_options o = GLOW_WORKSPACE_OPTIONS_INIT;
  glow_workspace *ws = NULL;
  o.batch = COUNT;
  o.mode = mode;
  o.inputs_only = inputs_only;
  OK(glow_workspace_create(model, &o, &ws));
  return ws;
}

/* d sum_n weight_n log p(x_n) / dx, by running averages. */
static void gradient(glow_workspace *ws, const float *x, float *dx, float *d_condition) {
  static const int32_t labels[COUNT] = {0, 1, 2, 1};
  static const double weight[COUNT] = {1, -0.5, 2, 0.25};
  glow_forward_options forward = GLOW_FORWARD_OPTIONS_INIT;
  glow_backward_options backward = GLOW_BACKWARD_OPTIONS_INIT;
  forward.labels = labels;
  forward.running_averages = 1;
  OK(glow_workspace_forward(ws, x, COUNT, &forward));
  backward.weight = weight;
  backward.dx = dx;
  backward.d_condition = d_condition;
  OK(glow_workspace_backward(ws, &backward));
}

static float *new_data(const glow_model *model, uint64_t use, int64_t count) {
  helper_random random = helper_random_of(use);
  return helper_new_normals(&random, 0.3f, count * glow_model_dims(model));
}

/* ---- the same bits as with gradients of parameters ------------------------------------------- */

static void compare(const char *name, const glow_model *model, int32_t mode) {
  const int64_t elements = COUNT * glow_model_dims(model);
  float *x = new_data(model, 1, COUNT);
  float *whole = helper_allocate((size_t)elements * sizeof(float));
  float *alone = helper_allocate((size_t)elements * sizeof(float));
  glow_workspace *full = open_workspace(model, mode, 0), *lean = open_workspace(model, mode, 1);
  gradient(full, x, whole, NULL);
  gradient(lean, x, alone, NULL);
  if (!helper_same_bits(alone, whole, elements, sizeof *whole))
    fail_msg("%s, mode %d: dx differs", name, mode);
  glow_workspace_destroy(&lean);
  glow_workspace_destroy(&full);
  free(alone);
  free(whole);
  free(x);
}

static void test_same_bits(void **state) {
  (void)state;
  for (int i = 0; i < FLOWS; i++) {
    glow_context *context = helper_context(2, NULL, NULL);
    glow_model *model = flows[i].make(context);
    compare(flows[i].name, model, GLOW_MODE_STORED);
    compare(flows[i].name, model, GLOW_MODE_RECONSTRUCTED);
    glow_model_destroy(&model);
    glow_context_destroy(&context);
  }
}

/* Memory with a mebibyte on each side that cannot be touched, and before that a page with its
 * size. */
enum { GUARD = 1 << 20, PAGE = 4096 };

static size_t whole_pages(size_t bytes) {
  return (bytes + PAGE - 1) / PAGE * PAGE;
}

static void *guarded_allocate(size_t bytes, void *payload) {
  size_t all = PAGE + 2 * GUARD + whole_pages(bytes);
  char *map = mmap(NULL, all, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
  (void)payload;
  assert_true(map != MAP_FAILED);
  assert_int_equal(mprotect(map, PAGE, PROT_READ | PROT_WRITE), 0);
  memcpy(map, &all, sizeof all);
  char *memory = map + PAGE + GUARD;
  assert_int_equal(mprotect(memory, whole_pages(bytes), PROT_READ | PROT_WRITE), 0);
  return memory;
}

static void guarded_release(void *memory, void *payload) {
  char *map = (char *)memory - GUARD - PAGE;
  size_t all;
  (void)payload;
  memcpy(&all, map, sizeof all);
  munmap(map, all);
}

static glow_context *guarded_context(void) {
  const glow_allocator allocator = {sizeof allocator, guarded_allocate, guarded_release, NULL};
  glow_context_options o = GLOW_CONTEXT_OPTIONS_INIT;
  glow_context *context = NULL;
  o.threads = 2;
  o.allocator = &allocator;
  OK(glow_context_create(&o, &context));
  return context;
}

/* A layer and nets that always write gradients of parameters: they get memory for it. */
static void test_caller_layer(void **state) {
  glow_context *context = guarded_context();
  pair_register(context);
  glow_model *model = pair_model(context);
  helper_random random = helper_random_of(2);
  (void)state;
  helper_perturb(model, &random, 0.3f);
  compare("pair", model, GLOW_MODE_STORED);
  compare("pair", model, GLOW_MODE_RECONSTRUCTED);
  glow_model_destroy(&model);
  glow_context_destroy(&context);
}

/* ---- what it is the gradient of -------------------------------------------------------------- */

/* dx of sample 0 along its own direction, against differences of glow_workspace_log_prob. */
static void against_differences(const flow *f) {
  static const int32_t labels[COUNT] = {0, 1, 2, 1};
  glow_context *context = helper_context(1, NULL, NULL);
  glow_model *model = f->make(context);
  glow_workspace *ws = open_workspace(model, GLOW_MODE_STORED, 1);
  int64_t dims = glow_model_dims(model);
  float *x = new_data(model, 3, COUNT);
  float *dx = helper_allocate((size_t)(COUNT * dims) * sizeof *dx);
  double slope = 0, length = 0, at[2][COUNT];
  gradient(ws, x, dx, NULL);
  for (int64_t i = 0; i < dims; i++)
    length += (double)dx[i] * (double)dx[i];
  length = sqrt(length);
  const double step = fmin(0.02 / length, 2e-3); /* the log-density, about 100, changes by 0.04 */
  for (int side = 0; side < 2; side++) {
    float *moved = new_data(model, 3, COUNT);
    for (int64_t i = 0; i < dims; i++)
      moved[i] += (float)((side ? step : -step) * (double)dx[i] / length);
    OK(glow_workspace_log_prob(ws, moved, labels, COUNT, at[side]));
    free(moved);
  }
  slope = (at[1][0] - at[0][0]) / (2 * step);
  /* Kinks of ReLU and of splines; and rounding of log-densities, some 1e-5 nats. Statistics of the
   * batch give a gradient that is off by more than its size. */
  if (!(fabs(slope - length) < f->slope * length + 4e-5 / step))
    fail_msg("%s: %g by differences, %g by backward", f->name, slope, length);
  free(dx);
  free(x);
  glow_workspace_destroy(&ws);
  glow_model_destroy(&model);
  glow_context_destroy(&context);
}

static void test_log_density(void **state) {
  (void)state;
  for (int i = 0; i < FLOWS; i++)
    against_differences(&flows[i]);
}

/* With running averages samples do not mix: a sample's gradient is the same alone. */
static void test_samples_do_not_mix(void **state) {
  (void)state;
  for (int i = 0; i < FLOWS; i++) {
    glow_context *context = helper_context(1, NULL, NULL);
    glow_model *model = flows[i].make(context);
    glow_workspace *ws = open_workspace(model, GLOW_MODE_STORED, 0);
    int64_t dims = glow_model_dims(model);
    float *x = new_data(model, 4, COUNT), *other = new_data(model, 5, COUNT);
    float *one = helper_allocate((size_t)(COUNT * dims) * sizeof *one);
    float *two = helper_allocate((size_t)(COUNT * dims) * sizeof *two);
    memcpy(other, x, (size_t)dims * sizeof *x);
    gradient(ws, x, one, NULL);
    gradient(ws, other, two, NULL);
    assert_true(helper_same_bits(one, two, dims, sizeof *one));
    free(two);
    free(one);
    free(other);
    free(x);
    glow_workspace_destroy(&ws);
    glow_model_destroy(&model);
    glow_context_destroy(&context);
  }
}

/* ---- conditions ------------------------------------------------------------------------------ */

static void test_condition(void **state) {
  enum { SIZE = 3 };
  glow_context *context = helper_context(1, NULL, NULL);
  glow_vector_flow_options o = GLOW_VECTOR_FLOW_OPTIONS_INIT;
  glow_model *model = NULL;
  helper_random random = helper_random_of(6);
  float condition[COUNT * SIZE], d_condition[2][COUNT * SIZE], dx[COUNT * 2], x[COUNT * 2];
  (void)state;
  o.condition = SIZE;
  o.steps = 2, o.hidden = 8;
  OK(glow_model_create_vector_flow(context, &o, &model));
  helper_perturb(model, &random, 0.2f);
  helper_normals(&random, 1.0f, condition, COUNT * SIZE);
  helper_normals(&random, 1.0f, x, COUNT * 2);
  for (int lean = 0; lean < 2; lean++) {
    glow_workspace *ws = open_workspace(model, GLOW_MODE_STORED, lean);
    OK(glow_workspace_set_condition(ws, condition, COUNT, SIZE));
    gradient(ws, x, dx, d_condition[lean]);
    glow_workspace_destroy(&ws);
  }
  assert_memory_equal(d_condition[0], d_condition[1], sizeof d_condition[0]);
  glow_model_destroy(&model);
  glow_context_destroy(&context);
}

/* ---- memory, and what is refused ------------------------------------------------------------- */

static void test_memory(void **state) {
  (void)state;
  for (int i = 0; i < FLOWS; i++) {
    glow_context *context = helper_context(1, NULL, NULL);
    glow_model *model = flows[i].make(context);
    glow_workspace *full = open_workspace(model, GLOW_MODE_STORED, 0);
    glow_workspace *lean = open_workspace(model, GLOW_MODE_STORED, 1);
    uint64_t parameters = (uint64_t)glow_model_parameter_count(model) * sizeof(float);
    assert_true(glow_workspace_bytes(lean) + parameters <= glow_workspace_bytes(full));
    glow_workspace_destroy(&lean);
    glow_workspace_destroy(&full);
    glow_model_destroy(&model);
    glow_context_destroy(&context);
  }
}

static void test_refusals(void **state) {
  glow_context *context = helper_context(1, NULL, NULL);
  glow_model *model = flows[0].make(context);
  glow_workspace_options o = GLOW_WORKSPACE_OPTIONS_INIT;
  glow_forward_options forward = GLOW_FORWARD_OPTIONS_INIT;
  glow_workspace *ws = NULL;
  float *x = new_data(model, 7, COUNT);
  (void)state;
  o.inputs_only = 1;
  REFUSED(glow_workspace_create(model, &o, &ws), GLOW_E_ARGUMENT,
          "inputs_only is 1, and mode is GLOW_MODE_INFERENCE");
  o.mode = GLOW_MODE_STORED;
  o.inputs_only = 2;
  REFUSED(glow_workspace_create(model, &o, &ws), GLOW_E_ARGUMENT, "inputs_only is 2");
  ws = open_workspace(model, GLOW_MODE_STORED, 1);
  assert_null(glow_workspace_gradients(ws));
  REFUSED(glow_workspace_zero_gradients(ws), GLOW_E_STATE, "inputs_only");
  REFUSED(glow_workspace_update_statistics(ws, model), GLOW_E_STATE, "inputs_only");
  forward.running_averages = -1;
  REFUSED(glow_workspace_forward(ws, x, COUNT, &forward), GLOW_E_ARGUMENT,
          "running_averages is -1");
  free(x);
  glow_workspace_destroy(&ws);
  glow_model_destroy(&model);
  glow_context_destroy(&context);
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(test_same_bits),   cmocka_unit_test(test_caller_layer),
      cmocka_unit_test(test_log_density), cmocka_unit_test(test_samples_do_not_mix),
      cmocka_unit_test(test_condition),   cmocka_unit_test(test_memory),
      cmocka_unit_test(test_refusals),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
