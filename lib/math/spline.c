/* Monotone rational-quadratic splines one by one, by the C library's functions: the definition of
 * glow__splines. SPDX-License-Identifier: MIT */
#include "math/spline.h"

#include <math.h>
#include <string.h>

glow__spline glow__spline_of(int32_t bins, double bound, double min_width, double min_height,
                             double min_derivative) {
  return (glow__spline){.bins = bins,
                        .bound = bound,
                        .min_width = min_width,
                        .min_height = min_height,
                        .min_derivative = min_derivative,
                        .growth = expm1(1 - min_derivative)};
}

/* ---- knots ----------------------------------------------------------------------------------- */

static void softmax(const float *raw, int32_t count, double *share) {
  float most = raw[0];
  double sum = 0;
  for (int32_t i = 1; i < count; i++)
    most = raw[i] > most ? raw[i] : most;
  for (int32_t i = 0; i < count; i++) {
    share[i] = exp((double)raw[i] - (double)most);
    sum += share[i];
  }
  for (int32_t i = 0; i < count; i++)
    share[i] /= sum;
}

/* Knots from -B to B, the last one exactly. */
static void spline_place(int32_t count, double bound, double least, const double *share,
                         double *knot) {
  double sum = 0;
  knot[0] = -bound;
  for (int32_t i = 0; i < count; i++) {
    sum += least + (1.0 - least * count) * share[i];
    knot[i + 1] = bound * (2.0 * sum - 1.0);
  }
  knot[count] = bound;
}

static double softplus(double v) {
  return (v > 0 ? v : 0) + log1p(exp(-fabs(v)));
}

void glow__spline_knots(const glow__spline *spline, const float *raw, glow__knots *k) {
  int32_t bins = spline->bins;
  double shift = log(spline->growth);
  softmax(raw, bins, k->width_share);
  softmax(raw + bins, bins, k->height_share);
  spline_place(bins, spline->bound, spline->min_width, k->width_share, k->x);
  spline_place(bins, spline->bound, spline->min_height, k->height_share, k->y);
  k->d[0] = k->d[bins] = 1.0;
  for (int32_t i = 1; i < bins; i++)
    k->d[i] = spline->min_derivative + softplus((double)raw[2 * bins + i - 1] + shift);
}

/* ---- one bin --------------------------------------------------------------------------------- */

/* NaN is in the first bin. */
static int32_t find_bin(const double *knot, int32_t bins, double v) {
  int32_t k = 0;
  while (k < bins - 1 && v >= knot[k + 1])
    k++;
  return k;
}

typedef struct bin {
  double w, h, s, d0, d1;
} bin;

static bin bin_at(const glow__knots *k, int32_t i) {
  bin b = {k->x[i + 1] - k->x[i], k->y[i + 1] - k->y[i], 0, k->d[i], k->d[i + 1]};
  b.s = b.h / b.w;
  return b;
}

static double log_slope_at(const bin *b, double t) {
  double u = t * (1 - t), ratio = b->s / (b->s + (b->d1 + b->d0 - 2 * b->s) * u);
  return log(ratio * ratio * (b->d1 * t * t + 2 * b->s * u + b->d0 * (1 - t) * (1 - t)));
}

static int in_tail(const glow__spline *spline, double v) {
  return !(fabs(v) < spline->bound);
}

double glow__spline_forward(const glow__spline *spline, const glow__knots *k, double x,
                            double *log_slope) {
  *log_slope = 0;
  if (in_tail(spline, x))
    return x;
  int32_t i = find_bin(k->x, spline->bins, x);
  bin b = bin_at(k, i);
  double t = (x - k->x[i]) / b.w, u = t * (1 - t);
  *log_slope = log_slope_at(&b, t);
  return k->y[i] + b.h * (b.s * t * t + b.d0 * u) / (b.s + (b.d1 + b.d0 - 2 * b.s) * u);
}

/* a t^2 + b t + c = 0, in the form that does not cancel: t = 2c / (-b - sqrt(b^2 - 4ac)). Here b >
 * 0 >= c, and the discriminant is a square except for rounding. */
static double solve(const bin *n, double above) {
  double e = n->d1 + n->d0 - 2 * n->s;
  double a = n->h * (n->s - n->d0) + above * e, b = n->h * n->d0 - above * e, c = -n->s * above;
  double discriminant = b * b - 4 * a * c;
  double t = 2 * c / (-b - sqrt(discriminant > 0 ? discriminant : 0));
  return t < 0 ? 0 : t > 1 ? 1 : t;
}

double glow__spline_inverse(const glow__spline *spline, const glow__knots *k, double y,
                            double *log_slope) {
  *log_slope = 0;
  if (in_tail(spline, y))
    return y;
  int32_t i = find_bin(k->y, spline->bins, y);
  bin b = bin_at(k, i);
  double t = solve(&b, y - k->y[i]);
  *log_slope = log_slope_at(&b, t);
  return k->x[i] + t * b.w;
}

/* ---- gradient -------------------------------------------------------------------------------- */

/* Gradient of the knots' widths (or heights), from the gradients of the left knot and of the size
 * of bin `at`: the left knot moves with the sizes before it. Then back through the softmax. */
