/* The border indicator against its definition: 3x3 convolutions over an image that is padded with
 * zeros and has one more channel, 1 in the padding and 0 inside. In the conditioner network, its
 * initialisation from data, and a split's prior. SPDX-License-Identifier: MIT */
#include "../support/model_helpers.h"

enum { BATCH = 3, HIDDEN = 7 };

/* One pixel, one row, one column, no inner pixels, and one image that is more than a strip. */
static const glow_shape shapes[] = {{1, 1, 4}, {1, 5, 2}, {5, 1, 2},
                                    {2, 2, 4}, {3, 4, 2}, {9, 16, 4}};
enum { SHAPES = sizeof shapes / sizeof *shapes };

static const float *tensor(const glow_model *model, const char *name) {
  glow_tensor_info info = GLOW_TENSOR_INFO_INIT;
  OK(glow_model_find_tensor(model, name, &info));
  return glow_model_parameters(model) + info.offset;
}

/* Convolution of one image x [H, W, in] (stride floats a pixel), with weight [out, in, 3, 3] and
 * edge [out, 3, 3] for the channel that marks the padding. */
static void convolve(const glow_shape *s, int64_t in, int64_t out, const double *x, int64_t stride,
                     const float *weight, const float *edge, double *y) {
  for (int64_t p = 0; p < s->height * s->width; p++)
    for (int64_t o = 0; o < out; o++) {
      double sum = 0;
      for (int64_t t = 0; t < 9; t++) {
        int64_t r = p / s->width + t / 3 - 1, c = p % s->width + t % 3 - 1;
        bool inside = r >= 0 && r < s->height && c >= 0 && c < s->width;
        for (int64_t i = 0; inside && i < in; i++)
          sum += (double)weight[(o * in + i) * 9 + t] * x[(r * s->width + c) * stride + i];
        sum += inside ? 0 : (double)edge[o * 9 + t];
      }
      y[p * out + o] = sum;
    }
}

static void norm_relu(const float *bias, const float *logs, int64_t pixels, double *h) {
  for (int64_t i = 0; i < pixels * HIDDEN; i++)
    h[i] = fmax((h[i] + (double)bias[i % HIDDEN]) * exp((double)logs[i % HIDDEN]), 0);
}

static void multiply(const float *w, int64_t pixels, const double *h, double *a) {
  for (int64_t p = 0; p < pixels; p++)
    for (int64_t o = 0; o < HIDDEN; o++) {
      a[p * HIDDEN + o] = 0;
      for (int64_t k = 0; k < HIDDEN; k++)
        a[p * HIDDEN + o] += (double)w[o * HIDDEN + k] * h[p * HIDDEN + k];
    }
}

typedef struct bench {
  const glow_shape *shape;
  int64_t pixels, half;
  glow_context *context;
  glow_model *model;
  glow_workspace *ws;
  float *x, *z;
  double *wide, *a1, *a2, *out; /* of one image */
} bench;

static void open_bench(bench *b, const glow_shape *shape, glow_model *model,
                       glow_context *context) {
  helper_random random = helper_random_of(9);
  *b = (bench){.shape = shape, .model = model, .context = context};
  b->pixels = shape->height * shape->width;
  b->half = shape->channels / 2;
  b->ws = helper_workspace(model, BATCH, GLOW_MODE_INFERENCE);
  int64_t dims = b->pixels * shape->channels;
  b->x = helper_new_normals(&random, 1.0f, BATCH * dims);
  b->z = helper_allocate((size_t)(BATCH * dims) * sizeof(float));
  b->wide = helper_allocate((size_t)dims * sizeof(double));
  b->a1 = helper_allocate((size_t)(b->pixels * HIDDEN) * sizeof(double));
  b->a2 = helper_allocate((size_t)(b->pixels * HIDDEN) * sizeof(double));
  b->out = helper_allocate((size_t)dims * sizeof(double));
}

static void close_bench(bench *b) {
  free(b->x), free(b->z), free(b->wide), free(b->a1), free(b->a2), free(b->out);
  glow_workspace_destroy(&b->ws);
  glow_model_destroy(&b->model);
  glow_context_destroy(&b->context);
}

