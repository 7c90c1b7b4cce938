/* Pointwise kernels. Gathering and summing of 3x3 taps by their definitions, which are exact;
 * actnorm and coupling by the formulas in double, and against plain C bit by bit wherever no
 * product is added to something, which vector code does in one rounding.
 * SPDX-License-Identifier: MIT */
#include <math.h>
#include <string.h>

#include "checkkernels/checkkernels.h"

/* ---- taps ------------------------------------------------------------------------------------ */

typedef struct image {
  int64_t height, width, channels, stride, pixels, first, last;
  int32_t sign;
} image;

static image random_image(void) {
  image m = {.height = 1 + below(8),
             .width = 1 + below(8),
             .channels = 1 + below(20),
             .sign = below(2) ? 1 : -1};
  m.stride = m.channels + below(2) * below(7);
  m.pixels = m.height * m.width;
  m.first = below(2) ? 0 : below(m.pixels);
  m.last = below(2) ? m.pixels : m.first + 1 + below(m.pixels - m.first);
  return m;
}

/* Floats of an image whose last pixel has nothing behind it. */
static int64_t size_of(const image *m) {
  return (m->pixels - 1) * m->stride + m->channels;
}

/* The pixel that tap t of pixel p looks at, -1 outside. */
static int64_t pixel_of(const image *m, int64_t p, int64_t t) {
  int64_t y = p / m->width + m->sign * (t / 3 - 1);
  int64_t x = p % m->width + m->sign * (t % 3 - 1);
  bool outside = y < 0 || y >= m->height || x < 0 || x >= m->width;
  return outside ? -1 : y * m->width + x;
}

static void check_gather(const provider *p) {
  image m = random_image();
  float *x = numbers(size_of(&m));
  float *out = array((m.last - m.first) * 9 * m.channels, sizeof *out);
  sprinkle(x, size_of(&m));
  p->kernels->pointwise.gather3x3(m.height, m.width, m.channels, x, m.stride, m.sign, m.first,
                                  m.last, out);
  for (int64_t at = m.first; at < m.last; at++)
    for (int64_t t = 0; t < 9; t++, out += m.channels)
      for (int64_t c = 0; c < m.channels; c++) {
        int64_t from = pixel_of(&m, at, t);
        float expected = from < 0 ? 0.0f : x[from * m.stride + c];
        same_bits("tap", &out[c], &expected, sizeof expected);
      }
}

/* Adds in the order of the taps, and nothing outside the range or between pixels. */
static void check_sum(const provider *p) {
  image m = random_image();
  float *a = numbers(m.pixels * 9 * m.channels), *out = numbers(size_of(&m));
  float *expected = copy_of(out, size_of(&m), sizeof *out);
  for (int64_t at = m.first; at < m.last; at++)
    for (int64_t t = 0; t < 9; t++)
      for (int64_t c = 0, from = pixel_of(&m, at, t); from >= 0 && c < m.channels; c++)
        expected[at * m.stride + c] += a[(from * 9 + t) * m.channels + c];
  p->kernels->pointwise.sum3x3(m.height, m.width, m.channels, a, m.sign, m.first, m.last, out,
                               m.stride);
  same_bits("sum", out, expected, (size_t)size_of(&m) * sizeof *out);
}

/* NaN and infinities reach the same sums as in plain C. */
static void check_sum_specials(const provider *p) {
  image m = random_image();
  int64_t size = size_of(&m);
  float *a = numbers(m.pixels * 9 * m.channels), *out = numbers(size);
  sprinkle(a, m.pixels * 9 * m.channels);
  float *expected = copy_of(out, size, sizeof *out);
  p->kernels->pointwise.sum3x3(m.height, m.width, m.channels, a, m.sign, m.first, m.last, out,
                               m.stride);
  plain.pointwise.sum3x3(m.height, m.width, m.channels, a, m.sign, m.first, m.last, expected,
                         m.stride);
  for (int64_t i = 0; i < size; i++)
    near_to("sum", 0, i, (double)out[i], (double)expected[i], 0);
}

