/* The n-th system call of a writer fails, for n = 1, 2, 3, ... until a run sees no failure: with
 * EIO, ENOSPC, EINTR, or as a short write; once, or from then on. Each time the old file is intact
 * bit for bit or the new one is there whole, no temporary file and no descriptor is left, no memory
 * leaks, and status and message are right. Then disks that are full indeed.
 * SPDX-License-Identifier: MIT */
#define _GNU_SOURCE
#include <dirent.h>
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

#include "places.h"
#include "wrap.h"

enum { MOST = 2000, EINTRS = 3 };

/* ---- writers --------------------------------------------------------------------------------- */

static glow_context *context;
static helper_memory memory;
static glow_model *model;
static glow_trainer *trainer;

typedef glow_status (*writer)(const char *path);

static glow_status write_model(const char *path) {
  return glow_model_save(model, path);
}

static glow_status write_checkpoint(const char *path) {
  static const char *const notes[] = {"epoch", "7"};
  return glow_checkpoint_save(trainer, path, notes, 1);
}

static const float numbers[600];
static const uint8_t bytes[5] = {1, 2, 3, 4, 5};

static void list_tensors(glow_file_tensor *tensors) {
  tensors[0] = tensors[1] = (glow_file_tensor)GLOW_FILE_TENSOR_INIT;
  tensors[0].name = "numbers";
  tensors[0].type = GLOW_TYPE_F32;
  tensors[0].rank = 1;
  tensors[0].dims[0] = 600;
  tensors[0].bytes = sizeof numbers;
  tensors[0].data = numbers;
  tensors[1].name = "bytes";
  tensors[1].type = GLOW_TYPE_U8;
  tensors[1].rank = 1;
  tensors[1].dims[0] = tensors[1].bytes = sizeof bytes;
  tensors[1].data = bytes;
}

static glow_status write_tensors(const char *path) {
  glow_file_tensor tensors[2];
  list_tensors(tensors);
  return glow_tensor_file_write(context, path, tensors, 2, NULL, 0);
}

/* Piece by piece; the first failure is the one that is reported. */
static glow_status write_pieces(const char *path) {
  glow_file_tensor tensors[2];
  glow_tensor_writer *w = NULL;
  list_tensors(tensors);
  glow_status status = glow_tensor_writer_create(context, path, tensors, 2, NULL, 0, &w);
  if (status == GLOW_OK)
    status = glow_tensor_writer_append(w, 0, numbers, 1000);
  if (status == GLOW_OK)
    status = glow_tensor_writer_append(w, 1, bytes, sizeof bytes);
  if (status == GLOW_OK)
    status = glow_tensor_writer_append(w, 0, (const char *)numbers + 1000, sizeof numbers - 1000);
  if (status == GLOW_OK)
    return glow_tensor_writer_finish(&w);
  if (w) { /* finishing what has failed fails too, and leaves nothing */
    char text[256];
    snprintf(text, sizeof text, "%s", glow_last_error());
    assert_int_equal(glow_tensor_writer_finish(&w), GLOW_E_STATE);
    glow_error(status, "%s", text);
  }
  assert_null(w);
  return status;
}

/* ---- one fault ------------------------------------------------------------------------------- */

typedef struct way {
  const char *name;
  int error;
  int64_t more;
  bool only_moves;
  bool harmless; /* the writer goes on */
} way;

