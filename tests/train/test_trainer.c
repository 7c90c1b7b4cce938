/* The trainer's step: loss and gradient, micro-batches, clipping, schedule, average, refusals.
 * SPDX-License-Identifier: MIT */
#include <glow/sys/layer.h>

#include "fixture.h"
#include "train/train.h"

enum { BATCH = 13 };

typedef struct bench {
  glow_context *context;
  glow_model *model;
  glow_trainer *trainer;
} bench;

static bench open_bench(uint32_t threads, const glow_glow_options *model,
                        const glow_trainer_options *options) {
  bench b = {new_context(threads, NULL), NULL, NULL};
  b.model = new_stirred_model(b.context, model);
  ok(glow_trainer_create(b.model, options, &b.trainer));
  return b;
}

static void close_bench(bench *b) {
  glow_trainer_destroy(&b->trainer);
  glow_model_destroy(&b->model);
  glow_context_destroy(&b->context);
}

static glow_trainer_options plain_sgd(glow_optimizer_options *optimizer, glow_schedule *schedule,
                                      double rate) {
  glow_trainer_options o = GLOW_TRAINER_OPTIONS_INIT;
  *optimizer = (glow_optimizer_options)GLOW_OPTIMIZER_OPTIONS_INIT;
  *schedule = (glow_schedule)GLOW_SCHEDULE_INIT;
  optimizer->kind = GLOW_OPTIMIZER_SGD;
  optimizer->beta1 = 0.0;
  schedule->rate = rate;
  o.optimizer = optimizer;
  o.schedule = schedule;
  return o;
}

/* ---- loss and gradient ----------------------------------------------------------------------- */

/* By hand: forward, backward with weights -1 / (N dims ln 2), optimizer. */
static void test_step_by_hand(void **state) {
  bench b = open_bench(1, NULL, NULL);
  glow_model *model = new_stirred_model(b.context, NULL);
  glow_optimizer *optimizer = NULL;
  glow_workspace *ws = NULL;
  glow_workspace_options options = GLOW_WORKSPACE_OPTIONS_INIT;
  float *x = new_input(b.context, model, BATCH, 1);
  double log_prob[BATCH], weight[BATCH];
  (void)state;
  options.batch = BATCH;
  options.mode = GLOW_MODE_STORED;
  ok(glow_workspace_create(model, &options, &ws));
  ok(glow_optimizer_create(model, NULL, &optimizer));
  for (int i = 0; i < BATCH; i++)
    weight[i] = -1.0 / (BATCH * (double)glow_model_dims(model) * log(2.0));
  for (int t = 1; t <= 3; t++) {
    glow_step_report report = GLOW_STEP_REPORT_INIT;
    glow_backward_options backward = GLOW_BACKWARD_OPTIONS_INIT;
    double loss = 0.0, norm = 0.0;
    backward.weight = weight;
    ok(glow_trainer_step(b.trainer, x, NULL, BATCH, &report));
    ok(glow_workspace_zero_gradients(ws));
    ok(glow_workspace_forward(ws, x, BATCH,
                              &(glow_forward_options){.struct_size = sizeof(glow_forward_options),
                                                      .log_prob = log_prob}));
    ok(glow_workspace_backward(ws, &backward));
    for (int i = 0; i < BATCH; i++)
      loss += glow_model_bits_per_dim(model, log_prob[i]) / BATCH;
    for (int64_t i = 0; i < glow_model_parameter_count(model); i++)
      norm += pow(glow_workspace_gradients(ws)[i], 2.0);
    ok(glow_optimizer_step(optimizer, model, glow_workspace_gradients(ws), 1e-3));
    assert_true(fabs(report.loss - loss) < 1e-12 * fabs(loss));
    assert_true(fabs(report.gradient_norm - sqrt(norm)) < 1e-12 * sqrt(norm));
    assert_true(report.rate == 1e-3);
    assert_int_equal(report.step, t);
    assert_true(relative(glow_model_parameters(b.model), glow_model_parameters(model),
                         glow_model_parameter_count(model)) < 1e-6);
  }
  free(x);
  glow_workspace_destroy(&ws);
  glow_optimizer_destroy(&optimizer);
  glow_model_destroy(&model);
  close_bench(&b);
}

