/* Reading by place. A compressed file is unpacked into memory, no further than it is asked for.
 * SPDX-License-Identifier: MIT */
#include "data_file.h"

#include <errno.h>
#include <fcntl.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>
#ifdef GLOWTOOL_HAVE_ZLIB
#include <zlib.h>
#endif

#include "memory.h"

/* Analyzers know what it returns: tests/analyze/known_tool.h. */
bool(data_fail)(message error, const char *format, ...) {
  va_list list;
  va_start(list, format);
  vsnprintf(error.text, error.size, format, list);
  va_end(list);
  return false;
}

static bool read_plain(const data_file *f, int64_t offset, uint8_t *to, size_t bytes, size_t *got,
                       message error) {
  *got = 0;
  while (*got < bytes) {
    size_t most = bytes - *got < (1u << 30) ? bytes - *got : 1u << 30;
    ssize_t now = pread(f->descriptor, to + *got, most, (off_t)(offset + (int64_t)*got));
    if (now < 0 && errno == EINTR)
      continue;
    if (now < 0)
      return data_fail(error, "%s: %s", f->path, strerror(errno));
    if (now == 0)
      break;
    *got += (size_t)now;
  }
  return true;
}

/* ---- compressed ------------------------------------------------------------------------------ */

#ifdef GLOWTOOL_HAVE_ZLIB
#define UNPACKED "what it unpacks to"
enum { MOST_DEFLATED = 1032 }; /* bytes that one byte can become */

/* The last 4 bytes of a gzip file are the size of what its last member holds, modulo 2^32 (RFC
 * 1952). That may be a lie, but an honest file is refused before it is unpacked. */
static bool check_claim(const data_file *f, message error) {
  uint8_t end[4] = {0};
  size_t got = 0;
  if (!read_plain(f, f->size - 4, end, sizeof end, &got, error))
    return false;
  int64_t claim =
      (int64_t)end[0] | (int64_t)end[1] << 8 | (int64_t)end[2] << 16 | (int64_t)end[3] << 24;
  return claim <= f->have || claim / MOST_DEFLATED > f->size ||
         memory_fits(claim - f->room, f->path, UNPACKED, error);
}

static bool set_room(data_file *f, int64_t room, message error) {
  uint8_t *moved = realloc(f->unpacked, (size_t)room);
  if (!moved)
    return data_fail(error, "%s: out of memory", f->path);
  f->unpacked = moved;
  f->room = room;
  return true;
}

/* Doubles the room, as far as the limit of memory goes. */
static bool grow(data_file *f, message error) {
  int64_t more = f->room ? f->room : 1 << 16, left = memory_left();
  more = left > 0 && more > left ? left : more;
  if (!memory_take(more, f->path, UNPACKED, error))
    return false;
  if (set_room(f, f->room + more, error))
    return true;
  memory_give(more);
  return false;
}

/* All is unpacked: the room is made as large as that. */
static void finish(data_file *f) {
  char text[1];
  message unwanted = {text, sizeof text};
  int64_t spare = f->room - f->have;
  gzclose(f->stream);
  f->stream = NULL;
  if (f->have && set_room(f, f->have, unwanted))
    memory_give(spare);
}

/* Unpacks until there are `wanted` bytes, or to the end. */
static bool unpack(data_file *f, int64_t wanted, message error) {
  if (f->stream && wanted == INT64_MAX && f->size > 4 && !check_claim(f, error))
    return false;
  while (f->stream && f->have < wanted) {
    if (f->have == f->room && !grow(f, error))
      return false;
    int64_t room = f->room - f->have, least = wanted - f->have;
    least = least < 1 << 14 ? 1 << 14 : least > 1 << 20 ? 1 << 20 : least;
    room = room < least ? room : least;
    int got = gzread(f->stream, f->unpacked + f->have, (unsigned)room), code = Z_OK;
    const char *text = gzerror(f->stream, &code);
    if (got < 0 || (got < room && code != Z_OK && code != Z_STREAM_END))
      return data_fail(error, "%s: truncated or damaged gzip data after %lld unpacked bytes (%s)",
                       f->path, (long long)f->have, text);
    f->have += got;
    if (got == 0)
      finish(f);
  }
  return true;
}

