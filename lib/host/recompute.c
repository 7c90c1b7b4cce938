/* Backward without inverses: layers are run forward again from states that are stored on the way. A
 * run of n layers whose first input is known is cut into `parts` parts, and the states at their
 * starts are stored in (parts - 1) slots. Then each part, from the last to the first, is handled in
 * the same way with the slots of the next level, until it is one layer, which is run forward for
 * the activations that it stores, and back. With parts^levels >= n that takes levels (parts - 1)
 * slots, a constant number, and less than levels + 1 times the work of forward; and it gives the
 * bits of stored activations. (Griewank 1992, with parts of equal length.)
 * SPDX-License-Identifier: MIT */
#include "host/run.h"

/* 24 slots, a tenth of what a reconstructing workspace for Glow takes, give three levels for up to
 * 729 layers. */
enum { SLOTS = 24 };

int32_t glow__recompute_slots(int32_t nodes) {
  return nodes - 1 < SLOTS ? nodes - 1 : SLOTS;
}

/* parts^levels >= nodes? */
static bool enough(int32_t parts, int32_t levels, int32_t nodes) {
  int64_t reached = 1;
  for (int32_t l = 0; l < levels && reached < nodes; l++)
    reached *= parts;
  return reached >= nodes;
}

/* As few levels as the slots allow, and then as few parts. */
static int32_t choose_parts(int32_t nodes, int32_t slots) {
  for (int32_t levels = 1; levels < 32; levels++)
    for (int32_t parts = 2; (parts - 1) * levels <= slots; parts++)
      if (enough(parts, levels, nodes))
        return parts;
  return 2;
}

/* Forward through nodes [first, last) from x to y, without storing anything. */
static glow_status recompute_run(const glow__back *b, int32_t first, int32_t last, const float *x,
                                 float *y) {
  const glow_workspace *ws = b->ws;
  float *states[2] = {ws->memory + ws->plan.states[0], ws->memory + ws->plan.states[1]};
  double *ignored = glow__doubles(ws, ws->plan.logdet);
  for (int32_t i = first; i < last; i++) {
    float *to = i == last - 1 ? y : states[x == states[0]];
    glow_call call;
    GLOW_TRY(glow__check_cancelled(b->ws));
    glow__back_begin(b, i, &call);
    glow__node_forward(&call, x, to, ignored, ignored);
    x = to;
  }
  return GLOW_OK;
}

static glow_status recompute_back(const glow__back *b, int32_t i, const float *x) {
  const glow_workspace *ws = b->ws;
  const glow__node *node = &ws->model->nodes[i];
  double *ignored = glow__doubles(ws, ws->plan.logdet);
  float *y = node->out_size ? ws->memory + ws->plan.states[0] : NULL;
  glow_call call;
  GLOW_TRY(glow__check_cancelled(b->ws));
  glow__back_begin(b, i, &call);
  call.stored = ws->memory + ws->plan.stored;
  glow__node_forward(&call, x, y, ignored, ignored);
  call.stored_valid = true;
  glow_layer_gradient g = {.y = y, .x = x};
  glow__back_node(b, i, &call, &g);
  return GLOW_OK;
}

/* slot: the first that is free. */
static glow_status go_back(const glow__back *b, int32_t first, int32_t last, const float *x,
                           int32_t most_parts, float *slot) {
  if (last - first == 1)
    return recompute_back(b, first, x);
  int64_t nodes = last - first, parts = nodes < most_parts ? nodes : most_parts;
  int64_t stride = b->ws->plan.slot_stride;
  const float *from = x;
  for (int64_t p = 1; p < parts; p++) {
    float *to = slot + (p - 1) * stride;
    GLOW_TRY(recompute_run(b, first + (int32_t)(nodes * (p - 1) / parts),
                           first + (int32_t)(nodes * p / parts), from, to));
    from = to;
  }
  for (int64_t p = parts - 1; p >= 0; p--)
    GLOW_TRY(go_back(b, first + (int32_t)(nodes * p / parts),
                     first + (int32_t)(nodes * (p + 1) / parts), p ? slot + (p - 1) * stride : x,
                     most_parts, slot + (parts - 1) * stride));
  return GLOW_OK;
}

glow_status glow__back_recomputed(const glow__back *b, int32_t first, int32_t last) {
  const glow_workspace *ws = b->ws;
  return go_back(b, first, last, glow__stored_input(ws, first),
                 choose_parts(last - first, ws->plan.slot_count), ws->memory + ws->plan.slots);
}
