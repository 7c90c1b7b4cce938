/* Options tables: every kind of field, its range, its default, the words of its messages, and its
 * way through a list of keys and back. SPDX-License-Identifier: MIT */
#include <float.h>
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "base/base.h"

/* ---- a table with all there is --------------------------------------------------------------- */

enum { SHADE_LIGHT = 31, SHADE_DARK = 32 };
static const glow_choice shades[] = {
    {SHADE_LIGHT, 0, "light"}, {SHADE_DARK, 0, "dark"}, {0, 0, NULL}};

typedef struct sample_options {
  size_t struct_size;
  int32_t width;    /* 1 to 64; default 8 */
  int32_t flag;     /* 0 or 1 */
  int64_t long_one; /* 2 or more; default 2^33 */
  double rate;      /* above 0 and below 1; default 0.1 */
  double bound;     /* above 0; default 4 */
  double share;     /* at least 0 and below 1 */
  int32_t shade;
  int32_t reserved;
  uint64_t seed;
  const int32_t *list; /* 0 or more */
  int64_t list_count;
  /* added later */
  int32_t depth;  /* 1 to 9; 0: 3 */
  int32_t second; /* 0: light */
  double decay;   /* 0: 0.5 */
} sample_options;

static glow_status check_together(const void *options) {
  const sample_options *o = options;
  if (o->width == 13 && o->flag)
    return glow_error(GLOW_E_ARGUMENT, "a width of 13 goes without the flag");
  return GLOW_OK;
}

static const glow_option rows[] = {
    GLOW_OPTION(sample_options, width, INT32, .low = 1, .high = 64, .fallback = 8),
    GLOW_OPTION(sample_options, flag, INT32, .high = 1, .flags = GLOW_OPTION_QUIET),
    GLOW_OPTION(sample_options, long_one, INT64, .key = "long", .low = 2, .high = 0x1p62,
                .fallback = 0x1p33),
    GLOW_OPTION(sample_options, rate, REAL, .high = 1, .fallback = 0.1,
                .flags = GLOW_OPTION_ABOVE_LOW | GLOW_OPTION_BELOW_HIGH),
    GLOW_OPTION(sample_options, bound, REAL, .high = DBL_MAX, .fallback = 4,
                .flags = GLOW_OPTION_ABOVE_LOW),
    GLOW_OPTION(sample_options, share, REAL, .high = 1, .flags = GLOW_OPTION_BELOW_HIGH),
    GLOW_OPTION(sample_options, shade, CHOICE, .choices = shades, .prefix = "SHADE_",
                .fallback = SHADE_DARK),
    GLOW_OPTION(sample_options, reserved, RESERVED),
    GLOW_OPTION(sample_options, seed, UINT64),
    GLOW_OPTION(sample_options, list, INDICES, .high = 0x1p62, .flags = GLOW_OPTION_QUIET),
    GLOW_OPTION(sample_options, depth, INT32, .low = 1, .high = 9, .fallback = 3,
                .flags = GLOW_OPTION_ADDED),
    GLOW_OPTION(sample_options, second, CHOICE, .choices = shades, .prefix = "SHADE_",
                .fallback = SHADE_LIGHT, .flags = GLOW_OPTION_ADDED | GLOW_OPTION_QUIET),
    GLOW_OPTION(sample_options, decay, REAL, .high = 1, .fallback = 0.5,
                .flags = GLOW_OPTION_ADDED | GLOW_OPTION_ABOVE_LOW),
};
static const glow_options_table table = {
    .struct_size = sizeof table,
    .name = "sample_options",
    .size = sizeof(sample_options),
    .smallest = offsetof(sample_options, depth),
    .options = rows,
    .count = sizeof rows / sizeof *rows,
    .check = check_together,
};

static sample_options defaults(void) {
  sample_options o;
  assert_int_equal(glow_options_read(&table, NULL, &o), GLOW_OK);
  return o;
}

/* ---- defaults and what the caller says ------------------------------------------------------- */

