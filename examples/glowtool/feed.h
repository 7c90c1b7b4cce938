/* Batches of samples in a new random order each epoch. SPDX-License-Identifier: MIT */
#ifndef GLOWTOOL_FEED_H
#define GLOWTOOL_FEED_H

#include "data.h"
#include "tool.h"

/* The place of a feed: all that another one needs to go on with the same images. */
typedef struct feed_place {
  uint64_t epoch; /* position of the random numbers that this epoch's order was drawn from */
  int64_t next;   /* place in the order */
} feed_place;

typedef struct feed {
  const sample_set *set;
  glow_rng *rng;
  glow_rng *flips; /* which images are flipped; NULL: none */
  int32_t *images; /* [length]: those of an epoch, some more than once */
  int32_t *order;  /* [length]: this epoch's, places in images */
  int64_t length;
  feed_place place;
  int64_t most; /* images of the largest batch */
  int64_t dims;
  uint8_t *pixels;   /* [most, dims], NULL where samples are floats */
  float *x;          /* [most, dims], likewise */
  float *conditions; /* [most, condition], NULL without */
  int32_t *labels;   /* [most], NULL when not wanted */
} feed;

/* times: how often an epoch has the images that have a label (not -1). flip: turn each left to
 * right with probability 1/2, anew whenever it is shown. Returns an exit code; feed_close is due in
 * any case. The set must outlive the feed. */
int feed_open(feed *f, glow_context *context, const sample_set *set, bool labels, int64_t times,
              bool flip, uint64_t seed, int64_t most);
/* Puts the next `count` samples into f->pixels or f->x, f->conditions and f->labels. Epochs follow
 * each other without gaps,
 * so that every image is seen as often as an epoch has it before any is seen more often. */
int feed_next(feed *f, int64_t count);
/* The same for one who reads a part alone: of the next `count` samples those from `first` to
 * `end` - 1. */
int feed_next_part(feed *f, int64_t count, int64_t first, int64_t end);
/* Goes to a place that a feed of the same seed and set was at. Returns an exit code. */
int feed_go(feed *f, feed_place place);
void feed_close(feed *f);

#endif
