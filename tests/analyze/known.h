/* Put in front of every source by analyze.sh, since analyzers look at one file at a time: what they
 * cannot know of functions of other files. SPDX-License-Identifier: MIT */
#ifndef ANALYZE_KNOWN_H
#define ANALYZE_KNOWN_H
#ifndef _GNU_SOURCE
#define _GNU_SOURCE
#endif
#include "base/base.h"

/* Both return the status that they are given, so nothing goes on after an error as if all was well.
 * A function with `...` is not followed, hence two. */
static inline void known_text(glow_status status, const char *format, ...) {
  (void)status, (void)format;
}
static inline glow_status known_status(glow_status status) {
  return status;
}
#define glow_error(status_, ...) (known_text(status_, __VA_ARGS__), known_status(status_))
#define glow__error_prefix(status_, ...) (known_text(status_, __VA_ARGS__), known_status(status_))
#endif
