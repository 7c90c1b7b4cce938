/* Arrays of splines: against plain C, in the tails, at the ends and beside NaN; a spline's bits do
 * not depend on its place; and errors against long double. SPDX-License-Identifier: MIT */
#include <float.h>
#include <math.h>
#include <string.h>

#include "checkkernels/checkkernels.h"

enum { MOST_NUMBERS = 3 * GLOW_SPLINE_MOST_BINS };

/* Splines that differ in their parameters, each with a place x and weights of its gradient. */
typedef struct splines {
  glow__spline spline;
  int64_t n, numbers;
  float *raw, *x, *dy;
  double *d_log;
} splines;

/* What all three slots make of them. */
typedef struct results {
  float *y, *back, *dx, *d_raw;
  double *log_slope, *log_back;
} results;

static double between(double low, double high) {
  return low + (high - low) * (double)below((int64_t)1 << 40) * 0x1p-40;
}

static splines random_splines(int64_t n) {
  int32_t bins = (int32_t)(below(3) ? 2 + below(11) : 2 + below(GLOW_SPLINE_MOST_BINS - 1));
  double bound = below(2) ? 4 : between(0.1, 20), scale = below(4) ? between(0, 4) : 50;
  double least = between(0, 0.9) / bins;
  splines s = {.spline = glow__spline_of(bins, bound, below(2) ? 1e-3 : least, 1e-3,
                                         below(2) ? 1e-3 : between(1e-6, 0.99)),
               .n = n,
               .numbers = 3 * (int64_t)bins - 1};
  s.raw = array(n * s.numbers, sizeof *s.raw);
  s.x = array(n, sizeof *s.x);
  s.dy = numbers(n);
  s.d_log = array(n, sizeof *s.d_log);
  for (int64_t i = 0; i < n * s.numbers; i++)
    s.raw[i] = (float)between(-scale, scale);
  for (int64_t i = 0; i < n; i++) {
    s.x[i] = (float)between(-1.2 * bound, 1.2 * bound);
    s.d_log[i] = between(-1, 1);
  }
  return s;
}

static results results_of(const provider *p, const splines *s) {
  const glow__splines *k = &p->kernels->splines;
  results r = {.y = array(s->n, sizeof *r.y),
               .back = array(s->n, sizeof *r.back),
               .dx = array(s->n, sizeof *r.dx),
               .d_raw = array(s->n * s->numbers, sizeof *r.d_raw),
               .log_slope = array(s->n, sizeof *r.log_slope),
               .log_back = array(s->n, sizeof *r.log_back)};
  k->forward(&s->spline, s->n, s->raw, s->x, r.y, r.log_slope);
  k->inverse(&s->spline, s->n, s->raw, s->x, r.back, r.log_back);
  k->gradient(&s->spline, s->n, s->raw, s->x, s->dy, s->d_log, r.dx, r.d_raw);
  return r;
}

/* ---- against plain C ------------------------------------------------------------------------- */

/* Exponentials are within 2e-9, and a bin of the least width makes a thousand times as much of it.
 * Where an x is as near to a knot as that, the second derivative may be the neighbouring bin's. */
static const double relative = 1e-4;

static bool at_a_knot(const splines *s, int64_t i) {
  glow__knots knots;
  glow__spline_knots(&s->spline, s->raw + i * s->numbers, &knots);
  for (int32_t k = 0; k <= s->spline.bins; k++)
    if (fabs(knots.x[k] - (double)s->x[i]) < 1e-6 * s->spline.bound)
      return true;
  return false;
}

static void check_splines(const provider *p) {
  const provider c = {.name = "c", .kernels = &plain};
  splines s = random_splines(below(150));
  results got = results_of(p, &s), expected = results_of(&c, &s);
  for (int64_t i = 0; i < s.n; i++) {
    double bound = 1e-6 * s.spline.bound;
    near_to("y", i, 0, (double)got.y[i], (double)expected.y[i], bound);
    near_to("log-slope", i, 0, got.log_slope[i], expected.log_slope[i], relative);
    near_to("log-slope of the inverse", i, 0, got.log_back[i], expected.log_back[i], relative);
    double steep = exp(-expected.log_back[i]); /* of x by y */
    near_to("x", i, 0, (double)got.back[i], (double)expected.back[i], bound * fmax(1, steep));
    if (at_a_knot(&s, i))
      continue;
    double size = 1 + fabs((double)expected.dx[i]);
    near_to("gradient of x", i, 0, (double)got.dx[i], (double)expected.dx[i], relative * size);
    for (int64_t j = 0; j < s.numbers; j++)
      near_to("gradient", i, j, (double)got.d_raw[i * s.numbers + j],
              (double)expected.d_raw[i * s.numbers + j], relative * size);
  }
}

