/* The n-th system call of a reader fails: of models, tensor files and checkpoints, read, mapped or
 * opened lazily, of models of other projects, and of the search for the newest checkpoint.
 * SPDX-License-Identifier: MIT */
#include <errno.h>
#include <glow/import.h>
#include <sys/stat.h>

#include "each_call.h"
#include "models.h"

static glow_context *context;
static helper_memory memory;
static const char *import_folder;

/* Words of the context's log. */
static char logged[1024];

static void keep_log(int32_t level, const char *text, void *payload) {
  (void)level;
  (void)payload;
  snprintf(logged, sizeof logged, "%s", text);
}

static glow_model *make_model(uint64_t use) {
  glow_glow_options g = GLOW_GLOW_OPTIONS_INIT;
  g.input = (glow_shape){4, 4, 2};
  g.levels = 2;
  g.depth = 1;
  g.hidden = 3;
  return helper_glow(context, &g, use);
}

/* ---- readers --------------------------------------------------------------------------------- */

typedef struct source {
  int place;
  char path[600];
} source;

static glow_status load_model(const call_operation *op, uint64_t *result) {
  const source *s = op->choice;
  const glow_input in = input_from(s->place, s->path, NULL);
  glow_model *model = NULL;
  glow_status status = glow_model_load_input(context, &in, &model);
  assert_int_equal(status == GLOW_OK, model != NULL);
  if (model)
    model_fold(model, result);
  glow_model_destroy(&model);
  return status;
}

/* All or nothing. */
static glow_status fill_model(const call_operation *op, uint64_t *result) {
  const source *s = op->choice;
  const glow_input in = input_from(s->place, s->path, NULL);
  uint64_t before = HASH_INIT, after = HASH_INIT;
  glow_model *model = make_model(4);
  model_fold(model, &before);
  glow_status status = glow_model_fill(model, &in, NULL, NULL);
  model_fold(model, &after);
  assert_true(status == GLOW_OK || before == after);
  if (status == GLOW_OK)
    hash_number(result, (int64_t)after);
  glow_model_destroy(&model);
  return status;
}

static glow_status load_checkpoint(const call_operation *op, uint64_t *result) {
  const source *s = op->choice;
  const glow_input in = input_from(s->place, s->path, NULL);
  glow_model *model = NULL;
  glow_trainer *trainer = NULL;
  glow_status status = glow_checkpoint_load_input(context, &in, &model, &trainer);
  assert_true((status == GLOW_OK) == (model != NULL) && (status == GLOW_OK) == (trainer != NULL));
  if (model)
    model_fold(model, result);
  hash_number(result, glow_trainer_step_count(trainer));
  glow_trainer_destroy(&trainer);
  glow_model_destroy(&model);
  return status;
}

static glow_status load_average(const call_operation *op, uint64_t *result) {
  const source *s = op->choice;
  const glow_input in = input_from(s->place, s->path, NULL);
  glow_model *model = NULL;
  glow_status status = glow_checkpoint_load_average_input(context, &in, &model);
  assert_int_equal(status == GLOW_OK, model != NULL);
  if (model)
    model_fold(model, result);
  glow_model_destroy(&model);
  return status;
}

/* All bytes of all tensors. */
static glow_status read_tensors(const call_operation *op, uint64_t *result) {
  const source *s = op->choice;
  const glow_input in = input_from(s->place, s->path, NULL);
  glow_tensor_file *file = NULL;
  glow_status status = glow_tensor_file_open_input(context, &in, &file);
  assert_int_equal(status == GLOW_OK, file != NULL);
  for (int64_t i = 0; status == GLOW_OK && i < glow_tensor_file_tensor_count(file); i++) {
    glow_file_tensor tensor = GLOW_FILE_TENSOR_INIT;
    OK(glow_tensor_file_get(file, i, &tensor));
    void *bytes = helper_allocate((size_t)tensor.bytes);
    status = glow_tensor_file_read(file, i, 0, bytes, (size_t)tensor.bytes);
    if (status == GLOW_OK)
      hash_words(result, bytes, (size_t)tensor.bytes);
    free(bytes);
  }
  glow_tensor_file_close(&file);
  return status;
}

static glow_status import(const call_operation *op, uint64_t *result) {
  const source *s = op->choice;
  const glow_input in = input_from(s->place, s->path, NULL);
  glow_import_options o = GLOW_IMPORT_OPTIONS_INIT;
  glow_model *model = NULL;
  o.height = o.width = 8;
  glow_status status = glow_model_import(context, &in, &o, &model);
  assert_int_equal(status == GLOW_OK, model != NULL);
  if (model)
    model_fold(model, result);
  glow_model_destroy(&model);
  return status;
}

static void each_place(const char *name, const char *path,
                       glow_status (*run)(const call_operation *op, uint64_t *result),
                       int last_place) {
  for (int place = FROM_PATH; place <= last_place; place++) {
    source s = {.place = place};
    char text[100];
    snprintf(s.path, sizeof s.path, "%s", path);
    snprintf(text, sizeof text, "%s, %s", name, place_names[place]);
    each_call(&(call_operation){text, s.path, run, &s, &memory}, reading_ways);
  }
}

static void test_files(void **state) {
  (void)state;
  each_place("model", temp_path("model"), load_model, FROM_MAPPING);
  each_place("tensors", temp_path("model"), read_tensors, FROM_LAZY);
  each_place("fill", temp_path("model"), fill_model, FROM_LAZY);
}

