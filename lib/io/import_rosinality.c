/* Weights of rosinality/glow-pytorch (model.py there): a state dict "blocks.{b}.flows.{k}.",
 * often with "module." in front; convolutions [out, in, kh, kw].
 *
 *   actnorm            y = scale (x + loc): logs = log|scale|; where scale is negative, the sign
 *                      goes into that column of the 1x1 convolution that follows, exactly
 *   1x1 convolution    as ours; P is a matrix
 *   network            plain biases; the first convolution is padded with zeros
 *   zero convolution   y = (conv + bias) exp(3 scale), padded with ones: as a border channel whose
 *                      weights are the sums over the input channels
 *   coupling           raw scale, shift = first, second half of h
 *   split              mean, log-sd = first, second half, as ours
 *   top prior          zero convolution of zeros, which sees the ones around them
 *
 * SPDX-License-Identifier: MIT */
#include <math.h>
#include <stdio.h>

#include "io/import.h"

/* ---- shape of the model ---------------------------------------------------------------------- */

static void import_rosinality_at_step(glow__import *im, int32_t level, int32_t step) {
  snprintf(im->from, sizeof im->from, "blocks.%d.flows.%d.", level, step);
}

static void import_rosinality_at_split(glow__import *im, int32_t level) {
  snprintf(im->from, sizeof im->from, "blocks.%d.prior.", level);
}

static void import_rosinality_at_top(glow__import *im) {
  import_rosinality_at_split(im, im->plan.levels - 1);
}

/* One of its tensors may be missing; that is reported later, with its name. */
static bool import_rosinality_has_step(glow__import *im, int32_t level, int32_t step) {
  import_rosinality_at_step(im, level, step);
  return glow__import_has(im, "actnorm.loc") || glow__import_has(im, "actnorm.scale");
}

static glow_status import_rosinality_infer(glow__import *im) {
  glow__import_plan *plan = &im->plan;
  int64_t channels = 0, hidden = 0, out = 0;
  while (plan->levels <= GLOW_IMPORT_LEVELS && import_rosinality_has_step(im, plan->levels, 0))
    plan->levels++;
  while (plan->depth <= GLOW_IMPORT_DEPTH && import_rosinality_has_step(im, 0, plan->depth))
    plan->depth++;
  import_rosinality_at_step(im, 0, 0);
  GLOW_TRY(glow__import_dim(im, "actnorm.loc", 4, 1, GLOW_IMPORT_CHANNELS, &channels));
  GLOW_TRY(glow__import_dim(im, "coupling.net.0.weight", 4, 0, GLOW_IMPORT_HIDDEN, &hidden));
  GLOW_TRY(glow__import_dim(im, "coupling.net.4.conv.weight", 4, 0, GLOW_IMPORT_CHANNELS, &out));
  plan->border = plan->learned = plan->spatial = 1;
  return glow__import_plan_step(im, channels, hidden, out);
}

/* ---- actnorm and 1x1 convolution ------------------------------------------------------------- */

/* scale [C] as log|scale| and sign; NULL while names and shapes are checked. */
static glow_status read_scale(glow__import *im, int64_t channels, double **logs, double **signs) {
  double *scale = NULL;
  *logs = *signs = NULL;
  GLOW_TRY(glow__import_read(im, "actnorm.scale", GLOW_SHAPE(1, channels, 1, 1), &scale));
  if (!scale)
    return GLOW_OK;
  *logs = scale;
  *signs = glow_allocate(im->context, (size_t)channels * sizeof **signs);
  if (!*signs)
    return GLOW_E_MEMORY;
  for (int64_t c = 0; c < channels; c++) {
    if (scale[c] == 0.0)
      return glow_error(GLOW_E_FORMAT,
                        "tensor '%s%sactnorm.scale': element %lld is 0, which has no "
                        "inverse",
                        im->prefix, im->from, (long long)c);
    (*signs)[c] = scale[c] < 0.0 ? -1.0 : 1.0;
    scale[c] = log(fabs(scale[c]));
  }
  return GLOW_OK;
}

/* A model that has never seen data would change its actnorms at the first batch. */
static glow_status check_initialised(glow__import *im) {
  int64_t value = 1;
  if (glow__import_has(im, "actnorm.initialized"))
    GLOW_TRY(glow__import_read_flag(im, "actnorm.initialized", &value));
  if (value)
    return GLOW_OK;
  return glow_error(GLOW_E_FORMAT,
                    "tensor '%s%sactnorm.initialized' is 0: this model was saved "
                    "before it saw any data",
                    im->prefix, im->from);
}

static glow_status import_rosinality_actnorm(glow__import *im, int64_t channels) {
  double *logs = NULL, *signs = NULL;
  glow__import_layout vector = glow__import_vector(channels, GLOW_ORDER_SAME, 1);
  GLOW_TRY(check_initialised(im));
  GLOW_TRY(
      glow__import_copy(im, "actnorm.loc", GLOW_SHAPE(1, channels, 1, 1), &vector, "actnorm.bias"));
  glow_status status = read_scale(im, channels, &logs, &signs);
  if (status == GLOW_OK && logs)
    status = glow__import_write(im, "actnorm.logs", logs, channels);
  glow_release(im->context, signs);
  glow_release(im->context, logs);
  return status;
}

static int32_t import_rosinality_permutation(glow__import *im) {
  return glow__import_has(im, "invconv.weight") ? GLOW_PERMUTATION_INVCONV
                                                : GLOW_PERMUTATION_INVCONV_LU;
}

