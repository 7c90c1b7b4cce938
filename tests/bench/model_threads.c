/* What a pass would take on more threads than the machine has. An executor runs the tasks of each
 * run one after the other and takes the time of each. With n threads a run would end when the last
 * of them does, if each task in turn goes to the thread that is free first; starting the run and
 * waiting for its end takes ceil(log2 n) times what it takes with two threads, which is measured.
 * What is not in a run stays serial:
 *
 *   T(n) = T_serial + sum over runs of [ makespan(n) + ceil(log2 min(n, tasks)) barrier ]
 *
 * Times are of the processor, and of each task the least of several passes, so that other programs
 * count little. That memory and caches are shared
 * is left out. SPDX-License-Identifier: MIT */
#include <stdatomic.h>
#include <stdlib.h>
#include <time.h>

#include "bench.h"

/* Seconds that this thread has had a processor. */
static double processor_time(void) {
  struct timespec t;
  clock_gettime(CLOCK_THREAD_CPUTIME_ID, &t);
  return (double)t.tv_sec + 1e-9 * (double)t.tv_nsec;
}

/* ---- the executor ---------------------------------------------------------------------------- */

static void grow(bench_cores *c, int64_t runs, int64_t tasks) {
  c->seconds = realloc(c->seconds, (size_t)(tasks + 1) * sizeof *c->seconds);
  c->run_tasks = realloc(c->run_tasks, (size_t)(runs + 1) * sizeof *c->run_tasks);
  if (!c->seconds || !c->run_tasks)
    exit(1);
}

/* The least of what the task took in each pass: a pass makes the same runs each time. */
static void note(bench_cores *c, int64_t task, double seconds) {
  if (c->passes == 0 || seconds < c->seconds[task])
    c->seconds[task] = seconds > 0 ? seconds : 0;
}

static void count_run(bench_cores *c, glow_task_fn fn, void *arg, uint32_t tasks) {
  double begin = processor_time();
  if (c->passes == 0)
    grow(c, c->runs + 1, c->tasks + tasks);
  double before = processor_time();
  for (uint32_t t = 0; t < tasks; t++) {
    fn(arg, t, 0);
    double now = processor_time();
    note(c, c->tasks + t, now - before - c->clock);
    before = now;
  }
  c->run_tasks[c->runs++] = tasks;
  c->tasks += tasks;
  c->in_runs += before - begin;
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

/* Seconds that asking for the time takes. */
static double clock_of(void) {
  enum { TIMES = 1000 };
  double begin = processor_time();
  for (int32_t i = 0; i < TIMES; i++)
    processor_time();
  return (processor_time() - begin) / TIMES;
}

glow_executor bench_cores_executor(bench_cores *cores, const glow_executor *pool) {
  *cores = (bench_cores){.pool = *pool};
  cores->clock = clock_of();
  cores->barrier = pool->workers > 1 ? barrier_of(pool) : 0;
  return (glow_executor){sizeof(glow_executor), pool->workers, 0, run_or_count, cores};
}

void bench_cores_clear(bench_cores *c) {
  free(c->seconds);
  free(c->run_tasks);
  c->seconds = NULL;
  c->run_tasks = NULL;
  c->passes = 0;
}

void bench_cores_begin(bench_cores *c, bench_how how) {
  c->how = how;
  c->runs = c->tasks = 0;
  c->in_runs = 0;
  c->begin = processor_time();
}

void bench_cores_end(bench_cores *c) {
  /* each run asks for the time once more than it has tasks */
  double serial = processor_time() - c->begin - c->in_runs - c->clock * (double)c->runs;
  bool counted = c->how == BENCH_COUNT;
  c->how = BENCH_SERIAL;
  if (!counted)
    return;
  if (c->passes == 0 || serial < c->serial)
    c->serial = serial;
  c->passes++;
}

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

double bench_cores_predicted(const bench_cores *c, uint32_t threads) {
  double sum = c->serial;
  const double *seconds = c->seconds;
  for (int64_t i = 0; i < c->runs; seconds += c->run_tasks[i++])
    sum += makespan(seconds, c->run_tasks[i], threads) +
           c->barrier * barriers(threads, c->run_tasks[i]);
  return sum;
}
