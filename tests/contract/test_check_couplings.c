/* Every scale function, order, mask and parity of couplings, with each kind of network, passes the
 * kit. SPDX-License-Identifier: MIT */
#include "../support/model_helpers.h"

#include <glow/sys/check.h>

static void say(const char *check, const char *fault, void *payload) {
  print_error("%s: %s: %s\n", (const char *)payload, check, fault);
}

static void check_all(const helper_layer *rows, int32_t count, int32_t net, int32_t batch,
                      int32_t condition_size) {
  glow_context *context = helper_context(1, NULL, NULL);
  for (int32_t i = 0; i < count; i++) {
    helper_layer row = rows[i];
    glow_check_options o = GLOW_CHECK_OPTIONS_INIT;
    glow_layer *layer = NULL;
    char text[200];
    if (net >= 0)
      row.net = net, row.batch = batch, row.condition = condition_size;
    snprintf(text, sizeof text, "%s, net %d", row.name, (int)row.net);
    o.shape = (glow_shape){2, 3, 4};
    o.seed = helper_seed();
    o.report = say;
    o.payload = text;
    OK(helper_create_layer(context, &row, 4, &layer));
    OK(glow_layer_check(context, &layer, &o));
    assert_null(layer);
  }
  glow_context_destroy(&context);
}

static void test_conv(void **state) {
  (void)state;
  check_all(helper_couplings, helper_coupling_count, HELPER_CONV, 0, 0);
}

static void test_mlp(void **state) {
  (void)state;
  check_all(helper_couplings, helper_coupling_count, HELPER_MLP, 0, 2);
}

static void test_res(void **state) {
  (void)state;
  check_all(helper_couplings, helper_coupling_count, HELPER_RES_NET, 1, 0);
}

/* With and without the two normalisations. */
static void test_res_norms(void **state) {
  (void)state;
  check_all(helper_res_nets, helper_res_net_count, -1, 0, 0);
}

int main(void) {
  const struct CMUnitTest tests[] = {cmocka_unit_test(test_conv), cmocka_unit_test(test_mlp),
                                     cmocka_unit_test(test_res), cmocka_unit_test(test_res_norms)};
  return cmocka_run_group_tests(tests, NULL, NULL);
}
