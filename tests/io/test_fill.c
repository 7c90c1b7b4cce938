/* Filling a model from a tensor file by names: renaming, what is missing, unused and left; types
 * and shapes; refusals, after which the model has the bits that it had.
 * SPDX-License-Identifier: MIT */
#include "../support/hash.h"
#include "../support/model_helpers.h"
#include "../support/temp_folder.h"
#include "io/io.h"

enum { MOST_TENSORS = 200, MOST_NOTES = 200 };

static glow_context *context;

static glow_model *make(int32_t permutation, uint64_t use) {
  glow_glow_options o = helper_small_glow();
  o.permutation = permutation;
  return helper_glow(context, &o, use);
}

/* A model that has seen nothing. */
static glow_model *make_fresh(int32_t permutation) {
  glow_glow_options o = helper_small_glow();
  glow_model *model = NULL;
  o.permutation = permutation;
  o.seed = 99;
  OK(glow_model_create_glow(context, &o, &model));
  return model;
}

/* All tensors, and whether the model is initialised. */
static uint64_t fold(const glow_model *model) {
  uint64_t hash = HASH_INIT;
  for (int32_t i = 0; i < glow_model_tensor_count(model); i++) {
    glow_tensor_info info = GLOW_TENSOR_INFO_INIT;
    OK(glow_model_tensor(model, i, &info));
    uint32_t *bits = helper_allocate((size_t)info.elements * 4);
    OK(glow_model_get_tensor(model, info.name, bits, info.elements));
    hash_words(&hash, bits, (size_t)info.elements * 4);
    free(bits);
  }
  hash_number(&hash, (uint64_t)glow_model_initialised(model));
  return hash;
}

/* ---- a file that is made of the tensors of a model ------------------------------------------- */

typedef struct tensors {
  glow_file_tensor at[MOST_TENSORS];
  char names[MOST_TENSORS][200];
  void *data[MOST_TENSORS];
  int64_t count;
} tensors;

static const char *prefix = "";

static tensors *tensors_of(const glow_model *model) {
  tensors *t = helper_allocate(sizeof *t);
  t->count = glow_model_tensor_count(model);
  assert_in_range(t->count, 1, MOST_TENSORS - 1);
  for (int32_t i = 0; i < t->count; i++) {
    glow_tensor_info info = GLOW_TENSOR_INFO_INIT;
    OK(glow_model_tensor(model, i, &info));
    t->data[i] = helper_allocate((size_t)info.elements * 8); /* of any type */
    OK(glow_model_get_tensor(model, info.name, t->data[i], info.elements));
    snprintf(t->names[i], sizeof t->names[i], "%s%s", prefix, info.name);
    t->at[i] = (glow_file_tensor)GLOW_FILE_TENSOR_INIT;
    t->at[i].name = t->names[i];
    t->at[i].type = info.type;
    t->at[i].rank = info.rank;
    memcpy(t->at[i].dims, info.dims, sizeof info.dims);
    t->at[i].bytes = info.elements * 4;
    t->at[i].data = t->data[i];
  }
  return t;
}

static void tensors_free(tensors *t) {
  for (int64_t i = 0; i < t->count; i++)
    free(t->data[i]);
  free(t);
}

static int64_t tensor_named(const tensors *t, const char *name) {
  for (int64_t i = 0; i < t->count; i++)
    if (strcmp(t->at[i].name, name) == 0)
      return i;
  fail_msg("no tensor %s", name);
  return -1;
}

static void write(const tensors *t) {
  OK(glow_tensor_file_write(context, temp_path("tensors"), t->at, t->count, NULL, 0));
}

static glow_status fill(glow_model *model, const glow_fill_options *options,
                        glow_fill_report *report) {
  glow_input in = GLOW_INPUT_INIT;
  in.path = temp_path("tensors");
  return glow_model_fill(model, &in, options, report);
}

/* ---- the same names -------------------------------------------------------------------------- */

