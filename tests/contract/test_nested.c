/* Nested models: a model of blocks is the flat model of the same layers, bit for bit; blocks are
 * moved, copied, nested and saved; a finished model brings its parameters; what does not fit is
 * refused, and nothing leaks. SPDX-License-Identifier: MIT */
#include "../support/model_helpers.h"
#include "../support/temp_folder.h"

#include <unistd.h>

enum { BATCH = 3, HIDDEN = 4 };
static const glow_shape shape = {4, 4, 4}, other_shape = {2, 2, 16};

/* ---- making models --------------------------------------------------------------------------- */

static glow_builder *open_builder(glow_context *context, const glow_shape *input) {
  glow_builder *builder = NULL;
  OK(glow_builder_create(context, input, NULL, &builder));
  return builder;
}

static void add(glow_builder *builder, const char *prefix, const char *name, glow_layer *layer) {
  char whole[300];
  snprintf(whole, sizeof whole, "%s%s", prefix, name);
  OK(glow_builder_add(builder, whole, &layer));
}

/* A step: actnorm, 1x1 convolution, permutation (fixed state), batch normalisation, coupling. */
static void add_step(glow_context *context, glow_builder *builder, const char *prefix) {
  glow_conv_net_options conv = GLOW_CONV_NET_OPTIONS_INIT;
  glow_permute_options permute = GLOW_PERMUTE_OPTIONS_INIT;
  glow_layer *layer = NULL;
  glow_net *net = NULL;
  conv.hidden = HIDDEN;
  permute.kind = GLOW_PERMUTATION_SHUFFLE;
  OK(glow_actnorm_create(context, NULL, &layer));
  add(builder, prefix, "norm", layer);
  OK(glow_invconv_create(context, NULL, &layer));
  add(builder, prefix, "mix", layer);
  OK(glow_permute_create(context, &permute, &layer));
  add(builder, prefix, "permute", layer);
  OK(glow_batchnorm_create(context, NULL, &layer));
  add(builder, prefix, "batchnorm", layer);
  OK(glow_conv_net_create(context, &conv, &net));
  OK(glow_coupling_create(context, NULL, &net, &layer));
  add(builder, prefix, "coupling", layer);
}

static void add_split(glow_context *context, glow_builder *builder, const char *prefix) {
  glow_layer *layer = NULL;
  OK(glow_split_create(context, NULL, &layer));
  add(builder, prefix, "split", layer);
}

static void add_prior(glow_context *context, glow_builder *builder, int32_t classes) {
  glow_prior_options options = GLOW_PRIOR_OPTIONS_INIT;
  glow_layer *layer = NULL;
  options.classes = classes;
  OK(glow_prior_create(context, &options, &layer));
  add(builder, "", "prior", layer);
}

static glow_builder *step_block(glow_context *context, const glow_shape *input) {
  glow_builder *block = open_builder(context, input);
  add_step(context, block, "");
  return block;
}

static glow_model *finish(glow_context *context, glow_builder *builder) {
  glow_model *model = NULL;
  add_prior(context, builder, 0);
  OK(glow_builder_finish(&builder, &model));
  return model;
}

/* What both ways are to give: two steps and a split, a step, a prior. */
static glow_model *flat_model(glow_context *context) {
  glow_builder *builder = open_builder(context, &shape);
  add_step(context, builder, "top.a.");
  add_step(context, builder, "top.b.");
  add_split(context, builder, "top.");
  add_step(context, builder, "rest.");
  return finish(context, builder);
}

/* Blocks in a block in a model. */
static glow_model *nested_model(glow_context *context) {
  const glow_shape half = {4, 4, 2};
  glow_builder *builder = open_builder(context, &shape), *top = open_builder(context, &shape);
  glow_builder *block = step_block(context, &shape);
  OK(glow_builder_add_copy(top, "a", block));
  OK(glow_builder_add_block(top, "b", &block));
  assert_null(block);
  add_split(context, top, "");
  OK(glow_builder_add_block(builder, "top", &top));
  block = step_block(context, &half);
  OK(glow_builder_add_block(builder, "rest", &block));
  return finish(context, builder);
}

/* ---- comparing ------------------------------------------------------------------------------- */

