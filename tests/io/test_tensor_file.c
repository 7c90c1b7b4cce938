/* Tensor files: round trips, a table of malformed files with the messages they must give, writes
 * that fail. SPDX-License-Identifier: MIT */
#include <dirent.h>
#include <glow/glow.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cmocka.h>

#include "../support/temp_folder.h"

static glow_context *context;

static int count_files(void) {
  DIR *directory = opendir(temp_folder);
  int count = 0;
  assert_non_null(directory);
  for (const struct dirent *e; (e = readdir(directory));)
    count += e->d_name[0] != '.';
  closedir(directory);
  return count;
}

static int set_up(void **state) {
  (void)state;
  return temp_folder_make(NULL) && glow_context_create(NULL, &context) == GLOW_OK ? 0 : -1;
}

static int tear_down(void **state) {
  (void)state;
  glow_context_destroy(&context);
  return temp_folder_remove() ? 0 : -1;
}

/* ---- round trips ----------------------------------------------------------------------------- */

static glow_file_tensor tensor(const char *name, int32_t type, int32_t rank, int64_t a, int64_t b,
                               int64_t bytes, const void *data) {
  glow_file_tensor t = GLOW_FILE_TENSOR_INIT;
  t.name = name;
  t.type = type;
  t.rank = rank;
  t.dims[0] = a;
  t.dims[1] = b;
  t.bytes = bytes;
  t.data = data;
  return t;
}

static void test_round_trip(void **state) {
  const double doubles[3] = {1.5, -2.5, 3.5};
  const uint8_t bytes[5] = {1, 2, 3, 4, 5};
  const int64_t longs[2] = {-1, 1};
  const uint16_t halves[2] = {0x3f80, 0xbf80};
  const glow_file_tensor tensors[] = {
      tensor("bytes", GLOW_TYPE_U8, 1, 5, 0, 5, bytes),
      tensor("doubles", GLOW_TYPE_F64, 2, 3, 1, 24, doubles),
      tensor("empty", GLOW_TYPE_F32, 2, 0, 7, 0, NULL),
      tensor("scalar", GLOW_TYPE_I32, 0, 0, 0, 4, bytes),
      tensor("longs", GLOW_TYPE_I64, 1, 2, 0, 16, longs),
      tensor("halves", GLOW_TYPE_BF16, 1, 2, 0, 4, halves),
  };
  const char *metadata[] = {"key", "a \"text\" of \xc3\xa9", "other", ""};
  glow_tensor_file *file = NULL;
  (void)state;
  assert_int_equal(glow_tensor_file_write(context, temp_path("a"), tensors, 6, metadata, 2),
                   GLOW_OK);
  assert_int_equal(glow_tensor_file_open(context, temp_path("a"), &file), GLOW_OK);
  assert_int_equal(glow_tensor_file_tensor_count(file), 6);
  assert_string_equal(glow_tensor_file_metadata(file, "key"), metadata[1]);
  assert_null(glow_tensor_file_metadata(file, "none"));
  for (int i = 0; i < 6; i++) {
    glow_file_tensor t = GLOW_FILE_TENSOR_INIT;
    assert_int_equal(glow_tensor_file_find(file, tensors[i].name, &t), GLOW_OK);
    assert_int_equal(t.type, tensors[i].type);
    assert_int_equal(t.rank, tensors[i].rank);
    assert_int_equal(t.bytes, tensors[i].bytes);
    if (t.bytes)
      assert_memory_equal(t.data, tensors[i].data, (size_t)t.bytes);
  }
  glow_file_tensor none = GLOW_FILE_TENSOR_INIT;
  assert_int_equal(glow_tensor_file_find(file, "none", &none), GLOW_E_NOT_FOUND);
  assert_non_null(strstr(glow_last_error(), "none"));
  assert_int_equal(glow_tensor_file_get(file, 6, &none), GLOW_E_ARGUMENT);
  glow_tensor_file_close(&file);
}

/* ---- malformed files ------------------------------------------------------------------------- */

typedef struct bad {
  const char *header; /* JSON; NULL: `raw` is the whole file */
  int data;           /* bytes of data behind it */
  const char *message;
  long long length;   /* header length to claim; 0: the true one */
  glow_status status; /* 0: GLOW_E_FORMAT */
} bad;

#define T(dtype, shape, offsets)                                                                   \
  "{\"a\":{\"dtype\":\"" dtype "\",\"shape\":" shape ",\"data_offsets\":" offsets "}}"

