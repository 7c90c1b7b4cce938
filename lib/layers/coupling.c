/* coupling: a part of the numbers, x1, passes and conditions the others, x2.
 *   affine    h = net(x1), shift and raw its halves; y2 = (x2 + shift) s(raw) or, in the order of
 *             RealNVP, y2 = x2 s(raw) + shift; log-det = sum log s
 *   additive  y2 = x2 + net(x1); log-det = 0
 * Under a channel mask x1 is one half of the channels and x2 the other. Under a checkerboard mask
 * x1 are the pixels where the mask is 1, row + column odd, and x2 the others; the net sees all
 * pixels, with zeros where the mask is 0, and its output is used there. Inverted masks exchange
 * x1 and x2.
 * Dinh et al. 2014; Dinh et al. 2016, section 3.4; Kingma and Dhariwal 2018, section 3.3.
 * SPDX-License-Identifier: MIT */
#include "layers/coupling.h"

#include <stddef.h>
#include <string.h>

typedef glow__coupling coupling;

static glow_status check_mask(const coupling *c, const glow_shape *input) {
  if (c->mask == GLOW_MASK_CHECKERBOARD && c->image < 2)
    return glow_error(GLOW_E_SHAPE, "a checkerboard mask needs two pixels or more");
  if (c->mask == GLOW_MASK_CHANNELS && input->channels % 2)
    return glow_error(GLOW_E_SHAPE,
                      "a coupling under a channel mask needs an even number of channels, not %lld",
                      (long long)input->channels);
  return GLOW_OK;
}

static glow_status declare(coupling *c, glow_setup *setup) {
  int64_t changed[] = {c->changed};
  GLOW_TRY(glow_setup_scratch(setup, 0, c->image * c->out, &c->h));
  GLOW_TRY(glow_setup_stored(setup, 0, c->image * c->out, &c->saved_h));
  GLOW_TRY(glow_setup_backward_scratch(setup, 0, c->image * c->out, &c->dh));
  if (c->mask == GLOW_MASK_CHECKERBOARD) {
    GLOW_TRY(glow_setup_scratch(setup, 0, c->image * c->channels, &c->masked));
    GLOW_TRY(glow_setup_backward_scratch(setup, 0, c->image * c->channels, &c->d_masked));
  }
  if (c->law != GLOW_SCALE_TANH_LEARNED)
    return GLOW_OK;
  GLOW_TRY(glow_setup_tensor(setup, "scale", GLOW_TYPE_F32, 1, 1, changed, &c->scale));
  return glow_setup_backward_scratch(setup, (int64_t)GLOW_MOST_GROUPS * 2 * c->changed, 0,
                                     &c->d_scale);
}

static glow_status configure(void *self, glow_setup *setup, const glow_shape *input,
                             glow_shape *output) {
  coupling *c = self;
  int32_t rounds = 0;
  size_t bytes = 0;
  *output = *input;
  c->width = input->width;
  c->image = input->height * input->width;
  c->channels = input->channels;
  GLOW_TRY(check_mask(c, input));
  c->changed = c->mask == GLOW_MASK_CHECKERBOARD ? c->channels : c->channels / 2;
  c->out = c->kind == GLOW_COUPLING_AFFINE ? 2 * c->changed : c->changed;
  glow_shape seen = {input->height, input->width, c->changed};
  GLOW_TRY(declare(c, setup));
  GLOW_TRY(glow_setup_push(setup, "net"));
  GLOW_TRY(c->net->ops.configure(c->net->self, setup, &seen, c->out));
  glow_setup_pop(setup);
  if (c->net->ops.initialise_size)
    c->net->ops.initialise_size(c->net->self, &rounds, &bytes);
  return rounds ? glow_setup_initialise(setup, rounds, bytes) : GLOW_OK;
}

/* The scale starts as in the code published with the 2016 paper: at 0, so that nothing is scaled,
 * under a checkerboard, and at 1 under a channel mask. */
