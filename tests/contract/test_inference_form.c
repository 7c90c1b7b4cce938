/* glow_model_inference_form: an inference form gives what the model gives, both ways, with every
 * kernel provider, in float32 and bfloat16; it is a model of its own and smaller; what it cannot do
 * is refused; layers and nets of others have their part in it. SPDX-License-Identifier: MIT */
#include <math.h>
#include <stddef.h>

#include <glow/sys/check.h>

#include "../support/model_helpers.h"

enum { COUNT = 5 };

/* ---- the same results ------------------------------------------------------------------------ */

typedef struct results {
  float *z, *back;
  double logdet[COUNT], log_prob[COUNT], back_logdet[COUNT];
} results;

static results results_of(const glow_model *model) {
  size_t bytes = COUNT * (size_t)glow_model_dims(model) * sizeof(float);
  return (results){.z = helper_allocate(bytes), .back = helper_allocate(bytes)};
}

static void results_free(results *r) {
  free(r->z);
  free(r->back);
}

static const int32_t labels[COUNT] = {0, 1, 2, 1, 0};

/* z: latents to go back from; NULL: those of x. */
static void run(const glow_model *model, const float *x, const float *z, results *r) {
  glow_workspace *ws = helper_workspace(model, COUNT, GLOW_MODE_INFERENCE);
  const int32_t *known = glow_model_class_count(model) ? labels : NULL;
  static const float context[COUNT * 8] = {0.5f, -1, 2, 0.25f};
  int64_t size = glow_model_condition_size(model);
  if (size)
    OK(glow_workspace_set_condition(ws, context, COUNT, size));
  OK(helper_forward(ws, x, known, COUNT, GLOW_LATENTS_RAW, r->z, r->logdet, r->log_prob));
  OK(helper_inverse(ws, z ? z : r->z, GLOW_LATENTS_RAW, known, COUNT, r->back, r->back_logdet));
  glow_workspace_destroy(&ws);
}

/* Every number on its way through a layer is rounded a few times in either form, and in another
 * order where two became one: some 1e-7 of what is there, which layers multiply by what they
 * stretch. 1e-5 is twenty times what is seen; a bias left out is 1e-2. With products of bfloat16
 * what differs by 1e-7 is now and then rounded to the other side, 2^-8 away, which is seen to cost
 * up to 3e-5 of all; float32 in the place of bfloat16 would be 5e-4. */
static const double worst_float32 = 1e-5, worst_bfloat16 = 2e-4;

static double worst_of(const glow_context *context) {
  return glow_context_products(context) == GLOW_PRODUCTS_BFLOAT16 ? worst_bfloat16 : worst_float32;
}

static void check_doubles(const char *name, const char *what, const double *a, const double *b,
                          double worst) {
  for (int i = 0; i < COUNT; i++)
    if (!(fabs(a[i] - b[i]) <= (1 + fabs(b[i])) * worst))
      fail_msg("%s, %s of sample %d: %.9g in the inference form, %.9g else", name, what, i, a[i],
               b[i]);
}

static void check_floats(const char *name, const char *what, const float *a, const float *b,
                         int64_t count, double worst) {
  double apart = helper_relative(a, b, count);
  if (!(apart <= worst))
    fail_msg("%s, %s: %g apart", name, what, apart);
}

/* As exact there and back as the model: a network is the same both ways. Errors are random, and
 * those of most samples alike within a factor of 3; a model whose way back is exact gets a few
 * roundings, 2^-24 each, where layers are folded. */
static void check_round_trip(const char *name, const glow_model *model, const glow_model *small,
                             const float *x, results *plain, results *form) {
  int64_t dims = glow_model_dims(model);
  run(model, x, NULL, plain);
  run(small, x, NULL, form);
  double before = helper_typical(plain->back, x, COUNT, dims);
  double after = helper_typical(form->back, x, COUNT, dims);
  if (!(after <= 3 * before + 1e-6))
    fail_msg("%s, round trip: %g off in the inference form, %g else", name, after, before);
}

