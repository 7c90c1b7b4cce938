/* Weights of y0ast/Glow-PyTorch (model.py and modules.py there): a state dict whose
 * "flow.layers.{i}." counts squeeze, K steps and split of each level; convolutions
 * [out, in, kh, kw].
 *
 *   actnorm            y = (x + bias) exp(logs), as ours
 *   1x1 convolution    as ours; P is a matrix
 *   zero convolution   y = (conv + bias) exp(3 logs), as ours
 *   coupling, split    shift or mean = h[0::2], raw scale or log-sd = h[1::2]
 *   top prior          zero convolution of the zeros in prior_h, bias exp(3 logs); rows of classes
 *
 * Permutations are not in a state dict: the caller says if they are reversals, and the indices of
 * a shuffle are read if they were added to the file by hand. SPDX-License-Identifier: MIT */
#include <stdio.h>
#include <string.h>

#include "io/import.h"

/* ---- shape of the model ---------------------------------------------------------------------- */

static void at_layer(glow__import *im, int64_t layer, const char *rest) {
  snprintf(im->from, sizeof im->from, "flow.layers.%lld.%s", (long long)layer, rest);
}

static void import_y0ast_at_step(glow__import *im, int32_t level, int32_t step) {
  at_layer(im, (int64_t)level * (im->plan.depth + 2) + 1 + step, "");
}

static void import_y0ast_at_split(glow__import *im, int32_t level) {
  at_layer(im, (int64_t)level * (im->plan.depth + 2) + 1 + im->plan.depth, "conv.");
}

static void import_y0ast_at_top(glow__import *im) {
  im->from[0] = 0;
}

/* Largest i of the names "flow.layers.{i}.", at most `limit`; -1: none. */
static int64_t import_y0ast_last_layer(const glow__import *im, int64_t limit) {
  char start[GLOW_IMPORT_NAME];
  int64_t last = -1;
  int length = snprintf(start, sizeof start, "%sflow.layers.", im->prefix);
  for (int64_t i = 0; i < glow_tensor_file_tensor_count(im->file); i++) {
    glow_file_tensor tensor = GLOW_FILE_TENSOR_INIT;
    int64_t layer = 0;
    if (glow_tensor_file_get(im->file, i, &tensor) != GLOW_OK ||
        strncmp(tensor.name, start, (size_t)length) != 0)
      continue;
    for (const char *at = tensor.name + length; *at >= '0' && *at <= '9' && layer < limit; at++)
      layer = 10 * layer + (*at - '0');
    last = layer > last ? layer : last;
  }
  return last < limit ? last : limit;
}

/* With L levels, each squeeze, K steps and split, and no split in the last, the last layer has
 * number L (K + 2) - 2. */
static glow_status infer_counts(glow__import *im) {
  glow__import_plan *plan = &im->plan;
  int64_t last = import_y0ast_last_layer(im, GLOW_IMPORT_LEVELS * (GLOW_IMPORT_DEPTH + 2));
  for (; plan->depth <= GLOW_IMPORT_DEPTH; plan->depth++) {
    at_layer(im, 1 + plan->depth, "");
    if (!glow__import_has(im, "actnorm.bias"))
      break;
  }
  if ((last + 2) % (plan->depth + 2))
    return glow_error(GLOW_E_FORMAT,
                      "%sflow.layers.0 to %lld are not levels of %d steps: "
                      "step %s is missing",
                      im->prefix, (long long)last, plan->depth, im->from);
  plan->levels = (int32_t)((last + 2) / (plan->depth + 2));
  return GLOW_OK;
}

/* Checks that no step is missing as a whole: a message about its permutation would mislead. */
static glow_status check_steps(glow__import *im) {
  const glow__import_plan *plan = &im->plan;
  for (int32_t level = 0; level < plan->levels; level++)
    for (int32_t step = 0; step < plan->depth; step++) {
      int64_t channels;
      import_y0ast_at_step(im, level, step);
      GLOW_TRY(glow__import_dim(im, "actnorm.bias", 4, 1, GLOW_IMPORT_CHANNELS, &channels));
    }
  return GLOW_OK;
}

/* prior_h [1, 2C, H, W] has the size of the top. */
static glow_status import_y0ast_infer_size(glow__import *im) {
  const int64_t limit = (int64_t)1 << 30;
  glow_shape *input = &im->plan.input;
  int64_t height = 0, width = 0;
  import_y0ast_at_top(im);
  GLOW_TRY(glow__import_dim(im, "prior_h", 4, 2, limit, &height));
  GLOW_TRY(glow__import_dim(im, "prior_h", 4, 3, limit, &width));
  input->height = height << im->plan.levels;
  input->width = width << im->plan.levels;
  return GLOW_OK;
}

