/* Memory runs out while contexts, pools, generators, types, layers, nets and builders are made, and
 * in the calls that build a model layer by layer. SPDX-License-Identifier: MIT */
#include "each_allocation.h"

/* ---- contexts and pools ---------------------------------------------------------------------- */

typedef struct kind_of_context {
  const char *name;
  uint32_t threads;
  int32_t products;
} kind_of_context;

static const kind_of_context contexts[] = {
    {"context", 0, 0},
    {"context with a pool", 3, 0},
    {"context with bfloat16", 0, GLOW_PRODUCTS_BFLOAT16},
};

static glow_status create_context(trial *t) {
  const kind_of_context *kind = t->choice;
  glow_context_options o = GLOW_CONTEXT_OPTIONS_INIT;
  glow_context *context = NULL;
  o.allocator = &t->allocator;
  o.threads = kind->threads;
  o.products = kind->products;
  glow_status status = glow_context_create(&o, &context);
  assert_int_equal(status == GLOW_OK, context != NULL);
  glow_context_destroy(&context);
  return status;
}

static void test_context(void **state) {
  (void)state;
  for (size_t i = 0; i < sizeof contexts / sizeof *contexts; i++)
    each_allocation(&(operation){.name = contexts[i].name, .run = create_context}, &contexts[i]);
}

static glow_status create_pool(trial *t) {
  glow_pool *pool = NULL;
  glow_status status = glow_pool_create(&t->allocator, 3, &pool);
  assert_int_equal(status == GLOW_OK, pool != NULL);
  glow_pool_destroy(&pool);
  return status;
}

static glow_status create_rng(trial *t) {
  glow_rng *rng = NULL;
  float values[4] = {0};
  glow_status status = glow_rng_create(t->context, 1, &rng);
  assert_int_equal(status == GLOW_OK, rng != NULL);
  if (rng)
    glow_rng_normal(rng, values, 4);
  hash_fold(&t->result, values, sizeof values);
  glow_rng_destroy(&rng);
  return status;
}

static void test_small(void **state) {
  (void)state;
  each_allocation(&(operation){.name = "pool", .run = create_pool}, NULL);
  each_allocation(&(operation){.name = "generator", .run = create_rng}, NULL);
}

/* ---- types ----------------------------------------------------------------------------------- */

/* Adds its option to x: a layer, and a net, of the caller's own. */
typedef struct shift_options {
  size_t struct_size;
  double by;
} shift_options;

static const glow_option shift_rows[] = {
    GLOW_OPTION(shift_options, by, REAL, .low = -1, .high = 1, .fallback = 0.5),
};
static const glow_options_table shift_table = {GLOW_OPTIONS_TABLE(shift_options, shift_rows)};

static glow_status shift_configure(void *self, glow_setup *setup, const glow_shape *input,
                                   glow_shape *output) {
  (void)self;
  (void)setup;
  *output = *input;
  return GLOW_OK;
}

static void shift_forward(const void *self, const glow_call *call, const float *x, float *y,
                          double *logdet, double *logprior) {
  (void)self, (void)call, (void)x, (void)y, (void)logdet, (void)logprior;
}

static glow_status shift_inverse(const void *self, const glow_call *call, const float *y, float *x,
                                 double *logdet, double *logprior) {
  (void)self, (void)call, (void)y, (void)x, (void)logdet, (void)logprior;
  return GLOW_OK;
}

static void shift_backward(const void *self, const glow_call *call,
                           const glow_layer_gradient *gradient) {
  (void)self, (void)call, (void)gradient;
}

static const glow_layer_ops shift_ops = {
    .struct_size = sizeof(glow_layer_ops),
    .type = "test.shift",
    .options = &shift_table,
    .self_size = sizeof(shift_options),
    .configure = shift_configure,
    .forward = shift_forward,
    .inverse = shift_inverse,
    .backward = shift_backward,
};

