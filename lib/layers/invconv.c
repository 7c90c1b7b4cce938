/* Invertible 1x1 convolution: y_o = sum_i W[o,i] x_i at each pixel, log-det = H W log|det W|.
 * Plain, or as W = P (L + I) (U + diag(sign_s exp(log_s))), where row i of W is row perm[i] of the
 * product of the last two. Determinants, inverses and the LU form's gradients in double.
 * Kingma and Dhariwal 2018, section 3.2. SPDX-License-Identifier: MIT */
#include <math.h>
#include <string.h>

#include "layers/layers.h"
#include "layers/pixel_matrix.h"
#include "math/kernels.h"
#include "math/linalg.h"

#define MAX_CHANNELS 16384 /* the matrix alone would be 1 GiB */

enum { GROUPS = 16, PIXELS = 256 }; /* groups of samples in backward; pixels packed at a time */

typedef struct invconv {
  int32_t lu;
  uint64_t seed;
  int64_t image, channels;
  int32_t weight;                            /* plain */
  int32_t lower, upper, log_s, sign_s, perm; /* LU */
  int32_t partial;                           /* backward: gradients of W [GROUPS, C, C] */
  int32_t gradient;                          /* backward: doubles, of W [C, C] and a row */
  int32_t packed;                            /* worker: PIXELS rows of x */
} invconv;

/* ---- derived values -------------------------------------------------------------------------- */

/* W, its inverse and its transpose packed; log-det of a sample; then doubles [C, C]: W, its factors
 * (L below the diagonal, the rest on and above it) and its inverse; room for floats [C, C]; rows
 * of W that the rows of the factors' product are. */
typedef struct derived {
  double *logdet, *w, *factors, *inverse;
  float *forward, *backward, *back; /* packed W, inverse, transpose */
  float *room;
  int32_t *rows;
} derived;

static size_t derived_size(const invconv *v, const glow__kernels *kernels) {
  size_t c = (size_t)v->channels;
  return 3 * (size_t)glow__pixel_matrix_floats(kernels, v->channels) * sizeof(float) +
         (3 * c * c + 1) * sizeof(double) + c * c * sizeof(float) + c * sizeof(int32_t);
}

static derived derived_at(const invconv *v, const glow_call *call, void *base) {
  int64_t packed = glow__pixel_matrix_floats(glow_call_context(call)->kernels, v->channels);
  int64_t square = v->channels * v->channels;
  derived d;
  d.forward = base;
  d.backward = d.forward + packed;
  d.back = d.backward + packed;
  d.logdet = (double *)(void *)(d.back + packed);
  d.w = d.logdet + 1;
  d.factors = d.w + square;
  d.inverse = d.factors + square;
  d.room = (float *)(void *)(d.inverse + square);
  d.rows = (int32_t *)(void *)(d.room + square);
  return d;
}

static derived derived_of(const invconv *v, const glow_call *call) {
  return derived_at(v, call, (void *)(uintptr_t)glow_call_derived(call));
}

/* Checks perm, which may come from a file, and turns it round. */
static glow_status read_perm(const invconv *v, const glow_call *call, derived *d) {
  const int32_t *perm = glow_call_tensor(call, v->perm);
  const float *sign_s = glow_call_tensor(call, v->sign_s);
  int64_t c = v->channels;
  for (int64_t i = 0; i < c; i++)
    d->rows[i] = -1;
  for (int64_t i = 0; i < c; i++) {
    if (perm[i] < 0 || perm[i] >= c || d->rows[perm[i]] >= 0)
      return glow_error(GLOW_E_NUMERIC, "perm is not a permutation at element %lld", (long long)i);
    if (fabsf(sign_s[i]) != 1.0f)
      return glow_error(GLOW_E_NUMERIC, "sign_s[%lld] is %g, neither -1 nor 1", (long long)i,
                        (double)sign_s[i]);
    d->rows[perm[i]] = (int32_t)i;
  }
  return GLOW_OK;
}

