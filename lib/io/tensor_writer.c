/* Writing safetensors, with the header padded so that data start at a multiple of 8 bytes.
 * SPDX-License-Identifier: MIT */
#include <jansson.h>
#include <stdlib.h>
#include <string.h>

#include "io/io.h"

static glow_status check_tensor(const glow_file_tensor *t) {
  int64_t bytes = glow__type_size(t->type);
  if (t->struct_size < sizeof *t)
    return glow_error(GLOW_E_ARGUMENT, "glow_file_tensor: struct_size is %zu", t->struct_size);
  if (!t->name || !*t->name || strlen(t->name) > GLOW_IO_MAX_NAME ||
      strcmp(t->name, "__metadata__") == 0)
    return glow_error(GLOW_E_ARGUMENT, "a tensor needs a name of 1 to %d bytes", GLOW_IO_MAX_NAME);
  if (!bytes || t->rank < 0 || t->rank > GLOW_FILE_MAX_RANK)
    return glow_error(GLOW_E_ARGUMENT, "tensor '%s': type %d or rank %d is not valid", t->name,
                      t->type, t->rank);
  for (int32_t i = 0; i < t->rank; i++)
    if (t->dims[i] < 0 || !glow__mul(bytes, t->dims[i], &bytes))
      return glow_error(GLOW_E_ARGUMENT, "tensor '%s': dimension %d is not valid", t->name, i);
  if (bytes != t->bytes || (bytes && !t->data))
    return glow_error(GLOW_E_ARGUMENT, "tensor '%s' has %lld bytes where its shape needs %lld",
                      t->name, (long long)t->bytes, (long long)bytes);
  return GLOW_OK;
}

/* Adds {"dtype", "shape", "data_offsets"} of one tensor; *end moves on. */
static glow_status add_tensor(json_t *root, const glow_file_tensor *t, int64_t *end) {
  json_t *shape = json_array();
  int64_t begin = *end;
  bool ok = shape != NULL;
  GLOW_TRY(
      json_object_get(root, t->name)
          ? (json_decref(shape), glow_error(GLOW_E_ARGUMENT, "there are two tensors '%s'", t->name))
          : GLOW_OK);
  for (int32_t i = 0; ok && i < t->rank; i++)
    ok = json_array_append_new(shape, json_integer(t->dims[i])) == 0;
  if (!ok || !glow__add(begin, t->bytes, end)) {
    json_decref(shape);
    return glow_error(GLOW_E_MEMORY, "no memory for the header");
  }
  json_t *tensor = json_pack("{s:s, s:o, s:[I, I]}", "dtype", glow__type_name(t->type), "shape",
                             shape, "data_offsets", (json_int_t)begin, (json_int_t)*end);
  if (!tensor || json_object_set_new(root, t->name, tensor) != 0)
    return glow_error(GLOW_E_MEMORY, "no memory for the entry of '%s', or its name is not UTF-8",
                      t->name);
  return GLOW_OK;
}

static glow_status add_metadata(json_t *root, const char *const *metadata, int64_t pairs) {
  if (pairs == 0)
    return GLOW_OK;
  json_t *object = json_object();
  if (!object || json_object_set_new(root, "__metadata__", object) != 0)
    return glow_error(GLOW_E_MEMORY, "no memory for the metadata");
  for (int64_t i = 0; i < pairs; i++) {
    const char *key = metadata[2 * i], *value = metadata[2 * i + 1];
    if (!key || !value)
      return glow_error(GLOW_E_ARGUMENT, "metadata entry %lld is NULL", (long long)i);
    if (json_object_set_new(object, key, json_string(value)) != 0)
      return glow_error(GLOW_E_ARGUMENT, "metadata '%s' is not UTF-8, or there is no memory", key);
  }
  return GLOW_OK;
}

static glow_status build_header(json_t *root, const glow_file_tensor *tensors, int64_t count,
                                const char *const *metadata, int64_t pairs) {
  int64_t end = 0;
  if (!root)
    return glow_error(GLOW_E_MEMORY, "no memory for the header");
  GLOW_TRY(add_metadata(root, metadata, pairs));
  for (int64_t i = 0; i < count; i++) {
    GLOW_TRY(check_tensor(&tensors[i]));
    GLOW_TRY(add_tensor(root, &tensors[i], &end));
  }
  return GLOW_OK;
}

static glow_status write_header(glow__atomic_file *file, const char *text) {
  static const char spaces[8] = "        ";
  size_t length = strlen(text), padding = (8 - length % 8) % 8;
  unsigned char prefix[8];
  uint64_t whole = length + padding;
  if (whole > (uint64_t)GLOW_IO_MAX_HEADER)
    return glow_error(GLOW_E_LIMIT, "the header would have %llu bytes", (unsigned long long)whole);
  for (int i = 0; i < 8; i++)
    prefix[i] = (unsigned char)(whole >> 8 * i);
  GLOW_TRY(glow__atomic_write(file, prefix, sizeof prefix));
  GLOW_TRY(glow__atomic_write(file, text, length));
  return glow__atomic_write(file, spaces, padding);
}

static glow_status write_all(glow__atomic_file *file, const char *text,
                             const glow_file_tensor *tensors, int64_t count) {
  GLOW_TRY(write_header(file, text));
  for (int64_t i = 0; i < count; i++)
    GLOW_TRY(glow__atomic_write(file, tensors[i].data, (size_t)tensors[i].bytes));
  return GLOW_OK;
}

static glow_status write_file(glow_context *context, const char *path, const char *text,
                              const glow_file_tensor *tensors, int64_t count) {
  glow__atomic_file file;
  GLOW_TRY(glow__atomic_open(context, path, &file));
  glow_status status = write_all(&file, text, tensors, count);
  if (status == GLOW_OK)
    return glow__atomic_commit(&file);
  glow__atomic_abandon(&file);
  return status;
}

glow_status glow_tensor_file_write(glow_context *context, const char *path,
                                   const glow_file_tensor *tensors, int64_t count,
                                   const char *const *metadata, int64_t pairs) {
  if (!context || !path || count < 0 || pairs < 0 || (count && !tensors) || (pairs && !metadata))
    return glow_error(GLOW_E_ARGUMENT, "glow_tensor_file_write: NULL argument or negative count");
  json_t *root = json_object();
  glow_status status = build_header(root, tensors, count, metadata, pairs);
  if (status == GLOW_OK) {
    char *text = json_dumps(root, JSON_COMPACT);
    status = text ? write_file(context, path, text, tensors, count)
                  : glow_error(GLOW_E_MEMORY, "no memory for the header");
    free(text); /* jansson's own allocation */
  }
  json_decref(root);
  return status;
}
