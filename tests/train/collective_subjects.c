/* Models with all that a step can be given. SPDX-License-Identifier: MIT */
#include "collective_subjects.h"

static glow_status make_glow(glow_context *context, glow_model **out) {
  glow_glow_options o = small_options();
  return glow_model_create_glow(context, &o, out);
}

static glow_status make_realnvp(glow_context *context, glow_model **out) {
  glow_realnvp_options o = GLOW_REALNVP_OPTIONS_INIT;
  o.input = (glow_shape){4, 4, 2};
  o.hidden = 4;
  o.blocks = 1;
  o.lag = 0.1;
  o.seed = 7;
  return glow_model_create_realnvp(context, &o, out);
}

static glow_status make_vector_flow(glow_context *context, glow_model **out) {
  glow_vector_flow_options o = GLOW_VECTOR_FLOW_OPTIONS_INIT;
  o.dims = 5;
  o.condition = 3;
  o.steps = 3;
  o.hidden = 8;
  o.seed = 3;
  return glow_model_create_vector_flow(context, &o, out);
}

static glow_status make_classes(glow_context *context, glow_model **out) {
  glow_glow_options o = small_options();
  o.classes = 3;
  o.classifier = 1;
  o.condition = (glow_shape){1, 1, 3};
  return glow_model_create_glow(context, &o, out);
}

static glow_status make_target_flow(glow_context *context, glow_model **out) {
  glow_vector_flow_options o = GLOW_VECTOR_FLOW_OPTIONS_INIT;
  o.dims = 2;
  o.steps = 2;
  o.hidden = 8;
  o.coupling = GLOW_COUPLING_AFFINE;
  return glow_model_create_vector_flow(context, &o, out);
}

/* In front of a batch normalisation a bias changes nothing: its gradient is what rounding leaves,
 * which Adam would take for a direction. */
static const glow_optimizer_options sgd = {
    sizeof(glow_optimizer_options), GLOW_OPTIMIZER_SGD, 0, 0.9, 0.0, 1e-8, 0.0};

/* GLOW_TRAINER_OPTIONS_INIT, with other values behind the schedule. */
#define OPTIONS(mode_, ...)                                                                        \
  {                                                                                                \
    .struct_size = sizeof(glow_trainer_options), .mode = mode_, .average_decay = 0.9,              \
    .class_weight = 0.3, .drift_bound = 1e-3, .seed = 11, __VA_ARGS__                              \
  }

const subject subjects[SUBJECTS] = {
    {.name = "Glow",
     .make = make_glow,
     .pixels = true,
     .options = OPTIONS(GLOW_MODE_STORED, .micro_batch = 4)},
    {.name = "RealNVP",
     .make = make_realnvp,
     .pixels = true,
     .options = OPTIONS(GLOW_MODE_STORED, .micro_batch = 2, .gain_l2 = 5e-5, .optimizer = &sgd)},
    {.name = "splines over vectors, with conditions and weights",
     .make = make_vector_flow,
     .conditions = true,
     .weights = true,
     .options = OPTIONS(GLOW_MODE_STORED, .micro_batch = 16, .average = 1)},
    {.name = "classes, conditions, clipping and average",
     .make = make_classes,
     .pixels = true,
     .labels = true,
     .conditions = true,
     .weights = true,
     .options = OPTIONS(GLOW_MODE_STORED, .micro_batch = 3, .average = 1, .clip_norm = 0.5,
                        .clip_value = 0.2)},
    {.name = "reconstructed",
     .make = make_glow,
     .pixels = true,
     .options = OPTIONS(GLOW_MODE_RECONSTRUCTED, .micro_batch = 4)},
    {.name = "targets",
     .make = make_target_flow,
     .options = OPTIONS(GLOW_MODE_STORED, .micro_batch = 3, .inverse_backward = 1)},
};
