/* Times of kernels: medians, beside the core's peak and plain C. SPDX-License-Identifier: MIT */
#include "bench/bench.h"

#include <stdio.h>
#include <stdlib.h>

#include "checkkernels/bench.h"

enum { MOST_SAMPLES = 25, MOST_CASES = 32, LEAST_SAMPLES = 3 };

static double budget = 0.05; /* seconds for a case, but at least one sample */
static const char *provider_name, *row_name;
static bool quiet;
static int next_case;
static double plain_seconds[MOST_CASES]; /* of plain C in this row's cases */

void bench_set_budget(double seconds) {
  budget = seconds;
}

void bench_row(const provider *p, const row *r, bool print) {
  provider_name = p->name;
  row_name = r->name;
  quiet = !print;
  next_case = 0;
  r->bench(p);
}

static int compare(const void *a, const void *b) {
  double x = *(const double *)a, y = *(const double *)b;
  return (x > y) - (x < y);
}

static double median(double *values, int count) {
  qsort(values, (size_t)count, sizeof *values, compare);
  return values[count / 2];
}

static double seconds_of(void (*call)(const void *arg), const void *arg, int64_t times) {
  double begin = bench_now();
  for (int64_t i = 0; i < times; i++)
    call(arg);
  return (bench_now() - begin) / (double)times;
}

/* Calls in a sample: about a millisecond. */
static int64_t times_of(double seconds) {
  return seconds < 1e-9 ? 1000000 : (int64_t)(1e-3 / seconds) + 1;
}

static void print_line(const char *what, bench_work work, double seconds, double of_peak) {
  char rate[64];
  double ratio = plain_seconds[next_case] / seconds;
  if (work.flops > 0)
    snprintf(rate, sizeof rate, "%7.1f GFLOP/s %3.0f %% of the peak", work.flops * 1e-9 / seconds,
             100 * of_peak);
  else
    snprintf(rate, sizeof rate, "%7.1f GB/s", work.bytes * 1e-9 / seconds);
  printf("%-10s %-17s %-26s %11.2f us %7.2f x C  %s\n", provider_name, row_name, what,
         seconds * 1e6, ratio, rate);
  fflush(stdout);
}

void bench_case(const char *what, bench_work work, void (*call)(const void *arg), const void *arg) {
  double seconds[MOST_SAMPLES], of_peak[MOST_SAMPLES], end = bench_now() + budget;
  double first = seconds_of(call, arg, 1); /* fetches what it touches */
  int64_t times = times_of(first < budget ? seconds_of(call, arg, 1) : first);
  int samples = 0;
  while (samples < LEAST_SAMPLES || (samples < MOST_SAMPLES && bench_now() < end)) {
    seconds[samples] = seconds_of(call, arg, times);
    double peak = work.flops > 0 ? bench_peak(provider_name, 100000) : 1;
    of_peak[samples] = work.flops * 1e-9 / seconds[samples] / peak;
    samples++;
    if (seconds[samples - 1] > budget) /* plain C's largest products take seconds: one is enough */
      break;
  }
  double typical = median(seconds, samples);
  if (next_case == MOST_CASES)
    fail("more than %d cases in a row", MOST_CASES);
  if (provider_name == plain.name || provider_name == plain16.name)
    plain_seconds[next_case] = typical;
  if (!quiet)
    print_line(what, work, typical, median(of_peak, samples));
  next_case++;
}
