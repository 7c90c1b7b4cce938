/* The convolutions of <glow/sys/math.h>, with every provider of kernels that this machine can run,
 * against a scalar loop in double: forward with all epilogues, and all gradients against
 * differences of that loop. 3x3 and 1x1, images of one pixel, of one row and of one column, odd
 * sizes, strides, ranges over the edges of images. And that nothing is written beside the result.
 * SPDX-License-Identifier: MIT */
#include <glow/sys/math.h>
#include <math.h>

#include "../support/model_helpers.h"

enum { SAMPLES = 3, GAP = 3 /* floats between pixels */ };
#define UNTOUCHED -77.0f

static const glow_conv convs[] = {
    {1, 1, 1, 1, 3},  {1, 1, 3, 2, 1},   {1, 5, 2, 3, 3},  {5, 1, 3, 1, 3},   {3, 4, 5, 7, 3},
    {4, 3, 17, 5, 3}, {2, 7, 1, 33, 3},  {5, 5, 8, 8, 1},  {3, 5, 33, 18, 1}, {6, 6, 9, 66, 3},
    {9, 7, 70, 2, 3}, {12, 11, 4, 4, 3}, {12, 11, 3, 5, 1}};

typedef struct bench {
  const glow_conv *conv;
  glow_context *context;
  const glow_math *math;
  int64_t pixels, x_stride, y_stride, weights;
  float *x, *w, *bias, *scale; /* x [pixels, x_stride] */
  float *dy;                   /* [pixels, y_stride]: what the loss weighs y with */
} bench;

/* Aligned, as packed weights must be. */
static float *room(int64_t floats) {
  float *memory = aligned_alloc(64, ((size_t)floats * sizeof(float) / 64 + 1) * 64);
  if (!memory)
    fail_msg("no memory for the test");
  for (int64_t i = 0; i < floats; i++)
    memory[i] = UNTOUCHED;
  return memory;
}

static void open_bench(bench *b, const glow_conv *conv, const char *kernels,
                       helper_random *random) {
  *b = (bench){.conv = conv, .context = helper_context(2, kernels, NULL)};
  b->math = glow_context_math(b->context);
  b->pixels = SAMPLES * conv->height * conv->width;
  b->x_stride = conv->in + GAP;
  b->y_stride = conv->out + GAP;
  b->weights = glow_conv_weight_floats(conv);
  b->x = helper_new_normals(random, 1.0f, b->pixels * b->x_stride);
  b->dy = helper_new_normals(random, 1.0f, b->pixels * b->y_stride);
  b->w = helper_new_normals(random, 0.5f, b->weights);
  b->bias = helper_new_normals(random, 1.0f, conv->out);
  b->scale = helper_new_normals(random, 1.0f, conv->out);
  OK(glow_conv_check(conv));
  assert_int_equal(b->weights, conv->out * conv->in * conv->size * conv->size);
}

static void close_bench(bench *b) {
  free(b->x);
  free(b->dy);
  free(b->w);
  free(b->bias);
  free(b->scale);
  glow_context_destroy(&b->context);
}

/* ---- the scalar loop ------------------------------------------------------------------------- */

/* y[p, o] without epilogue. *size: the sum of the magnitudes of its terms, which bounds what
 * rounding in float32 does to it: each of n additions is off by at most 2^-24 of that. */
static double exact(const bench *b, const float *x, const float *w, int64_t p, int64_t o,
                    double *size) {
  const glow_conv *c = b->conv;
  int64_t image = c->height * c->width, base = p / image * image, r = (p - base) / c->width,
          s = (p - base) % c->width, half = c->size / 2;
  double sum = 0;
  *size = 0;
  for (int64_t i = 0; i < c->in; i++)
    for (int64_t ky = 0; ky < c->size; ky++)
      for (int64_t kx = 0; kx < c->size; kx++) {
        int64_t y = r + ky - half, z = s + kx - half;
        if (y < 0 || y >= c->height || z < 0 || z >= c->width)
          continue;
        double term = (double)x[(base + y * c->width + z) * b->x_stride + i] *
                      (double)w[((o * c->in + i) * c->size + ky) * c->size + kx];
        sum += term;
        *size += fabs(term);
      }
  return sum;
}

static double bound(const bench *b, double size, double extra) {
  return ldexp(1.0, -24) * (double)(b->conv->in * 9 + 4) * (size + extra) + 1e-30;
}

/* sum dy y, whose derivatives are the gradients; it is linear in x and in w. */
static double loss(const bench *b, const float *x, const float *w) {
  double sum = 0, size;
  for (int64_t p = 0; p < b->pixels; p++)
    for (int64_t o = 0; o < b->conv->out; o++)
      sum += (double)b->dy[p * b->y_stride + o] * exact(b, x, w, p, o, &size);
  return sum;
}

/* ---- forward --------------------------------------------------------------------------------- */

static float *packed(const bench *b, int32_t transposed) {
  float *to = room(glow_conv_packed_floats(b->math, b->conv, transposed));
  float *between = room(b->weights);
  glow_conv_pack(b->math, b->conv, transposed, b->w, between, to);
  free(between);
  return to;
}

