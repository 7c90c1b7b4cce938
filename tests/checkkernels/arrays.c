/* Arrays with guards around them, and random numbers. SPDX-License-Identifier: MIT */
#include "checkkernels/arrays.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

static uint64_t state;

void seed_random(uint64_t seed, const char *name) {
  state = seed;
  for (; *name; name++)
    state = (state ^ (uint64_t)(unsigned char)*name) * 1099511628211u;
}

uint64_t random_bits(void) {
  state = state * 6364136223846793005u + 1442695040888963407u;
  return state >> 33 ^ state << 31;
}

int64_t below(int64_t n) {
  return (int64_t)((random_bits() & 0x7fffffff) % (uint64_t)n);
}

/* ---- arrays ---------------------------------------------------------------------------------- */

enum { SLACK = 0xa5 }; /* what fills the array's pages beside it */

typedef struct block {
  unsigned char *map, *data;
  size_t pages, bytes; /* bytes between the two guards, and of the array */
} block;

static bool reads_are_guarded = true;

void guard_reads(bool guarded) {
  reads_are_guarded = guarded;
}

enum { MOST_BLOCKS = 1024 };
static block blocks[MOST_BLOCKS];
static int count_of_blocks;

static size_t page_size(void) {
  return (size_t)sysconf(_SC_PAGESIZE);
}

void *array(int64_t count, size_t size) {
  size_t page = page_size(), bytes = (size_t)count * size;
  block b = {.bytes = bytes, .pages = (bytes + page - 1) / page * page};
  size_t beside = reads_are_guarded ? 0 : page; /* readable, on both sides */
  if (b.pages == 0)
    b.pages = page;
  if (count_of_blocks == MOST_BLOCKS)
    fail("more than %d arrays in a round", MOST_BLOCKS);
  b.pages += 2 * beside;
  b.map = mmap(NULL, b.pages + 2 * page, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
  if (b.map == MAP_FAILED || mprotect(b.map + page, b.pages, PROT_READ | PROT_WRITE) != 0)
    fail("no memory for an array of %zu bytes", bytes);
  /* Twice in three times the far end meets its guard: there a vector reaches too far. */
  b.data = b.map + page + beside + (below(3) ? b.pages - 2 * beside - bytes : 0);
  memset(b.map + page, SLACK, b.pages);
  memset(b.data, FILL, bytes);
  blocks[count_of_blocks++] = b;
  return b.data;
}

void check_arrays(void) {
  for (int i = 0; i < count_of_blocks; i++) {
    const block *b = &blocks[i];
    const unsigned char *begin = b->map + page_size(), *end = begin + b->pages;
    for (const unsigned char *at = begin; at < end; at++)
      if ((at < b->data || at >= b->data + b->bytes) && *at != SLACK)
        fail("byte %lld of an array of %zu was written", (long long)(at - b->data), b->bytes);
  }
}

void free_arrays(void) {
  while (count_of_blocks > 0) {
    block b = blocks[--count_of_blocks];
    munmap(b.map, b.pages + 2 * page_size());
  }
}

/* ---- what they hold -------------------------------------------------------------------------- */

float *numbers(int64_t count) {
  float *x = array(count, sizeof *x);
  for (int64_t i = 0; i < count; i++)
    x[i] = (float)below(2001) / 1000.0f - 1.0f;
  return x;
}

float *factors(int64_t count) {
  float *x = numbers(count);
  for (int64_t i = 0; i < count; i++)
    x[i] = 1.0f + 0.5f * x[i];
  return x;
}

void sprinkle(float *x, int64_t count) {
  static const float special[] = {NAN, INFINITY, -INFINITY, 0.0f, -0.0f};
  for (int64_t i = 0; i < 1 + count / 50; i++)
    x[below(count)] = special[below(sizeof special / sizeof *special)];
}

void *copy_of(const void *from, int64_t count, size_t size) {
  void *to = array(count, size);
  memcpy(to, from, (size_t)count * size);
  return to;
}
