/* Pictures that need no files: which kinds there are, and sets of them.
 * SPDX-License-Identifier: MIT */
#include <string.h>

#include "data_internal.h"

typedef struct kind {
  const char *format;
  int64_t channels, size; /* size: unless another is asked for */
  int32_t classes;        /* 0: without labels */
  /* Returns the picture's class. */
  int32_t (*draw)(uint64_t seed, uint64_t number, int64_t size, uint8_t *pixels);
} kind;

static int32_t draw_shapes(uint64_t seed, uint64_t number, int64_t size, uint8_t *pixels) {
  shapes_draw(seed, number, size, pixels);
  return 0;
}

static const kind kinds[] = {
    {"digits", 1, 16, 10, digits_draw},
    {"shapes", 3, 32, 0, draw_shapes},
};

static const kind *find(const char *format) {
  for (size_t i = 0; i < sizeof kinds / sizeof *kinds; i++)
    if (strcmp(format, kinds[i].format) == 0)
      return &kinds[i];
  return NULL;
}

bool data_is_generated(const char *format) {
  return find(format) != NULL;
}

bool data_load_generated(const data_options *o, image_set *set, message error) {
  const kind *k = find(o->format);
  int64_t size = o->size ? o->size : k->size, count = o->limit ? o->limit : 10000;
  int64_t picture = size * size * k->channels;
  uint8_t *pixels = NULL;
  int32_t *labels = NULL;
  if (o->channels && o->channels != k->channels)
    return data_fail(error, "generated %s have %lld channel%s, not %lld", k->format,
                     (long long)k->channels, k->channels == 1 ? "" : "s", (long long)o->channels);
  if (!data_append(set, k->format, count, size, size, k->channels, k->classes > 0, &pixels, &labels,
                   error))
    return false;
  set->classes = k->classes;
  for (int64_t i = 0; i < count; i++) {
    int32_t label = k->draw(o->seed, (uint64_t)i, size, pixels + i * picture);
    if (k->classes)
      labels[i] = label;
  }
  return true;
}
