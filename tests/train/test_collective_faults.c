/* What several ranks refuse, and what they do when something fails on one of them: all of them end
 * in the same way, with the rank named, and nothing has changed on any; or the job is over.
 * SPDX-License-Identifier: MIT */
#include <stdio.h>

#include <glow/sys/call.h>
#include <glow/sys/layer.h>

#include "collective_subjects.h"

enum { MOST_STEPS = 4 };

struct job;
typedef void (*change_fn)(helper_rank *r, bench *b);

/* What ranks do, what is different on one of them, and what becomes of each. */
typedef struct job {
  const subject *subject;
  int32_t ranks, other;                    /* other: the rank that is different */
  change_fn change;                        /* before it is joined, or NULL */
  change_fn later;                         /* after the first step, or NULL */
  glow_collective_options options, others; /* others: of rank `other` */
  bool no_bfloat16;                        /* the engine has no sums of them */
  int32_t fault;                           /* of enum faults, in the second step, on rank `other` */
  int32_t first_fault;                     /* the same, in the initialisation */
  int64_t starved;                /* its allocation that fails while it is joined; 0: none */
  bool initialises;               /* the starved allocation is of the initialisation */
  glow_status joined[RANKS_MOST]; /* what came of set_collective and the initialisation */
  glow_status statuses[RANKS_MOST][MOST_STEPS];
  char texts[RANKS_MOST][1024]; /* of the first failure */
  uint64_t hashes[RANKS_MOST][MOST_STEPS + 2];
  glow_step_report reports[RANKS_MOST][MOST_STEPS];
  int64_t allocations; /* of rank `other` while it is joined */
  int64_t in_steps;    /* allocations of all ranks in steps */
  bool failed;         /* an allocation was made to fail */
  int64_t called[RANKS_MOST];
  int32_t aborts[RANKS_MOST];
} job;

enum faults {
  NO_FAULT,
  NOT_FINITE,
  NO_SAMPLES,
  BAD_REPORT,
  CANCELLED,
  LEAVES,
  TARGET_STEP,
  WEIGHTS,
  NO_LABELS,
  ONE_CONDITION
};

static job *new_job(const subject *s, int32_t ranks) {
  job *j = calloc(1, sizeof *j);
  assert_non_null(j);
  j->subject = s;
  j->ranks = ranks;
  j->other = ranks - 1;
  j->options = j->others = (glow_collective_options)GLOW_COLLECTIVE_OPTIONS_INIT;
  return j;
}

/* ---- a layer that drifts --------------------------------------------------------------------- */

/* y = x; backward writes x, but 1.1 x for what is above 2. */
static glow_status lossy_configure(void *self, glow_setup *setup, const glow_shape *in,
                                   glow_shape *out) {
  (void)setup;
  *(int64_t *)self = glow_shape_size(in);
  *out = *in;
  return GLOW_OK;
}

static void lossy_forward(const void *self, const glow_call *call, const float *x, float *y,
                          double *logdet, double *logprior) {
  (void)logdet, (void)logprior;
  memcpy(y, x, (size_t)(glow_call_sample_count(call) * *(const int64_t *)self) * sizeof *x);
}

static glow_status lossy_inverse(const void *self, const glow_call *call, const float *y, float *x,
                                 double *logdet, double *logprior) {
  lossy_forward(self, call, y, x, logdet, logprior);
  return GLOW_OK;
}

static void lossy_backward(const void *self, const glow_call *call, const glow_layer_gradient *g) {
  for (int64_t i = 0; i < glow_call_sample_count(call) * *(const int64_t *)self; i++) {
    if (g->x_out)
      g->x_out[i] = g->y[i] > 2.0f ? 1.1f * g->y[i] : g->y[i];
    g->dx[i] = g->dy[i];
  }
}

