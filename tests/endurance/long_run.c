/* Work that goes on for long must not grow: memory, open files and threads are looked at all along.
 *
 *   long_run create N         makes and destroys, N times over, a context with two threads and all
 *                             that hangs on one: a model of each preset, its workspace and trainer,
 *                             a step, a save and a load
 *   long_run train SECONDS    trains one model, draws samples and writes checkpoints
 *
 * The first tenth is for warming up. After it the blocks and bytes that the library holds must be
 * the same at every look, and so must the open files and threads; the resident set may differ by
 * SLACK, for what malloc keeps. An emulator keeps translated code, and threads for a while after
 * they have ended, so with GLOW_TEST_EMULATED these two do not count. The last line tells what was
 * seen; the exit status is 1 if anything grew. SPDX-License-Identifier: MIT */
#define _GNU_SOURCE
#include <dirent.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include <glow/glow.h>

enum { SIZE = 8, BATCH = 8, DIMS = SIZE * SIZE, LOOKS = 100, SLACK = 2 << 20, ROUND = 50 };

static void check(glow_status status, const char *what) {
  if (status == GLOW_OK)
    return;
  fprintf(stderr, "%s: %s: %s\n", what, glow_status_name(status), glow_last_error());
  exit(1);
}
#define CHECK(call) check((call), #call)

/* ---- an allocator that counts ---------------------------------------------------------------- */

typedef struct counts {
  atomic_llong blocks, bytes;
} counts;

enum { HEAD = 64 }; /* bytes before a block, which hold its size and keep its alignment */

static void *counting_allocate(size_t size, void *payload) {
  counts *c = payload;
  char *block = aligned_alloc(HEAD, (size + 2 * HEAD - 1) / HEAD * HEAD);
  if (!block)
    return NULL;
  memcpy(block, &size, sizeof size);
  atomic_fetch_add(&c->blocks, 1);
  atomic_fetch_add(&c->bytes, (long long)size);
  return block + HEAD;
}

static void counting_release(void *at, void *payload) {
  counts *c = payload;
  size_t size;
  if (!at)
    return;
  char *block = (char *)at - HEAD;
  memcpy(&size, block, sizeof size);
  atomic_fetch_sub(&c->blocks, 1);
  atomic_fetch_sub(&c->bytes, (long long)size);
  free(block);
}

/* ---- what is looked at ----------------------------------------------------------------------- */

typedef struct look {
  long long blocks, bytes, resident;
  int files, threads;
} look;

static int count_entries(const char *folder) {
  DIR *directory = opendir(folder);
  int count = -2; /* "." and ".." */
  while (directory && readdir(directory))
    count++;
  if (directory)
    closedir(directory);
  return count;
}

static long long resident_bytes(void) {
  FILE *file = fopen("/proc/self/statm", "r");
  long long size = 0, pages = 0;
  if (file && fscanf(file, "%lld %lld", &size, &pages) != 2)
    pages = 0;
  if (file)
    fclose(file);
  return pages * sysconf(_SC_PAGESIZE);
}

static look look_at(counts *c) {
  return (look){atomic_load(&c->blocks), atomic_load(&c->bytes), resident_bytes(),
                count_entries("/proc/self/fd"), count_entries("/proc/self/task")};
}

/* The first look is the base; later ones are compared with it. */
typedef struct watch {
  look base;
  long long highest; /* resident set */
  int looks, grown;
} watch;

static void compare(watch *w, const look *now) {
  if (w->looks++ == 0)
    w->base = *now;
  if (now->resident > w->highest)
    w->highest = now->resident;
  bool held =
      now->blocks != w->base.blocks || now->bytes != w->base.bytes || now->files != w->base.files;
  bool process = now->threads != w->base.threads || now->resident > w->base.resident + SLACK;
  bool grown = held || (process && !getenv("GLOW_TEST_EMULATED"));
  if (grown && w->grown++ == 0)
    fprintf(stderr,
            "grown: %lld blocks, %lld bytes, %d files, %d threads, %lld KiB resident; at first "
            "%lld, %lld, %d, %d, %lld\n",
            now->blocks, now->bytes, now->files, now->threads, now->resident / 1024, w->base.blocks,
            w->base.bytes, w->base.files, w->base.threads, w->base.resident / 1024);
}

