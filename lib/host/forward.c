/* From data to latents: forward, log-probability, and finding where what is not finite arises.
 * SPDX-License-Identifier: MIT */
#include <math.h>
#include <string.h>

#include "host/outcome.h"
#include "host/run.h"

/* Where node i's output goes: to a place of its own if backward needs it; otherwise over its input
 * if the layer can do that; otherwise to the state that does not hold its input. The caller's x is
 * never written. */
static float *output_place(const glow_workspace *ws, int32_t i, const float *x, bool store) {
  float *a = ws->memory + ws->plan.states[0], *b = ws->memory + ws->plan.states[1];
  float *stored = store ? glow__stored_input(ws, i + 1) : NULL;
  if (stored)
    return stored;
  if (x != a && x != b)
    return a;
  if (ws->model->nodes[i].layer->ops.flags & GLOW_LAYER_IN_PLACE)
    return x == a ? a : b;
  return x == a ? b : a;
}

static void clear(double *values, int64_t count) {
  memset(values, 0, (size_t)count * sizeof *values);
}

static bool finite_doubles(const double *x, int64_t count) {
  for (int64_t i = 0; i < count; i++)
    if (!isfinite(x[i]))
      return false;
  return true;
}

static bool latents_finite(const glow_call *call, int64_t first, int64_t count) {
  for (int64_t n = first; n < first + count; n++)
    if (!glow__finite_floats(call->latents + n * call->latent_stride, call->node->latent_size))
      return false;
  return true;
}

/* The watched samples behind a node: its output y, and what there is by then of the rest. */
static bool watched_finite(const glow__watch *w, const glow_call *call, const float *y,
                           const float *logits, const double *logdet, const double *logprior) {
  const glow__node *node = call->node;
  const float *rows = node->out_size ? y + w->first * node->out_size : NULL;
  return glow__finite_floats(rows, w->count * node->out_size) &&
         finite_doubles(logdet + w->first, w->count) &&
         finite_doubles(logprior + w->first, w->count) &&
         glow__finite_floats(logits + w->first * node->logits, w->count * node->logits) &&
         (!call->latents || latents_finite(call, w->first, w->count));
}

glow_status glow__run_forward(glow_workspace *ws, const float *x, const int32_t *labels,
                              int64_t samples, int32_t form, int32_t statistics, bool store,
                              float *latents, double *logdet, double *logprior,
                              glow__watch *watch) {
  const glow_model *model = ws->model;
  float *logits = ws->memory + ws->plan.logits;
  ws->has_logits = model->logits > 0;
  clear(logdet, samples);
  clear(logprior, samples);
  if (store) {
    float *first = glow__stored_input(ws, 0);
    memcpy(first, x, (size_t)(samples * model->dims) * sizeof(float));
    x = first;
  }
  for (int32_t i = 0; i < model->node_count; i++) {
    const glow__node *node = &model->nodes[i];
    glow_call call;
    GLOW_TRY(glow__check_cancelled(ws));
    glow__call_begin(ws, node, samples, labels, form, latents, &call);
    call.statistics = statistics;
    if (store && glow__is_stored(ws, i))
      call.stored = ws->memory + ws->stored[i];
    float *y = node->out_size ? output_place(ws, i, x, store) : NULL;
    if (node->logits) /* before x may be written over */
      glow__node_logits(&call, x, logits);
    glow__node_forward(&call, x, y, logdet, logprior);
    if (watch && !watched_finite(watch, &call, y, logits, logdet, logprior)) {
      watch->found = node;
      return GLOW_OK;
    }
    x = y;
  }
  return GLOW_OK;
}

static glow_status check_forward(const glow_workspace *ws, const float *x, const int32_t *labels,
                                 int64_t count, int32_t form) {
  if (!ws || !x)
    return glow_error(GLOW_E_ARGUMENT, "a forward pass needs a workspace and x");
  GLOW_TRY(glow__check_count(ws, count));
  GLOW_TRY(glow__check_ready(ws->model));
  GLOW_TRY(glow__check_labels(ws->model, ws->base, labels, count, form));
  return glow__check_condition(ws, count);
}

void glow__remember(glow_workspace *ws, const int32_t *labels, int64_t count) {
  ws->samples = ws->failed ? -1 : count;
  ws->inverted = false;
  ws->labels = NULL;
  if (!ws->model->classes)
    return;
  memcpy(ws->label_copy, labels, (size_t)count * sizeof *labels);
  ws->labels = ws->label_copy;
}

