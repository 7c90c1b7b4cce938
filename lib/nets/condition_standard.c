/* Standardised conditions: (c - mean) / deviation by fixed state of the net that reads them.
 * SPDX-License-Identifier: MIT */
#include <glow/sys/condition.h>

#include <math.h>

#include "math/standard.h"
#include "nets/nets.h"

glow_status glow__net_check_standardise(const char *options, int32_t standardise,
                                        const glow_shape *condition) {
  if (!standardise || condition->channels)
    return GLOW_OK;
  return glow_error(GLOW_E_ARGUMENT,
                    "%s: standardise is 1, and there is no condition to standardise", options);
}

glow_status glow_setup_condition_standard(glow_setup *setup, const glow_shape *condition,
                                          int64_t columns, glow_condition_standard *standard) {
  int64_t size = 0;
  if (!setup || !condition || !standard || condition->height < 1 || condition->width < 1 ||
      condition->channels < 1 || !glow_size_multiply(condition->height, condition->width, &size) ||
      !glow_size_multiply(size, condition->channels, &size) || columns < 1 || size % columns)
    return glow_error(
        GLOW_E_ARGUMENT,
        "glow_setup_condition_standard: NULL, or %lld columns that the condition does "
        "not consist of",
        (long long)columns);
  *standard = (glow_condition_standard){size / columns, columns, -1, -1};
  GLOW_TRY(
      glow_setup_tensor(setup, "condition_mean", GLOW_TYPE_F32, 0, 1, &columns, &standard->mean));
  return glow_setup_tensor(setup, "condition_deviation", GLOW_TYPE_F32, 0, 1, &columns,
                           &standard->deviation);
}

size_t glow_condition_standard_bytes(const glow_condition_standard *standard) {
  return glow__standard_bytes(standard->columns);
}

void glow_call_condition_reset(const glow_call *call, const glow_condition_standard *standard) {
  float *mean = glow_call_tensor_mutable(call, standard->mean);
  float *deviation = glow_call_tensor_mutable(call, standard->deviation);
  for (int64_t j = 0; j < standard->columns; j++) {
    mean[j] = 0.0f;
    deviation[j] = 1.0f;
  }
}

/* ---- initialisation -------------------------------------------------------------------------- */

static void standard_set_deviations(const glow_call *call,
                                    const glow_condition_standard *standard) {
  float *deviation = glow_call_tensor_mutable(call, standard->deviation);
  const char *column = standard->rows > 1 ? "channel" : "element";
  for (int64_t j = 0; j < standard->columns; j++) {
    deviation[j] = glow__standard_deviation(glow_call_initialise_state(call), standard->columns, j);
    if (deviation[j] > 0)
      continue;
    deviation[j] = 1.0f;
    /* All nets of a model say so, and a constant condition does no harm: not a warning. */
    glow_context_log(glow_call_context(call), GLOW_LOG_INFO,
                     "layer '%s': %s %lld of the condition is constant on the data to initialise "
                     "from; its deviation is taken as 1",
                     glow_call_layer_name(call), column, (long long)j);
  }
}

glow_status glow_call_condition_initialise(const glow_call *call,
                                           const glow_condition_standard *standard, int32_t round,
                                           int32_t phase) {
  void *state = glow_call_initialise_state(call);
  if (phase == GLOW_INITIALISE_BATCH)
    for (int64_t n = 0; n < glow_call_sample_count(call); n++)
      glow__standard_add(state, round, standard->rows, standard->columns,
                         glow_call_condition(call, n), glow_call_tensor(call, standard->mean));
  if (phase != GLOW_INITIALISE_END)
    return GLOW_OK;
  if (round == GLOW_STANDARD_MEANS)
    glow__standard_means(state, standard->columns, glow_call_tensor_mutable(call, standard->mean));
  else
    standard_set_deviations(call, standard);
  return GLOW_OK;
}

glow_status glow_call_condition_check(const glow_call *call,
                                      const glow_condition_standard *standard) {
  const float *deviation = glow_call_tensor(call, standard->deviation);
  for (int64_t j = 0; j < standard->columns; j++)
    if (!(deviation[j] > 0) || !isfinite(deviation[j]))
      return glow_error(
          GLOW_E_NUMERIC, "the deviation of %s %lld of the condition is %g; it must be above 0",
          standard->rows > 1 ? "channel" : "element", (long long)j, (double)deviation[j]);
  return GLOW_OK;
}

/* ---- passes ---------------------------------------------------------------------------------- */

void glow_call_condition_standardise(const glow_call *call, const glow_condition_standard *standard,
                                     int64_t repeat, int64_t rows, int64_t stride, float *x) {
  const float *mean = glow_call_tensor(call, standard->mean);
  const float *deviation = glow_call_tensor(call, standard->deviation);
  for (int64_t r = 0; r < rows; r++) {
    float *at = x + r * stride;
    for (int64_t j = 0; j < standard->columns; j++)
      for (int64_t k = 0; k < repeat; k++, at++)
        *at = (*at - mean[j]) / deviation[j];
  }
}

void glow_call_condition_unscale(const glow_call *call, const glow_condition_standard *standard,
                                 int64_t repeat, int64_t rows, int64_t stride, float *d) {
  const float *deviation = glow_call_tensor(call, standard->deviation);
  for (int64_t r = 0; r < rows; r++) {
    float *at = d + r * stride;
    for (int64_t j = 0; j < standard->columns; j++)
      for (int64_t k = 0; k < repeat; k++, at++)
        *at /= deviation[j];
  }
}
