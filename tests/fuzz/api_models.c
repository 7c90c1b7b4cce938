/* Calls that make models by presets, ask them, and change them. SPDX-License-Identifier: MIT */
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <glow/sys/base.h>

#include "api.h"
#include "train/train.h"

/* ---- presets --------------------------------------------------------------------------------- */

/* Makes nets that fit, and some that do not; or fails. */
static glow_status condition_net(glow_context *context, const glow_conditioner_request *request,
                                 glow_net **out, void *payload) {
  int32_t form = *(const uint8_t *)payload % 5;
  glow_res_net_options res = GLOW_RES_NET_OPTIONS_INIT;
  glow_mlp_net_options mlp = GLOW_MLP_NET_OPTIONS_INIT;
  PROMISE(request->input.height > 0 && request->input.channels >= 0 && request->out_channels > 0);
  res.hidden = mlp.hidden = 2;
  res.blocks = mlp.depth = 1;
  res.condition = mlp.condition = request->condition;
  if (form == 1)
    return glow_res_net_create(context, &res, out);
  if (form == 2)
    return GLOW_OK; /* and no net */
  if (form == 3)
    return glow_error(GLOW_E_CANCELLED, "the caller's function gives up");
  return glow_mlp_net_create(context, &mlp, out);
}

/* 0: the preset's own nets. */
static glow_conditioner_fn conditioner(api *a, void **payload) {
  uint8_t *form = api_scratch(a, 1);
  *form = api_byte(a);
  *payload = form;
  return *form % 5 ? condition_net : NULL;
}

void api_model_glow(api *a) {
  static const api_field fields[] = {
      F(glow_glow_options, levels, SMALL, 0),
      F(glow_glow_options, depth, SMALL, 0),
      F(glow_glow_options, hidden, SMALL, 0),
      F(glow_glow_options, permutation, ENUM, GLOW_PERMUTATION_REVERSE),
      F(glow_glow_options, coupling, ENUM, GLOW_COUPLING_AFFINE),
      F(glow_glow_options, scale, ENUM, GLOW_SCALE_SIGMOID),
      F(glow_glow_options, floor, REAL, 0),
      F(glow_glow_options, net_actnorm, FLAG, 0),
      F(glow_glow_options, learn_top, FLAG, 0),
      F(glow_glow_options, classes, SMALL, 0),
      F(glow_glow_options, bits, SMALL, 0),
      F(glow_glow_options, seed, SEED, 0),
      F(glow_glow_options, border, FLAG, 0),
      F(glow_glow_options, spatial_top, FLAG, 0),
      F(glow_glow_options, classifier, FLAG, 0),
      F(glow_glow_options, unstandardised, FLAG, 0),
      F(glow_glow_options, condition, SHAPE, 0)};
  glow_glow_options o = GLOW_GLOW_OPTIONS_INIT;
  int32_t number;
  glow_context *context = api_context(a, &number);
  glow_model *model = NULL;
  o.input = api_shape(a);
  o.levels = 1;
  o.depth = 1;
  o.hidden = 2;
  o.conditioner = conditioner(a, &o.conditioner_payload);
  glow_status status = CALL(a, glow_model_create_glow(context, OPTIONS(a, o, fields, 3), &model));
  api_keep(a, API_MODEL, status, model, number, -1);
}

void api_model_realnvp(api *a) {
  static const api_field fields[] = {
      F(glow_realnvp_options, scales, SMALL, 0),    F(glow_realnvp_options, hidden, SMALL, 0),
      F(glow_realnvp_options, blocks, SMALL, 0),    F(glow_realnvp_options, weight_norm, FLAG, 0),
      F(glow_realnvp_options, batch_norm, FLAG, 0), F(glow_realnvp_options, bits, SMALL, 0),
      F(glow_realnvp_options, alpha, REAL, 0),      F(glow_realnvp_options, lag, REAL, 0),
      F(glow_realnvp_options, seed, SEED, 0),       F(glow_realnvp_options, condition, SHAPE, 0)};
  glow_realnvp_options o = GLOW_REALNVP_OPTIONS_INIT;
  int32_t number;
  glow_context *context = api_context(a, &number);
  glow_model *model = NULL;
  o.input = api_shape(a);
  o.scales = 1;
  o.hidden = 2;
  o.blocks = 1;
  o.conditioner = conditioner(a, &o.conditioner_payload);
  glow_status status =
      CALL(a, glow_model_create_realnvp(context, OPTIONS(a, o, fields, 3), &model));
  api_keep(a, API_MODEL, status, model, number, -1);
}

