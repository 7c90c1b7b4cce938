/* A strict reader of JSON, RFC 8259, and stricter where the standard leaves a choice: strings are
 * UTF-8 without NUL, escaped surrogates come in pairs, integers have 64 bits, numbers do not
 * overflow, and nesting is limited.
 *
 * It allocates nothing: a decoded string is no longer than its text and takes its place, and
 * there are no trees. docs/design.md says why no library does this.
 * SPDX-License-Identifier: MIT */
#include "io/json.h"

#include <errno.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

_Static_assert(GLOW_JSON_DEPTH <= 32, "a bit of glow__json.objects for each depth");

/* Reports what is wrong at byte `at` of the text. */
static glow_status json_error(const glow__json *json, int64_t at, const char *text) {
  return glow_error(GLOW_E_FORMAT, "byte %lld: %s: %s", (long long)(json->base + at), json->what,
                    text);
}

glow_status glow__json_open(glow_context *context, const char *text, const char *what,
                            glow__json *out) {
  char *copy = glow__strdup(context, text);
  *out = (glow__json){.text = copy, .what = what, .context = context};
  if (!copy)
    return GLOW_E_MEMORY;
  out->size = (int64_t)strlen(text);
  return GLOW_OK;
}

void glow__json_close(glow__json *json) {
  if (json->context)
    glow_release(json->context, json->text);
  *json = (glow__json){.text = NULL};
}

/* ---- objects and arrays ---------------------------------------------------------------------- */

char glow__json_peek(glow__json *json) {
  const char *c = json->text + json->at;
  while (*c == ' ' || *c == '\t' || *c == '\n' || *c == '\r')
    c++;
  json->at = c - json->text;
  return *c;
}

glow_status glow__json_enter(glow__json *json, bool object) {
  const uint32_t bit = (uint32_t)1 << (json->depth % GLOW_JSON_DEPTH);
  if (glow__json_peek(json) != (object ? '{' : '['))
    return json_error(json, json->at, object ? "not a JSON object" : "not a JSON array");
  if (json->depth == GLOW_JSON_DEPTH)
    return json_error(json, json->at, "objects and arrays are nested too deeply");
  json->objects = object ? json->objects | bit : json->objects & ~bit;
  json->depth++;
  json->at++;
  json->begun = false;
  return GLOW_OK;
}

static bool in_object(const glow__json *json) {
  return json->objects >> (json->depth - 1) & 1;
}

glow_status glow__json_next(glow__json *json, bool *more) {
  const bool object = in_object(json);
  char c = glow__json_peek(json);
  *more = c != (object ? '}' : ']');
  if (!*more)
    json->depth--;
  else if (json->begun && c != ',')
    return json_error(json, json->at, object ? "',' or '}' expected" : "',' or ']' expected");
  json->at += !*more || json->begun;
  json->begun = true; /* the container that ended was a member of the one around it */
  return GLOW_OK;
}

glow_status glow__json_end(glow__json *json) {
  glow__json_peek(json);
  return json->at == json->size ? GLOW_OK : json_error(json, json->at, "end of the text expected");
}

/* ---- strings --------------------------------------------------------------------------------- */

/* The value of four hexadecimal digits, -1 if they are none. */
static int32_t read_hex(const char *c) {
  int32_t value = 0;
  for (int i = 0; i < 4; i++) {
    static const char digits[] = "0123456789abcdef0123456789ABCDEF";
    const char *digit = c[i] ? strchr(digits, c[i]) : NULL;
    if (!digit)
      return -1;
    value = value * 16 + (int32_t)((digit - digits) % 16);
  }
  return value;
}

/* A character as UTF-8. Returns the number of bytes. */
static int32_t put_utf8(int32_t code, char *to) {
  int32_t length = code < 0x80 ? 1 : code < 0x800 ? 2 : code < 0x10000 ? 3 : 4;
  static const int32_t marks[] = {0, 0, 0xc0, 0xe0, 0xf0};
  for (int32_t i = length - 1; i > 0; i--, code >>= 6)
    to[i] = (char)(0x80 | (code & 0x3f));
  to[0] = (char)(marks[length] | code);
  return length;
}

