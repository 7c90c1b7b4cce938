/* Saving and loading: the table's options and the declared tensors must be all that the layer
 * is. The options go through a configuration, which holds what a file does; tensors are copied.
 * Making the layer again must give back what it takes, also when memory runs out at any point.
 * SPDX-License-Identifier: MIT */
#include <stdio.h>
#include <string.h>

#include "check/check.h"

enum { MOST_LAYERS = 2 }; /* the layer and a prior */

/* What is saved of the layers of the check's model. */
typedef struct saved_layers {
  glow__config options[MOST_LAYERS];
} saved_layers;

static glow_status copy_tensors(glow_model *model, void *arg) {
  const glow_model *from = arg;
  memcpy(model->parameters, from->parameters, (size_t)from->parameter_count * sizeof(float));
  memcpy(model->fixed, from->fixed, (size_t)from->fixed_count * 4);
  return GLOW_OK;
}

/* The first tensor in which the two models differ. */
static bool same_tensors(glow__check *c, const glow_model *copy) {
  const glow_model *model = c->model;
  for (int32_t i = 0; i < model->tensor_count && i < copy->tensor_count; i++) {
    const glow__tensor *a = &model->tensors[i], *b = &copy->tensors[i];
    if (strcmp(a->name, b->name) == 0 && glow__tensors_alike(a, b))
      continue;
    glow__check_fault(c,
                      "the layer made again has tensor '%s', with another name, type or "
                      "shape than '%s' (an option that is not saved?)",
                      b->name, a->name);
    return false;
  }
  if (model->tensor_count == copy->tensor_count)
    return true;
  glow__check_fault(c,
                    "the layer made again has %d tensors instead of %d (an option that "
                    "is not saved?)",
                    copy->tensor_count, model->tensor_count);
  return false;
}

/* ---- options --------------------------------------------------------------------------------- */

static bool save_same_value(const glow__config_entry *a, const glow__config_entry *b) {
  return a->type == b->type && a->integer == b->integer && a->real == b->real &&
         (a->type != GLOW_CONFIG_TEXT || strcmp(a->text, b->text) == 0);
}

static void save_compare_options(glow__check *c, const glow__config *a, const glow__config *b) {
  for (int32_t i = 0; i < glow__config_count(a); i++) {
    const glow__config_entry *one = glow__config_at(a, i), *other = NULL;
    for (int32_t j = 0; j < glow__config_count(b) && !other; j++)
      if (strcmp(glow__config_at(b, j)->key, one->key) == 0)
        other = glow__config_at(b, j);
    if (other && save_same_value(one, other))
      continue;
    glow__check_fault(c, "option '%s' is saved, but %s by the layer that is made from it", one->key,
                      other ? "saved with another value" : "not saved");
    return;
  }
}

static glow_status same_options(glow__check *c, const glow__config *saved, const glow_model *copy) {
  glow__config again = {.list = NULL};
  glow_status status = glow__config_create(c->context, &again);
  if (status == GLOW_OK)
    status = glow__model_save_layer(copy, 0, &again);
  if (status == GLOW_OK)
    save_compare_options(c, saved, &again);
  glow__config_destroy(&again);
  return status;
}

/* ---- results --------------------------------------------------------------------------------- */

typedef struct results {
  float *z, *x;
  double *logdet, *log_prob;
} results;

static glow_status run_model(glow__check *c, const glow_model *model, const results *r) {
  glow_workspace_options o = GLOW_WORKSPACE_OPTIONS_INIT;
  glow_workspace *ws = NULL;
  o.batch = c->samples;
  glow_status status = glow_workspace_create(model, &o, &ws);
  if (status == GLOW_OK && model->condition_size)
    status = glow_workspace_set_condition(ws, c->vectors[0], c->samples, model->condition_size);
  if (status == GLOW_OK)
    status =
        glow_workspace_forward(ws, c->arrays[CHECK_X], c->samples,
                               &(glow_forward_options){.struct_size = sizeof(glow_forward_options),
                                                       .labels = c->labels,
                                                       .latents = r->z,
                                                       .logdet = r->logdet,
                                                       .log_prob = r->log_prob});
  if (status == GLOW_OK)
    status = glow_workspace_inverse(
        ws, r->z, c->samples,
        &(glow_inverse_options){.struct_size = sizeof(glow_inverse_options), .labels = c->labels},
        r->x);
  glow_workspace_destroy(&ws);
  return status;
}

glow_status glow__check_same_model(glow__check *c, const glow_model *other, const char *when,
                                   const char *why, double tolerance) {
  glow__grid flat = {{1, 1, c->dims}, c->dims, c->samples, 0}, x = glow__grid_x(c, c->samples);
  results a = {c->arrays[CHECK_Z], c->arrays[CHECK_BACK], c->doubles[CHECK_LOGDET],
               c->doubles[CHECK_LOGPRIOR]};
  results b = {c->arrays[CHECK_Z2], c->arrays[CHECK_WORK], c->doubles[CHECK_LOGDET2],
               c->doubles[CHECK_LOGPRIOR2]};
  char what[200];
  GLOW_TRY(run_model(c, c->model, &a));
  GLOW_TRY(run_model(c, other, &b));
  snprintf(what, sizeof what, "%s, the output of forward differs %s", when, why);
  if (!glow__check_same(c, what, &flat, b.z, a.z, tolerance))
    return GLOW_OK;
  snprintf(what, sizeof what, "%s, the log-det differs %s", when, why);
  if (!glow__check_same_sums(c, what, c->samples, b.logdet, a.logdet, tolerance))
    return GLOW_OK;
  snprintf(what, sizeof what, "%s, the log-probability differs %s", when, why);
  if (!glow__check_same_sums(c, what, c->samples, b.log_prob, a.log_prob, tolerance))
    return GLOW_OK;
  snprintf(what, sizeof what, "%s, x of inverse differs %s", when, why);
  glow__check_same(c, what, &x, b.x, a.x, tolerance);
  return GLOW_OK;
}

