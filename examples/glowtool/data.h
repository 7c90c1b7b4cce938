/* Where glowtool's images come from: CIFAR-10 batches, MNIST IDX, PNG/JPEG files, raw planar
 * records, or generated pictures. Errors are written to a caller's text buffer.
 * SPDX-License-Identifier: MIT */
#ifndef GLOWTOOL_DATA_H
#define GLOWTOOL_DATA_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* A set of images of one shape, in memory: pixels [count, height, width, channels], 8 bits. */
typedef struct image_set {
  int64_t count, height, width, channels;
  uint8_t *pixels;
  int32_t *labels; /* [count] or NULL */
  int32_t classes; /* number of classes, 0 without labels */
} image_set;

typedef struct data_options {
  const char *format; /* "auto", "cifar10", "mnist", "images", "raw:CxHxW", "digits",
                         "shapes" */
  int64_t size;     /* images are cropped and resized to size x size; 0: as they are (all alike) */
  int64_t channels; /* 0: as they are; 1 or 3: files of another kind are refused, except that
                               grey PNG/JPEG become 3 equal channels when 3 is asked */
  int64_t limit;    /* at most so many images; 0: all. Number to make where they are generated */
  uint64_t seed;    /* of generated pictures */
  const char *labels; /* IDX file of labels for "mnist", or NULL */
} data_options;

/* Loads files (or folders) into *out. False: error (error_size bytes) says which file and what. */
bool data_load(const char *const *paths, int32_t count, const data_options *options, image_set *out,
               char *error, size_t error_size);
void data_free(image_set *set);

/* Formats that draw their images instead of reading files: "digits" and "shapes". */
bool data_is_generated(const char *format);
/* Handwritten digits in white on black: picture `number` of `seed`, size x size x 1. Returns the
 * digit, which is number mod 10. */
int32_t digits_draw(uint64_t seed, uint64_t number, int64_t size, uint8_t *pixels);
/* Anti-aliased coloured shapes on shaded backgrounds: picture `number` of `seed`, size x size x 3.
 * */
void shapes_draw(uint64_t seed, uint64_t number, int64_t size, uint8_t *pixels);

#endif
