/* The steps of a training run. SPDX-License-Identifier: MIT */
#include <math.h>
#include <string.h>
#include <time.h>

#include "train.h"

/* Seeds of the parts of a run differ, so that no two draw the same numbers. */
enum { TEST_SEED = 12345 }; /* noise of tests: the same for all runs, so that runs compare */

static int64_t least(int64_t a, int64_t b) {
  return a < b ? a : b;
}

/* ---- tests ----------------------------------------------------------------------------------- */

static int score_test(train_run *run, score_summary *out) {
  int64_t count = least(run->test.count, run->settings.test_images);
  return score_images(glow_trainer_workspace(run->trainer), run->model, run->settings.micro_batch,
                      &run->test, count, 1, TEST_SEED, NULL, &run->ranks, out);
}

static int score_average(train_run *run, score_summary *out) {
  int code = train_use_average(run, true);
  if (code != TOOL_FINE)
    return code;
  code = score_test(run, out);
  int back = train_use_average(run, false);
  return code != TOOL_FINE ? code : back;
}

static void tell_test(train_run *run, const score_summary *score, const score_summary *average) {
  int64_t step = glow_trainer_step_count(run->trainer);
  json_writer *json = progress_event_open(&run->progress, "test");
  put_int(json, "step", step);
  put_int(json, "images", score->images);
  put_int(json, "nonfinite", score->tally.bad);
  put_real(json, "test", score->mean);
  put_real(json, "test_error", score->error);
  if (isfinite(score->accuracy))
    put_real(json, "test_accuracy", score->accuracy);
  if (average)
    put_real(json, "test_average", average->mean);
  if (average && isfinite(average->accuracy))
    put_real(json, "test_average_accuracy", average->accuracy);
  progress_event_close(&run->progress);
  char right[48] = "", averaged[96] = "";
  if (isfinite(score->accuracy))
    snprintf(right, sizeof right, ", accuracy %.4f", score->accuracy);
  if (average)
    snprintf(averaged, sizeof averaged, ", averaged weights %.4f", average->mean);
  if (average && isfinite(average->accuracy))
    snprintf(averaged + strlen(averaged), sizeof averaged - strlen(averaged), ", accuracy %.4f",
             average->accuracy);
  progress_tell(&run->progress, "test at step %lld: %.4f bits/dim (+- %.4f)%s%s", (long long)step,
                score->mean, score->error, right, averaged);
}

/* A test that Ctrl-C cuts short is not reported: its mean would be over other images. */
static int test(train_run *run) {
  score_summary score, average;
  bool averaged = run->settings.ema > 0.0;
  int64_t step = glow_trainer_step_count(run->trainer);
  if (!run->test.count || run->tested == step)
    return TOOL_FINE;
  int code = score_test(run, &score);
  if (code == TOOL_FINE && averaged)
    code = score_average(run, &average);
  if (code != TOOL_FINE || ranks_stop(&run->ranks))
    return code;
  run->tested = step;
  run->test_score = score;
  tally_tell(&score.tally, "test images", "the mean is over the others", false);
  if (isfinite(score.mean))
    curve_add(&run->tests, (double)step, score.mean);
  if (averaged) {
    run->average_score = average;
    tally_tell(&average.tally, "test images, with averaged weights,", NULL, false);
    if (isfinite(average.mean))
      curve_add(&run->average_tests, (double)step, average.mean);
  }
  tell_test(run, &score, averaged ? &average : NULL);
  return TOOL_FINE;
}

/* ---- steps ----------------------------------------------------------------------------------- */

/* What the feed holds. */
static glow_batch batch_of(const feed *f, int64_t count) {
  glow_batch batch = GLOW_BATCH_INIT;
  batch.count = count;
  batch.x = f->x;
  batch.pixels = f->x ? NULL : f->pixels;
  batch.labels = f->labels;
  batch.condition = f->conditions;
  batch.condition_count = f->conditions ? count : 0;
  return batch;
}

/* This rank's part of the next `count` images, with the noise of a step. */
static int next_batch(train_run *run, int64_t count, int64_t step, glow_batch *batch) {
  const int64_t first = ranks_part(&run->ranks, count), end = ranks_part_end(&run->ranks, count);
  int code = feed_next_part(&run->feed, count, first, end);
  *batch = batch_of(&run->feed, end - first);
  return code == TOOL_FINE ? train_noise_add(run, step, first, batch) : code;
}

