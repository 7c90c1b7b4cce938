/* After the gradients of a step: how they went on all ranks. SPDX-License-Identifier: MIT */
#include "train/collective.h"
#include "train/trainer.h"

/* What a rank tells before the caller's values. */
enum { AGAIN, OBSERVED, VALUES };

const double *glow__trainer_told_gradients(const glow_trainer *t, int32_t rank) {
  return glow__trainer_told(t, rank) + VALUES;
}

static double told_sum(const glow_trainer *t, int32_t value) {
  double sum = 0.0;
  for (int32_t r = 0; r < glow__trainer_ranks(t); r++)
    sum += glow__trainer_told(t, r)[value];
  return sum;
}

/* What batch normalisations have observed on all ranks, as if in one process: sums over samples. */
static glow_status join_observed(glow_trainer *t) {
  double *sums, observed = told_sum(t, OBSERVED);
  int64_t *samples, count = glow__running_sums(t->workspace, &sums, &samples);
  if (!t->collective || !count || observed == 0.0)
    return GLOW_OK;
  *samples = (int64_t)observed;
  return glow__collective_sum(t->collective, sums, count, GLOW_SUM_FLOAT64);
}

glow_status glow__trainer_tell_gradients(glow_trainer *t, glow_status status, bool before,
                                         const double *values, int32_t count, bool *again) {
  bool changed = status != GLOW_OK && !before && glow__workspace_recomputes(t->workspace);
  double told[GLOW_TOLD] = {[AGAIN] = changed}, *sums;
  int64_t *samples;
  glow__running_sums(t->workspace, &sums, &samples);
  told[OBSERVED] = (double)*samples;
  for (int32_t i = 0; i < count; i++)
    told[VALUES + i] = values[i];
  GLOW_TRY(
      glow__trainer_tell(t, changed ? GLOW_OK : status, GLOW_CALL_GRADIENTS, told, VALUES + count));
  *again = told_sum(t, AGAIN) > 0.0;
  if (!*again)
    return join_observed(t);
  glow__workspace_set_recomputes(t->workspace, true);
  return GLOW_OK;
}
