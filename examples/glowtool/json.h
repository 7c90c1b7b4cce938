/* Writing JSON: a value at a time, on one line. SPDX-License-Identifier: MIT */
#ifndef GLOWTOOL_JSON_H
#define GLOWTOOL_JSON_H

#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>

typedef struct json_writer {
  FILE *file;
  bool comma; /* the next value is not the first */
} json_writer;

/* key NULL: an element of an array, or the outermost value. */
void put_open(json_writer *json, const char *key, char bracket); /* '{' or '[' */
void put_close(json_writer *json, char bracket);                 /* '}' or ']' */
/* Text may come from strangers: control characters are escaped, bytes that are not UTF-8 become
 * U+FFFD. */
void put_text(json_writer *json, const char *key, const char *value);
void put_int(json_writer *json, const char *key, int64_t value);
void put_real(json_writer *json, const char *key, double value); /* not finite: null */
void put_bool(json_writer *json, const char *key, bool value);

#endif
