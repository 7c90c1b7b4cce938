/* SGD with momentum, Adam and Adamax (Kingma and Ba 2015), with decoupled weight decay (Loshchilov
 * and Hutter 2019). With gradient g, state m, v, step number t and rate r, all starting with
 * p <- (1 - r decay) p:
 *   SGD      m <- b1 m + g;              p <- p - r m
 *   Adam     m <- m + (1 - b1)(g - m);   v <- b2 v + (1 - b2) g^2;
 *            p <- p - r / (1 - b1^t) m / (sqrt(v) / sqrt(1 - b2^t) + eps)
 *   Lion     p <- p - r sign(b1 m + (1 - b1) g);  m <- b2 m + (1 - b2) g     (Chen et al. 2023)
 *   Adamax   m as Adam;                  v <- max(b2 v, |g| + eps);  p <- p - r / (1 - b1^t) m / v
 *
 * The rate r is that of a tensor: the step's times the tensor's factor. What is held is left alone.
 *
 * A step is all or nothing without a copy of parameters and state. First each layer whose prepare
 * may fail is tried: its new parameters are put in place, the layer prepares them, and the old ones
 * are put back from a buffer of one layer's size. Only when all layers have succeeded do parameters
 * and state move for good, computed by the same code from the same values, so that what was
 * prepared fits them bit for bit. Clipping before and the average after are part of that one pass,
 * which reads and writes each vector once. SPDX-License-Identifier: MIT */
#include <math.h>
#include <string.h>

#include "host/workspace.h"
#include "train/rates.h"
#include "train/train.h"

enum { BLOCK = 1024, SERIAL_BELOW = 65536, MAX_SLOTS = 64 };

/* The buffer of old parameters, cut into places for one layer each: as many layers are tried at a
 * time. */
typedef struct slots {
  uint32_t count;
  int64_t size; /* parameters */
} slots;

struct glow_optimizer {
  glow_context *context;
  glow_model *model;
  glow_optimizer_options options;
  int64_t steps;
  glow__flat flat;
  glow__rates rates;
  float *m;            /* flat vectors as long as the parameters */
  float *v;            /* NULL for SGD and Lion */
  bool lent;           /* the caller has had the state in hand, and may have written anything */
  float *kept;         /* old parameters of the layers being tried */
  slots any, fallible; /* for the largest layer; for the largest one whose prepare may fail */
  glow__note *notes;   /* of the checkpoint that it was loaded from */
};

/* ---- the formulas, on one block -------------------------------------------------------------- */

typedef struct factors {
  int32_t kind;
  float keep;          /* 1 - rate decay */
  float rate;          /* with the correction of m's bias */
  double of_step;      /* the rate of the step, */
  double correction;   /* that of m's bias, */
  double weight_decay; /* and the decay, from which both follow for each tensor */
  float beta1, rest1, beta2, rest2, epsilon;
  float root; /* sqrt(1 - beta2^t) */
  float clip_value, scale;
} factors;

typedef struct block {
  float p[BLOCK], m[BLOCK], v[BLOCK];
} block;

static bool has_v(int32_t kind) {
  return kind == GLOW_OPTIMIZER_ADAM || kind == GLOW_OPTIMIZER_ADAMAX;
}

static factors make_factors(const glow_optimizer *o, const glow__update *u) {
  const glow_optimizer_options *c = &o->options;
  double t = (double)(o->steps + 1);
  factors f = {.kind = c->kind,
               .of_step = u->rate,
               .correction = 1.0,
               .weight_decay = c->weight_decay,
               .beta1 = (float)c->beta1,
               .rest1 = (float)(1.0 - c->beta1),
               .beta2 = (float)c->beta2,
               .rest2 = (float)(1.0 - c->beta2),
               .epsilon = (float)c->epsilon,
               .root = (float)sqrt(1.0 - pow(c->beta2, t)),
               .clip_value = u->clip_value,
               .scale = u->scale};
  if (has_v(c->kind))
    f.correction = 1.0 - pow(c->beta1, t);
  return f;
}

