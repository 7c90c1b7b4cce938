/* The rules for structs that start with their own size, so that programs and libraries of different
 * versions understand each other. SPDX-License-Identifier: MIT */
#include <string.h>

#include "base/base.h"

/* If the caller forgot the _INIT macro, the size is arbitrary: do not read that far. */
enum { LARGEST_STRUCT = 4096 };

/* Reads and checks the caller's struct_size. */
static glow_status read_size(const void *from, size_t smallest, const char *what, size_t *size) {
  memcpy(size, from, sizeof *size);
  if (*size < smallest)
    return glow_error(GLOW_E_ARGUMENT, "%s: struct_size is %zu, at least %zu is needed", what,
                      *size, smallest);
  if (*size > LARGEST_STRUCT)
    return glow_error(GLOW_E_ARGUMENT,
                      "%s: struct_size is %zu, which is too large; use the _INIT macro", what,
                      *size);
  return GLOW_OK;
}

/* Copies what both sides know, except for the size itself. */
static void copy_common(void *to, const void *from, size_t bytes) {
  const size_t head = sizeof(size_t);
  memcpy((char *)to + head, (const char *)from + head, bytes - head);
}

glow_status glow__table_copy(void *to, size_t to_size, const void *from, size_t smallest,
                             const char *what) {
  if (!from)
    return GLOW_OK;
  size_t size;
  GLOW_TRY(read_size(from, smallest, what, &size));
  copy_common(to, from, size < to_size ? size : to_size);
  return GLOW_OK;
}

glow_status glow__options_copy(void *to, size_t to_size, const void *from, size_t smallest,
                               const char *what) {
  if (!from)
    return GLOW_OK;
  size_t size;
  GLOW_TRY(read_size(from, smallest, what, &size));
  for (size_t i = to_size; i < size; i++)
    if (((const unsigned char *)from)[i])
      return glow_error(
          GLOW_E_ARGUMENT,
          "%s: byte %zu sets an option that this version of the library does not know", what, i);
  copy_common(to, from, size < to_size ? size : to_size);
  return GLOW_OK;
}

glow_status glow__struct_fill(void *to, const void *from, size_t from_size, size_t smallest,
                              const char *what) {
  if (!to)
    return glow_error(GLOW_E_ARGUMENT, "%s: NULL", what);
  size_t size;
  GLOW_TRY(read_size(to, smallest, what, &size));
  copy_common(to, from, size < from_size ? size : from_size);
  return GLOW_OK;
}
