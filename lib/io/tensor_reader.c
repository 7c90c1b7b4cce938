/* Reading safetensors: u64 little-endian header length, JSON header, data. The lengths come first;
 * the whole header is checked before any of the data are used.
 * SPDX-License-Identifier: MIT */
#include <string.h>

#include "io/io.h"

struct glow_tensor_file {
  glow_context *context;
  glow__source source;
  glow__header header;
  int64_t data_start;        /* in the file */
  const unsigned char *data; /* or NULL: lazy */
  unsigned char *own_data;
};

typedef struct element_type {
  int32_t type;
  int32_t size; /* bytes */
  const char *name;
} element_type;

static const element_type types[] = {
    {GLOW_TYPE_F32, 4, "F32"},         {GLOW_TYPE_I32, 4, "I32"},
    {GLOW_TYPE_U8, 1, "U8"},           {GLOW_TYPE_F64, 8, "F64"},
    {GLOW_TYPE_I64, 8, "I64"},         {GLOW_TYPE_BF16, 2, "BF16"},
    {GLOW_TYPE_F16, 2, "F16"},         {GLOW_TYPE_I8, 1, "I8"},
    {GLOW_TYPE_I16, 2, "I16"},         {GLOW_TYPE_U16, 2, "U16"},
    {GLOW_TYPE_U32, 4, "U32"},         {GLOW_TYPE_U64, 8, "U64"},
    {GLOW_TYPE_BOOL, 1, "BOOL"},       {GLOW_TYPE_F8_E4M3, 1, "F8_E4M3"},
    {GLOW_TYPE_F8_E5M2, 1, "F8_E5M2"}, {GLOW_TYPE_F8_E8M0, 1, "F8_E8M0"},
};
enum { TYPES = sizeof types / sizeof *types };

static const element_type *find_type(int32_t type) {
  for (int32_t i = 0; i < TYPES; i++)
    if (types[i].type == type)
      return &types[i];
  return NULL;
}

const char *glow__type_name(int32_t type) {
  const element_type *found = find_type(type);
  return found ? found->name : NULL;
}

int64_t glow__type_size(int32_t type) {
  const element_type *found = find_type(type);
  return found ? found->size : 0;
}

int32_t glow__type_of(const char *name) {
  for (int32_t i = 0; i < TYPES; i++)
    if (strcmp(types[i].name, name) == 0)
      return types[i].type;
  return 0;
}

/* ---- opening --------------------------------------------------------------------------------- */

static glow_status header_length(const glow__source *source, const glow_limits *limits,
                                 int64_t *out) {
  unsigned char bytes[8];
  uint64_t length = 0;
  if (source->size < 8)
    return glow_error(GLOW_E_FORMAT, "%lld bytes are too few for a safetensors file",
                      (long long)source->size);
  GLOW_TRY(glow__source_read(source, 0, bytes, sizeof bytes));
  for (int i = 7; i >= 0; i--)
    length = length << 8 | bytes[i];
  if (length > (uint64_t)(source->size - 8))
    return glow_error(GLOW_E_FORMAT,
                      "the header claims %llu bytes; the file has %lld after its "
                      "first 8",
                      (unsigned long long)length, (long long)source->size - 8);
  if (length > (uint64_t)limits->header_bytes)
    return glow_error(GLOW_E_LIMIT,
                      "the header has %llu bytes; at most %lld are read (header_bytes)",
                      (unsigned long long)length, (long long)limits->header_bytes);
  *out = (int64_t)length;
  return GLOW_OK;
}

static glow_status read_header(glow_tensor_file *file, const glow_limits *limits) {
  glow__source *source = &file->source;
  int64_t length = 0;
  GLOW_TRY(header_length(source, limits, &length));
  char *text = glow_allocate(source->context, (size_t)length + 1);
  if (!text)
    return GLOW_E_MEMORY;
  glow_status status = glow__source_read(source, 8, text, length);
  if (status != GLOW_OK) {
    glow_release(source->context, text);
    return status;
  }
  file->data_start = 8 + length;
  return glow__header_parse(source->context, text, length, source->size - file->data_start, limits,
                            &file->header);
}

