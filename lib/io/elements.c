/* Elements of tensor files as numbers, whatever their type, and shapes as text. Every F16, BF16 and
 * F32 is exact in double. SPDX-License-Identifier: MIT */
#include <math.h>
#include <stdio.h>
#include <string.h>

#include "io/io.h"

uint64_t glow__bits_at(const unsigned char *p, int64_t size) {
  uint64_t bits = 0;
  for (int64_t i = size - 1; i >= 0; i--)
    bits = bits << 8 | p[GLOW_BIG_ENDIAN ? size - 1 - i : i];
  return bits;
}

/* binary16: sign, 5 bits of exponent with bias 15, 10 of mantissa; exact in double. */
static double elements_half(uint32_t bits) {
  int exponent = (int)(bits >> 10 & 31);
  double mantissa = (double)(bits & 1023), value;
  if (exponent == 31)
    value = mantissa > 0.0 ? (double)NAN : (double)INFINITY;
  else
    value = exponent ? ldexp(1024.0 + mantissa, exponent - 25) : ldexp(mantissa, -24);
  return bits >> 15 ? -value : value;
}

double glow__real_at(const unsigned char *p, int32_t type) {
  double number;
  float single;
  uint64_t bits = glow__bits_at(p, glow__type_size(type));
  if (type == GLOW_TYPE_F64) {
    memcpy(&number, &bits, sizeof number);
    return number;
  }
  if (type == GLOW_TYPE_F16)
    return elements_half((uint32_t)bits);
  uint32_t half = (uint32_t)(type == GLOW_TYPE_BF16 ? bits << 16 : bits);
  memcpy(&single, &half, sizeof single);
  return (double)single;
}

int64_t glow__whole_at(const unsigned char *p, int32_t type) {
  uint64_t bits = glow__bits_at(p, glow__type_size(type));
  return type == GLOW_TYPE_I32 ? (int32_t)(uint32_t)bits : (int64_t)bits;
}

bool glow__type_is_real(int32_t type) {
  return type == GLOW_TYPE_F64 || type == GLOW_TYPE_F32 || type == GLOW_TYPE_BF16 ||
         type == GLOW_TYPE_F16;
}

bool glow__type_is_whole(int32_t type) {
  return type == GLOW_TYPE_I64 || type == GLOW_TYPE_I32;
}

const char *glow__dims_text(int32_t rank, const int64_t *dims, char *out, size_t size) {
  size_t used = (size_t)snprintf(out, size, "[");
  for (int32_t i = 0; i < rank && used < size; i++)
    used += (size_t)snprintf(out + used, size - used, "%s%lld", i ? ", " : "", (long long)dims[i]);
  if (used < size)
    snprintf(out + used, size - used, "]");
  return out;
}
