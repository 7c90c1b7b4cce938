/* glow_builder: puts layers together into a model. Shapes are checked at every step.
 * SPDX-License-Identifier: MIT */
#include <math.h>
#include <string.h>

#include "host/workspace.h"

static glow_status check_input(const glow_shape *input, int64_t *dims) {
  if (input->height < 1 || input->width < 1 || input->channels < 1)
    return glow_error(
        GLOW_E_SHAPE, "input of %lld x %lld pixels and %lld channels: all must be 1 or more",
        (long long)input->height, (long long)input->width, (long long)input->channels);
  if (!glow_size_multiply(input->height, input->width, dims) ||
      !glow_size_multiply(*dims, input->channels, dims) || *dims > (int64_t)1 << 40)
    return glow_error(GLOW_E_LIMIT, "input of %lld x %lld x %lld is too large",
                      (long long)input->height, (long long)input->width,
                      (long long)input->channels);
  return GLOW_OK;
}

static const glow_option rows[] = {
    GLOW_OPTION(glow_builder_options, bits, INT32, .high = 8, .fallback = 8),
    GLOW_OPTION(glow_builder_options, reserved, RESERVED),
};
static const glow_options_table table = {GLOW_OPTIONS_TABLE(glow_builder_options, rows)};

glow_status glow_builder_create(glow_context *context, const glow_shape *input,
                                const glow_builder_options *options, glow_builder **out) {
  glow_builder_options o;
  int64_t dims = 0;
  if (out)
    *out = NULL;
  GLOW_LIVE(context, CONTEXT);
  if (!context || !input || !out)
    return glow_error(GLOW_E_ARGUMENT, "glow_builder_create: NULL argument");
  GLOW_TRY(glow_options_read(&table, options, &o));
  GLOW_TRY(check_input(input, &dims));
  glow_builder *builder = glow_allocate(context, sizeof *builder);
  glow_model *model = glow_allocate(context, sizeof *model);
  if (!builder || !model) {
    glow_release(context, builder);
    glow_release(context, model);
    return GLOW_E_MEMORY;
  }
  model->context = glow__context_hold(context);
  model->references = 1;
  model->input = *input;
  model->dims = dims;
  model->bits = o.bits;
  builder->context = glow__context_hold(context);
  builder->model = model;
  builder->shape = *input;
  glow__live_add(builder, GLOW_LIVE_BUILDER);
  glow__live_add(model, GLOW_LIVE_MODEL);
  *out = builder;
  return GLOW_OK;
}

/* The handle alone, whose model has gone or has become the caller's. */
static void builder_free(glow_builder *builder) {
  glow_context *context = builder->context;
  glow__values_free(context, builder->values);
  glow_release(context, builder);
  glow__context_drop(context);
}

void glow_builder_destroy(glow_builder **builder) {
  if (!builder || !*builder)
    return;
  GLOW_LIVE_END(*builder, BUILDER);
  glow_builder *b = *builder;
  glow__model_free(b->model);
  builder_free(b);
  *builder = NULL;
}

glow_status glow__check_layer_name(const glow_model *model, const char *name) {
  if (!name || !*name || strlen(name) > 200)
    return glow_error(GLOW_E_ARGUMENT, "a layer needs a name of 1 to 200 bytes");
  for (const char *c = name; *c; c++)
    if ((unsigned char)*c <= ' ' || *c == 127)
      return glow_error(GLOW_E_ARGUMENT, "layer name '%s' has a space or control character", name);
  if (strchr(name, '/')) /* a checkpoint's tensors are called NAME/part */
    return glow_error(GLOW_E_ARGUMENT, "layer name '%s' has a '/'", name);
  for (int32_t i = 0; i < model->node_count; i++)
    if (strcmp(model->nodes[i].name, name) == 0)
      return glow_error(GLOW_E_ARGUMENT, "layer name '%s' is taken", name);
  return GLOW_OK;
}

