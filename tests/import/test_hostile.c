/* Files that are not what they seem: each is a good one in which one thing was changed. All are
 * refused with a status and words that tell the tensor, nothing stays allocated, and no model comes
 * out. Then memory and reading fail at each place in turn. SPDX-License-Identifier: MIT */
#include "import_helpers.h"
#include <glow/import.h>

enum { MOST_TENSORS = 6000, ROOM = 8 << 20, MOST_FAILURES = 4000 };

/* ---- a file that can be changed -------------------------------------------------------------- */

static struct {
  glow_context *context;
  glow_file_tensor tensors[MOST_TENSORS];
  void *owned[2 * MOST_TENSORS];
  int64_t count, owned_count;
  glow_import_options options;
  vectors vectors;
  unsigned char *bytes;
  int64_t size;
} f;

static void *own(void *memory) {
  assert_true(f.owned_count < 2 * MOST_TENSORS);
  return f.owned[f.owned_count++] = memory;
}

static char *own_text(const char *text) {
  return strcpy(own(helper_allocate(strlen(text) + 1)), text);
}

static void start(const char *name) {
  glow_tensor_file *file = NULL;
  memset(&f, 0, sizeof f);
  f.context = helper_context(1, NULL, NULL);
  f.bytes = helper_allocate(ROOM);
  f.options = (glow_import_options)GLOW_IMPORT_OPTIONS_INIT;
  vectors_open(f.context, name, &f.vectors);
  f.options.height = f.vectors.height;
  f.options.width = f.vectors.width;
  OK(glow_tensor_file_open(f.context, vectors_path(name, ".safetensors"), &file));
  f.count = glow_tensor_file_tensor_count(file);
  for (int64_t i = 0; i < f.count; i++) {
    glow_file_tensor *t = &f.tensors[i];
    *t = (glow_file_tensor)GLOW_FILE_TENSOR_INIT;
    OK(glow_tensor_file_get(file, i, t));
    t->name = own_text(t->name);
    t->data = memcpy(own(helper_allocate((size_t)t->bytes)), t->data, (size_t)t->bytes);
  }
  glow_tensor_file_close(&file);
}

static void stop(void) {
  for (int64_t i = 0; i < f.owned_count; i++)
    free(f.owned[i]);
  vectors_close(&f.vectors);
  glow_context_destroy(&f.context);
  free(f.bytes);
}

static glow_file_tensor *get(const char *name) {
  for (int64_t i = 0; i < f.count; i++)
    if (strcmp(f.tensors[i].name, name) == 0)
      return &f.tensors[i];
  fail_msg("no tensor '%s'", name);
  return NULL;
}

static void drop(const char *name) {
  glow_file_tensor *t = get(name);
  memmove(t, t + 1, (size_t)(f.tensors + f.count - t - 1) * sizeof *t);
  f.count--;
}

static int64_t size_of(int32_t type) {
  return type == GLOW_TYPE_F64 || type == GLOW_TYPE_I64 ? 8
         : type == GLOW_TYPE_BF16                       ? 2
         : type == GLOW_TYPE_U8                         ? 1
                                                        : 4;
}

/* Zeros of this shape; rank in the text of dims, "1,4,1,1". */
static void shape(glow_file_tensor *t, int32_t type, const char *dims) {
  t->type = type;
  t->rank = 0;
  t->bytes = size_of(type);
  memset(t->dims, 0, sizeof t->dims);
  for (char *at = (char *)(uintptr_t)dims; *at; at += *at == ',') {
    t->dims[t->rank] = strtoll(at, &at, 10);
    t->bytes *= t->dims[t->rank++];
  }
  t->data = own(calloc(1, (size_t)t->bytes + 1));
  assert_non_null(t->data);
}

static void reshape(const char *name, const char *dims) {
  shape(get(name), GLOW_TYPE_F32, dims);
}

static void add(const char *name, int32_t type, const char *dims) {
  assert_true(f.count < MOST_TENSORS);
  glow_file_tensor *t = &f.tensors[f.count++];
  *t = (glow_file_tensor)GLOW_FILE_TENSOR_INIT;
  t->name = own_text(name);
  shape(t, type, dims);
}

static void put(const char *name, int64_t index, float value) {
  glow_file_tensor *t = get(name);
  memcpy((char *)(uintptr_t)t->data + 4 * index, &value, sizeof value);
}

static void put_integer(const char *name, int64_t index, int32_t value) {
  glow_file_tensor *t = get(name);
  memcpy((char *)(uintptr_t)t->data + 4 * index, &value, sizeof value);
}

