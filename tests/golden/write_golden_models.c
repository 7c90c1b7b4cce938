/* Saves the models of the golden vectors of gradients in both directions: write_golden_models DIR.
 * Each has first values from data, and then every parameter is moved off its start, so that no term
 * is trivially zero. See gradients/make_vectors.py. SPDX-License-Identifier: MIT */
#include "../support/model_helpers.h"

enum { SAMPLES = 64, LARGEST_CONDITION = 64, CLASSES = 3 };

/* ---- Glow ------------------------------------------------------------------------------------ */

static glow_glow_options small_glow(void) {
  glow_glow_options o = GLOW_GLOW_OPTIONS_INIT;
  o.input = (glow_shape){8, 8, 2};
  o.levels = 2, o.depth = 2, o.hidden = 6;
  o.seed = 3;
  return o;
}

static glow_model *glow_of(glow_context *context, const glow_glow_options *o) {
  glow_model *model = NULL;
  OK(glow_model_create_glow(context, o, &model));
  return model;
}

static glow_model *affine(glow_context *context) {
  glow_glow_options o = small_glow();
  o.permutation = GLOW_PERMUTATION_INVCONV;
  return glow_of(context, &o);
}

static glow_model *additive(glow_context *context) {
  glow_glow_options o = small_glow();
  o.permutation = GLOW_PERMUTATION_SHUFFLE;
  o.coupling = GLOW_COUPLING_ADDITIVE;
  return glow_of(context, &o);
}

static glow_model *lu(glow_context *context) {
  glow_glow_options o = small_glow();
  o.scale = GLOW_SCALE_TANH;
  o.border = 1;
  o.spatial_top = 1;
  return glow_of(context, &o);
}

static glow_model *plain(glow_context *context) {
  glow_glow_options o = small_glow();
  o.permutation = GLOW_PERMUTATION_REVERSE;
  o.scale = GLOW_SCALE_EXP;
  o.net_actnorm = 0;
  o.learn_top = 0;
  return glow_of(context, &o);
}

static glow_model *classes(glow_context *context) {
  glow_glow_options o = small_glow();
  o.scale = GLOW_SCALE_SIGMOID_FLOOR;
  o.classes = CLASSES;
  return glow_of(context, &o);
}

static glow_model *condition(glow_context *context) {
  glow_glow_options o = small_glow();
  o.condition = (glow_shape){8, 8, 1};
  return glow_of(context, &o);
}

/* ---- the family ------------------------------------------------------------------------------ */

static glow_model *realnvp(glow_context *context) {
  glow_realnvp_options o = GLOW_REALNVP_OPTIONS_INIT;
  glow_model *model = NULL;
  o.input = (glow_shape){4, 4, 2};
  o.scales = 2, o.blocks = 1, o.hidden = 4;
  OK(glow_model_create_realnvp(context, &o, &model));
  return model;
}

static glow_model *nice(glow_context *context) {
  glow_nice_options o = GLOW_NICE_OPTIONS_INIT;
  glow_model *model = NULL;
  o.input = (glow_shape){4, 4, 1};
  o.hidden = 8, o.depth = 2;
  OK(glow_model_create_nice(context, &o, &model));
  return model;
}

static glow_model *vector_flow(glow_context *context, int32_t coupling) {
  glow_vector_flow_options o = GLOW_VECTOR_FLOW_OPTIONS_INIT;
  glow_model *model = NULL;
  o.dims = 5, o.condition = 3;
  o.steps = 3, o.hidden = 8;
  o.coupling = coupling;
  OK(glow_model_create_vector_flow(context, &o, &model));
  return model;
}

static glow_model *affine_vectors(glow_context *context) {
  return vector_flow(context, GLOW_COUPLING_AFFINE);
}
static glow_model *spline(glow_context *context) {
  return vector_flow(context, GLOW_COUPLING_SPLINE);
}

static const struct {
  const char *name;
  glow_model *(*make)(glow_context *);
  float moves; /* deviation of what is added to each parameter */
} models[] = {{"glow_affine", affine, 0.05f},
              {"glow_additive", additive, 0.05f},
              {"glow_lu", lu, 0.05f},
              {"glow_plain", plain, 0.05f},
              {"glow_classes", classes, 0.05f},
              {"glow_condition", condition, 0.05f},
              {"realnvp", realnvp, 0.02f},
              {"nice", nice, 0.1f},
              {"vector_affine", affine_vectors, 0.1f},
              {"vector_spline", spline, 0.1f}};

/* The gains of the last convolutions of RealNVP's nets start at 1, so that each coupling stretches
 * some elements a hundredfold. The inverse of several of them enlarges the rounding of float32 far
 * beyond what that of a trained model does. */
static void tame_couplings(glow_model *model) {
  const char *end = ".net.last.gain";
  for (int32_t i = 0; i < glow_model_tensor_count(model); i++) {
    glow_tensor_info info = GLOW_TENSOR_INFO_INIT;
    OK(glow_model_tensor(model, i, &info));
    size_t length = strlen(info.name);
    if (length < strlen(end) || strcmp(info.name + length - strlen(end), end) != 0)
      continue;
    for (int64_t k = 0; k < info.elements; k++)
      glow_model_parameters_mutable(model)[info.offset + k] *= 0.25f;
  }
  OK(glow_model_prepare(model));
}

/* ---- saving ---------------------------------------------------------------------------------- */

static void initialise(glow_model *model, uint64_t use) {
  helper_random random = helper_random_of(use);
  int64_t size = glow_model_condition_size(model);
  glow_workspace *ws = helper_workspace(model, SAMPLES, GLOW_MODE_INFERENCE);
  float *x = helper_new_normals(&random, 0.15f, SAMPLES * glow_model_dims(model));
  float *conditions = helper_new_normals(&random, 1.0f, SAMPLES * LARGEST_CONDITION);
  int32_t labels[SAMPLES];
  for (int i = 0; i < SAMPLES; i++)
    labels[i] = i % CLASSES;
  assert_true(size <= LARGEST_CONDITION);
  if (size)
    OK(glow_workspace_set_condition(ws, conditions, SAMPLES, size));
  OK(glow_workspace_initialise(ws, model, x, glow_model_class_count(model) ? labels : NULL,
                               SAMPLES));
  free(conditions);
  free(x);
  glow_workspace_destroy(&ws);
}

int main(int argc, char **argv) {
  if (argc != 2) {
    fprintf(stderr, "usage: write_golden_models DIR\n");
    return 2;
  }
  for (size_t i = 0; i < sizeof models / sizeof *models; i++) {
    glow_context *context = helper_context(1, "c", NULL);
    glow_model *model = models[i].make(context);
    helper_random random = helper_random_of(100 + i);
    char path[4096];
    tame_couplings(model);
    initialise(model, 200 + i);
    helper_perturb(model, &random, models[i].moves);
    snprintf(path, sizeof path, "%s/%s.model", argv[1], models[i].name);
    OK(glow_model_save(model, path));
    glow_model_destroy(&model);
    glow_context_destroy(&context);
  }
  return 0;
}