/* A model that --from has read may be initialised already. */
static int initialise(train_run *run) {
  glow_batch batch;
  if (run->resumed >= 0 || glow_model_initialised(run->model))
    return TOOL_FINE;
  int64_t count = least(run->settings.init_images, run->data.count);
  int code = ranks_agree(&run->ranks, next_batch(run, count, 0, &batch));
  if (code != TOOL_FINE)
    return code;
  glow_status status = glow_trainer_initialise_batch(run->trainer, &batch);
  /* These images only initialise: the first epoch still has them all. */
  run->feed.place.next = 0;
  return status == GLOW_OK ? TOOL_FINE : complain_status(status, "initialising");
}

/* More points than this the picture cannot show. */
enum { CURVE_POINTS = 400 };

static void keep_point(train_run *run, int64_t step) {
  int64_t steps = run->settings.steps, every = steps < CURVE_POINTS ? 1 : steps / CURVE_POINTS;
  if (step % every == 0 || step == 1 || step == steps)
    curve_add(&run->train, (double)step, run->state.bits_per_dim);
}

/* The images of a refused step have not been learnt from: they are still to come in a
 * checkpoint. */
static int refuse_step(train_run *run, glow_status status, feed_place before) {
  int code = complain_status(status, NULL);
  int back = feed_go(&run->feed, before);
  run->refused = status == GLOW_E_NUMERIC && back == TOOL_FINE;
  return code;
}

static int step(train_run *run, const glow_batch *batch, feed_place before) {
  glow_step_report report = GLOW_STEP_REPORT_INIT;
  double began = now_seconds();
  glow_status status = glow_trainer_step_batch(run->trainer, batch, &report);
  if (status != GLOW_OK)
    return refuse_step(run, status, before);
  progress_step done = {.step = report.step,
                        .images = run->settings.batch,
                        .loss = report.loss,
                        .rate = report.rate,
                        .gradient_norm = report.gradient_norm,
                        .class_loss = report.class_loss,
                        .accuracy = report.accuracy,
                        .drift = report.drift,
                        .seconds = now_seconds() - run->read_from,
                        .ranks = run->ranks.table.size,
                        .sum_seconds = report.sum_seconds,
                        .wait_seconds = report.wait_seconds,
                        .small_seconds = report.small_seconds + (began - run->read_to),
                        .sum_bytes = report.sum_bytes};
  progress_tell_step(&run->progress, &done, &run->state);
  keep_point(run, report.step);
  return run->progress.failed;
}

/* ---- saving ---------------------------------------------------------------------------------- */

enum {
  MOST_FAILED_SAVES = 3, /* failures in a row, after which the disk is taken for full */
  TRIES = 3              /* of one, with pauses between them */
};

/* A moment for whoever has filled the disk to make room. Signals end it. */
static void wait_a_moment(void) {
  const struct timespec second = {1, 0};
  nanosleep(&second, NULL);
}

/* Rank 0 saves; the others know where a run would go back to. */
static int save_both(train_run *run, bool model, bool checkpoint) {
  int code = model ? train_save(run) : TOOL_FINE;
  int other = checkpoint ? train_checkpoint(run) : TOOL_FINE;
  return code != TOOL_FINE ? code : other;
}

static int try_saving(train_run *run, bool model, bool checkpoint) {
  int code = save_both(run, model, checkpoint);
  for (int i = 1; i < TRIES && code == TOOL_BAD; i++) {
    wait_a_moment();
    code = save_both(run, model, checkpoint);
  }
  return code;
}

/* What cannot be saved now may be saved next time: the steps go on, unless it fails again and
 * again. */
static int save_between_steps(train_run *run, bool model, bool checkpoint) {
  if (!model && !checkpoint)
    return TOOL_FINE;
  int code = try_saving(run, model, checkpoint);
  run->failed_saves = code == TOOL_FINE ? 0 : run->failed_saves + 1;
  if (code == TOOL_FINE || code == TOOL_UNEXPECTED || run->failed_saves == MOST_FAILED_SAVES)
    return code;
  mention("warning: step %lld is not saved; training goes on, and ends when saving has failed %d "
          "times in a row",
          (long long)glow_trainer_step_count(run->trainer), MOST_FAILED_SAVES);
  return TOOL_FINE;
}