static void data_in_machine_order(glow_tensor_file *file) {
  for (int64_t i = 0; GLOW_BIG_ENDIAN && i < file->header.count; i++) {
    const glow__entry *e = &file->header.entries[i];
    glow__reverse_elements(file->own_data + e->begin, e->bytes, e->size);
  }
}

static glow_status read_data(glow_tensor_file *file) {
  const glow__source *source = &file->source;
  int64_t bytes = source->size - file->data_start;
  if (source->data && !GLOW_BIG_ENDIAN) {
    file->data = source->data + file->data_start;
    return GLOW_OK;
  }
  file->own_data = glow_allocate(source->context, (size_t)bytes + 1);
  if (!file->own_data)
    return GLOW_E_MEMORY;
  file->data = file->own_data;
  GLOW_TRY(glow__source_read(source, file->data_start, file->own_data, bytes));
  data_in_machine_order(file);
  return GLOW_OK;
}

static glow_status open_file(glow_context *context, const glow_input *input,
                             const glow_limits *limits, glow_tensor_file *file) {
  GLOW_TRY(glow__source_open(context, input, limits, &file->source));
  glow_status status = read_header(file, limits);
  if (status == GLOW_OK && !(input->flags & GLOW_INPUT_LAZY))
    status = read_data(file);
  return glow__source_blame(&file->source, status);
}

glow_status glow_tensor_file_open_input(glow_context *context, const glow_input *input,
                                        glow_tensor_file **out) {
  glow_input copy;
  glow_limits limits;
  if (out)
    *out = NULL;
  GLOW_LIVE(context, CONTEXT);
  if (!context || !input || !out)
    return glow_error(GLOW_E_ARGUMENT, "glow_tensor_file_open: NULL argument");
  GLOW_TRY(glow__input_copy(input, &copy, &limits));
  glow_tensor_file *file = glow_allocate(context, sizeof *file);
  if (!file)
    return GLOW_E_MEMORY;
  glow__live_add(file, GLOW_LIVE_FILE);
  file->context = glow__context_hold(context);
  glow_status status = open_file(context, &copy, &limits, file);
  if (status != GLOW_OK)
    glow_tensor_file_close(&file);
  *out = file;
  return status;
}

glow_status glow_tensor_file_open(glow_context *context, const char *path, glow_tensor_file **out) {
  glow_input input = GLOW_INPUT_INIT;
  input.path = path;
  return glow_tensor_file_open_input(context, path ? &input : NULL, out);
}

void glow_tensor_file_close(glow_tensor_file **file) {
  if (!file || !*file)
    return;
  GLOW_LIVE_END(*file, FILE);
  glow_context *context = (*file)->context;
  glow_release(context, (*file)->own_data);
  glow__header_free(&(*file)->header);
  glow__source_close(&(*file)->source);
  glow_release(context, *file);
  glow__context_drop(context);
  *file = NULL;
}

/* ---- questions ------------------------------------------------------------------------------- */

int64_t glow_tensor_file_tensor_count(const glow_tensor_file *file) {
  GLOW_LIVE_OR(file, FILE, 0);
  return file ? file->header.count : 0;
}

static glow_status describe(const glow_tensor_file *file, const glow__entry *e,
                            glow_file_tensor *out) {
  glow_file_tensor tensor = GLOW_FILE_TENSOR_INIT;
  tensor.name = e->name;
  tensor.type = e->type;
  tensor.rank = e->rank;
  memcpy(tensor.dims, e->dims, sizeof tensor.dims);
  tensor.bytes = e->bytes;
  tensor.data = file->data ? file->data + e->begin : NULL;
  return glow__struct_fill(out, &tensor, sizeof tensor, sizeof tensor, "glow_file_tensor");
}

static const glow__entry *at(const glow_tensor_file *file, int64_t index) {
  if (file && index >= 0 && index < file->header.count)
    return file->header.by_offset[index];
  glow_error(GLOW_E_ARGUMENT, "the file has no tensor %lld", (long long)index);
  return NULL;
}

glow_status glow_tensor_file_get(const glow_tensor_file *file, int64_t index,
                                 glow_file_tensor *out) {
  GLOW_LIVE(file, FILE);
  const glow__entry *e = at(file, index);
  if (e && out)
    return describe(file, e, out);
  return e ? glow_error(GLOW_E_ARGUMENT, "glow_tensor_file_get: NULL argument") : GLOW_E_ARGUMENT;
}