/* ---- places ---------------------------------------------------------------------------------- */

static splines part_of(const splines *s, int64_t first, int64_t n) {
  splines part = *s;
  part.n = n;
  part.raw = copy_of(s->raw + first * s->numbers, n * s->numbers, sizeof *s->raw);
  part.x = copy_of(s->x + first, n, sizeof *s->x);
  part.dy = copy_of(s->dy + first, n, sizeof *s->dy);
  part.d_log = copy_of(s->d_log + first, n, sizeof *s->d_log);
  return part;
}

/* x and y, dy and dx may be the same arrays, and no gradient of the parameters wanted. */
static void check_in_place(const provider *p, const splines *s, const results *r) {
  const glow__splines *k = &p->kernels->splines;
  size_t bytes = (size_t)s->n * sizeof *s->x;
  float *v = copy_of(s->x, s->n, sizeof *v);
  double *slope = array(s->n, sizeof *slope);
  k->forward(&s->spline, s->n, s->raw, v, v, slope);
  same_bits("y in place", v, r->y, bytes);
  v = copy_of(s->x, s->n, sizeof *v);
  k->inverse(&s->spline, s->n, s->raw, v, v, slope);
  same_bits("x in place", v, r->back, bytes);
  v = copy_of(s->dy, s->n, sizeof *v);
  k->gradient(&s->spline, s->n, s->raw, s->x, v, s->d_log, v, NULL);
  same_bits("gradient of x alone, in place", v, r->dx, bytes);
}

/* By three gradients: slope, second derivative, and those of the parameters for what they give. */
static void check_inverse_gradient(const provider *p) {
  const glow__splines *k = &p->kernels->splines;
  splines s = random_splines(1 + below(150));
  float *one = array(s.n, sizeof *one), *v = array(s.n, sizeof *v), *bend = array(s.n, sizeof *v);
  float *dy = copy_of(s.dy, s.n, sizeof *dy), *d_raw = array(s.n * s.numbers, sizeof *d_raw);
  float *expected = array(s.n * s.numbers, sizeof *expected);
  double *none = array(s.n, sizeof *none);
  for (int64_t i = 0; i < s.n; i++) {
    one[i] = 1;
    bend[i] = 0;
    none[i] = 0;
  }
  k->gradient(&s.spline, s.n, s.raw, s.x, one, none, one, NULL);
  k->gradient(&s.spline, s.n, s.raw, s.x, bend, s.d_log, bend, NULL);
  for (int64_t i = 0; i < s.n; i++)
    v[i] = -(s.dy[i] + bend[i]) / one[i];
  k->gradient(&s.spline, s.n, s.raw, s.x, v, s.d_log, one, expected);
  k->inverse_gradient(&s.spline, s.n, s.raw, s.x, dy, s.d_log, dy, d_raw);
  for (int64_t i = 0; i < s.n; i++) { /* all that is rounded to float32 is v and what makes it */
    double size = 1 + fabs((double)v[i]) * (1 + fabs((double)bend[i]));
    near_to("gradient of y", i, 0, (double)dy[i], -(double)v[i], 1e-6 * size);
    for (int64_t j = 0; j < s.numbers; j++)
      near_to("gradient", i, j, (double)d_raw[i * s.numbers + j],
              (double)expected[i * s.numbers + j], 1e-5 * size * s.spline.bound);
  }
  splines part = part_of(&s, s.n / 2, s.n - s.n / 2);
  k->inverse_gradient(&part.spline, part.n, part.raw, part.x, part.dy, part.d_log, v, expected);
  same_bits("gradient of y", v, dy + s.n / 2, (size_t)part.n * sizeof *v);
  same_bits("gradient", expected, d_raw + s.n / 2 * s.numbers,
            (size_t)(part.n * s.numbers) * sizeof *d_raw);
}

