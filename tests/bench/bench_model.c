/* The models that are measured, and what a pass through them costs. SPDX-License-Identifier: MIT */
#include <stdio.h>
#include <string.h>

#include "bench.h"

enum { COUPLINGS = 8 };

static glow_status try_add(glow_builder *builder, glow_status made, const char *name,
                           glow_layer **layer) {
  return made == GLOW_OK ? glow_builder_add(builder, name, layer) : made;
}

/* RealNVP's couplings on two elements, which take turns; s = exp(tanh(raw)). */
static glow_status add_flow2d(glow_context *context, glow_builder *builder,
                              const bench_model_options *o) {
  glow_prior_options prior = GLOW_PRIOR_OPTIONS_INIT;
  glow_layer *layer = NULL;
  glow_status status = GLOW_OK;
  for (int32_t i = 0; status == GLOW_OK && i < (o->depth ? o->depth : COUPLINGS); i++) {
    glow_mlp_net_options mlp = GLOW_MLP_NET_OPTIONS_INIT;
    glow_coupling_options coupling = GLOW_COUPLING_OPTIONS_INIT;
    glow_net *net = NULL;
    char name[32];
    snprintf(name, sizeof name, "coupling%d", i);
    mlp.hidden = o->hidden ? (int32_t)o->hidden : 64;
    mlp.depth = 2;
    mlp.seed = (uint64_t)i;
    coupling.scale = GLOW_SCALE_TANH;
    coupling.order = GLOW_ORDER_SCALE_SHIFT;
    coupling.invert = i % 2;
    status = glow_mlp_net_create(context, &mlp, &net);
    if (status == GLOW_OK)
      status = glow_coupling_create(context, &coupling, &net, &layer);
    status = try_add(builder, status, name, &layer);
  }
  prior.learned = 0;
  if (status == GLOW_OK)
    status = try_add(builder, glow_prior_create(context, &prior, &layer), "prior", &layer);
  return status;
}

static glow_status make_flow2d(glow_context *context, const bench_model_options *o,
                               glow_model **out) {
  glow_builder_options options = GLOW_BUILDER_OPTIONS_INIT;
  glow_builder *builder = NULL;
  const glow_shape input = {1, 1, 2};
  options.bits = 0;
  glow_status status = glow_builder_create(context, &input, &options, &builder);
  if (status == GLOW_OK)
    status = add_flow2d(context, builder, o);
  if (status == GLOW_OK)
    return glow_builder_finish(&builder, out);
  glow_builder_destroy(&builder);
  return status;
}

/* Where the command line says nothing, the preset's own stays. */
static void set(int32_t *value, long chosen) {
  if (chosen)
    *value = (int32_t)chosen;
}

static void set_size(glow_shape *input, long size) {
  if (size)
    input->height = input->width = size;
}

static glow_status make_glow(glow_context *context, const bench_model_options *o,
                             glow_model **out) {
  glow_glow_options glow = GLOW_GLOW_OPTIONS_INIT;
  set_size(&glow.input, o->size);
  set(&glow.levels, o->levels);
  set(&glow.depth, o->depth);
  set(&glow.hidden, o->hidden);
  return glow_model_create_glow(context, &glow, out);
}

static glow_status make_realnvp(glow_context *context, const bench_model_options *o,
                                glow_model **out) {
  glow_realnvp_options realnvp = GLOW_REALNVP_OPTIONS_INIT;
  set_size(&realnvp.input, o->size);
  set(&realnvp.scales, o->levels);
  set(&realnvp.blocks, o->depth);
  set(&realnvp.hidden, o->hidden);
  return glow_model_create_realnvp(context, &realnvp, out);
}

static glow_status make_nice(glow_context *context, const bench_model_options *o,
                             glow_model **out) {
  glow_nice_options nice = GLOW_NICE_OPTIONS_INIT;
  set_size(&nice.input, o->size);
  set(&nice.depth, o->depth);
  set(&nice.hidden, o->hidden);
  return glow_model_create_nice(context, &nice, out);
}

/* The flow of torch_spline6d.py: the preset for vectors, without its standardisation. */
static glow_status make_spline6d(glow_context *context, const bench_model_options *o,
                                 glow_model **out) {
  glow_vector_flow_options flow = GLOW_VECTOR_FLOW_OPTIONS_INIT;
  flow.dims = 6;
  flow.unstandardised = 1;
  set(&flow.steps, o->depth);
  set(&flow.hidden, o->hidden);
  return glow_model_create_vector_flow(context, &flow, out);
}

static const struct {
  const char *name;
  glow_status (*make)(glow_context *, const bench_model_options *, glow_model **);
} models[] = {
    {"glow", make_glow},     {"realnvp", make_realnvp},   {"nice", make_nice},
    {"flow2d", make_flow2d}, {"spline6d", make_spline6d},
};
enum { MODELS = sizeof models / sizeof *models };

bool bench_model_known(const char *name) {
  for (int i = 0; i < MODELS; i++)
    if (strcmp(models[i].name, name) == 0)
      return true;
  return false;
}

glow_status bench_model_create(glow_context *context, const bench_model_options *options,
                               glow_model **out) {
  for (int i = 0; i < MODELS; i++)
    if (strcmp(models[i].name, options->model) == 0)
      return models[i].make(context, options, out);
  return GLOW_E_ARGUMENT;
}

/* ---- what it costs --------------------------------------------------------------------------- */

/* How often a pass multiplies with each weight of this tensor: at each pixel of its layer. A
 * level of Glow squeezes first, a scale of RealNVP after its checkerboards. */
static double uses_of(const char *name, const glow_shape *input) {
  long level = 0;
  if (strstr(name, "invconv.upper")) /* lower and upper make one matrix */
    return 0;
  if (sscanf(name, "level%ld.", &level) == 1)
    level++;
  else if (sscanf(name, "scale%ld.", &level) == 1)
    level += strstr(name, "checkerboard") ? 0 : 1;
  else
    return strstr(name, "prior.") ? 0 : 1;
  return (double)(input->height >> level) * (double)(input->width >> level);
}

double bench_model_macs(const glow_model *model) {
  glow_shape input = {0, 0, 0};
  double macs = 0;
  if (glow_model_input_shape(model, &input) != GLOW_OK)
    return 0;
  for (int32_t i = 0; i < glow_model_tensor_count(model); i++) {
    glow_tensor_info info = GLOW_TENSOR_INFO_INIT;
    if (glow_model_tensor(model, i, &info) == GLOW_OK && info.trainable &&
        (info.rank == 2 || info.rank == 4))
      macs += (double)info.elements * uses_of(info.name, &input);
  }
  return macs;
}
