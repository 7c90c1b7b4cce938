/* Learns densities in the plane with splines, measures how far the model is from the truth, and
 * draws both.
 *
 *   density2d [--steps N] [--samples N] [--threads N] [--out FOLDER] [moons|rings|checkerboard ...]
 *
 * The distance is the Kullback-Leibler divergence, the mean over fresh samples x of the truth of
 * log p(x) - log q(x), in nats, with its standard error. The pictures show the true density, the
 * learned one, and samples of the model. SPDX-License-Identifier: MIT */
#include <errno.h>
#include <glow/glow.h>
#include <limits.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "picture.h"
#include "sets.h"

enum { BATCH = 512, INIT = 4096, SIDE = 192 };

typedef struct settings {
  long steps, samples, threads;
  const char *out;
} settings;

static void check(glow_status status, const char *what) {
  if (status == GLOW_OK)
    return;
  fprintf(stderr, "density2d: %s: %s\n", what, glow_last_error());
  exit(1);
}

static void *reserve(size_t bytes) {
  void *memory = malloc(bytes);
  if (memory)
    return memory;
  fprintf(stderr, "density2d: out of memory\n");
  exit(1);
}

/* ---- learning -------------------------------------------------------------------------------- */

static void train(glow_model *model, const plane_set *set, glow_rng *rng, long steps) {
  glow_trainer_options options = GLOW_TRAINER_OPTIONS_INIT;
  glow_schedule schedule = GLOW_SCHEDULE_INIT;
  glow_trainer *trainer = NULL;
  float *x = reserve(2 * INIT * sizeof *x);
  schedule.kind = GLOW_SCHEDULE_COSINE;
  schedule.rate = 5e-3;
  schedule.warmup = steps > 100 ? 50 : 0;
  schedule.steps = steps;
  options.schedule = &schedule;
  options.micro_batch = BATCH;
  options.clip_norm = 5;
  check(glow_trainer_create(model, &options, &trainer), "making the trainer");
  check(set->draw(rng, INIT, x), "drawing");
  check(glow_trainer_initialise(trainer, x, NULL, INIT), "initialising");
  for (long step = 1; step <= steps; step++) {
    glow_step_report report = GLOW_STEP_REPORT_INIT;
    check(set->draw(rng, BATCH, x), "drawing");
    check(glow_trainer_step(trainer, x, NULL, BATCH, &report), "training");
    if (step % 500 == 0 || step == steps)
      fprintf(stderr, "%s: step %ld of %ld: %.4f bits/dim\n", set->name, step, steps, report.loss);
  }
  glow_trainer_destroy(&trainer);
  free(x);
}

/* ---- measuring ------------------------------------------------------------------------------- */

static void divergence(glow_workspace *ws, const plane_set *set, glow_rng *rng, long samples,
                       double *mean, double *error) {
  float x[2 * BATCH];
  double log_prob[BATCH], sum = 0, squares = 0;
  for (long done = 0; done < samples;) {
    long count = samples - done < BATCH ? samples - done : BATCH;
    check(set->draw(rng, count, x), "drawing");
    check(glow_workspace_log_prob(ws, x, NULL, count, log_prob), "log-probability");
    for (long n = 0; n < count; n++) {
      double d = set->log_density((double)x[2 * n], (double)x[2 * n + 1]) - log_prob[n];
      sum += d;
      squares += d * d;
    }
    done += count;
  }
  *mean = sum / (double)samples;
  *error = sqrt((squares / (double)samples - *mean * *mean) / (double)samples);
}

/* ---- drawing --------------------------------------------------------------------------------- */

/* From dark blue over green to yellow; v in [0, 1]. */
static void colour(double v, uint8_t *rgb) {
  static const double stops[][3] = {
      {13, 8, 35}, {59, 54, 135}, {33, 144, 141}, {122, 209, 81}, {253, 231, 37}};
  double at = 4 * fmin(fmax(v, 0), 1);
  int i = at < 3 ? (int)at : 3;
  for (int c = 0; c < 3; c++)
    rgb[c] = (uint8_t)(stops[i][c] + (at - i) * (stops[i + 1][c] - stops[i][c]) + 0.5);
}

/* Middle of pixel (column, row) of a picture of [-4, 4] x [-4, 4], y upwards. */
static void place(int column, int row, float *xy) {
  xy[0] = -4 + 8 * ((float)column + 0.5f) / SIDE;
  xy[1] = 4 - 8 * ((float)row + 0.5f) / SIDE;
}

static void fill_truth(const plane_set *set, double *density) {
  for (int i = 0; i < SIDE * SIDE; i++) {
    float xy[2];
    place(i % SIDE, i / SIDE, xy);
    density[i] = exp(set->log_density((double)xy[0], (double)xy[1]));
  }
}

static void fill_model(glow_workspace *ws, double *density) {
  for (int row = 0; row < SIDE; row++) {
    float x[2 * SIDE];
    for (int column = 0; column < SIDE; column++)
      place(column, row, x + 2 * column);
    check(glow_workspace_log_prob(ws, x, NULL, SIDE, density + row * SIDE), "log-probability");
    for (int column = 0; column < SIDE; column++)
      density[row * SIDE + column] = exp(density[row * SIDE + column]);
  }
}

