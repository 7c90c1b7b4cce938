/* From data to latents: forward, log-probability, and finding what is not finite.
 * SPDX-License-Identifier: MIT */
#include <math.h>
#include <string.h>

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

void glow__run_forward(glow_workspace *ws, const float *x, const int32_t *labels, int64_t samples,
                       int32_t form, int32_t statistics, bool store, float *latents, double *logdet,
                       double *logprior) {
  const glow_model *model = ws->model;
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
    glow__call_begin(ws, node, samples, labels, form, latents, &call);
    call.statistics = statistics;
    if (store && glow__is_stored(ws, i))
      call.stored = ws->memory + ws->stored[i];
    float *y = node->out_size ? output_place(ws, i, x, store) : NULL;
    if (node->logits) /* before x may be written over */
      glow__node_logits(&call, x, ws->memory + ws->plan.logits);
    glow__node_forward(&call, x, y, logdet, logprior);
    x = y;
  }
}

static glow_status check_forward(const glow_workspace *ws, const float *x, const int32_t *labels,
                                 int64_t count, int32_t form) {
  if (!ws || !x)
    return glow_error(GLOW_E_ARGUMENT, "a forward pass needs a workspace and x");
  GLOW_TRY(glow__check_count(ws, count));
  GLOW_TRY(glow__check_ready(ws->model));
  GLOW_TRY(glow__check_labels(ws->model, labels, count, form));
  return glow__check_condition(ws, count);
}

static double *doubles(const glow_workspace *ws, int64_t offset) {
  return (double *)(void *)(ws->memory + offset);
}

static void remember(glow_workspace *ws, const int32_t *labels, int64_t count) {
  ws->samples = count;
  ws->labels = NULL;
  if (!ws->model->classes)
    return;
  memcpy(ws->label_copy, labels, (size_t)count * sizeof *labels);
  ws->labels = ws->label_copy;
}

static void hand_out(const glow_workspace *ws, int64_t count, double *logdet, double *log_prob) {
  const double *ld = doubles(ws, ws->plan.logdet), *lp = doubles(ws, ws->plan.logprior);
  for (int64_t i = 0; i < count; i++) {
    if (logdet)
      logdet[i] = ld[i];
    if (log_prob)
      log_prob[i] = ld[i] + lp[i];
  }
}

/* A forward pass in a training mode. */
static int32_t statistics_of(const glow_workspace *ws) {
  return glow__is_training(ws) ? GLOW_STATISTICS_BATCH : GLOW_STATISTICS_RUNNING;
}

/* Samples [first, first + count), one batch of the workspace. */
static void forward_batch(glow_workspace *ws, const float *x, int64_t first, int64_t count,
                          const glow_forward_options *o) {
  const int64_t dims = ws->model->dims;
  const int32_t *labels = o->labels ? o->labels + first : NULL;
  float *latents = o->latents ? o->latents + first * dims : NULL;
  float *own = ws->memory + ws->plan.latents;
  double *ld = doubles(ws, ws->plan.logdet), *lp = doubles(ws, ws->plan.logprior);
  bool training = glow__is_training(ws), raw = o->form == GLOW_LATENTS_RAW;
  int32_t statistics = statistics_of(ws);
  x += first * dims;
  ws->first = first;
  /* Backward works from raw latents, so whitened ones are made in a step of their own. */
  if (!raw && latents)
    glow__run_forward(ws, x, labels, count, o->form, statistics, false, latents, ld, lp);
  if (raw || !latents || training)
    glow__run_forward(ws, x, labels, count, GLOW_LATENTS_RAW, statistics, training, own, ld, lp);
  if (raw && latents)
    memcpy(latents, own, (size_t)(count * dims) * sizeof(float));
  if (training)
    remember(ws, labels, count);
  hand_out(ws, count, o->logdet ? o->logdet + first : NULL,
           o->log_prob ? o->log_prob + first : NULL);
}

static glow_status forward_read_options(const glow_forward_options *from, glow_forward_options *o) {
  *o = (glow_forward_options)GLOW_FORWARD_OPTIONS_INIT;
  GLOW_TRY(glow__options_copy(o, sizeof *o, from, sizeof *o, "glow_forward_options"));
  if (o->reserved)
    return glow_error(GLOW_E_ARGUMENT, "glow_forward_options: reserved is %d; it must be 0",
                      o->reserved);
  return glow__check_form(&o->form);
}

