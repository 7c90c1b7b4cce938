/* Numbered checkpoints: which are kept, which are touched, which is the newest good one.
 * SPDX-License-Identifier: MIT */
#include "checkpoint_case.h"

#include <errno.h>
#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

/* Stands in front of the C library's, so that a removal can fail for root too. */
static bool removal_fails;
int unlink(const char *path) {
  const char *name = strrchr(path, '/');
  if (removal_fails && name && strncmp(name, "/checkpoint-", 12) == 0) {
    errno = EROFS;
    return -1;
  }
  return unlinkat(AT_FDCWD, path, 0);
}

static char warnings[4096];

static void on_log(int32_t level, const char *text, void *payload) {
  (void)payload;
  if (level == GLOW_LOG_WARNING)
    snprintf(warnings + strlen(warnings), sizeof warnings - strlen(warnings), "%s\n", text);
}

static glow_context *logging_context(void) {
  glow_context_options o = GLOW_CONTEXT_OPTIONS_INIT;
  glow_context *context = NULL;
  o.log = on_log;
  warnings[0] = '\0';
  ok(glow_context_create(&o, &context));
  return context;
}

static bool is_there(const char *name) {
  return access(temp_path(name), F_OK) == 0;
}

static void touch(const char *name, const char *text) {
  FILE *file = fopen(temp_path(name), "wb");
  assert_non_null(file);
  fputs(text, file);
  fclose(file);
}

static void empty_folder(void) {
  char command[300];
  snprintf(command, sizeof command, "rm -rf %s/*", temp_folder);
  assert_int_equal(system(command), 0);
}

static void newest_is(glow_context *context, const char *name) {
  char path[256];
  ok(glow_checkpoint_newest(context, temp_folder, NULL, path, sizeof path));
  assert_string_equal(path, temp_path(name));
}

static const char *const bystanders[] = {"checkpoint-1.safetensors",
                                         "checkpoint-0000000001.safetensors",
                                         "checkpoint-000000001.safetensors~",
                                         "checkpoint--00000001.safetensors",
                                         "checkpoint-00000000a.safetensors",
                                         "checkpoint-+00000001.safetensors",
                                         "checkpoint- 00000001.safetensors",
                                         "xcheckpoint-000000001.safetensors",
                                         "checkpoint-000000001.safetensors.1",
                                         "model.safetensors",
                                         "checkpoint-99999999999999999999.safetensors"};
enum { BYSTANDERS = sizeof bystanders / sizeof *bystanders };

static void test_the_newest_stay(void **state) {
  bench b = open_case(1, GLOW_OPTIMIZER_SGD, GLOW_MODE_STORED, 1);
  (void)state;
  empty_folder();
  for (int i = 0; i < BYSTANDERS; i++)
    touch(bystanders[i], "keep me");
  assert_int_equal(mkdir(temp_path("checkpoint-000000000.safetensors"), 0777), 0);
  for (int i = 1; i <= 4; i++) {
    make_steps(b.trainer, b.model, 1, false);
    ok(glow_checkpoint_save_series(b.trainer, temp_folder, i < 3 ? 0 : 2, NULL, 0));
  }
  assert_false(is_there("checkpoint-000000001.safetensors"));
  assert_false(is_there("checkpoint-000000002.safetensors"));
  assert_true(is_there("checkpoint-000000003.safetensors"));
  assert_true(is_there("checkpoint-000000004.safetensors"));
  for (int i = 0; i < BYSTANDERS; i++)
    if (!is_there(bystanders[i]))
      fail_msg("%s was removed", bystanders[i]);
  assert_true(is_there("checkpoint-000000000.safetensors"));
  newest_is(b.context, "checkpoint-000000004.safetensors");
  ok(glow_checkpoint_save_series(b.trainer, temp_folder, 2, NULL, 0)); /* the same step again */
  assert_true(is_there("checkpoint-000000003.safetensors"));
  close_bench(&b);
}

/* Others with higher numbers do not push out the one that was just written. */
static void test_the_one_just_written_stays(void **state) {
  bench b = open_case(1, GLOW_OPTIMIZER_SGD, GLOW_MODE_STORED, 1);
  (void)state;
  empty_folder();
  touch("checkpoint-000000007.safetensors", "");
  touch("checkpoint-000000009.safetensors", "");
  touch("checkpoint-1000000000.safetensors", "");
  make_steps(b.trainer, b.model, 1, false);
  ok(glow_checkpoint_save_series(b.trainer, temp_folder, 2, NULL, 0));
  assert_true(is_there("checkpoint-000000001.safetensors"));
  assert_false(is_there("checkpoint-000000007.safetensors"));
  assert_false(is_there("checkpoint-000000009.safetensors"));
  assert_true(is_there("checkpoint-1000000000.safetensors"));
  close_bench(&b);
}

static void test_a_removal_that_fails(void **state) {
  bench b = open_case(1, GLOW_OPTIMIZER_SGD, GLOW_MODE_STORED, 1);
  (void)state;
  empty_folder();
  touch("checkpoint-000000000.safetensors", "");
  make_steps(b.trainer, b.model, 1, false);
  removal_fails = true;
  refused(glow_checkpoint_save_series(b.trainer, temp_folder, 1, NULL, 0), GLOW_E_IO,
          "checkpoint 1 is written, but: cannot remove");
  removal_fails = false;
  newest_is(b.context, "checkpoint-000000001.safetensors");
  ok(glow_checkpoint_save_series(b.trainer, temp_folder, 1, NULL, 0));
  assert_false(is_there("checkpoint-000000000.safetensors"));
  close_bench(&b);
}

