/* Options of the layers that come with the library: without any, or with the macro of the header,
 * the defaults are the same bytes; what is wrong is refused by its name, with what is allowed.
 * SPDX-License-Identifier: MIT */
#include "../support/model_helpers.h"

#include "layers/layers.h"

/* ---- defaults -------------------------------------------------------------------------------- */

static const glow_actnorm_options actnorm_defaults = GLOW_ACTNORM_OPTIONS_INIT;
static const glow_invconv_options invconv_defaults = GLOW_INVCONV_OPTIONS_INIT;
static const glow_permute_options permute_defaults = GLOW_PERMUTE_OPTIONS_INIT;
static const glow_scaling_options scaling_defaults = GLOW_SCALING_OPTIONS_INIT;
static const glow_flatten_options flatten_defaults = GLOW_FLATTEN_OPTIONS_INIT;
static const glow_coupling_options coupling_defaults = GLOW_COUPLING_OPTIONS_INIT;
static const glow_spline_coupling_options spline_coupling_defaults =
    GLOW_SPLINE_COUPLING_OPTIONS_INIT;
static const glow_squeeze_options squeeze_defaults = GLOW_SQUEEZE_OPTIONS_INIT;
static const glow_split_options split_defaults = GLOW_SPLIT_OPTIONS_INIT;
static const glow_prior_options prior_defaults = GLOW_PRIOR_OPTIONS_INIT;
static const glow_batchnorm_options batchnorm_defaults = GLOW_BATCHNORM_OPTIONS_INIT;
static const glow_logit_options logit_defaults = GLOW_LOGIT_OPTIONS_INIT;
static const glow_standardise_options standardise_defaults = GLOW_STANDARDISE_OPTIONS_INIT;

typedef struct layer_type {
  const glow_layer_ops *ops;
  const void *defaults;
  size_t size;
} layer_type;

/* A type in the list of layers without a line above does not compile. */
#define TYPE(type) {&glow__##type##_ops, &type##_defaults, sizeof type##_defaults},
static const layer_type types[] = {GLOW_LAYER_LIST(TYPE)};
#undef TYPE
enum { TYPES = sizeof types / sizeof *types };

static const layer_type *find(const char *type) {
  for (int t = 0; t < TYPES; t++)
    if (strcmp(types[t].ops->type, type) == 0)
      return &types[t];
  fail_msg("no layer of type %s", type);
  return NULL;
}

/* A layer of a type, as its constructor makes it. */
static glow_status make(glow_context *context, const layer_type *type, const void *options,
                        glow_layer **out) {
  glow_net *net = NULL;
  if (type->ops->net_count)
    OK(glow_mlp_net_create(context, NULL, &net));
  glow_status status = type->ops->create
                           ? type->ops->create(context, options, &net, out)
                           : glow_layer_create(context, type->ops, options, &net, out);
  assert_null(net);
  return status;
}

static void test_defaults(void **state) {
  helper_memory memory = {0};
  glow_context *context = helper_context(1, NULL, &memory);
  int64_t live = memory.live;
  (void)state;
  for (int t = 0; t < TYPES; t++) {
    const glow_options_table *table = types[t].ops->options;
    unsigned char read[256];
    assert_int_equal(table->size, types[t].size);
    assert_true(table->size <= sizeof read);
    memset(read, 0xa5, sizeof read);
    OK(glow_options_read(table, NULL, read));
    assert_memory_equal(read, types[t].defaults, types[t].size);
    for (int given = 0; given < 2; given++) {
      glow_layer *layer = NULL;
      OK(make(context, &types[t], given ? types[t].defaults : NULL, &layer));
      assert_memory_equal(glow_layer_self(layer), types[t].defaults, types[t].size);
      glow_layer_destroy(&layer);
    }
  }
  assert_int_equal(memory.live, live);
  glow_context_destroy(&context);
}

/* ---- single fields --------------------------------------------------------------------------- */

typedef struct refusal {
  const char *type, *field;
  double value;
  const char *words;
} refusal;

#define KINDS "it must be one of GLOW_COUPLING_...: affine (301), additive (302)"
#define SCALES                                                                                     \
  "it must be one of GLOW_SCALE_...: sigmoid (401), exp (402), tanh (403), sigmoid_floor (404), "  \
  "tanh_learned (405)"
#define MASKS "it must be one of GLOW_MASK_...: channels (501), checkerboard (502), indices (503)"
#define ORDERS "it must be one of GLOW_ORDER_...: shift_scale (601), scale_shift (602)"
#define PERMUTATIONS                                                                               \
  "it must be one of GLOW_PERMUTATION_...: reverse (701), shuffle (702), even_odd (703)"
#define DENSITIES "it must be one of GLOW_DENSITY_...: gaussian (801), logistic (802)"

