/* The classifier's part of the loss: by hand, over micro-batches, with labels that are missing, and
 * what is refused. SPDX-License-Identifier: MIT */
#include "fixture.h"

enum { BATCH = 13, CLASSES = 3 };

/* Some are not known. */
static const int32_t labels[BATCH] = {0, 1, -1, 2, 2, -1, 0, 1, 1, -1, 0, 2, 1};
static const double labelled = 10;

static glow_glow_options model_options(void) {
  glow_glow_options o = small_options();
  o.classes = CLASSES;
  o.classifier = 1;
  return o;
}

typedef struct bench {
  glow_context *context;
  glow_model *model;
  glow_trainer *trainer;
} bench;

static bench open_bench(uint32_t threads, const glow_trainer_options *options) {
  bench b = {new_context(threads, NULL), NULL, NULL};
  glow_glow_options o = model_options();
  b.model = new_stirred_model(b.context, &o);
  ok(glow_trainer_create(b.model, options, &b.trainer));
  return b;
}

static void close_bench(bench *b) {
  glow_trainer_destroy(&b->trainer);
  glow_model_destroy(&b->model);
  glow_context_destroy(&b->context);
}

/* Gradients of bits/dim + weight (mean cross-entropy in bits), and the mean and the accuracy. */
static void by_hand(const bench *b, glow_workspace *ws, const float *x, double weight,
                    double *class_loss, double *accuracy) {
  double to_bits = 1 / log(2.0), loss = 0, right = 0, weights[BATCH];
  float d[BATCH * CLASSES] = {0};
  glow_backward_options o = GLOW_BACKWARD_OPTIONS_INIT;
  ok(glow_workspace_zero_gradients(ws));
  ok(glow_workspace_forward(
      ws, x, BATCH,
      &(glow_forward_options){.struct_size = sizeof(glow_forward_options), .labels = labels}));
  for (int i = 0; i < BATCH; i++) {
    const float *l = glow_workspace_logits(ws) + i * CLASSES;
    double p[CLASSES], sum = 0;
    weights[i] = -to_bits / (BATCH * (double)glow_model_dims(b->model));
    for (int k = 0; k < CLASSES; k++)
      sum += exp((double)l[k]);
    for (int k = 0; labels[i] >= 0 && k < CLASSES; k++) {
      p[k] = exp((double)l[k]) / sum;
      d[i * CLASSES + k] = (float)(weight * to_bits / labelled * (p[k] - (k == labels[i])));
    }
    if (labels[i] >= 0) {
      double q = p[labels[i]];
      loss -= log(q) * to_bits / labelled;
      right += (q >= p[0] && q >= p[1] && q >= p[2]) / labelled;
    }
  }
  o.weight = weights;
  o.d_logits = d;
  ok(glow_workspace_backward(ws, &o));
  *class_loss = loss;
  *accuracy = right;
}

static void test_step_by_hand(void **state) {
  glow_trainer_options options = GLOW_TRAINER_OPTIONS_INIT;
  (void)state;
  options.class_weight = 0.7;
  options.micro_batch = 5;
  bench b = open_bench(1, &options), other = open_bench(1, &options);
  glow_workspace_options ws_options = GLOW_WORKSPACE_OPTIONS_INIT;
  glow_workspace *ws = NULL;
  glow_optimizer *optimizer = NULL;
  float *x = new_input(b.context, b.model, BATCH, 1);
  ws_options.batch = BATCH;
  ws_options.mode = GLOW_MODE_STORED;
  ok(glow_workspace_create(other.model, &ws_options, &ws));
  ok(glow_optimizer_create(other.model, NULL, &optimizer));
  for (int t = 1; t <= 3; t++) {
    glow_step_report report = GLOW_STEP_REPORT_INIT;
    double class_loss, accuracy, norm = 0;
    by_hand(&other, ws, x, 0.7, &class_loss, &accuracy);
    for (int64_t i = 0; i < glow_model_parameter_count(b.model); i++)
      norm += pow((double)glow_workspace_gradients(ws)[i], 2);
    ok(glow_optimizer_step(optimizer, other.model, glow_workspace_gradients(ws), 1e-3));
    ok(glow_trainer_step(b.trainer, x, labels, BATCH, &report));
    assert_true(fabs(report.class_loss - class_loss) < 1e-5 * class_loss);
    assert_true(fabs(report.accuracy - accuracy) < 1e-12);
    assert_true(fabs(report.gradient_norm - sqrt(norm)) < 1e-4 * sqrt(norm));
    /* Adam divides by gradients' sizes: float32 of other sums, over small ones */
    assert_true(relative(glow_model_parameters(b.model), glow_model_parameters(other.model),
                         glow_model_parameter_count(b.model)) < 1e-4);
  }
  free(x);
  glow_optimizer_destroy(&optimizer);
  glow_workspace_destroy(&ws);
  close_bench(&b);
  close_bench(&other);
}

