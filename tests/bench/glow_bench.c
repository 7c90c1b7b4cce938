/* glow-bench: times a training step, the log-likelihood and sampling of a model, in the modes that
 * are asked for: samples/s, GFLOP/s, the part of the cores' peak that this is, and memory.
 *
 *   glow-bench [--model glow|realnvp|nice|flow2d|spline6d] [--levels N] [--depth N] [--hidden N]
 *              [--size N] [--batch 16] [--sample-batches 1,16,64] [--threads 2]
 *              [--kernels NAME] [--repeat 5]
 *              [--what train,eval,sample,gradients,target] [--modes stored,reconstructed] [--json]
 *              [--products float32|bfloat16] [--cache-packed] [--inference-form]
 *              [--model-threads N]
 *
 * Each figure is the best and the median of `repeat` runs after one that is not counted; the peak
 * is measured before and after each of them, on the same threads; of the ratios the median is told,
 * and that of the best run to the highest peak. Short runs are repeated for 20 ms each. FLOPs are
 * those of the products: 2 for each multiply-add; backward has twice forward's, or as many where
 * only x has a gradient, whatever is computed again. --inference-form times
 * log-likelihood and sampling again with its inference form, --cache-packed with workspaces that
 * cache packed weights.
 *
 * "gradients" (only where it is asked for) times a forward pass and backward for all gradients
 * ("gradient"), sampling and the way back through it ("of sampling"), and backward alone: for all
 * gradients ("backward"), and for those of x ("back to x"). "target", besides "train", times
 * training steps by reverse KL ("to a target").
 *
 * --model-threads N tells instead what each would take on 1, 2, 4, ... N threads
 * (model_threads.c), from the tasks of a pass and what each takes on one core, in milliseconds and
 * as a part of N times one core, and beside it what one thread and the pool's --threads take.
 * SPDX-License-Identifier: MIT */
#include <getopt.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>

#include "bench.h"

enum { MOST_BATCHES = 16, MOST_REPEATS = 1000, LEAST_FLOATS = 3000 };
static const double LEAST_SECONDS = 0.02;

typedef struct settings {
  bench_model_options model;
  int64_t batch, threads, repeat, batches[MOST_BATCHES];
  int64_t model_threads; /* 0: measure, do not predict */
  int32_t batch_count;
  const char *what, *modes, *kernels, *products;
  bool json, cache_packed, form;
} settings;

typedef struct bench {
  settings s;
  glow_pool *pool;
  glow_executor executor; /* the pool's */
  bench_cores cores;      /* with model_threads */
  glow_context *context;
  glow_model *model, *form; /* form NULL: not yet, or not asked for */
  glow_trainer *trainer;
  glow_workspace *workspace;
  int64_t largest; /* batch */
  float *x;
  double *log_prob;
  int64_t first_values; /* samples that the model is initialised from */
  double macs;          /* of one sample forward */
  bool first;           /* nothing printed yet */
} bench;

static void check(glow_status status) {
  if (status == GLOW_OK)
    return;
  fprintf(stderr, "glow-bench: %s: %s\n", glow_status_name(status), glow_last_error());
  exit(1);
}

static void *allocate(size_t bytes) {
  void *memory = malloc(bytes);
  if (memory)
    return memory;
  fprintf(stderr, "glow-bench: no memory\n");
  exit(1);
}

/* ---- memory ---------------------------------------------------------------------------------- */

/* Resets the peak of the resident set, where the system can (Linux). */
static void forget_peak(void) {
  FILE *file = fopen("/proc/self/clear_refs", "w");
  if (!file)
    return;
  fputs("5", file);
  fclose(file);
}

static double peak_bytes(void) {
  FILE *file = fopen("/proc/self/status", "r");
  char line[256];
  long kib = 0;
  while (file && fgets(line, sizeof line, file))
    if (sscanf(line, "VmHWM: %ld", &kib) == 1)
      break;
  if (file)
    fclose(file);
  if (kib)
    return 1024.0 * (double)kib;
  struct rusage usage;
  getrusage(RUSAGE_SELF, &usage);
  return 1024.0 * (double)usage.ru_maxrss;
}

/* ---- what is run ----------------------------------------------------------------------------- */

