/* Runs of steps with callbacks, and the way between pixels and floats.
 * SPDX-License-Identifier: MIT */
#include <glow/sys/call.h>
#include <glow/sys/math.h>

#include "fixture.h"

enum { BATCH = 6 };

/* ---- pixels ---------------------------------------------------------------------------------- */

static glow_model *model_of_bits(glow_context *context, int32_t bits) {
  glow_glow_options o = small_options();
  o.bits = bits;
  return new_model(context, &o);
}

static void test_pixels_there_and_back(void **state) {
  glow_context *context = new_context(2, NULL);
  (void)state;
  for (int32_t bits = 1; bits <= 8; bits++) {
    glow_model *model = model_of_bits(context, bits);
    int64_t count = 200, elements = count * glow_model_dims(model);
    uint8_t *pixels = malloc((size_t)elements), *back = malloc((size_t)elements);
    float *x = malloc((size_t)elements * sizeof *x), *part = malloc((size_t)elements * sizeof *x);
    double n = (double)(1 << bits), mean = 0.0;
    for (int64_t i = 0; i < elements; i++)
      pixels[i] = (uint8_t)(i * 7 + i / 256);
    ok(glow_model_dequantise(model, pixels, count, 12, 1000, x));
    for (int64_t i = 0; i < elements; i++) {
      double level = floor(pixels[i] / (256.0 / n)), u = ((double)x[i] + 0.5) * n - level;
      assert_true(u >= 0.0 && u < 1.0); /* in the bin, to the last bit */
      mean += u / (double)elements;
    }
    assert_true(fabs(mean - 0.5) < 5.0 * sqrt(1.0 / 12.0 / (double)elements));
    ok(glow_model_quantise(model, x, count, back));
    for (int64_t i = 0; i < elements; i++)
      assert_int_equal(back[i], (pixels[i] >> (8 - bits)) << (8 - bits));
    /* In parts, with the position moved along: the same bits. */
    ok(glow_model_dequantise(model, pixels, 77, 12, 1000, part));
    int64_t done = 77 * glow_model_dims(model);
    ok(glow_model_dequantise(model, pixels + done, count - 77, 12, 1000 + (uint64_t)done,
                             part + done));
    assert_memory_equal(x, part, (size_t)elements * sizeof *x);
    free(pixels);
    free(back);
    free(x);
    free(part);
    glow_model_destroy(&model);
  }
  glow_context_destroy(&context);
}

/* To the bit: x = (q + u) / n - 1/2 with u the noise at the element's position; the sum is exact in
 * double, and where float32 rounds it up into the next bin, the float below. 100,000 elements, so
 * that tasks and runs of noise begin inside; and the noise reaches both ends of a bin: that no u of
 * so many is within 2^-12 of an end has a chance of e^-24. */
static void test_noise_is_the_stated_one(void **state) {
  enum { SAMPLES = 800 };
  const uint64_t seed = 77, position = 12345;
  glow_context *context = new_context(2, NULL);
  (void)state;
  for (int32_t bits = 1; bits <= 8; bits++) {
    glow_model *model = model_of_bits(context, bits);
    int64_t elements = SAMPLES * glow_model_dims(model);
    uint8_t *pixels = malloc((size_t)elements);
    float *x = malloc((size_t)elements * sizeof *x), *u = malloc((size_t)elements * sizeof *u);
    double n = (double)(1 << bits), low = 1.0, high = 0.0, mean = 0.0, square = 0.0;
    for (int64_t i = 0; i < elements; i++)
      pixels[i] = (uint8_t)(i * 11 + i / 256);
    glow_random_uniform(seed, GLOW_STREAM_NOISE, position, u, elements);
    ok(glow_model_dequantise(model, pixels, SAMPLES, seed, position, x));
    for (int64_t i = 0; i < elements; i++) {
      double level = floor(pixels[i] / (256.0 / n));
      float want = (float)((level + (double)u[i]) / n - 0.5);
      float end = (float)((level + 1.0) / n - 0.5);
      assert_true(x[i] == (want < end ? want : nextafterf(end, -1.0f)));
      double share = ((double)x[i] + 0.5) * n - level;
      low = fmin(low, share);
      high = fmax(high, share);
      mean += share / (double)elements;
      square += (share - 0.5) * (share - 0.5) / (double)elements;
    }
    assert_true(low < 0x1p-12 && high > 1.0 - 0x1p-12);
    /* Five standard deviations, of the mean and of the variance: those of (u - 1/2) and of
     * (u - 1/2)^2 are 1/12 and 1/180. */
    assert_true(fabs(mean - 0.5) < 5.0 * sqrt(1.0 / 12.0 / (double)elements));
    assert_true(fabs(square - 1.0 / 12.0) < 5.0 * sqrt(1.0 / 180.0 / (double)elements));
    free(pixels);
    free(x);
    free(u);
    glow_model_destroy(&model);
  }
  glow_context_destroy(&context);
}