static void same_tensors(const glow_model *a, const glow_model *b) {
  assert_int_equal(glow_model_layer_count(a), glow_model_layer_count(b));
  for (int32_t i = 0; i < glow_model_layer_count(a); i++) {
    assert_string_equal(glow_model_layer_name(a, i), glow_model_layer_name(b, i));
    assert_string_equal(glow_model_layer_type(a, i), glow_model_layer_type(b, i));
  }
  assert_int_equal(glow_model_tensor_count(a), glow_model_tensor_count(b));
  for (int32_t i = 0; i < glow_model_tensor_count(a); i++) {
    glow_tensor_info one = GLOW_TENSOR_INFO_INIT, other = GLOW_TENSOR_INFO_INIT;
    OK(glow_model_tensor(a, i, &one));
    OK(glow_model_tensor(b, i, &other));
    assert_string_equal(one.name, other.name);
    assert_int_equal(one.offset, other.offset);
    assert_int_equal(one.elements, other.elements);
    size_t bytes = (size_t)one.elements * 4;
    void *x = helper_allocate(bytes), *y = helper_allocate(bytes);
    OK(glow_model_get_tensor(a, one.name, x, one.elements));
    OK(glow_model_get_tensor(b, one.name, y, one.elements));
    assert_memory_equal(x, y, bytes);
    free(x);
    free(y);
  }
  assert_int_equal(glow_model_latent_block_count(a), glow_model_latent_block_count(b));
  for (int32_t i = 0; i < glow_model_latent_block_count(a); i++) {
    int64_t one = 0, other = 0;
    OK(glow_model_latent_block(a, i, &one, NULL));
    OK(glow_model_latent_block(b, i, &other, NULL));
    assert_int_equal(one, other);
  }
}

/* A few steps, so that initialisation, forward, backward and running averages are in it. */
static void train(glow_model *model, int32_t mode, double *loss) {
  glow_trainer_options options = GLOW_TRAINER_OPTIONS_INIT;
  glow_trainer *trainer = NULL;
  helper_random random = helper_random_of(3);
  float *x = helper_new_normals(&random, 0.2f, BATCH * glow_model_dims(model));
  options.mode = mode;
  OK(glow_trainer_create(model, &options, &trainer));
  OK(glow_trainer_initialise(trainer, x, NULL, BATCH));
  for (int i = 0; i < 3; i++) {
    glow_step_report report = GLOW_STEP_REPORT_INIT;
    OK(glow_trainer_step(trainer, x, NULL, BATCH, &report));
    *loss = report.loss;
  }
  free(x);
  glow_trainer_destroy(&trainer);
}

static void test_flat(void **state) {
  (void)state;
  for (int32_t mode = GLOW_MODE_STORED; mode <= GLOW_MODE_RECONSTRUCTED; mode++) {
    glow_context *context = helper_context(2, NULL, NULL);
    glow_model *flat = flat_model(context), *nested = nested_model(context);
    double one = 0, other = 1;
    same_tensors(nested, flat);
    train(flat, mode, &one);
    train(nested, mode, &other);
    assert_true(one == other);
    same_tensors(nested, flat);
    glow_model_destroy(&flat);
    glow_model_destroy(&nested);
    glow_context_destroy(&context);
  }
}

static void test_files(void **state) {
  if (!helper_has_files())
    skip();
  glow_context *context = helper_context(1, NULL, NULL);
  glow_model *model = nested_model(context), *loaded = NULL;
  double loss = 0;
  (void)state;
  assert_true(temp_folder_make(NULL));
  const char *path = temp_path("model");
  train(model, GLOW_MODE_STORED, &loss);
  OK(glow_model_save(model, path));
  OK(glow_model_load(context, path, &loaded));
  assert_true(temp_folder_remove());
  same_tensors(loaded, model);
  glow_model_destroy(&loaded);
  glow_model_destroy(&model);
  glow_context_destroy(&context);
}

