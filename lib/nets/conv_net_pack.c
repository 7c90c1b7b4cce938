/* Weights of Glow's network, packed: for the products of one call, or once when the net is frozen.
 * W1 and W3 are first put in order of taps, as matrices [hidden, (t, in)] and [(t, out), hidden].
 * SPDX-License-Identifier: MIT */
#include "nets/conv_net16.h"

enum { CHUNKS = 8 }; /* tasks for each reordering */

/* Where they go by taps. */
typedef struct reorder_run {
  const glow__conv_run *run;
  float *by_tap1, *by_tap3;
} reorder_run;

static void chunk(int64_t count, uint32_t task, int64_t *first, int64_t *last) {
  *first = count * task / CHUNKS;
  *last = count * (task + 1) / CHUNKS;
}

static void reorder_first(const glow__conv_run *run, uint32_t task, float *to) {
  const glow__conv_net *net = run->net;
  const float *w = glow_call_tensor(run->call, net->w1);
  int64_t first, last, row = 9 * net->in;
  chunk(net->hidden, task, &first, &last);
  for (int64_t o = first; o < last; o++)
    for (int64_t t = 0; t < 9; t++)
      for (int64_t c = 0; c < net->in; c++)
        to[o * row + t * net->in + c] = w[o * row + c * 9 + t];
}

static void reorder_third(const glow__conv_run *run, uint32_t task, float *to) {
  const glow__conv_net *net = run->net;
  const float *w = glow_call_tensor(run->call, net->w3);
  int64_t first, last, hidden = net->hidden;
  chunk(net->out, task, &first, &last);
  for (int64_t o = first; o < last; o++)
    for (int64_t t = 0; t < 9; t++)
      for (int64_t k = 0; k < hidden; k++)
        to[(t * net->out + o) * hidden + k] = w[(o * hidden + k) * 9 + t];
}

static void reorder(void *arg, uint32_t task, uint32_t worker) {
  const reorder_run *r = arg;
  (void)worker;
  if (task < CHUNKS)
    reorder_first(r->run, task, r->by_tap1);
  else
    reorder_third(r->run, task - CHUNKS, r->by_tap3);
}

/* A matrix B [k, n] to pack: element (i, j) at b[i*rs + j*cs]. */
typedef struct matrix {
  int64_t k, n;
  const float *b;
  int64_t rs, cs;
  float *packed;
} matrix;

typedef struct pack_run {
  const glow__kernels *kernels;
  const glow__kernels16 *kernels16;
  matrix matrices[3];
} pack_run;

static int64_t panels_of(const pack_run *run, const matrix *m) {
  return run->kernels16 ? glow__panels16(run->kernels16, m->n) : glow__panels(run->kernels, m->n);
}

static void pack_panel(void *arg, uint32_t task, uint32_t worker) {
  const pack_run *run = arg;
  const matrix *m = run->matrices;
  int64_t panel = task;
  (void)worker;
  for (; panel >= panels_of(run, m); m++)
    panel -= panels_of(run, m);
  if (run->kernels16)
    run->kernels16->pack(m->k, m->n, m->b, m->rs, m->cs, (glow__pair *)(void *)m->packed, panel,
                         panel + 1);
  else
    run->kernels->pack(m->k, m->n, m->b, m->rs, m->cs, m->packed, panel, panel + 1);
}

/* The weights go by taps to by_tap1 and by_tap3; from there, and from W2, as p->matrices say. */
static void pack(const glow__conv_run *run, float *by_tap1, float *by_tap3, pack_run *p) {
  reorder_run order = {run, by_tap1, by_tap3};
  int64_t panels = 0;
  p->kernels = run->kernels;
  p->kernels16 = run->kernels16;
  for (int32_t i = 0; i < 3; i++)
    panels += panels_of(p, &p->matrices[i]);
  glow_call_run(run->call, 2 * CHUNKS, reorder, &order);
  glow_call_run(run->call, (uint32_t)panels, pack_panel, p);
}

static void pack_forward(const glow__conv_run *run, float *by_tap1, float *by_tap3,
                         float *const *packed) {
  const glow__conv_net *net = run->net;
  int64_t hidden = net->hidden, taps_in = 9 * net->in, taps_out = 9 * net->out;
  const float *w2 = glow_call_tensor(run->call, net->w2);
  pack_run p = {.matrices = {{taps_in, hidden, by_tap1, 1, taps_in, packed[0]},
                             {hidden, hidden, w2, 1, hidden, packed[1]},
                             {hidden, taps_out, by_tap3, 1, hidden, packed[2]}}};
  pack(run, by_tap1, by_tap3, &p);
}

