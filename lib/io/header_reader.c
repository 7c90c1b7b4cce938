/* The header of a safetensors file: a JSON object of tensors and __metadata__. Nothing in it is
 * trusted: offsets must tile the data exactly, products are checked, names are unique.
 *
 * Memory is in proportion to the text. Members are parsed one at a time; a decoded string is never
 * longer than its text, so names and metadata are put back into the text, in front of the place
 * where the walk is. SPDX-License-Identifier: MIT */
#include <jansson.h>
#include <stdlib.h>
#include <string.h>

#include "io/io.h"

enum {
  ENTRY_TEXT = 1024,   /* dtype, 8 dimensions and 2 offsets need less */
  SHORTEST_ENTRY = 50, /* "a":{"dtype":"U8","shape":[],"data_offsets":[0,1]} */
  ESCAPED = 6          /* bytes of text that a byte of a name can take: \u0061 */
};

/* ---- one tensor ------------------------------------------------------------------------------ */

static glow_status read_type(const json_t *tensor, glow__entry *e) {
  const char *name = json_string_value(json_object_get(tensor, "dtype"));
  if (!name)
    return glow_error(GLOW_E_FORMAT, "tensor '%.100s' has no dtype", e->name);
  e->type = (int16_t)glow__type_of(name);
  if (!e->type)
    return glow_error(GLOW_E_FORMAT, "tensor '%.100s': dtype '%.20s' is not known", e->name, name);
  return GLOW_OK;
}

static glow_status read_shape(const json_t *tensor, int64_t most, glow__entry *e) {
  const json_t *shape = json_object_get(tensor, "shape");
  if (!json_is_array(shape))
    return glow_error(GLOW_E_FORMAT, "tensor '%.100s' has no shape", e->name);
  if (json_array_size(shape) > (size_t)most)
    return glow_error(GLOW_E_LIMIT,
                      "tensor '%.100s' has %zu dimensions; at most %lld are read (rank)", e->name,
                      json_array_size(shape), (long long)most);
  e->rank = (int16_t)json_array_size(shape);
  e->bytes = glow__type_size(e->type);
  for (int32_t i = 0; i < e->rank; i++) {
    const json_t *dim = json_array_get(shape, (size_t)i);
    if (!json_is_integer(dim) || json_integer_value(dim) < 0)
      return glow_error(GLOW_E_FORMAT, "tensor '%.100s': dimension %d is not a count", e->name, i);
    e->dims[i] = json_integer_value(dim);
    if (!glow_size_multiply(e->bytes, e->dims[i], &e->bytes))
      return glow_error(GLOW_E_FORMAT, "tensor '%.100s': its size does not fit 64 bits", e->name);
  }
  return GLOW_OK;
}

static glow_status read_offsets(const json_t *tensor, glow__entry *e) {
  const json_t *offsets = json_object_get(tensor, "data_offsets");
  const json_t *begin = json_array_get(offsets, 0), *end = json_array_get(offsets, 1);
  int64_t after = 0;
  if (json_array_size(offsets) != 2 || !json_is_integer(begin) || !json_is_integer(end))
    return glow_error(GLOW_E_FORMAT, "tensor '%.100s' has no pair of data_offsets", e->name);
  e->begin = json_integer_value(begin);
  if (e->begin < 0 || !glow_size_add(e->begin, e->bytes, &after) || after != json_integer_value(end))
    return glow_error(GLOW_E_FORMAT,
                      "tensor '%.100s': offsets %lld to %lld do not hold its %lld bytes", e->name,
                      (long long)e->begin, (long long)json_integer_value(end), (long long)e->bytes);
  return GLOW_OK;
}

static glow_status read_entry(const json_t *tensor, const glow_limits *limits, glow__entry *e) {
  if (!*e->name || strlen(e->name) > (size_t)limits->name_bytes)
    return glow_error(*e->name ? GLOW_E_LIMIT : GLOW_E_FORMAT,
                      "a tensor's name has %zu bytes; 1 to %lld are read (name_bytes)",
                      strlen(e->name), (long long)limits->name_bytes);
  if (!json_is_object(tensor) || json_object_size(tensor) != 3)
    return glow_error(GLOW_E_FORMAT,
                      "tensor '%.100s' is not an object of dtype, shape, data_offsets", e->name);
  GLOW_TRY(read_type(tensor, e));
  GLOW_TRY(read_shape(tensor, limits->rank, e));
  return read_offsets(tensor, e);
}

/* ---- the walk -------------------------------------------------------------------------------- */

typedef struct parsing {
  glow__header *header;
  const glow_limits *limits;
  glow__json_walk walk;
  int64_t capacity; /* of entries */
  char *pool;       /* metadata, decoded: key, NUL, value, NUL, ...; NULL: none so far */
  char *pool_end;
} parsing;

/* Puts a decoded string into the text at `to`, which lies before the end of its source. */
static char *keep(char *to, const json_t *string) {
  size_t bytes = json_string_length(string) + 1;
  memcpy(to, json_string_value(string), bytes);
  return to + bytes;
}