static void test_same_names(void **state) {
  const uint32_t flags[] = {0, GLOW_INPUT_LAZY, GLOW_INPUT_MAP};
  glow_model *model = make(GLOW_PERMUTATION_INVCONV_LU, 3);
  (void)state;
  OK(glow_model_save(model, temp_path("tensors"))); /* a model file is a tensor file */
  for (int i = 0; i < 3; i++) {
    glow_model *filled = make_fresh(GLOW_PERMUTATION_INVCONV_LU);
    glow_fill_report report = GLOW_FILL_REPORT_INIT;
    glow_input in = GLOW_INPUT_INIT;
    in.path = temp_path("tensors");
    in.flags = flags[i];
    assert_int_equal(glow_model_initialised(filled), 0);
    OK(glow_model_fill(filled, &in, NULL, &report));
    assert_int_equal(glow_model_initialised(filled), 1);
    assert_int_equal(report.filled, glow_model_tensor_count(model));
    assert_int_equal(report.missing + report.unused + report.left, 0);
    assert_true(fold(filled) == fold(model));
    glow_model_destroy(&filled);
  }
  glow_model_destroy(&model);
}

/* What was derived from the parameters is of the new ones: a pass gives what the other model gives.
 */
static void test_prepared(void **state) {
  glow_model *model = make(GLOW_PERMUTATION_INVCONV, 3),
             *filled = make(GLOW_PERMUTATION_INVCONV, 4);
  helper_random random = helper_random_of(5);
  int64_t dims = glow_model_dims(model);
  float *x = helper_new_normals(&random, 0.2f, 2 * dims);
  double log_prob[2][2];
  (void)state;
  OK(glow_model_save(model, temp_path("tensors")));
  OK(fill(filled, NULL, NULL));
  for (int i = 0; i < 2; i++) {
    glow_workspace *ws = helper_workspace(i ? filled : model, 2, GLOW_MODE_INFERENCE);
    OK(glow_workspace_log_prob(ws, x, NULL, 2, log_prob[i]));
    glow_workspace_destroy(&ws);
  }
  assert_memory_equal(log_prob[0], log_prob[1], sizeof log_prob[0]);
  free(x);
  glow_model_destroy(&filled);
  glow_model_destroy(&model);
}

/* A model whose parameters are in a mapped file is filled like others, and that file stays. */
static void test_mapped_model(void **state) {
  glow_model *model = make(GLOW_PERMUTATION_INVCONV_LU, 3), *mapped = NULL, *again = NULL;
  glow_model *other = make(GLOW_PERMUTATION_INVCONV_LU, 4);
  glow_input in = GLOW_INPUT_INIT;
  (void)state;
  in.path = temp_path("mapped");
  in.flags = GLOW_INPUT_MAP;
  OK(glow_model_save(other, in.path));
  OK(glow_model_save(model, temp_path("tensors")));
  OK(glow_model_load_input(context, &in, &mapped));
  OK(fill(mapped, NULL, NULL));
  assert_int_equal(glow_model_mapped(mapped), !GLOW_BIG_ENDIAN);
  assert_true(fold(mapped) == fold(model));
  OK(glow_model_load(context, temp_path("mapped"), &again));
  assert_true(fold(again) == fold(other));
  glow_model_destroy(&again);
  glow_model_destroy(&mapped);
  glow_model_destroy(&other);
  glow_model_destroy(&model);
}

/* ---- renaming, and what is told -------------------------------------------------------------- */

typedef struct notes {
  int32_t what[MOST_NOTES];
  char names[MOST_NOTES][200];
  int count;
} notes;

static void take_note(int32_t what, const char *name, void *payload) {
  notes *n = payload;
  assert_in_range(n->count, 0, MOST_NOTES - 1);
  n->what[n->count] = what;
  snprintf(n->names[n->count++], sizeof n->names[0], "%s", name);
}

static int notes_of(const notes *n, int32_t what) {
  int count = 0;
  for (int i = 0; i < n->count; i++)
    count += n->what[i] == what;
  return count;
}

static void check_note(const notes *n, int place, int32_t what, const char *name) {
  assert_in_range(place, 0, n->count - 1);
  assert_int_equal(n->what[place], what);
  assert_string_equal(n->names[place], name);
}

/* "module." before all names, and the prior is left as it is. */
static glow_status rename_module(const char *name, char *out, size_t size, void *payload) {
  (void)payload;
  assert_true(size > 4096); /* the longest name that a file may have, and its end */
  if (strncmp(name, "prior.", 6) != 0)
    snprintf(out, size, "module.%s", name);
  return GLOW_OK;
}

