/* Image data: which reader takes a file, and what all readers share. SPDX-License-Identifier: MIT
 * */
#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <sys/stat.h>

#include "data_internal.h"
#include "resize.h"
#ifdef GLOWTOOL_HAVE_ZLIB
#include <zlib.h>
#endif

#define LARGEST_FILE ((size_t)1 << 32)

bool data_fail(message error, const char *format, ...) {
  va_list list;
  va_start(list, format);
  vsnprintf(error.text, error.size, format, list);
  va_end(list);
  return false;
}

/* ---- files in memory ------------------------------------------------------------------------- */

static bool grow(bytes *b, size_t *capacity, const char *path, message error) {
  if (b->size < *capacity)
    return true;
  if (*capacity >= LARGEST_FILE)
    return data_fail(error, "%s: more than 4 GiB", path);
  size_t wanted = *capacity ? 2 * *capacity : 1 << 16;
  uint8_t *more = realloc(b->data, wanted);
  if (!more)
    return data_fail(error, "%s: out of memory", path);
  b->data = more;
  *capacity = wanted;
  return true;
}

#ifdef GLOWTOOL_HAVE_ZLIB
/* zlib's reader passes files that are not compressed through. */
static bool read_stream(const char *path, bytes *out, message error) {
  size_t capacity = 0;
  gzFile file = gzopen(path, "rb");
  if (!file)
    return data_fail(error, "%s: %s", path, strerror(errno));
  bool ok = true;
  for (int got = 1; ok && got > 0;) {
    ok = grow(out, &capacity, path, error);
    if (!ok)
      break;
    size_t room = capacity - out->size < 1 << 20 ? capacity - out->size : 1 << 20;
    got = gzread(file, out->data + out->size, (unsigned)room);
    int code = Z_OK;
    const char *text = gzerror(file, &code);
    if (got < 0 || (got == 0 && code != Z_OK && code != Z_STREAM_END))
      ok = data_fail(error, "%s: truncated or damaged gzip data (%s)", path, text);
    else
      out->size += (size_t)got;
  }
  gzclose(file);
  return ok;
}
#endif

static bool read_plain(const char *path, bytes *out, message error) {
  size_t capacity = 0;
  FILE *file = fopen(path, "rb");
  if (!file)
    return data_fail(error, "%s: %s", path, strerror(errno));
  bool ok = true;
  while (ok && !feof(file)) {
    ok = grow(out, &capacity, path, error);
    if (ok)
      out->size += fread(out->data + out->size, 1, capacity - out->size, file);
    if (ok && ferror(file))
      ok = data_fail(error, "%s: %s", path, strerror(errno));
  }
  fclose(file);
  return ok;
}

bool data_read_file(const char *path, bool unpack, bytes *out, message error) {
  struct stat info;
  *out = (bytes){NULL, 0};
  if (stat(path, &info) != 0)
    return data_fail(error, "%s: %s", path, strerror(errno));
  if (!S_ISREG(info.st_mode))
    return data_fail(error, "%s: not a regular file", path);
  bool ok;
#ifdef GLOWTOOL_HAVE_ZLIB
  ok = unpack ? read_stream(path, out, error) : read_plain(path, out, error);
#else
  ok = read_plain(path, out, error);
  if (ok && unpack && out->size > 2 && out->data[0] == 0x1f && out->data[1] == 0x8b)
    ok = data_fail(error, "%s: compressed, and this build has no zlib", path);
#endif
  if (ok && out->size == 0)
    ok = data_fail(error, "%s: the file is empty", path);
  if (!ok) {
    free(out->data);
    *out = (bytes){NULL, 0};
  }
  return ok;
}

/* ---- the set --------------------------------------------------------------------------------- */

bool data_append(image_set *set, const char *path, int64_t count, int64_t height, int64_t width,
                 int64_t channels, bool labelled, uint8_t **place, int32_t **labels,
                 message error) {
  if (set->count && (set->height != height || set->width != width || set->channels != channels))
    return data_fail(
        error,
        "%s: images of %lld x %lld with %lld channels, after others of %lld x %lld with "
        "%lld; --size makes them alike",
        path, (long long)width, (long long)height, (long long)channels, (long long)set->width,
        (long long)set->height, (long long)set->channels);
  if (set->count && labelled != (set->labels != NULL))
    return data_fail(error, "%s: some files have labels and some have none", path);
  int64_t size = height * width * channels, total = set->count + count;
  uint8_t *pixels = realloc(set->pixels, (size_t)(total * size));
  if (!pixels)
    return data_fail(error, "%s: out of memory for %lld images", path, (long long)total);
  set->pixels = pixels;
  if (labelled) {
    int32_t *more = realloc(set->labels, (size_t)total * sizeof *more);
    if (!more)
      return data_fail(error, "%s: out of memory for labels", path);
    set->labels = more;
    *labels = more + set->count;
  }
  *place = pixels + set->count * size;
  set->height = height;
  set->width = width;
  set->channels = channels;
  set->count = total;
  return true;
}

