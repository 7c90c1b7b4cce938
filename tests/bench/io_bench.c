/* Times saving and loading a model beside copying its file with cp: the paper's CIFAR-10 model, 44
 * million parameters, 176 MB. All take turns; reported are medians, the best, processor time, and
 * cp's median divided by theirs (1: as fast as cp).
 *
 * Each is run twice at its turn, and the second counts: memory that was not in use lately may have
 * to come from the host of a virtual machine, slowly, and the first one waits for that. Before each
 * run, what is left in the disk cache is written out: cp leaves all of it, and would have the next
 * one wait. cp and saves replace the file of the run before; a save moreover syncs its own.
 *
 * Usage: io_bench [FOLDER] [ROUNDS] [HIDDEN]. SPDX-License-Identifier: MIT */
#include <glow/glow.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <time.h>
#include <unistd.h>

enum { MOST = 99, WAYS = 7 };

static const char *const names[WAYS] = {"cp",   "save",      "cp and sync", "save bf16",
                                        "load", "load bf16", "load mapped"};

typedef struct bench {
  glow_context *context;
  glow_model *model, *loaded;
  char path[512], copy[512], half[512];
} bench;

/* Time of this process and of those it has waited for. */
static double cpu(void) {
  struct rusage own, children;
  getrusage(RUSAGE_SELF, &own);
  getrusage(RUSAGE_CHILDREN, &children);
  const struct timeval times[] = {own.ru_utime, own.ru_stime, children.ru_utime, children.ru_stime};
  double sum = 0;
  for (int i = 0; i < 4; i++)
    sum += (double)times[i].tv_sec + 1e-6 * (double)times[i].tv_usec;
  return sum;
}

static double now(void) {
  struct timespec t;
  clock_gettime(CLOCK_MONOTONIC, &t);
  return (double)t.tv_sec + 1e-9 * (double)t.tv_nsec;
}

static void check(glow_status status) {
  if (status == GLOW_OK)
    return;
  fprintf(stderr, "io_bench: %s\n", glow_last_error());
  exit(1);
}

static void command(const char *format, const char *a, const char *b) {
  char text[1200];
  snprintf(text, sizeof text, format, a, b);
  if (system(text) != 0)
    exit(1);
}

static void load(bench *b, const char *path, uint32_t flags) {
  glow_input in = GLOW_INPUT_INIT;
  in.path = path;
  in.flags = flags;
  check(glow_model_load_input(b->context, &in, &b->loaded));
}

static void save(bench *b, const char *path, int32_t storage) {
  glow_output out = GLOW_OUTPUT_INIT;
  out.path = path;
  out.storage = storage;
  check(glow_model_save_output(b->model, &out));
}

static void run(bench *b, int way) {
  switch (way) {
  case 0: command("cp '%s' '%s'", b->path, b->copy); break;
  case 1: save(b, b->path, 0); break;
  case 2: command("cp '%s' '%s' && sync '%2$s'", b->path, b->copy); break;
  case 3: save(b, b->half, GLOW_TYPE_BF16); break;
  case 4: load(b, b->path, 0); break;
  case 5: load(b, b->half, 0); break;
  default: load(b, b->path, GLOW_INPUT_MAP); break;
  }
}

static int by_value(const void *a, const void *b) {
  const double *x = a, *y = b;
  return *x < *y ? -1 : *x > *y;
}

static void prepare(bench *b, const char *folder, int32_t hidden) {
  glow_glow_options o = GLOW_GLOW_OPTIONS_INIT;
  o.hidden = hidden;
  snprintf(b->path, sizeof b->path, "%s/io_bench.model", folder);
  snprintf(b->copy, sizeof b->copy, "%s/io_bench.copy", folder);
  snprintf(b->half, sizeof b->half, "%s/io_bench.half", folder);
  check(glow_context_create(NULL, &b->context));
  check(glow_model_create_glow(b->context, &o, &b->model));
  check(glow_model_set_initialised(b->model));
}

static void timed(bench *b, int way, double *seconds, double *work) {
  for (int i = 0; i < 2; i++) {
    glow_model_destroy(&b->loaded);
    sync();
    double start = now(), used = cpu();
    run(b, way);
    *seconds = now() - start;
    *work = cpu() - used;
  }
  glow_model_destroy(&b->loaded);
}

int main(int argc, char **argv) {
  static double times[WAYS][MOST], work[WAYS][MOST];
  bench b = {.loaded = NULL};
  int rounds = argc > 2 ? atoi(argv[2]) : 5;
  rounds = rounds < 1 ? 1 : rounds > MOST ? MOST : rounds;
  prepare(&b, argc > 1 ? argv[1] : ".", argc > 3 ? atoi(argv[3]) : 512);
  save(&b, b.path, 0);
  save(&b, b.half, GLOW_TYPE_BF16);
  for (int round = 0; round < rounds; round++)
    for (int way = 0; way < WAYS; way++)
      timed(&b, way, &times[way][round], &work[way][round]);
  for (int way = 0; way < WAYS; way++) {
    qsort(times[way], (size_t)rounds, sizeof(double), by_value);
    qsort(work[way], (size_t)rounds, sizeof(double), by_value);
    printf("%-12s %7.3f s  best %7.3f  cpu %7.3f  cp / this %5.2f\n", names[way],
           times[way][rounds / 2], times[way][0], work[way][rounds / 2],
           times[0][rounds / 2] / times[way][rounds / 2]);
  }
  unlink(b.path);
  unlink(b.copy);
  unlink(b.half);
  glow_model_destroy(&b.model);
  glow_context_destroy(&b.context);
  return 0;
}