static void test_defaults(void **state) {
  const sample_options o = defaults();
  (void)state;
  assert_int_equal(o.struct_size, sizeof o);
  assert_int_equal(o.width, 8);
  assert_int_equal(o.flag, 0);
  assert_int_equal(o.long_one, (int64_t)1 << 33);
  assert_true(o.rate == 0.1 && o.bound == 4 && o.share == 0 && o.decay == 0.5);
  assert_int_equal(o.shade, SHADE_DARK);
  assert_int_equal(o.seed, 0);
  assert_null(o.list);
  assert_int_equal(o.list_count, 0);
  assert_int_equal(o.depth, 3);
  assert_int_equal(o.second, SHADE_LIGHT);
}

static void test_values(void **state) {
  static const int32_t list[] = {4, 0, 2147483647};
  sample_options from = defaults(), to;
  (void)state;
  from.width = 64;
  from.flag = 1;
  from.long_one = INT64_MAX / 2;
  from.rate = DBL_MIN;
  from.bound = 1e300;
  from.share = 0;
  from.shade = SHADE_LIGHT;
  from.seed = UINT64_MAX;
  from.list = list;
  from.list_count = 3;
  from.depth = 9;
  from.second = SHADE_DARK;
  from.decay = 1;
  assert_int_equal(glow_options_read(&table, &from, &to), GLOW_OK);
  assert_memory_equal(&to, &from, sizeof to);
  assert_int_equal(glow_options_read(&table, NULL, NULL), GLOW_E_ARGUMENT);
  assert_int_equal(glow_options_read(NULL, &from, &to), GLOW_E_ARGUMENT);
}

/* Fields that were added later mean their defaults when 0; the others are what they are. */
static void test_added(void **state) {
  sample_options from = defaults(), to;
  (void)state;
  from.depth = from.second = 0;
  from.decay = 0;
  from.seed = 0;
  assert_int_equal(glow_options_read(&table, &from, &to), GLOW_OK);
  assert_int_equal(to.depth, 3);
  assert_int_equal(to.second, SHADE_LIGHT);
  assert_true(to.decay == 0.5);
  from.width = 0;
  assert_int_equal(glow_options_read(&table, &from, &to), GLOW_E_ARGUMENT);
}

/* A caller of an older library has a shorter struct, one of a newer library a longer one. */
static void test_sizes(void **state) {
  struct {
    sample_options base;
    int64_t more;
  } longer = {defaults(), 0};
  sample_options to;
  (void)state;
  longer.base.struct_size = sizeof longer;
  longer.base.width = 5;
  assert_int_equal(glow_options_read(&table, &longer, &to), GLOW_OK);
  assert_int_equal(to.struct_size, sizeof to);
  assert_int_equal(to.width, 5);
  longer.more = 1;
  assert_int_equal(glow_options_read(&table, &longer, &to), GLOW_E_ARGUMENT);
  assert_non_null(strstr(glow_last_error(), "sample_options: byte "));
  longer.base.depth = 7; /* beyond the first version's end */
  longer.base.struct_size = table.smallest;
  assert_int_equal(glow_options_read(&table, &longer, &to), GLOW_OK);
  assert_int_equal(to.depth, 3);
  assert_int_equal(to.width, 5);
  longer.base.struct_size = table.smallest - 1;
  assert_int_equal(glow_options_read(&table, &longer, &to), GLOW_E_ARGUMENT);
  assert_non_null(strstr(glow_last_error(), "sample_options: struct_size is "));
}

/* ---- refusals -------------------------------------------------------------------------------- */

/* All of the message; builds of type debug put " (file:line)" behind it. */
static void says(const char *words) {
  const char *text = glow_last_error();
  size_t length = strlen(words);
  if (strncmp(text, words, length) != 0 || (text[length] && strncmp(text + length, " (", 2) != 0))
    fail_msg("\"%s\" instead of \"%s\"", text, words);
}

