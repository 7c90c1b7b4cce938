/* Every argument and every option that takes a constant of an enumeration refuses what is not one
 * of its constants: those of all other enumerations, 0 where 0 has no meaning, negative and huge
 * values. The message says the value that was found and how the possible ones are called.
 * SPDX-License-Identifier: MIT */
#include "../support/model_helpers.h"
#include <glow/import.h>

/* ---- all constants --------------------------------------------------------------------------- */

/* Of every enumeration of the public headers whose values are kinds; flags are none. A constant
 * that is missing here is found by tests/abi/enumerations.sh. */
static const int32_t constants[] = {
    GLOW_MODE_INFERENCE, GLOW_MODE_STORED, GLOW_MODE_RECONSTRUCTED, GLOW_MODE_BUDGET,
    GLOW_LATENTS_RAW, GLOW_LATENTS_WHITENED, GLOW_COUPLING_AFFINE, GLOW_COUPLING_ADDITIVE,
    GLOW_COUPLING_SPLINE, GLOW_SCALE_SIGMOID, GLOW_SCALE_EXP, GLOW_SCALE_TANH,
    GLOW_SCALE_SIGMOID_FLOOR, GLOW_SCALE_TANH_LEARNED, GLOW_MASK_CHANNELS, GLOW_MASK_CHECKERBOARD,
    GLOW_MASK_INDICES, GLOW_ORDER_SHIFT_SCALE, GLOW_ORDER_SCALE_SHIFT, GLOW_PERMUTATION_REVERSE,
    GLOW_PERMUTATION_SHUFFLE, GLOW_PERMUTATION_EVEN_ODD, GLOW_PERMUTATION_INVCONV,
    GLOW_PERMUTATION_INVCONV_LU, GLOW_DENSITY_GAUSSIAN, GLOW_DENSITY_LOGISTIC,
    GLOW_SCHEDULE_CONSTANT, GLOW_SCHEDULE_COSINE, GLOW_SCHEDULE_EXPONENTIAL, GLOW_OPTIMIZER_SGD,
    GLOW_OPTIMIZER_ADAM, GLOW_OPTIMIZER_ADAMAX, GLOW_OPTIMIZER_LION, GLOW_TYPE_F32, GLOW_TYPE_I32,
    GLOW_TYPE_U8, GLOW_TYPE_F64, GLOW_TYPE_I64, GLOW_TYPE_BF16, GLOW_TYPE_F16, GLOW_TYPE_I8,
    GLOW_TYPE_I16, GLOW_TYPE_U16, GLOW_TYPE_U32, GLOW_TYPE_U64, GLOW_TYPE_BOOL, GLOW_TYPE_F8_E4M3,
    GLOW_TYPE_F8_E5M2, GLOW_TYPE_F8_E8M0, GLOW_FORMAT_OPENAI, GLOW_FORMAT_Y0AST,
    GLOW_FORMAT_ROSINALITY, GLOW_STATISTICS_RUNNING, GLOW_STATISTICS_BATCH,
    GLOW_STATISTICS_OBSERVED, GLOW_INITIALISE_BEGIN, GLOW_INITIALISE_BATCH, GLOW_INITIALISE_END,
    GLOW_PRODUCTS_FLOAT32, GLOW_PRODUCTS_BFLOAT16, GLOW_OPTION_INT32, GLOW_OPTION_INT64,
    GLOW_OPTION_UINT64, GLOW_OPTION_REAL, GLOW_OPTION_CHOICE, GLOW_OPTION_INDICES,
    GLOW_OPTION_RESERVED, GLOW_LOG_DEBUG, GLOW_LOG_INFO, GLOW_LOG_WARNING, GLOW_TENSOR_MISSING,
    GLOW_TENSOR_UNUSED, GLOW_TENSOR_LEFT, GLOW_REVERSE_KL, GLOW_FORWARD_KL, GLOW_SUM_FLOAT32,
    GLOW_SUM_FLOAT64, GLOW_SUM_BFLOAT16,
    /* what is no constant */
    0, 1, 2, 3, -1, 99, 100, 1700, INT32_MAX, INT32_MIN};
enum { CONSTANTS = sizeof constants / sizeof *constants, NOT_CONSTANTS = 10 };