/* One definition at several shapes, again and again. */
static void test_copies(void **state) {
  glow_context *context = helper_context(1, NULL, NULL);
  glow_builder *block = step_block(context, &shape), *builder = open_builder(context, &shape);
  glow_layer *layer = NULL;
  glow_tensor_info info = GLOW_TENSOR_INFO_INIT;
  (void)state;
  for (int i = 0; i < 3; i++) {
    char name[20];
    snprintf(name, sizeof name, "fine%d", i);
    OK(glow_builder_add_copy(builder, name, block));
  }
  OK(glow_squeeze_create(context, NULL, &layer));
  add(builder, "", "squeeze", layer);
  OK(glow_builder_add_copy(builder, "coarse", block));
  glow_builder_destroy(&block);
  glow_model *model = finish(context, builder);
  OK(glow_model_find_tensor(model, "fine2.mix.log_s", &info));
  assert_int_equal(info.elements, 4);
  OK(glow_model_find_tensor(model, "coarse.mix.log_s", &info));
  assert_int_equal(info.elements, other_shape.channels);
  OK(glow_model_find_tensor(model, "coarse.coupling.net.conv1.weight", &info));
  assert_int_equal(info.dims[0], HIDDEN); /* an option came along */
  glow_model_destroy(&model);
  glow_context_destroy(&context);
}

/* The flow of a trained model, without its prior, under a new one. */
static void test_model(void **state) {
  glow_context *context = helper_context(1, NULL, NULL);
  glow_model *model = nested_model(context), *outer = NULL;
  glow_builder *builder = open_builder(context, &shape), *block = NULL;
  double loss = 0;
  (void)state;
  train(model, GLOW_MODE_STORED, &loss);
  block = open_builder(context, &shape); /* as a part of a block: the parameters move along */
  add_step(context, block, "before.");
  add_step(context, builder, "first.");
  OK(glow_builder_add_model(block, "pretrained", model));
  OK(glow_builder_add_block(builder, "in", &block));
  const glow_shape left = {4, 4, 2};
  glow_shape have;
  OK(glow_builder_shape(builder, &have));
  assert_memory_equal(&have, &left, sizeof left);
  add_step(context, builder, "last.");
  outer = finish(context, builder);
  assert_int_equal(glow_model_layer_count(outer), glow_model_layer_count(model) + 15);
  assert_false(glow_model_initialised(outer)); /* the steps are new */
  helper_random random = helper_random_of(5);
  float *x = helper_new_normals(&random, 0.2f, BATCH * glow_model_dims(outer));
  glow_workspace *ws = helper_workspace(outer, BATCH, GLOW_MODE_INFERENCE);
  OK(glow_workspace_initialise(ws, outer, x, NULL, BATCH));
  for (int32_t i = 0; i < glow_model_tensor_count(model); i++) {
    glow_tensor_info info = GLOW_TENSOR_INFO_INIT;
    char name[300];
    OK(glow_model_tensor(model, i, &info));
    if (strncmp(info.name, "prior.", 6) == 0)
      continue;
    size_t bytes = (size_t)info.elements * 4;
    void *a = helper_allocate(bytes), *b = helper_allocate(bytes);
    snprintf(name, sizeof name, "in.pretrained.%s", info.name);
    OK(glow_model_get_tensor(model, info.name, a, info.elements));
    OK(glow_model_get_tensor(outer, name, b, info.elements));
    assert_memory_equal(a, b, bytes);
    free(a);
    free(b);
  }
  free(x);
  glow_workspace_destroy(&ws);
  glow_model_destroy(&outer);
  glow_model_destroy(&model);
  glow_context_destroy(&context);
}

/* ---- refusals -------------------------------------------------------------------------------- */

static void test_depth(void **state) {
  helper_memory memory = {0};
  glow_context *context = helper_context(1, NULL, &memory);
  int64_t live = memory.live;
  glow_builder *block = step_block(context, &shape);
  glow_status status = GLOW_OK;
  int depth = 0;
  (void)state;
  for (; status == GLOW_OK && depth < 100; depth++) { /* names of at most 200 bytes */
    glow_builder *outer = open_builder(context, &shape);
    status = glow_builder_add_block(outer, "nested", &block);
    block = outer;
  }
  assert_int_equal(status, GLOW_E_ARGUMENT);
  assert_non_null(strstr(glow_last_error(), "1 to 200 bytes"));
  assert_true(depth > 20);
  glow_builder_destroy(&block);
  assert_int_equal(memory.live, live);
  glow_context_destroy(&context);
}

static void refuse_block(glow_context *context, const char *name, glow_builder *block,
                         glow_status status, const char *words) {
  glow_builder *builder = open_builder(context, &shape), *again = open_builder(context, &shape);
  add_step(context, builder, "taken.");
  REFUSED(glow_builder_add_block(builder, name, &block), status, words);
  assert_null(block);
  REFUSED(glow_builder_add_block(builder, "more", &again), GLOW_E_STATE, "has failed before");
  assert_null(again);
  glow_builder_destroy(&builder);
}

