/* UTF-8 according to RFC 3629: no overlong forms, no surrogates, nothing beyond U+10FFFF.
 * SPDX-License-Identifier: MIT */
#include "base/base.h"

int32_t glow__utf8_length(const char *text) {
  const unsigned char *c = (const unsigned char *)text;
  if (c[0] < 0x80)
    return 1;
  int32_t length = c[0] >= 0xc2 && c[0] <= 0xdf ? 2 : c[0] >= 0xe0 && c[0] <= 0xef ? 3 : 4;
  if (c[0] < 0xc2 || c[0] > 0xf4)
    return 0;
  for (int32_t i = 1; i < length; i++) /* a NUL ends this too */
    if ((c[i] & 0xc0) != 0x80)
      return 0;
  bool bad = (c[0] == 0xe0 && c[1] < 0xa0) || (c[0] == 0xed && c[1] > 0x9f) ||
             (c[0] == 0xf0 && c[1] < 0x90) || (c[0] == 0xf4 && c[1] > 0x8f);
  return bad ? 0 : length;
}

bool glow__is_utf8(const char *text) {
  for (int32_t length; *text; text += length)
    if ((length = glow__utf8_length(text)) == 0)
      return false;
  return true;
}