/* <gather(x, s), a> = <x, sum(a, -s)>; terms are of size 1, and some ten thousand are added. */
static void check_adjoint(const provider *p) {
  const glow__pointwise *pointwise = &p->kernels->pointwise;
  image m = random_image();
  int64_t size = size_of(&m), taps = 9 * m.channels;
  float *x = numbers(size), *a = numbers(m.pixels * taps);
  float *gathered = array(m.pixels * taps, sizeof *gathered), *sum = array(size, sizeof *sum);
  double left = 0, right = 0;
  memset(sum, 0, (size_t)size * sizeof *sum);
  pointwise->gather3x3(m.height, m.width, m.channels, x, m.stride, m.sign, 0, m.pixels, gathered);
  pointwise->sum3x3(m.height, m.width, m.channels, a, -m.sign, 0, m.pixels, sum, m.stride);
  for (int64_t i = 0; i < m.pixels * taps; i++)
    left += (double)gathered[i] * (double)a[i];
  for (int64_t i = 0; i < size; i++)
    right += (double)x[i] * (double)sum[i];
  near_to("inner product", 0, 0, right, left, 1e-3);
}

/* ---- actnorm --------------------------------------------------------------------------------- */

/* Error of a b + c, with one rounding or two. */
static double two_roundings(double product, double result) {
  return (fabs(product) + fabs(result)) * 0x1p-24 + 0x1p-149;
}

typedef struct norm {
  int64_t rows, n;
  float *x, *y, *shift, *scale;
} norm;

static norm random_norm(bool special) {
  norm a = {.rows = 1 + below(6), .n = 1 + below(70)};
  a.x = numbers(a.rows * a.n);
  if (special)
    sprinkle(a.x, a.rows * a.n);
  a.y = array(a.rows * a.n, sizeof(float));
  a.shift = numbers(a.n);
  a.scale = factors(a.n);
  return a;
}

static size_t bytes_of(const norm *a) {
  return (size_t)(a->rows * a->n) * sizeof(float);
}

/* y = (x + shift) scale: two roundings in any case, so all bits are those of plain C. */
static void check_actnorm_forward(const provider *p) {
  norm a = random_norm(below(2));
  float *expected = array(a.rows * a.n, sizeof *expected);
  p->kernels->pointwise.actnorm_forward(a.rows, a.n, a.x, a.shift, a.scale, a.y);
  plain.pointwise.actnorm_forward(a.rows, a.n, a.x, a.shift, a.scale, expected);
  same_bits("y", a.y, expected, bytes_of(&a));
  for (int64_t i = 0; i < a.rows * a.n; i++) {
    double shift = (double)a.shift[i % a.n], scale = (double)a.scale[i % a.n];
    double y = ((double)a.x[i] + shift) * scale;
    near_to("y by its formula", i / a.n, i % a.n, (double)a.y[i], y, fabs(y) * 0x1p-22 + 0x1p-149);
  }
  p->kernels->pointwise.actnorm_forward(a.rows, a.n, a.x, a.shift, a.scale, a.x);
  same_bits("in place", a.x, a.y, bytes_of(&a));
}

static void check_actnorm_inverse(const provider *p) {
  norm a = random_norm(below(2));
  p->kernels->pointwise.actnorm_inverse(a.rows, a.n, a.x, a.shift, a.scale, a.y);
  for (int64_t i = 0; i < a.rows * a.n; i++) {
    double product = (double)a.x[i] * (double)a.scale[i % a.n];
    double x = product - (double)a.shift[i % a.n];
    near_to("x", i / a.n, i % a.n, (double)a.y[i], x, two_roundings(product, x));
  }
  p->kernels->pointwise.actnorm_inverse(a.rows, a.n, a.x, a.shift, a.scale, a.x);
  same_bits("in place", a.x, a.y, bytes_of(&a));
}

/* Products are rounded before they are added in double, so all bits are those of plain C. */
static void check_actnorm_backward(const provider *p) {
  norm a = random_norm(below(2)); /* its x is y here */
  float *dy = numbers(a.rows * a.n), *dx[2];
  double *d_shift[2], *d_logs[2];
  for (int i = 0; i < 2; i++) {
    const glow__pointwise *pointwise = i ? &plain.pointwise : &p->kernels->pointwise;
    dx[i] = array(a.rows * a.n, sizeof(float));
    d_shift[i] = array(a.n, sizeof(double));
    d_logs[i] = array(a.n, sizeof(double));
    for (int64_t j = 0; j < a.n; j++)
      d_shift[i][j] = d_logs[i][j] = 0.25 * (double)j; /* they are added to */
    pointwise->actnorm_backward(a.rows, a.n, a.x, dy, a.scale, dx[i], d_shift[i], d_logs[i]);
  }
  same_bits("dx", dx[0], dx[1], bytes_of(&a));
  same_bits("d shift", d_shift[0], d_shift[1], (size_t)a.n * sizeof(double));
  for (int64_t j = 0; j < a.n; j++) {
    double shift = 0.25 * (double)j, logs = shift;
    for (int64_t i = j; i < a.rows * a.n; i += a.n) {
      shift += (double)dy[i] * (double)a.scale[j];
      logs += (double)dy[i] * (double)a.x[i];
    }
    near_to("d shift by its formula", 0, j, d_shift[0][j], shift, (double)a.rows * 0x1p-23);
    near_to("d logs by its formula", 0, j, d_logs[0][j], logs, (double)a.rows * 0x1p-24);
    near_to("d logs", 0, j, d_logs[0][j], d_logs[1][j], 0);
  }
  p->kernels->pointwise.actnorm_backward(a.rows, a.n, a.x, dy, a.scale, dy, d_shift[0], d_logs[0]);
  same_bits("in place", dy, dx[0], bytes_of(&a));
}