static glow_status read_metadata_value(parsing *p, const json_t *key) {
  json_t *value = NULL;
  glow_status status = glow__json_string(&p->walk, p->walk.size, &value);
  if (status != GLOW_OK)
    return glow__error_prefix(status, "__metadata__ key '%.100s'", json_string_value(key));
  p->pool_end = keep(keep(p->pool_end, key), value);
  p->header->metadata_count++;
  json_decref(value);
  return GLOW_OK;
}

static glow_status read_metadata(parsing *p) {
  glow__json_walk *walk = &p->walk;
  const bool begun = walk->begun;
  bool more = true;
  if (p->pool)
    return glow_error(GLOW_E_FORMAT, "header: duplicate __metadata__");
  if (glow__json_enter(walk, true) != GLOW_OK)
    return glow_error(GLOW_E_FORMAT, "__metadata__ is not an object");
  p->pool = p->pool_end = p->header->text + walk->at;
  for (;;) {
    json_t *key = NULL;
    GLOW_TRY(glow__json_next(walk, &more));
    if (!more)
      break;
    GLOW_TRY(glow__json_key(walk, walk->size, &key));
    glow_status status = read_metadata_value(p, key);
    json_decref(key);
    GLOW_TRY(status);
  }
  walk->begun = begun;
  return GLOW_OK;
}

/* `at`: where the key's text begins. */
static glow_status read_tensor(parsing *p, const json_t *key, int64_t at) {
  glow__header *header = p->header;
  json_t *tensor = NULL;
  if (header->count >= p->limits->tensors)
    return glow_error(GLOW_E_LIMIT,
                      "more than %lld tensors, at byte %lld of a header of %lld; no more are read "
                      "(tensors)",
                      (long long)p->limits->tensors, (long long)(8 + at), (long long)p->walk.size);
  if (header->count >= p->capacity) /* entries too short to be right come in front of this one */
    return glow_error(GLOW_E_FORMAT, "byte %lld: header: too many members", (long long)(8 + at));
  glow__entry *e = &header->entries[header->count];
  e->name = header->text + at;
  keep(header->text + at, key);
  glow_status status = glow__json_value(&p->walk, ENTRY_TEXT, &tensor);
  if (status != GLOW_OK)
    return glow__error_prefix(status, "tensor '%.100s'", e->name);
  status = read_entry(tensor, p->limits, e);
  json_decref(tensor);
  header->count += status == GLOW_OK;
  return status;
}

/* A name that is too long is not read to its end; the key of the metadata always is. */
static glow_status read_key(parsing *p, int64_t at, json_t **key) {
  const int64_t least = (int64_t)strlen("__metadata__"), most = p->limits->name_bytes;
  glow_status status = glow__json_key(&p->walk, ESCAPED * (most > least ? most : least) + 2, key);
  if (status == GLOW_E_FORMAT && p->walk.too_long)
    return glow_error(GLOW_E_LIMIT,
                      "byte %lld: a tensor's name has more than the %lld bytes that are read "
                      "(name_bytes)",
                      (long long)(8 + at), (long long)most);
  return status;
}

static glow_status read_member(parsing *p) {
  json_t *key = NULL;
  int64_t at = p->walk.at;
  while (p->header->text[at] != '"' && at + 1 < p->walk.size)
    at++; /* blanks */
  GLOW_TRY(read_key(p, at, &key));
  glow_status status = strcmp(json_string_value(key), "__metadata__") == 0
                           ? read_metadata(p)
                           : read_tensor(p, key, at);
  json_decref(key);
  return status;
}

static glow_status read_members(parsing *p) {
  bool more = true;
  GLOW_TRY(glow__json_enter(&p->walk, true));
  for (;;) {
    GLOW_TRY(glow__json_next(&p->walk, &more));
    if (!more)
      return glow__json_end(&p->walk);
    GLOW_TRY(read_member(p));
  }
}

/* ---- order, duplicates, tiling --------------------------------------------------------------- */

static int by_name(const void *a, const void *b) {
  return strcmp((*(const glow__entry *const *)a)->name, (*(const glow__entry *const *)b)->name);
}

static int by_offset(const void *a, const void *b) {
  const glow__entry *x = *(const glow__entry *const *)a, *y = *(const glow__entry *const *)b;
  if (x->begin != y->begin)
    return x->begin < y->begin ? -1 : 1;
  if (x->bytes != y->bytes) /* empty ones first */
    return x->bytes < y->bytes ? -1 : 1;
  return x < y ? -1 : x > y; /* in the order of the header */
}

static int by_text(const void *a, const void *b) {
  return strcmp(*(const char *const *)a, *(const char *const *)b);
}

