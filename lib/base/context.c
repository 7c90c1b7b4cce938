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

static void context_free(glow_context *context) {
  const glow_allocator allocator = context->allocator;
  const glow_end_fn end = context->end;
  void *payload = context->end_payload;
  glow__registry_destroy(context);
  glow_pool_destroy(&context->pool);
  glow_release(context, (void *)(uintptr_t)context->kernels);
  glow_release(context, (void *)(uintptr_t)context->kernels16);
  release_library(context->kernels_library);
  glow__live_remove(context, GLOW_LIVE_CONTEXT);
  glow__release(&allocator, context);
  if (end)
    end(payload);
}

void glow__context_like(const glow_context *from, glow_context *to) {
  *to = (glow_context){.references = 1,
                       .allocator = from->allocator,
                       .executor = from->executor,
                       .log = from->log,
                       .log_payload = from->log_payload,
                       .kernels = from->kernels,
                       .kernels16 = from->kernels16,
                       .registry = from->registry};
}

glow_context *glow__context_hold(glow_context *context) {
  glow__count_up(&context->references);
  return context;
}

void glow__context_drop(glow_context *context) {
  if (glow__count_down(&context->references))
    context_free(context);
}

glow_context *glow_context_retain(glow_context *context) {
  GLOW_LIVE_OR(context, CONTEXT, NULL);
  return context ? glow__context_hold(context) : NULL;
}

void glow_context_destroy(glow_context **context) {
  if (!context || !*context || !glow__is_live(*context, GLOW_LIVE_CONTEXT, __func__))
    return;
  glow__context_drop(*context);
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
