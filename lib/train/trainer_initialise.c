/* First values from data, for the model of a trainer. SPDX-License-Identifier: MIT */
#include <string.h>

#include "host/model.h"
#include "host/outcome.h"
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

/* ---- on several ranks ------------------------------------------------------------------------ */

/* As they were before an initialisation that another rank has refused. */
static glow_status initialise_undo(glow_trainer *t, const glow__whole *w, bool initialised) {
  glow_model *model = t->model;
  size_t bytes = (size_t)model->parameter_count * sizeof(float);
  memcpy(model->parameters, w->kept, bytes);
  memcpy(model->fixed, (const char *)w->kept + bytes, (size_t)model->fixed_count * 4);
  model->initialised = initialised;
  return glow_model_prepare(model);
}

/* The whole is the same on all ranks, and so is what comes of it. */
static glow_status initialise_whole(glow_trainer *t, int64_t samples, const glow__whole *w) {
  glow__batch whole = {.given = GLOW_BATCH_INIT};
  const bool before = t->model->initialised;
  whole.given.count = samples;
  whole.given.labels = w->labels;
  whole.given.condition = w->condition;
  whole.given.condition_count = w->condition ? samples : 0;
  glow_status own = initialise_from(t, &whole, w->x);
  glow_status status = glow__trainer_agree(t, own, GLOW_CALL_INITIALISE);
  if (status != GLOW_OK && own == GLOW_OK)
    GLOW_TRY(initialise_undo(t, w, before));
  return status;
}

/* What is found here names the rank and its own sample. */
static glow_status initialise_check_part(glow_trainer *t, const glow__batch *b, const float *x) {
  glow__conditions kept;
  for (int64_t n = 0; n < b->given.count; n++)
    if (!glow__finite_floats(x + n * t->dims, t->dims))
      return glow_error(GLOW_E_NUMERIC, "input: sample %lld is not finite", (long long)n);
  glow__workspace_conditions(t->workspace, &kept);
  glow_status status = glow__batch_lend_conditions(b, 0, t->workspace);
  if (status == GLOW_OK)
    status = glow__check_conditions_finite(t->workspace, b->given.count);
  glow__workspace_set_conditions(t->workspace, &kept);
  return status;
}

static glow_status initialise_together(glow_trainer *t, glow_status status, const glow__batch *b,
                                       const float *x, glow__joined *joined) {
  glow__whole w = {.context = t->context};
  if (status == GLOW_OK)
    status = initialise_check_part(t, b, x);
  status = glow__trainer_gather(t, status, b, x, joined, &w);
  if (status == GLOW_OK)
    status = initialise_whole(t, joined->count, &w);
  glow__whole_destroy(&w);
  return status;
}

/* ---- from a batch ---------------------------------------------------------------------------- */

static glow_status initialise_any(glow_trainer *t, glow_status status, const glow__batch *b,
                                  const float *x, glow__joined *joined) {
  if (t->collective)
    return initialise_together(t, status, b, x, joined);
  return status == GLOW_OK ? initialise_from(t, b, x) : status;
}

static glow_status initialise_from_pixels(glow_trainer *t, const glow__batch *b,
                                          glow__joined *joined) {
  size_t elements = (size_t)b->given.count * (size_t)t->dims;
  uint64_t position = t->position + (uint64_t)joined->first * (uint64_t)t->dims;
  float *x = glow_allocate(t->context, elements * sizeof *x);
  glow_status status = x ? GLOW_OK : GLOW_E_MEMORY;
  if (status == GLOW_OK)
    status = glow_model_dequantise(t->model, b->given.pixels, b->given.count, t->options.seed,
                                   position, x);
  status = initialise_any(t, status, b, x, joined);
  glow_release(t->context, x);
  return status;
}

static glow_status initialise_read(const glow_trainer *t, const glow_batch *batch, glow__batch *b) {
  GLOW_TRY(glow__trainer_check_idle(t));
  GLOW_TRY(glow__batch_read(t->model, batch, b));
  if (b->given.weights)
    return glow_error(GLOW_E_ARGUMENT, "initialisation takes no weights: first values are "
                                       "statistics of the data as they are");
  return GLOW_OK;
}

glow_status glow_trainer_initialise_batch(glow_trainer *trainer, const glow_batch *batch) {
  GLOW_LIVE(trainer, TRAINER);
  glow__batch b = {.given = GLOW_BATCH_INIT};
  if (!trainer || !batch)
    return glow_error(GLOW_E_ARGUMENT, "glow_trainer_initialise_batch: NULL argument");
  glow_status status = initialise_read(trainer, batch, &b);
  glow__joined joined = {0, b.given.count, 0.0, 0.0};
  GLOW_TRY(glow__trainer_join(trainer, status, GLOW_CALL_INITIALISE, &joined));
  return b.given.pixels ? initialise_from_pixels(trainer, &b, &joined)
                        : initialise_any(trainer, GLOW_OK, &b, b.given.x, &joined);
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
