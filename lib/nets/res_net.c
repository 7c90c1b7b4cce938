/* The residual network of RealNVP: 3x3 convolutions with weight normalisation, in blocks with batch
 * normalisation and ReLU before each (He et al. 2016, "Identity mappings"), and a 1x1 convolution
 * from every block to the output (skip connections: van den Oord et al. 2016). Source: Dinh et al.
 * 2016, section 4.1, and the code published with it (tensorflow/models, research/real_nvp), without
 * that code's doubling of the input, relu(x, -x) and mask. Options, tensors, memory; the passes are
 * in files of their own.
 * SPDX-License-Identifier: MIT */
#include "nets/res_net.h"

#include <stdio.h>

#define MOMENTUM 0.1

static glow__wn_conv conv_of(const glow__res_net *net, int64_t in, int64_t out, int64_t size) {
  return (glow__wn_conv){.conv = {net->height, net->width, in, out, size},
                         .normalised = net->weight_norm};
}

/* A convolution before a batch normalisation needs neither gain nor bias. */
static glow_status declare_conv(glow__res_net *net, glow_setup *setup, glow__wn_conv *conv,
                                const char *name, bool before_norm) {
  bool bare = before_norm && net->batch_norm;
  return glow__wn_declare(conv, setup, name, net->weight_norm && !before_norm, !bare,
                          &net->derived_floats);
}

static glow_status res_net_declare_norm(const glow__res_net *net, glow_setup *setup,
                                        glow__net_norm *norm, const char *name) {
  int64_t dims[] = {net->hidden};
  *norm = (glow__net_norm){-1, -1, -1};
  if (!net->batch_norm)
    return GLOW_OK;
  GLOW_TRY(glow_setup_push(setup, name));
  GLOW_TRY(glow_setup_tensor(setup, "bias", GLOW_TYPE_F32, 1, 1, dims, &norm->bias));
  GLOW_TRY(glow_setup_running_average(setup, "mean", 1, dims, MOMENTUM, &norm->mean));
  GLOW_TRY(glow_setup_running_average(setup, "var", 1, dims, MOMENTUM, &norm->var));
  glow_setup_pop(setup);
  return GLOW_OK;
}

static glow_status declare_block(glow__res_net *net, glow_setup *setup, int32_t k) {
  glow__res_block *block = &net->block[k];
  char name[32];
  int64_t hidden = net->hidden;
  block->conv1 = block->conv2 = conv_of(net, hidden, hidden, 3);
  block->skip = conv_of(net, hidden, hidden, 1);
  snprintf(name, sizeof name, "block%d", (int)k);
  GLOW_TRY(glow_setup_push(setup, name));
  GLOW_TRY(res_net_declare_norm(net, setup, &block->norm1, "norm1"));
  GLOW_TRY(declare_conv(net, setup, &block->conv1, "conv1", true));
  GLOW_TRY(res_net_declare_norm(net, setup, &block->norm2, "norm2"));
  GLOW_TRY(declare_conv(net, setup, &block->conv2, "conv2", false));
  GLOW_TRY(declare_conv(net, setup, &block->skip, "skip", false));
  glow_setup_pop(setup);
  return GLOW_OK;
}

static glow_status res_net_declare_tensors(glow__res_net *net, glow_setup *setup) {
  net->derived_floats = 0;
  net->first = conv_of(net, net->in, net->hidden, 3);
  net->skip = conv_of(net, net->hidden, net->hidden, 1);
  net->last = conv_of(net, net->hidden, net->out, 1);
  GLOW_TRY(declare_conv(net, setup, &net->first, "first", true));
  GLOW_TRY(declare_conv(net, setup, &net->skip, "skip", false));
  for (int32_t k = 0; k < net->blocks; k++)
    GLOW_TRY(declare_block(net, setup, k));
  GLOW_TRY(res_net_declare_norm(net, setup, &net->norm, "norm"));
  return declare_conv(net, setup, &net->last, "last", false);
}

static int64_t larger(int64_t a, int64_t b) {
  return a > b ? a : b;
}

