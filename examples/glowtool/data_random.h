/* Random numbers of generated pictures: a picture is a function of its seed and its number alone.
 * SPDX-License-Identifier: MIT */
#ifndef GLOWTOOL_DATA_RANDOM_H
#define GLOWTOOL_DATA_RANDOM_H

#include <stdint.h>

/* The first state of picture `number` of `seed`. */
static inline uint64_t picture_state(uint64_t seed, uint64_t number) {
  return seed * 0xD1342543DE82EF95u + number * 0x2545F4914F6CDD1Du + 1;
}

/* In [0, 1), by splitmix64: Steele, Lea and Flood, "Fast Splittable Pseudorandom Number
 * Generators", 2014. */
static inline double draw(uint64_t *state) {
  uint64_t z = *state += 0x9E3779B97F4A7C15u;
  z = (z ^ z >> 30) * 0xBF58476D1CE4E5B9u;
  z = (z ^ z >> 27) * 0x94D049BB133111EBu;
  return (double)((z ^ z >> 31) >> 11) * 0x1p-53;
}

static inline double between(uint64_t *state, double low, double high) {
  return low + (high - low) * draw(state);
}

#endif
