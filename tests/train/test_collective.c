/* Training on several ranks is training in one process with the batches of all: losses, parameters,
 * first values, noise, draws, evaluations. All ranks keep the same bits.
 * SPDX-License-Identifier: MIT */
#include <stdio.h>

#include <glow/sys/base.h>

#include "collective_subjects.h"

enum { STEPS = 20 };

/* One job: who trains on which part, and what comes of it. */
typedef struct job {
  const subject *subject;
  int32_t ranks;             /* 0: one process without a collective */
  int64_t parts[RANKS_MOST]; /* samples of each rank; their sum is TOTAL */
  glow_collective_options options;
  int64_t steps;
  bool perturbed;    /* before it is joined, all ranks but 0 are something else */
  const char *held;  /* prefix of what is held, or NULL */
  int32_t objective; /* of steps towards a target */
  bool plain;        /* trained by plain gradient descent */
  bool rounds;       /* gradients go into sums as bfloat16, without feedback */
  int64_t progressed;
  uint64_t hashes[RANKS_MOST][STEPS + 2]; /* of first values, and after each step */
  double losses[STEPS], class_losses[STEPS], accuracies[STEPS], norms[STEPS];
  glow_step_report report; /* of the last step, of rank 0 */
  glow_importance estimate;
  float *parameters, *average;
  void *fixed;
  size_t bytes, fixed_bytes;
} job;

static job *new_job(const subject *s, int32_t ranks) {
  job *j = calloc(1, sizeof *j);
  assert_non_null(j);
  j->subject = s;
  j->ranks = ranks;
  j->options = (glow_collective_options)GLOW_COLLECTIVE_OPTIONS_INIT;
  j->options.bucket_bytes = 4096; /* several, although models are small */
  j->steps = STEPS;
  j->estimate = (glow_importance)GLOW_IMPORTANCE_INIT;
  for (int32_t r = 0; r < ranks; r++)
    j->parts[r] = TOTAL / ranks;
  if (!ranks)
    j->parts[0] = TOTAL;
  return j;
}

static void free_job(job *j) {
  free(j->parameters);
  free(j->average);
  free(j->fixed);
  free(j);
}

static int64_t first_of(const job *j, int32_t rank) {
  int64_t first = 0;
  for (int32_t r = 0; r < rank; r++)
    first += j->parts[r];
  return first;
}

/* ---- a rank ---------------------------------------------------------------------------------- */

static glow_status gaussian(const float *x, int64_t first, int64_t count, double *log_p,
                            float *gradient, void *payload) {
  (void)first, (void)payload;
  for (int64_t n = 0; n < count; n++) {
    double a = (double)x[2 * n] - 1.0, b = ((double)x[2 * n + 1] + 0.5) / 0.7;
    log_p[n] = -0.5 * (a * a + b * b);
    if (gradient) {
      gradient[2 * n] = (float)-a;
      gradient[2 * n + 1] = (float)(-b / 0.7);
    }
  }
  return GLOW_OK;
}

static glow_status step(const bench *b, job *j, const data *d, int64_t s, int32_t number,
                        glow_step_report *report) {
  glow_target target = GLOW_TARGET_INIT;
  if (!j->objective) {
    glow_batch batch = part_of(j->subject, d, b->dims, s, first_of(j, number), j->parts[number]);
    return glow_trainer_step_batch(b->trainer, &batch, report);
  }
  target.density = gaussian;
  target.objective = j->objective;
  return glow_trainer_step_target(b->trainer, &target, j->parts[number], report,
                                  number ? NULL : &j->estimate);
}

static glow_status initialise(const bench *b, const job *j, const data *d, int32_t number) {
  glow_batch batch = part_of(j->subject, d, b->dims, 3, first_of(j, number), j->parts[number]);
  batch.weights = NULL;
  return glow_trainer_initialise_batch(b->trainer, &batch);
}

static void note(job *j, const glow_step_report *report, int64_t s) {
  j->losses[s] = report->loss;
  j->class_losses[s] = report->class_loss;
  j->accuracies[s] = report->accuracy;
  j->norms[s] = report->gradient_norm;
  j->report = *report;
}

