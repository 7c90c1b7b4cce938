/* The engine: made, destroyed, and given out as a table. SPDX-License-Identifier: MIT */
#include "mpi/engine.h"

#include <math.h>
#include <string.h>

/* ---- failing --------------------------------------------------------------------------------- */

glow_status glow__mpi_failed(glow_mpi *mpi, int code, const char *what) {
  char text[MPI_MAX_ERROR_STRING + 1] = "";
  int length = 0;
  if (MPI_Error_string(code, text, &length) != MPI_SUCCESS)
    length = 0;
  text[length] = '\0';
  mpi->over = GLOW_E_IO;
  return glow_error(GLOW_E_IO, "rank %d: %s over %d ranks failed: MPI says \"%.400s\"", mpi->rank,
                    what, mpi->size, text);
}

glow_status glow__mpi_check(const glow_mpi *mpi) {
  if (mpi->over == GLOW_OK)
    return GLOW_OK;
  return glow_error(GLOW_E_STATE, "this engine has failed before: the ranks cannot go on");
}

/* The table's `abort`. MPI ends this process, too. */
static void end_job(const char *why, void *payload) {
  glow_mpi *mpi = payload;
  glow_context_log(mpi->context, GLOW_LOG_WARNING, "rank %d ends the job on %d ranks: %s",
                   mpi->rank, mpi->size, why ? why : "it cannot go on");
  mpi->over = GLOW_E_STATE;
  MPI_Abort(mpi->communicator, 1);
}

/* ---- making ---------------------------------------------------------------------------------- */

static glow_status read_options(const glow_mpi_options *from, glow_mpi_options *to) {
  *to = (glow_mpi_options)GLOW_MPI_OPTIONS_INIT;
  size_t size = from ? from->struct_size : sizeof *to;
  if (size < sizeof *to || size > 4096)
    return glow_error(GLOW_E_ARGUMENT,
                      "glow_mpi_options: struct_size is %zu; use GLOW_MPI_OPTIONS_INIT", size);
  for (size_t i = sizeof *to; i < size; i++)
    if (((const unsigned char *)from)[i])
      return glow_error(GLOW_E_ARGUMENT,
                        "glow_mpi_options: byte %zu sets an option that this version of the "
                        "library does not know",
                        i);
  if (from)
    to->timeout = from->timeout;
  if (!(to->timeout >= 0.0) || isinf(to->timeout))
    return glow_error(GLOW_E_ARGUMENT,
                      "glow_mpi_options: timeout is %g; it must be finite, and 0 or more",
                      to->timeout);
  return GLOW_OK;
}

static glow_status check_running(void) {
  int begun = 0, ended = 0;
  if (MPI_Initialized(&begun) != MPI_SUCCESS || MPI_Finalized(&ended) != MPI_SUCCESS || !begun ||
      ended)
    return glow_error(GLOW_E_STATE, "glow_mpi_create: MPI is not initialised: call "
                                    "MPI_Init_thread first, and MPI_Finalize afterwards");
  return GLOW_OK;
}

/* Errors of the duplicate are returned, so that they can be told. */
static glow_status join(glow_mpi *mpi, MPI_Comm communicator) {
  int code = MPI_Comm_dup(communicator, &mpi->communicator);
  if (code == MPI_SUCCESS)
    code = MPI_Comm_set_errhandler(mpi->communicator, MPI_ERRORS_RETURN);
  if (code == MPI_SUCCESS)
    code = MPI_Comm_rank(mpi->communicator, &mpi->rank);
  if (code == MPI_SUCCESS)
    code = MPI_Comm_size(mpi->communicator, &mpi->size);
  if (code == MPI_SUCCESS)
    code = glow__mpi_sum16_create(&mpi->sum16);
  if (code != MPI_SUCCESS)
    return glow__mpi_failed(mpi, code, "joining");
  mpi->waits = glow_allocate(mpi->context, (size_t)mpi->size * sizeof *mpi->waits);
  return mpi->waits ? GLOW_OK : GLOW_E_MEMORY;
}

glow_status glow_mpi_create(glow_context *context, MPI_Comm communicator,
                            const glow_mpi_options *options, glow_mpi **out) {
  glow_mpi_options o;
  if (out)
    *out = NULL;
  if (!context || !out || communicator == MPI_COMM_NULL)
    return glow_error(GLOW_E_ARGUMENT, "glow_mpi_create: NULL argument");
  GLOW_TRY(read_options(options, &o));
  GLOW_TRY(check_running());
  glow_mpi *mpi = glow_allocate(context, sizeof *mpi);
  if (!mpi)
    return GLOW_E_MEMORY;
  mpi->context = glow_context_retain(context);
  mpi->communicator = MPI_COMM_NULL;
  mpi->sum16 = MPI_OP_NULL;
  mpi->timeout = o.timeout;
  mpi->first = mpi->next = 1;
  glow_status status = join(mpi, communicator);
  if (status == GLOW_OK)
    *out = mpi;
  else
    glow_mpi_destroy(&mpi);
  return status;
}

/* What is still under way holds the communicator: it is then left to MPI_Finalize. */
static void leave(glow_mpi *mpi) {
  int ended = 0;
  if (MPI_Finalized(&ended) != MPI_SUCCESS || ended)
    return;
  if (mpi->sum16 != MPI_OP_NULL)
    MPI_Op_free(&mpi->sum16);
  if (mpi->communicator != MPI_COMM_NULL && mpi->over == GLOW_OK && mpi->first == mpi->next)
    MPI_Comm_free(&mpi->communicator);
}

void glow_mpi_destroy(glow_mpi **mpi) {
  if (!mpi || !*mpi)
    return;
  glow_context *context = (*mpi)->context;
  leave(*mpi);
  glow_release(context, (*mpi)->sums);
  glow_release(context, (*mpi)->waits);
  glow_release(context, *mpi);
  glow_context_destroy(&context);
  *mpi = NULL;
}

glow_status glow_mpi_collective(glow_mpi *mpi, glow_collective *out) {
  if (!mpi || !out)
    return glow_error(GLOW_E_ARGUMENT, "glow_mpi_collective: NULL argument");
  const glow_collective table = {sizeof table,
                                 mpi->rank,
                                 mpi->size,
                                 glow__mpi_sum_start,
                                 glow__mpi_sum_wait,
                                 glow__mpi_progress,
                                 glow__mpi_broadcast,
                                 end_job,
                                 mpi};
  if (out->struct_size < sizeof table)
    return glow_error(GLOW_E_ARGUMENT,
                      "glow_collective: struct_size is %zu, at least %zu is needed; use "
                      "GLOW_COLLECTIVE_INIT",
                      out->struct_size, sizeof table);
  memcpy((char *)out + sizeof(size_t), (const char *)&table + sizeof(size_t),
         sizeof table - sizeof(size_t));
  return GLOW_OK;
}
