/* One step of training, all or nothing: dequantise, forward, backward, check, clip, update,
 * average. The loss is the mean of the bits per dimension, whose gradient with respect to the
 * log-density of a sample is -share / (count dims ln 2), which is the weight that backward gets. A
 * sample's share is its weight divided by the mean weight of the batch. With a classifier,
 * class_weight times the mean cross-entropy of the labelled samples is added, and gain_l2 |g|^2 for
 * the scales g of weight normalisation. A loss of the caller's own takes the place of the first
 * two. SPDX-License-Identifier: MIT */
#include <math.h>
#include <string.h>

#include "host/outcome.h"
#include "train/rates.h"
#include "train/trainer.h"

#define SMALLEST_REPORT offsetof(glow_step_report, class_loss)

/* Samples [first, first + count) of the batch as floats. */
static glow_status fetch(glow_trainer *t, const glow_batch *b, int64_t first, int64_t count,
                         const float **x) {
  int64_t offset = first * t->dims;
  *x = b->pixels ? t->x : b->x + offset;
  if (!b->pixels)
    return GLOW_OK;
  return glow_model_dequantise(t->model, b->pixels + offset, count, t->options.seed,
                               t->position + (uint64_t)offset, t->x);
}

/* The logits are not finite. Every pass of a refused batch reads the input alone, so naming the
 * layer changes nothing. */
static glow_status refuse_loss(glow_trainer *t, const float *x, const int32_t *labels,
                               int64_t count) {
  const char *layer = NULL;
  GLOW_TRY(glow_workspace_find_nonfinite(t->workspace, x, labels, count, &layer));
  if (!layer) /* each logit is finite, the loss is not */
    return glow_error(GLOW_E_NUMERIC, "step %lld refused: the loss is not finite",
                      (long long)t->steps + 1);
  return glow_error(GLOW_E_NUMERIC,
                    "step %lld refused: the loss is not finite, first at layer '%s'",
                    (long long)t->steps + 1, layer);
}

/* What a step adds up over its micro-batches. */
typedef struct step_sums {
  double log_prob;
  double own; /* the caller's loss */
  glow__class_sums classes;
  double drift; /* the largest */
} step_sums;

/* The classifier's part of a micro-batch, if some sample of the batch has a label. */
static glow_status classify(glow_trainer *t, const float *x, const int32_t *labels, int64_t count,
                            glow__class_sums *sums, glow_backward_options *backward) {
  if (!(sums->labelled > 0.0))
    return GLOW_OK;
  double weight = t->options.class_weight / sums->labelled;
  if (!glow__cross_entropy(glow_workspace_logits(t->workspace), labels, t->share, count, t->classes,
                           weight, t->d_logits, sums))
    return refuse_loss(t, x, labels, count);
  if (weight > 0.0)
    backward->d_logits = t->d_logits;
  return GLOW_OK;
}

/* The other samples have no results here, so the message is of the one that is not finite alone. */
glow_status glow__trainer_forward(glow_trainer *t, const float *x, int64_t count,
                                  const glow_forward_options *options) {
  glow_status status = glow_workspace_forward(t->workspace, x, count, options);
  if (status == GLOW_E_NUMERIC)
    return glow__error_prefix(glow__outcome_refuse(t->workspace), "step %lld refused",
                              (long long)t->steps + 1);
  return status;
}

/* Shares of samples [first, first + count), and the gradient of the loss by their log-density. */
static void weigh(glow_trainer *t, const glow__batch *b, int64_t first, int64_t count) {
  double each = -1.0 / ((double)b->given.count * (double)t->dims * 0.69314718055994530942);
  for (int64_t i = 0; i < count; i++) {
    t->share[i] = glow__batch_weight(b, first + i);
    t->weight[i] = each * t->share[i];
  }
}

