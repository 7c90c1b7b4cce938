/* Standardisation: its constants on data of far means, what it does to a sample; that a flow for
 * vectors learns the same whatever the units of data and conditions are, and the presets of images
 * whatever those of the conditions are.
 * SPDX-License-Identifier: MIT */
#include "../support/model_helpers.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

enum { COUNT = 300, DIMS = 6, SIZE = 3 };

/* What is drawn: column c is mean + deviation * normal. One column is constant. */
static const double means[DIMS] = {0, 1e6, -6.2e6, 300.1, 1e-8, 1e6};
static const double deviations[DIMS] = {1, 1, 0, 1e-3, 1e-9, 4e5};
enum { CONSTANT = 2 };

typedef struct bench {
  glow_context *context;
  glow_model *model;
  glow_workspace *ws;
  float x[COUNT * DIMS];
  char log[4096];
} bench;

static void keep_log(int32_t level, const char *text, void *payload) {
  bench *b = payload;
  size_t used = strlen(b->log);
  snprintf(b->log + used, sizeof b->log - used, "%d %s\n", (int)level, text);
}

static glow_model *standardise_alone(glow_context *context) {
  const glow_shape shape = {1, 1, DIMS};
  const glow_builder_options options = {sizeof options, 0, 0};
  glow_prior_options prior = GLOW_PRIOR_OPTIONS_INIT;
  glow_builder *builder = NULL;
  glow_model *model = NULL;
  glow_layer *layer = NULL;
  prior.learned = 0;
  OK(glow_builder_create(context, &shape, &options, &builder));
  OK(glow_standardise_create(context, NULL, &layer));
  OK(glow_builder_add(builder, "first", &layer));
  OK(glow_prior_create(context, &prior, &layer));
  OK(glow_builder_add(builder, "prior", &layer));
  OK(glow_builder_finish(&builder, &model));
  return model;
}

static int open_bench(void **state) {
  bench *b = helper_allocate(sizeof *b);
  glow_context_options options = GLOW_CONTEXT_OPTIONS_INIT;
  glow_workspace_options ws = GLOW_WORKSPACE_OPTIONS_INIT;
  helper_random random = helper_random_of(helper_seed());
  memset(b, 0, sizeof *b);
  options.log = keep_log;
  options.log_payload = b;
  options.threads = 2;
  OK(glow_context_create(&options, &b->context));
  for (int64_t n = 0; n < COUNT; n++)
    for (int64_t c = 0; c < DIMS; c++)
      b->x[n * DIMS + c] = (float)(means[c] + deviations[c] * helper_normal(&random));
  b->model = standardise_alone(b->context);
  ws.batch = 64; /* the data come in several parts */
  OK(glow_workspace_create(b->model, &ws, &b->ws));
  *state = b;
  return 0;
}

static int close_bench(void **state) {
  bench *b = *state;
  glow_workspace_destroy(&b->ws);
  glow_model_destroy(&b->model);
  glow_context_destroy(&b->context);
  free(b);
  return 0;
}

/* Mean and biased deviation of a column of b->x, in long double. */
static void truth(const bench *b, int64_t c, double *mean, double *deviation) {
  long double sum = 0, squares = 0;
  for (int64_t n = 0; n < COUNT; n++)
    sum += (long double)b->x[n * DIMS + c];
  sum /= COUNT;
  for (int64_t n = 0; n < COUNT; n++) {
    long double d = (long double)b->x[n * DIMS + c] - sum;
    squares += d * d;
  }
  *mean = (double)sum;
  *deviation = sqrt((double)(squares / COUNT));
}

static void standard_of(const glow_model *model, float *mean, float *deviation) {
  OK(glow_model_get_tensor(model, "first.mean", mean, DIMS));
  OK(glow_model_get_tensor(model, "first.deviation", deviation, DIMS));
}

/* Of the first 64 samples. */
static void forward(const bench *b, float *latents, double *logdet) {
  glow_forward_options options = GLOW_FORWARD_OPTIONS_INIT;
  options.latents = latents;
  options.logdet = logdet;
  OK(glow_workspace_forward(b->ws, b->x, 64, &options));
}

static void test_identity_before(void **state) {
  bench *b = *state;
  float latents[64 * DIMS];
  double logdet[64];
  OK(glow_model_set_initialised(b->model));
  forward(b, latents, logdet);
  assert_memory_equal(latents, b->x, 64 * DIMS * sizeof(float));
  for (int n = 0; n < 64; n++)
    assert_true(logdet[n] == 0);
}

