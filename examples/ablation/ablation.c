/* The comparison of Kingma and Dhariwal 2018, section 6.1: reversal, fixed shuffle and learned 1x1
 * convolution, with additive and affine coupling. Six models learn the same images in the same
 * order from the same start; their curves go into one picture, their final values into a table.
 *
 *   ablation --data data_batch_1.bin --test test_batch.bin --out FOLDER
 *
 * * The defaults are a budget for two cores (L 3, K 8, width 64, 500 steps of 32 images: some
 * minutes); the paper's own are --depth 32 --hidden 512 --bits 5, and take weeks. Gradients usually
 * have norms of 15 to 45, now and then of 100 to 300, which set some seeds of the worst model,
 * reversal, back by half a bit. Clipped to a norm of 10, nearly all gradients count alike; Adam's
 * steps do not depend on a factor that all gradients have in common. SPDX-License-Identifier: MIT
 * */
#include <errno.h>
#include <getopt.h>
#include <glow/glow.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "data.h"
#include "picture.h"

typedef struct settings {
  const char *data, *test, *out;
  int64_t levels, depth, hidden, batch, steps, warmup, every, init_images, test_images, bits;
  int64_t seeds, clip, threads;
} settings;

static const settings defaults = {.out = "ablation",
                                  .levels = 3,
                                  .depth = 8,
                                  .hidden = 64,
                                  .batch = 32,
                                  .steps = 500,
                                  .warmup = 50,
                                  .every = 50,
                                  .init_images = 256,
                                  .test_images = 1000,
                                  .bits = 8,
                                  .seeds = 1,
                                  .clip = 10,
                                  .threads = 2};

/* One of the six models. */
typedef struct variant {
  const char *name;
  int32_t permutation, coupling;
} variant;

static const variant variants[] = {
    {"reverse, additive", GLOW_PERMUTATION_REVERSE, GLOW_COUPLING_ADDITIVE},
    {"reverse, affine", GLOW_PERMUTATION_REVERSE, GLOW_COUPLING_AFFINE},
    {"shuffle, additive", GLOW_PERMUTATION_SHUFFLE, GLOW_COUPLING_ADDITIVE},
    {"shuffle, affine", GLOW_PERMUTATION_SHUFFLE, GLOW_COUPLING_AFFINE},
    {"1x1 conv, additive", GLOW_PERMUTATION_INVCONV_LU, GLOW_COUPLING_ADDITIVE},
    {"1x1 conv, affine", GLOW_PERMUTATION_INVCONV_LU, GLOW_COUPLING_AFFINE},
};
enum { VARIANTS = sizeof variants / sizeof *variants, TEST_SEED = 12345 };

/* Test bits/dim over the steps. */
typedef struct curve {
  int64_t count;
  double *step, *bits;
} curve;

typedef struct experiment {
  settings s;
  sample_set data, test;
  glow_context *context;
  uint8_t *pixels; /* a batch */
  curve curves[VARIANTS];
} experiment;

static void check(glow_status status, const char *doing) {
  if (status == GLOW_OK)
    return;
  fprintf(stderr, "ablation: %s: %s: %s\n", doing, glow_status_name(status), glow_last_error());
  exit(1);
}

static void *allocate(size_t bytes) {
  void *memory = malloc(bytes);
  if (memory)
    return memory;
  fprintf(stderr, "ablation: out of memory\n");
  exit(1);
}

/* ---- options --------------------------------------------------------------------------------- */

static const struct {
  const char *name;
  size_t field;
  int64_t low, high;
  const char *help;
} numbers[] = {
    {"levels", offsetof(settings, levels), 1, 16, "scales of each model"},
    {"depth", offsetof(settings, depth), 1, 1000, "steps of flow in a level"},
    {"hidden", offsetof(settings, hidden), 1, 65536, "width of the couplings' networks"},
    {"bits", offsetof(settings, bits), 1, 8, "bits of a colour"},
    {"batch", offsetof(settings, batch), 1, 65536, "images in a step"},
    {"steps", offsetof(settings, steps), 1, 100000000, "steps of each model"},
    {"warmup", offsetof(settings, warmup), 0, 100000000, "steps of rising learning rate"},
    {"every", offsetof(settings, every), 1, 100000000, "steps between tests"},
    {"init-images", offsetof(settings, init_images), 1, 65536, "images the actnorms see first"},
    {"test-images", offsetof(settings, test_images), 1, 100000000, "images of a test"},
    {"clip", offsetof(settings, clip), 0, 1000000, "largest norm of a gradient; 0: any"},
    {"seeds", offsetof(settings, seeds), 1, 1000,
     "runs of each model: 0, 1, ...; curves are means"},
    {"threads", offsetof(settings, threads), 1, 1024, "threads"},
};
enum { NUMBERS = sizeof numbers / sizeof *numbers };

