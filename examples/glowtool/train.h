/* A training run: what cmd_train.c sets up, train_results.c writes and train_loop.c drives.
 * SPDX-License-Identifier: MIT */
#ifndef GLOWTOOL_TRAIN_H
#define GLOWTOOL_TRAIN_H

#include <limits.h>

#include "curve.h"
#include "feed.h"
#include "lock.h"
#include "progress.h"
#include "ranks.h"
#include "score.h"
#include "stop.h"
#include "train_options.h"

/* Of --noise; NULL without. */
typedef struct train_noise {
  glow_rng *rng;
  float *x;       /* [most of the feed, dims] */
  float *normals; /* [dims] */
} train_noise;

typedef struct train_run {
  option_state options;
  ranks ranks;
  train_settings settings;
  sample_set data, test; /* test.count 0: no tests */
  glow_context *context;
  glow_model *model;
  glow_trainer *trainer;
  feed feed;
  train_noise noise;
  progress progress;
  curve train, tests, average_tests;
  int made_folders;
  folder_lock lock;
  bool pictures; /* grids can show 1 or 3 channels */
  char log_path[PATH_MAX];
  double started;
  int64_t saved;               /* step of the last save, -1 before the first */
  int64_t tested;              /* step of the last test, -1 before the first */
  int64_t sampled;             /* step of the last samples, -1 before the first */
  int64_t checkpointed;        /* step of the last checkpoint, -1 before the first */
  int64_t resumed;             /* step that the run goes on from, -1: it is a new one */
  int failed_saves;            /* in a row */
  bool refused;                /* the last step was refused: a loss or gradient was not finite */
  int rewinds;                 /* how often the run went back after such a step */
  char resumed_from[PATH_MAX]; /* the checkpoint */
  bool clears;                 /* the folder's checkpoints of later steps are not of this run */
  uint64_t data_hash;
  double read_from, read_to; /* when the reading of the next batch began and ended */
  progress_state state;
  score_summary test_score, average_score;
} train_run;

/* All return exit codes. */

/* On several ranks; on one they return `code`, or TOOL_FINE. With the options parsed: joins the
 * ranks, and compares options. `code`: how this rank has done so far. */
int train_ranks_open(train_run *run, int code);
/* With all set up: compares the data, and joins the trainers. */
int train_ranks_start(train_run *run, int code);
/* Joins the trainers of all ranks, again after going back. */
int train_ranks_join(train_run *run);

/* Initialises the actnorms and makes the steps, with tests, saves and samples in between and at the
 * end. */
int train_loop(train_run *run);

/* Are the samples vectors, not images? */
bool train_of_vectors(const train_run *run);
/* Does the run fit into --max-memory: its data, which are loaded, its model, and a trainer that is
 * to be made with these options, or is that of the checkpoint? (train_memory.c) */
int train_check_memory(const train_run *run, const glow_trainer_options *options);
int train_resume_memory(const train_run *run);
/* How many samples go through the model at a time, where --micro-batch does not say it. */
int64_t train_choose_micro_batch(const train_run *run);
/* Gives the model the names of its classes, if they have any. */
int train_name_classes(train_run *run);

/* With the feed open. Due in any case: train_noise_close. */
int train_noise_open(train_run *run);
void train_noise_close(train_run *run);
/* Adds the noise of a step, 0 for initialisation, to a batch, which then points to a copy. `first`:
 * place of its first sample in the batch of all ranks. */
int train_noise_add(train_run *run, int64_t step, int64_t first, glow_batch *batch);

/* Path of a result; false, after a message, when it is too long. */
bool train_path(const train_run *run, const char *name, char out[PATH_MAX]);
/* An event with a step and a path. */
void train_tell_file(train_run *run, const char *event, const char *path);
/* Puts the averaged weights into the model, or the trained ones back. Nothing without --ema. */
int train_use_average(train_run *run, bool use);
/* The models, the log's picture; with `samples`, a grid of new images too. */
int train_save(train_run *run);
/* Pictures; one that cannot be written is left out, with a warning. */
void train_draw_samples(train_run *run);
void train_draw_data(train_run *run);

/* Makes the folder of results, locks it, and tidies it up; and at the end lets go of it. `code`:
 * how the run ended. */
int train_open_folder(train_run *run);
void train_close_folder(train_run *run, int code);

/* ---- stopping and going on ------------------------------------------------------------------- */

/* Step of a checkpoint's name, -1 of any other. */
int64_t train_checkpoint_step(const char *name);
/* A checkpoint of this step, with what train_resume needs as notes. */
int train_checkpoint(train_run *run);
/* Refuses folders with checkpoints of later steps, which are another run's, unless told to. */
int train_check_folder(train_run *run);
/* A number that differs for other images or, if labels are used, other labels. */
int train_hash_data(const sample_set *set, bool labels, uint64_t *out); /* an exit code */

/* Does this option concern one process alone, so that no checkpoint has it? */
bool train_is_of_process(const char *option);
/* With --resume and without --out: results go to where the checkpoint is. */
int train_choose_out(train_run *run);
/* Makes the context, the model and the trainer of the checkpoint that --resume names, and takes the
 * options from it that were not typed. */
int train_resume(train_run *run);
/* With the data loaded and the feed open: are they those of the checkpoint? Goes to its place in
 * them. */
int train_resume_data(train_run *run);
/* From the checkpoint that the trainer was loaded from: the first goes to its place in the data,
 * the second restores the losses that the running mean is taken over. */
int train_restore_place(train_run *run);
int train_restore_losses(train_run *run);
/* Are the images of the model's shape? `whose` model, for the message. */
int train_check_shape(const train_run *run, const char *whose);
/* With the progress open: the curves so far, and where the log goes on. */
int train_resume_log(train_run *run);

/* Makes the context, loads the model that --from names, and takes from it what options would
 * say. */
int train_from(train_run *run);
/* After a refused step: goes back to the last checkpoint of this run, with half the rate. False:
 * the run is to end, because --on-divergence does not ask for it, or it has gone back too often, or
 * the checkpoint cannot be read. */
bool train_rewind(train_run *run);

/* Reads the lines of a log up to `step` into the curves. Returns their bytes; 0 when there is
 * none. */
int64_t train_read_log(const char *path, int64_t step, curve *train, curve *tests,
                       curve *average_tests);

#endif
