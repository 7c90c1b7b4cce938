/* Multilayer perceptron as a conditioner: fully connected layers with ReLU over the whole input of
 * a sample, and a last layer that starts at zero, so that a coupling starts as the identity.
 * Options, tensors, memory; the passes are in files of their own.
 * Source: Dinh et al. 2014, section 5.1; hidden weights N(0, 2 / inputs), He et al. 2015.
 * SPDX-License-Identifier: MIT */
#include "nets/mlp_net.h"

#include <math.h>
#include <stdio.h>

#include "math/kernels.h"
#include "nets/strips.h"

#define MAX_HIDDEN 65536
#define MAX_DEPTH (GLOW_MLP_MOST_LAYERS - 1)
#define MAX_CONTEXT (1 << 24)
#define NARROW ((int64_t)1 << 17) /* weights: half a megabyte */

/* ---- what it needs --------------------------------------------------------------------------- */

static glow_status set_sizes(glow__mlp_net *net, const glow_shape *input, int64_t out_channels) {
  const int64_t limit = (int64_t)1 << 24;
  int64_t in = 0, out = 0;
  if (!glow_size_multiply(input->height, input->width, &net->pixels) ||
      !glow_size_multiply(net->pixels, input->channels, &in) ||
      !glow_size_multiply(net->pixels, out_channels, &out) || in > limit || out > limit)
    return glow_error(GLOW_E_LIMIT, "an MLP of %lld x %lld x %lld numbers to %lld channels",
                      (long long)input->height, (long long)input->width, (long long)input->channels,
                      (long long)out_channels);
  net->channels = input->channels;
  for (int32_t l = 0; l <= net->depth; l++) {
    net->layers[l].inputs = l ? net->hidden : in + net->context;
    net->layers[l].outputs = l < net->depth ? net->hidden : out;
  }
  return GLOW_OK;
}

static glow_status declare_tensors(glow__mlp_net *net, glow_setup *setup) {
  for (int32_t l = 0; l <= net->depth; l++) {
    glow__mlp_layer *layer = &net->layers[l];
    int64_t dims[] = {layer->outputs, layer->inputs};
    char name[16];
    snprintf(name, sizeof name, "fc%d", l + 1);
    GLOW_TRY(glow_setup_push(setup, name));
    GLOW_TRY(glow_setup_tensor(setup, "weight", GLOW_TYPE_F32, 1, 2, dims, &layer->weight));
    GLOW_TRY(glow_setup_tensor(setup, "bias", GLOW_TYPE_F32, 1, 1, dims, &layer->bias));
    glow_setup_pop(setup);
  }
  return GLOW_OK;
}

/* Places of the packed weights; sizes fit, for hidden, inputs and outputs are bounded. */
static int64_t place_packed(glow__mlp_net *net, const glow__kernels *kernels) {
  int64_t weights = 0, back = 0;
  net->packed_size = 0;
  for (int32_t l = 0; l <= net->depth; l++) {
    glow__mlp_layer *layer = &net->layers[l];
    layer->packed = net->packed_size;
    layer->back = back;
    net->packed_size += glow__packed_size(kernels, layer->inputs, layer->outputs);
    back += glow__packed_size(kernels, layer->outputs, layer->inputs);
    weights += layer->inputs * layer->outputs;
  }
  net->narrow = weights <= NARROW;
  return back;
}

static glow_status declare_regions(glow__mlp_net *net, glow_setup *setup,
                                   const glow__kernels *kernels, int64_t back) {
  int64_t in = net->layers[0].inputs, out = net->layers[net->depth].outputs;
  int64_t hidden = net->hidden, widest = hidden > out ? hidden : out;
  int64_t block = glow__packed_size(kernels, GLOW_MLP_ROWS, GLOW_MLP_COLUMNS);
  bool gathers = net->pixels > 1 || net->context;
  GLOW_TRY(glow_setup_scratch(setup, 0, gathers ? in : 0, &net->input));
  GLOW_TRY(glow_setup_scratch(setup, 0, net->narrow ? 0 : 2 * hidden, &net->states));
  GLOW_TRY(
      glow_setup_worker_scratch(setup, net->narrow ? 2 * GLOW_STRIP * hidden : 0, &net->strip));
  GLOW_TRY(glow_setup_stored(setup, 0, net->depth * hidden, &net->h));
  GLOW_TRY(glow_setup_backward_scratch(setup, back, 0, &net->back));
  GLOW_TRY(glow_setup_backward_scratch(setup, 0, net->depth * hidden, &net->d));
  GLOW_TRY(glow_setup_backward_scratch(setup, 0, in, &net->d_input));
  return glow_setup_worker_scratch(setup, block > 2 * widest ? block : 2 * widest, &net->block);
}

