/* On several ranks: runs with evaluations of data that each rank holds a part of, early stopping,
 * cancelling, losses of the caller's own, hooks, and going on with another number of ranks.
 * SPDX-License-Identifier: MIT */
#include <stdio.h>

#include "../support/temp_folder.h"
#include "collective_subjects.h"

enum { STEPS = 6 };

/* What ranks do, and what becomes of each. */
typedef struct job {
  const subject *subject;
  int32_t ranks; /* 0: one process without a collective */
  int64_t parts[RANKS_MOST];
  glow_run_options options;
  int32_t cancels, cancels_after; /* rank that cancels, after how many steps; 0: none */
  int32_t fails, fails_before;    /* rank whose batch callback fails, before which step; 0: none */
  int64_t hook_fails;             /* step at which the hook of rank 1 fails; 0: none */
  int64_t other_steps;            /* of the last rank's run; 0: the same */
  bool still;                     /* the learning rate is 0 */
  glow_status statuses[RANKS_MOST];
  char texts[RANKS_MOST][1024];
  glow_run_report reports[RANKS_MOST];
  glow_evaluation evaluations[RANKS_MOST];
  uint64_t hashes[RANKS_MOST];
  int64_t steps[RANKS_MOST];
  double loss;
  float *parameters;
  int64_t count;
} job;

static job *new_job(const subject *s, int32_t ranks) {
  job *j = calloc(1, sizeof *j);
  assert_non_null(j);
  j->subject = s;
  j->ranks = ranks;
  j->options = (glow_run_options)GLOW_RUN_OPTIONS_INIT;
  j->options.steps = STEPS;
  for (int32_t r = 0; r < ranks; r++)
    j->parts[r] = TOTAL / ranks;
  if (!ranks)
    j->parts[0] = TOTAL;
  return j;
}

static void free_job(job *j) {
  free(j->parameters);
  free(j);
}

static void run_job(job *j, rank_fn fn) {
  helper_ranks *all = malloc(sizeof *all);
  assert_non_null(all);
  ranks_init(all);
  ranks_run(all, j->ranks ? j->ranks : 1, fn, j);
  for (int32_t r = 0; r < all->size; r++)
    if (all->at[r].text[0])
      fail_msg("%s: %s", j->subject->name, all->at[r].text);
  assert_false(all->mismatch);
  free(all);
}

static void note_status(helper_rank *r, glow_status status) {
  job *j = r->payload;
  j->statuses[r->number] = status;
  snprintf(j->texts[r->number], sizeof j->texts[0], "%s", status ? glow_last_error() : "");
}

/* All ranks ended in this way, with these words, in the same state. */
static void all_ended(const job *j, glow_status status, const char *words) {
  for (int32_t r = 0; r < j->ranks; r++) {
    if (j->statuses[r] != status || !strstr(j->texts[r], words))
      fail_msg("rank %d: %s \"%s\"", (int)r, glow_status_name(j->statuses[r]), j->texts[r]);
    assert_true(j->hashes[r] == j->hashes[0] && j->steps[r] == j->steps[0]);
  }
}

static void near(double a, double b) {
  if (!(fabs(a - b) <= 1e-6 * (fabs(b) + 1e-3)))
    fail_msg("%.9g is not %.9g", a, b);
}

/* ---- runs ------------------------------------------------------------------------------------ */

/* A run on one rank. */
typedef struct running {
  helper_rank *rank;
  bench bench;
  data data;
  int64_t first; /* of its samples */
} running;

static glow_status next_batch(int64_t step, glow_batch *batch, void *payload) {
  running *r = payload;
  const job *j = r->rank->payload;
  if (j->fails && r->rank->number == j->fails && step == j->fails_before)
    return glow_error(GLOW_E_IO, "the disk is gone");
  *batch = part_of(j->subject, &r->data, r->bench.dims, step, r->first, batch->count);
  return GLOW_OK;
}

