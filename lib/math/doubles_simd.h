/* Vectors of doubles, half as many as a vector has floats: what compilers do not make single
 * instructions of when it is written with vector types. Included with SIMD_WIDTH defined.
 * SPDX-License-Identifier: MIT */
#include <math.h>
#include <stdint.h>
#include <string.h>

enum { DOUBLES = SIMD_WIDTH / 2 };
typedef double dvec __attribute__((vector_size(DOUBLES * 8)));
typedef uint64_t luvec __attribute__((vector_size(DOUBLES * 8)));

#if SIMD_WIDTH == 16
#include <immintrin.h>

typedef __mmask8 dmask; /* which lanes */
LANES dmask at_least(dvec a, dvec b) {
  return _mm512_cmp_pd_mask(a, b, _CMP_GE_OQ);
}
LANES dmask below(dvec a, dvec b) {
  return _mm512_cmp_pd_mask(a, b, _CMP_LT_OQ);
}
LANES dmask equal(dvec a, dvec b) {
  return _mm512_cmp_pd_mask(a, b, _CMP_EQ_OQ);
}
LANES dvec choose(dmask where, dvec a, dvec b) {
  return _mm512_mask_blend_pd(where, b, a);
}
LANES dvec larger(dvec a, dvec b) {
  return _mm512_max_pd(a, b);
}
LANES dvec smaller(dvec a, dvec b) {
  return _mm512_min_pd(a, b);
}
LANES dvec root(dvec a) {
  return _mm512_sqrt_pd(a);
}
LANES dvec floats_at(const float *x) {
  return _mm512_cvtps_pd(_mm256_loadu_ps(x));
}
LANES void put_floats(float *x, dvec v) {
  _mm256_storeu_ps(x, _mm512_cvtpd_ps(v));
}

#elif SIMD_WIDTH == 8
#include <immintrin.h>

typedef dvec dmask; /* all bits of a lane, or none */
LANES dmask at_least(dvec a, dvec b) {
  return _mm256_cmp_pd(a, b, _CMP_GE_OQ);
}
LANES dmask below(dvec a, dvec b) {
  return _mm256_cmp_pd(a, b, _CMP_LT_OQ);
}
LANES dmask equal(dvec a, dvec b) {
  return _mm256_cmp_pd(a, b, _CMP_EQ_OQ);
}
LANES dvec choose(dmask where, dvec a, dvec b) {
  return _mm256_blendv_pd(b, a, where);
}
LANES dvec larger(dvec a, dvec b) {
  return _mm256_max_pd(a, b);
}
LANES dvec smaller(dvec a, dvec b) {
  return _mm256_min_pd(a, b);
}
LANES dvec root(dvec a) {
  return _mm256_sqrt_pd(a);
}
LANES dvec floats_at(const float *x) {
  return _mm256_cvtps_pd(_mm_loadu_ps(x));
}
LANES void put_floats(float *x, dvec v) {
  _mm_storeu_ps(x, _mm256_cvtpd_ps(v));
}

#else
typedef float hvec __attribute__((vector_size(DOUBLES * 4)));
typedef int64_t dmask __attribute__((vector_size(DOUBLES * 8))); /* all bits of a lane, or none */
LANES dmask at_least(dvec a, dvec b) {
  return a >= b;
}
LANES dmask below(dvec a, dvec b) {
  return a < b;
}
LANES dmask equal(dvec a, dvec b) {
  return a == b;
}
LANES dvec choose(dmask where, dvec a, dvec b) {
  return (dvec)((where & (dmask)a) | (~where & (dmask)b));
}
/* The larger, the smaller one; if one is NaN, b. */
LANES dvec larger(dvec a, dvec b) {
  return choose(a > b, a, b);
}
LANES dvec smaller(dvec a, dvec b) {
  return choose(a < b, a, b);
}
LANES dvec root(dvec a) {
  for (int l = 0; l < DOUBLES; l++)
    a[l] = sqrt(a[l]);
  return a;
}
LANES dvec floats_at(const float *x) {
  hvec v;
  memcpy(&v, x, sizeof v);
  return __builtin_convertvector(v, dvec);
}
LANES void put_floats(float *x, dvec v) {
  hvec narrow = __builtin_convertvector(v, hvec);
  memcpy(x, &narrow, sizeof narrow);
}
#endif

LANES dvec each(double value) {
  return value + (dvec){0};
}
LANES dvec doubles_at(const double *x) {
  dvec v;
  memcpy(&v, x, sizeof v);
  return v;
}
LANES void put_doubles(double *x, dvec v) {
  memcpy(x, &v, sizeof v);
}