static void test_refusals(void **state) {
  helper_memory memory = {0};
  glow_context *context = helper_context(1, NULL, &memory), *second = helper_context(1, NULL, NULL);
  glow_builder *builder = open_builder(context, &shape), *block = NULL, *copied = NULL;
  glow_layer *layer = NULL;
  (void)state;
  REFUSED(glow_builder_add_block(builder, "x", NULL), GLOW_E_ARGUMENT, "no block");
  REFUSED(glow_builder_add_block(builder, "x", &block), GLOW_E_ARGUMENT, "no block");
  glow_builder *self = builder;
  REFUSED(glow_builder_add_block(builder, "x", &self), GLOW_E_ARGUMENT, "its own block");
  block = open_builder(context, &shape);
  REFUSED(glow_builder_add_block(NULL, "x", &block), GLOW_E_ARGUMENT, "no builder");
  assert_null(block);
  REFUSED(glow_builder_add_copy(NULL, "x", builder), GLOW_E_ARGUMENT, "no builder");
  REFUSED(glow_builder_add_model(NULL, "x", NULL), GLOW_E_ARGUMENT, "no builder");
  REFUSED(glow_builder_add_model(builder, "x", NULL), GLOW_E_ARGUMENT, "no model");
  glow_builder_destroy(&builder);

  refuse_block(context, "", step_block(context, &shape), GLOW_E_ARGUMENT, "needs a name");
  refuse_block(context, NULL, step_block(context, &shape), GLOW_E_ARGUMENT, "needs a name");
  refuse_block(context, "a b", step_block(context, &shape), GLOW_E_ARGUMENT, "has a space");
  refuse_block(context, "taken", step_block(context, &shape), GLOW_E_ARGUMENT,
               "'taken.norm' is taken");
  refuse_block(context, "x", step_block(context, &other_shape), GLOW_E_SHAPE,
               "block 'x' takes 2 x 2 x 16, but the model has 4 x 4 x 4 here");
  refuse_block(context, "x", step_block(second, &shape), GLOW_E_ARGUMENT, "another context");
  block = open_builder(context, &shape);
  OK(glow_actnorm_create(context, NULL, &layer));
  REFUSED(glow_builder_add(block, " ", &layer), GLOW_E_ARGUMENT, "space");
  refuse_block(context, "x", block, GLOW_E_STATE, "block 'x' has failed before");

  /* what a block leaves nothing of ends a model */
  builder = open_builder(context, &shape);
  block = open_builder(context, &shape);
  add_prior(context, block, 3);
  OK(glow_builder_add_block(builder, "end", &block));
  block = step_block(context, &shape);
  copied = step_block(context, &shape);
  REFUSED(glow_builder_add_copy(builder, "x", copied), GLOW_E_SHAPE, "which leaves no elements");
  REFUSED(glow_builder_add_block(builder, "x", &block), GLOW_E_STATE, "has failed");
  glow_builder_destroy(&copied);
  glow_builder_destroy(&builder);
  glow_context_destroy(&second);
  glow_context_destroy(&context);
  assert_int_equal(memory.live, 0);
}

/* ---- what a block asks of the whole model ---------------------------------------------------- */

/* Of labels, conditions and logits; 0: nothing. */
typedef struct wants {
  int32_t classes;
  glow_shape condition;
  int64_t logits;
} wants;

static glow_status wanting_configure(void *self, glow_setup *setup, const glow_shape *in,
                                     glow_shape *out) {
  const wants *w = self;
  if (w->classes)
    GLOW_TRY(glow_setup_labels(setup, w->classes));
  if (w->condition.channels)
    GLOW_TRY(glow_setup_condition(setup, &w->condition));
  if (w->logits)
    GLOW_TRY(glow_setup_logits(setup, w->logits));
  *out = *in;
  return GLOW_OK;
}

