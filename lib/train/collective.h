/* What joins a trainer to those of other ranks: collective.c (calls of the engine),
 * collective_tell.c (what ranks tell each other), collective_buckets.c (sums of gradients),
 * collective_feedback.c (in bfloat16), collective_configuration.c (what must be the same),
 * collective_state.c (giving all ranks that of rank 0), collective_gather.c (the batch of all
 * ranks), collective_set.c (joining). SPDX-License-Identifier: MIT */
#ifndef GLOW_LIB_COLLECTIVE_H
#define GLOW_LIB_COLLECTIVE_H

#include <glow/collective.h>

#include "train/rates.h"
#include "train/train.h"

/* ---- what ranks tell each other -------------------------------------------------------------- */

/* What a rank tells the others in one small sum. Layout and size never change: ranks of other
 * versions of the library must be able to refuse each other. */
enum { GLOW_TOLD = 10, GLOW_TOLD_TEXT = 1024 };
typedef struct glow__told {
  double status; /* glow_status: why this rank refuses */
  double call;   /* which one it makes, of the list below */
  double values[GLOW_TOLD];
} glow__told;

enum {
  GLOW_CALL_JOIN = 1, /* never another number, like the layout */
  GLOW_CALL_STEP,
  GLOW_CALL_REVERSE_KL,
  GLOW_CALL_FORWARD_KL,
  GLOW_CALL_GRADIENTS,
  GLOW_CALL_UPDATE,
  GLOW_CALL_INITIALISE,
  GLOW_CALL_RUN,
  GLOW_CALL_EVALUATE
};

/* ---- sums of gradients ----------------------------------------------------------------------- */

/* Neighbours in the flat gradients that are summed together. */
typedef struct glow__bucket {
  int64_t first, count;
  void *request; /* of the engine */
} glow__bucket;

/* Rounding to bfloat16 (collective_feedback.c): flat vectors, NULL where sums are of float32. */
typedef struct glow__feedback {
  uint16_t *rounded; /* what is summed */
  float *left;       /* what rounding has left out of the gradients so far, */
  float *next;       /* and what it will have, if the step is made */
} glow__feedback;

typedef struct glow__buckets {
  glow__bucket *at; /* [room], from the end of the gradients to their start */
  int32_t count, room;
  int32_t begun;  /* in this step, in the order of `at` or, ascending, the other way round */
  bool ascending; /* gradients become final from the first layer on */
  float *gradients;
  glow__feedback feedback;
  double started, ended, waited; /* seconds of a monotonic clock */
  int64_t bytes;
} glow__buckets;

/* ---- a collective ---------------------------------------------------------------------------- */

typedef struct glow__collective {
  glow_context *context;
  glow_collective table;
  glow_collective_options options;
  glow_status over; /* of the call of the engine that has failed; GLOW_OK: none */
  char why[GLOW_TOLD_TEXT];
  glow__told *told; /* [size] */
  double small_seconds;
  glow__buckets buckets;
} glow__collective;

/* Seconds of a monotonic clock. */
double glow__collective_clock(void);
/* Copies and checks a table. */
glow_status glow__collective_read(const glow_collective *from, glow_collective *to);
/* Calls of the engine. One that fails ends the collective: no other one is made. */
glow_status glow__collective_start(glow__collective *c, void *elements, int64_t count, int32_t type,
                                   void **request);
glow_status glow__collective_wait(glow__collective *c, void *request);
glow_status glow__collective_sum(glow__collective *c, void *elements, int64_t count, int32_t type);
glow_status glow__collective_broadcast(glow__collective *c, void *bytes, int64_t size,
                                       int32_t root);
void glow__collective_destroy(glow__collective **c);

/* Tells the others `status` and these values, and learns theirs: c->told. If one of them refuses,
 * or makes another call, all do: with the status and the text of the lowest rank that does. */
glow_status glow__collective_tell(glow__collective *c, glow_status status, int32_t call,
                                  const double *values, int32_t count);

glow_status glow__buckets_create(glow__collective *c, const glow__rates *rates);
/* Before gradients become final: of what is not held now. */
void glow__buckets_begin(glow__collective *c, const glow__rates *rates, float *gradients,
                         bool ascending);
