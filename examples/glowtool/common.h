/* A model file, opened to be used: what eval, sample, reconstruct and info begin with.
 * SPDX-License-Identifier: MIT */
#ifndef GLOWTOOL_COMMON_H
#define GLOWTOOL_COMMON_H

#include "options.h"
#include "tool.h"

typedef struct opened_model {
  glow_context *context;
  glow_model *model; /* an inference form, where there is a workspace */
  glow_workspace *workspace;
  glow_shape shape;
  int64_t batch; /* of the workspace */
} opened_model;

/* Returns an exit code; close_model is due in any case. batch 0: no workspace. */
int open_model(opened_model *m, const char *path, int64_t threads, const char *kernels,
               int64_t products, int64_t batch);
/* Says why the library could not read a file: what it is, if it is known to be something other than
 * `wanted`. */
int complain_of_file(glow_status status, const char *path, const char *wanted);
/* Makes the workspace for batches of m->batch, if --max-memory allows. */
int open_workspace_of(opened_model *m);
void close_model(opened_model *m);
/* May passes take so much memory? what: "passes on ...", which begins the message. Returns an exit
 * code. */
int check_passes(uint64_t bytes, const char *what);
/* Can the model's images be shown as a picture? */
int check_picture(const opened_model *m);
/* --labels, when labels are for the model alone: does it have classes? */
int check_labels_file(const opened_model *m, const option_list *files);
/* Is `label` a class of the model, or -1? */
int check_class(const opened_model *m, int64_t label);

/* A command on one model: parses its options into `settings`, calls run, and closes what run has
 * opened. Returns the exit code. */
int run_on_model(int argc, char **argv, const option_table *table, void *settings,
                 int (*run)(void *settings, opened_model *m));

#endif
