/* Arrays of splines with vector types: one source for all instruction sets, included with
 * SIMD_WIDTH defined. It ends with fill_splines. Each lane of a vector of doubles has a spline of
 * its own, so that its results do not depend on its neighbours. Formulas: math/spline.h; here x and
 * y are in units of the interval, from 0 to 1, so that knots are sums of shares. Compiled with
 * -ffp-contract=fast: a * b + c is one fused multiply-add.
 *
 * A bin is searched by comparing with each knot and keeping the last one that is not above. Of the
 * derivatives, only those at the two knots of that bin are computed.
 *
 * Splines are worked on in groups, each step for all of a group before the next. Steps are short,
 * so that several vectors are under way at the same time; and what was written element by element
 * is read as vectors only much later, since a processor that has to put a vector together from
 * stores that are not finished waits until they are.
 *
 * exp is within 2e-9, a thirtieth of what rounding to float costs, and log within 2e-12.
 * SPDX-License-Identifier: MIT */
#include <stdbool.h>

#include "math/doubles_simd.h"
#include "math/spline.h"

/* ---- exp and log ----------------------------------------------------------------------------- */

/* 2^x for x <= 0; what is below -1000 counts as that, and is nothing beside the largest of a
 * softmax. x = n + f, |f| <= 1/2, and 2^f = 1 + f p(f) by the polynomial of least relative error
 * (Remez). */
LANES dvec spline_exp2(dvec x) {
  const double round = 0x1.8p52; /* adding it leaves an integer in the low bits */
  x = larger(each(-1000.0), x);
  dvec t = x + round, f = x - (t - round);
  dvec p = f * 0x1.41fbbbfdd9a4fp-13 + 0x1.5f3e52f2956cap-10;
  p = p * f + 0x1.3b2d4cf1c2fbep-7;
  p = p * f + 0x1.c6aee88e93573p-5;
  p = p * f + 0x1.ebfbdc3c30974p-3;
  p = p * f + 0x1.62e430af27107p-1;
  p = p * f + 1.0;
  return (dvec)((luvec)p + ((luvec)t << 52));
}

#define SPLINE_LOG2_E 0x1.71547652b82fep0
#define SPLINE_LOG_2 0x1.62e42fefa39efp-1

/* log(1 + f), where u is 1 + f as rounded. u = m 2^k with m in [sqrt(1/2), sqrt(2)), and log m = 2
 * artanh g by its series to g^13, g = (m - 1) / (m + 1). Where k is 0, m - 1 is f itself. */
LANES dvec spline_log1p(dvec f, dvec u) {
  const uint64_t root_half = 0x3fe6a09e667f3bcd, one = 0x3ff0000000000000;
  luvec i = (luvec)u + (one - root_half);
  dvec m = (dvec)((i & 0xfffffffffffff) + root_half);
  dvec k = (dvec)((i >> 52) | 0x4330000000000000) - (0x1p52 + 1023);
  f = choose(equal(k, each(0.0)), f, m - 1.0);
  dvec g = f / (f + 2.0), z = g * g;
  dvec p = z * (2.0 / 13) + 2.0 / 11;
  p = p * z + 2.0 / 9;
  p = p * z + 2.0 / 7;
  p = p * z + 2.0 / 5;
  p = p * z + 2.0 / 3;
  p = (p * z) * g + 2.0 * g;
  return k * SPLINE_LOG_2 + p;
}

/* -infinity for what is too small for a normal number; NaN for NaN. */
LANES dvec spline_log(dvec u) {
  return choose(at_least(u, each(0x1p-1022)), spline_log1p(u - 1.0, u), u - __builtin_inf());
}

/* ---- groups of splines ----------------------------------------------------------------------- */

/* Room for a group's widths and heights; with few bins, MOST splines. Its lanes are a multiple of
 * UNIT; those past the end repeat the last spline. */
enum { SPLINE_ROOM = 1024, SPLINE_MOST = 64, SPLINE_UNIT = 8 };