static void test_constants(void **state) {
  bench *b = *state;
  float mean[DIMS], deviation[DIMS];
  OK(glow_workspace_initialise(b->ws, b->model, b->x, NULL, COUNT));
  standard_of(b->model, mean, deviation);
  for (int64_t c = 0; c < DIMS; c++) {
    double m, d;
    truth(b, c, &m, &d);
    /* Means are rounded once, to the nearest float32. Deviations too, and before that differences
     * x - mean of a few deviations, each by up to 2^-24 of it. */
    double ulp = (double)(nextafterf(fabsf(mean[c]), INFINITY) - fabsf(mean[c]));
    assert_true(fabs((double)mean[c] - m) <= 0.501 * ulp);
    if (c != CONSTANT)
      assert_true(fabs((double)deviation[c] - d) < 1e-6 * d);
  }
  assert_true(mean[CONSTANT] == b->x[CONSTANT] && deviation[CONSTANT] == 1);
  assert_non_null(strstr(b->log, "30 layer 'first': channel 2 is constant (-6.2e+06)"));
  assert_null(strstr(b->log, "channel 1"));
}

static void test_what_it_does(void **state) {
  bench *b = *state;
  float mean[DIMS], deviation[DIMS], latents[64 * DIMS], back[64 * DIMS];
  double logdet[64], expected = 0;
  OK(glow_workspace_initialise(b->ws, b->model, b->x, NULL, COUNT));
  standard_of(b->model, mean, deviation);
  for (int c = 0; c < DIMS; c++)
    expected -= log((double)deviation[c]);
  forward(b, latents, logdet);
  for (int i = 0; i < 64 * DIMS; i++) {
    double y = ((double)b->x[i] - (double)mean[i % DIMS]) / (double)deviation[i % DIMS];
    /* one rounding of the difference and one of the quotient: 2^-24 each */
    assert_true(fabs((double)latents[i] - y) <= 1.3e-7 * fabs(y));
  }
  for (int n = 0; n < 64; n++)
    assert_true(fabs(logdet[n] - expected) < 1e-12 * fabs(expected));
  OK(glow_workspace_inverse(b->ws, latents, 64, NULL, back));
  for (int i = 0; i < 64 * DIMS; i++) {
    /* roundings of x itself, and of a difference of several deviations */
    double bound = 1.2e-7 * fabs((double)b->x[i]) + 1e-6 * (double)deviation[i % DIMS];
    assert_true(fabs((double)back[i] - (double)b->x[i]) <= bound);
  }
}

/* Folded into W x + b the shift would lose what the mean has more digits of. */
static void test_inference_form(void **state) {
  bench *b = *state;
  glow_model *form = NULL;
  glow_workspace *ws = NULL;
  double ours[COUNT], theirs[COUNT];
  OK(glow_workspace_initialise(b->ws, b->model, b->x, NULL, COUNT));
  OK(glow_model_inference_form(b->model, &form));
  OK(glow_workspace_create(form, NULL, &ws));
  OK(glow_workspace_log_prob(b->ws, b->x, NULL, COUNT, ours));
  OK(glow_workspace_log_prob(ws, b->x, NULL, COUNT, theirs));
  assert_memory_equal(ours, theirs, sizeof ours);
  glow_workspace_destroy(&ws);
  glow_model_destroy(&form);
}

static void test_bad_deviations(void **state) {
  bench *b = *state;
  float bad[DIMS] = {1, 1, 1, 0, 1, 1};
  OK(glow_model_set_tensor(b->model, "first.deviation", bad, DIMS));
  REFUSED(glow_model_prepare(b->model), GLOW_E_NUMERIC, "the deviation of channel 3 is 0");
  bad[3] = INFINITY;
  if (glow_model_set_tensor(b->model, "first.deviation", bad, DIMS) == GLOW_OK)
    REFUSED(glow_model_prepare(b->model), GLOW_E_NUMERIC, "deviation");
}

/* ---- units ----------------------------------------------------------------------------------- */

