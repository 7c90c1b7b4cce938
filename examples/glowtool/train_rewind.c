/* Going back after a refused step. When the rate is too high, values overflow some steps after the
 * damage was done; so the run goes back to its last checkpoint and goes on with half the rate over
 * the same images. SPDX-License-Identifier: MIT */
#include <stdio.h>
#include <string.h>

#include "train.h"
#include "train_notes.h"

/* The rate is then 1/32 of what was asked for: something other than the rate is wrong. */
enum { MOST_REWINDS = 5 };

/* Replaces the model and the trainer by those of the checkpoint. */
static int load(train_run *run) {
  char name[64];
  glow_model *model = NULL;
  glow_trainer *trainer = NULL;
  snprintf(name, sizeof name, CHECKPOINT_FORMAT, (long long)run->checkpointed);
  if (!train_path(run, name, run->resumed_from))
    return TOOL_BAD;
  glow_status status = glow_checkpoint_load(run->context, run->resumed_from, &model, &trainer);
  if (status != GLOW_OK)
    return complain_status(status, "going back");
  glow_trainer_destroy(&run->trainer);
  glow_model_destroy(&run->model);
  run->model = model;
  run->trainer = trainer;
  run->resumed = run->checkpointed;
  return TOOL_FINE;
}

static int halve_rate(train_run *run) {
  run->settings.rate /= 2.0;
  glow_schedule schedule = train_schedule(&run->settings);
  glow_status status = glow_trainer_set_schedule(run->trainer, &schedule);
  return status == GLOW_OK ? TOOL_FINE : complain_status(status, "going back");
}

/* Bytes of the log up to the step that is gone back to. */
static int64_t kept_bytes(const train_run *run) {
  curve unused[3] = {{0}};
  int64_t kept = train_read_log(run->log_path, run->resumed, &unused[0], &unused[1], &unused[2]);
  for (int i = 0; i < 3; i++)
    curve_free(&unused[i]);
  return kept;
}

/* The log and the curves forget the steps that are made again, and so does what was saved. */
static int restore_log(train_run *run) {
  curve *const curves[] = {&run->train, &run->tests, &run->average_tests};
  run->saved = run->tested = run->sampled = -1;
  for (int i = 0; i < 3; i++)
    curve_cut(curves[i], (double)run->resumed);
  progress_flush(&run->progress);
  if (run->progress.begun)
    progress_rewind(&run->progress, kept_bytes(run));
  return train_restore_losses(run);
}

static void tell(train_run *run, int64_t refused) {
  json_writer *json = progress_event_open(&run->progress, "rewind");
  put_int(json, "step", run->resumed);
  put_int(json, "refused", refused);
  put_real(json, "lr", run->settings.rate);
  progress_event_close(&run->progress);
  mention("going back to step %lld and on with half the rate, --lr %g", (long long)run->resumed,
          run->settings.rate);
}

/* Those of rank 0, which wrote its checkpoint, are given to the others. */
static int load_on_ranks(train_run *run) {
  int code = ranks_agree(&run->ranks, load(run));
  return code == TOOL_FINE ? train_ranks_join(run) : code;
}

bool train_rewind(train_run *run) {
  int64_t refused = glow_trainer_step_count(run->trainer) + 1;
  if (run->settings.on_divergence != DIVERGENCE_REWIND)
    return false;
  int code = ranks_share(&run->ranks, &run->checkpointed, sizeof run->checkpointed);
  if (code != TOOL_FINE || run->checkpointed < 0)
    return false;
  if (run->rewinds == MOST_REWINDS) {
    mention("--on-divergence rewind: the rate has been halved %d times, and it is not enough",
            MOST_REWINDS);
    return false;
  }
  messages_forget(); /* the refusal has been told */
  if (load_on_ranks(run) != TOOL_FINE)
    return false;
  run->rewinds++;
  run->refused = false;
  code = halve_rate(run);
  if (code == TOOL_FINE)
    code = train_restore_place(run);
  if (code == TOOL_FINE)
    code = restore_log(run);
  if (code == TOOL_FINE)
    tell(run, refused);
  return code == TOOL_FINE;
}
