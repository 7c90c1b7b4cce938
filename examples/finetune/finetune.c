/* Goes on training a model that someone else has trained, on data of one's own, with parts of it
 * held: what was learnt from many data stays, and few data teach the rest.
 *
 *   finetune --model flow.safetensors --hold level0 --hold level1 --out mine.safetensors PICTURES
 *
 * The data are split at random. Training ends when the part that is held out has not become more
 * likely for a while, and the model is left as it was best. It is told what that part's bits/dim
 * were before and are now, and the tensors that were held are compared with what they were, bit by
 * bit. The model is any model file, an imported one too (glowtool import), or one whose tensors get
 * the values of a safetensors file by their names. SPDX-License-Identifier: MIT */
#include <glow/glow.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "samples.h"
#include "settings.h"

static void check(glow_status status, const char *doing) {
  if (status == GLOW_OK)
    return;
  fprintf(stderr, "finetune: %s: %s\n", doing, glow_last_error());
  exit(status == GLOW_E_NUMERIC || status == GLOW_E_MEMORY ? 1 : 2);
}

static void refuse(const char *message) {
  fprintf(stderr, "finetune: %s\n", message);
  exit(2);
}

/* ---- the model ------------------------------------------------------------------------------- */

static void print_note(int32_t what, const char *name, void *payload) {
  (void)payload;
  printf("%s: %s\n", what == GLOW_TENSOR_MISSING ? "not in the file" : "not in the model", name);
}

/* What the file lacks keeps its values. */
static void fill(glow_model *model, const char *path) {
  glow_fill_options o = GLOW_FILL_OPTIONS_INIT;
  glow_fill_report report = GLOW_FILL_REPORT_INIT;
  glow_input input = GLOW_INPUT_INIT;
  o.partial = 1;
  o.note = print_note;
  input.path = path;
  check(glow_model_fill(model, &input, &o, &report), path);
  if (!report.filled)
    refuse("--weights: no tensor of the file has the name of one of the model");
  printf("%lld tensors taken from %s, %lld kept\n", (long long)report.filled, path,
         (long long)report.missing);
}

static glow_model *open_model(glow_context *context, const settings *s) {
  glow_model *model = NULL;
  check(glow_model_load(context, s->model, &model), "loading the model");
  if (s->weights)
    fill(model, s->weights);
  return model;
}

/* ---- what is held ---------------------------------------------------------------------------- */

/* The values of all tensors, one after the other. */
typedef struct values {
  const glow_model *model;
  char *all;
} values;

static glow_tensor_info tensor_of(const glow_model *model, int32_t index) {
  glow_tensor_info info = GLOW_TENSOR_INFO_INIT;
  check(glow_model_tensor(model, index, &info), "looking at the tensors");
  return info;
}

static values take_values(const glow_model *model) {
  int32_t count = glow_model_tensor_count(model);
  size_t bytes = 0;
  for (int32_t i = 0; i < count; i++)
    bytes += 4 * (size_t)tensor_of(model, i).elements;
  values v = {model, malloc(bytes + 1)};
  if (!v.all)
    refuse("out of memory");
  bytes = 0;
  for (int32_t i = 0; i < count; i++) {
    glow_tensor_info info = tensor_of(model, i);
    check(glow_model_get_tensor(model, info.name, v.all + bytes, info.elements), info.name);
    bytes += 4 * (size_t)info.elements;
  }
  return v;
}

static void hold(glow_trainer *trainer, const settings *s, const glow_model *model) {
  int64_t left = 0;
  for (int32_t i = 0; i < s->holds; i++)
    check(glow_trainer_set_rate_factor(trainer, s->hold[i], 0.0), "--hold");
  for (int32_t i = 0; i < glow_model_tensor_count(model); i++) {
    glow_tensor_info info = tensor_of(model, i);
    if (info.trainable && glow_trainer_rate_factor(trainer, info.name) > 0.0)
      left += info.elements;
  }
  printf("%lld of %lld parameters are trained\n", (long long)left,
         (long long)glow_model_parameter_count(model));
  if (!left)
    refuse("--hold: nothing is left to train");
}

