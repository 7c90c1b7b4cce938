/* Multilayer perceptron as a conditioner: fully connected layers with ReLU over the whole input of
 * a sample, and a last layer that starts at zero, so that a coupling starts as the identity.
 * Options, tensors, memory; the passes are in files of their own.
 * Source: Dinh et al. 2014, section 5.1; hidden weights N(0, 2 / inputs), He et al. 2015.
 * SPDX-License-Identifier: MIT */
#include "nets/mlp_net.h"

#include <math.h>
#include <stdio.h>

#include "math/strips.h"

#define NARROW ((int64_t)1 << 17) /* weights: half a megabyte */

/* ---- sizes ---------------------------------------------------------------------------------- */

/* Each element of the condition has a mean and a deviation of its own. */
static glow_status declare_standard(glow__mlp_net *net, glow_setup *setup) {
  GLOW_TRY(glow_setup_condition_standard(setup, &net->options.condition, net->condition,
                                         &net->standard));
  return glow_setup_initialise(setup, GLOW_CONDITION_ROUNDS,
                               glow_condition_standard_bytes(&net->standard));
}

static glow_status set_condition(glow__mlp_net *net, glow_setup *setup) {
  const int64_t limit = (int64_t)1 << 24;
  const glow_shape *condition = &net->options.condition;
  net->condition = 0;
  if (!condition->channels)
    return GLOW_OK;
  if (!glow_size_multiply(condition->height, condition->width, &net->condition) ||
      !glow_size_multiply(net->condition, condition->channels, &net->condition) ||
      net->condition > limit)
    return glow_error(GLOW_E_LIMIT,
                      "a condition of %lld x %lld x %lld; an MLP takes at most %lld elements of it",
                      (long long)condition->height, (long long)condition->width,
                      (long long)condition->channels, (long long)limit);
  GLOW_TRY(glow_setup_condition(setup, condition));
  return net->options.standardise ? declare_standard(net, setup) : GLOW_OK;
}

static glow_status mlp_net_set_sizes(glow__mlp_net *net, const glow_shape *input,
                                     int64_t out_channels) {
  const int64_t limit = (int64_t)1 << 24;
  int64_t in = 0, out = 0;
  if (!glow_size_multiply(input->height, input->width, &net->pixels) ||
      !glow_size_multiply(net->pixels, input->channels, &in) ||
      !glow_size_multiply(net->pixels, out_channels, &out) || in > limit || out > limit)
    return glow_error(GLOW_E_LIMIT, "an MLP of %lld x %lld x %lld elements to %lld channels",
                      (long long)input->height, (long long)input->width, (long long)input->channels,
                      (long long)out_channels);
  if (in + net->condition < 1)
    return glow_error(GLOW_E_SHAPE, "an MLP has nothing to read: its input has no channels, and "
                                    "there is no condition");
  net->channels = input->channels;
  net->hidden = net->options.hidden;
  net->depth = net->options.depth;
  for (int32_t l = 0; l <= net->depth; l++) {
    net->layers[l].inputs = l ? net->hidden : in + net->condition;
    net->layers[l].outputs = l < net->depth ? net->hidden : out;
  }
  return GLOW_OK;
}

static glow_status mlp_net_declare_tensors(glow__mlp_net *net, glow_setup *setup) {
  for (int32_t l = 0; l <= net->depth; l++) {
    glow__mlp_layer *layer = &net->layers[l];
    int64_t dims[] = {layer->outputs, layer->inputs};
    char name[16];
    snprintf(name, sizeof name, "fc%d", l + 1);
    GLOW_TRY(glow_setup_push(setup, name));
    GLOW_TRY(glow_setup_weights(setup, "weight", 2, dims, &layer->weight));
    GLOW_TRY(glow_setup_tensor(setup, "bias", GLOW_TYPE_F32, 1, 1, dims, &layer->bias));
    glow_setup_pop(setup);
  }
  return GLOW_OK;
}

/* Places of the packed weights. The sizes fit, because hidden, inputs and outputs are bounded. */
static int64_t place_packed(glow__mlp_net *net, const glow_math *math) {
  int64_t weights = 0, back = 0;
  net->packed_size = 0;
  for (int32_t l = 0; l <= net->depth; l++) {
    glow__mlp_layer *layer = &net->layers[l];
    layer->input_panels = glow_math_panel_count(math, layer->inputs);
    layer->output_panels = glow_math_panel_count(math, layer->outputs);
    layer->packed = net->packed_size;
    layer->back = back;
    net->packed_size += glow_math_packed_floats(math, layer->inputs, layer->outputs);
    back += glow_math_packed_floats(math, layer->outputs, layer->inputs);
    weights += layer->inputs * layer->outputs;
  }
  net->narrow = weights <= NARROW;
  return back;
}

