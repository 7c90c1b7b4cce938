/* The NICE preset: an image as one vector; its even and odd numbers as the halves; additive
 * couplings with fully connected nets, the halves taking turns; a factor for each number; and a
 * fixed factorial prior. Dinh et al. 2014, sections 3 and 5.1. SPDX-License-Identifier: MIT */
#include <stdio.h>

#include "host/run.h"

enum { MAX_COUPLINGS = 4096 };

static glow_status check(const glow_nice_options *o) {
  if (o->couplings < 1 || o->couplings > MAX_COUPLINGS)
    return glow_error(GLOW_E_ARGUMENT, "couplings is %d; it must be 1 to %d", o->couplings,
                      MAX_COUPLINGS);
  if (o->reserved)
    return glow_error(GLOW_E_ARGUMENT, "glow_nice_options: reserved must be 0");
  return GLOW_OK;
}

static glow_status add(glow_builder *builder, glow_status made, glow_layer *layer,
                       const char *name) {
  return made == GLOW_OK ? glow_builder_add(builder, name, &layer) : made;
}

static glow_status add_permutation(glow_context *context, glow_builder *builder, int32_t kind,
                                   const char *name) {
  glow_permute_options options = GLOW_PERMUTE_OPTIONS_INIT;
  glow_layer *layer = NULL;
  options.kind = kind;
  glow_status made = glow_permute_create(context, &options, &layer);
  return add(builder, made, layer, name);
}

static glow_status add_coupling(glow_context *context, glow_builder *builder,
                                const glow_nice_options *o, int32_t step) {
  glow_mlp_net_options net_options = GLOW_MLP_NET_OPTIONS_INIT;
  glow_coupling_options options = GLOW_COUPLING_OPTIONS_INIT;
  glow_net *net = NULL;
  glow_layer *layer = NULL;
  char name[64];
  net_options.hidden = o->hidden;
  net_options.depth = o->depth;
  net_options.seed = glow_random_derive(o->seed, (uint64_t)step);
  options.kind = GLOW_COUPLING_ADDITIVE;
  snprintf(name, sizeof name, "step%d.coupling", step);
  GLOW_TRY(glow_mlp_net_create(context, &net_options, &net));
  glow_status made = glow_coupling_create(context, &options, &net, &layer);
  return add(builder, made, layer, name);
}

static glow_status add_layers(glow_context *context, glow_builder *builder,
                              const glow_nice_options *o) {
  glow_scaling_options scaling = GLOW_SCALING_OPTIONS_INIT;
  glow_prior_options prior = GLOW_PRIOR_OPTIONS_INIT;
  glow_layer *layer = NULL;
  glow_status made = glow_flatten_create(context, &layer);
  GLOW_TRY(add(builder, made, layer, "flatten"));
  GLOW_TRY(add_permutation(context, builder, GLOW_PERMUTATION_EVEN_ODD, "separate"));
  for (int32_t step = 0; step < o->couplings; step++) {
    char name[64];
    snprintf(name, sizeof name, "step%d.reverse", step);
    if (step) /* reversing the whole vector puts the second half first */
      GLOW_TRY(add_permutation(context, builder, GLOW_PERMUTATION_REVERSE, name));
    GLOW_TRY(add_coupling(context, builder, o, step));
  }
  scaling.data_init = o->data_init;
  made = glow_scaling_create(context, &scaling, &layer);
  GLOW_TRY(add(builder, made, layer, "scaling"));
  prior.learned = 0;
  prior.density = o->density;
  made = glow_prior_create(context, &prior, &layer);
  return add(builder, made, layer, "prior");
}

glow_status glow_model_create_nice(glow_context *context, const glow_nice_options *options,
                                   glow_model **out) {
  glow_nice_options o = GLOW_NICE_OPTIONS_INIT;
  glow_builder *builder = NULL;
  if (out)
    *out = NULL;
  if (!context || !out)
    return glow_error(GLOW_E_ARGUMENT, "glow_model_create_nice: NULL argument");
  GLOW_TRY(glow__options_copy(&o, sizeof o, options, sizeof o, "glow_nice_options"));
  GLOW_TRY(check(&o));
  glow_builder_options builder_options = GLOW_BUILDER_OPTIONS_INIT;
  builder_options.bits = o.bits;
  GLOW_TRY(glow_builder_create(context, &o.input, &builder_options, &builder));
  glow_status status = add_layers(context, builder, &o);
  if (status == GLOW_OK)
    return glow_builder_finish(&builder, out);
  glow_builder_destroy(&builder);
  return status;
}
