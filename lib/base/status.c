/* Status codes in words, the version, and the text of this thread's last error.
 * SPDX-License-Identifier: MIT */
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include "base/base.h"

static _Thread_local char error_text[GLOW_ERROR_BYTES];

const char *glow_status_name(glow_status status) {
  switch (status) {
#define STATUS_CASE(name, value, text)                                                             \
  case GLOW_##name: return "GLOW_" #name;
    GLOW_STATUS_LIST(STATUS_CASE)
#undef STATUS_CASE
  }
  return "GLOW_E_UNKNOWN";
}

const char *glow_status_text(glow_status status) {
  switch (status) {
#define STATUS_CASE(name, value, text)                                                             \
  case GLOW_##name: return text;
    GLOW_STATUS_LIST(STATUS_CASE)
#undef STATUS_CASE
  }
  return "unknown status";
}

const char *glow_last_error(void) {
  return error_text;
}

/* The arguments may point into error_text, so the text is first made beside it. */
static void record(const char *format, va_list arguments, const char *where) {
  char text[GLOW_ERROR_BYTES];
  int length = vsnprintf(text, sizeof text, format, arguments);
  size_t used = length < 0 ? 0 : (size_t)length;
  if (used < sizeof text && *where)
    snprintf(text + used, sizeof text - used, "%s", where);
  memcpy(error_text, text, strlen(text) + 1);
  glow__scope_tell(error_text);
}

/* In parentheses, for the name is a macro where GLOW_DEBUG is defined, which calls glow_error_at,
 * and where tests/analyze is at work. */
glow_status(glow_error)(glow_status status, const char *format, ...) {
  va_list arguments;
  va_start(arguments, format);
  record(format, arguments, "");
  va_end(arguments);
  return status;
}

glow_status glow_error_at(const char *file, int32_t line, glow_status status, const char *format,
                          ...) {
  char where[200];
  const char *name = file ? file : "";
  va_list arguments;
  while (strncmp(name, "../", 3) == 0) /* compilers run in the build folder */
    name += 3;
  snprintf(where, sizeof where, " (%s:%d)", name, (int)line);
  va_start(arguments, format);
  record(format, arguments, where);
  va_end(arguments);
  return status;
}

glow_status(glow__error_prefix)(glow_status status, const char *format, ...) {
  char text[GLOW_ERROR_BYTES];
  va_list arguments;
  va_start(arguments, format);
  int length = vsnprintf(text, sizeof text, format, arguments);
  va_end(arguments);
  if (length < 0 || length >= GLOW_ERROR_BYTES - 3)
    return status; /* does not fit: the error itself matters more */
  size_t used = (size_t)length;
  memcpy(text + used, ": ", 2);
  used += 2;
  size_t rest = strlen(error_text);
  if (rest > GLOW_ERROR_BYTES - 1 - used)
    rest = GLOW_ERROR_BYTES - 1 - used;
  memcpy(text + used, error_text, rest);
  text[used + rest] = '\0';
  memcpy(error_text, text, used + rest + 1);
  glow__scope_tell(error_text);
  return status;
}

#define TEXT_OF(x) #x
#define VERSION_TEXT(major, minor, patch) TEXT_OF(major) "." TEXT_OF(minor) "." TEXT_OF(patch)

const char *glow_version(void) {
  return VERSION_TEXT(GLOW_VERSION_MAJOR, GLOW_VERSION_MINOR, GLOW_VERSION_PATCH);
}

int32_t glow_version_number(void) {
  return GLOW_VERSION_NUMBER;
}
