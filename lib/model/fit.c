/* Which layers keep their activations where memory is limited. A layer that does keeps its input,
 * its output and what it saves for backward; the others reconstruct. To keep is worth the work of a
 * forward, for a layer that must be inverted first twice that; so layers are taken in the order of
 * work for each byte as long as there is room, which for a knapsack with many small things is
 * within one of them of the best. SPDX-License-Identifier: MIT */
#include <string.h>

#include "model/parts.h"

typedef struct item {
  double gain; /* work for each float */
  int32_t node;
} item;

typedef struct fit {
  const glow_model *model;
  int64_t batch;
  unsigned char *keep;
  item *heap; /* the best first */
  int32_t count;
} fit;

/* ---- a heap ---------------------------------------------------------------------------------- */

static bool better(const item *a, const item *b) {
  return a->gain > b->gain || (a->gain == b->gain && a->node < b->node);
}

static void sink(fit *f, int32_t i) {
  for (;;) {
    int32_t best = i;
    for (int32_t child = 2 * i + 1; child <= 2 * i + 2 && child < f->count; child++)
      if (better(&f->heap[child], &f->heap[best]))
        best = child;
    if (best == i)
      return;
    item moved = f->heap[i];
    f->heap[i] = f->heap[best];
    f->heap[best] = moved;
    i = best;
  }
}

static item take_best(fit *f) {
  item best = f->heap[0];
  f->heap[0] = f->heap[--f->count];
  sink(f, 0);
  return best;
}

/* ---- sizes ----------------------------------------------------------------------------------- */

/* Each of these was computed for the workspace in which none is kept, so none overflows. */
static int64_t state_floats(const fit *f, int32_t i) {
  int64_t floats = 0;
  glow__aligned(f->model->nodes[i].in_size * f->batch, &floats);
  return floats;
}

static int64_t saved_floats(const fit *f, int32_t i) {
  int64_t floats = 0;
  glow__regions_size(&f->model->nodes[i].saved, f->batch, true, &floats);
  return floats;
}

static bool is_kept(const fit *f, int32_t i) {
  return i >= 0 && i < f->model->node_count && f->keep[i];
}

/* What keeping node i takes beside what is kept already; the input of the first always is. */
static int64_t cost(const fit *f, int32_t i) {
  int64_t floats = saved_floats(f, i);
  if (i > 0 && !is_kept(f, i - 1))
    floats += state_floats(f, i);
  if (i + 1 < f->model->node_count && !is_kept(f, i + 1))
    floats += state_floats(f, i + 1);
  return floats;
}

static double gain(const fit *f, int32_t i) {
  const glow__node *node = &f->model->nodes[i];
  double work = node->work ? (double)node->work : (double)node->in_size + (double)node->parameters;
  if (!(node->layer->ops.flags & GLOW_LAYER_RECONSTRUCTS))
    work *= 2;
  return work * (double)f->batch / (double)(cost(f, i) + 1);
}

/* Room for what one layer saves, and for its output when it must run forward again. */
static int64_t shared(const fit *f) {
  int64_t largest = 0, spare = 0;
  for (int32_t i = 0; i < f->model->node_count; i++) {
    if (f->keep[i])
      continue;
    int64_t saved = saved_floats(f, i);
    largest = saved > largest ? saved : largest;
    if (!(f->model->nodes[i].layer->ops.flags & GLOW_LAYER_RECONSTRUCTS))
      glow__aligned(f->model->dims * f->batch, &spare);
  }
  return largest + spare;
}

/* ---- the choice ------------------------------------------------------------------------------ */

static void list(fit *f) {
  f->count = 0;
  for (int32_t i = 0; i < f->model->node_count; i++)
    if (!f->keep[i])
      f->heap[f->count++] = (item){gain(f, i), i};
  for (int32_t i = f->count / 2; i >= 0; i--)
    sink(f, i);
}

/* Keeps what fits `left` floats. Returns what is left then. */
static int64_t take(fit *f, int64_t left) {
  for (list(f); f->count;) {
    int32_t i = take_best(f).node;
    int64_t floats = cost(f, i);
    if (floats > left)
      continue;
    f->keep[i] = 1;
    left -= floats;
  }
  return left;
}

glow_status glow__fit(const glow_model *model, int64_t batch, int64_t least, int64_t room,
                      unsigned char *keep) {
  fit f = {.model = model, .batch = batch, .keep = keep};
  f.heap = glow_allocate(model->context, (size_t)model->node_count * sizeof *f.heap);
  if (!f.heap)
    return GLOW_E_MEMORY;
  memset(keep, 0, (size_t)model->node_count);
  /* Once the largest layers are kept, less room is shared, and there may be more for others. */
  int64_t left = room - least, before, now = shared(&f);
  do {
    left = take(&f, left);
    before = now;
    now = shared(&f);
    left += before - now;
  } while (now < before);
  glow_release(model->context, f.heap);
  return GLOW_OK;
}
