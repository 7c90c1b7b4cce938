/* Mean and standard error of the log-density over any number of samples, in pieces.
 *
 * With weights w, the mean m = sum w v / sum w has the standard error (Cochran, Sampling
 * techniques, 1977, 6.3: a ratio of sums)
 *
 *   sqrt(n / (n - 1) sum w^2 (v - m)^2) / sum w,
 *
 * which is s / sqrt(n) where all weights are equal. For pieces, the sum must not depend on the m so
 * far. With a the mean of v under the weights w^2 it is
 *
 *   sum w^2 (v - m)^2 = sum w^2 (v - a)^2 + (a - m)^2 sum w^2,
 *
 * and means and sums of squares about them are updated sample by sample (Welford 1962; with
 * weights, West, "Updating mean and variance estimates: an improved method", 1979), which loses no
 * digits.
 * SPDX-License-Identifier: MIT */
#include "train/evaluate.h"

#include <math.h>

#include "host/workspace.h"

static const double log_2 = 0.69314718055994530942;

/* ---- sums ------------------------------------------------------------------------------------ */

/* Moves a mean by a value of this weight; sum: of the weights, which it is added to. */
static void mean_add(double *mean, double *sum, double value, double weight) {
  *sum += weight;
  if (weight > 0.0)
    *mean += weight / *sum * (value - *mean);
}

static void evaluation_add(glow_evaluation *e, double log_prob, double weight) {
  double before = log_prob - e->squares_mean;
  e->count++;
  mean_add(&e->log_prob, &e->weight, log_prob, weight);
  mean_add(&e->squares_mean, &e->squares_weight, log_prob, weight * weight);
  e->squares += weight * weight * before * (log_prob - e->squares_mean);
}

/* What the next piece does not need. */
void glow__evaluation_conclude(const glow_model *model, glow_evaluation *e) {
  double n = (double)e->count, between = e->squares_mean - e->log_prob;
  double squares = e->squares + between * between * e->squares_weight;
  e->log_prob_error = e->count > 1 ? sqrt(n / (n - 1.0) * squares) / e->weight : (double)NAN;
  if (e->weight == 0.0)
    e->log_prob = NAN;
  if (e->labelled == 0.0)
    e->class_loss = e->accuracy = NAN;
  e->bits_per_dim = glow_model_bits_per_dim(model, e->log_prob);
  e->bits_per_dim_error = e->log_prob_error / ((double)glow_model_dims(model) * log_2);
}

/* Means of nothing start at 0 again. */
void glow__evaluation_resume(glow_evaluation *e) {
  if (e->weight == 0.0)
    e->log_prob = 0.0;
  if (e->labelled == 0.0)
    e->class_loss = e->accuracy = 0.0;
}

/* ---- passes ---------------------------------------------------------------------------------- */

/* One evaluation: what is given, and what it adds to. */
typedef struct evaluate_run {
  glow_workspace *workspace;
  const glow_model *model;
  const glow__batch *batch;
  uint64_t seed;
  int64_t first; /* samples whose noise comes before */
  const glow__evaluation_room *room;
  int64_t classes; /* of the classifier; 0 without one */
  glow_evaluation *evaluation;
} evaluate_run;

/* Samples `first` and on as floats. Noise goes on where the piece before ended. */
static glow_status evaluate_fetch(const evaluate_run *r, int64_t first, int64_t count,
                                  const float **x) {
  const glow_batch *b = &r->batch->given;
  const glow_evaluation *e = r->evaluation;
  int64_t dims = glow_model_dims(r->model);
  *x = b->pixels ? r->room->x : b->x + first * dims;
  if (!b->pixels)
    return GLOW_OK;
  return glow_model_dequantise(r->model, b->pixels + first * dims, count, r->seed,
                               (uint64_t)(r->first + e->count + e->failed) * (uint64_t)dims,
                               r->room->x);
}

static void evaluate_class(const evaluate_run *r, int64_t sample, int32_t label, double weight) {
  glow_evaluation *e = r->evaluation;
  const float *logits = glow_workspace_logits(r->workspace) + sample * r->classes;
  double loss, right, share;
  if (label < 0 || weight == 0.0)
    return;
  loss = glow__class_loss(logits, r->classes, label, &right);
  e->labelled += weight;
  share = weight / e->labelled;
  e->class_loss += share * (loss - e->class_loss);
  e->accuracy += share * (right - e->accuracy);
}

