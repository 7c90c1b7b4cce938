/* The models whose bits are recorded: every row of the tables of layers, and the presets with their
 * options. Small, for each is trained in every run. SPDX-License-Identifier: MIT */
#include "bits.h"

enum { GLOW, REALNVP, NICE, VECTOR };

/* 0 stands for the usual choice everywhere. */
struct bits_preset {
  const char *name;
  int32_t family;
  int32_t permutation, coupling, scale;
  int32_t border, classes, classifier, fixed_top, spatial_top; /* Glow */
  int32_t wide;   /* Glow: several strips of pixels, and more than a panel of weights */
  int32_t biases; /* Glow: networks without actnorms */
  int32_t bits;   /* 0: 8; -1: continuous */
  int32_t scales, without_weight_norm, without_batch_norm; /* RealNVP */
  double lag;
  int32_t density, without_data_init; /* NICE */
  int64_t dims;                       /* vector flow */
  int64_t condition;                  /* all of them */
  int32_t unstandardised;
};

#define GLOW_PRESET(text, ...)                                                                     \
  { .name = "glow " text, .family = GLOW, __VA_ARGS__ }
#define REALNVP_PRESET(text, ...)                                                                  \
  { .name = "realnvp " text, .family = REALNVP, __VA_ARGS__ }
#define NICE_PRESET(text, ...)                                                                     \
  { .name = "nice " text, .family = NICE, __VA_ARGS__ }
#define SPLINES(text, ...)                                                                         \
  { .name = "vectors " text, .family = VECTOR, .coupling = GLOW_COUPLING_SPLINE, __VA_ARGS__ }
#define AFFINE(text, scale_, ...)                                                                  \
  {                                                                                                \
    .name = "vectors " text, .family = VECTOR, .coupling = GLOW_COUPLING_AFFINE, .scale = scale_,  \
    __VA_ARGS__                                                                                    \
  }
static const bits_preset presets[] = {
    GLOW_PRESET("plain", .permutation = GLOW_PERMUTATION_INVCONV),
    GLOW_PRESET("lu", .permutation = GLOW_PERMUTATION_INVCONV_LU),
    GLOW_PRESET("reverse", .permutation = GLOW_PERMUTATION_REVERSE),
    GLOW_PRESET("shuffle", .permutation = GLOW_PERMUTATION_SHUFFLE),
    GLOW_PRESET("additive", .coupling = GLOW_COUPLING_ADDITIVE),
    GLOW_PRESET("exp", .scale = GLOW_SCALE_EXP),
    GLOW_PRESET("tanh", .scale = GLOW_SCALE_TANH),
    GLOW_PRESET("floor", .scale = GLOW_SCALE_SIGMOID_FLOOR),
    GLOW_PRESET("learned", .scale = GLOW_SCALE_TANH_LEARNED),
    GLOW_PRESET("biases", .biases = 1),
    GLOW_PRESET("fixed top", .fixed_top = 1),
    GLOW_PRESET("spatial top", .spatial_top = 1),
    GLOW_PRESET("classes", .classes = 3),
    GLOW_PRESET("classifier", .classes = 3, .classifier = 1),
    GLOW_PRESET("edge", .border = 1),
    GLOW_PRESET("5 bits", .bits = 5),
    GLOW_PRESET("continuous", .bits = -1),
    GLOW_PRESET("all at once", .coupling = GLOW_COUPLING_ADDITIVE, .border = 1, .classes = 3,
                .classifier = 1, .spatial_top = 1),
    GLOW_PRESET("wide", .wide = 1),
    GLOW_PRESET("with condition", .condition = 3),
    GLOW_PRESET("with condition, as it is", .condition = 3, .unstandardised = 1),
    REALNVP_PRESET("two scales", .scales = 2),
    REALNVP_PRESET("one scale", .scales = 1),
    REALNVP_PRESET("with a lag", .scales = 1, .lag = 0.75),
    REALNVP_PRESET("without batch norm", .scales = 1, .without_batch_norm = 1),
    REALNVP_PRESET("without weight norm", .scales = 1, .without_weight_norm = 1),
    REALNVP_PRESET("with condition", .scales = 1, .condition = 3),
    NICE_PRESET("logistic", .density = GLOW_DENSITY_LOGISTIC),
    NICE_PRESET("gaussian", .density = GLOW_DENSITY_GAUSSIAN),
    NICE_PRESET("from 1", .density = GLOW_DENSITY_LOGISTIC, .without_data_init = 1),
    NICE_PRESET("with condition", .density = GLOW_DENSITY_LOGISTIC, .condition = 3),
    SPLINES("spline", .dims = 4),
    SPLINES("spline, odd", .dims = 3),
    SPLINES("spline with condition", .dims = 4, .condition = 3),
    AFFINE("sigmoid", GLOW_SCALE_SIGMOID, .dims = 6),
    AFFINE("exp", GLOW_SCALE_EXP, .dims = 6),
    AFFINE("tanh", GLOW_SCALE_TANH, .dims = 6),
    AFFINE("floor", GLOW_SCALE_SIGMOID_FLOOR, .dims = 6),
    AFFINE("learned", GLOW_SCALE_TANH_LEARNED, .dims = 6),
    AFFINE("tanh with condition", GLOW_SCALE_TANH, .dims = 6, .condition = 3),
    AFFINE("tanh with condition, as they are", GLOW_SCALE_TANH, .dims = 6, .condition = 3,
           .unstandardised = 1),
    {.name = "vectors additive",
     .family = VECTOR,
     .coupling = GLOW_COUPLING_ADDITIVE,
     .dims = 6,
     .condition = 3},
};
enum { PRESETS = sizeof presets / sizeof *presets };

