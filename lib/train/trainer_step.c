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

/* A batch, and what it is with those of the other ranks. */
typedef struct step_batch {
  glow__batch batch;
  glow__joined joined;
} step_batch;

/* Samples [first, first + count) of the batch as floats. */
static glow_status fetch(glow_trainer *t, const glow__batch *b, int64_t first, int64_t count,
                         const float **x) {
  int64_t offset = first * t->dims;
  uint64_t before = (uint64_t)b->first * (uint64_t)t->dims;
  *x = b->given.pixels ? t->x : b->given.x + offset;
  if (!b->given.pixels)
    return GLOW_OK;
  return glow_model_dequantise(t->model, b->given.pixels + offset, count, t->options.seed,
                               t->position + before + (uint64_t)offset, t->x);
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
  double each = -1.0 / ((double)b->total * (double)t->dims * 0.69314718055994530942);
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
  GLOW_TRY(fetch(t, b, first, count, &x));
  GLOW_TRY(glow__batch_lend_conditions(b, first, t->workspace));
  GLOW_TRY(t->loss.fn ? glow__trainer_own_loss(t, b, first, count, x, &sum->own, &backward)
                      : usual_loss(t, b, first, count, x, sum, &backward));
  glow_workspace_info info = GLOW_WORKSPACE_INFO_INIT;
  if (first + count == b->given.count)
    glow__trainer_sum_begin(t, false);
  glow_status status = glow_workspace_backward(t->workspace, &backward);
  GLOW_TRY(glow_workspace_get_info(t->workspace, &info));
  if (info.drift > sum->drift)
    sum->drift = info.drift;
  return status;
}