static void check_same(const char *name, const glow_context *context, const glow_model *model) {
  const double worst = worst_of(context);
  helper_random random = helper_random_of(7);
  int64_t numbers = COUNT * glow_model_dims(model);
  float *x = helper_new_normals(&random, 0.2f, numbers);
  results plain = results_of(model), form = results_of(model);
  glow_model *small = NULL;
  OK(glow_model_inference_form(model, &small));
  assert_true(glow_model_is_inference_form(small));
  assert_false(glow_model_is_inference_form(model));
  assert_true(glow_model_initialised(small));
  assert_int_equal(glow_model_bits(small), glow_model_bits(model));
  assert_int_equal(glow_model_latent_block_count(small), glow_model_latent_block_count(model));
  run(model, x, NULL, &plain);
  run(small, x, plain.z, &form);
  check_floats(name, "latents", form.z, plain.z, numbers, worst);
  check_floats(name, "inverse", form.back, plain.back, numbers, worst);
  check_doubles(name, "log-det", form.logdet, plain.logdet, worst);
  check_doubles(name, "log-probability", form.log_prob, plain.log_prob, worst);
  check_doubles(name, "log-det of the inverse", form.back_logdet, plain.back_logdet, worst);
  check_round_trip(name, model, small, x, &plain, &form);
  glow_model_destroy(&small);
  results_free(&plain);
  results_free(&form);
  free(x);
}

static void check_table(const helper_layer *layers, int32_t count) {
  const glow_shape shape = {4, 6, 4};
  for (int32_t i = 0; i < count; i++) {
    if (!helper_layer_fits(&layers[i], &shape))
      continue;
    glow_context *context = helper_context(2, NULL, NULL);
    helper_random random = helper_random_of((uint64_t)i);
    glow_model *model = NULL;
    OK(helper_create_model(context, &layers[i], &shape, 12, &model));
    helper_perturb(model, &random, 0.1f);
    check_same(layers[i].name, context, model);
    glow_model_destroy(&model);
    glow_context_destroy(&context);
  }
}

static void test_layers(void **state) {
  (void)state;
  check_table(helper_layers, helper_layer_count);
  check_table(helper_couplings, helper_coupling_count);
  check_table(helper_res_nets, helper_res_net_count);
}

/* ---- whole models ---------------------------------------------------------------------------- */

static glow_glow_options glow_of(int variant) {
  glow_glow_options o = helper_small_glow();
  o.hidden = 37; /* beyond a panel of every provider */
  o.coupling = variant == 2 ? GLOW_COUPLING_ADDITIVE : GLOW_COUPLING_AFFINE;
  o.permutation = variant == 1   ? GLOW_PERMUTATION_INVCONV
                  : variant == 3 ? GLOW_PERMUTATION_SHUFFLE
                                 : GLOW_PERMUTATION_INVCONV_LU;
  o.border = variant == 4;
  o.classes = variant == 5 ? 3 : 0;
  return o;
}

static void test_glows(void **state) {
  (void)state;
  const char *name;
  for (uint32_t k = 0; (name = glow_kernels_name(k)) != NULL; k++)
    for (int32_t products = GLOW_PRODUCTS_FLOAT32; products <= GLOW_PRODUCTS_BFLOAT16; products++)
      for (int variant = 0; variant < 6; variant++) {
        glow_context_options co = GLOW_CONTEXT_OPTIONS_INIT;
        glow_context *context = NULL;
        co.threads = 2;
        co.kernels = name;
        co.products = products;
        OK(glow_context_create(&co, &context));
        glow_glow_options o = glow_of(variant);
        glow_model *model = helper_glow(context, &o, (uint64_t)variant);
        check_same(name, context, model);
        glow_model_destroy(&model);
        glow_context_destroy(&context);
      }
}