void data_free(image_set *set) {
  free(set->pixels);
  free(set->labels);
  *set = (image_set){0};
}

/* ---- which reader ---------------------------------------------------------------------------- */

static bool ends_with(const char *path, const char *end) {
  size_t length = strlen(path), tail = strlen(end);
  return length > tail && strcasecmp(path + length - tail, end) == 0;
}

static bool is_idx(const char *path) {
  unsigned char magic[4] = {0};
  FILE *file = fopen(path, "rb");
  bool found = file && fread(magic, 1, 4, file) == 4 && magic[0] == 0 && magic[1] == 0 &&
               magic[2] == 8 && magic[3] == 3;
  if (file)
    fclose(file);
  return found;
}

static bool detect(const char *path, const char **format, message error) {
  struct stat info;
  if (stat(path, &info) != 0)
    return data_fail(error, "%s: %s", path, strerror(errno));
  if (S_ISDIR(info.st_mode) || ends_with(path, ".png") || ends_with(path, ".jpg") ||
      ends_with(path, ".jpeg"))
    *format = "images";
  else if (ends_with(path, ".gz") || is_idx(path))
    *format = "mnist";
  else if (ends_with(path, ".bin") && info.st_size > 0 && info.st_size % 3073 == 0)
    *format = "cifar10";
  else
    return data_fail(error, "%s: cannot tell what this file holds; say it with --format", path);
  return true;
}

static bool load_files(const char *const *paths, int32_t count, const char *format,
                       const data_options *o, image_set *set, message error) {
  if (strcmp(format, "images") == 0)
    return data_load_images(paths, count, o, set, error);
  bool ok = true;
  for (int32_t i = 0; ok && i < count; i++) {
    int64_t limit = o->limit ? o->limit - set->count : 0;
    if (o->limit && limit <= 0)
      break;
    if (strcmp(format, "cifar10") == 0)
      ok = data_load_cifar(paths[i], limit, set, error);
    else if (strcmp(format, "mnist") == 0)
      ok = data_load_idx(paths[i], o->labels, limit, set, error);
    else
      ok = data_load_raw(paths[i], format, limit, set, error);
  }
  return ok;
}

/* ---- after loading --------------------------------------------------------------------------- */

static bool check_channels(const data_options *o, const image_set *set, message error) {
  if (o->channels && o->channels != set->channels)
    return data_fail(error, "the images have %lld channel%s where %lld %s asked",
                     (long long)set->channels, set->channels == 1 ? "" : "s",
                     (long long)o->channels, o->channels == 1 ? "is" : "are");
  return true;
}

static bool fit_set(const data_options *o, image_set *set, message error) {
  int64_t size = o->size;
  if (!size || (set->height == size && set->width == size))
    return true;
  int64_t shorter = set->height < set->width ? set->height : set->width;
  if (shorter < size)
    return data_fail(error, "the images are %lld x %lld, smaller than the %lld x %lld asked",
                     (long long)set->width, (long long)set->height, (long long)size,
                     (long long)size);
  int64_t from = set->height * set->width * set->channels, to = size * size * set->channels;
  for (int64_t i = 0; i < set->count; i++) /* forwards: the result is never longer */
    if (!resize_crop(set->pixels + i * from, set->height, set->width, set->channels, size,
                     set->pixels + i * to))
      return data_fail(error, "out of memory");
  set->height = set->width = size;
  return true;
}

static bool check_options(const data_options *o, message error) {
  const char *known[] = {"auto", "cifar10", "mnist", "images", "digits", "shapes"};
  if (o->size < 0 || o->size > 16384)
    return data_fail(error, "size is %lld; it must be 1 to 16384", (long long)o->size);
  if (o->limit < 0)
    return data_fail(error, "the number of images is %lld; it must be 1 or more",
                     (long long)o->limit);
  for (size_t i = 0; i < sizeof known / sizeof *known; i++)
    if (strcmp(o->format, known[i]) == 0)
      return true;
  if (strncmp(o->format, "raw:", 4) == 0)
    return true;
  return data_fail(error,
                   "format '%s' is not one of auto, cifar10, mnist, images, raw:CxHxW, digits, "
                   "shapes",
                   o->format);
}

static bool load(const char *const *paths, int32_t count, const data_options *o, image_set *set,
                 message error) {
  const char *format = o->format;
  if (!check_options(o, error))
    return false;
  if (data_is_generated(format))
    return data_load_generated(o, set, error);
  if (count < 1)
    return data_fail(error, "no data files are given");
  if (strcmp(format, "auto") == 0 && !detect(paths[0], &format, error))
    return false;
  if (!load_files(paths, count, format, o, set, error))
    return false;
  if (set->count == 0)
    return data_fail(error, "%s: no images", paths[0]);
  return check_channels(o, set, error) && fit_set(o, set, error);
}

bool data_load(const char *const *paths, int32_t count, const data_options *options, image_set *out,
               char *error, size_t error_size) {
  message m = {error, error_size};
  *out = (image_set){0};
  if (load(paths, count, options, out, m))
    return true;
  data_free(out);
  return false;
}
