/* Models under the names of y0ast/Glow-PyTorch: files that were imported come out again, models of
 * this library come back the same, and what that project does not have is refused.
 * SPDX-License-Identifier: MIT */
#include "import_helpers.h"
#include <glow/import.h>

enum { ROOM = 1 << 18, COUNT = 3, SIDE = 8, CHANNELS = 2, DIMS = SIDE * SIDE * CHANNELS };

static unsigned char memory[2][ROOM];

/* The model's export in memory[which], as an input. */
static glow_input exported(const glow_model *model, int which) {
  glow_output output = GLOW_OUTPUT_INIT;
  glow_input input = GLOW_INPUT_INIT;
  size_t written = 0;
  output.buffer = memory[which];
  output.capacity = ROOM;
  output.written = &written;
  OK(glow_model_export(model, GLOW_FORMAT_Y0AST, &output));
  input.data = memory[which];
  input.size = (int64_t)written;
  return input;
}

static glow_model *imported(glow_context *context, const glow_input *input, int32_t permutation) {
  glow_import_options options = GLOW_IMPORT_OPTIONS_INIT;
  glow_model *model = NULL;
  options.permutation = permutation;
  options.bits = 5;
  OK(glow_model_import(context, input, &options, &model));
  return model;
}

/* ---- files that were imported ---------------------------------------------------------------- */

typedef struct side {
  glow_tensor_file *file;
} side;

static glow_file_tensor tensor_of(const side *s, const char *name) {
  glow_file_tensor tensor = GLOW_FILE_TENSOR_INIT;
  OK(glow_tensor_file_find(s->file, name, &tensor));
  return tensor;
}

static double at(const side *s, const char *name, int64_t index) {
  glow_file_tensor tensor = tensor_of(s, name);
  float value;
  assert_int_equal(tensor.type, GLOW_TYPE_F32);
  memcpy(&value, (const char *)tensor.data + 4 * index, sizeof value);
  return (double)value;
}

/* Weights of the layer that makes (weight + bias) exp(3 logs): what one element stands for. */
static double effective(const side *s, const char *layer, const char *linear, int64_t row,
                        int64_t column, int64_t columns) {
  char weight[128], bias[128], logs[128];
  snprintf(weight, sizeof weight, "%s.%s.weight", layer, linear);
  snprintf(bias, sizeof bias, "%s.%s.bias", layer, linear);
  snprintf(logs, sizeof logs, "%s.logs", layer);
  double sum = at(s, bias, row) + (column < 0 ? 0 : at(s, weight, row * columns + column));
  return sum * exp(3 * at(s, logs, row));
}

/* The heads are written in their folded form. 1e-6: they were rounded to float32 once. */
static void same_head(const side *a, const side *b, const char *layer, const char *linear,
                      bool weights) {
  char name[128];
  snprintf(name, sizeof name, "%s.%s.weight", layer, linear);
  if (glow_tensor_file_index(a->file, name) < 0)
    return;
  glow_file_tensor shape = tensor_of(a, name);
  for (int64_t row = 0; row < shape.dims[0]; row++)
    for (int64_t column = weights ? 0 : -1; column < (weights ? shape.dims[1] : 0); column++) {
      double x = effective(a, layer, linear, row, column, shape.dims[1]);
      double y = effective(b, layer, linear, row, column, shape.dims[1]);
      assert_true(fabs(x - y) <= 1e-6 * fmax(1, fabs(x)));
    }
}

/* Below the diagonal of `lower` and above that of `upper`: the rest is masked, and is exported as
 * the project itself makes it. */
static void same_triangle(const glow_file_tensor *a, const glow_file_tensor *b, bool lower) {
  int64_t n = a->dims[0];
  for (int64_t i = 0; i < n; i++)
    for (int64_t j = 0; j < n; j++) {
      float x, y;
      memcpy(&x, (const char *)a->data + 4 * (i * n + j), 4);
      memcpy(&y, (const char *)b->data + 4 * (i * n + j), 4);
      if (lower ? j < i : j > i)
        assert_true(x == y);
      else
        assert_true(y == (lower && i == j ? 1.0f : 0.0f));
    }
}