static void nothing_forward(const void *self, const glow_call *call, const float *x, float *y,
                            double *logdet, double *logprior) {
  (void)self, (void)call, (void)x, (void)y, (void)logdet, (void)logprior;
}
static glow_status nothing_inverse(const void *self, const glow_call *call, const float *y,
                                   float *x, double *logdet, double *logprior) {
  (void)self, (void)call, (void)y, (void)x, (void)logdet, (void)logprior;
  return GLOW_OK;
}
static void nothing_backward(const void *self, const glow_call *call,
                             const glow_layer_gradient *gradient) {
  (void)self, (void)call, (void)gradient;
}
static void no_logits(const void *self, const glow_call *call, const float *x, float *logits) {
  (void)self, (void)call, (void)x, (void)logits;
}
static void no_logits_backward(const void *self, const glow_call *call, const float *x,
                               const float *d_logits, float *dx) {
  (void)self, (void)call, (void)x, (void)d_logits, (void)dx;
}

static void add_wanting(glow_context *context, glow_builder *builder, const char *name,
                        const wants *w) {
  glow_layer_ops ops = {.struct_size = sizeof ops, .type = "wanting", .self_size = sizeof *w};
  glow_layer *layer = NULL;
  ops.configure = wanting_configure;
  ops.forward = nothing_forward;
  ops.inverse = nothing_inverse;
  ops.backward = nothing_backward;
  ops.logits = no_logits;
  ops.logits_backward = no_logits_backward;
  OK(glow_layer_create(context, &ops, NULL, NULL, &layer));
  *(wants *)glow_layer_self(layer) = *w;
  add(builder, "", name, layer);
}

static glow_builder *wanting_block(glow_context *context, const wants *w) {
  glow_builder *block = open_builder(context, &shape);
  add_wanting(context, block, "inner", w);
  return block;
}

/* What the model needs is what its layers and its block ask for. */
static void expect_joined(glow_context *context, const wants *outer, const wants *inner,
                          const wants *both) {
  glow_builder *builder = open_builder(context, &shape), *block = wanting_block(context, inner);
  glow_shape condition = {0, 0, 0};
  add_wanting(context, builder, "outer", outer);
  OK(glow_builder_add_block(builder, "block", &block));
  glow_model *model = finish(context, builder);
  assert_int_equal(glow_model_class_count(model), both->classes);
  assert_int_equal(glow_model_logit_count(model), both->logits);
  assert_int_equal(glow_model_condition_size(model),
                   both->condition.channels ? glow_shape_size(&both->condition) : 0);
  if (both->condition.channels) {
    OK(glow_model_condition_shape(model, &condition));
    assert_memory_equal(&condition, &both->condition, sizeof condition);
  }
  glow_model_destroy(&model);
}

static void refuse_joined(glow_context *context, const wants *outer, const wants *inner,
                          glow_status status, const char *words) {
  glow_builder *builder = open_builder(context, &shape), *block = wanting_block(context, inner);
  add_wanting(context, builder, "outer", outer);
  REFUSED(glow_builder_add_block(builder, "block", &block), status, words);
  assert_null(block);
  block = open_builder(context, &shape);
  REFUSED(glow_builder_add_block(builder, "more", &block), GLOW_E_STATE, "has failed before");
  glow_builder_destroy(&builder);
}

static void test_joined(void **state) {
  static const wants none = {0}, all = {3, {2, 2, 5}, 7};
  static const wants labels = {.classes = 3}, condition = {.condition = {2, 2, 5}},
                     logits = {.logits = 7}, no_logits_of_its_own = {3, {2, 2, 5}, 0};
  helper_memory memory = {0};
  glow_context *context = helper_context(1, NULL, &memory);
  (void)state;
  expect_joined(context, &none, &none, &none);
  expect_joined(context, &all, &none, &all);
  expect_joined(context, &none, &all, &all);
  expect_joined(context, &all, &no_logits_of_its_own, &all);
  expect_joined(context, &no_logits_of_its_own, &all, &all);
  expect_joined(context, &labels, &condition, &no_logits_of_its_own);
  expect_joined(context, &labels, &labels, &labels);
  expect_joined(context, &condition, &condition, &condition);
  expect_joined(context, &logits, &no_logits_of_its_own, &all);
  refuse_joined(context, &labels, &(wants){.classes = 4}, GLOW_E_SHAPE,
                "labels of 4 classes, but an earlier layer has 3");
  refuse_joined(context, &condition, &(wants){.condition = {2, 2, 6}}, GLOW_E_SHAPE,
                "the block reads a condition of 2 x 2 x 6, but an earlier layer one of 2 x 2 x 5");
  refuse_joined(context, &logits, &logits, GLOW_E_STATE, "already has logits from another layer");
  glow_context_destroy(&context);
  assert_int_equal(memory.live, 0);
}

