/* CIFAR-10 binary batches: records of 3073 bytes, a label and three planes of 32 x 32.
 * SPDX-License-Identifier: MIT */
#include <stdlib.h>

#include "data_internal.h"

enum { SIDE = 32, PLANE = SIDE * SIDE, RECORD = 1 + 3 * PLANE, CLASSES = 10 };

static bool convert(const char *path, const uint8_t *records, int64_t count, uint8_t *pixels,
                    int32_t *labels, message error) {
  for (int64_t i = 0; i < count; i++) {
    const uint8_t *record = records + i * RECORD;
    if (record[0] >= CLASSES)
      return data_fail(error, "%s: byte %lld: label %d of record %lld is not 0 to 9", path,
                       (long long)(i * RECORD), record[0], (long long)i);
    labels[i] = record[0];
    for (int64_t p = 0; p < PLANE; p++)
      for (int64_t c = 0; c < 3; c++)
        pixels[(i * PLANE + p) * 3 + c] = record[1 + c * PLANE + p];
  }
  return true;
}

bool data_load_cifar(const char *path, int64_t limit, image_set *set, message error) {
  bytes file;
  uint8_t *pixels = NULL;
  int32_t *labels = NULL;
  if (!data_read_file(path, true, &file, error))
    return false;
  bool ok = true;
  if (file.size % RECORD)
    ok = data_fail(error,
                   "%s: %zu bytes are not a whole number of records of %d bytes: truncated, or "
                   "not a CIFAR-10 binary batch",
                   path, file.size, RECORD);
  int64_t count = (int64_t)(file.size / RECORD);
  if (limit && count > limit)
    count = limit;
  set->classes = CLASSES;
  ok = ok && data_append(set, path, count, SIDE, SIDE, 3, true, &pixels, &labels, error) &&
       convert(path, file.data, count, pixels, labels, error);
  free(file.data);
  return ok;
}
