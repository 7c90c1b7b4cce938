/* Losses of the caller's own and the gradient hook: one that is bits/dim trains as bits/dim does;
 * one of everything that there is agrees with differences; what fails changes nothing.
 * SPDX-License-Identifier: MIT */
#include "../support/model_helpers.h"

enum { COUNT = 5, DIMS = 8 * 8 * 2, CLASSES = 3 };

typedef struct bench {
  glow_context *context;
  float *x; /* [COUNT, DIMS] */
  int32_t labels[COUNT];
  double weights[COUNT];
} bench;

static int open_bench(void **state) {
  bench *b = helper_allocate(sizeof *b);
  helper_random random = helper_random_of(helper_seed());
  b->context = helper_context(2, NULL, NULL);
  b->x = helper_allocate(COUNT * DIMS * sizeof *b->x);
  for (int i = 0; i < COUNT * DIMS; i++)
    b->x[i] = (float)(0.2 * helper_normal(&random));
  for (int i = 0; i < COUNT; i++) {
    b->labels[i] = i % CLASSES;
    b->weights[i] = 1 + i % 3;
  }
  *state = b;
  return 0;
}

static int close_bench(void **state) {
  bench *b = *state;
  glow_context_destroy(&b->context);
  free(b->x);
  free(b);
  return 0;
}

static glow_batch batch_of(const bench *b) {
  glow_batch batch = GLOW_BATCH_INIT;
  batch.count = COUNT;
  batch.x = b->x;
  batch.labels = b->labels;
  batch.weights = b->weights;
  return batch;
}

static glow_model *new_model(const bench *b) {
  glow_glow_options o = helper_small_glow();
  o.classes = CLASSES;
  o.classifier = 1;
  return helper_glow(b->context, &o, 2);
}

/* Plain SGD of rate 0.01 without momentum. */
static glow_trainer *new_trainer(glow_model *model, int64_t micro_batch) {
  glow_trainer_options o = GLOW_TRAINER_OPTIONS_INIT;
  glow_optimizer_options sgd = GLOW_OPTIMIZER_OPTIONS_INIT;
  glow_schedule schedule = GLOW_SCHEDULE_INIT;
  glow_trainer *trainer = NULL;
  sgd.kind = GLOW_OPTIMIZER_SGD;
  sgd.beta1 = 0;
  schedule.rate = 0.01;
  o.optimizer = &sgd;
  o.schedule = &schedule;
  o.micro_batch = micro_batch;
  o.class_weight = 0;
  OK(glow_trainer_create(model, &o, &trainer));
  return trainer;
}

/* ---- bits/dim -------------------------------------------------------------------------------- */

static glow_status bits_per_dim(const glow_loss_call *c, double *loss, void *payload) {
  int64_t *seen = payload; /* samples, and calls */
  *loss = 0;
  for (int64_t n = 0; n < c->count; n++) {
    double share = (c->weights ? c->weights[n] : 1) / c->weight_sum;
    *loss += share * (-c->log_prob[n] / DIMS / log(2.0) + 8);
    c->d_log_prob[n] = -share / DIMS / log(2.0);
    assert_true(c->d_logdet[n] == 0 && c->d_latents[n * DIMS] == 0 && c->d_logits[n] == 0);
    c->d_logdet[n] = 0;
  }
  assert_int_equal(c->struct_size, sizeof *c);
  assert_int_equal(c->batch, COUNT);
  assert_int_equal(c->first, seen[0]);
  assert_null(c->condition);
  seen[0] += c->count;
  seen[1]++;
  return GLOW_OK;
}

/* The same gradients, in micro-batches of any size, with weights and without; and bits/dim again
 * once the loss is taken away. */