static const bad bads[] = {
    {"", 0, "not a JSON object", 0, 0},
    {"[]", 0, "not a JSON object", 0, 0},
    {" {}", 0, "not a JSON object", 0, 0},
    {"{", 0, "header:", 0, 0},
    {"{}x", 0, "header:", 0, 0},
    {"{\"a\":{\"dtype\":\"U8\",\"shape\":[],\"data_offsets\":[0,1]},"
     "\"a\":{\"dtype\":\"U8\",\"shape\":[],\"data_offsets\":[1,2]}}",
     2, "duplicate tensor 'a'", 0, 0},
    {"{\"a\":{\"dtype\":\"U8\",\"dtype\":\"U8\",\"shape\":[],\"data_offsets\":[0,1]}}", 1,
     "duplicate", 0, 0},
    {"{\"__metadata__\":{\"k\":\"1\",\"j\":\"2\",\"k\":\"3\"}}", 0,
     "duplicate __metadata__ key 'k'", 0, 0},
    {"{\"__metadata__\":{},\"__metadata__\":{}}", 0, "duplicate __metadata__", 0, 0},
    {"{\"__metadata__\":{}", 0, "',' or '}' expected", 0, 0},
    {"{\"__metadata__\":{},}", 0, "a string expected", 0, 0},
    {"{\"__metadata__\":{\"k\" \"v\"}}", 0, "':' expected", 0, 0},
    {"{\"__metadata__\":{\"k\":\"\\u0000\"}}", 0, "header:", 0, 0},
    {"{\"a\\u0000b\":1}", 0, "header:", 0, 0},
    {T("F32", "[9223372036854775808]", "[0,4]"), 4,
     "byte 37: header: the integer does not fit in 64 bits", 0, 0},
    {"{\"\xff\":1}", 0, "byte 10: header: byte 0xff of a string is not UTF-8", 0, 0},
    {"{\"a\":1}", 0, "'a': it is not an object", 0, 0},
    {"{\"a\":{}}", 0, "'a': it has no dtype", 0, 0},
    {"{\"\":1}", 0, "a tensor's name", 0, 0},
    {"{\"__metadata__\":1}", 0, "__metadata__ is not an object", 0, 0},
    {"{\"__metadata__\":{\"k\":1}}", 0, "key 'k': byte 29: header: a string", 0, 0},
    {"{}", 0, "a string expected", 1, 0},
    {"{}", 0, "claims", 3, 0},
    {"{}", 0, "claims", 1000000, 0},
    {"{}", 0, "claims", 100000001, 0},
    {"{}", 0, "claims", -1, 0},
    {"{}", 1, "the tensors end at byte 0", 0, 0},
    {T("F32", "[1]", "[0,4]"), 0, "which has 0", 0, 0},
    {T("F32", "[1]", "[0,4]"), 3, "which has 3", 0, 0},
    {T("F32", "[1]", "[0,4]"), 5, "the tensors end at byte 4", 0, 0},
    {T("F32", "[1]", "[1,5]"), 5, "starts at byte 1", 0, 0},
    {T("F32", "[2]", "[0,4]"), 4, "do not hold its 8 bytes", 0, 0},
    {T("F32", "[1]", "[4,0]"), 4, "do not hold", 0, 0},
    {T("F32", "[1]", "[-4,0]"), 4, "do not hold", 0, 0},
    {T("F32", "[1]", "[0]"), 4, "data_offsets is not a pair", 0, 0},
    {T("F32", "[1]", "[0,4.0]"), 4, "data_offsets is not a pair", 0, 0},
    {T("F32", "[1]", "{}"), 4, "data_offsets is not a pair", 0, 0},
    {T("F33", "[1]", "[0,4]"), 4, "'F33' is not known", 0, 0},
    {T("F32", "1", "[0,4]"), 4, "shape is not a list", 0, 0},
    {T("F32", "[-1]", "[0,4]"), 4, "dimension 0 is not a count", 0, 0},
    {T("F32", "[1.5]", "[0,4]"), 4, "dimension 0 is not a count", 0, 0},
    {T("F32", "[1,1,1,1,1,1,1,1,1]", "[0,4]"), 4, "9 dimensions; at most 8", 0, GLOW_E_LIMIT},
    {T("F32", "[4294967296,4294967296]", "[0,4]"), 4, "does not fit", 0, 0},
    {T("F32", "[4611686018427387904]", "[0,0]"), 0, "does not fit", 0, 0},
    {T("U8", "[9223372036854775807]", "[1,0]"), 0, "do not hold", 0, 0},
    {"{\"a\":{\"dtype\":\"U8\",\"shape\":[1],\"data_offsets\":[0,1]},"
     "\"b\":{\"dtype\":\"U8\",\"shape\":[1],\"data_offsets\":[0,1]}}",
     1, "starts at byte 0", 0, 0},
    {"{\"a\":{\"dtype\":\"U8\",\"shape\":[1],\"data_offsets\":[0,1]},"
     "\"b\":{\"dtype\":\"U8\",\"shape\":[1],\"data_offsets\":[2,3]}}",
     3, "starts at byte 2", 0, 0},
    {"{\"a\":{\"dtype\":\"U8\",\"shape\":[1],\"data_offsets\":[0,1],\"x\":1}}", 1,
     "not an object of", 0, 0},
    {"{\"a\":{\"shape\":[1],\"data_offsets\":[0,1],\"x\":1}}", 1, "it has 'x'", 0, 0},
};

