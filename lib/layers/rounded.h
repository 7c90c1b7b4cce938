/* What a network with products of bfloat16 sees of a value, and how a coupling keeps the two
 * directions alike.
 *
 * x1 comes back to a coupling off by the rounding of float32. A value near the middle between two
 * neighbours would then be seen as the other one, and what the network makes of that spreads over
 * the layers that follow. So the flow's own value is moved off the middle, by no more than float32
 * itself is off after a few layers:
 *
 *   q(v)       = max(2^(e-7), 2^-7) with 2^e <= |v| < 2^(e+1): the step of bfloat16, but errors of
 *                a flow do not shrink with the value, so neither does the step below 1; and the
 *                larger the step, the fewer values are near a middle
 *   rounded(v) = q round(v / q), to the nearest, ties to even: a bfloat16
 *   settled(v) = the value nearest to v that is m or more from a middle, on v's side of it, where
 *                m(v) = 2^-18 max(1, |v|)
 *
 * settled(v) rounds as v does, and so does all that is less than m away from it. It differs from v
 * for one value in 1000 or so, and its derivative is taken to be 1. The layers before see that on
 * the way back: where several such moves meet in one pixel, a value may still change sides. Numbers
 * that are not finite, or beyond 2^100, stay as they are. SPDX-License-Identifier: MIT */
#ifndef GLOW_LIB_ROUNDED_H
#define GLOW_LIB_ROUNDED_H

#include <math.h>
#include <stdbool.h>
#include <stdint.h>
#include <string.h>

static inline bool glow__rounded_leaves(float v) {
  return !(fabsf(v) < 0x1p100f);
}

/* q(v) */
static inline float glow__rounded_step(float v) {
  uint32_t bits;
  float power; /* 2^e */
  memcpy(&bits, &v, sizeof bits);
  bits &= 0x7f800000u;
  memcpy(&power, &bits, sizeof power);
  return power < 1.0f ? 0x1p-7f : power * 0x1p-7f;
}

static inline float glow__rounded(float v) {
  float large = glow__rounded_step(v) * 0x1.8p23f; /* here neighbours are one step apart */
  return glow__rounded_leaves(v) ? v : (v + large) - large;
}

static inline float glow__settled(float v) {
  float r = glow__rounded(v), size = fabsf(v), d = v - r;
  float most = glow__rounded_step(v) / 2 - 0x1p-18f * (size > 1.0f ? size : 1.0f);
  if (glow__rounded_leaves(v) || fabsf(d) <= most)
    return v;
  return r + (d < 0 ? -most : most);
}

#endif