typedef struct spline_group {
  const glow__spline *spline;
  const float *raw;
  int64_t count, lanes;
  float place[SPLINE_MOST];        /* where the splines are evaluated */
  float rows[SPLINE_ROOM / 2 * 3]; /* raw widths and heights [2K, lanes]; gradients [3K-1, lanes] */
  double e[SPLINE_ROOM];           /* exponentials of widths and heights */
  double width_scale[SPLINE_MOST], height_scale[SPLINE_MOST]; /* that make shares of them */
  double v[SPLINE_MOST];                                      /* where the splines are evaluated */
  double at[SPLINE_MOST];                                     /* the bin of v, */
  double x[SPLINE_MOST], y[SPLINE_MOST];                      /* its left knot */
  double w[SPLINE_MOST], h[SPLINE_MOST];                      /* and sizes; */
  float u0[SPLINE_MOST], u1[SPLINE_MOST];                     /* raw derivatives at both knots, */
  double d0[SPLINE_MOST], d1[SPLINE_MOST];                    /* the derivatives, */
  double slope0[SPLINE_MOST], slope1[SPLINE_MOST];            /* and theirs by the raw ones */
} __attribute__((aligned(64))) spline_group;

#define SPLINE_EACH_VECTOR(l, g) for (int64_t l = 0; l < (g)->lanes; l += DOUBLES)

/* How many splines the next group has when `left` are left. */
LANES int64_t spline_group_size(const glow__spline *spline, int64_t left) {
  int64_t most = SPLINE_ROOM / (2 * spline->bins) / SPLINE_UNIT * SPLINE_UNIT;
  most = most < SPLINE_MOST ? most : SPLINE_MOST;
  return left < most ? left : most;
}

LANES const float *spline_raw_of(const spline_group *g, int64_t lane) {
  int64_t i = lane < g->count ? lane : g->count - 1;
  return g->raw + i * glow__spline_numbers(g->spline);
}

typedef float quad __attribute__((vector_size(16)));
typedef float unit __attribute__((vector_size(SPLINE_UNIT * 4)));
typedef int32_t unit_mask __attribute__((vector_size(SPLINE_UNIT * 4)));

/* to[i][j] = from[j][i], 4 x 4 */
LANES void spline_turn(const float *const *from, float *const *to) {
  quad a, b, c, d;
  memcpy(&a, from[0], sizeof a);
  memcpy(&b, from[1], sizeof b);
  memcpy(&c, from[2], sizeof c);
  memcpy(&d, from[3], sizeof d);
  quad ac = __builtin_shufflevector(a, c, 0, 4, 1, 5);
  quad bd = __builtin_shufflevector(b, d, 0, 4, 1, 5);
  quad ac2 = __builtin_shufflevector(a, c, 2, 6, 3, 7);
  quad bd2 = __builtin_shufflevector(b, d, 2, 6, 3, 7);
  a = __builtin_shufflevector(ac, bd, 0, 4, 1, 5);
  b = __builtin_shufflevector(ac, bd, 2, 6, 3, 7);
  c = __builtin_shufflevector(ac2, bd2, 0, 4, 1, 5);
  d = __builtin_shufflevector(ac2, bd2, 2, 6, 3, 7);
  memcpy(to[0], &a, sizeof a);
  memcpy(to[1], &b, sizeof b);
  memcpy(to[2], &c, sizeof c);
  memcpy(to[3], &d, sizeof d);
}

/* Where a step of 4 rows begins so that it ends with the last of `rows`, 4 or more. */
LANES int64_t spline_step(int64_t i, int64_t rows) {
  return i < rows - 4 ? i : rows - 4;
}

/* Raw widths and heights to rows, one spline in each column. */
LANES void spline_read_sizes(spline_group *g) {
  const int64_t rows = 2 * (int64_t)g->spline->bins, lanes = g->lanes;
  for (int64_t l = 0; l < lanes; l += 4) {
    const float *raw[] = {spline_raw_of(g, l), spline_raw_of(g, l + 1), spline_raw_of(g, l + 2),
                          spline_raw_of(g, l + 3)};
    for (int64_t i = 0; i < rows; i += 4) {
      int64_t at = spline_step(i, rows);
      const float *from[] = {raw[0] + at, raw[1] + at, raw[2] + at, raw[3] + at};
      float *to = g->rows + at * lanes + l;
      spline_turn(from, (float *const[]){to, to + lanes, to + 2 * lanes, to + 3 * lanes});
    }
  }
}

