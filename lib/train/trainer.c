/* The trainer: dequantise, forward, backward, check, clip, update, average. One step is all or
 * nothing.
 * The loss is the mean of the bits per dimension, whose gradient with respect to the
 * log-probability of a sample is -1 / (count dims ln 2), which is the weight that backward is
 * given; with a classifier class_weight times the mean cross-entropy of the labelled samples; and
 * gain_l2 |g|^2 for the scales g of weight normalisation.
 * SPDX-License-Identifier: MIT */
#include <math.h>
#include <stdio.h>
#include <string.h>

#include "host/host.h"
#include "train/train.h"

/* Of the options' first version: docs/abi.md. */
#define SMALLEST_OPTIONS offsetof(glow_trainer_options, class_weight)
#define SMALLEST_REPORT offsetof(glow_step_report, class_loss)

struct glow_trainer {
  glow_context *context;
  glow_model *model;
  glow_trainer_options options; /* its pointers lead to the copies that this trainer has */
  glow_schedule schedule;
  glow_optimizer *optimizer;
  glow_workspace *workspace;
  glow__flat flat;
  int64_t dims;
  int64_t steps;
  uint64_t position; /* in the sequence of dequantisation noise */
  float *x;          /* [micro_batch, dims] dequantised pixels; NULL for continuous data */
  double *weight;    /* [micro_batch] */
  double *log_prob;  /* [micro_batch] */
  int64_t classes;   /* of the classifier, 0 without */
  float *d_logits;   /* [micro_batch, classes], or NULL */
  float *average;    /* flat, or NULL: the average, or the trained parameters while it is in use */
  bool average_used;
  glow__note *notes;    /* of the checkpoint that the trainer comes from */
  const float *vectors; /* the caller's context vectors [vector_count, context size] */
  int64_t vector_count;
};

/* A batch of floats or of pixels. */
typedef struct batch {
  const float *x;
  const uint8_t *pixels;
  const int32_t *labels;
  int64_t count;
} batch;

/* ---- life ------------------------------------------------------------------------------------ */

static glow_status trainer_check_options(const glow_trainer_options *o) {
  if (o->micro_batch < 1)
    return glow_error(GLOW_E_ARGUMENT, "trainer: a micro-batch has at least one sample, not %lld",
                      (long long)o->micro_batch);
  if (o->mode < GLOW_MODE_STORED || o->mode > GLOW_MODE_BUDGET)
    return glow_error(GLOW_E_ARGUMENT, "trainer: mode %d is not a training mode", (int)o->mode);
  if (o->average != 0 && o->average != 1)
    return glow_error(GLOW_E_ARGUMENT, "trainer: average is %d, not 0 or 1", (int)o->average);
  if (!(o->average_decay >= 0.0 && o->average_decay < 1.0))
    return glow_error(GLOW_E_ARGUMENT, "trainer: the decay of the average is %g, outside [0, 1)",
                      o->average_decay);
  if (!isfinite(o->clip_norm) || o->clip_norm < 0.0 || !isfinite(o->clip_value) ||
      o->clip_value < 0.0)
    return glow_error(GLOW_E_ARGUMENT,
                      "trainer: clip_norm %g or clip_value %g is not a number >= 0", o->clip_norm,
                      o->clip_value);
  if (!isfinite(o->class_weight) || o->class_weight < 0.0)
    return glow_error(GLOW_E_ARGUMENT, "trainer: class_weight %g is not a number >= 0",
                      o->class_weight);
  if (!isfinite(o->gain_l2) || o->gain_l2 < 0.0)
    return glow_error(GLOW_E_ARGUMENT, "trainer: gain_l2 %g is not a number >= 0", o->gain_l2);
  if (o->reserved)
    return glow_error(GLOW_E_ARGUMENT, "trainer: reserved must be 0");
  return GLOW_OK;
}

/* Logits of something else than the classes are the caller's to train. */
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

