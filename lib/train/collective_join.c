/* Before a step: what all ranks give to it, and whether they are at the same point.
 * SPDX-License-Identifier: MIT */
#include "train/collective.h"
#include "train/trainer.h"

/* What a rank tells: the first three are added up, the others must be the same. */
enum { COUNT, WEIGHTS, LABELLED, STEPS, RATE, NORM, LOSS, HOOK, FACTORS, ALL };
static const char *const names[ALL] = {
    [STEPS] = "the number of steps made",
    [RATE] = "the learning rate",
    [NORM] = "the norm of the last step's gradient",
    [LOSS] = "whether a loss of the caller's is set",
    [HOOK] = "whether a gradient hook is set",
    [FACTORS] = "the checksum of the rate factors",
};

/* FNV-1a, of 52 bits: exact in a double. */
static double checksum(const void *bytes, size_t count) {
  uint64_t hash = 14695981039346656037u;
  for (size_t i = 0; i < count; i++)
    hash = (hash ^ ((const unsigned char *)bytes)[i]) * 1099511628211u;
  return (double)(hash >> 12);
}

static void tell_of(const glow_trainer *t, const glow__joined *own, double *values) {
  const glow__rates *rates = glow__optimizer_rates(t->optimizer);
  const size_t tensors = (size_t)glow_model_tensor_count(t->model);
  values[COUNT] = (double)own->count;
  values[WEIGHTS] = own->weights;
  values[LABELLED] = own->labelled;
  values[STEPS] = (double)t->steps;
  values[RATE] = glow_schedule_rate(&t->schedule, t->steps + 1);
  values[NORM] = t->collective ? t->collective->gradient_norm : 0.0;
  values[LOSS] = t->loss.fn != NULL;
  values[HOOK] = t->hook != NULL;
  values[FACTORS] =
      t->collective ? checksum(rates->factors, tensors * sizeof *rates->factors) : 0.0;
}

static glow_status check_same(const glow_trainer *t) {
  const double *first = glow__trainer_told(t, 0);
  for (int32_t r = 1; r < glow__trainer_ranks(t); r++)
    for (int32_t i = STEPS; i < ALL; i++)
      if (glow__trainer_told(t, r)[i] != first[i])
        return glow_error(GLOW_E_STATE, "rank %d and rank 0 differ in %s: %.9g, %.9g", (int)r,
                          names[i], glow__trainer_told(t, r)[i], first[i]);
  return GLOW_OK;
}

glow_status glow__trainer_join(glow_trainer *t, glow_status status, int32_t call,
                               glow__joined *joined) {
  double values[ALL];
  if (t->collective)
    t->collective->small_seconds = 0.0;
  tell_of(t, joined, values);
  GLOW_TRY(glow__trainer_tell(t, status, call, values, ALL));
  GLOW_TRY(check_same(t));
  *joined = (glow__joined){0, 0, 0.0, 0.0};
  for (int32_t r = 0; r < glow__trainer_ranks(t); r++) {
    const double *told = glow__trainer_told(t, r);
    if (t->collective && r == t->collective->table.rank)
      joined->first = joined->count;
    joined->count += (int64_t)told[COUNT];
    joined->weights += told[WEIGHTS];
    joined->labelled += told[LABELLED];
  }
  return GLOW_OK;
}