/* Gradients [first, end) are final: begins the sums that they complete. A failure is told at the
 * end. */
void glow__buckets_final(glow__collective *c, int64_t first, int64_t end);
/* Begins what has not begun, final or not, and waits for all. */
glow_status glow__buckets_end(glow__collective *c);
/* The step was made: what rounding left out is that of its gradients. */
void glow__buckets_commit(glow__collective *c);

/* A bucket's gradients, with what was left out before, as bfloat16; and back. */
void glow__feedback_round(const glow__feedback *f, const glow__bucket *b, const float *gradients);
void glow__feedback_take(const glow__feedback *f, const glow__bucket *b, float *gradients);
void glow__feedback_commit(const glow__feedback *f, const glow__bucket *b);

/* Compares library version, model, options and settings with those of rank 0. */
glow_status glow__collective_compare(glow__collective *c, const glow_trainer *trainer);
/* Gives all ranks parameters, fixed state, the optimizer's state, average and progress of rank 0.
 */
glow_status glow__collective_share_state(glow__collective *c, glow_trainer *trainer);

/* ---- for a trainer, alone or not ------------------------------------------------------------- */

int32_t glow__trainer_ranks(const glow_trainer *trainer);
/* glow__collective_tell; alone, `status` is returned. */
glow_status glow__trainer_tell(glow_trainer *trainer, glow_status status, int32_t call,
                               const double *values, int32_t count);
/* The values that a rank told last. */
const double *glow__trainer_told(const glow_trainer *trainer, int32_t rank);
/* Tells the others how a call goes, and returns how it goes on all ranks. */
glow_status glow__trainer_agree(glow_trainer *trainer, glow_status status, int32_t call);

/* What the samples of a step are: of this rank, then of all. */
typedef struct glow__joined {
  int64_t first; /* samples of the ranks before this one */
  int64_t count;
  double weights;  /* sum of the samples' weights */
  double labelled; /* the same of those with a label, for the classifier */
} glow__joined;
/* Joins the parts of all ranks, if `status` and they let them: none refuses, and all are at the
 * same step with the same settings. */
glow_status glow__trainer_join(glow_trainer *trainer, glow_status status, int32_t call,
                               glow__joined *joined);

/* After the gradients of a step, which were made with this status: tells the others these values,
 * and joins what batch normalisations have observed. *again: on some rank the workspace has changed
 * over to running layers again, which it did not `before`, so all ranks make the gradients again.
 */
glow_status glow__trainer_tell_gradients(glow_trainer *trainer, glow_status status, bool before,
                                         const double *values, int32_t count, bool *again);
/* These values of a rank. */
const double *glow__trainer_told_gradients(const glow_trainer *trainer, int32_t rank);

/* Around the backward of the last micro-batch: sums gradients while it goes on. */
void glow__trainer_sum_begin(glow_trainer *trainer, bool ascending);
/* Waits for the sums, all of them begun now if no backward has begun them. Alone: nothing. */
glow_status glow__trainer_sum_end(glow_trainer *trainer, bool ascending);
/* The step was made: *report says what the sums took. */
void glow__trainer_sum_commit(glow_trainer *trainer, glow_step_report *report);

/* The samples of all ranks, for an initialisation. */
typedef struct glow__whole {
  glow_context *context;
  float *x;
  float *condition; /* NULL: none */
  int32_t *labels;  /* NULL: none */
  double *numbers;  /* the labels while they are summed */
  float *kept;      /* parameters and fixed state as they were */
} glow__whole;
/* From a batch whose samples are x, unless `status` refuses. *out: as much of it as there is, to be
 * destroyed, after a failure too. */
glow_status glow__trainer_gather(glow_trainer *trainer, glow_status status,
                                 const glow__batch *batch, const float *x,
                                 const glow__joined *joined, glow__whole *out);
void glow__whole_destroy(glow__whole *whole);

/* glow_evaluation_join with what this rank has to say first. */
glow_status glow__trainer_join_evaluation(glow_trainer *trainer, glow_status status,
                                          glow_evaluation *evaluation);

#endif