/* x of image n, in double. */
static void widen(const bench *b, int64_t n) {
  int64_t dims = b->pixels * b->shape->channels;
  for (int64_t i = 0; i < dims; i++)
    b->wide[i] = (double)b->x[n * dims + i];
}

static void net(const bench *b, int64_t n) {
  const glow_model *m = b->model;
  widen(b, n);
  convolve(b->shape, b->half, HIDDEN, b->wide, b->shape->channels,
           tensor(m, "layer.net.conv1.weight"), tensor(m, "layer.net.conv1.edge"), b->a1);
  norm_relu(tensor(m, "layer.net.norm1.bias"), tensor(m, "layer.net.norm1.logs"), b->pixels, b->a1);
  multiply(tensor(m, "layer.net.conv2.weight"), b->pixels, b->a1, b->a2);
  norm_relu(tensor(m, "layer.net.norm2.bias"), tensor(m, "layer.net.norm2.logs"), b->pixels, b->a2);
  convolve(b->shape, HIDDEN, b->half, b->a2, HIDDEN, tensor(m, "layer.net.conv3.weight"),
           tensor(m, "layer.net.conv3.edge"), b->out);
  const float *bias = tensor(m, "layer.net.conv3.bias"), *logs = tensor(m, "layer.net.conv3.logs");
  for (int64_t i = 0; i < b->pixels * b->half; i++)
    b->out[i] = (b->out[i] + (double)bias[i % b->half]) * exp(3 * (double)logs[i % b->half]);
}

static void open_coupling(bench *b, const glow_shape *shape) {
  glow_context *context = helper_context(2, NULL, NULL);
  glow_conv_net_options net_options = GLOW_CONV_NET_OPTIONS_INIT;
  glow_coupling_options options = GLOW_COUPLING_OPTIONS_INIT;
  glow_net *made = NULL;
  glow_layer *layer = NULL;
  glow_model *model = NULL;
  net_options.hidden = HIDDEN;
  net_options.border = 1;
  options.kind = GLOW_COUPLING_ADDITIVE;
  OK(glow_conv_net_create(context, &net_options, &made));
  OK(glow_coupling_create(context, &options, &made, &layer));
  OK(helper_wrap_layer(context, layer, true, shape, &model));
  open_bench(b, shape, model, context);
}

static void test_net(void **state) {
  (void)state;
  for (int s = 0; s < SHAPES; s++) {
    bench b;
    helper_random random = helper_random_of(3);
    open_coupling(&b, &shapes[s]);
    helper_perturb(b.model, &random, 0.3f);
    OK(helper_forward(b.ws, b.x, NULL, BATCH, GLOW_LATENTS_RAW, b.z, NULL, NULL));
    int64_t channels = b.shape->channels;
    for (int64_t n = 0; n < BATCH; n++) {
      net(&b, n);
      for (int64_t i = 0; i < b.pixels * b.half; i++) {
        int64_t at = (n * b.pixels + i / b.half) * channels + b.half + i % b.half;
        double got = (double)b.z[at] - (double)b.x[at];
        /* float32 through three products of up to 9 * 7 terms */
        assert_true(fabs(got - b.out[i]) < 2e-5 * (1 + fabs(b.out[i])));
      }
    }
    close_bench(&b);
  }
}

static void moments(const double *a, double *mean, double *square, int64_t pixels) {
  for (int64_t i = 0; i < pixels * HIDDEN; i++) {
    mean[i % HIDDEN] += a[i] / (double)(pixels * BATCH);
    square[i % HIDDEN] += a[i] * a[i] / (double)(pixels * BATCH);
  }
}

/* The first norm makes what it sees, the border's part included, of mean 0 and deviation 1. */
static void test_initialisation(void **state) {
  bench b;
  (void)state;
  open_coupling(&b, &shapes[SHAPES - 1]);
  OK(glow_workspace_initialise(b.ws, b.model, b.x, NULL, BATCH));
  double mean[HIDDEN] = {0}, square[HIDDEN] = {0};
  for (int64_t n = 0; n < BATCH; n++) {
    widen(&b, n);
    convolve(b.shape, b.half, HIDDEN, b.wide, b.shape->channels,
             tensor(b.model, "layer.net.conv1.weight"), tensor(b.model, "layer.net.conv1.edge"),
             b.a1);
    moments(b.a1, mean, square, b.pixels);
  }
  for (int j = 0; j < HIDDEN; j++) {
    double sd = sqrt(square[j] - mean[j] * mean[j]);
    assert_true(fabs(tensor(b.model, "layer.net.norm1.bias")[j] + mean[j]) < 1e-6);
    assert_true(fabs(tensor(b.model, "layer.net.norm1.logs")[j] + log(sd + 1e-6)) < 1e-5);
  }
  close_bench(&b);
}