static void same_tensor(const side *a, const side *b, const char *name) {
  glow_file_tensor x = tensor_of(a, name), y = tensor_of(b, name);
  assert_int_equal(x.type, y.type);
  assert_int_equal(x.rank, y.rank);
  assert_memory_equal(x.dims, y.dims, sizeof x.dims);
  if (strncmp(name, "learn_top_fn", 12) == 0 || strncmp(name, "project_", 8) == 0)
    return;
  if (strstr(name, ".lower") || strstr(name, ".upper"))
    same_triangle(&x, &y, strstr(name, ".lower") != NULL);
  else if (memcmp(x.data, y.data, (size_t)x.bytes) != 0)
    fail_msg("%s differs", name);
}

static void comes_out_again(const char *name) {
  glow_context *context = helper_context(1, NULL, NULL);
  glow_model *model = NULL;
  side a, b;
  vectors v;
  vectors_open(context, name, &v);
  OK(vectors_import(context, name, &v, &model));
  glow_input input = exported(model, 0);
  OK(glow_tensor_file_open(context, vectors_path(name, ".safetensors"), &a.file));
  OK(glow_tensor_file_open_input(context, &input, &b.file));
  assert_int_equal(glow_tensor_file_tensor_count(a.file), glow_tensor_file_tensor_count(b.file));
  for (int64_t i = 0; i < glow_tensor_file_tensor_count(a.file); i++) {
    glow_file_tensor tensor = GLOW_FILE_TENSOR_INIT;
    OK(glow_tensor_file_get(a.file, i, &tensor));
    same_tensor(&a, &b, tensor.name);
  }
  same_head(&a, &b, "learn_top_fn", "conv", false);
  same_head(&a, &b, "project_ycond", "linear", true);
  same_head(&a, &b, "project_class", "linear", true);
  glow_tensor_file_close(&b.file);
  glow_tensor_file_close(&a.file);
  glow_model_destroy(&model);
  vectors_close(&v);
  glow_context_destroy(&context);
}

static void test_files_come_out_again(void **state) {
  (void)state;
  comes_out_again("y0ast_affine_lu");
  comes_out_again("y0ast_additive_plain_classes");
  comes_out_again("y0ast_affine_reverse");
}

/* ---- models of this library ------------------------------------------------------------------ */

static glow_glow_options options_of(int32_t permutation, int32_t coupling) {
  glow_glow_options o = GLOW_GLOW_OPTIONS_INIT;
  o.input = (glow_shape){SIDE, SIDE, CHANNELS};
  o.levels = 2;
  o.depth = 2;
  o.hidden = 6;
  o.permutation = permutation;
  o.coupling = coupling;
  o.bits = 5;
  return o;
}

static glow_model *trained(glow_context *context, const glow_glow_options *o) {
  glow_model *model = NULL;
  glow_trainer *trainer = NULL;
  uint8_t pixels[COUNT * DIMS];
  const int32_t labels[COUNT] = {0, 2, 1};
  helper_random random = helper_random_of(11);
  for (int i = 0; i < COUNT * DIMS; i++)
    pixels[i] = (uint8_t)(256 * helper_uniform(&random));
  OK(glow_model_create_glow(context, o, &model));
  OK(glow_trainer_create(model, NULL, &trainer));
  OK(glow_trainer_initialise_pixels(trainer, pixels, o->classes ? labels : NULL, COUNT));
  for (int step = 0; step < 5; step++) {
    glow_step_report report = GLOW_STEP_REPORT_INIT;
    OK(glow_trainer_step_pixels(trainer, pixels, o->classes ? labels : NULL, COUNT, &report));
  }
  glow_trainer_destroy(&trainer);
  return model;
}

static void log_probs(const glow_model *model, double *out) {
  const int32_t labels[COUNT] = {0, 2, 1};
  helper_random random = helper_random_of(12);
  float *x = helper_new_normals(&random, 0.2f, COUNT * DIMS);
  glow_workspace *ws = helper_workspace(model, COUNT, GLOW_MODE_INFERENCE);
  OK(glow_workspace_log_prob(ws, x, glow_model_class_count(model) ? labels : NULL, COUNT, out));
  glow_workspace_destroy(&ws);
  free(x);
}

/* All values are copied, so the same bits come out. With plain biases, norms stand in their place,
 * whose factors are 1. */
