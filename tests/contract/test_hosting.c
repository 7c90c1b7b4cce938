/* Two nets in one layer: each has tensors under its own prefix, its own derived values, its own
 * rounds of initialisation and its own options in a file, whatever the other and the layer have.
 * SPDX-License-Identifier: MIT */
#include "../support/temp_folder.h"
#include "pair.h"

#include <glow/sys/check.h>

#include "io/io.h"

enum {
  PIXELS = 6,
  CHANNELS = PAIR_CHANNELS,
  HALF = 1,
  REST = 2,
  DIMS = PIXELS * CHANNELS,
  COUNT = 7
};

static void get(const glow_model *model, const char *name, float *out, int64_t count) {
  OK(glow_model_get_tensor(model, name, out, count));
}

static void test_names(void **state) {
  static const char *const names[] = {"layer.gain",       "layer.scale.w", "layer.scale.bias",
                                      "layer.scale.logs", "layer.shift.w", "layer.shift.bias",
                                      "layer.shift.logs"};
  glow_context *context = pair_context(1);
  glow_model *model = pair_model(context);
  (void)state;
  for (int32_t i = 0; i < 7; i++) {
    glow_tensor_info info = GLOW_TENSOR_INFO_INIT;
    OK(glow_model_tensor(model, i, &info));
    assert_string_equal(info.name, names[i]);
  }
  glow_model_destroy(&model);
  glow_context_destroy(&context);
}

/* Rounds of the layer and of each net, in batches of 3: every part gets its own values. */
static void test_initialise(void **state) {
  glow_context *context = pair_context(2);
  glow_model *model = pair_model(context);
  glow_workspace *ws = helper_workspace(model, 3, GLOW_MODE_INFERENCE);
  helper_random random = helper_random_of(1);
  float *x = helper_new_normals(&random, 2.0f, COUNT * DIMS);
  double mean[CHANNELS] = {0}, square[CHANNELS] = {0};
  float gain[REST], bias[2], logs[2];
  (void)state;
  for (int64_t i = 0; i < COUNT * DIMS; i++) {
    x[i] += (float)(i % CHANNELS);
    mean[i % CHANNELS] += (double)x[i] / (COUNT * PIXELS);
    square[i % CHANNELS] += (double)x[i] * (double)x[i] / (COUNT * PIXELS);
  }
  assert_int_equal(glow_model_initialised(model), 0);
  OK(glow_workspace_initialise(ws, model, x, NULL, COUNT));
  get(model, "layer.gain", gain, REST);
  get(model, "layer.scale.bias", &bias[0], 1);
  get(model, "layer.shift.bias", &bias[1], 1);
  get(model, "layer.scale.logs", &logs[0], 1);
  get(model, "layer.shift.logs", &logs[1], 1);
  for (int c = 0; c < REST; c++) { /* float32 of what double gives */
    double deviation = sqrt(square[HALF + c] - mean[HALF + c] * mean[HALF + c]);
    assert_true(fabs((double)gain[c] + log(deviation)) < 1e-5);
  }
  for (int i = 0; i < 2; i++) {
    assert_true(fabs((double)bias[i] + mean[0]) < 1e-5);
    assert_true(fabs((double)logs[i] + 0.5 * log(square[0] - mean[0] * mean[0])) < 1e-5);
  }
  free(x);
  glow_workspace_destroy(&ws);
  glow_model_destroy(&model);
  glow_context_destroy(&context);
}

/* out[o] of one net at one pixel, from its tensors. */
static void reference_net(const glow_model *model, const char *net, double strength, double x,
                          double *out) {
  char name[60];
  float w[REST], bias, logs;
  snprintf(name, sizeof name, "layer.%s.w", net);
  get(model, name, w, REST);
  snprintf(name, sizeof name, "layer.%s.bias", net);
  get(model, name, &bias, 1);
  snprintf(name, sizeof name, "layer.%s.logs", net);
  get(model, name, &logs, 1);
  for (int o = 0; o < REST; o++)
    out[o] = (double)w[o] * tanh((x + (double)bias) * exp((double)logs) * strength);
}

