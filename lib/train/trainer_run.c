/* A run of steps whose batches a callback gives. SPDX-License-Identifier: MIT */
#include <math.h>

#include "train/trainer.h"
#include "train/trainer_held_out.h"

static const glow_option rows[] = {
    GLOW_OPTION(glow_run_options, steps, INT64, .high = 0x1p62),
    GLOW_OPTION(glow_run_options, batch, INT64, .low = 1, .high = 0x1p62, .fallback = 16),
    GLOW_OPTION(glow_run_options, evaluate_every, INT64, .low = 1, .high = 0x1p62, .fallback = 100),
    GLOW_OPTION(glow_run_options, patience, INT64, .high = 0x1p62),
    GLOW_OPTION(glow_run_options, keep_best, INT32, .high = 1),
    GLOW_OPTION(glow_run_options, reserved, RESERVED),
};
static const glow_options_table table = {GLOW_OPTIONS_TABLE(glow_run_options, rows)};

/* Asks for a batch, and refuses more than was asked for. */
static glow_status next_batch(const glow_trainer *t, const glow_run_options *o, glow_batch *batch) {
  glow__callback callback;
  *batch = (glow_batch)GLOW_BATCH_INIT;
  batch->count = o->batch;
  glow__callback_begin(&callback);
  glow_status status = o->next(t->steps + 1, batch, o->next_payload);
  GLOW_TRY(glow__callback_end(&callback, status, t->steps + 1, "the batch callback"));
  if (batch->count < 1 || batch->count > o->batch)
    return glow_error(GLOW_E_ARGUMENT,
                      "step %lld: the batch callback gave %lld samples; 1 to %lld were asked for",
                      (long long)t->steps + 1, (long long)batch->count, (long long)o->batch);
  return GLOW_OK;
}

static glow_status run_steps(glow_trainer *t, const glow_run_options *o, glow__held_out *held_out,
                             glow_run_report *done) {
  while (done->steps < o->steps && !done->stopped_early) {
    glow_step_report report = GLOW_STEP_REPORT_INIT;
    glow_batch batch;
    GLOW_TRY(next_batch(t, o, &batch));
    GLOW_TRY(glow__trainer_step(t, &batch, &report));
    done->steps++;
    if (o->progress && o->progress(&report, o->progress_payload))
      return glow_error(GLOW_E_CANCELLED, "cancelled after step %lld", (long long)t->steps);
    GLOW_TRY(glow__held_out_step(t, done->steps == o->steps, held_out, done));
  }
  return GLOW_OK;
}

static glow_status run_check(const glow_trainer *t, const glow_run_options *o) {
  int64_t elements;
  if (!o->next)
    return glow_error(GLOW_E_ARGUMENT, "glow_run_options: next is NULL");
  GLOW_TRY(glow__trainer_check_idle(t));
  return glow__batch_elements(t->model, o->batch, &elements);
}

static glow_status fill_report(glow_run_report *report, const glow_run_report *done) {
  return report ? glow__struct_fill(report, done, sizeof *done, sizeof *done, "glow_run_report")
                : GLOW_OK;
}

glow_status glow_trainer_run(glow_trainer *trainer, const glow_run_options *options,
                             glow_run_report *report) {
  GLOW_LIVE(trainer, TRAINER);
  glow_run_options o;
  glow_run_report done = GLOW_RUN_REPORT_INIT;
  glow__held_out held_out;
  done.best_loss = done.best_error = NAN;
  if (!trainer || !options)
    return glow_error(GLOW_E_ARGUMENT, "glow_trainer_run: NULL argument");
  GLOW_TRY(glow_options_read(&table, options, &o));
  GLOW_TRY(
      fill_report(report, &done)); /* one that cannot be filled fails before anything changes */
  GLOW_TRY(run_check(trainer, &o));
  GLOW_TRY(glow__held_out_begin(trainer, &o, &held_out));
  glow_status status = run_steps(trainer, &o, &held_out, &done);
  status = glow__held_out_end(trainer, status, &held_out, &done);
  fill_report(report, &done);
  return status;
}
