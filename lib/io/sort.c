/* Heapsort (Williams 1964): in place, n log n in every case, and not stable. The C library's qsort
 * may allocate, and not from the context's allocator.
 * SPDX-License-Identifier: MIT */
#include <string.h>

#include "io/io.h"

typedef struct heap {
  char *items;
  size_t size;
  int (*compare)(const void *a, const void *b);
} heap;

static void *item(const heap *h, size_t index) {
  return h->items + index * h->size;
}

static void sort_swap(const heap *h, size_t a, size_t b) {
  char held[16], *x = item(h, a), *y = item(h, b);
  for (size_t at = 0; at < h->size; at += sizeof held) {
    size_t here = h->size - at < sizeof held ? h->size - at : sizeof held;
    memcpy(held, x + at, here);
    memcpy(x + at, y + at, here);
    memcpy(y + at, held, here);
  }
}

/* Sinks the item at `at` until no child among the first `count` items is larger. */
static void sort_sink(const heap *h, size_t at, size_t count) {
  for (size_t child; (child = 2 * at + 1) < count; at = child) {
    if (child + 1 < count && h->compare(item(h, child), item(h, child + 1)) < 0)
      child++;
    if (h->compare(item(h, at), item(h, child)) >= 0)
      return;
    sort_swap(h, at, child);
  }
}

void glow__sort(void *items, size_t count, size_t size,
                int (*compare)(const void *a, const void *b)) {
  const heap h = {items, size, compare};
  for (size_t at = count / 2; at-- > 0;)
    sort_sink(&h, at, count);
  for (size_t left = count; left-- > 1;) {
    sort_swap(&h, 0, left);
    sort_sink(&h, 0, left);
  }
}