static const way ways[] = {
    {"EIO once", EIO, 0, false, false},
    {"EIO from then on", EIO, INT64_MAX, false, false},
    {"ENOSPC once", ENOSPC, 0, false, false},
    {"ENOSPC from then on", ENOSPC, INT64_MAX, false, false},
    {"EDQUOT from then on", EDQUOT, INT64_MAX, false, false},
    {"EINTR once", EINTR, 0, false, true},
    {"EINTR some times", EINTR, EINTRS - 1, false, true},
    {"one short write", 0, 0, true, true},
    {"short writes from then on", 0, INT64_MAX, true, true},
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
    assert_int_equal(status, GLOW_E_IO);
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
static bool run_with_fault(writer write, const way *w, int64_t n) {
  write_blob(target, &old);
  const int descriptors = count_descriptors();
  const int64_t live = memory.live;
  wrap = (wrap_fault){
      .active = true, .first = n, .more = w->more, .error = w->error, .only_moves = w->only_moves};
  glow_status status = write(target);
  wrap.active = false;
  assert_int_equal(memory.live, live);
  assert_int_equal(count_descriptors(), descriptors);
  if (!wrap.failures)
    assert_int_equal(status, GLOW_OK);
  check_after(status, w);
  /* The next one succeeds, and removes what could not be removed. */
  OK(write(target));
  assert_true(holds(target, &new));
  assert_int_equal(count_entries(temp_folder, ".tmp"), 0);
  return wrap.failures > 0;
}

static void fail_each(writer write, const char *name) {
  set_target();
  OK(write(target));
  new = read_blob(target);
  old = (blob){(unsigned char *)(uintptr_t) "the old file", 12};
  for (int k = 0; k < WAYS; k++) {
    int64_t n = 1;
    while (run_with_fault(write, &ways[k], n) && n < MOST)
      n++;
    assert_true(n > 3 && n < MOST);
    if (k == 0) {
      print_message("%s: %lld calls; pwrite %lld, open %lld, fsync %lld, close %lld, rename %lld\n",
                    name, (long long)n - 1, (long long)wrap.of[WRAP_PWRITE],
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

static void test_model(void **state) {
  (void)state;
  fail_each(write_model, "model");
}

static void test_tensor_file(void **state) {
  (void)state;
  fail_each(write_tensors, "tensor file");
}

static void test_pieces(void **state) {
  (void)state;
  fail_each(write_pieces, "tensor file in pieces");
}

static void test_checkpoint(void **state) {
  (void)state;
  fail_each(write_checkpoint, "checkpoint");
}

/* ---- a series -------------------------------------------------------------------------------- */

/* Whatever fails, a good checkpoint can be found. */
static void test_series(void **state) {
  char series[300], path[400];
  const float x[2 * 32] = {0.1f};
  (void)state;
  snprintf(series, sizeof series, "%s", temp_path("series"));
  assert_int_equal(mkdir(series, 0700), 0);
  OK(glow_checkpoint_save_series(trainer, series, 1, NULL, 0));
  for (int k = 0; k < WAYS; k++) {
    bool failed = true;
    for (int64_t n = 1; failed && n < MOST; n++) {
      OK(glow_trainer_step(trainer, x, NULL, 2, NULL));
      const int descriptors = count_descriptors();
      wrap = (wrap_fault){.active = true,
                          .first = n,
                          .more = ways[k].more,
                          .error = ways[k].error,
                          .only_moves = ways[k].only_moves};
      glow_status status = glow_checkpoint_save_series(trainer, series, 1, NULL, 0);
      wrap.active = false;
      failed = wrap.failures > 0;
      if (status != GLOW_OK) {
        if (ways[k].harmless || !failed)
          fail_msg("%s, call %lld: %s", ways[k].name, (long long)n, glow_last_error());
        assert_int_equal(status, GLOW_E_IO);
        assert_non_null(strstr(glow_last_error(), series));
      }
      assert_int_equal(count_descriptors(), descriptors);
      OK(glow_checkpoint_newest(context, series, path, sizeof path));
      int files = count_entries(series, "");
      assert_true(files == 1 || status != GLOW_OK || wrap.failed[WRAP_UNLINK]);
      OK(glow_checkpoint_save_series(trainer, series, 1, NULL, 0));
      assert_int_equal(count_entries(series, ""), 1);
    }
    assert_false(failed);
  }
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
  set_target();
  touch(temp_path("target.glow-0.tmp"));  /* of a killed writer: removed */
  touch(temp_path("target.glow-00.tmp")); /* of somebody else */
  touch(temp_path("other.glow-0.tmp"));
  OK(write_tensors(target));
  assert_int_equal(count_entries(temp_folder, ".tmp"), 2);
  /* One that is being written stays, and does not block. */
  touch(temp_path("target.glow-0.tmp"));
  int descriptor = open(temp_path("target.glow-0.tmp"), O_WRONLY);
  assert_int_equal(flock(descriptor, LOCK_EX), 0);
  OK(write_tensors(target));
  assert_int_equal(count_entries(temp_folder, "target.glow-0.tmp"), 1);
  close(descriptor);
  unlink(temp_path("target.glow-0.tmp"));
  /* A link is not followed, a folder not touched. */
  touch(temp_path("precious"));
  assert_int_equal(symlink(temp_path("precious"), temp_path("target.glow-0.tmp")), 0);
  assert_int_equal(mkdir(temp_path("target.glow-1.tmp"), 0700), 0);
  assert_int_equal(mkfifo(temp_path("target.glow-2.tmp"), 0600), 0);
  OK(write_tensors(target));
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
  OK(write_tensors(target));
  OK(write_tensors(target));
  wrap.without_locks = false;
  assert_int_equal(count_entries(temp_folder, "target.glow-"), 99);
  OK(write_tensors(target));
  assert_int_equal(count_entries(temp_folder, ".tmp"), 0);
}

/* A series tidies up after killed writers of steps that never come again; not after others. */
static void test_left_over_of_series(void **state) {
  (void)state;
  touch(temp_path("series/checkpoint-000000001.safetensors.glow-0.tmp"));
  touch(temp_path("series/checkpoint-000000002.safetensors.glow-3.tmp"));
  touch(temp_path("series/checkpoint-2.safetensors.glow-3.tmp"));
  touch(temp_path("series/mine.glow-0.tmp"));
  OK(glow_checkpoint_save_series(trainer, temp_path("series"), 0, NULL, 0));
  assert_int_equal(count_entries(temp_path("series"), ".tmp"), 2);
}

/* ---- disks that are full --------------------------------------------------------------------- */

/* No file may grow beyond a limit: each write at any place of the file fails once. */
static void test_file_size_limit(void **state) {
  const writer writers[] = {write_model, write_tensors, write_pieces, write_checkpoint};
  struct rlimit before, limit;
  (void)state;
  assert_int_equal(getrlimit(RLIMIT_FSIZE, &before), 0);
  void (*handler)(int) = signal(SIGXFSZ, SIG_IGN);
  set_target();
  for (size_t i = 0; i < sizeof writers / sizeof *writers; i++) {
    OK(writers[i](target));
    new = read_blob(target);
    write_blob(target, &old);
    for (size_t size = 0; size < new.size; size += new.size / 7 + 1) {
      limit = before;
      limit.rlim_cur = size;
      assert_int_equal(setrlimit(RLIMIT_FSIZE, &limit), 0);
      glow_status status = writers[i](target);
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
  wrong += glow_model_save(model, path) != GLOW_E_IO;
  wrong += strstr(glow_last_error(), strerror(ENOSPC)) == NULL;
  wrong += !holds(path, &first);
  wrong += count_entries(disk, "") != 2;
  unlink(filler);
  wrong += glow_model_save(model, path) != GLOW_OK;
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
  glow_trainer_options options = GLOW_TRAINER_OPTIONS_INIT;
  glow_glow_options o = GLOW_GLOW_OPTIONS_INIT;
  const float x[2 * 32] = {0.1f, -0.2f};
  (void)state;
  if (!temp_folder_make(NULL))
    return -1;
  context = helper_context(0, NULL, &memory);
  o.input = (glow_shape){4, 4, 2};
  o.levels = 1;
  o.depth = 1;
  o.hidden = 8;
  model = helper_glow(context, &o, 1);
  options.micro_batch = 2;
  OK(glow_trainer_create(model, &options, &trainer));
  OK(glow_trainer_step(trainer, x, NULL, 2, NULL));
  old = (blob){(unsigned char *)(uintptr_t) "the old file", 12};
  return 0;
}

static int tear_down(void **state) {
  (void)state;
  glow_trainer_destroy(&trainer);
  glow_model_destroy(&model);
  glow_context_destroy(&context);
  return temp_folder_remove() && memory.live == 0 ? 0 : -1;
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(test_model),
      cmocka_unit_test(test_tensor_file),
      cmocka_unit_test(test_pieces),
      cmocka_unit_test(test_checkpoint),
      cmocka_unit_test(test_series),
      cmocka_unit_test(test_left_over),
      cmocka_unit_test(test_left_over_of_series),
      cmocka_unit_test(test_file_size_limit),
      cmocka_unit_test(test_full_disk),
  };
  return cmocka_run_group_tests(tests, set_up, tear_down);
}