static void check_micro_batch(int64_t micro_batch, int32_t mode) {
  glow_optimizer_options optimizer;
  glow_schedule schedule;
  glow_trainer_options options = plain_sgd(&optimizer, &schedule, 0.01);
  options.micro_batch = BATCH;
  bench whole = open_bench(1, NULL, &options);
  options.micro_batch = micro_batch;
  options.mode = mode;
  bench parts = open_bench(1, NULL, &options);
  uint8_t *pixels = new_pixels(whole.context, whole.model, BATCH, 4);
  for (int t = 0; t < 4; t++) {
    glow_step_report a = GLOW_STEP_REPORT_INIT, b = GLOW_STEP_REPORT_INIT;
    ok(glow_trainer_step_pixels(whole.trainer, pixels, NULL, BATCH, &a));
    ok(glow_trainer_step_pixels(parts.trainer, pixels, NULL, BATCH, &b));
    assert_true(fabs(a.loss - b.loss) < 1e-5 * fabs(a.loss));
    assert_true(fabs(a.gradient_norm - b.gradient_norm) < 1e-4 * a.gradient_norm);
    assert_true(relative(glow_model_parameters(parts.model), glow_model_parameters(whole.model),
                         glow_model_parameter_count(whole.model)) < 1e-5);
  }
  free(pixels);
  close_bench(&whole);
  close_bench(&parts);
}

static void test_micro_batches(void **state) {
  static const int64_t sizes[] = {1, 5, 12, 100};
  (void)state;
  for (int i = 0; i < 4; i++) {
    check_micro_batch(sizes[i], GLOW_MODE_STORED);
    check_micro_batch(sizes[i], GLOW_MODE_RECONSTRUCTED);
  }
}

static void test_training_lowers_the_loss(void **state) {
  glow_schedule schedule = GLOW_SCHEDULE_INIT;
  glow_trainer_options options = GLOW_TRAINER_OPTIONS_INIT;
  glow_step_report first = GLOW_STEP_REPORT_INIT, last = GLOW_STEP_REPORT_INIT;
  (void)state;
  schedule.rate = 5e-3;
  options.schedule = &schedule;
  bench b = {new_context(1, NULL), NULL, NULL};
  b.model = new_model(b.context, NULL);
  ok(glow_trainer_create(b.model, &options, &b.trainer));
  uint8_t *pixels = new_pixels(b.context, b.model, 32, 8);
  refused(glow_trainer_step_pixels(b.trainer, pixels, NULL, 32, &first), GLOW_E_STATE, "");
  ok(glow_trainer_initialise_pixels(b.trainer, pixels, NULL, 32));
  ok(glow_trainer_step_pixels(b.trainer, pixels, NULL, 32, &first));
  for (int t = 0; t < 60; t++)
    ok(glow_trainer_step_pixels(b.trainer, pixels, NULL, 32, &last));
  if (!(last.loss < first.loss - 0.5))
    fail_msg("bits/dim went from %.3f to %.3f", first.loss, last.loss);
  free(pixels);
  close_bench(&b);
}

/* Noise comes from (seed, position), and the position moves by samples * dims. */
static void test_pixels_are_dequantised_floats(void **state) {
  glow_trainer_options options = GLOW_TRAINER_OPTIONS_INIT;
  options.seed = 31;
  options.micro_batch = 4;
  bench a = open_bench(1, NULL, &options), b = open_bench(1, NULL, &options);
  int64_t dims = glow_model_dims(a.model);
  uint8_t *pixels = new_pixels(a.context, a.model, BATCH, 2);
  float *x = malloc((size_t)(BATCH * dims) * sizeof *x);
  uint64_t position = 0;
  (void)state;
  ok(glow_trainer_initialise_pixels(a.trainer, pixels, NULL, BATCH));
  ok(glow_model_dequantise(b.model, pixels, BATCH, 31, 0, x));
  ok(glow_trainer_initialise(b.trainer, x, NULL, BATCH));
  same_bits(a.model, glow_model_parameters(b.model));
  for (int64_t count = BATCH; count > 5; count--) {
    ok(glow_trainer_step_pixels(a.trainer, pixels, NULL, count, NULL));
    ok(glow_model_dequantise(b.model, pixels, count, 31, position, x));
    ok(glow_trainer_step(b.trainer, x, NULL, count, NULL));
    position += (uint64_t)(count * dims);
    same_bits(a.model, glow_model_parameters(b.model));
  }
  free(x);
  free(pixels);
  close_bench(&a);
  close_bench(&b);
}

