/* Calls on optimizers and trainers. SPDX-License-Identifier: MIT */
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <glow/sys/base.h>

#include "../support/one_rank.h"
#include "api.h"

/* ---- optimizers ------------------------------------------------------------------------------ */

static const api_field optimizer_fields[] = {
    F(glow_optimizer_options, kind, ENUM, GLOW_OPTIMIZER_SGD),
    F(glow_optimizer_options, reserved, FLAG, 0),
    F(glow_optimizer_options, beta1, REAL, 0),
    F(glow_optimizer_options, beta2, REAL, 0),
    F(glow_optimizer_options, epsilon, REAL, 0),
    F(glow_optimizer_options, weight_decay, REAL, 0)};
static const api_field schedule_fields[] = {F(glow_schedule, kind, ENUM, GLOW_SCHEDULE_CONSTANT),
                                            F(glow_schedule, rate, REAL, 0),
                                            F(glow_schedule, final, REAL, 0),
                                            F(glow_schedule, warmup, SIDE, 0),
                                            F(glow_schedule, steps, SIDE, 0),
                                            F(glow_schedule, reserved, FLAG, 0)};

void api_optimizer_create(api *a) {
  glow_optimizer_options o = GLOW_OPTIMIZER_OPTIONS_INIT;
  api_slot *slot = api_pick(a, API_MODEL);
  glow_model *model = api_object(a, slot);
  glow_optimizer *optimizer = NULL;
  glow_status status =
      CALL(a, glow_optimizer_create(model, OPTIONS(a, o, optimizer_fields, 3), &optimizer));
  api_keep(a, API_OPTIMIZER, status, optimizer, slot ? slot->context : 0,
           api_number(a, API_MODEL, slot));
}

void api_optimizer_step(api *a) {
  static const double rates[] = {1e-3, 0.1, 1.0, 0.0, -1.0, NAN, INFINITY, 1e30};
  api_slot *slot = api_pick(a, API_OPTIMIZER);
  if (!slot)
    return;
  api_slot *other = api_rarely(a, 32) ? api_pick(a, API_MODEL) : &a->slots[API_MODEL][slot->model];
  glow_model *model = a->slots[API_MODEL][slot->model].object;
  int64_t steps = glow_optimizer_step_count(slot->object);
  double rate = rates[api_byte(a) % 8];
  const float *gradients = api_floats(a, glow_model_parameter_count(model));
  glow_status status =
      CALL(a, glow_optimizer_step(api_object(a, slot), other->object, gradients, rate));
  PROMISE(glow_optimizer_step_count(slot->object) == steps + (status == GLOW_OK));
  PROMISE(status != GLOW_OK ||
          api_all_finite(glow_model_parameters(model), glow_model_parameter_count(model)));
}

static const char *const prefixes[] = {"", "level0", "prior", "step0.coupling", "nothing", NULL};
static const double factors[] = {0, 1, 2, 0.5, -1, NAN, 1e300, 1e-300};

/* Into one of the vectors of the state: what a caller may have got wrong. */
static void write_state(api *a, const api_slot *slot) {
  static const float odd[] = {0, 1, -1, 1e30f, 3e38f, NAN, INFINITY, 1e-40f};
  uint8_t index = api_byte(a), value = api_byte(a);
  int64_t count = glow_model_parameter_count(a->slots[API_MODEL][slot->model].object);
  float *state = glow_optimizer_state(slot->object, index > 250 ? -1 : index % 3);
  PROMISE(state ? index <= 250 && index % 3 < 2 : index % 3 > 0 || index > 250);
  if (state && count > 0)
    state[value % count] = odd[value / 8 % 8];
}

static void hold_or_speed(api *a, glow_optimizer *optimizer, const char *prefix, double factor) {
  if (CALL(a, glow_optimizer_set_rate_factor(optimizer, prefix, factor)) != GLOW_OK || *prefix)
    return;
  double given = glow_optimizer_rate_factor(optimizer, "prior.mean");
  PROMISE(isnan(given) || given == factor); /* NaN: there is no such tensor */
}

