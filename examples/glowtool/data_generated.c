/* Pictures that need no files: which kinds there are, and reading them by number.
 * SPDX-License-Identifier: MIT */
#include <stdlib.h>
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
  for (size_t i = 0; format && i < sizeof kinds / sizeof *kinds; i++)
    if (strcmp(format, kinds[i].format) == 0)
      return &kinds[i];
  return NULL;
}

bool data_is_generated(const char *format) {
  return find(format) != NULL;
}

static bool read_picture(data_reader *r, int64_t index, data_sample *out, message error) {
  const data_sources *s = r->state;
  if (!data_sample_shape(out, r->height, r->width, r->channels, false, r->path, error))
    return false;
  find(s->options.format)->draw(s->options.seed, (uint64_t)index, r->height, out->data);
  return true;
}

static void close_pictures(data_reader *r) {
  (void)r;
}

static const data_reader_ops generated_ops = {read_picture, NULL, NULL, close_pictures};

/* Picture n of a kind with classes is of class n mod classes. */
static bool add_labels(data_reader *r, message error) {
  r->labels = malloc((size_t)r->count * sizeof *r->labels);
  if (!r->labels)
    return data_fail(error, "out of memory for %lld labels", (long long)r->count);
  for (int64_t i = 0; i < r->count; i++)
    r->labels[i] = (int32_t)(i % r->classes);
  return true;
}

bool data_open_generated(data_sources *s, message error) {
  const data_options *o = &s->options;
  const kind *k = find(o->format);
  if (o->width != o->height)
    return data_fail(error, "generated pictures are square, not %lld x %lld", (long long)o->width,
                     (long long)o->height);
  data_reader r = {.ops = &generated_ops,
                   .path = "generated pictures",
                   .state = s,
                   .count = o->limit ? o->limit : 10000,
                   .height = o->width ? o->width : k->size,
                   .width = o->width ? o->width : k->size,
                   .channels = k->channels,
                   .classes = k->classes};
  if (o->channels && o->channels != k->channels)
    return data_fail(error, "generated %s have %lld channel%s, not %lld", k->format,
                     (long long)k->channels, k->channels == 1 ? "" : "s", (long long)o->channels);
  return (!k->classes || add_labels(&r, error)) && data_add(s, &r, error);
}
