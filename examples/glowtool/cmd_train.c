/* glowtool train: sets a run up, says what it is about to do, and tells how it ended. Everything
 * that can be checked is checked before the first file is touched. SPDX-License-Identifier: MIT */
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "files.h"
#include "train.h"
#include "train_models.h"

/* ---- data ------------------------------------------------------------------------------------ */

static data_options source_of(const train_settings *s, bool test) {
  data_options o = {.format = s->format,
                    .size = s->size,
                    .channels = s->channels,
                    .limit = test ? s->test_images : s->images,
                    .seed = (uint64_t)s->seed * 2 + test, /* test pictures are others */
                    .labels = test ? s->test_labels : s->labels};
  if (data_is_generated(s->format) && !o.limit)
    o.limit = 4096;
  return o;
}

static int load(const train_settings *s, bool test, image_set *out) {
  char error[1024] = "";
  const option_list *paths = test ? &s->test : &s->data;
  data_options options = source_of(s, test);
  if (!data_load(paths->items, paths->count, &options, out, error, sizeof error)) {
    memset(out, 0, sizeof *out);
    return complain("%s", error);
  }
  return out->count > 0 ? TOOL_FINE : complain("the data hold no images");
}

static int load_sets(train_run *run) {
  const train_settings *s = &run->settings;
  int code = load(s, false, &run->data);
  if (code != TOOL_FINE)
    return code;
  if (s->conditional && !run->data.labels)
    return complain("--conditional needs labels, and the data have none");
  if (!s->test.count && !data_is_generated(s->format))
    return TOOL_FINE;
  code = load(s, true, &run->test);
  if (code != TOOL_FINE)
    return code;
  const image_set *a = &run->data, *b = &run->test;
  if (a->height != b->height || a->width != b->width || a->channels != b->channels)
    return complain("test images are %lld x %lld x %lld, those to learn from %lld x %lld x %lld",
                    (long long)b->height, (long long)b->width, (long long)b->channels,
                    (long long)a->height, (long long)a->width, (long long)a->channels);
  return TOOL_FINE;
}

static int check_classes(const train_run *run, int32_t classes) {
  int code = check_labels(&run->data, classes);
  if (code == TOOL_FINE && run->test.count)
    code = check_labels(&run->test, classes);
  return code;
}

/* ---- setting up ------------------------------------------------------------------------------ */

static int make_model(train_run *run) {
  const train_settings *s = &run->settings;
  int32_t classes = s->conditional ? run->data.classes : 0;
  int code = check_classes(run, classes);
  if (code == TOOL_FINE)
    code = open_context(s->threads, s->kernels, s->products, &run->context);
  if (code != TOOL_FINE)
    return code;
  const train_model *model = train_model_find(s->model);
  if (!model)
    return TOOL_BAD;
  glow_status status = model->create(run->context, s, &run->data, classes, &run->model);
  return status == GLOW_OK ? TOOL_FINE : complain_status(status, NULL);
}

static int make_trainer(train_run *run) {
  glow_optimizer_options optimizer = train_optimizer_options(&run->settings);
  glow_schedule schedule = train_schedule(&run->settings);
  glow_trainer_options options = train_trainer_options(&run->settings);
  options.optimizer = &optimizer;
  options.schedule = &schedule;
  glow_status status = glow_trainer_create(run->model, &options, &run->trainer);
  if (status != GLOW_OK)
    return complain_status(status, NULL);
  return TOOL_FINE;
}

/* Which images keep their labels has a seed of its own, apart from those of the steps. */
enum { LABEL_SEED = 77 };

/* Moves the images with labels together. */
static int keep_labelled(image_set *set) {
  size_t size = (size_t)(set->height * set->width * set->channels);
  int64_t kept = 0;
  for (int64_t i = 0; i < set->count; i++) {
    if (set->labels[i] < 0)
      continue;
    memmove(set->pixels + (size_t)kept * size, set->pixels + (size_t)i * size, size);
    set->labels[kept++] = set->labels[i];
  }
  set->count = kept;
  return kept ? TOOL_FINE : complain("--labelled leaves no image with a label");
}

