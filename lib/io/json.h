/* JSON that is read in place: a walk through the text, member by member, that takes no memory.
 * There are no trees: the reader of a structure asks for what it expects, and reports an error if
 * something else comes. SPDX-License-Identifier: MIT */
#ifndef GLOW_LIB_JSON_H
#define GLOW_LIB_JSON_H

#include "base/base.h"

enum {
  GLOW_JSON_DEPTH = 32,  /* objects and arrays within each other */
  GLOW_JSON_NUMBER = 512 /* bytes of a number; a double needs no more than 25 */
};

/* A place in a JSON text. A copy of it is the same place, to come back to. */
typedef struct glow__json {
  char *text; /* `size` bytes and a NUL; strings are decoded in place */
  int64_t size, at;
  const char *what;      /* in messages: "header" */
  int64_t base;          /* in messages: the offset of the text's first byte */
  uint32_t objects;      /* bit d: the container at depth d is an object, else an array */
  int32_t depth;         /* containers entered */
  bool begun;            /* the innermost one has had a member */
  glow_context *context; /* of a text that is a copy; or NULL */
} glow__json;

/* At the start of a copy of `text`. */
glow_status glow__json_open(glow_context *context, const char *text, const char *what,
                            glow__json *out);
void glow__json_close(glow__json *json);

/* The first character of what comes next, blanks skipped; NUL at the end. */
char glow__json_peek(glow__json *json);

/* Steps into the object or array that comes next. */
glow_status glow__json_enter(glow__json *json, bool object);
/* Steps to the next member of the innermost container. *more false: it has ended, and was left. */
glow_status glow__json_next(glow__json *json, bool *more);
/* The key of a member, whose value comes next. */
glow_status glow__json_key(glow__json *json, const char **key);
/* Steps to the next member of an object and reads its key. *key NULL: the object has ended, and was
 * left. */
glow_status glow__json_next_key(glow__json *json, const char **key);

/* A string, which then is a C string in the text, with no more bytes than it had. If something else
 * comes next, *out is NULL and nothing was read. A string can be read once. */
glow_status glow__json_string(glow__json *json, const char **out);

enum { GLOW_JSON_NONE = 0, GLOW_JSON_WHOLE = 1, GLOW_JSON_REAL = 2 };
typedef struct glow__json_number {
  int32_t kind;    /* NONE: something else comes next, nothing was read */
  int64_t integer; /* of a whole number: one without a point and an exponent */
  double real;     /* of either kind, rounded to nearest, in any locale */
} glow__json_number;
glow_status glow__json_number_read(glow__json *json, glow__json_number *out);

/* Reads this word (true, false, null), if it comes next. */
bool glow__json_word(glow__json *json, const char *word);
/* Passes over a value of any kind. It is checked, except for duplicate keys, and can be read later.
 * */
glow_status glow__json_skip(glow__json *json);
/* Nothing but blanks may be left. */
glow_status glow__json_end(glow__json *json);

#endif
