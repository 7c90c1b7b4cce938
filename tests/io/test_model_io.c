/* Models to and from memory, callbacks and mapped files; bfloat16; the order of tensors; versions;
 * limits. Argument: the folder of files that older versions wrote. SPDX-License-Identifier: MIT */
#include "../support/model_helpers.h"
#include "../support/temp_folder.h"
#include "io/io.h"

#include <glow/import.h>
#include <unistd.h>

enum { SIDE = 8, COUNT = 3, DIMS = SIDE * SIDE * 2 };

static const char *old_files;
static glow_context *context;

static void log_probs(const glow_model *model, double *out) {
  helper_random random = helper_random_of(5);
  float *x = helper_new_normals(&random, 0.2f, COUNT * DIMS);
  glow_workspace *ws = helper_workspace(model, COUNT, GLOW_MODE_INFERENCE);
  OK(glow_workspace_log_prob(ws, x, NULL, COUNT, out));
  glow_workspace_destroy(&ws);
  free(x);
}

static glow_model *make(int32_t permutation) {
  glow_glow_options o = helper_small_glow();
  o.permutation = permutation;
  return helper_glow(context, &o, 3);
}

static void same_models(const glow_model *a, const glow_model *b) {
  double of_a[COUNT], of_b[COUNT];
  assert_int_equal(glow_model_parameter_count(a), glow_model_parameter_count(b));
  assert_memory_equal(glow_model_parameters(a), glow_model_parameters(b),
                      (size_t)glow_model_parameter_count(a) * sizeof(float));
  log_probs(a, of_a);
  log_probs(b, of_b);
  assert_memory_equal(of_a, of_b, sizeof of_a);
}

/* ---- memory and callbacks -------------------------------------------------------------------- */

typedef struct bytes {
  char *data;
  size_t size, capacity;
} bytes;

static glow_status take(void *payload, const void *data, size_t count) {
  bytes *b = payload;
  assert_true(b->size + count <= b->capacity);
  memcpy(b->data + b->size, data, count);
  b->size += count;
  return GLOW_OK;
}

static glow_status give(void *payload, int64_t offset, void *buffer, size_t count) {
  const bytes *b = payload;
  assert_true(offset >= 0 && (uint64_t)offset + count <= b->size);
  memcpy(buffer, b->data + offset, count);
  return GLOW_OK;
}

/* The file of a model in memory, after asking for its size. */
static bytes save(const glow_model *model, int32_t storage) {
  glow_output o = GLOW_OUTPUT_INIT;
  bytes b = {NULL, 0, 0};
  o.storage = storage;
  o.written = &b.capacity;
  OK(glow_model_save_output(model, &o));
  b.data = helper_allocate(b.capacity);
  o.buffer = b.data;
  o.capacity = b.capacity;
  OK(glow_model_save_output(model, &o));
  b.size = b.capacity;
  return b;
}

static glow_input in_memory(const bytes *b) {
  glow_input in = GLOW_INPUT_INIT;
  in.data = b->data;
  in.size = (int64_t)b->size;
  return in;
}

static void test_memory_and_callbacks(void **state) {
  glow_model *model = make(GLOW_PERMUTATION_INVCONV_LU), *loaded = NULL;
  glow_output o = GLOW_OUTPUT_INIT;
  glow_input in = GLOW_INPUT_INIT;
  (void)state;
  bytes b = save(model, 0), called = {helper_allocate(b.size), 0, b.size};
  o.write = take;
  o.payload = &called;
  OK(glow_model_save_output(model, &o));
  assert_int_equal(called.size, b.size);
  assert_memory_equal(called.data, b.data, b.size);
  in = in_memory(&b);
  OK(glow_model_load_input(context, &in, &loaded));
  same_models(model, loaded);
  assert_int_equal(glow_model_mapped(loaded), 0);
  glow_model_destroy(&loaded);
  in = (glow_input)GLOW_INPUT_INIT;
  in.read = give;
  in.payload = &called;
  in.size = (int64_t)called.size;
  OK(glow_model_load_input(context, &in, &loaded));
  same_models(model, loaded);
  glow_model_destroy(&loaded);
  o.write = NULL;
  o.buffer = called.data;
  o.capacity = called.capacity - 1;
  REFUSED(glow_model_save_output(model, &o), GLOW_E_LIMIT, "the buffer");
  in.flags = GLOW_INPUT_LAZY;
  REFUSED(glow_model_load_input(context, &in, &loaded), GLOW_E_ARGUMENT, "for tensor files");
  REFUSED(glow_model_load_input(context, NULL, &loaded), GLOW_E_ARGUMENT, "NULL");
  REFUSED(glow_model_save_output(model, NULL), GLOW_E_ARGUMENT, "NULL");
  REFUSED(glow_model_save_output(NULL, &o), GLOW_E_ARGUMENT, "NULL");
  assert_int_equal(glow_model_mapped(NULL), 0);
  free(called.data);
  free(b.data);
  glow_model_destroy(&model);
}

