/* Steps towards a target: the loss and gradient of both objectives against closed forms, against
 * differences with the same random numbers, and by hand; micro-batches, threads, labels,
 * conditions; refusals, after which nothing has changed. SPDX-License-Identifier: MIT */
#include <stdio.h>

#include <glow/sys/layer.h>

#include "fixture.h"

enum { BATCH = 13, DRAWN = 1000, MOST = 1024, MOST_DIMS = 64 };

static const double half_log_2_pi = 0.91893853320467274178;

/* ---- targets --------------------------------------------------------------------------------- */

/* Independent Gaussians of means i / 4 - shift and deviations 1 + i / 8, times exp(3); what goes
 * wrong; and what it was asked for. */
typedef struct gaussian {
  int64_t dims;
  const float *shift; /* of each sample, or NULL */
  int64_t nothing;    /* of samples before this one, p is 0 */
  int64_t wrong;      /* sample; -1: none */
  double log_p;       /* of the wrong one, */
  float slope;        /* and a part of its gradient */
  glow_status status; /* of the call with the wrong one */
  float x[MOST * MOST_DIMS];
  double values[MOST];
  int64_t calls, gradients;
} gaussian;

static const double log_z = 3.0;

static double gaussian_sample(const gaussian *g, int64_t sample, const float *x, float *gradient) {
  double sum = log_z;
  for (int64_t i = 0; i < g->dims; i++) {
    double deviation = 1.0 + (double)i / 8.0;
    double mean = (double)i / 4.0 - (g->shift ? (double)g->shift[sample] : 0.0);
    double e = ((double)x[i] - mean) / deviation;
    sum -= 0.5 * e * e + log(deviation) + half_log_2_pi;
    if (gradient)
      gradient[i] = (float)(-e / deviation);
  }
  return sum;
}

static glow_status gaussian_density(const float *x, int64_t first, int64_t count, double *log_p,
                                    float *gradient, void *payload) {
  gaussian *g = payload;
  g->calls++;
  g->gradients += gradient != NULL;
  assert_true(count > 0 && first >= 0 && first + count <= MOST);
  memcpy(g->x + first * g->dims, x, (size_t)(count * g->dims) * sizeof *x);
  for (int64_t n = 0; n < count; n++) {
    float *d = gradient ? gradient + n * g->dims : NULL;
    log_p[n] = gaussian_sample(g, first + n, x + n * g->dims, d);
    if (first + n < g->nothing)
      log_p[n] = -INFINITY;
    if (first + n == g->wrong && g->status != GLOW_OK)
      return g->status;
    if (first + n == g->wrong) {
      log_p[n] = g->log_p;
      if (d)
        d[g->dims - 1] = g->slope;
    }
    g->values[first + n] = log_p[n];
  }
  return GLOW_OK;
}

static gaussian *new_gaussian(const glow_model *model) {
  gaussian *g = calloc(1, sizeof *g);
  assert_non_null(g);
  g->dims = glow_model_dims(model);
  assert_true(g->dims <= MOST_DIMS);
  g->wrong = -1;
  return g;
}

static glow_target target_of(gaussian *g, int32_t objective) {
  glow_target target = GLOW_TARGET_INIT;
  target.density = gaussian_density;
  target.payload = g;
  target.objective = objective;
  return target;
}

/* ---- models ---------------------------------------------------------------------------------- */

typedef struct bench {
  glow_context *context;
  glow_model *model;
  glow_trainer *trainer;
  gaussian *g;
} bench;

/* Parameters somewhat off their starting values. */
static void stir(glow_context *context, glow_model *model, float scale) {
  glow_rng *rng = NULL;
  int64_t count = glow_model_parameter_count(model);
  float *noise = malloc((size_t)count * sizeof *noise);
  assert_non_null(noise);
  ok(glow_rng_create(context, 7, &rng));
  ok(glow_rng_normal(rng, noise, count));
  for (int64_t i = 0; i < count; i++)
    glow_model_parameters_mutable(model)[i] += scale * noise[i];
  ok(glow_model_prepare(model));
  ok(glow_model_set_initialised(model));
  glow_rng_destroy(&rng);
  free(noise);
}

