/* Glow's conditioner network: conv3x3 -> norm1 -> ReLU -> conv1x1 -> norm2 -> ReLU -> zero conv3x3.
 * Options, tensors, memory, starting values.
 * Source: Kingma and Dhariwal 2018, section 3 and the code published with it.
 * SPDX-License-Identifier: MIT */
#include "nets/conv_net.h"

#include <math.h>

#define HIDDEN_DEVIATION 0.05f

/* ---- tensors --------------------------------------------------------------------------------- */

static glow_status conv_net_declare_norm(glow__conv_net *net, glow_setup *setup, const char *norm,
                                         const char *conv, int32_t *bias, int32_t *logs) {
  int64_t width[] = {net->hidden};
  GLOW_TRY(glow_setup_push(setup, net->options.actnorm ? norm : conv));
  GLOW_TRY(glow_setup_tensor(setup, "bias", GLOW_TYPE_F32, 1, 1, width, bias));
  *logs = -1;
  if (net->options.actnorm)
    GLOW_TRY(glow_setup_tensor(setup, "logs", GLOW_TYPE_F32, 1, 1, width, logs));
  glow_setup_pop(setup);
  return GLOW_OK;
}

static glow_status declare_edge(const glow__conv_net *net, glow_setup *setup, const char *name,
                                int64_t out, int32_t *id) {
  int64_t dims[] = {out, 3, 3};
  *id = -1;
  return net->options.border ? glow_setup_weights(setup, name, 3, dims, id) : GLOW_OK;
}

static glow_status declare_weight(glow_setup *setup, const char *name, const int64_t *dims,
                                  bool form, int32_t *id) {
  *id = -1;
  return form ? GLOW_OK : glow_setup_weights(setup, name, 4, dims, id);
}

static glow_status conv_net_declare_tensors(glow__conv_net *net, glow_setup *setup, bool form) {
  int64_t w1[] = {net->hidden, net->in, 3, 3}, w2[] = {net->hidden, net->hidden, 1, 1};
  int64_t w3[] = {net->out, net->hidden, 3, 3}, out[] = {net->out};
  GLOW_TRY(declare_weight(setup, "conv1.weight", w1, form, &net->w1));
  GLOW_TRY(declare_edge(net, setup, "conv1.edge", net->hidden, &net->e1));
  GLOW_TRY(conv_net_declare_norm(net, setup, "norm1", "conv1", &net->b1, &net->l1));
  GLOW_TRY(declare_weight(setup, "conv2.weight", w2, form, &net->w2));
  GLOW_TRY(conv_net_declare_norm(net, setup, "norm2", "conv2", &net->b2, &net->l2));
  GLOW_TRY(declare_weight(setup, "conv3.weight", w3, form, &net->w3));
  GLOW_TRY(declare_edge(net, setup, "conv3.edge", net->out, &net->e3));
  GLOW_TRY(glow_setup_tensor(setup, "conv3.bias", GLOW_TYPE_F32, 1, 1, out, &net->b3));
  return glow_setup_tensor(setup, "conv3.logs", GLOW_TYPE_F32, 1, 1, out, &net->l3);
}

/* ---- memory ---------------------------------------------------------------------------------- */

/* A form has no weights to put in order of taps but for backward. */
static glow_status declare_taps(glow__conv_net *net, glow_setup *setup, bool form) {
  int64_t taps1 = net->hidden * 9 * net->in, taps3 = net->hidden * 9 * net->out;
  if (form) {
    GLOW_TRY(glow_setup_backward_scratch(setup, taps1, 0, &net->by_tap1));
    GLOW_TRY(glow_setup_backward_scratch(setup, net->hidden * net->hidden, 0, &net->unpacked2));
    return glow_setup_backward_scratch(setup, taps3, 0, &net->by_tap3);
  }
  GLOW_TRY(glow_setup_scratch(setup, taps1, 0, &net->by_tap1));
  return glow_setup_scratch(setup, taps3, 0, &net->by_tap3);
}

