/* An inverse that does not converge names its layer and the sample, counted as the caller counts:
 * the same with any number of threads, by samples and by tasks, and in batches beyond the
 * workspace's.
 *
 * The layer: y = x + x^3 / 3, whose inverse is found by Newton's method; it gives up where the
 * first element of a sample is above LIMIT. SPDX-License-Identifier: MIT */
#include "../support/model_helpers.h"

enum { DIMS = 3000, COUNT = 10 }; /* large: blocks of a few samples run at the same time */
static const double limit = 50;

typedef struct cubic {
  int64_t size;
  int32_t quiet; /* 1: returns an error of its own, without glow_call_fail */
  int32_t cheap; /* 1: does not say what its inverse costs */
} cubic;

static glow_status cubic_configure(void *self, glow_setup *setup, const glow_shape *in,
                                   glow_shape *out) {
  cubic *c = self;
  *out = *in;
  c->size = glow_shape_size(in);
  return c->cheap ? GLOW_OK : glow_setup_work(setup, 2 * c->size, 60 * c->size);
}

static void cubic_forward(const void *self, const glow_call *call, const float *x, float *y,
                          double *logdet, double *logprior) {
  const cubic *c = self;
  (void)logprior;
  for (int64_t n = 0; n < glow_call_sample_count(call); n++)
    for (int64_t i = n * c->size; i < (n + 1) * c->size; i++) {
      double v = (double)x[i];
      y[i] = (float)(v + v * v * v / 3);
      logdet[n] += log1p(v * v);
    }
}

static glow_status invert_sample(const cubic *c, const glow_call *call, int64_t n, const float *y,
                                 float *x, double *logdet) {
  double first = (double)y[n * c->size];
  if (first > limit && c->quiet)
    return glow_error(GLOW_E_LIMIT, "it is too large for Newton");
  if (first > limit) {
    glow_call_fail(call, n, "%g is above %g: Newton's method would need more than 20 steps", first,
                   limit);
    return GLOW_OK;
  }
  for (int64_t i = n * c->size; i < (n + 1) * c->size; i++) {
    double v = (double)y[i];
    for (int step = 0; step < 20; step++)
      v -= (v + v * v * v / 3 - (double)y[i]) / (1 + v * v);
    x[i] = (float)v;
    logdet[n] -= log1p(v * v);
  }
  return GLOW_OK;
}

/* An error that is returned ends the pass. */
static glow_status inverse_by_samples(const void *self, const glow_call *call, const float *y,
                                      float *x, double *logdet, double *logprior) {
  (void)logprior;
  for (int64_t n = 0; n < glow_call_sample_count(call); n++)
    GLOW_TRY(invert_sample(self, call, n, y, x, logdet));
  return GLOW_OK;
}

typedef struct run {
  const cubic *c;
  const glow_call *call;
  const float *y;
  float *x;
  double *logdet;
  glow_status *statuses;
} run;

static void inverse_task(void *arg, uint32_t task, uint32_t worker) {
  const run *r = arg;
  (void)worker;
  r->statuses[task] = invert_sample(r->c, r->call, task, r->y, r->x, r->logdet);
}

static glow_status inverse_by_tasks(const void *self, const glow_call *call, const float *y,
                                    float *x, double *logdet, double *logprior) {
  (void)logprior;
  glow_status statuses[COUNT];
  run r = {self, call, y, x, logdet, statuses};
  uint32_t samples = (uint32_t)glow_call_sample_count(call);
  glow_call_run(call, samples, inverse_task, &r);
  for (uint32_t n = 0; n < samples; n++)
    GLOW_TRY(statuses[n]);
  return GLOW_OK;
}

static void cubic_backward(const void *self, const glow_call *call, const glow_layer_gradient *g) {
  const cubic *c = self;
  for (int64_t n = 0; n < glow_call_sample_count(call); n++)
    for (int64_t i = n * c->size; i < (n + 1) * c->size; i++) {
      double v = (double)g->x[i];
      g->dx[i] = (float)((double)g->dy[i] * (1 + v * v) + g->d_logdet[n] * 2 * v / (1 + v * v));
    }
}

static glow_layer_ops cubic_table(bool by_tasks) {
  glow_layer_ops ops = {.struct_size = sizeof ops, .type = "cubic"};
  ops.flags = by_tasks ? GLOW_LAYER_BY_TASKS : 0;
  ops.self_size = sizeof(cubic);
  ops.configure = cubic_configure;
  ops.forward = cubic_forward;
  ops.inverse = by_tasks ? inverse_by_tasks : inverse_by_samples;
  ops.backward = cubic_backward;
  return ops;
}

enum { FAILS = 0, QUIET = 1, CHEAP = 2 };