static glow_status trainer_fill(glow_trainer *t) {
  const glow_trainer_options *o = &t->options;
  glow_workspace_options ws = GLOW_WORKSPACE_OPTIONS_INIT;
  int64_t elements;
  ws.batch = o->micro_batch;
  ws.mode = o->mode;
  ws.memory_budget = o->memory_budget;
  ws.drift_bound = o->drift_bound;
  ws.cache_packed = o->cache_packed;
  t->dims = glow_model_dims(t->model);
  GLOW_TRY(glow__batch_elements(t->model, o->micro_batch, &elements));
  GLOW_TRY(glow__schedule_copy(&t->schedule, o->schedule));
  GLOW_TRY(glow_optimizer_create(t->model, o->optimizer, &t->optimizer));
  t->options.schedule = &t->schedule;
  t->options.optimizer = glow__optimizer_options(t->optimizer);
  GLOW_TRY(glow_workspace_create(t->model, &ws, &t->workspace));
  GLOW_TRY(glow__flat_create(t->context, glow_model_parameter_count(t->model), &t->flat));
  t->weight = glow_allocate(t->context, (size_t)o->micro_batch * sizeof(double));
  if (!t->weight)
    return GLOW_E_MEMORY;
  t->log_prob = glow_allocate(t->context, (size_t)o->micro_batch * sizeof(double));
  if (!t->log_prob)
    return GLOW_E_MEMORY;
  GLOW_TRY(make_classifier(t));
  if (glow_model_bits(t->model)) {
    t->x = glow_allocate(t->context, (size_t)elements * sizeof(float));
    if (!t->x)
      return GLOW_E_MEMORY;
  }
  if (o->average) {
    t->average = glow_allocate(t->context, (size_t)t->flat.count * sizeof(float));
    if (!t->average)
      return GLOW_E_MEMORY;
  }
  return GLOW_OK;
}

glow_status glow_trainer_create(glow_model *model, const glow_trainer_options *options,
                                glow_trainer **out) {
  glow_trainer_options o = GLOW_TRAINER_OPTIONS_INIT;
  if (out)
    *out = NULL;
  if (!model || !out)
    return glow_error(GLOW_E_ARGUMENT, "glow_trainer_create: NULL argument");
  GLOW_TRY(glow__options_copy(&o, sizeof o, options, SMALLEST_OPTIONS, "glow_trainer_options"));
  GLOW_TRY(trainer_check_options(&o));
  glow_context *context = glow__model_context(model);
  glow_trainer *trainer = glow_allocate(context, sizeof *trainer);
  if (!trainer)
    return GLOW_E_MEMORY;
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
  glow_trainer *t = *trainer;
  glow_context *context = t->context;
  glow_optimizer_destroy(&t->optimizer);
  glow_workspace_destroy(&t->workspace);
  glow__flat_destroy(&t->flat);
  glow__notes_destroy(context, &t->notes);
  glow_release(context, t->weight);
  glow_release(context, t->log_prob);
  glow_release(context, t->d_logits);
  glow_release(context, t->x);
  glow_release(context, t->average);
  glow_release(context, t);
  *trainer = NULL;
}

int64_t glow_trainer_step_count(const glow_trainer *trainer) {
  return trainer ? trainer->steps : 0;
}

glow_status glow_trainer_get_options(const glow_trainer *trainer, glow_trainer_options *out) {
  if (!trainer || !out)
    return glow_error(GLOW_E_ARGUMENT, "glow_trainer_get_options: NULL argument");
  return glow__struct_fill(out, &trainer->options, sizeof trainer->options, SMALLEST_OPTIONS,
                           "glow_trainer_options");
}

glow_status glow_trainer_set_schedule(glow_trainer *trainer, const glow_schedule *schedule) {
  glow_schedule checked;
  if (!trainer)
    return glow_error(GLOW_E_ARGUMENT, "glow_trainer_set_schedule: NULL argument");
  GLOW_TRY(glow__schedule_copy(&checked, schedule));
  trainer->schedule = checked;
  return GLOW_OK;
}

glow_workspace *glow_trainer_workspace(glow_trainer *trainer) {
  return trainer ? trainer->workspace : NULL;
}

/* ---- context vectors ------------------------------------------------------------------------- */

glow_status glow_trainer_set_condition(glow_trainer *t, const float *context, int64_t count,
                                       int64_t size) {
  if (!t)
    return glow_error(GLOW_E_ARGUMENT, "glow_trainer_set_condition: NULL argument");
  GLOW_TRY(glow_workspace_set_condition(t->workspace, context, count, size));
  t->vectors = context;
  t->vector_count = count;
  return GLOW_OK;
}

