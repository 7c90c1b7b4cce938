/* Weights of Glow's network, packed for the products of one call: W1 and W3 are first put in order
 * of taps, as matrices [hidden, (t, in)] and [(t, out), hidden]. SPDX-License-Identifier: MIT */
#include "nets/conv_net16.h"

enum { CHUNKS = 8 }; /* tasks for each reordering */

static void chunk(int64_t count, uint32_t task, int64_t *first, int64_t *last) {
  *first = count * task / CHUNKS;
  *last = count * (task + 1) / CHUNKS;
}

static void reorder_first(const glow__conv_run *run, uint32_t task) {
  const glow__conv_net *net = run->net;
  const float *w = glow_pass_tensor(run->pass, net->w1);
  float *to = glow_pass_scratch(run->pass, net->by_tap1);
  int64_t first, last, row = 9 * net->in;
  chunk(net->hidden, task, &first, &last);
  for (int64_t o = first; o < last; o++)
    for (int64_t t = 0; t < 9; t++)
      for (int64_t c = 0; c < net->in; c++)
        to[o * row + t * net->in + c] = w[o * row + c * 9 + t];
}

static void reorder_third(const glow__conv_run *run, uint32_t task) {
  const glow__conv_net *net = run->net;
  const float *w = glow_pass_tensor(run->pass, net->w3);
  float *to = glow_pass_scratch(run->pass, net->by_tap3);
  int64_t first, last, hidden = net->hidden;
  chunk(net->out, task, &first, &last);
  for (int64_t o = first; o < last; o++)
    for (int64_t t = 0; t < 9; t++)
      for (int64_t k = 0; k < hidden; k++)
        to[(t * net->out + o) * hidden + k] = w[(o * hidden + k) * 9 + t];
}

static void reorder(void *arg, uint32_t task, uint32_t worker) {
  (void)worker;
  if (task < CHUNKS)
    reorder_first(arg, task);
  else
    reorder_third(arg, task - CHUNKS);
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

static void pack(const glow__conv_run *run, pack_run *p) {
  int64_t panels = 0;
  p->kernels = run->kernels;
  p->kernels16 = run->kernels16;
  for (int32_t i = 0; i < 3; i++)
    panels += panels_of(p, &p->matrices[i]);
  glow_pass_run(run->pass, 2 * CHUNKS, reorder, (void *)(uintptr_t)run);
  glow_pass_run(run->pass, (uint32_t)panels, pack_panel, p);
}

void glow__conv_net_pack(const glow__conv_run *run) {
  const glow__conv_net *net = run->net;
  int64_t hidden = net->hidden, taps_in = 9 * net->in, taps_out = 9 * net->out;
  pack_run p = {.matrices = {
                    {taps_in, hidden, glow_pass_scratch(run->pass, net->by_tap1), 1, taps_in,
                     glow_pass_scratch(run->pass, net->packed1)},
                    {hidden, hidden, glow_pass_tensor(run->pass, net->w2), 1, hidden,
                     glow_pass_scratch(run->pass, net->packed2)},
                    {hidden, taps_out, glow_pass_scratch(run->pass, net->by_tap3), 1, hidden,
                     glow_pass_scratch(run->pass, net->packed3)},
                }};
  pack(run, &p);
}

void glow__conv_net_pack_back(const glow__conv_run *run) {
  const glow__conv_net *net = run->net;
  int64_t hidden = net->hidden, taps_in = 9 * net->in, taps_out = 9 * net->out;
  pack_run p = {.matrices = {
                    {hidden, taps_in, glow_pass_scratch(run->pass, net->by_tap1), taps_in, 1,
                     glow_pass_scratch(run->pass, net->back1)},
                    {hidden, hidden, glow_pass_tensor(run->pass, net->w2), hidden, 1,
                     glow_pass_scratch(run->pass, net->back2)},
                    {taps_out, hidden, glow_pass_scratch(run->pass, net->by_tap3), hidden, 1,
                     glow_pass_scratch(run->pass, net->back3)},
                }};
  pack(run, &p);
}
