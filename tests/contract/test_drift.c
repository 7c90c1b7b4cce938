/* The bound of the drift, to the digit: a layer whose reconstruction is wrong by a known share, so
 * that drift = max |error| / rms(x) is known exactly. SPDX-License-Identifier: MIT */
#include "../support/model_helpers.h"

enum { BATCH = 4, DIMS = 6 };

/* y = x; backward writes x (1 + error). The data are +-2, so the drift is `error`, exactly. */
typedef struct lossy {
  int64_t size;
  double error;
} lossy;

static glow_status lossy_configure(void *self, glow_setup *setup, const glow_shape *in,
                                   glow_shape *out) {
  (void)setup;
  ((lossy *)self)->size = glow_shape_size(in);
  *out = *in;
  return GLOW_OK;
}

static void lossy_forward(const void *self, const glow_call *call, const float *x, float *y,
                          double *logdet, double *logprior) {
  const lossy *l = self;
  (void)logdet, (void)logprior;
  memcpy(y, x, (size_t)(glow_call_sample_count(call) * l->size) * sizeof *x);
}

static glow_status lossy_inverse(const void *self, const glow_call *call, const float *y, float *x,
                                 double *logdet, double *logprior) {
  (void)logprior;
  lossy_forward(self, call, y, x, logdet, NULL);
  return GLOW_OK;
}

static void lossy_backward(const void *self, const glow_call *call, const glow_layer_gradient *g) {
  const lossy *l = self;
  for (int64_t i = 0; i < glow_call_sample_count(call) * l->size; i++) {
    if (g->x_out)
      g->x_out[i] = (float)((double)g->y[i] * (1 + l->error));
    g->dx[i] = g->dy[i];
  }
}

static glow_model *lossy_model(glow_context *context, double error) {
  const glow_layer_ops ops = {.struct_size = sizeof ops,
                              .type = "lossy",
                              .flags = GLOW_LAYER_RECONSTRUCTS,
                              .self_size = sizeof(lossy),
                              .configure = lossy_configure,
                              .forward = lossy_forward,
                              .inverse = lossy_inverse,
                              .backward = lossy_backward};
  const glow_shape shape = {1, 1, DIMS};
  const glow_builder_options options = {sizeof options, 0, 0};
  glow_builder *builder = NULL;
  glow_model *model = NULL;
  glow_layer *layer = NULL;
  OK(glow_builder_create(context, &shape, &options, &builder));
  OK(glow_layer_create(context, &ops, NULL, NULL, &layer));
  ((lossy *)glow_layer_self(layer))->error = error;
  OK(glow_builder_add(builder, "lossy", &layer));
  OK(glow_prior_create(context, NULL, &layer));
  OK(glow_builder_add(builder, "prior", &layer));
  OK(glow_builder_finish(&builder, &model));
  return model;
}

static void make_data(float *x) {
  for (int i = 0; i < BATCH * DIMS; i++)
    x[i] = i % 3 ? 2 : -2;
}

/* One forward and backward. bound NULL: the default, of the initialiser. */
static glow_status drift_once(const glow_model *model, const double *bound,
                              glow_workspace_info *info) {
  glow_workspace_options o = GLOW_WORKSPACE_OPTIONS_INIT;
  glow_forward_options forward = GLOW_FORWARD_OPTIONS_INIT;
  glow_backward_options backward = GLOW_BACKWARD_OPTIONS_INIT;
  glow_workspace *ws = NULL;
  const double weight[BATCH] = {1, 1, 1, 1};
  float x[BATCH * DIMS];
  make_data(x);
  o.batch = BATCH;
  o.mode = GLOW_MODE_RECONSTRUCTED;
  if (bound)
    o.drift_bound = *bound;
  backward.weight = weight;
  OK(glow_workspace_create(model, &o, &ws));
  OK(glow_workspace_forward(ws, x, BATCH, &forward));
  glow_status status = glow_workspace_backward(ws, &backward);
  *info = (glow_workspace_info)GLOW_WORKSPACE_INFO_INIT;
  OK(glow_workspace_get_info(ws, info));
  glow_workspace_destroy(&ws);
  return status;
}

/* At the bound is within it. 2^-8 = 0.0039 is between the default of 1e-3 and ten times that. */
static void test_bound(void **state) {
  const double error = 0x1p-8, above = error * (1 + 0x1p-40), below = error * (1 - 0x1p-40);
  glow_context *context = helper_context(1, NULL, NULL);
  glow_model *model = lossy_model(context, error);
  glow_workspace_info info;
  (void)state;
  OK(drift_once(model, &above, &info));
  assert_true(info.drift == error && info.largest_drift == error && info.recomputes == 0);
  OK(drift_once(model, &error, &info));
  assert_true(info.drift == error && info.recomputes == 0);
  REFUSED(drift_once(model, &below, &info), GLOW_E_NUMERIC, "drifted by 0.0039 of its size");
  assert_true(info.drift == error && info.largest_drift == error && info.recomputes == 1);
  glow_model_destroy(&model);
  glow_context_destroy(&context);
}

/* The largest errors of float32 on either side of 1e-3: the step is 2^-23 of a share of 1. */
static void test_default_bound(void **state) {
  const double step = 0x1p-23, below = floor(1e-3 / step) * step;
  (void)state;
  for (int past = 0; past < 2; past++) {
    const double error = past ? below + step : below;
    glow_context *context = helper_context(1, NULL, NULL);
    glow_model *model = lossy_model(context, error);
    glow_workspace_info info;
    assert_int_equal(drift_once(model, NULL, &info), past ? GLOW_E_NUMERIC : GLOW_OK);
    assert_true(info.drift == error && info.recomputes == past);
    glow_model_destroy(&model);
    glow_context_destroy(&context);
  }
}

/* The trainer's bound is handed to its workspace; without one it is the same default. */
static void check_trainer(double error, const double *bound, int32_t recomputes) {
  glow_context *context = helper_context(1, NULL, NULL);
  glow_model *model = lossy_model(context, error);
  glow_trainer_options o = GLOW_TRAINER_OPTIONS_INIT;
  glow_step_report report = GLOW_STEP_REPORT_INIT;
  glow_trainer *trainer = NULL;
  float x[BATCH * DIMS];
  make_data(x);
  o.mode = GLOW_MODE_RECONSTRUCTED;
  o.micro_batch = BATCH;
  if (bound)
    o.drift_bound = *bound;
  OK(glow_model_set_initialised(model));
  OK(glow_trainer_create(model, &o, &trainer));
  OK(glow_trainer_step(trainer, x, NULL, BATCH, &report));
  assert_int_equal(report.recomputes, recomputes);
  assert_true(report.drift == error); /* of the pass that was given up too */
  glow_trainer_destroy(&trainer);
  glow_model_destroy(&model);
  glow_context_destroy(&context);
}

static void test_trainer(void **state) {
  const double error = 0x1p-8, above = error * (1 + 0x1p-40), below = error * (1 - 0x1p-40);
  (void)state;
  check_trainer(error, NULL, 1);
  check_trainer(0x1p-11, NULL, 0); /* 0.00049 */
  check_trainer(error, &above, 0);
  check_trainer(error, &below, 1);
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(test_bound),
      cmocka_unit_test(test_default_bound),
      cmocka_unit_test(test_trainer),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