/* Counts of samples in each pixel, as a density. */
static void fill_samples(glow_workspace *ws, double *density) {
  enum { BATCHES = 200 };
  float x[2 * BATCH];
  const double each = SIDE * SIDE / (64.0 * BATCHES * BATCH);
  memset(density, 0, SIDE * SIDE * sizeof *density);
  for (int b = 0; b < BATCHES; b++) {
    glow_sample_options options = GLOW_SAMPLE_OPTIONS_INIT;
    options.first = (uint64_t)b * BATCH;
    check(glow_workspace_sample(ws, BATCH, &options, x), "sampling");
    for (int n = 0; n < BATCH; n++) {
      double column = ((double)x[2 * n] + 4) / 8 * SIDE,
             row = (4 - (double)x[2 * n + 1]) / 8 * SIDE;
      if (column >= 0 && column < SIDE && row >= 0 && row < SIDE)
        density[(int)row * SIDE + (int)column] += each;
    }
  }
}

/* The three side by side, in one scale. */
static void draw(glow_workspace *ws, const plane_set *set, const char *folder) {
  enum { GAP = 4, WIDTH = 3 * SIDE + 2 * GAP };
  double *density = reserve(3 * SIDE * SIDE * sizeof *density), most = 0;
  uint8_t *pixels = reserve(3 * WIDTH * SIDE);
  char path[PATH_MAX], error[256] = "";
  fill_truth(set, density);
  fill_model(ws, density + SIDE * SIDE);
  fill_samples(ws, density + 2 * SIDE * SIDE);
  for (int i = 0; i < SIDE * SIDE; i++)
    most = fmax(most, density[i]);
  memset(pixels, 255, 3 * WIDTH * SIDE);
  for (int i = 0; i < 3 * SIDE * SIDE; i++) {
    int panel = i / (SIDE * SIDE), row = i / SIDE % SIDE, column = panel * (SIDE + GAP) + i % SIDE;
    colour(density[i] / most, pixels + 3 * (row * WIDTH + column));
  }
  snprintf(path, sizeof path, "%s/density2d-%s.png", folder, set->name);
  if (!picture_write_png(path, WIDTH, SIDE, 3, pixels, error, sizeof error)) {
    fprintf(stderr, "density2d: %s\n", error);
    exit(1);
  }
  free(density);
  free(pixels);
}

/* ---- the program ----------------------------------------------------------------------------- */

static void learn(glow_context *context, const plane_set *set, const settings *s) {
  glow_vector_flow_options options = GLOW_VECTOR_FLOW_OPTIONS_INIT;
  glow_workspace_options ws_options = GLOW_WORKSPACE_OPTIONS_INIT;
  glow_model *model = NULL;
  glow_workspace *ws = NULL;
  glow_rng *rng = NULL;
  double mean, error;
  options.unstandardised = 1; /* the sets have scale 1 */
  check(glow_model_create_vector_flow(context, &options, &model), "making the model");
  check(glow_rng_create(context, 1, &rng), "making random numbers");
  train(model, set, rng, s->steps);
  ws_options.batch = BATCH;
  check(glow_workspace_create(model, &ws_options, &ws), "making a workspace");
  divergence(ws, set, rng, s->samples, &mean, &error);
  printf("%s: %lld parameters, %ld steps of %d: KL %.4f +- %.4f nats\n", set->name,
         (long long)glow_model_parameter_count(model), s->steps, BATCH, mean, error);
  fflush(stdout);
  draw(ws, set, s->out);
  glow_workspace_destroy(&ws);
  glow_rng_destroy(&rng);
  glow_model_destroy(&model);
}

static int misused(const char *what) {
  fprintf(stderr,
          "density2d: %s\n"
          "usage: density2d [--steps N] [--samples N] [--threads N] [--out FOLDER]\n"
          "                 [moons|rings|checkerboard ...]\n",
          what);
  return 2;
}

static int read_number(const char *text, long most, long *out) {
  char *end = NULL;
  errno = 0;
  *out = text ? strtol(text, &end, 10) : 0;
  return text && *text && !*end && !errno && *out >= 1 && *out <= most;
}

/* Reads one option and its value; leaves names of sets. 0: it is none; -1: wrong. */
static int read_option(char **arg, settings *s) {
  if (strncmp(arg[0], "--", 2) != 0)
    return 0;
  if (strcmp(arg[0], "--out") == 0 && arg[1])
    s->out = arg[1];
  else if (!(strcmp(arg[0], "--steps") == 0 && read_number(arg[1], 10000000, &s->steps)) &&
           !(strcmp(arg[0], "--samples") == 0 && read_number(arg[1], 100000000, &s->samples)) &&
           !(strcmp(arg[0], "--threads") == 0 && read_number(arg[1], 1024, &s->threads)))
    return -1;
  return 1;
}

int main(int argc, char **argv) {
  settings s = {.steps = 3000, .samples = 50000, .threads = 1, .out = "."};
  const char *wanted[16];
  int count = 0;
  for (int i = 1; i < argc; i++) {
    int option = read_option(argv + i, &s);
    if (option < 0 || (!option && count == 16))
      return misused(argv[i]);
    if (option)
      i++;
    else
      wanted[count++] = argv[i];
  }
  for (int i = 0; i < count; i++) {
    const plane_set *set = plane_sets;
    while (set->name && strcmp(set->name, wanted[i]) != 0)
      set++;
    if (!set->name)
      return misused(wanted[i]);
  }
  glow_context_options options = GLOW_CONTEXT_OPTIONS_INIT;
  glow_context *context = NULL;
  options.threads = (uint32_t)s.threads;
  check(glow_context_create(&options, &context), "making a context");
  for (const plane_set *set = plane_sets; set->name; set++) {
    int chosen = !count;
    for (int i = 0; i < count; i++)
      chosen |= strcmp(wanted[i], set->name) == 0;
    if (chosen)
      learn(context, set, &s);
  }
  glow_context_destroy(&context);
  return 0;
}
