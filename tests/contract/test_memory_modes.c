/* Memory that is given: which layers keep their activations, what is reconstructed, how far that
 * drifts, and what is done when it drifts too far. SPDX-License-Identifier: MIT */
#include "passes.h"

/* Gradients and dx of one forward and backward. */
typedef struct result {
  float *gradients, *dx;
} result;

static glow_workspace *workspace(const glow_model *model, int32_t mode, uint64_t limit) {
  glow_workspace_options o = GLOW_WORKSPACE_OPTIONS_INIT;
  glow_workspace *ws = NULL;
  o.batch = BATCH;
  o.mode = mode;
  o.memory_budget = limit;
  OK(glow_workspace_create(model, &o, &ws));
  return ws;
}

static uint64_t bytes_of(const glow_model *model, int32_t mode, uint64_t limit) {
  glow_workspace_options o = GLOW_WORKSPACE_OPTIONS_INIT;
  uint64_t bytes = 0;
  o.batch = BATCH;
  o.mode = mode;
  o.memory_budget = limit;
  OK(glow_workspace_plan_bytes(model, &o, &bytes));
  return bytes;
}

static glow_workspace_info info_of(const glow_workspace *ws) {
  glow_workspace_info info = GLOW_WORKSPACE_INFO_INIT;
  OK(glow_workspace_get_info(ws, &info));
  return info;
}

static glow_status go(const bench *b, glow_workspace *ws, float *dx) {
  glow_backward_options o = GLOW_BACKWARD_OPTIONS_INIT;
  double weight[BATCH] = {1, -1, 0.5, 2, 1, 1, 3};
  o.weight = weight;
  o.d_latents = b->z;
  o.dx = dx;
  OK(glow_workspace_zero_gradients(ws));
  OK(glow_workspace_forward(
      ws, b->x, BATCH,
      &(glow_forward_options){.struct_size = sizeof(glow_forward_options), .labels = b->labels}));
  return glow_workspace_backward(ws, &o);
}

static result result_of(const bench *b, const glow_model *model, glow_workspace *ws) {
  int64_t count = glow_model_parameter_count(model);
  result r = {helper_allocate((size_t)count * sizeof(float)), helper_allocate(batch_bytes(b))};
  OK(go(b, ws, r.dx));
  memcpy(r.gradients, glow_workspace_gradients(ws), (size_t)count * sizeof(float));
  return r;
}

static void free_result(result *r) {
  free(r->gradients);
  free(r->dx);
}

static void test_fit(void **state) {
  bench *b = *state;
  /* Networks wide enough that what they save outweighs the states. */
  glow_glow_options wide = helper_small_glow();
  wide.classes = 3;
  wide.hidden = 96;
  glow_model *model = helper_glow(b->context, &wide, 2);
  int64_t count = glow_model_parameter_count(model), layers = glow_model_layer_count(model);
  uint64_t least = bytes_of(model, GLOW_MODE_RECONSTRUCTED, 0);
  uint64_t all = bytes_of(model, GLOW_MODE_STORED, 0);
  uint64_t most = helper_limit_of_all(model, BATCH), span = all - least;
  glow_workspace *stored = workspace(model, GLOW_MODE_STORED, 0);
  result want = result_of(b, model, stored);
  int32_t before = 0, different = 0;
  assert_int_equal(info_of(stored).stored_layers, layers);
  for (int step = 0; step <= 40; step++) {
    uint64_t limit = most - span + span * (uint64_t)step / 40;
    int64_t used = b->memory.bytes;
    glow_workspace *ws = workspace(model, GLOW_MODE_BUDGET, limit);
    used = b->memory.bytes - used;
    glow_workspace_info info = info_of(ws);
    assert_true(info.bytes <= limit);
    assert_int_equal(info.bytes, bytes_of(model, GLOW_MODE_BUDGET, limit));
    assert_true(used >= (int64_t)info.bytes && used <= (int64_t)info.bytes + 128);
    int64_t calls = b->memory.calls;
    result have = result_of(b, model, ws);
    assert_int_equal(b->memory.calls, calls);
    /* float32 rounding of the reconstructed states, as in test_layers */
    assert_true(helper_relative(have.gradients, want.gradients, count) < 2e-5);
    assert_true(helper_relative(have.dx, want.dx, BATCH * b->dims) < 2e-5);
    info = info_of(ws);
    /* some roundings of 6e-8, which badly conditioned layers enlarge by some hundreds */
    assert_true(info.stored_layers == layers ? info.drift == 0 : info.drift < 1e-4);
    assert_int_equal(info.recomputes, 0);
    different += info.stored_layers != before;
    before = info.stored_layers;
    free_result(&have);
    glow_workspace_destroy(&ws);
  }
  assert_int_equal(before, layers); /* all fit in the end */
  assert_true(different >= 3);      /* and some in between */
  free_result(&want);
  glow_workspace_destroy(&stored);
  glow_model_destroy(&model);
}

