/* The reader and the writer of JSON: values, what is refused and where, and the same in a locale
 * whose point is a comma. SPDX-License-Identifier: MIT */
#include "../support/model_helpers.h"
#include "../support/temp_folder.h"

#include <float.h>
#include <locale.h>
#include <unistd.h>

#include "io/io.h"
#include "io/json.h"

enum { MOST = 1 << 16 };

/* A walk through a copy of `bytes`, with nothing behind them that may be read. */
typedef struct walk {
  char *memory;
  glow__json json;
} walk;

static walk begin(const char *bytes, size_t size) {
  walk w = {.memory = malloc(size + 1)};
  assert_non_null(w.memory);
  memcpy(w.memory, bytes, size);
  w.memory[size] = '\0';
  w.json = (glow__json){.text = w.memory, .size = (int64_t)size, .what = "text", .base = 100};
  return w;
}

static void assert_error(const char *text, glow_status status, const char *words) {
  if (status != GLOW_E_FORMAT || !strstr(glow_last_error(), words))
    fail_msg("%s: %s, '%s' lacks '%s'", text, glow_status_name(status), glow_last_error(), words);
}

/* ---- numbers --------------------------------------------------------------------------------- */

static const struct {
  const char *text;
  glow__json_number value;
} numbers[] = {
    {"0", {GLOW_JSON_WHOLE, 0, 0}},
    {"-0", {GLOW_JSON_WHOLE, 0, 0}},
    {"12", {GLOW_JSON_WHOLE, 12, 12}},
    {"9223372036854775807", {GLOW_JSON_WHOLE, INT64_MAX, 0x1p63}},
    {"-9223372036854775808", {GLOW_JSON_WHOLE, INT64_MIN, -0x1p63}},
    {"0.0", {GLOW_JSON_REAL, 0, 0}},
    {"-0.0", {GLOW_JSON_REAL, 0, -0.0}},
    {"1e0", {GLOW_JSON_REAL, 0, 1}},
    {"12.5", {GLOW_JSON_REAL, 0, 12.5}},
    {"-12.5E-1", {GLOW_JSON_REAL, 0, -1.25}},
    {"0.1", {GLOW_JSON_REAL, 0, 0.1}},
    {"1e-05", {GLOW_JSON_REAL, 0, 1e-5}},
    {"100e+0002", {GLOW_JSON_REAL, 0, 1e4}},
    {"0.000000000000000000000000000001e30", {GLOW_JSON_REAL, 0, 1}},
    {"1.7976931348623157e308", {GLOW_JSON_REAL, 0, DBL_MAX}},
    {"4.9406564584124654e-324", {GLOW_JSON_REAL, 0, 0x1p-1074}},
    {"1e-99999999999999999999", {GLOW_JSON_REAL, 0, 0}},
    {"0e99999999999999999999", {GLOW_JSON_REAL, 0, 0}},
    /* halfway between two doubles: to even */
    {"9007199254740993.0", {GLOW_JSON_REAL, 0, 0x1p53}},
    {"true", {GLOW_JSON_NONE, 0, 0}},
    {"\"1\"", {GLOW_JSON_NONE, 0, 0}},
    {".5", {GLOW_JSON_NONE, 0, 0}},
    {"+1", {GLOW_JSON_NONE, 0, 0}},
    {"NaN", {GLOW_JSON_NONE, 0, 0}},
    {"", {GLOW_JSON_NONE, 0, 0}},
};

static void check_numbers(void) {
  for (size_t i = 0; i < sizeof numbers / sizeof *numbers; i++) {
    const glow__json_number *wanted = &numbers[i].value;
    const char *text = numbers[i].text;
    glow__json_number number;
    walk w = begin(text, strlen(text));
    OK(glow__json_number_read(&w.json, &number));
    if (number.kind != wanted->kind || number.integer != wanted->integer ||
        memcmp(&number.real, &wanted->real, sizeof number.real) != 0)
      fail_msg("'%s' is read as %d, %lld, %.17g", text, number.kind, (long long)number.integer,
               number.real);
    assert_int_equal(w.json.at, number.kind == GLOW_JSON_NONE ? 0 : strlen(text));
    free(w.memory);
  }
}

static void test_numbers(void **state) {
  (void)state;
  check_numbers();
}

static const double reals[] = {
    0,    -0.0,    1,     -1,     12.5, 0.1,     1e-5,          1e-4,   1e16,      1e17,
    1e20, 1.5e-10, 1e100, 1e-100, 0.3,  2.0 / 3, 123456789.125, -1e300, 0x1p-1074, DBL_MAX};