static void set_up(bench *b) {
  glow_context_options options = GLOW_CONTEXT_OPTIONS_INIT;
  b->executor.struct_size = sizeof b->executor;
  check(glow_pool_create(NULL, (uint32_t)b->s.threads, &b->pool));
  check(glow_pool_executor(b->pool, &b->executor));
  glow_executor counting = GLOW_EXECUTOR_INIT;
  options.executor = &b->executor;
  if (b->s.model_threads) {
    counting = bench_cores_executor(&b->cores, &b->executor);
    options.executor = &counting;
  }
  options.kernels = b->s.kernels;
  options.products =
      strcmp(b->s.products, "bfloat16") == 0 ? GLOW_PRODUCTS_BFLOAT16 : GLOW_PRODUCTS_FLOAT32;
  check(glow_context_create(&options, &b->context));
  if (strcmp(glow_context_kernels(b->context), "cblas") == 0)
    glow_blas_set_threads(1);
  check(bench_model_create(b->context, &b->s.model, &b->model));
  b->macs = bench_model_macs(b->model);
  b->largest = b->s.batch;
  for (int32_t i = 0; i < b->s.batch_count; i++)
    if (b->s.batches[i] > b->largest)
      b->largest = b->s.batches[i];
  /* Of a single vector all deviations are 0: an actnorm would scale by a million, and eight of them
   * the other way leave numbers that processors take long for. */
  b->first_values = LEAST_FLOATS / glow_model_dims(b->model) + 1;
  b->first_values = b->first_values > b->s.batch ? b->first_values : b->s.batch;
  b->largest = b->first_values > b->largest ? b->first_values : b->largest;
  int64_t floats = b->largest * glow_model_dims(b->model);
  b->x = allocate((size_t)floats * sizeof *b->x);
  b->log_prob = allocate((size_t)b->largest * sizeof *b->log_prob);
}

/* Uniform in [-1/2, 1/2), as images are. */
static void draw(bench *b) {
  int64_t floats = b->largest * glow_model_dims(b->model);
  glow_rng *rng = NULL;
  check(glow_rng_create(b->context, 1, &rng));
  check(glow_rng_uniform(rng, b->x, floats));
  glow_rng_destroy(&rng);
  for (int64_t i = 0; i < floats; i++)
    b->x[i] -= 0.5f;
}

static void open_workspace(bench *b, int64_t batch) {
  glow_workspace_options o = GLOW_WORKSPACE_OPTIONS_INIT;
  o.batch = batch;
  o.cache_packed = b->s.cache_packed;
  check(glow_workspace_create(b->form ? b->form : b->model, &o, &b->workspace));
}

static void initialise(bench *b) {
  if (glow_model_initialised(b->model))
    return;
  open_workspace(b, b->first_values);
  check(glow_workspace_initialise(b->workspace, b->model, b->x, NULL, b->first_values));
  glow_workspace_destroy(&b->workspace);
}

static void open_trainer(bench *b, int32_t mode) {
  glow_trainer_options o = GLOW_TRAINER_OPTIONS_INIT;
  glow_schedule schedule = GLOW_SCHEDULE_INIT;
  schedule.rate = 1e-9; /* of noise nothing is to be learnt: sampling would overflow */
  o.schedule = &schedule;
  o.micro_batch = b->s.batch;
  o.mode = mode;
  o.inverse_backward = strstr(b->s.what, "target") != NULL;
  check(glow_trainer_create(b->model, &o, &b->trainer));
}

static void run_train(bench *b, int64_t batch) {
  check(glow_trainer_step(b->trainer, b->x, NULL, batch, NULL));
}

/* A normal distribution of the samples' scale: cheap beside the model. */
static glow_status normal_density(const float *x, int64_t first, int64_t count, double *log_p,
                                  float *gradient, void *payload) {
  const int64_t dims = *(const int64_t *)payload;
  (void)first;
  for (int64_t n = 0; n < count; n++) {
    log_p[n] = 0.0;
    for (int64_t i = n * dims; i < (n + 1) * dims; i++) {
      log_p[n] -= 8.0 * (double)x[i] * (double)x[i];
      if (gradient)
        gradient[i] = -16.0f * x[i];
    }
  }
  return GLOW_OK;
}

static void run_target(bench *b, int64_t batch) {
  int64_t dims = glow_model_dims(b->model);
  glow_target target = GLOW_TARGET_INIT;
  target.density = normal_density;
  target.payload = &dims;
  check(glow_trainer_step_target(b->trainer, &target, batch, NULL, NULL));
}

static void run_eval(bench *b, int64_t batch) {
  check(glow_workspace_log_prob(b->workspace, b->x, NULL, batch, b->log_prob));
}