/* Values in common would let a constant pass for one of another enumeration. */
static void test_constants_differ(void **state) {
  (void)state;
  for (int i = 0; i < CONSTANTS - NOT_CONSTANTS; i++)
    for (int j = 0; j < i; j++)
      assert_int_not_equal(constants[i], constants[j]);
}

/* ---- what takes one -------------------------------------------------------------------------- */

typedef struct bench {
  glow_context *context;
  glow_model *model;
  glow_workspace *ws;
  glow_trainer *trainer;
  glow_model *classes; /* with a classifier */
  glow_workspace *classes_ws;
  float x[128], z[128], logits[4];
} bench;

static int open_bench(void **state) {
  bench *b = helper_allocate(sizeof *b);
  glow_glow_options o = helper_small_glow();
  memset(b, 0, sizeof *b);
  b->context = helper_context(1, NULL, NULL);
  b->model = helper_glow(b->context, NULL, 1);
  b->ws = helper_workspace(b->model, 1, GLOW_MODE_INFERENCE);
  OK(glow_trainer_create(b->model, NULL, &b->trainer));
  o.classes = 3;
  o.classifier = 1;
  b->classes = helper_glow(b->context, &o, 2);
  b->classes_ws = helper_workspace(b->classes, 1, GLOW_MODE_INFERENCE);
  *state = b;
  return 0;
}

static int close_bench(void **state) {
  bench *b = *state;
  glow_workspace_destroy(&b->classes_ws);
  glow_model_destroy(&b->classes);
  glow_trainer_destroy(&b->trainer);
  glow_workspace_destroy(&b->ws);
  glow_model_destroy(&b->model);
  glow_context_destroy(&b->context);
  free(b);
  return 0;
}

static glow_status use_products(bench *b, int32_t value) {
  glow_context_options o = GLOW_CONTEXT_OPTIONS_INIT;
  glow_context *context = NULL;
  (void)b;
  o.products = value;
  glow_status status = glow_context_create(&o, &context);
  glow_context_destroy(&context);
  return status;
}

static glow_workspace_options workspace_options(int32_t mode) {
  glow_workspace_options o = GLOW_WORKSPACE_OPTIONS_INIT;
  o.mode = mode;
  o.memory_budget = mode == GLOW_MODE_BUDGET ? 1 << 30 : 0;
  return o;
}

static glow_status use_workspace_mode(bench *b, int32_t value) {
  const glow_workspace_options o = workspace_options(value);
  glow_workspace *ws = NULL;
  glow_status status = glow_workspace_create(b->model, &o, &ws);
  glow_workspace_destroy(&ws);
  return status;
}

static glow_status use_plan_mode(bench *b, int32_t value) {
  const glow_workspace_options o = workspace_options(value);
  uint64_t bytes = 0;
  return glow_workspace_plan_bytes(b->model, &o, &bytes);
}

static glow_status use_forward_form(bench *b, int32_t value) {
  return helper_forward(b->ws, b->x, NULL, 1, value, b->z, NULL, NULL);
}

/* Without latents the form has nothing to do, and is still checked. */
static glow_status use_idle_form(bench *b, int32_t value) {
  return helper_forward(b->ws, b->x, NULL, 1, value, NULL, NULL, NULL);
}

static glow_status use_inverse_form(bench *b, int32_t value) {
  return helper_inverse(b->ws, b->z, value, NULL, 1, b->x, NULL);
}

static glow_status use_classify_form(bench *b, int32_t value) {
  const int32_t label = 1;
  return glow_workspace_classify_latents(b->classes_ws, b->z, value, &label, 1, b->logits);
}

static glow_status use_schedule(bench *b, int32_t value) {
  glow_schedule schedule = GLOW_SCHEDULE_INIT;
  schedule.kind = value;
  return glow_trainer_set_schedule(b->trainer, &schedule);
}

static glow_status flat_density(const float *x, int64_t first, int64_t count, double *log_p,
                                float *gradient, void *payload) {
  (void)x, (void)first, (void)gradient, (void)payload;
  for (int64_t n = 0; n < count; n++)
    log_p[n] = 0.0;
  return GLOW_OK;
}

