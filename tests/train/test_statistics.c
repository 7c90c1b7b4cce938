/* Batch normalisation in training and out of it: which statistics a pass uses, how running averages
 * follow, and that a refused step leaves them alone; logit against its formula.
 * SPDX-License-Identifier: MIT */
#include "fixture.h"

enum { SIDE = 4, CHANNELS = 2, DIMS = SIDE * SIDE * CHANNELS, BATCH = 6, PIXELS = SIDE * SIDE };

/* One batchnorm over continuous data, and a fixed prior. */
static glow_model *new_batchnorm(glow_context *context, const glow_batchnorm_options *options) {
  const glow_shape shape = {SIDE, SIDE, CHANNELS};
  glow_builder_options o = GLOW_BUILDER_OPTIONS_INIT;
  glow_prior_options top = GLOW_PRIOR_OPTIONS_INIT;
  glow_builder *builder = NULL;
  glow_layer *layer = NULL;
  glow_model *model = NULL;
  o.bits = 0;
  ok(glow_builder_create(context, &shape, &o, &builder));
  ok(glow_batchnorm_create(context, options, &layer));
  ok(glow_builder_add(builder, "norm", &layer));
  ok(glow_actnorm_create(context, NULL, &layer)); /* something to train */
  ok(glow_builder_add(builder, "actnorm", &layer));
  top.learned = 0;
  ok(glow_prior_create(context, &top, &layer));
  ok(glow_builder_add(builder, "prior", &layer));
  ok(glow_builder_finish(&builder, &model));
  ok(glow_model_set_initialised(model));
  return model;
}

static glow_workspace *new_workspace(const glow_model *model, int64_t batch, int32_t mode) {
  glow_workspace_options o = GLOW_WORKSPACE_OPTIONS_INIT;
  glow_workspace *ws = NULL;
  o.batch = batch;
  o.mode = mode;
  ok(glow_workspace_create(model, &o, &ws));
  return ws;
}

static float *new_data(glow_context *context, int64_t count, uint64_t seed) {
  glow_rng *rng = NULL;
  float *x = malloc((size_t)(count * DIMS) * sizeof *x);
  assert_non_null(x);
  ok(glow_rng_create(context, seed, &rng));
  ok(glow_rng_normal(rng, x, count * DIMS));
  for (int64_t i = 0; i < count * DIMS; i++)
    x[i] = i % CHANNELS ? 3.0f * x[i] - 1.0f : 0.5f * x[i] + 2.0f;
  glow_rng_destroy(&rng);
  return x;
}

/* Mean and biased variance of channel c of `count` samples, in two passes. */
static void moments(const float *x, int64_t count, int64_t c, double *mean, double *var) {
  double sum = 0, squares = 0;
  for (int64_t p = 0; p < count * PIXELS; p++)
    sum += (double)x[p * CHANNELS + c];
  *mean = sum / (double)(count * PIXELS);
  for (int64_t p = 0; p < count * PIXELS; p++)
    squares += ((double)x[p * CHANNELS + c] - *mean) * ((double)x[p * CHANNELS + c] - *mean);
  *var = squares / (double)(count * PIXELS);
}

/* float32 averages of a few dozen values */
static void close_to(double value, double expected) {
  if (!(fabs(value - expected) <= 1e-6 * (1 + fabs(expected))))
    fail_msg("%.9g instead of %.9g", value, expected);
}

static void read_averages(const glow_model *model, float *mean, float *var) {
  ok(glow_model_get_tensor(model, "norm.mean", mean, CHANNELS));
  ok(glow_model_get_tensor(model, "norm.var", var, CHANNELS));
}

/* y and log-det of one sample from given statistics. */
static void check_output(const float *x, const float *y, double logdet, const double *mean,
                         const double *var) {
  double expected = 0;
  for (int64_t i = 0; i < DIMS; i++) {
    double deviation = sqrt(var[i % CHANNELS] + 1e-4);
    expected -= log(deviation);
    if (!(fabs((double)y[i] - ((double)x[i] - mean[i % CHANNELS]) / deviation) < 1e-5))
      fail_msg("element %lld", (long long)i);
  }
  close_to(logdet, expected);
}

