/* What networks with products of bfloat16 see (layers/rounded.h), and what it is for: through many
 * couplings, under each mask, x -> z -> x is as exact as in float32. SPDX-License-Identifier: MIT
 * */
#include <math.h>

#include "../support/model_helpers.h"
#include "layers/rounded.h"

/* ---- values ---------------------------------------------------------------------------------- */

/* The distance that settled values keep from a middle, less what it is rounded by itself. */
static float margin(float v) {
  return 0.93f * 0x1p-18f * fmaxf(1.0f, fabsf(v));
}

static bool is_bfloat16(float v) {
  uint32_t bits;
  memcpy(&bits, &v, sizeof bits);
  return (bits & 0xffffu) == 0;
}

static void check_value(float v) {
  float seen = glow__rounded(v), settled = glow__settled(v);
  assert_true(is_bfloat16(seen));
  assert_true(fabsf(v) >= 1.0f || fmodf(seen, 0x1p-7f) == 0.0f); /* the step below 1 is that of 1 */
  assert_true(fabsf(seen - v) <= fmaxf(0x1p-8f, 0x1p-8f * fabsf(v)));
  assert_true(fabsf(settled - v) <= 1.07f * 0x1p-18f * fmaxf(1.0f, fabsf(v)));
  assert_true(glow__rounded(settled) == seen);
  assert_true(glow__settled(settled) == settled);
  /* what is off by less than the margin is seen alike */
  if (glow__rounded(settled + margin(v)) != seen || glow__rounded(settled - margin(v)) != seen)
    fail_msg("%a is settled at %a, and seen as another beside it", (double)v, (double)settled);
}

/* Values of all sizes; and around each middle of two neighbours, where few random ones fall. */
static void test_values(void **state) {
  helper_random random = helper_random_of(1);
  (void)state;
  for (int i = 0; i < 200000; i++)
    check_value(ldexpf((float)helper_normal(&random), (int)(40 * helper_uniform(&random)) - 20));
  for (float step = 0x1p-9f; step < 1; step *= 2)
    for (int k = -128; k < 128; k++)
      for (int j = -40; j <= 40; j++)
        check_value((float)(k + 0.5) * step + (float)j * 0x1p-21f);
}

static void test_others(void **state) {
  static const float others[] = {0.0f, -0.0f, INFINITY, -INFINITY, 0x1p101f, -0x1p127f};
  (void)state;
  for (size_t i = 0; i < sizeof others / sizeof *others; i++) {
    assert_true(glow__settled(others[i]) == others[i]);
    assert_true(glow__rounded(others[i]) == others[i]);
  }
  assert_true(isnan(glow__settled(NAN)) && isnan(glow__rounded(NAN)));
}

/* ---- flows ----------------------------------------------------------------------------------- */

enum { COUNT = 3, SIDE = 10, CHANNELS = 4, DIMS = SIDE * SIDE * CHANNELS, STEPS = 24 };
enum { WAYS = 4 };

static glow_coupling_options coupling_of(int way) {
  static const int32_t listed[] = {3, 0};
  glow_coupling_options o = GLOW_COUPLING_OPTIONS_INIT;
  o.mask = way == 0 ? GLOW_MASK_INDICES : way == 1 ? GLOW_MASK_CHECKERBOARD : GLOW_MASK_CHANNELS;
  o.indices = way == 0 ? listed : NULL;
  o.index_count = way == 0 ? 2 : 0;
  o.invert = way == 3;
  return o;
}

static void add_step(glow_context *context, glow_builder *builder, int step, int way) {
  glow_coupling_options coupling = coupling_of(way);
  glow_invconv_options mixing = GLOW_INVCONV_OPTIONS_INIT;
  glow_conv_net_options net_options = GLOW_CONV_NET_OPTIONS_INIT;
  glow_layer *mixes = NULL, *couples = NULL;
  glow_net *net = NULL;
  char name[16];
  mixing.seed = net_options.seed = (uint64_t)step;
  net_options.hidden = 24;
  if (way == 1) /* a checkerboard changes the other pixels in turn */
    coupling.invert = step % 2;
  OK(glow_invconv_create(context, &mixing, &mixes));
  snprintf(name, sizeof name, "mix%d", step);
  OK(glow_builder_add(builder, name, &mixes));
  OK(glow_conv_net_create(context, &net_options, &net));
  OK(glow_coupling_create(context, &coupling, &net, &couples));
  snprintf(name, sizeof name, "couple%d", step);
  OK(glow_builder_add(builder, name, &couples));
}

