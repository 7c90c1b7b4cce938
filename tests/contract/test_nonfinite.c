/* A sample that is not finite spoils no other: in each pass that gives results for each sample, its
 * own are NaN, its status says so, it is named by the caller's row, and the others have the bits
 * that they have without it. With NaN, infinity, and finite input that overflows inside; with
 * labels that are not known; across the borders of batches; with 1 and 4 threads; for layers that
 * run by samples and by tasks. SPDX-License-Identifier: MIT */
#include "../support/model_helpers.h"

enum { COUNT = 10, CLASSES = 3, SIZE = 3 };
static const int64_t batches[] = {4, COUNT};
static const float bads[] = {NAN, INFINITY, -INFINITY, 3e38f};

typedef struct bench {
  glow_context *context;
  glow_model *model;
  glow_workspace *ws;
  int64_t dims;
  int32_t labels[COUNT], statuses[COUNT];
  int64_t failed;
  bool asks; /* for the layer */
  const char *layer;
  float *x, *good, *got; /* vectors */
  double logdet[COUNT], log_prob[COUNT], good_logdet[COUNT], good_log_prob[COUNT];
} bench;

static void bench_open(bench *b, uint32_t threads, int64_t batch, int32_t mode) {
  glow_glow_options o = helper_small_glow();
  helper_random random = helper_random_of(61);
  memset(b, 0, sizeof *b);
  o.classes = CLASSES;
  o.classifier = 1;
  b->context = helper_context(threads, NULL, NULL);
  b->model = helper_glow(b->context, &o, 62);
  b->ws = helper_workspace(b->model, batch, mode);
  b->dims = glow_model_dims(b->model);
  size_t bytes = (size_t)(COUNT * b->dims) * sizeof(float);
  b->x = helper_new_normals(&random, 0.5f, COUNT * b->dims);
  b->good = helper_allocate(bytes);
  b->got = helper_allocate(bytes);
  for (int i = 0; i < COUNT; i++)
    b->labels[i] = i % CLASSES;
}

static void bench_close(bench *b) {
  glow_workspace_destroy(&b->ws);
  glow_model_destroy(&b->model);
  glow_context_destroy(&b->context);
  free(b->x);
  free(b->good);
  free(b->got);
}

/* For 1 and 4 threads, in batches of 4 and of all. Glow has layers of both kinds: its actnorms run
 * by samples, its couplings by tasks. */
static void in_all_ways(void (*test)(bench *b)) {
  for (int way = 0; way < 4; way++) {
    bench b;
    bench_open(&b, way & 1 ? 4 : 1, batches[way >> 1], GLOW_MODE_INFERENCE);
    test(&b);
    bench_close(&b);
  }
}

/* ---- passes ---------------------------------------------------------------------------------- */

typedef glow_status (*pass)(bench *b, bool statuses);

static glow_status go_forward(bench *b, bool statuses, int32_t form, int32_t evaluate) {
  glow_forward_options o = GLOW_FORWARD_OPTIONS_INIT;
  o.labels = b->labels;
  o.form = form;
  o.latents = evaluate ? NULL : b->got;
  o.logdet = b->logdet;
  o.log_prob = b->log_prob;
  o.evaluate = evaluate;
  o.statuses = statuses ? b->statuses : NULL;
  o.failed = &b->failed;
  o.layer = b->asks ? &b->layer : NULL;
  return glow_workspace_forward(b->ws, b->x, COUNT, &o);
}

static glow_status pass_raw(bench *b, bool statuses) {
  return go_forward(b, statuses, GLOW_LATENTS_RAW, 0);
}

static glow_status pass_whitened(bench *b, bool statuses) {
  return go_forward(b, statuses, GLOW_LATENTS_WHITENED, 0);
}

static glow_status pass_evaluate(bench *b, bool statuses) {
  return go_forward(b, statuses, GLOW_LATENTS_RAW, 1);
}

