/* What a training run takes of memory, all together, against --max-memory: told before the trainer
 * takes its part; and how many samples go through the model at a time where nobody has said it.
 * SPDX-License-Identifier: MIT */
#include <stdio.h>
#include <string.h>

#include "memory.h"
#include "tool.h"
#include "train.h"

/* Passes that the whole batch goes through at once take at most this by default, or half of what
 * --max-memory allows. The first is a constant, so that runs are the same on most machines. */
#define PASSES_BY_DEFAULT ((uint64_t)4 << 30)
enum { SMALL_BATCH = 16 };

static uint64_t bytes_of_passes(const train_run *run, const glow_trainer_options *trainer) {
  glow_workspace_options options = GLOW_WORKSPACE_OPTIONS_INIT;
  uint64_t bytes = 0;
  options.batch = trainer->micro_batch;
  options.mode = trainer->mode;
  options.memory_budget = trainer->memory_budget;
  options.drift_bound = trainer->drift_bound;
  options.cache_packed = trainer->cache_packed;
  if (glow_workspace_plan_bytes(run->model, &options, &bytes) != GLOW_OK)
    return 0; /* making the trainer says why */
  return bytes;
}

/* As many floats as parameters for each moment, and for the average. */
static uint64_t bytes_of_optimizer(const train_run *run, const glow_trainer_options *trainer) {
  bool sgd = trainer->optimizer && trainer->optimizer->kind == GLOW_OPTIMIZER_SGD;
  uint64_t vectors = (sgd ? 1 : 2) + (trainer->average ? 1 : 0);
  return vectors * (uint64_t)glow_model_parameter_count(run->model) * sizeof(float);
}

/* Batch normalisations see one micro-batch at a time: its size is part of what is learnt. */
static bool sees_micro_batches(const glow_model *model) {
  for (int32_t i = 0; i < glow_model_layer_count(model); i++)
    if (strcmp(glow_model_layer_type(model, i), "batchnorm") == 0)
      return true;
  return false;
}

int64_t train_choose_micro_batch(const train_run *run) {
  const int64_t size = run->ranks.table.size;
  const int64_t batch = (run->settings.batch + size - 1) / size; /* the largest part */
  glow_trainer_options options = train_trainer_options(&run->settings);
  uint64_t most = (uint64_t)memory_for_passes() / 2;
  if (most > PASSES_BY_DEFAULT)
    most = PASSES_BY_DEFAULT;
  if (options.memory_budget || sees_micro_batches(run->model))
    return batch < SMALL_BATCH ? batch : SMALL_BATCH;
  for (options.micro_batch = batch; options.micro_batch > 1;
       options.micro_batch = (options.micro_batch + 1) / 2) {
    uint64_t bytes = bytes_of_passes(run, &options);
    if (bytes && bytes <= most)
      break;
  }
  return options.micro_batch;
}

int train_check_memory(const train_run *run, const glow_trainer_options *options) {
  const uint64_t passes = bytes_of_passes(run, options), model = glow_model_bytes(run->model),
                 optimizer = bytes_of_optimizer(run, options),
                 data = (uint64_t)data_held(&run->data) + (uint64_t)data_held(&run->test);
  const uint64_t sum = passes + model + optimizer + data, most = (uint64_t)memory_for_passes();
  char texts[6][32];
  if (sum >= passes && sum <= most)
    return TOOL_FINE;
  return complain("the run takes %s of memory, more than the %s that --max-memory allows: %s for "
                  "micro-batches of %lld samples, %s for the model, %s for the optimizer%s, %s for "
                  "the data: choose smaller --micro-batch or --data-memory, or another limit",
                  short_bytes((double)sum, texts[0]), short_bytes((double)most, texts[1]),
                  short_bytes((double)passes, texts[2]), (long long)options->micro_batch,
                  short_bytes((double)model, texts[3]), short_bytes((double)optimizer, texts[4]),
                  options->average ? " and the average" : "", short_bytes((double)data, texts[5]));
}

int train_resume_memory(const train_run *run) {
  glow_trainer_options options = GLOW_TRAINER_OPTIONS_INIT;
  glow_status status = glow_trainer_get_options(run->trainer, &options);
  return status == GLOW_OK ? train_check_memory(run, &options) : complain_status(status, NULL);
}
