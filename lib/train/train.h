/* Internal face of train/. SPDX-License-Identifier: MIT */
#ifndef GLOW_LIB_TRAIN_H
#define GLOW_LIB_TRAIN_H

#include <glow/train.h>

#include "base/base.h"

/* Copies and checks a schedule; NULL gives the defaults. */
glow_status glow__schedule_copy(glow_schedule *to, const glow_schedule *from);

/* glow_optimizer_step for gradients whose sum of squares is known to be finite, at most `squares`.
 * */
glow_status glow__optimizer_apply(glow_optimizer *optimizer, const float *gradients, double squares,
                                  double rate);

/* ---- flat vectors: elementwise work over fixed blocks; the workers' number does not matter --- */

typedef struct glow__flat {
  glow_context *context;
  int64_t count; /* elements of each vector */
  uint32_t blocks;
  double *sums; /* [blocks] */
} glow__flat;

glow_status glow__flat_create(glow_context *context, int64_t count, glow__flat *out);
void glow__flat_destroy(glow__flat *flat);
/* Sum of squares in double. Finite exactly when all elements are: count * FLT_MAX^2 fits. */
double glow__flat_squares(glow__flat *flat, const float *x);
void glow__flat_clamp(glow__flat *flat, float *x, float limit);
void glow__flat_scale(glow__flat *flat, float *x, float factor);
/* x += weight (y - x) */
void glow__flat_approach(glow__flat *flat, float *x, const float *y, float weight);
void glow__flat_swap(glow__flat *flat, float *x, float *y);

/* Elements of a batch [count, dims]; refuses counts below 1 and products that do not fit. */
glow_status glow__batch_elements(const glow_model *model, int64_t count, int64_t *elements);
/* Refuses models of continuous data. */
glow_status glow__check_pixels(const glow_model *model);

#endif