/* ---- coupling -------------------------------------------------------------------------------- */

typedef struct coupling {
  int32_t kind;
  int64_t rows, n, x_row, t_row, size; /* size: floats of x */
  float *x, *t, *s;
} coupling;

/* Rows with something between them, or not. */
static coupling random_coupling(bool special) {
  coupling c = {.kind = (int32_t)(1 + below(3)), .rows = 1 + below(6), .n = 1 + below(70)};
  c.x_row = c.n + below(2) * below(20);
  c.t_row = c.n + below(2) * below(20);
  c.size = (c.rows - 1) * c.x_row + c.n;
  c.x = numbers(c.size);
  c.t = numbers((c.rows - 1) * c.t_row + c.n);
  if (special)
    sprinkle(c.x, c.size);
  c.s = factors(c.rows * c.n);
  return c;
}

/* One element: forward, or inverse. */
static double coupling_exactly(const coupling *c, bool inverse, double x, double t, double s) {
  switch (c->kind) {
  case GLOW_CHANGE_SHIFT: return inverse ? x - t : x + t;
  case GLOW_CHANGE_SHIFT_SCALE: return inverse ? x / s - t : (x + t) * s;
  default: return inverse ? (x - t) / s : x * s + t;
  }
}

/* Where no product is added to something all bits are those of plain C. */
static void check_coupling(const provider *p, bool inverse) {
  coupling c = random_coupling(below(2));
  const glow__pointwise *own = &p->kernels->pointwise, *others = &plain.pointwise;
  float *y = copy_of(c.x, c.size, sizeof *y), *expected = copy_of(c.x, c.size, sizeof *y);
  (inverse ? own->coupling_inverse : own->coupling_forward)(c.kind, c.rows, c.n, c.x, c.x_row, c.t,
                                                            c.t_row, c.s, y);
  (inverse ? others->coupling_inverse : others->coupling_forward)(c.kind, c.rows, c.n, c.x, c.x_row,
                                                                  c.t, c.t_row, c.s, expected);
  if (inverse || c.kind != GLOW_CHANGE_SCALE_SHIFT)
    same_bits("result", y, expected, (size_t)c.size * sizeof *y);
  for (int64_t i = 0; i < c.size; i++) {
    int64_t k = i / c.x_row, j = i % c.x_row;
    if (j >= c.n) {
      same_bits("between rows", &y[i], &c.x[i], sizeof *y);
      continue;
    }
    double x = (double)c.x[i], t = (double)c.t[k * c.t_row + j], s = (double)c.s[k * c.n + j];
    /* Two roundings of values below 4. */
    near_to("result by its formula", k, j, (double)y[i], coupling_exactly(&c, inverse, x, t, s),
            4 * 0x1p-23);
  }
  (inverse ? own->coupling_inverse : own->coupling_forward)(c.kind, c.rows, c.n, c.x, c.x_row, c.t,
                                                            c.t_row, c.s, c.x);
  same_bits("in place", c.x, y, (size_t)c.size * sizeof *y);
}

static void check_coupling_forward(const provider *p) {
  check_coupling(p, false);
}
static void check_coupling_inverse(const provider *p) {
  check_coupling(p, true);
}

/* The inverse undoes what forward does; within some roundings of values below 4, and once more at
 * the smallest scale, 1/2. */
static void check_coupling_round_trip(const provider *p) {
  coupling c = random_coupling(false);
  float *y = copy_of(c.x, c.size, sizeof *y);
  p->kernels->pointwise.coupling_forward(c.kind, c.rows, c.n, y, c.x_row, c.t, c.t_row, c.s, y);
  p->kernels->pointwise.coupling_inverse(c.kind, c.rows, c.n, y, c.x_row, c.t, c.t_row, c.s, y);
  for (int64_t i = 0; i < c.size; i++)
    near_to("x", i / c.x_row, i % c.x_row, (double)y[i], (double)c.x[i], 1e-6);
}