static void keep(job *j, const bench *b) {
  glow__trainer_vectors v;
  glow__trainer_vectors_of(b->trainer, &v);
  j->bytes = (size_t)b->model->parameter_count * sizeof(float);
  j->fixed_bytes = (size_t)b->model->fixed_count * 4;
  j->parameters = memcpy(malloc(j->bytes), v.parameters, j->bytes);
  j->fixed = memcpy(malloc(j->fixed_bytes + 1), b->model->fixed, j->fixed_bytes);
  if (v.average)
    j->average = memcpy(malloc(j->bytes), v.average, j->bytes);
}

/* What the other ranks bring along does not matter. */
static bool perturb(helper_rank *r, const bench *b) {
  float *p = glow_model_parameters_mutable(b->model);
  for (int64_t i = 0; i < b->model->parameter_count; i++)
    p[i] += 0.01f * (float)r->number;
  return RANK_OK(r, glow_model_prepare(b->model));
}

/* A hook that refuses gradients of held tensors other than 0. */
static glow_status see_held(int64_t number, float *gradients, int64_t count, void *payload) {
  const bench *b = payload;
  const glow__rates *rates = glow__optimizer_rates(glow__trainer_optimizer(b->trainer));
  for (int64_t i = 0, end; i < count; i++)
    if (gradients[i] != 0.0f && glow__rates_at(rates, i, &end) == 0.0)
      return glow_error(GLOW_E_STATE, "step %lld: element %lld is held", (long long)number,
                        (long long)i);
  return GLOW_OK;
}

static void train(helper_rank *r, const bench *b, const data *d) {
  job *j = r->payload;
  if (j->perturbed && !perturb(r, b))
    return;
  if (j->held && !RANK_OK(r, glow_trainer_set_rate_factor(b->trainer, j->held, 0.0)))
    return;
  if (j->held && j->ranks &&
      !RANK_OK(r, glow_trainer_set_gradient_hook(b->trainer, see_held, (bench *)(uintptr_t)b)))
    return;
  if (j->ranks && !RANK_OK(r, glow_trainer_set_collective(b->trainer, &r->collective, &j->options)))
    return;
  if (!j->objective && !RANK_OK(r, initialise(b, j, d, r->number)))
    return;
  if (j->objective && !RANK_OK(r, glow_model_set_initialised(b->model)))
    return;
  j->hashes[r->number][0] = hash_of(b);
  if (j->rounds && r->number == 0)
    r->all->rounds = true;
  for (int64_t s = 0; s < j->steps; s++) {
    glow_step_report report = GLOW_STEP_REPORT_INIT;
    if (!RANK_OK(r, step(b, j, d, s, r->number, &report)))
      return;
    j->hashes[r->number][s + 1] = hash_of(b);
    if (r->number == 0)
      note(j, &report, s);
  }
  if (r->number == 0)
    keep(j, b);
}

static const glow_optimizer_options plain = {
    sizeof(glow_optimizer_options), GLOW_OPTIMIZER_SGD, 0, 0.0, 0.0, 1e-8, 0.0};

static void run_rank(helper_rank *r) {
  const job *j = r->payload;
  subject s = *j->subject;
  bench b;
  data d;
  if (j->plain)
    s.options.optimizer = &plain;
  if (open_bench(r, &s, &b)) {
    make_data(&d, b.dims);
    train(r, &b, &d);
    free_data(&d);
  }
  close_bench(&b);
}

static void run_job(job *j) {
  helper_ranks *all = malloc(sizeof *all);
  assert_non_null(all);
  ranks_init(all);
  ranks_run(all, j->ranks ? j->ranks : 1, run_rank, j);
  for (int32_t r = 0; r < all->size; r++)
    if (all->at[r].text[0])
      fail_msg("%s: %s", j->subject->name, all->at[r].text);
  assert_false(all->mismatch);
  j->progressed = all->at[0].progressed;
  free(all);
}

/* ---- comparing ------------------------------------------------------------------------------- */

static void same_on_all(const job *j) {
  for (int32_t r = 1; r < j->ranks; r++)
    for (int64_t s = 0; s <= j->steps; s++)
      if (j->hashes[r][s] != j->hashes[0][s])
        fail_msg("%s: rank %d differs from rank 0 after step %lld", j->subject->name, (int)r,
                 (long long)s);
}

static void near(const job *j, const char *what, double a, double b) {
  if (isnan(a) && isnan(b))
    return;
  if (!(fabs(a - b) <= 1e-6 * (fabs(b) + 1e-3)))
    fail_msg("%s on %d ranks: %s is %.9g, in one process %.9g", j->subject->name, (int)j->ranks,
             what, a, b);
}

