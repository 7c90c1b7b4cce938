/* The error text of a context: the last failure of a call on one of its objects, whichever thread
 * asks. SPDX-License-Identifier: MIT */
#include "../support/model_helpers.h"

#include <pthread.h>

static void expect(const glow_context *context, const char *words) {
  char text[1024];
  OK(glow_context_last_error(context, text, sizeof text));
  if (*words ? !strstr(text, words) : *text)
    fail_msg("the context says '%s', not '%s'", text, words);
}

/* Each context hears of its own objects only. */
static void test_own_text(void **state) {
  glow_context *a = helper_context(1, NULL, NULL), *b = helper_context(1, NULL, NULL);
  glow_model *model = helper_glow(a, NULL, 1);
  glow_tensor_info info = GLOW_TENSOR_INFO_INIT;
  glow_layer *layer = NULL;
  glow_permute_options o = GLOW_PERMUTE_OPTIONS_INIT;
  (void)state;
  expect(a, "");
  REFUSED(glow_model_find_tensor(model, "nowhere", &info), GLOW_E_NOT_FOUND, "nowhere");
  expect(a, "nowhere");
  expect(b, "");
  o.kind = 1;
  REFUSED(glow_permute_create(b, &o, &layer), GLOW_E_ARGUMENT, "kind");
  expect(b, "kind");
  expect(a, "nowhere");
  /* Without an object only the thread hears of it. */
  REFUSED(glow_model_prepare(NULL), GLOW_E_ARGUMENT, "NULL");
  expect(a, "nowhere");
  expect(b, "kind");
  glow_model_destroy(&model);
  glow_context_destroy(&a);
  glow_context_destroy(&b);
}

/* The text with its prefixes, as the thread has it: not that of the innermost function. */
static void test_whole_text(void **state) {
  const glow_shape shape = {3, 3, 4};
  glow_context *context = helper_context(1, NULL, NULL);
  glow_builder *builder = NULL;
  glow_layer *layer = NULL;
  char text[1024], cut[8];
  (void)state;
  OK(glow_builder_create(context, &shape, NULL, &builder));
  OK(glow_squeeze_create(context, NULL, &layer));
  REFUSED(glow_builder_add(builder, "odd", &layer), GLOW_E_SHAPE, "odd");
  OK(glow_context_last_error(context, text, sizeof text));
  assert_string_equal(text, glow_last_error());
  OK(glow_context_last_error(context, cut, sizeof cut));
  assert_int_equal(strlen(cut), sizeof cut - 1);
  assert_memory_equal(cut, text, sizeof cut - 1);
  glow_builder_destroy(&builder);
  glow_context_destroy(&context);
}

static void *fail_there(void *argument) {
  glow_tensor_info info = GLOW_TENSOR_INFO_INIT;
  return glow_model_find_tensor(argument, "elsewhere", &info) == GLOW_E_NOT_FOUND ? argument : NULL;
}

static void test_other_thread(void **state) {
  glow_context *context = helper_context(1, NULL, NULL);
  glow_model *model = helper_glow(context, NULL, 1);
  pthread_t thread;
  void *result = NULL;
  (void)state;
  REFUSED(glow_model_prepare(NULL), GLOW_E_ARGUMENT, "NULL");
  assert_int_equal(pthread_create(&thread, NULL, fail_there, model), 0);
  assert_int_equal(pthread_join(thread, &result), 0);
  assert_non_null(result);
  assert_null(strstr(glow_last_error(), "elsewhere"));
  expect(context, "elsewhere");
  glow_model_destroy(&model);
  glow_context_destroy(&context);
}

/* Many threads fail and ask at once: each answer is a whole text. */
typedef struct pair {
  glow_context *context;
  glow_model *model;
} pair;

static void *fail_and_ask(void *argument) {
  const pair *p = argument;
  for (int i = 0; i < 2000; i++) {
    char name[40], text[1024], wanted[] = "the model has no tensor '";
    glow_tensor_info info = GLOW_TENSOR_INFO_INIT;
    snprintf(name, sizeof name, "%.*d", 1 + i % 30, i);
    if (glow_model_find_tensor(p->model, name, &info) != GLOW_E_NOT_FOUND)
      return NULL;
    memset(text, 'x', sizeof text);
    if (glow_context_last_error(p->context, text, sizeof text) != GLOW_OK)
      return NULL;
    if (strncmp(text, wanted, sizeof wanted - 1) != 0)
      return NULL;
  }
  return argument;
}

static void test_many_threads(void **state) {
  enum { THREADS = 4 };
  pthread_t threads[THREADS];
  glow_context *context = helper_context(1, NULL, NULL);
  glow_model *model = helper_glow(context, NULL, 1);
  pair p = {context, model};
  (void)state;
  for (int i = 0; i < THREADS; i++)
    assert_int_equal(pthread_create(&threads[i], NULL, fail_and_ask, &p), 0);
  for (int i = 0; i < THREADS; i++) {
    void *result = NULL;
    assert_int_equal(pthread_join(threads[i], &result), 0);
    assert_non_null(result);
  }
  glow_model_destroy(&model);
  glow_context_destroy(&context);
}

/* A callback fails with an object of another context inside a call on this one: each context hears
 * of its own. */
static glow_status ask_elsewhere(const char *name, char *out, size_t size, void *payload) {
  glow_tensor_info info = GLOW_TENSOR_INFO_INIT;
  (void)name, (void)out, (void)size;
  assert_int_equal(glow_model_find_tensor(payload, "inner", &info), GLOW_E_NOT_FOUND);
  return GLOW_E_CANCELLED;
}

static void test_nested_calls(void **state) {
  static const unsigned char empty[] = {2, 0, 0, 0, 0, 0, 0, 0, '{', '}'};
  glow_context *a = helper_context(1, NULL, NULL), *b = helper_context(1, NULL, NULL);
  glow_model *outer = helper_glow(a, NULL, 1), *inner = helper_glow(b, NULL, 1);
  glow_fill_options o = GLOW_FILL_OPTIONS_INIT;
  glow_input in = GLOW_INPUT_INIT;
  (void)state;
  if (helper_has_files()) {
    in.data = empty;
    in.size = sizeof empty;
    o.rename = ask_elsewhere;
    o.rename_payload = inner;
    assert_int_equal(glow_model_fill(outer, &in, &o, NULL), GLOW_E_CANCELLED);
    expect(b, "no tensor 'inner'");
    expect(a, "the renaming function failed");
  }
  glow_model_destroy(&outer);
  glow_model_destroy(&inner);
  glow_context_destroy(&a);
  glow_context_destroy(&b);
}

static void test_arguments(void **state) {
  glow_context *context = helper_context(1, NULL, NULL);
  char text[8];
  (void)state;
  REFUSED(glow_context_last_error(NULL, text, sizeof text), GLOW_E_ARGUMENT, "NULL");
  REFUSED(glow_context_last_error(context, NULL, 8), GLOW_E_ARGUMENT, "NULL");
  REFUSED(glow_context_last_error(context, text, 0), GLOW_E_ARGUMENT, "size 0");
  glow_context_destroy(&context);
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(test_own_text),     cmocka_unit_test(test_whole_text),
      cmocka_unit_test(test_other_thread), cmocka_unit_test(test_many_threads),
      cmocka_unit_test(test_nested_calls), cmocka_unit_test(test_arguments),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
