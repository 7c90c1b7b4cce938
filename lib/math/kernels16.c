/* The list of providers of bfloat16 products, and which goes with one of float32.
 * SPDX-License-Identifier: MIT */
#include "math/kernels16.h"

#include <stdbool.h>

/* `plain` is the provider of float32 that it goes with. */
static const struct entry {
  const glow__kernels16 *kernels;
  const glow__kernels *plain;
} list[] = {
#ifdef GLOW_HAVE_AVX512_BF16
    {&glow__kernels16_avx512bf16, &glow__kernels_avx512},
#endif
#ifdef GLOW_HAVE_X86_KERNELS
    {&glow__kernels16_avx512, &glow__kernels_avx512},
    {&glow__kernels16_avx2, &glow__kernels_avx2},
#endif
#ifdef GLOW_HAVE_NEON_KERNELS
    {&glow__kernels16_neon, &glow__kernels_neon},
#endif
    {&glow__kernels16_c, &glow__kernels_c},
};
enum { COUNT = sizeof list / sizeof *list };

static bool usable(const struct entry *entry) {
#ifdef GLOW_HAVE_AVX512_BF16
  __builtin_cpu_init();
  if (entry->kernels == &glow__kernels16_avx512bf16 && !__builtin_cpu_supports("avx512bf16"))
    return false;
#endif
  return glow__kernels_find(entry->plain->name) != NULL;
}

const glow__kernels16 *glow__kernels16_at(uint32_t index) {
  for (int i = 0; i < COUNT; i++)
    if (usable(&list[i]) && index-- == 0)
      return list[i].kernels;
  return NULL;
}

const glow__kernels16 *glow__kernels16_of(const glow__kernels *kernels) {
  for (int i = 0; i < COUNT; i++)
    if (list[i].plain == kernels && usable(&list[i]))
      return list[i].kernels;
  return &glow__kernels16_c;
}
