/* Transposes a square of SIMD_WIDTH x SIMD_WIDTH floats in registers. For each bit d = 1, 2, 4, ...
 * and each pair of rows r and r + d, where r does not have the bit, the lanes of r whose number has
 * it change places with the lanes of r + d whose number does not. In the end the bits of row and
 * lane have changed places (Eklundh, "A fast computer method for matrix transposing", 1972).
 * SPDX-License-Identifier: MIT */
#ifndef GLOW_LIB_TRANSPOSE_SIMD_H
#define GLOW_LIB_TRANSPOSE_SIMD_H

#include "math/simd.h"

/* What lane l of the new rows r and r + d was: a lane of r, or SIMD_WIDTH + a lane of r + d. */
#define LANE_OF_FIRST(l, d) ((l) & (d) ? SIMD_WIDTH + (l) - (d) : (l))
#define LANE_OF_SECOND(l, d) ((l) & (d) ? SIMD_WIDTH + (l) : (l) + (d))
#define EACH_OF_4(lane, d, l) lane(l, d), lane((l) + 1, d), lane((l) + 2, d), lane((l) + 3, d)
#if SIMD_WIDTH == 16
#define EACH_LANE(lane, d) EACH_OF_8(lane, d, 0), EACH_OF_8(lane, d, 8)
#define EACH_OF_8(lane, d, l) EACH_OF_4(lane, d, l), EACH_OF_4(lane, d, (l) + 4)
#elif SIMD_WIDTH == 8
#define EACH_LANE(lane, d) EACH_OF_4(lane, d, 0), EACH_OF_4(lane, d, 4)
#else
#define EACH_LANE(lane, d) EACH_OF_4(lane, d, 0)
#endif

#ifdef __clang__
#define SHUFFLE(a, b, lane, d) __builtin_shufflevector(a, b, EACH_LANE(lane, d))
#else
#define SHUFFLE(a, b, lane, d) __builtin_shuffle(a, b, (mask){EACH_LANE(lane, d)})
#endif

#define EXCHANGE(rows, d)                                                                          \
  UNROLL                                                                                           \
  for (int r_ = 0; r_ < SIMD_WIDTH; r_++)                                                          \
    if ((r_ & (d)) == 0) {                                                                         \
      const vec first_ = (rows)[r_], second_ = (rows)[r_ + (d)];                                   \
      (rows)[r_] = SHUFFLE(first_, second_, LANE_OF_FIRST, d);                                     \
      (rows)[r_ + (d)] = SHUFFLE(first_, second_, LANE_OF_SECOND, d);                              \
    }

INLINE void transpose(vec rows[SIMD_WIDTH]) {
  EXCHANGE(rows, 1)
  EXCHANGE(rows, 2)
#if SIMD_WIDTH >= 8
  EXCHANGE(rows, 4)
#endif
#if SIMD_WIDTH >= 16
  EXCHANGE(rows, 8)
#endif
}

#endif
