/* Memory runs out in workspaces, initialisation, optimizers and trainers, on models of all kinds:
 * training keeps activations, reconstructs them or fits them into a budget, packs weights once or
 * each time, with classes, conditions, pixels and averages. SPDX-License-Identifier: MIT */
#include "../support/one_rank.h"
#include "each_allocation.h"
#include "models.h"

/* What the calls work on. */
typedef struct subject {
  glow_model *model;
  glow_workspace *workspace; /* or */
  glow_trainer *trainer;
  samples data;
  uint64_t budget; /* of GLOW_MODE_BUDGET: too little to store all layers */
} subject;

/* How a model is trained; glow_trainer_options. */
typedef struct training {
  const char *name;
  int32_t mode, cache_packed, optimizer, average, target;
} training;

static const training trainings[] = {
    {"stored, to a target", GLOW_MODE_STORED, 0, GLOW_OPTIMIZER_ADAM, 0, 1},
    {"stored, packed", GLOW_MODE_STORED, 1, GLOW_OPTIMIZER_SGD, 1, 0},
    {"reconstructed, packed", GLOW_MODE_RECONSTRUCTED, 1, GLOW_OPTIMIZER_ADAMAX, 1, 0},
    {"budget", GLOW_MODE_BUDGET, 0, GLOW_OPTIMIZER_ADAM, 1, 0},
};
enum { TRAININGS = sizeof trainings / sizeof *trainings, MICRO = 2 };

typedef struct choice {
  const model_case *model;
  const training *training;
} choice;

/* Presets are trained in all ways; layers, of which there are many, in turns. */
static bool is_wanted(const model_case *c, int32_t number, int32_t way) {
  return !c->net && /* those of the rows are smaller */
         (!c->subject.layer || number % TRAININGS == way || getenv("GLOW_TEST_EXHAUSTIVE"));
}

static void on_all_models(operation op, bool each_training) {
  int32_t count;
  const model_case *cases = model_cases(&count);
  for (int32_t i = 0; i < count; i++)
    for (int32_t k = 0; k < (each_training ? TRAININGS : 1); k++) {
      const choice c = {&cases[i], &trainings[k]};
      char name[200];
      if (each_training && !is_wanted(&cases[i], i, k))
        continue;
      snprintf(name, sizeof name, "%s, %s: %s", op.name, trainings[k].name, cases[i].name);
      operation named = op;
      named.name = name;
      each_allocation(&named, &c);
    }
}

/* ---- what calls work on ---------------------------------------------------------------------- */

/* One byte too few to store all layers, where less is possible. */
static uint64_t budget_of(const glow_model *model) {
  const uint64_t all = helper_limit_of_all(model, MICRO);
  glow_workspace_options o = GLOW_WORKSPACE_OPTIONS_INIT;
  uint64_t bytes;
  o.batch = MICRO;
  o.mode = GLOW_MODE_BUDGET;
  o.memory_budget = all - 1;
  o.drift_bound = 0; /* else so small a model would rather keep all than room to run again */
  return glow_workspace_plan_bytes(model, &o, &bytes) == GLOW_OK ? all - 1 : all;
}

static void make_model(trial *t) {
  const choice *c = t->choice;
  helper_random random = helper_random_of(1);
  subject *s = helper_allocate(sizeof *s);
  *s = (subject){.model = NULL};
  OK(model_case_create(t->context, c->model, &s->model));
  helper_perturb(s->model, &random, 0.02f);
  if (c->training->mode == GLOW_MODE_BUDGET)
    s->budget = budget_of(s->model);
  s->data = samples_of(s->model);
  t->subject = s;
}

/* As it was made: its first values come from data. */
static void make_new_model(trial *t) {
  const choice *c = t->choice;
  subject *s = helper_allocate(sizeof *s);
  *s = (subject){.model = NULL};
  OK(model_case_create(t->context, c->model, &s->model));
  s->data = samples_of(s->model);
  t->subject = s;
}

static void fold_subject(const trial *t, uint64_t *hash) {
  const subject *s = t->subject;
  model_fold(s->model, hash);
  hash_number(hash, glow_trainer_step_count(s->trainer));
}

static void destroy_subject(trial *t) {
  subject *s = t->subject;
  glow_trainer_destroy(&s->trainer);
  glow_workspace_destroy(&s->workspace);
  glow_model_destroy(&s->model);
  samples_free(&s->data);
  free(s);
}

