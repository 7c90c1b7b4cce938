/* Metadata of models: set, asked for, and saved with models and checkpoints; what a file has too
 * much of is refused. SPDX-License-Identifier: MIT */
#include "../support/model_helpers.h"
#include "../support/temp_folder.h"

static glow_context *context;

static glow_model *new_model(int32_t classes) {
  glow_glow_options o = helper_small_glow();
  o.classes = classes;
  return helper_glow(context, &o, 1);
}

static void same_text(const char *text, const char *wanted) {
  if (!text || !wanted)
    assert_ptr_equal(text, wanted);
  else
    assert_string_equal(text, wanted);
}

/* ---- setting and asking ---------------------------------------------------------------------- */

static void test_set(void **state) {
  glow_model *model = new_model(0);
  const char *key = NULL, *value = NULL;
  (void)state;
  assert_int_equal(glow_model_metadata_count(model), 0);
  assert_null(glow_model_metadata(model, "author"));
  OK(glow_model_set_metadata(model, "note", "one\ntwo"));
  OK(glow_model_set_metadata(model, "author", "someone"));
  OK(glow_model_set_metadata(model, "zeta", ""));
  same_text(glow_model_metadata(model, "author"), "someone");
  OK(glow_model_set_metadata(model, "author", "someone else"));
  same_text(glow_model_metadata(model, "author"), "someone else");
  assert_int_equal(glow_model_metadata_count(model), 3);
  OK(glow_model_metadata_at(model, 1, &key, &value));
  same_text(key, "note");
  same_text(value, "one\ntwo");
  OK(glow_model_metadata_at(model, 2, NULL, &value));
  same_text(value, "");
  REFUSED(glow_model_metadata_at(model, 3, &key, &value), GLOW_E_ARGUMENT, "entry 3");
  REFUSED(glow_model_metadata_at(model, -1, &key, &value), GLOW_E_ARGUMENT, "entry -1");
  /* texts of the model itself */
  OK(glow_model_metadata_at(model, 0, &key, &value));
  OK(glow_model_set_metadata(model, key, value + 8));
  same_text(glow_model_metadata(model, "author"), "else");
  OK(glow_model_metadata_at(model, 0, &key, NULL));
  OK(glow_model_set_metadata(model, key, NULL));
  assert_null(glow_model_metadata(model, "author"));
  OK(glow_model_set_metadata(model, "author", NULL)); /* not there */
  assert_int_equal(glow_model_metadata_count(model), 2);
  glow_model_destroy(&model);
}

static void test_refused(void **state) {
  glow_model *model = new_model(0);
  char *long_text = helper_allocate(GLOW_METADATA_BYTES + 1);
  (void)state;
  memset(long_text, 'k', GLOW_METADATA_BYTES);
  long_text[GLOW_METADATA_BYTES] = '\0';
  REFUSED(glow_model_set_metadata(NULL, "a", "b"), GLOW_E_ARGUMENT, "NULL");
  REFUSED(glow_model_set_metadata(model, NULL, "b"), GLOW_E_ARGUMENT, "NULL");
  REFUSED(glow_model_set_metadata(model, "", "b"), GLOW_E_ARGUMENT, "key of 0 bytes");
  REFUSED(glow_model_set_metadata(model, "\xff", "b"), GLOW_E_ARGUMENT, "UTF-8");
  REFUSED(glow_model_set_metadata(model, "a", "\xc0\x80"), GLOW_E_ARGUMENT, "not UTF-8");
  REFUSED(glow_model_set_metadata(model, long_text + GLOW_METADATA_BYTES - 201, "b"),
          GLOW_E_ARGUMENT, "key of 201 bytes");
  OK(glow_model_set_metadata(model, long_text + GLOW_METADATA_BYTES - 200, ""));
  OK(glow_model_set_metadata(model, "v", long_text + 201));
  REFUSED(glow_model_set_metadata(model, "v", long_text + 200), GLOW_E_LIMIT, "1048577 bytes");
  assert_int_equal(strlen(glow_model_metadata(model, "v")), GLOW_METADATA_BYTES - 201);
  OK(glow_model_set_metadata(model, "v", NULL));
  for (int i = 1; i < GLOW_METADATA_ENTRIES; i++) {
    char key[16];
    snprintf(key, sizeof key, "%d", i);
    OK(glow_model_set_metadata(model, key, key));
  }
  REFUSED(glow_model_set_metadata(model, "more", ""), GLOW_E_LIMIT, "1025 entries");
  OK(glow_model_set_metadata(model, "1", "changed"));
  free(long_text);
  glow_model_destroy(&model);
}