/* \u0061, or two of them for a character beyond U+FFFF: a pair of surrogates (RFC 8259, 7). */
static glow_status read_unicode(glow__json *json, char *to, int32_t *length) {
  const char *c = json->text + json->at;
  int32_t code = read_hex(c + 2);
  if (code < 0)
    return json_error(json, json->at, "\\u without four hexadecimal digits");
  if (code == 0)
    return json_error(json, json->at, "NUL in a string");
  json->at += 6;
  if (code >= 0xd800 && code <= 0xdfff) {
    int32_t low = code < 0xdc00 && c[6] == '\\' && c[7] == 'u' ? read_hex(c + 8) : -1;
    if (low < 0xdc00 || low > 0xdfff)
      return json_error(json, json->at - 6, "half of a pair of surrogates");
    code = 0x10000 + ((code - 0xd800) << 10) + (low - 0xdc00);
    json->at += 6;
  }
  *length = put_utf8(code, to);
  return GLOW_OK;
}

static glow_status read_escape(glow__json *json, char *to, int32_t *length) {
  static const char letters[] = "\"\\/bfnrt", meanings[] = "\"\\/\b\f\n\r\t";
  const char c = json->text[json->at + 1];
  const char *letter = c ? strchr(letters, c) : NULL;
  if (c == 'u')
    return read_unicode(json, to, length);
  if (!letter)
    return json_error(json, json->at, "unknown escape in a string");
  *to = meanings[letter - letters];
  *length = 1;
  json->at += 2;
  return GLOW_OK;
}

/* Reports what is not allowed in a string. */
static glow_status refuse_character(const glow__json *json) {
  const unsigned char c = (unsigned char)json->text[json->at];
  char text[64];
  if (json->at == json->size)
    return json_error(json, json->at, "a string without its closing quote");
  snprintf(
      text, sizeof text,
      c < ' ' ? "control character 0x%02x in a string" : "byte 0x%02x of a string is not UTF-8", c);
  return json_error(json, json->at, text);
}

/* Passes over characters that stand for themselves. */
static void pass_plain(glow__json *json) {
  const char *c = json->text + json->at;
  for (int32_t length = 1; length; c += length)
    length = (unsigned char)*c < ' ' || *c == '"' || *c == '\\' ? 0 : glow__utf8_length(c);
  json->at = c - json->text;
}

/* Reads the string whose quote is at json->at. to: where it is put; NULL: nowhere. */
static glow_status read_string(glow__json *json, char *to) {
  json->at++;
  for (;;) {
    char bytes[4];
    const char *from = json->text + json->at;
    int32_t length = 0;
    pass_plain(json);
    size_t plain = (size_t)(json->text + json->at - from);
    if (to) {
      memmove(to, from, plain);
      to += plain;
    }
    if (json->text[json->at] == '"')
      break;
    if (json->text[json->at] != '\\')
      return refuse_character(json);
    GLOW_TRY(read_escape(json, bytes, &length));
    if (to) {
      memcpy(to, bytes, (size_t)length);
      to += length;
    }
  }
  if (to)
    *to = '\0';
  json->at++;
  return GLOW_OK;
}

glow_status glow__json_string(glow__json *json, const char **out) {
  *out = NULL;
  if (glow__json_peek(json) != '"')
    return GLOW_OK;
  char *to = json->text + json->at;
  GLOW_TRY(read_string(json, to));
  *out = to;
  return GLOW_OK;
}

/* to as in read_string. */
static glow_status read_key(glow__json *json, char *to) {
  GLOW_TRY(read_string(json, to));
  if (glow__json_peek(json) != ':')
    return json_error(json, json->at, "':' expected");
  json->at++;
  return GLOW_OK;
}

static glow_status expect_key(glow__json *json) {
  return glow__json_peek(json) == '"' ? GLOW_OK : json_error(json, json->at, "a string expected");
}

glow_status glow__json_key(glow__json *json, const char **key) {
  GLOW_TRY(expect_key(json));
  char *to = json->text + json->at;
  *key = to;
  return read_key(json, to);
}

glow_status glow__json_next_key(glow__json *json, const char **key) {
  bool more = true;
  *key = NULL;
  GLOW_TRY(glow__json_next(json, &more));
  return more ? glow__json_key(json, key) : GLOW_OK;
}

