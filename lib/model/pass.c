/* glow_pass: what a layer's function sees of the model and the workspace while it runs.
 * SPDX-License-Identifier: MIT */
#include "model/parts.h"

static bool add_aligned(int64_t *total, int64_t fixed, int64_t per_sample, int64_t capacity) {
  const int64_t unit = GLOW_ALIGN / (int64_t)sizeof(float);
  int64_t size = 0;
  if (!glow__mul(per_sample, capacity, &size) || !glow__add(size, fixed, &size) ||
      !glow__add(size, unit - 1, &size))
    return false;
  return glow__add(*total, size / unit * unit, total);
}

bool glow__regions_size(const glow__regions *regions, int64_t capacity, bool training,
                        int64_t *out) {
  *out = 0;
  for (int32_t i = 0; i < regions->count; i++) {
    const glow__region *r = &regions->at[i];
    if ((training || !r->backward) && !add_aligned(out, r->fixed, r->per_sample, capacity))
      return false;
  }
  return true;
}

int64_t glow__region_offset(const glow__regions *regions, int32_t id, int64_t capacity,
                            bool training) {
  int64_t offset = 0;
  for (int32_t i = 0; i < id; i++) {
    const glow__region *r = &regions->at[i];
    if (training || !r->backward)
      add_aligned(&offset, r->fixed, r->per_sample, capacity);
  }
  return offset;
}

enum { STAMP = GLOW_ALIGN / sizeof(float) }; /* floats that a stamp takes */

/* Where the packed region number `end` lies among those that are kept, or where all of them end. */
static bool kept_offset(const glow__regions *regions, int32_t end, bool training, int64_t *out) {
  *out = 0;
  for (int32_t i = 0; i < end; i++) {
    const glow__region *r = &regions->at[i];
    if (r->packed && (training || !r->backward) && !add_aligned(out, r->fixed, STAMP, 1))
      return false;
  }
  return true;
}

bool glow__packed_regions(const glow__node *node, bool training, int64_t *out) {
  if (glow__by_tasks(node))
    return kept_offset(&node->scratch, node->scratch.count, training, out);
  *out = 0; /* blocks run at the same time: each makes its own */
  return true;
}

static const glow__tensor *tensor_of(const glow_pass *pass, int32_t id) {
  if (!pass || id < 0 || id >= pass->node->tensors)
    return NULL;
  return &pass->model->tensors[pass->node->first_tensor + id];
}

int64_t glow_pass_samples(const glow_pass *pass) {
  return pass ? pass->samples : 0;
}

static void *tensor_data(const glow_pass *pass, int32_t id) {
  const glow__tensor *tensor = tensor_of(pass, id);
  if (!tensor)
    return NULL;
  return tensor->trainable ? (void *)(pass->model->parameters + tensor->offset)
                           : (void *)((float *)pass->model->fixed + tensor->offset);
}

const void *glow_pass_tensor(const glow_pass *pass, int32_t id) {
  return tensor_data(pass, id);
}

void *glow_pass_tensor_mutable(const glow_pass *pass, int32_t id) {
  return pass && pass->may_write ? tensor_data(pass, id) : NULL;
}

float *glow_pass_gradient(const glow_pass *pass, int32_t id) {
  const glow__tensor *tensor = tensor_of(pass, id);
  if (!tensor || !tensor->trainable || !pass->gradients)
    return NULL;
  return pass->gradients + (tensor->offset - pass->gradient_first);
}

/* A region that the pass has, or NULL. */
static const glow__region *scratch_region(const glow_pass *pass, int32_t id) {
  if (!pass || !pass->scratch || id < 0 || id >= pass->node->scratch.count)
    return NULL;
  const glow__region *region = &pass->node->scratch.at[id];
  return region->backward && !pass->training ? NULL : region;
}

static float *kept_region(const glow_pass *pass, int32_t id) {
  int64_t offset;
  kept_offset(&pass->node->scratch, id, pass->training, &offset);
  return pass->packed + offset + STAMP;
}