static void hand_out(const glow_workspace *ws, int64_t count, double *logdet, double *log_prob) {
  const double *ld = glow__doubles(ws, ws->plan.logdet), *lp = glow__doubles(ws, ws->plan.logprior);
  for (int64_t i = 0; i < count; i++) {
    if (logdet)
      logdet[i] = ld[i];
    if (log_prob)
      log_prob[i] = ld[i] + lp[i];
  }
}

/* Does the pass store what backward needs? */
static bool is_for_backward(const glow_workspace *ws, const glow_forward_options *o) {
  return glow__is_training(ws) && !o->evaluate;
}

/* One batch of a forward pass, and what the caller gets of it. */
typedef struct forward_part {
  const float *x;
  int64_t count;
  const int32_t *labels;
  float *latents;
  int32_t form, statistics;
  bool store;
} forward_part;

static forward_part forward_part_of(const glow_workspace *ws, const float *x, int64_t first,
                                    int64_t count, const glow_forward_options *o) {
  const int64_t dims = ws->model->dims;
  forward_part p = {.x = x + first * dims, .count = glow__batch_at(ws, first, count)};
  p.labels = o->labels ? o->labels + first : NULL;
  p.latents = o->latents ? o->latents + first * dims : NULL;
  p.form = p.latents ? o->form : GLOW_LATENTS_RAW;
  p.store = is_for_backward(ws, o);
  bool running = !p.store || o->running_averages || ws->plan.inputs_only;
  p.statistics = running ? GLOW_STATISTICS_RUNNING : GLOW_STATISTICS_BATCH;
  return p;
}

static glow_status run_part(glow_workspace *ws, const forward_part *p, int32_t form, bool store,
                            float *latents, glow__watch *watch) {
  return glow__run_forward(ws, p->x, p->labels, p->count, form, p->statistics, store, latents,
                           glow__doubles(ws, ws->plan.logdet), glow__doubles(ws, ws->plan.logprior),
                           watch);
}

/* Backward works from raw latents, so whitened ones are made by a pass of their own. */
static glow_status run_forms(glow_workspace *ws, const forward_part *p) {
  float *own = ws->memory + ws->plan.latents;
  bool raw = p->form == GLOW_LATENTS_RAW;
  if (!raw)
    GLOW_TRY(run_part(ws, p, p->form, false, p->latents, NULL));
  if (raw || p->store)
    GLOW_TRY(run_part(ws, p, GLOW_LATENTS_RAW, p->store, own, NULL));
  if (raw && p->latents)
    memcpy(p->latents, own, (size_t)(p->count * ws->model->dims) * sizeof(float));
  return GLOW_OK;
}

/* Marks samples whose results are not finite. Who asks for the layer, or gets no statuses, is told
 * it; the batch is run again for that. */
static glow_status forward_settle(glow_workspace *ws, const forward_part *p, bool tell) {
  int64_t n =
      glow__outcome_mark(ws, p->count, p->latents, ws->model->dims,
                         glow__doubles(ws, ws->plan.logdet), glow__doubles(ws, ws->plan.logprior));
  if (n < 0)
    return GLOW_OK;
  glow__watch watch = {.first = n, .count = 1};
  if (tell)
    GLOW_TRY(run_part(ws, p, p->form, false, ws->memory + ws->plan.latents, &watch));
  glow__outcome_blame(ws, n, watch.found ? watch.found->name : NULL);
  return GLOW_OK;
}

/* The batch that starts at sample `first` of `count`. */
static glow_status forward_batch(glow_workspace *ws, const float *x, int64_t first, int64_t count,
                                 const glow_forward_options *o) {
  const forward_part p = forward_part_of(ws, x, first, count, o);
  ws->first = first;
  glow__outcome_screen(ws, "input", p.x, p.count);
  GLOW_TRY(run_forms(ws, &p));
  double *ld = o->logdet ? o->logdet + first : NULL;
  double *lp = o->log_prob ? o->log_prob + first : NULL;
  hand_out(ws, p.count, ld, lp);
  /* may run again, over what was handed out */
  GLOW_TRY(forward_settle(ws, &p, !o->statuses || o->layer));
  glow__outcome_blank(ws, p.count, p.latents, ws->model->dims);
  glow__outcome_blank_doubles(ws, p.count, ld);
  glow__outcome_blank_doubles(ws, p.count, lp);
  glow__outcome_blank(ws, p.count, ws->memory + ws->plan.logits, ws->model->logits);
  glow__outcome_hand_out(ws, p.count, o->statuses ? o->statuses + first : NULL);
  if (!p.store)
    return GLOW_OK;
  glow__remember(ws, p.labels, p.count);
  ws->statistics = p.statistics;
  return GLOW_OK;
}

