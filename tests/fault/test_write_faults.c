/* The n-th system call of a writer fails, for n = 1, 2, 3, ... until a run sees no failure: with
 * EIO, ENOSPC, EMFILE, EINTR, or as a short write; once, or from then on. Each time the old file is
 * intact bit for bit or the new one is there whole, no temporary file and no descriptor is left, no
 * memory leaks, status and message are right, and the next write succeeds.
 * SPDX-License-Identifier: MIT */
#include <errno.h>
#include <sys/stat.h>
#include <unistd.h>

#include "each_call.h"
#include "writers.h"

enum { MOST = 2000, EINTRS = 3 };

/* ---- one fault ------------------------------------------------------------------------------- */

static const way ways[] = {
    {"EIO once", EIO, 0, false, false, GLOW_E_IO, NULL},
    {"EIO from then on", EIO, INT64_MAX, false, false, GLOW_E_IO, NULL},
    {"ENOSPC once", ENOSPC, 0, false, false, GLOW_E_IO, NULL},
    {"ENOSPC from then on", ENOSPC, INT64_MAX, false, false, GLOW_E_IO, NULL},
    {"EDQUOT from then on", EDQUOT, INT64_MAX, false, false, GLOW_E_IO, NULL},
    {"EMFILE once", EMFILE, 0, false, false, GLOW_E_MEMORY, NULL},
    {"EMFILE from then on", EMFILE, INT64_MAX, false, false, GLOW_E_MEMORY, NULL},
    {"EINTR once", EINTR, 0, false, true, 0, NULL},
    {"EINTR some times", EINTR, EINTRS - 1, false, true, 0, NULL},
    {"one short write", WRAP_SHORT, 0, true, true, 0, NULL},
    {"short writes from then on", WRAP_SHORT, INT64_MAX, true, true, 0, NULL},
};
enum { WAYS = sizeof ways / sizeof *ways };

static char target[256];
static blob old, new;

static void set_target(void) {
  snprintf(target, sizeof target, "%s", temp_path("target"));
}

/* What must be true after a run in which something failed. */
static void check_after(glow_status status, const way *w) {
  const char *text = glow_last_error();
  const bool is_old = holds(target, &old), is_new = holds(target, &new);
  if (w->harmless && status != GLOW_OK)
    fail_msg("not overcome: %s", text);
  if (!is_old && !is_new)
    fail_msg("neither the old nor the new file");
  if (status == GLOW_OK && !is_new)
    fail_msg("success, but the old file");
  if (status != GLOW_OK) {
    assert_int_equal(status, w->status);
    if (!strstr(text, target) || !strstr(text, strerror(w->error)))
      fail_msg("'%s' lacks the file or '%s'", text, strerror(w->error));
    if (is_new && !strstr(text, "written, but cannot sync the directory"))
      fail_msg("the new file, but '%s'", text);
  }
  /* What must not be passed over. */
  if (!w->harmless && status == GLOW_OK &&
      (wrap.failed[WRAP_PWRITE] || wrap.failed[WRAP_FSYNC] || wrap.failed[WRAP_RENAME]))
    fail_msg("a failure was passed over");
  if (count_entries(temp_folder, ".tmp") != 0 && !wrap.failed[WRAP_UNLINK])
    fail_msg("a temporary file is left");
}

/* Returns false when nothing failed, since there were fewer calls. */
static bool run_with_fault(const file_writer *writer, const way *w, int64_t n) {
  write_blob(target, &old);
  const int descriptors = count_descriptors();
  const int64_t live = writers_memory.live;
  wrap = (wrap_fault){
      .active = true, .first = n, .more = w->more, .error = w->error, .only_moves = w->only_moves};
  glow_status status = writer->write(target);
  wrap.active = false;
  each_call_count();
  assert_int_equal(writers_memory.live, live);
  assert_int_equal(count_descriptors(), descriptors);
  if (!wrap.failures)
    assert_int_equal(status, GLOW_OK);
  check_after(status, w);
  /* The next one succeeds, and removes what could not be removed. */
  OK(writer->write(target));
  assert_true(holds(target, &new));
  assert_int_equal(count_entries(temp_folder, ".tmp"), 0);
  return wrap.failures > 0;
}

