/* Passes and training steps that another thread cancels: they end with GLOW_E_CANCELLED, nothing
 * has changed, and what is done afterwards has the bits that it would have had. First at each place
 * in turn, from an executor that counts; then from a thread. SPDX-License-Identifier: MIT */
#include <pthread.h>
#include <time.h>

#include <glow/objective.h>

#include "../support/model_helpers.h"

enum { COUNT = 4, MICRO = 2, STEPS = 3, MOST = 20000 };
enum { LAYER_RUNS = 5 }; /* that a coupling has left after its first; no other layer is begun */

/* ---- an executor that cancels ---------------------------------------------------------------- */

static struct {
  glow_workspace *target;
  int64_t runs, at; /* runs so far; the one that cancels, from 1; 0: none */
} cancel;

static void run_and_count(void *payload, glow_task_fn fn, void *arg, uint32_t tasks) {
  (void)payload;
  if (++cancel.runs == cancel.at)
    OK(glow_workspace_cancel(cancel.target, 1));
  for (uint32_t t = 0; t < tasks; t++)
    fn(arg, t, 0);
}

static void cancel_at(glow_workspace *target, int64_t at) {
  cancel.target = target;
  cancel.runs = 0;
  cancel.at = at;
}

/* Two workers, so that tasks come here. */
static glow_context *new_context(void) {
  glow_executor executor = GLOW_EXECUTOR_INIT;
  glow_context_options o = GLOW_CONTEXT_OPTIONS_INIT;
  glow_context *context = NULL;
  executor.workers = 2;
  executor.run = run_and_count;
  o.executor = &executor;
  cancel.at = 0;
  OK(glow_context_create(&o, &context));
  return context;
}

/* ---- training -------------------------------------------------------------------------------- */

typedef struct kind {
  const char *name;
  int32_t mode;
  double drift_bound; /* below any drift: layers are run forward again */
  int32_t objective;  /* of steps towards a target; 0: steps on data */
} kind;
static const kind kinds[] = {
    {"stored", GLOW_MODE_STORED, 0, 0},
    {"reconstructed", GLOW_MODE_RECONSTRUCTED, 0, 0},
    {"recomputed", GLOW_MODE_RECONSTRUCTED, 1e-30, 0},
    {"reverse KL, stored", GLOW_MODE_STORED, 0, GLOW_REVERSE_KL},
    {"reverse KL, reconstructed", GLOW_MODE_RECONSTRUCTED, 0, GLOW_REVERSE_KL},
    {"forward KL, stored", GLOW_MODE_STORED, 0, GLOW_FORWARD_KL},
    {"forward KL, recomputed", GLOW_MODE_RECONSTRUCTED, 1e-30, GLOW_FORWARD_KL}};

typedef struct bench {
  const kind *kind;
  glow_model *model;
  glow_trainer *trainer;
  float *x;
  int32_t labels[COUNT];
} bench;

enum { KINDS = sizeof kinds / sizeof *kinds };

static void bench_open(bench *b, glow_context *context, const kind *k) {
  glow_glow_options o = helper_small_glow();
  glow_trainer_options t = GLOW_TRAINER_OPTIONS_INIT;
  helper_random random = helper_random_of(7);
  o.classes = 3;
  o.classifier = 1;
  b->kind = k;
  b->model = helper_glow(context, &o, 3);
  t.inverse_backward = k->objective != 0;
  t.micro_batch = MICRO;
  t.mode = k->mode;
  t.average = 1;
  if (k->drift_bound > 0)
    t.drift_bound = k->drift_bound;
  OK(glow_trainer_create(b->model, &t, &b->trainer));
  b->x = helper_new_normals(&random, 0.3f, COUNT * glow_model_dims(b->model));
  for (int i = 0; i < COUNT; i++)
    b->labels[i] = i % 4 - 1;
}

static void bench_close(bench *b) {
  glow_trainer_destroy(&b->trainer);
  glow_model_destroy(&b->model);
  free(b->x);
}

/* exp(-|x|^2 / 2), of any dimension. */
static glow_status normal_density(const float *x, int64_t first, int64_t count, double *log_p,
                                  float *gradient, void *payload) {
  int64_t dims = glow_model_dims(payload);
  (void)first;
  for (int64_t n = 0; n < count; n++)
    log_p[n] = 0.0;
  for (int64_t i = 0; i < count * dims; i++) {
    log_p[i / dims] -= 0.5 * (double)x[i] * (double)x[i];
    if (gradient)
      gradient[i] = -x[i];
  }
  return GLOW_OK;
}

static glow_status step_target(bench *b) {
  static const int32_t classes[COUNT] = {0, 1, 2, 1};
  glow_target target = GLOW_TARGET_INIT;
  target.density = normal_density;
  target.payload = b->model;
  target.objective = b->kind->objective;
  target.labels = classes;
  return glow_trainer_step_target(b->trainer, &target, COUNT, NULL, NULL);
}