static void check_spline_places(const provider *p) {
  splines s = random_splines(1 + below(150));
  results all = results_of(p, &s);
  int64_t first = below(s.n), n = below(s.n - first + 1);
  splines part = part_of(&s, first, n);
  results alone = results_of(p, &part);
  same_bits("y", alone.y, all.y + first, (size_t)n * sizeof *all.y);
  same_bits("x", alone.back, all.back + first, (size_t)n * sizeof *all.back);
  same_bits("log-slope", alone.log_slope, all.log_slope + first, (size_t)n * sizeof(double));
  same_bits("log-slope of the inverse", alone.log_back, all.log_back + first,
            (size_t)n * sizeof(double));
  same_bits("gradient of x", alone.dx, all.dx + first, (size_t)n * sizeof *all.dx);
  same_bits("gradient", alone.d_raw, all.d_raw + first * s.numbers,
            (size_t)(n * s.numbers) * sizeof *all.d_raw);
  check_in_place(p, &s, &all);
}

/* ---- ends, tails, extremes ------------------------------------------------------------------- */

static bool all_zero(const float *x, int64_t n) {
  for (int64_t i = 0; i < n; i++)
    if (x[i] != 0.0f)
      return false;
  return true;
}

/* Outside, and at the ends themselves, the identity to the bit. */
static void check_tails(const provider *p) {
  splines s = random_splines(60);
  const float end = (float)s.spline.bound;
  s.spline.bound = (double)end;
  for (int64_t i = 0; i < s.n; i++) {
    const float outside[] = {end, nextafterf(end, INFINITY), 2 * end, 1e30f, INFINITY, NAN};
    s.x[i] = outside[i % 6] * (i % 4 < 2 ? 1.0f : -1.0f);
  }
  results r = results_of(p, &s);
  same_bits("y", r.y, s.x, (size_t)s.n * sizeof *s.x);
  same_bits("x", r.back, s.x, (size_t)s.n * sizeof *s.x);
  same_bits("gradient of x", r.dx, s.dy, (size_t)s.n * sizeof *s.dy);
  for (int64_t i = 0; i < s.n; i++)
    if (r.log_slope[i] != 0 || r.log_back[i] != 0)
      fail("log-slope %g of spline %d, which is in a tail", r.log_slope[i], (int)i);
  if (!all_zero(r.d_raw, s.n * s.numbers))
    fail("parameters have a gradient where the splines are in their tails");
}

/* Just inside, nothing leaves the interval; zeros are the identity. */
static void check_ends(const provider *p) {
  splines s = random_splines(60);
  const float end = (float)s.spline.bound, inside = nextafterf(end, 0);
  s.spline.bound = (double)end;
  for (int64_t i = 0; i < s.n; i++)
    s.x[i] = i % 2 ? inside : -inside;
  results r = results_of(p, &s);
  for (int64_t i = 0; i < s.n; i++)
    if (!(fabsf(r.y[i]) <= end && fabsf(r.back[i]) <= end))
      fail("%g beside the end, %g, is taken to %g and %g", (double)s.x[i], (double)end,
           (double)r.y[i], (double)r.back[i]);
  memset(s.raw, 0, (size_t)(s.n * s.numbers) * sizeof *s.raw);
  s.spline.min_width = s.spline.min_height;
  r = results_of(p, &s);
  for (int64_t i = 0; i < s.n; i++) {
    near_to("identity", i, 0, (double)r.y[i], (double)s.x[i], 1e-7 * s.spline.bound);
    near_to("its log-slope", i, 0, r.log_slope[i], 0, 1e-10);
  }
}

/* Parameters of any size give finite results; NaN and infinities give NaN, and spoil no other. */
static void check_extremes(const provider *p) {
  static const float sizes[] = {1e3f, 1e10f, 1e30f, 0x1.fffffep127f};
  splines s = random_splines(40);
  for (int64_t i = 0; i < s.n * s.numbers; i++)
    s.raw[i] = (s.raw[i] > 0 ? 1.0f : -1.0f) * sizes[below(4)];
  results r = results_of(p, &s);
  for (int64_t i = 0; i < s.n; i++)
    if (!isfinite(r.y[i]) || !isfinite(r.back[i]) || !isfinite(r.log_slope[i]) ||
        !isfinite(r.log_back[i]) || !isfinite(r.dx[i]))
      fail("spline %d of large parameters is not finite", (int)i);
  for (int64_t i = 0; i < s.n * s.numbers; i++)
    if (!isfinite(r.d_raw[i]))
      fail("a gradient by large parameters is not finite");
  int64_t lost = below(s.n);
  s.x[lost] = 0.3f * (float)s.spline.bound;
  s.raw[lost * s.numbers + below(2 * s.spline.bins)] = below(2) ? NAN : INFINITY;
  results beside = results_of(p, &s);
  if (!isnan(beside.y[lost]) || !isnan(beside.back[lost]))
    fail("a spline whose parameters are not finite gives %g", (double)beside.y[lost]);
  r.y[lost] = beside.y[lost];
  same_bits("splines beside it", beside.y, r.y, (size_t)s.n * sizeof *r.y);
}

