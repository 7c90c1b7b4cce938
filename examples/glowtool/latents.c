/* Encoding and decoding in batches of the workspace's size. SPDX-License-Identifier: MIT */
#include "latents.h"

#include <stdlib.h>
#include <string.h>

static int64_t batch_at(const opened_model *m, int64_t first, int64_t count) {
  return count - first < m->batch ? count - first : m->batch;
}

int encode_images(const opened_model *m, const image_set *set, int64_t count, uint64_t seed,
                  int32_t form, float *latents) {
  int64_t dims = glow_model_dims(m->model);
  bool classes = glow_model_class_count(m->model) != 0;
  float *x = malloc((size_t)m->batch * (size_t)dims * sizeof *x);
  glow_status status = x ? GLOW_OK : GLOW_E_MEMORY;
  for (int64_t first = 0; first < count && status == GLOW_OK; first += m->batch) {
    int64_t n = batch_at(m, first, count);
    status = glow_model_dequantise(m->model, set->pixels + first * dims, n, seed,
                                   (uint64_t)first * (uint64_t)dims, x);
    if (status == GLOW_OK)
      status = glow_workspace_forward(
          m->workspace, x, n,
          &(glow_forward_options){.struct_size = sizeof(glow_forward_options),
                                  .labels = classes ? set->labels + first : NULL,
                                  .form = form,
                                  .latents = latents + first * dims});
  }
  free(x);
  if (x)
    return status == GLOW_OK ? TOOL_FINE : complain_status(status, "encoding");
  complain("out of memory for batches of %lld images", (long long)m->batch);
  return TOOL_FAILED;
}

int decode_latents(const opened_model *m, const float *latents, int32_t form, const int32_t *labels,
                   int64_t count, uint8_t *pixels) {
  int64_t dims = glow_model_dims(m->model);
  float *x = malloc((size_t)m->batch * (size_t)dims * sizeof *x);
  glow_status status = x ? GLOW_OK : GLOW_E_MEMORY;
  for (int64_t first = 0; first < count && status == GLOW_OK; first += m->batch) {
    int64_t n = batch_at(m, first, count);
    status =
        glow_workspace_inverse(m->workspace, latents + first * dims, n,
                               &(glow_inverse_options){.struct_size = sizeof(glow_inverse_options),
                                                       .labels = labels ? labels + first : NULL,
                                                       .form = form},
                               x);
    if (status == GLOW_OK)
      status = glow_model_quantise(m->model, x, n, pixels + first * dims);
  }
  free(x);
  if (x)
    return status == GLOW_OK ? TOOL_FINE : complain_status(status, "decoding");
  complain("out of memory for batches of %lld images", (long long)m->batch);
  return TOOL_FAILED;
}

int keep_class(image_set *set, int64_t label, const char *what) {
  int64_t dims = set->height * set->width * set->channels, kept = 0;
  if (!set->labels)
    return complain("--%s: the images have no labels to choose class %lld by", what,
                    (long long)label);
  for (int64_t i = 0; i < set->count; i++)
    if (set->labels[i] == label) {
      memmove(set->pixels + kept * dims, set->pixels + i * dims, (size_t)dims);
      set->labels[kept++] = set->labels[i];
    }
  set->count = kept;
  return kept ? TOOL_FINE : complain("--%s: no image has class %lld", what, (long long)label);
}