static void write_bytes(const char *path, const void *data, size_t size) {
  FILE *file = fopen(path, "wb");
  assert_non_null(file);
  assert_int_equal(fwrite(data, 1, size, file), size);
  assert_int_equal(fclose(file), 0);
}

/* Types that no model uses have known sizes: the file is read, and so are its other tensors. */
static void test_all_types(void **state) {
  static const struct {
    const char *name;
    int32_t type;
    int64_t size;
  } types[] = {{"U8", GLOW_TYPE_U8, 1},           {"I32", GLOW_TYPE_I32, 4},
               {"F32", GLOW_TYPE_F32, 4},         {"F64", GLOW_TYPE_F64, 8},
               {"I64", GLOW_TYPE_I64, 8},         {"BF16", GLOW_TYPE_BF16, 2},
               {"F16", GLOW_TYPE_F16, 2},         {"I8", GLOW_TYPE_I8, 1},
               {"I16", GLOW_TYPE_I16, 2},         {"U16", GLOW_TYPE_U16, 2},
               {"U32", GLOW_TYPE_U32, 4},         {"U64", GLOW_TYPE_U64, 8},
               {"BOOL", GLOW_TYPE_BOOL, 1},       {"F8_E4M3", GLOW_TYPE_F8_E4M3, 1},
               {"F8_E5M2", GLOW_TYPE_F8_E5M2, 1}, {"F8_E8M0", GLOW_TYPE_F8_E8M0, 1}};
  (void)state;
  for (size_t i = 0; i < sizeof types / sizeof *types; i++) {
    char text[300];
    glow_tensor_file *file = NULL;
    glow_file_tensor t = GLOW_FILE_TENSOR_INIT;
    int length = snprintf(text + 8, sizeof text - 8,
                          "{\"a\":{\"dtype\":\"%s\",\"shape\":[3],\"data_offsets\":[0,%d]},"
                          "\"x\":{\"dtype\":\"U8\",\"shape\":[1],\"data_offsets\":[%d,%d]}}",
                          types[i].name, (int)(3 * types[i].size), (int)(3 * types[i].size),
                          (int)(3 * types[i].size + 1));
    memset(text, 0, 8);
    text[0] = (char)length;
    memset(text + 8 + length, 7, 25);
    glow_input input = GLOW_INPUT_INIT;
    input.data = text;
    input.size = 8 + length + 3 * types[i].size + 1;
    assert_int_equal(glow_tensor_file_open_input(context, &input, &file), GLOW_OK);
    assert_int_equal(glow_tensor_file_find(file, "a", &t), GLOW_OK);
    assert_int_equal(t.type, types[i].type);
    assert_int_equal(t.bytes, 3 * types[i].size);
    assert_int_equal(glow_tensor_file_find(file, "x", &t), GLOW_OK);
    assert_int_equal(*(const char *)t.data, 7);
    glow_tensor_file_close(&file);
  }
}