/* ---- order and alignment --------------------------------------------------------------------- */

static void test_order(void **state) {
  glow_model *model = make(GLOW_PERMUTATION_INVCONV_LU);
  glow_tensor_file *file = NULL;
  glow_tensor_info info = GLOW_TENSOR_INFO_INIT;
  int64_t at = 0;
  bool fixed = false;
  (void)state;
  bytes b = save(model, 0);
  glow_input in = in_memory(&b);
  OK(glow_tensor_file_open_input(context, &in, &file));
  for (int64_t i = 0; i < glow_tensor_file_tensor_count(file); i++) {
    glow_file_tensor t = GLOW_FILE_TENSOR_INIT;
    OK(glow_tensor_file_get(file, i, &t));
    OK(glow_model_find_tensor(model, t.name, &info));
    if (i == 0)
      assert_int_equal(((const char *)t.data - b.data) % 64, 0);
    assert_true(info.trainable ? !fixed && info.offset == at : true);
    fixed |= !info.trainable;
    at += info.elements;
  }
  assert_true(fixed);
  glow_tensor_file_close(&file);
  free(b.data);
  glow_model_destroy(&model);
}

/* ---- mapped ---------------------------------------------------------------------------------- */

static void test_mapped(void **state) {
  glow_model *model = make(GLOW_PERMUTATION_INVCONV_LU), *mapped = NULL, *again = NULL;
  glow_input in = GLOW_INPUT_INIT;
  (void)state;
  OK(glow_model_save(model, temp_path("model")));
  in.path = temp_path("model");
  in.flags = GLOW_INPUT_MAP;
  OK(glow_model_load_input(context, &in, &mapped));
  assert_int_equal(glow_model_mapped(mapped), !GLOW_BIG_ENDIAN);
  assert_int_equal((uintptr_t)glow_model_parameters(mapped) % 64, 0);
  same_models(model, mapped);
  /* it may be changed, and the file stays; the file may be replaced, and the model stays */
  glow_model_parameters_mutable(mapped)[0] += 1.0f;
  OK(glow_model_prepare(mapped));
  OK(glow_model_load_input(context, &in, &again));
  same_models(model, again);
  OK(glow_model_save(mapped, temp_path("model")));
  same_models(model, again);
  glow_model_destroy(&again);
  OK(glow_model_load_input(context, &in, &again));
  same_models(mapped, again);
  glow_model_destroy(&again);
  glow_model_destroy(&mapped);
  glow_model_destroy(&model);
}

/* bfloat16 cannot be used in place. */
static void test_mapped_copies(void **state) {
  glow_model *model = make(GLOW_PERMUTATION_SHUFFLE), *mapped = NULL, *loaded = NULL;
  glow_output o = GLOW_OUTPUT_INIT;
  glow_input in = GLOW_INPUT_INIT;
  (void)state;
  o.path = in.path = temp_path("model");
  o.storage = GLOW_TYPE_BF16;
  OK(glow_model_save_output(model, &o));
  in.flags = GLOW_INPUT_MAP;
  OK(glow_model_load_input(context, &in, &mapped));
  assert_int_equal(glow_model_mapped(mapped), 0);
  OK(glow_model_load(context, in.path, &loaded));
  same_models(mapped, loaded);
  glow_model_destroy(&loaded);
  glow_model_destroy(&mapped);
  glow_model_destroy(&model);
}