/* ---- clipping -------------------------------------------------------------------------------- */

static double clamped(double g, double limit) {
  return limit > 0.0 ? fmin(fmax(g, -limit), limit) : g;
}

static double clamped_norm(const float *g, int64_t count, double limit) {
  double sum = 0.0;
  for (int64_t i = 0; i < count; i++)
    sum += pow(clamped((double)g[i], limit), 2.0);
  return sqrt(sum);
}

/* With SGD and rate r the step is -r times the clipped gradient. */
static void check_clip(double clip_norm, double clip_value) {
  const double rate = 1e-3;
  glow_optimizer_options optimizer;
  glow_schedule schedule;
  glow_trainer_options options = plain_sgd(&optimizer, &schedule, rate);
  glow_step_report report = GLOW_STEP_REPORT_INIT;
  options.clip_norm = clip_norm;
  options.clip_value = clip_value;
  bench b = open_bench(1, NULL, &options);
  float *x = new_input(b.context, b.model, BATCH, 1), *before = copy_of_parameters(b.model);
  int64_t count = glow_model_parameter_count(b.model);
  ok(glow_trainer_step(b.trainer, x, NULL, BATCH, &report));
  /* The trainer's gradients are those before clipping. */
  const float *g = glow_workspace_gradients(glow_trainer_workspace(b.trainer));
  double scale = 1.0, norm = 0.0, largest = 0.0;
  if (clip_norm > 0.0)
    scale = clip_norm / clamped_norm(g, count, clip_value);
  for (int64_t i = 0; i < count; i++) {
    double moved = ((double)glow_model_parameters(b.model)[i] - before[i]) / -rate;
    double applied = scale * clamped((double)g[i], clip_value);
    assert_true(fabs(moved - applied) < 1e-6 * fabs(before[i]) / rate + 1e-6);
    norm += applied * applied;
    largest = fmax(largest, fabs(applied));
  }
  assert_true(report.gradient_norm > 0.05); /* so that the limits bite */
  if (clip_value > 0.0)
    assert_true(largest <= (double)(float)clip_value &&
                largest > 0.5 * clip_value * (clip_norm == 0));
  if (clip_norm > 0.0)
    assert_true(fabs(sqrt(norm) - clip_norm) < 1e-5 * clip_norm);
  if (clip_norm == 0.0 && clip_value == 0.0)
    assert_true(fabs(sqrt(norm) - report.gradient_norm) < 1e-6 * report.gradient_norm);
  free(before);
  free(x);
  close_bench(&b);
}

static void test_clipping(void **state) {
  (void)state;
  check_clip(0.0, 0.0);
  check_clip(0.01, 0.0);
  check_clip(0.0, 0.003);
  check_clip(0.001, 0.003);
}

/* The gradients that a step applied to a new trainer, which the momentum of SGD then is, and their
 * norm before clipping. */
static float *applied_gradients(double clip_norm, double *norm, int64_t *count) {
  glow_optimizer_options optimizer;
  glow_schedule schedule;
  glow_trainer_options options = plain_sgd(&optimizer, &schedule, 1e-3);
  glow_step_report report = GLOW_STEP_REPORT_INIT;
  options.clip_norm = clip_norm;
  bench b = open_bench(1, NULL, &options);
  float *x = new_input(b.context, b.model, BATCH, 1);
  ok(glow_trainer_step(b.trainer, x, NULL, BATCH, &report));
  *norm = report.gradient_norm;
  *count = glow_model_parameter_count(b.model);
  size_t bytes = (size_t)*count * sizeof(float);
  float *gradients = malloc(bytes);
  assert_non_null(gradients);
  memcpy(gradients, glow_optimizer_state(glow__trainer_optimizer(b.trainer), 0), bytes);
  free(x);
  close_bench(&b);
  return gradients;
}

/* A norm at the limit or a little below it stays, to the bit; one a little above it is scaled to
 * the limit, each gradient by the same factor. */