/* Trains a small conditional flow, and writes the mean log-density of the data. */
static double learn(glow_context *context, const float *x, const float *conditions, float *fixed) {
  glow_vector_flow_options o = GLOW_VECTOR_FLOW_OPTIONS_INIT;
  glow_trainer_options options = GLOW_TRAINER_OPTIONS_INIT;
  glow_optimizer_options adam = GLOW_OPTIMIZER_OPTIONS_INIT;
  glow_schedule schedule = GLOW_SCHEDULE_INIT;
  glow_model *model = NULL;
  glow_trainer *trainer = NULL;
  double log_prob[COUNT], mean = 0;
  float before[SIZE], after[SIZE];
  o.dims = 2;
  o.condition = SIZE;
  o.steps = 2;
  o.hidden = 8;
  schedule.rate = 5e-3;
  options.schedule = &schedule;
  /* Many gradients are 0 at first but for roundings, for initialisation left nothing to do. By
   * default Adam would take whole steps by their signs. */
  adam.epsilon = 1e-3;
  options.optimizer = &adam;
  options.micro_batch = COUNT;
  OK(glow_model_create_vector_flow(context, &o, &model));
  OK(glow_trainer_create(model, &options, &trainer));
  OK(helper_initialise(trainer, x, conditions, COUNT));
  OK(glow_model_get_tensor(model, "step0.coupling.net.condition_mean", before, SIZE));
  for (int step = 0; step < 40; step++)
    OK(helper_step(trainer, x, NULL, conditions, COUNT, COUNT));
  OK(glow_model_get_tensor(model, "step0.coupling.net.condition_mean", after, SIZE));
  assert_memory_equal(before, after, sizeof before);
  OK(glow_model_get_tensor(model, "step1.coupling.net.condition_deviation", fixed, SIZE));
  glow_workspace *ws = glow_trainer_workspace(trainer);
  OK(glow_workspace_set_condition(ws, conditions, COUNT, SIZE));
  OK(glow_workspace_log_prob(ws, x, NULL, COUNT, log_prob));
  for (int n = 0; n < COUNT; n++)
    mean += log_prob[n] / COUNT;
  glow_trainer_destroy(&trainer);
  glow_model_destroy(&model);
  return mean;
}

/* Units are powers of 2 and shifts that float32 holds exactly, so both sets hold the same data. The
 * means are rounded, by up to 1/32 in data around 1e6: the first actnorm takes that up, and what
 * remains are roundings that 40 steps of training have carried on. */
static void test_units(void **state) {
  bench *b = *state;
  helper_random random = helper_random_of(helper_seed());
  static float x[2 * COUNT], c[SIZE * COUNT], far_x[2 * COUNT], far_c[SIZE * COUNT];
  float fixed[SIZE], far_fixed[SIZE];
  for (int n = 0; n < COUNT; n++) {
    for (int j = 0; j < SIZE; j++) {
      c[n * SIZE + j] = j == 2 ? 0.0f : (float)(round(helper_normal(&random) * 64) / 64);
      far_c[n * SIZE + j] = 16384.0f * c[n * SIZE + j] + 32768.0f;
    }
    for (int j = 0; j < 2; j++) {
      double near = (double)c[n * SIZE + j] + 0.25 * helper_normal(&random);
      x[2 * n + j] = (float)(round(near * 16) / 16);
      far_x[2 * n + j] = j ? 1024.0f * x[2 * n + j] : x[2 * n + j] + 1e6f;
    }
  }
  double near = learn(b->context, x, c, fixed), far = learn(b->context, far_x, far_c, far_fixed);
  print_message("mean log-density %.6f, and %.6f in other units\n", near, far + log(1024.0));
  assert_true(fabs(near - (far + log(1024.0))) < 1e-2);
  for (int j = 0; j < 2; j++)
    assert_true(fabsf(far_fixed[j] - 16384 * fixed[j]) < 1e-5f * far_fixed[j]);
  assert_true(fixed[2] == 1 && far_fixed[2] == 1); /* a constant one */
  assert_non_null(strstr(b->log, "20 layer 'step0.coupling': element 2 of the condition"));
}

/* ---- presets of images ----------------------------------------------------------------------- */

enum { SIDE = 4, PIXELS = SIDE * SIDE };

static glow_model *image_model(glow_context *context, int preset, int32_t unstandardised) {
  const glow_shape input = {SIDE, SIDE, 1}, condition = {1, 1, SIZE};
  glow_glow_options glow = GLOW_GLOW_OPTIONS_INIT;
  glow_realnvp_options realnvp = GLOW_REALNVP_OPTIONS_INIT;
  glow_nice_options nice = GLOW_NICE_OPTIONS_INIT;
  glow_model *model = NULL;
  glow.input = realnvp.input = nice.input = input;
  glow.condition = realnvp.condition = nice.condition = condition;
  glow.unstandardised = realnvp.unstandardised = nice.unstandardised = unstandardised;
  glow.bits = realnvp.bits = nice.bits = 0;
  glow.levels = realnvp.scales = 1;
  glow.depth = 2;
  glow.hidden = realnvp.hidden = 8;
  realnvp.blocks = 1;
  nice.hidden = 16;
  nice.depth = 1;
  OK(preset == 0   ? glow_model_create_glow(context, &glow, &model)
     : preset == 1 ? glow_model_create_realnvp(context, &realnvp, &model)
                   : glow_model_create_nice(context, &nice, &model));
  return model;
}