static void fail_each(const file_writer *writer) {
  set_target();
  OK(writer->write(target));
  new = read_blob(target);
  old = (blob){(unsigned char *)(uintptr_t) "the old file", 12};
  for (int k = 0; k < WAYS; k++) {
    int64_t n = 1;
    while (run_with_fault(writer, &ways[k], n) && n < MOST)
      n++;
    assert_true(n > 3 && n < MOST);
    if (k == 0) {
      print_message("%s: %lld calls; pwrite %lld, open %lld, fsync %lld, close %lld, rename %lld\n",
                    writer->name, (long long)n - 1, (long long)wrap.of[WRAP_PWRITE],
                    (long long)wrap.of[WRAP_OPEN], (long long)wrap.of[WRAP_FSYNC],
                    (long long)wrap.of[WRAP_CLOSE], (long long)wrap.of[WRAP_RENAME]);
      assert_true(wrap.of[WRAP_PWRITE] >= 2 && wrap.of[WRAP_OPEN] >= 2);
      assert_true(wrap.of[WRAP_FSYNC] == 2 && wrap.of[WRAP_RENAME] == 1);
      assert_true(wrap.of[WRAP_CLOSE] == 3 && wrap.of[WRAP_FLOCK] == 1);
    }
  }
  unlink(target);
  free(new.bytes);
}

static void test_files(void **state) {
  (void)state;
  for (const file_writer *writer = writers; writer->name; writer++)
    fail_each(writer);
}

/* ---- a series -------------------------------------------------------------------------------- */

/* Whatever fails, a good checkpoint can be found. */
static void test_series(void **state) {
  char series[300], path[400];
  (void)state;
  snprintf(series, sizeof series, "%s", temp_path("series"));
  assert_int_equal(mkdir(series, 0700), 0);
  OK(glow_checkpoint_save_series(writers_trainer, series, 1, NULL, 0));
  for (int k = 0; k < WAYS; k++) {
    bool failed = true;
    for (int64_t n = 1; failed && n < MOST; n++) {
      writers_step();
      const int descriptors = count_descriptors();
      wrap = (wrap_fault){.active = true,
                          .first = n,
                          .more = ways[k].more,
                          .error = ways[k].error,
                          .only_moves = ways[k].only_moves};
      glow_status status = glow_checkpoint_save_series(writers_trainer, series, 1, NULL, 0);
      wrap.active = false;
      each_call_count();
      failed = wrap.failures > 0;
      if (status != GLOW_OK) {
        if (ways[k].harmless || !failed)
          fail_msg("%s, call %lld: %s", ways[k].name, (long long)n, glow_last_error());
        assert_int_equal(status, ways[k].status);
        assert_non_null(strstr(glow_last_error(), series));
      }
      assert_int_equal(count_descriptors(), descriptors);
      OK(glow_checkpoint_newest(writers_context, series, NULL, path, sizeof path));
      int files = count_entries(series, "");
      assert_true(files == 1 || status != GLOW_OK || wrap.failed[WRAP_UNLINK]);
      OK(glow_checkpoint_save_series(writers_trainer, series, 1, NULL, 0));
      assert_int_equal(count_entries(series, ""), 1);
    }
    assert_false(failed);
  }
}

/* ---- frame ----------------------------------------------------------------------------------- */

static int set_up(void **state) {
  (void)state;
  return writers_set_up(NULL);
}

static int tear_down(void **state) {
  each_call_report(state);
  return writers_tear_down();
}

int main(void) {
  const struct CMUnitTest tests[] = {cmocka_unit_test(test_files), cmocka_unit_test(test_series)};
  return cmocka_run_group_tests(tests, set_up, tear_down);
}
