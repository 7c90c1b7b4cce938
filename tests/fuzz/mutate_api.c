/* A mutator that keeps the records of the target of calls apart: adds, removes, moves and repeats
 * whole ones, and changes bytes within one. SPDX-License-Identifier: MIT */
#include <string.h>

#include "api.h"

enum { HEAD = 2 };

static uint64_t state;

static size_t random_below(size_t limit) { /* splitmix64 (Steele, Lea, Flood 2014) */
  uint64_t z = state += 0x9e3779b97f4a7c15u;
  z = (z ^ (z >> 30)) * 0xbf58476d1ce4e5b9u;
  z = (z ^ (z >> 27)) * 0x94d049bb133111ebu;
  return limit ? (size_t)((z ^ (z >> 31)) % limit) : 0;
}

/* Puts a record in front of record `at`, if there is room. */
static size_t insert(uint8_t *data, size_t size, size_t most, size_t at, const uint8_t *record) {
  size_t place = HEAD + at * RECORD;
  if (size + RECORD > most || place > size)
    return size;
  memmove(data + place + RECORD, data + place, size - place);
  memcpy(data + place, record, RECORD);
  return size + RECORD;
}

static size_t erase(uint8_t *data, size_t size, size_t at) {
  size_t place = HEAD + at * RECORD, end = place + RECORD;
  if (end > size)
    return size;
  memmove(data + place, data + end, size - end);
  return size - RECORD;
}

/* Mostly zeros, which are legal, and a few odd bytes. */
static void new_record(uint8_t record[RECORD]) {
  memset(record, 0, RECORD);
  record[0] = (uint8_t)random_below(API_CALL_COUNT);
  for (size_t i = random_below(4); i > 0; i--)
    record[1 + random_below(RECORD - 1)] = (uint8_t)random_below(256);
}

static size_t change(uint8_t *data, size_t size, size_t most) {
  uint8_t record[RECORD];
  size_t count = (size - HEAD) / RECORD, at = random_below(count);
  if (count == 0 || random_below(4) == 0) {
    new_record(record);
    return insert(data, size, most, random_below(count + 1), record);
  }
  memcpy(record, data + HEAD + at * RECORD, RECORD);
  switch (random_below(6)) {
  case 0: return erase(data, size, at);
  case 1: return insert(data, size, most, random_below(count + 1), record);
  case 2:
    size = erase(data, size, at);
    return insert(data, size, most, random_below(count), record);
  default:
    data[HEAD + at * RECORD + (random_below(8) ? 1 + random_below(RECORD - 1) : 0)] =
        (uint8_t)(random_below(2) ? random_below(256) : random_below(8));
    return size;
  }
}

size_t LLVMFuzzerCustomMutator(uint8_t *data, size_t size, size_t max_size, unsigned int seed) {
  state = seed;
  if (size < HEAD || random_below(32) == 0)
    return LLVMFuzzerMutate(data, size, max_size);
  for (size_t times = 1 + random_below(4); times > 0; times--)
    size = change(data, size, max_size);
  return size;
}

/* The first records of one, then the last of the other. */
size_t LLVMFuzzerCustomCrossOver(const uint8_t *data1, size_t size1, const uint8_t *data2,
                                 size_t size2, uint8_t *out, size_t max_out_size,
                                 unsigned int seed) {
  state = seed;
  if (size1 < HEAD || size2 < HEAD)
    return 0;
  size_t head = HEAD + random_below((size1 - HEAD) / RECORD + 1) * RECORD;
  size_t from = HEAD + random_below((size2 - HEAD) / RECORD + 1) * RECORD;
  head = head < max_out_size ? head : max_out_size;
  size_t tail = size2 - from < max_out_size - head ? size2 - from : max_out_size - head;
  memcpy(out, data1, head);
  memcpy(out + head, data2 + from, tail);
  return head + tail;
}
