/* The batch of all ranks, on each of them, for an initialisation. Each rank writes its samples into
 * their place of a buffer of zeros, and the buffers are added up. The zeros are negative: -0 + v is
 * v, also where v is 0. SPDX-License-Identifier: MIT */
#include <string.h>

#include "host/model.h"
#include "train/collective.h"
#include "train/trainer.h"

/* A buffer of negative zeros for all samples; NULL, with the error recorded, if there is none. */
static float *make_zeros(glow_context *context, int64_t samples, int64_t size) {
  int64_t floats;
  if (!glow_size_multiply(samples, size, &floats) || floats > INT64_MAX / 64) {
    (void)glow_error(GLOW_E_MEMORY, "%lld samples of all ranks are too many", (long long)samples);
    return NULL;
  }
  float *zeros = glow_allocate(context, (size_t)floats * sizeof *zeros);
  for (int64_t i = 0; zeros && i < floats; i++)
    zeros[i] = -0.0f;
  return zeros;
}

static size_t gather_parameter_bytes(const glow_model *model) {
  return (size_t)model->parameter_count * sizeof(float);
}

static size_t gather_fixed_bytes(const glow_model *model) {
  return (size_t)model->fixed_count * 4;
}

/* ---- room ------------------------------------------------------------------------------------ */

static glow_status whole_labels(glow__whole *w, int64_t samples) {
  w->labels = glow_allocate(w->context, (size_t)samples * sizeof *w->labels);
  if (!w->labels)
    return GLOW_E_MEMORY;
  w->numbers = glow_allocate(w->context, (size_t)samples * sizeof *w->numbers);
  return w->numbers ? GLOW_OK : GLOW_E_MEMORY;
}

static glow_status whole_room(const glow_model *model, const glow_batch *b, int64_t samples,
                              glow__whole *w) {
  w->x = make_zeros(w->context, samples, model->dims);
  if (!w->x)
    return GLOW_E_MEMORY;
  if (b->condition)
    w->condition = make_zeros(w->context, samples, model->condition_size);
  if (b->condition && !w->condition)
    return GLOW_E_MEMORY;
  if (b->labels)
    GLOW_TRY(whole_labels(w, samples));
  w->kept =
      glow_allocate(w->context, gather_parameter_bytes(model) + gather_fixed_bytes(model) + 1);
  return w->kept ? GLOW_OK : GLOW_E_MEMORY;
}

void glow__whole_destroy(glow__whole *w) {
  glow_release(w->context, w->x);
  glow_release(w->context, w->condition);
  glow_release(w->context, w->labels);
  glow_release(w->context, w->numbers);
  glow_release(w->context, w->kept);
  *w = (glow__whole){.context = w->context};
}

/* ---- samples --------------------------------------------------------------------------------- */

/* One condition for each sample, where one is for all too. */
static void write_part(const glow_model *model, const glow_batch *b, const float *x, int64_t first,
                       glow__whole *w) {
  const int64_t size = model->condition_size;
  memcpy(w->x + first * model->dims, x, (size_t)(b->count * model->dims) * sizeof *x);
  for (int64_t n = 0; w->condition && n < b->count; n++)
    memcpy(w->condition + (first + n) * size,
           b->condition + (b->condition_count > 1 ? n * size : 0), (size_t)size * sizeof(float));
  for (int64_t n = 0; w->numbers && n < b->count; n++)
    w->numbers[first + n] = b->labels[n];
}

static glow_status sum_parts(glow__collective *c, const glow_model *model, int64_t samples,
                             const glow__whole *w) {
  GLOW_TRY(glow__collective_sum(c, w->x, samples * model->dims, GLOW_SUM_FLOAT32));
  if (w->condition)
    GLOW_TRY(
        glow__collective_sum(c, w->condition, samples * model->condition_size, GLOW_SUM_FLOAT32));
  if (w->numbers)
    GLOW_TRY(glow__collective_sum(c, w->numbers, samples, GLOW_SUM_FLOAT64));
  for (int64_t n = 0; w->numbers && n < samples; n++)
    w->labels[n] = (int32_t)w->numbers[n];
  return GLOW_OK;
}

/* All ranks give labels, or none; and conditions likewise. */
static glow_status check_alike(const glow_trainer *t) {
  static const char *const names[] = {"labels", "conditions"};
  for (int32_t r = 1; r < glow__trainer_ranks(t); r++)
    for (int i = 0; i < 2; i++)
      if (glow__trainer_told(t, r)[i] != glow__trainer_told(t, 0)[i])
        return glow_error(GLOW_E_ARGUMENT, "initialisation: rank %d gives %s%s, rank 0 %s", (int)r,
                          glow__trainer_told(t, r)[i] != 0.0 ? "" : "no ", names[i],
                          glow__trainer_told(t, 0)[i] != 0.0 ? "does" : "does not");
  return GLOW_OK;
}

glow_status glow__trainer_gather(glow_trainer *t, glow_status status, const glow__batch *batch,
                                 const float *x, const glow__joined *joined, glow__whole *w) {
  const glow_batch *b = &batch->given;
  const double values[2] = {b->labels != NULL, b->condition != NULL};
  if (status == GLOW_OK)
    status = whole_room(t->model, b, joined->count, w);
  GLOW_TRY(glow__trainer_tell(t, status, GLOW_CALL_INITIALISE, values, 2));
  GLOW_TRY(check_alike(t));
  write_part(t->model, b, x, joined->first, w);
  memcpy(w->kept, t->model->parameters, gather_parameter_bytes(t->model));
  memcpy((char *)w->kept + gather_parameter_bytes(t->model), t->model->fixed,
         gather_fixed_bytes(t->model));
  return sum_parts(t->collective, t->model, joined->count, w);
}
