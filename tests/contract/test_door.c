/* What a layer may ask for wrongly: calls of setup with values that cannot be are refused, and
 * calls of a pass with numbers of tensors and regions that nobody declared give NULL. And how much
 * scratch of blocks it gets.
 * SPDX-License-Identifier: MIT */
#include "../support/model_helpers.h"

enum { ELEMENTS = 4, BEYOND = 1000 };
static const glow_shape shape = {1, 2, 2};

/* A layer that changes nothing. */
typedef struct door {
  int32_t tensor, average, scratch, worker, stored;
} door;

#define BAD(call) assert_int_equal((call), GLOW_E_ARGUMENT)

/* ---- setup ----------------------------------------------------------------------------------- */

static void bad_tensors(glow_setup *setup) {
  const int64_t dims[] = {2, 2}, none[] = {2, 0}, vast[] = {INT64_MAX, 4};
  int32_t id = 0;
  BAD(glow_setup_tensor(NULL, "a", GLOW_TYPE_F32, 1, 2, dims, &id));
  BAD(glow_setup_tensor(setup, NULL, GLOW_TYPE_F32, 1, 2, dims, &id));
  BAD(glow_setup_tensor(setup, "", GLOW_TYPE_F32, 1, 2, dims, &id));
  BAD(glow_setup_tensor(setup, "a", GLOW_TYPE_F32, 1, 2, NULL, &id));
  BAD(glow_setup_tensor(setup, "a", GLOW_TYPE_F32, 1, 0, dims, &id));
  BAD(glow_setup_tensor(setup, "a", GLOW_TYPE_F32, 1, GLOW_MAX_RANK + 1, dims, &id));
  BAD(glow_setup_tensor(setup, "a", GLOW_TYPE_F32, 1, 2, dims, NULL));
  BAD(glow_setup_tensor(setup, "a", 7, 1, 2, dims, &id));
  assert_int_not_equal(glow_setup_tensor(setup, "a", GLOW_TYPE_F32, 1, 2, none, &id), GLOW_OK);
  assert_int_not_equal(glow_setup_tensor(setup, "a", GLOW_TYPE_F32, 1, 2, vast, &id), GLOW_OK);
  BAD(glow_setup_weights(NULL, "a", 2, dims, &id));
  BAD(glow_setup_weights(setup, "a", 2, dims, NULL));
  BAD(glow_setup_running_average(NULL, "a", 1, dims, 0.1, &id));
  BAD(glow_setup_running_average(setup, "a", 1, dims, 0.0, &id));
  BAD(glow_setup_running_average(setup, "a", 1, dims, 1.5, &id));
  BAD(glow_setup_running_average(setup, "a", 1, dims, 0.1, NULL));
}

static void bad_regions(glow_setup *setup) {
  int32_t id = 0;
  BAD(glow_setup_scratch(NULL, 0, 1, &id));
  BAD(glow_setup_scratch(setup, 0, 1, NULL));
  BAD(glow_setup_scratch(setup, -1, 1, &id));
  BAD(glow_setup_scratch(setup, 0, -1, &id));
  BAD(glow_setup_backward_scratch(NULL, 0, 1, &id));
  BAD(glow_setup_backward_scratch(setup, -1, 0, &id));
  BAD(glow_setup_block_scratch(setup, -1, 1, &id));
  BAD(glow_setup_block_scratch(setup, 1, -1, &id));
  BAD(glow_setup_packed(NULL, 1, 0, &id));
  BAD(glow_setup_packed(setup, -1, 0, &id));
  BAD(glow_setup_worker_scratch(NULL, 1, &id));
  BAD(glow_setup_worker_scratch(setup, -1, &id));
  BAD(glow_setup_stored(NULL, 0, 1, &id));
  BAD(glow_setup_stored(setup, 0, 1, NULL));
  BAD(glow_setup_stored(setup, -1, 1, &id));
}