static void test_which_statistics(void **state) {
  (void)state;
  glow_context *context = new_context(2, NULL);
  glow_model *model = new_batchnorm(context, NULL);
  float *x = new_data(context, BATCH, 1), y[BATCH * DIMS];
  double logdet[BATCH], running[BATCH], batch[BATCH], mean[CHANNELS], var[CHANNELS];
  const double zeros[CHANNELS] = {0}, ones[CHANNELS] = {1, 1};
  for (int64_t c = 0; c < CHANNELS; c++)
    moments(x, BATCH, c, &mean[c], &var[c]);
  glow_workspace *inference = new_workspace(model, BATCH, GLOW_MODE_INFERENCE);
  ok(glow_workspace_forward(inference, x, BATCH,
                            &(glow_forward_options){.struct_size = sizeof(glow_forward_options),
                                                    .latents = y,
                                                    .logdet = logdet,
                                                    .log_prob = running}));
  check_output(x, y, logdet[0], zeros, ones);
  glow_workspace *training = new_workspace(model, BATCH, GLOW_MODE_STORED);
  ok(glow_workspace_forward(training, x, BATCH,
                            &(glow_forward_options){.struct_size = sizeof(glow_forward_options),
                                                    .latents = y,
                                                    .logdet = logdet,
                                                    .log_prob = batch}));
  check_output(x, y, logdet[0], mean, var);
  ok(glow_workspace_forward(training, x, BATCH,
                            &(glow_forward_options){.struct_size = sizeof(glow_forward_options),
                                                    .form = GLOW_LATENTS_WHITENED,
                                                    .latents = y}));
  check_output(x, y, logdet[0], mean, var);
  ok(glow_workspace_log_prob(training, x, NULL, BATCH, logdet));
  assert_memory_equal(logdet, running, sizeof running);
  glow_backward_options o = GLOW_BACKWARD_OPTIONS_INIT;
  refused(glow_workspace_backward(training, &o), GLOW_E_STATE,
          "glow_workspace_forward just before");
  glow_workspace_destroy(&inference);
  glow_workspace_destroy(&training);
  free(x);
  glow_model_destroy(&model);
  glow_context_destroy(&context);
}

/* The whole set in micro-batches of any size: its mean and variance. */
static void test_initialise(void **state) {
  (void)state;
  glow_context *context = new_context(1, NULL);
  glow_model *model = new_batchnorm(context, NULL);
  float *x = new_data(context, BATCH, 2), mean[CHANNELS], var[CHANNELS];
  double m, v;
  for (int64_t batch = 1; batch <= BATCH; batch += 2) {
    glow_workspace *ws = new_workspace(model, batch, GLOW_MODE_INFERENCE);
    ok(glow_workspace_initialise(ws, model, x, NULL, BATCH));
    read_averages(model, mean, var);
    for (int64_t c = 0; c < CHANNELS; c++) {
      moments(x, BATCH, c, &m, &v);
      close_to((double)mean[c], m);
      close_to((double)var[c], v);
    }
    glow_workspace_destroy(&ws);
  }
  free(x);
  glow_model_destroy(&model);
  glow_context_destroy(&context);
}

/* Two batches of 4 and 2 samples: their statistics weigh 4 and 2. */
static void test_update(void **state) {
  (void)state;
  glow_context *context = new_context(1, NULL);
  glow_model *model = new_batchnorm(context, NULL);
  float *x = new_data(context, BATCH, 3), mean[CHANNELS], var[CHANNELS];
  glow_workspace *ws = new_workspace(model, 4, GLOW_MODE_RECONSTRUCTED);
  glow_backward_options o = GLOW_BACKWARD_OPTIONS_INIT;
  for (int64_t at = 0; at < BATCH; at += 4) {
    ok(glow_workspace_forward(
        ws, x + at * DIMS, at ? 2 : 4,
        &(glow_forward_options){.struct_size = sizeof(glow_forward_options)}));
    ok(glow_workspace_backward(ws, &o));
  }
  ok(glow_workspace_update_statistics(ws, model));
  read_averages(model, mean, var);
  for (int64_t c = 0; c < CHANNELS; c++) {
    double m[2], v[2];
    moments(x, 4, c, &m[0], &v[0]);
    moments(x + 4 * DIMS, 2, c, &m[1], &v[1]);
    close_to((double)mean[c], 0.1 * (4 * m[0] + 2 * m[1]) / 6);
    close_to((double)var[c], 0.9 + 0.1 * (4 * v[0] + 2 * v[1]) / 6);
  }
  ok(glow_workspace_update_statistics(ws, model)); /* nothing new was observed */
  float again[CHANNELS], again_var[CHANNELS];
  read_averages(model, again, again_var);
  assert_memory_equal(again, mean, sizeof mean);
  assert_memory_equal(again_var, var, sizeof var);
  glow_workspace *inference = new_workspace(model, 1, GLOW_MODE_INFERENCE);
  refused(glow_workspace_update_statistics(inference, model), GLOW_E_STATE, "inference");
  refused(glow_workspace_update_statistics(NULL, model), GLOW_E_ARGUMENT, "NULL");
  refused(glow_workspace_update_statistics(ws, NULL), GLOW_E_ARGUMENT, "NULL");
  glow_workspace_destroy(&inference);
  glow_workspace_destroy(&ws);
  free(x);
  glow_model_destroy(&model);
  glow_context_destroy(&context);
}

