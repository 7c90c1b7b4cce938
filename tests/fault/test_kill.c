/* A writer is killed at random moments, over and over: the file at its place is always one of the
 * two that it writes, whole. What killed writers leave behind does not pile up and is in nobody's
 * way. SPDX-License-Identifier: MIT */
#define _GNU_SOURCE
#include <dirent.h>
#include <signal.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "../support/model_helpers.h"
#include "../support/temp_folder.h"

enum { KILLS = 250, MODELS = 2, KEEP = 2 };

/* In memory if possible: a file system that outlives a process is all that matters here. */
static char target[80], series[80];

/* What the writer reports: saves that are done, in memory shared with the parent. */
static volatile int64_t *saves;

static glow_context *context;
static glow_model *models[MODELS];
static glow_trainer *trainer;

/* ---- files ----------------------------------------------------------------------------------- */

static int count_entries(const char *path, const char *part) {
  DIR *directory = opendir(path);
  int count = 0;
  assert_non_null(directory);
  for (const struct dirent *e; (e = readdir(directory));)
    count += e->d_name[0] != '.' && strstr(e->d_name, part) != NULL;
  closedir(directory);
  return count;
}

/* Which of the models a file holds; fails when it is none. */
static int which(const char *path) {
  glow_model *loaded = NULL;
  OK(glow_model_load(context, path, &loaded));
  int found = -1;
  size_t bytes = (size_t)glow_model_parameter_count(loaded) * sizeof(float);
  for (int i = 0; i < MODELS; i++)
    if (glow_model_parameter_count(models[i]) == glow_model_parameter_count(loaded) &&
        memcmp(glow_model_parameters(models[i]), glow_model_parameters(loaded), bytes) == 0)
      found = i;
  glow_model_destroy(&loaded);
  assert_true(found >= 0);
  return found;
}

/* How many checkpoints there are; fails when one of them is not good. */
static int check_series(void) {
  DIR *directory = opendir(series);
  int count = 0;
  assert_non_null(directory);
  for (const struct dirent *e; (e = readdir(directory));) {
    char path[512];
    glow_model *model = NULL;
    glow_trainer *other = NULL;
    if (e->d_name[0] == '.' || strstr(e->d_name, ".tmp"))
      continue;
    snprintf(path, sizeof path, "%s/%s", series, e->d_name);
    OK(glow_checkpoint_load(context, path, &model, &other));
    glow_trainer_destroy(&other);
    glow_model_destroy(&model);
    count++;
  }
  closedir(directory);
  return count;
}

/* ---- the writer and its killer --------------------------------------------------------------- */

static _Noreturn void write_models(void) {
  for (int64_t i = 0;; i++) {
    if (glow_model_save(models[i % MODELS], target) != GLOW_OK)
      _exit(1);
    ++*saves;
  }
}

static _Noreturn void write_series(void) {
  const float x[2 * 16] = {0.1f, -0.2f, 0.3f};
  for (;;) {
    if (glow_checkpoint_save_series(trainer, series, KEEP, NULL, 0) != GLOW_OK ||
        glow_trainer_step(trainer, x, NULL, 2, NULL) != GLOW_OK)
      _exit(1);
    ++*saves;
  }
}

static void sleep_for(double seconds) {
  struct timespec time = {0, (long)(seconds * 1e9)};
  nanosleep(&time, NULL);
}

static double now(void) {
  struct timespec time;
  clock_gettime(CLOCK_MONOTONIC, &time);
  return (double)time.tv_sec + 1e-9 * (double)time.tv_nsec;
}

/* Lets the writer save twice, which shows how long one takes, then kills it at some moment of the
 * next; `temporary`: as soon as there is such a file, half the time without a rest, for even the
 * shortest is longer than a small file takes. */
