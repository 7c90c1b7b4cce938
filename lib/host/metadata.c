/* What a model says of itself to people: texts under keys, such as the names of its classes, which
 * go with it into files and copies. SPDX-License-Identifier: MIT */
#include <stdio.h>
#include <string.h>

#include "host/model.h"

struct glow__metadata {
  glow__metadata *next; /* in the order of the keys' bytes */
  const char *value;    /* behind the key, in the same block */
  char key[];
};

static size_t metadata_bytes(const glow__metadata *entry) {
  return strlen(entry->key) + strlen(entry->value);
}

/* The link to the entry of this key, or to where it would be. */
static glow__metadata **metadata_link(const glow_model *model, const char *key) {
  glow__metadata **link = &((glow_model *)(uintptr_t)model)->metadata;
  while (*link && strcmp((*link)->key, key) < 0)
    link = &(*link)->next;
  return link;
}

static const glow__metadata *metadata_find(const glow_model *model, const char *key) {
  const glow__metadata *entry = *metadata_link(model, key);
  return entry && strcmp(entry->key, key) == 0 ? entry : NULL;
}

/* ---- checks ---------------------------------------------------------------------------------- */

static glow_status metadata_check_texts(const char *key, const char *value) {
  if (!*key || strlen(key) > GLOW_METADATA_KEY_BYTES || !glow__is_utf8(key))
    return glow_error(GLOW_E_ARGUMENT,
                      "metadata: a key of %zu bytes; it must be UTF-8 of 1 to %d bytes",
                      strlen(key), GLOW_METADATA_KEY_BYTES);
  if (value && !glow__is_utf8(value))
    return glow_error(GLOW_E_ARGUMENT, "metadata '%s': the value is not UTF-8", key);
  return GLOW_OK;
}

/* That there is room for this entry once the one of its key has gone. */
static glow_status metadata_check_room(const glow_model *model, const char *key,
                                       const char *value) {
  const glow__metadata *old = metadata_find(model, key);
  size_t count = old ? 0 : 1, bytes = strlen(key) + strlen(value);
  for (const glow__metadata *e = model->metadata; e; e = e->next) {
    count++;
    bytes += e == old ? 0 : metadata_bytes(e);
  }
  if (count <= GLOW_METADATA_ENTRIES && bytes <= GLOW_METADATA_BYTES)
    return GLOW_OK;
  return glow_error(GLOW_E_LIMIT,
                    "metadata '%s': the model would have %zu entries of %zu bytes; at most %d of "
                    "%d may be",
                    key, count, bytes, GLOW_METADATA_ENTRIES, GLOW_METADATA_BYTES);
}

/* ---- changes --------------------------------------------------------------------------------- */

static glow__metadata *metadata_new(glow_context *context, const char *key, const char *value) {
  size_t key_bytes = strlen(key) + 1, value_bytes = strlen(value) + 1;
  glow__metadata *entry = glow_allocate(context, sizeof *entry + key_bytes + value_bytes);
  if (!entry)
    return NULL;
  memcpy(entry->key, key, key_bytes);
  entry->value = memcpy(entry->key + key_bytes, value, value_bytes);
  return entry;
}

static void metadata_remove(glow_model *model, const char *key) {
  glow__metadata **link = metadata_link(model, key), *entry = *link;
  if (!entry || strcmp(entry->key, key) != 0)
    return;
  *link = entry->next;
  glow_release(model->context, entry);
}

glow_status glow_model_set_metadata(glow_model *model, const char *key, const char *value) {
  GLOW_LIVE(model, MODEL);
  if (!model || !key)
    return glow_error(GLOW_E_ARGUMENT, "glow_model_set_metadata: NULL argument");
  GLOW_TRY(metadata_check_texts(key, value));
  if (value) {
    GLOW_TRY(metadata_check_room(model, key, value));
    glow__metadata *entry = metadata_new(model->context, key, value);
    if (!entry)
      return GLOW_E_MEMORY;
    metadata_remove(model, key); /* `key` and `value` may be a part of it, and are copied */
    glow__metadata **link = metadata_link(model, entry->key);
    entry->next = *link;
    *link = entry;
    return GLOW_OK;
  }
  metadata_remove(model, key);
  return GLOW_OK;
}

glow_status glow__metadata_copy(glow_model *model, const glow_model *from) {
  for (const glow__metadata *e = from->metadata; e; e = e->next)
    GLOW_TRY(glow_model_set_metadata(model, e->key, e->value));
  return GLOW_OK;
}

