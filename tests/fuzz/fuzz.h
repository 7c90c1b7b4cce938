/* What the fuzz targets share. A target is a program of libFuzzer; replay.c runs its corpus with
 * any compiler. SPDX-License-Identifier: MIT */
#ifndef GLOW_TEST_FUZZ_H
#define GLOW_TEST_FUZZ_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <glow/glow.h>

/* The interface of libFuzzer. */
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);
size_t LLVMFuzzerMutate(uint8_t *data, size_t size, size_t max_size);
size_t LLVMFuzzerCustomMutator(uint8_t *data, size_t size, size_t max_size, unsigned int seed);
size_t LLVMFuzzerCustomCrossOver(const uint8_t *data1, size_t size1, const uint8_t *data2,
                                 size_t size2, uint8_t *out, size_t max_out_size,
                                 unsigned int seed);

/* Ends the program when a promise is broken, as a sanitizer would. */
#define PROMISE(condition)                                                                         \
  do {                                                                                             \
    if (!(condition))                                                                              \
      fuzz_broken(#condition, __FILE__, __LINE__);                                                 \
  } while (0)
_Noreturn void fuzz_broken(const char *condition, const char *file, int line);

/* Is what happens to be printed? Yes with GLOW_FUZZ_TRACE=1 in the environment. */
bool fuzz_traces(void);

/* A context whose allocator counts, and fails beyond a budget. */
typedef struct fuzz_memory {
  size_t live, peak, budget; /* bytes */
} fuzz_memory;
glow_context *fuzz_context(fuzz_memory *memory, size_t budget);
/* Nothing may be left. */
void fuzz_end(glow_context *context, const fuzz_memory *memory);

#endif
