/* Calls that make nets, layers and builders. SPDX-License-Identifier: MIT */
#include <string.h>

#include "api.h"

/* ---- nets ------------------------------------------------------------------------------------ */

void api_net_conv(api *a) {
  static const api_field fields[] = {F(glow_conv_net_options, hidden, SMALL, 0),
                                     F(glow_conv_net_options, actnorm, FLAG, 0),
                                     F(glow_conv_net_options, seed, SEED, 0),
                                     F(glow_conv_net_options, border, FLAG, 0),
                                     F(glow_conv_net_options, standardise, FLAG, 0),
                                     F(glow_conv_net_options, condition, SHAPE, 0)};
  glow_conv_net_options o = GLOW_CONV_NET_OPTIONS_INIT;
  int32_t number;
  glow_context *context = api_context(a, &number);
  glow_net *net = NULL;
  o.hidden = 3;
  glow_status status = CALL(a, glow_conv_net_create(context, OPTIONS(a, o, fields, 4), &net));
  api_keep(a, API_NET, status, net, number, -1);
}

void api_net_mlp(api *a) {
  static const api_field fields[] = {
      F(glow_mlp_net_options, hidden, SMALL, 0),     F(glow_mlp_net_options, depth, SMALL, 0),
      F(glow_mlp_net_options, condition, SHAPE, 0),  F(glow_mlp_net_options, seed, SEED, 0),
      F(glow_mlp_net_options, standardise, FLAG, 0), F(glow_mlp_net_options, reserved, FLAG, 0)};
  glow_mlp_net_options o = GLOW_MLP_NET_OPTIONS_INIT;
  int32_t number;
  glow_context *context = api_context(a, &number);
  glow_net *net = NULL;
  o.hidden = 3;
  o.depth = 1;
  glow_status status = CALL(a, glow_mlp_net_create(context, OPTIONS(a, o, fields, 4), &net));
  api_keep(a, API_NET, status, net, number, -1);
}

void api_net_res(api *a) {
  static const api_field fields[] = {
      F(glow_res_net_options, hidden, SMALL, 0),     F(glow_res_net_options, blocks, SMALL, 0),
      F(glow_res_net_options, weight_norm, FLAG, 0), F(glow_res_net_options, batch_norm, FLAG, 0),
      F(glow_res_net_options, seed, SEED, 0),        F(glow_res_net_options, condition, SHAPE, 0)};
  glow_res_net_options o = GLOW_RES_NET_OPTIONS_INIT;
  int32_t number;
  glow_context *context = api_context(a, &number);
  glow_net *net = NULL;
  o.hidden = 2;
  o.blocks = 1;
  glow_status status = CALL(a, glow_res_net_create(context, OPTIONS(a, o, fields, 4), &net));
  api_keep(a, API_NET, status, net, number, -1);
}

/* ---- layers ---------------------------------------------------------------------------------- */

/* The net of a slot, which a layer takes over; without one, one made now. The pointer to NULL is
 * for bytes that say so. */
static glow_net *take_net(api *a, glow_context *context) {
  api_slot *slot = api_pick(a, API_NET);
  glow_net *net = NULL;
  if (slot) {
    net = slot->object;
    memset(slot, 0, sizeof *slot);
  } else if (context && !api_rarely(a, 32)) {
    glow_mlp_net_options o = GLOW_MLP_NET_OPTIONS_INIT;
    o.hidden = 2;
    o.depth = 1;
    glow_mlp_net_create(context, &o, &net);
  }
  return net;
}

void api_layer_coupling(api *a) {
  static const int32_t indices[] = {1, 0, 2, -1, 7};
  static const api_field fields[] = {F(glow_coupling_options, kind, ENUM, GLOW_COUPLING_AFFINE),
                                     F(glow_coupling_options, scale, ENUM, GLOW_SCALE_SIGMOID),
                                     F(glow_coupling_options, floor, REAL, 0),
                                     F(glow_coupling_options, mask, ENUM, GLOW_MASK_CHANNELS),
                                     F(glow_coupling_options, invert, FLAG, 0),
                                     F(glow_coupling_options, order, ENUM, GLOW_ORDER_SHIFT_SCALE),
                                     F(glow_coupling_options, reserved, FLAG, 0),
                                     F(glow_coupling_options, indices, POINTER, 0)};
  glow_coupling_options o = GLOW_COUPLING_OPTIONS_INIT;
  int32_t number;
  glow_context *context = api_context(a, &number);
  glow_net *net = take_net(a, context);
  glow_layer *layer = NULL;
  o.indices = indices;
  o.index_count = api_byte(a) % 6; /* 0: no list; beyond the second, one that is wrong */
  if (!o.index_count)
    o.indices = NULL;
  else
    o.mask = GLOW_MASK_INDICES;
  glow_status status =
      CALL(a, glow_coupling_create(context, OPTIONS(a, o, fields, 3), &net, &layer));
  PROMISE(!net);
  api_keep(a, API_LAYER, status, layer, number, -1);
}

