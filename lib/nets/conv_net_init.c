/* Data-dependent initialisation of the two inner actnorms: round 0 takes the moments of W1
 * gather(x), round 1 those of W2 h1. SPDX-License-Identifier: MIT */
#include <string.h>

#include "math/kernels.h"
#include "math/moments.h"
#include "nets/conv_net16.h"
#include "nets/strips.h"

#define FLOOR 1e-6

typedef struct init_run {
  glow__conv_run run;
  int32_t round;
} init_run;

static double *strip_sums(const glow__conv_run *run, int64_t strip) {
  float *partial = glow_call_scratch(run->call, run->net->partial);
  return (double *)(void *)(partial + strip * glow__conv_net_partial(run->net));
}

static void strip_moments(void *arg, uint32_t task, uint32_t worker) {
  const init_run *in = arg;
  const glow__conv_run *run = &in->run;
  int64_t hidden = run->net->hidden;
  double *sums = strip_sums(run, task);
  memset(sums, 0, 2 * (size_t)hidden * sizeof *sums);
  if (run->kernels16) {
    int64_t rows = glow__conv_net16_strip(run, task, worker).rows;
    glow__moments_sums(rows, hidden, glow__conv_net16_before_norm(run, task, worker, in->round),
                       sums);
    return;
  }
  glow__conv_strip strip = glow__conv_net_strip(run, task, worker);
  strip.hidden = glow__in_rows(run->kernels, hidden);
  glow__conv_net_first(run, &strip, in->round > 0);
  if (in->round > 0)
    glow__conv_net_second(run, &strip, false);
  glow__moments_sums(strip.rows, hidden, in->round > 0 ? strip.h2 : strip.h1, sums);
}

static void batch(const glow__conv_net *net, const glow_call *call, int32_t round, const float *x,
                  int64_t stride, glow__moments *moments) {
  init_run in = {glow__conv_net_run(net, call, x, stride, NULL), round};
  int64_t strips = glow__strip_count(in.run.pixels);
  glow__conv_net_pack(&in.run);
  glow_call_run(call, (uint32_t)strips, strip_moments, &in);
  for (int64_t s = 0; s < strips; s++)
    for (int64_t j = 0; j < 2 * (int64_t)net->hidden; j++)
      moments->sums[j] += strip_sums(&in.run, s)[j];
  moments->pixels += (double)in.run.pixels;
}

/* The norm's values, and the factors that the next round computes with. */
static glow_status finish(const glow__conv_net *net, const glow_call *call, int32_t round,
                          const glow__moments *moments) {
  float *bias = glow_call_tensor_mutable(call, round ? net->b2 : net->b1);
  float *logs = glow_call_tensor_mutable(call, round ? net->l2 : net->l1);
  return glow__moments_norm(moments, net->hidden, FLOOR, call, round ? "net.norm2" : "net.norm1",
                            bias, logs);
}

glow_status glow__conv_net_init(const void *self, const glow_call *call, int32_t round,
                                int32_t phase, const float *x, int64_t stride) {
  glow__moments *moments = glow_call_initialise_state(call);
  if (phase == GLOW_INITIALISE_BATCH)
    batch(self, call, round, x, stride, moments);
  else if (phase == GLOW_INITIALISE_END)
    return finish(self, call, round, moments);
  return GLOW_OK;
}