static glow_status go_inverse(bench *b, bool statuses, int32_t form) {
  glow_inverse_options o = GLOW_INVERSE_OPTIONS_INIT;
  o.labels = b->labels;
  o.form = form;
  o.logdet = b->logdet;
  o.statuses = statuses ? b->statuses : NULL;
  o.failed = &b->failed;
  o.layer = b->asks ? &b->layer : NULL;
  return glow_workspace_inverse(b->ws, b->x, COUNT, &o, b->got);
}

static glow_status pass_inverse(bench *b, bool statuses) {
  return go_inverse(b, statuses, GLOW_LATENTS_RAW);
}

static glow_status pass_unwhiten(bench *b, bool statuses) {
  return go_inverse(b, statuses, GLOW_LATENTS_WHITENED);
}

/* ---- what is expected ------------------------------------------------------------------------ */

static bool all_nan(const float *x, int64_t count) {
  int64_t i = 0;
  while (i < count && isnan(x[i]))
    i++;
  return i == count;
}

/* Rows that failed are NaN, the others are as they were in good, good_logdet and good_log_prob. */
static void check_rows(const bench *b) {
  for (int64_t n = 0; n < COUNT; n++) {
    bool fails = b->statuses[n] != GLOW_OK;
    if (fails) {
      assert_int_equal(b->statuses[n], GLOW_E_NUMERIC);
      assert_true(all_nan(b->got + n * b->dims, b->dims));
      assert_true(isnan(b->logdet[n]) && isnan(b->log_prob[n]));
    } else {
      assert_true(helper_same_bits(b->got + n * b->dims, b->good + n * b->dims, b->dims, 4));
      assert_true(helper_same_bits(b->logdet + n, b->good_logdet + n, 1, 8));
      assert_true(helper_same_bits(b->log_prob + n, b->good_log_prob + n, 1, 8));
    }
  }
}

/* Arrays that a pass leaves alone are alike before and after. */
static void results_clear(bench *b) {
  for (int64_t n = 0; n < COUNT; n++)
    b->logdet[n] = b->log_prob[n] = b->statuses[n] ? NAN : 0;
  for (int64_t i = 0; i < COUNT * b->dims; i++)
    b->got[i] = b->statuses[i / b->dims] ? NAN : 0;
}

static void results_keep(bench *b) {
  memcpy(b->good, b->got, (size_t)(COUNT * b->dims) * sizeof *b->got);
  memcpy(b->good_logdet, b->logdet, sizeof b->logdet);
  memcpy(b->good_log_prob, b->log_prob, sizeof b->log_prob);
}

static int64_t marked(const bench *b) {
  int64_t count = 0;
  for (int64_t n = 0; n < COUNT; n++)
    count += b->statuses[n] != GLOW_OK;
  return count;
}

/* Which rows have failed is in b->statuses. Without statuses: the same results, and an error. */
static void check_error(bench *b, pass run, const char *words) {
  char number[40];
  results_clear(b);
  b->failed = -1;
  REFUSED(run(b, false), GLOW_E_NUMERIC, words);
  snprintf(number, sizeof number, "; %lld of %d samples", (long long)marked(b), COUNT);
  assert_non_null(strstr(glow_last_error(), number));
  assert_int_equal(b->failed, marked(b));
  check_rows(b);
}

/* The layer that is told with statuses: that of the message; none if the sample came so. */
static void check_layer(const bench *b, bool arose) {
  char words[200];
  if (!b->asks)
    return;
  assert_true((b->layer != NULL) == arose);
  snprintf(words, sizeof words, "layer '%s': what it gives", b->layer ? b->layer : "");
  assert_true((strstr(glow_last_error(), words) != NULL) == arose);
}