static void test_renaming(void **state) {
  glow_model *model = make(GLOW_PERMUTATION_INVCONV_LU, 3),
             *filled = make_fresh(GLOW_PERMUTATION_INVCONV_LU);
  glow_fill_options o = GLOW_FILL_OPTIONS_INIT;
  glow_fill_report report = GLOW_FILL_REPORT_INIT;
  notes told = {.count = 0};
  (void)state;
  prefix = "module.";
  tensors *t = tensors_of(model);
  prefix = "";
  write(t);
  o.rename = rename_module;
  o.note = take_note;
  o.note_payload = &told;
  OK(fill(filled, &o, &report));
  assert_int_equal(report.left, 2);
  assert_int_equal(report.unused, 2);
  assert_int_equal(report.missing, 0);
  assert_int_equal(report.filled, t->count - 2);
  assert_int_equal(told.count, 4);
  check_note(&told, 0, GLOW_TENSOR_LEFT, "prior.mean");
  check_note(&told, 1, GLOW_TENSOR_LEFT, "prior.logs");
  check_note(&told, 2, GLOW_TENSOR_UNUSED, "module.prior.mean");
  check_note(&told, 3, GLOW_TENSOR_UNUSED, "module.prior.logs");
  assert_int_equal(glow_model_initialised(filled), 0); /* not every tensor was filled */
  float mean[8];
  OK(glow_model_get_tensor(filled, "level0.step0.actnorm.bias", mean, 8));
  assert_memory_equal(mean, t->data[tensor_named(t, "module.level0.step0.actnorm.bias")],
                      sizeof mean);
  tensors_free(t);
  glow_model_destroy(&filled);
  glow_model_destroy(&model);
}

static void test_missing(void **state) {
  glow_model *model = make(GLOW_PERMUTATION_INVCONV_LU, 3),
             *filled = make(GLOW_PERMUTATION_INVCONV_LU, 4);
  glow_fill_options o = GLOW_FILL_OPTIONS_INIT;
  glow_fill_report report = GLOW_FILL_REPORT_INIT;
  notes told = {.count = 0};
  float before[8], after[8];
  (void)state;
  tensors *t = tensors_of(model);
  uint64_t hash = fold(filled);
  int64_t bias = tensor_named(t, "level0.step0.actnorm.bias");
  snprintf(t->names[bias], sizeof t->names[0], "level0.step0.actnorm.b");
  write(t);
  o.note = take_note;
  o.note_payload = &told;
  REFUSED(fill(filled, &o, &report), GLOW_E_NOT_FOUND,
          "tensors': the file has no tensor 'level0.step0.actnorm.bias' for the model's "
          "'level0.step0.actnorm.bias'; 1 of ");
  assert_true(fold(filled) == hash);
  assert_int_equal(report.missing, 1); /* all is told nevertheless */
  assert_int_equal(report.unused, 1);
  assert_int_equal(report.filled, t->count - 1);
  assert_int_equal(told.count, 2);
  check_note(&told, 0, GLOW_TENSOR_MISSING, "level0.step0.actnorm.bias");
  check_note(&told, 1, GLOW_TENSOR_UNUSED, "level0.step0.actnorm.b");
  OK(glow_model_get_tensor(filled, "level0.step0.actnorm.bias", before, 8));
  o.partial = 1;
  OK(fill(filled, &o, &report));
  assert_int_equal(report.missing, 1);
  OK(glow_model_get_tensor(filled, "level0.step0.actnorm.bias", after, 8));
  assert_memory_equal(before, after, sizeof before);
  OK(glow_model_get_tensor(filled, "level0.step0.actnorm.logs", after, 8));
  assert_memory_equal(after, t->data[tensor_named(t, "level0.step0.actnorm.logs")], sizeof after);
  tensors_free(t);
  glow_model_destroy(&filled);
  glow_model_destroy(&model);
}

/* Nothing in common: every tensor is told of, and with `partial` that is no error. */
static void test_nothing_fits(void **state) {
  glow_model *model = make(GLOW_PERMUTATION_INVCONV_LU, 3);
  glow_fill_options o = GLOW_FILL_OPTIONS_INIT;
  glow_fill_report report = GLOW_FILL_REPORT_INIT;
  notes told = {.count = 0};
  (void)state;
  prefix = "x";
  tensors *t = tensors_of(model);
  prefix = "";
  write(t);
  uint64_t hash = fold(model);
  o.note = take_note;
  o.note_payload = &told;
  o.partial = 1;
  OK(fill(model, &o, &report));
  assert_int_equal(report.filled, 0);
  assert_int_equal(notes_of(&told, GLOW_TENSOR_MISSING), t->count);
  assert_int_equal(notes_of(&told, GLOW_TENSOR_UNUSED), t->count);
  assert_true(fold(model) == hash);
  tensors_free(t);
  glow_model_destroy(&model);
}