static void test_class_names(void **state) {
  static const char *const names[] = {"cat", "dog", "h\xc3\xa9risson"};
  static const char *const lines[] = {"cat", "two\nlines", "x"}, *const none[] = {"a", NULL, "b"};
  glow_model *model = new_model(3), *without = new_model(0);
  char name[16], small[4];
  (void)state;
  REFUSED(glow_model_class_name(model, 0, name, sizeof name), GLOW_E_NOT_FOUND, "no name");
  OK(glow_model_set_class_names(model, names, 3));
  same_text(glow_model_metadata(model, GLOW_METADATA_CLASS_NAMES), "cat\ndog\nh\xc3\xa9risson");
  for (int32_t i = 0; i < 3; i++) {
    OK(glow_model_class_name(model, i, name, sizeof name));
    same_text(name, names[i]);
  }
  OK(glow_model_class_name(model, 1, small, sizeof small));
  REFUSED(glow_model_class_name(model, 2, small, sizeof small), GLOW_E_LIMIT, "takes 10 bytes");
  same_text(small, "");
  REFUSED(glow_model_class_name(model, 3, name, sizeof name), GLOW_E_ARGUMENT, "3 classes");
  REFUSED(glow_model_class_name(model, -1, name, sizeof name), GLOW_E_ARGUMENT, "label -1");
  REFUSED(glow_model_class_name(model, 0, name, 0), GLOW_E_ARGUMENT, "size 0");
  REFUSED(glow_model_set_class_names(model, names, 2), GLOW_E_ARGUMENT, "3 classes");
  REFUSED(glow_model_set_class_names(model, lines, 3), GLOW_E_ARGUMENT, "more than one line");
  REFUSED(glow_model_set_class_names(model, none, 3), GLOW_E_ARGUMENT, "NULL");
  REFUSED(glow_model_set_class_names(without, names, 0), GLOW_E_ARGUMENT, "0 classes");
  /* a file may have any text there */
  OK(glow_model_set_metadata(model, GLOW_METADATA_CLASS_NAMES, "cat\n\n"));
  REFUSED(glow_model_class_name(model, 1, name, sizeof name), GLOW_E_NOT_FOUND, "no name");
  REFUSED(glow_model_class_name(model, 2, name, sizeof name), GLOW_E_NOT_FOUND, "no name");
  glow_model_destroy(&model);
  glow_model_destroy(&without);
}

/* ---- files ----------------------------------------------------------------------------------- */

static void test_files(void **state) {
  glow_model *model = new_model(0), *back = NULL, *average = NULL;
  glow_trainer_options o = GLOW_TRAINER_OPTIONS_INIT;
  static const float x[8 * 8 * 2];
  glow_trainer *trainer = NULL, *again = NULL;
  const char *const notes[] = {"author", "a note of the caller's"};
  (void)state;
  if (!helper_has_files())
    return;
  OK(glow_model_set_metadata(model, GLOW_METADATA_LICENSE, "CC-BY-4.0"));
  OK(glow_model_set_metadata(model, "author", "\"Ann\"\n\x01\xc3\xa9"));
  OK(glow_model_save(model, temp_path("model")));
  OK(glow_model_load(context, temp_path("model"), &back));
  assert_int_equal(glow_model_metadata_count(back), 2);
  same_text(glow_model_metadata(back, "author"), "\"Ann\"\n\x01\xc3\xa9");
  same_text(glow_model_metadata(back, GLOW_METADATA_LICENSE), "CC-BY-4.0");
  glow_model_destroy(&back);
  o.average = 1;
  OK(glow_trainer_create(model, &o, &trainer));
  OK(glow_trainer_step(trainer, x, NULL, 1, NULL));
  OK(glow_checkpoint_save(trainer, temp_path("checkpoint"), notes, 1));
  OK(glow_checkpoint_load(context, temp_path("checkpoint"), &back, &again));
  same_text(glow_model_metadata(back, "author"), "\"Ann\"\n\x01\xc3\xa9");
  same_text(glow_trainer_note(again, "author"), "a note of the caller's");
  OK(glow_checkpoint_load_average(context, temp_path("checkpoint"), &average));
  same_text(glow_model_metadata(average, GLOW_METADATA_LICENSE), "CC-BY-4.0");
  glow_model_destroy(&average);
  glow_trainer_destroy(&again);
  glow_trainer_destroy(&trainer);
  glow_model_destroy(&back);
  glow_model_destroy(&model);
}

/* A model file with more entries of metadata: keys are "model." and what `key` prints of a number;
 * or with one such entry whose value has `bytes` bytes. */