static void usage(FILE *to) {
  fprintf(to,
          "usage: ablation --data FILE --test FILE [--out FOLDER] [options]\n\n"
          "Trains six models on CIFAR-10 batches: reverse, shuffle and 1x1 convolution, each with\n"
          "additive and affine coupling. Writes curves.png, curves.csv and table.md.\n\n");
  for (int i = 0; i < NUMBERS; i++)
    fprintf(
        to, "  --%-12s N  %s (%lld)\n", numbers[i].name, numbers[i].help,
        (long long)*(const int64_t *)(const void *)((const char *)&defaults + numbers[i].field));
}

static void refuse(const char *what, const char *value) {
  fprintf(stderr, "ablation: %s '%s'; see --help\n", what, value);
  exit(2);
}

static int64_t parse_number(int index, const char *text) {
  char *end = NULL;
  errno = 0;
  long long value = strtoll(text, &end, 10);
  if (!*text || *end || errno || value < numbers[index].low || value > numbers[index].high)
    refuse(numbers[index].name, text);
  return value;
}

static settings parse(int argc, char **argv) {
  enum { DATA = NUMBERS, TEST, OUT, HELP, ALL };
  struct option options[ALL + 1] = {0};
  for (int i = 0; i < NUMBERS; i++)
    options[i] = (struct option){numbers[i].name, required_argument, NULL, i};
  options[DATA] = (struct option){"data", required_argument, NULL, DATA};
  options[TEST] = (struct option){"test", required_argument, NULL, TEST};
  options[OUT] = (struct option){"out", required_argument, NULL, OUT};
  options[HELP] = (struct option){"help", no_argument, NULL, HELP};
  settings s = defaults;
  int found;
  while ((found = getopt_long(argc, argv, "", options, NULL)) != -1) {
    switch (found) {
    case DATA: s.data = optarg; break;
    case TEST: s.test = optarg; break;
    case OUT: s.out = optarg; break;
    case HELP: usage(stdout); exit(0);
    case '?': exit(2);
    default: *(int64_t *)(void *)((char *)&s + numbers[found].field) = parse_number(found, optarg);
    }
  }
  if (optind < argc)
    refuse("unexpected", argv[optind]);
  if (!s.data || !s.test)
    refuse("missing", s.data ? "--test" : "--data");
  return s;
}

/* ---- one model ------------------------------------------------------------------------------- */

static void load(const char *path, sample_set *set) {
  char error[1024] = "";
  const data_options options = {.format = "auto"};
  if (data_open(&path, 1, &options, set, error, sizeof error)) {
    if (set->samples && !set->floats)
      return;
    snprintf(error, sizeof error, "%s: images of 8 bits that fit into memory are wanted", path);
  }
  fprintf(stderr, "ablation: %s\n", error);
  exit(2);
}

static glow_model *make_model(const experiment *e, const variant *v, uint64_t seed) {
  glow_glow_options o = GLOW_GLOW_OPTIONS_INIT;
  glow_model *model = NULL;
  o.input = (glow_shape){e->data.height, e->data.width, e->data.channels};
  o.levels = (int32_t)e->s.levels;
  o.depth = (int32_t)e->s.depth;
  o.hidden = (int32_t)e->s.hidden;
  o.bits = (int32_t)e->s.bits;
  o.permutation = v->permutation;
  o.coupling = v->coupling;
  o.seed = seed;
  check(glow_model_create_glow(e->context, &o, &model), v->name);
  return model;
}