/* Reads what there is for each spline; lanes past the end repeat the last one. */
LANES void spline_read(const spline_group *g, const float *from, float *to) {
  memcpy(to, from, (size_t)g->count * sizeof *to);
  for (int64_t l = g->count; l < g->lanes; l++)
    to[l] = from[g->count - 1];
}

/* Not in the tails; NaN counts as that. */
LANES dmask spline_inside(const spline_group *g, int64_t l) {
  dvec v = floats_at(g->place + l), bound = each(g->spline->bound);
  return below(larger(v, -v), bound);
}

/* ---- bins ------------------------------------------------------------------------------------ */

/* The largest of rows [first, first + K), lane by lane. */
LANES void spline_largest(const spline_group *g, int64_t first, float *largest) {
  const int64_t bins = g->spline->bins, lanes = g->lanes;
  for (int64_t l = 0; l < lanes; l += SPLINE_UNIT) {
    const float *rows = g->rows + first * lanes + l;
    unit most, next;
    memcpy(&most, rows, sizeof most);
    for (int64_t i = 1; i < bins; i++) {
      memcpy(&next, rows + i * lanes, sizeof next);
      unit_mask above = next > most;
      most = (unit)((above & (unit_mask)next) | (~above & (unit_mask)most));
    }
    memcpy(largest + l, &most, sizeof most);
  }
}

/* Softmax over rows [first, first + K) for the vector at lane l, as exponentials; returns what
 * makes them shares of what the least sizes leave. */
LANES dvec spline_shares(spline_group *g, int64_t first, double least, const float *largest,
                         int64_t l) {
  const int64_t bins = g->spline->bins, lanes = g->lanes;
  const float *rows = g->rows + first * lanes + l;
  double *e = g->e + first * lanes + l;
  dvec most = floats_at(largest + l) * SPLINE_LOG2_E, sum = {0};
  for (int64_t i = 0; i < bins; i++) {
    dvec part = spline_exp2(floats_at(rows + i * lanes) * SPLINE_LOG2_E - most);
    put_doubles(e + i * lanes, part);
    sum += part;
  }
  return (1.0 - least * (double)bins) / sum;
}

/* The bin of v, which is a y if `inverse`, for the vector at lane l. The last bin ends at 1. */
LANES void spline_search(spline_group *g, bool inverse, dvec width_scale, dvec height_scale,
                         int64_t l) {
  const glow__spline *spline = g->spline;
  const int64_t bins = spline->bins, lanes = g->lanes;
  const double *e = g->e + l;
  const dvec zero = {0}, v = doubles_at(g->v + l);
  dvec x = zero, y = zero, left = zero, low = zero, width = zero, height = zero;
  dvec bin = zero, at = zero;
  for (int64_t i = 0; i < bins; i++, e += lanes) {
    bool last = i == bins - 1;
    dvec w = last ? 1.0 - x : doubles_at(e) * width_scale + spline->min_width;
    dvec h = last ? 1.0 - y : doubles_at(e + bins * lanes) * height_scale + spline->min_height;
    dmask here = at_least(v, inverse ? y : x);
    at = choose(here, bin, at);
    left = choose(here, x, left);
    low = choose(here, y, low);
    width = choose(here, w, width);
    height = choose(here, h, height);
    bin += 1.0;
    x += w;
    y += h;
  }
  put_doubles(g->at + l, at);
  put_doubles(g->x + l, left);
  put_doubles(g->y + l, low);
  put_doubles(g->w + l, width);
  put_doubles(g->h + l, height);
}

LANES void spline_find_bins(spline_group *g, bool inverse) {
  const glow__spline *spline = g->spline;
  float width[SPLINE_MOST], height[SPLINE_MOST];
  spline_largest(g, 0, width);
  spline_largest(g, spline->bins, height);
  SPLINE_EACH_VECTOR(l, g) {
    dvec v = floats_at(g->place + l) * (0.5 / spline->bound) + 0.5;
    put_doubles(g->v + l, choose(spline_inside(g, l), v, each(0.5)));
    dvec width_scale = spline_shares(g, 0, spline->min_width, width, l);
    dvec height_scale = spline_shares(g, spline->bins, spline->min_height, height, l);
    put_doubles(g->width_scale + l, width_scale);
    put_doubles(g->height_scale + l, height_scale);
    spline_search(g, inverse, width_scale, height_scale, l);
  }
}