static glow_status configure(void *self, glow_setup *setup, const glow_shape *input,
                             int64_t out_channels) {
  glow__mlp_net *net = self;
  const glow__kernels *kernels = glow_setup_context(setup)->kernels;
  GLOW_TRY(set_sizes(net, input, out_channels));
  GLOW_TRY(declare_tensors(net, setup));
  GLOW_TRY(declare_regions(net, setup, kernels, place_packed(net, kernels)));
  if (net->context)
    GLOW_TRY(glow_setup_condition(setup, net->context));
  return glow_setup_derived(setup, (size_t)net->packed_size * sizeof(float));
}

/* ---- values ---------------------------------------------------------------------------------- */

static glow_status build(const void *self, const glow_call *call) {
  const glow__mlp_net *net = self;
  uint64_t position = 0;
  for (int32_t l = 0; l < net->depth; l++) {
    const glow__mlp_layer *layer = &net->layers[l];
    int64_t count = layer->inputs * layer->outputs;
    float *w = glow_call_tensor_mutable(call, layer->weight);
    float deviation = sqrtf(2.0f / (float)layer->inputs);
    glow_random_normal(net->seed, GLOW_STREAM_RESET, position, w, count);
    for (int64_t j = 0; j < count; j++)
      w[j] *= deviation;
    position += (uint64_t)count;
  }
  return GLOW_OK;
}

/* Passes multiply with W' [inputs, outputs]: packed once for each change of the weights. */
static glow_status prepare(const void *self, const glow_call *call) {
  const glow__mlp_net *net = self;
  const glow__kernels *kernels = glow_call_context(call)->kernels;
  float *packed = glow_call_derived_mutable(call);
  for (int32_t l = 0; l <= net->depth; l++) {
    const glow__mlp_layer *layer = &net->layers[l];
    kernels->pack(layer->inputs, layer->outputs, glow_call_tensor(call, layer->weight), 1,
                  layer->inputs, packed + layer->packed, 0, glow__panels(kernels, layer->outputs));
  }
  return GLOW_OK;
}

static glow_status save(const void *self, glow_config *config) {
  const glow__mlp_net *net = self;
  GLOW_TRY(glow_config_set_int(config, "net.hidden", net->hidden));
  GLOW_TRY(glow_config_set_int(config, "net.depth", net->depth));
  return glow_config_set_int(config, "net.context", net->context);
}

static void destroy(void *self, glow_context *context) {
  glow_release(context, self);
}

static const glow_net_ops ops = {
    .struct_size = sizeof(glow_net_ops),
    .type = "mlp",
    .flags = GLOW_NET_ALWAYS_PREPARES,
    .configure = configure,
    .reset = build,
    .prepare = prepare,
    .forward = glow__mlp_net_forward,
    .backward = glow__mlp_net_backward,
    .save = save,
    .destroy = destroy,
};

glow_status glow_mlp_net_create(glow_context *context, const glow_mlp_net_options *options,
                                glow_net **out) {
  glow_mlp_net_options o = GLOW_MLP_NET_OPTIONS_INIT;
  if (out)
    *out = NULL;
  if (!context || !out)
    return glow_error(GLOW_E_ARGUMENT, "glow_mlp_net_create: NULL argument");
  GLOW_TRY(glow__options_copy(&o, sizeof o, options, sizeof o, "glow_mlp_net_options"));
  if (o.hidden < 1 || o.hidden > MAX_HIDDEN)
    return glow_error(GLOW_E_ARGUMENT, "hidden is %d; it must be 1 to %d", o.hidden, MAX_HIDDEN);
  if (o.depth < 1 || o.depth > MAX_DEPTH)
    return glow_error(GLOW_E_ARGUMENT, "depth is %d; it must be 1 to %d", o.depth, MAX_DEPTH);
  if (o.context < 0 || o.context > MAX_CONTEXT)
    return glow_error(GLOW_E_ARGUMENT, "context is %lld; it must be 0 to %d", (long long)o.context,
                      MAX_CONTEXT);
  glow__mlp_net *net = glow_allocate(context, sizeof *net);
  if (!net)
    return GLOW_E_MEMORY;
  net->hidden = o.hidden;
  net->depth = o.depth;
  net->context = o.context;
  net->seed = o.seed;
  return glow_net_create(context, &ops, net, out);
}

glow_status glow__mlp_net_make(glow_context *context, const glow_config *config, glow_net **out) {
  glow_mlp_net_options o = GLOW_MLP_NET_OPTIONS_INIT;
  int64_t hidden = o.hidden, depth = o.depth;
  GLOW_TRY(glow_config_get_int(config, "net.hidden", 1, MAX_HIDDEN, &hidden));
  GLOW_TRY(glow_config_get_int(config, "net.depth", 1, MAX_DEPTH, &depth));
  GLOW_TRY(glow_config_get_int(config, "net.context", 0, MAX_CONTEXT, &o.context));
  o.hidden = (int32_t)hidden;
  o.depth = (int32_t)depth;
  return glow_mlp_net_create(context, &o, out);
}
