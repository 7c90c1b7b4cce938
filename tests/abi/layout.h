/* What a row of layout.def says on this machine. SPDX-License-Identifier: MIT */
#ifndef GLOW_TESTS_LAYOUT_H
#define GLOW_TESTS_LAYOUT_H

#include <stddef.h>
#include <stdint.h>

struct layout_of_int64 {
  char first;
  int64_t second;
};

#define PINNED(bits64, bits32, bits32_aligned)                                                     \
  (sizeof(void *) == 8                             ? (bits64)                                      \
   : offsetof(struct layout_of_int64, second) == 4 ? (bits32)                                      \
                                                   : (bits32_aligned))

#endif