static void one_row(bench *b, pass run, int64_t row, float bad) {
  char words[60];
  float *at = b->x + row * b->dims + 5, good = *at;
  memset(b->statuses, 0, sizeof b->statuses);
  results_clear(b);
  OK(run(b, true));
  assert_int_equal(b->failed, 0);
  assert_int_equal(marked(b), 0);
  results_keep(b);
  *at = bad;
  b->statuses[row] = 1;
  b->asks = row != 3; /* this one without */
  b->layer = "nothing was written";
  results_clear(b);
  OK(run(b, true));
  bool fails = b->statuses[row] != GLOW_OK;
  assert_true(fails || isfinite(bad)); /* an inverse may divide 3e38 by something large */
  assert_int_equal(marked(b), fails);
  assert_int_equal(b->failed, fails);
  if (fails) {
    check_rows(b);
    snprintf(words, sizeof words,
             isfinite(bad) ? "what it gives for sample %d is not finite"
                           : ": element 5 of sample %d is not finite",
             (int)row);
    const char *layer = b->layer;
    check_error(b, run, words);
    assert_true(b->layer == layer);
    check_layer(b, isfinite(bad) != 0);
  } else if (b->asks) {
    assert_null(b->layer);
  }
  *at = good;
}

static void each_bad(bench *b, pass run) {
  const int64_t rows[] = {0, 3, 4, 9};
  for (int i = 0; i < 4; i++)
    for (int k = 0; k < 4; k++)
      one_row(b, run, rows[i], bads[k]);
}

static void latents_and_back(bench *b) {
  each_bad(b, pass_raw);
  each_bad(b, pass_whitened);
  each_bad(b, pass_evaluate);
  each_bad(b, pass_inverse);
  each_bad(b, pass_unwhiten);
}

static void test_latents_and_back(void **state) {
  (void)state;
  in_all_ways(latents_and_back);
}

/* Labels that are not known: the density is a mixture. */
static void mixtures(bench *b) {
  for (int i = 0; i < COUNT; i += 2)
    b->labels[i] = -1;
  each_bad(b, pass_raw);
  each_bad(b, pass_evaluate);
  each_bad(b, pass_inverse);
}

static void test_mixtures(void **state) {
  (void)state;
  in_all_ways(mixtures);
}

/* Finite input overflows inside in forward, whatever the form. */
static void overflows(bench *b) {
  b->x[7 * b->dims] = 3e38f;
  OK(pass_raw(b, true));
  assert_int_equal(b->failed, 1);
  assert_int_equal(b->statuses[7], GLOW_E_NUMERIC);
  REFUSED(glow_workspace_log_prob(b->ws, b->x, b->labels, COUNT, b->log_prob), GLOW_E_NUMERIC,
          "layer 'level0.");
  assert_non_null(strstr(glow_last_error(), "for sample 7 is not finite; 1 of 10"));
  assert_true(isnan(b->log_prob[7]) && isfinite(b->log_prob[8]));
}

static void test_overflows(void **state) {
  (void)state;
  in_all_ways(overflows);
}

/* Several rows: the first is named, all are counted. */
static void several(bench *b) {
  OK(pass_raw(b, true));
  results_keep(b);
  b->x[8 * b->dims] = NAN;
  b->x[2 * b->dims + 1] = 3e38f; /* overflows later than the others are found */
  b->x[3 * b->dims + 5] = INFINITY;
  OK(pass_raw(b, true));
  assert_int_equal(b->failed, 3);
  check_rows(b);
  check_error(b, pass_raw, "what it gives for sample 2 is not finite");
}

static void test_several(void **state) {
  (void)state;
  in_all_ways(several);
}

/* ---- sampling -------------------------------------------------------------------------------- */

static double temperatures[COUNT];

static glow_status pass_sample(bench *b, bool statuses) {
  glow_sample_options o = GLOW_SAMPLE_OPTIONS_INIT;
  o.labels = b->labels;
  o.per_sample = temperatures;
  o.seed = 5;
  o.statuses = statuses ? b->statuses : NULL;
  o.failed = &b->failed;
  o.layer = b->asks ? &b->layer : NULL;
  return glow_workspace_sample(b->ws, COUNT, &o, b->got);
}

