/* libglow-mpi: an engine for <glow/collective.h> over MPI (MPI 3.0 or later). A companion library,
 * with a pkg-config file of its own: programs that use it are linked with libglow-mpi, libglow and
 * MPI, and libglow itself knows nothing of MPI. <glow/glow.h> does not include this header.
 *
 *   MPI_Init_thread(&argc, &argv, MPI_THREAD_FUNNELED, &provided);
 *   glow_mpi_create(context, MPI_COMM_WORLD, NULL, &mpi);
 *   glow_mpi_collective(mpi, &table);
 *   glow_trainer_set_collective(trainer, &table, NULL);
 *   ... the same steps on each rank, with its own samples ...
 *   glow_trainer_destroy(&trainer);
 *   glow_mpi_destroy(&mpi);
 *   MPI_Finalize();
 *
 * SPDX-License-Identifier: MIT */
#ifndef GLOW_MPI_H
#define GLOW_MPI_H

#include <mpi.h>

#include <glow/collective.h>

#ifdef __cplusplus
extern "C" {
#endif

typedef struct glow_mpi glow_mpi;

typedef struct glow_mpi_options {
  size_t struct_size;
  double timeout; /* seconds for which a call waits for other ranks before it fails, 0: for ever;
                     default 300. It must be longer than what one rank does alone between calls,
                     such as saving. Time in which this process itself was stopped is not counted */
} glow_mpi_options;
#define GLOW_MPI_OPTIONS_INIT                                                                      \
  { sizeof(glow_mpi_options), 300.0 }

/* Makes an engine over all ranks of a communicator, which is duplicated. All of its ranks make this
 * call, between MPI_Init and MPI_Finalize; MPI_THREAD_FUNNELED is enough if the engine is used on
 * the thread that initialised MPI. Options should be the same on all ranks; NULL: the defaults. The
 * engine holds a reference to the context, whose log is told why a job ends.
 *
 * - Sums are MPI_Iallreduce, in place, of which any number may be under way. MPI demands that all
 *   ranks receive identical results (MPI 3.1, 5.9.6), and so they have the same bits. Sums of the
 *   same values on another number of ranks, or by another MPI, may be rounded differently.
 *   For sums in place Open MPI 4 takes a tree by default, whose root sends and receives log2(N)
 *   times all elements; OMPI_MCA_coll_libnbc_iallreduce_algorithm=3 in the environment takes
 *   Rabenseifner's algorithm, in which each rank sends at most twice as much as there is.
 * - bfloat16: each addition is of float32, rounded to the nearest, ties to even. A sum over N ranks
 *   is rounded up to N - 1 times.
 * - A call fails with GLOW_E_IO where MPI reports an error, and after `timeout` seconds, with the
 *   ranks named that gave no sign of life: they have stopped, or are busy with something else. From
 *   then on all calls fail with GLOW_E_STATE.
 * - `abort` tells the context's log why, and ends all ranks by MPI_Abort: it does not return. A
 *   trainer calls it after a call has failed; so whichever rank stops answering, all ranks have
 *   ended `timeout` seconds after the others began to wait for it. A process that dies is noticed
 *   by MPI itself, which ends the others.
 *
 * One sum is of at most 2^31 - 1 elements. A handle is used by one thread at a time. */
GLOW_API glow_status glow_mpi_create(glow_context *context, MPI_Comm communicator,
                                     const glow_mpi_options *options, glow_mpi **out);
/* Sets *mpi to NULL. Before MPI_Finalize, on all ranks, and after the trainers that use it are
 * destroyed or alone again. NULL and a pointer to NULL are fine. */
GLOW_API void glow_mpi_destroy(glow_mpi **mpi);
/* Fills *out, whose struct_size the caller has set. The table is good as long as the engine. */
GLOW_API glow_status glow_mpi_collective(glow_mpi *mpi, glow_collective *out);

#ifdef __cplusplus
}
#endif
#endif
