/* What the files of checkkernels share: the rows of the list of checks, random numbers, arrays with
 * guards around them, failures, and timing. SPDX-License-Identifier: MIT */
#ifndef GLOW_TESTS_CHECKKERNELS_H
#define GLOW_TESTS_CHECKKERNELS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "math/kernels.h"
#include "math/kernels16.h"

/* A filled table: of float32 kernels or of bfloat16 products; the other is NULL. */
typedef struct provider {
  const char *name;
  const glow__kernels *kernels;
  const glow__kernels16 *kernels16;
} provider;

/* Plain C's. */
extern glow__kernels plain;
extern glow__kernels16 plain16;

/* One check of a slot. `check` is one round of it, on random shapes and values; `bench`, or NULL,
 * times the slot by bench_case. The first row of a slot bears its name. */
typedef struct row {
  const char *name;
  size_t slot; /* its place in the table */
  int rounds;
  void (*check)(const provider *p);
  void (*bench)(const provider *p);
} row;

enum { MOST_ROWS = 16 };
extern const row product_rows[MOST_ROWS], function_rows[MOST_ROWS], pointwise_rows[MOST_ROWS],
    spline_rows[MOST_ROWS],
    product16_rows[MOST_ROWS]; /* each list ends with a row without a name */

/* ---- failures -------------------------------------------------------------------------------- */

/* Ends the row: prints the text after the provider, the row and the seed. */
_Noreturn void fail(const char *format, ...) __attribute__((format(printf, 1, 2)));
/* fail unless the bits are the same; `what` names the array. */
void same_bits(const char *what, const void *got, const void *expected, size_t bytes);
/* fail unless got is within `bound` of what is expected. NaN wants NaN, and an infinity itself. */
void near_to(const char *what, int64_t i, int64_t j, double got, double expected, double bound);

/* ---- random numbers -------------------------------------------------------------------------- */

uint64_t random_bits(void);
int64_t below(int64_t n); /* 0 to n - 1 */

/* ---- arrays: given back at the end of a round ------------------------------------------------ */

/* `count` elements that hold the byte 0x5a. A page that cannot be touched follows at once, or lies
 * before; what is left of the array's own pages is looked at when the round ends. Packed matrices,
 * whose sizes are multiples of 64 bytes, are aligned to 64. */
enum { FILL = 0x5a };
void *array(int64_t count, size_t size);
float *numbers(int64_t count);          /* in [-1, 1] */
float *factors(int64_t count);          /* in [1/2, 3/2] */
void sprinkle(float *x, int64_t count); /* NaN, infinities, zeros of both signs in a few places */
void *copy_of(const void *from, int64_t count, size_t size);

/* ---- products -------------------------------------------------------------------------------- */

enum { MOST_M = 70, MOST_N = 130, MOST_K = 600 };

/* B [k, n] of a product, to be packed: rows, columns, or every other element of each. */
typedef struct packing {
  int64_t k, n, rs, cs;
  float *b;
} packing;
packing random_packing(bool special);

/* Any of its parts, or none. */
glow_epilogue random_epilogue(const float *bias, const float *scale);
/* glow__finish in double. */
double finish_exactly(double sum, float before, int64_t j, const glow_epilogue *e);

/* ---- timing ---------------------------------------------------------------------------------- */

/* Times call(arg), which takes `flops` operations or else moves `bytes`, and prints a line: the
 * median, the rate, of operations also the part of the core's peak measured beside it, and how many
 * times as fast as plain C. */
typedef struct bench_work {
  double flops, bytes;
} bench_work;
void bench_case(const char *what, bench_work work, void (*call)(const void *arg), const void *arg);

#endif