static glow_status declare_memory(glow__res_net *net, glow_setup *setup) {
  const glow_math *math = glow_context_math(glow_setup_context(setup));
  const glow__wn_conv *convs[] = {&net->first, &net->block[0].conv1, &net->last};
  int64_t image = net->image * net->hidden, sums = 4 * net->hidden;
  int64_t strip = 0, weights = 0, gradient = 0;
  for (int32_t i = 0; i < 3; i++) {
    strip = larger(strip, glow_conv_room_floats(&convs[i]->conv, GLOW_STRIP));
    weights = larger(weights, glow_conv_weight_floats(&convs[i]->conv));
    gradient = larger(gradient, glow_conv_gradient_room_floats(math, &convs[i]->conv));
  }
  net->room = net->derived_floats;
  GLOW_TRY(glow_setup_stored(setup, 0, (2 * (int64_t)net->blocks + 2) * image, &net->stored));
  GLOW_TRY(glow_setup_scratch(setup, 0, image, &net->h));
  GLOW_TRY(glow_setup_scratch(setup, 0, image, &net->r));
  GLOW_TRY(glow_setup_scratch(setup, 0, image, &net->a));
  GLOW_TRY(glow_setup_scratch(setup, 0, image, &net->o));
  GLOW_TRY(glow_setup_backward_scratch(setup, 0, image, &net->du));
  GLOW_TRY(glow_setup_scratch(setup, glow__res_norms(net) * 5 * net->hidden, 0, &net->views));
  GLOW_TRY(glow_setup_scratch(setup, glow__strip_fixed(sums),
                              glow__strip_per_sample(net->image, sums), &net->partial));
  GLOW_TRY(glow_setup_backward_scratch(setup, weights, 0, &net->d));
  GLOW_TRY(glow_setup_worker_scratch(setup, strip, &net->strip));
  GLOW_TRY(glow_setup_worker_scratch(setup, gradient, &net->gradient));
  return glow_setup_derived(setup, (size_t)(net->derived_floats + weights) * sizeof(float));
}

static glow_status res_net_set_sizes(glow__res_net *net, glow_setup *setup, const glow_shape *input,
                                     int64_t out_channels) {
  const int64_t limit = (int64_t)1 << 24;
  int64_t floats = 0;
  const glow__pixel_condition condition = {net->options.condition, net->options.standardise};
  GLOW_TRY(glow__pixel_input_declare(&net->input, setup, &condition, input, "res"));
  if (out_channels < 1 || out_channels > limit)
    return glow_error(GLOW_E_LIMIT, "a res net to %lld channels; 1 to %lld are possible",
                      (long long)out_channels, (long long)limit);
  net->height = input->height;
  net->width = input->width;
  net->image = net->input.image;
  net->in = net->input.channels;
  net->out = out_channels;
  net->hidden = net->options.hidden;
  net->blocks = net->options.blocks;
  net->weight_norm = net->options.weight_norm;
  net->batch_norm = net->options.batch_norm;
  if (!glow_size_multiply(net->image, net->hidden * (2 * net->blocks + 2), &floats))
    return glow_error(GLOW_E_LIMIT, "a res net on %lld x %lld pixels is too large",
                      (long long)net->height, (long long)net->width);
  return GLOW_OK;
}

static glow_status res_net_configure(void *self, glow_setup *setup, const glow_shape *input,
                                     int64_t out_channels) {
  glow__res_net *net = self;
  int64_t work = 0;
  GLOW_TRY(res_net_set_sizes(net, setup, input, out_channels));
  GLOW_TRY(res_net_declare_tensors(net, setup));
  int64_t each = 9 * net->in + net->out + net->hidden * (19 * (int64_t)net->blocks + 1);
  if (!glow_size_multiply(net->image * net->hidden, each, &work))
    work = INT64_MAX;
  GLOW_TRY(glow_setup_work(setup, work, work));
  GLOW_TRY(glow__pixel_input_declare_rounds(&net->input, setup,
                                            net->batch_norm ? glow__res_norms(net) : 0,
                                            glow_moments_bytes(net->hidden)));
  return declare_memory(net, setup);
}

/* ---- all convolutions and norms -------------------------------------------------------------- */

