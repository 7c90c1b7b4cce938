/* What killed writers have left behind is removed, and nothing of others; and disks that are full
 * indeed. SPDX-License-Identifier: MIT */
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <sched.h>
#include <signal.h>
#include <sys/file.h>
#include <sys/mount.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "wrap.h"
#include "writers.h"

static char target[256];
static const blob old = {(unsigned char *)(uintptr_t) "the old file", 12};

static glow_status write_one(const char *path) {
  return writers[0].write(path);
}

/* ---- left-over temporary files --------------------------------------------------------------- */

static void touch(const char *path) {
  const blob b = {(unsigned char *)(uintptr_t) "half a", 6};
  write_blob(path, &b);
}

static void test_left_over(void **state) {
  struct stat about;
  char name[64];
  (void)state;
  touch(temp_path("target.glow-0.tmp"));  /* of a killed writer: removed */
  touch(temp_path("target.glow-00.tmp")); /* of somebody else */
  touch(temp_path("other.glow-0.tmp"));
  OK(write_one(target));
  assert_int_equal(count_entries(temp_folder, ".tmp"), 2);
  /* One that is being written stays, and does not block. */
  touch(temp_path("target.glow-0.tmp"));
  int descriptor = open(temp_path("target.glow-0.tmp"), O_WRONLY);
  assert_int_equal(flock(descriptor, LOCK_EX), 0);
  OK(write_one(target));
  assert_int_equal(count_entries(temp_folder, "target.glow-0.tmp"), 1);
  close(descriptor);
  unlink(temp_path("target.glow-0.tmp"));
  /* A link is not followed, a folder not touched. */
  touch(temp_path("precious"));
  assert_int_equal(symlink(temp_path("precious"), temp_path("target.glow-0.tmp")), 0);
  assert_int_equal(mkdir(temp_path("target.glow-1.tmp"), 0700), 0);
  assert_int_equal(mkfifo(temp_path("target.glow-2.tmp"), 0600), 0);
  OK(write_one(target));
  assert_int_equal(stat(temp_path("precious"), &about), 0);
  assert_int_equal(about.st_size, 6);
  unlink(temp_path("target.glow-0.tmp"));
  rmdir(temp_path("target.glow-1.tmp"));
  unlink(temp_path("target.glow-2.tmp"));
  unlink(temp_path("target.glow-00.tmp"));
  unlink(temp_path("other.glow-0.tmp"));
  /* Without locks there is an end to them too: the last is taken over. With locks all go. */
  for (int i = 0; i < 100; i++) {
    snprintf(name, sizeof name, "target.glow-%d.tmp", i);
    touch(temp_path(name));
  }
  wrap.without_locks = true;
  OK(write_one(target));
  OK(write_one(target));
  wrap.without_locks = false;
  assert_int_equal(count_entries(temp_folder, "target.glow-"), 99);
  OK(write_one(target));
  assert_int_equal(count_entries(temp_folder, ".tmp"), 0);
}

/* A series tidies up after killed writers of steps that never come again; not after others. */
static void test_left_over_of_series(void **state) {
  (void)state;
  assert_int_equal(mkdir(temp_path("series"), 0700), 0);
  touch(temp_path("series/checkpoint-000000001.safetensors.glow-0.tmp"));
  touch(temp_path("series/checkpoint-000000002.safetensors.glow-3.tmp"));
  touch(temp_path("series/checkpoint-2.safetensors.glow-3.tmp"));
  touch(temp_path("series/mine.glow-0.tmp"));
  OK(glow_checkpoint_save_series(writers_trainer, temp_path("series"), 0, NULL, 0));
  assert_int_equal(count_entries(temp_path("series"), ".tmp"), 2);
}

/* ---- disks that are full --------------------------------------------------------------------- */

/* No file may grow beyond a limit: each write at any place of the file fails once. */
static void test_file_size_limit(void **state) {
  struct rlimit before, limit;
  (void)state;
  assert_int_equal(getrlimit(RLIMIT_FSIZE, &before), 0);
  void (*handler)(int) = signal(SIGXFSZ, SIG_IGN);
  for (const file_writer *writer = writers; writer->name; writer++) {
    OK(writer->write(target));
    blob new = read_blob(target);
    write_blob(target, &old);
    for (size_t size = 0; size < new.size; size += new.size / 7 + 1) {
      limit = before;
      limit.rlim_cur = size;
      assert_int_equal(setrlimit(RLIMIT_FSIZE, &limit), 0);
      glow_status status = writer->write(target);
      assert_int_equal(setrlimit(RLIMIT_FSIZE, &before), 0);
      assert_int_equal(status, GLOW_E_IO);
      assert_non_null(strstr(glow_last_error(), target));
      assert_true(holds(target, &old));
      assert_int_equal(count_entries(temp_folder, "target."), 0);
    }
    free(new.bytes);
  }
  signal(SIGXFSZ, handler);
  unlink(target);
}

enum { CANNOT_MOUNT = 77 };

static int fill_disk(const char *disk) {
  char path[300], filler[300];
  snprintf(path, sizeof path, "%s/model", disk);
  snprintf(filler, sizeof filler, "%s/filler", disk);
  if (unshare(CLONE_NEWNS) != 0 || mount(NULL, "/", NULL, MS_REC | MS_PRIVATE, NULL) != 0 ||
      mount("tmpfs", disk, "tmpfs", 0, "size=64k") != 0)
    return CANNOT_MOUNT;
  blob first = {.bytes = helper_allocate(100), .size = 100}, big = {NULL, 60 << 10};
  memset(first.bytes, 5, 100);
  big.bytes = helper_allocate(big.size);
  memset(big.bytes, 6, big.size);
  write_blob(path, &first);
  write_blob(filler, &big);
  int wrong = 0;
  wrong += glow_model_save(writers_model, path) != GLOW_E_IO;
  wrong += strstr(glow_last_error(), strerror(ENOSPC)) == NULL;
  wrong += !holds(path, &first);
  wrong += count_entries(disk, "") != 2;
  unlink(filler);
  wrong += glow_model_save(writers_model, path) != GLOW_OK;
  wrong += count_entries(disk, "") != 1;
  return wrong;
}

static void test_full_disk(void **state) {
  int status = 0;
  (void)state;
  assert_int_equal(mkdir(temp_path("disk"), 0700), 0);
  fflush(NULL);
  pid_t child = fork();
  if (child == 0)
    _exit(fill_disk(temp_path("disk")));
  assert_true(waitpid(child, &status, 0) == child && WIFEXITED(status));
  if (WEXITSTATUS(status) == CANNOT_MOUNT) {
    print_message("skipped: no file system can be mounted here\n");
    skip();
  }
  assert_int_equal(WEXITSTATUS(status), 0);
}

/* ---- frame ----------------------------------------------------------------------------------- */

static int set_up(void **state) {
  (void)state;
  int result = writers_set_up(NULL);
  snprintf(target, sizeof target, "%s", temp_path("target"));
  return result;
}

static int tear_down(void **state) {
  (void)state;
  return writers_tear_down();
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(test_left_over),
      cmocka_unit_test(test_left_over_of_series),
      cmocka_unit_test(test_file_size_limit),
      cmocka_unit_test(test_full_disk),
  };
  return cmocka_run_group_tests(tests, set_up, tear_down);
}