static glow_status use_objective(bench *b, int32_t value) {
  glow_target target = GLOW_TARGET_INIT;
  glow_importance estimate = GLOW_IMPORTANCE_INIT;
  target.density = flat_density;
  target.objective = value;
  return glow_workspace_importance(b->ws, &target, NULL, 1, &estimate);
}

static glow_status make_trainer(bench *b, const glow_trainer_options *o) {
  glow_trainer *trainer = NULL;
  glow_status status = glow_trainer_create(b->model, o, &trainer);
  glow_trainer_destroy(&trainer);
  return status;
}

static glow_status use_trainer_schedule(bench *b, int32_t value) {
  glow_trainer_options o = GLOW_TRAINER_OPTIONS_INIT;
  glow_schedule schedule = GLOW_SCHEDULE_INIT;
  schedule.kind = value;
  o.schedule = &schedule;
  return make_trainer(b, &o);
}

static glow_status use_trainer_optimizer(bench *b, int32_t value) {
  glow_trainer_options o = GLOW_TRAINER_OPTIONS_INIT;
  glow_optimizer_options optimizer = GLOW_OPTIMIZER_OPTIONS_INIT;
  optimizer.kind = value;
  o.optimizer = &optimizer;
  return make_trainer(b, &o);
}

static glow_status use_trainer_mode(bench *b, int32_t value) {
  glow_trainer_options o = GLOW_TRAINER_OPTIONS_INIT;
  o.mode = value;
  o.memory_budget = value == GLOW_MODE_BUDGET ? 1 << 30 : 0;
  return make_trainer(b, &o);
}

static glow_status use_optimizer(bench *b, int32_t value) {
  glow_optimizer_options o = GLOW_OPTIMIZER_OPTIONS_INIT;
  glow_optimizer *optimizer = NULL;
  o.kind = value;
  glow_status status = glow_optimizer_create(b->model, &o, &optimizer);
  glow_optimizer_destroy(&optimizer);
  return status;
}

/* ---- presets --------------------------------------------------------------------------------- */

static glow_status make_glow(bench *b, const glow_glow_options *o) {
  glow_model *model = NULL;
  glow_status status = glow_model_create_glow(b->context, o, &model);
  glow_model_destroy(&model);
  return status;
}

#define GLOW_FIELD(field)                                                                          \
  static glow_status use_glow_##field(bench *b, int32_t value) {                                   \
    glow_glow_options o = helper_small_glow();                                                     \
    o.field = value;                                                                               \
    return make_glow(b, &o);                                                                       \
  }
GLOW_FIELD(permutation)
GLOW_FIELD(coupling)
GLOW_FIELD(scale)
#undef GLOW_FIELD

static glow_status use_nice_density(bench *b, int32_t value) {
  glow_nice_options o = GLOW_NICE_OPTIONS_INIT;
  glow_model *model = NULL;
  o.hidden = 8;
  o.density = value;
  glow_status status = glow_model_create_nice(b->context, &o, &model);
  glow_model_destroy(&model);
  return status;
}

static glow_status make_vector_flow(bench *b, const glow_vector_flow_options *o) {
  glow_model *model = NULL;
  glow_status status = glow_model_create_vector_flow(b->context, o, &model);
  glow_model_destroy(&model);
  return status;
}

static glow_status use_vector_coupling(bench *b, int32_t value) {
  glow_vector_flow_options o = GLOW_VECTOR_FLOW_OPTIONS_INIT;
  o.coupling = value;
  return make_vector_flow(b, &o);
}

static glow_status use_vector_scale(bench *b, int32_t value) {
  glow_vector_flow_options o = GLOW_VECTOR_FLOW_OPTIONS_INIT;
  o.coupling = GLOW_COUPLING_AFFINE;
  o.scale = value;
  return make_vector_flow(b, &o);
}

/* ---- layers ---------------------------------------------------------------------------------- */

static glow_status make_coupling(bench *b, const glow_coupling_options *o) {
  glow_net *net = NULL;
  glow_layer *layer = NULL;
  OK(glow_mlp_net_create(b->context, NULL, &net));
  glow_status status = glow_coupling_create(b->context, o, &net, &layer);
  assert_null(net);
  glow_layer_destroy(&layer);
  return status;
}

