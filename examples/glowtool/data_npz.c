/* NumPy's .npz: a zip archive of .npy files, stored or deflated. The directory at its end says
 * where they are (PKWARE's APPNOTE.TXT, with the fields of ZIP64). SPDX-License-Identifier: MIT */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "data_npy.h"
#include "memory.h"
#ifdef GLOWTOOL_HAVE_ZLIB
#include <zlib.h>
#endif

enum { MOST_ARRAYS = 3, END = 22, ENTRY = 46, LOCAL = 30, TAIL = 65535 + END };
#define MOST_DEFLATED 1032 /* bytes that one byte can become */

typedef struct npz_file {
  data_file file;
  char name[300]; /* of x */
  npy_place places[MOST_ARRAYS];
} npz_file;

typedef struct entry {
  char name[300];
  int64_t packed, size, local; /* bytes in the file, unpacked; where its header is */
  int method;
  uint32_t sum;   /* CRC-32 of what is unpacked */
  int64_t length; /* of this entry in the directory */
} entry;

static int64_t little(const uint8_t *p, int count) {
  uint64_t value = 0;
  for (int i = count - 1; i >= 0; i--)
    value = value << 8 | p[i];
  return value > INT64_MAX ? INT64_MAX : (int64_t)value;
}

/* ---- the directory --------------------------------------------------------------------------- */

static bool find_directory(npz_file *f, int64_t size, int64_t *at, int64_t *count, message error) {
  int64_t tail = size < TAIL ? size : TAIL;
  uint8_t *end = malloc((size_t)tail + 1), wide[56];
  bool ok = end && data_file_read(&f->file, size - tail, end, (size_t)tail, error), found = false;
  for (int64_t i = tail - END; ok && i >= 0 && !found; i--) {
    if (memcmp(end + i, "PK\5\6", 4) != 0)
      continue;
    found = true;
    *count = little(end + i + 10, 2);
    *at = little(end + i + 16, 4);
    if ((*count == 0xFFFF || *at == 0xFFFFFFFF) && i >= 20 &&
        memcmp(end + i - 20, "PK\6\7", 4) == 0 &&
        (ok = data_file_read(&f->file, little(end + i - 12, 8), wide, sizeof wide, error))) {
      *count = little(wide + 32, 8);
      *at = little(wide + 48, 8);
    }
  }
  free(end);
  if (ok && !found)
    return data_fail(error, "%s: no directory at the end of the archive: truncated", f->file.path);
  return ok;
}

/* Sizes and places of 0xFFFFFFFF stand in the extra field 1, in this order. */
static void take_wide(const uint8_t *extra, int64_t bytes, entry *e) {
  int64_t *fields[] = {&e->size, &e->packed, &e->local};
  for (int64_t i = 0; i + 4 <= bytes; i += 4 + little(extra + i + 2, 2)) {
    int64_t end = i + 4 + little(extra + i + 2, 2), at = i + 4;
    if (little(extra + i, 2) != 1 || end > bytes)
      continue;
    for (int k = 0; k < 3; k++)
      if (*fields[k] == 0xFFFFFFFF && at + 8 <= end) {
        *fields[k] = little(extra + at, 8);
        at += 8;
      }
    return;
  }
}

static bool read_entry(npz_file *f, int64_t at, entry *e, message error) {
  uint8_t head[ENTRY], extra[65536];
  if (!data_file_read(&f->file, at, head, sizeof head, error))
    return false;
  if (memcmp(head, "PK\1\2", 4) != 0)
    return data_fail(error, "%s: byte %lld: no entry of the archive's directory", f->file.path,
                     (long long)at);
  int64_t name = little(head + 28, 2), more = little(head + 30, 2);
  size_t shown = name < (int64_t)sizeof e->name ? (size_t)name : sizeof e->name - 1;
  *e = (entry){.method = (int)little(head + 10, 2),
               .sum = (uint32_t)little(head + 16, 4),
               .packed = little(head + 20, 4),
               .size = little(head + 24, 4),
               .local = little(head + 42, 4),
               .length = ENTRY + name + more + little(head + 32, 2)};
  if (!data_file_read(&f->file, at + ENTRY, e->name, shown, error) ||
      !data_file_read(&f->file, at + ENTRY + name, extra, (size_t)more, error))
    return false;
  take_wide(extra, more, e);
  if (little(head + 8, 2) & 1)
    return data_fail(error, "%s: '%s' is encrypted", f->file.path, e->name);
  return true;
}

/* ---- one array ------------------------------------------------------------------------------- */

#ifdef GLOWTOOL_HAVE_ZLIB
static bool inflate_all(const uint8_t *from, int64_t packed, uint8_t *to, int64_t size) {
  z_stream z = {0};
  int code = Z_OK;
  int64_t in = 0, out = 0;
  if (inflateInit2(&z, -MAX_WBITS) != Z_OK)
    return false;
  while (code == Z_OK) {
    int64_t give = packed - in < 1 << 30 ? packed - in : 1 << 30;
    int64_t take = size - out < 1 << 30 ? size - out : 1 << 30;
    z.next_in = (Bytef *)(uintptr_t)(from + in);
    z.avail_in = (uInt)give;
    z.next_out = to + out;
    z.avail_out = (uInt)take;
    code = inflate(&z, Z_NO_FLUSH);
    in += give - z.avail_in;
    out += take - z.avail_out;
    if (code == Z_OK && give == z.avail_in && take == z.avail_out)
      break;
  }
  inflateEnd(&z);
  return code == Z_STREAM_END && out == size;
}

