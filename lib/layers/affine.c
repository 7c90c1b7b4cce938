/* Affine map of pixels, W x + b, log-det = H W log|det W|. Computed as
 *   y = W (x - c) + r,  x = W^-1 (y - r) + c,  with c = -W^-1 b rounded, r = b + W c
 * c is the input that is mapped to 0. Data far from 0 are near it: with x ~ 1e6 and y ~ 1, W x and
 * b cancel, and what their roundings leave is not small, while x - c is nearly exact. r, with which
 * nothing is lost by rounding c, is small. All derived values are computed in double and rounded
 * once. Gradients are those of inputs alone: dx = W' dy, and back through the inverse dy = W^-T dx.
 * SPDX-License-Identifier: MIT */
#include <math.h>
#include <string.h>

#include "layers/affine.h"
#include "layers/groups.h"
#include "layers/layers.h"
#include "layers/pixel_matrix.h"
#include "math/linalg.h"

enum { STRIP = 128 }; /* pixels whose x - c stay in cache until the product reads them */

typedef struct affine {
  int64_t image, channels; /* image: pixels of a sample */
  int32_t centred;         /* worker: x - c of a strip */
  double *w, *b;           /* [C, C], [C], in one block of memory */
} affine;

/* Floats: W, its inverse, and the transposes of both, packed; c, r, and -W^-1 r; doubles: log-det
 * of a sample, room for factors and inverse [C, C]; rows of the factors. */
typedef struct affine_derived {
  float *forward, *backward, *forward_turned, *backward_turned;
  float *centre, *rest, *rest_back;
  double *logdet, *factors, *inverse;
  int32_t *rows;
} affine_derived;

static size_t affine_derived_size(const affine *a, const glow_math *math) {
  int64_t c = a->channels;
  int64_t floats = 4 * glow__pixel_matrix_floats(math, c) + 3 * glow_aligned_floats(c);
  return (size_t)floats * sizeof(float) + (size_t)(2 * c * c + 1) * sizeof(double) +
         (size_t)c * sizeof(int32_t);
}

static affine_derived affine_derived_at(const affine *a, const glow_call *call, const void *base) {
  int64_t c = a->channels, packed = glow__pixel_matrix_floats(glow__math_of(call), c);
  affine_derived d = {.forward = (float *)(uintptr_t)base};
  d.backward = d.forward + packed;
  d.forward_turned = d.backward + packed;
  d.backward_turned = d.forward_turned + packed;
  d.centre = d.backward_turned + packed;
  d.rest = d.centre + glow_aligned_floats(c);
  d.rest_back = d.rest + glow_aligned_floats(c);
  d.logdet = (double *)(void *)(d.rest_back + glow_aligned_floats(c));
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
  GLOW_TRY(glow_setup_prepare_work(setup, glow__pixel_matrix_prepare_work(a->channels)));
  GLOW_TRY(glow_setup_worker_scratch(setup, STRIP * a->channels, &a->centred));
  const glow_math *math = glow_context_math(glow_setup_context(setup));
  return glow_setup_derived(setup, affine_derived_size(a, math));
}

/* Row i of M times v. */
static double row_times(const double *m, int64_t channels, int64_t i, const float *v) {
  double sum = 0;
  for (int64_t j = 0; j < channels; j++)
    sum += m[i * channels + j] * (double)v[j];
  return sum;
}

/* c, r and -W^-1 r. */
static glow_status affine_shifts(const affine *a, const affine_derived *d) {
  const int64_t c = a->channels;
  for (int64_t i = 0; i < c; i++) {
    double sum = 0;
    for (int64_t j = 0; j < c; j++)
      sum += d->inverse[i * c + j] * a->b[j];
    d->centre[i] = (float)-sum;
  }
  for (int64_t i = 0; i < c; i++)
    d->rest[i] = (float)(a->b[i] + row_times(a->w, c, i, d->centre));
  for (int64_t i = 0; i < c; i++) {
    d->rest_back[i] = (float)-row_times(d->inverse, c, i, d->rest);
    if (!isfinite(d->centre[i]) || !isfinite(d->rest[i]) || !isfinite(d->rest_back[i]))
      return glow_error(GLOW_E_NUMERIC, "what is added to channel %lld is not finite",
                        (long long)i);
  }
  return GLOW_OK;
}

static glow_status affine_prepare(const void *self, const glow_call *call) {
  const affine *a = self;
  const glow_math *math = glow__math_of(call);
  const int64_t c = a->channels;
  const double *w = a->w;
  affine_derived d = affine_derived_at(a, call, glow_call_derived_mutable(call));
  double sign = 0;
  memcpy(d.factors, w, (size_t)(c * c) * sizeof *w);
  if (!glow__lu_factor(c, d.factors, d.rows, &sign))
    return glow_error(GLOW_E_NUMERIC, "the %lld x %lld matrix is singular or not finite",
                      (long long)c, (long long)c);
  *d.logdet = glow__lu_logdet(c, d.factors, sign, &sign) * (double)a->image;
  glow__lu_inverse(c, d.factors, d.rows, d.inverse);
  GLOW_TRY(affine_shifts(a, &d));
  if (!glow__pixel_matrix_finite(c * c, w) || !glow__pixel_matrix_finite(c * c, d.inverse))
    return glow_error(GLOW_E_NUMERIC, "the %lld x %lld matrix or its inverse is not finite",
                      (long long)c, (long long)c);
  /* The factors are not needed any more: room for the matrices in float. */
  float *room = (float *)(void *)d.factors;
  glow__pixel_matrix_pack(math, c, w, false, room, d.forward);
  glow__pixel_matrix_pack(math, c, d.inverse, false, room, d.backward);
  glow__pixel_matrix_pack(math, c, w, true, room, d.forward_turned);
  glow__pixel_matrix_pack(math, c, d.inverse, true, room, d.backward_turned);
  return GLOW_OK;
}

