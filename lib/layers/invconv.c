/* Invertible 1x1 convolution: y_o = sum_i W[o,i] x_i at each pixel, log-det = H W log|det W|.
 * Plain, or from M = (L + I) (U + diag(sign_s exp(log_s))) in one of two forms:
 *   rows      W = P M, where row i of W is row perm[i] of M
 *   columns   W = M P, where column j of W is column perm[j] of M
 * Determinants, inverses and the gradients of both forms are computed in double.
 * Kingma and Dhariwal 2018, section 3.2. SPDX-License-Identifier: MIT */
#include <math.h>
#include <string.h>

#include "layers/layers.h"
#include "layers/pixel_matrix.h"
#include "math/linalg.h"

#define INVCONV_MOST_CHANNELS 16384 /* the matrix alone would be 1 GiB */

enum { GROUPS = 16, PIXELS = 256 }; /* groups of samples in backward; pixels packed at a time */

typedef struct invconv {
  glow_invconv_options o;
  int64_t image, channels;                   /* image: pixels of a sample */
  int32_t weight;                            /* plain */
  int32_t lower, upper, log_s, sign_s, perm; /* LU */
  int32_t partial;                           /* backward: gradients of W [GROUPS, C, C] */
  int32_t gradient;                          /* backward: doubles, of W [C, C] and a row */
  int32_t turned;                            /* backward: W^-1', packed, and room to pack it */
  int32_t packed;                            /* worker: PIXELS rows of x */
} invconv;

/* ---- derived values -------------------------------------------------------------------------- */

/* W, its inverse and its transpose, packed; log-det of a sample. Then doubles [C, C]: W, its
 * factors (L below the diagonal, the rest on and above it) and its inverse; in column form also a
 * row of doubles. Then room for floats [C, C]; which row of W each row of the factors' product is;
 * and, in column form, which column of W each of its columns is. */
typedef struct invconv_derived {
  double *logdet, *w, *factors, *inverse, *spare;
  float *forward, *backward, *back; /* packed W, inverse, transpose */
  float *room;
  int32_t *rows, *columns; /* columns: NULL except in column form */
} invconv_derived;

static size_t invconv_derived_size(const invconv *v, const glow_math *math) {
  size_t c = (size_t)v->channels;
  size_t columns = v->o.columns ? c * (sizeof(double) + sizeof(int32_t)) : 0;
  return 3 * (size_t)glow__pixel_matrix_floats(math, v->channels) * sizeof(float) +
         (3 * c * c + 1) * sizeof(double) + c * c * sizeof(float) + c * sizeof(int32_t) + columns;
}

static invconv_derived invconv_derived_at(const invconv *v, const glow_call *call, void *base) {
  int64_t packed = glow__pixel_matrix_floats(glow__math_of(call), v->channels);
  int64_t square = v->channels * v->channels;
  invconv_derived d;
  d.forward = base;
  d.backward = d.forward + packed;
  d.back = d.backward + packed;
  d.logdet = (double *)(void *)(d.back + packed);
  d.w = d.logdet + 1;
  d.factors = d.w + square;
  d.inverse = d.factors + square;
  d.spare = d.inverse + square;
  d.room = (float *)(void *)(d.spare + (v->o.columns ? v->channels : 0));
  d.rows = (int32_t *)(void *)(d.room + square);
  d.columns = v->o.columns ? d.rows + v->channels : NULL;
  return d;
}

static invconv_derived invconv_derived_of(const invconv *v, const glow_call *call) {
  return invconv_derived_at(v, call, (void *)(uintptr_t)glow_call_derived(call));
}

/* Checks perm, which may come from a file, and inverts it: place[perm[i]] = i. */
static glow_status invconv_read_perm(const invconv *v, const glow_call *call, int32_t *place) {
  const int32_t *perm = glow_call_tensor(call, v->perm);
  const float *sign_s = glow_call_tensor(call, v->sign_s);
  int64_t c = v->channels;
  for (int64_t i = 0; i < c; i++)
    place[i] = -1;
  for (int64_t i = 0; i < c; i++) {
    if (perm[i] < 0 || perm[i] >= c || place[perm[i]] >= 0)
      return glow_error(GLOW_E_NUMERIC, "perm is not a permutation at element %lld", (long long)i);
    if (fabsf(sign_s[i]) != 1.0f)
      return glow_error(GLOW_E_NUMERIC, "sign_s[%lld] is %g; it must be -1 or 1", (long long)i,
                        (double)sign_s[i]);
    place[perm[i]] = (int32_t)i;
  }
  return GLOW_OK;
}

