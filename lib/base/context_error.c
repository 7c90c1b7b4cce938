/* Errors told to contexts: public functions say at their start what object they were given, and
 * what fails until they end is told to its context, besides the thread. A failed call may be
 * followed on another thread, as in languages that move their own threads about, by a question to
 * the context.
 *
 * The text is guarded by a flag, not a lock. A writer that finds it taken gives way, because the
 * other text is as much the last one; a reader that finds it taken for long (a child of fork() may
 * have got it so) says nothing. SPDX-License-Identifier: MIT */
#include <sched.h>
#include <string.h>

#include "base/base.h"

static _Thread_local glow_context *present; /* of the innermost public function; or NULL */

/* Every handle but a pool starts with its context. */
static glow_context *scope_context(const void *handle, int kind) {
  glow_context *context;
  if (kind == GLOW_LIVE_CONTEXT)
    return (glow_context *)(uintptr_t)handle;
  memcpy(&context, handle, sizeof context);
  return context;
}

glow__scope glow__scope_enter(const void *handle, int kind) {
  const glow__scope scope = {present};
  if (handle && kind != GLOW_LIVE_POOL)
    present = scope_context(handle, kind);
  return scope;
}

void glow__scope_leave(const glow__scope *scope) {
  present = scope->before;
}

static bool error_take(glow__context_error *error) {
  return !__atomic_exchange_n(&error->busy, 1, __ATOMIC_ACQUIRE);
}

static void error_give(glow__context_error *error) {
  __atomic_store_n(&error->busy, 0, __ATOMIC_RELEASE);
}

void glow__scope_tell(const char *text) {
  if (!present || !error_take(&present->error))
    return;
  memcpy(present->error.text, text, strlen(text) + 1);
  error_give(&present->error);
}

glow_status glow_context_last_error(const glow_context *context, char *out, size_t size) {
  enum { PATIENCE = 1000 };
  if (!context || !out || size == 0)
    return glow_error(GLOW_E_ARGUMENT, "glow_context_last_error: NULL argument, or size 0");
  if (!glow__is_live(context, GLOW_LIVE_CONTEXT, __func__))
    return GLOW_E_ARGUMENT;
  glow__context_error *error = &((glow_context *)(uintptr_t)context)->error;
  *out = '\0';
  for (int tries = 0; tries < PATIENCE; tries++, sched_yield())
    if (error_take(error)) {
      size_t length = strnlen(error->text, size - 1);
      memcpy(out, error->text, length);
      out[length] = '\0';
      error_give(error);
      break;
    }
  return GLOW_OK;
}