static void test_checkpoints(void **state) {
  const char *path = temp_path("series/checkpoint-000000002.safetensors");
  (void)state;
  each_place("checkpoint", path, load_checkpoint, FROM_LAZY);
  each_place("average", path, load_average, FROM_LAZY);
}

static void test_import(void **state) {
  static const char *const names[] = {"openai_additive_lu_classes", "y0ast_affine_shuffle_classes",
                                      "rosinality_affine_lu"};
  (void)state;
  for (size_t i = 0; i < sizeof names / sizeof *names; i++) {
    char path[600];
    snprintf(path, sizeof path, "%s/%s.safetensors", import_folder, names[i]);
    each_place(names[i], path, import, FROM_LAZY);
  }
}

/* ---- the newest checkpoint ------------------------------------------------------------------- */

/* Folds the number of the step in, but for an older one that is found with a warning. */
static glow_status find_newest(const call_operation *op, uint64_t *result) {
  char path[600];
  *logged = '\0';
  glow_status status = glow_checkpoint_newest(context, op->choice, NULL, path, sizeof path);
  assert_true(status == GLOW_OK || !*path);
  hash_text(result, status == GLOW_OK ? path : "");
  return status;
}

/* What the process or the system lacks is no fault of a checkpoint. */
static void test_newest(void **state) {
  static const int lacks[] = {ENOMEM, EMFILE, ENFILE};
  char folder[300];
  (void)state;
  snprintf(folder, sizeof folder, "%s", temp_path("series"));
  const call_operation op = {"newest", folder, find_newest, folder, &memory};
  way ways[7] = {{.name = NULL}};
  for (int i = 0; i < 6; i++)
    ways[i] = (way){.name = strerror(lacks[i / 2]),
                    .error = lacks[i / 2],
                    .more = i % 2 ? INT64_MAX : 0,
                    .status = GLOW_E_MEMORY};
  each_call(&op, ways);
  each_call(&op, (const way[]){{"EINTR once", EINTR, 0, false, true, 0, NULL},
                               {"EINTR some times", EINTR, 2, false, true, 0, NULL},
                               {"short", WRAP_SHORT, INT64_MAX, true, true, 0, NULL},
                               {.name = NULL}});
}

/* One that cannot be read, for a fault of the disk, is passed over with a warning. */
static void test_newest_damaged(void **state) {
  char folder[300];
  int passed = 0, refused = 0;
  (void)state;
  snprintf(folder, sizeof folder, "%s", temp_path("series"));
  const call_operation op = {"newest", folder, find_newest, folder, &memory};
  for (int64_t n = 1;; n++) {
    uint64_t result = HASH_INIT, older = HASH_INIT, newest = HASH_INIT;
    hash_text(&newest, temp_path("series/checkpoint-000000002.safetensors"));
    hash_text(&older, temp_path("series/checkpoint-000000001.safetensors"));
    wrap = (wrap_fault){.active = true, .first = n, .error = EIO};
    glow_status status = find_newest(&op, &result);
    wrap.active = false;
    each_call_count();
    if (!wrap.failures)
      break;
    if (status != GLOW_OK) { /* the folder itself */
      assert_int_equal(status, GLOW_E_IO);
      assert_non_null(strstr(glow_last_error(), folder));
      refused++;
    } else if (result != newest) {
      assert_true(result == older);
      assert_non_null(strstr(logged, "checkpoint-000000002.safetensors"));
      assert_non_null(strstr(logged, strerror(EIO)));
      passed++;
    } else {
      assert_true(wrap.failures == wrap.failed[WRAP_CLOSE]);
    }
  }
  assert_true(passed > 3 && refused > 1);
}

/* ---- frame ----------------------------------------------------------------------------------- */

static void make_files(void) {
  glow_trainer_options o = GLOW_TRAINER_OPTIONS_INIT;
  glow_trainer *trainer = NULL;
  char series[300];
  glow_model *model = make_model(3);
  samples data = samples_of(model);
  OK(glow_model_save(model, temp_path("model")));
  o.average = 1;
  OK(glow_trainer_create(model, &o, &trainer));
  snprintf(series, sizeof series, "%s", temp_path("series"));
  assert_int_equal(mkdir(series, 0700), 0);
  for (int step = 0; step < 2; step++) {
    OK(glow_trainer_step(trainer, data.x, NULL, SAMPLES, NULL));
    OK(glow_checkpoint_save_series(trainer, series, 0, NULL, 0));
  }
  samples_free(&data);
  glow_trainer_destroy(&trainer);
  glow_model_destroy(&model);
}

static int set_up(void **state) {
  glow_context_options o = GLOW_CONTEXT_OPTIONS_INIT;
  glow_allocator allocator = helper_allocator(&memory);
  (void)state;
  o.allocator = &allocator;
  o.log = keep_log;
  OK(glow_context_create(&o, &context));
  if (!temp_folder_make(NULL))
    return -1;
  make_files();
  return 0;
}

static int tear_down(void **state) {
  glow_context_destroy(&context);
  each_call_report(state);
  return temp_folder_remove() && memory.live == 0 ? 0 : -1;
}

int main(int argc, char **argv) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(test_files),          cmocka_unit_test(test_checkpoints),
      cmocka_unit_test(test_import),         cmocka_unit_test(test_newest),
      cmocka_unit_test(test_newest_damaged),
  };
  import_folder = argc > 1 ? argv[1] : "tests/import";
  return cmocka_run_group_tests(tests, set_up, tear_down);
}
