/* The architecture of a model as JSON text, for the metadata of its file:
 *   {"input": [H, W, C], "bits": 8, "initialised": true,
 *    "layers": [{"name": "level0.squeeze", "type": "squeeze", "options": {...}}, ...]}
 * It is read twice: once to check that it is well formed and to find its layers, once to build.
 * SPDX-License-Identifier: MIT */
#include <string.h>

#include "host/host.h"
#include "io/io.h"
#include "io/json.h"

enum { MAX_OPTIONS = 1000 /* of a layer */ };

/* ---- writing --------------------------------------------------------------------------------- */

static void put_option(const glow__config_entry *e, glow__text *out) {
  glow__text_quoted(out, e->key);
  glow__text_put(out, ":");
  switch (e->type) {
  case GLOW_CONFIG_INT: glow__text_number(out, e->integer); break;
  case GLOW_CONFIG_REAL: glow__text_real(out, e->real); break;
  default: glow__text_quoted(out, e->text); break;
  }
}

static void put_layer(const char *name, const char *type, const glow__config *config,
                      glow__text *out) {
  glow__text_put(out, "{\"name\":");
  glow__text_quoted(out, name);
  glow__text_put(out, ",\"type\":");
  glow__text_quoted(out, type);
  glow__text_put(out, ",\"options\":{");
  for (int32_t i = 0; i < glow__config_count(config); i++) {
    glow__text_put(out, i ? "," : "");
    put_option(glow__config_at(config, i), out);
  }
  glow__text_put(out, "}}");
}

static glow_status put_saved(const glow_model *model, int32_t index, const glow__config *config,
                             glow__text *out) {
  const char *name = glow_model_layer_name(model, index);
  if (glow__config_count(config) > MAX_OPTIONS)
    return glow_error(GLOW_E_LIMIT, "layer '%s': %d options; at most %d can be read", name,
                      glow__config_count(config), MAX_OPTIONS);
  glow__text_put(out, index ? "," : "");
  GLOW_TRY(out->status);
  put_layer(name, glow_model_layer_type(model, index), config, out);
  return out->status == GLOW_OK ? GLOW_OK : glow__error_prefix(out->status, "layer '%.200s'", name);
}

