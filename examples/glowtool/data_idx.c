/* MNIST's IDX files, plain or gzip-compressed: big-endian magic, counts, then bytes.
 * http://yann.lecun.com/exdb/mnist SPDX-License-Identifier: MIT */
#include <stdlib.h>
#include <string.h>

#include "data_internal.h"

enum { IMAGES = 0x803, LABELS = 0x801, IMAGE_HEADER = 16, LABEL_HEADER = 8, LARGEST = 4096 };

static uint32_t big_endian(const uint8_t *b) {
  return (uint32_t)b[0] << 24 | (uint32_t)b[1] << 16 | (uint32_t)b[2] << 8 | b[3];
}

/* Checks magic and length: header bytes and count * item bytes. */
static bool check(const char *path, const bytes *file, uint32_t magic, size_t header, uint64_t item,
                  message error) {
  if (file->size < header || big_endian(file->data) != magic)
    return data_fail(error, "%s: not an IDX file of %s: it does not start with 0x%08x", path,
                     magic == IMAGES ? "images" : "labels", magic);
  uint64_t count = big_endian(file->data + 4), wanted = header + count * item;
  if (count == 0)
    return data_fail(error, "%s: no images: the count at byte 4 is 0", path);
  if (file->size < wanted)
    return data_fail(error, "%s: truncated: %zu bytes where %llu items need %llu", path, file->size,
                     (unsigned long long)count, (unsigned long long)wanted);
  if (file->size > wanted)
    return data_fail(error, "%s: %llu bytes too many behind byte %llu", path,
                     (unsigned long long)(file->size - wanted), (unsigned long long)wanted);
  return true;
}

static bool read_labels(const char *path, int64_t images, int64_t count, int32_t *labels,
                        int32_t *classes, message error) {
  bytes file;
  if (!data_read_file(path, true, &file, error))
    return false;
  bool ok = check(path, &file, LABELS, LABEL_HEADER, 1, error);
  if (ok && big_endian(file.data + 4) != images)
    ok = data_fail(error, "%s: %u labels for %lld images", path, big_endian(file.data + 4),
                   (long long)images);
  for (int64_t i = 0; ok && i < count; i++) {
    labels[i] = file.data[LABEL_HEADER + i];
    if (labels[i] > 9)
      ok = data_fail(error, "%s: byte %lld: label %d is not 0 to 9", path,
                     (long long)(LABEL_HEADER + i), labels[i]);
  }
  *classes = 10;
  free(file.data);
  return ok;
}

static bool convert(const char *path, const char *labels_path, const bytes *file, int64_t limit,
                    image_set *set, message error) {
  uint8_t *pixels = NULL;
  int32_t *labels = NULL;
  uint64_t height = 0, width = 0;
  if (file->size >= IMAGE_HEADER) {
    height = big_endian(file->data + 8);
    width = big_endian(file->data + 12);
  }
  if (height > LARGEST || width > LARGEST)
    return data_fail(error, "%s: images of %llu x %llu", path, (unsigned long long)width,
                     (unsigned long long)height);
  if (!check(path, file, IMAGES, IMAGE_HEADER, height * width, error))
    return false;
  if (!height || !width)
    return data_fail(error, "%s: images of %llu x %llu", path, (unsigned long long)width,
                     (unsigned long long)height);
  int64_t images = big_endian(file->data + 4), count = limit && images > limit ? limit : images;
  if (!data_append(set, path, count, (int64_t)height, (int64_t)width, 1, labels_path != NULL,
                   &pixels, &labels, error))
    return false;
  memcpy(pixels, file->data + IMAGE_HEADER, (size_t)count * height * width);
  return !labels_path || read_labels(labels_path, images, count, labels, &set->classes, error);
}

bool data_load_idx(const char *path, const char *labels, int64_t limit, image_set *set,
                   message error) {
  bytes file;
  if (!data_read_file(path, true, &file, error))
    return false;
  bool ok = convert(path, labels, &file, limit, set, error);
  free(file.data);
  return ok;
}
