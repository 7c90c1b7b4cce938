/* Bits per dimension of a set of images, and loading the images that a model can read.
 * SPDX-License-Identifier: MIT */
#ifndef GLOWTOOL_SCORE_H
#define GLOWTOOL_SCORE_H

#include "data.h"
#include "options.h"
#include "tool.h"

/* Loads images of exactly the shape that the model reads, with labels when it needs them. Without
 * paths the data are generated shapes, if the format says so. limit 0: all. */
typedef struct image_source {
  option_list paths;
  const char *format;
  const char *labels;
  int64_t limit;
  uint64_t seed; /* of generated pictures */
} image_source;
int load_for_model(const glow_model *model, const image_source *source, image_set *out);
/* Are there labels, all of them below `classes`? classes 0: nothing to check. */
int check_labels(const image_set *set, int32_t classes);

typedef struct score_summary {
  int64_t images; /* that were scored: less than asked after Ctrl-C */
  double mean;    /* bits/dim */
  double error;   /* standard error of the mean over images; 0 for one image */
  double
      accuracy; /* part of the draws that the model's classifier names rightly; NaN without one */
} score_summary;

/* Scores the first `count` images with `draws` draws of dequantisation noise each, which depends on
 * the seed and the number of the image alone. per_image: NULL or [count], means over the draws. */
int score_images(glow_workspace *workspace, const glow_model *model, int64_t batch,
                 const image_set *set, int64_t count, int64_t draws, uint64_t seed,
                 double *per_image, score_summary *out);

#endif