glow_status glow__reserve_node(glow_model *model) {
  if (model->node_count < model->node_capacity)
    return GLOW_OK;
  int32_t capacity = model->node_capacity ? 2 * model->node_capacity : 16;
  if (model->node_count >= GLOW_MAX_LAYERS)
    return glow_error(GLOW_E_LIMIT, "more than %d layers", GLOW_MAX_LAYERS);
  glow__node *more = glow_allocate(model->context, (size_t)capacity * sizeof *more);
  if (!more)
    return GLOW_E_MEMORY;
  if (model->nodes)
    memcpy(more, model->nodes, (size_t)model->node_count * sizeof *more);
  glow_release(model->context, model->nodes);
  model->nodes = more;
  model->node_capacity = capacity;
  return GLOW_OK;
}

/* As many elements go in as come out, as output or as latents. */
static glow_status check_output(glow__node *node) {
  if (node->out.height == 0)
    node->out_size = 0;
  else if (node->out.height < 1 || node->out.width < 1 || node->out.channels < 1)
    return glow_error(GLOW_E_SHAPE, "the output shape is not valid");
  else
    node->out_size = glow_shape_size(&node->out);
  if (node->out_size < 0 || node->out_size + node->latent_size != node->in_size)
    return glow_error(GLOW_E_SHAPE, "%lld elements go in, %lld elements and %lld latents come out",
                      (long long)node->in_size, (long long)node->out_size,
                      (long long)node->latent_size);
  return GLOW_OK;
}

static glow_status no_fixed_scratch(const glow__node *node) {
  if (!glow__by_tasks(node))
    for (int32_t i = 0; i < node->scratch.count; i++)
      if (node->scratch.at[i].backward)
        return glow_error(GLOW_E_ARGUMENT, "a layer run by samples cannot have backward scratch");
  return GLOW_OK;
}

/* Most layers declare few of the many regions that glow_setup has room for. */
static glow_status keep_regions(glow_context *context, glow__node *node) {
  glow__regions *all[] = {&node->scratch, &node->worker, &node->stored};
  size_t count = 0;
  for (int i = 0; i < 3; i++)
    count += (size_t)all[i]->count;
  node->regions = count ? glow_allocate(context, count * sizeof *node->regions) : NULL;
  if (count && !node->regions)
    return GLOW_E_MEMORY;
  for (int i = 0, at = 0; i < 3; at += all[i++]->count) {
    const void *from = all[i]->at;
    all[i]->at = node->regions ? node->regions + at : NULL;
    if (all[i]->at && all[i]->count)
      memcpy(all[i]->at, from, (size_t)all[i]->count * sizeof *node->regions);
  }
  return GLOW_OK;
}

static glow_status builder_check_nets(const glow_layer *layer) {
  for (int32_t i = 0; i < layer->ops.net_count; i++)
    if (!layer->nets[i]->configured)
      return glow_error(GLOW_E_STATE, "net '%s' was not configured (glow_setup_net)",
                        layer->ops.nets[i].prefix);
  return GLOW_OK;
}

/* Places one part's derived values after those before it; each size was checked to be far from
 * overflow. */
static void place_part(glow__part *part, int64_t *total) {
  part->derived_offset = *total;
  *total += (int64_t)((part->derived_bytes + GLOW_ALIGN - 1) / GLOW_ALIGN * GLOW_ALIGN);
}

/* Bytes of the derived values of a layer and its nets. */
static int64_t place_derived(glow_layer *layer) {
  int64_t total = 0;
  place_part(&layer->part, &total);
  for (int32_t i = 0; i < layer->ops.net_count; i++)
    place_part(&layer->nets[i]->part, &total);
  return total;
}