/* One tensor of the file may fill several of the model. */
static glow_status rename_to_one(const char *name, char *out, size_t size, void *payload) {
  const char *bias = strstr(name, "actnorm.bias");
  (void)payload;
  if (bias && strncmp(name, "level0.", 7) == 0)
    snprintf(out, size, "shared");
  return GLOW_OK;
}

static void test_shared(void **state) {
  const float values[8] = {1, 2, 3, 4, 5, 6, 7, 8};
  glow_model *model = make(GLOW_PERMUTATION_INVCONV_LU, 3);
  glow_file_tensor t = GLOW_FILE_TENSOR_INIT;
  glow_fill_options o = GLOW_FILL_OPTIONS_INIT;
  glow_fill_report report = GLOW_FILL_REPORT_INIT;
  float found[8];
  (void)state;
  t.name = "shared";
  t.type = GLOW_TYPE_F32;
  t.rank = 1;
  t.dims[0] = 8;
  t.bytes = sizeof values;
  t.data = values;
  OK(glow_tensor_file_write(context, temp_path("tensors"), &t, 1, NULL, 0));
  o.rename = rename_to_one;
  OK(fill(model, &o, &report));
  assert_int_equal(report.filled, 2);
  assert_int_equal(report.unused, 0);
  for (int i = 0; i < 2; i++) {
    OK(glow_model_get_tensor(model, i ? "level0.step1.actnorm.bias" : "level0.step0.actnorm.bias",
                             found, 8));
    assert_memory_equal(found, values, sizeof values);
  }
  glow_model_destroy(&model);
}

/* ---- types ----------------------------------------------------------------------------------- */

/* Gives tensor `i` another type, with the bytes of `elements` of it. */
static void retype(tensors *t, int64_t i, int32_t type, const void *bytes, size_t size) {
  t->at[i].type = type;
  t->at[i].bytes = (int64_t)size;
  memcpy(t->data[i], bytes, size);
}

static void check_filled(const tensors *t, const float expected[8]) {
  glow_model *filled = make_fresh(GLOW_PERMUTATION_INVCONV_LU);
  float found[8];
  write(t);
  OK(fill(filled, NULL, NULL));
  OK(glow_model_get_tensor(filled, "level0.step0.actnorm.bias", found, 8));
  assert_memory_equal(found, expected, sizeof found);
  glow_model_destroy(&filled);
}

static void test_reals(void **state) {
  /* between 1 and its neighbour, to even; beyond it by the least; the other tie; below what float32
   * can tell from 0; its largest */
  const double doubles[8] = {
      0.1,    -2.5, 1 + ldexp(1, -24),    1 + ldexp(1, -24) + ldexp(1, -50), 1 + 3 * ldexp(1, -24),
      1e-300, -0.0, 3.4028234663852886e38};
  const float of_doubles[8] = {
      0.1f, -2.5f, 1, 1 + 1.1920929e-7f, 1 + 2 * 1.1920929e-7f, 0, -0.0f, 3.4028234663852886e38f};
  /* 1, -2, its largest, the least normal, the least of all, -0, 1/3, 0 */
  const uint16_t halves[8] = {0x3c00, 0xc000, 0x7bff, 0x0400, 0x0001, 0x8000, 0x3555, 0};
  const float of_halves[8] = {
      1, -2, 65504, 6.103515625e-05f, 5.9604644775390625e-08f, -0.0f, 0.333251953125f, 0};
  const uint16_t upper[8] = {0x3f80, 0xc000, 0x7f7f, 0x0080, 0x0001, 0x8000, 0x3eab, 0};
  glow_model *model = make(GLOW_PERMUTATION_INVCONV_LU, 3);
  tensors *t = tensors_of(model);
  int64_t bias = tensor_named(t, "level0.step0.actnorm.bias");
  float of_upper[8];
  (void)state;
  for (int i = 0; i < 8; i++) {
    uint32_t bits = (uint32_t)upper[i] << 16;
    memcpy(&of_upper[i], &bits, sizeof bits);
  }
  retype(t, bias, GLOW_TYPE_F64, doubles, sizeof doubles);
  check_filled(t, of_doubles);
  retype(t, bias, GLOW_TYPE_F16, halves, sizeof halves);
  check_filled(t, of_halves);
  retype(t, bias, GLOW_TYPE_BF16, upper, sizeof upper);
  check_filled(t, of_upper);
  tensors_free(t);
  glow_model_destroy(&model);
}