/* Have all tensors that were held the bits that they had? */
static void compare(const glow_trainer *trainer, const values *before) {
  values after = take_values(before->model);
  int64_t held = 0, elements = 0, changed = 0;
  size_t at = 0;
  for (int32_t i = 0; i < glow_model_tensor_count(before->model); i++) {
    glow_tensor_info info = tensor_of(before->model, i);
    size_t bytes = 4 * (size_t)info.elements;
    if (glow_trainer_rate_factor(trainer, info.name) == 0.0) {
      held++;
      elements += info.elements;
      changed += memcmp(before->all + at, after.all + at, bytes) != 0;
    }
    at += bytes;
  }
  free(after.all);
  printf("%lld tensors of %lld elements were held, %lld of them changed\n", (long long)held,
         (long long)elements, (long long)changed);
  if (changed)
    exit(1);
}

/* ---- training -------------------------------------------------------------------------------- */

static double evaluate(glow_trainer *trainer, const samples *data, const char *when) {
  glow_evaluation e = GLOW_EVALUATION_INIT;
  check(glow_evaluate(glow_trainer_workspace(trainer), &data->held_out.batch, 0, &e), when);
  printf("%s: %.4f +- %.4f bits/dim of %lld samples held out\n", when, e.bits_per_dim,
         e.bits_per_dim_error, (long long)e.count);
  return e.bits_per_dim;
}

static glow_status next(int64_t step, glow_batch *batch, void *payload) {
  samples *data = payload;
  (void)step;
  samples_next(data, batch->count);
  *batch = data->training.batch;
  return GLOW_OK;
}

static int32_t tell(const glow_step_report *report, void *payload) {
  const settings *s = payload;
  if (report->step % s->every == 0)
    fprintf(stderr, "step %lld: %.4f bits/dim\n", (long long)report->step, report->loss);
  return 0;
}

static void train(glow_trainer *trainer, samples *data, settings *s) {
  glow_run_options o = GLOW_RUN_OPTIONS_INIT;
  glow_run_report report = GLOW_RUN_REPORT_INIT;
  o.steps = s->steps;
  o.batch = s->batch;
  o.next = next;
  o.next_payload = data;
  o.progress = tell;
  o.progress_payload = s;
  o.held_out = &data->held_out.batch;
  o.evaluate_every = s->every;
  o.patience = s->patience;
  o.keep_best = 1;
  check(glow_trainer_run(trainer, &o, &report), "training");
  printf("%lld steps, best after step %lld%s\n", (long long)report.steps,
         (long long)report.best_step, report.stopped_early ? "; stopped early" : "");
}

static glow_trainer *make_trainer(glow_model *model, const settings *s) {
  glow_trainer_options o = GLOW_TRAINER_OPTIONS_INIT;
  glow_schedule schedule = GLOW_SCHEDULE_INIT;
  glow_trainer *trainer = NULL;
  schedule.rate = s->rate;
  o.schedule = &schedule;
  o.micro_batch = s->batch < 32 ? s->batch : 32;
  o.seed = (uint64_t)s->seed;
  check(glow_trainer_create(model, &o, &trainer), "making the trainer");
  return trainer;
}

/* A model that was filled in part may have layers that still wait for data. */
static void initialise(glow_trainer *trainer, const glow_model *model, samples *data,
                       const settings *s) {
  if (glow_model_initialised(model))
    return;
  samples_next(data, s->batch);
  check(glow_trainer_initialise_batch(trainer, &data->training.batch), "initialising");
}

/* Is it better than before? Only then it is saved. */
static bool run(glow_context *context, settings *s) {
  glow_model *model = open_model(context, s);
  glow_trainer *trainer = make_trainer(model, s);
  samples data;
  hold(trainer, s, model);
  samples_open(&data, context, model, s);
  initialise(trainer, model, &data, s);
  values before = take_values(model);
  double first = evaluate(trainer, &data, "before");
  train(trainer, &data, s);
  double last = evaluate(trainer, &data, "after");
  compare(trainer, &before);
  if (last < first)
    check(glow_model_save(model, s->out), "saving");
  else
    printf("the model is not saved: it is no better than before\n");
  free(before.all);
  samples_close(&data);
  glow_trainer_destroy(&trainer);
  glow_model_destroy(&model);
  return last < first;
}

int main(int argc, char **argv) {
  settings s = settings_parse(argc, argv);
  glow_context_options o = GLOW_CONTEXT_OPTIONS_INIT;
  glow_context *context = NULL;
  o.threads = (uint32_t)s.threads;
  check(glow_context_create(&o, &context), "making the context");
  bool better = run(context, &s);
  glow_context_destroy(&context);
  settings_free(&s);
  return better ? 0 : 1;
}
