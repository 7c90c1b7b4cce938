/* The inference form of Glow's network: the same net with weights that are packed once, when it is
 * made, in memory of its own. It can be neither initialised, trained nor saved. Gradients of its
 * inputs unpack these weights, and pack their transposes, in the workspace.
 * SPDX-License-Identifier: MIT */
#include "nets/conv_net.h"

static glow_status conv_form_configure(void *self, glow_setup *setup, const glow_shape *input,
                                       int64_t out_channels) {
  return glow__conv_configure(self, setup, input, out_channels, true);
}

static void conv_form_destroy(void *self, glow_context *context) {
  glow_release(context, ((glow__conv_net *)self)->own[0]);
}

/* Packs the weights of run's net into one block. */
static glow_status pack_own(const glow__conv_run *run, float **own) {
  const glow__conv_net *net = run->net;
  glow_context *context = glow_call_context(run->call);
  int64_t hidden = net->hidden, taps_in = 9 * net->in, taps_out = 9 * net->out;
  const int64_t sizes[] = {
      glow_aligned_floats(net->products->packed_floats(context, taps_in, hidden)),
      glow_aligned_floats(net->products->packed_floats(context, hidden, hidden)),
      glow_aligned_floats(net->products->packed_floats(context, hidden, taps_out))};
  size_t whole = (size_t)(sizes[0] + sizes[1] + sizes[2]);
  own[0] = glow_allocate(context, whole * sizeof(float));
  if (!own[0])
    return GLOW_E_MEMORY;
  own[1] = own[0] + sizes[0];
  own[2] = own[1] + sizes[1];
  float *room = glow_allocate(context, (size_t)(hidden * (taps_in + taps_out)) * sizeof(float));
  if (!room)
    return GLOW_E_MEMORY;
  glow__conv_pack_to(run, room, own);
  glow_release(context, room);
  return GLOW_OK;
}

glow_status glow__conv_net_form(const void *self, const glow_call *call, glow_net **out) {
  const glow__conv_net *net = self;
  glow_context *context = glow_call_context(call);
  const glow_net_ops ops = {.struct_size = sizeof ops,
                            .type = glow__conv_net_ops.type,
                            .flags = glow__conv_net_ops.flags,
                            .options = glow__conv_net_ops.options,
                            .self_size = glow__conv_net_ops.self_size,
                            .configure = conv_form_configure,
                            .prepare = glow__conv_prepare,
                            .forward = glow__conv_net_forward,
                            .backward = glow__conv_net_backward,
                            .destroy = conv_form_destroy,
                            .diagnose = glow__conv_net_diagnose};
  const glow__conv_run run = {.net = net, .call = call, .math = glow_context_math(context)};
  GLOW_TRY(glow_net_create(context, &ops, &net->options, out));
  glow_status status = pack_own(&run, ((glow__conv_net *)glow_net_self(*out))->own);
  if (status != GLOW_OK)
    glow_net_destroy(out);
  return status;
}