static void test_norms_near_the_limit(void **state) {
  static const double limits[] = {1.0 + 1e-12, 1.0, 1.0 - 1e-3, 0.75, 0.5, 0.25};
  double norm = 0.0, same = 0.0;
  int64_t count = 0;
  float *plain = applied_gradients(0.0, &norm, &count);
  (void)state;
  for (size_t l = 0; l < sizeof limits / sizeof *limits; l++) {
    float *clipped = applied_gradients(limits[l] * norm, &same, &count);
    float factor = (float)fmin(limits[l] * norm / norm, 1.0);
    assert_true(same == norm); /* reported as it was before */
    for (int64_t i = 0; i < count; i++)
      assert_true(clipped[i] == factor * plain[i]);
    free(clipped);
  }
  free(plain);
}

static void test_a_high_limit_changes_nothing(void **state) {
  glow_trainer_options options = GLOW_TRAINER_OPTIONS_INIT;
  bench a = open_bench(1, NULL, &options);
  options.clip_norm = 1e6;
  options.clip_value = 1e6;
  bench b = open_bench(1, NULL, &options);
  float *x = new_input(a.context, a.model, BATCH, 1);
  (void)state;
  ok(glow_trainer_step(a.trainer, x, NULL, BATCH, NULL));
  ok(glow_trainer_step(b.trainer, x, NULL, BATCH, NULL));
  same_bits(a.model, glow_model_parameters(b.model));
  free(x);
  close_bench(&a);
  close_bench(&b);
}

/* ---- schedule -------------------------------------------------------------------------------- */

static void test_schedule_is_per_step(void **state) {
  glow_optimizer_options optimizer;
  glow_schedule schedule;
  glow_trainer_options options = plain_sgd(&optimizer, &schedule, 0.02);
  schedule.kind = GLOW_SCHEDULE_COSINE;
  schedule.warmup = 4;
  schedule.steps = 9;
  bench b = open_bench(1, NULL, &options);
  const glow_schedule copy = schedule;
  schedule.rate = 77.0; /* the trainer has its own */
  float *x = new_input(b.context, b.model, BATCH, 1);
  (void)state;
  for (int64_t t = 1; t <= 11; t++) {
    glow_step_report report = GLOW_STEP_REPORT_INIT;
    float *before = copy_of_parameters(b.model);
    ok(glow_trainer_step(b.trainer, x, NULL, BATCH, &report));
    assert_true(report.rate == glow_schedule_rate(&copy, t));
    assert_int_equal(glow_trainer_step_count(b.trainer), t);
    const float *g = glow_workspace_gradients(glow_trainer_workspace(b.trainer));
    for (int64_t i = 0; i < glow_model_parameter_count(b.model); i++)
      assert_true(fabs(glow_model_parameters(b.model)[i] - (before[i] - report.rate * g[i])) <
                  1e-6 * (1.0 + fabs(before[i])));
    free(before);
  }
  free(x);
  close_bench(&b);
}

/* ---- average --------------------------------------------------------------------------------- */

static void test_average(void **state) {
  glow_trainer_options options = GLOW_TRAINER_OPTIONS_INIT;
  (void)state;
  options.average = 1;
  options.average_decay = 0.8;
  bench b = open_bench(1, NULL, &options);
  float *x = new_input(b.context, b.model, BATCH, 1);
  int64_t count = glow_model_parameter_count(b.model);
  double *average = malloc((size_t)count * sizeof *average);
  double log_prob[BATCH], average_log_prob[BATCH];
  refused(glow_trainer_use_average(b.trainer, 1), GLOW_E_STATE, "no step");
  for (int t = 1; t <= 6; t++) {
    ok(glow_trainer_step(b.trainer, x, NULL, BATCH, NULL));
    for (int64_t i = 0; i < count; i++) {
      double p = glow_model_parameters(b.model)[i];
      average[i] = t == 1 ? p : 0.8 * average[i] + 0.2 * p;
    }
  }
  float *trained = copy_of_parameters(b.model);
  ok(glow_workspace_log_prob(glow_trainer_workspace(b.trainer), x, NULL, BATCH, log_prob));
  ok(glow_trainer_use_average(b.trainer, 0)); /* not in use: nothing to do */
  same_bits(b.model, trained);
  ok(glow_trainer_use_average(b.trainer, 1));
  ok(glow_trainer_use_average(b.trainer, 1));
  for (int64_t i = 0; i < count; i++)
    assert_true(fabs(glow_model_parameters(b.model)[i] - average[i]) <
                1e-6 * (1.0 + fabs(average[i])));
  ok(glow_workspace_log_prob(glow_trainer_workspace(b.trainer), x, NULL, BATCH, average_log_prob));
  assert_true(average_log_prob[0] != log_prob[0]);
  refused(glow_trainer_step(b.trainer, x, NULL, BATCH, NULL), GLOW_E_STATE, "average");
  ok(glow_trainer_use_average(b.trainer, 0));
  same_bits(b.model, trained);
  ok(glow_workspace_log_prob(glow_trainer_workspace(b.trainer), x, NULL, BATCH, average_log_prob));
  assert_memory_equal(average_log_prob, log_prob, sizeof log_prob);
  ok(glow_trainer_step(b.trainer, x, NULL, BATCH, NULL));
  assert_int_equal(glow_trainer_use_average(b.trainer, 2), GLOW_E_ARGUMENT);
  free(trained);
  free(average);
  free(x);
  close_bench(&b);
  b = open_bench(1, NULL, NULL);
  refused(glow_trainer_use_average(b.trainer, 1), GLOW_E_STATE, "without");
  close_bench(&b);
}

