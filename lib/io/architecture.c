/* The architecture of a model as JSON text, for the metadata of its file:
 *   {"input": [H, W, C], "bits": 8, "initialised": true,
 *    "layers": [{"name": "level0.squeeze", "type": "squeeze", "options": {...}}, ...]}
 * SPDX-License-Identifier: MIT */
#include <jansson.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "io/io.h"
#include "model/model.h"

enum { MAX_LAYERS = 16384 }; /* names are compared pair by pair */

/* ---- writing --------------------------------------------------------------------------------- */

static json_t *option_to_json(const glow__config_entry *e) {
  switch (e->type) {
  case GLOW_CONFIG_INT: return json_integer(e->integer);
  case GLOW_CONFIG_REAL: return json_real(e->real); /* NULL when not finite */
  default: return json_string(e->text);
  }
}

static json_t *options_to_json(const glow_config *config) {
  json_t *object = json_object();
  for (int32_t i = 0; object && i < glow__config_count(config); i++) {
    const glow__config_entry *e = glow__config_at(config, i);
    if (json_object_set_new(object, e->key, option_to_json(e)) != 0) {
      json_decref(object);
      return NULL;
    }
  }
  return object;
}

static glow_status layer_to_json(const glow_model *model, int32_t index, json_t *layers) {
  glow_config *config = NULL;
  GLOW_TRY(glow__config_create(glow__model_context(model), &config));
  glow_status status = glow__model_save_layer(model, index, config);
  if (status == GLOW_OK) {
    json_t *layer =
        json_pack("{s:s, s:s, s:o}", "name", glow_model_layer_name(model, index), "type",
                  glow_model_layer_type(model, index), "options", options_to_json(config));
    if (!layer || json_array_append_new(layers, layer) != 0)
      status = glow_error(GLOW_E_MEMORY, "no memory for the options of layer '%s'",
                          glow_model_layer_name(model, index));
  }
  glow__config_destroy(&config);
  return status;
}

static glow_status layers_to_json(const glow_model *model, json_t *layers) {
  if (!layers)
    return glow_error(GLOW_E_MEMORY, "no memory for the architecture");
  for (int32_t i = 0; i < glow_model_layer_count(model); i++)
    GLOW_TRY(layer_to_json(model, i, layers));
  return GLOW_OK;
}

/* jansson's text, moved to the context's memory. */
static glow_status dump(const glow_model *model, json_t *root, char **out) {
  char *text = root ? json_dumps(root, JSON_COMPACT) : NULL;
  if (!text)
    return glow_error(GLOW_E_MEMORY, "no memory for the architecture");
  *out = glow__strdup(glow__model_context(model), text);
  free(text);
  return *out ? GLOW_OK : GLOW_E_MEMORY;
}

glow_status glow__architecture_write(const glow_model *model, char **out) {
  glow_shape input;
  *out = NULL;
  GLOW_TRY(glow_model_input_shape(model, &input));
  json_t *layers = json_array();
  glow_status status = layers_to_json(model, layers);
  if (status != GLOW_OK) {
    json_decref(layers);
    return status;
  }
  json_t *root = json_pack("{s:[I, I, I], s:i, s:b, s:o}", "input", (json_int_t)input.height,
                           (json_int_t)input.width, (json_int_t)input.channels, "bits",
                           (int)glow_model_bits(model), "initialised",
                           (int)glow_model_initialised(model), "layers", layers);
  status = dump(model, root, out);
  json_decref(root);
  return status;
}

/* ---- reading --------------------------------------------------------------------------------- */

static glow_status option_from_json(const char *key, const json_t *value, glow_config *config) {
  if (json_is_integer(value))
    return glow_config_set_int(config, key, json_integer_value(value));
  if (json_is_real(value))
    return glow_config_set_real(config, key, json_real_value(value));
  if (json_is_string(value))
    return glow_config_set_text(config, key, json_string_value(value));
  return glow_error(GLOW_E_FORMAT, "option '%.100s' is neither a number nor a text", key);
}