static void bad_rest(glow_setup *setup) {
  const glow_shape flat = {0, 1, 1}, narrow = {1, 0, 1}, empty = {1, 1, 0};
  const glow_shape vast = {1 << 30, 1 << 30, 1 << 30};
  BAD(glow_setup_push(NULL, "a"));
  BAD(glow_setup_push(setup, NULL));
  glow_setup_pop(NULL);
  BAD(glow_setup_work(NULL, 1, 1));
  BAD(glow_setup_work(setup, -1, 1));
  BAD(glow_setup_work(setup, 1, -1));
  BAD(glow_setup_prepare_work(NULL, 1));
  BAD(glow_setup_prepare_work(setup, -1));
  BAD(glow_setup_derived(NULL, 1));
  BAD(glow_setup_latents(NULL, &shape));
  BAD(glow_setup_latents(setup, NULL));
  assert_int_not_equal(glow_setup_latents(setup, &flat), GLOW_OK);
  assert_int_not_equal(glow_setup_latents(setup, &narrow), GLOW_OK);
  assert_int_not_equal(glow_setup_latents(setup, &empty), GLOW_OK);
  assert_int_not_equal(glow_setup_latents(setup, &vast), GLOW_OK);
  BAD(glow_setup_latent_density(NULL, GLOW_DENSITY_GAUSSIAN));
  BAD(glow_setup_labels(NULL, 3));
  BAD(glow_setup_labels(setup, 0));
  BAD(glow_setup_unlabelled(NULL));
  BAD(glow_setup_logits(NULL, 1));
  BAD(glow_setup_logits(setup, 0));
  BAD(glow_setup_logits(setup, 1 << 25));
  BAD(glow_setup_logits(setup, 3)); /* the table has no logits */
  BAD(glow_setup_condition(NULL, &shape));
  BAD(glow_setup_condition(setup, NULL));
  BAD(glow_setup_initialise(NULL, 1, 0));
  BAD(glow_setup_initialise(setup, 0, 0));
  BAD(glow_setup_initialise(setup, 1001, 0));
  BAD(glow_setup_initialise(setup, 1, SIZE_MAX));
  assert_null(glow_setup_context(NULL));
}

static glow_status door_configure(void *self, glow_setup *setup, const glow_shape *in,
                                  glow_shape *out) {
  door *d = self;
  const int64_t dims[] = {2};
  *out = *in;
  bad_tensors(setup);
  bad_regions(setup);
  bad_rest(setup);
  OK(glow_setup_tensor(setup, "weight", GLOW_TYPE_F32, 1, 1, dims, &d->tensor));
  /* A layer that is run by samples has none: its blocks do not see the whole batch. */
  if (glow_setup_running_average(setup, "average", 1, dims, 0.1, &d->average) != GLOW_OK)
    d->average = BEYOND;
  OK(glow_setup_scratch(setup, 0, 1, &d->scratch));
  OK(glow_setup_worker_scratch(setup, 1, &d->worker));
  return glow_setup_stored(setup, 0, 1, &d->stored);
}

/* ---- calls ----------------------------------------------------------------------------------- */

static void wrong_numbers(const door *d, const glow_call *call) {
  const int32_t wrong[] = {-1, BEYOND};
  for (int i = 0; i < 2; i++) {
    assert_null(glow_call_tensor(call, wrong[i]));
    assert_null(glow_call_tensor_mutable(call, wrong[i]));
    assert_null(glow_call_gradient(call, wrong[i]));
    assert_null(glow_call_scratch(call, wrong[i]));
    assert_null(glow_call_worker_scratch(call, wrong[i], 0));
    assert_null(glow_call_stored(call, wrong[i]));
    assert_null(glow_call_observed(call, wrong[i]));
    assert_int_equal(glow_call_must_pack(call, wrong[i]), 1);
  }
  assert_null(glow_call_gradient(call, d->average)); /* it has none */
  assert_null(glow_call_observed(call, d->tensor));  /* it is no average */
  assert_null(glow_call_tensor_mutable(call, d->tensor));
  assert_null(glow_call_derived(call));
  assert_null(glow_call_derived_mutable(call));
  assert_null(glow_call_condition(call, 0));
  assert_non_null(glow_call_tensor(call, d->tensor));
  assert_non_null(glow_call_scratch(call, d->scratch));
  assert_non_null(glow_call_worker_scratch(call, d->worker, 0));
  assert_ptr_not_equal(glow_call_scratch(call, d->scratch),
                       glow_call_worker_scratch(call, d->worker, 0));
}