static void test_malformed(void **state) {
  (void)state;
  for (size_t i = 0; i < sizeof bads / sizeof *bads; i++) {
    unsigned char bytes[1024] = {0};
    size_t length = strlen(bads[i].header);
    uint64_t claimed = bads[i].length ? (uint64_t)bads[i].length : length;
    glow_tensor_file *file = (void *)&bads;
    for (int k = 0; k < 8; k++)
      bytes[k] = (unsigned char)(claimed >> 8 * k);
    memcpy(bytes + 8, bads[i].header, length);
    write_bytes(temp_path("bad"), bytes, 8 + length + (size_t)bads[i].data);
    glow_status expected = bads[i].status ? bads[i].status : GLOW_E_FORMAT;
    if (glow_tensor_file_open(context, temp_path("bad"), &file) != expected || file)
      fail_msg("%s: was not refused", bads[i].header);
    if (!strstr(glow_last_error(), bads[i].message) || !strstr(glow_last_error(), "/bad'"))
      fail_msg("%s: message '%s' lacks '%s'", bads[i].header, glow_last_error(), bads[i].message);
  }
}

static void refused(const char *path, glow_status status, const char *message) {
  glow_tensor_file *file = NULL;
  assert_int_equal(glow_tensor_file_open(context, path, &file), status);
  assert_null(file);
  assert_non_null(strstr(glow_last_error(), message));
}

static void test_not_files(void **state) {
  (void)state;
  refused(temp_path("missing"), GLOW_E_NOT_FOUND, "No such file");
  refused(temp_folder, GLOW_E_IO, "not a regular file");
  refused("/dev/zero", GLOW_E_IO, "not a regular file");
  write_bytes(temp_path("short"), "1234567", 7);
  refused(temp_path("short"), GLOW_E_FORMAT, "7 bytes are too few");
  assert_int_equal(mkfifo(temp_path("pipe"), 0600), 0);
  refused(temp_path("pipe"), GLOW_E_IO, "not a regular file");
}

/* ---- writes that fail ------------------------------------------------------------------------ */

static void test_failed_write_keeps_the_old_file(void **state) {
  const uint8_t bytes[1] = {7};
  const glow_file_tensor good = tensor("a", GLOW_TYPE_U8, 1, 1, 0, 1, bytes);
  const glow_file_tensor twice[] = {good, good};
  glow_file_tensor wrong = good;
  glow_tensor_file *file = NULL;
  (void)state;
  assert_int_equal(glow_tensor_file_write(context, temp_path("kept"), &good, 1, NULL, 0), GLOW_OK);
  int files = count_files();
  assert_int_equal(glow_tensor_file_write(context, temp_path("kept"), twice, 2, NULL, 0),
                   GLOW_E_ARGUMENT);
  wrong.bytes = 2;
  assert_int_equal(glow_tensor_file_write(context, temp_path("kept"), &wrong, 1, NULL, 0),
                   GLOW_E_ARGUMENT);
  wrong = good;
  wrong.name = "\xff";
  assert_int_not_equal(glow_tensor_file_write(context, temp_path("kept"), &wrong, 1, NULL, 0),
                       GLOW_OK);
  assert_int_equal(glow_tensor_file_write(context, temp_path("no/where"), &good, 1, NULL, 0),
                   GLOW_E_NOT_FOUND);
  assert_non_null(strstr(glow_last_error(), "no/where"));
  assert_int_equal(glow_tensor_file_write(context, "/dev/full", &good, 1, NULL, 0), GLOW_E_IO);
  assert_int_equal(glow_tensor_file_write(context, temp_folder, &good, 1, NULL, 0), GLOW_E_IO);
  assert_int_equal(count_files(), files);
  assert_int_equal(glow_tensor_file_open(context, temp_path("kept"), &file), GLOW_OK);
  assert_int_equal(glow_tensor_file_tensor_count(file), 1);
  glow_tensor_file_close(&file);
}

/* ---- other sources and targets --------------------------------------------------------------- */

typedef struct bytes {
  unsigned char data[4096];
  size_t size;
  size_t fail_at; /* the callback fails when it comes to this byte; 0: never */
} bytes;

static glow_status take(void *payload, const void *data, size_t count) {
  bytes *b = payload;
  if (b->fail_at && b->size + count >= b->fail_at)
    return GLOW_E_CANCELLED;
  assert_true(b->size + count <= sizeof b->data);
  memcpy(b->data + b->size, data, count);
  b->size += count;
  return GLOW_OK;
}

static glow_status give(void *payload, int64_t offset, void *buffer, size_t count) {
  const bytes *b = payload;
  assert_true(offset >= 0 && (uint64_t)offset + count <= b->size);
  if (b->fail_at && (uint64_t)offset + count >= b->fail_at)
    return GLOW_E_IO;
  memcpy(buffer, b->data + offset, count);
  return GLOW_OK;
}

static const float floats[6] = {1, 2, 3, 4, 5, 6};

