/* Loading a BLAS library, and the one call that changes such a library's own state.
 * SPDX-License-Identifier: MIT */
#ifdef GLOW_BLAS_LIBRARY
#define _GNU_SOURCE /* RTLD_NODELETE */
#include <dlfcn.h>
#include <string.h>

#include "base/base.h"
#include "math/blas.h"

/* ISO C has no cast from a data pointer to a function. */
static void *blas_find(void *library, const char *symbol, void *function, size_t size) {
  void *found = dlsym(library, symbol);
  memcpy(function, &found, size);
  return found;
}

static glow_status blas_load(const char *name, void **library) {
  *library = dlopen(name, RTLD_NOW | RTLD_LOCAL | RTLD_NODELETE);
  if (*library)
    return GLOW_OK;
  const char *why = dlerror();
  return glow_error(GLOW_E_UNSUPPORTED,
                    "the kernels 'cblas' need the library %s, which cannot be loaded (%s): install "
                    "it, or use other kernels",
                    name, why ? why : "no reason given");
}

glow_status glow__blas_open(const char *name, void **library, glow__sgemm *sgemm) {
  GLOW_TRY(blas_load(name, library));
  if (blas_find(*library, "cblas_sgemm", sgemm, sizeof *sgemm))
    return GLOW_OK;
  dlclose(*library);
  *library = NULL;
  return glow_error(GLOW_E_UNSUPPORTED,
                    "the kernels 'cblas' need cblas_sgemm, which the library %s does not have",
                    name);
}

/* OpenBLAS counts threads in int, BLIS in long. */
static bool blas_set_threads(void *library, int32_t threads) {
  void (*openblas)(int threads);
  void (*blis)(long threads);
  if (blas_find(library, "openblas_set_num_threads", &openblas, sizeof openblas))
    openblas(threads);
  else if (blas_find(library, "bli_thread_set_num_threads", &blis, sizeof blis))
    blis(threads);
  else
    return false;
  return true;
}

static glow_status blas_threads(int32_t threads) {
  void *library;
  GLOW_TRY(blas_load(GLOW_BLAS_LIBRARY, &library));
  bool set = blas_set_threads(library, threads);
  dlclose(library);
  return set ? GLOW_OK
             : glow_error(GLOW_E_UNSUPPORTED, "%s has no call that sets its threads",
                          GLOW_BLAS_LIBRARY);
}

#else
#include "base/base.h"

static glow_status blas_threads(int32_t threads) {
  (void)threads;
  return glow_error(GLOW_E_UNSUPPORTED, "this build has no BLAS whose threads can be set");
}
#endif

glow_status glow_blas_set_threads(int32_t threads) {
  if (threads < 1)
    return glow_error(GLOW_E_ARGUMENT, "%d threads for the BLAS; 1 or more are needed", threads);
  return blas_threads(threads);
}
