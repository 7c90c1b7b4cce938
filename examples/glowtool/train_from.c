/* Starting from a model file. The model says what options would say of a new one: shape, bits,
 * classes. SPDX-License-Identifier: MIT */
#include <stdio.h>
#include <string.h>

#include "train.h"

static int refuse(const char *option, const char *why) {
  return complain("--%s means nothing here: the model of --from has %s", option, why);
}

/* Scales of weight normalisation, which --gain-l2 penalises. */
static bool has_gains(const glow_model *model) {
  static const char end[] = ".gain";
  for (int32_t i = 0; i < glow_model_tensor_count(model); i++) {
    glow_tensor_info info = GLOW_TENSOR_INFO_INIT;
    size_t length = 0;
    if (glow_model_tensor(model, i, &info) == GLOW_OK && info.trainable)
      length = strlen(info.name);
    if (length >= sizeof end && strcmp(info.name + length - (sizeof end - 1), end) == 0)
      return true;
  }
  return false;
}

static int check_options(const train_run *run) {
  static const char *const of_classes[] = {"labels", "test-labels", "labelled", "class-weight"};
  const option_state *o = &run->options;
  for (size_t i = 0; i < sizeof of_classes / sizeof *of_classes; i++)
    if (options_typed(o, of_classes[i]) && !glow_model_class_count(run->model))
      return refuse(of_classes[i], "no classes");
  if (options_typed(o, "class-weight") && !glow_model_logit_count(run->model))
    return refuse("class-weight", "no classifier");
  if (options_typed(o, "gain-l2") && !has_gains(run->model))
    return refuse("gain-l2", "no scales of weight normalisation");
  if (options_typed(o, "init-images") && glow_model_initialised(run->model))
    return refuse("init-images", "actnorms that are initialised already");
  return TOOL_FINE;
}

/* Sets the options as a new model would have them, for loading the data and for checkpoints. */
static void take_settings(train_run *run) {
  train_settings *s = &run->settings;
  glow_shape shape = {0, 0, 0};
  glow_model_input_shape(run->model, &shape);
  s->conditional = glow_model_class_count(run->model) > 0;
  s->bits = glow_model_bits(run->model);
  snprintf(s->size_of_model, sizeof s->size_of_model, "%lldx%lld", (long long)shape.width,
           (long long)shape.height);
  if (!options_typed(&run->options, "size") && !s->form.pad && !train_of_vectors(run))
    s->size = s->size_of_model;
  if (!options_typed(&run->options, "channels") && (shape.channels == 1 || shape.channels == 3))
    s->form.channels = shape.channels;
}

int train_from(train_run *run) {
  const train_settings *s = &run->settings;
  int code = open_context(s->threads, s->kernels, s->products, &run->context);
  if (code != TOOL_FINE)
    return code;
  glow_status status = glow_model_load(run->context, s->from, &run->model);
  if (status != GLOW_OK)
    return complain_status(status, "--from");
  take_settings(run);
  return check_options(run);
}