static glow_model *new_flow(glow_context *context, int64_t condition) {
  glow_vector_flow_options o = GLOW_VECTOR_FLOW_OPTIONS_INIT;
  glow_model *model = NULL;
  o.dims = 3;
  o.condition = condition;
  o.steps = 2;
  o.hidden = 8;
  ok(glow_model_create_vector_flow(context, &o, &model));
  stir(context, model, 0.1f);
  return model;
}

/* x = exp(-logs) e - bias, for two elements. */
static glow_model *new_affine(glow_context *context) {
  glow_builder_options o = GLOW_BUILDER_OPTIONS_INIT;
  glow_prior_options prior = GLOW_PRIOR_OPTIONS_INIT;
  glow_builder *builder = NULL;
  glow_layer *layer = NULL;
  glow_model *model = NULL;
  const glow_shape shape = {1, 1, 2};
  o.bits = 0;
  prior.learned = 0;
  ok(glow_builder_create(context, &shape, &o, &builder));
  ok(glow_actnorm_create(context, NULL, &layer));
  ok(glow_builder_add(builder, "actnorm", &layer));
  ok(glow_prior_create(context, &prior, &layer));
  ok(glow_builder_add(builder, "prior", &layer));
  ok(glow_builder_finish(&builder, &model));
  stir(context, model, 0.3f);
  return model;
}

static bench open_on(glow_context *context, glow_model *model,
                     const glow_trainer_options *options) {
  bench b = {context, model, NULL, new_gaussian(model)};
  glow_trainer_options o = GLOW_TRAINER_OPTIONS_INIT;
  if (options)
    o = *options;
  o.inverse_backward = 1;
  ok(glow_trainer_create(model, &o, &b.trainer));
  return b;
}

static bench open_flow(uint32_t threads, const glow_trainer_options *options) {
  glow_context *context = new_context(threads, NULL);
  return open_on(context, new_flow(context, 0), options);
}

static void close_bench(bench *b) {
  glow_trainer_destroy(&b->trainer);
  glow_model_destroy(&b->model);
  glow_context_destroy(&b->context);
  free(b->g);
}

static glow_step_report step(bench *b, int32_t objective, int64_t count, glow_importance *e) {
  glow_step_report report = GLOW_STEP_REPORT_INIT;
  glow_target target = target_of(b->g, objective);
  ok(glow_trainer_step_target(b->trainer, &target, count, &report, e));
  return report;
}

static const float *gradients_of(const bench *b) {
  return glow_workspace_gradients(glow_trainer_workspace(b->trainer));
}

/* ---- reverse KL ------------------------------------------------------------------------------ */

/* With e from x, the derivatives of the mean of log q - log p by bias and logs are sums by hand.
 * 1e-6: float32 of x and of gradients. */
static void test_reverse_closed_form(void **state) {
  glow_context *context = new_context(1, NULL);
  bench b = open_on(context, new_affine(context), NULL);
  float *p = copy_of_parameters(b.model);
  const float *bias = p, *logs = p + 2;
  double expected[4] = {0.0}, loss = 0.0;
  (void)state;
  glow_step_report report = step(&b, GLOW_REVERSE_KL, 40, NULL);
  assert_int_equal(b.g->gradients, b.g->calls);
  for (int n = 0; n < 40; n++)
    for (int i = 0; i < 2; i++) {
      double x = (double)b.g->x[2 * n + i], e = (x + (double)bias[i]) * exp((double)logs[i]);
      double deviation = 1.0 + i / 8.0, slope = (x - i / 4.0) / (deviation * deviation);
      loss += ((double)logs[i] - 0.5 * e * e + 0.5 * slope * (x - i / 4.0) + log(deviation)) / 40.0;
      expected[i] += -slope / 40.0;
      expected[2 + i] += (1.0 - slope * e * exp(-(double)logs[i])) / 40.0;
    }
  assert_true(fabs(report.loss - (loss - log_z)) < 1e-6);
  for (int i = 0; i < 4; i++)
    assert_true(fabs((double)gradients_of(&b)[i] - expected[i]) < 1e-6);
  assert_true(isnan(report.class_loss) && isnan(report.accuracy) && report.drift == 0.0);
  free(p);
  close_bench(&b);
}