static glow_status build(const void *self, const glow_call *call) {
  const coupling *c = self;
  float *scale =
      c->law == GLOW_SCALE_TANH_LEARNED ? glow_call_tensor_mutable(call, c->scale) : NULL;
  for (int64_t j = 0; scale && j < c->changed; j++)
    scale[j] = c->mask == GLOW_MASK_CHECKERBOARD ? 0.0f : 1.0f;
  return c->net->ops.reset ? c->net->ops.reset(c->net->self, call) : GLOW_OK;
}

static glow_status prepare(const void *self, const glow_call *call) {
  const glow_net *net = ((const coupling *)self)->net;
  return net->ops.prepare ? net->ops.prepare(net->self, call) : GLOW_OK;
}

/* ---- passes ---------------------------------------------------------------------------------- */

/* First number that the net sees of a pixel. */
static int64_t seen_from(const coupling *c) {
  return c->mask == GLOW_MASK_CHANNELS && c->invert ? c->changed : 0;
}

/* What the net is given for x: pixels of C floats. */
static const float *net_input(const coupling *c, const glow_call *call, const float *x) {
  if (c->mask == GLOW_MASK_CHANNELS)
    return x + seen_from(c);
  glow__coupling_run run = glow__coupling_begin(c, call);
  run.from = x;
  run.to = glow_call_scratch(call, c->masked);
  glow__coupling_mask(&run);
  return run.to;
}

static glow_status init(const void *self, const glow_call *call, int32_t round, int32_t phase,
                        const float *x) {
  const coupling *c = self;
  const float *seen = phase == GLOW_INITIALISE_BATCH ? net_input(c, call, x) : NULL;
  return c->net->ops.initialise(c->net->self, call, round, phase, seen, c->channels);
}

static float *run_net(const coupling *c, const glow_call *call, const float *x) {
  float *saved = glow_call_stored(call, c->saved_h);
  float *h = saved ? saved : glow_call_scratch(call, c->h);
  c->net->ops.forward(c->net->self, call, net_input(c, call, x), c->channels, h);
  return h;
}

static void forward(const void *self, const glow_call *call, const float *x, float *y,
                    double *logdet, double *logprior) {
  glow__coupling_run run = glow__coupling_begin(self, call);
  (void)logprior;
  run.h = run_net(self, call, x);
  run.from = x;
  run.to = y;
  run.logdet = logdet;
  glow__coupling_forward(&run);
}

static void inverse(const void *self, const glow_call *call, const float *y, float *x,
                    double *logdet) {
  glow__coupling_run run = glow__coupling_begin(self, call);
  run.h = run_net(self, call, y);
  run.from = y;
  run.to = x;
  run.logdet = logdet;
  glow__coupling_inverse(&run);
}

/* Adds to dx what comes back through the net. */
static void net_gradient(const coupling *c, glow__coupling_run *run) {
  const glow_call *call = run->call;
  const glow_layer_gradient *g = run->g;
  const float *seen = net_input(c, call, g->y);
  if (c->mask == GLOW_MASK_CHANNELS) {
    c->net->ops.backward(c->net->self, call, seen, c->channels, run->h, run->dh,
                         g->dx + seen_from(c), c->channels);
    return;
  }
  float *d_seen = glow_call_scratch(call, c->d_masked);
  memset(d_seen, 0, (size_t)(run->groups.samples * c->image * c->channels) * sizeof *d_seen);
  c->net->ops.backward(c->net->self, call, seen, c->channels, run->h, run->dh, d_seen, c->channels);
  run->from = d_seen;
  run->to = g->dx;
  glow__coupling_mask_add(run);
}

/* x1 = y1, so the net can be run from the output: reconstruction costs one forward of the net,
 * which fills what its backward needs. */
static void backward(const void *self, const glow_call *call, const glow_layer_gradient *g) {
  const coupling *c = self;
  glow__coupling_run run = glow__coupling_begin(c, call);
  run.h = glow_call_stored_valid(call) ? glow_call_stored(call, c->saved_h) : run_net(c, call, g->y);
  run.dh = glow_call_scratch(call, c->dh);
  run.g = g;
  glow__coupling_backward(&run);
  net_gradient(c, &run);
}

/* ---- options --------------------------------------------------------------------------------- */

