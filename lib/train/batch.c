/* A batch as the caller gives it: copied, and checked before anything is done with it. Labels, and
 * whether samples and conditions are finite, are for the passes to check.
 * SPDX-License-Identifier: MIT */
#include <math.h>

#include "host/host.h"
#include "train/train.h"

static glow_status batch_check_samples(const glow_model *model, const glow_batch *b) {
  int64_t elements;
  if (!b->x == !b->pixels)
    return glow_error(GLOW_E_ARGUMENT, "glow_batch: %s; a batch has either x or pixels",
                      b->x ? "both x and pixels are given" : "x and pixels are NULL");
  if (b->pixels)
    GLOW_TRY(glow__check_pixels(model));
  return glow__batch_elements(model, b->count, &elements);
}

/* Adds up the weights. */
static glow_status batch_add_weights(glow__batch *batch) {
  const glow_batch *b = &batch->given;
  double sum = b->weights ? 0.0 : (double)b->count;
  for (int64_t i = 0; b->weights && i < b->count; i++) {
    if (!isfinite(b->weights[i]) || b->weights[i] < 0.0)
      return glow_error(GLOW_E_ARGUMENT, "weight %lld is %g; weights must be finite, and 0 or more",
                        (long long)i, b->weights[i]);
    sum += b->weights[i];
  }
  batch->weight_sum = sum;
  return GLOW_OK;
}

/* Only ratios of weights matter, so it is their mean that must be usable. An evaluation multiplies
 * squares of weights by squares of log-densities, and float latents have log-densities below 1e85,
 * so within these bounds nothing overflows. */
static const double least_weight = 1e-50, most_weight = 1e50;

glow_status glow__batch_set_whole(glow__batch *batch, int64_t first, int64_t total,
                                  double weight_sum) {
  batch->first = first;
  batch->total = total;
  batch->weight_sum = weight_sum;
  batch->mean_weight = weight_sum / (double)total;
  if (!(batch->mean_weight >= least_weight && batch->mean_weight <= most_weight))
    return glow_error(GLOW_E_ARGUMENT,
                      "%lld weights have a sum of %g; their mean must be from %g to %g",
                      (long long)total, weight_sum, least_weight, most_weight);
  return GLOW_OK;
}

glow_status glow__batch_read_part(const glow_model *model, const glow_batch *from,
                                  glow__batch *to) {
  *to = (glow__batch){.given = GLOW_BATCH_INIT};
  GLOW_TRY(glow__options_copy(&to->given, sizeof to->given, from, sizeof to->given, "glow_batch"));
  GLOW_TRY(batch_check_samples(model, &to->given));
  GLOW_TRY(glow__conditions_check("glow_batch", to->given.condition, to->given.condition_count,
                                  to->given.count));
  return batch_add_weights(to);
}

glow_status glow__batch_read(const glow_model *model, const glow_batch *from, glow__batch *to) {
  GLOW_TRY(glow__batch_read_part(model, from, to));
  return glow__batch_set_whole(to, 0, to->given.count, to->weight_sum);
}

double glow__batch_weight(const glow__batch *batch, int64_t sample) {
  return batch->given.weights ? batch->given.weights[sample] / batch->mean_weight : 1.0;
}

glow_status glow__batch_lend_conditions(const glow__batch *batch, int64_t first,
                                        glow_workspace *workspace) {
  return glow__conditions_lend(batch->given.condition, batch->given.condition_count, first,
                               workspace);
}
