/* glow_setup: what a layer declares while a model is built. SPDX-License-Identifier: MIT */
#include <stdio.h>
#include <string.h>

#include "host/model.h"

glow_context *glow_setup_context(glow_setup *setup) {
  return setup ? setup->model->context : NULL;
}

glow_status glow_setup_push(glow_setup *setup, const char *prefix) {
  if (!setup || !prefix)
    return glow_error(GLOW_E_ARGUMENT, "glow_setup_push: NULL argument");
  size_t used = strlen(setup->prefix);
  int wanted = snprintf(setup->prefix + used, sizeof setup->prefix - used, "%s.", prefix);
  if (wanted < 0 || (size_t)wanted >= sizeof setup->prefix - used) {
    setup->prefix[used] = '\0';
    return glow_error(GLOW_E_LIMIT, "prefix '%s' is too long", prefix);
  }
  return GLOW_OK;
}

void glow_setup_pop(glow_setup *setup) {
  if (!setup)
    return;
  size_t length = strlen(setup->prefix);
  while (length > 1 && setup->prefix[length - 2] != '.')
    length--;
  setup->prefix[length ? length - 1 : 0] = '\0';
}

static char *whole_name(glow_setup *setup, const char *name) {
  size_t size = strlen(setup->node->name) + 1 + strlen(setup->prefix) + strlen(name) + 1;
  char *whole = glow__model_name(setup->model, size);
  if (whole)
    snprintf(whole, size, "%s.%s%s", setup->node->name, setup->prefix, name);
  return whole;
}

glow_status glow__reserve_tensor(glow_model *model) {
  if (model->tensor_count < model->tensor_capacity)
    return GLOW_OK;
  int32_t capacity = model->tensor_capacity ? 2 * model->tensor_capacity : 64;
  if (capacity > (1 << 24))
    return glow_error(GLOW_E_LIMIT, "more than %d tensors", model->tensor_capacity);
  glow__tensor *more = glow_allocate(model->context, (size_t)capacity * sizeof *more);
  if (!more)
    return GLOW_E_MEMORY;
  if (model->tensors)
    memcpy(more, model->tensors, (size_t)model->tensor_count * sizeof *more);
  glow_release(model->context, model->tensors);
  model->tensors = more;
  model->tensor_capacity = capacity;
  return GLOW_OK;
}

static glow_status setup_check_tensor(const char *name, int32_t type, int32_t trainable,
                                      int32_t rank, const int64_t *dims, int64_t *elements) {
  if (!name || !*name || !dims || rank < 1 || rank > GLOW_MAX_RANK)
    return glow_error(GLOW_E_ARGUMENT, "a tensor needs a name and 1 to %d dimensions",
                      GLOW_MAX_RANK);
  if ((type != GLOW_TYPE_F32 && type != GLOW_TYPE_I32) || (trainable && type != GLOW_TYPE_F32))
    return glow_error(GLOW_E_ARGUMENT, "tensor '%s': type is %d; it must be GLOW_TYPE_F32 (%d)%s",
                      name, (int)type, GLOW_TYPE_F32,
                      trainable ? "; it is trained" : " or GLOW_TYPE_I32");
  *elements = 1;
  for (int32_t i = 0; i < rank; i++)
    if (dims[i] < 1 || !glow_size_multiply(*elements, dims[i], elements) ||
        *elements > INT64_MAX / 64)
      return glow_error(GLOW_E_LIMIT, "tensor '%s': dimension %d is %lld", name, i,
                        (long long)dims[i]);
  return GLOW_OK;
}

