/* A flat list of keys and values: the options of a layer as a file has them. A part of a
 * layer, such as a net, sees it through a view that puts "PREFIX." in front of every key.
 * SPDX-License-Identifier: MIT */
#include <math.h>
#include <stdio.h>
#include <string.h>

#include "base/base.h"

/* What all views of a list share. */
typedef struct glow__config_list {
  glow_context *context;
  glow__config_entry *entries;
  int32_t count;
  int32_t capacity;
} list;

glow_status glow__config_create(glow_context *context, glow__config *out) {
  *out = (glow__config){.list = glow_allocate(context, sizeof(list))};
  if (!out->list)
    return GLOW_E_MEMORY;
  out->list->context = context;
  return GLOW_OK;
}

void glow__config_destroy(glow__config *config) {
  if (!config->list)
    return;
  glow_context *context = config->list->context;
  for (int32_t i = 0; i < config->list->count; i++) {
    glow_release(context, config->list->entries[i].key);
    glow_release(context, config->list->entries[i].text);
  }
  glow_release(context, config->list->entries);
  glow_release(context, config->list);
  config->list = NULL;
}

glow__config glow__config_view(const glow__config *config, const char *prefix) {
  glow__config view = {config->list, ""};
  size_t used = strlen(config->prefix), more = strlen(prefix);
  if (used + more + 2 > sizeof view.prefix) /* prefixes are checked to be short */
    more = sizeof view.prefix - used - 2;
  memcpy(view.prefix, config->prefix, used);
  memcpy(view.prefix + used, prefix, more);
  memcpy(view.prefix + used + more, ".", 2);
  return view;
}

glow_context *glow__config_context(const glow__config *config) {
  return config->list->context;
}

int32_t glow__config_count(const glow__config *config) {
  return config->list->count;
}

const glow__config_entry *glow__config_at(const glow__config *config, int32_t index) {
  return index >= 0 && index < config->list->count ? &config->list->entries[index] : NULL;
}

const char *glow__config_unasked(const glow__config *config) {
  for (int32_t i = 0; i < config->list->count; i++)
    if (!config->list->entries[i].asked)
      return config->list->entries[i].key;
  return NULL;
}

static glow__config_entry *config_find(const glow__config *config, const char *key) {
  size_t length = strlen(config->prefix);
  for (int32_t i = 0; i < config->list->count; i++) {
    glow__config_entry *e = &config->list->entries[i];
    if (strncmp(e->key, config->prefix, length) == 0 && strcmp(e->key + length, key) == 0)
      return e;
  }
  return NULL;
}

/* The key with the prefix before it, in memory of the context. */
static char *whole_key(const glow__config *config, const char *key) {
  size_t size = strlen(config->prefix) + strlen(key) + 1;
  char *whole = glow_allocate(config->list->context, size);
  if (whole)
    snprintf(whole, size, "%s%s", config->prefix, key);
  return whole;
}

static glow_status config_grow(glow__config *config) {
  int64_t capacity = config->list->capacity ? 2 * (int64_t)config->list->capacity : 8;
  if (capacity > INT32_MAX)
    return glow_error(GLOW_E_LIMIT, "configuration: too many keys");
  glow__config_entry *entries =
      glow_allocate(config->list->context, (size_t)capacity * sizeof *entries);
  if (!entries)
    return GLOW_E_MEMORY;
  if (config->list->count)
    memcpy(entries, config->list->entries, (size_t)config->list->count * sizeof *entries);
  glow_release(config->list->context, config->list->entries);
  config->list->entries = entries;
  config->list->capacity = (int32_t)capacity;
  return GLOW_OK;
}