static void test_whole_numbers(void **state) {
  const int64_t order[8] = {7, 0, 1, 2, 3, 4, 6, 5};
  glow_model *model = make(GLOW_PERMUTATION_INVCONV_LU, 3),
             *filled = make_fresh(GLOW_PERMUTATION_INVCONV_LU);
  tensors *t = tensors_of(model);
  int32_t found[8];
  (void)state;
  retype(t, tensor_named(t, "level0.step0.invconv.perm"), GLOW_TYPE_I64, order, sizeof order);
  write(t);
  OK(fill(filled, NULL, NULL));
  OK(glow_model_get_tensor(filled, "level0.step0.invconv.perm", found, 8));
  for (int i = 0; i < 8; i++)
    assert_int_equal(found[i], order[i]);
  tensors_free(t);
  glow_model_destroy(&filled);
  glow_model_destroy(&model);
}

/* More than what is converted at a time. */
static void test_large(void **state) {
  glow_glow_options o = helper_small_glow();
  glow_model *model = NULL;
  (void)state;
  o.hidden = 70;
  model = helper_glow(context, &o, 3);
  tensors *t = tensors_of(model);
  int64_t i = tensor_named(t, "level0.step0.coupling.net.conv2.weight");
  float *singles = helper_allocate(4900 * sizeof *singles);
  double *doubles = t->data[i];
  OK(glow_model_get_tensor(model, t->at[i].name, singles, 4900));
  for (int k = 0; k < 4900; k++)
    doubles[k] = (double)singles[k];
  t->at[i].type = GLOW_TYPE_F64;
  t->at[i].bytes = 4900 * 8;
  write(t);
  glow_model *filled = helper_glow(context, &o, 4);
  OK(fill(filled, NULL, NULL));
  assert_true(fold(filled) == fold(model));
  glow_model_destroy(&filled);
  free(singles);
  tensors_free(t);
  glow_model_destroy(&model);
}

/* ---- shapes ---------------------------------------------------------------------------------- */

static void reshape(tensors *t, int64_t i, int32_t rank, const int64_t *dims) {
  t->at[i].rank = rank;
  memmove(t->at[i].dims, dims, (size_t)rank * sizeof *dims);
}

static void test_sides_of_one(void **state) {
  glow_model *model = make(GLOW_PERMUTATION_INVCONV_LU, 3),
             *filled = make_fresh(GLOW_PERMUTATION_INVCONV_LU);
  tensors *t = tensors_of(model);
  int64_t weight = tensor_named(t, "level0.step0.coupling.net.conv2.weight"); /* [8, 8, 1, 1] */
  (void)state;
  reshape(t, tensor_named(t, "level0.step0.actnorm.bias"), 4, (const int64_t[]){1, 8, 1, 1});
  reshape(t, weight, 2, t->at[weight].dims);
  write(t);
  OK(fill(filled, NULL, NULL));
  assert_true(fold(filled) == fold(model));
  tensors_free(t);
  glow_model_destroy(&filled);
  glow_model_destroy(&model);
}

/* ---- refusals -------------------------------------------------------------------------------- */

static void refuse(const tensors *t, glow_status status, const char *words) {
  glow_model *model = make(GLOW_PERMUTATION_INVCONV_LU, 4);
  helper_random random = helper_random_of(6);
  float *x = helper_new_normals(&random, 0.2f, glow_model_dims(model));
  glow_workspace *ws = helper_workspace(model, 1, GLOW_MODE_INFERENCE);
  double before = 0, after = 1;
  uint64_t hash = fold(model);
  OK(glow_workspace_log_prob(ws, x, NULL, 1, &before));
  write(t);
  REFUSED(fill(model, NULL, NULL), status, words);
  assert_true(fold(model) == hash);
  OK(glow_workspace_log_prob(ws, x, NULL, 1, &after)); /* it is still prepared */
  assert_memory_equal(&before, &after, sizeof before);
  glow_workspace_destroy(&ws);
  free(x);
  glow_model_destroy(&model);
}