static glow_status step(bench *b) {
  if (b->kind->objective)
    return step_target(b);
  return glow_trainer_step(b->trainer, b->x, b->labels, COUNT, NULL);
}

static void expect_same_parameters(const bench *a, const bench *b) {
  int64_t count = glow_model_parameter_count(a->model);
  assert_true(helper_same_bits(glow_model_parameters(a->model), glow_model_parameters(b->model),
                               count, sizeof(float)));
}

/* Cancels each step at each place until it runs through. *b has made as many steps as *other. */
static int64_t step_through_cancels(bench *b, const bench *other) {
  glow_workspace *ws = glow_trainer_workspace(b->trainer);
  int64_t steps = glow_trainer_step_count(b->trainer);
  for (int64_t at = 1; at < MOST; at++) {
    cancel_at(ws, at);
    glow_status status = step(b);
    cancel.at = 0;
    OK(glow_workspace_cancel(ws, 0));
    if (status == GLOW_OK)
      return at;
    assert_int_equal(status, GLOW_E_CANCELLED);
    assert_in_range(cancel.runs, at, at + LAYER_RUNS);
    assert_non_null(strstr(glow_last_error(), "cancelled"));
    assert_int_equal(glow_trainer_step_count(b->trainer), steps);
    expect_same_parameters(b, other);
    assert_null(glow_workspace_logits(ws));
  }
  fail_msg("a step does not end");
  return 0;
}

static void test_steps(void **state) {
  (void)state;
  for (int k = 0; k < KINDS; k++) {
    glow_context *context = new_context();
    bench cancelled, plain;
    bench_open(&cancelled, context, &kinds[k]);
    bench_open(&plain, context, &kinds[k]);
    for (int i = 0; i < STEPS; i++) {
      int64_t places = step_through_cancels(&cancelled, &plain);
      assert_true(places > 20);
      OK(step(&plain));
      expect_same_parameters(&cancelled, &plain);
    }
    OK(glow_trainer_use_average(cancelled.trainer, 1));
    OK(glow_trainer_use_average(plain.trainer, 1));
    expect_same_parameters(&cancelled, &plain);
    bench_close(&cancelled);
    bench_close(&plain);
    glow_context_destroy(&context);
  }
}

/* Initialisation puts the old values back. */
static void test_initialise(void **state) {
  glow_context *context = new_context();
  bench b, other;
  (void)state;
  bench_open(&b, context, &kinds[0]);
  bench_open(&other, context, &kinds[0]);
  glow_workspace *ws = glow_trainer_workspace(b.trainer);
  int64_t at = 1;
  for (glow_status status = GLOW_E_CANCELLED; status != GLOW_OK && at < MOST; at++) {
    expect_same_parameters(&b, &other);
    cancel_at(ws, at);
    status = glow_trainer_initialise(b.trainer, b.x, b.labels, COUNT);
    cancel.at = 0;
    OK(glow_workspace_cancel(ws, 0));
    assert_true(status == GLOW_OK || status == GLOW_E_CANCELLED);
  }
  assert_true(at > 5 && at < MOST);
  OK(glow_trainer_initialise(other.trainer, b.x, b.labels, COUNT));
  expect_same_parameters(&b, &other);
  bench_close(&b);
  bench_close(&other);
  glow_context_destroy(&context);
}

/* ---- passes ---------------------------------------------------------------------------------- */

enum { PASSES = 6, ROOM = COUNT * 8 * 8 * 2 };

static glow_status run_pass(glow_workspace *ws, int pass, const bench *b, float *out) {
  glow_forward_options forward = GLOW_FORWARD_OPTIONS_INIT;
  glow_inverse_options inverse = GLOW_INVERSE_OPTIONS_INIT;
  glow_sample_options sample = GLOW_SAMPLE_OPTIONS_INIT;
  static const int32_t labels[COUNT] = {0, 1, 2, 0};
  const char *layer = NULL;
  forward.labels = inverse.labels = sample.labels = labels;
  forward.form = GLOW_LATENTS_WHITENED;
  forward.latents = out;
  sample.seed = 3;
  switch (pass) {
  case 0: return glow_workspace_forward(ws, b->x, COUNT, &forward);
  case 1: return glow_workspace_inverse(ws, b->x, COUNT, &inverse, out);
  case 2: return glow_workspace_sample(ws, COUNT, &sample, out);
  case 3: return glow_workspace_classify(ws, b->x, NULL, COUNT, out);
  case 4: return glow_workspace_classify_latents(ws, b->x, GLOW_LATENTS_RAW, NULL, COUNT, out);
  default: return glow_workspace_find_nonfinite(ws, b->x, labels, MICRO, &layer);
  }
}