/* The loss of the first step at parameters p + h d: the same random numbers each time. */
static double loss_at(const float *p, const float *d, double h) {
  bench b = open_flow(1, NULL);
  for (int64_t i = 0; i < glow_model_parameter_count(b.model); i++)
    glow_model_parameters_mutable(b.model)[i] = (float)((double)p[i] + h * (double)d[i]);
  ok(glow_model_prepare(b.model));
  double loss = step(&b, GLOW_REVERSE_KL, BATCH, NULL).loss;
  close_bench(&b);
  return loss;
}

/* Along the gradient g, the derivative is |g|^2, here 40. Rounding of the loss is about 1e-7, in a
 * difference of 8e-3. */
static void test_reverse_differences(void **state) {
  glow_trainer_options o = GLOW_TRAINER_OPTIONS_INIT;
  double squares = 0.0;
  (void)state;
  o.micro_batch = 5;
  bench b = open_flow(1, &o);
  float *p = copy_of_parameters(b.model);
  step(&b, GLOW_REVERSE_KL, BATCH, NULL);
  for (int64_t i = 0; i < glow_model_parameter_count(b.model); i++)
    squares += (double)gradients_of(&b)[i] * (double)gradients_of(&b)[i];
  double difference =
      (loss_at(p, gradients_of(&b), 1e-4) - loss_at(p, gradients_of(&b), -1e-4)) / 2e-4;
  if (!(fabs(difference - squares) < 1e-3 * squares))
    fail_msg("difference %.9g, |gradient|^2 %.9g", difference, squares);
  free(p);
  close_bench(&b);
}

/* ---- forward KL ------------------------------------------------------------------------------ */

/* Weights by glow_importance_estimate, then backward of the weighted mean of log q at the samples
 * that were drawn. */
static void test_forward_by_hand(void **state) {
  glow_importance estimate = GLOW_IMPORTANCE_INIT, own = GLOW_IMPORTANCE_INIT;
  glow_workspace_options options = GLOW_WORKSPACE_OPTIONS_INIT;
  glow_forward_options forward = GLOW_FORWARD_OPTIONS_INIT;
  glow_backward_options backward = GLOW_BACKWARD_OPTIONS_INIT;
  glow_workspace *ws = NULL;
  double log_q[BATCH], weights[BATCH], loss = 0.0;
  (void)state;
  for (int64_t micro = 1; micro <= BATCH; micro += 4) {
    glow_trainer_options o = GLOW_TRAINER_OPTIONS_INIT;
    o.micro_batch = micro;
    bench b = open_flow(1, &o);
    bench fresh = open_flow(1, NULL);
    b.g->wrong = 4; /* a weight of 0 */
    b.g->log_p = -INFINITY;
    glow_step_report report = step(&b, GLOW_FORWARD_KL, BATCH, &estimate);
    assert_int_equal(b.g->gradients, 0);
    options.batch = BATCH;
    options.mode = GLOW_MODE_STORED;
    ok(glow_workspace_create(fresh.model, &options, &ws));
    forward.log_prob = log_q;
    ok(glow_workspace_forward(ws, b.g->x, BATCH, &forward));
    ok(glow_importance_estimate(b.g->values, log_q, BATCH, weights, &own));
    loss = 0.0;
    for (int n = 0; n < BATCH; n++) {
      loss -= weights[n] * log_q[n];
      weights[n] = -weights[n];
    }
    backward.weight = weights;
    ok(glow_workspace_backward(ws, &backward));
    assert_true(fabs(report.loss - loss) < 1e-5);
    assert_true(relative(gradients_of(&b), glow_workspace_gradients(ws),
                         glow_model_parameter_count(b.model)) < 1e-5);
    assert_int_equal(estimate.count, BATCH);
    assert_true(fabs(estimate.log_z - own.log_z) < 1e-5 && fabs(estimate.ess - own.ess) < 1e-4);
    glow_workspace_destroy(&ws);
    close_bench(&fresh);
    close_bench(&b);
  }
}

