/* A training run: what cmd_train.c sets up, train_results.c writes and train_loop.c drives.
 * SPDX-License-Identifier: MIT */
#ifndef GLOWTOOL_TRAIN_H
#define GLOWTOOL_TRAIN_H

#include <limits.h>

#include "curve.h"
#include "feed.h"
#include "progress.h"
#include "score.h"
#include "train_options.h"

typedef struct train_run {
  train_settings settings;
  image_set data, test; /* test.count 0: no tests */
  glow_context *context;
  glow_model *model;
  glow_trainer *trainer;
  feed feed;
  progress progress;
  curve train, tests, average_tests;
  int made_folders;
  bool pictures; /* grids can show 1 or 3 channels */
  char log_path[PATH_MAX];
  double started;
  int64_t saved;   /* step of the last save, -1 before the first */
  int64_t tested;  /* step of the last test, -1 before the first */
  int64_t sampled; /* step of the last samples, -1 before the first */
  progress_state state;
  score_summary test_score, average_score;
} train_run;

/* All return exit codes. */

/* Initialises the actnorms and makes the steps, with tests, saves and samples in between and at the
 * end. */
int train_loop(train_run *run);

/* Path of a result; false, after a message, when it is too long. */
bool train_path(const train_run *run, const char *name, char out[PATH_MAX]);
/* Puts the averaged weights into the model, or the trained ones back. Nothing without --ema. */
int train_use_average(train_run *run, bool use);
/* The models, the log's picture; with `samples`, a grid of new images too. */
int train_save(train_run *run);
int train_draw_samples(train_run *run);
int train_draw_data(train_run *run);

#endif