static const char *const kinds[] = {
    [GLOW_COUPLING_AFFINE] = "affine", [GLOW_COUPLING_ADDITIVE] = "additive"};
static const char *const laws[] = {[GLOW_SCALE_SIGMOID] = "sigmoid",
                                   [GLOW_SCALE_EXP] = "exp",
                                   [GLOW_SCALE_TANH] = "tanh",
                                   [GLOW_SCALE_SIGMOID_FLOOR] = "sigmoid_floor",
                                   [GLOW_SCALE_TANH_LEARNED] = "tanh_learned"};
static const char *const masks[] = {
    [GLOW_MASK_CHANNELS] = "channels", [GLOW_MASK_CHECKERBOARD] = "checkerboard"};
static const char *const orders[] = {
    [GLOW_ORDER_SHIFT_SCALE] = "shift_scale", [GLOW_ORDER_SCALE_SHIFT] = "scale_shift"};

static glow_status save(const void *self, glow_config *config) {
  const coupling *c = self;
  GLOW_TRY(glow_config_set_text(config, "kind", kinds[c->kind]));
  GLOW_TRY(glow_config_set_text(config, "scale", laws[c->law]));
  GLOW_TRY(glow_config_set_real(config, "floor", c->floor_exact));
  GLOW_TRY(glow_config_set_text(config, "mask", masks[c->mask]));
  GLOW_TRY(glow_config_set_int(config, "invert", c->invert));
  GLOW_TRY(glow_config_set_text(config, "order", orders[c->order]));
  GLOW_TRY(glow_config_set_text(config, "net", c->net->ops.type));
  if (!c->net->ops.save)
    return glow_error(GLOW_E_UNSUPPORTED, "net '%s' cannot be saved: its table has no save",
                      c->net->ops.type);
  return c->net->ops.save(c->net->self, config);
}

static glow_status freeze(const void *self, const glow_call *call, glow_layer **out) {
  const coupling *c = self;
  glow_coupling_options o = GLOW_COUPLING_OPTIONS_INIT;
  glow_net *net = NULL;
  *out = NULL;
  GLOW_TRY(glow__net_inference_form(c->net, call, &net));
  if (!net)
    return GLOW_OK;
  o.kind = c->kind;
  o.scale = c->law;
  o.floor = c->floor_exact;
  o.mask = c->mask;
  o.invert = c->invert;
  o.order = c->order;
  return glow_coupling_create(glow_call_context(call), &o, &net, out);
}

static void destroy(void *self, glow_context *context) {
  coupling *c = self;
  glow_net_destroy(&c->net);
  glow_release(context, c);
}

static const glow_layer_ops ops = {
    .struct_size = sizeof(glow_layer_ops),
    .type = "coupling",
    .flags = GLOW_LAYER_BY_TASKS | GLOW_LAYER_IN_PLACE | GLOW_LAYER_RECONSTRUCTS,
    .configure = configure,
    .reset = build,
    .initialise = init,
    .prepare = prepare,
    .forward = forward,
    .inverse = inverse,
    .backward = backward,
    .save = save,
    .inference_form = freeze,
    .destroy = destroy,
};

static glow_status check(const glow_coupling_options *o) {
  if (o->kind != GLOW_COUPLING_AFFINE && o->kind != GLOW_COUPLING_ADDITIVE)
    return glow_error(GLOW_E_ARGUMENT, "kind is %d; it must be one of GLOW_COUPLING_...", o->kind);
  if (o->scale < GLOW_SCALE_SIGMOID || o->scale > GLOW_SCALE_TANH_LEARNED)
    return glow_error(GLOW_E_ARGUMENT, "scale is %d; it must be one of GLOW_SCALE_...", o->scale);
  if (!(o->floor > 0 && o->floor < 1))
    return glow_error(GLOW_E_ARGUMENT, "floor is %g; it must be between 0 and 1", o->floor);
  if (o->mask != GLOW_MASK_CHANNELS && o->mask != GLOW_MASK_CHECKERBOARD)
    return glow_error(GLOW_E_ARGUMENT, "mask is %d; it must be one of GLOW_MASK_...", o->mask);
  if (o->invert != 0 && o->invert != 1)
    return glow_error(GLOW_E_ARGUMENT, "invert is %d; it must be 0 or 1", o->invert);
  if (o->order != GLOW_ORDER_SHIFT_SCALE && o->order != GLOW_ORDER_SCALE_SHIFT)
    return glow_error(GLOW_E_ARGUMENT, "order is %d; it must be one of GLOW_ORDER_...", o->order);
  if (o->reserved)
    return glow_error(GLOW_E_ARGUMENT, "glow_coupling_options: reserved must be 0");
  return GLOW_OK;
}

