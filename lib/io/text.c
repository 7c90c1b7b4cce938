/* A text that grows, in memory of the context: for the JSON that is written.
 * SPDX-License-Identifier: MIT */
#include <stdio.h>
#include <string.h>

#include "io/io.h"

#define MOST ((int64_t)INT32_MAX) /* of a header that a reader can be told to take */

static void grow(glow__text *t, int64_t needed) {
  int64_t capacity = t->capacity ? t->capacity : 1024;
  while (capacity < needed)
    capacity *= 2;
  char *more = glow_allocate(t->context, (size_t)capacity);
  if (!more) {
    t->status = GLOW_E_MEMORY;
    return;
  }
  if (t->length)
    memcpy(more, t->bytes, (size_t)t->length);
  glow_release(t->context, t->bytes);
  t->bytes = more;
  t->capacity = capacity;
}

void glow__text_bytes(glow__text *t, const char *bytes, size_t count) {
  if (t->status == GLOW_OK && count >= (size_t)(MOST - t->length))
    t->status =
        glow_error(GLOW_E_LIMIT, "the header would have more than %lld bytes", (long long)MOST);
  if (t->status == GLOW_OK && t->length + (int64_t)count >= t->capacity)
    grow(t, t->length + (int64_t)count + 1);
  if (t->status != GLOW_OK)
    return;
  memcpy(t->bytes + t->length, bytes, count);
  t->length += (int64_t)count;
  t->bytes[t->length] = '\0';
}

void glow__text_put(glow__text *t, const char *string) {
  glow__text_bytes(t, string, strlen(string));
}

void glow__text_number(glow__text *t, int64_t number) {
  char digits[24];
  snprintf(digits, sizeof digits, "%lld", (long long)number);
  glow__text_put(t, digits);
}

/* Quotes, backslashes and control characters are escaped, the rest is as it is. */
void glow__text_quoted(glow__text *t, const char *string) {
  glow__text_put(t, "\"");
  for (const char *from = string, *c = string;; c++) {
    bool plain = (unsigned char)*c >= ' ' && *c != '"' && *c != '\\';
    if (plain)
      continue;
    glow__text_bytes(t, from, (size_t)(c - from));
    if (!*c)
      break;
    char escape[8];
    if ((unsigned char)*c < ' ')
      snprintf(escape, sizeof escape, "\\u%04x", (unsigned)*c);
    else
      snprintf(escape, sizeof escape, "\\%c", *c);
    glow__text_put(t, escape);
    from = c + 1;
  }
  glow__text_put(t, "\"");
}