static void test_quantise_out_of_range(void **state) {
  glow_context *context = new_context(1, NULL);
  glow_model *model = model_of_bits(context, 5);
  float x[128] = {NAN, -INFINITY, INFINITY, -0.5f, 0.5f, 0.49999997f, -3.0f, 9.0f, 0.0f, -1e-9f};
  static const uint8_t expected[] = {0, 0, 255, 0, 255, 248, 0, 255, 128, 120};
  uint8_t pixels[128];
  (void)state;
  assert_int_equal(glow_model_dims(model), 128);
  ok(glow_model_quantise(model, x, 1, pixels));
  for (size_t i = 0; i < sizeof expected; i++)
    assert_int_equal(pixels[i], expected[i]);
  glow_model_destroy(&model);
  glow_context_destroy(&context);
}

static void test_pixels_need_bits(void **state) {
  glow_context *context = new_context(1, NULL);
  glow_model *model = model_of_bits(context, 0), *good = model_of_bits(context, 8);
  uint8_t pixels[128] = {0};
  float x[128] = {0};
  (void)state;
  assert_int_equal(glow_model_dequantise(model, pixels, 1, 0, 0, x), GLOW_E_STATE);
  assert_int_equal(glow_model_quantise(model, x, 1, pixels), GLOW_E_STATE);
  assert_int_equal(glow_model_dequantise(good, pixels, 0, 0, 0, x), GLOW_E_ARGUMENT);
  assert_int_equal(glow_model_dequantise(good, NULL, 1, 0, 0, x), GLOW_E_ARGUMENT);
  assert_int_equal(glow_model_dequantise(NULL, pixels, 1, 0, 0, x), GLOW_E_ARGUMENT);
  assert_int_equal(glow_model_quantise(good, x, -1, pixels), GLOW_E_ARGUMENT);
  assert_int_equal(glow_model_quantise(good, x, INT64_MAX, pixels), GLOW_E_LIMIT);
  glow_model_destroy(&model);
  glow_model_destroy(&good);
  glow_context_destroy(&context);
}

/* ---- runs ------------------------------------------------------------------------------------ */

typedef struct source {
  const uint8_t *pixels;
  int32_t classes;
  int64_t calls, last_step;
  int64_t fail_at; /* step at which the callback fails */
  glow_status fail_with;
  bool fail_with_text;
  int32_t bad_label;
  int64_t more; /* samples than were asked for */
  int32_t labels[BATCH];
} source;

static glow_status next_batch(int64_t step, glow_batch *batch, void *payload) {
  source *s = payload;
  assert_int_equal(batch->struct_size, sizeof *batch);
  assert_true(!batch->x && !batch->pixels && !batch->labels && !batch->condition &&
              !batch->condition_count && !batch->weights);
  s->calls++;
  s->last_step = step;
  if (step == s->fail_at) {
    if (s->fail_with_text)
      glow_error(s->fail_with, "the disk is on fire");
    return s->fail_with;
  }
  batch->count += s->more;
  batch->pixels = s->pixels ? s->pixels + step % 3 : NULL;
  for (int64_t i = 0; s->classes && i < BATCH; i++)
    s->labels[i] = (int32_t)((i + step) % s->classes) + s->bad_label;
  batch->labels = s->classes ? s->labels : NULL;
  return GLOW_OK;
}