static void write_bytes(void) {
  glow_output output = GLOW_OUTPUT_INIT;
  size_t written = 0;
  output.buffer = f.bytes;
  output.capacity = ROOM;
  output.written = &written;
  OK(glow_tensor_file_write_output(f.context, &output, f.tensors, f.count, NULL, 0));
  f.size = (int64_t)written;
}

static glow_status import_in(glow_context *context, glow_model **model) {
  glow_input input = GLOW_INPUT_INIT;
  input.data = f.bytes;
  input.size = f.size;
  return glow_model_import(context, &input, &f.options, model);
}

/* Writes the changed file and imports it with counted memory. */
static void refused(glow_status expected, const char *words) {
  helper_memory memory = {0};
  glow_context *context = helper_context(1, NULL, &memory);
  glow_model *model = (glow_model *)&memory;
  int64_t live = memory.live;
  write_bytes();
  glow_status status = import_in(context, &model);
  if (status != expected || !strstr(glow_last_error(), words))
    fail_msg("%s: '%s' where %s and '%s' were expected", glow_status_name(status),
             glow_last_error(), glow_status_name(expected), words);
  assert_null(model);
  assert_int_equal(memory.live, live);
  glow_context_destroy(&context);
}

static void accepted(void) {
  glow_model *model = NULL;
  write_bytes();
  OK(import_in(f.context, &model));
  glow_model_destroy(&model);
}

/* CHANGE, one statement, in a good file NAME, is refused. */
#define CASE(name, change, words)                                                                  \
  do {                                                                                             \
    start(name);                                                                                   \
    change;                                                                                        \
    refused(GLOW_E_FORMAT, words);                                                                 \
    stop();                                                                                        \
  } while (0)

/* ---- y0ast/Glow-PyTorch ---------------------------------------------------------------------- */

#define LU "y0ast_affine_lu"
#define STEP "flow.layers.1."

static void test_names_and_shapes(void **state) {
  (void)state;
  CASE(LU, drop(STEP "actnorm.logs"), "no tensor 'flow.layers.1.actnorm.logs'");
  CASE(LU, drop(STEP "actnorm.bias"), "names are those of none");
  CASE(LU, drop("flow.layers.2.actnorm.bias"), "0 to 6 are not levels of 1 steps");
  CASE(LU, drop("flow.layers.6.actnorm.bias"), "no tensor 'flow.layers.6.actnorm.bias'");
  CASE(LU, drop("flow.layers.3.conv.conv.weight"), "no tensor 'flow.layers.3.conv.conv.weight'");
  CASE(LU, drop("prior_h"), "no tensor 'prior_h'");
  CASE(LU, drop("learn_top_fn.logs"), "no tensor 'learn_top_fn.logs'");
  CASE(LU, drop(STEP "invconv.sign_s"), "no tensor 'flow.layers.1.invconv.sign_s'");
  CASE(LU, reshape(STEP "invconv.p", "4,3"), "'flow.layers.1.invconv.p' has the shape [4, 3]");
  CASE(LU, reshape(STEP "invconv.log_s", "4,1"), "[4, 1], but [4] would fit");
  CASE(LU, reshape(STEP "actnorm.bias", "1,6,1,1"), "6 channels");
  CASE(LU, reshape(STEP "actnorm.bias", "4"), "has 1 dimensions; it must have 4");
  CASE(LU, reshape(STEP "actnorm.bias", "1,8,1,1"), "'flow.layers.1.actnorm.logs' has");
  CASE(LU, reshape(STEP "block.4.conv.weight", "3,10,3,3"), "has 3 outputs");
  CASE(LU, reshape(STEP "block.0.conv.weight", "9,2,3,3"),
       "[1, 10, 1, 1], but [1, 9, 1, 1] would fit");
  CASE(LU, reshape(STEP "block.0.conv.weight", "70000,2,3,3"),
       "dimension 0 is 70000; it must be 1 to");
  CASE(LU, reshape("flow.layers.5.block.2.actnorm.bias", "1,10,1"), "[1, 10, 1], but");
  CASE(LU, reshape("prior_h", "1,16,0,2"), "dimension 2 is 0");
  CASE(LU, reshape("prior_h", "1,16,2"), "has 3 dimensions; it must have 4");
  CASE(LU, reshape("prior_h", "1,12,2,2"), "'prior_h' has the shape [1, 12, 2, 2]");
  CASE(LU, add("surprise", GLOW_TYPE_F32, "1"), "'surprise' has no place");
  CASE(LU, add("flow.layers.7.actnorm.bias", GLOW_TYPE_F32, "1"), "0 to 7 are not levels");
  CASE(LU, add("flow.layers.10.actnorm.bias", GLOW_TYPE_F32, "1"),
       "no tensor 'flow.layers.9.actnorm.bias'");
  CASE(LU, add("flow.layers.99999999999999999999.x", GLOW_TYPE_F32, "1"), "levels");
  CASE(LU, add("flow.layers.x", GLOW_TYPE_F32, "1"), "'flow.layers.x' has no place");
  CASE(LU, add("module.flow.layers.1.actnorm.bias", GLOW_TYPE_F32, "1"), "has no place");
  CASE(LU, shape(get(STEP "actnorm.bias"), GLOW_TYPE_I32, "1,4,1,1"), "not of floating-point");
  CASE(LU, shape(get(STEP "actnorm.bias"), GLOW_TYPE_U8, "1,4,1,1"), "not of floating-point");
}