static void set_rate(factors *f, double factor) {
  double rate = f->of_step * factor;
  f->keep = (float)(1.0 - rate * f->weight_decay);
  f->rate = (float)(rate / f->correction);
}

static inline float clipped(const factors *f, float gradient) {
  return f->scale * glow__clamp(gradient, f->clip_value);
}

/* Not inlined: trying and moving must run the same instructions. */
__attribute__((noinline)) static void update(const factors *f, int64_t count, const float *p,
                                             const float *m, const float *v, const float *gradients,
                                             block *restrict out) {
  switch (f->kind) {
  case GLOW_OPTIMIZER_SGD:
    for (int64_t i = 0; i < count; i++) {
      out->m[i] = f->beta1 * m[i] + clipped(f, gradients[i]);
      out->p[i] = f->keep * p[i] - f->rate * out->m[i];
    }
    break;
  case GLOW_OPTIMIZER_ADAM:
    for (int64_t i = 0; i < count; i++) {
      float g = clipped(f, gradients[i]);
      out->m[i] = m[i] + f->rest1 * (g - m[i]);
      out->v[i] = f->beta2 * v[i] + f->rest2 * g * g;
      float denominator = sqrtf(out->v[i]) / f->root + f->epsilon;
      out->p[i] = f->keep * p[i] - f->rate * out->m[i] / denominator;
    }
    break;
  case GLOW_OPTIMIZER_LION:
    for (int64_t i = 0; i < count; i++) {
      float g = clipped(f, gradients[i]), c = f->beta1 * m[i] + f->rest1 * g;
      out->m[i] = f->beta2 * m[i] + f->rest2 * g;
      out->p[i] = f->keep * p[i] - f->rate * (float)((c > 0.0f) - (c < 0.0f));
    }
    break;
  default:
    for (int64_t i = 0; i < count; i++) {
      float g = clipped(f, gradients[i]), decayed = f->beta2 * v[i], now = fabsf(g) + f->epsilon;
      out->m[i] = m[i] + f->rest1 * (g - m[i]);
      out->v[i] = decayed > now ? decayed : now;
      out->p[i] = f->keep * p[i] - f->rate * out->m[i] / out->v[i];
    }
  }
}

/* Finite or not, by the bits, which compilers turn into vector code. */
static bool optimizer_all_finite(const float *x, int64_t count) {
  uint32_t bad = 0;
  for (int64_t i = 0; i < count; i++) {
    uint32_t bits;
    memcpy(&bits, &x[i], sizeof bits);
    bad |= (bits & 0x7F800000u) == 0x7F800000u;
  }
  return !bad;
}

/* ---- a layer at a time ----------------------------------------------------------------------- */

typedef struct job {
  glow_optimizer *optimizer;
  const glow__update *update;
  factors factors;
  slots slots;    /* trying */
  int32_t failed; /* trying: first layer that failed, or the number of layers */
  bool large;     /* gradients or factors so large that an update might overflow */
} job;

/* Updates from element `at` on: those of one rate, at most a block of them, and none past `end`.
 * Returns how many; *held: they stay, and *out is not written. */
static int64_t update_at(const job *j, int64_t at, int64_t end, block *out, bool *held) {
  const glow_optimizer *o = j->optimizer;
  factors f = j->factors;
  int64_t same;
  double factor = glow__rates_at(&o->rates, at, &same);
  int64_t until = same < end ? same : end;
  *held = factor == 0.0;
  if (*held)
    return until - at;
  int64_t count = until - at < BLOCK ? until - at : BLOCK;
  set_rate(&f, factor);
  update(&f, count, o->model->parameters + at, o->m + at, o->v ? o->v + at : NULL,
         j->update->gradients + at, out);
  return count;
}

