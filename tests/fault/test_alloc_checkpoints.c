/* Memory runs out while checkpoints are written, read and found: lack of memory is never taken for
 * a fault of a checkpoint, so a good one is never passed over. SPDX-License-Identifier: MIT */
#include <sys/stat.h>

#include "each_allocation.h"
#include "models.h"
#include "places.h"

static const char *const notes[] = {"place", "3", "name", "\"quoted\" \xc3\xa9"};

/* ---- trainers -------------------------------------------------------------------------------- */

typedef struct run {
  glow_model *model;
  glow_trainer *trainer;
  samples data;
  char *folder; /* where it saves */
} run;

static void make_run(glow_context *context, run *r) {
  glow_glow_options g = GLOW_GLOW_OPTIONS_INIT;
  glow_trainer_options o = GLOW_TRAINER_OPTIONS_INIT;
  g.input = (glow_shape){4, 4, 2};
  g.levels = 2;
  g.depth = 1;
  g.hidden = 3;
  g.classes = 3;
  g.classifier = 1;
  r->model = helper_glow(context, &g, 3);
  r->data = samples_of(r->model);
  o.micro_batch = 2;
  o.average = 1;
  o.mode = GLOW_MODE_BUDGET; /* which plans with memory */
  o.memory_budget = helper_limit_of_all(r->model, 2);
  o.drift_bound = 0;
  OK(glow_trainer_create(r->model, &o, &r->trainer));
  OK(glow_trainer_set_rate_factor(r->trainer, "prior", 0.5)); /* the file has a text of factors */
}

static void make_step(run *r) {
  OK(glow_trainer_step_pixels(r->trainer, r->data.pixels, r->data.labels, SAMPLES, NULL));
}

static void end_run(run *r) {
  glow_trainer_destroy(&r->trainer);
  glow_model_destroy(&r->model);
  samples_free(&r->data);
}

/* ---- saving ---------------------------------------------------------------------------------- */

static void make_saver(trial *t) {
  static int number;
  char name[32];
  run *r = helper_allocate(sizeof *r);
  make_run(t->context, r);
  make_step(r);
  snprintf(name, sizeof name, "saver%d", number++);
  r->folder = helper_allocate(strlen(temp_path(name)) + 1);
  strcpy(r->folder, temp_path(name));
  assert_int_equal(mkdir(r->folder, 0700), 0);
  t->subject = r;
}

/* The trainer goes on as if nothing had failed: each success takes a step, which its twin does
 * too. */
static void fold_saver(const trial *t, uint64_t *hash) {
  const run *r = t->subject;
  model_fold(r->model, hash);
  hash_number(hash, glow_trainer_step_count(r->trainer));
  fold_places(r->folder, hash);
}

static void end_saver(trial *t) {
  run *r = t->subject;
  end_run(r);
  free(r->folder);
  free(r);
}

static glow_status save(trial *t) {
  run *r = t->subject;
  char path[400];
  snprintf(path, sizeof path, "%s/checkpoint", r->folder);
  glow_status status = glow_checkpoint_save(r->trainer, path, notes, 2);
  if (status == GLOW_OK)
    make_step(r);
  return status;
}

static void test_save(void **state) {
  (void)state;
  each_allocation(&(operation){"save", make_saver, save, fold_saver, end_saver}, NULL);
}

/* A checkpoint may be written before memory fails for removing the oldest; the message says so. */
static glow_status save_series(trial *t) {
  run *r = t->subject;
  return glow_checkpoint_save_series(r->trainer, r->folder, 2, notes, 2);
}

static void fold_run(const trial *t, uint64_t *hash) {
  const run *r = t->subject;
  char path[400];
  model_fold(r->model, hash);
  hash_number(hash, count_entries(r->folder, ".tmp"));
  hash_number(hash, count_descriptors());
  if (count_entries(r->folder, "") > 0)
    OK(glow_checkpoint_newest(t->context, r->folder, NULL, path, sizeof path));
}

static void test_save_series(void **state) {
  (void)state;
  each_allocation(&(operation){"series", make_saver, save_series, fold_run, end_saver}, NULL);
}

/* ---- loading --------------------------------------------------------------------------------- */

typedef struct source {
  int place;
  char path[300];
  blob copy;
} source;

static void fold_reading(const trial *t, uint64_t *hash) {
  (void)t;
  hash_number(hash, count_descriptors());
  hash_number(hash, count_mappings());
}