static glow_status import_y0ast_infer(glow__import *im) {
  glow__import_plan *plan = &im->plan;
  int64_t channels = 0, hidden = 0, out = 0, classes = 0;
  GLOW_TRY(infer_counts(im));
  import_y0ast_at_step(im, 0, 0);
  GLOW_TRY(glow__import_dim(im, "actnorm.bias", 4, 1, GLOW_IMPORT_CHANNELS, &channels));
  GLOW_TRY(glow__import_dim(im, "block.0.conv.weight", 4, 0, GLOW_IMPORT_HIDDEN, &hidden));
  GLOW_TRY(glow__import_dim(im, "block.4.conv.weight", 4, 0, GLOW_IMPORT_CHANNELS, &out));
  GLOW_TRY(glow__import_plan_step(im, channels, hidden, out));
  plan->net_actnorm = 1;
  GLOW_TRY(check_steps(im));
  GLOW_TRY(import_y0ast_infer_size(im));
  import_y0ast_at_top(im);
  plan->learned = glow__import_has(im, "learn_top_fn.conv.bias");
  plan->classifier = glow__import_has(im, "project_class.linear.weight");
  if (glow__import_has(im, "project_ycond.linear.weight"))
    GLOW_TRY(
        glow__import_dim(im, "project_ycond.linear.weight", 2, 1, GLOW_IMPORT_CLASSES, &classes));
  plan->classes = (int32_t)classes;
  return GLOW_OK;
}

/* ---- parts ----------------------------------------------------------------------------------- */

static glow_status import_y0ast_actnorm(glow__import *im, const char *from, int64_t channels,
                                        const char *bias, const char *logs) {
  char name[64];
  glow__import_layout vector = glow__import_vector(channels, GLOW_ORDER_SAME, 1);
  snprintf(name, sizeof name, "%s.bias", from);
  GLOW_TRY(glow__import_copy(im, name, GLOW_SHAPE(1, channels, 1, 1), &vector, bias));
  snprintf(name, sizeof name, "%s.logs", from);
  return glow__import_copy(im, name, GLOW_SHAPE(1, channels, 1, 1), &vector, logs);
}

static glow_status import_y0ast_step_actnorm(glow__import *im, int64_t channels) {
  return import_y0ast_actnorm(im, "actnorm", channels, "actnorm.bias", "actnorm.logs");
}

static int32_t import_y0ast_permutation(glow__import *im) {
  return glow__import_has(im, "invconv.weight")    ? GLOW_PERMUTATION_INVCONV
         : glow__import_has(im, "invconv.p")       ? GLOW_PERMUTATION_INVCONV_LU
         : glow__import_has(im, "shuffle.indices") ? GLOW_PERMUTATION_SHUFFLE
                                                   : 0;
}

static glow_status import_y0ast_shuffle(glow__import *im, int64_t channels) {
  int32_t *indices = NULL;
  GLOW_TRY(glow__import_read_permutation(im, "shuffle.indices", channels, &indices));
  if (!indices)
    return GLOW_OK;
  glow_status status = glow__import_write_integers(im, "permute.index", indices, channels);
  glow_release(im->context, indices);
  return status;
}

static glow_status import_y0ast_permute(glow__import *im, int64_t channels, int32_t kind) {
  const glow__import_factors factors = {"invconv.p", "invconv.lower", "invconv.upper",
                                        "invconv.log_s", "invconv.sign_s"};
  switch (kind) {
  case GLOW_PERMUTATION_INVCONV:
    return glow__import_weight(im, "invconv.weight", GLOW_SHAPE(channels, channels), channels, NULL,
                               false);
  case GLOW_PERMUTATION_INVCONV_LU: return glow__import_lu(im, channels, &factors, NULL, false);
  case GLOW_PERMUTATION_SHUFFLE: return import_y0ast_shuffle(im, channels);
  default: return glow__import_write_reverse(im, channels);
  }
}

static glow__import_layout import_y0ast_weights(int64_t out, int64_t in, int64_t taps,
                                                int32_t order) {
  return (glow__import_layout){
      .out = out, .in = in, .taps = taps, .count = in, .order = order, .factor = 1};
}

/* A zero convolution at `from` to TO `to` {weight, bias, logs}. */
static glow_status import_y0ast_zero_convolution(glow__import *im, const char *from, int64_t in,
                                                 int64_t out, int32_t order, const char *to) {
  char name[64], target[64];
  glow__import_layout weight = import_y0ast_weights(out, in, 9, order);
  glow__import_layout vector = glow__import_vector(out, order, 1);
  snprintf(name, sizeof name, "%sconv.weight", from);
  snprintf(target, sizeof target, "%sweight", to);
  GLOW_TRY(glow__import_copy(im, name, GLOW_SHAPE(out, in, 3, 3), &weight, target));
  snprintf(name, sizeof name, "%sconv.bias", from);
  snprintf(target, sizeof target, "%sbias", to);
  GLOW_TRY(glow__import_copy(im, name, GLOW_SHAPE(out), &vector, target));
  snprintf(name, sizeof name, "%slogs", from);
  snprintf(target, sizeof target, "%slogs", to);
  return glow__import_copy(im, name, GLOW_SHAPE(out, 1, 1), &vector, target);
}

