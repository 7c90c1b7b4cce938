/* glow_context: questions about one, and its end. Contexts are made in presets/context.c, because
 * that needs the built-in types. SPDX-License-Identifier: MIT */
#ifdef GLOW_BLAS_LIBRARY
#include <dlfcn.h>
#endif

#include "base/base.h"

static void release_library(void *library) {
#ifdef GLOW_BLAS_LIBRARY
  if (library)
    dlclose(library);
#endif
  (void)library;
}

void glow_context_destroy(glow_context **context) {
  if (!context || !*context)
    return;
  GLOW_LIVE_OR(*context, CONTEXT, );
  glow_allocator allocator = (*context)->allocator;
  glow__registry_destroy(*context);
  glow_pool_destroy(&(*context)->pool);
  glow_release(*context, (void *)(uintptr_t)(*context)->kernels);
  glow_release(*context, (void *)(uintptr_t)(*context)->kernels16);
  release_library((*context)->kernels_library);
  GLOW_LIVE_END(*context, CONTEXT);
  glow__release(&allocator, *context);
  *context = NULL;
}

uint32_t glow_context_workers(const glow_context *context) {
  GLOW_LIVE_OR(context, CONTEXT, 0);
  return context ? context->executor.workers : 0;
}

int32_t glow_context_products(const glow_context *context) {
  GLOW_LIVE_OR(context, CONTEXT, 0);
  return context && context->kernels16 ? GLOW_PRODUCTS_BFLOAT16 : GLOW_PRODUCTS_FLOAT32;
}