/* All three, or none: they are packed together. */
static bool must_pack(const glow_call *call, const int32_t *packed) {
  bool must = false;
  for (int i = 0; i < 3; i++)
    must |= glow_call_must_pack(call, packed[i]) != 0;
  return must;
}

void glow__conv_net_pack(const glow__conv_run *run) {
  const glow__conv_net *net = run->net;
  const glow_call *call = run->call;
  if (glow__conv_net_is_frozen(net) || !must_pack(call, net->packed))
    return;
  float *const packed[] = {glow_call_scratch(call, net->packed[0]),
                           glow_call_scratch(call, net->packed[1]),
                           glow_call_scratch(call, net->packed[2])};
  pack_forward(run, glow_call_scratch(call, net->by_tap1), glow_call_scratch(call, net->by_tap3),
               packed);
}

void glow__conv_net_pack_back(const glow__conv_run *run) {
  const glow__conv_net *net = run->net;
  const glow_call *call = run->call;
  int64_t hidden = net->hidden, taps_in = 9 * net->in, taps_out = 9 * net->out;
  if (!must_pack(call, net->back))
    return;
  const float *w2 = glow_call_tensor(call, net->w2);
  float *by_tap1 = glow_call_scratch(call, net->by_tap1);
  float *by_tap3 = glow_call_scratch(call, net->by_tap3);
  pack_run p = {.matrices = {
                    {hidden, taps_in, by_tap1, taps_in, 1, glow_call_scratch(call, net->back[0])},
                    {hidden, hidden, w2, hidden, 1, glow_call_scratch(call, net->back[1])},
                    {taps_out, hidden, by_tap3, hidden, 1, glow_call_scratch(call, net->back[2])},
                }};
  pack(run, by_tap1, by_tap3, &p);
}

const float *glow__conv_net_weights(const glow__conv_run *run, int32_t layer) {
  const glow__conv_net *net = run->net;
  return glow__conv_net_is_frozen(net) ? net->frozen[layer]
                                       : glow_call_scratch(run->call, net->packed[layer]);
}

/* ---- freezing -------------------------------------------------------------------------------- */

/* Packed weights of run's net, in one block. */
static glow_status freeze_weights(const glow__conv_run *run, float **frozen) {
  const glow__conv_net *net = run->net;
  glow_context *context = glow_call_context(run->call);
  int64_t hidden = net->hidden, taps_in = 9 * net->in, taps_out = 9 * net->out;
  const int64_t sizes[] = {
      glow_aligned_floats(glow__conv_net_packed(run->kernels, run->kernels16, taps_in, hidden)),
      glow_aligned_floats(glow__conv_net_packed(run->kernels, run->kernels16, hidden, hidden)),
      glow_aligned_floats(glow__conv_net_packed(run->kernels, run->kernels16, hidden, taps_out))};
  size_t whole = (size_t)(sizes[0] + sizes[1] + sizes[2]);
  frozen[0] = glow_allocate(context, whole * sizeof(float));
  float *room = glow_allocate(context, (size_t)(hidden * (taps_in + taps_out)) * sizeof(float));
  if (frozen[0] && room) {
    frozen[1] = frozen[0] + sizes[0];
    frozen[2] = frozen[1] + sizes[1];
    pack_forward(run, room, room + hidden * taps_in, frozen);
  }
  glow_release(context, room);
  return frozen[0] && room ? GLOW_OK : GLOW_E_MEMORY;
}

glow_status glow__conv_net_freeze(const void *self, const glow_call *call, glow_net **out) {
  const glow__conv_net *net = self;
  glow_context *context = glow_call_context(call);
  const glow__conv_run run = {
      .net = net, .call = call, .kernels = context->kernels, .kernels16 = context->kernels16};
  glow__conv_net *copy = glow_allocate(context, sizeof *copy);
  *out = NULL;
  if (!copy)
    return GLOW_E_MEMORY;
  copy->hidden = net->hidden;
  copy->actnorm = net->actnorm;
  copy->edge = net->edge;
  glow_status status = freeze_weights(&run, copy->frozen);
  if (status == GLOW_OK)
    return glow__conv_net_wrap(context, copy, out);
  glow_release(context, copy->frozen[0]);
  glow_release(context, copy);
  return status;
}
