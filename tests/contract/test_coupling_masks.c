/* What the masks of couplings let through, where that is counted in channels: which channels stay
 * as they are, in which order the net sees them, and which masks are refused.
 * SPDX-License-Identifier: MIT */
#include "../support/model_helpers.h"

enum { BATCH = 3, HIDDEN = 5 };

static glow_shape image(int64_t channels) {
  return (glow_shape){2, 3, channels};
}

static glow_coupling_options listing(const int32_t *indices, int64_t count, int32_t invert) {
  glow_coupling_options o = GLOW_COUPLING_OPTIONS_INIT;
  o.mask = GLOW_MASK_INDICES;
  o.indices = indices;
  o.index_count = count;
  o.invert = invert;
  return o;
}

static glow_net *perceptron(glow_context *context) {
  glow_mlp_net_options o = GLOW_MLP_NET_OPTIONS_INIT;
  glow_net *net = NULL;
  o.hidden = HIDDEN;
  OK(glow_mlp_net_create(context, &o, &net));
  return net;
}

static glow_status build(glow_context *context, const glow_coupling_options *o, glow_net *net,
                         const glow_shape *shape, glow_model **out) {
  glow_layer *layer = NULL;
  OK(glow_coupling_create(context, o, &net, &layer));
  return helper_wrap_layer(context, layer, true, shape, out);
}

/* ---- which channels -------------------------------------------------------------------------- */

typedef struct mask_row {
  int32_t mask, invert;
  int64_t channels;
  int32_t indices[3];
  int32_t listed;
  const char *stays; /* of each channel: '1' it stays as it is */
} mask_row;

static const mask_row mask_rows[] = {
    {GLOW_MASK_CHANNELS, 0, 2, {0}, 0, "10"},
    {GLOW_MASK_CHANNELS, 1, 2, {0}, 0, "01"},
    {GLOW_MASK_CHANNELS, 0, 3, {0}, 0, "110"},
    {GLOW_MASK_CHANNELS, 1, 3, {0}, 0, "011"},
    {GLOW_MASK_CHANNELS, 0, 7, {0}, 0, "1111000"},
    {GLOW_MASK_CHANNELS, 1, 7, {0}, 0, "0001111"},
    {GLOW_MASK_INDICES, 0, 5, {4, 0, 2}, 3, "10101"},
    {GLOW_MASK_INDICES, 1, 5, {4, 0, 2}, 3, "01010"},
    {GLOW_MASK_INDICES, 0, 2, {1}, 1, "01"},
    {GLOW_MASK_INDICES, 1, 4, {3}, 1, "1110"},
};

static void check_row(glow_context *context, const mask_row *row, int32_t kind) {
  const glow_shape shape = image(row->channels);
  const int64_t count = BATCH * 6 * row->channels;
  helper_random random = helper_random_of(3);
  glow_coupling_options o = listing(row->listed ? row->indices : NULL, row->listed, row->invert);
  glow_forward_options f = GLOW_FORWARD_OPTIONS_INIT;
  glow_model *model = NULL;
  float *x = helper_new_normals(&random, 1.0f, count);
  float *y = helper_allocate((size_t)count * sizeof *y);
  o.mask = row->mask;
  o.kind = kind;
  OK(build(context, &o, perceptron(context), &shape, &model));
  helper_perturb(model, &random, 0.3f);
  glow_workspace *ws = helper_workspace(model, BATCH, GLOW_MODE_INFERENCE);
  f.latents = y;
  OK(glow_workspace_forward(ws, x, BATCH, &f));
  for (int64_t i = 0; i < count; i++)
    if ((x[i] == y[i]) != (row->stays[i % row->channels] == '1'))
      fail_msg("mask %d, invert %d, %s: element %lld went from %g to %g", (int)row->mask,
               (int)row->invert, row->stays, (long long)i, (double)x[i], (double)y[i]);
  glow_workspace_destroy(&ws);
  glow_model_destroy(&model);
  free(x);
  free(y);
}

static void test_what_stays(void **state) {
  glow_context *context = helper_context(2, NULL, NULL);
  (void)state;
  for (size_t i = 0; i < sizeof mask_rows / sizeof *mask_rows; i++) {
    check_row(context, &mask_rows[i], GLOW_COUPLING_AFFINE);
    check_row(context, &mask_rows[i], GLOW_COUPLING_ADDITIVE);
  }
  glow_context_destroy(&context);
}