static glow_status make_lossy(glow_context *context, glow_model **out) {
  const glow_layer_ops ops = {.struct_size = sizeof ops,
                              .type = "lossy",
                              .flags = GLOW_LAYER_RECONSTRUCTS,
                              .self_size = sizeof(int64_t),
                              .configure = lossy_configure,
                              .forward = lossy_forward,
                              .inverse = lossy_inverse,
                              .backward = lossy_backward};
  const glow_shape shape = {1, 1, 4};
  const glow_builder_options options = {sizeof options, 0, 0};
  glow_builder *builder = NULL;
  glow_layer *layers[3] = {NULL, NULL, NULL};
  GLOW_TRY(glow_builder_create(context, &shape, &options, &builder));
  GLOW_TRY(glow_layer_create(context, &ops, NULL, NULL, &layers[0]));
  GLOW_TRY(glow_scaling_create(context, NULL, &layers[1]));
  GLOW_TRY(glow_prior_create(context, NULL, &layers[2]));
  GLOW_TRY(glow_builder_add(builder, "lossy", &layers[0]));
  GLOW_TRY(glow_builder_add(builder, "scaling", &layers[1]));
  GLOW_TRY(glow_builder_add(builder, "prior", &layers[2]));
  return glow_builder_finish(&builder, out);
}

static const subject lossy_subject = {.name = "a layer that drifts",
                                      .make = make_lossy,
                                      .options = {.struct_size = sizeof(glow_trainer_options),
                                                  .micro_batch = 4,
                                                  .mode = GLOW_MODE_RECONSTRUCTED,
                                                  .drift_bound = 0.02}};

/* ---- a rank ---------------------------------------------------------------------------------- */

static void note_text(helper_rank *r, glow_status status) {
  job *j = r->payload;
  if (status != GLOW_OK && !j->texts[r->number][0])
    snprintf(j->texts[r->number], sizeof j->texts[0], "%s", glow_last_error());
}

/* With what goes wrong in it. */
static glow_status initialise(const bench *b, const data *d, const helper_rank *r) {
  const job *j = r->payload;
  int64_t part = TOTAL / j->ranks;
  glow_batch batch = part_of(j->subject, d, b->dims, 3, part * r->number, part);
  int32_t fault = r->number == j->other ? j->first_fault : NO_FAULT;
  float *own = d->x + (3 * TOTAL + part * r->number) * b->dims, kept = *own;
  if (fault != WEIGHTS)
    batch.weights = NULL;
  if (fault == NO_LABELS)
    batch.labels = NULL;
  if (fault == ONE_CONDITION)
    batch.condition_count = 0;
  if (fault == NOT_FINITE)
    *own = NAN;
  glow_status status = glow_trainer_initialise_batch(b->trainer, &batch);
  *own = kept;
  return status;
}

/* A step with what goes wrong in it. */
static glow_status step(const bench *b, data *d, const helper_rank *r, int64_t s, int32_t fault,
                        glow_step_report *report) {
  const job *j = r->payload;
  int64_t part = TOTAL / j->ranks;
  glow_batch batch = part_of(j->subject, d, b->dims, s, part * r->number, part);
  glow_status status;
  float *own = d->x + (s * TOTAL + part * r->number) * b->dims, kept = *own;
  if (fault == NOT_FINITE)
    *own = NAN;
  if (j->subject->make == make_lossy && r->number == j->other)
    *own = 2.5f;
  if (fault == NO_SAMPLES)
    batch.count = 0;
  if (fault == BAD_REPORT)
    report->struct_size = 8;
  if (fault == CANCELLED)
    glow_workspace_cancel(glow_trainer_workspace(b->trainer), 1);
  if (fault == TARGET_STEP) {
    glow_target target = GLOW_TARGET_INIT;
    status = glow_trainer_step_target(b->trainer, &target, part, report, NULL);
  } else {
    status = glow_trainer_step_batch(b->trainer, &batch, report);
  }
  if (fault == CANCELLED)
    glow_workspace_cancel(glow_trainer_workspace(b->trainer), 0);
  *own = kept;
  return status;
}

