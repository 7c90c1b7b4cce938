/* coupling: a part of the elements, x1, stays as it is and conditions the change of the others, x2.
 *   affine    h = net(x1), shift and raw its halves; y2 = (x2 + shift) s(raw) or, in the order of
 *             RealNVP, y2 = x2 s(raw) + shift; log-det = sum log s
 *   additive  y2 = x2 + net(x1); log-det = 0
 * A mask says what x1 is. With C channels:
 *   channels      the first C - floor(C/2); inverted, the last C - floor(C/2)
 *   checkerboard  the pixels where the mask is 1, row + column odd; inverted, the others. The net
 *                 sees all pixels, 0 where the mask is 0, and its output is used there
 *   indices       the channels that are listed, in their order; inverted, those that are not
 *                 listed, in ascending order
 * and x2 is the rest. Dinh et al. 2014; Dinh et al. 2016, section 3.4; Kingma and Dhariwal 2018,
 * section 3.3. SPDX-License-Identifier: MIT */
#include "layers/coupling.h"

#include <glow/sys/net.h>
#include <string.h>

typedef glow__coupling coupling;

enum { COUPLING_NET = 0 }; /* the one net that it hosts */

/* ---- building -------------------------------------------------------------------------------- */

/* Puts the listed channels before the others, which ascend. */
static glow_status coupling_sort(const coupling *c, unsigned char *listed) {
  int64_t count = c->o.index_count;
  for (int64_t i = 0; i < count; i++) {
    int32_t channel = c->o.indices[i];
    if (channel >= c->channels)
      return glow_error(GLOW_E_SHAPE, "indices[%lld] is %d; the input has channels 0 to %lld",
                        (long long)i, (int)channel, (long long)c->channels - 1);
    if (listed[channel]++)
      return glow_error(GLOW_E_SHAPE, "indices has channel %d twice; list each channel once",
                        (int)channel);
    c->order[i] = channel;
  }
  for (int64_t channel = 0; channel < c->channels; channel++)
    if (!listed[channel])
      c->order[count++] = (int32_t)channel;
  return GLOW_OK;
}

static glow_status coupling_order(coupling *c, glow_context *context) {
  if (c->channels > 1 << 24)
    return glow_error(GLOW_E_LIMIT, "too many channels");
  c->order = glow_allocate(context, (size_t)c->channels * sizeof *c->order);
  unsigned char *listed = c->order ? glow_allocate(context, (size_t)c->channels) : NULL;
  glow_status status = listed ? coupling_sort(c, listed) : GLOW_E_MEMORY;
  glow_release(context, listed);
  return status;
}

static glow_status coupling_listed(coupling *c, glow_context *context) {
  GLOW_TRY(coupling_order(c, context));
  int64_t listed = c->o.index_count, others = c->channels - listed;
  c->seen = c->o.invert ? others : listed;
  c->changed = c->o.invert ? listed : others;
  c->x1 = c->o.invert ? c->order + listed : c->order;
  c->x2 = c->o.invert ? c->order : c->order + listed;
  if (c->changed)
    return GLOW_OK;
  if (c->o.invert)
    return glow_error(GLOW_E_SHAPE, "no channels are listed and invert is 1: none would change");
  return glow_error(GLOW_E_SHAPE, "all %lld channels are listed: none would change",
                    (long long)c->channels);
}

static glow_status coupling_divide(coupling *c, glow_context *context) {
  if (c->o.mask == GLOW_MASK_INDICES)
    return coupling_listed(c, context);
  c->changed = c->o.mask == GLOW_MASK_CHECKERBOARD ? c->channels : c->channels / 2;
  c->seen = c->o.mask == GLOW_MASK_CHECKERBOARD ? c->channels : c->channels - c->changed;
  if (c->o.mask == GLOW_MASK_CHECKERBOARD && c->image < 2)
    return glow_error(GLOW_E_SHAPE, "a checkerboard mask needs two pixels or more");
  if (!c->changed)
    return glow_error(GLOW_E_SHAPE, "a channel mask needs two channels or more; with one channel, "
                                    "use GLOW_MASK_INDICES and a net that reads a condition");
  return GLOW_OK;
}

