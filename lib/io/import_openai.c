/* Weights of openai/glow (model.py and tfops.py there; Kingma and Dhariwal 2018): TensorFlow
 * variables "model/...", convolutions [kh, kw, in, out].
 *
 *   actnorm            y = (x + b) exp(3 logs)
 *   1x1 convolution    y = x W, on rows: our W is its transpose
 *   3x3 convolution    one input channel more, last: 1 on the border that the padding adds, else 0
 *   zero convolution   y = (conv + b) exp(3 logs), as ours
 *   coupling, split    shift or mean = h[0::2], raw scale or log-sd = h[1::2]
 *   top prior          zero convolution of zeros, which sees the border, and rows of the classes
 *
 * Reversed features have no variables. SPDX-License-Identifier: MIT */
#include <stdio.h>

#include "io/import.h"

/* ---- shape of the model ---------------------------------------------------------------------- */

static void import_openai_at_step(glow__import *im, int32_t level, int32_t step) {
  snprintf(im->from, sizeof im->from, "%d/%d/", level, step);
}

static void import_openai_at_split(glow__import *im, int32_t level) {
  snprintf(im->from, sizeof im->from, "pool%d/conv/", level);
}

static void import_openai_at_top(glow__import *im) {
  im->from[0] = 0;
}

/* One of its tensors may be missing; that is reported later, with its name. */
static bool import_openai_has_step(glow__import *im, int32_t level, int32_t step) {
  import_openai_at_step(im, level, step);
  return glow__import_has(im, "actnorm_center/b") || glow__import_has(im, "actnorm_scale/logs");
}

static glow_status import_openai_infer(glow__import *im) {
  glow__import_plan *plan = &im->plan;
  int64_t channels = 0, hidden = 0, out = 0, classes = 0;
  while (plan->levels <= GLOW_IMPORT_LEVELS && import_openai_has_step(im, plan->levels, 0))
    plan->levels++;
  while (plan->depth <= GLOW_IMPORT_DEPTH && import_openai_has_step(im, 0, plan->depth))
    plan->depth++;
  import_openai_at_step(im, 0, 0);
  GLOW_TRY(glow__import_dim(im, "actnorm_center/b", 4, 3, GLOW_IMPORT_CHANNELS, &channels));
  GLOW_TRY(glow__import_dim(im, "f1/l_1/W", 4, 3, GLOW_IMPORT_HIDDEN, &hidden));
  GLOW_TRY(glow__import_dim(im, "f1/l_last/W", 4, 3, GLOW_IMPORT_CHANNELS, &out));
  GLOW_TRY(glow__import_plan_step(im, channels, hidden, out));
  plan->net_actnorm = plan->border = 1;
  import_openai_at_top(im);
  plan->learned = plan->spatial = glow__import_has(im, "prior/p/W");
  plan->classifier = glow__import_has(im, "classifier/W");
  if (glow__import_has(im, "prior/y_emb/W"))
    GLOW_TRY(glow__import_dim(im, "prior/y_emb/W", 2, 0, GLOW_IMPORT_CLASSES, &classes));
  plan->classes = (int32_t)classes;
  return GLOW_OK;
}

/* ---- parts ----------------------------------------------------------------------------------- */

static glow_status import_openai_actnorm(glow__import *im, const char *from, int64_t channels,
                                         const char *bias, const char *logs) {
  char name[64];
  glow__import_layout one = glow__import_vector(channels, GLOW_ORDER_SAME, 1);
  glow__import_layout three = glow__import_vector(channels, GLOW_ORDER_SAME, 3);
  snprintf(name, sizeof name, "%s_center/b", from);
  GLOW_TRY(glow__import_copy(im, name, GLOW_SHAPE(1, 1, 1, channels), &one, bias));
  snprintf(name, sizeof name, "%s_scale/logs", from);
  return glow__import_copy(im, name, GLOW_SHAPE(1, 1, 1, channels), &three, logs);
}