#define COUPLING_FIELD(field)                                                                      \
  static glow_status use_coupling_##field(bench *b, int32_t value) {                               \
    static const int32_t first[] = {0};                                                            \
    glow_coupling_options o = GLOW_COUPLING_OPTIONS_INIT;                                          \
    o.field = value;                                                                               \
    if (o.mask == GLOW_MASK_INDICES) {                                                             \
      o.indices = first;                                                                           \
      o.index_count = 1;                                                                           \
    }                                                                                              \
    return make_coupling(b, &o);                                                                   \
  }
COUPLING_FIELD(kind)
COUPLING_FIELD(scale)
COUPLING_FIELD(mask)
COUPLING_FIELD(order)
#undef COUPLING_FIELD

static glow_status use_permute(bench *b, int32_t value) {
  glow_permute_options o = GLOW_PERMUTE_OPTIONS_INIT;
  glow_layer *layer = NULL;
  o.kind = value;
  glow_status status = glow_permute_create(b->context, &o, &layer);
  glow_layer_destroy(&layer);
  return status;
}

static glow_status use_prior(bench *b, int32_t value) {
  glow_prior_options o = GLOW_PRIOR_OPTIONS_INIT;
  glow_layer *layer = NULL;
  o.density = value;
  glow_status status = glow_prior_create(b->context, &o, &layer);
  glow_layer_destroy(&layer);
  return status;
}

/* ---- layers of others ------------------------------------------------------------------------ */

enum { OF_TENSOR, OF_FIXED_TENSOR, OF_DENSITY };
typedef struct asking {
  int32_t what, value;
} asking;

static glow_status ask(void *self, glow_setup *setup, const glow_shape *in, glow_shape *out) {
  const asking *a = self;
  const int64_t dims[] = {2};
  int32_t id;
  *out = *in;
  if (a->what == OF_DENSITY)
    return glow_setup_latent_density(setup, a->value);
  return glow_setup_tensor(setup, "tensor", a->value, a->what == OF_TENSOR, 1, dims, &id);
}

static void copy_forward(const void *self, const glow_call *call, const float *x, float *y,
                         double *logdet, double *logprior) {
  (void)self, (void)call, (void)x, (void)y, (void)logdet, (void)logprior;
}

static glow_status copy_inverse(const void *self, const glow_call *call, const float *y, float *x,
                                double *logdet, double *logprior) {
  (void)self, (void)call, (void)y, (void)x, (void)logdet, (void)logprior;
  return GLOW_OK;
}

static void copy_backward(const void *self, const glow_call *call, const glow_layer_gradient *g) {
  (void)self, (void)call, (void)g;
}

static glow_status use_setup(bench *b, int32_t what, int32_t value) {
  const glow_layer_ops ops = {.struct_size = sizeof ops,
                              .type = "asking",
                              .self_size = sizeof(asking),
                              .configure = ask,
                              .forward = copy_forward,
                              .inverse = copy_inverse,
                              .backward = copy_backward};
  const glow_shape shape = {1, 1, 2};
  glow_builder *builder = NULL;
  glow_layer *layer = NULL;
  OK(glow_layer_create(b->context, &ops, NULL, NULL, &layer));
  *(asking *)glow_layer_self(layer) = (asking){what, value};
  OK(glow_builder_create(b->context, &shape, NULL, &builder));
  glow_status status = glow_builder_add(builder, "asking", &layer);
  glow_builder_destroy(&builder);
  return status;
}

static glow_status use_tensor_type(bench *b, int32_t value) {
  return use_setup(b, OF_TENSOR, value);
}

static glow_status use_fixed_tensor_type(bench *b, int32_t value) {
  return use_setup(b, OF_FIXED_TENSOR, value);
}

static glow_status use_latent_density(bench *b, int32_t value) {
  return use_setup(b, OF_DENSITY, value);
}

static glow_status use_phase(bench *b, int32_t value) {
  (void)b;
  return glow_call_net_initialise(NULL, 0, 0, value, NULL, 0); /* a net without a round */
}

/* ---- files ----------------------------------------------------------------------------------- */