/* ---- workspaces ------------------------------------------------------------------------------ */

static const int32_t *labels_of(const subject *s) {
  return glow_model_class_count(s->model) ? s->data.labels : NULL;
}

static void set_condition(const subject *s, glow_workspace *ws) {
  if (s->data.condition_size)
    OK(glow_workspace_set_condition(ws, s->data.condition, SAMPLES, s->data.condition_size));
}

static glow_status create_workspace(trial *t) {
  const subject *s = t->subject;
  const training *how = ((const choice *)t->choice)->training;
  glow_workspace_options o = GLOW_WORKSPACE_OPTIONS_INIT;
  glow_workspace *ws = NULL;
  double log_prob[SAMPLES] = {0};
  int64_t failed;
  o.batch = MICRO;
  o.mode = how->mode;
  o.cache_packed = how->cache_packed;
  if (how->mode == GLOW_MODE_BUDGET) {
    o.memory_budget = s->budget;
    o.drift_bound = 0;
  }
  glow_status status = glow_workspace_create(s->model, &o, &ws);
  assert_int_equal(status == GLOW_OK, ws != NULL);
  if (ws) {
    int32_t statuses[SAMPLES];
    glow_forward_options f = GLOW_FORWARD_OPTIONS_INIT;
    set_condition(s, ws);
    f.labels = labels_of(s);
    f.log_prob = log_prob;
    f.evaluate = 1;
    f.statuses = statuses;
    f.failed = &failed;
    OK(glow_workspace_forward(ws, s->data.x, SAMPLES, &f));
    hash_fold(&t->result, log_prob, sizeof log_prob);
  }
  glow_workspace_destroy(&ws);
  return status;
}

static void test_workspace(void **state) {
  (void)state;
  on_all_models(
      (operation){"workspace", make_model, create_workspace, fold_subject, destroy_subject}, true);
}

/* ---- initialisation -------------------------------------------------------------------------- */

static glow_status initialise(trial *t) {
  subject *s = t->subject;
  glow_workspace_options o = GLOW_WORKSPACE_OPTIONS_INIT;
  glow_workspace *ws = NULL;
  o.batch = MICRO;
  glow_status status = glow_workspace_create(s->model, &o, &ws);
  if (status == GLOW_OK) {
    set_condition(s, ws);
    status = glow_workspace_initialise(ws, s->model, s->data.x, labels_of(s), SAMPLES);
  }
  glow_workspace_destroy(&ws);
  return status;
}

static void test_initialise(void **state) {
  (void)state;
  on_all_models(
      (operation){"initialise", make_new_model, initialise, fold_subject, destroy_subject}, false);
}

/* ---- trainers -------------------------------------------------------------------------------- */

static glow_status create_trainer(trial *t, glow_trainer **out) {
  subject *s = t->subject;
  const training *how = ((const choice *)t->choice)->training;
  glow_trainer_options o = GLOW_TRAINER_OPTIONS_INIT;
  glow_optimizer_options optimizer = GLOW_OPTIMIZER_OPTIONS_INIT;
  optimizer.kind = how->optimizer;
  o.optimizer = &optimizer;
  o.micro_batch = MICRO;
  o.mode = how->mode;
  o.cache_packed = how->cache_packed;
  o.average = how->average;
  o.clip_norm = 10;
  o.inverse_backward = how->target;
  if (how->mode == GLOW_MODE_BUDGET) {
    o.memory_budget = s->budget;
    o.drift_bound = 0;
  }
  glow_status status = glow_trainer_create(s->model, &o, out);
  assert_int_equal(status == GLOW_OK, *out != NULL);
  return status;
}

static void batch_of(const subject *s, glow_batch *b) {
  b->count = SAMPLES;
  b->x = s->data.pixels ? NULL : s->data.x;
  b->pixels = s->data.pixels;
  b->labels = labels_of(s);
  b->condition = s->data.condition_size ? s->data.condition : NULL;
  b->condition_count = s->data.condition_size ? SAMPLES : 0;
}

static glow_status step(const subject *s, glow_trainer *trainer, glow_step_report *report) {
  glow_batch b = GLOW_BATCH_INIT;
  batch_of(s, &b);
  return glow_trainer_step_batch(trainer, &b, report);
}

