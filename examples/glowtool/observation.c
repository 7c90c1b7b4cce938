/* Leaving out, averaging, and what becomes of gradients. SPDX-License-Identifier: MIT */
#include "observation.h"

#include <stdlib.h>
#include <string.h>

/* ---- which elements are seen ----------------------------------------------------------------- */

static int list_seen(observation *o, const bool *hidden) {
  int64_t channels = o->shape.channels;
  o->seen = malloc((size_t)o->dims * sizeof *o->seen);
  o->hidden = malloc((size_t)o->dims * sizeof *o->hidden);
  if (!o->seen || !o->hidden) {
    complain("out of memory for a mask");
    return TOOL_FAILED;
  }
  o->count = 0;
  for (int64_t i = 0; i < o->dims; i++) {
    o->hidden[i] = hidden[i / channels];
    if (!o->hidden[i])
      o->seen[o->count++] = (int32_t)i;
  }
  if (!o->count)
    return complain("--mask: it hides the whole image");
  return o->count < o->dims ? TOOL_FINE : complain("--mask: it hides nothing");
}

int observation_open(observation *o, int64_t task, const glow_shape *shape, const bool *hidden,
                     int64_t factor) {
  *o = (observation){.task = task, .shape = *shape, .factor = factor};
  o->dims = o->count = shape->height * shape->width * shape->channels;
  if (task == TASK_INPAINT)
    return list_seen(o, hidden);
  if (task == TASK_DENOISE)
    return TOOL_FINE;
  if (shape->height % factor || shape->width % factor)
    return complain("--factor: %lld does not divide the model's images, %lld x %lld",
                    (long long)factor, (long long)shape->width, (long long)shape->height);
  o->count = o->dims / (factor * factor);
  return TOOL_FINE;
}

void observation_close(observation *o) {
  free(o->seen);
  free(o->hidden);
  o->seen = NULL;
  o->hidden = NULL;
}

/* ---- blocks ---------------------------------------------------------------------------------- */

/* Element of y that element i of x is averaged into. */
static int64_t block_of(const observation *o, int64_t i) {
  int64_t c = o->shape.channels, pixel = i / c, width = o->shape.width;
  int64_t row = pixel / width / o->factor, column = pixel % width / o->factor;
  return (row * (width / o->factor) + column) * c + i % c;
}

static float share(const observation *o) {
  return 1.0f / (float)(o->factor * o->factor);
}

/* ---- A and its transpose --------------------------------------------------------------------- */

void observation_apply(const observation *o, const float *x, float *y) {
  if (o->task == TASK_DENOISE)
    memcpy(y, x, (size_t)o->dims * sizeof *y);
  for (int64_t i = 0; o->task == TASK_INPAINT && i < o->count; i++)
    y[i] = x[o->seen[i]];
  if (o->task != TASK_UPSCALE)
    return;
  memset(y, 0, (size_t)o->count * sizeof *y);
  for (int64_t i = 0; i < o->dims; i++)
    y[block_of(o, i)] += x[i] * share(o);
}

void observation_back(const observation *o, const float *y, float *x) {
  if (o->task == TASK_DENOISE)
    memcpy(x, y, (size_t)o->dims * sizeof *x);
  if (o->task == TASK_INPAINT)
    memset(x, 0, (size_t)o->dims * sizeof *x);
  for (int64_t i = 0; o->task == TASK_INPAINT && i < o->count; i++)
    x[o->seen[i]] = y[i];
  for (int64_t i = 0; o->task == TASK_UPSCALE && i < o->dims; i++)
    x[i] = y[block_of(o, i)] * share(o);
}

/* ---- images ---------------------------------------------------------------------------------- */

/* Means of what is seen of channel c. */
static float mean_seen(const observation *o, const float *y, int64_t c) {
  double sum = 0.0;
  int64_t count = 0;
  for (int64_t i = 0; i < o->count; i++)
    if (o->seen[i] % o->shape.channels == c) {
      sum += (double)y[i];
      count++;
    }
  return (float)(sum / (double)count);
}

void observation_keep(const observation *o, const float *y, float *x) {
  for (int64_t i = 0; o->task == TASK_INPAINT && i < o->count; i++)
    x[o->seen[i]] = y[i];
}

void observation_fill(const observation *o, const float *y, float *x) {
  int64_t channels = o->shape.channels;
  if (o->task == TASK_DENOISE)
    memcpy(x, y, (size_t)o->dims * sizeof *x);
  for (int64_t i = 0; o->task == TASK_UPSCALE && i < o->dims; i++)
    x[i] = y[block_of(o, i)];
  for (int64_t c = 0; o->task == TASK_INPAINT && c < channels; c++) {
    float mean = mean_seen(o, y, c);
    for (int64_t i = c; i < o->dims; i += channels)
      x[i] = mean;
  }
  observation_keep(o, y, x);
}

void observation_show(const observation *o, const float *y, float *x) {
  observation_fill(o, y, x);
  for (int64_t i = 0; o->hidden && i < o->dims; i++)
    x[i] = o->hidden[i] ? 0.0f : x[i];
}