static glow_status use_storage(bench *b, int32_t value) {
  glow_output output = GLOW_OUTPUT_INIT;
  size_t bytes = 0;
  output.written = &bytes;
  output.storage = value;
  return glow_model_save_output(b->model, &output);
}

/* The file is none: only what is found before it is read counts. */
static glow_status import(bench *b, const glow_import_options *o) {
  static const char nothing[8] = {0};
  glow_input input = GLOW_INPUT_INIT;
  glow_model *model = NULL;
  input.data = nothing;
  input.size = sizeof nothing;
  glow_status status = glow_model_import(b->context, &input, o, &model);
  assert_null(model);
  return status == GLOW_E_FORMAT ? GLOW_OK : status;
}

static glow_status use_import_format(bench *b, int32_t value) {
  glow_import_options o = GLOW_IMPORT_OPTIONS_INIT;
  o.format = value;
  return import(b, &o);
}

static glow_status use_import_permutation(bench *b, int32_t value) {
  glow_import_options o = GLOW_IMPORT_OPTIONS_INIT;
  o.permutation = value;
  return import(b, &o);
}

/* This Glow is not one of the project's. */
static glow_status use_export_format(bench *b, int32_t value) {
  glow_output output = GLOW_OUTPUT_INIT;
  size_t bytes = 0;
  output.written = &bytes;
  glow_status status = glow_model_export(b->model, value, &output);
  return status == GLOW_E_UNSUPPORTED ? GLOW_OK : status;
}

static int64_t bytes_of(int32_t type) {
  switch (type) {
  case GLOW_TYPE_F64:
  case GLOW_TYPE_I64:
  case GLOW_TYPE_U64: return 8;
  case GLOW_TYPE_F32:
  case GLOW_TYPE_I32:
  case GLOW_TYPE_U32: return 4;
  case GLOW_TYPE_BF16:
  case GLOW_TYPE_F16:
  case GLOW_TYPE_I16:
  case GLOW_TYPE_U16: return 2;
  default: return 1;
  }
}

static glow_status use_file_type(bench *b, int32_t value) {
  static const char data[8] = {0};
  glow_output output = GLOW_OUTPUT_INIT;
  glow_file_tensor tensor = GLOW_FILE_TENSOR_INIT;
  size_t bytes = 0;
  output.written = &bytes;
  tensor.name = "tensor";
  tensor.type = value;
  tensor.bytes = bytes_of(value);
  tensor.data = data;
  return glow_tensor_file_write_output(b->context, &output, &tensor, 1, NULL, 0);
}

/* ---- one after the other --------------------------------------------------------------------- */

typedef struct taker {
  const char *name;
  glow_status (*use)(bench *b, int32_t value);
  const char *prefix; /* of its constants, in the message */
  int32_t first, last;
  bool zero;          /* 0 means something: a default, or "found out" */
  bool file;          /* needs files */
  int32_t without[4]; /* of first to last, which are not possible */
} taker;