/* The largest weight so far is 0 after the first micro-batch: nothing to be relative to. */
static void test_parts_without_weight(void **state) {
  glow_step_report reports[2];
  (void)state;
  for (int k = 0; k < 2; k++) {
    glow_trainer_options o = GLOW_TRAINER_OPTIONS_INIT;
    o.micro_batch = k ? BATCH : 3;
    bench b = open_flow(1, &o);
    b.g->nothing = 7; /* two micro-batches of three, and one of the third */
    reports[k] = step(&b, GLOW_FORWARD_KL, BATCH, NULL);
    assert_true(isfinite(reports[k].loss));
    close_bench(&b);
  }
  assert_true(fabs(reports[0].loss - reports[1].loss) < 1e-12 * fabs(reports[1].loss));
}

/* ---- drift ----------------------------------------------------------------------------------- */

static bench open_drifting(double bound, int64_t micro) {
  glow_trainer_options o = GLOW_TRAINER_OPTIONS_INIT;
  o.mode = GLOW_MODE_RECONSTRUCTED;
  o.drift_bound = bound;
  o.micro_batch = micro;
  return open_flow(1, &o);
}

static double drift_of(int64_t count) {
  bench b = open_drifting(0.0, 1);
  glow_step_report report = step(&b, GLOW_FORWARD_KL, count, NULL);
  assert_int_equal(report.recomputes, 0);
  close_bench(&b);
  return report.drift;
}

static void expect_same(const bench *a, const bench *b) {
  size_t bytes = (size_t)glow_model_parameter_count(a->model) * sizeof(float);
  assert_memory_equal(glow_model_parameters(a->model), glow_model_parameters(b->model), bytes);
}

/* The density is asked for `asked` micro-batches in all, and then for those of one more step; both
 * steps are, bit for bit, those of activations that are stored. */
static void expect_as_stored(double bound, int64_t micro, int64_t asked) {
  glow_trainer_options o = GLOW_TRAINER_OPTIONS_INIT;
  glow_importance stored = GLOW_IMPORTANCE_INIT, again = GLOW_IMPORTANCE_INIT;
  o.micro_batch = micro;
  bench plain = open_flow(1, &o), b = open_drifting(bound, micro);
  glow_step_report expected = step(&plain, GLOW_FORWARD_KL, BATCH, &stored);
  glow_step_report report = step(&b, GLOW_FORWARD_KL, BATCH, &again);
  assert_true(report.drift > bound && report.loss == expected.loss);
  assert_int_equal(report.recomputes, 1);
  assert_int_equal(b.g->calls, asked);
  assert_memory_equal(&stored, &again, sizeof stored);
  expect_same(&plain, &b);
  step(&plain, GLOW_FORWARD_KL, BATCH, NULL);
  report = step(&b, GLOW_FORWARD_KL, BATCH, NULL);
  assert_true(report.drift == 0.0 && report.recomputes == 1);
  assert_int_equal(b.g->calls, asked + (BATCH + micro - 1) / micro);
  expect_same(&plain, &b);
  close_bench(&plain);
  close_bench(&b);
}

/* The first micro-batch drifts past the bound; or one after others, whose gradients and weights are
 * in the sums already. Either way the whole step is made again. */
static void test_forward_drift(void **state) {
  double first = drift_of(1), largest = drift_of(BATCH);
  (void)state;
  assert_true(first > 0.0 && largest > first);
  expect_as_stored(1e-300, 5, 1 + 3);
  int64_t before = 1;
  while (drift_of(before + 1) == first)
    before++;
  expect_as_stored(first, 1, before + 1 + BATCH);
}

/* A step that is refused leaves nothing of the change behind. */
static void test_drift_of_refused_step(void **state) {
  glow_workspace_info info = GLOW_WORKSPACE_INFO_INIT;
  bench b = open_drifting(1e-300, 5);
  glow_target target = target_of(b.g, GLOW_FORWARD_KL);
  (void)state;
  b.g->wrong = BATCH - 1;
  b.g->log_p = NAN;
  refused(glow_trainer_step_target(b.trainer, &target, BATCH, NULL, NULL), GLOW_E_NUMERIC,
          "step 1 refused");
  assert_int_equal(b.g->calls, 1 + 3);
  ok(glow_workspace_get_info(glow_trainer_workspace(b.trainer), &info));
  assert_int_equal(info.recomputes, 0);
  b.g->wrong = -1;
  assert_int_equal(step(&b, GLOW_FORWARD_KL, BATCH, NULL).recomputes, 1);
  close_bench(&b);
}