/* A mapped file that is refused is unmapped, and a model trained in a mapping trains as others. */
static void test_mapped_training(void **state) {
  glow_model *models[2] = {NULL, NULL};
  glow_model *model = make(GLOW_PERMUTATION_INVCONV_LU);
  glow_input in = GLOW_INPUT_INIT;
  helper_random random = helper_random_of(6);
  float *x = helper_new_normals(&random, 0.2f, COUNT * DIMS);
  (void)state;
  in.path = temp_path("model");
  OK(glow_model_save(model, in.path));
  for (int i = 0; i < 2; i++) {
    glow_trainer *trainer = NULL;
    in.flags = i ? GLOW_INPUT_MAP : 0;
    OK(glow_model_load_input(context, &in, &models[i]));
    OK(glow_trainer_create(models[i], NULL, &trainer));
    for (int step = 0; step < 3; step++)
      OK(glow_trainer_step(trainer, x, NULL, COUNT, NULL));
    glow_trainer_destroy(&trainer);
  }
  assert_int_equal(glow_model_mapped(models[1]), !GLOW_BIG_ENDIAN);
  same_models(models[0], models[1]);
  free(x);
  glow_model_destroy(&models[0]);
  glow_model_destroy(&models[1]);
  glow_model_destroy(&model);
}

/* ---- bfloat16 -------------------------------------------------------------------------------- */

static uint32_t bits_of(float x) {
  uint32_t bits;
  memcpy(&bits, &x, sizeof bits);
  return bits;
}

/* A number is at most half a unit of the 8-bit mantissa away, and the lower half of its bits is 0;
 * a tie goes to even. */
static void check_rounded(float from, float to) {
  int exponent;
  frexp((double)from, &exponent);
  double unit = ldexp(1.0, exponent - 8), error = fabs((double)to - (double)from);
  assert_int_equal(bits_of(to) & 0xffff, 0);
  assert_true(error <= unit / 2);
  if ((bits_of(from) & 0xffff) == 0x8000)
    assert_int_equal(bits_of(to) >> 16 & 1, 0);
}

/* The first weights of a product, which alone are rounded. */
static int64_t first_weights(const glow_model *model) {
  glow_tensor_info info = GLOW_TENSOR_INFO_INIT;
  for (int32_t i = 0; !info.weights; i++)
    OK(glow_model_tensor(model, i, &info));
  return info.offset;
}

/* Weights are rounded; all else keeps its bits, as in float32. */
static void check_stored(const glow_model *model, const glow_model *loaded, int64_t *rounded) {
  const float *p = glow_model_parameters(model), *q = glow_model_parameters(loaded);
  *rounded = 0;
  for (int32_t t = 0; t < glow_model_tensor_count(model); t++) {
    glow_tensor_info info = GLOW_TENSOR_INFO_INIT;
    OK(glow_model_tensor(model, t, &info));
    if (!info.trainable)
      continue;
    bool weights = strstr(info.name, ".net.conv") && strstr(info.name, ".weight");
    assert_int_equal(info.weights, weights);
    for (int64_t i = info.offset; i < info.offset + info.elements; i++)
      if (weights)
        check_rounded(p[i], q[i]);
      else
        assert_int_equal(bits_of(p[i]), bits_of(q[i]));
    *rounded += weights ? info.elements : 0;
  }
}

static void test_bfloat16(void **state) {
  glow_model *model = make(GLOW_PERMUTATION_INVCONV_LU), *loaded = NULL;
  int64_t at = first_weights(model), rounded = 0;
  float *p = glow_model_parameters_mutable(model) + at;
  (void)state;
  p[0] = 1.00390625f; /* 0x3f808000: between 1 and the next, which is odd */
  p[1] = 1.01171875f; /* 0x3f818000: the lower one is odd */
  p[2] = 1e-40f;      /* below the normal numbers */
  p[3] = -0.0f;
  bytes b = save(model, GLOW_TYPE_BF16), whole = save(model, GLOW_TYPE_F32);
  glow_input in = in_memory(&b);
  OK(glow_model_load_input(context, &in, &loaded));
  const float *q = glow_model_parameters(loaded) + at;
  assert_int_equal(bits_of(q[0]), 0x3f800000);
  assert_int_equal(bits_of(q[1]), 0x3f820000);
  assert_int_equal(bits_of(q[3]), 0x80000000);
  p[2] = q[2];
  check_stored(model, loaded, &rounded);
  assert_true(b.size < whole.size - 2 * (size_t)rounded + 256);
  bytes again = save(loaded, GLOW_TYPE_BF16);
  assert_int_equal(again.size, b.size);
  assert_memory_equal(again.data, b.data, b.size);
  free(again.data);
  free(whole.data);
  free(b.data);
  glow_model_destroy(&loaded);
  glow_model_destroy(&model);
}