/* Packed weights W1 [9 in, hidden], W2, W3 [hidden, 9 out], and their transposes. */
static glow_status declare_weights(glow__conv_net *net, glow_setup *setup, bool form) {
  const glow_context *context = glow_setup_context(setup);
  const int64_t ks[] = {9 * net->in, net->hidden, net->hidden};
  const int64_t ns[] = {net->hidden, net->hidden, 9 * net->out};
  GLOW_TRY(declare_taps(net, setup, form));
  for (int i = 0; i < 3; i++) {
    int64_t forward = net->products->packed_floats(context, ks[i], ns[i]);
    int64_t transposed = net->products->packed_floats(context, ns[i], ks[i]);
    if (!form)
      GLOW_TRY(glow_setup_packed(setup, forward, 0, &net->packed[i]));
    GLOW_TRY(glow_setup_packed(setup, transposed, 1, &net->back[i]));
  }
  return GLOW_OK;
}

static glow_status declare_forward(glow__conv_net *net, glow_setup *setup) {
  int64_t partial = glow__conv_partial(net);
  int64_t packed = net->products->packed_floats(glow_setup_context(setup), 1, 9 * net->out);
  int64_t taps = packed > 9 * net->out ? packed : 9 * net->out; /* backward packs others here */
  GLOW_TRY(glow_setup_scratch(setup, 0, net->image * taps, &net->taps));
  GLOW_TRY(glow_setup_scratch(setup, glow__strip_fixed(partial),
                              glow__strip_per_sample(net->image, partial), &net->partial));
  return net->products->declare(net, setup);
}

static glow_status declare_backward(glow__conv_net *net, glow_setup *setup) {
  GLOW_TRY(glow_setup_backward_scratch(setup, 0, net->image * 9 * net->in, &net->d_gathered));
  GLOW_TRY(glow_setup_backward_scratch(setup, 2 * glow__conv_partial(net), 0, &net->sums));
  return net->products->declare_backward(net, setup);
}

/* ---- configure ------------------------------------------------------------------------------- */

static glow_status conv_net_set_sizes(glow__conv_net *net, glow_setup *setup,
                                      const glow_shape *input, int64_t out_channels,
                                      int64_t *each) {
  const int64_t limit = (int64_t)1 << 24;
  const glow__pixel_condition condition = {net->options.condition, net->options.standardise};
  GLOW_TRY(glow__pixel_input_declare(&net->input, setup, &condition, input, "conv"));
  if (out_channels < 1 || out_channels > limit)
    return glow_error(GLOW_E_LIMIT, "a conv net to %lld channels; 1 to %lld are possible",
                      (long long)out_channels, (long long)limit);
  net->height = input->height;
  net->width = input->width;
  net->image = net->input.image;
  net->in = net->input.channels;
  net->out = out_channels;
  net->hidden = net->options.hidden;
  if (!glow_size_multiply(net->image, 9 * (net->in + net->out) + net->hidden, each))
    return glow_error(GLOW_E_LIMIT, "a conv net on %lld x %lld pixels is too large",
                      (long long)net->height, (long long)net->width);
  return GLOW_OK;
}

glow_status glow__conv_configure(glow__conv_net *net, glow_setup *setup, const glow_shape *input,
                                 int64_t out_channels, bool form) {
  bool rounded = glow_context_products(glow_setup_context(setup)) == GLOW_PRODUCTS_BFLOAT16;
  int64_t each = 0, work = 0;
  net->products = rounded ? &glow__conv_bfloat16 : &glow__conv_float;
  GLOW_TRY(conv_net_set_sizes(net, setup, input, out_channels, &each));
  GLOW_TRY(conv_net_declare_tensors(net, setup, form));
  GLOW_TRY(declare_weights(net, setup, form));
  GLOW_TRY(declare_forward(net, setup));
  GLOW_TRY(declare_backward(net, setup));
  if (!form)
    GLOW_TRY(glow__pixel_input_declare_rounds(&net->input, setup, net->options.actnorm ? 2 : 0,
                                              glow_moments_bytes(net->hidden)));
  if (!glow_size_multiply(each, net->hidden, &work))
    work = INT64_MAX;
  GLOW_TRY(glow_setup_work(setup, work, work));
  int64_t derived = 2 * net->hidden + net->out + glow__conv_border_floats(net);
  return glow_setup_derived(setup, (size_t)derived * sizeof(float));
}

static glow_status conv_net_configure(void *self, glow_setup *setup, const glow_shape *input,
                                      int64_t out_channels) {
  return glow__conv_configure(self, setup, input, out_channels, false);
}

/* ---- values ---------------------------------------------------------------------------------- */

