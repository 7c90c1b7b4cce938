/* glow_model: questions about a model, and its parameters. SPDX-License-Identifier: MIT */
#include <math.h>
#include <string.h>

#include "host/workspace.h"

char *glow__model_name(glow_model *model, size_t bytes) {
  enum { BLOCK = 4000 };
  glow__names *names = model->names;
  if (!names || names->size - names->used < bytes) {
    size_t size = bytes > BLOCK ? bytes : BLOCK;
    names = glow_allocate(model->context, sizeof *names + size);
    if (!names)
      return NULL;
    names->size = size;
    names->next = model->names;
    model->names = names;
  }
  names->used += bytes;
  return names->text + names->used - bytes;
}

void glow__model_free(glow_model *model) {
  if (!model)
    return;
  glow__live_remove(model, GLOW_LIVE_MODEL);
  glow_context *context = model->context;
  for (int32_t i = 0; i < model->node_count; i++) {
    glow_layer_destroy(&model->nodes[i].layer);
    glow_release(context, model->nodes[i].regions);
  }
  while (model->names) {
    glow__names *next = model->names->next;
    glow_release(context, model->names);
    model->names = next;
  }
  glow__metadata_free(model);
  glow_release(context, model->nodes);
  glow_release(context, model->tensors);
  if (!model->adopted)
    glow_release(context, model->parameters);
  if (model->adopted_release)
    model->adopted_release(model->adopted_memory, model->adopted_bytes);
  glow_release(context, model->fixed);
  glow_release(context, model->derived);
  glow_release(context, model);
  glow__context_drop(context);
}

/* Counting is no change of the model that anyone could see. */
const glow_model *glow__model_hold(const glow_model *model) {
  glow__count_up(&((glow_model *)(uintptr_t)model)->references);
  return model;
}

void glow__model_drop(const glow_model *model) {
  glow_model *counted = (glow_model *)(uintptr_t)model;
  if (glow__count_down(&counted->references))
    glow__model_free(counted);
}

glow_model *glow_model_retain(glow_model *model) {
  GLOW_LIVE_OR(model, MODEL, NULL);
  if (model)
    glow__model_hold(model);
  return model;
}

void glow_model_destroy(glow_model **model) {
  if (!model || !*model || !glow__is_live(*model, GLOW_LIVE_MODEL, __func__))
    return;
  glow__model_drop(*model);
  *model = NULL;
}

glow_context *glow__model_context(const glow_model *model) {
  return model->context;
}

glow_status glow_model_input_shape(const glow_model *model, glow_shape *out) {
  GLOW_LIVE(model, MODEL);
  if (!model || !out)
    return glow_error(GLOW_E_ARGUMENT, "glow_model_input_shape: NULL argument");
  *out = model->input;
  return GLOW_OK;
}

int32_t glow_model_bits(const glow_model *model) {
  GLOW_LIVE_OR(model, MODEL, 0);
  return model ? model->bits : 0;
}

int32_t glow_model_class_count(const glow_model *model) {
  GLOW_LIVE_OR(model, MODEL, 0);
  return model ? model->classes : 0;
}

int64_t glow_model_condition_size(const glow_model *model) {
  GLOW_LIVE_OR(model, MODEL, 0);
  return model ? model->condition_size : 0;
}

glow_status glow_model_condition_shape(const glow_model *model, glow_shape *out) {
  GLOW_LIVE(model, MODEL);
  if (!model || !out)
    return glow_error(GLOW_E_ARGUMENT, "glow_model_condition_shape: NULL argument");
  *out = model->condition;
  return GLOW_OK;
}

int64_t glow_model_logit_count(const glow_model *model) {
  GLOW_LIVE_OR(model, MODEL, 0);
  return model ? model->logits : 0;
}

int64_t glow_model_dims(const glow_model *model) {
  GLOW_LIVE_OR(model, MODEL, 0);
  return model ? model->dims : 0;
}

int32_t glow_model_layer_count(const glow_model *model) {
  GLOW_LIVE_OR(model, MODEL, 0);
  return model ? model->node_count : 0;
}

const char *glow_model_layer_name(const glow_model *model, int32_t index) {
  GLOW_LIVE_OR(model, MODEL, NULL);
  return model && index >= 0 && index < model->node_count ? model->nodes[index].name : NULL;
}

const char *glow_model_layer_type(const glow_model *model, int32_t index) {
  GLOW_LIVE_OR(model, MODEL, NULL);
  return model && index >= 0 && index < model->node_count ? model->nodes[index].layer->ops.type
                                                          : NULL;
}

