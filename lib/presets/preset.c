/* What all presets share. SPDX-License-Identifier: MIT */
#include <stdarg.h>
#include <stdio.h>

#include "presets/presets.h"

glow_status glow__preset_add(glow_builder *builder, glow_status made, glow_layer *layer,
                             const char *name, ...) {
  char text[96];
  va_list arguments;
  if (made != GLOW_OK)
    return made;
  va_start(arguments, name);
  vsnprintf(text, sizeof text, name, arguments);
  va_end(arguments);
  return glow_builder_add(builder, text, &layer);
}

glow_status glow__preset_finish(glow_builder **builder, glow_status status, glow_model **out) {
  if (status == GLOW_OK)
    return glow_builder_finish(builder, out);
  glow_builder_destroy(builder);
  return status;
}

glow_status glow__preset_net(glow_context *context, glow_conditioner_fn conditioner, void *payload,
                             const glow_conditioner_request *request, glow_net **out) {
  *out = NULL;
  if (!conditioner)
    return GLOW_OK;
  glow_status status = conditioner(context, request, out, payload);
  if (status == GLOW_OK && *out)
    return GLOW_OK;
  glow_net_destroy(out);
  if (status == GLOW_OK)
    status = glow_error(GLOW_E_ARGUMENT, "it returned GLOW_OK but no net");
  return glow__error_prefix(status, "the conditioner for level %d, step %d", (int)request->level,
                            (int)request->step);
}

const glow_choice glow__permutation_choices[] = {
    {GLOW_PERMUTATION_REVERSE, 0, "reverse"},       {GLOW_PERMUTATION_SHUFFLE, 0, "shuffle"},
    {GLOW_PERMUTATION_EVEN_ODD, 0, "even_odd"},     {GLOW_PERMUTATION_INVCONV, 0, "invconv"},
    {GLOW_PERMUTATION_INVCONV_LU, 0, "invconv_lu"}, {0, 0, NULL}};
const glow_choice glow__scale_choices[] = {{GLOW_SCALE_SIGMOID, 0, "sigmoid"},
                                           {GLOW_SCALE_EXP, 0, "exp"},
                                           {GLOW_SCALE_TANH, 0, "tanh"},
                                           {GLOW_SCALE_SIGMOID_FLOOR, 0, "sigmoid_floor"},
                                           {GLOW_SCALE_TANH_LEARNED, 0, "tanh_learned"},
                                           {0, 0, NULL}};
const glow_choice glow__density_choices[] = {
    {GLOW_DENSITY_GAUSSIAN, 0, "gaussian"}, {GLOW_DENSITY_LOGISTIC, 0, "logistic"}, {0, 0, NULL}};
