/* A model file, opened to be used: what eval, sample, reconstruct and info begin with.
 * SPDX-License-Identifier: MIT */
#ifndef GLOWTOOL_COMMON_H
#define GLOWTOOL_COMMON_H

#include "tool.h"

typedef struct opened_model {
  glow_context *context;
  glow_model *model;
  glow_workspace *workspace; /* for inference */
  glow_shape shape;
  int64_t batch; /* of the workspace */
} opened_model;

/* Returns an exit code; close_model is due in any case. batch 0: no workspace. */
int open_model(opened_model *m, const char *path, int64_t threads, const char *kernels,
               int64_t batch);
void close_model(opened_model *m);
/* Can the model's images be shown as a picture? */
int check_picture(const opened_model *m);

#endif