/* Derived values are each part's own: results are those of the formulas. */
static void test_values(void **state) {
  glow_context *context = pair_context(1);
  glow_model *model = pair_model(context);
  helper_random random = helper_random_of(2);
  float *x = helper_new_normals(&random, 1.0f, COUNT * DIMS), z[COUNT * DIMS], gain[REST];
  double logdet[COUNT];
  (void)state;
  helper_perturb(model, &random, 0.3f);
  glow_workspace *ws = helper_workspace(model, COUNT, GLOW_MODE_INFERENCE);
  OK(helper_forward(ws, x, NULL, COUNT, GLOW_LATENTS_RAW, z, logdet, NULL));
  get(model, "layer.gain", gain, REST);
  for (int n = 0; n < COUNT; n++) {
    double sum = 0;
    for (int p = n * PIXELS; p < (n + 1) * PIXELS; p++) {
      double scale[REST], shift[REST];
      reference_net(model, "scale", 0.5, (double)x[p * CHANNELS], scale);
      reference_net(model, "shift", 1.5, (double)x[p * CHANNELS], shift);
      assert_true(z[p * CHANNELS] == x[p * CHANNELS]);
      for (int c = 0; c < REST; c++) {
        double v = (double)x[p * CHANNELS + HALF + c] * exp(tanh(scale[c])) + shift[c];
        double y = v * exp((double)gain[c]);
        sum += tanh(scale[c]) + (double)gain[c];
        assert_true(fabs((double)z[p * CHANNELS + HALF + c] - y) < 1e-5 * (1 + fabs(y)));
      }
    }
    assert_true(fabs(logdet[n] - sum) < 1e-5 * (1 + fabs(sum)));
  }
  free(x);
  glow_workspace_destroy(&ws);
  glow_model_destroy(&model);
  glow_context_destroy(&context);
}

/* The conformance kit: gradients of all parts, save and load, inference form, and the rest. */
static void test_kit(void **state) {
  glow_check_options o = GLOW_CHECK_OPTIONS_INIT;
  glow_context *context = pair_context(1);
  (void)state;
  o.shape = pair_shape;
  o.seed = helper_seed();
  for (int i = 0; i < 2; i++) {
    glow_layer *layer = pair_create(context);
    OK(glow_layer_check(context, &layer, &o));
    o.shape = (glow_shape){1, 1, 2};
  }
  glow_net *net = pair_net(context, 0.7, 2, 1);
  OK(glow_net_check(context, &net, NULL));
  glow_context_destroy(&context);
}

static void log_probs(const glow_model *model, const float *x, double *out) {
  glow_workspace *ws = helper_workspace(model, COUNT, GLOW_MODE_INFERENCE);
  OK(glow_workspace_log_prob(ws, x, NULL, COUNT, out));
  glow_workspace_destroy(&ws);
}

#ifdef GLOW_HAVE_FILES
static void test_files(void **state) {
  glow_context *context = pair_context(1), *other = helper_context(1, NULL, NULL);
  glow_model *model = pair_model(context), *loaded = NULL;
  helper_random random = helper_random_of(3);
  float *x = helper_new_normals(&random, 1.0f, COUNT * DIMS);
  double before[COUNT], after[COUNT];
  (void)state;
  assert_true(temp_folder_make(NULL));
  const char *path = temp_path("model");
  helper_perturb(model, &random, 0.3f);
  log_probs(model, x, before);
  OK(glow_model_save(model, path));
  REFUSED(glow_model_load(other, path, &loaded), GLOW_E_FORMAT, "'test.pair' is not registered");
  OK(glow_context_register_layer(other, &pair_ops));
  REFUSED(glow_model_load(other, path, &loaded), GLOW_E_FORMAT,
          "net type 'test.tanh' is not registered");
  OK(glow_context_register_net(other, &pair_net_ops));
  OK(glow_model_load(other, path, &loaded));
  log_probs(loaded, x, after);
  assert_memory_equal(after, before, sizeof before);
  assert_true(temp_folder_remove());
  free(x);
  glow_model_destroy(&loaded);
  glow_model_destroy(&model);
  glow_context_destroy(&other);
  glow_context_destroy(&context);
}

/* A model whose net is of no registered type cannot be saved, and says so. */
static void test_unregistered(void **state) {
  glow_context *context = helper_context(1, NULL, NULL);
  glow_model *model = pair_model(context);
  (void)state;
  REFUSED(glow_model_save(model, "/nonexistent/model"), GLOW_E_UNSUPPORTED,
          "layers of type 'test.pair' cannot be saved");
  OK(glow_context_register_layer(context, &pair_ops));
  REFUSED(glow_model_save(model, "/nonexistent/model"), GLOW_E_UNSUPPORTED,
          "nets of type 'test.tanh' cannot be saved, because no file could be loaded with them: "
          "register the type first (glow_context_register_net)");
  glow_model_destroy(&model);
  glow_context_destroy(&context);
}

