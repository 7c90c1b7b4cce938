/* Are the digits that a class-conditional model draws of the class that was asked for? A nearest
 * neighbour over real digits is the judge: Euclidean distance between pixels, the label of the
 * nearest image. How often the judge itself is right is measured on other real digits. Where the
 * model's images are smaller, the real ones are averaged over areas to its size.
 *
 *   judge_digits MODEL IMAGES LABELS TEST_IMAGES TEST_LABELS [TEMPERATURE [SAMPLES_PER_CLASS]]
 *
 * Files are MNIST's (IDX, not compressed). Prints one JSON line. SPDX-License-Identifier: MIT */
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <glow/glow.h>

enum { TEST = 1000, BATCH = 50, MOST_CLASSES = 64, MOST_SIDE = 64 };

typedef struct digits {
  int64_t count, side, size; /* size: pixels of one, side x side */
  uint8_t *pixels, *labels;
} digits;

static void die(const char *what) {
  fprintf(stderr, "judge_digits: %s\n", what);
  exit(1);
}

static void ok(glow_status status) {
  if (status != GLOW_OK)
    die(glow_last_error());
}

static uint8_t *allocate(int64_t bytes) {
  uint8_t *memory = malloc((size_t)bytes);
  if (!memory)
    die("out of memory");
  return memory;
}

/* The contents of an IDX file of bytes with `rank` dimensions. */
static uint8_t *read_idx(const char *path, int rank, int64_t dims[3]) {
  uint8_t head[16];
  int64_t bytes = 1;
  FILE *file = fopen(path, "rb");
  if (!file || fread(head, 4 + 4 * (size_t)rank, 1, file) != 1 || head[2] != 8 || head[3] != rank)
    die(path);
  for (int i = 0; i < rank; i++) {
    const uint8_t *b = head + 4 + 4 * i;
    dims[i] = (int64_t)b[0] << 24 | b[1] << 16 | b[2] << 8 | b[3];
    if (dims[i] < 1 || dims[i] > 1 << 20)
      die(path);
    bytes *= dims[i];
  }
  uint8_t *data = allocate(bytes);
  if (fread(data, (size_t)bytes, 1, file) != 1)
    die(path);
  fclose(file);
  return data;
}

static digits read_digits(const char *images, const char *labels) {
  int64_t dims[3], count[3];
  digits d = {.pixels = read_idx(images, 3, dims), .labels = read_idx(labels, 1, count)};
  if (dims[0] != count[0])
    die("images and labels are not as many");
  if (dims[1] != dims[2])
    die("the images are not square");
  d.count = dims[0];
  d.side = dims[1];
  d.size = d.side * d.side;
  return d;
}

/* How much of pixel `from` lies in pixel `to` of a side of `m` in place of `n`. */
static double overlap(int64_t from, int64_t n, int64_t to, int64_t m) {
  double scale = (double)n / (double)m, low = (double)to * scale, high = low + scale;
  low = low > (double)from ? low : (double)from;
  high = high < (double)from + 1 ? high : (double)from + 1;
  return high > low ? (high - low) / scale : 0;
}

/* One image [n, n] to [m, m], rows first. */
static void resize_image(const uint8_t *from, int64_t n, uint8_t *to, int64_t m) {
  double rows[MOST_SIDE * MOST_SIDE];
  for (int64_t r = 0; r < m; r++)
    for (int64_t c = 0; c < n; c++) {
      rows[r * n + c] = 0;
      for (int64_t q = 0; q < n; q++)
        rows[r * n + c] += overlap(q, n, r, m) * from[q * n + c];
    }
  for (int64_t r = 0; r < m; r++)
    for (int64_t c = 0; c < m; c++) {
      double sum = 0.5; /* rounds */
      for (int64_t q = 0; q < n; q++)
        sum += overlap(q, n, c, m) * rows[r * n + q];
      to[r * m + c] = (uint8_t)sum;
    }
}

/* To a smaller side; images stay one after the other. */
static void resize(digits *d, int64_t side) {
  uint8_t small[MOST_SIDE * MOST_SIDE];
  for (int64_t i = 0; i < d->count; i++) {
    resize_image(d->pixels + i * d->size, d->side, small, side);
    memcpy(d->pixels + i * side * side, small, (size_t)(side * side));
  }
  d->side = side;
  d->size = side * side;
}

