/* Diagnosis of a model: what is asked, what the parameters say, and the answers. Each layer and net
 * says what it knows through `diagnose` of its table; all else is seen from outside.
 * SPDX-License-Identifier: MIT */
#include "host/diagnose.h"

#include <math.h>
#include <string.h>

struct glow_diagnosis {
  glow_context *context;
  const glow_model *held; /* owns the names of layers */
  int32_t count;
  glow_model_diagnosis model;
  glow_layer_diagnosis layers[];
};

/* ---- shared by both directions --------------------------------------------------------------- */

void glow__examine_batch(glow__examination *e, int64_t samples) {
  memset(e->lost, 0, (size_t)samples);
  glow__outcome_screen(e->ws, "", NULL, samples);
}

static bool examine_row_finite(const glow__examination *e, int64_t n, const float *rows,
                               int64_t size, const double *sums, const double *sums2) {
  return e->ws->statuses[n] == GLOW_OK && glow__finite_floats(rows + n * size, size) &&
         isfinite(sums[n]) && (!sums2 || isfinite(sums2[n]));
}

int64_t glow__examine_lose(glow__examination *e, int64_t samples, const float *rows, int64_t size,
                           double *sums, double *sums2) {
  int64_t count = 0;
  for (int64_t n = 0; n < samples; n++) {
    if (!e->lost[n] && !examine_row_finite(e, n, rows, size, sums, sums2)) {
      e->lost[n] = 1;
      count++;
    }
    if (!e->lost[n])
      continue;
    sums[n] = 0;
    if (sums2)
      sums2[n] = 0;
  }
  return count;
}

bool glow__examine_replace(const glow__examination *e, int64_t samples, float *rows, int64_t size) {
  int64_t usual = 0;
  while (usual < samples && e->lost[usual])
    usual++;
  for (int64_t n = 0; n < samples && usual < samples; n++)
    if (e->lost[n])
      memcpy(rows + n * size, rows + usual * size, (size_t)size * sizeof *rows);
  return usual < samples;
}

double glow__largest_finite(const float *x, int64_t count, double largest) {
  for (int64_t i = 0; i < count; i++)
    if (isfinite(x[i]))
      largest = fmax(largest, fabs((double)x[i]));
  return largest;
}

/* ---- what is asked --------------------------------------------------------------------------- */

static glow_status diagnose_check_data(const glow_workspace *ws, const glow_diagnose_options *o) {
  if (!o->x && !o->count)
    return GLOW_OK;
  if (!o->x)
    return glow_error(GLOW_E_ARGUMENT, "glow_diagnose_options: x is NULL, and count is %lld",
                      (long long)o->count);
  GLOW_TRY(glow__check_count(ws, o->count));
  GLOW_TRY(glow__check_labels(ws->model, 0, o->labels, o->count, GLOW_LATENTS_RAW));
  GLOW_TRY(glow__check_conditions_finite(ws, o->count));
  return glow__check_finite(ws, o->x, o->count);
}

static glow_status diagnose_check_drawn(const glow_workspace *ws, const glow_diagnose_options *o) {
  if (o->drawn < 0)
    return glow_error(GLOW_E_ARGUMENT, "glow_diagnose_options: drawn is %lld; it must be 0 or more",
                      (long long)o->drawn);
  for (int32_t t = 0; t < GLOW_DIAGNOSE_TEMPERATURES; t++)
    if (!(o->temperature[t] >= 0) || !isfinite(o->temperature[t]))
      return glow_error(GLOW_E_ARGUMENT,
                        "glow_diagnose_options: temperature[%d] is %g; it must be 0 or more",
                        (int)t, o->temperature[t]);
  if (!o->drawn)
    return GLOW_OK;
  GLOW_TRY(glow__check_count(ws, o->drawn));
  return glow__check_conditions_finite(ws, o->drawn);
}

static glow_status diagnose_check(const glow_workspace *ws, const glow_diagnose_options *o) {
  GLOW_TRY(glow__check_ready(ws->model));
  GLOW_TRY(diagnose_check_data(ws, o));
  return diagnose_check_drawn(ws, o);
}

/* ---- memory ---------------------------------------------------------------------------------- */

/* Floats of the largest state of a sample, and of the largest stored regions of a batch. */
static bool diagnose_sizes(const glow_workspace *ws, int64_t *state, int64_t *stored) {
  *state = *stored = 1;
  for (int32_t i = 0; i < ws->model->node_count; i++) {
    const glow__node *node = &ws->model->nodes[i];
    int64_t size = 0;
    if (!glow__regions_size(&node->stored, ws->plan.batch, true, &size))
      return false;
    *stored = size > *stored ? size : *stored;
    *state = node->in_size > *state ? node->in_size : *state;
    *state = node->out_size > *state ? node->out_size : *state;
  }
  return true;
}

