/* Products of bfloat16 of every provider that this machine can run, against sums in double and,
 * where no factor or bias follows, bit for bit against plain C, on random shapes: edges of tiles
 * and panels, odd sizes, both layouts of A, all epilogues, parts of the panels. And that a row has
 * the same bits in any batch. SPDX-License-Identifier: MIT */
#include "math/kernels16.h"

#include <math.h>
#include <stdio.h>

#include "base/base.h"
#include "unit/kernel_helpers.h"

enum { ROUNDS = 200 };

static uint16_t *rounded_numbers(int64_t rows, int64_t n) {
  float *x = numbers(rows * n);
  uint16_t *y = room(rows * glow__even(n), sizeof *y);
  glow__kernels16_c.round(rows, n, x, y);
  free(x);
  return y;
}

/* ---- rounding -------------------------------------------------------------------------------- */

static float of_bits(uint32_t bits) {
  float v;
  memcpy(&v, &bits, sizeof v);
  return v;
}

static void test_rounding(void **unused) {
  (void)unused;
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
  for (size_t i = 0; i < sizeof cases / sizeof *cases; i++)
    assert_int_equal(glow__round16(of_bits(cases[i].from)), cases[i].to);
  for (uint32_t p = 0; glow__kernels16_at(p); p++) {
    const glow__kernels16 *kernels = glow__kernels16_at(p);
    state = 3;
    for (int round = 0; round < 200; round++) {
      int64_t rows = 1 + below(5), n = 1 + below(200), count = rows * n;
      float *from = room(count, sizeof *from);
      uint16_t *to = room(rows * glow__even(n), sizeof *to);
      for (int64_t i = 0; i < count; i++) /* all kinds of bits, and those of the table */
        from[i] = of_bits(below(4) ? (uint32_t)(state >> 32)
                                   : cases[below(sizeof cases / sizeof *cases)].from);
      kernels->round(rows, n, from, to);
      for (int64_t i = 0; i < rows; i++)
        for (int64_t j = 0; j < glow__even(n); j++) {
          uint16_t expected = j < n ? glow__round16(from[i * n + j]) : 0;
          if (to[i * glow__even(n) + j] != expected)
            fail_msg("%s: %a becomes %04x, not %04x", kernels->name, (double)from[i * n + j],
                     to[i * glow__even(n) + j], expected);
        }
      assert_int_equal(to[rows * glow__even(n)], 0x5a5a);
      free(from);
      free(to);
    }
  }
}

/* ---- products -------------------------------------------------------------------------------- */

/* One product in all its settings. A is [m, k] in pairs, or pairs of its transpose. */
typedef struct product {
  int64_t m, n, k, rs, cs, ldc, first, last; /* columns [first, last) are computed */
  uint16_t *rows;                            /* A [m, k] or its transpose [k, m] */
  glow__pair *a;
  float *b, *bias, *scale, *before;
  int64_t b_rs, b_cs;
  bool transposed, rounded;
  glow__epilogue16 epilogue;
} product;

/* All providers' panels divide this. */
enum { WIDEST = 32 };

static product random_product(void) {
  product p = {
      .m = 1 + below(MOST_M), .n = 1 + below(MOST_N), .k = 1 + below(below(4) ? 40 : MOST_K)};
  int64_t pairs = glow__pairs(p.k);
  p.transposed = below(2);
  if (p.transposed) {
    p.rows = rounded_numbers(p.k, p.m);
    p.a = room(pairs * p.m, sizeof *p.a);
    glow__kernels16_c.zip(p.k, p.m, p.rows, glow__even(p.m), p.a, p.m);
    p.rs = 1;
    p.cs = p.m;
  } else {
    p.rows = rounded_numbers(p.m, p.k);
    p.a = (glow__pair *)(void *)p.rows;
    p.rs = pairs;
    p.cs = 1;
  }
  p.ldc = p.n + below(5);
  int64_t layout = below(3);
  p.b_rs = layout == 0 ? 1 : layout == 1 ? p.n : 2 * p.n;
  p.b_cs = layout == 0 ? p.k : layout == 1 ? 1 : 2;
  p.b = numbers(2 * p.k * p.n);
  p.bias = numbers(p.n);
  p.scale = numbers(p.n);
  p.before = numbers(p.m * p.ldc + BEYOND);
  int64_t blocks = (p.n + WIDEST - 1) / WIDEST;
  int64_t first = below(3) ? 0 : below(blocks);
  int64_t last = below(3) ? blocks : first + 1 + below(blocks - first);
  p.first = first * WIDEST;
  p.last = last * WIDEST < p.n ? last * WIDEST : p.n;
  p.epilogue.end = random_epilogue(p.bias, p.scale);
  p.rounded = below(2);
  return p;
}

