/* The fully connected network against its definition in double: as a vector's and an image's
 * conditioner, with and without context, narrow (strips through all layers) and wide (layer by
 * layer). SPDX-License-Identifier: MIT */
#include "../support/model_helpers.h"

enum { COUNT = 300 }; /* several strips of samples, the last one not full */

typedef struct shape_case {
  glow_shape shape;
  int32_t hidden, depth;
  int64_t condition;
} shape_case;

static const shape_case cases[] = {
    {{1, 1, 2}, 5, 1, 0},  {{1, 1, 6}, 64, 3, 0},   {{1, 1, 4}, 33, 2, 5},
    {{2, 3, 4}, 17, 2, 1}, {{1, 1, 80}, 300, 2, 0}, {{4, 4, 6}, 300, 1, 3},
};

static glow_model *additive(glow_context *context, const shape_case *c) {
  glow_mlp_net_options net_options = GLOW_MLP_NET_OPTIONS_INIT;
  glow_coupling_options coupling = GLOW_COUPLING_OPTIONS_INIT;
  glow_net *net = NULL;
  glow_layer *layer = NULL;
  glow_model *model = NULL;
  net_options.hidden = c->hidden;
  net_options.depth = c->depth;
  net_options.condition.channels = c->condition;
  net_options.seed = 3;
  coupling.kind = GLOW_COUPLING_ADDITIVE;
  OK(glow_mlp_net_create(context, &net_options, &net));
  OK(glow_coupling_create(context, &coupling, &net, &layer));
  OK(helper_wrap_layer(context, layer, true, &c->shape, &model));
  return model;
}

/* out = W in + b of layer fc{l} in double, with ReLU unless it is the last. */
static void layer_of(const glow_model *model, int l, bool relu, const double *in, double *out) {
  char name[64];
  glow_tensor_info w = GLOW_TENSOR_INFO_INIT, b = GLOW_TENSOR_INFO_INIT;
  const float *parameters = glow_model_parameters(model);
  snprintf(name, sizeof name, "layer.net.fc%d.weight", l);
  OK(glow_model_find_tensor(model, name, &w));
  snprintf(name, sizeof name, "layer.net.fc%d.bias", l);
  OK(glow_model_find_tensor(model, name, &b));
  for (int64_t o = 0; o < w.dims[0]; o++) {
    double sum = parameters[b.offset + o];
    for (int64_t i = 0; i < w.dims[1]; i++)
      sum += (double)parameters[w.offset + o * w.dims[1] + i] * in[i];
    out[o] = relu && sum < 0 ? 0 : sum;
  }
}

/* y2 - x2 of one sample should be the net of (x1, context). */
static double worst_error(const shape_case *c, const glow_model *model, const float *x,
                          const float *context, const float *y) {
  double a[512], b[512], worst = 0;
  int64_t pixels = c->shape.height * c->shape.width, half = c->shape.channels / 2, count = 0;
  for (int64_t p = 0; p < pixels; p++)
    for (int64_t j = 0; j < half; j++)
      a[count++] = x[p * 2 * half + j];
  for (int64_t j = 0; j < c->condition; j++)
    a[count++] = context[j];
  for (int l = 1; l <= c->depth + 1; l++) {
    layer_of(model, l, l <= c->depth, a, b);
    memcpy(a, b, sizeof a);
  }
  for (int64_t p = 0; p < pixels; p++)
    for (int64_t j = 0; j < half; j++) {
      int64_t at = p * 2 * half + j;
      assert_true(y[at] == x[at]); /* x1 passes */
      double change = (double)y[at + half] - x[at + half];
      worst = fmax(worst, fabs(change - a[p * half + j]));
    }
  return worst;
}

static void check_case(const shape_case *c, const char *kernels, int32_t mode) {
  glow_context *context = helper_context(2, kernels, NULL);
  glow_model *model = additive(context, c);
  glow_workspace *ws = helper_workspace(model, COUNT, mode);
  helper_random random = helper_random_of(1);
  int64_t dims = glow_model_dims(model);
  float *x = helper_new_normals(&random, 1.0f, COUNT * dims);
  float *conditions = helper_new_normals(&random, 1.0f, COUNT * c->condition + 1);
  float *y = helper_allocate((size_t)(COUNT * dims) * sizeof *y);
  if (c->condition)
    OK(glow_workspace_set_condition(ws, conditions, COUNT, c->condition));
  OK(helper_forward(ws, x, NULL, COUNT, GLOW_LATENTS_RAW, y, NULL, NULL));
  assert_memory_equal(x, y, (size_t)(COUNT * dims) * sizeof *x); /* the last layer starts at 0 */
  helper_perturb(model, &random, 0.1f);
  OK(helper_forward(ws, x, NULL, COUNT, GLOW_LATENTS_RAW, y, NULL, NULL));
  /* Sums of a few hundred values of size 1 in float32. */
  for (int n = 0; n < COUNT; n++)
    assert_true(worst_error(c, model, x + n * dims, conditions + n * c->condition, y + n * dims) <
                2e-4);
  free(x);
  free(conditions);
  free(y);
  glow_workspace_destroy(&ws);
  glow_model_destroy(&model);
  glow_context_destroy(&context);
}

