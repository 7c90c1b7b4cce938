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
