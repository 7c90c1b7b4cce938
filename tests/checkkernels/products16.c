/* Products of bfloat16: rounding and packing by their definitions, products against sums in double
 * and, where no factor or bias follows, plain C or AMX's chain bit by bit; and that a row has the
 * same bits in any batch. SPDX-License-Identifier: MIT */
#include <math.h>
#include <string.h>

#include "checkkernels/checkkernels.h"

static uint16_t *rounded_of(int64_t rows, int64_t n, const float *x) {
  uint16_t *y = array(rows * glow__even(n), sizeof *y);
  plain16.round(rows, n, x, y);
  return y;
}

static uint16_t *rounded_numbers(int64_t rows, int64_t n, bool special) {
  float *x = numbers(rows * n);
  if (special)
    sprinkle(x, rows * n);
  return rounded_of(rows, n, x);
}

/* ---- rounding -------------------------------------------------------------------------------- */

static float of_bits(uint32_t bits) {
  float v;
  memcpy(&v, &bits, sizeof v);
  return v;
}

static const struct {
  uint32_t from;
  uint16_t to;
} cases[] = {
    {0x3f800000, 0x3f80}, {0x3f808000, 0x3f80}, /* ties go to the even one */
    {0x3f818000, 0x3f82}, {0x3f808001, 0x3f81}, {0x3f807fff, 0x3f80}, {0xbf808001, 0xbf81},
    {0x7f7fffff, 0x7f80}, {0x7f800000, 0x7f80}, {0xff800000, 0xff80}, /* infinities */
    {0x7fc00000, 0x7fc0}, {0x7f800001, 0x7fc0}, {0xffffffff, 0xffff}, /* NaN */
    {0x00000000, 0x0000}, {0x80000000, 0x8000}, {0x00800000, 0x0080}, /* and near zero */
    {0x007fffff, 0x0000}, {0x807fffff, 0x8000}, {0x00000001, 0x0000},
};

/* All kinds of bits, and those of the table, which holds glow__round16 itself. */
static void check_round(const provider *p) {
  const int64_t known = sizeof cases / sizeof *cases;
  int64_t rows = 1 + below(5), n = 1 + below(200), width = glow__even(n);
  float *from = array(rows * n, sizeof *from);
  uint16_t *to = array(rows * width, sizeof *to);
  for (int64_t i = 0; i < rows * n; i++)
    from[i] = of_bits(below(4) ? (uint32_t)(random_bits() >> 16) : cases[below(known)].from);
  for (int64_t i = 0; i < known; i++)
    if (glow__round16(of_bits(cases[i].from)) != cases[i].to)
      fail("%08x becomes %04x, not %04x", cases[i].from, glow__round16(of_bits(cases[i].from)),
           cases[i].to);
  p->kernels16->round(rows, n, from, to);
  for (int64_t i = 0; i < rows; i++)
    for (int64_t j = 0; j < width; j++) {
      uint16_t expected = j < n ? glow__round16(from[i * n + j]) : 0;
      if (to[i * width + j] != expected)
        fail("%a becomes %04x, not %04x", (double)(j < n ? from[i * n + j] : 0), to[i * width + j],
             expected);
    }
}

/* ---- packing --------------------------------------------------------------------------------- */

static glow__pair *pack_all(const glow__kernels16 *kernels, const packing *b) {
  int64_t panels = glow__panels16(kernels, b->n), middle = below(panels + 1);
  glow__pair *packed = array(glow__packed16(kernels, b->k, b->n), sizeof *packed);
  kernels->pack(b->k, b->n, b->b, b->rs, b->cs, packed, middle, panels);
  kernels->pack(b->k, b->n, b->b, b->rs, b->cs, packed, 0, middle);
  return packed;
}

/* Two neighbours down a column, 0 beyond the end; and columns beyond the last are 0. */
static glow__pair pair_at(const packing *b, int64_t i, int64_t j) {
  if (j >= b->n)
    return 0;
  const float *at = b->b + i * b->rs + j * b->cs;
  glow__pair second = i + 1 < b->k ? glow__round16(at[b->rs]) : 0;
  return (glow__pair)glow__round16(at[0]) | second << 16;
}