static void test_not_applicable(void **state) {
  static const int32_t unknown[BATCH] = {-1, -1, -1, -1, -1, -1, -1, -1, -1, -1, -1, -1, -1};
  glow_step_report report = GLOW_STEP_REPORT_INIT;
  (void)state;
  bench b = open_bench(1, NULL);
  float *x = new_input(b.context, b.model, BATCH, 1);
  ok(glow_trainer_step(b.trainer, x, unknown, BATCH, &report));
  assert_true(isnan(report.class_loss) && isnan(report.accuracy) && isfinite(report.loss));
  ok(glow_trainer_step(b.trainer, x, labels, BATCH, &report));
  assert_true(isfinite(report.class_loss) && isfinite(report.accuracy));
  report.struct_size = offsetof(glow_step_report, class_loss); /* a program of an older version */
  report.class_loss = 77;
  ok(glow_trainer_step(b.trainer, x, labels, BATCH, &report));
  assert_true(report.class_loss == 77 && report.step == 3);
  close_bench(&b);
  bench plain = {new_context(1, NULL), NULL, NULL};
  plain.model = new_stirred_model(plain.context, NULL);
  ok(glow_trainer_create(plain.model, NULL, &plain.trainer));
  report.struct_size = sizeof report;
  ok(glow_trainer_step(plain.trainer, x, NULL, BATCH, &report));
  assert_true(isnan(report.class_loss) && isnan(report.accuracy));
  free(x);
  close_bench(&plain);
}

/* Weight 0: the classifier's loss is reported, and it is not trained. */
static void test_weight_0(void **state) {
  glow_trainer_options options = GLOW_TRAINER_OPTIONS_INIT;
  glow_step_report report = GLOW_STEP_REPORT_INIT;
  float before[CLASSES * 16], after[CLASSES * 16];
  (void)state;
  options.class_weight = 0;
  bench b = open_bench(1, &options);
  float *x = new_input(b.context, b.model, BATCH, 1);
  ok(glow_model_get_tensor(b.model, "prior.class_weight", before, CLASSES * 16));
  ok(glow_trainer_step(b.trainer, x, labels, BATCH, &report));
  ok(glow_model_get_tensor(b.model, "prior.class_weight", after, CLASSES * 16));
  assert_memory_equal(before, after, sizeof before);
  assert_true(isfinite(report.class_loss));
  free(x);
  close_bench(&b);
}

static void test_refusals(void **state) {
  const double bad[] = {-0.1, NAN, INFINITY};
  const float bias[CLASSES] = {0, INFINITY, 0};
  glow_trainer_options options = GLOW_TRAINER_OPTIONS_INIT;
  (void)state;
  bench b = open_bench(1, NULL);
  float *x = new_input(b.context, b.model, BATCH, 1);
  for (int i = 0; i < 3; i++) {
    glow_trainer *trainer = NULL;
    options.class_weight = bad[i];
    refused(glow_trainer_create(b.model, &options, &trainer), GLOW_E_ARGUMENT, "class_weight");
  }
  ok(glow_model_set_tensor(b.model, "prior.class_bias", bias, CLASSES));
  ok(glow_model_prepare(b.model));
  refused(glow_trainer_step(b.trainer, x, labels, BATCH, NULL), GLOW_E_NUMERIC, "'prior'");
  assert_int_equal(glow_trainer_step_count(b.trainer), 0);
  free(x);
  close_bench(&b);
}

