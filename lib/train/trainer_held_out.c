/* A held-out part of the data during a run: its loss every so many steps, when to stop, and the
 * parameters of the best evaluation. (Prechelt, "Early stopping - but when?", 1998: here the run
 * ends once `patience` evaluations in a row were not better than the best before them.)
 * SPDX-License-Identifier: MIT */
#include <math.h>
#include <string.h>

#include <glow/objective.h>

#include "host/model.h"
#include "train/evaluate.h"
#include "train/trainer.h"
#include "train/trainer_held_out.h"

static size_t parameter_bytes(const glow_trainer *t) {
  return (size_t)t->flat.count * sizeof(float);
}

/* Running averages are fixed state, and belong to the parameters that they were observed with. */
static size_t fixed_bytes(const glow_trainer *t) {
  return (size_t)t->model->fixed_count * 4;
}

glow_status glow__held_out_begin(const glow_trainer *t, const glow_run_options *o,
                                 glow__held_out *h) {
  glow__batch checked;
  *h = (glow__held_out){.options = o};
  if (!o->held_out && (o->patience || o->keep_best))
    return glow_error(GLOW_E_ARGUMENT, "glow_run_options: patience and keep_best need held_out");
  if (!o->held_out)
    return GLOW_OK;
  glow_status status = glow__batch_read(t->model, o->held_out, &checked);
  if (status != GLOW_OK)
    return glow__error_prefix(status, "held_out");
  if (o->keep_best)
    h->best = glow_allocate(t->context, parameter_bytes(t) + fixed_bytes(t) + 1);
  return h->best || !o->keep_best ? GLOW_OK : GLOW_E_MEMORY;
}

static void keep(const glow_trainer *t, glow__held_out *h) {
  if (!h->best)
    return;
  memcpy(h->best, glow_model_parameters(t->model), parameter_bytes(t));
  memcpy((char *)h->best + parameter_bytes(t), t->model->fixed, fixed_bytes(t));
}

/* With the parameters that are in use. Samples that have no finite density make a model that is
 * never the best. */
static glow_status look(glow_trainer *t, glow_status status, glow__held_out *h,
                        glow_run_report *done) {
  glow_evaluation e = GLOW_EVALUATION_INIT;
  if (status == GLOW_OK)
    status =
        glow__evaluate_batch(t->workspace, h->options->held_out, t->options.seed, h->first, &e);
  GLOW_TRY(glow__trainer_join_evaluation(t, status, &e));
  done->evaluations++;
  if (e.failed || !(isnan(done->best_loss) || e.bits_per_dim < done->best_loss)) {
    h->since++;
    return GLOW_OK;
  }
  h->since = 0;
  done->best_step = t->steps;
  done->best_loss = e.bits_per_dim;
  done->best_error = e.bits_per_dim_error;
  keep(t, h);
  return GLOW_OK;
}

/* With the average, if there is one. */
static glow_status look_average(glow_trainer *t, glow__held_out *h, glow_run_report *done) {
  if (!t->average)
    return look(t, GLOW_OK, h, done);
  glow_status status = look(t, glow_trainer_use_average(t, 1), h, done);
  glow_status back = glow_trainer_use_average(t, 0);
  return status == GLOW_OK ? back : status;
}

bool glow__held_out_due(const glow_trainer *t, const glow__held_out *h) {
  return h->options->held_out && t->steps % h->options->evaluate_every == 0;
}

glow_status glow__held_out_step(glow_trainer *t, bool last, glow__held_out *h,
                                glow_run_report *done) {
  const glow_run_options *o = h->options;
  if (!o->held_out || (!last && !glow__held_out_due(t, h)))
    return GLOW_OK;
  glow_status status = look_average(t, h, done);
  if (status != GLOW_OK)
    return glow__error_prefix(status, "held_out after step %lld", (long long)t->steps);
  done->stopped_early = !last && o->patience && h->since >= o->patience;
  return GLOW_OK;
}

/* The average too, so that using it does not bring the last parameters back. */
static glow_status put_back(glow_trainer *t, const glow__held_out *h) {
  float *parameters = glow_model_parameters_mutable(t->model);
  memcpy(parameters, h->best, parameter_bytes(t));
  memcpy(t->model->fixed, (const char *)h->best + parameter_bytes(t), fixed_bytes(t));
  if (t->average)
    memcpy(t->average, h->best, parameter_bytes(t));
  return glow_model_prepare(t->model);
}

glow_status glow__held_out_end(glow_trainer *t, glow_status status, glow__held_out *h,
                               const glow_run_report *done) {
  if (status == GLOW_OK && h->best && done->best_step)
    status = put_back(t, h);
  glow_release(t->context, h->best);
  h->best = NULL;
  return status;
}