/* Mean bits/dim of the first test images, with the same noise in each test. */
static double test(const experiment *e, glow_workspace *workspace, const glow_model *model) {
  int64_t dims = glow_model_dims(model);
  int64_t count = e->test.count < e->s.test_images ? e->test.count : e->s.test_images;
  float *x = allocate((size_t)(e->s.batch * dims) * sizeof *x);
  double *log_prob = allocate((size_t)e->s.batch * sizeof *log_prob), sum = 0.0;
  for (int64_t first = 0; first < count; first += e->s.batch) {
    int64_t n = count - first < e->s.batch ? count - first : e->s.batch;
    check(glow_model_dequantise(model, (const uint8_t *)e->test.samples + first * dims, n,
                                TEST_SEED, (uint64_t)(first * dims), x),
          "testing");
    check(glow_workspace_log_prob(workspace, x, NULL, n, log_prob), "testing");
    for (int64_t i = 0; i < n; i++)
      sum += glow_model_bits_per_dim(model, log_prob[i]);
  }
  free(log_prob);
  free(x);
  return sum / (double)count;
}

/* The next images of this epoch's random order, and a new order at its end. */
typedef struct order {
  glow_rng *rng;
  int32_t *images;
  int64_t next;
} order;

static void gather(experiment *e, order *o, int64_t count) {
  int64_t dims = e->data.height * e->data.width * e->data.channels;
  for (int64_t i = 0; i < count; i++) {
    if (o->next == e->data.count) {
      check(glow_rng_permutation(o->rng, o->images, e->data.count), "shuffling");
      o->next = 0;
    }
    memcpy(e->pixels + i * dims, (const uint8_t *)e->data.samples + o->images[o->next++] * dims,
           (size_t)dims);
  }
}

static void train_steps(experiment *e, const variant *v, uint64_t seed, glow_trainer *trainer,
                        const glow_model *model, order *o, curve *c) {
  int64_t point = 0;
  for (int64_t step = 1; step <= e->s.steps; step++) {
    glow_step_report report = GLOW_STEP_REPORT_INIT;
    gather(e, o, e->s.batch);
    check(glow_trainer_step_pixels(trainer, e->pixels, NULL, e->s.batch, &report), v->name);
    if (step % e->s.every && step != e->s.steps)
      continue;
    double bits = test(e, glow_trainer_workspace(trainer), model);
    printf("%-18s  seed %llu  step %5lld  %.4f bits/dim\n", v->name, (unsigned long long)seed,
           (long long)step, bits);
    fflush(stdout);
    c->step[point] = (double)step;
    c->bits[point++] += bits / (double)e->s.seeds;
  }
  c->count = point;
}

/* Adds one run to the mean curve. */
static void train(experiment *e, const variant *v, uint64_t seed, curve *c) {
  glow_model *model = make_model(e, v, seed);
  glow_schedule schedule = GLOW_SCHEDULE_INIT;
  glow_trainer_options options = GLOW_TRAINER_OPTIONS_INIT;
  glow_trainer *trainer = NULL;
  order o = {NULL, allocate((size_t)e->data.count * sizeof *o.images), e->data.count};
  int64_t init = e->data.count < e->s.init_images ? e->data.count : e->s.init_images;
  schedule.warmup = e->s.warmup;
  options.schedule = &schedule;
  options.micro_batch = e->s.batch;
  options.seed = seed;
  options.clip_norm = (double)e->s.clip;
  check(glow_trainer_create(model, &options, &trainer), v->name);
  check(glow_rng_create(e->context, seed, &o.rng), v->name);
  gather(e, &o, init);
  check(glow_trainer_initialise_pixels(trainer, e->pixels, NULL, init), v->name);
  o.next = 0;
  train_steps(e, v, seed, trainer, model, &o, c);
  glow_rng_destroy(&o.rng);
  free(o.images);
  glow_trainer_destroy(&trainer);
  glow_model_destroy(&model);
}

/* ---- results --------------------------------------------------------------------------------- */

static FILE *create(const experiment *e, const char *name, char path[4096]) {
  snprintf(path, 4096, "%s/%s", e->s.out, name);
  FILE *file = fopen(path, "w");
  if (file)
    return file;
  fprintf(stderr, "ablation: cannot write '%s': %s\n", path, strerror(errno));
  exit(2);
}

