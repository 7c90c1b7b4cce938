/* Gives all ranks the state of rank 0's trainer. SPDX-License-Identifier: MIT */
#include "host/model.h"
#include "train/collective.h"
#include "train/trainer.h"

static glow_status share_floats(glow__collective *c, void *floats, int64_t count) {
  if (!floats || !count)
    return GLOW_OK;
  return glow__collective_broadcast(c, floats, count * (int64_t)sizeof(float), 0);
}

static glow_status share_vectors(glow__collective *c, glow_trainer *t) {
  glow__trainer_vectors v;
  glow__trainer_vectors_of(t, &v);
  GLOW_TRY(share_floats(c, v.parameters, t->flat.count));
  GLOW_TRY(share_floats(c, t->model->fixed, t->model->fixed_count));
  GLOW_TRY(share_floats(c, v.m, t->flat.count));
  GLOW_TRY(share_floats(c, v.v, t->flat.count));
  return share_floats(c, v.average, t->flat.count);
}

/* As numbers of 64 bits, the same on all machines that a job may mix. */
typedef struct shared {
  glow__progress progress;
  int64_t initialised;
} shared;

static glow_status state_take(glow_trainer *t, const shared *s) {
  GLOW_TRY(glow_model_prepare(t->model));
  t->model->initialised = s->initialised != 0;
  return glow__trainer_set_progress(t, &s->progress);
}

glow_status glow__collective_share_state(glow__collective *c, glow_trainer *t) {
  shared s;
  glow__trainer_progress(t, &s.progress);
  s.initialised = t->model->initialised;
  GLOW_TRY(glow__collective_broadcast(c, &s, sizeof s, 0));
  GLOW_TRY(share_vectors(c, t));
  return glow__collective_tell(c, state_take(t, &s), GLOW_CALL_JOIN, NULL, 0);
}