/* Of the options' first version. */
#define SMALLEST offsetof(glow_coupling_options, mask)

glow_status glow_coupling_create(glow_context *context, const glow_coupling_options *options,
                                 glow_net **net, glow_layer **out) {
  glow_coupling_options o = GLOW_COUPLING_OPTIONS_INIT;
  glow_status status = GLOW_OK;
  if (out)
    *out = NULL;
  if (!context || !net || !*net || !out)
    status = glow_error(GLOW_E_ARGUMENT, "glow_coupling_create: NULL argument");
  else if ((*net)->context != context)
    status = glow_error(GLOW_E_ARGUMENT, "the coupling's net was made with another context");
  if (status == GLOW_OK)
    status = glow__options_copy(&o, sizeof o, options, SMALLEST, "glow_coupling_options");
  if (status == GLOW_OK)
    status = check(&o);
  coupling *c = status == GLOW_OK ? glow_allocate(context, sizeof *c) : NULL;
  if (!c) {
    glow_net_destroy(net);
    return status == GLOW_OK ? GLOW_E_MEMORY : status;
  }
  *c = (coupling){.kind = o.kind,
                  .law = o.kind == GLOW_COUPLING_AFFINE ? o.scale : GLOW_SCALE_SIGMOID,
                  .mask = o.mask,
                  .invert = o.invert,
                  .order = o.order,
                  .floor = (float)o.floor,
                  .floor_exact = o.floor,
                  .net = *net};
  *net = NULL;
  glow_layer_ops table = ops;
  table.flags |= glow__net_layer_flags(c->net);
  return glow_layer_create(context, &table, c, out);
}

static glow_status find_name(const char *const *names, int32_t count, const char *name,
                             int32_t *out) {
  for (int32_t i = 1; i < count; i++)
    if (strcmp(names[i], name) == 0) {
      *out = i;
      return GLOW_OK;
    }
  return glow_error(GLOW_E_FORMAT, "a coupling cannot be '%s'", name);
}

glow_status glow__coupling_make(glow_context *context, const glow_config *config,
                                glow_layer **out) {
  glow_coupling_options o = GLOW_COUPLING_OPTIONS_INIT;
  const char *kind = "affine", *scale = "sigmoid", *type = "conv", *mask = "channels";
  const char *order = "shift_scale";
  int64_t invert = 0;
  glow_net *net = NULL;
  GLOW_TRY(glow_config_get_text(config, "kind", &kind));
  GLOW_TRY(glow_config_get_text(config, "scale", &scale));
  GLOW_TRY(glow_config_get_text(config, "net", &type));
  GLOW_TRY(glow_config_get_real(config, "floor", &o.floor));
  GLOW_TRY(glow_config_get_text(config, "mask", &mask));
  GLOW_TRY(glow_config_get_int(config, "invert", 0, 1, &invert));
  GLOW_TRY(glow_config_get_text(config, "order", &order));
  GLOW_TRY(find_name(kinds, GLOW_COUPLING_ADDITIVE + 1, kind, &o.kind));
  GLOW_TRY(find_name(laws, GLOW_SCALE_TANH_LEARNED + 1, scale, &o.scale));
  GLOW_TRY(find_name(masks, GLOW_MASK_CHECKERBOARD + 1, mask, &o.mask));
  GLOW_TRY(find_name(orders, GLOW_ORDER_SCALE_SHIFT + 1, order, &o.order));
  o.invert = (int32_t)invert;
  GLOW_TRY(glow__registry_make_net(context, type, config, &net));
  return glow_coupling_create(context, &o, &net, out);
}