static void test_passes(void **state) {
  static float expected[ROOM], got[ROOM];
  glow_context *context = new_context();
  bench b;
  (void)state;
  bench_open(&b, context, &kinds[0]);
  glow_workspace *ws = helper_workspace(b.model, MICRO, GLOW_MODE_INFERENCE);
  for (int pass = 0; pass < PASSES; pass++) {
    memset(expected, 0, sizeof expected);
    OK(run_pass(ws, pass, &b, expected));
    OK(glow_workspace_cancel(ws, 1)); /* before it starts */
    REFUSED(run_pass(ws, pass, &b, got), GLOW_E_CANCELLED, "cancelled");
    REFUSED(run_pass(ws, pass, &b, got), GLOW_E_CANCELLED, "glow_workspace_cancel");
    OK(glow_workspace_cancel(ws, 0));
    memset(got, 0, sizeof got);
    OK(run_pass(ws, pass, &b, got));
    assert_memory_equal(got, expected, sizeof got);
  }
  glow_workspace_destroy(&ws);
  bench_close(&b);
  glow_context_destroy(&context);
}

/* What a cancelled forward stored is of no use to backward. */
static void test_backward_after_cancel(void **state) {
  glow_context *context = new_context();
  glow_forward_options forward = GLOW_FORWARD_OPTIONS_INIT;
  glow_backward_options backward = GLOW_BACKWARD_OPTIONS_INIT;
  bench b;
  (void)state;
  bench_open(&b, context, &kinds[0]);
  glow_workspace *ws = glow_trainer_workspace(b.trainer);
  forward.labels = b.labels;
  OK(glow_workspace_forward(ws, b.x, MICRO, &forward));
  OK(glow_workspace_cancel(ws, 1));
  REFUSED(glow_workspace_backward(ws, &backward), GLOW_E_CANCELLED, "cancelled");
  REFUSED(glow_workspace_forward(ws, b.x, MICRO, &forward), GLOW_E_CANCELLED, "cancelled");
  OK(glow_workspace_cancel(ws, 0));
  REFUSED(glow_workspace_backward(ws, &backward), GLOW_E_STATE, "forward just before");
  REFUSED(glow_workspace_cancel(NULL, 1), GLOW_E_ARGUMENT, "no workspace");
  REFUSED(glow_workspace_cancel(ws, 2), GLOW_E_ARGUMENT, "0 or 1");
  bench_close(&b);
  glow_context_destroy(&context);
}

/* ---- another thread -------------------------------------------------------------------------- */

typedef struct canceller {
  glow_workspace *ws;
  int64_t asked; /* batches that the run has asked for */
  uint8_t pixels[COUNT * 8 * 8 * 2];
} canceller;

static glow_status next_batch(int64_t step, glow_batch *batch, void *payload) {
  canceller *c = payload;
  (void)step;
  memset(c->pixels, 100, sizeof c->pixels);
  batch->pixels = c->pixels;
  __atomic_fetch_add(&c->asked, 1, __ATOMIC_RELAXED);
  return GLOW_OK;
}

/* Waits until the third step has begun. */
static void *wait_and_cancel(void *payload) {
  canceller *c = payload;
  const struct timespec pause = {0, 100000};
  while (__atomic_load_n(&c->asked, __ATOMIC_RELAXED) < 3)
    nanosleep(&pause, NULL);
  glow_workspace_cancel(c->ws, 1);
  return NULL;
}

/* The run would go on for hours; the test's time limit is what ends it if it is not cancelled. */
static void test_run_from_thread(void **state) {
  glow_context *context = helper_context(2, NULL, NULL);
  glow_glow_options o = helper_small_glow();
  glow_trainer_options t = GLOW_TRAINER_OPTIONS_INIT;
  glow_trainer *trainer = NULL;
  canceller c = {0};
  pthread_t thread;
  (void)state;
  glow_model *model = helper_glow(context, &o, 3);
  t.micro_batch = MICRO;
  OK(glow_trainer_create(model, &t, &trainer));
  c.ws = glow_trainer_workspace(trainer);
  assert_int_equal(pthread_create(&thread, NULL, wait_and_cancel, &c), 0);
  REFUSED(helper_run(trainer, (int64_t)1 << 40, COUNT, next_batch, &c), GLOW_E_CANCELLED,
          "cancelled");
  assert_int_equal(pthread_join(thread, NULL), 0);
  assert_int_equal(glow_trainer_step_count(trainer), c.asked - 1); /* finished steps stay */
  OK(glow_workspace_cancel(c.ws, 0));
  OK(helper_run(trainer, 1, COUNT, next_batch, &c));
  glow_trainer_destroy(&trainer);
  glow_model_destroy(&model);
  glow_context_destroy(&context);
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(test_steps),           cmocka_unit_test(test_initialise),
      cmocka_unit_test(test_passes),          cmocka_unit_test(test_backward_after_cancel),
      cmocka_unit_test(test_run_from_thread),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
