/* Files have the same bytes on all machines, and callers have elements in their machine's order.
 * SPDX-License-Identifier: MIT */
#include <glow/glow.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "../support/model_helpers.h"
#include "../support/temp_folder.h"
#include "io/io.h"

/* More elements than are reversed at a time. */
enum { MANY = 3 * 4096 / 4 + 1, TENSORS = 4, ALL_BYTES = 8 + 4 + 2 + 4 * MANY };

static const int64_t longs[1] = {INT64_C(0x0102030405060708)};
static const float ones[1] = {1.0f};
static const uint16_t halves[1] = {0x3f80};
static int32_t many[MANY];

static glow_file_tensor tensor(const char *name, int32_t type, int64_t count, int64_t size,
                               const void *data) {
  glow_file_tensor t = GLOW_FILE_TENSOR_INIT;
  t.name = name;
  t.type = type;
  t.rank = 1;
  t.dims[0] = count;
  t.bytes = count * size;
  t.data = data;
  return t;
}

static void list(glow_file_tensor tensors[TENSORS]) {
  for (int32_t i = 0; i < MANY; i++)
    many[i] = i * 77777;
  tensors[0] = tensor("long", GLOW_TYPE_I64, 1, 8, longs);
  tensors[1] = tensor("one", GLOW_TYPE_F32, 1, 4, ones);
  tensors[2] = tensor("half", GLOW_TYPE_BF16, 1, 2, halves);
  tensors[3] = tensor("many", GLOW_TYPE_I32, MANY, 4, many);
}

/* The data are the last bytes of a file. */
static void check_bytes(const unsigned char *file, size_t size) {
  const unsigned char first[] = {8, 7, 6, 5, 4, 3, 2, 1, 0, 0, 0x80, 0x3f, 0x80, 0x3f};
  assert_true(size > ALL_BYTES);
  const unsigned char *at = file + size - ALL_BYTES;
  assert_memory_equal(at, first, sizeof first);
  at += sizeof first;
  for (int32_t i = 0; i < MANY; i++, at += 4)
    assert_int_equal(at[0] | at[1] << 8 | at[2] << 16 | (uint32_t)at[3] << 24, many[i]);
}

static void check_elements(const glow_tensor_file *file) {
  glow_file_tensor tensors[TENSORS], found = GLOW_FILE_TENSOR_INIT;
  char *read = helper_allocate(sizeof many);
  list(tensors);
  for (int64_t i = 0; i < TENSORS; i++) {
    const glow_file_tensor *t = &tensors[i];
    OK(glow_tensor_file_get(file, i, &found));
    if (found.data)
      assert_memory_equal(found.data, t->data, (size_t)t->bytes);
    OK(glow_tensor_file_read(file, i, 0, read, (size_t)t->bytes));
    assert_memory_equal(read, t->data, (size_t)t->bytes);
  }
  OK(glow_tensor_file_read(file, 3, 4 * (MANY - 2), read, 8));
  assert_memory_equal(read, many + MANY - 2, 8);
  free(read);
}

static void check_input(glow_context *context, const glow_input *input) {
  glow_tensor_file *file = NULL;
  OK(glow_tensor_file_open_input(context, input, &file));
  check_elements(file);
  glow_tensor_file_close(&file);
}

static void test_in_memory(void **state) {
  glow_file_tensor tensors[TENSORS];
  static unsigned char buffer[2 * ALL_BYTES], before[2 * ALL_BYTES];
  size_t size = 0;
  (void)state;
  list(tensors);
  glow_context *context = helper_context(1, NULL, NULL);
  glow_output output = GLOW_OUTPUT_INIT;
  output.buffer = buffer;
  output.capacity = sizeof buffer;
  output.written = &size;
  OK(glow_tensor_file_write_output(context, &output, tensors, TENSORS, NULL, 0));
  check_bytes(buffer, size);
  glow_input input = GLOW_INPUT_INIT;
  input.data = buffer;
  input.size = (int64_t)size;
  memcpy(before, buffer, size);
  check_input(context, &input);
  input.flags = GLOW_INPUT_LAZY;
  check_input(context, &input);
  assert_memory_equal(buffer, before, size); /* it is the caller's */
  glow_context_destroy(&context);
}

static void write_pieces(glow_context *context, const char *path) {
  glow_file_tensor tensors[TENSORS];
  glow_tensor_writer *writer = NULL;
  list(tensors);
  OK(glow_tensor_writer_create(context, path, tensors, TENSORS, NULL, 0, &writer));
  OK(glow_tensor_writer_append(writer, 3, many, 4));
  for (int64_t i = 0; i < 3; i++)
    OK(glow_tensor_writer_append(writer, i, tensors[i].data, (size_t)tensors[i].bytes));
  OK(glow_tensor_writer_append(writer, 3, many + 1, sizeof many - 4));
  OK(glow_tensor_writer_finish(&writer));
}

static void test_in_a_file(void **state) {
  static unsigned char bytes[2 * ALL_BYTES];
  (void)state;
  assert_true(temp_folder_make(NULL));
  glow_context *context = helper_context(1, NULL, NULL);
  write_pieces(context, temp_path("t"));
  FILE *file = fopen(temp_path("t"), "rb");
  assert_non_null(file);
  check_bytes(bytes, fread(bytes, 1, sizeof bytes, file));
  fclose(file);
  glow_input input = GLOW_INPUT_INIT;
  input.path = temp_path("t");
  const uint32_t ways[] = {0, GLOW_INPUT_MAP, GLOW_INPUT_LAZY};
  for (int i = 0; i < 3; i++) {
    input.flags = ways[i];
    check_input(context, &input);
  }
  glow_context_destroy(&context);
  assert_true(temp_folder_remove());
}

static void test_reversed(void **state) {
  unsigned char bytes[8] = {1, 2, 3, 4, 5, 6, 7, 8};
  (void)state;
  glow__reverse_elements(bytes, 8, 1);
  assert_memory_equal(bytes, "\1\2\3\4\5\6\7\10", 8);
  glow__reverse_elements(bytes, 8, 2);
  assert_memory_equal(bytes, "\2\1\4\3\6\5\10\7", 8);
  glow__reverse_elements(bytes, 8, 4);
  assert_memory_equal(bytes, "\3\4\1\2\7\10\5\6", 8);
  glow__reverse_elements(bytes, 8, 8);
  assert_memory_equal(bytes, "\6\5\10\7\2\1\4\3", 8);
  glow__reverse_elements(bytes, 0, 8);
  assert_memory_equal(bytes, "\6\5\10\7\2\1\4\3", 8);
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(test_in_memory),
      cmocka_unit_test(test_in_a_file),
      cmocka_unit_test(test_reversed),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