static void test_values(void **state) {
  (void)state;
  CASE(LU, put(STEP "block.0.conv.weight", 7, NAN),
       "'flow.layers.1.block.0.conv.weight': element 7 is not finite");
  CASE(LU, put("flow.layers.6.invconv.log_s", 1, INFINITY), "element 1 is not finite");
  CASE(LU, put("learn_top_fn.conv.weight", 3, -INFINITY), "element 3 is not finite");
  CASE(LU, put(STEP "invconv.p", 0, 0.5f), "not a permutation matrix at row");
  CASE(LU, (put(STEP "invconv.p", 0, 1), put(STEP "invconv.p", 1, 1)), "not a permutation");
  CASE(LU, shape(get(STEP "invconv.p"), GLOW_TYPE_F32, "4,4"), "not a permutation");
  CASE(LU, put(STEP "invconv.sign_s", 2, 0), "'flow.layers.1.invconv.sign_s': element 2 is 0");
  CASE(LU, put(STEP "invconv.log_s", 2, 500), "'level0.step0.invconv'");
  CASE(LU, put("prior_h", 5, 1e-3f), "'prior_h' is not all zeros: element 5");
  CASE(LU, put("learn_top_fn.logs", 4, 100), "'prior.mean': element 4 becomes");
}

static void test_permutations_that_are_not_there(void **state) {
  (void)state;
  CASE("y0ast_affine_reverse", (void)0, "reversed or shuffled");
  CASE("y0ast_affine_shuffle_classes", put_integer(STEP "shuffle.indices", 0, 77),
       "'flow.layers.1.shuffle.indices' is not a permutation");
  CASE("y0ast_affine_shuffle_classes", put_integer(STEP "shuffle.indices", 1, -1),
       "not a permutation");
  CASE("y0ast_affine_shuffle_classes", shape(get(STEP "shuffle.indices"), GLOW_TYPE_F32, "4"),
       "not of whole numbers");
  CASE("y0ast_affine_shuffle_classes", drop("flow.layers.4.shuffle.indices"),
       "no permutation at 'flow.layers.4.'");
}

static void test_classes(void **state) {
  const char *name = "y0ast_additive_plain_classes";
  (void)state;
  CASE(name, drop("project_ycond.linear.weight"), "no prior of the classes");
  CASE(name, drop("project_ycond.logs"), "no tensor 'project_ycond.logs'");
  CASE(name, reshape("project_class.linear.weight", "5,8"), "[5, 8], but [4, 8] would fit");
  CASE(name, reshape("project_ycond.linear.weight", "1,2000000"), "it must be 1 to 1000000");
  CASE(name, shape(get(STEP "invconv.weight"), GLOW_TYPE_F32, "4,4"), "singular");
}

/* ---- the others ------------------------------------------------------------------------------ */