static const taker takers[] = {
    {"context: products", use_products, "GLOW_PRODUCTS_", 1501, 1502, true, false, {0}},
    {"workspace: mode", use_workspace_mode, "GLOW_MODE_", 101, 104, false, false, {0}},
    {"plan: mode", use_plan_mode, "GLOW_MODE_", 101, 104, false, false, {0}},
    {"forward: form", use_forward_form, "GLOW_LATENTS_", 201, 202, true, false, {0}},
    {"forward without latents: form", use_idle_form, "GLOW_LATENTS_", 201, 202, true, false, {0}},
    {"inverse: form", use_inverse_form, "GLOW_LATENTS_", 201, 202, true, false, {0}},
    {"classify: form", use_classify_form, "GLOW_LATENTS_", 201, 202, true, false, {0}},
    {"schedule: kind", use_schedule, "GLOW_SCHEDULE_", 901, 903, false, false, {0}},
    {"trainer: schedule", use_trainer_schedule, "GLOW_SCHEDULE_", 901, 903, false, false, {0}},
    {"trainer: optimizer", use_trainer_optimizer, "GLOW_OPTIMIZER_", 1001, 1004, false, false, {0}},
    {"trainer: mode", use_trainer_mode, "GLOW_MODE_", 102, 104, false, false, {0}},
    {"target: objective", use_objective, "GLOW_", 1701, 1702, false, false, {0}},
    {"optimizer: kind", use_optimizer, "GLOW_OPTIMIZER_", 1001, 1004, false, false, {0}},
    {"Glow: permutation", use_glow_permutation, "GLOW_PERMUTATION_", 701, 705, false, false, {0}},
    {"Glow: coupling", use_glow_coupling, "GLOW_COUPLING_", 301, 302, false, false, {0}},
    {"Glow: scale", use_glow_scale, "GLOW_SCALE_", 401, 405, false, false, {0}},
    {"NICE: density", use_nice_density, "GLOW_DENSITY_", 801, 802, false, false, {0}},
    {"vectors: coupling", use_vector_coupling, "GLOW_COUPLING_", 301, 303, false, false, {0}},
    {"vectors: scale", use_vector_scale, "GLOW_SCALE_", 401, 405, false, false, {0}},
    {"coupling: kind", use_coupling_kind, "GLOW_COUPLING_", 301, 302, false, false, {0}},
    {"coupling: scale", use_coupling_scale, "GLOW_SCALE_", 401, 405, false, false, {0}},
    {"coupling: mask", use_coupling_mask, "GLOW_MASK_", 501, 503, false, false, {0}},
    {"coupling: order", use_coupling_order, "GLOW_ORDER_", 601, 602, false, false, {0}},
    {"permute: kind", use_permute, "GLOW_PERMUTATION_", 701, 703, false, false, {0}},
    {"prior: density", use_prior, "GLOW_DENSITY_", 801, 802, false, false, {0}},
    {"parameter: type", use_tensor_type, "GLOW_TYPE_F32", 1101, 1101, false, false, {0}},
    {"fixed tensor: type", use_fixed_tensor_type, "GLOW_TYPE_I32", 1101, 1102, false, false, {0}},
    {"latents: density", use_latent_density, "GLOW_DENSITY_", 801, 802, false, false, {0}},
    {"net: phase", use_phase, "GLOW_INITIALISE_", 1401, 1403, false, false, {0}},
    {"output: storage",
     use_storage,
     "GLOW_TYPE_",
     1101,
     1106,
     true,
     true,
     {1102, 1103, 1104, 1105}},
    {"import: format", use_import_format, "GLOW_FORMAT_", 1201, 1203, true, true, {0}},
    {"import: permutation", use_import_permutation, "GLOW_PERMUTATION_", 701, 701, true, true, {0}},
    {"export: format", use_export_format, "GLOW_FORMAT_Y0AST", 1202, 1202, false, true, {0}},
    {"tensor file: type", use_file_type, "GLOW_TYPE_", 1101, 1116, false, true, {0}},
};

static bool possible(const taker *t, int32_t value) {
  for (int i = 0; i < 4; i++)
    if (value && t->without[i] == value)
      return false;
  return (value >= t->first && value <= t->last) || (value == 0 && t->zero);
}

/* "is VALUE", and not a longer number. */
static bool tells_value(int32_t value) {
  char found[32];
  snprintf(found, sizeof found, "is %d", (int)value);
  const char *at = strstr(glow_last_error(), found);
  return at && (at[strlen(found)] < '0' || at[strlen(found)] > '9');
}

static void test_every_taker(void **state) {
  bench *b = *state;
  for (size_t i = 0; i < sizeof takers / sizeof *takers; i++) {
    const taker *t = &takers[i];
    if (t->file && !helper_has_files())
      continue;
    for (int c = 0; c < CONSTANTS; c++) {
      const int32_t value = constants[c];
      (glow_error)(GLOW_OK, "%s", ""); /* so that the message is the call's own */
      const glow_status status = t->use(b, value);
      if (possible(t, value)) {
        if (status != GLOW_OK)
          fail_msg("%s, %d: %s: %s", t->name, (int)value, glow_status_name(status),
                   glow_last_error());
        continue;
      }
      if (status != GLOW_E_ARGUMENT || !tells_value(value))
        fail_msg("%s, %d: %s: %s", t->name, (int)value, glow_status_name(status),
                 glow_last_error());
      if (!strstr(glow_last_error(), t->prefix))
        fail_msg("%s, %d: the message does not name %s...: %s", t->name, (int)value, t->prefix,
                 glow_last_error());
    }
  }
}

