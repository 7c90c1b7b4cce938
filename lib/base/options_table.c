/* A check of options tables themselves, for the authors of layers and nets.
 * SPDX-License-Identifier: MIT */
#include "base/base.h"

/* Bytes of a field, or 0 for a type that is not known. */
static size_t field_size(int32_t type) {
  switch (type) {
  case GLOW_OPTION_INT32:
  case GLOW_OPTION_CHOICE:
  case GLOW_OPTION_RESERVED: return sizeof(int32_t);
  case GLOW_OPTION_INT64: return sizeof(int64_t);
  case GLOW_OPTION_UINT64: return sizeof(uint64_t);
  case GLOW_OPTION_REAL: return sizeof(double);
  case GLOW_OPTION_INDICES: return sizeof(int32_t *) + sizeof(int64_t);
  default: return 0;
  }
}

static glow_status check_row(const glow_options_table *table, int32_t index) {
  const glow_option *option = &table->options[index];
  if (!option->name || !*option->name)
    return glow_error(GLOW_E_ARGUMENT, "options table of %s: row %d has no name", table->name,
                      (int)index);
  const size_t size = field_size(option->type);
  const char *fault = NULL;
  if (!size)
    fault = "its type is none of GLOW_OPTION_...";
  else if (option->offset < sizeof(size_t) || option->offset > table->size ||
           table->size - option->offset < size)
    fault = "the field is outside the struct";
  else if (option->type == GLOW_OPTION_CHOICE && (!option->choices || !option->choices->name))
    fault = "it has no choices";
  else if (!(option->low <= option->high))
    fault = "low is above high";
  if (fault)
    return glow_error(GLOW_E_ARGUMENT, "options table of %s: %s: %s", table->name, option->name,
                      fault);
  return GLOW_OK;
}

glow_status glow__options_table_check(const glow_options_table *table) {
  if (!table)
    return GLOW_OK;
  if (table->struct_size < sizeof *table)
    return glow_error(GLOW_E_ARGUMENT,
                      "glow_options_table: struct_size is %zu, at least %zu is needed",
                      table->struct_size, sizeof *table);
  if (!table->name || table->count < 0 || (table->count && !table->options) || table->reserved ||
      table->smallest < sizeof(size_t) || table->smallest > table->size)
    return glow_error(GLOW_E_ARGUMENT,
                      "options table of %s: it needs a name, rows, and the sizes of a struct that "
                      "starts with struct_size",
                      table->name ? table->name : "(no name)");
  for (int32_t i = 0; i < table->count; i++)
    GLOW_TRY(check_row(table, i));
  return GLOW_OK;
}