static int32_t progress(const glow_step_report *report, void *payload) {
  running *r = payload;
  job *j = r->rank->payload;
  if (r->rank->number == 0)
    j->loss = report->loss;
  return j->cancels && r->rank->number == j->cancels && report->step == j->cancels_after;
}

static bool open_run(helper_rank *r, running *run) {
  const job *j = r->payload;
  glow_schedule schedule = GLOW_SCHEDULE_INIT;
  memset(run, 0, sizeof *run);
  run->rank = r;
  if (!open_bench(r, j->subject, &run->bench))
    return false;
  make_data(&run->data, run->bench.dims);
  for (int32_t i = 0; i < r->number; i++)
    run->first += j->parts[i];
  if (j->still)
    schedule.rate = 0.0;
  if (!RANK_OK(r, glow_trainer_set_schedule(run->bench.trainer, &schedule)))
    return false;
  return !j->ranks ||
         RANK_OK(r, glow_trainer_set_collective(run->bench.trainer, &r->collective, NULL));
}

static void close_run(running *run) {
  free_data(&run->data);
  close_bench(&run->bench);
}

static bool initialise(helper_rank *r, const running *run) {
  const job *j = r->payload;
  glow_batch batch =
      part_of(j->subject, &run->data, run->bench.dims, 3, run->first, j->parts[r->number]);
  batch.weights = NULL;
  return RANK_OK(r, glow_trainer_initialise_batch(run->bench.trainer, &batch));
}

static void note_end(helper_rank *r, const running *run) {
  job *j = r->payload;
  j->hashes[r->number] = hash_of(&run->bench);
  j->steps[r->number] = glow_trainer_step_count(run->bench.trainer);
  if (r->number)
    return;
  j->parameters = copy_of_parameters(run->bench.model);
  j->count = run->bench.model->parameter_count;
}

static void run_rank(helper_rank *r) {
  job *j = r->payload;
  running run;
  if (open_run(r, &run) && initialise(r, &run)) {
    glow_run_options o = j->options;
    glow_batch held_out =
        part_of(j->subject, &run.data, run.bench.dims, 4, run.first, j->parts[r->number]);
    o.batch = j->parts[r->number];
    o.held_out = o.held_out ? &held_out : NULL;
    o.next = next_batch;
    o.progress = progress;
    o.next_payload = o.progress_payload = &run;
    if (j->other_steps && r->number == j->ranks - 1)
      o.steps = j->other_steps;
    j->reports[r->number] = (glow_run_report)GLOW_RUN_REPORT_INIT;
    note_status(r, glow_trainer_run(run.bench.trainer, &o, &j->reports[r->number]));
    note_end(r, &run);
  }
  close_run(&run);
}

static const glow_batch some_batch = GLOW_BATCH_INIT; /* each rank takes its own */

static job *job_with_held_out(const subject *s, int32_t ranks) {
  job *j = new_job(s, ranks);
  j->options.held_out = &some_batch;
  j->options.evaluate_every = 2;
  return j;
}

static void compare_runs(job *one, job *j) {
  run_job(one, run_rank);
  run_job(j, run_rank);
  all_ended(j, GLOW_OK, "");
  for (int32_t r = 0; r < j->ranks; r++) {
    const glow_run_report *a = &j->reports[r], *b = &one->reports[0];
    assert_int_equal(a->steps, b->steps);
    assert_int_equal(a->evaluations, b->evaluations);
    assert_int_equal(a->best_step, b->best_step);
    assert_int_equal(a->stopped_early, b->stopped_early);
    assert_true(fabs(a->best_loss - b->best_loss) <= 1e-6 * fabs(b->best_loss));
    assert_true(fabs(a->best_error - b->best_error) <= 1e-6 * fabs(b->best_error));
    assert_true(a->best_loss == j->reports[0].best_loss); /* the same bits */
  }
  assert_true(relative(j->parameters, one->parameters, j->count) <= 1e-6);
}