/* The workspace's passes get the vectors of samples `first` and on of a batch of `count`. */
static glow_status aim_context(glow_trainer *t, int64_t first, int64_t count) {
  int64_t size = glow_model_condition_size(t->model), have = t->vector_count;
  if (have > 1 && have != count)
    return glow_error(GLOW_E_ARGUMENT, "%lld context vectors for a batch of %lld samples",
                      (long long)have, (long long)count);
  if (have > 1)
    return glow_workspace_set_condition(t->workspace, t->vectors + first * size, have - first,
                                        size);
  return glow_workspace_set_condition(t->workspace, t->vectors, have, size);
}

/* ---- initialisation -------------------------------------------------------------------------- */

static glow_status check_idle(const glow_trainer *trainer) {
  if (trainer->average_used)
    return glow_error(GLOW_E_STATE, "the average is in use: call glow_trainer_use_average with 0");
  return GLOW_OK;
}

glow_status glow_trainer_initialise(glow_trainer *trainer, const float *x, const int32_t *labels,
                                    int64_t count) {
  if (!trainer || !x)
    return glow_error(GLOW_E_ARGUMENT, "glow_trainer_initialise: NULL argument");
  GLOW_TRY(check_idle(trainer));
  GLOW_TRY(aim_context(trainer, 0, count));
  return glow_workspace_initialise(trainer->workspace, trainer->model, x, labels, count);
}

glow_status glow_trainer_initialise_pixels(glow_trainer *trainer, const uint8_t *pixels,
                                           const int32_t *labels, int64_t count) {
  int64_t elements;
  if (!trainer || !pixels)
    return glow_error(GLOW_E_ARGUMENT, "glow_trainer_initialise_pixels: NULL argument");
  GLOW_TRY(glow__check_pixels(trainer->model));
  GLOW_TRY(glow__batch_elements(trainer->model, count, &elements));
  float *x = glow_allocate(trainer->context, (size_t)elements * sizeof *x);
  if (!x)
    return GLOW_E_MEMORY;
  glow_status status = glow_model_dequantise(trainer->model, pixels, count, trainer->options.seed,
                                             trainer->position, x);
  if (status == GLOW_OK)
    status = glow_trainer_initialise(trainer, x, labels, count);
  glow_release(trainer->context, x);
  return status;
}

/* ---- one step -------------------------------------------------------------------------------- */

/* Samples [first, first + count) of the batch as floats. */
static glow_status fetch(glow_trainer *t, const batch *b, int64_t first, int64_t count,
                         const float **x) {
  int64_t offset = first * t->dims;
  *x = b->pixels ? t->x : b->x + offset;
  if (!b->pixels)
    return GLOW_OK;
  return glow_model_dequantise(t->model, b->pixels + offset, count, t->options.seed,
                               t->position + (uint64_t)offset, t->x);
}

/* Every pass of a refused batch reads the input alone, so naming the layer changes nothing. */
static glow_status refuse_loss(glow_trainer *t, const float *x, const int32_t *labels,
                               int64_t count) {
  const char *layer = NULL;
  GLOW_TRY(glow_workspace_find_nonfinite(t->workspace, x, labels, count, &layer));
  if (layer && strcmp(layer, "input") == 0)
    return glow_error(GLOW_E_NUMERIC, "step %lld refused: the input is not finite",
                      (long long)t->steps + 1);
  if (!layer) /* each layer is finite, their sum is not */
    return glow_error(GLOW_E_NUMERIC, "step %lld refused: the loss is not finite",
                      (long long)t->steps + 1);
  return glow_error(GLOW_E_NUMERIC,
                    "step %lld refused: the loss is not finite, first at layer '%s'",
                    (long long)t->steps + 1, layer);
}

static bool finite_input(const float *x, int64_t elements) {
  for (int64_t i = 0; i < elements; i++)
    if (!isfinite(x[i]))
      return false;
  return true;
}

/* What a step adds up over its micro-batches. */
typedef struct step_sums {
  double log_prob;
  glow__class_sums classes;
  double drift; /* the largest */
} step_sums;

/* The classifier's part of a micro-batch, where some sample of the batch has a label. */
static glow_status classify(glow_trainer *t, const float *x, const int32_t *labels, int64_t count,
                            glow__class_sums *sums, glow_backward_options *backward) {
  if (!sums->labelled)
    return GLOW_OK;
  double weight = t->options.class_weight / (double)sums->labelled;
  if (!glow__cross_entropy(glow_workspace_logits(t->workspace), labels, count, t->classes, weight,
                           t->d_logits, sums))
    return refuse_loss(t, x, labels, count);
  if (weight > 0.0)
    backward->d_logits = t->d_logits;
  return GLOW_OK;
}