static glow_status conv_net_reset(const void *self, const glow_call *call) {
  const glow__conv_net *net = self;
  int64_t sizes[] = {net->hidden * net->in * 9, net->hidden * net->hidden, net->hidden * 9};
  int32_t weights[] = {net->w1, net->w2, net->e1};
  uint64_t position = 0;
  for (int32_t i = 0; i < (net->options.border ? 3 : 2); i++) {
    float *w = glow_call_tensor_mutable(call, weights[i]);
    glow_random_normal(net->options.seed, GLOW_STREAM_RESET, position, w, sizes[i]);
    for (int64_t j = 0; j < sizes[i]; j++)
      w[j] *= HIDDEN_DEVIATION;
    position += (uint64_t)sizes[i];
  }
  glow__pixel_input_reset(&net->input, call);
  return GLOW_OK;
}

static glow__conv_scales scales_at(const glow__conv_net *net, float *derived) {
  float *border = derived + 2 * net->hidden + net->out;
  return (glow__conv_scales){derived, derived + net->hidden, derived + 2 * net->hidden, border,
                             border + GLOW_BORDER_KINDS * net->hidden};
}

glow__conv_scales glow__conv_scales_of(const glow__conv_net *net, const glow_call *call) {
  return scales_at(net, (float *)(uintptr_t)glow_call_derived(call));
}

static void exponentials(const glow_call *call, int32_t tensor, float factor, int64_t count,
                         float *out) {
  const float *logs = tensor < 0 ? NULL : glow_call_tensor(call, tensor);
  for (int64_t i = 0; i < count; i++)
    out[i] = logs ? expf(factor * logs[i]) : 1.0f;
}

glow_status glow__conv_prepare(const void *self, const glow_call *call) {
  const glow__conv_net *net = self;
  glow__conv_scales s = scales_at(net, glow_call_derived_mutable(call));
  exponentials(call, net->l1, 1.0f, net->hidden, s.s1);
  exponentials(call, net->l2, 1.0f, net->hidden, s.s2);
  exponentials(call, net->l3, 3.0f, net->out, s.s3);
  if (net->options.border) {
    glow__border_table(net->height, net->width, net->hidden, glow_call_tensor(call, net->e1),
                       s.border1);
    glow__border_table(net->height, net->width, net->out, glow_call_tensor(call, net->e3),
                       s.border3);
  }
  return glow__pixel_input_prepare(&net->input, call);
}

/* ---- the type -------------------------------------------------------------------------------- */

#define OPTION(field, type, ...) GLOW_OPTION(glow_conv_net_options, field, type, __VA_ARGS__)

static const glow_option conv_net_rows[] = {
    OPTION(hidden, INT32, .low = 1, .high = 65536, .fallback = 512),
    OPTION(actnorm, INT32, .high = 1, .fallback = 1),
    OPTION(border, INT32, .key = "edge", .high = 1),
    OPTION(seed, UINT64, .flags = 0),
    OPTION(standardise, INT32, .high = 1, .flags = GLOW_OPTION_QUIET),
    GLOW_NET_CONDITION_ROWS(glow_conv_net_options, "condition_channels", GLOW_OPTION_QUIET),
};

static glow_status conv_net_check(const void *options) {
  const glow_conv_net_options *o = options;
  return glow__net_check_standardise("glow_conv_net_options", o->standardise, &o->condition);
}

static const glow_options_table conv_net_options = {
    GLOW_OPTIONS_TABLE(glow_conv_net_options, conv_net_rows), .check = conv_net_check};

const glow_net_ops glow__conv_net_ops = {
    .struct_size = sizeof(glow_net_ops),
    .type = "conv",
    .flags = GLOW_NET_ALWAYS_PREPARES | GLOW_NET_SKIPS_GRADIENTS | GLOW_NET_ROUNDS_INPUT,
    .options = &conv_net_options,
    .self_size = sizeof(glow__conv_net),
    .configure = conv_net_configure,
    .reset = conv_net_reset,
    .initialise = glow__conv_net_initialise,
    .prepare = glow__conv_prepare,
    .forward = glow__conv_net_forward,
    .backward = glow__conv_net_backward,
    .inference_form = glow__conv_net_form,
    .diagnose = glow__conv_net_diagnose,
};

glow_status glow_conv_net_create(glow_context *context, const glow_conv_net_options *options,
                                 glow_net **out) {
  return glow_net_create(context, &glow__conv_net_ops, options, out);
}
