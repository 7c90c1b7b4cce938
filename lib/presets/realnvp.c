/* The RealNVP preset. Dinh et al. 2016, sections 3.6 and 4.1, figure 3.
 *
 *   logit
 *   at each scale but the last:  three couplings under checkerboard masks, squeeze, three under
 *                                channel masks, split: half of the elements are done
 *   at the last scale:           four couplings under checkerboard masks
 *   prior
 *
 * where masks alternate, and a batch normalisation follows each coupling. Feature maps double with
 * each squeeze, as in the code published with the paper. SPDX-License-Identifier: MIT */
#include <stdio.h>

#include "presets/presets.h"

enum { MAX_SCALES = 16, MAX_HIDDEN = 65536, MAX_BLOCKS = 64 };
enum { CHECKERBOARDS = 3, LAST_CHECKERBOARDS = 4, CHANNELS = 3 };

static glow_status realnvp_check(const void *options) {
  const glow_realnvp_options *o = options;
  int64_t factor = (int64_t)1 << (o->scales - 1);
  if (o->hidden > MAX_HIDDEN >> o->scales)
    return glow_error(GLOW_E_ARGUMENT, "hidden is %d; with %d scales it must be 1 to %d",
                      (int)o->hidden, (int)o->scales, MAX_HIDDEN >> o->scales);
  if (o->input.height % factor || o->input.width % factor)
    return glow_error(GLOW_E_SHAPE,
                      "height %lld and width %lld must be divisible by 2^(scales - 1) = %lld",
                      (long long)o->input.height, (long long)o->input.width, (long long)factor);
  return GLOW_OK;
}

static const glow_option rows[] = {
    GLOW_INPUT_ROWS(glow_realnvp_options, 32, 32, 3),
    GLOW_OPTION(glow_realnvp_options, scales, INT32, .low = 1, .high = MAX_SCALES, .fallback = 2),
    GLOW_OPTION(glow_realnvp_options, hidden, INT32, .low = 1, .high = MAX_HIDDEN, .fallback = 64),
    GLOW_OPTION(glow_realnvp_options, blocks, INT32, .low = 1, .high = MAX_BLOCKS, .fallback = 8),
    GLOW_OPTION(glow_realnvp_options, weight_norm, INT32, .high = 1, .fallback = 1),
    GLOW_OPTION(glow_realnvp_options, batch_norm, INT32, .high = 1, .fallback = 1),
    GLOW_OPTION(glow_realnvp_options, bits, INT32, .high = 8, .fallback = 8),
    GLOW_OPTION(glow_realnvp_options, alpha, REAL, .flags = GLOW_OPTION_BELOW_HIGH, .low = 1e-6,
                .high = 0.5, .fallback = 0.05),
    GLOW_OPTION(glow_realnvp_options, lag, REAL, .flags = GLOW_OPTION_BELOW_HIGH, .high = 1),
    GLOW_OPTION(glow_realnvp_options, seed, UINT64),
    GLOW_OPTION(glow_realnvp_options, unstandardised, INT32, .high = 1),
    GLOW_OPTION(glow_realnvp_options, reserved, RESERVED),
    GLOW_CONDITION_ROWS_OF(glow_realnvp_options),
};
static const glow_options_table table = {GLOW_OPTIONS_TABLE(glow_realnvp_options, rows),
                                         .check = realnvp_check};

/* What is being built. */
typedef struct preset {
  glow_context *context;
  glow_builder *builder;
  const glow_realnvp_options *o;
  int32_t scale;
  uint64_t couplings; /* so far; the seeds of nets come from it */
} preset;

static glow_status realnvp_add(const preset *p, glow_status made, glow_layer *layer,
                               const char *what) {
  return glow__preset_add(p->builder, made, layer, "scale%d.%s", (int)p->scale, what);
}

/* mask: channels, of which the net sees half, or a checkerboard, of which it sees all. The requests
 * of a scale are numbered through: its checkerboards come before its channels. */
static glow_status realnvp_make_net(preset *p, int32_t mask, int32_t step, int32_t hidden,
                                    glow_net **out) {
  const glow_realnvp_options *o = p->o;
  glow_conditioner_request request = {.struct_size = sizeof request,
                                      .level = p->scale,
                                      .step =
                                          mask == GLOW_MASK_CHANNELS ? CHECKERBOARDS + step : step,
                                      .seed = glow_random_derive(o->seed, p->couplings++),
                                      .condition = o->condition};
  GLOW_TRY(glow_builder_shape(p->builder, &request.input));
  int64_t changed = request.input.channels;
  if (mask == GLOW_MASK_CHANNELS) {
    changed /= 2;
    request.input.channels -= changed;
  }
  request.out_channels = 2 * changed;
  GLOW_TRY(glow__preset_net(p->context, o->conditioner, o->conditioner_payload, &request, out));
  if (*out)
    return GLOW_OK;
  glow_res_net_options net = GLOW_RES_NET_OPTIONS_INIT;
  net.hidden = hidden;
  net.blocks = o->blocks;
  net.weight_norm = o->weight_norm;
  net.batch_norm = o->batch_norm;
  net.seed = request.seed;
  net.condition = o->condition;
  net.standardise = o->condition.channels && !o->unstandardised;
  return glow_res_net_create(p->context, &net, out);
}

