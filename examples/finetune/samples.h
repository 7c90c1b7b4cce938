/* Data in a random order: a part that is held out, and batches of the rest.
 * SPDX-License-Identifier: MIT */
#ifndef FINETUNE_SAMPLES_H
#define FINETUNE_SAMPLES_H

#include <glow/glow.h>

#include "data.h"
#include "settings.h"

/* Samples in memory, as the trainer takes them. */
typedef struct chosen {
  glow_batch batch; /* points to what follows */
  char *samples;    /* [room, dims]: pixels, or floats */
  float *conditions;
  int32_t *labels;
} chosen;

typedef struct samples {
  sample_set set;
  glow_rng *rng;
  int32_t *order; /* [set.count]: those held out first */
  int64_t next;   /* in that order */
  chosen held_out, training;
} samples;

/* Opens data of the shape that the model reads. Ends the program if that fails, as all here do. */
void samples_open(samples *s, glow_context *context, const glow_model *model, const settings *o);
/* Makes s->training.batch of `count` more samples, all of which are trained on once before any is
 * again. */
void samples_next(samples *s, int64_t count);
void samples_close(samples *s);

#endif