/* ---- derivatives at the knots ---------------------------------------------------------------- */

/* At the ends of the interval anything is read in place of a raw derivative, which is 0 there. */
LANES void spline_find_derivatives(spline_group *g) {
  const int64_t last = g->spline->bins - 1;
  for (int64_t l = 0; l < g->lanes; l++) {
    const float *u = spline_raw_of(g, l) + 2 * last + 1; /* of inner knot k at u[k] */
    int64_t at = (int64_t)g->at[l];
    g->u0[l] = u[at > 0 ? at : 1];
    g->u1[l] = u[at < last ? at + 1 : last];
  }
}

/* d = m + softplus(u + c) = m + max(u, 0) + log(1 + exp(c) e) if u < 0, or log(e + exp(c)) if not,
 * with e = exp(-|u|); its derivative is the logistic function of u + c. */
LANES dvec spline_derivative(const glow__spline *spline, dvec u, dvec *slope) {
  const dvec zero = {0}, growth = each(spline->growth);
  dmask right = at_least(u, zero);
  dvec e = spline_exp2(choose(right, -u, u) * SPLINE_LOG2_E);
  dvec more = choose(right, growth, growth * e), sum = more + choose(right, e, each(1.0));
  *slope = more / sum;
  dvec f = choose(right, sum - 1.0, more);
  return choose(right, u, zero) + spline_log1p(f, sum) + spline->min_derivative;
}

/* slopes: they are wanted, too. */
LANES void spline_make_derivatives(spline_group *g, bool slopes) {
  const dvec zero = {0}, last = each(g->spline->bins - 1);
  SPLINE_EACH_VECTOR(l, g) {
    dvec at = doubles_at(g->at + l), slope0, slope1;
    dvec u0 = choose(at_least(at, each(1.0)), floats_at(g->u0 + l), zero);
    dvec u1 = choose(at_least(at, last), zero, floats_at(g->u1 + l));
    put_doubles(g->d0 + l, spline_derivative(g->spline, u0, &slope0));
    put_doubles(g->d1 + l, spline_derivative(g->spline, u1, &slope1));
    if (slopes) {
      put_doubles(g->slope0 + l, slope0);
      put_doubles(g->slope1 + l, slope1);
    }
  }
}

/* All of this for `count` splines at v, y's if `inverse`. */
LANES void spline_begin(spline_group *g, const glow__spline *spline, int64_t count,
                        const float *raw, const float *v, bool inverse, bool slopes) {
  g->spline = spline;
  g->raw = raw;
  g->count = count;
  g->lanes = (count + SPLINE_UNIT - 1) / SPLINE_UNIT * SPLINE_UNIT;
  spline_read_sizes(g);
  spline_read(g, v, g->place);
  spline_find_bins(g, inverse);
  spline_find_derivatives(g);
  spline_make_derivatives(g, slopes);
}

/* A vector of bins. */
typedef struct spline_bin {
  dvec v, x, y, w, h, d0, d1;
  dvec per_width, s; /* 1 / w, h / w */
} spline_bin;

LANES spline_bin spline_bin_at(const spline_group *g, int64_t l) {
  spline_bin b = {.v = doubles_at(g->v + l),
                  .x = doubles_at(g->x + l),
                  .y = doubles_at(g->y + l),
                  .w = doubles_at(g->w + l),
                  .h = doubles_at(g->h + l),
                  .d0 = doubles_at(g->d0 + l),
                  .d1 = doubles_at(g->d1 + l)};
  b.per_width = 1.0 / b.w;
  b.s = b.h * b.per_width;
  return b;
}

/* ---- both ways ------------------------------------------------------------------------------- */

