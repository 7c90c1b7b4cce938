/* The harness of memory that runs out: an operation of the library is called with its n-th
 * allocation failing, for n = 1, 2, 3, ... until a call sees no failure; first with that one
 * failing alone, then with all after it failing too. Each time
 *
 *   - the status is GLOW_E_MEMORY, with a text of this call that says so;
 *   - nothing leaks, and what the call works on is as before;
 *   - the same call, made again, succeeds. A twin in memory that never runs out has done the same
 *     calls but the failed ones: what both work on, and what the calls gave, have the same bits.
 *
 * To add an operation, write its functions and one line that gives them to each_allocation(). The
 * test programs print how many allocations were made to fail.
 * SPDX-License-Identifier: MIT */
#ifndef GLOW_TEST_EACH_ALLOCATION_H
#define GLOW_TEST_EACH_ALLOCATION_H

#include "../support/hash.h"
#include "../support/model_helpers.h"

/* What a call is made with. */
typedef struct trial {
  glow_context *context; /* in `memory` */
  helper_memory memory;
  glow_allocator allocator; /* of `memory` */
  const void *choice;       /* as given to each_allocation() */
  void *subject;            /* of operation.make */
  uint64_t result;          /* what the call gave: run() folds it in; starts as HASH_INIT */
} trial;

typedef struct operation {
  const char *name;
  void (*make)(trial *t);                        /* makes what the call works on; NULL: nothing */
  glow_status (*run)(trial *t);                  /* the call; destroys what it makes */
  void (*state)(const trial *t, uint64_t *hash); /* folds in all that must not change when the call
                                                    fails; NULL: nothing */
  void (*destroy)(trial *t);                     /* what make() made */
} operation;

/* Fails the test program when one of the promises above is broken, or when the call allocates
 * nothing. Returns the number of failures that were tried. */
int64_t each_allocation(const operation *op, const void *choice);
/* The same for long operations: of many allocations, some are left out, evenly, so that about
 * `most` are tried. The environment variable GLOW_TEST_EXHAUSTIVE leaves none out. */
int64_t some_allocations(const operation *op, const void *choice, int64_t most);

/* How many failures were tried since the start of the program. */
int64_t each_allocation_total(void);
/* Prints that. The teardown of a group of tests; returns 0. */
int each_allocation_report(void **state);

#endif