static void check_coupling_backward(const provider *p) {
  int32_t kind = (int32_t)(1 + below(3));
  int64_t n = 1 + below(70);
  float *t = numbers(n), *s = factors(n), *y = numbers(n), *dy = numbers(n);
  float w = (float)below(1000) * 1e-3f, *dx[2], *dt[2], *d_log_s[2];
  if (below(2))
    sprinkle(dy, n);
  for (int i = 0; i < 2; i++) {
    const glow__pointwise *pointwise = i ? &plain.pointwise : &p->kernels->pointwise;
    dx[i] = array(n, sizeof(float));
    dt[i] = array(n, sizeof(float));
    d_log_s[i] = array(n, sizeof(float));
    pointwise->coupling_backward(kind, n, t, s, y, dy, w, dx[i], dt[i], d_log_s[i]);
  }
  same_bits("dx", dx[0], dx[1], (size_t)n * sizeof(float));
  same_bits("dt", dt[0], dt[1], (size_t)n * sizeof(float));
  if (kind == GLOW_CHANGE_SHIFT) /* not written */
    same_bits("d log s", d_log_s[0], d_log_s[1], (size_t)n * sizeof(float));
  for (int64_t j = 0; j < n; j++) {
    double d = (double)dy[j], scaled = kind == GLOW_CHANGE_SHIFT ? d : d * (double)s[j];
    double without = kind == GLOW_CHANGE_SHIFT_SCALE ? 0 : (double)t[j];
    near_to("dx by its formula", 0, j, (double)dx[0][j], scaled, 2 * 0x1p-24);
    near_to("dt by its formula", 0, j, (double)dt[0][j],
            kind == GLOW_CHANGE_SCALE_SHIFT ? d : scaled, 2 * 0x1p-24);
    if (kind != GLOW_CHANGE_SHIFT) /* three roundings of values below 4 */
      near_to("d log s by its formula", 0, j, (double)d_log_s[0][j],
              d * ((double)y[j] - without) + (double)w, 6 * 0x1p-24 * 4);
  }
}

/* ---- nets ------------------------------------------------------------------------------------ */

static void check_relu_backward(const provider *p) {
  int64_t rows = 1 + below(6), n = 1 + below(70), h_row = n + below(3), d_row = n + below(3);
  float *h = numbers(rows * h_row), *d = numbers(rows * d_row);
  sprinkle(h, rows * h_row);
  sprinkle(d, rows * d_row);
  float *got = copy_of(d, rows * d_row, sizeof *d);
  p->kernels->pointwise.relu_backward(rows, n, h, h_row, got, d_row);
  for (int64_t i = 0; i < rows; i++)
    for (int64_t j = 0; j < n; j++)
      d[i * d_row + j] = h[i * h_row + j] > 0.0f ? d[i * d_row + j] : 0.0f;
  same_bits("d", got, d, (size_t)(rows * d_row) * sizeof *d);
}

static void check_add_rows(const provider *p) {
  int64_t rows = below(20), n = 1 + below(70);
  float *x = numbers(rows * n);
  double *sums = array(n, sizeof *sums), *got = array(n, sizeof *got);
  for (int64_t j = 0; j < n; j++)
    sums[j] = got[j] = (double)below(100);
  p->kernels->pointwise.add_rows(rows, n, x, got);
  for (int64_t i = 0; i < rows; i++)
    for (int64_t j = 0; j < n; j++)
      sums[j] += (double)x[i * n + j];
  same_bits("sums", got, sums, (size_t)n * sizeof *sums);
}

/* ---- timing ---------------------------------------------------------------------------------- */

enum { SIDE = 16, CHANNELS = 24, PIXELS = SIDE * SIDE, FLOATS = PIXELS * CHANNELS };

typedef struct timed {
  const glow__pointwise *pointwise;
  float *x, *y, *t, *s, *z, *taps;
  double *sums;
} timed;

static timed new_timed(const provider *p) {
  return (timed){&p->kernels->pointwise, numbers(FLOATS),
                 numbers(FLOATS),        numbers(FLOATS),
                 factors(FLOATS),        numbers(FLOATS),
                 numbers(9 * FLOATS),    array(2 * CHANNELS, sizeof(double))};
}