/* ---- both ------------------------------------------------------------------------------------ */

/* An affine flow can become the target, by either objective: then log q - log p is the constant
 * -log Z, and all weights are equal. The gradients of 1000 samples still have the noise of the
 * score, sqrt(2 / 1000), which the falling rate averages. */
static void test_learns_a_gaussian(void **state) {
  (void)state;
  for (int32_t objective = GLOW_REVERSE_KL; objective <= GLOW_FORWARD_KL; objective++) {
    glow_context *context = new_context(1, NULL);
    glow_importance e = GLOW_IMPORTANCE_INIT;
    glow_step_report report = GLOW_STEP_REPORT_INIT;
    glow_schedule schedule = GLOW_SCHEDULE_INIT;
    glow_trainer_options o = GLOW_TRAINER_OPTIONS_INIT;
    schedule.kind = GLOW_SCHEDULE_COSINE;
    schedule.rate = 0.03;
    schedule.steps = 400;
    o.schedule = &schedule;
    o.micro_batch = 256;
    bench b = open_on(context, new_affine(context), &o);
    for (int i = 0; i < 400; i++)
      report = step(&b, objective, DRAWN, &e);
    const float *p = glow_model_parameters(b.model); /* bias, logs */
    for (int i = 0; i < 2; i++) {
      assert_true(fabs((double)p[i] + i / 4.0) < 1e-2);
      assert_true(fabs((double)p[2 + i] + log(1.0 + i / 8.0)) < 1e-2);
    }
    assert_true(e.ess > 0.999 * DRAWN && fabs(e.log_z - log_z) < 1e-2);
    assert_true(objective == GLOW_FORWARD_KL || fabs(report.loss + log_z) < 1e-2);
    close_bench(&b);
  }
}

/* In float32, sums of micro-batches differ by rounding alone. */
static void test_micro_batches(void **state) {
  static const int64_t sizes[] = {1, 5, 12, 100};
  (void)state;
  for (int32_t objective = GLOW_REVERSE_KL; objective <= GLOW_FORWARD_KL; objective++)
    for (int k = 0; k < 8; k++) {
      glow_trainer_options o = GLOW_TRAINER_OPTIONS_INIT;
      bench whole = open_flow(1, NULL);
      o.micro_batch = sizes[k % 4];
      o.mode = k < 4 ? GLOW_MODE_STORED : GLOW_MODE_RECONSTRUCTED;
      bench parts = open_flow(1, &o);
      glow_importance e = GLOW_IMPORTANCE_INIT, f = GLOW_IMPORTANCE_INIT;
      glow_step_report a = step(&whole, objective, BATCH, &e);
      glow_step_report c = step(&parts, objective, BATCH, &f);
      assert_memory_equal(whole.g->x, parts.g->x, sizeof whole.g->x);
      assert_true(fabs(a.loss - c.loss) < 1e-12 * fabs(a.loss));
      assert_true(e.log_z == f.log_z && e.ess == f.ess);
      assert_true(relative(gradients_of(&parts), gradients_of(&whole),
                           glow_model_parameter_count(whole.model)) < 1e-5);
      close_bench(&whole);
      close_bench(&parts);
    }
}

static void test_threads(void **state) {
  (void)state;
  for (int32_t objective = GLOW_REVERSE_KL; objective <= GLOW_FORWARD_KL; objective++) {
    glow_trainer_options o = GLOW_TRAINER_OPTIONS_INIT;
    o.micro_batch = 300;
    bench one = open_flow(1, &o);
    for (uint32_t threads = 2; threads < 8; threads += 3) {
      bench many = open_flow(threads, &o);
      if (threads == 2)
        for (int i = 0; i < 3; i++)
          step(&one, objective, 700, NULL);
      for (int i = 0; i < 3; i++)
        step(&many, objective, 700, NULL);
      same_bits(many.model, glow_model_parameters(one.model));
      close_bench(&many);
    }
    close_bench(&one);
  }
}