void api_optimizer_change(api *a) {
  api_slot *slot = api_pick(a, API_OPTIMIZER);
  glow_optimizer_options options = GLOW_OPTIMIZER_OPTIONS_INIT;
  if (!slot)
    return;
  glow_optimizer *optimizer = api_object(a, slot);
  uint8_t form = api_byte(a), value = api_byte(a);
  int64_t steps = value < 240 ? value : value < 250 ? INT64_MAX - value : -value;
  switch (form % 4) {
  case 0: write_state(a, slot); break;
  case 1:
    if (CALL(a, glow_optimizer_set_step_count(optimizer, steps)) == GLOW_OK)
      PROMISE(glow_optimizer_step_count(optimizer) == steps);
    break;
  case 2: hold_or_speed(a, optimizer, prefixes[form / 4 % 6], factors[value % 8]); break;
  default:
    if (CALL(a, glow_optimizer_get_options(optimizer, form > 250 ? NULL : &options)) == GLOW_OK)
      PROMISE(options.kind >= GLOW_OPTIMIZER_SGD && options.kind <= GLOW_OPTIMIZER_LION);
    PROMISE(!glow_optimizer_state(NULL, 0) && !glow_optimizer_note(optimizer, "none"));
  }
}

/* ---- trainers -------------------------------------------------------------------------------- */

void api_trainer_create(api *a) {
  static const api_field fields[] = {F(glow_trainer_options, micro_batch, SIDE, 0),
                                     F(glow_trainer_options, mode, ENUM, GLOW_MODE_STORED),
                                     F(glow_trainer_options, average, FLAG, 0),
                                     F(glow_trainer_options, average_decay, REAL, 0),
                                     F(glow_trainer_options, clip_norm, REAL, 0),
                                     F(glow_trainer_options, clip_value, REAL, 0),
                                     F(glow_trainer_options, seed, SEED, 0),
                                     F(glow_trainer_options, class_weight, REAL, 0),
                                     F(glow_trainer_options, gain_l2, REAL, 0),
                                     F(glow_trainer_options, memory_budget, BYTES, 0),
                                     F(glow_trainer_options, drift_bound, REAL, 0),
                                     F(glow_trainer_options, cache_packed, FLAG, 0),
                                     F(glow_trainer_options, inverse_backward, FLAG, 0)};
  glow_trainer_options o = GLOW_TRAINER_OPTIONS_INIT;
  glow_optimizer_options optimizer = GLOW_OPTIMIZER_OPTIONS_INIT;
  glow_schedule schedule = GLOW_SCHEDULE_INIT;
  api_slot *slot = api_pick(a, API_MODEL);
  glow_model *model = api_object(a, slot);
  glow_trainer *trainer = NULL;
  uint8_t form = api_byte(a);
  o.micro_batch = 2;
  o.average = form & 1;
  o.inverse_backward = form >> 6 & 1;
  o.mode = form & 2 ? GLOW_MODE_RECONSTRUCTED : GLOW_MODE_STORED;
  optimizer.kind += form >> 2 & 1;
  schedule.kind += form >> 3 & 1;
  schedule.steps = 3;
  o.optimizer = form & 16 ? OPTIONS(a, optimizer, optimizer_fields, 1) : &optimizer;
  o.schedule = form & 32 ? OPTIONS(a, schedule, schedule_fields, 1) : &schedule;
  glow_status status = CALL(a, glow_trainer_create(model, OPTIONS(a, o, fields, 3), &trainer));
  api_keep(a, API_TRAINER, status, trainer, slot ? slot->context : 0,
           api_number(a, API_MODEL, slot));
}

/* A trainer, its model, and the samples that it is given. */
typedef struct training {
  api_slot *slot;
  glow_trainer *trainer; /* NULL: the record says so */
  glow_model *model;
  int64_t count, dims;
} training;

static bool start(api *a, training *t) {
  t->slot = api_pick(a, API_TRAINER);
  if (!t->slot)
    return false;
  t->trainer = api_object(a, t->slot);
  t->model = a->slots[API_MODEL][t->slot->model].object;
  t->count = api_count(a);
  t->dims = t->count > 0 ? glow_model_dims(t->model) : 0;
  api_tell(a, "  of model %d, %lld samples", t->slot->model, (long long)t->count);
  return true;
}

static uint8_t *new_pixels(api *a, const training *t) {
  uint8_t form = api_byte(a);
  uint8_t *pixels = api_scratch(a, (size_t)(t->count * t->dims));
  for (int64_t i = 0; i < t->count * t->dims; i++)
    pixels[i] = form > 200 ? form : (uint8_t)(i * 41 + form);
  return form == 255 ? NULL : pixels;
}