static bool open_packed(data_file *f, message error) {
  int copy = dup(f->descriptor);
  f->stream = copy >= 0 ? gzdopen(copy, "rb") : NULL;
  if (f->stream)
    return true;
  if (copy >= 0)
    close(copy);
  return data_fail(error, "%s: out of memory", f->path);
}
#else
static bool unpack(data_file *f, int64_t wanted, message error) {
  (void)wanted;
  return data_fail(error, "%s: gzip-compressed, and this build has no zlib", f->path);
}

static bool open_packed(data_file *f, message error) {
  return unpack(f, 0, error);
}
#endif

/* ---- any file -------------------------------------------------------------------------------- */

static bool open_file(data_file *f, const char *path, message error) {
  struct stat info;
  uint8_t magic[2] = {0};
  size_t got = 0;
  f->path = strdup(path);
  if (!f->path)
    return data_fail(error, "%s: out of memory", path);
  f->descriptor = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK); /* a pipe must not hang us */
  if (f->descriptor < 0 || fstat(f->descriptor, &info) != 0)
    return data_fail(error, "%s: %s", path, strerror(errno));
  if (!S_ISREG(info.st_mode))
    return data_fail(error, "%s: not a regular file", path);
  if (info.st_size == 0)
    return data_fail(error, "%s: the file is empty", path);
  f->size = (int64_t)info.st_size;
  if (!read_plain(f, 0, magic, sizeof magic, &got, error))
    return false;
  f->packed = got == 2 && magic[0] == 0x1f && magic[1] == 0x8b;
  return !f->packed || open_packed(f, error);
}

bool data_file_open(data_file *f, const char *path, message error) {
  *f = (data_file){.descriptor = -1};
  if (open_file(f, path, error))
    return true;
  data_file_close(f);
  return false;
}

bool data_file_some(data_file *f, int64_t offset, void *buffer, size_t bytes, size_t *got,
                    message error) {
  *got = 0;
  if (offset > INT64_MAX - (int64_t)bytes) /* no file has such a place */
    return true;
  if (!f->packed)
    return read_plain(f, offset, buffer, bytes, got, error);
  if (!unpack(f, offset + (int64_t)bytes, error))
    return false;
  int64_t there = f->have > offset ? f->have - offset : 0;
  *got = there < (int64_t)bytes ? (size_t)there : bytes;
  if (*got)
    memcpy(buffer, f->unpacked + offset, *got);
  return true;
}

bool data_file_read(data_file *f, int64_t offset, void *buffer, size_t bytes, message error) {
  size_t got = 0;
  if (!data_file_some(f, offset, buffer, bytes, &got, error))
    return false;
  return got == bytes ||
         data_fail(error,
                   "%s: truncated: it ends at byte %lld, where %zu bytes from %lld are "
                   "wanted",
                   f->path, (long long)(f->packed ? f->have : f->size), bytes, (long long)offset);
}

bool data_file_size(data_file *f, int64_t *size, message error) {
  if (f->packed && !unpack(f, INT64_MAX, error))
    return false;
  *size = f->packed ? f->have : f->size;
  return true;
}

void data_file_close(data_file *f) {
#ifdef GLOWTOOL_HAVE_ZLIB
  if (f->stream)
    gzclose(f->stream);
#endif
  if (f->descriptor >= 0)
    close(f->descriptor);
  free(f->unpacked);
  memory_give(f->room);
  free(f->path);
  *f = (data_file){.descriptor = -1};
}

/* What has been unpacked is handed over as it is. */
static bool take_over(data_file *f, int64_t size, file_bytes *out, message error) {
  if (!f->packed && !memory_fits(size, f->path, "it", error))
    return false;
  uint8_t *data = f->packed ? realloc(f->unpacked, (size_t)size + 1) : malloc((size_t)size + 1);
  if (!data)
    return data_fail(error, "%s: out of memory for %lld bytes", f->path, (long long)size);
  *out = (file_bytes){data, (size_t)size};
  data[size] = 0;
  if (!f->packed)
    return data_file_read(f, 0, data, (size_t)size, error);
  f->unpacked = NULL;
  return true;
}

bool data_read_whole(const char *path, file_bytes *out, message error) {
  data_file f;
  int64_t size = 0;
  *out = (file_bytes){NULL, 0};
  if (!data_file_open(&f, path, error))
    return false;
  bool ok = data_file_size(&f, &size, error) && take_over(&f, size, out, error);
  if (!ok) {
    free(out->data);
    *out = (file_bytes){NULL, 0};
  }
  data_file_close(&f);
  return ok;
}