/* An average of two good matrices may be singular: W and -W with equal weights. */
static void test_singular_average_is_refused(void **state) {
  glow_optimizer_options optimizer;
  glow_schedule schedule;
  glow_trainer_options options = plain_sgd(&optimizer, &schedule, 0.0);
  const char *name = "level0.step1.invconv.weight";
  glow_tensor_info info = GLOW_TENSOR_INFO_INIT;
  (void)state;
  options.average = 1;
  options.average_decay = 0.5;
  bench b = open_bench(1, NULL, &options);
  float *x = new_input(b.context, b.model, BATCH, 1);
  ok(glow_trainer_step(b.trainer, x, NULL, BATCH, NULL));
  ok(glow_model_find_tensor(b.model, name, &info));
  float *w = glow_model_parameters_mutable(b.model) + info.offset;
  for (int64_t i = 0; i < info.elements; i++)
    w[i] = -w[i];
  ok(glow_model_prepare(b.model));
  ok(glow_trainer_step(b.trainer, x, NULL, BATCH, NULL));
  float *before = copy_of_parameters(b.model);
  refused(glow_trainer_use_average(b.trainer, 1), GLOW_E_NUMERIC, "'level0.step1.invconv'");
  same_bits(b.model, before);
  ok(glow_trainer_step(b.trainer, x, NULL, BATCH, NULL));
  free(before);
  free(x);
  close_bench(&b);
}

/* ---- refusals -------------------------------------------------------------------------------- */

static void set_one(glow_model *model, const char *tensor, float value) {
  glow_tensor_info info = GLOW_TENSOR_INFO_INIT;
  ok(glow_model_find_tensor(model, tensor, &info));
  glow_model_parameters_mutable(model)[info.offset] = value;
  ok(glow_model_prepare(model));
}

/* Between good steps on `a`, steps on a bad input and on a spoilt layer; `b` has only the good
 * ones. */
static void test_refused_steps_change_nothing(void **state) {
  glow_trainer_options options = GLOW_TRAINER_OPTIONS_INIT;
  (void)state;
  options.average = 1;
  options.micro_batch = 5;
  bench a = open_bench(1, NULL, &options), b = open_bench(1, NULL, &options);
  int64_t dims = glow_model_dims(a.model);
  uint8_t *pixels = new_pixels(a.context, a.model, BATCH, 6);
  float *x = new_input(a.context, a.model, BATCH, 1);
  for (int t = 1; t <= 3; t++) {
    glow_step_report report = GLOW_STEP_REPORT_INIT, expected = GLOW_STEP_REPORT_INIT;
    ok(glow_trainer_step_pixels(a.trainer, pixels, NULL, BATCH, &report));
    ok(glow_trainer_step_pixels(b.trainer, pixels, NULL, BATCH, &expected));
    assert_memory_equal(&report, &expected, sizeof report);
    float *before = copy_of_parameters(a.model);
    float kept = x[(BATCH - 1) * dims + 3];
    x[(BATCH - 1) * dims + 3] = t == 1 ? NAN : t == 2 ? INFINITY : -INFINITY;
    refused(glow_trainer_step(a.trainer, x, NULL, BATCH, &report), GLOW_E_NUMERIC, "input");
    x[(BATCH - 1) * dims + 3] = kept;
    same_bits(a.model, before);

    const char *name = "level0.step1.actnorm.bias";
    glow_tensor_info info = GLOW_TENSOR_INFO_INIT;
    ok(glow_model_find_tensor(a.model, name, &info));
    set_one(a.model, name, INFINITY);
    float *spoilt = copy_of_parameters(a.model);
    refused(glow_trainer_step_pixels(a.trainer, pixels, NULL, BATCH, &report), GLOW_E_NUMERIC,
            "'level0.step1.actnorm'");
    same_bits(a.model, spoilt);
    set_one(a.model, name, before[info.offset]);
    assert_int_equal(glow_trainer_step_count(a.trainer), t);
    free(spoilt);
    free(before);
  }
  same_bits(a.model, glow_model_parameters(b.model));
  ok(glow_trainer_use_average(a.trainer, 1));
  ok(glow_trainer_use_average(b.trainer, 1));
  same_bits(a.model, glow_model_parameters(b.model));
  free(x);
  free(pixels);
  close_bench(&a);
  close_bench(&b);
}

