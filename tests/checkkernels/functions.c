/* Functions over arrays: against double precision, on values of every exponent and at the ends of
 * ranges, within the errors that math/functions.h states; and an element's bits do not depend on
 * its place. SPDX-License-Identifier: MIT */
#include <math.h>
#include <string.h>

#include "checkkernels/checkkernels.h"

enum { COUNT = 3000, EXP = 0, LOG, TANH, SOFTPLUS, SIGMOID };

static float of_bits(uint32_t bits) {
  float value;
  memcpy(&value, &bits, sizeof value);
  return value;
}

/* Ends of ranges; then values of any exponent; then the range where the functions are not flat. */
static float *arguments(int64_t count) {
  static const float edges[] = {0.0f,
                                -0.0f,
                                INFINITY,
                                -INFINITY,
                                NAN,
                                0x1p-149f,
                                -0x1p-149f,
                                0x1p-126f,
                                -0x1p-126f,
                                0x1.fffffep127f,
                                -0x1.fffffep127f,
                                1.0f,
                                -1.0f,
                                88.72283f,
                                88.72284f,
                                -87.3365f,
                                -103.97f,
                                -103.98f,
                                0.625f,
                                0x1.fffffep-1f,
                                0x1.000002p0f,
                                9.0f,
                                -20.0f,
                                16.7f,
                                0x1.6a09e6p-1f};
  const int64_t edge_count = sizeof edges / sizeof *edges;
  float *x = array(count, sizeof *x);
  for (int64_t i = 0; i < count; i++)
    x[i] = i < edge_count  ? edges[i]
           : i < count / 3 ? of_bits((uint32_t)(random_bits() >> 16))
                           : ((float)below(1 << 30) * 0x1p-29f - 1.0f) * (i % 3 ? 8.0f : 110.0f);
  return x;
}

/* Distance in units in the last place of what is exact, rounded to float; for subnormal values
 * their common unit. */
static double ulps(double exact, float got) {
  if (isnan(exact) || isnan(got))
    return isnan(exact) && isnan(got) ? 0 : INFINITY;
  float nearest = (float)exact;
  if (isinf(nearest) || isinf(got)) /* the largest float, where exact rounds to infinity: near */
    return nearest == got ? 0 : fabs(exact) < 0x1.0001p128 && fabsf(got) > 0x1.fffp127f ? 1 : 1e9;
  int exponent;
  frexp(exact, &exponent);
  return fabs(exact - (double)got) / ldexp(1.0, (exponent > -125 ? exponent : -125) - 24);
}

static double exact_softplus(double v) {
  return (v > 0 ? v : 0) + log1p(exp(-fabs(v)));
}
static double exact_sigmoid(double v) {
  return v >= 0 ? 1 / (1 + exp(-v)) : exp(v) / (1 + exp(v));
}
static double exact_complement(double v) {
  return exact_sigmoid(-v);
}
static double exact_log_sigmoid(double v) {
  return (v > 0 ? 0 : v) - log1p(exp(-fabs(v)));
}

static void check_within(const char *what, double most, const float *x, const float *got,
                         double (*exact)(double)) {
  for (int64_t i = 0; i < COUNT; i++) {
    double truth = exact((double)x[i]), error = ulps(truth, got[i]);
    if (!(error <= most))
      fail("%s of %a is %a, not %a: off by %.3f units in the last place", what, (double)x[i],
           (double)got[i], truth, error);
  }
}

static glow__function function_of(const provider *p, int which) {
  const glow__functions *f = &p->kernels->functions;
  const glow__function table[] = {f->exp, f->log, f->tanh, f->softplus};
  return table[which];
}

static void call(const provider *p, int which, int64_t n, const float *x, float *y) {
  if (which == SIGMOID)
    p->kernels->functions.sigmoid(n, x, y, NULL, NULL);
  else
    function_of(p, which)(n, x, y);
}

/* The bits of an element do not depend on where it stands and on how many there are; x and y may be
 * the same. */
