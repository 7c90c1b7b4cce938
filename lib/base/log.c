/* Messages to the application's log callback. SPDX-License-Identifier: MIT */
#include <stdarg.h>
#include <stdio.h>

#include "base/base.h"

void glow_context_log(const glow_context *context, int32_t level, const char *format, ...) {
  if (!context || !context->log)
    return;
  char text[1024];
  va_list arguments;
  va_start(arguments, format);
  vsnprintf(text, sizeof text, format, arguments);
  va_end(arguments);
  context->log(level, text, context->log_payload);
}
