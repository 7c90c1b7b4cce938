/* The trainer: its life, its options, and questions about it. SPDX-License-Identifier: MIT */
#include <math.h>

#include "train/rates.h"
#include "train/trainer.h"

/* ---- options --------------------------------------------------------------------------------- */

static const glow_choice modes[] = {{GLOW_MODE_STORED, 0, "stored"},
                                    {GLOW_MODE_RECONSTRUCTED, 0, "reconstructed"},
                                    {GLOW_MODE_BUDGET, 0, "budget"},
                                    {0, 0, NULL}};
static const glow_option rows[] = {
    GLOW_OPTION(glow_trainer_options, micro_batch, INT64, .low = 1, .high = 0x1p62, .fallback = 16),
    GLOW_OPTION(glow_trainer_options, mode, CHOICE, .choices = modes, .prefix = "GLOW_MODE_",
                .fallback = GLOW_MODE_STORED),
    GLOW_OPTION(glow_trainer_options, average, INT32, .high = 1),
    GLOW_OPTION(glow_trainer_options, average_decay, REAL, .flags = GLOW_OPTION_BELOW_HIGH,
                .high = 1, .fallback = 0.999),
    GLOW_OPTION(glow_trainer_options, clip_norm, REAL, .high = 1e300),
    GLOW_OPTION(glow_trainer_options, clip_value, REAL, .high = 1e300),
    GLOW_OPTION(glow_trainer_options, seed, UINT64),
    GLOW_OPTION(glow_trainer_options, class_weight, REAL, .high = 1e300, .fallback = 0.01),
    GLOW_OPTION(glow_trainer_options, gain_l2, REAL, .high = 1e300),
    GLOW_OPTION(glow_trainer_options, memory_budget, UINT64),
    GLOW_OPTION(glow_trainer_options, drift_bound, REAL, .high = 1e300, .fallback = 1e-3),
    GLOW_OPTION(glow_trainer_options, cache_packed, INT32, .high = 1),
    GLOW_OPTION(glow_trainer_options, inverse_backward, INT32, .high = 1),
};
const glow_options_table glow__trainer_table = {GLOW_OPTIONS_TABLE(glow_trainer_options, rows)};

/* ---- life ------------------------------------------------------------------------------------ */

/* Logits of something other than the classes are for the caller to train. */
static glow_status make_classifier(glow_trainer *t) {
  int64_t floats;
  if (!glow_model_logit_count(t->model) ||
      glow_model_logit_count(t->model) != glow_model_class_count(t->model))
    return GLOW_OK;
  t->classes = glow_model_logit_count(t->model);
  if (!glow_size_multiply(t->options.micro_batch, t->classes, &floats) || floats > INT64_MAX / 64)
    return glow_error(GLOW_E_LIMIT, "trainer: micro-batches of %lld are too large",
                      (long long)t->options.micro_batch);
  t->d_logits = glow_allocate(t->context, (size_t)floats * sizeof(float));
  return t->d_logits ? GLOW_OK : GLOW_E_MEMORY;
}

/* For glow_trainer_step_target. */
static glow_status make_target_room(glow_trainer *t, int64_t elements) {
  if (!t->options.inverse_backward)
    return GLOW_OK;
  t->dx = glow_allocate(t->context, (size_t)elements * sizeof *t->dx);
  if (!t->dx)
    return GLOW_E_MEMORY;
  t->log_p = glow_allocate(t->context, (size_t)t->options.micro_batch * sizeof *t->log_p);
  return t->log_p ? GLOW_OK : GLOW_E_MEMORY;
}