/* Each step has samples of its own, and not those that a caller gets with the same seed. */
static void test_new_samples(void **state) {
  bench b = open_flow(1, NULL);
  float first[BATCH * 3], drawn[BATCH * 3];
  (void)state;
  ok(glow_workspace_sample(glow_trainer_workspace(b.trainer), BATCH, NULL, drawn));
  step(&b, GLOW_REVERSE_KL, BATCH, NULL);
  memcpy(first, b.g->x, sizeof first);
  step(&b, GLOW_FORWARD_KL, BATCH, NULL);
  assert_true(relative(first, drawn, BATCH * 3) > 0.1);
  assert_true(relative(b.g->x, first, BATCH * 3) > 0.1);
  close_bench(&b);
}

/* Sample n has condition n and a target of its own, which the density knows by `first`. */
static void test_conditions(void **state) {
  float condition[BATCH];
  (void)state;
  for (int n = 0; n < BATCH; n++)
    condition[n] = (float)n / BATCH;
  for (int32_t objective = GLOW_REVERSE_KL; objective <= GLOW_FORWARD_KL; objective++) {
    glow_step_report reports[2];
    float *kept = NULL;
    for (int k = 0; k < 2; k++) {
      glow_context *context = new_context(1, NULL);
      glow_trainer_options o = GLOW_TRAINER_OPTIONS_INIT;
      o.micro_batch = k ? 4 : BATCH;
      bench b = open_on(context, new_flow(context, 1), &o);
      glow_target target = target_of(b.g, objective);
      b.g->shift = condition;
      reports[k] = (glow_step_report)GLOW_STEP_REPORT_INIT;
      refused(glow_trainer_step_target(b.trainer, &target, BATCH, NULL, NULL), GLOW_E_ARGUMENT,
              "condition");
      target.condition = condition;
      target.condition_count = BATCH - 1;
      refused(glow_trainer_step_target(b.trainer, &target, BATCH, NULL, NULL), GLOW_E_ARGUMENT,
              "12 conditions for 13 samples");
      target.condition_count = BATCH;
      ok(glow_trainer_step_target(b.trainer, &target, BATCH, &reports[k], NULL));
      if (!k) {
        kept = malloc((size_t)glow_model_parameter_count(b.model) * sizeof *kept);
        memcpy(kept, gradients_of(&b), (size_t)glow_model_parameter_count(b.model) * sizeof *kept);
      } else {
        assert_true(relative(gradients_of(&b), kept, glow_model_parameter_count(b.model)) < 1e-5);
      }
      close_bench(&b);
    }
    assert_true(fabs(reports[0].loss - reports[1].loss) < 1e-6);
    free(kept);
  }
}

static void test_labels(void **state) {
  glow_context *context = new_context(1, NULL);
  glow_glow_options o = GLOW_GLOW_OPTIONS_INIT;
  int32_t labels[BATCH];
  (void)state;
  o.input = (glow_shape){2, 2, 2};
  o.levels = o.depth = 1;
  o.hidden = 4;
  o.classes = 3;
  bench b = open_on(context, new_stirred_model(context, &o), NULL);
  glow_target target = target_of(b.g, GLOW_REVERSE_KL);
  for (int n = 0; n < BATCH; n++)
    labels[n] = n % 3;
  refused(glow_trainer_step_target(b.trainer, &target, BATCH, NULL, NULL), GLOW_E_ARGUMENT,
          "needs labels");
  target.labels = labels;
  ok(glow_trainer_step_target(b.trainer, &target, BATCH, NULL, NULL));
  target.objective = GLOW_FORWARD_KL;
  ok(glow_trainer_step_target(b.trainer, &target, BATCH, NULL, NULL));
  labels[7] = -1;
  refused(glow_trainer_step_target(b.trainer, &target, BATCH, NULL, NULL), GLOW_E_ARGUMENT,
          "sample 7 ");
  assert_int_equal(glow_trainer_step_count(b.trainer), 2);
  close_bench(&b);
}

