/* What the kit checks: a model of the caller's layer in a context like the caller's, the memory of
 * its runs, and random inputs and parameters. SPDX-License-Identifier: MIT */
#include <math.h>
#include <string.h>

#include "check/check.h"

/* ---- a context like the caller's ------------------------------------------------------------- */

static void *counted_alloc(size_t size, void *payload) {
  glow__check *c = payload;
  int64_t call = __atomic_add_fetch(&c->allocations, 1, __ATOMIC_RELAXED);
  void *block = NULL;
  if (call == c->fail_at)
    return NULL;
  block = c->context->allocator.allocate(size, c->context->allocator.payload);
  if (block)
    __atomic_add_fetch(&c->live, 1, __ATOMIC_RELAXED);
  else
    __atomic_store_n(&c->out_of_memory, true, __ATOMIC_RELAXED);
  return block;
}

static void counted_free(void *memory, void *payload) {
  glow__check *c = payload;
  __atomic_sub_fetch(&c->live, 1, __ATOMIC_RELAXED);
  c->context->allocator.release(memory, c->context->allocator.payload);
}

/* More workers than the executor has, so that a workspace has room for all that are tried. */
enum { WORKERS = 4 };

static void check_run_serially(void *payload, glow_task_fn fn, void *arg, uint32_t tasks) {
  (void)payload;
  for (uint32_t t = 0; t < tasks; t++)
    fn(arg, t, 0);
}

void glow__check_make_shadow(glow__check *c) {
  glow__context_like(c->context, &c->shadow);
  c->shadow.allocator = (glow_allocator){sizeof(glow_allocator), counted_alloc, counted_free, c};
  c->shadow.executor = (glow_executor){sizeof(glow_executor), WORKERS, 0, check_run_serially, NULL};
  glow__live_add(&c->shadow, GLOW_LIVE_CONTEXT);
}

/* ---- the model ------------------------------------------------------------------------------- */

static glow_status check_add_prior(const glow__check *c, glow_builder *builder) {
  glow_prior_options options = GLOW_PRIOR_OPTIONS_INIT;
  glow_layer *prior = NULL;
  glow_shape left;
  GLOW_TRY(glow_builder_shape(builder, &left));
  if (left.height == 0)
    return GLOW_OK;
  options.learned = 0;
  GLOW_TRY(glow_prior_create(c->context, &options, &prior));
  return glow_builder_add(builder, "prior", &prior);
}

/* Takes the layer over. */
glow_status glow__check_make_model(glow__check *c, glow_layer *layer) {
  glow_builder_options options = GLOW_BUILDER_OPTIONS_INIT;
  glow_builder *builder = NULL;
  options.bits = 0;
  glow_status status = glow_builder_create(c->context, &c->o.shape, &options, &builder);
  if (status != GLOW_OK) {
    glow_layer_destroy(&layer);
    return status;
  }
  status = glow_builder_add(builder, "layer", &layer);
  if (status == GLOW_OK)
    status = check_add_prior(c, builder);
  if (status == GLOW_OK)
    return glow_builder_finish(&builder, &c->model);
  glow_builder_destroy(&builder);
  return status;
}

/* Adds room behind every region, which nobody may write to. */
static void widen(glow__regions *regions, glow__region *room, glow__regions *declared) {
  *declared = (glow__regions){regions->count, room};
  if (regions->count)
    memcpy(room, regions->at, (size_t)regions->count * sizeof *room);
  for (int32_t i = 0; i < regions->count; i++)
    regions->at[i].fixed += GLOW_CHECK_GUARD;
}

/* ---- memory ---------------------------------------------------------------------------------- */

static size_t check_take(size_t *total, int64_t floats) {
  size_t at = *total;
  *total += ((size_t)floats * sizeof(float) + GLOW_ALIGN - 1) / GLOW_ALIGN * GLOW_ALIGN;
  return at;
}

/* One block for all arrays, each with guards. With base NULL, only the size is computed. */
static size_t lay_out(glow__check *c, unsigned char *base) {
  const int64_t guards = 2 * GLOW_CHECK_GUARD;
  int64_t saved = 0, parameters = c->model->parameter_count;
  size_t total = 0;
  glow__regions_size(&c->node->stored, c->wide, true, &saved);
#define TAKE(pointer, floats)                                                                      \
  do {                                                                                             \
    size_t at_ = check_take(&total, (floats) + guards);                                            \
    if (base)                                                                                      \
      (pointer) = (void *)(base + at_ + GLOW_CHECK_GUARD * sizeof(float));                         \
  } while (0)
  for (int i = 0; i < CHECK_ARRAYS; i++)
    TAKE(c->arrays[i], c->wide * c->dims);
  for (int i = 0; i < CHECK_DOUBLES; i++)
    TAKE(c->doubles[i], 2 * c->wide);
  for (int i = 0; i < 2; i++)
    TAKE(c->gradients[i], parameters);
  TAKE(c->base, parameters);
  TAKE(c->saved, saved);
  for (int i = 0; i < 4; i++)
    TAKE(c->vectors[i], c->wide * c->model->condition_size);
  for (int i = 0; i < 3; i++)
    TAKE(c->logits[i], c->wide * c->node->logits);
  TAKE(c->labels, c->wide);
  TAKE(c->suspects, c->node->tensors + 2);
  TAKE(c->jacobian, 2 * c->dims * c->dims);
#undef TAKE
  return total;
}

