/* Options that are not given are those of the _INIT macro: the library's tables of options and the
 * public headers say the same, for NULL and for a struct of which only the size is given.
 * SPDX-License-Identifier: MIT */
#include "../support/model_helpers.h"

#include <glow/sys/layer.h>

#include "host/workspace.h"
#include "train/trainer.h"

/* ---- layers and nets: `self` begins with the checked copy of the options --------------------- */

#define LAYER(name, INIT)                                                                          \
  do {                                                                                             \
    const glow_##name##_options init = INIT;                                                       \
    glow_layer *plain = NULL, *given = NULL;                                                       \
    OK(glow_##name##_create(context, NULL, &plain));                                               \
    OK(glow_##name##_create(context, &init, &given));                                              \
    assert_memory_equal(glow_layer_self(plain), glow_layer_self(given), sizeof init);              \
    glow_layer_destroy(&plain);                                                                    \
    glow_layer_destroy(&given);                                                                    \
  } while (0)

#define NET(name, INIT)                                                                            \
  do {                                                                                             \
    const glow_##name##_options init = INIT;                                                       \
    glow_net *plain = NULL, *given = NULL;                                                         \
    OK(glow_##name##_create(context, NULL, &plain));                                               \
    OK(glow_##name##_create(context, &init, &given));                                              \
    assert_memory_equal(glow_net_self(plain), glow_net_self(given), sizeof init);                  \
    glow_net_destroy(&plain);                                                                      \
    glow_net_destroy(&given);                                                                      \
  } while (0)

static void test_layers_and_nets(void **state) {
  glow_context *context = helper_context(1, NULL, NULL);
  (void)state;
  LAYER(actnorm, GLOW_ACTNORM_OPTIONS_INIT);
  LAYER(batchnorm, GLOW_BATCHNORM_OPTIONS_INIT);
  LAYER(flatten, GLOW_FLATTEN_OPTIONS_INIT);
  LAYER(invconv, GLOW_INVCONV_OPTIONS_INIT);
  LAYER(logit, GLOW_LOGIT_OPTIONS_INIT);
  LAYER(permute, GLOW_PERMUTE_OPTIONS_INIT);
  LAYER(prior, GLOW_PRIOR_OPTIONS_INIT);
  LAYER(scaling, GLOW_SCALING_OPTIONS_INIT);
  LAYER(split, GLOW_SPLIT_OPTIONS_INIT);
  LAYER(squeeze, GLOW_SQUEEZE_OPTIONS_INIT);
  LAYER(standardise, GLOW_STANDARDISE_OPTIONS_INIT);
  NET(conv_net, GLOW_CONV_NET_OPTIONS_INIT);
  NET(res_net, GLOW_RES_NET_OPTIONS_INIT);
  NET(mlp_net, GLOW_MLP_NET_OPTIONS_INIT);
  glow_context_destroy(&context);
}

static glow_net *new_net(glow_context *context) {
  glow_net *net = NULL;
  OK(glow_mlp_net_create(context, NULL, &net));
  return net;
}

static void test_couplings(void **state) {
  const glow_coupling_options affine = GLOW_COUPLING_OPTIONS_INIT;
  const glow_spline_coupling_options spline = GLOW_SPLINE_COUPLING_OPTIONS_INIT;
  glow_context *context = helper_context(1, NULL, NULL);
  glow_net *nets[4];
  glow_layer *layers[4] = {NULL};
  (void)state;
  for (int i = 0; i < 4; i++)
    nets[i] = new_net(context);
  OK(glow_coupling_create(context, NULL, &nets[0], &layers[0]));
  OK(glow_coupling_create(context, &affine, &nets[1], &layers[1]));
  OK(glow_spline_coupling_create(context, NULL, &nets[2], &layers[2]));
  OK(glow_spline_coupling_create(context, &spline, &nets[3], &layers[3]));
  assert_memory_equal(glow_layer_self(layers[0]), glow_layer_self(layers[1]), sizeof affine);
  assert_memory_equal(glow_layer_self(layers[2]), glow_layer_self(layers[3]), sizeof spline);
  for (int i = 0; i < 4; i++)
    glow_layer_destroy(&layers[i]);
  glow_context_destroy(&context);
}

/* ---- workspaces, training -------------------------------------------------------------------- */

static void test_workspace(void **state) {
  const glow_workspace_options init = GLOW_WORKSPACE_OPTIONS_INIT;
  glow_context *context = helper_context(1, NULL, NULL);
  glow_model *model = helper_glow(context, NULL, 1);
  glow_workspace *plain = NULL, *given = NULL;
  (void)state;
  OK(glow_workspace_create(model, NULL, &plain));
  OK(glow_workspace_create(model, &init, &given));
  assert_true(plain->drift_bound == init.drift_bound && given->drift_bound == init.drift_bound);
  assert_int_equal(plain->plan.batch, given->plan.batch);
  assert_int_equal(plain->plan.mode, given->plan.mode);
  assert_int_equal(plain->plan.total, given->plan.total);
  assert_int_equal(plain->plan.cache_packed, given->plan.cache_packed);
  assert_int_equal(plain->bytes, given->bytes);
  glow_workspace_destroy(&plain);
  glow_workspace_destroy(&given);
  glow_model_destroy(&model);
  glow_context_destroy(&context);
}

static void test_training(void **state) {
  const glow_optimizer_options optimizer = GLOW_OPTIMIZER_OPTIONS_INIT;
  const glow_schedule schedule = GLOW_SCHEDULE_INIT;
  glow_trainer_options init = GLOW_TRAINER_OPTIONS_INIT;
  glow_context *context = helper_context(1, NULL, NULL);
  glow_model *model = helper_glow(context, NULL, 1);
  glow_trainer *plain = NULL, *given = NULL;
  (void)state;
  OK(glow_trainer_create(model, NULL, &plain));
  init.optimizer = &optimizer;
  init.schedule = &schedule;
  OK(glow_trainer_create(model, &init, &given));
  assert_memory_equal(plain->options.optimizer, given->options.optimizer, sizeof optimizer);
  assert_memory_equal(&plain->schedule, &given->schedule, sizeof schedule);
  plain->options.optimizer = given->options.optimizer; /* copies of their own */
  plain->options.schedule = given->options.schedule;
  assert_memory_equal(&plain->options, &given->options, sizeof init);
  assert_true(plain->workspace->drift_bound == init.drift_bound);
  glow_trainer_destroy(&plain);
  glow_trainer_destroy(&given);
  glow_model_destroy(&model);
  glow_context_destroy(&context);
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(test_layers_and_nets),
      cmocka_unit_test(test_couplings),
      cmocka_unit_test(test_workspace),
      cmocka_unit_test(test_training),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