int32_t glow_model_latent_block_count(const glow_model *model) {
  GLOW_LIVE_OR(model, MODEL, 0);
  return model ? model->latent_count : 0;
}

glow_status glow_model_latent_block(const glow_model *model, int32_t index, int64_t *offset,
                                    glow_shape *shape) {
  GLOW_LIVE(model, MODEL);
  if (!model || index < 0 || index >= model->latent_count)
    return glow_error(GLOW_E_ARGUMENT, "the model has no block %d of latents", index);
  const glow__node *node = model->nodes;
  for (int32_t seen = 0;; node++)
    if (node->latent_size && seen++ == index)
      break;
  if (offset)
    *offset = node->latent_offset;
  if (shape)
    *shape = node->latent_shape;
  return GLOW_OK;
}

/* ---- parameters ----------------------------------------------------------------------------- */

int32_t glow_model_tensor_count(const glow_model *model) {
  GLOW_LIVE_OR(model, MODEL, 0);
  return model ? model->tensor_count : 0;
}

static glow_status model_describe(const glow__tensor *tensor, glow_tensor_info *out) {
  glow_tensor_info info = {
      sizeof info,       tensor->name,     tensor->type,
      tensor->trainable, tensor->rank,     tensor->weights,
      {0, 0, 0, 0},      tensor->elements, tensor->trainable ? tensor->offset : -1};
  memcpy(info.dims, tensor->dims, sizeof info.dims);
  return glow__struct_fill(out, &info, sizeof info, sizeof info, "glow_tensor_info");
}

glow_status glow_model_tensor(const glow_model *model, int32_t index, glow_tensor_info *out) {
  GLOW_LIVE(model, MODEL);
  if (!model || !out || index < 0 || index >= model->tensor_count)
    return glow_error(GLOW_E_ARGUMENT, "the model has no tensor %d", index);
  return model_describe(&model->tensors[index], out);
}

static glow_status model_find(const glow_model *model, const char *name, const glow__tensor **out) {
  if (!model || !name)
    return glow_error(GLOW_E_ARGUMENT, "finding a tensor by name: %s is NULL",
                      model ? "the name" : "the model");
  for (int32_t i = 0; i < model->tensor_count; i++)
    if (strcmp(model->tensors[i].name, name) == 0) {
      *out = &model->tensors[i];
      return GLOW_OK;
    }
  return glow_error(GLOW_E_NOT_FOUND, "the model has no tensor '%s'", name);
}

glow_status glow_model_find_tensor(const glow_model *model, const char *name,
                                   glow_tensor_info *out) {
  GLOW_LIVE(model, MODEL);
  const glow__tensor *tensor = NULL;
  GLOW_TRY(model_find(model, name, &tensor));
  return out ? model_describe(tensor, out)
             : glow_error(GLOW_E_ARGUMENT, "glow_model_find_tensor: NULL argument");
}

static void *model_tensor_data(const glow_model *model, const glow__tensor *tensor) {
  return tensor->trainable ? (void *)(model->parameters + tensor->offset)
                           : (void *)((float *)model->fixed + tensor->offset);
}

static glow_status find_sized(const glow_model *model, const char *name, const void *data,
                              int64_t elements, const glow__tensor **out) {
  GLOW_TRY(model_find(model, name, out));
  if (data && elements == (*out)->elements)
    return GLOW_OK;
  return glow_error(GLOW_E_ARGUMENT, "tensor '%s' has %lld elements; %lld were given", name,
                    (long long)(*out)->elements, data ? (long long)elements : 0LL);
}

void *glow__model_tensor_data(const glow_model *model, int32_t index) {
  return model_tensor_data(model, &model->tensors[index]);
}

glow_status glow_model_get_tensor(const glow_model *model, const char *name, void *out,
                                  int64_t elements) {
  GLOW_LIVE(model, MODEL);
  const glow__tensor *tensor = NULL;
  GLOW_TRY(find_sized(model, name, out, elements, &tensor));
  memcpy(out, model_tensor_data(model, tensor), (size_t)elements * 4);
  return GLOW_OK;
}

glow_status glow_model_set_tensor(glow_model *model, const char *name, const void *data,
                                  int64_t elements) {
  GLOW_LIVE(model, MODEL);
  const glow__tensor *tensor = NULL;
  GLOW_TRY(find_sized(model, name, data, elements, &tensor));
  memcpy(model_tensor_data(model, tensor), data, (size_t)elements * 4);
  model->prepared = false;
  return GLOW_OK;
}

