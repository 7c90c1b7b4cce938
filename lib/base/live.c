/* Which handles there are, for debug builds: a function that is given one which was destroyed, or
 * never was one, says so instead of reading memory that is gone. Nothing of the handle is read for
 * that: its address is looked up in a table of the process, without locks, because any thread makes
 * and destroys handles. This is the one exception to the rule that the library has no global state,
 * and only in builds with GLOW_DEBUG.
 *
 * An address that a new handle of the same kind has got again is not recognised as stale. When the
 * table is full, nothing is said any more. SPDX-License-Identifier: MIT */
#include "base/base.h"

enum { SLOTS = 1 << 16, PROBES = 64 };
#define REMOVED ((uintptr_t)16)

/* An address, with its kind in the bits that are 0 in every address of an allocation; 0: never
 * used; REMOVED: may be used again. */
static uintptr_t slots[SLOTS];
static bool full;

static uintptr_t live_entry(const void *handle, int kind) {
  return (uintptr_t)handle | (uintptr_t)kind;
}

static uint32_t live_slot(const void *handle, uint32_t probe) {
  uint64_t mixed = (uint64_t)((uintptr_t)handle >> 4) * 0x9e3779b97f4a7c15u;
  return ((uint32_t)(mixed >> 40) + probe) % SLOTS;
}

void glow__live_add(const void *handle, int kind) {
  for (uint32_t i = 0; i < PROBES; i++) {
    uintptr_t *slot = &slots[live_slot(handle, i)], seen = __atomic_load_n(slot, __ATOMIC_ACQUIRE);
    if ((seen == 0 || seen == REMOVED) &&
        __atomic_compare_exchange_n(slot, &seen, live_entry(handle, kind), false, __ATOMIC_ACQ_REL,
                                    __ATOMIC_ACQUIRE))
      return;
  }
  __atomic_store_n(&full, true, __ATOMIC_RELEASE);
}

static uintptr_t *live_find(const void *handle, int kind) {
  for (uint32_t i = 0; i < PROBES; i++) {
    uintptr_t *slot = &slots[live_slot(handle, i)], seen = __atomic_load_n(slot, __ATOMIC_ACQUIRE);
    if (seen == live_entry(handle, kind))
      return slot;
    if (!seen) /* it would have gone here */
      return NULL;
  }
  return NULL;
}

void glow__live_remove(const void *handle, int kind) {
  uintptr_t *slot = live_find(handle, kind);
  if (slot)
    __atomic_store_n(slot, REMOVED, __ATOMIC_RELEASE);
}

bool glow__is_live(const void *handle, int kind, const char *function) {
  static const char *const names[] = {
#define LIVE_NAME(name, text) [GLOW_LIVE_##name] = text,
      GLOW_LIVE_LIST(LIVE_NAME)
#undef LIVE_NAME
  };
  if (!handle || live_find(handle, kind) || __atomic_load_n(&full, __ATOMIC_ACQUIRE))
    return true;
  glow_error(GLOW_E_ARGUMENT, "%s: the %s was destroyed, or never was one", function, names[kind]);
  return false;
}
