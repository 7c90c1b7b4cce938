/* The bytes of a tensor file before its data: u64 little-endian length, the JSON header, and
 * spaces, so that the data start at a multiple of 64 bytes. SPDX-License-Identifier: MIT */
#include <stdlib.h>
#include <string.h>

#include "io/io.h"

enum { MAX_NAME = 1 << 24 };

/* ---- checks ---------------------------------------------------------------------------------- */

static glow_status check_tensor(const glow_file_tensor *t) {
  int64_t bytes = glow__type_size(t->type);
  if (t->struct_size < sizeof *t)
    return glow_error(GLOW_E_ARGUMENT, "glow_file_tensor: struct_size is %zu", t->struct_size);
  if (!t->name || !*t->name || strlen(t->name) > MAX_NAME || strcmp(t->name, "__metadata__") == 0)
    return glow_error(GLOW_E_ARGUMENT, "a tensor needs a name of 1 to %d bytes", MAX_NAME);
  if (!glow__is_utf8(t->name))
    return glow_error(GLOW_E_ARGUMENT, "the name of tensor '%.100s' is not UTF-8", t->name);
  if (!bytes)
    return glow_error(GLOW_E_ARGUMENT,
                      "tensor '%.100s': type is %d; it must be one of GLOW_TYPE_F32 (%d), "
                      "GLOW_TYPE_I32 (%d), ..., GLOW_TYPE_F8_E8M0 (%d)",
                      t->name, (int)t->type, GLOW_TYPE_F32, GLOW_TYPE_I32, GLOW_TYPE_F8_E8M0);
  if (t->rank < 0 || t->rank > GLOW_FILE_MAX_RANK)
    return glow_error(GLOW_E_ARGUMENT, "tensor '%.100s': rank is %d; it must be 0 to %d", t->name,
                      (int)t->rank, GLOW_FILE_MAX_RANK);
  for (int32_t i = 0; i < t->rank; i++)
    if (t->dims[i] < 0 || !glow_size_multiply(bytes, t->dims[i], &bytes))
      return glow_error(GLOW_E_ARGUMENT, "tensor '%.100s': dimension %d is not valid", t->name, i);
  if (bytes != t->bytes)
    return glow_error(GLOW_E_ARGUMENT, "tensor '%.100s' has %lld bytes, but its shape needs %lld",
                      t->name, (long long)t->bytes, (long long)bytes);
  return GLOW_OK;
}

static glow_status check_pair(const char *key, const char *value, int64_t index) {
  if (!key || !value)
    return glow_error(GLOW_E_ARGUMENT, "metadata entry %lld is NULL", (long long)index);
  if (!glow__is_utf8(key) || !glow__is_utf8(value))
    return glow_error(GLOW_E_ARGUMENT, "metadata '%.100s' is not UTF-8", key);
  return GLOW_OK;
}

static int header_writer_by_text(const void *a, const void *b) {
  return strcmp(*(const char *const *)a, *(const char *const *)b);
}

static glow_status check_twice(const char **names, int64_t count, const char *what) {
  glow__sort(names, (size_t)count, sizeof *names, header_writer_by_text);
  for (int64_t i = 1; i < count; i++)
    if (strcmp(names[i - 1], names[i]) == 0)
      return glow_error(GLOW_E_ARGUMENT, "there are two %s '%.100s'", what, names[i]);
  return GLOW_OK;
}

static glow_status check_names(glow_context *context, const glow_file_tensor *tensors,
                               int64_t count, const char *const *metadata, int64_t pairs) {
  int64_t most = count > pairs ? count : pairs;
  const char **names = glow_allocate(context, ((size_t)most + 1) * sizeof *names);
  if (!names)
    return GLOW_E_MEMORY;
  for (int64_t i = 0; i < count; i++)
    names[i] = tensors[i].name;
  glow_status status = check_twice(names, count, "tensors");
  for (int64_t i = 0; i < pairs; i++)
    names[i] = metadata[2 * i];
  if (status == GLOW_OK)
    status = check_twice(names, pairs, "metadata");
  glow_release(context, names);
  return status;
}

