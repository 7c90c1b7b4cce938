/* First values from data, for the model of a trainer. SPDX-License-Identifier: MIT */
#include "train/trainer.h"

/* With the conditions of the batch, which the workspace must not keep. */
static glow_status initialise_from(glow_trainer *t, const glow__batch *b, const float *x) {
  glow__conditions kept;
  glow__workspace_conditions(t->workspace, &kept);
  glow_status status = glow__batch_lend_conditions(b, 0, t->workspace);
  if (status == GLOW_OK)
    status = glow_workspace_initialise(t->workspace, t->model, x, b->given.labels, b->given.count);
  glow__workspace_set_conditions(t->workspace, &kept);
  return status;
}

static glow_status initialise_from_pixels(glow_trainer *t, const glow__batch *b) {
  size_t elements = (size_t)b->given.count * (size_t)t->dims;
  float *x = glow_allocate(t->context, elements * sizeof *x);
  if (!x)
    return GLOW_E_MEMORY;
  glow_status status = glow_model_dequantise(t->model, b->given.pixels, b->given.count,
                                             t->options.seed, t->position, x);
  if (status == GLOW_OK)
    status = initialise_from(t, b, x);
  glow_release(t->context, x);
  return status;
}

glow_status glow_trainer_initialise_batch(glow_trainer *trainer, const glow_batch *batch) {
  GLOW_LIVE(trainer, TRAINER);
  glow__batch b;
  if (!trainer || !batch)
    return glow_error(GLOW_E_ARGUMENT, "glow_trainer_initialise_batch: NULL argument");
  GLOW_TRY(glow__trainer_check_idle(trainer));
  GLOW_TRY(glow__batch_read(trainer->model, batch, &b));
  if (b.given.weights)
    return glow_error(GLOW_E_ARGUMENT, "initialisation takes no weights: first values are "
                                       "statistics of the data as they are");
  return b.given.pixels ? initialise_from_pixels(trainer, &b)
                        : initialise_from(trainer, &b, b.given.x);
}

glow_status glow_trainer_initialise(glow_trainer *trainer, const float *x, const int32_t *labels,
                                    int64_t count) {
  glow_batch batch = GLOW_BATCH_INIT;
  batch.count = count;
  batch.x = x;
  batch.labels = labels;
  return glow_trainer_initialise_batch(trainer, &batch);
}

glow_status glow_trainer_initialise_pixels(glow_trainer *trainer, const uint8_t *pixels,
                                           const int32_t *labels, int64_t count) {
  glow_batch batch = GLOW_BATCH_INIT;
  batch.count = count;
  batch.pixels = pixels;
  batch.labels = labels;
  return glow_trainer_initialise_batch(trainer, &batch);
}
