/* Loading and saving allocate through the context's table alone. This program's malloc, calloc,
 * realloc and free stand before the C library's, so that its own allocations are seen too; those
 * of opendir, which lists a series of checkpoints, are the only ones that there may be.
 * SPDX-License-Identifier: MIT */
#include "../support/model_helpers.h"
#include "../support/temp_folder.h"

#include <dirent.h>
#include <errno.h>
#include <glow/import.h>
#include <sys/stat.h>

/* ---- counting -------------------------------------------------------------------------------- */

static struct {
  bool watching;
  int64_t table;   /* allocations through the context's table */
  int64_t excused; /* by opendir */
  int64_t outside; /* all others */
} seen;

static volatile int in_opendir;

static void count_call(void) {
  seen.excused += seen.watching && in_opendir;
  seen.outside += seen.watching && !in_opendir;
}

/* glibc's own names. */
void *__libc_malloc(size_t size);
void *__libc_calloc(size_t count, size_t size);
void *__libc_realloc(void *memory, size_t size);
void *__libc_memalign(size_t alignment, size_t size);

void *malloc(size_t size) {
  count_call();
  return __libc_malloc(size);
}

void *calloc(size_t count, size_t size) {
  count_call();
  return __libc_calloc(count, size);
}

void *realloc(void *memory, size_t size) {
  count_call();
  return __libc_realloc(memory, size);
}

void *memalign(size_t alignment, size_t size);
void *memalign(size_t alignment, size_t size) {
  count_call();
  return __libc_memalign(alignment, size);
}

void *aligned_alloc(size_t alignment, size_t size) {
  return memalign(alignment, size);
}

int posix_memalign(void **out, size_t alignment, size_t size) {
  *out = memalign(alignment, size);
  return *out ? 0 : ENOMEM;
}

/* The linker leads the library's calls here. */
DIR *__real_opendir(const char *path);
DIR *__wrap_opendir(const char *path);
DIR *__wrap_opendir(const char *path) {
  in_opendir = 1;
  DIR *directory = __real_opendir(path);
  in_opendir = 0;
  return directory;
}

static void *table_alloc(size_t size, void *payload) {
  (void)payload;
  seen.table += seen.watching;
  return __libc_malloc(size);
}

static void table_free(void *memory, void *payload) {
  (void)payload;
  free(memory);
}

static void watch(void) {
  memset(&seen, 0, sizeof seen);
  seen.watching = true;
}

/* What has been done since watch() is called `what`. */
static void assert_table_alone(const char *what, bool lists) {
  seen.watching = false;
  print_message("%-24s %5lld through the table, %lld by opendir, %lld outside\n", what,
                (long long)seen.table, (long long)seen.excused, (long long)seen.outside);
  assert_true(seen.table > 0);
  assert_int_equal(seen.outside, 0);
  if (!lists)
    assert_int_equal(seen.excused, 0);
}

/* ---- what is loaded and saved ---------------------------------------------------------------- */

static const char *import_folder;
static glow_context *context;

static void test_counting(void **state) {
  (void)state;
  watch();
  void *memory = helper_allocate(8);
  seen.watching = false;
  free(memory);
  assert_int_equal(seen.outside, 1);
}

static glow_model *make_model(void) {
  glow_glow_options o = helper_small_glow();
  return helper_glow(context, &o, 1);
}

static void load(const char *what, uint32_t flags) {
  glow_input in = GLOW_INPUT_INIT;
  glow_model *model = NULL;
  in.path = temp_path("model");
  in.flags = flags;
  watch();
  OK(glow_model_load_input(context, &in, &model));
  assert_table_alone(what, false);
  glow_model_destroy(&model);
}

static void test_model(void **state) {
  glow_model *model = make_model();
  glow_output o = GLOW_OUTPUT_INIT;
  (void)state;
  watch();
  OK(glow_model_save(model, temp_path("model")));
  assert_table_alone("save a model", false);
  load("load it", 0);
  load("load it mapped", GLOW_INPUT_MAP);
  o.path = temp_path("half");
  o.storage = GLOW_TYPE_BF16;
  watch();
  OK(glow_model_save_output(model, &o));
  assert_table_alone("save it in bfloat16", false);
  glow_model_destroy(&model);
}