static void near_vector(const job *j, const char *what, const float *a, const float *b) {
  double d = a ? relative(a, b, (int64_t)(j->bytes / sizeof *a)) : 0.0;
  assert_true(!a == !b);
  if (!(d <= 1e-6))
    fail_msg("%s on %d ranks: %s is %.3g from those of one process", j->subject->name,
             (int)j->ranks, what, d);
}

static void same_training(const job *j, const job *one) {
  same_on_all(j);
  for (int64_t s = 0; s < j->steps; s++) {
    near(j, "a loss", j->losses[s], one->losses[s]);
    near(j, "the classifier's loss", j->class_losses[s], one->class_losses[s]);
    near(j, "the accuracy", j->accuracies[s], one->accuracies[s]);
  }
  near_vector(j, "the parameters", j->parameters, one->parameters);
  near_vector(j, "the average", j->average, one->average);
  const float *a = j->fixed, *b = one->fixed;
  double d = j->fixed_bytes ? relative(a, b, (int64_t)(j->fixed_bytes / 4)) : 0.0;
  if (j->subject == &subjects[REALNVP] && !(d <= 1e-6))
    fail_msg("running averages are %.3g off", d);
}

/* ---- the same as in one process -------------------------------------------------------------- */

static void compare(const subject *s, int32_t ranks, const int64_t *parts) {
  job *one = new_job(s, 0), *j = new_job(s, ranks);
  for (int32_t r = 0; parts && r < ranks; r++)
    j->parts[r] = parts[r];
  run_job(one);
  run_job(j);
  assert_true(j->hashes[0][0] == one->hashes[0][0]); /* first values have the same bits */
  same_training(j, one);
  free_job(one);
  free_job(j);
}

static void test_glow(void **state) {
  (void)state;
  for (int32_t ranks = 1; ranks <= 4; ranks *= 2)
    compare(&subjects[GLOW], ranks, NULL);
}

static void test_batch_normalisation(void **state) {
  static const int64_t unequal[] = {2, 6};
  (void)state;
  compare(&subjects[REALNVP], 2, NULL);
  compare(&subjects[REALNVP], 4, NULL);
  compare(&subjects[REALNVP], 2, unequal);
}

static void test_vectors(void **state) {
  static const int64_t unequal[] = {1, 5, 2};
  (void)state;
  compare(&subjects[VECTORS], 2, NULL);
  compare(&subjects[VECTORS], 3, unequal);
}

static void test_classes(void **state) {
  static const int64_t unequal[] = {3, 4, 1};
  (void)state;
  compare(&subjects[CLASSES], 4, NULL);
  compare(&subjects[CLASSES], 3, unequal);
}

static void test_reconstructed(void **state) {
  static const int64_t unequal[] = {3, 5};
  (void)state;
  compare(&subjects[RECONSTRUCTED], 2, unequal);
}

/* ---- what is given to all -------------------------------------------------------------------- */

static void test_state_of_rank_0(void **state) {
  job *one = new_job(&subjects[CLASSES], 0), *j = new_job(&subjects[CLASSES], 4);
  (void)state;
  j->perturbed = true;
  run_job(one);
  run_job(j);
  same_training(j, one);
  free_job(one);
  free_job(j);
}

/* ---- held tensors ---------------------------------------------------------------------------- */

static int64_t held_floats(const job *j) {
  bench b;
  helper_rank r = {.text = ""};
  int64_t floats = 0;
  assert_true(open_bench(&r, j->subject, &b));
  for (int32_t i = 0; i < b.model->tensor_count; i++)
    if (b.model->tensors[i].trainable &&
        strncmp(b.model->tensors[i].name, j->held, strlen(j->held)) == 0)
      floats += b.model->tensors[i].elements;
  close_bench(&b);
  return floats;
}

static void test_held_is_not_sent(void **state) {
  static const char *const prefixes[] = {"level0", "level0.step1.coupling", "level1.step0.invconv",
                                         "prior"};
  (void)state;
  for (int i = 0; i < 4; i++) {
    job *one = new_job(&subjects[GLOW], 0), *j = new_job(&subjects[GLOW], 2);
    one->held = j->held = prefixes[i];
    run_job(one);
    run_job(j);
    same_training(j, one);
    assert_true(held_floats(j) > 0);
    assert_int_equal(j->report.sum_bytes, (int64_t)j->bytes - 4 * held_floats(j));
    free_job(one);
    free_job(j);
  }
}