static void copy(const door *d, const glow_call *call, const float *from, float *to) {
  wrong_numbers(d, call);
  memcpy(to, from, (size_t)(glow_call_sample_count(call) * ELEMENTS) * sizeof *to);
}

static void door_forward(const void *self, const glow_call *call, const float *x, float *y,
                         double *logdet, double *logprior) {
  (void)logdet, (void)logprior;
  copy(self, call, x, y);
}

static glow_status door_inverse(const void *self, const glow_call *call, const float *y, float *x,
                                double *logdet, double *logprior) {
  (void)logdet, (void)logprior;
  copy(self, call, y, x);
  return GLOW_OK;
}

static void door_backward(const void *self, const glow_call *call, const glow_layer_gradient *g) {
  const door *d = self;
  copy(d, call, g->dy, g->dx);
  assert_non_null(glow_call_gradient(call, d->tensor));
  assert_non_null(glow_call_stored(call, d->stored));
}

/* ---- tests ----------------------------------------------------------------------------------- */

static glow_model *make_door(glow_context *context, uint32_t flags) {
  const glow_layer_ops ops = {.struct_size = sizeof ops,
                              .type = "test.door",
                              .flags = flags,
                              .self_size = sizeof(door),
                              .configure = door_configure,
                              .forward = door_forward,
                              .inverse = door_inverse,
                              .backward = door_backward};
  glow_layer *layer = NULL;
  glow_model *model = NULL;
  OK(glow_layer_create(context, &ops, NULL, NULL, &layer));
  OK(helper_wrap_layer(context, layer, true, &shape, &model));
  return model;
}

static void pass_and_back(uint32_t flags, int32_t inputs_only) {
  static const float x[ELEMENTS] = {1, -2, 0.5f, 3};
  static const double weight = 1;
  glow_context *context = helper_context(1, NULL, NULL);
  glow_model *model = make_door(context, flags);
  glow_workspace_options o = GLOW_WORKSPACE_OPTIONS_INIT;
  glow_backward_options back = GLOW_BACKWARD_OPTIONS_INIT;
  glow_workspace *ws = NULL;
  float z[ELEMENTS], again[ELEMENTS], dx[ELEMENTS];
  OK(glow_model_prepare(model));
  OK(glow_model_set_initialised(model));
  o.mode = GLOW_MODE_STORED;
  o.inputs_only = inputs_only;
  OK(glow_workspace_create(model, &o, &ws));
  OK(helper_forward(ws, x, NULL, 1, GLOW_LATENTS_RAW, z, NULL, NULL));
  assert_memory_equal(z, x, sizeof z);
  back.weight = &weight;
  back.dx = dx;
  OK(glow_workspace_backward(ws, &back));
  for (int i = 0; i < ELEMENTS; i++)
    assert_true(dx[i] == -x[i]); /* of the standard normal prior */
  OK(helper_inverse(ws, z, GLOW_LATENTS_RAW, NULL, 1, again, NULL));
  assert_memory_equal(again, x, sizeof again);
  glow_workspace_destroy(&ws);
  glow_model_destroy(&model);
  glow_context_destroy(&context);
}

static void test_by_samples(void **state) {
  (void)state;
  pass_and_back(0, 0);
  pass_and_back(0, 1);
}

static void test_by_tasks(void **state) {
  (void)state;
  pass_and_back(GLOW_LAYER_BY_TASKS, 0);
  pass_and_back(GLOW_LAYER_BY_TASKS, 1);
}