static void comes_back(const glow_glow_options *o) {
  glow_context *context = helper_context(1, NULL, NULL);
  glow_model *model = trained(context, o);
  double before[COUNT], after[COUNT];
  glow_input input = exported(model, 0);
  glow_model *back = imported(
      context, &input, o->permutation == GLOW_PERMUTATION_REVERSE ? GLOW_PERMUTATION_REVERSE : 0);
  log_probs(model, before);
  log_probs(back, after);
  assert_memory_equal(before, after, sizeof before);
  if (o->net_actnorm) {
    assert_int_equal(glow_model_parameter_count(model), glow_model_parameter_count(back));
    assert_memory_equal(glow_model_parameters(model), glow_model_parameters(back),
                        (size_t)glow_model_parameter_count(model) * sizeof(float));
  }
  glow_input again = exported(back, 1);
  assert_int_equal(input.size, again.size);
  assert_memory_equal(memory[0], memory[1], (size_t)input.size);
  glow_model_destroy(&back);
  glow_model_destroy(&model);
  glow_context_destroy(&context);
}

static void test_models_come_back(void **state) {
  (void)state;
  glow_glow_options o = options_of(GLOW_PERMUTATION_INVCONV_LU, GLOW_COUPLING_AFFINE);
  comes_back(&o);
  o.levels = 1;
  comes_back(&o);
  o = options_of(GLOW_PERMUTATION_INVCONV, GLOW_COUPLING_ADDITIVE);
  o.learn_top = 0;
  comes_back(&o);
  o = options_of(GLOW_PERMUTATION_REVERSE, GLOW_COUPLING_AFFINE);
  o.net_actnorm = 0;
  comes_back(&o);
  o = options_of(GLOW_PERMUTATION_INVCONV_LU, GLOW_COUPLING_AFFINE);
  o.classes = 3;
  o.classifier = 1;
  comes_back(&o);
}

/* ---- refusals -------------------------------------------------------------------------------- */

static void refuse(const glow_model *model, glow_status status, const char *words) {
  glow_output output = GLOW_OUTPUT_INIT;
  output.buffer = memory[0];
  output.capacity = ROOM;
  REFUSED(glow_model_export(model, GLOW_FORMAT_Y0AST, &output), status, words);
}

static void refuse_preset(const glow_glow_options *o, const char *words) {
  glow_context *context = helper_context(1, NULL, NULL);
  glow_model *model = helper_glow(context, o, 1);
  refuse(model, GLOW_E_UNSUPPORTED, words);
  glow_model_destroy(&model);
  glow_context_destroy(&context);
}

static void test_presets_refused(void **state) {
  (void)state;
  glow_glow_options o = options_of(GLOW_PERMUTATION_INVCONV, GLOW_COUPLING_AFFINE);
  o.scale = GLOW_SCALE_EXP;
  refuse_preset(&o, "'level0.step0.coupling': option scale is exp");
  o.scale = GLOW_SCALE_SIGMOID_FLOOR;
  refuse_preset(&o, "option scale is sigmoid_floor");
  o = options_of(GLOW_PERMUTATION_SHUFFLE, GLOW_COUPLING_AFFINE);
  refuse_preset(&o, "'level0.step0.permute' shuffles");
}

static void test_other_layers_refused(void **state) {
  glow_context *context = helper_context(1, NULL, NULL);
  (void)state;
  for (int32_t i = 0; i < helper_layer_count; i++) {
    const glow_shape shape = {4, 4, 4};
    glow_model *model = NULL;
    if (!helper_layer_fits(&helper_layers[i], &shape))
      continue;
    OK(helper_create_model(context, &helper_layers[i], &shape, 3, &model));
    OK(glow_model_set_initialised(model));
    refuse(model, GLOW_E_UNSUPPORTED, "y0ast/Glow-PyTorch");
    glow_model_destroy(&model);
  }
  glow_context_destroy(&context);
}

/* A builder's model of two steps: the second one's layers are `second`, 'i' plain, 'l' LU, 'p'
 * reversed. */
