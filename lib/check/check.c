/* glow_layer_check: runs one check after the other on a model of the layer. What each of them looks
 * for is said in <glow/sys/check.h>. SPDX-License-Identifier: MIT */
#include <math.h>
#include <string.h>

#include "check/check.h"

/* ---- build ----------------------------------------------------------------------------------- */

static bool finite_parameters(glow__check *c, const char *when) {
  for (int32_t t = 0; t < c->model->tensor_count; t++) {
    const glow__tensor *tensor = &c->model->tensors[t];
    for (int64_t i = 0; tensor->trainable && i < tensor->elements; i++)
      if (!isfinite(c->model->parameters[tensor->offset + i])) {
        glow__check_fault(c, "tensor '%s' is not finite at element %lld %s",
                          tensor->name + strlen(c->node->name) + 1, (long long)i, when);
        return false;
      }
  }
  return true;
}

/* Initialises from data, with parameters that have been moved, so that the norms which are set fit
 * the layers around them. */
static bool check_initialise(glow__check *c) {
  if (!c->node->rounds)
    return true;
  if (glow__check_perturb(c, 1) && glow_model_prepare(c->model) == GLOW_OK &&
      glow_workspace_initialise(c->ws, c->model, c->arrays[CHECK_X], c->labels, c->wide) == GLOW_OK)
    return true;
  glow__check_fault(c, "data-dependent initialisation: %s", glow_last_error());
  return false;
}

/* Parameters far out, for layers that say that they always prepare. */
enum { TRIES = 16 };

/* Leaves the parameters of all further checks in base. False: further checks make no sense. */
static bool check_build(glow__check *c) {
  size_t bytes = (size_t)c->model->parameter_count * sizeof(float);
  if (!finite_parameters(c, "as it is built"))
    return false;
  memcpy(c->base, c->model->parameters, bytes);
  if (!check_initialise(c) || !finite_parameters(c, "after data-dependent initialisation"))
    return false;
  memcpy(c->base, c->model->parameters, bytes);
  bool always = (glow__layer_flags(c->node->layer) & GLOW_LAYER_ALWAYS_PREPARES) != 0;
  for (int i = 0; always && i < TRIES; i++)
    if (!glow__check_perturb(c, i % 2 ? 10 : 100)) {
      glow__check_fault(c, "GLOW_LAYER_ALWAYS_PREPARES is set, but prepare fails: %s",
                        glow_last_error());
      return false;
    }
  if (!glow__check_perturb(c, 1)) {
    glow__check_fault(c, "parameters moved by %g: %s", c->o.spread, glow_last_error());
    return false;
  }
  memcpy(c->base, c->model->parameters, bytes);
  return glow_model_set_initialised(c->model) == GLOW_OK;
}

/* ---- all of it ------------------------------------------------------------------------------- */

typedef struct step {
  const char *name;
  void (*run)(glow__check *c);
} step;

static const step steps[] = {
    {"forward", glow__check_forwards},      {"inverse", glow__check_inverses},
    {"in place", glow__check_in_place},     {"log-det", glow__check_logdets},
    {"log-prior", glow__check_logpriors},   {"logits", glow__check_logits},
    {"not finite", glow__check_not_finite}, {"gradients", glow__check_gradients},
    {"backward", glow__check_backwards},    {"inverse backward", glow__check_inverse_backwards},
    {"threads", glow__check_threads},
};

static void begin_step(glow__check *c, const char *name) {
  c->name = name;
  c->in_step = 0;
}

static glow_status check_run_steps(glow__check *c) {
  begin_step(c, "build");
  glow__check_draw(c);
  if (!check_build(c))
    return GLOW_OK;
  for (size_t i = 0; i < sizeof steps / sizeof *steps && !glow__check_over(c); i++) {
    begin_step(c, steps[i].name);
    steps[i].run(c);
    if (i == 0 && c->faults)
      return GLOW_OK; /* all others build on it */
  }
  if (glow__check_over(c))
    return GLOW_OK;
  begin_step(c, "save and load");
  glow__check_prepare(c, c->base);
  glow__model_ready(c->model);
  GLOW_TRY(glow__check_save(c));
  if (glow__check_over(c))
    return GLOW_OK;
  begin_step(c, "inference form");
  GLOW_TRY(glow__check_inference_form(c));
  if (glow__check_over(c))
    return GLOW_OK;
  begin_step(c, "diagnosis");
  return glow__check_diagnosis(c);
}