/* At such a temperature a sample overflows. */
static void samples(bench *b) {
  for (int i = 0; i < COUNT; i++)
    temperatures[i] = 1;
  memset(b->statuses, 0, sizeof b->statuses);
  results_clear(b);
  OK(pass_sample(b, true));
  assert_int_equal(b->failed, 0);
  results_keep(b);
  const int64_t rows[] = {0, 5, 9};
  for (int i = 0; i < 3; i++) {
    char words[60];
    temperatures[rows[i]] = 1e38;
    b->statuses[rows[i]] = 1;
    results_clear(b);
    OK(pass_sample(b, true));
    assert_int_equal(b->failed, 1);
    assert_int_equal(b->statuses[rows[i]], GLOW_E_NUMERIC);
    check_rows(b);
    snprintf(words, sizeof words, "what it gives for sample %d is not finite", (int)rows[i]);
    check_error(b, pass_sample, words);
    temperatures[rows[i]] = 1;
    b->statuses[rows[i]] = GLOW_OK;
  }
}

static void test_samples(void **state) {
  (void)state;
  in_all_ways(samples);
}

/* ---- classification -------------------------------------------------------------------------- */

static void classification(bench *b) {
  float good[COUNT * CLASSES], got[COUNT * CLASSES];
  OK(glow_workspace_classify(b->ws, b->x, NULL, COUNT, good));
  b->x[6 * b->dims + 5] = NAN;
  REFUSED(glow_workspace_classify(b->ws, b->x, NULL, COUNT, got), GLOW_E_NUMERIC,
          "input: element 5 of sample 6 is not finite; 1 of 10 samples");
  assert_true(all_nan(got + 6 * CLASSES, CLASSES));
  for (int64_t n = 0; n < COUNT; n++)
    assert_true(n == 6 || helper_same_bits(got + n * CLASSES, good + n * CLASSES, CLASSES, 4));
  REFUSED(glow_workspace_classify_latents(b->ws, b->x, GLOW_LATENTS_RAW, NULL, COUNT, got),
          GLOW_E_NUMERIC, "latents: element 5 of sample 6");
  assert_true(all_nan(got + 6 * CLASSES, CLASSES) && isfinite(got[7 * CLASSES]));
}

static void test_classification(void **state) {
  (void)state;
  in_all_ways(classification);
}

/* ---- huge numbers ---------------------------------------------------------------------------- */

enum { LEFT_ALONE = 12345 }; /* what an array holds that the pass does not write */

static bool right_result(double value, bool fine) {
  return value == LEFT_ALONE || (fine ? isfinite(value) != 0 : isnan(value) != 0);
}

/* A sample is well and all of it finite, or has failed and is NaN throughout: never OK and NaN. */
static void check_consistent(const bench *b, int64_t row) {
  bool fine = b->statuses[row] == GLOW_OK;
  assert_true(fine || b->statuses[row] == GLOW_E_NUMERIC);
  for (int64_t i = 0; i < b->dims; i++)
    assert_true(right_result((double)b->got[row * b->dims + i], fine));
  assert_true(right_result(b->logdet[row], fine));
  assert_true(right_result(b->log_prob[row], fine));
}

static void huge_pass(bench *b, pass run) {
  for (int64_t n = 0; n < COUNT; n++)
    b->logdet[n] = b->log_prob[n] = LEFT_ALONE;
  for (int64_t i = 0; i < COUNT * b->dims; i++)
    b->got[i] = LEFT_ALONE;
  OK(run(b, true));
  for (int64_t n = 0; n < COUNT; n++)
    check_consistent(b, n);
  bool fine = b->statuses[4] == GLOW_OK;
  assert_int_equal(marked(b), !fine);
  assert_int_equal(run(b, false), fine ? GLOW_OK : GLOW_E_NUMERIC);
}

static void huge_classification(bench *b) {
  float logits[COUNT * CLASSES];
  for (int from_latents = 0; from_latents < 2; from_latents++) {
    glow_status status =
        from_latents
            ? glow_workspace_classify_latents(b->ws, b->x, GLOW_LATENTS_RAW, NULL, COUNT, logits)
            : glow_workspace_classify(b->ws, b->x, NULL, COUNT, logits);
    assert_true(status == GLOW_OK || status == GLOW_E_NUMERIC);
    for (int64_t i = 0; i < COUNT * CLASSES; i++)
      assert_true(status == GLOW_E_NUMERIC && i / CLASSES == 4 ? isnan(logits[i])
                                                               : isfinite(logits[i]));
  }
}