static void test_presets(void **state) {
  (void)state;
  glow_context *context = helper_context(2, NULL, NULL);
  helper_random random = helper_random_of(9);
  glow_realnvp_options realnvp = GLOW_REALNVP_OPTIONS_INIT;
  glow_nice_options nice = GLOW_NICE_OPTIONS_INIT;
  glow_vector_flow_options flow = GLOW_VECTOR_FLOW_OPTIONS_INIT;
  glow_model *models[3] = {NULL};
  realnvp.input = (glow_shape){8, 8, 2};
  realnvp.hidden = 6;
  realnvp.blocks = 1;
  nice.input = (glow_shape){1, 1, 6};
  nice.hidden = 9;
  OK(glow_model_create_realnvp(context, &realnvp, &models[0]));
  OK(glow_model_create_nice(context, &nice, &models[1]));
  OK(glow_model_create_vector_flow(context, &flow, &models[2]));
  for (int i = 0; i < 3; i++) {
    helper_perturb(models[i], &random, 0.05f);
    check_same("preset", context, models[i]);
    glow_model_destroy(&models[i]);
  }
  glow_context_destroy(&context);
}

/* ---- the same bits --------------------------------------------------------------------------- */

/* An inference form keeps the promises of the kernels: any number of threads, any batch. */
static void test_bits(void **state) {
  (void)state;
  glow_glow_options o = glow_of(0);
  results first = {.z = NULL};
  for (uint32_t threads = 1; threads <= 3; threads++) {
    glow_context *context = helper_context(threads, NULL, NULL);
    glow_model *model = helper_glow(context, &o, 3), *small = NULL;
    int64_t dims = glow_model_dims(model), numbers = COUNT * dims;
    helper_random random = helper_random_of(4);
    float *x = helper_new_normals(&random, 0.2f, numbers);
    double alone = 0;
    results r = results_of(model);
    OK(glow_model_inference_form(model, &small));
    glow_model_destroy(&model); /* the form has what it needs */
    run(small, x, NULL, &r);
    if (threads == 1)
      first = r;
    assert_true(helper_same_bits(r.z, first.z, numbers, sizeof *r.z));
    assert_true(helper_same_bits(r.back, first.back, numbers, sizeof *r.back));
    assert_true(helper_same_bits(r.log_prob, first.log_prob, COUNT, sizeof *r.log_prob));
    glow_workspace *ws = helper_workspace(small, 1, GLOW_MODE_INFERENCE);
    for (int i = 0; i < COUNT; i++) {
      OK(glow_workspace_log_prob(ws, x + i * dims, NULL, 1, &alone));
      assert_true(helper_same_bits(&alone, &first.log_prob[i], 1, sizeof alone));
    }
    glow_workspace_destroy(&ws);
    glow_model_destroy(&small);
    glow_context_destroy(&context);
    free(x);
    if (threads > 1)
      results_free(&r);
  }
  results_free(&first);
}

/* ---- what it is ------------------------------------------------------------------------------ */

/* Where products are in bfloat16, weights are kept so: half the bytes to read for a single
 * image. */
static void test_bytes(void **state) {
  int64_t bytes[2];
  (void)state;
  for (int i = 0; i < 2; i++) {
    helper_memory memory = {0};
    glow_allocator allocator = helper_allocator(&memory);
    glow_context_options c = GLOW_CONTEXT_OPTIONS_INIT;
    glow_context *context = NULL;
    glow_glow_options o = helper_small_glow();
    glow_model *form = NULL;
    o.hidden = 256;
    c.allocator = &allocator;
    c.products = i ? GLOW_PRODUCTS_BFLOAT16 : GLOW_PRODUCTS_FLOAT32;
    OK(glow_context_create(&c, &context));
    glow_model *model = helper_glow(context, &o, 1);
    int64_t before = memory.bytes;
    OK(glow_model_inference_form(model, &form));
    bytes[i] = memory.bytes - before;
    glow_model_destroy(&form);
    glow_model_destroy(&model);
    glow_context_destroy(&context);
  }
  assert_true(bytes[1] < bytes[0] * 55 / 100); /* all else, in float32, is 3 % here */
}

