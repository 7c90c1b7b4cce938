/* float32 and bfloat16, which is the upper half of a float32: sign, 8 bits of exponent, 7 of
 * mantissa. SPDX-License-Identifier: MIT */
#include <math.h>
#include <string.h>

#include "io/io.h"

enum { BLOCK = 4096 }; /* elements checked without a branch, in vectors */

static uint32_t bits_of(const unsigned char *at) {
  uint32_t bits;
  memcpy(&bits, at, sizeof bits);
  return bits;
}

/* An exponent of all ones, which NaN and infinities have, carries into the sign's place when one is
 * added to it. */
static uint32_t carry(uint32_t bits) {
  return (bits & 0x7f800000u) + 0x00800000u;
}

static bool all_finite(const unsigned char *floats, int64_t count) {
  uint32_t carries = 0;
  for (int64_t i = 0; i < count; i++)
    carries |= carry(bits_of(floats + 4 * i));
  return !(carries >> 31);
}

int64_t glow__first_nonfinite(const void *floats, int64_t count) {
  for (int64_t at = 0; at < count; at += BLOCK) {
    const unsigned char *block = (const unsigned char *)floats + 4 * at;
    int64_t here = count - at < BLOCK ? count - at : BLOCK;
    if (all_finite(block, here))
      continue;
    for (int64_t i = 0; i < here; i++)
      if (carry(bits_of(block + 4 * i)) >> 31)
        return at + i;
  }
  return -1;
}

glow_status glow__tensor_check_finite(const char *name, const void *data, int64_t elements) {
  int64_t bad = glow__first_nonfinite(data, elements);
  if (bad < 0)
    return GLOW_OK;
  return glow_error(GLOW_E_FORMAT, "tensor '%s': element %lld is not finite", name, (long long)bad);
}

/* Adding 0x7fff to the bits, and 1 more if the upper half is odd, carries into the upper half if
 * the lower one is beyond the middle, or in the middle and the upper half odd. The largest float32
 * values become infinities that way; these are not finite, nor is what was not finite before. */
int64_t glow__to_bfloat16(const float *from, uint16_t *to, int64_t count) {
  const uint32_t exponent = 0x7f80;
  uint32_t bad = 0;
  for (int64_t i = 0; i < count; i++) {
    uint32_t bits;
    memcpy(&bits, &from[i], sizeof bits);
    uint32_t nan = (bits & 0x7fffffffu) > 0x7f800000u; /* might round to infinity or zero */
    uint32_t upper = (bits + 0x7fffu + (bits >> 16 & 1)) >> 16;
    to[i] = (uint16_t)upper;
    bad |= nan | ((upper & exponent) == exponent);
  }
  for (int64_t i = 0; bad && i < count; i++)
    if (!isfinite(from[i]) || (to[i] & exponent) == exponent)
      return i;
  return -1;
}

void glow__from_bfloat16(const uint16_t *from, float *to, int64_t count) {
  for (int64_t i = 0; i < count; i++) {
    uint32_t bits = (uint32_t)from[i] << 16;
    memcpy(&to[i], &bits, sizeof bits);
  }
}
