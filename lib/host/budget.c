/* Which layers are stored where memory is limited. A stored layer has its input, its output and its
 * stored regions for backward; the others reconstruct. Storing a layer spares the work of a
 * forward, and of an inverse too if the layer would be inverted first. So layers are taken in the
 * order of work per byte as long as there is room. For a knapsack with many small items that is
 * within one item of the best. SPDX-License-Identifier: MIT */
#include <string.h>

#include "host/workspace.h"

typedef struct item {
  double gain; /* work for each float */
  int32_t node;
} item;

typedef struct fit {
  const glow_model *model;
  int64_t batch;
  unsigned char *store;
  item *heap; /* best first */
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

/* Each of these was computed for the workspace that stores no layer, so none overflows. */
static int64_t state_floats(const fit *f, int32_t i) {
  int64_t floats = 0;
  glow__aligned(f->model->nodes[i].in_size * f->batch, &floats);
  return floats;
}

static int64_t region_floats(const fit *f, int32_t i) {
  int64_t floats = 0;
  glow__regions_size(&f->model->nodes[i].stored, f->batch, true, &floats);
  return floats;
}

static bool budget_is_stored(const fit *f, int32_t i) {
  return i >= 0 && i < f->model->node_count && f->store[i];
}

/* What storing node i takes besides what is stored already; the input of the first always is. */
static int64_t cost(const fit *f, int32_t i) {
  int64_t floats = region_floats(f, i);
  if (i > 0 && !budget_is_stored(f, i - 1))
    floats += state_floats(f, i);
  if (i + 1 < f->model->node_count && !budget_is_stored(f, i + 1))
    floats += state_floats(f, i + 1);
  return floats;
}

/* Multiply-adds that storing node i spares. */
static double spared(const glow__node *node) {
  double forward = node->forward_work ? (double)node->forward_work
                                      : (double)node->in_size + (double)node->parameters;
  double inverse = node->inverse_work ? (double)node->inverse_work : forward;
  return glow__reconstructs(node) ? forward : forward + inverse;
}

static double gain(const fit *f, int32_t i) {
  return spared(&f->model->nodes[i]) * (double)f->batch / (double)(cost(f, i) + 1);
}

/* Room for the stored regions of one layer, and for its output if it must run forward again. */
static int64_t shared(const fit *f) {
  int64_t largest = 0, spare = 0;
  for (int32_t i = 0; i < f->model->node_count; i++) {
    if (f->store[i])
      continue;
    int64_t regions = region_floats(f, i);
    largest = regions > largest ? regions : largest;
    if (!glow__reconstructs(&f->model->nodes[i]))
      glow__aligned(f->model->dims * f->batch, &spare);
  }
  return largest + spare;
}

/* ---- the choice ------------------------------------------------------------------------------ */

static void budget_list(fit *f) {
  f->count = 0;
  for (int32_t i = 0; i < f->model->node_count; i++)
    if (!f->store[i])
      f->heap[f->count++] = (item){gain(f, i), i};
  for (int32_t i = f->count / 2; i >= 0; i--)
    sink(f, i);
}

/* Stores what fits into `left` floats. Returns what is left after that. */
static int64_t budget_take(fit *f, int64_t left) {
  for (budget_list(f); f->count;) {
    int32_t i = take_best(f).node;
    int64_t floats = cost(f, i);
    if (floats > left)
      continue;
    f->store[i] = 1;
    left -= floats;
  }
  return left;
}

glow_status glow__choose_stored(const glow_model *model, int64_t batch, int64_t least, int64_t room,
                                unsigned char *store) {
  fit f = {.model = model, .batch = batch, .store = store};
  f.heap = glow_allocate(model->context, (size_t)model->node_count * sizeof *f.heap);
  if (!f.heap)
    return GLOW_E_MEMORY;
  /* Once the largest layers are stored, the shared room is smaller, and there may be more for
   * others. */
  int64_t left = room - least, before, now = shared(&f);
  do {
    left = budget_take(&f, left);
    before = now;
    now = shared(&f);
    left += before - now;
  } while (now < before);
  glow_release(model->context, f.heap);
  return GLOW_OK;
}