/* ---- listed channels and the channel mask ---------------------------------------------------- */

/* Latents, log-dets, dx and gradients of a pass, in `out`; returns how many floats. */
static int64_t pass(glow_model *model, int32_t mode, int64_t channels, float *out) {
  const int64_t count = BATCH * 6 * channels, parameters = glow_model_parameter_count(model);
  helper_random random = helper_random_of(5);
  float *x = helper_new_normals(&random, 1.0f, count);
  double logdet[BATCH], weight[BATCH] = {1.0, -0.5, 2.0};
  glow_forward_options f = GLOW_FORWARD_OPTIONS_INIT;
  glow_backward_options b = GLOW_BACKWARD_OPTIONS_INIT;
  glow_workspace *ws = helper_workspace(model, BATCH, mode);
  f.latents = out;
  f.logdet = logdet;
  b.weight = b.weight_logdet = weight;
  b.dx = out + count;
  OK(glow_workspace_forward(ws, x, BATCH, &f));
  OK(glow_workspace_backward(ws, &b));
  for (int64_t n = 0; n < BATCH; n++)
    out[2 * count + n] = (float)logdet[n];
  memcpy(out + 2 * count + BATCH, glow_workspace_gradients(ws), (size_t)parameters * sizeof *out);
  glow_workspace_destroy(&ws);
  free(x);
  return 2 * count + BATCH + parameters;
}

/* Listing the channels of the channel mask gives its bits, in every mode and with 300 channels,
 * more than scales are computed for at once. */
static void check_same(glow_context *context, int64_t channels, int32_t invert, int32_t mode) {
  const glow_shape shape = image(channels);
  int64_t stay = channels - channels / 2;
  int32_t indices[512];
  float *out[2];
  int64_t floats = 0;
  for (int64_t i = 0; i < stay; i++) /* or, inverted, those that change: the first */
    indices[i] = (int32_t)i;
  for (int i = 0; i < 2; i++) {
    helper_random random = helper_random_of(6);
    glow_coupling_options o = listing(indices, invert ? channels / 2 : stay, invert);
    glow_model *model = NULL;
    if (i)
      o.mask = GLOW_MASK_CHANNELS, o.indices = NULL, o.index_count = 0;
    o.scale = GLOW_SCALE_TANH_LEARNED;
    OK(build(context, &o, perceptron(context), &shape, &model));
    helper_perturb(model, &random, 0.05f);
    out[i] = helper_allocate(
        (size_t)(2 * BATCH * 6 * channels + BATCH + glow_model_parameter_count(model)) *
        sizeof(float));
    floats = pass(model, mode, channels, out[i]);
    glow_model_destroy(&model);
  }
  assert_true(helper_same_bits(out[0], out[1], floats, sizeof(float)));
  free(out[0]);
  free(out[1]);
}

static void test_same_as_the_channel_mask(void **state) {
  glow_context *context = helper_context(2, NULL, NULL);
  static const int64_t channels[] = {2, 3, 8, 600};
  (void)state;
  for (int c = 0; c < 4; c++)
    for (int32_t invert = 0; invert < 2; invert++) {
      check_same(context, channels[c], invert, GLOW_MODE_STORED);
      check_same(context, channels[c], invert, GLOW_MODE_RECONSTRUCTED);
    }
  glow_context_destroy(&context);
}

/* Listed in another order, the net's input is in that order: with its first weights exchanged
 * alike, the coupling does the same. Sums are in another order, so but for rounding. */