static void call_gather(const void *arg) {
  const timed *t = arg;
  t->pointwise->gather3x3(SIDE, SIDE, CHANNELS, t->x, CHANNELS, 1, 0, PIXELS, t->taps);
}
static void call_sum(const void *arg) {
  const timed *t = arg;
  t->pointwise->sum3x3(SIDE, SIDE, CHANNELS, t->taps, 1, 0, PIXELS, t->y, CHANNELS);
}
static void call_actnorm_forward(const void *arg) {
  const timed *t = arg;
  t->pointwise->actnorm_forward(PIXELS, CHANNELS, t->x, t->t, t->s, t->y);
}
static void call_actnorm_inverse(const void *arg) {
  const timed *t = arg;
  t->pointwise->actnorm_inverse(PIXELS, CHANNELS, t->x, t->t, t->s, t->y);
}
static void call_actnorm_backward(const void *arg) {
  const timed *t = arg;
  t->pointwise->actnorm_backward(PIXELS, CHANNELS, t->x, t->t, t->s, t->y, t->sums,
                                 t->sums + CHANNELS);
}
static void call_coupling_forward(const void *arg) {
  const timed *t = arg;
  t->pointwise->coupling_forward(GLOW_CHANGE_SHIFT_SCALE, PIXELS, CHANNELS, t->x, CHANNELS, t->t,
                                 CHANNELS, t->s, t->y);
}
static void call_coupling_inverse(const void *arg) {
  const timed *t = arg;
  t->pointwise->coupling_inverse(GLOW_CHANGE_SHIFT_SCALE, PIXELS, CHANNELS, t->x, CHANNELS, t->t,
                                 CHANNELS, t->s, t->y);
}
static void call_coupling_backward(const void *arg) {
  const timed *t = arg;
  t->pointwise->coupling_backward(GLOW_CHANGE_SHIFT_SCALE, FLOATS, t->t, t->s, t->x, t->z, 0.5f,
                                  t->y, t->taps, t->taps + FLOATS);
}

static void call_relu_backward(const void *arg) {
  const timed *t = arg;
  t->pointwise->relu_backward(PIXELS, CHANNELS, t->x, CHANNELS, t->y, CHANNELS);
}
static void call_add_rows(const void *arg) {
  const timed *t = arg;
  t->pointwise->add_rows(PIXELS, CHANNELS, t->x, t->sums);
}

/* `arrays`: how many of [256, 24] are read or written. */
#define BENCH(name, arrays)                                                                        \
  static void bench_##name(const provider *p) {                                                    \
    timed t = new_timed(p);                                                                        \
    memset(t.sums, 0, 2 * CHANNELS * sizeof *t.sums);                                              \
    bench_case("16 x 16 x 24", (bench_work){.bytes = 4.0 * (arrays)*FLOATS}, call_##name, &t);     \
  }
BENCH(gather, 10)
BENCH(sum, 11)
BENCH(actnorm_forward, 2)
BENCH(actnorm_inverse, 2)
BENCH(actnorm_backward, 3)
BENCH(coupling_forward, 4)
BENCH(coupling_inverse, 4)
BENCH(coupling_backward, 7)
BENCH(relu_backward, 3)
BENCH(add_rows, 1)

#define SLOT(member) offsetof(glow__kernels, pointwise.member)
const row pointwise_rows[MOST_ROWS] = {
    {"gather3x3", SLOT(gather3x3), 200, check_gather, bench_gather},
    {"sum3x3", SLOT(sum3x3), 200, check_sum, bench_sum},
    {"sum3x3 of NaN", SLOT(sum3x3), 100, check_sum_specials, NULL},
    {"sum3x3, adjoint", SLOT(sum3x3), 100, check_adjoint, NULL},
    {"actnorm_forward", SLOT(actnorm_forward), 200, check_actnorm_forward, bench_actnorm_forward},
    {"actnorm_inverse", SLOT(actnorm_inverse), 200, check_actnorm_inverse, bench_actnorm_inverse},
    {"actnorm_backward", SLOT(actnorm_backward), 200, check_actnorm_backward,
     bench_actnorm_backward},
    {"coupling_forward", SLOT(coupling_forward), 200, check_coupling_forward,
     bench_coupling_forward},
    {"coupling_inverse", SLOT(coupling_inverse), 200, check_coupling_inverse,
     bench_coupling_inverse},
    {"coupling, there and back", SLOT(coupling_inverse), 200, check_coupling_round_trip, NULL},
    {"coupling_backward", SLOT(coupling_backward), 200, check_coupling_backward,
     bench_coupling_backward},
    {"relu_backward", SLOT(relu_backward), 100, check_relu_backward, bench_relu_backward},
    {"add_rows", SLOT(add_rows), 100, check_add_rows, bench_add_rows},
};
