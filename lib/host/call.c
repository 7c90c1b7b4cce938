/* glow_call: what a layer's function sees of the model and the workspace while it runs.
 * SPDX-License-Identifier: MIT */
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include "host/call.h"

static bool add_aligned(int64_t *total, int64_t size) {
  const int64_t unit = GLOW_ALIGN / (int64_t)sizeof(float);
  return glow_size_add(size, unit - 1, &size) && glow_size_add(*total, size / unit * unit, total);
}

static bool add_region(int64_t *total, const glow__region *r, int64_t capacity) {
  int64_t size = 0;
  if (!glow_size_multiply(r->per_sample, capacity, &size))
    return false;
  if (r->block)
    return add_aligned(total, size < r->fixed ? size : r->fixed);
  return glow_size_add(size, r->fixed, &size) && add_aligned(total, size);
}

bool glow__regions_size(const glow__regions *regions, int64_t capacity, bool training,
                        int64_t *out) {
  *out = 0;
  for (int32_t i = 0; i < regions->count; i++) {
    const glow__region *r = &regions->at[i];
    if ((training || !r->backward) && !add_region(out, r, capacity))
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
      add_region(&offset, r, capacity);
  }
  return offset;
}

enum { STAMP = GLOW_ALIGN / sizeof(float) }; /* floats that a stamp takes */

/* Where packed region number `end` is among the cached ones, or where all of them end. */
static bool cached_offset(const glow__regions *regions, int32_t end, bool training, int64_t *out) {
  *out = 0;
  for (int32_t i = 0; i < end; i++) {
    const glow__region *r = &regions->at[i];
    if (r->packed && (training || !r->backward) && !add_aligned(out, r->fixed + STAMP))
      return false;
  }
  return true;
}

bool glow__packed_regions(const glow__node *node, bool training, int64_t *out) {
  if (glow__by_tasks(node))
    return cached_offset(&node->scratch, node->scratch.count, training, out);
  *out = 0; /* blocks run at the same time: each makes its own */
  return true;
}

static const glow__tensor *tensor_of(const glow_call *call, int32_t id) {
  if (!call || id < 0 || id >= call->node->tensors)
    return NULL;
  return &call->model->tensors[call->node->first_tensor + id];
}

int64_t glow_call_sample_count(const glow_call *call) {
  return call ? call->samples : 0;
}

static void *call_tensor_data(const glow_call *call, int32_t id) {
  const glow__tensor *tensor = tensor_of(call, id);
  if (!tensor)
    return NULL;
  return tensor->trainable ? (void *)(call->model->parameters + tensor->offset)
                           : (void *)((float *)call->model->fixed + tensor->offset);
}

const void *glow_call_tensor(const glow_call *call, int32_t id) {
  return call_tensor_data(call, id);
}

void *glow_call_tensor_mutable(const glow_call *call, int32_t id) {
  return call && call->may_write ? call_tensor_data(call, id) : NULL;
}

float *glow_call_gradient(const glow_call *call, int32_t id) {
  const glow__tensor *tensor = tensor_of(call, id);
  if (!tensor || !tensor->trainable || !call->gradients)
    return NULL;
  return call->gradients + (tensor->offset - call->gradient_first);
}

/* A region that the pass has, or NULL. */
static const glow__region *scratch_region(const glow_call *call, int32_t id) {
  if (!call || !call->scratch || id < 0 || id >= call->node->scratch.count)
    return NULL;
  const glow__region *region = &call->node->scratch.at[id];
  return region->backward && !call->training ? NULL : region;
}

static float *cached_region(const glow_call *call, int32_t id) {
  int64_t offset;
  cached_offset(&call->node->scratch, id, call->training, &offset);
  return call->packed + offset + STAMP;
}

int32_t glow_call_must_pack(const glow_call *call, int32_t id) {
  const glow__region *region = scratch_region(call, id);
  if (!region || !region->packed || !call->packed)
    return 1;
  glow__stamp *stamp = (glow__stamp *)(void *)(cached_region(call, id) - STAMP);
  /* While parameters may be written, no version describes them. */
  glow__stamp now = call->may_write ? 0 : call->model->version;
  bool made = now && *stamp == now;
  *stamp = now;
  return !made;
}

float *glow_call_scratch(const glow_call *call, int32_t id) {
  const glow__region *region = scratch_region(call, id);
  if (!region)
    return NULL;
  if (region->packed && call->packed)
    return cached_region(call, id);
  return call->scratch +
         glow__region_offset(&call->node->scratch, id, call->capacity, call->training);
}

float *glow_call_worker_scratch(const glow_call *call, int32_t id, uint32_t worker) {
  if (!call || !call->worker_scratch || id < 0 || id >= call->node->worker.count)
    return NULL;
  return call->worker_scratch + (int64_t)worker * call->worker_stride +
         glow__region_offset(&call->node->worker, id, 0, true);
}

