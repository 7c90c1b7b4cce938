/* Every layer and network of the library, with every choice of options, passes the kit that others
 * put their layers through. SPDX-License-Identifier: MIT */
#include "../support/model_helpers.h"

#include <glow/sys/check.h>

/* ---- the rows of all tests of layers (tests/support/model_helpers.c) ------------------------- */

/* Vectors, images that are not square, odd numbers of channels, one channel. */
static const glow_shape shapes[] = {{1, 1, 8}, {2, 4, 4}, {3, 5, 2}, {1, 1, 3}, {2, 3, 1}};
enum { SHAPES = sizeof shapes / sizeof *shapes };

static void say(const char *check, const char *fault, void *payload) {
  print_error("%s: %s: %s\n", (const char *)payload, check, fault);
}

static void check(glow_context *context, const char *name, glow_layer *layer,
                  const glow_check_options *given) {
  glow_check_options o = *given;
  char text[200];
  snprintf(text, sizeof text, "%s on %d x %d x %d", name, (int)o.shape.height, (int)o.shape.width,
           (int)o.shape.channels);
  o.seed = helper_seed();
  o.report = say;
  o.payload = text;
  OK(glow_layer_check(context, &layer, &o));
  assert_null(layer);
}

static void test_rows(void **state) {
  glow_context *context = helper_context(1, NULL, NULL);
  (void)state;
  for (int32_t l = 0; l < helper_layer_count; l++)
    for (int s = 0; s < SHAPES; s++) {
      glow_check_options o = GLOW_CHECK_OPTIONS_INIT;
      glow_layer *layer = NULL;
      o.shape = shapes[s];
      if (!helper_layer_fits(&helper_layers[l], &o.shape))
        continue;
      OK(helper_create_layer(context, &helper_layers[l], 5, &layer));
      check(context, helper_layers[l].name, layer, &o);
    }
  glow_context_destroy(&context);
}

/* ---- layers with needs of their own: a line for each ----------------------------------------- */

typedef struct row {
  const char *name;
  glow_status (*make)(glow_context *context, glow_layer **out);
  glow_check_options options;
} row;

static glow_status make_floor(glow_context *context, glow_layer **out) {
  glow_actnorm_options o = GLOW_ACTNORM_OPTIONS_INIT;
  o.floor = 0.25;
  return glow_actnorm_create(context, &o, out);
}

static glow_status make_logit(glow_context *context, glow_layer **out) {
  return glow_logit_create(context, NULL, out);
}

/* The range of data, where the curve is one. */
#define OF_DATA                                                                                    \
  { sizeof(glow_check_options), {4, 4, 4}, 3, 0, 0, -0.5, 0.5, 0.1, 1e-4, 1e-3, 1e-2, NULL, NULL }

static const row rows[] = {
    {"actnorm with a floor", make_floor, GLOW_CHECK_OPTIONS_INIT},
    {"logit of data", make_logit, OF_DATA},
};

static void test_more_layers(void **state) {
  glow_context *context = helper_context(2, NULL, NULL);
  (void)state;
  for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
    glow_layer *layer = NULL;
    OK(rows[i].make(context, &layer));
    check(context, rows[i].name, layer, &rows[i].options);
  }
  glow_context_destroy(&context);
}

/* ---- networks: a line for each --------------------------------------------------------------- */

typedef struct net_row {
  const char *name;
  glow_status (*make)(glow_context *context, glow_net **out);
  glow_check_options options;
} net_row;

static glow_status make_conv(glow_context *context, glow_net **out) {
  glow_conv_net_options o = GLOW_CONV_NET_OPTIONS_INIT;
  o.hidden = 5;
  return glow_conv_net_create(context, &o, out);
}

static glow_status make_conv_biases(glow_context *context, glow_net **out) {
  glow_conv_net_options o = GLOW_CONV_NET_OPTIONS_INIT;
  o.hidden = 7;
  o.actnorm = 0;
  return glow_conv_net_create(context, &o, out);
}

static glow_status make_conv_border(glow_context *context, glow_net **out) {
  glow_conv_net_options o = GLOW_CONV_NET_OPTIONS_INIT;
  o.hidden = 5;
  o.border = 1;
  return glow_conv_net_create(context, &o, out);
}

static glow_status make_mlp(glow_context *context, glow_net **out) {
  glow_mlp_net_options o = GLOW_MLP_NET_OPTIONS_INIT;
  o.hidden = 5;
  return glow_mlp_net_create(context, &o, out);
}

static glow_status make_mlp_condition(glow_context *context, glow_net **out) {
  glow_mlp_net_options o = GLOW_MLP_NET_OPTIONS_INIT;
  o.hidden = 5;
  o.depth = 3;
  o.condition.channels = 2;
  return glow_mlp_net_create(context, &o, out);
}

static glow_status make_res(glow_context *context, glow_net **out) {
  glow_res_net_options o = GLOW_RES_NET_OPTIONS_INIT;
  o.hidden = 5;
  o.blocks = 2;
  return glow_res_net_create(context, &o, out);
}

static glow_status make_res_plain(glow_context *context, glow_net **out) {
  glow_res_net_options o = GLOW_RES_NET_OPTIONS_INIT;
  o.hidden = 5;
  o.blocks = 1;
  o.weight_norm = o.batch_norm = 0;
  return glow_res_net_create(context, &o, out);
}

/* With a condition: a vector, an image of the same size, one of twice the size. */
static const glow_shape vector = {1, 1, 3}, image = {4, 3, 2}, large = {8, 6, 1};

