/* A preset for densities of vectors: a standardisation, then steps of actnorm, learned mixing and
 * coupling with fully connected nets, which may read a condition. Kingma and Dhariwal 2018, figure
 * 2, on vectors; with splines Durkan et al. 2019, section 4.1. SPDX-License-Identifier: MIT */
#include "presets/presets.h"

enum { MAX_STEPS = 4096, MAX_HIDDEN = 65536, MAX_DEPTH = 64, MAX_BINS = 64 };

static glow_status vector_flow_check(const void *options) {
  const glow_vector_flow_options *o = options;
  if (o->dims == 1 && !o->condition && !o->conditioner)
    return glow_error(GLOW_E_SHAPE, "dims is 1, so couplings can only read a condition, but "
                                    "condition is 0");
  return GLOW_OK;
}

static const glow_choice couplings[] = {{GLOW_COUPLING_AFFINE, 0, "affine"},
                                        {GLOW_COUPLING_ADDITIVE, 0, "additive"},
                                        {GLOW_COUPLING_SPLINE, 0, "spline"},
                                        {0, 0, NULL}};
static const glow_option rows[] = {
    GLOW_OPTION(glow_vector_flow_options, dims, INT64, .low = 1, .high = INT32_MAX, .fallback = 2),
    GLOW_OPTION(glow_vector_flow_options, condition, INT64, .high = 1 << 30),
    GLOW_OPTION(glow_vector_flow_options, steps, INT32, .low = 1, .high = MAX_STEPS, .fallback = 8),
    GLOW_OPTION(glow_vector_flow_options, hidden, INT32, .low = 1, .high = MAX_HIDDEN,
                .fallback = 64),
    GLOW_OPTION(glow_vector_flow_options, depth, INT32, .low = 1, .high = MAX_DEPTH, .fallback = 2),
    GLOW_OPTION(glow_vector_flow_options, coupling, CHOICE, .choices = couplings,
                .prefix = "GLOW_COUPLING_", .fallback = GLOW_COUPLING_SPLINE),
    GLOW_OPTION(glow_vector_flow_options, scale, CHOICE, .choices = glow__scale_choices,
                .prefix = "GLOW_SCALE_", .fallback = GLOW_SCALE_TANH),
    GLOW_OPTION(glow_vector_flow_options, bins, INT32, .low = 2, .high = MAX_BINS, .fallback = 8),
    GLOW_OPTION(glow_vector_flow_options, bound, REAL, .flags = GLOW_OPTION_ABOVE_LOW, .high = 1e6,
                .fallback = 4),
    GLOW_OPTION(glow_vector_flow_options, seed, UINT64),
    GLOW_OPTION(glow_vector_flow_options, unstandardised, INT32, .high = 1),
    GLOW_OPTION(glow_vector_flow_options, reserved, RESERVED),
};
static const glow_options_table table = {GLOW_OPTIONS_TABLE(glow_vector_flow_options, rows),
                                         .check = vector_flow_check};

/* What is being built. */
typedef struct vector_flow {
  glow_context *context;
  glow_builder *builder;
  const glow_vector_flow_options *o;
} vector_flow;

/* Elements of x1, which the net sees: the larger half; of a single element, none. */
static int64_t seen(const glow_vector_flow_options *o) {
  return o->dims == 1 ? 0 : o->dims - o->dims / 2;
}

static glow_status vector_flow_make_net(const vector_flow *p, int32_t step, glow_net **out) {
  const glow_vector_flow_options *o = p->o;
  int64_t changed = o->dims - seen(o);
  glow_conditioner_request request = {.struct_size = sizeof request,
                                      .input = {1, 1, seen(o)},
                                      .step = step,
                                      .seed = glow_random_derive(o->seed, 2 * (uint64_t)step + 1),
                                      .condition = {1, 1, o->condition}};
  request.out_channels = o->coupling == GLOW_COUPLING_SPLINE   ? changed * (3 * o->bins - 1)
                         : o->coupling == GLOW_COUPLING_AFFINE ? 2 * changed
                                                               : changed;
  GLOW_TRY(glow__preset_net(p->context, o->conditioner, o->conditioner_payload, &request, out));
  if (*out)
    return GLOW_OK;
  glow_mlp_net_options net = GLOW_MLP_NET_OPTIONS_INIT;
  net.hidden = o->hidden;
  net.depth = o->depth;
  net.condition = request.condition;
  net.seed = request.seed;
  net.standardise = o->condition && !o->unstandardised;
  return glow_mlp_net_create(p->context, &net, out);
}

static glow_status make_coupling(const vector_flow *p, int32_t step, glow_layer **out) {
  glow_coupling_options coupling = GLOW_COUPLING_OPTIONS_INIT;
  glow_spline_coupling_options spline = GLOW_SPLINE_COUPLING_OPTIONS_INIT;
  glow_net *net = NULL;
  GLOW_TRY(vector_flow_make_net(p, step, &net));
  spline.bins = p->o->bins;
  spline.bound = p->o->bound;
  if (p->o->coupling == GLOW_COUPLING_SPLINE)
    return glow_spline_coupling_create(p->context, &spline, &net, out);
  coupling.kind = p->o->coupling;
  coupling.scale = p->o->scale;
  if (p->o->dims == 1)
    coupling.mask = GLOW_MASK_INDICES; /* no channel is listed: the one element changes */
  return glow_coupling_create(p->context, &coupling, &net, out);
}

static glow_status vector_flow_add_step(const vector_flow *p, int32_t step) {
  glow_invconv_options mixing = GLOW_INVCONV_OPTIONS_INIT;
  glow_layer *layer = NULL;
  glow_status made = glow_actnorm_create(p->context, NULL, &layer);
  GLOW_TRY(glow__preset_add(p->builder, made, layer, "step%d.actnorm", (int)step));
  mixing.seed = glow_random_derive(p->o->seed, 2 * (uint64_t)step);
  made = glow_invconv_create(p->context, &mixing, &layer);
  GLOW_TRY(glow__preset_add(p->builder, made, layer, "step%d.invconv", (int)step));
  made = make_coupling(p, step, &layer);
  return glow__preset_add(p->builder, made, layer, "step%d.coupling", (int)step);
}

static glow_status vector_flow_add_layers(const vector_flow *p) {
  glow_layer *standardise = NULL, *prior = NULL;
  if (!p->o->unstandardised) {
    glow_status given = glow_standardise_create(p->context, NULL, &standardise);
    GLOW_TRY(glow__preset_add(p->builder, given, standardise, "standardise"));
  }
  for (int32_t step = 0; step < p->o->steps; step++)
    GLOW_TRY(vector_flow_add_step(p, step));
  glow_status made = glow_prior_create(p->context, NULL, &prior);
  return glow__preset_add(p->builder, made, prior, "prior");
}

glow_status glow_model_create_vector_flow(glow_context *context,
                                          const glow_vector_flow_options *options,
                                          glow_model **out) {
  glow_vector_flow_options o;
  if (out)
    *out = NULL;
  if (!context || !out)
    return glow_error(GLOW_E_ARGUMENT, "glow_model_create_vector_flow: NULL argument");
  GLOW_TRY(glow_options_read(&table, options, &o));
  const glow_shape input = {1, 1, o.dims};
  glow_builder_options continuous = GLOW_BUILDER_OPTIONS_INIT;
  continuous.bits = 0;
  vector_flow p = {.context = context, .o = &o};
  GLOW_TRY(glow_builder_create(context, &input, &continuous, &p.builder));
  return glow__preset_finish(&p.builder, vector_flow_add_layers(&p), out);
}
