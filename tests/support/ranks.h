/* Ranks in one process: a collective between threads, for tests. Sums are added up in the order of
 * ranks, so that they are the same in every run. A rank whose thread has ended, or one that was
 * told to fail, ends the job: calls of the others then fail too, none of them waits for ever.
 * SPDX-License-Identifier: MIT */
#ifndef GLOW_TEST_RANKS_H
#define GLOW_TEST_RANKS_H

#include <glow/glow.h>

#include <pthread.h>
#include <stdbool.h>

enum { RANKS_MOST = 4, RANKS_OPEN = 4096 };

/* One sum or broadcast: number n of each rank belongs to number n of all others. */
typedef struct helper_ranks_call {
  int32_t type; /* GLOW_SUM_..., or 0: a broadcast */
  int32_t root;
  int64_t count;
  void *elements[RANKS_MOST];
  int32_t arrived;
  bool done;
} helper_ranks_call;

struct helper_ranks;

/* What a rank's thread is given. */
typedef struct helper_rank {
  struct helper_ranks *all;
  int32_t number;
  int64_t next;               /* of its calls */
  int64_t called;             /* functions of the engine so far, waits included */
  glow_collective collective; /* for glow_trainer_set_collective */
  char text[1200];            /* the first thing that went wrong: rank_ok */
  int32_t aborts;
  int64_t progressed; /* calls of progress */
  bool left;
  void *payload;
} helper_rank;

typedef void (*rank_fn)(helper_rank *r);

typedef struct helper_ranks {
  int32_t size;
  int32_t fail_rank; /* whose call fails, */
  int64_t fail_at;   /* and which, from 1; 0: none */
  bool silent;       /* it fails without a text */
  bool no_bfloat16;  /* sums of them are refused */
  bool rounds;       /* sums of float32 are rounded like those of bfloat16, without feedback */
  pthread_mutex_t lock;
  pthread_cond_t moved;
  bool over, mismatch; /* mismatch: calls that do not belong together have met */
  helper_ranks_call calls[RANKS_OPEN];
  helper_rank at[RANKS_MOST];
  rank_fn fn;
} helper_ranks;

/* Runs fn on `size` threads, each as a rank with this payload; fail_at 0: nothing fails. Afterwards
 * all->at tells what became of each. */
void ranks_run(helper_ranks *all, int32_t size, rank_fn fn, void *payload);
void ranks_init(helper_ranks *all);
/* True for GLOW_OK; otherwise the rank's text says what failed. Tests look at it on their own
 * thread. */
bool rank_ok(helper_rank *r, glow_status status, const char *call);
#define RANK_OK(r, call) rank_ok((r), (call), #call)

#endif