/* ---- errors ---------------------------------------------------------------------------------- */

typedef long double real;

typedef struct exact_knots {
  real x[GLOW_SPLINE_MOST_BINS + 1], y[GLOW_SPLINE_MOST_BINS + 1], d[GLOW_SPLINE_MOST_BINS + 1];
  real width_share[GLOW_SPLINE_MOST_BINS], height_share[GLOW_SPLINE_MOST_BINS];
} exact_knots;

static void exact_shares(int32_t bins, const float *raw, real *share) {
  real most = (real)raw[0], sum = 0;
  for (int32_t i = 1; i < bins; i++)
    most = fmaxl(most, (real)raw[i]);
  for (int32_t i = 0; i < bins; i++)
    sum += share[i] = expl((real)raw[i] - most);
  for (int32_t i = 0; i < bins; i++)
    share[i] /= sum;
}

static void exact_places(const glow__spline *s, real least, const real *share, real *knot) {
  real sum = 0, bound = (real)s->bound;
  knot[0] = -bound;
  for (int32_t i = 0; i < s->bins; i++) {
    sum += least + (1 - least * s->bins) * share[i];
    knot[i + 1] = bound * (2 * sum - 1);
  }
  knot[s->bins] = bound;
}

static real exact_shift(const glow__spline *s) {
  return logl(expm1l(1 - (real)s->min_derivative));
}

static exact_knots exact_knots_of(const glow__spline *s, const float *raw) {
  exact_knots k;
  exact_shares(s->bins, raw, k.width_share);
  exact_shares(s->bins, raw + s->bins, k.height_share);
  exact_places(s, (real)s->min_width, k.width_share, k.x);
  exact_places(s, (real)s->min_height, k.height_share, k.y);
  k.d[0] = k.d[s->bins] = 1;
  for (int32_t i = 1; i < s->bins; i++) {
    real v = (real)raw[2 * s->bins + i - 1] + exact_shift(s);
    k.d[i] = (real)s->min_derivative + fmaxl(v, 0) + log1pl(expl(-fabsl(v)));
  }
  return k;
}

static int32_t exact_bin(const real *knot, int32_t bins, real v) {
  int32_t i = 0;
  while (i < bins - 1 && v >= knot[i + 1])
    i++;
  return i;
}

/* The letters of math/spline.h. */
typedef struct exact_point {
  real w, h, s, d0, d1, t, u, D, M, q;
} exact_point;

static exact_point exact_point_at(const exact_knots *k, int32_t i, real t) {
  exact_point e = {.w = k->x[i + 1] - k->x[i],
                   .h = k->y[i + 1] - k->y[i],
                   .d0 = k->d[i],
                   .d1 = k->d[i + 1],
                   .t = t,
                   .u = t * (1 - t)};
  e.s = e.h / e.w;
  e.D = e.s + (e.d1 + e.d0 - 2 * e.s) * e.u;
  e.M = e.d1 * t * t + 2 * e.s * e.u + e.d0 * (1 - t) * (1 - t);
  e.q = (e.s * t * t + e.d0 * e.u) / e.D;
  return e;
}

static exact_point exact_point_of(const glow__spline *s, const exact_knots *k, real x) {
  int32_t i = exact_bin(k->x, s->bins, x);
  return exact_point_at(k, i, (x - k->x[i]) / (k->x[i + 1] - k->x[i]));
}

static real exact_log(const exact_point *e) {
  return logl(e->s * e->s * e->M / (e->D * e->D));
}

static real exact_y(const glow__spline *s, const exact_knots *k, real x, real *log_slope) {
  exact_point e = exact_point_of(s, k, x);
  *log_slope = exact_log(&e);
  return k->y[exact_bin(k->x, s->bins, x)] + e.h * e.q;
}