void glow__metadata_free(glow_model *model) {
  while (model->metadata) {
    glow__metadata *next = model->metadata->next;
    glow_release(model->context, model->metadata);
    model->metadata = next;
  }
}

/* ---- questions ------------------------------------------------------------------------------- */

const char *glow_model_metadata(const glow_model *model, const char *key) {
  GLOW_LIVE_OR(model, MODEL, NULL);
  const glow__metadata *entry = model && key ? metadata_find(model, key) : NULL;
  return entry ? entry->value : NULL;
}

int32_t glow_model_metadata_count(const glow_model *model) {
  GLOW_LIVE_OR(model, MODEL, 0);
  int32_t count = 0;
  for (const glow__metadata *e = model ? model->metadata : NULL; e; e = e->next)
    count++;
  return count;
}

glow_status glow_model_metadata_at(const glow_model *model, int32_t index, const char **key,
                                   const char **value) {
  GLOW_LIVE(model, MODEL);
  const glow__metadata *entry = model && index >= 0 ? model->metadata : NULL;
  for (int32_t i = 0; entry && i < index; i++)
    entry = entry->next;
  if (!entry)
    return glow_error(GLOW_E_ARGUMENT, "the model has no metadata entry %d", (int)index);
  if (key)
    *key = entry->key;
  if (value)
    *value = entry->value;
  return GLOW_OK;
}

/* ---- names of classes ------------------------------------------------------------------------ */

/* Bytes of all names with a line feed behind each, or a NUL behind the last; 0: one cannot be in
 * such a text. */
static size_t class_names_bytes(const char *const *names, int32_t count) {
  size_t bytes = 0;
  for (int32_t i = 0; i < count; i++) {
    if (!names[i] || !*names[i] || strchr(names[i], '\n'))
      return 0;
    bytes += strlen(names[i]) + 1;
  }
  return bytes;
}

static glow_status class_names_join(glow_model *model, const char *const *names, size_t bytes) {
  char *text = glow_allocate(model->context, bytes), *at = text;
  if (!text)
    return GLOW_E_MEMORY;
  for (int32_t i = 0; i < model->classes; i++) {
    size_t length = strlen(names[i]);
    memcpy(at, names[i], length);
    at += length;
    *at++ = '\n';
  }
  at[-1] = '\0';
  glow_status status = glow_model_set_metadata(model, GLOW_METADATA_CLASS_NAMES, text);
  glow_release(model->context, text);
  return status;
}

glow_status glow_model_set_class_names(glow_model *model, const char *const *names, int32_t count) {
  GLOW_LIVE(model, MODEL);
  if (!model || !names)
    return glow_error(GLOW_E_ARGUMENT, "glow_model_set_class_names: NULL argument");
  if (count != model->classes || !count)
    return glow_error(GLOW_E_ARGUMENT, "%d names of classes; the model has %d classes", (int)count,
                      (int)model->classes);
  size_t bytes = class_names_bytes(names, count);
  if (!bytes)
    return glow_error(GLOW_E_ARGUMENT,
                      "a name of a class is NULL, empty, or has more than one line");
  return class_names_join(model, names, bytes);
}

/* Start of line `index` of a text; NULL if it has fewer. */
static const char *class_names_line(const char *text, int32_t index) {
  for (int32_t i = 0; text && i < index; i++) {
    text = strchr(text, '\n');
    text = text ? text + 1 : NULL;
  }
  return text;
}

glow_status glow_model_class_name(const glow_model *model, int32_t label, char *out, size_t size) {
  GLOW_LIVE(model, MODEL);
  if (!model || !out || !size)
    return glow_error(GLOW_E_ARGUMENT, "glow_model_class_name: NULL argument, or size 0");
  *out = '\0';
  if (label < 0 || label >= model->classes)
    return glow_error(GLOW_E_ARGUMENT, "label %d; the model has %d classes", (int)label,
                      (int)model->classes);
  const char *line = class_names_line(glow_model_metadata(model, GLOW_METADATA_CLASS_NAMES), label);
  if (!line || !*line || *line == '\n')
    return glow_error(GLOW_E_NOT_FOUND, "class %d has no name in the model's metadata", (int)label);
  size_t length = strcspn(line, "\n");
  if (length >= size)
    return glow_error(GLOW_E_LIMIT, "the name of class %d takes %zu bytes; there are %zu",
                      (int)label, length + 1, size);
  memcpy(out, line, length);
  out[length] = '\0';
  return GLOW_OK;
}