/* The trainer's steps: as by hand; and a step that is refused changes nothing. */
static void test_trainer(void **state) {
  (void)state;
  glow_context *context = new_context(2, NULL);
  glow_model *model = new_batchnorm(context, NULL);
  glow_trainer_options o = GLOW_TRAINER_OPTIONS_INIT;
  glow_trainer *trainer = NULL;
  float *x = new_data(context, BATCH, 4), mean[CHANNELS], var[CHANNELS], m1[CHANNELS], v1[CHANNELS];
  double m, v;
  ok(glow_trainer_create(model, &o, &trainer));
  ok(glow_trainer_step(trainer, x, NULL, BATCH, NULL));
  read_averages(model, mean, var);
  for (int64_t c = 0; c < CHANNELS; c++) {
    moments(x, BATCH, c, &m, &v);
    close_to((double)mean[c], 0.1 * m);
    close_to((double)var[c], 0.9 + 0.1 * v);
  }
  x[3] = 1e30f; /* finite, but the variance is not in float32 */
  refused(glow_trainer_step(trainer, x, NULL, BATCH, NULL), GLOW_E_NUMERIC, "refused");
  read_averages(model, m1, v1);
  assert_memory_equal(mean, m1, sizeof mean);
  assert_memory_equal(var, v1, sizeof var);
  assert_int_equal(glow_trainer_step_count(trainer), 1);
  glow_trainer_destroy(&trainer);
  free(x);
  glow_model_destroy(&model);
  glow_context_destroy(&context);
}

static glow_status huge_gradient(int64_t step, float *gradients, int64_t count, void *payload) {
  (void)step, (void)payload;
  gradients[count - 1] = 3e38f;
  return GLOW_OK;
}

/* A step that is refused only when averages have moved: they move back. */
static void test_refused_late(void **state) {
  glow_context *context = new_context(1, NULL);
  glow_model *model = new_batchnorm(context, NULL);
  glow_trainer_options o = GLOW_TRAINER_OPTIONS_INIT;
  glow_optimizer_options sgd = GLOW_OPTIMIZER_OPTIONS_INIT;
  glow_schedule schedule = GLOW_SCHEDULE_INIT;
  glow_trainer *trainer = NULL;
  float *x = new_data(context, BATCH, 4), mean[CHANNELS], var[CHANNELS], m1[CHANNELS], v1[CHANNELS];
  (void)state;
  sgd.kind = GLOW_OPTIMIZER_SGD;
  schedule.rate = 10;
  o.optimizer = &sgd;
  o.schedule = &schedule;
  ok(glow_trainer_create(model, &o, &trainer));
  ok(glow_trainer_set_gradient_hook(trainer, huge_gradient, NULL));
  read_averages(model, mean, var);
  refused(glow_trainer_step(trainer, x, NULL, BATCH, NULL), GLOW_E_NUMERIC, "refused");
  read_averages(model, m1, v1);
  assert_memory_equal(mean, m1, sizeof mean);
  assert_memory_equal(var, v1, sizeof var);
  glow_trainer_destroy(&trainer);
  free(x);
  glow_model_destroy(&model);
  glow_context_destroy(&context);
}

/* What files may hold. */
static void test_negative_variance(void **state) {
  (void)state;
  glow_context *context = new_context(1, NULL);
  glow_model *model = new_batchnorm(context, NULL);
  const float var[CHANNELS] = {1.0f, -1.0f};
  ok(glow_model_set_tensor(model, "norm.var", var, CHANNELS));
  refused(glow_model_prepare(model), GLOW_E_NUMERIC, "variance of channel 1");
  glow_model_destroy(&model);
  glow_context_destroy(&context);
}