/* ---- numbers --------------------------------------------------------------------------------- */

static const char *pass_digits(const char *c) {
  while (*c >= '0' && *c <= '9')
    c++;
  return c;
}

/* Where the number at c ends; NULL if it is not a number. */
static const char *number_end(const char *c, bool *whole) {
  const char *first = c += *c == '-';
  c = *c == '0' ? c + 1 : pass_digits(c);
  bool good = c > first;
  *whole = *c != '.' && *c != 'e' && *c != 'E';
  if (*c == '.') {
    first = c + 1;
    c = pass_digits(first);
    good = good && c > first;
  }
  if (*c == 'e' || *c == 'E') {
    first = c + 1 + (c[1] == '+' || c[1] == '-');
    c = pass_digits(first);
    good = good && c > first;
  }
  return good ? c : NULL;
}

/* strtod takes its decimal point from the locale, so it is given none: 12.5e3 is read as 125e2. */
static double json_read_real(const char *c, const char *end) {
  char digits[GLOW_JSON_NUMBER + 32];
  size_t count = 0;
  long long exponent = 0, fraction = 0;
  bool behind_point = false;
  for (; c < end && *c != 'e' && *c != 'E'; c++) {
    fraction += behind_point;
    if (*c == '.')
      behind_point = true;
    else
      digits[count++] = *c;
  }
  if (c < end) { /* strtoll stays within its range; beyond a million all are the same */
    exponent = strtoll(c + 1, NULL, 10);
    exponent = exponent > 1000000 ? 1000000 : exponent < -1000000 ? -1000000 : exponent;
  }
  snprintf(digits + count, sizeof digits - count, "e%lld", exponent - fraction);
  return strtod(digits, NULL);
}

glow_status glow__json_number_read(glow__json *json, glow__json_number *out) {
  const char c = glow__json_peek(json), *from = json->text + json->at;
  bool whole = false;
  *out = (glow__json_number){.kind = GLOW_JSON_NONE};
  if (c != '-' && (c < '0' || c > '9'))
    return GLOW_OK;
  const char *end = number_end(from, &whole);
  if (!end)
    return json_error(json, json->at, "not a number");
  if (end - from > GLOW_JSON_NUMBER)
    return json_error(json, json->at, "a number with too many digits");
  errno = 0;
  out->integer = whole ? strtoll(from, NULL, 10) : 0;
  if (errno)
    return json_error(json, json->at, "the integer does not fit in 64 bits");
  out->real = whole ? (double)out->integer : json_read_real(from, end);
  if (!isfinite(out->real))
    return json_error(json, json->at, "the number does not fit in a double");
  out->kind = whole ? GLOW_JSON_WHOLE : GLOW_JSON_REAL;
  json->at = end - json->text;
  return GLOW_OK;
}

/* ---- words, and values that nobody reads ----------------------------------------------------- */

bool glow__json_word(glow__json *json, const char *word) {
  glow__json_peek(json);
  bool found = strncmp(json->text + json->at, word, strlen(word)) == 0;
  json->at += found ? (int64_t)strlen(word) : 0;
  return found;
}

static glow_status skip_members(glow__json *json, bool object) {
  bool more = true;
  GLOW_TRY(glow__json_enter(json, object));
  for (;;) {
    GLOW_TRY(glow__json_next(json, &more));
    if (!more)
      return GLOW_OK;
    if (object) {
      GLOW_TRY(expect_key(json));
      GLOW_TRY(read_key(json, NULL));
    }
    GLOW_TRY(glow__json_skip(json));
  }
}

glow_status glow__json_skip(glow__json *json) {
  glow__json_number number;
  char c = glow__json_peek(json);
  if (c == '{' || c == '[')
    return skip_members(json, c == '{');
  if (c == '"')
    return read_string(json, NULL);
  GLOW_TRY(glow__json_number_read(json, &number));
  if (number.kind != GLOW_JSON_NONE || glow__json_word(json, "true") ||
      glow__json_word(json, "false") || glow__json_word(json, "null"))
    return GLOW_OK;
  return json_error(json, json->at, "a value expected");
}
