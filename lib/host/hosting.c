/* Nets inside a layer: each is configured under its prefix, and called with its own derived values
 * and rounds of initialisation. SPDX-License-Identifier: MIT */
#include "host/call.h"
#include "host/findings.h"

static glow_net *net_of(const glow__node *node, int32_t net) {
  return net >= 0 && net < node->layer->ops.net_count ? node->layer->nets[net] : NULL;
}

glow_status glow_setup_net(glow_setup *setup, int32_t net, const glow_shape *input,
                           int64_t out_channels) {
  if (!setup || !input)
    return glow_error(GLOW_E_ARGUMENT, "glow_setup_net: NULL argument");
  glow_net *n = net_of(setup->node, net);
  if (!n)
    return glow_error(GLOW_E_ARGUMENT, "glow_setup_net: net %d; the layer's table names %d",
                      (int)net, (int)setup->node->layer->ops.net_count);
  if (setup->part != &setup->node->layer->part || n->configured)
    return glow_error(GLOW_E_STATE, "glow_setup_net: net %d is configured already, or by a net",
                      (int)net);
  const char *prefix = setup->node->layer->ops.nets[net].prefix;
  GLOW_TRY(glow_setup_push(setup, prefix));
  n->configured = true;
  setup->part = &n->part;
  glow_status status = n->ops.configure(n->self, setup, input, out_channels);
  setup->part = &setup->node->layer->part;
  if (status != GLOW_OK)
    return glow__error_prefix(status, "net '%s' (%s)", prefix, n->ops.type);
  if (n->part.rounds && !n->ops.initialise)
    return glow_error(GLOW_E_ARGUMENT,
                      "net '%s' (%s) declares rounds of initialisation, but its table "
                      "has no initialise",
                      prefix, n->ops.type);
  glow_setup_pop(setup);
  return GLOW_OK;
}

int32_t glow_setup_net_rounds(const glow_setup *setup, int32_t net) {
  const glow_net *n = setup ? net_of(setup->node, net) : NULL;
  return n && n->ops.flags & GLOW_NET_ROUNDS_INPUT &&
         glow_context_products(n->context) == GLOW_PRODUCTS_BFLOAT16;
}

glow_call glow__call_of_net(const glow_call *call, int32_t net) {
  glow_call own = *call;
  own.part = &call->node->layer->nets[net]->part;
  return own;
}

int32_t glow_call_net_has_round(const glow_call *call, int32_t net, int32_t round) {
  const glow_net *n = call ? net_of(call->node, net) : NULL;
  return n && round >= n->part.first_round && round < n->part.first_round + n->part.rounds;
}

glow_status glow_call_net_initialise(const glow_call *call, int32_t net, int32_t round,
                                     int32_t phase, const float *x, int64_t stride) {
  if (phase < GLOW_INITIALISE_BEGIN || phase > GLOW_INITIALISE_END)
    return glow_error(GLOW_E_ARGUMENT,
                      "glow_call_net_initialise: phase is %d; it must be GLOW_INITIALISE_BEGIN "
                      "(%d), _BATCH (%d) or _END (%d)",
                      (int)phase, GLOW_INITIALISE_BEGIN, GLOW_INITIALISE_BATCH,
                      GLOW_INITIALISE_END);
  if (!glow_call_net_has_round(call, net, round))
    return GLOW_OK;
  const glow_net *n = net_of(call->node, net);
  glow_call own = glow__call_of_net(call, net);
  return n->ops.initialise(n->self, &own, round - n->part.first_round, phase, x, stride);
}

void glow_call_net_forward(const glow_call *call, int32_t net, const float *x, int64_t stride,
                           float *out) {
  const glow_net *n = net_of(call->node, net);
  glow_call own = glow__call_of_net(call, net);
  n->ops.forward(n->self, &own, x, stride, out);
}

void glow_call_net_backward(const glow_call *call, int32_t net, const float *x, int64_t stride,
                            const float *out, float *dout, float *dx, int64_t dx_stride) {
  const glow_net *n = net_of(call->node, net);
  glow_call own = glow__call_of_net(call, net);
  n->ops.backward(n->self, &own, x, stride, out, dout, dx, dx_stride);
}

/* ---- what the model itself does with nets ---------------------------------------------------- */

glow_status glow__call_reset(const glow_call *call) {
  const glow_layer *layer = call->node->layer;
  if (layer->ops.reset)
    GLOW_TRY(layer->ops.reset(layer->self, call));
  for (int32_t i = 0; i < layer->ops.net_count; i++) {
    glow_call own = glow__call_of_net(call, i);
    if (layer->nets[i]->ops.reset)
      GLOW_TRY(layer->nets[i]->ops.reset(layer->nets[i]->self, &own));
  }
  return GLOW_OK;
}

glow_status glow__call_prepare(const glow_call *call) {
  const glow_layer *layer = call->node->layer;
  if (layer->ops.prepare)
    GLOW_TRY(layer->ops.prepare(layer->self, call));
  for (int32_t i = 0; i < layer->ops.net_count; i++) {
    glow_call own = glow__call_of_net(call, i);
    if (layer->nets[i]->ops.prepare)
      GLOW_TRY(layer->nets[i]->ops.prepare(layer->nets[i]->self, &own));
  }
  return GLOW_OK;
}

glow_status glow__call_diagnose_nets(const glow_call *call, glow_findings *findings) {
  const glow_layer *layer = call->node->layer;
  glow_status status = GLOW_OK;
  for (int32_t i = 0; i < layer->ops.net_count && status == GLOW_OK; i++) {
    const glow_net *net = layer->nets[i];
    glow_call own = glow__call_of_net(call, i);
    findings->speaker = i;
    if (net->ops.diagnose)
      status = net->ops.diagnose(net->self, &own, findings);
  }
  findings->speaker = GLOW_MAX_HOSTED_NETS;
  return status;
}

glow_status glow__net_inference_form(const glow_net *net, const glow_call *call, glow_net **out) {
  glow_call own = *call;
  own.part = &net->part;
  *out = NULL;
  return net->ops.inference_form ? net->ops.inference_form(net->self, &own, out) : GLOW_OK;
}