static glow_status any_layer(const glow_model *model, void *arg) {
  (void)model;
  (void)arg;
  return GLOW_OK;
}

static glow_status read_pair(glow_context *context, const char *options) {
  char text[500];
  glow_builder *builder = NULL;
  bool initialised = false;
  snprintf(text, sizeof text,
           "{\"input\":[2,3,3],\"bits\":0,\"initialised\":true,\"layers\":"
           "[{\"name\":\"a\",\"type\":\"test.pair\",\"options\":{%s}}]}",
           options);
  glow_status status =
      glow__architecture_read(context, text, 1, any_layer, NULL, &builder, &initialised);
  glow_builder_destroy(&builder);
  return status;
}

/* Where a net's options are in a file; which type is meant where none is named. */
static void test_texts(void **state) {
  glow_context *context = pair_context(1);
  (void)state;
  OK(read_pair(context, "\"scale\":\"test.tanh\",\"scale.strength\":2.0,\"scale.rounds\":2,"
                        "\"shift\":\"test.tanh\",\"shift.strength\":3.0"));
  OK(read_pair(context, "\"scale\":\"test.tanh\""));
  REFUSED(read_pair(context, "\"shift\":\"test.tanh\""), GLOW_E_FORMAT,
          "layer 'a': option 'scale', the type of a net, is missing");
  REFUSED(read_pair(context, "\"scale\":\"test.tanh\",\"scale.rounds\":3"), GLOW_E_FORMAT,
          "option 'scale.rounds' is 3; it must be 1 to 2");
  REFUSED(read_pair(context, "\"scale\":\"test.tanh\",\"rounds\":1"), GLOW_E_FORMAT,
          "option 'rounds' is not known to layer type 'test.pair'");
  REFUSED(read_pair(context, "\"scale\":\"test.tanh\",\"shift\":\"other\""), GLOW_E_FORMAT,
          "net type 'other' is not registered");
  glow_context_destroy(&context);
}
#endif

/* One net has a form for inference, the other is made again: the same results, and no backward. */
static void test_inference_form(void **state) {
  glow_context *context = pair_context(1);
  glow_model *model = pair_model(context), *form = NULL;
  glow_workspace_options o = GLOW_WORKSPACE_OPTIONS_INIT;
  glow_workspace *ws = NULL;
  helper_random random = helper_random_of(4);
  float *x = helper_new_normals(&random, 1.0f, COUNT * DIMS);
  double before[COUNT], after[COUNT];
  (void)state;
  helper_perturb(model, &random, 0.3f);
  log_probs(model, x, before);
  pair_forms_made = 0;
  OK(glow_model_inference_form(model, &form));
  assert_int_equal(pair_forms_made, 1);
  log_probs(form, x, after);
  assert_memory_equal(after, before, sizeof before);
  o.mode = GLOW_MODE_STORED;
  REFUSED(glow_workspace_create(form, &o, &ws), GLOW_E_STATE, "");
  if (helper_has_files())
    REFUSED(glow_model_save(form, "/nonexistent/model"), GLOW_E_UNSUPPORTED, "inference");
  free(x);
  glow_model_destroy(&form);
  glow_model_destroy(&model);
  glow_context_destroy(&context);
}

static void test_training(void **state) {
  (void)state;
  float *first = NULL;
  int64_t count = 0;
  for (int way = 0; way < 4; way++) {
    glow_context *context = pair_context(way & 1 ? 4 : 1);
    glow_model *model = pair_model(context);
    glow_trainer_options o = GLOW_TRAINER_OPTIONS_INIT;
    glow_trainer *trainer = NULL;
    helper_random random = helper_random_of(5);
    float *x = helper_new_normals(&random, 1.0f, COUNT * DIMS);
    o.mode = way & 2 ? GLOW_MODE_RECONSTRUCTED : GLOW_MODE_STORED;
    OK(glow_trainer_create(model, &o, &trainer));
    OK(glow_trainer_initialise(trainer, x, NULL, COUNT));
    for (int step = 0; step < 5; step++)
      OK(glow_trainer_step(trainer, x, NULL, COUNT, NULL));
    float *parameters = helper_parameters(model, &count);
    if (!first)
      first = parameters;
    /* threads: the same bits; reconstruction: float32 rounding of x, five steps long */
    if (way & 2)
      assert_true(helper_relative(parameters, first, count) < 1e-4);
    else
      assert_memory_equal(parameters, first, (size_t)count * sizeof *first);
    if (parameters != first)
      free(parameters);
    free(x);
    glow_trainer_destroy(&trainer);
    glow_model_destroy(&model);
    glow_context_destroy(&context);
  }
  free(first);
}

