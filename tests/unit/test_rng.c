/* Random numbers: known answers, independence of how a sequence is cut, distributions.
 * SPDX-License-Identifier: MIT */
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "base/base.h"
#include "base/philox.h"

/* kat_vectors of the Random123 distribution, philox4x32 with 10 rounds. */
static void test_philox_known_answers(void **state) {
  static const uint32_t vectors[3][10] = {
      {0, 0, 0, 0, 0, 0, 0x6627e8d5, 0xe169c58d, 0xbc57ac4c, 0x9b00dbd8},
      {0xffffffff, 0xffffffff, 0xffffffff, 0xffffffff, 0xffffffff, 0xffffffff, 0x408f276d,
       0x41c83b0e, 0xa20bc7c6, 0x6d5451fd},
      {0x243f6a88, 0x85a308d3, 0x13198a2e, 0x03707344, 0xa4093822, 0x299f31d0, 0xd16cfe09,
       0x94fdcceb, 0x5001e420, 0x24126ea1},
  };
  (void)state;
  for (int i = 0; i < 3; i++) {
    uint32_t out[4];
    glow__philox(vectors[i], vectors[i] + 4, out);
    for (int k = 0; k < 4; k++)
      assert_int_equal(out[k], vectors[i][6 + k]);
  }
}

/* The first uniforms of seed 0, stream 0 are the first known answer's upper 24 bits. */
static void test_uniform_is_philox(void **state) {
  static const uint32_t words[4] = {0x6627e8d5, 0xe169c58d, 0xbc57ac4c, 0x9b00dbd8};
  float x[4];
  (void)state;
  glow_random_uniform(0, 0, 0, x, 4);
  for (int i = 0; i < 4; i++)
    assert_true((double)x[i] == (double)(words[i] >> 8) / 16777216.0);
}

/* Block 0 of the normals is counter {0, 0, 0, 1 << 30}: Box-Muller by the textbook. */
static void test_normal_is_box_muller(void **state) {
  const uint32_t key[2] = {5, 0}, counter[4] = {0, 0, 0, 1u << 30};
  uint32_t w[4];
  float x[2];
  (void)state;
  glow__philox(counter, key, w);
  glow_random_normal(5, 0, 0, x, 2);
  double u1 = ((double)((w[0] | (uint64_t)w[1] << 32) >> 11) + 0.5) / 9007199254740992.0;
  double u2 = (double)((w[2] | (uint64_t)w[3] << 32) >> 11) / 9007199254740992.0;
  double radius = sqrt(-2.0 * log(u1)), angle = 2.0 * 3.14159265358979323846 * u2;
  assert_true(fabs(x[0] - radius * cos(angle)) < 1e-6);
  assert_true(fabs(x[1] - radius * sin(angle)) < 1e-6);
}

typedef void (*draw_fn)(uint64_t, uint64_t, uint64_t, float *, int64_t);

static void check_cuts(draw_fn draw, uint64_t start) {
  enum { N = 97 };
  float whole[N], part[N];
  draw(42, 3, start, whole, N);
  for (int64_t size = 1; size <= 9; size++) {
    for (int64_t i = 0; i < N; i += size)
      draw(42, 3, start + (uint64_t)i, part + i, N - i < size ? N - i : size);
    assert_memory_equal(whole, part, sizeof whole);
  }
}

static void test_cuts_do_not_matter(void **state) {
  static const uint64_t starts[] = {0, 1, 2, 3, 1000001, UINT32_MAX - 10ull, UINT64_MAX - 50};
  (void)state;
  for (size_t i = 0; i < sizeof starts / sizeof *starts; i++) {
    check_cuts(glow_random_uniform, starts[i]);
    check_cuts(glow_random_normal, starts[i]);
  }
}

/* Sequences of other seeds, streams, kinds and far positions have nothing in common. */
static void test_sequences_differ(void **state) {
  enum { N = 64, SEQUENCES = 6 };
  float x[SEQUENCES][N];
  (void)state;
  glow_random_uniform(1, 0, 0, x[0], N);
  glow_random_uniform(2, 0, 0, x[1], N);
  glow_random_uniform(1, 1, 0, x[2], N);
  glow_random_uniform(1, 0, (uint64_t)1 << 34, x[3], N); /* block counter beyond 32 bits */
  glow_random_uniform((uint64_t)1 << 32 | 1, 0, 0, x[4], N);
  glow_random_uniform(1, (uint64_t)1 << 32, 0, x[5], N);
  for (int a = 0; a < SEQUENCES; a++)
    for (int b = 0; b < a; b++)
      for (int i = 0; i < N; i++)
        assert_true(x[a][i] != x[b][i]);
  assert_true(glow_random_derive(1, 0) != glow_random_derive(1, 1));
  assert_true(glow_random_derive(1, 0) != glow_random_derive(2, 0));
  assert_true(glow_random_derive(1, 0) == glow_random_derive(1, 0));
}