static void read_factors(const invconv *v, const glow_call *call, derived *d) {
  const float *lower = glow_call_tensor(call, v->lower), *upper = glow_call_tensor(call, v->upper);
  const float *log_s = glow_call_tensor(call, v->log_s),
              *sign_s = glow_call_tensor(call, v->sign_s);
  int64_t c = v->channels;
  for (int64_t i = 0; i < c; i++)
    for (int64_t j = 0; j < c; j++)
      d->factors[i * c + j] = j < i   ? (double)lower[i * c + j]
                              : j > i ? (double)upper[i * c + j]
                                      : (double)sign_s[i] * exp((double)log_s[i]);
}

static void add_row(int64_t first, int64_t c, double factor, const double *from, double *to) {
  for (int64_t j = first; j < c; j++)
    to[j] += factor * from[j];
}

/* Row i of the factors' product is row rows[i] of W. */
static glow_status compose(const invconv *v, const glow_call *call, derived *d) {
  const float *log_s = glow_call_tensor(call, v->log_s);
  int64_t c = v->channels;
  GLOW_TRY(read_perm(v, call, d));
  read_factors(v, call, d);
  *d->logdet = 0;
  for (int64_t i = 0; i < c; i++) {
    double *row = d->w + d->rows[i] * c;
    memset(row, 0, (size_t)c * sizeof *row);
    for (int64_t k = 0; k < i; k++)
      add_row(k, c, d->factors[i * c + k], d->factors + k * c, row);
    add_row(i, c, 1.0, d->factors + i * c, row);
    *d->logdet += (double)log_s[i] * (double)v->image;
  }
  return GLOW_OK;
}

static glow_status factor(const invconv *v, const glow_call *call, derived *d) {
  const float *weight = glow_call_tensor(call, v->weight);
  int64_t c = v->channels;
  double sign = 0;
  for (int64_t i = 0; i < c * c; i++)
    d->factors[i] = d->w[i] = (double)weight[i];
  if (!glow__lu_factor(c, d->factors, d->rows, &sign))
    return glow_error(GLOW_E_NUMERIC, "the %lld x %lld weight matrix is singular or not finite",
                      (long long)c, (long long)c);
  *d->logdet = glow__lu_logdet(c, d->factors, sign, &sign) * (double)v->image;
  return GLOW_OK;
}

static glow_status invert(const invconv *v, derived *d) {
  int64_t c = v->channels;
  glow__lu_inverse(c, d->factors, d->rows, d->inverse);
  if (!glow__pixel_matrix_finite(c * c, d->inverse) || !glow__pixel_matrix_finite(c * c, d->w))
    return glow_error(GLOW_E_NUMERIC, "the %lld x %lld weight matrix or its inverse is not finite",
                      (long long)c, (long long)c);
  return GLOW_OK;
}

static glow_status prepare(const void *self, const glow_call *call) {
  const invconv *v = self;
  const glow__kernels *kernels = glow_call_context(call)->kernels;
  derived d = derived_at(v, call, glow_call_derived_mutable(call));
  GLOW_TRY(v->lu ? compose(v, call, &d) : factor(v, call, &d));
  GLOW_TRY(invert(v, &d));
  glow__pixel_matrix_pack(kernels, v->channels, d.w, false, d.room, d.forward);
  glow__pixel_matrix_pack(kernels, v->channels, d.w, true, d.room, d.back);
  glow__pixel_matrix_pack(kernels, v->channels, d.inverse, false, d.room, d.backward);
  return GLOW_OK;
}

/* ---- building -------------------------------------------------------------------------------- */