static void run_sample(bench *b, int64_t batch) {
  glow_sample_options o = GLOW_SAMPLE_OPTIONS_INIT;
  o.temperature = 0.7;
  check(glow_workspace_sample(b->workspace, batch, &o, b->x));
}

/* ---- gradients ------------------------------------------------------------------------------- */

static void open_gradients(bench *b, int32_t mode, bool inputs_only) {
  glow_workspace_options o = GLOW_WORKSPACE_OPTIONS_INIT;
  o.batch = b->s.batch;
  o.mode = mode;
  o.cache_packed = b->s.cache_packed;
  o.inputs_only = inputs_only;
  o.inverse_backward = 1;
  check(glow_workspace_create(b->model, &o, &b->workspace));
  for (int64_t n = 0; n < b->s.batch; n++)
    b->log_prob[n] = 1.0 / (double)b->s.batch; /* the weights */
}

static void run_forward(bench *b, int64_t batch) {
  check(glow_workspace_forward(b->workspace, b->x, batch, NULL));
}

static void run_backward(bench *b, int64_t batch) {
  glow_backward_options o = GLOW_BACKWARD_OPTIONS_INIT;
  (void)batch;
  o.weight = b->log_prob;
  check(glow_workspace_backward(b->workspace, &o));
}

static void run_gradient(bench *b, int64_t batch) {
  run_forward(b, batch);
  run_backward(b, batch);
}

static void run_sample_gradient(bench *b, int64_t batch) {
  glow_sample_options sampling = GLOW_SAMPLE_OPTIONS_INIT;
  glow_inverse_backward_options o = GLOW_INVERSE_BACKWARD_OPTIONS_INIT;
  sampling.temperature = 0.7;
  sampling.store = 1;
  o.weight = b->log_prob;
  check(glow_workspace_sample(b->workspace, batch, &sampling, b->x));
  check(glow_workspace_inverse_backward(b->workspace, &o));
}

/* ---- measuring ------------------------------------------------------------------------------- */

typedef struct run {
  const char *what, *mode; /* mode: of training, or NULL */
  int64_t batch;
  void (*before)(bench *b, int64_t batch); /* what is not timed, or NULL */
  void (*fn)(bench *b, int64_t batch);
  int32_t products;     /* in those of a forward pass */
  double best, median;  /* seconds */
  double of_peak, peak; /* medians: the part of it, and GFLOP/s */
  double best_of_peak;
  double rss, beyond;        /* bytes: peak; without the model's vectors */
  double workspace, working; /* bytes: of the workspace; without gradients */
} run;

static double gflops(const bench *b, const run *r, double seconds) {
  return 2e-9 * b->macs * r->products * (double)r->batch / seconds;
}

static double seconds_of(bench *b, const run *r, int64_t times) {
  double seconds = 0;
  for (int64_t i = 0; i < times; i++) {
    if (r->before)
      r->before(b, r->batch);
    double begin = bench_now();
    r->fn(b, r->batch);
    seconds += bench_now() - begin;
  }
  return seconds / (double)times;
}

static int by_value(const void *a, const void *b) {
  double x = *(const double *)a, y = *(const double *)b;
  return (x > y) - (x < y);
}

double bench_median(double *values, int64_t count) {
  qsort(values, (size_t)count, sizeof *values, by_value);
  return values[count / 2];
}

static void measure_speed(bench *b, run *r) {
  static double seconds[MOST_REPEATS], parts[MOST_REPEATS], peaks[MOST_REPEATS];
  const char *kernels = glow_context_kernels(b->context);
  double once = seconds_of(b, r, 1), peak = bench_peak_of(&b->executor, kernels);
  if (once < LEAST_SECONDS)
    once = seconds_of(b, r, 1); /* the first one made the memory too */
  int64_t times = once < LEAST_SECONDS ? (int64_t)(LEAST_SECONDS / once) + 1 : 1;
  for (int64_t i = 0; i < b->s.repeat; i++) {
    double before = peak;
    seconds[i] = seconds_of(b, r, times);
    peak = bench_peak_of(&b->executor, kernels);
    peaks[i] = (before + peak) / 2;
    parts[i] = gflops(b, r, seconds[i]) / peaks[i];
  }
  r->median = bench_median(seconds, b->s.repeat);
  r->best = seconds[0];
  r->of_peak = bench_median(parts, b->s.repeat);
  r->best_of_peak = gflops(b, r, r->best) / peaks[b->s.repeat - 1]; /* sorted: the highest */
  r->peak = bench_median(peaks, b->s.repeat);
}

