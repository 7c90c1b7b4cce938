/* The power fails at any moment of a save. Whatever was not synced may be lost, in any order or in
 * parts: the old file or the new one is there, and whole; once the save has returned, the new one.
 * The newest checkpoint of a series loads. The next save succeeds and tidies up.
 *
 * That these checks notice something is seen on a disk that only pretends to sync.
 * SPDX-License-Identifier: MIT */
#include <sys/stat.h>
#include <unistd.h>

#include "power.h"
#include "writers.h"

enum { BEFORE = 0, RETURNED = 1, SAVES = 4, KEEP = 2 };

static char recorded[300], replayed[300];
static int64_t total;

static const char *file_in(const char *folder) {
  static char path[400];
  snprintf(path, sizeof path, "%s/file", folder);
  return path;
}

/* ---- one file -------------------------------------------------------------------------------- */

static const file_writer *the_writer;
static blob old, new; /* old.bytes NULL: there was no file */

static bool is_old(const char *path) {
  return old.bytes ? access(path, F_OK) == 0 && holds(path, &old) : access(path, F_OK) != 0;
}

static bool is_new(const char *path) {
  return access(path, F_OK) == 0 && holds(path, &new);
}

static bool check_file(const char *folder, int64_t mark) {
  const char *path = file_in(folder);
  if (!is_new(path) && (mark == RETURNED || !is_old(path)))
    return false;
  OK(the_writer->write(path));
  assert_true(is_new(path));
  assert_int_equal(count_entries(folder, ""), 1);
  return true;
}

/* Plays the record on a disk as it should be, and on those that only pretend. */
static void play(const char *name, power_check check) {
  int64_t bad, states = power_play(&(power_disk){false, false}, replayed, check, &bad);
  if (bad)
    fail_msg("%s: %lld of %lld states are bad", name, (long long)bad, (long long)states);
  print_message("%s: %lld states\n", name, (long long)states);
  total += states;
  power_play(&(power_disk){.ignores_file_sync = true}, replayed, check, &bad);
  if (!bad)
    fail_msg("%s: that data are not synced is not noticed", name);
  power_play(&(power_disk){.ignores_folder_sync = true}, replayed, check, &bad);
  if (!bad)
    fail_msg("%s: that the folder is not synced is not noticed", name);
}

static void save_one(const file_writer *writer, bool over_old) {
  const blob first = {(unsigned char *)(uintptr_t) "the old file", 12};
  the_writer = writer;
  unlink(file_in(recorded));
  OK(writer->write(file_in(recorded)));
  new = read_blob(file_in(recorded));
  unlink(file_in(recorded));
  old = over_old ? first : (blob){NULL, 0};
  if (over_old)
    write_blob(file_in(recorded), &old);
  power_record(recorded);
  OK(writer->write(file_in(recorded)));
  power_mark(RETURNED);
  power_stop();
  play(writer->name, check_file);
  power_forget();
  free(new.bytes);
}

static void test_files(void **state) {
  (void)state;
  for (const file_writer *writer = writers; writer->name; writer++) {
    save_one(writer, true);
    save_one(writer, false);
  }
  unlink(file_in(recorded));
}

/* ---- a series -------------------------------------------------------------------------------- */

/* The step of the newest checkpoint is that of the last save that returned, or a later one. */
static bool check_series(const char *folder, int64_t mark) {
  char path[400];
  long long step;
  glow_status status = glow_checkpoint_newest(writers_context, folder, NULL, path, sizeof path);
  if (status != GLOW_OK || sscanf(strrchr(path, '/'), "/checkpoint-%lld.", &step) != 1 ||
      step < mark)
    return false;
  OK(glow_checkpoint_save_series(writers_trainer, folder, KEEP, NULL, 0));
  assert_int_equal(count_entries(folder, ".tmp"), 0);
  assert_true(count_entries(folder, "") <= KEEP);
  return true;
}

static void test_series(void **state) {
  (void)state;
  OK(glow_checkpoint_save_series(writers_trainer, recorded, KEEP, NULL, 0));
  const int64_t first = glow_trainer_step_count(writers_trainer);
  power_record(recorded);
  power_mark(first);
  for (int i = 0; i < SAVES; i++) {
    writers_step();
    OK(glow_checkpoint_save_series(writers_trainer, recorded, KEEP, NULL, 0));
    power_mark(glow_trainer_step_count(writers_trainer));
  }
  power_stop();
  play("series", check_series);
  power_forget();
}

/* ---- frame ----------------------------------------------------------------------------------- */

/* In memory if possible: real disks have no part in this. */
static int set_up(void **state) {
  (void)state;
  int result = writers_set_up(access("/dev/shm", W_OK) == 0 ? "/dev/shm" : NULL);
  snprintf(recorded, sizeof recorded, "%s", temp_path("recorded"));
  snprintf(replayed, sizeof replayed, "%s", temp_path("replayed"));
  return result || mkdir(recorded, 0700) || mkdir(replayed, 0700);
}

static int tear_down(void **state) {
  (void)state;
  print_message("%lld states after a power loss were tried\n", (long long)total);
  return writers_tear_down();
}

int main(void) {
  const struct CMUnitTest tests[] = {cmocka_unit_test(test_files), cmocka_unit_test(test_series)};
  return cmocka_run_group_tests(tests, set_up, tear_down);
}