/* Leaves labels to the part of the images that --labelled says; the others get -1. */
static int drop_labels(train_run *run) {
  const train_settings *s = &run->settings;
  image_set *set = &run->data;
  int64_t kept = (int64_t)(s->labelled * (double)set->count + 0.5);
  glow_rng *rng = NULL;
  int32_t *order = malloc((size_t)set->count * sizeof *order);
  glow_status status = glow_rng_create(run->context, (uint64_t)s->seed + LABEL_SEED, &rng);
  if (order && status == GLOW_OK)
    status = glow_rng_permutation(rng, order, set->count);
  for (int64_t i = kept; order && status == GLOW_OK && i < set->count; i++)
    set->labels[order[i]] = -1;
  glow_rng_destroy(&rng);
  free(order);
  if (order && status == GLOW_OK)
    return s->only_labelled ? keep_labelled(set) : TOOL_FINE;
  if (order)
    return complain_status(status, "--labelled");
  complain("out of memory for %lld labels", (long long)set->count);
  return TOOL_FAILED;
}

static int make_feed(train_run *run) {
  const train_settings *s = &run->settings;
  int code = s->labelled < 1.0 ? drop_labels(run) : TOOL_FINE;
  int64_t most = s->init_images < run->data.count ? s->init_images : run->data.count;
  if (code == TOOL_FINE)
    code = feed_open(&run->feed, run->context, &run->data, s->conditional, s->labelled_times,
                     s->flip, (uint64_t)s->seed, most > s->batch ? most : s->batch);
  if (code == TOOL_FINE)
    run->data_hash = train_hash_data(&run->data, run->feed.labels != NULL);
  return code;
}

static int make_results(train_run *run) {
  const train_settings *s = &run->settings;
  run->pictures = run->data.channels == 1 || run->data.channels == 3;
  if (!train_path(run, "log.jsonl", run->log_path))
    return TOOL_BAD;
  int code = train_check_folder(run);
  if (code == TOOL_FINE)
    code = folder_prepare(s->out, &run->made_folders);
  if (code != TOOL_FINE)
    return code;
  progress_open(&run->progress, run->log_path, s->steps, s->report_every, s->json, s->quiet);
  return run->resumed < 0 ? TOOL_FINE : train_resume_log(run);
}

/* ---- what it says ---------------------------------------------------------------------------- */

static void start_event(train_run *run, uint64_t memory) {
  const train_settings *s = &run->settings;
  json_writer *json = progress_event_open(&run->progress, "start");
  put_text(json, "version", glow_version());
  if (run->resumed >= 0)
    put_int(json, "resumed", run->resumed);
  put_int(json, "images", run->data.count);
  put_int(json, "test_images", run->test.count);
  put_open(json, "shape", '[');
  put_int(json, NULL, run->data.height);
  put_int(json, NULL, run->data.width);
  put_int(json, NULL, run->data.channels);
  put_close(json, ']');
  put_int(json, "bits", s->bits);
  put_int(json, "classes", glow_model_class_count(run->model));
  if (s->conditional) {
    put_real(json, "labelled", s->labelled);
    put_real(json, "class_weight", s->class_weight);
  }
  put_int(json, "levels", s->levels);
  put_int(json, "depth", s->depth);
  put_int(json, "hidden", s->hidden);
  put_int(json, "parameters", glow_model_parameter_count(run->model));
  put_int(json, "workspace_bytes", (int64_t)memory);
  put_int(json, "steps", s->steps);
  put_int(json, "batch", s->batch);
  put_int(json, "micro_batch", s->micro_batch);
  put_int(json, "seed", s->seed);
  put_int(json, "threads", glow_context_workers(run->context));
  put_text(json, "kernels", glow_context_kernels(run->context));
  put_text(json, "products", products_name(run->context));
  progress_event_close(&run->progress);
}

static int tell_start(train_run *run) {
  char parameters[32], bytes[32], test[64] = "";
  uint64_t memory = glow_workspace_bytes(glow_trainer_workspace(run->trainer));
  if (run->test.count)
    snprintf(test, sizeof test, " and %lld to test", (long long)run->test.count);
  progress_tell(&run->progress,
                "%lld images%s, %lld x %lld x %lld; %s parameters; passes take %s; %u thread%s, "
                "%s kernels%s",
                (long long)run->data.count, test, (long long)run->data.height,
                (long long)run->data.width, (long long)run->data.channels,
                short_count((double)glow_model_parameter_count(run->model), parameters),
                short_bytes((double)memory, bytes), glow_context_workers(run->context),
                glow_context_workers(run->context) == 1 ? "" : "s",
                glow_context_kernels(run->context),
                run->settings.products == GLOW_PRODUCTS_BFLOAT16 ? ", products of bfloat16" : "");
  if (run->resumed >= 0)
    progress_tell(&run->progress, "going on after step %lld, from %s", (long long)run->resumed,
                  run->resumed_from);
  start_event(run, memory);
  return run->progress.failed;
}