static glow_status options_from_json(json_t *options, glow_config *config) {
  const char *key;
  json_t *value;
  if (!json_is_object(options) || json_object_size(options) > 1000)
    return glow_error(GLOW_E_FORMAT, "there is no object of at most 1000 options");
  json_object_foreach(options, key, value) GLOW_TRY(option_from_json(key, value, config));
  return GLOW_OK;
}

static glow_status make_layer(glow_context *context, const char *type, json_t *options,
                              glow_layer **out) {
  glow_config *config = NULL;
  GLOW_TRY(glow__config_create(context, &config));
  glow_status status = options_from_json(options, config);
  if (status == GLOW_OK)
    status = glow__registry_make_layer(context, type, config, out);
  glow__config_destroy(&config);
  return status;
}

static glow_status add_layer(glow_context *context, glow_builder *builder, const json_t *layer,
                             size_t index) {
  const char *name = json_string_value(json_object_get(layer, "name"));
  const char *type = json_string_value(json_object_get(layer, "type"));
  glow_layer *made = NULL;
  if (!name || !type)
    return glow_error(GLOW_E_FORMAT, "layer %zu has no name or no type", index);
  glow_status status = make_layer(context, type, json_object_get(layer, "options"), &made);
  if (status != GLOW_OK)
    return glow__error_prefix(status, "layer '%.200s'", name);
  return glow_builder_add(builder, name, &made);
}

static glow_status read_shape(const json_t *root, glow_shape *shape) {
  const json_t *input = json_object_get(root, "input");
  int64_t values[3];
  if (json_array_size(input) != 3)
    return glow_error(GLOW_E_FORMAT, "input is not [height, width, channels]");
  for (size_t i = 0; i < 3; i++) {
    const json_t *value = json_array_get(input, i);
    if (!json_is_integer(value) || json_integer_value(value) < 1)
      return glow_error(GLOW_E_FORMAT, "input is not [height, width, channels]");
    values[i] = json_integer_value(value);
  }
  *shape = (glow_shape){values[0], values[1], values[2]};
  return GLOW_OK;
}

static glow_status start(glow_context *context, const json_t *root, glow_builder **out,
                         bool *initialised) {
  glow_builder_options options = GLOW_BUILDER_OPTIONS_INIT;
  const json_t *bits = json_object_get(root, "bits");
  const json_t *state = json_object_get(root, "initialised");
  glow_shape shape;
  GLOW_TRY(read_shape(root, &shape));
  if (!json_is_integer(bits) || json_integer_value(bits) < 0 || json_integer_value(bits) > 8)
    return glow_error(GLOW_E_FORMAT, "bits is not 0 to 8");
  if (!json_is_boolean(state))
    return glow_error(GLOW_E_FORMAT, "initialised is neither true nor false");
  *initialised = json_is_true(state);
  options.bits = (int32_t)json_integer_value(bits);
  return glow_builder_create(context, &shape, &options, out);
}

static glow_status add_layers(glow_context *context, const json_t *root, glow_builder *builder) {
  const json_t *layers = json_object_get(root, "layers");
  if (!json_is_array(layers) || json_array_size(layers) > MAX_LAYERS)
    return glow_error(GLOW_E_FORMAT, "layers is not a list of at most %d", MAX_LAYERS);
  for (size_t i = 0; i < json_array_size(layers); i++)
    GLOW_TRY(add_layer(context, builder, json_array_get(layers, i), i));
  return GLOW_OK;
}

glow_status glow__architecture_read(glow_context *context, const char *text, glow_builder **out,
                                    bool *initialised) {
  json_error_t error;
  *out = NULL;
  json_t *root = json_loads(text, JSON_REJECT_DUPLICATES, &error);
  if (!root)
    return glow_error(json_error_code(&error) == json_error_out_of_memory ? GLOW_E_MEMORY
                                                                          : GLOW_E_FORMAT,
                      "byte %d: %s", error.position, error.text);
  glow_status status = start(context, root, out, initialised);
  if (status == GLOW_OK)
    status = add_layers(context, root, *out);
  json_decref(root);
  if (status != GLOW_OK)
    glow_builder_destroy(out);
  /* whatever is wrong with it, the file is */
  return status == GLOW_E_MEMORY || status == GLOW_OK ? status : GLOW_E_FORMAT;
}