int64_t glow_model_parameter_count(const glow_model *model) {
  GLOW_LIVE_OR(model, MODEL, 0);
  return model ? model->parameter_count : 0;
}

uint64_t glow_model_bytes(const glow_model *model) {
  GLOW_LIVE_OR(model, MODEL, 0);
  return model ? 4 * ((uint64_t)model->parameter_count + (uint64_t)model->fixed_count) +
                     (uint64_t)model->derived_size
               : 0;
}

const float *glow_model_parameters(const glow_model *model) {
  GLOW_LIVE_OR(model, MODEL, NULL);
  return model ? model->parameters : NULL;
}

float *glow_model_parameters_mutable(glow_model *model) {
  GLOW_LIVE_OR(model, MODEL, NULL);
  if (!model)
    return NULL;
  model->prepared = false;
  return model->parameters;
}

/* ---- derived values -------------------------------------------------------------------------- */

glow_status glow__node_prepare(glow_model *model, const glow__node *node) {
  glow_call call = {.model = model, .node = node, .prepares = true};
  glow_status status = glow__call_prepare(&call);
  return status == GLOW_OK ? GLOW_OK : glow__error_prefix(status, "layer '%s'", node->name);
}

typedef struct prepare_run {
  glow_model *model;
  int32_t failed; /* first node that failed, or node_count */
} prepare_run;

static void prepare_one(void *arg, uint32_t task, uint32_t worker) {
  prepare_run *run = arg;
  (void)worker;
  if (glow__node_prepare(run->model, &run->model->nodes[task]) == GLOW_OK)
    return;
  int32_t seen = __atomic_load_n(&run->failed, __ATOMIC_RELAXED);
  while ((int32_t)task < seen &&
         !__atomic_compare_exchange_n(&run->failed, &seen, (int32_t)task, false, __ATOMIC_RELAXED,
                                      __ATOMIC_RELAXED)) {
  }
}

glow_status glow_model_prepare(glow_model *model) {
  GLOW_LIVE(model, MODEL);
  if (!model)
    return glow_error(GLOW_E_ARGUMENT, "glow_model_prepare: NULL argument");
  prepare_run run = {model, model->node_count};
  model->prepared = false;
  glow_context_run(model->context, (uint32_t)model->node_count, prepare_one, &run);
  if (run.failed < model->node_count) /* once more, for the error text on this thread */
    return glow__node_prepare(model, &model->nodes[run.failed]);
  glow__model_ready(model);
  return GLOW_OK;
}

int32_t glow_model_initialised(const glow_model *model) {
  GLOW_LIVE_OR(model, MODEL, 0);
  return model && model->initialised;
}

glow_status glow_model_set_initialised(glow_model *model) {
  GLOW_LIVE(model, MODEL);
  if (!model)
    return glow_error(GLOW_E_ARGUMENT, "glow_model_set_initialised: NULL argument");
  model->initialised = true;
  return GLOW_OK;
}

/* ---- for train/ and io/ ---------------------------------------------------------------------- */

bool glow__model_prepared(const glow_model *model) {
  return model->prepared;
}

void glow__model_adopt(glow_model *model, void *memory, int64_t bytes,
                       void (*release)(void *memory, int64_t bytes)) {
  model->adopted_memory = memory;
  model->adopted_bytes = bytes;
  model->adopted_release = release;
}

int64_t glow__model_prepare_work(const glow_model *model, int32_t index) {
  return model->nodes[index].prepare_work;
}

bool glow__model_adopted(const glow_model *model) {
  return model->adopted;
}

const char *glow__model_nonfinite_layer(const glow_model *model, const float *flat) {
  for (int32_t i = model->node_count - 1; i >= 0; i--) {
    const glow__node *node = &model->nodes[i];
    for (int64_t j = 0; j < node->parameters; j++)
      if (!isfinite(flat[node->first_parameter + j]))
        return node->name;
  }
  return NULL;
}

glow_status glow__check_copies(const glow_model *model) {
  if (model->is_inference_form)
    return glow_error(GLOW_E_UNSUPPORTED, "an inference form can be neither saved nor copied: "
                                          "use the model that it was made from");
  return GLOW_OK;
}

glow_status glow__model_save_layer(const glow_model *model, int32_t index, glow__config *config) {
  const glow__node *node = &model->nodes[index];
  GLOW_TRY(glow__check_copies(model));
  glow_status status = glow__layer_save(node->layer, config);
  return status == GLOW_OK ? GLOW_OK : glow__error_prefix(status, "layer '%s'", node->name);
}