static void test_fit_refuses(void **state) {
  bench *b = *state;
  glow_workspace_options o = GLOW_WORKSPACE_OPTIONS_INIT;
  uint64_t bytes = 0, least = bytes_of(b->model, GLOW_MODE_RECONSTRUCTED, 0);
  char words[64];
  glow_workspace *ws = NULL;
  snprintf(words, sizeof words, "at least %llu", (unsigned long long)least);
  o.batch = BATCH;
  o.mode = GLOW_MODE_BUDGET;
  REFUSED(glow_workspace_plan_bytes(b->model, &o, &bytes), GLOW_E_ARGUMENT, "memory_budget");
  o.memory_budget = least - 1;
  REFUSED(glow_workspace_plan_bytes(b->model, &o, &bytes), GLOW_E_LIMIT, words);
  REFUSED(glow_workspace_create(b->model, &o, &ws), GLOW_E_LIMIT, words);
  assert_null(ws);
  o.memory_budget = least;
  OK(glow_workspace_plan_bytes(b->model, &o, &bytes));
  assert_int_equal(bytes, least);
  o.memory_budget = UINT64_MAX;
  OK(glow_workspace_plan_bytes(b->model, &o, &bytes));
  o.mode = GLOW_MODE_STORED;
  REFUSED(glow_workspace_plan_bytes(b->model, &o, &bytes), GLOW_E_ARGUMENT, "memory_budget");
  o.memory_budget = 0;
  o.drift_bound = -1;
  REFUSED(glow_workspace_plan_bytes(b->model, &o, &bytes), GLOW_E_ARGUMENT, "drift_bound");
  o.drift_bound = NAN;
  REFUSED(glow_workspace_plan_bytes(b->model, &o, &bytes), GLOW_E_ARGUMENT, "drift_bound");
}

/* Values that are squashed lose their last bits to the shifts that are added after that. */
static void make_ill(glow_model *model) {
  glow_tensor_info info = GLOW_TENSOR_INFO_INIT;
  float logs[64];
  OK(glow_model_find_tensor(model, "level0.step0.actnorm.logs", &info));
  assert_true(info.elements <= 64);
  for (int i = 0; i < 64; i++)
    logs[i] = -14.0f;
  OK(glow_model_set_tensor(model, info.name, logs, info.elements));
  OK(glow_model_prepare(model));
}

static void check_fallback(bench *b, int32_t mode, uint64_t limit) {
  int64_t count = glow_model_parameter_count(b->model);
  glow_workspace *stored = workspace(b->model, GLOW_MODE_STORED, 0);
  glow_workspace *ws = workspace(b->model, mode, limit);
  result want = result_of(b, b->model, stored);
  int64_t calls = b->memory.calls;
  REFUSED(go(b, ws, NULL), GLOW_E_NUMERIC, "drifted");
  assert_true(info_of(ws).recomputes == 1 && info_of(ws).drift > 1e-3);
  assert_non_null(strstr(b->log, "drifted"));
  for (int again = 0; again < 2; again++) {
    result have = result_of(b, b->model, ws);
    /* forward again gives the same bits as forward */
    assert_memory_equal(have.gradients, want.gradients, (size_t)count * sizeof(float));
    assert_memory_equal(have.dx, want.dx, batch_bytes(b));
    assert_true(info_of(ws).drift == 0 && info_of(ws).largest_drift > 1e-3);
    free_result(&have);
  }
  assert_int_equal(b->memory.calls, calls);
  free_result(&want);
  glow_workspace_destroy(&stored);
  glow_workspace_destroy(&ws);
}