static const double *new_weights(api *a, int64_t count) {
  static const double odd[] = {0, 2, 0.5, 1e300, 1e-300, -1, NAN, INFINITY};
  uint8_t form = api_byte(a);
  if (form % 4 != 1 || count < 1)
    return NULL;
  double *weights = api_scratch(a, (size_t)count * sizeof *weights);
  for (int64_t i = 0; i < count; i++)
    weights[i] = 1;
  weights[form % count] = odd[form / 4 % 8];
  return weights;
}

/* As the record says, with conditions if the model takes them. */
static glow_batch new_batch(api *a, const training *t) {
  glow_batch b = GLOW_BATCH_INIT;
  uint8_t form = api_byte(a);
  int64_t size = glow_model_condition_size(t->model);
  b.count = t->count;
  if (form % 2)
    b.pixels = new_pixels(a, t);
  if (form % 2 == 0 || form > 250)
    b.x = api_floats(a, t->count * t->dims);
  b.labels = api_labels(a, t->model, t->count);
  b.condition_count = !size ? 0 : form & 2 ? t->count : 1;
  if (size && b.condition_count > 0)
    b.condition = api_floats(a, b.condition_count * size);
  b.weights = new_weights(a, t->count);
  return b;
}

void api_trainer_initialise(api *a) {
  training t;
  if (!start(a, &t))
    return;
  const glow_batch batch = new_batch(a, &t);
  CALL(a, glow_trainer_initialise_batch(t.trainer, &batch));
}

static bool has_finite_model(const training *t) {
  return api_all_finite(glow_model_parameters(t->model), glow_model_parameter_count(t->model));
}

/* Of a step that was made: what it reports is finite, and so is what it made of a model that was.
 * (A caller may have set a parameter to NaN on which no result depends, such as the weight of an
 * output that a mask drops.) */
static void check_step(const training *t, const glow_step_report *report, int64_t before,
                       bool was_finite) {
  PROMISE(glow_trainer_step_count(t->slot->object) == before + 1);
  PROMISE(report->step == before + 1 && isfinite(report->loss) && report->rate >= 0);
  PROMISE(isfinite(report->gradient_norm) && report->gradient_norm >= 0);
  PROMISE(!was_finite || has_finite_model(t));
}

/* A run that goes on from a checkpoint makes the same step, bit for bit. */
static void check_resumed(api *a, const training *t, const glow_batch *batch, const void *file,
                          size_t size) {
  glow_input input = GLOW_INPUT_INIT;
  glow_model *model = NULL;
  glow_trainer *trainer = NULL;
  api_memory held = a->memory;
  a->memory.fail_at = 0;
  input.data = file;
  input.size = (int64_t)size;
  PROMISE(glow_checkpoint_load_input(a->contexts[t->slot->context], &input, &model, &trainer) ==
          GLOW_OK);
  PROMISE(glow_trainer_step_batch(trainer, batch, NULL) == GLOW_OK);
  size_t bytes = 0, bytes_resumed = 0;
  void *one = api_save_checkpoint(t->slot->object, &bytes);
  void *other = api_save_checkpoint(trainer, &bytes_resumed);
  PROMISE(bytes == bytes_resumed && memcmp(one, other, bytes) == 0);
  free(one);
  free(other);
  glow_trainer_destroy(&trainer);
  glow_model_destroy(&model);
  a->memory.fail_at = held.fail_at;
}

void api_trainer_step(api *a) {
  training t;
  glow_step_report report = GLOW_STEP_REPORT_INIT;
  if (!start(a, &t))
    return;
  const glow_batch batch = new_batch(a, &t);
  uint8_t form = api_byte(a);
  int64_t steps = glow_trainer_step_count(t.slot->object);
  bool was_finite = has_finite_model(&t);
  size_t size = 0;
  api_memory held = a->memory;
  a->memory.fail_at = 0;
  void *file = form % 4 == 1 && !t.slot->ran ? api_save_checkpoint(t.slot->object, &size) : NULL;
  a->memory.fail_at = held.fail_at;
  if (form == 255)
    report.struct_size = 1;
  glow_status status = CALL(a, glow_trainer_step_batch(t.trainer, &batch, &report));
  if (status == GLOW_OK)
    check_step(&t, &report, steps, was_finite);
  if (status == GLOW_OK && file)
    check_resumed(a, &t, &batch, file, size);
  free(file);
}