static real exact_x(const glow__spline *s, const exact_knots *k, real y, real *log_slope) {
  int32_t i = exact_bin(k->y, s->bins, y);
  exact_point e = exact_point_at(k, i, 0);
  real above = y - k->y[i], bend = e.d1 + e.d0 - 2 * e.s;
  real a = e.h * (e.s - e.d0) + above * bend, b = e.h * e.d0 - above * bend, c = -e.s * above;
  e = exact_point_at(k, i, 2 * c / (-b - sqrtl(fmaxl(b * b - 4 * a * c, 0))));
  *log_slope = exact_log(&e);
  return k->x[i] + e.t * e.w;
}

static void exact_through(int32_t bins, real part, const real *share, int32_t at, real d_knot,
                          real d_size, real *d_raw) {
  real mean = d_size * share[at];
  for (int32_t i = 0; i < at; i++)
    mean += d_knot * share[i];
  for (int32_t i = 0; i < bins; i++)
    d_raw[i] = part * share[i] * ((i < at ? d_knot : i == at ? d_size : 0) - mean);
}

static real exact_gradient(const glow__spline *s, const float *raw, const exact_knots *k, real x,
                           real dy, real d_log, real *d_raw) {
  int32_t bins = s->bins, i = exact_bin(k->x, bins, x);
  exact_point e = exact_point_of(s, k, x);
  real t = e.t, v = 1 - t, u = e.u, D = e.D, M = e.M, q = e.q;
  real M_t = 2 * (e.d1 * t + e.s * (1 - 2 * t) - e.d0 * v);
  real D_t = (e.d1 + e.d0 - 2 * e.s) * (1 - 2 * t);
  real d_t = dy * e.h * e.s * M / (D * D) + d_log * (M_t / M - 2 * D_t / D);
  real d_s = dy * e.h * (t * t - q * (1 - 2 * u)) / D +
             d_log * (2 / e.s + 2 * u / M - 2 * (1 - 2 * u) / D);
  real d_0 = dy * e.h * u * (1 - q) / D + d_log * (v * v / M - 2 * u / D);
  real d_1 = -dy * e.h * u * q / D + d_log * (t * t / M - 2 * u / D);
  exact_through(bins, 2 * (real)s->bound * (1 - (real)s->min_width * bins), k->width_share, i,
                -d_t / e.w, -(d_t * t + d_s * e.s) / e.w, d_raw);
  exact_through(bins, 2 * (real)s->bound * (1 - (real)s->min_height * bins), k->height_share, i, dy,
                dy * q + d_s / e.w, d_raw + bins);
  for (int32_t j = 1; j < bins; j++) {
    real slope = 1 / (1 + expl(-((real)raw[2 * bins + j - 1] + exact_shift(s))));
    d_raw[2 * bins + j - 1] = (j == i ? d_0 : j == i + 1 ? d_1 : 0) * slope;
  }
  return d_t / e.w;
}

typedef struct error {
  double most, mean_square;
} error;

static void add_error(error *e, real v, int64_t count) {
  double size = fabs((double)v);
  e->most = size > e->most ? size : e->most;
  e->mean_square += size * size / (double)count;
}

enum { Y, X, LOG_Y, LOG_X, DX, D_RAW, ROUND_TRIP, ERRORS };
static const char *const error_names[] = {"y / B",           "x / B",
                                          "log-slope of y",  "log-slope of x",
                                          "gradient of x",   "gradient of the parameters",
                                          "x -> y -> x, / B"};

/* Errors of gradients are relative to 1 + the gradient's size; what comes back is weighted by the
 * slope where that is below 1, since the rounding of y is divided by it. */
static void measure_errors(const provider *p, const splines *s, error *e) {
  results r = results_of(p, s);
  float *back = array(s->n, sizeof *back);
  double *slope = array(s->n, sizeof *slope);
  p->kernels->splines.inverse(&s->spline, s->n, s->raw, r.y, back, slope);
  for (int64_t i = 0; i < s->n; i++) {
    const float *raw = s->raw + i * s->numbers;
    exact_knots k = exact_knots_of(&s->spline, raw);
    real x = (real)s->x[i], bound = (real)s->spline.bound, log_slope, d_raw[MOST_NUMBERS];
    add_error(&e[Y], ((real)r.y[i] - exact_y(&s->spline, &k, x, &log_slope)) / bound, s->n);
    add_error(&e[LOG_Y], (real)r.log_slope[i] - log_slope, s->n);
    add_error(&e[X], ((real)r.back[i] - exact_x(&s->spline, &k, x, &log_slope)) / bound, s->n);
    add_error(&e[LOG_X], (real)r.log_back[i] - log_slope, s->n);
    add_error(&e[ROUND_TRIP], ((real)back[i] - x) * fminl(1, expl((real)slope[i])) / bound, s->n);
    real dx = exact_gradient(&s->spline, raw, &k, x, (real)s->dy[i], (real)s->d_log[i], d_raw);
    add_error(&e[DX], ((real)r.dx[i] - dx) / (1 + fabsl(dx)), s->n);
    for (int64_t j = 0; j < s->numbers; j++)
      add_error(&e[D_RAW], ((real)r.d_raw[i * s->numbers + j] - d_raw[j]) / (1 + fabsl(d_raw[j])),
                s->n * s->numbers);
  }
}