static glow_status trainer_fill(glow_trainer *t) {
  const glow_trainer_options *o = &t->options;
  glow_workspace_options ws = GLOW_WORKSPACE_OPTIONS_INIT;
  int64_t elements;
  ws.batch = o->micro_batch;
  ws.mode = o->mode;
  ws.memory_budget = o->memory_budget;
  ws.drift_bound = o->drift_bound;
  ws.cache_packed = o->cache_packed;
  ws.inverse_backward = o->inverse_backward;
  t->dims = glow_model_dims(t->model);
  GLOW_TRY(glow__batch_elements(t->model, o->micro_batch, &elements));
  GLOW_TRY(glow__schedule_read(o->schedule, &t->schedule));
  GLOW_TRY(glow_optimizer_create(t->model, o->optimizer, &t->optimizer));
  t->options.schedule = &t->schedule;
  t->options.optimizer = glow__optimizer_options(t->optimizer);
  GLOW_TRY(glow_workspace_create(t->model, &ws, &t->workspace));
  glow__workspace_set_held(t->workspace, glow__optimizer_rates(t->optimizer)->held);
  GLOW_TRY(glow__flat_create(t->context, glow_model_parameter_count(t->model), &t->flat));
  t->share = glow_allocate(t->context, (size_t)o->micro_batch * sizeof(double));
  if (!t->share)
    return GLOW_E_MEMORY;
  t->weight = glow_allocate(t->context, (size_t)o->micro_batch * sizeof(double));
  if (!t->weight)
    return GLOW_E_MEMORY;
  t->log_prob = glow_allocate(t->context, (size_t)o->micro_batch * sizeof(double));
  if (!t->log_prob)
    return GLOW_E_MEMORY;
  GLOW_TRY(make_classifier(t));
  if (glow_model_bits(t->model) || o->inverse_backward) {
    t->x = glow_allocate(t->context, (size_t)elements * sizeof(float));
    if (!t->x)
      return GLOW_E_MEMORY;
  }
  GLOW_TRY(make_target_room(t, elements));
  if (o->average) {
    t->average = glow__allocate_spread(t->context, (size_t)t->flat.count * sizeof(float));
    if (!t->average)
      return GLOW_E_MEMORY;
  }
  return GLOW_OK;
}

glow_status glow_trainer_create(glow_model *model, const glow_trainer_options *options,
                                glow_trainer **out) {
  glow_trainer_options o;
  if (out)
    *out = NULL;
  GLOW_LIVE(model, MODEL);
  if (!model || !out)
    return glow_error(GLOW_E_ARGUMENT, "glow_trainer_create: NULL argument");
  GLOW_TRY(glow_options_read(&glow__trainer_table, options, &o));
  glow_context *context = glow__model_context(model);
  glow_trainer *trainer = glow_allocate(context, sizeof *trainer);
  if (!trainer)
    return GLOW_E_MEMORY;
  glow__live_add(trainer, GLOW_LIVE_TRAINER);
  glow__model_hold(model);
  trainer->context = context;
  trainer->model = model;
  trainer->options = o;
  glow_status status = trainer_fill(trainer);
  if (status != GLOW_OK)
    glow_trainer_destroy(&trainer);
  *out = trainer;
  return status;
}

void glow_trainer_destroy(glow_trainer **trainer) {
  if (!trainer || !*trainer)
    return;
  GLOW_LIVE_END(*trainer, TRAINER);
  glow_trainer *t = *trainer;
  glow_context *context = t->context;
  const glow_model *model = t->model;
  glow_optimizer_destroy(&t->optimizer);
  glow_workspace_destroy(&t->workspace);
  glow__flat_destroy(&t->flat);
  glow__notes_destroy(context, &t->notes);
  glow__trainer_loss_destroy(t);
  glow__collective_destroy(&t->collective);
  glow_release(context, t->share);
  glow_release(context, t->weight);
  glow_release(context, t->log_prob);
  glow_release(context, t->d_logits);
  glow_release(context, t->x);
  glow_release(context, t->dx);
  glow_release(context, t->log_p);
  glow_release(context, t->average);
  glow_release(context, t);
  glow__model_drop(model);
  *trainer = NULL;
}

int64_t glow_trainer_step_count(const glow_trainer *trainer) {
  GLOW_LIVE_OR(trainer, TRAINER, 0);
  return trainer ? trainer->steps : 0;
}

glow_status glow_trainer_get_options(const glow_trainer *trainer, glow_trainer_options *out) {
  GLOW_LIVE(trainer, TRAINER);
  if (!trainer || !out)
    return glow_error(GLOW_E_ARGUMENT, "glow_trainer_get_options: NULL argument");
  return glow__struct_fill(out, &trainer->options, sizeof trainer->options, sizeof trainer->options,
                           "glow_trainer_options");
}