/* Ranges of 1, 2, 3, ... pixels, which start and end anywhere. */
static void forward(const bench *b, const float *weights, const glow_epilogue *epilogue, float *y) {
  for (int64_t first = 0, count = 1; first < b->pixels; first += count++) {
    int64_t last = first + count < b->pixels ? first + count : b->pixels;
    float *own = room(glow_conv_room_floats(b->conv, last - first));
    glow_conv_forward(b->math, b->conv, weights, first, last, b->x, b->x_stride, y, b->y_stride,
                      epilogue, own);
    free(own);
  }
}

static double finished(double v, double before, int64_t o, const glow_epilogue *e) {
  v += e->accumulate ? before : 0.0;
  v += e->bias ? (double)e->bias[o] : 0.0;
  v *= e->scale ? (double)e->scale[o] : 1.0;
  return e->relu && v < 0 ? 0.0 : v;
}

static void check_forward(const bench *b, const glow_epilogue *given) {
  const glow_epilogue none = {0}, *e = given ? given : &none;
  float *weights = packed(b, 0), *y = room(b->pixels * b->y_stride);
  float before = 0.25f;
  for (int64_t i = 0; i < b->pixels * b->y_stride; i++)
    y[i] = i % b->y_stride < b->conv->out ? before : UNTOUCHED;
  forward(b, weights, given, y);
  for (int64_t p = 0; p < b->pixels; p++) {
    for (int64_t o = 0; o < b->conv->out; o++) {
      double size, sum = exact(b, b->x, b->w, p, o, &size);
      double extra = fabs((double)before) + fabs((double)b->bias[o]);
      double off = fabs((double)y[p * b->y_stride + o] - finished(sum, (double)before, o, e));
      double factor = e->scale ? fabs((double)e->scale[o]) : 1.0;
      assert_true(off <= factor * bound(b, size, extra));
    }
    for (int64_t o = b->conv->out; o < b->y_stride; o++)
      assert_true(y[p * b->y_stride + o] == UNTOUCHED);
  }
  free(weights);
  free(y);
}

/* A sample has the same bits alone, wherever it stands. */
static void check_alone(const bench *b) {
  bench one = *b;
  int64_t image = b->conv->height * b->conv->width, n = SAMPLES - 1;
  float *weights = packed(b, 0), *all = room(b->pixels * b->y_stride);
  float *alone = room(image * b->y_stride);
  forward(b, weights, NULL, all);
  one.x = b->x + n * image * b->x_stride;
  one.pixels = image;
  forward(&one, weights, NULL, alone);
  if (!helper_is_cblas(glow_context_kernels(b->context)))
    assert_memory_equal(alone, all + n * image * b->y_stride,
                        (size_t)(image * b->y_stride) * sizeof(float));
  free(weights);
  free(all);
  free(alone);
}

/* ---- gradients ------------------------------------------------------------------------------- */

/* The derivative of the loss by *at, which is x's or w's, by a difference: exact but for the
 * rounding of sums in double, for the loss is linear. */
static double slope(const bench *b, float *at) {
  const float middle = *at;
  *at = middle + 1.0f;
  double up = loss(b, b->x, b->w), step = (double)*at;
  *at = middle - 1.0f;
  double down = loss(b, b->x, b->w);
  step -= (double)*at;
  *at = middle;
  return (up - down) / step;
}

/* All elements of small arrays, some of large ones, always the first and the last. */
static int64_t step_over(int64_t count) {
  return count > 12 ? count / 12 : 1;
}

static void expect_slope(const bench *b, const char *what, int64_t i, double got, double expected) {
  /* n terms of magnitude around 1 in float32; 2^-24 n of them would be the worst. */
  double n = (double)(b->pixels + 9 * (b->conv->in + b->conv->out));
  if (fabs(got - expected) <= ldexp(1.0, -24) * n * 8.0)
    return;
  fail_msg("%s %lld of %lld x %lld, %lld to %lld, size %lld: %.9g instead of %.9g", what,
           (long long)i, (long long)b->conv->height, (long long)b->conv->width,
           (long long)b->conv->in, (long long)b->conv->out, (long long)b->conv->size, got,
           expected);
}

static void check_data_gradient(const bench *b) {
  float *weights = packed(b, 1), *dx = room(b->pixels * b->x_stride);
  const glow_epilogue add = {.accumulate = 1};
  int64_t half = b->pixels / 2, in = b->conv->in;
  float *own = room(glow_conv_room_floats(b->conv, b->pixels));
  for (int64_t i = 0; i < b->pixels * b->x_stride; i++)
    dx[i] = i % b->x_stride < in ? 2.0f : UNTOUCHED;
  glow_conv_data_gradient(b->math, b->conv, weights, half, b->pixels, b->dy, b->y_stride, dx,
                          b->x_stride, &add, own);
  glow_conv_data_gradient(b->math, b->conv, weights, 0, half, b->dy, b->y_stride, dx, b->x_stride,
                          &add, own);
  for (int64_t j = 0; j < b->pixels * in; j += step_over(b->pixels * in)) {
    int64_t at = j / in * b->x_stride + j % in;
    expect_slope(b, "dx", j, (double)dx[at] - 2.0, slope(b, &b->x[at]));
  }
  for (int64_t i = 0; i < b->pixels * b->x_stride; i++)
    assert_true(i % b->x_stride < in || dx[i] == UNTOUCHED);
  free(weights);
  free(dx);
  free(own);
}