static glow_status configure(void *self, glow_setup *setup, const glow_shape *input,
                             glow_shape *output) {
  invconv *v = self;
  int64_t c = input->channels, square[] = {c, c}, vector[] = {c};
  *output = *input;
  if (c > MAX_CHANNELS)
    return glow_error(GLOW_E_LIMIT, "a 1x1 convolution of %lld channels; at most %d", (long long)c,
                      MAX_CHANNELS);
  v->channels = c;
  v->image = input->height * input->width;
  if (v->lu) {
    GLOW_TRY(glow_setup_tensor(setup, "lower", GLOW_TYPE_F32, 1, 2, square, &v->lower));
    GLOW_TRY(glow_setup_tensor(setup, "upper", GLOW_TYPE_F32, 1, 2, square, &v->upper));
    GLOW_TRY(glow_setup_tensor(setup, "log_s", GLOW_TYPE_F32, 1, 1, vector, &v->log_s));
    GLOW_TRY(glow_setup_tensor(setup, "sign_s", GLOW_TYPE_F32, 0, 1, vector, &v->sign_s));
    GLOW_TRY(glow_setup_tensor(setup, "perm", GLOW_TYPE_I32, 0, 1, vector, &v->perm));
  } else {
    GLOW_TRY(glow_setup_tensor(setup, "weight", GLOW_TYPE_F32, 1, 2, square, &v->weight));
  }
  const glow__kernels *kernels = glow_setup_context(setup)->kernels;
  GLOW_TRY(glow_setup_work(setup, v->image * c * c));
  GLOW_TRY(glow_setup_backward_scratch(setup, GROUPS * c * c, 0, &v->partial));
  GLOW_TRY(glow_setup_backward_scratch(setup, 2 * (c * c + c), 0, &v->gradient));
  GLOW_TRY(glow_setup_worker_scratch(setup, glow__packed_size(kernels, PIXELS, c), &v->packed));
  return glow_setup_derived(setup, derived_size(v, kernels));
}

/* Factors of w, whose rows glow__lu_factor permuted: row i of L U is row pivots[i] of w. */
static void keep_factors(const invconv *v, const glow_call *call, const double *factors,
                         const int32_t *pivots) {
  float *lower = glow_call_tensor_mutable(call, v->lower);
  float *upper = glow_call_tensor_mutable(call, v->upper);
  float *log_s = glow_call_tensor_mutable(call, v->log_s);
  float *sign_s = glow_call_tensor_mutable(call, v->sign_s);
  int32_t *perm = glow_call_tensor_mutable(call, v->perm);
  for (int64_t i = 0; i < v->channels; i++) {
    perm[pivots[i]] = (int32_t)i;
    for (int64_t j = 0; j < v->channels; j++) {
      double value = factors[i * v->channels + j];
      if (j < i)
        lower[i * v->channels + j] = (float)value;
      else if (j > i)
        upper[i * v->channels + j] = (float)value;
    }
    double s = factors[i * v->channels + i];
    log_s[i] = (float)log(fabs(s));
    sign_s[i] = s < 0 ? -1.0f : 1.0f;
  }
}

/* The Q of a random QR: a random matrix with its rows made orthonormal. */
static glow_status build(const void *self, const glow_call *call) {
  const invconv *v = self;
  int64_t c = v->channels;
  glow_context *context = glow_call_context(call);
  float *random = glow_allocate(context, (size_t)(c * c) * sizeof *random);
  double *w = random ? glow_allocate(context, (size_t)(c * c) * sizeof *w) : NULL;
  int32_t *pivots = w ? glow_allocate(context, (size_t)c * sizeof *pivots) : NULL;
  glow_status status = pivots ? GLOW_OK : GLOW_E_MEMORY;
  double sign = 0;
  if (pivots) {
    glow_random_normal(v->seed, GLOW_STREAM_RESET, 0, random, c * c);
    for (int64_t i = 0; i < c * c; i++)
      w[i] = (double)random[i];
    if (!glow__orthonormalise(c, w))
      status = glow_error(GLOW_E_NUMERIC, "the random matrix of seed %llu is singular",
                          (unsigned long long)v->seed);
  }
  if (status == GLOW_OK && !v->lu) {
    float *weight = glow_call_tensor_mutable(call, v->weight);
    for (int64_t i = 0; i < c * c; i++)
      weight[i] = (float)w[i];
  } else if (status == GLOW_OK) {
    if (glow__lu_factor(c, w, pivots, &sign))
      keep_factors(v, call, w, pivots);
    else
      status = glow_error(GLOW_E_NUMERIC, "the random matrix has no LU factors");
  }
  glow_release(context, pivots);
  glow_release(context, w);
  glow_release(context, random);
  return status;
}

/* ---- passes ---------------------------------------------------------------------------------- */

typedef struct run {
  const invconv *v;
  const glow_call *call;
  const glow__kernels *kernels;
  derived d;
  const glow_layer_gradient *g;
  int64_t samples, group;
} run;

