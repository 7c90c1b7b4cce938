/* Hashes of what must stay the same: FNV-1a, 64 bits (Fowler, Noll, Vo;
 * http://www.isthe.com/chongo/tech/comp/fnv). SPDX-License-Identifier: MIT */
#ifndef GLOW_TEST_HASH_H
#define GLOW_TEST_HASH_H

#include <stddef.h>
#include <stdint.h>
#include <string.h>

#define HASH_INIT 0xcbf29ce484222325u

static inline void hash_fold(uint64_t *hash, const void *data, size_t bytes) {
  const unsigned char *at = data;
  for (size_t i = 0; i < bytes; i++)
    *hash = (*hash ^ at[i]) * 0x100000001b3u;
}

/* Elements of `size` bytes, each from its lowest byte on, whatever the machine's order of bytes. */
static inline void hash_elements(uint64_t *hash, const void *data, size_t count, size_t size) {
  const unsigned char *at = data;
  for (; count > 0; count--, at += size)
    for (size_t i = 0; i < size; i++)
      hash_fold(hash, at + (__BYTE_ORDER__ == __ORDER_BIG_ENDIAN__ ? size - 1 - i : i), 1);
}

/* Another hash, of eight bytes at a step, for what is large. */
static inline void hash_words(uint64_t *hash, const void *data, size_t bytes) {
  const unsigned char *at = data;
  for (; bytes >= 8; at += 8, bytes -= 8) {
    uint64_t word;
    memcpy(&word, at, 8);
    *hash = (*hash ^ word) * 0x9e3779b97f4a7c15u;
    *hash ^= *hash >> 32;
  }
  hash_fold(hash, at, bytes);
}

static inline void hash_number(uint64_t *hash, int64_t number) {
  hash_fold(hash, &number, sizeof number);
}

static inline void hash_text(uint64_t *hash, const char *text) {
  hash_fold(hash, text, strlen(text) + 1);
}

#endif