/* This one has no status: a rate that is not a number. */
static void test_rate_of_no_schedule(void **state) {
  glow_schedule schedule = GLOW_SCHEDULE_INIT;
  (void)state;
  for (int c = 0; c < CONSTANTS; c++) {
    schedule.kind = constants[c];
    const bool known =
        constants[c] >= GLOW_SCHEDULE_CONSTANT && constants[c] <= GLOW_SCHEDULE_EXPONENTIAL;
    assert_int_equal(isnan(glow_schedule_rate(&schedule, 1)), !known);
  }
}

/* Types of rows of an options table. */
static void test_option_types(void **state) {
  bench *b = *state;
  static const glow_choice choices[] = {{1, 0, "one"}, {0, 0, NULL}};
  for (int c = 0; c < CONSTANTS; c++) {
    const glow_option row = {.name = "field",
                             .offset = 8,
                             .type = constants[c],
                             .choices = choices,
                             .fallback = 1,
                             .high = 1};
    const glow_options_table table = {.struct_size = sizeof table,
                                      .name = "options",
                                      .size = 32,
                                      .smallest = 32,
                                      .options = &row,
                                      .count = 1};
    const glow_layer_ops ops = {.struct_size = sizeof ops,
                                .type = "typed",
                                .self_size = 32,
                                .options = &table,
                                .configure = ask,
                                .forward = copy_forward,
                                .inverse = copy_inverse,
                                .backward = copy_backward};
    glow_layer *layer = NULL;
    if (constants[c] >= GLOW_OPTION_INT32 && constants[c] <= GLOW_OPTION_RESERVED)
      OK(glow_layer_create(b->context, &ops, NULL, NULL, &layer));
    else
      REFUSED(glow_layer_create(b->context, &ops, NULL, NULL, &layer), GLOW_E_ARGUMENT,
              "field: its type is none of GLOW_OPTION_");
    glow_layer_destroy(&layer);
  }
}

/* ---- honoured -------------------------------------------------------------------------------- */

/* Each permutation makes the layer that it names, and what its first step does to channels. */
static void test_glow_permutations(void **state) {
  bench *b = *state;
  static const struct {
    int32_t kind;
    const char *type;
    int32_t index[8];
  } rows[] = {
      {GLOW_PERMUTATION_REVERSE, "permute", {7, 6, 5, 4, 3, 2, 1, 0}},
      {GLOW_PERMUTATION_EVEN_ODD, "permute", {0, 2, 4, 6, 1, 3, 5, 7}},
      {GLOW_PERMUTATION_SHUFFLE, "permute", {0}},
      {GLOW_PERMUTATION_INVCONV, "invconv", {0}},
      {GLOW_PERMUTATION_INVCONV_LU, "invconv", {0}},
  };
  for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
    glow_glow_options o = helper_small_glow();
    glow_model *model = NULL;
    glow_tensor_info info = GLOW_TENSOR_INFO_INIT;
    int32_t index[8];
    o.permutation = rows[i].kind;
    OK(glow_model_create_glow(b->context, &o, &model));
    assert_string_equal(glow_model_layer_type(model, 2), rows[i].type);
    const bool lu = rows[i].kind == GLOW_PERMUTATION_INVCONV_LU;
    const glow_status found = glow_model_find_tensor(model, "level0.step0.invconv.log_s", &info);
    assert_int_equal(found, lu ? GLOW_OK : GLOW_E_NOT_FOUND);
    if (rows[i].index[0] || rows[i].index[1]) {
      OK(glow_model_get_tensor(model, "level0.step0.permute.index", index, 8));
      assert_memory_equal(index, rows[i].index, sizeof index);
    }
    glow_model_destroy(&model);
  }
}

#define TEST(name) cmocka_unit_test_setup_teardown(test_##name, open_bench, close_bench)

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(test_constants_differ),
      TEST(every_taker),
      TEST(rate_of_no_schedule),
      TEST(option_types),
      TEST(glow_permutations),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
