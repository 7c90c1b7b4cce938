/* Reading safetensors: u64 little-endian header length, JSON header, data. Nothing in the file is
 * trusted: lengths come from the file system first, offsets must tile the data exactly, products
 * are checked, memory is in proportion to the file. SPDX-License-Identifier: MIT */
#include <errno.h>
#include <fcntl.h>
#include <jansson.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "io/io.h"

typedef struct entry {
  const char *name; /* in the JSON tree */
  int32_t type, rank;
  int64_t dims[GLOW_FILE_MAX_RANK];
  int64_t begin, bytes;
} entry;

struct glow_tensor_file {
  glow_context *context;
  const char *path; /* while reading */
  unsigned char *data;
  int64_t header, size; /* bytes of the header, of the file */
  json_t *root;
  json_t *metadata;      /* in root, or NULL */
  entry *entries;        /* in the order of their offsets */
  const entry **by_name; /* the same, to be found */
  int64_t count;
};

static const struct {
  const char *name;
  int64_t size;
} types[] = {{NULL, 0}, {"U8", 1}, {"I32", 4}, {"F32", 4}, {"F64", 8}, {"I64", 8}, {"BF16", 2}};
enum { TYPES = sizeof types / sizeof *types };

const char *glow__type_name(int32_t type) {
  return type > 0 && type < TYPES ? types[type].name : NULL;
}

int64_t glow__type_size(int32_t type) {
  return type > 0 && type < TYPES ? types[type].size : 0;
}

#define BAD(file, ...) bad((file)->path, __VA_ARGS__)
__attribute__((format(printf, 2, 3))) static glow_status bad(const char *path, const char *format,
                                                             ...) {
  char text[512];
  va_list list;
  va_start(list, format);
  vsnprintf(text, sizeof text, format, list);
  va_end(list);
  return glow_error(GLOW_E_FORMAT, "'%s': %s", path, text);
}

/* ---- bytes ----------------------------------------------------------------------------------- */

static glow_status read_all(int descriptor, glow_tensor_file *file) {
  int64_t done = 0;
  while (done < file->size) {
    size_t most = file->size - done < (1 << 30) ? (size_t)(file->size - done) : (size_t)1 << 30;
    ssize_t got = read(descriptor, file->data + done, most);
    if (got < 0 && errno == EINTR)
      continue;
    if (got < 0)
      return glow_error(GLOW_E_IO, "cannot read '%s': %s", file->path, strerror(errno));
    if (got == 0)
      return BAD(file, "it became shorter while it was read, at byte %lld", (long long)done);
    done += got;
  }
  return GLOW_OK;
}

static glow_status read_descriptor(int descriptor, glow_tensor_file *file) {
  struct stat info;
  if (fstat(descriptor, &info) != 0)
    return glow_error(GLOW_E_IO, "cannot read '%s': %s", file->path, strerror(errno));
  if (!S_ISREG(info.st_mode))
    return glow_error(GLOW_E_IO, "cannot read '%s': it is not a regular file", file->path);
  file->size = (int64_t)info.st_size;
  if (file->size < 8)
    return BAD(file, "%lld bytes are too few for a safetensors file", (long long)file->size);
  file->data = glow_allocate(file->context, (size_t)file->size);
  return file->data ? read_all(descriptor, file) : GLOW_E_MEMORY;
}

static glow_status read_file(glow_tensor_file *file) {
  int descriptor =
      open(file->path, O_RDONLY | O_CLOEXEC | O_NONBLOCK); /* a pipe must not hang us */
  if (descriptor < 0)
    return glow_error(GLOW_E_IO, "cannot open '%s': %s", file->path, strerror(errno));
  glow_status status = read_descriptor(descriptor, file);
  close(descriptor);
  return status;
}

/* ---- header ---------------------------------------------------------------------------------- */

static glow_status parse_header(glow_tensor_file *file) {
  uint64_t length = 0;
  json_error_t error;
  for (int i = 7; i >= 0; i--)
    length = length << 8 | file->data[i];
  if (length > (uint64_t)GLOW_IO_MAX_HEADER)
    return BAD(file, "the header claims %llu bytes; at most %lld are read",
               (unsigned long long)length, (long long)GLOW_IO_MAX_HEADER);
  if ((int64_t)length > file->size - 8)
    return BAD(file, "the header claims %llu bytes; the file has %lld after its first 8",
               (unsigned long long)length, (long long)file->size - 8);
  if (length == 0 || file->data[8] != '{')
    return BAD(file, "byte 8: the header is not a JSON object");
  file->header = (int64_t)length;
  file->root =
      json_loadb((const char *)file->data + 8, (size_t)length, JSON_REJECT_DUPLICATES, &error);
  if (!file->root && json_error_code(&error) == json_error_out_of_memory)
    return glow_error(GLOW_E_MEMORY, "no memory for the header of '%s'", file->path);
  if (!file->root)
    return BAD(file, "byte %d: header: %s", error.position + 8, error.text);
  return GLOW_OK;
}