static void test_first_values(void **state) {
  bench b;
  double square = 0;
  (void)state;
  open_coupling(&b, &shapes[0]);
  const float *edge = tensor(b.model, "layer.net.conv1.edge");
  for (int i = 0; i < 9 * HIDDEN; i++)
    square += (double)edge[i] * (double)edge[i];
  /* 63 values from N(0, 0.05): the standard error of their deviation is 9 % of it */
  assert_true(fabs(sqrt(square / (9 * HIDDEN)) - 0.05) < 0.02);
  for (int i = 0; i < 9 * b.half; i++)
    assert_true(tensor(b.model, "layer.net.conv3.edge")[i] == 0.0f);
  close_bench(&b);
}

static void test_split(void **state) {
  (void)state;
  for (int s = 0; s < SHAPES; s++) {
    glow_context *context = helper_context(2, NULL, NULL);
    glow_split_options options = GLOW_SPLIT_OPTIONS_INIT;
    helper_random random = helper_random_of(4);
    glow_layer *layer = NULL;
    glow_model *model = NULL;
    bench b;
    options.border = 1;
    OK(glow_split_create(context, &options, &layer));
    OK(helper_wrap_layer(context, layer, true, &shapes[s], &model));
    open_bench(&b, &shapes[s], model, context);
    helper_perturb(model, &random, 0.1f);
    OK(helper_forward(b.ws, b.x, NULL, BATCH, GLOW_LATENTS_WHITENED, b.z, NULL, NULL));
    const float *bias = tensor(model, "layer.prior.bias"),
                *logs = tensor(model, "layer.prior.logs");
    int64_t channels = b.shape->channels;
    for (int64_t n = 0; n < BATCH; n++) {
      widen(&b, n);
      convolve(b.shape, b.half, channels, b.wide, channels, tensor(model, "layer.prior.weight"),
               tensor(model, "layer.prior.edge"), b.out);
      for (int64_t i = 0; i < b.pixels * b.half; i++) {
        int64_t p = i / b.half, j = i % b.half, o = j + b.half;
        double mean = (b.out[p * channels + j] + (double)bias[j]) * exp(3 * (double)logs[j]);
        double log_sd = (b.out[p * channels + o] + (double)bias[o]) * exp(3 * (double)logs[o]);
        double expected = (b.wide[p * channels + o] - mean) * exp(-log_sd);
        assert_true(fabs((double)b.z[n * b.pixels * channels + i] - expected) <
                    2e-5 * (1 + fabs(expected)));
      }
    }
    close_bench(&b);
  }
}

/* The preset gives the option to all its parts. */
static void test_preset(void **state) {
  glow_context *context = helper_context(1, NULL, NULL);
  glow_glow_options o = helper_small_glow();
  glow_tensor_info info = GLOW_TENSOR_INFO_INIT;
  (void)state;
  o.border = o.spatial_top = 1;
  glow_model *model = helper_glow(context, &o, 5);
  OK(glow_model_find_tensor(model, "level1.step1.coupling.net.conv1.edge", &info));
  OK(glow_model_find_tensor(model, "level0.step0.coupling.net.conv3.edge", &info));
  OK(glow_model_find_tensor(model, "level0.split.prior.edge", &info));
  OK(glow_model_find_tensor(model, "prior.logs", &info));
  assert_int_equal(info.rank, 3);
  assert_int_equal(info.elements, 2 * 2 * 16);
  glow_model_destroy(&model);
  glow_context_destroy(&context);
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(test_net),    cmocka_unit_test(test_initialisation),
      cmocka_unit_test(test_split),  cmocka_unit_test(test_first_values),
      cmocka_unit_test(test_preset),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
