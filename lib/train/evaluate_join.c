/* Evaluations of parts of the data, added up over ranks. Means are joined by their weights, and so
 * is the sum of squares about the mean a of squared weights s (Chan, Golub and LeVeque, 1979):
 *
 *   sum_r [ squares_r + s_r (a_r - a)^2 ],  a = sum_r s_r a_r / sum_r s_r
 *
 * so a second sum follows the one that gives a. SPDX-License-Identifier: MIT */
#include "train/collective.h"
#include "train/evaluate.h"
#include "train/trainer.h"

enum { COUNT, FAILED, WEIGHT, LOG_PROB, LABELLED, CLASS_LOSS, ACCURACY, SQUARED, CENTRE, SUMS };

static double ratio(double sum, double weight) {
  return weight > 0.0 ? sum / weight : 0.0;
}

static void take_sums(const double *sums, glow_evaluation *e) {
  e->count = (int64_t)sums[COUNT];
  e->failed = (int64_t)sums[FAILED];
  e->weight = sums[WEIGHT];
  e->log_prob = ratio(sums[LOG_PROB], sums[WEIGHT]);
  e->labelled = sums[LABELLED];
  e->class_loss = ratio(sums[CLASS_LOSS], sums[LABELLED]);
  e->accuracy = ratio(sums[ACCURACY], sums[LABELLED]);
  e->squares_weight = sums[SQUARED];
  e->squares_mean = ratio(sums[CENTRE], sums[SQUARED]);
}

static glow_status evaluation_join(glow__collective *c, const glow_model *model,
                                   glow_evaluation *e) {
  glow__evaluation_resume(e);
  double sums[SUMS] = {
      (double)e->count,          (double)e->failed, e->weight,
      e->weight * e->log_prob,   e->labelled,       e->labelled * e->class_loss,
      e->labelled * e->accuracy, e->squares_weight, e->squares_weight * e->squares_mean};
  GLOW_TRY(glow__collective_sum(c, sums, SUMS, GLOW_SUM_FLOAT64));
  double weight = e->squares_weight, centre = e->squares_mean, squares = e->squares;
  take_sums(sums, e);
  squares += weight * (centre - e->squares_mean) * (centre - e->squares_mean);
  GLOW_TRY(glow__collective_sum(c, &squares, 1, GLOW_SUM_FLOAT64));
  e->squares = squares;
  glow__evaluation_conclude(model, e);
  return GLOW_OK;
}

glow_status glow__trainer_join_evaluation(glow_trainer *t, glow_status status,
                                          glow_evaluation *evaluation) {
  if (!t->collective)
    return status;
  GLOW_TRY(glow__trainer_agree(t, status, GLOW_CALL_EVALUATE));
  return evaluation_join(t->collective, t->model, evaluation);
}

glow_status glow_evaluation_join(glow_evaluation *evaluation, const glow_model *model,
                                 const glow_collective *collective) {
  GLOW_LIVE(model, MODEL);
  glow_evaluation e = GLOW_EVALUATION_INIT;
  glow__collective c = {.context = NULL};
  if (!evaluation || !model || !collective)
    return glow_error(GLOW_E_ARGUMENT, "glow_evaluation_join: NULL argument");
  GLOW_TRY(glow__options_copy(&e, sizeof e, evaluation, sizeof e, "glow_evaluation"));
  GLOW_TRY(glow__collective_read(collective, &c.table));
  GLOW_TRY(evaluation_join(&c, model, &e));
  return glow__struct_fill(evaluation, &e, sizeof e, sizeof e, "glow_evaluation");
}