void api_model_nice(api *a) {
  static const api_field fields[] = {F(glow_nice_options, couplings, SMALL, 0),
                                     F(glow_nice_options, hidden, SMALL, 0),
                                     F(glow_nice_options, depth, SMALL, 0),
                                     F(glow_nice_options, density, ENUM, GLOW_DENSITY_GAUSSIAN),
                                     F(glow_nice_options, bits, SMALL, 0),
                                     F(glow_nice_options, from_data, FLAG, 0),
                                     F(glow_nice_options, unstandardised, FLAG, 0),
                                     F(glow_nice_options, seed, SEED, 0),
                                     F(glow_nice_options, condition, SHAPE, 0)};
  glow_nice_options o = GLOW_NICE_OPTIONS_INIT;
  int32_t number;
  glow_context *context = api_context(a, &number);
  glow_model *model = NULL;
  o.input = api_shape(a);
  o.couplings = 2;
  o.hidden = 3;
  o.depth = 1;
  o.conditioner = conditioner(a, &o.conditioner_payload);
  glow_status status = CALL(a, glow_model_create_nice(context, OPTIONS(a, o, fields, 3), &model));
  api_keep(a, API_MODEL, status, model, number, -1);
}

void api_model_vector(api *a) {
  static const api_field fields[] = {
      F(glow_vector_flow_options, dims, SIDE, 0),
      F(glow_vector_flow_options, condition, SIDE, 0),
      F(glow_vector_flow_options, steps, SMALL, 0),
      F(glow_vector_flow_options, hidden, SMALL, 0),
      F(glow_vector_flow_options, depth, SMALL, 0),
      F(glow_vector_flow_options, coupling, ENUM, GLOW_COUPLING_AFFINE),
      F(glow_vector_flow_options, scale, ENUM, GLOW_SCALE_SIGMOID),
      F(glow_vector_flow_options, bins, SMALL, 0),
      F(glow_vector_flow_options, bound, REAL, 0),
      F(glow_vector_flow_options, seed, SEED, 0),
      F(glow_vector_flow_options, unstandardised, FLAG, 0),
      F(glow_vector_flow_options, reserved, FLAG, 0)};
  glow_vector_flow_options o = GLOW_VECTOR_FLOW_OPTIONS_INIT;
  int32_t number;
  glow_context *context = api_context(a, &number);
  glow_model *model = NULL;
  o.steps = 1;
  o.hidden = 3;
  o.depth = 1;
  o.bins = 3;
  o.conditioner = conditioner(a, &o.conditioner_payload);
  glow_status status =
      CALL(a, glow_model_create_vector_flow(context, OPTIONS(a, o, fields, 4), &model));
  api_keep(a, API_MODEL, status, model, number, -1);
}

/* ---- asking ---------------------------------------------------------------------------------- */

static void check_tensors(const glow_model *model) {
  int64_t parameters = 0;
  for (int32_t i = 0; i < glow_model_tensor_count(model); i++) {
    glow_tensor_info info = GLOW_TENSOR_INFO_INIT, found = GLOW_TENSOR_INFO_INIT;
    int64_t elements = 1;
    PROMISE(glow_model_tensor(model, i, &info) == GLOW_OK);
    PROMISE(glow_model_find_tensor(model, info.name, &found) == GLOW_OK);
    PROMISE(found.name == info.name && found.elements == info.elements);
    for (int32_t k = 0; k < GLOW_MAX_RANK; k++)
      elements *= info.dims[k];
    PROMISE(elements == info.elements && elements > 0);
    PROMISE(info.trainable ? info.offset == parameters : info.offset == -1);
    parameters += info.trainable ? elements : 0;
  }
  PROMISE(parameters == glow_model_parameter_count(model));
}

static void check_latents(const glow_model *model) {
  int64_t dims = 0;
  for (int32_t i = 0; i < glow_model_latent_block_count(model); i++) {
    int64_t offset = -1;
    glow_shape shape;
    PROMISE(glow_model_latent_block(model, i, &offset, &shape) == GLOW_OK && offset == dims);
    dims += shape.height * shape.width * shape.channels;
  }
  PROMISE(dims == glow_model_dims(model));
}

