/* Sums over the images that were restored, and what is said of them.
 * SPDX-License-Identifier: MIT */
#ifndef GLOWTOOL_RESTORE_TOTALS_H
#define GLOWTOOL_RESTORE_TOTALS_H

#include "json.h"
#include "restore.h"
#include "restore_report.h"

typedef struct restore_totals {
  const observation *observation;
  int64_t task;
  bool tried[WAYS]; /* ways to restore that are compared */
  bool samples;     /* are there samples, of METHOD_LANGEVIN? */
  signal_to_noise signal[WAYS];
  double spread, error;         /* mean squares of the samples' deviation and of their error */
  double accepted;              /* shares of the steps */
  double chain_energy, between; /* of the chains */
} restore_totals;

/* Names of the ways in files and JSON. */
extern const char *const restore_way_keys[WAYS];

/* An image [dims] that was restored in this way. */
void restore_totals_add(restore_totals *t, int way, const float *original, const float *x);
/* How large the deviation of its samples is, row i of r, and how large the error that it tells. */
void restore_totals_add_samples(restore_totals *t, const restorer *r, int64_t i,
                                const float *original);
/* A line for each way, and one for the samples. */
void restore_totals_print(const restore_totals *t);
/* The same as members of an object. */
void restore_totals_put(const restore_totals *t, json_writer *json);

#endif
