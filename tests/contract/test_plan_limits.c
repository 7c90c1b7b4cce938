/* Sizes that no machine holds. The plan of a workspace for batches of any size is told, or refused
 * as too large, and larger batches never take less; layers of any size are taken by a builder, or
 * refused.
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

/* ---- layers ---------------------------------------------------------------------------------- */

static bool is_refusal(glow_status status) {
  return status == GLOW_E_LIMIT || status == GLOW_E_SHAPE || status == GLOW_E_ARGUMENT ||
         status == GLOW_E_MEMORY;
}

/* Adding a layer only declares what it needs; memory is taken when the model is finished. */
static void add(glow_context *context, const helper_layer *row, const glow_shape *shape,
                int32_t hidden) {
  glow_builder_options o = GLOW_BUILDER_OPTIONS_INIT;
  glow_builder *builder = NULL;
  glow_layer *layer = NULL;
  o.bits = 0;
  glow_status status = glow_builder_create(context, shape, &o, &builder);
  if (status == GLOW_OK)
    status = helper_create_layer(context, row, hidden, &layer);
  if (status == GLOW_OK)
    status = glow_builder_add(builder, "layer", &layer);
  if (status != GLOW_OK && !is_refusal(status))
    fail_msg("%s, %lld x %lld x %lld, hidden %d: %s (%s)", row->name, (long long)shape->height,
             (long long)shape->width, (long long)shape->channels, hidden, glow_status_name(status),
             glow_last_error());
  glow_builder_destroy(&builder);
}

static void all_sizes(const helper_layer *rows, int32_t count) {
  static const int64_t sides[] = {2, 64, 1 << 15, 1 << 20}, channels[] = {2, 4, 1 << 11, 1 << 22};
  static const int32_t hidden[] = {4, 1 << 12, 1 << 20};
  glow_context *context = helper_context(1, NULL, NULL);
  for (int32_t r = 0; r < count; r++)
    for (int i = 0; i < 4; i++)
      for (int j = 0; j < 4; j++)
        for (int h = 0; h < 3; h++) {
          const glow_shape shape = {sides[i], sides[i], channels[j]};
          add(context, &rows[r], &shape, hidden[h]);
        }
  glow_context_destroy(&context);
}

static void test_layers(void **state) {
  (void)state;
  all_sizes(helper_layers, helper_layer_count);
  all_sizes(helper_couplings, helper_coupling_count);
  all_sizes(helper_res_nets, helper_res_net_count);
}

int main(void) {
  const struct CMUnitTest tests[] = {cmocka_unit_test(test_flows),
                                     cmocka_unit_test(test_caller_layer),
                                     cmocka_unit_test(test_layers)};
  return cmocka_run_group_tests(tests, NULL, NULL);
}