typedef struct watch {
  int64_t reports;
  int64_t cancel_at;
  double loss;
} watch;

static int32_t progress(const glow_step_report *report, void *payload) {
  watch *w = payload;
  w->reports++;
  assert_int_equal(report->struct_size, sizeof *report);
  assert_int_equal(report->step, w->reports);
  w->loss = report->loss;
  return report->step == w->cancel_at;
}

static glow_trainer *new_trainer(glow_model *model) {
  glow_trainer_options options = GLOW_TRAINER_OPTIONS_INIT;
  glow_trainer *trainer = NULL;
  options.micro_batch = 4;
  ok(glow_trainer_create(model, &options, &trainer));
  return trainer;
}

static void check_run(int32_t classes) {
  glow_glow_options options = small_options();
  options.classes = classes;
  glow_context *context = new_context(1, NULL);
  glow_model *a = new_stirred_model(context, &options), *b = new_stirred_model(context, &options);
  glow_trainer *ta = new_trainer(a), *tb = new_trainer(b);
  uint8_t *pixels = new_pixels(context, a, BATCH + 1, 5);
  source s = {.pixels = pixels, .classes = classes};
  watch w = {0, 0, 0.0};
  ok(run(ta, 3, BATCH, next_batch, &s, progress, &w));
  ok(run(ta, 0, BATCH, next_batch, &s, NULL, NULL));
  ok(run(ta, 2, BATCH, next_batch, &s, NULL, NULL));
  assert_int_equal(s.calls, 5);
  assert_int_equal(s.last_step, 5);
  assert_int_equal(w.reports, 3);
  assert_int_equal(glow_trainer_step_count(ta), 5);
  for (int64_t t = 1; t <= 5; t++) { /* by hand */
    int32_t labels[BATCH];
    glow_step_report report = GLOW_STEP_REPORT_INIT;
    for (int64_t i = 0; i < BATCH; i++)
      labels[i] = classes ? (int32_t)((i + t) % classes) : 0;
    ok(glow_trainer_step_pixels(tb, pixels + t % 3, classes ? labels : NULL, BATCH, &report));
    assert_true(t != 3 || report.loss == w.loss);
  }
  same_bits(a, glow_model_parameters(b));
  free(pixels);
  glow_trainer_destroy(&ta);
  glow_trainer_destroy(&tb);
  glow_model_destroy(&a);
  glow_model_destroy(&b);
  glow_context_destroy(&context);
}

static void test_run(void **state) {
  (void)state;
  check_run(0);
  check_run(3);
}

