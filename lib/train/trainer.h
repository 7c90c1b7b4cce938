/* The trainer, shared by its files: trainer.c (its life and options), trainer_initialise.c,
 * trainer_step.c (one step), trainer_loss.c (a loss of the caller's own), trainer_target.c (a step
 * towards a target), trainer_run.c (a run of steps), trainer_average.c.
 * SPDX-License-Identifier: MIT */
#ifndef GLOW_LIB_TRAINER_H
#define GLOW_LIB_TRAINER_H

#include "host/host.h"
#include "train/collective.h"
#include "train/train.h"

/* The caller's own loss, with room for what it reads and writes: [micro_batch, ...], made when the
 * first one is set. */
typedef struct glow__loss {
  glow_loss_fn fn; /* NULL: the loss is bits/dim */
  void *payload;
  double *logdet, *d_logdet;
  float *latents, *d_latents; /* of dims */
  float *d_logits;            /* NULL if the model has no logits */
} glow__loss;

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
  float *x;          /* [micro_batch, dims] dequantised pixels, or samples drawn for a target; NULL
                        where neither is needed */
  float *dx;         /* [micro_batch, dims]: gradient of the objective; NULL without a target */
  double *log_p;     /* [micro_batch] of the target, or NULL */
  double *share;     /* [micro_batch]: weights of samples, divided by the mean of the batch's */
  double *weight;    /* [micro_batch]: gradient of the loss by the log-density */
  double *log_prob;  /* [micro_batch] */
  int64_t classes;   /* of the classifier; 0 without one */
  float *d_logits;   /* [micro_batch, classes], or NULL */
  float *average; /* flat, or NULL: the average or, while that is in use, the trained parameters */
  bool average_used;
  glow__loss loss;
  glow_gradient_fn hook; /* or NULL */
  void *hook_payload;
  glow__note *notes;            /* of the checkpoint that the trainer was loaded from */
  glow__collective *collective; /* with other ranks; NULL: alone */
  glow__told told;              /* what a trainer tells itself alone */
};

/* Refuses what must not be done while the average is in use. */
glow_status glow__trainer_check_idle(const glow_trainer *trainer);
/* Makes the gradients of a step: their sum over micro-batches, and what the report says of the loss
 * and of drift. */
typedef glow_status (*glow__gradients_fn)(glow_trainer *trainer, void *what,
                                          glow_step_report *report);
/* One step on these samples, unless `status` refuses it, all or nothing on all ranks. joined: what
 * this rank gives, which becomes what all give before `accumulate` is called. A refused step leaves
 * no trace: that its batch drifted says nothing about those to come. The workspace does not keep
 * the step's conditions. */
glow_status glow__trainer_make_step(glow_trainer *trainer, glow_status status, int32_t call,
                                    glow__joined *joined, glow__gradients_fn accumulate, void *what,
                                    glow_step_report *report);
/* Forward of a micro-batch. A sample that is not finite refuses the step. */
glow_status glow__trainer_forward(glow_trainer *trainer, const float *x, int64_t count,
                                  const glow_forward_options *options);
/* Forward and the caller's loss of samples [first, first + count), which is added to *sum; what
 * backward then needs goes to *backward. */
glow_status glow__trainer_own_loss(glow_trainer *trainer, const glow__batch *batch, int64_t first,
                                   int64_t count, const float *x, double *sum,
                                   glow_backward_options *backward);
void glow__trainer_loss_destroy(glow_trainer *trainer);
/* glow_trainer_step_batch with its arguments checked: one step, all or nothing, unless `status`
 * refuses it. */
glow_status glow__trainer_step(glow_trainer *trainer, glow_status status, const glow_batch *batch,
                               glow_step_report *report);

#endif