static void free_product(product *p) {
  if (p->transposed)
    free(p->a);
  free(p->rows);
  free(p->b);
  free(p->bias);
  free(p->scale);
  free(p->before);
}

static void run(const glow__kernels16 *kernels, const product *p, float *c, uint16_t *rounded) {
  glow__pair *packed = room(glow__packed16(kernels, p->k, p->n), sizeof *packed);
  glow__epilogue16 epilogue = p->epilogue;
  int64_t panels = glow__panels16(kernels, p->n), middle = panels / 2;
  kernels->pack(p->k, p->n, p->b, p->b_rs, p->b_cs, packed, middle, panels);
  kernels->pack(p->k, p->n, p->b, p->b_rs, p->b_cs, packed, 0, middle);
  epilogue.rounded = p->rounded ? rounded : NULL;
  kernels->gemm(p->m, p->n, glow__pairs(p->k), p->a, p->rs, p->cs, packed,
                p->rounded && !epilogue.end.accumulate ? NULL : c, p->ldc,
                p->first / kernels->panel, (p->last + kernels->panel - 1) / kernels->panel,
                &epilogue);
  free(packed);
}

/* What one element must be, and the size of its terms. */
static double expected(const product *p, int64_t i, int64_t j, double *size) {
  double sum = 0;
  *size = 1;
  for (int64_t x = 0; x < p->k; x++) {
    uint16_t a =
        p->transposed ? p->rows[x * glow__even(p->m) + i] : p->rows[i * glow__even(p->k) + x];
    float b = glow__widen16(glow__round16(p->b[x * p->b_rs + j * p->b_cs]));
    double term = (double)glow__widen16(a) * (double)b;
    sum += term;
    *size += fabs(term);
  }
  return finish_exactly(sum, p->before[i * p->ldc + j], j, &p->epilogue.end);
}

/* A chain of k roundings of partial sums is within k 2^-24 of the sum of sizes, and rounding the
 * result (8 bits, to the nearest) within 2^-8 of it. */
static void check_close(const glow__kernels16 *kernels, const product *p, const float *c,
                        const uint16_t *rounded) {
  for (int64_t i = 0; i < p->m; i++)
    for (int64_t j = p->first; j < p->last; j++) {
      double size = 0, truth = expected(p, i, j, &size);
      double got = (double)(p->rounded ? glow__widen16(rounded[i * glow__even(p->n) + j])
                                       : c[i * p->ldc + j]);
      double bound = size * (double)(p->k + 4) * 0x1p-24;
      if (p->rounded)
        bound += fabs(truth) * 0x1p-8;
      if (!(fabs(got - truth) <= bound))
        fail_msg("%s: m %lld n %lld k %lld, element (%lld, %lld) is off by %g", kernels->name,
                 (long long)p->m, (long long)p->n, (long long)p->k, (long long)i, (long long)j,
                 got - truth);
    }
}

static void check_outside(const glow__kernels16 *kernels, const product *p, const float *c,
                          const uint16_t *rounded) {
  int64_t width = glow__even(p->n);
  for (int64_t i = 0; i < p->m; i++)
    for (int64_t j = 0; j < p->ldc; j++)
      if ((p->rounded || j < p->first || j >= p->last) &&
          c[i * p->ldc + j] != p->before[i * p->ldc + j])
        fail_msg("%s: element (%lld, %lld) outside was written", kernels->name, (long long)i,
                 (long long)j);
  assert_memory_equal(c + p->m * p->ldc, p->before + p->m * p->ldc, BEYOND * sizeof *c);
  for (int64_t i = 0; i < p->m; i++)
    for (int64_t j = 0; j < width; j++) {
      bool inside = p->rounded && j >= p->first && j < p->last;
      bool padding = p->rounded && j == p->n && p->last == p->n;
      if (!inside && rounded[i * width + j] != (padding ? 0 : 0x5a5a))
        fail_msg("%s: rounded (%lld, %lld) outside was written", kernels->name, (long long)i,
                 (long long)j);
    }
  assert_int_equal(rounded[p->m * width], 0x5a5a);
}

