/* glowtool train: sets a run up, says what it is about to do, and reports how it ended. Everything
 * that can be checked is checked before the first file is touched. SPDX-License-Identifier: MIT */
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "commands.h"
#include "common.h"
#include "memory.h"
#include "train.h"
#include "train_models.h"

/* ---- data ------------------------------------------------------------------------------------ */

bool train_of_vectors(const train_run *run) {
  glow_shape shape = {0, 0, 0};
  if (!run->model)
    return strcmp(run->settings.model, "vector") == 0;
  glow_model_input_shape(run->model, &shape);
  return shape.height == 1 && shape.width == 1 && !glow_model_bits(run->model);
}

/* Test samples have the classes of the training samples. */
static data_options form_of(const train_run *run, bool test) {
  const train_settings *s = &run->settings;
  data_options o = s->form;
  o.as = train_of_vectors(run) ? DATA_VECTORS : DATA_IMAGES;
  o.test = o.shared = test;
  o.limit = test ? s->test_images : s->images;
  o.seed = (uint64_t)s->seed * 2 + test; /* test pictures are others */
  if (s->size)
    data_parse_size(s->size, &o.width, &o.height);
  if (run->model)
    o.class_lines = model_class_lines(run->model);
  if (test) {
    o.class_names = run->data.class_names;
    o.class_count = run->data.class_names ? run->data.classes : 0;
    if (!o.channels && o.as == DATA_IMAGES && (run->data.channels == 1 || run->data.channels == 3))
      o.channels = run->data.channels;
  }
  if (data_is_generated(o.format) && !o.limit)
    o.limit = 4096;
  return o;
}

static void tell_loading(const train_settings *s, const option_list *paths, const char *what) {
  char more[48] = "";
  if (paths->count > 1)
    snprintf(more, sizeof more, " and %d more", (int)paths->count - 1);
  if (paths->count)
    progress_loading(s->json, s->quiet, "reading %s: %s%s", what, paths->items[0], more);
}

static int load(const train_run *run, bool test, sample_set *out) {
  const train_settings *s = &run->settings;
  const option_list *paths = test ? &s->test : &s->data;
  data_options form = form_of(run, test);
  tell_loading(s, paths,
               form.as == DATA_VECTORS ? "a table"
               : test                  ? "test images"
                                       : "training images");
  return open_samples(paths, test ? &s->test_labels : &s->labels, &form, out);
}

/* Floats are taken as the model reads them; pixels, and so bits, are in [-1/2, 1/2). */
static int check_range(const sample_set *set, int64_t bits) {
  int64_t dims = data_dims(set);
  float *x = malloc(data_bytes(set)), least = INFINITY, most = -INFINITY;
  int code = x ? TOOL_FINE : TOOL_FAILED;
  for (int64_t i = 0; i < set->count && code == TOOL_FINE; i++) {
    code = read_samples(set, i, 1, x, NULL);
    for (int64_t d = 0; d < dims; d++) {
      least = fminf(least, x[d]);
      most = fmaxf(most, x[d]);
    }
  }
  free(x);
  if (code == TOOL_FINE && (least < -0.5f || most > 0.5f))
    return complain(
        "the samples are floats from %g to %g, but images of %lld bits are in [-0.5, 0.5): scale "
        "them, save them as uint8, or model them as continuous values with --bits 0",
        (double)least, (double)most, (long long)bits);
  return code;
}

static int check_numbers(const train_run *run) {
  int64_t bits = run->model ? glow_model_bits(run->model) : run->settings.bits;
  if (train_of_vectors(run))
    return TOOL_FINE;
  if (!run->data.floats && !bits)
    return complain(run->model ? "the model is for continuous data, but the samples are pixels"
                               : "--bits 0 is for continuous values, but the samples are pixels");
  return run->data.floats && bits ? check_range(&run->data, bits) : TOOL_FINE;
}

static int check_test(const sample_set *a, const sample_set *b) {
  if (a->height != b->height || a->width != b->width || a->channels != b->channels)
    return complain("test images are %lld x %lld x %lld, training images %lld x %lld x %lld",
                    (long long)b->height, (long long)b->width, (long long)b->channels,
                    (long long)a->height, (long long)a->width, (long long)a->channels);
  if (a->floats != b->floats)
    return complain("test samples are %s, training samples %s",
                    b->floats ? "float numbers" : "pixels", a->floats ? "float numbers" : "pixels");
  if (a->condition != b->condition)
    return complain("test samples have conditions of %lld values, training samples of %lld",
                    (long long)b->condition, (long long)a->condition);
  return TOOL_FINE;
}

