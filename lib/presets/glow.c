/* The Glow preset. Kingma and Dhariwal 2018, figure 2. SPDX-License-Identifier: MIT */
#include "presets/presets.h"

enum { MAX_LEVELS = 16, MAX_DEPTH = 4096, MAX_HIDDEN = 65536, MAX_CLASSES = 1 << 24 };

static glow_status glow_check(const void *options) {
  const glow_glow_options *o = options;
  int64_t factor = (int64_t)1 << o->levels;
  if (o->input.height % factor || o->input.width % factor)
    return glow_error(GLOW_E_SHAPE,
                      "height %lld and width %lld must be divisible by 2^levels = %lld",
                      (long long)o->input.height, (long long)o->input.width, (long long)factor);
  return GLOW_OK;
}

static const glow_choice couplings[] = {
    {GLOW_COUPLING_AFFINE, 0, "affine"}, {GLOW_COUPLING_ADDITIVE, 0, "additive"}, {0, 0, NULL}};

static const glow_option rows[] = {
    GLOW_INPUT_ROWS(glow_glow_options, 32, 32, 3),
    GLOW_OPTION(glow_glow_options, levels, INT32, .low = 1, .high = MAX_LEVELS, .fallback = 3),
    GLOW_OPTION(glow_glow_options, depth, INT32, .low = 1, .high = MAX_DEPTH, .fallback = 32),
    GLOW_OPTION(glow_glow_options, hidden, INT32, .low = 1, .high = MAX_HIDDEN, .fallback = 512),
    GLOW_OPTION(glow_glow_options, permutation, CHOICE, .choices = glow__permutation_choices,
                .prefix = "GLOW_PERMUTATION_", .fallback = GLOW_PERMUTATION_INVCONV_LU),
    GLOW_OPTION(glow_glow_options, coupling, CHOICE, .choices = couplings,
                .prefix = "GLOW_COUPLING_", .fallback = GLOW_COUPLING_AFFINE),
    GLOW_OPTION(glow_glow_options, scale, CHOICE, .choices = glow__scale_choices,
                .prefix = "GLOW_SCALE_", .fallback = GLOW_SCALE_SIGMOID),
    GLOW_OPTION(glow_glow_options, floor, REAL,
                .flags = GLOW_OPTION_ABOVE_LOW | GLOW_OPTION_BELOW_HIGH, .high = 1,
                .fallback = 0.05),
    GLOW_OPTION(glow_glow_options, net_actnorm, INT32, .high = 1, .fallback = 1),
    GLOW_OPTION(glow_glow_options, learn_top, INT32, .high = 1, .fallback = 1),
    GLOW_OPTION(glow_glow_options, classes, INT32, .high = MAX_CLASSES),
    GLOW_OPTION(glow_glow_options, bits, INT32, .high = 8, .fallback = 8),
    GLOW_OPTION(glow_glow_options, seed, UINT64),
    GLOW_OPTION(glow_glow_options, border, INT32, .high = 1),
    GLOW_OPTION(glow_glow_options, spatial_top, INT32, .high = 1),
    GLOW_OPTION(glow_glow_options, classifier, INT32, .high = 1),
    GLOW_OPTION(glow_glow_options, unstandardised, INT32, .high = 1),
    GLOW_CONDITION_ROWS_OF(glow_glow_options),
};
static const glow_options_table table = {GLOW_OPTIONS_TABLE(glow_glow_options, rows),
                                         .check = glow_check};

/* Where in the model a part is; step -1: between the levels. */
typedef struct place {
  glow_context *context;
  glow_builder *builder;
  const glow_glow_options *o;
  int32_t level, step;
} place;

/* Each part gets its own seed, from its place. */
static uint64_t seed_of(const place *at, int32_t part) {
  uint64_t step = (uint64_t)at->level * MAX_DEPTH + (uint64_t)at->step;
  return glow_random_derive(at->o->seed, step * 2 + (uint64_t)part);
}

static glow_status glow_add(const place *at, glow_status made, glow_layer *layer,
                            const char *what) {
  if (at->step < 0)
    return glow__preset_add(at->builder, made, layer, "level%d.%s", (int)at->level, what);
  return glow__preset_add(at->builder, made, layer, "level%d.step%d.%s", (int)at->level,
                          (int)at->step, what);
}