/* N / (h D), the share of the height that is reached at t, and log dy/dx there. */
LANES dvec spline_reach(const spline_bin *b, dvec t, dvec *log_slope) {
  dvec rest = 1.0 - t, u = t * rest;
  dvec reciprocal = 1.0 / (b->s + (b->d1 + b->d0 - 2.0 * b->s) * u), ratio = b->s * reciprocal;
  dvec M = b->d1 * t * t + 2.0 * b->s * u + b->d0 * rest * rest;
  *log_slope = spline_log(ratio * ratio * M);
  return (b->s * t * t + b->d0 * u) * reciprocal;
}

/* y and log dy/dx. */
LANES dvec spline_upwards(const spline_bin *b, dvec *log_slope) {
  return b->y + b->h * spline_reach(b, (b->v - b->x) * b->per_width, log_slope);
}

/* x: a t^2 + b t + c = 0 in the form that does not cancel, t = 2c / (-b - sqrt(b^2 - 4ac)). Here b
 * > 0 >= c, and the discriminant is a square except for rounding. */
LANES dvec spline_downwards(const spline_bin *n, dvec *log_slope) {
  const dvec zero = {0};
  dvec above = n->v - n->y, part = above * (n->d1 + n->d0 - 2.0 * n->s);
  dvec a = n->h * (n->s - n->d0) + part, b = n->h * n->d0 - part, c = -n->s * above;
  dvec t = 2.0 * c / (-b - root(larger(zero, b * b - 4.0 * a * c)));
  t = smaller(each(1.0), larger(zero, t));
  spline_reach(n, t, log_slope);
  return n->x + t * n->w;
}

LANES void spline_change(const glow__spline *spline, int64_t count, const float *raw,
                         const float *from, float *to, double *log_slope, bool inverse) {
  spline_group g;
  double slopes[SPLINE_MOST];
  spline_begin(&g, spline, count, raw, from, inverse, false);
  SPLINE_EACH_VECTOR(l, &g) {
    const dmask inside = spline_inside(&g, l);
    spline_bin b = spline_bin_at(&g, l);
    dvec slope, v = inverse ? spline_downwards(&b, &slope) : spline_upwards(&b, &slope);
    v = v * (2.0 * spline->bound) - spline->bound;
    put_floats(g.place + l, choose(inside, v, floats_at(g.place + l)));
    put_doubles(slopes + l, choose(inside, slope, each(0.0)));
  }
  memcpy(to, g.place, (size_t)count * sizeof *to);
  memcpy(log_slope, slopes, (size_t)count * sizeof *log_slope);
}

/* ---- gradient -------------------------------------------------------------------------------- */

/* Gradients of the left knot and of both sizes of a bin, and of its derivatives. */
typedef struct spline_slopes {
  dvec x, w, y, h, d0, d1;
} spline_slopes;

/* Of dy * y + d_log * log dy/dx at v. */
LANES spline_slopes spline_differentiate(const spline_bin *b, dvec dy, dvec d_log) {
  dvec s = b->s, t = (b->v - b->x) * b->per_width, rest = 1.0 - t, u = t * rest;
  dvec turn = 1.0 - 2.0 * t, flat = 1.0 - 2.0 * u, bend = b->d1 + b->d0 - 2.0 * s;
  dvec M = b->d1 * t * t + 2.0 * s * u + b->d0 * rest * rest;
  dvec per_D = 1.0 / (s + bend * u), per_M = 1.0 / M, dy_h = dy * b->h * per_D;
  dvec q = (s * t * t + b->d0 * u) * per_D;
  dvec M_t = 2.0 * (b->d1 * t + s * turn - b->d0 * rest), D_t = bend * turn;
  dvec d_t = dy_h * s * M * per_D + d_log * (M_t * per_M - 2.0 * D_t * per_D);
  dvec d_s = dy_h * (t * t - q * flat) + d_log * (2.0 / s + 2.0 * u * per_M - 2.0 * flat * per_D);
  return (spline_slopes){.x = -d_t * b->per_width, /* t = (x - x_k) / w and s = h / w */
                         .w = -(d_t * t + d_s * s) * b->per_width,
                         .y = dy,
                         .h = dy * q + d_s * b->per_width,
                         .d0 =
                             dy_h * u * (1.0 - q) + d_log * (rest * rest * per_M - 2.0 * u * per_D),
                         .d1 = -dy_h * u * q + d_log * (t * t * per_M - 2.0 * u * per_D)};
}