static void refuse_value(glow_model *model, int64_t place, float value, int32_t storage,
                         const char *words) {
  glow_output o = GLOW_OUTPUT_INIT;
  float *p = glow_model_parameters_mutable(model), before = p[place];
  o.path = temp_path("refused");
  o.storage = storage;
  p[place] = value;
  REFUSED(glow_model_save_output(model, &o), GLOW_E_NUMERIC, words);
  assert_int_equal(access(o.path, F_OK), -1);
  p[place] = before;
}

/* What could not be read again is not written. */
static void test_not_finite(void **state) {
  glow_model *model = make(GLOW_PERMUTATION_INVCONV_LU);
  int64_t last = glow_model_parameter_count(model) - 1, at = first_weights(model);
  (void)state;
  refuse_value(model, 0, NAN, 0, "'level0.step0.actnorm.bias': element 0, nan, is not finite");
  refuse_value(model, last, INFINITY, 0, "'prior.logs': element");
  refuse_value(model, last, -INFINITY, GLOW_TYPE_BF16, "'prior.logs': element");
  refuse_value(model, 1, NAN, GLOW_TYPE_BF16, "'level0.step0.actnorm.bias': element 1, nan");
  refuse_value(model, at + 1, NAN, GLOW_TYPE_BF16, "element 1, nan");
  refuse_value(model, at + 1, 3.4e38f, GLOW_TYPE_BF16,
               "conv1.weight': element 1, 3.4e+38, is not finite in bfloat16");
  glow_model_parameters_mutable(model)[at + 1] = 3.38e38f; /* below 0x7f7f8000 */
  bytes b = save(model, GLOW_TYPE_BF16);
  free(b.data);
  glow_model_destroy(&model);
}

/* A layer cannot prepare its parameters, so nobody could load the file: whatever is written
 * stays as it is, and the message names the layer and the cause. */
static void refuse_saving(const glow_model *model, const char *cause) {
  const char *path = temp_path("kept");
  char text[4] = "", byte = 7;
  glow_output to_path = GLOW_OUTPUT_INIT, to_memory = GLOW_OUTPUT_INIT,
              to_callback = GLOW_OUTPUT_INIT;
  bytes untouched = {.data = &byte};
  FILE *file = fopen(path, "w");
  assert_non_null(file);
  fputs("old", file);
  fclose(file);
  REFUSED(glow_model_save(model, path), GLOW_E_NUMERIC, cause);
  to_path.path = path;
  REFUSED(glow_model_export(model, GLOW_FORMAT_Y0AST, &to_path), GLOW_E_NUMERIC, cause);
  assert_non_null(strstr(glow_last_error(), "could not be loaded"));
  file = fopen(path, "r");
  assert_int_equal(fread(text, 1, 4, file), 3);
  fclose(file);
  assert_string_equal(text, "old");
  to_memory.buffer = &byte;
  to_memory.capacity = 1;
  REFUSED(glow_model_save_output(model, &to_memory), GLOW_E_NUMERIC, cause);
  to_callback.write = take;
  to_callback.payload = &untouched;
  REFUSED(glow_model_save_output(model, &to_callback), GLOW_E_NUMERIC, cause);
  assert_int_equal(byte, 7);
  unlink(path);
}

static void test_not_loadable(void **state) {
  const int32_t twice[8] = {0, 0, 2, 3, 4, 5, 6, 7};
  const float zeros[64] = {0};
  glow_model *model = make(GLOW_PERMUTATION_INVCONV);
  (void)state;
  OK(glow_model_set_tensor(model, "level0.step0.invconv.weight", zeros, 64));
  refuse_saving(model, "layer 'level0.step0.invconv': the 8 x 8 weight matrix is singular");
  REFUSED(glow_model_prepare(model), GLOW_E_NUMERIC, "singular");
  refuse_saving(model, "layer 'level0.step0.invconv': the 8 x 8 weight matrix is singular");
  glow_model_destroy(&model);
  model = make(GLOW_PERMUTATION_INVCONV_LU);
  OK(glow_model_set_tensor(model, "level0.step0.invconv.perm", twice, 8));
  refuse_saving(model, "layer 'level0.step0.invconv': perm is not a permutation");
  glow_model_destroy(&model);
}

