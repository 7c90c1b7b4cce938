/* The handle of a layer or net, and its `self`: a checked copy of the options, and behind it what
 * the layer or net keeps for itself. SPDX-License-Identifier: MIT */
#include "host/handles.h"

static glow_status self_fill(glow_context *context, const glow_options_table *table,
                             const void *options, void *self) {
  GLOW_TRY(glow_options_read(table, options, self));
  glow_status status = glow__options_own(table, context, self);
  if (status != GLOW_OK)
    glow__options_release(table, context, self);
  return status;
}

static size_t aligned(size_t bytes) {
  return (bytes + GLOW_ALIGN - 1) / GLOW_ALIGN * GLOW_ALIGN;
}

glow_status glow__self_create(glow_context *context, const glow_options_table *table, size_t handle,
                              size_t size, const void *options, void **out, void **self) {
  *out = *self = NULL;
  if (!table && options)
    return glow_error(GLOW_E_ARGUMENT, "options are given, but the type has none");
  GLOW_TRY(glow__options_table_check(table));
  if (table && size < table->size)
    return glow_error(GLOW_E_ARGUMENT, "self_size is %zu; the options alone (%s) take %zu", size,
                      table->name, table->size);
  if (size > PTRDIFF_MAX / 2)
    return glow_error(GLOW_E_ARGUMENT, "self_size is %zu; it must be at most %zu", size,
                      (size_t)PTRDIFF_MAX / 2);
  char *block = glow_allocate(context, aligned(handle) + size);
  if (!block)
    return GLOW_E_MEMORY;
  glow_status status =
      table ? self_fill(context, table, options, block + aligned(handle)) : GLOW_OK;
  if (status != GLOW_OK) {
    glow_release(context, block);
    return status;
  }
  *out = block;
  *self = block + aligned(handle);
  return GLOW_OK;
}

void glow__self_release(glow_context *context, const glow_options_table *table, void *self,
                        void *handle) {
  glow__options_release(table, context, self);
  glow_release(context, handle);
}