float *glow_call_stored(const glow_call *call, int32_t id) {
  if (!call || !call->stored || id < 0 || id >= call->node->stored.count)
    return NULL;
  return call->stored + glow__region_offset(&call->node->stored, id, call->stored_capacity, true) +
         call->first * call->node->stored.at[id].per_sample;
}

int32_t glow_call_stored_valid(const glow_call *call) {
  return call && call->stored_valid;
}

int32_t glow_call_statistics(const glow_call *call) {
  return call && call->statistics ? call->statistics : GLOW_STATISTICS_RUNNING;
}

float *glow_call_observed(const glow_call *call, int32_t id) {
  const glow__tensor *tensor = tensor_of(call, id);
  if (!tensor || !tensor->running || !call->observed ||
      glow_call_statistics(call) == GLOW_STATISTICS_RUNNING)
    return NULL;
  return call->observed + tensor->observed;
}

/* The part whose derived values the call sees; NULL if it has none. */
static const glow__part *derived_part(const glow_call *call) {
  if (!call)
    return NULL;
  const glow__part *part = call->part ? call->part : &call->node->layer->part;
  return part->derived_bytes ? part : NULL;
}

static void *derived_values(const glow_call *call, const glow__part *part) {
  return call->model->derived + call->node->derived_offset + part->derived_offset;
}

const void *glow_call_derived(const glow_call *call) {
  const glow__part *part = derived_part(call);
  return part ? derived_values(call, part) : NULL;
}

void *glow_call_derived_mutable(const glow_call *call) {
  const glow__part *part = derived_part(call);
  return part && call->prepares ? derived_values(call, part) : NULL;
}

void *glow_call_initialise_state(const glow_call *call) {
  return call ? call->initialise_state : NULL;
}

const int32_t *glow_call_labels(const glow_call *call) {
  return call ? call->labels : NULL;
}

const float *glow_call_condition(const glow_call *call, int64_t n) {
  return call && call->condition && call->node->conditioned
             ? call->condition + n * call->condition_step
             : NULL;
}

float *glow_call_condition_gradient(const glow_call *call, int64_t n) {
  return call && call->d_condition ? call->d_condition + n * call->model->condition_size : NULL;
}

int32_t glow_call_latent_form(const glow_call *call) {
  return call ? call->form : 0;
}

float *glow_call_latents(const glow_call *call) {
  return call ? call->latents : NULL;
}

int64_t glow_call_latent_stride(const glow_call *call) {
  return call ? call->latent_stride : 0;
}

glow_context *glow_call_context(const glow_call *call) {
  return call ? call->model->context : NULL;
}

const char *glow_call_layer_name(const glow_call *call) {
  return call ? call->node->name : "";
}

void glow_call_run(const glow_call *call, uint32_t tasks, glow_task_fn fn, void *arg) {
  glow_context_run(call->model->context, tasks, fn, arg);
}

/* ---- failures -------------------------------------------------------------------------------- */

/* A lock, held only while a short text is copied. */
static void lock(glow__failure *failure) {
  while (__atomic_exchange_n(&failure->lock, 1, __ATOMIC_ACQUIRE)) {
  }
}

static void unlock(glow__failure *failure) {
  __atomic_store_n(&failure->lock, 0, __ATOMIC_RELEASE);
}

void glow__failure_note(glow__failure *failure, const glow__failure *other) {
  lock(failure);
  failure->fresh = true;
  if (!failure->failed || other->sample < failure->sample) {
    failure->failed = true;
    failure->status = other->status;
    failure->sample = other->sample;
    failure->layer = other->layer;
    memcpy(failure->text, other->text, sizeof failure->text);
  }
  unlock(failure);
}

/* Several tasks may work on one sample. */
static void mark_failed(const glow_call *call, int64_t first, int64_t end) {
  for (int64_t n = first; n < end; n++)
    __atomic_store_n(&call->statuses[call->first + n], GLOW_E_NUMERIC, __ATOMIC_RELAXED);
}

void glow_call_fail(const glow_call *call, int64_t n, const char *format, ...) {
  glow__failure own = {.status = GLOW_E_NUMERIC};
  va_list arguments;
  if (!call || !call->failure)
    return;
  own.layer = call->node->name;
  bool known = n >= 0 && n < call->samples;
  own.sample = call->row + call->first + (known ? n : 0);
  int used = snprintf(own.text, sizeof own.text,
                      "layer '%.128s': the inverse of sample %lld: ", call->node->name,
                      (long long)own.sample);
  va_start(arguments, format);
  vsnprintf(own.text + used, sizeof own.text - (size_t)used, format, arguments);
  va_end(arguments);
  mark_failed(call, known ? n : 0, known ? n + 1 : call->samples);
  glow__failure_note(call->failure, &own);
}