static glow_status load(trial *t) {
  const source *s = t->choice;
  glow_model *model = NULL;
  glow_trainer *trainer = NULL;
  const glow_input in = input_from(s->place, s->path, &s->copy);
  glow_status status = glow_checkpoint_load_input(t->context, &in, &model, &trainer);
  assert_int_equal(model != NULL, status == GLOW_OK);
  assert_int_equal(trainer != NULL, status == GLOW_OK);
  if (status == GLOW_OK) {
    assert_string_equal(glow_trainer_note(trainer, "place"), "3");
    assert_string_equal(glow_trainer_note(trainer, "name"), notes[3]);
    model_fold(model, &t->result);
  }
  glow_trainer_destroy(&trainer);
  glow_model_destroy(&model);
  return status;
}

static glow_status load_average(trial *t) {
  const source *s = t->choice;
  glow_model *model = NULL;
  const glow_input in = input_from(s->place, s->path, &s->copy);
  glow_status status = glow_checkpoint_load_average_input(t->context, &in, &model);
  assert_int_equal(model != NULL, status == GLOW_OK);
  if (model)
    model_fold(model, &t->result);
  glow_model_destroy(&model);
  return status;
}

/* The optimizer alone; and it is saved again, to nowhere. */
static glow_status load_optimizer(trial *t) {
  const source *s = t->choice;
  glow_model *model = NULL;
  glow_optimizer *optimizer = NULL;
  glow_output output = GLOW_OUTPUT_INIT;
  size_t size = 0;
  const glow_input in = input_from(s->place, s->path, &s->copy);
  glow_status status = glow_checkpoint_load_optimizer(t->context, &in, &model, &optimizer);
  assert_int_equal(model != NULL, status == GLOW_OK);
  assert_int_equal(optimizer != NULL, status == GLOW_OK);
  output.written = &size;
  if (status == GLOW_OK) {
    assert_string_equal(glow_optimizer_note(optimizer, "place"), "3");
    model_fold(model, &t->result);
    status = glow_checkpoint_save_optimizer(optimizer, &output, notes, 2);
  }
  glow_optimizer_destroy(&optimizer);
  glow_model_destroy(&model);
  return status;
}

/* With a limit on the memory of passes, which a failed allocation must not lift. */
static glow_status load_limited(trial *t) {
  const source *s = t->choice;
  glow_model *model = NULL;
  glow_trainer *trainer = NULL;
  glow_input in = input_from(s->place, s->path, &s->copy);
  glow_limits limits = GLOW_LIMITS_INIT;
  limits.workspace_bytes = 1000;
  in.limits = &limits;
  glow_status status = glow_checkpoint_load_input(t->context, &in, &model, &trainer);
  assert_null(model);
  return status == GLOW_E_LIMIT ? GLOW_OK : status;
}

static glow_status find_newest(trial *t) {
  char path[256];
  const source *s = t->choice;
  glow_status status = glow_checkpoint_newest(t->context, s->path, NULL, path, sizeof path);
  if (status == GLOW_OK && !strstr(path, "/checkpoint-000000003.safetensors"))
    fail_msg("the newest checkpoint is said to be '%s'", path);
  assert_true(status == GLOW_OK || !*path);
  return status;
}

static void load_from_each(source *s, operation op) {
  for (s->place = 0; s->place < PLACES; s->place++) {
    char name[100];
    snprintf(name, sizeof name, "%s from %s", op.name, place_names[s->place]);
    operation named = op;
    named.name = name;
    named.state = fold_reading;
    each_allocation(&named, s);
  }
}

static void test_load(void **state) {
  glow_context *context = helper_context(1, NULL, NULL);
  source s, folder = {.place = FROM_PATH};
  run r;
  (void)state;
  make_run(context, &r);
  snprintf(folder.path, sizeof folder.path, "%s", temp_path("series"));
  assert_int_equal(mkdir(folder.path, 0700), 0);
  for (int step = 0; step < 3; step++) {
    make_step(&r);
    OK(glow_checkpoint_save_series(r.trainer, folder.path, 5, notes, 2));
  }
  end_run(&r);
  snprintf(s.path, sizeof s.path, "%s", temp_path("series/checkpoint-000000003.safetensors"));
  s.copy = read_blob(s.path);
  load_from_each(&s, (operation){.name = "checkpoint", .run = load});
  load_from_each(&s, (operation){.name = "average", .run = load_average});
  load_from_each(&s, (operation){.name = "optimizer", .run = load_optimizer});
  load_from_each(&s, (operation){.name = "limited", .run = load_limited});
  each_allocation(&(operation){.name = "newest", .run = find_newest, .state = fold_reading},
                  &folder);
  free(s.copy.bytes);
  glow_context_destroy(&context);
}

static int set_up(void **state) {
  (void)state;
  return temp_folder_make(NULL) ? 0 : -1;
}

static int tear_down(void **state) {
  each_allocation_report(state);
  return temp_folder_remove() ? 0 : -1;
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(test_save),
      cmocka_unit_test(test_save_series),
      cmocka_unit_test(test_load),
  };
  return cmocka_run_group_tests(tests, set_up, tear_down);
}