static void test_bits_per_dim(void **state) {
  const bench *b = *state;
  for (int64_t micro = 1; micro <= 8; micro++) {
    glow_model *one = new_model(b), *other = new_model(b);
    glow_trainer *own = new_trainer(one, micro), *usual = new_trainer(other, micro);
    glow_batch batch = batch_of(b);
    int64_t count = glow_model_parameter_count(one);
    for (int step = 0; step < 4; step++) {
      glow_step_report r = GLOW_STEP_REPORT_INIT, expected = GLOW_STEP_REPORT_INIT;
      int64_t seen[2] = {0, 0};
      batch.weights = step % 2 ? b->weights : NULL;
      OK(glow_trainer_set_loss(own, step == 3 ? NULL : bits_per_dim, seen));
      OK(glow_trainer_step_batch(own, &batch, &r));
      OK(glow_trainer_step_batch(usual, &batch, &expected));
      assert_int_equal(seen[0], step == 3 ? 0 : COUNT);
      assert_int_equal(seen[1], step == 3 ? 0 : (COUNT + micro - 1) / micro);
      assert_true(isnan(r.class_loss) == (step != 3));
      assert_true(fabs(r.loss - expected.loss) < 1e-6);
      assert_true(fabs(r.gradient_norm - expected.gradient_norm) < 1e-5 * expected.gradient_norm);
      assert_true(helper_relative(glow_model_parameters(one), glow_model_parameters(other), count) <
                  1e-6);
    }
    glow_trainer_destroy(&own);
    glow_trainer_destroy(&usual);
    glow_model_destroy(&one);
    glow_model_destroy(&other);
  }
}

/* ---- everything ------------------------------------------------------------------------------ */

/* sum_n 0.3 sin(log_prob / 100) + logdet / 50 + sum_i cos(z_i) / 4 + sum_k (k + 1) logit_k^2 */
static double everything(int64_t count, const double *log_prob, const double *logdet,
                         const float *z, const float *logits) {
  double sum = 0;
  for (int64_t n = 0; n < count; n++) {
    sum += 0.3 * sin(log_prob[n] / 100) + logdet[n] / 50;
    for (int64_t i = n * DIMS; i < (n + 1) * DIMS; i++)
      sum += cos((double)z[i]) / 4;
    for (int64_t k = 0; k < CLASSES; k++)
      sum += (double)(k + 1) * pow((double)logits[n * CLASSES + k], 2);
  }
  return sum;
}

static glow_status own_loss(const glow_loss_call *c, double *loss, void *payload) {
  (void)payload;
  *loss = everything(c->count, c->log_prob, c->logdet, c->latents, c->logits);
  for (int64_t n = 0; n < c->count; n++) {
    c->d_log_prob[n] = 0.3 * cos(c->log_prob[n] / 100) / 100;
    c->d_logdet[n] = 1.0 / 50;
    for (int64_t i = n * DIMS; i < (n + 1) * DIMS; i++)
      c->d_latents[i] = (float)(-sin((double)c->latents[i]) / 4);
    for (int64_t k = 0; k < CLASSES; k++)
      c->d_logits[n * CLASSES + k] = (float)(2 * (k + 1)) * c->logits[n * CLASSES + k];
  }
  return GLOW_OK;
}

static glow_status copy_gradients(int64_t step, float *gradients, int64_t count, void *payload) {
  assert_int_equal(step, 1);
  memcpy(payload, gradients, (size_t)count * sizeof *gradients);
  memset(gradients, 0, (size_t)count * sizeof *gradients); /* the model stays */
  return GLOW_OK;
}

static double evaluate(const bench *b, const glow_model *model) {
  glow_workspace *ws = helper_workspace(model, COUNT, GLOW_MODE_STORED);
  double log_prob[COUNT], logdet[COUNT];
  float *z = helper_allocate(COUNT * DIMS * sizeof *z);
  OK(helper_forward(ws, b->x, b->labels, COUNT, GLOW_LATENTS_RAW, z, logdet, log_prob));
  double sum = everything(COUNT, log_prob, logdet, z, glow_workspace_logits(ws));
  free(z);
  glow_workspace_destroy(&ws);
  return sum;
}

/* Along random directions, by central differences of a function of float32: their rounding is 1e-6
 * of its value of about 160, over 2 h of 2e-3, so 0.1 in a derivative of some tens to hundreds. */
