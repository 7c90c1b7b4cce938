/* Memory runs out while tensor files and models are written and read: to and from all places, and
 * models of all kinds. Neither a temporary file, nor a descriptor, nor a mapping is left.
 * SPDX-License-Identifier: MIT */
#include <sys/stat.h>

#include "each_allocation.h"
#include "io/io.h"
#include "models.h"
#include "places.h"

/* ---- a folder of its own for each trial ------------------------------------------------------ */

static char *new_folder(void) {
  static int number;
  char path[400];
  int length = snprintf(path, sizeof path, "%s/folder%d", temp_folder, number++);
  assert_in_range(length, 1, sizeof path - 1);
  char *copy = helper_allocate((size_t)length + 1);
  memcpy(copy, path, (size_t)length + 1);
  assert_int_equal(mkdir(copy, 0700), 0);
  return copy;
}

static const char *file_in(const char *folder) {
  static char path[400];
  snprintf(path, sizeof path, "%s/file", folder);
  return path;
}

static void make_folder(trial *t) {
  const blob old = {(unsigned char *)(uintptr_t) "the old file", 12};
  t->subject = new_folder();
  write_blob(file_in(t->subject), &old);
}

static void fold_folder(const trial *t, uint64_t *hash) {
  fold_places(t->subject, hash);
}

