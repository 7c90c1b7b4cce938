/* What a training run leaves in its folder. Each file is written whole under another name and then
 * renamed. SPDX-License-Identifier: MIT */
#include <stdio.h>

#include "draw.h"
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

static int draw_loss(train_run *run) {
  char path[PATH_MAX], error[1024] = "";
  picture_series series[3];
  int64_t used = 0;
  const curve *curves[3] = {&run->train, &run->tests, &run->average_tests};
  static const char *const names[3] = {"train (running mean)", "test", "test (averaged weights)"};
  for (int i = 0; i < 3; i++)
    if (curves[i]->count)
      series[used++] = (picture_series){names[i], curves[i]->count, curves[i]->x, curves[i]->y};
  if (!used)
    return TOOL_FINE;
  if (!train_path(run, "loss.png", path))
    return TOOL_BAD;
  if (!picture_write_chart(path, "Bits per dimension", "step", "bits/dim", series, used, error,
                           sizeof error))
    return complain("%s", error);
  return TOOL_FINE;
}

int train_save(train_run *run) {
  int64_t step = glow_trainer_step_count(run->trainer);
  if (run->saved == step)
    return TOOL_FINE;
  int code = save_model(run, "model.safetensors");
  if (code == TOOL_FINE)
    code = save_average(run);
  if (code == TOOL_FINE)
    code = draw_loss(run);
  if (code == TOOL_FINE)
    run->saved = step;
  return code;
}

int train_draw_samples(train_run *run) {
  char path[PATH_MAX];
  const train_settings *s = &run->settings;
  glow_sample_options options = GLOW_SAMPLE_OPTIONS_INIT;
  int64_t step = glow_trainer_step_count(run->trainer);
  if (!run->pictures || run->sampled == step)
    return TOOL_FINE;
  if (!train_path(run, "samples.png", path))
    return TOOL_BAD;
  options.temperature = s->temperature;
  options.seed = (uint64_t)s->seed;
  int code = train_use_average(run, true);
  if (code != TOOL_FINE)
    return code;
  code = draw_grid(glow_trainer_workspace(run->trainer), run->model, s->micro_batch, &options, -1,
                   s->samples, 0, path);
  int back = train_use_average(run, false);
  if (code == TOOL_FINE)
    code = back;
  if (code == TOOL_FINE) {
    run->sampled = step;
    train_tell_file(run, "samples", path);
  }
  return code;
}

int train_draw_data(train_run *run) {
  char path[PATH_MAX], error[1024] = "";
  const image_set *d = &run->data;
  int64_t count = d->count < run->settings.samples ? d->count : run->settings.samples;
  if (!run->pictures)
    return TOOL_FINE;
  if (!train_path(run, "data.png", path))
    return TOOL_BAD;
  if (!picture_write_grid(path, count, d->height, d->width, d->channels,
                          grid_columns(count, glow_model_class_count(run->model)), d->pixels, error,
                          sizeof error))
    return complain("%s", error);
  return TOOL_FINE;
}