/* Adds the micro-batch to the gradients and to *sum. */
static glow_status pass(glow_trainer *t, const batch *b, int64_t first, int64_t count,
                        step_sums *sum) {
  glow_backward_options backward = GLOW_BACKWARD_OPTIONS_INIT;
  const int32_t *labels = b->labels ? b->labels + first : NULL;
  const float *x;
  GLOW_TRY(fetch(t, b, first, count, &x));
  GLOW_TRY(aim_context(t, first, b->count));
  if (!b->pixels && !finite_input(x, count * t->dims))
    return glow_error(GLOW_E_NUMERIC, "step %lld refused: the input is not finite",
                      (long long)t->steps + 1);
  GLOW_TRY(glow_workspace_forward(
      t->workspace, x, count,
      &(glow_forward_options){
          .struct_size = sizeof(glow_forward_options), .labels = labels, .log_prob = t->log_prob}));
  for (int64_t i = 0; i < count; i++) {
    if (!isfinite(t->log_prob[i]))
      return refuse_loss(t, x, labels, count);
    sum->log_prob += t->log_prob[i];
  }
  GLOW_TRY(classify(t, x, labels, count, &sum->classes, &backward));
  backward.weight = t->weight;
  glow_workspace_info info = GLOW_WORKSPACE_INFO_INIT;
  glow_status status = glow_workspace_backward(t->workspace, &backward);
  GLOW_TRY(glow_workspace_get_info(t->workspace, &info));
  if (info.drift > sum->drift)
    sum->drift = info.drift;
  return status;
}

static int64_t count_labelled(const glow_trainer *t, const batch *b) {
  int64_t labelled = 0;
  for (int64_t i = 0; t->classes && b->labels && i < b->count; i++)
    labelled += b->labels[i] >= 0;
  return labelled;
}

/* All micro-batches. */
static glow_status trainer_passes(glow_trainer *t, const batch *b, step_sums *sum) {
  *sum = (step_sums){.classes.labelled = count_labelled(t, b), .drift = sum->drift};
  GLOW_TRY(glow_workspace_zero_gradients(t->workspace));
  for (int64_t first = 0; first < b->count; first += t->options.micro_batch) {
    int64_t left = b->count - first;
    GLOW_TRY(pass(t, b, first, left < t->options.micro_batch ? left : t->options.micro_batch, sum));
  }
  return GLOW_OK;
}

/* Gradients of the mean loss, summed over the micro-batches, and its parts. A workspace that goes
 * over to running layers again wants the whole sum again. */
static glow_status trainer_accumulate(glow_trainer *t, const batch *b, glow_step_report *report) {
  step_sums sum = {0};
  for (int64_t i = 0; i < t->options.micro_batch; i++)
    t->weight[i] = -1.0 / ((double)b->count * (double)t->dims * 0.69314718055994530942);
  bool before = glow__workspace_recomputes(t->workspace);
  glow_status status = trainer_passes(t, b, &sum);
  if (status != GLOW_OK && !before && glow__workspace_recomputes(t->workspace))
    status = trainer_passes(t, b, &sum);
  if (status != GLOW_OK)
    return status;
  report->drift = sum.drift;
  report->recomputes = glow__workspace_recomputes(t->workspace);
  report->loss = glow_model_bits_per_dim(t->model, sum.log_prob / (double)b->count);
  if (sum.classes.labelled) {
    report->class_loss = sum.classes.loss / (double)sum.classes.labelled;
    report->accuracy = (double)sum.classes.right / (double)sum.classes.labelled;
  }
  return GLOW_OK;
}

static glow_status clip(glow_trainer *t, float *gradients, double *norm) {
  const glow_trainer_options *o = &t->options;
  *norm = sqrt(glow__flat_squares(&t->flat, gradients));
  if (!isfinite(*norm))
    return glow_error(GLOW_E_NUMERIC, "step %lld refused: the gradient of layer '%s' is not finite",
                      (long long)t->steps + 1, glow__model_nonfinite_layer(t->model, gradients));
  double clipped = *norm;
  if (o->clip_value > 0.0) {
    glow__flat_clamp(&t->flat, gradients, (float)o->clip_value);
    clipped = sqrt(glow__flat_squares(&t->flat, gradients));
  }
  if (o->clip_norm > 0.0 && clipped > o->clip_norm)
    glow__flat_scale(&t->flat, gradients, (float)(o->clip_norm / clipped));
  return GLOW_OK;
}

