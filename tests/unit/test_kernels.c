/* Every provider of kernels that this machine can run, against sums in double on random shapes:
 * edges of tiles and panels, both layouts of A, all epilogues, parts of the panels. And the promise
 * that a row has the same bits in any batch. SPDX-License-Identifier: MIT */
#include "math/kernels.h"

#include <math.h>
#include <stdio.h>

#include "base/base.h"
#include "unit/kernel_helpers.h"

enum { ROUNDS = 300 };

static float *packed_room(const glow__kernels *kernels, int64_t k, int64_t n) {
  return room(glow__packed_size(kernels, k, n), sizeof(float));
}

/* One product in all its settings. */
typedef struct product {
  int64_t m, n, k, first, last;
  int64_t panel;
  float *a, *b, *bias, *scale, *before;
  bool a_transposed, b_transposed;
  glow_layout a_layout, c_layout;
  int64_t c_size;
  glow_epilogue epilogue;
} product;

/* Rows, which may have something between them, or panels, for a matrix [k, n]. */
static glow_layout random_layout(const glow__kernels *kernels, int64_t k, int64_t n) {
  return below(2) ? glow__in_panels(kernels, k, n) : glow__in_rows(kernels, n + below(5));
}

static int64_t place(const product *p, glow_layout layout, int64_t i, int64_t j) {
  return i * layout.row + j / p->panel * layout.panel + j % p->panel;
}

static product random_product(const glow__kernels *kernels) {
  product p = {.m = 1 + below(MOST_M),
               .n = 1 + below(MOST_N),
               .k = 1 + below(below(4) ? 40 : MOST_K),
               .panel = kernels->panel};
  p.a_transposed = below(2);
  p.a_layout = p.a_transposed ? random_layout(kernels, p.k, p.m) : random_layout(kernels, p.m, p.k);
  p.c_layout = random_layout(kernels, p.m, p.n);
  p.a = numbers((p.m + p.panel) * (p.k + p.panel));
  p.b = numbers(p.k * p.n);
  p.b_transposed = below(2);
  p.bias = numbers(p.n);
  p.scale = numbers(p.n);
  p.c_size = (p.m + 1) * (p.n + p.panel);
  p.before = numbers(p.c_size + BEYOND);
  int64_t panels = glow__panels(kernels, p.n);
  p.first = below(3) ? 0 : below(panels);
  p.last = below(3) ? panels : p.first + 1 + below(panels - p.first);
  p.epilogue = random_epilogue(p.bias, p.scale);
  return p;
}

static void free_product(product *p) {
  free(p->a);
  free(p->b);
  free(p->bias);
  free(p->scale);
  free(p->before);
}

static void run(const glow__kernels *kernels, const product *p, float *c) {
  float *packed = packed_room(kernels, p->k, p->n);
  kernels->pack(p->k, p->n, p->b, p->b_transposed ? 1 : p->n, p->b_transposed ? p->k : 1, packed, 0,
                glow__panels(kernels, p->n));
  (p->a_transposed ? kernels->gemm_transposed : kernels->gemm)(
      p->m, p->n, p->k, p->a, p->a_layout, packed, c, p->c_layout, p->first, p->last, &p->epilogue);
  free(packed);
}

/* What one element must be, and the size of its terms. */
static double expected(const product *p, int64_t i, int64_t j, double *size) {
  double sum = 0;
  *size = 1;
  for (int64_t x = 0; x < p->k; x++) {
    double b = (double)(p->b_transposed ? p->b[j * p->k + x] : p->b[x * p->n + j]);
    int64_t at = p->a_transposed ? place(p, p->a_layout, x, i) : place(p, p->a_layout, i, x);
    double term = (double)p->a[at] * b;
    sum += term;
    *size += fabs(term);
  }
  return finish_exactly(sum, p->before[place(p, p->c_layout, i, j)], j, &p->epilogue);
}

/* A chain of k roundings of partial sums is within k 2^-24 of the sum of sizes; it is far less. */
static void check(const glow__kernels *kernels, const product *p, const float *c) {
  int64_t low = p->first * p->panel, high = p->last * p->panel < p->n ? p->last * p->panel : p->n;
  float *outside = copy_of(c, p->c_size);
  for (int64_t i = 0; i < p->m; i++)
    for (int64_t j = low; j < high; j++) {
      int64_t at = place(p, p->c_layout, i, j);
      double size = 0, error = fabs((double)c[at] - expected(p, i, j, &size));
      if (!(error <= size * (double)(p->k + 4) * 0x1p-24))
        fail_msg("%s: m %lld n %lld k %lld, element (%lld, %lld) is off by %g", kernels->name,
                 (long long)p->m, (long long)p->n, (long long)p->k, (long long)i, (long long)j,
                 error);
      outside[at] = p->before[at];
    }
  /* nothing else was written */
  assert_memory_equal(outside, p->before, (size_t)(p->c_size + BEYOND) * sizeof *c);
  free(outside);
}