glow_status glow_trainer_set_schedule(glow_trainer *trainer, const glow_schedule *schedule) {
  GLOW_LIVE(trainer, TRAINER);
  glow_schedule checked;
  if (!trainer)
    return glow_error(GLOW_E_ARGUMENT, "glow_trainer_set_schedule: NULL argument");
  GLOW_TRY(glow__schedule_read(schedule, &checked));
  trainer->schedule = checked;
  return GLOW_OK;
}

glow_status glow_trainer_set_gradient_hook(glow_trainer *trainer, glow_gradient_fn hook,
                                           void *payload) {
  GLOW_LIVE(trainer, TRAINER);
  if (!trainer)
    return glow_error(GLOW_E_ARGUMENT, "glow_trainer_set_gradient_hook: NULL argument");
  trainer->hook = hook;
  trainer->hook_payload = payload;
  return GLOW_OK;
}

glow_status glow_trainer_set_rate_factor(glow_trainer *trainer, const char *prefix, double factor) {
  GLOW_LIVE(trainer, TRAINER);
  if (!trainer)
    return glow_error(GLOW_E_ARGUMENT, "glow_trainer_set_rate_factor: NULL argument");
  return glow_optimizer_set_rate_factor(trainer->optimizer, prefix, factor);
}

double glow_trainer_rate_factor(const glow_trainer *trainer, const char *tensor) {
  GLOW_LIVE_OR(trainer, TRAINER, NAN);
  return trainer ? glow_optimizer_rate_factor(trainer->optimizer, tensor) : NAN;
}

glow_workspace *glow_trainer_workspace(glow_trainer *trainer) {
  GLOW_LIVE_OR(trainer, TRAINER, NULL);
  return trainer ? trainer->workspace : NULL;
}

glow_status glow__trainer_check_idle(const glow_trainer *trainer) {
  if (trainer->average_used)
    return glow_error(GLOW_E_STATE, "the average is in use: call glow_trainer_use_average with 0");
  return GLOW_OK;
}

/* ---- for checkpoints ------------------------------------------------------------------------- */

glow_optimizer *glow__trainer_optimizer(const glow_trainer *trainer) {
  return trainer->optimizer;
}

glow_model *glow__trainer_model(const glow_trainer *trainer) {
  return trainer->model;
}

void glow__trainer_vectors_of(const glow_trainer *t, glow__trainer_vectors *out) {
  /* not the mutable accessor, after which the model would have to be prepared */
  float *parameters = (float *)(uintptr_t)glow_model_parameters(t->model);
  out->parameters = t->average_used ? t->average : parameters;
  out->average = t->average_used ? parameters : t->average;
  glow__optimizer_moments(t->optimizer, &out->m, &out->v);
}

void glow__trainer_progress(const glow_trainer *t, glow__progress *out) {
  *out = (glow__progress){t->steps, glow_optimizer_step_count(t->optimizer), t->position,
                          glow__workspace_recomputes(t->workspace)};
}

glow_status glow__trainer_set_progress(glow_trainer *t, const glow__progress *progress) {
  if (progress->steps < 0 || progress->steps > INT64_MAX / 2)
    return glow_error(GLOW_E_ARGUMENT, "trainer: %lld steps cannot have been made",
                      (long long)progress->steps);
  if (progress->optimizer_steps != progress->steps)
    return glow_error(GLOW_E_ARGUMENT, "trainer: %lld steps were made, but %lld by the optimizer",
                      (long long)progress->steps, (long long)progress->optimizer_steps);
  if (progress->steps > 0 && !glow_model_initialised(t->model))
    return glow_error(GLOW_E_ARGUMENT,
                      "trainer: %lld steps were made, but the model is not initialised",
                      (long long)progress->steps);
  if (progress->recomputes != 0 && progress->recomputes != 1)
    return glow_error(GLOW_E_ARGUMENT, "trainer: recomputes is %lld; it must be 0 or 1",
                      (long long)progress->recomputes);
  if (!glow__workspace_set_recomputes(t->workspace, progress->recomputes == 1))
    return glow_error(GLOW_E_ARGUMENT,
                      "trainer: recomputes is 1, but with these options no layers are run again");
  t->steps = progress->steps;
  t->position = progress->noise_position;
  glow__optimizer_set_steps(t->optimizer, progress->optimizer_steps);
  return GLOW_OK;
}

glow__note **glow__trainer_notes(const glow_trainer *trainer) {
  return (glow__note **)(uintptr_t)&trainer->notes;
}