static void steps(helper_rank *r, const bench *b, data *d) {
  job *j = r->payload;
  j->hashes[r->number][0] = hash_of(b);
  for (int64_t s = 0; s < MOST_STEPS; s++) {
    int32_t fault = s == 1 && r->number == j->other ? j->fault : NO_FAULT;
    j->reports[r->number][s] = (glow_step_report)GLOW_STEP_REPORT_INIT;
    if (fault == LEAVES)
      return;
    if (s == 1 && j->later && r->number == j->other)
      j->later(r, (bench *)(uintptr_t)b);
    glow_status status = step(b, d, r, s, fault, &j->reports[r->number][s]);
    j->statuses[r->number][s] = status;
    note_text(r, status);
    j->hashes[r->number][s + 1] = hash_of(b);
  }
}

static bool join(helper_rank *r, bench *b, const data *d) {
  job *j = r->payload;
  const bool other = r->number == j->other;
  counter *c = b->counter;
  if (other && j->change)
    j->change(r, b);
  uint64_t before = hash_of(b);
  size_t calls = c->calls;
  if (other && j->starved && !j->initialises)
    c->fail_at = calls + (size_t)j->starved;
  glow_status status =
      glow_trainer_set_collective(b->trainer, &r->collective, other ? &j->others : &j->options);
  if (other && !j->initialises)
    j->allocations = (int64_t)(c->calls - calls);
  if (status == GLOW_OK) {
    before = hash_of(b);
    calls = c->calls;
    if (other && j->starved && j->initialises)
      c->fail_at = calls + (size_t)j->starved;
    status = initialise(b, d, r);
    if (other && j->initialises)
      j->allocations = (int64_t)(c->calls - calls);
  }
  c->fail_at = 0;
  j->joined[r->number] = status;
  note_text(r, status);
  j->hashes[r->number][MOST_STEPS + 1] = before;
  if (status != GLOW_OK)
    j->hashes[r->number][0] = hash_of(b);
  return status == GLOW_OK;
}

static void run_rank(helper_rank *r) {
  job *j = r->payload;
  bench b;
  data d;
  if (open_bench(r, j->subject, &b)) {
    make_data(&d, b.dims);
    if (join(r, &b, &d)) {
      size_t calls = b.counter->calls;
      steps(r, &b, &d);
      __atomic_fetch_add(&j->in_steps, (int64_t)(b.counter->calls - calls), __ATOMIC_RELAXED);
    }
    free_data(&d);
  }
  close_bench(&b);
  j->called[r->number] = r->called;
  j->aborts[r->number] = r->aborts;
}

static void run_job(job *j, int32_t fail_rank, int64_t fail_at, bool silent) {
  helper_ranks *all = malloc(sizeof *all);
  assert_non_null(all);
  ranks_init(all);
  all->no_bfloat16 = j->no_bfloat16;
  all->fail_rank = fail_rank;
  all->fail_at = fail_at;
  all->silent = silent;
  ranks_run(all, j->ranks, run_rank, j);
  for (int32_t r = 0; r < all->size; r++)
    if (all->at[r].text[0])
      fail_msg("%s: %s", j->subject->name, all->at[r].text);
  assert_false(all->mismatch);
  free(all);
}

/* ---- refusals by all ------------------------------------------------------------------------- */

static void expect(const job *j, int32_t r, glow_status got, glow_status status,
                   const char *words) {
  if (got != status || !strstr(j->texts[r], words))
    fail_msg("rank %d: %s \"%s\", expected %s with \"%s\"", (int)r, glow_status_name(got),
             j->texts[r], glow_status_name(status), words);
}

/* All were refused before they were joined, and are as they were. */
static void check_not_joined(const job *j, glow_status status, const char *words) {
  for (int32_t r = 0; r < j->ranks; r++) {
    expect(j, r, j->joined[r], status, words);
    assert_true(j->hashes[r][0] == j->hashes[r][MOST_STEPS + 1]);
    assert_int_equal(j->aborts[r], 0);
  }
}

/* The second step was refused on all, and left no trace. */
static void check_refused(const job *j, glow_status status, const char *words) {
  for (int32_t r = 0; r < j->ranks; r++) {
    assert_int_equal(j->statuses[r][0], GLOW_OK);
    expect(j, r, j->statuses[r][1], status, words);
    assert_true(j->hashes[r][2] == j->hashes[r][1]);
    assert_true(j->hashes[r][1] == j->hashes[0][1]);
    assert_int_equal(j->aborts[r], 0);
  }
}

