/* Standardised conditions, for nets: what a net reads of a condition is (c - mean) / deviation, so
 * that conditions of any mean and scale train alike. Mean and deviation are fixed state of the net,
 * [columns] each, which data-dependent initialisation sets and training does not change. The nets
 * of this library do it with these functions; nets of one's own are given conditions as they are,
 * and can do the same:
 *
 *   configure    glow_setup_condition, glow_setup_condition_standard, and glow_setup_initialise
 *                with GLOW_CONDITION_ROUNDS rounds more than the net has of its own
 *   reset        glow_call_condition_reset
 *   initialise   glow_call_condition_initialise in the first GLOW_CONDITION_ROUNDS rounds
 *   prepare      glow_call_condition_check
 *   forward      glow_call_condition_standardise, on a copy of the condition or on what
 *                glow_call_condition_join has made
 *   backward     the same as in forward, then glow_call_condition_unscale on the gradient of that
 *                copy, before it is added to glow_call_condition_gradient
 * SPDX-License-Identifier: MIT */
#ifndef GLOW_SYS_CONDITION_H
#define GLOW_SYS_CONDITION_H

#include <glow/sys/call.h>

#ifdef __cplusplus
extern "C" {
#endif

/* Rounds of initialisation that a standardised condition takes: means, then deviations. */
enum { GLOW_CONDITION_ROUNDS = 2 };

/* For a net to keep in its `self`. The condition of a sample is [rows, columns]. */
typedef struct glow_condition_standard {
  int64_t rows, columns;
  int32_t mean, deviation; /* tensors [columns] */
} glow_condition_standard;

/* In configure: declares the tensors condition_mean and condition_deviation, and fills *standard.
 * columns: as many as the condition has elements, to standardise each of them, as for a vector; or
 * as it has channels, to take all pixels of an image together. */
GLOW_API glow_status glow_setup_condition_standard(glow_setup *setup, const glow_shape *condition,
                                                   int64_t columns,
                                                   glow_condition_standard *standard);
/* Bytes of state that its rounds need, for glow_setup_initialise. */
GLOW_API size_t glow_condition_standard_bytes(const glow_condition_standard *standard);
/* In reset: mean 0, deviation 1. */
GLOW_API void glow_call_condition_reset(const glow_call *call,
                                        const glow_condition_standard *standard);
/* In initialise: round 0 sets the means, round 1 the deviations around them. A constant column has
 * deviation 1. */
GLOW_API glow_status glow_call_condition_initialise(const glow_call *call,
                                                    const glow_condition_standard *standard,
                                                    int32_t round, int32_t phase);
/* In prepare: refuses deviations that are not above 0, which a file may hold. */
GLOW_API glow_status glow_call_condition_check(const glow_call *call,
                                               const glow_condition_standard *standard);
/* x becomes (x - mean) / deviation in `rows` rows, `stride` floats apart, of columns * repeat
 * floats, of which `repeat` in a row belong to a column. repeat is 1 for a condition as it is, and
 * f^2 for an image that was squeezed by f (glow_condition_channels). */
GLOW_API void glow_call_condition_standardise(const glow_call *call,
                                              const glow_condition_standard *standard,
                                              int64_t repeat, int64_t rows, int64_t stride,
                                              float *x);
/* The way back for a gradient in the same layout: d becomes d / deviation. */
GLOW_API void glow_call_condition_unscale(const glow_call *call,
                                          const glow_condition_standard *standard, int64_t repeat,
                                          int64_t rows, int64_t stride, float *d);

#ifdef __cplusplus
}
#endif
#endif
