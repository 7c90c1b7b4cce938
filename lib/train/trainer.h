/* The trainer, shared by its files: trainer.c (its life and options), trainer_step.c (one step),
 * trainer_run.c (a run of steps), trainer_average.c. SPDX-License-Identifier: MIT */
#ifndef GLOW_LIB_TRAINER_H
#define GLOW_LIB_TRAINER_H

#include "host/host.h"
#include "train/train.h"

struct glow_trainer {
  glow_context *context;
  glow_model *model;
  glow_trainer_options options; /* its pointers lead to copies that the trainer owns */
  glow_schedule schedule;
  glow_optimizer *optimizer;
  glow_workspace *workspace;
  glow__flat flat;
  int64_t dims;
  int64_t steps;
  uint64_t position; /* in the sequence of dequantisation noise */
  float *x;          /* [micro_batch, dims] dequantised pixels; NULL for continuous data */
  double *weight;    /* [micro_batch] */
  double *log_prob;  /* [micro_batch] */
  int64_t classes;   /* of the classifier; 0 without one */
  float *d_logits;   /* [micro_batch, classes], or NULL */
  float *average; /* flat, or NULL: the average or, while that is in use, the trained parameters */
  bool average_used;
  glow__note *notes;       /* of the checkpoint that the trainer was loaded from */
  const float *conditions; /* the caller's [condition_count, condition size] */
  int64_t condition_count;
};

/* A batch of floats or of pixels. */
typedef struct glow__batch {
  const float *x;
  const uint8_t *pixels;
  const int32_t *labels;
  int64_t count;
} glow__batch;

/* Refuses what must not be done while the average is in use. */
glow_status glow__trainer_check_idle(const glow_trainer *trainer);
/* Gives the workspace's passes the conditions of samples `first` and on of a batch of `count`. */
glow_status glow__trainer_aim_condition(glow_trainer *trainer, int64_t first, int64_t count);
/* One step, all or nothing. report may be NULL. */
glow_status glow__trainer_step_batch(glow_trainer *trainer, const glow__batch *batch,
                                     glow_step_report *report);

#endif