/* Vectors of the model's size: parameters; in training also gradients and two averages. */
static void measure_memory(const bench *b, run *r) {
  double vector = (double)glow_model_parameter_count(b->model) * sizeof(float);
  const glow_workspace *ws = b->trainer ? glow_trainer_workspace(b->trainer) : b->workspace;
  r->rss = peak_bytes();
  r->beyond = r->rss - vector * (b->trainer ? 4 : b->form ? 2 : 1); /* a form: about as large */
  r->workspace = (double)glow_workspace_bytes(ws);
  r->working = r->workspace - (b->trainer ? vector : 0);
}

static void print_json(bench *b, const run *r) {
  printf("%s\n  {\"what\": \"%s\", \"mode\": \"%s\", \"batch\": %lld, \"best_s\": %.9g, "
         "\"median_s\": %.9g, \"images_per_s\": %.6g, \"gflops\": %.4g, \"peak_gflops\": %.4g, "
         "\"of_peak\": %.4f, \"best_of_peak\": %.4f, \"rss_mib\": %.1f, \"beyond_mib\": %.1f, "
         "\"workspace_mib\": %.3f, "
         "\"working_mib\": %.3f}",
         b->first ? "" : ",", r->what, r->mode ? r->mode : "inference", (long long)r->batch,
         r->best, r->median, (double)r->batch / r->best, gflops(b, r, r->best), r->peak, r->of_peak,
         r->best_of_peak, r->rss / 1048576, r->beyond / 1048576, r->workspace / 1048576,
         r->working / 1048576);
}

static void print_line(const bench *b, const run *r) {
  printf("%-11s %-13s batch %5lld  %11.1f us (median %11.1f)  %10.2f /s  %7.2f GFLOP/s, %4.1f %% "
         "(best %4.1f %%) of %.0f  %7.1f MiB resident, %.1f beyond the model's; workspace %.1f\n",
         r->what, r->mode ? r->mode : "", (long long)r->batch, 1e6 * r->best, 1e6 * r->median,
         (double)r->batch / r->best, gflops(b, r, r->best), 100 * r->of_peak, 100 * r->best_of_peak,
         r->peak, r->rss / 1048576, r->beyond / 1048576, r->workspace / 1048576);
}

/* ---- more threads than there are ------------------------------------------------------------- */

static double timed(bench *b, const run *r, bench_how how) {
  bench_cores_begin(&b->cores, how);
  double seconds = seconds_of(b, r, 1);
  bench_cores_end(&b->cores);
  return seconds;
}

/* Medians of measured seconds. The ways take turns, because other programs change the speed from
 * moment to moment. */
typedef struct measured {
  double one, pool;
} measured;

static measured count_passes(bench *b, const run *r) {
  static double one[MOST_REPEATS], pool[MOST_REPEATS];
  bench_cores_clear(&b->cores);
  timed(b, r, BENCH_POOL); /* not counted */
  for (int64_t i = 0; i < b->s.repeat; i++) {
    one[i] = timed(b, r, BENCH_SERIAL);
    pool[i] = timed(b, r, BENCH_POOL);
    timed(b, r, BENCH_COUNT);
  }
  return (measured){bench_median(one, b->s.repeat), bench_median(pool, b->s.repeat)};
}

static void predict_json(bench *b, const run *r, const measured *m) {
  const bench_cores *c = &b->cores;
  printf("%s\n  {\"what\": \"%s\", \"mode\": \"%s\", \"batch\": %lld, \"runs\": %lld, "
         "\"tasks\": %lld, \"barrier_s\": %.3g, \"measured_1_s\": %.9g, "
         "\"measured_%u_s\": %.9g, \"predicted_s\": {",
         b->first ? "" : ",", r->what, r->mode ? r->mode : "inference", (long long)r->batch,
         (long long)c->runs, (long long)c->tasks, c->barrier, m->one, c->pool.workers, m->pool);
  for (uint32_t n = 1; n <= (uint32_t)b->s.model_threads; n *= 2)
    printf("%s\"%u\": %.9g", n > 1 ? ", " : "", n, bench_cores_predicted(c, n));
  printf("}}");
}

