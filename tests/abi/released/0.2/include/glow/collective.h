/* Training on several ranks: what a trainer needs of an engine that joins processes, of one machine
 * or of many. <glow/mpi.h> fills this table from an MPI communicator; any other engine can.
 *
 * A trainer that was given a collective makes collective calls: all ranks make the same ones in the
 * same order, each for its own part of the data. They are glow_trainer_set_collective itself,
 * glow_trainer_initialise_batch, glow_trainer_step_batch and their short forms,
 * glow_trainer_step_target, glow_trainer_run, and glow_evaluation_join. All else is of one rank
 * alone: what is set (schedule, rate factors, loss, hook, use of the average) is to be set alike on
 * all, and a step refuses where it is not; any rank can evaluate, sample and save, and a checkpoint
 * is the same file on each.
 *
 * What is refused on one rank is refused on all of them, with the rank named, and leaves no trace
 * on any. Where a function of the engine fails, the trainer calls the engine's `abort` and then
 * refuses all collective calls until it is given a collective again: whether the other ranks have
 * finished that step is not known then. SPDX-License-Identifier: MIT */
#ifndef GLOW_COLLECTIVE_H
#define GLOW_COLLECTIVE_H

#include <glow/objective.h>

#ifdef __cplusplus
extern "C" {
#endif

/* Elements of a sum. An engine may refuse BFLOAT16 with GLOW_E_UNSUPPORTED. */
enum { GLOW_SUM_FLOAT32 = 1901, GLOW_SUM_FLOAT64 = 1902, GLOW_SUM_BFLOAT16 = 1903 };

/* An engine. Each rank calls it on one thread at a time. Sums have the same bits on all ranks, and
 * adding zeros changes none. A call that fails on one rank must fail on the others, or end them,
 * within a time that the engine states; a text that it leaves by glow_error is kept. */
typedef struct glow_collective {
  size_t struct_size;
  int32_t rank; /* of this process, 0 to size - 1 */
  int32_t size; /* ranks, 1 or more */
  /* Begins to replace `count` elements of this type, 1 or more, by their sums over all ranks. They
   * must be neither read nor written until sum_wait has returned for *request, which the engine
   * sets. Any number of sums may have been begun. */
  glow_status (*sum_start)(void *elements, int64_t count, int32_t type, void **request,
                           void *payload);
  /* Ends a sum. Each that was begun is waited for once, in the order in which they were begun, also
   * after one has failed. */
  glow_status (*sum_wait)(void *request, void *payload);
  /* Lets sums that were begun go on; called between layers. NULL: they go on alone. */
  void (*progress)(void *payload);
  /* Replaces `size` bytes, 1 or more, by those of rank `root`. */
  glow_status (*broadcast)(void *bytes, int64_t size, int32_t root, void *payload);
  /* This rank cannot go on: ends the job on all ranks. It may return; then calls of the engine fail
   * on all of them. NULL: nothing is done. */
  void (*abort)(const char *why, void *payload);
  void *payload;
} glow_collective;
#define GLOW_COLLECTIVE_INIT                                                                       \
  { sizeof(glow_collective), 0, 1, NULL, NULL, NULL, NULL, NULL, NULL }

typedef struct glow_collective_options {
  size_t struct_size;
  int32_t sums; /* of gradients: GLOW_SUM_FLOAT32 (default), or GLOW_SUM_BFLOAT16: half the bytes;
                   what rounding leaves out is added to the rank's next gradients (error feedback,
                   Seide et al. 2014). That is a state of the rank, as long as the parameters, which
                   no checkpoint keeps: a new start loses the rounding of one step */
  int32_t reserved;     /* 0 */
  int64_t bucket_bytes; /* gradients are summed in buckets of about this many bytes of float32, each
                           as soon as backward has finished it; 4096 or more; default 4 MiB */
} glow_collective_options;
#define GLOW_COLLECTIVE_OPTIONS_INIT                                                               \
  { sizeof(glow_collective_options), GLOW_SUM_FLOAT32, 0, 4 << 20 }

/* Joins this rank's trainer to those of the other ranks: from now on a step is one of the batches
 * of all ranks together, which may differ in size. The samples of rank r follow those of the ranks
 * before it: N ranks with B samples each make the step, the noise and the draws of one process with
 * the N B samples in this order, up to the rounding of sums. Batch normalisations see
 * micro-batches, so with them that process must cut its batch into the same ones. gain_l2,
 * clipping, the update and the average are of the whole, so that parameters keep the same bits on
 * all ranks. What is held is not sent, and a gradient hook sees 0 there. A callback that gives a
 * loss has the samples and the weight of all ranks in `batch` and `weight_sum`, while `first`
 * counts its own rank's.
 *
 * Called by all ranks, and refused on all of them, with the rank and what differs named, if library
 * versions, models, options or settings are not the same (GLOW_E_ARGUMENT). Parameters, fixed
 * state, the optimizer's state, the average and the progress of rank 0 are given to the others; so
 * a checkpoint goes on with any number of ranks, loaded by rank 0 or by all. A rank's own are lost
 * where an engine fails meanwhile.
 *
 * All memory is taken here: 96 bytes for each rank, and with GLOW_SUM_BFLOAT16 10 bytes for each
 * parameter; steps take none. An initialisation takes memory for the batches of all ranks, once
 * more than in one process, and for a copy of the parameters: where that is too much, rank 0
 * initialises its model before the trainers are joined, or ranks give fewer samples to it.
 *
 * collective NULL: alone again; options are not looked at. The table is copied; its payload must
 * outlive the trainer or the next call. options NULL: the defaults. */
GLOW_API glow_status glow_trainer_set_collective(glow_trainer *trainer,
                                                 const glow_collective *collective,
                                                 const glow_collective_options *options);

/* Adds up evaluations of this model by parts of the data, over all ranks: each then has that of the
 * whole, the same bits. After a failure *evaluation is as it was. */
GLOW_API glow_status glow_evaluation_join(glow_evaluation *evaluation, const glow_model *model,
                                          const glow_collective *collective);

#ifdef __cplusplus
}
#endif
#endif