static void test_run_that_ends_early(void **state) {
  glow_context *context = new_context(1, NULL);
  glow_model *model = new_stirred_model(context, NULL);
  glow_trainer *trainer = new_trainer(model);
  uint8_t *pixels = new_pixels(context, model, BATCH + 1, 5);
  source s = {.pixels = pixels};
  watch w = {0, 3, 0.0};
  (void)state;
  refused(run(trainer, 10, BATCH, next_batch, &s, progress, &w), GLOW_E_CANCELLED, "after step 3");
  assert_int_equal(glow_trainer_step_count(trainer), 3);
  assert_int_equal(s.calls, 3);
  float *before = copy_of_parameters(model);
  s.fail_at = 4;
  s.fail_with = GLOW_E_IO;
  refused(run(trainer, 10, BATCH, next_batch, &s, NULL, NULL), GLOW_E_IO, "step 4");
  s.fail_with_text = true;
  refused(run(trainer, 10, BATCH, next_batch, &s, NULL, NULL), GLOW_E_IO,
          "step 4: the batch callback failed: the disk is on fire");
  s.fail_with = 5;
  refused(run(trainer, 10, BATCH, next_batch, &s, NULL, NULL), GLOW_E_ARGUMENT, "not a status");
  s.fail_at = 0;
  s.more = 1;
  refused(run(trainer, 10, BATCH, next_batch, &s, NULL, NULL), GLOW_E_ARGUMENT,
          "step 4: the batch callback gave 7 samples; 1 to 6 were asked for");
  s.more = -BATCH;
  refused(run(trainer, 10, BATCH, next_batch, &s, NULL, NULL), GLOW_E_ARGUMENT, "gave 0 samples");
  s.pixels = NULL;
  s.more = 0;
  refused(run(trainer, 10, BATCH, next_batch, &s, NULL, NULL), GLOW_E_ARGUMENT,
          "step 4 refused: glow_batch: x and pixels are NULL");
  assert_int_equal(glow_trainer_step_count(trainer), 3);
  same_bits(model, before);
  s.pixels = pixels;
  s.more = -2; /* fewer are fine */
  ok(run(trainer, 1, BATCH, next_batch, &s, NULL, NULL));
  free(before);
  free(pixels);
  glow_trainer_destroy(&trainer);
  glow_model_destroy(&model);
  glow_context_destroy(&context);
}

/* What the report says, however the run ended. */
static void test_run_report(void **state) {
  glow_context *context = new_context(1, NULL);
  glow_model *model = new_stirred_model(context, NULL);
  glow_trainer *trainer = new_trainer(model);
  uint8_t *pixels = new_pixels(context, model, BATCH + 1, 5);
  source s = {.pixels = pixels};
  watch w = {0, 2, 0.0};
  glow_run_options o = GLOW_RUN_OPTIONS_INIT;
  glow_run_report report = GLOW_RUN_REPORT_INIT;
  (void)state;
  o.steps = 3;
  o.batch = BATCH;
  o.next = next_batch;
  o.next_payload = &s;
  o.progress = progress;
  o.progress_payload = &w;
  refused(glow_trainer_run(trainer, &o, &report), GLOW_E_CANCELLED, "after step 2");
  assert_int_equal(report.steps, 2);
  o.progress = NULL;
  ok(glow_trainer_run(trainer, &o, &report));
  assert_int_equal(report.steps, 3);
  report.struct_size = 8;
  refused(glow_trainer_run(trainer, &o, &report), GLOW_E_ARGUMENT, "glow_run_report");
  assert_int_equal(glow_trainer_step_count(trainer), 5);
  free(pixels);
  glow_trainer_destroy(&trainer);
  glow_model_destroy(&model);
  glow_context_destroy(&context);
}

/* ---- the held-out part ----------------------------------------------------------------------- */

typedef struct tracker {
  glow_trainer *trainer;
  const glow_batch *held_out;
  double loss[20]; /* of each evaluation, made by hand after the step */
  int64_t count;
} tracker;

/* Evaluates as the run will, a moment later. */
static int32_t track(const glow_step_report *report, void *payload) {
  tracker *k = payload;
  glow_evaluation e = GLOW_EVALUATION_INIT;
  glow_workspace *ws = glow_trainer_workspace(k->trainer);
  if (report->step % 2 && report->step != 9)
    return 0;
  ok(glow_trainer_use_average(k->trainer, 1));
  ok(glow_evaluate(ws, k->held_out, 0, &e));
  k->loss[k->count++] = e.bits_per_dim;
  ok(glow_trainer_use_average(k->trainer, 0));
  return 0;
}

static glow_trainer *new_fast_trainer(glow_model *model) {
  glow_trainer_options options = GLOW_TRAINER_OPTIONS_INIT;
  glow_schedule schedule = GLOW_SCHEDULE_INIT;
  glow_trainer *trainer = NULL;
  schedule.rate = 0.02; /* learns three samples by heart, and gets worse at others */
  options.schedule = &schedule;
  options.micro_batch = 4;
  options.average = 1;
  options.average_decay = 0.3;
  ok(glow_trainer_create(model, &options, &trainer));
  return trainer;
}

