/* Glow's conditioner network: conv3x3 -> norm1 -> ReLU -> conv1x1 -> norm2 -> ReLU -> zero conv3x3.
 * Options, tensors, memory; the passes are in files of their own.
 * Source: Kingma and Dhariwal 2018, section 3 and the code published with it.
 * SPDX-License-Identifier: MIT */
#include <math.h>

#include "math/moments.h"
#include "nets/conv_net16.h"
#include "nets/strips.h"

#define HIDDEN_DEVIATION 0.05f
#define MAX_HIDDEN 65536

static glow_status declare_norm(glow__conv_net *net, glow_setup *setup, const char *norm,
                                const char *conv, int32_t *bias, int32_t *logs) {
  int64_t width[] = {net->hidden};
  GLOW_TRY(glow_setup_push(setup, net->actnorm ? norm : conv));
  GLOW_TRY(glow_setup_tensor(setup, "bias", GLOW_TYPE_F32, 1, 1, width, bias));
  *logs = -1;
  if (net->actnorm)
    GLOW_TRY(glow_setup_tensor(setup, "logs", GLOW_TYPE_F32, 1, 1, width, logs));
  glow_setup_pop(setup);
  return GLOW_OK;
}

static glow_status declare_edge(const glow__conv_net *net, glow_setup *setup, const char *name,
                                int64_t out, int32_t *id) {
  int64_t dims[] = {out, 3, 3};
  *id = -1;
  return net->edge ? glow_setup_tensor(setup, name, GLOW_TYPE_F32, 1, 3, dims, id) : GLOW_OK;
}

static glow_status declare_weight(const glow__conv_net *net, glow_setup *setup, const char *name,
                                  const int64_t *dims, int32_t *id) {
  *id = -1;
  return glow__conv_net_is_frozen(net)
             ? GLOW_OK
             : glow_setup_tensor(setup, name, GLOW_TYPE_F32, 1, 4, dims, id);
}

static glow_status declare_tensors(glow__conv_net *net, glow_setup *setup) {
  int64_t w1[] = {net->hidden, net->in, 3, 3}, w2[] = {net->hidden, net->hidden, 1, 1};
  int64_t w3[] = {net->out, net->hidden, 3, 3}, out[] = {net->out};
  GLOW_TRY(declare_weight(net, setup, "conv1.weight", w1, &net->w1));
  GLOW_TRY(declare_edge(net, setup, "conv1.edge", net->hidden, &net->e1));
  GLOW_TRY(declare_norm(net, setup, "norm1", "conv1", &net->b1, &net->l1));
  GLOW_TRY(declare_weight(net, setup, "conv2.weight", w2, &net->w2));
  GLOW_TRY(declare_norm(net, setup, "norm2", "conv2", &net->b2, &net->l2));
  GLOW_TRY(declare_weight(net, setup, "conv3.weight", w3, &net->w3));
  GLOW_TRY(declare_edge(net, setup, "conv3.edge", net->out, &net->e3));
  GLOW_TRY(glow_setup_tensor(setup, "conv3.bias", GLOW_TYPE_F32, 1, 1, out, &net->b3));
  return glow_setup_tensor(setup, "conv3.logs", GLOW_TYPE_F32, 1, 1, out, &net->l3);
}

int64_t glow__conv_net_packed(const glow__kernels *kernels, const glow__kernels16 *kernels16,
                              int64_t k, int64_t n) {
  return kernels16 ? glow__packed16(kernels16, k, n) : glow__packed_size(kernels, k, n);
}

