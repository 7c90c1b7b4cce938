/* From what was inferred to a model: its layers, named as in the Glow preset, and the walk over its
 * parts in order. SPDX-License-Identifier: MIT */
#include <stdio.h>
#include <string.h>

#include "host/host.h"
#include "io/import.h"

/* A model with more layers could not be read from a file again. */
enum { MAX_LAYERS = 16384 };

/* ---- what was inferred ----------------------------------------------------------------------- */

glow_status glow__import_plan_step(glow__import *im, int64_t channels, int64_t hidden,
                                   int64_t out) {
  glow__import_plan *plan = &im->plan;
  if (plan->levels < 1 || plan->levels > GLOW_IMPORT_LEVELS || plan->depth < 1 ||
      plan->depth > GLOW_IMPORT_DEPTH || plan->levels * (3 * plan->depth + 2) > MAX_LAYERS)
    return glow_error(GLOW_E_FORMAT, "%d levels of %d steps: more than can be read", plan->levels,
                      plan->depth);
  if (channels % 4)
    return glow_error(GLOW_E_FORMAT,
                      "the first step has %lld channels, which are not those of a "
                      "squeezed image",
                      (long long)channels);
  if (out != channels && 2 * out != channels)
    return glow_error(GLOW_E_FORMAT,
                      "the first coupling's net has %lld outputs; %lld would make it an "
                      "affine coupling, %lld an additive one",
                      (long long)out, (long long)channels, (long long)channels / 2);
  plan->input.channels = channels / 4;
  plan->hidden = (int32_t)hidden;
  plan->coupling = out == channels ? GLOW_COUPLING_AFFINE : GLOW_COUPLING_ADDITIVE;
  return GLOW_OK;
}

static void go_to_step(glow__import *im, int32_t level, int32_t step) {
  im->format->at_step(im, level, step);
  snprintf(im->to, sizeof im->to, "level%d.step%d.", level, step);
}

/* A model has the same form of permutation everywhere, or at each level; a file with other forms is
 * incomplete. */
static glow_status check_like_first(const glow__import *im, int32_t step) {
  const glow__import_plan *plan = &im->plan;
  int32_t first = im->format->levels_differ ? step / plan->depth * plan->depth : 0;
  if (plan->permutations[step] == plan->permutations[first])
    return GLOW_OK;
  return glow_error(GLOW_E_FORMAT,
                    "the permutation at '%s%s' has another form than the first: "
                    "tensors are missing, or do not belong there",
                    im->prefix, im->from);
}

glow_status glow__import_permutations(glow__import *im) {
  glow__import_plan *plan = &im->plan;
  int32_t steps = plan->levels * plan->depth;
  plan->permutations = glow_allocate(im->context, (size_t)steps * sizeof *plan->permutations);
  if (!plan->permutations)
    return GLOW_E_MEMORY;
  for (int32_t i = 0; i < steps; i++) {
    go_to_step(im, i / plan->depth, i % plan->depth);
    int32_t kind = im->format->permutation(im);
    if (!kind)
      kind = im->options.permutation;
    if (!kind)
      return glow_error(
          GLOW_E_FORMAT,
          "there is no permutation at '%s%s': the model reversed or shuffled its channels, which "
          "its file does not tell. If it reversed them, say so in the options; docs/import.md says "
          "how "
          "to add the indices of a shuffle",
          im->prefix, im->from);
    plan->permutations[i] = kind;
    GLOW_TRY(check_like_first(im, i));
  }
  return GLOW_OK;
}

/* ---- layers ---------------------------------------------------------------------------------- */

typedef struct building {
  glow_context *context;
  const glow__import_plan *plan;
  glow_builder *builder;
  char prefix[64]; /* of the names of layers: "level0.step1." */
} building;

/* Adds *layer, if making it succeeded. */
static glow_status import_model_add(building *b, glow_status made, glow_layer **layer,
                                    const char *what) {
  char name[128];
  if (made != GLOW_OK)
    return made;
  snprintf(name, sizeof name, "%s%s", b->prefix, what);
  return glow_builder_add(b->builder, name, layer);
}

static glow_status add_permutation(building *b, int32_t kind) {
  glow_layer *layer = NULL;
  glow_permute_options permute = GLOW_PERMUTE_OPTIONS_INIT;
  glow_invconv_options invconv = GLOW_INVCONV_OPTIONS_INIT;
  if (kind == GLOW_PERMUTATION_REVERSE || kind == GLOW_PERMUTATION_SHUFFLE) {
    permute.kind = kind;
    return import_model_add(b, glow_permute_create(b->context, &permute, &layer), &layer,
                            "permute");
  }
  invconv.lu = kind == GLOW_PERMUTATION_INVCONV_LU;
  return import_model_add(b, glow_invconv_create(b->context, &invconv, &layer), &layer, "invconv");
}

