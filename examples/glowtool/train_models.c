/* The models that `glowtool train` can make: the library's presets, with the options that each has.
 * SPDX-License-Identifier: MIT */
#include "train_models.h"

#include <stdio.h>
#include <string.h>

#include "tool.h"

static glow_status create_glow(glow_context *context, const train_settings *s,
                               const sample_set *images, int32_t classes, glow_model **out) {
  glow_glow_options o = GLOW_GLOW_OPTIONS_INIT;
  o.input = (glow_shape){images->height, images->width, images->channels};
  o.levels = (int32_t)s->levels;
  o.depth = (int32_t)s->depth;
  o.hidden = (int32_t)s->hidden;
  o.permutation = (int32_t)s->permutation;
  o.coupling = s->coupling ? (int32_t)s->coupling : GLOW_COUPLING_AFFINE;
  /* The paper's scale function is the library's default, and the presets of the paper ask for it.
   * This one is as good in bits/dim, and its samples stay finite: docs/experiments.md. */
  o.scale = s->scale ? (int32_t)s->scale : GLOW_SCALE_TANH;
  o.floor = s->floor;
  o.net_actnorm = !s->no_net_actnorm;
  o.learn_top = !s->fixed_prior;
  o.classes = classes;
  o.spatial_top = s->spatial_prior;
  o.border = s->border;
  o.classifier = classes > 0 && s->class_weight > 0.0;
  o.bits = (int32_t)s->bits;
  o.seed = (uint64_t)s->seed;
  return glow_model_create_glow(context, &o, out);
}

static glow_status create_realnvp(glow_context *context, const train_settings *s,
                                  const sample_set *images, int32_t classes, glow_model **out) {
  glow_realnvp_options o = GLOW_REALNVP_OPTIONS_INIT;
  (void)classes;
  o.input = (glow_shape){images->height, images->width, images->channels};
  o.scales = (int32_t)s->levels;
  o.hidden = (int32_t)s->hidden;
  o.blocks = (int32_t)s->blocks;
  o.bits = (int32_t)s->bits;
  o.seed = (uint64_t)s->seed;
  return glow_model_create_realnvp(context, &o, out);
}

static glow_status create_nice(glow_context *context, const train_settings *s,
                               const sample_set *images, int32_t classes, glow_model **out) {
  glow_nice_options o = GLOW_NICE_OPTIONS_INIT;
  (void)classes;
  o.input = (glow_shape){images->height, images->width, images->channels};
  o.couplings = (int32_t)s->couplings;
  o.hidden = (int32_t)s->hidden;
  o.depth = s->net_depth ? (int32_t)s->net_depth : 5;
  o.density = (int32_t)s->density;
  o.from_data = !s->no_data_init;
  o.bits = (int32_t)s->bits;
  o.seed = (uint64_t)s->seed;
  return glow_model_create_nice(context, &o, out);
}

static glow_status create_vector(glow_context *context, const train_settings *s,
                                 const sample_set *rows, int32_t classes, glow_model **out) {
  glow_vector_flow_options o = GLOW_VECTOR_FLOW_OPTIONS_INIT;
  (void)classes;
  o.dims = rows->channels;
  o.condition = rows->condition;
  o.steps = (int32_t)s->depth;
  o.hidden = (int32_t)s->hidden;
  o.depth = s->net_depth ? (int32_t)s->net_depth : 2;
  o.coupling = s->coupling ? (int32_t)s->coupling : GLOW_COUPLING_SPLINE;
  o.scale = s->scale ? (int32_t)s->scale : GLOW_SCALE_TANH;
  o.bins = (int32_t)s->bins;
  o.bound = s->bound;
  o.unstandardised = s->no_standardise;
  o.seed = (uint64_t)s->seed;
  return glow_model_create_vector_flow(context, &o, out);
}

static const train_model models[] = {
    {"glow", "Kingma and Dhariwal 2018", create_glow},
    {"nice", "Dinh et al. 2014; --couplings, --net-depth, --hidden, --density, --no-data-init",
     create_nice},
    {"realnvp",
     "Dinh et al. 2016; --levels are its scales, --hidden and --blocks its residual networks",
     create_realnvp},
    {"vector",
     "tables and other vectors: --depth steps of actnorm, mixing and --coupling (spline or affine) "
     "with --net-depth layers of --hidden; --condition",
     create_vector},
    {NULL, NULL, NULL},
};

const train_model *train_model_find(const char *name) {
  char names[200] = "";
  for (const train_model *m = models; m->name; m++) {
    if (strcmp(m->name, name) == 0)
      return m;
    snprintf(names + strlen(names), sizeof names - strlen(names), "%s%s", *names ? ", " : "",
             m->name);
  }
  complain("--model: '%s' is not one of %s", name, names);
  return NULL;
}

void train_models_print(void) {
  for (const train_model *m = models; m->name; m++)
    printf("  %-20s  %s\n", m->name, m->about);
}
