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
  int64_t m, n, k, rs, cs, ldc, first, last;
  float *a, *b, *bias, *scale, *before;
  bool b_transposed;
  glow__epilogue epilogue;
} product;

static product random_product(const glow__kernels *kernels) {
  product p = {
      .m = 1 + below(MOST_M), .n = 1 + below(MOST_N), .k = 1 + below(below(4) ? 40 : MOST_K)};
  bool transposed = below(2);
  p.rs = transposed ? 1 : p.k + below(3);
  p.cs = transposed ? p.m + below(3) : 1;
  p.ldc = p.n + below(5);
  p.a = numbers((p.m + 3) * (p.k + 3));
  p.b = numbers(p.k * p.n);
  p.b_transposed = below(2);
  p.bias = numbers(p.n);
  p.scale = numbers(p.n);
  p.before = numbers(p.m * p.ldc + BEYOND);
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
  kernels->gemm(p->m, p->n, p->k, p->a, p->rs, p->cs, packed, c, p->ldc, p->first, p->last,
                &p->epilogue);
  free(packed);
}

/* What one element must be, and the size of its terms. */
static double expected(const product *p, int64_t i, int64_t j, double *size) {
  double sum = 0;
  *size = 1;
  for (int64_t x = 0; x < p->k; x++) {
    double b = (double)(p->b_transposed ? p->b[j * p->k + x] : p->b[x * p->n + j]);
    double term = (double)p->a[i * p->rs + x * p->cs] * b;
    sum += term;
    *size += fabs(term);
  }
  return finish_exactly(sum, p->before[i * p->ldc + j], j, &p->epilogue);
}

/* A chain of k roundings of partial sums is within k 2^-24 of the sum of sizes; it is far less. */
static void check(const glow__kernels *kernels, const product *p, const float *c) {
  int64_t low = p->first * kernels->panel, high = p->last * kernels->panel;
  for (int64_t i = 0; i < p->m; i++)
    for (int64_t j = 0; j < p->ldc; j++) {
      double size = 0, error;
      if (j < low || j >= high || j >= p->n) {
        if (c[i * p->ldc + j] != p->before[i * p->ldc + j])
          fail_msg("%s: element (%lld, %lld) outside was written", kernels->name, (long long)i,
                   (long long)j);
        continue;
      }
      error = fabs((double)c[i * p->ldc + j] - expected(p, i, j, &size));
      if (!(error <= size * (double)(p->k + 4) * 0x1p-24))
        fail_msg("%s: m %lld n %lld k %lld, element (%lld, %lld) is off by %g", kernels->name,
                 (long long)p->m, (long long)p->n, (long long)p->k, (long long)i, (long long)j,
                 error);
    }
}

static void test_products(void **unused) {
  (void)unused;
  for (uint32_t i = 0; glow__kernels_at(i); i++) {
    const glow__kernels *kernels = glow__kernels_at(i);
    print_message("kernels %s, seed 1\n", kernels->name);
    state = 1;
    for (int round = 0; round < ROUNDS; round++) {
      product p = random_product(kernels);
      float *c = copy_of(p.before, p.m * p.ldc);
      run(kernels, &p, c);
      check(kernels, &p, c);
      assert_memory_equal(c + p.m * p.ldc, p.before + p.m * p.ldc, BEYOND * sizeof *c);
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
      float *whole = copy_of(p.before, p.m * p.ldc), *one = copy_of(p.before + row * p.ldc, p.ldc);
      run(kernels, &p, whole);
      product alone = p;
      alone.m = 1;
      alone.a = p.a + row * p.rs;
      run(kernels, &alone, one);
      assert_memory_equal(one, whole + row * p.ldc, (size_t)p.n * sizeof *one);
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
    glow__epilogue relu = {.relu = 1};
    for (int j = 0; j < 40; j++)
      b[j] = 1.0f;
    kernels->pack(1, 40, b, 40, 1, packed, 0, glow__panels(kernels, 40));
    kernels->gemm(2, 40, 1, a, 1, 1, packed, c, 40, 0, glow__panels(kernels, 40), &relu);
    for (int j = 0; j < 40; j++) {
      assert_true(isnan(c[j]));
      assert_true(c[40 + j] == 0.0f);
    }
    free(packed);
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
      cmocka_unit_test(test_products),
      cmocka_unit_test(test_rows_are_independent),
      cmocka_unit_test(test_relu_keeps_nan),
      cmocka_unit_test(test_choice),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