/* Puts the new parameters in place. False if an element is not finite. */
static bool optimizer_place(const job *j, const glow__node *node) {
  block out;
  bool finite = true, held;
  int64_t end = node->first_parameter + node->parameters, count;
  for (int64_t at = node->first_parameter; at < end; at += count) {
    count = update_at(j, at, end, &out, &held);
    if (held)
      continue;
    finite &= optimizer_all_finite(out.p, count) && optimizer_all_finite(out.m, count);
    finite &= !j->optimizer->v || optimizer_all_finite(out.v, count);
    memcpy(j->optimizer->model->parameters + at, out.p, (size_t)count * sizeof *out.p);
  }
  return finite;
}

static glow_status try_layer(const job *j, const glow__node *node, float *kept) {
  glow_model *model = j->optimizer->model;
  float *parameters = model->parameters + node->first_parameter;
  size_t bytes = (size_t)node->parameters * sizeof *kept;
  if (bytes)
    memcpy(kept, parameters, bytes);
  glow_status status =
      optimizer_place(j, node)
          ? glow__node_prepare(model, node)
          : glow_error(GLOW_E_NUMERIC, "layer '%s': the update is not finite", node->name);
  if (bytes)
    memcpy(parameters, kept, bytes);
  return status;
}

static bool may_fail(const glow__node *node) {
  return !(glow__layer_flags(node->layer) & GLOW_LAYER_ALWAYS_PREPARES);
}

/* A layer whose prepare cannot fail need not be tried, unless its update might overflow. */
static bool must_try(const job *j, const glow__node *node) {
  return j->large || may_fail(node);
}

static void note_failed(job *j, int32_t node) {
  int32_t seen = __atomic_load_n(&j->failed, __ATOMIC_RELAXED);
  while (node < seen && !__atomic_compare_exchange_n(&j->failed, &seen, node, false,
                                                     __ATOMIC_RELAXED, __ATOMIC_RELAXED)) {
  }
}

/* A task has a slot of the buffer, and tries every so many-th layer. */
static void try_layers(void *arg, uint32_t slot, uint32_t worker) {
  job *j = arg;
  const glow_model *model = j->optimizer->model;
  float *kept = j->optimizer->kept + slot * j->slots.size;
  (void)worker;
  for (int64_t i = slot; i < model->node_count; i += j->slots.count)
    if (must_try(j, &model->nodes[i]) && try_layer(j, &model->nodes[i], kept) != GLOW_OK)
      note_failed(j, (int32_t)i);
}

/* Elements whose parameters have moved, or are held. */
static void move_average(const job *j, int64_t at, int64_t count, bool held) {
  const float *p = j->optimizer->model->parameters + at, approach = j->update->approach;
  float *average = j->update->average + at;
  if (held || approach == 1.0f)
    memcpy(average, p, (size_t)count * sizeof *p);
  else
    for (int64_t i = 0; i < count; i++)
      average[i] += approach * (p[i] - average[i]);
}

static void move_parameters(const job *j, int64_t at, int64_t count, const block *new) {
  const glow_optimizer *o = j->optimizer;
  size_t bytes = (size_t)count * sizeof(float);
  memcpy(o->model->parameters + at, new->p, bytes);
  memcpy(o->m + at, new->m, bytes);
  if (o->v)
    memcpy(o->v + at, new->v, bytes);
}

static void move_layer(void *arg, uint32_t task, uint32_t worker) {
  const job *j = arg;
  const glow_optimizer *o = j->optimizer;
  const glow__node *node = &o->model->nodes[task];
  block out;
  bool held;
  int64_t end = node->first_parameter + node->parameters, count;
  (void)worker;
  for (int64_t at = node->first_parameter; at < end; at += count) {
    count = update_at(j, at, end, &out, &held);
    if (!held)
      move_parameters(j, at, count, &out);
    if (j->update->average)
      move_average(j, at, count, held);
  }
  if (!must_try(j, node))
    glow__node_prepare(o->model, node); /* cannot fail */
}

/* With |g| below 1e15, rate below 1e3 and epsilon above 1e-12, no value in an update reaches 1e37.
 * */
static bool may_overflow(const glow_optimizer *o, const glow__update *u) {
  return o->lent ||
         !(u->squares < 1e30 && u->rate * o->rates.largest < 1e3 && o->options.epsilon > 1e-12);
}

