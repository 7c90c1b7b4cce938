/* What a training run leaves in its folder. Each file is written whole under another name and then
 * renamed. SPDX-License-Identifier: MIT */
#include <stdio.h>
#include <stdlib.h>

#include "draw.h"
#include "files.h"
#include "picture.h"
#include "train.h"

bool train_path(const train_run *run, const char *name, char out[PATH_MAX]) {
  if (snprintf(out, PATH_MAX, "%s/%s", run->settings.out, name) < PATH_MAX)
    return true;
  complain("%s: the name is too long", run->settings.out);
  return false;
}

void train_tell_file(train_run *run, const char *event, const char *path) {
  json_writer *json = progress_event_open(&run->progress, event);
  put_int(json, "step", glow_trainer_step_count(run->trainer));
  put_text(json, "path", path);
  progress_event_close(&run->progress);
}

int train_use_average(train_run *run, bool use) {
  if (run->settings.ema <= 0.0)
    return TOOL_FINE;
  glow_status status = glow_trainer_use_average(run->trainer, use);
  return status == GLOW_OK ? TOOL_FINE : complain_status(status, "averaged weights");
}

static int save_model(train_run *run, const char *name) {
  char path[PATH_MAX];
  if (!train_path(run, name, path))
    return TOOL_BAD;
  glow_status status = glow_model_save(run->model, path);
  if (status != GLOW_OK)
    return complain_status(status, "saving the model");
  train_tell_file(run, "saved", path);
  return TOOL_FINE;
}

static int save_average(train_run *run) {
  if (run->settings.ema <= 0.0)
    return TOOL_FINE;
  int code = train_use_average(run, true);
  if (code != TOOL_FINE)
    return code;
  code = save_model(run, "model-average.safetensors");
  int back = train_use_average(run, false);
  return code != TOOL_FINE ? code : back;
}

/* A picture that cannot be written does not stop training. */
static void warn_of_picture(const char *error) {
  mention("warning: %s; training goes on without the picture", error);
}

static void draw_loss(train_run *run) {
  char path[PATH_MAX], error[1024] = "";
  picture_series series[3];
  int64_t used = 0;
  const curve *curves[3] = {&run->train, &run->tests, &run->average_tests};
  static const char *const names[3] = {"train (running mean)", "test", "test (averaged weights)"};
  for (int i = 0; i < 3; i++)
    if (curves[i]->count)
      series[used++] = (picture_series){names[i], curves[i]->count, curves[i]->x, curves[i]->y};
  if (used && train_path(run, "loss.png", path) &&
      !picture_write_chart(path, "Bits per dimension", "step", "bits/dim", series, used, error,
                           sizeof error))
    warn_of_picture(error);
}

int train_save(train_run *run) {
  int64_t step = glow_trainer_step_count(run->trainer);
  if (run->saved == step || !ranks_first(&run->ranks))
    return TOOL_FINE;
  int code = save_model(run, "model.safetensors");
  if (code == TOOL_FINE)
    code = save_average(run);
  if (code != TOOL_FINE)
    return code;
  draw_loss(run);
  run->saved = step;
  return TOOL_FINE;
}

static int draw_samples_with_average(train_run *run, const char *path) {
  const train_settings *s = &run->settings;
  glow_sample_options options = GLOW_SAMPLE_OPTIONS_INIT;
  options.temperature = s->temperature;
  options.seed = (uint64_t)s->seed;
  row_tally tally = {0};
  int code = train_use_average(run, true);
  if (code != TOOL_FINE)
    return code;
  code = draw_grid(glow_trainer_workspace(run->trainer), run->model, s->micro_batch, &options, -1,
                   s->samples, 0, path, &tally);
  tally_tell(&tally, "samples", DRAW_ADVICE, false);
  int back = train_use_average(run, false);
  return code != TOOL_FINE ? code : back;
}

void train_draw_samples(train_run *run) {
  char path[PATH_MAX];
  int64_t step = glow_trainer_step_count(run->trainer);
  if (!run->pictures || !ranks_first(&run->ranks) || run->sampled == step ||
      !train_path(run, "samples.png", path))
    return;
  run->sampled = step;
  if (draw_samples_with_average(run, path) == TOOL_FINE)
    train_tell_file(run, "samples", path);
  else
    warn_of_picture("the samples are not drawn");
}

static int read_pixels(const train_run *run, int64_t count, uint8_t *pixels) {
  const sample_set *d = &run->data;
  if (!d->floats)
    return read_samples(d, 0, count, pixels, NULL);
  float *x = malloc((size_t)count * data_bytes(d));
  int code = x ? read_samples(d, 0, count, x, NULL) : TOOL_FAILED;
  if (code == TOOL_FINE && glow_model_quantise(run->model, x, count, pixels) != GLOW_OK)
    code = TOOL_FAILED;
  free(x);
  return code;
}

void train_draw_data(train_run *run) {
  char path[PATH_MAX], error[1024] = "out of memory for data.png";
  const sample_set *d = &run->data;
  int64_t count = d->count < run->settings.samples ? d->count : run->settings.samples;
  if (!run->pictures || !ranks_first(&run->ranks) || !train_path(run, "data.png", path))
    return;
  uint8_t *pixels = malloc((size_t)(count * data_dims(d)));
  if (!pixels || read_pixels(run, count, pixels) != TOOL_FINE ||
      !picture_write_grid(path, count, d->height, d->width, d->channels,
                          grid_columns(count, glow_model_class_count(run->model)), pixels, error,
                          sizeof error))
    warn_of_picture(error);
  free(pixels);
}

/* ---- names of classes ------------------------------------------------------------------------ */

/* For names that a model cannot have: too much text, not UTF-8, or of several lines. */
static int write_classes(train_run *run, char path[PATH_MAX]) {
  new_file whole;
  const sample_set *d = &run->data;
  mention("warning: the model cannot have the names of its classes (%s); they are in classes.csv",
          glow_last_error());
  if (!train_path(run, "classes.csv", path))
    return TOOL_BAD;
  FILE *file = file_begin(path, &whole);
  if (!file)
    return TOOL_BAD;
  fputs("class,name\n", file);
  for (int32_t i = 0; i < d->classes; i++)
    fprintf(file, "%d,%s\n", i, d->class_names[i]);
  return file_end(file, path, &whole);
}

int train_name_classes(train_run *run) {
  char path[PATH_MAX] = "in the model", first[256], last[256];
  const sample_set *d = &run->data;
  int code = TOOL_FINE;
  if (!d->class_names || d->classes != glow_model_class_count(run->model))
    return TOOL_FINE;
  if (glow_model_set_class_names(run->model, (const char *const *)d->class_names, d->classes) !=
      GLOW_OK)
    code = write_classes(run, path);
  if (code == TOOL_FINE)
    progress_tell(&run->progress, "%d classes, from %s to %s: %s", (int)d->classes,
                  visible(d->class_names[0], first, sizeof first),
                  visible(d->class_names[d->classes - 1], last, sizeof last), path);
  return code;
}