static void test_definition(void **state) {
  (void)state;
  glow_blas_set_threads(1);
  for (uint32_t k = 0; glow_kernels_name(k); k++)
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
      check_case(&cases[i], glow_kernels_name(k), GLOW_MODE_INFERENCE);
      check_case(&cases[i], glow_kernels_name(k), GLOW_MODE_STORED);
    }
}

/* Gradients of many samples, by 1, 2 and 3 threads: the same bits, narrow and wide. */
static void test_threads(void **state) {
  (void)state;
  for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
    float *first = NULL;
    for (uint32_t threads = 1; threads <= 3; threads++) {
      glow_context *context = helper_context(threads, NULL, NULL);
      glow_model *model = additive(context, &cases[i]);
      helper_random random = helper_random_of(2);
      helper_perturb(model, &random, 0.1f);
      glow_workspace *ws = helper_workspace(model, COUNT, GLOW_MODE_STORED);
      int64_t dims = glow_model_dims(model), count = glow_model_parameter_count(model);
      float *x = helper_new_normals(&random, 1.0f, COUNT * dims);
      float *conditions = helper_new_normals(&random, 1.0f, COUNT * cases[i].condition + 1);
      double weight[COUNT];
      glow_backward_options options = GLOW_BACKWARD_OPTIONS_INIT;
      for (int n = 0; n < COUNT; n++)
        weight[n] = 1.0;
      options.weight = weight;
      if (cases[i].condition)
        OK(glow_workspace_set_condition(ws, conditions, COUNT, cases[i].condition));
      OK(helper_forward(ws, x, NULL, COUNT, GLOW_LATENTS_RAW, NULL, NULL, NULL));
      OK(glow_workspace_backward(ws, &options));
      if (first)
        assert_true(helper_same_bits(first, glow_workspace_gradients(ws), count, sizeof *first));
      else {
        first = helper_allocate((size_t)count * sizeof *first);
        memcpy(first, glow_workspace_gradients(ws), (size_t)count * sizeof *first);
      }
      free(x);
      free(conditions);
      glow_workspace_destroy(&ws);
      glow_model_destroy(&model);
      glow_context_destroy(&context);
    }
    free(first);
  }
}

static void test_bad_options(void **state) {
  glow_context *context = helper_context(1, NULL, NULL);
  glow_net *net = NULL;
  (void)state;
#define BAD_FIELD(field, value)                                                                    \
  do {                                                                                             \
    glow_mlp_net_options o = GLOW_MLP_NET_OPTIONS_INIT;                                            \
    o.field = value;                                                                               \
    REFUSED(glow_mlp_net_create(context, &o, &net), GLOW_E_ARGUMENT, #field " is");                \
    assert_null(net);                                                                              \
  } while (0)
  BAD_FIELD(hidden, 0);
  BAD_FIELD(hidden, INT32_MAX);
  BAD_FIELD(depth, 0);
  BAD_FIELD(depth, 65);
  BAD_FIELD(condition.channels, -1);
  BAD_FIELD(condition.channels, INT64_MAX);
#undef BAD_FIELD
  REFUSED(glow_mlp_net_create(NULL, NULL, &net), GLOW_E_ARGUMENT, "NULL");
  REFUSED(glow_mlp_net_create(context, NULL, NULL), GLOW_E_ARGUMENT, "NULL");
  static const glow_shape conditions[] = {
      {1 << 13, 1 << 13, 1}, {1 << 20, 1, 1 << 10}, {1 << 20, 1 << 20, 1 << 24}};
  const glow_shape huge = {1 << 13, 1 << 13, 2}, small = {1, 1, 4};
  glow_layer *layer = NULL;
  glow_model *model = NULL;
  OK(glow_mlp_net_create(context, NULL, &net));
  OK(glow_coupling_create(context, NULL, &net, &layer));
  REFUSED(helper_wrap_layer(context, layer, true, &huge, &model), GLOW_E_LIMIT, "an MLP of 8192");
  for (int i = 0; i < 3; i++) {
    glow_mlp_net_options o = GLOW_MLP_NET_OPTIONS_INIT;
    o.condition = conditions[i];
    OK(glow_mlp_net_create(context, &o, &net));
    OK(glow_coupling_create(context, NULL, &net, &layer));
    REFUSED(helper_wrap_layer(context, layer, true, &small, &model), GLOW_E_LIMIT,
            "takes at most 16777216 elements of it");
  }
  glow_context_destroy(&context);
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(test_definition),
      cmocka_unit_test(test_threads),
      cmocka_unit_test(test_bad_options),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
