/* The NICE preset: an image as one vector; its even and odd elements as the two halves; additive
 * couplings with fully connected nets, in which the halves take turns; a factor for each element;
 * and a fixed factorial prior. Dinh et al. 2014, sections 3 and 5.1. SPDX-License-Identifier: MIT
 * */
#include "presets/presets.h"

enum { MAX_COUPLINGS = 4096, MAX_HIDDEN = 65536, MAX_DEPTH = 64 };

/* Before a conditioner is asked for a net that has nothing to change. */
static glow_status nice_check(const void *options) {
  const glow_shape *input = &((const glow_nice_options *)options)->input;
  if (input->height == 1 && input->width == 1 && input->channels == 1)
    return glow_error(GLOW_E_SHAPE,
                      "an input of one element has no halves: NICE takes two elements "
                      "or more");
  return GLOW_OK;
}

static const glow_option rows[] = {
    GLOW_INPUT_ROWS(glow_nice_options, 28, 28, 1),
    GLOW_OPTION(glow_nice_options, couplings, INT32, .low = 1, .high = MAX_COUPLINGS,
                .fallback = 4),
    GLOW_OPTION(glow_nice_options, hidden, INT32, .low = 1, .high = MAX_HIDDEN, .fallback = 1000),
    GLOW_OPTION(glow_nice_options, depth, INT32, .low = 1, .high = MAX_DEPTH, .fallback = 5),
    GLOW_OPTION(glow_nice_options, density, CHOICE, .choices = glow__density_choices,
                .prefix = "GLOW_DENSITY_", .fallback = GLOW_DENSITY_LOGISTIC),
    GLOW_OPTION(glow_nice_options, bits, INT32, .high = 8, .fallback = 8),
    GLOW_OPTION(glow_nice_options, from_data, INT32, .high = 1, .fallback = 1),
    GLOW_OPTION(glow_nice_options, unstandardised, INT32, .high = 1),
    GLOW_OPTION(glow_nice_options, seed, UINT64),
    GLOW_CONDITION_ROWS_OF(glow_nice_options),
};
static const glow_options_table table = {GLOW_OPTIONS_TABLE(glow_nice_options, rows),
                                         .check = nice_check};

/* What is being built. */
typedef struct nice_flow {
  glow_context *context;
  glow_builder *builder;
  const glow_nice_options *o;
} nice_flow;

static glow_status nice_add_permutation(const nice_flow *p, int32_t kind, const char *name,
                                        int32_t step) {
  glow_permute_options options = GLOW_PERMUTE_OPTIONS_INIT;
  glow_layer *layer = NULL;
  options.kind = kind;
  glow_status made = glow_permute_create(p->context, &options, &layer);
  return step < 0 ? glow__preset_add(p->builder, made, layer, "%s", name)
                  : glow__preset_add(p->builder, made, layer, "step%d.%s", (int)step, name);
}

static glow_status nice_make_net(const nice_flow *p, int32_t step, glow_net **out) {
  const glow_nice_options *o = p->o;
  glow_conditioner_request request = {.struct_size = sizeof request,
                                      .step = step,
                                      .seed = glow_random_derive(o->seed, (uint64_t)step),
                                      .condition = o->condition};
  GLOW_TRY(glow_builder_shape(p->builder, &request.input));
  request.out_channels = request.input.channels / 2;
  request.input.channels -= request.out_channels;
  GLOW_TRY(glow__preset_net(p->context, o->conditioner, o->conditioner_payload, &request, out));
  if (*out)
    return GLOW_OK;
  glow_mlp_net_options net = GLOW_MLP_NET_OPTIONS_INIT;
  net.hidden = o->hidden;
  net.depth = o->depth;
  net.condition = o->condition;
  net.standardise = o->condition.channels && !o->unstandardised;
  net.seed = request.seed;
  return glow_mlp_net_create(p->context, &net, out);
}

static glow_status nice_add_coupling(const nice_flow *p, int32_t step) {
  glow_coupling_options options = GLOW_COUPLING_OPTIONS_INIT;
  glow_net *net = NULL;
  glow_layer *layer = NULL;
  options.kind = GLOW_COUPLING_ADDITIVE;
  GLOW_TRY(nice_make_net(p, step, &net));
  glow_status made = glow_coupling_create(p->context, &options, &net, &layer);
  return glow__preset_add(p->builder, made, layer, "step%d.coupling", (int)step);
}

static glow_status nice_add_layers(const nice_flow *p) {
  glow_scaling_options scaling = GLOW_SCALING_OPTIONS_INIT;
  glow_prior_options prior = GLOW_PRIOR_OPTIONS_INIT;
  glow_layer *layer = NULL;
  glow_status made = glow_flatten_create(p->context, NULL, &layer);
  GLOW_TRY(glow__preset_add(p->builder, made, layer, "flatten"));
  GLOW_TRY(nice_add_permutation(p, GLOW_PERMUTATION_EVEN_ODD, "separate", -1));
  for (int32_t step = 0; step < p->o->couplings; step++) {
    if (step) /* reversing the whole vector puts the second half first */
      GLOW_TRY(nice_add_permutation(p, GLOW_PERMUTATION_REVERSE, "reverse", step));
    GLOW_TRY(nice_add_coupling(p, step));
  }
  scaling.from_data = p->o->from_data;
  made = glow_scaling_create(p->context, &scaling, &layer);
  GLOW_TRY(glow__preset_add(p->builder, made, layer, "scaling"));
  prior.learned = 0;
  prior.density = p->o->density;
  made = glow_prior_create(p->context, &prior, &layer);
  return glow__preset_add(p->builder, made, layer, "prior");
}

glow_status glow_model_create_nice(glow_context *context, const glow_nice_options *options,
                                   glow_model **out) {
  glow_nice_options o;
  if (out)
    *out = NULL;
  if (!context || !out)
    return glow_error(GLOW_E_ARGUMENT, "glow_model_create_nice: NULL argument");
  GLOW_TRY(glow_options_read(&table, options, &o));
  glow_builder_options builder = GLOW_BUILDER_OPTIONS_INIT;
  builder.bits = o.bits;
  nice_flow p = {.context = context, .o = &o};
  GLOW_TRY(glow_builder_create(context, &o.input, &builder, &p.builder));
  return glow__preset_finish(&p.builder, nice_add_layers(&p), out);
}