/* The same bits for any number of threads, with all kinds of samples. */
static void test_threads(void **state) {
  float *first = NULL;
  int64_t count = 0;
  (void)state;
  for (uint32_t threads = 1; threads <= 4; threads *= 2) {
    glow_trainer_options options = GLOW_TRAINER_OPTIONS_INIT;
    options.class_weight = 0.5;
    bench b = open_bench(threads, &options);
    float *x = new_input(b.context, b.model, BATCH, 1);
    count = glow_model_parameter_count(b.model);
    for (int t = 0; t < 5; t++)
      ok(glow_trainer_step(b.trainer, x, labels, BATCH, NULL));
    if (!first) {
      first = malloc((size_t)count * sizeof *first);
      assert_non_null(first);
      memcpy(first, glow_model_parameters(b.model), (size_t)count * sizeof *first);
    }
    assert_memory_equal(first, glow_model_parameters(b.model), (size_t)count * sizeof *first);
    free(x);
    close_bench(&b);
  }
  free(first);
}

/* The n-th allocation fails, for n = 1, 2, ... */
static void test_memory_runs_out(void **state) {
  counter c = {0};
  glow_context *context = new_context(1, &c);
  glow_glow_options o = model_options();
  glow_model *model = new_stirred_model(context, &o);
  float *x = new_input(context, model, BATCH, 1);
  size_t live = c.live;
  glow_status status = GLOW_E_MEMORY;
  (void)state;
  for (size_t n = 1; status == GLOW_E_MEMORY; n++) {
    glow_trainer *trainer = NULL;
    c.calls = 0;
    c.fail_at = n;
    status = glow_trainer_create(model, NULL, &trainer);
    if (status == GLOW_OK)
      status = glow_trainer_step(trainer, x, labels, BATCH, NULL);
    glow_trainer_destroy(&trainer);
    assert_int_equal(c.live, live);
  }
  ok(status);
  assert_true(c.calls < c.fail_at);
  free(x);
  glow_model_destroy(&model);
  glow_context_destroy(&context);
}

/* Classes that differ in brightness are told apart, through the flow and by its classifier. */
static void test_learns(void **state) {
  glow_schedule schedule = GLOW_SCHEDULE_INIT;
  glow_trainer_options options = GLOW_TRAINER_OPTIONS_INIT;
  glow_glow_options o = model_options();
  glow_step_report report = GLOW_STEP_REPORT_INIT;
  enum { COUNT = 30 };
  int32_t classes[COUNT];
  (void)state;
  schedule.rate = 5e-3;
  options.schedule = &schedule;
  options.class_weight = 1;
  bench b = {new_context(1, NULL), NULL, NULL};
  b.model = new_model(b.context, &o);
  ok(glow_trainer_create(b.model, &options, &b.trainer));
  uint8_t *pixels = new_pixels(b.context, b.model, COUNT, 8);
  int64_t dims = glow_model_dims(b.model);
  for (int64_t i = 0; i < COUNT * dims; i++) {
    classes[i / dims] = (int32_t)(i / dims % CLASSES);
    pixels[i] = (uint8_t)(pixels[i] / 4 + 60 * classes[i / dims]);
  }
  ok(glow_trainer_initialise_pixels(b.trainer, pixels, classes, COUNT));
  ok(glow_trainer_step_pixels(b.trainer, pixels, classes, COUNT, &report));
  /* it starts at 0: all classes are as likely, and the first is taken */
  assert_true(fabs(report.class_loss - log2(3.0)) < 1e-6);
  assert_true(fabs(report.accuracy - 1.0 / 3) < 1e-12);
  for (int t = 0; t < 80; t++)
    ok(glow_trainer_step_pixels(b.trainer, pixels, classes, COUNT, &report));
  if (!(report.accuracy == 1.0 && report.class_loss < 0.5))
    fail_msg("accuracy %g, %g bits", report.accuracy, report.class_loss);
  free(pixels);
  close_bench(&b);
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(test_step_by_hand),    cmocka_unit_test(test_not_applicable),
      cmocka_unit_test(test_weight_0),        cmocka_unit_test(test_refusals),
      cmocka_unit_test(test_threads),         cmocka_unit_test(test_learns),
      cmocka_unit_test(test_memory_runs_out),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
