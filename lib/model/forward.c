/* From data to latents: forward, log-probability, and finding what is not finite.
 * SPDX-License-Identifier: MIT */
#include <math.h>
#include <string.h>

#include "model/parts.h"

/* Where node i's output goes: a place of its own when backward wants it; else over its input where
 * the layer can, else the state that its input is not in. The caller's x is never written. */
static float *output_place(const glow_workspace *ws, int32_t i, const float *x, bool keep) {
  float *a = ws->memory + ws->plan.states[0], *b = ws->memory + ws->plan.states[1];
  float *kept = keep ? glow__kept_input(ws, i + 1) : NULL;
  if (kept)
    return kept;
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
                       int32_t form, int32_t statistics, bool keep, float *latents, double *logdet,
                       double *logprior) {
  const glow_model *model = ws->model;
  ws->has_logits = model->logits > 0;
  clear(logdet, samples);
  clear(logprior, samples);
  if (keep) {
    float *first = glow__kept_input(ws, 0);
    memcpy(first, x, (size_t)(samples * model->dims) * sizeof(float));
    x = first;
  }
  for (int32_t i = 0; i < model->node_count; i++) {
    const glow__node *node = &model->nodes[i];
    glow_pass pass;
    glow__pass_begin(ws, node, samples, labels, form, latents, &pass);
    pass.statistics = statistics;
    if (keep && glow__keeps(ws, i))
      pass.saved = ws->memory + ws->saves[i];
    float *y = node->out_size ? output_place(ws, i, x, keep) : NULL;
    if (node->logits) /* before x may be written over */
      glow__node_logits(&pass, x, ws->memory + ws->plan.logits);
    glow__node_forward(&pass, x, y, logdet, logprior);
    x = y;
  }
}

static glow_status check_forward(const glow_workspace *ws, const float *x, const int32_t *labels,
                                 int64_t count, int32_t form) {
  if (!ws || !x)
    return glow_error(GLOW_E_ARGUMENT, "a forward pass needs a workspace and x");
  GLOW_TRY(glow__check_batch(ws, count));
  GLOW_TRY(glow__check_ready(ws->model));
  GLOW_TRY(glow__check_labels(ws->model, labels, count, form));
  return glow__check_context(ws, count);
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

/* Of a forward pass that is not an evaluation. */
static int32_t statistics_of(const glow_workspace *ws) {
  return glow__is_training(ws) ? GLOW_STATISTICS_BATCH : GLOW_STATISTICS_RUNNING;
}

glow_status glow_forward(glow_workspace *ws, const float *x, const int32_t *labels, int64_t count,
                         int32_t form, float *latents, double *logdet, double *log_prob) {
  GLOW_TRY(check_forward(ws, x, labels, count, latents ? form : GLOW_LATENTS_RAW));
  if (form != GLOW_LATENTS_RAW && form != GLOW_LATENTS_WHITENED)
    return glow_error(GLOW_E_ARGUMENT, "form is %d; it must be one of GLOW_LATENTS_...", form);
  GLOW_TRY(glow__check_finite(ws->model, "input", x, count));
  float *own = ws->memory + ws->plan.latents;
  double *ld = doubles(ws, ws->plan.logdet), *lp = doubles(ws, ws->plan.logprior);
  bool training = glow__is_training(ws);
  int32_t statistics = statistics_of(ws);
  ws->samples = 0;
  /* Backward works from raw latents, so whitened ones are made by a pass of their own. */
  if (form == GLOW_LATENTS_WHITENED && latents)
    glow__run_forward(ws, x, labels, count, form, statistics, false, latents, ld, lp);
  if (form == GLOW_LATENTS_RAW || !latents || training)
    glow__run_forward(ws, x, labels, count, GLOW_LATENTS_RAW, statistics, training, own, ld, lp);
  if (form == GLOW_LATENTS_RAW && latents)
    memcpy(latents, own, (size_t)(count * ws->model->dims) * sizeof(float));
  if (training)
    remember(ws, labels, count);
  hand_out(ws, count, logdet, log_prob);
  return GLOW_OK;
}

glow_status glow_log_prob(glow_workspace *ws, const float *x, const int32_t *labels, int64_t count,
                          double *log_prob) {
  GLOW_TRY(check_forward(ws, x, labels, count, GLOW_LATENTS_RAW));
  GLOW_TRY(glow__check_finite(ws->model, "input", x, count));
  ws->samples = 0;
  glow__run_forward(ws, x, labels, count, GLOW_LATENTS_RAW, GLOW_STATISTICS_RUNNING, false,
                    ws->memory + ws->plan.latents, doubles(ws, ws->plan.logdet),
                    doubles(ws, ws->plan.logprior));
  hand_out(ws, count, NULL, log_prob);
  return GLOW_OK;
}

double glow_bits_per_dim(const glow_model *model, double log_prob) {
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

static bool latents_finite(const glow__node *node, const glow_pass *pass) {
  for (int64_t n = 0; n < pass->samples; n++)
    if (!finite_floats(pass->latents + n * pass->latent_stride, node->latent_size))
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
    glow_pass pass;
    glow__pass_begin(ws, node, count, labels, GLOW_LATENTS_RAW, ws->memory + ws->plan.latents,
                     &pass);
    pass.statistics = statistics_of(ws);
    glow__node_forward(&pass, x, node->out_size ? y : NULL, ld, lp);
    if (node->logits)
      glow__node_logits(&pass, x, logits);
    if (!finite_floats(y, count * node->out_size) || !finite_doubles(ld, count) ||
        !finite_doubles(lp, count) || !latents_finite(node, &pass) ||
        !finite_floats(logits, count * node->logits))
      return node->name;
    x = y;
  }
  return NULL;
}

glow_status glow_find_nonfinite(glow_workspace *ws, const float *x, const int32_t *labels,
                                int64_t count, const char **layer) {
  if (!layer)
    return glow_error(GLOW_E_ARGUMENT, "glow_find_nonfinite: NULL argument");
  *layer = NULL;
  GLOW_TRY(check_forward(ws, x, labels, count, GLOW_LATENTS_RAW));
  ws->samples = 0;
  *layer = first_nonfinite(ws, x, labels, count);
  return GLOW_OK;
}
