/* Put in front of every source of glowtool by analyze.sh: what analyzers cannot know of functions
 * of its other files. SPDX-License-Identifier: MIT */
#ifndef ANALYZE_KNOWN_TOOL_H
#define ANALYZE_KNOWN_TOOL_H
#include "data_file.h"

/* It returns false, so what depends on success is left out. */
static inline void known_message(message error, const char *format, ...) {
  (void)error, (void)format;
}
#define data_fail(error_, ...) (known_message(error_, __VA_ARGS__), false)
#endif
