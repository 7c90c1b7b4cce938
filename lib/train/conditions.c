/* Conditions that come with samples: one for each, or one for all. SPDX-License-Identifier: MIT */
#include "host/host.h"
#include "train/train.h"

glow_status glow__conditions_check(const char *what, const float *condition,
                                   int64_t condition_count, int64_t count) {
  if (!condition && condition_count)
    return glow_error(GLOW_E_ARGUMENT, "%s: condition_count is %lld, but condition is NULL", what,
                      (long long)condition_count);
  if (condition && condition_count != 1 && condition_count != count)
    return glow_error(GLOW_E_ARGUMENT,
                      "%s: %lld conditions for %lld samples; as many are needed, or 1", what,
                      (long long)condition_count, (long long)count);
  return GLOW_OK;
}

glow_status glow__conditions_lend(const float *condition, int64_t condition_count, int64_t first,
                                  glow_workspace *workspace) {
  int64_t size = glow_model_condition_size(glow__workspace_model(workspace));
  if (!condition)
    return glow_workspace_set_condition(workspace, NULL, 0, 0);
  if (condition_count == 1 || !size)
    return glow_workspace_set_condition(workspace, condition, 1, size);
  return glow_workspace_set_condition(workspace, condition + first * size, condition_count - first,
                                      size);
}
