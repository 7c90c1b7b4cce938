/* Batches in random order. The order depends on the seed alone; which images are flipped depends on
 * the seed and the place in the order. So a place is all that is needed to go on.
 * SPDX-License-Identifier: MIT */
#include "feed.h"

#include <stdlib.h>
#include <string.h>

enum { FLIP_SEED = 78 }; /* added to the seed, apart from those of the other parts of a run */

static int shuffle(feed *f) {
  f->place = (feed_place){glow_rng_position(f->rng), 0};
  glow_status status = glow_rng_permutation(f->rng, f->order, f->length);
  return status == GLOW_OK ? TOOL_FINE : complain_status(status, "shuffling the images");
}

/* The images in the order of the set, those with a label `times` times; NULL only counts. */
static int64_t list(const sample_set *set, int64_t times, int32_t *images) {
  int64_t length = 0;
  for (int64_t i = 0; i < set->count; i++) {
    int64_t here = set->labels && set->labels[i] >= 0 ? times : 1;
    for (int64_t k = 0; images && k < here; k++)
      images[length + k] = (int32_t)i;
    length += here;
  }
  return length;
}

int feed_open(feed *f, glow_context *context, const sample_set *set, bool labels, int64_t times,
              bool flip, uint64_t seed, int64_t most) {
  memset(f, 0, sizeof *f);
  f->set = set;
  f->most = most;
  f->dims = set->height * set->width * set->channels;
  f->length = set->count <= INT32_MAX ? list(set, times, NULL) : set->count;
  if (f->length > INT32_MAX)
    return complain("%lld images in an epoch are too many", (long long)f->length);
  glow_status status = glow_rng_create(context, seed, &f->rng);
  if (status == GLOW_OK && flip)
    status = glow_rng_create(context, seed + FLIP_SEED, &f->flips);
  if (status != GLOW_OK)
    return complain_status(status, NULL);
  f->order = malloc((size_t)f->length * sizeof *f->order);
  f->images = malloc((size_t)f->length * sizeof *f->images);
  if (set->floats)
    f->x = malloc((size_t)most * (size_t)f->dims * sizeof *f->x);
  else
    f->pixels = malloc((size_t)most * (size_t)f->dims);
  if (set->condition)
    f->conditions = malloc((size_t)most * (size_t)set->condition * sizeof *f->conditions);
  if (labels)
    f->labels = malloc((size_t)most * sizeof *f->labels);
  if (f->order && f->images && (f->pixels || f->x) && (f->conditions || !set->condition) &&
      (f->labels || !labels)) {
    list(set, times, f->images);
    return shuffle(f);
  }
  complain("out of memory for batches of %lld images", (long long)most);
  return TOOL_FAILED;
}

/* Turns an image left to right in its place. */
static void turn(const sample_set *set, char *image) {
  size_t size = set->floats ? sizeof(float) : 1, pixel = (size_t)set->channels * size;
  for (int64_t r = 0; r < set->height; r++, image += (size_t)set->width * pixel)
    for (char *a = image, *b = image + (size_t)(set->width - 1) * pixel; a < b;
         a += pixel, b -= pixel)
      for (size_t i = 0; i < pixel; i++) {
        char kept = a[i];
        a[i] = b[i];
        b[i] = kept;
      }
}

/* Epochs begin as far apart as they are long, so that no two places have one number. */
static glow_status draw_flip(feed *f, bool *flip) {
  float number = 1.0f;
  glow_status status = GLOW_OK;
  if (f->flips)
    status = glow_rng_set_position(f->flips, f->place.epoch + (uint64_t)f->place.next);
  if (f->flips && status == GLOW_OK)
    status = glow_rng_uniform(f->flips, &number, 1);
  *flip = number < 0.5f;
  return status;
}

static int put(feed *f, int64_t place) {
  bool flip;
  glow_status status = draw_flip(f, &flip);
  if (status != GLOW_OK)
    return complain_status(status, "--flip");
  int64_t image = f->images[f->order[f->place.next++]];
  char *to = f->x ? (char *)(f->x + place * f->dims) : (char *)f->pixels + place * f->dims;
  char error[1024] = "";
  if (!data_read(f->set, image, 1, to,
                 f->conditions ? f->conditions + place * f->set->condition : NULL, error,
                 sizeof error))
    return complain("%s", error);
  if (flip)
    turn(f->set, to);
  if (f->labels)
    f->labels[place] = f->set->labels ? f->set->labels[image] : -1;
  return TOOL_FINE;
}

int feed_next_part(feed *f, int64_t count, int64_t first, int64_t end) {
  for (int64_t i = 0; i < count; i++) {
    int code = f->place.next == f->length ? shuffle(f) : TOOL_FINE;
    if (code == TOOL_FINE && i >= first && i < end)
      code = put(f, i - first);
    else
      f->place.next++;
    if (code != TOOL_FINE)
      return code;
  }
  return TOOL_FINE;
}

int feed_next(feed *f, int64_t count) {
  return feed_next_part(f, count, 0, count);
}

int feed_go(feed *f, feed_place place) {
  if (place.next < 0 || place.next > f->length)
    return complain("place %lld in an epoch of %lld images", (long long)place.next,
                    (long long)f->length);
  glow_status status = glow_rng_set_position(f->rng, place.epoch);
  if (status != GLOW_OK)
    return complain_status(status, NULL);
  int code = shuffle(f);
  f->place.next = place.next;
  return code;
}

void feed_close(feed *f) {
  glow_rng_destroy(&f->rng);
  glow_rng_destroy(&f->flips);
  free(f->order);
  free(f->images);
  free(f->pixels);
  free(f->x);
  free(f->conditions);
  free(f->labels);
}