static int load_sets(train_run *run) {
  const train_settings *s = &run->settings;
  int code = load(run, false, &run->data);
  if (code == TOOL_FINE)
    code = check_numbers(run);
  if (code != TOOL_FINE)
    return code;
  if (s->conditional && !run->data.labels)
    return complain("%s, and the data have no labels: give them by --labels, by --label-column of "
                    "a table, or for pictures in folders by --classes-from folders",
                    s->from ? "the model of --from has classes" : "--conditional needs labels");
  if (s->labels.count && !run->data.labels)
    return complain("--labels: no sample has a label");
  if (!s->test.count && !data_is_generated(s->form.format))
    return TOOL_FINE;
  code = load(run, true, &run->test);
  return code == TOOL_FINE ? check_test(&run->data, &run->test) : code;
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
  int32_t classes = s->from          ? glow_model_class_count(run->model)
                    : s->conditional ? run->data.classes
                                     : 0;
  int code = check_classes(run, classes);
  if (code == TOOL_FINE && s->from)
    return train_check_shape(run, "the");
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
  if (!run->settings.micro_batch)
    run->settings.micro_batch = train_choose_micro_batch(run);
  glow_trainer_options options = train_trainer_options(&run->settings);
  options.optimizer = &optimizer;
  options.schedule = &schedule;
  if (train_check_memory(run, &options) != TOOL_FINE)
    return TOOL_BAD;
  glow_status status = glow_trainer_create(run->model, &options, &run->trainer);
  if (status == GLOW_OK)
    return TOOL_FINE;
  int code = complain_status(status, NULL);
  return status == GLOW_E_STATE && run->settings.from ? TOOL_BAD : code; /* it cannot be trained */
}

/* Which images keep their labels has a seed of its own, apart from those of the steps. */
enum { LABEL_SEED = 77 };

static int keep_labelled(sample_set *set) {
  bool *keep = malloc((size_t)set->count * sizeof *keep);
  for (int64_t i = 0; keep && i < set->count; i++)
    keep[i] = set->labels[i] >= 0;
  bool good = keep && data_keep(set, keep);
  free(keep);
  if (!good) {
    complain("out of memory for choosing the labelled images");
    return TOOL_FAILED;
  }
  return set->count ? TOOL_FINE : complain("--labelled leaves no image with a label");
}

/* Leaves the labels of the share of the images that --labelled says; the others get -1. */
static int drop_labels(train_run *run) {
  const train_settings *s = &run->settings;
  sample_set *set = &run->data;
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
    code = train_noise_open(run);
  if (code == TOOL_FINE)
    code = train_hash_data(&run->data, run->feed.labels != NULL, &run->data_hash);
  return code;
}

/* Refuses options about pictures that will not be drawn. */
static int check_pictures(const train_run *run) {
  static const char *const options[] = {"sample-every", "samples", "temperature"};
  for (size_t i = 0; i < sizeof options / sizeof *options && !run->pictures; i++)
    if (options_typed(&run->options, options[i]))
      return complain("--%s means nothing here: images of %lld channels cannot be shown",
                      options[i], (long long)run->data.channels);
  return TOOL_FINE;
}

static int make_results(train_run *run) {
  const train_settings *s = &run->settings;
  run->pictures = glow_model_bits(run->model) && !train_of_vectors(run) &&
                  (run->data.channels == 1 || run->data.channels == 3);
  if (!train_path(run, "log.jsonl", run->log_path))
    return TOOL_BAD;
  int code = check_pictures(run);
  if (code == TOOL_FINE)
    code = train_check_folder(run);
  if (code != TOOL_FINE)
    return code;
  progress_open(&run->progress, run->log_path, s->steps, s->report_every, s->json, s->quiet);
  if (ranks_several(&run->ranks))
    run->progress.terminal = false; /* launchers pass lines on */
  if (!ranks_first(&run->ranks))
    progress_mute(&run->progress);
  code = train_name_classes(run);
  return code == TOOL_FINE && run->resumed >= 0 ? train_resume_log(run) : code;
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
  if (run->data.condition)
    put_int(json, "conditions", run->data.condition);
  put_int(json, "bits", glow_model_bits(run->model));
  put_int(json, "classes", glow_model_class_count(run->model));
  if (s->conditional) {
    put_real(json, "labelled", s->labelled);
    put_real(json, "class_weight", s->class_weight);
  }
  if (s->from) {
    put_text(json, "from", s->from);
  } else {
    put_int(json, "levels", s->levels);
    put_int(json, "depth", s->depth);
    put_int(json, "hidden", s->hidden);
  }
  put_int(json, "parameters", glow_model_parameter_count(run->model));
  put_int(json, "workspace_bytes", (int64_t)memory);
  put_int(json, "steps", s->steps);
  put_int(json, "batch", s->batch);
  put_int(json, "micro_batch", s->micro_batch);
  put_int(json, "seed", s->seed);
  put_int(json, "threads", glow_context_workers(run->context));
  if (ranks_several(&run->ranks)) {
    put_int(json, "ranks", run->ranks.table.size);
    put_text(json, "sums", s->sums == GLOW_SUM_BFLOAT16 ? "bfloat16" : "float32");
  }
  put_text(json, "kernels", glow_context_kernels(run->context));
  put_text(json, "products", products_name(run->context));
  progress_event_close(&run->progress);
}