static glow_status import_y0ast_net(glow__import *im, int64_t in, int64_t out) {
  int64_t hidden = im->plan.hidden;
  glow__import_layout first = import_y0ast_weights(hidden, in, 9, GLOW_ORDER_SAME);
  glow__import_layout second = import_y0ast_weights(hidden, hidden, 1, GLOW_ORDER_SAME);
  GLOW_TRY(glow__import_copy(im, "block.0.conv.weight", GLOW_SHAPE(hidden, in, 3, 3), &first,
                             "coupling.net.conv1.weight"));
  GLOW_TRY(import_y0ast_actnorm(im, "block.0.actnorm", hidden, "coupling.net.norm1.bias",
                                "coupling.net.norm1.logs"));
  GLOW_TRY(glow__import_copy(im, "block.2.conv.weight", GLOW_SHAPE(hidden, hidden, 1, 1), &second,
                             "coupling.net.conv2.weight"));
  GLOW_TRY(import_y0ast_actnorm(im, "block.2.actnorm", hidden, "coupling.net.norm2.bias",
                                "coupling.net.norm2.logs"));
  return import_y0ast_zero_convolution(
      im, "block.4.", hidden, out,
      im->plan.coupling == GLOW_COUPLING_AFFINE ? GLOW_ORDER_INTERLEAVED : GLOW_ORDER_SAME,
      "coupling.net.conv3.");
}

static glow_status import_y0ast_split(glow__import *im, int64_t channels) {
  return import_y0ast_zero_convolution(im, "", channels / 2, channels, GLOW_ORDER_INTERLEAVED,
                                       "prior.");
}

/* prior_h is a buffer of zeros that training does not change; the code below relies on that. */
static glow_status check_zeros(glow__import *im, int64_t channels) {
  const glow_shape *input = &im->plan.input;
  int64_t height = input->height >> im->plan.levels, width = input->width >> im->plan.levels;
  double *zeros = NULL;
  glow_status status = GLOW_OK;
  GLOW_TRY(glow__import_read(im, "prior_h", GLOW_SHAPE(1, 2 * channels, height, width), &zeros));
  for (int64_t i = 0; zeros && status == GLOW_OK && i < 2 * channels * height * width; i++)
    if (zeros[i] != 0.0)
      status = glow_error(GLOW_E_FORMAT, "tensor '%sprior_h' is not all zeros: element %lld is %g",
                          im->prefix, (long long)i, zeros[i]);
  glow_release(im->context, zeros);
  return status;
}

/* The weights only meet zeros, so only their shape is checked. */
static glow_status import_y0ast_learned_top(glow__import *im, int64_t channels) {
  int64_t out = 2 * channels;
  double *weight = NULL;
  const glow__import_tensor bias = {"learn_top_fn.conv.bias", GLOW_SHAPE(out)},
                            logs = {"learn_top_fn.logs", GLOW_SHAPE(out, 1, 1)};
  GLOW_TRY(glow__import_read(im, "learn_top_fn.conv.weight", GLOW_SHAPE(out, out, 3, 3), &weight));
  glow_release(im->context, weight);
  return glow__import_top_prior(im, channels, NULL, NULL, &bias, &logs);
}

static glow_status import_y0ast_top(glow__import *im, int64_t channels) {
  int64_t classes = im->plan.classes, out = 2 * channels;
  const glow__import_linear rows = {{"project_ycond.linear.weight", GLOW_SHAPE(out, classes)},
                                    {"project_ycond.linear.bias", GLOW_SHAPE(out)},
                                    {"project_ycond.logs", GLOW_SHAPE(out)},
                                    false};
  const glow__import_linear scores = {
      {"project_class.linear.weight", GLOW_SHAPE(classes, channels)},
      {"project_class.linear.bias", GLOW_SHAPE(classes)},
      {"project_class.logs", GLOW_SHAPE(classes)},
      false};
  GLOW_TRY(check_zeros(im, channels));
  if (im->plan.learned)
    GLOW_TRY(import_y0ast_learned_top(im, channels));
  if (classes)
    GLOW_TRY(glow__import_class_rows(im, channels, &rows));
  return im->plan.classifier ? glow__import_classifier(im, channels, &scores) : GLOW_OK;
}

const glow__import_format glow__import_y0ast = {
    .id = GLOW_FORMAT_Y0AST,
    .project = "y0ast/Glow-PyTorch",
    .first = "flow.layers.1.actnorm.bias",
    .prefixes = {GLOW_IMPORT_PREFIXES},
    .infer = import_y0ast_infer,
    .at_step = import_y0ast_at_step,
    .at_split = import_y0ast_at_split,
    .at_top = import_y0ast_at_top,
    .permutation = import_y0ast_permutation,
    .actnorm = import_y0ast_step_actnorm,
    .permute = import_y0ast_permute,
    .net = import_y0ast_net,
    .split = import_y0ast_split,
    .top = import_y0ast_top,
};