glow_status glow_tensor_file_find(const glow_tensor_file *file, const char *name,
                                  glow_file_tensor *out) {
  GLOW_LIVE(file, FILE);
  if (!file || !name || !out)
    return glow_error(GLOW_E_ARGUMENT, "glow_tensor_file_find: NULL argument");
  const glow__entry *e = glow__header_find(&file->header, name);
  if (e)
    return describe(file, e, out);
  return glow_error(GLOW_E_NOT_FOUND, "the file has no tensor '%s'", name);
}

int64_t glow_tensor_file_index(const glow_tensor_file *file, const char *name) {
  GLOW_LIVE_OR(file, FILE, -1);
  const glow__entry *e = file && name ? glow__header_find(&file->header, name) : NULL;
  return e ? e->number : -1;
}

glow_status glow_tensor_file_read(const glow_tensor_file *file, int64_t index, int64_t offset,
                                  void *buffer, size_t bytes) {
  GLOW_LIVE(file, FILE);
  const glow__entry *e = at(file, index);
  if (!e)
    return GLOW_E_ARGUMENT;
  if (!buffer && bytes)
    return glow_error(GLOW_E_ARGUMENT, "glow_tensor_file_read: NULL argument");
  if (offset < 0 || offset > e->bytes || bytes > (uint64_t)(e->bytes - offset))
    return glow_error(GLOW_E_ARGUMENT,
                      "tensor '%s' has %lld bytes; it does not contain %zu from %lld on", e->name,
                      (long long)e->bytes, bytes, (long long)offset);
  if (offset % e->size || (int64_t)bytes % e->size)
    return glow_error(GLOW_E_ARGUMENT,
                      "tensor '%s' has elements of %lld bytes; %zu from %lld on are not whole ones",
                      e->name, (long long)e->size, bytes, (long long)offset);
  return glow__tensor_file_copy(file, e->begin + offset, buffer, (int64_t)bytes, e->size);
}

const char *glow_tensor_file_metadata(const glow_tensor_file *file, const char *key) {
  GLOW_LIVE_OR(file, FILE, NULL);
  return file && key ? glow__header_metadata(&file->header, key) : NULL;
}

int64_t glow_tensor_file_metadata_count(const glow_tensor_file *file) {
  GLOW_LIVE_OR(file, FILE, 0);
  return file ? file->header.metadata_count : 0;
}

glow_status glow_tensor_file_metadata_at(const glow_tensor_file *file, int64_t index,
                                         const char **key, const char **value) {
  GLOW_LIVE(file, FILE);
  if (!file || index < 0 || index >= file->header.metadata_count)
    return glow_error(GLOW_E_ARGUMENT, "the file has no metadata entry %lld", (long long)index);
  const char *text = file->header.metadata[index];
  if (key)
    *key = text;
  if (value)
    *value = text + strlen(text) + 1;
  return GLOW_OK;
}

/* ---- for io/ only --------------------------------------------------------------------------- */

const glow__entry *glow__tensor_file_entry(const glow_tensor_file *file, int64_t index) {
  return file->header.by_offset[index];
}

glow_status glow__tensor_file_copy(const glow_tensor_file *file, int64_t begin, void *buffer,
                                   int64_t bytes, int64_t size) {
  if (file->data) {
    if (bytes)
      memcpy(buffer, file->data + begin, (size_t)bytes);
    return GLOW_OK;
  }
  GLOW_TRY(glow__source_read(&file->source, file->data_start + begin, buffer, bytes));
  glow__machine_order(buffer, bytes, size);
  return GLOW_OK;
}

glow_status glow__tensor_file_blame(const glow_tensor_file *file, glow_status status) {
  return glow__source_blame(&file->source, status);
}

unsigned char *glow__tensor_file_mapped(const glow_tensor_file *file) {
  return file->source.mapped ? (unsigned char *)(uintptr_t)file->data : NULL;
}

void glow__tensor_file_give_mapping(glow_tensor_file *file, void **memory, int64_t *bytes) {
  *memory = (void *)(uintptr_t)file->source.data;
  *bytes = file->source.size;
  file->source.mapped = false;
}