/* Of splines that were computed one by one, with exponentials rounded to float32: the largest error
 * and the root of the mean square, on the same numbers. No kernel may be worse. */
static const struct error_case {
  int32_t bins, count;
  double bound, scale;
  error most[ROUND_TRIP]; /* of the others */
} error_cases[] = {
    {8,
     4000,
     4,
     1,
     {{1.08e-07, 1.77e-08},
      {1.23e-07, 1.78e-08},
      {1.06e-06, 1.06e-07},
      {1.77e-06, 1.13e-07},
      {4.61e-06, 2.19e-07},
      {5.12e-06, 8.42e-08}}},
    {8,
     4000,
     4,
     3,
     {{6.90e-07, 2.99e-08},
      {1.08e-06, 2.96e-08},
      {3.94e-05, 8.10e-07},
      {1.67e-05, 5.20e-07},
      {3.29e-05, 8.86e-07},
      {3.45e-05, 4.07e-07}}},
    {8,
     4000,
     4,
     10,
     {{1.28e-06, 3.17e-08},
      {6.31e-07, 2.20e-08},
      {3.01e-05, 8.87e-07},
      {4.13e-05, 9.11e-07},
      {1.68e-04, 3.47e-06},
      {1.69e-04, 1.34e-06}}},
    {64,
     1000,
     10,
     1,
     {{5.07e-08, 1.67e-08},
      {5.21e-08, 1.68e-08},
      {3.95e-06, 3.16e-07},
      {3.96e-06, 3.54e-07},
      {7.24e-06, 8.40e-07},
      {5.59e-06, 1.82e-07}}},
    {64,
     1000,
     10,
     3,
     {{1.57e-07, 1.95e-08},
      {1.11e-07, 1.83e-08},
      {1.00e-05, 1.12e-06},
      {3.68e-05, 1.95e-06},
      {5.75e-04, 1.83e-05},
      {5.76e-04, 3.94e-06}}},
    {64,
     1000,
     10,
     10,
     {{9.09e-07, 3.57e-08},
      {8.80e-08, 1.86e-08},
      {1.30e-04, 5.77e-06},
      {3.58e-05, 2.45e-06},
      {1.36e-04, 6.63e-06},
      {1.37e-04, 2.03e-06}}},
};
enum { ERROR_CASES = sizeof error_cases / sizeof *error_cases };

/* Where the roundings of y and x happen to fall, whatever the splines: the largest of all cases. */
static const error most_of_round_trip = {9.0e-08, 1.9e-08};

/* Where long double is computed by software, a part of the splines has to do. */
enum { SHARE = LDBL_MANT_DIG > 64 ? 16 : 1 };

/* The same numbers in each run, or the figures above would not be theirs. */
static double fixed(uint64_t *state) {
  *state = *state * 6364136223846793005u + 1442695040888963407u;
  return 2 * (double)(*state >> 11) * 0x1p-53 - 1;
}