static void predict_lines(const bench *b, const run *r, const measured *m) {
  const bench_cores *c = &b->cores;
  const double one = bench_cores_predicted(c, 1);
  printf("%s%s%s, batch %lld: %lld runs of %.1f tasks, a barrier of two threads takes %.1f us;\n"
         "  measured: 1 thread %.2f ms, %u threads %.2f ms (%.2f times as fast)\n",
         r->what, r->mode ? " " : "", r->mode ? r->mode : "", (long long)r->batch,
         (long long)c->runs, (double)c->tasks / (double)(c->runs ? c->runs : 1), 1e6 * c->barrier,
         1e3 * m->one, c->pool.workers, 1e3 * m->pool, m->one / m->pool);
  for (uint32_t n = 1; n <= (uint32_t)b->s.model_threads; n *= 2) {
    double seconds = bench_cores_predicted(c, n);
    printf("  predicted: %4u threads %10.2f ms, efficiency %.2f\n", n, 1e3 * seconds,
           one / seconds / n);
  }
}

static void measure_cores(bench *b, const run *r) {
  const measured m = count_passes(b, r);
  if (b->s.json)
    predict_json(b, r, &m);
  else
    predict_lines(b, r, &m);
}

/* ---- one figure ------------------------------------------------------------------------------ */

static void measure_run(bench *b, run *r) {
  measure_speed(b, r);
  measure_memory(b, r);
  if (b->s.json)
    print_json(b, r);
  else
    print_line(b, r);
}

static void measure(bench *b, run r) {
  if (b->s.model_threads)
    measure_cores(b, &r);
  else
    measure_run(b, &r);
  b->first = false;
  fflush(stdout);
  glow_trainer_destroy(&b->trainer);
  glow_workspace_destroy(&b->workspace);
  forget_peak();
}

static void measure_inference(bench *b, const char *mode) {
  const settings *s = &b->s;
  if (strstr(s->what, "eval")) {
    open_workspace(b, s->batch);
    measure(b,
            (run){.what = "eval", .mode = mode, .batch = s->batch, .fn = run_eval, .products = 1});
  }
  for (int32_t i = 0; strstr(s->what, "sample") && i < s->batch_count; i++) {
    open_workspace(b, s->batches[i]);
    measure(b, (run){.what = "sample",
                     .mode = mode,
                     .batch = s->batches[i],
                     .fn = run_sample,
                     .products = 1});
  }
}

static void measure_gradients(bench *b, int32_t mode, const char *name) {
  open_gradients(b, mode, false);
  measure(b, (run){.what = "gradient",
                   .mode = name,
                   .batch = b->s.batch,
                   .fn = run_gradient,
                   .products = 3});
  for (int32_t inputs_only = 0; inputs_only <= 1; inputs_only++) {
    open_gradients(b, mode, inputs_only);
    measure(b, (run){.what = inputs_only ? "back to x" : "backward",
                     .mode = name,
                     .batch = b->s.batch,
                     .before = run_forward,
                     .fn = run_backward,
                     .products = inputs_only ? 1 : 2});
  }
  open_gradients(b, mode, false);
  measure(b, (run){.what = "of sampling",
                   .mode = name,
                   .batch = b->s.batch,
                   .fn = run_sample_gradient,
                   .products = 3});
  draw(b); /* data again, in place of samples */
}

static void measure_all(bench *b) {
  const settings *s = &b->s;
  measure_inference(b, NULL);
  draw(b);
  for (int32_t mode = GLOW_MODE_STORED; mode <= GLOW_MODE_RECONSTRUCTED; mode++) {
    const char *name = mode == GLOW_MODE_STORED ? "stored" : "reconstructed";
    if (!strstr(s->modes, name))
      continue;
    if (strstr(s->what, "gradients"))
      measure_gradients(b, mode, name);
    if (!strstr(s->what, "train"))
      continue;
    open_trainer(b, mode);
    measure(
        b, (run){.what = "train", .mode = name, .batch = s->batch, .fn = run_train, .products = 3});
    if (!strstr(s->what, "target"))
      continue;
    open_trainer(b, mode);
    measure(b, (run){.what = "to a target",
                     .mode = name,
                     .batch = s->batch,
                     .fn = run_target,
                     .products = 3});
  }
  if (s->form) { /* last: what it leaves in the heap is not training's */
    check(glow_model_inference_form(b->model, &b->form));
    measure_inference(b, "form");
    glow_model_destroy(&b->form);
  }
}

/* ---- the program ----------------------------------------------------------------------------- */

static int64_t number(const char *text, char **end) {
  long value = strtol(text, end, 10);
  if (*end != text && value >= 1 && (!**end || **end == ','))
    return value;
  fprintf(stderr, "glow-bench: '%s' is not a positive number\n", text);
  exit(2);
}