/* ---- layers that cannot be copied, or are copied in their own way ---------------------------- */

/* One that was made in its own way has a tensor of another size. */
static glow_status odd_configure(void *self, glow_setup *setup, const glow_shape *in,
                                 glow_shape *out) {
  const int64_t dims[] = {*(const char *)self ? 3 : 2};
  int32_t id = 0;
  *out = *in;
  return glow_setup_tensor(setup, "tensor", GLOW_TYPE_F32, 1, 1, dims, &id);
}
enum { COPIED, INFERENCE_ONLY, HOLDS_MORE, MADE_OTHERWISE };

static int32_t made_again;

static glow_status odd_create(glow_context *context, const void *options, glow_net **nets,
                              glow_layer **out);

static glow_layer_ops odd_table(int32_t kind) {
  glow_layer_ops ops = {.struct_size = sizeof ops, .type = "odd"};
  ops.flags = kind == INFERENCE_ONLY ? GLOW_LAYER_INFERENCE_ONLY : 0;
  ops.self_size = 8;
  ops.configure = odd_configure;
  ops.forward = nothing_forward;
  ops.inverse = nothing_inverse;
  ops.backward = nothing_backward;
  ops.create = kind == MADE_OTHERWISE ? odd_create : NULL;
  return ops;
}

static glow_status odd_create(glow_context *context, const void *options, glow_net **nets,
                              glow_layer **out) {
  const glow_layer_ops ops = odd_table(MADE_OTHERWISE);
  GLOW_TRY(glow_layer_create(context, &ops, options, nets, out));
  *(char *)glow_layer_self(*out) = 1;
  made_again++;
  return GLOW_OK;
}

static glow_layer *odd_layer(glow_context *context, int32_t kind) {
  const glow_layer_ops ops = odd_table(kind);
  glow_layer *layer = NULL;
  OK(glow_layer_create(context, &ops, NULL, NULL, &layer));
  if (kind == HOLDS_MORE)
    *(char *)glow_layer_self(layer) = 1;
  return layer;
}

/* A copy is made of a layer's options: its type need not be registered, but options must be all
 * that there is, or the table must say how it is made. */
static void test_copy_needs(void **state) {
  glow_context *context = helper_context(1, NULL, NULL);
  (void)state;
  made_again = 0;
  for (int32_t kind = COPIED; kind <= MADE_OTHERWISE; kind++) {
    glow_builder *block = open_builder(context, &shape), *builder = open_builder(context, &shape);
    add(block, "", "odd", odd_layer(context, kind));
    if (kind == COPIED || kind == MADE_OTHERWISE) {
      OK(glow_builder_add_copy(builder, "x", block));
    } else {
      REFUSED(glow_builder_add_copy(builder, "x", block), GLOW_E_UNSUPPORTED,
              kind == HOLDS_MORE
                  ? "layer 'x.odd': a layer of type 'odd' holds more than its options "
                    "(glow_layer_self): it can be neither saved nor copied"
                  : "inference");
      REFUSED(glow_builder_add_copy(builder, "x", block), GLOW_E_STATE, "has failed before");
    }
    glow_builder_destroy(&builder);
    glow_builder_destroy(&block);
  }
  assert_int_equal(made_again, 1);
  glow_context_destroy(&context);
}

/* The values of a finished model need tensors of the same sizes in the copy. */
static void test_copy_with_other_tensors(void **state) {
  helper_memory memory = {0};
  glow_context *context = helper_context(1, NULL, &memory);
  glow_builder *inner = open_builder(context, &shape), *builder = NULL;
  (void)state;
  add(inner, "", "odd", odd_layer(context, MADE_OTHERWISE));
  glow_model *model = finish(context, inner);
  builder = open_builder(context, &shape);
  REFUSED(
      glow_builder_add_model(builder, "x", model), GLOW_E_STATE,
      "the copies have other tensors than the model: some layer does not save all of its options");
  REFUSED(glow_builder_add_model(builder, "y", model), GLOW_E_STATE, "has failed before");
  glow_builder_destroy(&builder);
  glow_model_destroy(&model);
  glow_context_destroy(&context);
  assert_int_equal(memory.live, 0);
}

