/* A run of steps whose batches a callback fills. SPDX-License-Identifier: MIT */
#include <stdio.h>
#include <string.h>

#include "train/trainer.h"

/* The callback's own error text, if it left one, comes after the number of the step. */
static glow_status next_batch(const glow_trainer *t, const glow__batch *room, glow_batch_fn next,
                              void *payload) {
  char before[1024];
  snprintf(before, sizeof before, "%s", glow_last_error());
  glow_status status = next(t->steps + 1, room->count, (uint8_t *)(uintptr_t)room->pixels,
                            (int32_t *)(uintptr_t)room->labels, payload);
  if (status == GLOW_OK)
    return GLOW_OK;
  if (status > 0)
    return glow_error(GLOW_E_ARGUMENT, "step %lld: the batch callback returned %d, not a status",
                      (long long)t->steps + 1, (int)status);
  if (strcmp(before, glow_last_error()) == 0)
    return glow_error(status, "step %lld: the batch callback failed: %s", (long long)t->steps + 1,
                      glow_status_text(status));
  return glow__error_prefix(status, "step %lld: the batch callback failed",
                            (long long)t->steps + 1);
}

static glow_status trainer_run_steps(glow_trainer *t, int64_t steps, const glow__batch *room,
                                     glow_batch_fn next, void *next_payload,
                                     glow_progress_fn progress, void *progress_payload) {
  for (int64_t i = 0; i < steps; i++) {
    glow_step_report report = GLOW_STEP_REPORT_INIT;
    GLOW_TRY(next_batch(t, room, next, next_payload));
    GLOW_TRY(glow__trainer_step_batch(t, room, &report));
    if (progress && progress(&report, progress_payload))
      return glow_error(GLOW_E_CANCELLED, "cancelled after step %lld", (long long)t->steps);
  }
  return GLOW_OK;
}

glow_status glow_trainer_run(glow_trainer *trainer, int64_t steps, int64_t samples,
                             glow_batch_fn next, void *next_payload, glow_progress_fn progress,
                             void *progress_payload) {
  GLOW_LIVE(trainer, TRAINER);
  int64_t elements;
  if (!trainer || !next)
    return glow_error(GLOW_E_ARGUMENT, "glow_trainer_run: NULL argument");
  if (steps < 0)
    return glow_error(GLOW_E_ARGUMENT, "glow_trainer_run: steps is %lld; it must be 0 or more",
                      (long long)steps);
  GLOW_TRY(glow__trainer_check_idle(trainer));
  GLOW_TRY(glow__check_pixels(trainer->model));
  GLOW_TRY(glow__batch_elements(trainer->model, samples, &elements));
  uint8_t *pixels = glow_allocate(trainer->context, (size_t)elements);
  int32_t *labels = NULL;
  if (!pixels)
    return GLOW_E_MEMORY;
  glow_status status = GLOW_OK;
  if (glow_model_class_count(trainer->model)) {
    labels = glow_allocate(trainer->context, (size_t)samples * sizeof *labels);
    status = labels ? GLOW_OK : GLOW_E_MEMORY;
  }
  const glow__batch room = {NULL, pixels, labels, samples};
  if (status == GLOW_OK)
    status =
        trainer_run_steps(trainer, steps, &room, next, next_payload, progress, progress_payload);
  glow_release(trainer->context, labels);
  glow_release(trainer->context, pixels);
  return status;
}