static void evaluate_count(const evaluate_run *r, int64_t first, int64_t count) {
  const glow_batch *b = &r->batch->given;
  for (int64_t i = 0; i < count; i++) {
    double weight = b->weights ? b->weights[first + i] : 1.0;
    if (r->room->statuses[i] != GLOW_OK) {
      r->evaluation->failed++;
      continue;
    }
    evaluation_add(r->evaluation, r->room->log_prob[i], weight);
    if (r->classes && b->labels)
      evaluate_class(r, i, b->labels[first + i], weight);
  }
}

/* At most one batch of the workspace, of which it has the logits. */
static glow_status evaluate_part(const evaluate_run *r, int64_t first, int64_t count) {
  const glow_batch *b = &r->batch->given;
  glow_forward_options o = GLOW_FORWARD_OPTIONS_INIT;
  const float *x;
  o.labels = b->labels ? b->labels + first : NULL;
  o.log_prob = r->room->log_prob;
  o.statuses = r->room->statuses;
  o.evaluate = 1;
  GLOW_TRY(evaluate_fetch(r, first, count, &x));
  GLOW_TRY(glow__batch_lend_conditions(r->batch, first, r->workspace));
  GLOW_TRY(glow_workspace_forward(r->workspace, x, count, &o));
  evaluate_count(r, first, count);
  return GLOW_OK;
}

static glow_status evaluate_parts(const evaluate_run *r) {
  const int64_t count = r->batch->given.count, most = r->workspace->plan.batch;
  for (int64_t first = 0; first < count; first += most) {
    glow__workspace_set_base(r->workspace, first);
    glow_status status = evaluate_part(r, first, count - first < most ? count - first : most);
    glow__workspace_set_base(r->workspace, 0);
    GLOW_TRY(status);
  }
  return GLOW_OK;
}

glow_status glow__evaluate(glow_workspace *ws, const glow__batch *batch, uint64_t seed,
                           int64_t first, const glow__evaluation_room *room,
                           glow_evaluation *evaluation) {
  const glow_model *model = ws->model;
  int64_t logits = glow_model_logit_count(model);
  glow_evaluation e = *evaluation;
  glow__conditions kept;
  const evaluate_run run = {
      ws, model, batch, seed, first, room, logits == glow_model_class_count(model) ? logits : 0,
      &e};
  glow__evaluation_resume(&e);
  glow__workspace_conditions(ws, &kept);
  glow_status status = evaluate_parts(&run);
  glow__workspace_set_conditions(ws, &kept);
  GLOW_TRY(status);
  glow__evaluation_conclude(model, &e);
  *evaluation = e;
  return GLOW_OK;
}

/* ---- the call -------------------------------------------------------------------------------- */

/* One block: doubles, floats, statuses. */
static glow_status make_room(const glow_workspace *ws, bool pixels, glow__evaluation_room *room) {
  const int64_t batch = ws->plan.batch, floats = pixels ? batch * ws->model->dims : 0;
  size_t bytes =
      (size_t)batch * (sizeof(double) + sizeof(int32_t)) + (size_t)floats * sizeof(float);
  room->log_prob = glow_allocate(ws->model->context, bytes);
  if (!room->log_prob)
    return GLOW_E_MEMORY;
  room->statuses = (int32_t *)(void *)(room->log_prob + batch);
  room->x = (float *)(void *)(room->statuses + batch);
  return GLOW_OK;
}

glow_status glow__evaluate_batch(glow_workspace *ws, const glow_batch *batch, uint64_t seed,
                                 int64_t first, glow_evaluation *evaluation) {
  glow_evaluation e = GLOW_EVALUATION_INIT;
  glow__batch b;
  glow__evaluation_room room;
  GLOW_TRY(glow__options_copy(&e, sizeof e, evaluation, sizeof e, "glow_evaluation"));
  GLOW_TRY(glow__batch_read(ws->model, batch, &b));
  GLOW_TRY(make_room(ws, b.given.pixels != NULL, &room));
  glow_status status = glow__evaluate(ws, &b, seed, first, &room, &e);
  glow_release(ws->model->context, room.log_prob);
  GLOW_TRY(status);
  return glow__struct_fill(evaluation, &e, sizeof e, sizeof e, "glow_evaluation");
}

glow_status glow_evaluate(glow_workspace *ws, const glow_batch *batch, uint64_t seed,
                          glow_evaluation *evaluation) {
  GLOW_LIVE(ws, WORKSPACE);
  if (!ws || !batch || !evaluation)
    return glow_error(GLOW_E_ARGUMENT, "glow_evaluate: NULL argument");
  return glow__evaluate_batch(ws, batch, seed, 0, evaluation);
}