/* ---- passes ---------------------------------------------------------------------------------- */

typedef struct affine_run {
  const affine *a;
  const glow_call *call;
  affine_derived d;
  glow__groups groups;
  const float *from;
  float *to;
} affine_run;

static affine_run affine_begin(const affine *a, const glow_call *call, const float *from,
                               float *to) {
  return (affine_run){.a = a,
                      .call = call,
                      .d = affine_derived_at(a, call, glow_call_derived(call)),
                      .groups =
                          glow__groups_of(glow_call_sample_count(call), a->image * a->channels),
                      .from = from,
                      .to = to};
}

/* Pixels [first, last), as many as a strip at most. */
static void affine_forward_strip(const affine_run *r, uint32_t worker, int64_t first,
                                 int64_t last) {
  const int64_t c = r->a->channels;
  const float *x = r->from + first * c, *centre = r->d.centre;
  float *centred = glow_call_worker_scratch(r->call, r->a->centred, worker);
  for (int64_t p = 0; p < last - first; p++)
    for (int64_t j = 0; j < c; j++)
      centred[p * c + j] = x[p * c + j] - centre[j];
  glow__pixel_matrix_apply(glow__math_of(r->call), c, r->d.forward, r->d.rest, centred,
                           r->to + first * c, 0, last - first);
}

static void affine_inverse_strip(const affine_run *r, uint32_t worker, int64_t first,
                                 int64_t last) {
  const int64_t c = r->a->channels;
  const float *centre = r->d.centre;
  (void)worker;
  glow__pixel_matrix_apply(glow__math_of(r->call), c, r->d.backward, r->d.rest_back, r->from, r->to,
                           first, last);
  for (int64_t p = first; p < last; p++)
    for (int64_t j = 0; j < c; j++)
      r->to[p * c + j] += centre[j];
}

typedef void affine_strip(const affine_run *r, uint32_t worker, int64_t first, int64_t last);

static void affine_strips(const affine_run *r, uint32_t task, uint32_t worker, affine_strip *run) {
  const int64_t last = glow__group_last(&r->groups, task) * r->a->image;
  for (int64_t p = glow__group_first(&r->groups, task) * r->a->image; p < last; p += STRIP)
    run(r, worker, p, last - p < STRIP ? last : p + STRIP);
}

static void affine_forward_task(void *arg, uint32_t task, uint32_t worker) {
  affine_strips(arg, task, worker, affine_forward_strip);
}

static void affine_inverse_task(void *arg, uint32_t task, uint32_t worker) {
  affine_strips(arg, task, worker, affine_inverse_strip);
}

static void affine_forward(const void *self, const glow_call *call, const float *x, float *y,
                           double *logdet, double *logprior) {
  affine_run r = affine_begin(self, call, x, y);
  (void)logprior;
  glow_call_run(call, glow__group_count(&r.groups), affine_forward_task, &r);
  for (int64_t n = 0; n < r.groups.samples; n++)
    logdet[n] += *r.d.logdet;
}

static affine_run affine_invert(const affine *a, const glow_call *call, const float *y, float *x) {
  affine_run r = affine_begin(a, call, y, x);
  glow_call_run(call, glow__group_count(&r.groups), affine_inverse_task, &r);
  return r;
}

static glow_status affine_inverse(const void *self, const glow_call *call, const float *y, float *x,
                                  double *logdet, double *logprior) {
  (void)logprior;
  affine_run r = affine_invert(self, call, y, x);
  for (int64_t n = 0; n < r.groups.samples; n++)
    logdet[n] -= *r.d.logdet;
  return GLOW_OK;
}

static void affine_backward(const void *self, const glow_call *call, const glow_layer_gradient *g) {
  const affine *a = self;
  affine_derived d = affine_derived_at(a, call, glow_call_derived(call));
  glow__pixel_matrix_run(call, a->image, a->channels, d.forward_turned, NULL, g->dy, g->dx);
  if (!g->x)
    affine_invert(a, call, g->y, g->x_out);
}

static void affine_inverse_backward(const void *self, const glow_call *call,
                                    const glow_layer_inverse_gradient *g) {
  const affine *a = self;
  affine_derived d = affine_derived_at(a, call, glow_call_derived(call));
  glow__pixel_matrix_run(call, a->image, a->channels, d.backward_turned, NULL, g->dx, g->dy);
}

static glow_status affine_diagnose(const void *self, const glow_call *call, const float *x,
                                   glow_findings *findings) {
  const affine *a = self;
  (void)call;
  return x ? GLOW_OK : glow_findings_matrix(findings, a->channels, a->w);
}

static void affine_destroy(void *self, glow_context *context) {
  affine *a = self;
  glow_release(context, a->w);
}

/* Made only by glow_model_inference_form, so it has no options and is in no list of types. */
static const glow_layer_ops affine_ops = {
    .struct_size = sizeof(glow_layer_ops),
    .type = "affine",
    .flags = GLOW_LAYER_BY_TASKS | GLOW_LAYER_RECONSTRUCTS | GLOW_LAYER_SKIPS_GRADIENTS,
    .self_size = sizeof(affine),
    .configure = affine_configure,
    .prepare = affine_prepare,
    .forward = affine_forward,
    .inverse = affine_inverse,
    .backward = affine_backward,
    .inverse_backward = affine_inverse_backward,
    .destroy = affine_destroy,
    .diagnose = affine_diagnose,
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