static void test_openai(void **state) {
  const char *name = "openai_affine_plain", *shuffled = "openai_affine_shuffle_classes";
  (void)state;
  CASE(name, drop("model/1/1/f1/l_2/W"), "no tensor 'model/1/1/f1/l_2/W'");
  CASE(name, drop("model/0/1/actnorm_center/b"), "no tensor 'model/0/1/actnorm_center/b'");
  CASE(name, (drop("model/0/1/actnorm_center/b"), drop("model/0/1/actnorm_scale/logs")),
       "has no place");
  CASE(name, drop("model/pool0/conv/W"), "no tensor 'model/pool0/conv/W'");
  CASE(name, drop("model/0/1/invconv/W"),
       "'model/0/1/' has another form than the first"); /* no reversal */
  CASE(name, reshape("model/0/0/f1/l_1/W", "3,3,2,10"),
       "[3, 3, 2, 10], but [3, 3, 3, 10] would fit");
  CASE(name, reshape("model/0/0/f1/l_last/W", "10,3,3,4"), "[10, 3, 3, 4], but");
  CASE(name, put("model/0/0/f1/l_last/logs", 1, NAN), "element 1 is not finite");
  CASE(name, put("model/0/0/actnorm_scale/logs", 1, 3e38f), "'level0.step0.actnorm.logs'");
  CASE(name, add("model/0/0/f1/l_3/W", GLOW_TYPE_F32, "1"), "'model/0/0/f1/l_3/W' has no place");
  CASE(name, f.options.format = GLOW_FORMAT_Y0AST, "every model of y0ast/Glow-PyTorch has");
  CASE(shuffled, put_integer("model/0/0/shuffle/indices", 0, 12), "not a permutation");
  CASE(shuffled,
       put_integer("model/0/0/shuffle/indices_inverse", 0,
                   *(const int32_t *)get("model/0/0/shuffle/indices_inverse")->data ^ 1),
       "shuffle/indices_inverse'");
  CASE(shuffled, add("model/classifier/W", GLOW_TYPE_F32, "24,4"),
       "[24, 4], but [24, 3] would fit");
  CASE("openai_additive_lu_classes", drop("model/prior/y_emb/W"), "no prior of the classes");
  CASE("openai_additive_lu_classes", put("model/0/0/invconv/sign_S", 0, 2), "it must be -1 or 1");
}

static void test_rosinality(void **state) {
  const char *name = "rosinality_affine_lu", *plain = "rosinality_additive_plain";
  (void)state;
  CASE(name, put("blocks.0.flows.1.actnorm.scale", 3, 0),
       "'blocks.0.flows.1.actnorm.scale': element 3 is 0");
  CASE(name, shape(get("blocks.1.flows.0.actnorm.initialized"), GLOW_TYPE_U8, ""),
       "'blocks.1.flows.0.actnorm.initialized' is 0");
  CASE(name, shape(get("blocks.1.flows.0.actnorm.initialized"), GLOW_TYPE_U8, "3"),
       "is not one number");
  CASE(name, drop("blocks.1.prior.scale"), "no tensor 'blocks.1.prior.scale'");
  CASE(name, reshape("blocks.1.prior.conv.weight", "16,16,3,3"), "but [16, 8, 3, 3] would fit");
  CASE(name, drop("blocks.0.flows.0.invconv.w_p"), "no tensor 'blocks.0.flows.0.invconv.w_p'");
  CASE(name, drop("blocks.0.flows.0.coupling.net.2.bias"), "coupling.net.2.bias'");
  CASE(plain, drop("module.blocks.1.flows.0.actnorm.loc"),
       "no tensor 'module.blocks.1.flows.0.actnorm.loc'");
  CASE(plain, put("module.blocks.2.flows.0.coupling.net.4.scale", 0, NAN), "not finite");
  CASE(plain, shape(get("module.blocks.0.flows.0.invconv.weight"), GLOW_TYPE_F32, "4,4,1,1"),
       "layer 'level0.step0.invconv'");
}

/* ---- counts, sizes, options ------------------------------------------------------------------ */

static void many(const char *format, int count) {
  char name[64];
  f.count = 0;
  for (int i = 0; i < count; i++) {
    snprintf(name, sizeof name, format, i);
    add(name, GLOW_TYPE_F32, "1,4,1,1");
  }
  snprintf(name, sizeof name, format, 0);
  *strstr(name, "actnorm") = 0;
  strcat(name, "coupling.net.0.weight");
  add(name, GLOW_TYPE_F32, "1,2,3,3");
  *strstr(name, "0.weight") = 0;
  strcat(name, "4.conv.weight");
  add(name, GLOW_TYPE_F32, "4,1,3,3");
}

static void test_counts(void **state) {
  (void)state;
  CASE("rosinality_affine_lu", many("blocks.%d.flows.0.actnorm.loc", 40), "more than can be read");
  CASE("rosinality_affine_lu", many("blocks.0.flows.%d.actnorm.loc", 5000),
       "more than can be read");
  CASE(LU, f.count = 0, "names are those of none");
}