static void test_bad_tensors(void **state) {
  glow_model *model = make(GLOW_PERMUTATION_INVCONV_LU, 3);
  const double large[8] = {0, 0, 0, -3.5e38}, odd[8] = {0, NAN};
  const uint16_t infinite[8] = {0, 0, 0, 0, 0, 0, 0, 0xfc00};
  const int64_t far[8] = {0, 1, 2, 3, 4, 5, 6, INT64_C(4294967303)}; /* 7 in 32 bits */
  const uint8_t bytes[8] = {0};
  (void)state;
  for (int i = 0; i < 9; i++) {
    tensors *t = tensors_of(model);
    int64_t bias = tensor_named(t, "level0.step0.actnorm.bias");
    int64_t perm = tensor_named(t, "level0.step0.invconv.perm");
    if (i == 0)
      reshape(t, bias, 2, (const int64_t[]){2, 4});
    if (i == 1)
      retype(t, bias, GLOW_TYPE_U8, bytes, sizeof bytes);
    if (i == 2)
      retype(t, bias, GLOW_TYPE_F64, large, sizeof large);
    if (i == 3)
      retype(t, bias, GLOW_TYPE_F64, odd, sizeof odd);
    if (i == 4)
      retype(t, bias, GLOW_TYPE_F16, infinite, sizeof infinite);
    if (i == 5)
      retype(t, perm, GLOW_TYPE_I64, far, sizeof far);
    if (i == 6)
      retype(t, perm, GLOW_TYPE_F32, bytes, 0), t->at[perm].bytes = 32;
    if (i == 7)
      memset(t->data[perm], 0, 32);
    if (i == 8)
      retype(t, bias, GLOW_TYPE_I32, t->data[bias], 32);
    static const char *const words[] = {
        "'level0.step0.actnorm.bias' has the shape [2, 4]; 'level0.step0.actnorm.bias' has [8]",
        "is of type U8; 'level0.step0.actnorm.bias' takes F64, F32, BF16 or F16",
        "'level0.step0.actnorm.bias': element 3 is -3.5e+38, too large for float32",
        "'level0.step0.actnorm.bias': element 1 is not finite",
        "'level0.step0.actnorm.bias': element 7 is not finite",
        "'level0.step0.invconv.perm': element 7 is 4294967303, too large for int32",
        "is of type F32; 'level0.step0.invconv.perm' takes I64 or I32",
        "layer 'level0.step0.invconv': perm is not a permutation",
        "is of type I32; 'level0.step0.actnorm.bias' takes F64, F32, BF16 or F16"};
    refuse(t, i == 7 ? GLOW_E_NUMERIC : GLOW_E_FORMAT, words[i]);
    tensors_free(t);
  }
  glow_model_destroy(&model);
}

/* A model that was not prepared before is not prepared after a refusal, and has its values. */
static void test_not_prepared(void **state) {
  const float zeros[64] = {0};
  glow_model *model = make(GLOW_PERMUTATION_INVCONV, 3), *other = make(GLOW_PERMUTATION_INVCONV, 4);
  (void)state;
  tensors *t = tensors_of(model);
  memset(t->data[tensor_named(t, "level0.step0.invconv.weight")], 0, sizeof zeros);
  write(t);
  OK(glow_model_set_tensor(other, "level0.step1.invconv.weight", zeros, 64));
  uint64_t hash = fold(other);
  REFUSED(fill(other, NULL, NULL), GLOW_E_NUMERIC,
          "layer 'level0.step0.invconv': the 8 x 8 weight matrix is singular");
  assert_true(fold(other) == hash);
  REFUSED(glow_model_prepare(other), GLOW_E_NUMERIC, "level0.step1.invconv");
  OK(glow_model_save(model, temp_path("tensors")));
  OK(fill(other, NULL, NULL)); /* and can be filled by values that are right */
  assert_true(fold(other) == fold(model));
  tensors_free(t);
  glow_model_destroy(&other);
  glow_model_destroy(&model);
}

/* ---- arguments ------------------------------------------------------------------------------- */

static glow_status rename_failing(const char *name, char *out, size_t size, void *payload) {
  (void)out, (void)size, (void)payload;
  return strcmp(name, "prior.mean") == 0 ? GLOW_E_CANCELLED : GLOW_OK;
}

