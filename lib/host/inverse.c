/* From latents to data: inverse and sampling. SPDX-License-Identifier: MIT */
#include <math.h>
#include <string.h>

#include "host/draw.h"
#include "host/outcome.h"
#include "host/run.h"

static bool inverse_watched(const glow__watch *w, const glow__node *node, const float *x,
                            const double *logdet) {
  bool finite = glow__finite_floats(x + w->first * node->in_size, w->count * node->in_size);
  for (int64_t n = w->first; n < w->first + w->count; n++)
    finite &= isfinite(logdet[n]) != 0;
  return finite;
}

/* Where node i writes its input: to a place of its own if backward needs it; the caller's x at the
 * end; otherwise over its output if the layer can do that; otherwise to the state that does not
 * hold its output. */
static float *input_place(const glow_workspace *ws, int32_t i, const float *y, float *x,
                          bool store) {
  float *a = ws->memory + ws->plan.states[0], *b = ws->memory + ws->plan.states[1];
  float *stored = store ? glow__stored_input(ws, i) : NULL;
  if (stored)
    return stored;
  if (i == 0)
    return x;
  if (y != a && y != b)
    return a;
  bool in_place = ws->model->nodes[i].layer->ops.flags & GLOW_LAYER_IN_PLACE;
  return (y == a) == in_place ? a : b;
}

glow_status glow__run_inverse(glow_workspace *ws, const float *latents, int32_t form,
                              const int32_t *labels, int64_t samples, bool store, float *x,
                              double *logdet, double *logprior, glow__watch *watch) {
  const glow_model *model = ws->model;
  const float *y = NULL;
  memset(logdet, 0, (size_t)samples * sizeof *logdet);
  if (logprior)
    memset(logprior, 0, (size_t)samples * sizeof *logprior);
  for (int32_t i = model->node_count - 1; i >= 0; i--) {
    const glow__node *node = &model->nodes[i];
    float *to = input_place(ws, i, y, x, store);
    glow_call call;
    GLOW_TRY(glow__check_cancelled(ws));
    /* Layers only read latents in inverse, although the pointer that they get is not const. */
    glow__call_begin(ws, node, samples, labels, form, (float *)(uintptr_t)latents, &call);
    if (store && glow__inverse_stores(ws, i))
      call.stored = ws->memory + ws->stored[i];
    GLOW_TRY(glow__node_inverse(&call, y, to, logdet, logprior));
    if (watch && !inverse_watched(watch, node, to, logdet)) {
      watch->found = node;
      return GLOW_OK;
    }
    y = to;
  }
  if (y && y != x)
    memcpy(x, y, (size_t)(samples * model->dims) * sizeof *x);
  return GLOW_OK;
}

static glow_status check_inverse(const glow_workspace *ws, const int32_t *labels, int64_t count,
                                 int32_t form, const float *x) {
  if (!ws || !x)
    return glow_error(GLOW_E_ARGUMENT, "an inverse pass needs a workspace and x");
  GLOW_TRY(glow__check_count(ws, count));
  GLOW_TRY(glow__check_ready(ws->model));
  GLOW_TRY(glow__check_labels(ws->model, ws->base, labels, count, form));
  return glow__check_condition(ws, count);
}

static double *inverse_logdets(const glow_workspace *ws) {
  return glow__doubles(ws, ws->plan.logdet);
}

static double *inverse_logpriors(const glow_workspace *ws) {
  return glow__doubles(ws, ws->plan.logprior);
}

static glow_status inverse_read_options(const glow_inverse_options *from, glow_inverse_options *o) {
  *o = (glow_inverse_options)GLOW_INVERSE_OPTIONS_INIT;
  GLOW_TRY(glow__options_copy(o, sizeof *o, from, sizeof *o, "glow_inverse_options"));
  if (o->store != 0 && o->store != 1)
    return glow_error(GLOW_E_ARGUMENT, "glow_inverse_options: store is %d; it must be 0 or 1",
                      o->store);
  return glow__check_form(&o->form);
}

/* What `store` asks for. */
static glow_status check_store(const glow_workspace *ws, int64_t count, int32_t store) {
  if (!store)
    return GLOW_OK;
  if (!ws->plan.inverse_backward)
    return glow_error(GLOW_E_STATE,
                      "store is 1, and the workspace was made without inverse_backward");
  return glow__check_batch(ws, count);
}

/* One batch of an inverse pass: what is given, and what the caller gets. */
typedef struct inverse_part {
  const float *latents;
  int32_t form;
  const int32_t *labels;
  int64_t count;
  bool store; /* for glow_workspace_inverse_backward */
  float *x;
  double *logdet;    /* or NULL */
  double *log_prob;  /* or NULL */
  double *log_q;     /* NULL, or to what the log-density is added */
  int32_t *statuses; /* or NULL */
  bool tell;         /* the layer at which a sample ceases to be finite */
} inverse_part;

/* NULL where nobody asks for a density. */
static double *inverse_wanted_logpriors(const glow_workspace *ws, const inverse_part *p) {
  return p->log_prob || p->log_q ? inverse_logpriors(ws) : NULL;
}

static glow_status run_inverse(glow_workspace *ws, const inverse_part *p, glow__watch *watch) {
  return glow__run_inverse(ws, p->latents, p->form, p->labels, p->count, p->store && !watch, p->x,
                           inverse_logdets(ws), inverse_wanted_logpriors(ws, p), watch);
}

/* log p(x) = log p(raw latents) - log|det dx / d raw latents| */
static void inverse_hand_out(const glow_workspace *ws, const inverse_part *p) {
  const double *logdet = inverse_logdets(ws), *logprior = inverse_logpriors(ws);
  for (int64_t n = 0; n < p->count; n++) {
    if (p->logdet)
      p->logdet[n] = logdet[n];
    if (p->log_prob)
      p->log_prob[n] = logprior[n] - logdet[n];
    if (p->log_q)
      p->log_q[n] += logprior[n] - logdet[n];
  }
}