/* ... and those after it are the same on all. */
static void check_goes_on(const job *j) {
  for (int32_t r = 0; r < j->ranks; r++)
    for (int s = 2; s < MOST_STEPS; s++) {
      assert_int_equal(j->statuses[r][s], GLOW_OK);
      assert_true(j->hashes[r][s + 1] == j->hashes[0][s + 1]);
      assert_true(j->hashes[r][s + 1] != j->hashes[r][s]);
    }
}

/* ---- what differs ---------------------------------------------------------------------------- */

static void remake(helper_rank *r, bench *b, const glow_trainer_options *o) {
  glow_trainer_destroy(&b->trainer);
  RANK_OK(r, glow_trainer_create(b->model, o, &b->trainer));
}

static void other_seed(helper_rank *r, bench *b) {
  glow_trainer_options o = subjects[VECTORS].options;
  o.seed = 12;
  remake(r, b, &o);
}

static void other_micro_batch(helper_rank *r, bench *b) {
  glow_trainer_options o = subjects[VECTORS].options;
  o.micro_batch = 3;
  remake(r, b, &o);
}

static void other_optimizer(helper_rank *r, bench *b) {
  glow_trainer_options o = subjects[VECTORS].options;
  glow_optimizer_options optimizer = GLOW_OPTIMIZER_OPTIONS_INIT;
  optimizer.beta2 = 0.99;
  o.optimizer = &optimizer;
  remake(r, b, &o);
}

static void other_schedule(helper_rank *r, bench *b) {
  glow_schedule schedule = GLOW_SCHEDULE_INIT;
  schedule.rate = 0.25;
  RANK_OK(r, glow_trainer_set_schedule(b->trainer, &schedule));
}

static void other_model(helper_rank *r, bench *b) {
  glow_vector_flow_options o = GLOW_VECTOR_FLOW_OPTIONS_INIT;
  o.dims = 5;
  o.condition = 3;
  o.steps = 3;
  o.hidden = 9;
  glow_trainer_destroy(&b->trainer);
  glow_model_destroy(&b->model);
  RANK_OK(r, glow_model_create_vector_flow(b->context, &o, &b->model));
  RANK_OK(r, glow_trainer_create(b->model, &subjects[VECTORS].options, &b->trainer));
}

static void other_factor(helper_rank *r, bench *b) {
  RANK_OK(r, glow_trainer_set_rate_factor(b->trainer, "step1", 0.5));
}

static glow_status no_hook(int64_t s, float *gradients, int64_t count, void *payload) {
  (void)s, (void)gradients, (void)count, (void)payload;
  return GLOW_OK;
}

static void with_hook(helper_rank *r, bench *b) {
  RANK_OK(r, glow_trainer_set_gradient_hook(b->trainer, no_hook, NULL));
}

static glow_status no_loss(const glow_loss_call *call, double *loss, void *payload) {
  (void)call, (void)payload;
  *loss = 0.0;
  return GLOW_OK;
}

static void with_loss(helper_rank *r, bench *b) {
  RANK_OK(r, glow_trainer_set_loss(b->trainer, no_loss, NULL));
}

/* The engine of a rank whose rank 0 is of another version of the library. */
static glow_status (*real_broadcast)(void *bytes, int64_t size, int32_t root, void *payload);
static glow_status other_broadcast(void *bytes, int64_t size, int32_t root, void *payload) {
  glow_status status = real_broadcast(bytes, size, root, payload);
  if (size > 8 && memcmp(bytes, "libglow ", 8) == 0)
    ((char *)bytes)[8] = '9';
  return status;
}

static void other_version(helper_rank *r, bench *b) {
  (void)b;
  real_broadcast = r->collective.broadcast;
  r->collective.broadcast = other_broadcast;
}

static void use_average(helper_rank *r, bench *b) {
  RANK_OK(r, glow_trainer_use_average(b->trainer, 1));
}