static void check_pack(const provider *p) {
  const glow__kernels16 *kernels = p->kernels16;
  packing b = random_packing(true);
  int64_t pairs = glow__pairs(b.k), panels = glow__panels16(kernels, b.n);
  int64_t first = below(panels), last = first + 1 + below(panels - first);
  int64_t size = glow__packed16(kernels, b.k, b.n);
  glow__pair *packed = array(size, sizeof *packed), *expected = array(size, sizeof *packed);
  kernels->pack(b.k, b.n, b.b, b.rs, b.cs, packed, first, last);
  for (int64_t panel = first; panel < last; panel++)
    for (int64_t i = 0; i < pairs; i++)
      for (int64_t j = 0; j < kernels->panel; j++)
        expected[(panel * pairs + i) * kernels->panel + j] =
            pair_at(&b, 2 * i, panel * kernels->panel + j);
  same_bits("packed", packed, expected, (size_t)size * sizeof *packed);
}

/* As plain C does. And panels made of rounded rows are those that pack makes of the rows. */
static void check_zip(const provider *p) {
  const glow__kernels16 *kernels = p->kernels16;
  int64_t k = 1 + below(30), n = 1 + below(100), width = n + below(2) * below(40);
  float *x = numbers(k * n);
  sprinkle(x, k * n);
  uint16_t *from = rounded_of(k, n, x);
  glow__pair *to[2];
  for (int i = 0; i < 2; i++) {
    to[i] = array(glow__pairs(k) * width, sizeof(glow__pair));
    (i ? plain16.zip : kernels->zip)(k, n, from, glow__even(n), to[i], width);
  }
  same_bits("pairs", to[0], to[1], (size_t)(glow__pairs(k) * width) * sizeof(glow__pair));
  const packing b = {k, n, n, 1, x};
  int64_t size = glow__packed16(kernels, k, n);
  glow__pair *packed = pack_all(kernels, &b), *zipped = array(size, sizeof *zipped);
  glow__zip_panels(kernels, k, n, from, glow__even(n), zipped);
  same_bits("panels", zipped, packed, (size_t)size * sizeof *packed);
}

/* ---- products -------------------------------------------------------------------------------- */

/* One product in all its settings. A is [m, k] in pairs, or pairs of its transpose. */
typedef struct product {
  int64_t m, n, k, rs, cs, ldc, first, last; /* columns [first, last) are computed */
  uint16_t *rows;                            /* A [m, k] or its transpose [k, m] */
  const glow__pair *a;
  packing b;
  float *bias, *scale, *before;
  bool transposed, rounded;
  glow__epilogue16 epilogue;
} product;

enum { WIDEST = 32 }; /* all providers' panels divide this */

static void random_columns(product *p) {
  int64_t blocks = (p->n + WIDEST - 1) / WIDEST, first = below(3) ? 0 : below(blocks);
  int64_t last = below(3) ? blocks : first + 1 + below(blocks - first);
  p->first = first * WIDEST;
  p->last = last * WIDEST < p->n ? last * WIDEST : p->n;
}

static product random_product(bool special) {
  product p = {.m = 1 + below(MOST_M), .b = random_packing(special), .transposed = below(2)};
  p.k = p.b.k;
  p.n = p.b.n;
  int64_t pairs = glow__pairs(p.k);
  if (p.transposed) {
    p.rows = rounded_numbers(p.k, p.m, special);
    glow__pair *a = array(pairs * p.m, sizeof *a);
    plain16.zip(p.k, p.m, p.rows, glow__even(p.m), a, p.m);
    p.a = a;
    p.rs = 1;
    p.cs = p.m;
  } else {
    p.rows = rounded_numbers(p.m, p.k, special);
    p.a = (const glow__pair *)(const void *)p.rows;
    p.rs = pairs;
    p.cs = 1;
  }
  p.ldc = p.n + below(5);
  p.bias = numbers(p.n);
  p.scale = numbers(p.n);
  p.before = numbers(p.m * p.ldc);
  random_columns(&p);
  p.epilogue.end = random_epilogue(p.bias, p.scale);
  p.rounded = below(2);
  return p;
}

/* Where there is nothing to add to, c may be NULL. */
static void multiply(const glow__kernels16 *kernels, const product *p, float *c,
                     uint16_t *rounded) {
  glow__epilogue16 epilogue = p->epilogue;
  bool without = p->rounded && !epilogue.end.accumulate;
  epilogue.rounded = p->rounded ? rounded : NULL;
  kernels->gemm(p->m, p->n, glow__pairs(p->k), p->a, p->rs, p->cs, pack_all(kernels, &p->b),
                without ? NULL : c, p->ldc, p->first / kernels->panel,
                (p->last + kernels->panel - 1) / kernels->panel, &epilogue);
}

/* Factor x of element (i, j), of A; and that of B. */
static float factor_at(const product *p, int64_t i, int64_t j, int64_t x, float *of_b) {
  *of_b = glow__widen16(glow__round16(p->b.b[x * p->b.rs + j * p->b.cs]));
  return glow__widen16(p->transposed ? p->rows[x * glow__even(p->m) + i]
                                     : p->rows[i * glow__even(p->k) + x]);
}