/* A new type each time, in a context of its own: registering is for good. */
static glow_status register_types(trial *t) {
  glow_context_options o = GLOW_CONTEXT_OPTIONS_INIT;
  glow_context *context = NULL;
  glow_layer *layer = NULL;
  o.allocator = &t->allocator;
  glow_status status = glow_context_create(&o, &context);
  if (status == GLOW_OK)
    status = glow_context_register_layer(context, &shift_ops);
  if (status == GLOW_OK)
    status = glow_layer_create(context, &shift_ops, NULL, NULL, &layer);
  assert_int_equal(status == GLOW_OK, layer != NULL);
  glow_layer_destroy(&layer);
  glow_context_destroy(&context);
  return status;
}

static void test_types(void **state) {
  (void)state;
  each_allocation(&(operation){.name = "types", .run = register_types}, NULL);
}

/* ---- layers and nets ------------------------------------------------------------------------- */

static glow_status create_layer(trial *t) {
  glow_layer *layer = NULL;
  glow_status status = helper_create_layer(t->context, t->choice, 4, &layer);
  assert_int_equal(status == GLOW_OK, layer != NULL);
  glow_layer_destroy(&layer);
  return status;
}

static void create_layers(const helper_layer *rows, int32_t count) {
  for (int32_t i = 0; i < count; i++)
    each_allocation(&(operation){.name = rows[i].name, .run = create_layer}, &rows[i]);
}

static void test_layers(void **state) {
  (void)state;
  create_layers(helper_layers, helper_layer_count);
  create_layers(helper_couplings, helper_coupling_count);
  create_layers(helper_res_nets, helper_res_net_count);
}

/* ---- builders -------------------------------------------------------------------------------- */

static const glow_shape shape = {4, 4, 4};

static glow_status add_actnorm(glow_context *context, glow_builder *builder, const char *name) {
  glow_layer *layer = NULL;
  glow_status status = glow_actnorm_create(context, NULL, &layer);
  return status == GLOW_OK ? glow_builder_add(builder, name, &layer) : status;
}

static glow_status add_prior(glow_context *context, glow_builder *builder) {
  glow_layer *layer = NULL;
  glow_status status = glow_prior_create(context, NULL, &layer);
  return status == GLOW_OK ? glow_builder_add(builder, "prior", &layer) : status;
}

/* More layers than fit the builder's first table of them. */
enum { LAYERS = 40 };

static glow_status create_block(glow_context *context, int32_t layers, glow_builder **out) {
  glow_status status = glow_builder_create(context, &shape, NULL, out);
  for (int32_t i = 0; i < layers && status == GLOW_OK; i++) {
    char name[32];
    snprintf(name, sizeof name, "layer%d", (int)i);
    status = add_actnorm(context, *out, name);
  }
  return status;
}

/* A block is copied into a builder and then moved there. */
static glow_status build(trial *t) {
  glow_builder *builder = NULL, *block = NULL;
  glow_model *model = NULL;
  glow_status status = create_block(t->context, LAYERS, &builder);
  if (status == GLOW_OK)
    status = create_block(t->context, 2, &block);
  if (status == GLOW_OK)
    status = glow_builder_add_copy(builder, "copy", block);
  if (status == GLOW_OK)
    status = glow_builder_add_block(builder, "block", &block);
  if (status == GLOW_OK)
    status = add_prior(t->context, builder);
  if (status == GLOW_OK)
    status = glow_builder_finish(&builder, &model);
  assert_int_equal(status == GLOW_OK, model != NULL);
  hash_number(&t->result, glow_model_layer_count(model));
  glow_builder_destroy(&builder);
  glow_builder_destroy(&block);
  glow_model_destroy(&model);
  return status;
}

static void test_builder(void **state) {
  (void)state;
  each_allocation(&(operation){.name = "builder", .run = build}, NULL);
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(test_context), cmocka_unit_test(test_small),   cmocka_unit_test(test_types),
      cmocka_unit_test(test_layers),  cmocka_unit_test(test_builder),
  };
  return cmocka_run_group_tests(tests, NULL, each_allocation_report);
}
