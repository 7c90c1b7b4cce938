/* Before a step: what all ranks give to it, and whether they are at the same point.
 * SPDX-License-Identifier: MIT */
#include "train/collective.h"
#include "train/trainer.h"

/* What a rank tells: the first three are added up, the others must be the same. */
enum { COUNT, WEIGHTS, LABELLED, STEPS, RATE, LOSS, HOOK, FACTORS, PARAMETERS, ALL };
static const char *const names[ALL] = {
    [STEPS] = "the number of steps made",
    [RATE] = "the learning rate",
    [LOSS] = "whether a loss of the caller's is set",
    [HOOK] = "whether a gradient hook is set",
    [FACTORS] = "the checksum of the rate factors",
    [PARAMETERS] = "the checksum of the parameters",
};

/* FNV-1a (Fowler, Noll and Vo). */
static uint64_t hash_more(uint64_t hash, const void *bytes, size_t count) {
  for (size_t i = 0; i < count; i++)
    hash = (hash ^ ((const unsigned char *)bytes)[i]) * 1099511628211u;
  return hash;
}

/* 52 bits are exact in a double. */
static double checksum_of_factors(const glow_trainer *t) {
  const double *factors = glow__optimizer_rates(t->optimizer)->factors;
  const size_t tensors = (size_t)glow_model_tensor_count(t->model);
  return (double)(hash_more(14695981039346656037u, factors, tensors * sizeof *factors) >> 12);
}

/* Of about 1,000 of them: an update that differs does so nearly everywhere. */
static double checksum_of_parameters(const glow_trainer *t) {
  const float *parameters = glow_model_parameters(t->model);
  uint64_t hash = 14695981039346656037u;
  for (int64_t i = 0; i < t->flat.count; i += t->flat.count / 1000 + 1)
    hash = hash_more(hash, &parameters[i], sizeof parameters[i]);
  return (double)(hash >> 12);
}

static void tell_of(const glow_trainer *t, const glow__joined *own, double *values) {
  values[COUNT] = (double)own->count;
  values[WEIGHTS] = own->weights;
  values[LABELLED] = own->labelled;
  values[STEPS] = (double)t->steps;
  values[RATE] = glow_schedule_rate(&t->schedule, t->steps + 1);
  values[LOSS] = t->loss.fn != NULL;
  values[HOOK] = t->hook != NULL;
  values[FACTORS] = t->collective ? checksum_of_factors(t) : 0.0;
  values[PARAMETERS] = t->collective ? checksum_of_parameters(t) : 0.0;
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
