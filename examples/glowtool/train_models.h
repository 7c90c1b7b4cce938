/* The models that `glowtool train` can make. SPDX-License-Identifier: MIT */
#ifndef GLOWTOOL_TRAIN_MODELS_H
#define GLOWTOOL_TRAIN_MODELS_H

#include "train_options.h"

/* A model that --model names. */
typedef struct train_model {
  const char *name;
  const char *about;
  /* Makes it for images of this shape. classes 0: not conditional. */
  glow_status (*create)(glow_context *context, const train_settings *settings,
                        const sample_set *images, int32_t classes, glow_model **out);
} train_model;

/* NULL, after a message that lists the names, when there is none of this name. */
const train_model *train_model_find(const char *name);
/* Prints name and about of each. */
void train_models_print(void);

#endif
