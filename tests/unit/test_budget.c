/* Which layers are stored where memory is limited: the price of each, and the whole choice, worked
 * out by hand. The models are nothing but their nodes. SPDX-License-Identifier: MIT */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include <glow/glow.h>
#include <glow/sys/net.h>

#include "host/workspace.h"

enum { NODES = 5, FLOATS = 64, BATCH = 2 }; /* FLOATS: a whole number of the units of alignment */

typedef struct fixture {
  glow_context *context;
  glow_layer *layers[NODES];
  glow__region regions[NODES];
  glow__node nodes[NODES];
  glow_model model;
} fixture;

/* Layers alike, which reconstruct, and store a region as large as their input. */
static void open_fixture(fixture *f) {
  memset(f, 0, sizeof *f);
  assert_int_equal(glow_context_create(NULL, &f->context), GLOW_OK);
  f->model =
      (glow_model){.context = f->context, .dims = FLOATS, .nodes = f->nodes, .node_count = NODES};
  for (int i = 0; i < NODES; i++) {
    f->layers[i] = calloc(1, sizeof **f->layers);
    assert_non_null(f->layers[i]);
    f->layers[i]->ops.flags = GLOW_LAYER_RECONSTRUCTS;
    f->regions[i] = (glow__region){.per_sample = FLOATS, .backward = true};
    f->nodes[i] = (glow__node){.layer = f->layers[i],
                               .in_size = FLOATS,
                               .out_size = FLOATS,
                               .stored = {1, &f->regions[i]},
                               .forward_work = 1000,
                               .inverse_work = 1000};
  }
}

/* The choice with room for so many floats beyond those of the least workspace, as a word with a
 * letter for each node: S if it is stored. */
static void expect(fixture *f, int64_t room, const char *want) {
  unsigned char store[NODES] = {0};
  char have[NODES + 1] = {0};
  const int64_t least = 12345; /* of whatever else is in the workspace */
  assert_int_equal(glow__choose_stored(&f->model, BATCH, least, least + room, store), GLOW_OK);
  for (int i = 0; i < NODES; i++)
    have[i] = store[i] ? 'S' : '-';
  assert_string_equal(have, want);
}

static void close_fixture(fixture *f) {
  for (int i = 0; i < NODES; i++)
    free(f->layers[i]);
  glow_context_destroy(&f->context);
}

/* Floats of a state of the whole batch, and of what a layer stores. */
enum { STATE = BATCH * FLOATS };

/* A layer takes what it stores, and its input and its output, unless a neighbour has them. The
 * input of the first is there anyway, and the last has no output: those two take 2 states, the
 * others 3. The order is that of the start, when nothing is stored: both ends, then the others. */
static void test_costs(void **state) {
  fixture f;
  (void)state;
  open_fixture(&f);
  expect(&f, 0, "-----");
  expect(&f, 2 * STATE - 1, "-----");
  expect(&f, 2 * STATE, "S----");
  expect(&f, 4 * STATE - 1, "S----");
  expect(&f, 4 * STATE, "S---S");
  expect(&f, 6 * STATE - 1, "S---S");
  expect(&f, 6 * STATE, "SS--S"); /* 2, beside the first */
  expect(&f, 8 * STATE - 1, "SS--S");
  expect(&f, 8 * STATE, "SSS-S");
  expect(&f, 9 * STATE - 1, "SSS-S");
  expect(&f, 9 * STATE, "SSSSS"); /* 1, between two */
  close_fixture(&f);
}

/* A layer that reconstructs is spared its forward; another its forward and its inverse. Layers 1, 2
 * and 3 are of the same size, and there is room for one. */
static void test_price_of_layers_that_cannot_reconstruct(void **state) {
  static const struct {
    int64_t reconstructing, forward, inverse; /* work of layer 1; of layer 2 */
    const char *want;
  } cases[] = {
      {1000, 500, 499, "-S---"}, /* 1000 against 999 */
      {1000, 500, 501, "--S--"}, /* 1000 against 1001 */
      {1000, 500, 500, "-S---"}, /* the same: the earlier one */
      {1000, 501, 0, "--S--"},   /* an inverse that is not declared costs a forward: 1002 */
      {1000, 499, 0, "-S---"},   /* 998 */
      {1000, 999, 1, "-S---"},   /* the same */
      {1000, 1, 1000, "--S--"},
  };
  (void)state;
  for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
    fixture f;
    open_fixture(&f);
    for (int n = 0; n < NODES; n++)
      f.nodes[n].forward_work = 1;
    f.nodes[1].forward_work = cases[i].reconstructing;
    f.nodes[1].inverse_work = 1000000; /* does not count: it reconstructs */
    f.layers[2]->ops.flags = 0;
    f.nodes[2].forward_work = cases[i].forward;
    f.nodes[2].inverse_work = cases[i].inverse;
    expect(&f, 3 * STATE, cases[i].want);
    close_fixture(&f);
  }
}

/* Where no work is declared, a forward is counted as one step for each element and parameter. */
static void test_price_without_declared_work(void **state) {
  (void)state;
  for (int more = -1; more <= 1; more++) {
    fixture f;
    open_fixture(&f);
    for (int n = 0; n < NODES; n++)
      f.nodes[n].forward_work = 1;
    f.nodes[1].forward_work = FLOATS + 30 + more;
    f.nodes[2].forward_work = 0;
    f.nodes[2].inverse_work = 0;
    f.nodes[2].parameters = 30;
    expect(&f, 3 * STATE, more < 0 ? "--S--" : "-S---");
    close_fixture(&f);
  }
}

