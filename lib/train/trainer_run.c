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

/* What progress says after a step. */
static glow_status run_progress(const glow_trainer *t, const glow_run_options *o,
                                const glow_step_report *report) {
  if (o->progress && o->progress(report, o->progress_payload))
    return glow_error(GLOW_E_CANCELLED, "cancelled after step %lld", (long long)t->steps);
  return GLOW_OK;
}

/* A rank that cancels tells the others before they do anything else together: in the next step, or,
 * where an evaluation or nothing follows, at once. */
static glow_status run_steps(glow_trainer *t, const glow_run_options *o, glow__held_out *held_out,
                             glow_run_report *done) {
  glow_status status = GLOW_OK;
  while (done->steps < o->steps && !done->stopped_early) {
    glow_step_report report = GLOW_STEP_REPORT_INIT;
    glow_batch batch;
    if (status == GLOW_OK)
      status = next_batch(t, o, &batch);
    GLOW_TRY(glow__trainer_step(t, status, &batch, &report));
    done->steps++;
    status = run_progress(t, o, &report);
    bool last = done->steps == o->steps;
    if (last || glow__held_out_due(t, held_out))
      GLOW_TRY(glow__trainer_agree(t, status, GLOW_CALL_RUN));
    GLOW_TRY(glow__held_out_step(t, last, held_out, done));
  }
  return status;
}

/* Ranks that end at different steps would wait for each other: what must be the same. */
enum { STEPS, EVALUATE_EVERY, PATIENCE, KEEP_BEST, HELD_OUT, SAME, SAMPLES = SAME, ALL };
static const char *const names[SAME] = {"steps", "evaluate_every", "patience", "keep_best",
                                        "whether there is held_out"};

/* Joins the runs of all ranks, if `status` and they let them. */
static glow_status run_join(glow_trainer *t, glow_status status, const glow_run_options *o,
                            glow__held_out *held_out) {
  const double values[ALL] = {
      [STEPS] = (double)o->steps,       [EVALUATE_EVERY] = (double)o->evaluate_every,
      [PATIENCE] = (double)o->patience, [KEEP_BEST] = o->keep_best,
      [HELD_OUT] = o->held_out != NULL, [SAMPLES] = o->held_out ? (double)o->held_out->count : 0.0};
  GLOW_TRY(glow__trainer_tell(t, status, GLOW_CALL_RUN, values, ALL));
  const double *first = glow__trainer_told(t, 0);
  for (int32_t r = 1; r < glow__trainer_ranks(t); r++)
    for (int32_t i = 0; i < SAME; i++)
      if (glow__trainer_told(t, r)[i] != first[i])
        return glow_error(GLOW_E_ARGUMENT,
                          "glow_run_options: rank %d and rank 0 differ in %s: %.17g, %.17g", (int)r,
                          names[i], glow__trainer_told(t, r)[i], first[i]);
  for (int32_t r = 0; t->collective && r < t->collective->table.rank; r++)
    held_out->first += (int64_t)glow__trainer_told(t, r)[SAMPLES];
  return GLOW_OK;
}

static glow_status fill_report(glow_run_report *report, const glow_run_report *done) {
  return report ? glow__struct_fill(report, done, sizeof *done, sizeof *done, "glow_run_report")
                : GLOW_OK;
}

/* Options and report; one that cannot be filled fails before anything changes. */
static glow_status run_check(const glow_trainer *t, const glow_run_options *options,
                             glow_run_options *o, glow_run_report *report,
                             const glow_run_report *done) {
  int64_t elements;
  GLOW_TRY(glow_options_read(&table, options, o));
  GLOW_TRY(fill_report(report, done));
  if (!o->next)
    return glow_error(GLOW_E_ARGUMENT, "glow_run_options: next is NULL");
  GLOW_TRY(glow__trainer_check_idle(t));
  return glow__batch_elements(t->model, o->batch, &elements);
}

glow_status glow_trainer_run(glow_trainer *trainer, const glow_run_options *options,
                             glow_run_report *report) {
  GLOW_LIVE(trainer, TRAINER);
  glow_run_options o = GLOW_RUN_OPTIONS_INIT;
  glow_run_report done = GLOW_RUN_REPORT_INIT;
  glow__held_out held_out = {.options = &o};
  done.best_loss = done.best_error = NAN;
  if (!trainer || !options)
    return glow_error(GLOW_E_ARGUMENT, "glow_trainer_run: NULL argument");
  glow_status status = run_check(trainer, options, &o, report, &done);
  if (status == GLOW_OK)
    status = glow__held_out_begin(trainer, &o, &held_out);
  status = run_join(trainer, status, &o, &held_out);
  if (status != GLOW_OK)
    return glow__held_out_end(trainer, status, &held_out, &done);
  status = run_steps(trainer, &o, &held_out, &done);
  status = glow__held_out_end(trainer, status, &held_out, &done);
  fill_report(report, &done);
  return status;
}