static int save_all(train_run *run) {
  return try_saving(run, true, true);
}

/* ---- between steps --------------------------------------------------------------------------- */

static bool due(int64_t every, int64_t step) {
  return every > 0 && step % every == 0;
}

static int between_steps(train_run *run) {
  const train_settings *s = &run->settings;
  int64_t now = glow_trainer_step_count(run->trainer);
  bool asked = ranks_save(&run->ranks),
       last = now >= s->steps; /* after the last step, finish saves */
  int code = due(s->test_every, now) ? test(run) : TOOL_FINE;
  if (code == TOOL_FINE && !last)
    code = save_between_steps(run, asked || due(s->save_every, now),
                              asked || due(s->checkpoint_every, now));
  if (code == TOOL_FINE && due(s->sample_every, now) && !ranks_stop(&run->ranks))
    train_draw_samples(run);
  if (asked)
    progress_tell(&run->progress, "asked to save at step %lld", (long long)now);
  return code;
}

/* After the last step all of it is due; after Ctrl-C saving is, for the rest may take long. */
static int finish(train_run *run) {
  int code = ranks_stop(&run->ranks) ? TOOL_FINE : test(run);
  int saved = save_all(run);
  if (code == TOOL_FINE)
    code = saved;
  if (code == TOOL_FINE && !ranks_stop(&run->ranks))
    train_draw_samples(run);
  return code;
}

/* The steps up to here were good, whatever has ended the run: they are saved. */
static void rescue(train_run *run) {
  int64_t steps = glow_trainer_step_count(run->trainer);
  bool nothing =
      steps == 0 || !ranks_first(&run->ranks) || (steps == run->resumed && !run->rewinds);
  if (!nothing && save_all(run) == TOOL_FINE)
    mention("the %lld steps before that are saved in %s%s", (long long)steps, run->settings.out,
            run->settings.no_checkpoints ? ""
            : run->refused ? "; --resume with a lower --lr, or from an earlier checkpoint, goes on"
                           : "; --resume goes on from them");
  else if (run->saved > 0)
    mention("what step %lld saved is still there", (long long)run->saved);
}

/* ---- all of it ------------------------------------------------------------------------------- */

/* Reads the batch of the next step, unless the run is to end, as ranks decide together. */
static bool goes_on(train_run *run, feed_place before, glow_batch *batch, int *code) {
  const int64_t next = glow_trainer_step_count(run->trainer) + 1;
  bool steps_left = next <= run->settings.steps;
  run->read_from = now_seconds();
  if (*code == TOOL_FINE && steps_left && !ranks_stop(&run->ranks))
    *code = next_batch(run, run->settings.batch, next, batch);
  run->read_to = now_seconds();
  *code = ranks_agree(&run->ranks, *code);
  if (*code == TOOL_FINE && steps_left && !ranks_stop(&run->ranks))
    return true;
  if (*code == TOOL_FINE)
    *code = feed_go(&run->feed, before); /* what was read is still to come */
  return false;
}

static int make_steps(train_run *run) {
  int code = TOOL_FINE;
  glow_batch batch = GLOW_BATCH_INIT;
  feed_place before = run->feed.place;
  while (goes_on(run, before, &batch, &code)) {
    code = step(run, &batch, before);
    if (code == TOOL_FINE && !ranks_stop(&run->ranks))
      code = between_steps(run);
    if (run->refused && train_rewind(run))
      code = run->progress.failed;
    before = run->feed.place;
  }
  return code;
}

int train_loop(train_run *run) {
  int code = initialise(run);
  if (code == TOOL_FINE && run->settings.on_divergence == DIVERGENCE_REWIND)
    code = train_checkpoint(run); /* so that there is one to go back to */
  if (code == TOOL_FINE)
    code = make_steps(run);
  if (code == TOOL_FINE && !glow_trainer_step_count(run->trainer)) {
    complain("stopped before the first step: there is nothing to save");
    return TOOL_FAILED;
  }
  if (code == TOOL_FINE)
    return finish(run);
  rescue(run);
  return code;
}