static void through_shares(int32_t count, double bound, double least, const double *share,
                           int32_t at, double d_knot, double d_size, float *d_raw) {
  double part = 2 * bound * (1 - least * count), mean = d_size * share[at];
  for (int32_t i = 0; i < at; i++)
    mean += d_knot * share[i];
  for (int32_t i = 0; i < count; i++) {
    double d = i < at ? d_knot : i == at ? d_size : 0;
    d_raw[i] = (float)(part * share[i] * (d - mean));
  }
}

double glow__spline_gradient(const glow__spline *spline, const float *raw, const glow__knots *k,
                             double x, double dy, double d_log, float *d_raw) {
  int32_t bins = spline->bins;
  memset(d_raw, 0, (size_t)glow__spline_numbers(spline) * sizeof *d_raw);
  if (in_tail(spline, x))
    return dy;
  int32_t i = find_bin(k->x, bins, x);
  bin b = bin_at(k, i);
  double t = (x - k->x[i]) / b.w, u = t * (1 - t), v = 1 - t, e = b.d1 + b.d0 - 2 * b.s;
  double D = b.s + e * u, M = b.d1 * t * t + 2 * b.s * u + b.d0 * v * v;
  double q = (b.s * t * t + b.d0 * u) / D; /* N / (h D): the share of the height that is reached */
  double M_t = 2 * (b.d1 * t + b.s * (1 - 2 * t) - b.d0 * v), D_t = e * (1 - 2 * t);
  double d_t = dy * b.h * b.s * M / (D * D) + d_log * (M_t / M - 2 * D_t / D);
  double d_s = dy * b.h * (t * t - q * (1 - 2 * u)) / D +
               d_log * (2 / b.s + 2 * u / M - 2 * (1 - 2 * u) / D);
  double d_0 = dy * b.h * u * (1 - q) / D + d_log * (v * v / M - 2 * u / D);
  double d_1 = -dy * b.h * u * q / D + d_log * (t * t / M - 2 * u / D);
  /* t = (x - x_k) / w and s = h / w. */
  double d_x = d_t / b.w, d_w = -(d_t * t + d_s * b.s) / b.w, d_h = dy * q + d_s / b.w;
  through_shares(bins, spline->bound, spline->min_width, k->width_share, i, -d_x, d_w, d_raw);
  through_shares(bins, spline->bound, spline->min_height, k->height_share, i, dy, d_h,
                 d_raw + bins);
  double shift = log(spline->growth);
  const float *slopes = raw + 2 * bins - 1; /* of inner knot i = 1, 2, ... */
  if (i > 0)
    d_raw[2 * bins + i - 1] = (float)(d_0 / (1 + exp(-((double)slopes[i] + shift))));
  if (i < bins - 1)
    d_raw[2 * bins + i] = (float)(d_1 / (1 + exp(-((double)slopes[i + 1] + shift))));
  return d_x;
}

/* ---- arrays ---------------------------------------------------------------------------------- */

static void spline_forward_array(const glow__spline *spline, int64_t n, const float *raw,
                                 const float *x, float *y, double *log_slope) {
  for (int64_t i = 0; i < n; i++, raw += glow__spline_numbers(spline)) {
    glow__knots knots;
    glow__spline_knots(spline, raw, &knots);
    y[i] = (float)glow__spline_forward(spline, &knots, (double)x[i], &log_slope[i]);
  }
}

static void spline_inverse_array(const glow__spline *spline, int64_t n, const float *raw,
                                 const float *y, float *x, double *log_slope) {
  for (int64_t i = 0; i < n; i++, raw += glow__spline_numbers(spline)) {
    glow__knots knots;
    glow__spline_knots(spline, raw, &knots);
    x[i] = (float)glow__spline_inverse(spline, &knots, (double)y[i], &log_slope[i]);
  }
}

static void spline_gradient_array(const glow__spline *spline, int64_t n, const float *raw,
                                  const float *x, const float *dy, const double *d_log, float *dx,
                                  float *d_raw) {
  int64_t numbers = glow__spline_numbers(spline);
  for (int64_t i = 0; i < n; i++, raw += numbers) {
    glow__knots knots;
    float unused[3 * GLOW_SPLINE_MOST_BINS];
    glow__spline_knots(spline, raw, &knots);
    dx[i] = (float)glow__spline_gradient(spline, raw, &knots, (double)x[i], (double)dy[i], d_log[i],
                                         d_raw ? d_raw + i * numbers : unused);
  }
}

static void spline_inverse_gradient_array(const glow__spline *spline, int64_t n, const float *raw,
                                          const float *x, const float *dx, const double *d_log,
                                          float *dy, float *d_raw) {
  int64_t numbers = glow__spline_numbers(spline);
  for (int64_t i = 0; i < n; i++, raw += numbers, d_raw += numbers) {
    glow__knots knots;
    glow__spline_knots(spline, raw, &knots);
    double at = (double)x[i], slope = glow__spline_gradient(spline, raw, &knots, at, 1, 0, d_raw);
    double bend = glow__spline_gradient(spline, raw, &knots, at, 0, d_log[i], d_raw);
    double v = -((double)dx[i] + bend) / slope;
    glow__spline_gradient(spline, raw, &knots, at, v, d_log[i], d_raw);
    dy[i] = (float)-v;
  }
}

void glow__splines_fill_c(glow__splines *splines) {
  splines->forward = spline_forward_array;
  splines->inverse = spline_inverse_array;
  splines->gradient = spline_gradient_array;
  splines->inverse_gradient = spline_inverse_gradient_array;
}