static glow_model *two_steps(glow_context *context, char first, char second, int32_t hidden) {
  const glow_shape shape = {4, 4, 2};
  glow_builder *builder = NULL;
  glow_layer *layer = NULL;
  glow_model *model = NULL;
  OK(glow_builder_create(context, &shape, NULL, &builder));
  OK(glow_squeeze_create(context, NULL, &layer));
  OK(glow_builder_add(builder, "one", &layer));
  for (int step = 0; step < 2; step++) {
    char name[16], kind = step ? second : first;
    glow_invconv_options invconv = GLOW_INVCONV_OPTIONS_INIT;
    glow_conv_net_options net_options = GLOW_CONV_NET_OPTIONS_INIT;
    glow_net *net = NULL;
    snprintf(name, sizeof name, "norm%d", step);
    OK(glow_actnorm_create(context, NULL, &layer));
    OK(glow_builder_add(builder, name, &layer));
    invconv.lu = kind == 'l';
    snprintf(name, sizeof name, "mix%d", step);
    OK(kind == 'p' ? glow_permute_create(context, NULL, &layer)
                   : glow_invconv_create(context, &invconv, &layer));
    OK(glow_builder_add(builder, name, &layer));
    net_options.hidden = step ? hidden : 4;
    snprintf(name, sizeof name, "couple%d", step);
    OK(glow_conv_net_create(context, &net_options, &net));
    OK(glow_coupling_create(context, NULL, &net, &layer));
    OK(glow_builder_add(builder, name, &layer));
  }
  OK(glow_prior_create(context, NULL, &layer));
  OK(glow_builder_add(builder, "top", &layer));
  OK(glow_builder_finish(&builder, &model));
  OK(glow_model_set_initialised(model));
  return model;
}

static void test_mixed_models_refused(void **state) {
  glow_context *context = helper_context(1, NULL, NULL);
  (void)state;
  glow_model *model = two_steps(context, 'l', 'i', 4);
  refuse(model, GLOW_E_UNSUPPORTED, "layer 'mix1' is unlike layer 'mix0'");
  glow_model_destroy(&model);
  model = two_steps(context, 'i', 'p', 4);
  refuse(model, GLOW_E_UNSUPPORTED, "layer 'mix1' is unlike layer 'mix0'");
  glow_model_destroy(&model);
  model = two_steps(context, 'i', 'i', 5);
  refuse(model, GLOW_E_UNSUPPORTED, "layer 'couple1': option net.hidden is 5");
  glow_model_destroy(&model);
  model = two_steps(context, 'p', 'p', 4); /* other names of layers do no harm */
  glow_input input = exported(model, 0);
  assert_true(input.size > 0);
  const int32_t order[8] = {0, 1, 2, 3, 4, 5, 7, 6};
  OK(glow_model_set_tensor(model, "mix1.index", order, 8));
  OK(glow_model_prepare(model));
  refuse(model, GLOW_E_UNSUPPORTED, "layer 'mix1' shuffles");
  glow_model_destroy(&model);
  glow_context_destroy(&context);
}

static void test_arguments_refused(void **state) {
  glow_context *context = helper_context(1, NULL, NULL);
  glow_output output = GLOW_OUTPUT_INIT;
  glow_glow_options o = options_of(GLOW_PERMUTATION_INVCONV, GLOW_COUPLING_AFFINE);
  glow_model *model = NULL;
  (void)state;
  OK(glow_model_create_glow(context, &o, &model));
  refuse(model, GLOW_E_STATE, "not initialised");
  OK(glow_model_set_initialised(model));
  output.buffer = memory[0];
  output.capacity = ROOM;
  REFUSED(glow_model_export(NULL, GLOW_FORMAT_Y0AST, &output), GLOW_E_ARGUMENT, "NULL");
  REFUSED(glow_model_export(model, GLOW_FORMAT_Y0AST, NULL), GLOW_E_ARGUMENT, "NULL");
  REFUSED(glow_model_export(model, GLOW_FORMAT_OPENAI, &output), GLOW_E_ARGUMENT, "format is 1");
  REFUSED(glow_model_export(model, 0, &output), GLOW_E_ARGUMENT, "format is 0");
  output.capacity = 100;
  REFUSED(glow_model_export(model, GLOW_FORMAT_Y0AST, &output), GLOW_E_LIMIT, "");
  glow_model_destroy(&model);
  glow_context_destroy(&context);
}

int main(int argc, char **argv) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(test_files_come_out_again), cmocka_unit_test(test_models_come_back),
      cmocka_unit_test(test_presets_refused),      cmocka_unit_test(test_other_layers_refused),
      cmocka_unit_test(test_mixed_models_refused), cmocka_unit_test(test_arguments_refused),
  };
  vectors_folder = argc > 1 ? argv[1] : "tests/import";
  return cmocka_run_group_tests(tests, NULL, NULL);
}
