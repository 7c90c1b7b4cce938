/* Energies and their gradients by one inverse pass and one back through it.
 * SPDX-License-Identifier: MIT */
#include "latent_energy.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

/* ---- density of latents ---------------------------------------------------------------------- */

/* -log p0 of one latent, up to a constant. */
static double prior_of(int32_t density, double z) {
  return density == GLOW_DENSITY_LOGISTIC ? fabs(z) + 2.0 * log1p(exp(-fabs(z))) : 0.5 * z * z;
}

double energy_prior(const latent_energy *e, const float *z) {
  double sum = 0.0;
  for (int64_t d = 0; d < e->dims; d++)
    sum += prior_of(e->density, (double)z[d]);
  return sum;
}

double energy_prior_slope(const latent_energy *e, float z) {
  return e->density == GLOW_DENSITY_LOGISTIC ? tanh(0.5 * (double)z) : (double)z;
}

/* Sampling at a temperature T says log q(x) = log p(x) + sum_i [log p0(z_i / T) - log T - log
 * p0(z_i)] (docs/conventions.md), and that tells which density p0 is. */
static double predicted(const float *z, int64_t dims, int32_t density, double temperature) {
  double sum = 0.0;
  for (int64_t i = 0; i < dims; i++)
    sum += prior_of(density, (double)z[i]) - prior_of(density, (double)z[i] / temperature) -
           log(temperature);
  return sum;
}

static int find_density(latent_energy *e) {
  static const int32_t densities[] = {GLOW_DENSITY_GAUSSIAN, GLOW_DENSITY_LOGISTIC};
  const int32_t label = 0;
  double log_prob = 0.0, log_q = 0.0;
  glow_sample_options o = GLOW_SAMPLE_OPTIONS_INIT;
  o.temperature = 0.5;
  o.labels = glow_model_class_count(e->m->model) ? &label : NULL;
  o.latents = e->tried;
  o.log_prob = &log_prob;
  o.log_q = &log_q;
  glow_status status = glow_workspace_sample(e->workspace, 1, &o, e->x);
  if (status != GLOW_OK)
    return complain_status(status, "looking at the density of the latents");
  for (int i = 0; i < 2; i++) {
    double expected = predicted(e->tried, e->dims, densities[i], o.temperature);
    e->density = densities[i];
    if (fabs(log_q - log_prob - expected) < 1e-4 * (fabs(log_prob) + fabs(expected) + 1.0))
      return TOOL_FINE;
  }
  return complain("the latents of this model are neither all Gaussian nor all logistic");
}

/* ---- memory ---------------------------------------------------------------------------------- */

/* Activations are stored: that is fastest, and memory for it can be limited by --batch. */
static int open_workspace(latent_energy *e) {
  glow_workspace_options o = GLOW_WORKSPACE_OPTIONS_INIT;
  uint64_t bytes = 0;
  o.batch = e->batch;
  o.mode = GLOW_MODE_STORED;
  o.inputs_only = 1;
  o.inverse_backward = 1;
  glow_status status = glow_workspace_plan_bytes(e->m->model, &o, &bytes);
  if (status == GLOW_OK && check_passes(bytes, "passes with gradients") != TOOL_FINE)
    return TOOL_BAD;
  if (status == GLOW_OK)
    status = glow_workspace_create(e->m->model, &o, &e->workspace);
  return status == GLOW_OK ? TOOL_FINE : complain_status(status, NULL);
}

int energy_open(latent_energy *e, const opened_model *m, const observation *o) {
  size_t floats = (size_t)m->batch * (size_t)o->dims * sizeof(float);
  *e = (latent_energy){.m = m, .observation = o, .dims = o->dims, .batch = m->batch};
  e->x = malloc(floats);
  e->dx = malloc(floats);
  e->safe = malloc(floats);
  e->tried = malloc(floats);
  e->residual = malloc((size_t)o->count * sizeof *e->residual);
  e->statuses = malloc((size_t)m->batch * sizeof *e->statuses);
  if (!e->x || !e->dx || !e->safe || !e->tried || !e->residual || !e->statuses) {
    complain("out of memory for batches of %lld images", (long long)m->batch);
    return TOOL_FAILED;
  }
  int code = open_workspace(e);
  return code == TOOL_FINE ? find_density(e) : code;
}

