/* Rate factors of tensors: which tensors train at how many times the learning rate, and which are
 * held (rates.c). SPDX-License-Identifier: MIT */
#ifndef GLOW_LIB_RATES_H
#define GLOW_LIB_RATES_H

#include "host/host.h"
#include "train/train.h"

/* Neighbours in the flat vector that have the same factor. */
typedef struct glow__rate_run {
  int64_t end; /* it starts where the one before ends */
  double factor;
} glow__rate_run;

typedef struct glow__rates {
  glow_context *context;
  const glow_model *model;
  double *factors;      /* of each tensor, also of fixed state */
  unsigned char *held;  /* of each tensor, 1: it stays as it is */
  glow__rate_run *runs; /* of the flat vector; room for one of each tensor */
  int32_t run_count;
  double largest;
  bool any_held; /* parameters */
} glow__rates;

/* All factors are 1. */
glow_status glow__rates_create(const glow_model *model, glow__rates *out);
void glow__rates_destroy(glow__rates *rates);
glow_status glow__rates_set(glow__rates *rates, const char *prefix, double factor);
/* Follows from `factors`, for whoever has written them. */
void glow__rates_renew(glow__rates *rates);
/* Of the tensor; NaN if there is none of this name. */
double glow__rates_of(const glow__rates *rates, const char *tensor);
/* Factor of element `at` of the flat vector; *end: up to where it is the same. */
double glow__rates_at(const glow__rates *rates, int64_t at, int64_t *end);

/* ---- held elements of flat vectors ----------------------------------------------------------- */

void glow__rates_zero_held(const glow__rates *rates, float *x);
/* Sum of the squares of what is not held: finite exactly when all these elements are. */
double glow__rates_squares(const glow__rates *rates, glow__flat *flat, const float *x);
/* glow__model_nonfinite_layer of what is not held. */
const char *glow__rates_nonfinite_layer(const glow__rates *rates, const float *x);

glow__rates *glow__optimizer_rates(glow_optimizer *optimizer);

#endif
