/* What the benchmarks share: the peak of the cores, the models, the figures of a run.
 * SPDX-License-Identifier: MIT */
#ifndef GLOW_BENCH_H
#define GLOW_BENCH_H

#include <glow/glow.h>
#include <stdbool.h>

/* Seconds of a clock that only goes forward. */
double bench_now(void);

/* GFLOP/s of one core at `rounds` rounds of fused multiply-adds that wait for nothing but their own
 * latency, with the widest vectors that the CPU has; provider "avx2": with 8 floats at most. */
double bench_peak(const char *provider, int64_t rounds);
/* The same on all workers of an executor together, for about 10 ms. */
double bench_peak_of(const glow_executor *executor, const char *provider);

/* The median; sorts the values. */
double bench_median(double *values, int64_t count);

/* ---- more threads than there are (model_threads.c) ------------------------------------------- */

enum { BENCH_MOST_THREADS = 1024 };
typedef enum bench_how { BENCH_SERIAL, BENCH_POOL, BENCH_COUNT } bench_how;

typedef struct bench_cores {
  glow_executor pool;
  bench_how how;
  bool inside;    /* a task, whose own runs are part of it */
  double barrier; /* seconds to start a run on two threads and wait for its end, */
  double clock;   /* and to ask for the time */
  int32_t passes; /* counted */
  /* Of a pass: seconds of the processor, those of a task the least of all passes. */
  int64_t runs, tasks;
  uint32_t *run_tasks;           /* [runs] */
  double *seconds;               /* [tasks] */
  double begin, in_runs, serial; /* serial: outside of runs */
} bench_cores;

/* An executor that runs tasks as `how` says: serially, on the pool, or serially while taking their
 * times. *cores must stay where it is. */
glow_executor bench_cores_executor(bench_cores *cores, const glow_executor *pool);
/* Forgets the passes that were counted. */
void bench_cores_clear(bench_cores *cores);
/* What is between the two is a pass. */
void bench_cores_begin(bench_cores *cores, bench_how how);
void bench_cores_end(bench_cores *cores);
/* Seconds of the pass on so many threads. */
double bench_cores_predicted(const bench_cores *cores, uint32_t threads);

/* ---- models ---------------------------------------------------------------------------------- */

typedef struct bench_model_options {
  const char *model;                   /* glow, realnvp, nice, flow2d or spline6d */
  int64_t levels, depth, hidden, size; /* 0: that of the preset */
} bench_model_options;

/* A model with random parameters that needs no initialisation. False: there is no such model. */
glow_status bench_model_create(glow_context *context, const bench_model_options *options,
                               glow_model **out);
bool bench_model_known(const char *name);
/* Multiply-adds of the products for one sample forward. */
double bench_model_macs(const glow_model *model);

#endif