static void test_form(void **state) {
  (void)state;
  helper_memory memory = {0};
  glow_context *context = helper_context(1, NULL, &memory);
  glow_glow_options o = helper_small_glow();
  o.hidden = 64;
  glow_model *model = helper_glow(context, &o, 1), *small = NULL;
  int64_t before = memory.bytes;
  OK(glow_model_inference_form(model, &small));
  /* actnorm and 1x1 convolution of each of the four steps became one */
  assert_int_equal(glow_model_layer_count(small), glow_model_layer_count(model) - 4);
  assert_string_equal(glow_model_layer_type(small, 1), "affine");
  assert_string_equal(glow_model_layer_name(small, 1), glow_model_layer_name(model, 1));
  assert_true(glow_model_parameter_count(small) < glow_model_parameter_count(model) / 8);
  assert_true(memory.bytes - before < 2 * before); /* panels are padded */
  int64_t calls = memory.calls;
  results r = results_of(model);
  helper_random random = helper_random_of(4);
  float *x = helper_new_normals(&random, 0.2f, COUNT * glow_model_dims(model));
  glow_workspace *ws = helper_workspace(small, COUNT, GLOW_MODE_INFERENCE);
  assert_int_equal(memory.calls, calls + 1);
  OK(glow_workspace_log_prob(ws, x, NULL, COUNT, r.log_prob));
  assert_int_equal(memory.calls, calls + 1); /* a pass allocates nothing */
  glow_workspace_destroy(&ws);
  glow_model_destroy(&small);
  glow_model_destroy(&model);
  glow_context_destroy(&context);
  assert_int_equal(memory.live, 0);
  results_free(&r);
  free(x);
}

static void test_refusals(void **state) {
  (void)state;
  glow_context *context = helper_context(1, NULL, NULL);
  glow_model *model = helper_glow(context, NULL, 1), *small = NULL, *again = NULL;
  glow_workspace_options wo = GLOW_WORKSPACE_OPTIONS_INIT;
  glow_workspace *ws = NULL;
  float x[8 * 8 * 2] = {0};
  uint64_t bytes = 0;
  REFUSED(glow_model_inference_form(NULL, &small), GLOW_E_ARGUMENT, "NULL");
  REFUSED(glow_model_inference_form(model, NULL), GLOW_E_ARGUMENT, "NULL");
  glow_model_parameters_mutable(model);
  REFUSED(glow_model_inference_form(model, &small), GLOW_E_STATE, "glow_model_prepare");
  assert_null(small);
  OK(glow_model_prepare(model));
  OK(glow_model_inference_form(model, &small));
  REFUSED(glow_model_inference_form(small, &again), GLOW_E_STATE, "an inference form already");
  for (wo.mode = GLOW_MODE_STORED; wo.mode <= GLOW_MODE_BUDGET; wo.mode++) {
    wo.memory_budget = wo.mode == GLOW_MODE_BUDGET ? 1 << 20 : 0;
    REFUSED(glow_workspace_create(small, &wo, &ws), GLOW_E_STATE, "inputs_only");
    REFUSED(glow_workspace_plan_bytes(small, &wo, &bytes), GLOW_E_STATE, "inputs_only");
  }
  if (helper_has_files())
    REFUSED(glow_model_save(small, "/nonexistent/form"), GLOW_E_UNSUPPORTED, "inference form");
  ws = helper_workspace(small, 1, GLOW_MODE_INFERENCE);
  REFUSED(glow_workspace_initialise(ws, small, x, NULL, 1), GLOW_E_STATE, "inference form");
  glow_workspace_destroy(&ws);
  assert_false(glow_model_is_inference_form(NULL));
  glow_model_destroy(&small);
  glow_model_destroy(&model);
  glow_context_destroy(&context);
}

static void test_not_initialised(void **state) {
  (void)state;
  glow_context *context = helper_context(1, NULL, NULL);
  glow_glow_options o = helper_small_glow();
  glow_model *model = NULL, *small = NULL;
  OK(glow_model_create_glow(context, &o, &model));
  REFUSED(glow_model_inference_form(model, &small), GLOW_E_STATE, "not initialised");
  glow_model_destroy(&model);
  glow_context_destroy(&context);
}