/* Whether x1 has to be gathered into rows for the net. */
static bool coupling_gathers(const coupling *c) {
  return (c->o.mask != GLOW_MASK_CHANNELS || c->rounds) && c->seen;
}

static glow_status coupling_declare(coupling *c, glow_setup *setup) {
  int64_t changed[] = {c->changed};
  GLOW_TRY(glow_setup_scratch(setup, 0, c->image * c->out, &c->h));
  GLOW_TRY(glow_setup_stored(setup, 0, c->image * c->out, &c->saved_h));
  GLOW_TRY(glow_setup_backward_scratch(setup, 0, c->image * c->out, &c->dh));
  if (coupling_gathers(c)) {
    GLOW_TRY(glow_setup_scratch(setup, 0, c->image * c->seen, &c->x_seen));
    GLOW_TRY(glow_setup_backward_scratch(setup, 0, c->image * c->seen, &c->dx_seen));
  }
  if (!glow__coupling_learns_scale(c))
    return GLOW_OK;
  GLOW_TRY(glow_setup_tensor(setup, "scale", GLOW_TYPE_F32, 1, 1, changed, &c->scale));
  return glow_setup_backward_scratch(setup, (int64_t)GLOW_MOST_GROUPS * 2 * c->changed, 0,
                                     &c->d_scale);
}

static glow_status coupling_configure(void *self, glow_setup *setup, const glow_shape *input,
                                      glow_shape *output) {
  coupling *c = self;
  *output = *input;
  c->width = input->width;
  c->image = input->height * input->width;
  c->channels = input->channels;
  c->rounds = glow_setup_net_rounds(setup, COUPLING_NET);
  GLOW_TRY(coupling_divide(c, glow_setup_context(setup)));
  c->out = glow__coupling_is_affine(c) ? 2 * c->changed : c->changed;
  glow_shape seen = {input->height, input->width, c->seen};
  GLOW_TRY(coupling_declare(c, setup));
  return glow_setup_net(setup, COUPLING_NET, &seen, c->out);
}

/* The scale starts as in the code published with the 2016 paper: at 0, so that nothing is scaled,
 * under a checkerboard, and at 1 under a mask of channels. */
static glow_status coupling_reset(const void *self, const glow_call *call) {
  const coupling *c = self;
  float *scale = glow__coupling_learns_scale(c) ? glow_call_tensor_mutable(call, c->scale) : NULL;
  for (int64_t j = 0; scale && j < c->changed; j++)
    scale[j] = c->o.mask == GLOW_MASK_CHECKERBOARD ? 0.0f : 1.0f;
  return GLOW_OK;
}

static void coupling_destroy(void *self, glow_context *context) {
  coupling *c = self;
  glow_release(context, c->order);
}

/* ---- passes ---------------------------------------------------------------------------------- */

/* Floats from one pixel of the net's input to the next. */
static int64_t coupling_stride(const coupling *c) {
  return coupling_gathers(c) ? c->seen : c->channels;
}

/* The net's input for x. */
static const float *coupling_net_input(const coupling *c, const glow_call *call, const float *x) {
  if (!coupling_gathers(c))
    return x + glow__coupling_seen_from(c);
  glow__coupling_run run = glow__coupling_begin(c, call);
  run.from = x;
  run.to = glow_call_scratch(call, c->x_seen);
  glow__coupling_gather(&run);
  return run.to;
}

static glow_status coupling_initialise(const void *self, const glow_call *call, int32_t round,
                                       int32_t phase, const float *x) {
  const coupling *c = self;
  const float *seen = phase == GLOW_INITIALISE_BATCH ? coupling_net_input(c, call, x) : NULL;
  return glow_call_net_initialise(call, COUPLING_NET, round, phase, seen, coupling_stride(c));
}

static float *coupling_run_net(const coupling *c, const glow_call *call, const float *x) {
  float *saved = glow_call_stored(call, c->saved_h);
  float *h = saved ? saved : glow_call_scratch(call, c->h);
  glow_call_net_forward(call, COUPLING_NET, coupling_net_input(c, call, x), coupling_stride(c), h);
  return h;
}