static void test_damaged_ones_are_passed_over(void **state) {
  bench b = open_case(1, GLOW_OPTIMIZER_ADAM, GLOW_MODE_STORED, 1);
  glow_context *context = logging_context();
  char path[256] = "x";
  (void)state;
  empty_folder();
  make_steps(b.trainer, b.model, 1, false);
  ok(glow_checkpoint_save_series(b.trainer, temp_folder, 0, NULL, 0));
  make_steps(b.trainer, b.model, 1, false);
  ok(glow_checkpoint_save_series(b.trainer, temp_folder, 0, NULL, 0));
  newest_is(context, "checkpoint-000000002.safetensors");
  assert_string_equal(warnings, "");
  assert_int_equal(truncate(temp_path("checkpoint-000000002.safetensors"), 3000), 0);
  ok(glow_model_save(b.model, temp_path("checkpoint-000000003.safetensors"))); /* a mere model */
  newest_is(context, "checkpoint-000000001.safetensors");
  assert_non_null(strstr(warnings, "checkpoint-000000002.safetensors"));
  assert_non_null(strstr(warnings, "checkpoint-000000003.safetensors': it is not a checkpoint"));
  assert_int_equal(truncate(temp_path("checkpoint-000000001.safetensors"), 0), 0);
  refused(glow_checkpoint_newest(context, temp_folder, NULL, path, sizeof path), GLOW_E_FORMAT,
          "none of the 3 checkpoints");
  assert_string_equal(path, "");
  glow_context_destroy(&context);
  close_bench(&b);
}

/* A folder may hold anybody's files: the caller's caps hold for each. */
static void test_limits(void **state) {
  bench b = open_case(1, GLOW_OPTIMIZER_ADAM, GLOW_MODE_STORED, 1);
  glow_limits limits = GLOW_LIMITS_INIT;
  char path[256];
  (void)state;
  empty_folder();
  glow_context *context = logging_context();
  make_steps(b.trainer, b.model, 1, false);
  ok(glow_checkpoint_save_series(b.trainer, temp_folder, 0, NULL, 0));
  limits.parameters = glow_model_parameter_count(b.model);
  ok(glow_checkpoint_newest(context, temp_folder, &limits, path, sizeof path));
  limits.parameters--;
  refused(glow_checkpoint_newest(context, temp_folder, &limits, path, sizeof path), GLOW_E_LIMIT,
          "(parameters)");
  assert_string_equal(path, "");
  assert_non_null(strstr(warnings, "passed over"));
  touch("checkpoint-000000000.safetensors", "");
  refused(glow_checkpoint_newest(context, temp_folder, &limits, path, sizeof path), GLOW_E_LIMIT,
          "none of the");
  limits.parameters = -1;
  refused(glow_checkpoint_newest(context, temp_folder, &limits, path, sizeof path), GLOW_E_ARGUMENT,
          "parameters is -1");
  glow_context_destroy(&context);
  close_bench(&b);
}

static void test_arguments(void **state) {
  bench b = open_case(1, GLOW_OPTIMIZER_SGD, GLOW_MODE_STORED, 1);
  char path[256];
  (void)state;
  empty_folder();
  refused(glow_checkpoint_save_series(NULL, temp_folder, 1, NULL, 0), GLOW_E_ARGUMENT, "NULL");
  refused(glow_checkpoint_save_series(b.trainer, NULL, 1, NULL, 0), GLOW_E_ARGUMENT, "NULL");
  refused(glow_checkpoint_save_series(b.trainer, temp_folder, -1, NULL, 0), GLOW_E_ARGUMENT,
          "negative");
  refused(glow_checkpoint_save_series(b.trainer, temp_folder, 1, NULL, 1), GLOW_E_ARGUMENT,
          "notes");
  refused(glow_checkpoint_save_series(b.trainer, temp_path("no"), 1, NULL, 0), GLOW_E_NOT_FOUND,
          "no/check");
  refused(glow_checkpoint_newest(b.context, temp_folder, NULL, path, sizeof path), GLOW_E_NOT_FOUND,
          "contains no checkpoint");
  refused(glow_checkpoint_newest(b.context, temp_path("no"), NULL, path, sizeof path),
          GLOW_E_NOT_FOUND, "/no'");
  refused(glow_checkpoint_newest(NULL, temp_folder, NULL, path, sizeof path), GLOW_E_ARGUMENT,
          "NULL");
  refused(glow_checkpoint_newest(b.context, NULL, NULL, path, sizeof path), GLOW_E_ARGUMENT,
          "NULL");
  refused(glow_checkpoint_newest(b.context, temp_folder, NULL, NULL, sizeof path), GLOW_E_ARGUMENT,
          "NULL");
  refused(glow_checkpoint_newest(b.context, temp_folder, NULL, path, 0), GLOW_E_ARGUMENT,
          "no room");
  ok(glow_checkpoint_save_series(b.trainer, temp_folder, 1, NULL, 0));
  refused(glow_checkpoint_newest(b.context, temp_folder, NULL, path, 40), GLOW_E_LIMIT, "40 bytes");
  assert_string_equal(path, "");
  close_bench(&b);
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(test_the_newest_stay),
      cmocka_unit_test(test_the_one_just_written_stays),
      cmocka_unit_test(test_a_removal_that_fails),
      cmocka_unit_test(test_damaged_ones_are_passed_over),
      cmocka_unit_test(test_limits),
      cmocka_unit_test(test_arguments),
  };
  return cmocka_run_group_tests(tests, make_folder, remove_folder);
}