glow_status glow_setup_tensor(glow_setup *setup, const char *name, int32_t type, int32_t trainable,
                              int32_t rank, const int64_t *dims, int32_t *id) {
  int64_t elements = 0;
  if (!setup || !id)
    return glow_error(GLOW_E_ARGUMENT, "glow_setup_tensor: NULL argument");
  GLOW_TRY(setup_check_tensor(name, type, trainable, rank, dims, &elements));
  glow_model *model = setup->model;
  int64_t *total = trainable ? &model->parameter_count : &model->fixed_count;
  int64_t after = 0;
  if (!glow_size_add(*total, elements, &after) || after > INT64_MAX / 64)
    return glow_error(GLOW_E_LIMIT, "tensor '%s': the model has too many parameters", name);
  GLOW_TRY(glow__reserve_tensor(model));
  char *whole = whole_name(setup, name);
  if (!whole)
    return GLOW_E_MEMORY;
  glow__tensor *tensor = &model->tensors[model->tensor_count];
  *tensor = (glow__tensor){.name = whole,
                           .type = type,
                           .trainable = trainable != 0,
                           .rank = rank,
                           .elements = elements,
                           .offset = *total};
  for (int32_t i = 0; i < GLOW_MAX_RANK; i++)
    tensor->dims[i] = i < rank ? dims[i] : 1;
  *total = after;
  *id = setup->node->tensors++;
  model->tensor_count++;
  if (trainable)
    setup->node->parameters += elements;
  return GLOW_OK;
}

glow_status glow_setup_weights(glow_setup *setup, const char *name, int32_t rank,
                               const int64_t *dims, int32_t *id) {
  GLOW_TRY(glow_setup_tensor(setup, name, GLOW_TYPE_F32, 1, rank, dims, id));
  setup->model->tensors[setup->model->tensor_count - 1].weights = true;
  return GLOW_OK;
}

glow_status glow_setup_running_average(glow_setup *setup, const char *name, int32_t rank,
                                       const int64_t *dims, double momentum, int32_t *id) {
  if (!setup)
    return glow_error(GLOW_E_ARGUMENT, "setup is NULL");
  if (!glow__by_tasks(setup->node))
    return glow_error(GLOW_E_ARGUMENT, "a layer run by samples has no running averages: its blocks "
                                       "do not see the whole batch");
  if (!(momentum > 0 && momentum <= 1))
    return glow_error(GLOW_E_ARGUMENT, "momentum is %g; it must be above 0 and at most 1",
                      momentum);
  GLOW_TRY(glow_setup_tensor(setup, name, GLOW_TYPE_F32, 0, rank, dims, id));
  glow_model *model = setup->model;
  glow__tensor *tensor = &model->tensors[model->tensor_count - 1];
  tensor->running = true;
  tensor->momentum = (float)momentum;
  tensor->observed = model->observed_count;
  model->observed_count += tensor->elements; /* at most fixed_count, which was checked */
  return GLOW_OK;
}

static glow_status add_region(glow__regions *regions, const glow__region *region, int32_t *id) {
  if (!id || region->fixed < 0 || region->per_sample < 0)
    return glow_error(GLOW_E_ARGUMENT,
                      "a region needs sizes of 0 or more and a place for its number");
  if (regions->count == GLOW_MAX_REGIONS) /* what glow_setup has room for */
    return glow_error(GLOW_E_LIMIT, "more than %d regions", GLOW_MAX_REGIONS);
  regions->at[regions->count] = *region;
  *id = regions->count++;
  return GLOW_OK;
}

static glow_status add_call_region(glow_setup *setup, glow__regions *regions, int64_t fixed,
                                   int64_t per_sample, bool backward, int32_t *id) {
  if (!setup)
    return glow_error(GLOW_E_ARGUMENT, "setup is NULL");
  const glow__region region = {fixed, per_sample, false, backward, false};
  return add_region(regions, &region, id);
}

glow_status glow_setup_scratch(glow_setup *setup, int64_t fixed, int64_t per_sample, int32_t *id) {
  return add_call_region(setup, setup ? &setup->node->scratch : NULL, fixed, per_sample, false, id);
}