/* Row 4 is of one huge number, or has one. */
static void huge(bench *b) {
  static const float values[] = {1e10f, 1e19f, -1e30f, 1e30f, 3e38f};
  for (int k = 0; k < 5; k++)
    for (int64_t elements = 1; elements <= b->dims; elements += b->dims - 1) {
      for (int64_t i = 0; i < elements; i++)
        b->x[4 * b->dims + i] = values[k];
      huge_pass(b, pass_raw);
      huge_pass(b, pass_whitened);
      huge_pass(b, pass_evaluate);
      huge_pass(b, pass_inverse);
      huge_pass(b, pass_unwhiten);
      huge_classification(b);
    }
}

static void test_huge(void **state) {
  (void)state;
  in_all_ways(huge);
}

/* ---- training -------------------------------------------------------------------------------- */

/* Gradients are of the whole batch: backward refuses, and says which sample. */
static void test_backward(void **state) {
  (void)state;
  for (int32_t mode = GLOW_MODE_STORED; mode <= GLOW_MODE_RECONSTRUCTED; mode++) {
    bench b;
    double weight[COUNT] = {0};
    glow_backward_options o = GLOW_BACKWARD_OPTIONS_INIT;
    o.weight = weight;
    bench_open(&b, 2, COUNT, mode);
    OK(pass_raw(&b, true));
    results_keep(&b);
    OK(glow_workspace_backward(b.ws, &o));
    float good = b.x[7 * b.dims + 5];
    b.x[7 * b.dims + 5] = NAN;
    OK(pass_raw(&b, true));
    check_rows(&b);
    REFUSED(glow_workspace_backward(b.ws, &o), GLOW_E_NUMERIC, "sample 7");
    check_error(&b, pass_raw, "input: element 5 of sample 7");
    REFUSED(glow_workspace_backward(b.ws, &o), GLOW_E_NUMERIC, "element 5 of sample 7");
    b.x[7 * b.dims + 5] = good;
    OK(pass_raw(&b, true));
    OK(glow_workspace_backward(b.ws, &o));
    bench_close(&b);
  }
}

/* A step names the row in its whole batch, whatever the micro-batch is, also of a label, and does
 * not speak of statuses, which it has none of. */
static void test_step(void **state) {
  bench b;
  glow_trainer *trainer = NULL;
  glow_trainer_options o = GLOW_TRAINER_OPTIONS_INIT;
  (void)state;
  bench_open(&b, 2, COUNT, GLOW_MODE_INFERENCE);
  o.micro_batch = 4;
  OK(glow_trainer_create(b.model, &o, &trainer));
  b.x[9 * b.dims + 5] = NAN;
  REFUSED(glow_trainer_step(trainer, b.x, b.labels, COUNT, NULL), GLOW_E_NUMERIC,
          "step 1 refused: input: element 5 of sample 9 is not finite");
  assert_null(strstr(glow_last_error(), "statuses"));
  b.x[9 * b.dims + 5] = 3e38f;
  REFUSED(glow_trainer_step(trainer, b.x, b.labels, COUNT, NULL), GLOW_E_NUMERIC,
          "for sample 9 is not finite");
  b.x[9 * b.dims + 5] = 0;
  b.labels[9] = CLASSES;
  REFUSED(glow_trainer_step(trainer, b.x, b.labels, COUNT, NULL), GLOW_E_ARGUMENT,
          "label of sample 9 is 3; classes are 0 to 2");
  b.labels[9] = 0;
  OK(glow_trainer_step(trainer, b.x, b.labels, COUNT, NULL));
  glow_trainer_destroy(&trainer);
  bench_close(&b);
}

/* Initialisation is from all samples together: the row that is not finite is named, as it was given
 * or as it comes to the layer that takes its first values. */