static const char *const written[] = {"0.0",
                                      "-0.0",
                                      "1.0",
                                      "-1.0",
                                      "12.5",
                                      "0.10000000000000001",
                                      "1.0000000000000001e-5",
                                      "0.0001",
                                      "10000000000000000.0",
                                      "1e17",
                                      "1e20",
                                      "1.5e-10",
                                      "1e100",
                                      "1e-100",
                                      "0.29999999999999999",
                                      "0.66666666666666663",
                                      "123456789.125",
                                      "-1.0000000000000001e300",
                                      "4.9406564584124654e-324",
                                      "1.7976931348623157e308"};

static void check_reals(glow_context *context) {
  for (size_t i = 0; i < sizeof reals / sizeof *reals; i++) {
    glow__text text = {.context = context, .status = GLOW_OK};
    glow__text_real(&text, reals[i]);
    OK(text.status);
    assert_string_equal(text.bytes, written[i]);
    glow_release(context, text.bytes);
  }
}

/* Any bits that are a finite double come back. */
static void check_round_trip(glow_context *context) {
  enum { COUNT = 20000 };
  helper_random random = helper_random_of(1);
  for (int i = 0; i < COUNT; i++) {
    uint64_t bits = (uint64_t)(helper_uniform(&random) * 0x1p32) << 32;
    bits |= (uint64_t)(helper_uniform(&random) * 0x1p32);
    glow__text text = {.context = context, .status = GLOW_OK};
    glow__json_number number;
    double real;
    memcpy(&real, &bits, sizeof real);
    if (!isfinite(real))
      continue;
    glow__text_real(&text, real);
    OK(text.status);
    walk w = begin(text.bytes, (size_t)text.length);
    OK(glow__json_number_read(&w.json, &number));
    OK(glow__json_end(&w.json));
    if (number.kind != GLOW_JSON_REAL || memcmp(&number.real, &real, sizeof real) != 0)
      fail_msg("%.17g is written as '%s' and read as %.17g", real, text.bytes, number.real);
    free(w.memory);
    glow_release(context, text.bytes);
  }
}

static void test_reals(void **state) {
  glow_context *context = helper_context(1, NULL, NULL);
  glow__text text = {.context = context, .status = GLOW_OK};
  (void)state;
  check_reals(context);
  check_round_trip(context);
  glow__text_real(&text, INFINITY);
  assert_int_equal(text.status, GLOW_E_NUMERIC);
  assert_null(text.bytes);
  glow_context_destroy(&context);
}

/* ---- strings --------------------------------------------------------------------------------- */

static void test_strings(void **state) {
  static const char *const strings[][2] = {
      {"\"\"", ""},
      {"\"abc\"", "abc"},
      {"\"\\\"\\\\\\/\\b\\f\\n\\r\\t\"", "\"\\/\b\f\n\r\t"},
      {"\"\\u0001\\u007f\\u0080\\u07ff\\u0800\\uffff\"",
       "\x01\x7f\xc2\x80\xdf\xbf\xe0\xa0\x80\xef\xbf\xbf"},
      {"\"\\ud800\\udc00\\uDBFF\\uDFFF\"", "\xf0\x90\x80\x80\xf4\x8f\xbf\xbf"},
      {"\"x\xc3\xa4\\u00e4\xe2\x82\xac\xf0\x9f\x98\x80y\"",
       "x\xc3\xa4\xc3\xa4\xe2\x82\xac\xf0\x9f\x98\x80y"},
      {"\"\x7f\"", "\x7f"},
  };
  (void)state;
  for (size_t i = 0; i < sizeof strings / sizeof *strings; i++) {
    const char *text = strings[i][0], *string = NULL;
    walk w = begin(text, strlen(text));
    glow__json again = w.json;
    OK(glow__json_skip(&again));
    OK(glow__json_string(&w.json, &string));
    assert_string_equal(string, strings[i][1]);
    assert_int_equal(again.at, w.json.at);
    OK(glow__json_end(&w.json));
    free(w.memory);
  }
}

