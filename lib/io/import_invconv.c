/* 1x1 convolutions of other projects. Ours: y_o = sum_i W[o,i] x_i, with W plain or
 * P (L + I) (U + diag(sign exp(log_s))).
 *
 * A change of sign of columns, W diag(d), leaves the factors what they are: U diag(d) is still
 * upper triangular, and the diagonal gets the signs sign d. A transpose does not: openai/glow
 * multiplies rows, y = x W, so its W is composed, transposed and factored again, in double.
 * SPDX-License-Identifier: MIT */
#include <math.h>
#include <string.h>

#include "io/import.h"
#include "math/linalg.h"

/* ---- plain ----------------------------------------------------------------------------------- */

glow_status glow__import_weight(glow__import *im, const char *name, int32_t rank,
                                const int64_t *dims, int64_t channels, const double *columns,
                                bool transposed) {
  double *w = NULL;
  glow__import_layout layout = {.out = channels,
                                .in = channels,
                                .taps = 1,
                                .count = channels,
                                .inputs_first = transposed,
                                .factor = 1};
  GLOW_TRY(glow__import_take(im, name, rank, dims, &layout, &w));
  if (!w)
    return GLOW_OK;
  for (int64_t i = 0; columns && i < channels * channels; i++)
    w[i] *= columns[i % channels];
  glow_status status = glow__import_write(im, "invconv.weight", w, channels * channels);
  glow_release(im->context, w);
  return status;
}

/* ---- factors --------------------------------------------------------------------------------- */

enum { P, LOWER, UPPER, LOG_S, SIGN, FACTORS };

typedef struct factors {
  int64_t channels;
  double *f[FACTORS];
  int32_t *perm; /* row i of W is row perm[i] of the product of the last two */
} factors;

static void release(glow__import *im, factors *f) {
  for (int i = 0; i < FACTORS; i++)
    glow_release(im->context, f->f[i]);
  glow_release(im->context, f->perm);
}

static glow_status read_factors(glow__import *im, const glow__import_factors *names, factors *f) {
  int64_t c = f->channels;
  GLOW_TRY(glow__import_read(im, names->p, GLOW_SHAPE(c, c), &f->f[P]));
  GLOW_TRY(glow__import_read(im, names->lower, GLOW_SHAPE(c, c), &f->f[LOWER]));
  GLOW_TRY(glow__import_read(im, names->upper, GLOW_SHAPE(c, c), &f->f[UPPER]));
  GLOW_TRY(glow__import_read(im, names->log_s, GLOW_SHAPE(c), &f->f[LOG_S]));
  GLOW_TRY(glow__import_read(im, names->sign, GLOW_SHAPE(c), &f->f[SIGN]));
  if (!im->model)
    return GLOW_OK;
  f->perm = glow_allocate(im->context, (size_t)c * sizeof *f->perm);
  return f->perm ? GLOW_OK : GLOW_E_MEMORY;
}

/* Column of the 1 in row i of P; -1 if the row is not all zeros except for one 1. */
static int32_t one_of_row(const factors *f, int64_t i) {
  int32_t found = -1;
  for (int64_t j = 0; j < f->channels; j++) {
    double value = f->f[P][i * f->channels + j];
    if (value == 1.0 && found < 0)
      found = (int32_t)j;
    else if (value != 0.0)
      return -1;
  }
  return found;
}

static glow_status check_factors(glow__import *im, const glow__import_factors *names, factors *f) {
  for (int64_t i = 0; i < f->channels; i++) {
    f->perm[i] = one_of_row(f, i);
    for (int64_t j = 0; j < i && f->perm[i] >= 0; j++)
      if (f->perm[j] == f->perm[i])
        f->perm[i] = -1;
    if (f->perm[i] < 0)
      return glow_error(GLOW_E_FORMAT, "tensor '%s%s%s' is not a permutation matrix at row %lld",
                        im->prefix, im->from, names->p, (long long)i);
    if (fabs(f->f[SIGN][i]) != 1.0)
      return glow_error(GLOW_E_FORMAT, "tensor '%s%s%s': element %lld is %g; it must be -1 or 1",
                        im->prefix, im->from, names->sign, (long long)i, f->f[SIGN][i]);
  }
  return GLOW_OK;
}