/* For backward, as a forward pass does. It needs the latents in the form that they had. */
static void inverse_remember(glow_workspace *ws, const inverse_part *p) {
  float *own = ws->memory + ws->plan.latents;
  if (p->latents != own)
    memcpy(own, p->latents, (size_t)(p->count * ws->model->dims) * sizeof *own);
  glow__remember(ws, p->labels, p->count);
  ws->statistics = GLOW_STATISTICS_RUNNING;
  ws->inverted = true;
  ws->form = p->form;
}

/* The batch that starts at ws->first, whose input was screened. Who asks for the layer, or gets no
 * statuses, is told it; the batch is run again for that. */
static glow_status inverse_batch(glow_workspace *ws, const inverse_part *p) {
  int64_t dims = ws->model->dims;
  GLOW_TRY(run_inverse(ws, p, NULL));
  int64_t n = glow__outcome_mark(ws, p->count, p->x, dims, inverse_logdets(ws),
                                 inverse_wanted_logpriors(ws, p));
  inverse_hand_out(ws, p);
  if (n >= 0) {
    glow__watch watch = {.first = n, .count = 1};
    if (p->tell)
      GLOW_TRY(run_inverse(ws, p, &watch));
    glow__outcome_blame(ws, n, watch.found ? watch.found->name : NULL);
  }
  glow__outcome_blank(ws, p->count, p->x, dims);
  glow__outcome_blank_doubles(ws, p->count, p->logdet);
  glow__outcome_blank_doubles(ws, p->count, p->log_prob);
  glow__outcome_blank_doubles(ws, p->count, p->log_q);
  glow__outcome_hand_out(ws, p->count, p->statuses);
  if (p->store)
    inverse_remember(ws, p);
  return GLOW_OK;
}

glow_status glow_workspace_inverse(glow_workspace *ws, const float *latents, int64_t count,
                                   const glow_inverse_options *options, float *x) {
  GLOW_LIVE(ws, WORKSPACE);
  glow_inverse_options o;
  glow_status status = GLOW_OK;
  GLOW_TRY(inverse_read_options(options, &o));
  GLOW_TRY(check_inverse(ws, o.labels, count, o.form, x));
  if (!latents)
    return glow_error(GLOW_E_ARGUMENT, "an inverse pass needs latents");
  GLOW_TRY(check_store(ws, count, o.store));
  const int64_t dims = ws->model->dims;
  glow__outcome_begin(ws);
  for (int64_t first = 0; status == GLOW_OK && first < count; first += ws->plan.batch) {
    const inverse_part p = {.latents = latents + first * dims,
                            .form = o.form,
                            .labels = o.labels ? o.labels + first : NULL,
                            .count = glow__batch_at(ws, first, count),
                            .store = o.store,
                            .x = x + first * dims,
                            .logdet = o.logdet ? o.logdet + first : NULL,
                            .log_prob = o.log_prob ? o.log_prob + first : NULL,
                            .statuses = o.statuses ? o.statuses + first : NULL,
                            .tell = !o.statuses || o.layer};
    ws->first = first;
    glow__outcome_screen(ws, "latents", p.latents, p.count);
    status = inverse_batch(ws, &p);
  }
  return status == GLOW_OK ? glow__outcome_end(ws, count, o.statuses, o.failed, o.layer)
                           : glow__outcome_stop(ws, status);
}

/* ---- sampling -------------------------------------------------------------------------------- */

glow_status glow_workspace_sample(glow_workspace *ws, int64_t count,
                                  const glow_sample_options *options, float *x) {
  GLOW_LIVE(ws, WORKSPACE);
  glow_sample_options o = GLOW_SAMPLE_OPTIONS_INIT;
  glow_status status = GLOW_OK;
  GLOW_TRY(glow__options_copy(&o, sizeof o, options, sizeof o, "glow_sample_options"));
  GLOW_TRY(check_inverse(ws, o.labels, count, GLOW_LATENTS_WHITENED, x));
  GLOW_TRY(glow__draw_check(ws->model, &o, count));
  if (o.reserved || (o.store != 0 && o.store != 1))
    return glow_error(GLOW_E_ARGUMENT,
                      "glow_sample_options: store is %d; it must be 0 or 1, and reserved 0",
                      o.store);
  GLOW_TRY(check_store(ws, count, o.store));
  float *latents = ws->memory + ws->plan.latents;
  const int64_t dims = ws->model->dims;
  glow__outcome_begin(ws);
  for (int64_t first = 0; status == GLOW_OK && first < count; first += ws->plan.batch) {
    const inverse_part p = {.latents = latents,
                            .form = GLOW_LATENTS_WHITENED,
                            .labels = o.labels ? o.labels + first : NULL,
                            .count = glow__batch_at(ws, first, count),
                            .store = o.store,
                            .x = x + first * dims,
                            .log_prob = o.log_prob ? o.log_prob + first : NULL,
                            .log_q = o.log_q ? o.log_q + first : NULL,
                            .statuses = o.statuses ? o.statuses + first : NULL,
                            .tell = !o.statuses || o.layer};
    ws->first = first;
    glow__draw(ws->model, &o, first, p.count, latents, p.log_q);
    if (o.latents)
      memcpy(o.latents + first * dims, latents, (size_t)(p.count * dims) * sizeof *latents);
    glow__outcome_screen(ws, "latents", NULL, p.count);
    status = inverse_batch(ws, &p);
  }
  return status == GLOW_OK ? glow__outcome_end(ws, count, o.statuses, o.failed, o.layer)
                           : glow__outcome_stop(ws, status);
}
