/* The one call that changes a BLAS library's own state. SPDX-License-Identifier: MIT */
#include "base/base.h"

#if defined(GLOW_HAVE_OPENBLAS)
void openblas_set_num_threads(int threads);
#elif defined(GLOW_HAVE_BLIS)
void bli_thread_set_num_threads(long threads);
#endif

glow_status glow_blas_set_threads(int32_t threads) {
  if (threads < 1)
    return glow_error(GLOW_E_ARGUMENT, "%d threads for the BLAS; 1 or more are needed", threads);
#if defined(GLOW_HAVE_OPENBLAS)
  openblas_set_num_threads(threads);
  return GLOW_OK;
#elif defined(GLOW_HAVE_BLIS)
  bli_thread_set_num_threads(threads);
  return GLOW_OK;
#else
  return glow_error(GLOW_E_UNSUPPORTED, "this build has no BLAS whose threads can be set");
#endif
}
