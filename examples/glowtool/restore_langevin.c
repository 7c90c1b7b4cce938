/* Samples of latents given what was observed, by Langevin steps with Metropolis's correction (MALA,
 * Roberts and Tweedie 1996):
 *
 *   z' = z - h/2 M grad U(z) + sqrt(h M) n,    n standard normal,
 *
 * taken with the probability min(1, exp(U(z) - U(z') + log q(z | z') - log q(z' | z))), q the
 * density of a proposal.
 *
 * Often there are several explanations far apart, between which such steps do not go. So images are
 * means over several chains, and a chain begins where the descent from a sample c of p0 ends, for
 * y + s n in the place of y: if f were linear and p0 normal, that would be a sample already
 * (randomize-then-optimize: Bardsley, Solonen, Haario and Laine 2014).
 *
 * M is diagonal and belongs to the chain: 1 / (1 + diag(J' A' A J) / s^2), J = dx / dz at its
 * beginning, the inverse of U's curvature but for second derivatives of f^-1. The diagonal is the
 * mean of the squares of J' A' w over standard normal w (Bekas, Kokiopoulou and Saad 2007). Before
 * the first sample h follows the share of proposals that are taken towards 0.57, best for long
 * vectors (Roberts and Rosenthal 1998); then it is fixed. SPDX-License-Identifier: MIT */
#include <math.h>
#include <string.h>

#include "restore.h"

static const double wanted_share = 0.57;

/* `count` normal random numbers, at most dims, and a uniform one, for image i and a step of a
 * chain: they do not depend on the batch. */
static int draw(restorer *r, int64_t i, int64_t chain, int64_t step, float *normals,
                int64_t count) {
  const restore_plan *p = r->plan;
  uint64_t steps = (uint64_t)restore_chain_steps(p) + 2, dims = (uint64_t)r->energy->dims;
  uint64_t chains = (uint64_t)(r->first + i) * (uint64_t)p->chains + (uint64_t)chain;
  glow_status status =
      glow_rng_set_position(r->rng, (chains * steps + (uint64_t)step) * (dims + 1));
  if (status == GLOW_OK)
    status = glow_rng_normal(r->rng, normals, count);
  if (status == GLOW_OK)
    status = glow_rng_uniform(r->rng, &r->uniforms[i], 1);
  return status == GLOW_OK ? TOOL_FINE : complain_status(status, "drawing random numbers");
}

/* ---- the beginning --------------------------------------------------------------------------- */

/* To r->here. */
static int start_chain(restorer *r, int64_t chain) {
  latent_energy *e = r->energy;
  int64_t dims = e->dims, seen = e->observation->count;
  const float *y = e->y;
  int code = TOOL_FINE;
  for (int64_t i = 0; i < r->count && code == TOOL_FINE; i++) {
    code = draw(r, i, chain, 0, r->centre + i * dims, dims);
    if (code == TOOL_FINE)
      code = draw(r, i, chain, 1, r->w + i * seen, seen);
  }
  for (int64_t k = 0; k < r->count * seen; k++)
    r->w[k] = (float)((double)y[k] + r->plan->deviation * (double)r->w[k]);
  e->y = r->w;
  if (code == TOOL_FINE)
    code = restore_descend(r, chain * restore_chain_steps(r->plan));
  e->y = y;
  memcpy(r->next.z, r->here.z, (size_t)(r->count * dims) * sizeof *r->here.z);
  if (code == TOOL_FINE)
    code = restore_look(r, &r->next); /* for y itself */
  for (int64_t i = 0; i < r->count && code == TOOL_FINE; i++) {
    restore_move(r, i);
    r->found[i] &= isfinite(r->here.misfits[i]) != 0;
    r->sizes[i] = 2.7 / cbrt((double)dims); /* 1.65^2: best for a normal distribution */
  }
  return code;
}

/* Into r->v: M. */
static int find_metric(restorer *r, int64_t chain) {
  int64_t dims = r->energy->dims, all = r->count * dims, seen = r->energy->observation->count;
  double precision = 1.0 / (r->plan->deviation * r->plan->deviation * RESTORE_PROBES);
  int code = TOOL_FINE;
  for (int64_t k = 0; k < all; k++)
    r->v[k] = 1.0f;
  for (int64_t t = 0; t < RESTORE_PROBES && code == TOOL_FINE; t++) {
    for (int64_t i = 0; i < r->count && code == TOOL_FINE; i++)
      code = draw(r, i, chain, 2 + t, r->w + i * seen, seen);
    if (code == TOOL_FINE)
      code = energy_probe(r->energy, r->here.z, r->count, r->w, r->next.gradient);
    for (int64_t k = 0; k < all; k++)
      r->v[k] += (float)(precision * (double)r->next.gradient[k] * (double)r->next.gradient[k]);
  }
  for (int64_t k = 0; k < all; k++)
    r->v[k] = 1.0f / r->v[k];
  return code;
}

