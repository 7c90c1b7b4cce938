/* What restoring starts from: y = A x + noise, where A leaves elements of an image out, averages
 * them in blocks, or leaves all as they are. SPDX-License-Identifier: MIT */
#ifndef GLOWTOOL_OBSERVATION_H
#define GLOWTOOL_OBSERVATION_H

#include <stdbool.h>

#include "tool.h"

/* Values of --task. */
enum { TASK_INPAINT = 1, TASK_DENOISE = 2, TASK_UPSCALE = 3 };

typedef struct observation {
  int64_t task;
  glow_shape shape; /* of x */
  int64_t dims;     /* elements of x */
  int64_t count;    /* elements of y */
  int64_t factor;   /* TASK_UPSCALE: y is of averages over factor x factor pixels */
  int32_t *seen;    /* TASK_INPAINT: [count], the elements of x that y has; else NULL */
  bool *hidden;     /* [dims]: not among them; NULL: none is */
} observation;

/* hidden: [height, width], for TASK_INPAINT. Returns an exit code; observation_close is due in any
 * case. */
int observation_open(observation *o, int64_t task, const glow_shape *shape, const bool *hidden,
                     int64_t factor);
void observation_close(observation *o);
/* y = A x. */
void observation_apply(const observation *o, const float *x, float *y);
/* x = transposed A y, as gradients go back. */
void observation_back(const observation *o, const float *y, float *x);
/* The plainest restoration: hidden elements get the mean of the others of their channel; blocks get
 * their average; what is only noisy stays. */
void observation_fill(const observation *o, const float *y, float *x);
/* What is known for certain if there is no noise takes its place in x. */
void observation_keep(const observation *o, const float *y, float *x);
/* y as an image, hidden elements in grey. */
void observation_show(const observation *o, const float *y, float *x);

#endif
