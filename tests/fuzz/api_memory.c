/* The allocator of the target of calls. SPDX-License-Identifier: MIT */
#include <stdlib.h>
#include <string.h>

#include "api.h"

enum {
  HEAD = 64, /* in front of each block: its size */
  BUDGET = 24 << 20
};

static void *take(size_t bytes, void *payload) {
  api_memory *memory = payload;
  void *block = NULL;
  memory->calls += memory->fail_at > 0;
  bool told = memory->fail_at > 0 && (memory->fail_on ? memory->calls >= memory->fail_at
                                                      : memory->calls == memory->fail_at);
  if (told || bytes > BUDGET - memory->live || posix_memalign(&block, HEAD, HEAD + bytes) != 0) {
    memory->failures++;
    return NULL;
  }
  memcpy(block, &bytes, sizeof bytes);
  memory->live += bytes;
  return (char *)block + HEAD;
}

static void give(void *block, void *payload) {
  api_memory *memory = payload;
  size_t bytes;
  PROMISE(block);
  memcpy(&bytes, (char *)block - HEAD, sizeof bytes);
  PROMISE(bytes <= memory->live);
  memory->live -= bytes;
  free((char *)block - HEAD);
}

glow_allocator api_allocator(api_memory *memory) {
  glow_allocator allocator = GLOW_ALLOCATOR_INIT;
  allocator.allocate = take;
  allocator.release = give;
  allocator.payload = memory;
  return allocator;
}
