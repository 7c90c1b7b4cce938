/* The ranks of a training run: the processes that a launcher of MPI has started together, or this
 * process alone, which is rank 0 of 1. Ranks decide together whether the run goes on, so that none
 * waits for one that has ended. SPDX-License-Identifier: MIT */
#ifndef GLOWTOOL_RANKS_H
#define GLOWTOOL_RANKS_H

#include <stdbool.h>
#include <stdint.h>

#include <glow/collective.h>

enum { RANKS_AUTO = 1, RANKS_NONE = 2 };

typedef struct ranks {
  glow_collective table; /* rank and size are good in any case, functions with several ranks */
  int64_t threads;       /* for this rank, where options leave that open; 0: alone */
  bool stop, save;       /* what signals asked of any rank, as of the last agreement */
  void *engine;          /* of ranks_mpi.c */
} ranks;

/* Exit codes, of tool.h, are what these return. */

/* Before all else: on a rank other than 0, messages are kept (messages_hold of tool.h). */
void ranks_begin(ranks *r);
/* Joins the ranks, if the program was started by a launcher of MPI and kind is not RANKS_NONE.
 * timeout: of glow_mpi_options. */
int ranks_open(ranks *r, int64_t kind, double timeout);
/* On all ranks, when none needs another any more. */
void ranks_close(ranks *r);

static inline bool ranks_several(const ranks *r) {
  return r->table.size > 1;
}
static inline bool ranks_first(const ranks *r) {
  return r->table.rank == 0;
}
/* Where this rank's part of `count` things begins; that of the next rank is its end. */
int64_t ranks_part(const ranks *r, int64_t count);
int64_t ranks_part_end(const ranks *r, int64_t count);

/* All ranks call it with how they are doing; the worst code is returned on all. Messages that rank
 * 0 has not given as well are then given, with their rank. Sets `stop` and `save` from the signals
 * of all ranks. */
int ranks_agree(ranks *r, int code);
/* Does a signal ask this rank, or as far as is agreed any rank, to stop or save? */
bool ranks_stop(const ranks *r);
bool ranks_save(ranks *r);
/* Replaces values by their sums over the ranks; or by those of rank 0. */
int ranks_sum(ranks *r, double *values, int64_t count);
int ranks_share(ranks *r, void *bytes, int64_t size);
/* Refuses, with both values, where `text`, lines "NAME=VALUE", is not the same as on rank 0. `what`
 * they are, for the message: "--". Alone it does nothing. */
int ranks_compare(ranks *r, const char *text, const char *what);

/* What the launcher tells: is there one, and this process's number. */
bool ranks_launched(void);
int32_t ranks_launched_rank(void);

/* ranks_mpi.c, or ranks_alone.c in a build without MPI. */
int ranks_join(ranks *r, double timeout);
void ranks_leave(ranks *r);

#endif
