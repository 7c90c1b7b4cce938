/* What has been opened: readers one behind the other, and what there is to say of them.
 * SPDX-License-Identifier: MIT */
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "data_internal.h"

void data_note(data_sources *s, const char *format, ...) {
  char line[1024];
  va_list list;
  va_start(list, format);
  vsnprintf(line, sizeof line, format, list);
  va_end(list);
  size_t length = strlen(line);
  char *more = realloc(s->notes, s->note_bytes + length + 2);
  if (!more)
    return; /* a note less */
  memcpy(more + s->note_bytes, line, length);
  memcpy(more + s->note_bytes + length, "\n", 2);
  s->notes = more;
  s->note_bytes += length + 1;
}

bool data_bad(data_sources *s, message error) {
  if (!s->bad++)
    snprintf(s->first_bad, sizeof s->first_bad, "%s", error.text);
  return s->options.skip_bad;
}

static void close_reader(data_reader *r) {
  r->ops->close(r);
  free(r->labels);
}

bool data_add(data_sources *s, const data_reader *reader, message error) {
  data_reader copy = *reader;
  size_t count = (size_t)s->reader_count + 1;
  data_reader *readers = realloc(s->readers, count * sizeof *readers);
  if (readers)
    s->readers = readers;
  int64_t *starts = readers ? realloc(s->starts, (count + 1) * sizeof *starts) : NULL;
  if (!starts) {
    close_reader(&copy);
    return data_fail(error, "out of memory for %zu sources of data", count);
  }
  s->starts = starts;
  if (!s->reader_count)
    starts[0] = 0;
  s->readers[s->reader_count] = copy;
  starts[count] = starts[count - 1] + copy.count;
  s->reader_count++;
  return true;
}

int64_t data_left(const data_sources *s) {
  int64_t there = s->reader_count ? s->starts[s->reader_count] : 0;
  return !s->options.limit ? INT64_MAX : s->options.limit <= there ? 0 : s->options.limit - there;
}

data_reader *data_reader_at(const data_sources *s, int64_t place, int64_t *index) {
  int32_t low = 0, high = s->reader_count;
  while (high - low > 1) {
    int32_t middle = low + (high - low) / 2;
    if (place < s->starts[middle])
      high = middle;
    else
      low = middle;
  }
  *index = place - s->starts[low];
  return &s->readers[low];
}

const char *data_place_name(const data_sources *s, int64_t place, char *out, size_t size) {
  int64_t index;
  data_reader *r = data_reader_at(s, place, &index);
  if (r->ops->shape && r->ops->name) /* a file of its own */
    r->ops->name(r, index, out, size);
  else
    snprintf(out, size, "%s", r->path);
  return out;
}

void data_close_sources(data_sources *s) {
  if (!s)
    return;
  for (int32_t i = 0; i < s->reader_count; i++)
    close_reader(&s->readers[i]);
  free(s->readers);
  free(s->starts);
  free(s->scratch.data);
  free(s->notes);
  classes_free(&s->classes);
  free(s);
}