static void test_held_out(void **state) {
  static const int32_t which[] = {GLOW, CLASSES};
  (void)state;
  for (int i = 0; i < 2; i++) {
    job *one = job_with_held_out(&subjects[which[i]], 0);
    job *j = job_with_held_out(&subjects[which[i]], 4);
    one->options.keep_best = j->options.keep_best = i;
    compare_runs(one, j);
    free_job(one);
    free_job(j);
  }
}

/* At a rate of 0 no later evaluation is better: all ranks stop after the same one. */
static void test_early_stop(void **state) {
  job *one = job_with_held_out(&subjects[VECTORS], 0);
  job *j = job_with_held_out(&subjects[VECTORS], 2);
  (void)state;
  one->options.evaluate_every = j->options.evaluate_every = 1;
  one->options.patience = j->options.patience = 2;
  one->options.keep_best = j->options.keep_best = 1;
  one->still = j->still = true;
  j->parts[0] = 3;
  j->parts[1] = 5;
  compare_runs(one, j);
  assert_int_equal(j->reports[0].stopped_early, 1);
  assert_int_equal(j->reports[0].steps, 3);
  free_job(one);
  free_job(j);
}

static void test_cancel(void **state) {
  (void)state;
  for (int32_t after = 1; after <= STEPS; after++) { /* evaluations follow 2, 4, and the last */
    job *j = job_with_held_out(&subjects[VECTORS], 3);
    j->parts[0] = 4;
    j->cancels = 1;
    j->cancels_after = after;
    run_job(j, run_rank);
    all_ended(j, GLOW_E_CANCELLED, "rank 1: cancelled after step");
    assert_int_equal(j->steps[0], after);
    free_job(j);
  }
}

static void test_next_fails(void **state) {
  job *j = new_job(&subjects[VECTORS], 3);
  (void)state;
  j->parts[0] = 4;
  j->fails = 2;
  j->fails_before = 3;
  run_job(j, run_rank);
  all_ended(j, GLOW_E_IO, "rank 2: step 3: the batch callback failed: the disk is gone");
  assert_int_equal(j->steps[0], 2);
  free_job(j);
}

static void test_other_runs(void **state) {
  job *j = new_job(&subjects[VECTORS], 2);
  (void)state;
  j->other_steps = 5;
  run_job(j, run_rank);
  all_ended(j, GLOW_E_ARGUMENT, "rank 1 and rank 0 differ in steps: 5, 6");
  assert_int_equal(j->steps[0], 0);
  free_job(j);
}

/* ---- evaluations ----------------------------------------------------------------------------- */

static void join_rank(helper_rank *r) {
  job *j = r->payload;
  running run;
  glow_evaluation *e = &j->evaluations[r->number];
  *e = (glow_evaluation)GLOW_EVALUATION_INIT;
  if (open_run(r, &run) && initialise(r, &run)) {
    glow_batch batch =
        part_of(j->subject, &run.data, run.bench.dims, 1, run.first, j->parts[r->number]);
    if (run.first <= 4 && 4 < run.first + batch.count && batch.x) /* one that fails */
      run.data.x[(TOTAL + 4) * run.bench.dims] = NAN;
    if (RANK_OK(r, glow_evaluate(glow_trainer_workspace(run.bench.trainer), &batch, 5, e)) &&
        j->ranks)
      RANK_OK(r, glow_evaluation_join(e, run.bench.model, &r->collective));
  }
  close_run(&run);
}

static void check_joined(const glow_evaluation *a, const glow_evaluation *b) {
  assert_int_equal(a->count, b->count);
  assert_int_equal(a->failed, b->failed);
  near(a->log_prob, b->log_prob);
  near(a->log_prob_error, b->log_prob_error);
  near(a->bits_per_dim, b->bits_per_dim);
  near(a->bits_per_dim_error, b->bits_per_dim_error);
  near(a->weight, b->weight);
  assert_true(isnan(a->class_loss) == isnan(b->class_loss));
  if (!isnan(b->class_loss)) {
    near(a->class_loss, b->class_loss);
    near(a->accuracy, b->accuracy);
  }
  near(a->squares_weight, b->squares_weight);
  near(a->squares_mean, b->squares_mean);
  near(a->squares, b->squares);
}