static glow_status check_metadata(glow_tensor_file *file) {
  const char *key;
  json_t *value;
  file->metadata = json_object_get(file->root, "__metadata__");
  if (!file->metadata)
    return GLOW_OK;
  if (!json_is_object(file->metadata))
    return BAD(file, "__metadata__ is not an object");
  json_object_foreach(file->metadata, key, value) {
    if (!json_is_string(value))
      return BAD(file, "__metadata__ key '%.100s' is not a string", key);
  }
  return GLOW_OK;
}

static glow_status read_type(const glow_tensor_file *file, const json_t *tensor, entry *e) {
  const char *name = json_string_value(json_object_get(tensor, "dtype"));
  if (!name)
    return BAD(file, "tensor '%.100s' has no dtype", e->name);
  for (int32_t t = 1; t < TYPES; t++)
    if (strcmp(types[t].name, name) == 0)
      e->type = t;
  if (!e->type)
    return BAD(file, "tensor '%.100s': dtype '%.20s' is not known", e->name, name);
  return GLOW_OK;
}

static glow_status read_shape(const glow_tensor_file *file, const json_t *tensor, entry *e) {
  const json_t *shape = json_object_get(tensor, "shape");
  if (!json_is_array(shape))
    return BAD(file, "tensor '%.100s' has no shape", e->name);
  if (json_array_size(shape) > GLOW_FILE_MAX_RANK)
    return BAD(file, "tensor '%.100s' has %zu dimensions; at most %d are read", e->name,
               json_array_size(shape), GLOW_FILE_MAX_RANK);
  e->rank = (int32_t)json_array_size(shape);
  e->bytes = types[e->type].size;
  for (int32_t i = 0; i < e->rank; i++) {
    const json_t *dim = json_array_get(shape, (size_t)i);
    if (!json_is_integer(dim) || json_integer_value(dim) < 0)
      return BAD(file, "tensor '%.100s': dimension %d is not a count", e->name, i);
    e->dims[i] = json_integer_value(dim);
    if (!glow__mul(e->bytes, e->dims[i], &e->bytes))
      return BAD(file, "tensor '%.100s': its size does not fit 64 bits", e->name);
  }
  return GLOW_OK;
}

static glow_status read_offsets(const glow_tensor_file *file, const json_t *tensor, entry *e) {
  const json_t *offsets = json_object_get(tensor, "data_offsets");
  const json_t *begin = json_array_get(offsets, 0), *end = json_array_get(offsets, 1);
  int64_t after = 0;
  if (json_array_size(offsets) != 2 || !json_is_integer(begin) || !json_is_integer(end))
    return BAD(file, "tensor '%.100s' has no pair of data_offsets", e->name);
  e->begin = json_integer_value(begin);
  if (e->begin < 0 || !glow__add(e->begin, e->bytes, &after) || after != json_integer_value(end))
    return BAD(file, "tensor '%.100s': offsets %lld to %lld do not hold its %lld bytes", e->name,
               (long long)e->begin, (long long)json_integer_value(end), (long long)e->bytes);
  return GLOW_OK;
}

static glow_status read_entry(const glow_tensor_file *file, const char *name, const json_t *tensor,
                              entry *e) {
  e->name = name;
  if (!*name || strlen(name) > GLOW_IO_MAX_NAME)
    return BAD(file, "a tensor's name has %zu bytes; 1 to %d are read", strlen(name),
               GLOW_IO_MAX_NAME);
  if (!json_is_object(tensor) || json_object_size(tensor) != 3)
    return BAD(file, "tensor '%.100s' is not an object of dtype, shape, data_offsets", name);
  GLOW_TRY(read_type(file, tensor, e));
  GLOW_TRY(read_shape(file, tensor, e));
  return read_offsets(file, tensor, e);
}

static int by_name(const void *a, const void *b) {
  return strcmp((*(const entry *const *)a)->name, (*(const entry *const *)b)->name);
}

static int by_offset(const void *a, const void *b) {
  const entry *x = a, *y = b;
  if (x->begin != y->begin)
    return x->begin < y->begin ? -1 : 1;
  return x->bytes < y->bytes ? -1 : x->bytes > y->bytes; /* empty ones first */
}

/* The first starts at 0, each where the last ended, the last ends at the end of the file. */
static glow_status check_tiling(const glow_tensor_file *file) {
  int64_t at = 0, data = file->size - 8 - file->header;
  for (int64_t i = 0; i < file->count; i++) {
    const entry *e = &file->entries[i];
    if (e->begin != at)
      return BAD(file, "tensor '%.100s' starts at byte %lld of the data, not at %lld", e->name,
                 (long long)e->begin, (long long)at);
    if (e->bytes > data - at)
      return BAD(file, "tensor '%.100s' ends at byte %lld of the data, which has %lld", e->name,
                 (long long)(at + e->bytes), (long long)data);
    at += e->bytes;
  }
  if (at != data)
    return BAD(file, "the tensors end at byte %lld of the data, which has %lld", (long long)at,
               (long long)data);
  return GLOW_OK;
}