static void test_messages(void **state) {
  static const int32_t list[] = {4, -1};
  sample_options to;
  (void)state;
#define BAD(field_, value_, words_)                                                                \
  do {                                                                                             \
    sample_options from = defaults();                                                              \
    from.field_ = (value_);                                                                        \
    assert_int_equal(glow_options_read(&table, &from, &to), GLOW_E_ARGUMENT);                      \
    says("sample_options: " words_);                                                               \
  } while (0)
  BAD(width, 0, "width is 0; it must be 1 to 64");
  BAD(width, 65, "width is 65; it must be 1 to 64");
  BAD(width, INT32_MIN, "width is -2147483648; it must be 1 to 64");
  BAD(flag, 2, "flag is 2; it must be 0 or 1");
  BAD(flag, -1, "flag is -1; it must be 0 or 1");
  BAD(long_one, 1, "long_one is 1; it must be 2 or more");
  BAD(rate, 0.0, "rate is 0; it must be above 0 and below 1");
  BAD(rate, 1.0, "rate is 1; it must be above 0 and below 1");
  BAD(rate, (double)NAN, "rate is nan; it must be above 0 and below 1");
  BAD(bound, 0.0, "bound is 0; it must be above 0");
  BAD(bound, (double)INFINITY, "bound is inf; it must be above 0");
  BAD(share, 1.0, "share is 1; it must be at least 0 and below 1");
  BAD(share, -0.5, "share is -0.5; it must be at least 0 and below 1");
  BAD(shade, 0, "shade is 0; it must be one of SHADE_...: light (31), dark (32)");
  BAD(shade, 33, "shade is 33; it must be one of SHADE_...: light (31), dark (32)");
  BAD(reserved, 7, "reserved must be 0");
  BAD(list_count, 1, "list: a list of 1; it must have 0 to 2^24 and an address");
  BAD(list_count, -1, "list: a list of -1; it must have 0 to 2^24 and an address");
  BAD(list_count, ((int64_t)1 << 24) + 1,
      "list: a list of 16777217; it must have 0 to 2^24 and an address");
  BAD(depth, 10, "depth is 10; it must be 1 to 9");
  BAD(depth, -1, "depth is -1; it must be 1 to 9");
  BAD(second, 1, "second is 1; it must be one of SHADE_...: light (31), dark (32)");
  BAD(decay, 1.5, "decay is 1.5; it must be above 0 and at most 1");
#undef BAD
  sample_options from = defaults();
  from.list = list;
  from.list_count = 2;
  assert_int_equal(glow_options_read(&table, &from, &to), GLOW_E_ARGUMENT);
  says("sample_options: list[1] is -1; it must be 0 or more");
  from = defaults();
  from.width = 13;
  from.flag = 1;
  assert_int_equal(glow_options_read(&table, &from, &to), GLOW_E_ARGUMENT);
  says("a width of 13 goes without the flag"); /* the table's own check chooses its words */
}

/* What the author of a table can get wrong. */
static void test_bad_tables(void **state) {
  glow_option bad[sizeof rows / sizeof *rows];
  glow_options_table t;
  (void)state;
  assert_int_equal(glow__options_table_check(NULL), GLOW_OK);
  assert_int_equal(glow__options_table_check(&table), GLOW_OK);
#define BAD(change_, words_)                                                                       \
  do {                                                                                             \
    t = table;                                                                                     \
    memcpy(bad, rows, sizeof bad);                                                                 \
    t.options = bad;                                                                               \
    change_;                                                                                       \
    assert_int_equal(glow__options_table_check(&t), GLOW_E_ARGUMENT);                              \
    says(words_);                                                                                  \
  } while (0)
  const char *shape = "options table of sample_options: it needs a name, rows, and the sizes of a "
                      "struct that starts with struct_size";
  BAD(t.count = -1, shape);
  BAD(t.options = NULL, shape);
  BAD(t.reserved = 1, shape);
  BAD(t.smallest = sizeof(size_t) - 1, shape);
  BAD(t.smallest = t.size + 1, shape);
  BAD(bad[1].name = NULL, "options table of sample_options: row 1 has no name");
  BAD(bad[0].type = 0,
      "options table of sample_options: width: its type is none of GLOW_OPTION_...");
  BAD(bad[0].offset = 0, "options table of sample_options: width: the field is outside the struct");
  BAD(bad[3].offset = sizeof(sample_options) - 4,
      "options table of sample_options: rate: the field is outside the struct");
  BAD(bad[9].offset = sizeof(sample_options) - 8,
      "options table of sample_options: list: the field is outside the struct");
  BAD(bad[6].choices = NULL, "options table of sample_options: shade: it has no choices");
  BAD(bad[0].low = 65, "options table of sample_options: width: low is above high");
  BAD(bad[3].high = (double)NAN, "options table of sample_options: rate: low is above high");
#undef BAD
  t = table;
  t.struct_size = 16;
  assert_int_equal(glow__options_table_check(&t), GLOW_E_ARGUMENT);
  assert_non_null(strstr(glow_last_error(), "glow_options_table: struct_size is 16"));
}

