/* Between pixels of 8 bits and the data of a model of n = 2^bits levels, in [-1/2, 1/2).
 * Uniform dequantisation: Theis, van den Oord, Bethge, "A note on the evaluation of generative
 * models", 2016. SPDX-License-Identifier: MIT */
#include <math.h>

#include "host/host.h"
#include "train/train.h"

enum { BLOCK = 16384, RUN = 256 }; /* elements of a task, and of one draw of noise */

glow_status glow__batch_elements(const glow_model *model, int64_t count, int64_t *elements) {
  if (count < 1)
    return glow_error(GLOW_E_ARGUMENT, "a batch has %lld samples; 1 or more are needed",
                      (long long)count);
  if (!glow_size_multiply(count, glow_model_dims(model), elements) || *elements > INT64_MAX / 8)
    return glow_error(GLOW_E_LIMIT, "%lld samples of %lld elements are too many", (long long)count,
                      (long long)glow_model_dims(model));
  return GLOW_OK;
}

glow_status glow__check_pixels(const glow_model *model) {
  if (glow_model_bits(model) < 1 || glow_model_bits(model) > 8)
    return glow_error(GLOW_E_STATE, "the model is for continuous data (bits 0), not for pixels");
  return GLOW_OK;
}

typedef struct job {
  const uint8_t *pixels;
  uint8_t *pixels_out;
  const float *x;
  float *x_out;
  int64_t count;
  int32_t bits;
  uint64_t seed, position;
} job;

static int64_t end_of(const job *j, uint32_t task) {
  int64_t end = ((int64_t)task + 1) * BLOCK;
  return end < j->count ? end : j->count;
}

static glow_status pixels_run(const glow_model *model, job *j, glow_task_fn fn) {
  int64_t tasks = j->count / BLOCK + (j->count % BLOCK != 0);
  if (tasks > UINT32_MAX)
    return glow_error(GLOW_E_LIMIT, "%lld pixels are too many", (long long)j->count);
  glow_context_run(glow__model_context(model), (uint32_t)tasks, fn, j);
  return GLOW_OK;
}

/* n is a power of two, so the borders of bins are exact; but q + u may round up to the next bin. */
static float in_bin(int32_t q, float u, int32_t bits) {
  const float width = 1.0f / (float)(1 << bits);
  float x = (float)(((double)q + (double)u) * (double)width - 0.5);
  float end = (float)(q + 1) * width - 0.5f;
  return x < end ? x : nextafterf(end, -1.0f);
}

static void dequantise(void *arg, uint32_t task, uint32_t worker) {
  const job *j = arg;
  float noise[RUN];
  int64_t end = end_of(j, task);
  (void)worker;
  for (int64_t first = (int64_t)task * BLOCK; first < end; first += RUN) {
    int64_t count = end - first < RUN ? end - first : RUN;
    glow_random_uniform(j->seed, GLOW_STREAM_NOISE, j->position + (uint64_t)first, noise, count);
    for (int64_t i = 0; i < count; i++)
      j->x_out[first + i] = in_bin(j->pixels[first + i] >> (8 - j->bits), noise[i], j->bits);
  }
}

glow_status glow_model_dequantise(const glow_model *model, const uint8_t *pixels, int64_t count,
                                  uint64_t seed, uint64_t position, float *x) {
  GLOW_LIVE(model, MODEL);
  if (!model || !pixels || !x)
    return glow_error(GLOW_E_ARGUMENT, "glow_model_dequantise: NULL argument");
  job j = {.pixels = pixels,
           .x_out = x,
           .bits = glow_model_bits(model),
           .seed = seed,
           .position = position};
  GLOW_TRY(glow__check_pixels(model));
  GLOW_TRY(glow__batch_elements(model, count, &j.count));
  return pixels_run(model, &j, dequantise);
}

static void quantise(void *arg, uint32_t task, uint32_t worker) {
  const job *j = arg;
  const double n = (double)(1 << j->bits);
  int64_t end = end_of(j, task);
  (void)worker;
  for (int64_t i = (int64_t)task * BLOCK; i < end; i++) {
    double pixel = floor(((double)j->x[i] + 0.5) * n) * (256.0 / n);
    j->pixels_out[i] = pixel > 0.0 ? (uint8_t)(pixel < 255.0 ? pixel : 255.0) : 0; /* NaN: 0 */
  }
}

glow_status glow_model_quantise(const glow_model *model, const float *x, int64_t count,
                                uint8_t *pixels) {
  GLOW_LIVE(model, MODEL);
  if (!model || !pixels || !x)
    return glow_error(GLOW_E_ARGUMENT, "glow_model_quantise: NULL argument");
  job j = {.x = x, .pixels_out = pixels, .bits = glow_model_bits(model)};
  GLOW_TRY(glow__check_pixels(model));
  GLOW_TRY(glow__batch_elements(model, count, &j.count));
  return pixels_run(model, &j, quantise);
}