static glow_status create_coupling(preset *p, int32_t mask, int32_t step, int32_t hidden,
                                   glow_layer **out) {
  glow_coupling_options options = GLOW_COUPLING_OPTIONS_INIT;
  glow_net *net = NULL;
  options.scale = GLOW_SCALE_TANH_LEARNED;
  options.order = GLOW_ORDER_SCALE_SHIFT;
  options.mask = mask;
  options.invert = step % 2;
  GLOW_TRY(realnvp_make_net(p, mask, step, hidden, &net));
  return glow_coupling_create(p->context, &options, &net, out);
}

/* `count` couplings with alternating masks, each with its batch normalisation. */
static glow_status add_couplings(preset *p, int32_t mask, int32_t count, int32_t hidden) {
  const char *kind = mask == GLOW_MASK_CHECKERBOARD ? "checkerboard" : "channels";
  glow_batchnorm_options norm = GLOW_BATCHNORM_OPTIONS_INIT;
  norm.lag = p->o->lag;
  for (int32_t k = 0; k < count; k++) {
    glow_layer *layer = NULL;
    char name[48];
    snprintf(name, sizeof name, "%s%d.coupling", kind, (int)k);
    glow_status made = create_coupling(p, mask, k, hidden, &layer);
    GLOW_TRY(realnvp_add(p, made, layer, name));
    if (!p->o->batch_norm)
      continue;
    snprintf(name, sizeof name, "%s%d.batchnorm", kind, (int)k);
    made = glow_batchnorm_create(p->context, &norm, &layer);
    GLOW_TRY(realnvp_add(p, made, layer, name));
  }
  return GLOW_OK;
}

static glow_status add_scale(preset *p) {
  int32_t hidden = p->o->hidden << p->scale;
  glow_split_options split_options = GLOW_SPLIT_OPTIONS_INIT;
  glow_layer *layer = NULL;
  if (p->scale == p->o->scales - 1)
    return add_couplings(p, GLOW_MASK_CHECKERBOARD, LAST_CHECKERBOARDS, hidden);
  GLOW_TRY(add_couplings(p, GLOW_MASK_CHECKERBOARD, CHECKERBOARDS, hidden));
  glow_status made = glow_squeeze_create(p->context, NULL, &layer);
  GLOW_TRY(realnvp_add(p, made, layer, "squeeze"));
  GLOW_TRY(add_couplings(p, GLOW_MASK_CHANNELS, CHANNELS, 2 * hidden));
  split_options.fixed = 1;
  made = glow_split_create(p->context, &split_options, &layer);
  return realnvp_add(p, made, layer, "split");
}

static glow_status realnvp_add_layers(preset *p) {
  const glow_logit_options logit = {sizeof logit, p->o->alpha};
  glow_prior_options prior = GLOW_PRIOR_OPTIONS_INIT;
  glow_layer *layer = NULL;
  GLOW_TRY(glow_logit_create(p->context, &logit, &layer));
  GLOW_TRY(glow_builder_add(p->builder, "logit", &layer));
  for (; p->scale < p->o->scales; p->scale++)
    GLOW_TRY(add_scale(p));
  prior.learned = 0;
  GLOW_TRY(glow_prior_create(p->context, &prior, &layer));
  return glow_builder_add(p->builder, "prior", &layer);
}

glow_status glow_model_create_realnvp(glow_context *context, const glow_realnvp_options *options,
                                      glow_model **out) {
  glow_realnvp_options o;
  if (out)
    *out = NULL;
  if (!context || !out)
    return glow_error(GLOW_E_ARGUMENT, "glow_model_create_realnvp: NULL argument");
  GLOW_TRY(glow_options_read(&table, options, &o));
  glow_builder_options builder = GLOW_BUILDER_OPTIONS_INIT;
  builder.bits = o.bits;
  preset p = {.context = context, .o = &o};
  GLOW_TRY(glow_builder_create(context, &o.input, &builder, &p.builder));
  return glow__preset_finish(&p.builder, realnvp_add_layers(&p), out);
}