static glow_layer *make_cubic(glow_context *context, bool by_tasks, int32_t kind) {
  const glow_layer_ops ops = cubic_table(by_tasks);
  glow_layer *layer = NULL;
  OK(glow_layer_create(context, &ops, NULL, NULL, &layer));
  cubic *c = glow_layer_self(layer);
  c->quiet = kind == QUIET;
  c->cheap = kind == CHEAP;
  return layer;
}

static glow_model *make_model(glow_context *context, bool by_tasks, int32_t kind) {
  const glow_shape shape = {1, 1, DIMS};
  const glow_builder_options options = {sizeof options, 0, 0};
  glow_builder *builder = NULL;
  glow_model *model = NULL;
  OK(glow_builder_create(context, &shape, &options, &builder));
  glow_layer *layer = make_cubic(context, by_tasks, kind);
  OK(glow_builder_add(builder, "block.cubic", &layer));
  OK(glow_prior_create(context, NULL, &layer));
  OK(glow_builder_add(builder, "prior", &layer));
  OK(glow_builder_finish(&builder, &model));
  return model;
}

/* ---- tests ----------------------------------------------------------------------------------- */

static float *new_latents(void) {
  helper_random random = helper_random_of(1);
  return helper_new_normals(&random, 1, COUNT * DIMS);
}

/* For 1 and 4 threads, by samples and by tasks, in batches of 4 and of all. */
typedef void (*body)(glow_workspace *ws, const glow_model *model, float *z, float *x);

static void in_all_ways(int32_t kind, body test) {
  float *z = new_latents(), *x = helper_allocate(COUNT * DIMS * sizeof *x);
  for (int way = 0; way < 8; way++) {
    glow_context *context = helper_context(way & 1 ? 4 : 1, NULL, NULL);
    glow_model *model = make_model(context, way & 2, kind);
    glow_workspace *ws = helper_workspace(model, way & 4 ? 4 : COUNT, GLOW_MODE_INFERENCE);
    test(ws, model, z, x);
    glow_workspace_destroy(&ws);
    glow_model_destroy(&model);
    glow_context_destroy(&context);
  }
  free(x);
  free(z);
}

static void fails_at(glow_workspace *ws, float *z, float *x, int sample, const char *words) {
  float good = z[sample * DIMS];
  z[sample * DIMS] = 60;
  REFUSED(helper_inverse(ws, z, GLOW_LATENTS_RAW, NULL, COUNT, x, NULL), GLOW_E_NUMERIC, words);
  z[sample * DIMS] = good;
}

static void name_samples(glow_workspace *ws, const glow_model *model, float *z, float *x) {
  (void)model;
  OK(helper_inverse(ws, z, GLOW_LATENTS_RAW, NULL, COUNT, x, NULL));
  fails_at(ws, z, x, 0, "layer 'block.cubic': the inverse of sample 0: 60 is above 50: Newton");
  fails_at(ws, z, x, 3, "layer 'block.cubic': the inverse of sample 3: 60 is above 50: Newton");
  fails_at(ws, z, x, 7, "layer 'block.cubic': the inverse of sample 7: 60 is above 50: Newton");
  fails_at(ws, z, x, 9, "layer 'block.cubic': the inverse of sample 9: 60 is above 50: Newton");
  z[6 * DIMS] = z[8 * DIMS] = 70; /* of several the lowest, whoever is first */
  for (int i = 0; i < 10; i++)
    fails_at(ws, z, x, 5, "layer 'block.cubic': the inverse of sample 5: 60 is above 50");
  z[6 * DIMS] = z[8 * DIMS] = 0;
  OK(helper_inverse(ws, z, GLOW_LATENTS_RAW, NULL, COUNT, x, NULL)); /* nothing stays behind */
}

/* The others come back with the bits that they have without those that fail. */
static void spoil_none(glow_workspace *ws, const glow_model *model, float *z, float *x) {
  glow_inverse_options o = GLOW_INVERSE_OPTIONS_INIT;
  int32_t statuses[COUNT];
  int64_t failed = 0;
  double good_logdet[COUNT], logdet[COUNT];
  float *good = helper_allocate(COUNT * DIMS * sizeof *good), kept[2] = {z[2 * DIMS], z[7 * DIMS]};
  (void)model;
  OK(helper_inverse(ws, z, GLOW_LATENTS_RAW, NULL, COUNT, good, good_logdet));
  z[2 * DIMS] = z[7 * DIMS] = 60;
  o.statuses = statuses;
  o.failed = &failed;
  o.logdet = logdet;
  for (int told = 0; told < 2; told++) {
    o.statuses = told ? NULL : statuses;
    memset(x, 0, COUNT * DIMS * sizeof *x);
    if (told)
      REFUSED(glow_workspace_inverse(ws, z, COUNT, &o, x), GLOW_E_NUMERIC,
              "the inverse of sample 2: 60 is above 50: Newton's method would need more than 20 "
              "steps; 2 of 10 samples");
    else
      OK(glow_workspace_inverse(ws, z, COUNT, &o, x));
    assert_int_equal(failed, 2);
    for (int n = 0; n < COUNT; n++) {
      bool fails = n == 2 || n == 7;
      assert_int_equal(statuses[n], fails ? GLOW_E_NUMERIC : GLOW_OK);
      assert_true(fails ? isnan(logdet[n]) : logdet[n] == good_logdet[n]);
      for (int i = 0; i < DIMS; i++)
        assert_true(fails ? isnan(x[n * DIMS + i]) : x[n * DIMS + i] == good[n * DIMS + i]);
    }
  }
  z[2 * DIMS] = kept[0];
  z[7 * DIMS] = kept[1];
  free(good);
}