static void test_order(void **state) {
  glow_context *context = helper_context(1, NULL, NULL);
  const glow_shape shape = {1, 1, 3};
  static const int32_t ascending[] = {0, 2}, descending[] = {2, 0};
  glow_coupling_options a = listing(ascending, 2, 0), d = listing(descending, 2, 0);
  glow_model *models[2] = {NULL};
  float x[] = {0.3f, -1.2f, 0.8f}, y[2][3], weight[HIDDEN * 2], swapped[HIDDEN * 2];
  helper_random random = helper_random_of(7);
  (void)state;
  OK(build(context, &a, perceptron(context), &shape, &models[0]));
  OK(build(context, &d, perceptron(context), &shape, &models[1]));
  helper_perturb(models[0], &random, 0.5f);
  int64_t count = 0;
  float *parameters = helper_parameters(models[0], &count);
  memcpy(glow_model_parameters_mutable(models[1]), parameters, (size_t)count * sizeof *parameters);
  glow_tensor_info info = GLOW_TENSOR_INFO_INIT;
  OK(glow_model_find_tensor(models[0], "layer.net.fc1.weight", &info));
  assert_int_equal(info.elements, HIDDEN * 2);
  memcpy(weight, parameters + info.offset, sizeof weight);
  for (int i = 0; i < HIDDEN; i++)
    swapped[2 * i] = weight[2 * i + 1], swapped[2 * i + 1] = weight[2 * i];
  OK(glow_model_set_tensor(models[1], "layer.net.fc1.weight", swapped, HIDDEN * 2));
  OK(glow_model_prepare(models[1]));
  OK(glow_model_set_initialised(models[1]));
  for (int i = 0; i < 2; i++) {
    glow_workspace *ws = helper_workspace(models[i], 1, GLOW_MODE_INFERENCE);
    glow_forward_options f = GLOW_FORWARD_OPTIONS_INIT;
    f.latents = y[i];
    OK(glow_workspace_forward(ws, x, 1, &f));
    glow_workspace_destroy(&ws);
    glow_model_destroy(&models[i]);
  }
  assert_true(y[0][1] != x[1]);
  assert_true(helper_relative(y[0], y[1], 3) <
              1e-6); /* two roundings of 6e-8, stretched a little */
  free(parameters);
  glow_context_destroy(&context);
}

/* ---- refusals -------------------------------------------------------------------------------- */

static void refuse(glow_context *context, const glow_coupling_options *o, glow_net *net,
                   int64_t channels, const char *words) {
  const glow_shape shape = image(channels);
  glow_model *model = NULL;
  REFUSED(build(context, o, net, &shape, &model), GLOW_E_SHAPE, words);
  assert_null(model);
}

static void test_refusals(void **state) {
  helper_memory memory = {0};
  glow_context *context = helper_context(1, NULL, &memory);
  int64_t live = memory.live;
  static const int32_t some[] = {0, 3}, twice[] = {1, 0, 1}, all[] = {2, 0, 1};
  glow_coupling_options o = listing(some, 2, 0);
  (void)state;
  refuse(context, &o, perceptron(context), 3, "indices[1] is 3; the input has channels 0 to 2");
  o = listing(twice, 3, 0);
  refuse(context, &o, perceptron(context), 3,
         "indices has channel 1 twice; list each channel once");
  o = listing(all, 3, 0);
  refuse(context, &o, perceptron(context), 3, "all 3 channels are listed: none would change");
  o = listing(NULL, 0, 1);
  refuse(context, &o, perceptron(context), 3,
         "no channels are listed and invert is 1: none would change");
  o = (glow_coupling_options)GLOW_COUPLING_OPTIONS_INIT;
  refuse(context, &o, perceptron(context), 1,
         "a channel mask needs two channels or more; with one channel, use "
         "GLOW_MASK_INDICES and a net that reads a condition");
  assert_int_equal(memory.live, live);
  glow_context_destroy(&context);
}

/* No channel for the net, and no condition: each kind of net says so. */
static void test_nothing_to_read(void **state) {
  glow_context *context = helper_context(1, NULL, NULL);
  const char *words = "has nothing to read: its input has no channels, and there is no condition";
  glow_coupling_options none = listing(NULL, 0, 0);
  const glow_shape one = image(1);
  glow_net *conv = NULL, *res = NULL, *net = perceptron(context);
  glow_layer *spline = NULL;
  glow_model *model = NULL;
  (void)state;
  OK(glow_conv_net_create(context, NULL, &conv));
  OK(glow_res_net_create(context, NULL, &res));
  refuse(context, &none, perceptron(context), 3, words);
  refuse(context, &none, conv, 3, words);
  refuse(context, &none, res, 3, words);
  OK(glow_spline_coupling_create(context, NULL, &net, &spline));
  REFUSED(helper_wrap_layer(context, spline, true, &one, &model), GLOW_E_SHAPE, words);
  assert_null(model);
  glow_context_destroy(&context);
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(test_what_stays),      cmocka_unit_test(test_same_as_the_channel_mask),
      cmocka_unit_test(test_order),           cmocka_unit_test(test_refusals),
      cmocka_unit_test(test_nothing_to_read),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
