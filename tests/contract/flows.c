/* SPDX-License-Identifier: MIT */
#include "flows.h"

static glow_model *of_glow(glow_context *context, int32_t variant) {
  glow_glow_options o = helper_small_glow();
  o.classes = variant == 1 ? 3 : 0;
  o.learn_top = variant != 2;
  return helper_glow(context, &o, (uint64_t)variant);
}

static glow_model *plain_glow(glow_context *context) {
  return of_glow(context, 0);
}
static glow_model *classes_glow(glow_context *context) {
  return of_glow(context, 1);
}
static glow_model *fixed_top_glow(glow_context *context) {
  return of_glow(context, 2);
}

static glow_model *perturbed(glow_model *model, float scale, uint64_t use) {
  helper_random random = helper_random_of(use);
  helper_perturb(model, &random, scale);
  return model;
}

/* Running averages that fit data: others would scale by what is far from 1, layer after layer. */
static void take_averages(glow_model *model) {
  enum { SAMPLES = 64 };
  helper_random random = helper_random_of(14);
  glow_workspace *ws = helper_workspace(model, SAMPLES, GLOW_MODE_INFERENCE);
  float *x = helper_new_normals(&random, 0.2f, SAMPLES * glow_model_dims(model));
  OK(glow_workspace_initialise(ws, model, x, NULL, SAMPLES));
  free(x);
  glow_workspace_destroy(&ws);
}

static glow_model *realnvp(glow_context *context) {
  glow_realnvp_options o = GLOW_REALNVP_OPTIONS_INIT;
  glow_model *model = NULL;
  o.input = (glow_shape){4, 4, 2};
  o.scales = 2, o.blocks = 1, o.hidden = 4;
  OK(glow_model_create_realnvp(context, &o, &model));
  take_averages(model);
  return perturbed(model, 0.02f, 11);
}

static glow_model *nice(glow_context *context) {
  glow_nice_options o = GLOW_NICE_OPTIONS_INIT;
  glow_model *model = NULL;
  o.input = (glow_shape){3, 4, 1};
  o.hidden = 8, o.depth = 1;
  OK(glow_model_create_nice(context, &o, &model));
  return perturbed(model, 0.1f, 12);
}

static glow_model *spline(glow_context *context) {
  glow_vector_flow_options o = GLOW_VECTOR_FLOW_OPTIONS_INIT;
  glow_model *model = NULL;
  o.steps = 2, o.hidden = 8;
  OK(glow_model_create_vector_flow(context, &o, &model));
  return perturbed(model, 0.1f, 13);
}

const flow flows[FLOWS] = {{"Glow", plain_glow, false, 2e-5, 0.02},
                           {"Glow with classes", classes_glow, false, 2e-5, 0.02},
                           {"Glow, fixed top prior", fixed_top_glow, false, 2e-5, 0.02},
                           {"RealNVP", realnvp, false, 1e-2, 0.1},
                           {"NICE", nice, true, 2e-5, 0.02},
                           {"spline flow", spline, false, 5e-3, 0.02}};
