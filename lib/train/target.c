/* A target as the caller gives it. SPDX-License-Identifier: MIT */
#include "train/target.h"

#include <math.h>

#include "train/train.h"

glow_status glow__target_read(const glow_target *from, int64_t count, glow_target *to) {
  *to = (glow_target)GLOW_TARGET_INIT;
  GLOW_TRY(glow__options_copy(to, sizeof *to, from, sizeof *to, "glow_target"));
  if (!to->density)
    return glow_error(GLOW_E_ARGUMENT, "glow_target: density is NULL");
  if (to->objective != GLOW_REVERSE_KL && to->objective != GLOW_FORWARD_KL)
    return glow_error(GLOW_E_ARGUMENT,
                      "glow_target: objective is %d; it must be GLOW_REVERSE_KL (%d) or "
                      "GLOW_FORWARD_KL (%d)",
                      (int)to->objective, GLOW_REVERSE_KL, GLOW_FORWARD_KL);
  if (to->reserved)
    return glow_error(GLOW_E_ARGUMENT, "glow_target: reserved is %d; it must be 0",
                      (int)to->reserved);
  return glow__conditions_check("glow_target", to->condition, to->condition_count, count);
}

glow_status glow__target_density(const glow_target *target, const float *x, int64_t first,
                                 int64_t count, int64_t dims, double *log_p, float *gradient) {
  glow__callback callback;
  for (int64_t i = 0; i < count; i++)
    log_p[i] = NAN;
  for (int64_t i = 0; gradient && i < count * dims; i++)
    gradient[i] = NAN;
  glow__callback_begin(&callback);
  glow_status status = target->density(x, first, count, log_p, gradient, target->payload);
  return glow__callback_end(&callback, status, 0, "the density");
}