static int32_t judge(const digits *real, const uint8_t *image) {
  int64_t least = INT64_MAX, nearest = 0;
  for (int64_t i = 0; i < real->count; i++) {
    int64_t sum = 0;
    for (int64_t j = 0; j < real->size && sum < least; j++) {
      int32_t d = (int32_t)image[j] - real->pixels[i * real->size + j];
      sum += (int64_t)d * d;
    }
    if (sum < least) {
      least = sum;
      nearest = i;
    }
  }
  return real->labels[nearest];
}

static double judge_itself(const digits *real, const digits *test) {
  int64_t count = test->count < TEST ? test->count : TEST, right = 0;
  for (int64_t i = 0; i < count; i++)
    right += judge(real, test->pixels + i * test->size) == test->labels[i];
  return (double)right / (double)count;
}

/* How many of `count` samples of a class the judge takes for that class. */
static int64_t judge_class(const digits *real, const glow_model *model, glow_workspace *ws,
                           int32_t class, double temperature, int64_t count) {
  glow_sample_options options = GLOW_SAMPLE_OPTIONS_INIT;
  float *x = (float *)(void *)allocate(BATCH * real->size * (int64_t)sizeof *x);
  uint8_t *pixels = allocate(BATCH * real->size);
  int32_t labels[BATCH];
  int64_t right = 0;
  for (int i = 0; i < BATCH; i++)
    labels[i] = class;
  options.temperature = temperature;
  for (int64_t first = 0; first < count; first += BATCH) {
    int64_t n = count - first < BATCH ? count - first : BATCH;
    options.first = (uint64_t)(class * count + first);
    options.labels = labels;
    ok(glow_workspace_sample(ws, n, &options, x));
    ok(glow_model_quantise(model, x, n, pixels));
    for (int64_t i = 0; i < n; i++)
      right += judge(real, pixels + i * real->size) == class;
  }
  free(x);
  free(pixels);
  return right;
}

int main(int argc, char **argv) {
  if (argc < 6 || argc > 8)
    die("MODEL IMAGES LABELS TEST_IMAGES TEST_LABELS [TEMPERATURE [SAMPLES_PER_CLASS]]");
  double temperature = argc > 6 ? atof(argv[6]) : 0.7;
  int64_t per_class = argc > 7 ? atoll(argv[7]) : 100, right = 0;
  glow_context_options context_options = GLOW_CONTEXT_OPTIONS_INIT;
  glow_workspace_options options = GLOW_WORKSPACE_OPTIONS_INIT;
  glow_context *context = NULL;
  glow_model *model = NULL;
  glow_workspace *ws = NULL;
  digits real = read_digits(argv[2], argv[3]), test = read_digits(argv[4], argv[5]);
  context_options.threads = 2;
  options.batch = BATCH;
  ok(glow_context_create(&context_options, &context));
  ok(glow_model_load(context, argv[1], &model));
  ok(glow_workspace_create(model, &options, &ws));
  int32_t classes = glow_model_class_count(model);
  glow_shape shape;
  ok(glow_model_input_shape(model, &shape));
  if (shape.height != shape.width || shape.channels != 1 || shape.height > real.side ||
      real.side > MOST_SIDE || test.side != real.side)
    die("the model is not one of such images");
  resize(&real, shape.height);
  resize(&test, shape.height);
  if (classes < 1 || classes > MOST_CLASSES || per_class < 1)
    die("the model has no classes, or there is nothing to draw");
  printf("{\"judge\": %.4f, \"temperature\": %g, \"per_class\": [", judge_itself(&real, &test),
         temperature);
  for (int32_t k = 0; k < classes; k++) {
    int64_t n = judge_class(&real, model, ws, k, temperature, per_class);
    printf("%s%.3f", k ? ", " : "", (double)n / (double)per_class);
    right += n;
  }
  printf("], \"samples\": %" PRId64 ", \"of_their_class\": %.4f}\n", classes * per_class,
         (double)right / (double)(classes * per_class));
  glow_workspace_destroy(&ws);
  glow_model_destroy(&model);
  glow_context_destroy(&context);
  free(real.pixels), free(real.labels), free(test.pixels), free(test.labels);
  return 0;
}