static void test_options(void **state) {
  (void)state;
  glow_context *context = new_context(1, NULL);
  const glow_batchnorm_options wrong[] = {
      {sizeof *wrong, 0.0, 0.1, 0.0},  {sizeof *wrong, NAN, 0.1, 0.0},
      {sizeof *wrong, 1.0, 0.1, 0.0},  {sizeof *wrong, 1e-4, 0.0, 0.0},
      {sizeof *wrong, 1e-4, 1.1, 0.0}, {sizeof *wrong, 1e-4, 0.1, 1.0},
      {sizeof *wrong, 1e-4, 0.1, -0.1}};
  const double alphas[] = {0.0, 0.5, -1.0, 1e-7, NAN, INFINITY};
  glow_layer *layer = NULL;
  for (int i = 0; i < 7; i++)
    refused(glow_batchnorm_create(context, &wrong[i], &layer), GLOW_E_ARGUMENT, "it must be");
  for (int i = 0; i < 6; i++) {
    const glow_logit_options o = {sizeof o, alphas[i]};
    refused(glow_logit_create(context, &o, &layer), GLOW_E_ARGUMENT, "alpha is");
  }
  glow_context_destroy(&context);
}

/* ---- logit ----------------------------------------------------------------------------------- */

/* One number a sample. */
static glow_model *new_logit(glow_context *context, double alpha) {
  const glow_shape shape = {1, 1, 1};
  glow_logit_options o = GLOW_LOGIT_OPTIONS_INIT;
  glow_prior_options top = GLOW_PRIOR_OPTIONS_INIT;
  glow_builder *builder = NULL;
  glow_layer *layer = NULL;
  glow_model *model = NULL;
  o.alpha = alpha;
  top.learned = 0;
  ok(glow_builder_create(context, &shape, NULL, &builder));
  ok(glow_logit_create(context, &o, &layer));
  ok(glow_builder_add(builder, "logit", &layer));
  ok(glow_prior_create(context, &top, &layer));
  ok(glow_builder_add(builder, "prior", &layer));
  ok(glow_builder_finish(&builder, &model));
  return model;
}

static void check_logit(double alpha) {
  enum { COUNT = 81 };
  glow_context *context = new_context(1, NULL);
  glow_model *model = new_logit(context, alpha);
  glow_workspace *ws = new_workspace(model, COUNT, GLOW_MODE_INFERENCE);
  float x[COUNT], y[COUNT], back[COUNT];
  double logdet[COUNT], inverse[COUNT];
  double edge = log((1 - alpha) / alpha), steep = (1 - 2 * alpha) / (alpha * (1 - alpha));
  for (int i = 0; i < COUNT; i++)
    x[i] = (float)(i - 40) / 64.0f; /* -0.625 to 0.625 */
  ok(glow_workspace_forward(ws, x, COUNT,
                            &(glow_forward_options){.struct_size = sizeof(glow_forward_options),
                                                    .latents = y,
                                                    .logdet = logdet}));
  ok(glow_workspace_inverse(
      ws, y, COUNT,
      &(glow_inverse_options){.struct_size = sizeof(glow_inverse_options), .logdet = inverse},
      back));
  for (int i = 0; i < COUNT; i++) {
    double q = (double)x[i] + 0.5, p = alpha + (1 - 2 * alpha) * q, expected = log(p / (1 - p));
    double slope = (1 - 2 * alpha) / (p * (1 - p));
    if (q < 0 || q > 1) {
      expected = q < 0 ? -edge + steep * q : edge + steep * (q - 1);
      slope = steep;
    }
    if (fabs((double)y[i] - expected) > 1e-6 * (1 + fabs(expected)) ||
        fabs(logdet[i] - log(slope)) > 1e-12 * (1 + fabs(log(slope))) ||
        fabs(logdet[i] + inverse[i]) > 1e-6 || fabsf(back[i] - x[i]) > 1e-6f)
      fail_msg("alpha %g, x %g: y %g, log-det %g, inverse %g, back %g", alpha, (double)x[i],
               (double)y[i], logdet[i], inverse[i], (double)back[i]);
  }
  glow_workspace_destroy(&ws);
  glow_model_destroy(&model);
  glow_context_destroy(&context);
}

static void test_logit(void **state) {
  (void)state;
  check_logit(0.05);
  check_logit(0.001);
  check_logit(0.3);
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(test_which_statistics), cmocka_unit_test(test_initialise),
      cmocka_unit_test(test_update),           cmocka_unit_test(test_trainer),
      cmocka_unit_test(test_refused_late),     cmocka_unit_test(test_negative_variance),
      cmocka_unit_test(test_options),          cmocka_unit_test(test_logit)};
  return cmocka_run_group_tests(tests, NULL, NULL);
}