static glow_status rename_endless(const char *name, char *out, size_t size, void *payload) {
  (void)name, (void)payload;
  memset(out, 'a', size);
  return GLOW_OK;
}

static void test_bad_functions(void **state) {
  glow_model *model = make(GLOW_PERMUTATION_INVCONV_LU, 3);
  glow_fill_options o = GLOW_FILL_OPTIONS_INIT;
  uint64_t hash = fold(model);
  (void)state;
  OK(glow_model_save(model, temp_path("tensors")));
  o.rename = rename_failing;
  REFUSED(fill(model, &o, NULL), GLOW_E_CANCELLED,
          "the renaming function failed for tensor 'prior.mean'");
  o.rename = rename_endless;
  REFUSED(fill(model, &o, NULL), GLOW_E_ARGUMENT,
          "the renaming function gave tensor 'level0.step0.actnorm.bias' a name that does not end "
          "within 4097 bytes");
  assert_true(fold(model) == hash);
  glow_model_destroy(&model);
}

static void test_arguments(void **state) {
  glow_model *model = make(GLOW_PERMUTATION_INVCONV_LU, 3), *form = NULL;
  glow_fill_options o = GLOW_FILL_OPTIONS_INIT;
  glow_fill_report report = GLOW_FILL_REPORT_INIT;
  glow_input in = GLOW_INPUT_INIT;
  char words[60];
  (void)state;
  in.path = temp_path("tensors");
  OK(glow_model_save(model, in.path));
  REFUSED(glow_model_fill(NULL, &in, NULL, NULL), GLOW_E_ARGUMENT, "glow_model_fill: NULL");
  REFUSED(glow_model_fill(model, NULL, NULL, NULL), GLOW_E_ARGUMENT, "glow_model_fill: NULL");
  o.partial = 2;
  REFUSED(fill(model, &o, NULL), GLOW_E_ARGUMENT, "partial is 2");
  o.partial = 0;
  o.reserved = 1;
  REFUSED(fill(model, &o, NULL), GLOW_E_ARGUMENT, "reserved 1");
  o.reserved = 0;
  o.struct_size = sizeof o - 1;
  REFUSED(fill(model, &o, NULL), GLOW_E_ARGUMENT, "glow_fill_options");
  struct {
    glow_fill_options options;
    unsigned char newer[16];
  } longer = {.options = GLOW_FILL_OPTIONS_INIT};
  longer.options.struct_size = sizeof longer;
  OK(fill(model, &longer.options, NULL));
  longer.newer[7] = 1;
  snprintf(words, sizeof words, "glow_fill_options: byte %zu", sizeof o + 7);
  REFUSED(fill(model, &longer.options, NULL), GLOW_E_ARGUMENT, words);
  report.struct_size = sizeof report - 1;
  REFUSED(fill(model, NULL, &report), GLOW_E_ARGUMENT, "glow_fill_report");
  in.path = temp_path("nowhere");
  REFUSED(glow_model_fill(model, &in, NULL, NULL), GLOW_E_NOT_FOUND, "nowhere");
  OK(glow_model_inference_form(model, &form));
  REFUSED(fill(form, NULL, NULL), GLOW_E_STATE, "an inference form cannot be filled");
  glow_model_destroy(&form);
  glow_model_destroy(&model);
}

static helper_memory memory;

static int set_up(void **state) {
  (void)state;
  context = helper_context(1, NULL, &memory);
  return temp_folder_make(NULL) ? 0 : -1;
}

static int tear_down(void **state) {
  (void)state;
  glow_context_destroy(&context);
  return temp_folder_remove() && memory.live == 0 ? 0 : -1;
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(test_same_names),    cmocka_unit_test(test_prepared),
      cmocka_unit_test(test_mapped_model),  cmocka_unit_test(test_renaming),
      cmocka_unit_test(test_missing),       cmocka_unit_test(test_nothing_fits),
      cmocka_unit_test(test_shared),        cmocka_unit_test(test_reals),
      cmocka_unit_test(test_whole_numbers), cmocka_unit_test(test_large),
      cmocka_unit_test(test_sides_of_one),  cmocka_unit_test(test_bad_tensors),
      cmocka_unit_test(test_not_prepared),  cmocka_unit_test(test_bad_functions),
      cmocka_unit_test(test_arguments),
  };
  return cmocka_run_group_tests(tests, set_up, tear_down);
}