static void optimizer_run(const glow_optimizer *o, uint32_t tasks, glow_task_fn fn, job *j) {
  if (o->flat.count >= SERIAL_BELOW) {
    glow_context_run(o->context, tasks, fn, j);
    return;
  }
  for (uint32_t t = 0; t < tasks; t++)
    fn(j, t, 0);
}

static job job_of(glow_optimizer *o, const glow__update *u) {
  job j = {.optimizer = o, .update = u, .factors = make_factors(o, u)};
  j.large = may_overflow(o, u);
  j.slots = j.large ? o->any : o->fallible;
  j.failed = o->model->node_count;
  return j;
}

glow_status glow__optimizer_try(glow_optimizer *optimizer, const glow__update *update) {
  glow_model *model = optimizer->model;
  job j = job_of(optimizer, update);
  bool was_prepared = model->prepared;
  model->prepared = false;
  optimizer_run(optimizer, j.slots.count, try_layers, &j);
  if (j.failed < model->node_count) {
    /* Prepares once more, for the error text on this thread; then prepares the old parameters
     * again. */
    glow_status status = try_layer(&j, &model->nodes[j.failed], optimizer->kept);
    if (was_prepared)
      GLOW_TRY(glow_model_prepare(model));
    return status;
  }
  return GLOW_OK;
}

void glow__optimizer_move(glow_optimizer *optimizer, const glow__update *update) {
  job j = job_of(optimizer, update);
  optimizer_run(optimizer, (uint32_t)optimizer->model->node_count, move_layer, &j);
  glow__model_ready(optimizer->model);
  optimizer->steps++;
}

/* ---- the object ------------------------------------------------------------------------------ */

/* epsilon is used as a float, and divided by. */
static glow_status optimizer_check(const void *options) {
  const glow_optimizer_options *o = options;
  if (!((float)o->epsilon > 0.0f))
    return glow_error(GLOW_E_ARGUMENT,
                      "glow_optimizer_options: epsilon is %g, which is 0 in float32", o->epsilon);
  return GLOW_OK;
}

static const glow_choice kinds[] = {{GLOW_OPTIMIZER_SGD, 0, "sgd"},
                                    {GLOW_OPTIMIZER_ADAM, 0, "adam"},
                                    {GLOW_OPTIMIZER_ADAMAX, 0, "adamax"},
                                    {GLOW_OPTIMIZER_LION, 0, "lion"},
                                    {0, 0, NULL}};
static const glow_option rows[] = {
    GLOW_OPTION(glow_optimizer_options, kind, CHOICE, .choices = kinds, .prefix = "GLOW_OPTIMIZER_",
                .fallback = GLOW_OPTIMIZER_ADAM),
    GLOW_OPTION(glow_optimizer_options, reserved, RESERVED),
    GLOW_OPTION(glow_optimizer_options, beta1, REAL, .flags = GLOW_OPTION_BELOW_HIGH, .high = 1,
                .fallback = 0.9),
    GLOW_OPTION(glow_optimizer_options, beta2, REAL, .flags = GLOW_OPTION_BELOW_HIGH, .high = 1,
                .fallback = 0.999),
    GLOW_OPTION(glow_optimizer_options, epsilon, REAL, .flags = GLOW_OPTION_ABOVE_LOW,
                .high = 1e300, .fallback = 1e-8),
    GLOW_OPTION(glow_optimizer_options, weight_decay, REAL, .high = 1e300),
};
const glow_options_table glow__optimizer_table = {GLOW_OPTIONS_TABLE(glow_optimizer_options, rows),
                                                  .check = optimizer_check};

static void make_room(slots *s, const glow__node *node) {
  if (node->parameters > s->size)
    s->size = node->parameters;
}

/* As many of a size as `floats` have room for, but at least one. */
static void count_slots(slots *s, int64_t floats, uint32_t most) {
  int64_t count = s->size ? floats / s->size : 1;
  s->count = count < 1 ? 1 : count < most ? (uint32_t)count : most;
}