/* Two blocks of samples and a third one of a single sample if the layer is run by samples;
 * otherwise enough for several tasks. */
static int64_t wide_batch(const glow__check *c) {
  return glow__by_tasks(c->node) ? 2 * GLOW_CHECK_BATCH
                                 : 2 * ((GLOW_BLOCK_MIN + c->dims - 1) / c->dims) + 1;
}

glow_status glow__check_make_memory(glow__check *c) {
  glow_workspace_options options = GLOW_WORKSPACE_OPTIONS_INIT;
  glow__node *node = &c->model->nodes[0];
  c->node = node;
  c->dims = node->in_size;
  c->samples = c->span = c->o.batch;
  c->wide = wide_batch(c);
  widen(&node->scratch, c->regions[0], &c->declared[0]);
  widen(&node->worker, c->regions[1], &c->declared[1]);
  widen(&node->stored, c->regions[2], &c->declared[2]);
  c->model->context = &c->shadow;
  options.batch = c->wide;
  options.mode = GLOW_MODE_STORED;
  GLOW_TRY(glow_workspace_create(c->model, &options, &c->ws));
  c->shadow.executor.workers = 1;
  c->arena = glow_allocate(c->context, lay_out(c, NULL));
  if (!c->arena)
    return GLOW_E_MEMORY;
  lay_out(c, c->arena);
  if (!c->model->condition_size)
    return GLOW_OK;
  return glow_workspace_set_condition(c->ws, c->vectors[0], c->wide, c->model->condition_size);
}

void glow__check_free_all(glow__check *c) {
  glow_release(c->context, c->arena);
  glow_workspace_destroy(&c->ws);
  if (c->model)
    c->model->context = c->context;
  glow_model_destroy(&c->model);
  glow__live_remove(&c->shadow, GLOW_LIVE_CONTEXT);
}

/* ---- random values --------------------------------------------------------------------------- */

static void draw_uniform(glow__check *c, double low, double high, float *out, int64_t count) {
  glow_random_uniform(c->o.seed, GLOW_STREAM_USER, c->drawn, out, count);
  c->drawn += (uint64_t)count;
  for (int64_t i = 0; i < count; i++)
    out[i] = (float)(low + (high - low) * (double)out[i]);
}

void glow__check_draw_inputs(glow__check *c, uint64_t set) {
  c->drawn = set << 40;
  draw_uniform(c, c->o.low + GLOW_CHECK_MARGIN, c->o.high - GLOW_CHECK_MARGIN, c->arrays[CHECK_X],
               c->wide * c->dims);
  draw_uniform(c, c->o.low + GLOW_CHECK_MARGIN, c->o.high - GLOW_CHECK_MARGIN, c->arrays[CHECK_X2],
               c->wide * c->dims);
}

void glow__check_draw(glow__check *c) {
  int64_t numbers = c->wide * c->dims;
  glow__check_draw_inputs(c, 0);
  draw_uniform(c, -1, 1, c->arrays[CHECK_DY], numbers);
  draw_uniform(c, -1, 1, c->arrays[CHECK_DZ], numbers);
  draw_uniform(c, -1, 1, c->vectors[0], c->wide * c->model->condition_size);
  draw_uniform(c, -1, 1, c->logits[2], c->wide * c->node->logits);
  for (int64_t n = 0; n < c->wide; n++) {
    float u[3];
    draw_uniform(c, 0, 1, u, 3);
    c->doubles[CHECK_D_LOGDET][n] = 0.5 + (double)u[0];
    c->doubles[CHECK_D_LOGPRIOR][n] = 0.5 + (double)u[1];
    c->labels[n] = c->model->classes ? (int32_t)(u[2] * (float)c->model->classes) : 0;
    if (c->labels[n] >= c->model->classes)
      c->labels[n] = 0;
  }
}

/* Adds normal random values to all parameters, `times` the spread. */
bool glow__check_perturb(glow__check *c, double times) {
  int64_t count = c->model->parameter_count;
  float *moved = c->gradients[1];
  glow_random_normal(c->o.seed, GLOW_STREAM_USER, c->drawn, moved, count);
  c->drawn += (uint64_t)count;
  for (int64_t i = 0; i < count; i++)
    moved[i] = c->base[i] + (float)(times * c->o.spread) * moved[i];
  return glow__check_prepare(c, moved);
}
