/* Sets of samples: opening what is named, and reading by number from memory or from the sources.
 * SPDX-License-Identifier: MIT */
#include "data.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "data_internal.h"

/* ---- which reader ---------------------------------------------------------------------------- */

static const char *const formats[] = {"auto",  "images", "cifar10", "cifar100", "cifar100-coarse",
                                      "mnist", "emnist", "npy",     "npz",      "safetensors",
                                      "csv",   "digits", "shapes",  NULL};

static bool is(const data_sources *s, const char *format) {
  return strcmp(s->options.format, format) == 0;
}

static bool wrong_kind(const char *path, data_kind kind, const char *name, message error) {
  if (kind == KIND_IDX_LABELS)
    return data_fail(error,
                     "%s: an IDX file of labels: name it with --labels, and its images as "
                     "data",
                     path);
  if (kind == KIND_OTHER)
    return data_fail(error,
                     "%s: %s; PNG, JPEG and WebP images, IDX, CIFAR's binary files, .npy, "
                     ".npz, safetensors and CSV are read",
                     path, name);
  return data_fail(error, "%s: cannot tell what this file holds; say it with --format", path);
}

/* EMNIST's files are IDX files like any others: only their names show what they are. */
static bool looks_like_emnist(const char *path) {
  const char *slash = strrchr(path, '/'), *base = slash ? slash + 1 : path;
  return strncmp(base, "emnist", 6) == 0;
}

static bool open_kind(data_sources *s, const char *path, data_kind kind, const char *name,
                      message error) {
  switch (kind) {
  case KIND_IDX: return data_open_idx(s, path, looks_like_emnist(path), error);
  case KIND_NPY: return data_open_npy(s, path, error);
  case KIND_ZIP: return data_open_npz(s, path, error);
  case KIND_TENSORS: return data_open_tensors(s, path, error);
  case KIND_CIFAR10: return data_open_cifar(s, path, CIFAR_10, error);
  case KIND_CIFAR100: return data_open_cifar(s, path, CIFAR_100, error);
  case KIND_TEXT: return data_open_csv(s, path, error);
  case KIND_UNKNOWN:
  case KIND_PICTURE:
  case KIND_IDX_LABELS:
  case KIND_OTHER: break;
  }
  return wrong_kind(path, kind, name, error);
}

static bool open_named(data_sources *s, const char *path, message error) {
  if (is(s, "cifar10"))
    return data_open_cifar(s, path, CIFAR_10, error);
  if (is(s, "cifar100"))
    return data_open_cifar(s, path, CIFAR_100, error);
  if (is(s, "cifar100-coarse"))
    return data_open_cifar(s, path, CIFAR_100_COARSE, error);
  if (is(s, "mnist") || is(s, "emnist"))
    return data_open_idx(s, path, is(s, "emnist"), error);
  if (is(s, "npy"))
    return data_open_npy(s, path, error);
  if (is(s, "npz"))
    return data_open_npz(s, path, error);
  if (is(s, "safetensors"))
    return data_open_tensors(s, path, error);
  if (is(s, "csv"))
    return data_open_csv(s, path, error);
  return data_open_raw(s, path, error);
}

static bool open_folder(data_sources *s, picture_list *list, const char *path, message error) {
  bool cifar = false;
  if (!is(s, "images") && !data_open_pictures(s, list, error))
    return false;
  if (!is(s, "images") && !data_open_cifar_folder(s, path, &cifar, error))
    return false;
  if (cifar)
    return true;
  if (!is(s, "images") && !is(s, "auto"))
    return data_fail(error, "%s: a folder; --format %s reads files", path, s->options.format);
  return data_list_folder(s, list, path, error);
}

static bool open_file(data_sources *s, picture_list *list, const char *path, message error) {
  data_kind kind;
  const char *name;
  if (is(s, "images"))
    return data_list_file(s, list, path, -1, error);
  if (!is(s, "auto"))
    return open_named(s, path, error);
  if (!data_find_kind(path, &kind, &name, error))
    return false;
  if (kind == KIND_PICTURE)
    return data_list_file(s, list, path, -1, error);
  return data_open_pictures(s, list, error) && open_kind(s, path, kind, name, error);
}