static void write_with(const char *key, int entries, size_t bytes) {
  glow_tensor_file *file = NULL;
  glow_file_tensor tensors[200];
  const char **pairs = helper_allocate(2 * (size_t)(entries + 3) * sizeof *pairs);
  char *texts = helper_allocate((size_t)entries * 300 + bytes + 1), *at = texts;
  int64_t count = 0;
  OK(glow_tensor_file_open(context, temp_path("plain"), &file));
  for (; count < glow_tensor_file_tensor_count(file); count++) {
    assert_true(count < 200);
    tensors[count] = (glow_file_tensor)GLOW_FILE_TENSOR_INIT;
    OK(glow_tensor_file_get(file, count, &tensors[count]));
  }
  for (int64_t i = 0; i < 3; i++)
    OK(glow_tensor_file_metadata_at(file, i, &pairs[2 * i], &pairs[2 * i + 1]));
  for (int i = 0; i < entries; i++) {
    pairs[2 * (i + 3)] = at;
    at += snprintf(at, 300, key, i) + 1;
    pairs[2 * (i + 3) + 1] = "";
  }
  if (bytes) {
    memset(at, 'v', bytes);
    at[bytes] = '\0';
    pairs[7] = at;
  }
  OK(glow_tensor_file_write(context, temp_path("changed"), tensors, count, pairs, entries + 3));
  glow_tensor_file_close(&file);
  free(texts);
  free(pairs);
}

static void refuse(glow_status status, const char *words) {
  glow_model *model = NULL;
  glow_input in = GLOW_INPUT_INIT;
  uint64_t bytes;
  in.path = temp_path("changed");
  REFUSED(glow_model_load(context, in.path, &model), status, words);
  assert_null(model);
  REFUSED(glow_model_load_bytes(context, &in, &bytes, NULL), status, words);
}

static void test_hostile_files(void **state) {
  glow_model *model = new_model(0), *back = NULL;
  glow_input in = GLOW_INPUT_INIT;
  glow_limits limits = GLOW_LIMITS_INIT;
  char long_key[260];
  (void)state;
  if (!helper_has_files())
    return;
  OK(glow_model_save(model, temp_path("plain")));
  glow_model_destroy(&model);
  write_with("model.%d", GLOW_METADATA_ENTRIES, 0);
  OK(glow_model_load(context, temp_path("changed"), &back));
  assert_int_equal(glow_model_metadata_count(back), GLOW_METADATA_ENTRIES);
  glow_model_destroy(&back);
  write_with("model.%d", GLOW_METADATA_ENTRIES + 1, 0);
  refuse(GLOW_E_LIMIT, "more than 1024 entries");
  write_with("model.%.0d", 1, 0);
  refuse(GLOW_E_FORMAT, "has 0 bytes");
  memset(long_key, 'k', sizeof long_key);
  memcpy(long_key, "model.", 6);
  strcpy(long_key + 206, "%.0d");
  write_with(long_key, 1, 0);
  OK(glow_model_load(context, temp_path("changed"), &back));
  glow_model_destroy(&back);
  strcpy(long_key + 206, "%d");
  write_with(long_key, 1, 0);
  refuse(GLOW_E_FORMAT, "has 201 bytes");
  write_with("model.%d", 1, GLOW_METADATA_BYTES - 1);
  OK(glow_model_load(context, temp_path("changed"), &back));
  glow_model_destroy(&back);
  write_with("model.%d", 1, GLOW_METADATA_BYTES);
  refuse(GLOW_E_LIMIT, "1048577 bytes; at most 1048576 are read (metadata_bytes)");
  write_with("model.%d", 1, 100);
  in.path = temp_path("changed");
  in.limits = &limits;
  limits.metadata_bytes = 100;
  REFUSED(glow_model_load_input(context, &in, &back), GLOW_E_LIMIT, "101 bytes; at most 100");
  limits.metadata_bytes = 101;
  OK(glow_model_load_input(context, &in, &back));
  glow_model_destroy(&back);
  limits.metadata_bytes = GLOW_METADATA_BYTES + 1;
  REFUSED(glow_model_load_input(context, &in, &back), GLOW_E_ARGUMENT, "metadata_bytes");
}

static int set_up(void **state) {
  (void)state;
  context = helper_context(1, NULL, NULL);
  return temp_folder_make(NULL) ? 0 : -1;
}

static int tear_down(void **state) {
  (void)state;
  glow_context_destroy(&context);
  return temp_folder_remove() ? 0 : -1;
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(test_set),           cmocka_unit_test(test_refused),
      cmocka_unit_test(test_class_names),   cmocka_unit_test(test_files),
      cmocka_unit_test(test_hostile_files),
  };
  return cmocka_run_group_tests(tests, set_up, tear_down);
}
