/* The models that `glowtool train` can make: the library's presets, with the options that each has.
 * SPDX-License-Identifier: MIT */
#include "train_models.h"

#include <stdio.h>
#include <string.h>

#include "tool.h"

static glow_status create_glow(glow_context *context, const train_settings *s,
                               const image_set *images, int32_t classes, glow_model **out) {
  glow_glow_options o = train_model_options(s, images, classes);
  return glow_model_create_glow(context, &o, out);
}

static glow_status create_realnvp(glow_context *context, const train_settings *s,
                                  const image_set *images, int32_t classes, glow_model **out) {
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

static const train_model models[] = {
    {"glow", "Kingma and Dhariwal 2018", create_glow, {"blocks", NULL}},
    {"realnvp",
     "Dinh et al. 2016; --levels are its scales, --hidden and --blocks its residual networks",
     create_realnvp,
     {"depth", "permutation", "coupling", "scale", "floor", "no-net-actnorm", "fixed-prior",
      "conditional", NULL}},
    {NULL, NULL, NULL, {NULL}},
};

const train_model *train_model_find(const char *name) {
  char names[200] = "";
  for (const train_model *m = models; m->name; m++) {
    if (strcmp(m->name, name) == 0)
      return m;
    snprintf(names + strlen(names), sizeof names - strlen(names), "%s%s", *names ? ", " : "",
             m->name);
  }
  complain("--model: there is no '%s'; there are %s", name, names);
  return NULL;
}

int train_model_check(const train_model *model, const option_state *state) {
  for (const char *const *option = model->foreign; *option; option++)
    if (options_given(state, *option))
      return complain("--%s means nothing to --model %s", *option, model->name);
  return TOOL_FINE;
}

void train_models_print(void) {
  for (const train_model *m = models; m->name; m++)
    printf("  %-20s  %s\n", m->name, m->about);
}