/* ---- what configure can get wrong ------------------------------------------------------------ */

/* What configure does wrong. */
enum { GIVEN, NOT_CONFIGURED, TWICE, OUT_OF_RANGE, NO_SETUP };

typedef struct wrong_layer {
  int32_t wrong;
} wrong_layer;

static glow_status wrong_configure(void *self, glow_setup *setup, const glow_shape *in,
                                   glow_shape *out) {
  const wrong_layer *w = self;
  *out = *in;
  assert_int_equal(glow_setup_net_rounds(setup, 2), 0); /* there is none */
  if (w->wrong != NOT_CONFIGURED)
    GLOW_TRY(glow_setup_net(setup, PAIR_SCALE, in, 1));
  if (w->wrong == TWICE)
    GLOW_TRY(glow_setup_net(setup, PAIR_SCALE, in, 1));
  if (w->wrong == OUT_OF_RANGE)
    GLOW_TRY(glow_setup_net(setup, 2, in, 1));
  if (w->wrong == NO_SETUP)
    GLOW_TRY(glow_setup_net(setup, PAIR_SHIFT, NULL, 1));
  return glow_setup_net(setup, PAIR_SHIFT, in, 1);
}

static void test_bad_configure(void **state) {
  static const char *const words[] = {
      [NOT_CONFIGURED] = "net 'scale' was not configured (glow_setup_net)",
      [TWICE] = "glow_setup_net: net 0 is configured already",
      [OUT_OF_RANGE] = "glow_setup_net: net 2; the layer's table names 2",
      [NO_SETUP] = "glow_setup_net: NULL argument"};
  helper_memory memory = {0};
  glow_context *context = helper_context(1, NULL, &memory);
  int64_t live = memory.live;
  (void)state;
  for (int32_t wrong = GIVEN; wrong <= NO_SETUP; wrong++) {
    glow_layer_ops ops = pair_ops;
    glow_net *nets[] = {pair_net(context, 1, 1, 0), pair_net(context, 1, 1, 0)};
    glow_layer *layer = NULL;
    glow_model *model = NULL;
    ops.configure = wrong_configure;
    ops.self_size = sizeof(pair_layer);
    OK(glow_layer_create(context, &ops, NULL, nets, &layer));
    ((wrong_layer *)glow_layer_self(layer))->wrong = wrong;
    glow_status status = helper_wrap_layer(context, layer, true, &pair_shape, &model);
    if (wrong == GIVEN)
      assert_int_equal(status, GLOW_OK);
    else
      assert_non_null(strstr(glow_last_error(), words[wrong]));
    glow_model_destroy(&model);
    assert_int_equal(memory.live, live);
  }
  glow_context_destroy(&context);
}

/* A layer without initialise cannot host a net with rounds. */
static void test_rounds_need_initialise(void **state) {
  glow_context *context = helper_context(1, NULL, NULL);
  glow_layer_ops ops = pair_ops;
  glow_net *nets[] = {pair_net(context, 1, 1, 0), pair_net(context, 1, 1, 0)};
  glow_layer *layer = NULL;
  glow_model *model = NULL;
  (void)state;
  ops.configure = wrong_configure;
  ops.initialise = NULL;
  OK(glow_layer_create(context, &ops, NULL, nets, &layer));
  REFUSED(helper_wrap_layer(context, layer, true, &pair_shape, &model), GLOW_E_ARGUMENT,
          "net 'scale' (test.tanh): glow_setup_initialise: the layer's table has no initialise");
  glow_context_destroy(&context);
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(test_names),          cmocka_unit_test(test_initialise),
      cmocka_unit_test(test_values),         cmocka_unit_test(test_kit),
#ifdef GLOW_HAVE_FILES
      cmocka_unit_test(test_files),          cmocka_unit_test(test_unregistered),
      cmocka_unit_test(test_texts),
#endif
      cmocka_unit_test(test_inference_form), cmocka_unit_test(test_training),
      cmocka_unit_test(test_bad_configure),  cmocka_unit_test(test_rounds_need_initialise),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