/* A standard normal. */
static glow_status density(const float *x, int64_t first, int64_t count, double *log_p,
                           float *gradient, void *payload) {
  const int64_t dims = *(const int64_t *)payload;
  (void)first;
  for (int64_t n = 0; n < count; n++) {
    log_p[n] = 0.0;
    for (int64_t i = n * dims; i < (n + 1) * dims; i++)
      log_p[n] -= 0.5 * (double)x[i] * (double)x[i];
    for (int64_t i = n * dims; gradient && i < (n + 1) * dims; i++)
      gradient[i] = -x[i];
  }
  return GLOW_OK;
}

static glow_target target_of(const subject *s, int64_t *dims) {
  glow_target target = GLOW_TARGET_INIT;
  *dims = glow_model_dims(s->model);
  target.density = density;
  target.payload = dims;
  target.labels = labels_of(s);
  target.condition = s->data.condition_size ? s->data.condition : NULL;
  target.condition_count = s->data.condition_size ? SAMPLES : 0;
  return target;
}

/* A trainer of its own, for one step. Numbers that are not finite are for other tests. */
static glow_status train_anew(trial *t) {
  subject *s = t->subject;
  glow_step_report report = GLOW_STEP_REPORT_INIT;
  glow_trainer *trainer = NULL;
  glow_status status = create_trainer(t, &trainer);
  if (status == GLOW_OK)
    status = step(s, trainer, &report);
  if (status == GLOW_OK && ((const choice *)t->choice)->training->target) {
    int64_t dims;
    const glow_target target = target_of(s, &dims);
    status = glow_trainer_step_target(trainer, &target, SAMPLES, &report, NULL);
  }
  hash_fold(&t->result, &report.loss, sizeof report.loss);
  glow_trainer_destroy(&trainer);
  return status;
}

static void test_train(void **state) {
  (void)state;
  on_all_models((operation){"train", make_model, train_anew, fold_subject, destroy_subject}, true);
}

/* ---- evaluation ------------------------------------------------------------------------------ */

static void make_evaluated(trial *t) {
  glow_workspace_options o = GLOW_WORKSPACE_OPTIONS_INIT;
  make_model(t);
  subject *s = t->subject;
  o.batch = MICRO;
  OK(glow_workspace_create(s->model, &o, &s->workspace));
}

static glow_status evaluate(trial *t) {
  const subject *s = t->subject;
  glow_evaluation e = GLOW_EVALUATION_INIT;
  glow_batch b = GLOW_BATCH_INIT;
  batch_of(s, &b);
  glow_status status = glow_evaluate(s->workspace, &b, 3, &e);
  hash_fold(&t->result, &e.log_prob, sizeof e.log_prob);
  return status;
}

static glow_status importance(trial *t) {
  const subject *s = t->subject;
  int64_t dims;
  const glow_target target = target_of(s, &dims);
  glow_importance e = GLOW_IMPORTANCE_INIT;
  glow_status status = glow_workspace_importance(s->workspace, &target, NULL, SAMPLES, &e);
  hash_fold(&t->result, &e.log_z, sizeof e.log_z);
  return status;
}

static void test_evaluation(void **state) {
  (void)state;
  on_all_models(
      (operation){"glow_evaluate", make_evaluated, evaluate, fold_subject, destroy_subject}, false);
  on_all_models((operation){"glow_workspace_importance", make_evaluated, importance, fold_subject,
                            destroy_subject},
                false);
}

/* ---- a trainer that lives on ----------------------------------------------------------------- */

static void make_trainer(trial *t) {
  make_model(t);
  subject *s = t->subject;
  OK(create_trainer(t, &s->trainer));
}

static glow_status next_batch(int64_t number, glow_batch *batch, void *payload) {
  const trial *t = payload;
  (void)number;
  batch_of(t->subject, batch);
  return GLOW_OK;
}

/* The steps before an evaluation that had no memory stay: the model is the trial's own. */
static glow_status run_with_held_out(trial *t) {
  subject *s = t->subject;
  glow_run_options o = GLOW_RUN_OPTIONS_INIT;
  glow_batch held_out = GLOW_BATCH_INIT;
  glow_trainer *trainer = NULL;
  batch_of(s, &held_out);
  o.steps = 0; /* what begins and ends a run */
  o.batch = SAMPLES;
  o.next = next_batch;
  o.next_payload = t;
  o.held_out = &held_out;
  o.keep_best = 1;
  glow_status status = create_trainer(t, &trainer);
  if (status == GLOW_OK)
    status = glow_trainer_run(trainer, &o, NULL);
  glow_trainer_destroy(&trainer);
  return status;
}

