/* Does another project have this model? The model that an import of that project's file would make
 * is built here, from the counts and kinds of the given one, and both must have the same layers
 * with the same options. Whatever a project does not have is thus refused without a list of such
 * things. SPDX-License-Identifier: MIT */
#include <stdio.h>
#include <string.h>

#include "host/host.h"
#include "io/import.h"

typedef struct exporter {
  glow_context *context;
  const glow_model *model;
  const char *project;
  glow__import_plan *plan;
} exporter;

/* ---- counts and kinds ------------------------------------------------------------------------ */

static const char *type_of(const exporter *x, int32_t layer) {
  const char *type = glow_model_layer_type(x->model, layer);
  return type ? type : "nothing";
}

static bool is(const exporter *x, int32_t layer, const char *type) {
  return strcmp(type_of(x, layer), type) == 0;
}

static glow_status read_coupling(exporter *x, const glow__config *config) {
  const char *kind = "";
  int64_t hidden = 0, actnorm = 0;
  GLOW_TRY(glow__config_get_text(config, "kind", &kind));
  GLOW_TRY(glow__config_get_int(config, "net.hidden", 0, INT32_MAX, &hidden));
  GLOW_TRY(glow__config_get_int(config, "net.actnorm", 0, 1, &actnorm));
  x->plan->coupling = strcmp(kind, "additive") == 0 ? GLOW_COUPLING_ADDITIVE : GLOW_COUPLING_AFFINE;
  x->plan->hidden =
      hidden ? (int32_t)hidden : 1; /* another kind of net, which the comparison will refuse */
  x->plan->net_actnorm = (int32_t)actnorm;
  return GLOW_OK;
}

static glow_status read_prior(exporter *x, const glow__config *config) {
  int64_t learned = 0, classes = 0, classifier = 0;
  GLOW_TRY(glow__config_get_int(config, "learned", 0, 1, &learned));
  GLOW_TRY(glow__config_get_int(config, "classes", 0, INT32_MAX, &classes));
  GLOW_TRY(glow__config_get_int(config, "classifier", 0, 1, &classifier));
  x->plan->learned = (int32_t)learned;
  x->plan->classes = (int32_t)classes;
  x->plan->classifier = (int32_t)classifier;
  return GLOW_OK;
}

static glow_status export_read_options(exporter *x, int32_t layer,
                                       glow_status (*read)(exporter *x,
                                                           const glow__config *config)) {
  glow__config config = {.list = NULL};
  GLOW_TRY(glow__config_create(x->context, &config));
  glow_status status = glow__model_save_layer(x->model, layer, &config);
  if (status == GLOW_OK)
    status = read(x, &config);
  glow__config_destroy(&config);
  return status;
}

/* Counts, from the types of layers: squeeze, K times (actnorm, permutation, coupling), split. */
static glow_status export_count_layers(exporter *x) {
  int32_t layers = glow_model_layer_count(x->model), couplings = 0;
  for (int32_t i = 0; i < layers; i++) {
    x->plan->levels += is(x, i, "squeeze");
    couplings += is(x, i, "coupling");
  }
  if (!x->plan->levels || !couplings || couplings % x->plan->levels)
    return glow_error(GLOW_E_UNSUPPORTED,
                      "%d couplings in %d levels: %s has as many steps at each level, at least 1",
                      couplings, x->plan->levels, x->project);
  x->plan->depth = couplings / x->plan->levels;
  return GLOW_OK;
}

/* Index of the layer that is a step's permutation. */
static int32_t permutation_layer(const exporter *x, int32_t step) {
  return step / x->plan->depth * (3 * x->plan->depth + 2) + step % x->plan->depth * 3 + 2;
}

static glow_status read_plan(exporter *x) {
  int32_t steps;
  GLOW_TRY(export_count_layers(x));
  GLOW_TRY(glow_model_input_shape(x->model, &x->plan->input));
  x->plan->bits = glow_model_bits(x->model);
  steps = x->plan->levels * x->plan->depth;
  x->plan->permutations = glow_allocate(x->context, (size_t)steps * sizeof *x->plan->permutations);
  if (!x->plan->permutations)
    return GLOW_E_MEMORY;
  for (int32_t i = 0; i < steps; i++)
    x->plan->permutations[i] = is(x, permutation_layer(x, i), "permute") ? GLOW_PERMUTATION_REVERSE
                                                                         : GLOW_PERMUTATION_INVCONV;
  if (is(x, 3, "coupling"))
    GLOW_TRY(export_read_options(x, 3, read_coupling));
  return export_read_options(x, glow_model_layer_count(x->model) - 1, read_prior);
}