/* ---- making it again ------------------------------------------------------------------------- */

/* An option that the layer does not ask for is refused when a file is read. */
static glow_status make_layer(glow__check *c, int32_t index, const glow__config *options,
                              glow_layer **out) {
  const char *type = c->model->nodes[index].layer->ops.type;
  GLOW_TRY(glow__layer_load(&c->shadow, type, options, out));
  const char *ignored = glow__config_unasked(options);
  if (!ignored)
    return GLOW_OK;
  glow_layer_destroy(out);
  return glow_error(GLOW_E_FORMAT, "option '%.100s' is saved, but not asked for", ignored);
}

static glow_status add_layers(glow__check *c, const saved_layers *saved, glow_builder *builder) {
  for (int32_t i = 0; i < c->model->node_count; i++) {
    glow_layer *layer = NULL;
    glow_status status = make_layer(c, i, &saved->options[i], &layer);
    if (status != GLOW_OK)
      return glow__error_prefix(status, "layer '%s'", c->model->nodes[i].name);
    GLOW_TRY(glow_builder_add(builder, c->model->nodes[i].name, &layer));
  }
  return GLOW_OK;
}

/* A builder with the layers of the check's model, in memory that is counted. */
static glow_status make_again(glow__check *c, const saved_layers *saved, glow_builder **out) {
  glow_builder_options options = GLOW_BUILDER_OPTIONS_INIT;
  options.bits = 0;
  *out = NULL;
  GLOW_TRY(glow_builder_create(&c->shadow, &c->o.shape, &options, out));
  glow_status status = add_layers(c, saved, *out);
  if (status != GLOW_OK)
    glow_builder_destroy(out);
  return status;
}

static glow_status compare_copy(glow__check *c, const saved_layers *saved) {
  glow_builder *builder = NULL;
  glow_model *copy = NULL;
  GLOW_TRY(make_again(c, saved, &builder));
  if (!same_tensors(c, glow__builder_model(builder))) {
    glow_builder_destroy(&builder);
    return GLOW_OK;
  }
  GLOW_TRY(glow__builder_finish_from(&builder, copy_tensors, c->model, &copy));
  glow_model_set_initialised(copy);
  glow_status status = glow__check_same_model(
      c, copy, "after loading", "(something that is neither a tensor nor a saved option?)", 0);
  if (status == GLOW_OK)
    status = same_options(c, &saved->options[0], copy);
  glow_model_destroy(&copy);
  return status;
}

/* The n-th allocation fails, for n = 1, 2, ... until a run sees no failure. */
static void without_memory(glow__check *c, const saved_layers *saved) {
  enum { MOST = 2000 };
  for (int64_t n = 1; n < MOST && !glow__check_over(c); n++) {
    glow_builder *builder = NULL;
    int64_t live = c->live;
    c->fail_at = c->allocations + n;
    glow_status status = make_again(c, saved, &builder);
    bool failed = c->fail_at <= c->allocations;
    c->fail_at = 0;
    glow_builder_destroy(&builder);
    if (c->live != live)
      glow__check_fault(c, "%lld blocks of memory leak when the layer is made and destroyed%s",
                        (long long)(c->live - live),
                        failed ? ", memory having run out in between" : "");
    else if (failed && status != GLOW_E_MEMORY)
      glow__check_fault(c,
                        "allocation %lld of making the layer fails, but that does not give "
                        "GLOW_E_MEMORY",
                        (long long)n);
    else if (failed)
      continue;
    return;
  }
}

static glow_status save_layers(glow__check *c, saved_layers *saved) {
  if (c->model->node_count > MOST_LAYERS)
    return glow_error(GLOW_E_STATE, "check: %d layers", c->model->node_count);
  for (int32_t i = 0; i < c->model->node_count; i++) {
    GLOW_TRY(glow__config_create(c->context, &saved->options[i]));
    GLOW_TRY(glow__model_save_layer(c->model, i, &saved->options[i]));
  }
  return GLOW_OK;
}

static glow_status check_saved(glow__check *c, saved_layers *saved) {
  glow_status status = save_layers(c, saved);
  if (status == GLOW_E_UNSUPPORTED)
    return GLOW_OK; /* the type is not registered, which is the answer to expect */
  if (status == GLOW_OK)
    status = compare_copy(c, saved);
  if (status != GLOW_OK && status != GLOW_E_MEMORY) {
    glow__check_fault(c, "%s", glow_last_error());
    status = GLOW_OK;
  } else if (status == GLOW_OK) {
    without_memory(c, saved);
  }
  return status;
}

glow_status glow__check_save(glow__check *c) {
  saved_layers saved;
  memset(&saved, 0, sizeof saved);
  glow_status status = check_saved(c, &saved);
  for (int32_t i = 0; i < MOST_LAYERS; i++)
    glow__config_destroy(&saved.options[i]);
  return status;
}
