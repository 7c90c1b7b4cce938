/* Sums and broadcasts. A sum's request, for the caller, is its number: 1, 2, 3, ...
 * SPDX-License-Identifier: MIT */
#include <limits.h>
#include <string.h>

#include "mpi/engine.h"

enum { FIRST_ROOM = 64, BROADCAST_BYTES = 1 << 30 };

/* ---- sums ------------------------------------------------------------------------------------ */

static MPI_Request *request_of(const glow_mpi *mpi, int64_t number) {
  return &mpi->sums[number % mpi->room];
}

/* Requests are handles, which may be copied. */
static glow_status make_room(glow_mpi *mpi) {
  if (mpi->next - mpi->first < mpi->room)
    return GLOW_OK;
  int64_t room = mpi->room ? 2 * mpi->room : FIRST_ROOM;
  MPI_Request *sums = glow_allocate(mpi->context, (size_t)room * sizeof *sums);
  if (!sums)
    return GLOW_E_MEMORY;
  for (int64_t i = 0; i < room; i++)
    sums[i] = MPI_REQUEST_NULL;
  for (int64_t i = mpi->first; i < mpi->next; i++)
    sums[i % room] = *request_of(mpi, i);
  glow_release(mpi->context, mpi->sums);
  mpi->sums = sums;
  mpi->room = room;
  return GLOW_OK;
}

static glow_status check_sum(const glow_mpi *mpi, const void *elements, int64_t count,
                             int32_t type) {
  GLOW_TRY(glow__mpi_check(mpi));
  if (!elements)
    return glow_error(GLOW_E_ARGUMENT, "a sum over MPI: NULL argument");
  if (count < 1 || count > INT_MAX)
    return glow_error(count < 1 ? GLOW_E_ARGUMENT : GLOW_E_LIMIT,
                      "a sum over MPI of %lld elements; 1 to %d are possible at a time",
                      (long long)count, INT_MAX);
  if (type != GLOW_SUM_FLOAT32 && type != GLOW_SUM_FLOAT64 && type != GLOW_SUM_BFLOAT16)
    return glow_error(GLOW_E_ARGUMENT, "a sum over MPI: %d is no type of elements (GLOW_SUM_...)",
                      (int)type);
  return GLOW_OK;
}

static int begin(glow_mpi *mpi, void *elements, int count, int32_t type, MPI_Request *request) {
  MPI_Datatype element = type == GLOW_SUM_FLOAT32   ? MPI_FLOAT
                         : type == GLOW_SUM_FLOAT64 ? MPI_DOUBLE
                                                    : MPI_UINT16_T;
  return MPI_Iallreduce(MPI_IN_PLACE, elements, count, element,
                        type == GLOW_SUM_BFLOAT16 ? mpi->sum16 : MPI_SUM, mpi->communicator,
                        request);
}

glow_status glow__mpi_sum_start(void *elements, int64_t count, int32_t type, void **request,
                                void *payload) {
  glow_mpi *mpi = payload;
  GLOW_TRY(check_sum(mpi, elements, count, type));
  GLOW_TRY(make_room(mpi));
  int code = begin(mpi, elements, (int)count, type, request_of(mpi, mpi->next));
  if (code != MPI_SUCCESS)
    return glow__mpi_failed(mpi, code, "a sum");
  *request = (void *)(intptr_t)mpi->next++;
  return GLOW_OK;
}

/* After a failure the sums that were begun are only forgotten: nobody knows whether they end. */
glow_status glow__mpi_sum_wait(void *request, void *payload) {
  glow_mpi *mpi = payload;
  int64_t number = (int64_t)(intptr_t)request;
  if (number != mpi->first || number >= mpi->next)
    return glow_error(GLOW_E_STATE,
                      "sum %lld over MPI is waited for, but %lld is the first of those that were "
                      "begun",
                      (long long)number, (long long)mpi->first);
  mpi->first++;
  return glow__mpi_wait(mpi, request_of(mpi, number), "a sum");
}

/* MPI moves all that it has under way when it is asked for a sum that is not done. One that was
 * done when it was asked for is MPI_REQUEST_NULL from then on: asking for that moves nothing. */
void glow__mpi_progress(void *payload) {
  glow_mpi *mpi = payload;
  int done = 1;
  for (int64_t i = mpi->first; i < mpi->next && done && mpi->over == GLOW_OK; i++) {
    int code = MPI_Test(request_of(mpi, i), &done, MPI_STATUS_IGNORE);
    if (code != MPI_SUCCESS) {
      (void)glow__mpi_failed(mpi, code, "a sum"); /* all waits fail from now on */
      glow_context_log(mpi->context, GLOW_LOG_WARNING, "%s", glow_last_error());
    }
  }
}

/* ---- broadcasts ------------------------------------------------------------------------------ */

/* In pieces whose length is an int. */
glow_status glow__mpi_broadcast(void *bytes, int64_t size, int32_t root, void *payload) {
  glow_mpi *mpi = payload;
  GLOW_TRY(glow__mpi_check(mpi));
  if (!bytes || size < 1 || root < 0 || root >= mpi->size)
    return glow_error(GLOW_E_ARGUMENT, "a broadcast over MPI: %lld bytes of rank %d of %d%s",
                      (long long)size, (int)root, mpi->size, bytes ? "" : ", NULL");
  for (int64_t done = 0; done < size; done += BROADCAST_BYTES) {
    MPI_Request request;
    int64_t left = size - done;
    int code =
        MPI_Ibcast((char *)bytes + done, (int)(left < BROADCAST_BYTES ? left : BROADCAST_BYTES),
                   MPI_BYTE, (int)root, mpi->communicator, &request);
    if (code != MPI_SUCCESS)
      return glow__mpi_failed(mpi, code, "a broadcast");
    GLOW_TRY(glow__mpi_wait(mpi, &request, "a broadcast"));
  }
  return GLOW_OK;
}
