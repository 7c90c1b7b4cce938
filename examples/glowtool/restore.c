/* A batch from its start to its result. SPDX-License-Identifier: MIT */
#include "restore.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "stop.h"

/* ---- memory ---------------------------------------------------------------------------------- */

static bool open_place(restore_place *p, size_t batch, size_t dims) {
  p->z = calloc(batch * dims, sizeof *p->z);
  p->gradient = calloc(batch * dims, sizeof *p->gradient);
  p->misfits = calloc(batch, sizeof *p->misfits);
  p->priors = calloc(batch, sizeof *p->priors);
  return p->z && p->gradient && p->misfits && p->priors;
}

static void close_place(restore_place *p) {
  free(p->z);
  free(p->gradient);
  free(p->misfits);
  free(p->priors);
}

static bool open_vectors(restorer *r, size_t batch, size_t dims) {
  size_t all = batch * dims;
  r->m = calloc(all, sizeof *r->m);
  r->v = calloc(all, sizeof *r->v);
  r->x = calloc(all, sizeof *r->x);
  r->spread = calloc(all, sizeof *r->spread);
  r->sum = calloc(all, sizeof *r->sum);
  r->squares = calloc(all, sizeof *r->squares);
  r->sizes = calloc(batch, sizeof *r->sizes);
  r->accepted = calloc(batch, sizeof *r->accepted);
  r->chain_energy = calloc(batch, sizeof *r->chain_energy);
  r->energies = calloc(batch, sizeof *r->energies);
  r->energy_squares = calloc(batch, sizeof *r->energy_squares);
  r->found = calloc(batch, sizeof *r->found);
  r->uniforms = calloc(batch, sizeof *r->uniforms);
  r->centre = calloc(all, sizeof *r->centre);
  r->w = calloc(batch * (size_t)r->energy->observation->count, sizeof *r->w);
  return r->m && r->v && r->x && r->spread && r->sum && r->squares && r->sizes && r->accepted &&
         r->found && r->uniforms && r->centre && r->w && r->chain_energy && r->energies &&
         r->energy_squares;
}

int restorer_open(restorer *r, latent_energy *energy, const restore_plan *plan) {
  size_t batch = (size_t)energy->batch, dims = (size_t)energy->dims;
  *r = (restorer){.energy = energy, .plan = plan};
  bool good = open_place(&r->here, batch, dims);
  good &= open_place(&r->next, batch, dims);
  good &= open_vectors(r, batch, dims);
  if (!good) {
    complain("out of memory for batches of %lld images", (long long)energy->batch);
    return TOOL_FAILED;
  }
  glow_status status = glow_rng_create(energy->m->context, plan->seed, &r->rng);
  return status == GLOW_OK ? TOOL_FINE : complain_status(status, NULL);
}

void restorer_close(restorer *r) {
  void *all[] = {r->m,
                 r->v,
                 r->x,
                 r->spread,
                 r->sum,
                 r->squares,
                 r->sizes,
                 r->accepted,
                 r->found,
                 r->uniforms,
                 r->centre,
                 r->w,
                 r->chain_energy,
                 r->energies,
                 r->energy_squares};
  for (size_t i = 0; i < sizeof all / sizeof *all; i++)
    free(all[i]);
  close_place(&r->here);
  close_place(&r->next);
  glow_rng_destroy(&r->rng);
  *r = (restorer){.energy = NULL};
}

/* ---- for the methods ------------------------------------------------------------------------- */

int restore_look(restorer *r, restore_place *place) {
  int code = energy_misfits(r->energy, place->z, r->count, place->misfits, place->gradient);
  for (int64_t i = 0; i < r->count && code == TOOL_FINE; i++)
    place->priors[i] = energy_prior(r->energy, place->z + i * r->energy->dims);
  return code;
}

static double precision(const restorer *r) {
  return 1.0 / (r->plan->deviation * r->plan->deviation);
}

double restore_energy(const restorer *r, const restore_place *place, int64_t i) {
  return isfinite(place->misfits[i]) ? precision(r) * place->misfits[i] + place->priors[i]
                                     : (double)INFINITY;
}