/* At every allocation that may fail, nothing is left behind and the model is as it was. */
static void test_allocations(void **state) {
  (void)state;
  helper_memory memory = {0};
  glow_context *context = helper_context(1, NULL, &memory);
  glow_model *model = helper_glow(context, NULL, 1), *small = NULL;
  int64_t live = memory.live;
  glow_status status = GLOW_E_MEMORY;
  for (int64_t n = 1; status != GLOW_OK; n++) {
    assert_true(n < 10000);
    memory.fail_at = memory.calls + n;
    status = glow_model_inference_form(model, &small);
    if (status != GLOW_OK) {
      assert_int_equal(status, GLOW_E_MEMORY);
      assert_null(small);
      assert_int_equal(memory.live, live);
    }
  }
  memory.fail_at = memory.calls + 1; /* of two causes, the one that came first is told */
  if (helper_has_files())
    REFUSED(glow_model_save(small, "/nonexistent/form"), GLOW_E_MEMORY, "");
  memory.fail_at = 0;
  glow_model_destroy(&small);
  glow_model_destroy(&model);
  glow_context_destroy(&context);
  assert_int_equal(memory.live, 0);
}

/* ---- layers of others ------------------------------------------------------------------------ */

/* y = a x in every channel, a = 2; with `linear`, or `inference_form`, or neither and no way to be
 * saved. */
typedef struct gain {
  float a;
  int64_t channels, image;
  float lie; /* what `linear` and `inference_form` give is so many times a */
} gain;

static int32_t times_asked;

static glow_status gain_configure(void *self, glow_setup *setup, const glow_shape *input,
                                  glow_shape *output) {
  gain *g = self;
  (void)setup;
  g->channels = input->channels;
  g->image = input->height * input->width;
  *output = *input;
  return GLOW_OK;
}

static void gain_scale(const gain *g, const glow_call *call, float a, const float *from, float *to,
                       double *logdet) {
  int64_t size = g->channels * g->image, samples = glow_call_sample_count(call);
  for (int64_t i = 0; i < samples * size; i++)
    to[i] = a * from[i];
  for (int64_t n = 0; n < samples; n++)
    logdet[n] += (double)size * log((double)a);
}

static void gain_forward(const void *self, const glow_call *call, const float *x, float *y,
                         double *logdet, double *logprior) {
  (void)logprior;
  gain_scale(self, call, ((const gain *)self)->a, x, y, logdet);
}

static glow_status gain_inverse(const void *self, const glow_call *call, const float *y, float *x,
                                double *logdet, double *logprior) {
  (void)logprior;
  gain_scale(self, call, 1 / ((const gain *)self)->a, y, x, logdet);
  return GLOW_OK;
}

static void gain_backward(const void *self, const glow_call *call, const glow_layer_gradient *g) {
  const gain *layer = self;
  for (int64_t i = 0; i < glow_call_sample_count(call) * layer->channels * layer->image; i++)
    g->dx[i] = layer->a * g->dy[i];
}

static glow_status gain_linear(const void *self, const glow_call *call, double *w, double *b) {
  const gain *g = self;
  (void)call;
  for (int64_t c = 0; c < g->channels; c++) {
    assert_true(w[c * g->channels + c] == 0 && b[c] == 0);
    w[c * g->channels + c] = (double)g->a * (double)g->lie;
  }
  times_asked++;
  return GLOW_OK;
}

static glow_status gain_inference_form(const void *self, const glow_call *call, glow_layer **out);

enum { WITH_LINEAR, WITH_FORM, WITH_NEITHER };

static glow_layer *gain_create(glow_context *context, int kind, uint32_t flags, float a,
                               float lie) {
  glow_layer_ops ops = {.struct_size = sizeof ops,
                        .type = "gain",
                        .flags = flags,
                        .configure = gain_configure,
                        .forward = gain_forward,
                        .inverse = gain_inverse,
                        .backward = flags & GLOW_LAYER_INFERENCE_ONLY ? NULL : gain_backward,
                        .self_size = sizeof(gain),
                        .linear = kind == WITH_LINEAR ? gain_linear : NULL,
                        .inference_form = kind == WITH_FORM ? gain_inference_form : NULL};
  glow_layer *layer = NULL;
  OK(glow_layer_create(context, &ops, NULL, NULL, &layer));
  gain *g = glow_layer_self(layer);
  g->a = a;
  g->lie = lie;
  return layer;
}

