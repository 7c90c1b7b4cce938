/* A preset for densities of vectors: steps of actnorm, learned mixing and coupling with fully
 * connected nets, which may be conditioned on a context vector. Kingma and Dhariwal 2018, figure 2,
 * on vectors; with splines Durkan et al. 2019, section 4.1. SPDX-License-Identifier: MIT */
#include <stdio.h>

#include "host/run.h"

enum { MAX_STEPS = 4096 };

static glow_status check(const glow_vector_flow_options *o) {
  if (o->dims < 2 || o->dims > INT32_MAX)
    return glow_error(GLOW_E_SHAPE, "dims is %lld; it must be 2 or more", (long long)o->dims);
  if (o->steps < 1 || o->steps > MAX_STEPS)
    return glow_error(GLOW_E_ARGUMENT, "steps is %d; it must be 1 to %d", o->steps, MAX_STEPS);
  if (o->coupling < GLOW_COUPLING_AFFINE || o->coupling > GLOW_COUPLING_SPLINE)
    return glow_error(GLOW_E_ARGUMENT, "coupling is %d; it must be one of GLOW_COUPLING_...",
                      o->coupling);
  if (o->coupling != GLOW_COUPLING_SPLINE && o->dims % 2)
    return glow_error(GLOW_E_SHAPE,
                      "dims is %lld; affine and additive couplings need an even number",
                      (long long)o->dims);
  return GLOW_OK;
}

static glow_status add(glow_builder *builder, glow_status made, glow_layer *layer, int32_t step,
                       const char *what) {
  char name[64];
  snprintf(name, sizeof name, "step%d.%s", step, what);
  return made == GLOW_OK ? glow_builder_add(builder, name, &layer) : made;
}

static glow_status make_coupling(glow_context *context, const glow_vector_flow_options *o,
                                 uint64_t seed, glow_layer **out) {
  glow_mlp_net_options net_options = GLOW_MLP_NET_OPTIONS_INIT;
  glow_coupling_options coupling = GLOW_COUPLING_OPTIONS_INIT;
  glow_spline_coupling_options spline = GLOW_SPLINE_COUPLING_OPTIONS_INIT;
  glow_net *net = NULL;
  net_options.hidden = o->hidden;
  net_options.depth = o->depth;
  net_options.context = o->context;
  net_options.seed = seed;
  coupling.kind = o->coupling;
  coupling.scale = o->scale;
  spline.bins = o->bins;
  spline.bound = o->bound;
  GLOW_TRY(glow_mlp_net_create(context, &net_options, &net));
  if (o->coupling == GLOW_COUPLING_SPLINE)
    return glow_spline_coupling_create(context, &spline, &net, out);
  return glow_coupling_create(context, &coupling, &net, out);
}

static glow_status add_step(glow_context *context, glow_builder *builder,
                            const glow_vector_flow_options *o, int32_t step) {
  glow_invconv_options mixing = GLOW_INVCONV_OPTIONS_INIT;
  glow_layer *layer = NULL;
  glow_status made = glow_actnorm_create(context, NULL, &layer);
  GLOW_TRY(add(builder, made, layer, step, "actnorm"));
  mixing.seed = glow_random_derive(o->seed, 2 * (uint64_t)step);
  made = glow_invconv_create(context, &mixing, &layer);
  GLOW_TRY(add(builder, made, layer, step, "invconv"));
  made = make_coupling(context, o, glow_random_derive(o->seed, 2 * (uint64_t)step + 1), &layer);
  return add(builder, made, layer, step, "coupling");
}

static glow_status add_layers(glow_context *context, glow_builder *builder,
                              const glow_vector_flow_options *o) {
  glow_layer *prior = NULL;
  for (int32_t step = 0; step < o->steps; step++)
    GLOW_TRY(add_step(context, builder, o, step));
  GLOW_TRY(glow_prior_create(context, NULL, &prior));
  return glow_builder_add(builder, "prior", &prior);
}

glow_status glow_model_create_vector_flow(glow_context *context,
                                          const glow_vector_flow_options *options,
                                          glow_model **out) {
  glow_vector_flow_options o = GLOW_VECTOR_FLOW_OPTIONS_INIT;
  glow_builder *builder = NULL;
  if (out)
    *out = NULL;
  if (!context || !out)
    return glow_error(GLOW_E_ARGUMENT, "glow_model_create_vector_flow: NULL argument");
  GLOW_TRY(glow__options_copy(&o, sizeof o, options, sizeof o, "glow_vector_flow_options"));
  GLOW_TRY(check(&o));
  const glow_shape input = {1, 1, o.dims};
  glow_builder_options continuous = GLOW_BUILDER_OPTIONS_INIT;
  continuous.bits = 0;
  GLOW_TRY(glow_builder_create(context, &input, &continuous, &builder));
  glow_status status = add_layers(context, builder, &o);
  if (status == GLOW_OK)
    return glow_builder_finish(&builder, out);
  glow_builder_destroy(&builder);
  return status;
}