int32_t glow_pass_must_pack(const glow_pass *pass, int32_t id) {
  const glow__region *region = scratch_region(pass, id);
  if (!region || !region->packed || !pass->packed)
    return 1;
  glow__stamp *stamp = (glow__stamp *)(void *)(kept_region(pass, id) - STAMP);
  /* While parameters may be written, no version says what they are. */
  glow__stamp now = pass->may_write ? 0 : pass->model->version;
  bool made = now && *stamp == now;
  *stamp = now;
  return !made;
}

float *glow_pass_scratch(const glow_pass *pass, int32_t id) {
  const glow__region *region = scratch_region(pass, id);
  if (!region)
    return NULL;
  if (region->packed && pass->packed)
    return kept_region(pass, id);
  return pass->scratch +
         glow__region_offset(&pass->node->scratch, id, pass->capacity, pass->training);
}

float *glow_pass_worker_scratch(const glow_pass *pass, int32_t id, uint32_t worker) {
  if (!pass || !pass->worker_scratch || id < 0 || id >= pass->node->worker.count)
    return NULL;
  return pass->worker_scratch + (int64_t)worker * pass->worker_stride +
         glow__region_offset(&pass->node->worker, id, 0, true);
}

float *glow_pass_saved(const glow_pass *pass, int32_t id) {
  if (!pass || !pass->saved || id < 0 || id >= pass->node->saved.count)
    return NULL;
  return pass->saved + glow__region_offset(&pass->node->saved, id, pass->saved_capacity, true) +
         pass->first * pass->node->saved.at[id].per_sample;
}

int32_t glow_pass_saved_valid(const glow_pass *pass) {
  return pass && pass->saved_valid;
}

int32_t glow_pass_statistics(const glow_pass *pass) {
  return pass && pass->statistics ? pass->statistics : GLOW_STATISTICS_RUNNING;
}

float *glow_pass_observed(const glow_pass *pass, int32_t id) {
  const glow__tensor *tensor = tensor_of(pass, id);
  if (!tensor || !tensor->running || !pass->observed ||
      glow_pass_statistics(pass) == GLOW_STATISTICS_RUNNING)
    return NULL;
  return pass->observed + tensor->observed;
}

const void *glow_pass_derived(const glow_pass *pass) {
  return pass && pass->node->derived_bytes ? pass->model->derived + pass->node->derived_offset
                                           : NULL;
}

void *glow_pass_derived_mutable(const glow_pass *pass) {
  return pass ? pass->derived_mutable : NULL;
}

void *glow_pass_init_state(const glow_pass *pass) {
  return pass ? pass->init_state : NULL;
}

const int32_t *glow_pass_labels(const glow_pass *pass) {
  return pass ? pass->labels : NULL;
}

const float *glow_pass_context_vector(const glow_pass *pass, int64_t n) {
  return pass && pass->context && pass->node->conditioned ? pass->context + n * pass->context_step
                                                          : NULL;
}

float *glow_pass_context_gradient(const glow_pass *pass, int64_t n) {
  return pass && pass->d_context ? pass->d_context + n * pass->model->context_size : NULL;
}

int32_t glow_pass_latent_form(const glow_pass *pass) {
  return pass ? pass->form : 0;
}

float *glow_pass_latents(const glow_pass *pass) {
  return pass ? pass->latents : NULL;
}

int64_t glow_pass_latent_stride(const glow_pass *pass) {
  return pass ? pass->latent_stride : 0;
}

glow_context *glow_pass_context(const glow_pass *pass) {
  return pass ? pass->model->context : NULL;
}

const char *glow_pass_layer_name(const glow_pass *pass) {
  return pass ? pass->node->name : "";
}

void glow_pass_run(const glow_pass *pass, uint32_t tasks, glow_task_fn fn, void *arg) {
  glow__run(pass->model->context, tasks, fn, arg);
}