static void other_parameters(helper_rank *r, bench *b) {
  glow_model_parameters_mutable(b->model)[0] += 1.0f;
  RANK_OK(r, glow_model_prepare(b->model));
}

static void test_mismatch(void **state) {
  static const struct {
    change_fn change;
    const char *words;
  } rows[] = {
      {other_version, "rank 2: it has \"libglow 0"},
      {other_model, "rank 2: it has \"layer 'step0.coupling': net.hidden = 9\" where rank 0 has "
                    "\"layer 'step0.coupling': net.hidden = 8\""},
      {other_seed, "rank 2: it has \"trainer: seed = 12\" where rank 0 has \"trainer: seed = 11\""},
      {other_micro_batch, "rank 2: it has \"trainer: micro_batch = 3\" where rank 0"},
      {other_optimizer, "rank 2: it has \"optimizer: beta2 = 0.98999999999999999\" where rank 0"},
      {other_schedule, "rank 2: it has \"schedule: rate = 0.25\" where rank 0"},
      {other_factor, "where rank 0 has \"rate factor of 'step1."},
      {with_hook, "rank 2: it has \"trainer: gradient hook = yes\" where rank 0 has"},
      {with_loss, "rank 2: it has \"trainer: loss of the caller's = yes\" where rank 0 has"},
  };
  (void)state;
  for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
    job *j = new_job(&subjects[VECTORS], 3);
    j->change = rows[i].change;
    run_job(j, 0, 0, false);
    check_not_joined(j, GLOW_E_ARGUMENT, rows[i].words);
    free(j);
  }
}

/* Rank 0 differs from two others: the first of them says so. */
static void test_rank_0_differs(void **state) {
  job *j = new_job(&subjects[VECTORS], 3);
  (void)state;
  j->other = 0;
  j->change = other_seed;
  run_job(j, 0, 0, false);
  check_not_joined(j, GLOW_E_ARGUMENT,
                   "rank 1: it has \"trainer: seed = 11\" where rank 0 has \"trainer: seed = 12\"");
  free(j);
}

static void test_other_options(void **state) {
  job *j = new_job(&subjects[VECTORS], 3);
  (void)state;
  j->others.bucket_bytes = 8192;
  run_job(j, 0, 0, false);
  check_not_joined(j, GLOW_E_ARGUMENT, "rank 2: it has \"collective: bucket_bytes = 8192\" where");
  memset(j->texts, 0, sizeof j->texts);
  j->others.bucket_bytes = 100;
  run_job(j, 0, 0, false);
  check_not_joined(j, GLOW_E_ARGUMENT, "rank 2: glow_collective_options: bucket_bytes is 100");
  memset(j->texts, 0, sizeof j->texts);
  j->options.sums = GLOW_SUM_BFLOAT16;
  j->others = j->options;
  j->no_bfloat16 = true;
  run_job(j, 0, 0, false);
  check_not_joined(j, GLOW_E_UNSUPPORTED, "the engine has no sums of bfloat16");
  free(j);
}

/* What is set on one rank alone after they were joined. */
static void test_parted(void **state) {
  static const struct {
    change_fn change;
    const char *words;
  } rows[] = {
      {other_schedule, "rank 2 and rank 0 differ in the learning rate: 0.25, 0.001"},
      {other_factor, "rank 2 and rank 0 differ in the checksum of the rate factors"},
      {with_hook, "rank 2 and rank 0 differ in whether a gradient hook is set"},
      {with_loss, "rank 2 and rank 0 differ in whether a loss of the caller's is set"},
      {use_average, "rank 2: the average is in use"},
      {other_parameters, "rank 2 and rank 0 differ in the checksum of the parameters"},
  };
  (void)state;
  for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
    job *j = new_job(&subjects[VECTORS], 3);
    j->later = rows[i].change;
    run_job(j, 0, 0, false);
    for (int32_t r = 0; r < 3; r++) {
      expect(j, r, j->statuses[r][1], GLOW_E_STATE, rows[i].words);
      assert_int_equal(j->aborts[r], 0);
    }
    free(j);
  }
}