/* What belongs to no pass. */
static void test_nothing(void **state) {
  (void)state;
  assert_int_equal(glow_call_must_pack(NULL, 0), 1);
  assert_null(glow_call_worker_scratch(NULL, 0, 0));
  assert_int_equal(glow_call_stored_valid(NULL), 0);
  assert_int_equal(glow_call_statistics(NULL), GLOW_STATISTICS_RUNNING);
  assert_int_equal(glow_call_latent_form(NULL), 0);
  assert_int_equal(glow_call_latent_stride(NULL), 0);
}

/* The offset of what is not trained is -1, as the header says. */
static void test_offsets(void **state) {
  glow_context *context = helper_context(1, NULL, NULL);
  glow_model *model = make_door(context, GLOW_LAYER_BY_TASKS);
  glow_tensor_info info = GLOW_TENSOR_INFO_INIT;
  (void)state;
  OK(glow_model_tensor(model, 0, &info));
  assert_string_equal(info.name, "layer.weight");
  assert_int_equal(info.offset, 0);
  OK(glow_model_tensor(model, 1, &info));
  assert_string_equal(info.name, "layer.average");
  assert_int_equal(info.offset, -1);
  glow_model_destroy(&model);
  glow_context_destroy(&context);
}

/* ---- scratch of blocks ----------------------------------------------------------------------- */

/* Floats of a sample, and of two and a half. Both are whole units of the plan. */
enum { PER_SAMPLE = 64, MOST = 160 };

static glow_status plain_configure(void *self, glow_setup *setup, const glow_shape *in,
                                   glow_shape *out) {
  (void)self, (void)setup;
  *out = *in;
  return GLOW_OK;
}

static glow_status block_configure(void *self, glow_setup *setup, const glow_shape *in,
                                   glow_shape *out) {
  door *d = self;
  *out = *in;
  return glow_setup_block_scratch(setup, PER_SAMPLE, MOST, &d->scratch);
}

typedef glow_status (*configure_fn)(void *, glow_setup *, const glow_shape *, glow_shape *);

static int64_t plan_bytes(glow_context *context, configure_fn configure, int64_t batch,
                          int32_t mode) {
  const glow_layer_ops ops = {.struct_size = sizeof ops,
                              .type = "test.blocks",
                              .flags = GLOW_LAYER_BY_TASKS,
                              .self_size = sizeof(door),
                              .configure = configure,
                              .forward = door_forward,
                              .inverse = door_inverse,
                              .backward = door_backward};
  glow_workspace_options o = GLOW_WORKSPACE_OPTIONS_INIT;
  glow_layer *layer = NULL;
  glow_model *model = NULL;
  uint64_t bytes = 0;
  OK(glow_layer_create(context, &ops, NULL, NULL, &layer));
  OK(helper_wrap_layer(context, layer, true, &shape, &model));
  o.batch = batch;
  o.mode = mode;
  OK(glow_workspace_plan_bytes(model, &o, &bytes));
  glow_model_destroy(&model);
  return (int64_t)bytes;
}

/* As much as the samples need, up to what a block needs, and nothing where there is no backward. */
static void test_block_scratch(void **state) {
  glow_context *context = helper_context(1, NULL, NULL);
  (void)state;
  for (int64_t batch = 1; batch <= 8; batch++) {
    int64_t floats = batch * PER_SAMPLE < MOST ? batch * PER_SAMPLE : MOST;
    for (int32_t mode = GLOW_MODE_INFERENCE; mode <= GLOW_MODE_RECONSTRUCTED; mode++)
      assert_int_equal(plan_bytes(context, block_configure, batch, mode) -
                           plan_bytes(context, plain_configure, batch, mode),
                       mode == GLOW_MODE_INFERENCE ? 0 : floats * (int64_t)sizeof(float));
  }
  glow_context_destroy(&context);
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(test_by_samples),    cmocka_unit_test(test_by_tasks),
      cmocka_unit_test(test_nothing),       cmocka_unit_test(test_offsets),
      cmocka_unit_test(test_block_scratch),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