static void update_average(glow_trainer *t) {
  const float *parameters = glow_model_parameters(t->model);
  if (!t->average)
    return;
  if (t->steps == 1)
    memcpy(t->average, parameters, (size_t)t->flat.count * sizeof *parameters);
  else
    glow__flat_approach(&t->flat, t->average, parameters, (float)(1.0 - t->options.average_decay));
}

/* Running averages, then parameters; both or neither. */
static glow_status apply(glow_trainer *t, const float *gradients, const glow_step_report *report) {
  GLOW_TRY(glow__running_move(t->workspace, t->model));
  glow_status status = glow__optimizer_apply(
      t->optimizer, gradients, report->gradient_norm * report->gradient_norm, report->rate);
  if (status != GLOW_OK)
    GLOW_TRY(glow__running_undo(t->workspace, t->model));
  return status;
}

static glow_status step(glow_trainer *t, const batch *b, glow_step_report *report) {
  glow_step_report done = GLOW_STEP_REPORT_INIT;
  done.class_loss = done.accuracy = NAN;
  float *gradients = glow_workspace_gradients(t->workspace);
  int64_t elements;
  GLOW_TRY(glow__batch_elements(t->model, b->count, &elements));
  GLOW_TRY(check_idle(t));
  if (report) /* a report that cannot be filled must be known before anything changes */
    GLOW_TRY(glow__struct_fill(report, &done, sizeof done, SMALLEST_REPORT, "glow_step_report"));
  done.step = t->steps + 1;
  done.rate = glow_schedule_rate(&t->schedule, done.step);
  GLOW_TRY(trainer_accumulate(t, b, &done));
  GLOW_TRY(glow__penalise_gains(t->model, t->options.gain_l2, gradients));
  GLOW_TRY(clip(t, gradients, &done.gradient_norm));
  glow_status status = apply(t, gradients, &done);
  if (status != GLOW_OK)
    return glow__error_prefix(status, "step %lld refused", (long long)done.step);
  t->steps++;
  t->position += (uint64_t)elements;
  update_average(t);
  return report ? glow__struct_fill(report, &done, sizeof done, SMALLEST_REPORT, "glow_step_report")
                : GLOW_OK;
}

glow_status glow_trainer_step(glow_trainer *trainer, const float *x, const int32_t *labels,
                              int64_t count, glow_step_report *report) {
  if (!trainer || !x)
    return glow_error(GLOW_E_ARGUMENT, "glow_trainer_step: NULL argument");
  const batch b = {x, NULL, labels, count};
  return step(trainer, &b, report);
}

glow_status glow_trainer_step_pixels(glow_trainer *trainer, const uint8_t *pixels,
                                     const int32_t *labels, int64_t count,
                                     glow_step_report *report) {
  if (!trainer || !pixels)
    return glow_error(GLOW_E_ARGUMENT, "glow_trainer_step_pixels: NULL argument");
  GLOW_TRY(glow__check_pixels(trainer->model));
  const batch b = {NULL, pixels, labels, count};
  return step(trainer, &b, report);
}

/* ---- the average ----------------------------------------------------------------------------- */

glow_status glow_trainer_use_average(glow_trainer *trainer, int32_t use) {
  if (!trainer || (use != 0 && use != 1))
    return glow_error(GLOW_E_ARGUMENT, "glow_trainer_use_average: NULL, or neither 0 nor 1");
  if (!trainer->average || trainer->steps == 0)
    return glow_error(GLOW_E_STATE, "there is no average: %s",
                      trainer->average ? "no step was made" : "the trainer was made without it");
  if (trainer->average_used == (use == 1))
    return GLOW_OK;
  float *parameters = glow_model_parameters_mutable(trainer->model);
  glow__flat_swap(&trainer->flat, parameters, trainer->average);
  glow_status status = glow_model_prepare(trainer->model);
  if (status == GLOW_OK) {
    trainer->average_used = use == 1;
    return GLOW_OK;
  }
  glow__flat_swap(&trainer->flat, parameters, trainer->average);
  glow_status restored = glow_model_prepare(trainer->model);
  return restored == GLOW_OK ? status : restored;
}

/* ---- a run of steps -------------------------------------------------------------------------- */