static glow_status examination_allocate_layers(glow__examination *e) {
  const glow_model *model = e->ws->model;
  glow_context *context = model->context;
  e->layers = glow_allocate(context, (size_t)model->node_count * sizeof *e->layers);
  if (!e->layers)
    return GLOW_E_MEMORY;
  for (int32_t i = 0; i < model->node_count; i++)
    glow__findings_begin(&e->layers[i].findings, context);
  for (int32_t i = 0; i < model->node_count; i++) {
    e->layers[i].moments = glow_allocate(context, glow_moments_bytes(1));
    if (!e->layers[i].moments)
      return GLOW_E_MEMORY;
  }
  return GLOW_OK;
}

static glow_status examination_allocate(glow__examination *e) {
  const glow_workspace *ws = e->ws;
  glow_context *context = ws->model->context;
  int64_t state = 0, stored = 0, floats = 0, batch = ws->plan.batch;
  if (!diagnose_sizes(ws, &state, &stored) || !glow_size_multiply(state, batch, &floats) ||
      floats > INT64_MAX / 64 || stored > INT64_MAX / 64)
    return glow_error(GLOW_E_LIMIT, "a diagnosis in batches of %lld samples needs too much memory",
                      (long long)batch);
  for (int32_t i = 0; i < 3; i++)
    if (!(e->states[i] = glow_allocate(context, (size_t)floats * sizeof(float))))
      return GLOW_E_MEMORY;
  e->stored = glow_allocate(context, (size_t)stored * sizeof(float));
  e->ignored = e->stored ? glow_allocate(context, (size_t)batch * sizeof *e->ignored) : NULL;
  e->lost = e->ignored ? glow_allocate(context, (size_t)batch) : NULL;
  e->drawn_labels =
      e->lost ? glow_allocate(context, (size_t)batch * sizeof *e->drawn_labels) : NULL;
  return e->drawn_labels ? examination_allocate_layers(e) : GLOW_E_MEMORY;
}

static void examination_release(glow__examination *e) {
  glow_context *context = e->ws->model->context;
  for (int32_t i = 0; e->layers && i < e->ws->model->node_count; i++) {
    glow__findings_end(&e->layers[i].findings);
    glow_release(context, e->layers[i].moments);
  }
  glow_release(context, e->layers);
  for (int32_t i = 0; i < 3; i++)
    glow_release(context, e->states[i]);
  glow_release(context, e->stored);
  glow_release(context, e->ignored);
  glow_release(context, e->lost);
  glow_release(context, e->drawn_labels);
}

/* ---- what parameters say --------------------------------------------------------------------- */

static glow_status examine_parameters(glow__examination *e) {
  const glow_model *model = e->ws->model;
  for (int32_t i = 0; i < model->node_count; i++) {
    const glow__node *node = &model->nodes[i];
    glow_call call;
    glow__call_begin(e->ws, node, 0, NULL, GLOW_LATENTS_RAW, NULL, &call);
    glow_status status = glow__node_diagnose(&call, NULL, &e->layers[i].findings);
    if (status != GLOW_OK)
      return glow__error_prefix(status, "layer '%s'", node->name);
  }
  return GLOW_OK;
}

static int64_t count_nonfinite_parameters(const glow_model *model, const glow__node *node) {
  int64_t count = 0;
  for (int32_t t = node->first_tensor; t < node->first_tensor + node->tensors; t++) {
    const float *values = glow__model_tensor_data(model, t);
    for (int64_t i = 0; model->tensors[t].type == GLOW_TYPE_F32 && i < model->tensors[t].elements;
         i++)
      count += !isfinite(values[i]);
  }
  return count;
}

/* ---- the answers ----------------------------------------------------------------------------- */

static double diagnosis_round_trip(double error, double squares, int64_t compared) {
  if (!compared)
    return NAN;
  return error == 0 ? 0 : error / sqrt(squares / (double)compared);
}

static void diagnosis_fill_data(const glow__examined *l, glow_layer_diagnosis *out) {
  double variance = NAN;
  bool finite = l->elements > l->nonfinite;
  out->lost = l->lost;
  out->nonfinite_share = l->elements ? (double)l->nonfinite / (double)l->elements : NAN;
  out->round_trip = diagnosis_round_trip(l->error, l->squares, l->compared);
  if (finite)
    glow_moments_channel(l->moments, 1, 0, &out->mean, &variance);
  out->deviation = sqrt(variance);
  out->largest = finite ? l->largest : NAN;
}