void api_model_ask(api *a) {
  glow_model *model = api_object(a, api_pick(a, API_MODEL));
  glow_shape shape;
  glow_tensor_info info = GLOW_TENSOR_INFO_INIT;
  int32_t wrong = (int8_t)api_byte(a);
  CALL(a, glow_model_input_shape(model, wrong ? &shape : NULL));
  CALL(a, glow_model_condition_shape(model, &shape));
  CALL(a, glow_model_latent_block(model, wrong, NULL, &shape));
  CALL(a, glow_model_tensor(model, wrong, &info));
  CALL(a, glow_model_find_tensor(model, wrong % 2 ? "none" : NULL, &info));
  PROMISE(glow_model_layer_name(model, glow_model_layer_count(model)) == NULL);
  PROMISE(glow_model_layer_name(model, -1) == NULL && glow_model_layer_type(model, -1) == NULL);
  glow_model_bits_per_dim(model, wrong);
  check_tensors(model);
  check_latents(model);
}

/* ---- changing -------------------------------------------------------------------------------- */

void api_model_set(api *a) {
  glow_model *model = api_object(a, api_pick(a, API_MODEL));
  glow_tensor_info info = GLOW_TENSOR_INFO_INIT;
  int32_t count = glow_model_tensor_count(model);
  uint8_t which = api_byte(a), wrong = api_byte(a);
  const char *name = "none";
  if (count && glow_model_tensor(model, which % count, &info) == GLOW_OK && wrong != 255)
    name = info.name;
  int64_t elements = info.elements + (wrong == 254) - (wrong == 253);
  float *values = api_floats(a, elements);
  float *room = api_room(a, elements);
  api_tell(a, "  tensor %s", name);
  CALL(a, glow_model_get_tensor(model, name, room, elements));
  if (info.type == GLOW_TYPE_I32 && values && wrong < 128) /* a permutation, or nearly one */
    for (int64_t i = 0; i < elements; i++) {
      int32_t index = (int32_t)(elements - 1 - i) + (wrong > 64 && i == 0);
      memcpy(&values[i], &index, sizeof index);
    }
  CALL(a, glow_model_set_tensor(model, wrong == 252 ? NULL : name, values, elements));
}

/* All parameters at once, then what follows from them. */
void api_model_prepare(api *a) {
  glow_model *model = api_object(a, api_pick(a, API_MODEL));
  uint8_t how = api_byte(a), scale = api_byte(a);
  float *parameters = glow_model_parameters_mutable(model);
  int64_t count = glow_model_parameter_count(model);
  if (parameters && how % 4 == 1) {
    const float *values = api_floats(a, count);
    for (int64_t i = 0; values && i < count; i++)
      parameters[i] += 0.01f * (float)scale * values[i];
  }
  if (parameters && how % 4 == 2)
    parameters[how % (count ? count : 1)] = how > 128 ? NAN : 0.0f;
  if (how % 4 == 3)
    CALL(a, glow_model_set_initialised(model));
  CALL(a, glow_model_prepare(model));
}

void api_model_pixels(api *a) {
  glow_model *model = api_object(a, api_pick(a, API_MODEL));
  int64_t count = api_count(a), elements = count > 0 ? count * glow_model_dims(model) : 0;
  float *x = api_room(a, elements), *values = api_floats(a, elements);
  uint8_t *pixels = api_scratch(a, elements > 0 ? (size_t)elements : 0);
  for (int64_t i = 0; i < elements; i++)
    pixels[i] = (uint8_t)(i * 37);
  if (CALL(a, glow_model_dequantise(model, pixels, count, api_byte(a), UINT64_MAX - 1, x)) ==
      GLOW_OK) {
    for (int64_t i = 0; i < elements; i++)
      PROMISE(x[i] >= -0.5f && x[i] < 0.5f);
    PROMISE(CALL(a, glow_model_quantise(model, x, count, pixels)) == GLOW_OK);
    int32_t lost = 8 - glow_model_bits(model);
    for (int64_t i = 0; i < elements; i++)
      PROMISE(pixels[i] >> lost == (uint8_t)(i * 37) >> lost);
  }
  CALL(a, glow_model_quantise(model, values, count, pixels));
}

void api_inference_form(api *a) {
  api_slot *slot = api_pick(a, API_MODEL);
  glow_model *form = NULL;
  int32_t number = slot ? slot->context : 0;
  glow_status status = CALL(a, glow_model_inference_form(api_object(a, slot), &form));
  PROMISE(!form || glow_model_is_inference_form(form));
  api_keep(a, API_MODEL, status, form, number, -1);
}

/* ---- what may not change --------------------------------------------------------------------- */

static uint64_t mix(uint64_t print, const void *data, size_t bytes) {
  const uint8_t *at = data;
  for (size_t i = 0; i < bytes; i += 8) {
    uint64_t word = 0;
    memcpy(&word, at + i, bytes - i < 8 ? bytes - i : 8);
    print = (print ^ word) * 0x9e3779b97f4a7c15u;
    print ^= print >> 29;
  }
  return print;
}

