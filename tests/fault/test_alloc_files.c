/* The n-th allocation fails, for n = 1, 2, 3, ..., and either that one alone or all after it too:
 * tensor files, models, checkpoints and models of other projects from and to all places. Each time
 * the status is GLOW_E_MEMORY, and nothing leaks: no block, no mapping, no temporary file.
 * SPDX-License-Identifier: MIT */
#include "../support/model_helpers.h"
#include "../support/temp_folder.h"

#include <dirent.h>
#include <sys/stat.h>
#include <unistd.h>

enum { MOST = 20000 };

static unsigned char buffer[1 << 16];

static int count_files(void) {
  DIR *directory = opendir(temp_folder);
  int count = 0;
  assert_non_null(directory);
  while (readdir(directory))
    count++;
  closedir(directory);
  return count;
}

static int64_t count_mappings(void) {
  FILE *maps = fopen("/proc/self/maps", "r");
  char line[512];
  int64_t count = 0;
  while (maps && fgets(line, sizeof line, maps))
    count += strstr(line, temp_folder) != NULL;
  if (maps)
    fclose(maps);
  return count;
}

typedef glow_status (*scenario)(glow_context *context, uint32_t choice);

/* True: the run saw no failure. */
static bool fail_at(int64_t n, bool fail_on, scenario run, uint32_t choice) {
  helper_memory memory = {.fail_on = fail_on};
  glow_context *context = helper_context(1, NULL, &memory);
  int64_t live = memory.live;
  int files = count_files();
  memory.fail_at = memory.calls + n;
  glow_status status = run(context, choice);
  if (status != (memory.failures ? GLOW_E_MEMORY : GLOW_OK))
    fail_msg("allocation %lld fails: %s (%s)", (long long)n, glow_status_name(status),
             glow_last_error());
  assert_int_equal(memory.live, live);
  assert_int_equal(count_mappings(), 0);
  if (memory.failures)
    assert_int_equal(count_files(), files);
  glow_context_destroy(&context);
  return memory.failures == 0;
}

static void fail_each(scenario run, uint32_t choice) {
  for (int fail_on = 0; fail_on < 2; fail_on++) {
    int64_t n = 1;
    while (n < MOST && !fail_at(n, fail_on, run, choice))
      n++;
    assert_in_range(n, 2, MOST - 1);
  }
}

/* ---- tensor files ---------------------------------------------------------------------------- */

static const float numbers[4] = {1, 2, 3, 4};
static const char *const metadata[] = {"key", "value", "other", "text"};

static void two_tensors(glow_file_tensor *tensors) {
  for (int i = 0; i < 2; i++) {
    tensors[i] = (glow_file_tensor)GLOW_FILE_TENSOR_INIT;
    tensors[i].name = i ? "second" : "first";
    tensors[i].type = GLOW_TYPE_F32;
    tensors[i].rank = 1;
    tensors[i].dims[0] = 2;
    tensors[i].bytes = 8;
    tensors[i].data = numbers + 2 * i;
  }
}

static glow_status write_tensors(glow_context *context, uint32_t choice) {
  glow_file_tensor tensors[2];
  glow_output o = GLOW_OUTPUT_INIT;
  two_tensors(tensors);
  o.path = choice ? temp_path("tensors") : NULL;
  o.buffer = choice ? NULL : buffer;
  o.capacity = sizeof buffer;
  return glow_tensor_file_write_output(context, &o, tensors, 2, metadata, 2);
}

static glow_status write_pieces(glow_context *context, uint32_t choice) {
  glow_file_tensor tensors[2];
  glow_tensor_writer *writer = NULL;
  (void)choice;
  two_tensors(tensors);
  glow_status status =
      glow_tensor_writer_create(context, temp_path("pieces"), tensors, 2, metadata, 2, &writer);
  assert_int_equal(writer != NULL, status == GLOW_OK);
  for (int i = 0; status == GLOW_OK && i < 2; i++)
    status = glow_tensor_writer_append(writer, i, numbers + 2 * i, 8);
  if (status == GLOW_OK)
    status = glow_tensor_writer_finish(&writer);
  assert_null(writer);
  return status;
}

static glow_status give(void *payload, int64_t offset, void *to, size_t count) {
  memcpy(to, (const char *)payload + offset, count);
  return GLOW_OK;
}