static glow_status declare_regions(glow__mlp_net *net, glow_setup *setup, const glow_math *math,
                                   int64_t back) {
  int64_t in = net->layers[0].inputs, out = net->layers[net->depth].outputs;
  int64_t hidden = net->hidden, widest = hidden > out ? hidden : out;
  int64_t block = glow_math_packed_floats(math, GLOW_MLP_ROWS, GLOW_MLP_COLUMNS);
  bool gathers = net->pixels > 1 || net->condition;
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

static glow_status mlp_net_configure(void *self, glow_setup *setup, const glow_shape *input,
                                     int64_t out_channels) {
  glow__mlp_net *net = self;
  const glow_math *math = glow_context_math(glow_setup_context(setup));
  GLOW_TRY(set_condition(net, setup));
  GLOW_TRY(mlp_net_set_sizes(net, input, out_channels));
  GLOW_TRY(mlp_net_declare_tensors(net, setup));
  GLOW_TRY(declare_regions(net, setup, math, place_packed(net, math)));
  return glow_setup_derived(setup, (size_t)net->packed_size * sizeof(float));
}

/* ---- values ---------------------------------------------------------------------------------- */

static glow_status mlp_net_reset(const void *self, const glow_call *call) {
  const glow__mlp_net *net = self;
  uint64_t position = 0;
  for (int32_t l = 0; l < net->depth; l++) {
    const glow__mlp_layer *layer = &net->layers[l];
    int64_t count = layer->inputs * layer->outputs;
    float *w = glow_call_tensor_mutable(call, layer->weight);
    float deviation = sqrtf(2.0f / (float)layer->inputs);
    glow_random_normal(net->options.seed, GLOW_STREAM_RESET, position, w, count);
    for (int64_t j = 0; j < count; j++)
      w[j] *= deviation;
    position += (uint64_t)count;
  }
  if (net->options.standardise)
    glow_call_condition_reset(call, &net->standard);
  return GLOW_OK;
}

/* Mean and deviation of the conditions, whatever x is. */
static glow_status mlp_net_initialise(const void *self, const glow_call *call, int32_t round,
                                      int32_t phase, const float *x, int64_t stride) {
  const glow__mlp_net *net = self;
  (void)x;
  (void)stride;
  return glow_call_condition_initialise(call, &net->standard, round, phase);
}

/* Passes multiply with W' [inputs, outputs], which is packed once after each change of the weights.
 * */
static glow_status mlp_net_prepare(const void *self, const glow_call *call) {
  const glow__mlp_net *net = self;
  const glow_math *math = glow_context_math(glow_call_context(call));
  float *packed = glow_call_derived_mutable(call);
  for (int32_t l = 0; l <= net->depth; l++) {
    const glow__mlp_layer *layer = &net->layers[l];
    glow_math_pack(math, layer->inputs, layer->outputs, glow_call_tensor(call, layer->weight), 1,
                   layer->inputs, packed + layer->packed, 0, layer->output_panels);
  }
  return net->options.standardise ? glow_call_condition_check(call, &net->standard) : GLOW_OK;
}

/* ---- the type -------------------------------------------------------------------------------- */

#define OPTION(field, type, ...) GLOW_OPTION(glow_mlp_net_options, field, type, __VA_ARGS__)

static const glow_option mlp_net_rows[] = {
    OPTION(hidden, INT32, .low = 1, .high = 65536, .fallback = 64),
    OPTION(depth, INT32, .low = 1, .high = GLOW_MLP_MOST_LAYERS - 1, .fallback = 2),
    OPTION(seed, UINT64, .flags = 0),
    OPTION(standardise, INT32, .high = 1, .flags = GLOW_OPTION_QUIET),
    OPTION(reserved, RESERVED, .flags = 0),
    GLOW_NET_CONDITION_ROWS(glow_mlp_net_options, "context", 0),
};

static glow_status mlp_net_check(const void *options) {
  const glow_mlp_net_options *o = options;
  return glow__net_check_standardise("glow_mlp_net_options", o->standardise, &o->condition);
}

static const glow_options_table mlp_net_options = {
    GLOW_OPTIONS_TABLE(glow_mlp_net_options, mlp_net_rows), .check = mlp_net_check};

const glow_net_ops glow__mlp_net_ops = {
    .struct_size = sizeof(glow_net_ops),
    .type = "mlp",
    .flags = GLOW_NET_ALWAYS_PREPARES | GLOW_NET_SKIPS_GRADIENTS,
    .options = &mlp_net_options,
    .self_size = sizeof(glow__mlp_net),
    .configure = mlp_net_configure,
    .reset = mlp_net_reset,
    .initialise = mlp_net_initialise,
    .prepare = mlp_net_prepare,
    .forward = glow__mlp_net_forward,
    .backward = glow__mlp_net_backward,
    .diagnose = glow__mlp_net_diagnose,
};

glow_status glow_mlp_net_create(glow_context *context, const glow_mlp_net_options *options,
                                glow_net **out) {
  return glow_net_create(context, &glow__mlp_net_ops, options, out);
}
