/* Ranks over MPI. It is initialised here, and so only where a launcher has started the program.
 * SPDX-License-Identifier: MIT */
#include <glow/mpi.h>
#include <math.h>
#include <sched.h>
#include <stdlib.h>

#include "cpus.h"
#include "ranks.h"
#include "tool.h"

typedef struct engine {
  glow_context *context;
  glow_mpi *mpi;
} engine;

/* From all ranks: why a job ends is only known to the one that ends it. */
static void on_log(int32_t level, const char *text, void *payload) {
  (void)level;
  (void)payload;
  announce("%s", text);
}

/* ---- threads --------------------------------------------------------------------------------- */

enum { MOST_CPUS = 4096 };

static void list_cpus(int32_t cpus[MOST_CPUS]) {
  cpu_set_t *set = CPU_ALLOC(MOST_CPUS);
  size_t size = CPU_ALLOC_SIZE(MOST_CPUS);
  if (set && sched_getaffinity(0, size, set) == 0)
    for (int i = 0; i < MOST_CPUS; i++)
      cpus[i] = CPU_ISSET_S(i, size, set) ? 1 : 0;
  CPU_FREE(set);
}

/* A processor that k ranks of this machine may run on counts 1/k for each of them, so it does not
 * matter whether the launcher has bound ranks to processors of their own. A quota of the machine's
 * processors is shared evenly. */
static int64_t share_cpus(MPI_Comm local) {
  static int32_t own[MOST_CPUS], all[MOST_CPUS];
  double share = 0.0;
  int ranks_here = 1;
  list_cpus(own);
  MPI_Comm_size(local, &ranks_here);
  MPI_Allreduce(own, all, MOST_CPUS, MPI_INT32_T, MPI_SUM, local);
  for (int i = 0; i < MOST_CPUS; i++)
    share += own[i] ? 1.0 / all[i] : 0.0;
  share = fmin(share, quota_cpus("") / ranks_here) + 1e-9; /* thirds add up to a little less */
  return share < 1.0 ? 1 : (int64_t)share;
}

static int64_t threads_of_rank(void) {
  MPI_Comm local = MPI_COMM_NULL;
  if (MPI_Comm_split_type(MPI_COMM_WORLD, MPI_COMM_TYPE_SHARED, 0, MPI_INFO_NULL, &local) !=
      MPI_SUCCESS)
    return 1;
  int64_t threads = share_cpus(local);
  MPI_Comm_free(&local);
  return threads;
}

/* For sums in place Open MPI 4 takes a tree, through whose root log2 N times all gradients go, both
 * ways. Rabenseifner's algorithm sends 2 (N - 1) / N of them from each rank, in 2 log2 N rounds
 * (Thakur, Rabenseifner, Gropp 2005). Other MPIs do not look at this. */
static void choose_algorithm(void) {
  setenv("OMPI_MCA_coll_libnbc_iallreduce_algorithm", "3", 0);
}

/* ---- joining --------------------------------------------------------------------------------- */

static glow_status make_engine(engine *e, double timeout, glow_collective *table) {
  glow_context_options options = GLOW_CONTEXT_OPTIONS_INIT;
  glow_mpi_options mpi = GLOW_MPI_OPTIONS_INIT;
  options.log = on_log;
  mpi.timeout = timeout;
  glow_status status = glow_context_create(&options, &e->context);
  if (status == GLOW_OK)
    status = glow_mpi_create(e->context, MPI_COMM_WORLD, &mpi, &e->mpi);
  return status == GLOW_OK ? glow_mpi_collective(e->mpi, table) : status;
}

int ranks_join(ranks *r, double timeout) {
  int provided;
  engine *e = calloc(1, sizeof *e);
  if (!e)
    return TOOL_FAILED;
  r->engine = e;
  choose_algorithm();
  if (MPI_Init_thread(NULL, NULL, MPI_THREAD_FUNNELED, &provided) != MPI_SUCCESS)
    return complain("MPI cannot be initialised; --ranks none runs this process alone");
  glow_status status = make_engine(e, timeout, &r->table);
  if (status != GLOW_OK) {
    announce("%s", glow_last_error());
    MPI_Abort(MPI_COMM_WORLD, TOOL_FAILED);
  }
  r->threads = ranks_several(r) ? threads_of_rank() : 0;
  return TOOL_FINE;
}

void ranks_leave(ranks *r) {
  engine *e = r->engine;
  if (!e)
    return;
  glow_mpi_destroy(&e->mpi);
  glow_context_destroy(&e->context);
  free(e);
  r->engine = NULL;
  MPI_Finalize();
}