/* Packed weights W1 [9 in, hidden], W2, W3 [hidden, 9 out]. */
static glow_status declare_packed(glow__conv_net *net, glow_setup *setup) {
  const glow_context *context = glow_setup_context(setup);
  int64_t hidden = net->hidden, taps_in = 9 * net->in, taps_out = 9 * net->out;
  const struct {
    int64_t k, n;
    int32_t *forward, *backward; /* backward's is the transpose */
  } matrices[] = {{taps_in, hidden, &net->packed[0], &net->back[0]},
                  {hidden, hidden, &net->packed[1], &net->back[1]},
                  {hidden, taps_out, &net->packed[2], &net->back[2]}};
  for (int i = 0; i < 3; i++) {
    int64_t k = matrices[i].k, n = matrices[i].n;
    GLOW_TRY(glow_setup_packed(setup,
                               glow__conv_net_packed(context->kernels, context->kernels16, k, n), 0,
                               matrices[i].forward));
    GLOW_TRY(glow_setup_packed(setup,
                               glow__conv_net_packed(context->kernels, context->kernels16, n, k), 1,
                               matrices[i].backward));
  }
  return GLOW_OK;
}

static glow_status declare_forward(glow__conv_net *net, glow_setup *setup,
                                   const glow__kernels *kernels, const glow__kernels16 *kernels16) {
  int64_t hidden = net->hidden, partial = glow__conv_net_partial(net);
  int64_t row = kernels16 ? glow__pairs(hidden) : glow__packed_size(kernels, 1, hidden);
  int64_t strip = kernels16 ? glow__conv_net16_strip_floats(net)
                            : GLOW_STRIP * (9 * glow__conv_net_wide(net) + 2 * row);
  if (!glow__conv_net_is_frozen(net)) {
    GLOW_TRY(glow_setup_scratch(setup, hidden * 9 * net->in, 0, &net->by_tap1));
    GLOW_TRY(glow_setup_scratch(setup, hidden * 9 * net->out, 0, &net->by_tap3));
    GLOW_TRY(declare_packed(net, setup));
  }
  GLOW_TRY(glow_setup_scratch(setup, 0, net->image * 9 * net->out, &net->taps));
  GLOW_TRY(glow_setup_scratch(setup, glow__strip_fixed(partial),
                              glow__strip_per_sample(net->image, partial), &net->partial));
  GLOW_TRY(glow_setup_worker_scratch(setup, strip, &net->strip));
  GLOW_TRY(glow_setup_stored(setup, 0, net->image * row, &net->h1));
  return glow_setup_stored(setup, 0, net->image * row, &net->h2);
}

static glow_status declare_factors(glow__conv_net *net, glow_setup *setup) {
  const glow__kernels *kernels = glow_setup_context(setup)->kernels;
  const int64_t left[] = {9 * net->in, net->hidden, 9 * net->out};
  for (int i = 0; i < 3; i++)
    GLOW_TRY(glow_setup_backward_scratch(
        setup, 0, net->image * glow__packed_size(kernels, 1, left[i]), &net->left[i]));
  return glow_setup_backward_scratch(
      setup, 0, net->image * glow__packed_size(kernels, 1, net->hidden), &net->d1);
}

static glow_status declare_factors16(glow__conv_net *net, glow_setup *setup,
                                     const glow__kernels16 *kernels) {
  int64_t hidden = net->hidden, pairs = glow__pairs(net->image);
  int64_t block = glow__packed16(kernels, GLOW_WEIGHT_PIXELS, GLOW_WEIGHT_COLUMNS);
  GLOW_TRY(glow_setup_backward_scratch(setup, 0, pairs * 9 * net->in, &net->left[0]));
  GLOW_TRY(glow_setup_backward_scratch(setup, 0, pairs * hidden, &net->left[1]));
  net->left[2] = net->taps;
  GLOW_TRY(glow_setup_backward_scratch(setup, 0, net->image * glow__pairs(hidden), &net->d1));
  return glow_setup_worker_scratch(setup, block, &net->weight_block);
}

static glow_status declare_backward(glow__conv_net *net, glow_setup *setup,
                                    const glow__kernels16 *kernels16) {
  GLOW_TRY(glow_setup_backward_scratch(setup, 0, net->image * 9 * net->in, &net->d_gathered));
  GLOW_TRY(glow_setup_backward_scratch(setup, 2 * glow__conv_net_partial(net), 0, &net->sums));
  return kernels16 ? declare_factors16(net, setup, kernels16) : declare_factors(net, setup);
}