static glow_status initialise_batch(trial *t) {
  subject *s = t->subject;
  glow_batch b = GLOW_BATCH_INIT;
  batch_of(s, &b);
  return glow_trainer_initialise_batch(s->trainer, &b);
}

static glow_status own_loss(const glow_loss_call *call, double *loss, void *payload) {
  (void)payload;
  *loss = call->logdet[0];
  call->d_logdet[0] = 1e-3;
  return GLOW_OK;
}

/* If there is no room for it, the loss is what it was. */
static glow_status set_loss(trial *t) {
  subject *s = t->subject;
  glow_trainer *trainer = NULL;
  glow_step_report report = GLOW_STEP_REPORT_INIT;
  glow_status status = create_trainer(t, &trainer);
  if (status == GLOW_OK)
    status = glow_trainer_set_loss(trainer, own_loss, NULL);
  if (status == GLOW_OK)
    status = step(s, trainer, &report);
  hash_fold(&t->result, &report.loss, sizeof report.loss);
  glow_trainer_destroy(&trainer);
  return status;
}

static glow_status set_collective(trial *t) {
  const subject *s = t->subject;
  const glow_collective collective = one_rank();
  glow_collective_options o = GLOW_COLLECTIVE_OPTIONS_INIT;
  o.sums = GLOW_SUM_BFLOAT16;
  return glow_trainer_set_collective(s->trainer, &collective, &o);
}

/* With room for the samples of all ranks. */
static void make_joined_trainer(trial *t) {
  make_trainer(t);
  OK(set_collective(t));
}

static void test_collective(void **state) {
  int32_t count;
  const model_case *cases = model_cases(&count);
  (void)state;
  for (int32_t i = 0; i < count; i++) {
    const choice c = {&cases[i], &trainings[1]};
    if (strncmp(cases[i].name, "glow classi", 11) != 0)
      continue;
    each_allocation(&(operation){"glow_trainer_set_collective", make_trainer, set_collective,
                                 fold_subject, destroy_subject},
                    &c);
    each_allocation(&(operation){"glow_trainer_initialise_batch, joined", make_joined_trainer,
                                 initialise_batch, fold_subject, destroy_subject},
                    &c);
  }
}

static void test_trainer(void **state) {
  int32_t count;
  const model_case *cases = model_cases(&count);
  (void)state;
  for (int32_t i = 0; i < count; i++) {
    const choice c = {&cases[i], &trainings[1]};
    if (strncmp(cases[i].name, "glow classi", 11) != 0)
      continue;
    each_allocation(&(operation){"glow_trainer_run", make_model, run_with_held_out, fold_subject,
                                 destroy_subject},
                    &c);
    each_allocation(
        &(operation){"glow_trainer_set_loss", make_model, set_loss, fold_subject, destroy_subject},
        &c);
    each_allocation(&(operation){"glow_trainer_initialise_batch", make_trainer, initialise_batch,
                                 fold_subject, destroy_subject},
                    &c);
  }
}

/* ---- optimizers ------------------------------------------------------------------------------ */

static glow_status optimize(trial *t) {
  subject *s = t->subject;
  const training *how = ((const choice *)t->choice)->training;
  glow_optimizer_options o = GLOW_OPTIMIZER_OPTIONS_INIT;
  glow_optimizer *optimizer = NULL;
  o.kind = how->optimizer;
  glow_status status = glow_optimizer_create(s->model, &o, &optimizer);
  assert_int_equal(status == GLOW_OK, optimizer != NULL);
  if (status == GLOW_OK)
    status = glow_optimizer_step(optimizer, s->model, glow_model_parameters(s->model), 1e-3);
  glow_optimizer_destroy(&optimizer);
  return status;
}

static void test_optimizer(void **state) {
  int32_t count;
  const model_case *cases = model_cases(&count);
  (void)state;
  for (int32_t k = 0; k < TRAININGS; k++)
    each_allocation(&(operation){"optimizer", make_model, optimize, fold_subject, destroy_subject},
                    &(choice){&cases[0], &trainings[k]});
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(test_workspace),  cmocka_unit_test(test_initialise),
      cmocka_unit_test(test_train),      cmocka_unit_test(test_trainer),
      cmocka_unit_test(test_collective), cmocka_unit_test(test_optimizer),
      cmocka_unit_test(test_evaluation),
  };
  return cmocka_run_group_tests(tests, NULL, each_allocation_report);
}
