/* The list of kernel providers, and the choice among them. SPDX-License-Identifier: MIT */
#include "math/kernels.h"

#include <stdbool.h>
#include <string.h>

#include "base/base.h"

static bool usable(const glow__kernels *kernels) {
#ifdef GLOW_HAVE_X86_KERNELS
  __builtin_cpu_init();
  if (kernels == &glow__kernels_avx512)
    return __builtin_cpu_supports("avx512f") && __builtin_cpu_supports("avx512dq") &&
           __builtin_cpu_supports("avx512bw") && __builtin_cpu_supports("avx512vl");
  if (kernels == &glow__kernels_avx2)
    return __builtin_cpu_supports("avx2") && __builtin_cpu_supports("fma");
#endif
  return kernels != NULL;
}

static const glow__kernels *const list[] = {
#ifdef GLOW_HAVE_X86_KERNELS
    &glow__kernels_avx512, &glow__kernels_avx2,
#endif
#ifdef GLOW_HAVE_NEON_KERNELS
    &glow__kernels_neon,
#endif
#ifdef GLOW_HAVE_CBLAS
    &glow__kernels_cblas,
#endif
    &glow__kernels_c,
};

const glow__kernels *glow__kernels_at(uint32_t index) {
  for (size_t i = 0; i < sizeof list / sizeof *list; i++)
    if (usable(list[i]) && index-- == 0)
      return list[i];
  return NULL;
}

const glow__kernels *glow__kernels_find(const char *name) {
  if (!name || strcmp(name, "auto") == 0)
    return glow__kernels_at(0);
  for (uint32_t i = 0; glow__kernels_at(i); i++)
    if (strcmp(glow__kernels_at(i)->name, name) == 0)
      return glow__kernels_at(i);
  return NULL;
}

const char *glow_kernels_name(uint32_t index) {
  const glow__kernels *kernels = glow__kernels_at(index);
  return kernels ? kernels->name : NULL;
}