void api_layer_spline(api *a) {
  static const api_field fields[] = {F(glow_spline_coupling_options, bins, SMALL, 0),
                                     F(glow_spline_coupling_options, parity, FLAG, 0),
                                     F(glow_spline_coupling_options, bound, REAL, 0),
                                     F(glow_spline_coupling_options, min_width, REAL, 0),
                                     F(glow_spline_coupling_options, min_height, REAL, 0),
                                     F(glow_spline_coupling_options, min_derivative, REAL, 0)};
  glow_spline_coupling_options o = GLOW_SPLINE_COUPLING_OPTIONS_INIT;
  int32_t number;
  glow_context *context = api_context(a, &number);
  glow_net *net = take_net(a, context);
  glow_layer *layer = NULL;
  o.bins = 3;
  glow_status status =
      CALL(a, glow_spline_coupling_create(context, OPTIONS(a, o, fields, 3), &net, &layer));
  PROMISE(!net);
  api_keep(a, API_LAYER, status, layer, number, -1);
}

void api_layer_prior(api *a) {
  static const api_field fields[] = {F(glow_prior_options, learned, FLAG, 0),
                                     F(glow_prior_options, classes, SMALL, 0),
                                     F(glow_prior_options, spatial, FLAG, 0),
                                     F(glow_prior_options, classifier, FLAG, 0),
                                     F(glow_prior_options, density, ENUM, GLOW_DENSITY_GAUSSIAN),
                                     F(glow_prior_options, reserved, FLAG, 0)};
  glow_prior_options o = GLOW_PRIOR_OPTIONS_INIT;
  int32_t number;
  glow_context *context = api_context(a, &number);
  glow_layer *layer = NULL;
  glow_status status = CALL(a, glow_prior_create(context, OPTIONS(a, o, fields, 4), &layer));
  api_keep(a, API_LAYER, status, layer, number, -1);
}

/* The layers without nets. */
static glow_status simple_layer(api *a, glow_context *context, uint8_t which, glow_layer **layer) {
  static const api_field actnorm[] = {F(glow_actnorm_options, floor, REAL, 0)};
  static const api_field invconv[] = {F(glow_invconv_options, lu, FLAG, 0),
                                      F(glow_invconv_options, columns, FLAG, 0),
                                      F(glow_invconv_options, seed, SEED, 0)};
  static const api_field permute[] = {F(glow_permute_options, kind, ENUM, GLOW_PERMUTATION_REVERSE),
                                      F(glow_permute_options, reserved, FLAG, 0),
                                      F(glow_permute_options, seed, SEED, 0)};
  static const api_field scaling[] = {F(glow_scaling_options, from_data, FLAG, 0)};
  static const api_field split[] = {F(glow_split_options, border, FLAG, 0),
                                    F(glow_split_options, fixed, FLAG, 0)};
  static const api_field batchnorm[] = {F(glow_batchnorm_options, epsilon, REAL, 0),
                                        F(glow_batchnorm_options, momentum, REAL, 0),
                                        F(glow_batchnorm_options, lag, REAL, 0)};
  static const api_field logit[] = {F(glow_logit_options, alpha, REAL, 0)};
  glow_actnorm_options ao = GLOW_ACTNORM_OPTIONS_INIT;
  glow_invconv_options io = GLOW_INVCONV_OPTIONS_INIT;
  glow_permute_options po = GLOW_PERMUTE_OPTIONS_INIT;
  glow_scaling_options so = GLOW_SCALING_OPTIONS_INIT;
  glow_split_options to = GLOW_SPLIT_OPTIONS_INIT;
  glow_batchnorm_options bo = GLOW_BATCHNORM_OPTIONS_INIT;
  glow_logit_options lo = GLOW_LOGIT_OPTIONS_INIT;
  glow_flatten_options fo = GLOW_FLATTEN_OPTIONS_INIT;
  glow_squeeze_options qo = GLOW_SQUEEZE_OPTIONS_INIT;
  glow_standardise_options no = GLOW_STANDARDISE_OPTIONS_INIT;
  switch (which % 10) {
  case 0: return CALL(a, glow_actnorm_create(context, OPTIONS(a, ao, actnorm, 1), layer));
  case 1: return CALL(a, glow_invconv_create(context, OPTIONS(a, io, invconv, 2), layer));
  case 2: return CALL(a, glow_permute_create(context, OPTIONS(a, po, permute, 2), layer));
  case 3: return CALL(a, glow_scaling_create(context, OPTIONS(a, so, scaling, 1), layer));
  case 4: return CALL(a, glow_split_create(context, OPTIONS(a, to, split, 2), layer));
  case 5: return CALL(a, glow_batchnorm_create(context, OPTIONS(a, bo, batchnorm, 2), layer));
  case 6: return CALL(a, glow_logit_create(context, OPTIONS(a, lo, logit, 1), layer));
  case 7:
    return CALL(a, glow_flatten_create(context, api_options(a, &fo, sizeof fo, NULL, 0, 0), layer));
  case 8:
    return CALL(a, glow_squeeze_create(context, api_options(a, &qo, sizeof qo, NULL, 0, 0), layer));
  default:
    return CALL(
        a, glow_standardise_create(context, api_options(a, &no, sizeof no, NULL, 0, 0), layer));
  }
}

