/* Raw planar records: raw:CxHxW, each C planes of H rows of W bytes. SPDX-License-Identifier: MIT
 * */
#include <stdio.h>
#include <stdlib.h>

#include "data_internal.h"

enum { LARGEST = 16384, CHANNELS = 64 };

static bool parse(const char *format, int64_t *channels, int64_t *height, int64_t *width,
                  message error) {
  int end = 0;
  long c, h, w;
  if (sscanf(format, "raw:%5ldx%6ldx%6ld%n", &c, &h, &w, &end) != 3 || format[end] || c < 1 ||
      c > CHANNELS || h < 1 || h > LARGEST || w < 1 || w > LARGEST)
    return data_fail(error, "format '%s' is not raw:CHANNELSxHEIGHTxWIDTH", format);
  *channels = c;
  *height = h;
  *width = w;
  return true;
}

bool data_load_raw(const char *path, const char *format, int64_t limit, image_set *set,
                   message error) {
  int64_t channels = 0, height = 0, width = 0;
  uint8_t *pixels = NULL;
  bytes file;
  if (!parse(format, &channels, &height, &width, error) ||
      !data_read_file(path, false, &file, error))
    return false;
  int64_t plane = height * width, record = plane * channels;
  int64_t count = (int64_t)file.size / record;
  bool ok = true;
  if ((int64_t)file.size % record)
    ok = data_fail(error, "%s: %zu bytes are not a whole number of records of %lld bytes", path,
                   file.size, (long long)record);
  if (limit && count > limit)
    count = limit;
  ok = ok && data_append(set, path, count, height, width, channels, false, &pixels, NULL, error);
  for (int64_t i = 0; ok && i < count; i++)
    for (int64_t p = 0; p < plane; p++)
      for (int64_t c = 0; c < channels; c++)
        pixels[(i * plane + p) * channels + c] = file.data[i * record + c * plane + p];
  free(file.data);
  return ok;
}