static void start_and_kill(void (*writer)(void), const char *temporary, helper_random *random) {
  int status = 0;
  *saves = 0;
  fflush(NULL);
  pid_t child = fork();
  assert_true(child >= 0);
  if (child == 0)
    writer();
  while (*saves < 1 && waitpid(child, &status, WNOHANG) == 0)
    sleep_for(1e-4);
  double start = now();
  while (*saves < 2 && waitpid(child, &status, WNOHANG) == 0)
    sleep_for(1e-4);
  double most = 1.5 * (now() - start), part = helper_uniform(random);
  if (temporary) {
    while (access(temporary, F_OK) != 0 && waitpid(child, &status, WNOHANG) == 0)
      ;
    most /= 20;
    part = 2 * part - 1;
  }
  if (part > 0)
    sleep_for(part * (most < 0.05 ? most : 0.05));
  kill(child, SIGKILL);
  waitpid(child, &status, 0);
  if (!WIFSIGNALED(status) || WTERMSIG(status) != SIGKILL)
    fail_msg("the writer ended by itself");
}

/* ---- tests ----------------------------------------------------------------------------------- */

static void test_model(void **state) {
  helper_random random = helper_random_of(11);
  int in_the_middle = 0, found[MODELS] = {0}, kills = 0;
  char temporary[128];
  (void)state;
  snprintf(temporary, sizeof temporary, "%s.glow-0.tmp", target);
  /* More, where other programs keep the killer from its moment. */
  for (; kills < KILLS || (in_the_middle <= KILLS / 20 && kills < 10 * KILLS); kills++) {
    start_and_kill(write_models, kills % 2 ? temporary : NULL, &random);
    int left = count_entries(temp_folder, ".tmp");
    assert_in_range(left, 0, 1);
    in_the_middle += left;
    found[which(target)]++;
  }
  print_message("%d kills, %d of them while a file was being written; found A %d, B %d times\n",
                kills, in_the_middle, found[0], found[1]);
  assert_true(in_the_middle > KILLS / 20 && found[0] && found[1]);
  OK(glow_model_save(models[0], target));
  assert_int_equal(which(target), 0);
  assert_int_equal(count_entries(temp_folder, ".tmp"), 0);
}

/* Each writer starts at step 0, removes others but its own, and is killed at some step. */
static void test_series(void **state) {
  helper_random random = helper_random_of(12);
  (void)state;
  for (int i = 0; i < KILLS / 5; i++) {
    start_and_kill(write_series, NULL, &random);
    assert_in_range(count_entries(series, ".tmp"), 0, 1);
    assert_in_range(check_series(), 2, KEEP + 1);
  }
  OK(glow_checkpoint_save_series(trainer, series, KEEP, NULL, 0));
  assert_int_equal(count_entries(series, ".tmp"), 0);
  assert_int_equal(check_series(), KEEP);
}

static int set_up(void **state) {
  glow_trainer_options options = GLOW_TRAINER_OPTIONS_INIT;
  glow_glow_options o = GLOW_GLOW_OPTIONS_INIT;
  (void)state;
  saves = mmap(NULL, sizeof *saves, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
  if (saves == MAP_FAILED || !temp_folder_make(access("/dev/shm", W_OK) == 0 ? "/dev/shm" : NULL))
    return -1;
  snprintf(target, sizeof target, "%s", temp_path("model"));
  snprintf(series, sizeof series, "%s", temp_path("series"));
  context = helper_context(0, NULL, NULL);
  o.input = (glow_shape){4, 4, 1};
  o.levels = 1;
  o.depth = 1;
  o.hidden = 4;
  for (int i = 0; i < MODELS; i++) {
    models[i] = helper_glow(context, &o, (uint64_t)i + 1);
    o.depth = 3; /* the second is larger: half of it is not the first */
  }
  options.micro_batch = 2;
  OK(glow_trainer_create(models[0], &options, &trainer));
  return mkdir(series, 0700);
}

static int tear_down(void **state) {
  (void)state;
  glow_trainer_destroy(&trainer);
  for (int i = 0; i < MODELS; i++)
    glow_model_destroy(&models[i]);
  glow_context_destroy(&context);
  return temp_folder_remove() ? 0 : -1;
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(test_model),
      cmocka_unit_test(test_series),
  };
  return cmocka_run_group_tests(tests, set_up, tear_down);
}