static void test_spoils_none(void **state) {
  (void)state;
  in_all_ways(FAILS, spoil_none);
}

static void test_names_the_sample(void **state) {
  (void)state;
  in_all_ways(FAILS, name_samples);
}

/* A layer that does not say which sample: the layer is named, with its own status and words. */
static void name_layer(glow_workspace *ws, const glow_model *model, float *z, float *x) {
  (void)model;
  z[6 * DIMS] = 60;
  REFUSED(helper_inverse(ws, z, GLOW_LATENTS_RAW, NULL, COUNT, x, NULL), GLOW_E_LIMIT,
          "layer 'block.cubic': it is too large for Newton");
  z[6 * DIMS] = 0;
}

static void test_names_the_layer(void **state) {
  (void)state;
  in_all_ways(QUIET, name_layer);
}

/* Samples that are drawn are counted in the same way. */
static void name_drawn(glow_workspace *ws, const glow_model *model, float *z, float *x) {
  double temperatures[COUNT] = {1e-3, 1e-3, 1e-3, 1e-3, 1e-3, 1e-3, 1e-3, 1e-3, 1e-3, 1e-3};
  glow_sample_options o = GLOW_SAMPLE_OPTIONS_INIT;
  char words[80];
  (void)model, (void)z;
  o.per_sample = temperatures;
  OK(helper_sample(ws, &o, NULL, COUNT, x));
  /* one whose first element is positive, so that it is above the limit */
  int64_t n = 9;
  while (n > 4 && x[n * DIMS] <= 0)
    n--;
  temperatures[n] = 1e9;
  snprintf(words, sizeof words, "'block.cubic': the inverse of sample %d: ", (int)n);
  REFUSED(helper_sample(ws, &o, NULL, COUNT, x), GLOW_E_NUMERIC, words);
}

static void test_sampling(void **state) {
  (void)state;
  in_all_ways(FAILS, name_drawn);
}

/* Forward of x, one of whose samples the inverse does not come back from, and backward. */
static glow_status go_back(glow_workspace *ws, const float *x) {
  glow_backward_options o = GLOW_BACKWARD_OPTIONS_INIT;
  double weight[COUNT] = {1, 1, 1, 1, 1, 1, 1, 1, 1, 1};
  o.weight = weight;
  OK(helper_forward(ws, x, NULL, COUNT, GLOW_LATENTS_RAW, NULL, NULL, NULL));
  return glow_workspace_backward(ws, &o);
}

/* Such a layer is stored for backward where it says that its inverse costs more than four times its
 * forward: nothing is inverted, and nothing fails. */
static void test_stored(void **state) {
  (void)state;
  const int32_t modes[] = {GLOW_MODE_STORED, GLOW_MODE_RECONSTRUCTED, GLOW_MODE_BUDGET};
  for (int m = 0; m < 3; m++) {
    glow_context *context = helper_context(2, NULL, NULL);
    glow_model *model = make_model(context, false, FAILS);
    glow_workspace_options o = GLOW_WORKSPACE_OPTIONS_INIT;
    glow_workspace_info info = GLOW_WORKSPACE_INFO_INIT;
    glow_workspace *ws = NULL;
    float *x = new_latents();
    uint64_t bytes = 0;
    o.batch = COUNT;
    o.mode = modes[m];
    o.memory_budget = modes[m] == GLOW_MODE_BUDGET ? 1 << 30 : 0;
    x[2 * DIMS] = 9; /* y = 252 */
    OK(glow_workspace_plan_bytes(model, &o, &bytes));
    OK(glow_workspace_create(model, &o, &ws));
    OK(glow_workspace_get_info(ws, &info));
    assert_true(info.stored_layers >= 1);
    assert_int_equal(info.bytes, bytes);
    OK(go_back(ws, x));
    free(x);
    glow_workspace_destroy(&ws);
    glow_model_destroy(&model);
    glow_context_destroy(&context);
  }
}