/* All micro-batches. */
static glow_status add_micro_batches(glow_trainer *t, const step_batch *s, step_sums *sum) {
  const glow__batch *b = &s->batch;
  *sum = (step_sums){.classes.labelled = s->joined.labelled / b->mean_weight, .drift = sum->drift};
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

/* Adds up what the ranks have told. */
static void join_sums(const glow_trainer *t, step_sums *sum) {
  *sum = (step_sums){.classes.labelled = sum->classes.labelled};
  for (int32_t r = 0; r < glow__trainer_ranks(t); r++) {
    const double *told = glow__trainer_told_gradients(t, r);
    sum->drift = fmax(sum->drift, told[0]);
    sum->log_prob += told[1];
    sum->own += told[2];
    sum->classes.loss += told[3];
    sum->classes.right += told[4];
  }
}

/* Gradients of the mean loss, summed over the micro-batches of all ranks, and its parts. If a
 * workspace changes over to running layers again, the whole sum is made again. */
static glow_status step_gradients(glow_trainer *t, const step_batch *s, step_sums *sum) {
  bool again;
  do {
    bool before = glow__workspace_recomputes(t->workspace);
    glow_status status = add_micro_batches(t, s, sum);
    const double values[] = {sum->drift, sum->log_prob, sum->own, sum->classes.loss,
                             sum->classes.right};
    GLOW_TRY(glow__trainer_sum_end(t, false));
    GLOW_TRY(glow__trainer_tell_gradients(t, status, before, values, 5, &again));
  } while (again);
  join_sums(t, sum);
  return GLOW_OK;
}

/* glow__gradients_fn */
static glow_status accumulate_gradients(glow_trainer *t, void *what, glow_step_report *report) {
  step_batch *s = what;
  step_sums sum = {0};
  glow_status status =
      glow__batch_set_whole(&s->batch, s->joined.first, s->joined.count, s->joined.weights);
  if (status != GLOW_OK)
    return glow__error_prefix(status, "step %lld refused", (long long)t->steps + 1);
  GLOW_TRY(step_gradients(t, s, &sum));
  report->drift = sum.drift;
  report->recomputes = glow__workspace_recomputes(t->workspace);
  report->loss = t->loss.fn
                     ? sum.own
                     : glow_model_bits_per_dim(t->model, sum.log_prob / (double)s->joined.count);
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

/* What clipping makes of the gradients, and their norm before it. */
static glow_status clip(glow_trainer *t, glow__update *u, double *norm) {
  const glow_trainer_options *o = &t->options;
  double clipped = *norm = sqrt(glow__flat_squares(&t->flat, u->gradients));
  if (!isfinite(*norm))
    return glow_error(GLOW_E_NUMERIC, "step %lld refused: the gradient of layer '%s' is not finite",
                      (long long)t->steps + 1, glow__model_nonfinite_layer(t->model, u->gradients));
  u->clip_value = o->clip_value > 0.0 ? (float)o->clip_value : INFINITY;
  if (o->clip_value > 0.0 && o->clip_norm > 0.0)
    clipped = sqrt(glow__flat_clamped_squares(&t->flat, u->gradients, u->clip_value));
  u->scale = o->clip_norm > 0.0 && clipped > o->clip_norm ? (float)(o->clip_norm / clipped) : 1.0f;
  return GLOW_OK;
}

/* All that may refuse the update of running averages and parameters. *moved: the former have
 * moved. */
static glow_status try_update(glow_trainer *t, float *gradients, glow__update *u,
                              glow_step_report *done, bool *moved) {
  const glow__rates *rates = glow__optimizer_rates(t->optimizer);
  if (t->collective) /* what is held was not summed */
    glow__rates_zero_held(rates, gradients);
  GLOW_TRY(glow__penalise_gains(t->model, t->options.gain_l2, gradients));
  GLOW_TRY(call_hook(t, gradients));
  glow__rates_zero_held(rates, gradients);
  GLOW_TRY(clip(t, u, &done->gradient_norm));
  u->squares = done->gradient_norm * done->gradient_norm;
  glow_status status = glow__running_move(t->workspace, t->model);
  *moved = status == GLOW_OK;
  if (*moved)
    status = glow__optimizer_try(t->optimizer, u);
  if (status != GLOW_OK)
    return glow__error_prefix(status, "step %lld refused", (long long)done->step);
  return GLOW_OK;
}

/* Running averages, parameters and all that follows them, on all ranks; or nothing on any. The
 * first step makes the average. */
static glow_status update(glow_trainer *t, float *gradients, glow_step_report *done) {
  glow__update u = {.gradients = gradients, .rate = done->rate, .average = t->average};
  bool moved = false;
  u.approach = t->steps ? (float)(1.0 - t->options.average_decay) : 1.0f;
  glow_status status = try_update(t, gradients, &u, done, &moved);
  status = glow__trainer_agree(t, status, GLOW_CALL_UPDATE);
  if (status == GLOW_OK) {
    glow__optimizer_move(t->optimizer, &u);
    glow__trainer_sum_commit(t, done);
  } else if (moved) {
    GLOW_TRY(glow__running_undo(t->workspace, t->model));
    GLOW_TRY(glow_model_prepare(t->model));
  }
  return status;
}

static glow_status step_fill_report(glow_step_report *report, const glow_step_report *done) {
  return report ? glow__struct_fill(report, done, sizeof *done, SMALLEST_REPORT, "glow_step_report")
                : GLOW_OK;
}

/* A report that cannot be filled must fail before anything changes. */
static glow_status step_check(const glow_trainer *t, glow_step_report *report,
                              const glow_step_report *done) {
  GLOW_TRY(glow__trainer_check_idle(t));
  return step_fill_report(report, done);
}

static glow_status make_step(glow_trainer *t, glow_status status, int32_t call,
                             glow__joined *joined, glow__gradients_fn accumulate, void *what,
                             glow_step_report *report) {
  glow_step_report done = GLOW_STEP_REPORT_INIT;
  done.class_loss = done.accuracy = NAN;
  if (status == GLOW_OK)
    status = step_check(t, report, &done);
  GLOW_TRY(glow__trainer_join(t, status, call, joined));
  done.step = t->steps + 1;
  done.rate = glow_schedule_rate(&t->schedule, done.step);
  status = accumulate(t, what, &done);
  if (status == GLOW_E_CANCELLED)
    return glow__error_prefix(status, "step %lld", (long long)done.step);
  GLOW_TRY(status);
  GLOW_TRY(update(t, glow_workspace_gradients(t->workspace), &done));
  t->steps++;
  t->position += (uint64_t)joined->count * (uint64_t)t->dims;
  return step_fill_report(report, &done);
}

glow_status glow__trainer_make_step(glow_trainer *t, glow_status status, int32_t call,
                                    glow__joined *joined, glow__gradients_fn accumulate, void *what,
                                    glow_step_report *report) {
  bool recomputes = glow__workspace_recomputes(t->workspace);
  glow__conditions kept;
  glow__workspace_conditions(t->workspace, &kept);
  status = make_step(t, status, call, joined, accumulate, what, report);
  glow__workspace_set_conditions(t->workspace, &kept);
  if (status != GLOW_OK)
    glow__workspace_set_recomputes(t->workspace, recomputes);
  return status;
}

/* Weights of the samples that the classifier's part of the loss is of. */
static double labelled_weights(const glow_trainer *t, const glow_batch *b) {
  double sum = 0.0;
  if (t->loss.fn) /* it looks at labels itself */
    return sum;
  for (int64_t i = 0; t->classes && b->labels && i < b->count; i++)
    if (b->labels[i] >= 0)
      sum += b->weights ? b->weights[i] : 1.0;
  return sum;
}

static glow_status step_read(const glow_trainer *t, const glow_batch *batch, step_batch *s) {
  glow_status status = glow__batch_read_part(t->model, batch, &s->batch);
  if (status != GLOW_OK)
    return glow__error_prefix(status, "step %lld refused", (long long)t->steps + 1);
  s->joined = (glow__joined){0, s->batch.given.count, s->batch.weight_sum,
                             labelled_weights(t, &s->batch.given)};
  return GLOW_OK;
}

glow_status glow__trainer_step(glow_trainer *t, glow_status status, const glow_batch *batch,
                               glow_step_report *report) {
  step_batch s = {.joined = {0, 0, 0.0, 0.0}};
  if (status == GLOW_OK)
    status = step_read(t, batch, &s);
  return glow__trainer_make_step(t, status, GLOW_CALL_STEP, &s.joined, accumulate_gradients, &s,
                                 report);
}

glow_status glow_trainer_step_batch(glow_trainer *trainer, const glow_batch *batch,
                                    glow_step_report *report) {
  GLOW_LIVE(trainer, TRAINER);
  if (!trainer || !batch)
    return glow_error(GLOW_E_ARGUMENT, "glow_trainer_step_batch: NULL argument");
  return glow__trainer_step(trainer, GLOW_OK, batch, report);
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
