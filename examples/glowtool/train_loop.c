/* The steps of a training run. SPDX-License-Identifier: MIT */
#include <math.h>
#include <string.h>

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
                      &run->test, count, 1, TEST_SEED, NULL, out);
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

/* A test that Ctrl-C cuts short tells nothing: its mean would be over other images. */
static int test(train_run *run) {
  score_summary score, average;
  bool averaged = run->settings.ema > 0.0;
  int64_t step = glow_trainer_step_count(run->trainer);
  if (!run->test.count || run->tested == step)
    return TOOL_FINE;
  int code = score_test(run, &score);
  if (code == TOOL_FINE && averaged)
    code = score_average(run, &average);
  if (code != TOOL_FINE || stop_wanted())
    return code;
  run->tested = step;
  run->test_score = score;
  curve_add(&run->tests, (double)step, score.mean);
  if (averaged) {
    run->average_score = average;
    curve_add(&run->average_tests, (double)step, average.mean);
  }
  tell_test(run, &score, averaged ? &average : NULL);
  return TOOL_FINE;
}

/* ---- steps ----------------------------------------------------------------------------------- */

static int initialise(train_run *run) {
  int64_t count = least(run->settings.init_images, run->data.count);
  int code = feed_next(&run->feed, count);
  if (code != TOOL_FINE)
    return code;
  glow_status status =
      glow_trainer_initialise_pixels(run->trainer, run->feed.pixels, run->feed.labels, count);
  /* Those images are looked at, not learnt from: the first epoch has them all. */
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

static int step(train_run *run) {
  const train_settings *s = &run->settings;
  glow_step_report report = GLOW_STEP_REPORT_INIT;
  double before = now_seconds();
  int code = feed_next(&run->feed, s->batch);
  if (code != TOOL_FINE)
    return code;
  glow_status status =
      glow_trainer_step_pixels(run->trainer, run->feed.pixels, run->feed.labels, s->batch, &report);
  if (status != GLOW_OK)
    return complain_status(status, NULL);
  progress_step done = {.step = report.step,
                        .images = s->batch,
                        .loss = report.loss,
                        .rate = report.rate,
                        .gradient_norm = report.gradient_norm,
                        .class_loss = report.class_loss,
                        .accuracy = report.accuracy,
                        .drift = report.drift,
                        .seconds = now_seconds() - before};
  progress_tell_step(&run->progress, &done, &run->state);
  keep_point(run, report.step);
  return run->progress.failed;
}

static bool due(int64_t every, int64_t step) {
  return every > 0 && step % every == 0;
}

static int between_steps(train_run *run) {
  const train_settings *s = &run->settings;
  int64_t now = glow_trainer_step_count(run->trainer);
  int code = due(s->test_every, now) ? test(run) : TOOL_FINE;
  if (code == TOOL_FINE && due(s->save_every, now))
    code = train_save(run);
  if (code == TOOL_FINE && due(s->checkpoint_every, now))
    code = train_checkpoint(run);
  if (code == TOOL_FINE && due(s->sample_every, now) && !stop_wanted())
    code = train_draw_samples(run);
  return code;
}

static int save_all(train_run *run) {
  int code = train_save(run);
  return code == TOOL_FINE ? train_checkpoint(run) : code;
}

/* After the last step all of it is due; after Ctrl-C saving is, for the rest may take long. */
static int finish(train_run *run) {
  int code = stop_wanted() ? TOOL_FINE : test(run);
  int saved = save_all(run);
  if (code == TOOL_FINE)
    code = saved;
  if (code == TOOL_FINE && !stop_wanted())
    code = train_draw_samples(run);
  return code;
}

int train_loop(train_run *run) {
  int code = run->resumed < 0 ? initialise(run) : TOOL_FINE;
  while (code == TOOL_FINE && !stop_wanted() &&
         glow_trainer_step_count(run->trainer) < run->settings.steps) {
    code = step(run);
    if (code == TOOL_FINE && !stop_wanted())
      code = between_steps(run);
  }
  if (code == TOOL_FINE && !glow_trainer_step_count(run->trainer)) {
    complain("stopped before the first step: there is nothing to save");
    return TOOL_FAILED;
  }
  if (code == TOOL_FINE)
    return finish(run);
  if (run->progress.failed && glow_trainer_step_count(run->trainer))
    save_all(run); /* nobody listens any more, but the steps were good */
  if (run->saved > 0)
    mention("what step %lld saved is still there", (long long)run->saved);
  return code;
}
