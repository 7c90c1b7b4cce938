/* Fuzz target: the reader of tensor files, from memory and through a callback. What it accepts is
 * looked at in full and written again: the same tensors must come back.
 * SPDX-License-Identifier: MIT */
#include "fuzz.h"

#include <stdlib.h>
#include <string.h>

#include "io/io.h"

/* The reader's memory is in proportion to the file: text and data once, and for each tensor, whose
 * text has 50 bytes or more, an entry and two pointers. */
enum { BUDGET_BASE = 1 << 16, BUDGET_PER_BYTE = 8 };

typedef struct bytes {
  const uint8_t *data;
  size_t size;
} bytes;

static glow_status read_bytes(void *payload, int64_t offset, void *buffer, size_t count) {
  const bytes *b = payload;
  PROMISE(offset >= 0 && (uint64_t)offset <= b->size && count <= b->size - (uint64_t)offset);
  memcpy(buffer, b->data + offset, count);
  return GLOW_OK;
}

/* Reads a tensor whole, then its last element alone. */
static void read_tensor(const glow_tensor_file *file, int64_t index, const glow_file_tensor *t) {
  unsigned char *buffer = malloc((size_t)t->bytes + 1), last[8];
  const size_t size = (size_t)glow__type_size(t->type);
  PROMISE(buffer);
  PROMISE(glow_tensor_file_read(file, index, 0, buffer, (size_t)t->bytes) == GLOW_OK);
  PROMISE(!t->data || memcmp(t->data, buffer, (size_t)t->bytes) == 0);
  if (t->bytes) {
    const int64_t at = t->bytes - (int64_t)size;
    PROMISE(glow_tensor_file_read(file, index, at, last, size) == GLOW_OK);
    PROMISE(memcmp(last, buffer + at, size) == 0);
  }
  PROMISE(glow_tensor_file_read(file, index, t->bytes, last, size) == GLOW_E_ARGUMENT);
  free(buffer);
}

static void look_at_tensors(const glow_tensor_file *file) {
  for (int64_t i = 0; i < glow_tensor_file_tensor_count(file); i++) {
    glow_file_tensor t = GLOW_FILE_TENSOR_INIT, found = GLOW_FILE_TENSOR_INIT;
    PROMISE(glow_tensor_file_get(file, i, &t) == GLOW_OK);
    PROMISE(glow_tensor_file_find(file, t.name, &found) == GLOW_OK);
    PROMISE(glow_tensor_file_index(file, t.name) == i && found.bytes == t.bytes);
    PROMISE(t.rank >= 0 && t.rank <= GLOW_FILE_MAX_RANK && t.bytes >= 0 && *t.name);
    read_tensor(file, i, &t);
  }
}

static void look_at_metadata(const glow_tensor_file *file) {
  for (int64_t i = 0; i < glow_tensor_file_metadata_count(file); i++) {
    const char *key, *value;
    PROMISE(glow_tensor_file_metadata_at(file, i, &key, &value) == GLOW_OK);
    PROMISE(glow_tensor_file_metadata(file, key) == value && strlen(value) < SIZE_MAX);
  }
}

/* ---- writing it again ------------------------------------------------------------------------ */

typedef struct contents {
  glow_file_tensor *tensors;
  const char **metadata;
  int64_t count, pairs;
} contents;

static contents list(const glow_tensor_file *file) {
  contents c = {.count = glow_tensor_file_tensor_count(file),
                .pairs = glow_tensor_file_metadata_count(file)};
  c.tensors = calloc((size_t)c.count + 1, sizeof *c.tensors);
  c.metadata = calloc(2 * (size_t)c.pairs + 1, sizeof *c.metadata);
  PROMISE(c.tensors && c.metadata);
  for (int64_t i = 0; i < c.count; i++) {
    c.tensors[i] = (glow_file_tensor)GLOW_FILE_TENSOR_INIT;
    PROMISE(glow_tensor_file_get(file, i, &c.tensors[i]) == GLOW_OK);
  }
  for (int64_t i = 0; i < c.pairs; i++)
    glow_tensor_file_metadata_at(file, i, &c.metadata[2 * i], &c.metadata[2 * i + 1]);
  return c;
}