static int report(const watch *w, const char *done, long long count) {
  printf("%lld %s, %d looks: %lld blocks of %lld bytes held, %d files, %d threads, resident set "
         "%lld KiB at first, %lld KiB at most: %s\n",
         count, done, w->looks, w->base.blocks, w->base.bytes, w->base.files, w->base.threads,
         w->base.resident / 1024, w->highest / 1024, w->grown ? "GROWN" : "flat");
  return w->grown || w->looks < 2;
}

/* ---- models ---------------------------------------------------------------------------------- */

static glow_context *new_context(counts *c) {
  glow_context_options options = GLOW_CONTEXT_OPTIONS_INIT;
  glow_context *context = NULL;
  glow_allocator allocator = GLOW_ALLOCATOR_INIT;
  allocator.allocate = counting_allocate;
  allocator.release = counting_release;
  allocator.payload = c;
  options.allocator = &allocator;
  options.threads = 2;
  CHECK(glow_context_create(&options, &context));
  return context;
}

static glow_model *new_glow(glow_context *context) {
  glow_glow_options options = GLOW_GLOW_OPTIONS_INIT;
  glow_model *model = NULL;
  options.input = (glow_shape){SIZE, SIZE, 1};
  options.levels = 2, options.depth = 2, options.hidden = 8;
  CHECK(glow_model_create_glow(context, &options, &model));
  return model;
}

static glow_model *new_realnvp(glow_context *context) {
  glow_realnvp_options options = GLOW_REALNVP_OPTIONS_INIT;
  glow_model *model = NULL;
  options.input = (glow_shape){SIZE, SIZE, 1};
  options.scales = 1, options.blocks = 1, options.hidden = 4;
  CHECK(glow_model_create_realnvp(context, &options, &model));
  return model;
}

static glow_model *new_nice(glow_context *context) {
  glow_nice_options options = GLOW_NICE_OPTIONS_INIT;
  glow_model *model = NULL;
  options.input = (glow_shape){SIZE, SIZE, 1};
  options.hidden = 16;
  CHECK(glow_model_create_nice(context, &options, &model));
  return model;
}

/* As many elements as the pictures have, so that their bytes serve. */
static glow_model *new_vector_flow(glow_context *context) {
  glow_vector_flow_options options = GLOW_VECTOR_FLOW_OPTIONS_INIT;
  glow_model *model = NULL;
  options.dims = DIMS;
  options.steps = 2, options.hidden = 8;
  CHECK(glow_model_create_vector_flow(context, &options, &model));
  return model;
}

static glow_model *(*const presets[])(glow_context *) = {new_glow, new_realnvp, new_nice,
                                                         new_vector_flow};
enum { PRESETS = sizeof presets / sizeof *presets };

static void fill(uint8_t *pixels, uint64_t turn) {
  for (int i = 0; i < BATCH * DIMS; i++)
    pixels[i] = (uint8_t)((turn * 7 + (uint64_t)i * 13 + (uint64_t)(i / DIMS) * 31) % 256);
}

/* ---- create ---------------------------------------------------------------------------------- */

static void save_and_load(glow_context *context, const glow_model *model) {
  static unsigned char buffer[1 << 20];
  glow_output out = GLOW_OUTPUT_INIT;
  glow_input in = GLOW_INPUT_INIT;
  glow_model *loaded = NULL;
  size_t size = 0;
  out.buffer = buffer;
  out.capacity = sizeof buffer;
  out.written = &size;
  CHECK(glow_model_save_output(model, &out));
  in.data = buffer;
  in.size = (int64_t)size;
  CHECK(glow_model_load_input(context, &in, &loaded));
  glow_model_destroy(&loaded);
}

/* One step on pixels, or for a model of continuous data on their values. */
static void train_once(glow_trainer *trainer, bool continuous, uint64_t turn) {
  uint8_t pixels[BATCH * DIMS];
  float x[BATCH * DIMS];
  fill(pixels, turn);
  for (int i = 0; i < BATCH * DIMS; i++)
    x[i] = (float)pixels[i] / 256.0f;
  if (continuous) {
    CHECK(glow_trainer_initialise(trainer, x, NULL, BATCH));
    CHECK(glow_trainer_step(trainer, x, NULL, BATCH, NULL));
  } else {
    CHECK(glow_trainer_initialise_pixels(trainer, pixels, NULL, BATCH));
    CHECK(glow_trainer_step_pixels(trainer, pixels, NULL, BATCH, NULL));
  }
}

