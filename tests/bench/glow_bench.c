/* glow-bench: times a training step, the log-likelihood and sampling of a Glow model, and prints
 * one line of JSON (or plain lines): seconds, images/s, GFLOP/s, peak memory.
 *
 *   glow-bench [--levels 3] [--depth 32] [--hidden 512] [--batch 16] [--size 32] [--threads 2]
 *              [--repeat 5] [--what train,eval,sample] [--mode stored|reconstructed] [--kernels
 *              NAME]
 *
 * Best and median of `repeat` runs after one that is not counted. SPDX-License-Identifier: MIT */
#include <getopt.h>
#include <glow/glow.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <time.h>

typedef struct settings {
  long levels, depth, hidden, batch, size, threads, repeat;
  const char *what, *mode, *kernels;
} settings;

typedef struct bench {
  settings s;
  glow_context *context;
  glow_model *model;
  glow_trainer *trainer;
  glow_workspace *workspace;
  float *x;
  double *log_prob;
  double macs; /* of one image forward */
} bench;

static void check(glow_status status) {
  if (status == GLOW_OK)
    return;
  fprintf(stderr, "glow-bench: %s: %s\n", glow_status_name(status), glow_last_error());
  exit(1);
}

static double now(void) {
  struct timespec t;
  clock_gettime(CLOCK_MONOTONIC, &t);
  return (double)t.tv_sec + 1e-9 * (double)t.tv_nsec;
}

/* Multiply-adds of one image: a weight of rank 4 or a square of a 1x1 convolution is used once for
 * each pixel of its level. */
static double count_macs(const glow_model *model, const settings *s) {
  double macs = 0;
  for (int32_t i = 0; i < glow_model_tensor_count(model); i++) {
    glow_tensor_info info = GLOW_TENSOR_INFO_INIT;
    long level = 0;
    check(glow_model_tensor(model, i, &info));
    if (info.rank < 2 || sscanf(info.name, "level%ld.", &level) != 1)
      continue;
    if (strstr(info.name, "invconv.upper"))
      continue; /* lower and upper make one matrix */
    double side = (double)(s->size >> (level + 1));
    macs += (double)info.elements * side * side;
  }
  return macs;
}

static void set_up(bench *b) {
  const settings *s = &b->s;
  glow_context_options context = GLOW_CONTEXT_OPTIONS_INIT;
  glow_glow_options glow = GLOW_GLOW_OPTIONS_INIT;
  context.threads = (uint32_t)s->threads;
  context.kernels = s->kernels;
  check(glow_context_create(&context, &b->context));
  if (strcmp(glow_context_kernels(b->context), "cblas") == 0)
    glow_blas_set_threads(1);
  glow.input = (glow_shape){s->size, s->size, 3};
  glow.levels = (int32_t)s->levels;
  glow.depth = (int32_t)s->depth;
  glow.hidden = (int32_t)s->hidden;
  check(glow_model_create_glow(b->context, &glow, &b->model));
  int64_t floats = s->batch * glow_model_dims(b->model);
  b->x = malloc((size_t)floats * sizeof *b->x);
  b->log_prob = malloc((size_t)s->batch * sizeof *b->log_prob);
  if (!b->x || !b->log_prob)
    exit(1);
  glow_rng *rng = NULL;
  check(glow_rng_create(b->context, 1, &rng));
  check(glow_rng_uniform(rng, b->x, floats));
  glow_rng_destroy(&rng);
  for (int64_t i = 0; i < floats; i++)
    b->x[i] -= 0.5f;
  b->macs = count_macs(b->model, s);
}

static void initialise(bench *b) {
  glow_workspace_options o = GLOW_WORKSPACE_OPTIONS_INIT;
  glow_workspace *ws = NULL;
  o.batch = b->s.batch;
  check(glow_workspace_create(b->model, &o, &ws));
  check(glow_workspace_initialise(ws, b->model, b->x, NULL, b->s.batch));
  glow_workspace_destroy(&ws);
}

static void prepare(bench *b, bool train) {
  glow_trainer_destroy(&b->trainer);
  glow_workspace_destroy(&b->workspace);
  if (train) {
    glow_trainer_options o = GLOW_TRAINER_OPTIONS_INIT;
    glow_schedule schedule = GLOW_SCHEDULE_INIT;
    schedule.rate = 1e-4;
    o.schedule = &schedule;
    o.micro_batch = b->s.batch;
    o.mode = b->s.mode[0] == 'r' ? GLOW_MODE_RECONSTRUCTED : GLOW_MODE_STORED;
    check(glow_trainer_create(b->model, &o, &b->trainer));
    return;
  }
  glow_workspace_options o = GLOW_WORKSPACE_OPTIONS_INIT;
  o.batch = b->s.batch;
  check(glow_workspace_create(b->model, &o, &b->workspace));
}