static glow_status configure(void *self, glow_setup *setup, const glow_shape *input,
                             int64_t out_channels) {
  glow__conv_net *net = self;
  int64_t limit = (int64_t)1 << 24, count = 0, work = 0;
  if (input->channels > limit || out_channels > limit)
    return glow_error(GLOW_E_LIMIT, "a conv net of %lld to %lld channels",
                      (long long)input->channels, (long long)out_channels);
  net->height = input->height;
  net->width = input->width;
  net->in = input->channels;
  net->out = out_channels;
  if (!glow_size_multiply(net->height, net->width, &net->image) ||
      !glow_size_multiply(net->image, 9 * (net->in + net->out) + net->hidden, &count))
    return glow_error(GLOW_E_LIMIT, "a conv net on %lld x %lld pixels is too large",
                      (long long)net->height, (long long)net->width);
  const glow_context *context = glow_setup_context(setup);
  GLOW_TRY(declare_tensors(net, setup));
  GLOW_TRY(declare_forward(net, setup, context->kernels, context->kernels16));
  if (!glow__conv_net_is_frozen(net))
    GLOW_TRY(declare_backward(net, setup, context->kernels16));
  if (!glow_size_multiply(count, net->hidden, &work))
    work = INT64_MAX;
  GLOW_TRY(glow_setup_work(setup, work));
  count = 2 * (int64_t)net->hidden + net->out + glow__conv_net_border(net);
  return glow_setup_derived(setup, (size_t)count * sizeof(float));
}

static glow_status build(const void *self, const glow_call *call) {
  const glow__conv_net *net = self;
  int64_t sizes[] = {net->hidden * net->in * 9, (int64_t)net->hidden * net->hidden,
                     net->hidden * 9};
  int32_t weights[] = {net->w1, net->w2, net->e1};
  uint64_t position = 0;
  for (int32_t i = 0; i < (net->edge ? 3 : 2); i++) {
    float *w = glow_call_tensor_mutable(call, weights[i]);
    glow_random_normal(net->seed, GLOW_STREAM_RESET, position, w, sizes[i]);
    for (int64_t j = 0; j < sizes[i]; j++)
      w[j] *= HIDDEN_DEVIATION;
    position += (uint64_t)sizes[i];
  }
  return GLOW_OK;
}

static glow__conv_net_scales scales_at(const glow__conv_net *net, float *derived) {
  float *border = derived + 2 * (int64_t)net->hidden + net->out;
  return (glow__conv_net_scales){derived, derived + net->hidden, derived + 2 * net->hidden, border,
                                 border + GLOW_BORDER_KINDS * (int64_t)net->hidden};
}

glow__conv_net_scales glow__conv_net_scales_of(const glow__conv_net *net, const glow_call *call) {
  return scales_at(net, (float *)(uintptr_t)glow_call_derived(call));
}

static void exponentials(const glow_call *call, int32_t tensor, float factor, int64_t count,
                         float *out) {
  const float *logs = tensor < 0 ? NULL : glow_call_tensor(call, tensor);
  for (int64_t i = 0; i < count; i++)
    out[i] = logs ? expf(factor * logs[i]) : 1.0f;
}

static glow_status prepare(const void *self, const glow_call *call) {
  const glow__conv_net *net = self;
  glow__conv_net_scales s = scales_at(net, glow_call_derived_mutable(call));
  exponentials(call, net->l1, 1.0f, net->hidden, s.s1);
  exponentials(call, net->l2, 1.0f, net->hidden, s.s2);
  exponentials(call, net->l3, 3.0f, net->out, s.s3);
  if (net->edge) {
    glow__border_table(net->height, net->width, net->hidden, glow_call_tensor(call, net->e1),
                       s.border1);
    glow__border_table(net->height, net->width, net->out, glow_call_tensor(call, net->e3),
                       s.border3);
  }
  return GLOW_OK;
}

static void init_size(const void *self, int32_t *rounds, size_t *bytes) {
  const glow__conv_net *net = self;
  *rounds = net->actnorm ? 2 : 0;
  *bytes = glow__moments_size(net->hidden);
}