static void test_products(void **unused) {
  (void)unused;
  for (uint32_t i = 0; glow__kernels16_at(i); i++) {
    const glow__kernels16 *kernels = glow__kernels16_at(i);
    print_message("kernels %s, seed 1\n", kernels->name);
    state = 1;
    for (int round = 0; round < ROUNDS; round++) {
      product p = random_product();
      float *c = copy_of(p.before, p.m * p.ldc), *truth = copy_of(p.before, p.m * p.ldc);
      uint16_t *rounded = room(p.m * glow__even(p.n), sizeof *rounded);
      uint16_t *rounded_truth = room(p.m * glow__even(p.n), sizeof *rounded);
      run(kernels, &p, c, rounded);
      run(&glow__kernels16_c, &p, truth, rounded_truth);
      check_close(kernels, &p, c, rounded);
      check_outside(kernels, &p, c, rounded);
      /* What follows the sum may be fused by one provider and not by the other. */
      bool exact = !(p.epilogue.end.scale || p.epilogue.end.bias || p.epilogue.end.accumulate);
      if (exact) {
        assert_memory_equal(c, truth, (size_t)(p.m * p.ldc) * sizeof *c);
        assert_memory_equal(rounded, rounded_truth,
                            (size_t)(p.m * glow__even(p.n)) * sizeof *rounded);
      }
      free(c);
      free(truth);
      free(rounded);
      free(rounded_truth);
      free_product(&p);
    }
  }
}

static void test_rows_are_independent(void **unused) {
  (void)unused;
  for (uint32_t i = 0; glow__kernels16_at(i); i++) {
    const glow__kernels16 *kernels = glow__kernels16_at(i);
    state = 2;
    for (int round = 0; round < 50; round++) {
      product p = random_product();
      int64_t width = glow__even(p.n), row = below(p.m);
      p.first = 0;
      p.last = p.n;
      float *whole = copy_of(p.before, p.m * p.ldc), *one = copy_of(p.before, p.m * p.ldc);
      uint16_t *rounded = room(p.m * width, sizeof *rounded), *rounded_one = room(width, 2);
      run(kernels, &p, whole, rounded);
      memcpy(one, p.before + row * p.ldc, (size_t)p.ldc * sizeof *one);
      product alone = p;
      alone.m = 1;
      alone.a = p.a + row * p.rs;
      run(kernels, &alone, one, rounded_one);
      assert_memory_equal(one, whole + row * p.ldc, (size_t)p.n * sizeof *one);
      if (p.rounded)
        assert_memory_equal(rounded_one, rounded + row * width, (size_t)width * 2);
      free(whole);
      free(one);
      free(rounded);
      free(rounded_one);
      free_product(&p);
    }
  }
}

static void test_nan_and_infinity(void **unused) {
  (void)unused;
  for (uint32_t i = 0; glow__kernels16_at(i); i++) {
    const glow__kernels16 *kernels = glow__kernels16_at(i);
    const float from[3] = {NAN, INFINITY, -1.0f};
    uint16_t a[6], rounded[3 * 40];
    float b[40], c[3 * 40];
    glow__pair *packed = room(glow__packed16(kernels, 1, 40), sizeof *packed);
    glow__epilogue16 relu = {.end.relu = 1};
    for (int j = 0; j < 40; j++)
      b[j] = 1.0f;
    kernels->round(3, 1, from, a);
    kernels->pack(1, 40, b, 40, 1, packed, 0, glow__panels16(kernels, 40));
    for (int into = 0; into < 2; into++) {
      relu.rounded = into ? rounded : NULL;
      kernels->gemm(3, 40, 1, (const glow__pair *)(const void *)a, 1, 1, packed, c, 40, 0,
                    glow__panels16(kernels, 40), &relu);
      for (int j = 0; j < 40; j++) {
        assert_true(isnan(into ? glow__widen16(rounded[j]) : c[j]));
        assert_true(isinf(into ? glow__widen16(rounded[40 + j]) : c[40 + j]));
        assert_true((into ? glow__widen16(rounded[80 + j]) : c[80 + j]) == 0.0f);
      }
    }
    free(packed);
  }
}