static const refusal refusals[] = {
    {"coupling", "kind", 0, "kind is 0; " KINDS},
    {"coupling", "kind", 1, "kind is 1; " KINDS},
    {"coupling", "kind", GLOW_COUPLING_SPLINE, "kind is 303; " KINDS},
    {"coupling", "scale", 1, "scale is 1; " SCALES},
    {"coupling", "scale", 400, "scale is 400; " SCALES},
    {"coupling", "scale", 406, "scale is 406; " SCALES},
    {"coupling", "mask", 1, "mask is 1; " MASKS},
    {"coupling", "mask", 504, "mask is 504; " MASKS},
    {"coupling", "order", 1, "order is 1; " ORDERS},
    {"coupling", "order", 603, "order is 603; " ORDERS},
    {"coupling", "invert", 2, "invert is 2; it must be 0 or 1"},
    {"coupling", "floor", 0, "floor is 0; it must be above 0 and below 1"},
    {"coupling", "floor", 1, "floor is 1; it must be above 0 and below 1"},
    {"coupling", "floor", NAN, "floor is nan; it must be above 0 and below 1"},
    {"coupling", "reserved", 1, "reserved must be 0"},
    {"permute", "kind", 1, "kind is 1; " PERMUTATIONS},
    {"permute", "kind", GLOW_PERMUTATION_INVCONV, "kind is 704; " PERMUTATIONS},
    {"permute", "reserved", 1, "reserved must be 0"},
    {"prior", "density", 0, "density is 0; " DENSITIES},
    {"prior", "density", 1, "density is 1; " DENSITIES},
    {"prior", "density", 803, "density is 803; " DENSITIES},
    {"prior", "learned", 2, "learned is 2; it must be 0 or 1"},
    {"prior", "classes", -1, "classes is -1; it must be 0 to 1000000"},
    {"prior", "classes", 1000001, "classes is 1000001; it must be 0 to 1000000"},
    {"prior", "spatial", -1, "spatial is -1; it must be 0 or 1"},
    {"prior", "classifier", 2, "classifier is 2; it must be 0 or 1"},
    {"invconv", "lu", 2, "lu is 2; it must be 0 or 1"},
    {"invconv", "columns", -1, "columns is -1; it must be 0 or 1"},
    {"actnorm", "floor", 0, "floor is 0; it must be above 0 and below 1"},
    {"actnorm", "floor", INFINITY, "floor is inf; it must be above 0 and below 1"},
    {"scaling", "from_data", 2, "from_data is 2; it must be 0 or 1"},
    {"split", "border", 2, "border is 2; it must be 0 or 1"},
    {"split", "fixed", 2, "fixed is 2; it must be 0 or 1"},
    {"batchnorm", "epsilon", 0, "epsilon is 0; it must be above 0 and below 1"},
    {"batchnorm", "momentum", 0, "momentum is 0; it must be above 0 and at most 1"},
    {"batchnorm", "lag", 1, "lag is 1; it must be at least 0 and below 1"},
    {"batchnorm", "lag", -0.5, "lag is -0.5; it must be at least 0 and below 1"},
    {"logit", "alpha", 0.5, "alpha is 0.5; it must be at least 1e-06 and below 0.5"},
    {"logit", "alpha", 0, "alpha is 0; it must be at least 1e-06 and below 0.5"},
    {"spline_coupling", "bins", 1, "bins is 1; it must be 2 to 64"},
    {"spline_coupling", "bins", 65, "bins is 65; it must be 2 to 64"},
    {"spline_coupling", "parity", 2, "parity is 2; it must be 0 or 1"},
    {"spline_coupling", "bound", 0, "bound is 0; it must be above 0 and at most 1000000"},
    {"spline_coupling", "min_width", 0, "min_width is 0; it must be above 0 and below 1"},
    {"spline_coupling", "min_width", 0.125,
     "min_width is 0.125; times bins, 8, the product must be below 1"},
    {"spline_coupling", "min_height", 0.125,
     "min_height is 0.125; times bins, 8, the product must be below 1"},
    {"spline_coupling", "min_derivative", 1, "min_derivative is 1; it must be above 0 and below 1"},
};

static void set(const glow_options_table *table, const char *field, double value, void *options) {
  for (int32_t i = 0; i < table->count; i++) {
    const glow_option *option = &table->options[i];
    int32_t integer = option->type == GLOW_OPTION_REAL ? 0 : (int32_t)value;
    if (strcmp(option->name, field) != 0)
      continue;
    if (option->type == GLOW_OPTION_REAL)
      memcpy((char *)options + option->offset, &value, sizeof value);
    else
      memcpy((char *)options + option->offset, &integer, sizeof integer);
    return;
  }
  fail_msg("no field %s", field);
}

