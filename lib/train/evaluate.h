/* Means over samples, one by one. SPDX-License-Identifier: MIT */
#ifndef GLOW_LIB_EVALUATE_H
#define GLOW_LIB_EVALUATE_H

#include <glow/objective.h>

#include "train/train.h"

/* Room for what passes over one batch of a workspace need and give. */
typedef struct glow__evaluation_room {
  float *x;          /* [batch, dims] dequantised pixels; NULL where no pixels are evaluated */
  double *log_prob;  /* [batch] */
  int32_t *statuses; /* [batch] */
} glow__evaluation_room;

/* glow_evaluate, with its arguments checked, without allocations. first: samples whose noise comes
 * before that of the first sample of all. */
glow_status glow__evaluate(glow_workspace *workspace, const glow__batch *batch, uint64_t seed,
                           int64_t first, const glow__evaluation_room *room,
                           glow_evaluation *evaluation);
/* glow_evaluate with that. */
glow_status glow__evaluate_batch(glow_workspace *workspace, const glow_batch *batch, uint64_t seed,
                                 int64_t first, glow_evaluation *evaluation);
/* Means of nothing start at 0 again. */
void glow__evaluation_resume(glow_evaluation *evaluation);
/* What the next piece does not need. */
void glow__evaluation_conclude(const glow_model *model, glow_evaluation *evaluation);

#endif