static void test_initialise(void **state) {
  enum { D = 4 };
  const glow_shape shape = {1, 1, D};
  const float logs[D] = {3, 3, 3, 3};
  helper_random random = helper_random_of(65);
  float x[COUNT * D];
  (void)state;
  glow_context *context = helper_context(2, NULL, NULL);
  glow_builder *builder = NULL;
  glow_layer *layer = NULL;
  glow_model *model = NULL;
  OK(glow_builder_create(context, &shape, NULL, &builder));
  OK(glow_scaling_create(context, NULL, &layer));
  OK(glow_builder_add(builder, "scaling", &layer));
  OK(glow_actnorm_create(context, NULL, &layer));
  OK(glow_builder_add(builder, "actnorm", &layer));
  OK(glow_prior_create(context, NULL, &layer));
  OK(glow_builder_add(builder, "prior", &layer));
  OK(glow_builder_finish(&builder, &model));
  OK(glow_model_set_tensor(model, "scaling.logs", logs, D));
  OK(glow_model_prepare(model));
  helper_normals(&random, 1, x, COUNT * D);
  glow_workspace *ws = helper_workspace(model, 4, GLOW_MODE_INFERENCE);
  x[8 * D + 2] = NAN;
  REFUSED(glow_workspace_initialise(ws, model, x, NULL, COUNT), GLOW_E_NUMERIC,
          "input: element 2 of sample 8 is not finite");
  x[8 * D + 2] = 3e38f; /* times exp(3) */
  REFUSED(glow_workspace_initialise(ws, model, x, NULL, COUNT), GLOW_E_NUMERIC,
          "layer 'actnorm': what it is given of sample 8 is not finite: ");
  x[8 * D + 2] = 1;
  OK(glow_workspace_initialise(ws, model, x, NULL, COUNT));
  glow_workspace_destroy(&ws);
  glow_model_destroy(&model);
  glow_context_destroy(&context);
}

/* ---- conditions ------------------------------------------------------------------------------ */

/* A condition is a sample's input too, unless all samples share it. */
static void test_conditions(void **state) {
  const helper_layer layer = {.name = "conditional",
                              .kind = HELPER_COUPLING,
                              .option = GLOW_COUPLING_AFFINE,
                              .scale = GLOW_SCALE_SIGMOID,
                              .net = HELPER_MLP,
                              .condition = SIZE};
  const glow_shape shape = {1, 1, 6};
  helper_random random = helper_random_of(63);
  float conditions[COUNT * SIZE], x[COUNT * 6];
  double good[COUNT], got[COUNT];
  (void)state;
  glow_context *context = helper_context(2, NULL, NULL);
  glow_model *model = NULL;
  OK(helper_create_model(context, &layer, &shape, 8, &model));
  helper_perturb(model, &random, 0.3f);
  helper_normals(&random, 1, conditions, COUNT * SIZE);
  helper_normals(&random, 1, x, COUNT * 6);
  glow_workspace *ws = helper_workspace(model, 4, GLOW_MODE_INFERENCE);
  OK(glow_workspace_set_condition(ws, conditions, COUNT, SIZE));
  OK(glow_workspace_log_prob(ws, x, NULL, COUNT, good));
  conditions[6 * SIZE + 1] = NAN;
  REFUSED(glow_workspace_log_prob(ws, x, NULL, COUNT, got), GLOW_E_NUMERIC,
          "condition: element 1 of sample 6 is not finite; 1 of 10 samples");
  for (int n = 0; n < COUNT; n++)
    assert_true(n == 6 ? isnan(got[n]) : got[n] == good[n]);
  float latents[COUNT * 6], back[COUNT * 6];
  memcpy(latents, x, sizeof x);
  REFUSED(helper_inverse(ws, latents, GLOW_LATENTS_RAW, NULL, COUNT, back, NULL), GLOW_E_NUMERIC,
          "condition: element 1 of sample 6");
  assert_true(all_nan(back + 6 * 6, 6) && isfinite(back[7 * 6]));
  REFUSED(helper_sample(ws, NULL, NULL, COUNT, back), GLOW_E_NUMERIC,
          "condition: element 1 of sample 6");
  assert_true(all_nan(back + 6 * 6, 6) && isfinite(back[7 * 6]));
  OK(glow_workspace_set_condition(ws, conditions + 6 * SIZE, 1, SIZE));
  REFUSED(glow_workspace_log_prob(ws, x, NULL, COUNT, got), GLOW_E_NUMERIC,
          "condition: element 1 of sample 0 is not finite");
  glow_workspace_destroy(&ws);
  glow_model_destroy(&model);
  glow_context_destroy(&context);
}