static void end_event(train_run *run, double seconds) {
  bool tested = run->tested == glow_trainer_step_count(run->trainer);
  json_writer *json = progress_event_open(&run->progress, "end");
  put_int(json, "step", glow_trainer_step_count(run->trainer));
  put_bool(json, "stopped", stop_wanted());
  put_real(json, "train", run->state.bits_per_dim);
  if (tested) {
    put_real(json, "test", run->test_score.mean);
    put_real(json, "test_error", run->test_score.error);
  }
  if (tested && isfinite(run->test_score.accuracy))
    put_real(json, "test_accuracy", run->test_score.accuracy);
  if (tested && run->settings.ema > 0.0)
    put_real(json, "test_average", run->average_score.mean);
  if (tested && run->settings.ema > 0.0 && isfinite(run->average_score.accuracy))
    put_real(json, "test_average_accuracy", run->average_score.accuracy);
  put_real(json, "images_per_second", run->state.images_per_second);
  put_real(json, "seconds", seconds);
  put_text(json, "out", run->settings.out);
  progress_event_close(&run->progress);
}

static void tell_end(train_run *run) {
  char time[32], test[192] = "";
  double seconds = now_seconds() - run->started;
  long long steps = (long long)glow_trainer_step_count(run->trainer);
  bool averaged = run->settings.ema > 0.0;
  if (run->tested == steps)
    snprintf(test, sizeof test, ", test %.4f +- %.4f", run->test_score.mean, run->test_score.error);
  if (run->tested == steps && averaged)
    snprintf(test + strlen(test), sizeof test - strlen(test), ", averaged weights %.4f",
             run->average_score.mean);
  if (run->tested == steps && isfinite(run->test_score.accuracy))
    snprintf(test + strlen(test), sizeof test - strlen(test), ", accuracy %.4f",
             run->test_score.accuracy);
  if (run->tested == steps && averaged && isfinite(run->average_score.accuracy))
    snprintf(test + strlen(test), sizeof test - strlen(test), " (averaged %.4f)",
             run->average_score.accuracy);
  progress_tell_always(&run->progress,
                       "%s after %lld steps, %s: train %.4f bits/dim%s; saved in %s",
                       stop_wanted() ? "stopped" : "done", steps, duration(seconds, time),
                       run->state.bits_per_dim, test, run->settings.out);
  end_event(run, seconds);
}

/* ---- the run --------------------------------------------------------------------------------- */

/* A folder that this run made and left empty goes away; one with results stays. */
static int train(train_run *run) {
  int code = train_draw_data(run);
  if (code == TOOL_FINE)
    code = tell_start(run);
  if (code == TOOL_FINE)
    code = train_loop(run);
  if (code == TOOL_FINE)
    tell_end(run);
  int written = progress_close(&run->progress);
  if (code != TOOL_FINE && !glow_trainer_step_count(run->trainer)) {
    char path[PATH_MAX];
    if (run->made_folders && train_path(run, "data.png", path))
      remove(path);
    folder_discard(run->settings.out, run->made_folders);
  }
  return code != TOOL_FINE ? code : written;
}

static int set_up(train_run *run) {
  int code = load_sets(run);
  if (code == TOOL_FINE)
    code = make_model(run);
  if (code == TOOL_FINE)
    code = make_trainer(run);
  return code == TOOL_FINE ? make_feed(run) : code;
}

static int set_up_resumed(train_run *run) {
  int code = train_resume(run);
  if (code == TOOL_FINE)
    code = load_sets(run);
  if (code == TOOL_FINE)
    code = check_classes(run, glow_model_class_count(run->model));
  if (code == TOOL_FINE)
    code = make_feed(run);
  return code == TOOL_FINE ? train_resume_data(run) : code;
}

static int set_up_and_train(train_run *run) {
  int code = run->settings.resume ? set_up_resumed(run) : set_up(run);
  if (code == TOOL_FINE)
    code = make_results(run);
  if (code != TOOL_FINE)
    return code;
  stop_install();
  run->started = now_seconds();
  return train(run);
}

int command_train(int argc, char **argv) {
  train_run run;
  memset(&run, 0, sizeof run);
  run.saved = run.tested = run.sampled = run.checkpointed = run.resumed = -1;
  int code = train_parse(&run.options, &run.settings, argc, argv);
  if (code == TOOL_FINE)
    code = set_up_and_train(&run);
  feed_close(&run.feed);
  glow_trainer_destroy(&run.trainer);
  glow_model_destroy(&run.model);
  glow_context_destroy(&run.context);
  data_free(&run.data);
  data_free(&run.test);
  curve_free(&run.train);
  curve_free(&run.tests);
  curve_free(&run.average_tests);
  options_free(&run.options);
  return code < 0 ? TOOL_FINE : code;
}
