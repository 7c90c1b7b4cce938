/* Groups: fixed runs of whole samples, the tasks of layers that do the same small work on every
 * element. The cuts depend on shapes alone, so results do not depend on threads.
 * SPDX-License-Identifier: MIT */
#ifndef GLOW_LIB_GROUPS_H
#define GLOW_LIB_GROUPS_H

#include <stdint.h>

/* At most this many groups, so that storing sums of each is cheap. A group with fewer elements than
 * this is not worth waking a thread for. */
enum { GLOW_MOST_GROUPS = 64, GLOW_LEAST_ELEMENTS = 1024 };

typedef struct glow__groups {
  int64_t samples; /* of the batch */
  int64_t size;    /* samples in a group */
} glow__groups;

/* elements: of one sample */
static inline glow__groups glow__groups_of(int64_t samples, int64_t elements) {
  int64_t share = (samples + GLOW_MOST_GROUPS - 1) / GLOW_MOST_GROUPS;
  int64_t least = (GLOW_LEAST_ELEMENTS + elements - 1) / elements;
  return (glow__groups){samples, share > least ? share : least};
}

static inline uint32_t glow__group_count(const glow__groups *g) {
  return (uint32_t)((g->samples + g->size - 1) / g->size);
}

/* Samples [first, last) of group number `task`. */
static inline int64_t glow__group_first(const glow__groups *g, uint32_t task) {
  return (int64_t)task * g->size;
}
static inline int64_t glow__group_last(const glow__groups *g, uint32_t task) {
  int64_t last = ((int64_t)task + 1) * g->size;
  return last < g->samples ? last : g->samples;
}

#endif
