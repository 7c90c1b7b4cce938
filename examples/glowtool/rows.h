/* Passes in which a sample with values that are not finite spoils no other.
 *
 * The library's rule, for all commands: such a sample, whether it was so when it was read or has
 * overflowed on the way, gets NaN in every result (pixels: 0), is counted and warned of with its
 * own number, and the others are as they would be without it. With --strict the command then ends
 * with code 1.
 * SPDX-License-Identifier: MIT */
#ifndef GLOWTOOL_ROWS_H
#define GLOWTOOL_ROWS_H

#include "tool.h"

/* What was found among the samples of a run. */
typedef struct row_tally {
  int64_t rows, bad;
  int64_t first;   /* number of the first that is not finite */
  char layer[128]; /* where that one overflows first; empty: not known */
} row_tally;

/* Counts row `number`. */
void tally_row(row_tally *t, int64_t number, bool bad);
/* Warns of the rows that are not finite, if there are any. what: "samples", "images"; advice: ends
 * the message, or NULL. Returns the exit code: with strict, that such a run failed. */
int tally_tell(const row_tally *t, const char *what, const char *advice, bool strict);

/* Passes on one workspace. */
typedef struct row_pass {
  glow_workspace *workspace;
  const glow_model *model;
  int64_t dims;
  int32_t *statuses; /* [batch]: of the rows of the last pass */
  row_tally tally;
} row_pass;

/* All return exit codes; rows_close is due in any case. */
int rows_open(row_pass *p, glow_workspace *workspace, const glow_model *model, int64_t batch);
void rows_close(row_pass *p);
/* Whether row i of the last pass is not finite. */
bool rows_bad(const row_pass *p, int64_t i);
/* The functions of the library of these names, on rows first, first + 1, ... of the caller. Outputs
 * may be NULL; labels are looked at only if the model has classes. */
int rows_log_prob(row_pass *p, int64_t first, const float *x, const int32_t *labels, int64_t count,
                  double *log_prob);
int rows_forward(row_pass *p, int64_t first, const float *x, const int32_t *labels, int64_t count,
                 int32_t form, float *latents, double *logdet, double *log_prob);
int rows_inverse(row_pass *p, int64_t first, const float *latents, int32_t form,
                 const int32_t *labels, int64_t count, float *x, double *logdet);
/* Samples options->first, ... are rows first, ... */
int rows_sample(row_pass *p, int64_t first, const glow_sample_options *options,
                const int32_t *labels, int64_t count, float *x);

#endif
