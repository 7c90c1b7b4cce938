/* Affine map of pixels: y = W x + b, x = W^-1 y - W^-1 b, log-det = H W log|det W|. All derived
 * values are computed in double and rounded once. SPDX-License-Identifier: MIT */
#include <math.h>
#include <string.h>

#include "layers/affine.h"
#include "layers/layers.h"
#include "layers/pixel_matrix.h"
#include "math/linalg.h"

typedef struct affine {
  int64_t image, channels; /* image: pixels of a sample */
  double *w, *b;           /* [C, C], [C], in one block of memory */
} affine;

/* Floats: W and its inverse, packed, and what is added after each. Doubles: log-det of a sample,
 * room for factors and inverse [C, C]. Integers: rows of the factors. */
typedef struct affine_derived {
  float *forward, *backward, *b, *b_back;
  double *logdet, *factors, *inverse;
  int32_t *rows;
} affine_derived;

static size_t affine_derived_size(const affine *a, const glow_math *math) {
  int64_t c = a->channels;
  int64_t floats = 2 * glow__pixel_matrix_floats(math, c) + 2 * glow_aligned_floats(c);
  return (size_t)floats * sizeof(float) + (size_t)(2 * c * c + 1) * sizeof(double) +
         (size_t)c * sizeof(int32_t);
}

static affine_derived affine_derived_at(const affine *a, const glow_call *call, const void *base) {
  int64_t c = a->channels, packed = glow__pixel_matrix_floats(glow__math_of(call), c);
  affine_derived d = {.forward = (float *)(uintptr_t)base};
  d.backward = d.forward + packed;
  d.b = d.backward + packed;
  d.b_back = d.b + glow_aligned_floats(c);
  d.logdet = (double *)(void *)(d.b_back + glow_aligned_floats(c));
  d.factors = d.logdet + 1;
  d.inverse = d.factors + c * c;
  d.rows = (int32_t *)(void *)(d.inverse + c * c);
  return d;
}

static glow_status affine_configure(void *self, glow_setup *setup, const glow_shape *input,
                                    glow_shape *output) {
  affine *a = self;
  *output = *input;
  if (input->channels != a->channels)
    return glow_error(GLOW_E_SHAPE, "an affine map of %lld channels; the input has %lld",
                      (long long)a->channels, (long long)input->channels);
  a->image = input->height * input->width;
  int64_t work = a->image * a->channels * a->channels;
  GLOW_TRY(glow_setup_work(setup, work, work));
  const glow_math *math = glow_context_math(glow_setup_context(setup));
  return glow_setup_derived(setup, affine_derived_size(a, math));
}

static glow_status affine_prepare(const void *self, const glow_call *call) {
  const affine *a = self;
  const glow_math *math = glow__math_of(call);
  const int64_t c = a->channels;
  const double *w = a->w, *b = a->b;
  affine_derived d = affine_derived_at(a, call, glow_call_derived_mutable(call));
  double sign = 0;
  memcpy(d.factors, w, (size_t)(c * c) * sizeof *w);
  if (!glow__lu_factor(c, d.factors, d.rows, &sign))
    return glow_error(GLOW_E_NUMERIC, "the %lld x %lld matrix is singular or not finite",
                      (long long)c, (long long)c);
  *d.logdet = glow__lu_logdet(c, d.factors, sign, &sign) * (double)a->image;
  glow__lu_inverse(c, d.factors, d.rows, d.inverse);
  for (int64_t i = 0; i < c; i++) {
    double sum = 0;
    for (int64_t j = 0; j < c; j++)
      sum += d.inverse[i * c + j] * b[j];
    d.b[i] = (float)b[i];
    d.b_back[i] = (float)-sum;
    if (!isfinite(d.b[i]) || !isfinite(d.b_back[i]))
      return glow_error(GLOW_E_NUMERIC, "what is added to channel %lld is not finite",
                        (long long)i);
  }
  if (!glow__pixel_matrix_finite(c * c, w) || !glow__pixel_matrix_finite(c * c, d.inverse))
    return glow_error(GLOW_E_NUMERIC, "the %lld x %lld matrix or its inverse is not finite",
                      (long long)c, (long long)c);
  /* The factors are not needed any more: room for the matrices in float. */
  float *room = (float *)(void *)d.factors;
  glow__pixel_matrix_pack(math, c, w, false, room, d.forward);
  glow__pixel_matrix_pack(math, c, d.inverse, false, room, d.backward);
  return GLOW_OK;
}

/* ---- passes ---------------------------------------------------------------------------------- */

static void add_to_all(int64_t samples, double value, double *logdet) {
  for (int64_t n = 0; n < samples; n++)
    logdet[n] += value;
}

static void affine_forward(const void *self, const glow_call *call, const float *x, float *y,
                           double *logdet, double *logprior) {
  const affine *a = self;
  affine_derived d = affine_derived_at(a, call, glow_call_derived(call));
  (void)logprior;
  glow__pixel_matrix_run(call, a->image, a->channels, d.forward, d.b, x, y);
  add_to_all(glow_call_sample_count(call), *d.logdet, logdet);
}

static glow_status affine_inverse(const void *self, const glow_call *call, const float *y, float *x,
                                  double *logdet) {
  const affine *a = self;
  affine_derived d = affine_derived_at(a, call, glow_call_derived(call));
  glow__pixel_matrix_run(call, a->image, a->channels, d.backward, d.b_back, y, x);
  add_to_all(glow_call_sample_count(call), -*d.logdet, logdet);
  return GLOW_OK;
}

static void affine_destroy(void *self, glow_context *context) {
  affine *a = self;
  glow_release(context, a->w);
}

/* Made only by glow_model_inference_form, so it has no options and is in no list of types. */
static const glow_layer_ops affine_ops = {
    .struct_size = sizeof(glow_layer_ops),
    .type = "affine",
    .flags = GLOW_LAYER_BY_TASKS | GLOW_LAYER_INFERENCE_ONLY,
    .self_size = sizeof(affine),
    .configure = affine_configure,
    .prepare = affine_prepare,
    .forward = affine_forward,
    .inverse = affine_inverse,
    .destroy = affine_destroy,
};

glow_status glow__affine_create(glow_context *context, int64_t channels, const double *w,
                                const double *b, glow_layer **out) {
  size_t c = (size_t)channels;
  GLOW_TRY(glow_layer_create(context, &affine_ops, NULL, NULL, out));
  affine *a = glow_layer_self(*out);
  a->w = glow_allocate(context, (c * c + c) * sizeof *a->w);
  if (!a->w) {
    glow_layer_destroy(out);
    return GLOW_E_MEMORY;
  }
  a->channels = channels;
  a->b = a->w + c * c;
  memcpy(a->w, w, c * c * sizeof *w);
  memcpy(a->b, b, c * sizeof *b);
  return GLOW_OK;
}