/* begin[i]: the first reader of path i, when pictures are not gathered over several paths. */
static bool open_paths(data_sources *s, const char *const *paths, int32_t count, int32_t *begin,
                       message error) {
  picture_list list = {0};
  bool apart = s->options.label_files > 1, ok = true;
  for (int32_t i = 0; ok && i < count && data_left(s) > list.count; i++) {
    struct stat info;
    begin[i] = s->reader_count;
    if (stat(paths[i], &info) != 0)
      ok = data_fail(error, "%s: %s", paths[i], strerror(errno));
    else if (S_ISDIR(info.st_mode))
      ok = open_folder(s, &list, paths[i], error);
    else if (!open_file(s, &list, paths[i], error))
      ok = data_bad(s, error);
    if (ok && apart)
      ok = data_open_pictures(s, &list, error);
    begin[i + 1] = s->reader_count;
  }
  ok = ok && data_open_pictures(s, &list, error);
  data_list_free(&list);
  return ok;
}

/* ---- options --------------------------------------------------------------------------------- */

static bool side(const char **at, int64_t *out) {
  char *end = NULL;
  if (**at < '1' || **at > '9')
    return false;
  *out = strtoll(*at, &end, 10);
  *at = end;
  return *out <= 16384;
}

bool data_parse_size(const char *text, int64_t *width, int64_t *height) {
  bool fine = side(&text, width);
  *height = *width;
  if (fine && *text == 'x') {
    text++;
    fine = side(&text, height);
  }
  return fine && !*text;
}

static bool parse_shape(const char *text, int64_t out[3]) {
  out[2] = 1;
  return side(&text, &out[1]) && *text++ == 'x' && side(&text, &out[0]) &&
         (!*text || (*text++ == 'x' && side(&text, &out[2]) && !*text));
}

static bool parse_background(const char *text, uint8_t out[3], message error) {
  int r, g, b, end = 0;
  if (!text)
    memset(out, 255, 3);
  else if (strcmp(text, "black") == 0 || strcmp(text, "white") == 0)
    memset(out, *text == 'w' ? 255 : 0, 3);
  else if (sscanf(text, "%3d,%3d,%3d%n", &r, &g, &b, &end) == 3 && !text[end] && r >= 0 &&
           r < 256 && g >= 0 && g < 256 && b >= 0 && b < 256) {
    out[0] = (uint8_t)r;
    out[1] = (uint8_t)g;
    out[2] = (uint8_t)b;
  } else
    return data_fail(error, "background '%s' is not white, black, or R,G,B from 0 to 255", text);
  return true;
}

static bool check_options(data_sources *s, message error) {
  data_options *o = &s->options;
  if (!o->format)
    o->format = "auto";
  if (!o->max_pixels)
    o->max_pixels = DATA_MOST_PIXELS;
  if (o->pad && !data_parse_size(o->pad, &s->pad_width, &s->pad_height))
    return data_fail(error, "pad '%s' is not N or WxH, of at most 16384", o->pad);
  if (o->shape && !parse_shape(o->shape, s->row_shape))
    return data_fail(error, "shape '%s' is not WxH or WxHxC", o->shape);
  if (o->width < 0 || o->width > 16384 || o->height < 0 || o->height > 16384)
    return data_fail(error, "size is %lld x %lld; it must be 1 to 16384", (long long)o->width,
                     (long long)o->height);
  if (o->limit < 0)
    return data_fail(error, "the number of images is %lld; it must be 1 or more",
                     (long long)o->limit);
  if (o->upsample && o->skip_small)
    return data_fail(error, "--upsample and --skip-small contradict each other");
  for (int i = 0; formats[i]; i++)
    if (strcmp(o->format, formats[i]) == 0)
      return true;
  return strncmp(o->format, "raw:", 4) == 0 ||
         data_fail(error,
                   "format '%s' is not one of auto, images, cifar10, cifar100, cifar100-coarse, "
                   "mnist, emnist, npy, npz, safetensors, csv, raw:CxHxW, digits, shapes",
                   o->format);
}

/* ---- opening --------------------------------------------------------------------------------- */

