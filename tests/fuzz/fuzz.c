/* What the fuzz targets share: promises, and memory that is counted.
 * SPDX-License-Identifier: MIT */
#include "fuzz.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

_Noreturn void fuzz_broken(const char *condition, const char *file, int line) {
  fprintf(stderr, "%s:%d: broken: %s (last error: %s)\n", file, line, condition, glow_last_error());
  abort();
}

bool fuzz_traces(void) {
  return getenv("GLOW_FUZZ_TRACE") != NULL;
}

enum { HEAD = 64 }; /* in front of each block: its size */

static void *take(size_t bytes, void *payload) {
  fuzz_memory *memory = payload;
  void *block = NULL;
  if (bytes > memory->budget - memory->live || posix_memalign(&block, HEAD, HEAD + bytes) != 0)
    return NULL;
  memcpy(block, &bytes, sizeof bytes);
  memory->live += bytes;
  memory->peak = memory->live > memory->peak ? memory->live : memory->peak;
  return (char *)block + HEAD;
}

static void give(void *block, void *payload) {
  fuzz_memory *memory = payload;
  size_t bytes;
  memcpy(&bytes, (char *)block - HEAD, sizeof bytes);
  memory->live -= bytes;
  free((char *)block - HEAD);
}

glow_context *fuzz_context(fuzz_memory *memory, size_t budget) {
  glow_allocator allocator = GLOW_ALLOCATOR_INIT;
  glow_context_options options = GLOW_CONTEXT_OPTIONS_INIT;
  glow_context *context = NULL;
  *memory = (fuzz_memory){0, 0, budget};
  allocator.allocate = take;
  allocator.release = give;
  allocator.payload = memory;
  options.allocator = &allocator;
  PROMISE(glow_context_create(&options, &context) == GLOW_OK);
  return context;
}

void fuzz_end(glow_context *context, const fuzz_memory *memory) {
  glow_context_destroy(&context);
  PROMISE(memory->live == 0);
}