/* ---- targets --------------------------------------------------------------------------------- */

static void compare_targets(int32_t objective, int32_t ranks, const int64_t *parts) {
  job *one = new_job(&subjects[TARGETS], 0), *j = new_job(&subjects[TARGETS], ranks);
  for (int32_t r = 0; r < ranks; r++)
    j->parts[r] = parts[r];
  one->objective = j->objective = objective;
  run_job(one);
  run_job(j);
  same_training(j, one);
  assert_int_equal(j->estimate.count, TOTAL);
  near(j, "log Z", j->estimate.log_z, one->estimate.log_z);
  near(j, "its error", j->estimate.log_z_error, one->estimate.log_z_error);
  near(j, "the effective sample size", j->estimate.ess, one->estimate.ess);
  free_job(one);
  free_job(j);
}

static void test_targets(void **state) {
  static const int64_t halves[] = {4, 4}, unequal[] = {1, 5, 2};
  (void)state;
  compare_targets(GLOW_REVERSE_KL, 2, halves);
  compare_targets(GLOW_REVERSE_KL, 3, unequal);
  compare_targets(GLOW_FORWARD_KL, 2, halves);
  compare_targets(GLOW_FORWARD_KL, 3, unequal);
}

/* ---- the report ------------------------------------------------------------------------------ */

static void test_report(void **state) {
  job *one = new_job(&subjects[GLOW], 0), *j = new_job(&subjects[GLOW], 2);
  (void)state;
  one->steps = j->steps = 2;
  run_job(one);
  run_job(j);
  const glow_step_report *alone = &one->report, *r = &j->report;
  assert_true(alone->sum_seconds == 0.0 && alone->wait_seconds == 0.0);
  assert_true(alone->small_seconds == 0.0 && alone->sum_bytes == 0);
  assert_true(r->sum_seconds > 0.0 && r->wait_seconds >= 0.0 && r->small_seconds > 0.0);
  assert_true(r->wait_seconds <= r->sum_seconds);
  assert_int_equal(r->sum_bytes, j->bytes);
  assert_true(j->progressed > 0);
  free_job(one);
  free_job(j);
}

/* ---- bfloat16 -------------------------------------------------------------------------------- */

static job *job_of_sums(int32_t ranks, int32_t sums, bool rounds) {
  job *j = new_job(&subjects[GLOW], ranks);
  j->plain = true;
  j->options.sums = sums;
  j->rounds = rounds;
  run_job(j);
  same_on_all(j);
  return j;
}

/* Plain gradient descent, so that what rounding leaves out adds up: with feedback it is that of one
 * step, and without it that of all. What an engine rounds when it adds up is in both, but on one
 * rank, where nothing is added. */
static void check_feedback(int32_t ranks, double most) {
  job *exact = job_of_sums(ranks, GLOW_SUM_FLOAT32, false);
  job *feedback = job_of_sums(ranks, GLOW_SUM_BFLOAT16, false);
  job *rounded = job_of_sums(ranks, GLOW_SUM_FLOAT32, true);
  const int64_t count = (int64_t)(exact->bytes / sizeof(float));
  double with = relative(feedback->parameters, exact->parameters, count);
  double without = relative(rounded->parameters, exact->parameters, count);
  printf("%d ranks: parameters are %.3g off with error feedback, %.3g without\n", (int)ranks, with,
         without);
  assert_true(with > 0.0 && with < most * without);
  assert_int_equal(feedback->report.sum_bytes, exact->report.sum_bytes / 2);
  for (int64_t s = 0; s < exact->steps; s++)
    assert_true(fabs(feedback->losses[s] - exact->losses[s]) < 1e-3);
  free_job(exact);
  free_job(feedback);
  free_job(rounded);
}

static void test_bfloat16(void **state) {
  (void)state;
  check_feedback(1, 0.5);
  check_feedback(4, 1.2); /* what is rounded as it is added up weighs most */
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(test_glow),
      cmocka_unit_test(test_batch_normalisation),
      cmocka_unit_test(test_vectors),
      cmocka_unit_test(test_classes),
      cmocka_unit_test(test_reconstructed),
      cmocka_unit_test(test_state_of_rank_0),
      cmocka_unit_test(test_held_is_not_sent),
      cmocka_unit_test(test_targets),
      cmocka_unit_test(test_report),
      cmocka_unit_test(test_bfloat16),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