/* ---- files ----------------------------------------------------------------------------------- */

static void save(const sample_options *o, glow__config *config) {
  assert_int_equal(glow__options_save(&table, o, config), GLOW_OK);
}

static bool has(const glow__config *config, const char *key) {
  for (int32_t i = 0; i < glow__config_count(config); i++)
    if (strcmp(glow__config_at(config, i)->key, key) == 0)
      return true;
  return false;
}

static void test_saved(void **state) {
  static const int32_t list[] = {0, 2, 2147483647};
  glow_context context = {0};
  glow__config config;
  sample_options from = defaults(), to;
  int64_t integer = 0;
  double real = 0;
  const char *text = NULL;
  (void)state;
  assert_int_equal(glow__config_create(&context, &config), GLOW_OK);
  from.width = 17;
  from.rate = 1.0 / 3;
  from.shade = SHADE_LIGHT;
  from.list = list;
  from.list_count = 3;
  from.seed = 99;
  from.second = SHADE_DARK;
  save(&from, &config);
  assert_int_equal(glow__config_get_int(&config, "width", 0, 99, &integer), GLOW_OK);
  assert_int_equal(integer, 17);
  assert_int_equal(glow__config_get_int(&config, "long", 0, INT64_MAX, &integer), GLOW_OK);
  assert_int_equal(integer, (int64_t)1 << 33);
  assert_int_equal(glow__config_get_real(&config, "rate", &real), GLOW_OK);
  assert_true(real == 1.0 / 3);
  assert_int_equal(glow__config_get_text(&config, "shade", &text), GLOW_OK);
  assert_string_equal(text, "light");
  assert_int_equal(glow__config_get_text(&config, "list", &text), GLOW_OK);
  assert_string_equal(text, "0,2,2147483647");
  assert_int_equal(glow__config_get_text(&config, "second", &text), GLOW_OK);
  assert_string_equal(text, "dark");
  assert_int_equal(glow__config_get_text(&config, NULL, &text), GLOW_E_ARGUMENT);
  assert_int_equal(glow__config_get_text(&config, "list", NULL), GLOW_E_ARGUMENT);
  assert_int_equal(glow__config_get_text(NULL, "list", &text), GLOW_E_ARGUMENT);
  assert_false(has(&config, "flag")); /* quiet while it has its default */
  assert_false(has(&config, "seed"));
  assert_false(has(&config, "reserved"));
  assert_true(has(&config, "depth")); /* not quiet */
  assert_int_equal(glow__options_load(&table, &context, &config, &to), GLOW_OK);
  assert_int_equal(to.width, 17);
  assert_int_equal(to.seed, 0);
  assert_int_equal(to.second, SHADE_DARK);
  assert_true(to.rate == 1.0 / 3);
  assert_int_equal(to.list_count, 3);
  assert_memory_equal(to.list, list, sizeof list);
  assert_true(to.list != list);
  glow__options_release(&table, &context, &to);
  glow__config_destroy(&config);
  /* nothing written: all defaults */
  assert_int_equal(glow__config_create(&context, &config), GLOW_OK);
  assert_int_equal(glow__options_load(&table, &context, &config, &to), GLOW_OK);
  from = defaults();
  assert_memory_equal(&to, &from, sizeof to);
  glow__config_destroy(&config);
}

/* Quiet fields: an empty list, a default. */
static void test_quiet(void **state) {
  glow_context context = {0};
  glow__config config;
  const sample_options from = defaults();
  (void)state;
  assert_int_equal(glow__config_create(&context, &config), GLOW_OK);
  save(&from, &config);
  assert_false(has(&config, "list"));
  assert_false(has(&config, "second"));
  assert_true(has(&config, "decay"));
  assert_int_equal(glow__options_save(NULL, NULL, &config), GLOW_OK); /* a type without options */
  glow__config_destroy(&config);
}