static void test_written_strings(void **state) {
  glow_context *context = helper_context(1, NULL, NULL);
  glow__text text = {.context = context, .status = GLOW_OK};
  const char *back = NULL;
  char all[128];
  (void)state;
  for (int i = 0; i < 127; i++)
    all[i] = (char)(i + 1);
  all[127] = '\0';
  glow__text_quoted(&text, all);
  OK(text.status);
  walk w = begin(text.bytes, (size_t)text.length);
  OK(glow__json_string(&w.json, &back));
  assert_string_equal(back, all);
  free(w.memory);
  glow_release(context, text.bytes);
  text = (glow__text){.context = context, .status = GLOW_OK};
  glow__text_quoted(&text, "latin \xe4");
  REFUSED(text.status, GLOW_E_ARGUMENT, "is not UTF-8");
  glow_release(context, text.bytes);
  glow_context_destroy(&context);
}

/* ---- what is refused ------------------------------------------------------------------------- */

static const char *const wrong[][2] = {
    {"", "byte 100: text: a value expected"},
    {"[1,]", "byte 103: text: a value expected"},
    {"[,1]", "byte 101: text: a value expected"},
    {"[1 2]", "byte 103: text: ',' or ']' expected"},
    {"[1}", "byte 102: text: ',' or ']' expected"},
    {"[1", "byte 102: text: ',' or ']' expected"},
    {"{\"a\":1]", "',' or '}' expected"},
    {"{\"a\":1,}", "byte 107: text: a string expected"},
    {"{\"a\" 1}", "byte 105: text: ':' expected"},
    {"{a:1}", "a string expected"},
    {"{1:1}", "a string expected"},
    {"1 2", "byte 102: text: end of the text expected"},
    {"01", "byte 101: text: end of the text expected"},
    {"- 1", "byte 100: text: not a number"},
    {"1.", "not a number"},
    {"1.e1", "not a number"},
    {"1e", "not a number"},
    {"1e+", "not a number"},
    {"+1", "a value expected"},
    {".1", "a value expected"},
    {"0x10", "end of the text expected"},
    {"1,5", "end of the text expected"},
    {"9223372036854775808", "the integer does not fit in 64 bits"},
    {"-9223372036854775809", "the integer does not fit in 64 bits"},
    {"1e309", "the number does not fit in a double"},
    {"-1e99999999999999999999", "the number does not fit in a double"},
    {"Infinity", "a value expected"},
    {"NaN", "a value expected"},
    {"True", "a value expected"},
    {"nul", "a value expected"},
    {"nulll", "end of the text expected"},
    {"'a'", "a value expected"},
    {"\"", "byte 101: text: a string without its closing quote"},
    {"\"a", "a string without its closing quote"},
    {"\"\\", "unknown escape"},
    {"\"\\x41\"", "byte 101: text: unknown escape"},
    {"\"\\u\"", "without four hexadecimal digits"},
    {"\"\\u12g4\"", "without four hexadecimal digits"},
    {"\"\\u12", "without four hexadecimal digits"},
    {"\"\\u0000\"", "NUL in a string"},
    {"\"\\ud800\"", "half of a pair"},
    {"\"\\ud800\\u0041\"", "half of a pair"},
    {"\"\\ud800\\ud800\"", "half of a pair"},
    {"\"\\udc00\"", "half of a pair"},
    {"\"\\ud800\\", "half of a pair"},
    {"\"a\nb\"", "byte 102: text: control character 0x0a in a string"},
    {"\"\x1f\"", "control character 0x1f"},
    {"\"\x80\"", "byte 0x80 of a string is not UTF-8"},
    {"\"\xc0\xaf\"", "byte 0xc0 of a string is not UTF-8"},
    {"\"\xc3", "byte 0xc3 of a string is not UTF-8"},
    {"\"\xe0\x9f\xbf\"", "not UTF-8"},
    {"\"\xed\xa0\x80\"", "not UTF-8"},
    {"\"\xf0\x8f\xbf\xbf\"", "not UTF-8"},
    {"\"\xf4\x90\x80\x80\"", "not UTF-8"},
    {"\"\xf5\x80\x80\x80\"", "not UTF-8"},
    {"\xef\xbb\xbf{}", "a value expected"},
    {"/* */ 1", "a value expected"},
    {"\v1", "a value expected"},
};

static glow_status skip_all(const char *text, size_t size) {
  walk w = begin(text, size);
  glow_status status = glow__json_skip(&w.json);
  if (status == GLOW_OK)
    status = glow__json_end(&w.json);
  free(w.memory);
  return status;
}

