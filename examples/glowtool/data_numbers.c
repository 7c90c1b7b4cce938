/* Elements of every type that files have, in double. SPDX-License-Identifier: MIT */
#include <math.h>
#include <string.h>

#include "data_array.h"

int64_t number_size(number_type type) {
  static const int64_t sizes[] = {
      [NUMBER_NONE] = 0, [NUMBER_U8] = 1,  [NUMBER_I8] = 1,  [NUMBER_U16] = 2, [NUMBER_I16] = 2,
      [NUMBER_U32] = 4,  [NUMBER_I32] = 4, [NUMBER_U64] = 8, [NUMBER_I64] = 8, [NUMBER_F16] = 2,
      [NUMBER_BF16] = 2, [NUMBER_F32] = 4, [NUMBER_F64] = 8};
  return sizes[type];
}

bool number_whole(number_type type) {
  return type >= NUMBER_U8 && type <= NUMBER_I64;
}

static uint64_t bits_at(const uint8_t *p, int64_t size, bool big) {
  uint64_t bits = 0;
  for (int64_t i = 0; i < size; i++)
    bits = bits << 8 | p[big ? i : size - 1 - i];
  return bits;
}

/* binary16: sign, 5 bits of exponent with bias 15, 10 of mantissa. */
static double from_half(uint32_t bits) {
  int exponent = (int)(bits >> 10 & 31);
  double mantissa = (double)(bits & 1023), value;
  if (exponent == 31)
    value = mantissa > 0.0 ? (double)NAN : (double)INFINITY;
  else
    value = exponent ? ldexp(1024.0 + mantissa, exponent - 25) : ldexp(mantissa, -24);
  return bits >> 15 ? -value : value;
}

static double from_single(uint32_t bits) {
  float value;
  memcpy(&value, &bits, sizeof value);
  return (double)value;
}

static double from_double(uint64_t bits) {
  double value;
  memcpy(&value, &bits, sizeof value);
  return value;
}

double number_at(const uint8_t *packed, int64_t i, number_type type, bool big) {
  int64_t size = number_size(type);
  uint64_t bits = bits_at(packed + i * size, size, big);
  switch (type) {
  case NUMBER_U8:
  case NUMBER_U16:
  case NUMBER_U32:
  case NUMBER_U64: return (double)bits;
  case NUMBER_I8: return (double)(int8_t)bits;
  case NUMBER_I16: return (double)(int16_t)bits;
  case NUMBER_I32: return (double)(int32_t)bits;
  case NUMBER_I64: return (double)(int64_t)bits;
  case NUMBER_F16: return from_half((uint32_t)bits);
  case NUMBER_BF16: return from_single((uint32_t)bits << 16);
  case NUMBER_F32: return from_single((uint32_t)bits);
  case NUMBER_F64: return from_double(bits);
  case NUMBER_NONE: break;
  }
  return NAN;
}
