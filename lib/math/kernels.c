/* The list of providers of kernels, the choice among them, and the tables of a context.
 * SPDX-License-Identifier: MIT */
#include <string.h>

#ifdef GLOW_HAVE_AMX
#include <cpuid.h>
#include <sys/syscall.h>
#include <unistd.h>
#endif

#include "base/base.h"
#include "math/kernels16.h"

static const struct provider {
  const char *name;
  void (*fill)(glow__kernels *kernels);
} providers[] = {
/* What "auto" chooses from, best first; */
#ifdef GLOW_HAVE_X86_KERNELS
    {"avx512", glow__kernels_fill_avx512}, {"avx2", glow__kernels_fill_avx2},
#endif
#ifdef GLOW_HAVE_NEON_KERNELS
    {"neon", glow__kernels_fill_neon},
#endif
    {"c", glow__kernels_fill_c}, /* any CPU can run it, so the choice ends here at the latest */
/* and what it never chooses. */
#ifdef GLOW_BLAS_LIBRARY
    {"cblas", glow__kernels_fill_cblas},
#endif
};
enum { PROVIDERS = sizeof providers / sizeof *providers };

#ifdef GLOW_HAVE_AMX
/* A process asks Linux for the tiles of all of its threads, as often as it likes: their state takes
 * 8 KB of each thread that uses them. It is refused where a thread has a stack of its own for
 * signals on which that would not fit. (Linux, Documentation/arch/x86/xstate.rst.) */
static bool kernels_ask_for_tiles(void) {
  enum { REQUEST_PERMISSION = 0x1023, TILE_DATA = 18 };
  return syscall(SYS_arch_prctl, REQUEST_PERMISSION, TILE_DATA) == 0;
}

/* Leaf 7 of CPUID, EDX: bit 22 is AMX-BF16, bit 24 AMX-TILE (Intel's manual, volume 2A, CPUID). */
static bool kernels_have_tiles(void) {
  unsigned a, b, c, d;
  return __get_cpuid_count(7, 0, &a, &b, &c, &d) && (d >> 22 & 1) && (d >> 24 & 1) &&
         kernels_ask_for_tiles();
}
#endif

bool glow__kernels_cpu_has(const char *name) {
#ifdef GLOW_HAVE_X86_KERNELS
  __builtin_cpu_init();
  if (strcmp(name, "avx512") == 0)
    return __builtin_cpu_supports("avx512f") && __builtin_cpu_supports("avx512dq") &&
           __builtin_cpu_supports("avx512bw") && __builtin_cpu_supports("avx512vl");
  if (strcmp(name, "avx2") == 0)
    return __builtin_cpu_supports("avx2") && __builtin_cpu_supports("fma");
#endif
#ifdef GLOW_HAVE_AVX512_BF16
  if (strcmp(name, "avx512bf16") == 0)
    return glow__kernels_cpu_has("avx512") && __builtin_cpu_supports("avx512bf16");
#endif
#ifdef GLOW_HAVE_AMX
  if (strcmp(name, "amx") == 0)
    return glow__kernels_cpu_has("avx512bf16") && kernels_have_tiles();
#endif
  (void)name;
  return true;
}

const char *glow__kernels_choose(const char *wanted, bool (*usable)(const char *name)) {
  bool any = !wanted || strcmp(wanted, "auto") == 0;
  for (int i = 0; i < PROVIDERS; i++)
    if ((any || strcmp(providers[i].name, wanted) == 0) && usable(providers[i].name))
      return providers[i].name;
  return NULL;
}

static glow_status kernels_load(glow__kernels *kernels, const char *name) {
#ifdef GLOW_BLAS_LIBRARY
  if (strcmp(name, "cblas") == 0)
    return glow__blas_open(GLOW_BLAS_LIBRARY, &kernels->library, &kernels->sgemm);
#endif
  (void)kernels, (void)name;
  return GLOW_OK;
}

glow_status glow__kernels_fill(glow__kernels *kernels, const char *name) {
  for (int i = 0; i < PROVIDERS; i++)
    if (strcmp(providers[i].name, name) == 0 && glow__kernels_cpu_has(name)) {
      glow__kernels_fill_c(kernels);
      GLOW_TRY(kernels_load(kernels, name));
      providers[i].fill(kernels);
      return GLOW_OK;
    }
  return glow_error(GLOW_E_UNSUPPORTED, "this build and CPU have no kernels '%s'", name);
}

const char *glow_kernels_name(uint32_t index) {
  for (int i = 0; i < PROVIDERS; i++)
    if (glow__kernels_cpu_has(providers[i].name) && index-- == 0)
      return providers[i].name;
  return NULL;
}

/* ---- the tables of a context ----------------------------------------------------------------- */

static glow_status create_kernels16(glow_context *context) {
  glow__kernels16 *kernels = glow_allocate(context, sizeof *kernels);
  if (!kernels)
    return GLOW_E_MEMORY;
  context->kernels16 = kernels;
  glow__kernels16_fill(kernels, glow__kernels16_of(context->kernels->name));
  return GLOW_OK;
}

glow_status glow__kernels_create(glow_context *context, const char *name, bool bfloat16) {
  const char *chosen = glow__kernels_choose(name, glow__kernels_cpu_has);
  if (!chosen)
    return glow_error(GLOW_E_UNSUPPORTED, "this build and CPU have no kernels '%s'", name);
  glow__kernels *kernels = glow_allocate(context, sizeof *kernels);
  if (!kernels)
    return GLOW_E_MEMORY;
  context->kernels = kernels;
  GLOW_TRY(glow__kernels_fill(kernels, chosen));
  context->kernels_library = kernels->library;
  return bfloat16 ? create_kernels16(context) : GLOW_OK;
}