enum { FROM_PATH = 0, FROM_MAPPING = 1, FROM_LAZY = 2, FROM_MEMORY = 3, FROM_CALLBACK = 4 };

static glow_input input_of(uint32_t choice, const char *name, size_t size) {
  glow_input in = GLOW_INPUT_INIT;
  in.path = choice < FROM_MEMORY ? temp_path(name) : NULL;
  in.flags = choice < FROM_MEMORY ? choice : 0;
  in.data = choice == FROM_MEMORY ? buffer : NULL;
  in.read = choice == FROM_CALLBACK ? give : NULL;
  in.payload = buffer;
  in.size = in.path ? 0 : (int64_t)size;
  return in;
}

static size_t size;

static glow_status open_tensors(glow_context *context, uint32_t choice) {
  glow_tensor_file *file = NULL;
  glow_input in = input_of(choice, "tensors", size);
  float read[2];
  glow_status status = glow_tensor_file_open_input(context, &in, &file);
  assert_int_equal(file != NULL, status == GLOW_OK);
  if (status == GLOW_OK)
    status = glow_tensor_file_read(file, 1, 0, read, sizeof read);
  glow_tensor_file_close(&file);
  return status;
}

static void test_tensors(void **state) {
  glow_context *context = helper_context(1, NULL, NULL);
  glow_file_tensor tensors[2];
  glow_output o = GLOW_OUTPUT_INIT;
  (void)state;
  fail_each(write_tensors, 0);
  fail_each(write_tensors, 1);
  fail_each(write_pieces, 0);
  two_tensors(tensors);
  o.buffer = buffer;
  o.capacity = sizeof buffer;
  o.written = &size;
  OK(glow_tensor_file_write_output(context, &o, tensors, 2, metadata, 2));
  for (uint32_t choice = FROM_PATH; choice <= FROM_CALLBACK; choice++)
    fail_each(open_tensors, choice);
  glow_context_destroy(&context);
}

/* ---- models ---------------------------------------------------------------------------------- */

static glow_glow_options tiny(void) {
  glow_glow_options o = GLOW_GLOW_OPTIONS_INIT;
  o.input = (glow_shape){4, 4, 2};
  o.levels = 2;
  o.depth = 1;
  o.hidden = 3;
  return o;
}

static glow_status load_model(glow_context *context, uint32_t choice) {
  glow_model *model = NULL;
  glow_input in = input_of(choice, "model", size);
  glow_status status = glow_model_load_input(context, &in, &model);
  assert_int_equal(model != NULL, status == GLOW_OK);
  if (model)
    assert_int_equal(glow_model_mapped(model), choice == FROM_MAPPING);
  glow_model_destroy(&model);
  return status;
}

static void save_to_buffer(const glow_model *model, int32_t storage) {
  glow_output o = GLOW_OUTPUT_INIT;
  o.buffer = buffer;
  o.capacity = sizeof buffer;
  o.written = &size;
  o.storage = storage;
  OK(glow_model_save_output(model, &o));
}

static void test_load(void **state) {
  glow_context *context = helper_context(1, NULL, NULL);
  glow_glow_options o = tiny();
  glow_model *model = helper_glow(context, &o, 3);
  (void)state;
  OK(glow_model_save(model, temp_path("model")));
  save_to_buffer(model, 0);
  fail_each(load_model, FROM_PATH);
  fail_each(load_model, FROM_MAPPING);
  fail_each(load_model, FROM_MEMORY);
  save_to_buffer(model, GLOW_TYPE_BF16);
  fail_each(load_model, FROM_CALLBACK);
  glow_model_destroy(&model);
  for (o.permutation = GLOW_PERMUTATION_REVERSE; o.permutation <= GLOW_PERMUTATION_INVCONV_LU;
       o.permutation++) {
    model = helper_glow(context, &o, 3);
    OK(glow_model_save(model, temp_path("model")));
    fail_each(load_model, FROM_PATH);
    glow_model_destroy(&model);
  }
  glow_context_destroy(&context);
}