/* Convolution number i, in the order of the tensors; NULL past the end. */
static const glow__wn_conv *conv_at(const glow__res_net *net, int32_t i) {
  if (i < 2)
    return i ? &net->skip : &net->first;
  const glow__res_block *block = &net->block[(i - 2) / 3];
  if (i < 2 + 3 * net->blocks)
    return (i - 2) % 3 == 0 ? &block->conv1 : (i - 2) % 3 == 1 ? &block->conv2 : &block->skip;
  return i == 2 + 3 * net->blocks ? &net->last : NULL;
}

static glow_status res_net_reset(const void *self, const glow_call *call) {
  const glow__res_net *net = self;
  uint64_t position = 0;
  for (int32_t i = 0; conv_at(net, i); i++)
    glow__wn_reset(conv_at(net, i), call, net->options.seed, &position);
  for (int32_t i = 0; net->batch_norm && i < glow__res_norms(net); i++) {
    float *var = glow_call_tensor_mutable(call, glow__res_norm(net, i)->var);
    for (int64_t j = 0; j < net->hidden; j++)
      var[j] = 1.0f;
  }
  glow__pixel_input_reset(&net->input, call);
  return GLOW_OK;
}

static glow_status res_net_prepare(const void *self, const glow_call *call) {
  const glow__res_net *net = self;
  float *derived = glow_call_derived_mutable(call);
  for (int32_t i = 0; net->batch_norm && i < glow__res_norms(net); i++) {
    const float *var = glow_call_tensor(call, glow__res_norm(net, i)->var);
    for (int64_t j = 0; j < net->hidden; j++)
      if (!(var[j] >= 0.0f)) /* files may hold anything */
        return glow_error(GLOW_E_NUMERIC, "net: the variance of channel %lld of norm %d is %g",
                          (long long)j, (int)i, (double)var[j]);
  }
  for (int32_t i = 0; conv_at(net, i); i++)
    glow__wn_prepare(conv_at(net, i), call, derived, derived + net->room);
  return glow__pixel_input_prepare(&net->input, call);
}

/* ---- the type -------------------------------------------------------------------------------- */

#define OPTION(field, type, ...) GLOW_OPTION(glow_res_net_options, field, type, __VA_ARGS__)

static const glow_option res_net_rows[] = {
    OPTION(hidden, INT32, .low = 1, .high = 65536, .fallback = 32),
    OPTION(blocks, INT32, .low = 1, .high = GLOW_MAX_BLOCKS_OF_NET, .fallback = 4),
    OPTION(weight_norm, INT32, .high = 1, .fallback = 1),
    OPTION(batch_norm, INT32, .high = 1, .fallback = 1),
    OPTION(seed, UINT64, .flags = 0),
    OPTION(standardise, INT32, .high = 1, .flags = GLOW_OPTION_QUIET),
    OPTION(reserved, RESERVED, .flags = 0),
    GLOW_NET_CONDITION_ROWS(glow_res_net_options, "condition_channels", GLOW_OPTION_QUIET),
};

static glow_status res_net_check(const void *options) {
  const glow_res_net_options *o = options;
  return glow__net_check_standardise("glow_res_net_options", o->standardise, &o->condition);
}

static const glow_options_table res_net_options = {
    GLOW_OPTIONS_TABLE(glow_res_net_options, res_net_rows), .check = res_net_check};

const glow_net_ops glow__res_net_ops = {
    .struct_size = sizeof(glow_net_ops),
    .type = "res",
    .flags = GLOW_NET_ALWAYS_PREPARES | GLOW_NET_SKIPS_GRADIENTS,
    .options = &res_net_options,
    .self_size = sizeof(glow__res_net),
    .configure = res_net_configure,
    .reset = res_net_reset,
    .initialise = glow__res_net_initialise,
    .prepare = res_net_prepare,
    .forward = glow__res_net_forward,
    .backward = glow__res_net_backward,
    .diagnose = glow__res_net_diagnose,
};

glow_status glow_res_net_create(glow_context *context, const glow_res_net_options *options,
                                glow_net **out) {
  return glow_net_create(context, &glow__res_net_ops, options, out);
}