void api_trainer_pixels(api *a) {
  training t;
  glow_step_report report = GLOW_STEP_REPORT_INIT;
  if (!start(a, &t))
    return;
  const int32_t *labels = api_labels(a, t.model, t.count);
  int64_t steps = glow_trainer_step_count(t.slot->object);
  bool was_finite = has_finite_model(&t);
  if (CALL(a, glow_trainer_step_pixels(t.trainer, new_pixels(a, &t), labels, t.count, &report)) ==
      GLOW_OK)
    check_step(&t, &report, steps, was_finite);
}

/* ---- targets --------------------------------------------------------------------------------- */

typedef struct density {
  int64_t dims;
  uint8_t form;
} density;

/* A standard normal, with what can be wrong of it. */
static glow_status normal_density(const float *x, int64_t first, int64_t count, double *log_p,
                                  float *gradient, void *payload) {
  static const double odd[] = {NAN, INFINITY, -INFINITY, 1e300, -1e300};
  const density *d = payload;
  PROMISE(first >= 0 && count > 0 && api_all_finite(x, count * d->dims));
  if (d->form == 1)
    return glow_error(GLOW_E_IO, "no density");
  if (d->form == 2)
    return 7;
  for (int64_t n = 0; n < count; n++) {
    log_p[n] = 0;
    for (int64_t i = n * d->dims; i < (n + 1) * d->dims; i++)
      log_p[n] -= 0.5 * (double)x[i] * (double)x[i];
    for (int64_t i = n * d->dims; gradient && i < (n + 1) * d->dims; i++)
      gradient[i] = d->form == 3 ? NAN : -x[i];
  }
  if (d->form > 3 && d->form < 9)
    log_p[count - 1] = odd[d->form - 4];
  return GLOW_OK;
}

static glow_target new_target(api *a, const glow_model *model, int64_t count, density *d) {
  glow_target target = GLOW_TARGET_INIT;
  uint8_t form = api_byte(a);
  int64_t size = glow_model_condition_size(model);
  *d = (density){glow_model_dims(model), form % 16};
  target.density = form == 255 ? NULL : normal_density;
  target.payload = d;
  target.objective += form >> 4 & 3;
  target.labels = api_labels(a, model, count);
  target.condition_count = !size ? 0 : form & 64 ? count : 1;
  if (size && target.condition_count > 0)
    target.condition = api_floats(a, target.condition_count * size);
  return target;
}

static void check_estimate(const glow_importance *e, int64_t count) {
  PROMISE(e->count == count && e->failed == 0 && isfinite(e->log_z));
  PROMISE(e->ess > 0.999999 && e->ess < (double)count * 1.000001 && e->largest < 1.000001);
  PROMISE(count == 1 ? isnan(e->log_z_error) : e->log_z_error >= 0);
}

void api_trainer_target(api *a) {
  training t;
  density d;
  glow_step_report report = GLOW_STEP_REPORT_INIT;
  glow_importance estimate = GLOW_IMPORTANCE_INIT;
  if (!start(a, &t))
    return;
  const glow_target target = new_target(a, t.model, t.count, &d);
  int64_t steps = glow_trainer_step_count(t.slot->object);
  bool was_finite = has_finite_model(&t);
  glow_status status =
      CALL(a, glow_trainer_step_target(t.trainer, &target, t.count, &report, &estimate));
  if (status != GLOW_OK)
    return;
  check_step(&t, &report, steps, was_finite);
  check_estimate(&estimate, t.count);
}

/* A workspace, with samples as a trainer is given them. */
static glow_workspace *start_workspace(api *a, training *t) {
  *t = (training){.slot = api_pick(a, API_WORKSPACE)};
  if (!t->slot)
    return NULL;
  t->model = a->slots[API_MODEL][t->slot->model].object;
  t->count = api_count(a);
  t->dims = t->count > 0 ? glow_model_dims(t->model) : 0;
  t->slot->ran = 0;
  return t->slot->object;
}

void api_evaluate(api *a) {
  training t;
  glow_evaluation e = GLOW_EVALUATION_INIT;
  glow_workspace *workspace = start_workspace(a, &t);
  if (!workspace)
    return;
  const glow_batch batch = new_batch(a, &t);
  for (int32_t i = 1; i < 3; i++) {
    if (CALL(a, glow_evaluate(workspace, &batch, api_byte(a), &e)) != GLOW_OK)
      return;
    PROMISE(e.count + e.failed == i * t.count);
    PROMISE(!e.count || batch.weights || isfinite(e.log_prob));
  }
  const glow_collective collective = one_rank();
  const double mean = e.log_prob;
  PROMISE(CALL(a, glow_evaluation_join(&e, t.model, &collective)) == GLOW_OK);
  PROMISE(e.count + e.failed == 2 * t.count &&
          (isnan(mean) || fabs(e.log_prob - mean) <= 1e-9 * fabs(mean)));
}