/* A file may say anything. */
static void refuse_text(const char *key, const char *value, const char *words) {
  glow_context context = {0};
  glow__config config;
  sample_options to;
  assert_int_equal(glow__config_create(&context, &config), GLOW_OK);
  assert_int_equal(glow__config_set_text(&config, key, value), GLOW_OK);
  assert_int_equal(glow__options_load(&table, &context, &config, &to), GLOW_E_FORMAT);
  says(words);
  glow__options_release(&table, &context, &to);
  glow__config_destroy(&config);
}

static void refuse_integer(const char *key, int64_t value, const char *words) {
  glow_context context = {0};
  glow__config config;
  sample_options to;
  assert_int_equal(glow__config_create(&context, &config), GLOW_OK);
  assert_int_equal(glow__config_set_int(&config, key, value), GLOW_OK);
  assert_int_equal(glow__options_load(&table, &context, &config, &to), GLOW_E_FORMAT);
  says(words);
  glow__config_destroy(&config);
}

static void test_bad_files(void **state) {
  (void)state;
  refuse_integer("width", 65, "option 'width' is 65; it must be 1 to 64");
  refuse_integer("width", INT64_MAX, "option 'width' is 9223372036854775807; it must be 1 to 64");
  refuse_integer("depth", 0,
                 "option 'depth' is 0; it must be 1 to 9"); /* files say what is meant */
  refuse_integer("shade", 31, "option 'shade' is an integer instead of text");
  refuse_integer("rate", 1, "option 'rate' is an integer instead of a real number");
  refuse_text("width", "8", "option 'width' is text instead of an integer");
  refuse_text("shade", "grey", "option 'shade' is 'grey'; it must be one of light, dark");
  refuse_text("shade", "SHADE_DARK",
              "option 'shade' is 'SHADE_DARK'; it must be one of light, dark");
  const char *lists[] = {"a",
                         "1,",
                         ",1",
                         "1,,2",
                         "-1",
                         "1 2",
                         "1,+2",
                         "2147483648",
                         "1;2",
                         "0x1",
                         "99999999999999999999"};
  for (size_t i = 0; i < sizeof lists / sizeof *lists; i++) {
    char words[120];
    snprintf(words, sizeof words, "option 'list' is '%s', not a list such as 0,2,5", lists[i]);
    refuse_text("list", lists[i], words);
  }
}

/* A value in its range of type, but not of the table: found when the thing is made. */
static void test_loaded_values_are_checked(void **state) {
  glow_context context = {0};
  glow__config config;
  sample_options loaded, to;
  (void)state;
  assert_int_equal(glow__config_create(&context, &config), GLOW_OK);
  assert_int_equal(glow__config_set_real(&config, "rate", 1.0), GLOW_OK);
  assert_int_equal(glow__options_load(&table, &context, &config, &loaded), GLOW_OK);
  assert_int_equal(glow_options_read(&table, &loaded, &to), GLOW_E_ARGUMENT);
  says("sample_options: rate is 1; it must be above 0 and below 1");
  glow__config_destroy(&config);
}

/* ---- views ----------------------------------------------------------------------------------- */