/* Sets `value` (its text copied, its key ignored) under `key`, in place of an older value. */
static glow_status config_set(glow__config *config, const char *key,
                              const glow__config_entry *value) {
  if (!config || !key || !*key)
    return glow_error(GLOW_E_ARGUMENT, "configuration: no list or no key");
  if (!glow__is_utf8(key) || (value->text && !glow__is_utf8(value->text)))
    return glow_error(GLOW_E_ARGUMENT, "configuration: '%.100s' or its text is not UTF-8", key);
  glow__config_entry entry = *value;
  if (value->text) {
    entry.text = glow__strdup(config->list->context, value->text);
    if (!entry.text)
      return GLOW_E_MEMORY;
  }
  glow__config_entry *old = config_find(config, key);
  if (old) {
    entry.key = old->key;
    glow_release(config->list->context, old->text);
    *old = entry;
    return GLOW_OK;
  }
  glow_status status = config->list->count < config->list->capacity ? GLOW_OK : config_grow(config);
  entry.key = status == GLOW_OK ? whole_key(config, key) : NULL;
  if (!entry.key) {
    glow_release(config->list->context, entry.text);
    return status == GLOW_OK ? GLOW_E_MEMORY : status;
  }
  config->list->entries[config->list->count++] = entry;
  return GLOW_OK;
}

glow_status glow__config_set_int(glow__config *config, const char *key, int64_t value) {
  const glow__config_entry entry = {.type = GLOW_CONFIG_INT, .integer = value};
  return config_set(config, key, &entry);
}

/* JSON, where values end up, has no infinities and no NaN. */
glow_status glow__config_set_real(glow__config *config, const char *key, double value) {
  if (!isfinite(value))
    return glow_error(GLOW_E_ARGUMENT, "configuration: '%s' is not finite", key ? key : "");
  const glow__config_entry entry = {.type = GLOW_CONFIG_REAL, .real = value};
  return config_set(config, key, &entry);
}

glow_status glow__config_set_text(glow__config *config, const char *key, const char *value) {
  if (!value)
    return glow_error(GLOW_E_ARGUMENT, "configuration: '%s' has no text", key ? key : "");
  const glow__config_entry entry = {.type = GLOW_CONFIG_TEXT, .text = (char *)(uintptr_t)value};
  return config_set(config, key, &entry);
}

/* *entry is NULL when the key is missing. */
static glow_status config_get(const glow__config *config, const char *key, int32_t type,
                              const void *out, const glow__config_entry **entry) {
  static const char *const names[] = {"", "an integer", "a real number", "text"};
  if (!config || !key || !out)
    return glow_error(GLOW_E_ARGUMENT, "configuration: NULL argument");
  glow__config_entry *found = config_find(config, key);
  *entry = found;
  if (found)
    found->asked = true;
  if (found && found->type != type)
    return glow_error(GLOW_E_FORMAT, "option '%s%s' is %s instead of %s", config->prefix, key,
                      names[found->type], names[type]);
  return GLOW_OK;
}

glow_status glow__config_get_int(const glow__config *config, const char *key, int64_t low,
                                 int64_t high, int64_t *out) {
  const glow__config_entry *entry;
  GLOW_TRY(config_get(config, key, GLOW_CONFIG_INT, out, &entry));
  if (!entry)
    return GLOW_OK;
  if (entry->integer < low || entry->integer > high)
    return glow_error(GLOW_E_FORMAT, "option '%s%s' is %lld; it must be %lld to %lld",
                      config->prefix, key, (long long)entry->integer, (long long)low,
                      (long long)high);
  *out = entry->integer;
  return GLOW_OK;
}

glow_status glow__config_get_real(const glow__config *config, const char *key, double *out) {
  const glow__config_entry *entry;
  GLOW_TRY(config_get(config, key, GLOW_CONFIG_REAL, out, &entry));
  if (entry)
    *out = entry->real;
  return GLOW_OK;
}

glow_status glow__config_get_text(const glow__config *config, const char *key, const char **out) {
  const glow__config_entry *entry;
  GLOW_TRY(config_get(config, key, GLOW_CONFIG_TEXT, out, &entry));
  if (entry)
    *out = entry->text;
  return GLOW_OK;
}