static glow_status sort_entries(glow__header *header) {
  const size_t bytes = ((size_t)header->count + 1) * sizeof *header->by_name;
  header->by_offset = glow_allocate(header->context, bytes);
  header->by_name = header->by_offset ? glow_allocate(header->context, bytes) : NULL;
  if (!header->by_name)
    return GLOW_E_MEMORY;
  for (int64_t i = 0; i < header->count; i++)
    header->by_name[i] = header->by_offset[i] = &header->entries[i];
  qsort(header->by_offset, (size_t)header->count, sizeof *header->by_offset, by_offset);
  qsort(header->by_name, (size_t)header->count, sizeof *header->by_name, by_name);
  for (int64_t i = 0; i < header->count; i++)
    header->by_offset[i]->number = (int32_t)i;
  for (int64_t i = 1; i < header->count; i++)
    if (strcmp(header->by_name[i - 1]->name, header->by_name[i]->name) == 0)
      return glow_error(GLOW_E_FORMAT, "header: duplicate tensor '%.100s'",
                        header->by_name[i]->name);
  return GLOW_OK;
}

static glow_status sort_metadata(glow__header *header, const char *pool) {
  header->metadata = glow_allocate(header->context,
                                   ((size_t)header->metadata_count + 1) * sizeof *header->metadata);
  if (!header->metadata)
    return GLOW_E_MEMORY;
  for (int64_t i = 0; i < header->metadata_count; i++) {
    header->metadata[i] = pool;
    pool += strlen(pool) + 1; /* key */
    pool += strlen(pool) + 1; /* value */
  }
  qsort(header->metadata, (size_t)header->metadata_count, sizeof *header->metadata, by_text);
  for (int64_t i = 1; i < header->metadata_count; i++)
    if (strcmp(header->metadata[i - 1], header->metadata[i]) == 0)
      return glow_error(GLOW_E_FORMAT, "header: duplicate __metadata__ key '%.100s'",
                        header->metadata[i]);
  return GLOW_OK;
}

/* The first starts at 0, each where the last ended, the last ends at the end of the file. */
static glow_status check_tiling(const glow__header *header, int64_t data) {
  int64_t at = 0;
  for (int64_t i = 0; i < header->count; i++) {
    const glow__entry *e = header->by_offset[i];
    if (e->begin != at)
      return glow_error(GLOW_E_FORMAT,
                        "tensor '%.100s' starts at byte %lld of the data, not at %lld", e->name,
                        (long long)e->begin, (long long)at);
    if (e->bytes > data - at)
      return glow_error(GLOW_E_FORMAT,
                        "tensor '%.100s' ends at byte %lld of the data, which has %lld", e->name,
                        (long long)(at + e->bytes), (long long)data);
    at += e->bytes;
  }
  if (at != data)
    return glow_error(GLOW_E_FORMAT, "the tensors end at byte %lld of the data, which has %lld",
                      (long long)at, (long long)data);
  return GLOW_OK;
}

/* Real entries are longer than the shortest, for which there was room. */
static glow_status shrink(glow__header *header, int64_t capacity) {
  if (header->count > capacity / 2)
    return GLOW_OK;
  glow__entry *fewer = glow_allocate(header->context, ((size_t)header->count + 1) * sizeof *fewer);
  if (!fewer)
    return GLOW_E_MEMORY;
  memcpy(fewer, header->entries, (size_t)header->count * sizeof *fewer);
  glow_release(header->context, header->entries);
  header->entries = fewer;
  return GLOW_OK;
}

/* ---- the whole ------------------------------------------------------------------------------- */

glow_status glow__header_parse(glow_context *context, char *text, int64_t bytes, int64_t data_bytes,
                               const glow_limits *limits, glow__header *header) {
  parsing p = {.header = header, .limits = limits, .capacity = bytes / SHORTEST_ENTRY + 1};
  p.walk = (glow__json_walk){.text = text, .size = bytes, .what = "header", .base = 8};
  *header = (glow__header){.context = context, .text = text};
  if (bytes == 0 || text[0] != '{')
    return glow_error(GLOW_E_FORMAT, "byte 8: the header is not a JSON object");
  if (p.capacity > limits->tensors)
    p.capacity = limits->tensors;
  header->entries = glow_allocate(context, (size_t)p.capacity * sizeof *header->entries);
  if (!header->entries)
    return GLOW_E_MEMORY;
  GLOW_TRY(read_members(&p));
  GLOW_TRY(shrink(header, p.capacity));
  GLOW_TRY(sort_entries(header));
  GLOW_TRY(sort_metadata(header, p.pool));
  return check_tiling(header, data_bytes);
}

void glow__header_free(glow__header *header) {
  glow_release(header->context, header->metadata);
  glow_release(header->context, header->by_name);
  glow_release(header->context, header->by_offset);
  glow_release(header->context, header->entries);
  glow_release(header->context, header->text);
  *header = (glow__header){.context = NULL};
}

const glow__entry *glow__header_find(const glow__header *header, const char *name) {
  const glow__entry wanted = {.name = name}, *key = &wanted;
  glow__entry **found =
      bsearch(&key, header->by_name, (size_t)header->count, sizeof *header->by_name, by_name);
  return found ? *found : NULL;
}

const char *glow__header_metadata(const glow__header *header, const char *key) {
  const char **found = bsearch(&key, header->metadata, (size_t)header->metadata_count,
                               sizeof *header->metadata, by_text);
  return found ? *found + strlen(*found) + 1 : NULL;
}