/* The left knot moves with the sizes before it; then back through the softmax of rows [first, first
 * + K), whose shares are e * scale. knot, size: those of the bin, with their gradients. */
LANES void spline_through_shares(spline_group *g, int64_t first, double least, dvec scale,
                                 dvec knot, dvec size, dvec d_knot, dvec d_size, int64_t l) {
  const int64_t bins = g->spline->bins, lanes = g->lanes;
  const dvec zero = {0}, at = doubles_at(g->at + l);
  dvec mean = d_size * (size - least) + d_knot * (knot - at * least);
  mean = mean * (1.0 / (1.0 - least * (double)bins));
  for (int64_t i = first; i < first + bins; i++) {
    dvec bin = each((double)(i - first));
    dvec d = choose(at_least(bin, at), choose(equal(bin, at), d_size, zero), d_knot);
    put_floats(g->rows + i * lanes + l, doubles_at(g->e + i * lanes + l) * scale * (d - mean));
  }
}

LANES void spline_through_derivatives(spline_group *g, const spline_slopes *d, int64_t l) {
  const int64_t bins = g->spline->bins;
  const dvec zero = {0}, at = doubles_at(g->at + l);
  const dvec first = d->d0 * doubles_at(g->slope0 + l), second = d->d1 * doubles_at(g->slope1 + l);
  float *rows = g->rows + (2 * bins - 1) * g->lanes + l; /* of knot 1 in row 1 */
  for (int64_t knot = 1; knot < bins; knot++) {
    dvec before = choose(equal(at, each((double)(knot - 1))), second, zero);
    put_floats(rows + knot * g->lanes, choose(equal(at, each((double)knot)), first, before));
  }
}

LANES void spline_through_raw(spline_group *g, const spline_bin *b, const spline_slopes *d,
                              int64_t l) {
  const glow__spline *spline = g->spline;
  spline_through_shares(g, 0, spline->min_width, doubles_at(g->width_scale + l), b->x, b->w, d->x,
                        d->w, l);
  spline_through_shares(g, spline->bins, spline->min_height, doubles_at(g->height_scale + l), b->y,
                        b->h, d->y, d->h, l);
  spline_through_derivatives(g, d, l);
}

/* Rows back to one spline after the other. In the tails nothing moves y. */
LANES void spline_write_raw(const spline_group *g, float *d_raw) {
  const int64_t rows = glow__spline_numbers(g->spline), lanes = g->lanes;
  float unused[3 * GLOW_SPLINE_MOST_BINS];
  for (int64_t l = 0; l < g->count; l += 4) {
    float *raw[4];
    for (int64_t j = 0; j < 4; j++)
      raw[j] = l + j < g->count ? d_raw + (l + j) * rows : unused;
    for (int64_t i = 0; i < rows; i += 4) {
      int64_t at = spline_step(i, rows);
      const float *from = g->rows + at * lanes + l;
      spline_turn((const float *const[]){from, from + lanes, from + 2 * lanes, from + 3 * lanes},
                  (float *const[]){raw[0] + at, raw[1] + at, raw[2] + at, raw[3] + at});
    }
  }
  for (int64_t l = 0; l < g->count; l++)
    if (!(fabs((double)g->place[l]) < g->spline->bound))
      memset(d_raw + l * rows, 0, (size_t)rows * sizeof *d_raw);
}

/* y is 2B units, so its gradient in units is 2B dy. */
LANES void spline_gradient(const glow__spline *spline, int64_t count, const float *raw,
                           const float *x, const float *dy, const double *d_log, float *dx,
                           float *d_raw) {
  const double units = 2.0 * spline->bound;
  spline_group g;
  float d[SPLINE_MOST];
  double weight[SPLINE_MOST] = {0};
  spline_begin(&g, spline, count, raw, x, false, true);
  spline_read(&g, dy, d);
  memcpy(weight, d_log, (size_t)count * sizeof *weight);
  SPLINE_EACH_VECTOR(l, &g) {
    spline_bin b = spline_bin_at(&g, l);
    dvec d_y = floats_at(d + l);
    spline_slopes slopes = spline_differentiate(&b, d_y * units, doubles_at(weight + l));
    put_floats(d + l, choose(spline_inside(&g, l), slopes.x * (-1.0 / units), d_y));
    if (d_raw)
      spline_through_raw(&g, &b, &slopes, l);
  }
  memcpy(dx, d, (size_t)count * sizeof *dx);
  if (d_raw)
    spline_write_raw(&g, d_raw);
}