/* True: it saw no failure. The model's context is the one that fails, so it is made anew. */
static bool fail_saving_model(int64_t n, bool fail_on, bool to_path) {
  helper_memory memory = {.fail_on = fail_on};
  glow_context *context = helper_context(1, NULL, &memory);
  glow_glow_options o = tiny();
  glow_model *model = helper_glow(context, &o, 3);
  glow_output out = GLOW_OUTPUT_INIT;
  int64_t live = memory.live;
  int files = count_files();
  out.path = to_path ? temp_path("saved") : NULL;
  out.buffer = to_path ? NULL : buffer;
  out.capacity = to_path ? 0 : sizeof buffer;
  out.storage = GLOW_TYPE_BF16;
  memory.fail_at = memory.calls + n;
  glow_status status = glow_model_save_output(model, &out);
  bool failed = memory.failures > 0;
  assert_int_equal(status, failed ? GLOW_E_MEMORY : GLOW_OK);
  assert_int_equal(memory.live, live);
  assert_int_equal(count_files(), failed || !to_path ? files : files + 1);
  unlink(temp_path("saved"));
  glow_model_destroy(&model);
  glow_context_destroy(&context);
  return !failed;
}

static void test_save(void **state) {
  (void)state;
  for (int how = 0; how < 4; how++) {
    int64_t n = 1;
    while (n < MOST && !fail_saving_model(n, how & 1, how & 2))
      n++;
    assert_in_range(n, 2, MOST - 1);
  }
}

/* ---- checkpoints ----------------------------------------------------------------------------- */

enum { STEPS = 2 };

enum { SAMPLES = 2 };
static float *x; /* of SAMPLES samples */

/* A trainer after `steps` steps; its model is to be destroyed after it. */
static glow_trainer *train(glow_context *context, int steps, glow_model **model) {
  glow_glow_options g = tiny();
  glow_trainer_options o = GLOW_TRAINER_OPTIONS_INIT;
  glow_optimizer_options optimizer = GLOW_OPTIMIZER_OPTIONS_INIT;
  glow_trainer *trainer = NULL;
  *model = helper_glow(context, &g, 3);
  o.micro_batch = SAMPLES;
  o.average = 1;
  o.optimizer = &optimizer;
  OK(glow_trainer_create(*model, &o, &trainer));
  for (int i = 0; i < steps; i++)
    OK(glow_trainer_step(trainer, x, NULL, SAMPLES, NULL));
  return trainer;
}

static const char *const notes[] = {"place", "3"};

static glow_status load_checkpoint(glow_context *context, uint32_t choice) {
  glow_model *model = NULL;
  glow_trainer *trainer = NULL;
  glow_input in = input_of(choice, "series/checkpoint-000000002.safetensors", size);
  glow_status status = glow_checkpoint_load_input(context, &in, &model, &trainer);
  assert_int_equal(model != NULL, status == GLOW_OK);
  assert_int_equal(trainer != NULL, status == GLOW_OK);
  if (status == GLOW_OK)
    assert_string_equal(glow_trainer_note(trainer, "place"), "3");
  glow_trainer_destroy(&trainer);
  glow_model_destroy(&model);
  return status;
}

static glow_status load_average(glow_context *context, uint32_t choice) {
  glow_model *model = NULL;
  glow_input in = input_of(choice, "series/checkpoint-000000002.safetensors", size);
  glow_status status = glow_checkpoint_load_average_input(context, &in, &model);
  assert_int_equal(model != NULL, status == GLOW_OK);
  glow_model_destroy(&model);
  return status;
}

/* Lack of memory is not a fault of a checkpoint: the older one is never the answer. */
static glow_status find_newest(glow_context *context, uint32_t choice) {
  char path[256], series[128];
  (void)choice;
  snprintf(series, sizeof series, "%s", temp_path("series"));
  glow_status status = glow_checkpoint_newest(context, series, path, sizeof path);
  assert_string_equal(path, status == GLOW_OK ? temp_path("series/checkpoint-000000002.safetensors")
                                              : "");
  return status;
}