static void diagnosis_fill_layer(const glow__examination *e, int32_t i, glow_layer_diagnosis *out) {
  const glow__node *node = &e->ws->model->nodes[i];
  const glow__examined *l = &e->layers[i];
  *out = (glow_layer_diagnosis){.struct_size = sizeof *out,
                                .name = node->name,
                                .type = node->layer->ops.type,
                                .condition_number = l->findings.condition_number,
                                .least_scale = l->findings.least_scale,
                                .largest_scale = l->findings.largest_scale,
                                .round_trip = NAN,
                                .mean = NAN,
                                .deviation = NAN,
                                .largest = NAN,
                                .nonfinite_share = NAN,
                                .units = -1,
                                .dead_units = -1,
                                .lost = -1};
  out->nonfinite_parameters = count_nonfinite_parameters(e->ws->model, node);
  if (l->elements) {
    diagnosis_fill_data(l, out);
    glow__findings_count_units(&l->findings, node->layer, &out->units, &out->dead_units);
  }
  for (int32_t t = 0; t < GLOW_DIAGNOSE_TEMPERATURES; t++) {
    out->drawn_lost[t] = e->o.drawn ? l->drawn_lost[t] : -1;
    out->drawn_largest[t] = e->o.drawn ? l->drawn_largest[t] : NAN;
  }
}

static void diagnosis_fill(const glow__examination *e, glow_diagnosis *d) {
  glow_model_diagnosis *m = &d->model;
  *m = (glow_model_diagnosis){.struct_size = sizeof *m,
                              .count = e->o.count,
                              .first_nonfinite = -1,
                              .round_trip = diagnosis_round_trip(e->error, e->squares, e->compared),
                              .drawn = e->o.drawn};
  for (int32_t i = 0; i < d->count; i++) {
    diagnosis_fill_layer(e, i, &d->layers[i]);
    m->lost += e->layers[i].lost;
    if (e->layers[i].lost && m->first_nonfinite < 0)
      m->first_nonfinite = i;
    for (int32_t t = 0; t < GLOW_DIAGNOSE_TEMPERATURES; t++)
      m->drawn_lost[t] += e->layers[i].drawn_lost[t];
  }
}

static glow_status diagnose(glow__examination *e, glow_diagnosis **out) {
  const glow_model *model = e->ws->model;
  GLOW_TRY(examination_allocate(e));
  GLOW_TRY(examine_parameters(e));
  if (e->o.count)
    GLOW_TRY(glow__examine_data(e));
  if (e->o.drawn)
    GLOW_TRY(glow__examine_drawn(e));
  size_t rows = (size_t)model->node_count * sizeof(glow_layer_diagnosis);
  glow_diagnosis *d = glow_allocate(model->context, sizeof *d + rows);
  if (!d)
    return GLOW_E_MEMORY;
  d->context = model->context;
  d->held = glow__model_hold(model);
  d->count = model->node_count;
  diagnosis_fill(e, d);
  glow__live_add(d, GLOW_LIVE_DIAGNOSIS);
  *out = d;
  return GLOW_OK;
}

glow_status glow_workspace_diagnose(glow_workspace *ws, const glow_diagnose_options *options,
                                    glow_diagnosis **out) {
  glow__examination e = {.ws = ws, .o = GLOW_DIAGNOSE_OPTIONS_INIT};
  GLOW_LIVE(ws, WORKSPACE);
  if (out)
    *out = NULL;
  if (!ws || !out)
    return glow_error(GLOW_E_ARGUMENT, "glow_workspace_diagnose: NULL argument");
  GLOW_TRY(glow__options_copy(&e.o, sizeof e.o, options, sizeof e.o, "glow_diagnose_options"));
  GLOW_TRY(diagnose_check(ws, &e.o));
  glow__outcome_begin(ws);
  glow_status status = diagnose(&e, out);
  examination_release(&e);
  return glow__outcome_stop(ws, status);
}

void glow_diagnosis_destroy(glow_diagnosis **diagnosis) {
  if (!diagnosis || !*diagnosis)
    return;
  GLOW_LIVE_END(*diagnosis, DIAGNOSIS);
  const glow_model *model = (*diagnosis)->held;
  glow_release((*diagnosis)->context, *diagnosis);
  glow__model_drop(model);
  *diagnosis = NULL;
}

glow_status glow_diagnosis_layer(const glow_diagnosis *d, int32_t index,
                                 glow_layer_diagnosis *out) {
  GLOW_LIVE(d, DIAGNOSIS);
  if (!d || index < 0 || index >= d->count)
    return glow_error(GLOW_E_ARGUMENT, "glow_diagnosis_layer: layer %d; the diagnosis has %d",
                      (int)index, d ? (int)d->count : 0);
  return glow__struct_fill(out, &d->layers[index], sizeof *out, sizeof *out,
                           "glow_layer_diagnosis");
}

glow_status glow_diagnosis_model(const glow_diagnosis *d, glow_model_diagnosis *out) {
  GLOW_LIVE(d, DIAGNOSIS);
  if (!d)
    return glow_error(GLOW_E_ARGUMENT, "glow_diagnosis_model: NULL argument");
  return glow__struct_fill(out, &d->model, sizeof *out, sizeof *out, "glow_model_diagnosis");
}