static glow_status save(const void *self, glow_config *config) {
  const glow__conv_net *net = self;
  GLOW_TRY(glow_config_set_int(config, "net.hidden", net->hidden));
  GLOW_TRY(glow_config_set_int(config, "net.actnorm", net->actnorm));
  return glow_config_set_int(config, "net.edge", net->edge);
}

static void destroy(void *self, glow_context *context) {
  glow_release(context, ((glow__conv_net *)self)->frozen[0]);
  glow_release(context, self);
}

static const glow_net_ops ops = {
    .struct_size = sizeof(glow_net_ops),
    .type = "conv",
    .flags = GLOW_NET_ALWAYS_PREPARES,
    .configure = configure,
    .reset = build,
    .prepare = prepare,
    .initialise_size = init_size,
    .initialise = glow__conv_net_init,
    .forward = glow__conv_net_forward,
    .backward = glow__conv_net_backward,
    .save = save,
    .inference_form = glow__conv_net_freeze,
    .destroy = destroy,
};

/* What it has, it was given when it was frozen: it is not built, initialised or saved. */
static const glow_net_ops frozen_ops = {
    .struct_size = sizeof(glow_net_ops),
    .type = "conv",
    .flags = GLOW_NET_ALWAYS_PREPARES | GLOW_NET_INFERENCE_ONLY,
    .configure = configure,
    .prepare = prepare,
    .forward = glow__conv_net_forward,
    .destroy = destroy,
};

glow_status glow__conv_net_wrap(glow_context *context, glow__conv_net *net, glow_net **out) {
  return glow_net_create(context, glow__conv_net_is_frozen(net) ? &frozen_ops : &ops, net, out);
}

glow_status glow_conv_net_create(glow_context *context, const glow_conv_net_options *options,
                                 glow_net **out) {
  glow_conv_net_options o = GLOW_CONV_NET_OPTIONS_INIT;
  if (out)
    *out = NULL;
  if (!context || !out)
    return glow_error(GLOW_E_ARGUMENT, "glow_conv_net_create: NULL argument");
  GLOW_TRY(glow__options_copy(&o, sizeof o, options, offsetof(glow_conv_net_options, edge),
                              "glow_conv_net_options"));
  if (o.hidden < 1 || o.hidden > MAX_HIDDEN)
    return glow_error(GLOW_E_ARGUMENT, "hidden is %d; it must be 1 to %d", o.hidden, MAX_HIDDEN);
  if (o.actnorm < 0 || o.actnorm > 1)
    return glow_error(GLOW_E_ARGUMENT, "actnorm is %d; it must be 0 or 1", o.actnorm);
  if (o.edge < 0 || o.edge > 1 || o.reserved)
    return glow_error(GLOW_E_ARGUMENT, "edge is %d; it must be 0 or 1, and reserved 0", o.edge);
  glow__conv_net *net = glow_allocate(context, sizeof *net);
  if (!net)
    return GLOW_E_MEMORY;
  net->hidden = o.hidden;
  net->actnorm = o.actnorm;
  net->edge = o.edge;
  net->seed = o.seed;
  return glow__conv_net_wrap(context, net, out);
}

glow_status glow__conv_net_make(glow_context *context, const glow_config *config, glow_net **out) {
  glow_conv_net_options o = GLOW_CONV_NET_OPTIONS_INIT;
  int64_t hidden = o.hidden, actnorm = o.actnorm, edge = o.edge;
  GLOW_TRY(glow_config_get_int(config, "net.hidden", 1, MAX_HIDDEN, &hidden));
  GLOW_TRY(glow_config_get_int(config, "net.actnorm", 0, 1, &actnorm));
  GLOW_TRY(glow_config_get_int(config, "net.edge", 0, 1, &edge));
  o.hidden = (int32_t)hidden;
  o.actnorm = (int32_t)actnorm;
  o.edge = (int32_t)edge;
  return glow_conv_net_create(context, &o, out);
}