static glow_status builder_configure(glow_builder *builder, glow__node *node) {
  glow_model *model = builder->model;
  glow_layer *layer = node->layer;
  glow_setup setup = {.model = model, .node = node, .part = &layer->part};
  node->scratch.at = setup.regions[0];
  node->worker.at = setup.regions[1];
  node->stored.at = setup.regions[2];
  node->in = builder->shape;
  node->in_size = glow_shape_size(&node->in);
  node->first_tensor = model->tensor_count;
  node->first_parameter = model->parameter_count;
  node->latent_density = GLOW_DENSITY_GAUSSIAN;
  GLOW_TRY(layer->ops.configure(layer->self, &setup, &node->in, &node->out));
  GLOW_TRY(builder_check_nets(layer));
  GLOW_TRY(check_output(node));
  GLOW_TRY(no_fixed_scratch(node));
  if (node->classes && !node->unlabelled)
    model->needs_class = true;
  if (glow__layer_flags(layer) & GLOW_LAYER_INFERENCE_ONLY)
    model->inference_only = true;
  GLOW_TRY(keep_regions(model->context, node));
  if (node->latent_size) {
    node->latent_offset = model->dims - node->in_size; /* everything else is latents already */
    model->latent_count++;
  }
  node->derived_offset = model->derived_size;
  model->derived_size += place_derived(layer);
  return GLOW_OK;
}

static glow_status builder_add(glow_builder *builder, const char *name, glow_layer *layer) {
  glow_model *model = builder->model;
  GLOW_TRY(glow__check_layer_name(model, name));
  if (builder->shape.height == 0)
    return glow_error(GLOW_E_SHAPE, "layer '%s' comes after '%s', which leaves no elements", name,
                      model->nodes[model->node_count - 1].name);
  if (layer->context != model->context)
    return glow_error(GLOW_E_ARGUMENT, "layer '%s' was made with another context", name);
  GLOW_TRY(glow__reserve_node(model));
  glow__node *node = &model->nodes[model->node_count];
  memset(node, 0, sizeof *node);
  node->layer = layer;
  node->name = glow__model_name(model, strlen(name) + 1);
  if (!node->name)
    return GLOW_E_MEMORY;
  memcpy(node->name, name, strlen(name) + 1);
  glow_status status = builder_configure(builder, node);
  if (status != GLOW_OK) {
    node->layer = NULL; /* the caller of this function destroys it */
    glow__error_prefix(status, "layer '%s' (%s) after shape %lld x %lld x %lld", name,
                       layer->ops.type, (long long)builder->shape.height,
                       (long long)builder->shape.width, (long long)builder->shape.channels);
    return status;
  }
  builder->shape = node->out;
  model->node_count++;
  return GLOW_OK;
}

glow_status glow_builder_add(glow_builder *builder, const char *name, glow_layer **layer) {
  GLOW_LIVE(builder, BUILDER);
  if (!layer || !*layer)
    return glow_error(GLOW_E_ARGUMENT, "glow_builder_add: no layer");
  GLOW_LIVE(*layer, LAYER);
  glow_status status = GLOW_OK;
  if (!builder)
    status = glow_error(GLOW_E_ARGUMENT, "glow_builder_add: no builder");
  else if (builder->failed)
    status = glow_error(GLOW_E_STATE, "the builder has failed before");
  else
    status = builder_add(builder, name, *layer);
  if (status != GLOW_OK) {
    if (builder)
      builder->failed = true;
    glow_layer_destroy(layer);
  }
  *layer = NULL;
  return status;
}

glow_status glow_builder_shape(const glow_builder *builder, glow_shape *out) {
  GLOW_LIVE(builder, BUILDER);
  if (!builder || !out)
    return glow_error(GLOW_E_ARGUMENT, "glow_builder_shape: NULL argument");
  *out = builder->shape;
  return GLOW_OK;
}

const glow_model *glow__builder_model(const glow_builder *builder) {
  return builder->model;
}

