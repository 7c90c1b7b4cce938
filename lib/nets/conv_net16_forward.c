/* Glow's network with products of bfloat16, forward: strips of pixels go through all three
 * products, rounded after each norm. SPDX-License-Identifier: MIT */
#include "nets/conv_net16.h"
#include "nets/strips.h"

static int64_t widest(const glow__conv_net *net) {
  return 9 * (net->in > net->out ? net->in : net->out);
}

int64_t glow__conv_net16_strip_floats(const glow__conv_net *net) {
  int64_t wide = widest(net), hidden = net->hidden;
  return GLOW_STRIP * (wide + glow__pairs(wide) + 2 * glow__pairs(hidden) + hidden);
}

glow__conv_strip16 glow__conv_net16_strip(const glow__conv_run *run, uint32_t task,
                                          uint32_t worker) {
  const glow__conv_net *net = run->net;
  int64_t row = glow__even(net->hidden), wide = widest(net);
  glow__conv_strip16 s = {.first = (int64_t)task * GLOW_STRIP};
  int64_t left = run->pixels - s.first;
  uint16_t *h1 = (uint16_t *)(void *)glow_call_stored(run->call, net->h1);
  uint16_t *h2 = (uint16_t *)(void *)glow_call_stored(run->call, net->h2);
  s.rows = left < GLOW_STRIP ? left : GLOW_STRIP;
  s.sums = glow_call_worker_scratch(run->call, net->strip, worker);
  s.wide = s.sums + GLOW_STRIP * (int64_t)net->hidden;
  s.wide16 = (uint16_t *)(void *)(s.wide + GLOW_STRIP * wide);
  s.gradient = s.wide16 + GLOW_STRIP * glow__even(wide);
  s.h1 = h1 ? h1 + s.first * row : s.gradient; /* there are no gradients where none is saved */
  s.h2 = h2 ? h2 + s.first * row : s.gradient + GLOW_STRIP * row;
  return s;
}

void glow__conv_net16_product(const glow__conv_run *run, int64_t m, int64_t n, int64_t k,
                              const uint16_t *a, const float *packed, float *c,
                              const glow__epilogue16 *epilogue) {
  const glow__pair *b = (const glow__pair *)(const void *)packed;
  int64_t pairs = glow__pairs(k);
  run->kernels16->gemm(m, n, pairs, (const glow__pair *)(const void *)a, pairs, 1, b, c, n, 0,
                       glow__panels16(run->kernels16, n), epilogue);
}

/* h1, or W1 gather(x) in sums. */
static void first_layer(const glow__conv_run *run, const glow__conv_strip16 *s, bool finish) {
  const glow__conv_net *net = run->net;
  glow__conv_net_scales scales = glow__conv_net_scales_of(net, run->call);
  glow__epilogue16 norm = {{0}, NULL};
  if (finish)
    norm = (glow__epilogue16){glow__conv_net_norm(run, net->b1, scales.s1), s->h1};
  glow__strip_gather(run->kernels->passes, net->height, net->width, net->in, run->x, run->stride, 1,
                     s->first, s->first + s->rows, s->wide);
  run->kernels16->round(s->rows, 9 * net->in, s->wide, s->wide16);
  if (net->edge) { /* the product is added to what the border gives, before the norm */
    glow__conv_net_border_fill(run, s->first, s->first + s->rows, s->sums,
                               glow__in_rows(run->kernels, net->hidden));
    norm.end.accumulate = 1;
  }
  glow__conv_net16_product(run, s->rows, net->hidden, 9 * net->in, s->wide16,
                           glow__conv_net_weights(run, 0), s->sums, &norm);
}

/* h2, or W2 h1 in sums. */
static void second_layer(const glow__conv_run *run, const glow__conv_strip16 *s, bool finish) {
  const glow__conv_net *net = run->net;
  const float *scale = glow__conv_net_scales_of(net, run->call).s2;
  glow__epilogue16 norm = {{0}, NULL};
  if (finish)
    norm = (glow__epilogue16){glow__conv_net_norm(run, net->b2, scale), s->h2};
  glow__conv_net16_product(run, s->rows, net->hidden, net->hidden, s->h1,
                           glow__conv_net_weights(run, 1), s->sums, &norm);
}

void glow__conv_net16_run_strip(void *arg, uint32_t task, uint32_t worker) {
  const glow__conv_run *run = arg;
  const glow__conv_net *net = run->net;
  const glow__epilogue16 none = {{0}, NULL};
  glow__conv_strip16 s = glow__conv_net16_strip(run, task, worker);
  float *taps = glow_call_scratch(run->call, net->taps) + s.first * 9 * net->out;
  first_layer(run, &s, true);
  second_layer(run, &s, true);
  glow__conv_net16_product(run, s.rows, 9 * net->out, net->hidden, s.h2,
                           glow__conv_net_weights(run, 2), taps, &none);
}

const float *glow__conv_net16_before_norm(const glow__conv_run *run, uint32_t task, uint32_t worker,
                                          int32_t round) {
  glow__conv_strip16 s = glow__conv_net16_strip(run, task, worker);
  first_layer(run, &s, round > 0);
  if (round > 0)
    second_layer(run, &s, false);
  return s.sums;
}