static void check_parts(const subject *s, int64_t failed) {
  static const int64_t parts[][RANKS_MOST] = {{4, 4}, {1, 2, 5}, {2, 2, 2, 2}};
  job *one = new_job(s, 0);
  run_job(one, join_rank);
  assert_int_equal(one->evaluations[0].failed, failed);
  for (int32_t ranks = 2; ranks <= 4; ranks++) {
    job *j = new_job(s, ranks);
    memcpy(j->parts, parts[ranks - 2], sizeof j->parts);
    run_job(j, join_rank);
    for (int32_t r = 0; r < ranks; r++) {
      check_joined(&j->evaluations[r], &one->evaluations[0]);
      assert_memory_equal(&j->evaluations[r], &j->evaluations[0], sizeof(glow_evaluation));
    }
    free_job(j);
  }
  free_job(one);
}

static void test_join(void **state) {
  subject floats = subjects[CLASSES];
  (void)state;
  floats.pixels = false; /* noise would be that of each part */
  check_parts(&subjects[VECTORS], 1);
  check_parts(&floats, 1);
}

/* ---- losses and hooks ------------------------------------------------------------------------ */

/* The mean of -log p, weighted, from what the call says of the whole. */
static glow_status own_loss(const glow_loss_call *call, double *loss, void *payload) {
  (void)payload;
  *loss = 0.0;
  for (int64_t i = 0; i < call->count; i++) {
    double share = (call->weights ? call->weights[i] : 1.0) / call->weight_sum;
    *loss -= share * call->log_prob[i];
    call->d_log_prob[i] = -share;
  }
  return call->batch == TOTAL && call->first + call->count <= TOTAL
             ? GLOW_OK
             : glow_error(GLOW_E_STATE, "a batch of %lld", (long long)call->batch);
}

static glow_status half(int64_t step, float *gradients, int64_t count, void *payload) {
  const helper_rank *r = payload;
  const job *j = r->payload;
  if (j->hook_fails && r->number == 1 && step == j->hook_fails)
    return glow_error(GLOW_E_STATE, "no");
  for (int64_t i = 0; i < count; i++)
    gradients[i] *= 0.5f;
  return GLOW_OK;
}

static void loss_rank(helper_rank *r) {
  job *j = r->payload;
  running run;
  if (open_run(r, &run) && initialise(r, &run) &&
      RANK_OK(r, glow_trainer_set_loss(run.bench.trainer, own_loss, NULL)) &&
      RANK_OK(r, glow_trainer_set_gradient_hook(run.bench.trainer, half, r))) {
    glow_run_options o = j->options;
    o.batch = j->parts[r->number];
    o.next = next_batch;
    o.progress = progress;
    o.next_payload = o.progress_payload = &run;
    note_status(r, glow_trainer_run(run.bench.trainer, &o, NULL));
    note_end(r, &run);
  }
  close_run(&run);
}

static void test_own_loss_and_hook(void **state) {
  job *one = new_job(&subjects[VECTORS], 0), *j = new_job(&subjects[VECTORS], 2);
  (void)state;
  run_job(one, loss_rank);
  run_job(j, loss_rank);
  all_ended(j, GLOW_OK, "");
  near(j->loss, one->loss);
  assert_true(relative(j->parameters, one->parameters, j->count) <= 1e-6);
  free_job(one);
  free_job(j);
}