static void test_load_checkpoint(void **state) {
  glow_context *context = helper_context(1, NULL, NULL);
  char series[128];
  (void)state;
  snprintf(series, sizeof series, "%s", temp_path("series"));
  assert_int_equal(mkdir(series, 0700), 0);
  for (int steps = 1; steps <= STEPS; steps++) {
    glow_model *model = NULL;
    glow_output o = GLOW_OUTPUT_INIT;
    glow_trainer *trainer = train(context, steps, &model);
    OK(glow_checkpoint_save_series(trainer, series, 5, notes, 1));
    o.buffer = buffer;
    o.capacity = sizeof buffer;
    o.written = &size;
    OK(glow_checkpoint_save_output(trainer, &o, notes, 1));
    glow_trainer_destroy(&trainer);
    glow_model_destroy(&model);
  }
  fail_each(load_checkpoint, FROM_PATH);
  fail_each(load_checkpoint, FROM_MAPPING);
  fail_each(load_checkpoint, FROM_MEMORY);
  fail_each(load_average, FROM_PATH);
  fail_each(find_newest, 0);
  glow_context_destroy(&context);
}

/* True: it saw no failure. The trainer goes on after it. */
static bool fail_saving(int64_t n, bool fail_on, bool series) {
  helper_memory memory = {.fail_on = fail_on};
  glow_context *context = helper_context(1, NULL, &memory);
  glow_model *model = NULL;
  glow_trainer *trainer = train(context, 1, &model);
  char saved[128];
  snprintf(saved, sizeof saved, "%s", temp_path(series ? "saved-series" : "saved"));
  int64_t live = memory.live;
  memory.fail_at = memory.calls + n;
  glow_status status = series ? glow_checkpoint_save_series(trainer, saved, 1, notes, 1)
                              : glow_checkpoint_save(trainer, saved, notes, 1);
  bool failed = memory.failures > 0;
  memory.fail_at = 0;
  assert_int_equal(status, failed ? GLOW_E_MEMORY : GLOW_OK);
  assert_int_equal(memory.live, live);
  if (!series)
    assert_int_equal(access(saved, F_OK) != 0, failed);
  unlink(saved);
  OK(glow_trainer_step(trainer, x, NULL, SAMPLES, NULL));
  glow_trainer_destroy(&trainer);
  glow_model_destroy(&model);
  glow_context_destroy(&context);
  assert_int_equal(memory.live, 0);
  return !failed;
}

static void test_save_checkpoint(void **state) {
  (void)state;
  assert_int_equal(mkdir(temp_path("saved-series"), 0700), 0);
  for (int how = 0; how < 4; how++) {
    int64_t n = 1;
    while (n < MOST && !fail_saving(n, how & 1, how & 2))
      n++;
    assert_in_range(n, 2, MOST - 1);
  }
}

/* ---- models of other projects ---------------------------------------------------------------- */

static const char *import_folder;
static const struct {
  const char *name;
  int64_t height, width;
} imports[] = {{"openai_additive_lu_classes", 8, 8},
               {"y0ast_affine_shuffle_classes", 8, 8},
               {"rosinality_affine_lu", 8, 8}};

static glow_status import_model(glow_context *context, uint32_t choice) {
  glow_import_options o = GLOW_IMPORT_OPTIONS_INIT;
  glow_input in = GLOW_INPUT_INIT;
  glow_model *model = NULL;
  char path[512];
  snprintf(path, sizeof path, "%s/%s.safetensors", import_folder, imports[choice].name);
  in.path = path;
  o.height = imports[choice].height;
  o.width = imports[choice].width;
  glow_status status = glow_model_import(context, &in, &o, &model);
  assert_int_equal(model != NULL, status == GLOW_OK);
  glow_model_destroy(&model);
  return status;
}

static void test_import(void **state) {
  (void)state;
  for (uint32_t i = 0; i < sizeof imports / sizeof *imports; i++)
    fail_each(import_model, i);
}

static int set_up(void **state) {
  helper_random random = helper_random_of(7);
  (void)state;
  x = helper_new_normals(&random, 0.1f, SAMPLES * 4 * 4 * 2);
  return temp_folder_make(NULL) ? 0 : -1;
}

static int tear_down(void **state) {
  (void)state;
  free(x);
  return temp_folder_remove() ? 0 : -1;
}

int main(int argc, char **argv) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(test_tensors),
      cmocka_unit_test(test_load),
      cmocka_unit_test(test_save),
      cmocka_unit_test(test_load_checkpoint),
      cmocka_unit_test(test_save_checkpoint),
      cmocka_unit_test(test_import),
  };
  import_folder = argc > 1 ? argv[1] : "tests/import";
  return cmocka_run_group_tests(tests, set_up, tear_down);
}
