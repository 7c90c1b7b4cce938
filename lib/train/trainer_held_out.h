/* The held-out part of a run (trainer_held_out.c). SPDX-License-Identifier: MIT */
#ifndef GLOW_LIB_TRAINER_HELD_OUT_H
#define GLOW_LIB_TRAINER_HELD_OUT_H

#include "train/train.h"

typedef struct glow__held_out {
  const glow_run_options *options;
  float *best;   /* parameters and fixed state of the best evaluation, or NULL */
  int64_t since; /* evaluations since then */
  int64_t first; /* samples that the ranks before this one hold out: the noise of its own follows */
} glow__held_out;

/* Checks what the options say of it. */
glow_status glow__held_out_begin(const glow_trainer *trainer, const glow_run_options *options,
                                 glow__held_out *held_out);
/* Whether it is time for an evaluation. */
bool glow__held_out_due(const glow_trainer *trainer, const glow__held_out *held_out);
/* After a step: evaluates if it is time, or if the step is the last one; says in *done whether the
 * run is to end. */
glow_status glow__held_out_step(glow_trainer *trainer, bool last, glow__held_out *held_out,
                                glow_run_report *done);
/* Gives a run that ended well the best parameters. Returns `status`, or why not. */
glow_status glow__held_out_end(glow_trainer *trainer, glow_status status, glow__held_out *held_out,
                               const glow_run_report *done);

#endif
