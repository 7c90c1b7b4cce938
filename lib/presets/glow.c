/* The Glow preset. Kingma and Dhariwal 2018, figure 2. SPDX-License-Identifier: MIT */
#include <stdio.h>

#include "host/run.h"

enum { MAX_LEVELS = 16, MAX_DEPTH = 4096 };

static glow_status check(const glow_glow_options *o) {
  if (o->levels < 1 || o->levels > MAX_LEVELS)
    return glow_error(GLOW_E_ARGUMENT, "levels is %d; it must be 1 to %d", o->levels, MAX_LEVELS);
  if (o->depth < 1 || o->depth > MAX_DEPTH)
    return glow_error(GLOW_E_ARGUMENT, "depth is %d; it must be 1 to %d", o->depth, MAX_DEPTH);
  if (o->permutation < GLOW_PERMUTATION_REVERSE || o->permutation > GLOW_PERMUTATION_INVCONV_LU)
    return glow_error(GLOW_E_ARGUMENT, "permutation is %d; it must be one of GLOW_PERMUTATION_...",
                      o->permutation);
  int64_t factor = (int64_t)1 << o->levels;
  if (o->input.height < 1 || o->input.width < 1 || o->input.height % factor ||
      o->input.width % factor)
    return glow_error(GLOW_E_SHAPE,
                      "height %lld and width %lld must be divisible by 2^levels = %lld",
                      (long long)o->input.height, (long long)o->input.width, (long long)factor);
  return GLOW_OK;
}

/* Each part gets a seed of its own from its place. */
static uint64_t seed_of(const glow_glow_options *o, int32_t level, int32_t step, int32_t part) {
  return glow_random_derive(o->seed,
                          ((uint64_t)level * MAX_DEPTH + (uint64_t)step) * 2 + (uint64_t)part);
}

static glow_status add(glow_builder *builder, glow_status made, glow_layer *layer, int32_t level,
                       int32_t step, const char *what) {
  char name[64];
  if (made != GLOW_OK)
    return made;
  if (step < 0)
    snprintf(name, sizeof name, "level%d.%s", level, what);
  else
    snprintf(name, sizeof name, "level%d.step%d.%s", level, step, what);
  return glow_builder_add(builder, name, &layer);
}

static glow_status add_permutation(glow_context *context, glow_builder *builder,
                                   const glow_glow_options *o, int32_t level, int32_t step) {
  glow_layer *layer = NULL;
  uint64_t seed = seed_of(o, level, step, 0);
  if (o->permutation >= GLOW_PERMUTATION_INVCONV) {
    glow_invconv_options conv = GLOW_INVCONV_OPTIONS_INIT;
    conv.lu = o->permutation == GLOW_PERMUTATION_INVCONV_LU;
    conv.seed = seed;
    glow_status made = glow_invconv_create(context, &conv, &layer);
    return add(builder, made, layer, level, step, "invconv");
  }
  glow_permute_options permute = GLOW_PERMUTE_OPTIONS_INIT;
  permute.kind =
      o->permutation == GLOW_PERMUTATION_SHUFFLE ? GLOW_PERMUTATION_SHUFFLE : GLOW_PERMUTATION_REVERSE;
  permute.seed = seed;
  glow_status made = glow_permute_create(context, &permute, &layer);
  return add(builder, made, layer, level, step, "permute");
}

static glow_status add_coupling(glow_context *context, glow_builder *builder,
                                const glow_glow_options *o, int32_t level, int32_t step) {
  glow_conv_net_options net_options = GLOW_CONV_NET_OPTIONS_INIT;
  glow_coupling_options options = GLOW_COUPLING_OPTIONS_INIT;
  glow_net *net = NULL;
  glow_layer *layer = NULL;
  net_options.hidden = o->hidden;
  net_options.actnorm = o->net_actnorm;
  net_options.seed = seed_of(o, level, step, 1);
  net_options.edge = o->edge;
  options.kind = o->coupling;
  options.scale = o->scale;
  options.floor = o->floor;
  GLOW_TRY(glow_conv_net_create(context, &net_options, &net));
  glow_status made = glow_coupling_create(context, &options, &net, &layer);
  return add(builder, made, layer, level, step, "coupling");
}

static glow_status add_step(glow_context *context, glow_builder *builder,
                            const glow_glow_options *o, int32_t level, int32_t step) {
  glow_layer *layer = NULL;
  glow_status made = glow_actnorm_create(context, NULL, &layer);
  GLOW_TRY(add(builder, made, layer, level, step, "actnorm"));
  GLOW_TRY(add_permutation(context, builder, o, level, step));
  return add_coupling(context, builder, o, level, step);
}

static glow_status add_levels(glow_context *context, glow_builder *builder,
                              const glow_glow_options *o) {
  for (int32_t level = 0; level < o->levels; level++) {
    glow_layer *layer = NULL;
    glow_status made = glow_squeeze_create(context, &layer);
    GLOW_TRY(add(builder, made, layer, level, -1, "squeeze"));
    for (int32_t step = 0; step < o->depth; step++)
      GLOW_TRY(add_step(context, builder, o, level, step));
    if (level == o->levels - 1)
      break;
    glow_split_options split = GLOW_SPLIT_OPTIONS_INIT;
    split.edge = o->edge;
    made = glow_split_create(context, &split, &layer);
    GLOW_TRY(add(builder, made, layer, level, -1, "split"));
  }
  glow_prior_options prior = GLOW_PRIOR_OPTIONS_INIT;
  prior.learned = o->learn_top;
  prior.classes = o->classes;
  prior.spatial = o->spatial_top;
  prior.classifier = o->classifier;
  glow_layer *top = NULL;
  GLOW_TRY(glow_prior_create(context, &prior, &top));
  return glow_builder_add(builder, "prior", &top);
}

glow_status glow_model_create_glow(glow_context *context, const glow_glow_options *options,
                                   glow_model **out) {
  glow_glow_options o = GLOW_GLOW_OPTIONS_INIT;
  glow_builder *builder = NULL;
  if (out)
    *out = NULL;
  if (!context || !out)
    return glow_error(GLOW_E_ARGUMENT, "glow_model_create_glow: NULL argument");
  GLOW_TRY(glow__options_copy(&o, sizeof o, options, offsetof(glow_glow_options, edge),
                              "glow_glow_options"));
  GLOW_TRY(check(&o));
  if (o.reserved)
    return glow_error(GLOW_E_ARGUMENT, "glow_glow_options: reserved must be 0");
  glow_builder_options builder_options = {sizeof builder_options, o.bits, 0};
  GLOW_TRY(glow_builder_create(context, &o.input, &builder_options, &builder));
  glow_status status = add_levels(context, builder, &o);
  if (status == GLOW_OK)
    return glow_builder_finish(&builder, out);
  glow_builder_destroy(&builder);
  return status;
}
