/* Products of float32, and the way back through a norm: against sums in double, on all layouts,
 * ends and parts of the panels; and that a row has the same bits in any batch.
 * SPDX-License-Identifier: MIT */
#include <math.h>
#include <string.h>

#include "checkkernels/checkkernels.h"

/* ---- matrices -------------------------------------------------------------------------------- */

static int64_t place(glow_layout layout, int64_t i, int64_t j) {
  return i * layout.row + j / layout.width * layout.panel + j % layout.width;
}

/* Floats up to the last element of a matrix [k, n]. */
static int64_t extent(glow_layout layout, int64_t k, int64_t n) {
  int64_t last = 0; /* the last column of some panel lies farthest */
  for (int64_t j = 0; j < n; j++)
    if (place(layout, k - 1, j) > last)
      last = place(layout, k - 1, j);
  return last + 1;
}

/* Rows, which may have something between them, or panels, for a matrix [k, n]. */
static glow_layout random_layout(const glow__kernels *kernels, int64_t k, int64_t n) {
  return below(2) ? glow__in_panels(kernels, k, n) : glow__in_rows(kernels, n + below(5));
}

/* ---- packing --------------------------------------------------------------------------------- */

static float *pack_all(const glow__kernels *kernels, const packing *b) {
  int64_t panels = glow__panels(kernels, b->n), middle = below(panels + 1);
  float *packed = array(glow__packed_size(kernels, b->k, b->n), sizeof *packed);
  kernels->pack(b->k, b->n, b->b, b->rs, b->cs, packed, middle, panels);
  kernels->pack(b->k, b->n, b->b, b->rs, b->cs, packed, 0, middle);
  return packed;
}

/* Elements are copied; in a panel, columns beyond the last are 0. Other panels are not touched. */
static void check_pack(const provider *p) {
  const glow__kernels *kernels = p->kernels;
  packing b = random_packing(true);
  glow_layout layout = glow__in_panels(kernels, b.k, b.n);
  int64_t panels = glow__panels(kernels, b.n), size = glow__packed_size(kernels, b.k, b.n);
  int64_t first = below(panels), last = first + 1 + below(panels - first);
  float *packed = array(size, sizeof *packed), *expected = array(size, sizeof *packed);
  kernels->pack(b.k, b.n, b.b, b.rs, b.cs, packed, first, last);
  for (int64_t i = 0; i < b.k; i++)
    for (int64_t j = first * kernels->panel; j < last * kernels->panel; j++) {
      if (j < b.n)
        expected[place(layout, i, j)] = b.b[i * b.rs + j * b.cs];
      else if (!kernels->whole_rows)
        expected[place(layout, i, j)] = 0.0f;
    }
  same_bits("packed", packed, expected, (size_t)size * sizeof *packed);
}

/* ---- products -------------------------------------------------------------------------------- */

enum { TALLEST = 32 }; /* more than two tiles of any kernel */

/* One product in all its settings. */
typedef struct product {
  int64_t m, n, k, first, last, c_size;
  bool transposed, special;
  glow_layout a_layout, c_layout;
  packing b;
  float *a, *packed, *bias, *scale, *before;
  glow_epilogue epilogue;
} product;

static product product_of(const glow__kernels *kernels, bool transposed, bool special, int64_t m,
                          packing b) {
  product p = {.m = m, .transposed = transposed, .special = special, .b = b};
  p.n = p.b.n;
  p.k = p.b.k;
  int64_t rows = transposed ? p.k : p.m, columns = transposed ? p.m : p.k;
  p.a_layout = random_layout(kernels, rows, columns);
  p.c_layout = random_layout(kernels, p.m, p.n);
  p.c_size = extent(p.c_layout, p.m, p.n);
  p.a = numbers(extent(p.a_layout, rows, columns));
  p.packed = pack_all(kernels, &p.b);
  p.bias = numbers(p.n);
  p.scale = numbers(p.n);
  p.before = numbers(p.c_size);
  if (special) {
    sprinkle(p.a, extent(p.a_layout, rows, columns));
    sprinkle(p.before, p.c_size);
  }
  int64_t panels = glow__panels(kernels, p.n);
  p.first = below(3) ? 0 : below(panels);
  p.last = below(3) ? panels : p.first + 1 + below(panels - p.first);
  p.epilogue = random_epilogue(p.bias, p.scale);
  return p;
}

static product random_product(const glow__kernels *kernels, bool transposed, bool special) {
  return product_of(kernels, transposed, special, 1 + below(MOST_M), random_packing(special));
}