static glow_status check_options(const glow_check_options *o) {
  const glow_shape *s = &o->shape;
  if (o->batch < 2 || o->batch > GLOW_CHECK_BATCH || o->reserved)
    return glow_error(GLOW_E_ARGUMENT, "batch is %d; it must be 2 to %d", o->batch,
                      GLOW_CHECK_BATCH);
  if (s->height < 1 || s->width < 1 || s->channels < 1 || s->height > GLOW_CHECK_DIMS ||
      s->width > GLOW_CHECK_DIMS || s->channels > GLOW_CHECK_DIMS ||
      s->height * s->width * s->channels > GLOW_CHECK_DIMS)
    return glow_error(GLOW_E_ARGUMENT, "shape is %lld x %lld x %lld; it must have 1 to %d elements",
                      (long long)s->height, (long long)s->width, (long long)s->channels,
                      GLOW_CHECK_DIMS);
  if (!(o->high - o->low >= 4 * GLOW_CHECK_MARGIN) || !isfinite(o->high - o->low))
    return glow_error(GLOW_E_ARGUMENT, "inputs from [%g, %g]; the range must be %g or wider",
                      o->low, o->high, 4 * GLOW_CHECK_MARGIN);
  if (!(o->spread >= 0 && o->spread <= 1e6) || !(o->round_trip > 0) || !(o->logdet > 0) ||
      !(o->gradient > 0))
    return glow_error(GLOW_E_ARGUMENT, "spread must be 0 or more, and tolerances above 0");
  return GLOW_OK;
}

/* Takes the layer over. */
static glow_status check_layer(glow_context *context, glow_layer *layer,
                               const glow_check_options *o) {
  glow__check *c = glow_allocate(context, sizeof *c);
  if (!c) {
    glow_layer_destroy(&layer);
    return GLOW_E_MEMORY;
  }
  c->o = *o;
  c->context = context;
  glow__check_make_shadow(c);
  glow_status status = glow__check_make_model(c, layer);
  if (status == GLOW_OK)
    status = glow__check_make_memory(c);
  if (status == GLOW_OK)
    status = check_run_steps(c);
  if (status == GLOW_OK && c->out_of_memory)
    status = glow_error(GLOW_E_MEMORY, "out of memory during the check '%s'", c->name);
  else if (status == GLOW_OK && c->faults)
    status = glow_error(GLOW_E_CHECK, "%s", c->first);
  glow__check_free_all(c);
  glow_release(context, c);
  return status;
}

glow_status glow_layer_check(glow_context *context, glow_layer **layer,
                             const glow_check_options *options) {
  GLOW_LIVE(context, CONTEXT);
  glow_check_options o = GLOW_CHECK_OPTIONS_INIT;
  if (!layer || !*layer)
    return glow_error(GLOW_E_ARGUMENT, "glow_layer_check: no layer");
  glow_layer *taken = *layer;
  *layer = NULL;
  glow_status status =
      context ? glow__options_copy(&o, sizeof o, options, sizeof o, "glow_check_options")
              : glow_error(GLOW_E_ARGUMENT, "glow_layer_check: NULL argument");
  if (status == GLOW_OK)
    status = check_options(&o);
  if (status == GLOW_OK)
    return check_layer(context, taken, &o);
  glow_layer_destroy(&taken);
  return status;
}

glow_status glow_net_check(glow_context *context, glow_net **net,
                           const glow_check_options *options) {
  GLOW_LIVE(context, CONTEXT);
  glow_check_options o = GLOW_CHECK_OPTIONS_INIT;
  glow_coupling_options coupling = GLOW_COUPLING_OPTIONS_INIT;
  glow_layer *layer = NULL;
  if (!net || !*net)
    return glow_error(GLOW_E_ARGUMENT, "glow_net_check: no net");
  glow_status status =
      context ? glow__options_copy(&o, sizeof o, options, sizeof o, "glow_check_options")
              : glow_error(GLOW_E_ARGUMENT, "glow_net_check: NULL argument");
  if (status != GLOW_OK) {
    glow_net_destroy(net);
    return status;
  }
  if (!glow_size_multiply(o.shape.channels, 2, &o.shape.channels))
    o.shape.channels = 0; /* refused below */
  coupling.scale = GLOW_SCALE_TANH;
  GLOW_TRY(glow_coupling_create(context, &coupling, net, &layer));
  return glow_layer_check(context, &layer, &o);
}