static glow_status add_coupling(building *b) {
  glow_conv_net_options net_options = GLOW_CONV_NET_OPTIONS_INIT;
  glow_coupling_options options = GLOW_COUPLING_OPTIONS_INIT;
  glow_net *net = NULL;
  glow_layer *layer = NULL;
  net_options.hidden = b->plan->hidden;
  net_options.actnorm = b->plan->net_actnorm;
  net_options.border = b->plan->border;
  options.kind = b->plan->coupling;
  GLOW_TRY(glow_conv_net_create(b->context, &net_options, &net));
  return import_model_add(b, glow_coupling_create(b->context, &options, &net, &layer), &layer,
                          "coupling");
}

static glow_status add_step(building *b, int32_t level, int32_t step) {
  glow_layer *layer = NULL;
  snprintf(b->prefix, sizeof b->prefix, "level%d.step%d.", level, step);
  GLOW_TRY(import_model_add(b, glow_actnorm_create(b->context, NULL, &layer), &layer, "actnorm"));
  GLOW_TRY(add_permutation(b, b->plan->permutations[level * b->plan->depth + step]));
  return add_coupling(b);
}

static glow_status add_level(building *b, int32_t level) {
  glow_layer *layer = NULL;
  glow_split_options split = GLOW_SPLIT_OPTIONS_INIT;
  snprintf(b->prefix, sizeof b->prefix, "level%d.", level);
  GLOW_TRY(import_model_add(b, glow_squeeze_create(b->context, NULL, &layer), &layer, "squeeze"));
  for (int32_t step = 0; step < b->plan->depth; step++)
    GLOW_TRY(add_step(b, level, step));
  if (level == b->plan->levels - 1)
    return GLOW_OK;
  snprintf(b->prefix, sizeof b->prefix, "level%d.", level);
  split.border = b->plan->border;
  return import_model_add(b, glow_split_create(b->context, &split, &layer), &layer, "split");
}

static glow_status add_prior(building *b) {
  glow_layer *layer = NULL;
  glow_prior_options options = GLOW_PRIOR_OPTIONS_INIT;
  options.learned = b->plan->learned;
  options.classes = b->plan->classes;
  options.spatial = b->plan->spatial;
  options.classifier = b->plan->classifier;
  b->prefix[0] = 0;
  return import_model_add(b, glow_prior_create(b->context, &options, &layer), &layer, "prior");
}

static glow_status import_model_add_layers(building *b) {
  for (int32_t level = 0; level < b->plan->levels; level++)
    GLOW_TRY(add_level(b, level));
  return add_prior(b);
}

glow_status glow__import_build(glow_context *context, const glow__import_plan *plan,
                               glow_builder **out) {
  glow_builder_options options = GLOW_BUILDER_OPTIONS_INIT;
  building b = {.context = context, .plan = plan};
  options.bits = plan->bits;
  GLOW_TRY(glow_builder_create(context, &plan->input, &options, &b.builder));
  glow_status status = import_model_add_layers(&b);
  if (status != GLOW_OK)
    glow_builder_destroy(&b.builder);
  *out = b.builder;
  return status;
}

/* ---- the walk -------------------------------------------------------------------------------- */

static glow_status walk_step(glow__import *im, int32_t level, int32_t step, int64_t channels) {
  int32_t kind = im->plan.permutations[level * im->plan.depth + step];
  bool affine = im->plan.coupling == GLOW_COUPLING_AFFINE;
  go_to_step(im, level, step);
  GLOW_TRY(im->format->actnorm(im, channels));
  GLOW_TRY(im->format->permute(im, channels, kind));
  return im->format->net(im, channels / 2, affine ? channels : channels / 2);
}

glow_status glow__import_walk(glow__import *im) {
  int64_t channels = im->plan.input.channels;
  for (int32_t level = 0; level < im->plan.levels; level++) {
    channels *= 4;
    for (int32_t step = 0; step < im->plan.depth; step++)
      GLOW_TRY(walk_step(im, level, step, channels));
    if (level == im->plan.levels - 1)
      break;
    im->format->at_split(im, level);
    snprintf(im->to, sizeof im->to, "level%d.split.", level);
    GLOW_TRY(im->format->split(im, channels));
    channels /= 2;
  }
  im->format->at_top(im);
  snprintf(im->to, sizeof im->to, "prior.");
  return im->format->top(im, channels);
}

/* ---- tensors of a model ---------------------------------------------------------------------- */

/* Parts are converted in the order of the layers, so the wanted tensor is near the last one. */
glow_status glow__import_find(const glow_model *model, int32_t *next, const char *name,
                              int32_t type, int64_t count, void **out) {
  int32_t tensors = glow_model_tensor_count(model);
  for (int32_t i = 0; i < tensors; i++) {
    glow_tensor_info info = GLOW_TENSOR_INFO_INIT;
    int32_t at = (*next + i) % tensors;
    GLOW_TRY(glow_model_tensor(model, at, &info));
    if (strcmp(info.name, name) != 0)
      continue;
    if (info.type != type || info.elements != count)
      break;
    *next = at;
    *out = glow__model_tensor_data(model, at);
    return GLOW_OK;
  }
  return glow_error(GLOW_E_STATE, "the model has no tensor '%s' of %lld elements", name,
                    (long long)count);
}