static void free_folder(trial *t) {
  free(t->subject);
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

static glow_status write_tensors(trial *t) {
  glow_file_tensor tensors[2];
  two_tensors(tensors);
  return glow_tensor_file_write(t->context, file_in(t->subject), tensors, 2, metadata, 2);
}

static glow_status write_to_buffer(trial *t) {
  glow_file_tensor tensors[2];
  glow_output o = GLOW_OUTPUT_INIT;
  unsigned char buffer[4096] = {0};
  size_t size = 0;
  two_tensors(tensors);
  o.buffer = buffer;
  o.capacity = sizeof buffer;
  o.written = &size;
  glow_status status = glow_tensor_file_write_output(t->context, &o, tensors, 2, metadata, 2);
  hash_fold(&t->result, buffer, size);
  return status;
}

static glow_status write_pieces(trial *t) {
  glow_file_tensor tensors[2];
  glow_tensor_writer *writer = NULL;
  two_tensors(tensors);
  glow_status status =
      glow_tensor_writer_create(t->context, file_in(t->subject), tensors, 2, metadata, 2, &writer);
  assert_int_equal(writer != NULL, status == GLOW_OK);
  for (int i = 0; status == GLOW_OK && i < 2; i++)
    status = glow_tensor_writer_append(writer, i, numbers + 2 * i, 8);
  if (status == GLOW_OK)
    status = glow_tensor_writer_finish(&writer);
  glow_tensor_writer_abandon(&writer);
  return status;
}

static void test_write_tensors(void **state) {
  (void)state;
  each_allocation(
      &(operation){"write tensors", make_folder, write_tensors, fold_folder, free_folder}, NULL);
  each_allocation(&(operation){"write pieces", make_folder, write_pieces, fold_folder, free_folder},
                  NULL);
  each_allocation(&(operation){.name = "write to memory", .run = write_to_buffer}, NULL);
}

/* ---- reading --------------------------------------------------------------------------------- */

/* A file, to be read from `place`. */
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

static glow_status open_tensors(trial *t) {
  const source *s = t->choice;
  glow_tensor_file *file = NULL;
  const glow_input in = input_from(s->place, s->path, &s->copy);
  float read[2] = {0};
  glow_status status = glow_tensor_file_open_input(t->context, &in, &file);
  assert_int_equal(file != NULL, status == GLOW_OK);
  if (status == GLOW_OK)
    status = glow_tensor_file_read(file, 1, 0, read, sizeof read);
  hash_fold(&t->result, read, sizeof read);
  glow_tensor_file_close(&file);
  return status;
}

static glow_status load_model(trial *t) {
  const source *s = t->choice;
  glow_model *model = NULL;
  const glow_input in = input_from(s->place, s->path, &s->copy);
  glow_status status = glow_model_load_input(t->context, &in, &model);
  assert_int_equal(model != NULL, status == GLOW_OK);
  if (model) {
    assert_int_equal(glow_model_mapped(model), s->place == FROM_MAPPING && !GLOW_BIG_ENDIAN);
    model_fold(model, &t->result);
  }
  glow_model_destroy(&model);
  return status;
}

/* ---- weights by name ------------------------------------------------------------------------- */

static void make_to_fill(trial *t) {
  t->subject = helper_glow(t->context, NULL, 4);
}

static glow_status fill_model(trial *t) {
  const source *s = t->choice;
  const glow_input in = input_from(s->place, s->path, &s->copy);
  glow_fill_report report = GLOW_FILL_REPORT_INIT;
  glow_status status = glow_model_fill(t->subject, &in, NULL, &report);
  hash_number(&t->result, status == GLOW_OK ? report.filled : 0);
  return status;
}

static void fold_filled(const trial *t, uint64_t *hash) {
  fold_reading(t, hash);
  model_fold(t->subject, hash);
}

static void free_filled(trial *t) {
  glow_model *model = t->subject;
  glow_model_destroy(&model);
}

static void read_from_each(const char *path, operation op) {
  source s = {.copy = read_blob(path)};
  snprintf(s.path, sizeof s.path, "%s", path);
  for (s.place = 0; s.place < PLACES; s.place++) {
    char name[100];
    if (s.place == FROM_LAZY && op.run == load_model)
      continue; /* is refused */
    snprintf(name, sizeof name, "%s from %s", op.name, place_names[s.place]);
    operation named = op;
    named.name = name;
    each_allocation(&named, &s);
  }
  free(s.copy.bytes);
}

static void test_read(void **state) {
  glow_context *context = helper_context(1, NULL, NULL);
  glow_model *model = helper_glow(context, NULL, 3);
  glow_file_tensor tensors[2];
  (void)state;
  two_tensors(tensors);
  OK(glow_tensor_file_write(context, temp_path("tensors"), tensors, 2, metadata, 2));
  OK(glow_model_save(model, temp_path("model")));
  glow_model_destroy(&model);
  glow_context_destroy(&context);
  read_from_each(temp_path("tensors"),
                 (operation){.name = "tensors", .run = open_tensors, .state = fold_reading});
  read_from_each(temp_path("model"),
                 (operation){.name = "model", .run = load_model, .state = fold_reading});
  read_from_each(temp_path("model"),
                 (operation){"fill", make_to_fill, fill_model, fold_filled, free_filled});
}

enum { MOST = 60 }; /* of a model; one, above, has all of its allocations fail */

/* ---- models of all kinds --------------------------------------------------------------------- */

typedef struct saving {
  const model_case *model;
  int32_t storage;
} saving;

static void make_model(trial *t) {
  const saving *s = t->choice;
  glow_model *model = NULL;
  helper_random random = helper_random_of(1);
  OK(model_case_create(t->context, s->model, &model));
  helper_perturb(model, &random, 0.02f);
  model_describe(model);
  t->subject = model;
}

static void fold_model(const trial *t, uint64_t *hash) {
  model_fold(t->subject, hash);
}

static void destroy_model(trial *t) {
  glow_model *model = t->subject;
  glow_model_destroy(&model);
}

static glow_status put(void *payload, const void *bytes, size_t size) {
  blob *b = payload;
  b->bytes = realloc(b->bytes, b->size + size);
  memcpy(b->bytes + b->size, bytes, size);
  b->size += size;
  return GLOW_OK;
}

static glow_status save(const glow_model *model, int32_t storage, blob *out) {
  glow_output o = GLOW_OUTPUT_INIT;
  o.write = put;
  o.payload = out;
  o.storage = storage;
  return glow_model_save_output(model, &o);
}

static glow_status save_model(trial *t) {
  const saving *s = t->choice;
  blob file = {NULL, 0};
  glow_status status = save(t->subject, s->storage, &file);
  hash_words(&t->result, file.bytes, file.size);
  free(file.bytes);
  return status;
}

static void test_all_models(void **state) {
  int32_t count;
  const model_case *cases = model_cases(&count);
  glow_context *context = helper_context(1, NULL, NULL);
  (void)state;
  for (int32_t i = 0; i < count; i++) {
    const saving how = {&cases[i], i % 2 ? GLOW_TYPE_BF16 : GLOW_TYPE_F32};
    source file = {.place = FROM_MEMORY};
    glow_model *model = NULL;
    if (!model_case_is_wanted(&cases[i]) || cases[i].part > 0) /* the same over another shape */
      continue;
    OK(model_case_create(context, &cases[i], &model));
    model_describe(model);
    OK(save(model, how.storage, &file.copy));
    glow_model_destroy(&model);
    some_allocations(&(operation){cases[i].name, make_model, save_model, fold_model, destroy_model},
                     &how, MOST);
    some_allocations(&(operation){.name = cases[i].name, .run = load_model}, &file, MOST);
    free(file.copy.bytes);
  }
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
      cmocka_unit_test(test_write_tensors),
      cmocka_unit_test(test_read),
      cmocka_unit_test(test_all_models),
  };
  return cmocka_run_group_tests(tests, set_up, tear_down);
}