/* A rate beyond the range of float: nothing finite is left of the first layer. */
static void test_update_that_cannot_be_prepared(void **state) {
  glow_optimizer_options optimizer;
  glow_schedule schedule;
  glow_trainer_options options = plain_sgd(&optimizer, &schedule, 1e39);
  (void)state;
  bench b = open_bench(1, NULL, &options);
  float *x = new_input(b.context, b.model, BATCH, 1), *before = copy_of_parameters(b.model);
  refused(glow_trainer_step(b.trainer, x, NULL, BATCH, NULL), GLOW_E_NUMERIC,
          "step 1 refused: layer");
  same_bits(b.model, before);
  assert_int_equal(glow_trainer_step_count(b.trainer), 0);
  free(before);
  free(x);
  close_bench(&b);
}

static int32_t recomputes(glow_trainer *trainer) {
  glow_workspace_info info = GLOW_WORKSPACE_INFO_INIT;
  ok(glow_workspace_get_info(glow_trainer_workspace(trainer), &info));
  return info.recomputes;
}

/* A bound that any drift is past. A step that is made stays with running layers again; that of a
 * step that is refused does not count. */
static void test_drift_of_refused_step(void **state) {
  glow_optimizer_options optimizer;
  glow_schedule schedule;
  glow_trainer_options options = plain_sgd(&optimizer, &schedule, 1e39);
  glow_schedule fine = GLOW_SCHEDULE_INIT;
  (void)state;
  options.mode = GLOW_MODE_RECONSTRUCTED;
  options.drift_bound = 1e-300;
  bench b = open_bench(1, NULL, &options);
  float *x = new_input(b.context, b.model, BATCH, 1);
  refused(glow_trainer_step(b.trainer, x, NULL, BATCH, NULL), GLOW_E_NUMERIC,
          "step 1 refused: layer");
  assert_int_equal(recomputes(b.trainer), 0);
  ok(glow_trainer_set_schedule(b.trainer, &fine));
  ok(glow_trainer_step(b.trainer, x, NULL, BATCH, NULL));
  assert_int_equal(recomputes(b.trainer), 1);
  free(x);
  close_bench(&b);
}

/* ---- a layer whose gradient can be made NaN -------------------------------------------------- */

typedef struct faulty {
  const bool *broken;
  int64_t size;
  int32_t tensor;
} faulty;

static glow_status faulty_configure(void *self, glow_setup *setup, const glow_shape *input,
                                    glow_shape *output) {
  faulty *f = self;
  const int64_t one = 1;
  f->size = input->height * input->width * input->channels;
  *output = *input;
  return glow_setup_tensor(setup, "unused", GLOW_TYPE_F32, 1, 1, &one, &f->tensor);
}

static void faulty_forward(const void *self, const glow_call *call, const float *x, float *y,
                           double *logdet, double *logprior) {
  (void)logdet;
  (void)logprior;
  memcpy(y, x, (size_t)(glow_call_sample_count(call) * ((const faulty *)self)->size) * sizeof *y);
}

static glow_status faulty_inverse(const void *self, const glow_call *call, const float *y, float *x,
                                  double *logdet, double *logprior) {
  (void)logprior;
  faulty_forward(self, call, y, x, logdet, NULL);
  return GLOW_OK;
}

