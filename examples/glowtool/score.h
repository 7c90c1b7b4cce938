/* Bits per dimension of a set of samples. SPDX-License-Identifier: MIT */
#ifndef GLOWTOOL_SCORE_H
#define GLOWTOOL_SCORE_H

#include <stdio.h>

#include "ranks.h"
#include "rows.h"
#include "sample_source.h"

typedef struct score_summary {
  int64_t images;  /* that the mean is over: the finite ones; fewer after Ctrl-C */
  row_tally tally; /* images with results that are not finite in some draw */
  double mean;     /* bits/dim */
  double error;    /* standard error of the mean over images; 0 for one image */
  double accuracy; /* share of draws that the classifier gets right; NaN: no classifier */
} score_summary;

/* Scores the first `count` images with `draws` draws of dequantisation noise each, which depends on
 * the seed and the number of the image alone. r: NULL, or each rank scores a part, and all get the
 * scores of the whole, with the same bits (unless a signal asks to stop: ranks_stop). per_image:
 * NULL or [count], means over the draws; NaN of images that are not finite. */
int score_images(glow_workspace *workspace, const glow_model *model, int64_t batch,
                 const sample_set *set, int64_t count, int64_t draws, uint64_t seed,
                 double *per_image, ranks *r, score_summary *out);

/* A line 'KIND,number,bits/dim,name' of a table; kind NULL: without it. */
void csv_score_line(FILE *file, const char *kind, const sample_set *set, int64_t index,
                    double bits);

#endif
