/* Internal face of model/ for train/ and io/. SPDX-License-Identifier: MIT */
#ifndef GLOW_LIB_MODEL_H
#define GLOW_LIB_MODEL_H

#include <glow/model.h>
#include <glow/workspace.h>

#include "base/base.h"

glow_context *glow__model_context(const glow_model *model);
const glow_model *glow__workspace_model(const glow_workspace *workspace);

/* Writes layer `index`'s options to config (glow_layer_ops.save). */
glow_status glow__model_save_layer(const glow_model *model, int32_t index, glow_config *config);
/* Name of the first layer with a non-finite value in this flat vector (of parameters or gradients),
 * searched from the last layer to the first, the order of backward; NULL when all are finite. */
const char *glow__model_nonfinite_layer(const glow_model *model, const float *flat);

#endif