/* The callback's own words, where it left some, come after the number of the step. */
static glow_status next_batch(const glow_trainer *t, const batch *room, glow_batch_fn next,
                              void *payload) {
  char before[1024];
  snprintf(before, sizeof before, "%s", glow_last_error());
  glow_status status = next(t->steps + 1, room->count, (uint8_t *)(uintptr_t)room->pixels,
                            (int32_t *)(uintptr_t)room->labels, payload);
  if (status == GLOW_OK)
    return GLOW_OK;
  if (status > 0)
    return glow_error(GLOW_E_ARGUMENT, "step %lld: the batch callback returned %d, not a status",
                      (long long)t->steps + 1, (int)status);
  if (strcmp(before, glow_last_error()) == 0)
    return glow_error(status, "step %lld: the batch callback failed: %s", (long long)t->steps + 1,
                      glow_status_text(status));
  return glow__error_prefix(status, "step %lld: the batch callback failed",
                            (long long)t->steps + 1);
}

static glow_status trainer_run_steps(glow_trainer *t, int64_t steps, const batch *room,
                                     glow_batch_fn next, void *next_payload,
                                     glow_progress_fn progress, void *progress_payload) {
  for (int64_t i = 0; i < steps; i++) {
    glow_step_report report = GLOW_STEP_REPORT_INIT;
    GLOW_TRY(next_batch(t, room, next, next_payload));
    GLOW_TRY(step(t, room, &report));
    if (progress && progress(&report, progress_payload))
      return glow_error(GLOW_E_CANCELLED, "cancelled after step %lld", (long long)t->steps);
  }
  return GLOW_OK;
}

glow_status glow_trainer_run(glow_trainer *trainer, int64_t steps, int64_t samples,
                             glow_batch_fn next, void *next_payload, glow_progress_fn progress,
                             void *progress_payload) {
  int64_t elements;
  if (!trainer || !next)
    return glow_error(GLOW_E_ARGUMENT, "glow_trainer_run: NULL argument");
  if (steps < 0)
    return glow_error(GLOW_E_ARGUMENT, "glow_trainer_run: %lld steps", (long long)steps);
  GLOW_TRY(check_idle(trainer));
  GLOW_TRY(glow__check_pixels(trainer->model));
  GLOW_TRY(glow__batch_elements(trainer->model, samples, &elements));
  uint8_t *pixels = glow_allocate(trainer->context, (size_t)elements);
  int32_t *labels = NULL;
  if (!pixels)
    return GLOW_E_MEMORY;
  glow_status status = GLOW_OK;
  if (glow_model_class_count(trainer->model)) {
    labels = glow_allocate(trainer->context, (size_t)samples * sizeof *labels);
    status = labels ? GLOW_OK : GLOW_E_MEMORY;
  }
  const batch room = {NULL, pixels, labels, samples};
  if (status == GLOW_OK)
    status =
        trainer_run_steps(trainer, steps, &room, next, next_payload, progress, progress_payload);
  glow_release(trainer->context, labels);
  glow_release(trainer->context, pixels);
  return status;
}

/* ---- for checkpoints ------------------------------------------------------------------------- */

glow_model *glow__trainer_model(const glow_trainer *trainer) {
  return trainer->model;
}

void glow__trainer_vectors_of(const glow_trainer *t, glow__trainer_vectors *out) {
  /* not the mutable form, after which the model would want to be prepared */
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
    return glow_error(GLOW_E_ARGUMENT, "trainer: of %lld steps the optimizer has made %lld",
                      (long long)progress->steps, (long long)progress->optimizer_steps);
  if (progress->steps > 0 && !glow_model_initialised(t->model))
    return glow_error(GLOW_E_ARGUMENT, "trainer: %lld steps with a model that is not initialised",
                      (long long)progress->steps);
  if (progress->recomputes != 0 && progress->recomputes != 1)
    return glow_error(GLOW_E_ARGUMENT, "trainer: recomputes is %lld, not 0 or 1",
                      (long long)progress->recomputes);
  if (!glow__workspace_set_recomputes(t->workspace, progress->recomputes == 1))
    return glow_error(GLOW_E_ARGUMENT, "trainer: with these options no layers are run again");
  t->steps = progress->steps;
  t->position = progress->noise_position;
  glow__optimizer_set_steps(t->optimizer, progress->optimizer_steps);
  return GLOW_OK;
}

glow__note **glow__trainer_notes(const glow_trainer *trainer) {
  return (glow__note **)(uintptr_t)&trainer->notes;
}
