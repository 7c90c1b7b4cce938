/* What a pass would take on more threads than the machine has. An executor runs the tasks of each
 * run one after the other and takes the time of each. With n threads a run would end when the last
 * of them does, if each task in turn goes to the thread that is free first; starting the run and
 * waiting for its end takes ceil(log2 n) times what it takes with two threads, which is measured.
 * What is not in a run stays serial:
 *
 *   T(n) = T_serial + sum over runs of [ makespan(n) + ceil(log2 min(n, tasks)) barrier ]
 *
 * Times are of the processor, so that other programs do not count. That memory and caches are shared
 * is left out. SPDX-License-Identifier: MIT */
#include <stdatomic.h>
#include <stdlib.h>
#include <time.h>

#include "bench.h"

/* ---- the schedule ---------------------------------------------------------------------------- */

/* When the last of `threads` threads ends, if they take the tasks in order. */
static double makespan(const double *seconds, uint32_t tasks, uint32_t threads) {
  static double until[BENCH_MOST_THREADS];
  double end = 0;
  for (uint32_t i = 0; i < threads; i++)
    until[i] = 0;
  for (uint32_t t = 0; t < tasks; t++) {
    uint32_t free_first = 0;
    for (uint32_t i = 1; i < threads && i < tasks; i++)
      if (until[i] < until[free_first])
        free_first = i;
    until[free_first] += seconds[t];
    if (until[free_first] > end)
      end = until[free_first];
  }
  return end;
}

static double barriers(uint32_t threads, uint32_t tasks) {
  double levels = 0;
  for (uint32_t n = 1; n < threads && n < tasks; n *= 2)
    levels++;
  return levels;
}

/* Seconds that this thread has had a processor. */
static double processor_time(void) {
  struct timespec t;
  clock_gettime(CLOCK_THREAD_CPUTIME_ID, &t);
  return (double)t.tv_sec + 1e-9 * (double)t.tv_nsec;
}

/* ---- the executor ---------------------------------------------------------------------------- */

static void count_run(bench_cores *c, glow_task_fn fn, void *arg, uint32_t tasks) {
  double *seconds = malloc(tasks * sizeof *seconds);
  double begin = processor_time(), before = begin;
  if (!seconds)
    exit(1);
  for (uint32_t t = 0; t < tasks; t++) {
    fn(arg, t, 0);
    double now = processor_time();
    seconds[t] = now - before;
    before = now;
  }
  for (int32_t i = 0; i < c->counts; i++)
    c->parallel[i] +=
        makespan(seconds, tasks, c->threads[i]) + c->barrier * barriers(c->threads[i], tasks);
  c->runs++;
  c->tasks += tasks;
  c->in_runs += processor_time() - begin;
  free(seconds);
}

static void run_or_count(void *payload, glow_task_fn fn, void *arg, uint32_t tasks) {
  bench_cores *c = payload;
  if (c->how == BENCH_POOL) {
    c->pool.run(c->pool.payload, fn, arg, tasks);
  } else if (c->how == BENCH_COUNT && !c->inside) {
    c->inside = true;
    count_run(c, fn, arg, tasks);
    c->inside = false;
  } else {
    for (uint32_t t = 0; t < tasks; t++)
      fn(arg, t, 0);
  }
}

/* Two tasks that wait for each other, so that both threads must have been woken. */
static void meet(void *arg, uint32_t task, uint32_t worker) {
  atomic_int *here = arg;
  (void)task, (void)worker;
  atomic_fetch_add(here, 1);
  while (atomic_load(here) < 2) {
  }
}

/* Seconds of a run of two tasks that do nothing else: the best of many, for other programs may be
 * in the way of the second thread. */
static double barrier_of(const glow_executor *pool) {
  double best = 1;
  for (int32_t i = 0; i < 1000; i++) {
    atomic_int here = 0;
    double begin = bench_now();
    pool->run(pool->payload, meet, &here, 2);
    double seconds = bench_now() - begin;
    best = seconds < best ? seconds : best;
  }
  return best;
}

glow_executor bench_cores_executor(bench_cores *cores, const glow_executor *pool, uint32_t most) {
  *cores = (bench_cores){.pool = *pool};
  cores->barrier = pool->workers > 1 ? barrier_of(pool) : 0;
  for (uint32_t n = 1; n <= most && cores->counts < BENCH_MOST_COUNTS; n *= 2)
    cores->threads[cores->counts++] = n;
  return (glow_executor){sizeof(glow_executor), pool->workers, 0, run_or_count, cores};
}

/* ---- what one pass gives --------------------------------------------------------------------- */

void bench_cores_begin(bench_cores *c, bench_how how) {
  c->how = how;
  c->begin = processor_time();
  c->runs = c->tasks = 0;
  c->in_runs = 0;
  for (int32_t i = 0; i < c->counts; i++)
    c->parallel[i] = 0;
}

void bench_cores_end(bench_cores *c) {
  c->serial = processor_time() - c->begin - c->in_runs;
}

double bench_cores_predicted(const bench_cores *c, int32_t i) {
  return c->serial + c->parallel[i];
}