static int tell_start(train_run *run) {
  char parameters[32], bytes[32], test[64] = "", several[96] = "";
  uint64_t memory = glow_workspace_bytes(glow_trainer_workspace(run->trainer));
  if (run->test.count)
    snprintf(test, sizeof test, " and %lld to test", (long long)run->test.count);
  if (ranks_several(&run->ranks))
    snprintf(several, sizeof several, "%d ranks, and on each: ", (int)run->ranks.table.size);
  progress_tell(
      &run->progress,
      "%lld %s%s, %lld x %lld x %lld; %s parameters; %sworkspace of %s; %u thread%s, "
      "%s kernels%s",
      (long long)run->data.count, train_of_vectors(run) ? "rows" : "images", test,
      (long long)run->data.height, (long long)run->data.width, (long long)run->data.channels,
      short_count((double)glow_model_parameter_count(run->model), parameters), several,
      short_bytes((double)memory, bytes), glow_context_workers(run->context),
      glow_context_workers(run->context) == 1 ? "" : "s", glow_context_kernels(run->context),
      run->settings.products == GLOW_PRODUCTS_BFLOAT16 ? ", products in bfloat16" : "");
  if (run->resumed < 0 && run->settings.from)
    progress_tell(&run->progress, "starting from %s", run->settings.from);
  if (run->resumed >= 0)
    progress_tell(&run->progress, "going on after step %lld, from %s", (long long)run->resumed,
                  run->resumed_from);
  start_event(run, memory);
  return run->progress.failed;
}

static void end_event(train_run *run, double seconds, bool failed) {
  bool tested = run->tested == glow_trainer_step_count(run->trainer);
  json_writer *json = progress_event_open(&run->progress, "end");
  put_int(json, "step", glow_trainer_step_count(run->trainer));
  put_bool(json, "stopped", ranks_stop(&run->ranks));
  put_bool(json, "failed", failed);
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
                       ranks_stop(&run->ranks) ? "stopped" : "done", steps, duration(seconds, time),
                       run->state.bits_per_dim, test, run->settings.out);
  end_event(run, seconds, false);
}

/* ---- the run --------------------------------------------------------------------------------- */

static int train(train_run *run) {
  train_draw_data(run);
  int code = tell_start(run);
  if (code == TOOL_FINE)
    code = train_loop(run);
  if (code == TOOL_FINE)
    tell_end(run);
  else if (glow_trainer_step_count(run->trainer))
    end_event(run, now_seconds() - run->started, true);
  int written = progress_close(&run->progress);
  return code != TOOL_FINE ? code : written;
}

static int set_up(train_run *run) {
  int code = run->settings.from ? train_from(run) : TOOL_FINE;
  if (code == TOOL_FINE)
    code = load_sets(run);
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
    code = train_resume_memory(run);
  if (code == TOOL_FINE)
    code = make_feed(run);
  return code == TOOL_FINE ? train_resume_data(run) : code;
}

static int set_up_all(train_run *run) {
  int code = run->settings.resume ? train_choose_out(run) : TOOL_FINE;
  if (code == TOOL_FINE)
    code = train_open_folder(run);
  if (code == TOOL_FINE)
    code = run->settings.resume ? set_up_resumed(run) : set_up(run);
  return code == TOOL_FINE ? make_results(run) : code;
}

static int set_up_and_train(train_run *run) {
  int code = train_ranks_start(run, set_up_all(run));
  if (code != TOOL_FINE)
    return code;
  stop_install(!ranks_first(&run->ranks));
  run->started = now_seconds();
  return train(run);
}

/* Ranks end together: none has to wait for one that has ended. */
static int run_ranks(train_run *run, int code) {
  code = train_ranks_open(run, code);
  if (code == TOOL_FINE) {
    save_install();
    memory_limit(run->settings.max_memory);
    code = set_up_and_train(run);
    train_close_folder(run, code);
  }
  return ranks_agree(&run->ranks, code);
}

int command_train(int argc, char **argv) {
  train_run run;
  memset(&run, 0, sizeof run);
  run.lock.file = -1;
  run.saved = run.tested = run.sampled = run.checkpointed = run.resumed = -1;
  ranks_begin(&run.ranks);
  int code = train_parse(&run.options, &run.settings, argc, argv);
  if (code >= TOOL_FINE)
    code = run_ranks(&run, code);
  train_noise_close(&run);
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
  ranks_close(&run.ranks);
  return code < 0 ? TOOL_FINE : code;
}