/* What one element must be, and the size of its terms. */
static double element(const product *p, int64_t i, int64_t j, double *size) {
  double sum = 0;
  *size = 1;
  for (int64_t x = 0; x < p->k; x++) {
    float b, a = factor_at(p, i, j, x, &b);
    double term = (double)a * (double)b;
    sum += term;
    *size += fabs(term);
  }
  return finish_exactly(sum, p->before[i * p->ldc + j], j, &p->epilogue.end);
}

/* A chain of k roundings of partial sums is within k 2^-24 of the sum of sizes, and rounding the
 * result (8 bits, to the nearest) within 2^-8 of it. */
static void check_elements(const product *p, const float *c, const uint16_t *rounded) {
  for (int64_t i = 0; i < p->m; i++)
    for (int64_t j = p->first; j < p->last; j++) {
      double size = 0, truth = element(p, i, j, &size);
      double bound = size * (double)(p->k + 4) * 0x1p-24 + (p->rounded ? fabs(truth) * 0x1p-8 : 0);
      float got = p->rounded ? glow__widen16(rounded[i * glow__even(p->n) + j]) : c[i * p->ldc + j];
      near_to("product", i, j, (double)got, truth, bound);
    }
}

/* Nothing but the elements is written, and the zero that makes a rounded row even. */
static void check_beside(const product *p, const float *c, const uint16_t *rounded) {
  int64_t width = glow__even(p->n);
  for (int64_t i = 0; i < p->m; i++) {
    for (int64_t j = 0; j < p->ldc; j++)
      if (p->rounded || j < p->first || j >= p->last)
        same_bits("beside the product", &c[i * p->ldc + j], &p->before[i * p->ldc + j], sizeof *c);
    for (int64_t j = 0; j < width; j++) {
      bool inside = p->rounded && j >= p->first && j < p->last;
      bool padding = p->rounded && j == p->n && p->last == p->n;
      uint16_t expected = padding ? 0 : FILL << 8 | FILL;
      if (!inside)
        same_bits("beside the rounded product", &rounded[i * width + j], &expected, 2);
    }
  }
}

/* An element by AMX's chain (kernels16.h). Products are exact. */
static float element_of_tiles(const product *p, int64_t i, int64_t j) {
  float sum = 0.0f;
  for (int64_t first = 0; first < p->k; first += 32) {
    float halves[2] = {0.0f, 0.0f};
    for (int64_t x = first; x < p->k && x < first + 32; x++) {
      float b, a = factor_at(p, i, j, x, &b);
      halves[x % 2] += a * b;
    }
    sum += halves[0] + halves[1];
  }
  return glow__finish(sum, 0.0f, j, &p->epilogue.end);
}

static void check_tiles(const product *p, const float *c, const uint16_t *rounded) {
  for (int64_t i = 0; i < p->m; i++)
    for (int64_t j = p->first; j < p->last; j++) {
      float expected = element_of_tiles(p, i, j);
      uint16_t half = glow__round16(expected);
      if (p->rounded)
        same_bits("rounded product", &rounded[i * glow__even(p->n) + j], &half, sizeof half);
      else
        same_bits("product", &c[i * p->ldc + j], &expected, sizeof expected);
    }
}

static void check_product(const provider *who, const product *p, bool special) {
  int64_t size = p->m * p->ldc, halves = p->m * glow__even(p->n);
  float *c = copy_of(p->before, size, sizeof *c), *other = copy_of(p->before, size, sizeof *c);
  uint16_t *rounded = array(halves, sizeof *rounded), *rounded_other = array(halves, 2);
  const glow_epilogue *end = &p->epilogue.end;
  multiply(who->kernels16, p, c, rounded);
  multiply(&plain16, p, other, rounded_other);
  check_elements(p, c, rounded);
  check_beside(p, c, rounded);
  /* What follows the sum may be fused by one provider and not by the other; of NaN any bits do. */
  if (special || end->scale || end->bias || end->accumulate)
    return;
  if (strcmp(who->kernels16->name, "amx") == 0) {
    check_tiles(p, c, rounded);
    return;
  }
  same_bits("product", c, other, (size_t)size * sizeof *c);
  same_bits("rounded product", rounded, rounded_other, (size_t)halves * sizeof *rounded);
}

static void check_gemm(const provider *p) {
  product a = random_product(false);
  check_product(p, &a, false);
}

/* NaN and infinities reach the elements that they are terms of, past ReLU too, and no others. */
static void check_gemm_specials(const provider *p) {
  product a = random_product(true);
  check_product(p, &a, true);
}