void energy_close(latent_energy *e) {
  glow_workspace_destroy(&e->workspace);
  free(e->x);
  free(e->dx);
  free(e->safe);
  free(e->tried);
  free(e->residual);
  free(e->statuses);
  *e = (latent_energy){.m = NULL};
}

/* ---- passes ---------------------------------------------------------------------------------- */

void energy_begin(latent_energy *e, const float *y, const int32_t *labels) {
  e->y = y;
  e->labels = labels;
  memset(e->safe, 0, (size_t)e->batch * (size_t)e->dims * sizeof *e->safe);
}

static glow_status invert(latent_energy *e, const float *z, int64_t count, int64_t *failed) {
  glow_inverse_options o = GLOW_INVERSE_OPTIONS_INIT;
  o.form = GLOW_LATENTS_WHITENED;
  o.labels = e->labels;
  o.store = 1;
  o.statuses = failed ? e->statuses : NULL;
  o.failed = failed;
  return glow_workspace_inverse(e->workspace, z, count, &o, e->x);
}

/* Going back needs a pass in which all rows are finite: those that are not take their last good
 * latents, and keep their mark. Without any, they take 0. */
static glow_status invert_all(latent_energy *e, const float *z, int64_t count) {
  int64_t failed = 0;
  size_t row = (size_t)e->dims;
  glow_status status = invert(e, z, count, &failed);
  for (int64_t i = 0; i < count && status == GLOW_OK; i++) {
    bool good = e->statuses[i] == GLOW_OK;
    if (good)
      memcpy(e->safe + (size_t)i * row, z + (size_t)i * row, row * sizeof *z);
  }
  if (status != GLOW_OK || !failed)
    return status;
  memcpy(e->tried, e->safe, (size_t)count * row * sizeof *z);
  return invert(e, e->tried, count, NULL);
}

static glow_status go_back(latent_energy *e, float *gradient) {
  glow_inverse_backward_options o = GLOW_INVERSE_BACKWARD_OPTIONS_INIT;
  o.dx = e->dx;
  o.d_latents = gradient;
  return glow_workspace_inverse_backward(e->workspace, &o);
}

/* ---- misfits --------------------------------------------------------------------------------- */

/* Of row i's image; its gradient to e->dx, 0 if the observation is not finite. */
static double misfit_of(latent_energy *e, int64_t i) {
  const observation *o = e->observation;
  const float *y = e->y + i * o->count;
  double sum = 0.0;
  observation_apply(o, e->x + i * e->dims, e->residual);
  for (int64_t k = 0; k < o->count; k++) {
    e->residual[k] -= y[k];
    sum += (double)e->residual[k] * (double)e->residual[k];
  }
  observation_back(o, e->residual, e->dx + i * e->dims);
  if (!isfinite(sum))
    memset(e->dx + i * e->dims, 0, (size_t)e->dims * sizeof *e->dx);
  return 0.5 * sum;
}

static bool all_finite(const float *values, int64_t count) {
  bool finite = true;
  for (int64_t i = 0; i < count; i++)
    finite &= isfinite(values[i]) != 0;
  return finite;
}

int energy_misfits(latent_energy *e, const float *z, int64_t count, double *misfits,
                   float *gradients) {
  glow_status status = invert_all(e, z, count);
  for (int64_t i = 0; i < count && status == GLOW_OK; i++)
    misfits[i] = misfit_of(e, i);
  if (status == GLOW_OK)
    status = go_back(e, gradients);
  if (status != GLOW_OK)
    return complain_status(status, "restoring");
  for (int64_t i = 0; i < count; i++)
    if (e->statuses[i] != GLOW_OK || !isfinite(misfits[i]) ||
        !all_finite(gradients + i * e->dims, e->dims))
      misfits[i] = (double)INFINITY;
  return TOOL_FINE;
}

int energy_probe(latent_energy *e, const float *z, int64_t count, const float *w,
                 float *gradients) {
  const observation *o = e->observation;
  glow_status status = invert_all(e, z, count);
  for (int64_t i = 0; i < count && status == GLOW_OK; i++)
    observation_back(o, w + i * o->count, e->dx + i * e->dims);
  if (status == GLOW_OK)
    status = go_back(e, gradients);
  return status == GLOW_OK ? TOOL_FINE : complain_status(status, "restoring");
}
