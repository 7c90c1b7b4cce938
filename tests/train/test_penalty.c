/* The penalty on the scales of weight normalisation: one step of plain descent with it and one
 * without differ by its gradient, in these scales alone. SPDX-License-Identifier: MIT */
#include "fixture.h"

enum { SIDE = 4, CHANNELS = 2, DIMS = SIDE * SIDE * CHANNELS, BATCH = 6 };
static const double l2 = 0.03;

/* Couplings whose networks have weight normalisation, and layers that have none. */
static glow_model *new_realnvp(glow_context *context) {
  glow_realnvp_options o = GLOW_REALNVP_OPTIONS_INIT;
  glow_model *model = NULL;
  o.input = (glow_shape){SIDE, SIDE, CHANNELS};
  o.hidden = 4;
  o.blocks = 1;
  o.seed = 2;
  ok(glow_model_create_realnvp(context, &o, &model));
  ok(glow_model_set_initialised(model));
  return model;
}

/* One step of rate 1/2. The caller destroys the model. */
static glow_model *step(glow_context *context, double penalty, glow_step_report *report) {
  glow_trainer_options options = GLOW_TRAINER_OPTIONS_INIT;
  glow_optimizer_options sgd = GLOW_OPTIMIZER_OPTIONS_INIT;
  glow_schedule schedule = GLOW_SCHEDULE_INIT;
  glow_model *model = new_realnvp(context);
  glow_trainer *trainer = NULL;
  uint8_t pixels[BATCH * DIMS];
  for (int i = 0; i < BATCH * DIMS; i++)
    pixels[i] = (uint8_t)(i * 37 % 251);
  sgd.kind = GLOW_OPTIMIZER_SGD;
  schedule.rate = 0.5;
  options.optimizer = &sgd;
  options.schedule = &schedule;
  options.gain_l2 = penalty;
  ok(glow_trainer_create(model, &options, &trainer));
  ok(glow_trainer_step_pixels(trainer, pixels, NULL, BATCH, report));
  glow_trainer_destroy(&trainer);
  return model;
}

static void test_step(void **state) {
  glow_context *context = new_context(1, NULL);
  glow_step_report plain_report = GLOW_STEP_REPORT_INIT, report = GLOW_STEP_REPORT_INIT;
  glow_model *start = new_realnvp(context), *plain = step(context, 0, &plain_report),
             *penalised = step(context, l2, &report);
  const float *p0 = glow_model_parameters(start), *p1 = glow_model_parameters(plain),
              *p2 = glow_model_parameters(penalised);
  int64_t gains = 0;
  (void)state;
  for (int32_t t = 0; t < glow_model_tensor_count(start); t++) {
    glow_tensor_info info = GLOW_TENSOR_INFO_INIT;
    ok(glow_model_tensor(start, t, &info));
    size_t length = strlen(info.name);
    bool gain = length > 5 && strcmp(info.name + length - 5, ".gain") == 0;
    for (int64_t i = info.offset; info.trainable && i < info.offset + info.elements; i++) {
      double expected = gain ? -0.5 * 2 * l2 * (double)p0[i] : 0;
      /* Gains are near 1: some roundings of them, 6e-8 each. */
      if (fabs((double)p2[i] - (double)p1[i] - expected) > (gain ? 5e-7 : 0))
        fail_msg("%s: %g, %g without, expected %g more", info.name, (double)p2[i], (double)p1[i],
                 expected);
      gains += gain && p0[i] != 0.0f;
    }
  }
  assert_true(gains > 0);
  assert_true(report.loss == plain_report.loss); /* bits/dim: the penalty is not a part of them */
  assert_true(report.gradient_norm != plain_report.gradient_norm);
  glow_model_destroy(&start);
  glow_model_destroy(&plain);
  glow_model_destroy(&penalised);
  glow_context_destroy(&context);
}

static void test_refusals(void **state) {
  glow_context *context = new_context(1, NULL);
  glow_model *model = new_realnvp(context);
  const double bad[] = {-1e-9, NAN, INFINITY};
  (void)state;
  for (int i = 0; i < 3; i++) {
    glow_trainer_options options = GLOW_TRAINER_OPTIONS_INIT;
    glow_trainer *trainer = NULL;
    options.gain_l2 = bad[i];
    refused(glow_trainer_create(model, &options, &trainer), GLOW_E_ARGUMENT, "gain_l2");
    assert_null(trainer);
  }
  glow_model_destroy(&model);
  glow_context_destroy(&context);
}

int main(void) {
  const struct CMUnitTest tests[] = {cmocka_unit_test(test_step), cmocka_unit_test(test_refusals)};
  return cmocka_run_group_tests(tests, NULL, NULL);
}
