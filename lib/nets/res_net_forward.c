/* The residual network, forward: layer by layer over the whole batch, since a batch normalisation
 * needs all of its input, each layer by strips of pixels. SPDX-License-Identifier: MIT */
#include <string.h>

#include "nets/res_net.h"

glow__res_run glow__res_run_of(const glow__res_net *net, const glow_call *call, const float *x,
                               int64_t stride) {
  int64_t pixels = glow_call_sample_count(call) * net->image;
  return (glow__res_run){.net = net,
                         .call = call,
                         .x = glow__pixel_input_join(&net->input, call, x, stride),
                         .pixels = pixels,
                         .conv = {.call = call,
                                  .math = glow_context_math(glow_call_context(call)),
                                  .derived = glow_call_derived(call),
                                  .pixels = pixels}};
}

/* The stored image number `index`, or the scratch that takes its place. */
static float *image_of(const glow__res_run *run, int32_t index, int32_t scratch) {
  float *stored = glow_call_stored(run->call, run->net->stored);
  return stored ? stored + index * run->pixels * run->net->hidden
                : glow_call_scratch(run->call, scratch);
}

float *glow__res_r(const glow__res_run *run, int32_t k) {
  return image_of(run, k, run->net->r);
}
float *glow__res_a(const glow__res_run *run, int32_t k) {
  return image_of(run, run->net->blocks + k, run->net->a);
}
float *glow__res_o(const glow__res_run *run) {
  return image_of(run, 2 * run->net->blocks + 1, run->net->o);
}

/* One layer, for the tasks. */
typedef struct stage {
  const glow__res_run *run;
  const glow__wn_conv *conv, *skip; /* skip: NULL, or from conv's output to o */
  const float *from;                /* [pixels, stride] */
  int64_t stride;
  const float *base; /* NULL, or what the output is added to */
  float *to;
  const float *moments; /* NULL, or the image just made, whose moments are wanted */
  bool first_skip;
  glow__norm_view view;
} stage;

static void activate_strip(void *arg, uint32_t task, uint32_t worker) {
  const stage *s = arg;
  int64_t hidden = s->run->net->hidden, first = (int64_t)task * GLOW_STRIP;
  int64_t rows = s->run->pixels - first < GLOW_STRIP ? s->run->pixels - first : GLOW_STRIP;
  (void)worker;
  glow__res_activate(&s->view, hidden, rows, s->from + first * hidden, s->to + first * hidden);
}

static void conv_strip(void *arg, uint32_t task, uint32_t worker) {
  const stage *s = arg;
  const glow__res_run *run = s->run;
  int64_t first = (int64_t)task * GLOW_STRIP, out = s->conv->conv.out;
  int64_t last = run->pixels - first < GLOW_STRIP ? run->pixels : first + GLOW_STRIP;
  float *room = glow_call_worker_scratch(run->call, run->net->strip, worker);
  glow__wn_run conv = glow__res_conv(run, s->conv);
  if (s->base && s->base != s->to)
    memcpy(s->to + first * out, s->base + first * out, (size_t)((last - first) * out) * 4);
  glow__wn_forward(&conv, s->from, s->stride, first, last, s->base != NULL, s->to, room);
  if (s->skip) {
    conv.c = s->skip;
    glow__wn_forward(&conv, s->to, out, first, last, !s->first_skip, glow__res_o(run), room);
  }
  if (s->moments)
    glow__res_moments(run, task, s->moments + first * run->net->hidden, last - first);
}

static void res_net_forward_run_strips(const stage *s, glow_task_fn fn) {
  glow_call_run(s->run->call, (uint32_t)glow__strip_count(s->run->pixels), fn,
                (void *)(uintptr_t)s);
}

/* h = relu(norm(from)). */
static const float *activate(const glow__res_run *run, int32_t number, const float *from) {
  float *h = glow_call_scratch(run->call, run->net->h);
  glow__res_choose(run, number);
  stage s = {.run = run, .from = from, .to = h, .view = glow__res_view(run, number)};
  res_net_forward_run_strips(&s, activate_strip);
  return h;
}