static run run_of(const invconv *v, const glow_call *call) {
  run r = {.v = v,
           .call = call,
           .kernels = glow_call_context(call)->kernels,
           .d = derived_of(v, call),
           .samples = glow_call_sample_count(call)};
  int64_t least = (4096 + v->image * v->channels - 1) / (v->image * v->channels);
  int64_t share = (r.samples + GROUPS - 1) / GROUPS;
  r.group = share > least ? share : least;
  return r;
}

static uint32_t group_count(const run *r) {
  return (uint32_t)((r->samples + r->group - 1) / r->group);
}

/* Pixels [*first, *last) of a group. */
static void group_pixels(const run *r, uint32_t task, int64_t *first, int64_t *last) {
  int64_t end = ((int64_t)task + 1) * r->group;
  *first = (int64_t)task * r->group * r->v->image;
  *last = (end < r->samples ? end : r->samples) * r->v->image;
}

static void forward(const void *self, const glow_call *call, const float *x, float *y,
                    double *logdet, double *logprior) {
  const invconv *v = self;
  derived d = derived_of(v, call);
  (void)logprior;
  glow__pixel_matrix_run(call, v->image, v->channels, d.forward, NULL, x, y);
  for (int64_t n = 0; n < glow_call_sample_count(call); n++)
    logdet[n] += *d.logdet;
}

static void inverse(const void *self, const glow_call *call, const float *y, float *x,
                    double *logdet) {
  const invconv *v = self;
  derived d = derived_of(v, call);
  glow__pixel_matrix_run(call, v->image, v->channels, d.backward, NULL, y, x);
  for (int64_t n = 0; n < glow_call_sample_count(call); n++)
    logdet[n] -= *d.logdet;
}

/* dx = W' dy; x when it is wanted; and the group's part of dW = sum dy x'. */
static void backward_group(void *arg, uint32_t task, uint32_t worker) {
  const run *r = arg;
  const glow_layer_gradient *g = r->g;
  const glow_epilogue add = {.accumulate = 1};
  int64_t first, last, c = r->v->channels, panels = glow__panels(r->kernels, c);
  float *dw = glow_call_scratch(r->call, r->v->partial) + (int64_t)task * c * c;
  float *packed = glow_call_worker_scratch(r->call, r->v->packed, worker);
  glow_layout layout = glow__in_rows(r->kernels, c);
  group_pixels(r, task, &first, &last);
  glow__pixel_matrix_apply(r->kernels, c, r->d.back, NULL, g->dy, g->dx, first, last);
  if (!g->x)
    glow__pixel_matrix_apply(r->kernels, c, r->d.backward, NULL, g->y, g->x_out, first, last);
  const float *x = g->x ? g->x : g->x_out;
  memset(dw, 0, (size_t)(c * c) * sizeof *dw);
  for (int64_t p = first; p < last; p += PIXELS) {
    int64_t rows = last - p < PIXELS ? last - p : PIXELS;
    r->kernels->pack(rows, c, x + p * c, c, 1, packed, 0, panels);
    r->kernels->gemm_transposed(c, c, rows, g->dy + p * c, layout, packed, dw, layout, 0, panels,
                                &add);
  }
}

/* d log|det W| / dW = inverse transposed. */
static void plain_gradient(const run *r, const double *dw, double logdet) {
  int64_t c = r->v->channels;
  float *out = glow_call_gradient(r->call, r->v->weight);
  for (int64_t i = 0; i < c; i++)
    for (int64_t j = 0; j < c; j++)
      out[i * c + j] += (float)(dw[i * c + j] + logdet * r->d.inverse[j * c + i]);
}

/* With M = (L + I) V and V = U + diag(s), whose row i is row rows[i] of W: dM[i] = dW[rows[i]];
 * dL = dM V' below the diagonal; dV = (L + I)' dM on and above it; d log_s = dV_ii s_i + H W d
 * logdet.
 * row: room for a row of dV. */