/* A row alone has the bits that it has among others. */
static void check_gemm_rows(const provider *who) {
  product p = random_product(false);
  int64_t width = glow__even(p.n), one_row = below(p.m);
  p.first = 0;
  p.last = p.n;
  float *whole = copy_of(p.before, p.m * p.ldc, sizeof *whole);
  float *one = copy_of(p.before + one_row * p.ldc, p.ldc, sizeof *one);
  uint16_t *rounded = array(p.m * width, 2), *rounded_one = array(width, 2);
  multiply(who->kernels16, &p, whole, rounded);
  product alone = p;
  alone.m = 1;
  alone.a = p.a + one_row * p.rs;
  multiply(who->kernels16, &alone, one, rounded_one);
  same_bits("row", one, whole + one_row * p.ldc, (size_t)p.n * sizeof *one);
  if (p.rounded)
    same_bits("rounded row", rounded_one, rounded + one_row * width, (size_t)width * 2);
}

/* ---- back through a norm --------------------------------------------------------------------- */

/* All but the sums as in plain C; these within two roundings for each of `rows` terms below 1,
 * which providers fuse or not. */
static void check_norm_back(const provider *p) {
  int64_t rows = 1 + below(20), n = 1 + below(100), width = glow__even(n);
  uint16_t *h = rounded_numbers(rows, n, below(2)), *rounded[2], *again = array(rows * width, 2);
  float *scale = numbers(n), *d = numbers(rows * n), *got[2], *sums[2];
  glow__pair *zipped[2];
  for (int i = 0; i < 2; i++) {
    const glow__kernels16 *kernels = i ? &plain16 : p->kernels16;
    got[i] = copy_of(d, rows * n, sizeof *d);
    sums[i] = array(2 * n, sizeof(float));
    rounded[i] = array(rows * width, 2);
    zipped[i] = array(glow__pairs(rows) * n, sizeof(glow__pair));
    kernels->norm_back(rows, n, h, scale, got[i], sums[i], sums[i] + n, rounded[i], zipped[i]);
  }
  same_bits("d", got[0], got[1], (size_t)(rows * n) * sizeof *d);
  same_bits("rounded d", rounded[0], rounded[1], (size_t)(rows * width) * 2);
  same_bits("zipped d", zipped[0], zipped[1], (size_t)(glow__pairs(rows) * n) * 4);
  for (int64_t j = 0; j < n; j++) {
    double bias = 0, factor = 0, bound = (double)(rows * rows) * 0x1p-23;
    for (int64_t i = 0; i < rows; i++) {
      double activation = (double)glow__widen16(h[i * width + j]);
      double g = activation > 0 ? (double)d[i * n + j] : 0;
      near_to("d by its formula", i, j, (double)got[0][i * n + j], g * (double)scale[j], 0x1p-24);
      bias += g * (double)scale[j];
      factor += g * activation; /* 0 times NaN and infinity are NaN */
    }
    near_to("sum for the bias", 0, j, (double)sums[0][j], bias, bound);
    near_to("sum for the scale", 0, j, (double)sums[0][n + j], factor, bound);
  }
  p->kernels16->norm_back(rows, n, h, scale, d, sums[0], sums[0] + n, again, NULL);
  same_bits("rounded d without pairs", again, rounded[0], (size_t)(rows * width) * 2);
}

/* ---- timing ---------------------------------------------------------------------------------- */

/* As for float32; bfloat16 can do twice as much as the peak of float32, with AVX512-BF16. */
static const struct shape {
  const char *what;
  int64_t m, n, k;
  bool transposed;
} shapes[] = {
    {"1x1 conv", 128, 512, 512, false},
    {"conv1, 6 channels", 128, 512, 54, false},
    {"conv1, 12 channels", 128, 512, 108, false},
    {"conv1, 24 channels", 128, 512, 216, false},
    {"conv1, 48 channels", 128, 512, 432, false},
    {"conv3, 12 channels", 128, 108, 512, false},
    {"conv3, 24 channels", 128, 216, 512, false},
    {"conv3, 48 channels", 128, 432, 512, false},
    {"one row", 1, 512, 512, false},
    {"weights of 1x1, a strip", 512, 128, 128, true},
    {"weights of conv1, a strip", 54, 128, 128, true},
    {"weights of conv3, a strip", 108, 128, 128, true},
    {"weights, many pixels", 512, 512, 4096, true},
};

typedef struct timed {
  const glow__kernels16 *kernels;
  product p;
  glow__pair *packed;
  float *c;
  uint16_t *rounded;
} timed;

