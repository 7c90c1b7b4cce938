/* Memory runs out while models of other projects are read and written: every file beside the tests
 * of importers, and the export of what it gives. SPDX-License-Identifier: MIT */
#include <dirent.h>
#include <glow/import.h>

#include "../import/import_helpers.h"
#include "each_allocation.h"
#include "models.h"
#include "places.h"

/* A file, for images of this size, which some files do not tell. */
typedef struct foreign {
  char name[100], path[1024];
  int64_t height, width;
} foreign;

static void look_up(const char *file, foreign *f) {
  glow_context *context = helper_context(0, NULL, NULL);
  vectors v;
  snprintf(f->name, sizeof f->name, "%.*s", (int)strcspn(file, "."), file);
  snprintf(f->path, sizeof f->path, "%s", vectors_path(f->name, ".safetensors"));
  vectors_open(context, f->name, &v);
  f->height = v.height;
  f->width = v.width;
  vectors_close(&v);
  glow_context_destroy(&context);
}

static glow_status import_file(glow_context *context, const foreign *f, glow_model **out) {
  glow_import_options o = GLOW_IMPORT_OPTIONS_INIT;
  glow_input in = GLOW_INPUT_INIT;
  in.path = f->path;
  o.height = f->height;
  o.width = f->width;
  if (strcmp(f->name, "y0ast_affine_reverse") == 0) /* whose file does not say */
    o.permutation = GLOW_PERMUTATION_REVERSE;
  return glow_model_import(context, &in, &o, out);
}

static glow_status import(trial *t) {
  glow_model *model = NULL;
  glow_status status = import_file(t->context, t->choice, &model);
  assert_int_equal(model != NULL, status == GLOW_OK);
  if (model)
    model_fold(model, &t->result);
  glow_model_destroy(&model);
  return status;
}

static void fold_reading(const trial *t, uint64_t *hash) {
  (void)t;
  hash_number(hash, count_descriptors());
}

static void make_model(trial *t) {
  glow_model *model = NULL;
  OK(import_file(t->context, t->choice, &model));
  t->subject = model;
}

static void fold_model(const trial *t, uint64_t *hash) {
  model_fold(t->subject, hash);
}

static void destroy_model(trial *t) {
  glow_model *model = t->subject;
  glow_model_destroy(&model);
}

static glow_status fold_bytes(void *payload, const void *bytes, size_t size) {
  trial *t = payload;
  hash_fold(&t->result, bytes, size);
  return GLOW_OK;
}

static glow_status export(trial *t) {
  glow_output o = GLOW_OUTPUT_INIT;
  o.write = fold_bytes;
  o.payload = t;
  return glow_model_export(t->subject, GLOW_FORMAT_Y0AST, &o);
}

static bool can_be_exported(const foreign *f) {
  glow_context *context = helper_context(0, NULL, NULL);
  glow_output o = GLOW_OUTPUT_INIT;
  glow_model *model = NULL;
  size_t size;
  o.written = &size;
  OK(import_file(context, f, &model));
  glow_status status = glow_model_export(model, GLOW_FORMAT_Y0AST, &o);
  glow_model_destroy(&model);
  glow_context_destroy(&context);
  return status == GLOW_OK;
}

static bool is_model(const char *name) {
  const char *ending = ".safetensors";
  size_t length = strlen(name);
  return length > strlen(ending) && strcmp(name + length - strlen(ending), ending) == 0 &&
         !strstr(name, ".vectors.");
}

static void test_all_files(void **state) {
  DIR *directory = opendir(vectors_folder);
  int imported = 0, exported = 0;
  (void)state;
  if (!directory)
    fail_msg("there is no folder '%s'", vectors_folder);
  for (const struct dirent *e; (e = readdir(directory));) {
    foreign f;
    if (!is_model(e->d_name))
      continue;
    look_up(e->d_name, &f);
    each_allocation(&(operation){.name = f.name, .run = import, .state = fold_reading}, &f);
    imported++;
    if (!can_be_exported(&f))
      continue;
    each_allocation(&(operation){f.name, make_model, export, fold_model, destroy_model}, &f);
    exported++;
  }
  closedir(directory);
  print_message("%d files imported, %d of them exported\n", imported, exported);
  assert_true(imported >= 10 && exported >= 3);
}

int main(int argc, char **argv) {
  const struct CMUnitTest tests[] = {cmocka_unit_test(test_all_files)};
  vectors_folder = argc > 1 ? argv[1] : "tests/import";
  return cmocka_run_group_tests(tests, NULL, each_allocation_report);
}