/* ---- what goes wrong in a step --------------------------------------------------------------- */

static void test_faults(void **state) {
  static const struct {
    int32_t fault;
    glow_status status;
    const char *words;
  } rows[] = {
      {NOT_FINITE, GLOW_E_NUMERIC,
       "rank 2: step 2 refused: input: element 0 of sample 0 is not finite"},
      {NO_SAMPLES, GLOW_E_ARGUMENT, "rank 2: step 2 refused: a batch has 0 samples"},
      {BAD_REPORT, GLOW_E_ARGUMENT, "rank 2: glow_step_report"},
      {CANCELLED, GLOW_E_CANCELLED, "step 2: rank 2: "},
      {TARGET_STEP, GLOW_E_STATE, "rank 2 makes a step by reverse KL where rank 0 makes a step on"},
  };
  (void)state;
  for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
    job *j = new_job(&subjects[VECTORS], 3);
    j->subject = &subjects[VECTORS];
    j->fault = rows[i].fault;
    run_job(j, 0, 0, false);
    check_refused(j, rows[i].status, rows[i].words);
    check_goes_on(j);
    free(j);
  }
}

static void test_steps_allocate_nothing(void **state) {
  (void)state;
  for (int32_t sums = GLOW_SUM_FLOAT32; sums <= GLOW_SUM_BFLOAT16; sums += 2) {
    job *j = new_job(&subjects[REALNVP], 2);
    j->options.sums = j->others.sums = sums;
    run_job(j, 0, 0, false);
    assert_int_equal(j->in_steps, 0);
    free(j);
  }
}

/* In an initialisation. */
static void test_first_faults(void **state) {
  static const struct {
    int32_t fault, subject;
    glow_status status;
    const char *words;
  } rows[] = {
      {NOT_FINITE, VECTORS, GLOW_E_NUMERIC, "rank 1: input: sample 0 is not finite"},
      {WEIGHTS, VECTORS, GLOW_E_ARGUMENT, "rank 1: initialisation takes no weights"},
      {ONE_CONDITION, VECTORS, GLOW_E_ARGUMENT, "rank 1: glow_batch: 0 conditions"},
      {NO_LABELS, CLASSES, GLOW_E_ARGUMENT, "initialisation: rank 1 gives no labels, rank 0 does"},
  };
  (void)state;
  for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
    job *j = new_job(&subjects[rows[i].subject], 2);
    j->first_fault = rows[i].fault;
    run_job(j, 0, 0, false);
    check_not_joined(j, rows[i].status, rows[i].words);
    free(j);
  }
}

/* ---- drift ----------------------------------------------------------------------------------- */

/* Only rank 1 has a sample that is reconstructed badly. */
static void test_drift(void **state) {
  job *j = new_job(&lossy_subject, 2);
  (void)state;
  run_job(j, 0, 0, false);
  for (int32_t r = 0; r < 2; r++)
    for (int s = 0; s < MOST_STEPS; s++) {
      const glow_step_report *report = &j->reports[r][s];
      assert_int_equal(j->statuses[r][s], GLOW_OK);
      assert_int_equal(report->recomputes, 1);
      assert_true(s > 0 || (report->drift > 0.05 && report->drift < 0.5));
      assert_true(j->hashes[r][s + 1] == j->hashes[0][s + 1]);
    }
  free(j);
}

/* ---- engines that fail ----------------------------------------------------------------------- */

/* Whole steps that rank r has made, which must be those of a job in which nothing fails. */
static int64_t steps_made(const job *j, const job *good, int32_t r) {
  uint64_t hash = j->hashes[r][MOST_STEPS];
  for (int64_t s = 0; s <= MOST_STEPS; s++)
    if (hash == good->hashes[0][s])
      return s;
  fail_msg("rank %d is between two steps", (int)r);
  return -1;
}