static void options_refused(const char *name, glow_status status, const char *words) {
  refused(status, words);
  (void)name;
  stop();
}

static void test_options(void **state) {
  (void)state;
  start(LU);
  f.options.height = 16;
  options_refused(LU, GLOW_E_ARGUMENT, "images of 8 x 8, not of 16 x 8");
  start("openai_affine_plain");
  f.options.width = 0;
  options_refused(LU, GLOW_E_ARGUMENT, "give height and width");
  start("rosinality_affine_lu");
  f.options.height = 10;
  options_refused(LU, GLOW_E_ARGUMENT, "divisible by 4");
  start(LU);
  f.options.bits = 9;
  options_refused(LU, GLOW_E_ARGUMENT, "bits is 9");
  start(LU);
  f.options.format = 4;
  options_refused(LU, GLOW_E_ARGUMENT, "format is 4");
  start(LU);
  f.options.permutation = GLOW_PERMUTATION_SHUFFLE;
  options_refused(LU, GLOW_E_ARGUMENT, "permutation is 702");
  start(LU);
  f.options.ignore_unknown = 2;
  options_refused(LU, GLOW_E_ARGUMENT, "ignore_unknown is 2");
  start(LU);
  f.options.height = -8;
  options_refused(LU, GLOW_E_ARGUMENT, "height is -8");
  start(LU);
  f.options.struct_size = 4;
  options_refused(LU, GLOW_E_ARGUMENT, "struct_size");
}

/* The caller's caps hold here as for this library's own files. */
static void test_limits(void **state) {
  glow_input input = GLOW_INPUT_INIT;
  glow_limits limits = GLOW_LIMITS_INIT;
  glow_model *model = NULL;
  (void)state;
  start("y0ast_affine_lu");
  input.path = vectors_path("y0ast_affine_lu", ".safetensors");
  input.limits = &limits;
  limits.prepare_work = 1;
  REFUSED(glow_model_import(f.context, &input, &f.options, &model), GLOW_E_LIMIT,
          "invconv'; at most 1.00e+00 may be (prepare_work)");
  assert_null(model);
  limits = (glow_limits)GLOW_LIMITS_INIT;
  limits.model_bytes = 1000;
  REFUSED(glow_model_import(f.context, &input, &f.options, &model), GLOW_E_LIMIT, "(model_bytes)");
  limits.model_bytes = 0;
  limits.workspace_bytes = 1000;
  REFUSED(glow_model_import(f.context, &input, &f.options, &model), GLOW_E_LIMIT,
          "(workspace_bytes)");
  assert_null(model);
  limits.workspace_bytes = 1 << 30;
  OK(glow_model_import(f.context, &input, &f.options, &model));
  glow_model_destroy(&model);
  stop();
}

static void test_null_arguments(void **state) {
  glow_input input = GLOW_INPUT_INIT;
  glow_model *model = NULL;
  (void)state;
  start(LU);
  REFUSED(glow_model_import(NULL, &input, NULL, &model), GLOW_E_ARGUMENT, "NULL");
  REFUSED(glow_model_import(f.context, NULL, NULL, &model), GLOW_E_ARGUMENT, "NULL");
  REFUSED(glow_model_import(f.context, &input, NULL, NULL), GLOW_E_ARGUMENT, "NULL");
  REFUSED(glow_model_import(f.context, &input, NULL, &model), GLOW_E_ARGUMENT, "");
  input.path = "/nowhere/at/all.safetensors";
  REFUSED(glow_model_import(f.context, &input, NULL, &model), GLOW_E_NOT_FOUND, "/nowhere/at/all");
  stop();
}

/* What may be different in a file without harm. */
static void test_accepted(void **state) {
  (void)state;
  start(LU);
  f.options.height = f.options.width = 0; /* prior_h says so */
  add("surprise", GLOW_TYPE_F32, "3");
  f.options.ignore_unknown = 1;
  accepted();
  stop();
  start("openai_affine_plain");
  add("model/0/0/actnorm_center/b/ExponentialMovingAverage", GLOW_TYPE_F32, "1,1,1,4");
  add("Variable_12", GLOW_TYPE_F32, "1");
  f.options.format = GLOW_FORMAT_OPENAI;
  accepted();
  stop();
  start("rosinality_affine_lu");
  drop("blocks.0.flows.0.actnorm.initialized");
  drop("blocks.0.flows.0.invconv.u_mask");
  accepted();
  stop();
}