/* A checkpoint holds the trainer's own parameters, also while the model has the average. */
static void test_checkpoint_not_loadable(void **state) {
  const float zeros[64] = {0}, x[2 * DIMS] = {0.1f};
  glow_trainer_options o = GLOW_TRAINER_OPTIONS_INIT;
  glow_trainer *trainer = NULL;
  glow_output size = GLOW_OUTPUT_INIT;
  size_t needed = 0;
  (void)state;
  glow_model *model = make(GLOW_PERMUTATION_INVCONV);
  o.micro_batch = 2;
  o.average = 1;
  OK(glow_trainer_create(model, &o, &trainer));
  OK(glow_trainer_step(trainer, x, NULL, 2, NULL));
  OK(glow_checkpoint_save(trainer, temp_path("good"), NULL, 0));
  OK(glow_trainer_use_average(trainer, true));
  OK(glow_model_set_tensor(model, "level0.step0.invconv.weight", zeros, 64));
  OK(glow_checkpoint_save(trainer, temp_path("good"), NULL, 0));
  OK(glow_trainer_use_average(trainer, false));
  OK(glow_model_set_tensor(model, "level0.step0.invconv.weight", zeros, 64));
  REFUSED(glow_checkpoint_save(trainer, temp_path("bad"), NULL, 0), GLOW_E_NUMERIC,
          "layer 'level0.step0.invconv': the 8 x 8 weight matrix is singular");
  assert_int_equal(access(temp_path("bad"), F_OK), -1);
  size.written = &needed;
  REFUSED(glow_checkpoint_save_output(trainer, &size, NULL, 0), GLOW_E_NUMERIC, "singular");
  glow_trainer_destroy(&trainer);
  glow_model_destroy(&model);
}

/* ---- versions -------------------------------------------------------------------------------- */

/* Written by libglow when its format was 1.0, with the log-probabilities it gave. */
static void test_version_1_0(void **state) {
  const double expected[3] = {-34.217351990088986, -33.776541150991463, -33.785733504017806};
  const int32_t labels[3] = {0, 2, 1};
  glow_input in = GLOW_INPUT_INIT;
  char path[512];
  float x[3 * 32];
  (void)state;
  snprintf(path, sizeof path, "%s/version-1.0.safetensors", old_files);
  for (int i = 0; i < 3 * 32; i++)
    x[i] = (float)(i * 7 % 32) / 32.0f - 0.5f;
  in.path = path;
  for (in.flags = 0; in.flags <= GLOW_INPUT_MAP; in.flags++) {
    glow_model *model = NULL;
    double log_prob[3];
    OK(glow_model_load_input(context, &in, &model));
    assert_int_equal(glow_model_mapped(model), 0); /* fixed tensors stand between the others */
    glow_workspace *ws = helper_workspace(model, 3, GLOW_MODE_INFERENCE);
    OK(glow_workspace_log_prob(ws, x, labels, 3, log_prob));
    for (int i = 0; i < 3; i++) /* other kernels add in another order */
      assert_true(fabs(log_prob[i] - expected[i]) < 1e-4);
    glow_workspace_destroy(&ws);
    glow_model_destroy(&model);
  }
}

/* ---- limits ---------------------------------------------------------------------------------- */

static void test_limits(void **state) {
  glow_model *model = make(GLOW_PERMUTATION_INVCONV_LU), *loaded = NULL;
  glow_limits limits = GLOW_LIMITS_INIT;
  char words[160];
  (void)state;
  bytes b = save(model, 0);
  glow_input in = in_memory(&b);
  in.limits = &limits;
  limits.layers = glow_model_layer_count(model);
  limits.parameters = glow_model_parameter_count(model);
  OK(glow_model_load_input(context, &in, &loaded));
  glow_model_destroy(&loaded);
  limits.parameters--;
  snprintf(words, sizeof words, "%lld parameters up to layer 'prior'; at most %lld",
           (long long)limits.parameters + 1, (long long)limits.parameters);
  REFUSED(glow_model_load_input(context, &in, &loaded), GLOW_E_LIMIT, words);
  limits.parameters = 0;
  limits.layers--;
  snprintf(words, sizeof words, "file in memory: architecture: more than %lld layers, at byte",
           (long long)limits.layers);
  REFUSED(glow_model_load_input(context, &in, &loaded), GLOW_E_LIMIT, words);
  limits.layers = 100001;
  REFUSED(glow_model_load_input(context, &in, &loaded), GLOW_E_ARGUMENT, "layers is 100001");
  limits.layers = 0;
  limits.file_bytes = in.size - 1;
  REFUSED(glow_model_load_input(context, &in, &loaded), GLOW_E_LIMIT, "(file_bytes)");
  free(b.data);
  glow_model_destroy(&model);
}

