/* The plan of a workspace for batches of any size, up to those that no machine holds: it is told, or
 * refused as too large, and larger batches never take less.
 * SPDX-License-Identifier: MIT */
#include "flows.h"
#include "pair.h"

static uint64_t bytes_of(const glow_model *model, const glow_workspace_options *o) {
  uint64_t bytes = 0;
  glow_status status = glow_workspace_plan_bytes(model, o, &bytes);
  if (status != GLOW_E_LIMIT)
    OK(status);
  return status == GLOW_OK ? bytes : UINT64_MAX;
}

static void grow(const glow_model *model, glow_workspace_options *o) {
  uint64_t before = 0;
  bool refused = false;
  for (int bit = 0; bit < 62; bit++)
    for (int64_t part = 4; part < 7 && bit > 1; part++) { /* 1, 1.25 and 1.5 times a power of 2 */
      o->batch = ((int64_t)1 << bit) / 4 * part;
      uint64_t bytes = bytes_of(model, o);
      assert_true(bytes >= before);
      assert_true(!refused || bytes == UINT64_MAX);
      refused = bytes == UINT64_MAX;
      before = bytes;
    }
  assert_true(refused);
}

static void all_modes(const glow_model *model) {
  static const int32_t modes[] = {GLOW_MODE_INFERENCE, GLOW_MODE_STORED, GLOW_MODE_RECONSTRUCTED};
  for (int mode = 0; mode < 3; mode++)
    for (int choice = 0; choice < 8; choice++) {
      glow_workspace_options o = GLOW_WORKSPACE_OPTIONS_INIT;
      o.mode = modes[mode];
      o.cache_packed = choice & 1;
      o.inputs_only = mode > 0 && (choice & 2);
      o.inverse_backward = mode > 0 && (choice & 4);
      grow(model, &o);
    }
}

static void test_flows(void **state) {
  (void)state;
  for (int i = 0; i < FLOWS; i++) {
    glow_context *context = helper_context(1, NULL, NULL);
    glow_model *model = flows[i].make(context);
    all_modes(model);
    glow_model_destroy(&model);
    glow_context_destroy(&context);
  }
}

/* A layer that cannot reconstruct, and whose inverse is gone back through by iteration. */
static void test_caller_layer(void **state) {
  glow_context *context = pair_context(1);
  glow_model *model = pair_model(context);
  (void)state;
  all_modes(model);
  glow_model_destroy(&model);
  glow_context_destroy(&context);
}

int main(void) {
  const struct CMUnitTest tests[] = {cmocka_unit_test(test_flows),
                                     cmocka_unit_test(test_caller_layer)};
  return cmocka_run_group_tests(tests, NULL, NULL);
}