/* The best of the evaluations by hand is the best of the run, and what the model has at its end;
 * with patience the run ends where these say so. */
static void test_held_out(void **state) {
  glow_context *context = new_context(1, NULL);
  (void)state;
  for (int64_t patience = 0; patience <= 3; patience++) {
    glow_model *model = new_stirred_model(context, NULL);
    glow_trainer *trainer = new_fast_trainer(model);
    uint8_t *pixels = new_pixels(context, model, BATCH + 1, 5);
    uint8_t *others = new_pixels(context, model, BATCH, 6);
    source s = {.pixels = pixels};
    glow_batch held_out = GLOW_BATCH_INIT;
    tracker k = {.trainer = trainer, .held_out = &held_out};
    glow_run_options o = GLOW_RUN_OPTIONS_INIT;
    glow_run_report report = GLOW_RUN_REPORT_INIT;
    held_out.count = BATCH;
    held_out.pixels = others;
    o.steps = 9;
    o.batch = BATCH;
    o.next = next_batch;
    o.next_payload = &s;
    o.progress = track;
    o.progress_payload = &k;
    o.held_out = &held_out;
    o.evaluate_every = 2;
    o.patience = patience;
    o.keep_best = 1;
    ok(glow_trainer_run(trainer, &o, &report));
    int64_t best = 0;
    for (int64_t i = 1; i < k.count; i++)
      if (k.loss[i] < k.loss[best])
        best = i;
    assert_int_equal(report.evaluations, k.count);
    assert_int_equal(report.best_step, best == 4 ? 9 : 2 * (best + 1));
    assert_true(report.best_loss == k.loss[best] && report.best_error > 0);
    assert_int_equal(report.stopped_early,
                     patience && k.count - 1 - best >= patience && report.steps < 9);
    assert_int_equal(report.steps, report.stopped_early ? 2 * (best + 1 + patience) : 9);
    print_message("patience %d: %d steps, best after %d\n", (int)patience, (int)report.steps,
                  (int)report.best_step);
    for (int32_t average = 0; average < 2; average++) { /* both are the best */
      glow_evaluation e = GLOW_EVALUATION_INIT;
      ok(glow_trainer_use_average(trainer, average));
      ok(glow_evaluate(glow_trainer_workspace(trainer), &held_out, 0, &e));
      assert_true(e.bits_per_dim == report.best_loss);
    }
    free(pixels);
    free(others);
    glow_trainer_destroy(&trainer);
    glow_model_destroy(&model);
  }
  glow_context_destroy(&context);
}

/* What does not fit is refused before the first step. */
static void test_held_out_refused(void **state) {
  glow_context *context = new_context(1, NULL);
  glow_model *model = new_stirred_model(context, NULL);
  glow_trainer *trainer = new_trainer(model);
  uint8_t *pixels = new_pixels(context, model, BATCH + 1, 5);
  source s = {.pixels = pixels};
  glow_batch held_out = GLOW_BATCH_INIT;
  glow_run_options o = GLOW_RUN_OPTIONS_INIT;
  glow_run_report report = GLOW_RUN_REPORT_INIT;
  (void)state;
  o.steps = 2;
  o.batch = BATCH;
  o.next = next_batch;
  o.next_payload = &s;
  o.patience = 1;
  refused(glow_trainer_run(trainer, &o, NULL), GLOW_E_ARGUMENT, "need held_out");
  o.held_out = &held_out;
  refused(glow_trainer_run(trainer, &o, NULL), GLOW_E_ARGUMENT, "held_out: glow_batch");
  o.evaluate_every = 0;
  refused(glow_trainer_run(trainer, &o, NULL), GLOW_E_ARGUMENT, "evaluate_every");
  assert_int_equal(glow_trainer_step_count(trainer), 0);
  o.held_out = NULL;
  o.patience = 0;
  o.evaluate_every = 1;
  ok(glow_trainer_run(trainer, &o, &report));
  assert_true(isnan(report.best_loss) && isnan(report.best_error) && !report.evaluations);
  free(pixels);
  glow_trainer_destroy(&trainer);
  glow_model_destroy(&model);
  glow_context_destroy(&context);
}