static void test_everything(void **state) {
  const bench *b = *state;
  helper_random random = helper_random_of(helper_seed());
  glow_model *model = new_model(b);
  glow_trainer *trainer = new_trainer(model, 2);
  glow_batch batch = batch_of(b);
  glow_step_report report = GLOW_STEP_REPORT_INIT;
  int64_t count;
  float *start = helper_parameters(model, &count), *gradients = helper_parameters(model, &count);
  OK(glow_trainer_set_loss(trainer, own_loss, NULL));
  OK(glow_trainer_set_gradient_hook(trainer, copy_gradients, gradients));
  OK(glow_trainer_step_batch(trainer, &batch, &report));
  assert_memory_equal(glow_model_parameters(model), start, (size_t)count * sizeof *start);
  assert_true(report.gradient_norm == 0);
  assert_true(fabs(report.loss - evaluate(b, model)) < 1e-4);
  float *at = glow_model_parameters_mutable(model);
  for (int direction = 0; direction < 4; direction++) {
    double expected = 0, value[2];
    float *d = helper_parameters(model, &count);
    const float h = 1e-3f;
    for (int64_t i = 0; i < count; i++) { /* up the gradient, with some noise */
      d[i] = (gradients[i] > 0 ? 1.0f : -1.0f) * (float)helper_uniform(&random);
      expected += (double)d[i] * gradients[i];
    }
    for (int side = 0; side < 2; side++) {
      for (int64_t i = 0; i < count; i++)
        at[i] = start[i] + (side ? h : -h) * d[i];
      OK(glow_model_prepare(model));
      value[side] = evaluate(b, model);
    }
    double difference = (value[1] - value[0]) / (2 * (double)h);
    if (!(fabs(difference - expected) < 0.01 * fabs(expected)))
      fail_msg("direction %d: %g by differences, %g by the gradient", direction, difference,
               expected);
    memcpy(at, start, (size_t)count * sizeof *at);
    OK(glow_model_prepare(model));
    free(d);
  }
  free(start);
  free(gradients);
  glow_trainer_destroy(&trainer);
  glow_model_destroy(&model);
}

/* ---- hooks ----------------------------------------------------------------------------------- */

static glow_status double_gradients(int64_t step, float *gradients, int64_t count, void *payload) {
  (void)step, (void)payload;
  for (int64_t i = 0; i < count; i++)
    gradients[i] *= 2;
  return GLOW_OK;
}

/* Twice the gradient is twice the rate of plain SGD, to the bit; a hook goes away again. */
static void test_hook(void **state) {
  const bench *b = *state;
  glow_model *one = new_model(b), *other = new_model(b);
  glow_trainer *hooked = new_trainer(one, 4), *fast = new_trainer(other, 4);
  glow_batch batch = batch_of(b);
  size_t bytes = (size_t)glow_model_parameter_count(one) * sizeof(float);
  for (int step = 0; step < 3; step++) {
    glow_step_report r = GLOW_STEP_REPORT_INIT, expected = GLOW_STEP_REPORT_INIT;
    double factor = step == 2 ? 1 : 2;
    OK(glow_trainer_set_gradient_hook(hooked, step == 2 ? NULL : double_gradients, NULL));
    OK(glow_trainer_set_rate_factor(fast, "", factor));
    OK(glow_trainer_step_batch(hooked, &batch, &r));
    OK(glow_trainer_step_batch(fast, &batch, &expected));
    assert_true(r.gradient_norm == factor * expected.gradient_norm);
    assert_memory_equal(glow_model_parameters(one), glow_model_parameters(other), bytes);
  }
  glow_trainer_destroy(&hooked);
  glow_trainer_destroy(&fast);
  glow_model_destroy(&one);
  glow_model_destroy(&other);
}

/* ---- what is refused ------------------------------------------------------------------------- */

enum { RETURNS, TEXT, POSITIVE, UNWRITTEN, LOSS, LOG_PROB, LOGDET, LATENTS, LOGITS, WAYS };