/* Forward and the usual loss of samples [first, first + count). */
static glow_status usual_loss(glow_trainer *t, const glow__batch *b, int64_t first, int64_t count,
                              const float *x, step_sums *sum, glow_backward_options *backward) {
  glow_forward_options o = GLOW_FORWARD_OPTIONS_INIT;
  o.labels = b->given.labels ? b->given.labels + first : NULL;
  o.log_prob = t->log_prob;
  weigh(t, b, first, count);
  GLOW_TRY(glow__trainer_forward(t, x, count, &o));
  for (int64_t i = 0; i < count; i++)
    sum->log_prob += t->share[i] * t->log_prob[i];
  backward->weight = t->weight;
  return classify(t, x, o.labels, count, &sum->classes, backward);
}

/* Adds the micro-batch to the gradients and to *sum. */
static glow_status add_micro_batch(glow_trainer *t, const glow__batch *b, int64_t first,
                                   int64_t count, step_sums *sum) {
  glow_backward_options backward = GLOW_BACKWARD_OPTIONS_INIT;
  const float *x;
  GLOW_TRY(fetch(t, &b->given, first, count, &x));
  GLOW_TRY(glow__batch_lend_conditions(b, first, t->workspace));
  GLOW_TRY(t->loss.fn ? glow__trainer_own_loss(t, b, first, count, x, &sum->own, &backward)
                      : usual_loss(t, b, first, count, x, sum, &backward));
  glow_workspace_info info = GLOW_WORKSPACE_INFO_INIT;
  glow_status status = glow_workspace_backward(t->workspace, &backward);
  GLOW_TRY(glow_workspace_get_info(t->workspace, &info));
  if (info.drift > sum->drift)
    sum->drift = info.drift;
  return status;
}

static double labelled_shares(const glow_trainer *t, const glow__batch *b) {
  double shares = 0.0;
  if (t->loss.fn) /* it looks at labels itself */
    return shares;
  for (int64_t i = 0; t->classes && b->given.labels && i < b->given.count; i++)
    shares += b->given.labels[i] >= 0 ? glow__batch_weight(b, i) : 0.0;
  return shares;
}

/* All micro-batches. */
static glow_status add_micro_batches(glow_trainer *t, const glow__batch *b, step_sums *sum) {
  *sum = (step_sums){.classes.labelled = labelled_shares(t, b), .drift = sum->drift};
  GLOW_TRY(glow_workspace_zero_gradients(t->workspace));
  for (int64_t first = 0; first < b->given.count; first += t->options.micro_batch) {
    int64_t left = b->given.count - first;
    glow__workspace_set_base(t->workspace, first); /* errors name rows of the whole batch */
    glow_status status = add_micro_batch(
        t, b, first, left < t->options.micro_batch ? left : t->options.micro_batch, sum);
    glow__workspace_set_base(t->workspace, 0);
    GLOW_TRY(status);
  }
  return GLOW_OK;
}

/* Gradients of the mean loss, summed over the micro-batches, and its parts. If the workspace
 * changes over to running layers again, the whole sum is made again. */
static glow_status accumulate_gradients(glow_trainer *t, void *batch, glow_step_report *report) {
  const glow__batch *b = batch;
  step_sums sum = {0};
  bool before = glow__workspace_recomputes(t->workspace);
  glow_status status = add_micro_batches(t, b, &sum);
  if (status != GLOW_OK && !before && glow__workspace_recomputes(t->workspace))
    status = add_micro_batches(t, b, &sum);
  if (status != GLOW_OK)
    return status;
  report->drift = sum.drift;
  report->recomputes = glow__workspace_recomputes(t->workspace);
  report->loss = t->loss.fn
                     ? sum.own
                     : glow_model_bits_per_dim(t->model, sum.log_prob / (double)b->given.count);
  if (sum.classes.labelled > 0.0) {
    report->class_loss = sum.classes.loss / sum.classes.labelled;
    report->accuracy = sum.classes.right / sum.classes.labelled;
  }
  return GLOW_OK;
}

