/* Data-dependent initialisation: after the rounds of a standardised condition, those of the two
 * inner actnorms. The first of these takes the moments of W1 gather(x), the second those of W2 h1.
 * SPDX-License-Identifier: MIT */
#include "math/moments.h"
#include "nets/conv_net.h"

#define FLOOR 1e-6

typedef struct moments_run {
  glow__conv_run run;
  int32_t round;
} moments_run;

static double *moments_of_strip(const glow__conv_run *run, int64_t strip) {
  float *partial = glow_call_scratch(run->call, run->net->partial);
  return (double *)(void *)(partial + strip * glow__conv_partial(run->net));
}

static void strip_moments(void *arg, uint32_t task, uint32_t worker) {
  const moments_run *m = arg;
  const glow__conv_net *net = m->run.net;
  int64_t first = (int64_t)task * GLOW_STRIP, last = glow__strip_end(first, m->run.pixels);
  glow__moments_of(last - first, net->hidden,
                   net->products->before_norm(&m->run, task, worker, m->round),
                   moments_of_strip(&m->run, task));
}

static void conv_net_initialise_add_batch(const glow__conv_net *net, const glow_call *call,
                                          int32_t round, const float *x, int64_t stride,
                                          glow_moments *moments) {
  moments_run m = {glow__conv_run_of(net, call, x, stride), round};
  int64_t strips = glow__strip_count(m.run.pixels);
  glow__conv_pack(&m.run);
  glow_call_run(call, (uint32_t)strips, strip_moments, &m);
  for (int64_t s = 0; s < strips; s++) {
    double rows = (double)(glow__strip_end(s * GLOW_STRIP, m.run.pixels) - s * GLOW_STRIP);
    glow__moments_merge(net->hidden, moments->rows, moments->values, rows,
                        moments_of_strip(&m.run, s));
    moments->rows += rows;
  }
}

/* The norm's values; the next round computes with them. */
static glow_status set_norm(const glow__conv_net *net, const glow_call *call, int32_t round,
                            const glow_moments *moments) {
  float *bias = glow_call_tensor_mutable(call, round ? net->b2 : net->b1);
  float *logs = glow_call_tensor_mutable(call, round ? net->l2 : net->l1);
  return glow_call_actnorm_values(call, moments, net->hidden, FLOOR,
                                  round ? "net.norm2" : "net.norm1", bias, logs);
}

glow_status glow__conv_net_initialise(const void *self, const glow_call *call, int32_t round,
                                      int32_t phase, const float *x, int64_t stride) {
  const glow__conv_net *net = self;
  glow_moments *moments = glow_call_initialise_state(call);
  int32_t norm = round - glow__pixel_input_rounds(&net->input);
  if (norm < 0)
    return glow_call_condition_initialise(call, &net->input.standard, round, phase);
  if (phase == GLOW_INITIALISE_BATCH)
    conv_net_initialise_add_batch(net, call, norm, x, stride, moments);
  else if (phase == GLOW_INITIALISE_END)
    return set_norm(net, call, norm, moments);
  return GLOW_OK;
}