void api_importance(api *a) {
  training t;
  density d;
  glow_sample_options o = GLOW_SAMPLE_OPTIONS_INIT;
  glow_importance estimate = GLOW_IMPORTANCE_INIT;
  glow_workspace *workspace = start_workspace(a, &t);
  if (!workspace)
    return;
  const glow_target target = new_target(a, t.model, t.count, &d);
  uint8_t form = api_byte(a);
  o.temperature = form % 8 == 1 ? 0.0 : form % 8 == 2 ? NAN : 1.0;
  o.first = form & 8 ? UINT64_MAX - 1 : 0;
  o.store = form & 16 ? 1 : 0;
  if (CALL(a, glow_workspace_importance(workspace, &target, form & 32 ? NULL : &o, t.count,
                                        &estimate)) == GLOW_OK)
    check_estimate(&estimate, t.count);
}

/* ---- runs ------------------------------------------------------------------------------------ */

typedef struct run {
  glow_batch batch;
  uint8_t form;
  int64_t given;
} run;

static glow_status next_batch(int64_t step, glow_batch *batch, void *payload) {
  run *r = payload;
  PROMISE(step > 0 && batch->count == r->batch.count && !batch->x && !batch->pixels);
  if (r->form == 3 && r->given++ > 0)
    return glow_error(GLOW_E_IO, "no more data");
  if (r->form == 2)
    return 7;
  *batch = r->batch;
  batch->count -= r->form == 4;
  return GLOW_OK;
}

static int32_t progress(const glow_step_report *report, void *payload) {
  const run *r = payload;
  PROMISE(isfinite(report->loss));
  return r->form == 5;
}

/* What is held out is the batch itself, if the record says so. */
static void hold_out(glow_run_options *o, const glow_batch *batch, uint8_t form) {
  if (!form)
    return;
  o->held_out = form % 8 == 7 ? NULL : batch;
  o->keep_best = form & 1;
  o->evaluate_every = form > 250 ? 0 : 1 + (form >> 3 & 1);
  o->patience = form > 240 ? -1 : form >> 4 & 3;
}

static void check_run(const glow_run_options *o, const glow_run_report *report) {
  PROMISE(report->steps >= 0 && report->steps <= o->steps);
  PROMISE(report->evaluations <= report->steps && (o->held_out || !report->evaluations));
  PROMISE(report->best_step ? isfinite(report->best_loss) : isnan(report->best_loss));
  PROMISE(!report->stopped_early || o->patience);
}

/* After keep_best, what was held out is exactly as likely as the best evaluation found it. */
static void check_best(api *a, const training *t, const glow_run_options *o,
                       const glow_run_report *report) {
  glow_trainer_options options = GLOW_TRAINER_OPTIONS_INIT;
  glow_evaluation e = GLOW_EVALUATION_INIT;
  glow_workspace *workspace = glow_trainer_workspace(t->slot->object);
  api_memory held = a->memory;
  a->memory.fail_at = 0;
  PROMISE(glow_trainer_get_options(t->slot->object, &options) == GLOW_OK);
  PROMISE(glow_evaluate(workspace, o->held_out, options.seed, &e) == GLOW_OK);
  PROMISE(e.bits_per_dim == report->best_loss && !e.failed);
  if (options.average) {
    e = (glow_evaluation)GLOW_EVALUATION_INIT;
    PROMISE(glow_trainer_use_average(t->slot->object, 1) == GLOW_OK);
    PROMISE(glow_evaluate(workspace, o->held_out, options.seed, &e) == GLOW_OK);
    PROMISE(e.bits_per_dim == report->best_loss);
    PROMISE(glow_trainer_use_average(t->slot->object, 0) == GLOW_OK);
  }
  a->memory.fail_at = held.fail_at;
  a->memory.calls = held.calls;
}