/* ---- a log-det alone ------------------------------------------------------------------------- */

static glow_status steep_configure(void *self, glow_setup *setup, const glow_shape *in,
                                   glow_shape *out) {
  (void)setup;
  *(int64_t *)self = glow_shape_size(in);
  *out = *in;
  return GLOW_OK;
}

/* y = x, and the log-det of a sample that begins above 5 is infinite. */
static glow_status steep_inverse(const void *self, const glow_call *call, const float *y, float *x,
                                 double *logdet, double *logprior) {
  (void)logprior;
  int64_t size = *(const int64_t *)self;
  memcpy(x, y, (size_t)(glow_call_sample_count(call) * size) * sizeof *x);
  for (int64_t n = 0; n < glow_call_sample_count(call); n++)
    logdet[n] -= y[n * size] > 5 ? INFINITY : 0;
  return GLOW_OK;
}

static void steep_forward(const void *self, const glow_call *call, const float *x, float *y,
                          double *logdet, double *logprior) {
  (void)logprior;
  steep_inverse(self, call, x, y, logdet, NULL);
}

static glow_layer *make_steep(glow_context *context) {
  const glow_layer_ops ops = {.struct_size = sizeof ops,
                              .type = "steep",
                              .flags = GLOW_LAYER_INFERENCE_ONLY,
                              .self_size = sizeof(int64_t),
                              .configure = steep_configure,
                              .forward = steep_forward,
                              .inverse = steep_inverse};
  glow_layer *layer = NULL;
  OK(glow_layer_create(context, &ops, NULL, NULL, &layer));
  return layer;
}

/* All values are finite, and the log-det of sample 3 is not: the layer is found by that alone. */
static void test_log_det_alone(void **state) {
  enum { DIMS = 4 };
  const glow_shape shape = {1, 1, DIMS};
  const glow_builder_options options = {sizeof options, 0, 0};
  static const char *const words = "layer 'steep': what it gives for sample 3 is not finite";
  glow_context *context = helper_context(1, NULL, NULL);
  glow_builder *builder = NULL;
  glow_model *model = NULL;
  glow_layer *layer = NULL;
  float x[COUNT * DIMS], got[COUNT * DIMS];
  double logdet[COUNT];
  (void)state;
  OK(glow_builder_create(context, &shape, &options, &builder));
  const char *const names[] = {"before", "steep", "after"};
  for (int i = 0; i < 3; i++) {
    if (i == 1)
      layer = make_steep(context);
    else
      OK(glow_actnorm_create(context, NULL, &layer));
    OK(glow_builder_add(builder, names[i], &layer));
  }
  OK(glow_prior_create(context, NULL, &layer));
  OK(glow_builder_add(builder, "prior", &layer));
  OK(glow_builder_finish(&builder, &model));
  OK(glow_model_set_initialised(model));
  for (int batch = 0; batch < 2; batch++) {
    glow_workspace *ws = helper_workspace(model, batches[batch], GLOW_MODE_INFERENCE);
    for (int i = 0; i < COUNT * DIMS; i++)
      x[i] = i == 3 * DIMS ? 6 : 0.1f * (float)(i % 7);
    REFUSED(helper_forward(ws, x, NULL, COUNT, GLOW_LATENTS_RAW, got, logdet, NULL), GLOW_E_NUMERIC,
            words);
    assert_true(isnan(logdet[3]) && all_nan(got + 3 * DIMS, DIMS) && logdet[2] == 0);
    REFUSED(helper_inverse(ws, x, GLOW_LATENTS_RAW, NULL, COUNT, got, logdet), GLOW_E_NUMERIC,
            words);
    assert_true(isnan(logdet[3]) && all_nan(got + 3 * DIMS, DIMS) && logdet[2] == 0);
    glow_workspace_destroy(&ws);
  }
  glow_model_destroy(&model);
  glow_context_destroy(&context);
}

