/* Base: status codes, error text, structs with a size, memory, configuration.
 * SPDX-License-Identifier: MIT */
#include <math.h>
#include <pthread.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "base/base.h"

/* ---- status ---------------------------------------------------------------------------------- */

static void test_status_names(void **state) {
  (void)state;
#define CHECK(name, value, text)                                                                   \
  assert_int_equal(GLOW_##name, value);                                                            \
  assert_string_equal(glow_status_name(value), "GLOW_" #name);                                     \
  assert_string_equal(glow_status_text(value), text);
  GLOW_STATUS_LIST(CHECK)
#undef CHECK
  assert_string_equal(glow_status_name(-12345), "GLOW_E_UNKNOWN");
  assert_string_equal(glow_status_text(7), "unknown status");
}

static void test_version(void **state) {
  char text[64];
  (void)state;
  snprintf(text, sizeof text, "%d.%d.%d", GLOW_VERSION_MAJOR, GLOW_VERSION_MINOR,
           GLOW_VERSION_PATCH);
  assert_string_equal(glow_version(), text);
  assert_int_equal(glow_version_number(),
                   GLOW_VERSION_MAJOR * 10000 + GLOW_VERSION_MINOR * 100 + GLOW_VERSION_PATCH);
}

static void *other_thread(void *arg) {
  char *first = arg;
  strcpy(first, glow_last_error());
  (glow_error)(GLOW_E_SHAPE, "of the other thread");
  return NULL;
}

static void test_error_text_is_of_the_thread(void **state) {
  pthread_t thread;
  char seen[64] = "unset";
  (void)state;
  assert_int_equal((glow_error)(GLOW_E_IO, "file %s, byte %d", "a", 7), GLOW_E_IO);
  assert_string_equal(glow_last_error(), "file a, byte 7");
  assert_int_equal(pthread_create(&thread, NULL, other_thread, seen), 0);
  pthread_join(thread, NULL);
  assert_string_equal(seen, "");
  assert_string_equal(glow_last_error(), "file a, byte 7");
}

static void test_error_prefix_and_length(void **state) {
  char long_text[3000];
  (void)state;
  (glow_error)(GLOW_E_NUMERIC, "matrix is singular");
  assert_int_equal(glow__error_prefix(GLOW_E_NUMERIC, "layer '%s'", "a.b"), GLOW_E_NUMERIC);
  assert_string_equal(glow_last_error(), "layer 'a.b': matrix is singular");
  (glow_error)(GLOW_E_IO, "again: %s", glow_last_error());
  assert_string_equal(glow_last_error(), "again: layer 'a.b': matrix is singular");
  memset(long_text, 'x', sizeof long_text - 1);
  long_text[sizeof long_text - 1] = '\0';
  (glow_error)(GLOW_E_IO, "%s", long_text);
  assert_int_equal(strlen(glow_last_error()), 1023);
  glow__error_prefix(GLOW_E_IO, "front");
  assert_int_equal(strlen(glow_last_error()), 1023);
  assert_memory_equal(glow_last_error(), "front: xxx", 10);
}

/* The place follows the text, and stays last when a layer's name is put in front. */
static void test_place_of_an_error(void **state) {
  (void)state;
  assert_int_equal(glow_error_at("../lib/host/a.c", 12, GLOW_E_IO, "byte %d", 7), GLOW_E_IO);
  assert_string_equal(glow_last_error(), "byte 7 (lib/host/a.c:12)");
  glow__error_prefix(GLOW_E_IO, "layer '%s'", "b");
  assert_string_equal(glow_last_error(), "layer 'b': byte 7 (lib/host/a.c:12)");
  glow_error_at("/else/where.c", 1, GLOW_E_IO, "x");
  assert_string_equal(glow_last_error(), "x (/else/where.c:1)");
  glow_error_at(NULL, 1, GLOW_E_IO, "x");
  assert_string_equal(glow_last_error(), "x (:1)");
}

/* Errors of the library itself tell their place in builds of type debug, and in no others. */
static void test_place_in_debug_builds(void **state) {
  (void)state;
  assert_int_equal(glow_rng_uniform(NULL, NULL, 1), GLOW_E_ARGUMENT);
  const char *place = strstr(glow_last_error(), " (lib/base/rng.c:");
#ifdef GLOW_DEBUG
  assert_non_null(place);
  assert_true(atoi(place + strlen(" (lib/base/rng.c:")) > 1);
  assert_int_equal(place[strlen(place) - 1], ')');
#else
  assert_null(place);
#endif
}

/* ---- structs with a size --------------------------------------------------------------------- */

typedef struct sample {
  size_t struct_size;
  int64_t a, b;
} sample;

typedef struct longer {
  sample base;
  int64_t c;
} longer;

static void test_options_copy(void **state) {
  sample to = {sizeof to, 1, 2};
  longer from = {{sizeof from, 10, 20}, 0};
  (void)state;
  assert_int_equal(glow__options_copy(&to, sizeof to, NULL, sizeof to, "sample"), GLOW_OK);
  assert_int_equal(to.a, 1);
  assert_int_equal(glow__options_copy(&to, sizeof to, &from, sizeof to, "sample"), GLOW_OK);
  assert_int_equal(to.a, 10);
  assert_int_equal(to.b, 20);
  assert_int_equal(to.struct_size, sizeof to);
  from.c = (int64_t)1 << 56;
  from.base.a = 11;
  assert_int_equal(glow__options_copy(&to, sizeof to, &from, sizeof to, "sample"), GLOW_E_ARGUMENT);
  assert_non_null(strstr(glow_last_error(), "sample"));
  assert_int_equal(to.a, 10);
}

static void test_options_copy_of_an_older_caller(void **state) {
  longer to = {{sizeof to, 1, 2}, 3};
  sample from = {sizeof from, 10, 20};
  (void)state;
  assert_int_equal(glow__options_copy(&to, sizeof to, &from, sizeof from, "sample"), GLOW_OK);
  assert_int_equal(to.base.b, 20);
  assert_int_equal(to.c, 3);
  assert_int_equal(to.base.struct_size, sizeof to);
  from.struct_size--;
  assert_int_equal(glow__options_copy(&to, sizeof to, &from, sizeof from, "sample"),
                   GLOW_E_ARGUMENT);
  from.struct_size = SIZE_MAX; /* a caller that forgot to set it */
  assert_int_equal(glow__options_copy(&to, sizeof to, &from, sizeof from, "sample"),
                   GLOW_E_ARGUMENT);
}

static void test_table_copy_cuts(void **state) {
  sample to = {sizeof to, 1, 2};
  longer from = {{sizeof from, 10, 20}, 30};
  (void)state;
  assert_int_equal(glow__table_copy(&to, sizeof to, &from, sizeof to, "table"), GLOW_OK);
  assert_int_equal(to.b, 20);
  assert_int_equal(to.struct_size, sizeof to);
  from.base.struct_size = sizeof(size_t);
  assert_int_equal(glow__table_copy(&to, sizeof to, &from, sizeof to, "table"), GLOW_E_ARGUMENT);
}

static void test_struct_fill(void **state) {
  longer to = {{sizeof to, 1, 2}, 3};
  sample from = {sizeof from, 10, 20};
  (void)state;
  assert_int_equal(glow__struct_fill(&to, &from, sizeof from, sizeof from, "report"), GLOW_OK);
  assert_int_equal(to.base.struct_size, sizeof to);
  assert_int_equal(to.base.a, 10);
  assert_int_equal(to.c, 3);
  to.base.struct_size = 0;
  assert_int_equal(glow__struct_fill(&to, &from, sizeof from, sizeof from, "report"),
                   GLOW_E_ARGUMENT);
  assert_int_equal(glow__struct_fill(NULL, &from, sizeof from, sizeof from, "report"),
                   GLOW_E_ARGUMENT);
}

/* ---- memory ---------------------------------------------------------------------------------- */

typedef struct counter {
  size_t live, calls, fail_at; /* fail_at: number of the call that fails; 0: none */
} counter;

/* Gives addresses that are aligned to 16 bytes only, and dirty memory. */
static void *counted_alloc(size_t size, void *payload) {
  counter *c = payload;
  if (++c->calls == c->fail_at)
    return NULL;
  char *memory = malloc(size + 16);
  if (!memory)
    return NULL;
  memset(memory, 0xA5, size + 16);
  c->live++;
  return memory + 16;
}

static void counted_free(void *memory, void *payload) {
  counter *c = payload;
  c->live--;
  free((char *)memory - 16);
}

static void test_memory_is_zeroed_and_aligned(void **state) {
  counter c = {0, 0, 0};
  glow_allocator table = {sizeof table, counted_alloc, counted_free, &c};
  void *blocks[40];
  (void)state;
  for (size_t i = 0; i < 40; i++) {
    unsigned char *bytes = blocks[i] = glow__allocate(i % 2 ? &table : NULL, i * 37);
    assert_non_null(bytes);
    assert_int_equal((uintptr_t)bytes % GLOW_ALIGN, 0);
    for (size_t k = 0; k < i * 37; k++)
      assert_int_equal(bytes[k], 0);
    memset(bytes, 0xFF, i * 37);
  }
  assert_int_equal(c.live, 20);
  for (size_t i = 0; i < 40; i++)
    glow__release(i % 2 ? &table : NULL, blocks[i]);
  glow__release(&table, NULL);
  assert_int_equal(c.live, 0);
}

static uint32_t tasks_run;

/* From the last to the first, as any order will do. */
static void run_backwards(void *payload, glow_task_fn fn, void *arg, uint32_t tasks) {
  (void)payload;
  tasks_run += tasks;
  for (uint32_t task = tasks; task-- > 0;)
    fn(arg, task, 0);
}

/* Large blocks are zeroed by the executor, a piece in each task. */
static void test_spread_memory(void **state) {
  static const size_t sizes[] = {
      0, 1, GLOW_PIECE, GLOW_PIECE + 1, 4 * GLOW_PIECE, 5 * GLOW_PIECE - 9};
  static const uint32_t tasks[] = {0, 0, 0, 2, 4, 5};
  counter c = {0, 0, 0};
  glow_context context = {.allocator = {sizeof context.allocator, counted_alloc, counted_free, &c}};
  (void)state;
  context.executor = (glow_executor){sizeof context.executor, 2, 0, run_backwards, NULL};
  for (size_t i = 0; i < sizeof sizes / sizeof *sizes; i++) {
    tasks_run = 0;
    unsigned char *bytes = glow__allocate_spread(&context, sizes[i]);
    assert_non_null(bytes);
    assert_int_equal(tasks_run, tasks[i]);
    for (size_t k = 0; k < sizes[i]; k++)
      if (bytes[k])
        fail_msg("byte %zu of %zu is not 0", k, sizes[i]);
    glow_release(&context, bytes);
  }
  c.fail_at = 1;
  c.calls = 0;
  assert_null(glow__allocate_spread(&context, 3 * GLOW_PIECE));
  assert_int_equal(c.live, 0);
}

static void test_memory_that_is_not_there(void **state) {
  counter c = {0, 0, 1};
  glow_context context = {.allocator = {sizeof context.allocator, counted_alloc, counted_free, &c}};
  (void)state;
  assert_null(glow_allocate(&context, 123));
  assert_non_null(strstr(glow_last_error(), "123"));
  assert_null(glow__allocate(NULL, SIZE_MAX));
  assert_null(glow__allocate(NULL, SIZE_MAX - GLOW_ALIGN));
  c.fail_at = 3;
  char *copy = glow__strdup(&context, "text");
  assert_string_equal(copy, "text");
  assert_null(glow__strdup(&context, "text"));
  glow_release(&context, copy);
  assert_int_equal(c.live, 0);
}

/* ---- configuration --------------------------------------------------------------------------- */

static void test_config_values(void **state) {
  glow_context context = {0};
  glow__config config;
  int64_t integer = 5;
  double real = 6.0;
  const char *text = "before";
  (void)state;
  assert_int_equal(glow__config_create(&context, &config), GLOW_OK);
  assert_int_equal(glow__config_get_int(&config, "missing", 0, 9, &integer), GLOW_OK);
  assert_int_equal(glow__config_get_real(&config, "missing", &real), GLOW_OK);
  assert_int_equal(glow__config_get_text(&config, "missing", &text), GLOW_OK);
  assert_int_equal(integer, 5);
  assert_true(real == 6.0);
  assert_string_equal(text, "before");
  for (int i = 0; i < 30; i++) { /* more than one growth */
    char key[16];
    snprintf(key, sizeof key, "key%d", i);
    assert_int_equal(glow__config_set_int(&config, key, i), GLOW_OK);
  }
  assert_int_equal(glow__config_set_real(&config, "real", 0.1), GLOW_OK);
  assert_int_equal(glow__config_set_text(&config, "text", "one"), GLOW_OK);
  assert_int_equal(glow__config_set_text(&config, "text", "two"), GLOW_OK);
  assert_int_equal(glow__config_count(&config), 32);
  assert_int_equal(glow__config_get_int(&config, "key29", 0, 29, &integer), GLOW_OK);
  assert_int_equal(integer, 29);
  assert_int_equal(glow__config_get_real(&config, "real", &real), GLOW_OK);
  assert_true(real == 0.1);
  assert_int_equal(glow__config_get_text(&config, "text", &text), GLOW_OK);
  assert_string_equal(text, "two");
  assert_string_equal(glow__config_at(&config, 30)->key, "real");
  assert_null(glow__config_at(&config, 32));
  assert_null(glow__config_at(&config, -1));
  glow__config_destroy(&config);
  assert_null(config.list);
  glow__config_destroy(&config);
}

static void test_config_errors(void **state) {
  glow_context context = {0};
  glow__config config;
  int64_t integer = 5;
  double real = 6.0;
  (void)state;
  assert_int_equal(glow__config_create(&context, &config), GLOW_OK);
  assert_int_equal(glow__config_set_int(&config, "n", 10), GLOW_OK);
  assert_int_equal(glow__config_get_int(&config, "n", 0, 9, &integer), GLOW_E_FORMAT);
  assert_non_null(strstr(glow_last_error(), "'n'"));
  assert_int_equal(glow__config_get_int(&config, "n", 11, 12, &integer), GLOW_E_FORMAT);
  assert_int_equal(glow__config_get_real(&config, "n", &real), GLOW_E_FORMAT);
  assert_int_equal(integer, 5);
  assert_int_equal(glow__config_set_real(&config, "r", NAN), GLOW_E_ARGUMENT);
  assert_int_equal(glow__config_set_real(&config, "r", HUGE_VAL), GLOW_E_ARGUMENT);
  assert_int_equal(glow__config_set_text(&config, "t", NULL), GLOW_E_ARGUMENT);
  assert_int_equal(glow__config_set_int(&config, "", 1), GLOW_E_ARGUMENT);
  assert_int_equal(glow__config_set_int(NULL, "n", 1), GLOW_E_ARGUMENT);
  assert_int_equal(glow__config_count(&config), 1);
  glow__config_destroy(&config);
}

static glow_status build_config(glow_context *context) {
  glow__config config;
  GLOW_TRY(glow__config_create(context, &config));
  glow_status status = GLOW_OK;
  for (int i = 0; i < 12 && status == GLOW_OK; i++) {
    char key[16];
    snprintf(key, sizeof key, "key%d", i);
    status = glow__config_set_text(&config, key, "value");
  }
  if (status == GLOW_OK)
    status = glow__config_set_text(&config, "key3", "another value");
  glow__config_destroy(&config);
  return status;
}

static void test_config_without_memory(void **state) {
  glow_status status = GLOW_E_MEMORY;
  (void)state;
  for (size_t n = 1; status != GLOW_OK; n++) {
    counter c = {0, 0, n};
    glow_context context = {
        .allocator = {sizeof context.allocator, counted_alloc, counted_free, &c}};
    status = build_config(&context);
    assert_true(status == GLOW_OK || status == GLOW_E_MEMORY);
    assert_int_equal(c.live, 0);
    assert_true(status == GLOW_OK || n <= c.calls);
  }
}

/* ---- log ------------------------------------------------------------------------------------- */

static void keep_line(int32_t level, const char *text, void *payload) {
  snprintf(payload, 64, "%d %s", (int)level, text);
}

static void test_log(void **state) {
  char line[64] = "";
  glow_context context = {.log = keep_line, .log_payload = line};
  glow_context silent = {0};
  (void)state;
  glow_context_log(&context, GLOW_LOG_WARNING, "channel %d of %s", 3, "a");
  assert_string_equal(line, "30 channel 3 of a");
  glow_context_log(&silent, GLOW_LOG_WARNING, "nobody hears %d", 1);
  assert_string_equal(line, "30 channel 3 of a");
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(test_status_names),
      cmocka_unit_test(test_version),
      cmocka_unit_test(test_error_text_is_of_the_thread),
      cmocka_unit_test(test_error_prefix_and_length),
      cmocka_unit_test(test_place_of_an_error),
      cmocka_unit_test(test_place_in_debug_builds),
      cmocka_unit_test(test_options_copy),
      cmocka_unit_test(test_options_copy_of_an_older_caller),
      cmocka_unit_test(test_table_copy_cuts),
      cmocka_unit_test(test_struct_fill),
      cmocka_unit_test(test_memory_is_zeroed_and_aligned),
      cmocka_unit_test(test_spread_memory),
      cmocka_unit_test(test_memory_that_is_not_there),
      cmocka_unit_test(test_config_values),
      cmocka_unit_test(test_config_errors),
      cmocka_unit_test(test_config_without_memory),
      cmocka_unit_test(test_log),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