static glow_status make_conv_reading(glow_context *context, const glow_shape *condition,
                                     int32_t border, glow_net **out) {
  glow_conv_net_options o = GLOW_CONV_NET_OPTIONS_INIT;
  o.hidden = 5;
  o.border = border;
  o.condition = *condition;
  return glow_conv_net_create(context, &o, out);
}

static glow_status make_res_reading(glow_context *context, const glow_shape *condition,
                                    glow_net **out) {
  glow_res_net_options o = GLOW_RES_NET_OPTIONS_INIT;
  o.hidden = 5;
  o.blocks = 1;
  o.condition = *condition;
  return glow_res_net_create(context, &o, out);
}

static glow_status make_conv_vector(glow_context *context, glow_net **out) {
  return make_conv_reading(context, &vector, 0, out);
}

static glow_status make_conv_image(glow_context *context, glow_net **out) {
  return make_conv_reading(context, &image, 1, out);
}

static glow_status make_conv_large(glow_context *context, glow_net **out) {
  return make_conv_reading(context, &large, 0, out);
}

static glow_status make_res_vector(glow_context *context, glow_net **out) {
  return make_res_reading(context, &vector, out);
}

static glow_status make_res_image(glow_context *context, glow_net **out) {
  return make_res_reading(context, &image, out);
}

static glow_status make_res_large(glow_context *context, glow_net **out) {
  return make_res_reading(context, &large, out);
}

/* The same, standardised by initialisation: a vector by element, images by channel. */
static glow_status make_conv_standardised(glow_context *context, glow_net **out) {
  glow_conv_net_options o = GLOW_CONV_NET_OPTIONS_INIT;
  o.hidden = 5;
  o.condition = vector;
  o.standardise = 1;
  return glow_conv_net_create(context, &o, out);
}

static glow_status make_conv_biases_standardised(glow_context *context, glow_net **out) {
  glow_conv_net_options o = GLOW_CONV_NET_OPTIONS_INIT;
  o.hidden = 5;
  o.actnorm = 0; /* the rounds are those of the condition alone */
  o.condition = large;
  o.standardise = 1;
  return glow_conv_net_create(context, &o, out);
}

static glow_status make_res_standardised(glow_context *context, glow_net **out) {
  glow_res_net_options o = GLOW_RES_NET_OPTIONS_INIT;
  o.hidden = 5;
  o.blocks = 1;
  o.condition = image;
  o.standardise = 1;
  return glow_res_net_create(context, &o, out);
}

static glow_status make_mlp_image(glow_context *context, glow_net **out) {
  glow_mlp_net_options o = GLOW_MLP_NET_OPTIONS_INIT;
  o.hidden = 5;
  o.condition = image;
  return glow_mlp_net_create(context, &o, out);
}

static glow_status make_mlp_standardised(glow_context *context, glow_net **out) {
  glow_mlp_net_options o = GLOW_MLP_NET_OPTIONS_INIT;
  o.hidden = 5;
  o.condition = image;
  o.standardise = 1;
  return glow_mlp_net_create(context, &o, out);
}

static const net_row net_rows[] = {
    {"res", make_res, GLOW_CHECK_OPTIONS_INIT},
    {"res without norms", make_res_plain, GLOW_CHECK_OPTIONS_INIT},
    {"conv", make_conv, GLOW_CHECK_OPTIONS_INIT},
    {"conv with biases", make_conv_biases, GLOW_CHECK_OPTIONS_INIT},
    {"conv with border", make_conv_border, GLOW_CHECK_OPTIONS_INIT},
    {"MLP", make_mlp, GLOW_CHECK_OPTIONS_INIT},
    {"MLP with a condition", make_mlp_condition, GLOW_CHECK_OPTIONS_INIT},
    {"conv with a vector", make_conv_vector, GLOW_CHECK_OPTIONS_INIT},
    {"conv with border and an image", make_conv_image, GLOW_CHECK_OPTIONS_INIT},
    {"conv with a larger image", make_conv_large, GLOW_CHECK_OPTIONS_INIT},
    {"res with a vector", make_res_vector, GLOW_CHECK_OPTIONS_INIT},
    {"res with an image", make_res_image, GLOW_CHECK_OPTIONS_INIT},
    {"res with a larger image", make_res_large, GLOW_CHECK_OPTIONS_INIT},
    {"MLP with an image", make_mlp_image, GLOW_CHECK_OPTIONS_INIT},
    {"MLP with an image, standardised", make_mlp_standardised, GLOW_CHECK_OPTIONS_INIT},
    {"conv with a vector, standardised", make_conv_standardised, GLOW_CHECK_OPTIONS_INIT},
    {"conv with biases and an image, standardised", make_conv_biases_standardised,
     GLOW_CHECK_OPTIONS_INIT},
    {"res with an image, standardised", make_res_standardised, GLOW_CHECK_OPTIONS_INIT},
};

static void test_nets(void **state) {
  glow_context *context = helper_context(1, NULL, NULL);
  (void)state;
  for (size_t i = 0; i < sizeof net_rows / sizeof *net_rows; i++) {
    glow_check_options o = net_rows[i].options;
    glow_net *net = NULL;
    o.shape = (glow_shape){4, 3, 2};
    o.seed = helper_seed();
    o.report = say;
    o.payload = (void *)(uintptr_t)net_rows[i].name;
    OK(net_rows[i].make(context, &net));
    OK(glow_net_check(context, &net, &o));
    assert_null(net);
  }
  glow_context_destroy(&context);
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(test_rows),
      cmocka_unit_test(test_more_layers),
      cmocka_unit_test(test_nets),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
