/* The header of a safetensors file: a JSON object of tensors and __metadata__. Nothing in it is
 * trusted: offsets must tile the data exactly, products are checked, names are unique.
 *
 * Memory is in proportion to the text: names and metadata stay in it, decoded in place.
 * SPDX-License-Identifier: MIT */
#include <stdlib.h>
#include <string.h>

#include "io/io.h"
#include "io/json.h"

enum { SHORTEST_ENTRY = 50 /* "a":{"dtype":"U8","shape":[],"data_offsets":[0,1]} */ };

/* ---- one tensor ------------------------------------------------------------------------------ */

/* What has been read of an entry; its members may come in any order. */
typedef struct members {
  bool dtype, shape, offsets;
  int64_t end; /* the second offset */
} members;

static glow_status read_type(glow__json *json, glow__entry *e) {
  const char *name = NULL;
  GLOW_TRY(glow__json_string(json, &name));
  if (!name)
    return glow_error(GLOW_E_FORMAT, "dtype is not a string");
  e->type = (int16_t)glow__type_of(name);
  return e->type ? GLOW_OK : glow_error(GLOW_E_FORMAT, "dtype '%.20s' is not known", name);
}

static glow_status read_shape(glow__json *json, int64_t most, glow__entry *e) {
  int64_t rank = 0;
  bool more = true;
  if (glow__json_peek(json) != '[')
    return glow_error(GLOW_E_FORMAT, "shape is not a list");
  GLOW_TRY(glow__json_enter(json, false));
  for (;; rank++) {
    glow__json_number dim;
    GLOW_TRY(glow__json_next(json, &more));
    if (!more)
      break;
    GLOW_TRY(glow__json_number_read(json, &dim));
    if (dim.kind != GLOW_JSON_WHOLE || dim.integer < 0)
      return glow_error(GLOW_E_FORMAT, "dimension %lld is not a count", (long long)rank);
    if (rank < most)
      e->dims[rank] = dim.integer;
  }
  if (rank > most)
    return glow_error(GLOW_E_LIMIT, "it has %lld dimensions; at most %lld are read (rank)",
                      (long long)rank, (long long)most);
  e->rank = (uint8_t)rank;
  return GLOW_OK;
}

static glow_status refuse_offsets(void) {
  return glow_error(GLOW_E_FORMAT, "data_offsets is not a pair of whole numbers");
}

static glow_status read_offsets(glow__json *json, glow__entry *e, int64_t *end) {
  int64_t offsets[2] = {0, 0};
  bool more = true;
  if (glow__json_peek(json) != '[')
    return refuse_offsets();
  GLOW_TRY(glow__json_enter(json, false));
  for (int32_t count = 0;; count++) {
    glow__json_number offset;
    GLOW_TRY(glow__json_next(json, &more));
    if (!more && count == 2)
      break;
    if (more)
      GLOW_TRY(glow__json_number_read(json, &offset));
    if (!more || count == 2 || offset.kind != GLOW_JSON_WHOLE)
      return refuse_offsets();
    offsets[count] = offset.integer;
  }
  e->begin = offsets[0];
  *end = offsets[1];
  return GLOW_OK;
}

static glow_status read_entry_member(glow__json *json, const char *key, const glow_limits *limits,
                                     members *m, glow__entry *e) {
  bool *has = strcmp(key, "dtype") == 0          ? &m->dtype
              : strcmp(key, "shape") == 0        ? &m->shape
              : strcmp(key, "data_offsets") == 0 ? &m->offsets
                                                 : NULL;
  if (!has)
    return glow_error(GLOW_E_FORMAT,
                      "it is not an object of dtype, shape, data_offsets: it has '%.100s'", key);
  if (*has)
    return glow_error(GLOW_E_FORMAT, "duplicate key '%s'", key);
  *has = true;
  return has == &m->dtype   ? read_type(json, e)
         : has == &m->shape ? read_shape(json, limits->rank, e)
                            : read_offsets(json, e, &m->end);
}

static glow_status check_entry(const members *m, glow__entry *e) {
  int64_t after = 0;
  if (!m->dtype || !m->shape || !m->offsets)
    return glow_error(GLOW_E_FORMAT, "it has no %s",
                      !m->dtype   ? "dtype"
                      : !m->shape ? "shape"
                                  : "data_offsets");
  e->size = (uint8_t)glow__type_size(e->type);
  e->bytes = e->size;
  for (int32_t i = 0; i < e->rank; i++)
    if (!glow_size_multiply(e->bytes, e->dims[i], &e->bytes))
      return glow_error(GLOW_E_FORMAT, "its size does not fit 64 bits");
  if (e->begin < 0 || !glow_size_add(e->begin, e->bytes, &after) || after != m->end)
    return glow_error(GLOW_E_FORMAT, "offsets %lld to %lld do not hold its %lld bytes",
                      (long long)e->begin, (long long)m->end, (long long)e->bytes);
  return GLOW_OK;
}

