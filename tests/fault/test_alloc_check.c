/* Memory runs out inside the conformance kit: a check that could not be made is never one that was
 * passed. SPDX-License-Identifier: MIT */
#include <glow/sys/check.h>

#include "each_allocation.h"
#include "models.h"

enum { MOST = 4 };

/* ---- layers ---------------------------------------------------------------------------------- */

static glow_check_options quick(void) {
  glow_check_options o = GLOW_CHECK_OPTIONS_INIT;
  o.shape = (glow_shape){2, 2, 4};
  o.batch = 2;
  return o;
}

static glow_status check_layer(trial *t) {
  const glow_check_options o = quick();
  glow_layer *layer = NULL;
  glow_status status = helper_create_layer(t->context, t->choice, 4, &layer);
  if (status == GLOW_OK)
    status = glow_layer_check(t->context, &layer, &o);
  assert_null(layer);
  return status;
}

/* A row of the same layer comes before it. */
static bool is_alike(int32_t row) {
  for (int32_t i = 0; i < row; i++)
    if (helper_layers[i].kind == helper_layers[row].kind)
      return true;
  return false;
}

static void test_layers(void **state) {
  const glow_check_options o = quick();
  const bool all = getenv("GLOW_TEST_EXHAUSTIVE") != NULL;
  (void)state;
  for (int32_t i = 0; i < helper_layer_count; i++)
    if (helper_layer_fits(&helper_layers[i], &o.shape) && (all || !is_alike(i)))
      some_allocations(&(operation){.name = helper_layers[i].name, .run = check_layer},
                       &helper_layers[i], MOST);
}

/* ---- nets ------------------------------------------------------------------------------------ */

static glow_status make_conv(glow_context *context, glow_net **out) {
  glow_conv_net_options o = GLOW_CONV_NET_OPTIONS_INIT;
  o.hidden = 4;
  o.border = 1;
  o.condition.channels = 2;
  return glow_conv_net_create(context, &o, out);
}

static glow_status make_mlp(glow_context *context, glow_net **out) {
  glow_mlp_net_options o = GLOW_MLP_NET_OPTIONS_INIT;
  o.hidden = 4;
  o.condition.channels = 2;
  o.standardise = 1;
  return glow_mlp_net_create(context, &o, out);
}

static glow_status make_res(glow_context *context, glow_net **out) {
  glow_res_net_options o = GLOW_RES_NET_OPTIONS_INIT;
  o.hidden = 4;
  o.blocks = 1;
  return glow_res_net_create(context, &o, out);
}

typedef struct net_row {
  const char *name;
  glow_status (*make)(glow_context *context, glow_net **out);
} net_row;
static const net_row nets[] = {{"conv", make_conv}, {"mlp", make_mlp}, {"res", make_res}};

static glow_status check_net(trial *t) {
  const net_row *row = t->choice;
  glow_check_options o = quick();
  glow_net *net = NULL;
  o.shape.channels = 2;
  glow_status status = row->make(t->context, &net);
  if (status == GLOW_OK)
    status = glow_net_check(t->context, &net, &o);
  assert_null(net);
  return status;
}

static void test_nets(void **state) {
  (void)state;
  for (size_t i = 0; i < sizeof nets / sizeof *nets; i++)
    some_allocations(&(operation){.name = nets[i].name, .run = check_net}, &nets[i], MOST);
}

int main(void) {
  const struct CMUnitTest tests[] = {cmocka_unit_test(test_layers), cmocka_unit_test(test_nets)};
  return cmocka_run_group_tests(tests, NULL, each_allocation_report);
}
