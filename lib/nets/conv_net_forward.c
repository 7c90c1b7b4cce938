/* Glow's network, forward: strips of pixels go through all three products while they are in the
 * cache, then the shifted sum of the last convolution. SPDX-License-Identifier: MIT */
#include <string.h>

#include "math/kernels.h"
#include "nets/conv_net16.h"
#include "nets/strips.h"

glow__conv_run glow__conv_net_run(const glow__conv_net *net, const glow_call *call, const float *x,
                                  int64_t stride, float *out) {
  return (glow__conv_run){.net = net,
                          .call = call,
                          .kernels = glow_call_context(call)->kernels,
                          .kernels16 = glow_call_context(call)->kernels16,
                          .x = x,
                          .stride = stride,
                          .pixels = glow_call_sample_count(call) * net->image,
                          .out = out};
}

glow__conv_strip glow__conv_net_strip(const glow__conv_run *run, uint32_t task, uint32_t worker) {
  const glow__conv_net *net = run->net;
  glow__conv_strip strip = {.first = (int64_t)task * GLOW_STRIP};
  int64_t left = run->pixels - strip.first;
  strip.rows = left < GLOW_STRIP ? left : GLOW_STRIP;
  strip.hidden = glow__in_panels(run->kernels, strip.rows, net->hidden);
  strip.gathered = glow_call_worker_scratch(run->call, net->strip, worker);
  strip.h1 = glow_call_stored(run->call, net->h1);
  strip.h2 = glow_call_stored(run->call, net->h2);
  int64_t row = glow__packed_size(run->kernels, 1, net->hidden);
  if (strip.h1) {
    strip.h1 += strip.first * row;
    strip.h2 += strip.first * row;
  } else {
    strip.h1 = strip.gathered + GLOW_STRIP * 9 * glow__conv_net_wide(net);
    strip.h2 = strip.h1 + GLOW_STRIP * row;
  }
  return strip;
}

void glow__conv_net_border_fill(const glow__conv_run *run, int64_t first, int64_t last, float *rows,
                                glow_layout layout) {
  const glow__conv_net *net = run->net;
  const float *table = glow__conv_net_scales_of(net, run->call).border1;
  int64_t n = net->hidden, panel = run->kernels->panel;
  for (int64_t j = 0; j < n; j += panel, rows += layout.panel)
    glow__border_fill(net->height, net->width, n, n - j < panel ? n - j : panel, table + j, first,
                      last, rows, layout.row);
}

glow_epilogue glow__conv_net_norm(const glow__conv_run *run, int32_t bias, const float *scale) {
  return (glow_epilogue){.bias = glow_call_tensor(run->call, bias), .scale = scale, .relu = 1};
}

void glow__conv_net_first(const glow__conv_run *run, const glow__conv_strip *strip, bool finish) {
  const glow__conv_net *net = run->net;
  glow__conv_net_scales scales = glow__conv_net_scales_of(net, run->call);
  glow_epilogue norm = finish ? glow__conv_net_norm(run, net->b1, scales.s1) : (glow_epilogue){0};
  glow__strip_gather(run->kernels->passes, net->height, net->width, net->in, run->x, run->stride, 1,
                     strip->first, strip->first + strip->rows, strip->gathered);
  if (net->edge) { /* the product is added to what the border gives, before the norm */
    glow__conv_net_border_fill(run, strip->first, strip->first + strip->rows, strip->h1,
                               strip->hidden);
    norm.accumulate = 1;
  }
  run->kernels->gemm(strip->rows, net->hidden, 9 * net->in, strip->gathered,
                     glow__in_rows(run->kernels, 9 * net->in), glow__conv_net_weights(run, 0),
                     strip->h1, strip->hidden, 0, glow__panels(run->kernels, net->hidden), &norm);
}

void glow__conv_net_second(const glow__conv_run *run, const glow__conv_strip *strip, bool finish) {
  const glow__conv_net *net = run->net;
  const float *scale = glow__conv_net_scales_of(net, run->call).s2;
  glow_epilogue norm = finish ? glow__conv_net_norm(run, net->b2, scale) : (glow_epilogue){0};
  run->kernels->gemm(strip->rows, net->hidden, net->hidden, strip->h1, strip->hidden,
                     glow__conv_net_weights(run, 1), strip->h2, strip->hidden, 0,
                     glow__panels(run->kernels, net->hidden), &norm);
}

static void run_strip(void *arg, uint32_t task, uint32_t worker) {
  const glow__conv_run *run = arg;
  const glow__conv_net *net = run->net;
  const glow_epilogue none = {0};
  glow__conv_strip strip = glow__conv_net_strip(run, task, worker);
  glow__conv_net_first(run, &strip, true);
  glow__conv_net_second(run, &strip, true);
  int64_t taps = 9 * net->out;
  run->kernels->gemm(strip.rows, taps, net->hidden, strip.h2, strip.hidden,
                     glow__conv_net_weights(run, 2),
                     glow_call_scratch(run->call, net->taps) + strip.first * taps,
                     glow__in_rows(run->kernels, taps), 0, glow__panels(run->kernels, taps), &none);
}

/* out = (sum of taps + e3 + b3) exp(3 l3) for a strip of pixels, which may lie in several samples.
 * */
static void sum_strip(void *arg, uint32_t task, uint32_t worker) {
  const glow__conv_run *run = arg;
  const glow__conv_net *net = run->net;
  const float *taps = glow_call_scratch(run->call, net->taps);
  const float *bias = glow_call_tensor(run->call, net->b3);
  glow__conv_net_scales scales = glow__conv_net_scales_of(net, run->call);
  const float *scale = scales.s3;
  int64_t first = (int64_t)task * GLOW_STRIP;
  int64_t last = first + GLOW_STRIP < run->pixels ? first + GLOW_STRIP : run->pixels;
  (void)worker;
  memset(run->out + first * net->out, 0, (size_t)((last - first) * net->out) * sizeof(float));
  for (int64_t p = first; p < last;) {
    int64_t base = p / net->image * net->image;
    int64_t to = last - base < net->image ? last - base : net->image;
    run->kernels->passes->sum3x3(net->height, net->width, net->out, taps + base * 9 * net->out, 1,
                                 p - base, to, run->out + base * net->out, net->out);
    p = base + to;
  }
  if (net->edge)
    glow__border_add(net->height, net->width, net->out, scales.border3, first, last,
                     run->out + first * net->out);
  for (int64_t p = first; p < last; p++)
    for (int64_t o = 0; o < net->out; o++)
      run->out[p * net->out + o] = (run->out[p * net->out + o] + bias[o]) * scale[o];
}

void glow__conv_net_forward(const void *self, const glow_call *call, const float *x, int64_t stride,
                            float *out) {
  glow__conv_run run = glow__conv_net_run(self, call, x, stride, out);
  uint32_t strips = (uint32_t)glow__strip_count(run.pixels);
  glow__conv_net_pack(&run);
  glow_call_run(call, strips, run.kernels16 ? glow__conv_net16_run_strip : run_strip, &run);
  glow_call_run(call, strips, sum_strip, &run);
}
