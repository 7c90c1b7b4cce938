/* Making a context: allocator, executor, log, kernels, and the registry with the built-in types.
 * SPDX-License-Identifier: MIT */
#include <stdlib.h>

#include "base/base.h"
#include "math/kernels.h"
#include "presets/presets.h"

static void *default_alloc(size_t size, void *payload) {
  (void)payload;
  return malloc(size);
}

static void default_free(void *memory, void *payload) {
  (void)payload;
  free(memory);
}

static glow_status choose_allocator(const glow_allocator *from, glow_allocator *to) {
  *to = (glow_allocator){sizeof *to, default_alloc, default_free, NULL};
  if (!from)
    return GLOW_OK;
  GLOW_TRY(glow__table_copy(to, sizeof *to, from, sizeof *to, "glow_allocator"));
  if (!to->allocate || !to->release)
    return glow_error(GLOW_E_ARGUMENT, "the allocator needs allocate and release");
  return GLOW_OK;
}

static void context_run_serially(void *payload, glow_task_fn fn, void *arg, uint32_t tasks) {
  (void)payload;
  for (uint32_t t = 0; t < tasks; t++)
    fn(arg, t, 0);
}

static glow_status choose_executor(glow_context *context, const glow_context_options *o) {
  context->executor = (glow_executor){sizeof(glow_executor), 1, 0, context_run_serially, NULL};
  if (o->executor) {
    GLOW_TRY(glow__table_copy(&context->executor, sizeof context->executor, o->executor,
                              sizeof context->executor, "glow_executor"));
    if (!context->executor.run || !context->executor.workers || context->executor.workers > 65536)
      return glow_error(GLOW_E_ARGUMENT, "the executor needs run and 1 to 65536 workers");
    return GLOW_OK;
  }
  if (o->threads <= 1)
    return GLOW_OK;
  GLOW_TRY(glow_pool_create(&context->allocator, o->threads, &context->pool));
  return glow_pool_executor(context->pool, &context->executor);
}

static glow_status context_fill(glow_context *context, const glow_context_options *o) {
  context->log = o->log;
  context->log_payload = o->log_payload;
  GLOW_TRY(glow__kernels_create(context, o->kernels, o->products == GLOW_PRODUCTS_BFLOAT16));
  GLOW_TRY(choose_executor(context, o));
  return glow__register_types(context);
}

static const glow_choice products[] = {
    {GLOW_PRODUCTS_FLOAT32, 0, "float32"}, {GLOW_PRODUCTS_BFLOAT16, 0, "bfloat16"}, {0, 0, NULL}};
static const glow_option rows[] = {
    GLOW_OPTION(glow_context_options, reserved, RESERVED),
    GLOW_OPTION(glow_context_options, products, CHOICE, .flags = GLOW_OPTION_ADDED,
                .choices = products, .prefix = "GLOW_PRODUCTS_", .fallback = GLOW_PRODUCTS_FLOAT32),
    GLOW_OPTION(glow_context_options, reserved2, RESERVED),
};
static const glow_options_table table = {GLOW_OPTIONS_TABLE(glow_context_options, rows)};

glow_status glow_context_create(const glow_context_options *options, glow_context **out) {
  glow_context_options o;
  glow_allocator allocator;
  if (!out)
    return glow_error(GLOW_E_ARGUMENT, "glow_context_create: NULL argument");
  *out = NULL;
  GLOW_TRY(glow_options_read(&table, options, &o));
  GLOW_TRY(choose_allocator(o.allocator, &allocator));
  glow_context *context = glow__allocate(&allocator, sizeof *context);
  if (!context)
    return glow_error(GLOW_E_MEMORY, "out of memory for a context");
  context->references = 1;
  context->allocator = allocator;
  glow__live_add(context, GLOW_LIVE_CONTEXT);
  glow_status status = context_fill(context, &o);
  if (status != GLOW_OK)
    glow_context_destroy(&context);
  else
    context->end = o.end, context->end_payload = o.end_payload;
  *out = context;
  return status;
}

const char *glow_context_kernels(const glow_context *context) {
  GLOW_LIVE_OR(context, CONTEXT, NULL);
  return context ? context->kernels->name : NULL;
}