/* ---- each layer ------------------------------------------------------------------------------ */

/* One layer forward and back: sample 2 of 5 is not finite. */
static void layer_keeps_samples(const helper_layer *layer, uint32_t threads, float bad) {
  enum { N = 5 };
  const glow_shape shape = {4, 4, 4};
  helper_random random = helper_random_of(64);
  int32_t labels[N] = {0, 1, 0, 1, 0};
  glow_context *context = helper_context(threads, NULL, NULL);
  glow_model *model = NULL;
  OK(helper_create_model(context, layer, &shape, 8, &model));
  helper_perturb(model, &random, 0.1f);
  glow_workspace *ws = helper_workspace(model, 3, GLOW_MODE_INFERENCE);
  int64_t dims = glow_model_dims(model), size = glow_model_condition_size(model);
  float *x = helper_new_normals(&random, 0.3f, N * dims);
  float *condition = helper_new_normals(&random, 1, N * (size + 1));
  float *good = helper_allocate((size_t)(N * dims) * sizeof *good);
  float *got = helper_allocate((size_t)(N * dims) * sizeof *got);
  double good_sum[N], sum[N];
  if (size)
    OK(glow_workspace_set_condition(ws, condition, N, size));
  for (int back = 0; back < 2; back++) {
    float kept = x[2 * dims + 7];
    if (back)
      OK(helper_inverse(ws, x, GLOW_LATENTS_RAW, labels, N, good, good_sum));
    else
      OK(helper_forward(ws, x, labels, N, GLOW_LATENTS_RAW, good, NULL, good_sum));
    x[2 * dims + 7] = bad;
    glow_status status = back ? helper_inverse(ws, x, GLOW_LATENTS_RAW, labels, N, got, sum)
                              : helper_forward(ws, x, labels, N, GLOW_LATENTS_RAW, got, NULL, sum);
    assert_int_equal(status, isfinite(bad) ? status : GLOW_E_NUMERIC);
    for (int64_t n = 0; n < N; n++)
      if (n != 2 && !(sum[n] == good_sum[n] &&
                      helper_same_bits(got + n * dims, good + n * dims, dims, sizeof *got)))
        fail_msg("%s, %s, beside %g: sample %d differs", layer->name, back ? "inverse" : "forward",
                 (double)bad, (int)n);
    assert_true(status == GLOW_OK || (isnan(sum[2]) && all_nan(got + 2 * dims, dims)));
    x[2 * dims + 7] = kept;
  }
  free(got);
  free(good);
  free(condition);
  free(x);
  glow_workspace_destroy(&ws);
  glow_model_destroy(&model);
  glow_context_destroy(&context);
}

static void each_layer(const helper_layer *layers, int32_t count) {
  const glow_shape shape = {4, 4, 4};
  for (int32_t i = 0; i < count; i++)
    for (int k = 0; k < 4 && helper_layer_fits(&layers[i], &shape); k++) {
      layer_keeps_samples(&layers[i], 1, bads[k]);
      layer_keeps_samples(&layers[i], 4, bads[k]);
    }
}

static void test_layers(void **state) {
  (void)state;
  each_layer(helper_layers, helper_layer_count);
  each_layer(helper_couplings, helper_coupling_count);
  each_layer(helper_res_nets, helper_res_net_count);
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(test_latents_and_back),
      cmocka_unit_test(test_mixtures),
      cmocka_unit_test(test_overflows),
      cmocka_unit_test(test_several),
      cmocka_unit_test(test_samples),
      cmocka_unit_test(test_classification),
      cmocka_unit_test(test_huge),
      cmocka_unit_test(test_backward),
      cmocka_unit_test(test_step),
      cmocka_unit_test(test_initialise),
      cmocka_unit_test(test_conditions),
      cmocka_unit_test(test_layers),
      cmocka_unit_test(test_log_det_alone),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