/* A file without tensors, of a model of images of this size. */
static glow_input small_file(glow_context *owner, const char *shape, const char *layers) {
  static char architecture[512];
  static const char *const metadata[] = {"glow.format_version", "1.1", "glow.model", architecture};
  glow_input in = GLOW_INPUT_INIT;
  snprintf(architecture, sizeof architecture,
           "{\"input\":%s,\"bits\":8,\"initialised\":true,\"layers\":[%s"
           "{\"name\":\"p\",\"type\":\"prior\",\"options\":{\"learned\":0}}]}",
           shape, layers);
  in.path = temp_path("small");
  OK(glow_tensor_file_write(owner, in.path, NULL, 0, metadata, 2));
  return in;
}

/* What loading takes is told beforehand, and is what is taken. */
static void test_load_bytes(void **state) {
  helper_memory memory = {0};
  glow_context *counted = helper_context(1, NULL, &memory);
  glow_model *model = make(GLOW_PERMUTATION_INVCONV_LU), *loaded = NULL;
  glow_workspace_options o = GLOW_WORKSPACE_OPTIONS_INIT;
  uint64_t values = 1, passes = 1, planned = 0;
  bytes b = save(model, 0);
  glow_input in = in_memory(&b);
  (void)state;
  int64_t before = memory.bytes, live = memory.live;
  OK(glow_model_load_bytes(counted, &in, &values, &passes));
  assert_int_equal(memory.live, live);
  o.batch = 1;
  OK(glow_workspace_plan_bytes(model, &o, &planned));
  assert_int_equal(passes, planned);
  assert_true(values > 4 * (uint64_t)glow_model_parameter_count(model));
  assert_int_equal(glow_model_bytes(model), values);
  OK(glow_model_load_input(counted, &in, &loaded));
  /* beside the values: names, layers and their options */
  assert_in_range(memory.bytes - before, values, values + 100000);
  OK(glow_model_load_bytes(counted, &in, NULL, NULL));
  REFUSED(glow_model_load_bytes(counted, NULL, &values, &passes), GLOW_E_ARGUMENT, "NULL");
  assert_true(values == 0 && passes == 0);
  glow_model_destroy(&loaded);
  glow_model_destroy(&model);
  glow_context_destroy(&counted);
  free(b.data);
}

/* A file of some 250 bytes may describe images for which a pass takes hundreds of GiB. */
static void test_limits_of_passes(void **state) {
  helper_memory memory = {0};
  glow_context *counted = helper_context(1, NULL, &memory);
  glow_limits limits = GLOW_LIMITS_INIT;
  glow_model *model = NULL;
  uint64_t values = 1, passes = 1;
  char words[160];
  glow_input in = small_file(counted, "[65536,65536,4]", "");
  (void)state;
  in.limits = &limits;
  int64_t live = memory.live;
  OK(glow_model_load_bytes(counted, &in, &values, &passes));
  assert_int_equal(values, 0);
  assert_true(passes > (uint64_t)100 << 30);
  limits.workspace_bytes = (int64_t)1 << 30;
  snprintf(words, sizeof words, "a pass of one sample would take %llu bytes; at most 1073741824",
           (unsigned long long)passes);
  REFUSED(glow_model_load_input(counted, &in, &model), GLOW_E_LIMIT, words);
  assert_int_equal(memory.live, live);
  limits.workspace_bytes = (int64_t)passes;
  OK(glow_model_load_input(counted, &in, &model));
  glow_model_destroy(&model);
  glow_context_destroy(&counted);
}

