/* Functions over arrays with vector types: one source for all instruction sets, included with
 * SIMD_WIDTH defined. It ends with fill_functions. Tails go through a vector too, so that an
 * element's place does not matter. Compiled with -ffp-contract=fast: a * b + c is one fused
 * multiply-add.
 *
 * Sources: argument reduction with log 2 in two parts, Cody and Waite 1980; log and tanh by the
 * polynomials of Moshier's Cephes (logf, tanhf), exp by its series. SPDX-License-Identifier: MIT */
#include <string.h>

#include "math/functions.h"

typedef float fvec __attribute__((vector_size(SIMD_WIDTH * 4)));
typedef int32_t ivec __attribute__((vector_size(SIMD_WIDTH * 4)));
typedef uint32_t uvec __attribute__((vector_size(SIMD_WIDTH * 4)));

#define LANES static inline __attribute__((always_inline))

LANES fvec all(float value) {
  return value + (fvec){0};
}

LANES fvec pick(ivec mask, fvec a, fvec b) {
  return (fvec)((mask & (ivec)a) | (~mask & (ivec)b));
}

LANES fvec size_of(fvec x) {
  return (fvec)((uvec)x & 0x7fffffffu);
}

/* 2^n for n from -126 to 127 */
LANES fvec power(ivec n) {
  return (fvec)((uvec)(n + 127) << 23);
}

/* x = n log 2 + r, |r| <= log 2 / 2. exp(r) by its series to r^7, within 5e-9; times 2^n in two
 * factors, of which only the second one rounds where the result is subnormal. */
LANES fvec exp_of(fvec x) {
  const float round = 12582912.0f; /* 1.5 2^23: adding it leaves an integer in the low bits */
  x = pick(x < -104.0f, all(-104.0f), pick(x > 89.0f, all(89.0f), x));
  fvec t = x * 1.44269504f + round, n = t - round;
  ivec whole = (ivec)((uvec)t - 0x4b400000u), half = whole >> 1;
  fvec r = x - n * 0x1.62e4p-1f;
  r = r - n * 0x1.7f7d1cp-20f;
  fvec q = r * (1.0f / 5040) + 1.0f / 720;
  q = q * r + 1.0f / 120;
  q = q * r + 1.0f / 24;
  q = q * r + 1.0f / 6;
  q = q * r + 0.5f;
  q = (q * r) * r + r;
  return (q + 1.0f) * power(half) * power(whole - half);
}

/* x = m 2^e with m in [sqrt(1/2), sqrt(2)), x normal; log x = log(1 + f) + (e - less) log 2. */
LANES fvec log_normal(fvec x, fvec less) {
  uvec i = (uvec)x - 0x3f3504f3u;
  fvec e = __builtin_convertvector((ivec)i >> 23, fvec) - less;
  fvec f = (fvec)((i & 0x7fffffu) + 0x3f3504f3u) - 1.0f, z = f * f;
  fvec p = f * 7.0376836292e-2f - 1.1514610310e-1f;
  p = p * f + 1.1676998740e-1f;
  p = p * f - 1.2420140846e-1f;
  p = p * f + 1.4249322787e-1f;
  p = p * f - 1.6668057665e-1f;
  p = p * f + 2.0000714765e-1f;
  p = p * f - 2.4999993993e-1f;
  p = p * f + 3.3333331174e-1f;
  p = p * f * z + e * -2.12194440e-4f;
  p = p - 0.5f * z;
  return (f + p) + e * 0.693359375f;
}

LANES fvec log_of(fvec x) {
  ivec below = x < 0x1p-126f;
  fvec y = log_normal(pick(below, x * 0x1p23f, x), pick(below, all(23.0f), all(0.0f)));
  y = pick(x == __builtin_inff(), x, y);
  fvec rest = pick(x == 0.0f, all(-__builtin_inff()), all(__builtin_nanf("")));
  return pick(x > 0.0f, y, rest);
}

/* log(1 + e) for e in [0, 1]: log u + (e - (u - 1)) / u with u = 1 + e as rounded. */
LANES fvec log1p_of(fvec e) {
  fvec u = 1.0f + e;
  return log_normal(u, all(0.0f)) + (e - (u - 1.0f)) / u;
}

LANES fvec softplus_of(fvec x) {
  return pick(x > 0.0f, x, all(0.0f)) + log1p_of(exp_of(-size_of(x)));
}

/* Near 0 an odd polynomial; else 1 - 2 / (exp(2 |x|) + 1). */
LANES fvec tanh_of(fvec x) {
  fvec z = x * x, size = size_of(x);
  fvec p = z * -5.70498872745e-3f + 2.06390887954e-2f;
  p = p * z - 5.37397155531e-2f;
  p = p * z + 1.33314422036e-1f;
  p = p * z - 3.33332819422e-1f;
  p = (p * z) * x + x;
  fvec far = 1.0f - 2.0f / (exp_of(size + size) + 1.0f);
  far = (fvec)((uvec)far | ((uvec)x & 0x80000000u));
  return pick(size < 0.625f, p, far);
}

LANES fvec lanes(const float *x, int64_t n) {
  fvec v = {0};
  memcpy(&v, x, (size_t)(n < SIMD_WIDTH ? n : SIMD_WIDTH) * sizeof(float));
  return v;
}

LANES void put(float *y, int64_t n, fvec v) {
  memcpy(y, &v, (size_t)(n < SIMD_WIDTH ? n : SIMD_WIDTH) * sizeof(float));
}

#define ARRAY(name, of)                                                                            \
  static void name(int64_t n, const float *x, float *y) {                                          \
    for (; n >= SIMD_WIDTH; n -= SIMD_WIDTH, x += SIMD_WIDTH, y += SIMD_WIDTH)                     \
      put(y, SIMD_WIDTH, of(lanes(x, SIMD_WIDTH)));                                                \
    if (n > 0)                                                                                     \
      put(y, n, of(lanes(x, n)));                                                                  \
  }
ARRAY(exp_array, exp_of)
ARRAY(log_array, log_of)
ARRAY(tanh_array, tanh_of)
ARRAY(softplus_array, softplus_of)

/* part / (u (1 + lost)) */
LANES fvec over(fvec part, fvec u, fvec lost) {
  fvec q = part / u;
  return q - q * lost;
}

static void sigmoid_array(int64_t n, const float *x, float *y, float *complement, float *log_y) {
  for (int64_t i = 0; i < n; i += SIMD_WIDTH) {
    fvec v = lanes(x + i, n - i), e = exp_of(-size_of(v)), u = 1.0f + e;
    fvec lost = (e - (u - 1.0f)) / u; /* error of rounding u, relative to u */
    ivec right = v >= 0.0f;
    if (complement)
      put(complement + i, n - i, over(pick(right, e, all(1.0f)), u, lost));
    if (log_y)
      put(log_y + i, n - i, pick(right, all(0.0f), v) - log1p_of(e));
    put(y + i, n - i, over(pick(right, all(1.0f), e), u, lost));
  }
}

static void fill_functions(glow__functions *functions) {
  functions->exp = exp_array;
  functions->log = log_array;
  functions->tanh = tanh_array;
  functions->softplus = softplus_array;
  functions->sigmoid = sigmoid_array;
}
