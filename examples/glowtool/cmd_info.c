/* glowtool info: what a model file holds. The file may come from anyone: every string of it goes
 * through visible() or put_text(). SPDX-License-Identifier: MIT */
#include <stdio.h>
#include <string.h>

#include "commands.h"
#include "common.h"
#include "json.h"
#include "options_rows.h"

typedef struct info_settings {
  const char *model;
  bool json, layers, tensors;
} info_settings;

#define FIELD(name) offsetof(info_settings, name)

static const option_row rows[] = {
    FLAG("layers", layers, "list the layers"),
    FLAG("tensors", tensors, "list the tensors"),
    FLAG("json", json, "print JSON, which always lists the layers"),
    {.kind = OPTION_END},
};

const option_table info_table = {
    .command = "info",
    .usage = "MODEL [options]",
    .about = "Shows what a model is made of. The file is checked in full; it need not be trusted.",
    .rows = rows,
    .settings_size = sizeof(info_settings),
    .positional = FIELD(model),
    .positional_name = "MODEL",
};

/* ---- facts ----------------------------------------------------------------------------------- */

static glow_tensor_info tensor_at(const glow_model *model, int32_t index) {
  glow_tensor_info info = GLOW_TENSOR_INFO_INIT;
  glow_model_tensor(model, index, &info);
  return info;
}

/* Tensors stand in the order of the layers and begin with the layer's name and a dot. Moves *next
 * past those of this layer and returns their trainable elements. */
static int64_t layer_parameters(const glow_model *model, const char *layer, int32_t *next) {
  size_t length = strlen(layer);
  int64_t sum = 0;
  for (; *next < glow_model_tensor_count(model); ++*next) {
    glow_tensor_info info = tensor_at(model, *next);
    if (strncmp(info.name, layer, length) != 0 || info.name[length] != '.')
      break;
    sum += info.trainable ? info.elements : 0;
  }
  return sum;
}

/* ---- for people ------------------------------------------------------------------------------ */

/* How many layers there are of each type, in the order of their first. */
static void print_types(const glow_model *model) {
  enum { MOST = 32 };
  const char *types[MOST];
  int counts[MOST], used = 0;
  for (int32_t i = 0; i < glow_model_layer_count(model); i++) {
    const char *type = glow_model_layer_type(model, i);
    int t = 0;
    while (t < used && strcmp(types[t], type) != 0)
      t++;
    if (t == used && used < MOST) {
      types[used] = type;
      counts[used++] = 0;
    }
    if (t < used)
      counts[t]++;
  }
  printf("layers:      %d (", (int)glow_model_layer_count(model));
  for (int t = 0; t < used; t++) {
    char shown[128];
    printf("%s%d %s", t ? ", " : "", counts[t], visible(types[t], shown, sizeof shown));
  }
  puts(")");
}

static void print_latents(const glow_model *model) {
  printf("latents:     %lld in %d blocks:", (long long)glow_model_dims(model),
         (int)glow_model_latent_block_count(model));
  for (int32_t i = 0; i < glow_model_latent_block_count(model); i++) {
    int64_t offset;
    glow_shape shape;
    glow_model_latent_block(model, i, &offset, &shape);
    printf("%s %lld x %lld x %lld", i ? "," : "", (long long)shape.height, (long long)shape.width,
           (long long)shape.channels);
  }
  putchar('\n');
}

static void print_layers(const glow_model *model) {
  int32_t next = 0;
  puts("\nlayers (name, type, parameters):");
  for (int32_t i = 0; i < glow_model_layer_count(model); i++) {
    char name[512], type[128];
    const char *layer = glow_model_layer_name(model, i);
    printf("  %-28s %-10s %lld\n", visible(layer, name, sizeof name),
           visible(glow_model_layer_type(model, i), type, sizeof type),
           (long long)layer_parameters(model, layer, &next));
  }
}

/* Values may be long; --json has the whole. */
static void print_metadata(const glow_model *model) {
  for (int32_t i = 0; i < glow_model_metadata_count(model); i++) {
    const char *key = "", *value = "";
    char shown_key[256], shown[400];
    glow_model_metadata_at(model, i, &key, &value);
    printf("%s%s: %s\n", i ? "" : "\n", visible(key, shown_key, sizeof shown_key),
           visible(value, shown, sizeof shown));
  }
}

static void print_tensors(const glow_model *model) {
  puts("\ntensors (name, type, shape):");
  for (int32_t i = 0; i < glow_model_tensor_count(model); i++) {
    char name[512];
    glow_tensor_info info = tensor_at(model, i);
    printf("  %-40s %s [", visible(info.name, name, sizeof name),
           info.type == GLOW_TYPE_F32 ? "f32" : "i32");
    for (int d = 0; d < info.rank; d++)
      printf("%s%lld", d ? ", " : "", (long long)info.dims[d]);
    printf("]%s\n", info.trainable ? "" : " fixed");
  }
}

static void print_images(const opened_model *m) {
  printf("images:      %lld x %lld x %lld (height, width, channels)", (long long)m->shape.height,
         (long long)m->shape.width, (long long)m->shape.channels);
  if (glow_model_bits(m->model))
    printf(", %d bits\n", (int)glow_model_bits(m->model));
  else
    puts(", continuous");
}