/* The buffer has a slot for each worker, but is at most an eighth of the parameters, or one slot.
 * Layers whose prepare may fail are small, and there is room for more of them. */
static void choose_slots(glow_optimizer *o) {
  const glow_model *model = o->model;
  uint32_t workers = o->context->executor.workers;
  for (int32_t i = 0; i < model->node_count; i++) {
    make_room(&o->any, &model->nodes[i]);
    if (may_fail(&model->nodes[i]))
      make_room(&o->fallible, &model->nodes[i]);
  }
  count_slots(&o->any, model->parameter_count / 8, workers < MAX_SLOTS ? workers : MAX_SLOTS);
  count_slots(&o->fallible, o->any.count * o->any.size, MAX_SLOTS);
}

static glow_status optimizer_allocate(glow_optimizer *o) {
  size_t bytes = (size_t)o->model->parameter_count * sizeof(float);
  GLOW_TRY(glow__flat_create(o->context, o->model->parameter_count, &o->flat));
  GLOW_TRY(glow__rates_create(o->model, &o->rates));
  choose_slots(o);
  o->kept = glow_allocate(o->context, o->any.count * (size_t)o->any.size * sizeof(float));
  o->m = o->kept ? glow__allocate_spread(o->context, bytes) : NULL;
  if (o->m && has_v(o->options.kind))
    o->v = glow__allocate_spread(o->context, bytes);
  return o->m && (o->v || !has_v(o->options.kind)) ? GLOW_OK : GLOW_E_MEMORY;
}

glow_status glow_optimizer_create(const glow_model *model, const glow_optimizer_options *options,
                                  glow_optimizer **out) {
  glow_optimizer_options checked;
  if (out)
    *out = NULL;
  GLOW_LIVE(model, MODEL);
  if (!model || !out)
    return glow_error(GLOW_E_ARGUMENT, "glow_optimizer_create: NULL argument");
  GLOW_TRY(glow_options_read(&glow__optimizer_table, options, &checked));
  glow_optimizer *optimizer = glow_allocate(model->context, sizeof *optimizer);
  if (!optimizer)
    return GLOW_E_MEMORY;
  glow__live_add(optimizer, GLOW_LIVE_OPTIMIZER);
  glow__model_hold(model);
  optimizer->context = model->context;
  optimizer->model = (glow_model *)(uintptr_t)model; /* changed only through the mutable pointer
                                                        that a step is given */
  optimizer->options = checked;
  glow_status status = optimizer_allocate(optimizer);
  if (status != GLOW_OK)
    glow_optimizer_destroy(&optimizer);
  *out = optimizer;
  return status;
}

void glow_optimizer_destroy(glow_optimizer **optimizer) {
  if (!optimizer || !*optimizer)
    return;
  GLOW_LIVE_END(*optimizer, OPTIMIZER);
  glow_context *context = (*optimizer)->context;
  const glow_model *model = (*optimizer)->model;
  glow__flat_destroy(&(*optimizer)->flat);
  glow__rates_destroy(&(*optimizer)->rates);
  glow__notes_destroy(context, &(*optimizer)->notes);
  glow_release(context, (*optimizer)->kept);
  glow_release(context, (*optimizer)->m);
  glow_release(context, (*optimizer)->v);
  glow_release(context, *optimizer);
  glow__model_drop(model);
  *optimizer = NULL;
}