static bool unpack(npz_file *f, const entry *e, npy_place *p, message error) {
  if (e->size / MOST_DEFLATED > e->packed)
    return data_fail(error, "%s: '%s' is damaged: %lld bytes cannot become %lld", f->file.path,
                     e->name, (long long)e->packed, (long long)e->size);
  if (!memory_take(e->size, f->file.path, e->name, error))
    return false;
  p->taken = e->size;
  uint8_t *packed = malloc((size_t)e->packed + 1);
  p->memory = malloc((size_t)e->size + 1);
  bool ok = packed && p->memory;
  if (!ok)
    data_fail(error, "%s: out of memory for '%s'", f->file.path, e->name);
  ok = ok && data_file_read(&f->file, p->base, packed, (size_t)e->packed, error) &&
       ((inflate_all(packed, e->packed, p->memory, e->size) &&
         crc32_z(0, p->memory, (size_t)e->size) == e->sum) ||
        data_fail(error, "%s: '%s' is damaged: it does not unpack", f->file.path, e->name));
  free(packed);
  return ok;
}
#else
static bool unpack(npz_file *f, const entry *e, npy_place *p, message error) {
  (void)p;
  return data_fail(error, "%s: '%s' is compressed, and this build has no zlib", f->file.path,
                   e->name);
}
#endif

static bool open_entry(npz_file *f, const entry *e, npy_place *p, data_array *out, message error) {
  uint8_t local[LOCAL];
  int64_t size = 0;
  if (!data_file_size(&f->file, &size, error) ||
      !data_file_read(&f->file, e->local, local, sizeof local, error))
    return false;
  p->file = &f->file;
  p->base = e->local + LOCAL + little(local + 26, 2) + little(local + 28, 2);
  p->size = e->size;
  if (memcmp(local, "PK\3\4", 4) != 0 || p->base > size || e->packed > size - p->base ||
      (e->method == 0 && e->packed != e->size))
    return data_fail(error, "%s: '%s' is truncated or damaged", f->file.path, e->name);
  if (e->method != 0 && e->method != 8)
    return data_fail(error,
                     "%s: '%s' is compressed by method %d; stored and deflated ones are "
                     "read",
                     f->file.path, e->name, e->method);
  return (e->method == 0 || unpack(f, e, p, error)) &&
         npy_open(p, f->file.path, e->name, out, error);
}

/* ---- which arrays ---------------------------------------------------------------------------- */

static bool ends_in_npy(const char *name) {
  size_t length = strlen(name);
  return length > 4 && strcmp(name + length - 4, ".npy") == 0;
}

static bool is_array(const char *entry_name, const char *name) {
  size_t length = strlen(name);
  return strncmp(entry_name, name, length) == 0 && strcmp(entry_name + length, ".npy") == 0;
}

typedef struct found {
  entry x, y, condition;
  bool has_x, has_y, has_condition;
  int64_t others;
  char names[300];
} found;

static bool look_through(npz_file *f, const char *wanted, found *out, message error) {
  int64_t size = 0, at = 0, count = 0;
  entry e;
  if (!data_file_size(&f->file, &size, error) || !find_directory(f, size, &at, &count, error))
    return false;
  for (int64_t i = 0; i < count; i++, at += e.length) {
    if (!read_entry(f, at, &e, error))
      return false;
    size_t used = strlen(out->names);
    snprintf(out->names + used, sizeof out->names - used, "%s%.200s", used ? ", " : "", e.name);
    if (is_array(e.name, wanted ? wanted : "x")) {
      out->x = e;
      out->has_x = true;
    } else if (is_array(e.name, "y")) {
      out->y = e;
      out->has_y = true;
    } else if (is_array(e.name, "condition")) {
      out->condition = e;
      out->has_condition = true;
    } else if (ends_in_npy(e.name) && !out->others++ && !out->has_x && !wanted) {
      out->x = e; /* the only one will do */
    }
  }
  if (out->has_x || (!wanted && out->others == 1))
    return true;
  if (!count)
    return data_fail(error, "%s: there is nothing in the archive", f->file.path);
  return data_fail(error, "%s: there is no array '%s'; there are %s: choose one by --tensor",
                   f->file.path, wanted ? wanted : "x", out->names);
}

static void close_npz(void *state) {
  npz_file *f = state;
  for (int i = 0; i < MOST_ARRAYS; i++) {
    free(f->places[i].memory);
    memory_give(f->places[i].taken);
  }
  data_file_close(&f->file);
  free(f);
}

static bool open_arrays(data_sources *s, npz_file *f, array_file *a, message error) {
  found all = {0};
  if (!look_through(f, s->options.tensor, &all, error))
    return false;
  snprintf(f->name, sizeof f->name, "%s", all.x.name);
  return open_entry(f, &all.x, &f->places[0], &a->x, error) &&
         (!all.has_y || open_entry(f, &all.y, &f->places[1], &a->y, error)) &&
         (!all.has_condition || open_entry(f, &all.condition, &f->places[2], &a->condition, error));
}

bool data_open_npz(data_sources *s, const char *path, message error) {
  npz_file *f = calloc(1, sizeof *f);
  if (!f || !data_file_open(&f->file, path, error)) {
    free(f);
    return f ? false : data_fail(error, "%s: out of memory", path);
  }
  array_file a = {.path = f->file.path,
                  .name = f->name,
                  .y.rank = -1,
                  .condition.rank = -1,
                  .state = f,
                  .close = close_npz};
  s->met |= MET_NAMED;
  if (open_arrays(s, f, &a, error))
    return data_add_array(s, &a, error);
  close_npz(f);
  return false;
}