static bool open_all(data_sources *s, const char *const *paths, int32_t count, sample_set *set,
                     message error) {
  const data_options *o = &s->options;
  if (!check_options(s, error) || !parse_background(o->background, s->background, error))
    return false;
  if (o->classes && !classes_load(&s->classes, o->classes, error))
    return false;
  if (!o->classes && o->class_count &&
      !classes_copy(&s->classes, o->class_names, o->class_count, error))
    return false;
  if (!o->classes && !o->class_count && o->class_lines &&
      !classes_split(&s->classes, o->class_lines, error))
    return false;
  if (data_is_generated(s->options.format))
    return data_open_generated(s, error) && data_fill(s, set, error);
  if (count < 1)
    return data_fail(error, "no data files are given");
  int32_t *begin = calloc((size_t)count + 1, sizeof *begin);
  if (!begin)
    return data_fail(error, "out of memory");
  bool ok = open_paths(s, paths, count, begin, error) && data_check_meaning(s, error) &&
            (!o->label_files || !s->reader_count || data_read_labels(s, count, begin, error)) &&
            data_fill(s, set, error);
  free(begin);
  return ok;
}

bool data_open(const char *const *paths, int32_t count, const data_options *options,
               sample_set *set, char *error, size_t error_size) {
  message m = {error, error_size};
  *set = (sample_set){0};
  data_sources *s = calloc(1, sizeof *s);
  if (!s)
    return data_fail(m, "out of memory");
  s->options = *options;
  set->sources = s;
  bool ok = open_all(s, paths, count, set, m);
  set->notes = s->notes;
  if (!ok)
    data_free(set);
  return ok;
}

/* ---- reading --------------------------------------------------------------------------------- */

int64_t data_dims(const sample_set *set) {
  return set->height * set->width * set->channels;
}

size_t data_bytes(const sample_set *set) {
  return (size_t)data_dims(set) * (set->floats ? sizeof(float) : 1);
}

int64_t data_held(const sample_set *set) {
  int64_t sample = set->samples ? (int64_t)data_bytes(set) : 0;
  if (set->samples)
    sample += set->condition * (int64_t)sizeof *set->conditions;
  if (set->labels)
    sample += (int64_t)sizeof *set->labels;
  if (set->places)
    sample += (int64_t)sizeof *set->places;
  if (set->rows)
    sample += (int64_t)sizeof *set->rows;
  return set->count * sample;
}

bool data_read(const sample_set *set, int64_t first, int64_t count, void *samples,
               float *conditions, char *error, size_t error_size) {
  size_t size = data_bytes(set), condition = (size_t)set->condition * sizeof(float);
  for (int64_t i = 0; i < count; i++) {
    char *to = (char *)samples + (size_t)i * size;
    float *condition_to = conditions ? conditions + i * set->condition : NULL;
    int64_t at = first + i;
    if (!set->samples) {
      message m = {error, error_size};
      if (!data_read_place(set->sources, set->places[at], to, condition_to, m))
        return false;
      continue;
    }
    if (set->rows)
      at = set->rows[at];
    memcpy(to, (const char *)set->samples + (size_t)at * size, size);
    if (condition_to && condition)
      memcpy(condition_to, set->conditions + at * set->condition, condition);
  }
  return true;
}

bool data_keep(sample_set *set, const bool *keep) {
  int64_t kept = 0;
  if (!set->rows && set->samples) {
    set->rows = malloc((size_t)set->count * sizeof *set->rows);
    if (!set->rows)
      return false;
    for (int64_t i = 0; i < set->count; i++)
      set->rows[i] = i;
  }
  for (int64_t i = 0; i < set->count; i++) {
    if (!keep[i])
      continue;
    if (set->rows)
      set->rows[kept] = set->rows[i];
    if (set->places)
      set->places[kept] = set->places[i];
    if (set->labels)
      set->labels[kept] = set->labels[i];
    kept++;
  }
  set->count = kept;
  return true;
}

bool data_named(const sample_set *set) {
  const data_sources *s = set->sources;
  for (int32_t i = 0; s && i < s->reader_count; i++)
    if (s->readers[i].ops->name || i > 0)
      return true;
  return false;
}

const char *data_name(const sample_set *set, int64_t index, char *out, size_t size) {
  int64_t place = set->places ? set->places[index] : index, row;
  if (!set->sources || !set->sources->reader_count) {
    snprintf(out, size, "%lld", (long long)index);
    return out;
  }
  data_reader *r = data_reader_at(set->sources, place, &row);
  if (r->ops->name)
    r->ops->name(r, row, out, size);
  else if (set->sources->reader_count > 1)
    snprintf(out, size, "%s:%lld", r->path, (long long)row);
  else
    snprintf(out, size, "%lld", (long long)row);
  return out;
}

void data_free(sample_set *set) {
  data_close_sources(set->sources);
  free(set->samples);
  free(set->conditions);
  free(set->places);
  free(set->rows);
  free(set->labels);
  *set = (sample_set){0};
}