static glow_status import_openai_step_actnorm(glow__import *im, int64_t channels) {
  return import_openai_actnorm(im, "actnorm", channels, "actnorm.bias", "actnorm.logs");
}

static int32_t import_openai_permutation(glow__import *im) {
  return glow__import_has(im, "invconv/W")         ? GLOW_PERMUTATION_INVCONV
         : glow__import_has(im, "invconv/P")       ? GLOW_PERMUTATION_INVCONV_LU
         : glow__import_has(im, "shuffle/indices") ? GLOW_PERMUTATION_SHUFFLE
                                                   : GLOW_PERMUTATION_REVERSE;
}

/* Reads both of its variables, which must belong together. */
static glow_status import_openai_shuffle(glow__import *im, int64_t channels) {
  int32_t *indices = NULL, *inverse = NULL;
  glow_status status = glow__import_read_permutation(im, "shuffle/indices", channels, &indices);
  if (status == GLOW_OK)
    status = glow__import_read_permutation(im, "shuffle/indices_inverse", channels, &inverse);
  for (int64_t c = 0; status == GLOW_OK && inverse && c < channels; c++)
    if (inverse[indices[c]] != c)
      status = glow_error(GLOW_E_FORMAT,
                          "tensor '%s%sshuffle/indices_inverse' is not the inverse "
                          "of shuffle/indices at element %d",
                          im->prefix, im->from, indices[c]);
  if (status == GLOW_OK && inverse)
    status = glow__import_write_integers(im, "permute.index", indices, channels);
  glow_release(im->context, inverse);
  glow_release(im->context, indices);
  return status;
}

static glow_status import_openai_permute(glow__import *im, int64_t channels, int32_t kind) {
  const glow__import_factors factors = {"invconv/P", "invconv/L", "invconv/U", "invconv/log_S",
                                        "invconv/sign_S"};
  switch (kind) {
  case GLOW_PERMUTATION_INVCONV:
    return glow__import_weight(im, "invconv/W", GLOW_SHAPE(channels, channels), channels, NULL,
                               true);
  case GLOW_PERMUTATION_INVCONV_LU: return glow__import_lu(im, channels, &factors, NULL, true);
  case GLOW_PERMUTATION_SHUFFLE: return import_openai_shuffle(im, channels);
  default: return glow__import_write_reverse(im, channels);
  }
}

/* Weights of a 3x3 convolution of `in` channels and the border, to weight [out, in, 3, 3] and edge
 * [out, 3, 3]. */
static glow_status convolution(glow__import *im, const char *name, int64_t in, int64_t out,
                               int32_t order, const char *weight, const char *edge) {
  glow__import_layout layout = {.out = out,
                                .in = in + 1,
                                .taps = 9,
                                .count = in,
                                .inputs_first = true,
                                .order = order,
                                .factor = 1};
  GLOW_TRY(glow__import_copy(im, name, GLOW_SHAPE(3, 3, in + 1, out), &layout, weight));
  layout.first = in;
  layout.count = 1;
  return glow__import_copy(im, name, GLOW_SHAPE(3, 3, in + 1, out), &layout, edge);
}

static glow_status import_openai_net(glow__import *im, int64_t in, int64_t out) {
  int64_t hidden = im->plan.hidden;
  int32_t order =
      im->plan.coupling == GLOW_COUPLING_AFFINE ? GLOW_ORDER_INTERLEAVED : GLOW_ORDER_SAME;
  glow__import_layout square = {
      .out = hidden, .in = hidden, .taps = 1, .count = hidden, .inputs_first = true, .factor = 1};
  glow__import_layout vector = glow__import_vector(out, order, 1);
  GLOW_TRY(convolution(im, "f1/l_1/W", in, hidden, GLOW_ORDER_SAME, "coupling.net.conv1.weight",
                       "coupling.net.conv1.edge"));
  GLOW_TRY(import_openai_actnorm(im, "f1/l_1/actnorm", hidden, "coupling.net.norm1.bias",
                                 "coupling.net.norm1.logs"));
  GLOW_TRY(glow__import_copy(im, "f1/l_2/W", GLOW_SHAPE(1, 1, hidden, hidden), &square,
                             "coupling.net.conv2.weight"));
  GLOW_TRY(import_openai_actnorm(im, "f1/l_2/actnorm", hidden, "coupling.net.norm2.bias",
                                 "coupling.net.norm2.logs"));
  GLOW_TRY(convolution(im, "f1/l_last/W", hidden, out, order, "coupling.net.conv3.weight",
                       "coupling.net.conv3.edge"));
  GLOW_TRY(glow__import_copy(im, "f1/l_last/b", GLOW_SHAPE(1, 1, 1, out), &vector,
                             "coupling.net.conv3.bias"));
  return glow__import_copy(im, "f1/l_last/logs", GLOW_SHAPE(1, out), &vector,
                           "coupling.net.conv3.logs");
}