static void run_train(bench *b) {
  check(glow_trainer_step(b->trainer, b->x, NULL, b->s.batch, NULL));
}

static void run_eval(bench *b) {
  check(glow_log_prob(b->workspace, b->x, NULL, b->s.batch, b->log_prob));
}

static void run_sample(bench *b) {
  glow_sample_options o = GLOW_SAMPLE_OPTIONS_INIT;
  o.temperature = 0.7;
  check(glow_sample(b->workspace, &o, NULL, b->s.batch, b->x));
}

static int by_value(const void *a, const void *b) {
  double x = *(const double *)a, y = *(const double *)b;
  return (x > y) - (x < y);
}

static void measure(bench *b, const char *name, void (*fn)(bench *), double passes) {
  double *seconds = malloc((size_t)b->s.repeat * sizeof *seconds);
  if (!seconds)
    exit(1);
  fn(b);
  for (long i = 0; i < b->s.repeat; i++) {
    double start = now();
    fn(b);
    seconds[i] = now() - start;
  }
  qsort(seconds, (size_t)b->s.repeat, sizeof *seconds, by_value);
  double best = seconds[0], median = seconds[b->s.repeat / 2];
  printf("\"%s_s\": %.4f, \"%s_median_s\": %.4f, \"%s_img_per_s\": %.3f, \"%s_gflops\": %.1f, ",
         name, best, name, median, name, (double)b->s.batch / best, name,
         2e-9 * b->macs * passes * (double)b->s.batch / best);
  fflush(stdout);
  free(seconds);
}

static long number(const char *text) {
  char *end = NULL;
  long value = strtol(text, &end, 10);
  if (!*text || *end || value < 1) {
    fprintf(stderr, "glow-bench: '%s' is not a positive number\n", text);
    exit(2);
  }
  return value;
}

static settings parse(int argc, char **argv) {
  settings s = {3, 32, 512, 16, 32, 2, 5, "train,eval,sample", "stored", NULL};
  static const struct option options[] = {
      {"levels", 1, NULL, 'l'},  {"depth", 1, NULL, 'd'}, {"hidden", 1, NULL, 'h'},
      {"batch", 1, NULL, 'b'},   {"size", 1, NULL, 's'},  {"threads", 1, NULL, 't'},
      {"repeat", 1, NULL, 'r'},  {"what", 1, NULL, 'w'},  {"mode", 1, NULL, 'm'},
      {"kernels", 1, NULL, 'k'}, {NULL, 0, NULL, 0}};
  for (int c; (c = getopt_long(argc, argv, "", options, NULL)) != -1;) {
    switch (c) {
    case 'l': s.levels = number(optarg); break;
    case 'd': s.depth = number(optarg); break;
    case 'h': s.hidden = number(optarg); break;
    case 'b': s.batch = number(optarg); break;
    case 's': s.size = number(optarg); break;
    case 't': s.threads = number(optarg); break;
    case 'r': s.repeat = number(optarg); break;
    case 'w': s.what = optarg; break;
    case 'm': s.mode = optarg; break;
    case 'k': s.kernels = optarg; break;
    default: exit(2);
    }
  }
  return s;
}

int main(int argc, char **argv) {
  bench b = {.s = parse(argc, argv)};
  struct rusage usage;
  set_up(&b);
  initialise(&b);
  printf("{\"kernels\": \"%s\", \"threads\": %u, \"mode\": \"%s\", ",
         glow_context_kernels(b.context), glow_context_workers(b.context), b.s.mode);
  if (strstr(b.s.what, "train")) {
    prepare(&b, true);
    measure(&b, "train", run_train, b.s.mode[0] == 'r' ? 4 : 3);
  }
  prepare(&b, false);
  if (strstr(b.s.what, "eval"))
    measure(&b, "eval", run_eval, 1);
  if (strstr(b.s.what, "sample"))
    measure(&b, "sample", run_sample, 1);
  getrusage(RUSAGE_SELF, &usage);
  printf("\"macs\": %.0f, \"params\": %lld, \"peak_rss_mb\": %ld}\n", b.macs,
         (long long)glow_model_parameter_count(b.model), usage.ru_maxrss / 1024);
  glow_trainer_destroy(&b.trainer);
  glow_workspace_destroy(&b.workspace);
  glow_model_destroy(&b.model);
  glow_context_destroy(&b.context);
  free(b.x);
  free(b.log_prob);
  return 0;
}
