/* Writing JSON (RFC 8259). SPDX-License-Identifier: MIT */
#include "json.h"

#include <math.h>

#include "tool.h"

static void quote(FILE *file, const char *text) {
  putc('"', file);
  while (*text) {
    const unsigned char *s = (const unsigned char *)text;
    int length = utf8_length(text);
    if (length == 0)
      fputs("\\ufffd", file);
    else if (*s == '"' || *s == '\\')
      fprintf(file, "\\%c", *s);
    else if (*s < 0x20 || *s == 0x7F)
      fprintf(file, "\\u%04x", *s);
    else if (length == 2 && s[0] == 0xC2 && s[1] < 0xA0) /* C1: terminals act on them */
      fprintf(file, "\\u%04x", s[1]);
    else
      (void)fwrite(text, 1, (size_t)length, file);
    text += length ? length : 1;
  }
  putc('"', file);
}

static void start(json_writer *json, const char *key) {
  if (json->comma)
    fputs(", ", json->file);
  json->comma = true;
  if (key) {
    quote(json->file, key);
    fputs(": ", json->file);
  }
}

void put_open(json_writer *json, const char *key, char bracket) {
  start(json, key);
  putc(bracket, json->file);
  json->comma = false;
}

void put_close(json_writer *json, char bracket) {
  putc(bracket, json->file);
  json->comma = true;
}

void put_text(json_writer *json, const char *key, const char *value) {
  start(json, key);
  quote(json->file, value);
}

void put_int(json_writer *json, const char *key, int64_t value) {
  start(json, key);
  fprintf(json->file, "%lld", (long long)value);
}

void put_real(json_writer *json, const char *key, double value) {
  start(json, key);
  if (isfinite(value))
    fprintf(json->file, "%.9g", value);
  else
    fputs("null", json->file);
}

void put_bool(json_writer *json, const char *key, bool value) {
  start(json, key);
  fputs(value ? "true" : "false", json->file);
}
