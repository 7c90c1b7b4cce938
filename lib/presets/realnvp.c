/* The RealNVP preset. Dinh et al. 2016, sections 3.6 and 4.1, figure 3.
 *
 *   logit
 *   at each scale but the last:  three couplings under checkerboard masks, squeeze, three under
 *                                channel masks, split: half of the numbers are done
 *   at the last scale:           four couplings under checkerboard masks
 *   prior
 *
 * where masks alternate, and a batch normalisation follows each coupling. Feature maps double with
 * each squeeze, as in the code published with the paper. SPDX-License-Identifier: MIT */
#include <stdio.h>

#include "host/run.h"

enum { MAX_SCALES = 16, CHECKERBOARDS = 3, LAST_CHECKERBOARDS = 4, CHANNELS = 3 };

static glow_status check(const glow_realnvp_options *o) {
  if (o->scales < 1 || o->scales > MAX_SCALES)
    return glow_error(GLOW_E_ARGUMENT, "scales is %d; it must be 1 to %d", o->scales, MAX_SCALES);
  if (o->hidden < 1 || o->hidden > 65536 >> o->scales)
    return glow_error(GLOW_E_ARGUMENT, "hidden is %d; with %d scales it must be 1 to %d", o->hidden,
                      o->scales, 65536 >> o->scales);
  if (o->batch_norm < 0 || o->batch_norm > 1)
    return glow_error(GLOW_E_ARGUMENT, "batch_norm is %d; it must be 0 or 1", o->batch_norm);
  int64_t factor = (int64_t)1 << (o->scales - 1);
  if (o->input.height < 1 || o->input.width < 1 || o->input.height % factor ||
      o->input.width % factor)
    return glow_error(GLOW_E_SHAPE,
                      "height %lld and width %lld must be divisible by 2^(scales - 1) = %lld",
                      (long long)o->input.height, (long long)o->input.width, (long long)factor);
  return GLOW_OK;
}

/* What is being built. */
typedef struct preset {
  glow_context *context;
  glow_builder *builder;
  const glow_realnvp_options *o;
  int32_t scale;
  uint64_t couplings; /* so far, from which nets have their seeds */
} preset;

static glow_status add(const preset *p, glow_status made, glow_layer *layer, const char *what) {
  char name[64];
  if (made != GLOW_OK)
    return made;
  snprintf(name, sizeof name, "scale%d.%s", (int)p->scale, what);
  return glow_builder_add(p->builder, name, &layer);
}

static glow_status create_coupling(preset *p, int32_t mask, int32_t invert, int32_t hidden,
                                   glow_layer **out) {
  glow_res_net_options net_options = GLOW_RES_NET_OPTIONS_INIT;
  glow_coupling_options options = GLOW_COUPLING_OPTIONS_INIT;
  glow_net *net = NULL;
  net_options.hidden = hidden;
  net_options.blocks = p->o->blocks;
  net_options.weight_norm = p->o->weight_norm;
  net_options.batch_norm = p->o->batch_norm;
  net_options.seed = glow_random_derive(p->o->seed, p->couplings++);
  options.scale = GLOW_SCALE_TANH_LEARNED;
  options.order = GLOW_ORDER_SCALE_SHIFT;
  options.mask = mask;
  options.invert = invert;
  GLOW_TRY(glow_res_net_create(p->context, &net_options, &net));
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
    glow_status made = create_coupling(p, mask, k % 2, hidden, &layer);
    GLOW_TRY(add(p, made, layer, name));
    if (!p->o->batch_norm)
      continue;
    snprintf(name, sizeof name, "%s%d.batchnorm", kind, (int)k);
    made = glow_batchnorm_create(p->context, &norm, &layer);
    GLOW_TRY(add(p, made, layer, name));
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
  glow_status made = glow_squeeze_create(p->context, &layer);
  GLOW_TRY(add(p, made, layer, "squeeze"));
  GLOW_TRY(add_couplings(p, GLOW_MASK_CHANNELS, CHANNELS, 2 * hidden));
  split_options.fixed = 1;
  made = glow_split_create(p->context, &split_options, &layer);
  return add(p, made, layer, "split");
}

static glow_status add_layers(preset *p) {
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
  glow_realnvp_options o = GLOW_REALNVP_OPTIONS_INIT;
  if (out)
    *out = NULL;
  if (!context || !out)
    return glow_error(GLOW_E_ARGUMENT, "glow_model_create_realnvp: NULL argument");
  GLOW_TRY(glow__options_copy(&o, sizeof o, options, sizeof o, "glow_realnvp_options"));
  GLOW_TRY(check(&o));
  glow_builder_options builder_options = GLOW_BUILDER_OPTIONS_INIT;
  builder_options.bits = o.bits;
  preset p = {.context = context, .o = &o};
  GLOW_TRY(glow_builder_create(context, &o.input, &builder_options, &p.builder));
  glow_status status = add_layers(&p);
  if (status == GLOW_OK)
    return glow_builder_finish(&p.builder, out);
  glow_builder_destroy(&p.builder);
  return status;
}