static void use_preset(glow_context *context, int preset, uint64_t turn) {
  glow_trainer *trainer = NULL;
  glow_model *model = presets[preset](context);
  CHECK(glow_trainer_create(model, NULL, &trainer));
  train_once(trainer, glow_model_bits(model) == 0, turn);
  save_and_load(context, model);
  glow_trainer_destroy(&trainer);
  glow_model_destroy(&model);
}

static int create(long long count) {
  counts c = {0};
  watch w = {0};
  for (long long i = 0; i < count; i++) {
    glow_context *context = new_context(&c);
    for (int preset = 0; preset < PRESETS; preset++)
      use_preset(context, preset, (uint64_t)i);
    glow_context_destroy(&context);
    if (i >= count / 10 && i % (count / LOOKS + 1) == 0) {
      look now = look_at(&c);
      compare(&w, &now);
    }
  }
  if (atomic_load(&c.blocks) != 0)
    w.grown = 1;
  return report(&w, "times made and destroyed", count);
}

/* ---- train ----------------------------------------------------------------------------------- */

typedef struct training {
  glow_trainer *trainer;
  glow_model *model;
  const char *folder;
  float *samples;
} training;

static void train_a_while(training *t, uint64_t turn) {
  uint8_t pixels[BATCH * DIMS];
  glow_sample_options options = GLOW_SAMPLE_OPTIONS_INIT;
  for (uint64_t step = 0; step < ROUND; step++) {
    fill(pixels, turn * ROUND + step);
    CHECK(glow_trainer_step_pixels(t->trainer, pixels, NULL, BATCH, NULL));
  }
  int32_t statuses[BATCH]; /* samples that are not finite are told here, and no error */
  options.seed = turn;
  options.statuses = statuses;
  CHECK(glow_workspace_sample(glow_trainer_workspace(t->trainer), BATCH, &options, t->samples));
  CHECK(glow_checkpoint_save_series(t->trainer, t->folder, 2, NULL, 0));
}

static double seconds(void) {
  struct timespec now;
  clock_gettime(CLOCK_MONOTONIC, &now);
  return (double)now.tv_sec + 1e-9 * (double)now.tv_nsec;
}

static void remove_folder(const char *folder) {
  DIR *directory = opendir(folder);
  for (struct dirent *e; directory && (e = readdir(directory));)
    if (e->d_name[0] != '.')
      unlinkat(dirfd(directory), e->d_name, 0);
  if (directory)
    closedir(directory);
  rmdir(folder);
}

static int train(double length) {
  static float samples[BATCH * DIMS];
  char folder[] = "long-run-XXXXXX";
  counts c = {0};
  watch w = {0};
  uint8_t pixels[BATCH * DIMS];
  glow_trainer_options options = GLOW_TRAINER_OPTIONS_INIT;
  if (!mkdtemp(folder)) {
    perror(folder);
    return 1;
  }
  glow_context *context = new_context(&c);
  training t = {.model = new_glow(context), .folder = folder, .samples = samples};
  options.average = 1;
  options.micro_batch = BATCH;
  CHECK(glow_trainer_create(t.model, &options, &t.trainer));
  fill(pixels, 0);
  CHECK(glow_trainer_initialise_pixels(t.trainer, pixels, NULL, BATCH));
  double start = seconds(), next = start + length / 10;
  uint64_t turn = 0;
  for (; seconds() < start + length; turn++) {
    train_a_while(&t, turn);
    if (seconds() >= next) {
      look now = look_at(&c);
      compare(&w, &now);
      next += length / LOOKS;
    }
  }
  glow_trainer_destroy(&t.trainer);
  glow_model_destroy(&t.model);
  glow_context_destroy(&context);
  remove_folder(folder);
  return report(&w, "steps", (long long)turn * ROUND);
}

int main(int argc, char **argv) {
  if (argc == 3 && strcmp(argv[1], "create") == 0)
    return create(atoll(argv[2]));
  if (argc == 3 && strcmp(argv[1], "train") == 0)
    return train(atof(argv[2]));
  fprintf(stderr, "usage: long_run create N | train SECONDS\n");
  return 2;
}