static void two_tensors(glow_file_tensor *tensors) {
  tensors[0] = tensor("b", GLOW_TYPE_F32, 2, 2, 2, 16, floats);
  tensors[1] = tensor("a", GLOW_TYPE_F32, 1, 2, 0, 8, floats + 4);
}

static void test_write_anywhere(void **state) {
  const char *metadata[] = {"k", "v"};
  glow_file_tensor tensors[2];
  glow_output o = GLOW_OUTPUT_INIT;
  unsigned char buffer[4096];
  bytes written = {.size = 0}, file = {.size = 0};
  size_t size = 0;
  (void)state;
  two_tensors(tensors);
  o.written = &size; /* only asks */
  assert_int_equal(glow_tensor_file_write_output(context, &o, tensors, 2, metadata, 1), GLOW_OK);
  assert_int_equal((size - 24) % 64, 0); /* data start at a multiple of 64 */
  o.buffer = buffer;
  o.capacity = size - 1;
  memset(buffer, 7, sizeof buffer);
  assert_int_equal(glow_tensor_file_write_output(context, &o, tensors, 2, metadata, 1),
                   GLOW_E_LIMIT);
  assert_int_equal(buffer[0], 7);
  o.capacity = size;
  assert_int_equal(glow_tensor_file_write_output(context, &o, tensors, 2, metadata, 1), GLOW_OK);
  assert_int_equal(buffer[size], 7);
  o = (glow_output)GLOW_OUTPUT_INIT;
  o.write = take;
  o.payload = &written;
  assert_int_equal(glow_tensor_file_write_output(context, &o, tensors, 2, metadata, 1), GLOW_OK);
  assert_int_equal(written.size, size);
  assert_memory_equal(written.data, buffer, size);
  assert_int_equal(glow_tensor_file_write(context, temp_path("t"), tensors, 2, metadata, 1),
                   GLOW_OK);
  FILE *stream = fopen(temp_path("t"), "rb");
  assert_non_null(stream);
  file.size = fread(file.data, 1, sizeof file.data, stream);
  fclose(stream);
  assert_int_equal(file.size, size);
  assert_memory_equal(file.data, buffer, size);
  written.size = 0;
  written.fail_at = size - 1;
  assert_int_equal(glow_tensor_file_write_output(context, &o, tensors, 2, metadata, 1),
                   GLOW_E_CANCELLED);
  assert_non_null(strstr(glow_last_error(), "write callback failed at byte"));
}

static void check_two(const glow_tensor_file *file, bool has_data) {
  float read[4] = {0};
  glow_file_tensor t = GLOW_FILE_TENSOR_INIT;
  assert_int_equal(glow_tensor_file_tensor_count(file), 2);
  assert_int_equal(glow_tensor_file_index(file, "b"), 0);
  assert_int_equal(glow_tensor_file_index(file, "a"), 1);
  assert_int_equal(glow_tensor_file_index(file, "c"), -1);
  assert_int_equal(glow_tensor_file_get(file, 1, &t), GLOW_OK);
  assert_string_equal(t.name, "a");
  assert_int_equal(t.data != NULL, has_data);
  assert_int_equal(glow_tensor_file_read(file, 0, 4, read, 12), GLOW_OK);
  assert_memory_equal(read, floats + 1, 12);
  assert_int_equal(glow_tensor_file_read(file, 1, 8, NULL, 0), GLOW_OK);
  assert_int_equal(glow_tensor_file_read(file, 1, 4, read, 8), GLOW_E_ARGUMENT);
  assert_int_equal(glow_tensor_file_read(file, 0, 4, read, 6), GLOW_E_ARGUMENT);
  assert_non_null(
      strstr(glow_last_error(), "'b' has elements of 4 bytes; 6 from 4 on are not whole"));
  assert_int_equal(glow_tensor_file_read(file, 0, 2, read, 4), GLOW_E_ARGUMENT);
  assert_non_null(strstr(glow_last_error(), "4 from 2 on are not whole"));
  assert_int_equal(glow_tensor_file_read(file, 1, -1, read, 1), GLOW_E_ARGUMENT);
  assert_int_equal(glow_tensor_file_read(file, 2, 0, read, 1), GLOW_E_ARGUMENT);
  assert_int_equal(glow_tensor_file_read(file, 1, 0, NULL, 1), GLOW_E_ARGUMENT);
}