static void close_or_fail(FILE *file, const char *path) {
  int failed = ferror(file);
  if (fclose(file) == 0 && !failed)
    return;
  fprintf(stderr, "ablation: cannot write '%s'\n", path);
  exit(2);
}

static void write_curves(const experiment *e) {
  char path[4096];
  FILE *file = create(e, "curves.csv", path);
  fprintf(file, "step");
  for (int i = 0; i < VARIANTS; i++)
    fprintf(file, ",\"%s\"", variants[i].name);
  for (int64_t p = 0; p < e->curves[0].count; p++) {
    fprintf(file, "\n%.0f", e->curves[0].step[p]);
    for (int i = 0; i < VARIANTS; i++)
      fprintf(file, ",%.4f", e->curves[i].bits[p]);
  }
  fprintf(file, "\n");
  close_or_fail(file, path);
}

static double last(const curve *c) {
  return c->bits[c->count - 1];
}

static void print_table(const experiment *e, FILE *to) {
  static const char *const rows[] = {"reverse", "shuffle", "1x1 convolution"};
  fprintf(to, "| test bits/dim after %lld steps | additive | affine |\n|---|---|---|\n",
          (long long)e->s.steps);
  for (int i = 0; i < 3; i++)
    fprintf(to, "| %s | %.3f | %.3f |\n", rows[i], last(&e->curves[2 * i]),
            last(&e->curves[2 * i + 1]));
}

static void draw(const experiment *e) {
  char path[4096], title[128], error[1024] = "";
  picture_series series[VARIANTS];
  for (int i = 0; i < VARIANTS; i++)
    series[i] = (picture_series){variants[i].name, e->curves[i].count, e->curves[i].step,
                                 e->curves[i].bits};
  snprintf(path, sizeof path, "%s/curves.png", e->s.out);
  snprintf(title, sizeof title, "L %lld, K %lld, width %lld", (long long)e->s.levels,
           (long long)e->s.depth, (long long)e->s.hidden);
  if (picture_write_chart(path, title, "step", "test bits/dim", series, VARIANTS, error,
                          sizeof error))
    return;
  fprintf(stderr, "ablation: %s\n", error);
  exit(2);
}

static void report(const experiment *e) {
  char path[4096];
  FILE *file = create(e, "table.md", path);
  print_table(e, file);
  close_or_fail(file, path);
  write_curves(e);
  draw(e);
  printf("\n");
  print_table(e, stdout);
}

int main(int argc, char **argv) {
  experiment e = {.s = parse(argc, argv)};
  glow_context_options options = GLOW_CONTEXT_OPTIONS_INIT;
  options.threads = (uint32_t)e.s.threads;
  if (mkdir(e.s.out, 0777) != 0 && errno != EEXIST)
    refuse("cannot make the folder", e.s.out);
  load(e.s.data, &e.data);
  load(e.s.test, &e.test);
  if (e.test.height != e.data.height || e.test.width != e.data.width ||
      e.test.channels != e.data.channels)
    refuse("images of another shape in", e.s.test);
  check(glow_context_create(&options, &e.context), "starting");
  int64_t most = e.s.batch > e.s.init_images ? e.s.batch : e.s.init_images;
  e.pixels = allocate((size_t)(most * e.data.height * e.data.width * e.data.channels));
  size_t points = (size_t)(e.s.steps / e.s.every + 2);
  for (int i = 0; i < VARIANTS; i++) {
    e.curves[i].step = allocate(points * sizeof(double));
    e.curves[i].bits = allocate(points * sizeof(double));
    for (size_t p = 0; p < points; p++)
      e.curves[i].bits[p] = 0.0;
    for (int64_t seed = 0; seed < e.s.seeds; seed++)
      train(&e, &variants[i], (uint64_t)seed, &e.curves[i]);
  }
  report(&e);
  for (int i = 0; i < VARIANTS; i++) {
    free(e.curves[i].step);
    free(e.curves[i].bits);
  }
  free(e.pixels);
  data_free(&e.data);
  data_free(&e.test);
  glow_context_destroy(&e.context);
}
