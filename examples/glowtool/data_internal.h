/* Between the files that read image data. SPDX-License-Identifier: MIT */
#ifndef GLOWTOOL_DATA_INTERNAL_H
#define GLOWTOOL_DATA_INTERNAL_H

#include "data.h"

/* Where messages go. fail() writes one and returns false. */
typedef struct message {
  char *text;
  size_t size;
} message;
__attribute__((format(printf, 2, 3))) bool data_fail(message error, const char *format, ...);

/* A file in memory. Release with free. */
typedef struct bytes {
  uint8_t *data;
  size_t size;
} bytes;
/* Plain or gzip-compressed when unpack is set; at most 4 GiB. */
bool data_read_file(const char *path, bool unpack, bytes *out, message error);

/* Appends `count` images of this shape to a set, growing it; the new pixels are at *place. A set's
 * first images give it its shape; others must have the same. */
bool data_append(image_set *set, const char *path, int64_t count, int64_t height, int64_t width,
                 int64_t channels, bool labelled, uint8_t **place, int32_t **labels, message error);

bool data_load_cifar(const char *path, int64_t limit, image_set *set, message error);
bool data_load_idx(const char *path, const char *labels, int64_t limit, image_set *set,
                   message error);
/* options->format is one of those that data_is_generated knows. */
bool data_load_generated(const data_options *options, image_set *set, message error);
bool data_load_raw(const char *path, const char *format, int64_t limit, image_set *set,
                   message error);
/* Files and folders of PNG and JPEG, cropped and resized to options->size. */
bool data_load_images(const char *const *paths, int32_t count, const data_options *options,
                      image_set *set, message error);

#endif