static glow_status gain_inference_form(const void *self, const glow_call *call, glow_layer **out) {
  const gain *g = self;
  times_asked++;
  *out = gain_create(glow_call_context(call), WITH_NEITHER, GLOW_LAYER_INFERENCE_ONLY,
                     g->a * g->lie, 1);
  return GLOW_OK;
}

/* The gain, an actnorm and a prior. */
static glow_model *gain_model(glow_context *context, int kind, uint32_t flags) {
  const glow_shape shape = {2, 2, 4};
  glow_builder *builder = NULL;
  glow_layer *layer = gain_create(context, kind, flags, 2, 1);
  glow_model *model = NULL;
  OK(glow_builder_create(context, &shape, NULL, &builder));
  OK(glow_builder_add(builder, "gain", &layer));
  OK(glow_actnorm_create(context, NULL, &layer));
  OK(glow_builder_add(builder, "actnorm", &layer));
  OK(glow_prior_create(context, NULL, &layer));
  OK(glow_builder_add(builder, "prior", &layer));
  OK(glow_builder_finish(&builder, &model));
  OK(glow_model_set_initialised(model));
  return model;
}

static void test_custom_layers(void **state) {
  (void)state;
  glow_context *context = helper_context(2, NULL, NULL);
  glow_workspace_options wo = GLOW_WORKSPACE_OPTIONS_INIT;
  glow_workspace *ws = NULL;
  glow_model *small = NULL, *model;
  for (int kind = WITH_LINEAR; kind <= WITH_FORM; kind++) {
    model = gain_model(context, kind, 0);
    times_asked = 0;
    check_same(kind == WITH_LINEAR ? "linear" : "inference form", context, model);
    assert_int_equal(times_asked, 1);
    glow_model_destroy(&model);
  }
  model = gain_model(context, WITH_NEITHER, 0);
  REFUSED(glow_model_inference_form(model, &small), GLOW_E_UNSUPPORTED, "layer 'gain'");
  glow_model_destroy(&model);
  model = gain_model(context, WITH_NEITHER, GLOW_LAYER_INFERENCE_ONLY);
  wo.mode = GLOW_MODE_STORED;
  REFUSED(glow_workspace_create(model, &wo, &ws), GLOW_E_STATE, "has no backward");
  glow_model_destroy(&model);
  glow_context_destroy(&context);
}

static void test_kit(void **state) {
  (void)state;
  static const char *const words[] = {
      [WITH_LINEAR] =
          "inference form: as an inference form, the output of forward differs (W x + b of "
          "`linear`",
      [WITH_FORM] =
          "inference form: as an inference form, the output of forward differs (the layer "
          "of `inference_form`"};
  glow_context *context = helper_context(1, NULL, NULL);
  for (int kind = WITH_LINEAR; kind <= WITH_FORM; kind++) {
    glow_layer *layer = gain_create(context, kind, 0, 2, 1);
    OK(glow_layer_check(context, &layer, NULL));
    layer = gain_create(context, kind, 0, 2, 1.01f);
    REFUSED(glow_layer_check(context, &layer, NULL), GLOW_E_CHECK, words[kind]);
  }
  glow_layer *layer = gain_create(context, WITH_LINEAR, 0, 2, 3e38f);
  REFUSED(glow_layer_check(context, &layer, NULL), GLOW_E_CHECK,
          "inference form: layer 'layer': the 4 x 4 matrix or its inverse is not finite");
  layer = gain_create(context, WITH_NEITHER, GLOW_LAYER_INFERENCE_ONLY, 2, 1);
  REFUSED(glow_layer_check(context, &layer, NULL), GLOW_E_STATE, "has no backward");
  glow_context_destroy(&context);
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(test_layers),      cmocka_unit_test(test_glows),
      cmocka_unit_test(test_presets),     cmocka_unit_test(test_bits),
      cmocka_unit_test(test_bytes),       cmocka_unit_test(test_form),
      cmocka_unit_test(test_refusals),    cmocka_unit_test(test_not_initialised),
      cmocka_unit_test(test_allocations), cmocka_unit_test(test_custom_layers),
      cmocka_unit_test(test_kit)};
  return cmocka_run_group_tests_name("inference form", tests, NULL, NULL);
}