/* ---- a step ---------------------------------------------------------------------------------- */

/* Row i of r->next, with noise r->m. */
static void propose(restorer *r, int64_t i) {
  int64_t dims = r->energy->dims;
  double h = r->sizes[i];
  for (int64_t k = i * dims; k < (i + 1) * dims; k++) {
    double m = (double)r->v[k];
    r->next.z[k] = (float)((double)r->here.z[k] - 0.5 * h * m * restore_slope(r, &r->here, k) +
                           sqrt(h * m) * (double)r->m[k]);
  }
}

/* log q(to | from), up to what both directions share. */
static double log_proposal(const restorer *r, int64_t i, const restore_place *from,
                           const restore_place *to) {
  int64_t dims = r->energy->dims;
  double h = r->sizes[i], sum = 0.0;
  for (int64_t k = i * dims; k < (i + 1) * dims; k++) {
    double m = (double)r->v[k];
    double step = (double)to->z[k] - (double)from->z[k] + 0.5 * h * m * restore_slope(r, from, k);
    sum -= step * step / (2.0 * h * m);
  }
  return sum;
}

/* Probability with which the proposal of row i is taken. */
static double share_of(const restorer *r, int64_t i) {
  if (!isfinite(r->next.misfits[i]))
    return 0.0;
  double log_share = restore_energy(r, &r->here, i) - restore_energy(r, &r->next, i) +
                     log_proposal(r, i, &r->next, &r->here) -
                     log_proposal(r, i, &r->here, &r->next);
  return log_share >= 0.0 ? 1.0 : exp(log_share);
}

static void add_sample(restorer *r, int64_t i, double share) {
  int64_t dims = r->energy->dims;
  for (int64_t k = i * dims; k < (i + 1) * dims; k++) {
    r->sum[k] += (double)r->x[k];
    r->squares[k] += (double)r->x[k] * (double)r->x[k];
  }
  r->chain_energy[i] += restore_energy(r, &r->here, i) / (double)r->plan->samples;
  r->accepted[i] += share / (double)(r->plan->samples * r->plan->chains);
}

/* step: from 0. */
static int langevin_step(restorer *r, int64_t chain, int64_t step) {
  int64_t dims = r->energy->dims;
  int code = TOOL_FINE;
  for (int64_t i = 0; i < r->count && code == TOOL_FINE; i++) {
    code = draw(r, i, chain, 2 + RESTORE_PROBES + step, r->m + i * dims, dims);
    propose(r, i);
  }
  if (code == TOOL_FINE)
    code = restore_look(r, &r->next);
  for (int64_t i = 0; i < r->count && code == TOOL_FINE; i++) {
    double share = share_of(r, i);
    if ((double)r->uniforms[i] < share)
      restore_move(r, i);
    if (step < r->plan->burn_in)
      r->sizes[i] *= exp((share - wanted_share) / sqrt(1.0 + (double)step));
    else
      add_sample(r, i, share);
  }
  return code;
}

static void finish_chain(restorer *r) {
  for (int64_t i = 0; i < r->count; i++) {
    r->energies[i] += r->chain_energy[i];
    r->energy_squares[i] += r->chain_energy[i] * r->chain_energy[i];
  }
}

int restore_langevin(restorer *r, int64_t chain) {
  const restore_plan *p = r->plan;
  memset(r->chain_energy, 0, (size_t)r->count * sizeof *r->chain_energy);
  int64_t told = chain * restore_chain_steps(p) + p->steps + RESTORE_PROBES;
  int code = start_chain(r, chain);
  if (code == TOOL_FINE)
    code = find_metric(r, chain);
  for (int64_t step = 0; step < p->burn_in + p->samples && code == TOOL_FINE; step++) {
    code = langevin_step(r, chain, step);
    if (code == TOOL_FINE)
      code = restore_tell(r, told + step + 1);
  }
  if (code == TOOL_FINE)
    finish_chain(r);
  return code;
}
