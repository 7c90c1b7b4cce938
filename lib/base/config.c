/* A flat list of keys and values: the options of a layer or net as they stand in a file.
 * SPDX-License-Identifier: MIT */
#include <math.h>
#include <string.h>

#include "base/base.h"

struct glow_config {
  glow_context *context;
  glow__config_entry *entries;
  int32_t count;
  int32_t capacity;
};

glow_status glow__config_create(glow_context *context, glow_config **out) {
  *out = glow_allocate(context, sizeof **out);
  if (!*out)
    return GLOW_E_MEMORY;
  (*out)->context = context;
  return GLOW_OK;
}

void glow__config_destroy(glow_config **config) {
  if (!config || !*config)
    return;
  glow_context *context = (*config)->context;
  for (int32_t i = 0; i < (*config)->count; i++) {
    glow_release(context, (*config)->entries[i].key);
    glow_release(context, (*config)->entries[i].text);
  }
  glow_release(context, (*config)->entries);
  glow_release(context, *config);
  *config = NULL;
}

int32_t glow__config_count(const glow_config *config) {
  return config->count;
}

const glow__config_entry *glow__config_at(const glow_config *config, int32_t index) {
  return index >= 0 && index < config->count ? &config->entries[index] : NULL;
}

const char *glow__config_unasked(const glow_config *config) {
  for (int32_t i = 0; i < config->count; i++)
    if (!config->entries[i].asked)
      return config->entries[i].key;
  return NULL;
}

static glow__config_entry *find(const glow_config *config, const char *key) {
  for (int32_t i = 0; i < config->count; i++)
    if (strcmp(config->entries[i].key, key) == 0)
      return &config->entries[i];
  return NULL;
}

static glow_status grow(glow_config *config) {
  int64_t capacity = config->capacity ? 2 * (int64_t)config->capacity : 8;
  if (capacity > INT32_MAX)
    return glow_error(GLOW_E_LIMIT, "configuration: too many keys");
  glow__config_entry *entries = glow_allocate(config->context, (size_t)capacity * sizeof *entries);
  if (!entries)
    return GLOW_E_MEMORY;
  if (config->count)
    memcpy(entries, config->entries, (size_t)config->count * sizeof *entries);
  glow_release(config->context, config->entries);
  config->entries = entries;
  config->capacity = (int32_t)capacity;
  return GLOW_OK;
}

/* Sets `value` (its text copied, its key ignored) under `key`, in place of an older value. */
static glow_status set(glow_config *config, const char *key, const glow__config_entry *value) {
  if (!config || !key || !*key)
    return glow_error(GLOW_E_ARGUMENT, "configuration: no list or no key");
  glow__config_entry entry = *value;
  if (value->text) {
    entry.text = glow__strdup(config->context, value->text);
    if (!entry.text)
      return GLOW_E_MEMORY;
  }
  glow__config_entry *old = find(config, key);
  if (old) {
    entry.key = old->key;
    glow_release(config->context, old->text);
    *old = entry;
    return GLOW_OK;
  }
  glow_status status = config->count < config->capacity ? GLOW_OK : grow(config);
  entry.key = status == GLOW_OK ? glow__strdup(config->context, key) : NULL;
  if (!entry.key) {
    glow_release(config->context, entry.text);
    return status == GLOW_OK ? GLOW_E_MEMORY : status;
  }
  config->entries[config->count++] = entry;
  return GLOW_OK;
}

glow_status glow_config_set_int(glow_config *config, const char *key, int64_t value) {
  const glow__config_entry entry = {.type = GLOW_CONFIG_INT, .integer = value};
  return set(config, key, &entry);
}

/* JSON, where values end up, has no infinities. */
glow_status glow_config_set_real(glow_config *config, const char *key, double value) {
  if (!isfinite(value))
    return glow_error(GLOW_E_ARGUMENT, "configuration: '%s' is not finite", key ? key : "");
  const glow__config_entry entry = {.type = GLOW_CONFIG_REAL, .real = value};
  return set(config, key, &entry);
}

glow_status glow_config_set_text(glow_config *config, const char *key, const char *value) {
  if (!value)
    return glow_error(GLOW_E_ARGUMENT, "configuration: '%s' has no text", key ? key : "");
  const glow__config_entry entry = {.type = GLOW_CONFIG_TEXT, .text = (char *)(uintptr_t)value};
  return set(config, key, &entry);
}

/* *entry is NULL when the key is missing. */
static glow_status get(const glow_config *config, const char *key, int32_t type, const void *out,
                       const glow__config_entry **entry) {
  static const char *const names[] = {"", "an integer", "a real number", "text"};
  if (!config || !key || !out)
    return glow_error(GLOW_E_ARGUMENT, "configuration: NULL argument");
  glow__config_entry *found = find(config, key);
  *entry = found;
  if (found)
    found->asked = true;
  if (found && found->type != type)
    return glow_error(GLOW_E_FORMAT, "option '%s' is %s instead of %s", key, names[found->type],
                      names[type]);
  return GLOW_OK;
}

glow_status glow_config_get_int(const glow_config *config, const char *key, int64_t low,
                                int64_t high, int64_t *out) {
  const glow__config_entry *entry;
  GLOW_TRY(get(config, key, GLOW_CONFIG_INT, out, &entry));
  if (!entry)
    return GLOW_OK;
  if (entry->integer < low || entry->integer > high)
    return glow_error(GLOW_E_FORMAT, "option '%s' is %lld, outside [%lld, %lld]", key,
                      (long long)entry->integer, (long long)low, (long long)high);
  *out = entry->integer;
  return GLOW_OK;
}

glow_status glow_config_get_real(const glow_config *config, const char *key, double *out) {
  const glow__config_entry *entry;
  GLOW_TRY(get(config, key, GLOW_CONFIG_REAL, out, &entry));
  if (entry)
    *out = entry->real;
  return GLOW_OK;
}

glow_status glow_config_get_text(const glow_config *config, const char *key, const char **out) {
  const glow__config_entry *entry;
  GLOW_TRY(get(config, key, GLOW_CONFIG_TEXT, out, &entry));
  if (entry)
    *out = entry->text;
  return GLOW_OK;
}