static glow_status call_hook(glow_trainer *t, float *gradients) {
  glow__callback callback;
  if (!t->hook)
    return GLOW_OK;
  glow__callback_begin(&callback);
  glow_status status = t->hook(t->steps + 1, gradients, t->flat.count, t->hook_payload);
  return glow__callback_end(&callback, status, t->steps + 1, "the gradient hook");
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
  glow__rates_copy_held(glow__optimizer_rates(t->optimizer), t->average, parameters);
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

static glow_status make_step(glow_trainer *t, int64_t count, glow__gradients_fn accumulate,
                             void *what, glow_step_report *report) {
  glow_step_report done = GLOW_STEP_REPORT_INIT;
  done.class_loss = done.accuracy = NAN;
  float *gradients = glow_workspace_gradients(t->workspace);
  GLOW_TRY(glow__trainer_check_idle(t));
  if (report) /* a report that cannot be filled must fail before anything changes */
    GLOW_TRY(glow__struct_fill(report, &done, sizeof done, SMALLEST_REPORT, "glow_step_report"));
  done.step = t->steps + 1;
  done.rate = glow_schedule_rate(&t->schedule, done.step);
  glow_status status = accumulate(t, what, &done);
  if (status == GLOW_E_CANCELLED)
    return glow__error_prefix(status, "step %lld", (long long)done.step);
  GLOW_TRY(status);
  GLOW_TRY(glow__penalise_gains(t->model, t->options.gain_l2, gradients));
  GLOW_TRY(call_hook(t, gradients));
  glow__rates_zero_held(glow__optimizer_rates(t->optimizer), gradients);
  GLOW_TRY(clip(t, gradients, &done.gradient_norm));
  status = apply(t, gradients, &done);
  if (status != GLOW_OK)
    return glow__error_prefix(status, "step %lld refused", (long long)done.step);
  t->steps++;
  t->position += (uint64_t)count * (uint64_t)t->dims;
  update_average(t);
  return report ? glow__struct_fill(report, &done, sizeof done, SMALLEST_REPORT, "glow_step_report")
                : GLOW_OK;
}

glow_status glow__trainer_make_step(glow_trainer *t, int64_t count, glow__gradients_fn accumulate,
                                    void *what, glow_step_report *report) {
  bool recomputes = glow__workspace_recomputes(t->workspace);
  glow__conditions kept;
  glow__workspace_conditions(t->workspace, &kept);
  glow_status status = make_step(t, count, accumulate, what, report);
  glow__workspace_set_conditions(t->workspace, &kept);
  if (status != GLOW_OK)
    glow__workspace_set_recomputes(t->workspace, recomputes);
  return status;
}

glow_status glow__trainer_step(glow_trainer *t, const glow_batch *batch, glow_step_report *report) {
  glow__batch b;
  glow_status status = glow__batch_read(t->model, batch, &b);
  if (status != GLOW_OK)
    return glow__error_prefix(status, "step %lld refused", (long long)t->steps + 1);
  return glow__trainer_make_step(t, b.given.count, accumulate_gradients, &b, report);
}

glow_status glow_trainer_step_batch(glow_trainer *trainer, const glow_batch *batch,
                                    glow_step_report *report) {
  GLOW_LIVE(trainer, TRAINER);
  if (!trainer || !batch)
    return glow_error(GLOW_E_ARGUMENT, "glow_trainer_step_batch: NULL argument");
  return glow__trainer_step(trainer, batch, report);
}

glow_status glow_trainer_step(glow_trainer *trainer, const float *x, const int32_t *labels,
                              int64_t count, glow_step_report *report) {
  glow_batch batch = GLOW_BATCH_INIT;
  batch.count = count;
  batch.x = x;
  batch.labels = labels;
  return glow_trainer_step_batch(trainer, &batch, report);
}

glow_status glow_trainer_step_pixels(glow_trainer *trainer, const uint8_t *pixels,
                                     const int32_t *labels, int64_t count,
                                     glow_step_report *report) {
  glow_batch batch = GLOW_BATCH_INIT;
  batch.count = count;
  batch.pixels = pixels;
  batch.labels = labels;
  return glow_trainer_step_batch(trainer, &batch, report);
}
