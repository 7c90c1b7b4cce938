/* --noise: the samples of each step get new normal noise, so that the density learnt is that of
 * noisy samples. It is smoother, so it is learnt in fewer steps, and its mean is that of the
 * samples (Horvat and Pfister 2021, "Denoising normalizing flow"). The numbers belong to
 * the step, so a run that goes on draws those that it would have drawn.
 * SPDX-License-Identifier: MIT */
#include <stdlib.h>

#include "train.h"

enum { NOISE_SEED = 79 }; /* added to the seed, apart from those of the other parts of a run */

int train_noise_open(train_run *run) {
  train_noise *n = &run->noise;
  if (run->settings.noise == 0.0)
    return TOOL_FINE;
  glow_status status =
      glow_rng_create(run->context, (uint64_t)run->settings.seed + NOISE_SEED, &n->rng);
  if (status != GLOW_OK)
    return complain_status(status, NULL);
  n->x = malloc((size_t)(run->feed.most * run->feed.dims) * sizeof *n->x);
  n->normals = malloc((size_t)run->feed.dims * sizeof *n->normals);
  if (n->x && n->normals)
    return TOOL_FINE;
  complain("out of memory for batches of %lld images", (long long)run->feed.most);
  return TOOL_FAILED;
}

void train_noise_close(train_run *run) {
  glow_rng_destroy(&run->noise.rng);
  free(run->noise.x);
  free(run->noise.normals);
}

/* The samples themselves, to n->x: pixels with the noise inside their bins. */
static glow_status copy_samples(train_run *run, uint64_t position, const glow_batch *batch) {
  int64_t elements = batch->count * run->feed.dims;
  if (batch->pixels)
    return glow_model_dequantise(run->model, batch->pixels, batch->count,
                                 (uint64_t)run->settings.seed + NOISE_SEED, position, run->noise.x);
  for (int64_t i = 0; i < elements; i++)
    run->noise.x[i] = batch->x[i];
  return GLOW_OK;
}

int train_noise_add(train_run *run, int64_t step, int64_t first, glow_batch *batch) {
  train_noise *n = &run->noise;
  int64_t dims = run->feed.dims;
  uint64_t position = (uint64_t)step * (uint64_t)(run->feed.most * dims) + (uint64_t)(first * dims);
  if (!n->rng)
    return TOOL_FINE;
  glow_status status = copy_samples(run, position, batch);
  if (status == GLOW_OK)
    status = glow_rng_set_position(n->rng, position);
  for (int64_t k = 0; k < batch->count && status == GLOW_OK; k++) {
    status = glow_rng_normal(n->rng, n->normals, dims);
    for (int64_t i = 0; i < dims; i++)
      n->x[k * dims + i] += (float)run->settings.noise * n->normals[i];
  }
  batch->x = n->x;
  batch->pixels = NULL;
  return status == GLOW_OK ? TOOL_FINE : complain_status(status, "--noise");
}
