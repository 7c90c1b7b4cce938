/* Waiting for other ranks, for a limited time. MPI cannot tell which rank holds up a sum. So one
 * that has waited for a quarter of the time says so to all others, once for each call; and when the
 * time is over, those that have not said the same are the ones that are waited for.
 * SPDX-License-Identifier: MIT */
#include <sched.h>
#include <stdio.h>
#include <string.h>
#include <time.h>

#include "mpi/engine.h"

enum { TAG = 1, MOST_NAMED = 8 };
static const double eager_seconds = 1.0; /* then the processor is left to others for moments */
static const double longest_gap = 0.5;   /* seconds between two looks that count as waiting */

/* ---- signs of life --------------------------------------------------------------------------- */

static void hear_waiting(glow_mpi *mpi) {
  int there = 0;
  MPI_Status from;
  while (MPI_Iprobe(MPI_ANY_SOURCE, TAG, mpi->communicator, &there, &from) == MPI_SUCCESS &&
         there) {
    int64_t call = 0;
    if (MPI_Recv(&call, 1, MPI_INT64_T, from.MPI_SOURCE, TAG, mpi->communicator,
                 MPI_STATUS_IGNORE) != MPI_SUCCESS)
      return;
    mpi->waits[from.MPI_SOURCE] = call;
  }
}

/* The requests are let go: what they send stays in `said` until the next call's notice, which no
 * rank that is alive is far behind. */
static void say_waiting(glow_mpi *mpi) {
  hear_waiting(mpi); /* those of earlier calls are not to pile up */
  mpi->said = mpi->call;
  for (int i = 0; i < mpi->size; i++) {
    MPI_Request request;
    if (i != mpi->rank &&
        MPI_Isend(&mpi->said, 1, MPI_INT64_T, i, TAG, mpi->communicator, &request) == MPI_SUCCESS)
      MPI_Request_free(&request);
  }
}

/* "2, 5", of the ranks that are not known to wait in this call or a later one. */
static int name_silent(const glow_mpi *mpi, char *out, size_t size) {
  int silent = 0;
  size_t used = 0;
  out[0] = '\0';
  for (int i = 0; i < mpi->size; i++) {
    if (i == mpi->rank || mpi->waits[i] >= mpi->call)
      continue;
    if (silent++ < MOST_NAMED && used < size)
      used += (size_t)snprintf(out + used, size - used, "%s%d", silent > 1 ? ", " : "", i);
  }
  if (silent > MOST_NAMED && used < size)
    snprintf(out + used, size - used, " and %d more", silent - MOST_NAMED);
  return silent;
}

static glow_status timed_out(glow_mpi *mpi, const char *what) {
  char names[256];
  hear_waiting(mpi);
  int silent = name_silent(mpi, names, sizeof names);
  mpi->over = GLOW_E_IO;
  if (!silent)
    return glow_error(GLOW_E_IO,
                      "rank %d has waited %g s for %s over %d ranks, as all others do: messages "
                      "are lost, or ranks make different calls",
                      mpi->rank, mpi->timeout, what, mpi->size);
  return glow_error(GLOW_E_IO,
                    "rank %d has waited %g s for %s over %d ranks, without a sign of life of "
                    "rank%s %s: stopped, busy with something else, or out of reach",
                    mpi->rank, mpi->timeout, what, mpi->size, silent > 1 ? "s" : "", names);
}

/* ---- waiting --------------------------------------------------------------------------------- */

static double now(void) {
  struct timespec t;
  clock_gettime(CLOCK_MONOTONIC, &t);
  return (double)t.tv_sec + 1e-9 * (double)t.tv_nsec;
}

/* At first the processor is given away only to who wants it: what MPI has under way moves when it
 * is asked. */
static void rest(double waited) {
  const struct timespec moment = {0, 200000};
  if (waited < eager_seconds)
    sched_yield();
  else
    nanosleep(&moment, NULL);
}

/* A gap between two looks is one in which this process was stopped. */
static void add_time(double *waited, double *last) {
  double at = now(), gap = at - *last;
  *waited += gap < longest_gap ? gap : longest_gap;
  *last = at;
}

glow_status glow__mpi_wait(glow_mpi *mpi, MPI_Request *request, const char *what) {
  double waited = 0.0, last = now();
  GLOW_TRY(glow__mpi_check(mpi));
  for (mpi->call++;;) {
    int done = 0, code = MPI_Test(request, &done, MPI_STATUS_IGNORE);
    if (code != MPI_SUCCESS)
      return glow__mpi_failed(mpi, code, what);
    if (done)
      return GLOW_OK;
    if (mpi->timeout > 0.0 && waited > mpi->timeout / 4.0 && mpi->said != mpi->call)
      say_waiting(mpi);
    if (mpi->timeout > 0.0 && waited > mpi->timeout)
      return timed_out(mpi, what);
    rest(waited);
    add_time(&waited, &last);
  }
}
