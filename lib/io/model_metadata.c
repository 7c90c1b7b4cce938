/* The model's own metadata in files: entries of __metadata__ whose keys begin with "model.".
 * SPDX-License-Identifier: MIT */
#include <string.h>

#include "host/host.h"
#include "io/io.h"

enum { PREFIX = sizeof GLOW_METADATA_PREFIX - 1 };

static const char *model_metadata_at(const glow_model *model, int32_t index, const char **value) {
  const char *key = "";
  glow_model_metadata_at(model, index, &key, value);
  return key;
}

glow_status glow__model_metadata_list(const glow_model *model, const char **pairs, char **keys) {
  const int32_t count = glow_model_metadata_count(model);
  size_t bytes = 0;
  for (int32_t i = 0; i < count; i++)
    bytes += PREFIX + strlen(model_metadata_at(model, i, NULL)) + 1;
  if (count && !(*keys = glow_allocate(glow__model_context(model), bytes)))
    return GLOW_E_MEMORY;
  char *at = *keys;
  for (int32_t i = 0; i < count; i++) {
    const char *key = model_metadata_at(model, i, &pairs[2 * i + 1]);
    size_t length = strlen(key) + 1;
    memcpy(at, GLOW_METADATA_PREFIX, PREFIX);
    memcpy(at + PREFIX, key, length);
    pairs[2 * i] = at;
    at += PREFIX + length;
  }
  return GLOW_OK;
}

/* The entry's key without its prefix, and its value; NULL: it is of another kind. */
static const char *model_metadata_entry(const glow_tensor_file *file, int64_t index,
                                        const char **value) {
  const char *key = "";
  glow_tensor_file_metadata_at(file, index, &key, value);
  return strncmp(key, GLOW_METADATA_PREFIX, PREFIX) == 0 ? key + PREFIX : NULL;
}

glow_status glow__model_metadata_check(const glow_tensor_file *file, int64_t most) {
  size_t bytes = 0;
  int32_t count = 0;
  for (int64_t i = 0; i < glow_tensor_file_metadata_count(file); i++) {
    const char *value = "", *key = model_metadata_entry(file, i, &value);
    if (!key)
      continue;
    if (!*key || strlen(key) > GLOW_METADATA_KEY_BYTES)
      return glow_error(GLOW_E_FORMAT,
                        "__metadata__ key '" GLOW_METADATA_PREFIX "%.40s' has %zu bytes after "
                        "'" GLOW_METADATA_PREFIX "'; there must be 1 to %d",
                        key, strlen(key), GLOW_METADATA_KEY_BYTES);
    bytes += strlen(key) + strlen(value);
    if (++count > GLOW_METADATA_ENTRIES)
      return glow_error(GLOW_E_LIMIT, "more than %d entries of the model's own metadata",
                        GLOW_METADATA_ENTRIES);
  }
  if (bytes > (size_t)most)
    return glow_error(GLOW_E_LIMIT,
                      "the model's own metadata has %zu bytes; at most %lld are read "
                      "(metadata_bytes)",
                      bytes, (long long)most);
  return GLOW_OK;
}

glow_status glow__model_metadata_read(const glow_tensor_file *file, glow_model *model) {
  for (int64_t i = 0; i < glow_tensor_file_metadata_count(file); i++) {
    const char *value = "", *key = model_metadata_entry(file, i, &value);
    if (key)
      GLOW_TRY(glow_model_set_metadata(model, key, value));
  }
  return GLOW_OK;
}