static void check_places(const provider *p, int which) {
  enum { LENGTH = 100 };
  float *x = arguments(LENGTH), *y = array(LENGTH, sizeof *y);
  call(p, which, LENGTH, x, y);
  int64_t n = below(41), from = below(LENGTH - 40);
  float *part = array(n, sizeof *part), *in = copy_of(x + from, n, sizeof *x);
  call(p, which, n, in, part);
  same_bits("part", part, y + from, (size_t)n * sizeof *part);
  call(p, which, n, in, in);
  same_bits("in place", in, part, (size_t)n * sizeof *in);
}

static void check_function(const provider *p, int which, double most, double (*exact)(double)) {
  float *x = arguments(COUNT), *y = array(COUNT, sizeof *y);
  call(p, which, COUNT, x, y);
  check_within("value", most, x, y, exact);
  for (int i = 0; i < 10; i++)
    check_places(p, which);
}

static void check_exp(const provider *p) {
  check_function(p, EXP, 2, exp);
}
static void check_log(const provider *p) {
  check_function(p, LOG, 1, log);
}
static void check_tanh(const provider *p) {
  check_function(p, TANH, 2, tanh);
}
static void check_softplus(const provider *p) {
  check_function(p, SOFTPLUS, 2, exact_softplus);
}

static void check_sigmoid(const provider *p) {
  float *x = arguments(COUNT), *y = array(COUNT, sizeof *y), *alone = array(COUNT, sizeof *y);
  float *complement = array(COUNT, sizeof *y), *log_y = array(COUNT, sizeof *y);
  check_function(p, SIGMOID, 2, exact_sigmoid);
  p->kernels->functions.sigmoid(COUNT, x, y, complement, log_y);
  check_within("value", 2, x, y, exact_sigmoid);
  check_within("complement", 2, x, complement, exact_complement);
  check_within("logarithm", 2, x, log_y, exact_log_sigmoid);
  call(p, SIGMOID, COUNT, x, alone);
  same_bits("value alone", alone, y, COUNT * sizeof *y);
  int64_t n = below(41), from = below(COUNT - 40);
  float *part[3] = {array(n, sizeof *y), array(n, sizeof *y), array(n, sizeof *y)};
  p->kernels->functions.sigmoid(n, x + from, part[0], part[1], part[2]);
  same_bits("part", part[0], y + from, (size_t)n * sizeof *y);
  same_bits("part of the complement", part[1], complement + from, (size_t)n * sizeof *y);
  same_bits("part of the logarithm", part[2], log_y + from, (size_t)n * sizeof *y);
}

/* ---- timing ---------------------------------------------------------------------------------- */

enum { BENCH = 256 }; /* as many as a coupling computes at once */

typedef struct timed {
  const provider *p;
  int which;
  float *x, *y, *complement, *log_y;
} timed;

static void call_timed(const void *arg) {
  const timed *t = arg;
  if (t->which == SIGMOID)
    t->p->kernels->functions.sigmoid(BENCH, t->x, t->y, t->complement, t->log_y);
  else
    function_of(t->p, t->which)(BENCH, t->x, t->y);
}

static void bench(const provider *p, int which) {
  timed t = {p,
             which,
             which == LOG ? factors(BENCH) : numbers(BENCH),
             array(BENCH, sizeof(float)),
             array(BENCH, sizeof(float)),
             array(BENCH, sizeof(float))};
  bench_case("256 numbers", (bench_work){.bytes = (which == SIGMOID ? 4 : 2) * BENCH * 4},
             call_timed, &t);
}

static void bench_exp(const provider *p) {
  bench(p, EXP);
}
static void bench_log(const provider *p) {
  bench(p, LOG);
}
static void bench_tanh(const provider *p) {
  bench(p, TANH);
}
static void bench_softplus(const provider *p) {
  bench(p, SOFTPLUS);
}
static void bench_sigmoid(const provider *p) {
  bench(p, SIGMOID);
}

#define SLOT(member) offsetof(glow__kernels, functions.member)
const row function_rows[MOST_ROWS] = {
    {"exp", SLOT(exp), 20, check_exp, bench_exp},
    {"log", SLOT(log), 20, check_log, bench_log},
    {"tanh", SLOT(tanh), 20, check_tanh, bench_tanh},
    {"softplus", SLOT(softplus), 20, check_softplus, bench_softplus},
    {"sigmoid", SLOT(sigmoid), 20, check_sigmoid, bench_sigmoid},
};
