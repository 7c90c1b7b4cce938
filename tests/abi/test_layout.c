/* Pins the size of every public struct and the place of every field on 64-bit machines, the values
 * of the status codes, and the number of the interface. Fields are only ever appended: a line here
 * may be added, never changed, without a new GLOW_SOVERSION. docs/abi.md.
 * SPDX-License-Identifier: MIT */
#include <glow/glow.h>
#include <glow/sys/check.h>
#include <glow/sys/layer.h>
#include <glow/sys/net.h>
#include <glow/sys/pass.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

typedef struct pin {
  const char *what;
  size_t actual, expected;
} pin;

#define SIZE(type, expected)                                                                       \
  { "sizeof " #type, sizeof(type), expected }
#define PLACE(type, field, expected)                                                               \
  { #type "." #field, offsetof(type, field), expected }

static const pin pins[] = {
    /* glow/base.h */
    SIZE(glow_shape, 24),
    PLACE(glow_shape, height, 0),
    PLACE(glow_shape, width, 8),
    PLACE(glow_shape, channels, 16),
    /* glow/context.h */
    SIZE(glow_allocator, 32),
    PLACE(glow_allocator, struct_size, 0),
    PLACE(glow_allocator, alloc, 8),
    PLACE(glow_allocator, free, 16),
    PLACE(glow_allocator, payload, 24),
    SIZE(glow_executor, 32),
    PLACE(glow_executor, struct_size, 0),
    PLACE(glow_executor, workers, 8),
    PLACE(glow_executor, reserved, 12),
    PLACE(glow_executor, run, 16),
    PLACE(glow_executor, payload, 24),
    SIZE(glow_context_options, 56),
    PLACE(glow_context_options, struct_size, 0),
    PLACE(glow_context_options, allocator, 8),
    PLACE(glow_context_options, executor, 16),
    PLACE(glow_context_options, threads, 24),
    PLACE(glow_context_options, reserved, 28),
    PLACE(glow_context_options, log, 32),
    PLACE(glow_context_options, log_payload, 40),
    PLACE(glow_context_options, kernels, 48),
    /* glow/sys/check.h */
    SIZE(glow_check_options, 112),
    PLACE(glow_check_options, struct_size, 0),
    PLACE(glow_check_options, shape, 8),
    PLACE(glow_check_options, batch, 32),
    PLACE(glow_check_options, reserved, 36),
    PLACE(glow_check_options, seed, 40),
    PLACE(glow_check_options, low, 48),
    PLACE(glow_check_options, high, 56),
    PLACE(glow_check_options, spread, 64),
    PLACE(glow_check_options, round_trip, 72),
    PLACE(glow_check_options, logdet, 80),
    PLACE(glow_check_options, gradient, 88),
    PLACE(glow_check_options, report, 96),
    PLACE(glow_check_options, payload, 104),
    /* glow/io.h */
    SIZE(glow_file_tensor, 104),
    PLACE(glow_file_tensor, struct_size, 0),
    PLACE(glow_file_tensor, name, 8),
    PLACE(glow_file_tensor, type, 16),
    PLACE(glow_file_tensor, rank, 20),
    PLACE(glow_file_tensor, dims, 24),
    PLACE(glow_file_tensor, bytes, 88),
    PLACE(glow_file_tensor, data, 96),
    SIZE(glow_limits, 72),
    PLACE(glow_limits, struct_size, 0),
    PLACE(glow_limits, file_bytes, 8),
    PLACE(glow_limits, header_bytes, 16),
    PLACE(glow_limits, tensors, 24),
    PLACE(glow_limits, rank, 32),
    PLACE(glow_limits, name_bytes, 40),
    PLACE(glow_limits, layers, 48),
    PLACE(glow_limits, parameters, 56),
    PLACE(glow_limits, pass_bytes, 64),
    SIZE(glow_input, 64),
    PLACE(glow_input, struct_size, 0),
    PLACE(glow_input, path, 8),
    PLACE(glow_input, data, 16),
    PLACE(glow_input, read, 24),
    PLACE(glow_input, payload, 32),
    PLACE(glow_input, size, 40),
    PLACE(glow_input, flags, 48),
    PLACE(glow_input, reserved, 52),
    PLACE(glow_input, limits, 56),
    SIZE(glow_output, 64),
    PLACE(glow_output, struct_size, 0),
    PLACE(glow_output, path, 8),
    PLACE(glow_output, write, 16),
    PLACE(glow_output, payload, 24),
    PLACE(glow_output, buffer, 32),
    PLACE(glow_output, capacity, 40),
    PLACE(glow_output, written, 48),
    PLACE(glow_output, storage, 56),
    PLACE(glow_output, flags, 60),
    /* glow/import.h */
    SIZE(glow_import_options, 40),
    PLACE(glow_import_options, struct_size, 0),
    PLACE(glow_import_options, format, 8),
    PLACE(glow_import_options, bits, 12),
    PLACE(glow_import_options, height, 16),
    PLACE(glow_import_options, width, 24),
    PLACE(glow_import_options, permutation, 32),
    PLACE(glow_import_options, ignore_unknown, 36),
    /* glow/layer.h */
    SIZE(glow_actnorm_options, 16),
    PLACE(glow_actnorm_options, struct_size, 0),
    PLACE(glow_actnorm_options, floor, 8),
    SIZE(glow_batchnorm_options, 32),
    PLACE(glow_batchnorm_options, struct_size, 0),
    PLACE(glow_batchnorm_options, epsilon, 8),
    PLACE(glow_batchnorm_options, momentum, 16),
    PLACE(glow_batchnorm_options, lag, 24),
    SIZE(glow_logit_options, 16),
    PLACE(glow_logit_options, struct_size, 0),
    PLACE(glow_logit_options, alpha, 8),
    SIZE(glow_invconv_options, 24),
    PLACE(glow_invconv_options, struct_size, 0),
    PLACE(glow_invconv_options, lu, 8),
    PLACE(glow_invconv_options, reserved, 12),
    PLACE(glow_invconv_options, seed, 16),
    SIZE(glow_permute_options, 24),
    PLACE(glow_permute_options, struct_size, 0),
    PLACE(glow_permute_options, kind, 8),
    PLACE(glow_permute_options, reserved, 12),
    PLACE(glow_permute_options, seed, 16),
    SIZE(glow_coupling_options, 40),
    PLACE(glow_coupling_options, struct_size, 0),
    PLACE(glow_coupling_options, kind, 8),
    PLACE(glow_coupling_options, scale, 12),
    PLACE(glow_coupling_options, floor, 16),
    PLACE(glow_coupling_options, mask, 24),
    PLACE(glow_coupling_options, invert, 28),
    PLACE(glow_coupling_options, order, 32),
    PLACE(glow_coupling_options, reserved, 36),
    SIZE(glow_spline_coupling_options, 48),
    PLACE(glow_spline_coupling_options, struct_size, 0),
    PLACE(glow_spline_coupling_options, bins, 8),
    PLACE(glow_spline_coupling_options, parity, 12),
    PLACE(glow_spline_coupling_options, bound, 16),
    PLACE(glow_spline_coupling_options, min_width, 24),
    PLACE(glow_spline_coupling_options, min_height, 32),
    PLACE(glow_spline_coupling_options, min_derivative, 40),
    SIZE(glow_scaling_options, 16),
    PLACE(glow_scaling_options, struct_size, 0),
    PLACE(glow_scaling_options, data_init, 8),
    PLACE(glow_scaling_options, reserved, 12),
    SIZE(glow_split_options, 16),
    PLACE(glow_split_options, struct_size, 0),
    PLACE(glow_split_options, edge, 8),
    PLACE(glow_split_options, fixed, 12),
    SIZE(glow_prior_options, 32),
    PLACE(glow_prior_options, struct_size, 0),
    PLACE(glow_prior_options, learned, 8),
    PLACE(glow_prior_options, classes, 12),
    PLACE(glow_prior_options, spatial, 16),
    PLACE(glow_prior_options, classifier, 20),
    PLACE(glow_prior_options, density, 24),
    PLACE(glow_prior_options, reserved, 28),
    /* glow/model.h */
    SIZE(glow_builder_options, 16),
    PLACE(glow_builder_options, struct_size, 0),
    PLACE(glow_builder_options, bits, 8),
    PLACE(glow_builder_options, reserved, 12),
    SIZE(glow_glow_options, 104),
    PLACE(glow_glow_options, struct_size, 0),
    PLACE(glow_glow_options, input, 8),
    PLACE(glow_glow_options, levels, 32),
    PLACE(glow_glow_options, depth, 36),
    PLACE(glow_glow_options, hidden, 40),
    PLACE(glow_glow_options, permutation, 44),
    PLACE(glow_glow_options, coupling, 48),
    PLACE(glow_glow_options, scale, 52),
    PLACE(glow_glow_options, floor, 56),
    PLACE(glow_glow_options, net_actnorm, 64),
    PLACE(glow_glow_options, learn_top, 68),
    PLACE(glow_glow_options, classes, 72),
    PLACE(glow_glow_options, bits, 76),
    PLACE(glow_glow_options, seed, 80),
    PLACE(glow_glow_options, edge, 88),
    PLACE(glow_glow_options, spatial_top, 92),
    PLACE(glow_glow_options, classifier, 96),
    PLACE(glow_glow_options, reserved, 100),
    SIZE(glow_realnvp_options, 80),
    PLACE(glow_realnvp_options, struct_size, 0),
    PLACE(glow_realnvp_options, input, 8),
    PLACE(glow_realnvp_options, scales, 32),
    PLACE(glow_realnvp_options, hidden, 36),
    PLACE(glow_realnvp_options, blocks, 40),
    PLACE(glow_realnvp_options, weight_norm, 44),
    PLACE(glow_realnvp_options, batch_norm, 48),
    PLACE(glow_realnvp_options, bits, 52),
    PLACE(glow_realnvp_options, alpha, 56),
    PLACE(glow_realnvp_options, lag, 64),
    PLACE(glow_realnvp_options, seed, 72),
    SIZE(glow_tensor_info, 80),
    PLACE(glow_tensor_info, struct_size, 0),
    PLACE(glow_tensor_info, name, 8),
    PLACE(glow_tensor_info, type, 16),
    PLACE(glow_tensor_info, trainable, 20),
    PLACE(glow_tensor_info, rank, 24),
    PLACE(glow_tensor_info, reserved, 28),
    PLACE(glow_tensor_info, dims, 32),
    PLACE(glow_tensor_info, elements, 64),
    PLACE(glow_tensor_info, offset, 72),
    /* glow/net.h */
    SIZE(glow_conv_net_options, 32),
    PLACE(glow_conv_net_options, struct_size, 0),
    PLACE(glow_conv_net_options, hidden, 8),
    PLACE(glow_conv_net_options, actnorm, 12),
    PLACE(glow_conv_net_options, seed, 16),
    PLACE(glow_conv_net_options, edge, 24),
    PLACE(glow_conv_net_options, reserved, 28),
    SIZE(glow_res_net_options, 32),
    PLACE(glow_res_net_options, struct_size, 0),
    PLACE(glow_res_net_options, hidden, 8),
    PLACE(glow_res_net_options, blocks, 12),
    PLACE(glow_res_net_options, weight_norm, 16),
    PLACE(glow_res_net_options, batch_norm, 20),
    PLACE(glow_res_net_options, seed, 24),
    SIZE(glow_mlp_net_options, 32),
    PLACE(glow_mlp_net_options, struct_size, 0),
    PLACE(glow_mlp_net_options, hidden, 8),
    PLACE(glow_mlp_net_options, depth, 12),
    PLACE(glow_mlp_net_options, context, 16),
    PLACE(glow_mlp_net_options, seed, 24),
    /* glow/sys/layer.h */
    SIZE(glow_layer_gradient, 72),
    PLACE(glow_layer_gradient, struct_size, 0),
    PLACE(glow_layer_gradient, y, 8),
    PLACE(glow_layer_gradient, dy, 16),
    PLACE(glow_layer_gradient, x, 24),
    PLACE(glow_layer_gradient, x_out, 32),
    PLACE(glow_layer_gradient, dx, 40),
    PLACE(glow_layer_gradient, d_logdet, 48),
    PLACE(glow_layer_gradient, d_logprior, 56),
    PLACE(glow_layer_gradient, d_latents, 64),
    SIZE(glow_layer_ops, 112),
    PLACE(glow_layer_ops, struct_size, 0),
    PLACE(glow_layer_ops, type, 8),
    PLACE(glow_layer_ops, flags, 16),
    PLACE(glow_layer_ops, reserved, 20),
    PLACE(glow_layer_ops, configure, 24),
    PLACE(glow_layer_ops, build, 32),
    PLACE(glow_layer_ops, init, 40),
    PLACE(glow_layer_ops, prepare, 48),
    PLACE(glow_layer_ops, forward, 56),
    PLACE(glow_layer_ops, inverse, 64),
    PLACE(glow_layer_ops, backward, 72),
    PLACE(glow_layer_ops, save, 80),
    PLACE(glow_layer_ops, destroy, 88),
    PLACE(glow_layer_ops, logits, 96),
    PLACE(glow_layer_ops, logits_backward, 104),
    /* glow/sys/net.h */
    SIZE(glow_net_ops, 96),
    PLACE(glow_net_ops, struct_size, 0),
    PLACE(glow_net_ops, type, 8),
    PLACE(glow_net_ops, flags, 16),
    PLACE(glow_net_ops, reserved, 20),
    PLACE(glow_net_ops, configure, 24),
    PLACE(glow_net_ops, build, 32),
    PLACE(glow_net_ops, init_size, 40),
    PLACE(glow_net_ops, prepare, 48),
    PLACE(glow_net_ops, init, 56),
    PLACE(glow_net_ops, forward, 64),
    PLACE(glow_net_ops, backward, 72),
    PLACE(glow_net_ops, save, 80),
    PLACE(glow_net_ops, destroy, 88),
    /* glow/train.h */
    SIZE(glow_schedule, 48),
    PLACE(glow_schedule, struct_size, 0),
    PLACE(glow_schedule, kind, 8),
    PLACE(glow_schedule, reserved, 12),
    PLACE(glow_schedule, rate, 16),
    PLACE(glow_schedule, final, 24),
    PLACE(glow_schedule, warmup, 32),
    PLACE(glow_schedule, steps, 40),
    SIZE(glow_optimizer_options, 48),
    PLACE(glow_optimizer_options, struct_size, 0),
    PLACE(glow_optimizer_options, kind, 8),
    PLACE(glow_optimizer_options, reserved, 12),
    PLACE(glow_optimizer_options, beta1, 16),
    PLACE(glow_optimizer_options, beta2, 24),
    PLACE(glow_optimizer_options, epsilon, 32),
    PLACE(glow_optimizer_options, weight_decay, 40),
    SIZE(glow_trainer_options, 80),
    PLACE(glow_trainer_options, struct_size, 0),
    PLACE(glow_trainer_options, optimizer, 8),
    PLACE(glow_trainer_options, schedule, 16),
    PLACE(glow_trainer_options, micro_batch, 24),
    PLACE(glow_trainer_options, mode, 32),
    PLACE(glow_trainer_options, average, 36),
    PLACE(glow_trainer_options, average_decay, 40),
    PLACE(glow_trainer_options, clip_norm, 48),
    PLACE(glow_trainer_options, clip_value, 56),
    PLACE(glow_trainer_options, seed, 64),
    PLACE(glow_trainer_options, class_weight, 72),
    SIZE(glow_step_report, 56),
    PLACE(glow_step_report, struct_size, 0),
    PLACE(glow_step_report, step, 8),
    PLACE(glow_step_report, loss, 16),
    PLACE(glow_step_report, rate, 24),
    PLACE(glow_step_report, gradient_norm, 32),
    PLACE(glow_step_report, class_loss, 40),
    PLACE(glow_step_report, accuracy, 48),
    /* glow/workspace.h */
    SIZE(glow_workspace_options, 24),
    PLACE(glow_workspace_options, struct_size, 0),
    PLACE(glow_workspace_options, batch, 8),
    PLACE(glow_workspace_options, mode, 16),
    PLACE(glow_workspace_options, reserved, 20),
    SIZE(glow_sample_options, 48),
    PLACE(glow_sample_options, struct_size, 0),
    PLACE(glow_sample_options, temperature, 8),
    PLACE(glow_sample_options, per_latent, 16),
    PLACE(glow_sample_options, per_sample, 24),
    PLACE(glow_sample_options, seed, 32),
    PLACE(glow_sample_options, first, 40),
    SIZE(glow_backward_options, 56),
    PLACE(glow_backward_options, struct_size, 0),
    PLACE(glow_backward_options, weight, 8),
    PLACE(glow_backward_options, weight_logdet, 16),
    PLACE(glow_backward_options, d_latents, 24),
    PLACE(glow_backward_options, dx, 32),
    PLACE(glow_backward_options, d_context, 40),
    PLACE(glow_backward_options, d_logits, 48),
};

static void structs_keep_their_layout(void **state) {
  (void)state;
  if (sizeof(void *) != 8)
    skip();
  for (size_t i = 0; i < sizeof pins / sizeof *pins; i++) {
    if (pins[i].actual != pins[i].expected)
      print_error("%s: %zu, was %zu\n", pins[i].what, pins[i].actual, pins[i].expected);
    assert_int_equal(pins[i].actual, pins[i].expected);
  }
}

static void status_codes_keep_their_values(void **state) {
  (void)state;
  static const struct {
    glow_status status;
    int32_t value;
    const char *name;
  } codes[] = {
      {GLOW_OK, 0, "GLOW_OK"},
      {GLOW_E_ARGUMENT, -10, "GLOW_E_ARGUMENT"},
      {GLOW_E_SHAPE, -20, "GLOW_E_SHAPE"},
      {GLOW_E_STATE, -30, "GLOW_E_STATE"},
      {GLOW_E_MEMORY, -40, "GLOW_E_MEMORY"},
      {GLOW_E_NUMERIC, -50, "GLOW_E_NUMERIC"},
      {GLOW_E_IO, -60, "GLOW_E_IO"},
      {GLOW_E_FORMAT, -70, "GLOW_E_FORMAT"},
      {GLOW_E_LIMIT, -80, "GLOW_E_LIMIT"},
      {GLOW_E_UNSUPPORTED, -90, "GLOW_E_UNSUPPORTED"},
      {GLOW_E_CANCELLED, -100, "GLOW_E_CANCELLED"},
      {GLOW_E_CHECK, -110, "GLOW_E_CHECK"},
  };
  for (size_t i = 0; i < sizeof codes / sizeof *codes; i++) {
    assert_int_equal(codes[i].status, codes[i].value);
    assert_string_equal(glow_status_name(codes[i].status), codes[i].name);
  }
}

/* Values that stand in callers' programs. */
static void constants_keep_their_values(void **state) {
  (void)state;
  static const int32_t pairs[][2] = {
      {GLOW_LOG_DEBUG, 10},
      {GLOW_LOG_INFO, 20},
      {GLOW_LOG_WARNING, 30},
      {GLOW_FILE_U8, 1},
      {GLOW_FILE_I32, 2},
      {GLOW_FILE_F32, 3},
      {GLOW_FILE_F64, 4},
      {GLOW_FILE_I64, 5},
      {GLOW_FILE_BF16, 6},
      {GLOW_FILE_MAX_RANK, 8},
      {GLOW_PERMUTE_REVERSE, 1},
      {GLOW_PERMUTE_SHUFFLE, 2},
      {GLOW_PERMUTE_EVEN_ODD, 3},
      {GLOW_DENSITY_GAUSSIAN, 0},
      {GLOW_DENSITY_LOGISTIC, 1},
      {GLOW_COUPLING_AFFINE, 1},
      {GLOW_COUPLING_ADDITIVE, 2},
      {GLOW_SCALE_SIGMOID, 1},
      {GLOW_SCALE_EXP, 2},
      {GLOW_SCALE_TANH, 3},
      {GLOW_SCALE_SIGMOID_FLOOR, 4},
      {GLOW_PERMUTATION_REVERSE, 1},
      {GLOW_PERMUTATION_SHUFFLE, 2},
      {GLOW_PERMUTATION_INVCONV, 3},
      {GLOW_PERMUTATION_INVCONV_LU, 4},
      {GLOW_TYPE_F32, 1},
      {GLOW_TYPE_I32, 2},
      {GLOW_MAX_RANK, 4},
      {GLOW_LAYER_BY_TASKS, 1},
      {GLOW_LAYER_IN_PLACE, 2},
      {GLOW_LAYER_RECONSTRUCTS, 4},
      {GLOW_LAYER_ALWAYS_PREPARES, 8},
      {GLOW_NET_ALWAYS_PREPARES, 1},
      {GLOW_INIT_BEGIN, 1},
      {GLOW_INIT_BATCH, 2},
      {GLOW_INIT_END, 3},
      {GLOW_MAX_REGIONS, 32},
      {GLOW_SCHEDULE_CONSTANT, 1},
      {GLOW_SCHEDULE_COSINE, 2},
      {GLOW_SCHEDULE_EXPONENTIAL, 3},
      {GLOW_OPTIMIZER_SGD, 1},
      {GLOW_OPTIMIZER_ADAM, 2},
      {GLOW_OPTIMIZER_ADAMAX, 3},
      {GLOW_MODE_INFERENCE, 1},
      {GLOW_MODE_STORED, 2},
      {GLOW_MODE_RECONSTRUCTED, 3},
      {GLOW_LATENTS_RAW, 1},
      {GLOW_LATENTS_WHITENED, 2},
      {GLOW_FORMAT_OPENAI, 1},
      {GLOW_FORMAT_Y0AST, 2},
      {GLOW_FORMAT_ROSINALITY, 3},
  };
  for (size_t i = 0; i < sizeof pairs / sizeof *pairs; i++)
    assert_int_equal(pairs[i][0], pairs[i][1]);
}

static void versions_agree(void **state) {
  (void)state;
  char text[32];
  snprintf(text, sizeof text, "%d.%d.%d", GLOW_VERSION_MAJOR, GLOW_VERSION_MINOR,
           GLOW_VERSION_PATCH);
  assert_string_equal(glow_version(), text);
  assert_int_equal(glow_version_number(),
                   GLOW_VERSION_MAJOR * 10000 + GLOW_VERSION_MINOR * 100 + GLOW_VERSION_PATCH);
  assert_int_equal(GLOW_SOVERSION, 0);
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(structs_keep_their_layout),
      cmocka_unit_test(status_codes_keep_their_values),
      cmocka_unit_test(constants_keep_their_values),
      cmocka_unit_test(versions_agree),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