static uint64_t of_model(const glow_model *model, uint64_t print) {
  int32_t initialised = glow_model_initialised(model);
  print = mix(print, &initialised, sizeof initialised);
  print = mix(print, glow_model_parameters(model),
              (size_t)glow_model_parameter_count(model) * sizeof(float));
  for (int32_t i = 0; i < glow_model_tensor_count(model); i++) {
    glow_tensor_info info = GLOW_TENSOR_INFO_INIT;
    PROMISE(glow_model_tensor(model, i, &info) == GLOW_OK);
    if (info.trainable)
      continue;
    void *values = malloc((size_t)info.elements * 4);
    PROMISE(values && glow_model_get_tensor(model, info.name, values, info.elements) == GLOW_OK);
    print = mix(print, values, (size_t)info.elements * 4);
    free(values);
  }
  return print;
}

static uint64_t of_workspace(const api_slot *slot, size_t parameters, uint64_t print) {
  const float *gradients = glow_workspace_gradients(slot->object);
  PROMISE((gradients != NULL) == (slot->mode != GLOW_MODE_INFERENCE) || !parameters);
  return gradients ? mix(print, gradients, parameters * sizeof *gradients) : print;
}

/* All that a checkpoint holds; writing one would take longer. */
static uint64_t of_trainer(const glow_trainer *trainer, size_t parameters, uint64_t print) {
  glow_trainer_options options = GLOW_TRAINER_OPTIONS_INIT;
  glow__progress progress;
  glow__trainer_vectors vectors;
  size_t bytes = parameters * sizeof(float);
  glow__trainer_progress(trainer, &progress);
  glow__trainer_vectors_of(trainer, &vectors);
  PROMISE(glow_trainer_get_options(trainer, &options) == GLOW_OK);
  print = mix(print, &progress, sizeof progress);
  print = mix(print, options.schedule, sizeof *options.schedule);
  print = mix(print, vectors.parameters, bytes);
  print = mix(print, vectors.m, bytes);
  print = mix(print, vectors.v, vectors.v ? bytes : 0);
  return mix(print, vectors.average, vectors.average ? bytes : 0);
}

static uint64_t of_optimizer(const glow_optimizer *optimizer, size_t parameters, uint64_t print) {
  int64_t steps = glow_optimizer_step_count(optimizer);
  float *m = NULL, *v = NULL;
  glow__optimizer_moments(optimizer, &m, &v);
  print = mix(print, &steps, sizeof steps);
  print = mix(print, m, parameters * sizeof *m);
  return mix(print, v, v ? parameters * sizeof *v : 0);
}

static const glow_model *model_of(const api *a, const api_slot *user) {
  return a->slots[API_MODEL][user->model].object;
}

static size_t parameters_of(const api *a, const api_slot *user) {
  return (size_t)glow_model_parameter_count(model_of(a, user));
}

/* Rate factors; one of trainer and optimizer is NULL. */
static uint64_t of_factors(const glow_model *model, const glow_trainer *trainer,
                           const glow_optimizer *optimizer, uint64_t print) {
  for (int32_t i = 0; i < glow_model_tensor_count(model); i++) {
    glow_tensor_info info = GLOW_TENSOR_INFO_INIT;
    PROMISE(glow_model_tensor(model, i, &info) == GLOW_OK);
    double factor = trainer ? glow_trainer_rate_factor(trainer, info.name)
                            : glow_optimizer_rate_factor(optimizer, info.name);
    print = mix(print, &factor, sizeof factor);
  }
  return print;
}

uint64_t api_fingerprint(api *a) {
  uint64_t print = 1;
  for (int32_t i = 0; i < SLOTS; i++) {
    const api_slot *model = &a->slots[API_MODEL][i], *workspace = &a->slots[API_WORKSPACE][i];
    const api_slot *optimizer = &a->slots[API_OPTIMIZER][i], *trainer = &a->slots[API_TRAINER][i];
    if (model->object)
      print = of_model(model->object, print);
    if (workspace->object)
      print = of_workspace(workspace, parameters_of(a, workspace), print);
    if (trainer->object)
      print = of_factors(model_of(a, trainer), trainer->object, NULL,
                         of_trainer(trainer->object, parameters_of(a, trainer), print));
    if (optimizer->object)
      print = of_factors(model_of(a, optimizer), NULL, optimizer->object,
                         of_optimizer(optimizer->object, parameters_of(a, optimizer), print));
  }
  return print;
}