static glow_status import_rosinality_permute(glow__import *im, int64_t channels, int32_t kind) {
  const glow__import_factors factors = {"invconv.w_p", "invconv.w_l", "invconv.w_u", "invconv.w_s",
                                        "invconv.s_sign"};
  double *logs = NULL, *signs = NULL;
  glow_status status = read_scale(im, channels, &logs, &signs);
  if (status == GLOW_OK && kind == GLOW_PERMUTATION_INVCONV)
    status = glow__import_weight(im, "invconv.weight", GLOW_SHAPE(channels, channels, 1, 1),
                                 channels, signs, false);
  else if (status == GLOW_OK)
    status = glow__import_lu(im, channels, &factors, signs, false);
  glow_release(im->context, signs);
  glow_release(im->context, logs);
  return status;
}

/* ---- network, split and top ------------------------------------------------------------------ */

static glow__import_layout import_rosinality_weights(int64_t out, int64_t in, int64_t taps,
                                                     int32_t order) {
  return (glow__import_layout){
      .out = out, .in = in, .taps = taps, .count = in, .order = order, .factor = 1};
}

/* A zero convolution at `from` to TO `to` {weight, edge, bias, logs}. */
static glow_status import_rosinality_zero_convolution(glow__import *im, const char *from,
                                                      int64_t in, int64_t out, int32_t order,
                                                      const char *to) {
  char name[64], target[64];
  glow__import_layout weight = import_rosinality_weights(out, in, 9, order), edge = weight;
  glow__import_layout vector = glow__import_vector(out, order, 1);
  edge.sum = true;
  snprintf(name, sizeof name, "%sconv.weight", from);
  snprintf(target, sizeof target, "%sweight", to);
  GLOW_TRY(glow__import_copy(im, name, GLOW_SHAPE(out, in, 3, 3), &weight, target));
  snprintf(target, sizeof target, "%sedge", to);
  GLOW_TRY(glow__import_copy(im, name, GLOW_SHAPE(out, in, 3, 3), &edge, target));
  snprintf(name, sizeof name, "%sconv.bias", from);
  snprintf(target, sizeof target, "%sbias", to);
  GLOW_TRY(glow__import_copy(im, name, GLOW_SHAPE(out), &vector, target));
  snprintf(name, sizeof name, "%sscale", from);
  snprintf(target, sizeof target, "%slogs", to);
  return glow__import_copy(im, name, GLOW_SHAPE(1, out, 1, 1), &vector, target);
}

static glow_status import_rosinality_net(glow__import *im, int64_t in, int64_t out) {
  int64_t hidden = im->plan.hidden;
  glow__import_layout first = import_rosinality_weights(hidden, in, 9, GLOW_ORDER_SAME);
  glow__import_layout second = import_rosinality_weights(hidden, hidden, 1, GLOW_ORDER_SAME);
  glow__import_layout vector = glow__import_vector(hidden, GLOW_ORDER_SAME, 1);
  /* conv1.edge stays 0: this convolution is padded with zeros */
  GLOW_TRY(glow__import_copy(im, "coupling.net.0.weight", GLOW_SHAPE(hidden, in, 3, 3), &first,
                             "coupling.net.conv1.weight"));
  GLOW_TRY(glow__import_copy(im, "coupling.net.0.bias", GLOW_SHAPE(hidden), &vector,
                             "coupling.net.conv1.bias"));
  GLOW_TRY(glow__import_copy(im, "coupling.net.2.weight", GLOW_SHAPE(hidden, hidden, 1, 1), &second,
                             "coupling.net.conv2.weight"));
  GLOW_TRY(glow__import_copy(im, "coupling.net.2.bias", GLOW_SHAPE(hidden), &vector,
                             "coupling.net.conv2.bias"));
  return import_rosinality_zero_convolution(
      im, "coupling.net.4.", hidden, out,
      im->plan.coupling == GLOW_COUPLING_AFFINE ? GLOW_ORDER_SWAPPED : GLOW_ORDER_SAME,
      "coupling.net.conv3.");
}

static glow_status import_rosinality_split(glow__import *im, int64_t channels) {
  return import_rosinality_zero_convolution(im, "", channels / 2, channels, GLOW_ORDER_SAME,
                                            "prior.");
}

static glow_status import_rosinality_top(glow__import *im, int64_t channels) {
  int64_t out = 2 * channels;
  const glow__import_tensor weight = {"conv.weight", GLOW_SHAPE(out, channels, 3, 3)},
                            bias = {"conv.bias", GLOW_SHAPE(out)},
                            logs = {"scale", GLOW_SHAPE(1, out, 1, 1)};
  glow__import_layout border = import_rosinality_weights(out, channels, 9, GLOW_ORDER_SAME);
  border.sum = true;
  return glow__import_top_prior(im, channels, &weight, &border, &bias, &logs);
}

/* Masks are constants that the project saves. */
const glow__import_format glow__import_rosinality = {
    .id = GLOW_FORMAT_ROSINALITY,
    .project = "rosinality/glow-pytorch",
    .first = "blocks.0.flows.0.actnorm.loc",
    .prefixes = {GLOW_IMPORT_PREFIXES},
    .passes = {"invconv.u_mask", "invconv.l_mask", "invconv.l_eye"},
    .levels_differ = true, /* the last block has the LU form always */
    .infer = import_rosinality_infer,
    .at_step = import_rosinality_at_step,
    .at_split = import_rosinality_at_split,
    .at_top = import_rosinality_at_top,
    .permutation = import_rosinality_permutation,
    .actnorm = import_rosinality_actnorm,
    .permute = import_rosinality_permute,
    .net = import_rosinality_net,
    .split = import_rosinality_split,
    .top = import_rosinality_top,
};