/* ---- back through a norm --------------------------------------------------------------------- */

static void check_norm(const glow__kernels16 *kernels, int64_t rows, int64_t n) {
  int64_t width = glow__even(n);
  uint16_t *h = rounded_numbers(rows, n), *rounded[2], *again = room(rows * width, 2);
  float *scale = numbers(n), *d = numbers(rows * n), *got[2], *sums[2];
  glow__pair *zipped[2];
  for (int i = 0; i < 2; i++) {
    const glow__kernels16 *k = i ? &glow__kernels16_c : kernels;
    got[i] = room(rows * n, sizeof(float));
    memcpy(got[i], d, (size_t)(rows * n) * sizeof(float));
    sums[i] = room(2 * n, sizeof(float));
    rounded[i] = room(rows * width, 2);
    zipped[i] = room(glow__pairs(rows) * n, sizeof(glow__pair));
    k->norm_back(rows, n, h, scale, got[i], sums[i], sums[i] + n, rounded[i], zipped[i]);
  }
  assert_memory_equal(got[0], got[1], (size_t)(rows * n) * sizeof(float));
  assert_memory_equal(rounded[0], rounded[1], (size_t)(rows * width + BEYOND) * 2);
  assert_memory_equal(zipped[0], zipped[1], (size_t)(glow__pairs(rows) * n + BEYOND) * 4);
  for (int64_t j = 0; j < 2 * n; j++) /* terms are below 1; providers fuse them or not */
    assert_true(fabsf(sums[0][j] - sums[1][j]) <= (float)(rows * rows) * 0x1p-23f);
  kernels->norm_back(rows, n, h, scale, d, sums[0], sums[0] + n, again, NULL);
  assert_memory_equal(again, rounded[0], (size_t)(rows * width) * 2);
  for (int i = 0; i < 2; i++) {
    free(got[i]);
    free(sums[i]);
    free(rounded[i]);
    free(zipped[i]);
  }
  free(h);
  free(again);
  free(scale);
  free(d);
}

static void test_back_through_norms(void **unused) {
  (void)unused;
  for (uint32_t i = 0; glow__kernels16_at(i); i++) {
    state = 4;
    for (int round = 0; round < 60; round++)
      check_norm(glow__kernels16_at(i), 1 + below(20), 1 + below(100));
  }
}

static void test_zip_panels(void **unused) {
  (void)unused;
  for (uint32_t i = 0; glow__kernels16_at(i); i++) {
    const glow__kernels16 *kernels = glow__kernels16_at(i);
    state = 5;
    for (int round = 0; round < 60; round++) {
      int64_t k = 1 + below(30), n = 1 + below(100), count = glow__packed16(kernels, k, n);
      float *from = numbers(k * n);
      uint16_t *halves = room(k * glow__even(n), 2);
      glow__pair *packed = room(count, sizeof *packed), *zipped = room(count, sizeof *zipped);
      kernels->round(k, n, from, halves);
      kernels->pack(k, n, from, n, 1, packed, 0, glow__panels16(kernels, n));
      glow__zip_panels(kernels, k, n, halves, glow__even(n), zipped);
      assert_memory_equal(packed, zipped, (size_t)(count + BEYOND) * sizeof *packed);
      free(from);
      free(halves);
      free(packed);
      free(zipped);
    }
  }
}

static void test_choice(void **unused) {
  (void)unused;
  assert_ptr_equal(glow__kernels16_of(&glow__kernels_c), &glow__kernels16_c);
  for (uint32_t i = 0; glow__kernels_at(i); i++) {
    const glow__kernels *kernels = glow__kernels_at(i);
    const char *name = glow__kernels16_of(kernels)->name;
    if (strcmp(kernels->name, "cblas") == 0)
      assert_string_equal(name, "c");
    else if (strcmp(name, "avx512bf16") == 0)
      assert_string_equal(kernels->name, "avx512");
    else
      assert_string_equal(name, kernels->name);
  }
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(test_rounding),
      cmocka_unit_test(test_products),
      cmocka_unit_test(test_rows_are_independent),
      cmocka_unit_test(test_nan_and_infinity),
      cmocka_unit_test(test_back_through_norms),
      cmocka_unit_test(test_zip_panels),
      cmocka_unit_test(test_choice),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