static glow_status read_entry(glow__json *json, const glow_limits *limits, glow__entry *e) {
  members m = {false, false, false, 0};
  if (glow__json_peek(json) != '{')
    return glow_error(GLOW_E_FORMAT, "it is not an object of dtype, shape, data_offsets");
  GLOW_TRY(glow__json_enter(json, true));
  for (;;) {
    const char *key = NULL;
    GLOW_TRY(glow__json_next_key(json, &key));
    if (!key)
      return check_entry(&m, e);
    GLOW_TRY(read_entry_member(json, key, limits, &m, e));
  }
}

/* ---- the walk -------------------------------------------------------------------------------- */

typedef struct parsing {
  glow__header *header;
  const glow_limits *limits;
  glow__json json;
  int64_t capacity; /* of entries */
  char *pool;       /* metadata: key, NUL, value, NUL, ...; NULL before any */
  char *pool_end;
} parsing;

/* Moves a decoded string to `to`, a place before it in the text. */
static char *header_reader_keep(char *to, const char *string) {
  size_t bytes = strlen(string) + 1;
  memmove(to, string, bytes);
  return to + bytes;
}

static glow_status read_metadata_pair(parsing *p) {
  const char *key = p->pool_end, *text = NULL;
  GLOW_TRY(glow__json_key(&p->json, &text));
  p->pool_end = header_reader_keep(p->pool_end, text);
  glow_status status = glow__json_string(&p->json, &text);
  if (status == GLOW_OK && !text)
    status = glow_error(GLOW_E_FORMAT, "byte %lld: header: a string expected",
                        (long long)(p->json.base + p->json.at));
  if (status != GLOW_OK)
    return glow__error_prefix(status, "__metadata__ key '%.100s'", key);
  p->pool_end = header_reader_keep(p->pool_end, text);
  p->header->metadata_count++;
  return GLOW_OK;
}

static glow_status read_metadata(parsing *p) {
  bool more = true;
  if (p->pool)
    return glow_error(GLOW_E_FORMAT, "header: duplicate __metadata__");
  if (glow__json_peek(&p->json) != '{')
    return glow_error(GLOW_E_FORMAT, "__metadata__ is not an object");
  GLOW_TRY(glow__json_enter(&p->json, true));
  p->pool = p->pool_end = p->header->text + p->json.at;
  for (;;) {
    GLOW_TRY(glow__json_next(&p->json, &more));
    if (!more)
      return GLOW_OK;
    GLOW_TRY(read_metadata_pair(p));
  }
}

static glow_status check_name(const char *name, int64_t most) {
  if (*name && strlen(name) <= (size_t)most)
    return GLOW_OK;
  return glow_error(*name ? GLOW_E_LIMIT : GLOW_E_FORMAT,
                    "a tensor's name has %zu bytes; 1 to %lld are read (name_bytes)", strlen(name),
                    (long long)most);
}

static glow_status header_reader_read_tensor(parsing *p, const char *name) {
  glow__header *header = p->header;
  const long long at = name - header->text + p->json.base;
  GLOW_TRY(check_name(name, p->limits->name_bytes));
  if (header->count >= p->limits->tensors)
    return glow_error(GLOW_E_LIMIT,
                      "more than %lld tensors, at byte %lld of a header of %lld; no more are read "
                      "(tensors)",
                      (long long)p->limits->tensors, at, (long long)p->json.size);
  if (header->count >= p->capacity) /* cannot happen while entries have the bytes that they need */
    return glow_error(GLOW_E_FORMAT, "byte %lld: header: too many members", at);
  glow__entry *e = &header->entries[header->count];
  e->name = name;
  glow_status status = read_entry(&p->json, p->limits, e);
  if (status != GLOW_OK)
    return glow__error_prefix(status, "tensor '%.100s'", name);
  header->count++;
  return GLOW_OK;
}

static glow_status read_members(parsing *p) {
  GLOW_TRY(glow__json_enter(&p->json, true));
  for (;;) {
    const char *key = NULL;
    GLOW_TRY(glow__json_next_key(&p->json, &key));
    if (!key)
      return glow__json_end(&p->json);
    GLOW_TRY(strcmp(key, "__metadata__") == 0 ? read_metadata(p)
                                              : header_reader_read_tensor(p, key));
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

static int header_reader_by_text(const void *a, const void *b) {
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
  glow__sort(header->by_offset, (size_t)header->count, sizeof *header->by_offset, by_offset);
  glow__sort(header->by_name, (size_t)header->count, sizeof *header->by_name, by_name);
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
  glow__sort(header->metadata, (size_t)header->metadata_count, sizeof *header->metadata,
             header_reader_by_text);
  for (int64_t i = 1; i < header->metadata_count; i++)
    if (strcmp(header->metadata[i - 1], header->metadata[i]) == 0)
      return glow_error(GLOW_E_FORMAT, "header: duplicate __metadata__ key '%.100s'",
                        header->metadata[i]);
  return GLOW_OK;
}

/* The first tensor starts at 0, each starts where the one before ended, and the last ends at the
 * end of the file. */
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

/* Real entries are longer than the shortest one, for which there was room. */
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
  p.json = (glow__json){.text = text, .size = bytes, .what = "header", .base = 8};
  *header = (glow__header){.context = context, .text = text};
  text[bytes] = '\0';
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
                               sizeof *header->metadata, header_reader_by_text);
  return found ? *found + strlen(*found) + 1 : NULL;
}
