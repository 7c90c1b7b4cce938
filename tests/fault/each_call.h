/* The harness of system calls that fail: an operation is run with its n-th call failing, for n = 1,
 * 2, 3, ... until a run sees no failure; with each of several errors, once or from then on. Each
 * time
 *
 *   - it fails with the right status and a text that names the file and the error, or it overcomes
 *     the failure and gives what it always gives;
 *   - no memory, descriptor, mapping or thread is left;
 *   - run again, it succeeds.
 *
 * To add an operation, write its function and one line that gives it to each_call(). The test
 * programs print how many calls were made to fail.
 * SPDX-License-Identifier: MIT */
#ifndef GLOW_TEST_EACH_CALL_H
#define GLOW_TEST_EACH_CALL_H

#include "places.h"
#include "wrap.h"

typedef struct call_operation {
  const char *name;
  const char *words; /* the error text has them: the path of the file */
  /* Folds what it gives into *result. Memory comes from `memory`. */
  glow_status (*run)(const struct call_operation *op, uint64_t *result);
  const void *choice;
  helper_memory *memory;
} call_operation;

/* A way to fail. Ends with one whose name is NULL. */
typedef struct way {
  const char *name;
  int error;          /* see wrap_fault */
  int64_t more;       /* how many calls fail besides the first */
  bool only_moves;    /* only reads and writes fail so */
  bool harmless;      /* must be overcome */
  glow_status status; /* otherwise */
  const char *text;   /* that the error text has; NULL: that of the error */
} way;
extern const way reading_ways[], thread_ways[];

/* Returns the number of failures that were tried. */
int64_t each_call(const call_operation *op, const way *ways);
int64_t each_call_total(void);
/* Prints the number of all failures, and of those by kind of call. The teardown of a group of
 * tests; returns 0. */
int each_call_report(void **state);
/* For programs with a loop of their own: counts what has failed. */
void each_call_count(void);

#endif