void api_trainer_run(api *a) {
  training t;
  if (!start(a, &t))
    return;
  uint8_t form = api_byte(a);
  run r = {new_batch(a, &t), api_byte(a), 0};
  glow_run_options o = GLOW_RUN_OPTIONS_INIT;
  glow_run_report report = GLOW_RUN_REPORT_INIT;
  int64_t before = glow_trainer_step_count(t.slot->object);
  bool was_finite = has_finite_model(&t);
  o.steps = form > 250 ? -1 : 1 + form % 2 + (form >> 2 & 3);
  o.batch = t.count;
  o.next = r.form == 6 ? NULL : next_batch;
  o.progress = r.form == 7 ? NULL : progress;
  o.next_payload = o.progress_payload = &r;
  hold_out(&o, &r.batch, api_byte(a));
  /* steps that were made stay */
  glow_status status =
      CALL_CHANGES(a, glow_trainer_run(t.trainer, &o, r.form == 8 ? NULL : &report));
  int64_t made = glow_trainer_step_count(t.slot->object) - before;
  PROMISE(!was_finite || has_finite_model(&t));
  if (r.form == 8)
    return;
  PROMISE(report.steps == made);
  if (status == GLOW_OK)
    check_run(&o, &report);
  if (status == GLOW_OK && o.keep_best && report.best_step)
    check_best(a, &t, &o, &report);
}

/* ---- other changes --------------------------------------------------------------------------- */

/* Wild gradients, for losses and hooks that are wrong in some way. */
static glow_status wild_loss(const glow_loss_call *c, double *loss, void *payload) {
  static const double odd[] = {1, 0, -1, 1e30, NAN, INFINITY};
  uint8_t form = (uint8_t)(uintptr_t)payload;
  *loss = form % 16 == 15 ? odd[form / 16 % 6] : c->logdet[0] + c->latents[0];
  c->d_logdet[0] = odd[form % 6];
  c->d_latents[0] = (float)odd[form / 6 % 6];
  return form > 250 ? GLOW_E_IO : GLOW_OK;
}

static glow_status wild_hook(int64_t step, float *gradients, int64_t count, void *payload) {
  uint8_t form = (uint8_t)(uintptr_t)payload;
  PROMISE(step > 0);
  if (form % 3 == 1 && count > 0)
    gradients[form % count] = form > 200 ? NAN : (float)form * 1e30f;
  return form > 250 ? 3 : GLOW_OK;
}

static void change_callbacks(api *a, api_slot *slot, glow_trainer *trainer, uint8_t form) {
  slot->ran = 1;
  void *payload = (void *)(uintptr_t)api_byte(a);
  if (form & 4)
    CALL(a, glow_trainer_set_loss(trainer, form & 8 ? wild_loss : NULL, payload));
  else
    CALL(a, glow_trainer_set_gradient_hook(trainer, form & 8 ? wild_hook : NULL, payload));
}

void api_trainer_change(api *a) {
  training t;
  glow_schedule schedule = GLOW_SCHEDULE_INIT;
  glow_trainer_options options = GLOW_TRAINER_OPTIONS_INIT;
  const glow_collective collective = one_rank();
  if (!start(a, &t))
    return;
  uint8_t form = api_byte(a);
  switch (form % 5) {
  case 4: change_callbacks(a, t.slot, t.trainer, form / 5); break;
  case 0: CALL(a, glow_trainer_use_average(t.trainer, form > 250 ? 7 : form >> 2 & 1)); break;
  case 3:
    CALL(a,
         glow_trainer_set_rate_factor(t.trainer, prefixes[form / 5 % 6], factors[api_byte(a) % 8]));
    PROMISE(!(glow_trainer_rate_factor(t.trainer, "prior.mean") < 0));
    break;
  case 1:
    CALL(a, glow_trainer_set_schedule(t.trainer, OPTIONS(a, schedule, schedule_fields, 3)));
    break;
  default:
    if (form & 64)
      CALL(a, glow_trainer_set_collective(t.trainer, form & 128 ? NULL : &collective, NULL));
    if (CALL(a, glow_trainer_get_options(t.trainer, &options)) == GLOW_OK)
      PROMISE(options.micro_batch > 0 && options.optimizer && options.schedule);
    PROMISE(!t.trainer || glow_trainer_workspace(t.trainer));
    PROMISE(!glow_trainer_note(t.trainer, "none") && !glow_trainer_note(t.trainer, NULL));
    glow_schedule_rate(OPTIONS(a, schedule, schedule_fields, 2), form - 3);
  }
}
