/* Zeroed, aligned memory from an allocator table that promises neither. The pointer that the table
 * gave stands in front of the aligned block:  [raw ... | raw pointer | block, multiple of 64 ...].
 * SPDX-License-Identifier: MIT */
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "base/base.h"

/* The only places of the library that call malloc and free: the allocator of contexts that were
 * given none. */
static void *raw_alloc(const glow_allocator *allocator, size_t bytes) {
  if (allocator && allocator->allocate)
    return allocator->allocate(bytes, allocator->payload);
  return malloc(bytes);
}

static void raw_free(const glow_allocator *allocator, void *memory) {
  if (allocator && allocator->allocate)
    allocator->release(memory, allocator->payload);
  else
    free(memory);
}

/* Advises the kernel on the whole pages of a range. If the advice is refused, nothing is lost. */
static void advise(void *memory, size_t bytes, int advice) {
  long page = sysconf(_SC_PAGESIZE);
  if (page <= 0)
    return;
  size_t before = ((size_t)page - (uintptr_t)memory % (size_t)page) % (size_t)page;
  if (bytes >= before + (size_t)page)
    madvise((char *)memory + before, (bytes - before) / (size_t)page * (size_t)page, advice);
}

void glow__populate(void *memory, size_t bytes) {
#ifdef MADV_POPULATE_WRITE
  advise(memory, bytes, MADV_POPULATE_WRITE);
#else
  (void)memory;
  (void)bytes;
#endif
}

static void *memory_allocate(const glow_allocator *allocator, size_t bytes) {
  const size_t extra = sizeof(void *) + GLOW_ALIGN - 1;
  size_t total;
  char *raw = NULL;
  if (!__builtin_add_overflow(bytes, extra, &total) && total <= PTRDIFF_MAX)
    raw = raw_alloc(allocator, total);
  if (!raw) {
    glow_error(GLOW_E_MEMORY, "out of memory: %zu bytes", bytes);
    return NULL;
  }
  size_t past = ((uintptr_t)raw + extra) % GLOW_ALIGN;
  char *block = raw + extra - past;
  memcpy(block - sizeof(void *), &raw, sizeof raw);
#ifdef MADV_HUGEPAGE
  if (bytes >= 2 * GLOW_PIECE)
    advise(block, bytes, MADV_HUGEPAGE);
#endif
  return block;
}

typedef struct zeroed {
  char *block;
  size_t bytes;
} zeroed;

static size_t pieces_of(size_t bytes) {
  return bytes / GLOW_PIECE + (bytes % GLOW_PIECE != 0);
}

static void zero_piece(void *arg, uint32_t piece, uint32_t worker) {
  const zeroed *z = arg;
  size_t at = (size_t)piece * GLOW_PIECE;
  size_t here = z->bytes - at < GLOW_PIECE ? z->bytes - at : GLOW_PIECE;
  (void)worker;
  if (here == GLOW_PIECE)
    glow__populate(z->block + at, here);
  memset(z->block + at, 0, here);
}

void *glow__allocate(const glow_allocator *allocator, size_t bytes) {
  zeroed z = {memory_allocate(allocator, bytes), bytes};
  for (size_t piece = 0; z.block && piece < pieces_of(bytes); piece++)
    zero_piece(&z, (uint32_t)piece, 0);
  return z.block;
}

void *glow__allocate_spread(glow_context *context, size_t bytes) {
  zeroed z = {memory_allocate(&context->allocator, bytes), bytes};
  if (z.block && pieces_of(bytes) > 1)
    glow_context_run(context, (uint32_t)pieces_of(bytes), zero_piece, &z);
  else if (z.block)
    memset(z.block, 0, bytes);
  return z.block;
}

void *glow__allocate_unset(glow_context *context, size_t bytes) {
  return memory_allocate(&context->allocator, bytes);
}

void glow__release(const glow_allocator *allocator, void *memory) {
  if (!memory)
    return;
  void *raw;
  memcpy(&raw, (char *)memory - sizeof(void *), sizeof raw);
  raw_free(allocator, raw);
}

void *glow_allocate(glow_context *context, size_t bytes) {
  if (!context) {
    glow_error(GLOW_E_ARGUMENT, "glow_allocate: NULL argument");
    return NULL;
  }
  return glow__allocate(&context->allocator, bytes);
}

void glow_release(glow_context *context, void *memory) {
  if (context)
    glow__release(&context->allocator, memory);
}

char *glow__strdup(glow_context *context, const char *text) {
  size_t bytes = strlen(text) + 1;
  char *copy = glow_allocate(context, bytes);
  return copy ? memcpy(copy, text, bytes) : NULL;
}
