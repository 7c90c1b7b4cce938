/* The n-th allocation fails, for n = 1, 2, 3, ...: tensor files and models from and to all places.
 * Each time the status is GLOW_E_MEMORY, and nothing leaks: no block, no mapping, no temporary
 * file. SPDX-License-Identifier: MIT */
#include "../support/model_helpers.h"

#include <dirent.h>
#include <unistd.h>

enum { MOST = 20000 };

static char folder[] = "/tmp/glow-fault-files-XXXXXX";
static unsigned char buffer[1 << 16];

static const char *path_of(const char *name) {
  static char path[128];
  snprintf(path, sizeof path, "%s/%s", folder, name);
  return path;
}

static int count_files(void) {
  DIR *directory = opendir(folder);
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
    count += strstr(line, folder) != NULL;
  if (maps)
    fclose(maps);
  return count;
}

typedef glow_status (*scenario)(glow_context *context, uint32_t choice);

static void fail_each(scenario run, uint32_t choice) {
  for (int64_t n = 1; n < MOST; n++) {
    helper_memory memory = {0};
    glow_context *context = helper_context(1, NULL, &memory);
    int64_t live = memory.live;
    int files = count_files();
    memory.fail_at = memory.calls + n;
    glow_status status = run(context, choice);
    assert_int_equal(memory.live, live);
    assert_int_equal(count_mappings(), 0);
    assert_int_equal(status, memory.failures ? GLOW_E_MEMORY : GLOW_OK);
    if (memory.failures)
      assert_int_equal(count_files(), files);
    glow_context_destroy(&context);
    if (!memory.failures) {
      assert_true(n > 1);
      return;
    }
  }
  fail_msg("no end of allocations");
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
  o.path = choice ? path_of("tensors") : NULL;
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
      glow_tensor_writer_create(context, path_of("pieces"), tensors, 2, metadata, 2, &writer);
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
  in.path = choice < FROM_MEMORY ? path_of(name) : NULL;
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
  OK(glow_model_save(model, path_of("model")));
  save_to_buffer(model, 0);
  fail_each(load_model, FROM_PATH);
  fail_each(load_model, FROM_MAPPING);
  fail_each(load_model, FROM_MEMORY);
  save_to_buffer(model, GLOW_TYPE_BF16);
  fail_each(load_model, FROM_CALLBACK);
  glow_model_destroy(&model);
  glow_context_destroy(&context);
}

static void test_save(void **state) {
  (void)state;
  for (int64_t n = 1, failed = 1; failed; n++) {
    helper_memory memory = {0};
    glow_context *context = helper_context(1, NULL, &memory);
    glow_glow_options o = tiny();
    glow_model *model = helper_glow(context, &o, 3);
    glow_output out = GLOW_OUTPUT_INIT;
    int64_t live = memory.live;
    out.buffer = buffer;
    out.capacity = sizeof buffer;
    out.storage = GLOW_TYPE_BF16;
    memory.fail_at = memory.calls + n;
    glow_status status = glow_model_save_output(model, &out);
    failed = memory.failures;
    assert_int_equal(status, failed ? GLOW_E_MEMORY : GLOW_OK);
    assert_int_equal(memory.live, live);
    glow_model_destroy(&model);
    glow_context_destroy(&context);
  }
}

static int set_up(void **state) {
  (void)state;
  return mkdtemp(folder) ? 0 : -1;
}

static int tear_down(void **state) {
  char command[128];
  (void)state;
  snprintf(command, sizeof command, "rm -rf %s", folder);
  return system(command);
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(test_tensors),
      cmocka_unit_test(test_load),
      cmocka_unit_test(test_save),
  };
  return cmocka_run_group_tests(tests, set_up, tear_down);
}
