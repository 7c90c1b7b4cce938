/* Tensor files: round trips, a table of malformed files with the messages they must give, writes
 * that fail. SPDX-License-Identifier: MIT */
#include <dirent.h>
#include <glow/glow.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cmocka.h>

static char folder[] = "/tmp/glow-io-XXXXXX";
static glow_context *context;

static const char *path_of(const char *name) {
  static char path[256];
  snprintf(path, sizeof path, "%s/%s", folder, name);
  return path;
}

static int count_files(void) {
  DIR *directory = opendir(folder);
  int count = 0;
  assert_non_null(directory);
  for (const struct dirent *e; (e = readdir(directory));)
    count += e->d_name[0] != '.';
  closedir(directory);
  return count;
}

static int set_up(void **state) {
  (void)state;
  return mkdtemp(folder) && glow_context_create(NULL, &context) == GLOW_OK ? 0 : -1;
}

static int tear_down(void **state) {
  char command[128];
  (void)state;
  glow_context_destroy(&context);
  snprintf(command, sizeof command, "rm -rf %s", folder);
  return system(command);
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
      tensor("bytes", GLOW_FILE_U8, 1, 5, 0, 5, bytes),
      tensor("doubles", GLOW_FILE_F64, 2, 3, 1, 24, doubles),
      tensor("empty", GLOW_FILE_F32, 2, 0, 7, 0, NULL),
      tensor("scalar", GLOW_FILE_I32, 0, 0, 0, 4, bytes),
      tensor("longs", GLOW_FILE_I64, 1, 2, 0, 16, longs),
      tensor("halves", GLOW_FILE_BF16, 1, 2, 0, 4, halves),
  };
  const char *metadata[] = {"key", "a \"text\" of \xc3\xa9", "other", ""};
  glow_tensor_file *file = NULL;
  (void)state;
  assert_int_equal(glow_tensor_file_write(context, path_of("a"), tensors, 6, metadata, 2), GLOW_OK);
  assert_int_equal(glow_tensor_file_open(context, path_of("a"), &file), GLOW_OK);
  assert_int_equal(glow_tensor_file_count(file), 6);
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
  assert_int_equal(glow_tensor_file_find(file, "none", &none), GLOW_E_FORMAT);
  assert_non_null(strstr(glow_last_error(), "none"));
  assert_int_equal(glow_tensor_file_get(file, 6, &none), GLOW_E_ARGUMENT);
  glow_tensor_file_close(&file);
}

/* ---- malformed files ------------------------------------------------------------------------- */

typedef struct bad {
  const char *header; /* JSON; NULL: `raw` is the whole file */
  int data;           /* bytes of data behind it */
  const char *message;
  long long length; /* header length to claim; 0: the true one */
} bad;

#define T(dtype, shape, offsets)                                                                   \
  "{\"a\":{\"dtype\":\"" dtype "\",\"shape\":" shape ",\"data_offsets\":" offsets "}}"

static const bad bads[] = {
    {"", 0, "not a JSON object", 0},
    {"[]", 0, "not a JSON object", 0},
    {" {}", 0, "not a JSON object", 0},
    {"{", 0, "header:", 0},
    {"{}x", 0, "header:", 0},
    {"{\"a\":1,\"a\":2}", 0, "duplicate", 0},
    {"{\"a\":\"\xff\"}", 0, "header:", 0},
    {"{\"a\":1}", 0, "'a' is not an object", 0},
    {"{\"a\":{}}", 0, "'a' is not an object", 0},
    {"{\"\":1}", 0, "a tensor's name", 0},
    {"{\"__metadata__\":1}", 0, "__metadata__ is not an object", 0},
    {"{\"__metadata__\":{\"k\":1}}", 0, "'k' is not a string", 0},
    {"{}", 0, "claims", 3},
    {"{}", 0, "claims", 1000000},
    {"{}", 0, "at most", 100000001},
    {"{}", 0, "at most", -1},
    {"{}", 1, "the tensors end at byte 0", 0},
    {T("F32", "[1]", "[0,4]"), 0, "which has 0", 0},
    {T("F32", "[1]", "[0,4]"), 3, "which has 3", 0},
    {T("F32", "[1]", "[0,4]"), 5, "the tensors end at byte 4", 0},
    {T("F32", "[1]", "[1,5]"), 5, "starts at byte 1", 0},
    {T("F32", "[2]", "[0,4]"), 4, "do not hold its 8 bytes", 0},
    {T("F32", "[1]", "[4,0]"), 4, "do not hold", 0},
    {T("F32", "[1]", "[-4,0]"), 4, "do not hold", 0},
    {T("F32", "[1]", "[0]"), 4, "no pair of data_offsets", 0},
    {T("F32", "[1]", "[0,4.0]"), 4, "no pair of data_offsets", 0},
    {T("F32", "[1]", "{}"), 4, "no pair of data_offsets", 0},
    {T("F33", "[1]", "[0,4]"), 4, "'F33' is not known", 0},
    {T("F32", "1", "[0,4]"), 4, "no shape", 0},
    {T("F32", "[-1]", "[0,4]"), 4, "dimension 0 is not a count", 0},
    {T("F32", "[1.5]", "[0,4]"), 4, "dimension 0 is not a count", 0},
    {T("F32", "[1,1,1,1,1,1,1,1,1]", "[0,4]"), 4, "9 dimensions", 0},
    {T("F32", "[4294967296,4294967296]", "[0,4]"), 4, "does not fit", 0},
    {T("F32", "[4611686018427387904]", "[0,0]"), 0, "does not fit", 0},
    {T("U8", "[9223372036854775807]", "[1,0]"), 0, "do not hold", 0},
    {"{\"a\":{\"dtype\":\"U8\",\"shape\":[1],\"data_offsets\":[0,1]},"
     "\"b\":{\"dtype\":\"U8\",\"shape\":[1],\"data_offsets\":[0,1]}}",
     1, "starts at byte 0", 0},
    {"{\"a\":{\"dtype\":\"U8\",\"shape\":[1],\"data_offsets\":[0,1]},"
     "\"b\":{\"dtype\":\"U8\",\"shape\":[1],\"data_offsets\":[2,3]}}",
     3, "starts at byte 2", 0},
    {"{\"a\":{\"dtype\":\"U8\",\"shape\":[1],\"data_offsets\":[0,1],\"x\":1}}", 1,
     "not an object of", 0},
    {"{\"a\":{\"shape\":[1],\"data_offsets\":[0,1],\"x\":1}}", 1, "has no dtype", 0},
};

