/* Models of every kind, and data for them. SPDX-License-Identifier: MIT */
#include "models.h"

#include "layers/layers.h"
#include "nets/nets.h"

/* ---- built-in types that are in no row ------------------------------------------------------- */

enum { MOST = 1024 };
static model_case cases[MOST];
static int32_t count;

static const glow_layer_ops *const layer_types[] = {
#define LAYER(type) &glow__##type##_ops,
    GLOW_LAYER_LIST(LAYER)
#undef LAYER
};
enum { LAYER_TYPES = sizeof layer_types / sizeof *layer_types };

static const glow_net_ops *const net_types[] = {
#define NET(type) &glow__##type##_net_ops,
    GLOW_NET_LIST(NET)
#undef NET
};

static const glow_shape shape = {1, 1, 4};

static glow_status create_layer(glow_context *context, const glow_layer_ops *ops,
                                glow_model **out) {
  glow_layer *layer = NULL;
  *out = NULL;
  glow_status status = glow_layer_create(context, ops, NULL, NULL, &layer);
  return status == GLOW_OK ? helper_wrap_layer(context, layer, true, &shape, out) : status;
}

static glow_status create_net(glow_context *context, const glow_net_ops *ops, glow_model **out) {
  glow_net *net = NULL;
  glow_layer *layer = NULL;
  *out = NULL;
  glow_status status = glow_net_create(context, ops, NULL, &net);
  if (status == GLOW_OK)
    status = glow_coupling_create(context, NULL, &net, &layer);
  return status == GLOW_OK ? helper_wrap_layer(context, layer, true, &shape, out) : status;
}

glow_status model_case_create(glow_context *context, const model_case *c, glow_model **out) {
  return c->layer ? create_layer(context, c->layer, out)
         : c->net ? create_net(context, c->net, out)
                  : bits_create(context, &c->subject, c->part, out);
}

bool model_case_is_wanted(const model_case *c) {
  enum { EACH = 5 };
  for (int32_t i = 0; i < helper_coupling_count; i++)
    if (c->subject.layer == &helper_couplings[i])
      return i % EACH == 0 || getenv("GLOW_TEST_EXHAUSTIVE");
  return true;
}

/* ---- the list -------------------------------------------------------------------------------- */

static model_case *add(const char *kind, const char *name) {
  assert_true(count < MOST);
  model_case *c = &cases[count++];
  snprintf(c->name, sizeof c->name, "%s%s", kind, name);
  return c;
}

static void mark_types(const glow_model *model, bool seen[LAYER_TYPES]) {
  for (int32_t l = 0; l < glow_model_layer_count(model); l++)
    for (size_t t = 0; t < LAYER_TYPES; t++)
      if (strcmp(glow_model_layer_type(model, l), layer_types[t]->type) == 0)
        seen[t] = true;
}

static void list_subjects(glow_context *context, bool seen[LAYER_TYPES]) {
  for (int32_t i = 0; i < bits_subject_count(); i++) {
    const bits_subject subject = bits_subject_at(i);
    for (int32_t part = 0; bits_has_part(&subject, part); part++) {
      glow_model *model = NULL;
      model_case *c = add("", subject.name);
      c->subject = subject;
      c->part = part;
      OK(model_case_create(context, c, &model));
      mark_types(model, seen);
      glow_model_destroy(&model);
    }
  }
}

const model_case *model_cases(int32_t *how_many) {
  if (!count) {
    glow_context *context = helper_context(0, NULL, NULL);
    bool seen[LAYER_TYPES] = {false};
    list_subjects(context, seen);
    for (size_t t = 0; t < LAYER_TYPES; t++)
      if (!seen[t])
        add("default ", layer_types[t]->type)->layer = layer_types[t];
    for (size_t t = 0; t < sizeof net_types / sizeof *net_types; t++)
      add("default net ", net_types[t]->type)->net = net_types[t];
    glow_context_destroy(&context);
  }
  *how_many = count;
  return cases;
}

/* ---- what a model is ------------------------------------------------------------------------- */

void model_fold(const glow_model *model, uint64_t *hash) {
  hash_number(hash, glow_model_initialised(model));
  for (int32_t l = 0; l < glow_model_layer_count(model); l++)
    hash_text(hash, glow_model_layer_name(model, l));
  for (int32_t i = 0; i < glow_model_metadata_count(model); i++) {
    const char *key, *value;
    OK(glow_model_metadata_at(model, i, &key, &value));
    hash_text(hash, key);
    hash_text(hash, value);
  }
  for (int32_t t = 0; t < glow_model_tensor_count(model); t++) {
    glow_tensor_info info = GLOW_TENSOR_INFO_INIT;
    OK(glow_model_tensor(model, t, &info));
    if (info.trainable)
      continue;
    int32_t *values = helper_allocate((size_t)info.elements * sizeof *values);
    OK(glow_model_get_tensor(model, info.name, values, info.elements));
    hash_words(hash, values, (size_t)info.elements * sizeof *values);
    free(values);
  }
  hash_words(hash, glow_model_parameters(model),
             (size_t)glow_model_parameter_count(model) * sizeof(float));
}

void model_describe(glow_model *model) {
  OK(glow_model_set_metadata(model, "author", "someone"));
  OK(glow_model_set_metadata(model, GLOW_METADATA_LICENSE, "MIT"));
}

/* ---- data ------------------------------------------------------------------------------------ */

samples samples_of(const glow_model *model) {
  const int64_t dims = glow_model_dims(model);
  helper_random random = helper_random_of(7);
  samples s = {.condition_size = glow_model_condition_size(model)};
  s.x = helper_new_normals(&random, 0.1f, SAMPLES * dims);
  s.condition = helper_new_normals(&random, 0.5f, SAMPLES * s.condition_size);
  for (int32_t n = 0; n < SAMPLES; n++)
    s.labels[n] = n % 3;
  if (glow_model_bits(model)) {
    s.pixels = helper_allocate((size_t)(SAMPLES * dims));
    for (int64_t i = 0; i < SAMPLES * dims; i++)
      s.pixels[i] = (uint8_t)(256.0 * helper_uniform(&random));
  }
  return s;
}

void samples_free(samples *s) {
  free(s->x);
  free(s->condition);
  free(s->pixels);
}