static glow_status invconv_read_places(const invconv *v, const glow_call *call,
                                       invconv_derived *d) {
  for (int64_t i = 0; d->columns && i < v->channels; i++)
    d->rows[i] = (int32_t)i;
  return invconv_read_perm(v, call, d->columns ? d->columns : d->rows);
}

static void invconv_read_factors(const invconv *v, const glow_call *call, invconv_derived *d) {
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

/* Row i of the factors' product is row rows[i] of W. In column form its columns are not in place
 * yet. */
static glow_status invconv_compose(const invconv *v, const glow_call *call, invconv_derived *d) {
  const float *log_s = glow_call_tensor(call, v->log_s);
  int64_t c = v->channels;
  GLOW_TRY(invconv_read_places(v, call, d));
  invconv_read_factors(v, call, d);
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

static glow_status invconv_factor(const invconv *v, const glow_call *call, invconv_derived *d) {
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

/* W = M P from M, and its inverse, P' M^-1, from that of M. */
static void invconv_place_columns(const invconv *v, invconv_derived *d) {
  int64_t c = v->channels;
  for (int64_t i = 0; i < c; i++) {
    for (int64_t k = 0; k < c; k++)
      d->spare[d->columns[k]] = d->w[i * c + k];
    memcpy(d->w + i * c, d->spare, (size_t)c * sizeof *d->w);
  }
  for (int64_t j = 0; j < c; j++) {
    for (int64_t k = 0; k < c; k++)
      d->spare[d->columns[k]] = d->inverse[k * c + j];
    for (int64_t k = 0; k < c; k++)
      d->inverse[k * c + j] = d->spare[k];
  }
}

static glow_status invconv_invert(const invconv *v, invconv_derived *d) {
  int64_t c = v->channels;
  glow__lu_inverse(c, d->factors, d->rows, d->inverse);
  if (d->columns)
    invconv_place_columns(v, d);
  if (!glow__pixel_matrix_finite(c * c, d->inverse) || !glow__pixel_matrix_finite(c * c, d->w))
    return glow_error(GLOW_E_NUMERIC, "the %lld x %lld weight matrix or its inverse is not finite",
                      (long long)c, (long long)c);
  return GLOW_OK;
}

static glow_status invconv_prepare(const void *self, const glow_call *call) {
  const invconv *v = self;
  const glow_math *math = glow__math_of(call);
  invconv_derived d = invconv_derived_at(v, call, glow_call_derived_mutable(call));
  GLOW_TRY(v->o.lu ? invconv_compose(v, call, &d) : invconv_factor(v, call, &d));
  GLOW_TRY(invconv_invert(v, &d));
  glow__pixel_matrix_pack(math, v->channels, d.w, false, d.room, d.forward);
  glow__pixel_matrix_pack(math, v->channels, d.w, true, d.room, d.back);
  glow__pixel_matrix_pack(math, v->channels, d.inverse, false, d.room, d.backward);
  return GLOW_OK;
}

/* ---- building -------------------------------------------------------------------------------- */

static glow_status invconv_configure(void *self, glow_setup *setup, const glow_shape *input,
                                     glow_shape *output) {
  invconv *v = self;
  int64_t c = input->channels, square[] = {c, c}, vector[] = {c};
  *output = *input;
  if (c > INVCONV_MOST_CHANNELS)
    return glow_error(GLOW_E_LIMIT, "a 1x1 convolution of %lld channels; at most %d", (long long)c,
                      INVCONV_MOST_CHANNELS);
  v->channels = c;
  v->image = input->height * input->width;
  if (v->o.lu) {
    GLOW_TRY(glow_setup_tensor(setup, "lower", GLOW_TYPE_F32, 1, 2, square, &v->lower));
    GLOW_TRY(glow_setup_tensor(setup, "upper", GLOW_TYPE_F32, 1, 2, square, &v->upper));
    GLOW_TRY(glow_setup_tensor(setup, "log_s", GLOW_TYPE_F32, 1, 1, vector, &v->log_s));
    GLOW_TRY(glow_setup_tensor(setup, "sign_s", GLOW_TYPE_F32, 0, 1, vector, &v->sign_s));
    GLOW_TRY(glow_setup_tensor(setup, "perm", GLOW_TYPE_I32, 0, 1, vector, &v->perm));
  } else {
    GLOW_TRY(glow_setup_tensor(setup, "weight", GLOW_TYPE_F32, 1, 2, square, &v->weight));
  }
  const glow_math *math = glow_context_math(glow_setup_context(setup));
  GLOW_TRY(glow_setup_work(setup, v->image * c * c, v->image * c * c));
  GLOW_TRY(glow_setup_prepare_work(setup, glow__pixel_matrix_prepare_work(c)));
  GLOW_TRY(glow_setup_backward_scratch(setup, GROUPS * c * c, 0, &v->partial));
  GLOW_TRY(glow_setup_backward_scratch(setup, 2 * (c * c + c), 0, &v->gradient));
  GLOW_TRY(glow_setup_backward_scratch(
      setup, glow__pixel_matrix_floats(math, c) + glow_aligned_floats(c * c), 0, &v->turned));
  GLOW_TRY(glow_setup_worker_scratch(setup, glow_math_packed_floats(math, PIXELS, c), &v->packed));
  return glow_setup_derived(setup, invconv_derived_size(v, math));
}

/* The matrix was factored, and glow__lu_factor permuted its rows: row i of the factors' product is
 * row pivots[i] of the matrix. */
static void invconv_write_factors(const invconv *v, const glow_call *call, const double *factors,
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

static void invconv_transpose(int64_t c, double *w) {
  for (int64_t i = 0; i < c; i++)
    for (int64_t j = 0; j < i; j++) {
      double value = w[i * c + j];
      w[i * c + j] = w[j * c + i];
      w[j * c + i] = value;
    }
}

/* From P W' = (L + I) (D + U), D diagonal, the factors of W P' = (D + U)' (L + I)', which are
 * (U' D^-1 + I) (D + D L'). */
static void invconv_turn_factors(int64_t c, double *factors) {
  invconv_transpose(c, factors);
  for (int64_t j = 0; j < c; j++)
    for (int64_t i = j + 1; i < c; i++) {
      factors[i * c + j] /= factors[j * c + j];
      factors[j * c + i] *= factors[j * c + j];
    }
}

/* The starting values for W = w, which is overwritten; pivots: room for [channels]. */
static glow_status invconv_write(const invconv *v, const glow_call *call, double *w,
                                 int32_t *pivots) {
  int64_t c = v->channels;
  double sign = 0;
  if (!v->o.lu) {
    float *weight = glow_call_tensor_mutable(call, v->weight);
    for (int64_t i = 0; i < c * c; i++)
      weight[i] = (float)w[i];
    return GLOW_OK;
  }
  if (v->o.columns)
    invconv_transpose(c, w);
  if (!glow__lu_factor(c, w, pivots, &sign))
    return glow_error(GLOW_E_NUMERIC, "the random matrix has no LU factors");
  if (v->o.columns)
    invconv_turn_factors(c, w);
  invconv_write_factors(v, call, w, pivots);
  return GLOW_OK;
}

/* The Q of a random QR: a random matrix with its rows made orthonormal. */
static glow_status invconv_reset(const void *self, const glow_call *call) {
  const invconv *v = self;
  int64_t c = v->channels;
  glow_context *context = glow_call_context(call);
  float *random = glow_allocate(context, (size_t)(c * c) * sizeof *random);
  double *w = random ? glow_allocate(context, (size_t)(c * c) * sizeof *w) : NULL;
  int32_t *pivots = w ? glow_allocate(context, (size_t)c * sizeof *pivots) : NULL;
  glow_status status = pivots ? GLOW_OK : GLOW_E_MEMORY;
  if (pivots) {
    glow_random_normal(v->o.seed, GLOW_STREAM_RESET, 0, random, c * c);
    for (int64_t i = 0; i < c * c; i++)
      w[i] = (double)random[i];
    if (!glow__orthonormalise(c, w))
      status = glow_error(GLOW_E_NUMERIC, "the random matrix of seed %llu is singular",
                          (unsigned long long)v->o.seed);
  }
  if (status == GLOW_OK)
    status = invconv_write(v, call, w, pivots);
  glow_release(context, pivots);
  glow_release(context, w);
  glow_release(context, random);
  return status;
}

/* ---- passes ---------------------------------------------------------------------------------- */

typedef struct invconv_run {
  const invconv *v;
  const glow_call *call;
  const glow_math *math;
  invconv_derived d;
  const glow_layer_gradient *g;
  int64_t samples, group;
  bool inputs_only; /* the gradient of W is left out */
} invconv_run;

static invconv_run invconv_begin(const invconv *v, const glow_call *call) {
  invconv_run r = {.v = v,
                   .call = call,
                   .math = glow__math_of(call),
                   .d = invconv_derived_of(v, call),
                   .samples = glow_call_sample_count(call)};
  int64_t least = (4096 + v->image * v->channels - 1) / (v->image * v->channels);
  int64_t share = (r.samples + GROUPS - 1) / GROUPS;
  r.group = share > least ? share : least;
  return r;
}

static uint32_t invconv_group_count(const invconv_run *r) {
  return (uint32_t)((r->samples + r->group - 1) / r->group);
}

/* Pixels [*first, *last) of a group. */
static void invconv_group_pixels(const invconv_run *r, uint32_t task, int64_t *first,
                                 int64_t *last) {
  int64_t end = ((int64_t)task + 1) * r->group;
  *first = (int64_t)task * r->group * r->v->image;
  *last = (end < r->samples ? end : r->samples) * r->v->image;
}

static void invconv_forward(const void *self, const glow_call *call, const float *x, float *y,
                            double *logdet, double *logprior) {
  const invconv *v = self;
  invconv_derived d = invconv_derived_of(v, call);
  (void)logprior;
  glow__pixel_matrix_run(call, v->image, v->channels, d.forward, NULL, x, y);
  for (int64_t n = 0; n < glow_call_sample_count(call); n++)
    logdet[n] += *d.logdet;
}

static glow_status invconv_inverse(const void *self, const glow_call *call, const float *y,
                                   float *x, double *logdet, double *logprior) {
  (void)logprior;
  const invconv *v = self;
  invconv_derived d = invconv_derived_of(v, call);
  glow__pixel_matrix_run(call, v->image, v->channels, d.backward, NULL, y, x);
  for (int64_t n = 0; n < glow_call_sample_count(call); n++)
    logdet[n] -= *d.logdet;
  return GLOW_OK;
}

/* dx = W' dy; x if it is wanted; and the group's part of dW = sum dy x'. */
static void invconv_backward_group(void *arg, uint32_t task, uint32_t worker) {
  const invconv_run *r = arg;
  const glow_layer_gradient *g = r->g;
  const glow_epilogue add = {.accumulate = 1};
  int64_t first, last, c = r->v->channels, panels = glow_math_panel_count(r->math, c);
  float *dw = glow_call_scratch(r->call, r->v->partial) + (int64_t)task * c * c;
  float *packed = glow_call_worker_scratch(r->call, r->v->packed, worker);
  glow_layout layout = glow_math_rows(r->math, c);
  invconv_group_pixels(r, task, &first, &last);
  glow__pixel_matrix_apply(r->math, c, r->d.back, NULL, g->dy, g->dx, first, last);
  if (!g->x)
    glow__pixel_matrix_apply(r->math, c, r->d.backward, NULL, g->y, g->x_out, first, last);
  if (r->inputs_only)
    return;
  const float *x = g->x ? g->x : g->x_out;
  memset(dw, 0, (size_t)(c * c) * sizeof *dw);
  for (int64_t p = first; p < last; p += PIXELS) {
    int64_t rows = last - p < PIXELS ? last - p : PIXELS;
    glow_math_pack(r->math, rows, c, x + p * c, c, 1, packed, 0, panels);
    glow_math_multiply_transposed(r->math, c, c, rows, g->dy + p * c, layout, packed, dw, layout, 0,
                                  panels, &add);
  }
}

/* d log|det W| / dW = inverse transposed. */
static void invconv_plain_gradient(const invconv_run *r, const double *dw, double logdet) {
  int64_t c = r->v->channels;
  float *out = glow_call_gradient(r->call, r->v->weight);
  for (int64_t i = 0; i < c; i++)
    for (int64_t j = 0; j < c; j++)
      out[i * c + j] += (float)(dw[i * c + j] + logdet * r->d.inverse[j * c + i]);
}

/* In column form the columns of dM are those of dW, in another order; row: room for one. */
static void invconv_take_columns(const invconv_run *r, double *dw, double *row) {
  int64_t c = r->v->channels;
  for (int64_t i = 0; r->d.columns && i < c; i++) {
    for (int64_t k = 0; k < c; k++)
      row[k] = dw[i * c + r->d.columns[k]];
    memcpy(dw + i * c, row, (size_t)c * sizeof *row);
  }
}

/* With M = (L + I) V and V = U + diag(s), row i of M being row rows[i] of W: dM[i] = dW[rows[i]];
 * dL = dM V' below the diagonal; dV = (L + I)' dM on and above it; d log_s = dV_ii s_i + H W d
 * logdet. row: room for a row of dV. */
static void invconv_lu_gradient(const invconv_run *r, const double *dw, double *row,
                                double logdet) {
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

static void invconv_backward(const void *self, const glow_call *call,
                             const glow_layer_gradient *g) {
  const invconv *v = self;
  invconv_run r = invconv_begin(v, call);
  int64_t square = v->channels * v->channels;
  const float *partial = glow_call_scratch(call, v->partial);
  double *dw = (double *)(void *)glow_call_scratch(call, v->gradient);
  double logdet = 0;
  r.g = g;
  r.inputs_only = !glow_call_gradient(call, v->o.lu ? v->lower : v->weight);
  glow_call_run(call, invconv_group_count(&r), invconv_backward_group, &r);
  if (r.inputs_only)
    return;
  memset(dw, 0, (size_t)square * sizeof *dw);
  for (uint32_t t = 0; t < invconv_group_count(&r); t++)
    for (int64_t i = 0; i < square; i++)
      dw[i] += (double)partial[(int64_t)t * square + i];
  for (int64_t n = 0; n < r.samples; n++)
    logdet += g->d_logdet[n] * (double)v->image;
  if (!v->o.lu) {
    invconv_plain_gradient(&r, dw, logdet);
    return;
  }
  invconv_take_columns(&r, dw, dw + square);
  invconv_lu_gradient(&r, dw, dw + square, logdet);
}

/* v = -W^-T dx */
static void invconv_inverse_backward(const void *self, const glow_call *call,
                                     const glow_layer_inverse_gradient *g) {
  const invconv *v = self;
  const glow_math *math = glow__math_of(call);
  float *turned = glow_call_scratch(call, v->turned);
  int64_t count = glow_call_sample_count(call) * v->image * v->channels;
  glow__pixel_matrix_pack(math, v->channels, invconv_derived_of(v, call).inverse, true,
                          turned + glow__pixel_matrix_floats(math, v->channels), turned);
  glow__pixel_matrix_run(call, v->image, v->channels, turned, NULL, g->dx, g->dy);
  for (int64_t i = 0; i < count; i++)
    g->dy[i] = -g->dy[i];
  glow__inverse_by_backward(invconv_backward, self, call, g, count);
}

/* W as passes have it, in float32: against data far from 0 its rounding is not small, and what
 * follows was learnt with it. */
static glow_status invconv_linear(const void *self, const glow_call *call, double *w, double *b) {
  const invconv *v = self;
  const double *exact = invconv_derived_of(v, call).w;
  for (int64_t i = 0; i < v->channels * v->channels; i++)
    w[i] = (double)(float)exact[i];
  (void)b; /* 0 */
  return GLOW_OK;
}

static glow_status invconv_diagnose(const void *self, const glow_call *call, const float *x,
                                    glow_findings *findings) {
  const invconv *v = self;
  return x ? GLOW_OK : glow_findings_matrix(findings, v->channels, invconv_derived_of(v, call).w);
}

/* ---- options --------------------------------------------------------------------------------- */

static const glow_option invconv_rows[] = {
    GLOW_OPTION(glow_invconv_options, lu, INT32, .high = 1, .fallback = 1),
    GLOW_OPTION(glow_invconv_options, columns, INT32, .high = 1, .flags = GLOW_OPTION_QUIET),
    GLOW_OPTION(glow_invconv_options, seed, UINT64, .fallback = 0),
};

static glow_status invconv_check(const void *options) {
  const glow_invconv_options *o = options;
  if (o->columns && !o->lu)
    return glow_error(GLOW_E_ARGUMENT, "glow_invconv_options: columns is 1 and lu is 0; only the "
                                       "LU form has columns to permute");
  return GLOW_OK;
}

static const glow_options_table invconv_table = {
    GLOW_OPTIONS_TABLE(glow_invconv_options, invconv_rows), .check = invconv_check};

const glow_layer_ops glow__invconv_ops = {
    .struct_size = sizeof(glow_layer_ops),
    .type = "invconv",
    .flags = GLOW_LAYER_BY_TASKS | GLOW_LAYER_RECONSTRUCTS | GLOW_LAYER_SKIPS_GRADIENTS,
    .options = &invconv_table,
    .self_size = sizeof(invconv),
    .configure = invconv_configure,
    .reset = invconv_reset,
    .prepare = invconv_prepare,
    .forward = invconv_forward,
    .inverse = invconv_inverse,
    .backward = invconv_backward,
    .inverse_backward = invconv_inverse_backward,
    .linear = invconv_linear,
    .diagnose = invconv_diagnose,
};

glow_status glow_invconv_create(glow_context *context, const glow_invconv_options *options,
                                glow_layer **out) {
  return glow_layer_create(context, &glow__invconv_ops, options, NULL, out);
}