static void faulty_backward(const void *self, const glow_call *call,
                            const glow_layer_gradient *gradient) {
  const faulty *f = self;
  faulty_forward(self, call, gradient->dy, gradient->dx, NULL, NULL);
  if (*f->broken)
    glow_call_gradient(call, f->tensor)[0] += NAN;
}

static glow_layer *new_faulty(glow_context *context, const bool *broken) {
  const glow_layer_ops ops = {.struct_size = sizeof ops,
                              .type = "faulty",
                              .configure = faulty_configure,
                              .forward = faulty_forward,
                              .inverse = faulty_inverse,
                              .backward = faulty_backward,
                              .self_size = sizeof(faulty)};
  glow_layer *layer = NULL;
  ok(glow_layer_create(context, &ops, NULL, NULL, &layer));
  ((faulty *)glow_layer_self(layer))->broken = broken;
  return layer;
}

static void test_nonfinite_gradient_names_the_layer(void **state) {
  const glow_shape shape = {4, 4, 2};
  bool broken = false;
  glow_context *context = new_context(1, NULL);
  glow_builder *builder = NULL;
  glow_layer *layer = new_faulty(context, &broken);
  glow_model *model = NULL;
  glow_trainer *trainer = NULL;
  (void)state;
  ok(glow_builder_create(context, &shape, NULL, &builder));
  ok(glow_builder_add(builder, "the.culprit", &layer));
  ok(glow_prior_create(context, NULL, &layer));
  ok(glow_builder_add(builder, "prior", &layer));
  ok(glow_builder_finish(&builder, &model));
  ok(glow_model_prepare(model));
  ok(glow_trainer_create(model, NULL, &trainer));
  float *x = new_input(context, model, BATCH, 1);
  ok(glow_trainer_step(trainer, x, NULL, BATCH, NULL));
  float *before = copy_of_parameters(model);
  broken = true;
  refused(glow_trainer_step(trainer, x, NULL, BATCH, NULL), GLOW_E_NUMERIC, "'the.culprit'");
  same_bits(model, before);
  assert_int_equal(glow_trainer_step_count(trainer), 1);
  broken = false;
  ok(glow_trainer_step(trainer, x, NULL, BATCH, NULL));
  free(before);
  free(x);
  glow_trainer_destroy(&trainer);
  glow_model_destroy(&model);
  glow_context_destroy(&context);
}

/* ---- threads, memory, arguments -------------------------------------------------------------- */

static void test_threads_do_not_matter(void **state) {
  float *expected = NULL;
  (void)state;
  for (uint32_t threads = 1; threads <= 4; threads *= 2) {
    glow_trainer_options options = GLOW_TRAINER_OPTIONS_INIT;
    options.average = 1;
    options.clip_norm = 0.5;
    bench b = open_bench(threads, NULL, &options);
    uint8_t *pixels = new_pixels(b.context, b.model, BATCH, 3);
    for (int t = 0; t < 20; t++)
      ok(glow_trainer_step_pixels(b.trainer, pixels, NULL, BATCH, NULL));
    ok(glow_trainer_use_average(b.trainer, 1));
    if (threads == 1)
      expected = copy_of_parameters(b.model);
    same_bits(b.model, expected);
    free(pixels);
    close_bench(&b);
  }
  free(expected);
}

static void test_memory(void **state) {
  counter c = {0, 0, 0};
  glow_context *context = new_context(1, &c);
  glow_model *model = new_stirred_model(context, NULL);
  uint8_t *pixels = new_pixels(context, model, BATCH, 3);
  size_t live = c.live;
  glow_status status = GLOW_E_MEMORY;
  (void)state;
  for (size_t n = 1; status != GLOW_OK; n++) {
    glow_trainer_options options = GLOW_TRAINER_OPTIONS_INIT;
    glow_trainer *trainer = NULL;
    options.average = 1;
    options.micro_batch = 5;
    c.calls = 0;
    c.fail_at = n;
    status = glow_trainer_create(model, &options, &trainer);
    assert_true(status == GLOW_OK ? trainer != NULL : status == GLOW_E_MEMORY && !trainer);
    c.fail_at = 0;
    size_t calls = c.calls;
    for (int t = 0; trainer && t < 3; t++)
      ok(glow_trainer_step_pixels(trainer, pixels, NULL, BATCH, NULL));
    assert_int_equal(c.calls, calls); /* steps allocate nothing */
    glow_trainer_destroy(&trainer);
    assert_int_equal(c.live, live);
  }
  free(pixels);
  glow_model_destroy(&model);
  glow_context_destroy(&context);
  assert_int_equal(c.live, 0);
}