/* What the masks of all projects do: sets the parts that are not read to 0. */
static void mask(factors *f, const double *columns) {
  int64_t c = f->channels;
  for (int64_t i = 0; i < c; i++) {
    for (int64_t j = 0; j < c; j++) {
      f->f[LOWER][i * c + j] = j < i ? f->f[LOWER][i * c + j] : 0.0;
      f->f[UPPER][i * c + j] = j > i ? f->f[UPPER][i * c + j] * (columns ? columns[j] : 1.0) : 0.0;
    }
    f->f[SIGN][i] *= columns ? columns[i] : 1.0;
  }
}

/* w [C, C] from masked factors, transposed. */
static void compose_transposed(const factors *f, double *w) {
  int64_t c = f->channels;
  for (int64_t i = 0; i < c; i++) {
    int64_t row = f->perm[i];
    for (int64_t j = 0; j < c; j++) {
      double sum = 0;
      for (int64_t k = 0; k <= row && k <= j; k++) {
        double l = k == row ? 1.0 : f->f[LOWER][row * c + k];
        double u = k == j ? f->f[SIGN][k] * exp(f->f[LOG_S][k]) : f->f[UPPER][k * c + j];
        sum += l * u;
      }
      w[j * c + i] = sum;
    }
  }
}

/* Factors w again; pivots: room for [C]. */
static glow_status factor_again(glow__import *im, const glow__import_factors *names, factors *f,
                                double *w, int32_t *pivots) {
  int64_t c = f->channels;
  double sign;
  if (!glow__lu_factor(c, w, pivots, &sign))
    return glow_error(GLOW_E_FORMAT, "tensor '%s%s%s': the matrix of these factors is singular",
                      im->prefix, im->from, names->log_s);
  for (int64_t i = 0; i < c; i++) {
    f->perm[pivots[i]] = (int32_t)i;
    f->f[LOG_S][i] = log(fabs(w[i * c + i]));
    f->f[SIGN][i] = w[i * c + i] < 0 ? -1.0 : 1.0;
  }
  memcpy(f->f[LOWER], w, (size_t)(c * c) * sizeof *w);
  memcpy(f->f[UPPER], w, (size_t)(c * c) * sizeof *w);
  mask(f, NULL);
  return GLOW_OK;
}

static glow_status transpose(glow__import *im, const glow__import_factors *names, factors *f) {
  int64_t c = f->channels;
  double *w = glow_allocate(im->context, (size_t)(c * c) * sizeof *w);
  int32_t *pivots = w ? glow_allocate(im->context, (size_t)c * sizeof *pivots) : NULL;
  glow_status status = GLOW_E_MEMORY;
  if (pivots) {
    compose_transposed(f, w);
    status = factor_again(im, names, f, w, pivots);
  }
  glow_release(im->context, w);
  glow_release(im->context, pivots);
  return status;
}

static glow_status write_factors(glow__import *im, const factors *f) {
  int64_t c = f->channels;
  GLOW_TRY(glow__import_write(im, "invconv.lower", f->f[LOWER], c * c));
  GLOW_TRY(glow__import_write(im, "invconv.upper", f->f[UPPER], c * c));
  GLOW_TRY(glow__import_write(im, "invconv.log_s", f->f[LOG_S], c));
  GLOW_TRY(glow__import_write(im, "invconv.sign_s", f->f[SIGN], c));
  return glow__import_write_integers(im, "invconv.perm", f->perm, c);
}

static glow_status import_invconv_convert(glow__import *im, const glow__import_factors *names,
                                          factors *f, const double *columns, bool transposed) {
  GLOW_TRY(read_factors(im, names, f));
  if (!im->model)
    return GLOW_OK;
  GLOW_TRY(check_factors(im, names, f));
  mask(f, columns);
  if (transposed)
    GLOW_TRY(transpose(im, names, f));
  return write_factors(im, f);
}

glow_status glow__import_lu(glow__import *im, int64_t channels, const glow__import_factors *names,
                            const double *columns, bool transposed) {
  factors f = {.channels = channels};
  glow_status status = import_invconv_convert(im, names, &f, columns, transposed);
  release(im, &f);
  return status;
}