static void weight_gradient(const bench *b, bool backwards, float *dw, float *dbias) {
  int64_t parts = glow_conv_gradient_parts(b->conv);
  float *own = room(glow_conv_gradient_room_floats(b->math, b->conv));
  for (int64_t k = 0; k < parts; k++)
    glow_conv_weight_gradient(b->math, b->conv, backwards ? parts - 1 - k : k, b->pixels, b->x,
                              b->x_stride, b->dy, b->y_stride, dw, dbias, own);
  free(own);
}

static void check_weight_gradient(const bench *b) {
  int64_t out = b->conv->out;
  float *dw = room(b->weights), *again = room(b->weights), *dbias = room(out);
  for (int64_t i = 0; i < b->weights; i++)
    dw[i] = again[i] = 1.0f;
  for (int64_t o = 0; o < out; o++)
    dbias[o] = 1.0f;
  weight_gradient(b, false, dw, dbias);
  weight_gradient(b, true, again, NULL);
  assert_memory_equal(dw, again, (size_t)b->weights * sizeof(float));
  for (int64_t i = 0; i < b->weights; i += step_over(b->weights))
    expect_slope(b, "dw", i, (double)dw[i] - 1.0, slope(b, &b->w[i]));
  for (int64_t o = 0; o < out; o++) {
    double sum = 0;
    for (int64_t p = 0; p < b->pixels; p++)
      sum += (double)b->dy[p * b->y_stride + o];
    expect_slope(b, "dbias", o, (double)dbias[o] - 1.0, sum);
  }
  free(dw);
  free(again);
  free(dbias);
}

/* ---- the tests ------------------------------------------------------------------------------- */

typedef void (*check_fn)(const bench *b);

static void check_epilogues(const bench *b) {
  const glow_epilogue all[] = {{.bias = b->bias},
                               {.scale = b->scale},
                               {.bias = b->bias, .scale = b->scale, .relu = 1},
                               {.accumulate = 1},
                               {b->bias, b->scale, 1, 1}};
  check_forward(b, NULL);
  for (size_t i = 0; i < sizeof all / sizeof *all; i++)
    check_forward(b, &all[i]);
}

static void each(check_fn check) {
  static const char *const kernels[] = {"c", "avx2", "avx512", "neon", "cblas"};
  int32_t ran = 0;
  for (size_t k = 0; k < sizeof kernels / sizeof *kernels; k++) {
    glow_context_options o = GLOW_CONTEXT_OPTIONS_INIT;
    glow_context *context = NULL;
    o.kernels = kernels[k];
    if (glow_context_create(&o, &context) != GLOW_OK)
      continue; /* this machine or build has none */
    glow_context_destroy(&context);
    ran++;
    for (size_t i = 0; i < sizeof convs / sizeof *convs; i++) {
      helper_random random = helper_random_of(100 + i);
      bench b;
      open_bench(&b, &convs[i], kernels[k], &random);
      check(&b);
      close_bench(&b);
    }
  }
  assert_true(ran > 0);
}

static void test_forward(void **state) {
  (void)state;
  each(check_epilogues);
}

static void test_alone(void **state) {
  (void)state;
  each(check_alone);
}

static void test_data_gradient(void **state) {
  (void)state;
  each(check_data_gradient);
}

static void test_weight_gradient(void **state) {
  (void)state;
  each(check_weight_gradient);
}

static void test_refusals(void **state) {
  const glow_conv good = {4, 4, 2, 3, 3};
  glow_conv bad = good;
  (void)state;
  OK(glow_conv_check(&good));
  REFUSED(glow_conv_check(NULL), GLOW_E_ARGUMENT, "NULL");
#define BAD(field, value, status, words)                                                           \
  bad = good, bad.field = (value);                                                                 \
  REFUSED(glow_conv_check(&bad), status, words)
  BAD(size, 2, GLOW_E_ARGUMENT, "size 2; it must be 1 or 3");
  BAD(size, -1, GLOW_E_ARGUMENT, "size -1");
  BAD(height, 0, GLOW_E_SHAPE, "height is 0");
  BAD(width, -4, GLOW_E_SHAPE, "width is -4");
  BAD(in, 0, GLOW_E_SHAPE, "in is 0");
  BAD(out, (int64_t)1 << 40, GLOW_E_SHAPE, "out is 1099511627776");
#undef BAD
  bad = (glow_conv){1 << 24, 1 << 24, 1 << 24, 1, 3};
  REFUSED(glow_conv_check(&bad), GLOW_E_LIMIT, "too large");
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(test_forward),       cmocka_unit_test(test_alone),
      cmocka_unit_test(test_data_gradient), cmocka_unit_test(test_weight_gradient),
      cmocka_unit_test(test_refusals),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