static void call_product(const void *arg) {
  const timed *t = arg;
  const product *p = &t->p;
  t->kernels->gemm(p->m, p->n, glow__pairs(p->k), p->a, p->rs, p->cs, t->packed, t->c, p->ldc, 0,
                   glow__panels16(t->kernels, p->n), &p->epilogue);
}

static void bench_gemm(const provider *who) {
  for (const struct shape *s = shapes; s < shapes + sizeof shapes / sizeof *shapes; s++) {
    timed t = {.kernels = who->kernels16};
    product *p = &t.p;
    int64_t pairs = glow__pairs(s->k);
    *p = (product){.m = s->m, .n = s->n, .k = s->k, .ldc = s->n};
    p->rs = s->transposed ? 1 : pairs;
    p->cs = s->transposed ? s->m : 1;
    p->a = (const glow__pair *)(const void *)rounded_numbers(s->m, 2 * pairs, false);
    p->b = (packing){s->k, s->n, 1, s->k, numbers(s->k * s->n)};
    t.packed = pack_all(t.kernels, &p->b);
    t.c = numbers(s->m * s->n);
    t.rounded = array(s->m * glow__even(s->n), 2);
    p->epilogue.end = s->transposed ? (glow_epilogue){.accumulate = 1}
                                    : (glow_epilogue){numbers(s->n), numbers(s->n), 1, 0};
    p->epilogue.rounded = s->transposed ? NULL : t.rounded;
    bench_case(s->what, (bench_work){.flops = 2.0 * (double)s->m * (double)s->n * (double)s->k},
               call_product, &t);
  }
}

enum { ROWS = 128, COLUMNS = 512, FLOATS = ROWS * COLUMNS };

/* A strip of a wide layer. */
typedef struct strip {
  const glow__kernels16 *kernels;
  float *x, *d, *scale, *sums;
  uint16_t *h, *rounded;
  glow__pair *pairs;
} strip;

static strip new_strip(const provider *p) {
  strip s = {p->kernels16,
             numbers(FLOATS),
             numbers(FLOATS),
             numbers(COLUMNS),
             array(2 * COLUMNS, sizeof(float)),
             rounded_numbers(ROWS, COLUMNS, false),
             array(FLOATS, 2),
             array(glow__packed16(p->kernels16, ROWS, COLUMNS), sizeof(glow__pair))};
  for (int64_t j = 0; j < COLUMNS; j++) /* so that d neither grows nor vanishes */
    s.scale[j] = s.scale[j] < 0 ? -1.0f : 1.0f;
  return s;
}

static void call_round(const void *arg) {
  const strip *s = arg;
  s->kernels->round(ROWS, COLUMNS, s->x, s->rounded);
}
static void call_pack(const void *arg) {
  const strip *s = arg;
  s->kernels->pack(ROWS, COLUMNS, s->x, 1, ROWS, s->pairs, 0, glow__panels16(s->kernels, COLUMNS));
}
static void call_zip(const void *arg) {
  const strip *s = arg;
  s->kernels->zip(ROWS, COLUMNS, s->h, COLUMNS, s->pairs, COLUMNS);
}
static void call_norm_back(const void *arg) {
  const strip *s = arg;
  s->kernels->norm_back(ROWS, COLUMNS, s->h, s->scale, s->d, s->sums, s->sums + COLUMNS, s->rounded,
                        s->pairs);
}

/* bytes: read and written for each element. */
#define BENCH(name, bytes_of_each)                                                                 \
  static void bench_##name(const provider *p) {                                                    \
    strip s = new_strip(p);                                                                        \
    bench_case("128 x 512", (bench_work){.bytes = (bytes_of_each)*FLOATS}, call_##name, &s);       \
  }
BENCH(round, 6.0)
BENCH(pack, 6.0)
BENCH(zip, 4.0)
BENCH(norm_back, 14.0)

#define SLOT(member) offsetof(glow__kernels16, member)
const row product16_rows[MOST_ROWS] = {
    {"round16", SLOT(round), 200, check_round, bench_round},
    {"pack16", SLOT(pack), 200, check_pack, bench_pack},
    {"zip16", SLOT(zip), 200, check_zip, bench_zip},
    {"gemm16", SLOT(gemm), 200, check_gemm, bench_gemm},
    {"gemm16 of NaN", SLOT(gemm), 60, check_gemm_specials, NULL},
    {"gemm16, rows alone", SLOT(gemm), 50, check_gemm_rows, NULL},
    {"norm_back16", SLOT(norm_back), 100, check_norm_back, bench_norm_back},
};