static glow_status builder_allocate(glow_model *model) {
  glow_context *context = model->context;
  if (!model->parameters)
    model->parameters =
        glow__allocate_spread(context, (size_t)model->parameter_count * sizeof(float) + 1);
  model->fixed = glow_allocate(context, (size_t)model->fixed_count * 4 + 1);
  model->derived = glow_allocate(context, (size_t)model->derived_size + 1);
  if (!model->parameters || !model->fixed || !model->derived)
    return GLOW_E_MEMORY;
  model->initialised = true;
  for (int32_t i = 0; i < model->node_count; i++)
    if (model->nodes[i].rounds)
      model->initialised = false;
  return GLOW_OK;
}

/* Each layer writes the starting values of its tensors. */
glow_status glow__reset_layers(glow_model *model, void *arg) {
  (void)arg;
  for (int32_t i = 0; i < model->node_count; i++) {
    const glow__node *node = &model->nodes[i];
    glow_call call = {.model = model, .node = node, .may_write = true};
    glow_status status = glow__call_reset(&call);
    if (status != GLOW_OK)
      return glow__error_prefix(status, "layer '%s'", node->name);
  }
  return GLOW_OK;
}

static glow_status builder_check_end(const glow_builder *builder) {
  const glow_shape *left = &builder->shape;
  if (builder->failed)
    return glow_error(GLOW_E_STATE, "the builder has failed before");
  if (left->height != 0)
    return glow_error(GLOW_E_SHAPE,
                      "%lld x %lld x %lld elements are left: the last layer must be a prior",
                      (long long)left->height, (long long)left->width, (long long)left->channels);
  return GLOW_OK;
}

glow_status glow__builder_bytes(const glow_builder *builder, uint64_t *model, uint64_t *workspace) {
  const glow_model *m = builder->model;
  GLOW_TRY(builder_check_end(builder));
  *model = glow_model_bytes(m);
  return workspace ? glow_workspace_plan_bytes(m, NULL, workspace) : GLOW_OK;
}

static glow_status builder_finish(const glow_builder *builder, glow__read_fn read, void *arg) {
  GLOW_TRY(builder_check_end(builder));
  GLOW_TRY(builder_allocate(builder->model));
  GLOW_TRY(read(builder->model, arg));
  glow__values_write(builder->values, builder->model);
  return glow_model_prepare(builder->model);
}

glow_status glow__builder_finish_from(glow_builder **builder, glow__read_fn read, void *arg,
                                      glow_model **out) {
  glow_status status = builder_finish(*builder, read, arg);
  if (status != GLOW_OK) {
    glow_builder_destroy(builder);
    return status;
  }
  *out = (*builder)->model;
  glow__live_remove(*builder, GLOW_LIVE_BUILDER);
  builder_free(*builder);
  *builder = NULL;
  return GLOW_OK;
}

glow_status glow__builder_finish_at(glow_builder **builder, glow__read_fn read, void *arg,
                                    float *parameters, glow_model **out) {
  glow_model *model = (*builder)->model;
  const size_t bytes = (size_t)model->parameter_count * sizeof(float) + 1;
  model->adopted = parameters != NULL;
  model->parameters = parameters ? parameters : glow__allocate_unset(model->context, bytes);
  if (model->parameters) /* owned by the model from here on, also on failure */
    return glow__builder_finish_from(builder, read, arg, out);
  glow_builder_destroy(builder);
  return GLOW_E_MEMORY;
}

glow_status glow_builder_finish(glow_builder **builder, glow_model **out) {
  if (out)
    *out = NULL;
  if (!builder || !*builder)
    return glow_error(GLOW_E_ARGUMENT, "glow_builder_finish: no builder");
  GLOW_LIVE(*builder, BUILDER);
  if (out)
    return glow__builder_finish_from(builder, glow__reset_layers, NULL, out);
  glow_status status = glow_error(GLOW_E_ARGUMENT, "glow_builder_finish: NULL argument");
  glow_builder_destroy(builder); /* perhaps with the context, which has been told */
  return status;
}