static void test_fields(void **state) {
  helper_memory memory = {0};
  glow_context *context = helper_context(1, NULL, &memory);
  int64_t live = memory.live;
  (void)state;
  for (size_t i = 0; i < sizeof refusals / sizeof *refusals; i++) {
    const layer_type *type = find(refusals[i].type);
    unsigned char options[256];
    glow_layer *layer = NULL;
    memcpy(options, type->defaults, type->size);
    set(type->ops->options, refusals[i].field, refusals[i].value, options);
    REFUSED(make(context, type, options, &layer), GLOW_E_ARGUMENT, refusals[i].words);
    assert_non_null(strstr(glow_last_error(), type->ops->options->name));
    assert_null(layer);
  }
  assert_int_equal(memory.live, live);
  glow_context_destroy(&context);
}

/* All choices of all layers have a line above: none is forgotten. */
static void test_all_choices(void **state) {
  (void)state;
  for (int t = 0; t < TYPES; t++)
    for (int32_t i = 0; i < types[t].ops->options->count; i++) {
      const glow_option *option = &types[t].ops->options->options[i];
      int lines = 0;
      for (size_t r = 0; r < sizeof refusals / sizeof *refusals; r++)
        lines += strcmp(refusals[r].type, types[t].ops->type) == 0 &&
                 strcmp(refusals[r].field, option->name) == 0;
      if (option->type == GLOW_OPTION_CHOICE && !lines)
        fail_msg("no value of %s.%s is refused", types[t].ops->type, option->name);
    }
}

/* ---- fields together ------------------------------------------------------------------------- */

static void test_together(void **state) {
  glow_context *context = helper_context(1, NULL, NULL);
  static const int32_t listed[] = {1, -1};
  glow_invconv_options invconv = invconv_defaults;
  glow_split_options split = split_defaults;
  glow_prior_options prior = prior_defaults;
  glow_coupling_options coupling = coupling_defaults;
  glow_layer *layer = NULL;
  (void)state;
  invconv.columns = 1, invconv.lu = 0;
  REFUSED(glow_invconv_create(context, &invconv, &layer), GLOW_E_ARGUMENT,
          "columns is 1 and lu is 0; only the LU form has columns to permute");
  split.fixed = split.border = 1;
  REFUSED(glow_split_create(context, &split, &layer), GLOW_E_ARGUMENT,
          "fixed and border are both 1");
  prior.learned = 0, prior.spatial = 1;
  REFUSED(glow_prior_create(context, &prior, &layer), GLOW_E_ARGUMENT,
          "spatial is 1 but learned is 0");
  prior.spatial = 0, prior.classifier = 1;
  REFUSED(glow_prior_create(context, &prior, &layer), GLOW_E_ARGUMENT,
          "classifier is 1 but classes is 0");
  coupling.indices = listed, coupling.index_count = 1;
  REFUSED(make(context, find("coupling"), &coupling, &layer), GLOW_E_ARGUMENT,
          "1 indices are given, but mask is 501; only GLOW_MASK_INDICES (503) reads them");
  coupling.mask = GLOW_MASK_INDICES, coupling.index_count = 2;
  REFUSED(make(context, find("coupling"), &coupling, &layer), GLOW_E_ARGUMENT,
          "indices[1] is -1; it must be 0 to 2147483647");
  coupling.indices = NULL;
  REFUSED(make(context, find("coupling"), &coupling, &layer), GLOW_E_ARGUMENT,
          "indices: a list of 2");
  assert_null(layer);
  glow_context_destroy(&context);
}

/* The network is taken over whatever else is wrong; without one there is no coupling. */
static void test_networks(void **state) {
  helper_memory memory = {0};
  glow_context *context = helper_context(1, NULL, &memory);
  glow_layer *layer = NULL;
  glow_net *net = NULL;
  int64_t live = memory.live;
  (void)state;
  REFUSED(glow_coupling_create(context, NULL, &net, &layer), GLOW_E_ARGUMENT,
          "a layer of type 'coupling' needs a net ('net'), which is NULL");
  REFUSED(glow_spline_coupling_create(context, NULL, NULL, &layer), GLOW_E_ARGUMENT,
          "a layer of type 'spline_coupling' needs a net ('net'), which is NULL");
  OK(glow_mlp_net_create(context, NULL, &net));
  REFUSED(glow_coupling_create(context, NULL, &net, NULL), GLOW_E_ARGUMENT, "NULL argument");
  assert_null(net);
  OK(glow_mlp_net_create(context, NULL, &net));
  REFUSED(glow_spline_coupling_create(NULL, NULL, &net, &layer), GLOW_E_ARGUMENT, "NULL argument");
  assert_null(net);
  assert_int_equal(memory.live, live);
  glow_context_destroy(&context);
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(test_defaults),    cmocka_unit_test(test_fields),
      cmocka_unit_test(test_all_choices), cmocka_unit_test(test_together),
      cmocka_unit_test(test_networks),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