static void test_products(void **unused) {
  (void)unused;
  for (uint32_t i = 0; glow__kernels_at(i); i++) {
    const glow__kernels *kernels = glow__kernels_at(i);
    print_message("kernels %s, seed 1\n", kernels->name);
    state = 1;
    for (int round = 0; round < ROUNDS; round++) {
      product p = random_product(kernels);
      float *c = copy_of(p.before, p.c_size);
      run(kernels, &p, c);
      check(kernels, &p, c);
      free(c);
      free_product(&p);
    }
  }
}

/* CBLAS does not promise it; all others do. */
static void test_rows_are_independent(void **unused) {
  (void)unused;
  for (uint32_t i = 0; glow__kernels_at(i); i++) {
    const glow__kernels *kernels = glow__kernels_at(i);
    if (strcmp(kernels->name, "cblas") == 0)
      continue;
    state = 2;
    for (int round = 0; round < 50; round++) {
      product p = random_product(kernels);
      p.first = 0;
      p.last = glow__panels(kernels, p.n);
      int64_t row = below(p.m);
      float *whole = copy_of(p.before, p.c_size);
      run(kernels, &p, whole);
      product alone = p;
      alone.m = 1;
      alone.a = p.a + (p.a_transposed ? place(&p, p.a_layout, 0, row) : row * p.a_layout.row);
      alone.before = p.before + row * p.c_layout.row;
      float *one = copy_of(alone.before, p.c_size - row * p.c_layout.row);
      run(kernels, &alone, one);
      for (int64_t j = 0; j < p.n; j++)
        assert_memory_equal(one + place(&p, p.c_layout, 0, j),
                            whole + place(&p, p.c_layout, row, j), sizeof *one);
      free(whole);
      free(one);
      free_product(&p);
    }
  }
}

static void test_relu_keeps_nan(void **unused) {
  (void)unused;
  for (uint32_t i = 0; glow__kernels_at(i); i++) {
    const glow__kernels *kernels = glow__kernels_at(i);
    float a[2] = {NAN, -1.0f}, b[40], c[80] = {0};
    float *packed = packed_room(kernels, 1, 40);
    glow_epilogue relu = {.relu = 1};
    for (int j = 0; j < 40; j++)
      b[j] = 1.0f;
    kernels->pack(1, 40, b, 40, 1, packed, 0, glow__panels(kernels, 40));
    kernels->gemm(2, 40, 1, a, glow__in_rows(kernels, 1), packed, c, glow__in_rows(kernels, 40), 0,
                  glow__panels(kernels, 40), &relu);
    for (int j = 0; j < 40; j++) {
      assert_true(isnan(c[j]));
      assert_true(c[40 + j] == 0.0f);
    }
    free(packed);
  }
}

/* Sums in float over `rows` terms, beside the formula in double. */
static void test_back_through_norm(void **unused) {
  (void)unused;
  for (uint32_t t = 0; glow__kernels_at(t); t++) {
    const glow__kernels *kernels = glow__kernels_at(t);
    state = 3;
    for (int round = 0; round < 50; round++) {
      product p = {.m = 1 + below(MOST_M), .n = 1 + below(MOST_N), .panel = kernels->panel};
      glow_layout layout = random_layout(kernels, p.m, p.n);
      int64_t size = (p.m + 1) * (p.n + p.panel);
      float *h = numbers(size), *before = numbers(size), *d = copy_of(before, size);
      float *scale = numbers(p.n), *sum_bias = numbers(p.n), *sum_scale = numbers(p.n);
      kernels->norm_back(p.m, p.n, h, scale, d, layout, sum_bias, sum_scale);
      for (int64_t j = 0; j < p.n; j++) {
        double bias = 0, factor = 0;
        for (int64_t i = 0; i < p.m; i++) {
          int64_t at = place(&p, layout, i, j);
          double g = h[at] > 0 ? (double)before[at] : 0;
          factor += g * (double)h[at];
          bias += g * (double)scale[j];
          assert_true(fabs((double)d[at] - g * (double)scale[j]) <= 0x1p-24);
          d[at] = before[at];
        }
        assert_true(fabs((double)sum_bias[j] - bias) <= (double)(p.m * p.m) * 0x1p-24);
        assert_true(fabs((double)sum_scale[j] - factor) <= (double)(p.m * p.m) * 0x1p-24);
      }
      assert_memory_equal(d, before, (size_t)size * sizeof *d); /* nothing else was written */
      float *const arrays[] = {h, before, d, scale, sum_bias, sum_scale};
      for (size_t i = 0; i < sizeof arrays / sizeof *arrays; i++)
        free(arrays[i]);
    }
  }
}

static void test_choice(void **unused) {
  (void)unused;
  assert_ptr_equal(glow__kernels_find(NULL), glow__kernels_at(0));
  assert_ptr_equal(glow__kernels_find("auto"), glow__kernels_at(0));
  assert_ptr_equal(glow__kernels_find("c"), &glow__kernels_c);
  assert_null(glow__kernels_find("none such"));
  for (uint32_t i = 0; glow_kernels_name(i); i++)
    assert_ptr_equal(glow__kernels_find(glow_kernels_name(i)), glow__kernels_at(i));
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(test_products),       cmocka_unit_test(test_rows_are_independent),
      cmocka_unit_test(test_relu_keeps_nan), cmocka_unit_test(test_back_through_norm),
      cmocka_unit_test(test_choice),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