/* What counts is the work for each float. Layer 1 takes 9 states, layer 3 takes 3 and spares 1000
 * multiply-adds, and 1000 (9 * 128 + 1) / (3 * 128 + 1) = 2994.8. Once layer 1 is stored, the room
 * for its region is free for all others; if layer 3 is, the others find room, but layer 1 none. */
static void test_work_per_float(void **state) {
  fixture f;
  (void)state;
  open_fixture(&f);
  for (int n = 0; n < NODES; n++)
    f.nodes[n].forward_work = 1;
  f.regions[1].per_sample = 7 * FLOATS;
  f.nodes[3].forward_work = 1000;
  f.nodes[1].forward_work = 2994;
  expect(&f, 9 * STATE, "S-SSS");
  f.nodes[1].forward_work = 2995;
  expect(&f, 9 * STATE, "SSSSS");
  close_fixture(&f);
}

/* All layers that are reconstructed share room for the largest region, and where one of them cannot
 * reconstruct, for a state to run it forward into. Layer 0 takes 6 states. Stored, it gives back 4:
 * then layer 1 takes 2, and layer 4 as many. Or 5: then layer 2 takes 2 more. */
static void test_shared_room(void **state) {
  fixture f;
  (void)state;
  open_fixture(&f);
  f.regions[0].per_sample = 5 * FLOATS;
  f.nodes[0].forward_work = 1000000;
  f.nodes[1].forward_work = 2000;
  expect(&f, 6 * STATE - 1, "-S--S");
  expect(&f, 6 * STATE, "SS--S");
  expect(&f, 7 * STATE, "SS--S");
  f.layers[0]->ops.flags = 0;
  expect(&f, 7 * STATE, "SSS-S");
  close_fixture(&f);
}

/* ---- what layers say ------------------------------------------------------------------------- */

/* A net that says nothing of its work. */
static glow_status silent_configure(void *self, glow_setup *setup, const glow_shape *input,
                                    int64_t out_channels) {
  (void)self, (void)setup, (void)input, (void)out_channels;
  return GLOW_OK;
}
static void silent_forward(const void *self, const glow_call *call, const float *x, int64_t stride,
                           float *out) {
  (void)self, (void)call, (void)x, (void)stride, (void)out;
}
static void silent_backward(const void *self, const glow_call *call, const float *x, int64_t stride,
                            const float *out, float *dout, float *dx, int64_t dx_stride) {
  (void)self, (void)call, (void)x, (void)stride, (void)out, (void)dout, (void)dx, (void)dx_stride;
}

static glow_layer *spline_coupling(glow_context *context) {
  const glow_net_ops ops = {.struct_size = sizeof ops,
                            .type = "silent",
                            .self_size = 8,
                            .configure = silent_configure,
                            .forward = silent_forward,
                            .backward = silent_backward};
  glow_net *net = NULL;
  glow_layer *layer = NULL;
  assert_int_equal(glow_net_create(context, &ops, NULL, &net), GLOW_OK);
  assert_int_equal(glow_spline_coupling_create(context, NULL, &net, &layer), GLOW_OK);
  return layer;
}

static glow_layer *invconv(glow_context *context) {
  glow_layer *layer = NULL;
  assert_int_equal(glow_invconv_create(context, NULL, &layer), GLOW_OK);
  return layer;
}

/* Work of the layer alone, on height x 2 x channels. */
static int64_t work_of(glow_layer *(*make)(glow_context *context), int64_t height,
                       int64_t channels) {
  const glow_shape shape = {height, 2, channels};
  glow_context *context = NULL;
  glow_builder *builder = NULL;
  glow_model *model = NULL;
  glow_layer *prior = NULL;
  assert_int_equal(glow_context_create(NULL, &context), GLOW_OK);
  assert_int_equal(glow_builder_create(context, &shape, NULL, &builder), GLOW_OK);
  glow_layer *layer = make(context);
  assert_int_equal(glow_builder_add(builder, "layer", &layer), GLOW_OK);
  assert_int_equal(glow_prior_create(context, NULL, &prior), GLOW_OK);
  assert_int_equal(glow_builder_add(builder, "prior", &prior), GLOW_OK);
  assert_int_equal(glow_builder_finish(&builder, &model), GLOW_OK);
  int64_t work = model->nodes[0].forward_work;
  assert_int_equal(model->nodes[0].inverse_work, work); /* both go through the same formula */
  glow_model_destroy(&model);
  glow_context_destroy(&context);
  return work;
}

/* A 1x1 convolution: each pixel takes a product with the matrix. A spline coupling: each element
 * that changes takes the same, and more than the one step of a layer that says nothing. */
static void test_declared_work(void **state) {
  (void)state;
  assert_int_equal(work_of(invconv, 3, 5), 3 * 2 * 5 * 5);
  assert_int_equal(work_of(invconv, 1, 8), 1 * 2 * 8 * 8);
  int64_t one = work_of(spline_coupling, 1, 2);
  assert_true(one > 2 * 2);
  assert_int_equal(work_of(spline_coupling, 3, 2), 3 * one);
  assert_int_equal(work_of(spline_coupling, 3, 8), 4 * 3 * one);
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(test_costs),
      cmocka_unit_test(test_price_of_layers_that_cannot_reconstruct),
      cmocka_unit_test(test_price_without_declared_work),
      cmocka_unit_test(test_work_per_float),
      cmocka_unit_test(test_shared_room),
      cmocka_unit_test(test_declared_work),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