/* After the gradients were summed, and with running averages to move back. */
static void test_hook_fails(void **state) {
  job *j = new_job(&subjects[REALNVP], 2), *before = new_job(&subjects[REALNVP], 2);
  (void)state;
  before->options.steps = 2;
  run_job(before, loss_rank);
  j->hook_fails = 3;
  run_job(j, loss_rank);
  all_ended(j, GLOW_E_STATE, "rank 1: step 3: the gradient hook failed: no");
  assert_int_equal(j->steps[0], 2);
  assert_true(j->hashes[0] == before->hashes[0]);
  free_job(j);
  free_job(before);
}

/* ---- going on with another number of ranks --------------------------------------------------- */

/* Of the checkpoints of two ranks. */
static char paths[2][512];

static void save_rank(helper_rank *r) {
  job *j = r->payload;
  running run;
  if (!open_run(r, &run) || !initialise(r, &run)) {
    close_run(&run);
    return;
  }
  glow_run_options o = j->options;
  o.batch = j->parts[r->number];
  o.next = next_batch;
  o.next_payload = &run;
  RANK_OK(r, glow_trainer_run(run.bench.trainer, &o, NULL));
  RANK_OK(r, glow_checkpoint_save(run.bench.trainer, paths[r->number], NULL, 0));
  close_run(&run);
}

static void resume_rank(helper_rank *r) {
  job *j = r->payload;
  running run;
  glow_run_options o = j->options;
  if (!open_run(r, &run)) {
    close_run(&run);
    return;
  }
  if (r->number == 0) { /* the others come as they were made */
    glow_trainer_destroy(&run.bench.trainer);
    glow_model_destroy(&run.bench.model);
    RANK_OK(
        r, glow_checkpoint_load(run.bench.context, paths[0], &run.bench.model, &run.bench.trainer));
  }
  if (!j->ranks ||
      RANK_OK(r, glow_trainer_set_collective(run.bench.trainer, &r->collective, NULL))) {
    o.batch = j->parts[r->number];
    o.next = next_batch;
    o.next_payload = &run;
    note_status(r, glow_trainer_run(run.bench.trainer, &o, NULL));
    note_end(r, &run);
  }
  close_run(&run);
}

static void same_files(void) {
  static char x[1 << 20], y[1 << 20];
  FILE *f = fopen(paths[0], "rb"), *g = fopen(paths[1], "rb");
  assert_non_null(f);
  assert_non_null(g);
  size_t m = fread(x, 1, sizeof x, f), n = fread(y, 1, sizeof y, g);
  fclose(f);
  fclose(g);
  assert_true(m > 0 && m == n && m < sizeof x);
  assert_memory_equal(x, y, m);
}

static void test_resume(void **state) {
  (void)state;
  if (!glow_feature("files"))
    skip();
  assert_true(temp_folder_make(NULL));
  for (int r = 0; r < 2; r++)
    snprintf(paths[r], sizeof paths[r], "%s", temp_path(r ? "rank1" : "rank0"));
  job *saved = new_job(&subjects[CLASSES], 2), *whole = new_job(&subjects[CLASSES], 0);
  run_job(saved, save_rank);
  same_files();
  whole->options.steps = 2 * STEPS;
  run_job(whole, run_rank);
  for (int32_t ranks = 0; ranks <= 4; ranks += 4) {
    job *j = new_job(&subjects[CLASSES], ranks);
    run_job(j, resume_rank);
    all_ended(j, GLOW_OK, "");
    assert_int_equal(j->steps[0], 2 * STEPS);
    assert_true(relative(j->parameters, whole->parameters, j->count) <= 1e-6);
    free_job(j);
  }
  free_job(saved);
  free_job(whole);
  assert_true(temp_folder_remove());
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(test_held_out),
      cmocka_unit_test(test_early_stop),
      cmocka_unit_test(test_cancel),
      cmocka_unit_test(test_next_fails),
      cmocka_unit_test(test_other_runs),
      cmocka_unit_test(test_join),
      cmocka_unit_test(test_own_loss_and_hook),
      cmocka_unit_test(test_hook_fails),
      cmocka_unit_test(test_resume),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