static glow_model *flow(int32_t product, const char *kernels, int way, glow_context **context) {
  const glow_shape shape = {SIDE, SIDE, CHANNELS};
  glow_context_options o = GLOW_CONTEXT_OPTIONS_INIT;
  glow_builder_options bo = GLOW_BUILDER_OPTIONS_INIT;
  glow_prior_options po = GLOW_PRIOR_OPTIONS_INIT;
  helper_random random = helper_random_of(2);
  glow_builder *builder = NULL;
  glow_model *model = NULL;
  glow_layer *prior = NULL;
  o.products = product;
  o.kernels = kernels;
  bo.bits = 0;
  OK(glow_context_create(&o, context));
  OK(glow_builder_create(*context, &shape, &bo, &builder));
  for (int step = 0; step < STEPS; step++)
    add_step(*context, builder, step, way);
  OK(glow_prior_create(*context, &po, &prior));
  OK(glow_builder_add(builder, "prior", &prior));
  OK(glow_builder_finish(&builder, &model));
  helper_perturb(model, &random, 0.03f);
  return model;
}

/* The largest error of x -> z -> x. */
static double round_trip(const glow_model *model, const float *x) {
  glow_workspace *ws = helper_workspace(model, COUNT, GLOW_MODE_INFERENCE);
  float *z = helper_allocate(sizeof(float) * COUNT * DIMS);
  float *back = helper_allocate(sizeof(float) * COUNT * DIMS);
  double off = 0;
  OK(helper_forward(ws, x, NULL, COUNT, GLOW_LATENTS_RAW, z, NULL, NULL));
  OK(helper_inverse(ws, z, GLOW_LATENTS_RAW, NULL, COUNT, back, NULL));
  for (int64_t i = 0; i < COUNT * DIMS; i++) {
    double error = fabs((double)back[i] - x[i]);
    off = error > off ? error : off;
  }
  free(z);
  free(back);
  glow_workspace_destroy(&ws);
  return off;
}

/* Of the model, and of its inference form, by these products. */
static void round_trips(int32_t product, const char *kernels, int way, const float *x,
                        double *off) {
  glow_context *context = NULL;
  glow_model *model = flow(product, kernels, way, &context), *form = NULL;
  off[0] = round_trip(model, x);
  OK(glow_model_inference_form(model, &form));
  off[1] = round_trip(form, x);
  glow_model_destroy(&form);
  glow_model_destroy(&model);
  glow_context_destroy(&context);
}

/* A value that is seen as its neighbour changes what a network adds by 1e-4 to 1e-3, and then
 * others follow. Moving values off the middles adds 2^-18 at places, and more where values are
 * larger than 1; float32 is off by about 2e-6 here. */
static void test_there_and_back(void **state) {
  helper_random random = helper_random_of(3);
  float *x = helper_new_normals(&random, 0.7f, COUNT * DIMS);
  double plain[2], rounded[2];
  (void)state;
  for (int way = 0; way < WAYS; way++) {
    round_trips(GLOW_PRODUCTS_FLOAT32, NULL, way, x, plain);
    for (uint32_t k = 0; glow_kernels_name(k); k++) {
      round_trips(GLOW_PRODUCTS_BFLOAT16, glow_kernels_name(k), way, x, rounded);
      print_message("mask %d, %s: %.2g in float32, %.2g in bfloat16; inference form %.2g, %.2g\n",
                    way, glow_kernels_name(k), plain[0], rounded[0], plain[1], rounded[1]);
      for (int form = 0; form < 2; form++)
        assert_true(rounded[form] < plain[form] + 0x1p-15);
    }
  }
  free(x);
}

/* Training that reconstructs, too, sees no drift beyond that of float32. */
static void test_drift(void **state) {
  helper_random random = helper_random_of(4);
  float *x = helper_new_normals(&random, 0.7f, COUNT * DIMS);
  const double weight[COUNT] = {1, 1, 1};
  (void)state;
  for (int way = 0; way < WAYS; way++) {
    glow_context *context = NULL;
    glow_model *model = flow(GLOW_PRODUCTS_BFLOAT16, NULL, way, &context);
    glow_workspace *ws = helper_workspace(model, COUNT, GLOW_MODE_RECONSTRUCTED);
    glow_backward_options o = GLOW_BACKWARD_OPTIONS_INIT;
    glow_workspace_info info = GLOW_WORKSPACE_INFO_INIT;
    o.weight = weight;
    OK(helper_forward(ws, x, NULL, COUNT, GLOW_LATENTS_RAW, NULL, NULL, NULL));
    OK(glow_workspace_backward(ws, &o));
    OK(glow_workspace_get_info(ws, &info));
    print_message("mask %d: drift %.2g\n", way, info.drift);
    assert_true(info.drift > 0 && info.drift < 1e-4);
    assert_int_equal(info.recomputes, 0);
    glow_workspace_destroy(&ws);
    glow_model_destroy(&model);
    glow_context_destroy(&context);
  }
  free(x);
}

int main(void) {
  const struct CMUnitTest tests[] = {cmocka_unit_test(test_values), cmocka_unit_test(test_others),
                                     cmocka_unit_test(test_there_and_back),
                                     cmocka_unit_test(test_drift)};
  return cmocka_run_group_tests(tests, NULL, NULL);
}