double restore_slope(const restorer *r, const restore_place *place, int64_t k) {
  return precision(r) * (double)place->gradient[k] + energy_prior_slope(r->energy, place->z[k]);
}

void restore_move(restorer *r, int64_t i) {
  int64_t at = i * r->energy->dims;
  size_t bytes = (size_t)r->energy->dims * sizeof *r->here.z;
  memcpy(r->here.z + at, r->next.z + at, bytes);
  memcpy(r->here.gradient + at, r->next.gradient + at, bytes);
  memcpy(r->x + at, r->energy->x + at, bytes);
  r->here.misfits[i] = r->next.misfits[i];
  r->here.priors[i] = r->next.priors[i];
}

int64_t restore_chain_steps(const restore_plan *p) {
  return p->steps + RESTORE_PROBES + p->burn_in + p->samples;
}

int restore_tell(const restorer *r, int64_t step) {
  const restore_plan *p = r->plan;
  int64_t steps = p->method == METHOD_MAP ? p->steps : p->chains * restore_chain_steps(p);
  double sum = 0.0;
  int64_t finite = 0;
  for (int64_t i = 0; i < r->count; i++)
    if (isfinite(r->here.misfits[i])) {
      sum += restore_energy(r, &r->here, i);
      finite++;
    }
  p->tell(p->payload, step, steps, sum / (double)finite);
  return stop_wanted() ? TOOL_STOPPED : TOOL_FINE;
}

double restore_energy_of_chains(const restorer *r, int64_t i) {
  return r->energies[i] / (double)r->plan->chains;
}

double restore_energy_between_chains(const restorer *r, int64_t i) {
  double n = (double)r->plan->chains, mean = restore_energy_of_chains(r, i);
  return n > 1.0 ? sqrt(fmax(0.0, r->energy_squares[i] / n - mean * mean) * n / (n - 1.0))
                 : (double)NAN;
}

/* ---- a batch --------------------------------------------------------------------------------- */

/* Images are in [-1/2, 1/2]. */
static float clipped(double x) {
  return (float)(x < -0.5 ? -0.5 : x > 0.5 ? 0.5 : x);
}

static void finish_map(restorer *r) {
  int64_t dims = r->energy->dims;
  for (int64_t k = 0; k < r->count * dims; k++) {
    r->found[k / dims] = isfinite(r->here.misfits[k / dims]) != 0;
    r->x[k] = r->found[k / dims] ? clipped((double)r->x[k]) : NAN;
  }
}

static void finish_samples(restorer *r) {
  int64_t dims = r->energy->dims;
  double n = (double)(r->plan->samples * r->plan->chains);
  for (int64_t k = 0; k < r->count * dims; k++) {
    double mean = r->sum[k] / n, square = r->squares[k] / n - mean * mean;
    r->x[k] = r->found[k / dims] ? clipped(mean) : NAN;
    r->spread[k] = r->found[k / dims] ? (float)sqrt(square > 0.0 ? square : 0.0) : NAN;
  }
}

static int sample_batch_of(restorer *r) {
  size_t all = (size_t)(r->count * r->energy->dims);
  int code = TOOL_FINE;
  memset(r->sum, 0, all * sizeof *r->sum);
  memset(r->squares, 0, all * sizeof *r->squares);
  for (int64_t i = 0; i < r->count; i++) {
    r->found[i] = true;
    r->accepted[i] = r->energies[i] = r->energy_squares[i] = 0.0;
  }
  for (int64_t chain = 0; chain < r->plan->chains && code == TOOL_FINE; chain++)
    code = restore_langevin(r, chain);
  if (code == TOOL_FINE)
    finish_samples(r);
  return code;
}

int restore_batch(restorer *r, int64_t first, int64_t count) {
  r->first = first;
  r->count = count;
  if (r->plan->method == METHOD_LANGEVIN)
    return sample_batch_of(r);
  memset(r->centre, 0, (size_t)(count * r->energy->dims) * sizeof *r->centre);
  int code = restore_descend(r, 0);
  if (code == TOOL_FINE)
    finish_map(r);
  return code;
}