/* Means of n independent draws lie within 5 standard errors; the seed is fixed, so no flakes. */
static void test_moments(void **state) {
  enum { N = 200000 };
  float *x = malloc(N * sizeof *x);
  double sums[4] = {0}, lag = 0.0;
  (void)state;
  assert_non_null(x);
  glow_random_uniform(7, 1, 12345, x, N);
  for (int i = 0; i < N; i++) {
    assert_true(x[i] >= 0.0f && x[i] < 1.0f);
    assert_true((double)x[i] * 16777216.0 == floor((double)x[i] * 16777216.0));
    sums[0] += x[i];
    sums[1] += (double)x[i] * x[i];
  }
  assert_true(fabs(sums[0] / N - 0.5) < 5.0 * sqrt(1.0 / 12.0 / N));
  assert_true(fabs(sums[1] / N - 1.0 / 3.0) < 5.0 * sqrt(4.0 / 45.0 / N));
  memset(sums, 0, sizeof sums);
  glow_random_normal(7, 1, 12345, x, N);
  for (int i = 0; i < N; i++) {
    double square = (double)x[i] * x[i];
    sums[0] += x[i];
    sums[1] += square;
    sums[2] += square * x[i];
    sums[3] += square * square;
    lag += i ? (double)x[i] * x[i - 1] : 0.0;
  }
  assert_true(fabs(sums[0] / N) < 5.0 * sqrt(1.0 / N));
  assert_true(fabs(sums[1] / N - 1.0) < 5.0 * sqrt(2.0 / N));
  assert_true(fabs(sums[2] / N) < 5.0 * sqrt(15.0 / N));
  assert_true(fabs(sums[3] / N - 3.0) < 5.0 * sqrt(96.0 / N));
  assert_true(fabs(lag / N) < 5.0 * sqrt(1.0 / N));
  free(x);
}

static void test_permutations(void **state) {
  int32_t p[500], again[500];
  int counts[3][3] = {{0}};
  (void)state;
  for (int64_t n = 0; n <= 500; n += 25) {
    bool seen[500] = {false};
    glow_random_permutation(9, 2, (uint64_t)n, p, n);
    glow_random_permutation(9, 2, (uint64_t)n, again, n);
    assert_memory_equal(p, again, (size_t)n * sizeof *p);
    for (int64_t i = 0; i < n; i++) {
      assert_in_range(p[i], 0, n - 1);
      assert_false(seen[p[i]]);
      seen[p[i]] = true;
    }
  }
  for (uint64_t i = 0; i < 6000; i++) {
    glow_random_permutation(11, 0, 3 * i, p, 3);
    for (int k = 0; k < 3; k++)
      counts[k][p[k]]++;
  }
  for (int i = 0; i < 9; i++) /* 2000 expected, sd 36.5 */
    assert_in_range(counts[i / 3][i % 3], 1800, 2200);
}

/* ---- the public generator -------------------------------------------------------------------- */

static void test_generator(void **state) {
  glow_context context = {.references = 1};
  glow__live_add(&context, GLOW_LIVE_CONTEXT); /* as if it had been created */
  glow_rng *rng;
  float a[10], b[10];
  int32_t p[10], q[10];
  (void)state;
  assert_int_equal(glow_rng_create(&context, 77, &rng), GLOW_OK);
  assert_int_equal(glow_rng_position(rng), 0);
  assert_int_equal(glow_rng_uniform(rng, a, 3), GLOW_OK);
  assert_int_equal(glow_rng_uniform(rng, a + 3, 7), GLOW_OK);
  assert_int_equal(glow_rng_position(rng), 10);
  glow_random_uniform(77, GLOW_STREAM_USER, 0, b, 10);
  assert_memory_equal(a, b, sizeof a);
  assert_int_equal(glow_rng_normal(rng, a, 10), GLOW_OK);
  glow_random_normal(77, GLOW_STREAM_USER, 10, b, 10);
  assert_memory_equal(a, b, sizeof a);
  assert_int_equal(glow_rng_permutation(rng, p, 10), GLOW_OK);
  assert_int_equal(glow_rng_position(rng), 30);
  assert_int_equal(glow_rng_set_position(rng, 20), GLOW_OK);
  assert_int_equal(glow_rng_permutation(rng, q, 10), GLOW_OK);
  assert_memory_equal(p, q, sizeof p);
  glow_rng_destroy(&rng);
  assert_null(rng);
  glow_rng_destroy(&rng);
}

static void test_generator_arguments(void **state) {
  glow_context context = {.references = 1};
  glow__live_add(&context, GLOW_LIVE_CONTEXT); /* as if it had been created */
  glow_rng *rng = NULL;
  float x[2];
  (void)state;
  assert_int_equal(glow_rng_create(NULL, 1, &rng), GLOW_E_ARGUMENT);
  assert_int_equal(glow_rng_create(&context, 1, NULL), GLOW_E_ARGUMENT);
  assert_int_equal(glow_rng_create(&context, 1, &rng), GLOW_OK);
  assert_int_equal(glow_rng_uniform(rng, x, -1), GLOW_E_ARGUMENT);
  assert_int_equal(glow_rng_normal(rng, NULL, 1), GLOW_E_ARGUMENT);
  assert_int_equal(glow_rng_normal(NULL, x, 1), GLOW_E_ARGUMENT);
  assert_int_equal(glow_rng_permutation(rng, (int32_t *)x, (int64_t)1 << 31), GLOW_E_ARGUMENT);
  assert_int_equal(glow_rng_uniform(rng, NULL, 0), GLOW_OK);
  assert_int_equal(glow_rng_set_position(NULL, 1), GLOW_E_ARGUMENT);
  assert_int_equal(glow_rng_position(rng), 0);
  glow_rng_destroy(&rng);
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(test_philox_known_answers), cmocka_unit_test(test_uniform_is_philox),
      cmocka_unit_test(test_normal_is_box_muller), cmocka_unit_test(test_cuts_do_not_matter),
      cmocka_unit_test(test_sequences_differ),     cmocka_unit_test(test_moments),
      cmocka_unit_test(test_permutations),         cmocka_unit_test(test_generator),
      cmocka_unit_test(test_generator_arguments),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