static void multiply(const glow__kernels *kernels, const product *p, float *c) {
  (p->transposed ? kernels->gemm_transposed : kernels->gemm)(kernels, p->m, p->n, p->k, p->a,
                                                             p->a_layout, p->packed, c, p->c_layout,
                                                             p->first, p->last, &p->epilogue);
}

/* What one element must be, and the size of its terms. */
static double element(const product *p, int64_t i, int64_t j, double *size) {
  double sum = 0;
  *size = 1;
  for (int64_t x = 0; x < p->k; x++) {
    int64_t at = p->transposed ? place(p->a_layout, x, i) : place(p->a_layout, i, x);
    double term = (double)p->a[at] * (double)p->b.b[x * p->b.rs + j * p->b.cs];
    sum += term;
    *size += fabs(term);
  }
  return finish_exactly(sum, p->before[place(p->c_layout, i, j)], j, &p->epilogue);
}

/* A chain of k roundings of partial sums is within k 2^-24 of the sum of sizes; it is far less.
 * Nothing but the elements is written. */
static void check_product(const provider *who, const product *p) {
  int64_t panel = who->kernels->panel, low = p->first * panel;
  int64_t high = p->last * panel < p->n ? p->last * panel : p->n;
  float *c = copy_of(p->before, p->c_size, sizeof *c);
  multiply(who->kernels, p, c);
  for (int64_t i = 0; i < p->m; i++)
    for (int64_t j = low; j < high; j++) {
      double size = 0, truth = element(p, i, j, &size);
      int64_t at = place(p->c_layout, i, j);
      near_to("product", i, j, (double)c[at], truth, size * (double)(p->k + 4) * 0x1p-24);
      c[at] = p->before[at];
    }
  same_bits("what stands beside the product", c, p->before, (size_t)p->c_size * sizeof *c);
}

static void check_gemm(const provider *p) {
  product a = random_product(p->kernels, false, false);
  check_product(p, &a);
}
static void check_gemm_transposed(const provider *p) {
  product a = random_product(p->kernels, true, false);
  check_product(p, &a);
}

/* NaN and infinities reach the elements that they are terms of, past ReLU too, and no others. */
static void check_gemm_specials(const provider *p) {
  product a = random_product(p->kernels, false, true);
  check_product(p, &a);
}
static void check_gemm_transposed_specials(const provider *p) {
  product a = random_product(p->kernels, true, true);
  check_product(p, &a);
}

/* A row alone has the bits that it has among others. CBLAS does not promise it; all others do. */
static void check_rows(const provider *who, bool transposed) {
  if (strcmp(who->name, "cblas") == 0)
    return;
  product p = random_product(who->kernels, transposed, false);
  int64_t one_row = below(p.m);
  float *whole = copy_of(p.before, p.c_size, sizeof *whole), *one;
  p.first = 0;
  p.last = glow__panels(who->kernels, p.n);
  multiply(who->kernels, &p, whole);
  product alone = p;
  alone.m = 1;
  alone.a += transposed ? place(p.a_layout, 0, one_row) : one_row * p.a_layout.row;
  one = copy_of(p.before + one_row * p.c_layout.row, extent(p.c_layout, 1, p.n), sizeof *one);
  multiply(who->kernels, &alone, one);
  for (int64_t j = 0; j < p.n; j++)
    same_bits("row", one + place(p.c_layout, 0, j), whole + place(p.c_layout, one_row, j),
              sizeof *one);
}

static void check_gemm_rows(const provider *p) {
  check_rows(p, false);
}
static void check_gemm_transposed_rows(const provider *p) {
  check_rows(p, true);
}

/* Tiles of each height with each end, over whole panels and the part of one: kernels have code of
 * its own for many of these. */
static void check_ends(const provider *who, bool transposed) {
  packing b = {.k = 5, .n = 2 * who->kernels->panel + 3, .cs = 1};
  b.rs = b.n;
  b.b = numbers(b.k * b.n);
  product p = product_of(who->kernels, transposed, false, TALLEST, b);
  p.first = 0;
  p.last = glow__panels(who->kernels, b.n);
  for (p.m = 1; p.m <= TALLEST; p.m++)
    for (int end = 0; end < 16; end++) {
      p.epilogue.bias = end & 1 ? p.bias : NULL;
      p.epilogue.scale = end & 2 ? p.scale : NULL;
      p.epilogue.relu = end >> 2 & 1;
      p.epilogue.accumulate = end >> 3 & 1;
      check_product(who, &p);
    }
}