/* ---- comparing options ----------------------------------------------------------------------- */

static const glow__config_entry *export_entry_of(const glow__config *config, const char *key) {
  for (int32_t i = 0; i < glow__config_count(config); i++)
    if (strcmp(glow__config_at(config, i)->key, key) == 0)
      return glow__config_at(config, i);
  return NULL;
}

static const char *value_text(const glow__config_entry *e, char *out, size_t size) {
  if (!e)
    snprintf(out, size, "none");
  else if (e->type == GLOW_CONFIG_INT)
    snprintf(out, size, "%lld", (long long)e->integer);
  else if (e->type == GLOW_CONFIG_REAL)
    snprintf(out, size, "%g", e->real);
  else
    snprintf(out, size, "%.60s", e->text);
  return out;
}

static bool same_value(const glow__config_entry *a, const glow__config_entry *b) {
  if (!a || !b || a->type != b->type)
    return false;
  return a->type == GLOW_CONFIG_INT    ? a->integer == b->integer
         : a->type == GLOW_CONFIG_REAL ? a->real == b->real
                                       : strcmp(a->text, b->text) == 0;
}

/* Floors change nothing in a model that has its values (a floor of the scale function comes with
 * another scale function). Forms of permutations are checked by the writer, because they are more
 * than their options. */
static bool without_effect(const exporter *x, int32_t layer, const char *key) {
  return strcmp(key, "floor") == 0 || is(x, layer, "invconv") || is(x, layer, "permute");
}

static glow_status compare_options(const exporter *x, int32_t layer, const glow__config *ours,
                                   const glow__config *theirs) {
  for (int32_t i = 0; i < glow__config_count(ours); i++) {
    const glow__config_entry *a = glow__config_at(ours, i), *b = export_entry_of(theirs, a->key);
    char here[64], there[64];
    if (!without_effect(x, layer, a->key) && !same_value(a, b))
      return glow_error(GLOW_E_UNSUPPORTED, "layer '%s': option %s is %s, but in %s it is %s",
                        glow_model_layer_name(x->model, layer), a->key,
                        value_text(a, here, sizeof here), x->project,
                        value_text(b, there, sizeof there));
  }
  return GLOW_OK;
}

static glow_status compare_layer(const exporter *x, const glow_model *theirs, int32_t layer) {
  const char *type = glow_model_layer_type(theirs, layer);
  glow__config a = {.list = NULL}, b = {.list = NULL};
  if (!type || !is(x, layer, type))
    return glow_error(GLOW_E_UNSUPPORTED, "layer '%s' is of type %s, but in %s it is %s",
                      glow_model_layer_name(x->model, layer), type_of(x, layer), x->project,
                      type ? type : "none");
  glow_status status = glow__config_create(x->context, &a);
  if (status == GLOW_OK)
    status = glow__config_create(x->context, &b);
  if (status == GLOW_OK)
    status = glow__model_save_layer(x->model, layer, &a);
  if (status == GLOW_OK)
    status = glow__model_save_layer(theirs, layer, &b);
  if (status == GLOW_OK)
    status = compare_options(x, layer, &a, &b);
  glow__config_destroy(&a);
  glow__config_destroy(&b);
  return status;
}

static glow_status compare_layers(const exporter *x) {
  glow_builder *builder = NULL;
  glow_status status = glow__import_build(x->context, x->plan, &builder);
  if (status != GLOW_OK)
    return glow__error_prefix(status == GLOW_E_MEMORY ? status : GLOW_E_UNSUPPORTED,
                              "%s has no such model", x->project);
  for (int32_t i = 0; status == GLOW_OK && i < glow_model_layer_count(x->model); i++)
    status = compare_layer(x, glow__builder_model(builder), i);
  glow_builder_destroy(&builder);
  return status;
}

glow_status glow__export_plan(const glow_model *model, const char *project,
                              glow__import_plan *plan) {
  exporter x = {glow__model_context(model), model, project, plan};
  GLOW_TRY(read_plan(&x));
  return compare_layers(&x);
}