/* Running averages are those of the data that were there before. */
static void test_batch_normalisation(void **state) {
  glow_realnvp_options o = GLOW_REALNVP_OPTIONS_INIT;
  (void)state;
  o.input = (glow_shape){4, 4, 1};
  o.hidden = o.blocks = 2;
  for (int32_t objective = GLOW_REVERSE_KL; objective <= GLOW_FORWARD_KL; objective++) {
    glow_context *context = new_context(1, NULL);
    glow_model *model = NULL;
    float before, after;
    ok(glow_model_create_realnvp(context, &o, &model));
    bench b = open_on(context, model, NULL);
    float *x = new_input(context, model, BATCH, 3);
    ok(glow_trainer_initialise(b.trainer, x, NULL, BATCH));
    ok(glow_trainer_step(b.trainer, x, NULL, BATCH, NULL));
    const char *name = "scale0.checkerboard0.batchnorm.mean";
    ok(glow_model_get_tensor(model, name, &before, 1));
    step(&b, objective, BATCH, NULL);
    ok(glow_model_get_tensor(model, name, &after, 1));
    assert_true(before != 0.0f && before == after);
    free(x);
    close_bench(&b);
  }
}

/* ---- refusals -------------------------------------------------------------------------------- */

typedef struct wrong {
  int32_t objective;
  double log_p;
  float slope;
  glow_status status, expected;
  const char *words;
} wrong;

static const wrong wrongs[] = {
    {GLOW_REVERSE_KL, NAN, 1, GLOW_OK, GLOW_E_NUMERIC, "step 2 refused: sample 7 has no"},
    {GLOW_REVERSE_KL, INFINITY, 1, GLOW_OK, GLOW_E_NUMERIC, "sample 7 has no finite weight"},
    {GLOW_REVERSE_KL, -INFINITY, 1, GLOW_OK, GLOW_E_NUMERIC, "log p of sample 7 is -INFINITY"},
    {GLOW_REVERSE_KL, 0, NAN, GLOW_OK, GLOW_E_NUMERIC, "element 2 of the gradient of log p at sam"},
    {GLOW_REVERSE_KL, 0, INFINITY, GLOW_OK, GLOW_E_NUMERIC, "at sample 7 is not finite"},
    {GLOW_REVERSE_KL, 0, 3e38f, GLOW_OK, GLOW_E_NUMERIC, "step 2 refused"},
    {GLOW_REVERSE_KL, 0, 1, GLOW_E_IO, GLOW_E_IO, "step 2 refused: the density failed: "},
    {GLOW_REVERSE_KL, 0, 1, (glow_status)5, GLOW_E_ARGUMENT,
     "the density returned 5, not a status"},
    {GLOW_FORWARD_KL, NAN, 1, GLOW_OK, GLOW_E_NUMERIC, "step 2 refused: sample 7 has no"},
    {GLOW_FORWARD_KL, INFINITY, 1, GLOW_OK, GLOW_E_NUMERIC, "sample 7 has no finite weight"},
    {GLOW_FORWARD_KL, 0, 1, GLOW_E_CANCELLED, GLOW_E_CANCELLED, "step 2: the density failed"},
};

/* After the refusal, the next step has the bits that it would have had. */
static void test_refused_steps(void **state) {
  (void)state;
  for (size_t i = 0; i < sizeof wrongs / sizeof *wrongs; i++) {
    const wrong *w = &wrongs[i];
    glow_trainer_options o = GLOW_TRAINER_OPTIONS_INIT;
    glow_step_report report = GLOW_STEP_REPORT_INIT;
    glow_importance e = GLOW_IMPORTANCE_INIT;
    o.micro_batch = 5;
    o.average = 1;
    bench b = open_flow(1, &o), other = open_flow(1, &o);
    glow_target target = target_of(b.g, w->objective);
    step(&b, w->objective, BATCH, NULL);
    step(&other, w->objective, BATCH, NULL);
    b.g->wrong = 7;
    b.g->log_p = w->log_p;
    b.g->slope = w->slope;
    b.g->status = w->status;
    refused(glow_trainer_step_target(b.trainer, &target, BATCH, &report, &e), w->expected,
            w->words);
    assert_int_equal(glow_trainer_step_count(b.trainer), 1);
    same_bits(b.model, glow_model_parameters(other.model));
    b.g->wrong = -1;
    step(&b, w->objective, BATCH, NULL);
    step(&other, w->objective, BATCH, NULL);
    same_bits(b.model, glow_model_parameters(other.model));
    close_bench(&b);
    close_bench(&other);
  }
}

/* Writes nothing at all. */
static glow_status silent_density(const float *x, int64_t first, int64_t count, double *log_p,
                                  float *gradient, void *payload) {
  (void)x, (void)first, (void)count, (void)log_p, (void)gradient, (void)payload;
  return GLOW_OK;
}

