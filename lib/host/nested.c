/* Nested models: the layers of a block, which is a builder of its own, or of a finished model
 * become layers of the outer builder, under names with a prefix. A model that runs is flat: passes,
 * memory plans and files know nothing of nesting, and blocks may be nested as deeply as names have
 * room for.
 * SPDX-License-Identifier: MIT */
#include <stdio.h>
#include <string.h>

#include "host/run.h"

/* Values that a copied model brings, which replace the starting values. The tensors of its layers
 * follow each other in the outer model. */
struct glow__values {
  glow__values *next;
  int64_t first_parameter, parameters;
  int64_t first_fixed, fixed;
  float numbers[]; /* parameters, then fixed state */
};

void glow__values_write(const glow__values *values, glow_model *model) {
  for (const glow__values *v = values; v; v = v->next) {
    memcpy(model->parameters + v->first_parameter, v->numbers,
           (size_t)v->parameters * sizeof(float));
    memcpy((float *)model->fixed + v->first_fixed, v->numbers + v->parameters,
           (size_t)v->fixed * sizeof(float));
  }
}

void glow__values_free(glow_context *context, glow__values *values) {
  while (values) {
    glow__values *next = values->next;
    glow_release(context, values);
    values = next;
  }
}

/* ---- what all ways of nesting share ---------------------------------------------------------- */

/* "prefix.name" in memory of the context; NULL when out of memory. */
static char *nested_name(glow_context *context, const char *prefix, const char *name) {
  size_t size = strlen(prefix) + 1 + strlen(name) + 1;
  char *whole = glow_allocate(context, size);
  if (whole)
    snprintf(whole, size, "%s.%s", prefix, name);
  return whole;
}

/* The same in the model's memory for names. */
static char *moved_name(glow_model *to, const char *prefix, const char *name) {
  size_t size = strlen(prefix) + 1 + strlen(name) + 1;
  char *whole = glow__model_name(to, size);
  if (whole)
    snprintf(whole, size, "%s.%s", prefix, name);
  return whole;
}

static glow_status check_fit(const glow_builder *builder, const char *name,
                             const glow_model *inner) {
  const glow_shape *have = &builder->shape, *want = &inner->input;
  if (!name || !*name)
    return glow_error(GLOW_E_ARGUMENT, "a block needs a name");
  if (have->height != want->height || have->width != want->width ||
      have->channels != want->channels)
    return glow_error(
        GLOW_E_SHAPE,
        "block '%s' takes %lld x %lld x %lld, but the model has %lld x %lld x %lld here", name,
        (long long)want->height, (long long)want->width, (long long)want->channels,
        (long long)have->height, (long long)have->width, (long long)have->channels);
  return GLOW_OK;
}

/* As with single layers, the builder has failed if something cannot be added. */
static glow_status nested_settle(glow_builder *builder, glow_status status) {
  if (status != GLOW_OK)
    builder->failed = true;
  return status;
}

static glow_status check_builder(const glow_builder *builder, const char *function) {
  if (!builder)
    return glow_error(GLOW_E_ARGUMENT, "%s: no builder", function);
  return builder->failed ? glow_error(GLOW_E_STATE, "the builder has failed before") : GLOW_OK;
}

/* ---- a block that is taken over -------------------------------------------------------------- */

/* Where the values of the block begin in the outer model. */
typedef struct bases {
  int64_t parameters, fixed, derived, observed, latents;
} bases;

/* Moves the tensors of a node. Once moved, they no longer belong to the block. */
static glow_status move_tensors(glow_model *to, glow_model *from, const glow__node *node,
                                const char *prefix, const bases *base) {
  for (int32_t t = 0; t < node->tensors; t++) {
    glow__tensor *tensor = &from->tensors[node->first_tensor + t];
    GLOW_TRY(glow__reserve_tensor(to));
    char *name = moved_name(to, prefix, tensor->name);
    if (!name)
      return GLOW_E_MEMORY;
    glow__tensor *moved = &to->tensors[to->tensor_count++];
    *moved = *tensor;
    moved->name = name;
    moved->offset += tensor->trainable ? base->parameters : base->fixed;
    moved->observed += base->observed;
  }
  return GLOW_OK;
}

