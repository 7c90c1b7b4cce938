/* From observations to images: the most probable latents, or samples of latents, given what was
 * observed. SPDX-License-Identifier: MIT */
#ifndef GLOWTOOL_RESTORE_H
#define GLOWTOOL_RESTORE_H

#include "latent_energy.h"

/* Values of --method. */
enum { METHOD_MAP = 1, METHOD_LANGEVIN = 2 };

/* How images are restored. */
typedef struct restore_plan {
  int64_t method;
  double deviation; /* s */
  int64_t steps;    /* of Adam: to the most probable latents, or to the start of a chain */
  double rate;      /* its first learning rate */
  int64_t burn_in;  /* METHOD_LANGEVIN: steps of a chain before the first sample */
  int64_t samples;  /* of a chain */
  int64_t chains;
  uint64_t seed;
  void (*tell)(void *payload, int64_t step, int64_t steps, double energy);
  void *payload;
} restore_plan;

/* Where the latents of a batch are, or would go. */
typedef struct restore_place {
  float *z, *gradient;      /* [batch, dims]; of the misfit */
  double *misfits, *priors; /* [batch]: parts of the energy */
} restore_place;

/* Restores one batch. */
typedef struct restorer {
  latent_energy *energy;
  const restore_plan *plan;
  int64_t first, count;     /* numbers of the images */
  restore_place here, next; /* next: of a proposal */
  float *m, *v;             /* [batch, dims]: of Adam, moments; of a chain, noise and metric */
  float *centre;            /* [batch, dims]: where a descent begins */
  float *w;                 /* [batch, count of the observation] */
  double *sizes;            /* [batch]: of steps */
  double *sum, *squares;    /* [batch, dims]: of samples */
  double *accepted;         /* [batch]: share of the samples that are new */
  double *chain_energy;     /* [batch]: mean of U over the samples of this chain */
  double *energies, *energy_squares; /* [batch]: sums over chains of that, and of its square */
  float *x, *spread; /* [batch, dims]: the results: images, and deviations of samples */
  bool *found;       /* [batch]: is there a result? */
  float *uniforms;   /* [batch] */
  glow_rng *rng;
} restorer;

/* Returns an exit code, as all here do; restorer_close is due in any case. */
int restorer_open(restorer *r, latent_energy *energy, const restore_plan *plan);
void restorer_close(restorer *r);
/* Of image i after METHOD_LANGEVIN: the mean of U over its chains, and the deviation between the
 * chains' means, NaN for a single chain. */
double restore_energy_of_chains(const restorer *r, int64_t i);
double restore_energy_between_chains(const restorer *r, int64_t i);
/* Images first, ... of the batch that the energy has begun. Results are in r->x, NaN where nothing
 * finite was found, and r->spread (METHOD_LANGEVIN). TOOL_STOPPED after a signal. */
int restore_batch(restorer *r, int64_t first, int64_t count);

/* From r->centre on to the latents that minimise U with -log p0(z - centre) in the place of
 * -log p0(z), for what the energy has as y. Rows are in r->here and r->x. told: steps of the batch
 * before. */
int restore_descend(restorer *r, int64_t told);
/* Adds the samples of one chain to the sums. */
int restore_langevin(restorer *r, int64_t chain);

/* ---- for the methods ------------------------------------------------------------------------- */

/* Misfits, their gradients, and priors of the latents of a place. */
int restore_look(restorer *r, restore_place *place);
/* U of row i, and an element of its gradient; INFINITY: no finite image. */
double restore_energy(const restorer *r, const restore_place *place, int64_t i);
double restore_slope(const restorer *r, const restore_place *place, int64_t k);
/* Row i goes to r->next. */
void restore_move(restorer *r, int64_t i);
/* Tells of a step, of all that the batch takes. TOOL_STOPPED after a signal. */
int restore_tell(const restorer *r, int64_t step);
/* Steps of one chain, with those that find its metric. */
enum { RESTORE_PROBES = 10 };
int64_t restore_chain_steps(const restore_plan *plan);

#endif
