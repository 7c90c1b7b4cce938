/* `self` of a layer or net: options, checked and copied, and behind them what the maker keeps.
 * SPDX-License-Identifier: MIT */
#include "host/handles.h"

static glow_status self_fill(glow_context *context, const glow_options_table *table,
                             const void *options, void *self) {
  GLOW_TRY(glow_options_read(table, options, self));
  glow_status status = glow__options_own(table, context, self);
  if (status != GLOW_OK)
    glow__options_release(table, context, self);
  return status;
}

glow_status glow__self_create(glow_context *context, const glow_options_table *table, size_t size,
                              const void *options, void **out) {
  *out = NULL;
  if (!table && options)
    return glow_error(GLOW_E_ARGUMENT, "options are given, and the type has none");
  GLOW_TRY(glow__options_table_check(table));
  if (table && size < table->size)
    return glow_error(GLOW_E_ARGUMENT, "self_size is %zu; the options alone (%s) take %zu", size,
                      table->name, table->size);
  void *self = glow_allocate(context, size ? size : 1);
  if (!self)
    return GLOW_E_MEMORY;
  glow_status status = table ? self_fill(context, table, options, self) : GLOW_OK;
  if (status == GLOW_OK)
    *out = self;
  else
    glow_release(context, self);
  return status;
}

void glow__self_release(glow_context *context, const glow_options_table *table, void *self) {
  if (!self)
    return;
  glow__options_release(table, context, self);
  glow_release(context, self);
}