static glow_status move_node(glow_model *to, glow_model *from, glow__node *node, const char *prefix,
                             const bases *base) {
  char *name = moved_name(to, prefix, node->name);
  int32_t first_tensor = to->tensor_count;
  if (!name)
    return GLOW_E_MEMORY;
  GLOW_TRY(glow__check_layer_name(to, name));
  GLOW_TRY(glow__reserve_node(to));
  GLOW_TRY(move_tensors(to, from, node, prefix, base));
  glow__node *moved = &to->nodes[to->node_count++];
  *moved = *node;
  node->layer = NULL;
  node->regions = NULL;
  moved->name = name;
  moved->first_tensor = first_tensor;
  moved->first_parameter += base->parameters;
  moved->derived_offset += base->derived;
  moved->latent_offset += base->latents;
  return GLOW_OK;
}

/* Labels, conditions and logits belong to the whole model. */
static glow_status join_inputs(glow_model *to, const glow_model *from) {
  if (from->classes && to->classes && from->classes != to->classes)
    return glow_error(GLOW_E_SHAPE, "labels of %d classes, but an earlier layer has %d",
                      from->classes, to->classes);
  if (from->condition_size && to->condition_size &&
      memcmp(&from->condition, &to->condition, sizeof from->condition) != 0)
    return glow_error(GLOW_E_SHAPE,
                      "the block reads a condition of %lld x %lld x %lld, but an earlier layer one "
                      "of %lld x %lld x %lld",
                      (long long)from->condition.height, (long long)from->condition.width,
                      (long long)from->condition.channels, (long long)to->condition.height,
                      (long long)to->condition.width, (long long)to->condition.channels);
  if (from->logits && to->logits)
    return glow_error(GLOW_E_STATE, "the model already has logits from another layer");
  to->logits = from->logits ? from->logits : to->logits;
  to->classes = from->classes ? from->classes : to->classes;
  if (from->condition_size) {
    to->condition = from->condition;
    to->condition_size = from->condition_size;
  }
  to->needs_class |= from->needs_class;
  to->inference_only |= from->inference_only;
  return GLOW_OK;
}

static glow_status move_layers(glow_builder *builder, const char *name, glow_builder *block) {
  glow_model *to = builder->model, *from = block->model;
  bases base = {to->parameter_count, to->fixed_count, to->derived_size, to->observed_count,
                to->dims - from->dims};
  int64_t parameters = 0, fixed = 0, derived = 0;
  if (block->failed)
    return glow_error(GLOW_E_STATE, "block '%s' has failed before", name ? name : "");
  if (to->context != from->context)
    return glow_error(GLOW_E_ARGUMENT, "block '%s' was made with another context",
                      name ? name : "");
  GLOW_TRY(check_fit(builder, name, from));
  if (!glow_size_add(base.parameters, from->parameter_count, &parameters) ||
      !glow_size_add(base.fixed, from->fixed_count, &fixed) ||
      !glow_size_add(base.derived, from->derived_size, &derived) || parameters > INT64_MAX / 64 ||
      fixed > INT64_MAX / 64 || derived > INT64_MAX / 64)
    return glow_error(GLOW_E_LIMIT, "block '%s': the model has too many parameters", name);
  GLOW_TRY(join_inputs(to, from));
  for (int32_t i = 0; i < from->node_count; i++)
    GLOW_TRY(move_node(to, from, &from->nodes[i], name, &base));
  for (glow__values *v = block->values, *next; v; v = next) {
    next = v->next;
    v->first_parameter += base.parameters;
    v->first_fixed += base.fixed;
    v->next = builder->values;
    builder->values = v;
  }
  block->values = NULL;
  to->parameter_count = parameters;
  to->fixed_count = fixed;
  to->derived_size = derived;
  to->observed_count += from->observed_count; /* at most fixed_count */
  to->latent_count += from->latent_count;
  builder->shape = block->shape;
  return GLOW_OK;
}

glow_status glow_builder_add_block(glow_builder *builder, const char *name, glow_builder **block) {
  GLOW_LIVE(builder, BUILDER);
  if (!block || !*block)
    return glow_error(GLOW_E_ARGUMENT, "glow_builder_add_block: no block");
  if (*block == builder)
    return glow_error(GLOW_E_ARGUMENT, "a builder cannot be its own block");
  glow_status status = check_builder(builder, "glow_builder_add_block");
  if (status == GLOW_OK)
    status = nested_settle(builder, move_layers(builder, name, *block));
  glow_builder_destroy(block);
  return status;
}

/* ---- copies ---------------------------------------------------------------------------------- */