static void check_metadata(const glow_tensor_file *file) {
  const char *key = NULL, *value = NULL;
  assert_int_equal(glow_tensor_file_metadata_count(file), 2);
  assert_int_equal(glow_tensor_file_metadata_at(file, 0, &key, &value), GLOW_OK);
  assert_string_equal(key, "k");
  assert_string_equal(value, "v\n\"\x01\xc3\xa9");
  assert_int_equal(glow_tensor_file_metadata_at(file, 1, &key, NULL), GLOW_OK);
  assert_string_equal(key, "l");
  assert_int_equal(glow_tensor_file_metadata_at(file, 2, &key, &value), GLOW_E_ARGUMENT);
  assert_int_equal(glow_tensor_file_metadata_at(file, -1, &key, &value), GLOW_E_ARGUMENT);
}

static void open_and_check(const glow_input *input, bool has_data) {
  glow_tensor_file *file = NULL;
  assert_int_equal(glow_tensor_file_open_input(context, input, &file), GLOW_OK);
  check_two(file, has_data);
  check_metadata(file);
  glow_tensor_file_close(&file);
  assert_null(file);
}

static void test_read_anywhere(void **state) {
  const char *metadata[] = {"l", "", "k", "v\n\"\x01\xc3\xa9"};
  glow_file_tensor tensors[2];
  glow_output o = GLOW_OUTPUT_INIT;
  bytes file = {.size = 0};
  (void)state;
  two_tensors(tensors);
  o.write = take;
  o.payload = &file;
  assert_int_equal(glow_tensor_file_write_output(context, &o, tensors, 2, metadata, 2), GLOW_OK);
  write_bytes(temp_path("t"), file.data, file.size);
  for (uint32_t flags = 0; flags <= GLOW_INPUT_LAZY; flags++) {
    glow_input path = GLOW_INPUT_INIT, data = GLOW_INPUT_INIT, read = GLOW_INPUT_INIT;
    path.path = temp_path("t");
    data.data = file.data;
    read.read = give;
    read.payload = &file;
    data.size = read.size = (int64_t)file.size;
    path.flags = data.flags = read.flags = flags;
    open_and_check(&path, flags != GLOW_INPUT_LAZY);
    if (flags == GLOW_INPUT_MAP)
      continue;
    open_and_check(&data, flags != GLOW_INPUT_LAZY);
    open_and_check(&read, flags != GLOW_INPUT_LAZY);
  }
}

static void test_callback_fails(void **state) {
  glow_file_tensor tensors[2];
  glow_output o = GLOW_OUTPUT_INIT;
  glow_input in = GLOW_INPUT_INIT;
  glow_tensor_file *file = NULL;
  bytes b = {.size = 0};
  (void)state;
  two_tensors(tensors);
  o.write = take;
  o.payload = in.payload = &b;
  in.read = give;
  assert_int_equal(glow_tensor_file_write_output(context, &o, tensors, 2, NULL, 0), GLOW_OK);
  in.size = (int64_t)b.size;
  for (b.fail_at = 1; b.fail_at <= b.size; b.fail_at += 8) {
    assert_int_equal(glow_tensor_file_open_input(context, &in, &file), GLOW_E_IO);
    assert_null(file);
    assert_non_null(strstr(glow_last_error(), "read callback failed at byte"));
  }
  b.fail_at = b.size; /* the header can be read, the last byte cannot */
  in.flags = GLOW_INPUT_LAZY;
  assert_int_equal(glow_tensor_file_open_input(context, &in, &file), GLOW_OK);
  float read[2];
  assert_int_equal(glow_tensor_file_read(file, 1, 0, read, 4), GLOW_OK);
  assert_int_equal(glow_tensor_file_read(file, 1, 0, read, 8), GLOW_E_IO);
  glow_tensor_file_close(&file);
}

static void refuse_input(glow_input in, const char *words) {
  glow_tensor_file *file = NULL;
  assert_int_equal(glow_tensor_file_open_input(context, &in, &file), GLOW_E_ARGUMENT);
  if (!strstr(glow_last_error(), words))
    fail_msg("'%s' lacks '%s'", glow_last_error(), words);
}