/* What is wrong with the arguments of a copy; the builder has failed then. */
static void refuse_copy(glow_context *context, const char *name, const glow_builder *block,
                        const char *words) {
  glow_builder *builder = open_builder(context, &shape), *more = step_block(context, &shape);
  REFUSED(glow_builder_add_copy(builder, name, block ? block : builder), GLOW_E_ARGUMENT, words);
  REFUSED(glow_builder_add_copy(builder, "x", more), GLOW_E_STATE, "has failed before");
  glow_builder_destroy(&more);
  glow_builder_destroy(&builder);
}

static void test_copy_refusals(void **state) {
  helper_memory memory = {0};
  glow_context *context = helper_context(1, NULL, &memory);
  glow_builder *builder = open_builder(context, &shape), *block = step_block(context, &shape);
  glow_model *model = flat_model(context);
  glow_layer *layer = NULL;
  (void)state;
  REFUSED(glow_builder_add_copy(builder, "x", NULL), GLOW_E_ARGUMENT, "no block");
  REFUSED(glow_builder_add_copy(builder, "x", block), GLOW_E_STATE, "has failed before");
  glow_builder_destroy(&builder);
  refuse_copy(context, "x", NULL, "a builder cannot be its own block");
  refuse_copy(context, "", block, "a block needs a name");
  refuse_copy(context, NULL, block, "a block needs a name");
  OK(glow_actnorm_create(context, NULL, &layer));
  REFUSED(glow_builder_add(block, " ", &layer), GLOW_E_ARGUMENT, "space");
  refuse_copy(context, "x", block, "the block has failed before");
  for (int i = 0; i < 2; i++) {
    builder = open_builder(context, &shape);
    REFUSED(glow_builder_add_model(builder, i ? NULL : "", model), GLOW_E_ARGUMENT, "needs a name");
    glow_builder_destroy(&builder);
  }
  const glow_shape others[] = {{2, 4, 4}, {4, 2, 4}, {4, 4, 2}};
  for (int i = 0; i < 3; i++) {
    builder = open_builder(context, &others[i]);
    REFUSED(glow_builder_add_model(builder, "x", model), GLOW_E_SHAPE,
            "block 'x' takes 4 x 4 x 4, but the model has");
    glow_builder_destroy(&builder);
  }
  glow_model_destroy(&model);
  glow_builder_destroy(&block);
  glow_context_destroy(&context);
  assert_int_equal(memory.live, 0);
}

/* ---- memory ---------------------------------------------------------------------------------- */

/* The n-th allocation of nesting fails. */
static void test_memory(void **state) {
  (void)state;
  for (int64_t n = 1;; n++) {
    helper_memory memory = {0};
    glow_context *context = helper_context(1, NULL, &memory);
    glow_model *model = flat_model(context), *outer = NULL;
    const glow_shape half = {4, 4, 2};
    glow_builder *builder = open_builder(context, &shape), *block = step_block(context, &half);
    memory.fail_at = memory.calls + n;
    glow_status status = glow_builder_add_model(builder, "model", model);
    if (status == GLOW_OK)
      status = glow_builder_add_copy(builder, "copy", block);
    if (status == GLOW_OK)
      status = glow_builder_add_block(builder, "block", &block);
    memory.fail_at = 0;
    if (memory.failures)
      assert_int_equal(status, GLOW_E_MEMORY);
    else
      outer = finish(context, builder), builder = NULL;
    int64_t failures = memory.failures;
    glow_builder_destroy(&block);
    glow_builder_destroy(&builder);
    glow_model_destroy(&outer);
    glow_model_destroy(&model);
    glow_context_destroy(&context);
    assert_int_equal(memory.live, 0);
    if (!failures) {
      assert_true(n > 50);
      return;
    }
  }
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(test_flat),
      cmocka_unit_test(test_files),
      cmocka_unit_test(test_copies),
      cmocka_unit_test(test_model),
      cmocka_unit_test(test_depth),
      cmocka_unit_test(test_refusals),
      cmocka_unit_test(test_joined),
      cmocka_unit_test(test_copy_needs),
      cmocka_unit_test(test_copy_with_other_tensors),
      cmocka_unit_test(test_copy_refusals),
      cmocka_unit_test(test_memory),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