static glow_status add_like(glow_builder *builder, const char *prefix, const glow_model *model,
                            int32_t index) {
  glow_context *context = builder->model->context;
  glow_layer *layer = NULL;
  char *name = nested_name(context, prefix, model->nodes[index].name);
  glow_status status = name ? GLOW_OK : GLOW_E_MEMORY;
  if (status == GLOW_OK) {
    status = glow__layer_like(model->nodes[index].layer, context, &layer);
    if (status != GLOW_OK)
      glow__error_prefix(status, "layer '%s'", name);
  }
  if (status == GLOW_OK)
    status = glow_builder_add(builder, name, &layer);
  glow_release(context, name);
  return status;
}

static glow_status add_copies(glow_builder *builder, const char *name, const glow_model *model,
                              int32_t count) {
  GLOW_TRY(glow__check_copies(model));
  if (!name || !*name)
    return glow_error(GLOW_E_ARGUMENT, "a block needs a name");
  for (int32_t i = 0; i < count; i++)
    GLOW_TRY(add_like(builder, name, model, i));
  return GLOW_OK;
}

glow_status glow_builder_add_copy(glow_builder *builder, const char *name,
                                  const glow_builder *block) {
  GLOW_LIVE(builder, BUILDER);
  GLOW_LIVE(block, BUILDER);
  GLOW_TRY(check_builder(builder, "glow_builder_add_copy"));
  if (!block || block == builder || block->failed)
    return nested_settle(builder,
                         glow_error(GLOW_E_ARGUMENT, "glow_builder_add_copy: %s",
                                    !block             ? "no block"
                                    : block == builder ? "a builder cannot be its own block"
                                                       : "the block has failed before"));
  return nested_settle(builder, add_copies(builder, name, block->model, block->model->node_count));
}

/* ---- a finished model ------------------------------------------------------------------------ */

/* Checks that the copies have the model's tensors: a factory might forget an option. */
static glow_status check_tensors(const glow_model *to, int32_t first, const glow_model *from,
                                 int32_t count) {
  bool same = to->tensor_count - first == count;
  for (int32_t t = 0; same && t < count; t++)
    same = glow__tensors_alike(&to->tensors[first + t], &from->tensors[t]);
  if (!same)
    return glow_error(GLOW_E_STATE, "the copies have other tensors than the model: some layer does "
                                    "not save all of its options");
  return GLOW_OK;
}

/* Parameters and fixed state of the model's first `layers` layers, for the builder to write. */
static glow_status keep_values(glow_builder *builder, const glow_model *from, int64_t parameters,
                               int64_t fixed) {
  glow_model *to = builder->model;
  size_t bytes = (size_t)(parameters + fixed) * sizeof(float);
  glow__values *v = glow_allocate(to->context, sizeof *v + bytes);
  if (!v)
    return GLOW_E_MEMORY;
  v->parameters = parameters;
  v->fixed = fixed;
  v->first_parameter = to->parameter_count - parameters;
  v->first_fixed = to->fixed_count - fixed;
  memcpy(v->numbers, from->parameters, (size_t)parameters * sizeof(float));
  memcpy(v->numbers + parameters, from->fixed, (size_t)fixed * sizeof(float));
  v->next = builder->values;
  builder->values = v;
  return GLOW_OK;
}

static glow_status add_model(glow_builder *builder, const char *name, const glow_model *model) {
  glow_model *to = builder->model;
  int32_t layers = model->node_count, first_node = to->node_count, first = to->tensor_count;
  GLOW_TRY(check_fit(builder, name, model));
  if (model->nodes[layers - 1].out_size == 0)
    layers--;
  int64_t parameters = to->parameter_count, fixed = to->fixed_count;
  int32_t tensors = 0;
  GLOW_TRY(add_copies(builder, name, model, layers));
  for (int32_t i = 0; i < layers; i++) {
    tensors += model->nodes[i].tensors;
    if (model->initialised) /* its values come with it */
      to->nodes[first_node + i].rounds = 0;
  }
  GLOW_TRY(check_tensors(to, first, model, tensors));
  return keep_values(builder, model, to->parameter_count - parameters, to->fixed_count - fixed);
}

glow_status glow_builder_add_model(glow_builder *builder, const char *name,
                                   const glow_model *model) {
  GLOW_LIVE(builder, BUILDER);
  GLOW_LIVE(model, MODEL);
  GLOW_TRY(check_builder(builder, "glow_builder_add_model"));
  if (!model)
    return nested_settle(builder, glow_error(GLOW_E_ARGUMENT, "glow_builder_add_model: no model"));
  return nested_settle(builder, add_model(builder, name, model));
}
