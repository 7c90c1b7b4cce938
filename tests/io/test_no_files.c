/* A build without files: its functions are there, make nothing, and say why. What trains and runs
 * models does so in the other suites. SPDX-License-Identifier: MIT */
#include "../support/model_helpers.h"
#include <glow/import.h>

#define NO_FILES(call)                                                                             \
  REFUSED(call, GLOW_E_UNSUPPORTED, "cannot read or write files (-Dfiles=disabled)")

static void test_models(void **state) {
  glow_context *context = helper_context(1, NULL, NULL);
  glow_glow_options o = helper_small_glow();
  glow_model *model = helper_glow(context, &o, 1), *loaded = model;
  glow_input in = GLOW_INPUT_INIT;
  glow_output out = GLOW_OUTPUT_INIT;
  glow_import_options options = GLOW_IMPORT_OPTIONS_INIT;
  (void)state;
  NO_FILES(glow_model_save(model, "model"));
  NO_FILES(glow_model_save_output(model, &out));
  NO_FILES(glow_model_export(model, GLOW_FORMAT_Y0AST, &out));
  NO_FILES(glow_model_load(context, "model", &loaded));
  assert_null(loaded);
  loaded = model;
  NO_FILES(glow_model_load_input(context, &in, &loaded));
  assert_null(loaded);
  loaded = model;
  NO_FILES(glow_model_import(context, &in, &options, &loaded));
  assert_null(loaded);
  NO_FILES(glow_model_load(context, "model", NULL));
  NO_FILES(glow_model_load_bytes(context, &in, NULL, NULL));
  NO_FILES(glow_model_fill(model, &in, NULL, NULL));
  assert_false(glow_model_mapped(model));
  glow_model_destroy(&model);
  glow_context_destroy(&context);
}

static void test_tensors(void **state) {
  glow_context *context = helper_context(1, NULL, NULL);
  glow_tensor_file *file = (void *)context;
  glow_tensor_writer *writer = (void *)context;
  glow_file_tensor tensor = GLOW_FILE_TENSOR_INIT;
  glow_input in = GLOW_INPUT_INIT;
  glow_output out = GLOW_OUTPUT_INIT;
  const char *key, *value;
  (void)state;
  NO_FILES(glow_tensor_file_open(context, "file", &file));
  assert_null(file);
  file = (void *)context;
  NO_FILES(glow_tensor_file_open_input(context, &in, &file));
  assert_null(file);
  NO_FILES(glow_tensor_writer_create(context, "file", &tensor, 1, NULL, 0, &writer));
  assert_null(writer);
  NO_FILES(glow_tensor_file_write(context, "file", &tensor, 1, NULL, 0));
  NO_FILES(glow_tensor_file_write_output(context, &out, &tensor, 1, NULL, 0));
  NO_FILES(glow_tensor_file_get(NULL, 0, &tensor));
  NO_FILES(glow_tensor_file_find(NULL, "x", &tensor));
  NO_FILES(glow_tensor_file_read(NULL, 0, 0, &tensor, 1));
  NO_FILES(glow_tensor_file_metadata_at(NULL, 0, &key, &value));
  NO_FILES(glow_tensor_writer_append(NULL, 0, &tensor, 1));
  NO_FILES(glow_tensor_writer_finish(&writer));
  assert_int_equal(glow_tensor_file_tensor_count(NULL), 0);
  assert_int_equal(glow_tensor_file_metadata_count(NULL), 0);
  assert_int_equal(glow_tensor_file_index(NULL, "x"), -1);
  assert_null(glow_tensor_file_metadata(NULL, "x"));
  glow_tensor_file_close(&file);
  glow_tensor_writer_abandon(&writer);
  glow_context_destroy(&context);
}

static void test_checkpoints(void **state) {
  glow_context *context = helper_context(1, NULL, NULL);
  glow_model *model = (void *)context;
  glow_trainer *trainer = (void *)context;
  glow_input in = GLOW_INPUT_INIT;
  glow_output out = GLOW_OUTPUT_INIT;
  char path[] = "path";
  (void)state;
  NO_FILES(glow_checkpoint_load(context, "file", &model, &trainer));
  assert_null(model);
  assert_null(trainer);
  model = (void *)context;
  trainer = (void *)context;
  NO_FILES(glow_checkpoint_load_input(context, &in, &model, &trainer));
  assert_null(model);
  assert_null(trainer);
  model = (void *)context;
  NO_FILES(glow_checkpoint_load_average(context, "file", &model));
  assert_null(model);
  model = (void *)context;
  NO_FILES(glow_checkpoint_load_average_input(context, &in, &model));
  assert_null(model);
  glow_optimizer *optimizer = (void *)context;
  model = (void *)context;
  NO_FILES(glow_checkpoint_load_optimizer(context, &in, &model, &optimizer));
  assert_null(model);
  assert_null(optimizer);
  NO_FILES(glow_checkpoint_save_optimizer(NULL, &out, NULL, 0));
  assert_null(glow_optimizer_note(NULL, "key"));
  NO_FILES(glow_checkpoint_save(NULL, "file", NULL, 0));
  NO_FILES(glow_checkpoint_save_output(NULL, &out, NULL, 0));
  NO_FILES(glow_checkpoint_save_series(NULL, "folder", 1, NULL, 0));
  NO_FILES(glow_checkpoint_newest(context, "folder", NULL, path, sizeof path));
  assert_string_equal(path, "");
  assert_null(glow_trainer_note(NULL, "key"));
  glow_context_destroy(&context);
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(test_models),
      cmocka_unit_test(test_tensors),
      cmocka_unit_test(test_checkpoints),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