static void test_input_arguments(void **state) {
  glow_input none = GLOW_INPUT_INIT;
  glow_tensor_file *file = NULL;
  (void)state;
  refuse_input(none, "one of path, data and read");
  glow_input in = none;
  in.path = "a";
  in.data = "b";
  refuse_input(in, "one of path, data and read");
  in = none;
  in.data = "b";
  in.size = -1;
  refuse_input(in, "size");
  in.size = 1;
  in.flags = GLOW_INPUT_MAP;
  refuse_input(in, "GLOW_INPUT_MAP needs a path");
  in.flags = 4;
  refuse_input(in, "flags");
  in.flags = 0;
  in.reserved = 1;
  refuse_input(in, "reserved");
  in = none;
  in.path = "a";
  in.flags = GLOW_INPUT_MAP | GLOW_INPUT_LAZY;
  refuse_input(in, "combined with GLOW_INPUT_LAZY");
  in.flags = 0;
  in.struct_size = 8;
  refuse_input(in, "struct_size");
  in.struct_size = sizeof in;
  glow_limits limits = GLOW_LIMITS_INIT;
  in.limits = &limits;
  limits.rank = 9;
  refuse_input(in, "rank is 9; 0 (default) to 8");
  limits.rank = 0;
  limits.tensors = -1;
  refuse_input(in, "tensors is -1");
  limits.tensors = 0;
  limits.struct_size = 0;
  refuse_input(in, "glow_limits: struct_size");
  assert_int_equal(glow_tensor_file_open_input(context, NULL, &file), GLOW_E_ARGUMENT);
  assert_int_equal(glow_tensor_file_open_input(NULL, &none, &file), GLOW_E_ARGUMENT);
  assert_int_equal(glow_tensor_file_open_input(context, &none, NULL), GLOW_E_ARGUMENT);
  assert_int_equal(glow_tensor_file_index(NULL, "a"), -1);
  assert_int_equal(glow_tensor_file_metadata_count(NULL), 0);
  assert_int_equal(glow_tensor_file_read(NULL, 0, 0, &file, 1), GLOW_E_ARGUMENT);
}

static void refuse_output(glow_output o, const char *words) {
  assert_int_equal(glow_tensor_file_write_output(context, &o, NULL, 0, NULL, 0), GLOW_E_ARGUMENT);
  if (!strstr(glow_last_error(), words))
    fail_msg("'%s' lacks '%s'", glow_last_error(), words);
}

static void test_output_arguments(void **state) {
  glow_output none = GLOW_OUTPUT_INIT, o = none;
  char byte = 0;
  (void)state;
  refuse_output(none, "one of path, write and buffer");
  o.path = "a";
  o.buffer = &byte;
  refuse_output(o, "one of path, write and buffer");
  o.buffer = NULL;
  o.flags = 1;
  refuse_output(o, "flags");
  o.flags = 0;
  o.storage = GLOW_TYPE_BF16;
  refuse_output(o, "storage is only for models");
  o.storage = GLOW_TYPE_U8;
  refuse_output(o, "storage is 1");
  o.storage = 0;
  o.struct_size = 1;
  refuse_output(o, "struct_size");
  assert_int_equal(glow_tensor_file_write_output(context, NULL, NULL, 0, NULL, 0), GLOW_E_ARGUMENT);
}

/* ---- limits ---------------------------------------------------------------------------------- */

static void limited(const glow_input *input, glow_limits *limits, int64_t *field, int64_t enough,
                    const char *words) {
  glow_tensor_file *file = NULL;
  *field = enough;
  assert_int_equal(glow_tensor_file_open_input(context, input, &file), GLOW_OK);
  glow_tensor_file_close(&file);
  *field = enough - 1;
  assert_int_equal(glow_tensor_file_open_input(context, input, &file), GLOW_E_LIMIT);
  assert_null(file);
  if (!strstr(glow_last_error(), words))
    fail_msg("'%s' lacks '%s'", glow_last_error(), words);
  *limits = (glow_limits)GLOW_LIMITS_INIT;
}

static void test_limits(void **state) {
  glow_file_tensor tensors[2];
  glow_output o = GLOW_OUTPUT_INIT;
  glow_limits limits = GLOW_LIMITS_INIT;
  glow_input in = GLOW_INPUT_INIT;
  bytes b = {.size = 0};
  (void)state;
  two_tensors(tensors);
  tensors[1].name = "long \xc3\xa9";
  o.write = take;
  o.payload = &b;
  assert_int_equal(glow_tensor_file_write_output(context, &o, tensors, 2, NULL, 0), GLOW_OK);
  in.data = b.data;
  in.size = (int64_t)b.size;
  in.limits = &limits;
  limited(&in, &limits, &limits.file_bytes, in.size, "(file_bytes)");
  limited(&in, &limits, &limits.header_bytes, in.size - 24 - 8, "(header_bytes)");
  limited(&in, &limits, &limits.tensors, 2, "more than 1 tensors, at byte");
  limited(&in, &limits, &limits.rank, 2, "'b': it has 2 dimensions; at most 1 are read (rank)");
  limited(&in, &limits, &limits.name_bytes, 7, "has 7 bytes; 1 to 6 are read (name_bytes)");
}

