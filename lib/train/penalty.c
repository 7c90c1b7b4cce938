/* The penalty on the scales of weight normalisation. SPDX-License-Identifier: MIT */
#include <string.h>

#include "train/train.h"

/* The last part of a tensor's name, "level0.step1.coupling.net.last.gain", is the name that its
 * layer gives it. */
static bool is_gain(const char *name) {
  const char *dot = strrchr(name, '.');
  return strcmp(dot ? dot + 1 : name, "gain") == 0;
}

glow_status glow__penalise_gains(const glow_model *model, double gain_l2, float *gradients) {
  const float *parameters = glow_model_parameters(model);
  float factor = (float)(2.0 * gain_l2);
  for (int32_t i = 0; factor > 0.0f && i < glow_model_tensor_count(model); i++) {
    glow_tensor_info info = GLOW_TENSOR_INFO_INIT;
    GLOW_TRY(glow_model_tensor(model, i, &info));
    if (!info.trainable || !is_gain(info.name))
      continue;
    for (int64_t k = info.offset; k < info.offset + info.elements; k++)
      gradients[k] += factor * parameters[k];
  }
  return GLOW_OK;
}
