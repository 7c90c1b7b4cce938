/* The internal interface of presets/. SPDX-License-Identifier: MIT */
#ifndef GLOW_LIB_PRESETS_H
#define GLOW_LIB_PRESETS_H

#include <glow/presets.h>

#include "base/base.h"

/* Registers the layers and nets of this library with a context. */
glow_status glow__register_types(glow_context *context);

/* Runs of this many linear layers and more become one in glow_model_inference_form. */
glow_status glow__model_inference_form(const glow_model *model, int32_t least, glow_model **out);

/* Takes `layer` over and appends it under a name, printf-like; `made` is the status of making it.
 * */
glow_status glow__preset_add(glow_builder *builder, glow_status made, glow_layer *layer,
                             const char *name, ...) __attribute__((format(printf, 4, 5)));
/* Asks the caller's conditioner, if there is one, for the net of a coupling; *out is NULL
 * otherwise. */
glow_status glow__preset_net(glow_context *context, glow_conditioner_fn conditioner, void *payload,
                             const glow_conditioner_request *request, glow_net **out);

/* Option rows of a glow_shape, the input or the condition of a preset. */
#define GLOW_INPUT_ROWS(struct_, height_, width_, channels_)                                       \
  GLOW_OPTION(struct_, input.height, INT64, .low = 1, .high = 1 << 30, .fallback = (height_)),     \
      GLOW_OPTION(struct_, input.width, INT64, .low = 1, .high = 1 << 30, .fallback = (width_)),   \
      GLOW_OPTION(struct_, input.channels, INT64, .low = 1, .high = 1 << 30,                       \
                  .fallback = (channels_))
#define GLOW_CONDITION_ROWS_OF(struct_)                                                            \
  GLOW_OPTION(struct_, condition.height, INT64, .flags = GLOW_OPTION_ADDED, .low = 1,              \
              .high = 1 << 30, .fallback = 1),                                                     \
      GLOW_OPTION(struct_, condition.width, INT64, .flags = GLOW_OPTION_ADDED, .low = 1,           \
                  .high = 1 << 30, .fallback = 1),                                                 \
      GLOW_OPTION(struct_, condition.channels, INT64, .high = 1 << 30)

/* Choices that several presets have. */
extern const glow_choice glow__permutation_choices[], glow__scale_choices[],
    glow__density_choices[];

/* Finishes the builder if `status` is GLOW_OK, destroys it otherwise. */
glow_status glow__preset_finish(glow_builder **builder, glow_status status, glow_model **out);

#endif