/* Sorting so many pointers, the C library's qsort allocates. */
static void test_tensors(void **state) {
  enum { COUNT = 1000 };
  static glow_file_tensor tensors[COUNT];
  static char names[COUNT][16];
  static const char *metadata[2 * COUNT];
  glow_tensor_file *file = NULL;
  (void)state;
  for (int i = 0; i < COUNT; i++) {
    tensors[i] = (glow_file_tensor)GLOW_FILE_TENSOR_INIT;
    snprintf(names[i], sizeof names[i], "tensor %d", i);
    tensors[i].name = metadata[2 * i] = metadata[2 * i + 1] = names[i];
    tensors[i].type = GLOW_TYPE_U8;
    tensors[i].bytes = 1;
    tensors[i].data = "x";
  }
  watch();
  OK(glow_tensor_file_write(context, temp_path("tensors"), tensors, COUNT, metadata, COUNT));
  assert_table_alone("write 1000 tensors", false);
  watch();
  OK(glow_tensor_file_open(context, temp_path("tensors"), &file));
  assert_table_alone("open them", false);
  glow_tensor_file_close(&file);
}

static void test_checkpoint(void **state) {
  static const char *const notes[] = {"place", "3"};
  glow_trainer_options o = GLOW_TRAINER_OPTIONS_INIT;
  glow_optimizer_options optimizer = GLOW_OPTIMIZER_OPTIONS_INIT;
  glow_model *model = make_model(), *loaded = NULL;
  glow_trainer *trainer = NULL, *loaded_trainer = NULL;
  char path[256];
  (void)state;
  o.micro_batch = 2;
  o.average = 1;
  o.optimizer = &optimizer;
  OK(glow_trainer_create(model, &o, &trainer));
  watch();
  OK(glow_checkpoint_save(trainer, temp_path("checkpoint"), notes, 1));
  assert_table_alone("save a checkpoint", false);
  watch();
  OK(glow_checkpoint_load(context, temp_path("checkpoint"), &loaded, &loaded_trainer));
  assert_table_alone("load it", false);
  watch();
  OK(glow_checkpoint_save_series(trainer, temp_folder, 2, notes, 1));
  assert_table_alone("save one of a series", true);
  watch();
  OK(glow_checkpoint_newest(context, temp_folder, NULL, path, sizeof path));
  assert_table_alone("find the newest", true);
  glow_trainer_destroy(&loaded_trainer);
  glow_model_destroy(&loaded);
  glow_trainer_destroy(&trainer);
  glow_model_destroy(&model);
}

static void test_other_projects(void **state) {
  glow_import_options o = GLOW_IMPORT_OPTIONS_INIT;
  glow_input in = GLOW_INPUT_INIT;
  glow_output out = GLOW_OUTPUT_INIT;
  glow_model *model = NULL;
  char path[512];
  (void)state;
  snprintf(path, sizeof path, "%s/y0ast_affine_lu.safetensors", import_folder);
  in.path = path;
  watch();
  OK(glow_model_import(context, &in, &o, &model));
  assert_table_alone("import a model", false);
  out.path = temp_path("export");
  watch();
  OK(glow_model_export(model, GLOW_FORMAT_Y0AST, &out));
  assert_table_alone("export it", false);
  glow_model_destroy(&model);
}

static int set_up(void **state) {
  glow_allocator table = GLOW_ALLOCATOR_INIT;
  glow_context_options o = GLOW_CONTEXT_OPTIONS_INIT;
  (void)state;
  table.allocate = table_alloc;
  table.release = table_free;
  o.allocator = &table;
  o.threads = 1;
  OK(glow_context_create(&o, &context));
  return temp_folder_make(NULL) ? 0 : -1;
}

static int tear_down(void **state) {
  (void)state;
  glow_context_destroy(&context);
  return temp_folder_remove() ? 0 : -1;
}

int main(int argc, char **argv) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(test_counting),       cmocka_unit_test(test_model),
      cmocka_unit_test(test_tensors),        cmocka_unit_test(test_checkpoint),
      cmocka_unit_test(test_other_projects),
  };
  import_folder = argc > 1 ? argv[1] : "tests/import";
  return cmocka_run_group_tests(tests, set_up, tear_down);
}
