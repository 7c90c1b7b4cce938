/* The architecture of a model as JSON text, for the metadata of its file:
 *   {"input": [H, W, C], "bits": 8, "initialised": true,
 *    "layers": [{"name": "level0.squeeze", "type": "squeeze", "options": {...}}, ...]}
 * It is read twice: once to see that it is well formed and where its members are, once to build;
 * only one layer at a time is a tree. SPDX-License-Identifier: MIT */
#include <jansson.h>
#include <stdlib.h>
#include <string.h>

#include "io/io.h"
#include "host/host.h"

enum {
  LAYER_TEXT = 1 << 16, /* bytes of a layer */
  VALUE_TEXT = 1024,    /* of anything else */
  KEY_TEXT = 1024,
  MAX_OPTIONS = 1000
};

/* ---- writing --------------------------------------------------------------------------------- */

static json_t *option_to_json(const glow__config_entry *e) {
  switch (e->type) {
  case GLOW_CONFIG_INT: return json_integer(e->integer);
  case GLOW_CONFIG_REAL: return json_real(e->real); /* NULL when not finite */
  default: return json_string(e->text);
  }
}

static json_t *options_to_json(const glow__config *config) {
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

static glow_status put_layer(const glow_model *model, int32_t index, const glow__config *config,
                             glow__text *out) {
  const char *name = glow_model_layer_name(model, index);
  json_t *layer =
      json_pack("{s:s, s:s, s:o}", "name", name, "type", glow_model_layer_type(model, index),
                "options", options_to_json(config));
  char *text = layer ? json_dumps(layer, JSON_COMPACT) : NULL;
  json_decref(layer);
  if (!text)
    return glow_error(GLOW_E_MEMORY, "layer '%s': no memory for its options, or they are not UTF-8",
                      name);
  if (strlen(text) > LAYER_TEXT || glow__config_count(config) > MAX_OPTIONS)
    out->status = glow_error(
        GLOW_E_LIMIT, "layer '%s': %zu bytes and %d options; at most %d and %d can be read", name,
        strlen(text), glow__config_count(config), LAYER_TEXT, MAX_OPTIONS);
  glow__text_put(out, index ? "," : "");
  glow__text_put(out, text);
  free(text);
  return out->status;
}

static glow_status layer_to_text(const glow_model *model, int32_t index, glow__text *out) {
  glow__config config = {.list = NULL};
  GLOW_TRY(glow__config_create(glow__model_context(model), &config));
  glow_status status = glow__model_save_layer(model, index, &config);
  if (status == GLOW_OK)
    status = put_layer(model, index, &config, out);
  glow__config_destroy(&config);
  return status;
}

static glow_status model_to_text(const glow_model *model, glow__text *out) {
  glow_shape input;
  GLOW_TRY(glow_model_input_shape(model, &input));
  const int64_t sides[] = {input.height, input.width, input.channels};
  for (int i = 0; i < 3; i++) {
    glow__text_put(out, i ? "," : "{\"input\":[");
    glow__text_number(out, sides[i]);
  }
  glow__text_put(out, "],\"bits\":");
  glow__text_number(out, glow_model_bits(model));
  glow__text_put(out, ",\"initialised\":");
  glow__text_put(out, glow_model_initialised(model) ? "true" : "false");
  glow__text_put(out, ",\"layers\":[");
  for (int32_t i = 0; i < glow_model_layer_count(model); i++)
    GLOW_TRY(layer_to_text(model, i, out));
  glow__text_put(out, "]}");
  return out->status;
}

glow_status glow__architecture_write(const glow_model *model, char **out) {
  glow__text text = {.context = glow__model_context(model), .status = GLOW_OK};
  glow_status status = model_to_text(model, &text);
  *out = text.bytes;
  if (status != GLOW_OK) {
    glow_release(text.context, text.bytes);
    *out = NULL;
  }
  return status;
}

/* ---- reading: what stands where -------------------------------------------------------------- */

/* The members of the outermost object. */
typedef struct outline {
  glow_shape input;
  int32_t bits;
  bool initialised;
  glow__json_walk layers; /* at the array */
  int64_t layer_count;
  bool has_input, has_bits, has_initialised, has_layers;
} outline;

static glow_status read_input(const json_t *input, outline *o) {
  int64_t values[3];
  bool ok = json_array_size(input) == 3;
  for (size_t i = 0; ok && i < 3; i++) {
    const json_t *value = json_array_get(input, i);
    ok = json_is_integer(value) && json_integer_value(value) >= 1;
    values[i] = json_integer_value(value);
  }
  if (!ok)
    return glow_error(GLOW_E_FORMAT, "input is not [height, width, channels]");
  o->input = (glow_shape){values[0], values[1], values[2]};
  return GLOW_OK;
}

static glow_status read_bits(const json_t *bits, outline *o) {
  if (!json_is_integer(bits) || json_integer_value(bits) < 0 || json_integer_value(bits) > 8)
    return glow_error(GLOW_E_FORMAT, "bits is not 0 to 8");
  o->bits = (int32_t)json_integer_value(bits);
  return GLOW_OK;
}

static glow_status read_initialised(const json_t *state, outline *o) {
  if (!json_is_boolean(state))
    return glow_error(GLOW_E_FORMAT, "initialised is neither true nor false");
  o->initialised = json_is_true(state);
  return GLOW_OK;
}

static glow_status count_layers(glow__json_walk *walk, int64_t most, outline *o) {
  const bool begun = walk->begun;
  bool more = true;
  o->layers = *walk;
  GLOW_TRY(glow__json_enter(walk, false));
  for (;; o->layer_count++) {
    json_t *layer = NULL;
    GLOW_TRY(glow__json_next(walk, &more));
    if (!more)
      break;
    if (o->layer_count >= most)
      return glow_error(GLOW_E_LIMIT,
                        "more than %lld layers, at byte %lld of %lld; no more are read (layers)",
                        (long long)most, (long long)walk->at, (long long)walk->size);
    GLOW_TRY(glow__json_value(walk, LAYER_TEXT, &layer));
    json_decref(layer);
  }
  walk->object = true;
  walk->begun = begun;
  return GLOW_OK;
}

static glow_status read_small(glow__json_walk *walk, outline *o,
                              glow_status (*read)(const json_t *value, outline *o)) {
  json_t *value = NULL;
  GLOW_TRY(glow__json_value(walk, VALUE_TEXT, &value));
  glow_status status = read(value, o);
  json_decref(value);
  return status;
}

static glow_status read_member(glow__json_walk *walk, const char *key, int64_t most, outline *o) {
  bool *has = strcmp(key, "input") == 0         ? &o->has_input
              : strcmp(key, "bits") == 0        ? &o->has_bits
              : strcmp(key, "initialised") == 0 ? &o->has_initialised
              : strcmp(key, "layers") == 0      ? &o->has_layers
                                                : NULL;
  if (!has)
    return glow_error(GLOW_E_FORMAT, "key '%.100s' is not known to this version", key);
  if (*has)
    return glow_error(GLOW_E_FORMAT, "duplicate key '%s'", key);
  *has = true;
  if (has == &o->has_layers)
    return count_layers(walk, most, o);
  return read_small(walk, o,
                    has == &o->has_input  ? read_input
                    : has == &o->has_bits ? read_bits
                                          : read_initialised);
}

static glow_status read_outline(const char *text, int64_t most, outline *o) {
  glow__json_walk walk = {.text = text, .size = (int64_t)strlen(text), .what = "JSON"};
  bool more = true;
  GLOW_TRY(glow__json_enter(&walk, true));
  for (;;) {
    json_t *key = NULL;
    GLOW_TRY(glow__json_next(&walk, &more));
    if (!more)
      break;
    GLOW_TRY(glow__json_key(&walk, KEY_TEXT, &key));
    glow_status status = read_member(&walk, json_string_value(key), most, o);
    json_decref(key);
    GLOW_TRY(status);
  }
  GLOW_TRY(glow__json_end(&walk));
  if (!o->has_input || !o->has_bits || !o->has_initialised || !o->has_layers)
    return glow_error(GLOW_E_FORMAT, "input, bits, initialised or layers is missing");
  return GLOW_OK;
}

/* ---- reading: building ----------------------------------------------------------------------- */

static glow_status option_from_json(const char *key, const json_t *value, glow__config *config) {
  if (json_is_integer(value))
    return glow__config_set_int(config, key, json_integer_value(value));
  if (json_is_real(value))
    return glow__config_set_real(config, key, json_real_value(value));
  if (json_is_string(value))
    return glow__config_set_text(config, key, json_string_value(value));
  return glow_error(GLOW_E_FORMAT, "option '%.100s' is neither a number nor a text", key);
}

static glow_status options_from_json(json_t *options, glow__config *config) {
  const char *key;
  json_t *value;
  if (!json_is_object(options) || json_object_size(options) > MAX_OPTIONS)
    return glow_error(GLOW_E_FORMAT, "there is no object of at most %d options", MAX_OPTIONS);
  json_object_foreach(options, key, value) GLOW_TRY(option_from_json(key, value, config));
  return GLOW_OK;
}

/* An option that the factory did not ask for would be ignored, and the layer be another one. */
static glow_status make_from_config(glow_context *context, const char *type,
                                    const glow__config *config, glow_layer **out) {
  GLOW_TRY(glow__layer_load(context, type, config, out));
  const char *ignored = glow__config_unasked(config);
  if (!ignored)
    return GLOW_OK;
  glow_layer_destroy(out);
  return glow_error(GLOW_E_FORMAT, "option '%.100s' is not known to layer type '%s' here", ignored,
                    type);
}

static glow_status make_layer(glow_context *context, const char *type, json_t *options,
                              glow_layer **out) {
  glow__config config = {.list = NULL};
  GLOW_TRY(glow__config_create(context, &config));
  glow_status status = options_from_json(options, &config);
  if (status == GLOW_OK)
    status = make_from_config(context, type, &config, out);
  glow__config_destroy(&config);
  return status;
}

static glow_status add_layer(glow_context *context, glow_builder *builder, const json_t *layer,
                             int64_t index) {
  const char *name = json_string_value(json_object_get(layer, "name"));
  const char *type = json_string_value(json_object_get(layer, "type"));
  glow_layer *made = NULL;
  if (!name || !type)
    return glow_error(GLOW_E_FORMAT, "layer %lld has no name or no type", (long long)index);
  if (json_object_size(layer) > 3)
    return glow_error(GLOW_E_FORMAT, "layer '%.200s' has more than a name, a type and options",
                      name);
  glow_status status = make_layer(context, type, json_object_get(layer, "options"), &made);
  if (status != GLOW_OK)
    return glow__error_prefix(status, "layer '%.200s'", name);
  return glow_builder_add(builder, name, &made);
}

/* Whatever is wrong with it, the file is. */
static glow_status blame_text(glow_status status) {
  return status == GLOW_E_MEMORY || status == GLOW_OK ? status : GLOW_E_FORMAT;
}

static glow_status add_layers(glow_context *context, outline *o, glow__layer_check check, void *arg,
                              glow_builder *builder) {
  glow__json_walk *walk = &o->layers;
  GLOW_TRY(glow__json_enter(walk, false));
  for (int64_t i = 0; i < o->layer_count; i++) {
    json_t *layer = NULL;
    bool more = true;
    GLOW_TRY(glow__json_next(walk, &more));
    GLOW_TRY(glow__json_value(walk, LAYER_TEXT, &layer));
    glow_status status = blame_text(add_layer(context, builder, layer, i));
    json_decref(layer);
    GLOW_TRY(status);
    GLOW_TRY(check(glow__builder_model(builder), arg));
  }
  return GLOW_OK;
}

glow_status glow__architecture_read_some(glow_context *context, const char *text, int64_t layers,
                                         glow__layer_check check, void *arg, glow_builder **out,
                                         bool *initialised) {
  glow_builder_options options = GLOW_BUILDER_OPTIONS_INIT;
  outline o = {.has_input = false};
  *out = NULL;
  GLOW_TRY(read_outline(text, layers, &o));
  *initialised = o.initialised;
  options.bits = o.bits;
  glow_status status = blame_text(glow_builder_create(context, &o.input, &options, out));
  if (status == GLOW_OK)
    status = add_layers(context, &o, check, arg, *out);
  if (status != GLOW_OK)
    glow_builder_destroy(out);
  return status;
}

static glow_status check_nothing(const glow_model *model, void *arg) {
  (void)model;
  (void)arg;
  return GLOW_OK;
}

glow_status glow__architecture_read(glow_context *context, const char *text, glow_builder **out,
                                    bool *initialised) {
  return glow__architecture_read_some(context, text, INT64_MAX, check_nothing, NULL, out,
                                      initialised);
}