glow_status glow_setup_backward_scratch(glow_setup *setup, int64_t fixed, int64_t per_sample,
                                        int32_t *id) {
  return add_call_region(setup, setup ? &setup->node->scratch : NULL, fixed, per_sample, true, id);
}

glow_status glow_setup_block_scratch(glow_setup *setup, int64_t per_sample, int64_t most,
                                     int32_t *id) {
  const glow__region region = {most, per_sample, true, true, false};
  if (!setup)
    return glow_error(GLOW_E_ARGUMENT, "setup is NULL");
  return add_region(&setup->node->scratch, &region, id);
}

glow_status glow_setup_packed(glow_setup *setup, int64_t floats, int32_t backward, int32_t *id) {
  const glow__region region = {floats, 0, false, backward != 0, true};
  if (!setup)
    return glow_error(GLOW_E_ARGUMENT, "setup is NULL");
  return add_region(&setup->node->scratch, &region, id);
}

glow_status glow_setup_worker_scratch(glow_setup *setup, int64_t floats, int32_t *id) {
  return add_call_region(setup, setup ? &setup->node->worker : NULL, floats, 0, false, id);
}

glow_status glow_setup_stored(glow_setup *setup, int64_t fixed, int64_t per_sample, int32_t *id) {
  if (setup && fixed && !glow__by_tasks(setup->node))
    return glow_error(
        GLOW_E_ARGUMENT,
        "a layer run by samples can store only per sample: its blocks run at the same time");
  return add_call_region(setup, setup ? &setup->node->stored : NULL, fixed, per_sample, false, id);
}

/* The most that can be said stands for all that is more. */
static void add_work(int64_t *work, int64_t more) {
  if (!glow_size_add(*work, more, work))
    *work = INT64_MAX;
}

glow_status glow_setup_work(glow_setup *setup, int64_t forward, int64_t inverse) {
  if (!setup || forward < 0 || inverse < 0)
    return glow_error(GLOW_E_ARGUMENT, "glow_setup_work: no setup, or a negative count");
  add_work(&setup->node->forward_work, forward);
  add_work(&setup->node->inverse_work, inverse);
  return GLOW_OK;
}

glow_status glow_setup_prepare_work(glow_setup *setup, int64_t work) {
  if (!setup || work < 0)
    return glow_error(GLOW_E_ARGUMENT, "glow_setup_prepare_work: no setup, or a negative count");
  add_work(&setup->node->prepare_work, work);
  return GLOW_OK;
}

glow_status glow_setup_derived(glow_setup *setup, size_t bytes) {
  if (!setup || bytes > (size_t)INT64_MAX / 64)
    return glow_error(GLOW_E_ARGUMENT, "glow_setup_derived: no setup, or too many bytes");
  if (setup->part->derived_bytes)
    return glow_error(GLOW_E_STATE, "glow_setup_derived is called twice");
  setup->part->derived_bytes = bytes;
  return GLOW_OK;
}

/* Elements of a shape that a layer declares. */
static glow_status setup_check_shape(const char *function, const glow_shape *shape, int64_t *size) {
  if (!shape || shape->height < 1 || shape->width < 1 || shape->channels < 1 ||
      !glow_size_multiply(shape->height, shape->width, size) ||
      !glow_size_multiply(*size, shape->channels, size) || *size > (int64_t)1 << 40)
    return glow_error(GLOW_E_ARGUMENT,
                      "%s: a shape with sides of 1 or more, and at most 2^40 elements, is needed",
                      function);
  return GLOW_OK;
}

glow_status glow_setup_latents(glow_setup *setup, const glow_shape *shape) {
  int64_t size = 0;
  if (!setup)
    return glow_error(GLOW_E_ARGUMENT, "setup is NULL");
  GLOW_TRY(setup_check_shape("glow_setup_latents", shape, &size));
  setup->node->latent_shape = *shape;
  setup->node->latent_size = size;
  return GLOW_OK;
}

