/* Weights of Glow's network, packed: for the products of one pass, or once for the inference form.
 * W1 and W3 are first put in order of taps, as matrices [hidden, (t, in)] and [(t, out), hidden].
 * SPDX-License-Identifier: MIT */
#include "nets/conv_net.h"

enum { CHUNKS = 32 }; /* tasks for each reordering */

/* ---- order of taps --------------------------------------------------------------------------- */

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

/* ---- packing --------------------------------------------------------------------------------- */

/* A matrix B [k, n] to pack: element (i, j) at b[i*rs + j*cs]. */
typedef struct matrix {
  int64_t k, n;
  const float *b;
  int64_t rs, cs;
  float *packed;
} matrix;

typedef struct pack_run {
  const glow__conv_products *products;
  const glow_context *context;
  matrix matrices[3];
} pack_run;

static int64_t panels_of(const pack_run *run, const matrix *m) {
  return run->products->panel_count(run->context, m->n);
}

static void pack_panel(void *arg, uint32_t task, uint32_t worker) {
  const pack_run *run = arg;
  const matrix *m = run->matrices;
  int64_t panel = task;
  (void)worker;
  for (; panel >= panels_of(run, m); m++)
    panel -= panels_of(run, m);
  run->products->pack(run->context, m->k, m->n, m->b, m->rs, m->cs, m->packed, panel, panel + 1);
}

/* Packs all three into p->matrices, which lie where they can be read. */
static void conv_net_weights_pack(const glow__conv_run *run, pack_run *p) {
  int64_t panels = 0;
  p->products = run->net->products;
  p->context = glow_call_context(run->call);
  for (int32_t i = 0; i < 3; i++)
    panels += panels_of(p, &p->matrices[i]);
  glow_call_run(run->call, (uint32_t)panels, pack_panel, p);
}

static void order_by_taps(const glow__conv_run *run, float *by_tap1, float *by_tap3) {
  reorder_run order = {run, by_tap1, by_tap3};
  glow_call_run(run->call, 2 * CHUNKS, reorder, &order);
}

static void pack_forward(const glow__conv_run *run, float *by_tap1, float *by_tap3,
                         float *const *packed) {
  const glow__conv_net *net = run->net;
  int64_t hidden = net->hidden, taps_in = 9 * net->in, taps_out = 9 * net->out;
  const float *w2 = glow_call_tensor(run->call, net->w2);
  pack_run p = {.matrices = {{taps_in, hidden, by_tap1, 1, taps_in, packed[0]},
                             {hidden, hidden, w2, 1, hidden, packed[1]},
                             {hidden, taps_out, by_tap3, 1, hidden, packed[2]}}};
  order_by_taps(run, by_tap1, by_tap3);
  conv_net_weights_pack(run, &p);
}

void glow__conv_pack_to(const glow__conv_run *run, float *room, float *const *packed) {
  pack_forward(run, room, room + run->net->hidden * 9 * run->net->in, packed);
}

/* ---- unpacking: an inference form has its weights packed for forward alone */

typedef struct unpack_run {
  const glow__conv_run *run;
  float *to[3]; /* W1 and W3 by taps, W2 */
} unpack_run;

static void unpack(void *arg, uint32_t task, uint32_t worker) {
  const unpack_run *u = arg;
  const glow__conv_net *net = u->run->net;
  const int64_t ks[] = {9 * net->in, net->hidden, net->hidden};
  const int64_t ns[] = {net->hidden, net->hidden, 9 * net->out};
  uint32_t i = task / CHUNKS;
  int64_t first, last;
  (void)worker;
  chunk(ns[i], task % CHUNKS, &first, &last);
  net->products->unpack(glow_call_context(u->run->call), ks[i], ns[i], net->own[i], u->to[i], first,
                        last);
}

/* ---- for the passes -------------------------------------------------------------------------- */

/* Packs all three, or none: they belong together. */
static bool must_pack(const glow_call *call, const int32_t *packed) {
  bool must = false;
  for (int i = 0; i < 3; i++)
    must |= glow_call_must_pack(call, packed[i]) != 0;
  return must;
}

void glow__conv_pack(const glow__conv_run *run) {
  const glow__conv_net *net = run->net;
  const glow_call *call = run->call;
  if (net->own[0] || !must_pack(call, net->packed))
    return;
  float *const packed[] = {glow_call_scratch(call, net->packed[0]),
                           glow_call_scratch(call, net->packed[1]),
                           glow_call_scratch(call, net->packed[2])};
  pack_forward(run, glow_call_scratch(call, net->by_tap1), glow_call_scratch(call, net->by_tap3),
               packed);
}

void glow__conv_pack_back(const glow__conv_run *run) {
  const glow__conv_net *net = run->net;
  const glow_call *call = run->call;
  int64_t hidden = net->hidden, taps_in = 9 * net->in, taps_out = 9 * net->out;
  if (!must_pack(call, net->back))
    return;
  float *by_tap1 = glow_call_scratch(call, net->by_tap1);
  float *by_tap3 = glow_call_scratch(call, net->by_tap3);
  const float *w2 =
      net->own[0] ? glow_call_scratch(call, net->unpacked2) : glow_call_tensor(call, net->w2);
  pack_run p = {.matrices = {
                    {hidden, taps_in, by_tap1, taps_in, 1, glow_call_scratch(call, net->back[0])},
                    {hidden, hidden, w2, hidden, 1, glow_call_scratch(call, net->back[1])},
                    {taps_out, hidden, by_tap3, hidden, 1, glow_call_scratch(call, net->back[2])},
                }};
  if (net->own[0]) {
    unpack_run u = {run, {by_tap1, (float *)(uintptr_t)w2, by_tap3}};
    glow_call_run(call, 3 * CHUNKS, unpack, &u);
  } else {
    order_by_taps(run, by_tap1, by_tap3);
  }
  conv_net_weights_pack(run, &p);
}

const float *glow__conv_weights(const glow__conv_run *run, int32_t layer) {
  const glow__conv_net *net = run->net;
  return net->own[0] ? net->own[layer] : glow_call_scratch(run->call, net->packed[layer]);
}
