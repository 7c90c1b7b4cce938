/* Elementwise work on vectors as long as the parameters, in fixed blocks: what a block computes,
 * and the order in which the blocks' sums are added, do not depend on the number of workers. A
 * vector of one block never wakes a thread. SPDX-License-Identifier: MIT */
#include <math.h>

#include "train/train.h"

enum { BLOCK = 65536 };

glow_status glow__flat_create(glow_context *context, int64_t count, glow__flat *out) {
  int64_t blocks = count / BLOCK + (count % BLOCK != 0);
  *out = (glow__flat){context, count, (uint32_t)blocks, NULL};
  if (blocks > UINT32_MAX)
    return glow_error(GLOW_E_LIMIT, "%lld parameters are too many", (long long)count);
  out->sums = glow_allocate(context, (size_t)blocks * sizeof *out->sums);
  return out->sums ? GLOW_OK : GLOW_E_MEMORY;
}

void glow__flat_destroy(glow__flat *flat) {
  if (flat->sums)
    glow_release(flat->context, flat->sums);
  flat->sums = NULL;
}

typedef struct job {
  const glow__flat *flat;
  float *x;
  float *y;
  const float *from;
  float value;
} job;

/* First element of the block, and how many. */
static int64_t range(const job *j, uint32_t task, int64_t *count) {
  int64_t first = (int64_t)task * BLOCK;
  *count = j->flat->count - first < BLOCK ? j->flat->count - first : BLOCK;
  return first;
}

/* Floats. The processor's own prefetching read this one stream at half the rate of the memory. */
enum { AHEAD = 1024 };

/* Four chains, so that additions do not wait for each other; their order is part of the result. */
static void squares(void *arg, uint32_t task, uint32_t worker) {
  const job *j = arg;
  int64_t count;
  const float *x = j->from + range(j, task, &count), limit = j->value;
  double sums[4] = {0.0, 0.0, 0.0, 0.0};
  (void)worker;
  for (int64_t i = 0; i + 4 <= count; i += 4) {
    __builtin_prefetch((const void *)((uintptr_t)(x + i) + AHEAD * sizeof *x));
    float clamped[4]; /* apart from the sums, compilers make vectors of it */
    for (int k = 0; k < 4; k++)
      clamped[k] = glow__clamp(x[i + k], limit);
    for (int k = 0; k < 4; k++)
      sums[k] += (double)clamped[k] * (double)clamped[k];
  }
  for (int64_t i = count - count % 4; i < count; i++) {
    double clamped = (double)glow__clamp(x[i], limit);
    sums[0] += clamped * clamped;
  }
  j->flat->sums[task] = (sums[0] + sums[1]) + (sums[2] + sums[3]);
}

double glow__flat_squares(glow__flat *flat, const float *x) {
  return glow__flat_clamped_squares(flat, x, INFINITY);
}

double glow__flat_clamped_squares(glow__flat *flat, const float *x, float limit) {
  job j = {flat, NULL, NULL, x, limit};
  double sum = 0.0;
  glow_context_run(flat->context, flat->blocks, squares, &j);
  for (uint32_t b = 0; b < flat->blocks; b++)
    sum += flat->sums[b];
  return sum;
}

static void scale(void *arg, uint32_t task, uint32_t worker) {
  const job *j = arg;
  int64_t count;
  float *x = j->x + range(j, task, &count);
  (void)worker;
  for (int64_t i = 0; i < count; i++)
    x[i] *= j->value;
}

void glow__flat_scale(glow__flat *flat, float *x, float factor) {
  job j = {flat, x, NULL, NULL, factor};
  glow_context_run(flat->context, flat->blocks, scale, &j);
}

static void swap(void *arg, uint32_t task, uint32_t worker) {
  const job *j = arg;
  int64_t count;
  int64_t first = range(j, task, &count);
  (void)worker;
  for (int64_t i = first; i < first + count; i++) {
    float kept = j->x[i];
    j->x[i] = j->y[i];
    j->y[i] = kept;
  }
}

void glow__flat_swap(glow__flat *flat, float *x, float *y) {
  job j = {flat, x, y, NULL, 0.0f};
  glow_context_run(flat->context, flat->blocks, swap, &j);
}