static glow_status read_entries(glow_tensor_file *file) {
  size_t most = json_object_size(file->root);
  const char *name;
  json_t *tensor;
  if (most > GLOW_IO_MAX_TENSORS)
    return BAD(file, "%zu tensors; at most %d are read", most, GLOW_IO_MAX_TENSORS);
  file->entries = glow_allocate(file->context, (most + 1) * sizeof *file->entries);
  if (!file->entries)
    return GLOW_E_MEMORY;
  file->by_name = glow_allocate(file->context, (most + 1) * sizeof *file->by_name);
  if (!file->by_name)
    return GLOW_E_MEMORY;
  json_object_foreach(file->root, name, tensor) {
    if (strcmp(name, "__metadata__") == 0)
      continue;
    GLOW_TRY(read_entry(file, name, tensor, &file->entries[file->count]));
    file->count++;
  }
  qsort(file->entries, (size_t)file->count, sizeof *file->entries, by_offset);
  for (int64_t i = 0; i < file->count; i++)
    file->by_name[i] = &file->entries[i];
  qsort(file->by_name, (size_t)file->count, sizeof *file->by_name, by_name);
  return check_tiling(file);
}

/* ---- the object ------------------------------------------------------------------------------ */

static glow_status open_file(glow_tensor_file *file) {
  GLOW_TRY(read_file(file));
  GLOW_TRY(parse_header(file));
  GLOW_TRY(check_metadata(file));
  return read_entries(file);
}

glow_status glow_tensor_file_open(glow_context *context, const char *path, glow_tensor_file **out) {
  if (out)
    *out = NULL;
  if (!context || !path || !out)
    return glow_error(GLOW_E_ARGUMENT, "glow_tensor_file_open: NULL argument");
  glow_tensor_file *file = glow_allocate(context, sizeof *file);
  if (!file)
    return GLOW_E_MEMORY;
  file->context = context;
  file->path = path;
  glow_status status = open_file(file);
  if (status != GLOW_OK)
    glow_tensor_file_close(&file);
  else
    file->path = NULL; /* the caller's */
  *out = file;
  return status;
}

void glow_tensor_file_close(glow_tensor_file **file) {
  if (!file || !*file)
    return;
  glow_context *context = (*file)->context;
  json_decref((*file)->root);
  glow_release(context, (*file)->by_name);
  glow_release(context, (*file)->entries);
  glow_release(context, (*file)->data);
  glow_release(context, *file);
  *file = NULL;
}

int64_t glow_tensor_file_count(const glow_tensor_file *file) {
  return file ? file->count : 0;
}

static glow_status describe(const glow_tensor_file *file, const entry *e, glow_file_tensor *out) {
  glow_file_tensor tensor = GLOW_FILE_TENSOR_INIT;
  tensor.name = e->name;
  tensor.type = e->type;
  tensor.rank = e->rank;
  memcpy(tensor.dims, e->dims, sizeof tensor.dims);
  tensor.bytes = e->bytes;
  tensor.data = file->data + 8 + file->header + e->begin;
  return glow__struct_fill(out, &tensor, sizeof tensor, sizeof tensor, "glow_file_tensor");
}

glow_status glow_tensor_file_get(const glow_tensor_file *file, int64_t index,
                                 glow_file_tensor *out) {
  if (!file || !out || index < 0 || index >= file->count)
    return glow_error(GLOW_E_ARGUMENT, "there is no tensor %lld", (long long)index);
  return describe(file, &file->entries[index], out);
}

glow_status glow_tensor_file_find(const glow_tensor_file *file, const char *name,
                                  glow_file_tensor *out) {
  if (!file || !name || !out)
    return glow_error(GLOW_E_ARGUMENT, "glow_tensor_file_find: NULL argument");
  const entry wanted = {.name = name}, *key = &wanted;
  const entry **found =
      bsearch(&key, file->by_name, (size_t)file->count, sizeof *file->by_name, by_name);
  if (found)
    return describe(file, *found, out);
  return glow_error(GLOW_E_FORMAT, "the file has no tensor '%s'", name);
}

const char *glow_tensor_file_metadata(const glow_tensor_file *file, const char *key) {
  return file && key ? json_string_value(json_object_get(file->metadata, key)) : NULL;
}

int64_t glow_tensor_file_metadata_count(const glow_tensor_file *file) {
  return file && file->metadata ? (int64_t)json_object_size(file->metadata) : 0;
}

glow_status glow_tensor_file_metadata_at(const glow_tensor_file *file, int64_t index,
                                         const char **key, const char **value) {
  if (!file || !key || !value || index < 0 || index >= glow_tensor_file_metadata_count(file))
    return glow_error(GLOW_E_ARGUMENT, "glow_tensor_file_metadata_at: NULL, or there is no %lld",
                      (long long)index);
  void *at = json_object_iter(file->metadata);
  while (index-- > 0)
    at = json_object_iter_next(file->metadata, at);
  *key = json_object_iter_key(at);
  *value = json_string_value(json_object_iter_value(at));
  return GLOW_OK;
}