static void test_drift(void **state) {
  bench *b = *state;
  make_ill(b->model);
  check_fallback(b, GLOW_MODE_RECONSTRUCTED, 0);
  check_fallback(b, GLOW_MODE_BUDGET, bytes_of(b->model, GLOW_MODE_RECONSTRUCTED, 0));
}

/* No bound: it is measured, and that is all. */
static void test_drift_without_bound(void **state) {
  bench *b = *state;
  glow_workspace_options o = GLOW_WORKSPACE_OPTIONS_INIT;
  glow_workspace *ws = NULL;
  make_ill(b->model);
  o.batch = BATCH;
  o.mode = GLOW_MODE_RECONSTRUCTED;
  o.drift_bound = 0;
  OK(glow_workspace_create(b->model, &o, &ws));
  assert_true(info_of(ws).bytes < bytes_of(b->model, GLOW_MODE_RECONSTRUCTED, 0));
  OK(go(b, ws, NULL));
  assert_true(info_of(ws).drift > 1e-3 && info_of(ws).recomputes == 0);
  glow_workspace_destroy(&ws);
}

/* The trainer goes on with the bits of stored activations. */
static float *trained(bench *b, int32_t mode, int64_t micro_batch) {
  glow_glow_options glow = helper_small_glow();
  glow_trainer_options o = GLOW_TRAINER_OPTIONS_INIT;
  glow_step_report report = GLOW_STEP_REPORT_INIT;
  glow_trainer *trainer = NULL;
  glow.classes = 3;
  glow_model *model = helper_glow(b->context, &glow, 2);
  make_ill(model);
  o.mode = mode;
  o.micro_batch = micro_batch;
  OK(glow_trainer_create(model, &o, &trainer));
  for (int step = 0; step < 3; step++) {
    OK(glow_trainer_step(trainer, b->x, b->labels, BATCH, &report));
    assert_int_equal(report.recomputes, mode != GLOW_MODE_STORED);
    assert_true(mode == GLOW_MODE_STORED || step ? report.drift == 0 : report.drift > 1e-3);
  }
  int64_t count;
  float *parameters = helper_parameters(model, &count);
  glow_trainer_destroy(&trainer);
  glow_model_destroy(&model);
  return parameters;
}

static void test_trainer_falls_back(void **state) {
  bench *b = *state;
  int64_t count = glow_model_parameter_count(b->model);
  for (int64_t micro_batch = 3; micro_batch <= BATCH; micro_batch += 4) {
    float *want = trained(b, GLOW_MODE_STORED, micro_batch);
    float *have = trained(b, GLOW_MODE_RECONSTRUCTED, micro_batch);
    assert_memory_equal(have, want, (size_t)count * sizeof *want);
    free(want);
    free(have);
  }
}

/* Up to 16, as <glow/workspace.h> says, the threads' own scratch does not change the choice. */
static void test_fit_on_threads(void **state) {
  bench *b = *state;
  glow_glow_options wide = helper_small_glow();
  wide.classes = 3;
  wide.hidden = 96;
  const uint32_t threads[] = {1, 2, 3, 16};
  uint64_t limit = 0;
  int64_t kept = 0;
  result want = {0};
  for (int t = 0; t < 4; t++) {
    glow_context *context = helper_context(threads[t], NULL, NULL);
    glow_model *model = helper_glow(context, &wide, 2);
    int64_t count = glow_model_parameter_count(model);
    if (t == 0)
      limit = helper_limit_of_all(model, BATCH) - 4096;
    glow_workspace *ws = workspace(model, GLOW_MODE_BUDGET, limit);
    result have = result_of(b, model, ws);
    if (t == 0) {
      want = have;
      kept = info_of(ws).stored_layers;
      assert_in_range(kept, 1, glow_model_layer_count(model) - 1);
    } else {
      assert_int_equal(info_of(ws).stored_layers, kept);
      assert_true(helper_same_bits(have.gradients, want.gradients, count, sizeof(float)));
      assert_memory_equal(have.dx, want.dx, batch_bytes(b));
      free_result(&have);
    }
    glow_workspace_destroy(&ws);
    glow_model_destroy(&model);
    glow_context_destroy(&context);
  }
  free_result(&want);
}

int main(void) {
  const struct CMUnitTest tests[] = {
      TEST(fit),   TEST(fit_on_threads),      TEST(fit_refuses),
      TEST(drift), TEST(drift_without_bound), TEST(trainer_falls_back),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