static glow_status give_up(int way) {
  if (way == TEXT)
    glow_error(GLOW_E_IO, "no more ink");
  return way == POSITIVE ? 3 : GLOW_E_IO;
}

static glow_status bad_loss(const glow_loss_call *c, double *loss, void *payload) {
  int way = *(const int *)payload;
  if (way <= POSITIVE)
    return give_up(way);
  if (way != UNWRITTEN)
    *loss = way == LOSS ? INFINITY : 0;
  if (c->first < 4) /* in the second micro-batch */
    *loss = 1;
  else if (way == LOG_PROB)
    c->d_log_prob[0] = NAN;
  else if (way == LOGDET)
    c->d_logdet[0] = INFINITY;
  else if (way == LATENTS)
    c->d_latents[DIMS - 1] = NAN;
  else if (way == LOGITS)
    c->d_logits[1] = NAN;
  return GLOW_OK;
}

static glow_status bad_hook(int64_t step, float *gradients, int64_t count, void *payload) {
  int way = *(const int *)payload;
  (void)step;
  if (way <= POSITIVE)
    return give_up(way);
  gradients[count - 1] = NAN;
  return GLOW_OK;
}

static void test_refusals(void **state) {
  const bench *b = *state;
  static const struct {
    int way;
    glow_status status;
    const char *loss, *hook;
  } cases[] = {
      {RETURNS, GLOW_E_IO,
       "step 1: the loss callback failed: ", "step 1: the gradient hook failed"},
      {TEXT, GLOW_E_IO, "the loss callback failed: no more ink", "hook failed: no more ink"},
      {POSITIVE, GLOW_E_ARGUMENT, "the loss callback returned 3, not a status", "hook returned 3"},
      {UNWRITTEN, GLOW_E_NUMERIC, "was not written", NULL},
      {LOSS, GLOW_E_NUMERIC, "the loss of samples 4 to 4 is inf", "layer 'prior' is not finite"},
      {LOG_PROB, GLOW_E_NUMERIC, "the d_log_prob that the loss callback wrote for sample 4", NULL},
      {LOGDET, GLOW_E_NUMERIC, "the d_logdet that the loss callback wrote for sample 4", NULL},
      {LATENTS, GLOW_E_NUMERIC, "the d_latents that the loss callback wrote for sample 4", NULL},
      {LOGITS, GLOW_E_NUMERIC, "the d_logits that the loss callback wrote for sample 4", NULL}};
  glow_model *model = new_model(b);
  glow_trainer *trainer = new_trainer(model, 4);
  glow_batch batch = batch_of(b);
  int64_t count;
  float *before = helper_parameters(model, &count);
  for (int k = 0; k < WAYS; k++) {
    int way = cases[k].way;
    OK(glow_trainer_set_loss(trainer, bad_loss, &way));
    REFUSED(glow_trainer_step_batch(trainer, &batch, NULL), cases[k].status, cases[k].loss);
    OK(glow_trainer_set_loss(trainer, NULL, NULL));
    OK(glow_trainer_set_gradient_hook(trainer, bad_hook, &way));
    if (cases[k].hook)
      REFUSED(glow_trainer_step_batch(trainer, &batch, NULL), cases[k].status, cases[k].hook);
    OK(glow_trainer_set_gradient_hook(trainer, NULL, NULL));
  }
  assert_memory_equal(glow_model_parameters(model), before, (size_t)count * sizeof *before);
  assert_int_equal(glow_trainer_step_count(trainer), 0);
  OK(glow_trainer_step_batch(trainer, &batch, NULL));
  free(before);
  glow_trainer_destroy(&trainer);
  glow_model_destroy(&model);
}

#define TEST(name) cmocka_unit_test_setup_teardown(test_##name, open_bench, close_bench)

int main(void) {
  const struct CMUnitTest tests[] = {
      TEST(bits_per_dim),
      TEST(everything),
      TEST(hook),
      TEST(refusals),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