/* v, as in glow__splines; in the tails y = x. */
LANES dvec spline_turned(const spline_bin *b, dvec dx, dvec d_log, double units, dmask inside) {
  dvec slope = spline_differentiate(b, each(units), each(0.0)).x * (-1.0 / units);
  dvec bend = spline_differentiate(b, each(0.0), d_log).x * (-1.0 / units);
  return choose(inside, -(dx + bend) / slope, -dx);
}

LANES void spline_inverse_gradient(const glow__spline *spline, int64_t count, const float *raw,
                                   const float *x, const float *dx, const double *d_log, float *dy,
                                   float *d_raw) {
  const double units = 2.0 * spline->bound;
  spline_group g;
  float d[SPLINE_MOST];
  double weight[SPLINE_MOST] = {0};
  spline_begin(&g, spline, count, raw, x, false, true);
  spline_read(&g, dx, d);
  memcpy(weight, d_log, (size_t)count * sizeof *weight);
  SPLINE_EACH_VECTOR(l, &g) {
    spline_bin b = spline_bin_at(&g, l);
    dvec w = doubles_at(weight + l);
    dvec v = spline_turned(&b, floats_at(d + l), w, units, spline_inside(&g, l));
    spline_slopes slopes = spline_differentiate(&b, v * units, w);
    put_floats(d + l, -v);
    spline_through_raw(&g, &b, &slopes, l);
  }
  memcpy(dy, d, (size_t)count * sizeof *dy);
  spline_write_raw(&g, d_raw);
}

/* ---- arrays ---------------------------------------------------------------------------------- */

#define SPLINE_EACH_GROUP(i, n, count)                                                             \
  for (int64_t i = 0, count; i < (n) && (count = spline_group_size(spline, (n)-i)) > 0; i += count)

static void spline_forward_array(const glow__spline *spline, int64_t n, const float *raw,
                                 const float *x, float *y, double *log_slope) {
  const int64_t numbers = glow__spline_numbers(spline);
  SPLINE_EACH_GROUP(i, n, count)
  spline_change(spline, count, raw + i * numbers, x + i, y + i, log_slope + i, false);
}

static void spline_inverse_array(const glow__spline *spline, int64_t n, const float *raw,
                                 const float *y, float *x, double *log_slope) {
  const int64_t numbers = glow__spline_numbers(spline);
  SPLINE_EACH_GROUP(i, n, count)
  spline_change(spline, count, raw + i * numbers, y + i, x + i, log_slope + i, true);
}

static void spline_gradient_array(const glow__spline *spline, int64_t n, const float *raw,
                                  const float *x, const float *dy, const double *d_log, float *dx,
                                  float *d_raw) {
  const int64_t numbers = glow__spline_numbers(spline);
  SPLINE_EACH_GROUP(i, n, count)
  spline_gradient(spline, count, raw + i * numbers, x + i, dy + i, d_log + i, dx + i,
                  d_raw ? d_raw + i * numbers : NULL);
}

static void spline_inverse_gradient_array(const glow__spline *spline, int64_t n, const float *raw,
                                          const float *x, const float *dx, const double *d_log,
                                          float *dy, float *d_raw) {
  const int64_t numbers = glow__spline_numbers(spline);
  SPLINE_EACH_GROUP(i, n, count)
  spline_inverse_gradient(spline, count, raw + i * numbers, x + i, dx + i, d_log + i, dy + i,
                          d_raw + i * numbers);
}

static void fill_splines(glow__splines *splines) {
  splines->forward = spline_forward_array;
  splines->inverse = spline_inverse_array;
  splines->gradient = spline_gradient_array;
  splines->inverse_gradient = spline_inverse_gradient_array;
}