glow_status glow_workspace_forward(glow_workspace *ws, const float *x, int64_t count,
                                   const glow_forward_options *options) {
  glow_forward_options o;
  GLOW_TRY(forward_read_options(options, &o));
  GLOW_TRY(check_forward(ws, x, o.labels, count, o.latents ? o.form : GLOW_LATENTS_RAW));
  if (glow__is_training(ws))
    GLOW_TRY(glow__check_batch(ws, count));
  GLOW_TRY(glow__check_input(ws, x, count));
  ws->samples = 0;
  for (int64_t first = 0; first < count; first += ws->plan.batch)
    forward_batch(ws, x, first, glow__batch_at(ws, first, count), &o);
  ws->first = 0;
  return GLOW_OK;
}

glow_status glow_workspace_log_prob(glow_workspace *ws, const float *x, const int32_t *labels,
                                    int64_t count, double *log_prob) {
  GLOW_TRY(check_forward(ws, x, labels, count, GLOW_LATENTS_RAW));
  GLOW_TRY(glow__check_input(ws, x, count));
  ws->samples = 0;
  for (int64_t first = 0; first < count; first += ws->plan.batch) {
    int64_t samples = glow__batch_at(ws, first, count);
    ws->first = first;
    glow__run_forward(ws, x + first * ws->model->dims, labels ? labels + first : NULL, samples,
                      GLOW_LATENTS_RAW, GLOW_STATISTICS_RUNNING, false,
                      ws->memory + ws->plan.latents, doubles(ws, ws->plan.logdet),
                      doubles(ws, ws->plan.logprior));
    hand_out(ws, samples, NULL, log_prob ? log_prob + first : NULL);
  }
  ws->first = 0;
  return GLOW_OK;
}

double glow_model_bits_per_dim(const glow_model *model, double log_prob) {
  if (!model)
    return NAN;
  return -log_prob / (double)model->dims / M_LN2 + (double)model->bits;
}

/* ---- diagnosis ------------------------------------------------------------------------------- */

static bool finite_floats(const float *x, int64_t count) {
  for (int64_t i = 0; i < count; i++)
    if (!isfinite(x[i]))
      return false;
  return true;
}

static bool finite_doubles(const double *x, int64_t count) {
  for (int64_t i = 0; i < count; i++)
    if (!isfinite(x[i]))
      return false;
  return true;
}

static bool latents_finite(const glow__node *node, const glow_call *call) {
  for (int64_t n = 0; n < call->samples; n++)
    if (!finite_floats(call->latents + n * call->latent_stride, node->latent_size))
      return false;
  return true;
}

static const char *first_nonfinite(glow_workspace *ws, const float *x, const int32_t *labels,
                                   int64_t count) {
  const glow_model *model = ws->model;
  double *ld = doubles(ws, ws->plan.logdet), *lp = doubles(ws, ws->plan.logprior);
  float *logits = ws->memory + ws->plan.logits;
  if (!finite_floats(x, count * model->dims))
    return "input";
  clear(ld, count);
  clear(lp, count);
  for (int32_t i = 0; i < model->node_count; i++) {
    const glow__node *node = &model->nodes[i];
    float *y = ws->memory + ws->plan.states[i & 1];
    glow_call call;
    glow__call_begin(ws, node, count, labels, GLOW_LATENTS_RAW, ws->memory + ws->plan.latents,
                     &call);
    call.statistics = statistics_of(ws);
    glow__node_forward(&call, x, node->out_size ? y : NULL, ld, lp);
    if (node->logits)
      glow__node_logits(&call, x, logits);
    if (!finite_floats(y, count * node->out_size) || !finite_doubles(ld, count) ||
        !finite_doubles(lp, count) || !latents_finite(node, &call) ||
        !finite_floats(logits, count * node->logits))
      return node->name;
    x = y;
  }
  return NULL;
}

glow_status glow_workspace_find_nonfinite(glow_workspace *ws, const float *x, const int32_t *labels,
                                          int64_t count, const char **layer) {
  if (!layer)
    return glow_error(GLOW_E_ARGUMENT, "glow_workspace_find_nonfinite: NULL argument");
  *layer = NULL;
  GLOW_TRY(check_forward(ws, x, labels, count, GLOW_LATENTS_RAW));
  GLOW_TRY(glow__check_batch(ws, count));
  ws->samples = 0;
  *layer = first_nonfinite(ws, x, labels, count);
  return GLOW_OK;
}