/* ---- piece by piece -------------------------------------------------------------------------- */

static void test_writer(void **state) {
  glow_file_tensor tensors[3];
  glow_tensor_writer *writer = NULL;
  glow_input in = GLOW_INPUT_INIT;
  (void)state;
  two_tensors(tensors);
  tensors[0].data = tensors[1].data = NULL;
  tensors[2] = tensor("empty", GLOW_TYPE_U8, 1, 0, 0, 0, NULL);
  unlink(temp_path("t"));
  int files = count_files();
  const char *metadata[] = {"l", "", "k", "v\n\"\x01\xc3\xa9"};
  assert_int_equal(
      glow_tensor_writer_create(context, temp_path("t"), tensors, 2, metadata, 2, &writer),
      GLOW_OK);
  assert_int_equal(glow_tensor_writer_append(writer, 1, floats + 4, 4), GLOW_OK);
  assert_int_equal(glow_tensor_writer_append(writer, 0, floats, 16), GLOW_OK);
  assert_int_equal(glow_tensor_writer_append(writer, 1, floats + 5, 8), GLOW_E_ARGUMENT);
  assert_non_null(strstr(glow_last_error(), "4 of 8 are left"));
  assert_int_equal(glow_tensor_writer_append(writer, 1, floats + 5, 3), GLOW_E_ARGUMENT);
  assert_non_null(strstr(glow_last_error(), "elements of 4 bytes; 3 bytes are not whole ones"));
  assert_int_equal(glow_tensor_writer_append(writer, 2, floats, 1), GLOW_E_ARGUMENT);
  assert_int_equal(glow_tensor_writer_append(writer, 0, NULL, 0), GLOW_OK);
  assert_int_equal(glow_tensor_writer_append(writer, 1, floats + 5, 4), GLOW_OK);
  assert_int_equal(access(temp_path("t"), F_OK), -1);
  assert_int_equal(glow_tensor_writer_finish(&writer), GLOW_OK);
  assert_null(writer);
  assert_int_equal(count_files(), files + 1);
  in.path = temp_path("t");
  open_and_check(&in, true);
  /* not complete; abandoned; tensors without data */
  assert_int_equal(glow_tensor_writer_create(context, temp_path("u"), tensors, 3, NULL, 0, &writer),
                   GLOW_OK);
  assert_int_equal(glow_tensor_writer_append(writer, 0, floats, 12), GLOW_OK);
  assert_int_equal(glow_tensor_writer_finish(&writer), GLOW_E_STATE);
  assert_non_null(strstr(glow_last_error(), "tensor 0 has 12 of its 16 bytes"));
  assert_null(writer);
  assert_int_equal(glow_tensor_writer_create(context, temp_path("u"), tensors, 3, NULL, 0, &writer),
                   GLOW_OK);
  glow_tensor_writer_abandon(&writer);
  assert_null(writer);
  glow_tensor_writer_abandon(&writer);
  assert_int_equal(glow_tensor_writer_finish(&writer), GLOW_E_ARGUMENT);
  assert_int_equal(glow_tensor_file_write(context, temp_path("u"), tensors, 3, NULL, 0),
                   GLOW_E_ARGUMENT);
  assert_non_null(strstr(glow_last_error(), "'b' has no data"));
  assert_int_equal(
      glow_tensor_writer_create(context, temp_path("no/t"), tensors, 3, NULL, 0, &writer),
      GLOW_E_NOT_FOUND);
  assert_null(writer);
  assert_int_equal(count_files(), files + 1);
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(test_round_trip),
      cmocka_unit_test(test_all_types),
      cmocka_unit_test(test_malformed),
      cmocka_unit_test(test_not_files),
      cmocka_unit_test(test_failed_write_keeps_the_old_file),
      cmocka_unit_test(test_write_anywhere),
      cmocka_unit_test(test_read_anywhere),
      cmocka_unit_test(test_callback_fails),
      cmocka_unit_test(test_input_arguments),
      cmocka_unit_test(test_output_arguments),
      cmocka_unit_test(test_limits),
      cmocka_unit_test(test_writer),
  };
  return cmocka_run_group_tests(tests, set_up, tear_down);
}