/* The moments of a norm's input, if the pass computes statistics or the norm is the one wanted. */
static const float *wanted(const glow__res_run *run, int32_t number, int32_t stop,
                           const float *image) {
  bool batch = run->net->batch_norm && glow_call_statistics(run->call) == GLOW_STATISTICS_BATCH;
  return batch || number == stop ? image : NULL;
}

/* r_0 and its part of o. */
static void res_net_forward_begin(const glow__res_run *run, int32_t stop) {
  const glow__res_net *net = run->net;
  float *r = glow__res_r(run, 0);
  stage s = {.run = run,
             .conv = &net->first,
             .skip = &net->skip,
             .from = run->x.at,
             .stride = run->x.stride,
             .to = r,
             .moments = wanted(run, 0, stop, r),
             .first_skip = true};
  res_net_forward_run_strips(&s, conv_strip);
}

/* a_k, then r_k and its part of o. False: stopped at the second norm. */
static bool res_net_forward_through_block(const glow__res_run *run, int32_t k, int32_t stop) {
  const glow__res_net *net = run->net;
  const glow__res_block *block = &net->block[k - 1];
  int32_t number = 2 * (k - 1), next = number + 2;
  float *before = glow__res_r(run, k - 1), *r = glow__res_r(run, k), *a = glow__res_a(run, k);
  stage s = {.run = run,
             .conv = &block->conv1,
             .from = activate(run, number, before),
             .stride = net->hidden,
             .to = a,
             .moments = wanted(run, number + 1, stop, a)};
  res_net_forward_run_strips(&s, conv_strip);
  if (number + 1 == stop)
    return false;
  s.conv = &block->conv2;
  s.skip = &block->skip;
  s.from = activate(run, number + 1, a);
  s.base = before;
  s.to = r;
  s.moments = wanted(run, next, stop, k < net->blocks ? r : glow__res_o(run));
  res_net_forward_run_strips(&s, conv_strip);
  return true;
}

void glow__res_forward(const glow__res_run *run, int32_t stop, float *out) {
  const glow__res_net *net = run->net;
  res_net_forward_begin(run, stop);
  for (int32_t k = 1; k <= net->blocks; k++)
    if (2 * (k - 1) == stop || !res_net_forward_through_block(run, k, stop))
      return;
  if (2 * net->blocks == stop)
    return;
  stage s = {.run = run,
             .conv = &net->last,
             .from = activate(run, 2 * net->blocks, glow__res_o(run)),
             .stride = net->hidden,
             .to = out};
  res_net_forward_run_strips(&s, conv_strip);
}

void glow__res_net_forward(const void *self, const glow_call *call, const float *x, int64_t stride,
                           float *out) {
  const glow__res_run run = glow__res_run_of(self, call, x, stride);
  glow__res_forward(&run, -1, out);
}

/* ---- diagnosis ------------------------------------------------------------------------------- */

/* Units of all norms, whose inputs r_k, a_k and o forward has stored. */
glow_status glow__res_net_diagnose(const void *self, const glow_call *call,
                                   glow_findings *findings) {
  const glow__res_net *net = self;
  const glow__res_run run = {
      .net = net, .call = call, .pixels = glow_call_sample_count(call) * net->image};
  unsigned char *active;
  GLOW_TRY(glow_findings_units(findings, glow__res_norms(net) * net->hidden, &active));
  for (int32_t i = 0; i < glow__res_norms(net); i++, active += net->hidden) {
    int32_t block = i / 2 + 1;
    const float *from = i == 2 * net->blocks ? glow__res_o(&run)
                        : i % 2              ? glow__res_a(&run, block)
                                             : glow__res_r(&run, block - 1);
    const float *h = activate(&run, i, from);
    for (int64_t p = 0; p < run.pixels; p++, h += net->hidden)
      for (int64_t j = 0; j < net->hidden; j++)
        active[j] |= h[j] > 0.0f;
  }
  return GLOW_OK;
}