/* Labels outside [0, classes), or none, are refused before anything changes. */
static void test_bad_labels(void **state) {
  glow_glow_options options = small_options();
  options.classes = 3;
  glow_context *context = new_context(1, NULL);
  glow_model *model = new_stirred_model(context, &options);
  glow_trainer *trainer = new_trainer(model);
  uint8_t *pixels = new_pixels(context, model, BATCH + 1, 5);
  source s = {.pixels = pixels, .classes = 3, .bad_label = 1};
  float *before = copy_of_parameters(model);
  int32_t labels[BATCH] = {0, 1, 2, 0, 1, -2}; /* -1: not known */
  (void)state;
  assert_int_equal(run(trainer, 1, BATCH, next_batch, &s, NULL, NULL), GLOW_E_ARGUMENT);
  assert_int_equal(glow_trainer_step_pixels(trainer, pixels, labels, BATCH, NULL), GLOW_E_ARGUMENT);
  assert_int_equal(glow_trainer_step_pixels(trainer, pixels, NULL, BATCH, NULL), GLOW_E_ARGUMENT);
  same_bits(model, before);
  assert_int_equal(glow_trainer_step_count(trainer), 0);
  labels[BATCH - 1] = 2;
  ok(glow_trainer_step_pixels(trainer, pixels, labels, BATCH, NULL));
  free(before);
  free(pixels);
  glow_trainer_destroy(&trainer);
  glow_model_destroy(&model);
  glow_context_destroy(&context);
}

static void test_run_arguments(void **state) {
  glow_context *context = new_context(1, NULL);
  glow_glow_options options = small_options();
  glow_model *model = new_stirred_model(context, &options);
  glow_trainer *trainer = new_trainer(model);
  source s = {0};
  (void)state;
  assert_int_equal(run(NULL, 1, 1, next_batch, &s, NULL, NULL), GLOW_E_ARGUMENT);
  assert_int_equal(run(trainer, 1, 1, NULL, &s, NULL, NULL), GLOW_E_ARGUMENT);
  assert_int_equal(run(trainer, -1, 1, next_batch, &s, NULL, NULL), GLOW_E_ARGUMENT);
  assert_int_equal(run(trainer, 1, 0, next_batch, &s, NULL, NULL), GLOW_E_ARGUMENT);
  assert_int_equal(run(trainer, 1, INT64_MAX / 4, next_batch, &s, NULL, NULL), GLOW_E_LIMIT);
  assert_int_equal(s.calls, 0);
  glow_trainer_destroy(&trainer);
  glow_model_destroy(&model);
  options.bits = 0; /* pixels need a model of them */
  model = new_stirred_model(context, &options);
  trainer = new_trainer(model);
  s.pixels = (const uint8_t *)"";
  refused(run(trainer, 1, 1, next_batch, &s, NULL, NULL), GLOW_E_STATE, "continuous data");
  glow_trainer_destroy(&trainer);
  glow_model_destroy(&model);
  glow_context_destroy(&context);
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(test_pixels_there_and_back),
      cmocka_unit_test(test_quantise_out_of_range),
      cmocka_unit_test(test_noise_is_the_stated_one),
      cmocka_unit_test(test_pixels_need_bits),
      cmocka_unit_test(test_run),
      cmocka_unit_test(test_run_that_ends_early),
      cmocka_unit_test(test_run_report),
      cmocka_unit_test(test_held_out),
      cmocka_unit_test(test_held_out_refused),
      cmocka_unit_test(test_bad_labels),
      cmocka_unit_test(test_run_arguments),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