static glow_status glow_add_permutation(const place *at) {
  glow_layer *layer = NULL;
  int32_t kind = at->o->permutation;
  if (kind == GLOW_PERMUTATION_INVCONV || kind == GLOW_PERMUTATION_INVCONV_LU) {
    glow_invconv_options conv = GLOW_INVCONV_OPTIONS_INIT;
    conv.lu = kind == GLOW_PERMUTATION_INVCONV_LU;
    conv.seed = seed_of(at, 0);
    glow_status made = glow_invconv_create(at->context, &conv, &layer);
    return glow_add(at, made, layer, "invconv");
  }
  glow_permute_options permute = GLOW_PERMUTE_OPTIONS_INIT;
  permute.kind = kind;
  permute.seed = seed_of(at, 0);
  glow_status made = glow_permute_create(at->context, &permute, &layer);
  return glow_add(at, made, layer, "permute");
}

static glow_status glow_make_net(const place *at, glow_net **out) {
  const glow_glow_options *o = at->o;
  glow_conditioner_request request = {.struct_size = sizeof request,
                                      .level = at->level,
                                      .step = at->step,
                                      .seed = seed_of(at, 1),
                                      .condition = o->condition};
  GLOW_TRY(glow_builder_shape(at->builder, &request.input));
  int64_t changed = request.input.channels / 2;
  request.input.channels -= changed;
  request.out_channels = o->coupling == GLOW_COUPLING_AFFINE ? 2 * changed : changed;
  GLOW_TRY(glow__preset_net(at->context, o->conditioner, o->conditioner_payload, &request, out));
  if (*out)
    return GLOW_OK;
  glow_conv_net_options net = GLOW_CONV_NET_OPTIONS_INIT;
  net.hidden = o->hidden;
  net.actnorm = o->net_actnorm;
  net.seed = request.seed;
  net.border = o->border;
  net.condition = o->condition;
  net.standardise = o->condition.channels && !o->unstandardised;
  return glow_conv_net_create(at->context, &net, out);
}

static glow_status glow_add_coupling(const place *at) {
  glow_coupling_options options = GLOW_COUPLING_OPTIONS_INIT;
  glow_net *net = NULL;
  glow_layer *layer = NULL;
  options.kind = at->o->coupling;
  options.scale = at->o->scale;
  options.floor = at->o->floor;
  GLOW_TRY(glow_make_net(at, &net));
  glow_status made = glow_coupling_create(at->context, &options, &net, &layer);
  return glow_add(at, made, layer, "coupling");
}

static glow_status glow_add_step(const place *at) {
  glow_layer *layer = NULL;
  glow_status made = glow_actnorm_create(at->context, NULL, &layer);
  GLOW_TRY(glow_add(at, made, layer, "actnorm"));
  GLOW_TRY(glow_add_permutation(at));
  return glow_add_coupling(at);
}

static glow_status glow_add_level(place *at) {
  glow_split_options split = GLOW_SPLIT_OPTIONS_INIT;
  glow_layer *layer = NULL;
  at->step = -1;
  glow_status made = glow_squeeze_create(at->context, NULL, &layer);
  GLOW_TRY(glow_add(at, made, layer, "squeeze"));
  for (at->step = 0; at->step < at->o->depth; at->step++)
    GLOW_TRY(glow_add_step(at));
  if (at->level == at->o->levels - 1)
    return GLOW_OK;
  at->step = -1;
  split.border = at->o->border;
  made = glow_split_create(at->context, &split, &layer);
  return glow_add(at, made, layer, "split");
}

static glow_status glow_add_layers(place *at) {
  glow_prior_options prior = GLOW_PRIOR_OPTIONS_INIT;
  glow_layer *top = NULL;
  for (; at->level < at->o->levels; at->level++)
    GLOW_TRY(glow_add_level(at));
  prior.learned = at->o->learn_top;
  prior.classes = at->o->classes;
  prior.spatial = at->o->spatial_top;
  prior.classifier = at->o->classifier;
  glow_status made = glow_prior_create(at->context, &prior, &top);
  return glow__preset_add(at->builder, made, top, "prior");
}

glow_status glow_model_create_glow(glow_context *context, const glow_glow_options *options,
                                   glow_model **out) {
  glow_glow_options o;
  if (out)
    *out = NULL;
  if (!context || !out)
    return glow_error(GLOW_E_ARGUMENT, "glow_model_create_glow: NULL argument");
  GLOW_TRY(glow_options_read(&table, options, &o));
  glow_builder_options builder = GLOW_BUILDER_OPTIONS_INIT;
  builder.bits = o.bits;
  place at = {.context = context, .o = &o};
  GLOW_TRY(glow_builder_create(context, &o.input, &builder, &at.builder));
  return glow__preset_finish(&at.builder, glow_add_layers(&at), out);
}