static void test_views(void **state) {
  glow_context context = {0};
  glow__config config;
  sample_options one = defaults(), two = defaults(), to;
  (void)state;
  assert_int_equal(glow__config_create(&context, &config), GLOW_OK);
  glow__config shift = glow__config_view(&config, "shift");
  glow__config scale = glow__config_view(&config, "scale");
  one.width = 11;
  two.width = 12;
  save(&one, &shift);
  save(&two, &scale);
  assert_true(has(&config, "shift.width"));
  assert_true(has(&config, "scale.width"));
  assert_false(has(&config, "width"));
  assert_int_equal(glow__options_load(&table, &context, &shift, &to), GLOW_OK);
  assert_int_equal(to.width, 11);
  assert_string_equal(glow__config_unasked(&config), "scale.width");
  assert_int_equal(glow__options_load(&table, &context, &scale, &to), GLOW_OK);
  assert_int_equal(to.width, 12);
  assert_null(glow__config_unasked(&config));
  assert_int_equal(glow__options_load(&table, &context, &config, &to),
                   GLOW_OK); /* the list has none itself */
  assert_int_equal(to.width, 8);
  /* errors name the whole key; what a view sets again replaces the first value */
  assert_int_equal(glow__config_set_int(&scale, "width", 99), GLOW_OK);
  assert_int_equal(glow__options_load(&table, &context, &scale, &to), GLOW_E_FORMAT);
  says("option 'scale.width' is 99; it must be 1 to 64");
  assert_int_equal(glow__config_set_text(&scale, "shade", "grey"), GLOW_OK);
  assert_int_equal(glow__config_set_int(&scale, "width", 9), GLOW_OK);
  assert_int_equal(glow__options_load(&table, &context, &scale, &to), GLOW_E_FORMAT);
  says("option 'scale.shade' is 'grey'; it must be one of light, dark");
  assert_int_equal(glow__config_set_text(&scale, "shade", "dark"), GLOW_OK);
  assert_int_equal(glow__config_set_text(&scale, "list", "1,"), GLOW_OK);
  assert_int_equal(glow__options_load(&table, &context, &scale, &to), GLOW_E_FORMAT);
  says("option 'scale.list' is '1,', not a list such as 0,2,5");
  glow__options_release(&table, &context, &to);
  glow__config_destroy(&config);
}

/* ---- lists are the owner's ------------------------------------------------------------------- */

typedef struct counter {
  size_t live, calls, fail_at;
} counter;

static void *counted_allocate(size_t size, void *payload) {
  counter *c = payload;
  if (++c->calls == c->fail_at)
    return NULL;
  c->live++;
  return malloc(size);
}

static void counted_release(void *memory, void *payload) {
  ((counter *)payload)->live--;
  free(memory);
}

static void test_lists_are_copied(void **state) {
  int32_t list[] = {3, 1};
  (void)state;
  for (size_t fail_at = 0; fail_at < 2; fail_at++) {
    counter c = {0, 0, fail_at};
    glow_context context = {
        .allocator = {sizeof context.allocator, counted_allocate, counted_release, &c}};
    sample_options own = defaults();
    own.list = list;
    own.list_count = 2;
    assert_int_equal(glow__options_own(&table, &context, &own), fail_at ? GLOW_E_MEMORY : GLOW_OK);
    list[0] = 5;
    assert_true(own.list != list);
    assert_int_equal(own.list_count, fail_at ? 0 : 2);
    if (!fail_at)
      assert_int_equal(own.list[0], 3);
    list[0] = 3;
    glow__options_release(&table, &context, &own);
    assert_int_equal(c.live, 0);
  }
}

/* Behind a size: on 32-bit ARM the length follows the address at once here, and after padding in
 * sample_options. */
typedef struct listed_options {
  size_t struct_size;
  const int32_t *list;
  int64_t list_count;
} listed_options;

static void test_list_behind_the_size(void **state) {
  static const glow_option row = GLOW_OPTION(listed_options, list, INDICES, .high = 9);
  const glow_options_table listed = {.struct_size = sizeof listed,
                                     .name = "listed_options",
                                     .size = sizeof(listed_options),
                                     .smallest = sizeof(listed_options),
                                     .options = &row,
                                     .count = 1};
  const int32_t list[] = {7, 2};
  listed_options from = {sizeof from, list, 2}, to;
  (void)state;
  assert_int_equal(glow_options_read(&listed, &from, &to), GLOW_OK);
  assert_ptr_equal(to.list, list);
  from.list_count = -1;
  assert_int_equal(glow_options_read(&listed, &from, &to), GLOW_E_ARGUMENT);
  says("listed_options: list: a list of -1; it must have 0 to 2^24 and an address");
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(test_defaults),
      cmocka_unit_test(test_values),
      cmocka_unit_test(test_added),
      cmocka_unit_test(test_sizes),
      cmocka_unit_test(test_messages),
      cmocka_unit_test(test_bad_tables),
      cmocka_unit_test(test_saved),
      cmocka_unit_test(test_quiet),
      cmocka_unit_test(test_bad_files),
      cmocka_unit_test(test_loaded_values_are_checked),
      cmocka_unit_test(test_views),
      cmocka_unit_test(test_lists_are_copied),
      cmocka_unit_test(test_list_behind_the_size),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