static void test_limits_of_models(void **state) {
  glow_model *model = make(GLOW_PERMUTATION_INVCONV), *loaded = NULL;
  glow_limits limits = GLOW_LIMITS_INIT;
  uint64_t values = 0;
  char words[160];
  (void)state;
  bytes b = save(model, 0);
  glow_input in = in_memory(&b);
  in.limits = &limits;
  OK(glow_model_load_bytes(context, &in, &values, NULL));
  limits.model_bytes = (int64_t)values;
  OK(glow_model_load_input(context, &in, &loaded));
  glow_model_destroy(&loaded);
  limits.model_bytes--;
  snprintf(words, sizeof words, "the model's values would take %llu bytes; at most %llu may be",
           (unsigned long long)values, (unsigned long long)values - 1);
  REFUSED(glow_model_load_input(context, &in, &loaded), GLOW_E_LIMIT, words);
  free(b.data);
  glow_model_destroy(&model);
}

/* ---- half a model ---------------------------------------------------------------------------- */

/* The tensors are those of the layers, but something is left behind the last one: nothing of what
 * was taken for the model stays. */
static void test_no_prior(void **state) {
  static const float zeros[2] = {0, 0};
  static const char architecture[] =
      "{\"input\":[1,1,2],\"bits\":0,\"initialised\":true,\"layers\":"
      "[{\"name\":\"a\",\"type\":\"actnorm\",\"options\":{}}]}";
  static const char *const metadata[] = {"glow.format_version", "1.1", "glow.model", architecture};
  helper_memory memory = {0};
  glow_context *counted = helper_context(1, NULL, &memory);
  glow_file_tensor tensors[2];
  glow_model *model = NULL;
  glow_input in = GLOW_INPUT_INIT;
  int64_t live = memory.live;
  (void)state;
  for (int i = 0; i < 2; i++) {
    tensors[i] = (glow_file_tensor)GLOW_FILE_TENSOR_INIT;
    tensors[i].name = i ? "a.logs" : "a.bias";
    tensors[i].type = GLOW_TYPE_F32;
    tensors[i].rank = 1;
    tensors[i].dims[0] = 2;
    tensors[i].bytes = sizeof zeros;
    tensors[i].data = zeros;
  }
  in.path = temp_path("half");
  OK(glow_tensor_file_write(counted, in.path, tensors, 2, metadata, 2));
  for (in.flags = 0; in.flags <= GLOW_INPUT_MAP; in.flags++) {
    REFUSED(glow_model_load_input(counted, &in, &model), GLOW_E_FORMAT, "must be a prior");
    assert_null(model);
    assert_int_equal(memory.live, live);
  }
  glow_context_destroy(&counted);
}

/* ---- names ----------------------------------------------------------------------------------- */

static void test_no_slash_in_names(void **state) {
  glow_shape shape = {2, 2, 2};
  glow_builder *builder = NULL;
  glow_layer *layer = NULL;
  (void)state;
  OK(glow_builder_create(context, &shape, NULL, &builder));
  OK(glow_squeeze_create(context, NULL, &layer));
  REFUSED(glow_builder_add(builder, "a/m", &layer), GLOW_E_ARGUMENT, "'a/m' has a '/'");
  assert_null(layer);
  glow_builder_destroy(&builder);
}

static int set_up(void **state) {
  (void)state;
  context = helper_context(1, NULL, NULL);
  return temp_folder_make(NULL) ? 0 : -1;
}

static int tear_down(void **state) {
  (void)state;
  glow_context_destroy(&context);
  return temp_folder_remove() ? 0 : -1;
}

int main(int argc, char **argv) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(test_memory_and_callbacks),
      cmocka_unit_test(test_order),
      cmocka_unit_test(test_mapped),
      cmocka_unit_test(test_mapped_copies),
      cmocka_unit_test(test_mapped_training),
      cmocka_unit_test(test_bfloat16),
      cmocka_unit_test(test_not_finite),
      cmocka_unit_test(test_not_loadable),
      cmocka_unit_test(test_checkpoint_not_loadable),
      cmocka_unit_test(test_version_1_0),
      cmocka_unit_test(test_limits),
      cmocka_unit_test(test_load_bytes),
      cmocka_unit_test(test_limits_of_passes),
      cmocka_unit_test(test_limits_of_models),
      cmocka_unit_test(test_no_prior),
      cmocka_unit_test(test_no_slash_in_names),
  };
  if (argc != 2)
    return 2;
  old_files = argv[1];
  return cmocka_run_group_tests(tests, set_up, tear_down);
}