static glow_status layer_to_text(const glow_model *model, int32_t index, glow__text *out) {
  glow__config config = {.list = NULL};
  GLOW_TRY(glow__config_create(glow__model_context(model), &config));
  glow_status status = glow__model_save_layer(model, index, &config);
  if (status == GLOW_OK)
    status = put_saved(model, index, &config, out);
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
  GLOW_TRY(out->status); /* what failed first is told, not what a layer says next */
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

/* ---- reading: finding the parts -------------------------------------------------------------- */

/* The members of the outermost object. */
typedef struct outline {
  glow_shape input;
  int32_t bits;
  bool initialised;
  glow__json layers; /* at the array */
  int64_t layer_count;
  bool has_input, has_bits, has_initialised, has_layers;
} outline;

static glow_status refuse_input(void) {
  return glow_error(GLOW_E_FORMAT, "input is not [height, width, channels]");
}

static glow_status read_input(glow__json *json, outline *o) {
  int64_t *const sides[] = {&o->input.height, &o->input.width, &o->input.channels};
  bool more = true;
  if (glow__json_peek(json) != '[')
    return refuse_input();
  GLOW_TRY(glow__json_enter(json, false));
  for (int i = 0; i < 3; i++) {
    glow__json_number side;
    GLOW_TRY(glow__json_next(json, &more));
    if (!more)
      return refuse_input();
    GLOW_TRY(glow__json_number_read(json, &side));
    if (side.kind != GLOW_JSON_WHOLE || side.integer < 1)
      return refuse_input();
    *sides[i] = side.integer;
  }
  GLOW_TRY(glow__json_next(json, &more));
  return more ? refuse_input() : GLOW_OK;
}

static glow_status read_bits(glow__json *json, outline *o) {
  glow__json_number bits;
  GLOW_TRY(glow__json_number_read(json, &bits));
  if (bits.kind != GLOW_JSON_WHOLE || bits.integer < 0 || bits.integer > 8)
    return glow_error(GLOW_E_FORMAT, "bits must be a whole number, 0 to 8");
  o->bits = (int32_t)bits.integer;
  return GLOW_OK;
}

static glow_status read_initialised(glow__json *json, outline *o) {
  o->initialised = glow__json_word(json, "true");
  if (o->initialised || glow__json_word(json, "false"))
    return GLOW_OK;
  return glow_error(GLOW_E_FORMAT, "initialised is neither true nor false");
}

static glow_status architecture_count_layers(glow__json *json, int64_t most, outline *o) {
  bool more = true;
  o->layers = *json;
  GLOW_TRY(glow__json_enter(json, false));
  for (;; o->layer_count++) {
    GLOW_TRY(glow__json_next(json, &more));
    if (!more)
      return GLOW_OK;
    if (o->layer_count >= most)
      return glow_error(GLOW_E_LIMIT,
                        "more than %lld layers, at byte %lld of %lld; no more are read (layers)",
                        (long long)most, (long long)json->at, (long long)json->size);
    GLOW_TRY(glow__json_skip(json));
  }
}

static glow_status read_member(glow__json *json, const char *key, int64_t most, outline *o) {
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
  return has == &o->has_input    ? read_input(json, o)
         : has == &o->has_bits   ? read_bits(json, o)
         : has == &o->has_layers ? architecture_count_layers(json, most, o)
                                 : read_initialised(json, o);
}

static glow_status read_outline(glow__json *json, int64_t most, outline *o) {
  GLOW_TRY(glow__json_enter(json, true));
  for (;;) {
    const char *key = NULL;
    GLOW_TRY(glow__json_next_key(json, &key));
    if (!key)
      break;
    GLOW_TRY(read_member(json, key, most, o));
  }
  GLOW_TRY(glow__json_end(json));
  if (!o->has_input || !o->has_bits || !o->has_initialised || !o->has_layers)
    return glow_error(GLOW_E_FORMAT, "input, bits, initialised or layers is missing");
  return GLOW_OK;
}

/* ---- reading: one layer ---------------------------------------------------------------------- */

static glow_status set_option(glow__json *json, const char *key, glow__config *config) {
  glow__json_number number;
  const char *text = NULL;
  GLOW_TRY(glow__json_number_read(json, &number));
  if (number.kind == GLOW_JSON_WHOLE)
    return glow__config_set_int(config, key, number.integer);
  if (number.kind == GLOW_JSON_REAL)
    return glow__config_set_real(config, key, number.real);
  GLOW_TRY(glow__json_string(json, &text));
  if (text)
    return glow__config_set_text(config, key, text);
  return glow_error(GLOW_E_FORMAT, "option '%.100s' is neither a number nor a string", key);
}

static glow_status architecture_read_options(glow__json *json, glow__config *config) {
  GLOW_TRY(glow__json_enter(json, true));
  for (int32_t count = 0;; count++) {
    const char *key = NULL;
    GLOW_TRY(glow__json_next_key(json, &key));
    if (!key)
      return GLOW_OK;
    if (count == MAX_OPTIONS)
      return glow_error(GLOW_E_FORMAT, "more than %d options", MAX_OPTIONS);
    GLOW_TRY(set_option(json, key, config));
    if (glow__config_count(config) == count)
      return glow_error(GLOW_E_FORMAT, "duplicate option '%.100s'", key);
  }
}

/* The members of a layer, in any order. */
typedef struct layer_members {
  const char *name, *type;
  glow__json options; /* at the object */
  bool has_options;
} layer_members;

static glow_status refuse_layer(int64_t index) {
  return glow_error(GLOW_E_FORMAT, "layer %lld has no name or no type", (long long)index);
}

static glow_status read_layer_member(glow__json *json, const char *key, int64_t index,
                                     layer_members *l) {
  const bool type = strcmp(key, "type") == 0, options = strcmp(key, "options") == 0;
  const char **text = type ? &l->type : &l->name;
  if (!type && !options && strcmp(key, "name") != 0)
    return glow_error(GLOW_E_FORMAT,
                      "layer %lld has more than a name, a type and options: it has '%.100s'",
                      (long long)index, key);
  if (options ? l->has_options : *text != NULL)
    return glow_error(GLOW_E_FORMAT, "layer %lld: duplicate key '%s'", (long long)index, key);
  if (options && glow__json_peek(json) != '{')
    return glow_error(GLOW_E_FORMAT, "layer %lld: options is missing, or not an object",
                      (long long)index);
  if (options) {
    l->has_options = true;
    l->options = *json;
    return glow__json_skip(json);
  }
  GLOW_TRY(glow__json_string(json, text));
  return *text ? GLOW_OK : refuse_layer(index);
}

static glow_status read_layer(glow__json *json, int64_t index, layer_members *l) {
  *l = (layer_members){.name = NULL};
  if (glow__json_peek(json) != '{')
    return refuse_layer(index);
  GLOW_TRY(glow__json_enter(json, true));
  for (;;) {
    const char *key = NULL;
    GLOW_TRY(glow__json_next_key(json, &key));
    if (!key)
      break;
    GLOW_TRY(read_layer_member(json, key, index, l));
  }
  return l->name && l->type ? GLOW_OK : refuse_layer(index);
}

/* ---- reading: building ----------------------------------------------------------------------- */

/* An option that the factory did not ask for would be ignored, and the layer would be another one.
 * */
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

static glow_status architecture_make_layer(glow_context *context, layer_members *l,
                                           glow_layer **out) {
  glow__config config = {.list = NULL};
  if (!l->has_options)
    return glow_error(GLOW_E_FORMAT, "options is missing, or not an object");
  GLOW_TRY(glow__config_create(context, &config));
  glow_status status = architecture_read_options(&l->options, &config);
  if (status == GLOW_OK)
    status = make_from_config(context, l->type, &config, out);
  glow__config_destroy(&config);
  return status;
}

static glow_status add_layer(glow_context *context, glow_builder *builder, glow__json *json,
                             int64_t index) {
  glow_layer *made = NULL;
  layer_members l;
  GLOW_TRY(read_layer(json, index, &l));
  glow_status status = architecture_make_layer(context, &l, &made);
  if (status != GLOW_OK)
    return glow__error_prefix(status, "layer '%.200s'", l.name);
  return glow_builder_add(builder, l.name, &made);
}

/* Whatever is wrong with it, it is the file that is at fault. */
static glow_status blame_text(glow_status status) {
  return status == GLOW_E_MEMORY || status == GLOW_OK ? status : GLOW_E_FORMAT;
}

static glow_status architecture_add_layers(glow_context *context, outline *o,
                                           glow__layer_check check, void *arg,
                                           glow_builder *builder) {
  bool more = true;
  GLOW_TRY(glow__json_enter(&o->layers, false));
  for (int64_t i = 0; i < o->layer_count; i++) {
    GLOW_TRY(glow__json_next(&o->layers, &more));
    GLOW_TRY(blame_text(add_layer(context, builder, &o->layers, i)));
    GLOW_TRY(check(glow__builder_model(builder), arg));
  }
  return GLOW_OK;
}

static glow_status read_all(glow_context *context, glow__json *json, int64_t layers,
                            glow__layer_check check, void *arg, glow_builder **out,
                            bool *initialised) {
  glow_builder_options options = GLOW_BUILDER_OPTIONS_INIT;
  outline o = {.has_input = false};
  GLOW_TRY(read_outline(json, layers, &o));
  *initialised = o.initialised;
  options.bits = o.bits;
  GLOW_TRY(blame_text(glow_builder_create(context, &o.input, &options, out)));
  return architecture_add_layers(context, &o, check, arg, *out);
}

glow_status glow__architecture_read(glow_context *context, const char *text, int64_t layers,
                                    glow__layer_check check, void *arg, glow_builder **out,
                                    bool *initialised) {
  glow__json json;
  *out = NULL;
  GLOW_TRY(glow__json_open(context, text, "JSON", &json));
  glow_status status = read_all(context, &json, layers, check, arg, out, initialised);
  glow__json_close(&json);
  if (status != GLOW_OK)
    glow_builder_destroy(out);
  return status;
}