/* One that does not say so is inverted, and fails once: from then on it is run forward again, which
 * gives the bits of stored activations. Without a bound of the drift there is no memory for that,
 * and it fails each time. */
static void test_backward(void **state) {
  (void)state;
  static const char *const words = "layer 'block.cubic': the inverse of sample 2: 252 is above 50";
  glow_context *context = helper_context(2, NULL, NULL);
  glow_model *model = make_model(context, false, CHEAP);
  float *x = new_latents();
  x[2 * DIMS] = 9; /* y = 252 */
  for (int bound = 0; bound < 2; bound++) {
    glow_workspace_options o = GLOW_WORKSPACE_OPTIONS_INIT;
    glow_workspace_info info = GLOW_WORKSPACE_INFO_INIT;
    glow_workspace *ws = NULL;
    o.batch = COUNT;
    o.mode = GLOW_MODE_RECONSTRUCTED;
    o.drift_bound = bound ? 1e-3 : 0;
    OK(glow_workspace_create(model, &o, &ws));
    OK(glow_workspace_get_info(ws, &info));
    assert_int_equal(info.stored_layers, 0);
    REFUSED(go_back(ws, x), GLOW_E_NUMERIC, words);
    if (bound) {
      assert_non_null(strstr(glow_last_error(), "zero the gradients and run forward and backward"));
      OK(glow_workspace_zero_gradients(ws));
      OK(go_back(ws, x));
    } else {
      REFUSED(go_back(ws, x), GLOW_E_NUMERIC, words);
    }
    OK(glow_workspace_get_info(ws, &info));
    assert_int_equal(info.recomputes, bound);
    glow_workspace_destroy(&ws);
  }
  free(x);
  glow_model_destroy(&model);
  glow_context_destroy(&context);
}

/* dx is the same as with stored activations, bit for bit. */
static void test_backward_gives_the_bits(void **state) {
  (void)state;
  glow_context *context = helper_context(2, NULL, NULL);
  glow_model *model = make_model(context, false, CHEAP);
  float *x = new_latents(), *dx[2];
  double weight[COUNT] = {1, 1, 1, 1, 1, 1, 1, 1, 1, 1};
  x[2 * DIMS] = 9;
  for (int again = 0; again < 2; again++) {
    glow_backward_options o = GLOW_BACKWARD_OPTIONS_INIT;
    glow_workspace *ws =
        helper_workspace(model, COUNT, again ? GLOW_MODE_RECONSTRUCTED : GLOW_MODE_STORED);
    if (again)
      REFUSED(go_back(ws, x), GLOW_E_NUMERIC, "zero the gradients");
    dx[again] = helper_allocate(COUNT * DIMS * sizeof **dx);
    o.weight = weight;
    o.dx = dx[again];
    OK(helper_forward(ws, x, NULL, COUNT, GLOW_LATENTS_RAW, NULL, NULL, NULL));
    OK(glow_workspace_backward(ws, &o));
    glow_workspace_destroy(&ws);
  }
  assert_memory_equal(dx[0], dx[1], COUNT * DIMS * sizeof **dx);
  free(dx[0]);
  free(dx[1]);
  free(x);
  glow_model_destroy(&model);
  glow_context_destroy(&context);
}

/* A trainer makes the step again by itself, with the parameters of stored activations. */
static void test_trainer(void **state) {
  (void)state;
  float *parameters[2];
  int64_t count = 0;
  for (int again = 0; again < 2; again++) {
    glow_context *context = helper_context(2, NULL, NULL);
    glow_model *model = make_model(context, false, CHEAP);
    glow_trainer_options o = GLOW_TRAINER_OPTIONS_INIT;
    glow_step_report report = GLOW_STEP_REPORT_INIT;
    glow_trainer *trainer = NULL;
    float *x = new_latents();
    x[2 * DIMS] = 9;
    o.mode = again ? GLOW_MODE_RECONSTRUCTED : GLOW_MODE_STORED;
    OK(glow_trainer_create(model, &o, &trainer));
    OK(glow_trainer_step(trainer, x, NULL, COUNT, &report));
    assert_int_equal(report.recomputes, again);
    parameters[again] = helper_parameters(model, &count);
    free(x);
    glow_trainer_destroy(&trainer);
    glow_model_destroy(&model);
    glow_context_destroy(&context);
  }
  assert_true(count > 0);
  assert_memory_equal(parameters[0], parameters[1], (size_t)count * sizeof(float));
  free(parameters[0]);
  free(parameters[1]);
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(test_names_the_sample),
      cmocka_unit_test(test_spoils_none),
      cmocka_unit_test(test_names_the_layer),
      cmocka_unit_test(test_sampling),
      cmocka_unit_test(test_stored),
      cmocka_unit_test(test_backward),
      cmocka_unit_test(test_backward_gives_the_bits),
      cmocka_unit_test(test_trainer),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
