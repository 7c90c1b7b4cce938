/* Status codes in words, the version, and the text of this thread's last error.
 * SPDX-License-Identifier: MIT */
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include "base/base.h"

enum { ERROR_BYTES = 1024 }; /* longer texts are cut */

static _Thread_local char error_text[ERROR_BYTES];

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

glow_status glow_error(glow_status status, const char *format, ...) {
  char text[ERROR_BYTES]; /* the arguments may point into error_text */
  va_list arguments;
  va_start(arguments, format);
  vsnprintf(text, sizeof text, format, arguments);
  va_end(arguments);
  memcpy(error_text, text, strlen(text) + 1);
  return status;
}

glow_status glow__error_prefix(glow_status status, const char *format, ...) {
  char text[ERROR_BYTES];
  va_list arguments;
  va_start(arguments, format);
  int length = vsnprintf(text, sizeof text, format, arguments);
  va_end(arguments);
  if (length < 0 || length >= ERROR_BYTES - 3)
    return status; /* no room: the error itself matters more */
  size_t used = (size_t)length;
  memcpy(text + used, ": ", 2);
  used += 2;
  size_t rest = strlen(error_text);
  if (rest > ERROR_BYTES - 1 - used)
    rest = ERROR_BYTES - 1 - used;
  memcpy(text + used, error_text, rest);
  text[used + rest] = '\0';
  memcpy(error_text, text, used + rest + 1);
  return status;
}

#define TEXT_OF(x) #x
#define VERSION_TEXT(major, minor, patch) TEXT_OF(major) "." TEXT_OF(minor) "." TEXT_OF(patch)

const char *glow_version(void) {
  return VERSION_TEXT(GLOW_VERSION_MAJOR, GLOW_VERSION_MINOR, GLOW_VERSION_PATCH);
}

int32_t glow_version_number(void) {
  return GLOW_VERSION_MAJOR * 10000 + GLOW_VERSION_MINOR * 100 + GLOW_VERSION_PATCH;
}