glow_status glow_optimizer_step(glow_optimizer *optimizer, glow_model *model,
                                const float *gradients, double rate) {
  GLOW_LIVE(optimizer, OPTIMIZER);
  GLOW_LIVE(model, MODEL);
  if (!optimizer || !model || !gradients)
    return glow_error(GLOW_E_ARGUMENT, "glow_optimizer_step: NULL argument");
  if (model != optimizer->model)
    return glow_error(GLOW_E_ARGUMENT,
                      "glow_optimizer_step: the optimizer was made for another model");
  if (!isfinite(rate) || rate < 0.0)
    return glow_error(GLOW_E_ARGUMENT, "the learning rate is %g, not a number >= 0", rate);
  /* Of what a caller wrote, too: a layer that always prepares is not tried. */
  if (!isfinite(glow__flat_squares(&optimizer->flat, model->parameters)))
    return glow_error(GLOW_E_NUMERIC, "layer '%s': a parameter is not finite",
                      glow__model_nonfinite_layer(model, model->parameters));
  double squares = glow__rates_squares(&optimizer->rates, &optimizer->flat, gradients);
  if (!isfinite(squares))
    return glow_error(GLOW_E_NUMERIC, "layer '%s': the gradient is not finite",
                      glow__rates_nonfinite_layer(&optimizer->rates, gradients));
  const glow__update update = {gradients, squares, rate, INFINITY, 1.0f, NULL, 0.0f};
  GLOW_TRY(glow__optimizer_try(optimizer, &update));
  glow__optimizer_move(optimizer, &update);
  return GLOW_OK;
}

int64_t glow_optimizer_step_count(const glow_optimizer *optimizer) {
  GLOW_LIVE_OR(optimizer, OPTIMIZER, 0);
  return optimizer ? optimizer->steps : 0;
}

/* ---- rates of tensors ------------------------------------------------------------------------ */

glow_status glow_optimizer_set_rate_factor(glow_optimizer *optimizer, const char *prefix,
                                           double factor) {
  GLOW_LIVE(optimizer, OPTIMIZER);
  if (!optimizer || !prefix)
    return glow_error(GLOW_E_ARGUMENT, "glow_optimizer_set_rate_factor: NULL argument");
  return glow__rates_set(&optimizer->rates, prefix, factor);
}

double glow_optimizer_rate_factor(const glow_optimizer *optimizer, const char *tensor) {
  GLOW_LIVE_OR(optimizer, OPTIMIZER, NAN);
  return optimizer && tensor ? glow__rates_of(&optimizer->rates, tensor) : NAN;
}

glow__rates *glow__optimizer_rates(glow_optimizer *optimizer) {
  return &optimizer->rates;
}

/* ---- state for loops of the caller's own ----------------------------------------------------- */

float *glow_optimizer_state(glow_optimizer *optimizer, int32_t index) {
  GLOW_LIVE_OR(optimizer, OPTIMIZER, NULL);
  if (!optimizer || (index != 0 && index != 1))
    return NULL;
  optimizer->lent = true;
  return index == 0 ? optimizer->m : optimizer->v;
}

glow_status glow_optimizer_set_step_count(glow_optimizer *optimizer, int64_t steps) {
  GLOW_LIVE(optimizer, OPTIMIZER);
  if (!optimizer || steps < 0 || steps > INT64_MAX / 2)
    return glow_error(GLOW_E_ARGUMENT,
                      "glow_optimizer_set_step_count: NULL, or %lld steps, which cannot have been "
                      "made",
                      (long long)steps);
  optimizer->steps = steps;
  return GLOW_OK;
}

glow_status glow_optimizer_get_options(const glow_optimizer *optimizer,
                                       glow_optimizer_options *out) {
  GLOW_LIVE(optimizer, OPTIMIZER);
  if (!optimizer || !out)
    return glow_error(GLOW_E_ARGUMENT, "glow_optimizer_get_options: NULL argument");
  return glow__struct_fill(out, &optimizer->options, sizeof optimizer->options,
                           sizeof optimizer->options, "glow_optimizer_options");
}

/* ---- for checkpoints ------------------------------------------------------------------------- */

const glow_optimizer_options *glow__optimizer_options(const glow_optimizer *optimizer) {
  return &optimizer->options;
}

void glow__optimizer_moments(const glow_optimizer *optimizer, float **m, float **v) {
  *m = optimizer->m;
  *v = optimizer->v;
}

void glow__optimizer_set_steps(glow_optimizer *optimizer, int64_t steps) {
  optimizer->steps = steps;
}

glow__note **glow__optimizer_notes(glow_optimizer *optimizer) {
  return &optimizer->notes;
}
