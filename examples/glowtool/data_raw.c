/* Raw planar records: raw:CxHxW, each C planes of H rows of W bytes. SPDX-License-Identifier: MIT
 * */
#include <stdio.h>
#include <stdlib.h>

#include "data_internal.h"

enum { LARGEST = 16384, CHANNELS = 64 };

static bool parse(const char *format, data_reader *r, message error) {
  int end = 0;
  long c, h, w;
  if (sscanf(format, "raw:%5ldx%6ldx%6ld%n", &c, &h, &w, &end) != 3 || format[end] || c < 1 ||
      c > CHANNELS || h < 1 || h > LARGEST || w < 1 || w > LARGEST)
    return data_fail(error, "format '%s' is not raw:CHANNELSxHEIGHTxWIDTH", format);
  r->channels = c;
  r->height = h;
  r->width = w;
  return true;
}

static bool read_record(data_reader *r, int64_t index, data_sample *out, message error) {
  int64_t plane = r->height * r->width, record = plane * r->channels;
  uint8_t *planes = malloc((size_t)record);
  if (!planes)
    return data_fail(error, "%s: out of memory", r->path);
  bool ok = data_sample_shape(out, r->height, r->width, r->channels, false, r->path, error) &&
            data_file_read(r->state, index * record, planes, (size_t)record, error);
  uint8_t *pixels = out->data;
  for (int64_t p = 0; ok && p < plane; p++)
    for (int64_t c = 0; c < r->channels; c++)
      pixels[p * r->channels + c] = planes[c * plane + p];
  free(planes);
  return ok;
}

static void close_file(data_reader *r) {
  data_file_close(r->state);
  free(r->state);
}

static const data_reader_ops raw_ops = {read_record, NULL, NULL, close_file};

static bool count_records(data_sources *s, data_reader *r, message error) {
  int64_t record = r->height * r->width * r->channels, size = 0;
  if (!data_check_image(s, r, error) || !data_file_size(r->state, &size, error))
    return false;
  if (size < record)
    return data_fail(error, "%s: truncated: %lld bytes, where a record has %lld", r->path,
                     (long long)size, (long long)record);
  if (size % record)
    return data_fail(error, "%s: %lld bytes are not a whole number of records of %lld bytes",
                     r->path, (long long)size, (long long)record);
  r->count = size / record > data_left(s) ? data_left(s) : size / record;
  return true;
}

bool data_open_raw(data_sources *s, const char *path, message error) {
  data_reader r = {.ops = &raw_ops};
  if (!parse(s->options.format, &r, error))
    return false;
  data_file *file = malloc(sizeof *file);
  if (!file || !data_file_open(file, path, error)) {
    free(file);
    return file ? false : data_fail(error, "%s: out of memory", path);
  }
  r.state = file;
  r.path = file->path;
  if (count_records(s, &r, error))
    return data_add(s, &r, error);
  close_file(&r);
  return false;
}