static void check_gemm_ends(const provider *p) {
  check_ends(p, false);
}
static void check_gemm_transposed_ends(const provider *p) {
  check_ends(p, true);
}

/* ---- back through a norm --------------------------------------------------------------------- */

/* d has one rounding, so its bits are those of the formula; the sums have one or two for each of m
 * terms below 1. */
static void check_norm_back(const provider *p) {
  const glow__kernels *kernels = p->kernels;
  int64_t m = 1 + below(MOST_M), n = 1 + below(MOST_N);
  glow_layout layout = random_layout(kernels, m, n);
  int64_t size = extent(layout, m, n);
  float *h = numbers(size), *before = numbers(size), *scale = numbers(n);
  float *sum_bias = numbers(n), *sum_scale = numbers(n); /* they are overwritten */
  if (below(2))                                          /* there g is 0, and g h is NaN */
    for (int64_t i = 0; i < 5; i++)
      h[below(size)] = NAN;
  float *d = copy_of(before, size, sizeof *d);
  kernels->norm_back(m, n, h, scale, d, layout, sum_bias, sum_scale);
  for (int64_t j = 0; j < n; j++) {
    double bias = 0, factor = 0, bound = (double)(m * m) * 0x1p-23;
    for (int64_t i = 0; i < m; i++) {
      int64_t at = place(layout, i, j);
      float g = h[at] > 0 ? before[at] : 0.0f, expected = g * scale[j];
      same_bits("d", &d[at], &expected, sizeof expected);
      factor += (double)g * (double)h[at];
      bias += (double)g * (double)scale[j];
      d[at] = before[at];
    }
    near_to("sum for the bias", 0, j, (double)sum_bias[j], bias, bound);
    near_to("sum for the scale", 0, j, (double)sum_scale[j], factor, bound);
  }
  same_bits("what stands beside d", d, before, (size_t)size * sizeof *d);
}

/* ---- timing ---------------------------------------------------------------------------------- */

/* The products of Glow's networks. C [m, n] = A [m, k] B, or A' B, accumulating, for a weight
 * gradient: then A is in panels. */
typedef struct shape {
  const char *what;
  int64_t m, n, k;
  bool a_in_panels, c_in_panels;
} shape;

static const shape gemm_shapes[] = {{"1x1 conv", 128, 512, 512, true, true},
                                    {"conv1, 6 channels", 128, 512, 54, false, true},
                                    {"conv1, 12 channels", 128, 512, 108, false, true},
                                    {"conv1, 24 channels", 128, 512, 216, false, true},
                                    {"conv1, 48 channels", 128, 512, 432, false, true},
                                    {"conv3, 12 channels", 128, 108, 512, true, false},
                                    {"conv3, 24 channels", 128, 216, 512, true, false},
                                    {"conv3, 48 channels", 128, 432, 512, true, false},
                                    {"invconv, 12 channels", 128, 12, 12, false, false},
                                    {"invconv, 24 channels", 128, 24, 24, false, false},
                                    {"invconv, 48 channels", 128, 48, 48, false, false},
                                    {"one row", 1, 512, 512, false, false}};
static const shape transposed_shapes[] = {{"weights of 1x1, a strip", 512, 128, 128, true, false},
                                          {"weights of conv1, a strip", 54, 128, 128, true, false},
                                          {"weights of conv3, a strip", 108, 128, 128, true, false},
                                          {"weights, many pixels", 512, 512, 4096, true, false},
                                          {"the same from rows", 512, 512, 4096, false, false}};

typedef struct timed {
  const glow__kernels *kernels;
  product p;
  float *c;
} timed;

static glow_layout layout_of(const glow__kernels *kernels, bool in_panels, int64_t k, int64_t n) {
  return in_panels ? glow__in_panels(kernels, k, n) : glow__in_rows(kernels, n);
}

static void call_product(const void *arg) {
  const timed *t = arg;
  multiply(t->kernels, &t->p, t->c);
}

static void call_pack(const void *arg) {
  const timed *t = arg;
  const packing *b = &t->p.b;
  t->kernels->pack(b->k, b->n, b->b, b->rs, b->cs, t->p.packed, 0, glow__panels(t->kernels, b->n));
}

