/* A text that grows, in memory of the context: for writing JSON.
 * SPDX-License-Identifier: MIT */
#include <math.h>
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

/* %.17g, with the decimal point of any locale turned into '.', and an exponent without '+' and
 * leading zeros. */
void glow__text_real(glow__text *t, double real) {
  char digits[40], out[40];
  size_t count = 0;
  bool point = false, exponent = false;
  if (t->status == GLOW_OK && !isfinite(real))
    t->status = glow_error(GLOW_E_NUMERIC, "%g cannot be written: it is not finite", real);
  if (t->status != GLOW_OK)
    return;
  snprintf(digits, sizeof digits, "%.17g", real);
  for (const char *c = digits; *c; c++) {
    if (exponent && (*c == '+' || (*c == '0' && (out[count - 1] == 'e' || out[count - 1] == '-'))))
      continue;
    if ((*c >= '0' && *c <= '9') || *c == '-' || *c == 'e')
      out[count++] = *c;
    else if (!point) /* the locale's point, of one byte or more */
      out[count++] = '.', point = true;
    exponent = exponent || *c == 'e';
  }
  glow__text_bytes(t, out, count);
  if (!point && !exponent)
    glow__text_put(t, ".0");
}

/* Quotes, backslashes and control characters are escaped, everything else stays as it is. */
void glow__text_quoted(glow__text *t, const char *string) {
  if (t->status == GLOW_OK && !glow__is_utf8(string))
    t->status = glow_error(GLOW_E_ARGUMENT, "'%.100s' is not UTF-8", string);
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