static void check_errors(const provider *p) {
  uint64_t state = 1;
  for (int c = 0; c < ERROR_CASES; c++) {
    const struct error_case *k = &error_cases[c];
    splines s = {.spline = glow__spline_of(k->bins, k->bound, 1e-3, 1e-3, 1e-3),
                 .n = k->count / SHARE,
                 .numbers = 3 * (int64_t)k->bins - 1};
    error got[ERRORS] = {{0, 0}};
    s.raw = array(s.n * s.numbers, sizeof *s.raw);
    s.x = array(s.n, sizeof *s.x);
    s.dy = array(s.n, sizeof *s.dy);
    s.d_log = array(s.n, sizeof *s.d_log);
    for (int64_t i = 0; i < s.n; i++) {
      for (int64_t j = 0; j < s.numbers; j++)
        s.raw[i * s.numbers + j] = (float)(k->scale * fixed(&state));
      s.x[i] = (float)(k->bound * fixed(&state));
      s.dy[i] = 0.8f;
      s.d_log[i] = -1.3;
    }
    measure_errors(p, &s, got);
    for (int i = 0; i < ERRORS; i++) {
      const error *most = i == ROUND_TRIP ? &most_of_round_trip : &k->most[i];
      if (!(got[i].most <= most->most && sqrt(got[i].mean_square) <= most->mean_square))
        fail("%d bins, parameters to %g: the error of %s is %.3e at most and %.3e rms, not within "
             "%.3e and %.3e",
             (int)k->bins, k->scale, error_names[i], got[i].most, sqrt(got[i].mean_square),
             most->most, most->mean_square);
    }
  }
}

/* ---- timing ---------------------------------------------------------------------------------- */

enum { BENCH = 384, BENCH_BINS = 8 }; /* 128 samples of three splines */

typedef struct timed {
  const glow__splines *k;
  splines s;
  float *y, *d_raw;
  double *log_slope;
} timed;

static timed timed_of(const provider *p) {
  timed t = {.k = &p->kernels->splines,
             .s = {.spline = glow__spline_of(BENCH_BINS, 4, 1e-3, 1e-3, 1e-3),
                   .n = BENCH,
                   .numbers = 3 * BENCH_BINS - 1},
             .y = array(BENCH, sizeof(float)),
             .d_raw = array(BENCH * (3 * BENCH_BINS - 1), sizeof(float)),
             .log_slope = array(BENCH, sizeof(double))};
  t.s.raw = numbers(BENCH * t.s.numbers);
  t.s.x = numbers(BENCH);
  t.s.dy = numbers(BENCH);
  t.s.d_log = array(BENCH, sizeof *t.s.d_log);
  memset(t.s.d_log, 0, BENCH * sizeof *t.s.d_log);
  return t;
}

static void call_forward(const void *arg) {
  const timed *t = arg;
  t->k->forward(&t->s.spline, BENCH, t->s.raw, t->s.x, t->y, t->log_slope);
}
static void call_inverse(const void *arg) {
  const timed *t = arg;
  t->k->inverse(&t->s.spline, BENCH, t->s.raw, t->s.x, t->y, t->log_slope);
}
static void call_gradient(const void *arg) {
  const timed *t = arg;
  t->k->gradient(&t->s.spline, BENCH, t->s.raw, t->s.x, t->s.dy, t->s.d_log, t->y, t->d_raw);
}

static void call_inverse_gradient(const void *arg) {
  const timed *t = arg;
  t->k->inverse_gradient(&t->s.spline, BENCH, t->s.raw, t->s.x, t->s.dy, t->s.d_log, t->y,
                         t->d_raw);
}

static void bench(const provider *p, void (*call)(const void *arg), int64_t arrays) {
  timed t = timed_of(p);
  bench_case("384 splines of 8 bins",
             (bench_work){.bytes = (double)(arrays * BENCH * t.s.numbers * 4)}, call, &t);
}

static void bench_forward(const provider *p) {
  bench(p, call_forward, 1);
}
static void bench_inverse(const provider *p) {
  bench(p, call_inverse, 1);
}
static void bench_gradient(const provider *p) {
  bench(p, call_gradient, 2);
}
static void bench_inverse_gradient(const provider *p) {
  bench(p, call_inverse_gradient, 2);
}

#define SLOT(member) offsetof(glow__kernels, splines.member)
const row spline_rows[MOST_ROWS] = {
    {"spline_forward", SLOT(forward), 60, check_splines, bench_forward},
    {"spline places", SLOT(forward), 60, check_spline_places, NULL},
    {"spline tails", SLOT(forward), 20, check_tails, NULL},
    {"spline ends", SLOT(forward), 20, check_ends, NULL},
    {"spline extremes", SLOT(forward), 20, check_extremes, NULL},
    {"spline errors", SLOT(forward), 1, check_errors, NULL},
    {"spline_inverse", SLOT(inverse), 20, check_splines, bench_inverse},
    {"spline_gradient", SLOT(gradient), 20, check_splines, bench_gradient},
    {"spline_inverse_gradient", SLOT(inverse_gradient), 20, check_inverse_gradient,
     bench_inverse_gradient},
};