static void test_refused(void **state) {
  (void)state;
  for (size_t i = 0; i < sizeof wrong / sizeof *wrong; i++)
    assert_error(wrong[i][0], skip_all(wrong[i][0], strlen(wrong[i][0])), wrong[i][1]);
  assert_error("NUL within", skip_all("[1,\0 2]", 7), "byte 103: text: a value expected");
  assert_error("NUL in a string", skip_all("\"a\0\"", 4), "control character 0x00");
  assert_error("NUL behind", skip_all("1\0", 2), "byte 101: text: end of the text expected");
}

static void test_limits(void **state) {
  char text[2048];
  (void)state;
  for (int depth = GLOW_JSON_DEPTH; depth <= GLOW_JSON_DEPTH + 1; depth++) {
    int at = 0;
    for (int i = 0; i < depth; i++)
      at += snprintf(text + at, sizeof text - (size_t)at, i % 2 ? "{\"a\":" : "[1,");
    at += snprintf(text + at, sizeof text - (size_t)at, "null");
    for (int i = depth; i-- > 0;)
      text[at++] = i % 2 ? '}' : ']';
    glow_status status = skip_all(text, (size_t)at);
    if (depth == GLOW_JSON_DEPTH)
      OK(status);
    else
      assert_error("deep", status, "nested too deeply");
  }
  for (int digits = GLOW_JSON_NUMBER; digits <= GLOW_JSON_NUMBER + 1; digits++) {
    memset(text, '3', sizeof text);
    memcpy(text, "0.", 2);
    glow_status status = skip_all(text, (size_t)digits);
    if (digits == GLOW_JSON_NUMBER)
      OK(status);
    else
      assert_error("long", status, "too many digits");
  }
}

/* ---- the process's locale -------------------------------------------------------------------- */

/* Makes the point a comma for as long as `folder` is there; false where no such locale is found. */
static bool set_comma(char *folder) {
  static const char *const names[] = {"de_DE.UTF-8", "fr_FR.UTF-8", "nl_NL.UTF-8", "de_DE.utf8"};
  char command[sizeof temp_folder + 100];
  snprintf(command, sizeof command,
           "localedef -c -i de_DE -f UTF-8 %s/de_DE.UTF-8 > /dev/null 2>&1", folder);
  if (system(command) == 0)
    setenv("LOCPATH", folder, 1);
  for (size_t i = 0; i < sizeof names / sizeof *names; i++)
    if (setlocale(LC_ALL, names[i]) && strcmp(localeconv()->decimal_point, ",") == 0)
      return true;
  return false;
}

static size_t save(const glow_model *model, unsigned char *bytes) {
  glow_output o = GLOW_OUTPUT_INIT;
  size_t size = 0;
  o.buffer = bytes;
  o.capacity = MOST;
  o.written = &size;
  OK(glow_model_save_output(model, &o));
  return size;
}

/* A file is the same bytes, and is read the same. */
static void check_model(glow_context *context, const glow_model *model, const unsigned char *bytes,
                        size_t size) {
  static unsigned char here[MOST];
  glow_model *loaded = NULL;
  glow_input in = GLOW_INPUT_INIT;
  assert_int_equal(save(model, here), size);
  assert_memory_equal(here, bytes, size);
  in.data = bytes;
  in.size = (int64_t)size;
  OK(glow_model_load_input(context, &in, &loaded));
  assert_int_equal(save(loaded, here), size);
  assert_memory_equal(here, bytes, size);
  glow_model_destroy(&loaded);
}

static void test_locale(void **state) {
  static unsigned char bytes[MOST];
  glow_context *context = helper_context(1, NULL, NULL);
  glow_glow_options o = GLOW_GLOW_OPTIONS_INIT;
  (void)state;
  o.input = (glow_shape){4, 4, 2};
  o.levels = o.depth = 1;
  o.hidden = 3;
  glow_model *model = helper_glow(context, &o, 3);
  size_t size = save(model, bytes);
  assert_true(temp_folder_make(NULL));
  bool comma = set_comma(temp_folder);
  if (comma) {
    check_numbers();
    check_reals(context);
    check_round_trip(context);
    check_model(context, model, bytes, size);
  }
  setlocale(LC_ALL, "C");
  unsetenv("LOCPATH");
  assert_true(temp_folder_remove());
  glow_model_destroy(&model);
  glow_context_destroy(&context);
  if (!comma) {
    print_message("no locale with a comma here (Debian's package locales has them)\n");
    skip();
  }
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(test_numbers), cmocka_unit_test(test_reals),
      cmocka_unit_test(test_strings), cmocka_unit_test(test_written_strings),
      cmocka_unit_test(test_refused), cmocka_unit_test(test_limits),
      cmocka_unit_test(test_locale),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