/* ---- failures of what is underneath ---------------------------------------------------------- */

static const char *const each_format[] = {"openai_additive_lu_classes", LU,
                                          "rosinality_additive_plain"};

static void memory_fails(const char *name) {
  start(name);
  write_bytes();
  for (int64_t n = 1; n < MOST_FAILURES; n++) {
    helper_memory memory = {0};
    glow_context *context = helper_context(1, NULL, &memory);
    glow_model *model = NULL;
    int64_t live = memory.live;
    memory.fail_at = memory.calls + n;
    glow_status status = import_in(context, &model);
    bool done = !memory.failures;
    assert_int_equal(status, done ? GLOW_OK : GLOW_E_MEMORY);
    assert_true(done == (model != NULL));
    glow_model_destroy(&model);
    assert_int_equal(memory.live, live);
    glow_context_destroy(&context);
    if (done) {
      assert_true(n > 100);
      stop();
      return;
    }
  }
  fail_msg("no end of allocations");
}

static void test_memory_fails(void **state) {
  (void)state;
  for (int i = 0; i < 3; i++)
    memory_fails(each_format[i]);
}

/* A source whose n-th read fails. */
static int64_t reads_left;
static glow_status read_some(void *payload, int64_t offset, void *buffer, size_t bytes) {
  (void)payload;
  if (--reads_left == 0)
    return GLOW_E_IO;
  assert_true(offset >= 0 && offset + (int64_t)bytes <= f.size);
  memcpy(buffer, f.bytes + offset, bytes);
  return GLOW_OK;
}

static void reading_fails(const char *name) {
  start(name);
  write_bytes();
  for (int64_t n = 1; n < MOST_FAILURES; n++) {
    helper_memory memory = {0};
    glow_context *context = helper_context(1, NULL, &memory);
    glow_input input = GLOW_INPUT_INIT;
    glow_model *model = NULL;
    int64_t live = memory.live;
    input.read = read_some;
    input.size = f.size;
    input.flags = GLOW_INPUT_LAZY;
    reads_left = n;
    glow_status status = glow_model_import(context, &input, &f.options, &model);
    bool done = reads_left > 0;
    assert_int_equal(status, done ? GLOW_OK : GLOW_E_IO);
    assert_true(done == (model != NULL));
    glow_model_destroy(&model);
    assert_int_equal(memory.live, live);
    glow_context_destroy(&context);
    if (done) {
      assert_true(n > 50);
      stop();
      return;
    }
  }
  fail_msg("no end of reads");
}

static void test_reading_fails(void **state) {
  (void)state;
  for (int i = 0; i < 3; i++)
    reading_fails(each_format[i]);
}

static void test_memory_fails_in_export(void **state) {
  (void)state;
  start(LU);
  write_bytes();
  for (int64_t n = 1; n < MOST_FAILURES; n++) {
    helper_memory memory = {0};
    glow_context *context = helper_context(1, NULL, &memory);
    glow_output output = GLOW_OUTPUT_INIT;
    glow_model *model = NULL;
    OK(import_in(context, &model));
    int64_t live = memory.live;
    output.buffer = f.bytes;
    output.capacity = ROOM;
    memory.fail_at = memory.calls + n;
    glow_status status = glow_model_export(model, GLOW_FORMAT_Y0AST, &output);
    bool done = !memory.failures;
    assert_int_equal(status, done ? GLOW_OK : GLOW_E_MEMORY);
    assert_int_equal(memory.live, live);
    glow_model_destroy(&model);
    glow_context_destroy(&context);
    if (done) {
      assert_true(n > 50);
      stop();
      return;
    }
  }
  fail_msg("no end of allocations");
}

int main(int argc, char **argv) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(test_names_and_shapes),
      cmocka_unit_test(test_values),
      cmocka_unit_test(test_permutations_that_are_not_there),
      cmocka_unit_test(test_classes),
      cmocka_unit_test(test_openai),
      cmocka_unit_test(test_rosinality),
      cmocka_unit_test(test_counts),
      cmocka_unit_test(test_options),
      cmocka_unit_test(test_limits),
      cmocka_unit_test(test_null_arguments),
      cmocka_unit_test(test_accepted),
      cmocka_unit_test(test_memory_fails),
      cmocka_unit_test(test_reading_fails),
      cmocka_unit_test(test_memory_fails_in_export),
  };
  vectors_folder = argc > 1 ? argv[1] : "tests/import";
  return cmocka_run_group_tests(tests, NULL, NULL);
}