static glow_status forward_read_options(const glow_forward_options *from, glow_forward_options *o) {
  *o = (glow_forward_options)GLOW_FORWARD_OPTIONS_INIT;
  GLOW_TRY(glow__options_copy(o, sizeof *o, from, sizeof *o, "glow_forward_options"));
  if (o->evaluate != 0 && o->evaluate != 1)
    return glow_error(GLOW_E_ARGUMENT, "glow_forward_options: evaluate is %d; it must be 0 or 1",
                      o->evaluate);
  if (o->running_averages != 0 && o->running_averages != 1)
    return glow_error(GLOW_E_ARGUMENT,
                      "glow_forward_options: running_averages is %d; it must be 0 or 1",
                      o->running_averages);
  return glow__check_form(&o->form);
}

glow_status glow_workspace_forward(glow_workspace *ws, const float *x, int64_t count,
                                   const glow_forward_options *options) {
  GLOW_LIVE(ws, WORKSPACE);
  glow_forward_options o;
  glow_status status = GLOW_OK;
  GLOW_TRY(forward_read_options(options, &o));
  GLOW_TRY(check_forward(ws, x, o.labels, count, o.latents ? o.form : GLOW_LATENTS_RAW));
  if (is_for_backward(ws, &o))
    GLOW_TRY(glow__check_batch(ws, count));
  glow__warn_of_scale(ws, x, count);
  glow__outcome_begin(ws);
  for (int64_t first = 0; status == GLOW_OK && first < count; first += ws->plan.batch)
    status = forward_batch(ws, x, first, count, &o);
  return status == GLOW_OK ? glow__outcome_end(ws, count, o.statuses, o.failed, o.layer)
                           : glow__outcome_stop(ws, status);
}

glow_status glow_workspace_log_prob(glow_workspace *ws, const float *x, const int32_t *labels,
                                    int64_t count, double *log_prob) {
  glow_forward_options o = GLOW_FORWARD_OPTIONS_INIT;
  o.labels = labels;
  o.log_prob = log_prob;
  o.evaluate = 1;
  return glow_workspace_forward(ws, x, count, &o);
}

double glow_model_bits_per_dim(const glow_model *model, double log_prob) {
  GLOW_LIVE_OR(model, MODEL, NAN);
  if (!model)
    return NAN;
  return -log_prob / (double)model->dims / M_LN2 + (double)model->bits;
}

/* ---- diagnosis ------------------------------------------------------------------------------- */

static glow_status first_nonfinite(glow_workspace *ws, const float *x, const int32_t *labels,
                                   int64_t count, const char **layer) {
  glow__watch watch = {.first = 0, .count = count};
  int32_t statistics = glow__is_training(ws) ? GLOW_STATISTICS_BATCH : GLOW_STATISTICS_RUNNING;
  if (!glow__finite_floats(x, count * ws->model->dims)) {
    *layer = "input";
    return GLOW_OK;
  }
  GLOW_TRY(glow__run_forward(ws, x, labels, count, GLOW_LATENTS_RAW, statistics, false,
                             ws->memory + ws->plan.latents, glow__doubles(ws, ws->plan.logdet),
                             glow__doubles(ws, ws->plan.logprior), &watch));
  *layer = watch.found ? watch.found->name : NULL;
  return GLOW_OK;
}

glow_status glow_workspace_find_nonfinite(glow_workspace *ws, const float *x, const int32_t *labels,
                                          int64_t count, const char **layer) {
  GLOW_LIVE(ws, WORKSPACE);
  if (!layer)
    return glow_error(GLOW_E_ARGUMENT, "glow_workspace_find_nonfinite: NULL argument");
  *layer = NULL;
  GLOW_TRY(check_forward(ws, x, labels, count, GLOW_LATENTS_RAW));
  GLOW_TRY(glow__check_conditions_finite(ws, count));
  GLOW_TRY(glow__check_batch(ws, count));
  ws->samples = 0;
  return first_nonfinite(ws, x, labels, count, layer);
}
