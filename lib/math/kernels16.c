/* The list of providers of bfloat16 products, and which of them goes with which of float32.
 * SPDX-License-Identifier: MIT */
#include "math/kernels16.h"

static const struct provider {
  const char *name;
  const char *goes_with; /* the provider of float32 */
  void (*fill)(glow__kernels16 *kernels);
} providers[] = {
#ifdef GLOW_HAVE_AMX
    {"amx", "avx512", glow__kernels16_fill_amx},
#endif
#ifdef GLOW_HAVE_AVX512_BF16
    {"avx512bf16", "avx512", glow__kernels16_fill_avx512bf16},
#endif
#ifdef GLOW_HAVE_X86_KERNELS
    {"avx512", "avx512", glow__kernels16_fill_avx512},
    {"avx2", "avx2", glow__kernels16_fill_avx2},
#endif
#ifdef GLOW_HAVE_NEON_KERNELS
    {"neon", "neon", glow__kernels16_fill_neon},
#endif
    {"c", "c", glow__kernels16_fill_c},
};
enum { PROVIDERS = sizeof providers / sizeof *providers };

const char *glow__kernels16_name(uint32_t index) {
  for (int i = 0; i < PROVIDERS; i++)
    if (glow__kernels_cpu_has(providers[i].name) && index-- == 0)
      return providers[i].name;
  return NULL;
}

const char *glow__kernels16_of(const char *kernels) {
  for (int i = 0; i < PROVIDERS; i++)
    if (strcmp(providers[i].goes_with, kernels) == 0 && glow__kernels_cpu_has(providers[i].name))
      return providers[i].name;
  return "c";
}

bool glow__kernels16_fill(glow__kernels16 *kernels, const char *name) {
  for (int i = 0; i < PROVIDERS; i++)
    if (strcmp(providers[i].name, name) == 0 && glow__kernels_cpu_has(name)) {
      glow__kernels16_fill_c(kernels);
      providers[i].fill(kernels);
      return true;
    }
  return false;
}