static glow_status import_openai_split(glow__import *im, int64_t channels) {
  glow__import_layout vector = glow__import_vector(channels, GLOW_ORDER_INTERLEAVED, 1);
  GLOW_TRY(convolution(im, "W", channels / 2, channels, GLOW_ORDER_INTERLEAVED, "prior.weight",
                       "prior.edge"));
  GLOW_TRY(glow__import_copy(im, "b", GLOW_SHAPE(1, 1, 1, channels), &vector, "prior.bias"));
  return glow__import_copy(im, "logs", GLOW_SHAPE(1, channels), &vector, "prior.logs");
}

/* The input is zero, so only the border's channel counts. */
static glow_status import_openai_learned_top(glow__import *im, int64_t channels) {
  int64_t out = 2 * channels;
  const glow__import_tensor weight = {"prior/p/W", GLOW_SHAPE(3, 3, out + 1, out)},
                            bias = {"prior/p/b", GLOW_SHAPE(1, 1, 1, out)},
                            logs = {"prior/p/logs", GLOW_SHAPE(1, out)};
  const glow__import_layout border = {.out = out,
                                      .in = out + 1,
                                      .taps = 9,
                                      .first = out,
                                      .count = 1,
                                      .inputs_first = true,
                                      .factor = 1};
  return glow__import_top_prior(im, channels, &weight, &border, &bias, &logs);
}

static glow_status import_openai_top(glow__import *im, int64_t channels) {
  int64_t classes = im->plan.classes, out = 2 * channels;
  const glow__import_linear rows = {{"prior/y_emb/W", GLOW_SHAPE(classes, out)},
                                    {"prior/y_emb/b", GLOW_SHAPE(1, out)},
                                    {"prior/y_emb/logs", GLOW_SHAPE(1, out)},
                                    true};
  const glow__import_linear scores = {{"classifier/W", GLOW_SHAPE(channels, classes)},
                                      {"classifier/b", GLOW_SHAPE(1, classes)},
                                      {"classifier/logs", GLOW_SHAPE(1, classes)},
                                      true};
  if (im->plan.learned)
    GLOW_TRY(import_openai_learned_top(im, channels));
  if (classes)
    GLOW_TRY(glow__import_class_rows(im, channels, &rows));
  return im->plan.classifier ? glow__import_classifier(im, channels, &scores) : GLOW_OK;
}

/* Averages and the optimizer's state, which a checkpoint of TensorFlow also holds. */
const glow__import_format glow__import_openai = {
    .id = GLOW_FORMAT_OPENAI,
    .project = "openai/glow",
    .first = "0/0/actnorm_center/b",
    .prefixes = {"model/", ""},
    .passes = {"/ExponentialMovingAverage", "Variable"},
    .infer = import_openai_infer,
    .at_step = import_openai_at_step,
    .at_split = import_openai_at_split,
    .at_top = import_openai_at_top,
    .permutation = import_openai_permutation,
    .actnorm = import_openai_step_actnorm,
    .permute = import_openai_permute,
    .net = import_openai_net,
    .split = import_openai_split,
    .top = import_openai_top,
};
