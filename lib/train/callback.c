/* What a caller's function returned, as an error that says which step and which function it was.
 * Its own text, if it left one (with glow_error, or by a call of the library that failed), follows.
 * SPDX-License-Identifier: MIT */
#include <stdio.h>
#include <string.h>

#include "train/train.h"

void glow__callback_begin(glow__callback *callback) {
  snprintf(callback->before, sizeof callback->before, "%s", glow_last_error());
}

/* Without the step. */
static glow_status callback_error(const glow__callback *callback, glow_status status,
                                  const char *what) {
  if (status > 0)
    return glow_error(GLOW_E_ARGUMENT, "%s returned %d, not a status", what, (int)status);
  if (strcmp(callback->before, glow_last_error()) == 0)
    return glow_error(status, "%s failed: %s", what, glow_status_text(status));
  return glow__error_prefix(status, "%s failed", what);
}

glow_status glow__callback_end(const glow__callback *callback, glow_status status, int64_t step,
                               const char *what) {
  if (status == GLOW_OK)
    return GLOW_OK;
  status = callback_error(callback, status, what);
  return step ? glow__error_prefix(status, "step %lld", (long long)step) : status;
}