/* ---- presets --------------------------------------------------------------------------------- */

static int32_t bits_of(const bits_preset *preset) {
  return preset->bits < 0 ? 0 : preset->bits ? preset->bits : 8;
}

static glow_status create_glow(glow_context *context, const bits_preset *preset, glow_model **out) {
  glow_glow_options o = helper_small_glow();
  if (preset->wide) {
    o.input = (glow_shape){16, 16, 3};
    o.levels = o.depth = 1;
  }
  o.hidden = preset->wide ? 70 : 9;
  o.permutation = preset->permutation ? preset->permutation : GLOW_PERMUTATION_INVCONV_LU;
  o.coupling = preset->coupling ? preset->coupling : GLOW_COUPLING_AFFINE;
  o.scale = preset->scale ? preset->scale : GLOW_SCALE_SIGMOID;
  o.net_actnorm = !preset->biases;
  o.learn_top = !preset->fixed_top;
  o.classes = preset->classes;
  o.bits = bits_of(preset);
  o.border = preset->border;
  o.spatial_top = preset->spatial_top;
  o.classifier = preset->classifier;
  o.condition.channels = preset->condition;
  o.unstandardised = preset->unstandardised;
  return glow_model_create_glow(context, &o, out);
}

static glow_status create_realnvp(glow_context *context, const bits_preset *preset,
                                  glow_model **out) {
  glow_realnvp_options o = GLOW_REALNVP_OPTIONS_INIT;
  o.input = (glow_shape){4, 6, 2};
  o.scales = preset->scales;
  o.hidden = 6;
  o.blocks = 2;
  o.weight_norm = !preset->without_weight_norm;
  o.batch_norm = !preset->without_batch_norm;
  o.lag = preset->lag;
  o.condition.channels = preset->condition;
  o.seed = 6;
  return glow_model_create_realnvp(context, &o, out);
}

static glow_status create_nice(glow_context *context, const bits_preset *preset, glow_model **out) {
  glow_nice_options o = GLOW_NICE_OPTIONS_INIT;
  o.input = (glow_shape){6, 5, 1};
  o.hidden = 20;
  o.depth = 2;
  if (preset->density)
    o.density = preset->density;
  o.from_data = !preset->without_data_init;
  o.condition.channels = preset->condition;
  o.seed = 7;
  return glow_model_create_nice(context, &o, out);
}

static glow_status create_vector_flow(glow_context *context, const bits_preset *preset,
                                      glow_model **out) {
  glow_vector_flow_options o = GLOW_VECTOR_FLOW_OPTIONS_INIT;
  o.dims = preset->dims;
  o.condition = preset->condition;
  o.unstandardised = preset->unstandardised;
  o.steps = 3;
  o.hidden = 12;
  o.coupling = preset->coupling;
  o.scale = preset->scale ? preset->scale : GLOW_SCALE_TANH;
  o.bins = 5;
  o.seed = 8;
  return glow_model_create_vector_flow(context, &o, out);
}

static glow_status create_preset(glow_context *context, const bits_preset *preset,
                                 glow_model **out) {
  switch (preset->family) {
  case GLOW: return create_glow(context, preset, out);
  case REALNVP: return create_realnvp(context, preset, out);
  case NICE: return create_nice(context, preset, out);
  default: return create_vector_flow(context, preset, out);
  }
}

/* ---- rows of the tables ---------------------------------------------------------------------- */

/* An image of even sides and an odd number of pixels in a strip; a vector. */
static const glow_shape shapes[] = {{4, 6, 4}, {1, 1, 6}};
enum { SHAPES = sizeof shapes / sizeof *shapes, HIDDEN = 12 };

/* Shape number `part` of those that the layer fits; NULL past the last. */
static const glow_shape *shape_of(const helper_layer *layer, int32_t part) {
  for (int s = 0; s < SHAPES; s++)
    if (helper_layer_fits(layer, &shapes[s]) && part-- == 0)
      return &shapes[s];
  return NULL;
}

/* ---- all of them ----------------------------------------------------------------------------- */

int32_t bits_subject_count(void) {
  return helper_layer_count + helper_coupling_count + helper_res_net_count + PRESETS;
}

bits_subject bits_subject_at(int32_t index) {
  const struct {
    const helper_layer *layers;
    int32_t count;
  } tables[] = {{helper_layers, helper_layer_count},
                {helper_couplings, helper_coupling_count},
                {helper_res_nets, helper_res_net_count}};
  for (int t = 0; t < 3; index -= tables[t++].count)
    if (index < tables[t].count)
      return (bits_subject){tables[t].layers[index].name, &tables[t].layers[index], NULL};
  return (bits_subject){presets[index].name, NULL, &presets[index]};
}

bool bits_has_part(const bits_subject *subject, int32_t part) {
  return subject->layer ? shape_of(subject->layer, part) != NULL : part == 0;
}

glow_status bits_create(glow_context *context, const bits_subject *subject, int32_t part,
                        glow_model **out) {
  if (!subject->layer)
    return create_preset(context, subject->preset, out);
  return helper_create_model(context, subject->layer, shape_of(subject->layer, part), HIDDEN, out);
}

bool bits_has_bfloat16(const bits_subject *subject) {
  const helper_layer *layer = subject->layer;
  return layer ? layer->net == HELPER_CONV &&
                     (layer->kind == HELPER_COUPLING || layer->kind == HELPER_SPLINE)
               : subject->preset->family == GLOW;
}