/* Trains, and returns the mean log-density of the data, with which the inference form agrees. */
static double learn_images(glow_context *context, int preset, int32_t unstandardised,
                           const float *x, const float *conditions) {
  glow_trainer_options options = GLOW_TRAINER_OPTIONS_INIT;
  glow_schedule schedule = GLOW_SCHEDULE_INIT;
  glow_model *model = image_model(context, preset, unstandardised), *form = NULL;
  glow_trainer *trainer = NULL;
  double log_prob[COUNT], other[COUNT], mean = 0;
  schedule.rate = 5e-3;
  options.schedule = &schedule;
  options.micro_batch = COUNT;
  OK(glow_trainer_create(model, &options, &trainer));
  OK(helper_initialise(trainer, x, conditions, COUNT));
  for (int step = 0; step < 80; step++)
    if (helper_step(trainer, x, NULL, conditions, COUNT, COUNT) != GLOW_OK)
      break; /* so far from 0 that it diverges */
  glow_workspace *own = glow_trainer_workspace(trainer);
  OK(glow_workspace_set_condition(own, conditions, COUNT, SIZE));
  if (glow_workspace_log_prob(own, x, NULL, COUNT, log_prob) != GLOW_OK)
    log_prob[0] = -INFINITY;
  for (int n = 0; n < COUNT; n++)
    mean += log_prob[n] / COUNT;
  if (!unstandardised) {
    glow_workspace *ws = NULL;
    OK(glow_model_inference_form(model, &form));
    OK(glow_workspace_create(form, NULL, &ws));
    OK(glow_workspace_set_condition(ws, conditions, COUNT, SIZE));
    OK(glow_workspace_log_prob(ws, x, NULL, COUNT, other));
    for (int n = 0; n < COUNT; n++) /* products in another order */
      assert_true(fabs(other[n] - log_prob[n]) < 1e-4 * (PIXELS + fabs(log_prob[n])));
    glow_workspace_destroy(&ws);
  }
  glow_model_destroy(&form);
  glow_trainer_destroy(&trainer);
  glow_model_destroy(&model);
  return mean;
}

/* Conditions around 1e6 of scale 1e4, and the same ones standardised here by the values that they
 * were drawn with. Those of the samples are a few percent off, which changes the result of training
 * by up to 0.2. The brightness of an image is in its condition, so a model that cannot read it does
 * worse by 8 and more. */
static void test_image_presets(void **state) {
  bench *b = *state;
  helper_random random = helper_random_of(helper_seed());
  static const char *const names[] = {"Glow", "RealNVP", "NICE"};
  static float x[PIXELS * COUNT], c[SIZE * COUNT], far_c[SIZE * COUNT];
  for (int i = 0; i < SIZE * COUNT; i++) {
    far_c[i] = (float)(1e6 + 1e4 * helper_normal(&random));
    c[i] = (far_c[i] - 1e6f) / 1e4f;
  }
  for (int i = 0; i < PIXELS * COUNT; i++) {
    double bright = 0.15 * (double)c[i / PIXELS * SIZE] + 0.05 * (double)c[i / PIXELS * SIZE + 1];
    x[i] = (float)fmin(0.49, fmax(-0.49, bright + 0.05 * helper_normal(&random)));
  }
  for (int preset = 0; preset < 3; preset++) {
    double far = learn_images(b->context, preset, 0, x, far_c);
    double by_hand = learn_images(b->context, preset, 1, x, c);
    double raw = learn_images(b->context, preset, 1, x, far_c);
    print_message("%s: mean log-density %.4f, by hand %.4f, raw %.4f\n", names[preset], far,
                  by_hand, raw);
    assert_true(fabs(far - by_hand) < 0.5);
    assert_true(far > raw + 4);
  }
}

static void test_bad_deviations_of_nets(void **state) {
  bench *b = *state;
  static const char *const names[] = {"level0.step0.coupling", "scale0.checkerboard0.coupling",
                                      "step0.coupling"};
  for (int preset = 0; preset < 3; preset++) {
    const float bad[SIZE] = {1, -2, 1};
    char name[100];
    glow_model *model = image_model(b->context, preset, 0);
    snprintf(name, sizeof name, "%s.net.condition_deviation", names[preset]);
    OK(glow_model_set_tensor(model, name, bad, SIZE));
    REFUSED(glow_model_prepare(model), GLOW_E_NUMERIC,
            "the deviation of element 1 of the condition is -2");
    glow_model_destroy(&model);
  }
}

int main(void) {
#define TEST(name) cmocka_unit_test_setup_teardown(name, open_bench, close_bench)
  const struct CMUnitTest tests[] = {
      TEST(test_identity_before), TEST(test_constants),
      TEST(test_what_it_does),    TEST(test_inference_form),
      TEST(test_bad_deviations),  TEST(test_units),
      TEST(test_image_presets),   TEST(test_bad_deviations_of_nets),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