static bool same(const contents *a, const contents *b) {
  if (a->count != b->count || a->pairs != b->pairs)
    return false;
  for (int64_t i = 0; i < a->count; i++) {
    const glow_file_tensor *s = &a->tensors[i], *t = &b->tensors[i];
    if (strcmp(s->name, t->name) != 0 || s->type != t->type || s->rank != t->rank ||
        memcmp(s->dims, t->dims, sizeof s->dims) != 0 ||
        (s->bytes && memcmp(s->data, t->data, (size_t)s->bytes) != 0))
      return false;
  }
  for (int64_t i = 0; i < 2 * a->pairs; i++)
    if (strcmp(a->metadata[i], b->metadata[i]) != 0)
      return false;
  return true;
}

static void free_contents(contents *c) {
  free(c->tensors);
  free(c->metadata);
}

static void write_again(glow_context *context, const glow_tensor_file *file) {
  contents before = list(file);
  glow_output output = GLOW_OUTPUT_INIT;
  glow_input input = GLOW_INPUT_INIT;
  glow_tensor_file *again = NULL;
  size_t size = 0;
  output.written = &size;
  PROMISE(glow_tensor_file_write_output(context, &output, before.tensors, before.count,
                                        before.metadata, before.pairs) == GLOW_OK);
  void *buffer = malloc(size);
  PROMISE(buffer);
  output.buffer = buffer;
  output.capacity = size;
  PROMISE(glow_tensor_file_write_output(context, &output, before.tensors, before.count,
                                        before.metadata, before.pairs) == GLOW_OK);
  input.data = buffer;
  input.size = (int64_t)size;
  PROMISE(glow_tensor_file_open_input(context, &input, &again) == GLOW_OK);
  contents after = list(again);
  PROMISE(same(&before, &after));
  free_contents(&before);
  free_contents(&after);
  glow_tensor_file_close(&again);
  free(buffer);
}

/* ---- the target ------------------------------------------------------------------------------ */

static glow_status open_it(const glow_input *input, size_t size, bool rewrite) {
  glow_tensor_file *file = NULL;
  fuzz_memory memory;
  glow_context *context = fuzz_context(&memory, 16 << 20);
  glow_status status = glow_tensor_file_open_input(context, input, &file);
  PROMISE((status == GLOW_OK) == (file != NULL));
  PROMISE(status != GLOW_E_MEMORY && status != GLOW_E_IO && status != GLOW_E_ARGUMENT);
  PROMISE(memory.peak <= BUDGET_BASE + BUDGET_PER_BYTE * size);
  if (file) {
    look_at_tensors(file);
    look_at_metadata(file);
    if (rewrite)
      write_again(context, file);
  } else {
    PROMISE(*glow_last_error());
  }
  glow_tensor_file_close(&file);
  fuzz_end(context, &memory);
  return status;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
  bytes b = {data, size};
  glow_input in_memory = GLOW_INPUT_INIT, called = GLOW_INPUT_INIT, limited = GLOW_INPUT_INIT;
  glow_limits limits = GLOW_LIMITS_INIT;
  in_memory.data = size ? data : (const uint8_t *)"";
  in_memory.size = (int64_t)size;
  called.read = read_bytes;
  called.payload = &b;
  called.size = (int64_t)size;
  called.flags = GLOW_INPUT_LAZY;
  glow_status status = open_it(&in_memory, size, true);
  PROMISE(open_it(&called, size, false) == status);
  limits.header_bytes = 1024;
  limits.tensors = 4;
  limits.rank = 2;
  limits.name_bytes = 16;
  limited = in_memory;
  limited.limits = &limits;
  glow_status under_limits = open_it(&limited, size, false);
  PROMISE(under_limits == status || under_limits == GLOW_E_LIMIT || status != GLOW_OK);
  return 0;
}
