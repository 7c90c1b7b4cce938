/* Inside libglow-mpi, which uses only libglow's public headers. SPDX-License-Identifier: MIT */
#ifndef GLOW_MPI_ENGINE_H
#define GLOW_MPI_ENGINE_H

#include <stdbool.h>

#include <glow/mpi.h>
#include <glow/sys/base.h>

struct glow_mpi {
  glow_context *context;
  MPI_Comm communicator; /* a duplicate: nobody else's messages are in it */
  MPI_Op sum16;          /* of bfloat16 */
  double timeout;
  int rank, size;
  /* Sums that were begun, by their number modulo `room`: those from `first` to `next` - 1 are still
   * to be waited for. */
  MPI_Request *sums;
  int64_t first, next, room;
  int64_t call;     /* number of the call that this rank waits in */
  int64_t *waits;   /* [size]: the latest call that each rank said it waits in; 0 at first */
  int64_t said;     /* the call in which this rank said so last */
  glow_status over; /* the first failure; GLOW_OK before */
};

/* Fails, and lets all later calls fail. `code`: an MPI error, for the text. */
glow_status glow__mpi_failed(glow_mpi *mpi, int code, const char *what);
/* Is the engine still good? */
glow_status glow__mpi_check(const glow_mpi *mpi);

/* Waits for a request until the time is over (wait.c). `what`: "a sum", for messages. */
glow_status glow__mpi_wait(glow_mpi *mpi, MPI_Request *request, const char *what);

/* Makes the operation that adds arrays of bfloat16, as MPI_UINT16_T (bfloat16.c). */
int glow__mpi_sum16_create(MPI_Op *op);

/* Functions of the table (sums.c). */
glow_status glow__mpi_sum_start(void *elements, int64_t count, int32_t type, void **request,
                                void *payload);
glow_status glow__mpi_sum_wait(void *request, void *payload);
void glow__mpi_progress(void *payload);
glow_status glow__mpi_broadcast(void *bytes, int64_t size, int32_t root, void *payload);

#endif