static void lu_gradient(const run *r, const double *dw, double *row, double logdet) {
  const invconv *v = r->v;
  const double *factors = r->d.factors;
  int64_t c = v->channels;
  float *lower = glow_call_gradient(r->call, v->lower),
        *upper = glow_call_gradient(r->call, v->upper);
  float *log_s = glow_call_gradient(r->call, v->log_s);
  for (int64_t i = 0; i < c; i++) {
    const double *dm = dw + r->d.rows[i] * c;
    for (int64_t j = 0; j < i; j++) {
      double sum = 0;
      for (int64_t k = j; k < c; k++)
        sum += dm[k] * factors[j * c + k];
      lower[i * c + j] += (float)sum;
    }
    memcpy(row, dm, (size_t)c * sizeof *row);
    for (int64_t k = i + 1; k < c; k++)
      add_row(i, c, factors[k * c + i], dw + r->d.rows[k] * c, row);
    log_s[i] += (float)(row[i] * factors[i * c + i] + logdet);
    for (int64_t j = i + 1; j < c; j++)
      upper[i * c + j] += (float)row[j];
  }
}

static void backward(const void *self, const glow_call *call, const glow_layer_gradient *g) {
  const invconv *v = self;
  run r = run_of(v, call);
  int64_t square = v->channels * v->channels;
  const float *partial = glow_call_scratch(call, v->partial);
  double *dw = (double *)(void *)glow_call_scratch(call, v->gradient);
  double logdet = 0;
  r.g = g;
  glow_call_run(call, group_count(&r), backward_group, &r);
  memset(dw, 0, (size_t)square * sizeof *dw);
  for (uint32_t t = 0; t < group_count(&r); t++)
    for (int64_t i = 0; i < square; i++)
      dw[i] += (double)partial[(int64_t)t * square + i];
  for (int64_t n = 0; n < r.samples; n++)
    logdet += g->d_logdet[n] * (double)v->image;
  if (v->lu)
    lu_gradient(&r, dw, dw + square, logdet);
  else
    plain_gradient(&r, dw, logdet);
}

/* ---- options --------------------------------------------------------------------------------- */

static glow_status linear(const void *self, const glow_call *call, double *w, double *b) {
  const invconv *v = self;
  memcpy(w, derived_of(v, call).w, (size_t)(v->channels * v->channels) * sizeof *w);
  (void)b; /* 0 */
  return GLOW_OK;
}

static glow_status save(const void *self, glow_config *config) {
  return glow_config_set_int(config, "lu", ((const invconv *)self)->lu);
}

static void destroy(void *self, glow_context *context) {
  glow_release(context, self);
}

static const glow_layer_ops ops = {
    .struct_size = sizeof(glow_layer_ops),
    .type = "invconv",
    .flags = GLOW_LAYER_BY_TASKS | GLOW_LAYER_RECONSTRUCTS,
    .configure = configure,
    .reset = build,
    .prepare = prepare,
    .forward = forward,
    .inverse = inverse,
    .backward = backward,
    .save = save,
    .linear = linear,
    .destroy = destroy,
};

glow_status glow_invconv_create(glow_context *context, const glow_invconv_options *options,
                                glow_layer **out) {
  glow_invconv_options o = GLOW_INVCONV_OPTIONS_INIT;
  if (out)
    *out = NULL;
  if (!context || !out)
    return glow_error(GLOW_E_ARGUMENT, "glow_invconv_create: NULL argument");
  GLOW_TRY(glow__options_copy(&o, sizeof o, options, sizeof o, "glow_invconv_options"));
  if (o.lu < 0 || o.lu > 1 || o.reserved)
    return glow_error(GLOW_E_ARGUMENT, "lu is %d; it must be 0 or 1", o.lu);
  invconv *v = glow_allocate(context, sizeof *v);
  if (!v)
    return GLOW_E_MEMORY;
  v->lu = o.lu;
  v->seed = o.seed;
  return glow_layer_create(context, &ops, v, out);
}

glow_status glow__invconv_make(glow_context *context, const glow_config *config, glow_layer **out) {
  glow_invconv_options o = GLOW_INVCONV_OPTIONS_INIT;
  int64_t lu = o.lu;
  GLOW_TRY(glow_config_get_int(config, "lu", 0, 1, &lu));
  o.lu = (int32_t)lu;
  return glow_invconv_create(context, &o, out);
}