static void print_model(const info_settings *s, const opened_model *m, uint64_t bytes) {
  char text[1024], count[32], memory[32];
  const glow_model *model = m->model;
  printf("model:       %s\n", visible(s->model, text, sizeof text));
  if (!glow_model_bits(model) && m->shape.height == 1 && m->shape.width == 1)
    printf("vectors:     of %lld numbers\n", (long long)m->shape.channels);
  else
    print_images(m);
  if (glow_model_condition_size(model))
    printf("conditions:  %lld\n", (long long)glow_model_condition_size(model));
  if (glow_model_class_count(model))
    printf("classes:     %d\n", (int)glow_model_class_count(model));
  printf("parameters:  %s (%lld)\n", short_count((double)glow_model_parameter_count(model), count),
         (long long)glow_model_parameter_count(model));
  print_types(model);
  print_latents(model);
  printf("initialised: %s\n", glow_model_initialised(model) ? "yes" : "no");
  printf("memory:      %s for a pass on one image\n", short_bytes((double)bytes, memory));
  print_metadata(model);
  if (s->layers)
    print_layers(model);
  if (s->tensors)
    print_tensors(model);
}

/* ---- for programs ---------------------------------------------------------------------------- */

static void json_shape(json_writer *json, const char *key, const glow_shape *shape) {
  put_open(json, key, '[');
  put_int(json, NULL, shape->height);
  put_int(json, NULL, shape->width);
  put_int(json, NULL, shape->channels);
  put_close(json, ']');
}

static void json_layers(json_writer *json, const glow_model *model) {
  int32_t next = 0;
  put_open(json, "layers", '[');
  for (int32_t i = 0; i < glow_model_layer_count(model); i++) {
    const char *name = glow_model_layer_name(model, i);
    put_open(json, NULL, '{');
    put_text(json, "name", name);
    put_text(json, "type", glow_model_layer_type(model, i));
    put_int(json, "parameters", layer_parameters(model, name, &next));
    put_close(json, '}');
  }
  put_close(json, ']');
}

static void json_metadata(json_writer *json, const glow_model *model) {
  put_open(json, "metadata", '{');
  for (int32_t i = 0; i < glow_model_metadata_count(model); i++) {
    const char *key = "", *value = "";
    glow_model_metadata_at(model, i, &key, &value);
    put_text(json, key, value);
  }
  put_close(json, '}');
}

static void json_latents(json_writer *json, const glow_model *model) {
  put_open(json, "latents", '[');
  for (int32_t i = 0; i < glow_model_latent_block_count(model); i++) {
    int64_t offset = 0;
    glow_shape shape = {0, 0, 0};
    glow_model_latent_block(model, i, &offset, &shape);
    put_open(json, NULL, '{');
    put_int(json, "offset", offset);
    json_shape(json, "shape", &shape);
    put_close(json, '}');
  }
  put_close(json, ']');
}

static void json_tensors(json_writer *json, const glow_model *model) {
  put_open(json, "tensors", '[');
  for (int32_t i = 0; i < glow_model_tensor_count(model); i++) {
    glow_tensor_info info = tensor_at(model, i);
    put_open(json, NULL, '{');
    put_text(json, "name", info.name);
    put_text(json, "type", info.type == GLOW_TYPE_F32 ? "f32" : "i32");
    put_open(json, "shape", '[');
    for (int d = 0; d < info.rank; d++)
      put_int(json, NULL, info.dims[d]);
    put_close(json, ']');
    put_bool(json, "trainable", info.trainable);
    put_close(json, '}');
  }
  put_close(json, ']');
}

static void print_json(const info_settings *s, const opened_model *m, uint64_t bytes) {
  json_writer json = {stdout, false};
  const glow_model *model = m->model;
  put_open(&json, NULL, '{');
  put_text(&json, "model", s->model);
  json_shape(&json, "shape", &m->shape);
  put_int(&json, "bits", glow_model_bits(model));
  put_int(&json, "classes", glow_model_class_count(model));
  put_int(&json, "conditions", glow_model_condition_size(model));
  put_int(&json, "parameters", glow_model_parameter_count(model));
  put_bool(&json, "initialised", glow_model_initialised(model));
  put_int(&json, "workspace_bytes", (int64_t)bytes);
  json_metadata(&json, model);
  json_latents(&json, model);
  json_layers(&json, model);
  if (s->tensors)
    json_tensors(&json, model);
  put_close(&json, '}');
  putchar('\n');
}

/* ---- the command ----------------------------------------------------------------------------- */

static int info(void *settings, opened_model *m) {
  const info_settings *s = settings;
  uint64_t bytes = 0;
  int code = open_model(m, s->model, 1, NULL, GLOW_PRODUCTS_FLOAT32, 0);
  if (code == TOOL_FINE)
    code = workspace_bytes(m->model, 1, GLOW_MODE_INFERENCE, &bytes);
  if (code != TOOL_FINE)
    return code;
  if (s->json)
    print_json(s, m, bytes);
  else
    print_model(s, m, bytes);
  return TOOL_FINE;
}

int command_info(int argc, char **argv) {
  info_settings settings;
  return run_on_model(argc, argv, &info_table, &settings, info);
}