static void test_arguments(void **state) {
  bench b = open_bench(1, NULL, NULL);
  glow_trainer *none = NULL;
  glow_step_report small = GLOW_STEP_REPORT_INIT;
  float *x = new_input(b.context, b.model, 1, 1), *before = copy_of_parameters(b.model);
  (void)state;
  assert_int_equal(glow_trainer_create(NULL, NULL, &none), GLOW_E_ARGUMENT);
  assert_int_equal(glow_trainer_create(b.model, NULL, NULL), GLOW_E_ARGUMENT);
#define EXPECT_BAD(field, value)                                                                   \
  do {                                                                                             \
    glow_trainer_options o = GLOW_TRAINER_OPTIONS_INIT;                                            \
    o.field = value;                                                                               \
    assert_int_equal(glow_trainer_create(b.model, &o, &none), GLOW_E_ARGUMENT);                    \
    assert_null(none);                                                                             \
  } while (0)
  EXPECT_BAD(struct_size, 0);
  EXPECT_BAD(micro_batch, 0);
  EXPECT_BAD(mode, GLOW_MODE_INFERENCE);
  EXPECT_BAD(mode, 9);
  EXPECT_BAD(average, 2);
  EXPECT_BAD(average_decay, 1.0);
  EXPECT_BAD(average_decay, (double)NAN);
  EXPECT_BAD(clip_norm, -1.0);
  EXPECT_BAD(clip_value, (double)NAN);
#undef EXPECT_BAD
  assert_int_equal(glow_trainer_step(NULL, x, NULL, 1, NULL), GLOW_E_ARGUMENT);
  assert_int_equal(glow_trainer_step(b.trainer, NULL, NULL, 1, NULL), GLOW_E_ARGUMENT);
  assert_int_equal(glow_trainer_step(b.trainer, x, NULL, 0, NULL), GLOW_E_ARGUMENT);
  assert_int_equal(glow_trainer_step(b.trainer, x, NULL, -3, NULL), GLOW_E_ARGUMENT);
  assert_int_equal(glow_trainer_step(b.trainer, x, NULL, INT64_MAX, NULL), GLOW_E_LIMIT);
  assert_int_equal(glow_trainer_step_pixels(b.trainer, NULL, NULL, 1, NULL), GLOW_E_ARGUMENT);
  small.struct_size = 8;
  assert_int_equal(glow_trainer_step(b.trainer, x, NULL, 1, &small), GLOW_E_ARGUMENT);
  assert_int_equal(glow_trainer_initialise(b.trainer, NULL, NULL, 1), GLOW_E_ARGUMENT);
  assert_int_equal(glow_trainer_use_average(NULL, 1), GLOW_E_ARGUMENT);
  assert_int_equal(glow_trainer_step_count(b.trainer), 0);
  assert_int_equal(glow_trainer_step_count(NULL), 0);
  assert_null(glow_trainer_workspace(NULL));
  same_bits(b.model, before);
  glow_trainer_destroy(&none);
  glow_trainer_destroy(NULL);
  free(before);
  free(x);
  close_bench(&b);
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(test_step_by_hand),
      cmocka_unit_test(test_micro_batches),
      cmocka_unit_test(test_training_lowers_the_loss),
      cmocka_unit_test(test_pixels_are_dequantised_floats),
      cmocka_unit_test(test_clipping),
      cmocka_unit_test(test_norms_near_the_limit),
      cmocka_unit_test(test_a_high_limit_changes_nothing),
      cmocka_unit_test(test_schedule_is_per_step),
      cmocka_unit_test(test_average),
      cmocka_unit_test(test_singular_average_is_refused),
      cmocka_unit_test(test_refused_steps_change_nothing),
      cmocka_unit_test(test_update_that_cannot_be_prepared),
      cmocka_unit_test(test_drift_of_refused_step),
      cmocka_unit_test(test_nonfinite_gradient_names_the_layer),
      cmocka_unit_test(test_threads_do_not_matter),
      cmocka_unit_test(test_memory),
      cmocka_unit_test(test_arguments),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