void api_layer_simple(api *a) {
  int32_t number;
  uint8_t which = api_byte(a);
  glow_context *context = api_context(a, &number);
  glow_layer *layer = NULL;
  glow_status status = simple_layer(a, context, which, &layer);
  api_keep(a, API_LAYER, status, layer, number, -1);
}

/* ---- builders -------------------------------------------------------------------------------- */

void api_builder_create(api *a) {
  static const api_field fields[] = {F(glow_builder_options, bits, SMALL, 0),
                                     F(glow_builder_options, reserved, FLAG, 0)};
  glow_builder_options o = GLOW_BUILDER_OPTIONS_INIT;
  int32_t number;
  glow_context *context = api_context(a, &number);
  glow_builder *builder = NULL;
  glow_shape shape = api_shape(a);
  api_tell(a, "  shape %lld x %lld x %lld", (long long)shape.height, (long long)shape.width,
           (long long)shape.channels);
  glow_status status = CALL(a, glow_builder_create(context, api_rarely(a, 64) ? NULL : &shape,
                                                   OPTIONS(a, o, fields, 2), &builder));
  api_keep(a, API_BUILDER, status, builder, number, -1);
}

/* A name of its own for each byte; some that are refused. */
static const char *name_of(api *a) {
  static const char *const odd[] = {"", "a b", "a/b", "prior", "a.b", "\xff", "layer0"};
  uint8_t byte = api_byte(a);
  char *name;
  if (byte > 245)
    return NULL;
  if (byte > 235)
    return odd[byte % 7];
  if (byte == 235) { /* too long */
    name = api_scratch(a, 300);
    memset(name, 'n', 299);
    return name;
  }
  static const char letters[] = "abcdefghijklmnopqrstuvwxyz";
  name = api_scratch(a, 8);
  name[0] = letters[byte % 26];
  name[1] = letters[byte / 26];
  return name;
}

void api_builder_add(api *a) {
  api_slot *to = api_pick(a, API_BUILDER), *from = api_pick(a, API_LAYER);
  glow_builder *builder = api_object(a, to);
  const char *name = name_of(a);
  glow_layer *layer = from ? from->object : NULL;
  glow_shape shape;
  if (from)
    memset(from, 0, sizeof *from);
  CALL(a, glow_builder_add(builder, name, &layer));
  PROMISE(!layer);
  if (builder && CALL(a, glow_builder_shape(builder, &shape)) == GLOW_OK)
    PROMISE(shape.height >= 0 && shape.width >= 0 && shape.channels >= 0);
}

void api_builder_nest(api *a) {
  api_slot *to = api_pick(a, API_BUILDER), *from = api_pick(a, API_BUILDER);
  api_slot *model = api_pick(a, API_MODEL);
  const char *name = name_of(a);
  if (!to)
    return;
  uint8_t which = api_byte(a) % 3;
  glow_builder *block = from && from != to ? from->object : NULL;
  if (which == 0)
    CALL(a, glow_builder_add_copy(to->object, name, from ? from->object : NULL));
  if (which == 1)
    CALL(a, glow_builder_add_model(to->object, name, model ? model->object : NULL));
  if (which == 2) {
    if (block)
      memset(from, 0, sizeof *from);
    CALL(a, glow_builder_add_block(to->object, name, &block));
    PROMISE(!block);
  }
}

void api_builder_finish(api *a) {
  api_slot *slot = api_pick(a, API_BUILDER);
  glow_builder *builder = slot ? slot->object : NULL;
  glow_model *model = NULL;
  int32_t number = slot ? slot->context : 0;
  if (slot)
    memset(slot, 0, sizeof *slot);
  glow_status status = CALL(a, glow_builder_finish(&builder, &model));
  PROMISE(!builder);
  api_keep(a, API_MODEL, status, model, number, -1);
}
