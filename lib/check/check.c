/* glow_layer_check: makes a model of the layer, and runs one check after the other on it. What each
 * of them looks for is said in <glow/sys/check.h>. SPDX-License-Identifier: MIT */
#include "check/check.h"

#include <math.h>
#include <string.h>

/* ---- a context like the caller's ------------------------------------------------------------- */

static void *counted_alloc(size_t size, void *payload) {
  glow__check *c = payload;
  int64_t call = __atomic_add_fetch(&c->allocations, 1, __ATOMIC_RELAXED);
  void *block = NULL;
  if (call != c->fail_at)
    block = c->context->allocator.allocate(size, c->context->allocator.payload);
  if (block)
    __atomic_add_fetch(&c->live, 1, __ATOMIC_RELAXED);
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

static void make_shadow(glow__check *c) {
  c->shadow = *c->context;
  c->shadow.allocator = (glow_allocator){sizeof(glow_allocator), counted_alloc, counted_free, c};
  c->shadow.executor = (glow_executor){sizeof(glow_executor), WORKERS, 0, check_run_serially, NULL};
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
static glow_status make_model(glow__check *c, glow_layer *layer) {
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

static glow_status make_memory(glow__check *c) {
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

static void check_free_all(glow__check *c) {
  glow_release(c->context, c->arena);
  glow_workspace_destroy(&c->ws);
  if (c->model)
    c->model->context = c->context;
  glow_model_destroy(&c->model);
}

/* ---- random values --------------------------------------------------------------------------- */

static void draw_uniform(glow__check *c, double low, double high, float *out, int64_t count) {
  glow_random_uniform(c->o.seed, GLOW_STREAM_USER, c->drawn, out, count);
  c->drawn += (uint64_t)count;
  for (int64_t i = 0; i < count; i++)
    out[i] = (float)(low + (high - low) * (double)out[i]);
}

/* Differences move inputs by up to MARGIN. */
#define MARGIN 0x1p-4

void glow__check_draw_inputs(glow__check *c, uint64_t set) {
  c->drawn = set << 40;
  draw_uniform(c, c->o.low + MARGIN, c->o.high - MARGIN, c->arrays[CHECK_X], c->wide * c->dims);
  draw_uniform(c, c->o.low + MARGIN, c->o.high - MARGIN, c->arrays[CHECK_X2], c->wide * c->dims);
}

static void check_draw(glow__check *c) {
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
static bool perturb(glow__check *c, double times) {
  int64_t count = c->model->parameter_count;
  float *moved = c->gradients[1];
  glow_random_normal(c->o.seed, GLOW_STREAM_USER, c->drawn, moved, count);
  c->drawn += (uint64_t)count;
  for (int64_t i = 0; i < count; i++)
    moved[i] = c->base[i] + (float)(times * c->o.spread) * moved[i];
  return glow__check_prepare(c, moved);
}

/* ---- build ----------------------------------------------------------------------------------- */

static bool finite_parameters(glow__check *c, const char *when) {
  for (int32_t t = 0; t < c->model->tensor_count; t++) {
    const glow__tensor *tensor = &c->model->tensors[t];
    for (int64_t i = 0; tensor->trainable && i < tensor->elements; i++)
      if (!isfinite(c->model->parameters[tensor->offset + i])) {
        glow__check_fault(c, "tensor '%s' is not finite at element %lld %s",
                          tensor->name + strlen(c->node->name) + 1, (long long)i, when);
        return false;
      }
  }
  return true;
}

/* Initialises from data, with parameters that have been moved, so that the norms which are set fit
 * the layers around them. */
static bool check_initialise(glow__check *c) {
  if (!c->node->rounds)
    return true;
  if (perturb(c, 1) && glow_model_prepare(c->model) == GLOW_OK &&
      glow_workspace_initialise(c->ws, c->model, c->arrays[CHECK_X], c->labels, c->wide) == GLOW_OK)
    return true;
  glow__check_fault(c, "data-dependent initialisation: %s", glow_last_error());
  return false;
}

/* Parameters far out, for layers that say that they always prepare. */
enum { TRIES = 16 };

/* Leaves the parameters of all further checks in base. False: further checks make no sense. */
static bool check_build(glow__check *c) {
  size_t bytes = (size_t)c->model->parameter_count * sizeof(float);
  if (!finite_parameters(c, "as it is built"))
    return false;
  memcpy(c->base, c->model->parameters, bytes);
  if (!check_initialise(c) || !finite_parameters(c, "after data-dependent initialisation"))
    return false;
  memcpy(c->base, c->model->parameters, bytes);
  bool always = (glow__layer_flags(c->node->layer) & GLOW_LAYER_ALWAYS_PREPARES) != 0;
  for (int i = 0; always && i < TRIES; i++)
    if (!perturb(c, i % 2 ? 10 : 100)) {
      glow__check_fault(c, "GLOW_LAYER_ALWAYS_PREPARES is set, but prepare fails: %s",
                        glow_last_error());
      return false;
    }
  if (!perturb(c, 1)) {
    glow__check_fault(c, "parameters moved by %g: %s", c->o.spread, glow_last_error());
    return false;
  }
  memcpy(c->base, c->model->parameters, bytes);
  return glow_model_set_initialised(c->model) == GLOW_OK;
}

/* ---- all of it ------------------------------------------------------------------------------- */

typedef struct step {
  const char *name;
  void (*run)(glow__check *c);
} step;

static const step steps[] = {
    {"forward", glow__check_forwards},    {"inverse", glow__check_inverses},
    {"in place", glow__check_in_place},   {"log-det", glow__check_logdets},
    {"log-prior", glow__check_logpriors}, {"logits", glow__check_logits},
    {"gradients", glow__check_gradients}, {"backward", glow__check_backwards},
    {"threads", glow__check_threads},
};

static void begin_step(glow__check *c, const char *name) {
  c->name = name;
  c->in_step = 0;
}

static glow_status check_run_steps(glow__check *c) {
  begin_step(c, "build");
  check_draw(c);
  if (!check_build(c))
    return GLOW_OK;
  for (size_t i = 0; i < sizeof steps / sizeof *steps && !glow__check_over(c); i++) {
    begin_step(c, steps[i].name);
    steps[i].run(c);
    if (i == 0 && c->faults)
      return GLOW_OK; /* all others build on it */
  }
  if (glow__check_over(c))
    return GLOW_OK;
  begin_step(c, "save and load");
  glow__check_prepare(c, c->base);
  glow__model_ready(c->model);
  GLOW_TRY(glow__check_save(c));
  if (glow__check_over(c))
    return GLOW_OK;
  begin_step(c, "inference form");
  return glow__check_inference_form(c);
}

static glow_status check_options(const glow_check_options *o) {
  const glow_shape *s = &o->shape;
  if (o->batch < 2 || o->batch > GLOW_CHECK_BATCH || o->reserved)
    return glow_error(GLOW_E_ARGUMENT, "batch is %d; it must be 2 to %d", o->batch,
                      GLOW_CHECK_BATCH);
  if (s->height < 1 || s->width < 1 || s->channels < 1 || s->height > GLOW_CHECK_DIMS ||
      s->width > GLOW_CHECK_DIMS || s->channels > GLOW_CHECK_DIMS ||
      s->height * s->width * s->channels > GLOW_CHECK_DIMS)
    return glow_error(GLOW_E_ARGUMENT, "shape is %lld x %lld x %lld; it must have 1 to %d elements",
                      (long long)s->height, (long long)s->width, (long long)s->channels,
                      GLOW_CHECK_DIMS);
  if (!(o->high - o->low >= 4 * MARGIN) || !isfinite(o->high - o->low))
    return glow_error(GLOW_E_ARGUMENT, "inputs from [%g, %g]; the range must be %g or wider",
                      o->low, o->high, 4 * MARGIN);
  if (!(o->spread >= 0 && o->spread <= 1e6) || !(o->round_trip > 0) || !(o->logdet > 0) ||
      !(o->gradient > 0))
    return glow_error(GLOW_E_ARGUMENT, "spread must be 0 or more, and tolerances above 0");
  return GLOW_OK;
}

/* Takes the layer over. */
static glow_status check_layer(glow_context *context, glow_layer *layer,
                               const glow_check_options *o) {
  glow__check *c = glow_allocate(context, sizeof *c);
  if (!c) {
    glow_layer_destroy(&layer);
    return GLOW_E_MEMORY;
  }
  c->o = *o;
  c->context = context;
  make_shadow(c);
  glow_status status = make_model(c, layer);
  if (status == GLOW_OK)
    status = make_memory(c);
  if (status == GLOW_OK)
    status = check_run_steps(c);
  if (status == GLOW_OK && c->faults)
    status = glow_error(GLOW_E_CHECK, "%s", c->first);
  check_free_all(c);
  glow_release(context, c);
  return status;
}

glow_status glow_layer_check(glow_context *context, glow_layer **layer,
                             const glow_check_options *options) {
  glow_check_options o = GLOW_CHECK_OPTIONS_INIT;
  if (!layer || !*layer)
    return glow_error(GLOW_E_ARGUMENT, "glow_layer_check: no layer");
  glow_layer *taken = *layer;
  *layer = NULL;
  glow_status status =
      context ? glow__options_copy(&o, sizeof o, options, sizeof o, "glow_check_options")
              : glow_error(GLOW_E_ARGUMENT, "glow_layer_check: NULL argument");
  if (status == GLOW_OK)
    status = check_options(&o);
  if (status == GLOW_OK)
    return check_layer(context, taken, &o);
  glow_layer_destroy(&taken);
  return status;
}

glow_status glow_net_check(glow_context *context, glow_net **net,
                           const glow_check_options *options) {
  glow_check_options o = GLOW_CHECK_OPTIONS_INIT;
  glow_coupling_options coupling = GLOW_COUPLING_OPTIONS_INIT;
  glow_layer *layer = NULL;
  if (!net || !*net)
    return glow_error(GLOW_E_ARGUMENT, "glow_net_check: no net");
  glow_status status =
      context ? glow__options_copy(&o, sizeof o, options, sizeof o, "glow_check_options")
              : glow_error(GLOW_E_ARGUMENT, "glow_net_check: NULL argument");
  if (status != GLOW_OK) {
    glow_net_destroy(net);
    return status;
  }
  if (!glow_size_multiply(o.shape.channels, 2, &o.shape.channels))
    o.shape.channels = 0; /* refused below */
  coupling.scale = GLOW_SCALE_TANH;
  GLOW_TRY(glow_coupling_create(context, &coupling, net, &layer));
  return glow_layer_check(context, &layer, &o);
}
