/* A mutator for the tool's files. It puts the checksums of PNG chunks right, changes what is in a
 * gzip file, and changes the head of an input, which chooses options, apart from the file.
 * SPDX-License-Identifier: MIT */
#include "fuzz.h"

#include <string.h>
#ifdef GLOWTOOL_HAVE_ZLIB
#include <zlib.h>
#endif

enum { LONGEST_HEAD = 12, MOST = 1 << 16 };

static uint64_t state;

static size_t random_below(size_t limit) { /* splitmix64 (Steele, Lea, Flood 2014) */
  uint64_t z = state += 0x9e3779b97f4a7c15u;
  z = (z ^ (z >> 30)) * 0xbf58476d1ce4e5b9u;
  z = (z ^ (z >> 27)) * 0x94d049bb133111ebu;
  return limit ? (size_t)((z ^ (z >> 31)) % limit) : 0;
}

/* ---- PNG ------------------------------------------------------------------------------------- */

/* CRC-32 of ISO 15948, annex D. */
static uint32_t check_sum(const uint8_t *bytes, size_t size) {
  uint32_t sum = UINT32_MAX;
  for (size_t i = 0; i < size; i++) {
    sum ^= bytes[i];
    for (int bit = 0; bit < 8; bit++)
      sum = sum & 1 ? sum >> 1 ^ 0xedb88320u : sum >> 1;
  }
  return ~sum;
}

static void put_big(uint8_t *to, uint32_t value) {
  for (int i = 0; i < 4; i++)
    to[i] = (uint8_t)(value >> (24 - 8 * i));
}

static uint32_t take_big(const uint8_t *from) {
  return (uint32_t)from[0] << 24 | (uint32_t)from[1] << 16 | (uint32_t)from[2] << 8 | from[3];
}

/* Chunks: length, type, data, sum of type and data. */
static void mend_png(uint8_t *file, size_t size) {
  for (size_t at = 8; at + 12 <= size;) {
    size_t length = take_big(file + at);
    if (length > size - at - 12)
      return;
    put_big(file + at + 8 + length, check_sum(file + at + 4, length + 4));
    at += length + 12;
  }
}

/* ---- gzip ------------------------------------------------------------------------------------ */

#ifdef GLOWTOOL_HAVE_ZLIB
static size_t unpack(const uint8_t *file, size_t size, uint8_t *out, size_t room) {
  z_stream z;
  memset(&z, 0, sizeof z);
  if (inflateInit2(&z, 16 + MAX_WBITS) != Z_OK)
    return 0;
  z.next_in = (Bytef *)(uintptr_t)file;
  z.avail_in = (uInt)size;
  z.next_out = out;
  z.avail_out = (uInt)room;
  inflate(&z, Z_FINISH);
  inflateEnd(&z);
  return room - z.avail_out;
}

static size_t pack(const uint8_t *plain, size_t size, uint8_t *out, size_t room) {
  z_stream z;
  memset(&z, 0, sizeof z);
  if (deflateInit2(&z, 1, Z_DEFLATED, 16 + MAX_WBITS, 8, Z_DEFAULT_STRATEGY) != Z_OK)
    return 0;
  z.next_in = (Bytef *)(uintptr_t)plain;
  z.avail_in = (uInt)size;
  z.next_out = out;
  z.avail_out = (uInt)room;
  size_t used = deflate(&z, Z_FINISH) == Z_STREAM_END ? room - z.avail_out : 0;
  deflateEnd(&z);
  return used;
}

/* Returns the new size of the file; 0: it could not be done. */
static size_t change_packed(uint8_t *file, size_t size, size_t most) {
  static uint8_t plain[MOST], packed[MOST];
  size_t there = unpack(file, size, plain, sizeof plain);
  if (!there)
    return 0;
  there = LLVMFuzzerMutate(plain, there, sizeof plain);
  size_t now = pack(plain, there, packed, most < sizeof packed ? most : sizeof packed);
  memcpy(file, packed, now);
  return now;
}
#else
static size_t change_packed(uint8_t *file, size_t size, size_t most) {
  (void)file;
  (void)size;
  (void)most;
  return 0;
}
#endif

/* ---- the interface --------------------------------------------------------------------------- */

/* Where the file begins: behind a head, at a PNG's or gzip's first bytes. */
static size_t find_file(const uint8_t *data, size_t size, const char *magic, size_t length) {
  for (size_t at = 1; at <= LONGEST_HEAD && at + length <= size; at++)
    if (memcmp(data + at, magic, length) == 0)
      return at;
  return 0;
}

size_t LLVMFuzzerCustomMutator(uint8_t *data, size_t size, size_t max_size, unsigned int seed) {
  state = seed;
  size_t packed = find_file(data, size, "\x1f\x8b", 2);
  if (packed && random_below(4)) {
    size_t now = change_packed(data + packed, size - packed, max_size - packed);
    if (now)
      return packed + now;
  }
  if (size > LONGEST_HEAD && random_below(6) == 0)
    data[random_below(LONGEST_HEAD)] = (uint8_t)random_below(256);
  else
    size = LLVMFuzzerMutate(data, size, max_size);
  size_t png = find_file(data, size, "\x89PNG\r\n\x1a\n", 8);
  if (png && random_below(16))
    mend_png(data + png, size - png);
  return size;
}