static timed new_timed(const glow__kernels *kernels, const shape *s, bool transposed) {
  timed t = {.kernels = kernels};
  product *p = &t.p;
  int64_t rows = transposed ? s->k : s->m, columns = transposed ? s->m : s->k;
  p->m = s->m;
  p->n = s->n;
  p->k = s->k;
  p->last = glow__panels(kernels, s->n);
  p->transposed = transposed;
  p->a_layout = layout_of(kernels, s->a_in_panels, rows, columns);
  p->c_layout = layout_of(kernels, s->c_in_panels, s->m, s->n);
  p->a = numbers(extent(p->a_layout, rows, columns));
  p->b = (packing){s->k, s->n, s->n, 1, numbers(s->k * s->n)};
  p->packed = pack_all(kernels, &p->b);
  p->epilogue = transposed ? (glow_epilogue){.accumulate = 1}
                           : (glow_epilogue){numbers(s->n), numbers(s->n), 1, 0};
  t.c = numbers(extent(p->c_layout, s->m, s->n));
  return t;
}

static void bench_products(const provider *p, bool transposed, const shape *shapes, size_t count) {
  for (const shape *s = shapes; s < shapes + count; s++) {
    timed t = new_timed(p->kernels, s, transposed);
    bench_case(s->what, (bench_work){.flops = 2.0 * (double)s->m * (double)s->n * (double)s->k},
               call_product, &t);
  }
}

static void bench_gemm(const provider *p) {
  bench_products(p, false, gemm_shapes, sizeof gemm_shapes / sizeof *gemm_shapes);
}
static void bench_gemm_transposed(const provider *p) {
  bench_products(p, true, transposed_shapes, sizeof transposed_shapes / sizeof *transposed_shapes);
}

/* [512, 512], its rows and its columns in one run. */
static void bench_pack(const provider *p) {
  timed t = new_timed(p->kernels, &gemm_shapes[0], false);
  const bench_work work = {.bytes = 2 * 512 * 512 * sizeof(float)};
  bench_case("512 x 512, rows", work, call_pack, &t);
  t.p.b.rs = 1;
  t.p.b.cs = 512;
  bench_case("512 x 512, columns", work, call_pack, &t);
}

static void call_norm_back(const void *arg) {
  const timed *t = arg;
  t->kernels->norm_back(t->p.m, t->p.n, t->p.a, t->p.scale, t->c, t->p.c_layout, t->p.bias,
                        t->p.before);
}

/* A strip of a wide layer. The scale is 1 or -1, so that d neither grows nor vanishes. */
static void bench_norm_back(const provider *p) {
  enum { ROWS = 128, COLUMNS = 512 };
  timed t = {.kernels = p->kernels, .p = {.m = ROWS, .n = COLUMNS}};
  t.p.c_layout = glow__in_panels(p->kernels, ROWS, COLUMNS);
  t.p.a = numbers(ROWS * COLUMNS);
  t.c = numbers(ROWS * COLUMNS);
  t.p.scale = numbers(COLUMNS);
  for (int64_t j = 0; j < COLUMNS; j++)
    t.p.scale[j] = t.p.scale[j] < 0 ? -1.0f : 1.0f;
  t.p.bias = numbers(COLUMNS);
  t.p.before = numbers(COLUMNS);
  bench_case("128 x 512", (bench_work){.bytes = 3.0 * ROWS * COLUMNS * sizeof(float)},
             call_norm_back, &t);
}

#define SLOT(member) offsetof(glow__kernels, member)
const row product_rows[MOST_ROWS] = {
    {"pack", SLOT(pack), 200, check_pack, bench_pack},
    {"gemm", SLOT(gemm), 200, check_gemm, bench_gemm},
    {"gemm of NaN", SLOT(gemm), 60, check_gemm_specials, NULL},
    {"gemm, rows alone", SLOT(gemm), 50, check_gemm_rows, NULL},
    {"gemm, each height and end", SLOT(gemm), 1, check_gemm_ends, NULL},
    {"gemm_transposed", SLOT(gemm_transposed), 200, check_gemm_transposed, bench_gemm_transposed},
    {"gemm_transposed of NaN", SLOT(gemm_transposed), 60, check_gemm_transposed_specials, NULL},
    {"gemm_transposed, rows alone", SLOT(gemm_transposed), 50, check_gemm_transposed_rows, NULL},
    {"gemm_transposed, each height and end", SLOT(gemm_transposed), 1, check_gemm_transposed_ends,
     NULL},
    {"norm_back", SLOT(norm_back), 100, check_norm_back, bench_norm_back},
};