/* After a failure: it is told, then that the collective has ended, and no step is made. */
static void check_over(const job *j, int32_t r) {
  bool over = j->joined[r] != GLOW_OK;
  for (int64_t s = 0; j->joined[r] == GLOW_OK && s < MOST_STEPS; s++) {
    glow_status status = j->statuses[r][s];
    assert_true(over ? status == GLOW_E_STATE : status == GLOW_OK || status == GLOW_E_IO);
    over |= status != GLOW_OK;
  }
  assert_true(j->texts[r][0] || !over);
}

static void check_failure(const job *good, int32_t fail_rank, int64_t n) {
  job *j = new_job(good->subject, 2);
  j->options = j->others = good->options;
  run_job(j, fail_rank, n, n % 2);
  for (int32_t r = 0; r < 2; r++)
    check_over(j, r);
  if (j->joined[0] == GLOW_OK && j->joined[1] == GLOW_OK) {
    int64_t a = steps_made(j, good, 0), b = steps_made(j, good, 1);
    assert_true(a - b <= 1 && b - a <= 1);
  }
  assert_true(j->aborts[fail_rank] >= 1);
  expect(j, fail_rank, GLOW_E_IO, GLOW_E_IO, n % 2 ? "of the collective failed" : "cable is cut");
  free(j);
}

/* Every call of the engine fails once, on each rank. */
static void test_engine_fails(void **state) {
  (void)state;
  for (int32_t sums = GLOW_SUM_FLOAT32; sums <= GLOW_SUM_BFLOAT16; sums += 2) {
    job *good = new_job(&subjects[VECTORS], 2);
    good->options.sums = good->others.sums = sums;
    run_job(good, 0, 0, false);
    for (int32_t r = 0; r < 2; r++)
      for (int64_t n = 1; n <= good->called[r]; n++)
        check_failure(good, r, n);
    printf("%lld calls failed\n", (long long)(good->called[0] + good->called[1]));
    free(good);
  }
}

static void test_rank_leaves(void **state) {
  job *j = new_job(&subjects[VECTORS], 3);
  (void)state;
  j->fault = LEAVES;
  run_job(j, 0, 0, false);
  for (int32_t r = 0; r < 2; r++) {
    assert_int_equal(j->statuses[r][0], GLOW_OK);
    assert_int_equal(j->statuses[r][1], GLOW_E_IO);
    assert_int_equal(j->statuses[r][2], GLOW_E_STATE);
    assert_true(j->hashes[r][MOST_STEPS] == j->hashes[r][1]);
  }
  free(j);
}

/* ---- memory ---------------------------------------------------------------------------------- */

/* Every allocation of one rank fails once, while it is joined and while it is initialised. */
static void starve(bool initialises) {
  job *good = new_job(&subjects[CLASSES], 2);
  good->initialises = initialises;
  good->options.sums = good->others.sums = GLOW_SUM_BFLOAT16;
  run_job(good, 0, 0, false);
  assert_true(good->allocations > 3);
  for (int64_t n = 1; n <= good->allocations; n++) {
    job *j = new_job(&subjects[CLASSES], 2);
    j->options = j->others = good->options;
    j->initialises = initialises;
    j->starved = n;
    run_job(j, 0, 0, false);
    assert_int_equal(j->joined[1], GLOW_E_MEMORY);
    assert_true(j->joined[0] == GLOW_E_MEMORY || (j->aborts[1] && j->joined[0] == GLOW_E_IO));
    for (int32_t r = 0; r < 2; r++)
      assert_true(j->hashes[r][0] == j->hashes[r][MOST_STEPS + 1]);
    free(j);
  }
  free(good);
}

static void test_no_memory(void **state) {
  (void)state;
  starve(false);
  starve(true);
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(test_mismatch),
      cmocka_unit_test(test_rank_0_differs),
      cmocka_unit_test(test_parted),
      cmocka_unit_test(test_other_options),
      cmocka_unit_test(test_faults),
      cmocka_unit_test(test_first_faults),
      cmocka_unit_test(test_steps_allocate_nothing),
      cmocka_unit_test(test_drift),
      cmocka_unit_test(test_engine_fails),
      cmocka_unit_test(test_rank_leaves),
      cmocka_unit_test(test_no_memory),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