static glow_status check_all(glow_context *context, const glow_file_tensor *tensors, int64_t count,
                             const char *const *metadata, int64_t pairs) {
  if (count < 0 || pairs < 0 || count > INT32_MAX || pairs > INT32_MAX || (count && !tensors) ||
      (pairs && !metadata))
    return glow_error(GLOW_E_ARGUMENT,
                      "writing tensors: NULL argument or a count that is not valid");
  for (int64_t i = 0; i < count; i++)
    GLOW_TRY(check_tensor(&tensors[i]));
  for (int64_t i = 0; i < pairs; i++)
    GLOW_TRY(check_pair(metadata[2 * i], metadata[2 * i + 1], i));
  return check_names(context, tensors, count, metadata, pairs);
}

/* ---- the header ------------------------------------------------------------------------------ */

static void put_metadata(glow__text *t, const char *const *metadata, int64_t pairs) {
  glow__text_put(t, "\"__metadata__\":{");
  for (int64_t i = 0; i < pairs; i++) {
    glow__text_put(t, i ? "," : "");
    glow__text_quoted(t, metadata[2 * i]);
    glow__text_put(t, ":");
    glow__text_quoted(t, metadata[2 * i + 1]);
  }
  glow__text_put(t, "}");
}

static void put_tensor(glow__text *t, const glow_file_tensor *tensor, int64_t begin) {
  glow__text_quoted(t, tensor->name);
  glow__text_put(t, ":{\"dtype\":\"");
  glow__text_put(t, glow__type_name(tensor->type));
  glow__text_put(t, "\",\"shape\":[");
  for (int32_t i = 0; i < tensor->rank; i++) {
    glow__text_put(t, i ? "," : "");
    glow__text_number(t, tensor->dims[i]);
  }
  glow__text_put(t, "],\"data_offsets\":[");
  glow__text_number(t, begin);
  glow__text_put(t, ",");
  glow__text_number(t, begin + tensor->bytes);
  glow__text_put(t, "]}");
}

static glow_status put_all(glow__text *t, const glow_file_tensor *tensors, int64_t count,
                           const char *const *metadata, int64_t pairs, int64_t *end) {
  int64_t begin = 0;
  glow__text_bytes(t, "\0\0\0\0\0\0\0", 8); /* the length is filled in at the end */
  glow__text_put(t, "{");
  if (pairs)
    put_metadata(t, metadata, pairs);
  for (int64_t i = 0; i < count; i++) {
    if (!glow_size_add(begin, tensors[i].bytes, end) || *end > INT64_MAX - 2 * (int64_t)INT32_MAX)
      return glow_error(GLOW_E_LIMIT, "tensor '%.100s': the file is too large", tensors[i].name);
    glow__text_put(t, i || pairs ? "," : "");
    put_tensor(t, &tensors[i], begin);
    begin = *end;
  }
  glow__text_put(t, "}");
  while (t->status == GLOW_OK && t->length % GLOW_IO_ALIGN)
    glow__text_put(t, " ");
  return t->status;
}

glow_status glow__preamble_make(glow_context *context, const glow_file_tensor *tensors,
                                int64_t count, const char *const *metadata, int64_t pairs,
                                glow__preamble *out) {
  glow__text t = {.context = context, .status = GLOW_OK};
  *out = (glow__preamble){.bytes = NULL};
  GLOW_TRY(check_all(context, tensors, count, metadata, pairs));
  glow_status status = put_all(&t, tensors, count, metadata, pairs, &out->data_bytes);
  if (status != GLOW_OK) {
    glow_release(context, t.bytes);
    return status;
  }
  out->bytes = (unsigned char *)t.bytes;
  out->size = t.length;
  for (int i = 0; i < 8; i++)
    out->bytes[i] = (unsigned char)((uint64_t)(t.length - 8) >> 8 * i);
  return GLOW_OK;
}
