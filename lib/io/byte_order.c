/* The order of bytes: files are little-endian, and callers have elements in the machine's order. On
 * big-endian machines each element is reversed on its way. SPDX-License-Identifier: MIT */
#include <string.h>

#include "io/io.h"

void glow__reverse_elements(void *elements, int64_t bytes, int64_t size) {
  unsigned char *element = elements;
  for (int64_t at = 0; at < bytes; at += size, element += size)
    for (int64_t i = 0; i < size / 2; i++) {
      unsigned char low = element[i];
      element[i] = element[size - 1 - i];
      element[size - 1 - i] = low;
    }
}

int64_t glow__file_order(const void *elements, int64_t bytes, int64_t size, glow__ordered *out) {
  out->data = elements;
  if (!GLOW_BIG_ENDIAN || size == 1)
    return bytes;
  const int64_t room = sizeof out->room, here = bytes < room ? bytes : room;
  memcpy(out->room, elements, (size_t)here);
  glow__reverse_elements(out->room, here, size);
  out->data = out->room;
  return here;
}