static void coupling_forward(const void *self, const glow_call *call, const float *x, float *y,
                             double *logdet, double *logprior) {
  glow__coupling_run run = glow__coupling_begin(self, call);
  (void)logprior;
  run.h = coupling_run_net(self, call, x);
  run.from = x;
  run.to = y;
  run.logdet = logdet;
  glow__coupling_forward(&run);
}

static glow_status coupling_inverse(const void *self, const glow_call *call, const float *y,
                                    float *x, double *logdet, double *logprior) {
  (void)logprior;
  glow__coupling_run run = glow__coupling_begin(self, call);
  run.h = coupling_run_net(self, call, y);
  run.from = y;
  run.to = x;
  run.logdet = logdet;
  glow__coupling_inverse(&run);
  return GLOW_OK;
}

/* Adds to dx what comes back through the net. */
static void coupling_net_backward(const coupling *c, glow__coupling_run *run) {
  const glow_call *call = run->call;
  const glow_layer_gradient *g = run->g;
  const float *seen = coupling_net_input(c, call, g->y);
  int64_t stride = coupling_stride(c);
  if (!coupling_gathers(c)) {
    glow_call_net_backward(call, COUPLING_NET, seen, stride, run->h, run->dh,
                           g->dx + glow__coupling_seen_from(c), stride);
    return;
  }
  float *d_seen = glow_call_scratch(call, c->dx_seen);
  memset(d_seen, 0, (size_t)(run->groups.samples * c->image * c->seen) * sizeof *d_seen);
  glow_call_net_backward(call, COUPLING_NET, seen, stride, run->h, run->dh, d_seen, stride);
  run->from = d_seen;
  run->to = g->dx;
  glow__coupling_scatter_add(run);
}

/* x1 = y1, so the net can be run from the output: reconstruction costs one forward of the net,
 * which also fills what the net's backward needs. */
static void coupling_backward(const void *self, const glow_call *call,
                              const glow_layer_gradient *g) {
  const coupling *c = self;
  glow__coupling_run run = glow__coupling_begin(c, call);
  run.h = glow_call_stored_valid(call) ? glow_call_stored(call, c->saved_h)
                                       : coupling_run_net(c, call, g->y);
  run.dh = glow_call_scratch(call, c->dh);
  run.g = g;
  glow__coupling_backward(&run);
  coupling_net_backward(c, &run);
}

/* v2 = -dx2 / s. The gradient of y1 is that of x1 plus what comes through the net, which is what
 * backward makes of (gradient of x1, v2): so one run back through the net gives everything. */
static void coupling_inverse_backward(const void *self, const glow_call *call,
                                      const glow_layer_inverse_gradient *g) {
  const coupling *c = self;
  glow__coupling_run run = glow__coupling_begin(c, call);
  run.h = glow_call_stored(call, c->saved_h);
  run.from = g->dx;
  run.to = g->dy;
  glow__coupling_turn(&run, g->dx, true);
  const glow_layer_gradient forward = glow__inverse_forwards(g);
  coupling_backward(self, call, &forward);
  glow__coupling_turn(&run, g->dy, false);
}

/* The scales that forward has just used: its h is stored. */
static glow_status coupling_diagnose(const void *self, const glow_call *call, const float *x,
                                     glow_findings *findings) {
  const coupling *c = self;
  if (!x || !glow__coupling_is_affine(c))
    return GLOW_OK;
  glow__coupling_run run = glow__coupling_begin(c, call);
  run.h = glow_call_stored(call, c->saved_h);
  glow__coupling_diagnose(&run, findings);
  return GLOW_OK;
}

/* ---- options --------------------------------------------------------------------------------- */

static const glow_choice coupling_kinds[] = {
    {GLOW_COUPLING_AFFINE, 0, "affine"}, {GLOW_COUPLING_ADDITIVE, 0, "additive"}, {0, 0, NULL}};
static const glow_choice coupling_scales[] = {{GLOW_SCALE_SIGMOID, 0, "sigmoid"},
                                              {GLOW_SCALE_EXP, 0, "exp"},
                                              {GLOW_SCALE_TANH, 0, "tanh"},
                                              {GLOW_SCALE_SIGMOID_FLOOR, 0, "sigmoid_floor"},
                                              {GLOW_SCALE_TANH_LEARNED, 0, "tanh_learned"},
                                              {0, 0, NULL}};
