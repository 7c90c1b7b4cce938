/* The bytes of a tensor file in front of its data: u64 little-endian length, the JSON header, and
 * spaces, so that data start at a multiple of 64 bytes. SPDX-License-Identifier: MIT */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "io/io.h"

#define MAX_HEADER ((int64_t)INT32_MAX) /* what a reader can be told to take */
enum { MAX_NAME = 1 << 24 };

/* ---- a text that grows ----------------------------------------------------------------------- */

typedef struct text {
  glow_context *context;
  char *bytes;
  int64_t length, capacity;
  glow_status status; /* of the first failure; later calls do nothing */
} text;

static void grow(text *t, int64_t needed) {
  int64_t capacity = t->capacity ? t->capacity : 1024;
  while (capacity < needed)
    capacity *= 2;
  char *more = glow_allocate(t->context, (size_t)capacity);
  if (!more) {
    t->status = GLOW_E_MEMORY;
    return;
  }
  if (t->length)
    memcpy(more, t->bytes, (size_t)t->length);
  glow_release(t->context, t->bytes);
  t->bytes = more;
  t->capacity = capacity;
}

static void put_bytes(text *t, const char *bytes, size_t count) {
  if (t->status == GLOW_OK && count > (size_t)(MAX_HEADER - t->length))
    t->status = glow_error(GLOW_E_LIMIT, "the header would have more than %lld bytes",
                           (long long)MAX_HEADER);
  if (t->status == GLOW_OK && t->length + (int64_t)count > t->capacity)
    grow(t, t->length + (int64_t)count);
  if (t->status != GLOW_OK)
    return;
  memcpy(t->bytes + t->length, bytes, count);
  t->length += (int64_t)count;
}

static void put(text *t, const char *string) {
  put_bytes(t, string, strlen(string));
}

static void put_number(text *t, int64_t number) {
  char digits[24];
  snprintf(digits, sizeof digits, "%lld", (long long)number);
  put(t, digits);
}

/* A JSON string: quotes, backslashes and control characters are escaped, the rest is as it is. */
static void put_string(text *t, const char *string) {
  put(t, "\"");
  for (const char *from = string, *c = string;; c++) {
    bool plain = (unsigned char)*c >= ' ' && *c != '"' && *c != '\\';
    if (plain)
      continue;
    put_bytes(t, from, (size_t)(c - from));
    if (!*c)
      break;
    char escape[8];
    if ((unsigned char)*c < ' ')
      snprintf(escape, sizeof escape, "\\u%04x", (unsigned)*c);
    else
      snprintf(escape, sizeof escape, "\\%c", *c);
    put(t, escape);
    from = c + 1;
  }
  put(t, "\"");
}

/* ---- checks ---------------------------------------------------------------------------------- */

static glow_status check_tensor(const glow_file_tensor *t) {
  int64_t bytes = glow__type_size(t->type);
  if (t->struct_size < sizeof *t)
    return glow_error(GLOW_E_ARGUMENT, "glow_file_tensor: struct_size is %zu", t->struct_size);
  if (!t->name || !*t->name || strlen(t->name) > MAX_NAME || strcmp(t->name, "__metadata__") == 0)
    return glow_error(GLOW_E_ARGUMENT, "a tensor needs a name of 1 to %d bytes", MAX_NAME);
  if (!glow__is_utf8(t->name))
    return glow_error(GLOW_E_ARGUMENT, "the name of tensor '%.100s' is not UTF-8", t->name);
  if (!bytes || t->rank < 0 || t->rank > GLOW_FILE_MAX_RANK)
    return glow_error(GLOW_E_ARGUMENT, "tensor '%.100s': type %d or rank %d is not valid", t->name,
                      t->type, t->rank);
  for (int32_t i = 0; i < t->rank; i++)
    if (t->dims[i] < 0 || !glow__mul(bytes, t->dims[i], &bytes))
      return glow_error(GLOW_E_ARGUMENT, "tensor '%.100s': dimension %d is not valid", t->name, i);
  if (bytes != t->bytes)
    return glow_error(GLOW_E_ARGUMENT, "tensor '%.100s' has %lld bytes where its shape needs %lld",
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

static int by_text(const void *a, const void *b) {
  return strcmp(*(const char *const *)a, *(const char *const *)b);
}

static glow_status check_twice(const char **names, int64_t count, const char *what) {
  qsort(names, (size_t)count, sizeof *names, by_text);
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

static void put_metadata(text *t, const char *const *metadata, int64_t pairs) {
  put(t, "\"__metadata__\":{");
  for (int64_t i = 0; i < pairs; i++) {
    put(t, i ? "," : "");
    put_string(t, metadata[2 * i]);
    put(t, ":");
    put_string(t, metadata[2 * i + 1]);
  }
  put(t, "}");
}

static void put_tensor(text *t, const glow_file_tensor *tensor, int64_t begin) {
  put_string(t, tensor->name);
  put(t, ":{\"dtype\":\"");
  put(t, glow__type_name(tensor->type));
  put(t, "\",\"shape\":[");
  for (int32_t i = 0; i < tensor->rank; i++) {
    put(t, i ? "," : "");
    put_number(t, tensor->dims[i]);
  }
  put(t, "],\"data_offsets\":[");
  put_number(t, begin);
  put(t, ",");
  put_number(t, begin + tensor->bytes);
  put(t, "]}");
}

static glow_status put_all(text *t, const glow_file_tensor *tensors, int64_t count,
                           const char *const *metadata, int64_t pairs, int64_t *end) {
  int64_t begin = 0;
  put_bytes(t, "\0\0\0\0\0\0\0", 8); /* the length, in the end */
  put(t, "{");
  if (pairs)
    put_metadata(t, metadata, pairs);
  for (int64_t i = 0; i < count; i++) {
    if (!glow__add(begin, tensors[i].bytes, end) || *end > INT64_MAX - 2 * MAX_HEADER)
      return glow_error(GLOW_E_LIMIT, "tensor '%.100s': the file is too large", tensors[i].name);
    put(t, i || pairs ? "," : "");
    put_tensor(t, &tensors[i], begin);
    begin = *end;
  }
  put(t, "}");
  while (t->status == GLOW_OK && t->length % GLOW_IO_ALIGN)
    put(t, " ");
  return t->status;
}

glow_status glow__preamble_make(glow_context *context, const glow_file_tensor *tensors,
                                int64_t count, const char *const *metadata, int64_t pairs,
                                glow__preamble *out) {
  text t = {.context = context, .status = GLOW_OK};
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