/* Zero everywhere. */
static glow_status zero_density(const float *x, int64_t first, int64_t count, double *log_p,
                                float *gradient, void *payload) {
  (void)x, (void)first, (void)gradient, (void)payload;
  for (int64_t n = 0; n < count; n++)
    log_p[n] = -INFINITY;
  return GLOW_OK;
}

static void test_densities_without_values(void **state) {
  bench b = open_flow(1, NULL);
  glow_target target = target_of(b.g, GLOW_FORWARD_KL);
  (void)state;
  target.density = silent_density;
  refused(glow_trainer_step_target(b.trainer, &target, BATCH, NULL, NULL), GLOW_E_NUMERIC,
          "sample 0 has no finite weight: log p is nan");
  target.density = zero_density;
  refused(glow_trainer_step_target(b.trainer, &target, BATCH, NULL, NULL), GLOW_E_NUMERIC,
          "step 1 refused: all 13 weights are 0");
  assert_int_equal(glow_trainer_step_count(b.trainer), 0);
  close_bench(&b);
}

static void test_arguments(void **state) {
  bench b = open_flow(1, NULL);
  const glow_target good = target_of(b.g, GLOW_REVERSE_KL);
  glow_target bad = good;
  glow_importance e = GLOW_IMPORTANCE_INIT;
  glow_trainer *plain = NULL;
  (void)state;
#define BAD(words)                                                                                 \
  refused(glow_trainer_step_target(b.trainer, &bad, 1, NULL, &e), GLOW_E_ARGUMENT, words)
  bad.density = NULL;
  BAD("density is NULL");
  bad = good;
  bad.objective = 1;
  BAD("objective is 1");
  bad = good;
  bad.reserved = 1;
  BAD("reserved");
  bad = good;
  bad.condition_count = 1;
  BAD("condition_count");
  bad = good;
  bad.condition = b.g->x;
  bad.condition_count = 1;
  BAD("condition");
  bad = good;
  bad.struct_size = 8;
  BAD("glow_target");
  bad = good;
  e.struct_size = 8;
  BAD("glow_importance");
#undef BAD
  refused(glow_trainer_step_target(NULL, &good, 1, NULL, NULL), GLOW_E_ARGUMENT, "NULL");
  refused(glow_trainer_step_target(b.trainer, NULL, 1, NULL, NULL), GLOW_E_ARGUMENT, "NULL");
  refused(glow_trainer_step_target(b.trainer, &good, 0, NULL, NULL), GLOW_E_ARGUMENT, "0 samples");
  refused(glow_trainer_step_target(b.trainer, &good, INT64_MAX, NULL, NULL), GLOW_E_LIMIT,
          "too many");
  ok(glow_trainer_create(b.model, NULL, &plain));
  refused(glow_trainer_step_target(plain, &good, 1, NULL, NULL), GLOW_E_STATE, "inverse_backward");
  assert_int_equal(glow_trainer_step_count(b.trainer), 0);
  assert_int_equal(b.g->calls, 0);
  ok(glow_workspace_cancel(glow_trainer_workspace(b.trainer), 1));
  refused(glow_trainer_step_target(b.trainer, &good, 1, NULL, NULL), GLOW_E_CANCELLED, "step 1: ");
  glow_trainer_destroy(&plain);
  close_bench(&b);
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(test_reverse_closed_form),
      cmocka_unit_test(test_reverse_differences),
      cmocka_unit_test(test_forward_by_hand),
      cmocka_unit_test(test_parts_without_weight),
      cmocka_unit_test(test_forward_drift),
      cmocka_unit_test(test_drift_of_refused_step),
      cmocka_unit_test(test_learns_a_gaussian),
      cmocka_unit_test(test_micro_batches),
      cmocka_unit_test(test_threads),
      cmocka_unit_test(test_new_samples),
      cmocka_unit_test(test_conditions),
      cmocka_unit_test(test_labels),
      cmocka_unit_test(test_batch_normalisation),
      cmocka_unit_test(test_refused_steps),
      cmocka_unit_test(test_densities_without_values),
      cmocka_unit_test(test_arguments),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