static const glow_choice coupling_masks[] = {{GLOW_MASK_CHANNELS, 0, "channels"},
                                             {GLOW_MASK_CHECKERBOARD, 0, "checkerboard"},
                                             {GLOW_MASK_INDICES, 0, "indices"},
                                             {0, 0, NULL}};
static const glow_choice coupling_orders[] = {{GLOW_ORDER_SHIFT_SCALE, 0, "shift_scale"},
                                              {GLOW_ORDER_SCALE_SHIFT, 0, "scale_shift"},
                                              {0, 0, NULL}};

static const glow_option coupling_rows[] = {
    GLOW_OPTION(glow_coupling_options, kind, CHOICE, .fallback = GLOW_COUPLING_AFFINE,
                .choices = coupling_kinds, .prefix = "GLOW_COUPLING_"),
    GLOW_OPTION(glow_coupling_options, scale, CHOICE, .fallback = GLOW_SCALE_SIGMOID,
                .choices = coupling_scales, .prefix = "GLOW_SCALE_"),
    GLOW_OPTION(glow_coupling_options, floor, REAL, .high = 1, .fallback = 0.05,
                .flags = GLOW_OPTION_ABOVE_LOW | GLOW_OPTION_BELOW_HIGH),
    GLOW_OPTION(glow_coupling_options, mask, CHOICE, .fallback = GLOW_MASK_CHANNELS,
                .choices = coupling_masks, .prefix = "GLOW_MASK_"),
    GLOW_OPTION(glow_coupling_options, invert, INT32, .high = 1),
    GLOW_OPTION(glow_coupling_options, order, CHOICE, .fallback = GLOW_ORDER_SHIFT_SCALE,
                .choices = coupling_orders, .prefix = "GLOW_ORDER_"),
    GLOW_OPTION(glow_coupling_options, reserved, RESERVED, .fallback = 0),
    GLOW_OPTION(glow_coupling_options, indices, INDICES, .high = INT32_MAX,
                .flags = GLOW_OPTION_QUIET),
};

static glow_status coupling_check(const void *options) {
  const glow_coupling_options *o = options;
  if (o->index_count && o->mask != GLOW_MASK_INDICES)
    return glow_error(GLOW_E_ARGUMENT,
                      "glow_coupling_options: %lld indices are given, but mask is %d; only "
                      "GLOW_MASK_INDICES (%d) reads them",
                      (long long)o->index_count, (int)o->mask, GLOW_MASK_INDICES);
  return GLOW_OK;
}

static const glow_options_table coupling_table = {
    GLOW_OPTIONS_TABLE(glow_coupling_options, coupling_rows), .check = coupling_check};

static const glow_hosted_net coupling_nets[] = {[COUPLING_NET] = {"net", "conv"}};

/* An additive coupling has no scale: whatever was asked for, files say "sigmoid". */
static glow_status coupling_create(glow_context *context, const void *options, glow_net **nets,
                                   glow_layer **out) {
  GLOW_TRY(glow_layer_create(context, &glow__coupling_ops, options, nets, out));
  coupling *c = glow_layer_self(*out);
  if (!glow__coupling_is_affine(c))
    c->o.scale = GLOW_SCALE_SIGMOID;
  return GLOW_OK;
}

const glow_layer_ops glow__coupling_ops = {
    .struct_size = sizeof(glow_layer_ops),
    .type = "coupling",
    .flags = GLOW_LAYER_BY_TASKS | GLOW_LAYER_IN_PLACE | GLOW_LAYER_RECONSTRUCTS |
             GLOW_LAYER_SKIPS_GRADIENTS,
    .net_count = 1,
    .nets = coupling_nets,
    .options = &coupling_table,
    .self_size = sizeof(coupling),
    .configure = coupling_configure,
    .reset = coupling_reset,
    .initialise = coupling_initialise,
    .forward = coupling_forward,
    .inverse = coupling_inverse,
    .backward = coupling_backward,
    .inverse_backward = coupling_inverse_backward,
    .destroy = coupling_destroy,
    .create = coupling_create,
    .diagnose = coupling_diagnose,
};

glow_status glow_coupling_create(glow_context *context, const glow_coupling_options *options,
                                 glow_net **net, glow_layer **out) {
  return coupling_create(context, options, net, out);
}