glow_status glow_setup_latent_density(glow_setup *setup, int32_t density) {
  if (!setup || density < GLOW_DENSITY_GAUSSIAN || density > GLOW_DENSITY_LOGISTIC)
    return glow_error(GLOW_E_ARGUMENT,
                      "density is %d; it must be GLOW_DENSITY_GAUSSIAN (%d) or _LOGISTIC (%d)",
                      (int)density, GLOW_DENSITY_GAUSSIAN, GLOW_DENSITY_LOGISTIC);
  setup->node->latent_density = density;
  return GLOW_OK;
}

glow_status glow_setup_labels(glow_setup *setup, int32_t classes) {
  if (!setup || classes < 1)
    return glow_error(GLOW_E_ARGUMENT, "glow_setup_labels: one class or more is needed");
  int32_t *have = &setup->model->classes;
  if (*have && *have != classes)
    return glow_error(GLOW_E_SHAPE, "labels of %d classes, but an earlier layer has %d", classes,
                      *have);
  *have = classes;
  setup->node->classes = classes;
  return GLOW_OK;
}

glow_status glow_setup_unlabelled(glow_setup *setup) {
  if (!setup || !setup->node->classes)
    return glow_error(GLOW_E_ARGUMENT, "glow_setup_unlabelled: call glow_setup_labels first");
  setup->node->unlabelled = true;
  return GLOW_OK;
}

glow_status glow_setup_logits(glow_setup *setup, int64_t count) {
  if (!setup || count < 1 || count > 1 << 24)
    return glow_error(GLOW_E_ARGUMENT, "glow_setup_logits: 1 to 2^24 logits");
  const glow_layer_ops *ops = &setup->node->layer->ops;
  if (!ops->logits || !ops->logits_backward)
    return glow_error(GLOW_E_ARGUMENT,
                      "glow_setup_logits: the layer's table has no logits or no logits_backward");
  if (setup->model->logits)
    return glow_error(GLOW_E_STATE, "the model already has logits from another layer");
  setup->node->logits = setup->model->logits = count;
  return GLOW_OK;
}

glow_status glow_setup_condition(glow_setup *setup, const glow_shape *shape) {
  int64_t size = 0;
  if (!setup)
    return glow_error(GLOW_E_ARGUMENT, "setup is NULL");
  GLOW_TRY(setup_check_shape("glow_setup_condition", shape, &size));
  glow_model *model = setup->model;
  if (model->condition_size && memcmp(&model->condition, shape, sizeof *shape) != 0)
    return glow_error(GLOW_E_SHAPE,
                      "a condition of %lld x %lld x %lld, but an earlier layer reads one of "
                      "%lld x %lld x %lld: all layers read the same one",
                      (long long)shape->height, (long long)shape->width, (long long)shape->channels,
                      (long long)model->condition.height, (long long)model->condition.width,
                      (long long)model->condition.channels);
  model->condition = *shape;
  model->condition_size = size;
  setup->node->conditioned = true;
  return GLOW_OK;
}

/* Rounds of one part come after those of the parts before it. */
glow_status glow_setup_initialise(glow_setup *setup, int32_t rounds, size_t bytes) {
  if (!setup || rounds < 1 || rounds > 1000 || bytes > (size_t)INT64_MAX / 64)
    return glow_error(GLOW_E_ARGUMENT, "glow_setup_initialise: 1 to 1000 rounds");
  glow__node *node = setup->node;
  if (setup->part->rounds)
    return glow_error(GLOW_E_STATE, "glow_setup_initialise is called twice");
  if (!node->layer->ops.initialise)
    return glow_error(GLOW_E_ARGUMENT,
                      "glow_setup_initialise: the layer's table has no initialise");
  setup->part->first_round = node->rounds;
  setup->part->rounds = rounds;
  node->rounds += rounds;
  node->round_bytes = bytes > node->round_bytes ? bytes : node->round_bytes;
  return GLOW_OK;
}