static void write_bytes(const char *path, const void *data, size_t size) {
  FILE *file = fopen(path, "wb");
  assert_non_null(file);
  assert_int_equal(fwrite(data, 1, size, file), size);
  assert_int_equal(fclose(file), 0);
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
    write_bytes(path_of("bad"), bytes, 8 + length + (size_t)bads[i].data);
    if (glow_tensor_file_open(context, path_of("bad"), &file) != GLOW_E_FORMAT || file)
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
  refused(path_of("missing"), GLOW_E_IO, "No such file");
  refused(folder, GLOW_E_IO, "not a regular file");
  refused("/dev/zero", GLOW_E_IO, "not a regular file");
  write_bytes(path_of("short"), "1234567", 7);
  refused(path_of("short"), GLOW_E_FORMAT, "7 bytes are too few");
  assert_int_equal(mkfifo(path_of("pipe"), 0600), 0);
  refused(path_of("pipe"), GLOW_E_IO, "not a regular file");
}

/* ---- writes that fail ------------------------------------------------------------------------ */

static void test_failed_write_keeps_the_old_file(void **state) {
  const uint8_t bytes[1] = {7};
  const glow_file_tensor good = tensor("a", GLOW_FILE_U8, 1, 1, 0, 1, bytes);
  const glow_file_tensor twice[] = {good, good};
  glow_file_tensor wrong = good;
  glow_tensor_file *file = NULL;
  (void)state;
  assert_int_equal(glow_tensor_file_write(context, path_of("kept"), &good, 1, NULL, 0), GLOW_OK);
  int files = count_files();
  assert_int_equal(glow_tensor_file_write(context, path_of("kept"), twice, 2, NULL, 0),
                   GLOW_E_ARGUMENT);
  wrong.bytes = 2;
  assert_int_equal(glow_tensor_file_write(context, path_of("kept"), &wrong, 1, NULL, 0),
                   GLOW_E_ARGUMENT);
  wrong = good;
  wrong.name = "\xff";
  assert_int_not_equal(glow_tensor_file_write(context, path_of("kept"), &wrong, 1, NULL, 0),
                       GLOW_OK);
  assert_int_equal(glow_tensor_file_write(context, path_of("no/where"), &good, 1, NULL, 0),
                   GLOW_E_IO);
  assert_non_null(strstr(glow_last_error(), "no/where"));
  assert_int_equal(glow_tensor_file_write(context, "/dev/full", &good, 1, NULL, 0), GLOW_E_IO);
  assert_int_equal(glow_tensor_file_write(context, folder, &good, 1, NULL, 0), GLOW_E_IO);
  assert_int_equal(count_files(), files);
  assert_int_equal(glow_tensor_file_open(context, path_of("kept"), &file), GLOW_OK);
  assert_int_equal(glow_tensor_file_count(file), 1);
  glow_tensor_file_close(&file);
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(test_round_trip),
      cmocka_unit_test(test_malformed),
      cmocka_unit_test(test_not_files),
      cmocka_unit_test(test_failed_write_keeps_the_old_file),
  };
  return cmocka_run_group_tests(tests, set_up, tear_down);
}