static int64_t one(const char *text) {
  char *end = NULL;
  return number(text, &end);
}

static void batches(settings *s, const char *text) {
  for (s->batch_count = 0; s->batch_count < MOST_BATCHES; text++) {
    char *end = NULL;
    s->batches[s->batch_count++] = number(text, &end);
    text = end;
    if (!*text)
      return;
  }
}

static settings parse(int argc, char **argv) {
  settings s = {.model = {.model = "glow"},
                .batch = 16,
                .threads = 2,
                .repeat = 5,
                .batches = {1, 16, 64},
                .batch_count = 3,
                .what = "train,eval,sample",
                .modes = "stored,reconstructed",
                .products = "float32"};
  static const struct option options[] = {{"model", 1, NULL, 'M'},
                                          {"levels", 1, NULL, 'l'},
                                          {"depth", 1, NULL, 'd'},
                                          {"hidden", 1, NULL, 'h'},
                                          {"size", 1, NULL, 's'},
                                          {"batch", 1, NULL, 'b'},
                                          {"threads", 1, NULL, 't'},
                                          {"repeat", 1, NULL, 'r'},
                                          {"what", 1, NULL, 'w'},
                                          {"modes", 1, NULL, 'm'},
                                          {"mode", 1, NULL, 'm'},
                                          {"sample-batches", 1, NULL, 'S'},
                                          {"kernels", 1, NULL, 'k'},
                                          {"products", 1, NULL, 'p'},
                                          {"json", 0, NULL, 'j'},
                                          {"inference-form", 0, NULL, 'f'},
                                          {"cache-packed", 0, NULL, 'K'},
                                          {"model-threads", 1, NULL, 'T'},
                                          {NULL, 0, NULL, 0}};
  for (int c; (c = getopt_long(argc, argv, "", options, NULL)) != -1;) {
    switch (c) {
    case 'M': s.model.model = optarg; break;
    case 'l': s.model.levels = one(optarg); break;
    case 'd': s.model.depth = one(optarg); break;
    case 'h': s.model.hidden = one(optarg); break;
    case 's': s.model.size = one(optarg); break;
    case 'b': s.batch = one(optarg); break;
    case 't': s.threads = one(optarg); break;
    case 'r': s.repeat = one(optarg); break;
    case 'w': s.what = optarg; break;
    case 'm': s.modes = optarg; break;
    case 'S': batches(&s, optarg); break;
    case 'k': s.kernels = optarg; break;
    case 'p': s.products = optarg; break;
    case 'j': s.json = true; break;
    case 'f': s.form = true; break;
    case 'K': s.cache_packed = true; break;
    case 'T': s.model_threads = one(optarg); break;
    default: exit(2);
    }
  }
  if (bench_model_known(s.model.model) && s.repeat <= MOST_REPEATS && optind == argc &&
      s.model_threads <= BENCH_MOST_THREADS)
    return s;
  fprintf(stderr, "glow-bench: no such model, too many repeats, or an argument too many\n");
  exit(2);
}

int main(int argc, char **argv) {
  bench b = {.s = parse(argc, argv), .executor = GLOW_EXECUTOR_INIT, .first = true};
  if (strcmp(b.s.products, "float32") != 0 && strcmp(b.s.products, "bfloat16") != 0) {
    fprintf(stderr, "glow-bench: no products of '%s'\n", b.s.products);
    return 2;
  }
  set_up(&b);
  draw(&b);
  initialise(&b);
  forget_peak();
  printf(b.s.json ? "{\"model\": \"%s\", \"kernels\": \"%s\", \"products\": \"%s\", \"threads\": "
                    "%u, \"params\": %lld, "
                    "\"macs\": %.0f, \"runs\": ["
                  : "%s: kernels %s, products of %s, %u threads, %lld parameters, %.0f "
                    "multiply-adds a sample\n",
         b.s.model.model, glow_context_kernels(b.context), b.s.products,
         glow_context_workers(b.context), (long long)glow_model_parameter_count(b.model), b.macs);
  measure_all(&b);
  if (b.s.json)
    printf("\n]}\n");
  glow_model_destroy(&b.model);
  glow_context_destroy(&b.context);
  glow_pool_destroy(&b.pool);
  bench_cores_clear(&b.cores);
  free(b.x);
  free(b.log_prob);
  return 0;
}
