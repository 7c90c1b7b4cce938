/* Walking through a JSON object or array member by member. Only the outer punctuation and blanks
 * are looked at here; every key and value is parsed by jansson, which tells how far it read. A tree
 * of jansson's takes 16 to 25 times the memory of its text: with one member at a time that does not
 * matter. SPDX-License-Identifier: MIT */
#include <jansson.h>
#include <string.h>

#include "io/io.h"

static glow_status wrong(const glow__json_walk *walk, int64_t at, const char *text) {
  return glow_error(GLOW_E_FORMAT, "byte %lld: %s: %s", (long long)(walk->base + at), walk->what,
                    text);
}

static char peek(glow__json_walk *walk) {
  while (walk->at < walk->size && memchr(" \t\n\r", walk->text[walk->at], 4))
    walk->at++;
  return walk->at < walk->size ? walk->text[walk->at] : '\0';
}

glow_status glow__json_enter(glow__json_walk *walk, bool object) {
  if (peek(walk) != (object ? '{' : '['))
    return wrong(walk, walk->at, object ? "not a JSON object" : "not a JSON array");
  walk->at++;
  walk->object = object;
  walk->begun = false;
  return GLOW_OK;
}

glow_status glow__json_next(glow__json_walk *walk, bool *more) {
  char c = peek(walk);
  *more = c != (walk->object ? '}' : ']');
  if (!*more) {
    walk->at++;
  } else if (walk->begun) {
    if (c != ',')
      return wrong(walk, walk->at, walk->object ? "',' or '}' expected" : "',' or ']' expected");
    walk->at++;
  }
  walk->begun = true;
  return GLOW_OK;
}

/* `cut`: there is more text than jansson was given, which a failure near the end is due to. */
static glow_status parse_error(glow__json_walk *walk, const json_error_t *error, bool cut,
                               int64_t most) {
  enum { NEAR = 16 }; /* the longest escape or character, and what jansson looks ahead */
  if (json_error_code(error) == json_error_out_of_memory)
    return glow_error(GLOW_E_MEMORY, "no memory for a value of the %s", walk->what);
  walk->too_long = cut && error->position > most - NEAR;
  if (walk->too_long)
    return glow_error(GLOW_E_FORMAT, "byte %lld: %s: a key or value of more than %lld bytes",
                      (long long)(walk->base + walk->at), walk->what, (long long)most);
  return wrong(walk, walk->at + error->position, error->text);
}

glow_status glow__json_value(glow__json_walk *walk, int64_t most, json_t **out) {
  const size_t flags = JSON_DECODE_ANY | JSON_DISABLE_EOF_CHECK | JSON_REJECT_DUPLICATES;
  json_error_t error;
  peek(walk);
  bool cut = walk->size - walk->at > most;
  size_t size = (size_t)(cut ? most : walk->size - walk->at);
  *out = json_loadb(walk->text + walk->at, size, flags, &error);
  if (!*out)
    return parse_error(walk, &error, cut, most);
  walk->at += error.position;
  return GLOW_OK;
}

/* What is none is not made a tree of. */
glow_status glow__json_string(glow__json_walk *walk, int64_t most, json_t **out) {
  *out = NULL;
  if (peek(walk) != '"')
    return wrong(walk, walk->at, "a text in quotes expected");
  return glow__json_value(walk, most, out);
}

glow_status glow__json_key(glow__json_walk *walk, int64_t most, json_t **out) {
  GLOW_TRY(glow__json_string(walk, most, out));
  if (peek(walk) != ':') {
    json_decref(*out);
    *out = NULL;
    return wrong(walk, walk->at, "':' expected");
  }
  walk->at++;
  return GLOW_OK;
}

glow_status glow__json_end(glow__json_walk *walk) {
  peek(walk);
  return walk->at == walk->size ? GLOW_OK : wrong(walk, walk->at, "end of the text expected");
}

/* RFC 3629: no overlong forms, no surrogates, nothing beyond U+10FFFF. */
static int utf8_length(const unsigned char *c) {
  if (c[0] < 0x80)
    return 1;
  int length = c[0] >= 0xc2 && c[0] <= 0xdf ? 2 : c[0] >= 0xe0 && c[0] <= 0xef ? 3 : 4;
  if (c[0] < 0xc2 || c[0] > 0xf4)
    return 0;
  for (int i = 1; i < length; i++)
    if ((c[i] & 0xc0) != 0x80)
      return 0;
  bool bad = (c[0] == 0xe0 && c[1] < 0xa0) || (c[0] == 0xed && c[1] > 0x9f) ||
             (c[0] == 0xf0 && c[1] < 0x90) || (c[0] == 0xf4 && c[1] > 0x8f);
  return bad ? 0 : length;
}

bool glow__is_utf8(const char *text) {
  const unsigned char *c = (const unsigned char *)text;
  for (int length; *c; c += length)
    if ((length = utf8_length(c)) == 0)
      return false;
  return true;
}
