/* Writers of files that faults are tried on: of models, checkpoints, tensor files at once and piece
 * by piece. SPDX-License-Identifier: MIT */
#ifndef GLOW_TEST_FAULT_WRITERS_H
#define GLOW_TEST_FAULT_WRITERS_H

#include "places.h"

typedef struct file_writer {
  const char *name;
  glow_status (*write)(const char *path);
} file_writer;
/* Ends with one whose name is NULL. */
extern const file_writer writers[];

/* What they write, in counted memory. */
extern glow_context *writers_context;
extern helper_memory writers_memory;
extern glow_model *writers_model;
extern glow_trainer *writers_trainer;
/* One more step of the trainer. */
void writers_step(void);

/* Setup and teardown of a group of tests, with a temporary folder in `parent` (NULL: anywhere). */
int writers_set_up(const char *parent);
int writers_tear_down(void);

#endif
